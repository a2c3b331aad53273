# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of a real libvirt: initiators, LUNs by their identities, and the map of domains of every shape."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.lab import kvm_world, world
from tests.live.lab import KvmLab
from tests.live.modules import ModuleRunner

ARCHIVE = world.naa_at(kvm_world.lun_path("kvm_archive"))
LEDGER = world.naa_at(kvm_world.lun_path("kvm_ledger"))


@pytest.fixture(scope="module")
def kvm(running_kvm: KvmLab) -> KvmLab:
    """The lab, in its first state; nothing here changes it."""
    running_kvm.reset()
    return running_kvm


@pytest.fixture(scope="module")
def rows(kvm: KvmLab, modules: ModuleRunner) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The rows of the map, by VM and disk."""
    arguments = {"hypervisor": kvm.hypervisor, "arrays": [kvm.array], "image_details": True}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in modules.succeed("vm_storage_map", arguments)["mappings"]:
        found.setdefault((row["vm_name"], row["disk"]), []).append(row)
    return found


def test_a_uri_is_enough_to_know_that_it_is_kvm(kvm: KvmLab, modules: ModuleRunner) -> None:
    facts = modules.succeed("hypervisor_facts", {"hypervisor": kvm.hypervisor})["ansible_facts"]["crossvisor"]
    assert (facts["type"], facts["product"], facts["clusters"]) == ("kvm", "QEMU/KVM with libvirt", [])
    assert facts["version"].startswith("QEMU ")


def test_the_uri_may_come_from_the_environment(kvm: KvmLab, modules: ModuleRunner) -> None:
    environment = {"CROSSVISOR_HYPERVISOR_URI": kvm.hypervisor["uri"]}
    facts = modules.run("hypervisor_facts", {}, environment=environment)["ansible_facts"]["crossvisor"]
    assert (facts["source"], facts["type"]) == ("endpoint", "kvm")


def test_qemus_own_initiator_is_an_adapter_with_the_luns_that_the_array_maps_to_it(kvm: KvmLab, modules: ModuleRunner) -> None:
    result = modules.succeed("hba_info", {"hypervisor": kvm.hypervisor, "vm": "lnx01", "kinds": ["iscsi_software"]})
    (adapter,) = (hba for hba in result["hosts"][0]["hbas"] if hba["driver"] == "libiscsi")
    assert result["initiators_by_protocol"]["iscsi"] == [kvm.initiator]
    assert (adapter["status"], adapter["initiator"]) == ("online", kvm.initiator)
    assert {path["naa"]: path["lun_id"] for path in adapter["paths"]} == {ARCHIVE: 1, LEDGER: 2}


def test_a_network_disk_is_mapped_down_to_its_lun(rows: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    (row,) = rows["archive01", "sda"]
    assert (row["status"], row["naa"], row["lun_path"], row["lun_id"]) == ("mapped", ARCHIVE, kvm_world.lun_path("kvm_archive"), 1)
    assert (row["kind"], row["size_bytes"]) == ("passthrough", kvm_world.LUNS["kvm_archive"])


def test_a_device_of_the_host_is_known_by_its_link(rows: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    (row,) = rows["ledger01", "sda"]
    assert (row["status"], row["naa"], row["device"]) == ("mapped", LEDGER, f"/dev/disk/by-id/wwn-0x{LEDGER}")


def test_a_qcow2_chain_of_a_vm_that_is_off_is_followed_to_its_base(rows: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    names = [row["path"].rpartition("/")[2] for row in rows["chain01", "vda"]]
    assert names == ["chain01.qcow2", "chain01-before-update.qcow2", "chain01-golden.qcow2"]


def test_a_volume_of_a_pool_is_the_file_that_it_is(rows: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    (row,) = rows["volume01", "vda"]
    assert (row["path"].rpartition("/")[2], row["size_bytes"]) == ("volume01.img", 3 * kvm_world.GIB)


def test_a_logical_volume_that_the_host_does_not_have_is_a_row_with_a_reason(rows: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    (row,) = rows["lvm01", "sda"]
    assert (row["status"], row["path"]) == ("unresolved", "/dev/vg_lab/lvm01")
    assert "/dev/vg_lab/lvm01 is not known" in row["reason"]


def test_every_vm_has_a_row_for_every_disk_but_none_for_an_empty_drive(rows: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    domains = {domain["name"]: domain["disks"] for domain in world.build()["kvm"]["domains"]}
    expected = {(name, disk["target"]) for name, disks in domains.items() for disk in disks if disk["source"] != "none"}
    assert set(rows) == expected


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("qemu+unix:///system?socket=/nowhere/libvirt-sock", "libvirt cannot be reached at .*/nowhere/libvirt-sock"),
        ("qemu+tcp://127.0.0.1:1/system", "unable to connect to server at '127.0.0.1:1': Connection refused"),
        ("qemu+ssh://nobody@127.0.0.1:1/system", "127.0.0.1 port 1: Connection refused"),
        ("xen:///system", "'xen:///system' is not the libvirt URI of a KVM host: write qemu:///system"),
        ("kvm01.example.com", "is not the libvirt URI of a KVM host"),
    ],
)
def test_a_uri_that_leads_nowhere_is_one_sentence(modules: ModuleRunner, uri: str, words: str) -> None:
    message = modules.fail("hypervisor_facts", {"hypervisor": {"uri": uri}})
    assert re.search(words, message), message
