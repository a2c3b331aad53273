# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task of each module takes in a playbook, beside ansible.builtin.ping, which does nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.bench.measure import WORK, Sample, Series, interleaved, spawn, tool
from tests.bench.report import RATIO, Findings

PING = "ansible.builtin.ping"
AS_EVER = {"CROSSVISOR_IN_PROCESS": "false"}
MOST = 1.0
TASKS = 10
MS_PER_S = 1000
NAA = "600a098038304c61622d616161616131"

MODULES: Mapping[str, Mapping[str, Any]] = {
    PING: {},
    "crossvisor.san.hypervisor_facts": {},
    "crossvisor.san.hba_info": {"hosts": ["none"]},
    "crossvisor.san.lun_provision": {"naa": NAA},
    "crossvisor.san.ptd_attach": {"vm": "none", "naa": NAA},
    "crossvisor.san.vm_storage_map": {},
}


def measure(rounds: int) -> Findings:
    """Measure all modules. Raises BenchFailed."""
    findings = Findings(
        "tasks of the modules",
        [
            f"A row is what one task costs: a playbook with {TASKS + 1} of them, less one with a single task, divided by {TASKS}.",
            "Ours find no endpoint and end with their message, before any library of a backend is imported; hypervisor_facts looks at the",
            "machine that it runs on. What logging in costs is in the tables above. 'As ever' is CROSSVISOR_IN_PROCESS=false.",
        ],
    )
    series = interleaved(_contenders(), rounds)
    ping = _per_task(series, PING)
    for name in MODULES:
        cpu = _per_task(series, name)
        findings.add(name, "CPU per task", cpu * MS_PER_S, "ms")
        if name != PING:
            findings.add(f"{name}, as ever", "CPU per task", _per_task(series, name, as_ever=True) * MS_PER_S, "ms")
            findings.promise(f"{name} : {PING}, CPU per task", RATIO, cpu / ping, MOST)
    return findings


def _contenders() -> dict[str, partial[Sample]]:
    ways = {False: MODULES, True: [name for name in MODULES if name != PING]}
    return {
        _key(name, count, as_ever): partial(_play, name, count, AS_EVER if as_ever else {})
        for as_ever, names in ways.items()
        for name in names
        for count in (1, TASKS + 1)
    }


def _per_task(series: Mapping[str, Series], name: str, as_ever: bool = False) -> float:
    """Seconds of CPU."""
    return (series[_key(name, TASKS + 1, as_ever)].cpu - series[_key(name, 1, as_ever)].cpu) / TASKS


def _key(name: str, count: int, as_ever: bool = False) -> str:
    return f"{count} {name}{', as ever' if as_ever else ''}"


def _play(name: str, count: int, variables: Mapping[str, str]) -> Sample:
    playbook = WORK / f"{name}-{count}.json"
    task = {name: dict(MODULES[name]), "ignore_errors": True}
    playbook.parent.mkdir(parents=True, exist_ok=True)
    playbook.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task] * count}]))
    return spawn([tool("ansible-playbook"), "-i", "localhost,", str(playbook)], variables)
