# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A highly available VM and one LUN, as their cluster tells of them now: what every step on the LUN's way looks at before it acts.

The way leads through a temporary group, because a disk resource changes its state without the VM only while it is not in the VM's group.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import changing
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.changing import VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import state
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import OFFLINE, ClusterResource
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.state import (
    OTHER_GROUP,
    ClusterState,
    Group,
    Role,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient

_GROUP_SUFFIX = " Group"
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class Names:
    """How the cluster's objects for a VM's LUN are called, so that a later run knows them again."""

    vm: str
    lun: ScsiName
    mount_point: str = ""

    @property
    def resource(self) -> str:
        """A disk resource that this collection makes."""
        return f"{self._prefix}MP {self.mount_point}" if self.mount_point else f"{self._prefix}LUN {self.lun.naa}"

    def is_own(self, resource: str) -> bool:
        """Whether a disk resource was made for this VM by this collection, whatever the mount point was."""
        return resource.lower().startswith((f"{self._prefix}MP ".lower(), f"{self._prefix}LUN ".lower()))

    def is_temporary(self, group: str) -> bool:
        """Whether a group is a temporary one of this VM."""
        return self.is_own(group) and group.lower().endswith(_GROUP_SUFFIX.lower())

    def temporary_for(self, resource: str) -> str:
        """The temporary group for a disk resource: named after it if it is our own, else after VM and LUN.

        So who finds the group knows without any mount point which LUN a killed run has begun with.
        """
        return (resource if self.is_own(resource) else f"{self._prefix}LUN {self.lun.naa}") + _GROUP_SUFFIX

    @property
    def _prefix(self) -> str:
        return f"Disk VM {self.vm} "


@dataclass(frozen=True)
class Observed:
    """What was seen at one moment."""

    vm: VirtualMachine
    """Which VM; what its cluster tells of it is `role`."""
    names: Names
    state: ClusterState
    role: Role
    disk: HostDisk | None
    """The LUN as the node sees it that has the VM."""
    attached: bool
    """The VM has the LUN as a disk."""

    @property
    def resource(self) -> ClusterResource | None:
        """The disk resource that is the LUN."""
        return self.state.disk_resource(self.names.lun, self.disk)

    @property
    def resource_name(self) -> str:
        """The name of the LUN's disk resource, also before there is one."""
        return self.resource.name if self.resource else self.names.resource

    @property
    def in_role(self) -> bool:
        """Whether the disk resource is in the VM's group."""
        return self.resource is not None and self.resource.group.lower() == self.role.group.name.lower()

    @property
    def in_temporary(self) -> bool:
        """Whether the disk resource is in a temporary group of this VM."""
        return self.resource is not None and self.names.is_temporary(self.resource.group)

    @property
    def on_its_way(self) -> bool:
        """Whether the disk resource was made for this VM and has got no further than to Available Storage."""
        storage = self.state.available_storage()
        own = self.resource is not None and self.names.is_own(self.resource.name)
        return own and storage is not None and self.resource is not None and self.resource.group.lower() == storage.name.lower()

    @property
    def temporary_name(self) -> str:
        """The name of the temporary group, also before there is one."""
        if self.resource and self.in_temporary:
            return self.resource.group
        return self.names.temporary_for(self.resource_name)

    @property
    def temporary(self) -> Group | None:
        """The temporary group."""
        return self.state.group(self.temporary_name)

    @property
    def online(self) -> bool:
        """Whether there is a disk resource in service."""
        return self.resource is not None and self.resource.online

    @property
    def offline(self) -> bool:
        """Whether there is a disk resource that was taken out of service, so that the cluster does not start it by itself."""
        return self.resource is not None and self.resource.state == OFFLINE

    @property
    def stopped(self) -> bool:
        """Whether there is a disk resource out of service, as it has to be to change its node."""
        return self.resource is not None and self.resource.stopped

    @property
    def needed(self) -> bool:
        """Whether the VM's resource depends on the disk resource, by its own word."""
        return self.resource is not None and self.state.needed_by(self.resource, self.role.machine)

    @property
    def settled(self) -> bool:
        """Whether the disk is in its place: the VM has it, and its resource is in the VM's group."""
        return self.attached and self.in_role

    @property
    def known_to_cluster(self) -> bool:
        """Whether the cluster's configuration of the VM surely knows its disks: nothing is under way, the LUN in its place or out."""
        return self.attached is self.in_role and not self.leftovers and self.temporary is None

    @property
    def leftovers(self) -> list[Group]:
        """Temporary groups of this VM without a disk in them."""
        found = (group for group in self.state.groups.values() if group.type == OTHER_GROUP and self.names.is_temporary(group.name))
        return [group for group in found if all(self.is_blank_of(group, member) for member in self.state.members(group.name))]

    def with_state(self, now: ClusterState) -> Observed:
        """The same with what the cluster tells now. Raises `Refused` when the VM is no whole role any more."""
        return replace(self, state=now, role=now.role(self.vm.id, self.vm.name))

    @staticmethod
    def is_blank_of(group: Group, member: ClusterResource) -> bool:
        """Whether a member of a temporary group is the disk resource that a run made for it but did not come to give a disk."""
        return member.blank and (member.name + _GROUP_SUFFIX).lower() == group.name.lower()


@dataclass(frozen=True)
class Unharmed:
    """How a plan found the VM's own resources, and what no step may do to them: stop one that was online, or move one elsewhere."""

    role: Role
    online: frozenset[str]
    """Names of those that were online."""

    @staticmethod
    def of(seen: Observed) -> Unharmed:
        """As they are now."""
        own = (seen.state.resource(name) for name in seen.role.own)
        return Unharmed(seen.role, frozenset(resource.name for resource in own if resource and resource.online))

    def harm(self, now: ClusterState) -> str:
        """What has become of them; nothing when all is well."""
        return next((harm for harm in (self._harm(name, now.resource(name)) for name in self.role.own) if harm), "")

    def _harm(self, name: str, now: ClusterResource | None) -> str:
        if now is None:
            return f"resource '{name}' is gone"
        if now.group.lower() != self.role.group.name.lower():
            return f"resource '{name}' is in group '{now.group}', not in '{self.role.group.name}'"
        return f"resource '{name}' is {now.condition}, and was online" if name in self.online and not now.online else ""


@dataclass(frozen=True)
class Patience:
    """How long, in seconds, and how it is waited for the cluster."""

    timeout: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until_idle(self, seen: Observed, client: CimClient, cluster: str) -> Observed:
        """Look until nothing of the VM or LUN is pending. Raises `TimedOut`."""
        deadline, pause = self.clock() + self.timeout, _FIRST_PAUSE
        while _busy(seen):
            if self.clock() >= deadline:
                raise TimedOut(
                    f"{_busy(seen)} of cluster {cluster} is still pending after {self.timeout:g} s: "
                    "wait until it has come to rest, or see in Failover Cluster Manager what holds it up, then run this task again."
                )
            self.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            seen = seen.with_state(state.reread(client, seen.state))
        return seen


def observe(nodes: Nodes, vm: VirtualMachine, names: Names, patience: Patience) -> ClusteredVm:
    """The VM, the LUN and their cluster now, once nothing of them is pending: what a plan is made from.

    The named node tells which one has the VM, and that one the rest. Raises `Refused` when the VM is no whole role of the cluster, or one
    that was left in a temporary group, its node is down or shows the LUN as several disks, and `TimedOut`.
    """
    named = nodes.client(nodes.entry.id)
    cluster = state.read(named, nodes.resources)
    first = Observed(vm, names, cluster, cluster.role(vm.id, vm.name), disk=None, attached=False)
    idle = patience.until_idle(first, named, nodes.cluster)
    _refuse_if_left(idle)
    node = idle.role.group.node
    disk = disks.find(nodes.client(node), names.lun, node)
    change = VmChange(nodes, replace(vm, host=node), patience.timeout, patience.clock, patience.sleep)
    planned = change.observe()
    own = replace(idle.state, needs=state.needs(nodes.client(node), idle.role.own))
    seen = replace(idle, state=own, disk=disk, attached=planned.disk_of(names.lun) is not None)
    return ClusteredVm(nodes, node, patience, change, planned, seen, Unharmed.of(seen), seen)


def _refuse_if_left(seen: Observed) -> None:
    if seen.names.is_temporary(seen.role.group.name):
        raise Refused(
            f"The resources of VM {seen.vm.name} itself are in the temporary group '{seen.role.group.name}', where a run left them: move "
            "them to a group of their own in Failover Cluster Manager, then run this task again."
        )


@dataclass
class ClusteredVm:
    """The VM, the LUN and their cluster while they are changed."""

    nodes: Nodes
    node: str
    """`Node.id` of the node that had the VM when the plan was made; every change goes to it."""
    patience: Patience
    change: VmChange
    planned: changing.Observed
    """The VM when the plan was made."""
    seen: Observed
    """What was observed last."""
    unharmed: Unharmed
    """The VM's own resources when the plan was made."""
    start: Observed
    """What was observed when the plan was made."""

    @property
    def vm(self) -> VirtualMachine:
        """The VM."""
        return self.seen.vm

    @property
    def names(self) -> Names:
        """How the cluster's objects are called."""
        return self.seen.names

    @property
    def timeout(self) -> float:
        """Seconds that a change of the cluster may take."""
        return self.patience.timeout

    @property
    def client(self) -> CimClient:
        """The session with that node."""
        return self.nodes.client(self.node)

    @property
    def name(self) -> ScsiName:
        """The LUN."""
        return self.names.lun

    def update(self) -> Observed:
        """Look at groups and resources, which is what the cluster's methods change."""
        self.seen = self.seen.with_state(state.reread(self.client, self.seen.state))
        return self.seen

    def update_needs(self) -> Observed:
        """Look at the dependencies between resources, and ask the VM's own what they depend on."""
        own = state.needs(self.client, self.unharmed.role.own)
        self.seen = self.seen.with_state(replace(self.seen.state, links=state.links(self.client), needs=own))
        return self.seen

    def refuse_if_harmed(self) -> None:
        """Raise `Refused` when one of the VM's own resources was stopped or moved since the plan was made, by what was seen last."""
        harm = self.unharmed.harm(self.seen.state)
        if harm:
            raise Refused(
                f"VM {self.vm.name} is not as it was in cluster {self.nodes.cluster}: {harm}, so that its disk is left alone; "
                "see in Failover Cluster Manager that the VM's resources are online in its group, then run this task again."
            )

    def refuse_if_another(self) -> None:
        """Raise `Refused` when the cluster tells of the LUN's disk resource that it is another LUN."""
        resource = self.seen.resource
        if resource is not None:
            state.refuse_copy(self.name, resource, state.luns(self.client).get(resource.name.lower(), self.name))

    def look_at_disk(self) -> HostDisk | None:
        """Look at the LUN as the node sees it. Raises `Refused` when it sees it as several disks."""
        self.seen = replace(self.seen, disk=disks.find(self.client, self.name, self.node))
        return self.seen.disk

    def note_attached(self, attached: bool) -> None:
        """Take over what a step has read of the VM's disks."""
        self.seen = replace(self.seen, attached=attached)

    def at_rest(self) -> Observed:
        """Wait until nothing of the VM or LUN is pending. Raises `TimedOut`, and `Refused` when the VM has another node by then."""
        self._rest()
        now = self.seen.role.group
        if now.node != self.node:
            raise Refused(
                f"VM {self.vm.name} moved from node {self.node} to node {now.node} of cluster {self.nodes.cluster} in the meantime: "
                "run this task again."
            )
        return self.seen

    def wait_for(self, reached: Callable[[Observed], bool], wanted: str) -> None:
        """Look until the cluster has come to rest. Raises `RemoteError` when that is not in the wanted state, and `TimedOut`."""
        self._rest()
        if not reached(self.seen):
            resource = self.seen.resource
            is_now = (
                f"resource '{resource.name}' is {resource.condition} in group '{resource.group}'" if resource else "there is no resource"
            )
            raise RemoteError(
                f"Cluster {self.nodes.cluster} took the request, but {wanted} did not come about: {is_now}, so look at its cluster events."
            )

    def _rest(self) -> None:
        self.seen = self.patience.until_idle(self.update(), self.client, self.nodes.cluster)


def _busy(seen: Observed) -> str:
    """What is pending, or nothing."""
    resource, groups = seen.resource, (seen.role.group, seen.temporary)
    if resource and resource.pending:
        return f"Resource '{resource.name}'"
    return next((f"Group '{group.name}'" for group in groups if group and group.pending), "")
