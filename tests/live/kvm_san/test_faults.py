# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What breaks on a SAN while a VM gets a LUN, has it and loses it: the right answer or one sentence, never one path, and nothing left.

One story of three LUNs, test after test, because each module takes tens of seconds on an emulated host.
"""

from __future__ import annotations

import pytest

from tests.lab.kvm.daemon import eventually
from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import FABRICS, SAN
from tests.live.kvm_san import host_view
from tests.live.kvm_san.san_lab import FOR_A_PATH, FOR_THE_MAP, HOST, MIB, VM, SanLab, attaching, start
from tests.live.modules import ModuleRunner

PATHS_SECONDS = 600.0
ALIVE = ["active"] * 4
STOP_UDEV, START_UDEV = (f"udevadm control --{word}-exec-queue" for word in ("stop", "start"))
NAME_FRIENDLY = r"printf 'overrides {\n user_friendly_names yes\n}\n' >>/etc/multipath.conf; multipathd reconfigure"
"""An override, because multipath's own settings for NetApp say otherwise (libmultipath/hwtable.c)."""
STOP_MULTIPATHD = "systemctl stop multipathd.socket multipathd.service"
START_MULTIPATHD = "systemctl start multipathd.service"
FAIL_PATHS = "for path in $(cat /sys/block/$(basename $(readlink -f {map}))/slaves/*/dev); do dmsetup message {map} 0 fail_path $path; done"
SHORT_SECONDS = 60
GROUP = "vg_guest"
"""What a host's LVM makes of a guest's logical volume that it finds on a LUN: a device of device mapper, known by its name and UUID."""


@pytest.fixture(scope="module")
def lab(running_kvm_san: KvmSan, modules: ModuleRunner) -> SanLab:
    """The machines with an array that has no LUNs."""
    return start(running_kvm_san, modules)


@pytest.fixture(scope="module")
def first(lab: SanLab) -> str:
    """A LUN that the VM got while a cable of its host was pulled, after all paths were found and before multipathd made the map."""
    naa: str = lab.provision("first", size="64MiB")["naa"]
    lab.host.run(STOP_MULTIPATHD)
    with attaching(lab.modules, lab.disk(naa), until=lambda: host_view.disks(lab.host) == len(ALIVE)):
        lab.machines.pull(HOST, "b")
        lab.host.run(START_MULTIPATHD)
    lab.machines.plug(HOST, "b")
    _wait_for_paths(lab, naa, ALIVE)
    return naa


@pytest.fixture(scope="module")
def second(lab: SanLab, first: str) -> str:
    """A LUN that the VM got where a port of the target was gone, maps had friendly names, and udev did nothing until it was waited for."""
    lab.host.run(NAME_FRIENDLY)
    lab.machines.pull(SAN.name, "b")
    _wait_for_paths(lab, first, ["active", "active", "failed", "failed"])
    naa: str = lab.provision("second", size="64MiB")["naa"]
    lab.host.run(STOP_UDEV)
    with attaching(lab.modules, lab.disk(naa), FOR_THE_MAP):
        lab.host.run(START_UDEV)
    return naa


def test_a_vm_has_the_map_though_a_cable_was_pulled_before_it_was_made(lab: SanLab, first: str) -> None:
    assert lab.sources() == lab.sources("--inactive") == [_map(first)]
    assert _states(lab, first) == ALIVE


def test_a_vm_keeps_its_lun_and_is_told_of_while_all_paths_are_gone_and_when_they_are_back(lab: SanLab, first: str) -> None:
    """Udev is at rest: what it reads from a map without paths keeps libvirt's question for that map's size waiting in the kernel."""
    lab.host.run("udevadm settle")
    for fabric in FABRICS:
        lab.machines.pull(HOST, fabric)
    _wait_for_paths(lab, first, ["failed"] * 4)
    rows = lab.modules.succeed("vm_storage_map", {"hypervisor": lab.hypervisor, "gather": ["mappings"]})["mappings"]
    assert [row["naa"] for row in rows if row["vm_name"] == VM and row["kind"] == "passthrough"] == [first]
    for fabric in FABRICS:
        lab.machines.plug(HOST, fabric)
    _wait_for_paths(lab, first, ALIVE)


def test_with_a_port_of_the_target_gone_a_vm_gets_the_map_of_the_paths_that_are_left(lab: SanLab, first: str, second: str) -> None:
    assert _states(lab, second) == ["active", "active"]
    assert lab.sources() == lab.sources("--inactive") == [_map(first), _map(second)]
    lab.machines.plug(SAN.name, "b")
    _wait_for_paths(lab, first, ALIVE)


