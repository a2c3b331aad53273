# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of one volume: taken once, known by their mark, changed, renamed, deleted, and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress, SnapshotRemoval
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import places, snapshots, volume_snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, NotFound, Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lab.ontap.state import REST
from tests.unit.ontap import SVM
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import AS_JOB, DROPPED_AFTER, DROPPED_BEFORE
from tests.unit.ontap_snapshots import BESIDE_A, LATER, A, names, remove, snapshot_wish, take, taken_by_hand, volume_of

TAKE, CHANGE, DELETE = (
    r"POST .*/snapshots|ZAPI snapshot-create", r"PATCH .*/snapshots/|ZAPI snapshot-(modify-iter|rename)",
    r"DELETE .*/snapshots/|ZAPI snapshot-delete",
)  # fmt: skip
REFUSED = {"error": {"code": 1638410, "message": "The volume is busy."}}


def until(bench: BenchInPlace, expires: str = LATER) -> dict[str, Any]:
    """Until when a snapshot is to be kept, where the array can be told."""
    return {"expires": expires} if bench.transport == REST else {}


def removal_wish() -> SnapshotRemoval:
    return SnapshotRemoval(luns=(A,), name="s1", timeout=60.0)


def test_a_snapshot_bears_the_mark_of_its_run_and_what_it_was_given(bench: BenchInPlace) -> None:
    outcome, (one,) = take(bench, comment="before the patch", label="daily", **until(bench))
    assert outcome.actions == ["take snapshot s1 of volume svm_san:vol_prod"]
    assert (one.name, one.volume, one.comment, one.label) == ("s1", "vol_prod", "before the patch", "daily")
    assert one.expires == until(bench).get("expires", "")
    assert one.made_by.startswith("crossvisor.san:")
    assert volume_of(bench, "vol_prod").snapshots[0].comment == f"{one.made_by} before the patch"


def test_the_second_run_takes_none(bench: BenchInPlace) -> None:
    (first,) = take(bench)[1]
    outcome, (second,) = take(bench)
    assert (outcome.changed, second) == (False, first)


def test_two_luns_of_one_volume_are_one_snapshot(bench: BenchInPlace) -> None:
    assert len(take(bench, A, BESIDE_A)[1]) == 1
    assert names(bench) == ["s1"]


def test_a_lun_is_named_by_its_identity_too(bench: BenchInPlace) -> None:
    stored = next(lun for svm in bench.server.array.svms for lun in svm.luns if lun.base_name == "ds_single")
    change = bench.backend().plan_snapshot(snapshot_wish(ScsiName.from_ontap_serial(stored.serial)))  # type: ignore[arg-type]
    assert [lun.path for lun in change.luns] == [stored.path]


def test_check_mode_takes_none_and_tells_what_there_would_be(bench: BenchInPlace) -> None:
    outcome, found = take(bench, check_mode=True, comment="x")
    assert (outcome.changed, found, names(bench)) == (True, [], [])
    assert outcome.after == {"snapshot s1 of svm_san:vol_prod": {"exists": True, "comment": "x"}}


@pytest.mark.parametrize("fault", [DROPPED_AFTER, AS_JOB, DROPPED_BEFORE])
def test_an_answer_that_is_lost_or_late_leaves_one_snapshot_or_none(bench: BenchInPlace, fault: dict[str, Any]) -> None:
    bench.fail(TAKE, fault)
    if fault is DROPPED_BEFORE:
        with pytest.raises(StepFailed, match="Could not take snapshot s1"):
            take(bench)
        assert names(bench) == []
    else:
        assert take(bench)[0].changed
        assert names(bench) == ["s1"]


def test_one_of_that_name_that_somebody_takes_at_the_same_moment_stays(bench: BenchInPlace) -> None:
    bench.meanwhile(TAKE, lambda: taken_by_hand(bench, "vol_prod"))
    with pytest.raises(StepFailed, match=r"already exists.*run the task again"):
        take(bench)
    assert volume_of(bench, "vol_prod").snapshots[0].comment == ""


