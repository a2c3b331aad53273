# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provisioning on the lab's array: what it costs, what races do to it, and that nothing is left half-made whatever fails, and when.

tests/live/test_ontap_provision.py holds the same against the array's own process.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.codes import CREATED_INCOMPLETE
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.groups import group_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.provision import CYLINDER, is_rounding
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    ConnectionFailed,
    InvalidInput,
    NotFound,
    Refused,
    RemoteError,
    StepFailed,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import carry_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.provision import CHANGED, NEVER, provision, withdraw
from tests.lab.ontap.releases import PLAYED, parse, written
from tests.ontap_backend import Bench, ids
from tests.unit.module_utils._san.arrays.ontap_rest.test_lookup import LUN
from tests.unit.ontap import GIB, HOST_A, HOST_B, SVM, Endpoint, address, records, wish
from tests.unit.ontap_array import BenchInPlace

BOTH = (*HOST_A, *HOST_B)
GROUP = group_name(HOST_A)

DROPPED_BEFORE = {"drop": "before"}
DROPPED_AFTER = {"drop": "after"}
AS_JOB = {"job": True}
MIRROR = {
    "source": "svm_san:/cg/app",
    "destination": "svm_b:/cg/app",
    "volumes": ["vol_prod"],
    "policy": "AutomatedFailOverDuplex",
    "type": "sync",
    "partner": "lab-ontap-b",
    "is_source": True,
}
SLOW_JOB = {"job": True, "seconds": 3}


SIZES = st.integers(min_value=CYLINDER, max_value=128 * 1024**4)


class TestRounding:
    @given(SIZES)
    def test_up_or_down_to_a_whole_cylinder_is_no_other_size(self, asked: int) -> None:
        down = asked // CYLINDER * CYLINDER
        assert is_rounding(asked, asked)
        assert is_rounding(asked, down)
        assert is_rounding(asked, down if down == asked else down + CYLINDER)

    @given(SIZES, st.sampled_from([512, 4096]))
    def test_up_to_a_whole_block_is_no_other_size(self, asked: int, block: int) -> None:
        assert is_rounding(asked, -(-asked // block) * block)

    @given(SIZES, st.integers(min_value=CYLINDER, max_value=1024**4))
    def test_is_never_a_cylinder_or_more(self, asked: int, more: int) -> None:
        assert not is_rounding(asked, asked + more)
        assert not is_rounding(asked + more, asked)

    def test_does_not_hide_that_a_small_lun_shall_grow(self) -> None:
        assert not is_rounding(20 * 1024**2, 16 * 1024**2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size_bytes": 0}, "The size 0 of LUN svm_san:/vol/vol_prod/new is not a number of bytes above zero"),
        ({"size_bytes": -1}, "The size -1 of LUN"),
        ({"lun_id": -1}, "LUN id -1 for LUN svm_san:/vol/vol_prod/new is not one of 0 to 4095"),
        ({"lun_id": 4096}, "LUN id 4096"),
    ],
)
def test_an_impossible_wish_is_refused_before_anything_is_sent(array: Endpoint, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        OntapRest(array.connection).plan_provision(wish(**settings))
    assert array.asked == []


def test_a_comment_that_does_not_fit_is_refused_before_anything_is_created(array: Endpoint) -> None:
    array.answer(records(), records({"name": "vol_prod", "svm": {"name": "svm_san"}}))
    with pytest.raises(InvalidInput, match=r"The comment for LUN svm_san:/vol/vol_prod/new has 250 characters: shorten it to \d+"):
        OntapRest(array.connection).plan_provision(wish(comment="x" * 250, initiators=()))


HERE = address("qtree1/lun1", "vol1", "svm1")


def planned(array: Endpoint, **status: Any) -> Any:
    array.answer(records({**LUN, "status": {"state": "online", "container_state": "online", "read_only": False, **status}}))
    return OntapRest(array.connection).plan_provision(wish(address=HERE, size_bytes=None, os_type="linux", initiators=()))


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (
            {"state": "offline"},
            r"is in state offline, in which no host can see it: see why .* -path /vol/vol1/qtree1/lun1 -state online`\.$",
        ),
        ({"state": "nvfail"}, r"state nvfail.*may have lost.*`lun modify -vserver svm1"),
        ({"state": "space_error"}, r"state space_error.*make room in volume vol1"),
        ({"state": "foreign_lun_error"}, r"state foreign_lun_error.*`lun import show`"),
        ({"state": "offline", "container_state": "volume_offline"}, r"volume_offline.*`volume online -vserver svm1 -volume vol1`"),
        ({"container_state": "aggregate_offline"}, r"state aggregate_offline.*bring the aggregate of volume vol1 online"),
        ({"state": "of_a_later_release"}, r"state of_a_later_release.*look at it on the array"),
    ],
)
def test_a_lun_that_no_host_can_see_is_refused_at_once(array: Endpoint, status: dict[str, str], sentence: str) -> None:
    with pytest.raises(Refused, match=rf"^LUN svm1:/vol/vol1/qtree1/lun1 .*{sentence}"):
        planned(array, **status)
    assert [asked.method for asked in array.asked] == ["GET"]


def test_a_lun_whose_state_the_array_does_not_tell_is_not_refused(array: Endpoint) -> None:
    assert planned(array, state=None).plan.pending() == []


@pytest.mark.parametrize(("read_only", "warnings"), [(True, 1), (False, 0)])
def test_a_lun_to_which_nobody_can_write_is_a_warning(array: Endpoint, read_only: bool, warnings: int) -> None:
    plan = planned(array, read_only=read_only).plan
    assert len(plan.warnings) == warnings
    assert all("LUN svm1:/vol/vol1/qtree1/lun1 is read-only on its array" in sentence for sentence in plan.warnings)


