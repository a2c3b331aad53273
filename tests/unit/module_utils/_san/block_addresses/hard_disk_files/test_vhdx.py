# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHDX files: which state of a block is told as what, and what is refused. Others judge such files in tests/conformance/kvm."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files import vhdx
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.image import OF_PARENT, HardDiskFile
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold, read_with
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE
from tests.examples import share
from tests.unit.hard_disk_files import (
    BAT,
    METADATA,
    MIB,
    PARTIAL,
    PRESENT,
    REGIONS,
    SIZE,
    UNDEFINED,
    UNMAPPED,
    ZERO,
    Block,
    Vhdx,
    sealed,
)

pytestmark = pytest.mark.slow

PATH = "C:\\disks\\one.vhdx"
FULL = Block(PRESENT, b"x")
CHILD = {"parent_linkage": f"{{{uuid.UUID(int=1)}}}", "relative_path": ".\\base.vhdx", "absolute_win32_path": "C:\\disks\\base.vhdx"}
TABLE, ITEMS, REGION_TABLES = 3 * MIB, 2 * MIB, (192 << 10, 256 << 10)
HEADERS = (64 << 10, 128 << 10)


def image(file: bytes | bytearray, unread: int = 0) -> HardDiskFile:
    """By the bytes that are there; so many more are at the end, which nobody looks at."""
    return read_with(vhdx.image(PATH, len(file) + unread), lambda offset, length: bytes(file[offset : offset + length]))


def test_blocks_are_where_the_table_says_and_neighbours_are_one() -> None:
    told = Vhdx(8 * MIB + 4096, blocks={1: FULL, 2: FULL, 5: FULL, 8: FULL}, order=(5, 1, 2, 8))
    found = image(told.made())
    assert (found.size, found.sector, found.identity, found.parent) == (8 * MIB + 4096, 512, uuid.UUID(int=1), None)
    assert found.spans == [
        Span(MIB, 2 * MIB, DATA, PATH, REGIONS + MIB),
        Span(5 * MIB, MIB, DATA, PATH, REGIONS),
        Span(8 * MIB, 4096, DATA, PATH, REGIONS + 3 * MIB),
    ]


def test_no_file_of_a_chain_has_what_is_undefined_zero_or_given_back() -> None:
    told = Vhdx(4 * MIB, blocks={0: Block(UNDEFINED), 1: Block(ZERO), 2: Block(UNMAPPED)}, parent=CHILD)
    assert [(span.start, span.state, span.below) for span in image(told.made()).spans] == [
        (0, HOLE, ""),
        (MIB, HOLE, ""),
        (2 * MIB, HOLE, ""),
        (3 * MIB, DATA, OF_PARENT),
    ]


def test_of_a_block_that_is_there_in_part_the_bitmap_says_which_sectors_are() -> None:
    told = Vhdx(2 * MIB, blocks={1: Block(PARTIAL, b"x", frozenset({0, 1, 9, 2047}))}, parent=CHILD)
    there = REGIONS - MIB
    assert image(told.made()).spans == [
        Span(0, MIB, DATA, OF_PARENT, 0),
        Span(MIB, 1024, DATA, PATH, there + MIB),
        Span(MIB + 1024, 7 * 512, DATA, OF_PARENT, MIB + 1024),
        Span(MIB + 9 * 512, 512, DATA, PATH, there + MIB + 9 * 512),
        Span(MIB + 10 * 512, 2037 * 512, DATA, OF_PARENT, MIB + 10 * 512),
        Span(2 * MIB - 512, 512, DATA, PATH, there + 2 * MIB - 512),
    ]


def test_the_entry_of_a_bitmap_lies_behind_those_of_its_blocks() -> None:
    block = 256 * MIB
    told = Vhdx(17 * block, block, blocks={})
    file = told.made()
    struct.pack_into("<Q", file, TABLE + 8 * 17, REGIONS | PRESENT)
    assert image(file, unread=block).spans == [Span(16 * block, block, DATA, PATH, REGIONS)]


