# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the numbers of ONTAP's REST interface mean."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes


@pytest.mark.parametrize("code", [codes.CREATED_WITHOUT_PROPERTIES, codes.CREATED_BUT_UNREADABLE])
def test_a_lun_that_was_created_all_the_same_is_known(code: str) -> None:
    assert codes.meaning(code) is Fault.CREATED_INCOMPLETE


@pytest.mark.parametrize("code", [codes.LUN_NOT_FOUND, codes.LUN_TO_CHANGE_NOT_FOUND])
def test_a_lun_that_is_not_there_has_two_codes(code: str) -> None:
    assert codes.meaning(code) is Fault.NO_LUN


def test_an_unknown_code_means_nothing() -> None:
    assert codes.meaning("393271") is None


def test_an_igroup_that_is_not_there_has_a_code_of_its_own_beside_a_lun() -> None:
    assert codes.meaning("5374878") is codes.meaning(codes.GROUP_NOT_FOUND) is Fault.NO_GROUP
