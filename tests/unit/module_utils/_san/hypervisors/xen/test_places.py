# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a disk goes on the one bus of a guest of Xen."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.places import Units, choose, choose_each
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot

SOME = Units("app01", free={2, 3, 4}, taken={0, 1})


def test_the_first_that_is_free_is_taken() -> None:
    assert str(choose(SOME, Slot())) == "SCSI(0:2)"
    assert str(choose(SOME, Slot(0))) == "SCSI(0:2)"


def test_one_disk_after_the_other_has_a_place_of_its_own() -> None:
    assert [place.unit for place in choose_each(SOME, [Slot(), Slot(0, 3), Slot()])] == [2, 3, 4]


def test_a_disk_for_which_there_is_no_room_is_told_with_those_that_have_some() -> None:
    with pytest.raises(Refused, match=r"shall get 4 more disks and has room for 3 of them: VM app01 has no place left"):
        choose_each(SOME, [Slot()] * 4)


@pytest.mark.parametrize(
    ("slot", "error", "told"),
    [
        (Slot(1, 0), InvalidInput, "SCSI bus 1 does not exist: a VM on Xen has the bus 0 alone"),
        (Slot(0, 255), InvalidInput, r"SCSI\(0:255\) does not exist: a VM on Xen has units 0 to 254"),
        (Slot(None, 3), InvalidInput, "without a bus"),
        (Slot(0, 1), Refused, r"SCSI\(0:1\) of VM app01 is taken"),
        (Slot(0, 9), Refused, r"SCSI\(0:9\) is none that XAPI offers for VM app01: choose one of 2, 3, 4"),
    ],
)
def test_a_place_that_cannot_be_had_is_one_sentence(slot: Slot, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        choose(SOME, slot)
