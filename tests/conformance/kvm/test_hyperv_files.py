# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHDX and VHD files of Hyper-V's VMs on a real NTFS volume, proven by their bytes on the LUN.

QEMU writes unique blocks into images, which are put on NTFS in pieces by ntfs-3g; `ntfsinfo` tells their clusters, and the lab's host says
them as fsutil does. The LUN is a file that has that volume at the partition's place, and is read where each block should be.
"""

from __future__ import annotations

import random
import re
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files import vhdx
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import read_with
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import backend
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.backend import HyperV
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, NO_ADDRESS, BlockExtent, Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.block_addresses import Wish, addresses
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.block_owners import OWNED, Question, owners
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.where import Where
from tests.lab.hyperv.media import Partition
from tests.lab.hyperv.programs import StoredFile
from tests.lab.hyperv.running import Lab
from tests.unit import windows
from tests.unit.hard_disk_files import MIB, PARTIAL, Block, Vhdx
from tests.unit.ports import MemoryArray, lun
from tests.unit.windows import Wire

HOST, VM = "hv01.lab", "hvapp01"
DATA_DISK = "E:\\VMs\\hvapp01\\data.vhdx"
OWNER, OTHER = "hvc1n1.lab", "hvc1n2.lab"
SHARED_VM, SHARED_VOLUME = "c1app02", "C:\\ClusterStorage\\Volume1"
SHARED_DISK = f"{SHARED_VOLUME}\\{SHARED_VM}\\{SHARED_VM}.vhdx"
BLOCK = 4096
SIZE = 64 * MIB
MANY = 5000
PIECE = 3 * MIB
_RUN = re.compile(r"\s*0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s*")


def said(*command: str | Path, given: str | None = None) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, input=given)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def unique(number: int) -> bytes:
    return b"%016d" % number * (BLOCK // 16)


def written(image: Path, kind: str, blocks: Mapping[int, int], pieces: Path) -> None:
    pieces.mkdir(exist_ok=True)
    for number in blocks.values():
        (pieces / str(number)).write_bytes(unique(number))
    orders = "".join(f"write -q -s {pieces / str(number)} {at * BLOCK} {BLOCK}\n" for at, number in blocks.items())
    said("qemu-io", "-t", "unsafe", "-f", kind, image, given=f"{orders}flush\n")


@dataclass
class Volume:
    """An NTFS volume on the LUN that a host of the lab has as E:, or as a Cluster Shared Volume."""

    place: Path
    lab: Lab = field(default_factory=Lab)
    host: str = HOST
    way: str = "E:\\"

    @property
    def partition(self) -> Partition:
        parts = (part for medium in self.lab.estate.media.values() for part in medium.partitions)
        return next(part for part in parts if self.way in part.access.get(self.host, []))

    @property
    def image(self) -> Path:
        return self.place / "volume"

    def fill(self, files: Mapping[str, Path]) -> None:
        """Put files on a new volume, a piece of one after a piece of the next, and let the host have them.

        What ntfs-3g has in memory is on the volume once it has ended, which is later than the volume is unmounted.
        """
        with self.image.open("wb") as made:
            made.truncate(512 * MIB)
        said("mkntfs", "-q", "-F", "-s", "512", "-c", "4096", "-p", "2048", "-H", "255", "-S", "63", self.image)
        mounted = self.place / "mounted"
        mounted.mkdir()
        with ExitStack() as undo:
            daemon = undo.enter_context(subprocess.Popen(["ntfs-3g", "-o", "no_detach", str(self.image), str(mounted)]))
            undo.callback(daemon.wait)
            while not mounted.is_mount():
                assert daemon.poll() is None
                time.sleep(0.05)
            undo.callback(said, "umount", mounted)
            names = {path: f"file{number}" for number, path in enumerate(files)}
            opened = [(undo.enter_context((mounted / names[path]).open("wb")), local.read_bytes()) for path, local in files.items()]
            for at in range(0, max(len(data) for _file, data in opened), PIECE):
                for file, data in opened:
                    file.write(data[at : at + PIECE])
                    file.flush()
        for path, local in files.items():
            self.lab.estate.files[self.host].put(path, StoredFile(local, self.runs(names[path]), through=[self.way.rstrip("\\")]))

    def runs(self, name: str) -> list[tuple[int, int, int]]:
        """The clusters of the data of a file."""
        told = said("ntfsinfo", "-f", "-v", "-F", f"/{name}", self.image).split("Dumping attribute $DATA", 1)[1]
        found = [match for match in map(_RUN.fullmatch, told.splitlines()) if match]
        return [(int(run[1], 16), int(run[3], 16), int(run[2], 16)) for run in found]

    def read(self, offset: int, length: int = BLOCK) -> bytes:
        """What the LUN holds, on which the volume begins at its partition."""
        with self.image.open("rb") as opened:
            opened.seek(offset - self.partition.offset)
            return opened.read(length)


@dataclass
class BytesOfTheVolume(MemoryArray):
    """The array that has the LUN on which the volume is."""

    volume: Volume = field(kw_only=True)

    def read(self, lun: Lun, offset: int, length: int) -> bytes:
        return self.volume.read(offset, length)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


@pytest.fixture
def shared(tmp_path: Path) -> Volume:
    return Volume(tmp_path, host=OWNER, way=f"{SHARED_VOLUME}\\")


@contextmanager
def opened(volume: Volume, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HyperV]:
    monkeypatch.setattr(backend, "Nodes", lambda to: windows.nodes(volume.lab, str(to.hostname), Wire()))
    with closing(HyperV(Connection(role=HYPERVISOR, type="hyperv", hostname=name, port=5986))) as host:
        yield host


@pytest.fixture
def host(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> Iterator[HyperV]:
    with opened(volume, HOST, monkeypatch) as found:
        yield found


@pytest.fixture
def node(shared: Volume, monkeypatch: pytest.MonkeyPatch) -> Iterator[HyperV]:
    """The node that runs the VM, and does not own the volume."""
    with opened(shared, OTHER, monkeypatch) as found:
        yield found


def extents(host: HyperV, path: str = DATA_DISK, vm_name: str = VM, known: str = DATA_DISK) -> Sequence[BlockExtent]:
    vm = next(vm for vm in host.inventory(devices=False).virtual_machines if vm.name == vm_name)
    disk = next(disk for disk in vm.disks if disk.path == known)
    (told,) = host.disk_blocks([(vm, type(disk)(**{**disk.__dict__, "path": path}))])
    assert not told.unfollowed, told.extents[0].reason
    return told.extents


def proven(volume: Volume, found: Sequence[BlockExtent], blocks: Mapping[int, int]) -> int:
    """How many blocks are on the LUN where they are said to be; one that is not fails the test. A block may be in several ranges."""
    right = 0
    for at, number in blocks.items():
        bytes_ = b""
        for part in found:
            start, end = max(part.start, at * BLOCK), min(part.end, (at + 1) * BLOCK)
            if start < end:
                assert (part.state, part.offset is None) == (DATA, False)
                bytes_ += volume.read((part.offset or 0) + start - part.start, end - start)
        assert bytes_ == unique(number), at
        right += 1
    return right


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("vhdx", "data.vhdx", "block_size=1M"),
        ("vhdx", "fixed.vhdx", "subformat=fixed"),
        ("vpc", "data.vhd", "subformat=dynamic,force_size=on"),
        ("vpc", "fixed.vhd", "subformat=fixed,force_size=on"),
    ],
)
def test_each_of_5000_blocks_is_on_the_lun_where_it_is_said_to_be(
    kind: str, name: str, options: str, volume: Volume, host: HyperV, tmp_path: Path
) -> None:
    image, path = tmp_path / "image", f"E:\\VMs\\hvapp01\\{name}"
    blocks = {at: 10_000 + at for at in random.Random(17).sample(range(SIZE // BLOCK), MANY)}
    said("qemu-img", "create", "-q", "-f", kind, "-o", options, image, str(SIZE))
    written(image, kind, blocks, tmp_path / "pieces")
    volume.fill({path: image, "E:\\other": image})
    assert len(volume.lab.estate.files[HOST].there[path.casefold()].runs) >= 4
    assert proven(volume, extents(host, path), blocks) == MANY


def test_verify_finds_each_range_on_the_lun_and_misses_one_byte(volume: Volume, host: HyperV, tmp_path: Path) -> None:
    image, blocks = tmp_path / "image", {at: 10_000 + at for at in random.Random(20).sample(range(SIZE // BLOCK), 200)}
    said("qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=1M", image, str(SIZE))
    written(image, "vhdx", blocks, tmp_path / "pieces")
    volume.fill({DATA_DISK: image, "E:\\other": image})
    wish = Wish(VM, "SCSI(0:1)", [(at * BLOCK, BLOCK) for at in sorted(blocks)], verify=True)
    name = next(extent.name for extent in extents(host) if extent.name)
    source = [ArraySource("array", lambda: BytesOfTheVolume(lun(name), volume=volume))]
    found = addresses(host, source, wish).rows
    assert [row["verified"] for row in found] == [True] * len(found)
    assert len(found) >= 200
    changed = next(row for row in found if row["virtual_offset"] == max(blocks) * BLOCK)
    with volume.image.open("r+b") as opened:
        opened.seek(changed["lba"] * 512 - volume.partition.offset + 100)
        opened.write(b"!")
    again = [row for row in addresses(host, source, wish).rows if not row["verified"]]
    assert [(row["virtual_offset"], row["state"], row["naa"]) for row in again] == [(changed["virtual_offset"], NO_ADDRESS, "")]


def test_a_checkpoint_has_its_own_sectors_and_those_of_its_parent(volume: Volume, host: HyperV, tmp_path: Path) -> None:
    base, leaf, path = tmp_path / "base", tmp_path / "leaf", "E:\\VMs\\hvapp01\\data_1.avhdx"
    blocks = {at: 10_000 + at for at in random.Random(18).sample(range(SIZE // BLOCK), 1000)}
    said("qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=1M", base, str(SIZE))
    written(base, "vhdx", blocks, tmp_path / "pieces")
    data = base.read_bytes()
    identity = read_with(vhdx.image("base", len(data)), lambda offset, length: data[offset : offset + length]).identity
    mine = {at: 90_000 + at for at in range(0, 256, 3)}
    block = b"".join(unique(mine[at]) if at in mine else bytes(BLOCK) for at in range(256))
    sectors = frozenset(at * 8 + sector for at in mine for sector in range(8))
    says = {"parent_linkage": f"{{{identity}}}", "relative_path": ".\\data.vhdx"}
    leaf.write_bytes(Vhdx(SIZE, blocks={0: Block(PARTIAL, block, sectors)}, parent=says, identity=uuid.uuid4()).made())
    volume.fill({DATA_DISK: base, path: leaf})
    expected = {**blocks, **mine}
    assert proven(volume, extents(host, path), expected) == len(expected) > 1050


def test_the_owner_of_a_block_of_the_lun_is_the_disk_that_has_these_bytes(volume: Volume, host: HyperV, tmp_path: Path) -> None:
    image, blocks = tmp_path / "image", {1234: 55, 9999: 66}
    said("qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=1M", image, str(SIZE))
    written(image, "vhdx", blocks, tmp_path / "pieces")
    volume.fill({DATA_DISK: image})
    for at, number in blocks.items():
        place = volume.partition.offset + volume.image.read_bytes().index(unique(number))
        name = next(extent.name for extent in extents(host) if extent.name)
        (row,) = owners(host, [], Question(Where(naa=str(name)), [place // 512])).rows
        assert (row["status"], row["vm_name"], row["file"]) == (OWNED, VM, DATA_DISK)
        assert row["virtual_offset"] == at * BLOCK


def test_each_block_of_a_file_on_a_cluster_shared_volume_is_where_its_owner_says(shared: Volume, node: HyperV, tmp_path: Path) -> None:
    image, blocks = tmp_path / "image", {at: 10_000 + at for at in random.Random(19).sample(range(SIZE // BLOCK), MANY)}
    said("qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=1M", image, str(SIZE))
    written(image, "vhdx", blocks, tmp_path / "pieces")
    shared.fill({SHARED_DISK: image, f"{SHARED_VOLUME}\\other": image})
    found = extents(node, SHARED_DISK, SHARED_VM, SHARED_DISK)
    assert len(shared.lab.estate.files[OWNER].there[SHARED_DISK.casefold()].runs) >= 4
    assert proven(shared, found, blocks) == MANY
    at, number = next(iter(blocks.items()))
    place = shared.partition.offset + shared.image.read_bytes().index(unique(number))
    (row,) = owners(node, [], Question(Where(naa=str(found[0].name)), [place // 512])).rows
    assert (row["status"], row["vm_name"], row["file"], row["virtual_offset"]) == (OWNED, SHARED_VM, SHARED_DISK, at * BLOCK)
