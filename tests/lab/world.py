# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One description of the whole lab, read by every server: who owns which LUN, host, datastore and virtual machine.

``build()`` returns the world of README.md as plain JSON values, the same on every machine and at every call.
``python -m tests.lab.world --vms 1000`` prints it.

Beyond README.md: an RDM of a VM is ``{"naa", "compatibility": "physicalMode"|"virtualMode", "sharing", "disk_mode", "datastore"}``
(the datastore keeps the mapping file), and HBAs of kind ``block`` are local controllers without an initiator name.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab import hyperv_world, kvm_world, xen_world

World = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much more there is than what has a name of its own."""

    vms: int = 0
    """Numbered VMs fill up to so many in the vCenter, on the single Hyper-V host and in the Xen pool."""
    disks: int = 1
    """Of each numbered VM."""
    stores: int = 0
    """Numbered datastores in the vCenter, each on a LUN of its own: numbered VMs lie on one of these, instead of on what has a name."""


SMALLEST = Size()

GIB = 1024**3
TIB = 1024**4
NAMESPACE = uuid.UUID("5c9a6e0e-6f0a-5d0e-9a56-3f1a0c4b7d21")
SERIAL_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#$%&+-<=>?@[]~"
SERIAL_LENGTH = 12
NETAPP_NAA_PREFIX = "600a0980"
ISCSI_PORT = 3260

PROD, DEV = "prod", "dev"
HOSTS: Mapping[str, tuple[str, ...]] = {PROD: ("esx01", "esx02"), DEV: ("esx11", "esx12")}
SHARED_DATASTORES: Mapping[str, tuple[str, ...]] = {PROD: ("ds_single", "ds_span", "nfs01"), DEV: ("ds_dev", "nfs01")}
MIXED_CASE_IQNS = frozenset({"esx02", "esx11"})
DOCUMENTATION_NETWORK = "192.0.2"
ISCSI_PORTALS = (f"{DOCUMENTATION_NETWORK}.11", f"{DOCUMENTATION_NETWORK}.12")
ISCSI_PORTALS_DR = (f"{DOCUMENTATION_NETWORK}.31",)
NFS_ADDRESS = f"{DOCUMENTATION_NETWORK}.21"

EMPTY_LUNS = frozenset({"spare"})
USED_PART = 4
FIRST_NUMBERED_ID = 20

Disk = tuple[str, int]  # datastore, GiB


def identity(kind: str, name: str) -> str:
    """Return the UUID that the object of this kind and name has in every lab."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}/{name}"))


def serial_of(lun_path: str, svm: str = "svm_san") -> str:
    """Return the 12-character ONTAP serial number that the seeded LUN at ``lun_path`` of ``svm`` has in every lab."""
    digest = hashlib.sha256(f"{svm}:{lun_path}".encode()).digest()
    return "".join(SERIAL_ALPHABET[byte % len(SERIAL_ALPHABET)] for byte in digest[:SERIAL_LENGTH])


def naa_of(serial: str) -> str:
    """Return the 32 hexadecimal digits under which a SCSI host knows the ONTAP LUN of this serial number."""
    return NETAPP_NAA_PREFIX + serial.encode("ascii").hex()


def naa_at(lun_path: str) -> str:
    """Return the NAA name of the seeded LUN at ``lun_path``."""
    return naa_of(serial_of(lun_path))


def build(size: Size = SMALLEST) -> World:
    """Return the world of this size."""
    vcenter = _vcenter(size)
    array = _array(vcenter["clusters"], size.stores)
    return {
        "array": array,
        "vcenter": vcenter,
        "hyperv": _hyperv(size.vms, size.disks),
        "kvm": _kvm(),
        "xen": _xen(array, size.vms, size.disks),
    }


def on_network(world: World, prefix: str) -> World:
    """Return the world with the array's addresses moved to the network of this prefix (``127.1.2``), where a data plane can serve them."""
    moved: World = json.loads(json.dumps(world).replace(f'"{DOCUMENTATION_NETWORK}.', f'"{prefix}.'))
    return moved


def _hyperv(vms: int, disks: int) -> dict[str, Any]:
    naas = {lun: naa_at(hyperv_world.lun_path(lun)) for lun in hyperv_world.LUNS}
    uuids = {name: identity("host", name) for name in hyperv_world.MACHINES}
    part = hyperv_world.build(naas, uuids, ISCSI_PORTALS, ISCSI_PORT, vms, disks)
    for vm in part["vms"]:
        vm["id"] = identity("vm", f"hyperv/{vm['name']}").upper()
    return part


