# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guest calls its disks, and what XAPI writes as text."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import machines
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.places import UNITS


@pytest.mark.parametrize(("number", "name"), [(0, "xvda"), (25, "xvdz"), (26, "xvdaa"), (27, "xvdab"), (51, "xvdaz"), (52, "xvdba")])
def test_linux_counts_in_letters(number: int, name: str) -> None:
    assert machines.linux_name(number) == name


def test_no_two_places_have_one_name() -> None:
    names = [machines.linux_name(number) for number in UNITS]
    assert len(set(names)) == len(UNITS)
    assert all(set(name.removeprefix("xvd")) <= set(string.ascii_lowercase) for name in names)


@given(st.integers(min_value=-1, max_value=2**63))
def test_integers_come_as_text_and_minus_one_is_unknown(value: int) -> None:
    assert machines.number(str(value)) == max(value, 0)


@pytest.mark.parametrize("told", ["", "many", None])
def test_what_is_no_integer_is_unknown(told: object) -> None:
    assert machines.number(told) == 0


@pytest.mark.parametrize(("told", "unit"), [("3", 3), ("autodetect", None), ("", None)])
def test_a_vbd_that_is_not_placed_has_no_unit(told: str, unit: int | None) -> None:
    assert machines.unit({"userdevice": told}) == unit
