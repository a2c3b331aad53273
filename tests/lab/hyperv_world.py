# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of the world that runs Windows: a single Hyper-V host, two failover clusters and a guest (see README.md).

A machine's disk on the array is known by its NAA; what lies on it (``format``) is the file system that the machine finds there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

GIB = 1024**3
DOMAIN = "lab"
HOST, GUEST = "hv01", "win01"
CLUSTERS: Mapping[str, tuple[str, ...]] = {"hvc1": ("hvc1n1", "hvc1n2"), "hvc2": ("hvc2n1", "hvc2n2", "hvc2n3", "hvc2n4")}
HOSTS: tuple[str, ...] = (HOST, *itertools.chain.from_iterable(CLUSTERS.values()))
MACHINES: tuple[str, ...] = (*HOSTS, GUEST)
LUNS: Mapping[str, int] = {
    "hv01_data": 200 * GIB,
    "hv01_raw": 20 * GIB,
    "hvc1_csv": 200 * GIB,
    "hvc1_witness": 1 * GIB,
    "hvc2_csv_a": 200 * GIB,
    "hvc2_csv_b": 200 * GIB,
    "hvc2_witness": 1 * GIB,
}
VOLUME = "vol_hv"
OS_TYPE = "hyper_v"
GROUPS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "hv_hv01": ((HOST,), ("hv01_data", "hv01_raw")),
    "hv_hvc1": (CLUSTERS["hvc1"], ("hvc1_csv", "hvc1_witness")),
    "hv_hvc2": (CLUSTERS["hvc2"], ("hvc2_csv_a", "hvc2_csv_b", "hvc2_witness")),
}
CSV_ROOT = "C:\\ClusterStorage"


def lun_path(lun: str) -> str:
    """Return the path of a seeded LUN on the array."""
    return f"/vol/{VOLUME}/{lun}"


def hbas(name: str, portals: Sequence[str], iscsi_port: int) -> list[dict[str, Any]]:
    """Return the initiators of a host: two FC ports and the software initiator."""
    index = HOSTS.index(name) + 1
    return [*(_fc(index, port) for port in (0, 1)), _iscsi(name, portals, iscsi_port)]


def _fc(index: int, port: int) -> dict[str, Any]:
    tail = f"00:10:9b:{index:02x}:00:{port:02x}"
    return {
        "kind": "fc",
        "wwpn": f"10:00:{tail}",
        "wwnn": f"20:00:{tail}",
        "speed": 32,
        "status": "online",
        "model": "LPe35002-M2",
        "driver": "elxfc",
        "firmware": "14.0.499.30",
        "instance": f"PCI\\VEN_10DF&DEV_F400&SUBSYS_F41010DF&REV_01\\4&1A2B3C4D&0&000{port}_0",
    }


def _iscsi(name: str, portals: Sequence[str], iscsi_port: int) -> dict[str, Any]:
    return {
        "kind": "iscsi_software",
        "status": "online",
        "model": "Microsoft iSCSI Initiator",
        "driver": "msiscsi",
        "iqn": f"iqn.1991-05.com.microsoft:{name}.{DOMAIN}",
        "instance": "ROOT\\ISCSIPRT\\0000_0",
        "targets": [{"address": address, "port": iscsi_port} for address in portals],
    }


def initiators(names: Sequence[str]) -> list[str]:
    """Return what the array's initiator group of these hosts holds."""
    return [hba.get("wwpn") or hba["iqn"] for name in names for hba in hbas(name, (), 0)]


def build(
    naas: Mapping[str, str], uuids: Mapping[str, str], portals: Sequence[str], iscsi_port: int, vms: int, disks: int
) -> dict[str, Any]:
    """Return the ``hyperv`` part, with ``naas`` by LUN, ``uuids`` by machine, and at least ``vms`` VMs on the single host."""
    named = list(_named_vms(naas))
    on_host = sum(vm["host"] == f"{HOST}.{DOMAIN}" for vm in named)
    machines = [_host(name, uuids[name], naas, portals, iscsi_port) for name in HOSTS]
    return {
        "domain": DOMAIN,
        "machines": [*machines, _guest(uuids)],
        "clusters": [_cluster(name, nodes, naas) for name, nodes in CLUSTERS.items()],
        "vms": [*named, *itertools.islice(_fleet(disks), max(0, vms - on_host))],
    }


