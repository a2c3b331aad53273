# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a snapshot's comment tells of who took it, and which consistency groups may go."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import (
    ConsistencyGroup,
    Place,
    Taken,
    apart,
    text_of,
)

MARK = "crossvisor.san:0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "mark", "comment"),
    [
        (MARK, MARK, ""),
        (f"{MARK} before the update", MARK, "before the update"),
        ("before the update", "", "before the update"),
        (f"copy of {MARK}", "", f"copy of {MARK}"),
        ("", "", ""),
    ],
)
def test_a_comment_is_a_mark_and_a_text_for_people(text: str, mark: str, comment: str) -> None:
    assert apart(text) == (mark, comment)
    assert not mark or text_of(mark, comment) == text


def test_a_mark_may_stand_alone() -> None:
    assert text_of(MARK, None) == MARK


def test_a_volume_is_called_as_ontap_calls_it() -> None:
    assert str(Place("svm1", "v1", "4711")) == "svm1:v1"


@pytest.mark.parametrize(
    ("name", "ours"),
    [("crossvisor_0123456789abcdef", True), ("crossvisor_0123456789abcdef_old", False), ("crossvisor_app", False), ("app", False)],
)
def test_only_a_group_that_was_made_for_one_snapshot_may_go(name: str, ours: bool) -> None:
    assert ConsistencyGroup("g1", name, frozenset({"v1"})).ours is ours


def test_what_a_group_took_of_some_volumes_only_is_no_snapshot_of_it() -> None:
    half, whole = Taken("1", "s1", MARK, whole=False), Taken("2", "s2", MARK, whole=True)
    group = ConsistencyGroup("g1", "app", frozenset({"v1", "v2"}), (half, whole))
    assert group.named("s1") is None
    assert group.named("s1", "s2") is whole