@pytest.mark.parametrize("state", ["offline", "restricted", "error", "mixed"])
def test_no_lun_is_made_in_a_volume_that_is_not_online(array: Endpoint, state: str) -> None:
    array.answer(records(), records({"name": "vol_prod", "svm": {"name": "svm_san"}, "state": state}))
    with pytest.raises(Refused, match=rf"^Volume vol_prod of SVM svm_san is {state} .*`volume online -vserver svm_san -volume vol_prod`"):
        OntapRest(array.connection).plan_provision(wish(initiators=()))


class TestALun:
    def test_is_created_mapped_and_read_back(self, bench: Bench) -> None:
        outcome, lun = bench.provision(wish(comment="for app01"))
        assert lun is not None
        assert (lun.path, lun.svm, lun.volume, lun.size_bytes, lun.os_type) == ("/vol/vol_prod/new", SVM, "vol_prod", 10 * GIB, "vmware")
        assert lun.name.naa == "600a0980" + lun.serial.encode().hex()
        assert ids(lun) == {GROUP: 0}
        assert set(lun.mappings[0].initiators) == set(HOST_A)
        assert [action.split()[0] for action in outcome.actions] == ["create", "create", "map"]

    def test_says_who_made_it_and_what_for(self, bench: Bench) -> None:
        bench.provision(wish(comment="for app01"))
        (record,) = bench.client().records("/storage/luns", ("comment",), {"name": ["/vol/vol_prod/new"]})
        assert re.fullmatch(r"crossvisor\.san:[0-9a-f]{16} for app01", record["comment"])

    @pytest.mark.parametrize(("thin", "reserved"), [(True, False), (False, True)])
    def test_is_thin_or_thick_as_asked(self, bench: Bench, thin: bool, reserved: bool) -> None:
        bench.provision(wish(thin=thin))
        (record,) = bench.client().records("/storage/luns", ("space.guarantee.requested",), {"name": ["/vol/vol_prod/new"]})
        assert record["space"]["guarantee"]["requested"] is reserved

    def test_that_is_as_wished_costs_one_request_or_two_where_it_does_not_tell_who_sees_it(self, bench: Bench) -> None:
        _first, made = bench.provision(wish())
        with bench.counted() as sent:
            outcome, lun = bench.provision(wish())
        assert (outcome.changed, lun) == (False, made)
        assert sent == ["GET /api/storage/luns", *([] if bench.luns_tell_initiators else ["GET /api/protocols/san/igroups"])]

    def test_is_found_as_wished_whatever_the_case_of_the_initiators(self, bench: Bench) -> None:
        bench.provision(wish())
        assert not bench.provision(wish(initiators=[name.upper() for name in HOST_A]))[0].changed

    def test_is_only_promised_in_check_mode(self, bench: Bench) -> None:
        before = bench.state()
        outcome, lun = bench.provision(wish(), check_mode=True)
        assert (outcome.changed, lun, bench.state()) == (True, None, before)
        assert outcome.diff()["after"]["svm_san:/vol/vol_prod/new"]["size_bytes"] == 10 * GIB
        assert outcome.diff()["before"]["svm_san:/vol/vol_prod/new"]["exists"] is False

    def test_without_a_size_is_mapped_as_it_is(self, bench: Bench) -> None:
        bench.lun("/vol/vol_prod/old", 3 * GIB, "linux")
        _first, lun = bench.provision(wish(address=address("old"), size_bytes=None))
        assert lun is not None
        assert (lun.size_bytes, lun.os_type, ids(lun)) == (3 * GIB, "linux", {GROUP: 0})

    def test_without_initiators_stays_unmapped(self, bench: Bench) -> None:
        _first, lun = bench.provision(wish(initiators=()))
        assert lun is not None
        assert lun.mappings == ()

    def test_is_waited_for_until_it_is_visible(self, bench: Bench) -> None:
        bench.server.control("POST", "/faults", {"hide_luns": 3})
        _first, lun = bench.provision(wish())
        assert ids(lun) == {GROUP: 0}

    def test_that_stays_invisible_is_named_and_what_can_be_undone_is(self, bench: Bench) -> None:
        bench.server.control("POST", "/faults", {"hide_luns": 1000})
        with pytest.raises(
            StepFailed,
            match=r"LUN svm_san:/vol/vol_prod/new was created but is not visible after 5 s.*could not be undone.*may still appear",
        ):
            bench.provision(wish(timeout=5.0))


