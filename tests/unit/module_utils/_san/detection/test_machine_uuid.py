# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One machine, two readings of its UUID."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.machine_uuid import (
    candidates,
    normalize,
    of_vmware_serial,
    swapped,
)


@given(st.uuids())
def test_swapping_twice_gives_the_same_uuid(uuid: UUID) -> None:
    assert swapped(swapped(str(uuid))) == str(uuid)


@given(st.uuids())
def test_the_last_eight_bytes_are_the_same_in_both_readings(uuid: UUID) -> None:
    assert swapped(str(uuid))[18:] == str(uuid)[18:]


def test_the_two_readings_of_one_vmware_guest() -> None:
    assert swapped("dd4f3942-f393-1a50-8614-c6fa55f75468") == "42394fdd-93f3-501a-8614-c6fa55f75468"


@pytest.mark.parametrize("text", [None, "", "Not Settable", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"])
def test_firmware_that_has_no_uuid(text: str | None) -> None:
    assert normalize(text) == ""


@given(st.text())
def test_no_text_makes_it_fail(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)
    assert of_vmware_serial(text) == ""


@pytest.mark.parametrize(
    ("serial", "uuid"),
    [
        ("VMware-42 39 4f dd 93 f3 50 1a-86 14 c6 fa 55 f7 54 68", "42394fdd-93f3-501a-8614-c6fa55f75468"),
        ("VMware-42 39 4f dd 93 f3 50 1a-86 14 c6 fa 55 f7 54", ""),
        ("7N62AI2", ""),
        (None, ""),
    ],
)
def test_vmware_s_serial_number_holds_vcenter_s_uuid(serial: str | None, uuid: str) -> None:
    assert of_vmware_serial(serial) == uuid


def test_candidates_are_each_named_once_and_those_that_firmware_gave_come_first() -> None:
    first, second = "42394fdd-93f3-501a-8614-c6fa55f75468", "dd4f3942-f393-1a50-8614-c6fa55f75468"
    assert candidates([first, "", second]) == (first, second)
    assert candidates([""]) == ()
