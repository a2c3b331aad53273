# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role guest_disk leaves alone in a Linux guest, and how it says so: the guest's own kernel, udev and tools, over ssh."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import kvm_world, world
from tests.live.commands import Run
from tests.live.kvm.ansible_user import GUEST, MOUNT, User, administrator
from tests.live.lab import KvmLab
from tests.live.modules import ModuleRunner

PLAYBOOK = [{"hosts": GUEST, "gather_facts": False, "roles": ["crossvisor.san.guest_disk"]}]
LUN = {"svm": "svm_san", "volume": kvm_world.VOLUME, "name": "linux_guest", "os_type": "linux"}
AS_IF_NEW = """\
for mounted in $(findmnt --noheadings --raw --output TARGET --source {device}1) $(findmnt --noheadings --raw --output TARGET {mount}); do
    umount $mounted
done
sed -i '\\|{mount}|d' /etc/fstab
wipefs --quiet --all --force {device}?* {device} 2>/dev/null
blkdiscard --zeroout {device}
for try in $(seq 20); do  # udev looks at a disk whenever a writer closes it, and the kernel forgets no partition meanwhile
    udevadm settle
    blockdev --rereadpt {device} && break
    sleep 0.5
done
udevadm settle
[ ! -e {device}1 ] || {{ echo "{device}1 is still there"; exit 1; }}"""


@dataclass(frozen=True)
class Guest:
    """The guest with a LUN that its hypervisor has attached."""

    user: User
    naa: str
    device: str

    def play(self, *arguments: str, **variables: Any) -> Run:
        """Run the role in the guest."""
        given = {"guest_disk_os": "linux", "guest_disk_naa": self.naa, "guest_disk_mount": MOUNT, "guest_disk_file_system": "ext4"}
        return self.user.play("guest.yml", *arguments, **{**given, "guest_disk_timeout": 600, **variables})

    def fail(self, **variables: Any) -> str:
        """What the role says when it refuses."""
        run = self.play(**variables)
        assert run.code != 0, run.output
        return run.output

    def run(self, command: str) -> str:
        """What a command prints in the guest."""
        return self.user.guest(command)


def provide(kvm: KvmLab, modules: ModuleRunner, size: str) -> str:
    """Let the guest have the LUN, in this size; return its name."""
    access = {"initiators": [kvm.initiator], "igroup": kvm_world.GROUP, "lun_id": 6}
    naa: str = modules.succeed("lun_provision", {"array": kvm.array, **LUN, **access, "size": size})["naa"]
    modules.succeed("ptd_attach", {"hypervisor": kvm.hypervisor, "vm": GUEST, "naa": naa, "timeout": 600})
    return naa


