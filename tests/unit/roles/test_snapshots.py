# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles and playbooks of snapshots refuse, leave alone, and say: never a disk restored below a mount, nothing of others taken."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[3]
RESTORE, CONNECT, DISCONNECT, SNAPSHOT, PROVISION = (
    TOP / "roles" / name / "tasks" for name in ("restore_snapshot", "connect_snapshot", "disconnect_snapshot", "snapshot", "provision")
)
VERIFY = TOP / "playbooks" / "verify_snapshot.yml"
NAA = "600a098038304c61622d616161616131"
OTHER_NAA = "600a098038304c61622d616161616132"

Evaluate = Callable[..., Any]
Render = Callable[..., str]


def walk(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The tasks of a file in order, those of blocks too."""
    for task in tasks:
        yield task
        for part in ("block", "always"):
            yield from walk(task.get(part, []))


def task(file: Path, name: str) -> dict[str, Any]:
    """A task by the beginning of its name."""
    return next(one for one in walk(yaml.safe_load(file.read_text())) if one["name"].startswith(name))


def positions(file: Path, *names: str) -> list[int]:
    return positions_of(yaml.safe_load(file.read_text()), *names)


def positions_of(tasks: list[dict[str, Any]], *names: str) -> list[int]:
    there = [one["name"] for one in walk(tasks)]
    return [next(place for place, one in enumerate(there) if one.startswith(name)) for name in names]


def expression(text: object) -> str:
    return str(text).strip().removeprefix("{{").removesuffix("}}")


def known_to(evaluate: Evaluate, one: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """What a task knows: its variables, too."""
    here = dict(known)
    for name, text in one.get("vars", {}).items():
        here[name] = evaluate(expression(text), **here)
    return here


def refusal(evaluate: Evaluate, render: Render, one: dict[str, Any], **known: Any) -> str:
    """The sentence with which an assertion stops the role; empty if it does not."""
    here = known_to(evaluate, one, known)
    stated = one["ansible.builtin.assert"]
    return "" if evaluate(stated["that"], **here) else " ".join(render(stated["fail_msg"], **here).split())


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


def test_a_disk_from_a_snapshot_is_for_the_hosts_of_its_vm_alone_whatever_the_inventory_says_of_others() -> None:
    given = task(CONNECT / "main.yml", "Make a LUN of the snapshot")["vars"]
    assert (given["provision_sharing"], given["provision_assume_unused"], given["provision_lvm"]) == ("none", False, {})


@pytest.mark.parametrize("clone_of", [{}, {"lun": "data", "snapshot": "s1"}])
@pytest.mark.parametrize("used_bytes", [0, None])
def test_a_disk_from_a_snapshot_is_new_and_yet_never_taken_for_an_empty_one(
    evaluate: Evaluate, clone_of: dict[str, str], used_bytes: int | None
) -> None:
    known = {
        "provision_clone_of": clone_of,
        "provision_lun_result": {"created": True, "used_bytes": used_bytes},
        "provision_lun_is_new": True,
        "provision_initialize": False,
    }
    attached = task(PROVISION / "attach.yml", "Attach the LUN to the VM")["crossvisor.san.ptd_attach"]["initialize"]
    in_guest = task(PROVISION / "main.yml", "Bring the disk into use")["vars"]["guest_disk_blank"]
    assert [evaluate(expression(text), **known) for text in (attached, in_guest)] == [not clone_of] * 2


@pytest.mark.parametrize(
    ("uuid", "used_by", "stopped"),
    [("wanted", ["/dev/sdc"], False), ("original's", [], False), ("original's", ["/dev/sdb"], False), ("original's", ["/dev/sdc"], True)],
)
def test_a_disk_from_a_snapshot_that_a_killed_run_left_mounted_is_not_used_under_its_originals_identity(
    evaluate: Evaluate, render: Render, uuid: str, used_by: list[str], stopped: bool
) -> None:
    one = task(CONNECT / "linux_identity.yml", "Stop if it is in use under the identity")
    part = {"device": "/dev/sdc", "number": 1}
    known = {"connect_snapshot_part": part, "provision_result": {"lun": {"naa": NAA}}, "connect_snapshot_guest": {"host": "app01"}}
    wanted = known_to(evaluate, one, known)["connect_snapshot_wanted"]
    seen = {"used_by": [{"device": device} for device in used_by]}
    given = {"stdout": wanted if uuid == "wanted" else uuid}
    told = refusal(evaluate, render, one, connect_snapshot_seen=seen, connect_snapshot_uuid=given, **known)
    assert ("/dev/sdc is in use in guest app01 under the identity of its original" in told) is stopped
    assert "when" not in task(CONNECT / "linux.yml", "Give each file system an identity")


def test_a_disk_from_a_snapshot_has_no_label_by_which_fstab_could_take_it_for_the_original() -> None:
    given = {
        name: task(CONNECT / "linux_identity.yml", f"Give {name} another")["ansible.builtin.command"]["argv"][1:3]
        for name in ("xfs", "ext4", "swap space")
    }
    assert given == {"xfs": ["-L", "--"], "ext4": ["-L", ""], "swap space": ["--label", ""]}


def test_what_is_broken_in_a_snapshot_is_not_mended_behind_the_back_of_who_verifies_it() -> None:
    assert task(CONNECT / "linux_identity.yml", "Play back the journal of ext4")["ansible.builtin.command"]["argv"][:3] == [
        "e2fsck",
        "-f",
        "-p",
    ]


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


@pytest.mark.parametrize(
    ("rows", "same_guest", "goes_on"),
    [
        ([{"kind": "image", "naa": None, "reason": ""}, {"kind": "passthrough", "naa": NAA, "reason": ""}], False, True),
        ([{"kind": "passthrough", "naa": None, "reason": "the host does not see it"}], False, False),
        ([{"kind": "", "naa": None, "reason": "the VM is inaccessible"}], False, False),
        ([{"kind": "passthrough", "naa": None, "reason": "the host does not see it"}], True, True),
    ],
    ids=["all told", "a pass-through disk of no name", "no disk told", "new identities are given"],
)
def test_a_vm_of_which_nobody_can_tell_whether_it_has_the_original_gets_no_disk_of_its_snapshot(
    evaluate: Evaluate, rows: list[dict[str, Any]], same_guest: bool, goes_on: bool
) -> None:
    one = task(CONNECT / "main.yml", "Stop if nobody can tell")
    absent = {"failed": True, "msg": "There is no VM app02."}
    known = connecting(
        evaluate,
        connect_snapshot_has={"results": [absent, {"mappings": rows}]},
        connect_snapshot_allow_same_guest=same_guest,
        connect_snapshot_original={"naa": OTHER_NAA},
        connect_snapshot_earlier={"failed": False},
    )
    assert evaluate(one["ansible.builtin.assert"]["that"], **known_to(evaluate, one, known)) is goes_on


@pytest.mark.parametrize(
    ("has", "earlier", "told"),
    [
        ([], {"failed": False}, ""),
        ([f"naa.{OTHER_NAA}"], {"naa": OTHER_NAA}, ""),
        ([f"naa.{NAA}", OTHER_NAA], {"naa": OTHER_NAA}, f"there is no LUN of that name any more, and it may be naa.{NAA}"),
        ([NAA], {"failed": False}, f"there is no LUN of that name any more, and it may be naa.{NAA}"),
    ],
    ids=["nothing", "what an earlier run gave it", "a LUN beside", "a LUN"],
)
def test_a_vm_that_may_have_the_original_under_another_name_gets_no_disk_of_its_snapshot(
    evaluate: Evaluate, render: Render, has: list[str], earlier: dict[str, Any], told: str
) -> None:
    one = task(CONNECT / "main.yml", "Stop if nobody can tell")
    rows = [{"kind": "passthrough", "naa": naa, "reason": ""} for naa in has]
    known = connecting(evaluate, connect_snapshot_has={"results": [{"mappings": rows}]}, connect_snapshot_allow_same_guest=False)
    gone = {"failed": False, "msg": "There is no LUN svm_san:vol_prod/data."}  # as failed_when leaves it
    names = {"connect_snapshot_name": "s1", "connect_snapshot_vm": "app02", "connect_snapshot_lun": "data"}
    said = refusal(evaluate, render, one, **known, **names, connect_snapshot_original=gone, connect_snapshot_earlier=earlier)
    assert told in said
    assert bool(told) is bool(said)


EARLY, LATE = "2026-11-29T07:00:00+00:00", "2026-11-29T07:00:01+00:00"


@pytest.mark.parametrize(
    ("created", "taken", "told"),
    [
        (EARLY, LATE, ""),
        (LATE, EARLY, f"because LUN data was created at {LATE}, after the snapshot ({EARLY}), so that the snapshot may hold another LUN"),
        (LATE, LATE, f"because LUN data was created at {LATE}, in the same second as the snapshot, so that"),
        (None, LATE, "because the array does not tell when LUN data was created, so that"),
        (EARLY, None, "because the array does not tell when the snapshot was taken, so that"),
    ],
    ids=["older", "younger", "of the same second", "a LUN of no time", "a snapshot of no time"],
)
def test_a_lun_that_is_or_may_be_younger_than_the_snapshot_is_not_taken_for_the_original(
    evaluate: Evaluate, render: Render, created: str | None, taken: str | None, told: str
) -> None:
    original = {"naa": NAA, "create_time": created}
    said = younger(evaluate, render, original, {"snapshots": [{"name": "s1", "created": taken}]})
    assert told in said
    assert bool(told) is bool(said)
    assert not said or said.endswith("with connect_snapshot_allow_same_guest=true and connect_snapshot_guest.")
    assert younger(evaluate, render, original, {"snapshots": [{"created": taken}]}, connect_snapshot_allow_same_guest=True) == ""


@pytest.mark.parametrize(
    ("earlier", "has", "refused"),
    [({}, [], False), ({"naa": OTHER_NAA}, [f"naa.{OTHER_NAA}"], False), ({"naa": OTHER_NAA}, [NAA], True)],
    ids=["nothing is left of it", "the VM has what is left", "the VM would get what is left"],
)
def test_of_a_snapshot_that_is_gone_nobody_can_tell_whether_the_lun_is_younger(
    evaluate: Evaluate, render: Render, earlier: dict[str, str], has: list[str], refused: bool
) -> None:
    rows = [{"kind": "passthrough", "naa": naa, "reason": ""} for naa in has]
    original = {"naa": NAA, "create_time": EARLY}
    assert bool(younger(evaluate, render, original, {"snapshots": []}, earlier, rows)) is refused


def younger(
    evaluate: Evaluate,
    render: Render,
    original: dict[str, Any],
    moments: dict[str, Any],
    earlier: dict[str, str] | None = None,
    rows: list[dict[str, str]] | None = None,
    **given: Any,
) -> str:
    """With what the role stops because the LUN may be younger than the snapshot."""
    known = connecting(evaluate, connect_snapshot_has={"results": [{"mappings": rows or []}]})
    names = {"connect_snapshot_name": "s1", "connect_snapshot_vm": "app02", "connect_snapshot_lun": "data"}
    found = {"connect_snapshot_original": original, "connect_snapshot_moments": moments, "connect_snapshot_earlier": earlier or {}}
    one = task(CONNECT / "main.yml", "Stop if the LUN is or may be younger")
    return refusal(evaluate, render, one, **{**known, **names, **found, "connect_snapshot_allow_same_guest": False, **given})


def test_a_lun_is_compared_with_the_snapshot_before_anything_is_made_of_it() -> None:
    order = positions(CONNECT / "main.yml", "Look for the original", "Read when the", "Stop if the LUN is or may be", "Make a LUN")
    assert order == sorted(order)


def connecting(evaluate: Evaluate, **known: Any) -> dict[str, Any]:
    """What the role connect_snapshot knows, with those of its variables that can be told by then."""
    here = dict(known)
    for name, text in yaml.safe_load((CONNECT.parent / "vars" / "main.yml").read_text()).items():
        try:
            here[name] = evaluate(expression(text), **here) if isinstance(text, str) else text
        except ValueError:
            continue
    return here


class TestAVmThatMayHaveTheOriginal:
    ENDPOINTS = ({"uri": "one"}, {"uri": "two"})

    @pytest.mark.parametrize(
        ("one", "more", "asked"),
        [
            ({"uri": "one"}, [], [{"uri": "one"}]),
            ({"uri": "one"}, [{"uri": "two"}], [{"uri": "one"}, {"uri": "two"}]),
            ({}, [{"uri": "two"}], [{"uri": "two"}]),
            ({}, [], [{}]),
        ],
        ids=["one", "one and more", "more alone", "by the environment"],
    )
    def test_is_looked_for_at_every_endpoint_that_was_named(
        self, evaluate: Evaluate, one: dict[str, str], more: list[dict[str, str]], asked: list[dict[str, str]]
    ) -> None:
        known = connecting(evaluate, connect_snapshot_hypervisor=one, connect_snapshot_hypervisors=more)
        assert known["connect_snapshot_endpoints"] == asked

    def test_is_refused_although_only_the_second_endpoint_has_it(self, evaluate: Evaluate, render: Render) -> None:
        answers = [{"failed": True, "msg": "There is no VM app02."}, {"mappings": [{"kind": "passthrough", "naa": f"naa.{NAA}"}]}]
        known = connecting(evaluate, connect_snapshot_has={"results": answers}, connect_snapshot_allow_same_guest=False)
        known["connect_snapshot_original"] = {"naa": NAA}
        names = {"connect_snapshot_name": "s1", "connect_snapshot_vm": "app02", "connect_snapshot_lun": "data"}
        here = known_to(evaluate, one := task(CONNECT / "main.yml", "Stop if the VM has the original"), {**known, **names})
        assert not evaluate(one["ansible.builtin.assert"]["that"], **here)

    @pytest.mark.parametrize(
        ("answers", "told"),
        [
            ([{"failed": True, "msg": "There is no VM x."}, {"mappings": []}], ""),
            ([{"failed": True, "msg": "There is no VM x."}] * 2, "There is no VM x."),
        ],
    )
    def test_has_to_be_at_one_of_them(self, evaluate: Evaluate, render: Render, answers: list[dict[str, Any]], told: str) -> None:
        one = task(CONNECT / "main.yml", "Stop if none of them has the VM")
        assert refusal(evaluate, render, one, connect_snapshot_has={"results": answers}) == told

    def test_is_not_found_only_where_it_is_not(self, evaluate: Evaluate) -> None:
        given = task(CONNECT / "main.yml", "Look what the VM has")["failed_when"]
        for told, fails in (("There is no VM x.", False), ("No route to host.", True)):
            assert evaluate(given, connect_snapshot_has={"failed": True, "msg": told}) is fails


class TestADiskFromASnapshotInAWindowsGuest:
    def test_is_never_taken_for_an_empty_one(self) -> None:
        given = task(CONNECT / "main.yml", "Bring it online in the Windows guest")["crossvisor.san.guest_windows_volume"]
        assert not {"blank", "force", "label", "allocation_unit"} & set(given)

    @pytest.mark.parametrize(
        ("guest", "read_only", "fits"),
        [({}, True, True), (HOST, True, True), (WINDOWS, False, True), (WINDOWS, True, False)],
    )
    def test_is_refused_where_it_would_have_to_be_read_alone(
        self, evaluate: Evaluate, guest: dict[str, str], read_only: bool, fits: bool
    ) -> None:
        one = task(CONNECT / "main.yml", "Stop if what is asked cannot be")["loop"][0]
        assert evaluate(expression(one["fits"]), connect_snapshot_guest=guest, connect_snapshot_read_only=read_only) is fits

    @pytest.mark.parametrize(("guest", "way"), [({}, ""), (HOST, "Give it new identities"), (WINDOWS, "Bring it online")])
    def test_is_brought_into_use_in_the_way_of_its_system(self, evaluate: Evaluate, guest: dict[str, str], way: str) -> None:
        known = {"connect_snapshot_guest": guest, "provision_result": {"disk": {"label": "sda"}}}
        ways = [
            name for name in ("Give it new identities", "Bring it online") if evaluate(task(CONNECT / "main.yml", name)["when"], **known)
        ]
        assert ways == ([way] if way else [])


class TestAVolumeGroupThatIsTakenAway:
    FILE = TOP / "roles" / "disconnect_snapshot" / "tasks" / "linux_lvm.yml"

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


class TestAVolumeGroupOfASnapshot:
    SUFFIX = f"_{NAA[-12:]}"

    def known(self, evaluate: Evaluate, *rows: dict[str, str], **more: Any) -> dict[str, Any]:
        told = json.dumps({"report": [{"pv": rows}]})
        parts = [
            {"number": 1, "device": "/dev/sdc1", "signatures": ["LVM2_member"]},
            {"number": 2, "device": "/dev/sdc2", "signatures": ["xfs"]},
        ]
        return connecting(
            evaluate,
            provision_result={"lun": {"naa": NAA}},
            connect_snapshot_pvs={"stdout": told},
            connect_snapshot_parts=parts,
            connect_snapshot_guest={"host": "app01"},
            connect_snapshot_mount_point="/mnt",
            **{"connect_snapshot_lv": "", **more},
        )

    def test_gets_a_name_that_is_made_of_the_luns_and_is_known_by_it(self, evaluate: Evaluate) -> None:
        known = self.known(evaluate, {"pv_name": "/dev/sdc1", "vg_name": "data"})
        assert (known["connect_snapshot_old_groups"], known["connect_snapshot_groups"]) == (["data"], [f"data{self.SUFFIX}"])
        again = self.known(evaluate, {"pv_name": "/dev/sdc1", "vg_name": f"data{self.SUFFIX}"})
        assert (again["connect_snapshot_old_groups"], again["connect_snapshot_groups"]) == ([], [f"data{self.SUFFIX}"])

    def test_is_looked_for_on_these_devices_alone_because_the_originals_bear_the_same_identifiers(self, evaluate: Evaluate) -> None:
        assert self.known(evaluate)["connect_snapshot_members"] == ["/dev/sdc1"]
        for name in ("Read which volume group", "Let go of logical volumes"):
            argv = task(CONNECT / "linux_lvm.yml", name)["ansible.builtin.command"]["argv"]
            assert argv[1:3] == ["--devices", "{{ connect_snapshot_members | join(',') }}"]

    @pytest.mark.parametrize(("used_by", "let_go"), [([], []), ([{"kind": "logical volume"}], ["data"])])
    def test_is_let_go_of_only_where_its_volumes_lie_on_this_disk_lest_the_originals_stop(
        self, evaluate: Evaluate, used_by: list[dict[str, str]], let_go: list[str]
    ) -> None:
        one = task(CONNECT / "linux_lvm.yml", "Let go of logical volumes")
        known = self.known(evaluate, {"pv_name": "/dev/sdc1", "vg_name": "data"}, connect_snapshot_seen={"used_by": used_by})
        assert evaluate(expression(one["loop"]), **known_to(evaluate, one, known)) == let_go

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            ({"rc": 0, "stdout": "{}", "stderr": "  WARNING: old."}, ""),
            (
                {"rc": 3, "stderr": "pvs: unrecognized option '--devices'\n"},
                "does not tell (pvs: unrecognized option '--devices'): install an lvm2",
            ),
            ({"rc": 2, "msg": "[Errno 2] No such file: b'pvs'"}, "does not tell ([Errno 2] No such file: b'pvs'): install an lvm2"),
        ],
        ids=["LVM", "an older LVM", "no LVM"],
    )
    def test_is_not_guessed_where_lvm_does_not_tell(self, evaluate: Evaluate, render: Render, answer: dict[str, Any], told: str) -> None:
        one = task(CONNECT / "linux_lvm.yml", "Stop if LVM cannot be asked")
        known = {"provision_result": {"lun": {"naa": NAA}}, "connect_snapshot_guest": {"host": "app01"}, "connect_snapshot_pvs": answer}
        said = refusal(evaluate, render, one, **known)
        assert told in said
        assert bool(said) == bool(told)

    @pytest.mark.parametrize(("missing", "told"), [("0", ""), ("1", "volume group data has physical volumes on other LUNs too")])
    def test_that_lies_on_other_luns_too_is_refused(self, evaluate: Evaluate, render: Render, missing: str, told: str) -> None:
        one = task(CONNECT / "linux_lvm.yml", "Stop where its volume group")
        known = self.known(evaluate, {"pv_name": "/dev/sdc1", "vg_name": "data", "vg_missing_pv_count": missing})
        said = refusal(evaluate, render, one, **known)
        assert told in said
        assert bool(said) == bool(told)

    @pytest.mark.parametrize(
        ("group", "kind", "told"),
        [
            ("data", "logical volume", ""),
            ("data", "mount", "is in use in guest app01 under the identity of its original (mount /srv)"),
            (f"data{SUFFIX}", "mount", ""),
        ],
    )
    def test_that_is_mounted_under_the_identity_of_its_original_is_left_alone(
        self, evaluate: Evaluate, render: Render, group: str, kind: str, told: str
    ) -> None:
        one = task(CONNECT / "linux_lvm.yml", "Stop if it is in use under")
        seen = {"used_by": [{"kind": kind, "name": "/srv"}]}
        said = refusal(
            evaluate, render, one, **self.known(evaluate, {"pv_name": "/dev/sdc1", "vg_name": group}, connect_snapshot_seen=seen)
        )
        assert told in said
        assert bool(said) == bool(told)

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

    def test_refuses_before_anything_is_written(self) -> None:
        order = positions(
            CONNECT / "linux_lvm.yml", "Stop where its", "Stop if it is in use", "Let go of logical", "Give the volume group", "Activate"
        )
        assert order == sorted(order)

    @pytest.mark.parametrize(
        ("volumes", "lv", "told"),
        [
            ([("root", "xfs")], "", ""),
            ([("root", "xfs"), ("swap", "swap")], "", ""),
            ([("root", "xfs"), ("log", "ext4")], "", "it has the file systems root, log, of which connect_snapshot_lv has to name one"),
            ([("root", "xfs"), ("log", "ext4")], "log", ""),
            ([("root", "xfs")], "nope", "it has the file systems root, of which"),
        ],
    )
    def test_of_several_volumes_wants_one_to_be_named(
        self, evaluate: Evaluate, render: Render, volumes: list[tuple[str, str]], lv: str, told: str
    ) -> None:
        parts = [{"number": 0, "device": "/dev/sdc", "signatures": ["LVM2_member"]}]
        parts += [{"number": name, "device": f"/dev/data/{name}", "signatures": [kind]} for name, kind in volumes]
        known = connecting(
            evaluate,
            provision_result={"lun": {"naa": NAA}},
            connect_snapshot_parts=parts,
            connect_snapshot_lv=lv,
            connect_snapshot_mount_point="/mnt",
            connect_snapshot_guest={"host": "app01"},
        )
        said = refusal(evaluate, render, task(CONNECT / "linux.yml", "Stop if nobody has said which"), **known)
        assert told in said
        assert bool(said) == bool(told)
