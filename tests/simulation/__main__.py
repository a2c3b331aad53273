# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m tests.simulation --seed N`` shows a schedule, ``--seeds FROM TO`` tries many and shows the first that breaks a promise."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.world import play


def main() -> int:
    """Run one schedule or many."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 1000))
    options = parser.parse_args()
    if options.seed is not None:
        verdict = play(options.seed)
        print(verdict)
        return int(bool(verdict.violations))
    begun, wall = time.process_time(), time.monotonic()
    failed = {}
    for seed in range(*options.seeds):
        verdict = play(seed)
        for violation in verdict.violations:
            failed.setdefault(violation.rule, []).append(seed)
            print(seed, violation)
    count = options.seeds[1] - options.seeds[0]
    print(f"{count} schedules, {time.process_time() - begun:.1f} s of CPU, {time.monotonic() - wall:.1f} s", {rule: len(set(s)) for rule, s in failed.items()})
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
