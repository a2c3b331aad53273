# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of the world that runs on libvirt: one host, two guests that really run, and domains of other shapes (see kvm/README.md).

A domain is ``on`` (a Debian guest that can be reached), ``idle`` (QEMU runs, its processor is stopped, no system in it) or ``off``.
The ``source`` of a disk is ``guest`` (the system of a guest), ``image`` (a qcow2 file of the pool, on top of its ``parents``), ``raw``
(a file of the pool), ``volume`` (the same, named by pool and volume), ``block`` (a device of the host), ``lun`` (a LUN of the array, by
the iSCSI initiator of QEMU), ``lun_device`` (one that the host has as a device) or ``none`` (an empty drive).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GIB = 1024**3
MIB = 1024**2
HOST = "kvm01.lab"
IQN = "iqn.1993-08.org.debian:01:6b766d30312e"
OS_TYPE = "linux"
VOLUME = "vol_kvm"
GROUP = "kvm_kvm01"
POOL = "images"
SAN_POOL = "san"
LUNS: Mapping[str, int] = {"kvm_archive": 4 * GIB, "kvm_ledger": 2 * GIB}
FIRST_LUN_ID = 1
"""tgt keeps LUN 0 of every target for its controller."""


def lun_path(lun: str) -> str:
    """Return the path of a seeded LUN on the array."""
    return f"/vol/{VOLUME}/{lun}"


def maps() -> dict[str, int]:
    """Return the LUN ids under which the host sees the seeded LUNs, by path."""
    return {lun_path(lun): number for number, lun in enumerate(LUNS, FIRST_LUN_ID)}


def build(naas: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of the world; ``naas`` are the names of the LUNs in ``LUNS``."""
    return {"host": HOST, "iqn": IQN, "pool": POOL, "san_pool": SAN_POOL, "group": GROUP, "domains": [*_guests(), *_idle(), *_off(naas)]}


def _guests() -> list[dict[str, Any]]:
    return [_domain(name, "on", memory=512 * MIB, disks=[_system(name)]) for name in ("lnx01", "lnx02")]


def _idle() -> list[dict[str, Any]]:
    return [
        _domain("transient01", "idle", transient=True, disks=[_raw("transient01", 1 * GIB)]),
        _domain("crowded01", "idle", scsi=[], spare_ports=0, disks=[_raw("crowded01", 1 * GIB)]),
    ]


def _off(naas: Mapping[str, str]) -> list[dict[str, Any]]:
    chain = {**_image("chain01", 8 * GIB), "parents": ["chain01-golden.qcow2", "chain01-before-update.qcow2"]}
    archive, ledger = ({"naa": naas[lun], "lun": lun_path(lun)} for lun in ("kvm_archive", "kvm_ledger"))
    return [
        _domain("noscsi01", "off", scsi=[], disks=[_raw("noscsi01", 1 * GIB)]),
        _domain("chain01", "off", disks=[chain]),
        _domain("volume01", "off", disks=[{**_raw("volume01", 3 * GIB), "source": "volume"}]),
        _domain("lvm01", "off", disks=[_disk("block", "sda", path="/dev/vg_lab/lvm01")]),
        _domain("legacy01", "off", machine="pc", scsi=["vmpvscsi"], disks=[_raw("legacy01", 1 * GIB, target="sda"), _cdrom("hda")]),
        _domain("archive01", "off", disks=[_image("archive01", 8 * GIB), _disk("lun", "sda", **archive)]),
        _domain("ledger01", "off", disks=[_disk("lun_device", "sda", **ledger, path=f"/dev/disk/by-id/wwn-0x{naas['kvm_ledger']}")]),
    ]


def _domain(name: str, power: str, *, disks: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    usual = {"memory": 64 * MIB, "machine": "q35", "transient": False, "scsi": ["virtio-scsi"], "spare_ports": 4}
    return {"name": name, "power": power, **usual, **other, "disks": disks}


def _system(name: str) -> dict[str, Any]:
    return _disk("guest", "vda", path=f"{name}.qcow2")


def _image(name: str, size: int) -> dict[str, Any]:
    return _disk("image", "vda", path=f"{name}.qcow2", size=size, parents=[])


def _raw(name: str, size: int, target: str = "vda") -> dict[str, Any]:
    return _disk("raw", target, path=f"{name}.img", size=size)


def _cdrom(target: str) -> dict[str, Any]:
    return _disk("none", target)


def _disk(source: str, target: str, **other: Any) -> dict[str, Any]:
    return {"source": source, "target": target, **other}
