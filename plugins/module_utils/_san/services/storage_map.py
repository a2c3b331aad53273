# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From every VM's virtual disks down to the LUN, volume and array underneath, in three phases.

1. The virtual components: VMs and their disks, image files and LUNs passed through.
2. The storage resources: what the hosts see, and what the arrays know of it.
3. The join. What cannot be resolved stays, as a row with a reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DEVICE_OK,
    PASSTHROUGH,
    UNKNOWN,
    ArrayAbout,
    FileSystem,
    Host,
    ImageFile,
    Inventory,
    Lun,
    ScsiDevice,
    StorageMapping,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource, ArrayView, view
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.plain import plain
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import select_vms

MAPPED = "mapped"
UNRESOLVED = "unresolved"

_DEGRADED = "degraded"
_NO_DISK = VirtualDisk(key="", label="", kind="")

LUN = "lun"
EXPORT = "export"
LOCAL = "local"


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

    @property
    def status(self) -> str:
        return MAPPED if self.array else UNRESOLVED

    def row(self) -> dict[str, Any]:
        """The columns of the map that the resource fills."""
        return {
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
        }


@dataclass(frozen=True)
class StorageMap:
    """The map, flat and nested, with what is missing because an array or a host could not be asked."""

    mappings: list[dict[str, Any]]
    virtual_machines: list[dict[str, Any]]
    storage_resources: list[dict[str, Any]]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    """An image file of a chain, or a pass-through disk, with what lies under it."""

    path: str
    under: Sequence[Resource]


@dataclass(frozen=True)
class _Disk:
    """A virtual disk with its own file first, then those that it is based on, nearest first."""

    disk: VirtualDisk
    files: Sequence[_File]

    @property
    def under(self) -> list[Resource]:
        """Everything that any of its data lies on."""
        return [resource for file in self.files for resource in file.under]


def storage_map(
    hypervisor: Hypervisor,
    arrays: Sequence[ArraySource],
    names: Collection[str] = (),
    clusters: Collection[str] = (),
    images: bool = False,
) -> StorageMap:
    """Map the selected VMs (all, if none are named). Raises a `CrossvisorError` when the hypervisor fails or a name is unknown.

    The number of requests does not depend on the number of VMs, unless the details of `images` are asked for where only one request a
    file tells them. An array that does not answer costs its rows their lower half, never the map.
    """
    inventory = hypervisor.inventory(images=images)
    machines = select_vms(inventory, names, clusters)
    resources = _Resources(inventory)
    answers = view(arrays, resources.lun_names(), any(store.remote for store in inventory.file_systems))
    resources.resolve(answers)
    numbers = _LunNumbers(hypervisor, inventory, answers)
    joined = [(vm, [_Disk(disk, resources.files(vm, disk)) for disk in vm.disks]) for vm in machines]
    host_names = {host.id: host.name for host in inventory.hosts}
    return StorageMap(
        mappings=[
            *(
                vars(_mapping(hypervisor, host_names, numbers, vm, found.disk, file.path, resource))
                for vm, disks in joined
                for found in disks
                for file in found.files
                for resource in file.under
            ),
            *(
                vars(_mapping(hypervisor, host_names, numbers, vm, _NO_DISK, "", resource))
                for vm, resource in _unreadable(machines, inventory)
            ),
        ],
        virtual_machines=[_nested_vm(host_names, vm, disks) for vm, disks in joined],
        storage_resources=resources.nested(joined, host_names),
        warnings=[*inventory.warnings, *answers.failures, *answers.warnings()],
    )


def _unreadable(machines: Iterable[VirtualMachine], inventory: Inventory) -> Iterator[tuple[VirtualMachine, Resource]]:
    """The VMs that show no disk because nobody can tell which they have, and why."""
    doubts = {use.id: use for use in inventory.uses if use.lun is None}
    for vm in machines:
        doubt = doubts.get(vm.id)
        if doubt and not vm.disks:
            yield vm, Resource(UNKNOWN, "", reason=f"the disks of {doubt.kind} {doubt.name} are not known: it {doubt.how}")


def _mapping(
    hypervisor: Hypervisor,
    host_names: dict[str, str],
    numbers: _LunNumbers,
    vm: VirtualMachine,
    disk: VirtualDisk,
    path: str,
    resource: Resource,
) -> StorageMapping:
    return StorageMapping(
        hypervisor_type=hypervisor.type,
        hypervisor=hypervisor.address,
        cluster=vm.cluster,
        host=host_names.get(vm.host, ""),
        vm_name=vm.name,
        vm_id=vm.id,
        disk=disk.label,
        kind=disk.kind,
        device=resource.device,
        path=path,
        size_bytes=disk.size_bytes,
        lun_id=numbers.of(resource.lun, vm.host),
        **resource.row(),
    )


