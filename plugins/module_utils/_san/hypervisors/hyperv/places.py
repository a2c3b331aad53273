# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where on a VM's virtual SCSI controllers a pass-through disk goes. Pure: nothing here talks to a host.

Limits are those of "Plan for Hyper-V scalability" in Microsoft's documentation: four SCSI controllers a VM, 64 disks a controller; DVD
drives sit in the same slots. A controller has no number of its own: it is counted in order of appearance, so that a new one is the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.attach_rules import refuse_unit_without_bus
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.hardware import SCSI, label
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    PASSTHROUGH,
    POWERED_OFF,
    Controller,
    Slot,
    VirtualDisk,
    VirtualMachine,
)

BUSES = range(4)
UNITS = range(64)


@dataclass(frozen=True)
class Place:
    """A free unit on a SCSI controller; `controller` is None where the controller has to be added."""

    bus: int
    unit: int
    controller: Controller | None

    def __str__(self) -> str:
        return label(SCSI, self.bus, self.unit)


def choose(vm: VirtualMachine, slot: Slot) -> Place:
    """The asked place, or the first free one, on a new controller where all that there are have no room.

    Raises `InvalidInput` for a place that cannot exist, and `Refused` when it, or everything, is taken, or when it needs a controller that
    Hyper-V does not add to the VM as it is.
    """
    refuse_unit_without_bus(slot)
    if slot.bus is None:
        return _anywhere(vm)
    return _on_bus(vm, slot.bus, slot.unit)


def choose_each(vm: VirtualMachine, slots: Sequence[Slot]) -> list[Place]:
    """A place for one disk after the other, as `choose` finds them, with those before it taken. Raises what `choose` raises."""
    return attach_rules.in_turn(vm.name, slots, vm, choose, _occupied)


def scsi_controllers(vm: VirtualMachine) -> Sequence[Controller]:
    """The controllers that pass-through disks go to, in the order of their numbers."""
    return sorted((controller for controller in vm.controllers if controller.type == SCSI), key=lambda controller: controller.bus)


def controller_on(vm: VirtualMachine, bus: int) -> Controller | None:
    """The SCSI controller with this number."""
    return next((controller for controller in scsi_controllers(vm) if controller.bus == bus), None)


def _occupied(vm: VirtualMachine, place: Place) -> VirtualMachine:
    """The VM with a disk at this place."""
    there = place.controller or Controller(f"new {place.bus}", SCSI, place.bus)
    disk = VirtualDisk(
        "", attach_rules.AHEAD, PASSTHROUGH, controller=there.key, bus=place.bus, unit=place.unit, device=attach_rules.NOT_YET
    )
    others = [controller for controller in vm.controllers if controller.key != there.key]
    return replace(vm, controllers=[*others, replace(there, units=[*there.units, place.unit])], disks=[*vm.disks, disk])


def _anywhere(vm: VirtualMachine) -> Place:
    there = scsi_controllers(vm)
    for controller in there:
        unit = _first_free(controller)
        if unit is not None:
            return Place(controller.bus, unit, controller)
    if len(there) >= len(BUSES):
        raise Refused(f"All {len(there)} SCSI controllers of VM {vm.name} are full: detach a disk that is no longer needed.")
    return _on_new(vm, 0, "it has no room on its SCSI controllers" if there else "it has no SCSI controller")


def _on_bus(vm: VirtualMachine, bus: int, unit: int | None) -> Place:
    if bus not in BUSES:
        raise InvalidInput(f"SCSI controller {bus} does not exist: a VM has SCSI controllers {BUSES[0]} to {BUSES[-1]}.")
    if unit is not None and unit not in UNITS:
        raise InvalidInput(f"{label(SCSI, bus, unit)} does not exist: a SCSI controller of Hyper-V has units {UNITS[0]} to {UNITS[-1]}.")
    controller = controller_on(vm, bus)
    if controller is None:
        return _on_new(vm, unit or 0, f"it has no SCSI controller {bus}", bus)
    chosen = _first_free(controller) if unit is None else unit
    if chosen is None:
        raise Refused(f"SCSI controller {bus} of VM {vm.name} is full: name another one, or none to have one chosen.")
    if chosen in controller.units:
        raise Refused(
            f"{label(SCSI, bus, chosen)} of VM {vm.name} is taken by {_occupant(vm, controller, chosen)}: "
            "choose another unit, or leave it out for the first that is free."
        )
    return Place(bus, chosen, controller)


def _on_new(vm: VirtualMachine, unit: int, why: str, bus: int | None = None) -> Place:
    """A unit of a controller that is going to be added, which becomes the last one whichever was asked for."""
    last = len(scsi_controllers(vm))
    if bus not in (None, last):
        raise Refused(
            f"VM {vm.name} has {last} SCSI controllers, and a controller that is added to it becomes number {last}, not {bus}: "
            f"ask for SCSI({last}), or leave place out."
        )
    if vm.power != POWERED_OFF:
        raise Refused(
            f"VM {vm.name} is running and {why}, and Hyper-V adds a controller only to a VM that is off: "
            "turn it off, then run this task again."
        )
    return Place(last, unit, None)


def _first_free(controller: Controller) -> int | None:
    return next((unit for unit in UNITS if unit not in controller.units), None)


def _occupant(vm: VirtualMachine, controller: Controller, unit: int) -> str:
    disk = next((disk for disk in vm.disks if disk.controller == controller.key and disk.unit == unit), None)
    if disk is None:
        return "a device that is not a disk"
    return f"{disk.label} ({disk.name or disk.path or disk.device})"
