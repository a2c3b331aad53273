# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a kernel has built on its LUNs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.stacks import Built, Stack, parent_of, stacks
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.kvm_host import GROUPED, MOUNTED, PATHLESS, PORT, SAN_HOST, _block, loop, mapped
from tests.unit.module_utils._san.linux.machines import Machine, plant
from tests.unit.ports import NAME, OTHER

SDC = f"{PORT}/rport-7:0-0/target7:0:0/7:0:0:2/block/sdc"
MD = "/sys/devices/virtual/block/md0"


def found(root: Path, more: Machine) -> dict[ScsiName, Stack]:
    tree = Tree(plant(root, SAN_HOST, more))
    return {stack.lun: stack for stack in stacks(tree, scsi.disks(tree))}


def test_each_lun_is_one_however_many_paths_lead_to_it(tmp_path: Path) -> None:
    seen = found(tmp_path, {})
    assert seen[NAME] == Stack(NAME, [], ["dm-0"]), "multipath's device is the LUN itself"
    assert seen[OTHER] == Stack(OTHER, [], ["sdc"])
    assert seen[ScsiName(MOUNTED)].tops == ["sde1"]
    assert seen[ScsiName(GROUPED)] == Stack(ScsiName(GROUPED), [Built("volume group", "vg-a")], ["dm-1"])


def test_partitions_are_the_lun_itself_also_those_of_multipath(tmp_path: Path) -> None:
    part = mapped(7, "mpatha-part1", f"part1-mpath-{NAME.wwid}", "dm-0")
    assert found(tmp_path, part)[NAME] == Stack(NAME, [], ["dm-7"])


def test_a_partition_that_goes_while_it_is_looked_at_is_a_partition_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(plant(tmp_path, SAN_HOST))
    assert parent_of(tree, "sde1") == "sde"
    monkeypatch.setattr(tree, "real", lambda _path: "")
    assert parent_of(tree, "sde1") == ""


def test_what_stands_on_a_partition_and_what_stands_on_that(tmp_path: Path) -> None:
    sdc1 = {**_block("sdc1", f"{SDC}/sdc1", "8:33"), f"{SDC}/sdc1/partition": "1", f"{SDC}/sdc1/holders/md0": ""}
    array = {**_block("md0", MD, "9:0"), f"{MD}/md/level": "raid1", f"{MD}/slaves/sdc1": ""}
    part = {**_block("md0p1", f"{MD}/md0p1", "259:0"), f"{MD}/md0p1/partition": "1"}
    seen = found(tmp_path, {**sdc1, **array, **part, **mapped(9, "luks", "CRYPT-LUKS2-1", "md0p1")})
    assert seen[OTHER] == Stack(OTHER, [Built("RAID", "/dev/md0")], ["dm-9"])
    assert str(seen[OTHER].built[0]) == "RAID /dev/md0"


def test_several_volumes_are_one_group_and_each_has_to_be_free(tmp_path: Path) -> None:
    more = {**mapped(3, "vg--b-x", "LVM-1", "sdc"), **mapped(4, "vg--b-y", "LVM-2", "sdc")}
    assert found(tmp_path, more)[OTHER] == Stack(OTHER, [Built("volume group", "vg-b")], ["dm-3", "dm-4"])


def test_a_multipath_device_that_has_lost_its_paths_is_its_lun_still(tmp_path: Path) -> None:
    tree = Tree(plant(tmp_path, PATHLESS, mapped(3, "vg--b-x", "LVM-1", "dm-0")))
    seen = {stack.lun: stack for stack in stacks(tree, scsi.disks(tree))}
    assert seen[NAME] == Stack(NAME, [Built("volume group", "vg-b")], ["dm-3"])


def test_a_loop_device_is_built_on_the_lun_that_it_stands_for_though_the_kernel_names_no_holder(tmp_path: Path) -> None:
    seen = found(tmp_path, {**loop(3, "/dev/sdc"), **loop(4, "/srv/images/a.img")})
    assert seen[OTHER] == Stack(OTHER, [Built("loop device", "/dev/loop3")], ["loop3"])
    assert seen[ScsiName(MOUNTED)].built == []
