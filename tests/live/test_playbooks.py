# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks as a user runs them, by name and with an inventory of his own; the whole path is the same on every hypervisor."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.live.commands import Commands, Run
from tests.live.lab import ARRAY, HYPERVISOR, Lab, WindowsLab, XenLab
from tests.live.platforms import HYPERV_CLUSTER, HYPERV_HOST, PLATFORMS, VCENTER, Platform

PROVISION = "crossvisor.san.provision_disk"
REMOVE = "crossvisor.san.remove_disk"
MAP = "crossvisor.san.storage_map"
DISK = {"vm": "app01", "svm": "svm_san", "volume": "vol_prod", "lun": "app01_data"}
GIB = 1024**3
JOURNEYS = [pytest.param(platform, marks=[pytest.mark.long] if platform is HYPERV_HOST else []) for platform in PLATFORMS]
"""Every run gives and takes a disk on the one Hyper-V host, too: that of its Windows guest, and one that comes from the vCenter."""
FRUITLESS_RESCAN = (
    '<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><RescanAllHbaResponse xmlns="urn:vim25"/></Body></Envelope>'
)
"""What a vCenter answers when a rescan went well, whether or not it found anything."""


def commands(directory: Path, lab: Lab) -> Commands:
    """Ansible in a directory that holds the user's inventory."""
    inventory = directory / "inventory.json"
    inventory.touch(mode=0o600)
    inventory.write_text(json.dumps(lab.inventory))
    return Commands(directory)


@pytest.fixture(scope="session")
def ansible(tmp_path_factory: pytest.TempPathFactory, running: Lab) -> Commands:
    """Ansible with an inventory of the vCenter."""
    return commands(tmp_path_factory.mktemp("user"), running)


def play(ansible: Commands, name: str, *arguments: str, **variables: Any) -> Run:
    """Run a playbook with the user's inventory, for the vCenter unless another target is named."""
    return ansible.playbook(name, "-i", "inventory.json", *arguments, **{"target": HYPERVISOR, **variables})


@dataclass
class Journey:
    """A disk given to a VM, mapped, and taken away, every step also in check mode and twice; with the lab's state after each."""

    platform: Platform
    lab: Lab
    ansible: Commands
    runs: dict[str, Run] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    harm: dict[str, Any] = field(default_factory=dict)

    def step(self, name: str, playbook: str, *arguments: str, **variables: Any) -> None:
        self.runs[name] = play(self.ansible, playbook, *arguments, target=self.platform.server, **variables)
        self.note(name)

    def note(self, name: str) -> None:
        self.states[name] = self.lab.state()
        self.harm[name] = self._harm()

    def _harm(self) -> list[Any]:
        """What must never happen: a device that a host lost, or a control code for anything but a VM's configuration."""
        if isinstance(self.lab, WindowsLab):
            return [control for control in self.lab.controls() if control["type"] != "Virtual Machine Configuration"]
        return [] if isinstance(self.lab, XenLab) else self.lab.device_losses()

    @property
    def report(self) -> Path:
        return self.ansible.directory / "report"

    @property
    def disk(self) -> dict[str, Any]:
        """What the first run handed on."""
        return self.runs["first"].disk

    @property
    def row(self) -> dict[str, Any]:
        """The disk in the map."""
        mappings = json.loads((self.report / "storage_map.json").read_text())["mappings"]
        (found,) = [row for row in mappings if row["lun_path"] == self.platform.lun]
        return dict(found)


@pytest.fixture(scope="module", params=JOURNEYS, ids=lambda platform: platform.server)
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    platform: Platform = request.param
    running: Lab = request.getfixturevalue(platform.fixture)
    running.reset()
    running.become(platform.release)
    made = Journey(platform, running, commands(tmp_path_factory.mktemp(platform.server), running))
    made.note("before")
    made.step("promised", PROVISION, "--check", "--diff", "-vvv", **platform.disk, size="10GiB")
    made.step("first", PROVISION, "--diff", "-vvv", **platform.disk, size="10GiB")
    made.step("second", PROVISION, "--diff", **platform.disk, size="10GiB")
    made.step("mapped", MAP, directory=str(made.report))
    made.step("removal promised", REMOVE, "--check", "--diff", **platform.disk, delete=True)
    made.step("removed", REMOVE, "--diff", "-vvv", **platform.disk, delete=True)
    made.step("removed again", REMOVE, **platform.disk, delete=True)
    return made


