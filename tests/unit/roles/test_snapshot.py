# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who holds a guest still for the role snapshot, what it says of that, and what stays when it fails."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.unit.role_tasks import ROLES, Evaluate, Render, expression, known_to, positions, refusal, task

pytestmark = pytest.mark.slow

SNAPSHOT = ROLES / "snapshot" / "tasks"


def taken(*volumes: str) -> list[dict[str, str]]:
    return [dict(zip(("svm", "volume"), one.split(":"), strict=True)) for one in volumes]


ROLE = {name: text for name, text in yaml.safe_load((SNAPSHOT.parent / "vars" / "main.yml").read_text()).items() if name.endswith("_words")}
NOTHING: dict[str, Any] = {
    "snapshot_guest": {},
    "snapshot_vm": "",
    "snapshot_method": "auto",
    "snapshot_quiesce": "auto",
    "ansible_check_mode": False,
    **{f"snapshot_{name}": {} for name in ("left", "frozen", "thawed", "flushed", "agent_left", "agent_frozen", "agent_thawed")},
    "snapshot_taken": {"changed": True},
}
"""What the role knows when nobody was asked for anything."""
HOST, WINDOWS = {"host": "app01"}, {"hostname": "win01"}
SKIPPED = {"skipped": True, "changed": False}
SILENT = {"unreachable": True, "msg": "No route to host"}
ROW = {"naa": "naa-a", "device": "sda1", "mount": "/srv"}
FROZEN = {"file_systems": [ROW], "made_by": "0123456789abcdef"}


def refused(told: str) -> dict[str, Any]:
    return {"failed": True, "msg": told}


def role(evaluate: Evaluate, known: dict[str, Any]) -> dict[str, Any]:
    """What the variables of the role tell of what it knows."""
    here = {**NOTHING, **known}
    for name, text in yaml.safe_load((SNAPSHOT.parent / "vars" / "main.yml").read_text()).items():
        here[name] = evaluate(expression(text), **here) if "{{" in text else text
    return here


