# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Windows host does with one of its disks: in use, offline for a VM, or in use by the host again.

Return values and `MSFT_StorageExtendedStatus` are those of Microsoft's Windows Storage Management API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.hyperv import classes, disks
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.hyperv.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils.wire import wql
from ansible_collections.crossvisor.san.plugins.module_utils.wire.cim import RETURN_VALUE, CimClient, Keys
from ansible_collections.crossvisor.san.plugins.module_utils.wire.cim_path import ObjectPath
from ansible_collections.crossvisor.san.plugins.module_utils.wire.cim_types import CimClass, CimInstance, CimValue, Types

GIVEN_TO_A_VM = "given to a VM"
_COMPLETED = 0
_STATUS = "ExtendedStatus"
_STATUS_TYPES: Types = MappingProxyType({_STATUS: "object", f"{_STATUS}.Message": "string"})
_VOLUME = "\\\\?\\Volume"


def call(
    client: CimClient, cim_class: CimClass, method: str, keys: Keys | None = None, parameters: Mapping[str, CimValue] | None = None
) -> CimInstance:
    """Call a method of the storage API and return its outputs.

    Raises `RemoteError` with the host's own words and the return value as `code`; `OutcomeUnknown` when the answer was lost.
    """
    answer = client.call(cim_class, method, keys, parameters, outputs=_STATUS_TYPES)
    value = answer.integer(RETURN_VALUE)
    if value not in (None, _COMPLETED):
        status = answer.instance(_STATUS)
        told = " ".join(status.text("Message").split()).rstrip(".") if status else ""
        raise RemoteError(
            f"{client.session.connection} refused {method} of {cim_class.name} ({value}): {told or 'no reason was given'}.", str(value)
        )
    return answer


def rescan(client: CimClient) -> None:
    """Let the host look for disks. Raises `OutcomeUnknown` when the answer was lost; it may be repeated."""
    call(client, classes.STORAGE_SETTING, "UpdateHostStorageCache")


def take_offline(client: CimClient, disk: HostDisk) -> None:
    """End the host's own use of a disk, which a disk with volumes does not survive unharmed: see `refuse_if_mounted`."""
    call(client, classes.DISK, "Offline", {"ObjectId": disk.object_id})


def bring_online(client: CimClient, disk: HostDisk) -> None:
    """Let the host itself use a disk."""
    call(client, classes.DISK, "Online", {"ObjectId": disk.object_id})


def refuse_if_mounted(client: CimClient, disk: HostDisk, host_name: str, purpose: str) -> None:
    """Raise `Refused`, naming where they are mounted, when the host has volumes of a disk in use."""
    if disk.boot:
        raise Refused(f"Host {host_name} runs from disk {disk.number} ({_named(disk)}), so it will not be {purpose}: name another LUN.")
    paths = [] if disk.offline or disk.clustered else access_paths(client, disk)
    if paths:
        raise Refused(
            f"Host {host_name} has LUN {_named(disk)} in use as disk {disk.number} with {', '.join(paths)}, so it will not be {purpose}: "
            "remove what is on it there and take the disk offline first, or name another LUN."
        )


def access_paths(client: CimClient, disk: HostDisk) -> list[str]:
    """Drive letters and mount points of a disk's volumes; of a volume that has none, its name."""
    partitions = client.query(classes.PARTITION, wql.equals("DiskNumber", disk.number), columns=("AccessPaths",))
    return [path for partition in partitions for path in _places(partition.texts("AccessPaths"))]


def drive(client: CimClient, disk: HostDisk) -> ObjectPath | None:
    """A disk as Hyper-V offers it to VMs, which it does only with one that the host itself does not use."""
    for found in client.query(classes.DISK_DRIVE, wql.equals("DriveNumber", disk.number), columns=classes.DISK_DRIVE.columns):
        return classes.DISK_DRIVE.path(found, found.text("SystemName"))
    return None


def to_give(client: CimClient, name: ScsiName, host_name: str) -> tuple[HostDisk, ObjectPath]:
    """The disk that shows a LUN, with its path in the host's pool of physical disks for VMs.

    The number that joins both is compared again after it was used, because a boot changes it. Raises `Refused` when the host cannot give
    the LUN to a VM: it does not see it, it uses it itself, or another node of the cluster owns it.
    """
    disk = _ready(client, name, host_name)
    path = drive(client, disk)
    if path is None:
        raise Refused(
            f"Hyper-V on host {host_name} does not offer LUN {name} (disk {disk.number}) to VMs: "
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


def _places(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path for path in paths if not path.startswith(_VOLUME)) or paths


def _named(disk: HostDisk) -> str:
    return str(disk.name) if disk.name else disk.device
