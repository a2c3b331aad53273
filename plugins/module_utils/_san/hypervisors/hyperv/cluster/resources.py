# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The resources of a failover cluster, as any of its nodes tells them: which VMs it keeps running, and which disks it keeps.

Source: `MSCluster_Resource` of Microsoft's Failover Cluster Provider reference; private properties as `Get-ClusterParameter` shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance

PHYSICAL_DISK = "Physical Disk"
VIRTUAL_MACHINE = "Virtual Machine"
VM_CONFIGURATION = "Virtual Machine Configuration"
"""MSCluster_Resource.Type."""
ONLINE, OFFLINE, FAILED = 2, 3, 4
"""MSCluster_Resource.State; from 128 on it is pending."""
_STATES: Mapping[int, str] = MappingProxyType(
    {ONLINE: "online", OFFLINE: "offline", FAILED: "failed", 128: "pending", 129: "going online", 130: "going offline"}
)
_PENDING = frozenset({128, 129, 130})
DISK_BY_SIGNATURE, DISK_BY_GUID = 0, 1
"""The private property DiskIdType."""
AVAILABLE_STORAGE = "Available Storage"
_WITH_IDENTITY = frozenset({PHYSICAL_DISK, VIRTUAL_MACHINE, VM_CONFIGURATION})
"""The types whose private properties are read."""
_PASSING = tuple(name for name in classes.CLUSTER_RESOURCE.columns if name != "PrivateProperties")
_GONE = frozenset({*wsman_fault.MISSING, "0x8007138F"})
"""With ERROR_RESOURCE_NOT_FOUND as an HRESULT."""


@dataclass(frozen=True)
class ClusterResource:
    """A resource. Names of groups and nodes are the cluster's own."""

    name: str
    type: str
    state: int
    group: str
    node: str
    """Upper case, as `Node.id`."""
    id: str = ""
    """A GUID that no other resource ever had."""
    core: bool = False
    shared_volume: bool = False
    vm_id: str = ""
    """`VirtualMachine.id` of what a VM's resources stand for."""
    disk_guid: str = ""
    """Of the GPT disk that a disk resource keeps, in braces."""
    disk_signature: int | None = None
    """Of the MBR disk that a disk resource keeps."""
    vm_disks: str | None = None
    """What a VM's configuration keeps of the VM's pass-through disks, in the cluster's own words; None when it does not tell."""

    @property
    def online(self) -> bool:
        """Whether it is in service."""
        return self.state == ONLINE

    @property
    def stopped(self) -> bool:
        """Whether it is out of service: offline, or failed, which a cluster treats alike when it is moved or deleted (MS-CMRP)."""
        return self.state in (OFFLINE, FAILED)

    @property
    def pending(self) -> bool:
        """Whether it is changing its state just now."""
        return self.state in _PENDING

    @property
    def condition(self) -> str:
        """Its state in words."""
        return _STATES.get(self.state, "in an unknown state")

    @property
    def blank(self) -> bool:
        """Whether it is a disk resource that was never given a disk."""
        return self.type == PHYSICAL_DISK and not self.disk_guid and self.disk_signature is None

    @property
    def unused(self) -> bool:
        """Whether it keeps no disk for certain: it was never given one, and nothing says that it has served all the same."""
        return self.blank and self.state == OFFLINE and not self.core and not self.shared_volume

    def keeps(self, disk: HostDisk) -> bool:
        """Whether it is the resource of this disk, which both know by what is in its partition table."""
        if self.disk_guid:
            return bare_guid(self.disk_guid) == bare_guid(disk.guid)
        return self.disk_signature is not None and self.disk_signature == disk.signature


class Resources:
    """The resources of one cluster, of which each is asked only once what it is: private properties cost a cluster some 20 ms a resource.

    What a resource is doing, where, and whether it is a shared volume is asked every time. A disk resource that has no disk yet is asked
    again until it has one.
    """

    def __init__(self) -> None:
        self._known: dict[str, ClusterResource] = {}

    def read(self, client: CimClient) -> list[ClusterResource]:
        """Every resource now, in one enumeration, and a request for each that is new since the first time."""
        columns = _PASSING if self._known else classes.CLUSTER_RESOURCE.columns
        rows = list(client.query(classes.CLUSTER_RESOURCE, columns=columns))
        if not self._known:
            return [self._note(_resource(row)) for row in rows]
        found = (self._now(client, _resource(row)) for row in rows)
        return [resource for resource in found if resource is not None]

    def _note(self, resource: ClusterResource) -> ClusterResource:
        if resource.id and not resource.blank:
            self._known[resource.id] = resource
        return resource

    def _now(self, client: CimClient, passing: ClusterResource) -> ClusterResource | None:
        """A resource as it is now; None when it has gone before it could be asked what it is."""
        if passing.type not in _WITH_IDENTITY:
            return passing
        known = self._known.get(passing.id)
        if known is None:
            asked = resource_of(client, passing.name)
            return asked and self._note(asked)
        return replace(passing, vm_id=known.vm_id, disk_guid=known.disk_guid, disk_signature=known.disk_signature, vm_disks=known.vm_disks)


def resource_of(client: CimClient, name: str) -> ClusterResource | None:
    """One resource with all that it is, or None when there is none of this name."""
    try:
        return _resource(client.get(classes.CLUSTER_RESOURCE, {"Name": name}))
    except RemoteError as error:
        if error.code not in _GONE:
            raise
    return None


def shared_volumes(client: CimClient) -> dict[str, str]:
    """Directory of each Cluster Shared Volume, such as `C:\\ClusterStorage\\Volume1`, with the name of its disk resource."""
    links = list(client.query(classes.SHARED_VOLUME_TO_RESOURCE))
    return {_key(link, "GroupComponent"): _key(link, "PartComponent") for link in links}


def group_names(client: CimClient) -> set[str]:
    """The names of all groups, in lower case."""
    return {found.text("Name").lower() for found in client.query(classes.RESOURCE_GROUP, columns=("Name",))}


def highly_available(resources: Iterable[ClusterResource]) -> set[str]:
    """The VMs (`VirtualMachine.id`) that the cluster keeps running."""
    return {resource.vm_id for resource in resources if resource.type == VIRTUAL_MACHINE and resource.vm_id}


def bare_guid(text: str) -> str:
    """A GUID without braces, in upper case."""
    return text.strip("{}").upper()


def _resource(found: CimInstance) -> ClusterResource:
    private = found.instance("PrivateProperties") or CimInstance("MSCluster_Property")
    by_signature = private.integer("DiskIdType") == DISK_BY_SIGNATURE
    return ClusterResource(
        name=found.text("Name"),
        type=found.text("Type"),
        state=found.integer("State") or 0,
        group=found.text("OwnerGroup"),
        node=found.text("OwnerNode").partition(".")[0].upper(),
        id=found.text("Id"),
        core=found.flag("CoreResource"),
        shared_volume=found.flag("IsClusterSharedVolume"),
        vm_id=bare_guid(private.text("VmID")),
        disk_guid="" if by_signature else private.text("DiskIdGuid"),
        disk_signature=(private.integer("DiskSignature") or None) if by_signature else None,
        vm_disks=private.text("VmPhysicalDisks") if "VmPhysicalDisks" in private.properties else None,
    )


def _key(link: CimInstance, role: str) -> str:
    reference = link.reference(role)
    return str(reference.selectors.get("Name", "")) if reference else ""