@pytest.fixture(scope="module")
def attached(running_kvm: KvmLab, modules: ModuleRunner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """The guest with a LUN, in whatever state."""
    running_kvm.reset()
    directory = tmp_path_factory.mktemp("guest")
    with administrator(running_kvm, directory) as user:
        (directory / "guest.yml").write_text(json.dumps(PLAYBOOK))
        naa = provide(running_kvm, modules, "64MiB")
        yield Guest(user, naa, running_kvm.device(GUEST, naa))


@pytest.fixture
def guest(attached: Guest) -> Guest:
    """The guest with a blank LUN."""
    attached.run(AS_IF_NEW.format(device=attached.device, mount=MOUNT))
    return attached


def partition(guest: Guest, name: str) -> None:
    guest.run(f"parted -s {guest.device} mklabel gpt mkpart {name} 1MiB 63MiB && udevadm settle")


def test_a_disk_that_carries_data_is_left_alone_unless_it_may_be_lost(guest: Guest) -> None:
    guest.run(f"mkfs.ext4 -q {guest.device}")
    before = guest.run(f"blkid -p {guest.device}")
    assert "carries data (ext4) and was left alone; choose another LUN, or make sure that nobody needs it" in guest.fail()
    assert guest.run(f"blkid -p {guest.device}") == before
    run = guest.play(guest_disk_force=True, guest_disk_label="data")
    assert run.code == 0, run.output
    assert guest.run(f"findmnt --noheadings --output SOURCE,FSTYPE,LABEL {MOUNT}").split() == [f"{guest.device}1", "ext4", "data"]


def test_a_partition_of_somebody_else_is_data(guest: Guest) -> None:
    partition(guest, "theirs")
    assert f"carries data (gpt, {guest.device}1) and was left alone" in guest.fail()


def test_data_without_a_signature_is_data_unless_the_array_vouches_for_it(guest: Guest) -> None:
    guest.run(f"printf database | dd of={guest.device} bs=512 seek=4096 conv=fsync,notrunc status=none")
    told = guest.fail()
    assert "carries data (what nobody knows, but not zeros) and was left alone" in told
    assert guest.run(f"wipefs --noheadings {guest.device}") == ""
    assert guest.play(guest_disk_blank=True).code == 0


def test_a_mount_point_is_the_same_in_every_spelling(guest: Guest) -> None:
    guest.run(f"ln -sfn /srv /root/link; mkdir -p {MOUNT}")
    name = MOUNT.rpartition("/")[2]
    runs = [guest.play(guest_disk_mount=spelled) for spelled in (f"{MOUNT}/", f"//srv//./{name}", f"/root/link/{name}")]
    assert [(run.code, run.counts["changed"] > 0) for run in runs] == [(0, True), (0, False), (0, False)], runs[-1].output
    assert guest.run(f"findmnt --noheadings --output TARGET --source {guest.device}1") == MOUNT


def test_a_mount_point_that_changes_is_refused_before_fstab_has_two_lines(guest: Guest) -> None:
    assert guest.play().code == 0
    told = guest.fail(guest_disk_mount=f"{MOUNT}2")
    assert f"it is mounted at {MOUNT}, or shall be by /etc/fstab; unmount it and take that line out first" in told
    guest.run(f"umount {MOUNT}")
    assert f"it is mounted at {MOUNT}, or shall be by /etc/fstab" in guest.fail(guest_disk_mount=f"{MOUNT}2")
    assert guest.run("grep -c ^UUID= /etc/fstab || true") == guest.run("grep ^UUID= /etc/fstab | sort -u | wc -l")


@pytest.mark.parametrize("fields", ["", "0", "0 0", "0 2 # ours"])
def test_a_line_of_fstab_goes_however_many_fields_it_has(guest: Guest, fields: str) -> None:
    assert guest.play().code == 0
    guest.run(rf"sed -i -E 's|^(UUID=\S+\s+{MOUNT}\s+\S+\s+\S+).*|\1 {fields}|' /etc/fstab")
    assert guest.run(f"grep -c {MOUNT} /etc/fstab") == "1"
    run = guest.play(guest_disk_state="absent")
    try:
        assert run.code == 0, run.output
        assert guest.run(f"grep -c {MOUNT} /etc/fstab || true") == "0"
    finally:
        guest.user.module("scsi_rescan", naa=guest.naa, timeout=600)


def test_check_mode_leaves_a_blank_disk_blank(guest: Guest) -> None:
    run = guest.play("--check")
    assert (run.code, run.counts["changed"]) == (0, 1), run.output
    assert guest.run(f"wipefs --noheadings {guest.device}") == ""


def test_a_guest_without_the_tools_names_the_package(guest: Guest) -> None:
    guest.run("mkdir -p /root/away; mv /usr/sbin/mkfs.xfs /usr/sbin/xfs_growfs /root/away")
    told = guest.fail(guest_disk_file_system="xfs")
    guest.run("mv /root/away/* /usr/sbin/")
    assert f"Guest {GUEST} has no mkfs.xfs and no xfs_growfs; install there: xfsprogs." in told


def test_a_mount_point_of_another_file_system_is_not_taken(guest: Guest) -> None:
    partition(guest, "crossvisor.san")
    guest.run(f"mkfs.ext4 -q {guest.device}1; udevadm settle; mkdir -p {MOUNT}; mount -t tmpfs theirs {MOUNT}")
    assert f"cannot be mounted at {MOUNT} of guest {GUEST}: theirs is mounted there" in guest.fail()
    assert guest.run(f"findmnt --noheadings --output SOURCE {MOUNT}") == "theirs"


def test_a_logical_volume_is_made_grown_and_let_go_of_but_no_group_with_more_in_it(
    guest: Guest, running_kvm: KvmLab, modules: ModuleRunner
) -> None:
    wish = {"guest_disk_lvm": {"vg": "vg_data", "lv": "lv-data"}}
    device = "/dev/mapper/vg_data-lv--data"
    size = f"df --output=size -B1 {MOUNT} | tail -1"
    try:
        made = guest.play(**wish)
        assert made.code == 0, made.output
        assert guest.run(f"findmnt --noheadings --raw --output SOURCE,FSTYPE {MOUNT}") == f"{device} ext4"
        assert guest.run(f"grep {MOUNT} /etc/fstab").split()[:3] == [device, MOUNT, "ext4"]
        guest.run(f"echo kept >{MOUNT}/file; sync")
        small = int(guest.run(size))
        again = guest.play(**wish)
        assert (again.code, again.counts["changed"]) == (0, 0), again.output

        provide(running_kvm, modules, "96MiB")
        grown = guest.play(**wish)
        assert grown.code == 0, grown.output
        assert (int(guest.run(size)) > small + (24 << 20), guest.run(f"cat {MOUNT}/file")) == (True, "kept")

        guest.run(
            "truncate -s 16M /root/pv; losetup /dev/loop0 /root/pv; vgextend -q vg_data /dev/loop0; lvcreate -q -n other -l 1 vg_data"
        )
        told = " ".join(guest.fail(guest_disk_state="absent").split())
        assert "volume group vg_data has the physical volumes /dev/loop0 and the logical volumes lv-data, other, and this role" in told
        assert guest.run(f"cat {MOUNT}/file") == "kept"
        guest.run("lvremove -q -y vg_data/other; vgreduce -q vg_data /dev/loop0; losetup -d /dev/loop0")

        gone = guest.play(guest_disk_state="absent")
        assert gone.code == 0, gone.output
        assert guest.run(f"lsblk --raw | grep lvm; grep {MOUNT} /etc/fstab; pvs --noheadings; ls {guest.device}* || true") == ""
    finally:
        guest.user.module("scsi_rescan", naa=guest.naa, timeout=600)
        guest.run(f"umount {MOUNT}; vgremove -q --force --force --yes vg_data || true")


def test_a_lun_that_is_not_attached_is_told_with_what_was_looked_at(guest: Guest) -> None:
    absent = "600a0980" + b"NotAttached0".hex()
    told = guest.fail(guest_disk_naa=absent, guest_disk_timeout=1)
    assert f"LUN naa.{absent} is not visible within 1 s after a rescan of host" in told
    assert "(virtio_scsi)" in told
    assert f"naa.{guest.naa}" in told


def test_a_guest_that_cannot_be_reached_is_told_and_changes_nothing(guest: Guest) -> None:
    run = guest.user.play("guest.yml", "-e", "ansible_port=1", guest_disk_os="linux", guest_disk_naa=guest.naa)
    assert (run.code, run.counts["unreachable"]) == (4, 1)
    assert "port 1: Connection refused" in run.output


def test_the_guest_knows_on_which_hypervisor_it_runs(guest: Guest) -> None:
    facts = guest.user.module("hypervisor_facts")["ansible_facts"]["crossvisor"]
    assert (facts["type"], facts["virtualized"], facts["role"]) == ("kvm", True, "guest")
    (domain,) = [domain for domain in world.build()["kvm"]["domains"] if domain["name"] == GUEST]
    assert facts["vm_uuid"] == domain["uuid"]
