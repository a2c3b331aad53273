# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus and node_exporter as Debian packages them, started from build/ for a test and for nobody else."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.lab.ports import free_port
from tests.live.modules import ROOT
from tests.processes import ended

PACKAGES = ("prometheus", "prometheus-node-exporter")
BINARIES = ROOT / "build" / "unpacked" / "usr" / "bin"
RULES = ROOT / "monitoring" / "rules" / "crossvisor.yml"
_PATIENCE_SECONDS = 60
_CONFIGURATION = {"scrape_interval": "1s", "evaluation_interval": "1s"}
_CANNOT_RUN = 77
_Seen = TypeVar("_Seen")
_open = build_opener(ProxyHandler({})).open


def unpack() -> None:
    """Make the programs be there; where this machine cannot get them, the test is skipped with the reason."""
    done = subprocess.run(
        [ROOT / "scripts" / "unpacked-packages", *PACKAGES], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode == _CANNOT_RUN:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr


def promtool(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """`promtool ARGUMENTS < TEXT`."""
    return subprocess.run([BINARIES / "promtool", *arguments], input=text, capture_output=True, text=True, check=False, timeout=60)


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that scrapes one node_exporter."""

    url: str
    textfiles: Path
    """What node_exporter reads: `*.prom`."""

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that it answers, each with `metric` and `value`."""
        with _open(f"{self.url}/api/v1/query?{urlencode({'query': expression})}", timeout=10) as answer:
            series: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return series

    def until(self, expression: str, wanted: Callable[[Sequence[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """What it answers once that is as wanted; what it answers last when it never is."""
        return eventually(lambda: self.query(expression), wanted)


@contextmanager
def running_prometheus(directory: Path) -> Iterator[Prometheus]:
    """Start both, and end both."""
    textfiles = directory / "textfiles"
    textfiles.mkdir()
    exporter, server = free_port(), free_port()
    configuration = {
        "global": _CONFIGURATION,
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]}],
    }
    (directory / "prometheus.yml").write_text(json.dumps(configuration))
    with ExitStack() as ends:
        for command in (
            ["prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
             f"--collector.textfile.directory={textfiles}", f"--web.listen-address=127.0.0.1:{exporter}"],
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{server}"],
        ):  # fmt: skip
            ends.enter_context(_running(command, directory / f"{command[0]}.log"))
        there = Prometheus(f"http://127.0.0.1:{server}", textfiles)
        assert eventually(lambda: _answers(there), bool), (directory / "prometheus.log").read_text()
        yield there


def eventually(look: Callable[[], _Seen], wanted: Callable[[_Seen], Any]) -> _Seen:
    """What is seen as soon as it is wanted, or last."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not wanted(seen := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return seen


def _answers(prometheus: Prometheus) -> list[dict[str, Any]]:
    try:
        return prometheus.query("up == 1")
    except (URLError, ConnectionError, TimeoutError):
        return []


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[None]:
    with (
        log.open("w") as output,
        subprocess.Popen([str(BINARIES / command[0]), *command[1:]], stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process,
        ended(process, 30),
    ):
        yield
