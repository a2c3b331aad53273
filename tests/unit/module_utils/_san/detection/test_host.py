# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine itself, in the words of a hypervisor's hosts."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.host import devices, local_host
from tests.unit.module_utils._san.linux.machines import BARE_METAL, XEN_DOM0, plant, scsi_disk, scsi_host


def test_a_bare_metal_machine(tmp_path: Path) -> None:
    host = local_host(plant(tmp_path, BARE_METAL, scsi_host(0, "pci0000:00/0000:00:10.0", proc_name="megaraid_sas")))
    assert (host.id, host.name, host.product, host.version) == ("db01", "db01", "Red Hat Enterprise Linux", "9.4")
    assert host.uuid == "4c4c4544-0037-4e10-8036-b7c04f4b4132"
    assert [hba.name for hba in host.hbas] == ["host0"]


def test_a_xenserver_host_has_the_uuid_of_its_management(tmp_path: Path) -> None:
    assert local_host(plant(tmp_path, XEN_DOM0)).uuid == "a0e4b1f0-6c3f-4f6e-8a9e-0d5f8c1b2a3d"


def test_the_configured_name_where_the_kernel_s_is_hidden(tmp_path: Path) -> None:
    assert local_host(plant(tmp_path, {"/etc/hostname": "web01"})).name == "web01"


def test_an_empty_machine_has_empty_answers(tmp_path: Path) -> None:
    host = local_host(tmp_path)
    assert (host.id, host.name, host.product, host.version, host.uuid, list(host.hbas)) == ("", "", "", "", "", [])
    assert devices(tmp_path) == []


def test_its_devices_name_it_as_their_host(tmp_path: Path) -> None:
    disk = scsi_disk("0:0:0:0", "sda", "/sys/devices/pci0000:00/0000:00:10.0/host0/target0:0:0", "600508b1001c4d2b")
    (device,) = devices(plant(tmp_path, BARE_METAL, disk))
    assert device.host == "db01"
