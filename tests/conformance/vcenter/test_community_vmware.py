# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The community.vmware collection reads our vCenter, and attaches a raw disk to a VM, as it would with a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.vcenter.conftest import SPARE, Lab
from tests.lab.world import naa_at

PLAYBOOK = Path(__file__).with_name("community_vmware.yml")
MINUTES = 60.0


@pytest.fixture
def tasks(lab: Lab, tmp_path: Path) -> dict[str, Any]:
    """The result of each task, by name."""
    endpoint = lab.vcenter
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(tmp_path),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "LAB_HOST": endpoint.hostname,
        "LAB_PASSWORD": endpoint.password,
        "LAB_PORT": str(endpoint.port),
        "LAB_USERNAME": endpoint.username,
    }
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command = [str(playbook), "-i", "localhost,", "-c", "local", "-e", json.dumps({"naa": SPARE}), str(PLAYBOOK)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10 * MINUTES, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(run.stdout[run.stdout.index("{") :])
    return {task["task"]["name"]: task["hosts"]["localhost"] for task in report["plays"][0]["tasks"]}


def disks(result: dict[str, Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = result["guest_disk_info"]
    return [found[number] for number in sorted(found, key=int)]


def test_reads_agree_with_the_world_and_a_raw_disk_comes_and_goes(tasks: dict[str, Any], lab: Lab) -> None:
    adapters = {adapter["device"]: adapter for adapter in tasks["Adapters"]["hosts_vmhbas_info"]["esx01.lab"]["vmhba_details"]}
    assert adapters["vmhba2"]["port_wwn"] == "10:00:00:90:FA:01:00:02"
    assert (adapters["vmhba2"]["speed"], adapters["vmhba2"]["status"]) == (32, "online")
    assert adapters["vmhba64"]["driver"] == "iscsi_vmk"

    machines = {row["guest_name"]: row for row in tasks["Virtual machines"]["virtual_machines"]}
    assert (machines["app01"]["esxi_hostname"], machines["app01"]["cluster"]) == ("esx01.lab", "prod")
    assert machines["app01"]["folder"] == "/DC0/vm/apps"
    assert tasks["One virtual machine"]["instance"]["hw_power_status"] == "poweredOn"

    assert [(disk["backing_datastore"], disk["unit_number"]) for disk in disks(tasks["Image disks"])] == [("ds_single", 0), ("ds_span", 1)]
    image, raw = disks(tasks["Raw disks"])
    assert (image["iolimit_shares_level"], raw["backing_type"], raw["backing_compatibility_mode"]) == (
        "normal",
        "RawDiskMappingVer1",
        "physicalMode",
    )
    assert naa_at("/vol/vol_prod/shared_rdm") in raw["backing_lunuuid"]

    assert {row["name"] for row in tasks["Datastores"]["datastores"]} == {"ds_single", "ds_span", "ds_dev", "nfs01", "local-esx01"}
    canonical = {disk["canonical_name"] for disk in tasks["Disks of a host"]["hosts_disk_info"]["esx01.lab"]}
    assert f"naa.{naa_at('/vol/vol_prod/ds_single')}" in canonical

    assert tasks["Attach"]["changed"]
    attached = disks(tasks["Attached"])[1]
    assert (attached["unit_number"], attached["label"]) == (3, "Hard disk 2")
    assert attached["backing_lunuuid"] == f"0200000000{SPARE}4c554e20432d"
    assert len(disks(tasks["Detached"])) == 1
    assert lab.control("GET", "/state")["datastores"]["ds_single"].count("app01/app01_1.vmdk") == 0
