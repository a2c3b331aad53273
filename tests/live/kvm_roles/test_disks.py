# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One play gives a running Linux guest the disks that are declared for it, and takes them back: the guest's own kernel, udev and tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab import kvm_world
from tests.live.commands import Run
from tests.live.kvm.ansible_user import GUEST, MOUNT, User, administrator
from tests.live.lab import ARRAY, KVM, KvmLab

PLAYBOOK = [{"hosts": GUEST, "gather_facts": False, "roles": ["crossvisor.san.disks"]}]
SECONDS = 1800.0  # for a play with three disks
LOG = "/srv/data/log"
DISKS = (
    {"name": "log", "size": "64MiB", "mount": LOG, "file_system": "ext4", "label": "log", "options": "noatime", "lun_id": 5},
    {"name": "data", "size": "320MiB", "mount": f"{MOUNT}/", "file_system": "xfs", "mode": "0750", "owner": "daemon", "lun_id": 6},
    {"name": "swap", "size": "64MiB", "file_system": "swap", "lun_id": 7},
)
"""An inner mount point before the outer one, with the numbers that the target is not in need of itself."""
TRACES = "lsscsi; cat /etc/fstab /proc/swaps; findmnt --noheadings --raw --output TARGET,FSTYPE --types xfs,ext4"
MOUNTED = f"findmnt --noheadings --raw --output TARGET,FSTYPE,LABEL --types xfs,ext4 | grep '^{MOUNT}'"
CHECKSUMS = f"sha256sum {MOUNT}/file {LOG}/file"


@dataclass
class Life:
    """What happened, step by step, to the disks of one guest."""

    user: User
    runs: dict[str, Run] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def go(self) -> None:
        """From disks that nobody has made yet to disks that have left no trace."""
        self.note("before")
        self.play("promised", "--check", "--diff")
        self.note("promised")
        self.play("made")
        self.use()
        self.play("again")
        self.look("checksums", CHECKSUMS)
        self.play("taken", disks_wanted=[{"name": disk["name"], "state": "absent", "delete": True} for disk in DISKS])
        self.note("after")

    def play(self, name: str, *arguments: str, **variables: Any) -> None:
        self.runs[name] = self.user.play("disks.yml", *arguments, **{"san_disks": list(DISKS), **variables})

    def note(self, moment: str) -> None:
        self.seen[moment] = {**self.user.lab.state(), GUEST: self.user.guest(TRACES)}

    def look(self, name: str, command: str) -> None:
        self.seen[name] = self.user.guest(command)

    def use(self) -> None:
        self.look("mounted", MOUNTED)
        self.look("options", f"findmnt --noheadings --output OPTIONS --mountpoint {LOG}")
        self.look("access", f"stat --format '%U %a' {MOUNT}")
        self.look("swaps", "tail --lines +2 /proc/swaps | wc --lines")
        self.look("written", f"for d in {MOUNT} {LOG}; do head --bytes 8M /dev/urandom >$d/file; done; sync; {CHECKSUMS}")


@pytest.fixture(scope="module")
def idle(running_kvm: KvmLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A guest without disks, and Ansible with the playbook."""
    running_kvm.reset()
    directory = tmp_path_factory.mktemp("disks")
    san = {"san_hypervisor": running_kvm.hypervisor, "san_array": running_kvm.array, "san_svm": "svm_san", "san_volume": kvm_world.VOLUME}
    with administrator(running_kvm, directory, SECONDS) as user:
        (directory / "disks.yml").write_text(json.dumps([{**PLAYBOOK[0], "vars": {**san, "disks_timeout": 600}}]))
        yield Life(user)


@pytest.fixture(scope="module")
def life(idle: Life) -> Life:
    """The life of the disks, gone through once."""
    idle.go()
    return idle


def test_a_mount_point_that_is_not_free_is_refused_before_anything_is_made(idle: Life) -> None:
    idle.user.guest(f"mkdir -p {LOG} && touch {MOUNT}/theirs && mount -t tmpfs theirs {LOG}")
    before = idle.user.lab.state()
    refused = idle.user.play("disks.yml", san_disks=list(DISKS))
    assert refused.code != 0
    told = f"directory {MOUNT} is not empty, and a mount would hide what is in it; theirs is mounted at {LOG}: choose another mount point"
    assert told in " ".join(refused.output.split()), refused.output
    assert idle.user.lab.state() == before
    idle.user.guest(f"umount {LOG} && rm -r {MOUNT}")


def test_every_run_succeeds(life: Life) -> None:
    assert {name: run.output for name, run in life.runs.items() if run.code != 0} == {}


def test_check_mode_promises_and_changes_nothing(life: Life) -> None:
    assert life.runs["promised"].counts["changed"] >= len(DISKS)
    assert life.seen["promised"] == life.seen["before"]


def test_the_guest_uses_each_disk_as_it_was_declared(life: Life) -> None:
    assert life.seen["mounted"].splitlines() == [f"{MOUNT} xfs ", f"{LOG} ext4 log"]
    assert "noatime" in life.seen["options"].split(",")
    assert life.seen["access"] == "daemon 750"
    assert life.seen["swaps"] == "1"


def test_a_second_run_changes_nothing(life: Life) -> None:
    assert life.runs["again"].counts["changed"] == 0, life.runs["again"].output
    assert life.seen["checksums"] == life.seen["written"]


@pytest.mark.parametrize("place", [ARRAY, KVM, GUEST])
def test_nothing_is_left_of_them(life: Life, place: str) -> None:
    assert life.seen["after"][place] == life.seen["before"][place]
