# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The KVM host of the lab, seen by virsh and by the tools of its guests: what the array maps is what a guest's own kernel finds."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from os import kill
from pathlib import Path
from subprocess import CalledProcessError
from xml.sax.saxutils import quoteattr

import pytest

from tests.lab.kvm.daemon import eventually
from tests.lab.kvm_world import IQN, lun_path, maps
from tests.lab.launch import Endpoint, down, up
from tests.lab.world import naa_of

from .conftest import Array, Host

GIB = 1024**3
GUEST = "lnx01"
ARCHIVE = lun_path("kvm_archive")
SECONDS = 600.0
HYPERVISOR = ("qemu-system", "libvirtd", "tests.lab.kvm")
END_SECONDS = 300.0


def lun_xml(array: Array, lun_id: int, unit: int = 0) -> str:
    svm = array.svm
    return f"""
      <disk type="network" device="lun">
        <driver name="qemu" type="raw" cache="none"/>
        <source protocol="iscsi" name={quoteattr(f"{svm['iqn']}/{lun_id}")}>
          <host name="{svm["portals"][0]}" port="3260"/><initiator><iqn name="{IQN}"/></initiator>
        </source>
        <target dev="sda" bus="scsi"/><address type="drive" controller="0" bus="0" target="0" unit="{unit}"/>
      </disk>"""


@pytest.fixture
def attached(array: Array, host: Host, tmp_path: Path) -> str:
    """A LUN of 4 GiB that virsh attached to a running guest; its device there."""
    file = tmp_path / "lun.xml"
    file.write_text(lun_xml(array, maps()[ARCHIVE]))
    host.virsh("attach-device", GUEST, str(file), "--live", "--config")
    guest = host.guest(GUEST)
    return guest.device(wwn(array))


def wwn(array: Array) -> str:
    """Udev's link to the LUN in a guest."""
    return f"/dev/disk/by-id/wwn-0x{naa_of(array.lun(ARCHIVE)['serial_number'])}"


def size_in_guest(host: Host, device: str) -> int:
    return int(host.guest(GUEST).run(f"blockdev --getsize64 {device}"))


def test_the_guests_are_systems_of_their_own(host: Host) -> None:
    names = sorted(host.endpoint.ports)
    assert names == ["lnx01", "lnx02"]
    assert [host.guest(name).run("hostname") for name in names] == names
    assert len({host.guest(name).run("cat /etc/machine-id") for name in names}) == 2
    assert {host.guest(name).run("lsscsi") for name in names} == {""}
    for name in names:
        answer = json.loads(host.virsh("qemu-agent-command", name, '{"execute": "guest-get-osinfo"}'))
        assert answer["return"]["id"] == "debian"


def test_the_guest_finds_the_luns_vendor_serial_and_naa(array: Array, host: Host, attached: str) -> None:
    guest = host.guest(GUEST)
    serial = array.lun(ARCHIVE)["serial_number"]
    naa = naa_of(serial)
    assert "NETAPP   LUN C-Mode" in guest.run("lsscsi")
    assert guest.run(f"sg_inq --page=sn {attached}").split()[-1] == serial
    assert f"[0x{naa}]" in guest.run(f"sg_inq --page=di {attached}")
    assert guest.run(f"lsblk --nodeps --noheadings --output WWN {attached}") == f"0x{naa}"
    assert guest.run(f"cat /sys/block/{Path(attached).name}/device/wwid") == f"naa.{naa}"


def test_the_guest_agent_names_the_lun_from_outside(array: Array, host: Host, attached: str) -> None:
    host.guest(GUEST).run(f"mkfs.ext4 -q {attached} && mount {attached} /mnt")
    systems = json.loads(host.virsh("qemu-agent-command", GUEST, '{"execute": "guest-get-fsinfo"}'))["return"]
    disks = [disk for system in systems if system["mountpoint"] == "/mnt" for disk in system["disk"]]
    assert [disk["dev"] for disk in disks] == [attached]
    assert naa_of(array.lun(ARCHIVE)["serial_number"]) in disks[0]["serial"]


