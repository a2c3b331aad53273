# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks give a running guest a disk of the SAN with a file system on it, let it grow, and take it back.

Nothing on the way of the data is simulated: a Debian guest's kernel, QEMU, libvirt, an iSCSI target. On the way, playbook and target are
killed, and the guest's reset button is pressed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab import kvm_world
from tests.live.commands import Run
from tests.live.kvm.ansible_user import GIB, GUEST, MOUNT, User, administrator
from tests.live.lab import ARRAY, KVM, KvmLab
from tests.live.modules import ModuleRunner

PROVISION, REMOVE = "crossvisor.san.provision_disk", "crossvisor.san.remove_disk"
LUN = {"svm": "svm_san", "volume": kvm_world.VOLUME, "lun": "journal"}
PATH = kvm_world.lun_path(LUN["lun"])
CONNECTIONS = {"target": KVM, "provision_timeout": 600, "deprovision_timeout": 600}
IN_GUEST = {"guest": {"host": GUEST}, "guest_os": "linux"}
LUN_ID = {"provision_lun_id": 7}  # tgt keeps the number 0 of every target for itself
KILLED_AT = (
    "crossvisor.san.provision : Attach the LUN to the VM",
    "crossvisor.san.guest_disk : Make the file system",
)
CHECKSUM = f"sha256sum {MOUNT}/file"
TOOLS = {
    "lsscsi": "lsscsi --brief",
    "serial": "sg_inq --page=sn --raw {device} | tail -c +5",
    "sg_inq": "sg_inq --page=di {device}",
    "lsblk": "lsblk --nodeps --noheadings --output WWN,SERIAL,VENDOR,MODEL {device}",
}


