# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sites as AWX's mesh reaches them: a job is transmitted, a worker at the site runs it, and what it streams back is processed here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.modules import COLLECTIONS
from tests.processes import ended

RUNNER = str(Path(sys.executable).parent / "ansible-runner")
TIMEOUT_SECONDS = 180


@dataclass(frozen=True)
class Site:
    """A job on its way to a worker and back; each of its three ends has a directory of its own."""

    directory: Path
    inventory: Mapping[str, Any]

    @property
    def returned(self) -> Path:
        """What came back."""
        return self.directory / "returned"

    def run(self, playbook: str, variables: Mapping[str, Any], until: str = "") -> int:
        """Run a playbook there and tell how processing what came back ended; the worker is killed once it tells of `until`."""
        job = self._transmitted(playbook, variables)
        stream = self._worked(job, until)
        return subprocess.run([RUNNER, "process", str(self.returned)], input=stream, check=False, **self._surroundings()).returncode

    def _transmitted(self, playbook: str, variables: Mapping[str, Any]) -> bytes:
        job = self.directory / "job"
        for name, content in (("inventory/hosts.json", self.inventory), ("env/extravars", variables)):
            file = job / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(json.dumps(content))
        (job / "project").mkdir(exist_ok=True)
        command = [RUNNER, "transmit", str(job), "--playbook", playbook]
        sent: bytes = subprocess.run(command, check=True, **self._surroundings()).stdout
        return sent

    def _worked(self, job: bytes, until: str) -> bytes:
        """The stream of the worker, as far as it came."""
        there = self.directory / "worker"
        there.mkdir(exist_ok=True)
        (self.directory / "stream").write_bytes(job)
        command = [RUNNER, "worker", "--private-data-dir", str(there)]
        told: list[bytes] = []
        with (self.directory / "stream").open("rb") as given:
            surroundings = {**self._surroundings(), "stdin": given, "stderr": subprocess.DEVNULL}
            surroundings.pop("timeout")
            with subprocess.Popen(command, start_new_session=True, **surroundings) as worker, ended(worker):
                assert worker.stdout is not None
                for line in worker.stdout:
                    told.append(line)
                    if until and until.encode() in line:
                        break
                else:
                    worker.wait(TIMEOUT_SECONDS)
        return b"".join(told)

    def _surroundings(self) -> dict[str, Any]:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        }
        return {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": TIMEOUT_SECONDS}
