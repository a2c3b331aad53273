# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which logical volume of its guest a byte of a physical volume is, and where that volume lies, by what LVM has written there.

Pure, but for the reading of a few sectors, which whoever asks brings along. The layout of labels and metadata areas is that of LVM2's
lib/format_text/layout.h and lib/label/label.h; checksums are CRC-32 that begins with `_CRC` and ends as it is (lib/misc/crc.c). Tried with
volumes that LVM 2.03 has made.

A group of one physical volume alone is told: which of several has the newest metadata, nobody can tell who sees one of them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import lvm_text
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span, joined
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.partitions import Read

_SECTOR = 512
_LABEL, _KIND, _SECTORS_OF_LABEL = b"LABELONE", b"LVM2 001", 4
_MAGIC, _VERSION = b" LVM2 x[5A%r0N*>", 1
_CRC = 0xF597A6CF
_IGNORED = 1
_MOST_AREAS = 4
_LONGEST_TEXT = 8 << 20
_STRIPES = "stripes"
_NOT_LVMS = "LVM's metadata there is not as LVM writes it"
_MOST_PIECES = 256
"""Of a volume that can be put together on the host."""


@dataclass(frozen=True)
class LogicalVolume:
    """A logical volume that has a byte of a physical volume."""

    name: str
    """With its volume group's, as in `data/root`."""
    spans: Sequence[Span] = ()
    """Where all of it lies on the physical volume, in order; none where that cannot be told."""

    def place(self, at: int) -> int:
        """Where a byte of the physical volume is in the volume, in bytes."""
        return next(span.start + at - span.offset for span in self.spans if span.offset <= at < span.offset + span.length)


class _Untold(Exception):
    """Why nobody can tell."""


def logical_volume_at(read: Read, at: int) -> tuple[LogicalVolume | None, str]:
    """The logical volume that a byte of a physical volume is in, or none, and why; without ranges where it does not simply lie there."""
    try:
        identity, areas = _header(read)
        group, told = _group(_newest(read, areas))
        physical = _own(group, told, identity)
        return _volume_at(group, told, physical, at)
    except _Untold as error:
        return None, str(error)
    except (lvm_text.NotLvm, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error):
        return None, _NOT_LVMS


