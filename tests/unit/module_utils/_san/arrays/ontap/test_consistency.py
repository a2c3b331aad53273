# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of LUNs in several volumes: of one moment by a consistency group, or each on its own if the user says so."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress, SnapshotRemoval
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import carry_out
from tests.unit.ontap_array import BenchInPlace, fresh
from tests.unit.ontap_provision import AS_JOB, DROPPED_AFTER, DROPPED_BEFORE
from tests.unit.ontap_snapshots import (
    BESIDE_A,
    GROUPS,
    LATER,
    A,
    B,
    gathered_by_hand,
    groups,
    names,
    remove,
    snapshot_wish,
    take,
    taken_by_hand,
    volume_of,
)


@pytest.fixture
def bench() -> BenchInPlace:
    """The lab's array, by REST: over ZAPI there are no groups."""
    return fresh()


ELSEWHERE = LunAddress("svm_dr", "vol_dr", "ds_replica")
GATHER, TAKE, DESCRIBE, FORGET = (
    r"POST .*/consistency-groups\?", r"POST .*/consistency-groups/.*/snapshots", r"PATCH .*/volumes/.*/snapshots/",
    r"DELETE .*/consistency-groups/[^/]*\?",
)  # fmt: skip
REFUSED = {"error": {"code": 53411840, "message": "The cluster is busy."}}


def both(bench: BenchInPlace) -> tuple[list[str], list[str]]:
    return names(bench, "vol_prod"), names(bench, "vol_dev")


def test_a_group_is_made_for_one_snapshot_and_forgotten(bench: BenchInPlace) -> None:
    outcome, (one, other) = take(bench, A, B, comment="both", label="daily", expires=LATER)
    assert [action.split()[0] for action in outcome.actions] == ["make", "take", "change", "change", "forget", "change", "change"]
    assert (one.made_by, one.comment, one.label, one.expires) == (other.made_by, "both", "daily", LATER)
    assert one.created == other.created
    assert (both(bench), groups(bench)) == ((["s1"], ["s1"]), [])


def test_the_second_run_changes_nothing(bench: BenchInPlace) -> None:
    take(bench, A, B)
    assert not take(bench, A, B, BESIDE_A)[0].changed