def test_what_is_kept_with_it_is_changed_and_its_mark_stays(bench: BenchInPlace) -> None:
    (first,) = take(bench, comment="old")[1]
    outcome, (now,) = take(bench, comment="new", label="weekly", **until(bench))
    fields = "comment, expiry_time, snapmirror_label" if until(bench) else "comment, snapmirror_label"
    assert outcome.actions == [f"change snapshot s1 of volume svm_san:vol_prod: set its {fields}"]
    assert (now.comment, now.label, now.expires, now.made_by) == ("new", "weekly", until(bench).get("expires", ""), first.made_by)
    assert not take(bench)[0].changed


def test_a_time_from_now_is_for_a_snapshot_that_has_none(by_rest: BenchInPlace) -> None:
    take(by_rest)
    assert take(by_rest, expires=LATER, keep_expiry=True)[0].changed  # as after a run that was killed before it set the expiry
    outcome, (one,) = take(by_rest, expires="2095-01-01T00:00:00+00:00", keep_expiry=True)
    assert (outcome.changed, one.expires) == (False, LATER)


def test_it_is_renamed_once(bench: BenchInPlace) -> None:
    (old,) = take(bench)[1]
    outcome, (new,) = take(bench, name="s2", old_name="s1")
    assert (outcome.changed, new.id, new.name) == (True, old.id, "s2")
    assert not take(bench, name="s2", old_name="s1")[0].changed
    assert names(bench) == ["s2"]


def test_a_name_that_is_taken_is_given_to_no_other_one(bench: BenchInPlace) -> None:
    take(bench)
    take(bench, name="s2")
    with pytest.raises(Refused, match=r"Volume svm_san:vol_prod has a snapshot s2 already, and s1 too: delete one of them"):
        take(bench, name="s2", old_name="s1")


def test_nothing_is_renamed_that_is_not_there_and_none_is_taken_instead(bench: BenchInPlace) -> None:
    take(bench, name="before_patch")
    with pytest.raises(NotFound, match=r"There is no snapshot before_pacth of volume svm_san:vol_prod .*did you mean before_patch\?"):
        take(bench, name="s2", old_name="before_pacth")
    assert names(bench) == ["before_patch"]


def test_one_that_this_collection_did_not_take_is_found_but_not_changed(bench: BenchInPlace) -> None:
    taken_by_hand(bench, "vol_prod", comment="nightly")
    outcome, (one,) = take(bench)
    assert (outcome.changed, one.made_by, one.comment) == (False, "", "nightly")
    with pytest.raises(Refused, match="was not taken by this collection and stays as it is"):
        take(bench, comment="mine")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "a/b"}, "'a/b' is not a name for a snapshot"),
        ({"name": " "}, "is not a name for a snapshot"),
        ({"name": "x" * 256}, "is not a name for a snapshot"),
        ({"comment": "x" * 255}, "has 255 characters: shorten it to 223"),
        ({"label": "x" * 32}, "shorten it to 31"),
    ],
)
def test_what_no_snapshot_can_be_given_is_refused_before_anything_is_asked(
    bench: BenchInPlace, settings: dict[str, Any], sentence: str
) -> None:
    with bench.counted() as sent, pytest.raises(InvalidInput, match=sentence):
        take(bench, **settings)
    assert sent == []


def test_a_lun_that_is_not_there_is_told_with_one_that_is_near(bench: BenchInPlace) -> None:
    with pytest.raises(NotFound, match=r"There is no LUN svm_san:/vol/vol_prod/ds_singel .*did you mean ds_single\?"):
        take(bench, LunAddress(SVM, "vol_prod", "ds_singel"))


def test_of_a_volume_that_is_not_online_none_is_taken(bench: BenchInPlace) -> None:
    volume_of(bench, "vol_prod").state = "offline"
    with pytest.raises(Refused, match=r"in state volume_offline.*bring its volume online"):
        take(bench)


