# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a disk goes: a place that is free in what runs and in what starts next time, on a controller that libvirt need not add."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Domain, DriveAddress, parse
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot
from tests.unit.libvirt import domain_xml


def controller(index: int, model: str = "virtio-scsi") -> str:
    return f"<controller type='scsi' index='{index}' model='{model}'/>"


def disk(dev: str, index: int, unit: int, target: int = 0) -> str:
    address = f"<address type='drive' controller='{index}' bus='0' target='{target}' unit='{unit}'/>"
    return f"<disk type='file' device='disk'><source file='/{dev}'/><target dev='{dev}' bus='scsi'/>{address}</disk>"


def vm(*devices: str) -> Domain:
    return parse(domain_xml("app", "".join(devices)))


def choose(*domains: Domain, slot: Slot = Slot(), wanted: str | None = None) -> Place:  # noqa: B008
    return places.choose("app", domains, slot, wanted)


def test_the_first_free_unit_of_a_controller_that_is_there() -> None:
    assert choose(vm(controller(0), disk("sda", 0, 0), disk("sdb", 0, 2))) == Place(0, 1, "virtio-scsi", add=False)


def test_a_unit_has_to_be_free_in_both_parts() -> None:
    running, next_time = vm(controller(0), disk("sda", 0, 0)), vm(controller(0), disk("sdb", 0, 1))
    assert choose(running, next_time).unit == 2


def test_a_controller_that_only_one_part_has_is_not_used_and_its_number_neither() -> None:
    assert choose(vm(controller(0)), vm()) == Place(1, 0, "virtio-scsi", add=True)


def test_virtio_scsi_goes_before_others_and_others_before_a_new_one() -> None:
    assert choose(vm(controller(0, "vmpvscsi"), controller(1))).bus == 1
    assert choose(vm(controller(0, "vmpvscsi"))) == Place(0, 0, "pvscsi", add=False)


def test_a_wished_type_is_added_when_there_is_none() -> None:
    assert choose(vm(controller(0)), wanted="pvscsi") == Place(1, 0, "pvscsi", add=True)


def test_pvscsi_addresses_by_target_virtio_scsi_by_lun() -> None:
    assert Place(1, 5, "pvscsi", add=False).address == DriveAddress(1, 5, 0)
    assert Place(1, 5, "virtio-scsi", add=False).address == DriveAddress(1, 0, 5)
    assert choose(vm(controller(0, "vmpvscsi"), disk("sda", 0, 0, target=0))).unit == 1


def test_a_full_controller_makes_room_for_a_new_one() -> None:
    full = vm(controller(0, "lsilogic"), *(disk(f"sd{letter}", 0, unit) for unit, letter in enumerate("abcdefg")))
    assert choose(full) == Place(1, 0, "virtio-scsi", add=True)


def test_an_asked_place() -> None:
    assert choose(vm(controller(0)), slot=Slot(0, 200)) == Place(0, 200, "virtio-scsi", add=False)
    assert choose(vm(), slot=Slot(0, 3)) == Place(0, 3, "virtio-scsi", add=True)


