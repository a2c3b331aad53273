# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.kvm_san.machines import FABRICS, HOSTS, KEYS, MACHINES, SAN, Machine, qemu, set_up, sockets

PORT = 40022
EVERY = pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: str(machine.name))


def _command(machine: Machine, memory: Path | None = None) -> list[str]:
    return qemu(machine, Path("image"), PORT, memory)


def _wires(machine: Machine) -> list[tuple[str, str]]:
    """Return where the machine listens and where it sends to, for every wire."""
    options = [dict(part.partition("=")[::2] for part in word.split(",")) for word in _command(machine) if word.startswith("dgram,")]
    return [(option["local.path"], option["remote.path"]) for option in options]


def test_every_wire_has_two_ends() -> None:
    wires = [wire for machine in MACHINES.values() for wire in _wires(machine)]
    assert len(set(wires)) == len(wires) == 2 * len(FABRICS) * len(HOSTS)
    assert {(remote, local) for local, remote in wires} == set(wires)


def test_hosts_reach_the_san_only() -> None:
    assert all(f"-{SAN.name}" in local for host in HOSTS for local, _remote in _wires(host))


@EVERY
def test_every_socket_that_qemu_makes_is_known(machine: Machine) -> None:
    assert set(sockets(machine)) == {f"{machine.name}.qmp", *(local for local, _remote in _wires(machine))}


def test_no_address_and_no_port_name_is_given_twice() -> None:
    for told in (Machine.mac, Machine.wwpn, Machine.address):
        given = [told(machine, fabric) for machine in MACHINES.values() for fabric in FABRICS]
        assert len(set(given)) == len(given)


@EVERY
def test_a_port_name_is_what_the_kernel_makes_of_the_mac_address(machine: Machine) -> None:
    for fabric in FABRICS:
        assert machine.wwpn(fabric) == f"20:00:{machine.mac(fabric)}"
        assert any(f"netdev={fabric},mac={machine.mac(fabric)}," in word for word in _command(machine))


@EVERY
def test_ssh_listens_on_this_machine_only_and_the_guest_reaches_nothing_else(machine: Machine) -> None:
    assert f"user,id=user,restrict=on,hostfwd=tcp:127.0.0.1:{PORT}-:22" in _command(machine)


@EVERY
def test_keys_come_by_file_and_not_by_the_command_line(machine: Machine) -> None:
    given = [word for word in _command(machine) if word.startswith("name=opt/")]
    assert given == [f"name=opt/org.crossvisor.lab/{key},file={key}" for key in KEYS]


def test_a_machine_goes_on_with_a_memory_whatever_its_file_is_called() -> None:
    assert _command(SAN, Path("/a b/$c/san.memory"))[-2:] == ["-incoming", "exec:cat '/a b/$c/san.memory'"]
    assert "-incoming" not in _command(SAN)


def test_the_san_admits_every_port_of_every_host() -> None:
    script, *arguments = set_up(SAN)
    assert script == "san.sh"
    assert arguments[:3] == [SAN.iqn, *(SAN.wwpn(fabric) for fabric in FABRICS)]
    assert set(arguments[3:]) == {name for host in HOSTS for name in (host.iqn, *(host.wwpn(fabric) for fabric in FABRICS))}
