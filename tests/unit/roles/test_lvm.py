# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the role guest_disk keeps its hands off a volume group, and which names it gives to LVM."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles" / "guest_disk"
VARIABLES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
OURS, THEIRS = "/dev/sdb1", "/dev/sdc1"
WISH = {"vg": "vg_data", "lv": "lv_data"}
MADE = [{"vg_name": "vg_data", "lv_name": "lv_data"}]

Evaluate = Callable[..., Any]
Told = Callable[..., str]


def tasks(name: str) -> Iterator[dict[str, Any]]:
    """The tasks of a file that stop the role, each with its arguments in `assert` and its variables in `vars`."""
    for task in yaml.safe_load((ROLE / "tasks" / name).read_text()):
        if "ansible.builtin.assert" in task:
            yield {"assert": task["ansible.builtin.assert"], "vars": task.get("vars", {})}


def expression(text: str) -> str:
    return text.strip().removeprefix("{{").removesuffix("}}")


def refusal(evaluate: Evaluate, render: Callable[..., str], file: str, known: dict[str, Any]) -> str:
    """The sentence of the first task of a file that stops the role; empty if none does."""
    for task in tasks(file):
        here = dict(known)
        for name, text in task["vars"].items():
            here[name] = evaluate(expression(text), **here)
        wanted = task["assert"]["that"]
        if not all(evaluate(one, **here) for one in (wanted if isinstance(wanted, list) else [wanted])):
            return render(task["assert"]["fail_msg"], **here).strip()
    return ""


@pytest.fixture
def told(evaluate: Evaluate, render: Callable[..., str]) -> Told:
    """`told(state, pvs, lvs)` is what stops the role where LVM has these volumes, and has written to the partition."""

    def telling(state: str, pvs: dict[str, str], lvs: list[dict[str, str]], written: bool = True, failed: int = 0) -> str:
        partition = {"device": OURS, "signatures": ["LVM2_member"] if written else []}
        reports = ({"pv": [{"pv_name": pv, "vg_name": vg} for pv, vg in pvs.items()]}, {"lv": lvs})
        results = [
            {"item": {"tool": tool}, "rc": failed, "stdout": json.dumps({"report": [report]})}
            for tool, report in zip(("pvs", "lvs"), reports, strict=True)
        ]
        known: dict[str, Any] = {
            "guest_disk_naa": "600a",
            "guest_disk_linux_guest": "app01",
            "guest_disk_state": state,
            "guest_disk_lvm": WISH if state == "present" else {},
            "guest_disk_seen": {"disk": {"path": "/dev/sdb", "content": {"signatures": []}, "partitions": [partition]}},
            "guest_disk_lvm_report": {"results": results},
        }
        for name in ("guest_disk_pvs", "guest_disk_lvs", "guest_disk_lvm_members", "guest_disk_lvm_groups"):
            known[name] = evaluate(expression(VARIABLES[name]), **known)
        text = refusal(evaluate, render, "linux_lvm_look.yml", known)
        return text.removeprefix("LUN 600a in guest app01 was left as it is, because ")

    return telling


@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_group_of_the_one_disk_with_the_one_volume_is_the_role_s(told: Told, state: str) -> None:
    assert told(state, {OURS: "vg_data", THEIRS: "vg_other"}, [*MADE, {"vg_name": "vg_other", "lv_name": "theirs"}]) == ""


def test_what_a_stopped_run_left_is_gone_on_with(told: Told) -> None:
    assert told("present", {}, [], written=False) == ""
    assert told("present", {OURS: ""}, []) == ""
    assert told("present", {OURS: "vg_data"}, []) == ""


@pytest.mark.parametrize(("state", "way_out"), [("present", "name another group"), ("absent", "take those out of it first")])
def test_a_group_with_another_disk_stays_as_it_is(told: Told, state: str, way_out: str) -> None:
    kept = "this role keeps to a group of one disk and one volume"
    sentence = f"volume group vg_data has the physical volumes {THEIRS}, and {kept}: {way_out}."
    assert told(state, {OURS: "vg_data", THEIRS: "vg_data"}, MADE) == sentence


@pytest.mark.parametrize(("state", "volumes"), [("present", "theirs"), ("absent", "lv_data, theirs")])
def test_a_group_with_another_volume_stays_as_it_is(told: Told, state: str, volumes: str) -> None:
    lvs = [*MADE, {"vg_name": "vg_data", "lv_name": "theirs"}]
    assert told(state, {OURS: "vg_data"}, lvs).startswith(f"volume group vg_data has the logical volumes {volumes}, and this role")


