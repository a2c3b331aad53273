# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What uses a LUN, or may use it, beside the disks of VMs and the file systems that hosts and cluster tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import hardware
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.volumes import Partition, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Host, Use, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk

HOST, VM = "host", "VM"
_FREE_IT = "remove what is on it there and take the disk offline first, or name another LUN"


def of_unseen_luns(virtual_machines: Iterable[VirtualMachine]) -> list[Use]:
    """The VMs with pass-through disks whose LUN nobody knows: it may be any."""
    return [
        Use(VM, vm.name, vm.id, f"has a pass-through disk ({disk.label}) whose LUN its host does not see")
        for vm in virtual_machines
        for disk in vm.disks
        if hardware.is_unseen(disk)
    ]


def of_untold_machines(untold: Mapping[str, str], told: Collection[str]) -> list[Use]:
    """The VMs (id → name) whose disks are not known, because no host tells their settings; `told` are those of which one does."""
    return [Use(VM, name, vm_id, "is only partly told by its host") for vm_id, name in untold.items() if vm_id not in told]


def of_volumes(host: Host, disks: Iterable[HostDisk], partitions: Sequence[Partition], volumes: Iterable[Volume]) -> list[Use]:
    """What a host has on its own disks that is not told as a file system of theirs.

    A disk that is offline has nothing in use, and one that a cluster keeps is told by the cluster.
    """
    formatted = {volume.path.casefold() for volume in volumes if volume.kind}
    found: list[Use] = []
    for disk in disks:
        if disk.name is None or disk.offline or disk.clustered:
            continue
        own = [partition for partition in partitions if partition.disk == disk.number]
        unread = [partition.name for partition in own if partition.access_paths and not partition.is_any_of(formatted)]
        if any(partition.dynamic for partition in own):
            found.append(Use(HOST, host.name, host.id, f"has it online as dynamic disk {disk.number}", disk.name, way_out=_FREE_IT))
        elif unread:
            how = f"has a volume on it ({', '.join(unread)}) whose file system it does not tell"
            found.append(Use(HOST, host.name, host.id, how, disk.name, doubt=True))
    return found


def warning(doubt: Use, way_out: str) -> str:
    """A doubt about every LUN as a sentence."""
    return f"{doubt.kind} {doubt.name} ({doubt.id}) {doubt.how}, so that it may have any LUN: {way_out}."