@dataclass
class Journey:
    """What happened, step by step, to one LUN of one guest."""

    user: User
    modules: ModuleRunner
    runs: dict[str, Run] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def lab(self) -> KvmLab:
        return self.user.lab

    def go(self) -> None:
        """From a LUN that nobody has made yet to one that has left no trace."""
        self.note("before")
        self.promise()
        self.make()
        self.use()
        self.lose_the_target()
        self.grow()
        self.lose_power()
        self.take_away()
        self.note("after")

    def note(self, moment: str) -> None:
        traces = self.user.guest("lsscsi; cat /etc/fstab; findmnt --noheadings --raw --output TARGET,FSTYPE --types xfs,ext4")
        self.seen[moment] = {"lab": self.lab.state(), GUEST: traces}

    def provision(self, name: str, size: str, *arguments: str, vm: str = GUEST) -> None:
        self.runs[name] = self.user.play(
            PROVISION, *arguments, vm=vm, size=size, mount_point=MOUNT, **LUN, **CONNECTIONS, **IN_GUEST, **LUN_ID
        )

    def remove(self, name: str) -> None:
        self.runs[name] = self.user.play(REMOVE, vm=GUEST, naa=self.naa, delete=True, **CONNECTIONS, **IN_GUEST)

    def promise(self) -> None:
        self.provision("promised", "1GiB", "--check", "--diff", "-vvv")
        self.seen["promised"] = self.lab.state()

    def make(self) -> None:
        for task in KILLED_AT:
            run = self.user.kill(task, PROVISION, vm=GUEST, size="1GiB", mount_point=MOUNT, **LUN, **CONNECTIONS, **IN_GUEST, **LUN_ID)
            self.runs[f"killed at {task}"] = run
            self.user.guest("while pgrep -x 'python3.*|mkfs.*' >/dev/null; do sleep 0.2; done")
        self.provision("made", "1GiB")

    def use(self) -> None:
        self.seen["map"] = self.modules.succeed(
            "vm_storage_map", {"hypervisor": self.lab.hypervisor, "arrays": [self.lab.array], "vms": [GUEST], "image_details": True}
        )
        self.seen["disk"] = self.user.module("scsi_rescan", naa=self.naa, state="gathered")
        device = self.seen["disk"]["disk"]["device"]
        self.seen["tools"] = {name: self.user.guest(command.format(device=device)) for name, command in TOOLS.items()}
        self.user.guest(f"dd if=/dev/urandom of={MOUNT}/file bs=1M count=16 conv=fsync 2>/dev/null")
        self.seen["checksum"] = self.user.guest(CHECKSUM)
        self.provision("for another VM", "1GiB", vm="lnx02")

    def lose_the_target(self) -> None:
        """Kill the iSCSI target, let the guest write until it has to wait, and start it again."""
        writing = f"dd if={MOUNT}/file of={MOUNT}/copy bs=64k oflag=direct; sync; sha256sum <{MOUNT}/copy >/run/new; mv /run/new /run/copy"
        waits = f"/sys/block/{self.seen['disk']['disk']['device'].removeprefix('/dev/')}/inflight"
        self.lab.data_plane("killed")
        self.user.guest(f"({writing}) >/dev/null 2>&1 </dev/null &")
        self.user.guest(f"until grep -q '[1-9]' {waits}; do sleep 0.2; done")
        self.seen["written without a target"] = self.user.guest("cat /run/copy 2>/dev/null || true")
        self.lab.data_plane("running")
        self.seen["copy"] = self.user.guest("until [ -e /run/copy ]; do sleep 0.2; done; cat /run/copy")

    def grow(self) -> None:
        self.provision("grown", "2GiB")
        self.seen["grown"] = int(self.user.guest(f"df --output=size -B1 {MOUNT} | tail -1"))
        self.provision("second", "2GiB")
        self.seen["checksum after growing"] = self.user.guest(CHECKSUM)

    def lose_power(self) -> None:
        self.lab.reboot(GUEST)
        self.seen["mounted after reboot"] = self.user.guest(f"findmnt --noheadings --output FSTYPE --mountpoint {MOUNT}")
        self.seen["checksum after reboot"] = self.user.guest(CHECKSUM)

    def take_away(self) -> None:
        self.user.guest(f"cd {MOUNT} && (sleep 600 >/dev/null 2>&1 </dev/null &)")
        self.remove("removed while in use")
        self.seen["checksum after refusal"] = self.user.guest(CHECKSUM)
        self.user.guest("pkill sleep; while pgrep sleep >/dev/null; do :; done")
        self.remove("removed")
        self.remove("removed again")

    @property
    def handed_on(self) -> dict[str, Any]:
        return self.runs["made"].disk

    @property
    def naa(self) -> str:
        """The LUN's identity."""
        naa: str = self.handed_on["lun"]["naa"]
        return naa

    @property
    def row(self) -> dict[str, Any]:
        """The disk in the map."""
        (row,) = [row for row in self.seen["map"]["mappings"] if row["naa"] == self.naa]
        return dict(row)


