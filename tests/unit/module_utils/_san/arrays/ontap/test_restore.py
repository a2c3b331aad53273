# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One LUN gets the data of a snapshot again: it keeps its identity and maps, it does not shrink, and no other LUN is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import timestamps
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import restore, volume_snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.clones import path_in
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, carry_out
from tests.lab.ontap.state import REST
from tests.unit.ontap import GIB, SVM
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import AS_JOB, DROPPED_AFTER, DROPPED_BEFORE
from tests.unit.ontap_snapshots import A, names, restoration, take, taken_by_hand, volume_of

pytestmark = pytest.mark.slow

RESTORE = r"PATCH .*/storage/luns/|ZAPI (snapshot-restore-file|lun-set-comment|lun-resize)"
TAKE = r"POST .*/snapshots|ZAPI snapshot-create"
REFUSED = {"error": {"code": 5374127, "message": "The node is in takeover."}}


def stored(bench: BenchInPlace, name: str = "ds_single") -> Any:
    return next(lun for svm in bench.server.array.svms for lun in svm.luns if lun.base_name == name)


def deleted(bench: BenchInPlace) -> None:
    unmapped(bench)
    for svm in bench.server.array.svms:
        svm.luns = [lun for lun in svm.luns if lun.base_name != A.lun]


def told_otherwise(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """Let the array tell this of the LUN when it is looked at first."""
    find = volume_snapshots.require_luns

    def otherwise(*asked: Any) -> Sequence[StoredLun]:
        (stored,) = find(*asked)
        return [replace(stored, lun=replace(stored.lun, **fields))]

    monkeypatch.setattr(restore, "require_luns", otherwise)


def unmapped(bench: BenchInPlace) -> None:
    for svm in bench.server.array.svms:
        svm.maps = [one for one in svm.maps if one.lun is not stored(bench)]


@pytest.fixture
def snapped(bench: BenchInPlace) -> BenchInPlace:
    """The LUN has a snapshot, and was written to since."""
    for lun in (lun for svm in bench.server.array.svms for lun in svm.luns):
        lun.created = "2026-01-01T00:00:00+00:00"
        lun.used = 1000
    take(bench)
    for lun in (lun for svm in bench.server.array.svms for lun in svm.luns):
        lun.used = 2000
    bench.server.array.copies.clear()
    return bench


def test_exactly_the_named_lun_has_the_data_of_then(snapped: BenchInPlace) -> None:
    before = stored(snapped)
    identity = (before.serial, before.uuid, before.size)
    change = restoration(snapped)
    outcome = carry_out(change.plan, False)
    assert outcome.actions == ["restore LUN svm_san:/vol/vol_prod/ds_single from snapshot s1"]
    assert [copy for _source, copy in [*snapped.server.array.copies, ("", before.uuid)]] == [before.uuid]
    assert {lun.base_name: lun.used for svm in snapped.server.array.svms for lun in svm.luns if lun.used == 1000} == {"ds_single": 1000}
    now = change.lun()
    assert (now.serial, now.id, now.size_bytes) == identity
    assert [mapping.group for mapping in now.mappings] == [mapping.group for mapping in change.before.mappings]
    assert now.mappings


def test_its_volume_is_never_restored(snapped: BenchInPlace) -> None:
    with snapped.counted() as sent:
        carry_out(restoration(snapped, safety_snapshot="safe").plan, False)
    asked = f"PATCH /api/storage/luns/{stored(snapped).uuid}" if snapped.transport == REST else "ZAPI snapshot-restore-file"
    assert [one for one in sent if one.startswith("PATCH") or "restore" in one] == [asked]


def test_what_is_there_now_is_kept_first(snapped: BenchInPlace) -> None:
    change = restoration(snapped, safety_snapshot="safe")
    assert carry_out(change.plan, False).actions[0] == "take snapshot safe of volume svm_san:vol_prod"
    kept = change.safety_snapshot()
    assert kept is not None
    assert kept.comment == f"{change.before.size_bytes} bytes of /vol/vol_prod/ds_single before it was restored from s1"
    (held,) = [lun for one in volume_of(snapped, "vol_prod").snapshots if one.name == "safe" for lun in one.luns if lun.base_name == A.lun]
    assert held.used == 2000


def test_check_mode_takes_and_restores_nothing(snapped: BenchInPlace) -> None:
    outcome = carry_out(restoration(snapped, safety_snapshot="safe").plan, True)
    assert [action.split()[0] for action in outcome.actions] == ["take", "restore"]
    assert (names(snapped), stored(snapped).used) == (["s1"], 2000)


def test_a_lun_that_has_grown_since_is_grown_again(snapped: BenchInPlace) -> None:
    small = stored(snapped).size
    stored(snapped).size = small + GIB
    change = restoration(snapped)
    assert carry_out(change.plan, False).actions[1:] == [f"grow LUN svm_san:/vol/vol_prod/ds_single to the {small + GIB} bytes that it had"]
    assert change.lun().size_bytes == small + GIB


def test_it_keeps_its_comment(snapped: BenchInPlace) -> None:
    stored(snapped).comment = "crossvisor.san:0123456789abcdef since then"
    carry_out(restoration(snapped).plan, False)
    assert stored(snapped).comment == "crossvisor.san:0123456789abcdef since then"


def test_a_comment_that_the_array_lost_all_the_same_is_set_again(snapped: BenchInPlace) -> None:
    stored(snapped).comment = "since then"
    snapped.meanwhile(RESTORE, lambda: setattr(stored(snapped), "comment", ""), after=True)
    assert carry_out(restoration(snapped).plan, False).actions[1:] == ["set the comment of LUN svm_san:/vol/vol_prod/ds_single again"]
    assert stored(snapped).comment == "since then"


def test_a_run_that_was_killed_before_it_grew_the_lun_again_is_ended_by_the_next_one(snapped: BenchInPlace) -> None:
    small = stored(snapped).size
    stored(snapped).size = small + GIB
    plan = restoration(snapped, safety_snapshot="safe").plan
    for step in plan.steps[:2]:
        step.do()
    assert stored(snapped).size == small
    change = restoration(snapped, safety_snapshot="safe2")
    carry_out(change.plan, False)
    assert change.lun().size_bytes == small + GIB


def test_the_size_is_found_again_however_long_the_names_are(snapped: BenchInPlace) -> None:
    small, long = stored(snapped).size, "s" * 200
    take(snapped, name=long)
    stored(snapped).size = small + GIB
    plan = restoration(snapped, snapshot=long, safety_snapshot="safe").plan
    for step in plan.steps[:2]:
        step.do()
    change = restoration(snapped, snapshot=long, safety_snapshot="safe2")
    carry_out(change.plan, False)
    assert (change.before.size_bytes, change.lun().size_bytes) == (small, small + GIB)


@pytest.mark.parametrize("fault", [DROPPED_AFTER, DROPPED_BEFORE, AS_JOB])
def test_an_answer_that_is_lost_or_late_is_asked_for_again(snapped: BenchInPlace, fault: dict[str, Any]) -> None:
    snapped.fail(RESTORE, fault)
    carry_out(restoration(snapped).plan, False)
    assert stored(snapped).used == 1000


def test_a_job_that_does_not_end_is_not_begun_twice(by_rest: BenchInPlace) -> None:
    take(by_rest)
    by_rest.fail(RESTORE, {"job": True, "seconds": 1000})
    with by_rest.counted() as sent, pytest.raises(StepFailed, match="is still running after 60 s"):
        carry_out(restoration(by_rest, assume_same_lun=True).plan, False)
    assert sum(one.startswith("PATCH") for one in sent) == 1


def test_what_the_array_refuses_leaves_no_safety_snapshot(snapped: BenchInPlace) -> None:
    snapped.fail(RESTORE, REFUSED)
    with pytest.raises(StepFailed, match=r"The node is in takeover.*undone: take snapshot safe"):
        carry_out(restoration(snapped, safety_snapshot="safe").plan, False)
    assert (names(snapped), stored(snapped).used) == (["s1"], 2000)


def test_the_safety_snapshot_stays_once_the_old_data_may_be_gone(snapped: BenchInPlace) -> None:
    for _time in range(2):
        snapped.fail(RESTORE, DROPPED_AFTER)
    with pytest.raises(StepFailed):
        carry_out(restoration(snapped, safety_snapshot="safe").plan, False)
    assert names(snapped) == ["s1", "safe"]


def test_the_safety_snapshot_stays_where_the_second_request_is_refused_after_an_answer_was_lost(snapped: BenchInPlace) -> None:
    snapped.fail(RESTORE, DROPPED_AFTER)
    snapped.fail(RESTORE, REFUSED)
    with pytest.raises(StepFailed, match=r"nobody can tell whether LUN .* was restored.*The node is in takeover.*run the task again"):
        carry_out(restoration(snapped, safety_snapshot="safe").plan, False)
    assert (stored(snapped).used, names(snapped)) == (1000, ["s1", "safe"])


def test_a_snapshot_that_is_not_there_is_told_with_one_that_is_near(snapped: BenchInPlace) -> None:
    take(snapped, name="before_patch")
    with pytest.raises(NotFound, match=r"There is no snapshot before_ptach of volume svm_san:vol_prod .*did you mean before_patch\?"):
        restoration(snapped, snapshot="before_ptach")


def test_a_snapshot_that_goes_meanwhile_is_told(snapped: BenchInPlace) -> None:
    snapped.meanwhile(RESTORE, volume_of(snapped, "vol_prod").snapshots.clear)
    with pytest.raises(StepFailed, match=r"Snapshot s1 holds no LUN /vol/vol_prod/ds_single, or the LUN itself is not there any more"):
        carry_out(restoration(snapped).plan, False)
    assert stored(snapped).used == 2000


@pytest.mark.parametrize(
    "act",
    [
        lambda bench: setattr(stored(bench), "base_name", "renamed"),
        unmapped,
    ],
)
def test_a_lun_that_is_no_more_what_it_was_when_its_users_were_asked_keeps_its_data(snapped: BenchInPlace, act: Any) -> None:
    lun = stored(snapped)
    snapped.meanwhile(TAKE, lambda: act(snapped), after=True)
    with pytest.raises(StepFailed, match=r"was renamed, mapped, unmapped or deleted since it was looked at.*undone: take snapshot safe"):
        carry_out(restoration(snapped, safety_snapshot="safe").plan, False)
    assert lun.used == 2000


def test_another_snapshot_of_that_name_is_not_the_one_that_was_looked_at(snapped: BenchInPlace) -> None:
    def replaced() -> None:
        volume_of(snapped, "vol_prod").snapshots.pop(0)
        taken_by_hand(snapped, "vol_prod")

    snapped.meanwhile(TAKE, replaced, after=True)
    with pytest.raises(StepFailed, match=r"snapshot s1 of volume svm_san:vol_prod is not there any more, or is another one"):
        carry_out(restoration(snapped, safety_snapshot="safe").plan, False)
    assert stored(snapped).used == 2000


def test_a_lun_that_is_younger_than_the_snapshot_is_another_one(snapped: BenchInPlace) -> None:
    stored(snapped).created = "2091-01-01T00:00:00Z"
    with pytest.raises(Refused, match=r"was created at 2091-01-01T00:00:00\+00:00, after snapshot s1 .*assume_same_lun=true"):
        restoration(snapped)
    change = restoration(snapped, assume_same_lun=True)
    assert "assume_same_lun vouches for it" in change.plan.warnings[0]


def test_a_safety_snapshot_overwrites_none(snapped: BenchInPlace) -> None:
    with pytest.raises(Refused, match="has a snapshot s1 already"):
        restoration(snapped, safety_snapshot="s1")


def test_of_a_volume_that_is_not_online_nothing_is_restored(snapped: BenchInPlace) -> None:
    volume_of(snapped, "vol_prod").state = "offline"
    with pytest.raises(Refused, match="in state volume_offline"):
        restoration(snapped)


def test_a_lun_that_was_taken_offline_for_it_is_restored_and_stays_offline(snapped: BenchInPlace) -> None:
    stored(snapped).enabled = False
    change = restoration(snapped)
    carry_out(change.plan, False)
    assert change.lun().state == "offline"


def test_a_lun_that_lost_a_map_is_told_of(snapped: BenchInPlace) -> None:
    snapped.meanwhile(RESTORE, lambda: unmapped(snapped), after=True)
    with pytest.raises(StepFailed, match="has not kept its serial number and its maps"):
        carry_out(restoration(snapped).plan, False)


@pytest.mark.parametrize(
    ("path", "there"),
    [("/vol/v/lun", "/vol/v/.snapshot/s 1/lun"), ("/vol/v/qtree/lun", "/vol/v/.snapshot/s 1/qtree/lun")],
)
def test_a_lun_in_a_snapshot_has_a_path_of_its_own(path: str, there: str) -> None:
    assert path_in("s 1", path) == there


def test_a_lun_that_is_not_there_is_told(snapped: BenchInPlace) -> None:
    with pytest.raises(NotFound, match="There is no LUN svm_san:/vol/vol_prod/none"):
        restoration(snapped, lun=LunAddress(SVM, "vol_prod", "none"))


def test_what_a_mirror_writes_to_is_not_restored(snapped: BenchInPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    told_otherwise(monkeypatch, read_only=True)
    with pytest.raises(Refused, match="is read-only on its array, as the destination of a mirror is: restore it at its source"):
        restoration(snapped)


@pytest.mark.parametrize("state", ["partial", "invalid"])
def test_from_a_snapshot_that_is_not_whole_nothing_is_restored(snapped: BenchInPlace, state: str) -> None:
    volume_of(snapped, "vol_prod").snapshots[0].state = state
    with pytest.raises(Refused, match=f"Snapshot s1 of volume svm_san:vol_prod is {state}, from which nothing can be had"):
        restoration(snapped)


def test_who_sees_the_lun_is_known_also_of_an_array_that_does_not_tell_it_with_the_lun(
    snapped: BenchInPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = restoration(snapped).before.mappings
    told_otherwise(monkeypatch, mappings=tuple(replace(one, initiators=(), told=False) for one in known))
    assert [(one.told, one.initiators) for one in restoration(snapped).before.mappings] == [(True, one.initiators) for one in known]


@pytest.mark.parametrize(
    ("comment", "ours"),
    [
        ("{size} bytes of /vol/vol_prod/ds_single before it was restored from s1", False),
        ("{size} bytes of /vol/vol_prod/shared_rdm before it was restored from s1", True),
        ("{size} bytes of /vol/vol_prod/ds_single before it was restored from s2", True),
        ("{size} bytes", True),
    ],
    ids=["of somebody else", "of another LUN", "of another snapshot", "of something else"],
)
def test_no_other_remark_tells_the_size_that_the_lun_had(snapped: BenchInPlace, comment: str, ours: bool) -> None:
    size = stored(snapped).size
    mark = "crossvisor.san:0123456789abcdef " if ours else ""
    taken_by_hand(snapped, "vol_prod", "x", comment=mark + comment.format(size=size + GIB))
    change = restoration(snapped)
    carry_out(change.plan, False)
    assert change.lun().size_bytes == size


def test_the_remark_has_room_in_a_comment_beside_the_mark(snapped: BenchInPlace) -> None:
    take(snapped, name="s" * 250)
    carry_out(restoration(snapped, snapshot="s" * 250, safety_snapshot="safe").plan, False)
    (safe,) = [one for one in volume_of(snapped, "vol_prod").snapshots if one.name == "safe"]
    assert len(safe.comment) == len("crossvisor.san:0123456789abcdef ") + 220


def test_nobody_can_tell_what_was_there_first_of_one_second(snapped: BenchInPlace) -> None:
    (snapshot,) = snapped.backend().snapshots([A], "s1")
    stored(snapped).created = snapshot.created
    with pytest.raises(Refused, match=r"in the same second as snapshot s1 .* may hold another LUN of that name, .*assume_same_lun=true"):
        restoration(snapped)
    (warning,) = restoration(snapped, assume_same_lun=True).plan.warnings
    assert "in the same second" in warning


def test_a_lun_of_the_second_before_the_snapshot_is_the_one_in_it(snapped: BenchInPlace) -> None:
    (snapshot,) = snapped.backend().snapshots([A], "s1")
    stored(snapped).created = timestamps.written(timestamps.parse(snapshot.created) - timedelta(seconds=1))
    assert list(restoration(snapped).plan.warnings) == []


def without_a_time(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Let the array not tell when the LUN, or its snapshot, was created."""
    if what == "LUN":
        told_otherwise(monkeypatch, created="")
        return
    look = volume_snapshots.snapshots_of
    monkeypatch.setattr(restore, "snapshots_of", lambda *asked: [replace(one, created="") for one in look(*asked)])


@pytest.mark.parametrize("what", ["LUN", "snapshot"])
def test_a_lun_may_be_another_one_where_no_time_is_told(snapped: BenchInPlace, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    without_a_time(monkeypatch, what)
    with pytest.raises(Refused, match=rf"does not tell when {what} .* was created, so that the snapshot may hold .*assume_same_lun"):
        restoration(snapped)
    (warning,) = restoration(snapped, assume_same_lun=True).plan.warnings
    assert warning.endswith("was created; it was restored because assume_same_lun vouches for it.")


def test_a_lun_that_is_deleted_meanwhile_is_told(snapped: BenchInPlace) -> None:
    snapped.meanwhile(TAKE, lambda: deleted(snapped), after=True)
    with pytest.raises(StepFailed, match=r"was renamed, mapped, unmapped or deleted since it was looked at.*undone: take snapshot safe"):
        carry_out(restoration(snapped, safety_snapshot="safe").plan, False)


def test_a_lun_that_is_deleted_right_after_it_is_told(snapped: BenchInPlace) -> None:
    snapped.meanwhile(RESTORE, lambda: deleted(snapped), after=True)
    with pytest.raises(StepFailed, match="has not kept its serial number and its maps"):
        carry_out(restoration(snapped).plan, False)


def test_a_comment_that_does_not_come_back_is_told(snapped: BenchInPlace) -> None:
    stored(snapped).comment = "since then"
    for _request in range(2):
        snapped.meanwhile(RESTORE, lambda: setattr(stored(snapped), "comment", ""), after=True)
    with pytest.raises(StepFailed, match=r"did not take its comment again: set it on the array \(since then\)"):
        carry_out(restoration(snapped).plan, False)


@pytest.mark.parametrize("act", [lambda bench: setattr(stored(bench), "size", GIB), deleted], ids=["shrunk", "deleted"])
def test_a_lun_that_does_not_grow_again_is_told(snapped: BenchInPlace, act: Any) -> None:
    stored(snapped).size += GIB
    plan = restoration(snapped).plan
    plan.steps[0].do()
    plan.steps[0].verify()
    snapped.meanwhile(RESTORE, lambda: act(snapped), after=True)
    with pytest.raises(StepFailed, match=r"is smaller than it was: grow it to \d+ bytes before a host uses it"):
        carry_out(Plan(plan.steps[2:]), False)


def test_it_says_what_becomes_of_the_data_and_that_nothing_was_kept_where_nothing_was_asked_for(snapped: BenchInPlace) -> None:
    change = restoration(snapped)
    outcome = carry_out(change.plan, False)
    (snapshot,) = snapped.backend().snapshots([A], "s1")
    lun = "svm_san:/vol/vol_prod/ds_single"
    assert (outcome.before[lun], outcome.after[lun]) == ({"data": "as it is now"}, {"data": f"as in snapshot s1 ({snapshot.created})"})
    assert change.safety_snapshot() is None