def _kvm() -> dict[str, Any]:
    part = kvm_world.build({lun: naa_at(kvm_world.lun_path(lun)) for lun in kvm_world.LUNS})
    for domain in part["domains"]:
        domain["uuid"] = identity("vm", f"kvm/{domain['name']}")
    return part


def _xen(array: Mapping[str, Any], vms: int, disks: int) -> dict[str, Any]:
    naas = {lun: naa_at(xen_world.lun_path(lun)) for lun in xen_world.LUNS}
    return xen_world.build(naas, identity, array["svms"][0]["iqn"], ISCSI_PORTALS[0], NFS_ADDRESS, vms, disks)


def _array(clusters: list[dict[str, Any]], stores: int) -> dict[str, Any]:
    return {
        "name": "lab-ontap",
        "uuid": identity("array", "lab-ontap"),
        "version": {"generation": 9, "major": 16, "minor": 1},
        "nodes": ["lab-ontap-01", "lab-ontap-02"],
        "svms": [_svm_san(clusters, stores), _svm_dr()],
    }


def _svm_san(clusters: list[dict[str, Any]], stores: int) -> dict[str, Any]:
    numbered = {cluster: dict.fromkeys(_numbered_stores(cluster, stores), 200 * GIB) for cluster in HOSTS}
    initiators = {cluster["name"]: _initiators(cluster) for cluster in clusters}
    prod_maps = {"ds_single": 0, "ds_span_a": 1, "ds_span_b": 2, "shared_rdm": 10}
    return {
        "name": "svm_san",
        "iqn": "iqn.1992-08.com.netapp:sn.6d1c3f2a8e4b11efb7a900a098c0ffee:vs.3",
        "portals": list(ISCSI_PORTALS),
        "nfs_lifs": [NFS_ADDRESS],
        "fc_lifs": [
            {"name": "fc1", "wwpn": "20:01:00:a0:98:c0:ff:e1", "wwnn": "20:00:00:a0:98:c0:ff:e0"},
            {"name": "fc2", "wwpn": "20:02:00:a0:98:c0:ff:e2", "wwnn": "20:00:00:a0:98:c0:ff:e0"},
        ],
        "volumes": [
            _volume("vol_prod", 1 * TIB, {"ds_single": 200 * GIB, "ds_span_a": 200 * GIB, "ds_span_b": 200 * GIB, "shared_rdm": 10 * GIB}),
            _volume("vol_dev", 1 * TIB, {"ds_dev": 200 * GIB, "spare": 5 * GIB}),
            _volume("vol_small", 1 * GIB, {}),
            {**_volume("vol_nfs", 1 * TIB, {}), "junction": "/vol_nfs"},
            _volume(hyperv_world.VOLUME, 2 * TIB, hyperv_world.LUNS, os_type=hyperv_world.OS_TYPE),
            _volume(kvm_world.VOLUME, 1 * TIB, kvm_world.LUNS, os_type=kvm_world.OS_TYPE),
            _volume(xen_world.VOLUME, 1 * TIB, xen_world.LUNS, os_type=xen_world.OS_TYPE),
            {**_volume(xen_world.NFS_VOLUME, 1 * TIB, {}), "junction": f"/{xen_world.NFS_VOLUME}"},
            *(_volume(_volume_of(cluster), 400 * GIB * len(luns), luns) for cluster, luns in numbered.items() if luns),
        ],
        "igroups": [
            _igroup("esx_prod", initiators[PROD], {f"/vol/vol_prod/{lun}": number for lun, number in prod_maps.items()}),
            _igroup("esx_dev", initiators[DEV], {"/vol/vol_dev/ds_dev": 0}),
            _igroup(kvm_world.GROUP, [kvm_world.IQN], kvm_world.maps(), kvm_world.OS_TYPE),
            *(_igroup(name, members, maps, xen_world.OS_TYPE) for name, members, maps in xen_world.groups()),
            *(_hyperv_igroup(name, hosts, luns) for name, (hosts, luns) in hyperv_world.GROUPS.items()),
            *(_numbered_igroup(cluster, initiators[cluster], luns) for cluster, luns in numbered.items() if luns),
        ],
    }


def _svm_dr() -> dict[str, Any]:
    return {
        "name": "svm_dr",
        "iqn": "iqn.1992-08.com.netapp:sn.0b7e55d28e4c11efb7a900a098c0ffee:vs.4",
        "portals": list(ISCSI_PORTALS_DR),
        "nfs_lifs": [],
        "fc_lifs": [{"name": "fc1", "wwpn": "20:05:00:a0:98:c0:ff:e5", "wwnn": "20:04:00:a0:98:c0:ff:e4"}],
        "volumes": [_volume("vol_dr", 500 * GIB, {"ds_replica": 200 * GIB}, svm="svm_dr")],
        "igroups": [],
    }


