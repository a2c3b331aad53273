# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partition tables as guests write them: MBR with logical partitions, and GPT with sectors of 512 and of 4096 bytes."""

from __future__ import annotations

import struct
import zlib

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.partitions import Partition, partition_at

MIB = 1 << 20
SIZE = 64 * MIB


def mbr(*slots: tuple[int, int, int]) -> bytes:
    """A first sector with these entries: type, first sector, number of sectors."""
    entries = b"".join(struct.pack("<4xB3xII", kind, first, count) for kind, first, count in slots)
    return bytes(446) + entries.ljust(64, b"\0") + b"\x55\xaa" + bytes(4096)


def gpt(*parts: tuple[int, int], sector: int = 512, count: int = 128, entry: int = 128) -> bytes:
    head = mbr((0xEE, 1, 0xFFFFFFFF))[:512].ljust(sector, b"\0")
    table = b"".join(struct.pack("<16s16xQQ", b"k" * 16, first, last).ljust(entry, b"\0") for first, last in parts)
    table = table.ljust(count * entry, b"\0")
    fields = (2, count, entry, zlib.crc32(table))
    checksum = zlib.crc32(struct.pack("<8sIII4x48xQIII", b"EFI PART", 0x10000, 92, 0, *fields))
    header = struct.pack("<8sIII4x48xQIII", b"EFI PART", 0x10000, 92, checksum, *fields)
    return head + header.ljust(sector, b"\0") + table


def at(disk: bytes, place: int) -> tuple[Partition | None, str]:
    return partition_at(lambda offset, length: disk[offset : offset + length], place, SIZE)


def test_a_primary_partition_is_found_by_its_first_and_last_byte() -> None:
    disk = mbr((0x83, 2048, 2048), (0x83, 8192, 2048))
    assert [at(disk, place)[0] for place in (MIB, 2 * MIB - 1, 4 * MIB)] == [
        Partition(1, MIB, MIB),
        Partition(1, MIB, MIB),
        Partition(2, 4 * MIB, MIB),
    ]
    assert at(disk, MIB - 1) == at(disk, 2 * MIB) == (None, "outside of all partitions: the partition table itself, or free space")


def test_logical_partitions_are_followed_from_link_to_link() -> None:
    disk = bytearray(mbr((0x83, 2048, 2048), (0x05, 4096, 16384)).ljust(SIZE, b"\0"))
    disk[4096 * 512 : 4096 * 512 + 512] = mbr((0x83, 2048, 2048), (0x05, 6144, 4096))[:512]
    disk[10240 * 512 : 10240 * 512 + 512] = mbr((0x83, 2048, 2048))[:512]
    assert at(bytes(disk), (4096 + 2048) * 512) == (Partition(5, (4096 + 2048) * 512, MIB), "")
    assert at(bytes(disk), (10240 + 2048) * 512) == (Partition(6, (10240 + 2048) * 512, MIB), "")


def test_links_that_lead_in_a_circle_end() -> None:
    disk = bytearray(mbr((0x05, 2048, 16384)).ljust(SIZE, b"\0"))
    disk[2048 * 512 : 2048 * 512 + 512] = mbr((0x83, 63, 10), (0x05, 0, 16384))[:512]
    assert at(bytes(disk), 60 * MIB)[0] is None


@pytest.mark.parametrize("sector", [512, 4096])
def test_a_gpt_is_read_in_sectors_of_either_size(sector: int) -> None:
    disk = gpt((256, 511), (512, 512), sector=sector)
    assert at(disk, 256 * sector)[0] == Partition(1, 256 * sector, 256 * sector)
    assert at(disk, 512 * sector)[0] == Partition(2, 512 * sector, sector)
    assert at(disk, 513 * sector)[0] is None


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        (b"", "cannot be read from here"),
        (bytes(8192), "has no partition table"),
        (mbr((0xEE, 1, 9)), "a GPT that cannot be read"),
        (gpt(count=0), "a GPT that cannot be read"),
        (gpt(count=100_000)[:8192], "a GPT that cannot be read"),
    ],
)
def test_what_is_no_table_is_told_so(disk: bytes, reason: str) -> None:
    found, why = at(disk, MIB)
    assert (found, reason in why) == (None, True)


@pytest.mark.parametrize("damaged", [512 + 16, 512 + 88, 1024 + 32])
def test_a_gpt_whose_checksums_are_wrong_is_none_because_the_guest_takes_the_other_copy(damaged: int) -> None:
    disk = bytearray(gpt((256, 511)))
    disk[damaged] ^= 1
    assert at(bytes(disk), 256 * 512) == (None, "the disk has a GPT that cannot be read")


def test_a_file_system_without_a_table_whose_first_sector_ends_as_an_mbr_does_has_none() -> None:
    disk = bytearray(mbr((0x83, 2048, 2048)))
    disk[446] = 0x6F
    assert at(bytes(disk), MIB) == (None, "the disk has no partition table")


def test_a_gpt_beside_entries_of_an_mbr_is_what_counts() -> None:
    disk = mbr((0x83, 2048, 2048), (0xEE, 1, 9))[:512] + gpt((256, 511))[512:]
    assert at(disk, 256 * 512)[0] == Partition(1, 256 * 512, 256 * 512)


def test_an_mbr_counts_in_the_sectors_of_its_disk() -> None:
    disk = bytearray(mbr((0x83, 256, 256), (0x05, 1024, 2048)).ljust(SIZE, b"\0"))
    disk[1024 * 4096 : 1024 * 4096 + 512] = mbr((0x83, 256, 256))[:512]
    found = [partition_at(lambda offset, length: bytes(disk[offset : offset + length]), place, SIZE, 4096)[0] for place in (MIB, 5 * MIB)]
    assert found == [Partition(1, MIB, MIB), Partition(5, 5 * MIB, MIB)]
