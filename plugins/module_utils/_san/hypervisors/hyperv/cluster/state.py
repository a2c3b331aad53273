# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failover cluster as a change of it has to know it: groups, resources, which LUN a disk resource is, what depends on what.

Source: Microsoft's Failover Cluster Provider reference (root/MSCluster). Any node answers for the whole cluster. Names have no case there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import (
    VIRTUAL_MACHINE,
    VM_CONFIGURATION,
    ClusterResource,
    Resources,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import RAW, HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance

AVAILABLE_STORAGE, OTHER_GROUP = 2, 9999
"""MSCluster_ResourceGroup.GroupType: ClusGroupTypeAvailableStorage, ClusGroupTypeUnknown."""
_PENDING = 4
_CONDITIONS: Mapping[int, str] = MappingProxyType({0: "online", 1: "offline", 2: "failed", 3: "partly online", _PENDING: "pending"})
"""MSCluster_ResourceGroup.State."""


@dataclass(frozen=True)
class Group:
    """A resource group."""

    name: str
    type: int
    state: int
    node: str
    """`Node.id` of its owner."""

    @property
    def pending(self) -> bool:
        """Whether it, or something in it, is changing its state just now."""
        return self.state == _PENDING

    @property
    def condition(self) -> str:
        """Its state in words."""
        return _CONDITIONS.get(self.state, "in an unknown state")


@dataclass(frozen=True)
class Role:
    """What a highly available VM is in its cluster: a group, and the names of two resources in it."""

    group: Group
    machine: str
    configuration: str

    @property
    def own(self) -> tuple[str, str]:
        """The names of its resources, which are never to stop or to move because of a disk."""
        return self.machine, self.configuration


@dataclass(frozen=True)
class ClusterState:
    """A cluster at one moment. All keys are names in lower case."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    resources: Mapping[str, ClusterResource] = field(default_factory=dict)
    luns: Mapping[str, ScsiName] = field(default_factory=dict)
    """Disk resource → its LUN, where the cluster tells it."""
    links: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Resource → those to which a dependency binds it, whichever of the two depends on the other."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Resource → the expression of what it depends on, where that was asked."""
    reader: Resources = field(default_factory=Resources, compare=False)
    """What is known of its resources."""

    def group(self, name: str) -> Group | None:
        """The group of this name, or None."""
        return self.groups.get(name.lower())

    def resource(self, name: str) -> ClusterResource | None:
        """The resource of this name, or None."""
        return self.resources.get(name.lower())

    def members(self, group: str) -> list[ClusterResource]:
        """The resources in a group."""
        return [resource for resource in self.resources.values() if resource.group.lower() == group.lower()]

    def needed_by(self, resource: ClusterResource, name: str) -> bool:
        """Whether a resource depends directly on this one, by its own word. Never, where it was not asked."""
        expression = self.needs.get(name.lower(), "")
        return any(f"[{called}]".lower() in expression for called in (resource.name, resource.id) if called)

    def bound_to(self, resource: ClusterResource) -> list[str]:
        """Names of the resources that may stop with this one or move along: who says that it depends on it, and whatever is linked to it.

        A link counts whichever way round it is told, so that nothing hangs on its direction.
        """
        names = {*self.links.get(resource.name.lower(), ()), *(name for name in self.needs if self.needed_by(resource, name))}
        return sorted(self.resources[name].name for name in names if name in self.resources)

    def available_storage(self) -> Group | None:
        """The group of the disks that nothing uses."""
        return next((group for group in self.groups.values() if group.type == AVAILABLE_STORAGE), None)

    def role(self, vm_id: str, vm_name: str) -> Role:
        """What a VM is in this cluster. Raises `Refused` when its machine and its configuration are not in one group."""
        own = [resource for resource in self.resources.values() if resource.vm_id == vm_id]
        machines = [resource for resource in own if resource.type == VIRTUAL_MACHINE]
        configurations = [resource for resource in own if resource.type == VM_CONFIGURATION]
        groups = {resource.group.lower() for resource in (*machines, *configurations)} & set(self.groups)
        if len(machines) != 1 or len(configurations) != 1 or len(groups) != 1:
            has = ", ".join(resource.name for resource in own) or "no resource"
            raise Refused(
                f"VM {vm_name} is no complete role of its cluster (it has {has}): "
                "its machine and its configuration have to be resources of one group, so repair the role in Failover Cluster Manager first."
            )
        return Role(self.groups[groups.pop()], machines[0].name, configurations[0].name)

    def disk_resource(self, name: ScsiName, disk: HostDisk | None) -> ClusterResource | None:
        """The resource that is this LUN, by what a node reads on its disk, or else by the name that the cluster tells. None for none.

        Raises `Refused` when a resource has the identifier of the LUN's partition table but is another LUN: one is a copy of the other.
        """
        keeping = [resource for resource in self.resources.values() if disk and disk.style != RAW and resource.keeps(disk)]
        for resource in keeping:
            refuse_copy(name, resource, self.luns.get(resource.name.lower(), name))
        named = [self.resources[key] for key, lun in self.luns.items() if lun == name and key in self.resources]
        return next(iter(keeping or named), None)


