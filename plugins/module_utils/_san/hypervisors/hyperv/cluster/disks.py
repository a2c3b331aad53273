# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disks of a failover cluster: which LUN each is, and whom the cluster keeps it for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import (
    AVAILABLE_STORAGE,
    PHYSICAL_DISK,
    VIRTUAL_MACHINE,
    ClusterResource,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import Names
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ClusterDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk


@dataclass(frozen=True)
class ClusterDisks:
    """The resources of one cluster, with every disk that one of its nodes showed."""

    cluster: str
    resources: Sequence[ClusterResource]
    disks: Sequence[HostDisk]

    def resource_of(self, disk: HostDisk) -> ClusterResource | None:
        """The resource that keeps a disk."""
        return next((resource for resource in self._disk_resources() if resource.keeps(disk)), None)

    def disk_of(self, resource_name: str) -> HostDisk | None:
        """The disk that a resource keeps, as one of the nodes shows it; that of a node on which it has a name goes first."""
        kept = [resource for resource in self._disk_resources() if resource.name == resource_name]
        found = [disk for disk in self.disks for resource in kept if resource.keeps(disk)]
        return next((disk for disk in found if disk.name), found[0] if found else None)

    def listed(self, machines: Iterable[VirtualMachine], formatted: Iterable[str]) -> list[ClusterDisk]:
        """Every disk that is no shared volume. `formatted` names the resources on whose disks a node found a file system.

        A disk that a node calls clustered, but that no resource is known to keep, because the node does not show its partition table, is
        listed under the LUN's name: it belongs to somebody.
        """
        with_file_system = frozenset(formatted)
        owners = {resource.group: resource.vm_id for resource in self.resources if resource.type == VIRTUAL_MACHINE}
        candidates = [vm for vm in machines if vm.cluster == self.cluster]
        found: list[ClusterDisk] = []
        for resource in self._disk_resources():
            if resource.shared_volume:
                continue
            disk = self.disk_of(resource.name)
            found.append(
                ClusterDisk(
                    id=f"{self.cluster}:{resource.name}",
                    name=resource.name,
                    group=resource.group,
                    cluster=self.cluster,
                    lun=disk.name if disk else None,
                    vm=owners.get(resource.group) or (_intended(resource, disk.name, candidates) if disk and disk.name else ""),
                    available=resource.group == AVAILABLE_STORAGE and resource.name not in with_file_system,
                )
            )
        return [*found, *(ClusterDisk(f"{self.cluster}:{name}", str(name), "", self.cluster, name) for name in self._unknown())]

    def _unknown(self) -> list[ScsiName]:
        """The LUNs of clustered disks of which no node tells whose they are."""
        known = {disk.name for disk in self.disks if self.resource_of(disk)}
        return sorted({disk.name for disk in self.disks if disk.clustered and disk.name and disk.name not in known})

    def _disk_resources(self) -> Iterable[ClusterResource]:
        return (resource for resource in self.resources if resource.type == PHYSICAL_DISK)


def _intended(resource: ClusterResource, lun: ScsiName, candidates: Iterable[VirtualMachine]) -> str:
    """The VM on whose way a disk is, by the names that this collection gives; the longest, because a VM's name may begin with another's."""
    fitting = [vm for vm in candidates if _is_for(Names(vm.name, lun), resource)]
    return max(fitting, key=lambda vm: len(vm.name)).id if fitting else ""


def _is_for(names: Names, resource: ClusterResource) -> bool:
    return names.is_temporary(resource.group) or (resource.group == AVAILABLE_STORAGE and names.is_own(resource.name))
