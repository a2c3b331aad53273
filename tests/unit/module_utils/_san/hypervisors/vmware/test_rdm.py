# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is sent to vSphere to add, edit and remove a raw disk."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import rdm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Controller

UUID = "0200000000600a0980383030304f4b4f4c4e6f31754c554e20432d"
DEVICE = "/vmfs/devices/disks/naa.600a0980383030304f4b4f4c4e6f3175"
THERE = Place(1, 3, "pvscsi", Controller("1001", "pvscsi", 1))
TO_ADD = Place(2, 0, "lsilogicsas", None)
PHYSICAL = rdm.Settings("physical", "independent_persistent", "none")
SHARED = rdm.Settings("virtual", "persistent", "multi_writer")


def new_disk(place: Place = THERE, settings: rdm.Settings = PHYSICAL, file: str = "", create: bool = True) -> Any:
    return rdm.add_disk(place, UUID, DEVICE, 5 * 1024**3, settings, file, create)


def existing_disk() -> Any:
    disk = new_disk(settings=SHARED, file="[ds] db01/db01_1.vmdk").device
    disk.key = 2003
    return disk


def test_a_new_disk_sits_on_the_chosen_unit_of_the_existing_controller() -> None:
    disk = new_disk().device
    assert (disk.controllerKey, disk.unitNumber) == (1001, 3)


def test_a_new_disk_names_the_lun_by_identity_and_has_its_size() -> None:
    disk = new_disk().device
    assert (disk.backing.lunUuid, disk.backing.deviceName) == (UUID, DEVICE)
    assert disk.capacityInKB == 5 * 1024**2


def test_a_new_disk_creates_its_mapping_file() -> None:
    change = new_disk(file="[ds_single]")
    assert (change.operation, change.fileOperation, change.device.backing.fileName) == ("add", "create", "[ds_single]")


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        (PHYSICAL, ("physicalMode", "independent_persistent", "sharingNone")),
        (SHARED, ("virtualMode", "persistent", "sharingMultiWriter")),
    ],
)
def test_settings_are_sent_in_the_words_of_the_api(settings: rdm.Settings, sent: tuple[str, str, str]) -> None:
    backing = new_disk(settings=settings).device.backing
    assert (backing.compatibilityMode, backing.diskMode, backing.sharing) == sent


def test_an_existing_mapping_file_keeps_its_own_compatibility_mode() -> None:
    change = new_disk(file="[ds] db01/db01_1.vmdk", create=False)
    assert change.fileOperation is None
    assert change.device.backing.compatibilityMode is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("pvscsi", vim.vm.device.ParaVirtualSCSIController),
        ("lsilogic", vim.vm.device.VirtualLsiLogicController),
        ("lsilogicsas", vim.vm.device.VirtualLsiLogicSASController),
        ("buslogic", vim.vm.device.VirtualBusLogicController),
    ],
)
def test_a_new_controller_has_its_bus_to_itself(kind: str, expected: type) -> None:
    change = rdm.add_controller(kind, 2)
    assert (change.operation, type(change.device), change.device.busNumber, change.device.sharedBus) == ("add", expected, 2, "noSharing")


def test_a_disk_refers_to_the_controller_that_is_added_with_it() -> None:
    assert new_disk(TO_ADD).device.controllerKey == rdm.add_controller("lsilogicsas", 2).device.key < 0
    assert new_disk(TO_ADD).device.key != new_disk(TO_ADD).device.controllerKey


def test_an_edit_changes_only_what_is_asked() -> None:
    change = rdm.edit_disk(existing_disk(), None, "none")
    assert (change.operation, change.fileOperation, change.device.key) == ("edit", None, 2003)
    assert (change.device.backing.diskMode, change.device.backing.sharing) == ("persistent", "sharingNone")


@pytest.mark.parametrize(("destroy_file", "operation"), [(True, "destroy"), (False, None)])
def test_a_removed_disk_takes_its_mapping_file_along_or_leaves_it(destroy_file: bool, operation: str | None) -> None:
    change = rdm.remove_disk(existing_disk(), destroy_file)
    assert (change.operation, change.fileOperation, change.device.key) == ("remove", operation, 2003)
