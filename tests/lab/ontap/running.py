# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start the array as a process of its own, for tests."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.certificates import issue
from tests.processes import ended

ROOT = Path(__file__).resolve().parents[3]
USERNAME = "admin"
STOP_SECONDS = 10


@dataclass(frozen=True)
class Running:
    """How to reach a started array."""

    port: int
    control_port: int
    username: str
    password: str
    authority: Path

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control port and return its JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.control_port}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def running(directory: Path, *options: str) -> Iterator[Running]:
    """Serve the default world over TLS until the block ends; certificates go to ``directory``."""
    files = issue(directory)
    password = secrets.token_urlsafe(16)
    command = [sys.executable, "-m", "tests.lab.ontap", "--cert", str(files.certificate), "--key", str(files.key), *options]
    environment = {**os.environ, "LAB_USERNAME": USERNAME, "LAB_PASSWORD": password}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process, ended(process, STOP_SECONDS):
        ports = _ready(process)
        yield Running(ports["port"], ports["control_port"], USERNAME, password, files.authority)


def _ready(process: subprocess.Popen[str]) -> dict[str, int]:
    assert process.stdout is not None
    word, _between, ports = process.stdout.readline().partition(" ")
    if word != "READY":
        raise RuntimeError("The ONTAP server of the lab did not start; its message is on stderr.")
    loaded: dict[str, int] = json.loads(ports)
    return loaded
