# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHD: where the bytes of its virtual disk are in the file.

Layout is that of Microsoft's Virtual Hard Disk Image Format Specification 1.0 (2006), which does not say which bit of a byte is the first
sector's: it is the highest one, as in Xen's libvhd. Pure.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.image import (
    MOST_BLOCKS,
    HardDiskFile,
    Parent,
    Pieces,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import (
    NotTold,
    Place,
    Reading,
    Storage,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, UNWRITTEN

SECTOR = 512
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_HEADER = 1024
_UNUSED = 0xFFFFFFFF
_LARGEST_DISK = 64 << 40
_LARGEST_BLOCK, _SMALLEST_BLOCK = 256 << 20, 4096
_LOCATORS, _LONGEST_PATH = 8, 65536
_RELATIVE, _ABSOLUTE = b"W2ru", b"W2ku"
"""Platform codes of paths in UTF-16 with the lowest byte first."""
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class _Footer:
    kind: int
    size: int
    header: int
    identity: uuid.UUID


@dataclass(frozen=True)
class _Header:
    table: int
    entries: int
    block: int
    parent: Parent | None

    @property
    def bitmap(self) -> int:
        """Bytes of the bitmap in front of each block, in whole sectors."""
        return -(-self.block // SECTOR // 8 // SECTOR) * SECTOR


def image(path: str, size: int) -> Reading[HardDiskFile]:
    """The image in a file of `size` bytes, by the footer at its end: what is at its beginning may be the guest's. Raises `NotTold`."""
    storage = Storage(path, size)
    footer = yield from _footer(storage)
    pieces = Pieces(storage, footer.size)
    end = size - SECTOR
    taken: list[Place] = [(end, SECTOR)]
    if footer.kind == _FIXED:
        pieces.add(0, footer.size, DATA, 0)
        return HardDiskFile(path, footer.size, SECTOR, footer.identity, pieces.whole(taken, False))
    header = yield from _header(storage, footer)
    taken += [(0, SECTOR), (footer.header, _HEADER), (header.table, 4 * header.entries)]
    yield from _blocks(storage, header, pieces, taken)
    return HardDiskFile(path, footer.size, SECTOR, footer.identity, pieces.whole(taken, bool(header.parent)), header.parent)


def _footer(storage: Storage) -> Reading[_Footer]:
    if storage.size < SECTOR:
        raise NotTold(f"{storage.path} is no VHD file: it is too small for one")
    page = yield from storage.bytes_of(storage.size - SECTOR, SECTOR, "its footer")
    if page[:8] != b"conectix":
        raise NotTold(f"{storage.path} is no VHD file, or was cut off: its last sector is no footer")
    if _checksum(page, 64) != struct.unpack_from(">I", page, 64)[0]:
        raise storage.damaged("its footer has not the checksum that it says")
    version, header = struct.unpack_from(">IQ", page, 12)
    size, _geometry, kind = struct.unpack_from(">QII", page, 48)
    if version >> 16 != 1 or kind not in (_FIXED, _DYNAMIC, _DIFFERENCING):
        raise NotTold(f"{storage.path} is a VHD file of version {version >> 16} and type {kind}, which is not known")
    if not 0 < size <= _LARGEST_DISK or size % SECTOR:
        raise storage.damaged(f"its disk cannot have {size} bytes")
    return _Footer(kind, size, header, uuid.UUID(bytes=page[68:84]))


def _checksum(page: bytes, at: int) -> int:
    """The one's complement of the sum of all bytes but those of the checksum."""
    return ~(sum(page) - sum(page[at : at + 4])) & 0xFFFFFFFF


def _header(storage: Storage, footer: _Footer) -> Reading[_Header]:
    page = yield from storage.bytes_of(footer.header, _HEADER, "the header of its blocks")
    if page[:8] != b"cxsparse" or _checksum(page, 36) != struct.unpack_from(">I", page, 36)[0]:
        raise storage.damaged("the header of its blocks has not the checksum that it says")
    table, version, entries, block = struct.unpack_from(">QIII", page, 16)
    if version >> 16 != 1:
        raise NotTold(f"{storage.path} has a header of version {version >> 16}, which is not known")
    if block & (block - 1) or not _SMALLEST_BLOCK <= block <= _LARGEST_BLOCK:
        raise storage.damaged(f"it cannot have blocks of {block} bytes")
    needed = -(-footer.size // block)
    if entries < needed:
        raise storage.damaged(f"its block table is too small for a disk of {footer.size} bytes")
    if needed > MOST_BLOCKS:
        raise NotTold(f"{storage.path} has {needed} blocks, of which no more than {MOST_BLOCKS} are read")
    parent = (yield from _parent(storage, page)) if footer.kind == _DIFFERENCING else None
    return _Header(table, needed, block, parent)


def _parent(storage: Storage, page: bytes) -> Reading[Parent]:
    places: dict[bytes, Place] = {}
    for at in range(576, 576 + 24 * _LOCATORS, 24):
        code, length, offset = page[at : at + 4], *struct.unpack_from(">I4xQ", page, at + 8)
        if code in (_RELATIVE, _ABSOLUTE) and length <= _LONGEST_PATH:
            places[code] = (offset, length)
    texts = yield from storage.bytes_at([*places.values()], "the path of its parent")
    paths = {code: text.decode("utf-16-le", "replace").rstrip("\0") for code, text in zip(places, texts)}
    named = page[64:576].decode("utf-16-be", "replace").split("\0", 1)[0]
    identities = frozenset({uuid.UUID(bytes=page[40:56])})
    return Parent(identities, paths.get(_RELATIVE, ""), paths.get(_ABSOLUTE, "") or named)


def _blocks(storage: Storage, header: _Header, pieces: Pieces, taken: list[Place]) -> Reading[None]:
    states: Mapping[str, str] = {"1": DATA} if header.parent else {"1": DATA, "0": UNWRITTEN}
    at_once = _AT_ONCE // 4
    for first in range(0, header.entries, at_once):
        count = min(at_once, header.entries - first)
        entries = struct.unpack(f">{count}I", (yield from storage.bytes_of(header.table + 4 * first, 4 * count, "its block table")))
        used = [(number * header.block, entry * SECTOR) for number, entry in enumerate(entries, first) if entry != _UNUSED]
        taken += [(offset, header.bitmap) for _start, offset in used]
        yield from _by_sector(storage, header, used, states, pieces)


def _by_sector(storage: Storage, header: _Header, used: list[tuple[int, int]], states: Mapping[str, str], pieces: Pieces) -> Reading[None]:
    """Blocks by the bitmap in front of each: a sector that is not in it is the parent's, or was never written."""
    sectors = header.block // SECTOR
    step = max(_AT_ONCE // header.bitmap, 1)
    for first in range(0, len(used), step):
        batch = used[first : first + step]
        found = yield from storage.bytes_at([(offset, header.bitmap) for _start, offset in batch], "a bitmap of sectors")
        for (start, offset), bitmap in zip(batch, found):
            bits = f"{int.from_bytes(bitmap, 'big'):0{8 * header.bitmap}b}"[:sectors]
            pieces.add_bits(start, bits, SECTOR, offset + header.bitmap, states)
