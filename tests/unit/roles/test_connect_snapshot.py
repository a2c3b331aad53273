# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role connect_snapshot refuses and leaves alone, and by what a disk differs from its original."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.unit.role_tasks import ROLES, Evaluate, Render, expression, known_to, positions, refusal, task

pytestmark = pytest.mark.slow

CONNECT, PROVISION = (ROLES / name / "tasks" for name in ("connect_snapshot", "provision"))
NAA = "600a098038304c61622d616161616131"
OTHER_NAA = "600a098038304c61622d616161616132"
HOST, WINDOWS = {"host": "app01"}, {"hostname": "win01"}


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
