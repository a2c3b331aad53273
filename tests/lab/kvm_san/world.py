# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The array of this lab: an SVM whose ports are those of the machine ``san``, a volume without LUNs, and a group of each host."""

from __future__ import annotations

from typing import Any

from tests.lab.kvm_san.machines import FABRICS, HOSTS, SAN, Machine
from tests.lab.world import TIB, identity

SVM, VOLUME, OS_TYPE = "svm_san", "vol_kvm", "linux"
NODES = {"a": "lab-ontap-01", "b": "lab-ontap-02"}
"""The node with the ports of each fabric; the LUNs are on the first."""
STRANGER = "iqn.1993-08.org.debian:01:stranger"
"""An initiator that may log in and is in no group."""


def group(host: str) -> str:
    """Return the name of a host's group on the array."""
    return f"kvm_{host}"


def initiators(machine: Machine) -> list[str]:
    """Return the initiators of a host: iSCSI's, and a Fibre Channel port on each fabric."""
    return [machine.iqn, *(machine.wwpn(fabric) for fabric in FABRICS)]


def build() -> dict[str, Any]:
    """Return the world, which is nothing but an array."""
    return {
        "array": {
            "name": "lab-ontap",
            "uuid": identity("array", "lab-ontap"),
            "version": {"generation": 9, "major": 16, "minor": 1},
            "nodes": list(NODES.values()),
            "svms": [_svm()],
        }
    }


def _svm() -> dict[str, Any]:
    nodes = {lif: node for fabric, node in NODES.items() for lif in (SAN.address(fabric), SAN.wwpn(fabric))}
    return {
        "name": SVM,
        "iqn": SAN.iqn,
        "portals": [SAN.address(fabric) for fabric in FABRICS],
        "nfs_lifs": [],
        "fc_lifs": [
            {"name": f"fc_{fabric}", "wwpn": SAN.wwpn(fabric), "wwnn": SAN.wwpn(fabric).replace("20", "10", 1)} for fabric in FABRICS
        ],
        "lif_nodes": nodes,
        "initiators": [*(name for host in HOSTS for name in initiators(host)), STRANGER],
        "volumes": [{"name": VOLUME, "uuid": identity("volume", f"{SVM}/{VOLUME}"), "size": TIB, "luns": []}],
        "igroups": [
            {"name": group(host.name), "protocol": "mixed", "os_type": OS_TYPE, "initiators": initiators(host), "maps": []}
            for host in HOSTS
        ],
    }
