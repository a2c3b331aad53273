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
