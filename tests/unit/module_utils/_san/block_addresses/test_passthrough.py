# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN that is a disk as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.passthrough import identity_or
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, IMAGE, NO_ADDRESS, PASSTHROUGH, ImageFile, VirtualDisk
from tests.unit.ports import NAME

DISK = VirtualDisk("2001", "Hard disk 2", PASSTHROUGH, size_bytes=1 << 30, device="naa.x", name=NAME)


def test_each_byte_of_the_disk_is_the_byte_of_the_lun() -> None:
    (whole,) = identity_or(DISK, "").extents
    assert (whole.start, whole.length, whole.state, whole.name, whole.offset) == (0, 1 << 30, DATA, NAME, 0)


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        (replace(DISK, kind=IMAGE), "nobody tells"),
        (replace(DISK, name=None), "does not show which LUN naa.x is"),
        (replace(DISK, parents=[ImageFile("[ds] a.vmdk")]), "has snapshots"),
    ],
)
def test_of_anything_else_nobody_can_tell(disk: VirtualDisk, reason: str) -> None:
    (whole,) = identity_or(disk, "nobody tells").extents
    assert (whole.state, whole.length, whole.offset) == (NO_ADDRESS, 1 << 30, None)
    assert reason in whole.reason
