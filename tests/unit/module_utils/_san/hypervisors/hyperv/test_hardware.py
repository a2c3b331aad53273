# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controllers and disks out of settings, also of such as the lab's VMs do not have."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import hardware
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.hardware import Drives
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Controller, VirtualDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance
from tests.unit.ports import NAME

PREFIX = '\\\\HV01\\root\\virtualization\\v2:Msvm_ResourceAllocationSettingData.InstanceID="Microsoft:VM\\\\'
DISK = HostDisk(3, NAME, 7, "id")
DRIVES = Drives.of([CimInstance("Msvm_DiskDrive", {"DeviceID": "Microsoft:POOL\\3", "DriveNumber": 3})], [DISK])


def resource(key: str, subtype: str, **properties: Any) -> CimInstance:
    return CimInstance("R", {"InstanceID": f"Microsoft:VM\\{key}", "ResourceSubType": subtype, **properties})


def drive(key: str, subtype: str, unit: str = "0", on: str = "c1", **properties: Any) -> CimInstance:
    return resource(key, subtype, Parent=f'{PREFIX}{on}"', AddressOnParent=unit, **properties)


def image(path: str, inside: str) -> CimInstance:
    return CimInstance("S", {"InstanceID": "Microsoft:VM\\image", "Parent": f'{PREFIX}{inside}"', "HostResource": (path,)})


def read(*drives: CimInstance, images: tuple[CimInstance, ...] = ()) -> tuple[list[Controller], list[VirtualDisk]]:
    return hardware.controllers_and_disks([resource("c1", hardware.SCSI_CONTROLLER), *drives], images, DRIVES)


def test_a_lun_is_found_by_the_drive_that_the_settings_name_in_any_case() -> None:
    path = '\\\\hv01\\root\\virtualization\\v2:Msvm_DiskDrive.CreationClassName="Msvm_DiskDrive",DeviceID="microsoft:pool\\\\3"'
    _controllers, (disk,) = read(drive("d", hardware.PHYSICAL_DRIVE, HostResource=(path,)))
    assert (disk.name, disk.size_bytes, disk.device, disk.mode) == (NAME, 7, "\\\\.\\PHYSICALDRIVE3", "physical")


def test_a_drive_that_the_host_does_not_have_is_told_by_its_id() -> None:
    _controllers, (disk,) = read(drive("d", hardware.PHYSICAL_DRIVE, HostResource=('Msvm_DiskDrive.DeviceID="Microsoft:POOL\\\\9"',)))
    assert (disk.name, disk.device) == (None, "Microsoft:POOL\\9")


def test_a_saved_vms_drive_without_any_resource_remains_a_disk() -> None:
    _controllers, (disk,) = read(drive("d", hardware.PHYSICAL_DRIVE))
    assert (disk.kind, disk.name, disk.device) == ("passthrough", None, "")


def test_an_empty_drive_takes_a_unit_and_is_no_disk() -> None:
    (controller,), found = read(drive("d", hardware.SYNTHETIC_DRIVE, "5"), drive("e", "Microsoft:Hyper-V:Synthetic DVD Drive", "2"))
    assert (controller.units, found) == ([2, 5], [])


def test_an_image_file_sits_in_its_drive() -> None:
    _controllers, (disk,) = read(drive("d", hardware.SYNTHETIC_DRIVE, "4"), images=(image("E:\\a.vhdx", "d"), image("E:\\b.vhdx", "other")))
    assert (disk.path, disk.label, disk.key) == ("E:\\a.vhdx", "SCSI(0:4)", "Microsoft:VM\\d")


def test_a_drive_without_a_place_takes_none() -> None:
    (controller,), (disk,) = read(drive("d", hardware.PHYSICAL_DRIVE, ""))
    assert (controller.units, disk.unit) == ([], None)


def test_a_drive_without_a_number_is_no_disk_of_the_host() -> None:
    unknown = Drives.of([CimInstance("Msvm_DiskDrive", {"DeviceID": "x", "DriveNumber": None})], [HostDisk(0, None, 1, "boot")])
    assert unknown.disk("x") is None


@pytest.mark.parametrize("path", ["", "no path at all!", "Msvm_DiskDrive", "C:\\file.vhdx"])
def test_what_is_no_path_of_a_drive_names_none(path: str) -> None:
    assert hardware.device_id(path) == ""


def test_the_parts_of_an_instance_id() -> None:
    text = "Microsoft:8f49-a\\C20E\\0\\1\\L"
    assert (hardware.owner_of(text), hardware.part_of(text)) == ("8F49-A", "C20E\\0\\1\\L")
