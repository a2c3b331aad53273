# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for what an array shows late, by a clock that tests can move."""

from __future__ import annotations

from collections.abc import Callable

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


def wait_for(observe: Callable[[], bool], timeout: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> bool:
    """Look until there is something to see or the time is over; tell which."""
    deadline = clock() + timeout
    pause = _FIRST_PAUSE
    while not observe():
        if clock() >= deadline:
            return False
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return True
