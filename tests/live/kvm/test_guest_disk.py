# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN becomes a file system of the Linux guest lnx01, grows and leaves it again: the guest's own kernel, udev and tools, over ssh."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab import kvm_world, world
from tests.live.commands import Commands, Run
from tests.live.lab import KVM, KvmLab
from tests.live.modules import ModuleRunner

GIB = 1 << 30
GUEST = "lnx01"
MOUNT = "/srv/data"
EMULATED_SECONDS = 600.0  # for a play in a guest whose processor is emulated, on a machine that has other work
CHECKSUM = f"sha256sum {MOUNT}/file"
PLAYBOOK = [{"hosts": "guests", "gather_facts": False, "roles": ["crossvisor.san.guest_disk"]}]


@dataclass(frozen=True)
class Guest:
    """The guest with a LUN that its hypervisor has attached, and Ansible as its user has it."""

    lab: KvmLab
    modules: ModuleRunner
    ansible: Commands
    naa: str

    def play(self, *arguments: str, **variables: Any) -> Run:
        """Run the role in the guest."""
        given = {"guest_disk_os": "linux", "guest_disk_naa": self.naa, "guest_disk_mount": MOUNT, "guest_disk_timeout": 20, **variables}
        environment = {"ANSIBLE_PIPELINING": "1"}
        return self.ansible.playbook("guest.yml", "-i", "inventory.json", *arguments, environment=environment, **given)

    def fail(self, **variables: Any) -> str:
        """What the role says when it refuses."""
        run = self.play(**variables)
        assert run.code != 0, run.output
        return run.output

    def run(self, command: str) -> str:
        """What a command prints in the guest."""
        return self.lab.guest(GUEST, command).strip()

    def rescan(self, **options: str) -> dict[str, Any]:
        """What scsi_rescan returns in the guest."""
        given = json.dumps({"naa": self.naa, **options})
        run = self.ansible.ad_hoc("guests", "-i", "inventory.json", "-m", "crossvisor.san.scsi_rescan", "-a", given)
        result: dict[str, Any] = json.loads(run.output[run.output.index("{") :])
        return result

    def provision(self, size: str) -> None:
        """Let the array give the LUN this size."""
        provision(self.lab, self.modules, size)


def provision(lab: KvmLab, modules: ModuleRunner, size: str) -> str:
    lun = {"svm": "svm_san", "volume": kvm_world.VOLUME, "name": "linux_guest", "size": size, "os_type": "linux"}
    seers = {"initiators": [lab.initiator], "igroup": kvm_world.GROUP, "lun_id": 6}
    naa: str = modules.succeed("lun_provision", {"array": lab.array, **lun, **seers})["naa"]
    return naa


