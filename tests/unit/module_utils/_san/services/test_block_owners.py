# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a block of a LUN is: every owner, and nobody only where all could be looked into."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import passthrough
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    HOLE,
    NO_ADDRESS,
    SHARED,
    ArrayAbout,
    BlockExtent,
    DiskBlocks,
    FileSystem,
    GuestBlock,
    Host,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.block_owners import (
    CANNOT_TELL,
    IN_IMAGE,
    NOBODY,
    OWNED,
    Question,
    in_words,
    owners,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.where import Where
from tests.unit.module_utils._san.block_addresses.test_partitions import mbr
from tests.unit.ports import NAME, OTHER, MemoryArray, MemoryHypervisor, lun

K = 1 << 10
MIB = 1 << 20
FOREIGN = type(NAME)("6001405" + "a" * 25)
"""A LUN of an array that nobody named, whose blocks nobody tells the size of."""
STORE = FileSystem("fs", "/srv", "ext4", ["h1"], extents=[str(NAME)])
IMAGE = VirtualDisk("vda", "vda", "image", size_bytes=64 * MIB, path="/srv/a", file_system="fs")
PASSED = VirtualDisk("sda", "sda", "passthrough", size_bytes=64 * MIB, device=str(NAME), name=NAME)
PARTS = (
    BlockExtent(0, 4 * MIB, DATA, file="/srv/a", file_offset=MIB, device="/dev/sda", name=NAME, offset=8 * MIB, block_size=512),
    BlockExtent(4 * MIB, 60 * MIB, HOLE),
)
FILE = BlockExtent(0, 8 * MIB, DATA, file="/srv/a", file_offset=0, device="/dev/sda", name=NAME, offset=7 * MIB, block_size=512)
MAP = DiskBlocks(PARTS, [FILE], format="qcow2")


def there(*disks: VirtualDisk, vms: tuple[str, ...] = ("app",), **told: Any) -> MemoryHypervisor:
    machines = [VirtualMachine(f"id-{name}", name, host="h1", disks=disks) for name in vms]
    device = ScsiDevice("h1", str(NAME), NAME, 1 << 30)
    return MemoryHypervisor([Host("h1", "kvm1")], machines, file_systems=[STORE], seen=[device], **told)


def of(hypervisor: MemoryHypervisor, *blocks: int, **where: str) -> list[dict[str, Any]]:
    sources = [ArraySource("ontap.example.com", lambda: MemoryArray(lun(NAME)))]
    return [*owners(hypervisor, sources, Question(Where(**(where or {"naa": str(NAME)})), blocks)).rows]


def block(place: int) -> int:
    return place // 512


def test_an_image_that_tells_its_own_size_is_as_whole_as_one_whose_size_was_known() -> None:
    unsized = there(replace(IMAGE, size_bytes=0), blocks={("app", "vda"): MAP})
    assert [row["status"] for row in of(unsized, block(9 * MIB), block(7 * MIB), block(100 * MIB))] == [OWNED, IN_IMAGE, NOBODY]
    untold = DiskBlocks([BlockExtent(0, 0, NO_ADDRESS, "its log is not empty")], unfollowed=True)
    (row,) = of(there(replace(IMAGE, size_bytes=0), blocks={("app", "vda"): untold}), block(9 * MIB))
    assert row["status"] == CANNOT_TELL


def test_a_block_of_an_image_is_that_of_its_disk_and_of_its_file() -> None:
    (row,) = of(there(IMAGE, blocks={("app", "vda"): MAP}), block(9 * MIB))
    told = {
        name: row[name]
        for name in ("vm_name", "disk", "status", "virtual_offset", "state", "file", "file_offset", "lba", "block_size", "svm")
    }
    assert told == {
        "vm_name": "app",
        "disk": "vda",
        "status": "owned",
        "virtual_offset": MIB,
        "state": "data",
        "file": "/srv/a",
        "file_offset": 2 * MIB,
        "lba": block(9 * MIB),
        "block_size": 512,
        "svm": "svm1",
    }


def test_a_block_of_a_lun_passed_through_is_the_same_block_of_its_disk() -> None:
    (row,) = of(there(PASSED), 2048)
    assert (row["vm_name"], row["virtual_offset"], row["file"], row["status"]) == ("app", MIB, "", "owned")


def test_a_block_with_several_owners_is_told_once_for_each() -> None:
    shared = DiskBlocks([replace(PARTS[0], state=SHARED)], [FILE])
    found = of(there(IMAGE, vms=("app", "db"), blocks={("app", "vda"): shared, ("db", "vda"): shared}), block(8 * MIB))
    assert [(row["vm_name"], row["state"]) for row in found] == [("app", "shared"), ("db", "shared")]


def test_a_block_that_two_ranges_of_a_disk_have_is_told_for_both() -> None:
    halves = DiskBlocks([replace(PARTS[0], length=256), replace(PARTS[0], start=MIB, length=256, offset=8 * MIB + 256)])
    found = of(there(IMAGE, blocks={("app", "vda"): halves}), block(8 * MIB))
    assert [row["virtual_offset"] for row in found] == [0, MIB]


def test_a_block_of_the_file_that_is_none_of_the_disk_is_told_so() -> None:
    (row,) = of(there(IMAGE, blocks={("app", "vda"): MAP}), block(7 * MIB))
    assert (row["status"], row["vm_name"], row["virtual_offset"], row["file_offset"]) == ("in_image", "app", None, 0)
    assert "in no block of the disk" in row["reason"]


def test_a_block_that_no_image_has_is_nobodys_and_the_file_system_is_named() -> None:
    (row,) = of(there(IMAGE, blocks={("app", "vda"): MAP}), block(100 * MIB))
    assert (row["status"], row["vm_name"], row["virtual_offset"]) == ("nobody", "", None)
    assert "the LUN holds /srv" in row["reason"]


def test_the_blocks_at_the_edges_of_a_range_are_in_it_and_those_beside_it_are_not() -> None:
    only = {("app", "vda"): DiskBlocks(PARTS)}
    places = (8 * MIB - 512, 8 * MIB, 12 * MIB - 512, 12 * MIB)
    found = of(there(IMAGE, blocks=only), *map(block, places))
    assert [row["status"] for row in found] == ["nobody", "owned", "owned", "nobody"]


@pytest.mark.parametrize(
    ("told", "who"),
    [
        ({"blocks": {("app", "vda"): DiskBlocks([replace(PARTS[1], state=NO_ADDRESS, reason="compressed")])}}, "disk vda of VM app"),
        ({"blocks": {("app", "vda"): MAP}, "uses": [Use("VM", "other", "id", "has a vhost target")]}, "VM other"),
    ],
)
def test_nobody_is_not_told_while_something_could_not_be_looked_into(told: dict[str, Any], who: str) -> None:
    (row,) = of(there(IMAGE, **told), block(100 * MIB))
    assert row["status"] == "cannot_tell"
    assert f"nobody can tell of {who}" in row["reason"]


def test_a_disk_of_which_nobody_knows_where_it_lies_may_have_the_block() -> None:
    lost = replace(IMAGE, key="vdb", label="vdb", file_system="elsewhere")
    (row,) = of(there(IMAGE, lost, blocks={("app", "vda"): MAP, ("app", "vdb"): DiskBlocks([])}), block(100 * MIB))
    assert (row["status"], "disk vdb of VM app" in row["reason"]) == ("cannot_tell", True)


def test_an_image_elsewhere_may_be_based_on_one_that_is_on_the_lun() -> None:
    other = FileSystem("other", "/other", "ext4", ["h1"], extents=[str(OTHER)])
    over = replace(IMAGE, path="/other/top", file_system="other")
    hypervisor = there(over, blocks={("app", "vda"): MAP})
    hypervisor.file_systems.append(other)
    found = of(hypervisor, block(9 * MIB), block(100 * MIB))
    assert [(row["status"], row["file"]) for row in found] == [("owned", "/srv/a"), ("nobody", "")]


def test_what_is_to_be_known_of_an_image_that_is_wholly_elsewhere_is_no_warning_here() -> None:
    over = replace(IMAGE, path="/other/top", file_system="other")
    hypervisor = there(over, blocks={("app", "vda"): DiskBlocks([replace(PARTS[0], name=OTHER)], warnings=["VM app runs."])})
    hypervisor.file_systems.append(FileSystem("other", "/other", "ext4", ["h1"], extents=[str(OTHER)]))
    assert owners(hypervisor, [], Question(Where(naa=str(NAME)), [0])).warnings == []


def test_disks_on_other_luns_are_not_asked_about() -> None:
    elsewhere = replace(PASSED, name=OTHER, device=str(OTHER), key="sdb", label="sdb")
    hypervisor = there(PASSED, elsewhere)
    of(hypervisor, 0)
    assert "disk_blocks of 1" in hypervisor.calls


@pytest.mark.parametrize("where", [{"naa": NAME.ontap_serial}, {"lun_path": lun(NAME).path}, {"lun_path": f"svm1:{lun(NAME).path}"}])
def test_a_lun_is_known_by_its_serial_number_and_by_its_path(where: dict[str, str]) -> None:
    (row,) = of(there(PASSED), 0, **where)
    assert row["naa"] == NAME.naa


@pytest.mark.parametrize(
    ("blocks", "where", "message"),
    [
        ((1 << 40,), {"naa": str(NAME)}, f"LUN {NAME} has no block {1 << 40}: it has"),
        ((-1,), {"naa": str(NAME)}, "has no block -1"),
        ((0,), {"naa": str(OTHER)}, "No host of this hypervisor sees"),
        ((0,), {"lun_path": "/vol/none/l1"}, "There is no LUN path '/vol/none/l1'"),
        ((0,), {"naa": ""}, "No LUN was named: give its naa or its lun_path"),
    ],
)
def test_what_there_is_not_is_refused_in_a_sentence(blocks: tuple[int, ...], where: dict[str, str], message: str) -> None:
    with pytest.raises(CrossvisorError, match=message):
        of(there(PASSED), *blocks, **where)


def test_where_nobody_tells_how_large_a_block_is_that_is_asked_for() -> None:
    hypervisor = MemoryHypervisor([Host("h1", "kvm1")], [VirtualMachine("i", "app", host="h1", disks=[replace(PASSED, name=FOREIGN)])])
    with pytest.raises(CrossvisorError, match="give block_size"):
        owners(hypervisor, [], Question(Where(naa=str(FOREIGN)), [0]))
    (row,) = owners(hypervisor, [], Question(Where(naa=str(FOREIGN)), [1], 4096)).rows
    assert row["virtual_offset"] == 4096


def test_the_partition_of_the_guest_is_told_where_its_table_can_be_read() -> None:
    hypervisor = there(PASSED, written={("app", "sda"): mbr((0x83, 2048, 4096))})
    inside, outside = of(hypervisor, 3000, 100)
    assert (inside["partition"], inside["partition_start"], inside["partition_offset"]) == (1, MIB, 952 * 512)
    assert (outside["partition"], "outside of all partitions" in outside["reason"]) == (None, True)
    assert hypervisor.calls.count("read_disk") == 1


def test_where_it_cannot_be_read_the_row_says_so() -> None:
    (row,) = of(there(PASSED), 3000)
    assert (row["partition"], row["reason"]) == (None, "what partitions the guest has cannot be read from here")


def test_a_warning_of_a_map_is_one_of_the_answer() -> None:
    told = {("app", "vda"): replace(MAP, warnings=["VM app runs."])}
    sources = [ArraySource("ontap.example.com", lambda: MemoryArray(lun(NAME)))]
    assert owners(there(IMAGE, blocks=told), sources, Question(Where(naa=str(NAME)), [0])).warnings == ["VM app runs."]


def test_a_row_is_a_sentence_for_people() -> None:
    told = there(IMAGE, blocks={("app", "vda"): MAP}, written={("app", "vda"): mbr((0x83, 1024, 8192))})
    block_of = f"of LUN {NAME} (svm1:{lun(NAME).path})"
    owned, in_image, nobodys = (in_words(row) for row in of(told, block(9 * MIB), block(7 * MIB), block(100 * MIB)))
    assert owned == (
        f"Block 18432 {block_of} is byte 1048576 of disk vda of VM app (data), partition 1 at byte 524288, in /srv/a at byte 2097152."
    )
    assert in_image.startswith(f"Block 14336 {block_of} belongs to disk vda of VM app, in /srv/a at byte 0: in the image's file, but")
    assert nobodys.startswith(f"Block 204800 {block_of} is nobody's: in the image of no VM; the LUN holds /srv")


class TestFiles:
    """The guest's file, which is asked for by wish."""

    FOUND = GuestBlock("ext4", 238, ["/var/lib/db"])

    @staticmethod
    def ask(hypervisor: MemoryHypervisor, *blocks: int) -> list[dict[str, Any]]:
        return [*owners(hypervisor, [], Question(Where(naa=str(NAME)), blocks, files=True)).rows]

    def test_it_is_looked_for_in_the_partition(self) -> None:
        hypervisor = there(PASSED, written={("app", "sda"): mbr((0x83, 2048, 4096))}, guest=self.FOUND)
        (row,) = self.ask(hypervisor, 3000)
        assert f"guest_block {(MIB, 2 * MIB)} {952 * 512}" in hypervisor.calls
        assert (row["guest_file_system"], row["guest_block"], row["guest_files"]) == ("ext4", 238, ["/var/lib/db"])
        assert ", partition 1 at byte 487424, /var/lib/db in its ext4" in in_words(row)

    def test_the_logical_volume_is_told_also_where_no_file_is(self) -> None:
        guest = GuestBlock(reason="data/pool is a part of thin", volume="data/pool")
        hypervisor = there(PASSED, written={("app", "sda"): mbr((0x83, 2048, 4096))}, guest=guest)
        (row,) = self.ask(hypervisor, 3000)
        assert (row["guest_volume"], row["guest_files"]) == ("data/pool", [])
        assert ", partition 1 at byte 487424, logical volume data/pool: data/pool is a part of thin" in in_words(row)

    def test_a_disk_without_partitions_may_be_a_file_system_itself(self) -> None:
        hypervisor = there(PASSED, written={("app", "sda"): bytes(65536)}, guest=self.FOUND)
        (row,) = self.ask(hypervisor, 3000)
        assert (f"guest_block {(0, 64 * MIB)} {3000 * 512}" in hypervisor.calls, row["guest_files"]) == (True, ["/var/lib/db"])

    def test_outside_of_all_partitions_there_is_none(self) -> None:
        hypervisor = there(PASSED, written={("app", "sda"): mbr((0x83, 2048, 4096))}, guest=self.FOUND)
        (row,) = self.ask(hypervisor, 100)
        assert (row["guest_files"], any(call.startswith("guest_block") for call in hypervisor.calls)) == ([], False)

    def test_why_none_is_told_is_the_reason(self) -> None:
        (row,) = self.ask(there(PASSED, written={("app", "sda"): bytes(65536)}), 3000)
        assert row["reason"] == "nobody knows what guests have"

    def test_without_the_wish_nobody_reads_what_the_guest_has(self) -> None:
        hypervisor = there(PASSED, written={("app", "sda"): mbr((0x83, 2048, 4096))}, guest=self.FOUND)
        of(hypervisor, 3000)
        assert not any(call.startswith("guest_block") for call in hypervisor.calls)


def test_a_lun_passed_through_whose_size_its_hypervisor_does_not_tell_is_as_large_as_the_lun() -> None:
    (row,) = of(there(replace(PASSED, size_bytes=0)), 2048)
    assert (row["vm_name"], row["virtual_offset"], row["status"]) == ("app", MIB, "owned")


@pytest.mark.parametrize("place", [7 * MIB, 9 * MIB, 100 * MIB])
def test_of_an_image_whose_size_nobody_tells_no_block_is_nobodys_or_only_the_images(place: int) -> None:
    unsized = DiskBlocks([], [FILE], format="qcow2")
    (row,) = of(there(replace(IMAGE, size_bytes=0), blocks={("app", "vda"): unsized}), block(place))
    assert (row["status"], "disk vda of VM app" in row["reason"]) == ("cannot_tell", True)


def test_the_partition_is_counted_in_the_sectors_that_the_guest_sees() -> None:
    large = DiskBlocks([replace(PARTS[0], start=0, length=64 * MIB, offset=0)], sector=4096)
    hypervisor = there(PASSED, blocks={("app", "sda"): large}, written={("app", "sda"): mbr((0x83, 256, 512))})
    (row,) = of(hypervisor, 3000)
    assert (row["partition_start"], row["partition_offset"]) == (MIB, 952 * 512)


def test_the_partition_of_a_lun_passed_through_is_counted_in_the_blocks_of_the_lun() -> None:
    foreign = replace(PASSED, device=str(FOREIGN), name=FOREIGN)
    hypervisor = there(foreign, written={("app", "sda"): mbr((0x83, 256, 512))})
    (row,) = owners(hypervisor, [], Question(Where(naa=str(FOREIGN)), [300], 4096)).rows
    assert (row["partition"], row["partition_start"], row["partition_offset"]) == (1, MIB, 44 * 4096)


def test_the_blocks_that_are_asked_in_are_not_those_that_a_partition_is_counted_in() -> None:
    hypervisor = there(PASSED, written={("app", "sda"): mbr((0x83, 2048, 4096))})
    sources = [ArraySource("ontap.example.com", lambda: MemoryArray(lun(NAME)))]
    (row,) = owners(hypervisor, sources, Question(Where(naa=str(NAME)), [300], 4096)).rows
    assert (row["partition"], row["partition_start"]) == (1, MIB)


@pytest.mark.parametrize("size", [-512, 1, 1000])
def test_a_size_that_no_block_has_is_refused(size: int) -> None:
    with pytest.raises(CrossvisorError, match=f"No LUN has blocks of {size} bytes"):
        owners(there(PASSED), [], Question(Where(naa=str(NAME)), [0], size))


@pytest.mark.parametrize(
    "store",
    [
        FileSystem("hidden", "/images", "ext4", ["h1"], extents=["/dev/loop0"]),
        FileSystem("hidden", "/images", "xfs", ["h1"], extents=["/dev/drbd1"]),
        FileSystem("hidden", "/images", "btrfs", ["h1"], extents=["/dev/sda2"]),
    ],
)
def test_a_disk_below_which_a_lun_may_lie_that_nobody_sees_is_looked_into(store: FileSystem) -> None:
    hypervisor = there(replace(IMAGE, file_system="hidden"), blocks={("app", "vda"): DiskBlocks([replace(PARTS[0], offset=0)])})
    hypervisor.file_systems = [STORE, store]
    owned, unknown = of(hypervisor, 0, block(100 * MIB))
    assert (owned["status"], unknown["status"]) == ("owned", "cannot_tell")


def test_an_image_on_a_local_disk_of_its_host_is_looked_into_for_its_base_alone() -> None:
    hypervisor = there(replace(IMAGE, file_system="own"))
    hypervisor.file_systems = [STORE, FileSystem("own", "/images", "ext4", ["h1"], extents=["/dev/sda2"])]
    (row,) = of(hypervisor, 0)
    assert (row["status"], "disk_blocks of 1" in hypervisor.calls) == ("nobody", True)


def test_a_block_of_a_file_whose_image_has_parts_without_an_address_may_be_in_one_of_them() -> None:
    compressed = DiskBlocks([PARTS[0], replace(PARTS[1], state=NO_ADDRESS, reason="compressed")], [FILE], format="qcow2")
    (row,) = of(there(IMAGE, blocks={("app", "vda"): compressed}), block(7 * MIB))
    assert (row["status"], row["virtual_offset"]) == ("in_image", None)
    assert "nobody can tell in which block of the disk" in row["reason"]


def test_an_image_elsewhere_that_may_lie_on_files_nobody_tells_of_may_have_the_block() -> None:
    over = replace(IMAGE, path="/other/top", file_system="other")
    hypervisor = there(over, blocks={("app", "vda"): replace(passthrough.untold(over, "qemu-img is not installed"), unfollowed=True)})
    hypervisor.file_systems.append(FileSystem("other", "/other", "ext4", ["h1"], extents=[str(OTHER)]))
    (row,) = of(hypervisor, block(9 * MIB))
    assert (row["status"], "disk vda of VM app" in row["reason"]) == ("cannot_tell", True)


def test_an_image_that_fills_another_lun_is_asked_about_because_it_may_lie_on_files_too() -> None:
    filled = replace(PASSED, name=OTHER, device=str(OTHER), holds_image=True)
    (row,) = of(there(filled, blocks={("app", "sda"): MAP}), block(9 * MIB))
    assert (row["status"], row["file"]) == ("owned", "/srv/a")


class OtherArray(MemoryArray):
    """An array at another address."""

    def about(self) -> ArrayAbout:
        return replace(super().about(), name="second", address="second.example.com")


def test_of_a_lun_that_several_arrays_have_there_is_a_row_each_and_a_warning_names_them() -> None:
    first, second = MemoryArray(lun(NAME)), OtherArray(replace(lun(NAME), svm="svm2"))
    sources = [ArraySource("ontap.example.com", lambda: first), ArraySource("second.example.com", lambda: second)]
    found = owners(there(PASSED), sources, Question(Where(naa=str(NAME)), [7]))
    assert [(row["array"], row["svm"], row["status"], row["lba"]) for row in found.rows] == [
        ("lab", "svm1", "owned", 7),
        ("second", "svm2", "owned", 7),
    ]
    assert any("a row each" in text and "svm1" in text and "svm2" in text for text in found.warnings)


class TestALunWhoseArrayNobodyNames:
    def ask(self, block: int, device_size: int, *disks: VirtualDisk) -> dict[str, Any]:
        hypervisor = there(*disks)
        hypervisor.seen = [ScsiDevice("h1", str(NAME), NAME, device_size)]
        (row,) = owners(hypervisor, [], Question(Where(naa=str(NAME)), [block], 512)).rows
        return row

    def test_has_no_block_beyond_what_its_host_sees(self) -> None:
        assert self.ask(199, 100 * K)["status"] == "nobody"
        with pytest.raises(CrossvisorError, match="has no block 200: it has 200 blocks"):
            self.ask(200, 100 * K)

    def test_has_no_block_beyond_what_its_vm_has_over_an_initiator_of_its_own(self) -> None:
        with pytest.raises(CrossvisorError, match="has no block 131072: it has 131072 blocks"):
            self.ask(64 * MIB // 512, 0, PASSED)

    def test_may_have_every_block_where_no_host_tells_its_size_either(self) -> None:
        row = self.ask(1 << 40, 0)
        assert (row["status"], "nobody tells how large the LUN is" in row["reason"]) == ("cannot_tell", True)
