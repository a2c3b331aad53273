# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN that is made of a LUN in a snapshot: one of its own, known by its origin, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin, WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, NotFound, Refused, StepFailed
from tests.ontap_backend import ids
from tests.unit.ontap import HOST_A, address, wish
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import DELETIONS, DROPPED_AFTER, DROPPED_BEFORE, GROUP, NEW, READS_OF_LUNS, WRITES, Users
from tests.unit.ontap_snapshots import A, take, volume_of

pytestmark = pytest.mark.slow

ORIGIN = CloneOrigin(A.lun, "s1")
REFUSED = {"error": {"code": 5374581, "message": "A node has no interface."}}


@pytest.fixture
def snapped(bench: BenchInPlace) -> BenchInPlace:
    """The LUN has 1000 bytes in the snapshot, and was written to since."""
    original(bench).used = 1000
    take(bench)
    original(bench).used = 2000
    return bench


def original(bench: BenchInPlace) -> Any:
    return bench.stored_lun("/vol/vol_prod/ds_single")


def clone(**settings: Any) -> Any:
    return wish(**{"size_bytes": None, "clone_of": ORIGIN, **settings})


def withdrawal(**settings: Any) -> WithdrawWish:
    return WithdrawWish(**{"lun": address(), "initiators": HOST_A, "delete": True, "clone_of": ORIGIN, **settings})


def test_it_is_a_lun_of_its_own_with_the_data_of_then(snapped: BenchInPlace) -> None:
    outcome, lun = snapped.provision(clone(comment="for tests"))
    assert outcome.actions[0] == "create LUN svm_san:/vol/vol_prod/new as a clone of ds_single in snapshot s1"
    assert lun is not None
    assert (lun.size_bytes, lun.os_type, lun.used_bytes) == (original(snapped).size, original(snapped).os_type, 1000)
    assert lun.serial != original(snapped).serial
    assert ids(lun) == {GROUP: 0}
    mark, token, of, *text = snapped.stored_lun().comment.split()
    assert (mark[:14], token[:21], of[:18]) == ("crossvisor.san", "crossvisor.san-clone:", "crossvisor.san-of:")
    assert text == ["for", "tests"]
    assert original(snapped).used == 2000


@pytest.mark.parametrize("thin", [True, False])
def test_it_reserves_space_unless_it_is_thin(snapped: BenchInPlace, thin: bool) -> None:
    snapped.provision(clone(thin=thin))
    assert snapped.stored_lun().reserved is not thin


def test_what_is_made_is_shown(snapped: BenchInPlace) -> None:
    outcome, _lun = snapped.provision(clone(comment="for tests", thin=False, initiators=()))
    made = {"exists": True, "clone_of": "ds_single in snapshot s1", "thin": False, "comment": "for tests"}
    assert outcome.diff() == {"before": {"svm_san:/vol/vol_prod/new": {"exists": False}}, "after": {"svm_san:/vol/vol_prod/new": made}}


def test_one_that_nobody_has_seen_goes_with_the_data_that_it_began_with(snapped: BenchInPlace) -> None:
    snapped.meanwhile(WRITES["create LUN"], lambda: snapped.fail(READS_OF_LUNS, REFUSED), after=True)
    with pytest.raises(StepFailed, match="A node has no interface"):
        snapped.provision(clone(initiators=()))
    assert snapped.stored_lun() is None


def test_the_second_run_changes_nothing(snapped: BenchInPlace) -> None:
    snapped.provision(clone())
    assert not snapped.provision(clone())[0].changed


@pytest.mark.parametrize("fault", [DROPPED_AFTER, DROPPED_BEFORE, {"job": True}])
def test_an_answer_that_is_lost_or_late_leaves_one_or_none(snapped: BenchInPlace, fault: dict[str, Any]) -> None:
    snapped.fail(WRITES["create LUN"], fault)
    if fault is DROPPED_BEFORE:
        with pytest.raises(StepFailed):
            snapped.provision(clone())
        assert snapped.stored_lun() is None
    else:
        assert snapped.provision(clone())[0].changed


def test_a_name_that_another_lun_has_is_refused(snapped: BenchInPlace) -> None:
    snapped.lun(NEW)
    with pytest.raises(Refused, match=r"/new is no clone that this collection has made of LUN ds_single in snapshot s1.*another name"):
        snapped.provision(clone())


def test_a_clone_of_an_earlier_snapshot_of_that_name_holds_other_data_and_is_refused(snapped: BenchInPlace) -> None:
    snapped.provision(clone())
    volume_of(snapped, "vol_prod").snapshots.clear()
    assert not snapped.provision(clone())[0].changed
    take(snapped)
    with pytest.raises(Refused, match=r"/new is a clone of an earlier snapshot s1, and there is another since .*take the clone away"):
        snapped.provision(clone())
    assert snapped.withdraw(withdrawal())[0].changed


def test_a_clone_that_does_not_tell_of_which_snapshot_it_is_and_what_people_write_beside_it_are_no_reason_to_refuse_it(
    snapped: BenchInPlace,
) -> None:
    snapped.provision(clone(comment="for tests"))
    assert not snapped.provision(clone())[0].changed
    lun = snapped.stored_lun()
    lun.comment = " ".join(word for word in lun.comment.split() if not word.startswith("crossvisor.san-of:"))
    assert not snapped.provision(clone())[0].changed


