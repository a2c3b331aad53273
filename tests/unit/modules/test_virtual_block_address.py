# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""virtual_block_address: what it documents, and what it returns."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Host, VirtualDisk, VirtualMachine
from tests.unit.modules.subject import opened, subject, undocumented
from tests.unit.ports import NAME, MemoryArray, MemoryHypervisor, lun

ADDRESS = subject("virtual_block_address")
ENDPOINTS = {"hypervisor": {"hostname": "vcenter.example.com"}, "arrays": [{"hostname": "ontap.example.com"}]}


@pytest.fixture
def hypervisor() -> MemoryHypervisor:
    disk = VirtualDisk("2001", "Hard disk 2", "passthrough", size_bytes=1 << 20, device=str(NAME), name=NAME)
    return MemoryHypervisor([Host("h1", "esx1")], [VirtualMachine("vm-1", "app", host="h1", disks=[disk])])


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert ADDRESS.documented_options == ADDRESS.declared_options


def test_every_value_that_it_returns_is_documented(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor, MemoryArray(lun(NAME))):
        result = ADDRESS.succeed({**ENDPOINTS, "vm": "app", "verify": True})
    assert undocumented(result, ADDRESS.documented_results) == []
    (row,) = result["addresses"]
    assert set(row) == set(ADDRESS.documented_results["addresses"]["contains"])
    assert hypervisor.calls[-1] == "close"


def test_offsets_and_ranges_are_asked_for_alike(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor, MemoryArray(lun(NAME))):
        result = ADDRESS.succeed({**ENDPOINTS, "vm": "app", "offsets": [512], "ranges": [{"offset": 4096, "length": 1024}]})
    assert [(row["virtual_offset"], row["length"], row["lba"]) for row in result["addresses"]] == [(512, 1, 1), (4096, 1024, 8)]


def test_what_is_beyond_the_disk_is_a_sentence(hypervisor: MemoryHypervisor) -> None:
    with opened(hypervisor, MemoryArray(lun(NAME))):
        result = ADDRESS.run({**ENDPOINTS, "vm": "app", "offsets": [1 << 20]})
    assert result["msg"].startswith("The range of 1 bytes from byte 1048576 is not within disk Hard disk 2 of VM app")
