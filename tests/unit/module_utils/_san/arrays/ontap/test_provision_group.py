# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Groups that are made or joined: what others do to them meanwhile, and what an undo takes back."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import group_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import StepFailed
from tests.lab.ontap.state import REST, ZAPI
from tests.unit.ontap import GIB, HOST_A, HOST_B, wish
from tests.unit.ontap_array import BenchInPlace, fresh
from tests.unit.ontap_provision import (
    BOTH,
    DROPPED_AFTER,
    DROPPED_BEFORE,
    GROUP,
    NEW,
    NO_INTERFACE,
    WRITES,
    Users,
    group_uuid,
    groups,
    join,
    members,
)

pytestmark = pytest.mark.slow


class TestAGroupOfSomebodyElse:
    def test_is_shared_and_stays_when_this_run_fails(self, bench: BenchInPlace) -> None:
        bench.meanwhile(WRITES["create igroup"], lambda: bench.igroup(GROUP, HOST_A))
        bench.fail(WRITES["map"], NO_INTERFACE)
        with pytest.raises(StepFailed):
            bench.provision(wish())
        assert GROUP in groups(bench.state())

    @pytest.mark.parametrize(
        ("members", "os_type"), [(HOST_A[:1], "vmware"), (HOST_A, "linux")], ids=["other initiators", "another os_type"]
    )
    def test_that_holds_others_is_not_shared(self, bench: BenchInPlace, members: tuple[str, ...], os_type: str) -> None:
        bench.meanwhile(WRITES["create igroup"], lambda: bench.igroup(GROUP, members, os_type))
        with pytest.raises(StepFailed, match="run the task again"):
            bench.provision(wish())
        assert GROUP in groups(bench.state())
        assert bench.stored_lun() is None

    def test_is_no_excuse_for_another_refusal(self, bench: BenchInPlace) -> None:
        bench.meanwhile(WRITES["create igroup"], lambda: bench.igroup(GROUP, HOST_A))
        bench.fail(WRITES["create igroup"], NO_INTERFACE)
        with pytest.raises(StepFailed, match="A node has no interface"):
            bench.provision(wish())

    def test_that_is_gone_again_before_it_is_looked_at_is_the_refusal_that_it_was(self, bench: BenchInPlace) -> None:
        bench.fail(WRITES["create igroup"], {"error": {"code": 5374023, "message": "It exists."}})
        with pytest.raises(StepFailed, match="It exists"):
            bench.provision(wish())
        assert GROUP not in groups(bench.state())

    def test_that_came_in_place_of_ours_is_not_spoken_of(self, bench: BenchInPlace) -> None:
        bench.fail(WRITES["create igroup"], DROPPED_BEFORE)
        bench.meanwhile(WRITES["create igroup"], lambda: bench.igroup(GROUP, HOST_B))
        with pytest.raises(StepFailed) as told:
            bench.provision(wish())
        assert "nobody can tell" not in str(told.value)
        assert "came into it" not in str(told.value)
        assert set(members(bench, GROUP)) == set(HOST_B)

    def test_that_replaced_ours_stays(self, bench: BenchInPlace) -> None:
        def replaced() -> None:
            client = bench.client()
            (ours,) = client.records("/protocols/san/igroups", ("uuid",), {"name": [GROUP]})
            client.delete(f"/protocols/san/igroups/{ours['uuid']}", 10)
            bench.igroup(GROUP, HOST_A)

        bench.fail(WRITES["map"], NO_INTERFACE)
        bench.meanwhile(WRITES["map"], replaced)
        with pytest.raises(StepFailed):
            bench.provision(wish())
        assert GROUP in groups(bench.state())

    @pytest.mark.parametrize("name", [GROUP, "esx"], ids=["made", "extended"])
    def test_who_deleted_it_leaves_nothing_to_undo(self, bench: BenchInPlace, name: str) -> None:
        def deleted() -> None:
            client = bench.client()
            (ours,) = client.records("/protocols/san/igroups", ("uuid",), {"name": [name]})
            client.delete(f"/protocols/san/igroups/{ours['uuid']}", 10)

        if name == "esx":
            bench.igroup(name, HOST_A)
        bench.fail(WRITES["map"], NO_INTERFACE)
        bench.meanwhile(WRITES["map"], deleted)
        with pytest.raises(StepFailed) as told:
            bench.provision(wish(initiators=BOTH, group="esx") if name == "esx" else wish())
        assert "could not be undone" not in str(told.value)

    def test_that_has_luns_gives_back_the_initiators_it_took(self, bench: BenchInPlace) -> None:
        bench.igroup("esx", HOST_A)
        bench.lun("/vol/vol_prod/other")
        bench.map("/vol/vol_prod/other", "esx", 0)
        before = bench.state()
        bench.fail(WRITES["map"], NO_INTERFACE)
        with pytest.raises(StepFailed, match="undone: add"):
            bench.provision(wish(initiators=BOTH, group="esx"), last_look=Users())
        assert bench.state() == before

    def test_that_is_deleted_before_it_is_extended_is_told(self, bench: BenchInPlace) -> None:
        group = bench.igroup("esx", HOST_A)
        bench.fail(WRITES["add initiators"], {"error": {"code": 5374035, "message": "Already a member."}})
        bench.meanwhile(WRITES["add initiators"], lambda: bench.client().delete(f"/protocols/san/igroups/{group['uuid']}", 10))
        with pytest.raises(StepFailed, match="Could not add"):
            bench.provision(wish(initiators=BOTH, group="esx"))

    def test_that_others_change_all_the_time_is_given_up(self, bench: BenchInPlace) -> None:
        bench.igroup("esx", HOST_A)
        already = {"error": {"code": 5374035, "message": "Already a member."}}
        bench.server.control("POST", "/faults", {"match": WRITES["add initiators"], "times": 5, "action": already})
        with pytest.raises(StepFailed, match="Igroup svm_san:esx is being changed by somebody else: run the task again"):
            bench.provision(wish(initiators=BOTH, group="esx"))
        assert bench.stored_lun() is None


