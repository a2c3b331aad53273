# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a new pass-through disk goes, for any VM."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.hardware import SCSI
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    POWERED_OFF,
    POWERED_ON,
    Controller,
    Slot,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

LUN = ScsiName("600a0980383030304f4b4f4c4e6f3175")
ALL = tuple(places.UNITS)
IDE = Controller("ide", "ide", 0, (0,))


def scsi(bus: int, used: Collection[int] = ()) -> Controller:
    return Controller(f"scsi{bus}", SCSI, bus, tuple(used))


def machine(*controllers: Controller, power: str = POWERED_ON, disks: Sequence[VirtualDisk] = ()) -> VirtualMachine:
    return VirtualMachine(id="guid", name="db01", power=power, controllers=controllers, disks=disks)


@st.composite
def machines(draw: st.DrawFn) -> VirtualMachine:
    """A running VM that Hyper-V could have: its SCSI controllers are numbered without a gap, and the last of them is not full."""
    some = st.sets(st.sampled_from(ALL), max_size=len(ALL) - 1)
    used = [*draw(st.lists(st.one_of(st.just(set(ALL)), some), max_size=len(places.BUSES) - 1)), draw(some)]
    return machine(*draw(st.permutations([IDE, *(scsi(bus, units) for bus, units in enumerate(used))])))


@given(machines())
def test_what_is_chosen_is_the_lowest_free_unit_of_the_first_controller_with_room(vm: VirtualMachine) -> None:
    place = places.choose(vm, Slot())
    assert place.controller is not None
    assert place.unit == min(set(ALL) - set(place.controller.units))
    assert all(len(controller.units) == len(ALL) for controller in places.scsi_controllers(vm) if controller.bus < place.bus)


@pytest.mark.parametrize("count", range(4))
def test_a_vm_that_is_off_gets_another_controller_when_all_are_full_and_a_running_one_does_not(count: int) -> None:
    full = [scsi(bus, ALL) for bus in range(count)]
    assert places.choose(machine(*full, power=POWERED_OFF), Slot()) == places.Place(count, 0, None)
    with pytest.raises(Refused, match="VM db01 is running and it"):
        places.choose(machine(*full), Slot())


@pytest.mark.parametrize("power", [POWERED_ON, POWERED_OFF])
def test_a_fifth_controller_does_not_exist(power: str) -> None:
    with pytest.raises(Refused, match="All 4 SCSI controllers of VM db01 are full"):
        places.choose(machine(*(scsi(bus, ALL) for bus in places.BUSES), power=power), Slot())


def test_units_of_ide_controllers_are_never_offered() -> None:
    assert places.choose(machine(IDE, scsi(0, (0,))), Slot()) == places.Place(0, 1, scsi(0, (0,)))


def test_the_asked_unit_is_taken_and_without_one_the_first_of_the_asked_controller() -> None:
    vm = machine(scsi(0), scsi(1, (0, 2)))
    assert str(places.choose(vm, Slot(1, 5))) == "SCSI(1:5)"
    assert str(places.choose(vm, Slot(1))) == "SCSI(1:1)"


def test_the_next_controller_can_be_asked_for_and_a_later_one_cannot() -> None:
    vm = machine(scsi(0), power=POWERED_OFF)
    assert places.choose(vm, Slot(1, 3)) == places.Place(1, 3, None)
    with pytest.raises(Refused, match=r"has 1 SCSI controllers.*becomes number 1, not 3: ask for SCSI\(1\)"):
        places.choose(vm, Slot(3))


