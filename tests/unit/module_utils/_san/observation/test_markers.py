# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marker blocks: each is found wherever it is, in whatever pieces, as often as it is there, and nothing else is taken for one."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import SECTOR, Markers, Sighting, joined

MARKERS = Markers(bytes(range(16)), 4096)
NUMBERS = st.integers(0, (1 << 64) - 1)


def noise(sectors: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(sectors * SECTOR)


@given(number=NUMBERS, before=st.integers(0, 20), after=st.integers(0, 20), at=st.integers(0, 1 << 40))
def test_a_marker_is_found_where_it_is(number: int, before: int, after: int, at: int) -> None:
    data = noise(before) + MARKERS.make(number) + noise(after, 1)
    start = at * SECTOR
    assert MARKERS.find(data, start) == [Sighting(number, start + before * SECTOR, 4096)]


@given(pieces=st.lists(st.tuples(NUMBERS, st.integers(0, 7)), max_size=20))
def test_sectors_in_any_order_are_each_told_with_their_place_in_their_marker(pieces: list[tuple[int, int]]) -> None:
    data = b"".join(MARKERS.make(number)[index * SECTOR :][:SECTOR] for number, index in pieces)
    told = [
        (piece.number, piece.offset + step, piece.within + step) for piece in MARKERS.find(data) for step in range(0, piece.length, SECTOR)
    ]
    assert told == [(number, place * SECTOR, index * SECTOR) for place, (number, index) in enumerate(pieces)]


def test_a_marker_that_is_there_twice_is_told_twice() -> None:
    data = MARKERS.make(7) + noise(3) + MARKERS.make(7)
    assert MARKERS.find(data) == [Sighting(7, 0, 4096), Sighting(7, 4096 + 3 * SECTOR, 4096)]


def test_a_marker_that_another_block_cuts_in_two_is_told_as_its_pieces() -> None:
    whole = MARKERS.make(7)
    assert MARKERS.find(whole[:1536] + noise(2) + whole[1536:]) == [Sighting(7, 0, 1536), Sighting(7, 1536 + 2 * SECTOR, 2560, 1536)]


def test_a_sector_that_begins_as_a_marker_and_goes_on_otherwise_is_told_as_nobodys() -> None:
    torn = MARKERS.make(7)[:100] + noise(1)[100:]
    assert MARKERS.find(torn) == [Sighting(None, 0, SECTOR)]


@given(place=st.integers(0, 4095), bit=st.integers(0, 7))
def test_a_bit_that_is_wrong_keeps_its_sector_from_being_taken_for_the_markers(place: int, bit: int) -> None:
    data = bytearray(MARKERS.make(7))
    data[place] ^= 1 << bit
    wrong = place // SECTOR * SECTOR
    told = [(piece.offset, piece.length) for piece in MARKERS.find(bytes(data)) if piece.number is not None]
    assert sum(length for _offset, length in told) == 4096 - SECTOR
    assert not any(offset <= wrong < offset + length for offset, length in told)


@pytest.mark.parametrize("shift", [1, 16, 511])
def test_a_marker_beside_the_boundary_of_a_sector_is_no_block_of_its_own(shift: int) -> None:
    assert MARKERS.find(bytes(shift) + MARKERS.make(7)) == []


def test_a_sector_of_which_only_the_beginning_was_read_is_not_told() -> None:
    assert MARKERS.find(MARKERS.make(7)[:-1]) == [Sighting(7, 0, 4096 - SECTOR)]


def test_markers_of_another_run_or_of_another_length_are_not_taken_for_ours() -> None:
    assert MARKERS.find(Markers.new().make(7)) == []
    assert {piece.number for piece in MARKERS.find(Markers(MARKERS.magic, 8192).make(7))} == {None}


def test_pieces_of_two_readings_that_follow_each_other_are_joined() -> None:
    whole = MARKERS.make(7)
    pieces = [*MARKERS.find(whole[2048:], 2048), *MARKERS.find(whole[:2048])]
    assert joined(pieces) == [Sighting(7, 0, 4096)]


def test_what_is_torn_is_not_joined() -> None:
    torn = [Sighting(None, 0, SECTOR), Sighting(None, SECTOR, SECTOR, SECTOR)]
    assert joined(torn) == torn


def test_no_two_runs_share_a_magic_and_no_layer_makes_a_marker_smaller() -> None:
    assert Markers.new().magic != Markers.new().magic
    block = MARKERS.make(7)
    assert len(zlib.compress(block, 9)) > len(block) * 0.95
    assert len({block[at : at + SECTOR] for at in range(0, 4096, SECTOR)}) == 8


@pytest.mark.parametrize(("magic", "length"), [(16, 0), (16, 100), (15, 512), (16, 512 << 16)])
def test_a_marker_that_is_no_whole_number_of_sectors_is_none(magic: int, length: int) -> None:
    with pytest.raises(ValueError, match="a marker of"):
        Markers(bytes(magic), length)
