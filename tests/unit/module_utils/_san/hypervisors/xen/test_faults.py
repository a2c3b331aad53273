# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of XAPI's in words that name the way out."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Overtaken, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.faults import MEANINGS, OVERTAKEN, explained
from tests.unit.xapi import failure


@pytest.mark.parametrize("code", [*MEANINGS, "NOBODY_KNOWS"])
def test_each_is_one_sentence_with_the_code_and_a_way_out(code: str) -> None:
    with pytest.raises(RemoteError if code not in OVERTAKEN else Overtaken) as told, explained("LUN x was not attached to VM y"):
        raise failure(code, "detail")
    text = str(told.value)
    assert text.startswith("LUN x was not attached to VM y, because ")
    assert f"({code} (detail)): " in text
    assert text.endswith(".")
    assert ". " not in text


def test_what_may_succeed_anew_has_a_meaning() -> None:
    assert set(MEANINGS) >= OVERTAKEN
