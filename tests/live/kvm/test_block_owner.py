# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a block of a LUN to the file of the guest that wrote it: a real guest's ext4, on a LUN that it has over QEMU's own initiator.

Where the blocks are, nothing of ours tells: the file that holds the LUN's data on the array is searched for the bytes that the guest wrote.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab import kvm_world
from tests.live.commands import Run
from tests.live.kvm.ansible_user import GUEST, MOUNT, User, administrator
from tests.live.lab import KVM, KvmLab
from tests.live.modules import ModuleRunner

SECTOR, BLOCK, BLOCKS = 512, 4096, 64
SIZE = 64 << 20
START = 4096
"""Sector in which the guest's partition begins."""
LUN = {"svm": "svm_san", "volume": kvm_world.VOLUME, "name": "traced", "size": f"{SIZE >> 20}MiB", "os_type": "linux"}
WRITTEN = "reports/2026/march.bin"
DISK = "/dev/disk/by-id/wwn-0x{naa}"
MADE = (
    f"sgdisk --new=1:{START}:+40M {{disk}} >/dev/null && udevadm wait --settle {{disk}}-part1 && mkfs.ext4 -q -b {BLOCK} {{disk}}-part1 && "
    f"mkdir -p {MOUNT} && mount {{disk}}-part1 {MOUNT} && mkdir -p {MOUNT}/reports/2026"
)
NUMBERED = (
    f'python3 -c \'import sys; sys.stdout.buffer.write(b"".join((b"{{secret}}%08d" % n) * {BLOCK // 32} for n in range({{blocks}})))\' '
    ">{file} && sync"
)
MANY = 2560
"""Blocks of a file on a logical volume: more than there are in the first of its segments."""
GROUPED = (
    f"sgdisk --new=1:{START}:+56M {{disk}} >/dev/null && udevadm wait --settle {{disk}}-part1 && "
    "pvcreate -q {disk}-part1 && vgcreate -q -s 1m grouped {disk}-part1 && "
    "lvcreate -q -y -l 8 -n linear grouped && lvcreate -q -y -l 2 -n kept grouped && lvextend -q -l +8 grouped/linear && "
    "lvcreate -q -y -l 16 -i 2 -I 256k --alloc anywhere -n striped grouped && udevadm settle"
)
ON_VOLUME = f"mkfs.ext4 -q -b {BLOCK} /dev/grouped/{{name}} && mkdir -p {MOUNT}/{{name}} && mount /dev/grouped/{{name}} {MOUNT}/{{name}}"


