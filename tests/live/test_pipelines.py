# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks as AWX runs them: by ansible-runner, with credentials in the environment, handing artifacts from job to job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.live.lab import ARRAY, HYPERVISOR, Lab
from tests.live.pipeline import Controller, credential

TAKE = "Take a disk from a VM"
GIVE_AND_MAP = "Give a VM a disk and map it"
DISK = {"vm": "app01", "svm": "svm_san", "volume": "vol_prod", "lun": "app01_data"}
GIB = 1024**3
SCHEMA = Path(__file__).resolve().parents[2] / "roles" / "storage_report" / "files" / "storage_map.schema.json"


def controller_of(lab: Lab, directory: Path, inventory: dict[str, Any]) -> Controller:
    credentials = {
        "crossvisor.san hypervisor": credential(lab.endpoints[HYPERVISOR]),
        "crossvisor.san array": credential(lab.endpoints[ARRAY]),
    }
    return Controller(directory, credentials, inventory)


def test_a_workflow_gives_a_disk_maps_it_and_takes_it_back(lab: Lab, tmp_path: Path) -> None:
    controller, report, before = controller_of(lab, tmp_path, {}), tmp_path / "report", lab.state()
    gave, mapped = controller.launch_workflow(GIVE_AND_MAP, {**DISK, "size": "1GiB", "directory": str(report)})
    assert (gave.code, mapped.code) == (0, 0), gave.output + mapped.output
    assert set(gave.artifacts) == {"crossvisor_disks"}
    disk = gave.artifacts["crossvisor_disks"]["localhost"]
    assert (disk["vm"], disk["changed"], disk["lun"]["size_bytes"]) == ("app01", True, GIB)
    assert disk["lun"]["naa"] == "600a0980" + disk["lun"]["serial"].encode().hex()
    written = json.loads((report / "storage_map.json").read_text())
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(written)
    assert [(one["name"], one["status"]) for one in written["endpoints"]] == [("localhost", "ok")]
    mappings = written["mappings"]
    assert [row["vm_name"] for row in mappings if row["naa"] == disk["lun"]["naa"]] == ["app01"]
    unresolved = [row for row in mappings if row["status"] == "unresolved"]
    assert mapped.artifacts["crossvisor_maps"] == {"localhost": {"disks": len(mappings), "unresolved": len(unresolved)}}
    taken = controller.launch(TAKE, {"vm": disk["vm"], "naa": disk["lun"]["naa"], "delete": "true"})
    assert taken.code == 0, taken.output
    assert lab.state() == before
    kept = [gave.told, mapped.told, taken.told]
    assert all("app01" in text for text in kept)
    assert [lab.endpoints[server].password for server in lab.servers for text in kept if lab.endpoints[server].password in text] == []


def test_hosts_of_one_play_do_not_overwrite_each_other_s_disks(lab: Lab, tmp_path: Path) -> None:
    disks = {"first": {**DISK, "lun": "first"}, "second": {**DISK, "vm": "app02", "lun": "second"}, "bad": {**DISK, "vm": "nobody"}}
    controller = controller_of(lab, tmp_path, {"all": {"hosts": disks}})
    job = controller.launch_playbook("playbooks/provision_disk.yml", {"target": "all", "size": "1GiB"})
    handed = job.artifacts["crossvisor_disks"]
    assert job.code != 0, "the third host has no such VM"
    assert {host: (disk["vm"], disk["lun"]["path"]) for host, disk in handed.items()} == {
        "first": ("app01", "/vol/vol_prod/first"),
        "second": ("app02", "/vol/vol_prod/second"),
    }
    assert handed["first"]["lun"]["naa"] != handed["second"]["lun"]["naa"]
