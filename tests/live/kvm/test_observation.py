# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Block addresses by two layers that do not know each other: a real guest writes markers, and the array's LUN is read for them.

What is found is compared with what the primitives tell of the same bytes of the disk, and with the file that holds the LUN's data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import kvm_world
from tests.live.kvm.ansible_user import GUEST, MOUNT, User, administrator
from tests.live.lab import KvmLab
from tests.live.modules import ModuleRunner

SECTOR, BLOCK = 512, 4096
SIZE = 96 << 20
LUN = {"svm": "svm_san", "volume": kvm_world.VOLUME, "name": "observed", "size": f"{SIZE >> 20}MiB", "os_type": "linux"}
DISK = "/dev/disk/by-id/wwn-0x{naa}"
MADE = (
    f"sgdisk --new=1:4096:+80M {{disk}} >/dev/null && udevadm settle && mkfs.ext4 -q -b {BLOCK} {{disk}}-part1 && "
    f"mkdir -p {MOUNT} && mount {{disk}}-part1 {MOUNT}"
)
COUNT = 400


@dataclass
class Scene:
    """A guest with a file system on a LUN."""

    user: User
    modules: ModuleRunner
    naa: str

    def write(self, **wish: Any) -> dict[str, Any]:
        """What the guest tells of the markers that it has written."""
        told = self.user.module("guest_block_markers", directory=MOUNT, count=COUNT, **wish)
        assert "magic" in told, told
        return told

    def end(self, markers: dict[str, Any]) -> dict[str, Any]:
        return self.user.module("guest_block_markers", state="absent", holder=markers["holder"])

    def addresses(self, **asked: Any) -> list[dict[str, Any]]:
        lab = self.user.lab
        given = {"hypervisor": lab.hypervisor, "arrays": [lab.array], "vm": GUEST, "disk": f"naa.{self.naa}", **asked}
        rows: list[dict[str, Any]] = self.modules.succeed("virtual_block_address", given)["addresses"]
        return rows

    def data(self, magic: bytes) -> bytes:
        """What the only file at the array's target has that has these markers."""
        (found,) = (
            data for file in self.user.lab.luns.iterdir() if file.stat().st_size == SIZE for data in [file.read_bytes()] if magic in data
        )
        return found


@pytest.fixture(scope="module")
def scene(running_kvm: KvmLab, modules: ModuleRunner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    running_kvm.reset()
    access = {"initiators": [running_kvm.initiator], "igroup": kvm_world.GROUP, "lun_id": 5}
    naa = modules.succeed("lun_provision", {"array": running_kvm.array, **LUN, **access})["naa"]
    modules.succeed("ptd_attach", {"hypervisor": running_kvm.hypervisor, "vm": GUEST, "naa": naa, "timeout": 20})
    with administrator(running_kvm, tmp_path_factory.mktemp("observation")) as user:
        user.guest(MADE.format(disk=DISK.format(naa=naa)))
        yield Scene(user, modules, naa)


@pytest.mark.parametrize("writers", [1, 4, 16])
def test_every_marker_is_found_where_the_primitives_say_that_its_bytes_are(scene: Scene, writers: int) -> None:
    markers = scene.write(writers=writers)
    assert (len(markers["written"]), markers["unplaced"]) == (COUNT, [])
    observed = scene.addresses(method="observe", markers=markers)
    ranges = [{"offset": piece["virtual_offset"], "length": piece["length"]} for piece in markers["written"]]
    primitives = {row["virtual_offset"]: row for row in scene.addresses(ranges=ranges)}
    assert len(observed) == COUNT
    wrong = [row for row in observed if row["lba"] != primitives[row["virtual_offset"]]["lba"]]
    assert wrong == []
    data, magic = scene.data(bytes.fromhex(markers["magic"])), bytes.fromhex(markers["magic"])
    number = {piece["virtual_offset"]: piece["number"] for piece in markers["written"]}
    for row in observed:
        assert (row["state"], row["reason"], row["naa"], row["block_size"]) == ("data", "", scene.naa, SECTOR)
        head = data[row["lba"] * SECTOR :][:24]
        assert head == magic + number[row["virtual_offset"]].to_bytes(8, "big")
    assert scene.end(markers)["held"]
