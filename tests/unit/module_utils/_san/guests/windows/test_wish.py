# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What on a disk contradicts a wish, and what does not."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.layout import Layout, Partition, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.wish import VolumeWish, objection, other_label, way_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import GPT, RAW, HostDisk

NAME = ScsiName("600a0980" + "1" * 24)
WISH = VolumeWish(NAME)
PATH = "\\\\?\\Volume{1}\\"


def layout(file_system: str = "NTFS", label: str = "data", unit: int = 4096, offline: bool = False, style: int = GPT) -> Layout:
    disk = HostDisk(1, NAME, 1 << 30, "id", style=style, offline=offline)
    partition = Partition("p", 1, 1 << 20, 1 << 29, volume_path="" if offline else PATH)
    return Layout(disk, (partition,), () if offline else (Volume("v", PATH.upper(), "", file_system, label, unit, 1 << 29),))


def test_the_wished_volume_is_none() -> None:
    assert objection(layout(), WISH) == ""
    assert objection(layout(unit=65536), VolumeWish(NAME, allocation_unit_bytes=65536)) == ""
    assert objection(layout(unit=65536), WISH) == ""


def test_nothing_and_what_cannot_be_seen_are_none() -> None:
    assert objection(layout(style=RAW), WISH) == ""
    assert objection(layout(offline=True), WISH) == ""


@pytest.mark.parametrize(
    ("found", "wish", "why"),
    [
        (layout("ReFS"), WISH, "the file system ReFS, not NTFS"),
        (layout(""), WISH, "a partition without a file system that Windows knows"),
        (layout(), VolumeWish(NAME, allocation_unit_bytes=8192), "NTFS with allocation units of 4096 bytes, not 8192"),
    ],
)
def test_another_content_is_one(found: Layout, wish: VolumeWish, why: str) -> None:
    assert objection(found, wish).startswith(why)


@pytest.mark.parametrize(
    ("found", "wish", "advice"),
    [
        (layout("ReFS"), WISH, "ask for ReFS to use it as it is, or choose another LUN"),
        (layout(), VolumeWish(NAME, file_system="ReFS"), "ask for NTFS to use it as it is, or choose another LUN"),
        (
            layout(),
            VolumeWish(NAME, allocation_unit_bytes=8192),
            "leave out allocation_unit (in a role, the variable that ends in _allocation_unit) to use it as it is, or choose another LUN",
        ),
        (layout("FAT32"), WISH, "make sure that this is the LUN that is meant and that nobody needs what is on it"),
        (layout(""), WISH, "make sure that this is the LUN that is meant and that nobody needs what is on it"),
    ],
)
def test_nobody_is_advised_to_erase_what_can_be_used(found: Layout, wish: VolumeWish, advice: str) -> None:
    assert way_out(found, wish).startswith(advice)


def test_a_label_is_another_one_only_when_one_is_wished() -> None:
    assert other_label(layout(), WISH) is None
    assert other_label(layout(), VolumeWish(NAME, label="data")) is None
    assert other_label(layout(label=""), VolumeWish(NAME, label="data")) == ""
    assert other_label(layout(offline=True), VolumeWish(NAME, label="data")) is None


def test_a_wish_that_windows_cannot_fulfil_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no allocation unit of 3 bytes"):
        VolumeWish(NAME, allocation_unit_bytes=3)
    with pytest.raises(InvalidInput, match="cannot be the label"):
        VolumeWish(NAME, label="x" * 33)
