# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a map asks of an array with thousands of LUNs, beside a bare client that fetches the same pages.

``python -m tests.bench.luns ours`` asks as ``vm_storage_map`` does, ``… bare`` fetches the ``urls``. A ``Task`` as JSON comes by standard
input; printed is how many LUNs or records came.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.measure import BenchFailed, Sample, interleaved, spawn, watched
from tests.bench.report import RATIO, Findings
from tests.lab.client import ask
from tests.lab.inventory import connection
from tests.lab.launch import Endpoint, running_lab
from tests.lab.world import Size, World, naa_of

LUNS = 5000
OURS, BARE = "what vm_storage_map asks of the array", "bare requests"
BOUND = 2.5
"""What ours may cost at most, of the CPU of the bare client."""
_NOTES = [
    f"'{OURS}': one process that asks for all LUNs by their names, as a map does, and understands what the array tells of them.",
    f"'{BARE}' fetches the same pages, parses their JSON and does nothing with it.",
]


@dataclass(frozen=True)
class Task:
    """Which array to ask, and for what."""

    array: Mapping[str, Any]
    names: Sequence[str] = field(default=())
    urls: Sequence[str] = field(default=())


def measure(directory: Path, rounds: int, luns: int = LUNS) -> Findings:
    """Measure. Raises BenchFailed."""
    findings = Findings(f"An array with {luns} LUNs", _NOTES)
    with running_lab(["ontap"], directory, Size(stores=luns)) as endpoints:
        array = endpoints["ontap"]
        names = _names(json.loads((directory / "world.json").read_text()))
        ours = Task(connection(array), names)
        bare = Task(connection(array), urls=_asked(array, ours))
        contenders = {OURS: partial(_run, "ours", ours), BARE: partial(_run, "bare", bare)}
        series = interleaved({name: partial(watched, [array], run) for name, run in contenders.items()}, rounds)
    counts = {name: int(found.output) for name, found in series.items()}
    if counts[OURS] != len(names) or counts[BARE] < len(names):
        raise BenchFailed(f"Of {len(names)} LUNs were read: {counts}.")
    for case, found in series.items():
        findings.add_series(case, found)
    findings.compare(OURS, BARE, "wall")
    findings.promise(f"{OURS} : {BARE}, CPU at {luns} LUNs", RATIO, findings.compare(OURS, BARE, "CPU"), BOUND)
    return findings


def _names(world: World) -> list[str]:
    return [naa_of(lun["serial"]) for svm in world["array"]["svms"] for volume in svm["volumes"] for lun in volume["luns"]]


def _asked(array: Endpoint, task: Task) -> list[str]:
    """What ours asks the array."""
    ask(array.control_url, "DELETE", "/requests")
    _run("ours", task)
    return [request["path"] for request in ask(array.control_url, "GET", "/requests")["requests"]]


def _run(reader: str, task: Task) -> Sample:
    return spawn([sys.executable, "-m", "tests.bench.luns", reader], {}, json.dumps(asdict(task)).encode())


def read_as_a_map_does(task: Task) -> int:
    """Ask for the LUNs; return how many there are."""
    from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints import arrays
    from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
    from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import view

    sources = arrays.sources([task.array], lambda params: arrays.open_given(params, lambda complete: complete))
    answers = view(sources, [ScsiName(name) for name in task.names], with_exports=True)
    if answers.failures:
        raise BenchFailed(answers.failures[0])
    return len(answers.luns)


def read_bare(task: Task) -> int:
    """Fetch and parse; return the number of records."""
    import requests

    with requests.Session() as session:
        session.trust_env = False
        session.auth = (task.array["username"], task.array["password"])
        session.verify = task.array["ca_path"]
        base = f"https://{task.array['hostname']}:{task.array['port']}"
        return sum(len(session.get(base + url, timeout=600).json().get("records", ())) for url in task.urls)


READERS: Mapping[str, Callable[[Task], int]] = {"ours": read_as_a_map_does, "bare": read_bare}


if __name__ == "__main__":
    print(READERS[sys.argv[1]](Task(**json.load(sys.stdin))))
