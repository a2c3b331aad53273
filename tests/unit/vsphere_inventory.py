# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An inventory for unit tests of what reads vSphere: it answers reads as a session does, and notes the calls on hosts' storage systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, cast

from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ObjectRecord
from tests.unit import vsphere

DEVICE = vim.vm.device


@dataclass
class StorageSystem:
    """A HostStorageSystem that notes what it is told."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    """Method → the error that it ends in."""

    def __getattr__(self, method: str) -> Any:
        def call(argument: str = "") -> None:
            self.calls.append((method, argument))
            if method in self.fails:
                raise self.fails[method]

        return call


@dataclass
class Inventory:
    """Objects by type and id, with the properties that they have."""

    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    missing: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """What of an object cannot be read, and why."""
    reads: int = 0
    storage_systems: dict[str, StorageSystem] = field(default_factory=dict)

    @property
    def session(self) -> VimSession:
        return cast(VimSession, self)

    def add(self, wsdl_name: str, moid: str, **properties: Any) -> str:
        """Add an object; `_` in a property's name stands for the dot of its path."""
        self.objects[wsdl_name, moid] = {name.replace("_", "."): value for name, value in properties.items()}
        return moid

    def retrieve(
        self, paths: Mapping[str, Sequence[str]], moids: Mapping[str, Sequence[str]] | None = None, trim: object = None
    ) -> Iterator[ObjectRecord]:
        self.reads += 1
        for (kind, moid), properties in list(self.objects.items()):
            if kind in paths and (moids is None or moid in moids.get(kind, ())):
                told = {path: value for path, value in properties.items() if path in paths[kind]}
                yield vsphere.record(kind, moid, told, self.missing.get((kind, moid)))

    def managed(self, wsdl_name: str, moid: str) -> Any:
        if wsdl_name == "HostStorageSystem":
            return self.storage_systems.setdefault(moid, StorageSystem())
        return vsphere.managed(wsdl_name, moid)


def refs(wsdl_name: str, *moids: str) -> Any:
    """An array of references."""
    return vsphere.array(wsdl_name, [vsphere.managed(wsdl_name, moid) for moid in moids])


def scsi_disk(naa: str, state: str = "ok", size_bytes: int = 5 * 1024**3) -> Any:
    """A LUN on a host."""
    return vim.host.ScsiDisk(
        canonicalName=f"naa.{naa}",
        deviceName=f"/vmfs/devices/disks/naa.{naa}",
        uuid=f"0200000000{naa}4c554e20432d",
        lunType="disk",
        operationalState=[state],
        capacity=vim.host.DiskDimensions.Lba(blockSize=512, block=size_bytes // 512),
    )


def raw_disk(naa: str, key: int = 2001, unit: int = 1, controller: int = 1000, **backing: Any) -> Any:
    """A raw device mapping of a VM."""
    known = {
        "fileName": "[ds] db01/db01_1.vmdk",
        "datastore": vsphere.managed("Datastore", "datastore-1"),
        "lunUuid": f"0200000000{naa}4c554e20432d",
        "deviceName": f"vml.02000a0000{naa}4c554e20432d",
        "compatibilityMode": "physicalMode",
        "diskMode": "independent_persistent",
        "sharing": "sharingNone",
    }
    return DEVICE.VirtualDisk(
        key=key,
        controllerKey=controller,
        unitNumber=unit,
        capacityInKB=1024,
        deviceInfo=vim.Description(label=f"Hard disk {key - 1999}", summary="x"),
        backing=DEVICE.VirtualDisk.RawDiskMappingVer1BackingInfo(**{**known, **backing}),
    )


def devices(*disks: Any) -> Any:
    """The virtual hardware of a VM with one PVSCSI controller and these disks."""
    return vsphere.array("VirtualDevice", [DEVICE.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing"), *disks])


def snapshot_tree(number: int, name: str, *below: Any) -> Any:
    """A snapshot of the VM vm-1, with those under it."""
    return vim.vm.SnapshotTree(
        snapshot=vsphere.managed("VirtualMachineSnapshot", f"snapshot-{number}"),
        vm=vsphere.managed("VirtualMachine", "vm-1"),
        name=name,
        description="",
        createTime=datetime(2026, 1, 5, tzinfo=timezone.utc),
        state="poweredOff",
        quiesced=False,
        childSnapshotList=list(below),
    )
