# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook verify_snapshot makes, says, and takes away again."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.role_tasks import ROLES, TOP, Evaluate, Render, expression, positions_of, refusal, walk

pytestmark = pytest.mark.slow

VERIFY = TOP / "playbooks" / "verify_snapshot.yml"
CONNECT = ROLES / "connect_snapshot" / "tasks"


class TestAVerification:
    def test_has_a_clone_of_its_own_and_takes_only_that_away(self, render: Render) -> None:
        (play,) = yaml.safe_load(VERIFY.read_text())
        named = render(play["vars"]["verify_snapshot_clone"], lun="data", snapshot="s 1")
        default = yaml.safe_load((CONNECT.parent / "defaults" / "main.yml").read_text())["connect_snapshot_clone"]
        assert named == "data_s_1_verify"
        assert named != render(default, connect_snapshot_lun="data", connect_snapshot_name="s 1")
        used = [
            text
            for one in walk(play["tasks"])
            for name, text in one.get("vars", {}).items()
            if name in ("connect_snapshot_clone", "disconnect_snapshot_clone")
        ]
        assert used == ["{{ verify_snapshot_clone }}"] * 2

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ({"rc": 0, "stdout": "fine"}, ""),
            ({"rc": 2, "stdout": "bad", "stderr": "sum"}, "was not verified, the command ended with 2: bad sum"),
            ({"unreachable": True, "msg": "No route."}, "was not verified, because its command did not run: No route."),
            ({"skipped": True}, ""),
        ],
    )
    def test_tells_the_verdict_or_why_there_is_none(self, evaluate: Evaluate, render: Render, said: dict[str, Any], told: str) -> None:
        (play,) = yaml.safe_load(VERIFY.read_text())
        one = next(one for one in walk(play["tasks"]) if one["name"] == "Tell the verdict")
        known = {"verify_snapshot_said": said, "verify_snapshot_output": said.get("stdout", ""), "snapshot": "s1", "lun": "data"}
        known["verify_command"] = "" if "skipped" in said else "fsck"
        known["verify_snapshot_rc"] = evaluate(expression(play["vars"]["verify_snapshot_rc"]), **known)
        assert refusal(evaluate, render, one, **known).removeprefix("Snapshot s1 of LUN data ").strip() == told

    @pytest.mark.parametrize(
        ("given", "goes_on"),
        [({}, False), ({"verify_command": "fsck"}, True), ({"verify_tasks": "/t.yml"}, True), ({"verify_tasks": ""}, False)],
    )
    def test_wants_a_command_or_a_file_of_tasks_before_anything_is_connected(
        self, evaluate: Evaluate, given: dict[str, str], goes_on: bool
    ) -> None:
        (play,) = yaml.safe_load(VERIFY.read_text())
        one = next(one for one in walk(play["tasks"]) if one["name"] == "Stop if nobody has said how to verify it")
        assert evaluate(one["ansible.builtin.assert"]["that"], **given) is goes_on
        order = positions_of(play["tasks"], "Stop if nobody", "Connect the snapshot", "Run the tasks", "Run the command", "Disconnect")
        assert order == sorted(order)

    def test_disconnects_although_the_guest_went_away(self) -> None:
        (play,) = yaml.safe_load(VERIFY.read_text())
        assert next(one for one in walk(play["tasks"]) if one["name"] == "Run the command in the guest")["ignore_unreachable"] is True
