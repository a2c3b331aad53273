# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role disconnect_snapshot takes away with a disk, and what it leaves: nothing of the original."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.role_tasks import ROLES, TOP, Evaluate, Render, expression, known_to, positions, refusal, task

DISCONNECT = ROLES / "disconnect_snapshot" / "tasks"
NAA = "600a098038304c61622d616161616131"


class TestAVolumeGroupThatIsTakenAway:
    FILE = DISCONNECT / "linux_lvm.yml"

    def known(self, evaluate: Evaluate, *processes: dict[str, Any]) -> dict[str, Any]:
        block = task(self.FILE, "Let go of the volume group")
        rows = [{"vg_name": f"data_{NAA[-12:]}"}]
        known = {
            "disconnect_snapshot_naa": NAA,
            "disconnect_snapshot_guest": {"host": "app01"},
            "disconnect_snapshot_vgs": {"stdout": json.dumps({"report": [{"vg": rows}]})},
            "disconnect_snapshot_seen": {
                "disk": {"partitions": [], "content": {"signatures": ["LVM2_member"]}},
                "used_by": [{"kind": "mount", "name": "/mnt", "processes": processes}],
            },
        }
        return known_to(evaluate, block, known)

    @pytest.mark.parametrize(
        ("disk", "looked_at"),
        [
            ({"partitions": [{"signatures": ["LVM2_member"]}], "content": {"signatures": []}}, True),
            ({"partitions": [], "content": {"signatures": ["LVM2_member"]}}, True),
            ({"partitions": [{"signatures": ["xfs"]}, {}], "content": None}, False),
            (None, False),
        ],
    )
    def test_is_looked_for_also_where_a_killed_run_has_let_go_of_it(
        self, evaluate: Evaluate, disk: dict[str, Any] | None, looked_at: bool
    ) -> None:
        block = task(self.FILE, "Let go of the volume group")
        known: dict[str, Any] = {"disconnect_snapshot_seen": {"disk": disk, "used_by": []}}
        for name in ("disconnect_snapshot_disk", "disconnect_snapshot_signatures"):
            known[name] = evaluate(expression(block["vars"][name]), **known)
        assert evaluate(block["when"], **known) is looked_at

    @pytest.mark.parametrize(("let_go", "looks"), [(False, True), (True, False)])
    def test_may_have_several_volumes_once_it_was_let_go_of(self, evaluate: Evaluate, let_go: bool, looks: bool) -> None:
        one = task(TOP / "roles" / "guest_disk" / "tasks" / "linux_absent.yml", "See that the volume group is the disk")
        assert evaluate(one["when"], guest_disk_lvm_members=["/dev/sdb"], guest_disk_copy=False, guest_disk_lvm_let_go=let_go) is looks

    def test_is_known_by_the_name_of_the_lun(self, evaluate: Evaluate, render: Render) -> None:
        known = self.known(evaluate)
        assert known["disconnect_snapshot_groups"] == [f"data_{NAA[-12:]}"]
        argv = task(self.FILE, "Read which volume groups")["ansible.builtin.command"]["argv"]
        assert render(argv[-1], **known) == f"vg_name=~_{NAA[-12:]}$"

    @pytest.mark.parametrize(
        ("processes", "told"), [([], ""), ([{"pid": 7, "command": "postgres"}], "postgres with process id 7; stop that")]
    )
    def test_stays_while_somebody_works_in_it(self, evaluate: Evaluate, render: Render, processes: list[dict[str, Any]], told: str) -> None:
        said = refusal(evaluate, render, task(self.FILE, "Stop if somebody works"), **self.known(evaluate, *processes))
        assert told in said
        assert bool(said) == bool(told)
        order = positions(self.FILE, "Stop if somebody works", "Unmount what", "Let go of it")
        assert order == sorted(order)

    @pytest.mark.parametrize(
        ("rows", "devices"),
        [("", []), ('{"report": [{"pv": []}]}', []), ('{"report": [{"pv": [{"pv_name": "/dev/sdc1"}]}]}', ["/dev/sdc1"])],
        ids=["a guest without LVM", "one that has let go of it", "one that has it"],
    )
    def test_leaves_no_entry_in_the_file_of_devices(self, evaluate: Evaluate, rows: str, devices: list[str]) -> None:
        one = task(DISCONNECT / "linux_lvm.yml", "Take them out")
        assert evaluate(expression(one["loop"]), **known_to(evaluate, one, {"disconnect_snapshot_pvs": {"stdout": rows}})) == devices

    @pytest.mark.parametrize(
        ("rc", "said", "fails"),
        [
            (0, "", False),
            (5, "  Devices file not enabled.", False),
            (5, "  No devices file entry for /dev/sdc1.", False),
            (5, "  Failed to write devices file.", True),
        ],
    )
    def test_takes_it_that_there_may_be_no_such_file(self, evaluate: Evaluate, rc: int, said: str, fails: bool) -> None:
        given = task(DISCONNECT / "linux_lvm.yml", "Take them out")["failed_when"]
        assert evaluate(given, disconnect_snapshot_deldev={"rc": rc, "stderr": said}) is fails
