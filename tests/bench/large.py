# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_storage_map of an estate so large that starting a process hardly counts, beside bare lxml, and parts of the map beside the whole."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties
from tests.bench.measure import BenchFailed, interleaved, watched
from tests.bench.report import RATIO, Findings
from tests.bench.vcenter import DISKS, LXML, MAP, VMS_OF_A_STORE, read, run_ours
from tests.lab.launch import running_lab
from tests.lab.world import Size, World

VMS = 10_000
BOUNDS: Mapping[str, float] = {"CPU": 2.5, "wall": 1.5}
"""What the map may cost at most, of what a bare reader of the same bytes does."""
MOST_MEMORY = 150
"""MiB."""
ONE_LUN, RAW_LUN, EXPORT = "where: a LUN under a datastore", "where: a raw LUN", "where: a volume with NFS"
PART = 0.2
"""What one LUN may cost at most, of the CPU of the whole map."""
_NOTES = [
    f"'{LXML}' fetches and walks through the same properties with the same pages and does nothing with them.",
    f"The VMs have {DISKS} disks each, on datastores of {VMS_OF_A_STORE} VMs; some have a raw disk.",
]


def measure(directory: Path, rounds: int, vms: int = VMS) -> Findings:
    """Measure. Raises BenchFailed."""
    findings = Findings(f"vm_storage_map of {vms} VMs", _NOTES)
    with running_lab(["vcenter"], directory, Size(vms, DISKS, stores=vms // VMS_OF_A_STORE)) as endpoints:
        parts = _parts(json.loads((directory / "world.json").read_text()))
        contenders = {
            MAP: partial(run_ours, MAP, endpoints),
            LXML: partial(read, "lxml", endpoints["vcenter"], [properties.HOSTS, properties.INVENTORY_WITH_LUNS]),
            **{name: partial(run_ours, MAP, endpoints, where=where) for name, where in parts.items()},
        }
        series = interleaved({name: partial(watched, list(endpoints.values()), run) for name, run in contenders.items()}, rounds)
    if int(series[LXML].output) < vms:
        raise BenchFailed(f"Of {vms} VMs were read: {series[LXML].output.decode()} objects.")
    for case, found in series.items():
        findings.add_series(case, found)
    findings.add(MAP, "memory", series[MAP].memory, "MiB")
    for part, quantity in itertools.product(parts, BOUNDS):
        findings.compare(part, MAP, quantity)
    for part in (ONE_LUN, RAW_LUN):
        findings.promise(f"{part} : the whole map, CPU", RATIO, findings.compare(part, MAP, "CPU"), PART)
    for quantity, bound in BOUNDS.items():
        findings.promise(f"{MAP} : {LXML}, {quantity}", RATIO, findings.compare(MAP, LXML, quantity), bound)
    findings.promise(f"{MAP}: memory, MiB", RATIO, series[MAP].memory, MOST_MEMORY)
    return findings


def _parts(world: World) -> dict[str, dict[str, str]]:
    """What is asked for instead of the whole map."""
    store = world["vcenter"]["datastores"][-1]
    raw = next(disk["naa"] for vm in world["vcenter"]["vms"] for disk in vm["rdms"])
    return {ONE_LUN: {"naa": store["extents"][0]}, RAW_LUN: {"naa": raw}, EXPORT: {"volume": "vol_nfs"}}
