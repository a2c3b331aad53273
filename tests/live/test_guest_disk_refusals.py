# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role guest_disk refuses before it touches anything, in one sentence with a way out that loses nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.live.commands import Commands, Run

NAA = "600a098038304c61622d616161616131"
MINE: Mapping[str, Any] = {"kind": "mount", "device": "/dev/sdb1", "name": "/srv/data", "processes": []}


def seen(signatures: list[str], *, table: str = "gpt", whole: list[str] | None = None, used: bool = False) -> dict[str, Any]:
    """A LUN with one partition, as scsi_rescan returns it."""
    partition = {"number": 1, "device": "/dev/sdb1", "name": "", "start_bytes": 1 << 20, "size_bytes": 1 << 30, "signatures": signatures}
    content = {"partition_table": table, "signatures": whole or [], "data": False}
    return {
        "disk": {"path": "/dev/sdb", "size_bytes": 1 << 30, "content": content, "partitions": [partition], "multipath": None},
        "used_by": [MINE] if used else [],
    }


def play(directory: Path, tasks: str, **variables: Any) -> Run:
    """Run one file of the role on this machine."""
    steps = [{"ansible.builtin.include_role": {"name": "crossvisor.san.guest_disk", "tasks_from": tasks, "rolespec_validate": False}}]
    playbook = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": steps}]
    (directory / "refusal.json").write_text(json.dumps(playbook))
    return Commands(directory).playbook("refusal.json", guest_disk_naa=NAA, **variables)


@pytest.mark.parametrize("used", [False, True], ids=["idle", "mounted"])
def test_a_disk_of_another_file_system_is_to_be_used_as_it_is(tmp_path: Path, used: bool) -> None:
    run = play(tmp_path, "linux_disk", guest_disk_seen=seen(["xfs"], used=used), guest_disk_file_system="ext4")
    assert run.code == 2
    assert run.shown == (
        f"LUN {NAA} (/dev/sdb in guest localhost) holds a file system of another kind (xfs, not ext4) and was left alone; "
        "ask for xfs to use it as it is, or choose another LUN."
    )


@pytest.mark.parametrize(
    "found",
    [seen(["reiserfs"]), seen(["LVM2_member"]), seen(["xfs", "ext4"]), seen(["xfs"], table="", whole=["dos"])],
    ids=["unknown to the role", "member of a volume group", "two signatures", "another partition table"],
)
def test_data_is_never_advised_to_be_erased(tmp_path: Path, found: dict[str, Any]) -> None:
    run = play(tmp_path, "linux_disk", guest_disk_seen=found, guest_disk_file_system="ext4")
    assert run.code == 2
    assert "carries data (" in run.shown
    assert run.shown.endswith("choose another LUN, or make sure that nobody needs it, because all of it would be lost by guest_disk_force.")


def test_a_linux_guest_named_by_a_connection_is_not_looked_for_on_this_machine(tmp_path: Path) -> None:
    run = play(tmp_path, "main", guest_disk_os="linux", guest_disk_guest={"hostname": "app01", "username": "root"})
    assert run.code == 2
    assert run.shown == (
        "A Linux guest is a host of the inventory, named by host alone, such as {host: app01}, not by a connection with hostname, "
        "username: name it so, or leave the guest out where the role runs in the guest itself."
    )


def test_a_windows_guest_named_by_a_host_of_the_inventory_is_told(tmp_path: Path) -> None:
    run = play(tmp_path, "main", guest_disk_os="windows", guest_disk_guest={"host": "win01"})
    assert run.code == 2
    assert run.shown.startswith("The guest is named as a host of the inventory (win01), which is for Linux guests")


def test_a_guest_named_by_a_host_of_the_inventory_is_a_linux_guest(tmp_path: Path) -> None:
    run = play(tmp_path, "main", guest_disk_guest={"host": "app01"}, guest_disk_file_system="ntfs")
    assert run.code == 2
    assert run.shown == "guest_disk_file_system=ntfs is not for Linux guests; choose one of xfs, ext4, btrfs, swap."
