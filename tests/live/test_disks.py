# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One play gives guests the disks that are declared for them, on whatever hypervisor each of them is, all at once.

Into the Windows guest win01 the role logs in; the other guests stand for VMs that cannot be reached, and are named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.live.commands import Commands, Run
from tests.live.lab import ARRAY, WINDOWS, Lab, WindowsLab

PLAYBOOK = [{"hosts": "guests", "gather_facts": False, "roles": ["crossvisor.san.disks"]}]
FORKS = ("--forks", "10")
SIZE = "1GiB"
SECONDS = 1200.0  # for a play on four guests, on a machine that has other work
GUEST = "win01"
IN_WINDOWS = (
    {"name": "data", "size": SIZE, "mount": "E:", "label": "data"},
    {"name": "log", "size": SIZE, "mount": "G:", "allocation_unit": 65536},
    {"name": "tmp", "size": SIZE, "file_system": "ReFS", "mount": "f"},
)
ELSEWHERE = tuple({"name": name, "size": SIZE, "mount": f"/srv/{name}"} for name in ("data", "log", "tmp"))
ANSIBLE_WINRM = {
    "hostname": "ansible_host",
    "port": "ansible_port",
    "username": "ansible_user",
    "password": "ansible_password",
    "ca_path": "ansible_winrm_ca_trust_path",
}


def unreachable(vm: str, lab: Lab, volume: str, hypervisor: dict[str, Any]) -> dict[str, Any]:
    """A guest of the inventory into which nobody can log in."""
    named = {"disks_vm": vm, "disks_in_guest": False, "ansible_host": "192.0.2.1", "san_disks": list(ELSEWHERE)}
    return {**named, "san_hypervisor": hypervisor, "san_array": lab.array, "san_volume": volume}


def windows_guest(lab: WindowsLab) -> dict[str, Any]:
    """The guest as Ansible's own connection for Windows is told of it."""
    login = {ANSIBLE_WINRM[option]: value for option, value in lab.host(GUEST).items()}
    san = {"san_hypervisor": lab.hypervisor, "san_array": lab.array, "san_volume": "vol_hv"}
    return {**login, **san, "ansible_connection": "winrm", "san_disks": list(IN_WINDOWS)}


def ansible(directory: Path, guests: Mapping[str, Any]) -> Commands:
    """Ansible in a directory with the guests in its inventory, and the playbook."""
    inventory = directory / "inventory.json"
    inventory.touch(mode=0o600)
    inventory.write_text(json.dumps({"all": {"children": {"guests": {"hosts": guests, "vars": {"san_svm": "svm_san"}}}}}))
    (directory / "disks.yml").write_text(json.dumps(PLAYBOOK))
    return Commands(directory, SECONDS)


def play(commands: Commands, *arguments: str, **variables: Any) -> Run:
    return commands.playbook("disks.yml", "-i", "inventory.json", *FORKS, *arguments, **{"disks_timeout": 600, **variables})


