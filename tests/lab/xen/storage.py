# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The storage manager: what each type of repository does with the LUNs that hosts see.

A driver refuses by ``sm_failure``; what it needs of XAPI's own rules has been looked at before it is called.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.dom.minidom import Document, Element

from tests.lab.xen.database import Record
from tests.lab.xen.errors import Failure, sm_failure
from tests.lab.xen.pool import SM_FEATURES, VG_ROOM, Host, Pool, Unit, Units, lun_config

Config = Mapping[str, str]
PORT = 3260
HIGHEST_PORT = 65535
MULTIPATHABLE = {"multipathable": "true"}
HEADER = 20 * 1024**2
"""About what LVM writes to a LUN that becomes a volume group."""
MIB = 1024**2
LARGEST = 2040 * 1024**3
"""Of every VDI on LVM, a raw one too."""
MANAGEMENT = 4 * MIB
"""The volume in which a repository on LVM keeps what it knows of its VDIs."""
FILES = ("ext", "nfs", "file")


@dataclass(frozen=True)
class Wish:
    """A VDI that shall be made."""

    size: int
    sm_config: Config


class Driver:
    """One repository, as one host works on it."""

    def __init__(self, pool: Pool, host: Host, config: Config, sr: str = "") -> None:
        self.pool = pool
        self.db = pool.db
        self.host = host
        self.config = config
        self.sr = sr
        self.check()

    def check(self) -> None:
        """Refuse a device configuration that cannot do."""

    def create(self) -> None:
        """Make the repository on its device."""
        raise Failure("NOT_IMPLEMENTED", f"the lab makes no SR of type {self.db.get('SR', self.sr, 'type')}")

    def attach(self) -> None:
        """Connect the host with it."""

    def detach(self) -> None:
        """Disconnect the host."""

    def destroy(self) -> None:
        """Remove it from its device."""

    def scan(self) -> None:
        """Bring the VDIs in line with what is there."""

    def probe(self, _sm_config: Config) -> str:
        """Return what could be made, or is there already, as XML."""
        raise Failure("SR_BACKEND_FAILURE_38", "", "The requested method is not supported/implemented", "")

    def vdi_create(self, wish: Wish) -> str:
        """Make a VDI and return it."""
        raise Failure("SR_OPERATION_NOT_SUPPORTED", self.sr)

    def refuse_size(self, size: int) -> None:
        """Refuse a size that no VDI of the repository can have."""

    def vdi_destroy(self, vdi: str) -> None:
        """Remove a VDI."""
        self.db.destroy("VDI", vdi)

    def vdi_introduce(self, _wanted: str, _location: str, _sm_config: Config) -> str:
        """Take up a VDI that is there, and return it."""
        raise Failure("SR_OPERATION_NOT_SUPPORTED", self.sr)

    def vdi_attach(self, vdi: Record) -> None:
        """Let the host open the VDI."""

    # -- for all drivers

    def free(self) -> int:
        """Return the bytes that no VDI takes."""
        taken = sum(self.db.row("VDI", vdi)["virtual_size"] for vdi in self.db.users("SR", self.sr, "VDIs"))
        return int(self.db.get("SR", self.sr, "physical_size") - taken)

    def add(self, size: int, sm_config: Config, *, location: str = "") -> str:
        """Add a managed VDI to the database."""
        if size > self.free():
            raise sm_failure("SRNoSpace")
        wanted = str(uuid.uuid4())
        return self.db.create(
            "VDI", uuid=wanted, location=location or wanted, SR=self.sr, virtual_size=size, physical_utilisation=size, type="user",
            managed=True, sm_config=dict(sm_config),
        )  # fmt: skip

    def configure(self, **values: str) -> None:
        """Add to the repository's ``sm_config``."""
        self.db.set("SR", self.sr, sm_config={**self.db.get("SR", self.sr, "sm_config"), **values})


