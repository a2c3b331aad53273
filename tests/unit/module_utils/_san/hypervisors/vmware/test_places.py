# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a new disk goes, for any VM."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import places
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import PASSTHROUGH, Controller, Slot, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

OLD, NEW = 13, 14
FIFTEEN = [unit for unit in range(16) if unit != 7]
LUN = ScsiName("600a0980383030304f4b4f4c4e6f3175")

hardware_versions = st.integers(min_value=4, max_value=22)
kinds = st.sampled_from(places.SCSI_TYPES)


@st.composite
def machines(draw: st.DrawFn) -> tuple[VirtualMachine, int]:
    """A VM that vSphere could have, with its hardware version: no two controllers on a bus, no unit outside a controller."""
    hardware = draw(hardware_versions)
    buses = draw(st.sets(st.sampled_from(places.BUSES)))
    controllers = []
    for bus in draw(st.permutations(sorted(buses))):
        kind = draw(kinds)
        free = [unit for unit in places.units(kind, hardware) if unit != 7]
        full = draw(st.booleans())
        used = free if full else draw(st.sets(st.sampled_from(free)))
        controllers.append(Controller(str(1000 + bus), kind, bus, tuple(sorted(used)), draw(st.sampled_from(["", "", "physical"]))))
    ide = Controller("200", "ide", 0, (0, 1))
    return machine(*controllers, ide), hardware


def machine(*controllers: Controller, disks: Sequence[VirtualDisk] = ()) -> VirtualMachine:
    return VirtualMachine(id="vm-1", name="db01", controllers=controllers, disks=disks)


def scsi(bus: int, used: Collection[int] = (), kind: str = "pvscsi", shared: str = "") -> Controller:
    return Controller(str(1000 + bus), kind, bus, tuple(used), shared)


def used_on(vm: VirtualMachine, bus: int) -> set[int]:
    return {
        unit for controller in vm.controllers if controller.type in places.SCSI_TYPES and controller.bus == bus for unit in controller.units
    }


@given(machines(), kinds)
def test_what_is_chosen_is_free_and_no_lower_unit_of_its_bus_is(vm_and_hardware: tuple[VirtualMachine, int], wanted: str) -> None:
    vm, hardware = vm_and_hardware
    try:
        place = places.choose(vm, hardware, Slot(), wanted)
    except Refused:
        return
    used = used_on(vm, place.bus)
    assert place.unit not in used
    assert place.unit != 7
    assert place.unit in places.units(place.type, hardware)
    assert all(lower in used for lower in range(place.unit) if lower != 7)


@given(machines(), kinds)
def test_a_place_is_refused_only_when_all_four_buses_are_taken(vm_and_hardware: tuple[VirtualMachine, int], wanted: str) -> None:
    vm, hardware = vm_and_hardware
    there = [controller for controller in vm.controllers if controller.type in places.SCSI_TYPES]
    with_room = [
        controller
        for controller in there
        if not controller.shared and len(controller.units) < len(places.units(controller.type, hardware)) - 1
    ]
    if with_room or len(there) < 4:
        places.choose(vm, hardware, Slot(), wanted)
    else:
        with pytest.raises(Refused, match="SCSI controllers of VM db01 are full"):
            places.choose(vm, hardware, Slot(), wanted)


@given(machines(), kinds)
def test_a_controller_is_added_only_on_a_bus_without_one(vm_and_hardware: tuple[VirtualMachine, int], wanted: str) -> None:
    vm, hardware = vm_and_hardware
    try:
        place = places.choose(vm, hardware, Slot(), wanted)
    except Refused:
        return
    there = {controller.bus: controller for controller in vm.controllers if controller.type in places.SCSI_TYPES}
    if place.controller is None:
        assert place.bus not in there
        assert (place.type, place.unit) == (wanted, 0)
    else:
        assert place.controller is there[place.bus]
        assert place.type == place.controller.type


@given(machines(), st.sampled_from(places.BUSES), st.integers(min_value=-2, max_value=70))
def test_an_asked_place_is_given_exactly_or_not_at_all(vm_and_hardware: tuple[VirtualMachine, int], bus: int, unit: int) -> None:
    vm, hardware = vm_and_hardware
    kind = next((controller.type for controller in vm.controllers if controller.type != "ide" and controller.bus == bus), "pvscsi")
    possible = unit != 7 and unit in places.units(kind, hardware)
    sharing = next((controller.shared for controller in vm.controllers if controller.type != "ide" and controller.bus == bus), "")
    if possible and unit not in used_on(vm, bus):
        place = places.choose(vm, hardware, Slot(bus, unit), shared=sharing)
        assert (place.bus, place.unit) == (bus, unit)
    else:
        with pytest.raises(Refused if possible else InvalidInput):
            places.choose(vm, hardware, Slot(bus, unit), shared=sharing)


@given(machines(), st.sampled_from(["", "physical"]), st.sampled_from([None, *places.BUSES]))
def test_a_disk_shares_its_bus_exactly_when_that_is_asked_for(
    vm_and_hardware: tuple[VirtualMachine, int], shared: str, bus: int | None
) -> None:
    vm, hardware = vm_and_hardware
    try:
        place = places.choose(vm, hardware, Slot(bus), shared=shared)
    except Refused:
        return
    assert (place.controller.shared if place.controller else place.shared) == place.shared == shared


