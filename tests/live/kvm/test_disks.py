# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One play gives both guests of a KVM host, that really run, the disks that are declared for them, and takes them back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab import kvm_world
from tests.lab.inventory import inventory
from tests.live.commands import Run
from tests.live.kvm.ansible_user import User, administrator
from tests.live.lab import ARRAY, KVM, KvmLab

GUESTS = ("lnx01", "lnx02")
PLAYBOOK = [{"hosts": "linux_guests", "gather_facts": False, "roles": ["crossvisor.san.disks"]}]
FORKS = ("--forks", "10")
OF_EACH_GUEST = (
    {"name": "data", "size": "400MiB", "mount": "/srv/app/data/", "owner": "daemon", "group": "games", "mode": "0750", "label": "data"},
    {"name": "log", "size": "64MiB", "mount": "/srv/app", "file_system": "ext4", "options": "noatime"},
    {"name": "swap", "size": "64MiB", "file_system": "swap"},
)
SEEN = {
    "mounts": "findmnt --noheadings --raw --output TARGET,FSTYPE,LABEL --types xfs,ext4 | grep ^/srv/app | sort || true",
    "owner": "stat --format '%U:%G %a' /srv/app/data 2>/dev/null || true",
    "swap": "swapon --noheadings --raw --show=TYPE",
    "fstab": "grep ^UUID= /etc/fstab | grep -v ' / ' || true",
    "disks": "lsscsi --brief | wc -l",
}


def wanted(guest: str, **more: Any) -> list[dict[str, Any]]:
    """The guest's disks; the iSCSI target wants to be told their numbers, of which it keeps 0 for itself."""
    first = 10 * (1 + GUESTS.index(guest))
    return [{**disk, "lun_id": first + number, **more} for number, disk in enumerate(OF_EACH_GUEST)]


@dataclass
class Journey:
    """What happened to the guests, run by run."""

    user: User
    runs: dict[str, Run] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def go(self) -> None:
        """From guests without the disks to guests with them, and back."""
        self.note("before")
        self.play("promised", "--check", "--diff")
        self.note("promised")
        self.play("limited", "--limit", GUESTS[0], "--tags", "lun")
        self.note("limited")
        self.play("first", *FORKS)
        self.note("first")
        self.play("second", *FORKS)
        self.play("grown", "--limit", GUESTS[0], disks_wanted=[{**wanted(GUESTS[0])[0], "size": "500MiB"}])
        self.seen["grown"] = int(self.user.guest("df --output=size -B1M /srv/app/data | tail -1"))
        self.play("moved", "--limit", GUESTS[0], disks_wanted=[{**wanted(GUESTS[0])[0], "mount": "/srv/elsewhere"}])
        self.note("moved")
        self.play("removed", *FORKS, disks_wanted=[{"name": disk["name"], "state": "absent", "delete": True} for disk in OF_EACH_GUEST])
        self.note("removed")
        self.play("removed again", *FORKS, disks_wanted=[{"name": "data", "state": "absent", "delete": True}])

    def play(self, name: str, *arguments: str, **variables: Any) -> None:
        self.runs[name] = self.user.play("disks.yml", *arguments, disks_timeout=60, **variables)

    def note(self, moment: str) -> None:
        guests = {guest: {what: self.user.lab.guest(guest, command) for what, command in SEEN.items()} for guest in GUESTS}
        self.seen[moment] = {"lab": self.user.lab.state(), **guests}

    def luns(self, moment: str) -> set[str]:
        """The LUNs of the guests that the array has."""
        svms = self.seen[moment]["lab"][ARRAY]["svms"]
        names = {lun["name"].rpartition("/")[2] for svm in svms for volume in svm["volumes"] for lun in volume["luns"]}
        return {name for name in names if name.startswith(GUESTS)}


def counts(run: Run, name: str) -> set[int]:
    """What the recap says of all guests."""
    return set(run.count(name).values())


@pytest.fixture(scope="module")
def journey(running_kvm: KvmLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The journey, gone through once."""
    running_kvm.reset()
    directory = tmp_path_factory.mktemp("disks")
    with administrator(running_kvm, directory) as user:
        hosts = inventory(running_kvm.endpoints)
        group = hosts["all"]["children"]["linux_guests"]
        group["vars"] = {"san_hypervisor": running_kvm.hypervisor, "san_array": running_kvm.array, "san_svm": "svm_san"}
        group["vars"]["san_volume"] = kvm_world.VOLUME
        for name, variables in group["hosts"].items():
            variables["san_disks"] = wanted(name)
        (directory / "inventory.json").write_text(json.dumps(hosts))
        (directory / "disks.yml").write_text(json.dumps(PLAYBOOK))
        journey = Journey(user)
        journey.go()
        yield journey


def test_every_run_that_may_succeed_does(journey: Journey) -> None:
    assert {name: run.output for name, run in journey.runs.items() if (run.code != 0) != (name == "moved")} == {}


def test_check_mode_promises_the_luns_and_changes_nothing(journey: Journey) -> None:
    assert journey.seen["promised"] == journey.seen["before"]
    assert counts(journey.runs["promised"], "changed") == {3}
    assert '"/vol/vol_kvm/lnx01_data' in journey.runs["promised"].output.replace("svm_san:", "")


def test_a_limit_and_a_tag_make_the_luns_of_one_guest_and_attach_none(journey: Journey) -> None:
    assert journey.luns("limited") == {"lnx01_data", "lnx01_log", "lnx01_swap"}
    assert journey.seen["limited"]["lab"][KVM] == journey.seen["before"]["lab"][KVM]


@pytest.mark.parametrize("guest", GUESTS)
def test_each_guest_has_its_disks_as_they_are_declared(journey: Journey, guest: str) -> None:
    before, seen = journey.seen["before"][guest], journey.seen["first"][guest]
    assert seen["mounts"].splitlines() == ["/srv/app ext4", "/srv/app/data xfs data"]
    assert seen["owner"] == "daemon:games 750"
    assert seen["swap"] == "partition"
    assert int(seen["disks"]) - int(before["disks"]) == len(OF_EACH_GUEST)
    fields = sorted(line.split()[1:4] for line in seen["fstab"].splitlines())
    assert fields == [
        ["/srv/app", "ext4", "noatime,nofail"],
        ["/srv/app/data", "xfs", "defaults,nofail"],
        ["none", "swap", "defaults,nofail"],
    ]


def test_the_second_run_changes_nothing(journey: Journey) -> None:
    assert counts(journey.runs["second"], "changed") == {0}, journey.runs["second"].output


def test_a_disk_that_is_larger_in_the_list_grows_with_its_file_system(journey: Journey) -> None:
    assert journey.seen["grown"] > 400


def test_a_mount_point_that_changed_is_refused_and_fstab_stays(journey: Journey) -> None:
    assert "it is mounted at /srv/app/data, or shall be by /etc/fstab; unmount it" in journey.runs["moved"].output
    assert journey.seen["moved"]["lnx01"]["fstab"] == journey.seen["first"]["lnx01"]["fstab"]


def test_nothing_is_left_of_disks_that_were_removed(journey: Journey) -> None:
    assert journey.luns("removed") == set()
    assert journey.seen["removed"] == {
        **journey.seen["before"],
        **{guest: {**journey.seen["before"][guest], "owner": "root:root 755"} for guest in GUESTS},
    }
    assert counts(journey.runs["removed again"], "changed") == {0}
