# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Linux' block devices by the kernel's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import devices
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from tests.unit.kvm_host import SAN_HOST, _block, mapped
from tests.unit.module_utils._san.linux.machines import plant

MD = "/sys/devices/virtual/block/md0"
MORE = {**mapped(2, "luks", "CRYPT-LUKS2-1", "sdc"), **_block("md0", MD, "9:0"), f"{MD}/md/level": "raid1", f"{MD}/dev": "9:0"}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(plant(tmp_path, SAN_HOST, MORE))


@pytest.mark.parametrize(
    ("block", "kind"),
    [("dm-1", "logical volume"), ("dm-2", "encrypted device"), ("dm-0", "device-mapper device"), ("md0", "RAID"), ("vda", "block device")],
)
def test_what_is_built(tree: Tree, block: str, kind: str) -> None:
    assert devices.kind_of(tree, block) == kind


def test_a_device_is_told_by_its_name_number_and_size(tree: Tree) -> None:
    assert [devices.device_name(tree, block) for block in ("sda", "dm-1")] == ["/dev/sda", "/dev/mapper/vg--a-data"]
    assert (devices.device_number(tree, "md0"), devices.device_size(tree, "vda"), devices.device_size(tree, "md0")) == ("9:0", 1 << 30, 0)
    assert devices.holders(tree, "sda") == ["dm-0"]