def test_a_gap_is_filled_before_the_end_is_extended() -> None:
    assert places.choose(machine(scsi(0, [0, 1, 3, 9])), NEW, Slot()).unit == 2


def test_after_unit_6_comes_unit_8() -> None:
    assert places.choose(machine(scsi(0, range(7))), NEW, Slot()).unit == 8


def test_pvscsi_goes_before_a_controller_on_a_lower_bus() -> None:
    assert places.choose(machine(scsi(0, kind="lsilogic"), scsi(1)), NEW, Slot()).bus == 1


def test_the_wished_type_goes_before_pvscsi() -> None:
    assert places.choose(machine(scsi(0), scsi(1, kind="lsilogicsas")), NEW, Slot(), "lsilogicsas").bus == 1


def test_another_type_with_room_goes_before_a_new_controller() -> None:
    assert str(places.choose(machine(scsi(0, FIFTEEN), scsi(1, [0], "buslogic")), OLD, Slot())) == "SCSI(1:1)"


def test_a_new_controller_takes_the_first_free_bus() -> None:
    place = places.choose(machine(scsi(0, FIFTEEN), scsi(2, FIFTEEN)), OLD, Slot())
    assert (place.bus, place.unit, place.type, place.controller) == (1, 0, "pvscsi", None)


def test_a_vm_without_scsi_gets_a_controller_on_bus_0() -> None:
    place = places.choose(machine(), NEW, Slot(), "lsilogicsas")
    assert (place.bus, place.unit, place.type, place.controller) == (0, 0, "lsilogicsas", None)


SHARED = machine(scsi(0, [0]), scsi(1, [0], shared="physical"), scsi(2, shared="virtual"))


def test_an_ordinary_disk_goes_on_no_shared_bus_not_even_when_its_bus_is_named() -> None:
    assert places.choose(machine(scsi(0, FIFTEEN), scsi(1, [0], shared="physical")), OLD, Slot()).bus == 2
    with pytest.raises(Refused, match=r"SCSI controller 1 of VM db01 shares its bus .*\(physical\): ask for sharing physical_bus"):
        places.choose(SHARED, OLD, Slot(bus=1))
    with pytest.raises(Refused, match=r"SCSI controller 2 of VM db01 shares its bus .*\(virtual\): name another bus\."):
        places.choose(SHARED, OLD, Slot(bus=2))


def test_a_disk_of_a_cluster_goes_on_a_bus_that_is_shared_physically() -> None:
    place = places.choose(SHARED, OLD, Slot(), shared="physical")
    assert (str(place), place.controller) == ("SCSI(1:1)", SHARED.controllers[1])


@pytest.mark.parametrize("bus", [0, 2])
def test_a_controller_that_shares_otherwise_is_never_changed(bus: int) -> None:
    with pytest.raises(Refused, match=rf"SCSI controller {bus} of VM db01 does not share its bus physically.*will not be changed"):
        places.choose(SHARED, OLD, Slot(bus=bus), shared="physical")


def test_a_controller_for_a_cluster_is_added_beside_the_one_of_the_boot_disk() -> None:
    place = places.choose(machine(scsi(1)), OLD, Slot(), "lsilogicsas", "physical")
    assert (place.bus, place.unit, place.type, place.controller, place.shared) == (2, 0, "lsilogicsas", None, "physical")
    assert places.choose(machine(), OLD, Slot(), shared="physical").bus == 1


def test_a_vm_without_room_for_a_disk_of_a_cluster_is_told() -> None:
    with pytest.raises(Refused, match="All 4 SCSI controllers of VM db01 are full or do not share their bus physically"):
        places.choose(machine(*map(scsi, places.BUSES)), OLD, Slot(), shared="physical")


def test_an_asked_bus_without_controller_gets_one_of_the_wished_type() -> None:
    place = places.choose(machine(scsi(0)), NEW, Slot(bus=3, unit=5), "lsilogic")
    assert (place.bus, place.unit, place.type, place.controller) == (3, 5, "lsilogic", None)


def test_an_asked_full_bus_is_refused_although_others_have_room() -> None:
    with pytest.raises(Refused, match=r"SCSI controller 0 \(pvscsi\) of VM db01 is full"):
        places.choose(machine(scsi(0, FIFTEEN)), OLD, Slot(bus=0))


@pytest.mark.parametrize(("hardware", "kind", "last"), [(OLD, "pvscsi", 15), (NEW, "pvscsi", 63), (NEW, "lsilogic", 15)])
def test_the_last_unit_depends_on_controller_and_hardware(hardware: int, kind: str, last: int) -> None:
    vm = machine(scsi(0, kind=kind))
    assert places.choose(vm, hardware, Slot(0, last)).unit == last
    with pytest.raises(InvalidInput, match=rf"SCSI\(0:{last + 1}\) does not exist on VM db01: .* has units 0 to {last} without 7\."):
        places.choose(vm, hardware, Slot(0, last + 1))


