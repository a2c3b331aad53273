# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where on a VM's virtual SCSI controllers a new disk goes. Pure: nothing here talks to a vCenter.

Limits are those of VMware's configuration maximums: four SCSI controllers a VM; 15 targets a controller, or 64 on a PVSCSI controller from
virtual hardware 14 on (vSphere 6.7). The controller itself is unit 7 of its bus, so that units run from 0 to 15. Whether the 64 count that
unit too is told in both ways; nobody is offered unit 64, which not every vCenter may take.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.attach_rules import place_name, refuse_unit_without_bus
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    PASSTHROUGH,
    PHYSICAL,
    PHYSICAL_BUS,
    Controller,
    Slot,
    VirtualDisk,
    VirtualMachine,
)

PVSCSI = "pvscsi"
SCSI_TYPES = (PVSCSI, "lsilogic", "lsilogicsas", "buslogic")
BUSES = range(4)
_BUSES_OF_CLUSTERS = BUSES[1:]
"""VMware keeps bus 0 for the boot disk, which must not be on a bus that other VMs share."""
CONTROLLER_UNIT = 7
_UNITS = range(16)
_PVSCSI_UNITS = range(64)
_PVSCSI_64_SINCE = 14


@dataclass(frozen=True)
class Place:
    """A free unit on a controller of this type; `controller` is None where the controller has to be added."""

    bus: int
    unit: int
    type: str
    controller: Controller | None
    shared: str = ""
    """Bus sharing of the controller, as `Controller.shared`."""

    def __str__(self) -> str:
        return place_name(self.bus, self.unit)


def choose(vm: VirtualMachine, hardware: int, slot: Slot, controller_type: str | None = None, shared: str = "") -> Place:
    """The asked place, or the first free one of a VM with this virtual hardware version.

    Without an asked bus, a controller of the wished type (PVSCSI by default) is preferred, then any other, then a new one on the first free
    bus. Only a controller with exactly the asked bus sharing is used or added (`shared`, as `Controller.shared`), because other VMs can
    reach the disks of one that shares its bus; none is ever changed.
    Raises `InvalidInput` for a place that cannot exist and `Refused` when it, or everything, is taken.
    """
    wanted = controller_type or PVSCSI
    if wanted not in SCSI_TYPES:
        raise InvalidInput(f"'{wanted}' is not a type of SCSI controller that vSphere knows: choose one of {', '.join(SCSI_TYPES)}.")
    refuse_unit_without_bus(slot)
    if slot.bus is None:
        return _anywhere(vm, hardware, wanted, shared)
    return _on_bus(vm, hardware, slot, wanted, shared)


def choose_each(
    vm: VirtualMachine, hardware: int, slots: Sequence[Slot], controller_type: str | None = None, shared: str = ""
) -> list[Place]:
    """A place for one disk after the other, as `choose` finds them, with those before it taken. Raises what `choose` raises."""
    return attach_rules.in_turn(vm.name, slots, vm, lambda now, slot: choose(now, hardware, slot, controller_type, shared), _occupied)


def first_free(used: Iterable[int], units: Iterable[int]) -> int | None:
    """The lowest of the units that neither a device nor the controller itself sits on."""
    taken = {*used, CONTROLLER_UNIT}
    return next((unit for unit in units if unit not in taken), None)


def units(controller_type: str, hardware: int) -> range:
    """The units of a controller, that of the controller itself among them."""
    return _PVSCSI_UNITS if controller_type == PVSCSI and hardware >= _PVSCSI_64_SINCE else _UNITS


def _occupied(vm: VirtualMachine, place: Place) -> VirtualMachine:
    """The VM with a disk at this place."""
    there = place.controller or Controller(f"new {place.bus}", place.type, place.bus, [CONTROLLER_UNIT], place.shared)
    disk = VirtualDisk(
        "", attach_rules.AHEAD, PASSTHROUGH, controller=there.key, bus=place.bus, unit=place.unit, device=attach_rules.NOT_YET
    )
    others = [controller for controller in vm.controllers if controller.key != there.key]
    return replace(vm, controllers=[*others, replace(there, units=[*there.units, place.unit])], disks=[*vm.disks, disk])