def _checksum(data: bytes) -> int:
    return zlib.crc32(data, _CRC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _header(read: Read) -> tuple[str, list[tuple[int, int]]]:
    """The identity of the physical volume, and its metadata areas: offset and length."""
    head = read(0, 8 * _SECTOR)
    if not head:
        raise _Untold("LVM's metadata cannot be read from here")
    for number in range(_SECTORS_OF_LABEL):
        label = head[number * _SECTOR : (number + 1) * _SECTOR]
        if label[:8] == _LABEL and label[24:32] == _KIND:
            sector, checksum, ahead = struct.unpack_from("<QII", label, 8)
            if sector != number or checksum != _checksum(label[20:]):
                raise _Untold("the label of LVM there is damaged")
            start = number * _SECTOR + ahead
            places = struct.iter_unpack("<QQ", head[start + 40 : start + 40 + (len(head) - start - 40) // 16 * 16])
            _data, areas = [*_until_zero(places)], [*_until_zero(places)]
            return head[start : start + 32].decode("ascii"), areas
    raise _Untold("there is no label of LVM there")


def _until_zero(places: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for offset, length in places:
        if not offset:
            return
        yield offset, length


def _newest(read: Read, areas: Sequence[tuple[int, int]]) -> str:
    """The text of the metadata areas, if all that are in use have the same."""
    texts = {text for offset, length in areas[:_MOST_AREAS] for text in _text(read, offset, length)}
    if not texts:
        raise _Untold("the physical volume holds no metadata of its volume group")
    if len(texts) > 1:
        raise _Untold("the physical volume holds two different copies of its metadata")
    return texts.pop().decode("utf-8")


def _text(read: Read, offset: int, length: int) -> Iterator[bytes]:
    """What a metadata area has, which goes on behind its header where it comes to its end; nothing if it is not used."""
    header = read(offset, _SECTOR)
    if header[4:20] != _MAGIC or struct.unpack_from("<I", header)[0] != _checksum(header[4:]):
        raise _Untold("a metadata area of LVM there is damaged")
    version, start, size, place, used, checksum, flags = struct.unpack_from("<IQQQQII", header, 20)
    if (version, start, size) != (_VERSION, offset, length):
        raise _Untold("a metadata area of LVM there is damaged")
    if not place or flags & _IGNORED:
        return
    if not (_SECTOR <= place < size and 0 < used <= min(size - _SECTOR, _LONGEST_TEXT)):
        raise _Untold("a metadata area of LVM there is damaged")
    first = min(used, size - place)
    text = _exactly(read, offset + place, first) + _exactly(read, offset + _SECTOR, used - first)
    if _checksum(text) != checksum:
        raise _Untold("LVM's metadata there is damaged, or was being written while it was read")
    yield text.rstrip(b"\0")


def _exactly(read: Read, offset: int, length: int) -> bytes:
    begin = offset // _SECTOR * _SECTOR
    end = -(-(offset + length) // _SECTOR) * _SECTOR
    return read(begin, end - begin)[offset - begin :][:length] if length else b""


def _group(text: str) -> tuple[str, Mapping[str, Any]]:
    """The volume group's name, and what is told of it."""
    ((name, told),) = ((key, value) for key, value in lvm_text.parse(text).items() if isinstance(value, dict))
    return name, told


def _own(group: str, told: Mapping[str, Any], identity: str) -> str:
    """How the group calls the physical volume that is read here."""
    others = told["physical_volumes"]
    if len(others) != 1:
        raise _Untold(f"volume group {group} has {len(others)} physical volumes, and only one of one alone can be told")
    ((name, found),) = others.items()
    if found["id"].replace("-", "") != identity:
        raise _Untold(f"volume group {group} is of another physical volume than its label says")
    return str(name)


def _volume_at(group: str, told: Mapping[str, Any], physical: str, at: int) -> tuple[LogicalVolume | None, str]:
    extents = _Extents(told, physical)
    volumes = told.get("logical_volumes", {})
    for name, volume in volumes.items():
        if any(_has(segment, physical, extents, at) for segment in _segments(volume)):
            found = LogicalVolume(f"{group}/{name}")
            why = _unusual(found.name, name, volumes, physical) or _too_many(found.name, volume, extents)
            return (found, why) if why else (LogicalVolume(found.name, [*joined(_spans(volume, extents))]), "")
    return None, f"in no logical volume: LVM's own data, or free space of volume group {group}"


class _Extents:
    """The extents of a physical volume."""

    def __init__(self, told: Mapping[str, Any], physical: str) -> None:
        own = told["physical_volumes"][physical]
        self.size = told["extent_size"] * _SECTOR
        self._first, self._count = own["pe_start"] * _SECTOR, own["pe_count"]

    def start(self, number: int, count: int) -> int:
        """Where so many of them begin, in bytes. Raises `_Untold` where the physical volume has not as many."""
        if self.size <= 0 or self._first <= 0 or not 0 <= number < number + count <= self._count:
            raise _Untold(_NOT_LVMS)
        return int(self._first + number * self.size)


def _segments(volume: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = [value for value in volume.values() if isinstance(value, dict)]
    return sorted(found, key=lambda segment: segment["start_extent"])


def _has(segment: Mapping[str, Any], physical: str, extents: _Extents, at: int) -> bool:
    """Whether a segment has a byte of the physical volume: it lists its areas as names and numbers of extents, whatever its kind."""
    for key, places in segment.items():
        if isinstance(places, list):
            count = segment["extent_count"] // (segment["stripe_count"] if key == _STRIPES else 1)
            numbers = (number for name, number in zip(places[::2], places[1::2]) if name == physical and isinstance(number, int))
            if any(0 <= at - extents.start(number, count) < count * extents.size for number in numbers):
                return True
    return False


def _unusual(full: str, name: str, volumes: Mapping[str, Any], physical: str) -> str:
    """Why a volume's bytes are not where its extents are, or are none of a file system's."""
    own = volumes[name]
    users = [other for other, volume in volumes.items() if any(name in _words(segment, physical) for segment in _segments(volume))]
    kinds = {segment["type"] for segment in _segments(own)} - {"striped"}
    if kinds:
        return f"{full} is of kind {', '.join(sorted(kinds))} in LVM, which has no addresses that stay"
    if users:
        return f"{full} is a part of {', '.join(sorted(users))} (a snapshot, a pool, a cache, a mirror or RAID)"
    if "VISIBLE" not in own["status"]:
        return f"{full} is a volume for LVM's own use"
    if any(place != physical for segment in _segments(own) for place in segment[_STRIPES][::2]):
        return f"{full} is being moved, or lies on more than the physical volume"
    return ""


def _words(segment: Mapping[str, Any], physical: str) -> Iterator[str]:
    """All other volumes that a segment names."""
    for key, value in segment.items():
        named = value if isinstance(value, list) else [value]
        yield from (word for word in named if isinstance(word, str) and key != "type" and word != physical)


def _too_many(full: str, volume: Mapping[str, Any], extents: _Extents) -> str:
    """How many pieces there are, where they are more than can be put together."""
    pieces = sum(
        segment["extent_count"] * extents.size // (segment["stripe_size"] * _SECTOR) if segment["stripe_count"] > 1 else 1
        for segment in _segments(volume)
    )
    return f"{full} lies in {pieces} pieces, more than can be put together on the host" if pieces > _MOST_PIECES else ""


def _spans(volume: Mapping[str, Any], extents: _Extents) -> Iterator[Span]:
    """A whole volume, by its segments, which follow each other without a gap."""
    at = 0
    for segment in _segments(volume):
        count, stripes = segment["extent_count"], segment["stripe_count"]
        numbers = segment[_STRIPES][1::2]
        if segment["start_extent"] * extents.size != at or len(numbers) != stripes or count % stripes:
            raise _Untold(_NOT_LVMS)
        areas = [extents.start(number, count // stripes) for number in numbers]
        chunk = segment["stripe_size"] * _SECTOR if stripes > 1 else count * extents.size
        if count // stripes * extents.size % chunk:
            raise _Untold(_NOT_LVMS)
        for number in range(count * extents.size // chunk):
            row, column = divmod(number, stripes)
            yield Span(at + number * chunk, chunk, offset=areas[column] + row * chunk)
        at += count * extents.size
