# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN that is mapped: under which number, to whom it is not, and who keeps it when the mapping is taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import provision
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import group_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, StepFailed
from tests.lab.ontap.state import ZAPI
from tests.ontap_backend import Bench, ids
from tests.unit.module_utils._san.arrays.ontap_rest.test_lookup import LUN
from tests.unit.ontap import GIB, HOST_A, HOST_B, Endpoint, address, records, wish
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import (
    BOTH,
    DROPPED_AFTER,
    DROPPED_BEFORE,
    GROUP,
    NEW,
    NO_INTERFACE,
    READS_OF_A_MAPPED_LUN,
    SENT,
    WRITES,
    Users,
    group_uuid,
    grow_and_map,
    mappings,
)
from tests.unit.ports import NAME, lun

pytestmark = pytest.mark.slow


class TestInitiators:
    def test_that_are_new_get_the_lun_under_the_same_id(self, bench: Bench) -> None:
        bench.provision(wish(lun_id=4))
        outcome, lun = bench.provision(wish(initiators=BOTH))
        assert ids(lun) == {GROUP: 4, group_name(HOST_B): 4}
        assert len(outcome.actions) == 2

    def test_of_an_existing_group_of_exactly_these_share_it(self, bench: Bench) -> None:
        bench.igroup("mine", [name.upper() for name in HOST_A])
        _first, lun = bench.provision(wish())
        assert ids(lun) == {"mine": 0}

    def test_extend_the_group_that_was_named(self, bench: Bench) -> None:
        bench.igroup("esx", HOST_A)
        _first, lun = bench.provision(wish(initiators=BOTH, group="esx"))
        assert lun is not None
        assert (ids(lun), set(lun.mappings[0].initiators)) == ({"esx": 0}, set(BOTH))

    def test_extend_a_group_that_has_the_lun_already(self, bench: Bench) -> None:
        bench.provision(wish(group="esx", lun_id=9))
        outcome, lun = bench.provision(wish(initiators=BOTH, group="esx"))
        assert (ids(lun), len(outcome.actions)) == ({"esx": 9}, 1)
        assert outcome.diff()["after"] == {"igroup esx": {"initiators": sorted(BOTH)}}

    def test_get_the_lowest_id_that_is_free_in_all_their_groups(self, bench: Bench) -> None:
        bench.igroup("a", HOST_A)
        bench.igroup("b", HOST_B)
        for lun_id, (name, igroup) in enumerate([("l0", "a"), ("l1", "b"), ("l2", "a")]):
            bench.lun(f"/vol/vol_prod/{name}")
            bench.map(f"/vol/vol_prod/{name}", igroup, lun_id)
        assert ids(bench.provision(wish(initiators=BOTH))[1]) == {group_name(BOTH): 3}

    def test_cannot_see_two_luns_under_one_id(self, bench: Bench) -> None:
        bench.igroup("a", HOST_A)
        bench.lun("/vol/vol_prod/other")
        bench.map("/vol/vol_prod/other", "a", 7)
        before = bench.state()
        with pytest.raises(Refused, match=r"LUN id 7 is taken by LUN svm_san:/vol/vol_prod/other"):
            bench.provision(wish(initiators=BOTH, lun_id=7))
        assert bench.state() == before

    def test_keep_the_id_that_they_have(self, bench: Bench) -> None:
        bench.provision(wish(lun_id=4))
        with pytest.raises(Refused, match="already mapped as LUN id 4, not 5"):
            bench.provision(wish(lun_id=5))


