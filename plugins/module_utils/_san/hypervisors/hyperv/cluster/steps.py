# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changes of a cluster on the way of a LUN into a highly available VM and back, one step each.

When a step is needed is told by the plan, as a question about what was observed. Each step looks anew before it acts, waits until nothing
is pending, and reads back what became of it, because the cluster's methods return nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import calls, keeping
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.keeping import quoted
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import ClusterResource, resource_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.state import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import ClusteredVm, Observed
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step

Question = Callable[[Observed], bool]


@dataclass
class ClusterStep(Step):
    """A change of the cluster for a VM's LUN."""

    there: ClusteredVm
    needed: Question
    """Whether what was observed lacks this step."""

    def done(self) -> bool:
        return not self.needed(self.there.seen)

    def _resource(self) -> ClusterResource:
        """The LUN's disk resource, which has to be there by now. Raises `Refused`."""
        found = self.there.seen.resource
        if found is None:
            raise Refused(
                f"LUN {self.there.name} is no disk of cluster {self.there.nodes.cluster} any more, because somebody else removed it in the "
                "meantime: run this task again."
            )
        return found


@dataclass
class CreateTemporaryGroup(ClusterStep):
    """Make the group in which the disk resource changes without the VM."""

    def __post_init__(self) -> None:
        self.title = f"create temporary group '{self.there.seen.temporary_name}'"

    def do(self) -> None:
        now = self.there.at_rest()
        if now.temporary is None:
            calls.create_group(self.there.client, now.temporary_name)

    def verify(self) -> None:
        self.there.wait_for(lambda now: now.temporary is not None, f"group '{self.there.seen.temporary_name}'")

    def undo(self) -> None:
        now = self.there.update()
        if now.temporary:
            delete_group(self.there, now.temporary)


@dataclass
class MoveTemporaryGroup(ClusterStep):
    """Give a temporary group that an earlier run left to the node that has the VM now."""

    def __post_init__(self) -> None:
        self.title = f"move temporary group '{self.there.seen.temporary_name}' to node {self.there.node}"

    def do(self) -> None:
        now = self.there.at_rest()
        calls.move_group(self.there.client, now.temporary_name, self.there.node, self.there.timeout)

    def verify(self) -> None:
        self.there.wait_for(
            lambda now: now.temporary is not None and now.temporary.node == self.there.node,
            f"moving group '{self.there.seen.temporary_name}' to node {self.there.node}",
        )


@dataclass
class CreateResource(ClusterStep):
    """Make the LUN a disk of the cluster, under a name that tells what it is for.

    A disk that the cluster offers to take is added, which puts it into Available Storage and into service, maybe on another node. One that
    it does not offer, or that the VM has already, is made in the temporary group and stays offline.
    """

    def __post_init__(self) -> None:
        self.title = f"create disk resource '{self.there.names.resource}' for LUN {self.there.name}"

    def do(self) -> None:
        now = self.there.at_rest()
        disk, name = now.disk, self.there.names.resource
        if disk is None:
            raise Refused(f"Node {self.there.node} does not see LUN {self.there.name} any more: check zoning and the array's mapping.")
        refuse_if_taken(now)
        blank = now.state.resource(name)
        if not now.attached and blank is None and calls.add_available_disk(self.there.client, name, disk):
            return
        if blank is None:
            calls.create_disk_resource(self.there.client, now.temporary_name, name)
        calls.set_disk(self.there.client, name, disk)

    def verify(self) -> None:
        self.there.wait_for(lambda now: now.in_temporary or now.on_its_way, f"disk resource '{self.there.names.resource}'")
        self.there.refuse_if_another()

    def undo(self) -> None:
        now = self.there.update()
        made = now.state.resource(self.there.names.resource)
        if made and (made.group.lower() == now.temporary_name.lower() or now.on_its_way):
            keeping.take_offline(self.there, made)
            calls.delete_resource(self.there.client, made.name)

    def after(self) -> Mapping[str, Any]:
        return {"cluster_disk": self.there.names.resource}

    def before(self) -> Mapping[str, Any]:
        return {"cluster_disk": None}


@dataclass
class _MoveResource(ClusterStep):
    """Put the disk resource into another group."""

    _origin: str = field(default="", init=False)

    def _target(self, now: Observed) -> str:
        raise NotImplementedError

    def do(self) -> None:
        self.there.at_rest()
        now = self.there.update_needs()
        resource = self._resource()
        self._origin = resource.group
        keeping.move(self.there, resource, self._target(now))

    def verify(self) -> None:
        target = self._target(self.there.seen)
        self.there.wait_for(lambda now: _is_in(now, target), f"moving resource '{self.there.seen.resource_name}' to group '{target}'")
        self.there.refuse_if_harmed()

    def undo(self) -> None:
        self.there.update()
        now = self.there.update_needs()
        if now.resource and self._origin and not _is_in(now, self._origin):
            keeping.move(self.there, now.resource, self._origin)
            self.there.update()
            self.there.refuse_if_harmed()

    def before(self) -> Mapping[str, Any]:
        resource = self.there.seen.resource
        return {"group": resource.group if resource else None}

    def after(self) -> Mapping[str, Any]:
        return {"group": self._target(self.there.seen)}


