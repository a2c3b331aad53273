# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machines of the lab by the tools of others: what they say of Fibre Channel, iSCSI, LUNs and paths is one and the same."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.kvm.daemon import eventually
from tests.lab.kvm_san.lab import KvmSan
from tests.lab.kvm_san.machines import FABRICS, HOSTS, SAN, Machine
from tests.live.kvm_san import host_view

SERIAL = "80Lab-aaaaa1"
NAA = f"600a0980{SERIAL.encode().hex()}"
ACTIVE, OTHER = 50, 10
PATH_SECONDS = 600.0


def _hex(wwpn: str) -> str:
    return f"0x{wwpn.replace(':', '')}"


@pytest.fixture(scope="module")
def machines(running_kvm_san: KvmSan) -> KvmSan:
    """The machines, restored once for all tests here, which leave them as they were."""
    running_kvm_san.restore()
    return running_kvm_san


@pytest.fixture(scope="module")
def lun(machines: KvmSan) -> KvmSan:
    """The machines, with a LUN that both hosts have found."""
    machines.make_lun("one", SERIAL, 256 << 20, 0)
    with ThreadPoolExecutor() as pool:
        list(pool.map(host_view.scan, [machines.machine(host.name) for host in HOSTS]))
    for host in HOSTS:
        _wait_for_paths(machines, host, ["active"] * 4)
    return machines


def _states(lab: KvmSan, host: Machine) -> list[str]:
    return sorted(path.state for found in host_view.maps(lab.machine(host.name)) for path in found.paths)


def _wait_for_paths(lab: KvmSan, host: Machine, states: list[str]) -> None:
    eventually(lambda: _states(lab, host) == states, PATH_SECONDS, f"the paths of {host.name} are not {states}", host_view.PAUSE_SECONDS)


def test_every_host_has_an_adapter_on_each_fabric_which_sees_the_san_as_a_target(machines: KvmSan) -> None:
    for host in HOSTS:
        shell = machines.machine(host.name)
        adapters = shell.run("for adapter in /sys/class/fc_host/*; do echo $(cat $adapter/{port_name,port_state,speed}); done").splitlines()
        targets = shell.run("grep -l Target /sys/class/fc_remote_ports/*/roles | while read -r roles; do cat ${roles%roles}port_name; done")
        assert sorted(adapters) == [f"{_hex(host.wwpn(fabric))} Online 10 Gbit" for fabric in FABRICS]
        assert sorted(targets.splitlines()) == [_hex(SAN.wwpn(fabric)) for fabric in FABRICS]


def test_every_host_has_an_iscsi_session_on_each_fabric_and_no_disk(machines: KvmSan) -> None:
    for host in HOSTS:
        shell = machines.machine(host.name)
        sessions = [line.split()[2].split(",")[0] for line in shell.run(["iscsiadm", "-m", "session"]).splitlines()]
        assert sorted(sessions) == [f"{SAN.address(fabric)}:3260" for fabric in FABRICS]
        assert host_view.ports(shell) == {}
        assert host_view.maps(shell) == []


def test_libvirt_is_reached_by_ssh_and_runs_a_domain(machines: KvmSan) -> None:
    for host in HOSTS:
        listed = subprocess.run(
            ["virsh", "--connect", machines.uri(host.name), "list", "--name"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        assert listed.stdout.split() == [f"app0{host.name[-1]}"]


def test_a_lun_is_the_same_to_multipath_lsscsi_sysfs_and_itself(lun: KvmSan) -> None:
    for host in HOSTS:
        shell = lun.machine(host.name)
        [found] = host_view.maps(shell)
        ports, wwids = host_view.ports(shell), host_view.kernel(shell, "wwid")
        addresses = {path.address for path in found.paths}
        assert (found.wwid, found.vendor, found.product) == (f"3{NAA}", "NETAPP", "LUN C-Mode")
        assert addresses == ports.keys() == wwids.keys()
        assert set(wwids.values()) == {f"naa.{NAA}"}
        for path in found.paths:
            assert host_view.inquiry(shell, path.device)["naa"] == NAA


def test_paths_to_the_node_of_the_lun_are_preferred_by_either_protocol(lun: KvmSan) -> None:
    for host in HOSTS:
        shell = lun.machine(host.name)
        [found] = host_view.maps(shell)
        ports, access = host_view.ports(shell), host_view.kernel(shell, "access_state")
        by_priority = {priority: [path.address for path in found.paths if path.priority == priority] for priority in (ACTIVE, OTHER)}
        assert {access[address] for address in by_priority[ACTIVE]} == {"active/optimized"}
        assert {access[address] for address in by_priority[OTHER]} == {"active/non-optimized"}
        for addresses in by_priority.values():
            assert sorted(ports[address].split(":")[0].split(".")[0] for address in addresses) == ["fcoe", "iqn"]


def test_a_pulled_cable_costs_one_host_its_paths_of_one_fabric_until_it_is_plugged_again(lun: KvmSan) -> None:
    first, second = HOSTS
    device = f"/dev/disk/by-id/dm-uuid-mpath-3{NAA}"
    lun.pull(first.name, "a")
    _wait_for_paths(lun, first, ["active", "active", "failed", "failed"])
    write = f"head -c 65536 /dev/urandom | tee /tmp/written | dd of={device} bs=64k count=1 oflag=direct iflag=fullblock status=none"
    written = lun.machine(first.name).run(f"{write}; sha256sum </tmp/written")
    assert _states(lun, second) == ["active"] * 4
    lun.plug(first.name, "a")
    _wait_for_paths(lun, first, ["active"] * 4)
    read = ["dd", f"if={device}", "bs=64k", "count=1", "iflag=direct", "status=none"]
    assert {lun.machine(host.name).run(f"{' '.join(read)} | sha256sum") for host in HOSTS} == {written}
