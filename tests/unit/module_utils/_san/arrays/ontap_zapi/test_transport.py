# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ZAPI does otherwise than REST: paths instead of UUIDs, no comments, one initiator at a time."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault, OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import carry_out
from tests.unit.ontap import GIB, HOST_A, HOST_B, SVM, address, wish
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import BOTH, DROPPED_AFTER, DROPPED_BEFORE, GROUP, NEW, NO_INTERFACE, WRITES, Users, groups, join, members

pytestmark = pytest.mark.slow

LAST = max(HOST_A)
"""Who is added last."""


def provisioned(bench: BenchInPlace) -> Lun:
    _outcome, made = bench.provision(wish())
    assert made is not None
    return made


class TestALun:
    def test_that_was_renamed_meanwhile_is_the_one_that_is_changed(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        change = bench.backend().plan_provision(wish(size_bytes=20 * GIB))
        bench.stored_lun().base_name = "renamed"
        bench.lun(NEW, GIB)
        carry_out(change.plan, False)
        assert bench.stored_lun("/vol/vol_prod/renamed").size == 20 * GIB
        assert bench.stored_lun().size == GIB, "another one is at its path"

    def test_that_is_gone_is_not_the_one_that_is_at_its_path_now(self, bench: BenchInPlace) -> None:
        _first, made = bench.provision(wish(initiators=()))
        assert made is not None
        bench.client().delete(f"/storage/luns/{made.id}", 10)
        bench.lun(NEW)
        with pytest.raises(OntapRefusal) as told:
            bench.backend()._transport.delete_lun(made, 10)
        assert told.value.fault is Fault.NO_LUN
        assert bench.stored_lun() is not None

    def test_that_is_mapped_and_offline_is_not_deleted_although_the_array_would(self, bench: BenchInPlace) -> None:
        made = provisioned(bench)
        bench.stored_lun().enabled = False
        with pytest.raises(OntapRefusal) as told:
            bench.backend()._transport.delete_lun(made, 10)
        assert told.value.fault is Fault.LUN_IS_MAPPED
        assert bench.stored_lun() is not None

    def test_does_not_shrink(self, bench: BenchInPlace) -> None:
        made = provisioned(bench)
        with pytest.raises(OntapRefusal):
            bench.backend()._transport.grow_lun(made, made.size_bytes // 2, 10)
        assert bench.stored_lun().size == made.size_bytes

    def test_that_is_not_mapped_cannot_be_unmapped(self, bench: BenchInPlace) -> None:
        made = provisioned(bench)
        (mapping,) = made.mappings
        bench.backend()._transport.unmap_lun(made, mapping, 10)
        with pytest.raises(OntapRefusal, match=f"is not mapped to igroup {GROUP}") as told:
            bench.backend()._transport.unmap_lun(made, mapping, 10)
        assert told.value.fault is Fault.NO_MAP

    def test_shows_nobody_its_data(self, bench: BenchInPlace) -> None:
        made = provisioned(bench)
        with pytest.raises(Refused, match="ZAPI shows nobody the data of LUN /vol/vol_prod/new: ask the array by REST"):
            bench.backend().read(made, 0, 512)

    def test_in_a_snapshot_is_none(self, bench: BenchInPlace, monkeypatch: pytest.MonkeyPatch) -> None:
        bench.lun(NEW)
        bench.stored_lun().uuid = ""
        assert bench.backend().plan_withdraw(WithdrawWish(address())).lun() is None


class TestAGroup:
    def test_that_could_not_be_filled_is_deleted_again(self, bench: BenchInPlace) -> None:
        before = bench.state()
        bench.fail(f"ZAPI igroup-add.*{LAST}", NO_INTERFACE)
        with pytest.raises(StepFailed, match="A node has no interface"):
            bench.provision(wish())
        assert bench.state() == before

    def test_that_lost_who_was_added_on_the_way_is_deleted_again(self, bench: BenchInPlace) -> None:
        before = bench.state()
        bench.fail(f"ZAPI igroup-add.*{LAST}", DROPPED_BEFORE)
        with pytest.raises(StepFailed, match="lost before the answer to igroup-add"):
            bench.provision(wish())
        assert bench.state() == before

    def test_that_could_not_be_filled_stays_with_somebody_else_who_came_into_it(self, bench: BenchInPlace) -> None:
        bench.meanwhile(f"ZAPI igroup-add.*{LAST}", lambda: join(bench, GROUP, HOST_B[0]))
        bench.fail(f"ZAPI igroup-add.*{LAST}", NO_INTERFACE)
        with pytest.raises(StepFailed, match="A node has no interface"):
            bench.provision(wish())
        assert HOST_B[0] in members(bench, GROUP)

    @pytest.mark.parametrize(("put_in", "os_type"), [(HOST_B[:1], "vmware"), ((), "linux")], ids=["with members", "of another os_type"])
    def test_of_that_name_that_somebody_else_made_while_our_answer_was_lost_is_left_alone(
        self, bench: BenchInPlace, put_in: tuple[str, ...], os_type: str
    ) -> None:
        bench.fail(WRITES["create igroup"], DROPPED_BEFORE)
        bench.meanwhile(WRITES["create igroup"], lambda: bench.igroup(GROUP, put_in, os_type))
        with pytest.raises(StepFailed):
            bench.provision(wish())
        assert set(members(bench, GROUP)) == set(put_in)

    def test_that_is_gone_is_told(self, bench: BenchInPlace) -> None:
        transport = bench.backend()._transport
        with pytest.raises(OntapRefusal, match=f"Igroup {SVM}:gone is not there any more") as told:
            transport.delete_group(SVM, Group("g-0", "gone", "linux", "iscsi", frozenset()), 10)
        assert told.value.fault is Fault.NO_GROUP

    def test_that_was_filled_although_no_answer_said_so_is_as_it_shall_be(self, bench: BenchInPlace) -> None:
        bench.fail("ZAPI igroup-add", DROPPED_AFTER)
        bench.provision(wish())
        assert not bench.provision(wish())[0].changed

    def test_that_a_killed_run_left_half_filled_is_filled_by_the_next(self, bench: BenchInPlace) -> None:
        bench.igroup(GROUP, HOST_A[:1])
        bench.provision(wish())
        assert not bench.provision(wish())[0].changed

    def test_that_a_killed_run_left_half_filled_goes_with_the_removal(self, bench: BenchInPlace) -> None:
        before = groups(bench.state())
        bench.igroup(GROUP, HOST_A[:1])
        bench.withdraw(WithdrawWish(address(), initiators=HOST_A, delete=True))
        assert groups(bench.state()) == before

    @pytest.mark.parametrize(("members", "used"), [(HOST_B[:1], False), (HOST_A[:1], True)], ids=["of others", "mapped"])
    def test_of_that_name_that_is_somebody_elses_by_now_is_left_alone(
        self, bench: BenchInPlace, members: tuple[str, ...], used: bool
    ) -> None:
        bench.igroup(GROUP, members)
        if used:
            bench.lun("/vol/vol_prod/other")
            bench.map("/vol/vol_prod/other", GROUP, 0)
        before = bench.state()
        with pytest.raises(Refused, match="no longer holds exactly the initiators it was made for"):
            bench.provision(wish())
        bench.withdraw(WithdrawWish(address(), initiators=HOST_A, delete=True))
        assert bench.state() == before

    def test_whose_making_was_not_answered_stays_when_the_run_fails_later(self, bench: BenchInPlace) -> None:
        bench.fail(WRITES["create igroup"], DROPPED_AFTER)
        bench.fail(WRITES["map"], NO_INTERFACE)
        with pytest.raises(StepFailed, match=r"could not be undone .*create igroup .* \(nobody can tell whether this run made it\)"):
            bench.provision(wish())
        assert GROUP in groups(bench.state())

    def test_that_somebody_made_anew_meanwhile_is_not_taken_for_ours(self, bench: BenchInPlace) -> None:
        bench.fail(WRITES["map"], NO_INTERFACE)

        def made_anew() -> None:
            svm = next(svm for svm in bench.server.array.svms if svm.name == SVM)
            next(group for group in svm.igroups if group.name == GROUP).uuid = "another"

        bench.meanwhile(WRITES["map"], made_anew)
        with pytest.raises(StepFailed):
            bench.provision(wish())
        assert GROUP in groups(bench.state())

    def test_that_tells_nobody_may_be_one_of_groups(self, bench: BenchInPlace) -> None:
        bench.nest("both", host_a=HOST_A, host_b=HOST_B)
        bench.lun(NEW, 10 * GIB)
        bench.map(NEW, "both", 3)
        with pytest.raises(Refused, match=r"is mapped to igroup both \(its members are not told\) too, and nobody can tell"):
            bench.provision(wish(exclusive=True))
        with pytest.raises(Refused, match=r"is also mapped to igroups that were not named \(both\)"):
            bench.withdraw(WithdrawWish(address(), initiators=HOST_A, delete=True))


class TestInitiatorsThatJoinAGroup:
    @pytest.fixture
    def extended(self, bench: BenchInPlace) -> BenchInPlace:
        bench.igroup("esx", HOST_A)
        bench.lun(NEW, 10 * GIB)
        return bench

    def test_are_taken_out_again_when_one_of_them_is_refused(self, extended: BenchInPlace) -> None:
        before = extended.state()
        extended.fail(f"ZAPI igroup-add.*{max(HOST_B)}", NO_INTERFACE)
        with pytest.raises(StepFailed, match="A node has no interface"):
            extended.provision(wish(initiators=BOTH, group="esx"))
        assert extended.state() == before

    def test_stay_when_one_of_them_is_refused_and_somebody_uses_what_they_see(self, extended: BenchInPlace) -> None:
        extended.map(NEW, "esx", 3)
        extended.fail(f"ZAPI igroup-add.*{max(HOST_B)}", NO_INTERFACE)
        with pytest.raises(StepFailed, match="VM app has LUN"):
            extended.provision(wish(initiators=BOTH, group="esx"), last_look=Users(since=1))
        (group,) = [one for svm in extended.server.array.svms for one in svm.igroups if one.name == "esx"]
        assert set(group.initiators) == {*HOST_A, min(HOST_B)}

    def test_whose_adding_was_not_answered_stay_when_the_run_fails_later(self, extended: BenchInPlace) -> None:
        extended.fail(f"ZAPI igroup-add.*{min(HOST_B)}", DROPPED_AFTER)
        extended.fail(WRITES["map"], NO_INTERFACE)
        with pytest.raises(StepFailed, match=rf"could not be undone .*\(nobody can tell whether this run added {min(HOST_B)}\)"):
            extended.provision(wish(initiators=BOTH, group="esx"), last_look=Users())
        (group,) = [one for svm in extended.server.array.svms for one in svm.igroups if one.name == "esx"]
        assert set(group.initiators) == {*HOST_A, min(HOST_B)}

    def test_that_never_arrived_are_told(self, extended: BenchInPlace) -> None:
        before = extended.state()
        extended.fail("ZAPI igroup-add", DROPPED_BEFORE)
        with pytest.raises(StepFailed, match="was lost before the answer to igroup-add"):
            extended.provision(wish(initiators=BOTH, group="esx"))
        assert extended.state() == before


def test_a_group_that_was_renamed_meanwhile_is_the_one_that_is_unmapped_and_deleted(bench: BenchInPlace) -> None:
    bench.provision(wish())
    change = bench.backend().plan_withdraw(WithdrawWish(address(), initiators=HOST_A, delete=True))
    before = groups(bench.state()) - {GROUP}
    svm = next(svm for svm in bench.server.array.svms if svm.name == SVM)
    next(group for group in svm.igroups if group.name == GROUP).name = "renamed"
    carry_out(change.plan, False)
    assert groups(bench.state()) == before