def _volume(name: str, size: int, luns: Mapping[str, int], svm: str = "svm_san", os_type: str = "vmware") -> dict[str, Any]:
    rows = [
        {
            "name": lun,
            "size": lun_size,
            "used": 0 if lun in EMPTY_LUNS else lun_size // USED_PART,
            "serial": serial_of(f"/vol/{name}/{lun}", svm),
            "os_type": os_type,
        }
        for lun, lun_size in luns.items()
    ]
    return {"name": name, "uuid": identity("volume", f"{svm}/{name}"), "size": size, "luns": rows}


def _hyperv_igroup(name: str, hosts: Sequence[str], luns: Sequence[str]) -> dict[str, Any]:
    maps = {hyperv_world.lun_path(lun): number for number, lun in enumerate(luns)}
    return _igroup(name, hyperv_world.initiators(hosts), maps, hyperv_world.OS_TYPE)


def _numbered_igroup(cluster: str, initiators: list[str], luns: Collection[str]) -> dict[str, Any]:
    maps = {_numbered_path(cluster, lun): number for number, lun in enumerate(luns, start=FIRST_NUMBERED_ID)}
    return _igroup(f"esx_{cluster}_numbered", initiators, maps)


def _numbered_stores(cluster: str, stores: int) -> list[str]:
    """The numbered datastores of a cluster, each named as the LUN under it; clusters have them in turn."""
    first = list(HOSTS).index(cluster) + 1
    return [f"ds{number:04d}" for number in range(first, stores + 1, len(HOSTS))]


def _volume_of(cluster: str) -> str:
    return f"vol_{cluster}_numbered"


def _numbered_path(cluster: str, store: str) -> str:
    return f"/vol/{_volume_of(cluster)}/{store}"


def _igroup(name: str, initiators: list[str], maps: Mapping[str, int], os_type: str = "vmware") -> dict[str, Any]:
    return {
        "name": name,
        "protocol": "mixed",
        "os_type": os_type,
        "initiators": initiators,
        "maps": [{"lun": path, "id": number} for path, number in maps.items()],
    }


def _initiators(cluster: Mapping[str, Any]) -> list[str]:
    hbas = [hba for host in cluster["hosts"] for hba in host["hbas"]]
    return [hba.get("wwpn") or hba["iqn"].lower() for hba in hbas if hba["kind"] != "block"]


def _vcenter(size: Size) -> dict[str, Any]:
    named = [*_named_vms()]
    fleet = itertools.islice(_fleet(size.disks, size.stores), max(0, size.vms - len(named)))
    return {
        "name": "lab-vcenter",
        "datacenter": "DC0",
        "clusters": [{"name": name, "hosts": [_host(host) for host in hosts]} for name, hosts in HOSTS.items()],
        "datastores": _datastores(size.stores),
        "vms": [*named, *fleet],
    }


def _host(name: str) -> dict[str, Any]:
    return {"name": f"{name}.lab", "uuid": identity("host", name), "hbas": [_sata(), _fc(name, 2), _fc(name, 3), _software_iscsi(name)]}


def _sata() -> dict[str, Any]:
    return {
        "device": "vmhba0",
        "kind": "block",
        "status": "unknown",
        "model": "Lewisburg SATA AHCI Controller",
        "driver": "vmw_ahci",
        "pci": "0000:00:17.0",
    }


def _fc(host: str, number: int) -> dict[str, Any]:
    tail = f"00:90:fa:{int(host[-2:]):02x}:00:{number:02x}"
    return {
        "device": f"vmhba{number}",
        "kind": "fc",
        "wwpn": f"10:00:{tail}",
        "wwnn": f"20:00:{tail}",
        "speed": 32,
        "status": "online",
        "model": "Emulex LPe32002",
        "driver": "lpfc",
        "pci": f"0000:3b:00.{number - 2}",
    }


def _software_iscsi(host: str) -> dict[str, Any]:
    suffix = f"{host}-{identity('iqn', host)[:8]}"
    return {
        "device": "vmhba64",
        "kind": "iscsi_software",
        "status": "online",
        "model": "iSCSI Software Adapter",
        "driver": "iscsi_vmk",
        "iqn": f"iqn.1998-01.com.vmware:{suffix.upper() if host in MIXED_CASE_IQNS else suffix}",
        "targets": [{"address": address, "port": ISCSI_PORT} for address in ISCSI_PORTALS],
    }


