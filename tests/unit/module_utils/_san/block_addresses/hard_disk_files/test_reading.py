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
    Storage,
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
