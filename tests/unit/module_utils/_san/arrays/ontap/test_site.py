# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run may take back of a LUN, and that a LUN which is given back to a group keeps its number or says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault, OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import Site, refuse_others_work, refuse_written
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from tests.unit.ports import NAME

MARK = "crossvisor.san:0123456789abcdef"
LUN = Lun("l", "/vol/vol_prod/new", NAME, "serial", 1, "linux", "svm_san", "vol_prod")


@dataclass
class Array:
    """Maps LUNs until it is told to refuse the first attempt."""

    refusal: OntapRefusal | None = None
    mapped: list[tuple[str, int | None]] = field(default_factory=list)
    connection: str = "array01"

    def map_lun(self, _lun: Lun, group: str, lun_id: int | None, _timeout: float) -> None:
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise refusal
        self.mapped.append((group, lun_id))


def stored(used_bytes: int | None, comment: str = MARK) -> StoredLun:
    return StoredLun(Lun(**{**vars(LUN), "used_bytes": used_bytes}), comment)


def site(array: Any, lun: Lun | None = LUN) -> Site:
    return Site(array, "svm_san", "svm_san:/vol/vol_prod/new", 60.0, lun)


class TestWhatARunMayTakeBack:
    def test_is_what_it_made_and_nobody_has_written_to(self) -> None:
        refuse_others_work(stored(0), MARK)

    def test_is_nothing_without_its_mark(self) -> None:
        with pytest.raises(Refused, match=rf"^LUN svm_san:/vol/vol_prod/new was not made by the run {MARK} and stays"):
            refuse_others_work(stored(0, "crossvisor.san:fedcba9876543210"), MARK)

    @pytest.mark.parametrize("held", [0, 4096, None])
    def test_is_nothing_of_which_the_array_does_not_tell_whether_anybody_wrote_to_it(self, held: int | None) -> None:
        with pytest.raises(Refused, match="holds an unknown number of bytes that were written since it was made, and stays"):
            refuse_written(stored(None), held)

    @pytest.mark.parametrize(("used", "held"), [(1, 0), (4097, 4096), (0, None)])
    def test_is_nothing_that_holds_another_number_of_bytes_than_when_it_was_made(self, used: int, held: int | None) -> None:
        with pytest.raises(Refused, match=rf"^LUN svm_san:/vol/vol_prod/new holds {used} bytes"):
            refuse_written(stored(used), held)

    def test_is_by_default_only_what_holds_nothing(self) -> None:
        for refuse in (refuse_written, lambda one: refuse_others_work(one, MARK)):
            refuse(stored(0))
            with pytest.raises(Refused, match="holds 1 bytes"):
                refuse(stored(1))


class TestALunThatIsNotThere:
    def test_is_told_by_its_path(self) -> None:
        with pytest.raises(NotFound, match=r"There is no LUN svm_san:/vol/vol_prod/new on array array01 any more"):
            site(Array(), None).require_lun()

    def test_is_not_asked_for(self) -> None:
        assert site(Array(), None).read() is None


class TestGivingALunBack:
    def test_happens_under_its_number(self) -> None:
        array = Array()
        site(array).map_again(7, "theirs")
        assert array.mapped == [("theirs", 7)]

    def test_happens_under_another_when_that_was_taken_meanwhile_and_is_told(self) -> None:
        array = Array(OntapRefusal("taken", fault=Fault.MAP_RACE))
        with pytest.raises(RemoteError, match="LUN id 7 was given to another LUN meanwhile"):
            site(array).map_again(7, "theirs")
        assert array.mapped == [("theirs", None)]

    def test_is_not_tried_under_another_when_it_was_refused_for_another_reason(self) -> None:
        array = Array(OntapRefusal("busy", fault=Fault.NO_GROUP))
        with pytest.raises(OntapRefusal, match="busy"):
            site(array).map_again(7, "theirs")
        assert array.mapped == []
