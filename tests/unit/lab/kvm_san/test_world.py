# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The array's world is that of the machines: its ports are those that the SAN is set up with, its groups hold the hosts' initiators."""

from __future__ import annotations

from pathlib import Path

from tests.lab.kvm_san import world
from tests.lab.kvm_san.image import SETUP
from tests.lab.kvm_san.machines import HOSTS, SAN
from tests.lab.ontap.data_plane.lio import wanted
from tests.lab.ontap.state import Array


def test_the_array_wants_the_ports_that_the_san_is_set_up_with() -> None:
    ports = wanted(Array(world.build()["array"]), Path("/srv/luns"))["ports"]
    assert [(port["name"], port["tag"], port["address"], port["group"]) for port in ports] == [
        (SAN.iqn, 1028, "10.8.1.1:3260", "ao"),
        (SAN.iqn, 1029, "10.8.2.1:3260", "ano"),
        (SAN.wwpn("a"), 1, "", "ao"),
        (SAN.wwpn("b"), 1, "", "ano"),
    ]
    assert "FIRST_TAG=1028" in (SETUP / "san.sh").read_text()


def test_both_hosts_and_a_stranger_are_let_in_and_see_nothing() -> None:
    iscsi, _iscsi, fc, _fc = wanted(Array(world.build()["array"]), Path("/srv/luns"))["ports"]
    assert iscsi["views"] == {name: {} for name in (*(host.iqn for host in HOSTS), world.STRANGER)}
    assert fc["views"] == {host.wwpn(fabric): {} for host in HOSTS for fabric in "ab"}
