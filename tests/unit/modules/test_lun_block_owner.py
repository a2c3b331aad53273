# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""lun_block_owner: what it documents, and what it returns."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Host, VirtualDisk, VirtualMachine
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import NAME, MemoryArray, MemoryHypervisor, lun

OWNER = subject("lun_block_owner")
ENDPOINTS = {"hypervisor": {"hostname": "vcenter.example.com"}, "arrays": [{"hostname": "ontap.example.com"}]}


@pytest.fixture
def hypervisor() -> MemoryHypervisor:
    disk = VirtualDisk("2001", "Hard disk 2", "passthrough", size_bytes=1 << 20, device=str(NAME), name=NAME)
    return MemoryHypervisor([Host("h1", "esx1")], [VirtualMachine("vm-1", "app", host="h1", disks=[disk])])


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert OWNER.documented_options == OWNER.declared_options


def test_every_value_that_it_returns_is_documented(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor, MemoryArray(lun(NAME))):
        result = OWNER.succeed({**ENDPOINTS, "naa": str(NAME), "lbas": [8, 1 << 20]})
    assert undocumented(result, OWNER.documented_results) == []
    documented = set(OWNER.documented_results["owners"]["contains"])
    assert [set(row) for row in result["owners"]] == [documented, documented]
    assert [(row["vm_name"], row["virtual_offset"]) for row in result["owners"]] == [("app", 4096), ("", None)]
    assert hypervisor.calls[-1] == "close"


def test_a_lun_that_there_is_not_is_a_sentence(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor, MemoryArray(lun(NAME))):
        result = OWNER.run({**ENDPOINTS, "lun_path": "/vol/none/l1", "lbas": [0]})
    assert result["msg"].startswith("There is no LUN path '/vol/none/l1'")
