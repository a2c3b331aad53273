# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A property list is written byte by byte as MS-CMRP 2.2.3.10 has it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.property_list import property_list
from tests.lab.hyperv import property_list as lab

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def test_a_number_and_a_text_of_an_odd_length_are_filled_up_to_four_bytes() -> None:
    assert property_list({"Ab": 258, "C": "xy"}) == bytes.fromhex(
        "02000000"  # two properties
        "03000400 06000000 410062000000 0000"  # a name of six bytes, filled up
        "02000100 04000000 02010000"  # a number
        "00000000"  # the end of its values
        "03000400 04000000 43000000"  # a name
        "03000100 06000000 780079000000 0000"  # a text, filled up
        "00000000"
    )


def test_no_property_is_a_list_too() -> None:
    assert property_list({}) == bytes(4)


@given(st.dictionaries(TEXTS.filter(bool), TEXTS | st.integers(0, 2**32 - 1), max_size=4))
def test_what_is_written_is_read_by_a_reader_of_another_hand(properties: dict[str, str | int]) -> None:
    assert lab.parse(property_list(properties)) == properties