def gone(disks: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """The wish that a guest's disks go with their data."""
    return [{"name": disk["name"], "state": "absent", "delete": True} for disk in disks]


def luns(state: Mapping[str, Any], guest: str) -> list[str]:
    """The LUNs of a guest that the array has."""
    found = [lun["name"].rpartition("/")[2] for svm in state[ARRAY]["svms"] for volume in svm["volumes"] for lun in volume["luns"]]
    return sorted(name for name in found if name.startswith(f"{guest}_"))


def test_four_guests_of_three_hypervisors_get_their_disks_at_once_and_give_them_back(lab: Lab, windows: WindowsLab, tmp_path: Path) -> None:
    guests = {
        GUEST: windows_guest(windows),
        "clustered": unreachable("c1app01", windows, "vol_hv", windows.host("hvc1n1")),
        "app01": unreachable("app01", lab, "vol_prod", lab.hypervisor),
        "app02": unreachable("app02", lab, "vol_prod", lab.hypervisor),
    }
    commands, before = ansible(tmp_path, guests), (lab.state(), windows.state())
    promised = play(commands, "--check", "--diff")
    assert (promised.code, promised.count("changed")) == (0, {**dict.fromkeys(guests, 6), GUEST: 9}), promised.output
    assert (lab.state(), windows.state()) == before
    first = play(commands)
    assert (first.code, first.count("failed")) == (0, dict.fromkeys(guests, 0)), first.output
    assert luns(lab.state(), "app01") == ["app01_data", "app01_log", "app01_tmp"]
    machines = windows.state()[WINDOWS[0]]
    volumes = {
        volume["access"][f"{GUEST}.lab"][0]: (volume["file_system"], volume["label"])
        for medium in machines["media"].values()
        for volume in medium["partitions"]
        if volume.get("access", {}).get(f"{GUEST}.lab")
    }
    assert {"E:\\": ("NTFS", "data"), "G:\\": ("NTFS", ""), "F:\\": ("ReFS", "")}.items() <= volumes.items()
    second = play(commands)
    assert (second.code, second.count("changed")) == (0, dict.fromkeys(guests, 0)), second.output
    taken = play(commands, disks_wanted=gone(IN_WINDOWS))
    assert (taken.code, taken.count("failed")) == (0, dict.fromkeys(guests, 0)), taken.output
    assert (lab.state(), windows.state()) == before
    assert lab.device_losses() == []


@pytest.mark.long
def test_places_in_a_windows_guest_that_are_not_free_are_refused_before_a_lun_is_made(windows: WindowsLab, tmp_path: Path) -> None:
    commands = ansible(tmp_path, {GUEST: windows_guest(windows)})
    earlier = {"name": "earlier", "size": SIZE, "mount": "C:\\data\\log"}  # its directory stays
    for disks in ([earlier], gone((earlier,))):
        run = play(commands, disks_wanted=disks)
        assert run.code == 0, run.output
    before, asked = windows.state(), len(windows.requests(ARRAY))
    wanted = [
        {"name": "letter", "size": SIZE, "mount": "C:"},
        {"name": "directory", "size": SIZE, "mount": "C:\\data"},
        {"name": "nowhere", "size": SIZE, "mount": "X:\\log"},
        {"name": "inner", "size": SIZE, "mount": "E:\\log"},
        {"name": "outer", "size": SIZE, "mount": "E:"},
    ]
    for mode in (["--check"], []):
        run = play(commands, *mode, disks_wanted=wanted)
        assert run.count("failed") == {GUEST: 1}, run.output
        told = run.output.rpartition("Nothing was done for")[2]
        assert "letter: C: on 127.0.0.1 is taken by the NTFS volume 'Windows' on disk 0" in told
        assert "directory: The directory C:" in told
        assert "nowhere: X:" in told
        assert "inner: " not in told
        assert "outer: " not in told
    assert windows.state() == before
    assert [request for request in windows.requests(ARRAY)[asked:] if request.get("method") != "GET"] == []


def test_a_vm_that_cannot_get_all_of_its_disks_is_refused_before_a_lun_is_made(windows: WindowsLab, tmp_path: Path) -> None:
    commands, before = ansible(tmp_path, {"crowded": unreachable("hvide01", windows, "vol_hv", windows.hypervisor)}), windows.state()
    run = play(commands)
    assert run.count("failed") == {"crowded": 1}, run.output
    assert "VM hvide01 shall get 3 more disks and has room for none of them: VM hvide01 is running and it has no SCSI" in run.output
    assert windows.state() == before
    assert [request for request in windows.requests(ARRAY) if request.get("method") != "GET"] == []


def test_a_disk_stays_with_a_vm_that_is_not_the_guest_s(windows: WindowsLab, tmp_path: Path) -> None:
    named = {"disks_vm": "hvapp01", "disks_lun_name": "hvapp01_{disk}", "san_disks": [{"name": "data", "size": SIZE}]}
    other = ansible(tmp_path, {GUEST: {**windows_guest(windows), **named}})
    assert play(other, disks_in_guest=False).code == 0
    there = windows.state()
    for mode in (["--check"], []):
        refused = play(other, *mode, disks_wanted=gone(ELSEWHERE[:1]))
        assert "because guest win01 does not show it, so that it seems to be another VM's" in refused.output
        assert (refused.code, windows.state()) == (2, there)
    assert play(other, disks_in_guest=False, disks_wanted=gone(ELSEWHERE[:1])).code == 0
