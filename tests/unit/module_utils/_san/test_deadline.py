# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who waits says how long, and every call below gets the rest."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import deadline
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import TimedOut


def test_without_a_deadline_a_call_has_its_own_patience() -> None:
    assert (deadline.left(60, "a look"), deadline.is_over()) == (60, False)


def test_a_call_gets_the_rest_of_the_time_or_its_own_patience_if_that_is_less() -> None:
    now = [100.0]
    with deadline.within(30, lambda: now[0]):
        now[0] = 120.0
        assert deadline.left(60, "a look", lambda: now[0]) == 10
        assert deadline.left(5, "a look", lambda: now[0]) == 5


def test_when_the_time_is_over_no_call_is_made() -> None:
    now = [100.0]
    with deadline.within(30, lambda: now[0]):
        now[0] = 130.0
        assert deadline.is_over(lambda: now[0])
        with pytest.raises(TimedOut, match="There was no time left for a look: raise timeout"):
            deadline.left(60, "a look", lambda: now[0])


def test_who_has_less_time_gives_less() -> None:
    now = [100.0]
    with deadline.within(30, lambda: now[0]), deadline.within(300, lambda: now[0]):
        assert deadline.left(60, "a look", lambda: now[0]) == 30
    assert deadline.left(60, "a look", lambda: now[0]) == 60


def test_it_ends_with_whatever_is_raised() -> None:
    with pytest.raises(ValueError, match="x"), deadline.within(0):
        raise ValueError("x")
    assert not deadline.is_over()
