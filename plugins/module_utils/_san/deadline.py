# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long what a task is at may still take: who waits says so once, and every remote call gets the rest of the time."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import TimedOut

_until: list[float] = [math.inf]


@contextlib.contextmanager
def within(seconds: float, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Let all that is done meanwhile end within so many seconds, or within the time of who said so before, if that is less."""
    _until.append(min(_until[-1], clock() + seconds))
    try:
        yield
    finally:
        _until.pop()


def left(patience: float, what: str, clock: Callable[[], float] = time.monotonic) -> float:
    """Seconds that a call may take: its own patience, or the rest of the time if that is less. Raises `TimedOut` when it is over."""
    rest = _until[-1] - clock()
    if rest <= 0:
        raise TimedOut(f"There was no time left for {what}: raise timeout, or see why what came before took so long")
    return min(patience, rest)


def is_over(clock: Callable[[], float] = time.monotonic) -> bool:
    """Whether the time is over."""
    return clock() >= _until[-1]
