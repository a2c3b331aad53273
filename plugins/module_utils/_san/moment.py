# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked together, for one decision: a host that is asked several times meanwhile need not be read as often."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_moment: ContextVar[object | None] = ContextVar("moment", default=None)


@contextlib.contextmanager
def one() -> Iterator[None]:
    """Let all that is asked meanwhile be as of a first look at each host, taken then, unless something was changed there after it.

    Every last look is one of its own, so that it rests on nothing that was seen before. Nothing may be waited for meanwhile, and nothing
    done that must not rest on what was seen first.
    """
    before = _moment.set(_moment.get() or object())
    try:
        yield
    finally:
        _moment.reset(before)


def now() -> object | None:
    """The moment to which what is asked now belongs, by the thread that asks; None when each question is for itself."""
    return _moment.get()
