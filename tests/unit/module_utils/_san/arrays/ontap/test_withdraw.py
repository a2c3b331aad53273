# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From which igroups a LUN is taken, which go with it, and that nothing of anybody else's goes."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import group_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import Site
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.withdraw import UnmapLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.transport import RestTransport
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, InvalidInput, Refused, RemoteError, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import LunMapping
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, carry_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lab.ontap.state import ZAPI
from tests.ontap_backend import Bench, ids
from tests.unit.module_utils._san.arrays.ontap_rest.test_lookup import LUN
from tests.unit.ontap import GIB, HOST_A, HOST_B, SVM, Endpoint, Reply, address, error, records, wish
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import AS_JOB, BOTH, DELETIONS, DROPPED_AFTER, DROPPED_BEFORE, EVERYWHERE, GROUP, NEW

pytestmark = pytest.mark.slow

A, B = "iqn.1998-01.com.vmware:a", "iqn.1998-01.com.vmware:b"
OURS = group_name([A])
REFUSED = {"error": {"code": 393271, "message": "The node is in takeover."}}
VOLUME = records({"uuid": "v", "name": "vol1", "svm": {"name": "svm1"}, "state": "online"})
PLACE = address("qtree1/lun1", "vol1", "svm1")


def group(name: str, *initiators: str, luns: tuple[str, ...] = (LUN["name"],)) -> dict[str, Any]:
    return {
        "uuid": f"id-{name}", "name": name, "svm": {"name": "svm1"}, "os_type": "linux", "protocol": "iscsi",
        "initiators": [{"name": one} for one in initiators],
        "lun_maps": [{"logical_unit_number": n, "lun": {"name": path}} for n, path in enumerate(luns)],
    }  # fmt: skip


def mapped(*groups: dict[str, Any]) -> dict[str, Any]:
    maps = [{"logical_unit_number": 0, "igroup": {name: one[name] for name in ("name", "uuid", "initiators")}} for one in groups]
    return {**LUN, "lun_maps": maps}


def titles(array: Endpoint, *groups: dict[str, Any], **settings: Any) -> list[str]:
    array.answer(records(mapped(*groups)), *([records(*groups)] if groups else []))
    change = OntapRest(array.connection).plan_withdraw(WithdrawWish(PLACE, **settings))
    return [" ".join(step.title.split()[:2] + step.title.split()[-1:]) for step in change.plan.pending()]


def test_a_lun_that_is_not_there_needs_nothing(array: Endpoint) -> None:
    array.answer(records(), VOLUME)
    change = OntapRest(array.connection).plan_withdraw(WithdrawWish(PLACE, delete=True))
    assert (change.plan.pending(), change.lun(), change.plan.warnings, len(array.asked)) == ([], None, [], 2)


def test_of_a_lun_that_is_not_there_a_wrong_volume_is_told_and_no_near_lun(array: Endpoint) -> None:
    array.answer(
        records(), records(), records({"uuid": "s", "name": "svm1"}), records({"uuid": "v", "name": "vol11", "svm": {"name": "svm1"}})
    )
    (told,) = OntapRest(array.connection).plan_withdraw(WithdrawWish(PLACE, delete=True)).plan.warnings
    assert "no volume vol1 in SVM svm1" in told
    assert told.endswith("; did you mean vol11?")


def test_a_group_that_does_not_map_the_lun_is_told_when_one_of_nearly_that_name_does(array: Endpoint) -> None:
    for wished, told in (("prood", "did you mean prod?"), ("prod", ""), ("gone", "")):
        mapped_to = group("prod", A)
        array.answer(records(mapped(mapped_to)), records(mapped_to))
        change = OntapRest(array.connection).plan_withdraw(WithdrawWish(PLACE, group=wished))
        assert told in "".join(change.plan.warnings)
        assert bool(change.plan.warnings) is bool(told)


def test_groups_of_nearly_the_same_name_are_no_mistake_where_the_lun_is_in_the_one_that_is_named(array: Endpoint) -> None:
    assert steps(array, group("prod", A), group("prod2", B), group="prod").warnings == []


def test_who_names_no_group_is_told_of_none(array: Endpoint) -> None:
    assert steps(array, group("prod", A)).warnings == []


