# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHD and VHDX by the word of others: each sector that they read is where our tables say that it is in the files.

QEMU makes and writes images itself, and reads those that tests make of all that the specifications allow; so do Fox-IT's dissect.hypervisor
(VHDX with parents) and Joachim Metz' libvhdi (VHD with parents). None of the three is ours, and none knows of the others.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
import pyvhdi
from dissect.hypervisor.disk.vhd import VHD
from dissect.hypervisor.disk.vhdx import VHDX
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files import vhd, vhdx
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.image import (
    HardDiskFile,
    composed,
    refuse_other_parent,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import read_with
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, UNWRITTEN
from tests.unit.hard_disk_files import MIB, NOT_PRESENT, PARTIAL, PRESENT, SECTOR, UNDEFINED, UNMAPPED, ZERO, Block, Vhd, Vhdx

BLOCK = 4096
KINDS = {"vhdx": vhdx.image, "vpc": vhd.image, "vhd": vhd.image}
MANY = 1500


def said(*command: str | Path, given: str | None = None) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, input=given)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def read(path: Path, kind: str) -> HardDiskFile:
    with path.open("rb") as opened:

        def piece(offset: int, length: int) -> bytes:
            opened.seek(offset)
            return opened.read(length)

        return read_with(KINDS[kind](str(path), path.stat().st_size), piece)


def bytes_by(spans: Sequence[Span], size: int) -> Iterator[tuple[int, bytes]]:
    """Each range of the virtual disk with what it holds, by the files and offsets that the spans name."""
    at = 0
    for span in spans:
        assert span.start >= at
        at = span.end
        if span.state == DATA:
            with Path(span.below).open("rb") as opened:
                opened.seek(span.offset)
                yield span.start, opened.read(span.length)
        else:
            assert span.state in (HOLE, UNWRITTEN)
    assert at <= size


def whole(spans: Sequence[Span], size: int) -> bytes:
    disk = bytearray(size)
    for start, data in bytes_by(spans, size):
        disk[start : start + len(data)] = data
    return bytes(disk)


