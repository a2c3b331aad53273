# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the file systems on LUNs still while a snapshot is taken, and let them go again whatever happens.

A frozen file system is whole on its disk: what was written to it is there, and whoever writes waits. So it must never stay frozen. Before
anything is frozen, a note of it is left in /run and a process of its own is begun, which lets everything go after a while, whatever became
of whoever asked; and what is frozen is let go by the note, by any later run.

Source: ioctl_fsfreeze of Linux (FIFREEZE, FITHAW of linux/fs.h); EBUSY of a file system that is frozen already, EINVAL of one that is not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san import apart
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, NotFound, Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import disk, usage
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import mounts
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

NOTE = "/run/crossvisor.san.frozen"
_FIFREEZE, _FITHAW = 0xC0045877, 0xC0045878
_SHORTEST, _LONGEST = 0.05, 4096
_TAKEN = b"+"
_MARK, _MOUNTS, _TOO_LATE = "token", "mounts", "let go by itself"
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOTTY})
_ALWAYS_WRITTEN = ("/", "/root", "/run", "/tmp", "/var", "/var/log", "/var/log/audit", "/var/log/journal", "/var/tmp")
"""Where Linux, sshd or Ansible write: what is frozen there could not be let go of by them."""


@dataclass(frozen=True)
class FileSystem:
    """A file system on a LUN."""

    naa: str
    device: str
    mount: str

    def result(self) -> dict[str, str]:
        """The file system as a module returns it."""
        return {"naa": self.naa, "device": self.device, "mount": self.mount}


class Ice:
    """What the kernel is told of file systems."""

    def freeze(self, mount: str) -> None:
        """Hold a file system still. Raises OSError."""
        _order(mount, _FIFREEZE)

    def thaw(self, mount: str) -> None:
        """Let it go. Raises OSError, with EINVAL for one that is not frozen."""
        _order(mount, _FITHAW)

    def number(self, path: str) -> int | None:
        """The device that a directory lies on; None where there is none."""
        try:
            return Path(path).stat().st_dev
        except OSError:
            return None

    def apart(self, work: Callable[[], object]) -> int:
        """Do something in a process of its own, which nobody waits for and no terminal ends; returns its id."""
        return apart.begin(work)

    def in_time(self, work: Callable[[], object], undo: Callable[[], object], seconds: float) -> str:
        """Do something in a process of its own; what it failed with, empty when it did not.

        What is done when nobody waits for it any more is undone by that process, however late that is. Raises `TimeoutError`, and
        `ChildProcessError` when the process ended without a word.
        """
        ours, theirs = socket.socketpair()
        child = apart.split(theirs.fileno())
        if not child:
            try:
                _work_for(theirs, work, undo)
            finally:
                os._exit(0)
        theirs.close()
        with ours:
            ours.settimeout(max(seconds, _SHORTEST))
            try:
                told = ours.recv(_LONGEST)
            except socket.timeout:
                raise TimeoutError from None
            with contextlib.suppress(OSError):
                ours.sendall(_TAKEN)
        os.waitpid(child, 0)
        if not told:
            raise ChildProcessError
        return told.decode().strip()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def _work_for(waiting: socket.socket, work: Callable[[], object], undo: Callable[[], object]) -> None:
    """Do something, say so, and undo it unless whoever waits has taken note."""
    told = ""
    try:
        work()
    except OSError as error:
        told = f"{error.errno or 0} {error.strerror}"
    try:
        waiting.sendall(f"{told}\n".encode())
        taken = waiting.recv(1) == _TAKEN
    except OSError:
        taken = False
    if not told and not taken:
        undo()


def _order(mount: str, order: int) -> None:
    directory = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(directory, order, 0)
    finally:
        os.close(directory)


