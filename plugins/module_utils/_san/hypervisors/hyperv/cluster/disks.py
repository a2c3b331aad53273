# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disks of a failover cluster: which LUN each is, and whom the cluster keeps it for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import (
    AVAILABLE_STORAGE,
    PHYSICAL_DISK,
    VIRTUAL_MACHINE,
    ClusterResource,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import Names
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import IMAGE, PASSTHROUGH, ClusterDisk, Use, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk

CLUSTER_DISK = "cluster disk"


@dataclass(frozen=True)
class ClusterDisks:
    """The resources of one cluster, with every disk that one of its nodes showed."""

    cluster: str
    resources: Sequence[ClusterResource]
    disks: Sequence[HostDisk]
    volumes: Collection[str] = ()
    """The disk resources, in lower case, under the Cluster Shared Volumes that the cluster tells."""
    asked: Collection[str] = ()
    """The nodes (`Node.id`) whose volumes are known."""
    told: Mapping[str, ScsiName] = field(default_factory=dict)
    """Disk resource in lower case → its LUN by the cluster's own word, where that was asked."""
    groups: Collection[str] = ()
    """All groups in lower case, where that was asked."""

    def resource_of(self, disk: HostDisk) -> ClusterResource | None:
        """The resource that keeps a disk."""
        return next((resource for resource in self._disk_resources() if resource.keeps(disk)), None)

    def disk_of(self, resource_name: str) -> HostDisk | None:
        """The disk that a resource keeps, as one of the nodes shows it; that of a node on which it has a name goes first."""
        kept = [resource for resource in self._disk_resources() if resource.name.lower() == resource_name.lower()]
        found = [disk for disk in self.disks for resource in kept if resource.keeps(disk)]
        return next((disk for disk in found if disk.name), found[0] if found else None)

    def lun_of(self, resource_name: str) -> ScsiName | None:
        """The LUN that a resource keeps, by the word of a node or else of the cluster; None for what is no LUN, and when nobody tells."""
        disk = self.disk_of(resource_name)
        return (disk.name if disk else None) or self.told.get(resource_name.lower())

    def unseen(self) -> list[ClusterResource]:
        """The resources of which no node shows the disk and the cluster does not tell the LUN: it may be any."""
        return [
            resource
            for resource in self._disk_resources()
            if not resource.unused and self.disk_of(resource.name) is None and resource.name.lower() not in self.told
        ]

    def unread(self) -> list[ClusterResource]:
        """The resources in Available Storage on whose disks nobody could look for a file system.

        Only a disk that is in service is mounted, and on its owner alone.
        """
        return [
            resource
            for resource in self._disk_resources()
            if resource.group == AVAILABLE_STORAGE and not (resource.online and resource.node in self.asked)
        ]

    def doubts(self, machines: Iterable[VirtualMachine], formatted: Collection[str]) -> list[Use]:
        """The disks that may be any LUN, and those in Available Storage that may hold a file system; `formatted` as in `listed`.

        A doubt bears the id of the VM that a killed run was giving the disk to, or taking it from, so that it is no stranger to it.
        """
        candidates = [vm for vm in machines if vm.cluster == self.cluster]
        unread = [(resource, self.lun_of(resource.name)) for resource in self.unread() if resource.name not in formatted]
        return [
            *(self._unseen(resource) for resource in self._unmatched(candidates)),
            *(self._unread(resource, lun, candidates) for resource, lun in unread if lun),
        ]

    def listed(self, machines: Iterable[VirtualMachine], formatted: Iterable[str]) -> list[ClusterDisk]:
        """Every disk that is no shared volume. `formatted` names the resources on whose disks a node found a file system.

        A disk that a node calls clustered, but that no resource is known to keep, because the node does not show its partition table, is
        listed under the LUN's name: it belongs to somebody.
        """
        with_file_system = frozenset(formatted)
        owners = self._owners()
        candidates = [vm for vm in machines if vm.cluster == self.cluster]
        found: list[ClusterDisk] = []
        for resource in self._disk_resources():
            if resource.shared_volume and resource.name.lower() in self.volumes:
                continue
            lun = self.lun_of(resource.name)
            found.append(
                ClusterDisk(
                    id=f"{self.cluster}:{resource.name}",
                    name=resource.name,
                    group=resource.group,
                    cluster=self.cluster,
                    lun=lun,
                    vm=owners.get(resource.group) or (_intended(resource, lun, candidates) if lun else ""),
                    available=resource.group == AVAILABLE_STORAGE and resource.name not in with_file_system,
                )
            )
        return [*found, *(ClusterDisk(f"{self.cluster}:{name}", str(name), "", self.cluster, name) for name in self._unknown())]

    def _unmatched(self, candidates: Sequence[VirtualMachine]) -> list[ClusterResource]:
        """The unseen resources without those in the role of a VM that has as many LUNs as disks which no other resource keeps.

        Such a disk is seen, but its guest has written another partition table than that by which the resource knows it. Image files of
        which nobody tells where they lie may be on the unseen disk.
        """
        kept = {self.lun_of(resource.name) for resource in self._disk_resources()}
        owners, unseen = self._owners(), self.unseen()
        matched = []
        for vm in (vm for vm in candidates if all(disk.file_system for disk in vm.disks if disk.kind == IMAGE)):
            own = [resource for resource in unseen if owners.get(resource.group) == vm.id]
            free = {disk.name for disk in vm.disks if disk.kind == PASSTHROUGH and disk.name} - kept
            matched += own if len(own) <= len(free) else []
        return [resource for resource in unseen if resource not in matched]

    def _unseen(self, resource: ClusterResource) -> Use:
        keeper = self._owners().get(resource.group) or f"{self.cluster}:{resource.name}"
        return Use(CLUSTER_DISK, resource.name, keeper, "is a disk whose LUN no node of its cluster sees")

    def _unread(self, resource: ClusterResource, lun: ScsiName, candidates: Sequence[VirtualMachine]) -> Use:
        vm = _intended(resource, lun, candidates) or self._begun_for(resource, lun, candidates)
        how = f"is {resource.condition} in {AVAILABLE_STORAGE}, so that nobody can tell whether a file system is on it"
        return Use(CLUSTER_DISK, resource.name, vm or f"{self.cluster}:{resource.name}", how, lun, doubt=True)

    def _begun_for(self, resource: ClusterResource, lun: ScsiName, candidates: Iterable[VirtualMachine]) -> str:
        """The VM for which a killed run has left a temporary group for just this LUN, whoever has made its resource."""
        begun = (vm.id for vm in candidates if Names(vm.name, lun).temporary_for(resource.name).lower() in self.groups)
        return next(begun, "")

    def _owners(self) -> dict[str, str]:
        """Group → `VirtualMachine.id` of the VM that it is the role of."""
        return {resource.group: resource.vm_id for resource in self.resources if resource.type == VIRTUAL_MACHINE}

    def _unknown(self) -> list[ScsiName]:
        """The LUNs of clustered disks of which no node tells whose they are."""
        known = {disk.name for disk in self.disks if self.resource_of(disk)} | set(self.told.values())
        return sorted({disk.name for disk in self.disks if disk.clustered and disk.name and disk.name not in known})

    def _disk_resources(self) -> Iterable[ClusterResource]:
        return (resource for resource in self.resources if resource.type == PHYSICAL_DISK)


def _intended(resource: ClusterResource, lun: ScsiName, candidates: Iterable[VirtualMachine]) -> str:
    """The VM on whose way a disk is, by the names that this collection gives; the longest, because a VM's name may begin with another's."""
    fitting = [vm for vm in candidates if _is_for(Names(vm.name, lun), resource)]
    return max(fitting, key=lambda vm: len(vm.name)).id if fitting else ""


def _is_for(names: Names, resource: ClusterResource) -> bool:
    return names.is_temporary(resource.group) or (resource.group == AVAILABLE_STORAGE and names.is_own(resource.name))
