# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A map of several sites: each writes its own through ansible-runner's pipes, and a merge joins what arrived and names what did not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.live.commands import Commands, Run
from tests.live.lab import HYPERVISOR, Lab, XenLab
from tests.live.sites import Site

MAP = "crossvisor.san.storage_map"
EAST, WEST = "vc-east", "vc-west"
ARTIFACTS = "{{ lookup('ansible.builtin.env', 'AWX_ISOLATED_DATA_DIR') }}/crossvisor"
"""What a worker leaves there comes back with the job's artifacts."""
VARIABLES = {"target": "all", "directory": ARTIFACTS}
LONG_AGO = "2020-01-01T00:00:00Z"


def site(lab: Lab, directory: Path, endpoint: str) -> Site:
    there = directory / endpoint
    there.mkdir()
    return Site(there, {"all": {"hosts": {endpoint: {"hypervisor": lab.hypervisor, "arrays": [lab.array]}}}})


@pytest.fixture
def east(lab: Lab, tmp_path: Path) -> Site:
    return site(lab, tmp_path, EAST)


@pytest.fixture
def west(lab: Lab, tmp_path: Path) -> Site:
    return site(lab, tmp_path, WEST)


def merge(directory: Path, *maps: Path, **variables: Any) -> tuple[Run, dict[str, Any]]:
    report = directory / "report"
    given = {"maps": [str(path) for path in maps], "directory": str(report), "expected": [EAST, WEST], **variables}
    run = Commands(directory).playbook("crossvisor.san.merge_maps", **given)
    assert run.code == 0, run.output
    return run, json.loads((report / "storage_map.json").read_text())


def states(document: dict[str, Any]) -> dict[str, str]:
    return {endpoint["name"]: endpoint["status"] for endpoint in document["endpoints"]}


def vms(document: dict[str, Any], endpoint: str) -> set[str]:
    return {row["vm_id"] for row in document["mappings"] if row["endpoint"] == endpoint}


def of_another_vcenter(site: Site) -> None:
    """The lab has one vCenter, which would count once: let the map of a site say that it is of another."""
    (partial,) = site.returned.rglob("storage_map.json")
    document = json.loads(partial.read_text())
    partial.write_text(json.dumps({**document, "endpoints": [{**told, "identity": WEST} for told in document["endpoints"]]}))


def test_two_sites_become_one_map_and_a_worker_that_was_killed_is_named(lab: Lab, east: Site, west: Site, tmp_path: Path) -> None:
    assert west.run(MAP, VARIABLES) == 0
    of_another_vcenter(west)
    east.run(MAP, VARIABLES, until="TASK [crossvisor.san.storage_report : Map the VMs]")
    assert list(east.returned.rglob("storage_map.json")) == []

    run, document = merge(tmp_path, west.returned, east.returned)
    assert states(document) == {EAST: "missing", WEST: "ok"}
    assert f'"{EAST}": "missing"' in run.output
    assert vms(document, WEST) != set()
    assert vms(document, EAST) == set()

    assert east.run(MAP, VARIABLES) == 0
    _run, whole = merge(tmp_path, west.returned, east.returned)
    assert states(whole) == {EAST: "ok", WEST: "ok"}
    assert vms(whole, EAST) == vms(whole, WEST) == vms(document, WEST)
    _run, again = merge(tmp_path, tmp_path / "report", east.returned, west.returned)
    assert again == whole

    (partial,) = east.returned.rglob("storage_map.json")
    (observed,) = {endpoint["observed"] for endpoint in whole["endpoints"] if endpoint["name"] == EAST}
    partial.write_text(partial.read_text().replace(observed, LONG_AGO))
    run, aged = merge(tmp_path, west.returned, east.returned, max_age=86400)
    assert states(aged) == {EAST: "stale", WEST: "ok"}
    assert {endpoint["observed"] for endpoint in aged["endpoints"] if endpoint["name"] == EAST} == {LONG_AGO}
    assert f'crossvisor_map_complete{{endpoint="{EAST}",hypervisor_type="vmware",hypervisor="127.0.0.1"}} 0' in (
        (tmp_path / "report" / "storage_map.prom").read_text()
    )
    assert lab.hypervisor["password"] not in json.dumps(aged)


def slices(hosts: Mapping[str, Any], count: int, directory: Path) -> Iterator[tuple[list[str], Path]]:
    """An inventory as AWX gives it to each job of a sliced template: every count-th host by name, told by a script.

    `Inventory.get_script_data` of AWX (awx/main/models/inventory.py).
    Each slice is a job with an id of its own ("Job Slicing" in AWX's user guide).
    """
    for number in range(count):
        mine = sorted(hosts)[number::count]
        told = {"all": {"hosts": mine}, "_meta": {"hostvars": {name: hosts[name] for name in mine}}}
        script = directory / f"slice-{number}"
        script.write_text(f"#!{sys.executable}\nprint({json.dumps(told)!r})\n")
        script.chmod(0o700)
        yield mine, script


