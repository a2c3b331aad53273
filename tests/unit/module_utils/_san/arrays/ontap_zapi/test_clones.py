# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Over ZAPI a clone gets its comment before its name, so that there is never one under its name that does not tell whose it is."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, StepFailed
from tests.unit.ontap import wish
from tests.unit.ontap_array import BenchInPlace
from tests.unit.ontap_provision import DROPPED_AFTER, DROPPED_BEFORE, NEW, NO_INTERFACE
from tests.unit.ontap_snapshots import A, take

pytestmark = pytest.mark.slow

LEFT = f"{NEW}.crossvisor_0123456789abcdef"
STEPS = ("ZAPI clone-create", "ZAPI lun-set-comment", "ZAPI lun-move")


@pytest.fixture
def snapped(bench: BenchInPlace) -> BenchInPlace:
    take(bench)
    return bench


def clone(**settings: Any) -> Any:
    return wish(**{"size_bytes": None, "initiators": (), "clone_of": CloneOrigin(A.lun, "s1"), **settings})


def paths(bench: BenchInPlace) -> list[str]:
    return sorted(lun.path for svm in bench.server.array.svms for lun in svm.luns if lun.path.startswith(NEW))


@pytest.mark.parametrize("step", STEPS)
def test_what_is_refused_leaves_nothing(snapped: BenchInPlace, step: str) -> None:
    before = snapped.state()
    snapped.fail(step, NO_INTERFACE)
    with pytest.raises(StepFailed, match="A node has no interface"):
        snapped.provision(clone())
    assert snapped.state() == before


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", [DROPPED_BEFORE, DROPPED_AFTER])
@pytest.mark.parametrize("step", STEPS)
def test_an_answer_that_is_lost_leaves_a_whole_clone_or_none(snapped: BenchInPlace, step: str, fault: dict[str, Any]) -> None:
    snapped.fail(step, fault)
    try:
        snapped.provision(clone())
    except CrossvisorError:
        assert paths(snapped) == []
    else:
        assert paths(snapped) == [NEW]
    snapped.provision(clone())
    assert paths(snapped) == [NEW]
    assert not snapped.provision(clone())[0].changed


def test_a_name_that_somebody_takes_meanwhile_is_his(snapped: BenchInPlace) -> None:
    snapped.meanwhile("ZAPI lun-move", lambda: snapped.lun(NEW))
    with pytest.raises(StepFailed, match=r"somebody else changed it at the same moment; run the task again"):
        snapped.provision(clone())
    assert paths(snapped) == [NEW]
    assert snapped.stored_lun().comment == ""


def test_what_a_run_that_was_killed_has_left_goes_with_the_next(snapped: BenchInPlace) -> None:
    snapped.lun(LEFT)
    snapped.provision(clone())
    assert paths(snapped) == [NEW]


@pytest.mark.parametrize("other", [f"{NEW}.crossvisor_backup", "/vol/vol_prod/other.crossvisor_0123456789abcdef"])
def test_what_is_named_otherwise_or_is_of_another_clone_stays(snapped: BenchInPlace, other: str) -> None:
    snapped.lun(other)
    snapped.provision(clone())
    assert snapped.stored_lun(other) is not None


def test_what_somebody_has_mapped_stays_whatever_its_name_is(snapped: BenchInPlace) -> None:
    snapped.lun(LEFT)
    snapped.igroup("theirs", ("iqn.1998-01.com.example:theirs",))
    snapped.map(LEFT, "theirs", 0)
    with pytest.raises(StepFailed, match=rf"LUN svm_san:{LEFT} is mapped"):
        snapped.provision(clone())
    assert paths(snapped) == [LEFT]


def test_what_somebody_maps_at_that_moment_stays_too(snapped: BenchInPlace) -> None:
    snapped.lun(LEFT)
    snapped.igroup("theirs", ("iqn.1998-01.com.example:theirs",))
    snapped.meanwhile("ZAPI lun-destroy", lambda: snapped.map(LEFT, "theirs", 0))
    with pytest.raises(StepFailed, match="is mapped"):
        snapped.provision(clone())
    assert paths(snapped) == [LEFT]


def test_one_that_never_shows_is_told_and_goes_with_the_next_run(snapped: BenchInPlace) -> None:
    snapped.server.control("POST", "/faults", {"hide_luns": 1000})
    with pytest.raises(StepFailed, match=r"\.crossvisor_[0-9a-f]{16} was made and is not there: look at the array's event log"):
        snapped.provision(clone())


def test_one_whose_making_was_not_answered_and_that_is_not_there_is_told_by_that(snapped: BenchInPlace) -> None:
    snapped.fail(STEPS[0], DROPPED_BEFORE)
    with pytest.raises(StepFailed, match="was lost before the answer to clone-create came"):
        snapped.provision(clone())


def test_one_that_cannot_be_taken_back_is_not_the_failure_that_is_told(snapped: BenchInPlace) -> None:
    snapped.fail("ZAPI lun-move", NO_INTERFACE)
    snapped.fail("ZAPI lun-destroy", {"status": 404})
    with pytest.raises(StepFailed, match="A node has no interface"):
        snapped.provision(clone())
    assert len(paths(snapped)) == 1
    snapped.provision(clone())
    assert paths(snapped) == [NEW]


def test_one_that_shows_late_is_waited_for(snapped: BenchInPlace) -> None:
    snapped.server.control("POST", "/faults", {"hide_luns": 2})
    assert snapped.provision(clone())[0].changed


@pytest.mark.parametrize(("thin", "reserved"), [(True, False), (False, True)])
def test_its_space_is_reserved_as_asked(snapped: BenchInPlace, thin: bool, reserved: bool) -> None:
    snapped.provision(clone(thin=thin))
    assert snapped.stored_lun().reserved is reserved


def test_a_licence_that_is_missing_is_told_by_its_name(snapped: BenchInPlace) -> None:
    snapped.fail("ZAPI clone-create", {"error": {"code": 14956, "message": "FlexClone is not licensed"}})
    with pytest.raises(StepFailed, match="clones need the licence FlexClone"):
        snapped.provision(clone())
