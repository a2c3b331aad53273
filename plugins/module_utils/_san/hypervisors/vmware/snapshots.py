# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which snapshots of a VM still refer to a LUN: after a detach, going back to one of them would break the VM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import machines, properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import Element, children, text

_TREE = "snapshot.rootSnapshotList"
_SNAPSHOT = "VirtualMachineSnapshot"


def refuse_if_any_has(session: VimSession, vm: VirtualMachine, name: ScsiName) -> None:
    """Raise `Refused`, naming the snapshots whose hardware includes the LUN, or cannot be read."""
    names = _names(session, vm)
    if not names:
        return
    hardware = session.retrieve({_SNAPSHOT: [properties.DEVICES_OF_VM]}, {_SNAPSHOT: list(names)})
    holding: list[str] = []
    hidden: list[str] = []
    for record in hardware:
        if properties.DEVICES_OF_VM not in record.properties:
            hidden.append(names[record.moid])
        elif any(disk.name == name for disk in machines.machine(record).disks):
            holding.append(names[record.moid])
    if holding:
        raise Refused(f"LUN {name} is part of the snapshots {', '.join(sorted(holding))} of VM {vm.name}: remove these snapshots first.")
    if hidden:
        raise Refused(
            f"The snapshots {', '.join(sorted(hidden))} of VM {vm.name} cannot be read, so nobody can tell whether LUN {name} is part of "
            "them: give the account the right to read them, or remove them first."
        )


def refuse_bus_sharing(session: VimSession, vm: VirtualMachine) -> None:
    """Raise `Refused` when the VM has any snapshot: vSphere has none of a VM that shares a bus, and shares no bus of a VM that has one.

    VMware's documentation ("Snapshot Limitations", vSphere Virtual Machine Administration).
    """
    names = sorted(_names(session, vm).values())
    if names:
        raise Refused(
            f"VM {vm.name} has the snapshots {', '.join(names)}, with which it cannot share a SCSI bus: remove these snapshots first."
        )


def _names(session: VimSession, vm: VirtualMachine) -> dict[str, str]:
    """Id → name of every snapshot. Raises `Refused` when they cannot be read; a VM without any has no such property."""
    found: dict[str, str] = {}
    for record in session.retrieve({properties.VIRTUAL_MACHINE: [_TREE]}, {properties.VIRTUAL_MACHINE: [vm.id]}):
        why = record.why_missing(_TREE)
        if why:
            raise Refused(f"The snapshots of VM {vm.name} cannot be read ({why}): give the account the right to read the VM.")
        found.update(_all(record.items(_TREE)))
    return found


def _all(trees: Iterable[Element]) -> Iterator[tuple[str, str]]:
    """Id and name of every snapshot (VirtualMachineSnapshotTree), those under others too."""
    for tree in trees:
        yield text(tree, "snapshot"), text(tree, "name")
        yield from _all(children(tree, "childSnapshotList"))
