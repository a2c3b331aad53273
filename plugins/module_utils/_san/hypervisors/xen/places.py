# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where on a guest's paravirtual bus a new disk goes. Pure.

A place is the bus 0 and a device number. XAPI takes 0 to 254 (facts of xen-api, ocaml/xapi/xapi_vbd_helpers.ml); which of them a VM can
have, it tells by `VM.get_allowed_VBD_devices`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.attach_rules import place_name, refuse_unit_without_bus
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import machines
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot

UNITS = range(255)


@dataclass(frozen=True)
class Place:
    """A free device number."""

    unit: int

    def __str__(self) -> str:
        return place_name(machines.BUS, self.unit)


@dataclass(frozen=True)
class Units:
    """The device numbers of a VM."""

    vm: str
    free: Collection[int]
    """Those that XAPI offers."""
    taken: Collection[int]


def choose(units: Units, slot: Slot) -> Place:
    """The asked place, or the first free one.

    Raises `InvalidInput` for one that cannot exist, `Refused` when it, or everything, is taken.
    """
    refuse_unit_without_bus(slot)
    if slot.bus not in (None, machines.BUS):
        raise InvalidInput(f"SCSI bus {slot.bus} does not exist: a VM on Xen has the bus {machines.BUS} alone.")
    if slot.unit is None:
        free = sorted(set(units.free) - set(units.taken))
        if not free:
            raise Refused(f"VM {units.vm} has no place left for a disk: detach one that is no longer needed.")
        return Place(free[0])
    if slot.unit not in UNITS:
        raise InvalidInput(f"{place_name(machines.BUS, slot.unit)} does not exist: a VM on Xen has units {UNITS[0]} to {UNITS[-1]}.")
    if slot.unit in units.taken:
        raise Refused(
            f"{place_name(machines.BUS, slot.unit)} of VM {units.vm} is taken: "
            "choose another unit, or leave it out for the first that is free."
        )
    if slot.unit not in units.free:
        raise Refused(
            f"{place_name(machines.BUS, slot.unit)} is none that XAPI offers for VM {units.vm}: choose one of "
            f"{', '.join(map(str, sorted(units.free)[:8])) or 'none'}, or leave it out."
        )
    return Place(slot.unit)


def choose_each(units: Units, slots: Sequence[Slot]) -> list[Place]:
    """A place for one disk after the other, with those before it taken. Raises what `choose` raises."""
    return attach_rules.in_turn(units.vm, slots, units, choose, _occupied)


def _occupied(units: Units, place: Place) -> Units:
    return replace(units, taken={*units.taken, place.unit})
