# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks keep the data of a moment and give it back: a guest that writes, an array whose snapshots are the bytes of its LUNs.

Nothing on the way of the data is simulated. The file system is held still by the guest's own kernel while the snapshot is taken; the disk
from the snapshot is mounted in another guest, and beside the original in the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab import kvm_world
from tests.live.commands import Run
from tests.live.kvm.ansible_user import GUEST, MOUNT, User, administrator
from tests.live.lab import KVM, KvmLab

OTHER, BESIDE = "lnx02", "/srv/then"
LUN = {"svm": "svm_san", "volume": kvm_world.VOLUME, "lun": "ledger"}
NAMES = {**LUN, "snapshot": "s1"}
CONNECTIONS = {"target": KVM, "provision_timeout": 600, "deprovision_timeout": 600}
HERE: dict[str, Any] = {"vm": GUEST, "guest": {"host": GUEST}}
THERE: dict[str, Any] = {"vm": OTHER, "guest": {"host": OTHER}}
SUM = f"sha256sum < {MOUNT}/file"
WRITER = f"""\
nohup sh -c 'while [ ! -e /run/enough ]; do date +%s%N >> {MOUNT}/log; sync {MOUNT}/log; done' >/dev/null 2>&1 &
"""


@dataclass
class Journey:
    """What happened, step by step, to one LUN and its snapshot."""

    user: User
    runs: dict[str, Run] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def play(self, name: str, step: str = "", **variables: Any) -> None:
        """Run one of the playbooks, which must succeed."""
        run = self.user.play(f"crossvisor.san.{name}", **CONNECTIONS, **variables)
        assert run.code == 0, run.output
        self.runs[step or name] = run

    def go(self) -> None:
        """From a LUN that nobody has made yet to one that has left no trace."""
        lab, guest = self.user.lab, self.user.guest
        self.seen["before"] = lab.state()
        self.play("provision_disk", **LUN, **HERE, size="1GiB", mount_point=MOUNT, guest_os="linux", provision_lun_id=7)
        guest(f"head -c 20M /dev/urandom > {MOUNT}/file; sync")
        self.seen["first"] = guest(SUM)
        guest(WRITER)
        self.play("snapshot", **NAMES, **HERE, quiesce="required")
        self.seen["writes on"] = guest(f"wc -l < {MOUNT}/log; sleep 2; wc -l < {MOUNT}/log; touch /run/enough")
        self.play("snapshot", "snapshot again", **NAMES, **HERE)
        by_agent: dict[str, Any] = {**LUN, "snapshot": "s2", "vm": GUEST, "quiesce": "required"}
        self.user.kill("crossvisor.san.snapshot : Take the snapshot", "crossvisor.san.snapshot", **CONNECTIONS, **by_agent)
        self.seen["frozen by a killed run"] = lab.frozen(GUEST)
        self.play("snapshot", "by the agent", **by_agent)
        self.seen["frozen at last"] = lab.frozen(GUEST)
        guest(f"head -c 4M /dev/urandom | dd of={MOUNT}/file conv=notrunc status=none; sync; sleep 1; rm /run/enough")
        self.seen["spoiled"] = guest(SUM)

        verified: dict[str, Any] = {"mount_point": BESIDE, "verify_command": f"sha256sum < {BESIDE}/file"}
        self.play("verify_snapshot", **NAMES, **THERE, **verified, provision_lun_id=8)
        same: dict[str, Any] = {**NAMES, **HERE, "mount_point": BESIDE, "allow_same_guest": True}
        self.play("connect_snapshot", **same, provision_lun_id=8)
        self.seen["beside"] = guest(f"sha256sum < {BESIDE}/file")
        self.seen["uuids"] = [guest(f"findmnt --noheadings --output UUID {place}") for place in (MOUNT, BESIDE)]
        self.seen["original"] = guest(SUM)
        self.play("disconnect_snapshot", **NAMES, **HERE)

        self.play("restore_snapshot", **NAMES, **HERE)
        self.seen["restored"] = guest(SUM)
        self.seen["mounted"] = guest(f"findmnt --noheadings --output FSTYPE {MOUNT}")
        self.play("remove_disk", **LUN, **HERE, guest_os="linux", delete=True)
        self.seen["after"] = lab.state()


@pytest.fixture(scope="module")
def journey(running_kvm: KvmLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    running_kvm.reset()
    with administrator(running_kvm, tmp_path_factory.mktemp("snapshots")) as user:
        journey = Journey(user)
        journey.go()
        yield journey


def test_the_guest_was_held_still_and_went_on_writing(journey: Journey) -> None:
    assert "consistent by file system" in " ".join(journey.runs["snapshot"].output.split())
    before, after = map(int, journey.seen["writes on"].split())
    assert after > before


def test_the_agent_holds_the_guest_still_where_nobody_logs_in_and_a_killed_run_is_thawed_by_the_next(journey: Journey) -> None:
    assert "Snapshot s2 is there, consistent by file system." in " ".join(journey.runs["by the agent"].output.split())
    assert (journey.seen["frozen by a killed run"], journey.seen["frozen at last"]) == (True, False)


def test_the_second_run_freezes_nothing_and_changes_nothing(journey: Journey) -> None:
    assert "changed=0" in journey.runs["snapshot again"].output


def test_another_guest_has_the_bytes_of_that_moment(journey: Journey) -> None:
    first = journey.seen["first"].split()[0]
    assert journey.seen["spoiled"].split()[0] != first
    assert first in journey.runs["verify_snapshot"].output


def test_the_guest_of_the_original_has_them_beside_it_under_another_identity(journey: Journey) -> None:
    assert journey.seen["beside"] == journey.seen["first"]
    assert journey.seen["original"] == journey.seen["spoiled"]
    one, other = journey.seen["uuids"]
    assert one != other


def test_the_restored_lun_is_mounted_and_has_the_bytes_of_that_moment(journey: Journey) -> None:
    assert journey.seen["restored"] == journey.seen["first"]
    assert journey.seen["mounted"].strip() == "xfs"


def test_nothing_is_left_but_the_snapshots(journey: Journey) -> None:
    before, after = journey.seen["before"], journey.seen["after"]
    for state in (before, after):
        for svm in state["ontap"]["svms"]:
            for volume in svm["volumes"]:
                volume["snapshots"] = []
    assert after == before