class TestTheWholePath:
    def test_every_run_succeeds(self, journey: Journey) -> None:
        assert {name: run.output for name, run in journey.runs.items() if run.code or run.counts["failed"]} == {}

    def test_check_mode_promises_and_changes_nothing(self, journey: Journey) -> None:
        assert journey.runs["promised"].counts["changed"] == 2
        assert journey.runs["promised"].shown == "In check mode nothing was made."
        assert journey.states["promised"] == journey.states["before"]
        assert journey.runs["removal promised"].counts["changed"] == 1
        assert journey.states["removal promised"] == journey.states["first"]

    def test_check_mode_names_every_step_of_the_run_before_there_is_a_lun(self, journey: Journey) -> None:
        platform, naa = journey.platform, journey.disk["lun"]["naa"]
        named = f"svm_san:{platform.lun}"
        promised = journey.runs["promised"].actions
        done = [action.replace(f"naa.{naa}", named).replace(naa, named) for action in journey.runs["first"].actions]
        assert f"attach LUN {named} to VM {platform.vm} as {platform.place}" in promised
        assert [action for action in done if action not in promised] == []

    def test_the_first_run_tells_where_the_guest_finds_the_disk(self, journey: Journey) -> None:
        run, naa = journey.runs["first"], journey.disk["lun"]["naa"]
        assert run.counts["changed"] == 2
        platform = journey.platform
        assert run.shown == f"LUN {platform.lun} (naa.{naa}) is {platform.label} of VM {platform.vm} at {platform.place}"

    def test_the_result_is_handed_to_the_workflow(self, journey: Journey) -> None:
        lun, disk = journey.disk["lun"], journey.disk["disk"]
        assert journey.disk["vm"] == journey.platform.vm
        assert lun["naa"] == "600a0980" + lun["serial"].encode().hex()
        assert (lun["size_bytes"], disk["size_bytes"]) == (10 * GIB, 10 * GIB)
        assert (f"SCSI({disk['bus']}:{disk['unit']})", disk["mode"]) == (journey.platform.place, "physical")

    def test_the_vm_has_exactly_one_lun_more(self, journey: Journey) -> None:
        before, after = (journey.platform.raw_disks(journey.states[moment]) for moment in ("before", "first"))
        assert after == [*before, journey.disk["lun"]["naa"]]

    def test_the_difference_names_lun_group_and_place(self, journey: Journey) -> None:
        for line in (
            f'     "svm_san:{journey.platform.lun}": {{',
            '-        "exists": false',
            '+        "size_bytes": 10737418240,',
            *([f'+        "os_type": "{group}",'] if (group := journey.platform.group_os_type) else []),
        ):
            assert f"\n{line}\n" in journey.runs["promised"].output
        naa = journey.disk["lun"]["naa"]
        assert f'+            "lun": "naa.{naa}"' in journey.runs["first"].output
        assert f'-            "lun": "naa.{naa}"' in journey.runs["removed"].output
        assert "--- before" not in journey.runs["second"].output

    def test_the_second_run_changes_nothing(self, journey: Journey) -> None:
        assert journey.runs["second"].counts["changed"] == 0
        assert journey.states["second"] == journey.states["first"]
        assert not journey.runs["second"].disk["changed"]

    def test_the_map_follows_the_disk_down_to_the_array(self, journey: Journey) -> None:
        lun = journey.disk["lun"]
        assert journey.row["naa"] == "600a0980" + lun["serial"].encode().hex()
        expected = {
            **journey.platform.row,
            "vm_name": journey.platform.vm,
            "disk": journey.platform.label,
            "kind": "passthrough",
            "serial": lun["serial"],
            "size_bytes": 10 * GIB,
            "array_type": "ontap",
            "array": "lab-ontap",
            "svm": "svm_san",
            "volume": journey.platform.volume,
            "lun_id": lun["lun_id"],
            "storage_state": "online",
            "status": "mapped",
            "reason": "",
        }
        assert {column: journey.row[column] for column in expected} == expected

    def test_the_map_is_there_as_json_table_and_page(self, journey: Journey) -> None:
        rows = json.loads((journey.report / "storage_map.json").read_text())["mappings"]
        with (journey.report / "storage_map.csv").open(newline="") as table:
            columns = [(row["vm_name"], row["disk"], row["naa"]) for row in csv.DictReader(table)]
        assert columns == [(row["vm_name"], row["disk"], row["naa"]) for row in rows]
        assert journey.disk["lun"]["naa"] in (journey.report / "report.html").read_text()

    def test_mapping_changes_no_system(self, journey: Journey) -> None:
        assert journey.states["mapped"] == journey.states["first"]

    def test_after_the_removal_nothing_is_left(self, journey: Journey) -> None:
        assert journey.runs["removed"].counts["changed"] == journey.platform.removals
        assert journey.states["removed"] == journey.states["before"]

    def test_the_second_removal_changes_nothing(self, journey: Journey) -> None:
        assert journey.runs["removed again"].counts["changed"] == 0
        told = f"has no LUN svm_san:{journey.platform.lun}, so that there was nothing to take back"
        assert told in " ".join(journey.runs["removed again"].output.split())
        assert "there was nothing to take back" not in " ".join(journey.runs["removed"].output.split())
        assert journey.states["removed again"] == journey.states["before"]

    def test_no_step_ever_does_harm(self, journey: Journey) -> None:
        assert {name: found for name, found in journey.harm.items() if found} == {}

    def test_no_password_is_ever_shown(self, journey: Journey) -> None:
        secrets = [journey.lab.endpoints[server].password for server in journey.lab.servers]
        assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in journey.runs["first"].output, "the arguments are shown"
        assert [name for name, run in journey.runs.items() for secret in secrets if secret in run.output] == []


