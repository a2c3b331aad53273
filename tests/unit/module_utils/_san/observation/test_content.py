# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two layers joined by content: each byte that was written has all the places where it was seen, and no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.content import Pair, associated
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen, Written

SECTOR, LENGTH = 512, 4096
LUN, OTHER = "600a1", "600a2"


def seen(number: int | None, lba: int, length: int = LENGTH, within: int = 0, lun: str = LUN) -> Seen:
    return Seen(number, lun, lba, length, within=within)


def written(number: int, offset: int, length: int = LENGTH, within: int = 0) -> Written:
    return Written(number, offset, length, within=within)


def test_a_marker_is_where_it_was_seen_whatever_else_was() -> None:
    found = associated([written(1, 8192), written(2, 0)], [seen(2, 700), seen(9, 1), seen(None, 2), seen(1, 300, lun=OTHER)])
    assert found == [Pair(written(1, 8192), [seen(1, 300, lun=OTHER)]), Pair(written(2, 0), [seen(2, 700)])]


def test_one_that_was_seen_twice_is_at_both_places() -> None:
    places = [seen(1, 300), seen(1, 900)]
    assert associated([written(1, 0)], places) == [Pair(written(1, 0), places)]


def test_one_that_nobody_saw_is_nowhere() -> None:
    assert associated([written(1, 0)], [seen(2, 300)]) == [Pair(written(1, 0), [])]


def test_one_that_lies_in_two_pieces_below_is_two_ranges() -> None:
    found = associated([written(1, 0)], [seen(1, 300, 1024), seen(1, 900, LENGTH - 1024, 1024)])
    assert found == [
        Pair(written(1, 0, 1024), [seen(1, 300, 1024)]),
        Pair(written(1, 1024, LENGTH - 1024, 1024), [seen(1, 900, LENGTH - 1024, 1024)]),
    ]


def test_of_a_copy_that_was_overwritten_in_part_the_rest_is_told() -> None:
    found = associated([written(1, 0)], [seen(1, 300), seen(1, 902, LENGTH - 1024, 1024)])
    assert [(pair.written.virtual_offset, [place.lba for place in pair.seen]) for pair in found] == [(0, [300]), (1024, [302, 902])]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Written], list[Seen]]:
    """Markers that the guest's layers have cut, and sightings of any parts of them, whole sectors each."""
    above, below = [], []
    for number in range(draw(st.integers(1, 3))):
        cut = draw(st.integers(0, LENGTH // SECTOR))
        for start, end in ((0, cut), (cut, LENGTH // SECTOR)):
            if start < end:
                above.append(written(number, draw(st.integers(0, 99)) * LENGTH, (end - start) * SECTOR, start * SECTOR))
    for _sighting in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, LENGTH // SECTOR - 1))
        end = draw(st.integers(start + 1, LENGTH // SECTOR))
        told: int | None = draw(st.sampled_from([0, 1, 2, 7, None]))
        below.append(seen(told, draw(st.integers(0, 999)), (end - start) * SECTOR, start * SECTOR, draw(st.sampled_from([LUN, OTHER]))))
    return above, below


@given(worlds())
def test_every_sector_has_exactly_the_places_that_one_finds_by_looking_at_each_sighting(world: tuple[list[Written], list[Seen]]) -> None:
    above, below = world
    found = associated(above, below)
    assert sum(pair.written.length for pair in found) == sum(piece.length for piece in above)
    for pair in found:
        for step in range(0, pair.written.length, SECTOR):
            at = pair.written.within + step
            told = sorted((place.lun, place.lba + step // SECTOR) for place in pair.seen)
            assert told == sorted(
                (place.lun, place.lba + (at - place.within) // SECTOR)
                for place in below
                if place.number == pair.written.number and place.within <= at < place.within + place.length
            )
