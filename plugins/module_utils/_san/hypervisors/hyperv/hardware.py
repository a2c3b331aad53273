# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM's controllers and disks out of the settings of its devices.

A pass-through disk is one drive on a controller. An image file is set into a synthetic drive, which is what sits on the controller. Source:
`Msvm_ResourceAllocationSettingData` and `Msvm_StorageAllocationSettingData` of Microsoft's Hyper-V WMI provider (V2) reference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import IMAGE, PASSTHROUGH, PHYSICAL, Controller, VirtualDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import parse_path
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance

SCSI_CONTROLLER = "Microsoft:Hyper-V:Synthetic SCSI Controller"
IDE_CONTROLLER = "Microsoft:Hyper-V:Emulated IDE Controller"
PHYSICAL_DRIVE = "Microsoft:Hyper-V:Physical Disk Drive"
SYNTHETIC_DRIVE = "Microsoft:Hyper-V:Synthetic Disk Drive"
VIRTUAL_HARD_DISK = "Microsoft:Hyper-V:Virtual Hard Disk"
"""ResourceSubType."""
TYPE_IDE, TYPE_SCSI, TYPE_DVD_DRIVE, TYPE_DISK_DRIVE = 5, 6, 16, 17
"""ResourceType of everything that has, or takes, a slot for disks."""
SCSI, IDE = "scsi", "ide"
CONTROLLER_TYPES: Mapping[str, str] = MappingProxyType({SCSI_CONTROLLER: SCSI, IDE_CONTROLLER: IDE})

_PREFIX = "Microsoft:"
_DEVICE_PREFIX = "\\\\.\\"


@dataclass(frozen=True)
class Drives:
    """The disks that a host gives to VMs, by the `DeviceID` under which VMs' settings know them."""

    disks: Mapping[str, HostDisk]

    @classmethod
    def of(cls, drives: Iterable[CimInstance], disks: Iterable[HostDisk]) -> Drives:
        """Join the host's `Msvm_DiskDrive`s with its disks by the number that both have until the next boot."""
        numbers: dict[int | None, HostDisk] = {disk.number: disk for disk in disks}
        given = {drive.text("DeviceID").lower(): drive.integer("DriveNumber") for drive in drives}
        return cls({device: numbers[number] for device, number in given.items() if number in numbers})

    def disk(self, device_id: str) -> HostDisk | None:
        """The host's disk, or None when the host does not see it (any more)."""
        return self.disks.get(device_id.lower())


def owner_of(instance_id: str) -> str:
    """The GUID of the VM or checkpoint to which a setting's `InstanceID` belongs."""
    return instance_id.partition("\\")[0][len(_PREFIX) :].upper()


def part_of(instance_id: str) -> str:
    """What is left of a setting's `InstanceID` behind its owner: the same in a VM and its checkpoints."""
    return instance_id.partition("\\")[2].upper()


def controllers_and_disks(
    resources: Sequence[CimInstance], images: Sequence[CimInstance], drives: Drives
) -> tuple[list[Controller], list[VirtualDisk]]:
    """The storage controllers of one VM, numbered among their kind in the order of its configuration, and the disks on them."""
    children: defaultdict[str, list[CimInstance]] = defaultdict(list)
    for child in (*resources, *images):
        children[_parent(child)].append(child)
    counts = dict.fromkeys(CONTROLLER_TYPES.values(), 0)
    controllers: list[Controller] = []
    disks: list[VirtualDisk] = []
    for resource in resources:
        kind = CONTROLLER_TYPES.get(resource.text("ResourceSubType"))
        if kind is None:
            continue
        places = children[resource.text("InstanceID").upper()]
        controller = Controller(
            resource.text("InstanceID"), kind, counts[kind], sorted(unit for unit in map(_unit, places) if unit is not None)
        )
        counts[kind] += 1
        controllers.append(controller)
        found = (_disk(drive, children[drive.text("InstanceID").upper()], controller, drives) for drive in places)
        disks.extend(disk for disk in found if disk)
    return controllers, disks


def label(controller_type: str, bus: int | None, unit: int | None) -> str:
    """How Hyper-V's tools write a place: `SCSI(0:1)`."""
    return f"{controller_type.upper()}({bus}:{unit})"


def is_unseen(disk: VirtualDisk) -> bool:
    """Whether nobody can tell which LUN a pass-through disk is, because its host does not see it. A disk without a name that the host does
    see, by its device, is known to be no LUN."""
    return disk.kind == PASSTHROUGH and disk.name is None and not disk.device.startswith(_DEVICE_PREFIX)


def device_id(path: str) -> str:
    """The `DeviceID` in the path of a `Msvm_DiskDrive`; empty for what is no such path."""
    return _key(path, "DeviceID")


def _disk(drive: CimInstance, inside: Sequence[CimInstance], controller: Controller, drives: Drives) -> VirtualDisk | None:
    """The disk in a drive; None for an empty drive and for what is no disk."""
    unit, kind = _unit(drive), drive.text("ResourceSubType")
    place = {
        "key": drive.text("InstanceID"),
        "label": label(controller.type, controller.bus, unit),
        "controller": controller.key,
        "bus": controller.bus,
        "unit": unit,
        "family": controller.type.upper(),
    }
    if kind == PHYSICAL_DRIVE:
        return _passthrough(drive, drives, place)
    files = [file for image in inside for file in image.texts("HostResource")]
    if kind == SYNTHETIC_DRIVE and files:
        return VirtualDisk(kind=IMAGE, path=files[0], **place)  # type: ignore[arg-type]  # the place's values are typed above
    return None


def _passthrough(drive: CimInstance, drives: Drives, place: Mapping[str, object]) -> VirtualDisk:
    device = device_id(next(iter(drive.texts("HostResource")), ""))
    disk = drives.disk(device)
    return VirtualDisk(
        kind=PASSTHROUGH,
        mode=PHYSICAL,
        device=disk.device if disk else device,
        name=disk.name if disk else None,
        size_bytes=disk.size_bytes if disk else 0,
        **place,  # type: ignore[arg-type]  # the place's values are typed where it is made
    )


def _unit(drive: CimInstance) -> int | None:
    address = drive.text("AddressOnParent")
    return int(address) if address.isdigit() else None


def _parent(child: CimInstance) -> str:
    return _key(child.text("Parent"), "InstanceID").upper()


def _key(path: str, name: str) -> str:
    try:
        return str(parse_path(path).keys.get(name, "")) if path else ""
    except ValueError:
        return ""
