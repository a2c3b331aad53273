# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lun_snapshot: how the options become a wish, and the report a result."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Host, VirtualDisk, VirtualMachine
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import NAME, MemoryArray, MemoryHypervisor, lun

LUN_SNAPSHOT = subject("lun_snapshot")
CONNECTIONS = {"array": {"hostname": "ontap.example.com"}, "hypervisor": {"hostname": "vcenter.example.com"}}
KNOWN_HOST = Host("h1", "esx1", hbas=[Hba("vmhba1", "iscsi_software", "online", iqn="iqn.2026-01.com.example:a")])
WANTED = {**CONNECTIONS, "luns": [{"naa": NAME.naa}], "name": "s1"}


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert LUN_SNAPSHOT.documented_options == LUN_SNAPSHOT.declared_options


@pytest.mark.parametrize(("attribute", "support"), [("check_mode", "full"), ("diff_mode", "full"), ("idempotent", "partial")])
def test_it_promises_what_it_keeps(attribute: str, support: str) -> None:
    assert LUN_SNAPSHOT.declared["supports_check_mode"]
    assert LUN_SNAPSHOT.documentation["attributes"][attribute]["support"] == support


@pytest.mark.parametrize("state", ["present", "absent", "restored"])
def test_every_value_that_it_returns_is_documented(state: str) -> None:
    array = MemoryArray(lun(NAME))
    with opened(MemoryHypervisor([KNOWN_HOST]), array):
        LUN_SNAPSHOT.succeed({**WANTED, "name": "s0"})
        result = LUN_SNAPSHOT.succeed({**WANTED, "state": state})
    assert undocumented(result, LUN_SNAPSHOT.documented_results) == []
    assert set(result) == set(LUN_SNAPSHOT.documented_results)
    assert array.calls[-1] == "close"


def test_an_expiry_is_a_point_in_time_or_a_time_from_now_and_never_over() -> None:
    array = MemoryArray(lun(NAME))
    with opened(array=array):
        assert (
            LUN_SNAPSHOT.succeed({**WANTED, "expires": "2090-01-01T01:00:00+0100"})["snapshots"][0]["expires"]
            == "2090-01-01T00:00:00+00:00"
        )
        assert LUN_SNAPSHOT.succeed({**WANTED, "name": "s2", "expires": "7d"})["snapshots"][0]["expires"]
        assert "is over already" in LUN_SNAPSHOT.fail({**WANTED, "expires": "2001-01-01T00:00:00Z"})


def test_one_lun_is_restored_at_a_time() -> None:
    luns = [{"naa": NAME.naa}, {"svm": "svm1", "volume": "v1", "name": "l2"}]
    with opened(MemoryHypervisor(), MemoryArray(lun(NAME))):
        assert "One LUN is restored at a time, and luns names 2" in LUN_SNAPSHOT.fail({**WANTED, "luns": luns, "state": "restored"})


def test_a_restoration_wants_somebody_to_ask() -> None:
    array = MemoryArray(lun(NAME))
    alone = {key: value for key, value in WANTED.items() if key != "hypervisor"}
    with opened(array=array):
        assert "Nobody was named who knows whether the LUN is in use" in LUN_SNAPSHOT.fail({**alone, "state": "restored"})
        assert LUN_SNAPSHOT.succeed({**alone, "state": "restored", "assume_unused": True})["restored"]["naa"] == NAME.naa


def test_a_vm_that_has_the_lun_is_told_of_unless_it_does_not_use_it() -> None:
    asked = MemoryHypervisor(machines=[VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME)])])
    restored: dict[str, Any] = {**WANTED, "state": "restored", "assume_unused": True}
    with opened(asked, MemoryArray(lun(NAME))):
        assert "is used by VM app (vm-1) and will not be restored" in LUN_SNAPSHOT.fail(restored)
        assert LUN_SNAPSHOT.succeed({**restored, "unused_by_vm": "app"})["safety_snapshot"]["name"].startswith("crossvisor_before_s1_")
        assert LUN_SNAPSHOT.succeed({**restored, "unused_by_vm": "app", "safety_snapshot": False})["safety_snapshot"] is None


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({}, "one of the following is required: naa, serial, name"),
        ({"naa": NAME.naa, "serial": "x"}, "mutually exclusive"),
        ({"name": "l1"}, "required together: svm, volume, name"),
        ({"naa": "nonsense"}, "nonsense"),
    ],
)
def test_a_lun_has_one_name(row: dict[str, str], sentence: str) -> None:
    with opened(array=MemoryArray(lun(NAME))):
        assert sentence in LUN_SNAPSHOT.fail({**WANTED, "luns": [row]})


def test_check_mode_takes_none() -> None:
    array = MemoryArray(lun(NAME))
    with opened(array=array):
        result = LUN_SNAPSHOT.run(WANTED, check=True)
    assert (result["changed"], array.kept) == (True, [])