class TestAGroupThatThisRunMade:
    def test_is_told_when_it_does_not_hold_what_it_was_made_with(self, bench: BenchInPlace) -> None:
        last = WRITES["create igroup"] if bench.transport == REST else rf"ZAPI igroup-add.*{max(HOST_A)}"
        bench.meanwhile(last, lambda: members(bench, GROUP).pop(HOST_A[0]), after=True)
        with pytest.raises(StepFailed, match=f"Igroup svm_san:{GROUP} does not hold what it was created with"):
            bench.provision(wish())

    def test_stays_with_an_initiator_that_came_into_it(self, bench: BenchInPlace) -> None:
        bench.fail(WRITES["map"], NO_INTERFACE)
        bench.meanwhile(WRITES["map"], lambda: join(bench, GROUP, HOST_B[0]))
        with pytest.raises(StepFailed, match=f"create igroup .*{HOST_B[0]} came into it since it was made"):
            bench.provision(wish())
        assert HOST_B[0] in members(bench, GROUP)


class TestInitiatorsThatAreTakenOutAgain:
    """They have come to see every LUN of the group."""

    OTHER = "/vol/vol_prod/other"

    def joined(self, bench: BenchInPlace, users: Users, then: str = "") -> set[str]:
        """The group's members after its newcomers were to be taken out again, when somebody had come to use a LUN."""
        bench.igroup("esx", HOST_A)
        bench.lun(self.OTHER)
        bench.map(self.OTHER, "esx", 0)
        bench.fail(WRITES["map"], NO_INTERFACE)
        with pytest.raises(StepFailed, match=rf"left as it is: add .* \(VM app has LUN {self.OTHER}{then}\)"):
            bench.provision(wish(initiators=BOTH, group="esx"), last_look=users)
        return {name for svm in bench.server.array.svms for group in svm.igroups if group.name == "esx" for name in group.initiators}

    def test_stay_when_somebody_uses_one_of_its_luns_by_then(self, bench: BenchInPlace) -> None:
        users = Users(since=1)
        with bench.counted() as sent:
            assert self.joined(bench, users) == set(BOTH)
        assert not [request for request in sent if request.startswith("DELETE /api/protocols/san/igroups")]
        assert users.asked[0] == ([self.OTHER], False)

    def test_come_back_when_somebody_got_one_in_between(self, bench: BenchInPlace) -> None:
        assert self.joined(bench, Users(since=2)) == set(BOTH)

    def test_that_do_not_come_back_are_told_after_who_has_the_lun(self, bench: BenchInPlace) -> None:
        users = Users(since=2, meanwhile=lambda: bench.fail(WRITES["add initiators"], NO_INTERFACE))
        lost = set(BOTH) - set(HOST_A)
        told = rf"; {', '.join(sorted(lost))} had been taken out and could not be added again \(.*\)"
        assert self.joined(bench, users, told) == set(HOST_A)


