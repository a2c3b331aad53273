# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN that several VMs have by one mapping file: how it has to be shared alike, and what the nodes of a guest cluster need besides.

Facts are of VMware's "Setup for Windows Server Failover Clustering" (vSphere 7.0 and 8.0): nodes on several hosts share a LUN by raw device
mappings in physical mode, which pass the cluster's persistent reservations on to the array, on SCSI controllers with physical bus sharing;
the second node gets the mapping file of the first, at the same place; storage controllers are not added to a node that runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Overtaken, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.attach_rules import place_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import mapping_file, rdm, snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.changing import Observed, VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    NOT_SHARED,
    POWERED_OFF,
    Slot,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Guard
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession

Sharer = tuple[VirtualMachine, VirtualDisk]
"""A VM that has the LUN, and its disk."""


@dataclass
class StillShared(Guard):
    """Make sure, right before a LUN is shared, that the same VMs share it as when the plan was made, and that this one still can."""

    vm: VmChange
    name: ScsiName
    sharing: str
    place: Place
    sharers: Sequence[Sharer]

    def __post_init__(self) -> None:
        self.title = f"share LUN {self.name} with VM {self.vm.name}"

    def look(self) -> None:
        now = self.vm.observe()
        others = mapping_file.of_others(self.vm.session, now, self.name)
        refuse_unlike(self.name, others, self.sharing)
        if _files(others) != _files(self.sharers):
            raise Overtaken(f"The VMs that share LUN {self.name} were changed by somebody else in the meantime: run this task again.")
        if self.place.shared:
            refuse_unless_possible(self.vm.session, now, self.place)


def slot(wished: Slot, sharers: Sequence[Sharer]) -> Slot:
    """The place of the first node, unless another one is asked for."""
    same = next((Slot(disk.bus, disk.unit) for _vm, disk in sharers), wished)
    return same if wished.unit is None and wished.bus in (None, same.bus) else wished


def refuse_unlike(name: ScsiName, sharers: Sequence[Sharer], sharing: str) -> None:
    """Raise `Refused` when a VM that has the LUN does not share it in this way, or not by the same mapping file as the others."""
    for vm, disk in sharers:
        has = disk.sharing or NOT_SHARED
        if has != sharing:
            by_bus = {has, sharing} & set(rdm.BY_BUS.values())
            way_out = f"detach it there and attach it again with sharing {sharing}" if by_bus else f"set sharing to {sharing} there first"
            raise Refused(f"VM {vm.name} has LUN {name} with sharing {has}: {way_out}.")
    files = sorted(_files(sharers))
    if len(files) > 1:
        raise Refused(
            f"LUN {name} is mapped by several files ({', '.join(files)}), but is shared by one only: detach it from all VMs but one."
        )


def refuse_unless_possible(session: VimSession, observed: Observed, place: Place) -> None:
    """Raise `Refused` for a VM that cannot share a bus as it is."""
    vm = observed.vm
    if place.controller is None and vm.power != POWERED_OFF:
        raise Refused(
            f"VM {vm.name} runs and needs another SCSI controller, with physical bus sharing, at bus {place.bus}: power it off, "
            "because VMware does not support adding one to a running node of a guest cluster, then run this task again."
        )
    snapshots.refuse_bus_sharing(session, vm)


def warnings(observed: Observed, name: ScsiName, place: Place, sharers: Sequence[Sharer]) -> list[str]:
    """What VMware asks of the nodes of a guest cluster, and these do not have."""
    told = []
    for vm, disk in sharers:
        is_at = place_name(disk.bus, disk.unit)
        if is_at != str(place):
            told.append(
                f"LUN {name} is {is_at} of VM {vm.name}, but {place} of VM {observed.vm.name}: "
                "VMware asks for the same place on every node of a guest cluster."
            )
        if vm.host == observed.vm.host:
            told.append(
                f"VMs {vm.name} and {observed.vm.name}, which share LUN {name}, are on the same host: VMware asks for a host of its own "
                "for every node of a guest cluster with physical bus sharing, by an anti-affinity rule."
            )
    return told


def _files(sharers: Sequence[Sharer]) -> set[str]:
    return {disk.path for _vm, disk in sharers}
