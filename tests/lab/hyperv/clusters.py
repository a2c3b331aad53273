# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failover cluster: groups, resources, their states and dependencies, and what the cluster service refuses (winerror.h, 5000 to 5999)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tests.lab.hyperv.cim import Value
from tests.lab.hyperv.faults import win32
from tests.lab.hyperv.timeline import Timeline

ONLINE, OFFLINE, FAILED, ONLINE_PENDING, OFFLINE_PENDING = 2, 3, 4, 129, 130
PENDING = frozenset({ONLINE_PENDING, OFFLINE_PENDING})
GROUP_ONLINE, GROUP_OFFLINE, GROUP_FAILED, GROUP_PARTIAL, GROUP_PENDING = range(5)
PHYSICAL_DISK, VIRTUAL_MACHINE, VM_CONFIGURATION = "Physical Disk", "Virtual Machine", "Virtual Machine Configuration"
TYPES = (PHYSICAL_DISK, VIRTUAL_MACHINE, VM_CONFIGURATION, "Network Name", "IP Address", "File Share Witness")
CORE_GROUP, AVAILABLE_STORAGE = "Cluster Group", "Available Storage"
TYPE_CORE, TYPE_STORAGE, TYPE_CSV, TYPE_VM, TYPE_UNKNOWN = 1, 2, 4, 111, 9999
DISK_BY_SIGNATURE, DISK_BY_GUID = 0, 1
UPDATE_CONFIGURATION = 23068676
"""The control code that refreshes a VM's configuration, or migrates the VM when it reaches the wrong resource."""
SET_PRIVATE_PROPERTIES = 20971654
"""CLUSCTL_RESOURCE_SET_PRIVATE_PROPERTIES."""


@dataclass(eq=False)
class Group:
    """A resource group, owned by one node."""

    name: str
    kind: int
    owner: str
    core: bool = False
    online: bool = True
    moving: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(eq=False)
