# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time and requests of one process, and medians over interleaved rounds of several."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.lab.client import ask
from tests.lab.launch import ROOT, Endpoint

BUILD = ROOT / "build"
COLLECTIONS = BUILD / "collections"
WORK = BUILD / "bench"
_METER = Path(__file__).with_name("meter.py")
_TAIL_CHARACTERS = 2000


class BenchFailed(RuntimeError):
    """Something that was to be measured did not do its work."""


@dataclass(frozen=True)
class Sample:
    """One run of a process and of the processes it waited for."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system."""
    output: bytes
    memory: float = 0
    """Peak of the resident set, MiB."""
    requests: Counter[str] = field(default_factory=Counter)
    """How often each method was called at the watched servers; for REST the method is that of HTTP."""


@dataclass(frozen=True)
class Series:
    """The samples of one contender."""

    samples: Sequence[Sample]

    @property
    def wall(self) -> float:
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def memory(self) -> float:
        return max(sample.memory for sample in self.samples)

    @property
    def output(self) -> bytes:
        return self.samples[-1].output

    @property
    def requests(self) -> Counter[str]:
        """Those of the run that made the most."""
        return max((sample.requests for sample in self.samples), key=Counter.total)


Contender = Callable[[], Sample]


def interleaved(contenders: Mapping[str, Contender], rounds: int) -> dict[str, Series]:
    """Run all contenders in turn, ``rounds`` times, after one round that warms caches and is not counted."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            sample = run()
            if turn:
                samples[name].append(sample)
    return {name: Series(found) for name, found in samples.items()}


def spawn(command: Sequence[str], variables: Mapping[str, str], stdin: bytes = b"", exit_code: int = 0) -> Sample:
    """Run a command to its end. Raises BenchFailed when it ends with another code than expected."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile() as report:
        source.write(stdin)
        source.seek(0)
        metered = [sys.executable, "-I", str(_METER), report.name, *command]
        subprocess.run(metered, stdin=source, stdout=output, stderr=output, env={**_environment(), **variables}, cwd=ROOT, check=True)
        cost = json.load(report)
        output.seek(0)
        printed = output.read()
    ended = cost.pop("exit_code")
    if ended != exit_code:
        tail = printed[-_TAIL_CHARACTERS:].decode(errors="replace")
        raise BenchFailed(f"{' '.join(command[:4])} ended with {ended}, not {exit_code}:\n{tail}")
    return Sample(output=printed, **cost)


def run_module(name: str, arguments: Mapping[str, Any], variables: Mapping[str, str] | None = None) -> Sample:
    """Run a module, named in full, as Ansible starts it on a target: one process, arguments by standard input. Raises BenchFailed."""
    namespace, collection, module = name.split(".")
    program = f"ansible_collections.{namespace}.{collection}.plugins.modules.{module}"
    return spawn([sys.executable, "-m", program], variables or {}, json.dumps({"ANSIBLE_MODULE_ARGS": dict(arguments)}).encode())


def watched(servers: Sequence[Endpoint], run: Contender) -> Sample:
    """Run, and count the requests that the servers get meanwhile."""
    for server in servers:
        ask(server.control_url, "DELETE", "/requests")
    sample = run()
    requests = Counter(request["method"] for server in servers for request in ask(server.control_url, "GET", "/requests")["requests"])
    return replace(sample, requests=requests)


def tool(name: str) -> str:
    """The path of a command of this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def _environment() -> dict[str, str]:
    """For everything that is measured: no setting of the user's counts, and byte code is cached, outside of the working tree."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "CROSSVISOR_", "PYTHON", "VMWARE_"))}
    return {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(WORK / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "PYTHONPATH": str(COLLECTIONS),
        "PYTHONPYCACHEPREFIX": str(WORK / "pycache"),
    }