def first_difference(theirs: bytes, ours: bytes) -> int | None:
    """The first sector that is not the same; None if all of them are."""
    if theirs == ours:
        return None
    sectors = range(max(len(theirs), len(ours)) // SECTOR)
    return next((at for at in sectors if theirs[at * SECTOR : (at + 1) * SECTOR] != ours[at * SECTOR : (at + 1) * SECTOR]), len(ours))


def unique(number: int) -> bytes:
    return b"%016d" % number * (BLOCK // 16)


@pytest.mark.parametrize(
    ("kind", "options", "size"),
    [
        ("vhdx", "block_size=1M", 256 * MIB),
        ("vhdx", "block_size=8M", 256 * MIB),
        ("vhdx", "subformat=fixed", 256 * MIB),
        ("vhdx", "block_size=1M", 6 << 30),
        ("vpc", "subformat=dynamic,force_size=on", 256 * MIB),
        ("vpc", "subformat=fixed,force_size=on", 256 * MIB),
    ],
)
def test_each_block_that_qemu_wrote_is_where_it_is_said_to_be(kind: str, options: str, size: int, tmp_path: Path) -> None:
    image, pieces = tmp_path / "disk", tmp_path / "pieces"
    pieces.mkdir()
    said("qemu-img", "create", "-q", "-f", kind, "-o", options, image, str(size))
    places = Random(17).sample(range(size // BLOCK), MANY if size < 1 << 30 else 100)
    for at in places:
        (pieces / str(at)).write_bytes(unique(at))
    orders = "".join(f"write -q -s {pieces / str(at)} {at * BLOCK} {BLOCK}\n" for at in places)
    said("qemu-io", "-t", "unsafe", "-f", kind, image, given=f"{orders}flush\n")
    found = read(image, kind)
    assert (found.size, found.sector, found.parent) == (size, 512, None)
    holding = {at: span for span in found.spans if span.state == DATA for at in range(-(-span.start // BLOCK), span.end // BLOCK)}
    with image.open("rb") as opened:
        for at in places:
            opened.seek(holding[at].offset + at * BLOCK - holding[at].start)
            assert opened.read(BLOCK) == unique(at)


HOLES = [UNDEFINED, ZERO, UNMAPPED]


SEEDS = st.integers(0, 1 << 32)
"""Of a chain of images: some megabytes of random bytes are nothing that hypothesis could make smaller or print."""


def block(chance: Random, size: int, sector: int, states: Sequence[int], grain: int = 1) -> Block:
    """A block of which each sector is unlike any other; in part, where its state says so."""
    state = chance.choice(states)
    data = chance.randbytes(size) if state in (PRESENT, PARTIAL) else b""
    edges = sorted(chance.sample(range(0, size // sector + 1, grain), chance.randint(0, 12))) if state == PARTIAL else []
    sectors = frozenset(number for one, two in zip(edges[::2], edges[1::2]) for number in range(one, two))
    return Block(state, data, sectors)


def blocks(chance: Random, size: int, length: int, sector: int, states: Sequence[int], grain: int = 1) -> dict[int, Block]:
    """Some blocks of a disk, in the order in which they are put into the file."""
    count = -(-size // length)
    numbers = chance.sample(range(count), chance.randint(0, min(4, count)))
    return {number: block(chance, length, sector, states, grain) for number in numbers}


def vhdx_chain(chance: Random) -> list[Vhdx]:
    """Images from the first to the last one that was made, each based on the one before it."""
    count, grain = chance.randint(1, 3), chance.choice([1, 8])
    sector, size = chance.choice([512, 4096]), chance.randint(1, 6 * MIB // 4096) * 4096
    holes = chance.choice([HOLES, []])
    chain: list[Vhdx] = []
    for number in range(count):
        length = chance.choice([MIB, 2 * MIB])
        states = [NOT_PRESENT, PRESENT, *holes, *([PARTIAL, PARTIAL, PARTIAL] if number else [])]
        says = {"parent_linkage": f"{{{uuid.UUID(int=number)}}}", "relative_path": f".\\{number - 1}.vhdx"}
        has = blocks(chance, size, length, sector, states, grain)
        chain.append(Vhdx(size, length, sector, has, says if number else None, uuid.UUID(int=number + 1), order=[*has]))
    return chain


def by_making(chain: Sequence[Vhdx]) -> bytes:
    """A disk by what its images were made of."""
    disk = bytearray(chain[0].size)
    for image in chain:
        for number, made in image.blocks.items():
            start, end = number * image.block, min((number + 1) * image.block, image.size)
            if made.state == PARTIAL:
                for sector in made.sectors:
                    at = start + sector * image.sector
                    disk[at : at + image.sector] = made.data[at - start : at - start + image.sector]
            elif made.state != NOT_PRESENT:
                disk[start:end] = made.data[: end - start] or bytes(end - start)
    return bytes(disk[: chain[0].size])


def are_by_eights(chain: Sequence[Vhdx]) -> bool:
    """Whether dissect.hypervisor reads a chain right: it asks a parent for what the image above it lacks, and takes what does not begin at
    eight sectors by the wrong bits.
    """
    above = [block.sectors for image in chain[2:] for block in image.blocks.values()]
    return all(
        (sector - 1 in sectors) == (sector in sectors)
        for sectors in above
        for sector in range(8, max(sectors, default=0) + 2)
        if sector % 8
    )


def by_libvhdi(paths: Sequence[Path]) -> bytes:
    """A disk by libvhdi, which has to be told the parent of each image.

    It takes the rest of eight sectors from where the first ones are, and of VHDX with a parent also other sectors from elsewhere.
    """
    files: list[pyvhdi.file] = []
    for path in paths:
        opened = pyvhdi.file()
        opened.open(str(path))
        if files:
            opened.set_parent(files[-1])
        files.append(opened)
    data = b"".join(files[-1].read_buffer_at_offset(SECTOR, at) for at in range(0, files[-1].get_media_size(), SECTOR))
    for opened in reversed(files):
        opened.close()
    return data


def by_dissect(path: Path) -> bytes:
    """A disk by dissect.hypervisor, which opens the parents itself; by eight sectors, because it takes any others by the wrong bits."""
    judge = VHDX(path)
    count = judge.size // judge.sector_size
    data = b"".join(judge.read_sectors(number, min(8, count - number)) for number in range(0, count, 8))
    while judge:
        judge.fh.close()
        judge = judge.parent
    return data


@settings(max_examples=40)
@given(SEEDS)
def test_random_vhdx_files_with_their_parents_are_as_others_read_them(seed: int) -> None:
    chain = vhdx_chain(Random(seed))
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{number}.vhdx" for number in range(len(chain))]
        for path, told in zip(paths, chain):
            path.write_bytes(told.made())
        images = [read(path, "vhdx") for path in reversed(paths)]
        for image, parent in zip(images, images[1:]):
            refuse_other_parent(image, parent)
        ours = whole(composed(images), chain[0].size)
        assert first_difference(by_making(chain), ours) is None
        if are_by_eights(chain):
            assert first_difference(by_dissect(paths[-1]), ours) is None
        if len(chain) == 1 and chain[0].sector == 512:
            assert first_difference(by_libvhdi(paths), ours) is None
            said("qemu-img", "convert", "-f", "vhdx", "-O", "raw", paths[0], f"{place}/raw")
            assert Path(f"{place}/raw").read_bytes() == ours


def vhd_chain(chance: Random) -> list[Vhd]:
    size = chance.randint(1, 4 * MIB // SECTOR) * SECTOR
    chain: list[Vhd] = []
    for number in range(chance.randint(1, 3)):
        kind, length = 4 if number else chance.choice([2, 3]), chance.choice([512 << 10, 2 * MIB])
        has = blocks(chance, size, length, SECTOR, [PARTIAL], grain=8)
        for one in has.values() if kind == 3 else ():
            one.data = without_what_was_never_written(one)
        data = chance.randbytes(size) if kind == 2 else b""
        says = (uuid.UUID(int=number + 1), uuid.UUID(int=number), f".\\{number - 1}.vhd")
        chain.append(Vhd(size, kind, length, has, *says, order=[*has], data=data))
    return chain


def without_what_was_never_written(block: Block) -> bytes:
    """Zeros there, because QEMU and dissect.hypervisor do not look into bitmaps, and libvhdi does."""
    count = len(block.data) // SECTOR
    return b"".join(block.data[at * SECTOR : (at + 1) * SECTOR] if at in block.sectors else bytes(SECTOR) for at in range(count))


@settings(max_examples=40)
@given(SEEDS)
def test_random_vhd_files_with_their_parents_are_as_others_read_them(seed: int) -> None:
    chain = vhd_chain(Random(seed))
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{number}.vhd" for number in range(len(chain))]
        for path, told in zip(paths, chain):
            path.write_bytes(told.made())
        images = [read(path, "vhd") for path in reversed(paths)]
        for image, parent in zip(images, images[1:]):
            refuse_other_parent(image, parent)
        ours = whole(composed(images), chain[0].size)
        assert first_difference(by_libvhdi(paths), ours) is None
        if len(chain) == 1:
            assert VHD(io.BytesIO(paths[0].read_bytes())).read() == ours
            said("qemu-img", "convert", "-f", "vpc", "-O", "raw", paths[0], f"{place}/raw")
            assert Path(f"{place}/raw").read_bytes() == ours