def test_the_parent_is_told_by_identity_and_paths() -> None:
    more = {**CHILD, "parent_linkage2": f"{{{uuid.UUID(int=2)}}}"}
    parent = image(Vhdx(MIB, parent=more).made()).parent
    assert parent is not None
    assert parent.identities == {uuid.UUID(int=1), uuid.UUID(int=2)}
    assert (parent.relative, parent.absolute) == (".\\base.vhdx", "C:\\disks\\base.vhdx")


def test_the_header_with_the_higher_number_holds_unless_it_is_torn() -> None:
    told = Vhdx(MIB)
    file = told.made()
    file[HEADERS[0] : HEADERS[0] + 4096] = replace(told, identity=uuid.UUID(int=7)).header(9)
    assert image(file).identity == uuid.UUID(int=7)
    file[HEADERS[0] + 100] ^= 1
    assert image(file).identity == uuid.UUID(int=1)


def test_one_region_table_is_enough() -> None:
    file = Vhdx(MIB, blocks={0: FULL}).made()
    file[REGION_TABLES[0] + 40] ^= 1
    assert image(file).spans == [Span(0, MIB, DATA, PATH, REGIONS)]


def test_a_log_that_is_not_empty_is_refused() -> None:
    with pytest.raises(NotTold, match=r"the log of .* is not empty"):
        image(Vhdx(MIB, log=uuid.UUID(int=5)).made())


def entry(value: int, number: int = 0) -> Callable[[bytearray], None]:
    return lambda file: struct.pack_into("<Q", file, TABLE + 8 * number, value)


def region(row: int, offset: int, length: int) -> Callable[[bytearray], None]:
    def change(file: bytearray) -> None:
        for at in REGION_TABLES:
            struct.pack_into("<QI", file, at + 16 + 32 * row + 16, offset, length)
            file[at : at + 65536] = sealed(bytes(file[at : at + 65536]))

    return change


def count_of_regions(count: int) -> Callable[[bytearray], None]:
    def change(file: bytearray) -> None:
        for at in REGION_TABLES:
            struct.pack_into("<I", file, at + 8, count)
            file[at : at + 65536] = sealed(bytes(file[at : at + 65536]))

    return change


def item(row: int, offset: int, length: int) -> Callable[[bytearray], None]:
    return lambda file: struct.pack_into("<II", file, ITEMS + 32 + 32 * row + 16, offset, length)


def put(at: int, data: bytes) -> Callable[[bytearray], None]:
    def change(file: bytearray) -> None:
        file[at : at + len(data)] = data

    return change


