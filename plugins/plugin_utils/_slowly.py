# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module is at, told only while it takes long, and not all the time."""

from __future__ import annotations

import time
from collections.abc import Callable

_FIRST = 5.0
"""Seconds after which somebody who looks at the screen wants to know."""
_EACH = 15.0


class Slowly:
    """Passes on the newest text when nothing was passed on for some seconds, and the same text only once."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._next = clock() + _FIRST
        self._said = ""

    def __call__(self, text: str) -> None:
        """Take the newest text, which may be the one of before, or none yet."""
        if text in ("", self._said) or self._clock() < self._next:
            return
        self._say(text)
        self._said, self._next = text, self._clock() + _EACH
