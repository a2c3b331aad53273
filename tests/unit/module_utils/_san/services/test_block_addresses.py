# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""virtual_block_address as a use case: which rows, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    HOLE,
    NO_ADDRESS,
    SHARED,
    UNWRITTEN,
    BlockExtent,
    DiskBlocks,
    Host,
    ScsiDevice,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.block_addresses import Wish, addresses, stamp
from tests.unit.ports import NAME, OTHER, MemoryArray, MemoryHypervisor, lun

LUN_DISK = VirtualDisk("2001", "Hard disk 2", "passthrough", size_bytes=1 << 20, device=str(NAME), name=NAME)
IMAGE_DISK = VirtualDisk("2000", "Hard disk 1", "image", size_bytes=1 << 20, path="/srv/a", file_system="fs")
DEVICE = ScsiDevice("h1", str(NAME), NAME, 1 << 30)


def hypervisor(*disks: VirtualDisk, **told: Any) -> MemoryHypervisor:
    return MemoryHypervisor([Host("h1", "esx1")], [VirtualMachine("vm-1", "app", host="h1", disks=disks)], seen=[DEVICE], **told)


def array(**told: Any) -> list[ArraySource]:
    return [ArraySource("ontap.example.com", lambda: MemoryArray(lun(NAME), **told))]


def rows(there: MemoryHypervisor, wish: Wish) -> list[dict[str, Any]]:
    return [*addresses(there, array(), wish).rows]


def extent(start: int, length: int, state: str = DATA, **told: Any) -> BlockExtent:
    return BlockExtent(
        start,
        length,
        state,
        **{"device": "/dev/sda", "name": NAME, "offset": 1 << 20, "block_size": 512, "file": "/srv/a", "file_offset": start, **told},
    )


def test_a_lun_passed_through_is_its_own_address_down_to_the_array() -> None:
    (row,) = rows(hypervisor(LUN_DISK), Wish("app", ranges=[(4096, 8192)]))
    told = {
        name: row[name] for name in ("virtual_offset", "length", "state", "reason", "naa", "serial", "svm", "volume", "lba", "block_size")
    }
    assert told == {
        "virtual_offset": 4096,
        "length": 8192,
        "state": "data",
        "reason": "",
        "naa": NAME.naa,
        "serial": NAME.ontap_serial,
        "svm": "svm1",
        "volume": "v1",
        "lba": 8,
        "block_size": 512,
    }
    assert (row["lun_path"], row["array"], row["file"], row["file_offset"]) == (lun(NAME).path, "lab", "", None)


def test_an_image_is_told_in_parts_each_with_its_own_state() -> None:
    nowhere = {"offset": None, "name": None, "device": "", "file": "", "file_offset": None}
    parts = [
        extent(0, 4096),
        extent(4096, 4096, SHARED, offset=1 << 21),
        extent(8192, 4096, UNWRITTEN, offset=1 << 22),
        extent(12288, 4096, HOLE, **nowhere),
        extent(16384, (1 << 20) - 16384, NO_ADDRESS, reason="it is compressed", **nowhere),
    ]
    found = rows(hypervisor(IMAGE_DISK, blocks={("app", "Hard disk 1"): DiskBlocks(parts)}), Wish("app"))
    assert [(row["state"], row["lba"], row["naa"]) for row in found] == [
        ("data", 2048, NAME.naa),
        ("shared", 4096, NAME.naa),
        ("unwritten", 8192, NAME.naa),
        ("hole", None, ""),
        ("no_address", None, ""),
    ]
    assert sum(row["length"] for row in found) == 1 << 20
    assert found[-1]["reason"] == "it is compressed"
    assert {frozenset(row) for row in found} == {frozenset(found[0])}


def test_a_range_cuts_what_it_meets_in_file_and_lun_alike() -> None:
    there = hypervisor(IMAGE_DISK, blocks={("app", "Hard disk 1"): DiskBlocks([extent(0, 1 << 20, file_offset=65536)])})
    (row,) = rows(there, Wish("app", ranges=[(1024, 1)]))
    assert (row["virtual_offset"], row["length"], row["file_offset"], row["lba"]) == (1024, 1, 65536 + 1024, 2048 + 2)


def test_blocks_are_as_large_as_the_host_says() -> None:
    there = hypervisor(IMAGE_DISK, blocks={("app", "Hard disk 1"): DiskBlocks([extent(0, 1 << 20, block_size=4096)])})
    (row,) = rows(there, Wish("app"))
    assert (row["lba"], row["block_size"]) == (256, 4096)


def test_where_nobody_tells_how_large_they_are_there_is_no_lba() -> None:
    foreign = replace(LUN_DISK, name=type(NAME)("6001405" + "a" * 25))
    (row,) = rows(hypervisor(foreign), Wish("app"))
    assert (row["lba"], row["block_size"], row["state"]) == (None, None, "data")
    assert row["reason"]


