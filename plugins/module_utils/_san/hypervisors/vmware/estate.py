# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one read of the inventory found, put together: records come in no order, so that names and clusters are joined at the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import datastores, machines, properties, storage
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.tree import Tree, name_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    CONNECTED,
    MAINTENANCE,
    PASSTHROUGH,
    STANDBY,
    UNREACHABLE,
    FileSystem,
    Host,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ObjectRecord

_LUN_UUID = re.compile("(?:vml[.])?(?P<type>[0-9a-f]{2})[0-9a-f]{8}(?P<body>[0-9a-f]+)")


class Estate:
    """Hosts, VMs, datastores and host devices out of the records of one read."""

    def __init__(self, records: Iterable[ObjectRecord]) -> None:
        self.tree = Tree()
        self.devices: list[ScsiDevice] = []
        self.file_systems: list[FileSystem] = []
        self.uses: list[Use] = []
        """The VMs whose disks are not known, the datastores that do not tell where they lie, and what hosts keep for themselves."""
        self.missing: list[str] = []
        """What could not be read, one sentence each."""
        self.snapshots: list[machines.Snapshots] = []
        """Of the VMs that have any, or may have."""
        self._hosts: list[Host] = []
        self._machines: list[tuple[VirtualMachine, str]] = []
        self._machines_on: dict[str, list[str]] = {}
        self.take(records)

    def take(self, records: Iterable[ObjectRecord]) -> None:
        """Note what further records tell."""
        takers: Mapping[str, Callable[[ObjectRecord], None]] = {
            properties.VIRTUAL_MACHINE: self._take_machine,
            properties.HOST: self._take_host,
            properties.DATASTORE: self._take_datastore,
        }
        for record in records:
            takers.get(record.type, self.tree.add)(record)

    @property
    def hosts(self) -> list[Host]:
        """The hosts with their clusters."""
        clusters = self.tree.clusters_of_hosts()
        return [replace(host, cluster=clusters.get(host.id, "")) for host in self._hosts]

    @property
    def virtual_machines(self) -> list[VirtualMachine]:
        """The VMs with their clusters and folders."""
        clusters = self.tree.clusters_of_hosts()
        return [replace(vm, cluster=clusters.get(vm.host, ""), folder=self.tree.path(parent)) for vm, parent in self._machines]

    def machines_on(self, file_systems: Iterable[str]) -> list[str]:
        """The ids of the VMs with any file on these file systems (`FileSystem.id`), as far as that was asked for."""
        return sorted({vm for store in file_systems for vm in self._machines_on.get(store, ())})

    def _take_machine(self, record: ObjectRecord) -> None:
        vm, unreadable = machines.machine(record), machines.unreadable(record)
        taken = machines.snapshots(vm, record)
        if unreadable:
            self.uses.append(unreadable)
            self.missing.append(_sentence(unreadable, "its disks are missing"))
        if taken.names or (taken.unreadable and not unreadable):
            self.snapshots.append(taken)
        self._machines.append((vm, record.text("parent") or record.text("parentVApp")))

    def _take_host(self, record: ObjectRecord) -> None:
        self.tree.add(record)
        self.devices.extend(storage.devices(record))
        self.uses.extend(storage.kept_for_itself(record))
        if record.why_missing(properties.LUNS):
            self.missing.append(
                f"Host {name_of(record)} ({record.moid}) cannot be read because {storage.unreadable(record)}: its devices are missing."
            )
        self._hosts.append(_host(record))

    def _take_datastore(self, record: ObjectRecord) -> None:
        unreadable = datastores.unreadable(record)
        if unreadable:
            self.uses.append(unreadable)
            self.missing.append(_sentence(unreadable, "what lies on it cannot be followed to its LUNs"))
        self.file_systems.append(datastores.file_system(record))
        self._machines_on[record.moid] = record.texts(properties.VMS_OF_DATASTORE)


def any_nameless(virtual_machines: Iterable[VirtualMachine]) -> bool:
    """Whether a raw disk of any VM does not carry its LUN's name."""
    return any(_is_nameless(disk) for vm in virtual_machines for disk in vm.disks)


def nameless_hosts(virtual_machines: Iterable[VirtualMachine]) -> set[str]:
    """The hosts to be asked which LUNs these VMs have: their raw disks do not carry the LUN's name."""
    return {vm.host for vm in virtual_machines if vm.host and any(_is_nameless(disk) for disk in vm.disks)}


def with_names(virtual_machines: Iterable[VirtualMachine], devices: Iterable[ScsiDevice]) -> list[VirtualMachine]:
    """The VMs, with the LUN's name in every raw disk whose device the VM's host knows under another spelling."""
    names = _names(devices)

    def named(host: str, disk: VirtualDisk) -> VirtualDisk:
        return replace(disk, name=names.get((host, _identity(disk.device)))) if _is_nameless(disk) else disk

    return [replace(vm, disks=[named(vm.host, disk) for disk in vm.disks]) for vm in virtual_machines]


def of_unknown_luns(virtual_machines: Iterable[VirtualMachine], devices: Iterable[ScsiDevice]) -> list[Use]:
    """The VMs, as `with_names` gives them, with raw disks whose LUN nobody knows: it may be any.

    A disk without a name whose device the VM's host does list is known to be something else: a local disk, which has none.
    """
    names = _names(devices)
    return [
        Use("VM", vm.name, vm.id, f"has a raw disk ({disk.label}) whose LUN its host does not see")
        for vm in virtual_machines
        for disk in vm.disks
        if _is_nameless(disk) and (vm.host, _identity(disk.device)) not in names
    ]


def _names(devices: Iterable[ScsiDevice]) -> dict[tuple[str, str], ScsiName | None]:
    """Host and spelling → the LUN's name."""
    return {(device.host, _identity(spelling)): device.name for device in devices for spelling in (device.device, *device.aliases)}


def _sentence(use: Use, consequence: str) -> str:
    return f"{use.kind} {use.name} ({use.id}) {use.how}: {consequence}."


def _identity(spelling: str) -> str:
    """What a vml name and `ScsiLun.uuid` have in common: the type and the body, without device type and LUN number, which may differ."""
    match = _LUN_UUID.fullmatch(spelling)
    return match["type"] + match["body"] if match else spelling


def _is_nameless(disk: VirtualDisk) -> bool:
    return disk.kind == PASSTHROUGH and disk.name is None


def _host(record: ObjectRecord) -> Host:
    return Host(
        id=record.moid,
        name=name_of(record),
        product=record.text("summary.config.product.name"),
        version=record.text("summary.config.product.version"),
        uuid=record.text("summary.hardware.uuid"),
        state=_state(record),
        hbas=storage.adapters_alone(record),
    )


def _state(record: ObjectRecord) -> str:
    if record.text(properties.HOST_POWER) == properties.IN_STANDBY:
        return STANDBY
    if record.text("runtime.connectionState") != CONNECTED:
        return UNREACHABLE
    return MAINTENANCE if record.flag("runtime.inMaintenanceMode") else CONNECTED
