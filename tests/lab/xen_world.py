# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of the world that runs Xen: one pool of three hosts, with storage repositories of every kind (see xen/README.md).

A VM is ``Running``, ``Halted`` or ``Suspended``; ``drivers`` tells whether its guest has PV drivers, ``ha`` its restart priority.
A disk of a VM names its VDI (``vdi``), a LUN as a VDI of the pool's ``iscsi`` repository (``lun``), or is an empty drive (``cd``).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

GIB = 1024**3
MIB = 1024**2
POOL = "xen-pool"
HOSTS = ("xen01", "xen02", "xen03")
DOMAIN = "lab"
NETWORK = "192.0.2"
OS_TYPE = "xen"
VOLUME = "vol_xen"
NFS_VOLUME = "vol_xen_nfs"
LUNS: Mapping[str, int] = {"xen_fc_sr": 200 * GIB, "xen_iscsi_sr": 200 * GIB, "xen_ledger": 20 * GIB, "xen_archive": 10 * GIB}
FC_GROUP, ISCSI_GROUP = "xen_fc", "xen_iscsi"
FC_LUNS, ISCSI_LUNS = ("xen_fc_sr", "xen_archive"), ("xen_iscsi_sr", "xen_ledger")
FC_SR, ISCSI_SR, LUN_SR, NFS_SR, FILE_SR, UDEV_SR = "san-fc", "san-iscsi", "luns", "images-nfs", "images-file", "lun-devices"
LOOPBACK = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
"""Where the hosts answer when they are processes of this machine, the master first: real hosts have one port and many addresses."""
CROWDED = 255
"""Drives of a VM that can have no more."""

Identify = Callable[[str, str], str]


def lun_path(lun: str) -> str:
    """Return the path of a seeded LUN on the array."""
    return f"/vol/{VOLUME}/{lun}"


def scsi_id(naa: str) -> str:
    """Return how Linux calls the SCSI device of this NAA name."""
    return f"3{naa}"


def vdi_uuid(naa: str) -> str:
    """Return the UUID that a LUN has as a VDI of its own: the MD5 of its SCSI id."""
    digest = hashlib.md5(scsi_id(naa).encode(), usedforsecurity=False).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]))


def hbas(host: str) -> list[dict[str, Any]]:
    """Return the initiators of a host: two FC ports and the software initiator."""
    index = HOSTS.index(host) + 1
    return [
        *(_fc(index, port) for port in (0, 1)),
        {"kind": "iscsi_software", "iqn": f"iqn.2026-11.lab:{hashlib.sha256(host.encode()).hexdigest()[:8]}"},
    ]


def _fc(index: int, port: int) -> dict[str, Any]:
    tail = f"00:24:ff:{index:02x}:00:{port:02x}"
    return {
        "kind": "fc",
        "wwpn": f"21:00:{tail}",
        "wwnn": f"20:00:{tail}",
        "driver": "qla2xxx",
        "speed": "32 Gbit",
        "supported_speeds": "8 Gbit, 16 Gbit, 32 Gbit",
        "status": "Online",
    }


def groups() -> list[tuple[str, list[str], dict[str, int]]]:
    """Return the initiator groups of the array: name, initiators, LUN ids by path."""
    ports = [hba for host in HOSTS for hba in hbas(host)]
    wwpns, iqns = [hba["wwpn"] for hba in ports if "wwpn" in hba], [hba["iqn"] for hba in ports if "iqn" in hba]
    return [
        (FC_GROUP, wwpns, {lun_path(lun): number for number, lun in enumerate(FC_LUNS)}),
        (ISCSI_GROUP, iqns, {lun_path(lun): number for number, lun in enumerate(ISCSI_LUNS)}),
    ]


def build(
    naas: Mapping[str, str], identify: Identify, target: str, portal: str, nfs_address: str, vms: int = 0, disks: int = 1
) -> dict[str, Any]:
    """Return the part of the world, with at least ``vms`` VMs; ``naas`` are the names of the LUNs, ``target`` and ``portal`` the SVM's."""
    named = list(_named_vms(naas))
    everyone = [*named, *itertools.islice(_fleet(disks), max(0, vms - len(named)))]
    for vm in everyone:
        vm["uuid"] = identify("vm", f"xen/{vm['name']}/{vm.pop('number', 0)}")
    srs = list(_srs(naas, target, portal, nfs_address))
    for sr in srs:
        sr["uuid"] = identify("sr", f"xen/{sr['name']}/{sr.get('host', '')}")
    return {
        "pool": {
            "name": POOL,
            "uuid": identify("pool", POOL),
            "master": f"{HOSTS[0]}.{DOMAIN}",
            "ha_statefile": {"sr": ISCSI_SR, "size": 4 * MIB},
        },
        "hosts": [
            {"name": f"{host}.{DOMAIN}", "uuid": identify("host", host), "address": f"{NETWORK}.{50 + index}", "hbas": hbas(host)}
            for index, host in enumerate(HOSTS, 1)
        ],
        "srs": srs,
        "vdis": [{**vdi, "uuid": identify("vdi", f"xen/{vdi['name']}")} for vdi in _vdis(everyone, naas)],
        "vms": everyone,
    }


