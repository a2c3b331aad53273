# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Only the controllers that can carry the LUN are looked behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.address import ANYWHERE, Address
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.controllers import to_scan
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from tests.unit.module_utils._san.guests.linux.guest import CONTROLLERS
from tests.unit.module_utils._san.linux.machines import pci_function, plant, scsi_host


def names(root: Path, controller: str = "", address: Address = ANYWHERE) -> list[str]:
    return [host.name for host in to_scan(Tree(root), controller, address)]


def test_all_virtual_controllers_and_no_sata(tmp_path: Path) -> None:
    assert names(plant(tmp_path, CONTROLLERS)) == ["host2", "host3"]


def test_the_host_that_the_address_tells(tmp_path: Path) -> None:
    assert names(plant(tmp_path, CONTROLLERS), address=Address(host=3)) == ["host3"]


@pytest.mark.parametrize(("controller", "found"), [("host2", "host2"), ("0000:03:00.0", "host3"), ("0000:00:1F.2", "host0")])
def test_the_controller_that_is_named(tmp_path: Path, controller: str, found: str) -> None:
    assert names(plant(tmp_path, CONTROLLERS), controller) == [found]


def test_hyperv_s_controllers_are_not_on_pci(tmp_path: Path) -> None:
    machine = scsi_host(1, "LNXSYSTM:00/ACPI0004:00/VMBUS:00/f8b3781a", proc_name="storvsc_host_t")
    assert names(plant(tmp_path, machine)) == ["host1"]


def test_without_virtual_ones_those_of_a_san(tmp_path: Path) -> None:
    adapter = {**pci_function("pci0000:3a/0000:3b:00.0", "qla2xxx", "0x1077", "0x1077"), **scsi_host(7, "pci0000:3a/0000:3b:00.0")}
    sata = scsi_host(0, "pci0000:00/0000:00:1f.2/ata1", proc_name="ahci")
    assert names(plant(tmp_path, adapter, sata)) == ["host7"]


def test_fcoe_over_a_network_card_of_the_hypervisor_is_no_controller_of_it(tmp_path: Path) -> None:
    card = "pci0000:00/0000:00:04.0"
    fcoe = {**pci_function(card, "virtio-pci", "0x1af4", "0x1af4"), **scsi_host(7, f"{card}/virtio2/net/eth1/ctlr_0", proc_name="fcoe")}
    iscsi = scsi_host(9, "platform", proc_name="iscsi_tcp")
    assert names(plant(tmp_path / "alone", fcoe, iscsi)) == ["host7", "host9"]
    assert names(plant(tmp_path / "guest", CONTROLLERS, fcoe, iscsi)) == ["host2", "host3"]


@pytest.mark.parametrize(
    ("machine", "controller", "address", "told"),
    [
        ({}, "", ANYWHERE, r"no SCSI host behind which a LUN could be \(it has none\): add a SCSI controller"),
        (scsi_host(0, "pci0000:00/0000:00:1f.2/ata1", proc_name="ahci"), "", ANYWHERE, r"\(it has host0 \(ahci\)\)"),
        (CONTROLLERS, "host9", ANYWHERE, r"no SCSI host 'host9': it has host0 \(ahci\), host2 \(virtio_scsi\), host3 \(vmw_pvscsi\)"),
        (CONTROLLERS, "", Address(host=9), "no SCSI host 9 behind which"),
    ],
)
def test_none(tmp_path: Path, machine: dict[str, str], controller: str, address: Address, told: str) -> None:
    with pytest.raises(NotFound, match=told):
        names(plant(tmp_path, machine), controller, address)