def test_job_slices_write_a_map_each_and_the_next_job_joins_them(lab: Lab, xen: XenLab, tmp_path: Path) -> None:
    dead = {**lab.hypervisor, "type": "vmware", "port": 1}
    of_vcenter = {EAST: lab.hypervisor, "vc-gone": dead}
    hosts = {name: {"hypervisor": hypervisor, "arrays": [lab.array]} for name, hypervisor in of_vcenter.items()}
    hosts["xen-pool"] = {"hypervisor": xen.hypervisor, "arrays": [xen.array]}
    shared = tmp_path / "slices"
    asked, directory = [], f"{shared}/{{{{ awx_job_id }}}}"
    for job, (mine, inventory) in enumerate(slices(hosts, 2, tmp_path), start=4711):
        run = Commands(tmp_path).playbook(MAP, "-i", str(inventory), target="all", directory=directory, awx_job_id=job)
        assert run.count("failed") == {name: int(name == "vc-gone") for name in mine}, run.output
        asked.append(mine)
    assert asked == [[EAST, "xen-pool"], ["vc-gone"]]

    run, whole = merge(tmp_path, shared, expected=sorted(hosts))
    assert states(whole) == {EAST: "ok", "vc-gone": "missing", "xen-pool": "ok"}
    assert {row["hypervisor_type"] for row in whole["mappings"]} == {"vmware", "xen"}
    assert '"vc-gone": "missing"' in run.output


def test_an_endpoint_that_does_not_answer_is_missing_and_the_others_are_mapped(lab: Lab, tmp_path: Path) -> None:
    dead = {**lab.hypervisor, "type": "vmware", "port": 1}
    hosts = {name: {"hypervisor": hypervisor, "arrays": [lab.array]} for name, hypervisor in ((HYPERVISOR, lab.hypervisor), ("dead", dead))}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    ansible, report = Commands(tmp_path), tmp_path / "report"
    run = ansible.playbook(MAP, "-i", "inventory.json", target="all", directory=str(report))
    assert run.count("failed") == {"dead": 1, HYPERVISOR: 0}
    document = json.loads((report / "storage_map.json").read_text())
    assert states(document) == {"dead": "missing", HYPERVISOR: "ok"}
    assert "cannot be reached" in document["endpoints"][0]["reason"]

    path = next(row["lun_path"] for row in document["mappings"] if row["lun_path"])
    asked = ansible.playbook("crossvisor.san.who_uses", what=path, maps=[str(report)])
    assert asked.code == 0, asked.output
    assert f"LUN {path} on SVM svm_san of lab-ontap" in asked.output
    assert "Cannot tell: Endpoint dead is missing" in asked.output


def test_who_uses_a_volume_is_asked_of_the_hypervisor_itself(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "inventory.json").write_text(json.dumps(lab.inventory))
    ansible = Commands(tmp_path)
    asked = ansible.playbook("crossvisor.san.who_uses", "-i", "inventory.json", target=HYPERVISOR, what="vol_prod")
    assert asked.code == 0, asked.output
    assert '"vol_prod: 9 VMs on 4 LUNs or volumes."' in asked.output
    assert "  VM app01, Hard disk 1 (SCSI 0:0), image, 20 GiB on esx01.lab [vcenter]" in asked.output
    nobody = ansible.playbook("crossvisor.san.who_uses", "-i", "inventory.json", target=HYPERVISOR, what="/vol/vol_prod/nothing")
    assert nobody.code != 0
    assert "No LUN, volume, SVM or array is called /vol/vol_prod/nothing among what was told by vcenter." in " ".join(nobody.output.split())


def test_a_run_that_fails_before_its_last_file_is_written_leaves_all_files_of_the_one_before(tmp_path: Path) -> None:
    document = {"schema": 1, "generated": LONG_AGO, "endpoints": [], "mappings": [], "virtual_machines": [], "storage_resources": []}
    (tmp_path / "storage_map.json").write_text(json.dumps(document))
    left = [tmp_path / "report" / f".ansible_tmpx1y2{name}" for name in ("storage_map.json.new", "storage_map.prom.new", "other.new")]
    left[0].parent.mkdir()
    for path in left:
        path.touch()
        os.utime(path, (0, 0))
    merge(tmp_path, tmp_path / "storage_map.json")
    assert [path.exists() for path in left] == [False, False, True], "what a killed run has left goes, what is somebody else's stays"
    left[2].unlink()
    before = files(tmp_path / "report")
    assert set(before) == {"report.html", "storage_map.csv", "storage_map.json", "storage_map.prom"}
    later: dict[str, Any] = {"maps": [str(tmp_path / "storage_map.json")], "directory": str(tmp_path / "report"), "expected": ["another"]}
    later["storage_report_textfile"] = str(tmp_path / "nowhere" / "map.prom")
    run = Commands(tmp_path).playbook("crossvisor.san.merge_maps", **later)
    assert run.code != 0
    assert {name: text for name, text in files(tmp_path / "report").items() if name in before} == before


def files(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}
