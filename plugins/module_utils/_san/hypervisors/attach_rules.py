# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused alike on every platform before a LUN becomes a disk: unknown settings, half places, changes of what is in use.

Pure. A backend says which settings it knows; how a refusal reads stands here once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

Hardware = TypeVar("Hardware")
Place = TypeVar("Place")

AHEAD, NOT_YET = "another disk of this run", "not attached yet"
"""How a place is occupied that a disk gets before the one in hand, and which disk that is."""


def place_name(bus: int | None, unit: int | None) -> str:
    """How users and guests write a place on a SCSI controller: `SCSI(1:3)`."""
    return f"SCSI({bus}:{unit})"


def refuse_unknown(wish: DiskWish, known: Mapping[str, Sequence[str]], what: str) -> None:
    """Raise `InvalidInput` for a setting that `what` does not have.

    `known` holds the values of each option that the platform restricts, none of them where it has no such setting at all.
    """
    asked = {
        "mode": wish.mode,
        "disk_mode": wish.disk_mode,
        "sharing": wish.sharing,
        "datastore": wish.file_system,
        "controller_type": wish.controller_type,
        "fc_method": wish.fc_method,
    }
    for option, values in known.items():
        if asked[option] is not None and asked[option] not in values:
            raise InvalidInput(f"{option} {asked[option]} does not exist for {what}: {_way_out(values)}.")


def _way_out(values: Sequence[str]) -> str:
    if len(values) > 1:
        return f"choose one of {', '.join(values)}, or leave it out"
    return f"ask for {values[0]}, or leave it out" if values else "leave it out"


def refuse_reservations(wish: DiskWish, what: str, instead: str) -> None:
    """Raise `InvalidInput` when `what` has no setting for persistent reservations; `instead` is how it does with them, and the way out."""
    if wish.reservations:
        raise InvalidInput(f"reservations does not exist for {what}, {instead}.")


def refuse_unit_without_bus(slot: Slot) -> None:
    """Raise `InvalidInput` for a unit of no controller in particular."""
    if slot.bus is None and slot.unit is not None:
        raise InvalidInput(f"Unit {slot.unit} was asked for without a bus: name both, such as {place_name(0, slot.unit)}, or none.")


def in_turn(
    vm: str,
    slots: Sequence[Slot],
    hardware: Hardware,
    choose: Callable[[Hardware, Slot], Place],
    occupied: Callable[[Hardware, Place], Hardware],
) -> list[Place]:
    """A place for one disk after the other, each chosen on the hardware with those before it `occupied`.

    Raises what `choose` raises; when free places are used up, with how many of the disks have one.
    """
    found: list[Place] = []
    for slot in slots:
        try:
            place = choose(hardware, slot)
        except Refused as full:
            if len(slots) == 1 or slot.unit is not None:
                raise
            raise Refused(f"VM {vm} shall get {len(slots)} more disks and has room for {len(found) or 'none'} of them: {full}") from full
        found.append(place)
        hardware = occupied(hardware, place)
    return found


def without(vm: VirtualMachine, leaving: Collection[ScsiName]) -> VirtualMachine:
    """The VM once it has lost these LUNs: their places are free."""
    gone = [disk for disk in vm.disks if disk.name in leaving]
    freed = {(disk.controller, disk.unit) for disk in gone}
    controllers = [
        replace(controller, units=[unit for unit in controller.units if (controller.key, unit) not in freed])
        for controller in vm.controllers
    ]
    return replace(vm, controllers=controllers, disks=[disk for disk in vm.disks if disk not in gone]) if gone else vm


def other_place(slot: Slot, bus: int | None, unit: int | None, is_at: str = "") -> list[str]:
    """What `refuse_change` says of an attached disk at another place than the asked one; nothing where it is there.

    `is_at` is how the platform names the disk's place where that is not a SCSI controller.
    """
    here = is_at or place_name(bus, unit)
    wanted = place_name(bus if slot.bus is None else slot.bus, unit if slot.unit is None else slot.unit)
    return [] if slot == Slot() or wanted == here else [f"place {here}, not {wanted}"]


def refuse_change(vm: str, name: ScsiName, differing: Sequence[str]) -> None:
    """Raise `Refused` when an attached disk is otherwise than wished in something that cannot change while it is in use."""
    if differing:
        raise Refused(
            f"LUN {name} is a disk of VM {vm} already, with {', '.join(differing)}, which cannot be changed while it is attached: "
            "detach it (state=absent, or the playbook remove_disk, both of which keep its data), then attach it again."
        )
