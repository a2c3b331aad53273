# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a disk carries, in the words of wipefs and blkid."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.contents import Contents, PartitionContents, read
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.disk import GuestDisk, find
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.kernel import Kernel
from tests.unit.module_utils._san.guests.linux.guest import NAME, Attached, PlayedKernel, wipefs

LUN = Attached("2:0:0:1", "sdb")


@pytest.fixture
def kernel(tmp_path: Path) -> PlayedKernel:
    kernel = PlayedKernel(tmp_path)
    kernel.show(LUN)
    return kernel


def disk(kernel: PlayedKernel) -> GuestDisk:
    found = find(kernel.tree, NAME)
    assert found is not None
    return found


@pytest.mark.parametrize("said", ["", "\n", '{"signatures": []}'])
def test_a_blank_disk(kernel: PlayedKernel, said: str) -> None:
    kernel.says["wipefs"] = said
    assert read(kernel, disk(kernel)) == Contents()


def test_a_gpt_with_its_protection_is_one_partition_table(kernel: PlayedKernel) -> None:
    kernel.says["wipefs"] = wipefs({"sdb": ["gpt", "gpt", "PMBR"]})
    assert read(kernel, disk(kernel)) == Contents(partition_table="gpt")


@pytest.mark.parametrize("types", [["dos"], ["PMBR"], ["ext4"], ["LVM2_member"], ["xfs", "linux_raid_member"]])
def test_everything_else_is_a_signature(kernel: PlayedKernel, types: list[str]) -> None:
    kernel.says["wipefs"] = wipefs({"sdb": types})
    assert read(kernel, disk(kernel)) == Contents(signatures=tuple(types))


def test_a_file_system_beside_a_gpt_is_not_overlooked(kernel: PlayedKernel) -> None:
    kernel.says["wipefs"] = wipefs({"sdb": ["ext4", "gpt", "PMBR"]})
    assert read(kernel, disk(kernel)) == Contents(partition_table="gpt", signatures=("ext4",))


def test_a_partition_s_place_name_and_contents(kernel: PlayedKernel) -> None:
    kernel.partition(LUN)
    kernel.says["wipefs"] = wipefs({"sdb": ["gpt", "PMBR"], "sdb1": ["xfs"]})
    kernel.says["blkid"] = "DEVNAME=/dev/sdb1\nUUID=aa522d08\nPART_ENTRY_NAME=my\\ data\nPART_ENTRY_OFFSET=2048\n"
    contents = read(kernel, disk(kernel))
    assert contents == Contents("gpt", (), {"/dev/sdb1": PartitionContents("my data", "aa522d08", ("xfs",), 1 << 20)})
    (partition,) = contents.result(disk(kernel).result())["partitions"]
    assert partition == {
        "number": 1,
        "device": "/dev/sdb1",
        "size_bytes": (1 << 30) - (2 << 20),
        "start_bytes": 1 << 20,
        "name": "my data",
        "uuid": "aa522d08",
        "signatures": ["xfs"],
    }


def test_it_is_not_guessed_where_the_disk_may_not_be_read(kernel: PlayedKernel) -> None:
    kernel.readable = False
    assert read(kernel, disk(kernel)) is None
    assert kernel.calls == []


def test_it_is_not_guessed_without_wipefs(kernel: PlayedKernel) -> None:
    del kernel.says["wipefs"]
    assert read(kernel, disk(kernel)) is None


GIB = 1 << 30


@pytest.mark.parametrize("offset", [0, (1 << 20) - 1, GIB - 1, GIB - (1 << 20), (GIB - (1 << 20)) // 2])
def test_a_disk_that_carries_nothing_known_may_hold_data_all_the_same(kernel: PlayedKernel, offset: int) -> None:
    kernel.written["/dev/sdb"] = [offset]
    assert read(kernel, disk(kernel)) == Contents(data=True)


def test_what_is_known_is_not_looked_into_further(kernel: PlayedKernel) -> None:
    kernel.written["/dev/sdb"] = [0]
    for types in (["gpt", "PMBR"], ["ext4"]):
        kernel.says["wipefs"] = wipefs({"sdb": types})
        contents = read(kernel, disk(kernel))
        assert contents is not None
        assert not contents.data


def test_a_stretch_of_a_real_device_is_read(tmp_path: Path) -> None:
    device = tmp_path / "disk"
    device.write_bytes(bytes(4096) + b"\x01" + bytes(4095))
    assert [Kernel().is_zero(str(device), offset, 1024) for offset in (0, 3072, 4096, 4097, 8192)] == [True, True, False, True, True]
    with pytest.raises(CrossvisorError, match="/nowhere cannot be read: No such file"):
        Kernel().is_zero("/nowhere", 0, 512)