PARAMETERS, DISK, SECTORS = ITEMS + 65536, ITEMS + 65536 + 8, ITEMS + 65536 + 32


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (put(0, b"conectix"), "is no VHDX file"),
        (put(0, b"vhdxfil\0"), "is no VHDX file"),
        (entry(5), "a block in state 5"),
        (entry(4), "a block in state 4"),
        (entry(PRESENT), "at the same place"),
        (entry((3 * MIB) | PRESENT), "at the same place"),
        (entry((2 * MIB) | PRESENT), "at the same place"),
        (entry(MIB | PRESENT), "at the same place"),
        (entry((REGIONS + MIB) | PRESENT, 2), "at the same place"),
        (entry((1 << 50) | PRESENT), "beyond its end"),
        (entry(0xFFFFFFFFFFF00000 | PRESENT), "beyond its end"),
        (entry(REGIONS | PARTIAL), "is based on none"),
        (region(0, 1 << 40, MIB), "a region of it cannot be"),
        (region(0, 3 * MIB + 4096, MIB), "a region of it cannot be"),
        (region(0, 3 * MIB, 0), "a region of it cannot be"),
        (region(0, 2 * MIB, MIB), "a block in state 5"),
        (region(1, 3 * MIB, MIB), "no table that can be read"),
        (count_of_regions(1), "no block table or no metadata"),
        (count_of_regions(4000), "more entries than there can be"),
        (put(ITEMS, b"Metadata"), "no table that can be read"),
        (put(ITEMS + 10, struct.pack("<H", 3000)), "no table that can be read"),
        (put(ITEMS + 10, struct.pack("<H", 1)), "lacks the size"),
        (item(1, 100, 8), "an item of its metadata cannot be"),
        (item(1, 0xFFFFFFF0, 0xFFFFFFF0), "an item of its metadata cannot be"),
        (item(1, 65536, 4), "lacks the size"),
        (put(PARAMETERS, struct.pack("<I", 3 * MIB)), "cannot have blocks of 3145728 bytes"),
        (put(PARAMETERS, struct.pack("<I", 0)), "cannot have blocks of 0 bytes"),
        (put(PARAMETERS, struct.pack("<I", 512 * MIB)), "cannot have blocks of 536870912 bytes"),
        (put(SECTORS, struct.pack("<I", 520)), "sectors of 520 bytes"),
        (put(DISK, struct.pack("<Q", 0)), "cannot have 0 bytes"),
        (put(DISK, struct.pack("<Q", MIB + 1)), "cannot have 1048577 bytes"),
        (put(DISK, struct.pack("<Q", 1 << 62)), "cannot have 4611686018427387904 bytes"),
        (put(DISK, struct.pack("<Q", 1 << 40)), "too small for a disk of 1099511627776 bytes"),
    ],
)
def test_what_is_damaged_is_refused_in_one_sentence(change: Callable[[bytearray], None], why: str) -> None:
    file = Vhdx(3 * MIB, blocks={0: FULL, 1: FULL}).made()
    change(file)
    with pytest.raises(NotTold) as refused:
        image(file)
    assert why in str(refused.value)
    assert PATH in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("at", [*HEADERS])
def test_two_headers_that_are_torn_are_refused(at: int) -> None:
    file = Vhdx(MIB).made()
    for header in HEADERS:
        file[header + 200] ^= 1
    with pytest.raises(NotTold, match="neither of its headers"):
        image(file)


def test_headers_of_one_number_are_refused_unless_they_are_the_same() -> None:
    told = Vhdx(MIB, sequences=(5, 5))
    file = told.made()
    with pytest.raises(NotTold, match="which of its headers is the newer one"):
        image(file)
    file[HEADERS[0] : HEADERS[0] + 4096] = file[HEADERS[1] : HEADERS[1] + 4096]
    assert image(file).size == MIB


def test_region_tables_that_are_torn_or_differ_are_refused() -> None:
    told = Vhdx(MIB)
    file = told.made()
    other = replace(told, more_regions=[(uuid.UUID(int=3), 3 * MIB, MIB, 0)]).regions()
    file[REGION_TABLES[0] : REGION_TABLES[0] + 65536] = other
    with pytest.raises(NotTold, match="two region tables differ"):
        image(file)
    for at in REGION_TABLES:
        file[at + 9] ^= 0xFF
    with pytest.raises(NotTold, match="neither of its region tables"):
        image(file)


def test_versions_that_nobody_knows_are_refused() -> None:
    for version in ((0, 2), (1, 1)):
        with pytest.raises(NotTold, match=f"VHDX file of version {version[1]} with a log of version {version[0]}"):
            image(Vhdx(MIB, version=version).made())


def test_an_item_that_lies_far_behind_the_table_is_read_by_itself() -> None:
    file = Vhdx(MIB).made()
    far = ITEMS + 65536 * 3
    file[far : far + 8] = struct.pack("<Q", 5 * MIB)
    item(1, 65536 * 3, 8)(file)
    assert image(file).size == 5 * MIB


def test_a_region_or_an_item_that_has_to_be_understood_and_is_not_is_refused_and_others_are_passed_by() -> None:
    name = uuid.UUID(int=77)
    with pytest.raises(NotTold, match=f"needs a region {name}"):
        image(Vhdx(MIB, more_regions=[(name, 3 * MIB, MIB, 1)]).made())
    with pytest.raises(NotTold, match=f"needs metadata {name}"):
        image(Vhdx(MIB, more_items=[(name, b"x", 4)]).made())
    assert image(Vhdx(MIB, more_items=[(name, b"x", 0)]).made()).size == MIB


