# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes VHDX and VHD files of any state that their specifications allow, for tests to damage and to read: [MS-VHDX], and VHD 1.0.

Python alone, so that unit tests need nothing; QEMU and dissect.hypervisor judge what is made here, in tests/conformance/kvm.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.unit.crc32c import crc32c

MIB = 1 << 20
SECTOR = 512
ONE, NOBODY = uuid.UUID(int=1), uuid.UUID(int=0)
NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED, PRESENT, PARTIAL = 0, 1, 2, 3, 6, 7
BAT = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
DISK_ID = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
LOGICAL = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
PHYSICAL = uuid.UUID("cda348c7-445d-4471-9cc9-e9885251c556")
LOCATOR = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
LOCATOR_TYPE = uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913")
REGIONS = 4 * MIB
"""The first byte behind headers, log, metadata and block table; blocks come from there on."""


def sealed(page: bytes) -> bytes:
    """A page of VHDX with its checksum, which is taken with zeros in its place."""
    return page[:4] + struct.pack("<I", crc32c(page[:4] + bytes(4) + page[8:])) + page[8:]


@dataclass
class Block:
    """A block of the virtual disk as its image has it."""

    state: int
    data: bytes = field(default=b"", repr=False)
    sectors: frozenset[int] = field(default=frozenset(), repr=False)
    """Those that are in the image, if it is there in part."""


