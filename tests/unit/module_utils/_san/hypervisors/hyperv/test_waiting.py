# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for what comes late, with ever longer pauses, and not for ever."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.waiting import Waiting


def waited(looks: int) -> tuple[bool, list[float]]:
    """Whether what the n-th look shows was waited for, and the pauses, by a clock that only pauses move."""
    pauses: list[float] = []
    left = iter([False] * (looks - 1) + [True])
    return Waiting(10.0, lambda: sum(pauses), pauses.append).until(lambda: next(left)), pauses


def test_what_is_there_is_not_waited_for() -> None:
    assert waited(1) == (True, [])


def test_what_comes_is_found_by_the_next_look() -> None:
    assert waited(4) == (True, [0.5, 1.0, 2.0])


def test_when_the_time_is_over_it_was_not_shown() -> None:
    assert waited(99) == (False, [0.5, 1.0, 2.0, 4.0, 5.0])