def test_a_lun_without_a_volume_is_left_alone(array: Endpoint) -> None:
    """An ASA r2 deletes such a LUN only as a storage unit."""
    array.answer(records({**LUN, "name": "lun1", "lun_maps": [], "location": {}}))
    with pytest.raises(Refused, match=r"The array of LUN svm1:lun1 is an ASA r2, whose storage units this collection does not know"):
        OntapRest(array.connection).plan_withdraw(WithdrawWish(ScsiName.from_ontap_serial(LUN["serial_number"]), delete=True))


def test_an_unmapped_lun_needs_nothing_unless_it_shall_go(array: Endpoint) -> None:
    assert titles(array) == []
    assert titles(array, delete=True) == ["delete LUN data"]


def test_the_only_group_needs_no_name(array: Endpoint) -> None:
    assert titles(array, group("esx", A, B)) == ["unmap LUN esx"]


def test_groups_are_meant_by_name_and_by_initiators_in_any_case(array: Endpoint) -> None:
    groups = group("x", A), group("y", B), group("z")
    assert titles(array, *groups, group="x") == ["unmap LUN x"]
    assert titles(array, *groups, initiators=[B.upper()]) == ["unmap LUN y"]
    assert titles(array, *groups, group="z", initiators=[A]) == ["unmap LUN x", "unmap LUN z"]
    assert titles(array, *groups, group="nobody") == []


def test_several_groups_must_be_named(array: Endpoint) -> None:
    with pytest.raises(Refused, match=r"LUN svm1:/vol/vol1/qtree1/lun1 is mapped to several igroups \(x, y\): say by igroup or initiators"):
        titles(array, group("x", A), group("y", B))


def test_a_group_of_ours_goes_with_its_last_lun(array: Endpoint) -> None:
    assert [title.split()[0] for title in titles(array, group(OURS, A), delete=True)] == ["unmap", "delete", "delete"]


@pytest.mark.parametrize(
    "kept",
    [group(OURS, A, luns=(LUN["name"], "/vol/vol1/other")), group(OURS, A, B), group("esx", A)],
    ids=["with another LUN", "changed by somebody", "not ours"],
)
def test_other_groups_stay(array: Endpoint, kept: dict[str, Any]) -> None:
    assert len(titles(array, kept)) == 1


def steps(array: Endpoint, *groups: dict[str, Any], lun: dict[str, Any] | None = None, **settings: Any) -> Plan:
    array.answer(records(lun or mapped(*groups)), *([records(*groups)] if groups else []))
    return OntapRest(array.connection).plan_withdraw(WithdrawWish(PLACE, **settings)).plan


def test_a_group_of_ours_goes_when_another_run_has_taken_its_other_lun_meanwhile(array: Endpoint) -> None:
    shared = group(OURS, A, luns=(LUN["name"], "/vol/vol1/other"))
    plan = steps(array, shared)
    # unmap, what the LUN is mapped to now, the group now, deleted, gone
    array.answer(Reply(), records(mapped()), records(group(OURS, A, luns=())), Reply(), records())
    assert [step.title.split()[0] for step in plan.run()] == ["unmap", "delete"]
    asked = len(array.asked)
    assert all(step.done() for step in plan.steps)
    assert len(array.asked) == asked, "what was read back is not asked for again"


def test_a_group_of_ours_that_another_run_has_deleted_meanwhile_is_gone(array: Endpoint) -> None:
    plan = steps(array, group(OURS, A, luns=(LUN["name"], "/vol/vol1/other")))
    array.answer(Reply(), records(mapped()), records())
    assert [step.title.split()[0] for step in plan.run()] == ["unmap"]


def test_what_is_deleted_is_spared_where_it_is_mapped_by_then(array: Endpoint) -> None:
    plan = steps(array, group(OURS, A), delete=True)
    # unmapped, what it is mapped to, the group deleted, gone, the LUN deleted, gone
    array.answer(Reply(), records(mapped()), Reply(), records(), Reply(), records())
    assert [step.title.split()[1] for step in plan.run()] == ["LUN", "igroup", "LUN"]
    assert all(step.done() for step in plan.steps)
    deleted = {asked.path.split("/")[-2]: asked.query for asked in array.asked if asked.method == "DELETE" and "lun-maps" not in asked.path}
    assert {name: query.get("allow_delete_while_mapped") for name, query in deleted.items()} == {"igroups": "false", "luns": "false"}


@pytest.mark.parametrize(
    "now",
    [group(OURS, A, luns=("/vol/vol1/other",)), group(OURS, A, B, luns=())],
    ids=["another LUN is mapped to it", "somebody has changed it"],
)
def test_a_group_of_ours_that_others_need_stays(array: Endpoint, now: dict[str, Any]) -> None:
    plan = steps(array, group(OURS, A, luns=(LUN["name"], "/vol/vol1/other")))
    array.answer(Reply(), records(mapped()), records(now))
    assert [step.title.split()[0] for step in plan.run()] == ["unmap"]


