# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_storage_map of a Xen pool with a growing number of VMs, beside the least that reading the same objects can cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.bench.measure import BenchFailed, Sample, interleaved, run_module, spawn, watched
from tests.bench.report import COUNT, Findings
from tests.bench.xapi_reader import Task
from tests.lab.inventory import connection
from tests.lab.launch import Endpoint, Endpoints, running_lab
from tests.lab.world import Size

OURS, XENAPI = "vm_storage_map", "XenAPI"
SMALLEST = 10
ROUNDS = 1
"""Only calls are promised, whose number is the same in each."""
DISKS = 2
CLASSES = ("pool", "host", "host_metrics", "VM", "VBD", "VDI", "SR", "PBD")
"""What a map needs."""
_NOTES = [
    "A row is one process that logs in to the master over TLS, reads and ends, ours with the array on top.",
    f"'{XENAPI}' is the vendor's library, which fetches {len(CLASSES)} classes once and does nothing with them.",
    "Ours fetches them twice and asks each host for its adapters, to tell whom the array presents LUNs to.",
    "'@n': with n VMs in the pool. One round, because only the number of calls is promised.",
]


def measure(directory: Path, sizes: Sequence[int]) -> Findings:
    """Measure at each number of VMs. Raises BenchFailed."""
    findings = Findings(f"{OURS} of a Xen pool, {DISKS} disks a VM", _NOTES)
    measured = sorted({SMALLEST, *sizes})
    for size in measured:
        with running_lab(["ontap", "xen"], directory / f"vms-{size}", Size(size, DISKS)) as endpoints:
            _measure_size(findings, endpoints, size)
    least, most = measured[0], measured[-1]
    beyond = findings.value(f"{OURS} @{most}", "requests") - findings.value(f"{OURS} @{least}", "requests")
    findings.promise(f"{OURS} of Xen: calls at {most} VMs beyond those at {least}", COUNT, beyond, 0)
    return findings


def _measure_size(findings: Findings, endpoints: Endpoints, size: int) -> None:
    master = endpoints["xen"]
    series = interleaved(
        {
            OURS: partial(watched, [master], partial(_run_ours, endpoints)),
            XENAPI: partial(watched, [master], partial(_read, master)),
        },
        ROUNDS,
    )
    if int(series[XENAPI].output) < size:
        raise BenchFailed(f"{XENAPI} has read {series[XENAPI].output.decode()} objects of a pool with {size} VMs.")
    for case, found in series.items():
        findings.add_series(f"{case} @{size}", found)
    findings.compare(f"{OURS} @{size}", f"{XENAPI} @{size}", "CPU")


def _run_ours(endpoints: Endpoints) -> Sample:
    return run_module(f"crossvisor.san.{OURS}", {"hypervisor": connection(endpoints["xen"]), "arrays": [connection(endpoints["ontap"])]})


def _read(master: Endpoint) -> Sample:
    login = {name: value for name, value in connection(master).items() if name in Task.__dataclass_fields__}
    return spawn([sys.executable, "-m", "tests.bench.xapi_reader"], {}, json.dumps(asdict(Task(**login, classes=CLASSES))).encode())
