# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the numbers of ONTAP's REST interface mean."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault, way_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes


@pytest.mark.parametrize("code", [codes.CREATED_WITHOUT_PROPERTIES, codes.CREATED_BUT_UNREADABLE])
def test_a_lun_that_was_created_all_the_same_is_known(code: str) -> None:
    assert codes.meaning(code) is Fault.CREATED_INCOMPLETE


@pytest.mark.parametrize("code", [codes.LUN_NOT_FOUND, codes.LUN_TO_CHANGE_NOT_FOUND])
def test_a_lun_that_is_not_there_has_two_codes(code: str) -> None:
    assert codes.meaning(code) is Fault.NO_LUN


RUN_AGAIN = "somebody else changed it at the same moment; run the task again"
ONE_OS_TYPE = "give the os_type that its other igroups have, or remove it from those"


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("28", "enlarge the volume, choose another one, or ask for a thin LUN"),
        ("917927", "correct the name of the volume, or create it"),
        ("5242927", "create the qtree, or give the LUN a name without a slash"),
        ("2621462", "correct the name of the SVM"),
        ("1254197", "unmap it from its igroups first"),
        ("1254213", "it stays because LUNs are mapped to it"),
        ("5374121", "choose another name for the LUN"),
        ("5374124", "ask for a larger size"),
        ("5374125", "ask for a smaller size"),
        ("5374237", "choose a data volume"),
        *((code, ONE_OS_TYPE) for code in ("5374732", "5374734")),
        *((code, RUN_AGAIN) for code in ("5374242", "5374023", "1254193", "1254207", "1254208", "1254223", "1254324")),
    ],
)
def test_a_code_of_the_reference_has_its_way_out(code: str, advice: str) -> None:
    assert way_out(codes.meaning(code), "") == advice


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("3", Fault.NO_SUCH_CALL),
        ("4", Fault.NO_ENTRY),
        ("5374875", Fault.NO_LUN),
        ("5374852", Fault.NO_GROUP),
        ("5374922", Fault.NO_MAP),
        ("5374705", Fault.LUN_OF_APPLICATION),
        ("5374863", Fault.CREATED_INCOMPLETE),
        ("5374886", Fault.CREATED_INCOMPLETE),
        ("5374865", Fault.AGGREGATE_OFFLINE),
        ("5374866", Fault.VOLUME_OFFLINE),
        ("1254226", Fault.SAME_SIZE),
        ("5374034", Fault.NOT_A_MEMBER),
        ("5374035", Fault.ALREADY_A_MEMBER),
        ("525059", Fault.SNAPSHOT_EXISTS),
        ("524481", Fault.VOLUME_IS_FENCED),
        ("1638521", Fault.SNAPSHOT_OF_MIRROR),
        ("1638543", Fault.SNAPSHOT_IS_OWNED),
        ("1638555", Fault.SNAPSHOT_IS_LOCKED),
        ("1638600", Fault.NO_SNAPSHOT),
        ("53411842", Fault.NO_CONSISTENCY_GROUP),
        ("53411843", Fault.NO_CONSISTENCY_GROUP),
    ],
)
def test_a_code_means_what_the_reference_says(code: str, fault: Fault) -> None:
    assert codes.meaning(code) is fault


def test_an_unknown_code_means_nothing() -> None:
    assert codes.meaning("393271") is None


def test_an_igroup_that_is_not_there_has_a_code_of_its_own_beside_a_lun() -> None:
    assert codes.meaning("5374878") is codes.meaning(codes.GROUP_NOT_FOUND) is Fault.NO_GROUP
