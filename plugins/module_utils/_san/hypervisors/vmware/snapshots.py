# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which snapshots of VMs hold a LUN: going back to one of them wants the LUN, and what it held then, whatever disks the VM has by now.

A snapshot's config is that of its VM "when this snapshot was taken" (vim.vm.Snapshot); VMware has snapshots of raw disks in virtual mode.
That a revert, or a disk that is removed from the VM, leaves the LUN in the other snapshots follows from that; nobody has seen it yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import lun_names, machines, properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.machines import Snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    PASSTHROUGH,
    PHYSICAL,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession

_REMOVE = "remove these snapshots first"


@dataclass(frozen=True)
class Held:
    """What the snapshots of a VM hold."""

    taken: Snapshots
    then: Sequence[tuple[str, VirtualMachine]]
    """Name of a snapshot that could be read → the VM as it was then."""
    hidden: Sequence[str]
    """Names of those that cannot be read."""
    dark: Sequence[str]
    """Names of those with a raw disk whose LUN nobody knows."""

    @property
    def told(self) -> bool:
        """Whether all of them could be read."""
        return not (self.hidden or self.taken.unreadable)

    @property
    def luns(self) -> set[ScsiName]:
        return {disk.name for _name, vm in self.then for disk in vm.disks if disk.kind == PASSTHROUGH and disk.name}

    @property
    def files(self) -> set[str]:
        """The files of the disks, and those that these are based on."""
        disks = [disk for _name, vm in self.then for disk in vm.disks]
        return {path for disk in disks for path in (disk.path, *(parent.path for parent in disk.parents))}

    def having(self, name: ScsiName) -> list[str]:
        """Names of the snapshots with the LUN."""
        return sorted(snapshot for snapshot, vm in self.then if any(disk.name == name for disk in vm.disks))

    def includes(self, name: ScsiName) -> bool:
        """Whether any of them holds data of the LUN, and does not only name it."""
        return any(disk.name == name and not _is_apart(disk) for _name, vm in self.then for disk in vm.disks)

    @property
    def doubts(self) -> list[str]:
        """Why any LUN may be in them, each as the end of a sentence that begins with the VM."""
        return [
            *([f"does not tell its snapshots because {self.taken.unreadable}"] if self.taken.unreadable else []),
            *([f"has the snapshots {_listed(self.hidden)}, which cannot be read"] if self.hidden else []),
            *([f"has raw disks in its snapshots {_listed(self.dark)} whose LUN its host does not see"] if self.dark else []),
        ]


def held(session: VimSession, taken: Sequence[Snapshots], devices: Sequence[ScsiDevice] = ()) -> list[Held]:
    """What the snapshots of each of these VMs hold, by one request for all of them, and none where there are none.

    `devices` are those of the hosts, if they are known, for raw disks that do not carry the name of their LUN. A snapshot that has been
    removed meanwhile holds nothing.
    """
    hosts = {snapshot: one.vm.host for one in taken for snapshot in one.names}
    wanted = {properties.SNAPSHOT: [properties.DEVICES_OF_VM]}, {properties.SNAPSHOT: list(hosts)}
    read = list(session.retrieve(*wanted, trim=machines.trimmed)) if hosts else []
    told = [replace(machines.machine(record), host=hosts[record.moid]) for record in read if properties.DEVICES_OF_VM in record.properties]
    hidden = {record.moid for record in read if properties.DEVICES_OF_VM not in record.properties}
    named, unknown = lun_names.looked_up(session, told, devices)
    then, dark = {vm.id: vm for vm in named}, {use.id for use in unknown}
    return [
        Held(one, [(name, then[moid]) for moid, name in one.names.items() if moid in then], _of(one, hidden), _of(one, dark))
        for one in taken
    ]


def uses(session: VimSession, taken: Sequence[Snapshots], devices: Sequence[ScsiDevice] = ()) -> Iterator[Use]:
    """The VMs whose snapshots have LUNs, and those of which nobody can tell; as `held`."""
    for one in held(session, taken, devices):
        vm = one.taken.vm
        for name in sorted(one.luns):
            how = f"has it in its snapshots {_listed(one.having(name))}"
            yield Use("VM", vm.name, vm.id, how, name, way_out=_REMOVE, in_snapshots=True, apart=not one.includes(name))
        for how in one.doubts:
            yield Use("VM", vm.name, vm.id, how, in_snapshots=True)


def objection(session: VimSession, vm: VirtualMachine, name: ScsiName) -> str:
    """Why the VM cannot do without the LUN, as a sentence that names the snapshots which have it, or may have it; empty where none does."""
    taken = _taken(session, vm)
    (one,) = held(session, [taken])
    having = one.having(name)
    if having:
        return f"LUN {name} is part of the snapshots {_listed(having)} of VM {vm.name}: {_REMOVE}."
    if taken.unreadable:
        return _unreadable(taken)
    if one.hidden:
        return (
            f"The snapshots {_listed(one.hidden)} of VM {vm.name} cannot be read, so nobody can tell whether LUN {name} is part of "
            "them: give the account the right to read them, or remove them first."
        )
    if one.dark:
        return (
            f"The snapshots {_listed(one.dark)} of VM {vm.name} have raw disks whose LUN its host does not see, so nobody can tell "
            f"whether LUN {name} is one of them: let the host see it again, or remove these snapshots."
        )
    return ""


def refuse_if_any_has(session: VimSession, vm: VirtualMachine, name: ScsiName) -> None:
    """Raise `Refused`, naming the snapshots whose hardware includes the LUN, or cannot be read."""
    told = objection(session, vm, name)
    if told:
        raise Refused(told)


def refuse_bus_sharing(session: VimSession, vm: VirtualMachine) -> None:
    """Raise `Refused` when the VM has any snapshot: vSphere has none of a VM that shares a bus, and shares no bus of a VM that has one.

    VMware's documentation ("Snapshot Limitations", vSphere Virtual Machine Administration).
    """
    taken = _taken(session, vm)
    if taken.unreadable:
        raise Refused(_unreadable(taken))
    if taken.names:
        raise Refused(
            f"VM {vm.name} has the snapshots {_listed(taken.names.values())}, with which it cannot share a SCSI bus: remove these "
            "snapshots first."
        )


def _is_apart(disk: VirtualDisk) -> bool:
    """Whether snapshots never include a disk: one in physical mode, or an independent one (VirtualDiskMode and "Snapshot Limitations")."""
    return disk.mode == PHYSICAL or disk.disk_mode.startswith("independent")


def _taken(session: VimSession, vm: VirtualMachine) -> Snapshots:
    """Which snapshots the VM has now; none of a VM that is gone."""
    wanted = {properties.VIRTUAL_MACHINE: [properties.SNAPSHOTS_OF_VM]}, {properties.VIRTUAL_MACHINE: [vm.id]}
    return next((machines.snapshots(vm, record) for record in session.retrieve(*wanted)), Snapshots(vm, {}))


def _unreadable(taken: Snapshots) -> str:
    return f"The snapshots of VM {taken.vm.name} cannot be read ({taken.unreadable}): give the account the right to read the VM."


def _of(taken: Snapshots, some: Collection[str]) -> list[str]:
    """The names of those snapshots of a VM that are among some (by id)."""
    return [name for moid, name in taken.names.items() if moid in some]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
