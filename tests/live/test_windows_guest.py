# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN becomes a volume in the Windows guest win01 of the host hv01, grows and leaves it again, over TLS and a real login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_login import open_client
from tests.lab.hyperv_world import HOST, initiators
from tests.live.commands import Commands
from tests.live.lab import WINDOWS, WindowsLab
from tests.live.modules import ModuleRunner, Result, sentence

GIB = 1024**3
MODULE = "guest_windows_volume"
VM = "win01"
SERVER = WINDOWS[0]
TIMEOUT = 5.0
LUN = {"svm": "svm_san", "volume": "vol_prod", "name": "win01_data", "igroup_os_type": "hyper_v", "timeout": TIMEOUT}
REFUSED = {"error": {"code": "InternalError", "message": "The lab says no"}}
DENIED = {"error": {"code": "AccessDenied"}}
LOST = {"drop": "before"}
UNANSWERED = {"drop": "after"}
READS = ("Enumerate", "GetSupportedSize")


@dataclass
class Guest:
    """The guest, and a LUN that was attached to its VM."""

    lab: WindowsLab
    modules: ModuleRunner
    naa: str = ""

    def provision(self, size: str) -> None:
        """Make the LUN on the array, or let it grow, for the host's initiators."""
        fibre = [name for name in initiators([HOST]) if not name.startswith("iqn.")]
        made = self.modules.succeed("lun_provision", {"array": self.lab.array, **LUN, "size": size, "initiators": fibre})
        self.naa = made["naa"]

    def rescan_host(self) -> None:
        """Let the host notice what has changed about its LUNs."""
        client = open_client(Connection(role="hypervisor", **self.lab.host(HOST)))
        rescan.rescan_host(client)
        client.session.close()

    def attach(self, state: str = "present") -> None:
        """Give the LUN to the VM, or take it away."""
        arguments = {"hypervisor": self.lab.host(HOST), "vm": VM, "naa": self.naa, "state": state, "timeout": TIMEOUT}
        self.modules.succeed("ptd_attach", arguments)

    def arguments(self, mount: str | None = "E:", **wished: Any) -> dict[str, Any]:
        """The arguments of the module."""
        place = {"mount": mount} if mount else {}
        return {"guest": self.lab.host(VM), "naa": self.naa, "timeout": TIMEOUT, "blank": True, **place, **wished}

    def volume(self, mount: str | None = "E:", check: bool = False, **wished: Any) -> Result:
        """Let the LUN be a volume."""
        return self.modules.succeed(MODULE, self.arguments(mount, **wished), check=check)

    def fail(self, mount: str | None = "E:", **wished: Any) -> str:
        """Why the LUN cannot be a volume."""
        return self.modules.fail(MODULE, self.arguments(mount, **wished))

    def content(self) -> Any:
        """What the guest has of the LUN, and what lies on it."""
        state = self.lab.state()[SERVER]
        disks = [disk for disk in state["machines"][f"{VM}.lab"]["disks"] if disk["disk"] == self.naa]
        return disks, state["media"].get(self.naa), state["machines"][f"{VM}.lab"]["directories"]


@pytest.fixture
def guest(windows: WindowsLab, modules: ModuleRunner) -> Guest:
    found = Guest(windows, modules)
    found.provision("5GiB")
    found.attach()
    windows.count_again()
    return found


def test_from_the_new_lun_to_the_volume_and_back(guest: Guest) -> None:
    before = guest.lab.state()
    told = guest.volume(check=True, label="data")
    assert told["changed"]
    assert guest.lab.state() == before
    made = guest.volume(label="data", allocation_unit=65536)
    assert (made["naa"], made["guest_name"], made["size_bytes"]) == (guest.naa, "127.0.0.1", 5 * GIB)
    assert (made["volume"]["drive_letter"], made["volume"]["label"], made["volume"]["allocation_unit_bytes"]) == ("E:", "data", 65536)
    assert len(made["actions"]) == 6
    content = guest.content()
    again = guest.volume(label="data", allocation_unit=65536)
    assert (again["changed"], again["actions"], again["volume"]) == (False, [], made["volume"])
    assert guest.content() == content
    guest.provision("9GiB")
    guest.rescan_host()
    grown = guest.volume(label="data")
    assert [action.partition(" disk")[0] for action in grown["actions"]] == ["grow the volume to the whole of"]
    assert (grown["size_bytes"], grown["volume"]["size_bytes"] > 8.9 * GIB) == (9 * GIB, True)
    gone = guest.volume(None, state="absent")
    assert gone["changed"]
    assert gone["volume"] is None
    assert not guest.volume(None, state="absent")["changed"]
    back = guest.volume(label="data")
    assert {**back["volume"], "size_bytes": 0} == {**grown["volume"], "size_bytes": 0}
    guest.volume(None, state="absent")
    guest.attach("absent")
    assert not guest.volume(None, state="absent")["changed"]