def test_it_is_deleted_once(bench: BenchInPlace) -> None:
    take(bench)
    assert remove(bench)[0].actions == ["delete snapshot s1 of volume svm_san:vol_prod"]
    assert (names(bench), remove(bench)[0].changed) == ([], False)


@pytest.mark.parametrize("fault", [DROPPED_AFTER, AS_JOB])
def test_a_deletion_whose_answer_is_lost_or_late_is_seen(bench: BenchInPlace, fault: dict[str, Any]) -> None:
    take(bench)
    bench.fail(DELETE, fault)
    assert remove(bench)[0].changed
    assert names(bench) == []


def test_one_of_a_schedule_is_deleted_only_on_the_users_word(bench: BenchInPlace) -> None:
    taken_by_hand(bench, "vol_prod", "nightly.0")
    with pytest.raises(Refused, match=r"Snapshot nightly.0 .* was not taken by this collection and stays.*any_owner"):
        remove(bench, name="nightly.0")
    assert names(bench) == ["nightly.0"]
    assert remove(bench, name="nightly.0", any_owner=True)[0].changed


def test_only_the_run_that_took_it_takes_it_back(bench: BenchInPlace) -> None:
    (one,) = take(bench)[1]
    with pytest.raises(Refused, match=r"was not taken by the run crossvisor.san:0 and stays"):
        remove(bench, made_by="crossvisor.san:0")
    assert remove(bench, made_by=one.made_by)[0].changed


def test_one_that_is_needed_stays_and_tells_by_what(bench: BenchInPlace) -> None:
    take(bench)
    volume_of(bench, "vol_prod").snapshots[0].owners = ["volume_clone"]
    with pytest.raises(Refused, match="is needed by volume_clone and stays: end that first"):
        remove(bench)
    assert names(bench) == ["s1"]


def test_one_that_comes_to_be_needed_meanwhile_stays(bench: BenchInPlace) -> None:
    take(bench)
    bench.meanwhile(DELETE, lambda: bench.server.array.own_snapshot("vol_prod", "s1", "volume_clone"))
    with pytest.raises(StepFailed, match="something needs the snapshot"):
        remove(bench)
    assert names(bench) == ["s1"]


def test_one_that_has_to_be_kept_stays_and_tells_until_when(bench: BenchInPlace) -> None:
    take(bench)
    volume_of(bench, "vol_prod").snapshots[0].expires = LATER
    with pytest.raises(Refused, match="is kept until 2090-01-01T00:00:00"):
        remove(bench)
    assert names(bench) == ["s1"]


def test_all_snapshots_of_the_volumes_are_listed_the_oldest_first(bench: BenchInPlace) -> None:
    for name in ("b", "a"):
        take(bench, name=name)
    stored = volume_of(bench, "vol_prod").snapshots
    stored[0].created, stored[1].created = "2026-01-01T10:00:00+0100", "2026-01-01T08:00:00Z"
    found = bench.backend().snapshots([A, BESIDE_A])
    assert [(one.name, one.created) for one in found] == [("a", "2026-01-01T08:00:00+00:00"), ("b", "2026-01-01T09:00:00+00:00")]
    assert [one.name for one in bench.backend().snapshots([A], "b")] == ["b"]


def test_a_run_that_changes_nothing_asks_for_the_lun_and_its_snapshots(bench: BenchInPlace) -> None:
    take(bench)
    with bench.counted() as sent:
        bench.backend().plan_snapshot(snapshot_wish())
    over_zapi = ["lun-get-iter", "lun-map-get-iter", "volume-get-iter", "snapshot-get-iter"]
    assert [one.split("/")[-1].split()[-1] for one in sent] == (["luns", "snapshots"] if bench.transport == REST else over_zapi)


