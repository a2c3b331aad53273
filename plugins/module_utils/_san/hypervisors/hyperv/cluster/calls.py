# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be changed in a failover cluster, one method of the Failover Cluster Provider each.

These methods return nothing: they refuse by a fault, and may answer before their work is done. What became of it has to be read. All raise
`RemoteError`, `AuthenticationFailed`, `ConnectionFailed`, or `OutcomeUnknown` when the answer was lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.property_list import property_list
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import (
    DISK_BY_GUID,
    DISK_BY_SIGNATURE,
    PHYSICAL_DISK,
    VM_CONFIGURATION,
    bare_guid,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.state import OTHER_GROUP
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import GPT, HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance, CimValue

VM_CONFIG_UPDATE = 0x01600004
"""CLUSCTL_RESOURCE_VM_CONFIG_UPDATE: take over the VM's disks and network ports into the cluster's configuration of it.

A resource of type "Virtual Machine" reads the same number as the order to migrate.
"""
SET_PRIVATE_PROPERTIES = 0x01400086
"""CLUSCTL_RESOURCE_SET_PRIVATE_PROPERTIES: the buffer is a property list."""
_LONGEST_WAIT = 30
"""Seconds that a method may wait on the node for a change of state; the rest of the user's time is waited by reading."""
_NO_METHOD = frozenset({"0x80041024", "0x8004102E", "0x80041055", "0x80041056"})
"""WBEM_E_PROVIDER_NOT_CAPABLE, _INVALID_METHOD, _METHOD_NOT_IMPLEMENTED, _METHOD_DISABLED."""
_STILL_PENDING = frozenset({"0x800703E5", "0x80070102"})
"""ERROR_IO_PENDING and WAIT_TIMEOUT as HRESULTs: the change goes on."""
_FAILED_ALREADY = frozenset({"0x800713AE"})
"""ERROR_RESOURCE_FAILED as an HRESULT: out of service it is, and from now on the cluster leaves it so (MS-CMRP 3.1.4.2.19)."""


def create_group(client: CimClient, name: str) -> None:
    """Make an empty group that the asked node owns."""
    client.call(classes.RESOURCE_GROUP, "CreateGroup", None, {"GroupName": name, "GroupType": OTHER_GROUP})


def delete_group(client: CimClient, name: str) -> None:
    """Delete an empty group; one with resources is refused by the cluster."""
    client.call(classes.RESOURCE_GROUP, "DeleteGroup", {"Name": name})


def move_group(client: CimClient, name: str, node: str, timeout: float) -> None:
    """Give a group to another node."""
    parameters: dict[str, CimValue] = {"NodeName": node, "TimeOut": _wait(timeout)}
    _start(client, classes.RESOURCE_GROUP, "MoveToNewNode", name, parameters)


def create_disk_resource(client: CimClient, group: str, name: str) -> None:
    """Make a Physical Disk that has no disk yet."""
    parameters: dict[str, CimValue] = {"Group": group, "ResourceName": name, "ResourceType": PHYSICAL_DISK, "SeparateMonitor": False}
    client.call(classes.CLUSTER_RESOURCE, "CreateResource", None, parameters)


def set_disk(client: CimClient, name: str, disk: HostDisk) -> None:
    """Make an offline Physical Disk the disk with this partition table; its other private properties stay."""
    buffer = tuple(property_list(_identity(disk)))
    parameters: Mapping[str, CimValue] = {"ControlCode": SET_PRIVATE_PROPERTIES, "InputBuffer": buffer}
    client.call(classes.CLUSTER_RESOURCE, "ExecuteResourceControl", {"Name": name}, parameters)


def add_available_disk(client: CimClient, name: str, disk: HostDisk) -> bool:
    """Make a disk that the cluster offers to take a Physical Disk in Available Storage, which goes online; False when it does not offer it.

    Windows Server 2012 and later take the name. Raises `Refused` when the cluster offers several disks with this partition table.
    """
    offered = _offered(client, disk)
    if not offered:
        return False
    try:
        client.call(classes.AVAILABLE_DISK, "AddToCluster", offered[0], {"ResourceName": name})
    except RemoteError as error:
        if error.code not in _NO_METHOD:
            raise
        return False
    return True


def delete_resource(client: CimClient, name: str) -> None:
    """Delete an offline resource. What is on its disk stays."""
    client.call(classes.CLUSTER_RESOURCE, "DeleteResource", {"Name": name})


def bring_online(client: CimClient, name: str, timeout: float) -> None:
    """Start a resource, with what it depends on."""
    _start(client, classes.CLUSTER_RESOURCE, "BringOnline", name, {"TimeOut": _wait(timeout)})


def take_offline(client: CimClient, name: str, timeout: float) -> None:
    """Stop a resource, with everything that depends on it: a VM would be turned off. One that has failed stays failed."""
    _start(client, classes.CLUSTER_RESOURCE, "TakeOffline", name, {"TimeOut": _wait(timeout)}, _STILL_PENDING | _FAILED_ALREADY)


def move_resource(client: CimClient, name: str, group: str) -> None:
    """Put a resource into another group, with what it depends on and what depends on it."""
    client.call(classes.CLUSTER_RESOURCE, "MoveToNewGroup", {"Name": name}, {"Group": group})


def add_dependency(client: CimClient, name: str, needed: str) -> None:
    """Make a resource depend on another of its group."""
    client.call(classes.CLUSTER_RESOURCE, "AddDependency", {"Name": name}, {"Resource": needed})


def remove_dependency(client: CimClient, name: str, needed: str) -> None:
    """Make a resource independent of another."""
    client.call(classes.CLUSTER_RESOURCE, "RemoveDependency", {"Name": name}, {"Resource": needed})


def refresh_configuration(client: CimClient, name: str) -> None:
    """Let a VM's configuration in the cluster know the VM's disks as they are now. May be repeated, and is when the answer was lost.

    Reads the resource's type first, and raises `Refused` unless that is exactly "Virtual Machine Configuration".
    """
    kind = client.get(classes.CLUSTER_RESOURCE, {"Name": name}).text("Type")
    if kind != VM_CONFIGURATION:
        raise Refused(f"Resource '{name}' is a {kind or 'resource without a type'}, not a {VM_CONFIGURATION}, and will not be refreshed.")
    parameters: Mapping[str, CimValue] = {"ControlCode": VM_CONFIG_UPDATE}
    client.call(classes.CLUSTER_RESOURCE, "ExecuteResourceControl", {"Name": name}, parameters, repeatable=True)


def _offered(client: CimClient, disk: HostDisk) -> list[CimInstance]:
    """What the cluster lists as available with the partition table of this disk: one, or none."""
    try:
        rows = list(client.query(classes.AVAILABLE_DISK, columns=classes.AVAILABLE_DISK.columns))
    except RemoteError as error:
        if error.code not in wsman_fault.MISSING:
            raise
        return []
    found = [row for row in rows if _is_disk(row, disk)]
    if len(found) > 1:
        raise Refused(
            f"The cluster offers several disks with the disk identifier {disk.guid or disk.signature}, so one is a copy of the other: "
            "give the copy a new identifier (uniqueid disk, in diskpart) first."
        )
    return found


def _is_disk(row: CimInstance, disk: HostDisk) -> bool:
    if disk.style == GPT:
        return bool(disk.guid) and bare_guid(row.text("GptGuid")) == bare_guid(disk.guid)
    return bool(disk.signature) and row.integer("Signature") == disk.signature


def _identity(disk: HostDisk) -> Mapping[str, str | int]:
    if disk.style == GPT:
        return {"DiskIdType": DISK_BY_GUID, "DiskIdGuid": disk.guid}
    return {"DiskIdType": DISK_BY_SIGNATURE, "DiskSignature": disk.signature or 0}


def _start(
    client: CimClient,
    cim_class: CimClass,
    method: str,
    name: str,
    parameters: Mapping[str, CimValue],
    taken: frozenset[str] = _STILL_PENDING,
) -> None:
    """Call a method that may be still under way when it answers; the codes of `taken` are no refusal."""
    try:
        client.call(cim_class, method, {"Name": name}, parameters)
    except RemoteError as error:
        if error.code not in taken:
            raise


def _wait(timeout: float) -> int:
    return max(1, min(_LONGEST_WAIT, int(timeout)))