@dataclass
class MoveToTemporary(_MoveResource):
    """Put the disk resource into the temporary group."""

    def __post_init__(self) -> None:
        seen = self.there.seen
        self.title = f"move resource '{seen.resource_name}' to group '{seen.temporary_name}'"

    def _target(self, now: Observed) -> str:
        return now.temporary_name


@dataclass
class MoveToRole(_MoveResource):
    """Put the disk resource into the VM's group."""

    def __post_init__(self) -> None:
        seen = self.there.seen
        self.title = f"move resource '{seen.resource_name}' to group '{seen.role.group.name}' of VM {self.there.vm.name}"

    def _target(self, now: Observed) -> str:
        return now.role.group.name


@dataclass
class ReturnToAvailableStorage(_MoveResource):
    """Give a disk resource that somebody else has made back to those that nothing uses; from here on the way back leads forward."""

    final = True

    def __post_init__(self) -> None:
        self.title = f"return resource '{self.there.seen.resource_name}' to {self._target(self.there.seen)}"

    def _target(self, now: Observed) -> str:
        group = now.state.available_storage()
        if group is None:
            raise Refused(f"Cluster {self.there.nodes.cluster} has no group for '{now.resource_name}' to return to: look at its health.")
        return group.name


@dataclass
class BringOnline(ClusterStep):
    """Put the disk resource into service on the node that owns its group."""

    def __post_init__(self) -> None:
        self.title = f"bring resource '{self.there.seen.resource_name}' online"

    def do(self) -> None:
        self.there.at_rest()
        calls.bring_online(self.there.client, self._resource().name, self.there.timeout)

    def verify(self) -> None:
        self.there.wait_for(lambda now: now.online, f"bringing resource '{self.there.seen.resource_name}' online")

    def undo(self) -> None:
        now = self.there.update()
        if now.resource:
            keeping.take_offline(self.there, now.resource)


@dataclass
class ServeAgain(BringOnline):
    """Put a disk resource into service that was given back."""

    final = True


@dataclass
class TakeOffline(ClusterStep):
    """Take the disk resource out of service; never while anything depends on it, which would be stopped too."""

    _was_online: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.title = f"take resource '{self.there.seen.resource_name}' offline"

    def do(self) -> None:
        self.there.at_rest()
        resource = self._resource()
        self._was_online = resource.online
        keeping.stop(self.there, resource)

    def verify(self) -> None:
        self.there.wait_for(lambda now: now.stopped, f"taking resource '{self.there.seen.resource_name}' offline")
        self.there.refuse_if_harmed()

    def undo(self) -> None:
        now = self.there.update()
        if now.resource and self._was_online and not now.online:
            calls.bring_online(self.there.client, now.resource.name, self.there.timeout)
            self.there.wait_for(lambda later: later.online, f"bringing resource '{now.resource.name}' online again")


@dataclass
class RefreshConfiguration(ClusterStep):
    """Let the cluster's configuration of the VM know the VM's disks. May be repeated.

    What it knows is read back where the cluster tells it. In what words is documented nowhere, so that all that counts is that there are
    some once the VM has a disk, and others than before once this run has changed the VM.
    """

    def __post_init__(self) -> None:
        self.title = f"refresh the cluster's configuration of VM {self.there.vm.name}"

    def do(self) -> None:
        now = self.there.at_rest()
        calls.refresh_configuration(self.there.client, now.role.configuration)

    def verify(self) -> None:
        now = self.there.at_rest()
        told = resource_of(self.there.client, now.role.configuration)
        if told is not None and told.vm_disks is not None and self._is_stale(told.vm_disks):
            raise RemoteError(
                f"Cluster {self.there.nodes.cluster} took the request, but its configuration of VM {self.there.vm.name} did not change "
                f"(VmPhysicalDisks is '{told.vm_disks}'): look at its cluster events."
            )

    def settled(self) -> bool:
        """What was not answered has to be asked again."""
        return False

    def _is_stale(self, told: str) -> bool:
        start, now = self.there.start, self.there.seen
        known = start.state.resource(start.role.configuration)
        same = known is not None and known.vm_disks == told
        return (now.attached and not told) or (same and start.known_to_cluster and start.attached is not now.attached)


@dataclass
class AddDependency(ClusterStep):
    """Let the VM start only when its disk is in service."""

    def __post_init__(self) -> None:
        seen = self.there.seen
        self.title = f"make resource '{seen.role.machine}' depend on '{seen.resource_name}'"

    def do(self) -> None:
        self.there.at_rest()
        now = self.there.update_needs()
        if not now.needed:
            calls.add_dependency(self.there.client, now.role.machine, self._resource().name)

    def verify(self) -> None:
        self.there.update_needs()
        self.there.wait_for(lambda now: now.needed, f"the dependency of '{self.there.seen.role.machine}'")

    def undo(self) -> None:
        self.there.update()
        now = self.there.update_needs()
        if now.resource and now.needed:
            calls.remove_dependency(self.there.client, now.role.machine, now.resource.name)


