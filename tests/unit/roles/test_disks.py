# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role disks makes of a guest's variables: its system, its login, and which LUNs a failed run takes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles" / "disks"
PROVISION = ROLE.parent / "provision"
PLAYBOOKS = ROLE.parents[1] / "playbooks"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
VARIABLES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())

Evaluate = Callable[..., Any]
Value = Callable[..., Any]


@pytest.fixture
def value(render: Callable[..., str], evaluate: Evaluate) -> Value:
    """`value(name, **variables)` is a variable of the role for a guest with these variables."""

    def valued(name: str, **variables: Any) -> Any:
        given = {"inventory_hostname": "app01", **variables}
        return evaluate(_expression(name), **{**given, **_rendered(given)})

    def _expression(name: str) -> str:
        return str({**DEFAULTS, **VARIABLES}[name]).strip().removeprefix("{{").removesuffix("}}")

    def _rendered(given: dict[str, Any]) -> dict[str, Any]:
        known: dict[str, Any] = {}
        for name in ("disks_guest_os", "disks_windows_transports", "disks_windows_transport"):
            known[name] = evaluate(_expression(name), **given, **known)
        login = VARIABLES["disks_windows_connection"]
        known["disks_windows_connection"] = {option: render(template, **given, **known).strip() for option, template in login.items()}
        return known

    return valued


@pytest.mark.parametrize(
    ("variables", "system"),
    [
        ({}, "linux"),
        ({"ansible_connection": "ssh"}, "linux"),
        ({"ansible_connection": "winrm"}, "windows"),
        ({"ansible_connection": "ansible.builtin.psrp"}, "windows"),
        ({"ansible_connection": "ssh", "ansible_shell_type": "powershell"}, "windows"),
    ],
)
def test_the_system_is_told_by_the_connection(value: Value, variables: dict[str, Any], system: str) -> None:
    assert value("disks_guest_os", **variables) == system


def test_a_windows_guest_is_reached_as_ansible_reaches_it(value: Value) -> None:
    login = value(
        "disks_windows_login",
        ansible_host="192.0.2.7",
        ansible_port=5986,
        ansible_user="EXAMPLE\\svc",
        ansible_password="secret",
        ansible_winrm_transport=["Kerberos", "ntlm"],
        ansible_winrm_ca_trust_path="/etc/ca.pem",
    )
    assert login == {
        "hostname": "192.0.2.7",
        "port": "5986",
        "username": "EXAMPLE\\svc",
        "password": "secret",
        "transport": "kerberos",
        "ca_path": "/etc/ca.pem",
    }


def test_what_ansible_was_not_told_is_left_to_the_environment(value: Value) -> None:
    assert value("disks_windows_login") == {"hostname": "app01"}


def test_certificates_are_checked_unless_ansible_was_told_not_to(value: Value) -> None:
    assert "validate_certs" not in value("disks_windows_login", ansible_winrm_server_cert_validation="validate")
    assert value("disks_windows_login", ansible_winrm_server_cert_validation="ignore")["validate_certs"] == "false"
    assert value("disks_windows_login", ansible_psrp_cert_validation="ignore", ansible_psrp_auth="negotiate") == {
        "hostname": "app01",
        "validate_certs": "false",
    }


def lun(**values: Any) -> dict[str, Any]:
    return {"lun": {"created": False, "first_mapped": False, "actions": [], **values}, "disk": None}


RESULT = {
    "kept": lun(),
    "attached": {**lun(created=True), "disk": {"bus": 0}},
    "in hand": lun(created=True),
    "made": lun(created=True, actions=["create"]),
    "mapped": lun(first_mapped=True),
}


def left(evaluate: Evaluate) -> list[str]:
    """The disks whose LUNs are taken back when the one in hand could not be attached."""
    known: dict[str, Any] = {"disks_present": [{"name": name} for name in RESULT], "disks_result": RESULT, "disks_in_hand": "in hand"}
    for name in ("disks_not_attached", "disks_made", "disks_left"):
        known[name] = evaluate(VARIABLES[name].strip().removeprefix("{{").removesuffix("}}"), **known)
    return [disk["name"] for disk in known["disks_left"]]


def test_only_what_this_run_made_and_nobody_has_is_taken_back(evaluate: Evaluate) -> None:
    assert left(evaluate) == ["made", "mapped"]


def test_a_windows_guest_is_asked_about_a_disk_with_all_that_goes_and_comes_before_it(evaluate: Evaluate) -> None:
    present = [{"name": f"disk{letter}", "mount": f"{letter}:", "file_system": "NTFS"} for letter in "EFG"]
    known: dict[str, Any] = {"disks_present": present, "disks_leaving": [{"naa": "600a"}], "disks_disk": present[1]}
    for name in ("disks_names", "disks_lost", "disks_mounts", "disks_file_systems", "disks_volumes", "disks_volumes_before"):
        known[name] = evaluate(VARIABLES[name].strip().removeprefix("{{").removesuffix("}}"), **known)
    assert known["disks_volumes_before"] == [{"naa": "600a", "state": "absent"}, {"mount": "E:", "file_system": "NTFS"}]


def test_every_field_of_a_disk_is_in_the_role_s_argument_specs(evaluate: Evaluate) -> None:
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    checked = evaluate("[{'name': 'data'}] | crossvisor.san.checked_disks('app01', 'linux', 'svm', 'volume')")
    assert set(options["disks_wanted"]["options"]) == set(checked["disks"][0])
    assert set(DEFAULTS) == set(options)


