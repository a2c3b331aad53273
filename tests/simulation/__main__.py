# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show one schedule, or try many, of this working tree or, with ``--code REVISION``, of the product as it was then."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "ansible_collections/crossvisor/san"


def collections(revision: str | None) -> Path:
    """Where Python finds the product of a revision, by default that of the working tree."""
    if revision is None:
        return ROOT / "build/collections"
    tree = ROOT / "build/simulation" / revision
    if not tree.exists():
        home = tree / COLLECTION
        home.mkdir(parents=True)
        archive = subprocess.run(
            ["git", "archive", revision, "plugins", "roles", "playbooks"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "--extract", "--directory", str(home)], input=archive.stdout, check=True)
    return tree


def main() -> int:
    """Run one schedule or many; ends with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="show the schedule of this seed, request by request")
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 1000), metavar=("FROM", "TO"), help="try these; default: 0 1000")
    parser.add_argument("--processes", type=int, default=2, help="default: 2")
    parser.add_argument("--code", metavar="REVISION", help="try the product of this revision of the repository")
    options = parser.parse_args()
    sys.path.insert(0, str(collections(options.code)))
    from tests.simulation import many, world

    if options.seed is not None:
        verdict = world.play(options.seed)
        print(verdict)
        return int(bool(verdict.violations))
    begun, count = time.monotonic(), 0
    broken: Counter[str] = Counter()
    for seed, violations in many.tried(range(*options.seeds), options.processes):
        count += 1
        broken.update({violation.rule for violation in violations})
        for violation in violations[:1]:
            print(f"seed {seed}: {violation}", flush=True)
    seconds = time.monotonic() - begun
    print(f"{count} schedules, {count / seconds:.0f} a second, {sum(broken.values())} broken promises {dict(broken) or ''}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
