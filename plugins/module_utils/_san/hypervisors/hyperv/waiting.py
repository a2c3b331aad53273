# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for what a Hyper-V host shows late."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class Waiting:
    """How long, in seconds, and how it is waited for what a host does not show at once."""

    timeout: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(self, shown: Callable[[], bool]) -> bool:
        """Look again and again until it is shown; False when the time is over before."""
        deadline, pause = self.clock() + self.timeout, _FIRST_PAUSE
        while not shown():
            if self.clock() >= deadline:
                return False
            self.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return True
