# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Windows host does with one of its disks: in use, offline for a VM, or in use by the host again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes, volumes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.volumes import Partition
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.waiting import Waiting
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks, storage_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.storage_call import call
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wql
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import ObjectPath

GIVEN_TO_A_VM = "given to a VM"
_VOLUME = "\\\\?\\Volume"


def take_offline(client: CimClient, disk: HostDisk) -> None:
    """End the host's own use of a disk, which a disk with volumes does not survive unharmed: see `refuse_if_mounted`."""
    call(client, storage_classes.DISK, "Offline", {"ObjectId": disk.object_id})


def bring_online(client: CimClient, disk: HostDisk) -> None:
    """Let the host itself use a disk."""
    call(client, storage_classes.DISK, "Online", {"ObjectId": disk.object_id})


def refuse_if_mounted(client: CimClient, disk: HostDisk, host_name: str, purpose: str) -> None:
    """Raise `Refused`, naming where they are mounted, when the host has volumes of a disk in use."""
    if disk.boot:
        raise Refused(f"Host {host_name} runs from disk {disk.number} ({_named(disk)}), so it will not be {purpose}: name another LUN.")
    partitions = [] if disk.offline or disk.clustered else _partitions(client, disk)
    if any(partition.dynamic for partition in partitions):
        raise Refused(
            f"Host {host_name} has LUN {_named(disk)} online as dynamic disk {disk.number}, whose volumes nobody can tell, so it will not "
            f"be {purpose}: remove what is on it there and take the disk offline first, or name another LUN."
        )
    paths = _access_paths(partitions)
    if paths:
        raise Refused(
            f"Host {host_name} has LUN {_named(disk)} in use as disk {disk.number} with {', '.join(paths)}, so it will not be {purpose}: "
            "remove what is on it there and take the disk offline first, or name another LUN."
        )


def access_paths(client: CimClient, disk: HostDisk) -> list[str]:
    """Drive letters and mount points of a disk's volumes; of a volume that has none, its name."""
    return _access_paths(_partitions(client, disk))


def drive(client: CimClient, disk: HostDisk) -> ObjectPath | None:
    """A disk as Hyper-V offers it to VMs, which it does only with one that the host itself does not use."""
    for found in client.query(classes.DISK_DRIVE, wql.equals("DriveNumber", disk.number), columns=classes.DISK_DRIVE.columns):
        return classes.DISK_DRIVE.path(found, found.text("SystemName"))
    return None


def to_give(client: CimClient, name: ScsiName, host_name: str, waiting: Waiting) -> tuple[HostDisk, ObjectPath]:
    """The disk that shows a LUN, with its path in the host's pool of physical disks for VMs, where it may arrive late.

    The number that joins both is compared again after it was used, because a boot changes it. Raises `Refused` when the host cannot give
    the LUN to a VM: it does not see it, it uses it itself, or another node of the cluster owns it.
    """
    found: list[tuple[HostDisk, ObjectPath | None]] = []

    def offered() -> bool:
        disk = _ready(client, name, host_name)
        found[:] = [(disk, drive(client, disk))]
        return found[0][1] is not None

    waiting.until(offered)
    disk, path = found[0]
    if path is None:
        raise Refused(
            f"Hyper-V on host {host_name} does not offer LUN {name} (disk {disk.number}) to VMs after {waiting.timeout:g} s: "
            + ("another node of the cluster owns it, move it to this one." if disk.clustered else "see in Disk Management what holds it.")
        )
    again = disks.find(client, name, host_name)
    if again is None or again.number != disk.number:
        raise Refused(f"Host {host_name} has just given LUN {name} another disk number: run this task again.")
    return disk, path


def _ready(client: CimClient, name: ScsiName, host_name: str) -> HostDisk:
    disk = disks.find(client, name, host_name)
    if disk is None:
        raise Refused(f"Host {host_name} does not see LUN {name}: map it to the host's initiators on the array, then run this task again.")
    refuse_if_mounted(client, disk, host_name, GIVEN_TO_A_VM)
    if not disk.offline and not disk.clustered:
        raise Refused(f"LUN {name} (disk {disk.number}) is online on host {host_name}: take it offline there, then run this task again.")
    return disk


def _partitions(client: CimClient, disk: HostDisk) -> list[Partition]:
    return volumes.partitions_of(client, wql.equals("DiskNumber", disk.number))


def _access_paths(partitions: Iterable[Partition]) -> list[str]:
    return [path for partition in partitions for path in _places(partition.access_paths)]


def _places(paths: Sequence[str]) -> Sequence[str]:
    return [path for path in paths if not path.startswith(_VOLUME)] or paths


def _named(disk: HostDisk) -> str:
    return str(disk.name) if disk.name else disk.device
