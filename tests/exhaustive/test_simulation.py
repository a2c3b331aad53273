# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules of several runs at once, in an order that their seeds choose; SIMULATED_SEEDS and SIMULATED_FROM choose which.

The tier `long` plays 10,000.
"""

from __future__ import annotations

import os

from tests.simulation import many
from tests.simulation.world import play

SEEDS = int(os.environ.get("SIMULATED_SEEDS", "2000"))
FIRST = int(os.environ.get("SIMULATED_FROM", "0"))
PROCESSES = 2


def test_no_promise_is_broken_on_any_schedule() -> None:
    broken = [seed for seed, violations in many.tried(range(FIRST, FIRST + SEEDS), PROCESSES) if violations]
    assert not broken, (
        f"{len(broken)} of {SEEDS} schedules break a promise: {broken[:100]}; "
        f"python -m tests.simulation --seed {broken[0]}\n{play(broken[0])}"
    )