class TestAMapOfSomebodyElse:
    def test_is_not_the_one_that_is_undone(self, bench: BenchInPlace) -> None:
        wanted = grow_and_map(bench)
        before = bench.state()
        with pytest.raises(StepFailed, match="undone: map LUN"):
            bench.provision(wanted, last_look=Users())
        assert bench.state() == before

    def test_in_the_same_group_stays_when_this_run_did_not_map(self, bench: BenchInPlace) -> None:
        bench.igroup("b", HOST_B)
        wanted = grow_and_map(bench)
        bench.meanwhile(WRITES["map"], lambda: bench.map(NEW, "b", 4))
        with pytest.raises(StepFailed):
            bench.provision(wanted)
        assert {one.igroup.name for svm in bench.server.array.svms for one in svm.maps if one.lun is bench.stored_lun()} == {GROUP, "b"}

    def test_under_another_id_is_not_the_one_that_is_undone(self, bench: BenchInPlace) -> None:
        bench.igroup("b", HOST_B)
        wanted = grow_and_map(bench)

        def moved() -> None:
            (ours,) = [one for svm in bench.server.array.svms for one in svm.maps if one.igroup.name == "b"]
            ours.number = 9

        bench.meanwhile(WRITES["grow"], moved)
        with pytest.raises(StepFailed):
            bench.provision(wanted)
        assert [one.number for svm in bench.server.array.svms for one in svm.maps if one.igroup.name == "b"] == [9]

    def test_whose_answer_was_lost_is_undone_too(self, bench: BenchInPlace) -> None:
        wanted = grow_and_map(bench)
        before = bench.state()
        bench.fail(WRITES["map"], DROPPED_AFTER)
        with pytest.raises(StepFailed, match="undone: map LUN"):
            bench.provision(wanted, last_look=Users())
        assert bench.state() == before

    def test_of_a_lun_that_is_gone_leaves_nothing_to_undo(self, bench: BenchInPlace) -> None:
        wanted = grow_and_map(bench)
        lun = bench.stored_lun()
        force = {"allow_delete_while_mapped": "true"}
        bench.meanwhile(WRITES["grow"], lambda: bench.client().delete(f"/storage/luns/{lun.uuid}", 10, **force))
        with pytest.raises(StepFailed) as told:
            bench.provision(wanted)
        assert "could not be undone" not in str(told.value)

    @pytest.mark.parametrize(
        "action", [NO_INTERFACE, {"error": {"code": 1254208, "message": "LUN id in use."}}], ids=["refusal", "no race"]
    )
    def test_is_tried_once_when_nobody_took_the_id(self, bench: BenchInPlace, action: dict[str, Any]) -> None:
        bench.fail(WRITES["map"], action)
        with bench.counted() as sent, pytest.raises(StepFailed, match=action["error"]["message"].rstrip(".")):
            bench.provision(wish())
        assert sent.count(SENT[bench.transport]["map"]) == 1

    def test_may_take_one_id_after_the_other_until_we_give_up(self, bench: BenchInPlace) -> None:
        bench.igroup("a", HOST_A)

        def take(number: int) -> Callable[[], object]:
            return lambda: bench.map(f"/vol/vol_prod/faster{number}", "a", number)

        for number in range(5):
            bench.lun(f"/vol/vol_prod/faster{number}")
            bench.meanwhile(WRITES["map"], take(number))
        with pytest.raises(StepFailed, match=r"LUN id 5 and 4 before it were taken by somebody else meanwhile: run the task again"):
            bench.provision(wish())
        assert bench.stored_lun() is None

    def test_through_another_group_ends_the_attempt(self, bench: BenchInPlace) -> None:
        group = bench.igroup("mine", HOST_A)
        bench.lun(NEW, 10 * GIB)

        def exchanged() -> None:
            bench.client().delete(f"/protocols/san/igroups/{group['uuid']}", 10)
            bench.igroup("other", HOST_A)
            bench.lun("/vol/vol_prod/faster")
            bench.map("/vol/vol_prod/faster", "other", 0)

        bench.meanwhile(WRITES["map"], exchanged)
        bench.fail(WRITES["map"], {"error": {"code": 1254208, "message": "LUN id in use."}})
        with bench.counted() as sent, pytest.raises(StepFailed, match="LUN id in use"):
            bench.provision(wish())
        assert sent.count(SENT[bench.transport]["map"]) + (bench.transport == ZAPI) == 2, (
            "somebody else's, who acts by REST, and one of ours"
        )