def _host(name: str, uuid: str, naas: Mapping[str, str], portals: Sequence[str], iscsi_port: int) -> dict[str, Any]:
    data = [{"naa": naas["hv01_data"], "format": {"label": "data", "file_system": "NTFS", "paths": ["E:\\"]}}] if name == HOST else []
    return {
        "name": f"{name}.{DOMAIN}",
        "role": "host",
        "cluster": next((cluster for cluster, nodes in CLUSTERS.items() if name in nodes), None),
        "uuid": uuid,
        "manufacturer": "Dell Inc.",
        "model": "PowerEdge R650",
        "mpio": True,
        "hbas": hbas(name, portals, iscsi_port),
        "local_disks": [{"size": 480 * GIB, "label": "System", "paths": ["C:\\"]}],
        "luns": data,
    }


def _guest(uuids: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": f"{GUEST}.{DOMAIN}",
        "role": "guest",
        "cluster": None,
        "uuid": uuids[GUEST],
        "manufacturer": "Microsoft Corporation",
        "model": "Virtual Machine",
        "mpio": False,
        "vm": GUEST,
        "hbas": [],
        "local_disks": [],
        "luns": [],
    }


def _cluster(name: str, nodes: Sequence[str], naas: Mapping[str, str]) -> dict[str, Any]:
    shared = sorted(lun for lun in naas if lun.startswith(f"{name}_csv"))
    csvs = [
        {"resource": f"Cluster Disk {number}", "volume": f"{CSV_ROOT}\\Volume{number}", "naa": naas[lun], "owner": f"{nodes[0]}.{DOMAIN}"}
        for number, lun in enumerate(shared, start=1)
    ]
    witness = {"resource": "Cluster Disk Witness", "naa": naas[f"{name}_witness"]}
    return {"name": name, "nodes": [f"{node}.{DOMAIN}" for node in nodes], "csvs": csvs, "witness": witness}


def _vm(
    name: str,
    host: str,
    directory: str,
    *,
    power: str = "on",
    highly_available: bool = False,
    generation: int = 2,
    disks: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> dict[str, Any]:
    kind = "scsi" if generation == 2 else "ide"
    boot = {"path": f"{directory}\\{name}\\{name}.vhdx", "size": 60 * GIB, "controller": kind, "number": 0, "slot": 0}
    return {
        "name": name,
        "host": f"{host}.{DOMAIN}",
        "highly_available": highly_available,
        "generation": generation,
        "power": power,
        "integration": power == "on",
        "scsi_controllers": 1,
        "disks": [boot, *disks],
        "passthrough": [],
        "checkpoints": [],
        **more,
    }


def _disk(path: str, slot: int, size: int = 40 * GIB, parents: Sequence[str] = ()) -> dict[str, Any]:
    return {"path": path, "size": size, "controller": "scsi", "number": 0, "slot": slot, "parents": list(parents)}


def _named_vms(naas: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    local, san = "C:\\VMs", "E:\\VMs"
    raw = {"naa": naas["hv01_raw"], "controller": "scsi", "number": 0, "slot": 1}
    chain = [f"{san}\\hvchain01\\base.vhdx", f"{san}\\hvchain01\\middle.avhdx"]
    yield _vm(GUEST, HOST, san, dvd=True)
    yield _vm("hvapp01", HOST, san, disks=[_disk(f"{san}\\hvapp01\\data.vhdx", 1)])
    yield _vm("hvdb01", HOST, san, passthrough=[raw])
    yield _vm("hvchain01", HOST, san, disks=[_disk(f"{san}\\hvchain01\\leaf.avhdx", 1, parents=chain[::-1])], checkpoints=["before update"])
    yield _vm("hvold01", HOST, local, power="off", generation=1, dvd=True)
    yield _vm("hvide01", HOST, local, generation=1, scsi_controllers=0)
    yield _vm("hvnoic01", HOST, local, integration=False)
    for cluster, nodes in CLUSTERS.items():
        prefix, volume = cluster.removeprefix("hv"), f"{CSV_ROOT}\\Volume1"
        for number, node in enumerate(nodes, start=1):
            yield _vm(f"{prefix}app{number:02d}", node, volume, highly_available=True)
        yield _vm(f"{prefix}old01", nodes[0], volume, highly_available=True, power="off")
        yield _vm(f"{prefix}local01", nodes[-1], local)


def _fleet(disks: int) -> Iterator[dict[str, Any]]:
    for number in itertools.count(1):
        name = f"hvvm{number:05d}"
        more = [_disk(f"E:\\VMs\\{name}\\disk{slot}.vhdx", slot, GIB) for slot in range(1, disks)]
        yield _vm(name, HOST, "E:\\VMs", disks=more)