def _nested_vm(host_names: dict[str, str], vm: VirtualMachine, disks: Iterable[_Disk]) -> dict[str, Any]:
    return {
        "name": vm.name,
        "id": vm.id,
        "uuid": vm.uuid,
        "cluster": vm.cluster,
        "host": host_names.get(vm.host, ""),
        "folder": vm.folder,
        "power": vm.power,
        "disks": [
            {
                "disk": found.disk.label,
                "kind": found.disk.kind,
                "path": found.disk.path,
                "size_bytes": found.disk.size_bytes,
                "bus": found.disk.bus,
                "unit": found.disk.unit,
                "mounts": list(found.disk.mounts),
                "storage": _nested_storage(found.files[0].under),
                "parents": [{"path": file.path, "storage": _nested_storage(file.under)} for file in found.files[1:]],
            }
            for found in disks
        ],
    }


def _nested_storage(under: Iterable[Resource]) -> list[dict[str, Any]]:
    return [{"kind": resource.kind, "device": resource.device, **resource.row()} for resource in under]


class _Resources:
    """The storage resources of an inventory, each resolved once however many disks lie on it."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._file_systems = {store.id: store for store in inventory.file_systems}
        self._devices = {(device.host, word): device for device in inventory.devices for word in (device.device, *device.aliases)}
        self._answers = ArrayView()
        self._on_file_system: dict[str, tuple[Resource, ...]] = {}

    def lun_names(self) -> set[ScsiName]:
        """Every LUN that a host sees, a file system lies on, or a VM has."""
        seen = {device.name for device in self._inventory.devices}
        extents = {ScsiName.try_parse(extent) for store in self._inventory.file_systems for extent in store.extents}
        disks = {disk.name for vm in self._inventory.virtual_machines for disk in vm.disks}
        parents = {file.name for vm in self._inventory.virtual_machines for disk in vm.disks for file in disk.parents}
        return {name for name in seen | extents | disks | parents if name is not None}

    def resolve(self, answers: ArrayView) -> None:
        """Take the arrays' answers into account."""
        self._answers = answers
        self._on_file_system = {store.id: tuple(self._of_file_system(store)) for store in self._inventory.file_systems}

    def files(self, vm: VirtualMachine, disk: VirtualDisk) -> list[_File]:
        """The disk's own file, or the disk itself, and those that it is based on, each with what lies under it, which is never nothing."""
        if disk.kind == PASSTHROUGH:
            return self._passthrough_files(vm, disk)
        own = _File(disk.path, self._under_file(disk.path, disk.file_system))
        return [own, *(_File(parent.path, self._under_parent(parent)) for parent in disk.parents)]

    def _passthrough_files(self, vm: VirtualMachine, disk: VirtualDisk) -> list[_File]:
        """A LUN of which snapshots were taken has image files on it, and the LUN itself at the bottom."""
        *deltas, lun = [ImageFile(disk.path, disk.file_system), *disk.parents]
        above = [_File(delta.path, self._under_parent(delta)) for delta in deltas]
        return [*above, _File(lun.path, self._of_passthrough(vm, disk))]

    def _under_parent(self, parent: ImageFile) -> Sequence[Resource]:
        return self._of_lun(parent.path, parent.name) if parent.name else self._under_file(parent.path, parent.file_system)

    def _under_file(self, path: str, file_system: str) -> Sequence[Resource]:
        known = self._on_file_system.get(file_system)
        if known is None:
            return (Resource(UNKNOWN, "", reason=f"the file system of {path or 'the disk'} is not known to the hypervisor"),)
        return known

    def nested(self, joined: Iterable[tuple[VirtualMachine, Sequence[_Disk]]], host_names: dict[str, str]) -> list[dict[str, Any]]:
        """Every LUN, local disk and export, also those under no disk, with what uses it."""
        used_by: dict[str, list[str]] = defaultdict(list)
        for vm, disks in joined:
            for key in {_key(resource) for found in disks for resource in found.under}:
                used_by[key].append(vm.name)
        stores: dict[str, list[str]] = defaultdict(list)
        for store in self._inventory.file_systems:
            for resource in self._on_file_system[store.id]:
                stores[_key(resource)].append(store.name)
        seen_by: dict[str, list[ScsiDevice]] = defaultdict(list)
        everything: dict[str, Resource] = {}
        for device in self._inventory.devices:
            for resource in self._of_device(device.device, device.name, [device.host]):
                everything.setdefault(_key(resource), resource)
                seen_by[_key(resource)].append(device)
        for _vm, disks in joined:
            everything.update({_key(resource): resource for found in disks for resource in found.under if resource.kind != UNKNOWN})
        for resources in self._on_file_system.values():
            everything.update({_key(resource): resource for resource in resources if resource.kind != UNKNOWN})
        return [
            {
                "kind": resource.kind,
                "device": resource.device,
                **resource.row(),
                **_seen(seen_by[key], resource, host_names),
                "file_systems": sorted(set(stores[key])),
                "virtual_machines": sorted(used_by[key]),
            }
            for key, resource in sorted(everything.items())
        ]

    def _of_passthrough(self, vm: VirtualMachine, disk: VirtualDisk) -> Sequence[Resource]:
        seen = self._devices.get((vm.host, disk.device))
        name = disk.name or (seen.name if seen else None)
        if name is None:
            reason = f"the device {disk.device or 'of the disk'} is not visible on the VM's host, so its LUN is unknown"
            return [Resource(UNKNOWN, disk.device, reason=reason)]
        return self._of_lun(seen.device if seen else disk.device, name)

    def _of_file_system(self, store: FileSystem) -> Iterable[Resource]:
        if store.remote:
            return [self._of_export(store)]
        if store.extents:
            return [under for extent in store.extents for under in self._of_device(extent, ScsiName.try_parse(extent), store.hosts)]
        return [Resource(UNKNOWN, "", reason=f"the {store.kind} file system {store.name} does not tell on which devices it lies")]

    def _of_device(self, device: str, name: ScsiName | None, hosts: Sequence[str]) -> Sequence[Resource]:
        if name:
            return self._of_lun(device, name)
        host = hosts[0] if len(hosts) == 1 else ""
        return [Resource(LOCAL, device, host=host, reason=f"{device} is a local disk of its host, on no array")]

    def _of_lun(self, device: str, name: ScsiName) -> Sequence[Resource]:
        """The LUN on every array that has it."""
        found = self._answers.luns.get(name)
        if not found:
            return [Resource(LUN, device, name, reason=self._answers.absence(f"LUN {name}", name.vendor))]
        return [Resource(LUN, device, name, array=about, svm=lun.svm, volume=lun.volume, lun=lun, state=lun.state) for about, lun in found]

    def _of_export(self, store: FileSystem) -> Resource:
        found = self._answers.volume_of(store.remote)
        if found is None:
            return Resource(EXPORT, store.remote, reason=self._answers.absence_of_export(store.remote))
        about, volume = found
        return Resource(EXPORT, store.remote, array=about, svm=volume.svm, volume=volume.name, state=volume.state)


