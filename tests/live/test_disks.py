# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One play gives guests the disks that are declared for them, on whatever hypervisor each of them is, all at once.

Into the Windows guest win01 the role logs in; the other guests stand for VMs that cannot be reached, and are named.
"""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import pytest

from tests.live.commands import Commands, Run
from tests.live.lab import ARRAY, HYPERVISOR, WINDOWS, Lab, WindowsLab

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
RESCANS = ("RescanAllHba", "RescanHba", "UpdateHostStorageCache")
"""Of vSphere and of Windows."""
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
    return commands.playbook("disks.yml", "-i", "inventory.json", *FORKS, *arguments, **{"disks_timeout": 20, **variables})


def gone(disks: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """The wish that a guest's disks go with their data."""
    return [{"name": disk["name"], "state": "absent", "delete": True} for disk in disks]


def rescans(lab: Lab, server: str) -> list[str]:
    """The orders to hosts to look for LUNs, since the count began."""
    asked = (f"{request['method']} {request['path']}" for request in lab.requests(server))
    return [order for order in asked if any(word in order for word in RESCANS)]


def groups(state: Mapping[str, Any]) -> list[str]:
    """The igroups of the array."""
    return sorted(group["name"] for svm in state[ARRAY]["svms"] for group in svm["igroups"])


def delete_lun(lab: Lab, path: str) -> None:
    """What an administrator of the array does, who does not care for its igroup."""
    host = "https://{hostname}:{port}".format(**lab.array)
    login = b64encode("{username}:{password}".format(**lab.array).encode()).decode()
    query = urlencode({"name": path, "svm.name": "svm_san", "allow_delete_while_mapped": "true"})
    request = Request(f"{host}/api/storage/luns?{query}", method="DELETE", headers={"Authorization": f"Basic {login}"})
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=ssl.create_default_context(cafile=lab.array["ca_path"])))
    opener.open(request, timeout=30).close()


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


@pytest.mark.parametrize("fixture", ["lab", "windows"])
def test_three_disks_cost_as_many_rescans_as_one(request: pytest.FixtureRequest, tmp_path: Path, fixture: str) -> None:
    lab: Lab = request.getfixturevalue(fixture)
    vm, volume, server = ("app01", "vol_prod", HYPERVISOR) if fixture == "lab" else ("hvapp01", "vol_hv", WINDOWS[0])
    commands = ansible(tmp_path, {vm: unreachable(vm, lab, volume, lab.hypervisor)})
    orders = {}
    for disks in (ELSEWHERE[:1], ELSEWHERE):
        lab.reset()
        run = play(commands, disks_wanted=list(disks))
        assert run.code == 0, run.output
        orders[len(disks)] = rescans(lab, server)
    assert orders[1]
    assert orders[3] == orders[1]


def test_a_removal_leaves_no_group_of_its_own_behind(lab: Lab, tmp_path: Path) -> None:
    commands = ansible(tmp_path, {"app01": unreachable("app01", lab, "vol_prod", lab.hypervisor)})
    before = lab.state()
    assert play(commands).code == 0
    assert groups(lab.state()) != groups(before)
    kept = play(commands, disks_wanted=[{"name": disk["name"], "state": "absent"} for disk in ELSEWHERE])
    assert kept.code == 0, kept.output
    assert groups(lab.state()) == groups(before)
    taken = play(commands, disks_wanted=gone(ELSEWHERE))
    assert taken.code == 0, taken.output
    assert lab.state() == before


def test_a_removal_sweeps_the_group_of_a_lun_that_somebody_else_has_deleted(lab: Lab, tmp_path: Path) -> None:
    commands = ansible(tmp_path, {"app01": unreachable("app01", lab, "vol_prod", lab.hypervisor)})
    before = groups(lab.state())
    made = play(commands, "--tags", "lun", disks_wanted=list(ELSEWHERE[:1]))
    assert made.code == 0, made.output
    delete_lun(lab, "/vol/vol_prod/app01_data")
    assert groups(lab.state()) != before
    promised = play(commands, "--check", disks_wanted=gone(ELSEWHERE[:1]))
    assert (promised.code, promised.count("changed")) == (0, {"app01": 1}), promised.output
    assert groups(lab.state()) != before
    swept = play(commands, disks_wanted=gone(ELSEWHERE[:1]))
    assert (swept.code, swept.count("changed")) == (0, {"app01": 1}), swept.output
    assert groups(lab.state()) == before


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
