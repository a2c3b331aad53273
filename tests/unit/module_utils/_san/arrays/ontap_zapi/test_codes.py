# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ZAPI's numbers mean: the same kinds of refusal that REST's codes are."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes as rest
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import codes


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (codes.NO_SUCH_GROUP, rest.GROUP_NOT_FOUND),
        (codes.GROUP_EXISTS, rest.GROUP_EXISTS),
        (codes.NOT_A_MEMBER, rest.NOT_A_MEMBER),
        (codes.ALREADY_A_MEMBER, rest.ALREADY_A_MEMBER),
        (codes.LUN_EXISTS, rest.LUN_EXISTS),
        (codes.LUN_IS_MAPPED, rest.LUN_IS_MAPPED),
        (codes.NO_SUCH_MAP, rest.MAP_NOT_FOUND),
        (codes.NO_SUCH_LUN, rest.LUN_NOT_FOUND),
        (codes.ALREADY_MAPPED, rest.ALREADY_MAPPED),
        (codes.LUN_ID_TAKEN_IN_GROUP, rest.LUN_ID_TAKEN_IN_GROUP),
        (codes.GROUP_IS_MAPPED, rest.GROUP_IS_MAPPED),
        (codes.NO_SUCH_VOLUME, rest.VOLUME_NOT_FOUND),
        (codes.SIZE_TOO_SMALL, rest.SIZE_TOO_SMALL),
        (codes.SIZE_TOO_LARGE, rest.SIZE_TOO_LARGE),
        (codes.SAME_SIZE, rest.SAME_SIZE),
        (codes.NO_SPACE, rest.NO_SPACE),
        (codes.SVM_NOT_FOUND, rest.SVM_NOT_FOUND),
        (codes.OBJECT_NOT_FOUND, rest.ENTRY_NOT_FOUND),
        (codes.API_NOT_FOUND, rest.API_NOT_FOUND),
        (codes.SNAPSHOT_EXISTS, rest.SNAPSHOT_EXISTS),
        (codes.NO_SUCH_SNAPSHOT, rest.SNAPSHOT_NOT_FOUND),
        (codes.VOLUME_IS_OFFLINE, rest.VOLUME_OFFLINE),
    ],
)
def test_a_number_means_what_the_code_of_rest_means(number: str, code: str) -> None:
    assert codes.meaning(number) is rest.meaning(code)
    assert isinstance(codes.meaning(number), Fault)


def test_an_unknown_number_means_nothing() -> None:
    assert codes.meaning("13115") is None
