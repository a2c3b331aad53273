# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool: its database, and what its hosts see of the array; every call works on it under ``lock``."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from tests.lab.hyperv.fabric import Fabric
from tests.lab.xen.database import Database, Record
from tests.lab.xen.shapes import NULL, Stamp
from tests.lab.xen_world import scsi_id, vdi_uuid

VERSION = {
    "product_brand": "XCP-ng",
    "product_version": "8.3.0",
    "product_version_text": "8.3",
    "platform_name": "XCP",
    "platform_version": "3.4.0",
    "xapi": "24.19",
}
_ATTACH = ("VDI_ATTACH", "VDI_DETACH")
_LUNS = ("SR_PROBE", "VDI_CREATE", "VDI_DELETE", *_ATTACH, "VDI_INTRODUCE")
_VHD = ("SR_PROBE", "SR_UPDATE", "VDI_CREATE", "VDI_DELETE", *_ATTACH, "VDI_CLONE", "VDI_SNAPSHOT", "VDI_RESIZE")
SM_FEATURES: Mapping[str, tuple[str, ...]] = {
    "iscsi": _LUNS,
    "hba": _LUNS,
    "udev": ("VDI_INTRODUCE", *_ATTACH, "VDI_UPDATE", "SR_UPDATE"),
    **dict.fromkeys(("lvmoiscsi", "lvmohba", "ext", "nfs", "file"), _VHD),
}
"""What the storage manager says that its drivers can do."""
OFFERED = (*SM_FEATURES, "dummy", "iso", "lvm", "lvmofcoe", "shm", "smb")
"""The drivers that a pool has; of those beyond SM_FEATURES the lab knows the name only."""
VG_ROOM = 12 * 1024**2
"""What LVM keeps of a LUN for itself."""


def now() -> Stamp:
    """Return the present as XAPI writes it."""
    return Stamp(datetime.now(timezone.utc).strftime("%Y%m%dT%H:%M:%SZ"))


@dataclass(frozen=True)
class Unit:
    """A LUN as a host sees it over one transport."""

    naa: str
    number: int
    size: int
    serial: str
    vendor: str
    paths: int

    @property
    def scsi_id(self) -> str:
        """Return its SCSI id."""
        return scsi_id(self.naa)

    @property
    def uuid(self) -> str:
        """Return the UUID of the VDI that it is."""
        return vdi_uuid(self.naa)


Units = dict[str, Unit]


@dataclass(eq=False)
class Host:
    """A host of the pool, and what it sees."""

    name: str
    ref: str
    hbas: Sequence[Mapping[str, Any]]
    up: bool = True
    fibre: Units = field(default_factory=dict)
    """By SCSI id, since the last look at the Fibre Channel adapters."""
    iscsi: dict[str, Units] = field(default_factory=dict)
    """By target with which it has a session, then by SCSI id."""

    @property
    def wwpns(self) -> list[str]:
        """Return the names of its Fibre Channel ports."""
        return [hba["wwpn"] for hba in self.hbas if hba["kind"] == "fc"]

    def sees(self, wanted: str) -> Unit | None:
        """Return the LUN of this SCSI id, over whatever transport."""
        return next((units[wanted] for units in (self.fibre, *self.iscsi.values()) if wanted in units), None)


