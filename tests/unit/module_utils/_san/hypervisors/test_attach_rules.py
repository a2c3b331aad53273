# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused alike on every platform."""

from __future__ import annotations

import re

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Controller, Slot, VirtualDisk, VirtualMachine
from tests.unit.ports import NAME, OTHER

KNOWN = {"mode": ("physical", "virtual"), "sharing": ("none",), "datastore": ()}


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (DiskWish(NAME, mode="raw"), "mode raw does not exist for a disk of X: choose one of physical, virtual, or leave it out."),
        (DiskWish(NAME, sharing="multi_writer"), "sharing multi_writer does not exist for a disk of X: ask for none, or leave it out."),
        (DiskWish(NAME, file_system="ds1"), "datastore ds1 does not exist for a disk of X: leave it out."),
    ],
)
def test_a_setting_that_the_platform_does_not_know_is_refused_with_what_it_knows(wish: DiskWish, words: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(words)}$"):
        attach_rules.refuse_unknown(wish, KNOWN, "a disk of X")


def test_what_is_known_left_out_or_not_restricted_passes() -> None:
    attach_rules.refuse_unknown(DiskWish(NAME), KNOWN, "a disk of X")
    attach_rules.refuse_unknown(DiskWish(NAME, mode="virtual", sharing="none", disk_mode="persistent"), KNOWN, "a disk of X")


def test_reservations_are_refused_where_they_are_no_setting_of_a_disk() -> None:
    with pytest.raises(InvalidInput, match=r"^reservations does not exist for a disk of X, which has them anyway: leave it out\.$"):
        attach_rules.refuse_reservations(DiskWish(NAME, reservations=True), "a disk of X", "which has them anyway: leave it out")
    for wish in (DiskWish(NAME), DiskWish(NAME, reservations=False)):
        attach_rules.refuse_reservations(wish, "a disk of X", "")


def test_a_unit_needs_a_bus() -> None:
    with pytest.raises(InvalidInput, match=r"Unit 3 was asked for without a bus: name both, such as SCSI\(0:3\), or none\."):
        attach_rules.refuse_unit_without_bus(Slot(unit=3))
    for slot in (Slot(), Slot(bus=0), Slot(0, 3)):
        attach_rules.refuse_unit_without_bus(slot)


@pytest.mark.parametrize(
    ("slot", "is_at", "told"),
    [
        (Slot(), "", []),
        (Slot(1), "", []),
        (Slot(1, 2), "", []),
        (Slot(1, 3), "", ["place SCSI(1:2), not SCSI(1:3)"]),
        (Slot(0), "", ["place SCSI(1:2), not SCSI(0:2)"]),
        (Slot(), "IDE(1:2)", []),
        (Slot(1, 2), "IDE(1:2)", ["place IDE(1:2), not SCSI(1:2)"]),
    ],
)
def test_only_an_asked_place_can_be_another(slot: Slot, is_at: str, told: list[str]) -> None:
    assert attach_rules.other_place(slot, 1, 2, is_at) == told


def test_what_is_in_use_is_not_changed() -> None:
    attach_rules.refuse_change("app", NAME, [])
    with pytest.raises(Refused, match=r"is a disk of VM app already, with mode a, not b, sharing c, not d, which cannot be changed while"):
        attach_rules.refuse_change("app", NAME, ["mode a, not b", "sharing c, not d"])


def taking(free: tuple[int, ...], slot: Slot) -> int:
    """The asked unit, or the first of those that are free."""
    if slot.unit is not None and slot.unit not in free:
        raise Refused(f"{slot.unit} is taken: choose another.")
    if not free:
        raise Refused("The VM is full: detach a disk.")
    return free[0] if slot.unit is None else slot.unit


def in_turn(free: tuple[int, ...], *slots: Slot) -> list[int]:
    return attach_rules.in_turn("app", slots, free, taking, lambda now, unit: tuple(other for other in now if other != unit))


def test_each_disk_gets_a_place_that_those_before_it_leave() -> None:
    assert in_turn((0, 1, 2), Slot(), Slot(0, 2), Slot()) == [0, 2, 1]
    with pytest.raises(Refused, match=r"^1 is taken"):
        in_turn((0, 1, 2), Slot(), Slot(), Slot(0, 1))


@pytest.mark.parametrize(("free", "room"), [((1, 2, 3), "3"), ((), "none")])
def test_more_disks_than_places_are_refused_with_how_many_there_are(free: tuple[int, ...], room: str) -> None:
    words = f"VM app shall get 5 more disks and has room for {room} of them: The VM is full: detach a disk."
    with pytest.raises(Refused, match=f"^{re.escape(words)}$"):
        in_turn(free, *[Slot()] * 5)


def test_of_one_disk_only_the_reason_is_told() -> None:
    with pytest.raises(Refused, match=r"^The VM is full"):
        in_turn((), Slot())


def test_the_place_of_a_lun_that_goes_first_is_free() -> None:
    disk = VirtualDisk("1", "Hard disk 1", "passthrough", "1000", 0, 1, name=NAME)
    vm = VirtualMachine("vm-1", "app", controllers=[Controller("1000", "pvscsi", 0, [1, 2, 7])], disks=[disk])
    left = attach_rules.without(vm, [NAME])
    assert ([controller.units for controller in left.controllers], left.disks) == ([[2, 7]], [])
    assert attach_rules.without(vm, [OTHER]) == vm
