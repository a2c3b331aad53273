# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Before a LUN is made, a Linux guest is asked whether mount points and volume groups are free; here its tools are played."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

TASKS = Path(__file__).parents[3] / "roles" / "disks" / "tasks" / "look_linux_places.yml"
SCRIPT: str = yaml.safe_load(TASKS.read_text())[0]["ansible.builtin.shell"]["cmd"]
OURS, LEAVING, THEIRS = (f"600a0980{digit * 24}" for digit in "123")


class Guest:
    """A guest with the directories of a test, and with tools that tell what the test says."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.place = directory / "data"
        self._tools = directory / "tools"
        self._tools.mkdir()
        for table in ("kernel", "fstab", "groups"):
            (directory / table).touch()
        self._tool("findmnt", f'for word; do last=$word; done; grep "^$last " {directory}/${{1#--}} | cut -d" " -f2')
        self._tool("lsblk", f'for word; do last=$word; done; cat "{directory}/wwn-${{last##*/}}"')
        self._tool("pvs", f"cat {directory}/groups")

    def _tool(self, name: str, body: str) -> None:
        tool = self._tools / name
        tool.write_text(f"#!/bin/sh\n{body}\n")
        tool.chmod(0o755)

    def has(self, device: str, naa: str) -> None:
        """Let a device lie on a LUN, as lsblk tells: the partition has the name, too."""
        (self.directory / f"wwn-{device.rpartition('/')[2]}").write_text(f"0x{naa}\n\n0x{naa}\n")

    def mounts(self, table: str, source: str, place: Path | None = None) -> None:
        """Let the kernel, or fstab, have a mount."""
        with (self.directory / table).open("a") as file:
            file.write(f"{place or self.place} {source}\n")

    def groups(self, rows: str) -> None:
        """Let LVM have volume groups."""
        (self.directory / "groups").write_text(rows)

    def breaks(self, name: str) -> None:
        """Let a tool fail."""
        self._tool(name, "exit 5")

    def told(self, *lines: str) -> list[str]:
        """What hinders, with `DATA` for the place."""
        given = "".join(f"{line}\n" for line in lines).replace("DATA", str(self.place))
        environment = {"PATH": f"{self._tools}:/usr/bin:/bin"}
        done = subprocess.run(["/bin/sh", "-c", SCRIPT], input=given, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.replace(str(self.place), "DATA").splitlines()


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path.resolve())


def test_a_place_that_is_not_there_or_empty_is_free(guest: Guest) -> None:
    assert guest.told("- mount DATA") == []
    guest.place.mkdir()
    assert guest.told("- mount DATA", "", "- group vg_data") == []


def test_a_directory_that_holds_something_is_not(guest: Guest) -> None:
    guest.place.mkdir()
    (guest.place / ".hidden").touch()
    assert guest.told("- mount DATA") == ["directory DATA is not empty, and a mount would hide what is in it"]


def test_a_file_is_no_place(guest: Guest) -> None:
    guest.place.touch()
    assert guest.told("- mount DATA") == ["DATA is no directory"]


def test_what_is_mounted_from_the_lun_itself_or_from_one_that_goes_is_no_hindrance(guest: Guest) -> None:
    guest.place.mkdir()
    (guest.place / "file").touch()
    guest.has("/dev/sdb1", OURS)
    guest.mounts("kernel", "/dev/sdb1")
    guest.mounts("fstab", "/dev/sdb1")
    assert guest.told(f"{OURS} mount DATA") == []
    assert guest.told(f"{LEAVING},{OURS} mount DATA") == []
    assert guest.told("- mount DATA") == ["/dev/sdb1 is mounted at DATA", "/dev/sdb1 shall be mounted at DATA by /etc/fstab"]


@pytest.mark.parametrize("source", ["/dev/sdc1", "tmpfs", "filer:/export"])
def test_what_is_mounted_from_anything_else_is(guest: Guest, source: str) -> None:
    guest.has("/dev/sdc1", THEIRS)
    guest.mounts("kernel", source)
    assert guest.told(f"{OURS} mount DATA") == [f"{source} is mounted at DATA"]


def test_a_line_of_fstab_for_a_device_that_is_not_there_may_be_of_a_lun_that_exists_and_of_no_other(guest: Guest) -> None:
    guest.mounts("fstab", "UUID=4711")
    assert guest.told(f"{OURS} mount DATA") == []
    assert guest.told("- mount DATA") == ["UUID=4711 shall be mounted at DATA by /etc/fstab"]


def test_a_line_of_fstab_for_what_is_no_device_is_never(guest: Guest) -> None:
    guest.mounts("fstab", "filer:/export")
    assert guest.told(f"{OURS} mount DATA") == ["filer:/export shall be mounted at DATA by /etc/fstab"]


def test_a_link_is_followed(guest: Guest) -> None:
    link = guest.directory / "link"
    link.symlink_to(guest.place)
    guest.mounts("kernel", "tmpfs")
    assert guest.told(f"- mount {link}") == ["tmpfs is mounted at DATA"]
    assert guest.told(f"- mount {link}", f"- mount {guest.place}")[-1] == "links lead the mount points of two disks to DATA"


def test_a_place_with_a_space_is_one_place(guest: Guest) -> None:
    place = guest.directory / "my data"
    place.mkdir()
    (place / "file").touch()
    assert guest.told(f"- mount {place}") == [f"directory {place} is not empty, and a mount would hide what is in it"]


def test_a_volume_group_is_the_lun_s_own_or_nobody_s(guest: Guest) -> None:
    guest.has("/dev/sdb1", OURS)
    guest.groups("  vg_data /dev/sdb1\n  vg_root /dev/vda2\n")
    assert guest.told(f"{OURS} group vg_data") == []
    assert guest.told("- group vg_data", "- group vg_root", "- group vg_log") == [
        "volume group vg_data is on /dev/sdb1 already",
        "volume group vg_root is on /dev/vda2 already",
    ]


def test_a_volume_group_with_the_lun_and_another_disk_is_not_the_lun_s_own(guest: Guest) -> None:
    guest.has("/dev/sdb1", OURS)
    guest.has("/dev/sdc1", THEIRS)
    guest.groups("  vg_data /dev/sdb1\n  vg_data /dev/sdc1\n  /dev/sdd1\n  vg_data [unknown]\n")
    assert guest.told(f"{OURS} group vg_data") == [
        "volume group vg_data is on /dev/sdc1 already",
        "volume group vg_data is on [unknown] already",
    ]


def test_a_volume_group_cannot_have_the_name_of_a_device(guest: Guest) -> None:
    assert guest.told("- group null") == ["no volume group can be called null beside /dev/null"]
    guest.has("/dev/sdb1", OURS)
    guest.groups("  null /dev/sdb1\n")
    assert guest.told(f"{OURS} group null") == []


def test_a_volume_group_that_nobody_can_tell_of_is_not_free(guest: Guest) -> None:
    guest.breaks("pvs")
    assert guest.told("- group vg_data") == ["nobody can tell whether volume group vg_data is free, because pvs fails"]
