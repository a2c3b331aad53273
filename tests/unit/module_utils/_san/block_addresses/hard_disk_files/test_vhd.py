# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHD files: fixed, dynamic and differencing ones, and what is refused. Others judge such files in tests/conformance/kvm."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files import vhd
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.image import OF_PARENT, HardDiskFile
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold, read_with
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, UNWRITTEN
from tests.unit.hard_disk_files import MIB, PARTIAL, SECTOR, Block, Vhd, checksum

PATH = "C:\\disks\\one.vhd"
SMALL = 4096
FULL = Block(PARTIAL, b"x", frozenset(range(8)))
HEADER, TABLE, BLOCKS = 512, 5632, 5632 + 512


def image(file: bytes | bytearray) -> HardDiskFile:
    return read_with(vhd.image(PATH, len(file)), lambda offset, length: bytes(file[offset : offset + length]))


def small(kind: int = 3, **said: object) -> bytearray:
    """A disk of three blocks of eight sectors, whose first two are in the file."""
    told = {"blocks": {0: FULL, 1: Block(PARTIAL, b"y", frozenset({0, 2, 7}))}, "order": (1, 0), **said}
    return Vhd(3 * SMALL, kind, SMALL, **told).made()  # type: ignore[arg-type]


def test_a_fixed_disk_is_the_file_but_for_its_footer_whatever_the_guest_wrote_at_its_beginning() -> None:
    file = Vhd(MIB, 2, data=bytes(small())).made()
    assert image(file).spans == [Span(0, MIB, DATA, PATH, 0)]


def test_a_dynamic_disk_has_blocks_behind_their_bitmaps_and_what_was_never_written_there_is_reserved() -> None:
    found = image(small())
    assert (found.size, found.sector, found.identity, found.parent) == (3 * SMALL, 512, uuid.UUID(int=1), None)
    first, second = BLOCKS + 512 + SMALL + 512, BLOCKS + 512
    assert found.spans == [
        Span(0, SMALL, DATA, PATH, first),
        Span(SMALL, 512, DATA, PATH, second),
        Span(SMALL + 512, 512, UNWRITTEN, PATH, second + 512),
        Span(SMALL + 1024, 512, DATA, PATH, second + 1024),
        Span(SMALL + 1536, 4 * 512, UNWRITTEN, PATH, second + 1536),
        Span(SMALL + 3584, 512, DATA, PATH, second + 3584),
    ]


def test_what_a_differencing_disk_has_not_is_its_parents() -> None:
    found = image(small(4, parent=uuid.UUID(int=9), relative=".\\base.vhd", absolute="C:\\disks\\base.vhd"))
    second = BLOCKS + 512
    assert found.spans[1:4] == [
        Span(SMALL, 512, DATA, PATH, second),
        Span(SMALL + 512, 512, DATA, OF_PARENT, SMALL + 512),
        Span(SMALL + 1024, 512, DATA, PATH, second + 1024),
    ]
    assert found.spans[-1] == Span(2 * SMALL, SMALL, DATA, OF_PARENT, 2 * SMALL)
    assert found.parent is not None
    assert found.parent.identities == {uuid.UUID(int=9)}
    assert (found.parent.relative, found.parent.absolute) == (".\\base.vhd", "C:\\disks\\base.vhd")


def test_a_parent_without_paths_has_the_name_in_the_header() -> None:
    parent = image(small(4, name="base.vhd")).parent
    assert parent is not None
    assert (parent.relative, parent.absolute) == ("", "base.vhd")


def test_the_last_block_ends_where_the_disk_does() -> None:
    file = Vhd(SMALL + 512, 3, SMALL, {1: FULL}).made()
    assert image(file).spans == [Span(SMALL, 512, DATA, PATH, BLOCKS + 512)]


def sealed(at: int, place: int, size: int) -> Callable[[bytearray], None]:
    def seal(file: bytearray) -> None:
        at_ = at if at >= 0 else len(file) + at
        file[at_ + place : at_ + place + 4] = bytes(4)
        struct.pack_into(">I", file, at_ + place, checksum(bytes(file[at_ : at_ + size])))

    return seal


