# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names with and without the escapes of vSphere's API, and which one a wrong one may stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import did_you_mean, unescaped


@pytest.mark.parametrize(
    ("written", "read"),
    [("a%2fb", "a/b"), ("a%2Fb", "a/b"), ("a%5cb", "a\\b"), ("50%25", "50%"), ("%252f", "%2f"), ("a%20b", "a%20b"), ("plain", "plain")],
)
def test_three_characters_are_escaped_in_either_case_and_no_other(written: str, read: str) -> None:
    assert unescaped(written) == read


@given(st.text())
def test_what_the_api_writes_is_read_as_it_was_named(name: str) -> None:
    assert unescaped(name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")) == name


def test_a_wrong_name_is_told_with_those_that_are_near_in_whatever_case() -> None:
    assert did_you_mean(["VOL_PRD"], ["vol_prod", "home", "vol_prod"]) == "; did you mean vol_prod?"
    assert did_you_mean(["other"], ["vol_prod"]) == "."
