# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of several volumes at one moment over ZAPI: whatever fails, none is left that tells not whose it is, and no group stays."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Taken
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, Refused, StepFailed
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import DROPPED_AFTER, DROPPED_BEFORE, NO_INTERFACE
from tests.unit.ontap_snapshots import A, B, groups, names, remove, take, taken_by_hand, volume_of

pytestmark = pytest.mark.slow

LEFT = "s1.crossvisor_0123456789abcdef"
REQUESTS = ("cg-start", "cg-commit", "snapshot-modify-iter", "snapshot-rename")


def both(bench: BenchInPlace) -> tuple[list[str], list[str]]:
    return names(bench, "vol_prod"), names(bench, "vol_dev")


def parts(bench: BenchInPlace) -> list[Any]:
    return [one for volume in ("vol_prod", "vol_dev") for one in volume_of(bench, volume).snapshots]


def test_they_are_of_one_moment_and_of_one_run(bench: BenchInPlace) -> None:
    outcome, (one, other) = take(bench, A, B, comment="both", label="daily")
    assert [action.split()[0] for action in outcome.actions] == ["make", "take", "change", "change", "forget"]
    assert (one.made_by, one.comment, one.label, one.created) == (other.made_by, "both", "daily", other.created)
    assert (both(bench), groups(bench)) == ((["s1"], ["s1"]), [])


def test_the_second_run_knows_them_by_their_mark(bench: BenchInPlace) -> None:
    take(bench, A, B)
    assert not take(bench, A, B)[0].changed


def test_what_was_taken_apart_is_not_of_one_moment(bench: BenchInPlace) -> None:
    take(bench, A)
    take(bench, B)
    with pytest.raises(Refused, match=r"Nothing tells that the snapshots .* are of one moment"):
        take(bench, A, B)


def test_they_are_renamed_and_deleted(bench: BenchInPlace) -> None:
    take(bench, A, B)
    assert take(bench, A, B, name="s2", old_name="s1")[0].changed
    assert both(bench) == (["s2"], ["s2"])
    assert remove(bench, A, B, name="s2")[0].changed
    assert both(bench) == ([], [])


@pytest.mark.exhaustive
@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("fault", [DROPPED_BEFORE, DROPPED_AFTER, NO_INTERFACE])
def test_a_request_that_fails_leaves_both_or_none(bench: BenchInPlace, request_: str, fault: dict[str, Any]) -> None:
    bench.fail(f"ZAPI {request_}", fault)
    try:
        take(bench, A, B)
    except CrossvisorError:
        assert both(bench) == ([], [])
    else:
        assert both(bench) == (["s1"], ["s1"])
    take(bench, A, B)
    assert both(bench) == (["s1"], ["s1"])
    assert len({one.comment for one in parts(bench)} - {""}) == 1


def test_a_commit_that_was_not_answered_counts_when_all_are_there(bench: BenchInPlace) -> None:
    bench.fail("ZAPI cg-commit", DROPPED_AFTER)
    assert take(bench, A, B)[0].changed


@pytest.mark.parametrize("fault", [DROPPED_BEFORE, DROPPED_AFTER])
def test_a_commit_that_was_not_answered_and_has_not_taken_all_is_taken_back(bench: BenchInPlace, fault: dict[str, Any]) -> None:
    bench.fail("ZAPI cg-commit", fault)
    bench.meanwhile("ZAPI cg-commit", volume_of(bench, "vol_dev").snapshots.clear, after=True)
    with pytest.raises(StepFailed, match="was lost before the answer to cg-commit came"):
        take(bench, A, B)
    assert both(bench) == ([], [])


def test_one_that_is_refused_its_name_takes_the_other_back(bench: BenchInPlace) -> None:
    bench.meanwhile("ZAPI snapshot-rename.*vol_dev", lambda: taken_by_hand(bench, "vol_dev"))
    with pytest.raises(StepFailed, match="already exists"):
        take(bench, A, B)
    assert both(bench) == ([], ["s1"])
    assert [one.comment for one in parts(bench)] == [""]


