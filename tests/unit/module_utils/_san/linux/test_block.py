# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Linux host's storage lies on: whole LUNs, volume groups, partitions, mounts, swap."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.block import BlockDevices, file_system_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FileSystem
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.kvm_host import GROUPED, MOUNTED, MOUNTS, PATHLESS, SAN_HOST, loop, mapped
from tests.unit.module_utils._san.linux.machines import Link, plant
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


@pytest.mark.parametrize("spelled", ["/dev/mapper/mpatha", "/dev/dm-0", f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}"])
def test_a_multipath_device_without_paths_is_still_its_lun(tmp_path: Path, spelled: str) -> None:
    assert BlockDevices(Tree(plant(tmp_path, PATHLESS)), "h1").whole(spelled) == NAME


def test_what_lies_on_a_multipath_device_without_paths_still_lies_on_its_lun(tmp_path: Path) -> None:
    group = mapped(5, "vg--b-data", "LVM-b", "dm-0")
    table = {"/proc/1/mountinfo": "27 1 254:0 / /data rw - xfs /dev/mapper/mpatha rw"}
    found = {store.id: store for store in BlockDevices(Tree(plant(tmp_path, PATHLESS, group, table)), "h1").file_systems()}
    assert list(found["/data"].extents) == list(found["vg:vg-b"].extents) == by_id(NAME.naa)


@pytest.mark.parametrize(("path", "name"), [("/dev/mapper/mpathc", OTHER), ("/dev/mapper/mpathd", None), ("/srv/mpathc", None)])
def test_a_friendly_name_that_the_host_does_not_have_now_names_the_lun_that_multipath_keeps_it_for(
    tmp_path: Path, path: str, name: ScsiName | None
) -> None:
    kept = {"/etc/multipath/bindings": f"# Multipath bindings, Version : 1.0\nmpathb {NAME.wwid}\nmpathc {OTHER.wwid}"}
    assert BlockDevices(Tree(plant(tmp_path, SAN_HOST, kept)), "h1").whole(path) == name


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


def test_a_mount_that_another_one_covers_still_holds_its_lun(tmp_path: Path) -> None:
    covered = {"/proc/1/mountinfo": f"{MOUNTS}\n50 40 0:60 / /srv/images rw - tmpfs tmpfs rw"}
    stores = {store.id: store for store in BlockDevices(Tree(plant(tmp_path, SAN_HOST, covered)), "h1").file_systems()}
    assert list(stores["/srv/images"].extents) == []
    assert (stores["hidden:8:65:/srv/images"].name, list(stores["hidden:8:65:/srv/images"].extents)) == (
        "/srv/images (hidden)",
        by_id(MOUNTED),
    )
    assert file_system_of("/srv/images/a.qcow2", list(stores.values())) == "/srv/images"


def test_what_only_this_process_has_mounted_holds_its_lun_and_the_first_process_says_what_a_place_is(tmp_path: Path) -> None:
    own = {"/proc/self/mountinfo": "60 1 8:0 / /mnt rw - xfs /dev/sda rw\n61 1 8:32 / /srv/images rw - xfs /dev/sdc rw"}
    stores = {store.id: store for store in BlockDevices(Tree(plant(tmp_path, SAN_HOST, own)), "h1").file_systems()}
    assert list(stores["/mnt"].extents) == by_id(NAME.naa)
    assert list(stores["/srv/images"].extents) == by_id(MOUNTED)
    assert list(stores["hidden:8:32:/srv/images"].extents) == by_id(OTHER.naa)


def test_btrfs_which_has_a_number_of_its_own_lies_on_the_device_that_it_names(tmp_path: Path) -> None:
    table = {"/proc/1/mountinfo": f"27 1 0:47 /@ /data rw - btrfs /dev/disk/by-id/{OTHER.wwn} rw"}
    (store,) = [store for store in BlockDevices(Tree(plant(tmp_path, SAN_HOST, table)), "h1").file_systems() if store.id == "/data"]
    assert list(store.extents) == by_id(OTHER.naa)


ROOT, IMAGES, COVER = "253:0", "8:65", "8:32"
"""The numbers of the file systems of a host at / and /srv/images, and of one that may be mounted over the latter."""
OVER_IT = f"71 27 {COVER} / /srv/images rw - xfs /dev/sdc rw"


def mounted(tmp_path: Path, backing: str, *rows: str, told: str = "") -> dict[str, FileSystem]:
    """The file systems of a host with a loop device, which is mounted at /data; `told` is the number of what has its file."""
    table = {"/proc/1/mountinfo": "\n".join([MOUNTS, *rows, "70 27 7:3 / /data rw - ext4 /dev/loop3 rw"])}
    tree = Tree(plant(tmp_path, SAN_HOST, loop(3, backing), table))
    return {store.id: store for store in BlockDevices(tree, "h1", lambda: f"/dev/loop2   8:1\n/dev/loop3   {told}\n").file_systems()}


@pytest.mark.parametrize(
    ("backing", "told", "lun"),
    [("/srv/images/a.img", IMAGES, MOUNTED), ("/dev/sdc", "0:5", OTHER.naa), ("/dev/dm-0", "0:5", NAME.naa), ("/dev/dm-1", "", GROUPED)],
)
def test_what_is_on_a_loop_device_lies_on_the_lun_below_its_file_or_device(tmp_path: Path, backing: str, told: str, lun: str) -> None:
    assert list(mounted(tmp_path, backing, told=told)["/data"].extents) == by_id(lun)


@pytest.mark.parametrize(
    ("backing", "told"),
    [
        ("/srv/images/a.img (deleted)", IMAGES),
        ("/srv/nfs/a.img", "0:50"),
        ("/srv/with space/a.img", "0:51"),
        ("/data/itself.img", "7:3"),
        ("/srv/images/a.img", ""),
    ],
    ids=["deleted", "on a server", "in memory", "on itself", "on what nobody tells"],
)
def test_a_loop_device_of_whose_file_nobody_tells_where_it_is_stays_itself(tmp_path: Path, backing: str, told: str) -> None:
    assert list(mounted(tmp_path, backing, told=told)["/data"].extents) == ["/dev/loop3"]


@pytest.mark.parametrize(
    ("told", "extents"),
    [(IMAGES, by_id(MOUNTED)), (COVER, by_id(OTHER.naa)), (ROOT, ["/dev/vda"]), ("", ["/dev/loop3"])],
    ids=["it was there before", "it came after", "before both", "nobody tells"],
)
def test_of_mounts_over_each_other_the_one_has_the_file_of_a_loop_device_that_the_kernel_tells(
    tmp_path: Path, told: str, extents: list[str]
) -> None:
    assert list(mounted(tmp_path, "/srv/images/a.img", OVER_IT, told=told)["/data"].extents) == extents


def test_a_file_below_a_loop_device_is_on_what_the_kernel_tells_whatever_its_path_means_here(tmp_path: Path) -> None:
    assert list(mounted(tmp_path, "/in/a/container.img", told=COVER)["/data"].extents) == by_id(OTHER.naa)


@pytest.mark.parametrize(
    ("rows", "extents"),
    [
        (["72 27 0:47 / /srv/images rw - btrfs /dev/sdc rw"], by_id(OTHER.naa)),
        (["72 27 0:47 / /srv rw - btrfs /dev/sdc rw", "73 72 0:48 / /srv/images rw - btrfs /dev/sdb rw"], ["/dev/loop3"]),
        (["72 27 0:47 / /srv rw - btrfs /dev/sdc rw", "73 72 0:99 / /srv/images rw - tmpfs tmpfs rw"], ["/dev/loop3"]),
        ([], ["/dev/loop3"]),
    ],
    ids=["the only one", "one of two", "in memory above one", "none"],
)
def test_a_file_on_btrfs_has_a_number_of_which_no_mount_tells(tmp_path: Path, rows: list[str], extents: list[str]) -> None:
    assert list(mounted(tmp_path, "/srv/images/a.img", *rows, told="0:99")["/data"].extents) == extents


def test_a_host_without_loop_devices_is_not_asked_for_them(tmp_path: Path) -> None:
    def never() -> str:
        raise AssertionError

    assert BlockDevices(Tree(plant(tmp_path, SAN_HOST)), "h1", never).file_systems()


def test_a_loop_device_that_is_mounted_over_the_place_of_its_file_does_not_lie_on_itself(tmp_path: Path) -> None:
    below = f"69 27 {COVER} / /data rw - xfs /dev/sdc rw"
    assert list(mounted(tmp_path, "/data/a.img", below, told=COVER)["/data"].extents) == by_id(OTHER.naa)


def test_btrfs_lies_on_all_its_devices(tmp_path: Path) -> None:
    table = {"/proc/1/mountinfo": "27 1 0:47 /@ /data rw - btrfs /dev/sdc rw"}
    listed = {f"/sys/fs/btrfs/{uuid}/devices/{name}": Link("x") for uuid, name in (("a", "sda"), ("b", "sdc"), ("b", "sde"))}
    tree = Tree(plant(tmp_path, SAN_HOST, table, listed))
    (store,) = [store for store in BlockDevices(tree, "h1").file_systems() if store.id == "/data"]
    assert list(store.extents) == [*by_id(OTHER.naa), *by_id(MOUNTED)]


def test_a_file_that_is_called_as_a_device_is_none(tmp_path: Path) -> None:
    blocks = BlockDevices(Tree(plant(tmp_path, SAN_HOST, {"/srv/images/sda": "", "/srv/images/vda": ""})), "h1")
    assert (blocks.whole("/srv/images/sda"), blocks.part("/srv/images/vda")) == (None, None)
