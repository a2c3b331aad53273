# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_storage_map: the map, and arrays that do not answer."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Host, ScsiDevice, VirtualDisk, VirtualMachine
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import NAME, MemoryArray, MemoryHypervisor, lun

STORAGE_MAP = subject("vm_storage_map")
ENDPOINTS = {"hypervisor": {"hostname": "vcenter.example.com"}, "arrays": [{"hostname": "ontap.example.com"}]}


@pytest.fixture
def hypervisor() -> MemoryHypervisor:
    """Two VMs, one of which has the LUN."""
    disk = VirtualDisk("2001", "Hard disk 2", "passthrough", "1000", 0, 1, device=str(NAME), name=NAME)
    machines = [VirtualMachine("vm-1", "app", host="h1", cluster="prod", disks=[disk]), VirtualMachine("vm-2", "db", host="h1")]
    return MemoryHypervisor([Host("h1", "esx1", "prod")], machines, seen=[ScsiDevice("h1", str(NAME), NAME, 1 << 30)])


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert STORAGE_MAP.documented_options == STORAGE_MAP.declared_options


def test_every_value_that_it_returns_is_documented(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor, MemoryArray(lun(NAME))):
        result = STORAGE_MAP.succeed(ENDPOINTS)
    assert undocumented(result, STORAGE_MAP.documented_results) == []
    assert set(result) == set(STORAGE_MAP.documented_results)
    (row,) = result["mappings"]
    assert set(row) == set(STORAGE_MAP.documented_results["mappings"]["contains"])
    assert (row["vm_name"], row["naa"], row["svm"], row["volume"], row["status"]) == ("app", NAME.naa, "svm1", "v1", "mapped")


def test_vms_can_be_selected(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor, MemoryArray()):
        result = STORAGE_MAP.succeed({**ENDPOINTS, "vms": ["db"]})
    assert ([vm["name"] for vm in result["virtual_machines"]], result["mappings"]) == (["db"], [])


def test_an_array_that_does_not_answer_is_a_warning_and_a_reason(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor, MemoryArray(error="It is down.")):
        result = STORAGE_MAP.run(ENDPOINTS)
    assert "failed" not in result
    assert "ontap.example.com could not be asked: It is down" in str(result["warnings"])
    assert (result["mappings"][0]["status"], result["mappings"][0]["naa"]) == ("unresolved", NAME.naa)
    assert hypervisor.calls[-1] == "close"
