# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Markers on file systems that are real: found where they are said to be, and gone without a trace, whatever ends who wrote them.

This machine plays host and guest: the guest's file system is in a raw or qcow2 image that QEMU shows it, and the image is on a file system
of the "LUN", a loop device. The LUN is searched for the markers, and each is compared with the way down through both layers.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import apart
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.descent import Descent
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import marked_file
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.content import associated
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen, Written
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import SECTOR, Markers, joined
from tests.conformance.kvm.test_block_addresses import PARTITION, Lun, lun, said
from tests.processes import ended

DISK, LUN = 320 << 20, 512 << 20
SECONDS, STEP = 600.0, 16 << 20
COUNT = 1000


@contextmanager
def as_a_disk(device: str) -> Iterator[None]:
    """Let a loop device be a disk to whoever asks this machine about itself, as if nothing lay below it."""
    asked = block_probe.answer

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        told = asked(question)
        for found in told["devices"].values():
            if f"/dev/{found['name']}" == device:
                found.update(name="sda", loop=None)
        return told

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(block_probe, "answer", answer)
        yield


def until(true: Any, what: str) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@dataclass(frozen=True)
class Guest:
    """A file system in an image on a LUN, as its guest has it mounted."""

    host: Lun
    image: Path
    kind: str
    device: str
    mounted: Path

    def write(self, markers: Markers, **wish: int) -> tuple[list[marked_file.Piece], marked_file.Holder]:
        with as_a_disk(self.device):
            return marked_file.write(marked_file.Wish(str(self.mounted), stride=markers.length, **{"count": COUNT, **wish}), markers)

    def primitives(self) -> Mapping[int, int]:
        """Each sector of the disk that has an address, and which sector of the LUN it is, by the image and its file system."""
        asked = {"files": [str(self.image)]} if self.kind == "raw" else {"images": [[str(self.image), self.kind]]}
        parts = Descent(self.host.facts(asked)).image(str(self.image), self.kind, DISK)
        return {
            (part.start + step) // SECTOR: (part.offset + step) // SECTOR
            for part in parts
            if part.offset is not None
            for step in range(0, part.length, SECTOR)
        }

    def seen(self, markers: Markers) -> list[Seen]:
        """Every marker on the LUN."""
        pieces = (
            piece
            for at in range(0, LUN - PARTITION, STEP)
            for piece in markers.find(self.host.read(at, min(STEP, LUN - PARTITION - at)), at)
        )
        return [Seen(one.number, "lun", one.offset // SECTOR, one.length, within=one.within) for one in joined(pieces)]


@contextmanager
def exported(image: Path, kind: str, to: Path) -> Iterator[None]:
    """An image as a file, by QEMU."""
    to.touch()
    node = {"driver": kind, "node-name": "disk", "file": {"driver": "file", "filename": str(image), "cache": {"direct": True}}}
    command = ["qemu-storage-daemon", "--blockdev", json.dumps(node)]
    with (
        subprocess.Popen([*command, "--export", f"type=fuse,id=disk,node-name=disk,mountpoint={to},writable=on"]) as daemon,
        ended(daemon, SECONDS),
    ):
        until(lambda: to.stat().st_size or daemon.poll() is not None, "QEMU has not shown the disk")
        yield


@contextmanager
def guest(place: Path, host: Lun, kind: str, file_system: str) -> Iterator[Guest]:
    image, mounted = host.mounted / f"disk.{kind}", place / "guest"
    mounted.mkdir()
    said("qemu-img", "create", "-q", "-f", kind, image, str(DISK))
    with ExitStack() as undo:
        undo.enter_context(exported(image, kind, place / "disk"))
        device = said("losetup", "--find", "--show", place / "disk").strip()
        undo.callback(said, "losetup", "--detach", device)
        said(f"mkfs.{file_system}", "-q", device)
        said("mount", device, mounted)
        undo.callback(said, "umount", mounted)
        yield Guest(host, image, kind, device, mounted)


@pytest.mark.parametrize("writers", [1, 4, 16])
@pytest.mark.parametrize(("kind", "below", "above"), [("qcow2", "xfs", "ext4"), ("qcow2", "ext4", "xfs"), ("raw", "ext4", "ext4")])
def test_every_marker_is_on_the_lun_where_both_layers_say_and_nowhere_else(
    tmp_path: Path, kind: str, below: str, above: str, writers: int
) -> None:
    markers = Markers.new()
    with lun(tmp_path, below, LUN) as host, guest(tmp_path, host, kind, above) as there:
        pieces, holder = there.write(markers, writers=writers)
        assert sum(piece.length for piece in pieces if piece.offset is not None) == COUNT * markers.length
        written = [Written(piece.number, piece.offset or 0, piece.length, within=piece.within) for piece in pieces]
        pairs = associated(written, there.seen(markers))
        places = there.primitives()
        for pair in pairs:
            (seen,) = pair.seen
            assert seen.lba == places[pair.written.virtual_offset // SECTOR]
        assert sum(pair.written.length for pair in pairs) == COUNT * markers.length
        assert marked_file.end(holder)


@pytest.fixture(params=["ext4", "xfs"])
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lun]:
    """A file system with files in it, on a disk of the guest."""
    with lun(tmp_path, request.param, LUN) as found, as_a_disk(found.device):
        for number in range(20):
            (found.mounted / f"file{number}").write_bytes(os.urandom(50_000 + number))
        os.sync()
        yield found


def digests(place: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in place.iterdir() if file.is_file()}


def free(place: Path) -> int:
    os.sync()
    return os.statvfs(place).f_bfree


def wish(there: Lun, **settings: Any) -> marked_file.Wish:
    return marked_file.Wish(str(there.mounted), **{"count": 3, "stride": 4096, **settings})


def test_no_file_is_touched_and_no_space_is_missing_when_they_are_let_go(plain: Lun) -> None:
    markers = Markers.new()
    _pieces, holder = marked_file.write(wish(plain, count=1), markers)
    marked_file.end(holder)
    before, room = digests(plain.mounted), free(plain.mounted)
    _pieces, holder = marked_file.write(wish(plain, count=2000, writers=8), markers)
    assert (digests(plain.mounted), marked_file.holds(holder)) == (before, True)
    assert free(plain.mounted) < room
    assert marked_file.end(holder)
    assert not marked_file.holds(holder)
    until(lambda: free(plain.mounted) == room, "the space is not free again")
    assert digests(plain.mounted) == before
    assert not marked_file.end(holder)


def test_markers_that_nobody_lets_go_of_go_by_themselves(plain: Lun) -> None:
    _pieces, holder = marked_file.write(wish(plain, hold=0.5), Markers.new())
    until(lambda: not marked_file.holds(holder), "the markers are still held")


def test_where_there_is_no_room_nothing_is_written(plain: Lun) -> None:
    seen = os.statvfs(plain.mounted)
    fits = seen.f_bavail * seen.f_frsize // 2 // 4096
    room = free(plain.mounted)
    with pytest.raises(Refused, match=r"bytes free, and .* markers take .* write fewer .count., or free some space"):
        marked_file.write(wish(plain, count=fits + 1), Markers.new())
    assert free(plain.mounted) == room
    marked_file.check(wish(plain, count=fits), Markers.new())


def killed_at(step: int, there: Lun) -> bool:
    """Write markers in a process that gets SIGKILL before its n-th line; whether it came so far."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    lines = 0

    def watch(frame: FrameType, event: str, _value: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename not in (marked_file.__file__, apart.__file__):
            return None
        lines += event == "line"
        if lines == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return watch

    sys.settrace(watch)
    threading.settrace(watch)
    try:
        marked_file.write(wish(there, hold=1.0), Markers.new())
    finally:
        os._exit(0)


def test_whatever_line_a_kill_meets_nothing_is_left(plain: Lun) -> None:
    assert not killed_at(1 << 30, plain)
    before = digests(plain.mounted)
    until(lambda: not held(plain.mounted), "the first file is still held")
    room, step = free(plain.mounted), 1
    while killed_at(step, plain):
        assert digests(plain.mounted) == before
        step += 1
    assert step > 50
    until(lambda: not held(plain.mounted), "somebody still holds a file")
    until(lambda: free(plain.mounted) == room, "the space is not free again")


def held(place: Path) -> bool:
    """Whether any process has a file without a name open there."""
    return any(str(place) in name for name in opened() if "(deleted)" in name)


def opened() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            yield str(process.readlink())
        except OSError:
            continue