def test_an_undo_takes_none_back_that_somebody_else_took_under_its_name(bench: BenchInPlace) -> None:
    bench.meanwhile(TAKE, lambda: taken_by_hand(bench, "vol_prod", comment="theirs"))
    bench.fail(TAKE, DROPPED_BEFORE)
    with pytest.raises(StepFailed, match="Could not take snapshot s1"):
        take(bench)
    assert [one.comment for one in volume_of(bench, "vol_prod").snapshots] == ["theirs"]


def test_one_that_goes_before_it_was_seen_is_told(bench: BenchInPlace) -> None:
    bench.meanwhile(TAKE, volume_of(bench, "vol_prod").snapshots.clear, after=True)
    with pytest.raises(StepFailed, match="Snapshot s1 of volume svm_san:vol_prod is not there although it was taken"):
        take(bench)


def test_what_is_to_become_of_it_is_told_with_all_that_it_is_given(bench: BenchInPlace) -> None:
    outcome = take(bench, comment="x", label="daily", **until(bench))[0]
    one = "snapshot s1 of svm_san:vol_prod"
    assert outcome.before == {one: {"exists": False}}
    assert outcome.after == {one: {"exists": True, "comment": "x", **until(bench), "snapmirror_label": "daily"}}
    with bench.counted() as sent:
        take(bench, name="s2")
    assert sum(request.startswith(("POST", "ZAPI snapshot-create")) for request in sent) == 1
    assert (volume_of(bench, "vol_prod").snapshots[1].label, volume_of(bench, "vol_prod").snapshots[1].expires) in [("", ""), (None, None)]


def test_a_change_is_told_by_what_it_was_and_what_it_becomes(bench: BenchInPlace) -> None:
    (one,) = take(bench, comment="old", label="daily", **until(bench, "2089-01-01T00:00:00+00:00"))[1]
    outcome = take(bench, name="s2", old_name="s1", comment="new", label="weekly", **until(bench))[0]
    fields = "comment, expiry_time, snapmirror_label" if until(bench) else "comment, snapmirror_label"
    assert outcome.actions == [f"change snapshot s1 of volume svm_san:vol_prod: name it s2 and set its {fields}"]
    before = {"name": "s1", "comment": f"{one.made_by} old", "snapmirror_label": "daily"}
    after = {"name": "s2", "comment": f"{one.made_by} new", "snapmirror_label": "weekly"}
    if until(bench):
        before["expiry_time"], after["expiry_time"] = "2089-01-01T00:00:00+00:00", LATER
    assert outcome.before == {"snapshot s1 of svm_san:vol_prod": before}
    assert outcome.after == {"snapshot s1 of svm_san:vol_prod": after}
    assert take(bench, name="s3", old_name="s2")[0].actions == ["change snapshot s2 of volume svm_san:vol_prod: name it s3"]


def test_a_change_that_is_undone_leaves_no_expiry_and_no_label_where_there_was_none(bench: BenchInPlace) -> None:
    take(bench)
    one = volume_of(bench, "vol_prod").snapshots[0]
    (step,) = bench.backend().plan_snapshot(snapshot_wish(label="daily", **until(bench))).plan.steps
    step.do()
    assert (one.expires, one.label) == (until(bench).get("expires", ""), "daily")
    step.undo()
    assert (one.expires, one.label) == ("", "")


def test_what_it_does_not_take_is_told(bench: BenchInPlace) -> None:
    take(bench)
    bench.meanwhile(CHANGE, lambda: setattr(volume_of(bench, "vol_prod").snapshots[0], "label", "other"), after=True)
    with pytest.raises(StepFailed, match="Snapshot s1 of volume svm_san:vol_prod did not take its snapmirror_label"):
        take(bench, label="daily")


