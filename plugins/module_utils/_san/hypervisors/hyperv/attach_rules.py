# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VM and its host have to be like for a LUN to become a disk, and the steps on the VM itself, in a cluster or not."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import AttachWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import hardware, host_lun, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.changing import Machine, Observed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.disk_steps import AddController, AttachDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import POWERED_ON, VirtualDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks

_KNOWN: Mapping[str, str | None] = MappingProxyType(
    {"mode": hardware.PHYSICAL, "disk_mode": None, "sharing": "none", "datastore": None, "controller_type": hardware.SCSI}
)
"""Option → the one value that says what Hyper-V does anyway, if there is one."""


def attach_steps(machine: Machine, observed: Observed, wish: AttachWish) -> Plan:
    """The steps on the VM itself: a controller where one is needed, and the disk."""
    place = places.choose(observed.vm, wish.slot)
    controller = [] if place.controller else [AddController(machine, place.bus)]
    return Plan([*controller, AttachDisk(machine, wish.name, place)], warnings=_warnings(observed, wish.name))


def refuse_unknown(wish: AttachWish) -> None:
    """Raise `InvalidInput` for an option that means nothing on Hyper-V."""
    asked = {
        "mode": wish.mode,
        "disk_mode": wish.disk_mode,
        "sharing": wish.sharing,
        "datastore": wish.file_system,
        "controller_type": wish.controller_type,
    }
    for option, value in asked.items():
        if value is not None and value != _KNOWN[option]:
            instead = f"ask for {_KNOWN[option]}, or leave it out" if _KNOWN[option] else "leave it out"
            raise InvalidInput(f"{option} {value} does not exist for a pass-through disk on Hyper-V: {instead}.")


def refuse_elsewhere(observed: Observed, disk: VirtualDisk, wish: AttachWish) -> None:
    """Raise `Refused` when the LUN is attached in another place than the wished one: a disk in use is not moved."""
    bus = disk.bus if wish.slot.bus is None else wish.slot.bus
    unit = disk.unit if wish.slot.unit is None else wish.slot.unit
    wanted = hardware.label(hardware.SCSI, bus, unit)
    if wish.slot.bus is not None and disk.label != wanted:
        raise Refused(
            f"LUN {wish.name} is a disk of VM {observed.vm.name} already, as {disk.label}, not as {wanted}, which cannot be changed while "
            "it is attached: detach it (state=absent), then attach it again."
        )


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
