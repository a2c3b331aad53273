# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marker blocks in a file of its own, and where the guest has them on its disks.

The file has no name (`O_TMPFILE`), so that no other file is touched and there is nothing to clean up: its blocks are free as soon as no
process has it open, which is when the process that holds it ends, whatever ended it; after a crash of the machine, the file system frees
them when it is mounted. A block that belongs to a file is never written to.

Source: open(2) of Linux' manual, `O_TMPFILE` and `O_DIRECT`; proc_pid_stat(5), field 22, for when a process began; Linux'
include/uapi/linux/fs.h, `FS_IOC_GETFLAGS` and `FS_JOURNAL_DATA_FL`; Documentation/admin-guide/ext4.rst, `data=journal`, which knows no
O_DIRECT.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import signal
import stat
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san import apart
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.descent import Descent
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, SHARED, BlockExtent
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers

_NAMELESS = os.O_TMPFILE | os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC
_CANNOT = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})
"""What a file system answers that has no files without a name, or cannot be written to past the cache."""
_MOUNTS = Path("/proc/self/mountinfo")
_LONG = struct.calcsize("l")
_GET_FLAGS = 0x80006601 | _LONG << 16
_JOURNAL_DATA = 0x4000
_END_SECONDS = 10.0
_DETACH_SECONDS = 1.0
"""For which a holder that has just begun may still have open what its parent had."""
_LOOK_SECONDS = 0.05
_SECTOR = 512
_STANDARD = 2


@dataclass(frozen=True)
class Wish:
    """Which markers shall be written."""

    directory: str
    """On the file system that lies on the disk in question."""
    count: int
    stride: int
    """Bytes from the beginning of one marker to that of the next, a multiple of their length."""
    writers: int = 1
    seconds: float = 60.0
    """What all of it may take."""
    hold: float = 300.0
    """Seconds for which the blocks stay as they are, if nobody ends that before."""


@dataclass(frozen=True)
class Piece:
    """A marker, or a part of one, on a disk of the guest; or why nobody can tell where it is."""

    number: int
    within: int
    length: int
    reason: str = ""
    device: str = ""
    naa: str = ""
    """The disk's own name, if it tells one."""
    disk_bytes: int = 0
    offset: int | None = None
    submitted: float = 0.0
    completed: float = 0.0


@dataclass(frozen=True)
class Holder:
    """The process that has the file open. A number that was given to another process meanwhile is told by when that began."""

    pid: int
    began: int


@dataclass
class _Run:
    """One file that is being written."""

    wish: Wish
    markers: Markers
    handle: int
    end: float
    spare: int
    """Bytes that have to stay free, also where others write or a block takes more space than its own."""
    times: dict[int, tuple[float, float]] = field(default_factory=dict)


def write(wish: Wish, markers: Markers) -> tuple[list[Piece], Holder]:
    """Write the markers, and hold their file open. Raises a `CrossvisorError`, after which nothing is left."""
    handle = _opened(wish.directory)
    try:
        _refuse_journalled(handle, wish.directory)
        spare = _refuse_without_room(handle, wish, markers.length)
        run = _Run(wish, markers, handle, time.monotonic() + wish.seconds, spare)
        _fill(run)
        pieces = list(_pieces(run))
        pid = apart.begin(lambda: time.sleep(wish.hold), handle)
    except (OSError, RuntimeError) as error:
        raise CrossvisorError(f"No markers can be held in {wish.directory}: {getattr(error, 'strerror', None) or error}.") from None
    finally:
        os.close(handle)
    return pieces, Holder(pid, began(pid))


def check(wish: Wish, markers: Markers) -> None:
    """Raise what writing the markers would raise, as far as that can be told without it."""
    handle = _opened(wish.directory)
    try:
        _refuse_journalled(handle, wish.directory)
        _refuse_without_room(handle, wish, markers.length)
    finally:
        os.close(handle)


def holds(holder: Holder) -> bool:
    """Whether a file is still held. No process is numbered 0 or less: to the kernel, such numbers mean many processes."""
    return holder.pid > 1 and holder.began > 0 and began(holder.pid) == holder.began


