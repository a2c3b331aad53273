# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that make a LUN a disk of a highly available VM which follows it from node to node, and those that take it away again.

A plan is a list of steps, each with the question that tells from what was observed whether it is needed. So a run that was killed
anywhere is finished by the next one: what is done is not done again. Whether the cluster's configuration of the VM was refreshed cannot
be read for sure; it was exactly when the disk resource is in the VM's group, or in none of the VM's groups and no temporary group is left.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.first_look import LookAtPool, LookAtVm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.state import AVAILABLE_STORAGE
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.steps import (
    AddDependency,
    BringOnline,
    CreateResource,
    CreateTemporaryGroup,
    DeleteResource,
    DeleteTemporaryGroups,
    InStep,
    MoveTemporaryGroup,
    MoveToRole,
    MoveToTemporary,
    RefreshConfiguration,
    RemoveDependency,
    ReturnToAvailableStorage,
    ServeAgain,
    TakeOffline,
    refuse_if_taken,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import (
    ClusteredVm,
    Names,
    Observed,
    Patience,
    observe,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.disk_steps import DetachDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.disk_steps import TakeOffline as TakeOfflineOnHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.initialize import (
    InitializeDisk,
    MakeWritable,
    refuse_raw_unless,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName


def plan_attach(nodes: Nodes, vm: VirtualMachine, wish: DiskWish) -> Plan:
    """Steps that make the LUN a disk of the VM and of the cluster; none when it is both already.

    Raises `Refused` when the LUN is another's or raw without the user's word, when the VM's node is down or the VM no whole role;
    `TimedOut` when the VM's group does not come to rest.
    """
    there = observe(nodes, vm, _names(vm, wish), Patience(wish.timeout))
    on_vm = _attach_steps(there, wish)
    if not there.seen.settled:
        _refuse_if_elsewhere(there)
        refuse_raw_unless(wish.initialize, there)
        refuse_if_taken(there.seen)
    steps: list[Step] = [
        LookAtVm(there),
        MakeWritable(there, wish.initialize),
        InitializeDisk(there, wish.initialize),
        TakeOfflineOnHost(nodes, there.node, wish.name, writes_first=wish.initialize),
        LookAtPool(there),
        CreateTemporaryGroup(there, lambda now: not now.settled and now.temporary is None),
        MoveTemporaryGroup(there, _is_on_another_node),
        RemoveDependency(there, lambda now: now.in_role and not now.attached and now.needed),
        CreateResource(there, lambda now: now.resource is None),
        TakeOffline(there, _has_to_change_its_node),
        MoveToTemporary(there, lambda now: not now.in_temporary and not now.settled),
        BringOnline(there, lambda now: not now.attached and not now.online),
        *on_vm.steps,
        TakeOffline(there, lambda now: not now.in_role and not now.offline),
        RefreshConfiguration(there, lambda now: not now.in_role),
        BringOnline(there, lambda now: not now.online and not (now.in_role and now.needed)),
        MoveToRole(there, lambda now: not now.in_role),
        AddDependency(there, lambda now: not now.needed),
        DeleteTemporaryGroups(there, lambda now: now.temporary is not None or not now.settled),
    ]
    return Plan(steps, on_vm.warnings)


def plan_detach(nodes: Nodes, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
    """Steps that take the LUN from the VM and, unless somebody else made it one, from the disks of the cluster.

    Also ends what a killed run began with any LUN of this VM. Raises what `plan_attach` raises.
    """
    there = observe(nodes, vm, Names(vm.name, name), Patience(timeout))
    detach = _detach_steps(there)
    return Plan(
        [
            LookAtVm(there),
            CreateTemporaryGroup(there, lambda now: now.temporary is None and (now.in_role or now.attached)),
            MoveTemporaryGroup(there, _is_on_another_node),
            RemoveDependency(there, lambda now: now.needed),
            MoveToTemporary(there, lambda now: now.in_role),
            *detach,
            TakeOffline(there, lambda now: _is_with_vm(now) and not now.offline),
            RefreshConfiguration(there, lambda now: now.attached or _is_with_vm(now) or now.temporary is not None),
            DeleteResource(there, lambda now: _is_with_vm(now) and _is_own(now)),
            ReturnToAvailableStorage(there, lambda now: _is_with_vm(now) and not _is_own(now)),
            ServeAgain(there, _has_to_serve_again),
            DeleteTemporaryGroups(there, lambda now: bool(now.leftovers) or now.attached or _is_with_vm(now), all_of_vm=True),
        ]
    )


def _names(vm: VirtualMachine, wish: DiskWish) -> Names:
    mount_point = wish.mount_point.strip()
    if not mount_point.isprintable():
        raise InvalidInput(f"Mount point {mount_point!r} holds a character that no name in a cluster can have: remove it.")
    return Names(vm.name, wish.name, mount_point)


def _attach_steps(there: ClusteredVm, wish: DiskWish) -> Plan:
    """The steps on the VM itself, none when it has the LUN. Raises `Refused` when it has it elsewhere, or takes none."""
    disk = there.planned.disk_of(wish.name)
    if disk is not None:
        attach_rules.refuse_elsewhere(there.planned, disk, wish)
        return Plan()
    attach_rules.refuse_unless_givable(there.planned, wish.name)
    plan = attach_rules.attach_steps(there.change, there.planned, wish)
    *before, attach = plan.steps
    return Plan([*before, InStep(there, attach, attaches=True)], plan.warnings)


def _detach_steps(there: ClusteredVm) -> list[Step]:
    """The step on the VM itself, none when it does not have the LUN."""
    disk = there.planned.disk_of(there.name)
    if disk is None:
        there.planned.refuse_if_hidden(there.name)
        return []
    there.planned.refuse_unless_changeable()
    return [InStep(there, DetachDisk(there.change, there.name, disk), attaches=False)]


def _is_on_another_node(now: Observed) -> bool:
    return now.temporary is not None and now.temporary.node != now.role.group.node


def _has_to_change_its_node(now: Observed) -> bool:
    """Whether the disk resource is in a group of another node, from where it moves only when it is offline."""
    elsewhere = now.resource is not None and not now.in_role and not now.in_temporary
    return elsewhere and not now.offline and now.resource is not None and now.resource.node != now.role.group.node


def _is_with_vm(now: Observed) -> bool:
    return now.in_role or now.in_temporary or now.on_its_way


def _is_own(now: Observed) -> bool:
    return now.names.is_own(now.resource_name)


def _has_to_serve_again(now: Observed) -> bool:
    """Whether a disk resource that somebody else has made is not in service in Available Storage, as it was before."""
    if now.resource is None or _is_own(now):
        return False
    return _is_with_vm(now) or (now.temporary is not None and not now.online)


def _refuse_if_elsewhere(there: ClusteredVm) -> None:
    """Raise `Refused` when the LUN is a disk of the cluster for something else than this VM."""
    use = _use_elsewhere(there.seen)
    if use:
        raise Refused(
            f"LUN {there.name} is {use} in cluster {there.nodes.cluster} and will not be given to VM {there.vm.name}: name another LUN, or "
            "take it out of that use first."
        )


def _use_elsewhere(now: Observed) -> str:
    """What the cluster keeps the LUN for besides this VM; empty when for nothing, or when it is a disk that nothing uses."""
    resource = None if now.in_role or now.in_temporary else now.resource
    if resource is None:
        return ""
    group = now.state.group(resource.group)
    uses = {
        f"the Cluster Shared Volume '{resource.name}'": resource.shared_volume,
        f"the cluster's own disk '{resource.name}' (its witness)": resource.core,
        f"resource '{resource.name}' of group '{resource.group}'": group is None or group.type != AVAILABLE_STORAGE,
    }
    return next((use for use, applies in uses.items() if applies), "")
