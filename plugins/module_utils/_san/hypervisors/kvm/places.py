# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where on a domain's SCSI controllers a new disk goes. Pure: nothing here talks to libvirt.

Every disk gets an explicit address on a controller that is there: without one, libvirt would add controllers on its own, and leave them
when the disk is then refused. A place is `SCSI(controller:unit)`; QEMU's PVSCSI and LSI SAS address a disk by target, virtio-scsi by LUN.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.attach_rules import place_name, refuse_unit_without_bus
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import (
    Disk,
    Domain,
    DriveAddress,
    ScsiController,
    Source,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot

VIRTIO_SCSI = "virtio-scsi"
_CONTROLLERS = 32
"""Controllers of a domain, far below what PCI allows and above what anybody uses."""


@dataclass(frozen=True)
class _Model:
    libvirt: str
    units: range
    by_target: bool
    """Whether a disk's unit is the SCSI target, else the LUN of target 0."""

    def address(self, controller: int, unit: int) -> DriveAddress:
        return DriveAddress(controller, unit, 0) if self.by_target else DriveAddress(controller, 0, unit)


MODELS: Mapping[str, _Model] = MappingProxyType(
    {
        VIRTIO_SCSI: _Model("virtio-scsi", range(256), by_target=False),
        "pvscsi": _Model("vmpvscsi", range(64), by_target=True),
        "lsilogicsas": _Model("lsisas1068", range(8), by_target=True),
        "lsilogic": _Model("lsilogic", range(7), by_target=False),
    }
)
"""The collection's word for a type of controller → what QEMU makes of it. Units of virtio-scsi stop where LUNs need flat addressing."""
_TYPES = {model.libvirt: kind for kind, model in MODELS.items()}


@dataclass(frozen=True)
class Place:
    """A free unit; the controller has to be added when `add` is set."""

    bus: int
    unit: int
    type: str
    add: bool

    def __str__(self) -> str:
        return place_name(self.bus, self.unit)

    @property
    def address(self) -> DriveAddress:
        return MODELS[self.type].address(self.bus, self.unit)

    @property
    def model(self) -> str:
        """Libvirt's word for the controller."""
        return MODELS[self.type].libvirt


def controller_type(model: str) -> str:
    """The collection's word for libvirt's model of a controller."""
    return _TYPES.get(model, model or "scsi")


def unit_at(address: DriveAddress | None, kind: str) -> int | None:
    """The unit of an address on a controller of this type; None for one that is elsewhere than where a unit can name it."""
    if address is None:
        return None
    by_target = kind in MODELS and MODELS[kind].by_target
    named, other = (address.target, address.unit) if by_target else (address.unit, address.target)
    return named if other == 0 else None


def used_units(domains: Iterable[Domain], index: int, kind: str) -> set[int]:
    """The units of a controller that any disk, drive or device of the host sits on, in any of the domain's XMLs."""
    there = (address for domain in domains for _what, address in domain.seats if address.controller == index)
    return {unit for address in there if (unit := unit_at(address, kind)) is not None}


def choose(vm: str, domains: Sequence[Domain], slot: Slot, wished_type: str | None) -> Place:
    """The asked place, or the first free one; `domains` are what runs and what starts next time, as far as there are both.

    Without an asked bus, a controller of the wished type (virtio-scsi by default) is preferred, then any other that passes LUNs through,
    then a new one. Raises `InvalidInput` for a place that cannot exist and `Refused` when it, or everything, is taken.
    """
    wanted = wished_type or VIRTIO_SCSI
    if wanted not in MODELS:
        raise InvalidInput(f"'{wanted}' is not a SCSI controller that QEMU passes LUNs through: choose one of {', '.join(MODELS)}.")
    there = _common_controllers(domains)
    refuse_unit_without_bus(slot)
    if slot.bus is None:
        return _anywhere(vm, domains, there, wanted, only=wished_type is not None)
    return _on_bus(vm, domains, there, slot.bus, slot.unit, wanted)


def choose_each(vm: str, domains: Sequence[Domain], slots: Sequence[Slot], wished_type: str | None) -> list[Place]:
    """A place for one disk after the other, as `choose` finds them, with those before it taken. Raises what `choose` raises."""
    return attach_rules.in_turn(vm, slots, domains, lambda now, slot: choose(vm, now, slot, wished_type), _occupied)


def free_target(domains: Iterable[Domain]) -> str:
    """The first of `sda`, `sdb`, … `sdaa`, … that no disk has."""
    taken = {disk.target for domain in domains for disk in domain.disks}
    letters = ("".join(word) for length in itertools.count(1) for word in itertools.product(string.ascii_lowercase, repeat=length))
    return next(f"sd{word}" for word in letters if f"sd{word}" not in taken)


def _occupied(domains: Sequence[Domain], place: Place) -> Sequence[Domain]:
    """The domains with a disk at this place."""
    return [_with_disk(found, place) for found in domains]


def _with_disk(found: Domain, place: Place) -> Domain:
    added = [] if found.controller(place.bus) else [ScsiController(place.bus, place.model, xml="")]
    source = Source("block", path=attach_rules.NOT_YET)
    disk = Disk(attach_rules.AHEAD, domain.LUN, "scsi", source, place.address, format="raw", alias="", shareable=False, backing=(), xml="")
    return replace(found, controllers=[*found.controllers, *added], disks=[*found.disks, disk])


def _common_controllers(domains: Sequence[Domain]) -> dict[int, str]:
    """Index → type of the controllers that are the same in all XMLs."""
    each = [{controller.index: controller_type(controller.model) for controller in domain.controllers} for domain in domains]
    return {index: kind for index, kind in each[0].items() if all(other.get(index) == kind for other in each[1:])} if each else {}


def _anywhere(vm: str, domains: Sequence[Domain], there: Mapping[int, str], wanted: str, only: bool) -> Place:
    usable = [(index, kind) for index, kind in there.items() if kind == wanted or (kind in MODELS and not only)]
    for index, kind in sorted(usable, key=lambda found: (found[1] != wanted, found[0])):
        unit = _first_free(used_units(domains, index, kind), MODELS[kind].units)
        if unit is not None:
            return Place(index, unit, kind, add=False)
    return Place(_new_index(vm, domains), 0, wanted, add=True)


def _on_bus(vm: str, domains: Sequence[Domain], there: Mapping[int, str], bus: int, unit: int | None, wanted: str) -> Place:
    if bus not in there:
        new = _new_index(vm, domains)
        if bus != new:
            raise InvalidInput(f"VM {vm} has no SCSI controller {bus}: the next that can be added is {new}, or leave the place out.")
    kind = there.get(bus, wanted)
    if kind not in MODELS:
        raise Refused(f"SCSI controller {bus} of VM {vm} is a {kind}, which passes no LUN through: name another bus, or none.")
    used, possible = used_units(domains, bus, kind), MODELS[kind].units
    chosen = _first_free(used, possible) if unit is None else unit
    if chosen is None:
        raise Refused(f"SCSI controller {bus} ({kind}) of VM {vm} is full: name another bus, or none to have one chosen.")
    if chosen not in possible:
        raise InvalidInput(f"{place_name(bus, chosen)} does not exist: a {kind} controller has units {possible[0]} to {possible[-1]}.")
    if chosen in used:
        raise Refused(
            f"{place_name(bus, chosen)} of VM {vm} is taken by {_occupant(domains, bus, chosen, kind)}: "
            "choose another unit, or leave it out for the first that is free."
        )
    return Place(bus, chosen, kind, add=bus not in there)


def _new_index(vm: str, domains: Sequence[Domain]) -> int:
    """The lowest index that no XML uses; a higher one would make libvirt fill the gap with controllers of its own."""
    taken = {controller.index for domain in domains for controller in domain.controllers}
    index = _first_free(taken, range(_CONTROLLERS))
    if index is None:
        raise Refused(f"VM {vm} has {len(taken)} SCSI controllers, all full: detach a disk that is no longer needed.")
    return index


def _first_free(used: Collection[int], possible: Iterable[int]) -> int | None:
    return next((number for number in possible if number not in used), None)


def _occupant(domains: Sequence[Domain], bus: int, unit: int, kind: str) -> str:
    seats = (seat for domain in domains for seat in domain.seats if seat[1].controller == bus)
    return next((what for what, address in seats if unit_at(address, kind) == unit), "another device")
