# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Linux host's storage lies on: whole LUNs, volume groups, partitions, mounts, swap."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.block import BlockDevices, Mount, file_system_of, parse_mounts
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FileSystem
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.kvm_host import GROUPED, MOUNTED, MOUNTS, SAN_HOST
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER


@pytest.fixture
def blocks(tmp_path: Path) -> BlockDevices:
    return BlockDevices(Tree(plant(tmp_path, SAN_HOST)), "h1")


def by_id(naa: str) -> list[str]:
    return [f"/dev/disk/by-id/wwn-0x{naa}"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/dev/sda", NAME),
        ("/dev/mapper/mpatha", NAME),
        (f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}", NAME),
        (f"/dev/disk/by-id/{OTHER.wwn}", OTHER),
        ("/dev/sde1", None),
        ("/dev/vg-a/data", None),
        ("/dev/vda", None),
        ("/srv/images/a.qcow2", None),
    ],
)
def test_a_whole_lun_is_known_by_any_path_and_nothing_else_is_one(blocks: BlockDevices, path: str, name: ScsiName | None) -> None:
    assert blocks.whole(path) == name


def test_a_link_that_the_host_does_not_have_still_names_its_lun(blocks: BlockDevices) -> None:
    gone = "600a098038304c61622d616161616139"
    assert blocks.whole(f"/dev/disk/by-id/wwn-0x{gone}") == ScsiName(gone)


def test_a_logical_volume_is_a_part_of_its_group(blocks: BlockDevices) -> None:
    assert blocks.part("/dev/vg-a/data") == FileSystem("vg:vg-a", "vg-a", "lvm", ["h1"], by_id(GROUPED))


def test_a_partition_is_a_part_of_its_lun(blocks: BlockDevices) -> None:
    assert blocks.part("/dev/sde1") == FileSystem("block:/dev/sde1", "/dev/sde1", "block device", ["h1"], by_id(MOUNTED))


def test_what_is_no_block_device_is_no_part(blocks: BlockDevices) -> None:
    assert blocks.part("/srv/images/a.qcow2") is None


def test_mounts_swap_and_groups_lie_on_what_is_at_the_bottom(blocks: BlockDevices) -> None:
    found = {store.id: store for store in blocks.file_systems()}
    assert list(found["/srv/images"].extents) == by_id(MOUNTED)
    assert list(found["vg:vg-a"].extents) == by_id(GROUPED)
    assert (list(found["/"].extents), list(found["swap:/dev/vda"].extents)) == (["/dev/vda"], ["/dev/vda"])
    assert (found["/srv/nfs"].remote, found["/srv/nfs"].kind) == ("nas.example.com:/export/vm", "nfs4")
    assert list(found["/srv/with space"].extents) == []
    assert "swap:/swapfile" not in found


def test_a_lun_with_two_paths_is_one_device_with_its_multipath_name(blocks: BlockDevices) -> None:
    device = next(device for device in blocks.devices() if device.name == NAME)
    assert (device.device, list(device.aliases)) == (f"/dev/disk/by-id/{NAME.wwn}", ["/dev/sda", "/dev/sdb", "/dev/mapper/mpatha"])


def test_the_nearest_mount_holds_a_file() -> None:
    stores = [FileSystem(place, place, "ext4") for place in ("/", "/srv", "/srv/images")]
    assert file_system_of("/srv/images/a.qcow2", stores) == "/srv/images"
    assert file_system_of("/srv/images2/a.qcow2", stores) == "/srv"
    assert file_system_of("/srv/images/a.qcow2", []) == ""


def test_a_mount_table_is_read_with_its_escapes_and_without_what_is_no_line_of_one() -> None:
    assert parse_mounts(MOUNTS)[-1] == Mount("/srv/with space", "0:51", "tmpfs", "tmpfs")
    assert parse_mounts("nonsense\n1 2 3") == []
