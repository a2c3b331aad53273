# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provisioning on the lab's array as a whole: what is refused at once, what races do to it, and that nothing is left half-made
whatever fails, and when. What the single steps do is in test_provision_lun, _growth, _group and _mapping.

tests/live/test_ontap_provision.py holds the same against the array's own process.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault, OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.provision import CYLINDER
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    ConnectionFailed,
    InvalidInput,
    NotFound,
    Refused,
    StepFailed,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import carry_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.provision import CHANGED, NEVER, provision, withdraw
from tests.lab.ontap.releases import parse
from tests.lab.ontap.state import REST, ZAPI
from tests.ontap_backend import Bench, ids
from tests.unit.module_utils._san.arrays.ontap_rest.test_lookup import LUN
from tests.unit.ontap import GIB, HOST_A, HOST_B, SVM, Endpoint, address, records, wish
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import AS_JOB, BOTH, BY_REST, DROPPED_AFTER, DROPPED_BEFORE, EVERYWHERE, GROUP, NEW, WRITES

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
        partner = "unknown" if bench.transport == ZAPI and not turned else "lab-ontap-b"  # ZAPI tells it only where a mirror ends
        refusal = (
            rf"SnapMirror relationship of svm_san:/cg/app with svm_b:/cg/app of cluster {partner} .*presents it there too and will not be"
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

    def test_a_name_that_no_lun_can_have_is_one_sentence_too(self, bench: Bench) -> None:
        before = bench.state()
        told = {REST: "choose another name for the LUN", ZAPI: "name can only contain characters"}[bench.transport]
        with pytest.raises(StepFailed, match=rf"Could not create LUN svm_san:/vol/vol_prod/a b.*{told}"):
            bench.provision(wish(address=address("a b")))
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
        bench.fail(WRITES["create igroup"], {"error": {"code": 6, "message": "not authorized for that command"}})
        asked = {REST: "POST /api/protocols/san/igroups", ZAPI: "call igroup-create"}[bench.transport]
        with pytest.raises(StepFailed, match=rf"User admin may not {asked} on array .*undone: create LUN"):
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
        bench.fail(WRITES["map"], {"error": {"code": 5374581, "message": "A node has no interface."}})
        with pytest.raises(StepFailed, match=r"undone: add .* to igroup svm_san:esx"):
            carry_out(change.plan, False)
        assert bench.state() == before


@pytest.mark.exhaustive
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
    def test_that_never_ends_is_named_with_what_it_may_still_do(self, by_rest: Bench) -> None:
        by_rest.fail(WRITES["create LUN"], {"job": True, "seconds": 3600})
        sentence = r"Job \S+ of array .* is still running after 60 s.*could not be undone .* create LUN .*it may still appear on the array"
        with pytest.raises(StepFailed, match=sentence):
            by_rest.provision(wish())

    def test_that_ends_soon_after_the_timeout_counts_as_done(self, bench: Bench) -> None:
        bench.clock.real_seconds = 0.2
        bench.fail(WRITES["create LUN"], {"job": True, "seconds": 2.5})
        change = bench.backend().plan_provision(wish(timeout=0.1))
        carry_out(change.plan, False)
        assert ids(change.lun()) == {GROUP: 0}

    def test_that_fails_after_it_created_the_lun_has_created_it(self, by_rest: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        client = by_rest.client()
        post = client.post
        backend = by_rest.backend()

        def incomplete(path: str, body: Any, timeout: float) -> Any:
            if path != "/storage/luns":
                return post(path, body, timeout)
            post(path, {name: value for name, value in body.items() if name != "comment"}, timeout)
            raise OntapRefusal("An error occurred after successfully creating the LUN.", fault=Fault.CREATED_INCOMPLETE)

        monkeypatch.setattr(backend._client, "post", incomplete)
        change = backend.plan_provision(wish())
        carry_out(change.plan, False)
        assert ids(change.lun()) == {GROUP: 0}


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


@pytest.mark.parametrize(("bench", "release"), EVERYWHERE, indirect=["bench"])
class TestOnEveryRelease:
    """What a LUN tells of those who see it differs; what comes of it does not."""

    def test_a_lun_that_is_mapped_already_was_so_before_it_grew(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        bench.provision(wish())
        report = provision(bench.backend(), wish(size_bytes=20 * GIB, initiators=()), NEVER, check_mode=False)
        assert (report.outcome.changed, report.mapped, report.first_mapped) == (True, False, False)

    def test_a_lun_that_is_as_wished_costs_two_requests_at_most_or_five_over_zapi(self, bench: BenchInPlace, release: str) -> None:
        bench.become(release)
        bench.provision(wish())
        with bench.counted() as sent:
            _first, lun = bench.provision(wish())
        assert lun is not None
        assert set(lun.mappings[0].initiators) == set(HOST_A)
        if bench.transport == ZAPI:
            reads_of_a_lun = ["ZAPI lun-get-iter", "ZAPI lun-map-get-iter", "ZAPI volume-get-iter"]
            assert sent == [*reads_of_a_lun, "ZAPI igroup-get-iter", "ZAPI lun-map-get-iter"]
        else:
            assert sent == ["GET /api/storage/luns", "GET /api/protocols/san/igroups"][: 1 if parse(release) >= (9, 16, 1) else 2]


@pytest.mark.parametrize(("bench", "release"), BY_REST, indirect=["bench"])
class TestNestedGroups:
    """Only REST tells who is in them."""

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
