# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of blocks, proven by their bytes: unique blocks are written through an image, and the device is read where each should be.

The images are QEMU's, the file systems the kernel's. A loop device stands for the LUN, because a kernel without an initiator has no other:
what lies below it is left out of what the host told, and it is given the name of a disk. Beside that, nothing of the answer is touched, and
the whole way down, through the loop device to the disk of this machine, is compared with what `filefrag` says.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.descent import Descent
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.logical_volumes import logical_volume_at
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import hard_disk_files
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, NO_ADDRESS, SHARED, UNWRITTEN, BlockExtent

BLOCK = 4096
DISK = 256 << 20
MANY = 5000
PARTITION = 1 << 20
PROVEN = ("ext2", "ext3", "ext4", "xfs")
BESIDE = Path(__file__).resolve().parents[3] / "build" / "tmp"


def said(*command: str | Path, given: str | None = None) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, input=given)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Lun:
    """A device with a file system that is mounted, a megabyte after the beginning of the file behind it."""

    device: str
    backing: Path
    mounted: Path

    def facts(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """What the host tells, as if nothing lay below the device."""
        told = block_probe.answer(dict(question))
        for device in told["devices"].values():
            if f"/dev/{device['name']}" == self.device:
                device.update(name="sda", loop=None)
        return told

    def read(self, offset: int, length: int = BLOCK) -> bytes:
        """What the device holds, past the kernel's cache."""
        handle = os.open(self.device, os.O_RDONLY | os.O_DIRECT)
        try:
            with mmap.mmap(-1, length) as buffer:
                assert os.preadv(handle, [buffer], offset) == length
                return buffer[:]
        finally:
            os.close(handle)


@contextmanager
def lun(place: Path, file_system: str, size: int = 1 << 30, options: tuple[str, ...] = ()) -> Iterator[Lun]:
    backing, mounted = place / "lun", place / "mounted"
    mounted.mkdir()
    with backing.open("wb") as made:
        made.truncate(size)
    device = said("losetup", "--find", "--show", "--offset", str(PARTITION), backing).strip()
    with ExitStack() as undo:
        undo.callback(said, "losetup", "--detach", device)
        force = "-f" if file_system == "xfs" else "-F"
        said(f"mkfs.{file_system}", "-q", force, *options, device)
        said("mount", device, mounted)
        undo.callback(said, "umount", mounted)
        yield Lun(device, backing, mounted)


@pytest.fixture(params=["ext4", "xfs"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lun]:
    with lun(tmp_path, request.param) as found:
        yield found


def unique(number: int) -> bytes:
    """A block as there is no other."""
    return b"%016d" % number * (BLOCK // 16)


def write(image: Path, kind: str, blocks: Mapping[int, int], pieces: Path) -> None:
    """Write numbered blocks at numbers of blocks of a virtual disk, in the order in which they are given."""
    pieces.mkdir(exist_ok=True)
    for number in blocks.values():
        (pieces / str(number)).write_bytes(unique(number))
    orders = "".join(f"write -q -s {pieces / str(number)} {at * BLOCK} {BLOCK}\n" for at, number in blocks.items())
    said("qemu-io", "-t", "unsafe", "-f", kind, image, given=f"{orders}flush\n")


def scattered(seed: int, count: int, size: int = DISK) -> dict[int, int]:
    """Places of a virtual disk, in no order, and the number that each gets."""
    chance = random.Random(seed)
    return {at: seed * 10_000_000 + at for at in chance.sample(range(size // BLOCK), count)}


def translated(there: Lun, image: Path, kind: str, size: int = DISK) -> list[BlockExtent]:
    question = {"files": [str(image)]} if kind == "raw" else {"images": [[str(image), kind]]}
    facts = there.facts(question)
    tables = hard_disk_files.tables(probed, facts["files"], [str(image)] if kind == hard_disk_files.FORMAT else [])
    return Descent(facts, tables).image(str(image), kind, size)


def probed(**question: Any) -> dict[str, Any]:
    return block_probe.answer(question)


def by_block(extents: list[BlockExtent]) -> dict[int, BlockExtent]:
    """The extent of each block of a virtual disk that is in one alone."""
    return {at: extent for extent in extents for at in range(extent.start // BLOCK, extent.end // BLOCK)}


def proven(there: Lun, extents: list[BlockExtent], blocks: Mapping[int, int]) -> int:
    """How many blocks are where they are said to be. One that is not fails the test; one without an address is not counted."""
    found, right = by_block(extents), 0
    for at, number in blocks.items():
        extent = found[at]
        assert extent.state in (DATA, SHARED, NO_ADDRESS), extent
        if extent.offset is not None:
            assert there.read(extent.offset + at * BLOCK - extent.start) == unique(number)
            right += 1
    return right


@pytest.mark.parametrize("there", PROVEN, indirect=True)
def test_each_of_5000_blocks_of_a_raw_image_is_where_it_is_said_to_be(there: Lun, tmp_path: Path) -> None:
    image, blocks = there.mounted / "disk.raw", scattered(1, MANY)
    said("qemu-img", "create", "-q", "-f", "raw", image, str(DISK))
    write(image, "raw", blocks, tmp_path / "pieces")
    extents = translated(there, image, "raw")
    assert proven(there, extents, blocks) == MANY
    assert sum(extent.length for extent in extents) == DISK


@contextmanager
def partition(place: Path) -> Iterator[Lun]:
    """A device with ext4 in a partition, as if it was the LUN: a kernel without tables of partitions is told where it begins."""
    backing, mounted = place / "lun", place / "mounted"
    mounted.mkdir()
    with backing.open("wb") as made:
        made.truncate(1 << 30)
    with ExitStack() as undo:
        device = said("losetup", "--find", "--show", "--partscan", backing).strip()
        undo.callback(said, "losetup", "--detach", device)
        said("addpart", device, "3", str(PARTITION // 512), str((1 << 29) // 512))
        undo.callback(said, "delpart", device, "3")
        said("mkfs.ext4", "-q", "-F", f"{device}p3")
        said("mount", f"{device}p3", mounted)
        undo.callback(said, "umount", mounted)
        yield Lun(device, backing, mounted)


def test_each_of_5000_blocks_of_an_image_in_a_partition_of_the_host_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    with partition(tmp_path) as there:
        image, blocks = there.mounted / "disk.raw", scattered(2, MANY)
        said("qemu-img", "create", "-q", "-f", "raw", image, str(DISK))
        write(image, "raw", blocks, tmp_path / "pieces")
        extents = translated(there, image, "raw")
        assert proven(there, extents, blocks) == MANY
        assert {extent.device for extent in extents if extent.device} == {"/dev/sda"}


def chain(there: Lun, pieces: Path, each: int) -> tuple[list[Path], dict[int, int]]:
    """Three images on each other, with so many blocks written to each, and what the last one shows."""
    images = [there.mounted / f"{name}.qcow2" for name in ("base", "middle", "top")]
    blocks: dict[int, int] = {}
    for layer, image in enumerate(images):
        below = ("-b", str(images[layer - 1]), "-F", "qcow2") if layer else ()
        said("qemu-img", "create", "-q", "-f", "qcow2", *below, image, str(DISK))
        written = scattered(10 + layer, each)
        write(image, "qcow2", written, pieces)
        blocks.update(written)
        if not layer:
            said("qemu-img", "snapshot", "-c", "before", image)
    return images, blocks


def test_each_of_5000_blocks_of_a_chain_of_images_is_where_it_is_said_to_be(there: Lun, tmp_path: Path) -> None:
    images, blocks = chain(there, tmp_path / "pieces", MANY // 2)
    extents = translated(there, images[-1], "qcow2")
    assert proven(there, extents, blocks) == len(blocks) >= MANY
    assert {Path(extent.file).name for extent in extents if extent.file} == {image.name for image in images}


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """A directory beside the sources, whose file system need not be in memory as that of other tests is."""
    BESIDE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BESIDE) as made:
        yield Path(made)


def test_the_whole_way_to_this_machines_own_disk_is_that_of_filefrag(on_disk: Path) -> None:
    with lun(on_disk, "ext4") as there:
        images, blocks = chain(there, on_disk / "pieces", 100)
        judge_by_filefrag(there, images[-1], blocks)


def judge_by_filefrag(there: Lun, image: Path, blocks: Mapping[int, int]) -> None:
    """The whole way to this machine's own disk: each block's place there is one that filefrag gives to the file behind the device."""
    kind = said("stat", "--file-system", "--format", "%T", there.backing).strip()
    extents = Descent(block_probe.answer({"images": [[str(image), "qcow2"]]})).image(str(image), "qcow2", DISK)
    if not any(kind.startswith(proven_kind[:3]) for proven_kind in PROVEN):
        assert all(extent.offset is None for extent in extents)
        return
    lines = said("filefrag", "-e", "-s", "-b4096", there.backing).replace("..", " ").replace(":", " ").splitlines()
    rows = [line.split() for line in lines]
    runs = [(int(row[1]), int(row[3]), int(row[5])) for row in rows if len(row) > 5 and row[0].isdecimal()]
    logical = {physical + step: first + step for first, physical, length in runs for step in range(length)}
    found = by_block(extents)
    with there.backing.open("rb") as backing:
        for at, number in blocks.items():
            extent = found[at]
            assert extent.offset is not None
            backing.seek(logical[(extent.offset + at * BLOCK - extent.start) // BLOCK] * BLOCK)
            assert backing.read(BLOCK) == unique(number)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("qcow2", ("extended_l2=on,cluster_size=128k",)),
        ("qcow2", ("cluster_size=4k,preallocation=falloc",)),
        ("qcow2", ("data_file={mounted}/data.raw",)),
        ("vmdk", ("subformat=monolithicSparse",)),
        ("vmdk", ("subformat=monolithicFlat",)),
        ("vpc", ()),
        ("vdi", ()),
        ("qed", ()),
        ("parallels", ()),
        ("vhdx", ("block_size=1M",)),
        ("vhdx", ("block_size=16M",)),
        ("vhdx", ("subformat=fixed",)),
    ],
)
def test_other_kinds_of_images_are_right_too(kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    with lun(tmp_path, "ext4") as there:
        image, blocks = there.mounted / "disk", scattered(20, 600)
        chosen = [word for option in options for word in ("-o", option.format(mounted=there.mounted))]
        said("qemu-img", "create", "-q", "-f", kind, *chosen, image, str(DISK))
        write(image, kind, blocks, tmp_path / "pieces")
        assert proven(there, translated(there, image, kind), blocks) == len(blocks)


@pytest.mark.parametrize(("file_system", "subformat"), [("xfs", "twoGbMaxExtentFlat"), ("ext4", "twoGbMaxExtentSparse")])
def test_each_of_5000_blocks_of_a_vmdk_in_several_files_is_where_it_is_said_to_be(file_system: str, subformat: str, tmp_path: Path) -> None:
    size = 5 << 30
    with lun(tmp_path, file_system, 2 * size) as there:
        image, blocks = there.mounted / "disk", scattered(25, MANY, size)
        said("qemu-img", "create", "-q", "-f", "vmdk", "-o", f"subformat={subformat}", image, str(size))
        write(image, "vmdk", blocks, tmp_path / "pieces")
        extents = translated(there, image, "vmdk", size)
        assert proven(there, extents, blocks) == MANY
        assert len({extent.file for extent in extents if extent.file}) == 3


def test_a_vmdk_as_esxi_names_its_parts_is_right_also_behind_the_beginning_of_a_file(tmp_path: Path) -> None:
    described = '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="{}"\n# Extent description\n{}'
    kinds = {"vmfs": 'RW {} VMFS "{}"\n', "twoGbMaxExtentFlat": 'RW {} FLAT "{}" 2048\n'}
    with lun(tmp_path, "ext4") as there:
        for kind, line in kinds.items():
            sizes = {f"{kind}-{number}": DISK // 512 // 4 * number for number in (1, 3)}
            for name, sectors in sizes.items():
                with (there.mounted / name).open("wb") as part:
                    part.truncate((sectors + 2048) * 512)
            image, blocks = there.mounted / kind, scattered(26, 300)
            image.write_text(described.format(kind, "".join(line.format(sectors, name) for name, sectors in sizes.items())), "utf-8")
            write(image, "vmdk", blocks, tmp_path / "pieces")
            extents = translated(there, image, "vmdk")
            assert proven(there, extents, blocks) == len(blocks)
            assert {Path(extent.file).name for extent in extents if extent.file} == {*sizes}


def test_a_kind_of_which_qemu_tells_no_addresses_is_refused_without_its_own_tables(tmp_path: Path) -> None:
    with lun(tmp_path, "ext4") as there:
        image, blocks = there.mounted / "disk", scattered(30, 50)
        said("qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=1M", image, str(DISK))
        write(image, "vhdx", blocks, tmp_path / "pieces")
        extents = Descent(there.facts({"images": [[str(image), "vhdx"]]})).image(str(image), "vhdx", DISK)
        assert {by_block(extents)[at].state for at in blocks} == {NO_ADDRESS}
        assert proven(there, extents, blocks) == 0


@pytest.mark.parametrize(("kind", "options"), [("qcow2", ("-c",)), ("vmdk", ("-o", "subformat=streamOptimized"))])
def test_compressed_blocks_are_refused(kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    with lun(tmp_path, "ext4") as there:
        image, plain, blocks = there.mounted / "disk", tmp_path / "plain", scattered(31, 100)
        with plain.open("wb") as made:
            made.truncate(DISK)
        write(plain, "raw", blocks, tmp_path / "pieces")
        said("qemu-img", "convert", "-f", "raw", "-O", kind, *options, plain, image)
        extents = translated(there, image, kind)
        assert {by_block(extents)[at].state for at in blocks} == {NO_ADDRESS}


def test_compressed_clusters_are_refused_and_those_beside_them_are_right(tmp_path: Path) -> None:
    with lun(tmp_path, "ext4") as there:
        image, plain, blocks = there.mounted / "disk", tmp_path / "plain", scattered(40, 100)
        with plain.open("wb") as made:
            made.truncate(DISK)
        write(plain, "raw", blocks, tmp_path / "pieces")
        said("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", plain, image)
        beside = {at: number for at, number in scattered(41, 100).items() if not any(at // 16 == other // 16 for other in blocks)}
        write(image, "qcow2", beside, tmp_path / "pieces")
        extents = translated(there, image, "qcow2")
        assert proven(there, extents, blocks) == 0
        assert proven(there, extents, beside) == len(beside) > 50


def test_what_is_reserved_shared_or_not_there_is_told_so(tmp_path: Path) -> None:
    with lun(tmp_path, "xfs") as there:
        image, twin = there.mounted / "disk.raw", there.mounted / "twin.raw"
        said("fallocate", "--length", str(8 << 20), image)
        write(image, "raw", {0: 1, 1: 2}, tmp_path / "pieces")
        with image.open("rb+") as grown:
            grown.truncate(DISK)
        said("cp", "--reflink=always", image, twin)
        write(image, "raw", {1: 3}, tmp_path / "pieces")
        extents = translated(there, image, "raw")
        found = by_block(extents)
        assert [found[at // BLOCK].state for at in (0, BLOCK, 4 << 20, 16 << 20)] == [SHARED, DATA, UNWRITTEN, HOLE]
        assert proven(there, extents, {0: 1, 1: 3}) == 2
        assert proven(there, translated(there, twin, "raw"), {0: 1, 1: 2}) == 2


def test_a_file_that_the_file_system_keeps_in_its_inode_is_refused(tmp_path: Path) -> None:
    with lun(tmp_path, "ext4", options=("-O", "inline_data", "-I", "256")) as there:
        image = there.mounted / "small.raw"
        image.write_bytes(b"x" * 50)
        (found,) = Descent(there.facts({"files": [str(image)]})).image(str(image), "raw", 50)
        assert (found.state, found.offset) == (NO_ADDRESS, None)


def test_two_readings_prove_an_address_and_disprove_another(tmp_path: Path) -> None:
    with lun(tmp_path, "ext4") as there:
        image, blocks = there.mounted / "disk.qcow2", scattered(50, 20)
        said("qemu-img", "create", "-q", "-f", "qcow2", image, str(DISK))
        write(image, "qcow2", blocks, tmp_path / "pieces")
        extents = translated(there, image, "qcow2")
        name = there.device.rpartition("/")[2]
        places = by_block(extents)
        ahead = {at: at * BLOCK - places[at].start for at in blocks}
        in_file = {at: (places[at].file, (places[at].file_offset or 0) + ahead[at]) for at in blocks}
        reads = [
            [str(image), "qcow2", at * BLOCK, BLOCK, name, (places[at].offset or 0) + ahead[at] + wrong, *in_file[at]]
            for at in blocks
            for wrong in (0, BLOCK)
        ]
        assert block_probe.answer({"reads": reads})["same"] == ["yes", "no"] * len(blocks)


def test_of_a_file_that_ends_within_a_sector_two_readings_compare_what_it_has(there: Lun) -> None:
    image, size = there.mounted / "odd.raw", BLOCK + 1000
    image.write_bytes(os.urandom(size))
    os.sync()
    (found,) = Descent(there.facts({"files": [str(image)]})).image(str(image), "raw", size)
    with there.backing.open("r+b") as behind:
        behind.seek(PARTITION + (found.offset or 0) + size)
        behind.write(b"left from another file")
    read = [str(image), "raw", 0, 2 * BLOCK, there.device.rpartition("/")[2], found.offset, found.file, found.file_offset]
    assert block_probe.answer({"reads": [read]})["same"] == ["yes"]
    assert there.read((found.offset or 0) + size // 512 * 512, 512)[size % 512 :].startswith(b"left from another file")


@pytest.mark.parametrize(("kind", "options"), [("ext2", ()), ("ext3", ()), ("ext4", ("-b", "1024")), ("ext4", ("-b", "4096")), ("xfs", ())])
@pytest.mark.parametrize("format_", ["raw", "qcow2"])
def test_the_guests_file_is_named_by_its_image_alone(kind: str, options: tuple[str, ...], format_: str, tmp_path: Path) -> None:
    image, begin = tmp_path / "disk", 1 << 20
    with lun(tmp_path, kind, 400 << 20, options) as guest:
        file = guest.mounted / "dir" / "a file"
        file.parent.mkdir()
        file.write_bytes(b"x" * 300_000)
        os.sync()
        (first, *_rest), _realtime = block_probe._extents(str(file), kind == "xfs")
    said("qemu-img", "convert", "-f", "raw", "-O", format_, guest.backing, image)
    size = (400 << 20) - begin
    places = [[str(image), format_, [[begin, size]], at] for at in (first[1], first[1] + 4096, 0)]
    named, beside, nobodys = block_probe.answer({"owners": places})["owners"]
    assert (named["file_system"], named["files"], named["reason"]) == ("xfs" if kind == "xfs" else "ext4", ["/dir/a file"], "")
    assert beside["files"] == ["/dir/a file"]
    assert not named["unclean"]
    assert (nobodys["files"], nobodys["reason"]) == ([], "no file has it: the file system's own data, or free space")
    assert (
        "there is no file system there" in block_probe.answer({"owners": [[str(image), format_, [[0, begin]], 0]]})["owners"][0]["reason"]
    )


NTFS_BYTES = 200 << 20


@dataclass
class Volume:
    """A volume of NTFS that nobody has mounted, and the bytes of the files that were written to it."""

    image: Path
    written: dict[str, bytes]

    def place(self, name: str, number: int = 0) -> int:
        """Where the only copy of a block of a file is, by its bytes."""
        data, wanted = self.image.read_bytes(), self.written[name][number * BLOCK : (number + 1) * BLOCK]
        assert data.count(wanted) == 1
        return data.index(wanted)

    def owner(self, at: int) -> dict[str, Any]:
        (told,) = block_probe.answer({"owners": [[str(self.image), "raw", [[0, NTFS_BYTES]], at]]})["owners"]
        found: dict[str, Any] = told
        return found

    def runs(self, inode: int) -> list[tuple[int, int, int]]:
        """VCN, LCN and length of those of the first attribute that has any, as ntfs-3g's ntfsinfo tells them."""
        told = said("ntfsinfo", "--force", "--verbose", "--inode", str(inode), self.image).split("Runlist:")[1]
        rows = [line.split() for line in told.splitlines()[1:]]
        return [(int(row[0], 16), int(row[1], 16), int(row[2], 16)) for row in rows if len(row) == 3 and row[1].startswith("0x")]


@pytest.fixture(scope="module")
def ntfs(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """Files of every kind, written by ntfs-3g."""
    place = tmp_path_factory.mktemp("ntfs")
    volume, mounted = Volume(place / "volume", {}), place / "mounted"
    mounted.mkdir()
    with volume.image.open("wb") as made:
        made.truncate(NTFS_BYTES)
    said("mkntfs", "--quiet", "--fast", "--force", volume.image)
    said("ntfs-3g", volume.image, mounted)
    try:
        for directory in ("dir", "packed"):
            (mounted / directory).mkdir()
        os.setxattr(mounted / "packed", "system.ntfs_attrib", (0x810).to_bytes(4, "little"))
        written = {name: os.urandom(16 * BLOCK) for name in ("dir/a file", "dir/größe", "packed/noise")}
        for name, data in written.items():
            (mounted / name).write_bytes(data)
        with (mounted / "dir/holes").open("wb") as holes:
            for piece in range(1500):
                holes.seek(2 * piece * BLOCK)
                holes.write(unique(piece))
        written["dir/holes"] = b"".join(map(unique, range(1500)))
        written["dir/a file:stream"] = os.urandom(3 * BLOCK)
        os.setxattr(mounted / "dir/a file", "user.stream", written["dir/a file:stream"])
        written["dir/small"] = os.urandom(100)
        (mounted / "dir/small").write_bytes(written["dir/small"])
        (mounted / "gone").write_bytes(os.urandom(16 * BLOCK))
        written["gone"] = (mounted / "gone").read_bytes()
        (mounted / "gone").unlink()
        volume.written.update(written)
    finally:
        said("umount", mounted)
    return volume


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("dir/a file", 0),
        ("dir/a file", 15),
        ("dir/größe", 7),
        ("packed/noise", 5),
        ("dir/holes", 0),
        ("dir/holes", 700),
        ("dir/holes", 1499),
        ("dir/a file:stream", 2),
    ],
)
def test_the_guests_file_on_ntfs_is_named_and_its_stream(ntfs: Volume, name: str, number: int) -> None:
    at = ntfs.place(name, number)
    told = ntfs.owner(at + 100)
    named = {"file_system": "ntfs", "block": at // BLOCK, "files": [f"/{name}"], "reason": "", "unclean": False, "lvm": False}
    assert told == named


def test_a_file_that_lies_in_its_record_is_told_as_that(ntfs: Volume) -> None:
    told = ntfs.owner(ntfs.place("dir/small"))
    assert (told["files"], told["reason"]) == ([], "no file has it: a record of the $MFT, that of /dir/small, with its data")


def test_what_is_no_files_on_ntfs_is_told_as_that(ntfs: Volume) -> None:
    (_vcn, log, _length), *_rest = ntfs.runs(2)
    free, own, behind = (ntfs.owner(at) for at in (ntfs.place("gone", 3), log * BLOCK, NTFS_BYTES - 512))
    assert (free["files"], free["reason"]) == ([], "no file has it: free space")
    assert (own["files"], own["reason"]) == ([], "no file has it: the file system's own data, $DATA of /$LogFile")
    assert (behind["files"], behind["reason"]) == ([], "no file has it: it is behind the end of the file system")


def restart_page(size: int, flags: int) -> bytes:
    """A page of a $LogFile of so many bytes that Windows has open (0) or closed (2), in the layout of ntfs-3g's logfile.h."""
    header = struct.pack("<4sHHQIIHhh", b"RSTR", 30, 9, 0, BLOCK, BLOCK, 48, 1, 1).ljust(48, b"\0")
    area = struct.pack("<QHHHHIHHQIHHII", 0, 1, 0xFFFF, 0, flags, 67 - size.bit_length(), 208, 48, size, 0, 48, 64, 1, 0)
    client = struct.pack("<QQHHH6xI", 0, 0, 0xFFFF, 0xFFFF, 0, 8) + "NTFS".encode("utf-16-le")
    page = bytearray((header + area + client).ljust(BLOCK, b"\0"))
    for guarded in (30, *range(510, BLOCK, 512)):
        struct.pack_into("<H", page, guarded, 1)
    return bytes(page)


def ntfs_3g_refuses(image: Path, mounted: Path) -> bool:
    """Whether ntfs-3g, too, finds that Windows has not left a volume: it does not mount it for writing then."""
    mounted.mkdir(exist_ok=True)
    said("ntfs-3g", "-o", "norecover", image, mounted)
    try:
        return not os.access(mounted, os.W_OK) or bool(os.statvfs(mounted).f_flag & os.ST_RDONLY)
    finally:
        said("umount", mounted)


@pytest.mark.parametrize(("flags", "unclean"), [(0, True), (2, False)])
def test_a_volume_that_windows_has_not_left_is_told_as_that(ntfs: Volume, flags: int, unclean: bool, tmp_path: Path) -> None:
    image = tmp_path / "volume"
    image.write_bytes(ntfs.image.read_bytes())
    (_vcn, log, length), *_rest = ntfs.runs(2)
    with image.open("r+b") as volume:
        volume.seek(log * BLOCK)
        volume.write(restart_page(length * BLOCK, flags) * 2)
    told = Volume(image, {}).owner(ntfs.place("dir/a file"))
    assert (told["files"], told["unclean"]) == (["/dir/a file"], unclean)
    assert ntfs_3g_refuses(image, tmp_path / "mounted") is unclean


@pytest.mark.parametrize(("beginning", "unclean"), [(b"hibr", True), (bytes(4), False)])
def test_a_volume_whose_windows_sleeps_is_told_as_that(ntfs: Volume, beginning: bytes, unclean: bool, tmp_path: Path) -> None:
    image, mounted = tmp_path / "volume", tmp_path / "mounted"
    image.write_bytes(ntfs.image.read_bytes())
    mounted.mkdir()
    said("ntfs-3g", image, mounted)
    (mounted / "hiberfil.sys").write_bytes(beginning + bytes(BLOCK))
    said("umount", mounted)
    assert Volume(image, {}).owner(ntfs.place("dir/a file"))["unclean"] is unclean
    assert ntfs_3g_refuses(image, mounted) is unclean


def test_a_volume_that_is_marked_as_dirty_is_told_as_that(ntfs: Volume, tmp_path: Path) -> None:
    image, whole = tmp_path / "volume", ntfs.image.read_bytes()
    start = ntfs.runs(0)[0][1] * BLOCK + 3 * 1024
    record = whole[start : start + 1024]
    place = struct.unpack_from("<H", record, 20)[0]
    while struct.unpack_from("<I", record, place)[0] != 0x70:
        place += struct.unpack_from("<I", record, place + 4)[0]
    marked = bytearray(record)
    marked[place + struct.unpack_from("<H", record, place + 20)[0] + 10] |= 1
    image.write_bytes(whole.replace(record, bytes(marked)))
    assert "Volume Flags: 0x0001 DIRTY" in said("ntfsinfo", "--force", "--mft", image)
    told = Volume(image, {}).owner(ntfs.place("dir/a file"))
    assert (told["files"], told["unclean"]) == (["/dir/a file"], True)


def test_a_volume_that_contradicts_itself_names_no_file(ntfs: Volume, tmp_path: Path) -> None:
    image, at = tmp_path / "volume", ntfs.place("dir/a file")
    image.write_bytes(ntfs.image.read_bytes())
    bitmap = next(lcn for _vcn, lcn, _length in ntfs.runs(6))
    with image.open("r+b") as volume:
        volume.seek(bitmap * BLOCK + at // BLOCK // 8)
        volume.write(b"\0")
    told = Volume(image, {}).owner(at)
    assert (told["files"], "do not agree on who has it" in told["reason"]) == ([], True)


def test_a_reading_that_is_killed_leaves_no_program_and_no_mount_on_the_host(tmp_path: Path) -> None:
    image, tool = tmp_path / "disk", tmp_path / "debugfs"
    said("truncate", "-s", "64M", image)
    said("mkfs.ext4", "-q", image)
    tool.write_text(f"#!/bin/sh\ntouch '{tmp_path}/begun'; exec sleep 600 < \"$3\"\n")  # it has the guest's disk open
    tool.chmod(0o755)
    question = json.dumps({"owners": [[str(image), "raw", [[0, 64 << 20]], 0]]}).encode()
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, block_probe.__file__], stdin=subprocess.PIPE, env=environment) as probe:
        try:
            assert probe.stdin
            probe.stdin.write(question)
            probe.stdin.close()
            eventually((tmp_path / "begun").exists)
            started = [int(one) for one in Path(f"/proc/{probe.pid}/task/{probe.pid}/children").read_text().split()]
            assert "qemu-storage-da" in [Path(f"/proc/{one}/comm").read_text().strip() for one in started]
            assert len(started) == 2
            assert str(tmp_path) in Path("/proc/self/mountinfo").read_text()
        finally:
            probe.kill()
    eventually(lambda: not any(is_running(one) for one in started))
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def is_running(process: int) -> bool:
    """Whether a process is there, and not only because nobody has asked for its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(true: Callable[[], bool], seconds: float = 600.0) -> None:
    """Wait until something is so. Fails when it does not become so."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


LVM_BYTES = 96 << 20
LVM_EXTENT = 1 << 20
WITHOUT_DEVICE_MAPPER = (
    "--driverloaded",
    "n",
    "--config",
    "devices/use_devicesfile=0 backup/backup=0 backup/archive=0 global/event_activation=0",
)


@dataclass
class Group:
    """A physical volume that LVM made, without device mapper; what is on its volumes was put where LVM says that they are."""

    image: Path
    files: dict[str, tuple[str, int]]
    """By volume: the path of a file, and where a byte of it is in the volume."""
    ranges: dict[str, list[int]]
    """By volume: where each of its chunks lies in the partition."""
    chunks: dict[str, int]

    def at(self, volume: str, place: int) -> int:
        """Where a byte of a volume is in the partition, as LVM says."""
        return self.ranges[volume][place // self.chunks[volume]] + place % self.chunks[volume]

    def read(self, offset: int, length: int) -> bytes:
        with self.image.open("rb") as opened:
            opened.seek(PARTITION + offset)
            return opened.read(length)


def extents_of(report: str) -> dict[str, list[list[int]]]:
    """Extents by volume and segment, of `lvs --segments --options lv_name,seg_pe_ranges`: `root /dev/loop0:0-2 /dev/loop0:7-9`."""
    found: dict[str, list[list[int]]] = {}
    for line in report.splitlines():
        name, *areas = line.split()
        firsts = [[int(number) for number in area.rpartition(":")[2].split("-")] for area in areas]
        found.setdefault(name, []).extend([number for first, last in [area] for number in range(first, last + 1)] for area in firsts)
    return found


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Group:
    place = tmp_path_factory.mktemp("lvm")
    image, device = place / "disk", ""
    with image.open("wb") as made:
        made.truncate(PARTITION + LVM_BYTES)
    try:
        device = said("losetup", "--find", "--show", "--offset", str(PARTITION), image).strip()
        how = (*WITHOUT_DEVICE_MAPPER, "--devices", device)
        made_so = ("lvcreate", *how, "--activate", "n", "--zero", "n", "--wipesignatures", "n")
        said("pvcreate", *how, device)
        said("vgcreate", *how, "--physicalextentsize", "1m", "data", device)
        said(*made_so, "--extents", "16", "--name", "linear", "data")
        said(*made_so, "--extents", "4", "--name", "between", "data")
        said("lvextend", *how, "--extents", "+16", "data/linear")
        said(*made_so, "--extents", "24", "--stripes", "2", "--stripesize", "512k", "--alloc", "anywhere", "--name", "striped", "data")
        first = int(float(said("pvs", *how, "--noheadings", "--units", "b", "--nosuffix", "--options", "pe_start", device)))
        report = said("lvs", *how, "--noheadings", "--segments", "--options", "lv_name,seg_pe_ranges", "data")
    finally:
        if device:
            said("losetup", "--detach", device)
    segments = extents_of(report)
    assert [len(areas) for areas in (segments["linear"], segments["striped"])] == [2, 2]
    linear = [first + number * LVM_EXTENT for area in segments["linear"] for number in area]
    columns = [[first + number * LVM_EXTENT + half for number in area for half in (0, LVM_EXTENT // 2)] for area in segments["striped"]]
    striped = [offset for row in zip(*columns, strict=True) for offset in row]
    told = Group(image, {}, {"linear": linear, "striped": striped}, {"linear": LVM_EXTENT, "striped": LVM_EXTENT // 2})
    for name, ranges in told.ranges.items():
        told.files[name] = put_file_system(told, place / name, name, len(ranges) * told.chunks[name])
    return told


def put_file_system(group: Group, place: Path, name: str, size: int) -> tuple[str, int]:
    """Make ext4 with a large file, and put it on a volume chunk by chunk; return the file's path, and where a late byte of it is."""
    place.mkdir()
    with lun(place, "ext4", size + PARTITION) as guest:
        file = guest.mounted / f"on {name}"
        file.write_bytes(b"".join(map(unique, range(1500))))
        os.sync()
    data = (place / "lun").read_bytes()[PARTITION:]
    with group.image.open("r+b") as disk:
        for number, offset in enumerate(group.ranges[name]):
            disk.seek(PARTITION + offset)
            disk.write(data[number * group.chunks[name] : (number + 1) * group.chunks[name]])
    return f"/{file.name}", data.index(unique(1490))


@pytest.mark.parametrize("name", ["linear", "striped"])
@pytest.mark.parametrize("format_", ["raw", "qcow2"])
def test_the_guests_file_on_a_logical_volume_that_lvm_made_is_named(group: Group, name: str, format_: str, tmp_path: Path) -> None:
    path, place = group.files[name]
    at = group.at(name, place)
    assert group.read(at, BLOCK) == unique(1490)
    volume, why = logical_volume_at(group.read, at)
    assert volume is not None
    assert (volume.name, why, volume.place(at)) == (f"data/{name}", "", place)
    chunk = group.chunks[name]
    found = [span.offset + step for span in volume.spans for step in range(0, span.length, chunk)]
    assert found == group.ranges[name]
    image = tmp_path / "disk"
    said("qemu-img", "convert", "-f", "raw", "-O", format_, group.image, image)
    pieces = [[PARTITION + span.offset, span.length] for span in volume.spans]
    question = {"owners": [[str(image), format_, pieces, place], [str(image), format_, [[PARTITION, LVM_BYTES]], at]]}
    told, whole = block_probe.answer(question)["owners"]
    assert (told["file_system"], told["files"], told["reason"]) == ("ext4", [path], "")
    assert (whole["lvm"], whole["files"]) == (True, [])
