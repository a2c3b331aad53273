# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which partition of its guest a byte of a virtual disk is: GPT (UEFI specification 2.10, chapter 5.3) and MBR with logical partitions.

Pure, but for the reading of a few sectors, which whoever asks brings along.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SECTORS = (512, 4096)
_TABLE = 0x1BE
_PROTECTIVE = 0xEE
_ACTIVE = frozenset({0, 0x80})
"""What an entry of an MBR begins with; in the first sector of a file system without a table there is code instead."""
_EXTENDED = frozenset({0x05, 0x0F, 0x85})
_MOST_ENTRIES, _MOST_LOGICAL = 256, 60

NO_TABLE = "the disk has no partition table"

Read = Callable[[int, int], bytes]
"""Offset and length in bytes → the bytes; none where nobody can read."""


@dataclass(frozen=True)
class Partition:
    """A partition, in bytes of its disk."""

    number: int
    start: int
    length: int


def partition_at(read: Read, at: int, size: int, sector: int = 512) -> tuple[Partition | None, str]:
    """The partition that a byte is in; or none, and why. An MBR counts in sectors as the guest sees them."""
    head = read(0, min(size, 4096 + 512))
    if not head:
        return None, "what partitions the guest has cannot be read from here"
    if head[510:512] != b"\x55\xaa":
        return None, NO_TABLE
    if any(slot[0] not in _ACTIVE for slot in _entries_of(head)):
        return None, NO_TABLE
    found = _gpt(read, head) if any(kind == _PROTECTIVE for kind, *_rest in _slots(head)) else list(_mbr(read, head, sector))
    if found is None:
        return None, "the disk has a GPT that cannot be read"
    there = next((one for one in found if one.start <= at < one.start + one.length), None)
    return there, "" if there else "outside of all partitions: the partition table itself, or free space"


def _gpt(read: Read, head: bytes) -> list[Partition] | None:
    for sector in _SECTORS:
        header = head[sector : sector + 92]
        if header[:8] == b"EFI PART":
            first, count, entry, checksum = struct.unpack_from("<QIII", header, 72)
            if not (0 < count <= _MOST_ENTRIES and 128 <= entry <= 4096 and _is_whole(head[sector:])):
                return None
            table = read(first * sector, count * entry)
            return list(_entries(table, count, entry, sector)) if zlib.crc32(table) == checksum else None
    return None


def _is_whole(header: bytes) -> bool:
    """Whether a header has the checksum that it says, which is taken with zeros in its place."""
    size, checksum = struct.unpack_from("<II", header, 12)
    return bool(92 <= size <= 512 and zlib.crc32(header[:16] + bytes(4) + header[20:size]) == checksum)


def _entries(table: bytes, count: int, entry: int, sector: int) -> Iterator[Partition]:
    for number in range(min(count, len(table) // entry)):
        kind = table[number * entry : number * entry + 16]
        first, last = struct.unpack_from("<QQ", table, number * entry + 32)
        if any(kind):
            yield Partition(number + 1, first * sector, (last - first + 1) * sector)


def _mbr(read: Read, head: bytes, size: int) -> Iterator[Partition]:
    """Primary partitions, then logical ones, whose links count from the extended partition's beginning and their own."""
    for number, (kind, first, length) in enumerate(_slots(head)):
        if kind in _EXTENDED:
            yield from _logical(read, first, size)
        elif kind:
            yield Partition(number + 1, first * size, length * size)


def _logical(read: Read, extended: int, size: int) -> Iterator[Partition]:
    link, number = 0, 5
    while number < 5 + _MOST_LOGICAL:
        sector = read((extended + link) * size, 512)
        if sector[510:512] != b"\x55\xaa":
            return
        own, following, *_rest = _slots(sector)
        if own[0]:
            yield Partition(number, (extended + link + own[1]) * size, own[2] * size)
        if not following[0]:
            return
        link, number = following[1], number + 1


def _slots(sector: bytes) -> list[tuple[int, int, int]]:
    """Type, first sector and number of sectors of each of the four entries."""
    return [(one[4], *struct.unpack_from("<II", one, 8)) for one in _entries_of(sector)]


def _entries_of(sector: bytes) -> list[bytes]:
    return [sector[_TABLE + 16 * slot : _TABLE + 16 * slot + 16] for slot in range(4)]
