# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies under virtual disks, each LUN, export and local disk resolved once however many disks lie on it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    PASSTHROUGH,
    UNKNOWN,
    ArrayAbout,
    FileSystem,
    ImageFile,
    Inventory,
    Lun,
    ScsiDevice,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArrayView

MAPPED = "mapped"
UNRESOLVED = "unresolved"
LOCAL = "local"
"""Status of a row; `LOCAL` is also the kind of a resource."""
LUN = "lun"
EXPORT = "export"

_OVER_OTHERS = re.compile(r"/dev/(loop|drbd|zd|nbd|rbd|ublkb)\d+")
"""Devices of Linux that lie on files, servers or other devices without the kernel's naming these as theirs."""
_ON_LOCAL_DISKS = frozenset({"vsan", "pmem"})
"""File systems that their hosts keep on disks of their own."""


@dataclass(frozen=True)
class Resource:
    """What lies under a virtual disk, as far down as it could be followed."""

    kind: str
    """`lun`, `export`, `local` or `unknown`."""
    device: str
    """The host's device, or `server:/path`."""
    name: ScsiName | None = None
    host: str = ""
    """`Host.id` for a local disk, whose name may repeat on other hosts."""
    array: ArrayAbout | None = None
    svm: str = ""
    volume: str = ""
    lun: Lun | None = None
    state: str = ""
    """Of the LUN or volume on its array; empty while no array told it."""
    reason: str = ""
    way_out: str = ""

    @property
    def status(self) -> str:
        """`mapped`, `local` or `unresolved`."""
        if self.array:
            return MAPPED
        return LOCAL if self.kind == LOCAL else UNRESOLVED

    @cached_property
    def key(self) -> str:
        """What no other resource of the map has."""
        if self.name is None:
            return f"{self.device} {self.host}".rstrip()
        if self.array is None or self.lun is None:
            return str(self.name)
        return f"{self.name} {self.array.address} {self.svm}:{self.lun.path}"

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The columns of the map that the resource fills."""
        return {
            "device": self.device,
            "naa": self.name.naa if self.name else "",
            "serial": self.lun.serial if self.lun else (self.name.serial or "" if self.name else ""),
            "array_type": self.array.type if self.array else "",
            "array": self.array.name if self.array else "",
            "array_address": self.array.address if self.array else "",
            "svm": self.svm,
            "volume": self.volume,
            "lun_path": self.lun.path if self.lun else "",
            "storage_state": self.state,
            "status": self.status,
            "reason": self.reason,
            "way_out": self.way_out,
            "lun_size_bytes": self.lun.size_bytes if self.lun else None,
            "lun_used_bytes": self.lun.used_bytes if self.lun else None,
        }


@dataclass(frozen=True)
class File:
    """An image file of a chain, or a pass-through disk, with what lies under it, which is never nothing."""

    path: str
    under: Sequence[Resource]
    kept: Collection[str] | None = None
    """`Resource.key` of those of `under` that are asked for; None for all."""

    def tells(self, resource: Resource) -> bool:
        """Whether one of `under` is asked for."""
        return self.kept is None or resource.key in self.kept

    @property
    def told(self) -> Sequence[Resource]:
        """What of `under` is asked for."""
        return [resource for resource in self.under if self.tells(resource)]


@dataclass(frozen=True)
class Disk:
    """A virtual disk with its own file first, then those that it is based on, nearest first."""

    disk: VirtualDisk
    files: Sequence[File]

    @property
    def under(self) -> list[Resource]:
        """Everything that any of its data lies on and that is asked for."""
        return [resource for file in self.files for resource in file.told]


class Resources:
    """The storage resources of an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._devices = {(device.host, word): device for device in inventory.devices for word in (device.device, *device.aliases)}
        self._local = {device.name for device in inventory.devices if device.local}
        self._answers = ArrayView()
        self._luns: dict[tuple[str, ScsiName], tuple[Resource, ...]] = {}
        self._paths = _paths(inventory.devices)
        self.on_file_system: dict[str, tuple[Resource, ...]] = {}
        """`FileSystem.id` → what it lies on."""

    def lun_names(self) -> set[ScsiName]:
        """Every LUN that a host sees, a file system lies on, or a VM has."""
        seen = {device.name for device in self._inventory.devices}
        extents = {ScsiName.try_parse(extent) for store in self._inventory.file_systems for extent in store.extents}
        disks = {disk.name for vm in self._inventory.virtual_machines for disk in vm.disks}
        parents = {file.name for vm in self._inventory.virtual_machines for disk in vm.disks for file in disk.parents}
        return {name for name in seen | extents | disks | parents if name is not None}

    def lun_names_under(self, machines: Iterable[VirtualMachine]) -> set[ScsiName]:
        """Every LUN that lies under a disk of these VMs."""
        stores = {store.id: store for store in self._inventory.file_systems}
        found: set[ScsiName | None] = set()
        for vm in machines:
            for disk in vm.disks:
                seen = self._devices.get((vm.host, disk.device))
                found |= {disk.name, seen.name if seen else None, *(parent.name for parent in disk.parents)}
                for home in {disk.file_system, *(parent.file_system for parent in disk.parents)} & stores.keys():
                    found |= {ScsiName.try_parse(extent) for extent in stores[home].extents}
        return {name for name in found if name is not None}

    def resolve(self, answers: ArrayView) -> None:
        """Take the arrays' answers into account."""
        self._answers = answers
        self._luns.clear()
        self.on_file_system = {store.id: tuple(self._of_file_system(store)) for store in self._inventory.file_systems}

    def disk(self, vm: VirtualMachine, disk: VirtualDisk) -> Disk:
        """The disk with its files, each with what lies under it."""
        if disk.kind == PASSTHROUGH:
            return Disk(disk, self._passthrough_files(vm, disk))
        own = File(disk.path, self._under_file(disk.path, disk.file_system))
        return Disk(disk, (own, *(File(parent.path, self._under_parent(parent)) for parent in disk.parents)))

    def of_device(self, device: ScsiDevice) -> Sequence[Resource]:
        """What a device of a host is."""
        return self._of_device(device.device, device.name, [device.host])

    def paths(self, name: ScsiName | None, host: str) -> tuple[int | None, int | None]:
        """The live and the dead paths of a LUN on a host (`Host.id`); None where it does not tell."""
        return self._paths.get((name, host), (None, None))

    def _passthrough_files(self, vm: VirtualMachine, disk: VirtualDisk) -> list[File]:
        """A LUN of which snapshots were taken has image files on it, and the LUN itself at the bottom."""
        *deltas, lun = [ImageFile(disk.path, disk.file_system), *disk.parents]
        above = [File(delta.path, self._under_parent(delta)) for delta in deltas]
        return [*above, File(lun.path, self._of_passthrough(vm, disk))]

    def _under_parent(self, parent: ImageFile) -> Sequence[Resource]:
        return self._of_lun(parent.path, parent.name) if parent.name else self._under_file(parent.path, parent.file_system)

    def _under_file(self, path: str, file_system: str) -> Sequence[Resource]:
        known = self.on_file_system.get(file_system)
        if known is None:
            return (
                Resource(
                    UNKNOWN,
                    "",
                    reason=f"the file system of {path or 'the disk'} is not known to the hypervisor",
                    way_out="mount it on the VM's host, or give the account the right to see it",
                ),
            )
        return known

    def _of_passthrough(self, vm: VirtualMachine, disk: VirtualDisk) -> Sequence[Resource]:
        seen = self._devices.get((vm.host, disk.device))
        name = disk.name or (seen.name if seen else None)
        if name is None:
            reason = f"the device {disk.device or 'of the disk'} is not visible on the VM's host, so its LUN is unknown"
            way_out = "map the LUN to the host's initiators and let the host rescan its adapters, or take the disk from the VM"
            return (Resource(UNKNOWN, disk.device, reason=reason, way_out=way_out),)
        return self._of_lun(seen.device if seen else disk.device, name)

    def _of_file_system(self, store: FileSystem) -> Iterator[Resource]:
        if store.remote:
            yield self._of_export(store)
        elif store.extents:
            for extent in store.extents:
                yield from self._of_device(extent, ScsiName.try_parse(extent), store.hosts)
        elif store.kind in _ON_LOCAL_DISKS:
            yield Resource(LOCAL, store.name, reason=f"the {store.kind} file system {store.name} lies on its hosts' own disks, on no array")
        else:
            yield Resource(
                UNKNOWN,
                "",
                reason=f"the {store.kind} file system {store.name} does not tell on which devices it lies",
                way_out="make it accessible on a host of the hypervisor, or look it up where it is managed",
            )

    def _of_device(self, device: str, name: ScsiName | None, hosts: Sequence[str]) -> Sequence[Resource]:
        if name:
            return self._of_lun(device, name)
        host = hosts[0] if len(hosts) == 1 else ""
        if _OVER_OTHERS.fullmatch(device):
            reason = f"nobody tells on what {device} lies, which is no disk but stands for a file, a server or other devices"
            return (Resource(UNKNOWN, device, host=host, reason=reason, way_out="look on its host what is below it"),)
        return (Resource(LOCAL, device, host=host, reason=_local(device)),)

    def _of_lun(self, device: str, name: ScsiName) -> Sequence[Resource]:
        """The LUN on every array that has it."""
        known = self._luns.get((device, name))
        if known is None:
            known = self._luns[device, name] = tuple(self._resolved(device, name))
        return known

    def _resolved(self, device: str, name: ScsiName) -> Iterator[Resource]:
        found = self._answers.luns.get(name, ())
        for about, lun in found:
            yield Resource(LUN, device, name, array=about, svm=lun.svm, volume=lun.volume, lun=lun, state=lun.state)
        if not found and name in self._local:
            yield Resource(LOCAL, device, name, reason=_local(device))
        elif not found:
            yield Resource(LUN, device, name, reason=self._answers.absence(f"LUN {name}", name.vendor), way_out=self._answers.way_out())

    def _of_export(self, store: FileSystem) -> Resource:
        found = self._answers.volume_of(store.remote)
        if found is None:
            return Resource(
                EXPORT,
                store.remote,
                reason=self._answers.absence_of_export(store.remote),
                way_out=self._answers.way_out_of_export(store.remote),
            )
        about, volume = found
        return Resource(EXPORT, store.remote, array=about, svm=volume.svm, volume=volume.name, state=volume.state)


def _local(device: str) -> str:
    return f"{device} is a local disk of its host, on no array"


def _paths(devices: Iterable[ScsiDevice]) -> dict[tuple[ScsiName | None, str], tuple[int | None, int | None]]:
    """LUN and host → live and dead paths, over all devices as which the host shows it; without those that the host does not tell."""
    told: defaultdict[tuple[ScsiName | None, str], list[tuple[int, int]]] = defaultdict(list)
    for device in devices:
        if device.name and device.paths_live is not None and device.paths_dead is not None:
            told[device.name, device.host].append((device.paths_live, device.paths_dead))
    return {place: (sum(live for live, _dead in paths), sum(dead for _live, dead in paths)) for place, paths in told.items()}