class TestWhoHoldsTheGuestStill:
    @pytest.mark.parametrize(
        ("known", "asked"),
        [
            ({}, []),
            ({"snapshot_guest": HOST}, ["host"]),
            ({"snapshot_guest": HOST, "snapshot_vm": "app01"}, ["host", "agent"]),
            ({"snapshot_guest": HOST, "snapshot_vm": "app01", "snapshot_method": "agent"}, ["agent"]),
            ({"snapshot_guest": HOST, "snapshot_vm": "app01", "snapshot_method": "fsfreeze"}, ["host"]),
            ({"snapshot_vm": "app01"}, ["agent"]),
            ({"snapshot_guest": WINDOWS}, ["flush"]),
            ({"snapshot_guest": WINDOWS, "snapshot_vm": "win01"}, ["agent", "flush"]),
            ({"snapshot_guest": WINDOWS, "snapshot_vm": "win01", "snapshot_method": "flush"}, ["flush"]),
        ],
    )
    def test_is_asked_in_this_order(self, evaluate: Evaluate, known: dict[str, Any], asked: list[str]) -> None:
        here = role(evaluate, known)
        assert [who for who in ("host", "agent", "flush") if here[f"snapshot_by_{who}"]] == asked

    @pytest.mark.parametrize(
        ("known", "verdict", "method"),
        [
            ({}, "no guest was named", "none"),
            ({"snapshot_guest": HOST, "snapshot_quiesce": "none"}, "the guest was not to be quiesced", "none"),
            ({"snapshot_guest": HOST, "ansible_check_mode": True}, "check mode freezes nothing", "none"),
            (
                {"snapshot_guest": HOST, "snapshot_frozen": FROZEN, "snapshot_thawed": {"held": True, "mounts": ["/srv"]}},
                "",
                "fsfreeze",
            ),
            (
                {"snapshot_guest": HOST, "snapshot_frozen": FROZEN, "snapshot_thawed": {"held": True, "mounts": []}},
                "the guest let go before the snapshot was there",
                "fsfreeze",
            ),
            (
                {"snapshot_guest": HOST, "snapshot_frozen": FROZEN, "snapshot_thawed": SILENT},
                "nobody can tell whether the guest was still until the snapshot was there",
                "fsfreeze",
            ),
            ({"snapshot_guest": HOST, "snapshot_left": SILENT, "snapshot_frozen": SKIPPED}, "the guest app01 does not answer", "none"),
            (
                {
                    "snapshot_guest": HOST,
                    "snapshot_vm": "app01",
                    "snapshot_left": SILENT,
                    "snapshot_frozen": SKIPPED,
                    "snapshot_agent_frozen": FROZEN,
                    "snapshot_agent_thawed": {"held": True},
                },
                "",
                "agent",
            ),
            (
                {"snapshot_vm": "app01", "snapshot_agent_frozen": FROZEN, "snapshot_agent_thawed": {"held": False}},
                "the guest let go before the snapshot was there",
                "agent",
            ),
            (
                {"snapshot_vm": "app01", "snapshot_agent_frozen": {"file_systems": []}, "snapshot_agent_thawed": {"held": True}},
                "the guest has no file system mounted from these LUNs",
                "agent",
            ),
            (
                {
                    "snapshot_guest": HOST,
                    "snapshot_vm": "app01",
                    "snapshot_left": SILENT,
                    "snapshot_frozen": SKIPPED,
                    "snapshot_agent_frozen": refused("No guest agent answers."),
                },
                "the guest app01 does not answer; No guest agent answers",
                "none",
            ),
            (
                {"snapshot_vm": "app01", "snapshot_agent_left": refused("No login."), "snapshot_agent_frozen": SKIPPED},
                "No login",
                "none",
            ),
            (
                {"snapshot_guest": WINDOWS, "snapshot_flushed": {"results": [{}]}},
                "Windows has written what it had, and nothing holds it still around a snapshot of the array",
                "flush",
            ),
            (
                {"snapshot_guest": WINDOWS, "snapshot_flushed": {"failed": True, "results": [{}, refused("It is offline.")]}},
                "It is offline",
                "none",
            ),
        ],
    )
    def test_is_told_with_the_reason_why_it_was_not(self, evaluate: Evaluate, known: dict[str, Any], verdict: str, method: str) -> None:
        one = task(SNAPSHOT / "judge.yml", "Note why the file systems")
        here = role(evaluate, known)
        assert evaluate(expression(one["ansible.builtin.set_fact"]["snapshot_verdict"]), **known_to(evaluate, one, here)) == verdict
        assert here["snapshot_method_used"] == method

    @pytest.mark.parametrize(
        ("known", "stopped"),
        [
            ({"snapshot_vm": "app01", "snapshot_agent_frozen": refused("No agent.")}, "Snapshot s1 was not taken: No agent."),
            ({"snapshot_guest": WINDOWS, "snapshot_vm": "w", "snapshot_flushed": {"results": []}}, "was not taken: Windows has written"),
            ({"snapshot_vm": "app01", "snapshot_agent_frozen": FROZEN}, ""),
            ({"snapshot_vm": "app01", "snapshot_agent_frozen": refused("No."), "snapshot_quiesce": "auto"}, ""),
        ],
    )
    def test_stops_the_role_where_it_has_to_be(self, evaluate: Evaluate, render: Render, known: dict[str, Any], stopped: str) -> None:
        one = task(SNAPSHOT / "main.yml", "Stop if they have to be held still")
        here = role(evaluate, {"snapshot_quiesce": "required", **known})
        told = refusal(evaluate, render, one, snapshot_name="s1", **here)
        assert stopped in told
        assert bool(told) == bool(stopped)

    def test_is_let_go_first_whoever_is_slower_to_answer(self) -> None:
        order = positions(SNAPSHOT / "main.yml", "Take the snapshot", "Have the guest agent let go", "Let the file systems of the guest go")
        assert order == sorted(order)

    def test_lets_go_only_of_what_this_run_holds(self) -> None:
        given = task(SNAPSHOT / "agent_thaw.yml", "Have the guest agent let")["crossvisor.san.vm_freeze"]
        assert (given["state"], given["made_by"]) == ("thawed", "{{ snapshot_agent_frozen.made_by }}")

    @pytest.mark.parametrize(
        ("told", "lets_go"),
        [
            (FROZEN, True),
            ({"file_systems": [], "made_by": ""}, False),
            (refused("It is held still by an earlier run."), False),
            (SKIPPED, False),
            ({}, False),
        ],
        ids=["it holds them", "there is none to hold", "it failed", "nobody was asked", "another was asked"],
    )
    def test_has_the_agent_let_go_of_nothing_where_it_holds_nothing_because_it_may_be_another_run_s(
        self, evaluate: Evaluate, told: dict[str, Any], lets_go: bool
    ) -> None:
        one = task(SNAPSHOT / "main.yml", "Have the guest agent let go")
        assert evaluate(one["when"], snapshot_freezes=True, snapshot_agent_frozen=told) is lets_go

    @pytest.mark.parametrize(
        ("told", "lets_go"),
        [(FROZEN, True), (refused("It hangs."), True), ({"unreachable": True}, True), (SKIPPED, False), ({}, False)],
        ids=["it holds them", "it failed", "nobody answered", "nobody was asked", "another was asked"],
    )
    def test_lets_go_by_the_mark_that_it_chose_also_where_nobody_answered(
        self, evaluate: Evaluate, told: dict[str, Any], lets_go: bool
    ) -> None:
        one = task(SNAPSHOT / "main.yml", "Let the file systems of the guest go")
        assert evaluate(one["when"], snapshot_freezes=True, snapshot_frozen=told) is lets_go

    def test_has_a_mark_of_its_own(self, render: Render) -> None:
        mark = task(SNAPSHOT / "main.yml", "Forget what an earlier run")["ansible.builtin.set_fact"]["snapshot_mark"]
        first, second = render(mark), render(mark)
        assert re.fullmatch("[0-9a-f]{16}", first)
        assert first != second

    def test_has_a_mark_that_is_one_of_more_than_can_be_met_again(self, render: Render) -> None:
        mark = task(SNAPSHOT / "main.yml", "Forget what an earlier run")["ansible.builtin.set_fact"]["snapshot_mark"]
        marks = [int(render(mark), 16) for _run in range(8)]
        assert any(bin(one).count("1") > 1 for one in marks), "each is a power of two, of which there are 64"


