# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of what tests start, and of all that it began: whoever leaves a `Popen` waits for it, however long it runs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def ended(process: subprocess.Popen[Any], grace: float = 0.0) -> Iterator[None]:
    """Let a process run no longer than the block: told to end, where it gets so many seconds for it, it is killed with all it began."""
    try:
        yield
    finally:
        if grace:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        if process.poll() is None:
            kill_family(process.pid)


def kill_family(pid: int) -> None:
    """Send SIGKILL to a process and all its descendants, also those that began a session of their own; none can fork away meanwhile."""
    for member in _stopped_family(pid):
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def kill_module(pid: int) -> bool:
    """Send SIGKILL to the module that a playbook runs on this machine; tell whether there was one."""
    for member in _family(pid):
        if (b"AnsiballZ_" in _command(member) or _is_fork_of_a_worker(member, pid)) and not _children(member):
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
                return True
    return False


def _is_fork_of_a_worker(pid: int, playbook: int) -> bool:
    """Whether this is a module that runs in a worker of the playbook: its grandchild, by the same command."""
    return _parent(_stat(_parent(_stat(pid)))) == playbook and _command(pid) == _command(playbook)


def _stopped_family(pid: int) -> list[int]:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    return [pid, *(member for child in _children(pid) for member in _stopped_family(child))]


def _family(pid: int) -> list[int]:
    return [pid, *(member for child in _children(pid) for member in _family(child))]


def _children(pid: int) -> list[int]:
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == pid]


def _stat(pid: int) -> Path:
    return Path(f"/proc/{pid}/stat")


def _parent(stat: Path) -> int:
    with suppress(OSError):
        return int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