def test_a_group_of_exactly_these_volumes_is_used_and_stays(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    outcome, found = take(bench, A, B)
    assert outcome.actions[0].startswith("take snapshot s1 of volumes svm_san:vol_prod, svm_san:vol_dev")
    assert groups(bench) == ["app"]
    assert len({one.made_by for one in found}) == 1


@pytest.mark.parametrize(
    ("volumes", "told"),
    [(("vol_prod", "vol_dev", "vol_nfs"), "which has vol_nfs too"), (("vol_prod",), "which lacks vol_dev")],
)
def test_a_group_of_other_volumes_is_refused_with_the_way_out(bench: BenchInPlace, volumes: tuple[str, ...], told: str) -> None:
    gathered_by_hand(bench, "app", *volumes)
    with pytest.raises(Refused, match=rf"is in consistency group app, {told}, .*each=true"):
        take(bench, A, B)
    assert both(bench) == ([], [])


def test_luns_of_several_svms_are_of_no_one_moment(bench: BenchInPlace) -> None:
    with pytest.raises(Refused, match=r"The LUNs are in several SVMs \(svm_dr, svm_san\).* with each=true"):
        take(bench, A, ELSEWHERE)
    assert len(take(bench, A, ELSEWHERE, each=True)[1]) == 2


def test_an_array_without_groups_takes_only_each_on_its_own(bench: BenchInPlace) -> None:
    bench.fail(r"GET .*/consistency-groups", {"error": {"code": 3, "message": "API not found"}})
    with pytest.raises(Refused, match=r"has no consistency groups, which ONTAP has from 9.10.1 on.*each=true"):
        take(bench, A, B)
    outcome, found = take(bench, A, B, each=True)
    assert outcome.actions == ["take snapshot s1 of volume svm_san:vol_prod", "take snapshot s1 of volume svm_san:vol_dev"]
    assert len({one.made_by for one in found}) == 2


def test_each_on_its_own_gets_its_expiry_when_all_are_there(bench: BenchInPlace) -> None:
    bench.fail(r"POST .*/snapshots", REFUSED, call=None)
    with pytest.raises(StepFailed):
        take(bench, A, B, each=True, expires=LATER)
    bench.fail(rf"POST .*{volume_of(bench, 'vol_dev').uuid}/snapshots", REFUSED)
    with pytest.raises(StepFailed, match="undone: take snapshot s1 of volume svm_san:vol_prod"):
        take(bench, A, B, each=True, expires=LATER)
    assert both(bench) == ([], [])
    assert {one.expires for one in take(bench, A, B, each=True, expires=LATER)[1]} == {LATER}


def test_each_on_its_own_is_completed(bench: BenchInPlace) -> None:
    take(bench, A)
    assert take(bench, A, B, each=True)[0].actions == ["take snapshot s1 of volume svm_san:vol_dev"]


def test_one_of_two_is_no_half_of_one_moment(bench: BenchInPlace) -> None:
    take(bench, A)
    with pytest.raises(Refused, match=r"Snapshot s1 exists of volume svm_san:vol_prod but not of svm_san:vol_dev.* with each=true"):
        take(bench, A, B)
    assert both(bench) == (["s1"], [])


def test_two_that_were_taken_apart_are_of_no_one_moment(bench: BenchInPlace) -> None:
    take(bench, A, B, each=True)
    with pytest.raises(
        Refused, match="Nothing tells that the snapshots s1 of volume svm_san:vol_prod, s1 of volume svm_san:vol_dev are of"
    ):
        take(bench, A, B)


def test_what_a_group_of_somebody_has_taken_is_of_one_moment(bench: BenchInPlace) -> None:
    group = gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    bench.post(f"{GROUPS}/{group['uuid']}/snapshots", {"name": "s1"})
    assert not take(bench, A, B)[0].changed


@pytest.mark.parametrize("request_", [GATHER, TAKE, DESCRIBE, FORGET])
def test_a_step_that_is_refused_leaves_nothing_that_the_next_run_does_not_end(bench: BenchInPlace, request_: str) -> None:
    bench.fail(request_, REFUSED)
    with pytest.raises(StepFailed, match="The cluster is busy"):
        take(bench, A, B)
    assert (both(bench), groups(bench)) == (([], []), [])


@pytest.mark.parametrize("request_", [GATHER, TAKE, DESCRIBE, FORGET])
@pytest.mark.parametrize("fault", [DROPPED_AFTER, AS_JOB])
def test_an_answer_that_is_lost_or_late_is_found(bench: BenchInPlace, request_: str, fault: dict[str, Any]) -> None:
    bench.fail(request_, fault)
    assert len({one.made_by for one in take(bench, A, B)[1]}) == 1
    assert groups(bench) == []


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("request_", [GATHER, TAKE, DESCRIBE, FORGET])
@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_is_killed_is_ended_by_the_next_one(bench: BenchInPlace, request_: str, after: bool) -> None:
    def kill() -> None:
        bench.server.wire.acting = False
        raise Killed

    bench.meanwhile(request_, kill, after=after)
    with pytest.raises(Killed):
        take(bench, A, B, comment="both")
    _outcome, (one, other) = take(bench, A, B, comment="both")
    assert (both(bench), groups(bench)) == ((["s1"], ["s1"]), [])
    assert one.made_by == other.made_by != ""
    assert not take(bench, A, B, comment="both")[0].changed


def test_both_are_deleted_with_what_a_killed_run_has_left(bench: BenchInPlace) -> None:
    take(bench, A, B)
    gathered_by_hand(bench, "crossvisor_0123456789abcdef", "vol_prod", "vol_dev")
    assert remove(bench, A, B)[0].actions[-1] == "forget consistency group crossvisor_0123456789abcdef"
    assert (both(bench), groups(bench)) == (([], []), [])


def test_what_a_group_of_somebody_has_taken_is_deleted_as_a_whole(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    take(bench, A, B)
    assert remove(bench, A, B)[0].actions == ["delete snapshot s1 of consistency group app"]
    assert (both(bench), groups(bench)) == (([], []), ["app"])


def test_none_is_deleted_where_one_has_to_stay(bench: BenchInPlace) -> None:
    take(bench, A, B, each=True)
    volume_of(bench, "vol_dev").snapshots[0].owners = ["snapmirror"]
    with pytest.raises(Refused, match="is needed by snapmirror"):
        remove(bench, A, B)
    assert both(bench) == (["s1"], ["s1"])


def test_an_account_that_may_not_see_groups_deletes_all_the_same(bench: BenchInPlace) -> None:
    take(bench, A, B, each=True)
    bench.log_in(denied=[f"/api{GROUPS}"])
    assert remove(bench, A, B)[0].changed
    assert both(bench) == ([], [])


def test_one_of_somebody_elses_keeps_both(bench: BenchInPlace) -> None:
    taken_by_hand(bench, "vol_dev")
    take(bench, A)
    with pytest.raises(Refused, match="of volume svm_san:vol_dev was not taken by this collection"):
        remove(bench, A, B)
    assert both(bench) == (["s1"], ["s1"])


def group_named(bench: BenchInPlace, name: str = "app") -> Any:
    """The group in the array's memory."""
    return next(group for svm in bench.server.array.svms for group in svm.groups if group.name == name)


def without_groups(bench: BenchInPlace) -> None:
    for svm in bench.server.array.svms:
        svm.groups.clear()


def test_a_group_of_none_of_these_volumes_is_none_of_our_business(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_nfs")
    assert take(bench, A, B)[0].changed
    assert (both(bench), groups(bench)) == ((["s1"], ["s1"]), ["app"])


def test_of_a_group_in_which_one_volume_is_that_volume_is_named(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_dev", "vol_nfs")
    with pytest.raises(Refused, match=r"^Volume vol_dev is in consistency group app, which has vol_nfs too"):
        take(bench, A, B)


def test_what_a_group_has_taken_under_another_name_is_left_alone(bench: BenchInPlace) -> None:
    group = gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    bench.post(f"{GROUPS}/{group['uuid']}/snapshots", {"name": "other"})
    take(bench, A, B, each=True)
    assert remove(bench, A, B)[0].actions == [
        "delete snapshot s1 of volume svm_san:vol_prod",
        "delete snapshot s1 of volume svm_san:vol_dev",
    ]
    assert both(bench) == (["other"], ["other"])


def test_what_a_group_that_a_killed_run_has_left_took_goes_by_volume_and_the_group_after_it(bench: BenchInPlace) -> None:
    def kill() -> None:
        bench.server.wire.acting = False
        raise Killed

    bench.meanwhile(FORGET, kill)
    with pytest.raises(Killed):
        take(bench, A, B)
    (group,) = groups(bench)
    volumes = [f"delete snapshot s1 of volume svm_san:{name}" for name in ("vol_prod", "vol_dev")]
    assert remove(bench, A, B)[0].actions == [*volumes, f"forget consistency group {group}"]
    assert (both(bench), groups(bench)) == (([], []), [])


def test_a_group_is_deleted_as_a_whole_without_a_way_back_and_says_so(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    take(bench, A, B)
    outcome = remove(bench, A, B)[0]
    title = "snapshot s1 of consistency group app"
    assert (outcome.before, outcome.after) == ({title: {"exists": True}}, {title: {"exists": False}})
    take(bench, A, B)
    change = bench.backend().plan_snapshot_removal(SnapshotRemoval(luns=(A, B), name="s1", timeout=60.0))
    assert [step.final for step in change.plan.steps] == [True]


def test_what_is_still_there_after_it_was_deleted_as_a_whole_is_told(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    take(bench, A, B)
    group = group_named(bench)
    kept = list(group.snapshots)
    bench.meanwhile(r"DELETE .*/consistency-groups/.*/snapshots/", lambda: group.snapshots.extend(kept), after=True)
    with pytest.raises(StepFailed, match="Snapshot s1 of consistency group app is still there"):
        remove(bench, A, B)


def test_both_are_renamed_whoever_s_group_took_them(bench: BenchInPlace) -> None:
    group = gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    bench.post(f"{GROUPS}/{group['uuid']}/snapshots", {"name": "s1", "comment": "crossvisor.san:0123456789abcdef"})
    take(bench, A, B, name="s2", old_name="s1")
    assert both(bench) == (["s2"], ["s2"])
    assert {one.made_by for one in take(bench, A, B, name="s2", each=True)[1]} == {"crossvisor.san:0123456789abcdef"}


def test_the_way_out_of_parts_that_were_taken_apart_is_named(bench: BenchInPlace) -> None:
    take(bench, A, B, each=True)
    with pytest.raises(Refused, match=r"choose another name, or say so with each=true"):
        take(bench, A, B)


def test_what_a_group_is_to_take_is_told_and_it_bears_the_label(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    titles = ("snapshot s1 of svm_san:vol_prod", "snapshot s1 of svm_san:vol_dev")
    step = bench.backend().plan_snapshot(snapshot_wish(A, B)).plan.steps[0]
    assert (step.before(), step.after()) == ({title: {"exists": False} for title in titles}, {title: {"exists": True} for title in titles})
    take(bench, A, B, label="daily")
    assert group_named(bench).snapshots[0].label == "daily"


def test_a_group_that_goes_right_after_it_was_made_is_told(bench: BenchInPlace) -> None:
    bench.meanwhile(GATHER, lambda: without_groups(bench), after=True)
    with pytest.raises(StepFailed, match=r"Consistency group crossvisor_[0-9a-f]{16} is not there although it was made"):
        take(bench, A, B)
    assert both(bench) == ([], [])


def test_a_group_that_goes_before_it_has_taken_anything_is_told(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    change = bench.backend().plan_snapshot(snapshot_wish(A, B))
    without_groups(bench)
    with pytest.raises(StepFailed, match=r"Consistency group app of array .* is not there any more: run the task again"):
        carry_out(change.plan, False)
    assert both(bench) == ([], [])


def test_what_a_group_has_taken_of_some_volumes_only_is_taken_back(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    bench.meanwhile(TAKE, volume_of(bench, "vol_dev").snapshots.clear, after=True)
    with pytest.raises(StepFailed, match=r"Consistency group app has not taken snapshot s1 of all its volumes.*undone: take snapshot s1"):
        take(bench, A, B)
    assert (both(bench), group_named(bench).snapshots) == (([], []), [])


def test_what_somebody_else_had_a_group_take_at_the_same_moment_stays(bench: BenchInPlace) -> None:
    group = gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    bench.meanwhile(TAKE, lambda: bench.post(f"{GROUPS}/{group['uuid']}/snapshots", {"name": "s1", "comment": "theirs"}))
    bench.fail(TAKE, DROPPED_BEFORE)
    with pytest.raises(StepFailed, match="Could not take snapshot s1") as caught:
        take(bench, A, B)
    assert "has not taken" not in str(caught.value), "the answer was lost, and the group has taken one"
    assert both(bench) == (["s1"], ["s1"])
    assert [one.comment for one in group_named(bench).snapshots] == ["theirs"]


def test_a_group_that_is_still_there_after_it_was_forgotten_is_told(bench: BenchInPlace) -> None:
    def again() -> None:
        for svm, held in kept:
            svm.groups.extend(held)

    kept: list[tuple[Any, list[Any]]] = []
    bench.meanwhile(FORGET, lambda: kept.extend((svm, list(svm.groups)) for svm in bench.server.array.svms))
    bench.meanwhile(FORGET, again, after=True)
    with pytest.raises(StepFailed, match=r"Consistency group crossvisor_[0-9a-f]{16} is still there"):
        take(bench, A, B)


def test_an_array_that_fails_otherwise_than_by_lacking_groups_is_told_as_it_says(bench: BenchInPlace) -> None:
    bench.fail(r"GET .*/consistency-groups", REFUSED)
    with pytest.raises(OntapRefusal, match="The cluster is busy"):
        take(bench, A, B)


def test_what_a_group_has_taken_with_one_part_of_our_mark_gets_that_mark_as_a_whole(bench: BenchInPlace) -> None:
    mark = "crossvisor.san:0123456789abcdef"
    group = gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    bench.post(f"{GROUPS}/{group['uuid']}/snapshots", {"name": "s1"})
    volume_of(bench, "vol_prod").snapshots[0].comment = mark
    _outcome, found = take(bench, A, B, comment="both")
    assert [(one.made_by, one.comment) for one in found] == [(mark, "both")] * 2


def test_what_is_gone_right_after_a_group_took_it_is_told(bench: BenchInPlace) -> None:
    def delete() -> None:
        group_named(bench).snapshots.clear()
        for name in ("vol_prod", "vol_dev"):
            volume_of(bench, name).snapshots.clear()

    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    bench.meanwhile(TAKE, delete, after=True)
    with pytest.raises(StepFailed, match=r"Consistency group app has not taken snapshot s1 of all its volumes"):
        take(bench, A, B)


def test_a_part_that_goes_while_it_is_looked_for_is_told(bench: BenchInPlace) -> None:
    def watch() -> None:
        bench.meanwhile(rf"GET .*{volume_of(bench, 'vol_dev').uuid}/snapshots", volume_of(bench, "vol_dev").snapshots.clear)

    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    bench.meanwhile(TAKE, watch, after=True)
    with pytest.raises(StepFailed, match=r"Snapshot s1 of volume svm_san:vol_dev is not there although it was taken"):
        take(bench, A, B)
    assert both(bench) == ([], [])


def test_a_group_that_goes_after_it_has_taken_them_has_not_taken_them(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    bench.meanwhile(TAKE, lambda: without_groups(bench), after=True)
    with pytest.raises(StepFailed, match=r"Consistency group app has not taken snapshot s1 of all its volumes"):
        take(bench, A, B)


def test_each_on_its_own_a_second_run_changes_nothing_and_asks_for_no_one_moment(bench: BenchInPlace) -> None:
    take(bench, A, B, each=True)
    assert not take(bench, A, B, each=True)[0].changed


def test_one_volume_is_of_one_moment_however_it_is_asked_for(bench: BenchInPlace) -> None:
    plan = bench.backend().plan_snapshot
    assert [plan(snapshot_wish(*luns, each=True)).at_once for luns in ((A, BESIDE_A), (A, B))] == [True, False]


def test_of_one_volume_only_its_own_snapshot_is_deleted(bench: BenchInPlace) -> None:
    group = gathered_by_hand(bench, "app", "vol_prod")
    bench.post(f"{GROUPS}/{group['uuid']}/snapshots", {"name": "s1", "comment": "crossvisor.san:0123456789abcdef"})
    assert remove(bench, A, any_owner=True)[0].actions == ["delete snapshot s1 of volume svm_san:vol_prod"]


def test_what_only_a_group_still_tells_of_is_gone(bench: BenchInPlace) -> None:
    gathered_by_hand(bench, "app", "vol_prod", "vol_dev")
    take(bench, A, B)
    for name in ("vol_prod", "vol_dev"):
        volume_of(bench, name).snapshots.clear()
    assert not remove(bench, A, B)[0].changed