class Pool:
    """The database and the hosts."""

    def __init__(self, world: Mapping[str, Any], svms: Sequence[Mapping[str, Any]], fabric: Fabric, addresses: Mapping[str, str]) -> None:
        self.lock = threading.RLock()
        self.targets = {svm["iqn"]: list(svm["portals"]) for svm in svms}
        """Portals by iSCSI target."""
        self.fabric = fabric
        self.addresses = addresses
        self._world = world
        self.reset()

    def reset(self) -> None:
        """Go back to the world. Raises OSError when the array does not answer."""
        self.db = Database()
        self.sessions: dict[str, str] = {}
        """Names of who is logged in, by session."""
        self.guests: dict[str, str] = {}
        """How the guest of a VM answers when a disk shall go, where it does not agree."""
        self.volume_groups: dict[str, str] = {}
        """UUID of the SR whose volume group is on a LUN, by SCSI id."""
        self.chap: dict[str, tuple[str, str]] = {}
        """Name and secret that a target wants, where it wants any."""
        self.secrets: dict[str, str] = {}
        """Secrets by UUID, which no record tells."""
        self.names_on_luns: dict[str, tuple[str, str]] = {}
        """UUID of a repository on LVM → its name and description, as they were when a host last connected with it."""
        self.volumes: dict[str, dict[str, tuple[int, dict[str, str]]]] = {}
        """UUID of a repository on LVM → UUID of a volume that a client made → its size and ``sm_config``, on the LUN, forgotten or not."""
        self.hosts: dict[str, Host] = {}
        self._named: dict[str, str] = {}
        """VDIs by the names that the world gives them."""
        self._fill()

    @property
    def ref(self) -> str:
        """Return the pool object."""
        return self.db.refs("pool")[0]

    @property
    def master(self) -> Host:
        """Return the host that answers for the pool."""
        return self.host(self.db.get("pool", self.ref, "master"))

    @property
    def ha_enabled(self) -> bool:
        """Return whether high availability is on."""
        return bool(self.db.get("pool", self.ref, "ha_enabled"))

    def host(self, ref: str) -> Host:
        """Return a host by reference; raises Failure when there is none."""
        self.db.row("host", ref)
        return next(host for host in self.hosts.values() if host.ref == ref)

    def iqn(self, host: Host) -> str:
        """Return the initiator name of a host."""
        return str(self.db.get("host", host.ref, "iscsi_iqn"))

    def hidden(self, config: Mapping[str, str]) -> dict[str, str]:
        """Return a device configuration as a PBD keeps it: its passwords are secrets of the pool, named by UUID."""
        kept: dict[str, str] = {}
        for key, value in config.items():
            if key.endswith("password"):
                kept[f"{key}_secret"] = secret = str(uuid.uuid4())
                self.secrets[secret] = value
            else:
                kept[key] = value
        return kept

    # -- what hosts see

    def rescan_fibre(self, host: Host) -> None:
        """Let a host look at its Fibre Channel adapters. Raises OSError."""
        rows = self.fabric.presented(host.wwpns)
        host.fibre = self._kept(host, host.fibre) | _units(rows, lambda port: port["kind"] == "fc")

    def rescan_target(self, host: Host, target: str) -> None:
        """Let a host that has a session with a target look for its LUNs. Raises OSError."""
        rows = self.fabric.presented([self.iqn(host)])
        host.iscsi[target] = self._kept(host, host.iscsi.get(target, {})) | _units(rows, lambda port: port.get("iqn") == target)

    def _kept(self, host: Host, units: Units) -> Units:
        """Return the LUNs that a VM of the host uses: such a device stays, dead, when the array takes it away."""
        return {wanted: unit for wanted, unit in units.items() if self.attached(host, unit.uuid)}

    def attached(self, host: Host, wanted: str) -> bool:
        """Return whether a VM on the host uses the VDI of this UUID right now."""
        return any(
            row["currently_attached"] and self.db.row("VM", row["VM"])["resident_on"] == host.ref
            for vdi in self.db.find("VDI", uuid=wanted)
            for row in self.attachments(vdi)
        )

    def attachments(self, vdi: str) -> list[Record]:
        """Return the VBDs of a VDI."""
        return [self.db.row("VBD", vbd) for vbd in self.db.users("VDI", vdi, "VBDs")]

    # -- the world

    def _fill(self) -> None:
        world, db = self._world, self.db
        network = db.create("network", name_label="Pool-wide network associated with eth0", bridge="xenbr0", MTU=1500)
        for row in world["hosts"]:
            self._add_host(row, network)
        for kind, features in SM_FEATURES.items():
            abilities = {"capabilities": list(features), "features": dict.fromkeys(features, 1)}
            db.create("SM", name_label=kind, type=kind, vendor="lab", version="1.0", **abilities)
        pool = world["pool"]
        master = self.hosts[pool["master"]]
        db.create("pool", uuid=pool["uuid"], name_label=pool["name"], master=master.ref, ha_enabled=True, ha_plan_exists_for=1)
        srs = [(row, self._add_sr(row)) for row in world["srs"]]
        self._add_vdis(srs)
        for row in world["vms"]:
            self._add_vm(row)
        for row in world["vms"]:
            if parent := row.get("snapshot_of"):
                db.set("VM", db.by_uuid("VM", row["uuid"]), snapshot_of=db.find("VM", name_label=parent)[0], is_a_snapshot=True)
        for vm, record in db.rows("VM"):
            if record["is_control_domain"]:
                db.set("host", record["resident_on"], control_domain=vm)
        default = db.find("SR", type="lvmohba")[0]
        db.set("pool", self.ref, default_SR=default, suspend_image_SR=default, crash_dump_SR=default)

    def _add_host(self, row: Mapping[str, Any], network: str) -> None:
        name = row["name"]
        iqn = next(hba["iqn"] for hba in row["hbas"] if "iqn" in hba)
        metrics = self.db.create("host_metrics", live=True, memory_total=256 * 1024**3, memory_free=128 * 1024**3, last_updated=now())
        ref = self.db.create(
            "host",
            uuid=row["uuid"],
            name_label=name,
            hostname=name.partition(".")[0],
            address=self.addresses[name],
            enabled=True,
            iscsi_iqn=iqn,
            other_config={"iscsi_iqn": iqn, "multipathing": "false"},
            software_version=dict(VERSION),
            API_version_major=2,
            API_version_minor=21,
            API_version_vendor="XenSource",
            capabilities=["xen-3.0-x86_64", "hvm-3.0-x86_32", "hvm-3.0-x86_64"],
            metrics=metrics,
            edition="xcp-ng",
        )
        self.db.create(
            "PIF",
            device="eth0",
            network=network,
            host=ref,
            physical=True,
            management=True,
            currently_attached=True,
            IP=self.addresses[name],
        )
        self.hosts[name] = Host(name, ref, row["hbas"])

    def _add_sr(self, row: Mapping[str, Any]) -> str:
        hosts = [self.hosts[row["host"]]] if "host" in row else list(self.hosts.values())
        ref = self.db.create(
            "SR",
            uuid=row["uuid"],
            name_label=row["name"],
            type=row["type"],
            content_type="user",
            shared="host" not in row,
            sm_config=dict(row.get("sm_config", {})),
            physical_size=row.get("size", 0),
        )
        for host in hosts:
            self.db.create("PBD", host=host.ref, SR=ref, device_config=dict(row["device_config"]), currently_attached=True)
            self._connect(host, row)
        if row["type"].startswith("lvmo"):
            wanted = row["device_config"]["SCSIid"]
            self.volume_groups[wanted] = row["uuid"]
            self.names_on_luns[row["uuid"]] = (row["name"], "")
            unit = self.master.sees(wanted)
            self.db.set("SR", ref, physical_size=unit.size - VG_ROOM if unit else 0)
        return ref

    def _connect(self, host: Host, row: Mapping[str, Any]) -> None:
        """Let a host see what the SR stands on."""
        if row["type"] == "lvmohba":
            self.rescan_fibre(host)
        elif target := row["device_config"].get("targetIQN"):
            self.rescan_target(host, target)

    def _add_vdis(self, srs: Iterable[tuple[Mapping[str, Any], str]]) -> None:
        places: dict[str, str] = {}
        for row, ref in srs:
            places.setdefault(row["name"], ref)
            if row["type"] == "iscsi":
                for unit in self.master.iscsi[row["device_config"]["targetIQN"]].values():
                    self.add_lun(ref, unit, managed=True)
        uuids = {row["name"]: row["uuid"] for row in self._world["vdis"]}
        for row in self._world["vdis"]:
            parent = {"vhd-parent": uuids[row["parent"]]} if "parent" in row else {}
            self._named[row["name"]] = self.db.create(
                "VDI",
                uuid=row["uuid"],
                name_label=row["name"],
                SR=places[row["sr"]],
                location=row.get("location", row["uuid"]),
                virtual_size=row["size"],
                physical_utilisation=row["size"],
                type="user",
                managed=row.get("managed", True),
                sm_config={**row["sm_config"], **parent},
                snapshot_time=Stamp("20261101T10:00:00Z"),
            )
        for row in self._world["vdis"]:
            if original := row.get("snapshot_of"):
                self.db.set("VDI", self._named[row["name"]], snapshot_of=self._named[original], is_a_snapshot=True)
        statefile = self._world["pool"]["ha_statefile"]
        sizes = {"virtual_size": statefile["size"], "physical_utilisation": statefile["size"]}
        ref = self.db.create(
            "VDI",
            name_label="Statefile for HA",
            SR=places[statefile["sr"]],
            type="ha_statefile",
            managed=True,
            location="ha-statefile",
            sm_config={"vdi_type": "aio"},
            **sizes,
        )
        self.db.set("pool", self.ref, ha_statefiles=[ref])

    def add_lun(self, sr: str, unit: Unit, *, managed: bool) -> str:
        """Make a LUN a VDI of its own."""
        return self.db.create(
            "VDI",
            uuid=unit.uuid,
            location=unit.uuid,
            SR=sr,
            virtual_size=unit.size,
            physical_utilisation=unit.size,
            type="user",
            managed=managed,
            sm_config=lun_config(unit),
        )

    def _add_vm(self, row: Mapping[str, Any]) -> None:
        db, running = self.db, row["power"] == "Running"
        host = self.hosts[row["host"]].ref if row["host"] else NULL
        guest = NULL
        if row["drivers"]:
            guest = db.create(
                "VM_guest_metrics",
                os_version={"name": "Debian GNU/Linux 12 (bookworm)", "distro": "debian", "major": "12"},
                PV_drivers_version={"major": "7", "minor": "30", "micro": "0", "build": "1"},
                PV_drivers_up_to_date=True,
                PV_drivers_detected=True,
                can_use_hotplug_vbd="yes",
                live=True,
                last_updated=now(),
            )
        ref = db.create(
            "VM",
            uuid=row["uuid"],
            name_label=row["name"],
            power_state=row["power"],
            resident_on=host if running else NULL,
            affinity=host,
            is_a_template=row.get("template", False) or "snapshot_of" in row,
            is_default_template=row.get("template", False),
            is_control_domain=row.get("control_domain", False),
            guest_metrics=guest,
            metrics=db.create("VM_metrics", memory_actual=2 * 1024**3, VCPUs_number=2, last_updated=now()),
            ha_restart_priority=row["ha"],
            domain_type="pv" if row.get("control_domain") else "hvm",
            domid=len(db.refs("VM")) if running else -1,
            memory_static_max=2 * 1024**3,
            memory_dynamic_max=2 * 1024**3,
            VCPUs_max=2,
            VCPUs_at_startup=2,
            HVM_boot_policy="BIOS order",
        )
        for place, disk in enumerate(row["disks"]):
            self._add_vbd(ref, place, disk, attached=row["power"] in ("Running", "Suspended"))

    def _add_vbd(self, vm: str, place: int, disk: Mapping[str, Any], *, attached: bool) -> None:
        empty = "cd" in disk
        vdi = NULL if empty else self._vdi_of(disk)
        self.db.create(
            "VBD",
            VM=vm,
            VDI=vdi,
            userdevice=str(place),
            device=device_name(place) if attached else "",
            bootable=place == 0,
            mode="RO" if empty else "RW",
            type="CD" if empty else "Disk",
            unpluggable=True,
            empty=empty,
            currently_attached=attached,
            other_config=backend_kind(self.db.row("VDI", vdi)) if not empty else {},
        )

    def _vdi_of(self, disk: Mapping[str, Any]) -> str:
        if "lun" in disk:
            return self.db.by_uuid("VDI", vdi_uuid(disk["lun"]))
        return self._named[disk["vdi"]]


def lun_config(unit: Unit) -> dict[str, str]:
    """Return the ``sm_config`` of a LUN that is a VDI."""
    return {"LUNid": str(unit.number), "SCSIid": unit.scsi_id, "backend-kind": "vbd"}


def backend_kind(vdi: Record) -> dict[str, str]:
    """Return what a VBD takes over from its VDI."""
    return {"backend-kind": vdi["sm_config"]["backend-kind"]} if "backend-kind" in vdi["sm_config"] else {}


def device_name(place: int) -> str:
    """Return what a guest calls the disk in this place: xvda … xvdz, xvdaa …."""
    letters = ""
    number = place + 1
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return f"xvd{letters}"


def _units(rows: Iterable[Mapping[str, Any]], wanted: Any) -> Units:
    """Return the LUNs of the array's rows that are seen over wanted ports, one per LUN with the number of its paths."""
    found: Units = {}
    for row in rows:
        paths = sum(bool(wanted(port)) for port in row["ports"])
        if paths:
            identity = scsi_id(row["naa"])
            before = found[identity].paths if identity in found else 0
            found[identity] = Unit(row["naa"], row["lun"], row["size"], row["serial"], row["vendor"], before + paths)
    return found