@dataclass
class Traced:
    """What a guest wrote, and where the array has it."""

    user: User
    naa: str
    secret: str = field(default_factory=lambda: secrets.token_hex(12))

    def write(self, file: str, blocks: int = BLOCKS) -> None:
        self.user.guest(NUMBERED.format(secret=self.secret, file=file, blocks=blocks))

    def block(self, number: int) -> bytes:
        """The bytes of a block of the file."""
        return f"{self.secret}{number:08}".encode() * (BLOCK // 32)

    def lba(self, number: int) -> int:
        """Where the only LUN that has them has the bytes of a block of the file."""
        wanted = self.block(number)
        (data,) = (data for data in self._luns() if wanted in data)
        assert data.count(wanted) == 1
        lba, within = divmod(data.index(wanted), SECTOR)
        assert within == 0
        return lba

    def read(self, lba: int) -> bytes:
        """What the LUN of the file has there."""
        (data,) = (data for data in self._luns() if self.block(0) in data)
        return data[lba * SECTOR : lba * SECTOR + BLOCK]

    def _luns(self) -> Iterator[bytes]:
        return (file.read_bytes() for file in self.user.lab.luns.iterdir() if file.stat().st_size == SIZE)


@pytest.fixture(scope="module")
def user(running_kvm: KvmLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    running_kvm.reset()
    with administrator(running_kvm, tmp_path_factory.mktemp("owner")) as found:
        yield found


def attached(user: User, modules: ModuleRunner, name: str, lun_id: int) -> str:
    """The name of a LUN that the guest has got."""
    lab = user.lab
    access = {"initiators": [lab.initiator], "igroup": kvm_world.GROUP, "lun_id": lun_id}
    naa = str(modules.succeed("lun_provision", {"array": lab.array, **LUN, "name": name, **access})["naa"])
    modules.succeed("ptd_attach", {"hypervisor": lab.hypervisor, "vm": GUEST, "naa": naa, "timeout": 600})
    lab.device(GUEST, naa)
    return naa


def owners(user: User, modules: ModuleRunner, naa: str, lbas: list[int]) -> dict[int, dict[str, Any]]:
    asked = {"hypervisor": user.lab.hypervisor, "arrays": [user.lab.array], "naa": naa, "lbas": lbas, "files": True}
    return {row["lba"]: row for row in modules.succeed("lun_block_owner", asked)["owners"]}


@pytest.fixture(scope="module")
def traced(user: User, modules: ModuleRunner) -> Traced:
    traced = Traced(user, attached(user, modules, "traced", 5))
    user.guest(MADE.format(disk=DISK.format(naa=traced.naa)))
    traced.write(f"{MOUNT}/{WRITTEN}")
    return traced


@pytest.fixture(scope="module")
def played(traced: Traced) -> Run:
    """The playbook, asked about a block in the midst of the file."""
    return traced.user.play("crossvisor.san.who_owns_block", target=KVM, lun=f"naa.{traced.naa}", lba=traced.lba(17), files=True)


@pytest.fixture(scope="module")
def rows(traced: Traced, modules: ModuleRunner) -> dict[int, dict[str, Any]]:
    """What the module tells of the file's first and last blocks, and of three places that no file has."""
    lbas = [0, START + 2, START - 1, *(traced.lba(number) for number in (0, 17, BLOCKS - 1))]
    return owners(traced.user, modules, traced.naa, lbas)


def test_the_playbook_names_the_vm_the_disk_the_partition_and_the_file(traced: Traced, played: Run) -> None:
    assert played.code == 0, played.output
    lba = traced.lba(17)
    at = lba * SECTOR
    told = (
        f"Block {lba} of LUN naa.{traced.naa} (svm_san:{kvm_world.lun_path('traced')}) is byte {at} of disk sda of VM {GUEST} (data), "
        f"partition 1 at byte {at - START * SECTOR}, /{WRITTEN} in its ext4"
    )
    assert told in " ".join(played.output.split())
    assert played.counts["changed"] == 0


def test_the_block_of_the_lun_holds_the_bytes_that_the_guest_reads_in_the_file(traced: Traced) -> None:
    of_file = f"dd if={MOUNT}/{WRITTEN} bs={BLOCK} skip=17 count=1 iflag=direct status=none"
    of_lun = f"dd if={DISK.format(naa=traced.naa)} bs={SECTOR} skip={traced.lba(17)} count={BLOCK // SECTOR} iflag=direct status=none"
    assert traced.user.guest(of_file).encode() == traced.block(17)
    assert traced.user.guest(of_lun).encode() == traced.block(17)


@pytest.mark.parametrize("number", [0, 17, BLOCKS - 1])
def test_each_block_of_the_file_is_told_with_its_number_in_the_guests_file_system(
    traced: Traced, rows: dict[int, dict[str, Any]], number: int
) -> None:
    row = rows[traced.lba(number)]
    block = (row["lba"] - START) * SECTOR // BLOCK
    assert (row["status"], row["vm_name"], row["disk"]) == ("owned", GUEST, "sda")
    assert (row["partition"], row["partition_start"]) == (1, START * SECTOR)
    assert (row["guest_file_system"], row["guest_block"], row["guest_files"]) == ("ext4", block, [f"/{WRITTEN}"])
    extents = traced.user.guest(f"filefrag -b{BLOCK} -v {MOUNT}/{WRITTEN}")
    assert block in blocks_of(extents)
    assert traced.read(row["lba"]) == traced.block(number)


def blocks_of(extents: str) -> set[int]:
    """The blocks that filefrag tells: `ext: logical_offset: physical_offset: length: expected: flags:`."""
    found: set[int] = set()
    for line in extents.splitlines():
        cells = [cell.strip() for cell in line.split(":")]
        if cells[0].isdecimal():
            first, last = (int(number.strip()) for number in cells[2].split(".."))
            found |= set(range(first, last + 1))
    return found


def test_what_is_no_files_is_told_as_that(rows: dict[int, dict[str, Any]]) -> None:
    assert "no file has it: the file system's own data, or free space" in rows[START + 2]["reason"]
    for outside in (0, START - 1):
        assert rows[outside]["reason"] == "outside of all partitions: the partition table itself, or free space"
    assert [rows[lba]["guest_files"] for lba in (0, START - 1, START + 2)] == [[], [], []]


@pytest.fixture(scope="module")
def grouped(user: User, modules: ModuleRunner) -> dict[str, Traced]:
    """By logical volume: what the guest wrote to a file on it, or to the volume itself."""
    naa = attached(user, modules, "grouped", 6)
    user.guest(GROUPED.format(disk=DISK.format(naa=naa)))
    written = {name: Traced(user, naa) for name in ("linear", "striped", "kept")}
    for name in ("linear", "striped"):
        user.guest(ON_VOLUME.format(name=name))
        written[name].write(f"{MOUNT}/{name}/numbers", MANY)
    written["kept"].write("/dev/grouped/kept")
    user.guest("lvcreate -q -y -s -l 2 -n before grouped/kept")
    return written


@pytest.mark.parametrize("name", ["linear", "striped"])
def test_the_file_on_a_logical_volume_of_the_guest_is_named(grouped: dict[str, Traced], modules: ModuleRunner, name: str) -> None:
    volume = grouped[name]
    numbers = (0, MANY // 2, MANY - 1)
    rows = owners(volume.user, modules, volume.naa, [volume.lba(number) for number in numbers])
    extents = blocks_of(volume.user.guest(f"filefrag -b{BLOCK} -v {MOUNT}/{name}/numbers"))
    for number in numbers:
        row = rows[volume.lba(number)]
        assert (row["partition"], row["guest_volume"], row["guest_files"]) == (1, f"grouped/{name}", ["/numbers"])
        assert row["guest_block"] in extents
    device = f"/dev/grouped/{name}"
    block = rows[volume.lba(numbers[1])]["guest_block"]
    read = f"dd if={device} bs={BLOCK} skip={block} count=1 iflag=direct status=none"
    assert volume.user.guest(read).encode() == volume.block(numbers[1])


def test_a_volume_with_a_snapshot_is_named_without_a_file(grouped: dict[str, Traced], modules: ModuleRunner) -> None:
    volume = grouped["kept"]
    (row,) = owners(volume.user, modules, volume.naa, [volume.lba(0)]).values()
    assert (row["guest_volume"], row["guest_files"]) == ("grouped/kept", [])
    assert "grouped/kept is a part of snapshot0" in row["reason"]
