# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server processes that outlive the one that started them: start, wait for READY, recognise and stop them by pid.

A pid alone may since have been given to another process; pid and start time (field 22 of proc(5)'s stat) together may not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_SECONDS = 300.0
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.02
LOG_TAIL_LINES = 15

Ready = dict[str, Any]

_children: dict[int, subprocess.Popen[bytes]] = {}


class ServerFailed(RuntimeError):
    """A lab server could not be started; the first line of the text says why, what follows is the end of a log."""


@dataclass(frozen=True)
class Process:
    """One process of this boot, for as long as it runs."""

    pid: int
    started: int
    """Clock ticks between boot and start."""

    def runs(self) -> bool:
        """Return whether this very process still runs."""
        return _started(self.pid) == self.started

    def stop(self) -> None:
        """End the process by SIGTERM, after ``GRACE_SECONDS`` by SIGKILL; does nothing when it has ended."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.runs():
                break
            os.kill(self.pid, number)
            _wait(lambda: not self.runs(), GRACE_SECONDS)
        if child := _children.pop(self.pid, None):
            child.wait()


def start(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path, ready_seconds: float = READY_SECONDS
) -> tuple[Process, Ready]:
    """Start ``command`` in ``directory``, output to ``log``; return it and its READY line, which tells its ports.

    Raises ServerFailed, with the end of the log, when it cannot be run, ends, or has not become ready after ``ready_seconds``.
    """
    process = spawn(command, environment, directory, log)
    child = _children[process.pid]
    _wait(lambda: _ready_line(log) is not None or child.poll() is not None, ready_seconds)
    ports = _ready_line(log)
    if ports is None:
        state = f"it did not become ready in {ready_seconds:g} s" if child.poll() is None else f"it ended with {child.returncode}"
        process.stop()
        tail = _tail(log)
        raise ServerFailed(f"{state}: {last_line(tail)} (see {log})\n{tail}")
    return process, ports


def spawn(command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path) -> Process:
    """Start ``command`` in ``directory``, output to ``log``, and wait for nothing; raises ServerFailed when it cannot be run."""
    child = _run(command, environment, directory, log)
    _children[child.pid] = child
    return Process(child.pid, _started(child.pid) or 0)


def last_line(text: str) -> str:
    """Return the last line of a program's output that is not empty: where it failed, why."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def _run(command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path) -> subprocess.Popen[bytes]:
    in_order = {**environment, "PYTHONUNBUFFERED": "1"}  # the log's last line is the reason why a server failed
    try:
        with log.open("wb") as output:
            return subprocess.Popen(
                command, cwd=directory, env=in_order, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
    except OSError as error:
        raise ServerFailed(f"{command[0]} could not be run: {error.strerror}") from error


def _started(pid: int) -> int | None:
    """Return the start time of the process, None when there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in ("Z", "X") else int(fields[18])


def _ready_line(log: Path) -> Ready | None:
    lines = log.read_text(errors="replace").splitlines(keepends=True)
    ready = next((line for line in lines if line.startswith("READY ") and line.endswith("\n")), None)
    return json.loads(ready.removeprefix("READY ")) if ready else None


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
