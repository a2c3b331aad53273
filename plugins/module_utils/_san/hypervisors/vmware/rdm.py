# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Device changes of a VM for raw device mappings, as pyvmomi's values. Pure: nothing here talks to a vCenter.

Facts are of the vSphere Web Services API reference (VirtualDiskRawDiskMappingVer1BackingInfo, VirtualDeviceConfigSpec,
VirtualSCSIController).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    MULTI_WRITER,
    NOT_SHARED,
    PHYSICAL,
    PHYSICAL_BUS,
    VIRTUAL,
    VIRTUAL_BUS,
)

with contextlib.suppress(ImportError):  # told by VimSession, without which nobody comes here
    from pyVmomi import vim

COMPATIBILITY: Mapping[str, str] = {PHYSICAL: "physicalMode", VIRTUAL: "virtualMode"}
SHARING: Mapping[str, str] = {
    NOT_SHARED: "sharingNone",
    MULTI_WRITER: "sharingMultiWriter",
    PHYSICAL_BUS: "sharingNone",
    VIRTUAL_BUS: "sharingNone",
}
"""What is sent for a disk; one that is shared by its bus is not shared by itself."""
BY_BUS: Mapping[str, str] = {PHYSICAL: PHYSICAL_BUS, VIRTUAL: VIRTUAL_BUS}
"""Bus sharing of a controller → how its disks are shared."""
_SHARED_BUS: Mapping[str, str] = {"": "noSharing", PHYSICAL: "physicalSharing"}
PERSISTENT = "persistent"
INDEPENDENT_PERSISTENT = "independent_persistent"
DISK_MODES = (PERSISTENT, INDEPENDENT_PERSISTENT, "independent_nonpersistent")

_NEW_CONTROLLER = -101
_NEW_DISK = -102
"""Keys of devices that have none yet: negative, and unique in one change."""


@dataclass(frozen=True)
class Settings:
    """How a LUN is a disk, in the words of the user."""

    mode: str
    disk_mode: str
    sharing: str


def add_controller(kind: str, bus: int, shared: str = "") -> Any:
    """A SCSI controller of this type on this bus, with a key that `add_disk` knows; `shared` as `Controller.shared`."""
    types = {
        "pvscsi": vim.vm.device.ParaVirtualSCSIController,
        "lsilogic": vim.vm.device.VirtualLsiLogicController,
        "lsilogicsas": vim.vm.device.VirtualLsiLogicSASController,
        "buslogic": vim.vm.device.VirtualBusLogicController,
    }
    controller = types[kind](key=_NEW_CONTROLLER, busNumber=bus, sharedBus=_SHARED_BUS[shared])
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=controller)


def add_disk(place: Place, lun_uuid: str, device_name: str, size_bytes: int, settings: Settings, file: str, create: bool = True) -> Any:
    """A LUN as a new disk at this place.

    `file` is the path of the mapping file, `[datastore]` to have its name chosen there, or empty for the VM's own directory.
    Without `create` the file exists: its compatibility mode is then its own and must not be sent.
    """
    backing = vim.vm.device.VirtualDisk.RawDiskMappingVer1BackingInfo(
        fileName=file,
        lunUuid=lun_uuid,
        deviceName=device_name,
        compatibilityMode=COMPATIBILITY[settings.mode] if create else None,
        diskMode=settings.disk_mode,
        sharing=SHARING[settings.sharing],
    )
    disk = vim.vm.device.VirtualDisk(
        key=_NEW_DISK,
        controllerKey=int(place.controller.key) if place.controller else _NEW_CONTROLLER,
        unitNumber=place.unit,
        capacityInKB=size_bytes // 1024,
        backing=backing,
    )
    return vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create" if create else None, device=disk)


def edit_disk(disk: Any, disk_mode: str | None, sharing: str | None) -> Any:
    """Other settings for an existing disk, given as it was read; None keeps what it has. Changes `disk`."""
    if disk_mode is not None:
        disk.backing.diskMode = disk_mode
    if sharing is not None:
        disk.backing.sharing = SHARING[sharing]
    return vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)


def remove_disk(disk: Any, destroy_file: bool) -> Any:
    """An existing disk, given as it was read, taken away; the LUN's data stays, only the mapping file is destroyed or kept."""
    return vim.vm.device.VirtualDeviceSpec(operation="remove", fileOperation="destroy" if destroy_file else None, device=disk)


def remove_controller(controller: Any) -> Any:
    """An existing controller, given as it was read, taken away."""
    return vim.vm.device.VirtualDeviceSpec(operation="remove", device=controller)
