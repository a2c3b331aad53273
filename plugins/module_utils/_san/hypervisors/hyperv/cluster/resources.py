# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The resources of a failover cluster, as any of its nodes tells them: which VMs it keeps running, and which disks it keeps.

Source: `MSCluster_Resource` of Microsoft's Failover Cluster Provider reference; private properties as `Get-ClusterParameter` shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
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

    @property
    def online(self) -> bool:
        """Whether it is in service."""
        return self.state == ONLINE

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

    def keeps(self, disk: HostDisk) -> bool:
        """Whether it is the resource of this disk, which both know by what is in its partition table."""
        if self.disk_guid:
            return bare_guid(self.disk_guid) == bare_guid(disk.guid)
        return self.disk_signature is not None and self.disk_signature == disk.signature


def resources_of(client: CimClient) -> list[ClusterResource]:
    """Every resource of the cluster that the node belongs to, in one enumeration."""
    return [_resource(found) for found in client.query(classes.CLUSTER_RESOURCE, columns=classes.CLUSTER_RESOURCE.columns)]


def shared_volumes(client: CimClient) -> dict[str, str]:
    """Directory of each Cluster Shared Volume, such as `C:\\ClusterStorage\\Volume1`, with the name of its disk resource."""
    links = list(client.query(classes.SHARED_VOLUME_TO_RESOURCE))
    return {_key(link, "GroupComponent"): _key(link, "PartComponent") for link in links}


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
    )


def _key(link: CimInstance, role: str) -> str:
    reference = link.reference(role)
    return str(reference.selectors.get("Name", "")) if reference else ""
