# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN as a disk of a Linux machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.disk import GuestDisk, find
from tests.unit.module_utils._san.guests.linux.guest import GIB, NAME, OTHER, Attached, PlayedKernel
from tests.unit.module_utils._san.linux.machines import Link

FIRST = Attached("2:0:0:1", "sdb")
SECOND = Attached("3:0:4:0", "sdc")


@pytest.fixture
def kernel(tmp_path: Path) -> PlayedKernel:
    kernel = PlayedKernel(tmp_path)
    kernel.show(FIRST)
    return kernel


def found(kernel: PlayedKernel) -> GuestDisk:
    disk = find(kernel.tree, NAME)
    assert disk is not None
    return disk


def test_a_disk_is_found_by_its_name_with_all_that_it_tells(kernel: PlayedKernel) -> None:
    kernel.show(Attached("2:0:0:2", "sdz", OTHER))
    assert found(kernel).result() == {
        "device": "/dev/sdb",
        "path": "/dev/sdb",
        "by_id": f"/dev/disk/by-id/wwn-0x{NAME.naa}",
        "address": "2:0:0:1",
        "paths": [{"device": "/dev/sdb", "address": "2:0:0:1", "state": "active"}],
        "multipath": None,
        "size_bytes": GIB,
        "vendor": "NETAPP",
        "model": "LUN C-Mode",
        "serial": "RLIta+DhqCVk",
        "naa": NAME.naa,
        "partitions": [],
    }


def test_another_lun_is_not_taken_for_it(kernel: PlayedKernel) -> None:
    assert find(kernel.tree, OTHER) is None


def test_its_partitions_in_the_order_of_their_numbers(kernel: PlayedKernel) -> None:
    kernel.partition(FIRST, 10, 512)
    kernel.partition(FIRST, 2, 1024)
    disk = found(kernel)
    assert [(part.number, part.device, part.size_bytes) for part in disk.partitions] == [(2, "/dev/sdb2", 1024), (10, "/dev/sdb10", 512)]
    assert disk.blocks == ["sdb", "sdb2", "sdb10"]


def test_a_link_that_leads_to_another_device_is_not_its_own(kernel: PlayedKernel) -> None:
    kernel.add({"/dev/sdx": ""})
    kernel.link(Attached("2:0:0:9", "sdx"))
    assert found(kernel).by_id == ""


def test_the_older_link_where_udev_makes_no_other(kernel: PlayedKernel) -> None:
    (kernel.root / "dev/disk/by-id" / NAME.wwn).unlink()
    kernel.add({f"/dev/disk/by-id/scsi-3{NAME.naa}": Link("../../sdb")})
    assert found(kernel).by_id == f"/dev/disk/by-id/scsi-3{NAME.naa}"


def test_a_serial_number_that_is_none_is_empty(kernel: PlayedKernel) -> None:
    (kernel.root / FIRST.directory[1:] / "vpd_pg80").write_bytes(b"\x00\x80\x00\xff")
    assert found(kernel).serial == ""


def test_a_multipath_device_stands_for_its_paths(kernel: PlayedKernel) -> None:
    kernel.show(SECOND)
    kernel.multipath(FIRST, SECOND)
    disk = found(kernel)
    assert (disk.device, disk.map_name, disk.by_id) == ("/dev/mapper/mpathb", "mpathb", f"/dev/disk/by-id/dm-uuid-mpath-3{NAME.naa}")
    assert [path.device for path in disk.paths] == ["/dev/sdb", "/dev/sdc"]
    assert disk.blocks == ["sdb", "sdc", "dm-3"]


def test_the_partitions_of_a_multipath_device_are_kpartx_s(kernel: PlayedKernel) -> None:
    kernel.multipath(FIRST)
    dm = "/sys/devices/virtual/block/dm-4"
    kernel.add(
        {
            "/sys/devices/virtual/block/dm-3/holders/dm-4": "",
            "/sys/devices/virtual/block/dm-3/holders/dm-5": "",
            f"{dm}/dm/name": "mpathb-part1",
            f"{dm}/dm/uuid": f"part1-mpath-3{NAME.naa}",
            f"{dm}/size": "8",
            "/sys/class/block/dm-4": Link("../../devices/virtual/block/dm-4"),
        }
    )
    assert [(part.number, part.device, part.size_bytes) for part in found(kernel).partitions] == [(1, "/dev/mapper/mpathb-part1", 4096)]


def test_two_multipath_devices_of_one_lun_are_told(kernel: PlayedKernel) -> None:
    kernel.show(SECOND)
    kernel.multipath(FIRST)
    kernel.add(
        {
            f"{SECOND.directory}/block/sdc/holders/dm-7": "",
            "/sys/class/block/dm-7/dm/uuid": f"mpath-3{NAME.naa}-again",
        }
    )
    with pytest.raises(Ambiguous, match="is in several multipath devices, dm-3, dm-7: let one of them hold all paths"):
        find(kernel.tree, NAME)


def test_udev_s_verdict_that_multipath_will_take_a_path(kernel: PlayedKernel) -> None:
    assert not found(kernel).claimed
    kernel.add({"/run/udev/data/b8:16": "E:ID_SCSI=1\nE:DM_MULTIPATH_DEVICE_PATH=1"})
    assert found(kernel).claimed
