# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""virtual_block_address: what it documents, and what it returns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Host, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers
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


MADE = Markers(b"a secret of ours", 4096)
PIECE = {
    "number": 7, "within": 0, "length": 4096, "virtual_offset": 8192, "device": "/dev/sdb", "naa": NAME.naa, "disk_bytes": 1 << 20,
    "submitted": 1.0, "completed": 2.0,
}  # fmt: skip
GIVEN = {
    "magic": MADE.magic.hex(),
    "block_bytes": 4096,
    "written": [PIECE],
    "unplaced": [],
    "holder": {"pid": 1, "began": 1},
    "changed": True,
}


def test_an_observation_has_the_rows_of_a_translation(hypervisor: MemoryHypervisor) -> None:
    array = MemoryArray(replace(lun(NAME), size_bytes=1 << 20), data={NAME.naa: bytes(8192) + MADE.make(7)})
    asked = {**ENDPOINTS, "vm": "app", "offsets": [8192]}
    with opened(hypervisor, array):
        observed = ADDRESS.succeed({**asked, "method": "observe", "markers": GIVEN})
        translated = ADDRESS.succeed(asked)
    assert undocumented(observed, ADDRESS.documented_results) == []
    (found,), (told,) = observed["addresses"], translated["addresses"]
    same = set(told) - {"observed", "device"}
    assert {name: found[name] for name in same} == {name: told[name] for name in same}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "observe"}, "markers"),
        ({"markers": GIVEN}, "markers are for method=observe: set it, or leave them out."),
        ({"method": "observe", "markers": GIVEN, "verify": True}, "verify means nothing to method=observe"),
        ({"method": "observe", "markers": {"msg": "it failed"}}, "markers is not what guest_block_markers returns (KeyError: 'magic')"),
        ({"method": "observe", "markers": {**GIVEN, "magic": "xx"}}, "markers is not what guest_block_markers returns (ValueError"),
        ({"method": "observe", "markers": {**GIVEN, "written": [{**PIECE, "length": 8192}]}}, "marker 7 with 8192 bytes at 8192"),
        ({"method": "observe", "markers": {**GIVEN, "written": [{**PIECE, "virtual_offset": -512}]}}, "marker 7 with 4096 bytes at -512"),
        ({"method": "observe", "markers": {**GIVEN, "written": [{**PIECE, "virtual_offset": 100}]}}, "marker 7 with 4096 bytes at 100"),
        ({"method": "observe", "markers": {**GIVEN, "written": [{**PIECE, "virtual_offset": 1 << 20}]}}, "that is another disk"),
        (
            {"method": "observe", "markers": GIVEN, "search": {"luns": ["nonsense"]}},
            "search.luns has 'nonsense', which is no name of a LUN",
        ),
        (
            {"method": "observe", "markers": GIVEN, "search": {"luns": [str(NAME)], "captures": ["/nowhere.pcap"]}},
            "search.luns and search.captures are two ways to look: give one of them.",
        ),
        ({"method": "observe", "markers": GIVEN, "search": {"captures": ["/nowhere.pcap"]}}, "Capture /nowhere.pcap cannot be read"),
        ({"method": "observe", "markers": GIVEN, "search": {"bytes": -1}}, "search.bytes=-1 is less than nothing"),
        ({"method": "observe", "markers": GIVEN, "search": {"seconds": -1}}, "search.seconds=-1 is less than nothing"),
        ({"method": "observe", "markers": GIVEN, "search": {"seconds": "nan"}}, "search.seconds=nan is less than nothing, or no number"),
    ],
)
def test_an_observation_that_cannot_be_is_refused_in_a_sentence(
    hypervisor: MemoryHypervisor, options: dict[str, Any], message: str
) -> None:
    with opened(hypervisor, MemoryArray(lun(NAME))):
        result = ADDRESS.run({**ENDPOINTS, "vm": "app", **options})
    assert result["failed"]
    assert message in result["msg"]


BY_SHELL = {**ENDPOINTS, "vm": "app", "method": "vmkfstools"}


class TestTheEsxiShell:
    def test_tells_a_lun_passed_through_as_everybody_does(self, hypervisor: MemoryHypervisor) -> None:
        hypervisor.type = "vmware"
        with opened(hypervisor, MemoryArray(lun(NAME))):
            (row,) = ADDRESS.succeed({**BY_SHELL, "offsets": [512]})["addresses"]
        assert (row["state"], row["lba"]) == ("data", 1)

    def test_has_nothing_to_verify(self, hypervisor: MemoryHypervisor) -> None:
        with opened(hypervisor, MemoryArray(lun(NAME))):
            told = ADDRESS.run({**BY_SHELL, "verify": True})["msg"]
        assert told == "verify means nothing to method=vmkfstools, which tells only of what it has compared: leave it out."

    def test_is_for_vmware_alone(self, hypervisor: MemoryHypervisor) -> None:
        hypervisor.type = "kvm"
        with opened(hypervisor, MemoryArray(lun(NAME))):
            told = ADDRESS.run(BY_SHELL)["msg"]
        assert told == f"method=vmkfstools is for VMware, and {hypervisor.address} is kvm: leave method out."
        assert hypervisor.calls[-1] == "close"