def footer(at: int, data: bytes) -> Callable[[bytearray], None]:
    def change(file: bytearray) -> None:
        there = len(file) - SECTOR + at
        file[there : there + len(data)] = data
        sealed(-SECTOR, 64, SECTOR)(file)

    return change


def header(at: int, data: bytes) -> Callable[[bytearray], None]:
    def change(file: bytearray) -> None:
        file[HEADER + at : HEADER + at + len(data)] = data
        sealed(HEADER, 36, 1024)(file)

    return change


def entry(number: int, value: int) -> Callable[[bytearray], None]:
    return lambda file: struct.pack_into(">I", file, TABLE + 4 * number, value)


def long(value: int) -> bytes:
    return struct.pack(">Q", value)


def word(value: int) -> bytes:
    return struct.pack(">I", value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda file: file.append(0), "its last sector is no footer"),
        (lambda file: file.__setitem__(-1, 1), "has not the checksum"),
        (footer(12, word(0x20000)), "of version 2 and type 3"),
        (footer(60, word(6)), "of version 1 and type 6"),
        (footer(48, long(0)), "cannot have 0 bytes"),
        (footer(48, long(513)), "cannot have 513 bytes"),
        (footer(48, long(1 << 63)), "cannot have 9223372036854775808 bytes"),
        (footer(48, long(1 << 30)), "too small for a disk of 1073741824 bytes"),
        (footer(16, long(1 << 63)), "the header of its blocks would be beyond its end"),
        (footer(16, long(TABLE)), "the header of its blocks has not the checksum"),
        (lambda file: file.__setitem__(HEADER + 100, 1), "the header of its blocks has not the checksum"),
        (header(24, word(0x20000)), "header of version 2"),
        (header(32, word(0)), "blocks of 0 bytes"),
        (header(32, word(512)), "blocks of 512 bytes"),
        (header(32, word(3 * SMALL)), "blocks of 12288 bytes"),
        (header(32, word(1 << 31)), "blocks of 2147483648 bytes"),
        (header(28, word(2)), "too small for a disk of 12288 bytes"),
        (header(16, long(1 << 62)), "its block table would be beyond its end"),
        (header(16, long(512)), "beyond its end"),
        (entry(2, 0xFFFFFFF0), "a bitmap of sectors would be beyond its end"),
        (entry(2, BLOCKS // 512), "at the same place"),
        (entry(2, 0), "at the same place"),
        (entry(2, 1), "at the same place"),
    ],
)
def test_what_is_damaged_is_refused_in_one_sentence(change: Callable[[bytearray], None], why: str) -> None:
    file = small()
    change(file)
    with pytest.raises(NotTold) as refused:
        image(file)
    assert why in str(refused.value)
    assert PATH in str(refused.value)
    assert "\n" not in str(refused.value)


def test_more_blocks_than_anybody_reads_are_refused_before_they_are_read() -> None:
    file = small()
    footer(48, long(1 << 36))(file)
    header(28, word(1 << 24))(file)
    with pytest.raises(NotTold, match="16777216 blocks"):
        image(file)


def test_the_path_of_a_parent_beyond_the_end_is_refused() -> None:
    file = small(4, relative="x")
    header(576 + 16, long(1 << 40))(file)
    with pytest.raises(NotTold, match="the path of its parent would be beyond its end"):
        image(file)


def test_a_file_that_is_too_small_is_refused() -> None:
    with pytest.raises(NotTold, match="too small for one"):
        image(b"conectix")


@given(st.lists(st.tuples(st.integers(0, BLOCKS + 600), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_whatever_is_changed_ends_in_an_image_or_in_one_sentence(changes: list[tuple[int, bytes]]) -> None:
    file = small(4, relative="x")
    for at, data in changes:
        file[at : at + len(data)] = data
    sealed(HEADER, 36, 1024)(file)
    try:
        found = image(file)
    except NotTold:
        return
    assert all(span.offset + span.length <= len(file) for span in found.spans if span.below == PATH)
