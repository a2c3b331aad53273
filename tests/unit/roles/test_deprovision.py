# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guest is told of a disk that it shall let go of: its place, where the platform knows a disk by that alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

TASKS = Path(__file__).parents[3] / "roles" / "deprovision" / "tasks"
DISK = {"guest_address": "SCSI(0:1)", "size_bytes": 1 << 30}
GUEST = {"hostname": "win01.example.com"}

Evaluate = Callable[..., Any]


def _expression(text: object) -> str:
    return str(text).strip().removeprefix("{{").removesuffix("}}")


def _look(name: str) -> dict[str, Any]:
    """A task of look.yml by its name."""
    tasks: list[dict[str, Any]] = yaml.safe_load((TASKS / "look.yml").read_text())
    return next(task for task in tasks if task["name"].startswith(name))


class TestAGuestThatDoesNotShowTheLun:
    @pytest.mark.parametrize(
        ("guest", "known", "looked_at"),
        [
            ({"host": "app01"}, {"guest_disk_seen": {"disk": None}}, True),
            ({"host": "app01"}, {"guest_disk_seen": {"disk": {"path": "/dev/sdb"}}}, False),
            (GUEST, {"guest_disk_result": {"disk_number": None}}, True),
            (GUEST, {"guest_disk_result": {"disk_number": 0}}, False),
            ({}, {}, False),
        ],
    )
    def test_is_asked_whether_it_is_the_guest_of_that_vm(
        self, evaluate: Evaluate, guest: dict[str, str], known: dict[str, Any], looked_at: bool
    ) -> None:
        block = yaml.safe_load((TASKS / "main.yml").read_text())[-1]["block"]
        task = next(task for task in block if task["name"].startswith("See that it is the guest"))
        here = {"deprovision_guest": guest, "deprovision_in_guest": True, **known}
        if guest:
            here["deprovision_is_unshown"] = evaluate(_expression(task["vars"]["deprovision_is_unshown"]), **here)
        assert evaluate(task["when"], **here) is looked_at
        assert evaluate(task["when"], **here, ansible_check_mode=True) is looked_at

    @pytest.mark.parametrize(
        ("check_mode", "guest", "told"), [(True, {"host": "app01"}, True), (True, GUEST, False), (False, {"host": "app01"}, False)]
    )
    def test_is_told_in_check_mode_that_nobody_has_let_it_look(
        self, render: Callable[..., str], check_mode: bool, guest: dict[str, str], told: bool
    ) -> None:
        tasks = yaml.safe_load((TASKS / "wrong_guest.yml").read_text())
        task = next(task for task in tasks if task["name"].startswith("Stop if"))
        known = {"deprovision_identity": "naa", "deprovision_vm": "app01", "deprovision_guest": guest, "ansible_check_mode": check_mode}
        said = render(task["ansible.builtin.assert"]["fail_msg"], **task["vars"], **known)
        assert ("run this without check mode" in said) is told
        assert said.strip().endswith(".")

    @pytest.mark.parametrize(
        ("unshown", "looked", "goes_on"),
        [
            (None, {"skipped": True}, True),
            (DISK, {"disk": {"path": "/dev/sdb"}}, True),
            (DISK, {"failed": True, "msg": "It does not show it."}, False),
            (DISK, {"skipped": True}, False),
        ],
        ids=["the VM has let go of it", "it had forgotten it", "it is another VM's", "a Windows guest shows all that it has"],
    )
    def test_is_refused_where_the_vm_has_it_and_a_look_does_not_help(
        self, evaluate: Evaluate, unshown: dict[str, Any] | None, looked: dict[str, Any], goes_on: bool
    ) -> None:
        tasks = yaml.safe_load((TASKS / "wrong_guest.yml").read_text())
        task = next(task for task in tasks if task["name"].startswith("Stop if"))
        known = {"deprovision_unshown": {"disk": unshown}, "deprovision_looked": looked}
        assert evaluate(task["ansible.builtin.assert"]["that"], **known) is goes_on

    def test_is_looked_at_before_anything_is_taken(self) -> None:
        block = yaml.safe_load((TASKS / "main.yml").read_text())[-1]["block"]
        names = [task["name"] for task in block]
        assert names.index("See that it is the guest of this VM") < names.index("Take it from VM, hosts and array")


@pytest.fixture
def noted(evaluate: Evaluate) -> Callable[..., dict[str, Any]]:
    """What look.yml notes, by what the question for the place was answered."""
    facts = _look("Note that place")["ansible.builtin.set_fact"]
    return lambda answer: {name: evaluate(_expression(text), deprovision_place=answer) for name, text in facts.items()}


@pytest.mark.parametrize(
    ("answer", "disk", "in_guest"),
    [
        ({"changed": False, "disk": DISK}, DISK, True),
        ({"changed": False, "disk": None}, {}, False),
        ({"changed": False, "skipped": True}, {}, True),
    ],
    ids=["a VM on Xen has it", "a VM on Xen does not have it", "on another platform nobody asks"],
)
def test_the_guest_is_asked_about_the_place_of_a_disk_that_the_vm_has(
    noted: Callable[..., dict[str, Any]], evaluate: Evaluate, answer: dict[str, Any], disk: dict[str, Any], in_guest: bool
) -> None:
    found = noted(answer)
    assert (found["deprovision_disk"], found["deprovision_in_guest"]) == (disk, in_guest)
    block = yaml.safe_load((TASKS / "main.yml").read_text())[-1]["block"]
    task = next(task for task in block if task["name"].startswith("Take the disk out of use"))
    told = {name: evaluate(_expression(task["vars"][name]), **found) for name in ("guest_disk_address", "guest_disk_size_bytes")}
    assert told == {"guest_disk_address": disk.get("guest_address", ""), "guest_disk_size_bytes": disk.get("size_bytes", 0)}
    assert evaluate(task["when"], deprovision_guest=GUEST, **found) is in_guest
    assert not evaluate(task["when"], deprovision_guest={}, **found)


def test_the_place_is_asked_for_without_taking_the_disk() -> None:
    task = _look("Learn in which place")
    assert (task["crossvisor.san.ptd_attach"]["state"], task["check_mode"]) == ("absent", True)