def _srs(naas: Mapping[str, str], target: str, portal: str, nfs_address: str) -> Iterator[dict[str, Any]]:
    fc, iscsi = scsi_id(naas["xen_fc_sr"]), scsi_id(naas["xen_iscsi_sr"])
    login = {"target": portal, "targetIQN": target, "port": "3260"}
    lvm = {"allocation": "thick", "use_vhd": "true", "multipathable": "true"}
    for host in HOSTS:
        local = {"device": f"/dev/disk/by-id/ata-LabDisk_{host}-part3"}
        yield {"name": "Local storage", "type": "ext", "host": f"{host}.{DOMAIN}", "device_config": local, "size": 400 * GIB}
    yield {"name": FC_SR, "type": "lvmohba", "device_config": {"SCSIid": fc}, "sm_config": {**lvm, "devserial": f"scsi-{fc}"}}
    yield {
        "name": ISCSI_SR,
        "type": "lvmoiscsi",
        "device_config": {**login, "SCSIid": iscsi},
        "sm_config": {**lvm, "devserial": f"scsi-{iscsi}"},
    }
    yield {
        "name": LUN_SR,
        "type": "iscsi",
        "device_config": login,
        "sm_config": {"disktype": "Raw", "datatype": "ISCSI", "target": portal, "targetIQN": target, "multipathable": "true"},
    }
    yield {"name": NFS_SR, "type": "nfs", "device_config": {"server": nfs_address, "serverpath": f"/{NFS_VOLUME}"}, "size": 1024 * GIB}
    first = f"{HOSTS[0]}.{DOMAIN}"
    yield {"name": FILE_SR, "type": "file", "host": first, "device_config": {"location": "/var/opt/images"}, "size": 100 * GIB}
    yield {"name": UDEV_SR, "type": "udev", "host": first, "device_config": {"location": "/dev/lab-luns"}, "size": 0}


def _vdis(vms: list[dict[str, Any]], naas: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Return the disks that VMs name, and what lies below them."""
    base = {"name": "xenchain01-base", "sr": NFS_SR, "size": 20 * GIB, "managed": False, "sm_config": {"vdi_type": "vhd"}}
    yield base
    yield {**base, "name": "xenchain01-middle", "parent": "xenchain01-base"}
    yield {**base, "name": "xenchain01-before", "parent": "xenchain01-middle", "managed": True, "snapshot_of": "xenchain01-0"}
    yield {"name": "xenraw01-data", "sr": FC_SR, "size": 30 * GIB, "sm_config": {"type": "raw", "vdi_type": "aio"}}
    location = f"/dev/mapper/{scsi_id(naas['xen_archive'])}"
    yield {"name": "xenudev01-data", "sr": UDEV_SR, "size": LUNS["xen_archive"], "location": location, "sm_config": {}}
    for vm in vms:
        for disk in vm["disks"]:
            if "sr" in disk:
                parent = {"parent": disk["parent"]} if "parent" in disk else {}
                yield {"name": disk["vdi"], "sr": disk["sr"], "size": disk["size"], "sm_config": {"vdi_type": "vhd"}, **parent}


def _vm(name: str, host: str = "", power: str = "Running", **more: Any) -> dict[str, Any]:
    sr = more.pop("sr", FC_SR)
    boot = {"vdi": f"{name}-{more.get('number', 0)}", "sr": sr, "size": 20 * GIB, **more.pop("boot", {})}
    disks = [boot, *more.pop("disks", [])]
    where = f"{host}.{DOMAIN}" if host else ""
    return {"name": name, "host": where, "power": power, "drivers": power == "Running", "ha": "", "disks": disks, **more}


def _named_vms(naas: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for host in HOSTS:
        yield {
            "name": f"Control domain on host: {host}.{DOMAIN}",
            "host": f"{host}.{DOMAIN}",
            "power": "Running",
            "drivers": True,
            "ha": "",
            "control_domain": True,
            "disks": [],
        }
    yield {"name": "Debian Bookworm 12", "host": "", "power": "Halted", "drivers": False, "ha": "", "template": True, "disks": []}
    yield _vm("xenapp01", "xen01")
    yield _vm("xendb01", "xen02", sr=ISCSI_SR, disks=[{"lun": naas["xen_ledger"]}])
    yield _vm("xenchain01", power="Halted", sr=NFS_SR, boot={"parent": "xenchain01-middle"})
    yield {
        "name": "before update",
        "host": "",
        "power": "Halted",
        "drivers": False,
        "ha": "",
        "snapshot_of": "xenchain01",
        "disks": [{"vdi": "xenchain01-before"}],
    }
    yield _vm("xenold01", power="Halted", sr="Local storage", disks=[{"cd": True}])
    yield _vm("xenraw01", "xen03", disks=[{"vdi": "xenraw01-data"}])
    yield _vm("xenudev01", "xen01", sr=FILE_SR, disks=[{"vdi": "xenudev01-data"}])
    yield _vm("xensleep01", power="Suspended")
    yield _vm("xennodrv01", "xen02", drivers=False)
    yield _vm("xenha01", "xen03", ha="restart")
    yield _vm("xencrowd01", "xen03", disks=[{"cd": True}] * (CROWDED - 1))
    yield _vm("xentwin", "xen01", number=0)
    yield _vm("xentwin", "xen02", number=1)


def _fleet(disks: int) -> Iterator[dict[str, Any]]:
    for number in itertools.count(1):
        name, host = f"xenvm{number:05d}", HOSTS[number % len(HOSTS)]
        more = [{"vdi": f"{name}-{place}", "sr": NFS_SR, "size": GIB} for place in range(1, disks)]
        yield _vm(name, host, sr=NFS_SR, disks=more)
