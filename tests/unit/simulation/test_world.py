# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the simulation finds, and what it finds of the product as it is; more schedules are in tests/exhaustive."""

from __future__ import annotations

from functools import cache

import pytest

from tests.simulation.faults import FAULTS, Fault
from tests.simulation.world import Verdict, play, scenario

pytestmark = pytest.mark.slow

SEEDS = 60
AT_ONCE = 20


@cache
def played(seed: int) -> Verdict:
    """The schedule as it was played first."""
    return play(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_no_promise_is_broken_on_the_first_schedules(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        verdict = played(seed)
        assert not verdict.violations, f"python -m tests.simulation --seed {seed}\n{verdict}"


@pytest.mark.parametrize("seed", range(0, SEEDS, 20))
def test_a_schedule_is_the_same_whenever_it_is_played(seed: int) -> None:
    first, second = str(played(seed)), str(play(seed))
    assert first == second
    assert first != str(played(seed + 1))


def test_schedules_differ_in_all_that_may_happen() -> None:
    wishes = [wish for seed in range(100) for wish in scenario(seed).wishes]
    assert {wish.kind for wish in wishes} == {"provision", "remove", "attach", "detach", "map"}
    told = "\n".join(line for seed in range(40) for line in played(seed).lines)
    for happened in ("is killed before", "(never arrives)", "(the answer is lost)", "world: move", "world: rescan", "ends well", "fails: "):
        assert happened in told, happened


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_old_breaks_its_promise_and_the_product_keeps_it(fault: Fault) -> None:
    assert fault.rule in {violation.rule for violation in fault.with_the_fault().violations}
    now = fault.on_the_product()
    assert not now.violations, str(now)