def test_what_an_earlier_run_left_of_its_groups_goes(array: Endpoint) -> None:
    left = group(OURS, A, luns=())
    strangers = group(group_name([A, B]), A, B, luns=()), group("esx", A, luns=()), group(group_name([B]), B, luns=("/vol/vol1/x",))
    array.answer(records(mapped()), records(left, *strangers))
    change = OntapRest(array.connection).plan_withdraw(WithdrawWish(PLACE, initiators=[A]))
    assert [step.title for step in change.plan.pending()] == [f"delete igroup svm1:{OURS}, to which no LUN is mapped any more"]


def test_what_a_run_left_that_was_stopped_after_the_deletion_goes_too(array: Endpoint) -> None:
    array.answer(records(), VOLUME, records(group(OURS, A, luns=())))
    change = OntapRest(array.connection).plan_withdraw(WithdrawWish(PLACE, initiators=[A.upper()], delete=True))
    assert [step.title.split()[:2] for step in change.plan.pending()] == [["delete", "igroup"]]


def test_what_a_run_left_of_a_lun_that_is_known_by_nothing_but_its_name_goes_in_whatever_svm(array: Endpoint) -> None:
    left = {**group(OURS, A, luns=()), "svm": {"name": "svm2"}}
    strangers = group(group_name([A, B]), A, B, luns=()), group("esx", A, luns=()), group(group_name([B]), B, luns=("/vol/vol1/x",))
    array.answer(records(), records(left, *strangers))
    change = OntapRest(array.connection).plan_withdraw(WithdrawWish(ScsiName.from_ontap_serial("80Old-000001"), initiators=[A]))
    assert [step.title for step in change.plan.pending()] == [f"delete igroup svm2:{OURS}, to which no LUN is mapped any more"]
    array.answer(Reply(), records())
    change.plan.run()
    assert array.asked[2].method == "DELETE"


def test_nobodys_groups_are_looked_for_without_initiators(array: Endpoint) -> None:
    array.answer(records())
    change = OntapRest(array.connection).plan_withdraw(WithdrawWish(ScsiName.from_ontap_serial("80Old-000001")))
    assert (change.plan.pending(), len(array.asked)) == ([], 1)


def test_who_only_sweeps_leaves_a_lun_that_has_come_to_the_name_since(array: Endpoint) -> None:
    """As the role deprovision does by the mark of no run at all."""
    array.answer(records(mapped(group(OURS, A))))
    with pytest.raises(Refused, match=r"was not made by the run crossvisor.san:no-run and stays: remove it by its name"):
        OntapRest(array.connection).plan_withdraw(WithdrawWish(PLACE, initiators=[A], made_by="crossvisor.san:no-run"))


MADE = {**LUN, "lun_maps": [], "comment": "crossvisor.san:mine data", "space": {"size": 10, "used": 0}}


class TestALunThatOnlyTheRunThatMadeItMayDelete:
    def test_goes_as_it_was_made(self, array: Endpoint) -> None:
        plan = steps(array, lun=MADE, delete=True, made_by="crossvisor.san:mine")
        array.answer(records(MADE), Reply(), records())
        assert [step.title.split()[0] for step in plan.run()] == ["delete"]

    @pytest.mark.parametrize(
        ("now", "told"),
        [
            ({"comment": "crossvisor.san:other"}, "was not made by the run crossvisor.san:mine and stays"),
            ({"comment": ""}, "was not made by the run crossvisor.san:mine and stays"),
            ({"space": {"size": 10, "used": 4096}}, "holds 4096 bytes that were written since it was made, and stays"),
            ({"space": {"size": 10}}, "holds an unknown number of bytes that were written since it was made, and stays"),
        ],
    )
    def test_stays_when_it_is_anything_else(self, array: Endpoint, now: dict[str, Any], told: str) -> None:
        with pytest.raises(Refused, match=told):
            steps(array, lun={**MADE, **now}, delete=True, made_by="crossvisor.san:mine")
        plan = steps(array, lun=MADE, delete=True, made_by="crossvisor.san:mine")
        array.answer(records({**MADE, **now}))
        with pytest.raises(StepFailed, match=told):
            plan.run()

    def test_is_not_even_unmapped_once_it_was_written_to(self, array: Endpoint) -> None:
        with pytest.raises(Refused, match="holds 4096 bytes"):
            steps(
                array,
                lun={**mapped(group("x", A)), "comment": "crossvisor.san:mine", "space": {"size": 10, "used": 4096}},
                made_by="crossvisor.san:mine",
            )