class LunPerVdi(Driver):
    """A repository in which every LUN is a VDI."""

    managed = True
    """Whether VMs may use a VDI as soon as a scan has found it."""

    def units(self) -> Units:
        """Return what the host sees now, after a look at its adapters."""
        raise NotImplementedError

    def scan(self) -> None:
        """See Driver: new LUNs become VDIs, LUNs that have gone are forgotten, sizes follow."""
        units = {unit.uuid: unit for unit in self.units().values()}
        known = {self.db.row("VDI", vdi)["location"]: vdi for vdi in self.db.users("SR", self.sr, "VDIs")}
        for location, unit in units.items():
            if location in known:
                self.update(known[location], unit)
            else:
                self.introduce(unit, managed=self.managed)
        for location in known.keys() - units.keys():
            self.db.destroy("VDI", known[location])
        self._count(units.values())

    def introduce(self, unit: Unit, *, managed: bool) -> str:
        """Add a VDI; its UUID is the LUN's, which another repository may have given already."""
        if self.db.find("VDI", uuid=unit.uuid):
            raise sm_failure("SRScan", f'[\'INTERNAL_ERROR\', \'Db_exn.Uniqueness_constraint_violation("VDI", "uuid", "{unit.uuid}")\']')
        return self.pool.add_lun(self.sr, unit, managed=managed)

    def update(self, vdi: str, unit: Unit) -> None:
        """Bring a VDI in line with its LUN."""
        config = {**self.db.row("VDI", vdi)["sm_config"], **lun_config(unit)}
        self.db.set("VDI", vdi, virtual_size=unit.size, physical_utilisation=unit.size, sm_config=config)

    def vdi_create(self, wish: Wish) -> str:
        """See Driver: the smallest unmanaged LUN that is big enough, whichever it is."""
        units = {unit.uuid for unit in self.units().values()}
        rows = [(vdi, self.db.row("VDI", vdi)) for vdi in self.db.users("SR", self.sr, "VDIs")]
        fit = [
            (row["virtual_size"], vdi)
            for vdi, row in rows
            if not row["managed"] and row["virtual_size"] >= wish.size and row["uuid"] in units
        ]
        if not fit:
            raise sm_failure("SRNoSpace")
        chosen = min(fit, key=lambda pair: pair[0])[1]
        self.db.set("VDI", chosen, managed=True)
        return chosen

    def vdi_destroy(self, vdi: str) -> None:
        """See Driver: the LUN stays; XAPI forgets the record, and the next scan finds it again."""
        self.db.destroy("VDI", vdi)

    def vdi_attach(self, vdi: Record) -> None:
        """See Driver."""
        if vdi["uuid"] not in {unit.uuid for unit in self.units().values()}:
            raise sm_failure("VDIUnavailable")

    def _count(self, units: Any) -> None:
        whole = sum(unit.size for unit in units)
        self.db.set("SR", self.sr, physical_size=whole, physical_utilisation=whole, virtual_allocation=whole)


class Login:
    """The iSCSI part of a device configuration, and what a host does with it."""

    def __init__(self, pool: Pool, host: Host, config: Config) -> None:
        if not config.get("target"):
            raise sm_failure("ConfigTargetMissing")
        if not pool.iqn(host):
            raise sm_failure("ConfigISCSIIQNMissing")
        self.pool = pool
        self.host = host
        self.address = config["target"].partition(",")[0]
        port = config.get("port") or str(PORT)
        if not port.isdecimal() or not 1 <= int(port) <= HIGHEST_PORT:
            raise sm_failure("ISCSIPort")
        self.port = int(port)
        self.target = config.get("targetIQN", "")
        self.config = config

    def found(self) -> list[str]:
        """Return the targets behind the address."""
        targets = [iqn for iqn, portals in self.pool.targets.items() if self.address in portals]
        if not targets or self.port != PORT:
            raise sm_failure("ISCSITarget")
        return targets

    def open(self) -> None:
        """Log in, and look for LUNs."""
        if self.target not in self.found():
            raise sm_failure("ISCSIDiscovery", "check target settings")
        if self.target not in self.host.iscsi and not self._admitted():
            raise sm_failure("ISCSILogin", "code is 24")
        self.refresh()

    def _admitted(self) -> bool:
        """Return whether the target lets the host in; a session that it has is not asked for a secret again."""
        secret = self.config.get("chappassword_secret", "")
        password = self.pool.secrets.get(secret, "") if secret else self.config.get("chappassword", "")
        wanted = self.pool.chap.get(self.target)
        return wanted is None or wanted == (self.config.get("chapuser", ""), password)

    def refresh(self) -> None:
        """Look for LUNs."""
        try:
            self.pool.rescan_target(self.host, self.target)
        except OSError:
            raise sm_failure("ISCSITarget") from None

    def want_target(self) -> None:
        """Refuse a configuration without a target, and name those that there are."""
        if self.target:
            return
        document, root = _document("iscsi-target-iqns")
        rows = [(portal, iqn) for iqn in self.found() for portal in self.pool.targets[iqn]]
        for index, (portal, iqn) in enumerate([*rows, (self.address, "*")]):
            _children(document, root, "TGT", {"Index": index, "IPAddress": portal, "TargetIQN": iqn})
        raise sm_failure("ConfigTargetIQNMissing", stderr=document.toprettyxml())

    def close(self) -> None:
        """Log out, where no other repository needs the session."""
        others = [
            row
            for _pbd, row in self.pool.db.rows("PBD")
            if row["host"] == self.host.ref and row["currently_attached"] and row["device_config"].get("targetIQN") == self.target
        ]
        if len(others) <= 1:
            self.host.iscsi.pop(self.target, None)