def test_a_mount_point_and_refs_by_the_serial_number(guest: Guest) -> None:
    serial = bytes.fromhex(guest.naa[8:]).decode()
    arguments = {
        "guest": guest.lab.host(VM),
        "serial": serial,
        "mount": "C:\\mt1",
        "file_system": "ReFS",
        "blank": True,
        "timeout": TIMEOUT,
    }
    made = guest.modules.succeed(MODULE, arguments)
    assert (made["volume"]["mount_points"], made["volume"]["drive_letter"], made["serial"]) == (["C:\\mt1"], None, serial)
    assert not guest.modules.succeed(MODULE, arguments)["changed"]


def test_a_disk_has_another_number_after_a_boot_and_is_the_same_volume(guest: Guest) -> None:
    made = guest.volume()
    guest.lab.reboot(VM)
    assert guest.volume()["volume"]["path"] == made["volume"]["path"]


@pytest.mark.parametrize("login", ["ntlm", "basic"])
def test_both_logins_work(guest: Guest, login: str) -> None:
    given = {**guest.lab.host(VM), "transport": login}
    assert guest.modules.succeed(MODULE, {**guest.arguments(), "guest": given})["changed"]


class TestWrongInput:
    def test_a_guest_that_cannot_be_reached(self, guest: Guest) -> None:
        given = {**guest.lab.host(VM), "port": 1, "timeout": 2.0}
        message = guest.modules.fail(MODULE, {**guest.arguments(), "guest": given})
        assert "127.0.0.1:1" in message

    @pytest.mark.parametrize("login", ["ntlm", "basic"])
    def test_a_wrong_password(self, guest: Guest, login: str) -> None:
        given = {**guest.lab.host(VM), "password": "not-the-password", "transport": login}
        message = guest.modules.fail(MODULE, {**guest.arguments(), "guest": given})
        assert message.startswith("The guest 127.0.0.1:")
        assert f"over {login}: check guest.username and guest.password" in message
        assert "not-the-password" not in message

    def test_no_guest_at_all(self, guest: Guest) -> None:
        arguments = {name: value for name, value in guest.arguments().items() if name != "guest"}
        assert (
            "guest.hostname is not set: give it in the task, in the variable guest of a playbook, or as CROSSVISOR_GUEST_HOSTNAME"
            in guest.modules.fail(MODULE, arguments)
        )

    def test_a_lun_that_is_not_attached(self, guest: Guest) -> None:
        guest.attach("absent")
        message = guest.fail(timeout=0.5)
        assert f"does not show LUN naa.{guest.naa} 0.5 s after it began to look; it shows: disk 0 is " in message

    def test_a_letter_that_is_taken(self, guest: Guest) -> None:
        assert "C: on 127.0.0.1 is taken by the NTFS volume 'Windows' on disk 0: choose another one" in guest.fail("C:")

    def test_a_mount_point_on_a_volume_that_is_not_there(self, guest: Guest) -> None:
        assert "127.0.0.1 has no volume X:, so choose a directory on one that it has" in guest.fail("X:\\mt1")

    @pytest.mark.parametrize("mount", ["EE:", "C:\\a & del b", "C:\\..\\x", 'C:\\"', "\\\\server\\share"])
    def test_a_mount_that_is_none(self, guest: Guest, mount: str) -> None:
        guest.fail(mount)
        assert guest.lab.requests(SERVER) == []

    @pytest.mark.parametrize(("file_system", "unit"), [("NTFS", 1000), ("NTFS", 0), ("ReFS", 8192)])
    def test_an_allocation_unit_that_there_is_not(self, guest: Guest, file_system: str, unit: int) -> None:
        assert f"{file_system} has no allocation unit of {unit} bytes" in guest.fail(file_system=file_system, allocation_unit=unit)

    def test_a_disk_with_data(self, guest: Guest) -> None:
        guest.volume(file_system="ReFS")
        content = guest.content()
        assert "holds the file system ReFS, not NTFS: ask for ReFS to use it as it is, or choose another LUN" in guest.fail()
        assert guest.content() == content
        assert guest.volume(force=True)["volume"]["file_system"] == "NTFS"

    def test_rights_that_are_missing_in_the_namespace_of_storage(self, guest: Guest) -> None:
        guest.lab.fail(SERVER, DENIED, match="microsoft/windows/storage|Microsoft/Windows/Storage")
        message = guest.fail()
        assert "may not use the namespace root/Microsoft/Windows/Storage at 127.0.0.1" in message
        assert "Remote Management Users" in message


def way(guest: Guest, name: str) -> Mapping[str, Any]:
    """The arguments of a step of the way of a LUN through the guest."""
    if name == "absent":
        return guest.arguments(None, state="absent")
    return guest.arguments("C:\\mt1", label="data")