@pytest.mark.parametrize("platform", [pytest.param(VCENTER, marks=pytest.mark.long), HYPERV_CLUSTER], ids=lambda platform: platform.server)
def test_every_host_sees_a_disk_grow_by_the_same_playbook(request: pytest.FixtureRequest, tmp_path: Path, platform: Platform) -> None:
    running: Lab = request.getfixturevalue(platform.fixture)
    ansible, before = commands(tmp_path, running), running.state()
    sizes = ["1GiB", "2GiB", "2GiB"]
    runs = [play(ansible, PROVISION, target=platform.server, **platform.disk, size=size) for size in sizes]
    assert [(run.code, run.counts["changed"]) for run in runs] == [(0, 2), (0, 2), (0, 0)], runs[1].output
    seen = play(ansible, MAP, target=platform.server, directory=str(tmp_path / "report"))
    assert seen.code == 0, seen.output
    resources = json.loads((tmp_path / "report" / "storage_map.json").read_text())["storage_resources"]
    assert [found["size_bytes"] for found in resources if found["lun_path"] == platform.lun] == [2 * GIB]
    taken = play(ansible, REMOVE, target=platform.server, **platform.disk, delete=True)
    assert taken.code == 0, taken.output
    assert running.state() == before


def test_a_highly_available_vm_fails_over_with_its_disk(windows: WindowsLab, tmp_path: Path) -> None:
    ansible, platform = commands(tmp_path, windows), HYPERV_CLUSTER
    before = windows.state()
    given = play(ansible, PROVISION, target=platform.server, **platform.disk, size="1GiB")
    assert given.code == 0, given.output
    for node in reversed(platform.nodes):
        assert windows.fail_over(platform.vm, node)["host"] == f"{node}.lab"
        again = play(ansible, PROVISION, target=platform.server, **platform.disk, size="1GiB")
        assert (again.code, again.counts["changed"]) == (0, 0), again.output
    windows.fail_over(platform.vm, platform.nodes[-1])
    taken = play(ansible, REMOVE, target=platform.server, **platform.disk, delete=True)
    assert taken.code == 0, taken.output
    windows.fail_over(platform.vm, platform.nodes[0])
    assert windows.state() == before


