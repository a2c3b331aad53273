# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a run by a signal, as an exception, so that whoever is logged in somewhere logs out.

Python ends at SIGTERM and SIGHUP without unwinding: no `finally` is run, and a session at a vCenter stays until it expires, half an hour
later, one of those that it has for everybody.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_GRACE = 30.0
"""Seconds that logging out may take; whoever sends a signal after that wants no more courtesy."""


class Ended(BaseException):
    """The run was told to end. No `except Exception` may take it for a failure of its own work."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class _Watch:
    """What came of the signals while they are watched."""

    number: int = 0
    """The first that came."""
    came: float = 0.0
    raised: bool = False
    held: int = 0
    """How many blocks that must not be cut are being run."""

    def notice(self, number: int, _frame: object) -> None:
        if self.number:
            _insist(number, self.came)
            return
        self.number, self.came = number, time.monotonic()
        self.raise_if_due()

    def raise_if_due(self) -> None:
        if self.number and not self.held and not self.raised:
            self.raised = True
            raise Ended(self.number)


_watches: list[_Watch] = []
"""Of the main thread, the only one that hears of signals; the innermost is the last."""


@contextmanager
def as_exception() -> Iterator[None]:
    """Raise `Ended` in this block at the first signal that would end the process; those after it wait for the sessions to be closed.

    A signal that is ignored stays ignored, and outside of the main thread, where Python hears of none, nothing happens. At the end of the
    block, everything is handled as it was before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    replaced = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    _watches.append(watch)
    try:
        for number in replaced:
            signal.signal(number, watch.notice)
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
        _watches.pop()


@contextmanager
def uncut() -> Iterator[None]:
    """Hold an end back until this block is over: a login whose answer is not read leaves a session that nobody can close any more."""
    watch = _watches[-1] if _watches and threading.current_thread() is threading.main_thread() else _Watch()
    watch.held += 1
    try:
        yield
    finally:
        watch.held -= 1
        watch.raise_if_due()


def _insist(number: int, since: float) -> None:
    """End at once when the first signal was long ago."""
    if time.monotonic() - since > _GRACE:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