class TestTheSize:
    @pytest.mark.parametrize("os_type", ["windows", "vmware"])
    def test_rounded_by_the_array_is_no_drift(self, bench: Bench, os_type: str) -> None:
        asked = wish(size_bytes=GIB + 1, os_type=os_type)
        _first, lun = bench.provision(asked)
        assert lun is not None
        assert lun.size_bytes > asked.size_bytes  # type: ignore[operator]
        assert not bench.provision(asked)[0].changed

    def test_grows(self, bench: Bench) -> None:
        bench.provision(wish())
        outcome, lun = bench.provision(wish(size_bytes=20 * GIB))
        assert lun is not None
        assert (list(outcome.actions), lun.size_bytes) == (
            [f"grow LUN svm_san:/vol/vol_prod/new from {10 * GIB} to {20 * GIB} bytes"],
            20 * GIB,
        )
        assert outcome.diff() == {
            "before": {"svm_san:/vol/vol_prod/new": {"size_bytes": 10 * GIB}},
            "after": {"svm_san:/vol/vol_prod/new": {"size_bytes": 20 * GIB}},
        }

    def test_grows_by_less_than_a_cylinder_too(self, bench: Bench) -> None:
        bench.provision(wish(size_bytes=16 * 1024**2))
        outcome, lun = bench.provision(wish(size_bytes=16 * 1024**2 + CYLINDER // 2))
        assert lun is not None
        assert (outcome.changed, lun.size_bytes >= 16 * 1024**2 + CYLINDER // 2) == (True, True)

    def test_never_shrinks(self, bench: Bench) -> None:
        bench.provision(wish())
        before = bench.state()
        with pytest.raises(Refused, match=rf"has {10 * GIB} bytes, more than the {GIB} asked for, and LUNs are never shrunk"):
            bench.provision(wish(size_bytes=GIB, initiators=BOTH))
        assert bench.state() == before

    def test_is_not_grown_when_the_mapping_fails(self, bench: Bench) -> None:
        bench.provision(wish())
        before = bench.state()
        bench.fail("POST .*/lun-maps", {"error": {"code": 5374581, "message": "A node has no interface."}})
        with pytest.raises(StepFailed, match="A node has no interface"):
            bench.provision(wish(size_bytes=20 * GIB, initiators=BOTH))
        assert bench.state() == before


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


class TestALunThatNoHostCanSee:
    def test_because_it_is_offline_is_refused_at_once_and_stays_as_it_is(self, bench: Bench) -> None:
        _first, made = bench.provision(wish())
        assert made is not None
        bench.client().patch(f"/storage/luns/{made.id}", {"enabled": False}, 10)
        before = bench.state()
        for more in ({}, {"size_bytes": 20 * GIB}, {"initiators": BOTH}):
            with pytest.raises(
                Refused, match=r"LUN svm_san:/vol/vol_prod/new is in state offline, in which no host can see it: .*`lun modify"
            ):
                bench.provision(wish(**more))
        assert bench.state() == before

    def test_can_be_withdrawn_all_the_same(self, bench: Bench) -> None:
        before = bench.state()
        _first, made = bench.provision(wish())
        assert made is not None
        bench.client().patch(f"/storage/luns/{made.id}", {"enabled": False}, 10)
        bench.withdraw(WithdrawWish(address(), HOST_A, delete=True))
        assert bench.state() == before

    @pytest.mark.parametrize("state", ["offline", "restricted"])
    def test_because_of_its_volume_names_the_volume(self, bench: Bench, state: str) -> None:
        bench.provision(wish())
        (volume,) = bench.client().records("/storage/volumes", ("uuid",), {"name": ["vol_prod"]})
        bench.client().patch(f"/storage/volumes/{volume['uuid']}", {"state": state}, 10)
        with pytest.raises(Refused, match=r"is in state volume_offline.*`volume online -vserver svm_san -volume vol_prod`"):
            bench.provision(wish())
        with pytest.raises(Refused, match=rf"^Volume vol_prod of SVM svm_san is {state} and can hold no LUN"):
            bench.provision(wish(address=address("another")))

    @pytest.mark.parametrize(
        ("path", "name", "change", "reason"),
        [
            ("/svm/svms", "name", {"state": "stopped"}, "no network interface up for its iSCSI target iqn"),
            ("/protocols/san/iscsi/services", "svm.name", {"enabled": False}, "its iSCSI target iqn.* out of service"),
        ],
    )
    def test_because_nobody_serves_it_is_not_made(self, bench: Bench, path: str, name: str, change: dict[str, Any], reason: str) -> None:
        before = bench.state()
        (record,) = bench.client().records(path, (name,), {name: [SVM]})
        bench.client().patch(f"{path}/{record.get('uuid') or record['svm']['uuid']}", change, 10)
        with pytest.raises(Refused, match=rf"SVM svm_san has .*{reason}.*hosts cannot see LUN svm_san:/vol/vol_prod/new that way: start"):
            provision(bench.backend(), wish(initiators=HOST_A[:1]), CHANGED, check_mode=False)
        assert bench.state() == before

    @pytest.mark.parametrize(("path", "initiators"), [("/network/ip/interfaces", HOST_A[:1]), ("/network/fc/interfaces", HOST_A[1:])])
    def test_because_every_interface_is_down_is_not_made(self, bench: Bench, path: str, initiators: tuple[str, ...]) -> None:
        before = bench.state()
        lifs = bench.client().records(path, ("name",), {"svm.name": [SVM]})
        for lif in lifs[:-1]:
            bench.client().patch(f"{path}/{lif['uuid']}", {"enabled": False}, 10)
        if path == "/network/fc/interfaces":
            assert provision(bench.backend(), wish(initiators=initiators), CHANGED, check_mode=True).outcome.changed
        bench.client().patch(f"{path}/{lifs[-1]['uuid']}", {"enabled": False}, 10)
        with pytest.raises(Refused, match="hosts cannot see LUN"):
            provision(bench.backend(), wish(initiators=initiators), CHANGED, check_mode=False)
        assert bench.state() == before


class TestALunThatAnotherArrayPresentsToo:
    @pytest.mark.parametrize("turned", [False, True])
    def test_is_unmapped_but_not_deleted(self, bench: Bench, turned: bool) -> None:
        ends = {"source": "svm_b:/cg/app", "destination": "svm_san:/cg/app", "is_source": False} if turned else {}
        bench.provision(wish())
        bench.server.control("POST", "/faults", {"mirror": {**MIRROR, **ends}})
        before = bench.state()
        refusal = (
            r"SnapMirror relationship of svm_san:/cg/app with svm_b:/cg/app of cluster lab-ontap-b .*presents it there too and will not be"
        )
        with pytest.raises(Refused, match=refusal):
            withdraw(bench.backend(), WithdrawWish(address(), HOST_A, delete=True), None, check_mode=False, assume_unused=True)
        assert bench.state() == before
        assert withdraw(bench.backend(), WithdrawWish(address(), HOST_A), None, check_mode=False, assume_unused=True).outcome.changed

    @pytest.mark.parametrize("changes", [{"type": "async", "policy": "Asynchronous"}, {"volumes": ["vol_dev"]}])
    def test_is_not_one_that_is_mirrored_for_recovery_or_lies_elsewhere(self, bench: Bench, changes: dict[str, Any]) -> None:
        before = bench.state()
        bench.provision(wish())
        bench.server.control("POST", "/faults", {"mirror": {**MIRROR, **changes}})
        withdraw(bench.backend(), WithdrawWish(address(), HOST_A, delete=True), None, check_mode=False)
        assert bench.state() == before


class TestBadInput:
    @pytest.mark.parametrize(
        ("settings", "error", "sentence"),
        [
            ({"address": address(svm="svm_typo")}, NotFound, r"There is no SVM svm_typo on array 127\.0\.0\.1:\d+: correct its name"),
            ({"address": address(volume="vol_typo")}, NotFound, r"There is no volume vol_typo in SVM svm_san of array .*or create it"),
            ({"size_bytes": None}, NotFound, r"There is no LUN svm_san:/vol/vol_prod/new on array .*give a size to create it"),
            ({"size_bytes": 1}, StepFailed, r"Could not create LUN svm_san:/vol/vol_prod/new.*too small.*ask for a larger size\.$"),
            ({"size_bytes": 2**60}, StepFailed, r"Could not create LUN svm_san:/vol/vol_prod/new.*too large.*ask for a smaller size\.$"),
            (
                {"address": address(volume="vol_small"), "thin": False, "size_bytes": 5 * GIB},
                StepFailed,
                r"Could not create LUN svm_san:/vol/vol_small/new.*No space left.*enlarge the volume, choose another one",
            ),
            ({"address": address("a b")}, StepFailed, r"Could not create LUN svm_san:/vol/vol_prod/a b.*choose another name for the LUN"),
            (
                {"group": "bad group?"},
                StepFailed,
                r"Could not create igroup svm_san:bad group\?.*undone: create LUN svm_san:/vol/vol_prod/new",
            ),
        ],
    )
    def test_is_one_sentence_and_leaves_nothing(
        self, bench: Bench, settings: dict[str, Any], error: type[Exception], sentence: str
    ) -> None:
        before = bench.state()
        with pytest.raises(error, match=sentence):
            bench.provision(wish(**settings))
        assert bench.state() == before

    def test_growth_without_space_keeps_the_lun(self, bench: Bench) -> None:
        bench.provision(wish(address=address(volume="vol_small"), thin=False, size_bytes=GIB // 2))
        before = bench.state()
        with pytest.raises(StepFailed, match=r"Could not grow LUN svm_san:/vol/vol_small/new .*No space left.*enlarge the volume"):
            bench.provision(wish(address=address(volume="vol_small"), thin=False, size_bytes=5 * GIB))
        assert bench.state() == before

    def test_another_os_type_than_the_luns_is_refused(self, bench: Bench) -> None:
        bench.lun("/vol/vol_prod/new", 10 * GIB, "linux")
        with pytest.raises(Refused, match="has os_type linux, not vmware, which ONTAP cannot change: give os_type linux"):
            bench.provision(wish())

    def test_a_missing_right_is_named(self, bench: Bench) -> None:
        before = bench.state()
        bench.fail("POST .*/igroups", {"error": {"code": 6, "message": "not authorized for that command"}})
        with pytest.raises(StepFailed, match=r"User admin may not POST /api/protocols/san/igroups on array .*undone: create LUN"):
            bench.provision(wish())
        assert bench.state() == before


class TestRaces:
    def test_two_runs_for_one_host_take_different_ids(self, bench: Bench) -> None:
        bench.provision(wish(address=address("first")))
        changes = [bench.backend().plan_provision(wish(address=address(name))) for name in ("second", "third", "fourth")]
        for change in changes:
            carry_out(change.plan, False)
        assert sorted(lun_id for change in changes for lun_id in ids(change.lun()).values()) == [1, 2, 3]  # type: ignore[type-var]

    def test_two_runs_that_make_the_same_group_share_it(self, bench: Bench) -> None:
        changes = [bench.backend().plan_provision(wish(address=address(name))) for name in ("first", "second")]
        for change in changes:
            carry_out(change.plan, False)
        assert [ids(change.lun()) for change in changes] == [{GROUP: 0}, {GROUP: 1}]

    def test_an_id_that_the_user_named_is_not_exchanged(self, bench: Bench) -> None:
        change = bench.backend().plan_provision(wish(lun_id=3))
        bench.provision(wish(address=address("faster"), lun_id=3))
        after_faster = bench.state()
        with pytest.raises(StepFailed, match=r"LUN id 3 is taken by LUN svm_san:/vol/vol_prod/faster.*undone: .*create LUN"):
            carry_out(change.plan, False)
        assert bench.state() == after_faster

    def test_a_lun_that_somebody_else_created_meanwhile_is_not_touched(self, bench: Bench) -> None:
        change = bench.backend().plan_provision(wish())
        bench.lun("/vol/vol_prod/new", 10 * GIB)
        before = bench.state()
        with pytest.raises(StepFailed, match=r"already exists.*run the task again"):
            carry_out(change.plan, False)
        assert bench.state() == before

    def test_a_map_that_somebody_else_made_meanwhile_is_taken_as_it_is(self, bench: Bench) -> None:
        bench.lun("/vol/vol_prod/new", 10 * GIB)
        bench.igroup("mine", HOST_A)
        change = bench.backend().plan_provision(wish())
        bench.map("/vol/vol_prod/new", "mine", 11)
        carry_out(change.plan, False)
        assert ids(change.lun()) == {"mine": 11}

    @pytest.mark.parametrize("added", [HOST_B[:1], HOST_B], ids=["one", "all"])
    def test_initiators_that_somebody_else_added_meanwhile_are_taken_as_they_are_and_stay(
        self, bench: Bench, added: tuple[str, ...]
    ) -> None:
        igroup = bench.igroup("esx", HOST_A)
        bench.lun("/vol/vol_prod/new", 10 * GIB)
        change = bench.backend().plan_provision(wish(initiators=BOTH, group="esx"))
        bench.post(f"/protocols/san/igroups/{igroup['uuid']}/initiators", {"records": [{"name": name} for name in added]})
        before = bench.state()
        bench.fail("POST .*/lun-maps", {"error": {"code": 5374581, "message": "A node has no interface."}})
        with pytest.raises(StepFailed, match=r"undone: add .* to igroup svm_san:esx"):
            carry_out(change.plan, False)
        assert bench.state() == before


WRITES = {
    "create LUN": r"POST .*/storage/luns",
    "create igroup": r"POST .*/igroups\?",
    "add initiators": r"POST .*/initiators",
    "map": r"POST .*/lun-maps",
    "grow": r"PATCH .*/storage/luns",
}


class TestEveryChange:
    """A new LUN in a new group, or an old one that grows while its group is extended."""

    @staticmethod
    def start(bench: Bench, write: str) -> Any:
        if write in ("create LUN", "create igroup", "map"):
            return wish()
        bench.igroup("esx", HOST_A)
        bench.lun("/vol/vol_prod/new", 5 * GIB)
        return wish(initiators=BOTH, group="esx")

    @pytest.mark.parametrize(("write", "action"), [*itertools.product(WRITES, [DROPPED_AFTER, AS_JOB]), ("create LUN", SLOW_JOB)])
    def test_that_was_done_counts_as_done(self, bench: Bench, write: str, action: dict[str, Any]) -> None:
        wanted = self.start(bench, write)
        bench.fail(WRITES[write], action)
        _first, lun = bench.provision(replace(wanted, timeout=1000.0))
        assert lun is not None
        assert lun.size_bytes == 10 * GIB
        assert set(lun.mappings[0].initiators) == set(wanted.initiators)
        assert not bench.provision(wanted)[0].changed

    @pytest.mark.parametrize(
        ("action", "sentence"),
        [
            (DROPPED_BEFORE, "was lost before the answer to"),
            ({"status": 503, "body": "busy"}, "with HTTP 503, which does not tell whether it was done"),
            ({"error": {"code": 393271, "message": "The node is in takeover."}}, "The node is in takeover"),
            ({"job_error": {"code": 393271, "message": "The node is in takeover."}}, "The node is in takeover"),
        ],
        ids=["never arrived", "gateway", "refused", "job failed"],
    )
    @pytest.mark.parametrize("write", WRITES)
    def test_that_failed_leaves_nothing_and_can_be_run_again(self, bench: Bench, write: str, action: dict[str, Any], sentence: str) -> None:
        wanted = self.start(bench, write)
        if write == "grow":
            bench.provision(replace(wanted, size_bytes=None))
        before = bench.state()
        bench.fail(WRITES[write], action)
        with pytest.raises(StepFailed, match=sentence):
            bench.provision(wanted)
        assert bench.state() == before
        assert bench.provision(wanted)[0].changed
        assert not bench.provision(wanted)[0].changed

    def test_at_whatever_request_the_array_goes_away_for_good_the_next_run_ends_well(self, bench: Bench) -> None:
        with bench.counted() as sent:
            bench.provision(wish())
        for call in range(1, len(sent) + 1):
            bench = bench.again()
            bench.server.control("POST", "/faults", {"call": call, "times": 1000, "action": DROPPED_AFTER})
            with pytest.raises((ConnectionFailed, StepFailed)):
                bench.provision(wish())
            bench.server.control("DELETE", "/faults")
            assert ids(bench.provision(wish())[1]) == {GROUP: 0}

    def test_is_undone_when_only_one_request_fails_wherever_that_is(self, bench: Bench) -> None:
        with bench.counted() as sent:
            bench.provision(wish())
        for call in range(1, len(sent)):
            bench = bench.again()
            before = bench.state()
            bench.fail("", {"error": {"code": 393271, "message": "The node is in takeover."}}, call)
            with pytest.raises(Exception, match="The node is in takeover"):
                bench.provision(wish())
            assert bench.state() == before, f"request {call}, {sent[call - 1]}"


class TestAJob:
    def test_that_never_ends_is_named_with_what_it_may_still_do(self, bench: Bench) -> None:
        bench.fail(WRITES["create LUN"], {"job": True, "seconds": 3600})
        sentence = r"Job \S+ of array .* is still running after 60 s.*could not be undone .* create LUN .*it may still appear on the array"
        with pytest.raises(StepFailed, match=sentence):
            bench.provision(wish())

    def test_that_ends_soon_after_the_timeout_counts_as_done(self, bench: Bench) -> None:
        bench.clock.real_seconds = 0.2
        bench.fail(WRITES["create LUN"], {"job": True, "seconds": 2.5})
        change = bench.backend().plan_provision(wish(timeout=0.1))
        carry_out(change.plan, False)
        assert ids(change.lun()) == {GROUP: 0}

    @pytest.mark.parametrize("code", sorted(CREATED_INCOMPLETE))
    def test_that_fails_after_it_created_the_lun_has_created_it(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
        backend = bench.backend()
        post = backend._client.post

        def incomplete(path: str, body: Any, timeout: float) -> Any:
            if path != "/storage/luns":
                return post(path, body, timeout)
            post(path, {name: value for name, value in body.items() if name != "comment"}, timeout)
            raise RemoteError("An error occurred after successfully creating the LUN.", code)

        monkeypatch.setattr(backend._client, "post", incomplete)
        change = backend.plan_provision(wish())
        carry_out(change.plan, False)
        assert ids(change.lun()) == {GROUP: 0}


NO_INTERFACE = {"error": {"code": 5374581, "message": "A node has no interface."}}
NEW = "/vol/vol_prod/new"


@dataclass
class Users:
    """Who knows whether somebody uses LUNs: nobody does before the n-th look, and somebody from then on."""

    since: int = 1000
    meanwhile: Callable[[], object] = lambda: None
    """What others do right before they are seen."""
    asked: list[tuple[list[str], bool]] = field(default_factory=list)

    def __call__(self, luns: Sequence[Lun], made: bool) -> None:
        self.asked.append(([lun.path for lun in luns], made))
        if len(self.asked) == self.since:
            self.meanwhile()
        if len(self.asked) >= self.since:
            raise Refused(f"VM app has LUN {luns[0].path}.")


def grow_and_map(bench: BenchInPlace) -> Any:
    """A wish that maps an old LUN to one more host and then lets it grow, which the array will refuse."""
    bench.provision(wish(size_bytes=GIB, lun_id=4))
    bench.fail(WRITES["grow"], NO_INTERFACE)
    return wish(initiators=BOTH)


class TestTheBounds:
    def test_of_a_cylinder_are_those_of_ontap(self) -> None:
        assert CYLINDER == 8_225_280

    def test_of_a_comment_leave_room_for_the_mark(self, bench: BenchInPlace) -> None:
        bench.provision(wish(comment="x" * 222))
        assert len(bench.stored_lun().comment) == 254
        with pytest.raises(InvalidInput, match=r"has 223 characters: shorten it to 222\."):
            bench.provision(wish(address=address("other"), comment="x" * 223))

    def test_of_a_lun_id_are_all_that_an_array_has(self, bench: BenchInPlace) -> None:
        assert ids(bench.provision(wish(lun_id=0))[1]) == {GROUP: 0}
        assert ids(bench.provision(wish(address=address("last"), lun_id=4095))[1]) == {GROUP: 4095}

    def test_of_a_size_begin_at_one_byte(self, bench: BenchInPlace) -> None:
        with pytest.raises(StepFailed, match="too small"):
            bench.provision(wish(size_bytes=1))


class TestADiff:
    def test_shows_all_that_is_made(self, bench: BenchInPlace) -> None:
        outcome, _none = bench.provision(wish(lun_id=3, comment="for app01"), check_mode=True)
        lun, group = f"{SVM}:{NEW}", f"igroup {GROUP}"
        assert outcome.diff() == {
            "before": {lun: {"exists": False, f"LUN id in igroup {GROUP}": None}, group: {"exists": False}},
            "after": {
                lun: {
                    "exists": True,
                    "size_bytes": 10 * GIB,
                    "os_type": "vmware",
                    "thin": True,
                    "comment": "for app01",
                    f"LUN id in igroup {GROUP}": 3,
                },
                group: {"exists": True, "os_type": "vmware", "protocol": "mixed", "initiators": sorted(HOST_A)},
            },
        }

    def test_shows_who_joins_a_group(self, bench: BenchInPlace) -> None:
        bench.igroup("esx", HOST_A)
        outcome, _lun = bench.provision(wish(initiators=BOTH, group="esx"), check_mode=True)
        assert outcome.diff()["before"]["igroup esx"] == {"initiators": sorted(HOST_A)}
        assert outcome.diff()["after"]["igroup esx"] == {"initiators": sorted(BOTH)}


class TestALunOfSomebodyElse:
    """Who put it at the same path while we were at it; its data are not ours."""

    def test_is_not_taken_for_ours_when_our_answer_was_lost(self, bench: BenchInPlace) -> None:
        bench.fail(WRITES["create LUN"], DROPPED_BEFORE)
        bench.meanwhile(WRITES["create LUN"], lambda: bench.lun(NEW, 10 * GIB))
        with pytest.raises(StepFailed, match="was lost before the answer"):
            bench.provision(wish())
        assert bench.stored_lun() is not None
        assert bench.stored_lun().comment == ""

    def test_is_not_deleted_when_ours_was_deleted_and_its_mapping_failed(self, bench: BenchInPlace) -> None:
        def replaced() -> None:
            bench.client().delete(f"/storage/luns/{bench.stored_lun().uuid}", 10)
            bench.lun(NEW, GIB)

        bench.fail(WRITES["map"], NO_INTERFACE)
        bench.meanwhile(WRITES["map"], replaced)
        with pytest.raises(StepFailed, match="A node has no interface"):
            bench.provision(wish())
        assert bench.stored_lun().size == GIB

    def test_that_never_came_is_not_waited_for_when_it_is_undone(self, bench: BenchInPlace) -> None:
        bench.fail(WRITES["create LUN"], DROPPED_BEFORE)
        with pytest.raises(StepFailed) as told:
            bench.provision(wish())
        assert "could not be undone" not in str(told.value)

    def test_or_nobody_is_left_when_ours_was_deleted_meanwhile(self, bench: BenchInPlace) -> None:
        before = bench.state()
        bench.fail(WRITES["map"], NO_INTERFACE)
        bench.meanwhile(WRITES["map"], lambda: bench.client().delete(f"/storage/luns/{bench.stored_lun().uuid}", 10))
        with pytest.raises(StepFailed) as told:
            bench.provision(wish())
        assert "could not be undone" not in str(told.value)
        assert bench.state() == before


class TestALunThatIsNotAsAsked:
    @pytest.mark.parametrize(("what", "value"), [("size", GIB), ("os_type", "linux")])
    def test_is_told_and_undone_when_it_was_just_made(self, bench: BenchInPlace, what: str, value: Any) -> None:
        before = bench.state()
        bench.meanwhile(WRITES["create LUN"], lambda: setattr(bench.stored_lun(), what, value), after=True)
        with pytest.raises(StepFailed, match=r"was created with \d+ bytes and os_type \w+, not as asked"):
            bench.provision(wish())
        assert bench.state() == before

    def test_is_told_when_it_did_not_grow(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        bench.meanwhile(WRITES["grow"], lambda: setattr(bench.stored_lun(), "size", 10 * GIB), after=True)
        with pytest.raises(StepFailed, match="did not grow"):
            bench.provision(wish(size_bytes=20 * GIB))

    def test_is_told_when_it_is_gone_after_it_grew(self, bench: BenchInPlace) -> None:
        bench.provision(wish(initiators=()))
        bench.meanwhile(WRITES["grow"], lambda: bench.client().delete(f"/storage/luns/{bench.stored_lun().uuid}", 10), after=True)
        with pytest.raises(StepFailed, match="did not grow"):
            bench.provision(wish(size_bytes=20 * GIB, initiators=()))

    @pytest.mark.parametrize("size", [40 * GIB, 20 * GIB // CYLINDER * CYLINDER], ids=["more by somebody else", "rounded down"])
    def test_is_not_told_when_it_grew_otherwise(self, bench: BenchInPlace, size: int) -> None:
        bench.provision(wish())
        bench.meanwhile(WRITES["grow"], lambda: setattr(bench.stored_lun(), "size", size), after=True)
        assert bench.provision(wish(size_bytes=20 * GIB))[0].changed

    def test_is_as_asked_when_somebody_else_was_quicker(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        bench.meanwhile(WRITES["grow"], lambda: setattr(bench.stored_lun(), "size", 20 * GIB))
        _outcome, lun = bench.provision(wish(size_bytes=20 * GIB))
        assert lun is not None
        assert lun.size_bytes == 20 * GIB


class TestAGroupOfSomebodyElse:
    def test_is_shared_and_stays_when_this_run_fails(self, bench: BenchInPlace) -> None:
        bench.meanwhile(WRITES["create igroup"], lambda: bench.igroup(GROUP, HOST_A))
        bench.fail(WRITES["map"], NO_INTERFACE)
        with pytest.raises(StepFailed):
            bench.provision(wish())
        assert GROUP in _groups(bench.state())

    @pytest.mark.parametrize(
        ("members", "os_type"), [(HOST_A[:1], "vmware"), (HOST_A, "linux")], ids=["other initiators", "another os_type"]
    )
    def test_that_holds_others_is_not_shared(self, bench: BenchInPlace, members: tuple[str, ...], os_type: str) -> None:
        bench.meanwhile(WRITES["create igroup"], lambda: bench.igroup(GROUP, members, os_type))
        with pytest.raises(StepFailed, match="run the task again"):
            bench.provision(wish())
        assert GROUP in _groups(bench.state())
        assert bench.stored_lun() is None

    def test_is_no_excuse_for_another_refusal(self, bench: BenchInPlace) -> None:
        bench.meanwhile(WRITES["create igroup"], lambda: bench.igroup(GROUP, HOST_A))
        bench.fail(WRITES["create igroup"], NO_INTERFACE)
        with pytest.raises(StepFailed, match="A node has no interface"):
            bench.provision(wish())

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
        assert GROUP in _groups(bench.state())

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
        "action", [NO_INTERFACE, {"error": {"code": 1254206, "message": "LUN id in use."}}], ids=["refusal", "no race"]
    )
    def test_is_tried_once_when_nobody_took_the_id(self, bench: BenchInPlace, action: dict[str, Any]) -> None:
        bench.fail(WRITES["map"], action)
        with bench.counted() as sent, pytest.raises(StepFailed, match=action["error"]["message"].rstrip(".")):
            bench.provision(wish())
        assert sent.count("POST /api/protocols/san/lun-maps") == 1

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
        bench.fail(WRITES["map"], {"error": {"code": 1254206, "message": "LUN id in use."}})
        with bench.counted() as sent, pytest.raises(StepFailed, match="LUN id in use"):
            bench.provision(wish())
        assert sent.count("POST /api/protocols/san/lun-maps") == 2, "somebody else's and one of ours"


def _groups(state: Any) -> set[str]:
    return {group["name"] for svm in state["svms"] if svm["name"] == SVM for group in svm["igroups"]}


@pytest.mark.parametrize("release", [written(release) for release in PLAYED])
class TestOnEveryRelease:
    """What a LUN tells of those who see it differs; what comes of it does not."""

    def test_a_lun_that_is_mapped_already_was_so_before_it_grew(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        bench.provision(wish())
        report = provision(bench.backend(), wish(size_bytes=20 * GIB, initiators=()), NEVER, check_mode=False)
        assert (report.outcome.changed, report.mapped, report.first_mapped) == (True, False, False)

    def test_a_lun_that_is_as_wished_costs_two_requests_at_most(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        bench.provision(wish())
        with bench.counted() as sent:
            _first, lun = bench.provision(wish())
        assert lun is not None
        assert set(lun.mappings[0].initiators) == set(HOST_A)
        assert sent == ["GET /api/storage/luns", "GET /api/protocols/san/igroups"][: 1 if parse(release) >= (9, 16, 1) else 2]

    def test_who_sees_a_lun_is_told_when_nothing_changes(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        bench.nest("both", host_a=HOST_A, host_b=HOST_B)
        bench.lun(NEW)
        bench.map(NEW, "both", 3)
        report = provision(bench.backend(), wish(size_bytes=None, initiators=()), NEVER, check_mode=False)
        assert report.lun is not None
        assert [sorted(mapping.initiators) for mapping in report.lun.mappings] == [sorted(BOTH)]

    def test_somebody_in_a_nested_group_is_seen_to_see_it(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        bench.nest("both", host_a=HOST_A, host_b=HOST_B)
        bench.lun(NEW, 10 * GIB)
        bench.map(NEW, "both", 3)
        with pytest.raises(Refused, match=re.escape(f"is mapped to {', '.join(sorted(HOST_B, key=str))}")):
            bench.provision(wish(exclusive=True))


class TestALunThatNobodyElseShallSee:
    """`exclusive`: what others see already may hold their data."""

    def test_is_mapped_while_nobody_else_sees_it(self, bench: BenchInPlace) -> None:
        assert bench.provision(wish(exclusive=True))[0].changed
        assert not bench.provision(wish(exclusive=True))[0].changed

    def test_is_not_mapped_to_others_than_those_who_see_it(self, bench: BenchInPlace) -> None:
        bench.provision(wish())
        before = bench.state()
        with pytest.raises(Refused, match=rf"is mapped to {HOST_A[1]}, {HOST_A[0]} too, and nobody can tell whether it is used there"):
            bench.provision(wish(initiators=HOST_B, exclusive=True))
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


class TestALunThatThisRunMade:
    """What an undo deletes is what this run has made, as it has made it."""

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda lun: setattr(lun, "used", 4096), "holds 4096 bytes that were written since it was made, and stays"),
            (lambda lun: setattr(lun, "comment", "mine now"), "was not made by the run .* and stays"),
        ],
        ids=["written to", "marked by somebody else"],
    )
    def test_stays_once_somebody_has_made_something_of_it(self, bench: BenchInPlace, change: Callable[[Any], None], told: str) -> None:
        bench.fail(WRITES["map"], NO_INTERFACE)
        bench.meanwhile(WRITES["map"], lambda: change(bench.stored_lun()))
        with pytest.raises(StepFailed, match=told):
            bench.provision(wish())
        assert bench.stored_lun() is not None


def test_the_members_of_a_group_that_the_user_names_are_no_strangers(bench: BenchInPlace) -> None:
    bench.provision(wish(initiators=[*HOST_A, *HOST_B], group="both_hosts"))
    bench.client().delete(f"/protocols/san/lun-maps/{bench.stored_lun().uuid}/{_group_uuid(bench, 'both_hosts')}", 10)
    assert bench.provision(wish(group="both_hosts", exclusive=True))[0].changed


def _group_uuid(bench: BenchInPlace, name: str) -> str:
    return next(str(group.uuid) for svm in bench.server.array.svms for group in svm.igroups if group.name == name)


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


def mappings(bench: BenchInPlace) -> dict[str, int]:
    """The numbers of the LUN by group."""
    return {one.igroup.name: one.number for svm in bench.server.array.svms for one in svm.maps if one.lun is bench.stored_lun()}


class TestAMappingThatIsTakenBack:
    """Who has got the LUN by it keeps it: hypervisors are asked right before it is unmapped, and right after."""

    def test_stays_when_somebody_uses_the_lun_by_then(self, bench: BenchInPlace) -> None:
        wanted, users = grow_and_map(bench), Users(since=1)
        told = r"left as it is: map LUN .* \(VM app has LUN /vol/vol_prod/new\), create igroup .* \(LUNs are mapped to it\)"
        with bench.counted() as sent, pytest.raises(StepFailed, match=told):
            bench.provision(wanted, last_look=users)
        assert mappings(bench) == {GROUP: 4, group_name(HOST_B): 4}
        assert not [request for request in sent if request.startswith("DELETE /api/protocols/san/lun-maps")]
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

        with pytest.raises(StepFailed, match=r"LUN id 4 was given to another LUN meanwhile, so that it is mapped again under another id"):
            bench.provision(wanted, last_look=Users(since=2, meanwhile=taken))
        assert mappings(bench) == {GROUP: 4, group_name(HOST_B): 0}

    def test_is_made_again_with_its_group_when_a_removal_took_that_meanwhile(self, bench: BenchInPlace) -> None:
        wanted = grow_and_map(bench)

        def swept() -> None:
            bench.client().delete(f"/protocols/san/igroups/{_group_uuid(bench, group_name(HOST_B))}", 10)

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
        bench.fail(r"GET .*uuid=", NO_INTERFACE)
        users = Users(since)
        with pytest.raises(StepFailed, match=r"could not be undone .*create LUN .* \(VM app has LUN"):
            bench.provision(wish(), last_look=users)
        assert mappings(bench) == ({GROUP: 0} if since < 3 else {})
        assert bench.stored_lun() is not None
        assert {made for _luns, made in users.asked} == {True}


class TestInitiatorsThatAreTakenOutAgain:
    """They have come to see every LUN of the group."""

    OTHER = "/vol/vol_prod/other"

    def joined(self, bench: BenchInPlace, users: Users) -> set[str]:
        """The group's members after its newcomers were to be taken out again, when somebody had come to use a LUN."""
        bench.igroup("esx", HOST_A)
        bench.lun(self.OTHER)
        bench.map(self.OTHER, "esx", 0)
        bench.fail(WRITES["map"], NO_INTERFACE)
        with pytest.raises(StepFailed, match=rf"left as it is: add .* \(VM app has LUN {self.OTHER}\)"):
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


def test_a_group_that_a_removal_has_deleted_since_it_was_found_is_made_again(bench: BenchInPlace) -> None:
    bench.provision(wish())
    bench.client().delete(f"/protocols/san/lun-maps/{bench.stored_lun().uuid}/{_group_uuid(bench, group_name(HOST_A))}", 10)
    bench.meanwhile(WRITES["map"], lambda: bench.client().delete(f"/protocols/san/igroups/{_group_uuid(bench, group_name(HOST_A))}", 10))
    assert bench.provision(wish())[0].changed
    assert not bench.provision(wish())[0].changed


def test_a_group_that_was_made_again_goes_when_the_mapping_fails(bench: BenchInPlace) -> None:
    bench.provision(wish())
    bench.client().delete(f"/protocols/san/lun-maps/{bench.stored_lun().uuid}/{_group_uuid(bench, group_name(HOST_A))}", 10)
    bench.meanwhile(WRITES["map"], lambda: bench.client().delete(f"/protocols/san/igroups/{_group_uuid(bench, group_name(HOST_A))}", 10))
    bench.fail(WRITES["grow"], NO_INTERFACE)
    with pytest.raises(StepFailed, match="undone: map LUN"):
        bench.provision(wish(size_bytes=20 * GIB), last_look=Users())
    assert group_name(HOST_A) not in _groups(bench.state())
