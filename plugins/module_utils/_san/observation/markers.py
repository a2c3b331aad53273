# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blocks that are known again wherever they turn up below: what they hold, and the search for them. Pure.

A marker is a block of whole sectors of 512 bytes, each of which can be told by itself, because a layer below may cut a block anywhere
between two of them: the run's random magic, the marker's number, which sector of how many it is, and bytes that are derived from all this.
These neither compress nor repeat, and are the check: a sector is a marker's if it is that to the last byte.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

SECTOR = 512
"""The smallest unit that any layer addresses."""
MAGIC = 16
_HEAD = struct.Struct(">QHH")
_MOST_SECTORS = 1 << 16


@dataclass(frozen=True)
class Sighting:
    """A piece of a marker in bytes that were searched."""

    number: int | None
    """The marker; None for a sector that begins as one and goes on otherwise."""
    offset: int
    """Where the piece begins, in bytes of what was searched."""
    length: int
    within: int = 0
    """Which byte of the marker it begins with."""


@dataclass(frozen=True)
class Markers:
    """The markers of one run."""

    magic: bytes
    """16 random bytes that nothing else on the LUN begins a sector with."""
    length: int = 4096
    """Bytes of each marker, whole sectors."""

    def __post_init__(self) -> None:
        sectors, rest = divmod(self.length, SECTOR)
        if len(self.magic) != MAGIC or rest or not 0 < sectors < _MOST_SECTORS:
            raise ValueError(f"a marker of {self.length} bytes with a magic of {len(self.magic)} bytes")

    @staticmethod
    def new(length: int = 4096) -> Markers:
        """Markers with a magic of their own."""
        return Markers(secrets.token_bytes(MAGIC), length)

    def make(self, number: int) -> bytes:
        """The bytes of a marker. `number` is less than 2^64."""
        return b"".join(self._sector(number, index) for index in range(self.length // SECTOR))

    def find(self, data: bytes, at: int = 0) -> list[Sighting]:
        """All pieces of markers in `data`, which begins at byte `at` of what is searched, a multiple of 512.

        One that is there twice is two sightings; of a whole one in one piece, `length` is that of a marker.
        """
        return joined(self._sectors(data, at))

    def _sectors(self, data: bytes, at: int) -> Iterator[Sighting]:
        place = data.find(self.magic)
        while place >= 0:
            if place % SECTOR == 0 and place + SECTOR <= len(data):
                yield self._told(data[place : place + SECTOR], at + place)
            place = data.find(self.magic, place + 1)

    def _told(self, sector: bytes, offset: int) -> Sighting:
        number, index, _count = _HEAD.unpack_from(sector, MAGIC)
        is_ours = index * SECTOR < self.length and sector == self._sector(number, index)
        return Sighting(number, offset, SECTOR, index * SECTOR) if is_ours else Sighting(None, offset, SECTOR)

    def _sector(self, number: int, index: int) -> bytes:
        head = self.magic + _HEAD.pack(number, index, self.length // SECTOR)
        return head + hashlib.shake_256(head).digest(SECTOR - len(head))


def joined(sightings: Iterable[Sighting]) -> list[Sighting]:
    """The same pieces in the order of their offsets, with neighbours that go on in one marker made one."""
    found: list[Sighting] = []
    for piece in sorted(sightings, key=lambda piece: piece.offset):
        last = found[-1] if found else None
        if last and _goes_on(last, piece):
            found[-1] = replace(last, length=last.length + piece.length)
        else:
            found.append(piece)
    return found


def _goes_on(one: Sighting, two: Sighting) -> bool:
    same = one.number is not None and one.number == two.number
    return same and one.offset + one.length == two.offset and one.within + one.length == two.within
