# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guest's file of markers, as far as that needs no disk: what is refused, where pieces are, and who holds it.

On real file systems it is proven in tests/conformance/kvm/test_marked_file.py.
"""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import apart
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import marked_file
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.marked_file import Holder, Wish
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

pytestmark = pytest.mark.slow

MARKERS = Markers(b"a secret of ours", 4096)
NAA = "600a098038304c61622d616161616131"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ordinary file, where there may be no file system that has files without a name or is written to past the cache."""
    there = tmp_path / "file"
    monkeypatch.setattr(marked_file, "_opened", lambda directory: os.open(there, os.O_RDWR | os.O_CREAT, 0o600))
    monkeypatch.setattr(apart, "begin", lambda work, kept: os.getpid())
    return there


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the kernel says of the file: its first 6 KiB are at one place of a LUN, the next 2 KiB at another, the last 4 KiB nowhere."""
    facts: dict[str, Any] = {
        "files": {},
        "images": {},
        "devices": {
            "8:16": {
                **dict.fromkeys(("parent", "page", "map", "loop"), ""),
                "name": "sdb",
                "slaves": [],
                "wwid": f"naa.{NAA}",
                "block_size": 512,
            }
        },
    }
    extents = [[0, 1 << 20, 6144, 0], [6144, 5 << 20, 2048, 0], [8192, 0, 4096, 0x4]]

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        for path in question["files"]:
            facts["files"][path] = {
                "path": path, "stamp": [], "device": "8:16", "kind": "ext4", "extents": extents, "error": "", "size": 12288,
            }  # fmt: skip
        return facts

    monkeypatch.setattr(block_probe, "answer", answer)
    monkeypatch.setattr(marked_file, "_size", lambda number: {"8:16": 1 << 30}[number])
    return facts


def test_every_marker_is_written_once_at_its_place_and_told_in_the_pieces_that_the_disk_has(file: Path, told: dict[str, Any]) -> None:
    pieces, _holder = marked_file.write(Wish("/srv", 3, 4096, writers=2), MARKERS)
    assert file.read_bytes() == b"".join(MARKERS.make(number) for number in range(3))
    places = [(piece.number, piece.within, piece.length, piece.offset) for piece in pieces]
    assert places == [(0, 0, 4096, 1 << 20), (1, 0, 2048, (1 << 20) + 4096), (1, 2048, 2048, 5 << 20), (2, 0, 4096, None)]
    assert pieces[2 + 1].reason == "the file of the markers: it is not on disk yet (delayed allocation)"
    known, lost = marked_file.result(pieces)
    assert (known[0]["device"], known[0]["naa"], known[0]["disk_bytes"]) == ("/dev/sdb", ScsiName.parse(NAA).naa, 1 << 30)
    assert all(row["submitted"] <= row["completed"] for row in known)
    assert [row["number"] for row in lost] == [2]


def test_a_stride_leaves_room_between_them(file: Path, told: dict[str, Any]) -> None:
    marked_file.write(Wish("/srv", 2, 8192), MARKERS)
    assert file.read_bytes() == MARKERS.make(0) + bytes(4096) + MARKERS.make(1)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EOPNOTSUPP, "The file system of /srv has no files without a name, or none that are written past the cache"),
        (errno.EISDIR, "The file system of /srv has no files without a name"),
        (errno.EINVAL, "The file system of /srv has no files without a name"),
        (errno.ENOENT, "No markers can be written in /srv: No such file or directory"),
        (errno.EACCES, "No markers can be written in /srv: Permission denied"),
        (errno.EROFS, "No markers can be written in /srv: Read-only file system"),
    ],
)
def test_where_no_file_can_be_opened_that_is_told(monkeypatch: pytest.MonkeyPatch, number: int, message: str) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CrossvisorError, match=message):
        marked_file.write(Wish("/srv", 1, 4096), MARKERS)


@pytest.mark.parametrize("options", ["rw,data=journal", "rw,data=journal,quota"])
def test_where_data_goes_through_the_journal_nothing_is_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    device = tmp_path.stat().st_dev
    table = tmp_path / "mountinfo"
    table.write_text(f"30 1 {os.major(device)}:{os.minor(device)} / /srv rw,relatime shared:1 - ext4 /dev/sdb1 {options}\n")
    monkeypatch.setattr(marked_file, "_MOUNTS", table)
    for act in (marked_file.write, marked_file.check):
        with pytest.raises(Refused, match=r"The file system of /srv writes data to its journal first \(data=journal"):
            act(Wish("/srv", 1, 4096), MARKERS)
    assert file.read_bytes() == b""
    table.write_text(table.read_text().replace("data=journal", "data=ordered"))
    marked_file.check(Wish("/srv", 1, 4096), MARKERS)


def test_a_directory_whose_data_is_journalled_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flags(_handle: int, _request: int, told: bytearray, _change: bool) -> None:
        told[:] = (0x4000).to_bytes(len(told), sys.byteorder)

    monkeypatch.setattr(fcntl, "ioctl", flags)
    with pytest.raises(Refused, match=r"chattr \+j"):
        marked_file.write(Wish("/srv", 1, 4096), MARKERS)


def test_without_room_for_twice_as_much_nothing_is_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda handle: SimpleNamespace(f_bavail=7, f_frsize=4096))
    with pytest.raises(CrossvisorError, match="The file system of /srv has 28672 bytes free, and 4 markers take 16384, of which at least"):
        marked_file.write(Wish("/srv", 4, 4096), MARKERS)
    assert file.read_bytes() == b""
    marked_file.check(Wish("/srv", 3, 4096), MARKERS)


def test_writing_ends_when_less_is_free_than_has_to_stay(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with clusters of 64 KiB of ext4, which fstatvfs does not tell, or another run at the same time."""
    monkeypatch.setattr(
        os, "fstatvfs", lambda handle: SimpleNamespace(f_bavail=256 - 16 * (os.fstat(handle).st_size // 4096), f_frsize=4096)
    )
    with pytest.raises(Refused, match="The file system of /srv has less than 131072 bytes free by now"):
        marked_file.write(Wish("/srv", 32, 4096), MARKERS)
    assert file.stat().st_size == 15 * 4096


@pytest.mark.parametrize("what", ["fsync", "fork"])
def test_what_fails_after_the_writing_is_told_in_one_sentence(
    file: Path, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fail(*_arguments: object) -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    if what == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(apart, "begin", fail)
    with pytest.raises(CrossvisorError, match=r"No markers can be held in /srv: Resource temporarily unavailable\.$"):
        marked_file.write(Wish("/srv", 1, 4096), MARKERS)


def test_a_disk_that_fails_or_is_full_or_slow_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TimedOut, match="The markers were not written within 0 s"):
        marked_file.write(Wish("/srv", 1, 4096, seconds=0.0), MARKERS)

    def fail(*_arguments: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(CrossvisorError, match="A marker could not be written in /srv: Input/output error"):
        marked_file.write(Wish("/srv", 1, 4096), MARKERS)
    monkeypatch.setattr(os, "pwrite", lambda *_arguments: 100)
    with pytest.raises(CrossvisorError, match="took only a part of a marker"):
        marked_file.write(Wish("/srv", 1, 4096), MARKERS)


def _nameless(directory: Path) -> int:
    path = directory / "nameless"
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    path.unlink()
    return handle


def test_a_holder_is_ended_once(tmp_path: Path) -> None:
    pid = apart.begin(lambda: time.sleep(60), _nameless(tmp_path))
    holder = Holder(pid, marked_file.began(pid))
    assert marked_file.holds(holder)
    assert marked_file.end(holder)
    assert (marked_file.holds(holder), marked_file.end(holder)) == (False, False)


def test_a_holder_that_still_lets_go_of_what_its_parent_had_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = apart.begin(lambda: time.sleep(60), _nameless(tmp_path))
    closed = iter([FileNotFoundError])
    true = Path.stat

    def stat(path: Path, **how: Any) -> os.stat_result:
        for error in closed if path.parent == Path(f"/proc/{pid}/fd") else ():
            raise error
        return true(path, **how)

    monkeypatch.setattr(Path, "stat", stat)
    assert marked_file.end(Holder(pid, marked_file.began(pid)))


@pytest.mark.parametrize("holder", [Holder(os.getpid(), 1), Holder(0, 0), Holder(1 << 30, 5)])
def test_a_process_that_began_at_another_time_is_not_ended(holder: Holder) -> None:
    assert not marked_file.end(holder)


def test_a_process_that_holds_no_markers_is_not_ended_though_it_began_then() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            with pytest.raises(Refused, match=f"Process {other.pid} holds no markers and is left alone"):
                marked_file.end(Holder(other.pid, marked_file.began(other.pid)))
            assert other.poll() is None
        finally:
            other.kill()


@pytest.mark.parametrize("pid", [-1, -2, 0, 1, 1 << 30])
def test_a_number_that_is_no_process_is_never_signalled(monkeypatch: pytest.MonkeyPatch, pid: int) -> None:
    signalled: list[int] = []
    monkeypatch.setattr(os, "kill", lambda number, signal: signalled.append(number))
    assert not marked_file.end(Holder(pid, 0))
    assert not signalled