def test_a_disk_without_lvm_gets_no_group_that_is_there(told: Told) -> None:
    assert told("present", {THEIRS: "vg_data"}, [], written=False).startswith(f"volume group vg_data has the physical volumes {THEIRS}, ")


def test_a_disk_of_another_group_is_not_renamed(told: Told) -> None:
    assert told("present", {OURS: "vg_old"}, []) == "it is of volume group vg_old, not of vg_data: name that, or choose another LUN."


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_lvm_does_not_show_is_not_free(told: Told, state: str) -> None:
    assert told(state, {}, []).startswith(f"LVM does not show {OURS}, which it has written to: ")
    assert told(state, {}, [], failed=5) == "pvs and lvs failed: install lvm2 there, or see what hinders it."


@pytest.mark.parametrize(
    ("lvm", "system", "file_system", "reason"),
    [
        (WISH, "linux", "xfs", ""),
        (WISH, "windows", "NTFS", "is for Linux guests, and this one runs Windows: leave it out."),
        (WISH, "linux", "swap", "leave it out for swap space."),
        ({"vg": "vg_data"}, "linux", "xfs", "write a volume group and a logical volume"),
        ({**WISH, "size": "1g"}, "linux", "xfs", "write a volume group and a logical volume"),
        ({"vg": "-f", "lv": "lv"}, "linux", "xfs", "write a volume group and a logical volume"),
        ({"vg": "..", "lv": "lv"}, "linux", "xfs", "write a volume group and a logical volume"),
        ({"vg": "vg", "lv": "a b"}, "linux", "xfs", "write a volume group and a logical volume"),
        ({"vg": "vg", "lv": "lv\n"}, "linux", "xfs", "write a volume group and a logical volume"),
    ],
)
def test_only_what_can_be_a_logical_volume_is_taken(
    evaluate: Evaluate, render: Callable[..., str], lvm: dict[str, str], system: str, file_system: str, reason: str
) -> None:
    known = {"guest_disk_lvm": lvm, "guest_disk_os": system, "guest_disk_linux_file_system": file_system}
    text = refusal(evaluate, render, "lvm_names.yml", known)
    assert reason in text
    assert bool(text) == bool(reason)


@pytest.mark.parametrize(
    ("rc", "kinds", "existed", "name", "taken"),
    [
        (0, "xfs", True, "theirs", True),
        (2, "", False, "theirs", True),
        (2, "", True, "crossvisor.san", True),
        (2, "", True, "theirs", False),
        (0, "ext4", True, "crossvisor.san", False),
        (0, "gpt", True, "crossvisor.san", False),
        (8, "", True, "crossvisor.san", False),
    ],
)
def test_a_logical_volume_gets_a_file_system_only_if_it_is_new_or_begun(
    evaluate: Evaluate, render: Callable[..., str], rc: int, kinds: str, existed: bool, name: str, taken: bool
) -> None:
    known = {
        "guest_disk_naa": "600a",
        "guest_disk_linux_guest": "app01",
        "guest_disk_linux_file_system": "xfs",
        "guest_disk_linux_partition_name": VARIABLES["guest_disk_linux_partition_name"],
        "guest_disk_lvm": WISH,
        "guest_disk_lv_device": "/dev/mapper/vg_data-lv_data",
        "guest_disk_lvs": MADE if existed else [],
        "guest_disk_seen": {"disk": {"partitions": [{"name": name}]}},
        "guest_disk_lv_content": {"rc": rc, "stdout": kinds, "stdout_lines": kinds.splitlines()},
    }
    text = refusal(evaluate, render, "linux_lvm.yml", known)
    assert (text == "") == taken, text


def test_a_logical_volume_is_called_by_the_kernel_s_name(evaluate: Evaluate, render: Callable[..., str]) -> None:
    text = VARIABLES["guest_disk_lv_device"]
    assert render(text, guest_disk_lvm={"vg": "vg-data", "lv": "lv_1"}).strip() == "/dev/mapper/vg--data-lv_1"
    assert evaluate(expression(text), guest_disk_lvm={}) == ""