def go_to(guest: Guest, name: str) -> None:
    """A fresh lab in which the step comes next."""
    guest.lab.reset()
    guest.provision("5GiB")
    guest.attach()
    if name != "make":
        guest.modules.succeed(MODULE, way(guest, "make"))
    if name == "grow":
        guest.provision("9GiB")
        guest.rescan_host()
    guest.lab.count_again()


def comparable(guest: Guest) -> str:
    """What the guest has, without the name of a LUN that is another one after every reset."""
    return repr(guest.content()).replace(guest.naa, "the LUN")


def faults(requests: list[dict[str, Any]]) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    for call, request in enumerate(requests, 1):
        yield call, request["method"], REFUSED
        if request["method"] not in READS:
            yield call, request["method"], LOST
            yield call, request["method"], UNANSWERED


@pytest.mark.parametrize("name", ["make", "grow", "absent"])
def test_no_fault_leaves_anything_half_made(guest: Guest, name: str) -> None:
    go_to(guest, name)
    assert guest.modules.succeed(MODULE, way(guest, name))["changed"]
    goal = comparable(guest)
    requests = guest.lab.requests(SERVER)
    wrong = [problem for fault in faults(requests) for problem in problems(guest, name, goal, *fault)]
    assert not wrong, "\n".join(wrong)


def problems(guest: Guest, name: str, goal: str, call: int, method: str, fault: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong after one request of a step suffered a fault."""
    case = f"{name}, request {call} ({method}), {fault}"
    go_to(guest, name)
    start = comparable(guest)
    guest.lab.fail(SERVER, fault, call=call)
    result = guest.modules.run(MODULE, way(guest, name))
    guest.lab.heal()
    reached = comparable(guest)
    if result["rc"] == 0:
        if reached != goal:
            yield f"{case}: succeeded without reaching its end"
        return
    message = sentence(result)
    if reached != (goal if message.startswith("All was done") else start) and not (name == "grow" and reached == goal):
        yield f"{case}: left something half-made: {message}"
    again = guest.modules.run(MODULE, way(guest, name))
    if again["rc"] != 0:
        yield f"{case}: the next run fails: {again['msg']}"
    elif comparable(guest) != goal:
        yield f"{case}: the next run ends elsewhere"


def test_the_guest_tells_its_hypervisor_and_its_host(windows: WindowsLab, modules: ModuleRunner) -> None:
    result = modules.succeed("hypervisor_facts", {"guest": windows.host(VM)})
    facts = result["ansible_facts"]["crossvisor"]
    assert (facts["source"], facts["type"], facts["role"], facts["virtualized"]) == ("guest", "hyperv", "guest", True)
    assert (facts["parent_host"], facts["vm_name"]) == ("hv01.lab", "win01")
    vms = modules.succeed("vm_storage_map", {"hypervisor": windows.host(HOST), "vms": [VM]})["virtual_machines"]
    assert vms[0]["id"].lower() == facts["vm_id"]


def test_a_host_that_is_asked_like_a_guest_is_a_host(windows: WindowsLab, modules: ModuleRunner) -> None:
    facts = modules.succeed("hypervisor_facts", {"guest": windows.host(HOST)})["ansible_facts"]["crossvisor"]
    assert (facts["type"], facts["role"], facts["virtualized"], facts["parent_host"]) == ("hyperv", "host", False, "")


def test_facts_are_of_one_machine(windows: WindowsLab, modules: ModuleRunner) -> None:
    arguments = {"guest": windows.host(VM), "hypervisor": windows.host(HOST)}
    result = modules.run("hypervisor_facts", arguments)
    assert result["failed"]
    assert "mutually exclusive" in result["msg"]


ROLE = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: crossvisor.san.guest_disk
    - ansible.builtin.debug:
        msg: "{{ guest_disk_result.volume.drive_letter | default('none', true) }}"
      when: guest_disk_result.volume is not none
"""


def test_the_role_makes_the_volume_once_and_takes_it_away(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("role")
    (directory / "volume.yml").write_text(ROLE)
    ansible = Commands(directory)
    variables: dict[str, Any] = {
        "guest": guest.lab.host(VM),
        "guest_disk_naa": guest.naa,
        "guest_disk_mount": "E:",
        "guest_disk_blank": True,
        "guest_disk_label": "data",
    }
    first = ansible.playbook("volume.yml", **variables)
    assert (first.code, first.counts["changed"], first.shown) == (0, 1, "E:"), first.output
    second = ansible.playbook("volume.yml", **variables)
    assert (second.code, second.counts["changed"]) == (0, 0), second.output
    gone = ansible.playbook("volume.yml", **variables, guest_disk_state="absent")
    assert (gone.code, gone.counts["changed"]) == (0, 1), gone.output
    unknown = ansible.playbook("volume.yml", **variables, guest_disk_os="plan9")
    assert unknown.code != 0
    assert "guest_disk_os" in unknown.output