def test_the_disk_is_brought_into_use_in_a_windows_guest_that_is_given(windows: WindowsLab, tmp_path: Path) -> None:
    ansible, guest = commands(tmp_path, windows), windows.host("win01")
    disk = {**HYPERV_HOST.disk, "target": HYPERV_HOST.server, "vm": "win01", "lun": "win01_data", "guest": guest}
    before = windows.state()
    for changes in (3, 0):
        given = play(ansible, PROVISION, **disk, size="1GiB", mount_point="E:", provision_label="data")
        assert (given.code, given.counts["changed"]) == (0, changes), given.output
    naa = given.disk["lun"]["naa"]
    volume = windows.state()[HYPERV_HOST.server]["media"][naa]["partitions"][-1]
    assert (volume["file_system"], volume["label"], volume["access"]) == ("NTFS", "data", {"win01.lab": ["E:\\"]})
    assert given.disk["volume"]["drive_letter"] == "E:"
    for changes in (5, 0):
        taken = play(ansible, REMOVE, **disk, delete=True)
        assert (taken.code, taken.counts["changed"]) == (0, changes), taken.output
    assert windows.state() == before
    assert guest["password"] not in given.output + taken.output


def lun_in(state: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """A LUN of volume vol_prod in the array's state."""
    luns = [lun for svm in state[ARRAY]["svms"] for volume in svm["volumes"] if volume["name"] == "vol_prod" for lun in volume["luns"]]
    return next((lun for lun in luns if lun["name"].rpartition("/")[2] == name), None)


def test_a_lun_removed_without_delete_stays_unmapped_and_can_be_given_again(lab: Lab, ansible: Commands) -> None:
    before = lab.state()
    naa = play(ansible, PROVISION, **DISK, size="1GiB").disk["lun"]["naa"]
    removal = play(ansible, REMOVE, vm="app01", naa=f"naa.{naa.upper()}")
    after = lab.state()
    assert removal.code == 0, removal.output
    assert lun_in(after, "app01_data")
    assert after[HYPERVISOR] == before[HYPERVISOR]
    assert [svm["igroups"] for svm in after[ARRAY]["svms"]] == [svm["igroups"] for svm in before[ARRAY]["svms"]]
    again = play(ansible, PROVISION, **{**DISK, "vm": "app02"})
    assert again.code == 0, again.output
    assert again.disk["lun"]["naa"] == naa
    assert lab.device_losses() == []


def test_a_disk_is_detached_attached_moved_and_grown_with_its_identity(lab: Lab, ansible: Commands) -> None:
    before = lab.state()
    address = {name: value for name, value in DISK.items() if name != "vm"}
    naa = play(ansible, PROVISION, **DISK, size="1GiB").disk["lun"]["naa"]
    for playbook, variables, owner in (
        ("detach_disk", {"vm": "app01"}, None),
        ("attach_disk", {"vm": "app01"}, "app01"),
        ("move_disk", {"vm": "app01", "to_vm": "app02"}, "app02"),
        ("grow_disk", {"vm": "app02", "size": "2GiB"}, "app02"),
    ):
        run = play(ansible, f"crossvisor.san.{playbook}", **address, **variables)
        assert run.code == 0, run.output
        assert owner_of(naa, lab.state()) == owner, playbook
    grown = lun_in(lab.state(), "app01_data")
    assert grown
    assert grown["size"] == 2 * GIB
    assert play(ansible, REMOVE, vm="app02", **address, delete=True).code == 0
    assert lab.state() == before
    assert lab.device_losses() == []


def test_a_disk_moves_from_one_hypervisor_to_another_with_its_identity(running_both: WindowsLab, tmp_path: Path) -> None:
    lab, ansible = running_both, commands(tmp_path, running_both)
    before = lab.state()
    address = {name: value for name, value in DISK.items() if name != "vm"}
    naa = play(ansible, PROVISION, **DISK, size="1GiB").disk["lun"]["naa"]
    assert VCENTER.raw_disks(lab.state())[-1:] == [naa]
    move = {"vm": "app01", "to": HYPERV_HOST.server, "to_vm": HYPERV_HOST.vm, **address}
    promised = play(ansible, "crossvisor.san.move_disk", "--check", **move)
    assert promised.code == 0, promised.output
    assert VCENTER.raw_disks(lab.state())[-1:] == [naa]
    moved = play(ansible, "crossvisor.san.move_disk", **move)
    assert moved.code == 0, moved.output
    after = lab.state()
    assert naa not in VCENTER.raw_disks(after)
    assert HYPERV_HOST.raw_disks(after)[-1:] == [naa]
    lun = lun_in(after, address["lun"])
    assert lun
    assert lun["size"] == GIB
    removed = play(ansible, REMOVE, target=HYPERV_HOST.server, vm=HYPERV_HOST.vm, naa=naa, delete=True)
    assert removed.code == 0, removed.output
    assert lab.state() == before
    assert lab.device_losses() == []


def owner_of(naa: str, state: Mapping[str, Any]) -> str | None:
    """The VM of the vCenter that has a LUN as a disk."""
    return next((vm["name"] for vm in state[HYPERVISOR]["vms"] for disk in vm["disks"] if disk.get("naa") == naa), None)


@pytest.mark.parametrize(
    ("playbook", "variables", "told"),
    [
        ("grow_disk", {"vm": "app01", "size": "2GiB"}, "that could grow: correct its name"),
        ("attach_disk", {"vm": "app01"}, "size"),
        ("detach_disk", {"vm": "app01"}, "so that nothing was detached from VM app01: correct its name"),
        ("move_disk", {"vm": "app01", "to_vm": "app02", "to": "xen"}, "to=xen is no host of the inventory"),
        ("grow_disk", {"vm": "app01"}, "missing required arguments: size"),
        ("attach_disk", {"target": "vcentre"}, "target=vcentre matches no host of the inventory; did you mean vcenter"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_made(
    lab: Lab, ansible: Commands, playbook: str, variables: dict[str, str], told: str
) -> None:
    before = lab.state()
    run = play(ansible, f"crossvisor.san.{playbook}", svm="svm_san", volume="vol_prod", lun="nosuch", **variables)
    assert run.code != 0
    assert told in run.output
    assert lab.state() == before


@pytest.mark.parametrize(
    ("playbook", "variables", "missing"),
    [
        ("provision_disk", {}, "lun, svm, vm, volume"),
        ("provision_disk", {"vm": "app01", "volume": "vol_prod", "lun": "app01_data"}, "svm"),
        ("remove_disk", {}, "vm"),
        ("remove_disk", {"vm": "app01", "svm": "svm_san", "volume": ""}, "naa, or else volume, lun"),
        ("grow_disk", {}, "lun, size, svm, vm, volume"),
        ("attach_disk", {}, "lun, svm, vm, volume"),
        ("detach_disk", {}, "lun, svm, vm, volume"),
        ("move_disk", {}, "lun, svm, to_vm, vm, volume"),
        ("storage_map", {}, "directory"),
    ],
)
def test_a_variable_that_is_missing_is_named(tmp_path: Path, playbook: str, variables: dict[str, Any], missing: str) -> None:
    run = Commands(tmp_path).playbook(f"crossvisor.san.{playbook}", **variables)
    assert (run.code, run.counts["changed"], run.counts["failed"]) == (2, 0, 1), run.output
    assert re.search(rf"missing required arguments: {missing}[\"\\n]", run.output), run.output


def test_connections_may_all_come_from_the_environment(lab: Lab, ansible: Commands) -> None:
    vcenter, array = lab.endpoints[HYPERVISOR], lab.endpoints[ARRAY]
    environment = {
        "VMWARE_HOST": vcenter.hostname,
        "VMWARE_PORT": str(vcenter.port),
        "VMWARE_USER": vcenter.username,
        "VMWARE_PASSWORD": vcenter.password,
        "CROSSVISOR_HYPERVISOR_CA_PATH": vcenter.ca_path,
        "CROSSVISOR_ARRAY_HOSTNAME": array.hostname,
        "CROSSVISOR_ARRAY_PORT": str(array.port),
        "CROSSVISOR_ARRAY_USERNAME": array.username,
        "CROSSVISOR_ARRAY_PASSWORD": array.password,
        "CROSSVISOR_ARRAY_CA_PATH": array.ca_path,
    }
    before = lab.state()
    given = ansible.playbook(PROVISION, "-vvv", environment=environment, **DISK, size="1GiB")
    assert given.code == 0, given.output
    assert given.counts["changed"] == 2
    taken = ansible.playbook(REMOVE, environment=environment, **DISK, delete=True)
    assert taken.code == 0, taken.output
    assert lab.state() == before
    assert vcenter.password not in given.output + taken.output
    assert array.password not in given.output + taken.output


@pytest.mark.parametrize(
    ("lun", "removed"),
    [
        (
            {"volume": "vol_prod", "lun": "new", "size": "1GiB"},
            "; LUN /vol/vol_prod/new, made by this run, was removed again.",
        ),
        ({"volume": "vol_dev", "lun": "spare"}, "; LUN /vol/vol_dev/spare, mapped by this run, was unmapped again."),
    ],
    ids=["new", "there before"],
)
def test_a_lun_that_no_host_finds_is_taken_back(lab: Lab, ansible: Commands, lun: Mapping[str, str], removed: str) -> None:
    before = lab.state()
    lab.fail(HYPERVISOR, {"status": 200, "body": FRUITLESS_RESCAN}, match="^RescanAllHba ", times=1000)
    run = play(ansible, PROVISION, vm="app01", svm="svm_san", **lun, provision_timeout=1)
    assert (run.code, run.counts["rescued"]) == (2, 1), run.output
    assert re.search(
        r"LUN naa\.\w+ is not visible on esx01\.lab, esx02\.lab after 1 s, and array \S+ maps it to them: check zoning", run.shown
    )
    assert run.shown.endswith(removed)
    assert lab.state() == before
    assert lab.device_losses() == []


def test_bad_input_ends_in_one_sentence(lab: Lab, ansible: Commands) -> None:
    before = lab.state()
    run = play(ansible, PROVISION, **{**DISK, "vm": "twin"}, size="1GiB")
    assert run.code == 2
    assert "'twin' stands for 2 VMs" in run.shown
    assert "Traceback" not in run.output
    assert lab.state() == before


def test_the_action_group_gives_every_module_its_connections(lab: Lab, ansible: Commands) -> None:
    name = {"svm": "svm_san", "volume": "vol_dev", "name": "spare"}
    playbook = [
        {
            "hosts": "hypervisors",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "module_defaults": {"group/crossvisor.san.all": {"hypervisor": "{{ hypervisor }}"}},
            "tasks": [
                {"crossvisor.san.hypervisor_facts": {}},
                {"crossvisor.san.hba_info": {"vm": "app01"}},
                {"crossvisor.san.vm_storage_map": {"vms": ["app01"]}},
                {"crossvisor.san.lun_provision": {"array": "{{ array }}", **name, "state": "absent"}},
                {"crossvisor.san.ptd_attach": {"vm": "app01", "naa": lab_naa(lab, "spare"), "state": "absent"}},
                {"ansible.builtin.debug": {"msg": "{{ ansible_facts.crossvisor.source }}"}},
            ],
        }
    ]
    (ansible.directory / "group.json").write_text(json.dumps(playbook))
    run = ansible.playbook("group.json", "-i", "inventory.json")
    assert run.code == 0, run.output
    assert (run.counts["ok"], run.counts["changed"], run.shown) == (6, 0, "endpoint")


def lab_naa(lab: Lab, name: str) -> str:
    """The identity of a LUN of the world."""
    luns = [lun for svm in lab.state()[ARRAY]["svms"] for volume in svm["volumes"] for lun in volume["luns"]]
    serial = next(lun["serial"] for lun in luns if lun["name"].rpartition("/")[2] == name)
    return "600a0980" + str(serial).encode().hex()


def test_facts_of_this_machine_are_gathered_with_all_the_others(ansible: Commands) -> None:
    modules = {"ANSIBLE_FACTS_MODULES": "ansible.legacy.setup,crossvisor.san.hypervisor_facts"}
    playbook = [
        {
            "hosts": "localhost",
            "gather_facts": True,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}", "ansible_facts_parallel": False},  # which have 5 s each
            "tasks": [{"ansible.builtin.debug": {"msg": "{{ ansible_facts.crossvisor.source }} on {{ ansible_facts.system }}"}}],
        }
    ]
    (ansible.directory / "facts.json").write_text(json.dumps(playbook))
    run = ansible.playbook("facts.json", environment=modules)
    assert run.code == 0, run.output
    assert run.shown == "local on Linux"