class Freezer:
    """The file systems on LUNs of this machine."""

    def __init__(self, tree: Tree, ice: Ice, note: Path = Path(NOTE), written: Collection[str] = ()) -> None:
        self._tree, self._ice, self._note = tree, ice, note
        self._written = (*_ALWAYS_WRITTEN, *written)
        self.mark = ""
        """Of what this run has frozen."""

    def file_systems(self, names: Sequence[ScsiName]) -> list[FileSystem]:
        """The file systems that are mounted from these LUNs, each once. Raises `NotFound` for a LUN that is not there."""
        found: dict[Any, FileSystem] = {}
        for name in dict.fromkeys(names):
            seen = disk.find(self._tree, name)
            if seen is None:
                raise NotFound(f"This machine does not see LUN {name}: give the machine that has it, or take the snapshot unfrozen.")
            for use in usage.uses(self._tree, seen):
                if use.kind == usage.MOUNT:
                    found.setdefault(self._ice.number(use.name) or use.name, FileSystem(name.naa, use.device, use.name))
        return list(found.values())

    def freeze(self, names: Sequence[ScsiName], thaw_after: float, timeout: float, mark: str = "") -> list[FileSystem]:
        """Freeze what is mounted from these LUNs, all of it or nothing; after `thaw_after` seconds it is let go, whatever happens.

        It is frozen under the mark, by which whoever chose it lets go also where he was not answered; without one, under a mark of its own.
        Raises a `CrossvisorError`: what lies where Linux itself writes, is frozen by somebody else, or cannot be frozen.
        """
        chosen = self.file_systems(names)
        for one in chosen:
            self._refuse_covered(one)
            self._refuse_needed(one)
        if self._noted():
            raise Refused(f"File systems of this machine are frozen by an earlier run ({self._note}): thaw them first.")
        if not chosen:
            return []
        mark = mark or secrets.token_hex(8)
        self._write({_MARK: mark, _MOUNTS: [one.mount for one in chosen]})
        self._ice.apart(lambda: self._let_go_later(mark, thaw_after))
        frozen: list[FileSystem] = []
        try:
            for one in chosen:
                self._hold(one, timeout)
                frozen.append(one)
                self._refuse_if_let_go(mark, one, thaw_after)
        except BaseException:
            for one in reversed(frozen):
                self._thaw(one.mount)
            if self._read().get(_MARK, mark) == mark:
                self._note.unlink(missing_ok=True)
            raise
        self.mark = mark
        return chosen

    def thaw(self, mark: str = "") -> tuple[list[str], bool]:
        """Let go of all that a run has frozen, or only of what the run with this mark has; where it was mounted, and whether everything
        was still frozen until now."""
        told = self._read()
        if mark and told.get(_MARK, mark) != mark:
            return [], False
        noted, in_time = self._noted(), not told.get(_TOO_LATE)
        held = [self._thaw(mount) for mount in noted]
        self._note.unlink(missing_ok=True)
        return noted, in_time and all(held) and bool(noted or not mark)

    def _refuse_if_let_go(self, mark: str, one: FileSystem, thaw_after: float) -> None:
        """Raise `TimedOut` where the process that was begun has let go already, and so will not let go of this one."""
        told = self._read()
        if told.get(_MARK) != mark or told.get(_TOO_LATE):
            raise TimedOut(
                f"File systems of this guest were let go before the one at {one.mount} ({one.device}) was frozen, by another run or after "
                f"{thaw_after:g} s: run the task again alone, or give it more time (thaw_after)"
            )

    def _refuse_covered(self, one: FileSystem) -> None:
        """Raise `Refused` where what is found at the place is another file system, which would be frozen instead."""
        names = {one.device, self._tree.real(one.device)}
        there = [mount for mount in mounts.mounts(self._tree) if mount.place == one.mount]
        own = {mount.device for mount in there if names & {mount.source, mounts.named_device(self._tree, mount)}}
        if own and there[-1].device not in own:
            raise Refused(
                f"The file system at {one.mount} ({one.device}, LUN {one.naa}) is covered by another one ({there[-1].source}), so that it "
                "cannot be frozen: take the snapshot unfrozen, or unmount what covers it."
            )

    def _refuse_needed(self, one: FileSystem) -> None:
        number = self._ice.number(one.mount)
        for path in self._written:
            if number is not None and self._ice.number(path) == number:
                raise Refused(
                    f"The file system at {one.mount} ({one.device}, LUN {one.naa}) holds {path}, to which Linux or Ansible writes, so that "
                    "it cannot be frozen from within: take the snapshot unfrozen, or freeze it by the hypervisor's guest agent."
                )

    def _hold(self, one: FileSystem, timeout: float) -> None:
        title = f"The file system at {one.mount} ({one.device})"
        try:
            told = self._ice.in_time(lambda: self._ice.freeze(one.mount), lambda: self._ice.thaw(one.mount), timeout)
        except TimeoutError:
            # A freeze that hangs cannot be ended. It ends when what it waits for does, and the process that asked for it lets go then.
            raise TimedOut(f"{title} was not frozen within {timeout:g} s, because something still writes to it or its LUN hangs") from None
        except ChildProcessError:
            self._thaw(one.mount)
            raise CrossvisorError(f"{title} was not frozen, because the process for it was ended: run the task again") from None
        number, _space, text = told.partition(" ")
        if not number:
            return
        if int(number) == errno.EBUSY:
            raise Refused(
                f"{title} is frozen already, by somebody else: wait until that is over, or thaw it (fsfreeze --unfreeze {one.mount})"
            )
        if int(number) in _UNSUPPORTED:
            raise Refused(f"{title} is of a kind that cannot be frozen: take the snapshot unfrozen")
        if int(number) in (errno.EPERM, errno.EACCES):
            raise CrossvisorError(f"Only root may freeze {one.mount}: run the task with become: true")
        raise CrossvisorError(f"{title} could not be frozen: {text}")

    def _thaw(self, mount: str) -> bool:
        """Let go of one file system; whether it was frozen until now."""
        try:
            self._ice.thaw(mount)
        except OSError:
            return False
        return True

    def _let_go_later(self, mark: str, seconds: float) -> None:
        """What the process does that was begun: nothing, where somebody else has let go meanwhile. Who comes later is told by the note.

        The note says so before the first is let go, because whoever is still freezing lets go of what comes after.
        """
        self._ice.sleep(seconds)
        told = self._read()
        if told.get(_MARK) != mark:
            return
        self._write({**told, _TOO_LATE: True})
        for mount in self._noted():
            self._thaw(mount)
        self._write({_TOO_LATE: True})

    def _noted(self) -> list[str]:
        mounts = self._read().get(_MOUNTS, [])
        return [str(mount) for mount in mounts]

    def _read(self) -> dict[str, Any]:
        try:
            told = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def _write(self, told: Mapping[str, Any]) -> None:
        try:
            note = os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise CrossvisorError(f"{self._note} cannot be written, which must be before anything is frozen: {error.strerror}") from None
        with os.fdopen(note, "w", encoding="utf-8") as opened:
            opened.write(json.dumps(told))
