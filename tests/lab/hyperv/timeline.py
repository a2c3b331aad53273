# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Things that happen a little later: jobs that end, resources that leave a pending state."""

from __future__ import annotations

import time
from collections.abc import Callable


class Timeline:
    """Work by the time at which it is due; nothing runs by itself, ``settle`` does what is due."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        """How long anything takes."""
        self._usual_seconds = seconds
        self._clock = clock
        self._due: list[tuple[float, Callable[[], None]]] = []

    def later(self, work: Callable[[], None]) -> None:
        """Do the work after ``seconds``."""
        self._due.append((self._clock() + self.seconds, work))

    def settle(self, *, everything: bool = False) -> None:
        """Do what is due by now, or all there is; work may lead to more work."""
        now = self._clock()
        while ready := [entry for entry in self._due if everything or entry[0] <= now]:
            self._due = [entry for entry in self._due if entry not in ready]
            for _first, work in ready:
                work()

    def reset(self) -> None:
        """Forget everything, and take as long as at the beginning."""
        self._due.clear()
        self.seconds = self._usual_seconds
