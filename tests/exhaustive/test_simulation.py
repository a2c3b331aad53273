# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ten thousand schedules of several runs at once, in an order that their seeds choose; the first ones are in the unit tests, too."""

from __future__ import annotations

import os

import pytest

from tests.simulation import many
from tests.simulation.world import play

SEEDS = int(os.environ.get("SIMULATED_SEEDS", "10000"))
FIRST = int(os.environ.get("SIMULATED_FROM", "0"))
PROCESSES = 2


def test_no_promise_is_broken_on_any_schedule() -> None:
    broken = [seed for seed, violations in many.tried(range(FIRST, FIRST + SEEDS), PROCESSES) if violations]
    for seed in broken[:1]:
        pytest.fail(
            f"{len(broken)} of {SEEDS} schedules break a promise: {broken[:100]}; python -m tests.simulation --seed {seed}\n{play(seed)}"
        )
