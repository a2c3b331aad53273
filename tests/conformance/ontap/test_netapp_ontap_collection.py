# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetApp's Ansible collection runs the life of a LUN against our array, and finds nothing to do the second time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.lab.ontap.running import Running
from tests.lab.world import naa_of

PLAYBOOK, SNAPSHOTS = (Path(__file__).with_name(name) for name in ("lifecycle.yml", "snapshots.yml"))
MAP, INFO = "Map the LUN", "Read everything a SAN client reads"
ZAPI_INFO = f"{INFO} over ZAPI"
MINUTES = 60.0
GROUP = {
    "svm.name": "svm_san",
    "name": "conformance",
    "volumes": [{"name": name, "provisioning_options": {"action": "add"}} for name in ("vol_prod", "vol_dev")],
}


@pytest.fixture
def environment(array: Running, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "ANSIBLE_HOME": str(tmp_path),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "LAB_PASSWORD": array.password,
        "LAB_PORT": str(array.port),
        "LAB_USERNAME": array.username,
        "REQUESTS_CA_BUNDLE": str(array.authority),
        "SSL_CERT_FILE": str(array.authority),
    }


def play(environment: dict[str, str], playbook: Path = PLAYBOOK, **variables: Any) -> tuple[dict[str, int], dict[str, Any]]:
    """Run the playbook; return its statistics and each task's result by name."""
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [str(program), "-i", "localhost,", "-c", "local", "-e", json.dumps(variables), str(playbook)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10 * MINUTES, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(run.stdout[run.stdout.index("{") :])
    tasks = {task["task"]["name"]: task["hosts"]["localhost"] for task in report["plays"][0]["tasks"]}
    return report["stats"]["localhost"], tasks


def test_the_life_of_a_lun(environment: dict[str, str], array: Running) -> None:
    assert play(environment, initiators=1)[0]["changed"] == 3
    again, tasks = play(environment, initiators=1)
    assert again["changed"] == 0
    assert tasks[MAP]["lun_naa_id"] == naa_of(lun_of(tasks)["serial_number"])
    assert presented(array, "iqn.1998-01.com.example:collection") == [7]

    grown, tasks = play(environment, size=3)
    assert grown["changed"] == 2, "one more initiator and one more gibibyte"
    assert lun_of(tasks)["space"]["size"] == 3 * 1024**3
    assert presented(array, "10:00:00:00:c9:00:00:02") == [7]

    assert play(environment, state="absent")[0]["changed"] == 3
    assert play(environment, state="absent")[0]["changed"] == 0


def test_the_life_of_a_lun_over_zapi(environment: dict[str, str], array: Running) -> None:
    assert play(environment, use_rest="never", initiators=1)[0]["changed"] == 3
    again, tasks = play(environment, use_rest="never", initiators=1)
    assert again["changed"] == 0
    told = tasks[ZAPI_INFO]["ontap_info"]
    assert tasks[MAP]["lun_naa_id"] == naa_of(told["lun_info"]["svm_san:/vol/vol_prod/collection"]["serial_number"])
    assert presented(array, "iqn.1998-01.com.example:collection") == [7]

    grown, tasks = play(environment, use_rest="never", size=3)
    assert grown["changed"] == 2, "one more initiator and one more gibibyte"
    assert int(tasks[ZAPI_INFO]["ontap_info"]["lun_info"]["svm_san:/vol/vol_prod/collection"]["size"]) == 3 * 1024**3
    assert presented(array, "10:00:00:00:c9:00:00:02") == [7]

    assert play(environment, use_rest="never", state="absent")[0]["changed"] == 3
    # The module that unmaps asks for the maps of a LUN that is gone, and passes on that there is none.
    assert play(environment, use_rest="never", state="absent", unmap=False)[0]["changed"] == 0
    assert {row["method"] for row in array.control("GET", "/requests")["requests"]} == {"ZAPI"}


def test_snapshots_of_a_volume_and_of_a_group(environment: dict[str, str], array: Running) -> None:
    groups = f"https://localhost:{array.port}/api/application/consistency-groups"
    access: dict[str, Any] = {"auth": (array.username, array.password), "verify": str(array.authority), "timeout": MINUTES}
    group = requests.post(f"{groups}?return_records=true", json=GROUP, **access).json()["records"][0]["uuid"]
    assert play(environment, SNAPSHOTS)[0]["changed"] == 2
    assert play(environment, SNAPSHOTS, comment="changed")[0]["changed"] == 1, "the comment of one, and nothing of the other"
    assert play(environment, SNAPSHOTS, state="absent")[0]["changed"] == 2
    assert requests.delete(f"{groups}/{group}", **access).ok


def test_snapshots_of_a_volume_over_zapi(environment: dict[str, str], array: Running) -> None:
    """Its module for several volumes refuses itself over ZAPI, for an option that it sets by default."""
    assert play(environment, SNAPSHOTS, use_rest="never")[0]["changed"] == 1
    assert play(environment, SNAPSHOTS, use_rest="never")[0]["changed"] == 0
    stats, tasks = play(environment, SNAPSHOTS, use_rest="never", snapshot="renamed", from_name="conformance", comment="changed")
    assert stats["changed"] == 1
    (told,) = tasks["Read the snapshots over ZAPI"]["ontap_info"]["snapshot_info"].values()
    assert (told["name"], told["comment"], told["snapmirror_label"], told["busy"]) == ("renamed", "changed", "daily", "false")
    assert play(environment, SNAPSHOTS, use_rest="never", snapshot="renamed", state="absent")[0]["changed"] == 1
    assert {row["method"] for row in array.control("GET", "/requests")["requests"]} == {"ZAPI"}


def lun_of(tasks: dict[str, Any]) -> dict[str, Any]:
    rows = tasks[INFO]["ontap_info"]["storage/luns"]["records"]
    row: dict[str, Any] = next(row for row in rows if row["name"] == "/vol/vol_prod/collection")
    return row


def presented(array: Running, initiator: str) -> list[int]:
    return [row["lun"] for row in array.control("GET", f"/presented?initiator={initiator}")]
