# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused alike on every platform."""

from __future__ import annotations

import re

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot
from tests.unit.ports import NAME

KNOWN = {"mode": ("physical", "virtual"), "sharing": ("none",), "datastore": ()}


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (DiskWish(NAME, mode="raw"), "mode raw does not exist for a disk of X: choose one of physical, virtual, or leave it out."),
        (DiskWish(NAME, sharing="multi_writer"), "sharing multi_writer does not exist for a disk of X: ask for none, or leave it out."),
        (DiskWish(NAME, file_system="ds1"), "datastore ds1 does not exist for a disk of X: leave it out."),
    ],
)
def test_a_setting_that_the_platform_does_not_know_is_refused_with_what_it_knows(wish: DiskWish, words: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(words)}$"):
        attach_rules.refuse_unknown(wish, KNOWN, "a disk of X")


def test_what_is_known_left_out_or_not_restricted_passes() -> None:
    attach_rules.refuse_unknown(DiskWish(NAME), KNOWN, "a disk of X")
    attach_rules.refuse_unknown(DiskWish(NAME, mode="virtual", sharing="none", disk_mode="persistent"), KNOWN, "a disk of X")


def test_a_unit_needs_a_bus() -> None:
    with pytest.raises(InvalidInput, match=r"Unit 3 was asked for without a bus: name both, such as SCSI\(0:3\), or none\."):
        attach_rules.refuse_unit_without_bus(Slot(unit=3))
    for slot in (Slot(), Slot(bus=0), Slot(0, 3)):
        attach_rules.refuse_unit_without_bus(slot)


@pytest.mark.parametrize(
    ("slot", "is_at", "told"),
    [
        (Slot(), "", []),
        (Slot(1), "", []),
        (Slot(1, 2), "", []),
        (Slot(1, 3), "", ["place SCSI(1:2), not SCSI(1:3)"]),
        (Slot(0), "", ["place SCSI(1:2), not SCSI(0:2)"]),
        (Slot(), "IDE(1:2)", []),
        (Slot(1, 2), "IDE(1:2)", ["place IDE(1:2), not SCSI(1:2)"]),
    ],
)
def test_only_an_asked_place_can_be_another(slot: Slot, is_at: str, told: list[str]) -> None:
    assert attach_rules.other_place(slot, 1, 2, is_at) == told


def test_what_is_in_use_is_not_changed() -> None:
    attach_rules.refuse_change("app", NAME, [])
    with pytest.raises(Refused, match=r"is a disk of VM app already, with mode a, not b, sharing c, not d, which cannot be changed while"):
        attach_rules.refuse_change("app", NAME, ["mode a, not b", "sharing c, not d"])