def test_data_in_the_guest_survives_growth_a_kill_of_the_target_and_a_reset(array: Array, host: Host, attached: str) -> None:
    guest = host.guest(GUEST)
    guest.run(f"mkfs.ext4 -q {attached} && mount {attached} /mnt && dd if=/dev/urandom of=/mnt/data bs=1M count=8 status=none && sync")
    checksum = guest.run("sha256sum /mnt/data")

    array.done("PATCH", f"storage/luns/{array.lun(ARCHIVE)['uuid']}", {"space.size": 6 * GIB})
    guest.run(f"echo 1 > /sys/block/{Path(attached).name}/device/rescan")
    assert size_in_guest(host, attached) == 6 * GIB

    array.control("POST", "/data-plane?state=killed")
    guest.run("systemd-run --quiet --unit=writer dd if=/dev/urandom of=/mnt/more bs=1M count=4 oflag=direct")
    array.control("POST", "/data-plane?state=running")
    eventually(
        lambda: guest.run("systemctl show --property=Result,SubState writer") == "Result=success\nSubState=dead", SECONDS, "dd hangs"
    )
    assert guest.run("stat --format=%s /mnt/more") == str(4 * 1024**2)

    before = guest.boot_id()
    host.control("POST", f"/reboot?guest={GUEST}")
    guest.wait_for_reboot(before)
    guest.run(f"mount {guest.device(wwn(array))} /mnt")
    assert guest.run("sha256sum /mnt/data") == checksum


def test_the_agent_can_end_hang_and_come_back(host: Host) -> None:
    def answers() -> bool:
        try:
            host.virsh("qemu-agent-command", "--timeout", "2", "lnx02", '{"execute": "guest-ping"}')
        except CalledProcessError:
            return False
        return True

    eventually(answers, SECONDS, "the agent does not answer")
    for state in ("stopped", "hung"):
        host.control("POST", f"/agent?guest=lnx02&state={state}")
        assert not answers()
        host.control("POST", "/agent?guest=lnx02&state=running")
        eventually(answers, SECONDS, "the agent has not come back")


def test_reset_brings_back_the_world(array: Array, host: Host, attached: str) -> None:
    host.control("POST", "/reset")
    world = host.control("GET", "/state")
    host.virsh("undefine", "volume01")
    host.virsh("start", "noscsi01", "--paused")
    host.virsh("pool-destroy", "images")
    host.virsh("detach-disk", "legacy01", "sda", "--config")
    assert host.control("GET", "/state") != world
    host.control("POST", "/reset")
    assert host.control("GET", "/state") == world


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Endpoint]:
    """A lab beside the first one."""
    try:
        yield up(["kvm"], tmp_path)["kvm"]
    finally:
        down(tmp_path)


def test_nothing_outlives_the_process_that_started_it(second: Endpoint, tmp_path: Path) -> None:
    started = _processes_of(tmp_path)
    assert sum("qemu-system" in command for command in started) == 4
    assert any("libvirtd" in command for command in started)
    kill(second.pid, signal.SIGKILL)
    eventually(
        lambda: not any(program in command for command in _processes_of(tmp_path) for program in HYPERVISOR), END_SECONDS, "QEMU runs"
    )
    down(tmp_path)
    assert _processes_of(tmp_path) == []


def _processes_of(directory: Path) -> list[str]:
    """Return the command lines in which the directory, or libvirtd's configuration, occurs in the process's own view of the system.

    Of a mount the kernel tells the directory below that of its file system alone.
    """
    commands, place = [], f"/{directory.parent.name}/{directory.name}"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            mounts = (process / "mountinfo").read_text()
        except OSError:
            continue
        if place in command or place in mounts:
            commands.append(command)
    return commands