def refuse_copy(name: ScsiName, resource: ClusterResource, told: ScsiName) -> None:
    """Raise `Refused` when a resource that has the identifier of a LUN's partition table is told to be another LUN."""
    if told != name:
        raise Refused(
            f"LUN {name} has the disk identifier of cluster resource '{resource.name}', which is LUN {told}, so one is a copy of "
            "the other and the cluster could take either: give the copy a new identifier (uniqueid disk, in diskpart) first."
        )


def read(client: CimClient, reader: Resources) -> ClusterState:
    """The cluster as one of its nodes tells it now, in five enumerations however large it is; without what single resources say."""
    return replace(reread(client, ClusterState(reader=reader)), luns=luns(client), links=links(client))


def reread(client: CimClient, known: ClusterState) -> ClusterState:
    """The same cluster with its groups and resources as they are now, in two enumerations; the rest as it was known."""
    groups = (_group(found) for found in client.query(classes.RESOURCE_GROUP, columns=classes.RESOURCE_GROUP.columns))
    return replace(
        known,
        groups={group.name.lower(): group for group in groups},
        resources={resource.name.lower(): resource for resource in known.reader.read(client)},
    )


def links(client: CimClient) -> dict[str, frozenset[str]]:
    """Every dependency in the cluster, from both its ends: name of a resource → names of those that it is bound to, in lower case."""
    found: dict[str, frozenset[str]] = {}
    for link in client.query(classes.RESOURCE_DEPENDENCY):
        one, other = (_key(link, end, "Name") for end in ("Antecedent", "Dependent"))
        found[one] = found.get(one, frozenset()) | {other}
        found[other] = found.get(other, frozenset()) | {one}
    return found


def needs(client: CimClient, names: Iterable[str]) -> dict[str, str]:
    """What each of these resources says that it depends on, in lower case, such as `([disk 1]) and ([disk 2] or [disk 3])`.

    Source: `GetDependencies` of `MSCluster_Resource`; the grammar is that of `SetClusterResourceDependencyExpression`, in which a resource
    is its name or its id in brackets.
    """
    return {name.lower(): _expression(client, name).lower() for name in names}


def _expression(client: CimClient, name: str) -> str:
    outputs = {"Expression": "string"}
    return client.call(classes.CLUSTER_RESOURCE, "GetDependencies", {"Name": name}, outputs=outputs, repeatable=True).text("Expression")


def _group(found: CimInstance) -> Group:
    state = found.integer("State")
    node = found.text("OwnerNode").partition(".")[0].upper()
    return Group(found.text("Name"), found.integer("GroupType") or 0, -1 if state is None else state, node)


def luns(client: CimClient) -> dict[str, ScsiName]:
    """Each disk resource, in lower case, with its LUN, where the cluster tells it."""
    return dict(_luns(client))


def _luns(client: CimClient) -> Iterator[tuple[str, ScsiName]]:
    disks = {found.text("Id").lower(): ScsiName.try_parse(found.text("UniqueId")) for found in client.query(classes.CLUSTER_DISK)}
    for link in client.query(classes.RESOURCE_TO_DISK):
        name = disks.get(_key(link, "PartComponent", "Id"))
        if name:
            yield _key(link, "GroupComponent", "Name"), name


def _key(link: CimInstance, end: str, key: str) -> str:
    reference = link.reference(end)
    return str(reference.selectors.get(key, "")).lower() if reference else ""