def test_what_is_special_on_kvm_reaches_the_task_that_attaches() -> None:
    attach = next(task for task in yaml.safe_load((ROLE / "tasks" / "attach.yml").read_text()) if "ansible.builtin.include_role" in task)
    told = {name: attach["vars"][f"provision_{name}"] for name in ("single_path", "reservations")}
    assert told == {"single_path": "{{ disks_single_path }}", "reservations": "{{ disks_disk.reservations }}"}
    assert DEFAULTS["disks_single_path"] == "refuse"


def test_what_is_special_on_xen_reaches_the_task_that_attaches() -> None:
    attach = next(task for task in yaml.safe_load((ROLE / "tasks" / "attach.yml").read_text()) if "ansible.builtin.include_role" in task)
    told = {name: attach["vars"][f"provision_{name}"] for name in ("iscsi", "fc_method")}
    assert told == {"iscsi": "{{ disks_iscsi }}", "fc_method": "{{ disks_fc_method }}"}
    assert (DEFAULTS["disks_iscsi"], DEFAULTS["disks_fc_method"]) == ({}, "")


@pytest.mark.parametrize("playbook", ["attach_disk", "grow_disk", "move_disk", "provision_disk"])
def test_each_playbook_that_gives_a_vm_a_lun_hands_on_what_is_special_on_one_platform(playbook: str) -> None:
    (play,) = yaml.safe_load((PLAYBOOKS / f"{playbook}.yml").read_text())
    tasks = [inner for task in play["tasks"] for inner in (task, *task.get("block", ()), *task.get("rescue", ()))]
    giving = [task["vars"] for task in tasks if "provision_assume_unused" in task.get("vars", {}) and "provision_look" not in task["vars"]]
    assert giving
    for variables in giving:
        assert variables["provision_single_path"] == "{{ single_path | default('refuse', true) }}"
        assert variables["provision_reservations"] == "{{ reservations | default(false) | bool }}"
        assert variables["provision_iscsi"] == "{{ iscsi | default({}, true) }}"
        assert variables["provision_fc_method"] == "{{ fc_method | default('', true) }}"


def test_a_reservation_that_nobody_wishes_is_no_wish_that_there_be_none(evaluate: Evaluate) -> None:
    (attach,) = yaml.safe_load((PROVISION / "tasks" / "attach.yml").read_text())
    task = attach["block"][0]["crossvisor.san.ptd_attach"]
    expression = task["reservations"].removeprefix("{{").removesuffix("}}")
    assert evaluate(expression, provision_reservations=False, omit="omitted") == "omitted"
    assert evaluate(expression, provision_reservations=True, omit="omitted") is True


def tasks(file: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.safe_load((ROLE / "tasks" / f"{file}.yml").read_text())
    return loaded


class TestAGuestThatDoesNotShowADiskThatShallGo:
    @pytest.mark.parametrize(
        ("in_linux", "known", "looked_at"),
        [
            (True, {"guest_disk_seen": {"disk": None}}, True),
            (True, {"guest_disk_seen": {"disk": {"path": "/dev/sdb"}}}, False),
            (False, {"guest_disk_result": {"disk_number": None}}, True),
            (False, {"guest_disk_result": {"disk_number": 0}}, False),
        ],
    )
    def test_is_asked_whether_it_is_the_guest_of_that_vm(
        self, evaluate: Evaluate, in_linux: bool, known: dict[str, Any], looked_at: bool
    ) -> None:
        look = tasks("leave")[-1]
        here = {"disks_disk": {"in_guest": True}, "disks_in_linux": in_linux, **known}
        here["disks_is_unshown"] = evaluate(look["vars"]["disks_is_unshown"].strip().removeprefix("{{").removesuffix("}}"), **here)
        assert look["ansible.builtin.include_tasks"] == "wrong_guest.yml"
        assert evaluate(look["when"], **here) is looked_at
        assert evaluate(look["when"], **{**here, "ansible_check_mode": True}) is looked_at
        assert not evaluate(look["when"], **{**here, "disks_disk": {"in_guest": False}})

    @pytest.mark.parametrize(
        ("unshown", "looked", "goes_on"),
        [
            (None, {"skipped": True}, True),
            ({"size_bytes": 1 << 30}, {"disk": {"path": "/dev/sdb"}}, True),
            ({"size_bytes": 1 << 30}, {"failed": True, "msg": "It does not show it."}, False),
            ({"size_bytes": 1 << 30}, {"skipped": True}, False),
        ],
        ids=["the VM has let go of it", "it had forgotten it", "it is another VM's", "a Windows guest shows all that it has"],
    )
    def test_is_refused_where_the_vm_has_it_and_a_look_does_not_help(
        self, evaluate: Evaluate, unshown: dict[str, Any] | None, looked: dict[str, Any], goes_on: bool
    ) -> None:
        (stop,) = [task for task in tasks("wrong_guest") if "ansible.builtin.assert" in task]
        known = {"disks_unshown": {"disk": unshown}, "disks_looked_again": looked}
        assert evaluate(stop["ansible.builtin.assert"]["that"], **known) is goes_on

    def test_is_looked_at_without_taking_the_disk_and_from_the_controller(self) -> None:
        look = tasks("wrong_guest")[0]
        assert (look["crossvisor.san.ptd_attach"]["state"], look["check_mode"]) == ("absent", True)
        assert (look["delegate_to"], look["connection"], look["become"]) == ("localhost", "local", False)

    def test_is_looked_at_before_anything_is_taken(self) -> None:
        block = next(task["block"] for task in tasks("main") if task["name"].startswith("Take away the disks"))
        files = [task["ansible.builtin.include_tasks"]["file"] for task in block]
        assert files == ["leave.yml", "leave.yml", "take.yml", "sweep.yml"]
