# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module in a fork of this process: what it prints, how it ends, and nothing else of it comes back."""

from __future__ import annotations

import atexit
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import NoReturn

from ansible.module_utils import basic

try:
    from ansible.module_utils import _internal
except ImportError:
    _internal = None

from ansible_collections.crossvisor.san.plugins.module_utils._san import apart, progress
from ansible_collections.crossvisor.san.plugins.plugin_utils._payload import PROFILE

_COURTESY = 30.0
"""Seconds that a module has to log out of where it is logged in, before it is killed."""
_CHUNK = 1 << 16
_LOOK_AGAIN = 1.0
"""Seconds between two looks at what the module is at, while it says nothing new."""

Hear = Callable[[str], None]
"""Takes what the module is at, again and again while that lasts; empty before it has said anything."""


@dataclass(frozen=True)
class Ended:
    """How a module has ended: its status as a shell tells it, and what it has printed."""

    status: int
    stdout: bytes
    stderr: bytes


def run_in_child(module: str, payload: bytes, environment: Mapping[str, str], directory: str, hear: Hear) -> Ended:
    """Run the module of this Python name with these arguments, and wait for its end.

    Whatever ends the waiting, a time limit of the task or a signal, ends the module too.
    """
    pipes = [os.pipe() for _output in ("stdout", "stderr", "progress")]
    child = 0
    try:
        with apart.signals_held() as mask:
            child = os.fork()
            if child == 0:
                for reader, _writer in pipes:
                    os.close(reader)  # or who writes to a parent that was killed would wait for ever
                _become(module, payload, environment, directory, [writer for _reader, writer in pipes], mask)
        for _reader, writer in pipes:
            os.close(writer)
        stdout, stderr = _read([reader for reader, _writer in pipes], hear)
        return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), stdout, stderr)
    except BaseException:
        if child:
            _end(child)
        raise
    finally:
        for reader, _writer in pipes:
            os.close(reader)


def _read(readers: Sequence[int], hear: Hear) -> tuple[bytes, bytes]:
    """What comes out of the first two until all are closed; the last line of the third is what the module is at."""
    texts = {reader: bytearray() for reader in readers}
    stdout, stderr, said = texts.values()
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        while selector.get_map():
            for key, _events in selector.select(_LOOK_AGAIN):
                chunk = os.read(key.fd, _CHUNK)
                texts[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
            hear(_last_line(said))
    return bytes(stdout), bytes(stderr)


def _last_line(said: bytearray) -> str:
    lines = said.decode(errors="replace").splitlines()
    return lines[-1] if lines else ""


def _end(child: int) -> None:
    with suppress(ProcessLookupError, ChildProcessError):  # it has ended, and was waited for
        os.kill(child, signal.SIGTERM)
        deadline = time.monotonic() + _COURTESY
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return
            time.sleep(0.05)


def _become(
    module: str, payload: bytes, environment: Mapping[str, str], directory: str, outputs: Sequence[int], mask: Iterable[int]
) -> NoReturn:
    """Be the module's own process: it never returns into the code of the parent, whose stack it has."""
    status = 1
    try:
        _leave_the_parent(outputs)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.environ.update(environment)
        os.chdir(directory)
        status = _run(module, payload)
    except BaseException:  # noqa: BLE001 - the parent's stack is not this process's to unwind
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _leave_the_parent(outputs: Sequence[int]) -> None:
    """Be as a program that was just started: what the parent catches is not caught, what it ignores is ignored."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    atexit._clear()
    stdout, stderr, said = outputs
    for target, source in enumerate((os.open(os.devnull, os.O_RDONLY), stdout, stderr)):
        os.dup2(source, target)
    sys.stdout, sys.stderr = (os.fdopen(target, "w", encoding="utf-8", closefd=False) for target in (1, 2))
    progress.listen(partial(_say, said))
    if _internal is not None:
        _internal.is_controller = False


def _say(said: int, text: str) -> None:
    """Tell the parent, if it is still there: a module whose playbook was killed ends its work as any module does."""
    with suppress(OSError):
        os.write(said, f"{text}\n".encode())


def _run(module: str, payload: bytes) -> int:
    basic._ANSIBLE_ARGS = payload
    basic._ANSIBLE_PROFILE = PROFILE
    try:
        import_module(module).main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    raise RuntimeError(f"{module} did not end by itself")
