# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHD and VHDX by the word of others: each sector that they read is where our tables say that it is in the files.

QEMU makes and writes images itself, and reads those that tests make of all that the specifications allow; Fox-IT's dissect.hypervisor and
Joachim Metz' libvhdi read these too, with their parents. None of the three is ours, and none knows of the others.
"""

from __future__ import annotations

import io
import random
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

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
    places = random.Random(17).sample(range(size // BLOCK), MANY if size < 1 << 30 else 100)
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


STATES = [NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED, PRESENT]


@st.composite
def block(draw: st.DrawFn, size: int, sector: int, states: Sequence[int]) -> Block:
    """A block of which each sector is unlike any other; in part, where a state says so."""
    state = draw(st.sampled_from(states))
    seed = draw(st.integers(0, 1 << 32))
    data = random.Random(seed).randbytes(size) if state in (PRESENT, PARTIAL) else b""
    edges = sorted(draw(st.sets(st.integers(0, size // sector), max_size=12))) if state == PARTIAL else []
    sectors = frozenset(number for one, two in zip(edges[::2], edges[1::2]) for number in range(one, two))
    return Block(state, data, sectors)


@st.composite
def vhdx_file(draw: st.DrawFn, size: int, sector: int, parent: Mapping[str, str] | None, identity: int) -> Vhdx:
    length = draw(st.sampled_from([MIB, 2 * MIB]))
    count = -(-size // length)
    states = [*STATES, PARTIAL, PARTIAL] if parent else STATES
    numbers = draw(st.lists(st.integers(0, count - 1), max_size=4, unique=True))
    blocks = {number: draw(block(length, sector, states)) for number in numbers}
    return Vhdx(size, length, sector, blocks, parent, uuid.UUID(int=identity), order=draw(st.permutations(sorted(blocks))))


@st.composite
def vhdx_chain(draw: st.DrawFn) -> list[Vhdx]:
    """Images from the first to the last one that was made, each based on the one before it."""
    sector = draw(st.sampled_from([512, 4096]))
    size = draw(st.integers(1, 6 * MIB // 4096)) * 4096
    chain = [draw(vhdx_file(size, sector, None, 1))]
    for number in range(draw(st.integers(0, 2))):
        says = {"parent_linkage": f"{{{uuid.UUID(int=number + 1)}}}", "relative_path": f".\\{number}.vhdx"}
        chain.append(draw(vhdx_file(size, sector, says, number + 2)))
    return chain


def by_libvhdi(paths: Sequence[Path]) -> bytes:
    """A disk by libvhdi, which has to be told the parent of each image."""
    files: list[pyvhdi.file] = []
    for path in paths:
        opened = pyvhdi.file()
        opened.open(str(path))
        if files:
            opened.set_parent(files[-1])
        files.append(opened)
    data: bytes = files[-1].read_buffer_at_offset(files[-1].get_media_size(), 0)
    for opened in reversed(files):
        opened.close()
    return data


def by_dissect(path: Path) -> bytes:
    """A disk by dissect.hypervisor, sector by sector; it opens the parents itself."""
    judge = VHDX(path)
    data = b"".join(judge.read_sectors(number, 1) for number in range(judge.size // judge.sector_size))
    while judge:
        judge.fh.close()
        judge = judge.parent
    return data


@settings(max_examples=40)
@given(vhdx_chain())
def test_random_vhdx_files_with_their_parents_are_as_others_read_them(chain: list[Vhdx]) -> None:
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{number}.vhdx" for number in range(len(chain))]
        for path, told in zip(paths, chain):
            path.write_bytes(told.made())
        images = [read(path, "vhdx") for path in reversed(paths)]
        for image, parent in zip(images, images[1:]):
            refuse_other_parent(image, parent)
        ours = whole(composed(images), chain[0].size)
        assert by_dissect(paths[-1]) == ours
        assert by_libvhdi(paths) == ours
        if len(chain) == 1 and chain[0].sector == 512:
            said("qemu-img", "convert", "-f", "vhdx", "-O", "raw", paths[0], f"{place}/raw")
            assert Path(f"{place}/raw").read_bytes() == ours


@st.composite
def vhd_chain(draw: st.DrawFn) -> list[Vhd]:
    size = draw(st.integers(1, 4 * MIB // SECTOR)) * SECTOR
    length = draw(st.sampled_from([512 << 10, 2 * MIB]))
    kinds = [draw(st.sampled_from([2, 3])), *[4] * draw(st.integers(0, 2))]
    chain = []
    for number, kind in enumerate(kinds):
        blocks = {
            one: draw(block(length, SECTOR, [PARTIAL]))
            for one in draw(st.lists(st.integers(0, -(-size // length) - 1), max_size=4, unique=True))
        }
        if kind == 3:
            for one in blocks.values():
                one.data = b"".join(
                    one.data[at * SECTOR : (at + 1) * SECTOR] if at in one.sectors else bytes(SECTOR) for at in range(length // SECTOR)
                )
        data = random.Random(draw(st.integers(0, 1 << 32))).randbytes(size) if kind == 2 else b""
        identity, parent = uuid.UUID(int=number + 1), uuid.UUID(int=number)
        order = draw(st.permutations(sorted(blocks)))
        chain.append(Vhd(size, kind, length, blocks, identity, parent, f".\\{number - 1}.vhd", order=order, data=data))
    return chain


@settings(max_examples=40)
@given(vhd_chain())
def test_random_vhd_files_with_their_parents_are_as_others_read_them(chain: list[Vhd]) -> None:
    with tempfile.TemporaryDirectory() as place:
        paths = [Path(place) / f"{number}.vhd" for number in range(len(chain))]
        for path, told in zip(paths, chain):
            path.write_bytes(told.made())
        images = [read(path, "vhd") for path in reversed(paths)]
        for image, parent in zip(images, images[1:]):
            refuse_other_parent(image, parent)
        ours = whole(composed(images), chain[0].size)
        assert by_libvhdi(paths) == ours
        if len(chain) == 1:
            assert VHD(io.BytesIO(paths[0].read_bytes())).read() == ours
            said("qemu-img", "convert", "-f", "vpc", "-O", "raw", paths[0], f"{place}/raw")
            assert Path(f"{place}/raw").read_bytes() == ours
