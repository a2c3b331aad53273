# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process of its own, for what has to be done whatever becomes of whoever began it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Set
from pathlib import Path

_ROOT_GROUPS = (Path("/sys/fs/cgroup/cgroup.procs"), Path("/sys/fs/cgroup/systemd/cgroup.procs"))
"""Of systemd's control groups: who is in the outermost one does not end with the session of whoever logs out (KillUserProcesses).

Only root may go there: what anybody else begins ends with his session where logind is told so, and with the unit that it was begun in.
"""


def begin(work: Callable[[], object], kept: int = 2) -> int:
    """Do something in a process of its own, which nobody waits for and no terminal ends, nor, for root, a session; returns its id.

    It inherits nothing that is open but the file `kept`: what it needs of the network, it opens itself.
    """
    child = split(kept)
    if child:
        return child
    try:
        work()
    finally:
        os._exit(0)


def split(kept: int) -> int:
    """Go on as two processes: returns the other one's id here, and there, where everything has been let go of, 0.

    No signal ends the other one before it has let go, as one for everything that a terminal began would.
    """
    with signals_held():
        child = os.fork()
        if not child:
            _detach_or_end(kept)
    return child


@contextlib.contextmanager
def signals_held() -> Iterator[Set[int]]:
    """Hold signals back until the block ends, where their handlers are called; yields those that were held back already.

    For a fork: what a handler raises while it is made is lost, when Python is in a hook of os.register_at_fork just then (it prints
    "Exception ignored in"), or the number of the child is lost with it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _detach_or_end(kept: int) -> None:
    try:
        detach(kept)
    except BaseException:  # noqa: BLE001 - the stack below is of the process that was left
        os._exit(0)


def detach(kept: int = 2) -> None:
    """Let go of whoever began this process: of the terminal, the session, for root of its control group, of open files all but `kept`."""
    os.setsid()
    for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(name, signal.SIG_IGN)
    for processes in _ROOT_GROUPS:
        with contextlib.suppress(OSError):
            processes.write_text("0")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.closerange(3, kept)
    os.closerange(kept + 1, 4096)
