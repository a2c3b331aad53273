# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a few bytes of a file that lies elsewhere: whoever parses says which, whoever can read brings them.

A `Reading` yields lists of places and is sent their bytes, many at once, because each question may be a round trip. Its bounds are those of
`Storage`: a file that names bytes which it does not have is refused, and so is one that would need more memory than a map is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, Union

Place = tuple[int, int]
"""Offset and length, in bytes."""
Read = Callable[[int, int], bytes]
"""Offset and length in bytes → the bytes; fewer where the file ends."""
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Reading = Generator[Sequence[Place], Sequence[bytes], T]

_AT_ONCE = 1 << 20
"""Bytes that are asked for in one question."""


class NotTold(ValueError):
    """Why nobody can tell where the bytes of an image are: one sentence."""


def read_with(reading: Reading[T], read: Read) -> T:
    """What a reading finds by this way to read. Raises `NotTold`, and whatever `read` raises."""
    try:
        places = next(reading)
        while True:
            places = reading.send([read(*place) for place in places])
    except StopIteration as ended:
        found: T = ended.value
        return found


Ask = Callable[[Sequence[tuple[K, Place]]], Sequence[Union[bytes, NotTold]]]
"""Places of several files → the bytes of each, in that order, or why they could not be read."""


def read_together(readings: Mapping[K, Reading[T]], ask: Ask[K]) -> dict[K, T | NotTold]:
    """What each reading finds, or why it does not; one question for all of them at a time. Raises whatever `ask` raises."""
    found: dict[K, T | NotTold] = {}
    answers: dict[K, Sequence[bytes | NotTold] | None] = dict.fromkeys(readings)
    while answers:
        wanted: dict[K, Sequence[Place]] = {}
        for key, answer in answers.items():
            try:
                wanted[key] = _next(readings[key], answer)
            except NotTold as why:
                found[key] = why
            except StopIteration as ended:
                found[key] = ended.value
        got = iter(ask([(key, place) for key, places in wanted.items() for place in places]) if wanted else ())
        answers = {key: [next(got) for _place in places] for key, places in wanted.items()}
    return found


def _next(reading: Reading[T], answer: Sequence[bytes | NotTold] | None) -> Sequence[Place]:
    """What a reading asks for first, or after an answer."""
    if answer is None:
        return next(reading)
    for one in answer:
        if isinstance(one, NotTold):
            raise one
    return reading.send([one for one in answer if isinstance(one, bytes)])


@dataclass(frozen=True)
class Storage:
    """What an image lies in: a file, or a device that stands for one."""

    path: str
    size: int

    def damaged(self, why: str) -> NotTold:
        return NotTold(f"{self.path} is damaged: {why}")

    def holds(self, offset: int, length: int) -> bool:
        return offset >= 0 and offset + length <= self.size

    def bytes_at(self, places: Sequence[Place], what: str) -> Reading[list[bytes]]:
        """The bytes of each place, in one question or, where they are many, in some. Raises `NotTold`."""
        found: list[bytes] = []
        for batch in _batches(places):
            if not all(self.holds(*place) for place in batch):
                raise self.damaged(f"{what} would be beyond its end")
            got = yield batch
            if [len(one) for one in got] != [length for _offset, length in batch]:
                raise NotTold(f"{self.path} could not be read where {what} is: it ended there")
            found += got
        return found

    def bytes_of(self, offset: int, length: int, what: str) -> Reading[bytes]:
        """The bytes of one place. Raises `NotTold`."""
        (found,) = yield from self.bytes_at([(offset, length)], what)
        return found


def _batches(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    batch: list[Place] = []
    size = 0
    for place in places:
        if batch and size + place[1] > _AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += place[1]
    if batch:
        yield batch
