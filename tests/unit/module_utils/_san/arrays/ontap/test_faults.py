# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of a refusal whose meaning is known, and of one that tells it only by its words."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import Fault, way_out


@pytest.mark.parametrize(
    "message",
    ["No space left on volume vol_small", "There is not enough space in the volume", "Insufficient free space in aggregate aggr1"],
)
def test_lack_of_space_is_known_by_its_words(message: str) -> None:
    assert way_out(None, message) == "enlarge the volume, choose another one, or ask for a thin LUN"


def test_a_meaning_goes_before_the_words() -> None:
    assert way_out(Fault.SIZE_TOO_LARGE, "no space for that") == "ask for a smaller size"


def test_an_unknown_refusal_promises_nothing() -> None:
    assert way_out(None, "The node is in takeover; no such spaceship") == ""


def test_a_lun_of_a_volume_that_is_offline_says_what_to_do() -> None:
    assert way_out(Fault.VOLUME_OFFLINE, "The LUN's volume is offline.") == "bring its volume online"