@dataclass
class Vhdx:
    """What a VHDX file is to say."""

    size: int
    block: int = MIB
    sector: int = SECTOR
    blocks: Mapping[int, Block] = field(default_factory=dict)
    parent: Mapping[str, str] | None = None
    identity: uuid.UUID = ONE
    log: uuid.UUID = NOBODY
    sequences: tuple[int, int] = (7, 8)
    order: Sequence[int] = ()
    """In which order blocks are put into the file; by number where it is empty."""
    version: tuple[int, int] = (0, 1)
    more_regions: Sequence[tuple[uuid.UUID, int, int, int]] = ()
    more_items: Sequence[tuple[uuid.UUID, bytes, int]] = ()

    def made(self) -> bytearray:
        file = bytearray(REGIONS)
        file[:8] = b"vhdxfile"
        for at, sequence in zip((64 << 10, 128 << 10), self.sequences):
            file[at : at + 4096] = self.header(sequence)
        for at in (192 << 10, 256 << 10):
            file[at : at + 65536] = self.regions()
        metadata = self.metadata()
        file[2 * MIB : 2 * MIB + len(metadata)] = metadata
        entries = self._place(file)
        table = struct.pack(f"<{len(entries)}Q", *entries)
        file[3 * MIB : 3 * MIB + len(table)] = table
        return file

    def header(self, sequence: int) -> bytes:
        body = struct.pack("<4xQ", sequence) + uuid.uuid4().bytes_le + self.identity.bytes_le + self.log.bytes_le
        return sealed((b"head" + body + struct.pack("<HHIQ", *self.version, MIB, MIB)).ljust(4096, b"\0"))

    def regions(self) -> bytes:
        rows = [(BAT, 3 * MIB, MIB, 1), (METADATA, 2 * MIB, MIB, 1), *self.more_regions]
        page = b"regi" + bytes(4) + struct.pack("<I4x", len(rows))
        page += b"".join(name.bytes_le + struct.pack("<QII", *row) for name, *row in rows)
        return sealed(page.ljust(65536, b"\0"))

    def metadata(self) -> bytes:
        items = [
            (PARAMETERS, struct.pack("<II", self.block, 2 if self.parent is not None else 0), 4),
            (SIZE, struct.pack("<Q", self.size), 6),
            (DISK_ID, uuid.UUID(int=99).bytes_le, 6),
            (LOGICAL, struct.pack("<I", self.sector), 6),
            (PHYSICAL, struct.pack("<I", 4096), 6),
            *([(LOCATOR, self._locator(), 4)] if self.parent is not None else []),
            *self.more_items,
        ]
        table, body = struct.pack("<8s2xH20x", b"metadata", len(items)), b""
        for name, data, flags in items:
            table += name.bytes_le + struct.pack("<III4x", 65536 + len(body), len(data), flags)
            body += data
        return table.ljust(65536, b"\0") + body

    def _locator(self) -> bytes:
        words = [(key.encode("utf-16-le"), value.encode("utf-16-le")) for key, value in (self.parent or {}).items()]
        head, body = LOCATOR_TYPE.bytes_le + struct.pack("<HH", 0, len(words)), b""
        start = 20 + 12 * len(words)
        for key, value in words:
            head += struct.pack("<IIHH", start + len(body), start + len(body) + len(key), len(key), len(value))
            body += key + value
        return head + body

    def _place(self, file: bytearray) -> list[int]:
        """Puts blocks and bitmaps behind the regions; the entries of the block table."""
        ratio, count = (self.sector << 23) // self.block, -(-self.size // self.block)
        entries = [0] * ((-(-count // ratio)) * (ratio + 1))
        for number in self.order or sorted(self.blocks):
            block = self.blocks[number]
            there = len(file)
            entries[number + number // ratio] = block.state | (there if block.state in (PRESENT, PARTIAL) else 0)
            if block.state in (PRESENT, PARTIAL):
                file += block.data.ljust(self.block, b"\0")
        for chunk in sorted({number // ratio for number, block in self.blocks.items() if block.state == PARTIAL}):
            there = len(file)
            file += bytes(MIB)
            entries[chunk * (ratio + 1) + ratio] = there | PRESENT
            for number in (number for number in self.blocks if number // ratio == chunk):
                for sector in self.blocks[number].sectors:
                    bit = (number % ratio) * (self.block // self.sector) + sector
                    file[there + bit // 8] |= 1 << bit % 8
        return entries


def checksum(page: bytes) -> int:
    """Of a page of VHD that has zeros where its checksum will be."""
    return ~sum(page) & 0xFFFFFFFF


@dataclass
class Vhd:
    """What a VHD file is to say: kind 2 is fixed, 3 dynamic, 4 differencing."""

    size: int
    kind: int = 3
    block: int = 2 * MIB
    blocks: Mapping[int, Block] = field(default_factory=dict)
    identity: uuid.UUID = ONE
    parent: uuid.UUID = NOBODY
    relative: str = ""
    absolute: str = ""
    name: str = ""
    order: Sequence[int] = ()
    entries: int = 0
    data: bytes = field(default=b"", repr=False)
    """Of a fixed disk."""

    def made(self) -> bytearray:
        if self.kind == 2:
            return bytearray(self.data.ljust(self.size, b"\0") + self.footer())
        count = self.entries or -(-self.size // self.block)
        head = self.footer() + self.header(count)
        table_at = -(-(len(head) + 4096) // SECTOR) * SECTOR
        head += self._paths().ljust(table_at - len(head), b"\0")
        table = [0xFFFFFFFF] * count
        body = bytearray()
        start = table_at + -(-4 * count // SECTOR) * SECTOR
        for number in self.order or sorted(self.blocks):
            table[number] = (start + len(body)) // SECTOR
            body += self._bitmap(self.blocks[number].sectors) + self.blocks[number].data.ljust(self.block, b"\0")
        file = bytearray(head) + struct.pack(f">{count}I", *table)
        return file.ljust(start, b"\0") + body + self.footer()

    def footer(self) -> bytes:
        where = (1 << 64) - 1 if self.kind == 2 else SECTOR
        page = struct.pack(
            ">8sIIQI4sI4sQQII", b"conectix", 2, 0x10000, where, 0, b"win ", 0xA0000, b"Wi2k", self.size, self.size, 0, self.kind
        )
        tail = self.identity.bytes + bytes(SECTOR - 84)
        return page + struct.pack(">I", checksum(page + tail)) + tail

    def header(self, entries: int) -> bytes:
        table = -(-(SECTOR + 1024 + 4096) // SECTOR) * SECTOR
        page = struct.pack(">8sQQIII", b"cxsparse", (1 << 64) - 1, table, 0x10000, entries, self.block)
        tail = self.parent.bytes + bytes(8) + self.name.encode("utf-16-be").ljust(512, b"\0") + self._locators() + bytes(256)
        return page + struct.pack(">I", checksum(page + tail)) + tail

    def _locators(self) -> bytes:
        rows, at = b"", SECTOR + 1024
        for code, path in ((b"W2ru", self.relative), (b"W2ku", self.absolute)):
            data = path.encode("utf-16-le")
            rows += struct.pack(">4sII4xQ", code, -(-len(data) // SECTOR), len(data), at) if path else bytes(24)
            at += 2048
        return rows.ljust(192, b"\0")

    def _paths(self) -> bytes:
        return b"".join(path.encode("utf-16-le").ljust(2048, b"\0") for path in (self.relative, self.absolute))

    def _bitmap(self, sectors: frozenset[int]) -> bytes:
        bitmap = bytearray(-(-self.block // SECTOR // 8 // SECTOR) * SECTOR)
        for sector in sectors:
            bitmap[sector // 8] |= 0x80 >> sector % 8
        return bytes(bitmap)
