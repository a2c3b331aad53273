# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quick steps say nothing, slow ones what they wait for, now and then."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.plugin_utils._slowly import Slowly


def heard(*what: tuple[float, str]) -> list[str]:
    """What is said when a module is at these things at these seconds."""
    now, said = [0.0], list[str]()
    slowly = Slowly(said.append, lambda: now[0])
    for now[0], text in what:
        slowly(text)
    return said


def test_a_quick_task_says_nothing() -> None:
    assert heard((0.0, "create"), (2.0, "map"), (4.9, "attach")) == []


def test_a_slow_one_says_what_it_is_at_then() -> None:
    assert heard((0.0, "create"), (4.0, "map"), (5.0, "attach")) == ["attach"]


def test_it_is_said_again_only_after_a_while_and_only_when_it_has_changed() -> None:
    waits = [(second, f"waiting ({second:.0f} of 60 s)") for second in (6.0, 10.0, 20.9, 21.0, 30.0)]
    assert heard(*waits) == ["waiting (6 of 60 s)", "waiting (21 of 60 s)"]
    assert heard((6.0, "attach"), (30.0, "attach"), (31.0, "verify")) == ["attach", "verify"]


def test_nothing_is_said_before_anything_was() -> None:
    assert heard((6.0, ""), (9.0, "")) == []