def test_a_lun_is_not_deleted_under_another_group(array: Endpoint) -> None:
    with pytest.raises(Refused, match=r"is also mapped to igroups that were not named \(y, z\) and is not deleted"):
        titles(array, group("x", A), group("y", B), group("z"), group="x", delete=True)


class TestALunByName:
    def test_must_be_one_of_ontap(self, array: Endpoint) -> None:
        with pytest.raises(
            InvalidInput, match=r"naa\.624a9370\w+ is not the name of an ONTAP LUN \(Pure Storage\): look for it on another"
        ):
            OntapRest(array.connection).plan_withdraw(WithdrawWish(ScsiName("624a9370" + "0" * 24)))
        assert array.asked == []

    def test_must_be_one_lun(self, array: Endpoint) -> None:
        array.answer(records(LUN, {**LUN, "uuid": "copy", "svm": {"name": "svm2"}}))
        with pytest.raises(Ambiguous, match=r"Several LUNs are named .*svm1:/vol/vol1/qtree1/lun1, svm2:/vol/vol1/qtree1/lun1; name one"):
            OntapRest(array.connection).plan_withdraw(WithdrawWish(ScsiName.from_ontap_serial(LUN["serial_number"])))


class TestWithdrawing:
    def test_a_lun_leaves_nothing_of_what_was_provisioned(self, bench: Bench) -> None:
        before = bench.state()
        bench.provision(wish())
        outcome, lun = bench.withdraw(WithdrawWish(address(), initiators=HOST_A, delete=True))
        assert (outcome.changed, lun, bench.state()) == (True, None, before)
        assert [action.split()[0] for action in outcome.actions] == ["unmap", "delete", "delete"]
        assert not bench.withdraw(WithdrawWish(address(), delete=True))[0].changed

    def test_finds_the_lun_by_its_name(self, bench: Bench) -> None:
        _first, made = bench.provision(wish())
        assert made is not None
        _first, lun = bench.withdraw(WithdrawWish(made.name))
        assert (lun and lun.path, ids(lun)) == ("/vol/vol_prod/new", {})
        bench.withdraw(WithdrawWish(made.name, delete=True))
        assert bench.withdraw(WithdrawWish(made.name, delete=True))[0].changed is False

    def test_is_only_promised_in_check_mode(self, bench: Bench) -> None:
        _first, made = bench.provision(wish())
        before = bench.state()
        outcome, lun = bench.withdraw(WithdrawWish(address(), delete=True), check_mode=True)
        assert (outcome.changed, lun, bench.state()) == (True, made, before)
        assert outcome.diff()["before"]["svm_san:/vol/vol_prod/new"][f"LUN id in igroup {GROUP}"] == 0

    def test_from_several_groups_must_be_said(self, bench: Bench) -> None:
        bench.provision(wish())
        bench.provision(wish(initiators=BOTH))
        with pytest.raises(
            Refused, match=rf"is mapped to several igroups \({GROUP}, {group_name(HOST_B)}|{group_name(HOST_B)}, {GROUP}\): say"
        ):
            bench.withdraw(WithdrawWish(address()))
        _first, lun = bench.withdraw(WithdrawWish(address(), initiators=[HOST_B[0].upper()]))
        assert ids(lun) == {GROUP: 0}

    def test_keeps_groups_that_we_did_not_make_or_that_have_other_luns(self, bench: Bench) -> None:
        bench.igroup("esx", HOST_B)
        before = bench.state()
        bench.provision(wish(address=address("other")))
        bench.provision(wish())
        bench.provision(wish(initiators=BOTH))
        bench.withdraw(WithdrawWish(address(), initiators=BOTH, delete=True))
        assert _groups(bench.state()) == {GROUP, *_groups(before)}
        bench.withdraw(WithdrawWish(address("other"), delete=True))
        assert bench.state() == before

    def test_does_not_delete_what_another_group_has(self, bench: Bench) -> None:
        bench.provision(wish())
        bench.provision(wish(initiators=BOTH))
        before = bench.state()
        with pytest.raises(Refused, match=rf"also mapped to igroups that were not named \({group_name(HOST_B)}\) and is not deleted"):
            bench.withdraw(WithdrawWish(address(), initiators=HOST_A, delete=True))
        assert bench.state() == before

    @pytest.mark.parametrize("state", ["offline", "restricted"])
    def test_that_the_array_would_not_delete_leaves_it_mapped(self, bench: Bench, state: str) -> None:
        bench.provision(wish())
        (volume,) = bench.client().records("/storage/volumes", ("uuid",), {"name": ["vol_prod"]})
        bench.client().patch(f"/storage/volumes/{volume['uuid']}", {"state": state}, 10)
        before, told = bench.state(), r"volume_offline, in which the array does not delete it: bring its volume online with `volume online"
        with pytest.raises(Refused, match=told):
            bench.withdraw(WithdrawWish(address(), HOST_A, delete=True))
        assert bench.state() == before
        bench.withdraw(WithdrawWish(address(), HOST_A))
        assert bench.state() != before

    def test_does_not_delete_what_somebody_mapped_meanwhile(self, bench: Bench) -> None:
        bench.provision(wish())
        change = bench.backend().plan_withdraw(WithdrawWish(address(), delete=True))
        bench.igroup("late", HOST_B)
        bench.map("/vol/vol_prod/new", "late", 0)
        before = bench.state()
        with pytest.raises(
            StepFailed, match=r"Could not delete LUN .*unmap it from its igroups first; undone: delete igroup .*, unmap LUN"
        ):
            carry_out(change.plan, False)
        assert bench.state() == before

    @pytest.mark.exhaustive
    @pytest.mark.parametrize("write", DELETIONS)
    @pytest.mark.parametrize(("action", "ends_well"), [(DROPPED_AFTER, True), (AS_JOB, True), (DROPPED_BEFORE, False)])
    def test_survives_a_lost_connection(self, bench: Bench, write: str, action: dict[str, Any], ends_well: bool) -> None:
        untouched = bench.state()
        bench.provision(wish())
        provisioned = bench.state()
        bench.fail(DELETIONS[write], action)
        wanted = WithdrawWish(address(), delete=True)
        if ends_well:
            bench.withdraw(wanted)
        else:
            with pytest.raises(StepFailed, match=r"was lost before the answer to (DELETE|lun-unmap|igroup-destroy|lun-destroy)"):
                bench.withdraw(wanted)
            begun = write == "delete LUN"
            assert (bench.state() == provisioned) is not begun, "what was before a deletion that may be under way is not undone"
            assert bench.backend().plan_withdraw(wanted).lun() is not None, "the LUN and its data are there"
            bench.withdraw(wanted)
        assert bench.state() == untouched