@dataclass
class RemoveDependency(ClusterStep):
    """Let the VM run without the disk resource."""

    def __post_init__(self) -> None:
        seen = self.there.seen
        self.title = f"make resource '{seen.role.machine}' independent of '{seen.resource_name}'"

    def do(self) -> None:
        self.there.at_rest()
        now = self.there.update_needs()
        if now.needed:
            calls.remove_dependency(self.there.client, now.role.machine, self._resource().name)

    def verify(self) -> None:
        self.there.update_needs()
        self.there.wait_for(lambda now: not now.needed, f"the independence of '{self.there.seen.role.machine}'")

    def undo(self) -> None:
        self.there.update()
        now = self.there.update_needs()
        if now.resource and not now.needed:
            calls.add_dependency(self.there.client, now.role.machine, now.resource.name)


@dataclass
class DeleteResource(ClusterStep):
    """Take the LUN out of the cluster; from here on the way back leads forward."""

    final = True

    def __post_init__(self) -> None:
        self.title = f"delete disk resource '{self.there.seen.resource_name}'"

    def do(self) -> None:
        self.there.at_rest()
        now = self.there.update_needs()
        resource = self._resource()
        keeping.refuse_if_bound(now, resource)
        calls.delete_resource(self.there.client, resource.name)

    def verify(self) -> None:
        self.there.wait_for(lambda now: now.resource is None, "the deletion of the disk resource")

    def before(self) -> Mapping[str, Any]:
        return {"cluster_disk": self.there.seen.resource_name}

    def after(self) -> Mapping[str, Any]:
        return {"cluster_disk": None}


@dataclass
class DeleteTemporaryGroups(ClusterStep):
    """Delete the temporary group, and whatever else of this kind killed runs left, each only when there is no disk in it."""

    all_of_vm: bool = False
    """Those for other LUNs of the VM too."""

    def __post_init__(self) -> None:
        self.title = f"delete temporary group '{self.there.seen.temporary_name}'"

    def do(self) -> None:
        self.there.at_rest()
        for group in self._left():
            delete_group(self.there, group)

    def verify(self) -> None:
        self.there.wait_for(lambda now: not self._left(), f"the deletion of group '{self.there.seen.temporary_name}'")

    def undo(self) -> None:
        """The way back of a disk that is in the VM's group leads through the temporary group."""
        now = self.there.update()
        if now.in_role and now.temporary is None:
            calls.create_group(self.there.client, now.temporary_name)
            self.there.update()

    def _left(self) -> list[Group]:
        seen = self.there.seen
        return [group for group in seen.leftovers if self.all_of_vm or group == seen.temporary]


@dataclass
class InStep(Step):
    """A change of the VM itself, made between changes of the cluster, which learns of it; and again when it is undone."""

    there: ClusteredVm
    inner: Step
    attaches: bool

    def __post_init__(self) -> None:
        self.title = self.inner.title

    def done(self) -> bool:
        return self.there.seen.attached is self.attaches

    def do(self) -> None:
        self.there.at_rest()
        self.inner.do()

    def verify(self) -> None:
        self.inner.verify()
        self.there.note_attached(self.attaches)

    def settled(self) -> bool:
        settled = self.inner.settled()
        if settled:
            self.there.note_attached(self.attaches)
        return settled

    def undo(self) -> None:
        self.inner.undo()
        self.there.note_attached(not self.attaches)
        calls.refresh_configuration(self.there.client, self.there.update().role.configuration)

    def before(self) -> Mapping[str, Any]:
        return self.inner.before()

    def after(self) -> Mapping[str, Any]:
        return self.inner.after()


def delete_group(there: ClusteredVm, group: Group) -> None:
    """Delete a temporary group that has no disk in it. Raises `Refused` when it has one."""
    members = there.seen.state.members(group.name)
    kept = [member.name for member in members if not Observed.is_blank_of(group, member)]
    if kept:
        raise Refused(f"The temporary group '{group.name}' still holds {quoted(kept)} and will not be deleted: run this task again.")
    for member in members:
        calls.delete_resource(there.client, member.name)
    calls.delete_group(there.client, group.name)


def refuse_if_taken(now: Observed) -> None:
    """Raise `Refused` when the name for the disk resource, or its temporary group, is another's."""
    blank = now.state.resource(now.names.resource)
    if blank and now.resource is None and not (blank.blank and blank.group.lower() == now.temporary_name.lower()):
        lun = now.state.luns.get(blank.name.lower())
        raise Refused(
            f"The cluster has a resource '{blank.name}' already, {f'which is LUN {lun}' if lun else f'of type {blank.type}'}, in group "
            f"'{blank.group}': name another mount point for LUN {now.names.lun}, or remove that resource."
        )
    strangers = [member.name for member in now.state.members(now.temporary_name) if member not in (blank, now.resource)]
    if strangers:
        raise Refused(
            f"The temporary group '{now.temporary_name}' holds {quoted(strangers)}, which is not LUN {now.names.lun}: "
            "finish what was begun with it first."
        )


def _is_in(now: Observed, group: str) -> bool:
    return now.resource is not None and now.resource.group.lower() == group.lower()
