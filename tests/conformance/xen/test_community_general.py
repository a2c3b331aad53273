# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""community.general's modules for Xen read VMs, give one a disk, start and stop another, as they would with a real pool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.xen.conftest import MINUTES, Lab

PLAYBOOK = Path(__file__).with_name("community_general.yml")
GIB = 1024**3


@pytest.fixture
def tasks(lab: Lab, tmp_path: Path) -> dict[str, Any]:
    """The result of each task, by name."""
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(tmp_path),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "SSL_CERT_FILE": lab.pool.ca_path,
        "LAB_URL": lab.url,
        "LAB_USERNAME": lab.pool.username,
        "LAB_PASSWORD": lab.pool.password,
    }
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command = [str(playbook), "-i", "localhost,", "-c", "local", str(PLAYBOOK)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=5 * MINUTES, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(run.stdout[run.stdout.index("{") :])
    return {task["task"]["name"]: task["hosts"]["localhost"] for task in report["plays"][0]["tasks"]}


def disks(result: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(disk["vbd_userdevice"], disk["size"], disk["sr"]) for disk in result["instance"]["disks"]]


def test_reads_agree_with_the_world_and_a_disk_comes(tasks: dict[str, Any], lab: Lab) -> None:
    assert disks(tasks["Running"]) == [("0", 20 * GIB, "san-iscsi"), ("1", 20 * GIB, "luns")]
    assert tasks["Running"]["instance"]["state"] == "poweredon"

    assert (tasks["Give a disk"]["changed"], tasks["Same again"]["changed"]) == (True, False)
    assert disks(tasks["With the disk"]) == [("0", 20 * GIB, "san-fc"), ("1", 3 * GIB, "images-nfs")]
    assert lab.control("GET", "/state")["vms"]["xenapp01"]["slots"][1] == "  1 vhd data"

    assert [tasks[name]["instance"]["state"] for name in ("Start", "Stop")] == ["poweredon", "poweredoff"]
    assert "multiple" in tasks["Two of one name"]["msg"]