class Iscsi(LunPerVdi):
    """Type ``iscsi``: every LUN of a target that the host sees."""

    def check(self) -> None:
        """See Driver."""
        self.login = Login(self.pool, self.host, self.config)
        self.login.want_target()

    def create(self) -> None:
        """See Driver: one repository for each target of the pool."""
        if any(row["sm_config"].get("targetIQN") == self.login.target for _ref, row in self.db.rows("SR")):
            raise sm_failure("SRInUse")
        self.login.open()
        for unit in self.host.iscsi[self.login.target].values():
            self.introduce(unit, managed=True)
        self.configure(disktype="Raw", datatype="ISCSI", target=self.login.address, targetIQN=self.login.target, **MULTIPATHABLE)

    def attach(self) -> None:
        """See Driver."""
        self.login.open()

    def detach(self) -> None:
        """See Driver."""
        self.login.close()

    def units(self) -> Units:
        """See LunPerVdi."""
        if self.login.target not in self.host.iscsi:
            raise sm_failure("SRUnavailable")
        self.login.refresh()
        return self.host.iscsi[self.login.target]

    def probe(self, _sm_config: Config) -> str:
        """See Driver: the pool's repositories of this target."""
        document, root = _document("SRlist")
        for _ref, row in self.db.rows("SR"):
            config = row["sm_config"]
            if config.get("targetIQN") == self.login.target:
                _children(document, root, "SR", {"UUID": row["uuid"], "Target": config["target"], "TargetIQN": config["targetIQN"]})
        return document.toprettyxml()

    def vdi_introduce(self, _wanted: str, _location: str, sm_config: Config) -> str:
        """See Driver: one LUN by its number; the UUID is the LUN's, whatever was asked for."""
        number = sm_config.get("LUNid", "")
        unit = next((unit for unit in self.units().values() if str(unit.number) == number), None)
        if unit is None:
            raise sm_failure("VDIUnavailable")
        known = self.db.find("VDI", uuid=unit.uuid)
        if not known:
            return self.introduce(unit, managed=True)
        self.db.set("VDI", known[0], managed=True)
        self.update(known[0], unit)
        return known[0]


class Hba(LunPerVdi):
    """Type ``hba``: every LUN that the host sees over Fibre Channel; VMs may use none of them before ``VDI.create`` has chosen it."""

    managed = False

    def create(self) -> None:
        """See Driver: one repository of the pool for each type of adapter."""
        kind = self.config.get("type") or "any"
        if any(row["sm_config"].get("datatype") == "HBA" and row["sm_config"]["hbatype"] == kind for _ref, row in self.db.rows("SR")):
            raise sm_failure("SRInUse")
        for unit in self.units().values():
            self.introduce(unit, managed=False)
        self.configure(disktype="Raw", datatype="HBA", hbatype=kind, **MULTIPATHABLE)

    def units(self) -> Units:
        """See LunPerVdi."""
        drivers = [hba["driver"] for hba in self.host.hbas if hba["kind"] == "fc"]
        kind = self.config.get("type") or "any"
        if not any(kind == "any" or driver.startswith(kind) for driver in drivers):
            raise sm_failure("InvalidDev", f"No such HBA Device detected [{kind}]")
        _look(self.pool, self.host)
        return self.host.fibre

    def probe(self, _sm_config: Config) -> str:
        """See Driver."""
        document, root = _document("SRlist")
        for _ref, row in self.db.rows("SR"):
            if row["sm_config"].get("datatype") == "HBA":
                _children(document, root, "SR", {"UUID": row["uuid"]})
        return document.toprettyxml()

    def vdi_introduce(self, _wanted: str, _location: str, _sm_config: Config) -> str:
        """See Driver: it never finds the LUN."""
        raise sm_failure("VDIUnavailable")