def test_unit_7_is_the_controller_itself() -> None:
    with pytest.raises(InvalidInput, match=r"SCSI\(0:7\) is the controller itself: choose another unit from 0 to 63\."):
        places.choose(machine(scsi(0)), NEW, Slot(0, 7))


def test_a_taken_place_names_what_sits_there() -> None:
    disk = VirtualDisk(key="2003", label="Hard disk 4", kind=PASSTHROUGH, controller="1001", bus=1, unit=3, name=LUN)
    with pytest.raises(Refused, match=rf"SCSI\(1:3\) of VM db01 is taken by Hard disk 4 \({LUN}\)"):
        places.choose(machine(scsi(1, [3]), disks=[disk]), NEW, Slot(1, 3))


def test_a_disk_on_an_ide_bus_of_that_number_is_not_named_in_its_stead() -> None:
    disk = VirtualDisk(key="3000", label="Hard disk 1", kind="image", controller="200", bus=0, unit=0, path="[ds] a.vmdk")
    vm = machine(Controller("200", "ide", 0, (0,)), scsi(0, [0]), disks=[disk])
    with pytest.raises(Refused, match="taken by a device that is not a disk"):
        places.choose(vm, NEW, Slot(0, 0))


@pytest.mark.parametrize("bus", [-1, 4])
def test_there_are_four_buses(bus: int) -> None:
    with pytest.raises(InvalidInput, match=rf"SCSI bus {bus} does not exist: a VM has buses 0 to 3\."):
        places.choose(machine(), NEW, Slot(bus, 0))


def test_a_unit_without_a_bus_means_nothing() -> None:
    with pytest.raises(InvalidInput, match="without a bus"):
        places.choose(machine(), NEW, Slot(unit=3))


def test_a_controller_type_that_vsphere_does_not_know_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'virtio-scsi' is not a type"):
        places.choose(machine(), NEW, Slot(), "virtio-scsi")


def test_four_full_controllers_are_refused_by_name() -> None:
    with pytest.raises(Refused, match="All 4 SCSI controllers of VM db01 are full: detach"):
        places.choose(machine(*(scsi(bus, FIFTEEN) for bus in range(4))), OLD, Slot())


def test_controllers_that_share_their_bus_are_named_as_such_when_there_is_no_room() -> None:
    vm = machine(*(scsi(bus, FIFTEEN) for bus in range(3)), scsi(3, shared="physical"))
    with pytest.raises(Refused, match="All 4 SCSI controllers of VM db01 are full or share their bus with other VMs: detach"):
        places.choose(vm, OLD, Slot())


@pytest.mark.parametrize(
    ("backing", "named"),
    [
        ({"path": "[ds] a.vmdk"}, r"\[ds\] a\.vmdk"),
        ({"device": "vmhba1:0:1"}, "vmhba1:0:1"),
        ({"name": LUN, "path": "[ds] a.vmdk"}, str(LUN)),
    ],
    ids=["an image", "a device", "a LUN"],
)
def test_what_sits_in_a_taken_place_is_named_by_what_is_known_of_it(backing: dict[str, Any], named: str) -> None:
    there = [
        VirtualDisk(key="2000", label="Hard disk 1", kind="image", controller="1000", bus=0, unit=3, path="[ds] other.vmdk"),
        VirtualDisk(key="2001", label="Hard disk 2", kind="image", controller="1001", bus=1, unit=2, path="[ds] other.vmdk"),
        VirtualDisk(key="2003", label="Hard disk 4", kind="image", controller="1001", bus=1, unit=3, **backing),
    ]
    with pytest.raises(Refused, match=rf"SCSI\(1:3\) of VM db01 is taken by Hard disk 4 \({named}\)"):
        places.choose(machine(scsi(0, [3]), scsi(1, [2, 3]), disks=there), NEW, Slot(1, 3))


def test_disks_that_are_planned_fill_a_controller_and_the_next_one_is_added_once() -> None:
    vm = machine(scsi(0, set(FIFTEEN) - {3, 5}, "lsilogic"))
    found = places.choose_each(vm, NEW, [Slot()] * 4)
    assert [str(place) for place in found] == ["SCSI(0:3)", "SCSI(0:5)", "SCSI(1:0)", "SCSI(1:1)"]
    assert [place.controller is None for place in found] == [False, False, True, False]


def test_a_place_that_a_planned_disk_gets_is_taken_by_it() -> None:
    with pytest.raises(Refused, match=r"SCSI\(0:1\) of VM db01 is taken by another disk of this run \(not attached yet\)"):
        places.choose_each(machine(scsi(0)), NEW, [Slot(0, 1), Slot(0, 1)])


def test_a_vm_with_too_few_free_units_is_refused_with_their_number() -> None:
    full = [scsi(bus, FIFTEEN, "lsilogic") for bus in (1, 2, 3)]
    with pytest.raises(
        Refused, match=r"^VM db01 shall get 5 more disks and has room for 3 of them: All 4 SCSI controllers of VM db01 are full"
    ):
        places.choose_each(machine(scsi(0, set(FIFTEEN) - {3, 5, 9}, "lsilogic"), *full), NEW, [Slot()] * 5)