@pytest.mark.parametrize("again", [BAT, METADATA])
def test_a_region_that_is_named_twice_is_refused(again: uuid.UUID) -> None:
    with pytest.raises(NotTold, match="a region of it cannot be"):
        image(Vhdx(MIB, more_regions=[(again, 3 * MIB, MIB, 1)]).made())


def test_an_item_that_is_named_twice_is_refused() -> None:
    with pytest.raises(NotTold, match="an item of its metadata cannot be"):
        image(Vhdx(MIB, more_items=[(SIZE, bytes(8), 6)]).made())


@pytest.mark.parametrize(
    ("says", "why"), [({"relative_path": "x"}, "does not say which image"), ({"parent_linkage": "{no}"}, "does not say which image")]
)
def test_a_parent_without_an_identity_is_refused(says: dict[str, str], why: str) -> None:
    with pytest.raises(NotTold, match=why):
        image(Vhdx(MIB, parent=says).made())


def test_a_parent_locator_that_is_cut_off_or_of_another_kind_is_refused() -> None:
    file = Vhdx(MIB, parent=CHILD).made()
    at = file.index(uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913").bytes_le)
    torn = bytearray(file)
    struct.pack_into("<H", torn, at + 18, 60000)
    with pytest.raises(NotTold, match="is cut off"):
        image(torn)
    file[at] ^= 1
    with pytest.raises(NotTold, match="does not name as a VHDX file does"):
        image(file)


def test_a_block_in_part_without_a_bitmap_is_refused() -> None:
    file = Vhdx(MIB, blocks={0: Block(PARTIAL, b"x", frozenset({1}))}, parent=CHILD).made()
    ratio = (512 << 23) // MIB
    struct.pack_into("<Q", file, TABLE + 8 * ratio, 0)
    with pytest.raises(NotTold, match="no bitmap for a block"):
        image(file)


def test_more_blocks_than_anybody_reads_are_refused_before_they_are_read() -> None:
    told = Vhdx(MIB)
    file = told.made()
    struct.pack_into("<Q", file, DISK, 9 << 40)
    with pytest.raises(NotTold, match="9437184 blocks"):
        image(file)


def test_a_file_that_is_cut_off_is_refused_wherever_it_ends() -> None:
    file = bytes(Vhdx(2 * MIB, blocks={0: FULL, 1: FULL}).made())
    for end in (0, 7, 100, HEADERS[0], HEADERS[1] + 4095, REGION_TABLES[1] + 100, ITEMS + 10, TABLE, len(file) - MIB):
        with pytest.raises(NotTold):
            image(file[:end])


def test_a_file_that_ends_while_it_is_read_is_refused() -> None:
    file = bytes(Vhdx(2 * MIB, blocks={0: FULL}).made())
    with pytest.raises(NotTold, match="could not be read where its block table is: it ended there"):
        read_with(vhdx.image(PATH, len(file)), lambda offset, length: file[offset : min(offset + length, TABLE + 3)])


@settings(max_examples=share(3 / 5))
@given(st.data())
def test_whatever_is_changed_ends_in_an_image_or_in_one_sentence(data: st.DataObject) -> None:
    file = Vhdx(3 * MIB, blocks={0: FULL, 2: Block(PARTIAL, b"x", frozenset({3}))}, parent=CHILD).made()
    edges = [0, *HEADERS, *REGION_TABLES, ITEMS, ITEMS + 65536, TABLE]
    for _change in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(edges)) + data.draw(st.integers(0, 300))
        file[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    for at in HEADERS:
        file[at : at + 4096] = sealed(bytes(file[at : at + 4096]))
    for at in REGION_TABLES:
        file[at : at + 65536] = sealed(bytes(file[at : at + 65536]))
    try:
        found = image(file)
    except NotTold:
        return
    assert all(span.offset + span.length <= len(file) for span in found.spans if span.below == PATH)