@pytest.mark.parametrize(("lvm", "kind"), [({}, "ext4"), (WISH, "")])
def test_a_file_system_is_not_offered_to_one_who_wants_a_logical_volume(evaluate: Evaluate, lvm: dict[str, str], kind: str) -> None:
    known = {
        "guest_disk_lvm": lvm,
        "guest_disk_seen": {"disk": {"partitions": [{"signatures": ["ext4"]}]}},
        "guest_disk_is_single": True,
        "guest_disk_foreign_uses": [],
        "guest_disk_linux_tools": VARIABLES["guest_disk_linux_tools"],
        "guest_disk_linux_file_system": "xfs",
    }
    assert evaluate(expression(VARIABLES["guest_disk_other_kind"]), **known) == kind


@pytest.mark.parametrize(("lvm", "needed"), [({}, False), (WISH, True)])
def test_lvm_is_needed_in_the_guest_only_for_a_logical_volume(evaluate: Evaluate, lvm: dict[str, str], needed: bool) -> None:
    known = {name: VARIABLES[name] for name in ("guest_disk_linux_tools", "guest_disk_linux_lvm_tools")}
    tools = evaluate(expression(VARIABLES["guest_disk_linux_needed"]), **known, guest_disk_linux_file_system="xfs", guest_disk_lvm=lvm)
    assert ("lvm2" in tools.values()) == needed


@pytest.mark.parametrize(
    ("name", "signatures", "single", "let_go"),
    [
        ("crossvisor.san", ["LVM2_member"], True, True),
        ("crossvisor.san", ["LVM2_member"], False, False),
        ("crossvisor.san", ["LVM2_member", "xfs"], True, False),
        ("theirs", ["LVM2_member"], True, False),
    ],
)
def test_a_disk_that_goes_takes_only_a_volume_of_this_role_along(
    evaluate: Evaluate, name: str, signatures: list[str], single: bool, let_go: bool
) -> None:
    block = yaml.safe_load((ROLE / "tasks" / "linux_absent.yml").read_text())[1]
    volume = {"kind": "logical volume", "device": OURS, "name": "/dev/mapper/vg_data-lv_data"}
    mount = {"kind": "mount", "device": volume["name"], "name": "/srv/data"}
    partition = {"device": OURS, "name": name, "signatures": signatures, "uuid": ""}
    known: dict[str, Any] = {
        "guest_disk_lvm_let_go": VARIABLES["guest_disk_lvm_let_go"],
        "guest_disk_linux_partition_name": VARIABLES["guest_disk_linux_partition_name"],
        "guest_disk_is_single": single,
        "guest_disk_seen": {"disk": {"partitions": [partition]}, "used_by": [volume, mount]},
    }
    for variable in ("guest_disk_own_pvs", "guest_disk_own_lvs", "guest_disk_sources"):
        known[variable] = evaluate(expression(block["vars"][variable]), **known)
    assert known["guest_disk_sources"] == ([volume["name"]] if let_go else [])


@pytest.mark.parametrize(("lvm", "foreign"), [(WISH, False), ({"vg": "vg_data", "lv": "other"}, True), ({}, True)])
def test_only_the_wished_volume_may_use_the_disk(evaluate: Evaluate, lvm: dict[str, str], foreign: bool) -> None:
    use = {"kind": "logical volume", "device": OURS, "name": "/dev/mapper/vg_data-lv_data"}
    known: dict[str, Any] = {"guest_disk_lvm": lvm, "guest_disk_seen": {"used_by": [use]}}
    known["guest_disk_lv_device"] = evaluate(expression(VARIABLES["guest_disk_lv_device"]), **known)
    assert bool(evaluate(expression(VARIABLES["guest_disk_foreign_uses"]), **known)) == foreign


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("disks/tasks/guest.yml", {"disks_disk": {"lvm": WISH}}),
        ("disks/tasks/look_linux.yml", {"disks_present": [{"lvm": {}}, {"lvm": WISH}]}),
        ("provision/tasks/main.yml", {"provision_lvm": WISH}),
    ],
)
def test_the_other_roles_hand_the_wish_on(evaluate: Evaluate, file: str, given: dict[str, Any]) -> None:
    roles = [task["vars"] for task in yaml.safe_load((ROLE.parent / file).read_text()) if "ansible.builtin.include_role" in task]
    assert roles
    assert all(evaluate(expression(variables["guest_disk_lvm"]), **given) == WISH for variables in roles)
