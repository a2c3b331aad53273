# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHDX: where the bytes of its virtual disk are in the file. Layout, states and limits are those of [MS-VHDX] 2.2 to 2.6. Pure.

The log is not replayed: an image whose log is not empty was not closed, or a VM that runs has it open, and its block table may be old.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
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
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.crc32c import checksum

_KIB, _MIB, _TIB = 1 << 10, 1 << 20, 1 << 40
_HEADERS = (64 * _KIB, 128 * _KIB)
_REGION_TABLES = (192 * _KIB, 256 * _KIB)
_TABLE = 64 * _KIB
_BEGINNING: Sequence[Place] = [
    (0, 8),
    *((place, 4 * _KIB) for place in _HEADERS),
    *((place, _TABLE) for place in _REGION_TABLES),
]
"""The file identifier, both headers and both region tables."""
_MOST_ENTRIES = 2047
_BAT = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_LOGICAL_SECTOR = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_PARENT_LOCATOR = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
_PASSED_BY = frozenset(
    {
        uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746"),
        uuid.UUID("cda348c7-445d-4471-9cc9-e9885251c556"),
    }
)
"""Virtual disk ID and physical sector size: known, and of no consequence for addresses."""
_OF_VHDX = uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913")
"""The only type of parent locator that there is."""
_HAS_PARENT, _REQUIRED = 2, 4
_BITMAP_SECTORS = 1 << 23
_NOT_PRESENT, _PRESENT, _PARTIAL = 0, 6, 7
_HOLES: Mapping[int, str] = {1: "the image does not define it", 2: "", 3: "the guest has given it back"}
"""Of the states in which no file of the chain is looked at: undefined, zero, unmapped."""
_ENTRIES_AT_ONCE = _MIB // 8


@dataclass(frozen=True)
class _Header:
    sequence: int
    data_write: uuid.UUID
    log: uuid.UUID
    log_place: Place
    page: bytes


