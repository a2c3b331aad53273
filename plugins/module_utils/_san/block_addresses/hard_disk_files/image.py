# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One image file as ranges of its virtual disk, and a chain of them as one. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Layer, Span, joined, no_address
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold, Storage
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE

MOST_PIECES = 1 << 20
"""Ranges of one image: the largest VHD has fewer blocks than that, and a map of more would take gigabytes."""
MOST_BLOCKS = 1 << 23
"""Entries of a block table: 8 TiB in blocks of 1 MiB, 256 TiB in those that Hyper-V makes by itself."""
LONGEST_CHAIN = 64
OF_PARENT = "the parent"
"""`Span.below` of a range that is in the image's parent, at the same place of its virtual disk."""
_RUNS = re.compile("0+|1+")


@dataclass(frozen=True)
class Parent:
    """What an image says of the one that it is based on."""

    identities: frozenset[uuid.UUID]
    """`HardDiskFile.identity` of the parent is one of these, if it was not written to since, which that of a VHD does not tell."""
    relative: str = ""
    """Its path, from the folder of the image; empty where the image does not say."""
    absolute: str = ""


@dataclass(frozen=True)
class HardDiskFile:
    """An image, by its own tables."""

    path: str
    size: int
    """Bytes of the virtual disk."""
    sector: int
    """Bytes of a logical block as the guest sees the disk."""
    identity: uuid.UUID
    spans: Sequence[Span]
    """In order; where there is none, the virtual disk has a hole."""
    parent: Parent | None = None


class Pieces:
    """Ranges as they are found, in any order, of which there may be only so many."""

    def __init__(self, storage: Storage, size: int) -> None:
        self._storage = storage
        self._size = size
        self._spans: list[Span] = []

    def add(self, start: int, length: int, state: str, offset: int = 0, reason: str = "") -> None:
        """A range of the virtual disk, which ends where that does. Raises `NotTold` for one that the file does not hold."""
        length = min(length, self._size - start)
        if length <= 0:
            return
        if len(self._spans) == MOST_PIECES:
            raise NotTold(f"{self._storage.path} is in more than {MOST_PIECES} pieces")
        if state == HOLE:
            self._spans.append(Span(start, length, HOLE, reason=reason))
            return
        if not self._storage.holds(offset, length):
            raise self._storage.damaged("a block would be beyond its end")
        self._spans.append(Span(start, length, state, self._storage.path, offset))

    def add_bits(self, start: int, bits: str, sector: int, offset: int, state_of: Mapping[str, str]) -> None:
        """A block by the bits of its sectors; a bit without a state is no range."""
        for run in _RUNS.finditer(bits):
            state = state_of.get(bits[run.start()])
            if state:
                length = (run.end() - run.start()) * sector
                self.add(start + run.start() * sector, length, state, offset + run.start() * sector)

    def whole(self, taken: Iterable[tuple[int, int]], has_parent: bool) -> list[Span]:
        """All of them in order, what is left as the parent's if there is one. Raises `NotTold` if two have the same bytes of the file.

        `taken` are offset and length of what the image keeps for itself.
        """
        self._spans.sort(key=lambda span: span.start)
        spans = list(joined(self._spans))
        held = sorted([*taken, *((span.offset, span.length) for span in spans if span.has_address)])
        if any(one[0] + one[1] > two[0] for one, two in zip(held, held[1:])):
            raise self._storage.damaged("two of its parts are said to be at the same place")
        return list(self._with_parent(spans)) if has_parent else spans

    def _with_parent(self, spans: Iterable[Span]) -> Iterator[Span]:
        at = 0
        for span in spans:
            if span.start > at:
                yield Span(at, span.start - at, DATA, OF_PARENT, at)
            yield span
            at = span.end
        if at < self._size:
            yield Span(at, self._size - at, DATA, OF_PARENT, at)


def composed(chain: Sequence[HardDiskFile]) -> list[Span]:
    """The ranges of the first image, each in the file that holds it; every image but the last one has the next as its parent.

    What would be in a parent that is not told is a range without an address.
    """
    below: Layer | None = None
    for image in reversed(chain):
        below = Layer(joined(_over(image, below)))
    return below.spans if below else []


def refuse_other_parent(image: HardDiskFile, parent: HardDiskFile) -> None:
    """Raises `NotTold` if this is not the parent that the image was made from, or no longer as it was then."""
    if image.parent is None or parent.identity not in image.parent.identities:
        raise NotTold(f"{parent.path} is not what {image.path} was made from, or was written to since")


def _over(image: HardDiskFile, below: Layer | None) -> Iterator[Span]:
    for span in image.spans:
        if span.below != OF_PARENT:
            yield span
        elif below is None:
            yield no_address(span.start, span.length, f"the parent of {image.path} was not read")
        else:
            yield from below.over(span.start, span.end)
