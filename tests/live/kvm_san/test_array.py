# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to the array over REST is what a host on the SAN finds, by its own tools: one LUN from its making to its end.

One story, test after test, because a host's tools take seconds on an emulated processor.
"""

from __future__ import annotations

import pytest

from tests.lab.kvm.daemon import eventually
from tests.lab.kvm_san import world
from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import FABRICS, SAN
from tests.lab.kvm_san.shell import Shell
from tests.lab.world import naa_of
from tests.live.kvm_san import host_view
from tests.live.kvm_san.san_lab import MIB, SECONDS, SanLab, start
from tests.live.modules import ModuleRunner, Result

PATHS = 2 * len(FABRICS)
STRANGE = "iscsiadm --mode {} --interface strange"
KNOCK = f"""
{STRANGE.format("iface")} --op new >/dev/null
{STRANGE.format("iface")} --op update --name iface.initiatorname --value {world.STRANGER} >/dev/null
{STRANGE.format("discovery")} --type sendtargets --portal {SAN.address("a")} >/dev/null
{STRANGE.format("node")} --target {SAN.iqn} --login >/dev/null && iscsiadm --mode session | wc -l
udevadm settle
lsscsi | wc -l
{STRANGE.format("node")} --target {SAN.iqn} --logout >/dev/null && {STRANGE.format("node")} --op delete
"""


@pytest.fixture(scope="module")
def lab(running_kvm_san: KvmSan, modules: ModuleRunner) -> SanLab:
    """The machines with an array that has no LUNs."""
    return start(running_kvm_san, modules)


@pytest.fixture(scope="module")
def lun(lab: SanLab) -> Result:
    """A LUN that was made for the first host, which has looked for it."""
    made = lab.provision("story", size="64MiB")
    assert len(lab.kept()) == 2
    find(lab.host, 1)
    return made


def test_a_lun_is_found_on_every_path_by_the_name_that_rest_tells(lab: SanLab, lun: Result) -> None:
    [found] = host_view.maps(lab.host)
    assert (found.wwid, found.vendor, found.product) == (f"3{lun['naa']}", "NETAPP", "LUN C-Mode")
    assert lun["naa"] == naa_of(lun["serial"])
    assert sorted(path.priority for path in found.paths) == [10, 10, 50, 50]
    assert set(host_view.kernel(lab.host, "wwid").values()) == {f"naa.{lun['naa']}"}
    assert set(host_view.kernel(lab.host, "rev").values()) == {lab.presented()[0]["revision"]}
    assert host_view.inquiry(lab.host, found.paths[0].device)["naa"] == lun["naa"]


def test_it_is_found_at_the_ports_and_under_the_number_that_rest_tells(lab: SanLab, lun: Result) -> None:
    ports = host_view.ports(lab.host)
    expected = {f"{kind}:{name}" for kind, name in _ports(lun)}
    assert {address.rsplit(":", 1)[1] for address in ports} == {str(lun["lun_id"])} == {"0"}
    assert {_port(port) for port in ports.values()} == expected
    assert len(ports) == PATHS


def test_a_host_whose_group_has_no_lun_and_a_stranger_find_nothing(lab: SanLab, lun: Result) -> None:
    assert lun["lun_id"] == 0
    host_view.scan(lab.other)
    assert lab.other.run(KNOCK).split() == ["4", "0"]


def test_a_lun_that_has_grown_is_as_large_on_the_host(lab: SanLab, lun: Result) -> None:
    assert lab.provision("story", size="96MiB")["naa"] == lun["naa"]
    lab.host.run("for disk in /sys/class/scsi_device/*/device/rescan; do echo 1 >$disk; done")
    assert set(lab.host.run("cat /sys/block/sd*/size").split()) == {str(96 * MIB // 512)}


def test_a_clone_is_a_lun_of_its_own_with_what_its_source_held_in_the_snapshot(lab: SanLab, lun: Result) -> None:
    write(lab.host, lun["naa"], "before")
    snapshot = {"array": lab.array, "luns": [{"naa": lun["naa"]}], "name": "patch"}
    assert lab.modules.succeed("lun_snapshot", snapshot)["changed"]
    write(lab.host, lun["naa"], "after")
    clone = lab.provision("copy", clone_of={"lun": "story", "snapshot": "patch"})
    find(lab.host, 2)
    assert clone["naa"] != lun["naa"]
    assert (read(lab.host, clone["naa"]), read(lab.host, lun["naa"])) == ("before", "after")
    write(lab.host, clone["naa"], "copied")
    assert read(lab.host, lun["naa"]) == "after"
    forget(lab.host, clone["naa"])
    lab.withdraw("copy")


def test_a_lun_that_is_restored_holds_on_the_host_what_it_held_in_the_snapshot(lab: SanLab, lun: Result) -> None:
    snapshot = {"array": lab.array, "luns": [{"naa": lun["naa"]}], "name": "patch"}
    back = {**snapshot, "state": "restored", "assume_unused": True, "safety_snapshot": False}
    assert lab.modules.succeed("lun_snapshot", back)["changed"]
    assert read(lab.host, lun["naa"]) == "before"
    assert lab.modules.succeed("lun_snapshot", {**snapshot, "state": "absent"})["changed"]


def test_a_lun_that_was_withdrawn_answers_on_no_path_by_its_name(lab: SanLab, lun: Result) -> None:
    devices = lab.host.run("ls /sys/block | grep ^sd").split()
    lab.withdraw("story")
    assert (lab.presented(), len(devices)) == ([], PATHS)
    for device in devices:
        assert lun["naa"] not in lab.host.run(f"sg_vpd --page=di /dev/{device} 2>&1 || true")
    assert lab.kept() == []


def find(machine: Shell, luns: int) -> None:
    """Let a host look for LUNs until multipathd has so many, each with all its paths."""
    host_view.scan(machine)
    expected = [PATHS] * luns
    complaint = f"{machine.name} has not {luns} LUNs by {PATHS} paths"
    eventually(lambda: [len(found.paths) for found in host_view.maps(machine)] == expected, SECONDS, complaint, host_view.PAUSE_SECONDS)


def _path(naa: str) -> str:
    """Set `path` to the first path of a LUN, in a shell."""
    return f"path=$(grep -l {naa} /sys/block/sd*/device/wwid | head -1 | cut -d / -f 4);"


def write(machine: Shell, naa: str, word: str) -> None:
    """Write a word to the first sector, past the host's memory."""
    machine.run(f"{_path(naa)} printf {word} | dd of=/dev/$path bs=512 conv=sync oflag=direct iflag=fullblock status=none")


def read(machine: Shell, naa: str) -> str:
    """Return what the first sector holds up to its zeros, past the host's memory."""
    return machine.run(f"{_path(naa)} dd if=/dev/$path bs=512 count=1 iflag=direct status=none | tr -d '\\0'")


def forget(machine: Shell, naa: str) -> None:
    """Let a host drop a LUN on all its paths."""
    machine.run(f"multipath -f 3{naa}; for wwid in $(grep -l {naa} /sys/block/sd*/device/wwid); do echo 1 >${{wwid%/wwid}}/delete; done")


def _ports(lun: Result) -> list[tuple[str, str]]:
    """Return kind and name of each target that `lun_provision` tells."""
    return [(target["kind"], target["name"].replace(":", "") if target["kind"] == "fc" else target["name"]) for target in lun["targets"]]


def _port(told: str) -> str:
    """Return kind and name of a target port as `lsscsi -t` tells it."""
    return f"fc:{told.split(',')[0][7:]}" if told.startswith("fcoe:") else f"iscsi:{told.split(',')[0]}"