def test_a_map_with_a_friendly_name_is_given_by_the_identity_of_its_lun(lab: SanLab, second: str) -> None:
    assert lab.host.run(f"dmsetup info --columns --noheadings -o name {_map(second)}").startswith("mpath")
    assert lab.sources()[-1] == _map(second)


def test_a_guest_s_volume_group_that_the_host_has_activated_is_told_and_keeps_the_host_from_letting_go(lab: SanLab, second: str) -> None:
    lab.host.run(f"echo 0 2048 linear {_map(second)} 0 | dmsetup create {GROUP}-data --uuid LVM-{'g' * 64}")
    told = f"has volume group {GROUP} active, which VM {VM} has made on it and nothing on the host uses"
    [warning] = lab.modules.succeed("ptd_attach", lab.disk(second))["warnings"]
    said = lab.modules.fail("ptd_attach", lab.disk(second, state="absent", release=True))
    assert told in str(warning)
    assert told in said
    assert f"deactivate it on {HOST} (vgchange -an {GROUP})" in said
    assert lab.sources()[-1] == _map(second)
    lab.host.run(f"dmsetup remove {GROUP}-data")


def test_a_lun_is_given_only_once_multipath_uses_a_path_again(lab: SanLab, first: str, second: str) -> None:
    """As after an outage: all paths run to SCSI, and multipathd, which tries them for multipath, has not done so yet."""
    lab.modules.succeed("ptd_attach", lab.disk(second, state="absent"))
    lab.host.run(STOP_MULTIPATHD)
    lab.host.run(FAIL_PATHS.format(map=_map(second)))
    said = lab.modules.fail("ptd_attach", lab.disk(second, timeout=SHORT_SECONDS))
    assert f"Host {HOST} has LUN naa.{second}, and no path to it does I/O (" in said
    assert said.count(" failed") == len(_states(lab, second))
    assert lab.sources() == lab.sources("--inactive") == [_map(first)]
    with attaching(lab.modules, lab.disk(second), FOR_A_PATH):
        lab.host.run(START_MULTIPATHD)
    assert lab.sources() == lab.sources("--inactive") == [_map(first), _map(second)]


def test_a_lun_that_the_array_shows_no_more_is_not_given_to_a_vm_which_would_stand_still(lab: SanLab, first: str, second: str) -> None:
    """The host was never told that it is gone: Linux says that its paths run, and multipath keeps whoever uses it waiting."""
    lab.modules.succeed("ptd_attach", lab.disk(second, state="absent"))
    lab.withdraw("second")
    assert "and the array answers on none" in lab.modules.fail("ptd_attach", lab.disk(second))
    assert lab.sources() == lab.sources("--inactive") == [_map(first)]
    assert "paused" in lab.host.run(f"timeout 60 virsh qemu-monitor-command {VM} --hmp 'info status'")


def test_such_a_lun_is_forgotten_by_the_host_and_leaves_nothing(lab: SanLab, first: str, second: str) -> None:
    lab.modules.succeed("ptd_attach", lab.disk(second, state="forgotten"))
    assert [found.wwid for found in host_view.maps(lab.host)] == [f"3{first}"]
    assert set(host_view.kernel(lab.host, "wwid").values()) == {f"naa.{first}"}


def test_a_number_that_another_lun_got_is_not_taken_for_the_old_one(lab: SanLab, first: str) -> None:
    """The host was never told that the first LUN is gone: its devices, with size and name, are there until they are asked again."""
    lab.modules.succeed("ptd_attach", lab.disk(first, state="absent"))
    lab.withdraw("first")
    third = lab.provision("third", size="96MiB")
    assert third["lun_id"] == 0
    told = lab.modules.succeed("ptd_attach", lab.disk(third["naa"]))
    assert lab.sources() == lab.sources("--inactive") == [_map(third["naa"])]
    assert told["disk"]["size_bytes"] == 96 * MIB
    assert host_view.inquiry(lab.host, f"disk/by-id/dm-uuid-mpath-3{third['naa']}")["naa"] == third["naa"]
    assert set(host_view.kernel(lab.host, "wwid").values()) == {f"naa.{third['naa']}"}


def _map(naa: str) -> str:
    return f"/dev/disk/by-id/dm-uuid-mpath-3{naa}"


def _states(lab: SanLab, naa: str) -> list[str]:
    return sorted(path.state for found in host_view.maps(lab.host) if found.wwid == f"3{naa}" for path in found.paths)


def _wait_for_paths(lab: SanLab, naa: str, states: list[str]) -> None:
    complaint = f"the paths of LUN {naa} on {HOST} are not {states}"
    eventually(lambda: _states(lab, naa) == states, PATHS_SECONDS, complaint, host_view.PAUSE_SECONDS)