@dataclass(frozen=True)
class _Disk:
    """What the metadata says of the virtual disk."""

    size: int
    block: int
    sector: int
    parent: Parent | None

    @property
    def blocks(self) -> int:
        return -(-self.size // self.block)

    @property
    def ratio(self) -> int:
        """Payload blocks for each block of sector bitmaps, whose entry follows theirs."""
        return _BITMAP_SECTORS * self.sector // self.block

    @property
    def entries(self) -> int:
        chunks = -(-self.blocks // self.ratio)
        return chunks * (self.ratio + 1) if self.parent else self.blocks + (self.blocks - 1) // self.ratio


def image(path: str, size: int) -> Reading[HardDiskFile]:
    """The image in a file of `size` bytes. Raises `NotTold`."""
    storage = Storage(path, size)
    name, *pages = yield from storage.bytes_at(_BEGINNING, "a header or a region table")
    if name != b"vhdxfile":
        raise NotTold(f"{storage.path} is no VHDX file")
    header = _header(storage, pages[:2])
    if header.log.int:
        raise NotTold(f"the log of {path} is not empty: a VM that runs has it open, or it was not closed")
    regions = _regions(storage, pages[2:])
    disk = yield from _disk(storage, regions[_METADATA])
    table = regions[_BAT]
    if disk.entries * 8 > table[1]:
        raise storage.damaged(f"its block table is too small for a disk of {disk.size} bytes")
    taken: list[Place] = [(0, _MIB), *regions.values()]
    if header.log_place[1]:
        taken.append(header.log_place)
    pieces = Pieces(storage, disk.size)
    yield from _blocks(storage, disk, table[0], pieces, taken)
    return HardDiskFile(path, disk.size, disk.sector, header.data_write, pieces.whole(taken, bool(disk.parent)), disk.parent)


def _header(storage: Storage, pages: Sequence[bytes]) -> _Header:
    """The one of both headers that holds."""
    found = sorted((_parsed(page) for page in pages if _is_whole(page, b"head")), key=lambda header: header.sequence)
    if not found:
        raise storage.damaged("neither of its headers has the checksum that it says")
    if len({header.sequence for header in found}) < len({header.page for header in found}):
        raise storage.damaged("nobody can tell which of its headers is the newer one")
    log_version, version = struct.unpack_from("<HH", found[-1].page, 64)
    if (log_version, version) != (0, 1):
        raise NotTold(f"{storage.path} is a VHDX file of version {version} with a log of version {log_version}, and 1 with 0 is known")
    return found[-1]


def _parsed(page: bytes) -> _Header:
    length, offset = struct.unpack_from("<IQ", page, 68)
    return _Header(struct.unpack_from("<Q", page, 8)[0], _uuid(page, 32), _uuid(page, 48), (offset, length), page)


def _uuid(data: bytes, at: int) -> uuid.UUID:
    return uuid.UUID(bytes_le=data[at : at + 16])


def _is_whole(page: bytes, signature: bytes) -> bool:
    return page[:4] == signature and struct.unpack_from("<I", page, 4)[0] == checksum(page[:4] + bytes(4) + page[8:])


def _regions(storage: Storage, tables: Sequence[bytes]) -> dict[uuid.UUID, Place]:
    whole = [table for table in tables if _is_whole(table, b"regi")]
    if not whole:
        raise storage.damaged("neither of its region tables has the checksum that it says")
    if whole[0] != whole[-1]:
        raise storage.damaged("its two region tables differ")
    count = struct.unpack_from("<I", whole[0], 8)[0]
    if count > _MOST_ENTRIES:
        raise storage.damaged("its region table has more entries than there can be")
    found: dict[uuid.UUID, Place] = {}
    for at in range(16, 16 + 32 * count, 32):
        offset, length, required = struct.unpack_from("<QII", whole[0], at + 16)
        name = _uuid(whole[0], at)
        if name in found or offset % _MIB or length % _MIB or not length or not storage.holds(offset, length):
            raise storage.damaged("a region of it cannot be where it is said to be")
        if required & 1 and name not in (_BAT, _METADATA):
            raise NotTold(f"{storage.path} needs a region {name} to be understood, which is in no specification that was read")
        found[name] = (offset, length)
    if not found.keys() >= {_BAT, _METADATA}:
        raise storage.damaged("it has no block table or no metadata")
    return found


def _disk(storage: Storage, region: Place) -> Reading[_Disk]:
    items = yield from _items(storage, region)
    for name, length in ((_FILE_PARAMETERS, 8), (_DISK_SIZE, 8), (_LOGICAL_SECTOR, 4)):
        if len(items.get(name, b"")) < length:
            raise storage.damaged("its metadata lacks the size of the disk, of its blocks or of its sectors")
    block, flags = struct.unpack_from("<II", items[_FILE_PARAMETERS])
    size, sector = struct.unpack_from("<Q", items[_DISK_SIZE])[0], struct.unpack_from("<I", items[_LOGICAL_SECTOR])[0]
    if block & (block - 1) or not _MIB <= block <= 256 * _MIB or sector not in (512, 4096):
        raise storage.damaged(f"it cannot have blocks of {block} bytes and sectors of {sector} bytes")
    if not 0 < size <= 64 * _TIB or size % sector:
        raise storage.damaged(f"its disk cannot have {size} bytes")
    disk = _Disk(size, block, sector, _parent(storage, items.get(_PARENT_LOCATOR, b"")) if flags & _HAS_PARENT else None)
    if disk.blocks > MOST_BLOCKS:
        raise NotTold(f"{storage.path} has {disk.blocks} blocks, of which no more than {MOST_BLOCKS} are read")
    return disk


def _items(storage: Storage, region: Place) -> Reading[dict[uuid.UUID, bytes]]:
    near = yield from storage.bytes_of(region[0], 2 * _TABLE, "its metadata")
    table = near[:_TABLE]
    count = struct.unpack_from("<H", table, 10)[0]
    if table[:8] != b"metadata" or count > _MOST_ENTRIES:
        raise storage.damaged("its metadata has no table that can be read")
    places: dict[uuid.UUID, Place] = {}
    for at in range(32, 32 + 32 * count, 32):
        offset, length, flags = struct.unpack_from("<III", table, at + 16)
        name = _uuid(table, at)
        if name in (_FILE_PARAMETERS, _DISK_SIZE, _LOGICAL_SECTOR, _PARENT_LOCATOR):
            if name in places or offset < _TABLE or offset + length > region[1] or length > _TABLE:
                raise storage.damaged("an item of its metadata cannot be where it is said to be")
            places[name] = (region[0] + offset, length)
        elif flags & _REQUIRED and name not in _PASSED_BY:
            raise NotTold(f"{storage.path} needs metadata {name} to be understood, which is in no specification that was read")
    far = {name: place for name, place in places.items() if place[0] + place[1] > region[0] + len(near)}
    found = yield from storage.bytes_at([*far.values()], "an item of its metadata")
    beside = {name: near[offset - region[0] : offset - region[0] + length] for name, (offset, length) in places.items() if name not in far}
    return {**beside, **dict(zip(far, found))}


def _parent(storage: Storage, locator: bytes) -> Parent:
    """Keys and values of a parent locator, in UTF-16."""
    if len(locator) < 20 or _uuid(locator, 0) != _OF_VHDX:
        raise NotTold(f"{storage.path} is based on an image that it does not name as a VHDX file does")
    count = struct.unpack_from("<H", locator, 18)[0]
    if 20 + 12 * count > len(locator):
        raise storage.damaged("what it says of its parent is cut off")
    told: dict[str, str] = {}
    for at in range(20, 20 + 12 * count, 12):
        key, value, key_length, value_length = struct.unpack_from("<IIHH", locator, at)
        told[_text(locator[key : key + key_length])] = _text(locator[value : value + value_length])
    identities = frozenset(_identities(told.get("parent_linkage", ""), told.get("parent_linkage2", "")))
    if not identities:
        raise storage.damaged("it does not say which image it is based on")
    absolute = told.get("absolute_win32_path", "") or told.get("volume_path", "")
    return Parent(identities, told.get("relative_path", ""), absolute)


def _text(data: bytes) -> str:
    return data.decode("utf-16-le", "replace").rstrip("\0")


def _identities(*words: str) -> Iterator[uuid.UUID]:
    for word in words:
        try:
            yield uuid.UUID(word)
        except ValueError:
            continue


def _blocks(storage: Storage, disk: _Disk, table: int, pieces: Pieces, taken: list[Place]) -> Reading[None]:
    """Every block by its entry of the block table."""
    partial: list[tuple[int, int]] = []
    bitmaps: dict[int, int] = {}
    for first in range(0, disk.entries, _ENTRIES_AT_ONCE):
        count = min(_ENTRIES_AT_ONCE, disk.entries - first)
        entries = struct.unpack(f"<{count}Q", (yield from storage.bytes_of(table + 8 * first, 8 * count, "its block table")))
        for start, length, state, offset in _runs(disk, first, entries, bitmaps):
            if state == _PARTIAL:
                partial.append((start, offset))
            elif state == _PRESENT:
                pieces.add(start, length, DATA, offset)
            elif state in _HOLES:
                pieces.add(start, length, HOLE, reason=_HOLES[state])
            else:
                raise storage.damaged(f"its block table has a block in state {state}")
    if partial and not disk.parent:
        raise storage.damaged("it has blocks that are in part another image's, and is based on none")
    taken += [(offset, _MIB) for offset in bitmaps.values()]
    yield from _by_sector(storage, disk, partial, bitmaps, pieces)


def _runs(disk: _Disk, first: int, entries: tuple[int, ...], bitmaps: dict[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Start, length, state and offset of blocks that follow each other in the disk and in the file; what is not present is left out."""
    run = (0, 0, _NOT_PRESENT, 0)
    for number, entry in enumerate(entries, first):
        chunk, inside = divmod(number, disk.ratio + 1)
        state, offset = entry & 7, entry >> 20 << 20
        if inside == disk.ratio:
            if state == _PRESENT:
                bitmaps[chunk] = offset
            continue
        start = (chunk * disk.ratio + inside) * disk.block
        goes_on = state == run[2] != _PARTIAL and start == run[0] + run[1] and (state != _PRESENT or offset == run[3] + run[1])
        if goes_on:
            run = (run[0], run[1] + disk.block, state, run[3])
            continue
        if run[2] != _NOT_PRESENT:
            yield run
        run = (start, disk.block, state, offset)
    if run[2] != _NOT_PRESENT:
        yield run


def _by_sector(storage: Storage, disk: _Disk, partial: list[tuple[int, int]], bitmaps: dict[int, int], pieces: Pieces) -> Reading[None]:
    """Blocks of which some sectors are in this image, and the others in its parent."""
    size = disk.block // disk.sector // 8
    places: list[Place] = []
    for start, _offset in partial:
        chunk, inside = divmod(start // disk.block, disk.ratio)
        if chunk not in bitmaps:
            raise storage.damaged("it has no bitmap for a block that is there in part")
        places.append((bitmaps[chunk] + inside * size, size))
    step = _MIB // size
    for first in range(0, len(places), step):
        found = yield from storage.bytes_at(places[first : first + step], "a bitmap of sectors")
        for (start, offset), bitmap in zip(partial[first:], found):
            bits = f"{int.from_bytes(bitmap, 'little'):0{8 * size}b}"[::-1]
            pieces.add_bits(start, bits, disk.sector, offset, {"1": DATA})
