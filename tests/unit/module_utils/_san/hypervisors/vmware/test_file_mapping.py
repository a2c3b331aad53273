# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the ESXi shell prints is either exactly what is expected of it, or nothing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.file_mapping import flat_file, ranges, vmfs_partition

MIB = 1 << 20
PATH = "/vmfs/volumes/5f3c-1/app/app.vmdk"
VOLUME = "5f3c-1/5f3c-2/1"
DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="vmfs"

# Extent description
RW 16384 VMFS "app-flat.vmdk"
"""
SIZE = 8 * MIB
TABLE = "gpt\n65270 255 63 1048576000\n1 2048 1048575966 AA31E02A400F11DB9590000C2911D1B8 vmfs 0\n"


def line(start: int, length: int, at: int, kind: str = "VMFS --", volume: str = f"LVID:{VOLUME}") -> str:
    return f"[{start:12}:{length:12}] --> [{kind} {volume}:( {at:12} --> {at + length:12})]\n"


def test_the_file_with_the_bytes_is_beside_its_descriptor() -> None:
    assert flat_file(PATH, DESCRIPTOR, SIZE) == "/vmfs/volumes/5f3c-1/app/app-flat.vmdk"


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("parentCID=ffffffff", "parentCID=01234567", "is based on another disk"),
        ("VMFS", "SESPARSE", "no disk of 8388608 bytes that are in one file as they are .*SESPARSE"),
        ("VMFS", "VMFSRDM", "no disk of .*VMFSRDM"),
        ('RW 16384 VMFS "app-flat.vmdk"', "", "no disk of"),
        ("RW 16384", 'RW 1 VMFS "app-1.vmdk"\nRW 16384', "no disk of"),
        ("RW 16384", "RW 16383", "no disk of"),
        ("RW 16384", "RW " + "9" * 5000, "no disk of"),
        ('flat.vmdk"', 'flat.vmdk" 2048', "no disk of"),
        ("app-flat", "../app-flat", "no disk of"),
        ("RW", "NOACCESS", "no disk of"),
    ],
)
def test_a_disk_of_any_other_kind_is_refused(before: str, after: str, why: str) -> None:
    with pytest.raises(NotTold, match=why) as refused:
        flat_file(PATH, DESCRIPTOR.replace(before, after), SIZE)
    assert len(str(refused.value)) < 300


def test_an_extent_from_the_beginning_of_its_file_may_say_so() -> None:
    assert flat_file(PATH, DESCRIPTOR.replace('.vmdk"', '.vmdk" 0'), SIZE).endswith("app-flat.vmdk")


def test_each_kind_of_range_is_told_with_its_place_in_the_volume() -> None:
    printed = (
        f"Mapping for file {PATH} ({4 * MIB} bytes in size):\n"
        + line(0, MIB, 70 * MIB)
        + line(MIB, MIB, 20 * MIB, "VMFS Z-")
        + line(2 * MIB, 2 * MIB, 0, "NOMP --", "")
    )
    assert ranges(PATH, printed, 4 * MIB) == [
        Span(0, MIB, "data", VOLUME, 70 * MIB),
        Span(MIB, MIB, "unwritten", VOLUME, 20 * MIB),
        Span(2 * MIB, 2 * MIB, "hole"),
    ]


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("", "tells of 0 bytes"),
        ("Failed to open: Device or resource busy", "tells of 0 bytes .*Device or resource busy"),
        (line(0, MIB, 0), "tells of 1048576 bytes of .*, which has 2097152"),
        (line(MIB, MIB, 0), "does not hold"),
        (line(0, MIB, 0) + line(MIB + 4096, MIB, 0), "does not hold"),
        (line(0, 2 * MIB, 0).replace(str(2 * MIB) + ")]", "5)]"), "does not hold"),
        (line(0, 2 * MIB, 100), "does not hold"),
        (line(0, 0, 0) + line(0, 2 * MIB, 0), "does not hold"),
        (line(0, MIB, 50 * MIB) + line(MIB, MIB, 50 * MIB), "the same place of two ranges"),
        (line(0, MIB, 50 * MIB) + line(MIB, MIB, 51 * MIB - 512), "the same place of two ranges"),
        (line(0, 2 * MIB, 0).replace("]", "0" * 5000 + "]", 1), "is not understood"),
        (line(0, 2 * MIB, 0).replace("[           0", "[\u0662", 1), "is not understood"),
        (line(0, 2 * MIB, 0, "VMFS ZX"), "is not understood"),
        (line(0, 2 * MIB, 0, "RDM --"), "is not understood"),
        (line(0, MIB, 0) + line(MIB, MIB, 0, volume="LVID:5f3c-1/5f3c-3/2"), "in several extents"),
    ],
)
def test_what_is_not_understood_or_does_not_hold_is_refused(printed: str, why: str) -> None:
    with pytest.raises(NotTold, match=why) as refused:
        ranges(PATH, printed, 2 * MIB)
    assert len(str(refused.value)) < 300


def test_what_is_beyond_the_disk_is_none_of_it() -> None:
    size = MIB + 512
    assert ranges(PATH, line(0, MIB, 0) + line(MIB, MIB, 5 * MIB) + line(2 * MIB, MIB, 9 * MIB), size) == [
        Span(0, MIB, "data", VOLUME, 0),
        Span(MIB, 512, "data", VOLUME, 5 * MIB),
    ]


@given(st.text(alphabet="[]():->0123456789 VMFSZNOPLID-\n", max_size=80))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(NotTold):
        assert ranges(PATH, text, MIB)[-1].end >= MIB


def test_the_volume_begins_with_its_partition() -> None:
    assert vmfs_partition("naa.1", TABLE) == 2048 * 512
    assert vmfs_partition("naa.1", "msdos\n1 2 3 4\n1 128 1048575966 251 128\n") == 128 * 512


@pytest.mark.parametrize(
    "table",
    [
        "",
        "gpt\n1 2 3 4\n",
        TABLE + TABLE.splitlines()[2] + "\n",
        TABLE.replace("AA31", "BB31"),
        TABLE.replace(" 2048 ", " x "),
        TABLE.replace(" 2048 ", " \u00b2 "),
    ],
)
def test_a_device_without_exactly_one_vmfs_partition_is_refused(table: str) -> None:
    with pytest.raises(NotTold, match=r"naa.1 has \d VMFS partitions by its table"):
        vmfs_partition("naa.1", table)