class Resource:
    """A resource; ``needs`` are the names of those it depends on."""

    name: str
    type: str
    group: str
    state: int = OFFLINE
    private: dict[str, Value] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    core: bool = False
    shared_volume: str = ""
    fault_state: int | None = 0
    """CLUSTER_CSV_VOLUME_FAULT_STATE of a shared volume."""
    backup_state: int | None = 0
    """CLUSTER_SHARED_VOLUME_BACKUP_STATE of it."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(eq=False)
class Cluster:
    """The cluster. ``may_start`` tells why a resource cannot come online on a node, or nothing; ``started`` hears of changed states."""

    name: str
    nodes: list[str]
    timeline: Timeline
    node_is_up: Callable[[str], bool]
    may_start: Callable[[Cluster, Resource, str], str]
    started: Callable[[Cluster, Resource, bool], None]
    groups: dict[str, Group] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    controls: list[dict[str, object]] = field(default_factory=list)
    """Every ExecuteResourceControl that was asked for."""
    offers_disks: bool = True
    """Whether it lists disks as available; a cluster may not, for reasons of its own."""

    def group(self, name: str) -> Group:
        """Return the group, whose name has no case; raises ProviderFault (ERROR_GROUP_NOT_FOUND)."""
        found = next((group for known, group in self.groups.items() if known.lower() == name.lower()), None)
        if found is None:
            raise win32(5013, f"The cluster group could not be found: '{name}'. ")
        return found

    def resource(self, name: str) -> Resource:
        """Return the resource; raises ProviderFault (ERROR_RESOURCE_NOT_FOUND)."""
        found = next((resource for known, resource in self.resources.items() if known.lower() == name.lower()), None)
        if found is None:
            raise win32(5007, f"The cluster resource could not be found: '{name}'. ")
        return found

    def members(self, group: Group) -> list[Resource]:
        """Return the resources of a group."""
        return [resource for resource in self.resources.values() if resource.group == group.name]

    def owner(self, resource: Resource) -> str:
        """Return the node that owns the resource."""
        return self.groups[resource.group].owner

    def group_state(self, group: Group) -> int:
        """Return the state of a group, which follows from those of its resources."""
        states = [resource.state for resource in self.members(group)]
        if group.moving or any(state in PENDING for state in states):
            return GROUP_PENDING
        if not states:
            return GROUP_ONLINE if group.online else GROUP_OFFLINE
        if FAILED in states:
            return GROUP_FAILED
        online = states.count(ONLINE)
        return GROUP_ONLINE if online == len(states) else GROUP_PARTIAL if online else GROUP_OFFLINE

    def create_group(self, name: str, kind: int, node: str) -> Group:
        """Make an empty group that the node owns, and bring it online."""
        if any(known.lower() == name.lower() for known in self.groups):
            raise win32(5010, f"The object already exists: group '{name}'. ")
        self.groups[name] = Group(name, kind, node)
        return self.groups[name]

    def delete_group(self, group: Group) -> None:
        """Delete an empty group."""
        self._not_core(group.core, group.name)
        if self.members(group):
            raise win32(145, f"The directory is not empty: group '{group.name}' has resources. ")
        del self.groups[group.name]

    def destroy_group(self, group: Group) -> None:
        """Delete a group with everything in it."""
        self._not_core(group.core, group.name)
        for resource in self.members(group):
            self._set(resource, OFFLINE)
            self._forget(resource)
        del self.groups[group.name]

    def create_resource(self, name: str, kind: str, group: Group) -> Resource:
        """Make an offline resource without properties."""
        if any(known.lower() == name.lower() for known in self.resources):
            raise win32(5010, f"The object already exists: resource '{name}'. ")
        if kind not in TYPES:
            raise win32(5078, f"The specified cluster resource type '{kind}' could not be found. ")
        self._settled(group)
        self.resources[name] = Resource(name, kind, group.name)
        return self.resources[name]

    def delete_resource(self, resource: Resource) -> None:
        """Delete a resource that is offline or failed."""
        self._not_core(resource.core, resource.name)
        if resource.shared_volume:
            raise win32(5937, f"The operation failed because '{resource.name}' is a cluster shared volume. ")
        if resource.state not in (OFFLINE, FAILED):
            raise win32(5019, f"The operation cannot be completed because resource '{resource.name}' is online. ")
        if other := next(self.dependents(resource), None):
            raise win32(5001, f"The operation cannot be completed because '{other.name}' is dependent on '{resource.name}'. ")
        self._forget(resource)

    def bring_online(self, resource: Resource, wait: bool) -> None:
        """Start a resource with what it needs; when it does not ``wait``, it is pending for a while."""
        group = self.groups[resource.group]
        self._settled(group)
        if not self.node_is_up(group.owner):
            raise win32(5005, f"The node '{group.owner}' that owns group '{group.name}' is not available. ")
        for name in resource.needs:
            if self.resources[name].state != ONLINE:
                self.bring_online(self.resources[name], wait)
        if resource.state == ONLINE:
            return
        resource.state = ONLINE_PENDING
        if not wait:
            self.timeline.later(lambda: self._finish_online(resource))
            return
        self._finish_online(resource)
        if resource.state != ONLINE:
            reason = self.may_start(self, resource, group.owner) or "what it depends on is not online"
            raise win32(5018, f"The cluster resource '{resource.name}' could not be brought online by the resource monitor: {reason}. ")

    def take_offline(self, resource: Resource, wait: bool) -> None:
        """Stop a resource with everything that depends on it; one that has failed stays failed."""
        self._settled(self.groups[resource.group])
        if resource.shared_volume:
            raise win32(5937, f"The operation failed because '{resource.name}' is a cluster shared volume. ")
        if resource.state == FAILED:
            raise win32(5038, f"The cluster resource '{resource.name}' failed. ")
        for other in self.dependents(resource):
            if other.state != FAILED:
                self.take_offline(other, wait)
        if resource.state == OFFLINE:
            return
        resource.state = OFFLINE_PENDING
        if wait:
            self._set(resource, OFFLINE)
        else:
            self.timeline.later(lambda: self._set(resource, OFFLINE))

    def move_resource(self, resource: Resource, group: Group) -> None:
        """Move a resource, with all that it needs and all that need it, to another group."""
        source = self.groups[resource.group]
        if source is group:
            raise win32(183, f"Cannot create a file when that file already exists: '{resource.name}' is in group '{group.name}' already. ")
        self._not_core(resource.core, resource.name)
        self._settled(source)
        self._settled(group)
        moved = self._tree(resource)
        if source.owner != group.owner and (online := next((member for member in moved if member.state not in (OFFLINE, FAILED)), None)):
            raise win32(5019, f"The operation cannot be completed because resource '{online.name}' is online. ")
        for member in moved:
            member.group = group.name

    def add_dependency(self, resource: Resource, needed: Resource) -> None:
        """Make the resource depend on another of its group."""
        if needed.name in resource.needs:
            raise win32(5003, f"The cluster resource dependency of '{resource.name}' on '{needed.name}' exists already. ")
        if resource is needed or resource.group != needed.group:
            raise win32(87, f"The parameter is incorrect: '{needed.name}' is no other resource of group '{resource.group}'. ")
        if resource in self._needs_of(needed):
            raise win32(1059, f"Circular dependency was specified: '{needed.name}' depends on '{resource.name}'. ")
        if resource.state == ONLINE and needed.state != ONLINE:
            raise win32(
                5019, f"The operation cannot be completed because resource '{resource.name}' is online, and '{needed.name}' is not. "
            )
        resource.needs.append(needed.name)

    def remove_dependency(self, resource: Resource, needed: Resource) -> None:
        """Make the resource independent of another."""
        if needed.name not in resource.needs:
            raise win32(5002, f"The cluster resource dependency of '{resource.name}' on '{needed.name}' cannot be found. ")
        resource.needs.remove(needed.name)

    def move_group(self, group: Group, node: str, refusal: Callable[[str], str]) -> None:
        """Move a group to another node, which takes a while; raises ProviderFault with the ``refusal`` that a node gives, if any."""
        if node not in self.nodes:
            raise win32(5042, f"The cluster node '{node}' was not found. ")
        self._settled(group)
        if not self.node_is_up(node):
            raise win32(5050, f"The cluster node '{node}' is not available. ")
        if reason := refusal(node):
            raise win32(5018, f"Group '{group.name}' cannot run on node '{node}': {reason}. ")
        if node == group.owner:
            return
        group.moving = True
        self.timeline.later(lambda: self._finish_move(group, node))

    def dependents(self, resource: Resource) -> Iterator[Resource]:
        """Yield the resources that depend directly on this one."""
        return (other for other in list(self.resources.values()) if resource.name in other.needs)

    def canonical(self) -> dict[str, object]:
        """Return its state without what chance has chosen."""
        return {
            "groups": {
                name: {"type": group.kind, "owner": group.owner, "state": self.group_state(group)}
                for name, group in sorted(self.groups.items())
            },
            "resources": {
                name: {
                    "type": resource.type,
                    "group": resource.group,
                    "state": resource.state,
                    "needs": sorted(resource.needs),
                    "shared_volume": resource.shared_volume,
                }
                for name, resource in sorted(self.resources.items())
            },
        }

    def _finish_online(self, resource: Resource) -> None:
        if resource.state != ONLINE_PENDING:
            return
        blocked = any(self.resources[name].state != ONLINE for name in resource.needs)
        failed = blocked or bool(self.may_start(self, resource, self.owner(resource)))
        self._set(resource, FAILED if failed else ONLINE)

    def _finish_move(self, group: Group, node: str) -> None:
        group.moving, group.owner = False, node
        for resource in self.members(group):
            if resource.state == ONLINE:
                self._set(resource, FAILED if self.may_start(self, resource, node) else ONLINE)
            self.started(self, resource, resource.state == ONLINE)

    def _set(self, resource: Resource, state: int) -> None:
        resource.state = state
        self.started(self, resource, state == ONLINE)

    def _forget(self, resource: Resource) -> None:
        for other in self.dependents(resource):
            other.needs.remove(resource.name)
        del self.resources[resource.name]

    def _tree(self, resource: Resource) -> list[Resource]:
        found: dict[str, Resource] = {}
        waiting = [resource]
        while waiting:
            member = waiting.pop()
            if member.name not in found:
                found[member.name] = member
                waiting += [*self.dependents(member), *(self.resources[name] for name in member.needs)]
        return list(found.values())

    def _needs_of(self, resource: Resource) -> Iterable[Resource]:
        for name in resource.needs:
            yield self.resources[name]
            yield from self._needs_of(self.resources[name])

    def _settled(self, group: Group) -> None:
        if group.moving:
            raise win32(5908, f"The group '{group.name}' is unable to accept the request since it is moving to another node. ")

    @staticmethod
    def _not_core(core: bool, name: str) -> None:
        if core:
            raise win32(5026, f"'{name}' is a core resource or group of the cluster and cannot be deleted or moved. ")
