# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The VMs of the lab as the hosts of an inventory, by the commands of whoever uses it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.commands import Commands, Run
from tests.live.lab import ARRAY, HYPERVISOR, WINDOWS, Lab, WindowsLab

SOURCE = "san.crossvisor.yml"
TWINS = 2
"""VMs of the lab's vCenter that are called twin."""


def written(directory: Path, **options: Any) -> Commands:
    (directory / SOURCE).touch(mode=0o600)
    (directory / SOURCE).write_text(yaml.safe_dump({"plugin": "crossvisor.san.vms", **options}))
    return Commands(directory)


def listed(ansible: Commands, *arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    run = ansible.inventory("-i", SOURCE, "--list", *arguments, environment=environment)
    assert run.code == 0, run.output
    return dict(plain(json.JSONDecoder().raw_decode(run.output[run.output.index("{\n") :])[0]))


def plain(value: Any) -> Any:
    """The value without the marks that say that its texts are no templates."""
    if isinstance(value, dict):
        return value["__ansible_unsafe"] if "__ansible_unsafe" in value else {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def hosts_of(ansible: Commands, pattern: str) -> set[str]:
    run = ansible.ad_hoc("-i", SOURCE, pattern, "--list-hosts")
    assert run.code == 0, run.output
    return {line.strip() for line in run.output.splitlines() if line.startswith("    ")}


def vcenter(lab: Lab, **other: Any) -> dict[str, Any]:
    return {"name": "vc01", "hypervisor": {**lab.hypervisor, **other}, "arrays": [lab.array]}


def rows_of_the_map(lab: Lab, directory: Path) -> list[dict[str, Any]]:
    (directory / "inventory.json").write_text(json.dumps(lab.inventory))
    report = directory / "report"
    run = Commands(directory).playbook("crossvisor.san.storage_map", "-i", "inventory.json", target=HYPERVISOR, directory=str(report))
    assert run.code == 0, run.output
    rows: list[dict[str, Any]] = json.loads((report / "storage_map.json").read_text())["mappings"]
    return rows


def test_a_play_is_limited_to_the_vms_on_a_volume(lab: Lab, tmp_path: Path) -> None:
    rows = rows_of_the_map(lab, tmp_path)
    ansible = written(tmp_path, endpoints=[vcenter(lab)], compose={"ansible_connection": "'local'"})
    wanted = {row["vm_id"] for row in rows if row["volume"] == "vol_prod"}
    assert 1 < len(wanted) < len({row["vm_id"] for row in rows})
    tasks = [{"ansible.builtin.debug": {"msg": "VM {{ crossvisor_vm_id }}."}}]
    (tmp_path / "patch.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    run = ansible.playbook("patch.yml", "-i", SOURCE, "-l", "volume_vol_prod")
    assert (run.code, set(re.findall(r'"VM (\S+)\."', run.output))) == (0, wanted), run.output
    assert hosts_of(ansible, "volume_lab_ontap_svm_san_vol_prod") == set(run.count("ok"))


def test_every_vm_is_a_host_with_its_rows_and_groups(lab: Lab, tmp_path: Path) -> None:
    rows = rows_of_the_map(lab, tmp_path)
    ansible = written(
        tmp_path,
        endpoints=[vcenter(lab)],
        compose={"ansible_host": "crossvisor_vm_name ~ '.example.com'"},
        groups={"raw": "crossvisor_disks | selectattr('kind', 'eq', 'passthrough') | list | length > 0"},
        keyed_groups=[{"prefix": "power", "key": "crossvisor_power"}],
        strict=True,
    )
    inventory = listed(ansible)
    variables = inventory["_meta"]["hostvars"]
    assert {host["crossvisor_vm_id"] for host in variables.values()} >= {row["vm_id"] for row in rows}
    by_id = {host["crossvisor_vm_id"]: host for host in variables.values()}
    assert {identity: host["ansible_host"] for identity, host in by_id.items()} == {
        identity: f"{host['crossvisor_vm_name']}.example.com" for identity, host in by_id.items()
    }
    told = [(row["vm_id"], row["disk"], row["lun_path"]) for host in by_id.values() for row in host["crossvisor_disks"]]
    assert sorted(told) == sorted((row["vm_id"], row["disk"], row["lun_path"]) for row in rows)
    assert {name.partition("_")[0] for name in inventory} >= {
        *("endpoint", "hypervisor", "cluster", "host", "array", "svm", "volume", "lun", "raw", "power")
    }
    raw = {row["vm_id"] for row in rows if row["kind"] == "passthrough"}
    assert {variables[host]["crossvisor_vm_id"] for host in inventory["raw"]["hosts"]} == raw
    graph = ansible.inventory("-i", SOURCE, "--graph", "volume_vol_prod")
    assert "\n@volume_vol_prod:\n  |--@volume_lab_ontap_svm_san_vol_prod:\n" in graph.output


def test_vms_of_one_name_stay_apart_and_a_vcenter_under_two_names_is_one(lab: Lab, tmp_path: Path) -> None:
    ansible = written(tmp_path, endpoints=[vcenter(lab), {**vcenter(lab), "name": "vc02"}])
    said = " ".join(ansible.inventory("-i", SOURCE, "--list").output.split())
    hosts = listed(ansible)["_meta"]["hostvars"]
    assert "app01" in hosts
    assert len({name for name in hosts if name.startswith("twin")} - {"twin"}) == TWINS
    assert "twin" not in hosts
    assert "Several VMs have one name, and are hosts by longer ones" in said
    assert "Endpoint vc01 was asked as vc02 too, and its VMs are there once: name it once in endpoints." in said


def test_several_platforms_are_one_inventory(windows: WindowsLab, tmp_path: Path) -> None:
    endpoints = [
        {"name": name, "hypervisor": windows.inventory["all"]["children"]["hypervisors"]["hosts"][name]["hypervisor"]}
        for name in WINDOWS[:2]
    ]
    ansible = written(tmp_path, endpoints=endpoints, arrays=[windows.array])
    assert hosts_of(ansible, "endpoint_hyperv") & {"hvapp01", "win01"} == {"hvapp01", "win01"}
    assert "c1app01" in hosts_of(ansible, "endpoint_hyperv_cluster:&cluster_hvc1")
    assert hosts_of(ansible, "volume_vol_hv") != set()


def test_passwords_come_from_templates_and_vaults(lab: Lab, tmp_path: Path) -> None:
    secret = lab.hypervisor["password"]
    endpoint = vcenter(lab, password="{{ lookup('ansible.builtin.env', 'VC_PASSWORD') }}")
    ansible = written(tmp_path, endpoints=[endpoint])
    assert "app01" in listed(ansible, environment={"VC_PASSWORD": secret})["_meta"]["hostvars"]

    (tmp_path / "key").write_text("open sesame")
    sealed = ansible.vault("encrypt_string", "--vault-password-file", "key", secret, "--name", "password")
    text = yaml.safe_dump({"plugin": "crossvisor.san.vms", "endpoints": [vcenter(lab, password="SEALED")]})
    body = sealed.output[sealed.output.index("!vault") :].split("Encryption")[0].rstrip()
    lines = body.splitlines()
    (tmp_path / SOURCE).write_text(text.replace("SEALED", "\n".join([lines[0], *(f"        {line.strip()}" for line in lines[1:])])))
    assert "app01" in listed(ansible, "--vault-password-file", "key")["_meta"]["hostvars"]


def test_an_endpoint_that_does_not_answer_is_an_error_or_a_warning(lab: Lab, tmp_path: Path) -> None:
    dead = {"name": "dead", "hypervisor": {**lab.hypervisor, "type": "vmware", "port": 1}}
    refused = written(tmp_path, endpoints=[vcenter(lab), dead]).inventory("-i", SOURCE, "--list")
    assert "endpoint dead gave no VMs" in " ".join(refused.output.split())
    assert '"app01"' not in refused.output
    assert "Traceback" not in refused.output
    ansible = written(tmp_path, endpoints=[vcenter(lab), dead], unanswered="warning")
    warned = ansible.inventory("-i", SOURCE, "--list")
    assert "Endpoint dead gave no VMs" in " ".join(warned.output.split())
    assert "app01" in listed(ansible)["_meta"]["hostvars"]
    assert lab.hypervisor["password"] not in refused.output + warned.output


def test_what_is_kept_is_asked_once_and_holds_no_password(lab: Lab, tmp_path: Path) -> None:
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "cache")}
    ansible = written(tmp_path, endpoints=[vcenter(lab)], **cache)
    first = listed(ansible)
    lab.count_again()
    assert listed(ansible) == first
    assert (lab.requests(HYPERVISOR), lab.requests(ARRAY)) == ([], [])
    assert ansible.ad_hoc("-i", SOURCE, "--flush-cache", "app01", "--list-hosts").code == 0
    assert lab.requests(HYPERVISOR) != []
    (kept,) = (tmp_path / "cache").iterdir()
    assert lab.hypervisor["password"] not in kept.read_text()
    assert lab.array["password"] not in kept.read_text()


@pytest.mark.parametrize(("name", "told"), [("san.yml", "app01"), (SOURCE, "several endpoints are called vc01")])
def test_what_the_file_says_wrong_is_told(lab: Lab, tmp_path: Path, name: str, told: str) -> None:
    written(tmp_path, endpoints=[vcenter(lab), vcenter(lab)])
    (tmp_path / SOURCE).rename(tmp_path / name)
    run: Run = Commands(tmp_path).inventory("-i", name, "--list")
    assert (told in " ".join(run.output.split())) is (name == SOURCE), run.output


def test_the_documentation_is_shown(tmp_path: Path) -> None:
    shown = Commands(tmp_path).documentation("-t", "inventory", "crossvisor.san.vms")
    assert (shown.code, "volume_vol_prod" in shown.output) == (0, True)
