# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Association by time: one candidate, or all of them, or why there is none; never one out of several."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.association import (
    AMBIGUOUS,
    CANNOT_TELL,
    FOUND,
    NOT_SEEN,
    Association,
    by_time,
    narrowed,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen, Written
from tests.examples import share


def above(begin: float | None, end: float | None, offset: int = 0, length: int = 4096) -> Written:
    return Written(offset // 4096, offset, length, begin, end)


def below(lba: int, begin: float | None, end: float | None, length: int = 4096, lun: str = "a") -> Seen:
    return Seen(None, lun, lba, length, begin, end)


def only(written: Written, seen: Sequence[Seen], skew: float = 0.0, blind: Sequence[tuple[float, float]] = ()) -> Association:
    (found,) = by_time([written], seen, skew, blind)
    return found


def test_the_one_write_within_the_life_of_the_request_is_it() -> None:
    found = only(above(10, 11), [below(8, 10.2, 10.8), below(16, 9.9, 10.5), below(24, 10.5, 11.1), below(32, 12, 13)])
    assert (found.state, [place.lba for place in found.places]) == (FOUND, [8])


@pytest.mark.parametrize(
    "other", [below(16, 10.3, 10.4), below(16, 10.3, 10.4, 512), below(8, 10.3, 10.4, lun="b"), below(8, 10.3, 10.4, 8192)]
)
def test_with_another_write_of_whatever_length_meanwhile_both_are_candidates(other: Seen) -> None:
    found = only(above(10, 11), [below(8, 10.2, 10.8), other])
    assert (found.state, len(found.places), found.reason) == (AMBIGUOUS, 2, "2 writes below were in that time")


def test_the_same_place_twice_is_one_candidate() -> None:
    assert only(above(10, 11), [below(8, 10.2, 10.3), below(8, 10.4, 10.5)]).state == FOUND


def test_a_write_of_another_length_is_not_it() -> None:
    found = only(above(10, 11), [below(8, 10.2, 10.8, 8192)])
    assert (found.state, found.reason) == (CANNOT_TELL, "the one write below in that time has 8192 bytes")


def test_clocks_that_differ_by_more_than_the_bound_find_nothing_and_within_it_the_truth() -> None:
    seen = [below(8, 10.2 + 0.9, 10.8 + 0.9)]
    assert only(above(10, 11), seen, 0.1).state == NOT_SEEN
    assert only(above(10, 11), seen, 0.9).state == FOUND


@pytest.mark.parametrize("blind", [(0.0, 10.1), (10.5, 10.6), (10.9, math.inf), (-math.inf, math.inf), (11.05, 12)])
def test_with_a_gap_in_the_capture_meanwhile_nobody_can_tell(blind: tuple[float, float]) -> None:
    found = only(above(10, 11), [below(8, 10.2, 10.8)], 0.1, [blind])
    assert (found.state, found.reason) == (CANNOT_TELL, "the layer below was not seen whole while it was written")


def test_a_gap_at_another_time_does_no_harm() -> None:
    assert only(above(10, 11), [below(8, 10.2, 10.8)], 0.1, [(0, 9.8), (11.2, 12)]).state == FOUND


@pytest.mark.parametrize("written", [above(None, 11), above(10, None)])
def test_a_request_without_times_cannot_be_associated(written: Written) -> None:
    found = only(written, [below(8, 10.2, 10.8)])
    assert (found.state, found.reason) == (CANNOT_TELL, "the layer above tells no times")


def test_a_write_below_without_times_is_no_candidate() -> None:
    assert only(above(10, 11), [below(8, None, 10.8)]).state == NOT_SEEN


def test_a_write_below_that_was_not_seen_to_end_is_a_candidate_and_no_answer() -> None:
    found = only(above(10, 11), [below(8, 10.2, None)])
    assert (found.state, found.reason) == (CANNOT_TELL, "the one write below in that time was not seen to end")
    assert only(above(10, 11), [below(8, 10.2, None), below(16, 10.2, 10.8)]).state == AMBIGUOUS


def test_a_block_that_is_written_again_keeps_the_candidates_of_all_times() -> None:
    first, second = above(10, 11, 4096), above(20, 21, 4096)
    seen = [below(8, 10.2, 10.8), below(16, 10.2, 10.8), below(16, 20.2, 20.8), below(24, 20.2, 20.8)]
    (found,) = narrowed(by_time([first, second], seen, 0.0))
    assert (found.state, [place.lba for place in found.places]) == (FOUND, [16])


def test_places_that_were_written_each_time_stay_ambiguous() -> None:
    seen = [below(lba, begin + 0.2, begin + 0.8) for lba in (8, 16) for begin in (10, 20)]
    (found,) = narrowed(by_time([above(10, 11), above(20, 21)], seen, 0.0))
    assert (found.state, len(found.places)) == (AMBIGUOUS, 2)


def test_a_block_that_another_write_may_have_swallowed_is_not_narrowed_by_it() -> None:
    """The block is at 8: the second time it was written as a part of 16 KiB, while the journal at 16 was written both times."""
    seen = [below(8, 10.2, 10.8), below(16, 10.2, 10.8), below(0, 20.2, 20.8, 16384), below(16, 20.2, 20.8)]
    (found,) = narrowed(by_time([above(10, 11), above(20, 21)], seen, 0.0))
    assert (found.state, {place.lba for place in found.places}) == (AMBIGUOUS, {8, 16})


def test_times_of_which_each_had_other_lengths_tell_nothing() -> None:
    seen = [below(lba, begin + 0.2, begin + 0.8, length) for begin in (10, 20) for lba, length in ((8, 4096), (16, 512))]
    (found,) = narrowed(by_time([above(10, 11), above(20, 21)], seen, 0.0))
    assert found.state == CANNOT_TELL


def test_a_time_at_which_nothing_was_written_says_that_a_cache_is_between() -> None:
    (found,) = narrowed(by_time([above(10, 11), above(20, 21)], [below(8, 10.2, 10.8)], 0.0))
    assert (found.state, found.reason) == (CANNOT_TELL, "nothing was written below at one of the times")


@settings(max_examples=share(2))
@given(seed=st.integers(0, 1 << 32), skew=st.sampled_from([0.0, 0.002, 0.1]), many=st.integers(1, 12))
def test_as_long_as_each_write_passes_through_what_is_found_is_right(seed: int, skew: float, many: int) -> None:
    """Each write is below within its life, by clocks within the bound, beside writes of nobody, joined and cut ones."""
    chance = random.Random(seed)
    places = {offset * 4096: chance.randrange(1000) * 8 for offset in range(8)}
    off = chance.uniform(-skew, skew)
    written, seen = [], []
    for _number in range(40):
        begin = chance.uniform(0, 4 / many)
        end, offset = begin + chance.uniform(0.001, 0.02), chance.choice(list(places))
        written.append(above(begin, end, offset))
        start, over = sorted(chance.uniform(begin, end) + off for _edge in range(2))
        way = chance.choice(["whole"] * 8 + ["cut", "joined"])
        if way == "cut":
            seen += [below(places[offset], start, over, 2048), below(places[offset] + 4, start, over, 2048)]
        else:
            seen.append(below(places[offset], start, over, 4096 if way == "whole" else 8192))
    for _number in range(chance.randrange(40)):
        start = chance.uniform(0, 4 / many)
        seen.append(below(chance.randrange(1000) * 8, start, start + chance.uniform(0, 0.01), chance.choice([512, 4096, 8192])))
    found = by_time(written, seen, skew)
    for one in [*found, *narrowed(found)]:
        assert one.state != FOUND or one.places == (below(places[one.written.virtual_offset], None, None),)