def inventory(lab: KvmLab, sockets: str) -> dict[str, Any]:
    """The guest as a host of Ansible."""
    endpoint = lab.endpoints[KVM]
    host = {
        "ansible_host": "127.0.0.1",
        "ansible_port": endpoint.ports[GUEST],
        "ansible_user": "root",
        "ansible_ssh_private_key_file": endpoint.key_path,
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={endpoint.known_hosts} -o IdentitiesOnly=yes",
        "ansible_control_path_dir": sockets,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    return {"guests": {"hosts": {GUEST: host}}}


def unescaped(text: str) -> str:
    """What udev, and lsblk once more, have written with hexadecimal digits: `\\x24` for a dollar sign."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), text)


@contextmanager
def guest_with_lun(lab: KvmLab, modules: ModuleRunner, directory: Path) -> Iterator[Guest]:
    """A new LUN of 1 GiB, attached to the running guest."""
    lab.reset()
    with tempfile.TemporaryDirectory() as sockets:
        (directory / "inventory.json").write_text(json.dumps(inventory(lab, sockets)))
        (directory / "guest.yml").write_text(json.dumps(PLAYBOOK))
        naa = provision(lab, modules, "1GiB")
        modules.succeed("ptd_attach", {"hypervisor": lab.hypervisor, "vm": GUEST, "naa": naa, "timeout": 20})
        yield Guest(lab, modules, Commands(directory, EMULATED_SECONDS), naa)


@pytest.fixture
def guest(running_kvm: KvmLab, modules: ModuleRunner, tmp_path: Path) -> Iterator[Guest]:
    """The guest with a blank LUN."""
    with guest_with_lun(running_kvm, modules, tmp_path) as guest:
        yield guest


@dataclass
class Journey:
    """What happened, step by step, to one LUN of one guest."""

    guest: Guest
    runs: dict[str, Run] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def go(self) -> None:
        """From a blank LUN to a file system that has grown, and back."""
        self.runs["check"] = self.guest.play("--check")
        self.seen["after check"] = self.guest.rescan(state="gathered")
        self.runs["make"] = self.guest.play()
        self.seen["made"] = self.guest.rescan(state="gathered")
        self.seen["tools"] = self._tools()
        self.guest.run(f"dd if=/dev/urandom of={MOUNT}/file bs=1M count=8 2>/dev/null; sync")
        self.seen["checksum"] = self.guest.run(CHECKSUM)
        self.runs["again"] = self.guest.play()
        self.guest.provision("2GiB")
        self.runs["grow"] = self.guest.play()
        self.seen["grown"] = int(self.guest.run(f"df --output=size -B1 {MOUNT} | tail -1"))
        self.runs["again after growing"] = self.guest.play()
        self.seen["checksum after growing"] = self.guest.run(CHECKSUM)
        self.guest.run(f"cd {MOUNT} && (sleep 600 >/dev/null 2>&1 </dev/null &)")
        self.seen["busy"] = self.guest.fail(guest_disk_state="absent")
        self.seen["still mounted"] = self.guest.run(CHECKSUM)
        self.guest.run("pkill sleep; while pgrep sleep >/dev/null; do :; done")
        self.runs["take away"] = self.guest.play(guest_disk_state="absent")
        self.seen["left"] = self.guest.run("lsscsi; grep UUID /etc/fstab || true")
        self.runs["take away again"] = self.guest.play(guest_disk_state="absent")
        self.runs["bring back"] = self.guest.play()
        self.seen["checksum of what came back"] = self.guest.run(CHECKSUM)

    def _tools(self) -> dict[str, str]:
        device = self.seen["made"]["disk"]["device"]
        commands = {
            "lsscsi": "lsscsi --unit --wwn --size",
            "lsscsi addresses": "lsscsi --brief",
            "serial": f"sg_inq --page=sn --raw {device} | tail -c +5",
            "sg_inq": f"sg_inq --page=di {device}",
            "lsblk": f"lsblk --nodeps --noheadings --output WWN,SERIAL,VENDOR,MODEL {device}",
        }
        return {name: self.guest.run(command) for name, command in commands.items()}


@pytest.fixture(scope="module")
def journey(running_kvm: KvmLab, modules: ModuleRunner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The journey, gone through once."""
    with guest_with_lun(running_kvm, modules, tmp_path_factory.mktemp("guest")) as guest:
        journey = Journey(guest)
        journey.go()
        yield journey


def test_every_step_ends_well(journey: Journey) -> None:
    assert {name: run.output for name, run in journey.runs.items() if run.code} == {}


def test_check_mode_says_that_there_is_something_to_do_and_does_nothing(journey: Journey) -> None:
    assert journey.runs["check"].counts["changed"] == 1
    content = journey.seen["after check"]["disk"]["content"]
    assert (content, journey.seen["after check"]["disk"]["partitions"]) == ({"partition_table": "", "signatures": []}, [])


def test_the_lun_is_one_partition_with_a_mounted_file_system(journey: Journey) -> None:
    made = journey.seen["made"]
    (partition,) = made["disk"]["partitions"]
    assert (partition["number"], partition["signatures"], partition["start_bytes"]) == (1, ["xfs"], 1 << 20)
    assert partition["size_bytes"] == GIB - (2 << 20)
    assert [(use["kind"], use["name"]) for use in made["used_by"]] == [("mount", MOUNT)]


def test_third_party_tools_read_the_same_names(journey: Journey) -> None:
    disk, tools = journey.seen["made"]["disk"], journey.seen["tools"]
    assert (disk["naa"], disk["vendor"], disk["model"]) == (journey.guest.naa, "NETAPP", "LUN C-Mode")
    assert tools["serial"] == disk["serial"] == bytes.fromhex(disk["naa"][8:]).decode()
    assert f"0x{disk['naa']}" in tools["sg_inq"]
    wwn, serial, *_vendor_and_model = tools["lsblk"].split()
    assert (wwn, unescaped(unescaped(serial))) == (f"0x{disk['naa']}", disk["serial"])
    assert f"[{disk['address']}]" in tools["lsscsi addresses"]
    assert disk["device"] in tools["lsscsi addresses"]


@pytest.mark.parametrize("name", ["again", "again after growing", "take away again"])
def test_a_second_run_changes_nothing(journey: Journey, name: str) -> None:
    assert journey.runs[name].counts["changed"] == 0, journey.runs[name].output


def test_the_file_system_grows_while_it_is_mounted(journey: Journey) -> None:
    assert journey.runs["grow"].counts["changed"] == 3
    assert 1.9 * GIB < journey.seen["grown"] < 2 * GIB
    assert journey.seen["checksum after growing"] == journey.seen["checksum"]


def test_what_is_in_use_stays_and_its_user_is_named(journey: Journey) -> None:
    assert "is in use and stays: sleep with process id" in journey.seen["busy"]
    assert journey.seen["still mounted"] == journey.seen["checksum"]


def test_nothing_is_left_of_it_in_the_guest(journey: Journey) -> None:
    assert journey.runs["take away"].counts["changed"] == 3
    assert journey.seen["left"] == ""


def test_a_lun_that_comes_back_brings_its_data(journey: Journey) -> None:
    assert journey.runs["bring back"].counts["changed"] == 2
    assert journey.seen["checksum of what came back"] == journey.seen["checksum"]


def test_a_disk_that_carries_data_is_left_alone_unless_it_may_be_lost(guest: Guest) -> None:
    device = guest.rescan()["disk"]["device"]
    guest.run(f"mkfs.ext4 -q {device}")
    before = guest.run(f"blkid -p {device}")
    assert "carries data (ext4) and was left alone; if nobody needs it, set guest_disk_force." in guest.fail()
    assert guest.run(f"blkid -p {device}") == before
    assert guest.play(guest_disk_force=True).code == 0
    guest.run(f"echo kept >{MOUNT}/file")
    again = guest.play(guest_disk_force=True)
    assert (again.counts["changed"], guest.run(f"cat {MOUNT}/file")) == (0, "kept")


def test_a_run_that_was_stopped_before_the_file_system_is_finished_by_the_next(guest: Guest) -> None:
    device = guest.rescan()["disk"]["device"]
    guest.run(f"parted -s {device} mklabel gpt mkpart crossvisor.san 1MiB 1023MiB && udevadm settle")
    run = guest.play(guest_disk_file_system="ext4", guest_disk_label="data")
    assert (run.code, run.counts["changed"]) == (0, 2)
    assert guest.run(f"findmnt --noheadings --output FSTYPE,LABEL {MOUNT}").split() == ["ext4", "data"]


def test_a_partition_of_somebody_else_is_data(guest: Guest) -> None:
    device = guest.rescan()["disk"]["device"]
    guest.run(f"parted -s {device} mklabel gpt mkpart theirs 1MiB 1023MiB && udevadm settle")
    assert f"carries data (gpt, {device}1) and was left alone" in guest.fail()


def test_a_guest_without_the_tools_names_the_package(guest: Guest) -> None:
    guest.run("mv /usr/sbin/mkfs.xfs /usr/sbin/xfs_growfs /root/")
    assert f"Guest {GUEST} has no mkfs.xfs and no xfs_growfs; install there: xfsprogs." in guest.fail()


def test_a_mount_point_of_another_file_system_is_not_taken(guest: Guest) -> None:
    guest.run(f"mkdir -p {MOUNT} && mount -t tmpfs theirs {MOUNT}")
    assert f"cannot be mounted at {MOUNT} of guest {GUEST}: theirs is mounted there" in guest.fail()
    assert guest.run(f"findmnt --noheadings --output SOURCE {MOUNT}") == "theirs"


def test_a_lun_that_is_not_attached_is_told_with_what_was_looked_at(guest: Guest) -> None:
    absent = "600a0980" + b"NotAttached0".hex()
    told = guest.fail(guest_disk_naa=absent, guest_disk_timeout=1)
    assert f"LUN naa.{absent} is not visible within 1 s after a rescan of host" in told
    assert "(virtio_scsi)" in told
    assert f"naa.{guest.naa}" in told


def test_the_guest_knows_on_which_hypervisor_it_runs(guest: Guest) -> None:
    run = guest.ansible.ad_hoc("guests", "-i", "inventory.json", "-m", "crossvisor.san.hypervisor_facts")
    facts = json.loads(run.output[run.output.index("{") :])["ansible_facts"]["crossvisor"]
    assert (facts["type"], facts["virtualized"], facts["role"]) == ("kvm", True, "guest")
    (domain,) = [domain for domain in world.build()["kvm"]["domains"] if domain["name"] == GUEST]
    assert facts["vm_uuid"] == domain["uuid"]
