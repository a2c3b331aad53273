# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task's result is the same, to the byte, whether its module runs in the playbook's worker or as Ansible runs any module.

`ANSIBLE_PLAYBOOK` names the ansible-playbook of another ansible-core than that of the tests.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.lab.launch import ROOT, Endpoint, Endpoints, running_lab
from tests.lab.world import naa_at
from tests.live.lab import Lab

PLAYBOOK = Path(__file__).with_name("tasks.yml")
PROGRAM = Path(os.environ.get("ANSIBLE_PLAYBOOK") or Path(sys.executable).with_name("ansible-playbook"))
MINUTES = 60.0
OPTIONS = ("type", "hostname", "port", "username", "password", "ca_path")
OF_THE_RUN = re.compile(
    r'crossvisor\.san:[0-9a-f]{16}|"(?:start|end|duration|observed|create_time|ansible_job_id|results_file)": "?[^",}]*"?|"frame": "[^"]*"'
)
"""What no two runs have in common: who made a LUN and when, when a task ran and as which number, when it looked, which line a limit met."""

Results = Mapping[str, Any]


def connection(endpoint: Endpoint) -> dict[str, Any]:
    return {name: value for name, value in asdict(endpoint).items() if name in OPTIONS}


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    with running_lab(["vcenter"], tmp_path_factory.mktemp("lab")) as found:
        yield found


def play(endpoints: Endpoints, home: Path, in_process: bool) -> str:
    """The results of all tasks, as the callback for programs prints them."""
    Lab(endpoints).reset()
    array = connection(endpoints["ontap"])
    variables = {
        "array": array,
        "endpoint": {f"CROSSVISOR_ARRAY_{name.upper()}": str(value) for name, value in array.items() if name != "type"},
        "hypervisor": connection(endpoints["vcenter"]),
        "interpreter": str(PROGRAM.with_name("python")),
        "nowhere": naa_at("/vol/vol_dev/spare"),
    }
    (home / "variables.json").write_text(json.dumps(variables))
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": os.environ.get("ANSIBLE_COLLECTIONS_PATH") or str(ROOT / "build" / "collections"),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "CROSSVISOR_IN_PROCESS": str(in_process).lower(),
    }
    command = [str(PROGRAM), "-i", "localhost,", "-e", f"@{home / 'variables.json'}", "-v", str(PLAYBOOK)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10 * MINUTES, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout[run.stdout.index("{") :]


def tasks(report: str) -> Results:
    return {task["task"]["name"]: task["hosts"]["localhost"] for task in json.loads(report)["plays"][0]["tasks"]}


def comparable(results: Results) -> dict[str, str]:
    """The text of each result; a LUN's own names are new with every LUN."""
    made = results["Created"]
    names = re.compile("|".join(re.escape(made[name]) for name in ("uuid", "naa", "serial")))
    return {task: names.sub("", OF_THE_RUN.sub("", json.dumps(result, indent=1, ensure_ascii=False))) for task, result in results.items()}


@pytest.fixture(scope="module")
def reports(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What a playbook prints whose modules run in the worker, and one whose modules run as ever."""
    return play(endpoints, tmp_path_factory.mktemp("worker"), True), play(endpoints, tmp_path_factory.mktemp("usual"), False)


def test_every_task_has_the_same_result(reports: tuple[str, str]) -> None:
    worker, usual = (comparable(tasks(report)) for report in reports)
    assert [*worker] == [*usual]
    for name, result in usual.items():
        assert worker[name] == result, name


def test_the_tasks_show_what_they_are_there_for(reports: tuple[str, str]) -> None:
    results, array = tasks(reports[0]), json.loads(reports[0])["plays"][0]
    assert array["play"]["name"] == "Both ways"
    assert results["Check mode with diff"]["diff"]["after"]
    assert [results[name]["changed"] for name in ("Check mode with diff", "Created", "Hidden", "Deleted")] == [True, True, False, True]
    assert results["Unchanged, in a loop, by an alias"]["changed"] is False
    assert "could not be asked" in str(results["A warning"]["warnings"])
    assert "******" in results["A secret in what the array is asked for"]["msg"]
    assert "Unsupported parameters" in results["An option that there is not"]["msg"]
    assert results["A time limit"]["failed"]
    assert "ansible_facts" in results["A fact"]
    assert "censored" in results["Hidden"]


def test_no_secret_is_told(reports: tuple[str, str], endpoints: Endpoints) -> None:
    for report in reports:
        assert endpoints["ontap"].password not in report
        assert endpoints["vcenter"].password not in report
