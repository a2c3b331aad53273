# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role restore_snapshot refuses, leaves alone, and says: never a disk restored below a mount."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.role_tasks import ROLES, Evaluate, Render, expression, positions, refusal, task, walk

RESTORE = ROLES / "restore_snapshot" / "tasks"
NAA = "600a098038304c61622d616161616131"
RESTORING = {"restore_snapshot_look": {"restored": {"naa": NAA}}, "restore_snapshot_guest": {"host": "app01"}}


class TestARestoration:
    @pytest.mark.parametrize("disk", [None, {}])
    def test_is_refused_where_the_guest_does_not_show_the_lun(self, evaluate: Evaluate, render: Render, disk: Any) -> None:
        one = task(RESTORE / "linux_release.yml", "Stop if this guest cannot tell")
        told = refusal(evaluate, render, one, restore_snapshot_seen={"disk": disk, "used_by": []}, **RESTORING)
        assert told.startswith(f"Guest app01 shows no LUN {NAA}, so that nobody knows that it is unmounted, and it was not restored")
        assert "restore_snapshot_unused=true" in told
        assert refusal(evaluate, render, one, restore_snapshot_seen={"disk": {"path": "/dev/sdb"}}, **RESTORING) == ""

    @pytest.mark.parametrize(
        ("rows", "told"),
        [
            ([{"target": "/srv/data", "fstype": "xfs", "fsroot": "/"}], ""),
            ([{"target": "/srv/data", "fstype": "btrfs", "fsroot": "/@data"}], ""),
            ([{"target": "/srv/again", "fstype": "xfs", "fsroot": "/part"}], "only a part of its file system is mounted at /srv/again"),
        ],
    )
    def test_is_refused_where_a_mount_could_not_be_had_again(
        self, evaluate: Evaluate, render: Render, rows: list[dict[str, str]], told: str
    ) -> None:
        one = task(RESTORE / "linux_release.yml", "Stop if a part of it is mounted")
        mounts = {"results": [{"stdout": json.dumps({"filesystems": rows})}]}
        said = refusal(evaluate, render, one, restore_snapshot_mounts=mounts, **RESTORING)
        assert told in said
        assert bool(said) == bool(told)

    def test_refuses_before_anything_is_unmounted(self) -> None:
        order = positions(RESTORE / "linux_release.yml", "Stop if this guest", "Stop if it is in use", "Stop if a part", "Unmount it")
        assert order == sorted(order)

    def test_looks_into_every_mount_namespace_once_it_is_unmounted(self, render: Render, tmp_path: Path) -> None:
        script = render(
            task(RESTORE / "linux_release.yml", "Look whether it is still mounted")["ansible.builtin.shell"]["cmd"],
            restore_snapshot_seen={"disk": {"path": "/dev/sdb"}},
        )

        def found(number: str) -> list[str]:
            tool = tmp_path / "lsblk"
            tool.write_text(f"#!/bin/sh\necho {number}\n")
            tool.chmod(0o755)
            done = subprocess.run(
                ["/bin/sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
            )
            return done.stdout.split()

        mounted = Path("/proc/self/mountinfo").read_text().split()[2]
        assert f"/proc/{os.getpid()}/mountinfo" in found(mounted)
        assert found("4095:1048575") == []
        order = positions(RESTORE / "linux_release.yml", "Unmount it", "Look whether it is still mounted", "Stop if it is")
        assert order[0] < order[1]

    @pytest.mark.parametrize(
        ("lines", "told"), [([], ""), (["/proc/47/mountinfo", "/proc/11/mountinfo"], "namespace of process 47, 11, as in")]
    )
    def test_is_refused_where_a_container_has_it_mounted(self, evaluate: Evaluate, render: Render, lines: list[str], told: str) -> None:
        one = next(one for one in walk(yaml.safe_load((RESTORE / "linux_release.yml").read_text())) if one["name"] == "Stop if it is")
        said = refusal(evaluate, render, one, restore_snapshot_hidden={"stdout_lines": lines}, **RESTORING)
        assert told in said
        assert bool(said) == bool(told)

    @pytest.mark.parametrize(
        ("done", "left"),
        [
            ({}, False),
            ({"changed": True}, False),
            ({"failed": True, "msg": "Refused."}, False),
            ({"failed": True, "msg": "Still running.", "outcome_unknown": True}, True),
            ({"failed": True, "msg": "MODULE FAILURE", "module_stdout": ""}, True),
        ],
    )
    def test_leaves_the_disk_unmounted_while_the_array_may_be_at_work_on_it(
        self, evaluate: Evaluate, done: dict[str, Any], left: bool
    ) -> None:
        assert evaluate(task(RESTORE / "linux_return.yml", "Leave it unmounted")["when"], restore_snapshot_done=done) is left
        order = positions(RESTORE / "linux_return.yml", "Leave it unmounted", "Mount it as it was", "Mount what is mounted")
        assert order == sorted(order)

    @pytest.mark.parametrize(("done", "forgotten"), [({}, False), ({"changed": True}, True), ({"failed": True, "msg": "Not grown."}, True)])
    def test_forgets_what_the_kernel_remembers_wherever_the_data_may_be_another(
        self, evaluate: Evaluate, done: dict[str, Any], forgotten: bool
    ) -> None:
        assert evaluate(task(RESTORE / "linux_return.yml", "Let the guest see the disk")["when"], restore_snapshot_done=done) is forgotten

    @pytest.mark.parametrize(("multipath", "order"), [(None, "blockdev --rereadpt"), ("/dev/mapper/mpatha", "kpartx -u")])
    def test_reads_the_partitions_of_a_multipath_device_too(self, evaluate: Evaluate, multipath: str | None, order: str) -> None:
        given = expression(task(RESTORE / "linux_return.yml", "Read its partitions again")["vars"]["restore_snapshot_reread"])
        assert evaluate(given, restore_snapshot_seen={"disk": {"multipath": multipath}}) == order

    def test_mounts_what_is_mounted_at_boot_and_nothing_else(self, render: Render, tmp_path: Path) -> None:
        script = render(task(RESTORE / "linux_return.yml", "Mount what is mounted")["ansible.builtin.shell"]["cmd"], item="/dev/sdb")
        (tmp_path / "fstab").write_text(
            f"/dev/sdb {tmp_path}/boot xfs defaults 0 0\n/dev/sdb {tmp_path}/hand xfs noauto 0 0\n/dev/sdb none swap sw 0 0\n"
            f"/dev/sdc {tmp_path}/other xfs defaults 0 0\n"
        )
        findmnt = f'shift; exec /usr/bin/findmnt --tab-file {tmp_path}/fstab "$@"'
        for name, body in (("findmnt", findmnt), ("mount", f"echo $1 >> {tmp_path}/told")):
            (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / name).chmod(0o755)
        done = subprocess.run(
            ["/bin/sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
        )
        assert (done.stdout, (tmp_path / "told").read_text()) == (f"{tmp_path}/boot\n",) * 2

    @pytest.mark.parametrize(("done", "mounted"), [({}, False), ({"changed": True}, True), ({"failed": True, "msg": "Refused."}, False)])
    def test_mounts_what_a_killed_run_left_only_once_the_data_is_there(
        self, evaluate: Evaluate, done: dict[str, Any], mounted: bool
    ) -> None:
        assert evaluate(task(RESTORE / "linux_return.yml", "Mount what is mounted")["when"], restore_snapshot_done=done) is mounted