def _anywhere(vm: VirtualMachine, hardware: int, wanted: str, shared: str) -> Place:
    there = _scsi_controllers(vm)
    alike = [controller for controller in there if controller.shared == shared]
    for controller in sorted(alike, key=lambda controller: (controller.type != wanted, controller.bus)):
        unit = first_free(controller.units, units(controller.type, hardware))
        if unit is not None:
            return Place(controller.bus, unit, controller.type, controller, shared)
    possible = _BUSES_OF_CLUSTERS if shared else BUSES
    free_bus = next((bus for bus in possible if bus not in {controller.bus for controller in there}), None)
    if free_bus is None:
        unlike = "do not share their bus physically" if shared else "share their bus with other VMs"
        sharing = f" or {unlike}" if len(alike) < len(there) else ""
        raise Refused(
            f"All {len(there)} SCSI controllers of VM {vm.name} are full{sharing}: "
            "detach a disk that is no longer needed, or name a bus to use."
        )
    return Place(free_bus, 0, wanted, None, shared)


def _on_bus(vm: VirtualMachine, hardware: int, slot: Slot, wanted: str, shared: str) -> Place:
    bus, unit = slot.bus or 0, slot.unit
    if bus not in BUSES:
        raise InvalidInput(f"SCSI bus {bus} does not exist: a VM has buses {BUSES[0]} to {BUSES[-1]}.")
    controller = next((controller for controller in _scsi_controllers(vm) if controller.bus == bus), None)
    if controller:
        _refuse_other_sharing(vm, controller, shared)
    kind = controller.type if controller else wanted
    used = controller.units if controller else ()
    possible = units(kind, hardware)
    if unit is None:
        unit = first_free(used, possible)
        if unit is None:
            raise Refused(f"SCSI controller {bus} ({kind}) of VM {vm.name} is full: name another bus, or none to have one chosen.")
    elif unit == CONTROLLER_UNIT:
        raise InvalidInput(f"{place_name(bus, unit)} is the controller itself: choose another unit from {possible[0]} to {possible[-1]}.")
    elif unit not in possible:
        raise InvalidInput(
            f"{place_name(bus, unit)} does not exist on VM {vm.name}: a {kind} controller under virtual hardware {hardware} has units "
            f"{possible[0]} to {possible[-1]} without {CONTROLLER_UNIT}."
        )
    elif unit in used:
        raise Refused(
            f"{place_name(bus, unit)} of VM {vm.name} is taken by {_occupant(vm, bus, unit)}: "
            "choose another unit, or leave it out for the first that is free."
        )
    return Place(bus, unit, kind, controller, shared)


def _refuse_other_sharing(vm: VirtualMachine, controller: Controller, shared: str) -> None:
    """Raise `Refused` for a disk that is to be shared by its bus on a controller that is not, or the other way round."""
    if controller.shared == shared:
        return
    at = f"SCSI controller {controller.bus} of VM {vm.name}"
    if shared:
        raise Refused(
            f"{at} does not share its bus physically, which sharing {PHYSICAL_BUS} needs, and it will not be changed: "
            "name another bus, or none to have a controller chosen or added."
        )
    way_out = f"ask for sharing {PHYSICAL_BUS}, or name another bus" if controller.shared == PHYSICAL else "name another bus"
    raise Refused(f"{at} shares its bus with other VMs ({controller.shared}): {way_out}.")


def _scsi_controllers(vm: VirtualMachine) -> Sequence[Controller]:
    return [controller for controller in vm.controllers if controller.type in SCSI_TYPES]


def _occupant(vm: VirtualMachine, bus: int, unit: int) -> str:
    keys = {controller.key for controller in _scsi_controllers(vm) if controller.bus == bus}
    disk = next((disk for disk in vm.disks if disk.controller in keys and disk.unit == unit), None)
    if disk is None:
        return "a device that is not a disk"
    return f"{disk.label} ({disk.name or disk.path or disk.device})"
