# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHD and VHDX files of Hyper-V's VMs down to the LUN, over the lab's host: right, or refused with the reason."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import blocks, estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    HOLE,
    NO_ADDRESS,
    POWERED_OFF,
    BlockExtent,
    DiskBlocks,
    ReadLun,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lab.hyperv.programs import REPARSE_POINT, StoredFile
from tests.lab.hyperv.running import Lab
from tests.unit import windows
from tests.unit.hard_disk_files import MIB, PARTIAL, PRESENT, REGIONS, Block, Vhd, Vhdx
from tests.unit.windows import Wire

pytestmark = pytest.mark.slow

HOST = "hv01.lab"
DIRECTORY = "E:\\VMs\\hvapp01"
CLUSTER = 4096
FULL = Block(PRESENT, b"x")
PARENT = {"parent_linkage": f"{{{uuid.UUID(int=1)}}}", "relative_path": ".\\base.vhdx", "absolute_win32_path": "Q:\\gone\\base.vhdx"}


@dataclass
class There:
    """A host with a VM that is off, whose disk is a file that a test makes."""

    place: Path
    lab: Lab = field(default_factory=Lab)
    wire: Wire = field(default_factory=Wire)

    @property
    def nodes(self) -> Nodes:
        return windows.nodes(self.lab, HOST, self.wire)

    def put(self, path: str, data: bytes | bytearray, lcn: int = 5000, **told: object) -> StoredFile:
        """A file in two runs of clusters, the second part before the first one on the volume."""
        local = self.place / f"{len(self.lab.estate.files[HOST].there)}"
        local.write_bytes(data)
        clusters = -(-len(data) // CLUSTER)
        half = clusters // 2
        runs = [(0, half, lcn + clusters), (half, clusters - half, lcn)]
        stored = StoredFile(local, **{"runs": runs, **told})  # type: ignore[arg-type]
        self.lab.estate.files[HOST].put(path, stored)
        return stored

    def disk(self, path: str, power: str = POWERED_OFF) -> tuple[VirtualMachine, VirtualDisk]:
        inventory = estate.inventory(self.nodes, devices=False, images=False)
        vm = next(vm for vm in inventory.virtual_machines if vm.name == "hvapp01")
        disk = next(disk for disk in vm.disks if disk.path == f"{DIRECTORY}\\data.vhdx")
        return replace(vm, power=power), replace(disk, path=path)

    def told(self, path: str = f"{DIRECTORY}\\data.vhdx", power: str = POWERED_OFF) -> DiskBlocks:
        (found,) = blocks.disk_blocks(self.nodes, [self.disk(path, power)])
        return found

    def on_lun(self, path: str, offset: int) -> int:
        """The byte of the LUN where a byte of a file is, by its runs and the partition."""
        stored = self.lab.estate.files[HOST].there[path.casefold()]
        number, ahead = divmod(offset, CLUSTER)
        first, _count, lcn = next(run for run in stored.runs if run[0] <= number < run[0] + run[1])
        return self.partition + (lcn + number - first) * CLUSTER + ahead

    @property
    def partition(self) -> int:
        parts = (part for medium in self.lab.estate.media.values() for part in medium.partitions)
        return next(part.offset for part in parts if "E:\\" in part.access.get(HOST, []))


@pytest.fixture
def there(tmp_path: Path) -> There:
    return There(tmp_path)


def reason(told: DiskBlocks) -> str:
    (extent,) = told.extents
    assert (extent.state, extent.offset, told.unfollowed) == (NO_ADDRESS, None, True)
    return extent.reason


def place_of(told: DiskBlocks, at: int) -> BlockExtent:
    return next(extent for extent in told.extents if extent.start <= at < extent.end)


def test_each_block_of_a_vhdx_is_followed_to_the_lun(there: There) -> None:
    path = f"{DIRECTORY}\\data.vhdx"
    there.put(path, Vhdx(4 * MIB, blocks={1: FULL, 3: FULL}, order=(3, 1)).made())
    told = there.told()
    assert [(extent.start, extent.state) for extent in told.extents if extent.state == HOLE] == [(0, HOLE), (2 * MIB, HOLE)]
    for at, in_file in ((MIB, REGIONS + MIB), (2 * MIB - 1, REGIONS + 2 * MIB - 1), (3 * MIB, REGIONS)):
        found = place_of(told, at)
        assert (found.state, found.file, found.device[:17], found.block_size) == (DATA, path, "\\\\.\\PHYSICALDRIVE", 512)
        assert (found.file_offset or 0) + at - found.start == in_file
        assert (found.offset or 0) + at - found.start == there.on_lun(path, in_file)
        assert found.name is not None
    assert (told.format, told.sector, told.warnings, told.unfollowed) == ("vhdx", 512, [], False)


def test_the_whole_file_is_told_too(there: There) -> None:
    path = f"{DIRECTORY}\\data.vhdx"
    there.put(path, Vhdx(MIB, blocks={0: FULL}).made())
    whole = there.told().files
    assert (whole[0].start, whole[-1].end) == (0, REGIONS + MIB)
    assert [extent.offset for extent in whole] == [there.on_lun(path, extent.start) for extent in whole]


def test_a_chain_of_checkpoints_is_followed_beside_the_file_or_by_the_whole_path(there: There) -> None:
    base, leaf = f"{DIRECTORY}\\base.vhdx", f"{DIRECTORY}\\leaf.avhdx"
    there.put(base, Vhdx(2 * MIB, blocks={0: FULL, 1: FULL}).made(), lcn=20000)
    there.put(leaf, Vhdx(2 * MIB, blocks={0: Block(PARTIAL, b"y", frozenset({0, 1}))}, parent=PARENT, identity=uuid.UUID(int=2)).made())
    told = there.told(leaf)
    assert [(extent.start, extent.file) for extent in told.extents][:2] == [(0, leaf), (1024, base)]
    assert (place_of(told, MIB).offset or 0) + MIB - place_of(told, MIB).start == there.on_lun(base, REGIONS + MIB)
    elsewhere = {**PARENT, "relative_path": ".\\other.vhdx", "absolute_win32_path": base}
    there.put(leaf, Vhdx(2 * MIB, parent=elsewhere).made())
    assert place_of(there.told(leaf), 0).file == base


def test_a_dynamic_vhd_of_a_vm_that_runs_is_told_with_a_warning(there: There) -> None:
    path = f"{DIRECTORY}\\old.vhd"
    there.put(path, Vhd(4 * MIB, blocks={1: Block(PARTIAL, b"x", frozenset(range(4096)))}).made())
    told = there.told(path, power="on")
    assert (place_of(told, 2 * MIB).state, told.format) == (DATA, "vhd")
    (warning,) = told.warnings
    assert warning.startswith("VM hvapp01 runs, so that its image")


@pytest.mark.parametrize(
    ("parent", "why"),
    [
        ({**PARENT, "parent_linkage": f"{{{uuid.UUID(int=9)}}}"}, "is not what"),
        ({**PARENT, "relative_path": ".\\leaf.avhdx"}, "is not what"),
        ({"parent_linkage": PARENT["parent_linkage"]}, "does not say where the image is"),
        ({**PARENT, "relative_path": ".\\gone.vhdx"}, "Could not find file 'E:\\VMs\\hvapp01\\gone.vhdx'"),
        ({**PARENT, "relative_path": "\\\\nas\\vms\\base.vhdx"}, "is on the share \\\\nas\\vms"),
    ],
)
def test_a_chain_that_does_not_hold_is_refused(parent: dict[str, str], why: str, there: There) -> None:
    leaf = f"{DIRECTORY}\\leaf.avhdx"
    there.put(f"{DIRECTORY}\\base.vhdx", Vhdx(2 * MIB).made())
    there.put(leaf, Vhdx(2 * MIB, parent=parent, identity=uuid.UUID(int=2)).made())
    assert why in reason(there.told(leaf))


@pytest.mark.parametrize("begin", ["", "\\\\?\\"])
def test_a_parent_is_found_by_a_whole_path_however_that_begins(begin: str, there: There) -> None:
    leaf, base = f"{DIRECTORY}\\leaf.avhdx", f"{begin}{DIRECTORY}\\base.vhdx"
    there.put(base, Vhdx(2 * MIB, blocks={0: FULL}).made())
    named = {"parent_linkage": PARENT["parent_linkage"], "absolute_win32_path": base}
    there.put(leaf, Vhdx(2 * MIB, parent=named, identity=uuid.UUID(int=2)).made())
    assert place_of(there.told(leaf), 0).state == DATA


def test_images_that_are_based_on_each_other_are_refused(there: There) -> None:
    leaf = f"{DIRECTORY}\\leaf.avhdx"
    there.put(leaf, Vhdx(2 * MIB, parent={**PARENT, "relative_path": ".\\leaf.avhdx"}).made())
    assert "or on itself" in reason(there.told(leaf))


def test_a_file_that_another_process_has_open_alone_or_whose_log_is_not_empty_is_refused(there: There) -> None:
    path = f"{DIRECTORY}\\data.vhdx"
    there.put(path, Vhdx(MIB).made(), locked=True)
    assert "because it is being used by another process" in reason(there.told())
    there.put(path, Vhdx(MIB, log=uuid.UUID(int=3)).made())
    assert "the log of" in reason(there.told())


@pytest.mark.parametrize(
    ("bit", "word"),
    [(0x800, "compressed"), (0x4000, "encrypted"), (0x200, "sparse"), (REPARSE_POINT, "a reparse point"), (0x1000, "offline")],
)
def test_a_file_that_is_kept_otherwise_is_refused(bit: int, word: str, there: There) -> None:
    there.put(f"{DIRECTORY}\\data.vhdx", Vhdx(MIB).made(), attributes=0x20 | bit)
    assert f"is {word}" in reason(there.told())


def test_a_file_behind_a_link_or_in_a_cluster_shared_volume_is_refused_and_one_on_a_mounted_volume_is_not(there: There) -> None:
    path = f"{DIRECTORY}\\data.vhdx"
    there.put(path, Vhdx(MIB, blocks={0: FULL}).made(), through=[DIRECTORY])
    assert f"is behind {DIRECTORY}, which leads to another place" in reason(there.told())
    there.put(path, Vhdx(MIB, blocks={0: FULL}).made(), through=["E:\\"])
    assert there.told().extents[0].state == DATA


@pytest.mark.parametrize(("kind", "why"), [("ReFS", "whose file system refs does not tell"), ("FAT32", "fat32 does not tell")])
def test_another_file_system_is_refused(kind: str, why: str, there: There) -> None:
    there.put(f"{DIRECTORY}\\data.vhdx", Vhdx(MIB, blocks={0: FULL}).made())
    for medium in there.lab.estate.media.values():
        for partition in medium.partitions:
            partition.file_system = kind if partition.file_system else ""
    assert why in reason(there.told())


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        ([(0, 2000, -1)], "has gaps"),
        ([(0, 10, 500), (11, 2000, 600)], "has gaps"),
        ([(0, 10, 500)], "does not tell where the end"),
        ([], "does not tell where the end"),
    ],
)
def test_clusters_that_are_not_all_of_the_file_are_refused(runs: list[tuple[int, int, int]], why: str, there: There) -> None:
    there.put(f"{DIRECTORY}\\data.vhdx", Vhdx(MIB, blocks={0: FULL}).made(), runs=runs)
    assert why in reason(there.told())


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("\\\\nas\\vms\\one.vhdx", "is on the share \\\\nas\\vms"),
        ("Z:\\one.vhdx", "is on no volume that its host tells of"),
        ("\\\\.\\UNC\\nas\\vms\\one.vhdx", "was not opened"),
        ("//./UNC/nas/vms/one.vhdx", "was not opened"),
        ("\\\\?\\GLOBALROOT\\??\\UNC\\nas\\vms\\one.vhdx", "was not opened"),
        ("\\??\\UNC\\nas\\vms\\one.vhdx", "was not opened"),
        ("Volume{0-1}\\one.vhdx", "was not opened"),
        ("E:one.vhdx", "was not opened"),
        ("one.vhdx", "was not opened"),
        (f"{DIRECTORY}\\set.vhds", "is no VHD or VHDX file by its name"),
        (f"{DIRECTORY}\\{'deep' * 400}.vhdx", "is longer than a command line has room for"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(path: str, why: str, there: There) -> None:
    there.put(path, Vhdx(MIB, blocks={0: FULL}).made())
    assert why in reason(there.told(path))


def test_a_file_that_is_written_to_meanwhile_is_told_with_a_warning(there: There) -> None:
    stored = there.put(f"{DIRECTORY}\\data.vhdx", Vhdx(MIB, blocks={0: FULL}).made())
    there.wire.after_each.append(lambda: os.utime(stored.local, ns=(0, there.wire.count("Command") * 1_000_000_000)))
    (warning,) = there.told().warnings
    assert "was written to while it was read" in warning


def test_a_lun_passed_through_is_told_without_a_shell_and_several_disks_share_one(there: There) -> None:
    there.put(f"{DIRECTORY}\\data.vhdx", Vhdx(MIB).made())
    inventory = estate.inventory(there.nodes, devices=False, images=False)
    passed = next((vm, disk) for vm in inventory.virtual_machines for disk in vm.disks if vm.name == "hvdb01" and disk.name)
    (lun,) = blocks.disk_blocks(there.nodes, [passed])
    assert (lun.extents[0].name, there.wire.count("Create")) == (passed[1].name, 0)
    one = there.disk(f"{DIRECTORY}\\data.vhdx")
    assert [len(told.extents) for told in blocks.disk_blocks(there.nodes, [one, passed, one])] == [1, 1, 1]
    assert (there.wire.count("Create"), there.wire.count("Delete")) == (1, 1)
    assert there.lab.clients[HOST].service.shells.open == 0


def test_images_for_which_there_is_no_time_left_are_refused_without_asking(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{DIRECTORY}\\data.vhdx"
    there.put(path, Vhdx(MIB).made())
    monkeypatch.setattr(blocks, "_SECONDS", 0.0)
    assert "those before it took more than 240 s on its host: ask for less" in reason(there.told())
    assert there.wire.count("Command") == 0


def test_a_host_that_gives_no_shell_costs_its_images_their_addresses(there: There) -> None:
    for _shell in range(30):
        there.lab.clients[HOST].service.shells._shells[str(uuid.uuid4())] = None  # type: ignore[assignment]
    assert "maximum number of concurrent shells" in reason(there.told())


class TestVerify:
    """What the file holds, by its host, beside what the LUN holds, by its array."""

    PATH = f"{DIRECTORY}\\data.vhdx"
    IMAGE = Vhdx(4 * MIB, blocks={1: Block(PRESENT, b"one"), 3: Block(PRESENT, b"three")}, order=(3, 1)).made()

    def parts(self, there: There) -> list[BlockExtent]:
        there.put(self.PATH, self.IMAGE)
        return [extent for extent in there.told().extents if extent.state == DATA]

    def lun(self, there: There) -> bytearray:
        """The LUN on which the clusters of the file lie."""
        made = bytearray(there.on_lun(self.PATH, 0) + len(self.IMAGE) + CLUSTER)
        for at in range(0, len(self.IMAGE), CLUSTER):
            begin = there.on_lun(self.PATH, at)
            made[begin : begin + CLUSTER] = self.IMAGE[at : at + CLUSTER]
        return made

    def compared(self, there: There, parts: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
        return blocks.verify_blocks(there.nodes, *there.disk(self.PATH), parts, read_lun)

    def test_the_same_bytes_are_told_to_be_so_and_others_too(self, there: There) -> None:
        parts = self.parts(there)
        held = self.lun(there)

        def reading(_name: ScsiName, offset: int, length: int) -> bytes:
            return bytes(held[offset : offset + length])

        assert self.compared(there, parts, reading) == ["yes"] * len(parts)
        held[(parts[-1].offset or 0) + 4095] ^= 1
        assert self.compared(there, parts, reading) == [*["yes"] * (len(parts) - 1), "no"]

    def test_the_lun_is_asked_by_its_name_for_the_first_4_kib_at_the_address(self, there: There) -> None:
        parts = self.parts(there)
        asked: list[tuple[object, int, int]] = []

        def reading(*words: Any) -> bytes:
            asked.append(words)
            return b""

        self.compared(there, parts, reading)
        assert asked == [(part.name, part.offset, min(part.length, 4096)) for part in parts]

    def test_what_the_array_does_not_read_is_told_in_its_words(self, there: There) -> None:
        assert set(self.compared(there, self.parts(there), lambda *_words: "no array has it")) == {"no array has it"}

    def test_a_disk_of_the_host_that_is_no_lun_by_its_name_is_not_compared(self, there: There) -> None:
        nameless = [replace(part, name=None) for part in self.parts(there)]
        (why,) = set(self.compared(there, nameless, lambda *_words: pytest.fail("read nobody knows what")))
        assert why.startswith("its host does not tell which LUN \\\\.\\PHYSICALDRIVE")

    def test_a_file_that_is_gone_is_not_compared(self, there: There) -> None:
        parts = self.parts(there)
        del there.lab.estate.files[HOST].there[self.PATH.casefold()]
        (why,) = set(self.compared(there, parts, lambda *_words: pytest.fail("nothing to compare it with")))
        assert "cannot be read on host" in why

    @pytest.mark.parametrize("before_the_end", [0, 512, 4095])
    def test_what_a_file_does_not_have_any_more_is_not_compared(self, there: There, before_the_end: int) -> None:
        (part, *_rest) = self.parts(there)
        cut = replace(part, file_offset=len(self.IMAGE) - before_the_end)
        (why,) = self.compared(there, [cut], lambda *_words: pytest.fail("nothing to compare it with"))
        assert why == f"{self.PATH} ends before that by now: look again"
