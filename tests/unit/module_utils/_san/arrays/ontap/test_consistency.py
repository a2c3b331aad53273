# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of LUNs in several volumes: of one moment by a consistency group, or each on its own if the user says so."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, StepFailed
from tests.unit.ontap_array import BenchInPlace, fresh
from tests.unit.ontap_provision import AS_JOB, DROPPED_AFTER
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
    take,
    taken_by_hand,
    volume_of,
)


@pytest.fixture
def bench() -> BenchInPlace:
    """The lab's array, by REST: over ZAPI snapshots are refused."""
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
    with pytest.raises(Refused, match=r"The LUNs are in several SVMs \(svm_dr, svm_san\).*each=true"):
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
    with pytest.raises(Refused, match=r"Snapshot s1 exists of volume svm_san:vol_prod but not of svm_san:vol_dev"):
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