class TestASnapshot:
    LUNS = tuple({"naa": f"naa-{one}", **row} for one, row in zip("abc", taken("svm1:v", "svm2:v", "svm2:w"), strict=True))

    def volumes(self, evaluate: Evaluate, look: dict[str, Any]) -> list[str]:
        found: list[str] = evaluate(expression(task(SNAPSHOT / "main.yml", "Take it")["vars"]["snapshot_volumes"]), snapshot_look=look)
        return found

    @pytest.mark.parametrize(
        ("there", "wanted"),
        [((), True), (("svm1:v", "svm2:w"), True), (("svm1:v", "svm2:v", "svm2:w"), False)],
        ids=["none", "some", "all"],
    )
    def test_is_taken_while_a_volume_has_none_also_where_two_svms_have_volumes_of_one_name(
        self, evaluate: Evaluate, there: tuple[str, ...], wanted: bool
    ) -> None:
        look = {"luns": self.LUNS, "snapshots": taken(*there)}
        known = {"snapshot_look": look, "snapshot_volumes": self.volumes(evaluate, look)}
        assert evaluate(task(SNAPSHOT / "main.yml", "Take it")["when"], **known) is wanted

    @pytest.mark.parametrize(
        ("there", "changed", "fresh"),
        [
            ((), True, ["naa-a", "naa-b", "naa-c"]),
            (("svm1:v",), True, ["naa-b", "naa-c"]),
            ((), False, []),
        ],
        ids=["all by this run", "the first by an earlier run", "by another run meanwhile"],
    )
    def test_is_taken_back_only_where_this_run_has_taken_it(
        self, evaluate: Evaluate, there: tuple[str, ...], changed: bool, fresh: list[str]
    ) -> None:
        look = {"luns": self.LUNS, "snapshots": taken(*there)}
        one = task(SNAPSHOT / "judge.yml", "Note of which LUNs")
        known = {"snapshot_look": look, "snapshot_volumes": self.volumes(evaluate, look), "snapshot_taken": {"changed": changed}}
        here = known_to(evaluate, one, known)
        assert evaluate(expression(one["ansible.builtin.set_fact"]["snapshot_fresh"]), **here) == [{"naa": naa} for naa in fresh]
        deletion = task(SNAPSHOT / "judge.yml", "Delete what this run has taken")
        assert evaluate(deletion["when"], snapshot_fresh=fresh) is bool(fresh)

    def test_says_and_keeps_nothing_before_it_is_known_that_it_stays(self) -> None:
        taking = task(SNAPSHOT / "main.yml", "Take the snapshot")["crossvisor.san.lun_snapshot"]
        assert ("expires" in taking, taking["comment"]) == (False, "{{ snapshot_comment }}")
        order = positions(SNAPSHOT / "main.yml", "Judge what the snapshot holds", "Let it expire only then", "Hand on what is there")
        assert order == sorted(order)

    @pytest.mark.parametrize(
        ("verdict", "flushed", "fresh", "said"),
        [
            ("", False, [{"naa": "a"}], "mine (file systems held still)"),
            ("it does not answer", False, [{"naa": "a"}], ""),
            ("", False, [], ""),
            ("nothing holds it still", True, [{"naa": "a"}], "mine (file systems flushed)"),
            ("nothing holds it still", True, [], ""),
        ],
    )
    def test_is_said_to_be_of_file_systems_held_still_where_this_run_has_seen_that(
        self, evaluate: Evaluate, render: Render, verdict: str, flushed: bool, fresh: list[dict[str, str]], said: str
    ) -> None:
        one = task(SNAPSHOT / "judge.yml", "Say in its comment")
        known = {"snapshot_is_flushed": flushed, "snapshot_is_frozen": not verdict, "snapshot_comment": "mine", **ROLE}
        assert evaluate(one["when"], snapshot_verdict=verdict, snapshot_fresh=fresh, **known) is bool(said)
        assert not said or render(one["crossvisor.san.lun_snapshot"]["comment"], snapshot_verdict=verdict, **known) == said

    def test_of_which_a_part_is_said_to_be_so_is_shown_whole(self, evaluate: Evaluate) -> None:
        one = task(SNAPSHOT / "judge.yml", "Show the comment as it is now")
        there = [{"uuid": "old", "comment": "x"}, {"uuid": "new", "comment": ""}]
        known = {"snapshot_taken": {"snapshots": there}, "snapshot_corrected": {"snapshots": [{"uuid": "new", "comment": "said"}]}}
        shown = evaluate(expression(one["ansible.builtin.set_fact"]["snapshot_taken"]), **known_to(evaluate, one, known))
        assert {row["uuid"]: row["comment"] for row in shown["snapshots"]} == {"old": "x", "new": "said"}

    @pytest.mark.parametrize(
        ("quiesce", "consistency", "snapshots", "stopped"),
        [
            ("required", "crash", [{}], True),
            ("required", "file_system", [{}], False),
            ("required", "crash", [], False),
            ("auto", "crash", [{}], False),
        ],
    )
    def test_of_an_earlier_run_is_not_taken_for_what_is_required(
        self, evaluate: Evaluate, render: Render, quiesce: str, consistency: str, snapshots: list[Any], stopped: bool
    ) -> None:
        known = {
            "snapshot_quiesce": quiesce,
            "snapshot_result": {"consistency": consistency, "snapshots": snapshots},
            "snapshot_name": "s1",
        }
        told = refusal(evaluate, render, task(SNAPSHOT / "main.yml", "Stop if an earlier snapshot"), **known)
        assert told.startswith("Snapshot s1 is there, but its comment does not say") is stopped

    @pytest.mark.parametrize(
        ("expires", "snapshots", "wanted"),
        [("7d", [{"expires": None}], True), ("7d", [{"expires": "2090"}], False), ("", [{"expires": None}], False), ("7d", [], False)],
    )
    def test_that_a_killed_run_left_without_its_expiry_gets_it(
        self, evaluate: Evaluate, expires: str, snapshots: list[dict[str, Any]], wanted: bool
    ) -> None:
        one = task(SNAPSHOT / "main.yml", "Let it expire only then")
        here = known_to(evaluate, one, {"snapshot_taken": {}, "snapshot_look": {"snapshots": snapshots}, "snapshot_expires": expires})
        assert evaluate(one["when"], **here) is wanted

    def test_lets_go_only_of_what_this_run_holds(self) -> None:
        given = task(SNAPSHOT / "thaw.yml", "Let the file systems go")["crossvisor.san.guest_freeze"]
        assert given == {"state": "thawed", "made_by": "{{ snapshot_mark }}"}
        held = task(SNAPSHOT / "freeze.yml", "Hold the file systems still")["crossvisor.san.guest_freeze"]
        assert held["made_by"] == given["made_by"]