@pytest.mark.parametrize(("bench", "release"), EVERYWHERE, indirect=["bench"])
class TestOnEveryRelease:
    """A LUN tells who sees it from ONTAP 9.16.1 on, and never who is in nested groups: it is its group by which a mapping is known."""

    def test_a_mapped_lun_is_deleted(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        before = bench.state()
        bench.provision(wish())
        bench.withdraw(WithdrawWish(address(), initiators=HOST_A, delete=True))
        assert bench.state() == before

    def test_a_lun_of_nested_groups_is_deleted_and_the_groups_stay(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        bench.nest("both", host_a=HOST_A, host_b=HOST_B)
        before = bench.state()
        bench.lun(NEW)
        bench.map(NEW, "both", 3)
        untold = bench.transport == ZAPI  # which does not tell who is in groups of groups
        gone = WithdrawWish(address(), initiators=HOST_A, group="both" if untold else None, delete=True)
        assert bench.withdraw(gone)[0].changed
        assert bench.state() == before

    def test_a_lun_that_others_see_through_nested_groups_stays(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        bench.provision(wish())
        bench.nest("others", host_b=HOST_B)
        bench.map(NEW, "others", 3)
        before = bench.state()
        with pytest.raises(Refused, match=r"is also mapped to igroups that were not named \(others\) and is not deleted"):
            bench.withdraw(WithdrawWish(address(), initiators=HOST_A, delete=True))
        assert bench.state() == before


class TestWhatSomebodyElseDoesMeanwhile:
    def test_a_group_of_ours_that_this_run_did_not_empty_stays(self, bench: BenchInPlace) -> None:
        """Another run may be about to map its LUN there."""
        bench.provision(wish())
        bench.igroup(group_name(HOST_B), HOST_B)
        bench.withdraw(WithdrawWish(address(), delete=True))
        assert group_name(HOST_B) in _groups(bench.state())

    def test_a_lun_that_was_mapped_again_is_not_mapped_twice_on_the_way_back(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        before = bench.state()
        bench.fail(DELETIONS["delete igroup"], REFUSED)
        bench.meanwhile(DELETIONS["delete igroup"], lambda: bench.map(NEW, GROUP, 0))
        with pytest.raises(StepFailed) as told:
            bench.withdraw(WithdrawWish(address(), delete=True))
        assert "could not be undone" not in str(told.value)
        assert bench.state() == before

    def test_a_lun_that_is_deleted_while_it_is_unmapped_is_unmapped(self, bench: BenchInPlace) -> None:
        before = bench.state()
        bench.provision(wish())
        bench.meanwhile(DELETIONS["unmap"], lambda: bench.client().delete(f"/storage/luns/{bench.stored_lun().uuid}", 10), after=True)
        assert bench.withdraw(WithdrawWish(address(), delete=True))[0].changed
        assert bench.state() == before

    def test_a_lun_that_somebody_else_deletes_first_is_gone_all_the_same(self, bench: BenchInPlace) -> None:
        before = bench.state()
        bench.provision(wish())
        bench.meanwhile(DELETIONS["delete LUN"], lambda: bench.client().delete(f"/storage/luns/{bench.stored_lun().uuid}", 10))
        assert bench.withdraw(WithdrawWish(address(), delete=True))[0].changed
        assert bench.state() == before

    def test_a_group_to_which_another_lun_was_mapped_stays(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        bench.lun("/vol/vol_prod/late")
        bench.meanwhile(DELETIONS["delete igroup"], lambda: bench.map("/vol/vol_prod/late", GROUP, 5))
        bench.withdraw(WithdrawWish(address(), delete=True))
        assert GROUP in _groups(bench.state())
        assert bench.stored_lun() is None

    def test_a_map_without_an_id_is_not_made_again(self, array: Endpoint) -> None:
        site = Site(RestTransport(OntapClient(array.connection)), "svm1", "LUN", 1.0)
        UnmapLun(site, LunMapping("esx", "id-esx", None, ())).undo()
        assert array.asked == []


def test_a_diff_shows_all_that_goes(bench: BenchInPlace) -> None:
    bench.provision(wish())
    outcome, _lun = bench.withdraw(WithdrawWish(address(), delete=True), check_mode=True)
    lun, group = f"{SVM}:{NEW}", f"igroup {GROUP}"
    assert outcome.diff() == {
        "before": {
            lun: {f"LUN id in igroup {GROUP}": 0, "exists": True, "size_bytes": 10 * GIB, "os_type": "vmware"},
            group: {"exists": True, "initiators": sorted(HOST_A)},
        },
        "after": {lun: {f"LUN id in igroup {GROUP}": None, "exists": False}, group: {"exists": False}},
    }


def test_a_name_whose_maker_nobody_knows_is_refused_as_well(array: Endpoint) -> None:
    with pytest.raises(InvalidInput, match=r"is not the name of an ONTAP LUN \(its maker is not known\)"):
        OntapRest(array.connection).plan_withdraw(WithdrawWish(ScsiName("5000c5004f2d0bb3")))


def _groups(state: Any) -> set[str]:
    return {group["name"] for svm in state["svms"] if svm["name"] == SVM for group in svm["igroups"]}


def test_a_lun_whose_number_was_given_away_is_mapped_again_under_another_and_that_is_told(array: Endpoint) -> None:
    (step,) = steps(array, group("esx", A)).steps
    array.answer(Reply(), records({**LUN, "lun_maps": []}))
    step.do()
    step.verify()
    array.answer(records({**LUN, "lun_maps": []}), error(409, "1254208", "LUN id 0 is taken"), Reply(201, {"num_records": 1}))
    with pytest.raises(RemoteError, match=r"LUN id 0 was given to another LUN meanwhile, so that it is mapped again under another id"):
        step.undo()
    assert [asked.body.get("logical_unit_number") for asked in array.asked if asked.method == "POST"] == [0, None]


@pytest.mark.parametrize("code", ["5374922", "5374878", "5374875"], ids=["map", "igroup", "LUN"])
def test_what_somebody_else_has_deleted_meanwhile_needs_no_unmapping(array: Endpoint, code: str) -> None:
    (step,) = steps(array, group("esx", A)).steps
    array.answer(error(404, code, "does not exist"), records({**LUN, "lun_maps": []}))
    step.do()
    step.verify()
