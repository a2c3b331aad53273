# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible needs to start each module, beside ansible.builtin.ping, which does nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.bench.measure import Sample, interleaved, spawn, tool
from tests.bench.report import RATIO, Findings

PING = "ansible.builtin.ping"
MOST = 1.5
FAILED = 2
"""Exit code of ansible when a module fails."""
MS_PER_S = 1000
NAA = "600a098038304c61622d616161616131"

Task = tuple[dict[str, Any], int]
"""The arguments, and the exit code that they lead to."""

TASKS: Mapping[str, Task] = {
    PING: ({}, 0),
    "crossvisor.san.hypervisor_facts": ({}, 0),
    "crossvisor.san.hba_info": ({"hosts": ["none"]}, FAILED),
    "crossvisor.san.lun_provision": ({"naa": NAA}, FAILED),
    "crossvisor.san.ptd_attach": ({"vm": "none", "naa": NAA}, FAILED),
    "crossvisor.san.vm_storage_map": ({}, FAILED),
}


def measure(rounds: int) -> Findings:
    """Measure all modules. Raises BenchFailed."""
    findings = Findings(
        "start-up of the modules",
        [
            "A row is 'ansible localhost -m MODULE': Ansible's own start, packing the module with what it imports, and running it.",
            "Ours find no endpoint and end with their message, before any library of a backend is imported; hypervisor_facts looks at the",
            "machine that it runs on. What logging in costs is in the tables above.",
        ],
    )
    series = interleaved({name: partial(_ad_hoc, name, *task) for name, task in TASKS.items()}, rounds)
    for name, found in series.items():
        findings.add_series(name, found, requests=False)
        findings.add(name, "CPU beyond ping", (found.cpu - series[PING].cpu) * MS_PER_S, "ms")
        if name != PING:
            findings.compare(name, PING, "wall")
            findings.promise(f"{name} : {PING}, CPU", RATIO, findings.compare(name, PING, "CPU"), MOST)
    return findings


def _ad_hoc(name: str, arguments: Mapping[str, Any], exit_code: int) -> Sample:
    given = ["-a", json.dumps(dict(arguments))] if arguments else []
    return spawn([tool("ansible"), "localhost", "-i", "localhost,", "-c", "local", "-m", name, *given], {}, exit_code=exit_code)