@pytest.fixture(scope="module")
def journey(running_kvm: KvmLab, modules: ModuleRunner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The journey, gone through once."""
    running_kvm.reset()
    with administrator(running_kvm, tmp_path_factory.mktemp("user")) as user:
        journey = Journey(user, modules)
        journey.go()
        yield journey


def unescaped(text: str) -> str:
    """What udev, and lsblk once more, have written with hexadecimal digits: `\\x24` for a dollar sign."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), text)


def test_every_run_that_may_succeed_does(journey: Journey) -> None:
    refused = {"for another VM", "removed while in use"}
    ends = {name: run for name, run in journey.runs.items() if not name.startswith("killed at ")}
    assert {name: run.output for name, run in ends.items() if (run.code != 0) != (name in refused)} == {}


def test_check_mode_promises_and_changes_nothing(journey: Journey) -> None:
    assert journey.runs["promised"].counts["changed"] == 2
    assert f"attach LUN svm_san:{PATH} to VM {GUEST} as SCSI(0:0)" in journey.runs["promised"].actions
    assert journey.seen["promised"] == journey.seen["before"]["lab"]


@pytest.mark.parametrize("task", KILLED_AT)
def test_the_playbook_was_killed_where_it_was_meant_to_be(journey: Journey, task: str) -> None:
    run = journey.runs[f"killed at {task}"]
    assert run.code < 0
    assert f"TASK [{task}]" in run.output
    assert "PLAY RECAP" not in run.output


def test_a_run_goes_on_where_killed_runs_have_stopped(journey: Journey) -> None:
    assert journey.handed_on["lun"]["created"] is False
    assert journey.handed_on["volume"]["disk_size_bytes"] == GIB
    assert [row["naa"] for row in journey.seen["map"]["mappings"] if row["kind"] == "passthrough"] == [journey.naa]


def test_the_guest_sees_the_lun_that_the_map_prints(journey: Journey) -> None:
    disk = journey.seen["disk"]["disk"]
    assert (journey.row["lun_path"], journey.row["status"], journey.row["size_bytes"]) == (PATH, "mapped", GIB)
    assert (disk["naa"], disk["serial"], disk["vendor"], disk["model"]) == (journey.naa, journey.row["serial"], "NETAPP", "LUN C-Mode")
    mounts = {disk["disk"]: disk["mounts"] for disk in journey.seen["map"]["virtual_machines"][0]["disks"]}
    assert mounts[journey.row["disk"]] == [MOUNT]


def test_third_party_tools_read_the_same_names(journey: Journey) -> None:
    disk, tools = journey.seen["disk"]["disk"], journey.seen["tools"]
    assert tools["serial"].strip() == disk["serial"] == bytes.fromhex(journey.naa[8:]).decode()
    assert f"0x{journey.naa}" in tools["sg_inq"]
    wwn, serial, *_vendor_and_model = tools["lsblk"].split()
    assert (wwn, unescaped(unescaped(serial))) == (f"0x{journey.naa}", disk["serial"])
    assert re.search(rf"\[{disk['address']}\]\s+{disk['device']}\b", tools["lsscsi"])


def test_the_lun_is_one_partition_with_a_mounted_file_system(journey: Journey) -> None:
    (partition,) = journey.seen["disk"]["disk"]["partitions"]
    assert (partition["number"], partition["signatures"], partition["start_bytes"]) == (1, ["xfs"], 1 << 20)
    assert partition["size_bytes"] == GIB - (2 << 20)
    assert [(use["kind"], use["name"]) for use in journey.seen["disk"]["used_by"]] == [("mount", MOUNT)]


@pytest.mark.parametrize("name", ["second", "removed again"])
def test_a_second_run_changes_nothing(journey: Journey, name: str) -> None:
    assert journey.runs[name].counts["changed"] == 0, journey.runs[name].output


def test_another_vm_is_refused_the_lun_and_told_who_has_it(journey: Journey) -> None:
    assert f"is used by VM {GUEST} (" in journey.runs["for another VM"].shown
    assert journey.runs["for another VM"].counts["changed"] == 0


def test_what_is_written_while_the_target_dies_is_not_lost(journey: Journey) -> None:
    assert journey.seen["written without a target"] == ""
    assert journey.seen["copy"].split()[0] == journey.seen["checksum"].split()[0]


def test_the_file_system_grows_while_it_is_mounted(journey: Journey) -> None:
    assert 1.9 * GIB < journey.seen["grown"] < 2 * GIB
    assert journey.seen["checksum after growing"] == journey.seen["checksum"]


def test_the_guest_mounts_it_again_when_it_boots(journey: Journey) -> None:
    assert journey.seen["mounted after reboot"] == "xfs"
    assert journey.seen["checksum after reboot"] == journey.seen["checksum"]


def test_what_is_in_use_stays_and_its_user_is_named(journey: Journey) -> None:
    assert f"in guest {GUEST}) is in use and stays: sleep with process id" in journey.runs["removed while in use"].shown
    assert journey.seen["checksum after refusal"] == journey.seen["checksum"]


@pytest.mark.parametrize("place", [ARRAY, KVM])
def test_nothing_is_left_of_it(journey: Journey, place: str) -> None:
    assert journey.seen["after"]["lab"][place] == journey.seen["before"]["lab"][place]


def test_nothing_is_left_of_it_in_the_guest(journey: Journey) -> None:
    assert journey.seen["after"][GUEST] == journey.seen["before"][GUEST]
