# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory behind an endpoint: each host is asked in a fixed number of enumerations, then all is joined."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import evidence, hosts, machines, survey, volumes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import resources as cluster_resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import state as cluster_state
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.disks import CLUSTER_DISK, ClusterDisks
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import (
    VIRTUAL_MACHINE,
    ClusterResource,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.hardware import Drives
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.images import ImageReader
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Node, Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.volumes import Directories, Partition, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    UNREACHABLE,
    ClusterDisk,
    FileSystem,
    Host,
    ImageFile,
    Inventory,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient

_NO_HOME = frozenset({"", "csvfs"})
"""Volumes without a file system, and what a node shows of a shared volume, which the cluster tells better."""
_WAYS_OUT: Mapping[str, str] = MappingProxyType(
    {
        evidence.VM: "let its host see the LUN again and tell the VM's settings, or remove the disk, or the VM, in Hyper-V Manager",
        CLUSTER_DISK: "let a node see it again, or remove it in Failover Cluster Manager if it is gone for good",
    }
)
"""Out of a doubt about every LUN, by what it is about."""


@dataclass(frozen=True)
class HostView:
    """What one host told."""

    host: Host
    records: machines.Records
    disks: Sequence[HostDisk]
    drives: Drives
    partitions: Sequence[Partition]
    volumes: Sequence[Volume]


@dataclass(frozen=True)
class ClusterView:
    """What a cluster told, by the node that was named; nothing for a single host."""

    name: str = ""
    resources: Sequence[ClusterResource] = ()
    shared_volumes: Mapping[str, str] = field(default_factory=dict)
    """Directory → name of its disk resource."""
    luns: Mapping[str, ScsiName] = field(default_factory=dict)
    """Disk resource in lower case → its LUN by the cluster's word, where that was asked."""
    groups: Collection[str] = ()
    """All groups in lower case, where that was asked."""

    def disks(self, views: Sequence[HostView]) -> ClusterDisks:
        """Its disks, as it and its nodes tell them."""
        return ClusterDisks(
            self.name,
            self.resources,
            [disk for view in views for disk in view.disks],
            volumes={name.lower() for name in self.shared_volumes.values()},
            asked={view.host.id for view in views},
            told=self.luns,
            groups=self.groups,
        )


def inventory(nodes: Nodes, devices: bool, images: bool, at_once: bool = False) -> Inventory:
    """Everything that the endpoint's hosts have; one that cannot be asked costs what it has, and a warning. Raises a `CrossvisorError`."""
    cluster = _cluster(nodes)
    found = survey.ask(nodes, partial(_view, cluster=cluster.name), at_once)
    views = list(found.answers.values())
    estate = Estate(views, _asked_for_the_rest(nodes, cluster, views), [node.id for node in found.nodes])
    read = [found.answers[node.id].host if node.id in found.answers else hosts.lost_host(node, cluster.name) for node in found.nodes]
    readers = _readers(nodes, read) if images else {}
    virtual_machines = [estate.with_homes(vm, readers.get(vm.host)) for vm in estate.virtual_machines()]
    uses = estate.uses(virtual_machines)
    return Inventory(
        identity=_identity(nodes),
        hosts=read,
        virtual_machines=virtual_machines,
        file_systems=estate.file_systems,
        devices=estate.devices() if devices else (),
        cluster_disks=estate.cluster_disks(virtual_machines),
        uses=[*(_unasked(node, found.lost[node.id]) for node in found.nodes if node.id in found.lost), *uses],
        warnings=[
            *(_missing(node, found.lost[node.id]) for node in found.nodes if node.id in found.lost),
            *estate.warnings(),
            *(evidence.warning(use, _WAYS_OUT[use.kind]) for use in uses if use.lun is None),
            *(failure for reader in readers.values() for failure in reader.failures),
        ],
    )


def devices(nodes: Nodes, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
    """One LUN as each host (`Host.id`) sees it now. Raises `Refused` when one shows it as several disks."""
    names = {node.id: node.name for node in nodes.all()}
    found = ((host, disks.find(nodes.client(host), name, names.get(host, host))) for host in hosts)
    return [device(host, disk) for host, disk in found if disk]


def device(host: str, disk: HostDisk) -> ScsiDevice:
    """A disk of a host (`Host.id`)."""
    return ScsiDevice(
        host=host,
        device=disk.device,
        name=disk.name,
        size_bytes=disk.size_bytes,
        vendor=disk.vendor,
        product=disk.product,
        state=disk.state,
        aliases=[disk.path] if disk.path else [],
    )


class Estate:
    """What hosts and cluster told, joined."""

    def __init__(self, views: Sequence[HostView], cluster: ClusterView, all_hosts: Sequence[str]) -> None:
        self._views = views
        self._cluster = cluster
        self._cluster_disks = cluster.disks(views)
        self._directories: dict[str, Directories] = {}
        self._formatted: set[str] = set()
        self._checkpoints = {view.host.id: machines.checkpoints(view.records) for view in views}
        self.file_systems: list[FileSystem] = []
        """Those of the hosts, of the cluster, and shares that image files lie on."""
        shared = [
            volumes.shared_volume(
                cluster.name, directory, all_hosts, self._cluster_disks.disk_of(resource), self._cluster_disks.lun_of(resource)
            )
            for directory, resource in cluster.shared_volumes.items()
        ]
        self.file_systems.extend(shared)
        for view in views:
            self._take_volumes(view, shared)

    def virtual_machines(self) -> list[VirtualMachine]:
        """All VMs. One that is told by two hosts, because it is moving, is where the cluster says."""
        kept = cluster_resources.highly_available(self._cluster.resources)
        owners = {resource.vm_id: resource.node for resource in self._cluster.resources if resource.type == VIRTUAL_MACHINE}
        found: dict[str, VirtualMachine] = {}
        for view in self._views:
            for vm in machines.virtual_machines(view.records, view.host.id, view.drives, self._cluster.name, kept):
                if vm.id not in found or owners.get(vm.id) == vm.host:
                    found[vm.id] = vm
        return list(found.values())

    def with_homes(self, vm: VirtualMachine, reader: ImageReader | None) -> VirtualMachine:
        """The VM with the file systems of its image files, and of those that they are based on; with a reader also with sizes."""
        return replace(vm, disks=[self._with_home(vm, disk, reader) if disk.kind == IMAGE else disk for disk in vm.disks])

    def devices(self) -> list[ScsiDevice]:
        """Every disk of every host."""
        return [device(view.host.id, disk) for view in self._views for disk in view.disks]

    def cluster_disks(self, virtual_machines: Sequence[VirtualMachine]) -> list[ClusterDisk]:
        """The cluster's disks that are no shared volumes."""
        return self._cluster_disks.listed(virtual_machines, self._formatted)

    def uses(self, virtual_machines: Sequence[VirtualMachine]) -> list[Use]:
        """What else has a LUN, or may have it."""
        told = {vm.id for vm in virtual_machines}
        return [
            *evidence.of_unseen_luns(virtual_machines),
            *(use for view in self._views for use in evidence.of_untold_machines(machines.untold(view.records), told)),
            *(use for view in self._views for use in evidence.of_volumes(view.host, view.disks, view.partitions, view.volumes)),
            *self._cluster_disks.doubts(virtual_machines, self._formatted),
            *self._homeless(),
        ]

    def _homeless(self) -> list[Use]:
        """The shared volumes whose disk is no resource that the cluster tells."""
        known = {resource.name.lower() for resource in self._cluster.resources}
        return [
            Use(CLUSTER_DISK, name, f"{self._cluster.name}:{name}", f"is below {directory}, and its cluster tells no resource of that name")
            for directory, name in self._cluster.shared_volumes.items()
            if name.lower() not in known
        ]

    def warnings(self) -> list[str]:
        """What is wrong with what was read."""
        return [warning for view in self._views for warning in _shown_twice(view)]

    def _with_home(self, vm: VirtualMachine, disk: VirtualDisk, reader: ImageReader | None) -> VirtualDisk:
        image = reader.read(disk.path) if reader else None
        below = reader.chain(disk.path) if reader else []
        chain = below or self._checkpoints[vm.host].chain(vm.id, disk.path)
        return replace(
            disk,
            file_system=self._home(vm.host, disk.path),
            size_bytes=image.size_bytes if image else disk.size_bytes,
            thin=image.thin if image else None,
            parents=[ImageFile(path, self._home(vm.host, path)) for path in chain],
        )

    def _home(self, host: str, path: str) -> str:
        share = volumes.share_of(path)
        return self._share(host, share) if share else self._directories[host].holder(path)

    def _share(self, host: str, share: str) -> str:
        found = FileSystem(id=share.casefold(), name=share, kind=volumes.SMB, hosts=[host])
        if all(store.id != found.id for store in self.file_systems):
            self.file_systems.append(found)
        return found.id

    def _take_volumes(self, view: HostView, shared: Iterable[FileSystem]) -> None:
        """Note a host's volumes. Those of shared volumes are known already, by the cluster."""
        directories = self._directories[view.host.id] = Directories()
        numbers = {disk.number: disk for disk in view.disks}
        for volume in view.volumes:
            kept = [self._cluster_disks.resource_of(numbers[number]) for number in volume.disks if number in numbers]
            if volume.kind in _NO_HOME or any(resource and resource.shared_volume for resource in kept):
                continue
            self._formatted.update(resource.name for resource in kept if resource)
            store = volumes.file_system(volume, view.host.id, numbers)
            self.file_systems.append(store)
            directories.add(volume.access_paths, store.id)
        for store in shared:
            directories.add([store.name], store.id)


def _cluster(nodes: Nodes) -> ClusterView:
    if not nodes.cluster:
        return ClusterView()
    client = nodes.client(nodes.entry.id)
    return ClusterView(nodes.cluster, nodes.resources.read(client), cluster_resources.shared_volumes(client))


def _asked_for_the_rest(nodes: Nodes, cluster: ClusterView, views: Sequence[HostView]) -> ClusterView:
    """The cluster with what it is asked only when there is a disk whose LUN no node sees, or that nobody could look at.

    A cluster that cannot tell leaves both in doubt.
    """
    disks_of_cluster = cluster.disks(views)
    luns: Mapping[str, ScsiName] = {}
    groups: Collection[str] = ()
    client = nodes.client(nodes.entry.id)
    with contextlib.suppress(RemoteError):
        luns = cluster_state.luns(client) if disks_of_cluster.unseen() else luns
        groups = cluster_resources.group_names(client) if disks_of_cluster.unread() else groups
    return replace(cluster, luns=luns, groups=groups)


def _view(client: CimClient, node: Node, cluster: str) -> HostView:
    host_disks = disks.disks_of(client)
    partitions = volumes.partitions_of(client)
    return HostView(
        host=hosts.host(client, node, cluster),
        records=machines.read(client),
        disks=host_disks,
        drives=machines.drives_of(client, host_disks),
        partitions=partitions,
        volumes=volumes.volumes_of(client, partitions),
    )


def _readers(nodes: Nodes, read: Iterable[Host]) -> dict[str, ImageReader]:
    return {host.id: ImageReader(nodes.client(host.id), host.name) for host in read if host.state != UNREACHABLE}


def _unasked(node: Node, why: str) -> Use:
    """VMs that only a lost host has may have any LUN."""
    return Use("host", node.name, node.id, f"cannot be asked because {why}")


def _missing(node: Node, why: str) -> str:
    return f"Host {node.name} was not asked ({why}): the VMs, disks and volumes that only it has are missing."


def _shown_twice(view: HostView) -> list[str]:
    names = [disk.name for disk in view.disks if disk.name]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"Host {view.host.name} shows LUN {name} as several disks: let MPIO claim the array's disks there." for name in twice]


def _identity(nodes: Nodes) -> str:
    """The cluster with the domain of its nodes, in which its name is that of one computer account; one of a workgroup tells none."""
    domain = nodes.entry.name.partition(".")[2] if nodes.cluster else ""
    return f"{nodes.cluster}.{domain}".casefold() if domain else ""