def test_an_array_that_is_silent_costs_the_lower_half_of_the_row_and_is_a_warning() -> None:
    found = addresses(hypervisor(LUN_DISK), array(error="It is down."), Wish("app"))
    (row,) = found.rows
    assert (row["naa"], row["lba"], row["svm"]) == (NAME.naa, 0, "")
    assert "could not be looked up" in row["reason"]
    assert "It is down" in str(found.warnings)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish("nobody"), "There is no VM 'nobody'"),
        (Wish("app"), "VM app has 2 disks: name one of them in disk"),
        (Wish("app", "sdz"), "VM app has no disk 'sdz'; it has: Hard disk 1, Hard disk 2"),
        (Wish("app", "Hard disk 2", [(1 << 20, 1)]), "The range of 1 bytes from byte 1048576 is not within disk Hard disk 2 of VM app"),
        (Wish("app", "Hard disk 2", [(0, (1 << 20) + 1)]), "is not within disk"),
        (Wish("app", "Hard disk 2", [(-1, 1)]), "is not within disk"),
        (Wish("app", "Hard disk 2", [(0, 0)]), "is not within disk"),
    ],
)
def test_what_there_is_not_is_refused_in_a_sentence(wish: Wish, message: str) -> None:
    with pytest.raises(CrossvisorError) as refused:
        addresses(hypervisor(IMAGE_DISK, LUN_DISK), array(), wish)
    assert message in str(refused.value)


def test_a_disk_may_be_named_by_its_lun() -> None:
    found = addresses(hypervisor(IMAGE_DISK, LUN_DISK), array(), Wish("app", str(NAME)))
    assert found.about["disk"] == "Hard disk 2"


def test_a_disk_whose_size_only_the_array_tells_is_as_large_as_its_lun() -> None:
    (row,) = rows(hypervisor(replace(LUN_DISK, size_bytes=0)), Wish("app"))
    assert row["length"] == lun(NAME).size_bytes
    with pytest.raises(CrossvisorError, match="Nobody tells how large disk Hard disk 2 of VM app is"):
        addresses(hypervisor(replace(LUN_DISK, size_bytes=0, name=OTHER, device="")), array(), Wish("app"))


def test_a_disk_whose_size_only_its_image_tells_is_as_large_as_that() -> None:
    unsized, key = replace(IMAGE_DISK, size_bytes=0), ("app", "Hard disk 1")
    there = hypervisor(unsized, blocks={key: DiskBlocks([extent(0, 4096), BlockExtent(4096, 4096, HOLE)])})
    assert [row["length"] for row in rows(there, Wish("app"))] == [4096, 4096]
    with pytest.raises(CrossvisorError, match="which has 8192 bytes"):
        addresses(there, array(), Wish("app", ranges=[(8192, 1)]))
    refused = hypervisor(unsized, blocks={key: DiskBlocks([BlockExtent(0, 0, NO_ADDRESS, "its log is not empty")])})
    with pytest.raises(CrossvisorError, match=r"how large disk Hard disk 1 .* within it: its log is not empty"):
        addresses(refused, array(), Wish("app"))


class TestVerify:
    """A second reading."""

    PARTS = (extent(100, 412), extent(512, 4096, UNWRITTEN, offset=1 << 21), extent(4608, 1 << 19, offset=1 << 22))
    DISK = ("app", "Hard disk 1")

    def there(self, same: str) -> MemoryHypervisor:
        return hypervisor(IMAGE_DISK, blocks={self.DISK: DiskBlocks(self.PARTS)}, same=same)

    def test_bytes_that_are_the_same_prove_an_address(self) -> None:
        assert [row["verified"] for row in rows(self.there("yes"), Wish("app", verify=True))] == [True, None, True]

    def test_bytes_that_differ_take_the_address_away(self) -> None:
        found = rows(self.there("no"), Wish("app", verify=True))
        assert [(row["state"], row["lba"], row["naa"]) for row in found if row["verified"] is False] == [("no_address", None, "")] * 2
        assert "holds other bytes" in found[0]["reason"]

    def test_what_could_not_be_compared_is_neither(self) -> None:
        found = rows(self.there("Permission denied"), Wish("app", verify=True))
        assert (found[0]["verified"], found[0]["reason"]) == (None, "not compared: Permission denied")
        assert found[0]["lba"] == 2048

    def test_whole_sectors_are_compared_and_no_more_than_the_first_64_kib(self) -> None:
        there = self.there("yes")
        rows(there, Wish("app", verify=True))
        assert [(part.start, part.length, part.offset) for part in there.compared] == [
            (0, 512, (1 << 20) - 100),
            (4608, 65536, 1 << 22),
        ]
        assert [part.file_offset for part in there.compared] == [0, 4608]

    def test_a_platform_that_does_not_read_the_device_gets_the_bytes_of_the_array(self) -> None:
        there = hypervisor(IMAGE_DISK, blocks={self.DISK: DiskBlocks([extent(512, 4, offset=1 << 20)])}, reads_luns=True)
        source = array(data={NAME.naa: bytes(1 << 20) + b"what the array has"})
        found = addresses(there, source, Wish("app", ranges=[(512, 4)], verify=True)).rows
        assert "what the array has" in found[0]["reason"]

    def test_without_it_nothing_is_compared_and_no_row_says_so(self) -> None:
        there = self.there("yes")
        assert "verified" not in rows(there, Wish("app"))[0]
        assert there.compared == []

    def test_of_many_ranges_the_rest_is_not_compared_and_says_so(self) -> None:
        many = [extent(4096 * number, 4096, offset=8192 * number) for number in range(256 + 1)]
        there = hypervisor(replace(IMAGE_DISK, size_bytes=4096 * 257), blocks={self.DISK: DiskBlocks(many)})
        found = rows(there, Wish("app", verify=True))
        assert [row["verified"] for row in found] == [True] * 256 + [None]
        assert found[-1]["reason"] == "not compared: only the first 256 ranges are"


@pytest.mark.parametrize(("time", "told"), [(0.9, "1970-01-01T00:00:00Z"), (None, ""), (1e30, ""), (-1e30, "")])
def test_a_time_that_no_calendar_has_is_not_told(time: float | None, told: str) -> None:
    assert stamp(time) == told