class Lvm(Driver):
    """A LUN that is one repository, thick, by LVM."""

    def seen(self) -> Unit | None:
        """Return the LUN as the host knows it."""
        raise NotImplementedError

    def create(self) -> None:
        """See Driver."""
        unit = self.seen()
        wanted = self.config["SCSIid"]
        if self.in_use(wanted):
            raise sm_failure("SRInUse")
        if unit is None:
            raise sm_failure("InvalidDev", f"Device /dev/disk/by-id/scsi-{wanted} does not exist")
        self.pool.volume_groups[wanted] = self.db.get("SR", self.sr, "uuid")
        self.db.set("SR", self.sr, physical_size=unit.size - VG_ROOM, physical_utilisation=MANAGEMENT)
        self.configure(use_vhd="true", devserial=f"scsi-{wanted}")
        self.pool.fabric.write(unit.naa, HEADER)

    def in_use(self, wanted: str) -> bool:
        """Return whether another repository stands on the LUN."""
        return in_use(self.pool, wanted, besides=self.sr)

    def attach(self) -> None:
        """See Driver."""
        unit = self.seen()
        if unit is None:
            raise sm_failure("SRUnavailable", "no such volume group")
        if self.pool.volume_groups.get(self.config["SCSIid"]) != self.db.get("SR", self.sr, "uuid"):
            raise sm_failure("SRUnavailable", f"no such volume group: VG_XenStorage-{self.db.get('SR', self.sr, 'uuid')}")
        self.configure(allocation="thick", **MULTIPATHABLE)
        row = self.db.row("SR", self.sr)
        self.pool.names_on_luns[row["uuid"]] = (row["name_label"], row["name_description"])

    def destroy(self) -> None:
        """See Driver."""
        if self.db.users("SR", self.sr, "VDIs"):
            raise sm_failure("SRNotEmpty")
        self.pool.volume_groups.pop(self.config["SCSIid"], None)

    def scan(self) -> None:
        """See Driver."""
        unit = self.seen()
        if unit is None:
            raise sm_failure("SRUnavailable", "no such volume group")
        self._find_volumes()
        used = sum(self.db.row("VDI", vdi)["virtual_size"] for vdi in self.db.users("SR", self.sr, "VDIs"))
        taken = used + MANAGEMENT
        self.db.set("SR", self.sr, physical_size=unit.size - VG_ROOM, physical_utilisation=taken, virtual_allocation=used)

    def probe(self, sm_config: Config) -> str:
        """See Driver: the repository that is on the LUN, with its names if ``metadata`` asks for them."""
        document, root = _document("SRlist")
        unit, found = self.seen(), self.pool.volume_groups.get(self.config["SCSIid"])
        if unit and found:
            device = f"/dev/disk/by-id/scsi-{unit.scsi_id}"
            label, description = self.pool.names_on_luns.get(found, ("", ""))
            names = {"name_label": label, "name_description": description, "pool_metadata_detected": "false"}
            told = names if sm_config.get("metadata") == "true" else {}
            _children(document, root, "SR", {"UUID": found, "Devlist": device, "size": unit.size - VG_ROOM, **told})
        return document.toprettyxml()

    def free(self) -> int:
        """See Driver."""
        return super().free() - MANAGEMENT

    def refuse_size(self, size: int) -> None:
        """See Driver."""
        if size > LARGEST:
            raise sm_failure("VDISize", f"VDI size must be between 1 MB and {LARGEST // MIB} MB")

    def vdi_create(self, wish: Wish) -> str:
        """See Driver: a raw logical volume where ``type`` asks for one, else a VHD."""
        kind = wish.sm_config.get("type", "vhd")
        if kind not in ("raw", "vhd"):
            raise sm_failure("VDICreate", "bad type")
        self.refuse_size(wish.size)
        extents = -(-wish.size // (4 * MIB)) * 4 * MIB
        made = self.add(extents if kind == "raw" else wish.size, {**wish.sm_config, "vdi_type": "aio" if kind == "raw" else "vhd"})
        row = self.db.row("VDI", made)
        self._volumes[row["uuid"]] = (row["virtual_size"], {"vdi_type": row["sm_config"]["vdi_type"]})
        return made

    def vdi_destroy(self, vdi: str) -> None:
        """See Driver."""
        self._volumes.pop(self.db.get("VDI", vdi, "uuid"), None)
        super().vdi_destroy(vdi)

    @property
    def _volumes(self) -> dict[str, tuple[int, dict[str, str]]]:
        return self.pool.volumes.setdefault(self.db.get("SR", self.sr, "uuid"), {})

    def _find_volumes(self) -> None:
        """Take up the volumes that are on the LUN and not in the database, as after the repository was forgotten."""
        for wanted, (size, sm_config) in self._volumes.items():
            if not self.db.find("VDI", uuid=wanted):
                self.db.create(
                    "VDI", uuid=wanted, location=wanted, SR=self.sr, virtual_size=size, physical_utilisation=size, type="user",
                    managed=True, sm_config=dict(sm_config),
                )  # fmt: skip


class LvmOverFibre(Lvm):
    """Type ``lvmohba``."""

    def check(self) -> None:
        """See Driver: without a LUN, name those that there are, after a look at the adapters."""
        if not self.config.get("SCSIid"):
            _look(self.pool, self.host)
            raise sm_failure("ConfigSCSIid", stderr=devices(self.pool, self.host))

    def seen(self) -> Unit | None:
        """See Lvm: no look at the adapters before the repository exists."""
        return self.host.fibre.get(self.config["SCSIid"])

    def attach(self) -> None:
        """See Driver."""
        if self.seen() is None:
            _look(self.pool, self.host)
        super().attach()


class LvmOverIscsi(Lvm):
    """Type ``lvmoiscsi``."""

    def check(self) -> None:
        """See Driver: without a LUN, name those that there are."""
        self.login = Login(self.pool, self.host, self.config)
        self.login.want_target()
        if self.config.get("SCSIid"):
            return
        self.login.open()
        document, root = _document("iscsi-target")
        for unit in self.host.iscsi[self.login.target].values():
            values = {"vendor": unit.vendor, "serial": unit.serial, "LUNid": unit.number, "size": unit.size, "SCSIid": unit.scsi_id}
            _children(document, root, "LUN", values)
        raise sm_failure("ConfigSCSIid", stderr=document.toprettyxml())

    def seen(self) -> Unit | None:
        """See Lvm."""
        self.login.open()
        return self.host.iscsi[self.login.target].get(self.config["SCSIid"])

    def create(self) -> None:
        """See Driver: whatever fails is told as one error."""
        if self.in_use(self.config["SCSIid"]):
            raise sm_failure("SRInUse")
        if self.seen() is None:
            raise sm_failure("SRUnavailable", "ISCSI device failed to appear")
        super().create()

    def detach(self) -> None:
        """See Driver."""
        self.login.close()


class Udev(Driver):
    """Type ``udev``: block devices of one host by their names."""

    def check(self) -> None:
        """See Driver."""
        if "location" not in self.config:
            raise sm_failure("ConfigLocationMissing")

    def create(self) -> None:
        """See Driver."""

    def scan(self) -> None:
        """See Driver: whatever is no file of its directory is forgotten, in use or not; the lab has no such files."""
        for vdi in self.db.users("SR", self.sr, "VDIs"):
            self.db.destroy("VDI", vdi)

    def vdi_introduce(self, wanted: str, location: str, sm_config: Config) -> str:
        """See Driver: any path is taken; what is not there has no size."""
        unit = self._unit(location)
        size = unit.size if unit else 0
        known = [vdi for vdi in self.db.users("SR", self.sr, "VDIs") if self.db.row("VDI", vdi)["location"] == location]
        if known:
            return known[0]
        return self.db.create(
            "VDI", uuid=wanted, location=location, SR=self.sr, virtual_size=size, physical_utilisation=size, type="user", managed=True,
            sm_config=dict(sm_config),
        )  # fmt: skip

    def vdi_attach(self, vdi: Record) -> None:
        """See Driver."""
        if self._unit(vdi["location"]) is None:
            raise sm_failure("VDIUnavailable")

    def _unit(self, location: str) -> Unit | None:
        return self.host.sees(location.rpartition("/")[2].removeprefix("scsi-"))


class Files(Driver):
    """Types ``ext``, ``nfs`` and ``file``: VHD files."""

    def vdi_create(self, wish: Wish) -> str:
        """See Driver."""
        return self.add(wish.size, {**wish.sm_config, "vdi_type": "vhd"})


DRIVERS: Mapping[str, type[Driver]] = {
    "iscsi": Iscsi,
    "hba": Hba,
    "lvmohba": LvmOverFibre,
    "lvmoiscsi": LvmOverIscsi,
    "udev": Udev,
    **dict.fromkeys(FILES, Files),
}


def driver(pool: Pool, kind: str, host: Host, config: Config, sr: str = "") -> Driver:
    """Return the driver of a repository type for one host; raises Failure for a device configuration that cannot do."""
    if kind not in SM_FEATURES:
        raise Failure("NOT_IMPLEMENTED", f"the lab does not play SRs of type {kind}")
    return DRIVERS[kind](pool, host, config, sr)


def in_use(pool: Pool, wanted: str, besides: str = "") -> bool:
    """Return whether a repository of the pool stands on the LUN of this SCSI id."""
    for _ref, row in pool.db.rows("PBD"):
        config = pool.db.row("SR", row["SR"])["sm_config"]
        if row["SR"] != besides and (wanted in (row["device_config"].get("SCSIid"), config.get("SCSIid")) or f"scsi-{wanted}" in config):
            return True
    return False


def devices(pool: Pool, host: Host) -> str:
    """Return the answer of a probe of Fibre Channel: LUNs that no repository uses, and adapters."""
    document, root = _document("Devlist")
    ports = [hba for hba in host.hbas if hba["kind"] == "fc"]
    for index, unit in enumerate(unit for unit in host.fibre.values() if not in_use(pool, unit.scsi_id)):
        values = {
            "path": f"/dev/sd{chr(ord('b') + index % 25)}", "numpaths": unit.paths, "SCSIid": unit.scsi_id, "vendor": unit.vendor,
            "serial": unit.serial, "size": unit.size, "adapter": 1, "channel": 0, "id": 0, "lun": unit.number, "hba": ports[0]["driver"],
        }  # fmt: skip
        _children(document, root, "BlockDevice", values)
    for number, hba in enumerate(ports, start=1):
        adapter = _children(
            document, root, "Adapter", {"host": f"host{number}", "name": hba["driver"], "manufacturer": "QLogic", "id": number}
        )
        values = {
            "node_name": _sysfs(hba["wwnn"]),
            "port_name": _sysfs(hba["wwpn"]),
            "port_state": hba["status"],
            "speed": hba["speed"],
            "supported_speeds": hba["supported_speeds"],
        }
        _children(document, adapter, "fc_host", values)
    return document.toprettyxml()


def _look(pool: Pool, host: Host) -> None:
    """Look at the Fibre Channel adapters; without the array nothing is found."""
    try:
        pool.rescan_fibre(host)
    except OSError:
        host.fibre = {}


def _sysfs(name: str) -> str:
    return "0x" + name.replace(":", "")


def _document(root: str) -> tuple[Document, Element]:
    document = Document()
    element = document.createElement(root)
    document.appendChild(element)
    return document, element


def _children(document: Document, parent: Element, name: str, values: Mapping[str, object]) -> Element:
    """Append an element with one child for each value, and return it."""
    element = document.createElement(name)
    parent.appendChild(element)
    for key, value in values.items():
        child = document.createElement(key)
        child.appendChild(document.createTextNode(str(value)))
        element.appendChild(child)
    return element
