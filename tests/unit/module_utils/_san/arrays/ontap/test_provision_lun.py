# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN that is made: it is as asked, and an undo deletes what this run has made and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import carry_out
from tests.lab.ontap.state import REST
from tests.ontap_backend import Bench, ids
from tests.unit.ontap import GIB, HOST_A, SVM, Endpoint, address, records, wish
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import DROPPED_BEFORE, GROUP, NEW, NO_INTERFACE, READS_OF_LUNS, WRITES


def test_a_comment_that_does_not_fit_is_refused_before_anything_is_created(array: Endpoint) -> None:
    array.answer(records(), records({"name": "vol_prod", "svm": {"name": "svm_san"}}))
    with pytest.raises(InvalidInput, match=r"The comment for LUN svm_san:/vol/vol_prod/new has 250 characters: shorten it to \d+"):
        OntapRest(array.connection).plan_provision(wish(comment="x" * 250, initiators=()))


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
        if bench.transport == REST:
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


class TestALunOfSomebodyElse:
    """Who put it at the same path while we were at it; its data are not ours."""

    def test_is_not_taken_for_ours_when_our_answer_was_lost(self, bench: BenchInPlace) -> None:
        bench.fail(WRITES["create LUN"], DROPPED_BEFORE)
        bench.meanwhile(WRITES["create LUN"], lambda: bench.lun(NEW, 10 * GIB))
        with pytest.raises(StepFailed, match="was lost before the answer"):
            bench.provision(wish())
        assert bench.stored_lun() is not None
        assert bench.stored_lun().comment == ""

    def test_is_not_spoken_of_when_our_answer_was_lost(self, bench: BenchInPlace) -> None:
        bench.fail(WRITES["create LUN"], DROPPED_BEFORE)
        bench.meanwhile(WRITES["create LUN"], lambda: bench.lun(NEW, 10 * GIB))
        with pytest.raises(StepFailed) as told:
            bench.provision(wish())
        assert "and stays" not in str(told.value)

    def test_is_not_deleted_though_it_is_as_empty_as_ours_and_nobody_has_seen_ours(self, bench: BenchInPlace) -> None:
        def seen_by_nobody() -> None:
            bench.stored_lun().comment = ""
            bench.fail(READS_OF_LUNS, NO_INTERFACE)

        bench.meanwhile(WRITES["create LUN"], seen_by_nobody, after=True)
        with pytest.raises(StepFailed, match=r"was not made by the run crossvisor\.san:\w+ and stays"):
            bench.provision(wish())
        assert bench.stored_lun() is not None

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


class TestALunThatThisRunMade:
    """What an undo deletes is what this run has made, as it has made it."""

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda lun: setattr(lun, "used", 4096), "holds 4096 bytes that were written since it was made, and stays"),
            (lambda lun: setattr(lun, "comment", "mine now"), "was not made by the run .* and stays"),
            (lambda lun: lun.__dict__.update(comment="", used=4096), "holds 4096 bytes that were written since it was made, and stays"),
        ],
        ids=["written to", "marked by somebody else", "written to, and no longer marked"],
    )
    def test_stays_once_somebody_has_made_something_of_it(self, bench: BenchInPlace, change: Callable[[Any], None], told: str) -> None:
        bench.fail(WRITES["map"], NO_INTERFACE)
        bench.meanwhile(WRITES["map"], lambda: change(bench.stored_lun()))
        with pytest.raises(StepFailed, match=told):
            bench.provision(wish())
        assert bench.stored_lun() is not None

    def test_is_deleted_under_whatever_name_it_has_by_then(self, bench: BenchInPlace) -> None:
        def renamed() -> None:
            bench.client().patch(f"/storage/luns/{bench.stored_lun().uuid}", {"name": "/vol/vol_prod/renamed"}, 10)

        before = bench.state()
        bench.fail(WRITES["map"], NO_INTERFACE)
        bench.meanwhile(WRITES["map"], renamed)
        with pytest.raises(StepFailed, match=r"undone: .*create LUN"):
            bench.provision(wish())
        assert bench.state() == before

    def test_is_known_by_the_mark_that_the_change_has(self, bench: BenchInPlace) -> None:
        change = bench.backend().plan_provision(wish(initiators=()))
        carry_out(change.plan, check_mode=False)
        assert bench.stored_lun().comment == change.mark
