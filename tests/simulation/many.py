# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many schedules, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence

from tests.simulation.promises import Violation
from tests.simulation.world import play

AT_ONCE = 50

Tried = tuple[int, Sequence[Violation]]


def tried(seeds: Sequence[int], processes: int) -> Iterator[Tried]:
    """The violations of each seed, in the order of the seeds."""
    if processes == 1:
        yield from map(_try, seeds)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap(_try, seeds, chunksize=AT_ONCE)


def _try(seed: int) -> Tried:
    return seed, play(seed).violations