def end(holder: Holder) -> bool:
    """Let go of a file, whose blocks are free then; whether it was still held. Raises `TimedOut`, or `Refused` for another's process."""
    if not holds(holder):
        return False
    try:
        _refuse_foreign(holder.pid)
        os.kill(holder.pid, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return False
    except PermissionError:
        raise Refused(f"Process {holder.pid}, which holds the markers, is another account's: run this task as that account.") from None
    until = time.monotonic() + _END_SECONDS
    while holds(holder):
        if time.monotonic() > until:
            raise TimedOut(
                f"Process {holder.pid}, which holds the markers, did not end within {_END_SECONDS:g} s: it ends by itself later."
            )
        time.sleep(_LOOK_SECONDS)
    return True


def _refuse_foreign(pid: int) -> None:
    until = time.monotonic() + _DETACH_SECONDS
    while not _has_nothing_but_markers(pid):
        if time.monotonic() > until:
            raise Refused(f"Process {pid} holds no markers and is left alone: give the holder that guest_block_markers returned.")
        time.sleep(_LOOK_SECONDS)


def _has_nothing_but_markers(pid: int) -> bool:
    """Whether all that a process has open, beside its three standard files, is one file that has no name."""
    opened = [one for one in Path(f"/proc/{pid}/fd").iterdir() if int(one.name) > _STANDARD]
    try:
        kept = [one.stat() for one in opened]
    except FileNotFoundError:
        return False
    return len(kept) == 1 and stat.S_ISREG(kept[0].st_mode) and kept[0].st_nlink == 0


def began(pid: int) -> int:
    """When a process that runs began, in the kernel's own units since it booted; 0 for one that has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return 0
    return 0 if state in ("Z", "X") else int(fields[18])


def _opened(directory: str) -> int:
    try:
        return os.open(directory, _NAMELESS, 0o600)
    except OSError as error:
        if error.errno in _CANNOT:
            raise Refused(
                f"The file system of {directory} has no files without a name, or none that are written past the cache, so that no markers "
                "can be written which nobody has to clean up: name a directory on ext4 or XFS."
            ) from None
        raise CrossvisorError(f"No markers can be written in {directory}: {error.strerror}.") from None


def _refuse_journalled(handle: int, directory: str) -> None:
    """Where data goes through the journal, the LUN has a marker there first, and only there until it is written to its place."""
    flags = bytearray(_LONG)
    with contextlib.suppress(OSError):
        fcntl.ioctl(handle, _GET_FLAGS, flags, True)
    seen = os.fstat(handle).st_dev
    device = f"{os.major(seen)}:{os.minor(seen)}"
    lines = [line.split() for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]
    of_all = any(words[2:3] == [device] and "data=journal" in words[-1].split(",") for words in lines)
    if of_all or int.from_bytes(flags, sys.byteorder) & _JOURNAL_DATA:
        raise Refused(
            f"The file system of {directory} writes data to its journal first (data=journal, chattr +j), where the LUN would have the "
            "markers at the journal's address: name a directory on the same disk whose data is not journalled."
        )


def _refuse_without_room(handle: int, wish: Wish, length: int) -> int:
    """At least as much stays free as the file may take: how many bytes."""
    free, wanted = _free(handle), wish.count * max(length, os.fstatvfs(handle).f_frsize)
    if 2 * wanted > free:
        raise Refused(
            f"The file system of {wish.directory} has {free} bytes free, and {wish.count} markers take {wanted}, of which at least as much "
            "must stay free: write fewer (count), or free some space."
        )
    return wanted


def _free(handle: int) -> int:
    """Bytes that are left to anybody."""
    seen = os.fstatvfs(handle)
    return seen.f_bavail * seen.f_frsize


def _fill(run: _Run) -> None:
    """Write all markers, by as many writers at once as wished, and have the file system put on disk where they are."""
    writers = run.wish.writers
    with ThreadPoolExecutor(writers) as pool:
        for done in [pool.submit(_write, run, range(first, run.wish.count, writers)) for first in range(writers)]:
            done.result()
    os.fsync(run.handle)


def _write(run: _Run, numbers: Sequence[int]) -> None:
    with mmap.mmap(-1, run.markers.length) as block:
        for number in numbers:
            if time.monotonic() > run.end:
                raise TimedOut(
                    f"The markers were not written within {run.wish.seconds:g} s: write fewer, or wait until the disk is quicker."
                )
            if _free(run.handle) < run.spare:
                raise Refused(
                    f"The file system of {run.wish.directory} has less than {run.spare} bytes free by now, because others write to it or "
                    "it gives out space in larger pieces (bigalloc, extsize): write fewer markers (count), or with less stride."
                )
            block[:] = run.markers.make(number)
            submitted = time.time()
            try:
                written = os.pwrite(run.handle, block, number * run.wish.stride)
            except OSError as error:
                raise CrossvisorError(f"A marker could not be written in {run.wish.directory}: {error.strerror}.") from None
            run.times[number] = submitted, time.time()
            if written != run.markers.length:
                raise Refused(f"The file system of {run.wish.directory} took only a part of a marker: free some space.")


def _pieces(run: _Run) -> Iterator[Piece]:
    """Where the markers are on the guest's disks."""
    path = f"/proc/self/fd/{run.handle}"
    facts = block_probe.answer({"files": [path]})
    extents = Descent(facts).file(path)
    sizes: dict[str, int] = {}
    for number in range(run.wish.count):
        start = number * run.wish.stride
        for extent in extents:
            begin, over = max(extent.start, start), min(extent.end, start + run.markers.length)
            if begin < over:
                yield _piece(run, number, extent, begin, over, sizes)


def _piece(run: _Run, number: int, extent: BlockExtent, begin: int, over: int, sizes: dict[str, int]) -> Piece:
    within, length = begin - number * run.wish.stride, over - begin
    if extent.state not in (DATA, SHARED) or extent.offset is None:
        reason = extent.reason or f"the guest's file system says that it is {extent.state}"
        return Piece(number, within, length, reason.replace(f"/proc/self/fd/{run.handle}", "the file of the markers"))
    size = sizes.setdefault(extent.number, _size(extent.number))
    naa = extent.name.naa if extent.name else ""
    return Piece(number, within, length, "", extent.device, naa, size, extent.offset + begin - extent.start, *run.times[number])


def _size(number: str) -> int:
    try:
        return int(Path(f"/sys/dev/block/{number}/size").read_text(encoding="utf-8")) * _SECTOR
    except (OSError, ValueError):
        return 0


def result(pieces: Sequence[Piece]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """As the module returns them: those whose place is known, and the others."""
    known = [
        {
            "number": one.number,
            "within": one.within,
            "length": one.length,
            "virtual_offset": one.offset,
            "device": one.device,
            "naa": one.naa,
            "disk_bytes": one.disk_bytes,
            "submitted": one.submitted,
            "completed": one.completed,
        }
        for one in pieces
        if one.offset is not None
    ]
    lost = [
        {"number": one.number, "within": one.within, "length": one.length, "reason": one.reason} for one in pieces if one.offset is None
    ]
    return known, lost