class TestInitiatorsOfWhichTheAnswerWasLost:
    def test_are_taken_out_where_their_comment_tells_who_added_them(self, by_rest: BenchInPlace) -> None:
        by_rest.igroup("esx", HOST_A)
        before = by_rest.state()
        by_rest.fail(WRITES["add initiators"], DROPPED_AFTER)
        by_rest.fail(WRITES["map"], NO_INTERFACE)
        with pytest.raises(StepFailed) as told:
            by_rest.provision(wish(initiators=BOTH, group="esx"))
        assert "nobody can tell" not in str(told.value)
        assert by_rest.state() == before

    def test_are_nobody_s_to_take_out_where_nothing_tells(self) -> None:
        bench = fresh(ZAPI)
        bench.igroup("esx", HOST_A)
        bench.fail(WRITES["add initiators"], DROPPED_AFTER)
        bench.fail(WRITES["map"], NO_INTERFACE)
        with pytest.raises(StepFailed, match="nobody can tell whether this run added "):
            bench.provision(wish(initiators=BOTH, group="esx"))


def test_nobody_is_asked_who_uses_luns_where_none_was_added(bench: BenchInPlace) -> None:
    bench.igroup("esx", HOST_A)
    bench.lun("/vol/vol_prod/other")
    bench.map("/vol/vol_prod/other", "esx", 0)
    bench.meanwhile(WRITES["add initiators"], lambda: join(bench, "esx", *HOST_B))
    bench.fail(WRITES["map"], NO_INTERFACE)
    users = Users()
    with pytest.raises(StepFailed):
        bench.provision(wish(initiators=BOTH, group="esx"), last_look=users)
    assert [luns for luns, _made in users.asked] == [[NEW]]
    assert set(members(bench, "esx")) == set(BOTH)


def test_a_group_that_a_removal_has_deleted_since_it_was_found_is_made_again(bench: BenchInPlace) -> None:
    bench.provision(wish())
    bench.client().delete(f"/protocols/san/lun-maps/{bench.stored_lun().uuid}/{group_uuid(bench, group_name(HOST_A))}", 10)
    bench.meanwhile(WRITES["map"], lambda: bench.client().delete(f"/protocols/san/igroups/{group_uuid(bench, group_name(HOST_A))}", 10))
    assert bench.provision(wish())[0].changed
    assert not bench.provision(wish())[0].changed


def test_a_group_that_was_made_again_goes_when_the_mapping_fails(bench: BenchInPlace) -> None:
    bench.provision(wish())
    bench.client().delete(f"/protocols/san/lun-maps/{bench.stored_lun().uuid}/{group_uuid(bench, group_name(HOST_A))}", 10)
    bench.meanwhile(WRITES["map"], lambda: bench.client().delete(f"/protocols/san/igroups/{group_uuid(bench, group_name(HOST_A))}", 10))
    bench.fail(WRITES["grow"], NO_INTERFACE)
    with pytest.raises(StepFailed, match="undone: map LUN"):
        bench.provision(wish(size_bytes=20 * GIB), last_look=Users())
    assert group_name(HOST_A) not in groups(bench.state())
