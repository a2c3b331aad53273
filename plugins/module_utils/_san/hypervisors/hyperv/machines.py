# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VMs: all of a host in a fixed number of enumerations, or one of them afresh wherever it runs now."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes, hardware
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import resources as cluster_resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.hardware import Drives
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Node, Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    POWER_UNKNOWN,
    POWERED_OFF,
    POWERED_ON,
    SUSPENDED,
    Attachment,
    Controller,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wql
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import parse_path
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference

REALIZED = "Microsoft:Hyper-V:System:Realized"
"""VirtualSystemType of a VM's own settings; others are those of checkpoints and of VMs on their way in."""
_POWER: Mapping[int, str] = MappingProxyType(
    {2: POWERED_ON, 3: POWERED_OFF, **dict.fromkeys((6, 9, 32768, 32769, 32773, 32776, 32779, 32780), SUSPENDED)}
)
"""EnabledState, by the references of `RequestStateChange` in both versions of the provider.

Beside saved and paused, those are suspended that are saving, pausing, fast saved and fast saving. What stops, starts, resets or resumes (4,
10, 11, 32777) is in no state. From 32781 on the reference lists critical states, to which the releases of Microsoft's own PowerShell module
give other numbers, so that none of these is taken for known."""
_SLOTTED = (hardware.TYPE_IDE, hardware.TYPE_SCSI, hardware.TYPE_DVD_DRIVE, hardware.TYPE_DISK_DRIVE)
_OF_RESOURCE = ("InstanceID", "ResourceSubType", "Parent", "AddressOnParent", "HostResource")
_PARENT = "Parent"
_GUID = re.compile("[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_OK = 2
"""OperationalStatus of an integration component that the guest answers."""


@dataclass(frozen=True)
class Settings:
    """What a VM's settings say beside its disks."""

    instance_id: str
    """The key of its realized `Msvm_VirtualSystemSettingData`."""
    generation: int
    integrated: bool
    """The guest's integration services answer."""
    controllers_can_be_added: bool
    """Hyper-V adds a SCSI controller only to a VM that is off."""


class Reading(NamedTuple):
    """One VM as its host tells it now."""

    vm: VirtualMachine
    settings: Settings


class Records(NamedTuple):
    """The instances out of which VMs are put together."""

    systems: Sequence[CimInstance]
    settings: Sequence[CimInstance]
    resources: Sequence[CimInstance]
    images: Sequence[CimInstance]
    """Virtual hard disks of VMs and of their checkpoints."""


@dataclass(frozen=True)
class Checkpoints:
    """Which files the disks of a VM had at its checkpoints."""

    files: Mapping[str, Mapping[str, str]]
    """GUID of a VM or checkpoint → part of a disk's InstanceID behind it → file."""
    parents: Mapping[str, str]
    """GUID of a VM or checkpoint → GUID of the checkpoint that it was made from."""

    def chain(self, vm_id: str, path: str) -> list[str]:
        """The files below a file of a VM, nearest first, as far as the VM's checkpoints name them."""
        part = next((part for part, file in self.files.get(vm_id, {}).items() if file == path), "")
        chain: list[str] = []
        seen = {vm_id}
        at = self.parents.get(vm_id, "")
        while at and at not in seen:
            seen.add(at)
            file = self.files.get(at, {}).get(part, "")
            if file and file not in (path, *chain):
                chain.append(file)
            at = self.parents.get(at, "")
        return chain


def read(client: CimClient, vm_id: str | None = None) -> Records:
    """The records of every VM of a host, or of one, in four enumerations."""
    slotted = wql.one_of("ResourceType", _SLOTTED)
    hard_disks = wql.equals("ResourceSubType", hardware.VIRTUAL_HARD_DISK)
    if vm_id is None:
        of_system = of_settings = None
    else:
        of_system, of_settings = wql.equals("Name", vm_id), wql.equals("VirtualSystemIdentifier", vm_id)
        of_vm = wql.starts_with("InstanceID", f"Microsoft:{vm_id}")
        slotted, hard_disks = wql.all_of([of_vm, slotted]), wql.all_of([of_vm, hard_disks])
    return Records(
        list(client.query(classes.COMPUTER, of_system, classes.COMPUTER.columns)),
        list(client.query(classes.VM_SETTINGS, of_settings, (*classes.VM_SETTINGS.columns, _PARENT))),
        list(client.query(classes.RESOURCE, slotted, _OF_RESOURCE)),
        list(client.query(classes.IMAGE, hard_disks, classes.IMAGE.columns)),
    )


def drives_of(client: CimClient, host_disks: Iterable[disks.HostDisk]) -> Drives:
    """The disks that the host gives to VMs, in one enumeration."""
    return Drives.of(client.query(classes.DISK_DRIVE, columns=classes.DISK_DRIVE.columns), host_disks)


def virtual_machines(records: Records, host: str, drives: Drives, cluster: str = "", kept: Collection[str] = ()) -> list[VirtualMachine]:
    """The VMs of a host (`Host.id`); those that its cluster keeps running bear the cluster's name.

    On which file systems their image files lie is not known yet.
    """
    resources, images = _by_owner(records.resources), _by_owner(records.images)
    systems = {system.text("Name").upper(): system for system in records.systems}
    return [
        _machine(
            systems[vm_id],
            settings,
            host,
            cluster if vm_id in kept else "",
            hardware.controllers_and_disks(resources[vm_id], images[vm_id], drives),
        )
        for vm_id, settings in _realized(records.settings).items()
        if vm_id in systems
    ]


def untold(records: Records) -> dict[str, str]:
    """The VMs of a host of which it tells the system without its settings, or the settings alone: `VirtualMachine.id` → name.

    `Msvm_ComputerSystem.Name` is the GUID of a VM, or the name of the host itself (Microsoft's Hyper-V WMI provider (V2) reference).
    """
    names = {system.text("Name").upper(): system.text("ElementName") for system in records.systems}
    told = _realized(records.settings)
    without_settings = {vm_id: name for vm_id, name in names.items() if _GUID.fullmatch(vm_id) and vm_id not in told}
    return {**without_settings, **{vm_id: settings.text("ElementName") for vm_id, settings in told.items() if vm_id not in names}}


def checkpoints(records: Records) -> Checkpoints:
    """What the settings of checkpoints tell of the files below the VMs' disks."""
    files: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for image in records.images:
        for file in image.texts("HostResource")[:1]:
            files[hardware.owner_of(image.text("InstanceID"))][hardware.part_of(image.text("InstanceID"))] = file
    parents = {hardware.owner_of(settings.text("InstanceID")): _parent(settings) for settings in records.settings}
    return Checkpoints(files, {guid: parent for guid, parent in parents.items() if parent})


def read_machine(nodes: Nodes, vm_id: str, host: str = "") -> Reading:
    """One VM, read afresh from the host that has it now: `host` (`Host.id`) is asked first, then the others, in case it has moved.

    Raises `NotFound` when no host that can be asked has it, naming those that cannot.
    """
    there = nodes.all()
    for node in sorted((node for node in there if node.reachable), key=lambda node: node.id != host):
        client = nodes.client(node.id)
        records = read(client, vm_id)
        if records.systems and _realized(records.settings):
            return _reading(nodes, node, client, records)
    lost = [node.name for node in there if not node.reachable]
    told = f", but {', '.join(lost)} cannot be asked" if lost else ""
    raise NotFound(f"No host behind {nodes.connection} has the VM {vm_id} any more{told}: look for it, then run this task again.")


def attachment(nodes: Nodes, vm: VirtualMachine, name: ScsiName) -> Attachment | None:
    """The LUN as a disk of the VM, wherever the VM runs now."""
    found = read_machine(nodes, vm.id, vm.host).vm
    controllers = {controller.key: controller for controller in found.controllers}
    for disk in found.disks:
        if disk.name == name:
            return Attachment(disk, controllers[disk.controller], guest_address=disk.label)
    return None


def _reading(nodes: Nodes, node: Node, client: CimClient, records: Records) -> Reading:
    kept = cluster_resources.highly_available(nodes.resources.read(client)) if nodes.cluster else set()
    drives = drives_of(client, disks.disks_of(client))
    vm = virtual_machines(records, node.id, drives, nodes.cluster, kept)[0]
    settings = _realized(records.settings)[vm.id]
    return Reading(
        vm,
        Settings(
            instance_id=settings.text("InstanceID"),
            generation=2 if settings.text("VirtualSystemSubType").endswith(":2") else 1,
            integrated=_integrated(client, vm.id),
            controllers_can_be_added=vm.power == POWERED_OFF,
        ),
    )


def _integrated(client: CimClient, vm_id: str) -> bool:
    columns = ("SystemName", "OperationalStatus")
    components = client.query(classes.SHUTDOWN_COMPONENT, wql.equals("SystemName", vm_id), columns)
    return any(component.integers("OperationalStatus")[:1] == (_OK,) for component in components)


def _machine(
    system: CimInstance, settings: CimInstance, host: str, cluster: str, found: tuple[list[Controller], list[VirtualDisk]]
) -> VirtualMachine:
    vm_id = system.text("Name").upper()
    return VirtualMachine(
        id=vm_id,
        name=system.text("ElementName"),
        uuid=cluster_resources.bare_guid(settings.text("BIOSGUID")),
        instance_uuid=vm_id,
        host=host,
        cluster=cluster,
        power=_POWER.get(system.integer("EnabledState") or 0, POWER_UNKNOWN),
        controllers=found[0],
        disks=found[1],
    )


def _realized(settings: Iterable[CimInstance]) -> dict[str, CimInstance]:
    """The VMs' own settings by `VirtualMachine.id`."""
    return {found.text("VirtualSystemIdentifier").upper(): found for found in settings if found.text("VirtualSystemType") == REALIZED}


def _by_owner(instances: Iterable[CimInstance]) -> defaultdict[str, list[CimInstance]]:
    owned: defaultdict[str, list[CimInstance]] = defaultdict(list)
    for instance in instances:
        owned[hardware.owner_of(instance.text("InstanceID"))].append(instance)
    return owned


def _parent(settings: CimInstance) -> str:
    """The GUID of the checkpoint that settings were made from; empty for none."""
    parent = settings.properties.get(_PARENT)
    if isinstance(parent, Reference):
        return hardware.owner_of(str(parent.selectors.get("InstanceID", "")))
    if not isinstance(parent, str) or not parent:
        return ""
    try:
        return hardware.owner_of(str(parse_path(parent).keys.get("InstanceID", "")))
    except ValueError:
        return ""
