# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VM and its host have to be like for a LUN to become a disk, and the steps on the VM itself, in a cluster or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import hardware, host_lun, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.changing import Observed, VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.disk_steps import AddController, AttachDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import NOT_SHARED, PHYSICAL, POWERED_ON, VirtualDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks

_KNOWN: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "mode": (PHYSICAL,),
        "disk_mode": (),
        "sharing": (NOT_SHARED,),
        "datastore": (),
        "controller_type": (hardware.SCSI,),
        "fc_method": (),
    }
)
"""Option → the one value that says what Hyper-V does anyway, if there is one."""


def attach_steps(change: VmChange, observed: Observed, wish: DiskWish) -> Plan:
    """The steps on the VM itself: a controller where one is needed, and the disk."""
    *_ahead, place = places.choose_each(attach_rules.without(observed.vm, wish.leaving), wish.slots)
    controller = [] if place.controller else [AddController(change, place.bus)]
    return Plan([*controller, AttachDisk(change, wish.name, place)], warnings=_warnings(observed, wish.name))


def refuse_unknown(wish: DiskWish) -> None:
    """Raise `InvalidInput` for an option that means nothing on Hyper-V."""
    attach_rules.refuse_unknown(wish, _KNOWN, "a pass-through disk on Hyper-V")
    attach_rules.refuse_reservations(
        wish, "a pass-through disk on Hyper-V", "where guest clusters share a virtual disk (a VHD Set) that keeps them: leave it out"
    )


def refuse_elsewhere(observed: Observed, disk: VirtualDisk, wish: DiskWish) -> None:
    """Raise `Refused` when the LUN is attached in another place than the wished one: a disk in use is not moved."""
    attach_rules.refuse_change(observed.vm.name, wish.name, attach_rules.other_place(wish.slot, disk.bus, disk.unit, disk.label))


def refuse_unless_givable(observed: Observed, name: ScsiName) -> None:
    """Raise `Refused` when the VM takes no disk as it is, or its host, as far as it sees the LUN yet, uses it itself."""
    observed.refuse_if_hidden(name)
    observed.refuse_unless_changeable()
    disk = disks.find(observed.client, name, observed.host_name)
    if disk is not None:
        host_lun.refuse_if_mounted(observed.client, disk, observed.host_name, host_lun.GIVEN_TO_A_VM)


def _warnings(observed: Observed, name: ScsiName) -> list[str]:
    """A running guest whose integration services are silent may lack the driver of the SCSI controller; Hyper-V itself does not mind."""
    if observed.vm.power != POWERED_ON or observed.settings.integrated:
        return []
    warning = (
        f"The integration services of VM {observed.vm.name} do not answer, so that nobody can tell whether its guest finds LUN {name}: "
        "look for the disk there, or install or start them."
    )
    return [warning]