class TestALunThatNobodyElseShallSee:
    """`exclusive`: what others see already may hold their data."""

    def test_is_mapped_while_nobody_else_sees_it(self, bench: BenchInPlace) -> None:
        assert bench.provision(wish(exclusive=True))[0].changed
        assert not bench.provision(wish(exclusive=True))[0].changed

    def test_is_not_mapped_to_others_than_those_who_see_it(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        before = bench.state()
        with pytest.raises(
            Refused, match=rf"is mapped to {HOST_A[1]}, {HOST_A[0]} too, and nobody can tell whether it is used there"
        ) as told:
            bench.provision(wish(initiators=HOST_B, exclusive=True))
        assert "vouch for it with assume_unused=true " in str(told.value)
        assert bench.state() == before
        assert bench.provision(wish(initiators=HOST_B))[0].changed

    def test_is_mapped_to_more_hosts_of_those_who_see_it(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        assert bench.provision(wish(initiators=[*HOST_A, *HOST_B], exclusive=True))[0].changed

    def test_is_taken_back_by_whoever_sees_that_another_run_has_mapped_it_at_once(self, bench: BenchInPlace) -> None:
        bench.provision(wish(initiators=()))
        bench.meanwhile(WRITES["map"], lambda: bench.provision(wish(initiators=HOST_B)))
        with pytest.raises(StepFailed, match=r"nobody can tell whether it is used there.*undone: map LUN"):
            bench.provision(wish(exclusive=True), last_look=Users())
        lun = bench.backend().plan_provision(wish(initiators=())).lun()
        assert lun is not None
        assert [set(mapping.initiators) for mapping in lun.mappings] == [set(HOST_B)]

    def test_is_not_deleted_by_the_run_that_made_it_once_others_have_mapped_it(self, bench: BenchInPlace) -> None:
        bench.meanwhile(WRITES["map"], lambda: bench.provision(wish(initiators=HOST_B)))
        with pytest.raises(StepFailed, match=r"could not be undone .*: create LUN .*has been mapped to other initiators since"):
            bench.provision(wish(exclusive=True))
        assert bench.stored_lun() is not None


def test_a_lun_of_a_group_that_the_array_does_not_tell_is_seen_by_nobody_knows_whom(array: Endpoint) -> None:
    untold = {**LUN, "lun_maps": [{"logical_unit_number": 0, "igroup": {"name": "ig1", "uuid": "ig-1"}}]}
    array.answer(records(untold), records())
    wanted = wish(address=address("qtree1/lun1", "vol1", "svm1"), size_bytes=None, exclusive=True)
    with pytest.raises(Refused, match=r"is mapped to igroup ig1 \(its members are not told\) too, and nobody can tell whether it is used"):
        OntapRest(array.connection).plan_provision(wanted)


def test_the_members_of_a_group_that_the_user_names_are_no_strangers(bench: BenchInPlace) -> None:
    bench.provision(wish(initiators=[*HOST_A, *HOST_B], group="both_hosts"))
    bench.client().delete(f"/protocols/san/lun-maps/{bench.stored_lun().uuid}/{group_uuid(bench, 'both_hosts')}", 10)
    assert bench.provision(wish(group="both_hosts", exclusive=True))[0].changed


def test_a_mapping_by_which_somebody_has_written_since_is_not_taken_back(bench: BenchInPlace) -> None:
    bench.provision(wish(initiators=()))
    bench.meanwhile(WRITES["grow"], lambda: setattr(bench.stored_lun(), "used", 4096))
    bench.fail(WRITES["grow"], NO_INTERFACE)
    with pytest.raises(
        StepFailed, match=r"could not be undone .*map LUN .*has been written to since it was mapped, so that somebody has it"
    ):
        bench.provision(wish(size_bytes=20 * GIB))
    lun = bench.backend().plan_provision(wish(initiators=(), size_bytes=None)).lun()
    assert lun is not None
    assert len(lun.mappings) == 1


class TestAMappingThatIsTakenBack:
    """Who has got the LUN by it keeps it: hypervisors are asked right before it is unmapped, and right after."""

    def test_stays_when_somebody_uses_the_lun_by_then(self, bench: BenchInPlace) -> None:
        wanted, users = grow_and_map(bench), Users(since=1)
        told = r"left as it is: map LUN .* \(VM app has LUN /vol/vol_prod/new\), create igroup .* \(LUNs are mapped to it\)"
        with bench.counted() as sent, pytest.raises(StepFailed, match=told):
            bench.provision(wanted, last_look=users)
        assert mappings(bench) == {GROUP: 4, group_name(HOST_B): 4}
        assert not [request for request in sent if request.startswith(SENT[bench.transport]["unmap"])]
        assert users.asked == [(["/vol/vol_prod/new"], False)]

    def test_is_made_again_when_somebody_got_the_lun_in_between(self, bench: BenchInPlace) -> None:
        wanted, gone = grow_and_map(bench), list[dict[str, int]]()
        with pytest.raises(StepFailed, match=r"could not be undone .*: map LUN .* \(VM app has LUN"):
            bench.provision(wanted, last_look=Users(since=2, meanwhile=lambda: gone.append(mappings(bench))))
        assert (gone, mappings(bench)) == ([{GROUP: 4}], {GROUP: 4, group_name(HOST_B): 4})

    def test_is_made_again_under_another_number_when_its_own_was_given_away(self, bench: BenchInPlace) -> None:
        wanted = grow_and_map(bench)
        bench.lun("/vol/vol_prod/faster")

        def taken() -> None:
            bench.map("/vol/vol_prod/faster", group_name(HOST_B), 4)

        told = (
            r"\(VM app has LUN /vol/vol_prod/new; it had been unmapped and could not be mapped again as it was "
            r"\(LUN id 4 was given to another LUN meanwhile, so that it is mapped again under another id"
        )
        with pytest.raises(StepFailed, match=told):
            bench.provision(wanted, last_look=Users(since=2, meanwhile=taken))
        assert mappings(bench) == {GROUP: 4, group_name(HOST_B): 0}

    def test_that_cannot_be_made_again_is_told_with_the_array_s_reason(self, bench: BenchInPlace) -> None:
        wanted = grow_and_map(bench)
        users = Users(since=2, meanwhile=lambda: bench.fail(WRITES["map"], NO_INTERFACE))
        with pytest.raises(StepFailed, match=r"could not be mapped again as it was \(A node has no interface"):
            bench.provision(wanted, last_look=users)
        assert mappings(bench) == {GROUP: 4}

    def test_goes_from_a_lun_that_held_data_before(self, bench: BenchInPlace) -> None:
        wanted = grow_and_map(bench)
        bench.stored_lun().used = 4096
        with pytest.raises(StepFailed, match="undone: map LUN"):
            bench.provision(wanted, last_look=Users())
        assert mappings(bench) == {GROUP: 4}

    @pytest.mark.parametrize(("before", "now"), [(None, None), (None, 0), (0, None)])
    def test_stays_where_nobody_tells_what_the_lun_holds(self, before: int | None, now: int | None) -> None:
        with pytest.raises(Refused, match="so that somebody has it, and stays mapped"):
            provision._refuse_if_written_since(before, replace(lun(NAME), used_bytes=now), "svm1:/vol/v1/l1")

    def test_is_not_one_that_somebody_else_made_under_another_number(self, bench: BenchInPlace) -> None:
        wanted = grow_and_map(bench)
        bench.meanwhile(WRITES["map"], lambda: bench.map(NEW, group_name(HOST_B), 9))
        bench.fail(WRITES["map"], DROPPED_BEFORE)
        with pytest.raises(StepFailed):
            bench.provision(wanted, last_look=Users())
        assert mappings(bench) == {GROUP: 4, group_name(HOST_B): 9}

    def test_is_made_again_with_its_group_when_a_removal_took_that_meanwhile(self, bench: BenchInPlace) -> None:
        wanted = grow_and_map(bench)

        def swept() -> None:
            bench.client().delete(f"/protocols/san/igroups/{group_uuid(bench, group_name(HOST_B))}", 10)

        with pytest.raises(StepFailed, match=r"could not be undone .*: map LUN .* \(VM app has LUN"):
            bench.provision(wanted, last_look=Users(since=2, meanwhile=swept))
        assert mappings(bench) == {GROUP: 4, group_name(HOST_B): 4}

    def test_stays_when_nobody_was_named_who_could_tell(self, bench: BenchInPlace) -> None:
        with pytest.raises(StepFailed, match=r"left as it is: map LUN .* \(nobody was named who knows .* give the hypervisor to ask\)"):
            bench.provision(grow_and_map(bench))
        assert mappings(bench) == {GROUP: 4, group_name(HOST_B): 4}

    @pytest.mark.parametrize("since", [1, 2, 3], ids=["before the unmapping", "after it", "before the deletion"])
    def test_is_left_with_a_lun_of_this_run_that_somebody_uses(self, bench: BenchInPlace, since: int) -> None:
        bench.fail(WRITES["map"], DROPPED_AFTER)
        bench.fail(READS_OF_A_MAPPED_LUN, NO_INTERFACE)
        users = Users(since)
        with pytest.raises(StepFailed, match=r"could not be undone .*create LUN .* \(VM app has LUN"):
            bench.provision(wish(), last_look=users)
        assert mappings(bench) == ({GROUP: 0} if since < 3 else {})
        assert bench.stored_lun() is not None
        assert {made for _luns, made in users.asked} == {True}
