# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies under a disk is known by the LUN's name, whatever the host calls it; what cannot be followed says why and the way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    ArrayAbout,
    FileSystem,
    ImageFile,
    Inventory,
    Lun,
    ScsiDevice,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArrayView
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import LUN, Resource, Resources
from tests.unit.ports import NAME, OTHER, lun

ARRAY = ArrayAbout("ontap", "lab", "ontap.example.com", "9.16.1")
FOREIGN = ScsiName("600601601234567890abcdef12345678")
HOST = "h1"
VM = VirtualMachine("vm-1", "app", host=HOST)


def seen(name: ScsiName | None = NAME, device: str = "sdb", **more: Any) -> ScsiDevice:
    return replace(ScsiDevice(HOST, device, name, 1, aliases=["by-id/b"]), **more)


def image(**more: Any) -> VirtualDisk:
    return replace(VirtualDisk("2000", "Hard disk 1", "image"), **more)


def raw(device: str = "by-id/b", **more: Any) -> VirtualDisk:
    return replace(VirtualDisk("2001", "Hard disk 2", "passthrough", device=device), **more)


def answers(*luns: Lun) -> ArrayView:
    return ArrayView(luns={found.name: [(ARRAY, found)] for found in luns})


def resolved(*devices: ScsiDevice, stores: tuple[FileSystem, ...] = (), told: ArrayView | None = None) -> Resources:
    resources = Resources(Inventory(devices=devices, file_systems=stores))
    resources.resolve(told or ArrayView())
    return resources


def under(resources: Resources, disk: VirtualDisk) -> Resource:
    (resource,) = resources.disk(VM, disk).under
    return resource


def test_before_an_array_has_answered_no_lun_is_on_one() -> None:
    (resource,) = Resources(Inventory()).of_device(seen())
    assert (resource.kind, resource.status) == ("lun", "unresolved")


def test_what_arrays_tell_later_counts() -> None:
    resources = resolved(seen())
    assert under(resources, raw()).status == "unresolved"
    resources.resolve(answers(lun(NAME)))
    assert under(resources, raw()).status == "mapped"


def test_the_serial_number_is_the_arrays_else_the_one_in_the_name() -> None:
    array = replace(lun(NAME), serial="told")
    assert Resource(LUN, "sdb", NAME, array=ARRAY, lun=array).columns["serial"] == "told"
    assert Resource(LUN, "sdb", NAME).columns["serial"] == "80Lab-aaaaa1"
    assert Resource(LUN, "sdb", FOREIGN).columns["serial"] == ""


def test_a_raw_disk_is_the_lun_that_the_host_sees_under_that_name_and_is_called_as_the_host_calls_it() -> None:
    resource = under(resolved(seen()), raw())
    assert (resource.name, resource.device) == (NAME, "sdb")
    assert Resources(Inventory(devices=[seen()])).lun_names_under([replace(VM, disks=[raw()])]) == {NAME}


def test_a_raw_disk_of_which_the_host_sees_nothing_says_so_with_the_way_out() -> None:
    resource = under(resolved(), raw())
    assert (resource.device, resource.status) == ("by-id/b", "unresolved")
    assert resource.reason == "the device by-id/b is not visible on the VM's host, so its LUN is unknown"
    assert resource.way_out.startswith("map the LUN to the host's initiators and let the host rescan")
    assert under(resolved(), raw("")).reason.startswith("the device of the disk is not visible")


def test_a_file_on_a_file_system_that_nobody_knows_says_so_with_the_way_out() -> None:
    resource = under(resolved(), image(path="a.vmdk", file_system="gone"))
    assert resource.reason == "the file system of a.vmdk is not known to the hypervisor"
    assert resource.way_out.startswith("mount it on the VM's host")
    assert under(resolved(), image(file_system="gone")).reason.startswith("the file system of the disk is")


def test_a_parent_is_a_lun_or_a_file_and_is_told_after_the_disks_own_file() -> None:
    stores = (FileSystem("ds-1", "gold", "vmfs", [HOST], [str(OTHER)]),)
    disk = image(path="top", file_system="ds-1", parents=[ImageFile("base", "ds-1"), ImageFile("lun", "ds-1", NAME)])
    found = resolved(stores=stores).disk(VM, disk)
    assert [(file.path, [resource.name for resource in file.under]) for file in found.files] == [
        ("top", [OTHER]),
        ("base", [OTHER]),
        ("lun", [NAME]),
    ]


@pytest.mark.parametrize(("hosts", "host"), [([HOST], HOST), ([HOST, "h2"], "")])
@pytest.mark.parametrize("device", ["/dev/loop0", "mpx.vmhba0:C0:T0:L0"])
def test_what_has_no_name_is_one_hosts_where_one_host_has_it(device: str, hosts: list[str], host: str) -> None:
    resource = under(resolved(stores=(FileSystem("ds-1", "gold", "vmfs", hosts, [device]),)), image(path="a", file_system="ds-1"))
    assert resource.host == host


def test_a_device_over_others_says_what_to_look_at() -> None:
    (resource,) = resolved().of_device(seen(None, "/dev/loop0"))
    assert (resource.host, resource.way_out) == (HOST, "look on its host what is below it")


def test_a_disk_that_its_host_calls_its_own_says_that_it_is_on_no_array() -> None:
    (resource,) = resolved(seen(local=True)).of_device(seen())
    assert (resource.status, resource.reason) == ("local", "sdb is a local disk of its host, on no array")


@pytest.mark.parametrize("kind", ["vsan", "pmem"])
def test_what_hosts_keep_on_their_own_disks_is_local(kind: str) -> None:
    stores = (FileSystem("ds-1", "gold", kind, [HOST]),)
    assert under(resolved(stores=stores), image(path="a", file_system="ds-1")).status == "local"


def test_paths_are_counted_over_all_devices_that_tell_them() -> None:
    devices = [
        seen(paths_live=2, paths_dead=1),
        seen(device="sdc", paths_live=1, paths_dead=0),
        seen(device="sdd"),
        seen(OTHER, paths_dead=1),
        seen(None, paths_live=7, paths_dead=7),
    ]
    resources = resolved(*devices)
    assert resources.paths(NAME, HOST) == (3, 1)
    assert resources.paths(OTHER, HOST) == (None, None)
    assert resources.paths(None, HOST) == (None, None), "devices without a name are many"
