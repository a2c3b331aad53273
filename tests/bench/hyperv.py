# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_storage_map of a Hyper-V host with a growing number of VMs, beside the least that the same queries can cost."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.bench.measure import BenchFailed, Sample, interleaved, run_module, spawn, watched
from tests.bench.report import COUNT, RATIO, Findings
from tests.bench.wsman_reader import Task
from tests.lab.client import ask
from tests.lab.inventory import connection
from tests.lab.launch import Endpoint, Endpoints, running_lab
from tests.lab.world import Size

OURS, LXML, PYPSRP = "vm_storage_map", "bare lxml", "pypsrp"
SMALLEST = 10
DISKS = 2
BOUND = 2.5
"""What our module may cost at most, of the CPU that a client by others needs to fetch the same."""
MS_PER_S = 1000
FURTHER = "CPU of a further VM"
ENUMERATIONS, PAGES = "Enumerate", "Pull"
_NOTES = [
    "A row is one process that logs in to the host over TLS (basic), reads and ends, ours with the array on top.",
    f"'{LXML}' and '{PYPSRP}' send the queries of our module once more and do nothing with the answers.",
    "'@n': with n VMs on the host. An answer is at most 500 KB; each further page is one more request.",
]


def measure(directory: Path, sizes: Sequence[int], rounds: int) -> Findings:
    """Measure at each number of VMs. Raises BenchFailed."""
    findings = Findings(f"{OURS} of a Hyper-V host, {DISKS} disks a VM", _NOTES)
    measured = sorted({SMALLEST, *sizes})
    for size in measured:
        with running_lab(["ontap", "hyperv"], directory / f"vms-{size}", Size(size, DISKS)) as endpoints:
            _measure_size(findings, endpoints, size, rounds)
    _conclude(findings, measured)
    return findings


def _measure_size(findings: Findings, endpoints: Endpoints, size: int, rounds: int) -> None:
    host = endpoints["hyperv"]
    queries = _queries(endpoints)
    series = interleaved(
        {
            OURS: partial(watched, [host], partial(_run_ours, endpoints)),
            LXML: partial(watched, [host], partial(_read, "lxml", host, queries)),
            PYPSRP: partial(watched, [host], partial(_read, "pypsrp", host, queries)),
        },
        rounds,
    )
    counts = {series[reader].output for reader in (LXML, PYPSRP)}
    if len(counts) != 1 or int(counts.copy().pop()) < size:
        raise BenchFailed(f"The readers did not read the same instances: {sorted(counts)}.")
    for case, found in series.items():
        findings.add_series(f"{case} @{size}", found, requests=False)
        findings.add(f"{case} @{size}", "enumerations", found.requests[ENUMERATIONS])
        findings.add(f"{case} @{size}", "pages", found.requests[PAGES])


def _run_ours(endpoints: Endpoints) -> Sample:
    hypervisor = {**connection(endpoints["hyperv"]), "type": "hyperv", "transport": "basic"}
    return run_module(f"crossvisor.san.{OURS}", {"hypervisor": hypervisor, "arrays": [connection(endpoints["ontap"])]})


def _queries(endpoints: Endpoints) -> list[tuple[str, str]]:
    """Namespace and WQL of what a run of our module asks the host, without what the host does not have."""
    control = endpoints["hyperv"].control_url
    ask(control, "DELETE", "/requests")
    _run_ours(endpoints)
    asked = [request for request in ask(control, "GET", "/requests")["requests"] if request["method"] == ENUMERATIONS]
    answered = (request["path"].partition("?") for request in asked if request["status"] == 200)
    return [(place.removesuffix("/*").partition("/")[2].partition("/")[2], query) for place, _mark, query in answered]


def _read(reader: str, host: Endpoint, queries: Sequence[tuple[str, str]]) -> Sample:
    login = {name: value for name, value in connection(host).items() if name != "nodes"}
    return spawn(
        [sys.executable, "-m", "tests.bench.wsman_reader", reader], {}, json.dumps(asdict(Task(**login, queries=queries))).encode()
    )


def _conclude(findings: Findings, sizes: Sequence[int]) -> None:
    least, most = min(sizes), max(sizes)
    for size, other, quantity in itertools.product(sizes, (LXML, PYPSRP), ("CPU", "wall")):
        findings.compare(f"{OURS} @{size}", f"{other} @{size}", quantity)
    beyond = findings.value(f"{OURS} @{most}", "enumerations") - findings.value(f"{OURS} @{least}", "enumerations")
    findings.promise(f"{OURS} of Hyper-V: enumerations at {most} VMs beyond those at {least}", COUNT, beyond, 0)
    if least == most:
        return
    for case in (OURS, LXML, PYPSRP):
        more = findings.value(f"{case} @{most}", "CPU") - findings.value(f"{case} @{least}", "CPU")
        findings.add(f"{case} @{most}", FURTHER, more / (most - least) * MS_PER_S, "ms")
    for other in (LXML, PYPSRP):
        findings.compare(f"{OURS} @{most}", f"{other} @{most}", FURTHER)
    overall = findings.compare(f"{OURS} @{most}", f"{PYPSRP} @{most}", "CPU")
    findings.promise(f"{OURS} of Hyper-V : {PYPSRP} alone, CPU at {most} VMs", RATIO, overall, BOUND)
