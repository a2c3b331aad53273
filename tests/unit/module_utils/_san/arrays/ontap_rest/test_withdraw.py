# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From which igroups a LUN is taken, and which go with it. What the steps do to an array is in tests/live/test_ontap_provision.py."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.groups import group_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.module_utils._san.arrays.ontap_rest.test_lookup import LUN
from tests.unit.ontap import Endpoint, address, records

A, B = "iqn.1998-01.com.vmware:a", "iqn.1998-01.com.vmware:b"
OURS = group_name([A])
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
    array.answer(records())
    change = OntapRest(array.connection).plan_withdraw(WithdrawWish(PLACE, delete=True))
    assert (change.plan.pending(), change.lun(), len(array.asked)) == ([], None, 1)


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
    with pytest.raises(Refused, match=r"LUN svm1:/vol/vol1/qtree1/lun1 is mapped to several igroups \(x, y\): say by group or initiators"):
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
