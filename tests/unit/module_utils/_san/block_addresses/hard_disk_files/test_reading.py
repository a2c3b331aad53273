# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions for bytes: many places at once, but never more than a few megabytes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import (
    NotTold,
    Place,
    Reading,
    Storage,
    read_together,
    read_with,
)

MIB = 1 << 20
STORAGE = Storage("one", 10 * MIB)


def test_small_places_are_one_question_and_large_ones_several() -> None:
    reading = STORAGE.bytes_at([(0, 512), (512, 512), (0, MIB), (MIB, 5 * MIB)], "it")
    asked: list[Sequence[Place]] = [next(reading)]
    for _question in range(2):
        asked.append(reading.send([bytes(length) for _offset, length in asked[-1]]))
    assert asked == [[(0, 512), (512, 512)], [(0, MIB)], [(MIB, 5 * MIB)]]


def test_bytes_come_back_in_the_order_of_their_places() -> None:
    data = bytes(range(200))
    reading = Storage("one", 200).bytes_at([(100, 2), (3, 1)], "it")
    assert read_with(reading, lambda offset, length: data[offset : offset + length]) == [b"de", b"\x03"]


def test_no_place_is_no_question() -> None:
    assert read_with(STORAGE.bytes_at([], "it"), lambda _offset, _length: b"") == []


@pytest.mark.parametrize("place", [(10 * MIB, 1), (-1, 1), (1 << 70, 1), (9 * MIB, 2 * MIB)])
def test_places_beyond_the_file_are_refused_before_they_are_asked_for(place: Place) -> None:
    with pytest.raises(NotTold, match="one is damaged: it would be beyond its end"):
        next(STORAGE.bytes_at([place], "it"))


def twice(path: str, first: int) -> Reading[list[bytes]]:
    """Reads a byte, then the byte whose number that is."""
    storage = Storage(path, 100)
    (number,) = yield from storage.bytes_of(first, 1, "it")
    return [(yield from storage.bytes_of(number, 1, "it"))]


def test_several_files_are_read_side_by_side_each_round_in_one_question() -> None:
    asked: list[list[tuple[str, Place]]] = []
    data = bytes(range(10, 110))

    def ask(places: Sequence[tuple[str, Place]]) -> list[bytes | NotTold]:
        asked.append([*places])
        return [NotTold("c is away") if path == "c" else data[at : at + length] for path, (at, length) in places]

    found = read_together({"a": twice("a", 0), "b": twice("b", 95), "c": twice("c", 1), "d": twice("d", 5)}, ask)
    assert asked == [
        [("a", (0, 1)), ("b", (95, 1)), ("c", (1, 1)), ("d", (5, 1))],
        [("a", (10, 1)), ("d", (15, 1))],
    ]
    assert (found["a"], found["d"]) == ([b"\x14"], [b"\x19"])
    assert str(found["b"]) == "b is damaged: it would be beyond its end"
    assert str(found["c"]) == "c is away"


def test_nothing_to_read_is_no_question() -> None:
    def ask(_places: Sequence[tuple[str, Place]]) -> list[bytes | NotTold]:
        raise AssertionError("somebody asked")

    assert read_together({}, ask) == {}
