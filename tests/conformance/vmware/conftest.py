# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One vCenter, read once by our modules and once by the peer's, in one playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import world
from tests.lab.launch import ROOT, Endpoint, Endpoints, running_lab

PLAYBOOK = Path(__file__).with_name("agreement.yml")
MINUTES = 60.0
OPTIONS = ("hostname", "port", "username", "password", "ca_path")


@dataclass(frozen=True)
class Results:
    """The results of the playbook's tasks, by their names."""

    tasks: Mapping[str, Any]

    def looped(self, task: str) -> Mapping[str, Any]:
        """The results of a task with a loop, by item."""
        return {result["item"]: result for result in self.tasks[task]["results"]}


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    directory = tmp_path_factory.mktemp("vmware")
    with running_lab(["vcenter"], directory / "lab") as endpoints:
        return Results(_play(_environment(endpoints, directory), _world_of_vcenter()))


def _world_of_vcenter() -> dict[str, Any]:
    vcenter = world.build()["vcenter"]
    return {
        "cluster_names": [cluster["name"] for cluster in vcenter["clusters"]],
        "host_names": [host["name"] for cluster in vcenter["clusters"] for host in cluster["hosts"]],
        "vm_uuids": [vm["uuid"] for vm in vcenter["vms"]],
    }


def _environment(endpoints: Endpoints, directory: Path) -> dict[str, str]:
    vcenter = endpoints["vcenter"]
    return {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
        "ANSIBLE_HOME": str(directory / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        **_variables("HYPERVISOR", vcenter),
        **_variables("ARRAY", endpoints["ontap"]),
        "SSL_CERT_FILE": vcenter.ca_path,
        "VMWARE_HOST": vcenter.hostname,
        "VMWARE_PASSWORD": vcenter.password,
        "VMWARE_PORT": str(vcenter.port),
        "VMWARE_USER": vcenter.username,
    }


def _variables(role: str, endpoint: Endpoint) -> dict[str, str]:
    return {f"CROSSVISOR_{role}_{option.upper()}": str(getattr(endpoint, option)) for option in OPTIONS}


def _play(environment: Mapping[str, str], variables: Mapping[str, Any]) -> dict[str, Any]:
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command = [str(playbook), "-i", "localhost,", "-c", "local", "-e", json.dumps(variables), str(PLAYBOOK)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10 * MINUTES, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(run.stdout[run.stdout.index("{") :])
    return {task["task"]["name"]: task["hosts"]["localhost"] for task in report["plays"][0]["tasks"]}
