# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who sees a LUN is known when it is known of each of its groups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import tells_initiators
from tests.unit.ports import NAME, lun


@pytest.mark.parametrize(("told", "known"), [([True, True], True), ([True, False], False), ([False], False), ([], True)])
def test_one_group_that_does_not_tell_its_initiators_is_enough_to_know_nothing(told: list[bool], known: bool) -> None:
    (mapping, *_others) = lun(NAME).mappings
    assert tells_initiators(replace(lun(NAME), mappings=[replace(mapping, told=one) for one in told])) == known
