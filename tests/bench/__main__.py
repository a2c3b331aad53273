# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the benchmark. Ends with 1 when a promised number of requests is exceeded, with ``--strict`` also when a ratio or a time is."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import addresses, cluster, disk, hyperv, kvm, large, luns, page, provision, relay, startup, vcenter, xen
from tests.bench.measure import BUILD, WORK, BenchFailed
from tests.bench.report import Findings, as_json, as_text, exit_code, machine

RESULT = BUILD / "bench.json"
SUBJECTS = ("vcenter", "large", "luns", "hyperv", "cluster", "kvm", "xen", "addresses", "relay", "provision", "disk", "startup", "page")


def _subjects(options: argparse.Namespace, directory: Path) -> Iterator[Findings]:
    """Measure one subject after the other."""
    measures: dict[str, Callable[[], list[Findings]]] = {
        "vcenter": lambda: vcenter.measure(directory, options.sizes, options.rounds),
        "large": lambda: [large.measure(directory / "large", options.rounds)],
        "luns": lambda: [luns.measure(directory / "luns", options.rounds)],
        "hyperv": lambda: [hyperv.measure(directory / "hyperv", options.sizes, options.rounds)],
        "cluster": lambda: [cluster.measure(directory / "cluster")],
        "kvm": lambda: [kvm.measure(directory / "kvm")],
        "xen": lambda: [xen.measure(directory / "xen", options.sizes)],
        "addresses": lambda: [addresses.measure(directory / "addresses", options.rounds)],
        "relay": lambda: [relay.measure(directory / "relay", options.rounds)],
        "provision": lambda: [provision.measure(directory / "provision", options.rounds)],
        "disk": lambda: [disk.measure(directory / "disk", options.rounds)],
        "startup": lambda: [startup.measure(options.rounds)],
        "page": lambda: [page.measure(directory / "page", options.rounds)],
    }
    for name in options.only or measures:
        yield from measures[name]()


def main() -> None:
    """Measure, print, write build/bench.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000], metavar="VMS", help="default: 100 1000")
    parser.add_argument("--rounds", type=int, default=5, help="runs of which the median is taken; default: 5")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="one subject; can be repeated")
    parser.add_argument("--strict", action="store_true", help="fail also when a promised ratio or time is exceeded")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    about = machine()
    print(*(f"{name}: {value}" for name, value in about.items()), sep="\n", flush=True)
    subjects: list[Findings] = []
    try:
        with tempfile.TemporaryDirectory(dir=WORK) as directory:
            for findings in _subjects(options, Path(directory)):
                print(f"\n{as_text(findings)}", flush=True)
                subjects.append(findings)
    except BenchFailed as failure:
        sys.exit(str(failure))
    RESULT.write_text(json.dumps(as_json(about, options.rounds, subjects), indent=2) + "\n")
    print(f"\n{RESULT.relative_to(BUILD.parent)} has all of it.")
    sys.exit(exit_code((promise for findings in subjects for promise in findings.promises), options.strict))


if __name__ == "__main__":
    main()