@pytest.mark.parametrize(
    ("slot", "says"),
    [
        (Slot(4), "SCSI controller 4 does not exist.*0 to 3"),
        (Slot(0, 64), r"SCSI\(0:64\) does not exist.*units 0 to 63"),
        (Slot(unit=3), "Unit 3 was asked for without a bus"),
    ],
)
def test_a_place_that_cannot_exist_is_refused(slot: Slot, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        places.choose(machine(scsi(0)), slot)


def test_a_taken_unit_is_refused_by_what_sits_there() -> None:
    disk = VirtualDisk("drive", "SCSI(0:1)", IMAGE, controller="scsi0", bus=0, unit=1, path="E:\\data.vhdx")
    vm = machine(scsi(0, (1, 2)), disks=[disk])
    with pytest.raises(Refused, match=r"SCSI\(0:1\) of VM db01 is taken by SCSI\(0:1\) \(E:\\data.vhdx\)"):
        places.choose(vm, Slot(0, 1))
    with pytest.raises(Refused, match=r"SCSI\(0:2\) of VM db01 is taken by a device that is not a disk"):
        places.choose(vm, Slot(0, 2))


def test_a_full_controller_is_refused_when_it_is_asked_for() -> None:
    with pytest.raises(Refused, match="SCSI controller 0 of VM db01 is full: name another one"):
        places.choose(machine(scsi(0, ALL), scsi(1)), Slot(0))


def test_a_running_vm_without_a_controller_is_told_the_way_out() -> None:
    with pytest.raises(Refused, match=r"VM db01 is running and it has no SCSI controller.*turn it off"):
        places.choose(machine(IDE), Slot())


def test_why_a_running_vm_needs_a_controller_is_told() -> None:
    with pytest.raises(Refused, match="running and it has no room on its SCSI controllers, and"):
        places.choose(machine(scsi(0, ALL)), Slot())
    with pytest.raises(Refused, match="running and it has no SCSI controller, and"):
        places.choose(machine(), Slot())


def test_on_a_new_controller_that_was_asked_for_the_first_unit_is_taken() -> None:
    assert places.choose(machine(power=POWERED_OFF), Slot(0)) == places.Place(0, 0, None)
    assert places.choose(machine(power=POWERED_OFF), Slot(0, 5)) == places.Place(0, 5, None)


@pytest.mark.parametrize(
    ("backing", "named"),
    [({"path": "a.vhdx"}, "a.vhdx"), ({"device": "Disk 7"}, "Disk 7"), ({"name": LUN, "device": "Disk 7"}, str(LUN))],
    ids=["an image", "a device", "a LUN"],
)
def test_what_sits_in_a_taken_place_is_named_by_what_is_known_of_it(backing: dict[str, Any], named: str) -> None:
    there = [
        VirtualDisk("d0", "SCSI(0:1)", IMAGE, controller="scsi0", bus=0, unit=1, path="other.vhdx"),
        VirtualDisk("d1", "SCSI(1:0)", IMAGE, controller="scsi1", bus=1, unit=0, path="other.vhdx"),
        VirtualDisk("d2", "SCSI(1:1)", IMAGE, controller="scsi1", bus=1, unit=1, **backing),
    ]
    with pytest.raises(Refused, match=rf"taken by SCSI\(1:1\) \({named}\)"):
        places.choose(machine(scsi(0, (1,)), scsi(1, (0, 1)), disks=there), Slot(1, 1))


def test_a_vm_that_is_off_gets_one_controller_for_all_planned_disks_and_a_running_one_none() -> None:
    some = scsi(0, ALL[:-1])
    found = places.choose_each(machine(some, power=POWERED_OFF), [Slot()] * 3)
    assert [str(place) for place in found] == ["SCSI(0:63)", "SCSI(1:0)", "SCSI(1:1)"]
    assert [place.controller is None for place in found] == [False, True, False]
    with pytest.raises(Refused, match=r"^VM db01 shall get 3 more disks and has room for 1 of them: VM db01 is running and it has no room"):
        places.choose_each(machine(some), [Slot()] * 3)


def test_a_place_that_a_planned_disk_gets_is_taken_by_it() -> None:
    with pytest.raises(Refused, match=r"SCSI\(0:1\) of VM db01 is taken by another disk of this run \(not attached yet\)"):
        places.choose_each(machine(scsi(0)), [Slot(0, 1), Slot(0, 1)])