def test_one_that_goes_while_it_is_changed_is_told_whatever_else_there_is(bench: BenchInPlace) -> None:
    take(bench)
    taken_by_hand(bench, "vol_prod", "nightly.0")
    bench.meanwhile(CHANGE, lambda: volume_of(bench, "vol_prod").snapshots.pop(0), after=True)
    with pytest.raises(StepFailed, match="Snapshot s1 of volume svm_san:vol_prod is not there any more"):
        take(bench, label="daily")


def test_a_deletion_is_told_and_has_no_way_back(bench: BenchInPlace) -> None:
    (one,) = take(bench)[1]
    change = bench.backend().plan_snapshot_removal(removal_wish())
    assert [step.final for step in change.plan.steps] == [True]
    outcome = remove(bench)[0]
    title = "snapshot s1 of svm_san:vol_prod"
    assert (outcome.before, outcome.after) == ({title: {"exists": True, "created": one.created}}, {title: {"exists": False}})


def test_one_that_is_still_there_after_its_deletion_is_told(bench: BenchInPlace) -> None:
    take(bench)
    kept = volume_of(bench, "vol_prod").snapshots[0]
    bench.meanwhile(DELETE, lambda: volume_of(bench, "vol_prod").snapshots.append(kept), after=True)
    with pytest.raises(StepFailed, match="Snapshot s1 of volume svm_san:vol_prod is still there"):
        remove(bench)


def test_another_one_of_that_name_that_comes_after_the_deletion_is_none_of_ours(bench: BenchInPlace) -> None:
    take(bench)
    bench.meanwhile(DELETE, lambda: taken_by_hand(bench, "vol_prod"), after=True)
    assert remove(bench)[0].changed
    assert names(bench) == ["s1"]


def test_one_whose_time_is_over_is_deleted(bench: BenchInPlace) -> None:
    take(bench)
    volume_of(bench, "vol_prod").snapshots[0].expires = "2026-01-01T00:00:00+00:00"
    assert remove(bench)[0].changed


@pytest.mark.parametrize("settings", [{"name": "x" * 255}, {"comment": "x" * 223}, {"label": "x" * 31}])
def test_the_longest_that_a_snapshot_can_be_given_is_given(bench: BenchInPlace, settings: dict[str, Any]) -> None:
    assert take(bench, **settings)[0].changed


def test_of_what_a_mirror_writes_to_none_is_taken(bench: BenchInPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    look = volume_snapshots.require_luns
    monkeypatch.setattr(
        snapshots, "require_luns", lambda *asked: [replace(one, lun=replace(one.lun, read_only=True)) for one in look(*asked)]
    )
    with pytest.raises(Refused, match="is read-only on its array, as the destination of a mirror is: take the snapshot at its source"):
        take(bench)


def test_of_a_lun_in_no_volume_none_is_taken(bench: BenchInPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    look = places.require
    monkeypatch.setattr(volume_snapshots, "require", lambda *asked: replace(look(*asked), lun=replace(look(*asked).lun, path="lun1")))
    with pytest.raises(Refused, match="is an ASA r2, whose storage units this collection does not know"):
        take(bench)


def test_a_clone_in_a_volume_that_is_not_there_is_told(bench: BenchInPlace) -> None:
    with pytest.raises(NotFound, match="There is no volume none in SVM svm_san of array"):
        volume_snapshots.volume_named(bench.backend()._transport, SVM, "none")


def test_a_snapshot_that_was_renamed_meanwhile_is_found_under_either_name(bench: BenchInPlace) -> None:
    (old,) = take(bench)[1]
    change = bench.backend().plan_snapshot(snapshot_wish(name="s2", old_name="s1"))
    assert [one.id for one in change.snapshots()] == [old.id]
    assert bench.backend().plan_snapshot(snapshot_wish(name="s2")).snapshots() == []


def test_what_is_as_wished_is_nobody_s_to_change(bench: BenchInPlace) -> None:
    taken_by_hand(bench, "vol_prod", expiry_time=LATER, snapmirror_label="daily")
    assert not take(bench, label="daily", **until(bench))[0].changed
