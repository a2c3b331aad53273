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

import errno
import fcntl
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, NotFound, Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import disk, usage
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

NOTE = "/run/crossvisor.san.frozen"
_FIFREEZE, _FITHAW = 0xC0045877, 0xC0045878
_PAUSE = 0.05
_AGAIN = 5.0
"""Seconds until what still hangs is tried again."""
_TOO_LATE = "let go by itself"
_CHILD = "child"
"""In the note, as long as a file system is being frozen: the process that does it, 0 before it is known."""
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOTTY})
_ALWAYS_WRITTEN = ("/", "/root", "/run", "/tmp", "/var", "/var/log", "/var/tmp")
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
        child = os.fork()
        if child:
            return child
        try:
            os.setsid()
            for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(name, signal.SIG_IGN)
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(nothing, number)
            os.closerange(3, 4096)
            work()
        finally:
            os._exit(0)

    def in_time(self, work: Callable[[], object], seconds: float, begun: Callable[[int], object] = lambda _child: None) -> str:
        """Do something in a child that is left behind when it takes longer; what it failed with, empty when it did not.

        Its id is told by `begun`. Raises `TimeoutError`.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            told = ""
            try:
                work()
            except OSError as error:
                told = f"{error.errno or 0} {error.strerror}"
            finally:
                os.write(writing, told.encode())
                os._exit(0)
        os.close(writing)
        try:
            begun(child)
            deadline = time.monotonic() + seconds
            while os.waitpid(child, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(child, signal.SIGKILL)
                    raise TimeoutError
                time.sleep(_PAUSE)
            return os.read(reading, 4096).decode()
        finally:
            os.close(reading)

    def lives(self, process: int) -> bool:
        """Whether there is a process with this id."""
        return process > 0 and Path(f"/proc/{process}").exists()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


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

    def freeze(self, names: Sequence[ScsiName], thaw_after: float, timeout: float) -> list[FileSystem]:
        """Freeze what is mounted from these LUNs, all of it or nothing; after `thaw_after` seconds it is let go, whatever happens.

        Raises a `CrossvisorError`: what lies where Linux itself writes, is frozen by somebody else, or cannot be frozen.
        """
        chosen = self.file_systems(names)
        for one in chosen:
            self._refuse_needed(one)
        if self._noted():
            raise Refused(f"File systems of this machine are frozen by an earlier run ({self._note}): thaw them first.")
        if not chosen:
            return []
        token = secrets.token_hex(8)
        self._write({"token": token, "mounts": [one.mount for one in chosen]})
        self._ice.apart(lambda: self._let_go_later(token, thaw_after))
        frozen: list[FileSystem] = []
        try:
            for one in chosen:
                self._hold(one, timeout)
                frozen.append(one)
        except BaseException:
            for one in reversed(frozen):
                self._thaw(one.mount)
            self._leave_what_hangs(chosen[len(frozen)].mount)
            raise
        return chosen

    def _leave_what_hangs(self, mount: str) -> None:
        """Leave a file system that may yet be frozen to the process that was begun before; without one, nothing is left."""
        noted = self._read()
        if _CHILD in noted:
            self._write({**noted, "mounts": [mount]})
        else:
            self._note.unlink(missing_ok=True)

    def thaw(self) -> tuple[list[str], bool]:
        """Let go of all that a run has frozen; where it was mounted, and whether everything was still frozen until now."""
        noted, in_time = self._noted(), not self._read().get(_TOO_LATE)
        hangs = self._hangs()
        held = [self._thaw(mount) for mount in noted]
        if not hangs:
            self._note.unlink(missing_ok=True)
        return noted, in_time and all(held)

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
            told = self._frozen_in_time(one.mount, timeout)
        except TimeoutError:
            # What hangs is frozen when what it waits for ends, killed or not, and let go then by the process that was begun before.
            raise TimedOut(f"{title} was not frozen within {timeout:g} s, because something still writes to it or its LUN hangs") from None
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

    def _frozen_in_time(self, mount: str, timeout: float) -> str:
        """Freeze, with a note of the process that does it for as long as nobody knows what became of it."""
        noted = self._read()
        self._write({**noted, _CHILD: 0})
        told = self._ice.in_time(lambda: self._ice.freeze(mount), timeout, lambda child: self._write({**noted, _CHILD: child}))
        self._write(noted)
        return told

    def _hangs(self) -> bool:
        """Whether something is still being frozen."""
        return self._ice.lives(int(self._read().get(_CHILD, 0)))

    def _thaw(self, mount: str) -> bool:
        """Let go of one file system; whether it was frozen until now."""
        try:
            self._ice.thaw(mount)
        except OSError:
            return False
        return True

    def _let_go_later(self, token: str, seconds: float) -> None:
        """What the process does that was begun: nothing, where somebody else has let go meanwhile. Who comes later is told by the note.

        What still hangs is tried again until it does no more, because it would be frozen then for good.
        """
        self._ice.sleep(seconds)
        while self._read().get("token") == token:
            hangs = self._hangs()
            for mount in self._noted():
                self._thaw(mount)
            if not hangs:
                self._write({_TOO_LATE: True})
                return
            self._ice.sleep(_AGAIN)

    def _noted(self) -> list[str]:
        mounts = self._read().get("mounts", [])
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