def test_what_a_run_that_was_killed_has_left_goes_with_the_next_one_and_nothing_else(bench: BenchInPlace) -> None:
    for name in (LEFT, "s2.crossvisor_0123456789abcdef", "s1.crossvisor_backup"):
        taken_by_hand(bench, "vol_dev", name)
    take(bench, A, B)
    assert both(bench) == (["s1"], ["s2.crossvisor_0123456789abcdef", "s1.crossvisor_backup", "s1"])


def test_what_cannot_be_taken_back_is_not_the_failure_that_is_told(bench: BenchInPlace) -> None:
    bench.fail("ZAPI snapshot-rename", NO_INTERFACE)
    bench.fail("ZAPI snapshot-delete", {"status": 404})
    with pytest.raises(StepFailed, match="A node has no interface"):
        take(bench, A, B)
    take(bench, A, B)
    assert both(bench) == (["s1"], ["s1"])


def test_of_what_cannot_all_be_taken_back_the_rest_is(bench: BenchInPlace) -> None:
    bench.fail("ZAPI snapshot-rename", NO_INTERFACE)
    bench.fail("ZAPI snapshot-delete", NO_INTERFACE)
    with pytest.raises(StepFailed, match="A node has no interface"):
        take(bench, A, B)
    assert sorted(map(len, both(bench))) == [0, 1]


def test_one_that_is_missing_after_the_commit_takes_the_other_back(bench: BenchInPlace) -> None:
    bench.meanwhile("ZAPI cg-commit", volume_of(bench, "vol_dev").snapshots.clear, after=True)
    with pytest.raises(StepFailed, match="were taken and are not all there"):
        take(bench, A, B)
    assert both(bench) == ([], [])


def test_the_undo_of_a_later_step_takes_both_back(bench: BenchInPlace) -> None:
    bench.meanwhile("ZAPI snapshot-rename.*vol_dev", lambda: bench.fail("ZAPI snapshot-modify-iter", NO_INTERFACE), after=True)
    with pytest.raises(StepFailed, match="undone: take snapshot s1 of volumes"):
        take(bench, A, B)
    assert both(bench) == ([], [])


class TestAGroup:
    def test_is_known_to_the_session_that_made_it_until_it_is_forgotten(self, bench: BenchInPlace) -> None:
        transport = bench.backend()._transport
        with bench.counted() as sent:
            transport.make_consistency_group("svm_san", "g", ["vol_prod", "vol_dev"], 10)
            (group,) = transport.consistency_groups("svm_san")
            assert transport.consistency_groups("", "g") == [group]
            assert transport.consistency_groups("svm_dr") == transport.consistency_groups("", "other") == []
            transport.forget_consistency_group(group, 10)
            assert transport.consistency_groups("svm_san") == []
            transport.forget_consistency_group(group, 10)
        assert sent == []
        assert group == ConsistencyGroup("g", "g", frozenset({"vol_prod", "vol_dev"}))

    def test_that_is_not_known_has_taken_nothing(self, bench: BenchInPlace) -> None:
        take(bench, A, B)
        assert bench.backend()._transport.taken_by(ConsistencyGroup("g", "g", frozenset({"vol_prod", "vol_dev"}))) == []

    def test_has_taken_what_all_its_volumes_have_of_one_run(self, bench: BenchInPlace) -> None:
        transport = bench.backend()._transport
        transport.make_consistency_group("svm_san", "g", ["vol_prod", "vol_dev"], 10)
        (group,) = transport.consistency_groups("svm_san")
        take(bench, A, B)
        take(bench, A, name="alone")
        for volume in ("vol_prod", "vol_dev"):
            taken_by_hand(bench, volume, "theirs")
        (taken,) = transport.taken_by(group)
        assert (taken.name, taken.whole) == ("s1", True)
        transport.delete_together(group, Taken("s1", "s1", "crossvisor.san:0000000000000000", True), 10)
        assert both(bench) == (["s1", "alone", "theirs"], ["s1", "theirs"])
        transport.delete_together(group, taken, 10)
        assert both(bench) == (["alone", "theirs"], ["theirs"])