def test_a_comment_that_is_too_long_beside_the_origin_is_told_how_long_it_may_be(snapped: BenchInPlace) -> None:
    with pytest.raises(InvalidInput, match="shorten it to") as told:
        snapped.provision(clone(comment="x" * 254))
    room = int(str(told.value).rpartition(" ")[2].rstrip("."))
    assert snapped.provision(clone(comment="x" * room))[0].changed
    assert len(snapped.stored_lun().comment) == 254


def test_a_clone_of_another_snapshot_is_another_lun(snapped: BenchInPlace) -> None:
    take(snapped, name="s2")
    snapped.provision(clone())
    with pytest.raises(Refused, match=r"is no clone .* of LUN ds_single in snapshot s2"):
        snapped.provision(clone(clone_of=CloneOrigin(A.lun, "s2")))


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"clone_of": CloneOrigin(A.lun, "none")}, NotFound, "There is no snapshot none of volume svm_san:vol_prod"),
        ({"size_bytes": 1 << 30}, InvalidInput, "is to be a clone, whose size is that of LUN ds_single in snapshot s1: leave the size out"),
        ({"clone_of": CloneOrigin("new", "s1")}, InvalidInput, "cannot be a clone of itself"),
        ({"address": address(volume="vol_none")}, NotFound, "There is no volume vol_none"),
    ],
)
def test_what_cannot_be_cloned_is_told_and_nothing_is_made(
    snapped: BenchInPlace, settings: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    before = snapped.state()
    with pytest.raises(error, match=sentence):
        snapped.provision(clone(**settings))
    assert snapped.state() == before


@pytest.mark.parametrize("state", ["partial", "invalid"])
def test_a_snapshot_that_is_not_whole_gives_nothing(snapped: BenchInPlace, state: str) -> None:
    volume_of(snapped, "vol_prod").snapshots[0].state = state
    with pytest.raises(Refused, match=f"Snapshot s1 of volume svm_san:vol_prod is {state}, from which nothing can be had"):
        snapped.provision(clone())


@pytest.mark.parametrize("meanwhile", [lambda one: one.snapshots.clear(), lambda one: one.snapshots[0].luns.clear()])
def test_a_snapshot_that_goes_meanwhile_or_never_held_the_lun_is_told(snapped: BenchInPlace, meanwhile: Any) -> None:
    snapped.meanwhile(WRITES["create LUN"], lambda: meanwhile(volume_of(snapped, "vol_prod")))
    with pytest.raises(StepFailed, match="Snapshot s1 of volume svm_san:vol_prod holds no LUN ds_single: correct the name"):
        snapped.provision(clone())
    assert snapped.stored_lun() is None


def test_what_was_made_is_taken_back_when_a_later_step_fails(snapped: BenchInPlace) -> None:
    before = snapped.state()
    snapped.fail(WRITES["map"], REFUSED)
    with pytest.raises(StepFailed, match=r"undone: .*create LUN svm_san:/vol/vol_prod/new as a clone"):
        snapped.provision(clone(), last_look=Users())
    assert snapped.state() == before


def test_a_clone_that_somebody_has_written_to_meanwhile_stays(snapped: BenchInPlace) -> None:
    snapped.meanwhile(WRITES["map"], lambda: setattr(snapped.stored_lun(), "used", 1500))
    snapped.fail(WRITES["map"], REFUSED)
    with pytest.raises(StepFailed, match="holds 1500 bytes that were written since it was made, and stays"):
        snapped.provision(clone(), last_look=Users())
    assert snapped.stored_lun() is not None


def test_it_is_deleted_whatever_was_written_to_it(snapped: BenchInPlace) -> None:
    before = snapped.state()
    snapped.provision(clone())
    snapped.stored_lun().used = 3000
    assert snapped.withdraw(withdrawal())[0].changed
    assert snapped.state() == before


def test_nothing_but_a_clone_of_that_origin_is_taken(snapped: BenchInPlace) -> None:
    snapped.provision(clone())
    before = snapped.state()
    for settings in ({"lun": A, "initiators": ()}, {"clone_of": CloneOrigin(A.lun, "s2")}):
        with pytest.raises(Refused, match="is no clone that this collection has made of LUN"):
            snapped.withdraw(withdrawal(**settings))
    assert snapped.state() == before


def test_a_lun_that_is_no_clone_any_more_when_its_turn_comes_stays(snapped: BenchInPlace) -> None:
    snapped.provision(clone())
    snapped.meanwhile(DELETIONS["unmap"], lambda: setattr(snapped.stored_lun(), "comment", "mine"))
    with pytest.raises(StepFailed, match="is no clone that this collection has made"):
        snapped.withdraw(withdrawal())
    assert snapped.stored_lun() is not None


def test_a_run_takes_back_only_the_clone_that_it_has_made_itself(snapped: BenchInPlace) -> None:
    snapped.provision(clone())
    mark = snapped.stored_lun().comment.split()[0]
    with pytest.raises(Refused, match=r"was not made by the run crossvisor\.san:0000000000000000 and stays"):
        snapped.withdraw(withdrawal(made_by="crossvisor.san:0000000000000000"))
    assert snapped.stored_lun() is not None
    assert snapped.withdraw(withdrawal(made_by=mark))[0].changed
    assert snapped.stored_lun() is None


def test_a_volume_whose_snapshot_is_gone_still_lets_its_clone_go(snapped: BenchInPlace) -> None:
    snapped.provision(clone())
    volume_of(snapped, "vol_prod").snapshots.clear()
    assert snapped.withdraw(withdrawal())[0].changed
    assert snapped.stored_lun() is None
