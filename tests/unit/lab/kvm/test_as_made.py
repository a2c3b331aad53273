# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest goes on over a reset only where nobody can have done anything in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lab.kvm.as_made import Look

MADE = Look(
    {"lnx01": "running", "lnx02": "running", "off01": "shut off"}, {"lnx01": 300, "lnx02": 310}, "pools", {"/images/off01": (1, 2, 3)}
)


def test_a_host_that_nobody_touched_keeps_its_guests() -> None:
    assert replace(MADE).untouched(MADE) == {"lnx01", "lnx02"}


@pytest.mark.parametrize(
    "now",
    [
        replace(MADE, guests={"lnx01": 301, "lnx02": 310}),
        replace(MADE, guests={"lnx01": None, "lnx02": 310}),
        replace(MADE, domains={**MADE.domains, "lnx01": "running, with a disk more"}),
        replace(MADE, domains={name: told for name, told in MADE.domains.items() if name != "lnx01"}),
    ],
    ids=["a process more", "an agent that does not answer", "a disk more", "undefined"],
)
def test_a_guest_that_may_have_been_touched_is_made_again(now: Look) -> None:
    assert now.untouched(MADE) == {"lnx02"}


def test_an_agent_that_never_answered_tells_nothing() -> None:
    silent = replace(MADE, guests={"lnx01": None, "lnx02": 310})
    assert silent.untouched(silent) == {"lnx02"}


@pytest.mark.parametrize(
    "now",
    [
        replace(MADE, domains={**MADE.domains, "off01": "running"}),
        replace(MADE, domains={**MADE.domains, "new01": "shut off"}),
        replace(MADE, others="a pool more"),
        replace(MADE, files={}),
    ],
)
def test_what_changed_beside_the_guests_is_noticed(now: Look) -> None:
    assert now.untouched(MADE) == {"lnx01", "lnx02"}
    assert now.beside_guests != MADE.beside_guests


def test_what_changed_in_a_guest_is_not_beside_them() -> None:
    assert (
        replace(MADE, domains={**MADE.domains, "lnx01": "paused"}, guests={"lnx01": None, "lnx02": 310}).beside_guests == MADE.beside_guests
    )