def _key(resource: Resource) -> str:
    if resource.name is None:
        return f"{resource.device} {resource.host}".rstrip()
    if resource.array is None or resource.lun is None:
        return str(resource.name)
    return f"{resource.name} {resource.array.address} {resource.svm}:{resource.lun.path}"


def _seen(devices: Sequence[ScsiDevice], resource: Resource, host_names: dict[str, str]) -> dict[str, Any]:
    first = devices[0] if devices else None
    return {
        "vendor": first.vendor if first else "",
        "product": first.product if first else "",
        "size_bytes": first.size_bytes if first else (resource.lun.size_bytes if resource.lun else 0),
        "hosts": sorted({host_names.get(device.host, device.host) for device in devices}),
        "states": plain(sorted({_DEGRADED if device.degraded and device.state == DEVICE_OK else device.state for device in devices})),
    }


class _LunNumbers:
    """Under which number a host sees a LUN.

    The hosts' initiators are read only if an array maps a LUN under several numbers, or if several arrays have it.
    """

    def __init__(self, hypervisor: Hypervisor, inventory: Inventory, answers: ArrayView) -> None:
        luns = [lun for found in answers.luns.values() for _about, lun in found]
        self._mirrored = {name for name, found in answers.luns.items() if len(found) > 1}
        several = bool(self._mirrored) or any(len({mapping.lun_id for mapping in lun.mappings}) > 1 for lun in luns)
        hosts: Sequence[Host] = hypervisor.hosts() if several else inventory.hosts
        self._initiators = {host.id: {hba.initiator.lower() for hba in host.hbas if hba.initiator} for host in hosts}

    def of(self, lun: Lun | None, host: str) -> int | None:
        """The number, or None when the array maps the LUN to nobody, or to this host under no single number."""
        if lun is None:
            return None
        numbers = {mapping.lun_id for mapping in lun.mappings}
        mine = self._initiators.get(host, set())
        if len(numbers) > 1 or (mine and lun.name in self._mirrored):
            numbers = {mapping.lun_id for mapping in lun.mappings if mine & {name.lower() for name in mapping.initiators}}
        return numbers.pop() if len(numbers) == 1 else None
