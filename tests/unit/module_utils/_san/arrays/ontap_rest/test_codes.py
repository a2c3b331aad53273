# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user can do about ONTAP's errors."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.codes import way_out


@pytest.mark.parametrize(
    "message",
    ["No space left on volume vol_small", "There is not enough space in the volume", "Insufficient free space in aggregate aggr1"],
)
def test_lack_of_space_is_known_by_its_words(message: str) -> None:
    assert way_out("0", message) == "enlarge the volume, choose another one, or ask for a thin LUN"


def test_a_code_goes_before_the_words() -> None:
    assert way_out(codes.SIZE_TOO_LARGE, "no space for that") == "ask for a smaller size"


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
        *((code, RUN_AGAIN) for code in ("5374242", "5374023", "1254193", "1254206", "1254207", "1254208", "1254324")),
    ],
)
def test_a_code_of_the_reference_has_its_way_out(code: str, advice: str) -> None:
    assert way_out(code, "") == advice


def test_a_lun_or_entry_that_is_not_found_is_gone() -> None:
    assert set(codes.NO_LUN) == {"5374875", "5374876", "4"}


def test_an_unknown_error_promises_nothing() -> None:
    assert way_out("393271", "The node is in takeover; no such spaceship") == ""