def _datastores(stores: int) -> list[dict[str, Any]]:
    def vmfs(name: str, cluster: str, *lun_paths: str) -> dict[str, Any]:
        extents = [naa_at(path) for path in lun_paths]
        return {"name": name, "type": "vmfs", "clusters": [cluster], "extents": extents, "capacity": 200 * GIB * len(extents)}

    return [
        vmfs("ds_single", PROD, "/vol/vol_prod/ds_single"),
        vmfs("ds_span", PROD, "/vol/vol_prod/ds_span_a", "/vol/vol_prod/ds_span_b"),
        vmfs("ds_dev", DEV, "/vol/vol_dev/ds_dev"),
        {"name": "nfs01", "type": "nfs", "clusters": [PROD, DEV], "server": NFS_ADDRESS, "path": "/vol_nfs", "capacity": 1 * TIB},
        {"name": "local-esx01", "type": "vmfs", "host": "esx01.lab", "extents": ["t10.ATA_____LabDisk____esx01"], "capacity": 100 * GIB},
        *(vmfs(store, cluster, _numbered_path(cluster, store)) for cluster in HOSTS for store in _numbered_stores(cluster, stores)),
    ]


def _named_vms() -> Iterator[dict[str, Any]]:
    shared_rdm = {
        "naa": naa_at("/vol/vol_prod/shared_rdm"),
        "compatibility": "physicalMode",
        "sharing": "sharingNone",
        "disk_mode": "independent_persistent",
        "datastore": "ds_single",
    }
    yield _vm("app01", "esx01", "apps", [("ds_single", 20)])
    yield _vm("app02", "esx02", "apps", [("ds_single", 20), ("ds_span", 40)])
    yield _vm("db01", "esx01", "databases", [("ds_single", 20)], rdms=[shared_rdm])
    yield _vm("db02", "esx02", "databases", [("ds_span", 20), ("ds_span", 60)])
    yield _vm("web01", "esx01", "web", [("nfs01", 10)])
    yield _vm("web02", "esx02", "web", [("nfs01", 10), ("ds_single", 10)])
    yield _vm("files01", "esx01", "infra", [("ds_span", 10), ("nfs01", 100)])
    yield _vm("backup01", "esx01", "infra", [("local-esx01", 30)])
    yield _vm("old01", "esx02", "archive", [("ds_single", 8)], power="off")
    yield _vm("twin", "esx01", "apps", [("ds_single", 8)])
    yield _vm("twin", "esx02", "archive", [("ds_span", 8)])
    yield _vm("dev01", "esx11", "dev", [("ds_dev", 20)])
    yield _vm("dev02", "esx12", "dev", [("ds_dev", 20), ("nfs01", 20)])
    yield _vm("ci01", "esx11", "dev", [("nfs01", 40)])
    yield _vm("ci02", "esx12", "dev", [("ds_dev", 40)])


def _fleet(disks: int, stores: int) -> Iterator[dict[str, Any]]:
    places = [(host, cluster) for cluster, hosts in HOSTS.items() for host in hosts]
    own = {cluster: itertools.cycle(_numbered_stores(cluster, stores)) for cluster in HOSTS}
    for number, (host, cluster) in enumerate(itertools.cycle(places), start=1):
        shared = [*itertools.islice(own[cluster], 1)] or SHARED_DATASTORES[cluster]
        datastores = itertools.islice(itertools.cycle(shared), number % len(shared), None)
        yield _vm(f"vm{number:05d}", host, "fleet", [(datastore, 1) for datastore in itertools.islice(datastores, disks)])


def _vm(
    name: str, host: str, folder: str, disks: list[Disk], *, power: str = "on", rdms: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "uuid": identity("vm", f"{folder}/{name}"),
        "instance_uuid": identity("vm-instance", f"{folder}/{name}"),
        "cluster": next(cluster for cluster, hosts in HOSTS.items() if host in hosts),
        "host": f"{host}.lab",
        "folder": folder,
        "power": power,
        "disks": [{"datastore": datastore, "size": gib * GIB} for datastore, gib in disks],
        "rdms": rdms or [],
    }


def main() -> None:
    """Print the world as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.world", description=main.__doc__)
    parser.add_argument("--vms", type=int, default=0, help="total number of virtual machines (never fewer than the named ones)")
    parser.add_argument("--disks", type=int, default=1, help="disks of each additional virtual machine")
    parser.add_argument(
        "--stores", type=int, default=0, help="additional datastores, each on a LUN of its own, for the additional machines"
    )
    options = parser.parse_args()
    json.dump(build(Size(options.vms, options.disks, options.stores)), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
