# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that make a LUN a pass-through disk of a VM, and those that take it from the VM again.

A VM that a failover cluster keeps needs its disks in the cluster too: `cluster/attach.py`.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.changing import VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import attach as cluster_attach
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.disk_steps import DetachDisk, TakeOffline
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName


def plan_attach(nodes: Nodes, vm: VirtualMachine, wish: DiskWish) -> Plan:
    """Steps that make the LUN a disk of the VM as wished; none when it is one already.

    Raises `InvalidInput` for a wish that Hyper-V does not know, `Refused` for one that this VM, or its host, cannot meet as it is.
    """
    attach_rules.refuse_unknown(wish)
    if vm.cluster:
        return cluster_attach.plan_attach(nodes, vm, wish)
    change = VmChange(nodes, vm, wish.timeout)
    observed = change.observe()
    disk = observed.disk_of(wish.name)
    if disk is not None:
        attach_rules.refuse_elsewhere(observed, disk, wish)
        return Plan()
    attach_rules.refuse_unless_givable(observed, wish.name)
    return Plan([TakeOffline(nodes, observed.vm.host, wish.name)]) + attach_rules.attach_steps(change, observed, wish)


def plan_detach(nodes: Nodes, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
    """Steps that take the LUN from the VM; none when the VM does not have it. On the host it stays offline.

    A controller that becomes empty stays: nobody knows whose it is.
    """
    if vm.cluster:
        return cluster_attach.plan_detach(nodes, vm, name, timeout)
    change = VmChange(nodes, vm, timeout)
    observed = change.observe()
    disk = observed.disk_of(name)
    if disk is None:
        observed.refuse_if_hidden(name)
        return Plan()
    observed.refuse_unless_changeable()
    return Plan([DetachDisk(change, name, disk)])
