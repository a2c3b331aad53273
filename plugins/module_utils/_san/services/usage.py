# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a LUN, by the hypervisor's own word: the guard in front of every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Inventory
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

VIRTUAL_MACHINE = "VM"
FILE_SYSTEM = "file system"
CLUSTER_DISK = "cluster disk"


@dataclass(frozen=True)
class User:
    """Something that holds data on a LUN."""

    kind: str
    name: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.id})"


def users(name: ScsiName, inventory: Inventory) -> list[User]:
    """Every VM that has the LUN as a disk, every file system of the hosts that lies on it, and what a cluster keeps it for.

    A disk that a cluster keeps for a VM bears that VM's id, so that it is no stranger to it. A file system on such a disk is the guest's
    own, unless image files lie on it.
    """
    machines = [User(VIRTUAL_MACHINE, vm.name, vm.id) for vm in inventory.virtual_machines if any(disk.name == name for disk in vm.disks)]
    kept = [disk for disk in inventory.cluster_disks if disk.lun == name and not disk.available]
    guests_own = any(disk.vm for disk in kept)
    homes = {disk.file_system for vm in inventory.virtual_machines for disk in vm.disks} if guests_own else set()
    file_systems = [
        User(f"{store.kind} {FILE_SYSTEM}", store.name, store.id)
        for store in inventory.file_systems
        if any(ScsiName.try_parse(extent) == name for extent in store.extents) and (not guests_own or store.id in homes)
    ]
    return [*machines, *file_systems, *(User(CLUSTER_DISK, disk.name, disk.vm or disk.id) for disk in kept)]


def refuse_if_used(name: ScsiName, found: Sequence[User], purpose: str, way_out: str) -> None:
    """Raise `Refused`, naming the users, unless there are none; `way_out` is what to do about VMs."""
    if not found:
        return
    kinds = {user.kind for user in found} - {VIRTUAL_MACHINE}
    if CLUSTER_DISK in kinds:
        way_out = "remove the disk from the cluster first if nobody needs what is on it, or name another LUN"
    elif kinds:
        way_out = "remove the file system first if nobody needs what is on it, or name another LUN"
    raise Refused(f"LUN {name} is used by {', '.join(str(user) for user in found)} and will not be {purpose}: {way_out}.")