@pytest.mark.parametrize(
    ("devices", "slot", "error", "words"),
    [
        ([controller(0), disk("sda", 0, 3)], Slot(0, 3), Refused, r"SCSI\(0:3\) of VM app is taken by sda \(/sda\)"),
        ([controller(0)], Slot(0, 256), InvalidInput, r"SCSI\(0:256\) does not exist: a virtio-scsi controller has units 0 to 255"),
        ([controller(0)], Slot(3, 0), InvalidInput, "VM app has no SCSI controller 3: the next that can be added is 1"),
        ([controller(0, "ibmvscsi")], Slot(0), Refused, "SCSI controller 0 of VM app is a ibmvscsi, which passes no LUN through"),
        ([controller(0)], Slot(None, 2), InvalidInput, "Unit 2 was asked for without a bus"),
    ],
)
def test_a_place_that_cannot_be_had(devices: list[str], slot: Slot, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        choose(vm(*devices), slot=slot)


def test_a_full_controller_that_was_asked_for_is_told() -> None:
    full = vm(controller(0, "lsilogic"), *(disk(f"sd{letter}", 0, unit) for unit, letter in enumerate("abcdefg")))
    with pytest.raises(Refused, match=r"SCSI controller 0 \(lsilogic\) of VM app is full"):
        choose(full, slot=Slot(0))


def test_the_first_name_that_no_disk_of_either_part_has() -> None:
    assert places.free_target([vm(disk("sda", 0, 0)), vm(disk("sdb", 0, 1))]) == "sdc"
    alphabet = [disk(f"sd{letter}", 0, unit) for unit, letter in enumerate("abcdefghijklmnopqrstuvwxyz")]
    assert places.free_target([vm(*alphabet)]) == "sdaa"


@pytest.mark.parametrize(
    ("kind", "model", "units", "by_target"),
    [
        ("virtio-scsi", "virtio-scsi", 256, False),
        ("pvscsi", "vmpvscsi", 64, True),
        ("lsilogicsas", "lsisas1068", 8, True),
        ("lsilogic", "lsilogic", 7, False),
    ],
)
def test_every_type_of_controller_is_what_qemu_makes_of_it(kind: str, model: str, units: int, by_target: bool) -> None:
    place = Place(0, 3, kind, add=True)
    assert (place.model, places.controller_type(model), str(place)) == (model, kind, "SCSI(0:3)")
    assert place.address == (DriveAddress(0, 3, 0) if by_target else DriveAddress(0, 0, 3))
    last = units - 1
    assert choose(vm(controller(0, model)), slot=Slot(0, last)).unit == last
    with pytest.raises(InvalidInput, match=rf"SCSI\(0:{units}\) does not exist: a {kind} controller has units 0 to {last}"):
        choose(vm(controller(0, model)), slot=Slot(0, units))


def test_a_controller_whose_model_libvirt_does_not_say_is_just_a_controller() -> None:
    assert (places.controller_type(""), places.controller_type("buslogic")) == ("scsi", "buslogic")


def test_a_disk_on_a_pvscsi_controller_is_counted_by_its_target() -> None:
    assert choose(vm(controller(0, "vmpvscsi"), disk("sda", 0, 0, target=0), disk("sdb", 0, 0, target=1))).unit == 2


def test_a_disk_that_no_unit_can_name_takes_none() -> None:
    (odd,) = vm(controller(0), disk("sda", 0, 5, target=1)).disks
    assert places.unit_at(odd.address, "virtio-scsi") is None
    assert places.unit_at(odd.address, "buslogic") is None


def test_a_disk_on_another_bus_takes_no_unit() -> None:
    ide = disk("hda", 0, 0).replace("bus='scsi'", "bus='ide'")
    virtio = "<disk type='file' device='disk'><source file='/v'/><target dev='vda' bus='virtio'/></disk>"
    unplaced = "<disk type='file' device='disk'><source file='/s'/><target dev='sdz' bus='scsi'/></disk>"
    assert choose(vm(controller(0), ide, virtio, unplaced)).unit == 0
    assert choose(vm(controller(0), controller(1), disk("sda", 1, 0))) == Place(0, 0, "virtio-scsi", add=False)


def test_a_type_that_qemu_passes_no_lun_through_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'buslogic' is not a SCSI controller that QEMU passes LUNs through"):
        choose(vm(), wanted="buslogic")


def test_a_domain_of_which_nothing_is_known_has_no_controllers() -> None:
    assert choose() == Place(0, 0, "virtio-scsi", add=True)


def test_of_the_wished_type_the_lowest_is_taken_and_no_other() -> None:
    there = vm(controller(0), controller(1, "vmpvscsi"), controller(2, "vmpvscsi"))
    assert choose(there, wanted="pvscsi").bus == 1
    assert choose(vm(controller(0, "buslogic"))) == Place(1, 0, "virtio-scsi", add=True)
    assert choose(vm(controller(0, "lsilogic")), wanted="virtio-scsi") == Place(1, 0, "virtio-scsi", add=True)


def test_on_an_asked_controller_the_first_free_unit_is_taken() -> None:
    assert choose(vm(controller(0), disk("sda", 0, 0)), slot=Slot(0)) == Place(0, 1, "virtio-scsi", add=False)


def test_there_is_an_end_to_controllers() -> None:
    full = [controller(index, "buslogic") for index in range(32)]
    assert choose(vm(*full[:31])) == Place(31, 0, "virtio-scsi", add=True)
    with pytest.raises(Refused, match="VM app has 32 SCSI controllers, all full"):
        choose(vm(*full))


def test_who_has_a_place_is_told_by_what_is_in_it() -> None:
    address = "<address type='drive' controller='1' bus='0' target='0' unit='1'/>"
    drive = f"<disk type='file' device='cdrom'><target dev='sdb' bus='scsi'/>{address}</disk>"
    there = vm(controller(0), controller(1), disk("sda", 0, 1), disk("sdc", 1, 0), drive)
    with pytest.raises(Refused, match=r"SCSI\(1:1\) of VM app is taken by sdb \(empty\)"):
        choose(there, slot=Slot(1, 1))
    with pytest.raises(Refused, match=r"SCSI\(0:1\) of VM app is taken by sda \(/sda\)"):
        choose(there, slot=Slot(0, 1))


def test_of_controllers_of_one_type_the_lowest_goes_first_wherever_it_stands() -> None:
    assert choose(vm(controller(1), controller(0))).bus == 0


def test_disks_that_are_planned_fill_a_controller_and_the_next_one_is_added_once() -> None:
    full = vm(controller(0, "lsilogic"), *(disk(f"sd{letter}", 0, unit) for unit, letter in enumerate("abcdef")))
    assert places.choose_each("app", [full, full], [Slot()] * 3, None) == [
        Place(0, 6, "lsilogic", add=False),
        Place(1, 0, "virtio-scsi", add=True),
        Place(1, 1, "virtio-scsi", add=False),
    ]


def test_a_place_that_a_planned_disk_gets_is_taken_by_it() -> None:
    with pytest.raises(Refused, match=r"SCSI\(0:1\) of VM app is taken by another disk of this run \(not attached yet\)"):
        places.choose_each("app", [vm(controller(0))], [Slot(0, 1), Slot(0, 1)], None)
