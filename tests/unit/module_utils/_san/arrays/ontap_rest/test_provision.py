# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes, and wishes that are refused before the array is asked. What the steps do to an array is in tests/live/test_ontap_provision.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.backend import OntapRest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.provision import CYLINDER, is_rounding
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from tests.unit.ontap import Endpoint, records, wish

SIZES = st.integers(min_value=CYLINDER, max_value=128 * 1024**4)


class TestRounding:
    @given(SIZES)
    def test_up_or_down_to_a_whole_cylinder_is_no_other_size(self, asked: int) -> None:
        down = asked // CYLINDER * CYLINDER
        assert is_rounding(asked, asked)
        assert is_rounding(asked, down)
        assert is_rounding(asked, down if down == asked else down + CYLINDER)

    @given(SIZES, st.sampled_from([512, 4096]))
    def test_up_to_a_whole_block_is_no_other_size(self, asked: int, block: int) -> None:
        assert is_rounding(asked, -(-asked // block) * block)

    @given(SIZES, st.integers(min_value=CYLINDER, max_value=1024**4))
    def test_is_never_a_cylinder_or_more(self, asked: int, more: int) -> None:
        assert not is_rounding(asked, asked + more)
        assert not is_rounding(asked + more, asked)

    def test_does_not_hide_that_a_small_lun_shall_grow(self) -> None:
        assert not is_rounding(20 * 1024**2, 16 * 1024**2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size_bytes": 0}, "The size 0 of LUN svm_san:/vol/vol_prod/new is not a number of bytes above zero"),
        ({"size_bytes": -1}, "The size -1 of LUN"),
        ({"lun_id": -1}, "LUN id -1 for LUN svm_san:/vol/vol_prod/new is not one of 0 to 4095"),
        ({"lun_id": 4096}, "LUN id 4096"),
    ],
)
def test_an_impossible_wish_is_refused_before_anything_is_sent(array: Endpoint, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        OntapRest(array.connection).plan_provision(wish(**settings))
    assert array.asked == []


def test_a_comment_that_does_not_fit_is_refused_before_anything_is_created(array: Endpoint) -> None:
    array.answer(records(), records({"name": "vol_prod", "svm": {"name": "svm_san"}}))
    with pytest.raises(InvalidInput, match=r"The comment for LUN svm_san:/vol/vol_prod/new has 250 characters: shorten it to \d+"):
        OntapRest(array.connection).plan_provision(wish(comment="x" * 250, initiators=()))
