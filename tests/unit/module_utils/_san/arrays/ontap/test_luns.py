# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who sees a LUN is known when it is known of each of its groups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import tells_initiators, with_initiators
from tests.unit.ports import NAME, lun


@pytest.mark.parametrize(("told", "known"), [([True, True], True), ([True, False], False), ([False], False), ([], True)])
def test_one_group_that_does_not_tell_its_initiators_is_enough_to_know_nothing(told: list[bool], known: bool) -> None:
    (mapping, *_others) = lun(NAME).mappings
    assert tells_initiators(replace(lun(NAME), mappings=[replace(mapping, told=one) for one in told])) == known


@pytest.mark.parametrize("told", [True, False])
def test_a_mapping_gets_the_members_of_its_group_and_stays_as_it_is_where_the_group_is_not_known(told: bool) -> None:
    (mapping, *_others) = lun(NAME).mappings
    found = replace(lun(NAME), mappings=[replace(mapping, group_id="g1", initiators=(), told=False), replace(mapping, group_id="gone")])
    group = Group("g1", "ig1", "linux", "iscsi", frozenset({"iqn.b", "iqn.a"}), {}, told=told)
    first, second = with_initiators(found, [group]).mappings
    assert (first.initiators, first.told) == (("iqn.a", "iqn.b"), told)
    assert second == replace(mapping, group_id="gone")
