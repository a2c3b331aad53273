# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs as AWX runs them: ansible-runner with a private directory, credentials in the environment, artifacts in the job's last event."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import awx
from tests.lab.launch import Endpoint
from tests.live.modules import COLLECTIONS, ROOT
from tests.processes import ended

TIMEOUT_SECONDS = 180


def credential(endpoint: Endpoint) -> dict[str, Any]:
    """What somebody enters into AWX to reach an endpoint of the lab."""
    return {
        "hostname": endpoint.hostname,
        "port": str(endpoint.port),
        "username": endpoint.username,
        "password": endpoint.password,
        "ca_certificates": Path(endpoint.ca_path).read_text(),
    }


@dataclass(frozen=True)
class Job:
    """A job that has ended."""

    code: int
    directory: Path

    @property
    def output(self) -> str:
        """What ansible-playbook printed."""
        return (self.directory / "stdout").read_text()

    @property
    def artifacts(self) -> dict[str, Any]:
        """What AWX hands to the next job of a workflow."""
        (last,) = (event for event in self._events() if event["event"] == "playbook_on_stats")
        return dict(last["event_data"]["artifact_data"])

    @property
    def told(self) -> str:
        """All that AWX keeps of the job: what was printed, and every event."""
        return self.output + json.dumps(self._events())

    def _events(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in (self.directory / "job_events").glob("*.json")]


@dataclass(frozen=True)
class Controller:
    """Starts jobs from the templates of awx/, as AWX does."""

    directory: Path
    credentials: Mapping[str, Mapping[str, Any]]
    """By the name of the credential's type."""
    inventory: Mapping[str, Any]
    image: str = ""
    """The execution environment in whose container jobs run; without one, they run in this Python's."""

    def launch(self, template: str, given: Mapping[str, Any], artifacts: Mapping[str, Any] | None = None) -> Job:
        """Run a job template with these answers to its survey, and the artifacts of the jobs before it in a workflow."""
        definition = awx.named("templates", template)
        return self.launch_playbook(definition["playbook"], {**(artifacts or {}), **awx.answers(definition, given)})

    def launch_playbook(self, playbook: str, variables: Mapping[str, Any]) -> Job:
        """Run a playbook of the project, as a job template without a survey does."""
        self._write("env/envvars", self._environment())
        self._write("env/extravars", variables)
        self._write("inventory/hosts.json", self.inventory)
        project = self.directory / "project"
        if not project.exists():
            project.symlink_to(ROOT)
        job = f"job{len(list(self.directory.glob('artifacts/*')))}"
        runner = [str(Path(sys.executable).parent / "ansible-runner"), "run", str(self.directory)]
        command = [*runner, "--playbook", playbook, "--ident", job, "--quiet", *self._isolation()]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=self._surroundings()) as running, ended(running):
            code = running.wait(TIMEOUT_SECONDS)
        return Job(code, self.directory / "artifacts" / job)

    def launch_workflow(self, workflow: str, given: Mapping[str, Any]) -> list[Job]:
        """Run the job templates of a workflow, each with the artifacts of those before it."""
        definition = awx.named("workflows", workflow)
        answers = awx.answers(definition, given)
        jobs: list[Job] = []
        for template in awx.in_order(definition):
            jobs.append(self.launch(template, answers, {name: value for job in jobs for name, value in job.artifacts.items()}))
        return jobs

    def _environment(self) -> dict[str, str]:
        files = self.directory / "credentials"
        files.mkdir(exist_ok=True)
        return {
            variable: text for kind, given in self.credentials.items() for variable, text in awx.environment(kind, given, files).items()
        }

    def _isolation(self) -> list[str]:
        """Options for the container, in which the lab and the files of the credentials are where they are here."""
        if not self.image:
            return []
        container = ["--process-isolation", "--process-isolation-executable", "podman", "--container-image", self.image]
        options = [f"--container-option={option}" for option in ("--network=host", "--user=root", "--pull=never")]
        return [*container, *options, "--container-volume-mount", f"{self.directory}:{self.directory}:ro"]

    def _surroundings(self) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            **({} if self.image else {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}),
            **{name: value for name, value in os.environ.items() if name.startswith("CONTAINERS_")},
        }

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        file = self.directory / name
        file.parent.mkdir(exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(content))
