# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool at the level of XAPI's calls, for unit tests: records as dictionaries, and the storage drivers' answers.

Strict where the code depends on it: a VDI of a raw iSCSI repository appears only by a scan, a place is taken only once, a repository with
plugged PBDs is not forgotten. Each call is noted, and can be made to fail.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import NULL, XapiFailure

LUN = ScsiName("600a098038304c61622d616161616131")
OTHER = ScsiName("600a098038304c61622d616161616132")
SIZE = 1 << 30
TARGET = {"target": "192.0.2.11", "targetIQN": "iqn.1992-08.com.netapp:sn.1:vs.3"}
LOCAL = {"device": "/dev/disk/by-id/ata-Disk_1-part3"}
"""What the PBD of a host's own storage names."""


class Pool:
    """Two hosts, a VM that runs and one that is off, a raw iSCSI repository; LUNs appear where the test puts them.

    `connection` and the methods are those of `wire.xapi.XapiSession`.
    """

    def __init__(self) -> None:
        self.connection = Connection(role="hypervisor", type="xen", hostname="xen1.example.com", username="root", password="secret")
        self.calls: list[str] = []
        self.closed = False
        self.fail: dict[str, CrossvisorError] = {}
        """Method → what its next call raises."""
        self.after: dict[str, Callable[[], None]] = {}
        """Method → what somebody else does once it was called."""
        self.iscsi_luns: dict[str, dict[ScsiName, int]] = {}
        """Host reference → LUN → size, as the target shows them."""
        self.fc_luns: dict[str, dict[ScsiName, int]] = {}
        self.carried: dict[ScsiName, list[str]] = {}
        """LUN → UUIDs of the repositories that it carries."""
        self.written: dict[str, tuple[str, str]] = {}
        """UUID of a repository → its name and description, as the driver writes them to the LUN when a host connects with it."""
        self.volumes: dict[str, dict[str, Any]] = {}
        """UUID of a repository → the volume on it, while the pool has forgotten it."""
        self.supported = ["ext", "iscsi", "lvmohba", "lvmoiscsi", "nfs"]
        self._numbers = itertools.count(1)
        self.db: dict[str, dict[str, dict[str, Any]]] = {
            kind: {} for kind in ("pool", "host", "host_metrics", "VM", "VBD", "VDI", "SR", "PBD")
        }
        hosts = [self.add_host("xen1"), self.add_host("xen2")]
        self.master, self.second = hosts
        self.add("pool", name_label="lab", master=self.master, ha_statefiles=[], ha_enabled=False)
        self.vm = self.add_vm("app01", "Running")
        self.off = self.add_vm("app02", "Halted")

    # what a test makes

    def add(self, kind: str, **fields: Any) -> str:
        number = next(self._numbers)
        ref = f"OpaqueRef:{kind}-{number}"
        self.db[kind][ref] = {"uuid": f"00000000-0000-4000-8000-{number:012}", **fields}
        return ref

    def add_host(self, name: str, enabled: bool = True, live: bool = True) -> str:
        metrics = self.add("host_metrics", live=live)
        ref = self.add(
            "host",
            name_label=name,
            hostname=name,
            enabled=enabled,
            metrics=metrics,
            iscsi_iqn=f"iqn.2026-11.com.example:{name}",
            other_config={},
            software_version={"product_brand": "XenServer", "product_version": "8.4.0"},
        )
        self.iscsi_luns[ref], self.fc_luns[ref] = {}, {}
        return ref

    def add_vm(self, name: str, power: str, **fields: Any) -> str:
        running = power == "Running"
        defaults = {
            "name_label": name,
            "power_state": power,
            "resident_on": self.master if running else NULL,
            "affinity": NULL,
            "is_a_template": False,
            "is_a_snapshot": False,
            "is_control_domain": False,
            "VBDs": [],
        }
        return self.add("VM", **{**defaults, **fields})

    def add_sr(self, kind: str, config: dict[str, str], name: str = "", hosts: tuple[str, ...] | None = None, **fields: Any) -> str:
        defaults = {
            "name_label": name or kind,
            "name_description": "",
            "type": kind,
            "physical_size": str(SIZE),
            "physical_utilisation": str(4 << 20),
            "shared": True,
            "VDIs": [],
            "PBDs": [],
            "sm_config": {},
            "other_config": {},
        }
        ref = self.add("SR", **{**defaults, **fields})
        for host in hosts if hosts is not None else tuple(self.db["host"]):
            self.add_pbd(ref, host, config)
        return ref

    def add_pbd(self, sr: str, host: str, config: dict[str, str], attached: bool = True) -> str:
        pbd = self.add("PBD", SR=sr, host=host, device_config=dict(config), currently_attached=attached)
        self.db["SR"][sr]["PBDs"].append(pbd)
        return pbd

    def add_vdi(self, sr: str, size: int = SIZE, **fields: Any) -> str:
        defaults = {
            "SR": sr,
            "name_label": "",
            "name_description": "",
            "location": f"disk-{next(self._numbers)}",
            "virtual_size": str(size),
            "sharable": False,
            "managed": True,
            "missing": False,
            "sm_config": {},
            "type": "user",
            "read_only": False,
            "other_config": {},
            "xenstore_data": {},
            "physical_utilisation": "0",
            "VBDs": [],
        }
        ref = self.add("VDI", **{**defaults, **fields})
        self.db["SR"][sr]["VDIs"].append(ref)
        return ref

    def add_vbd(self, vm: str, vdi: str, device: str = "0", attached: bool = False, **fields: Any) -> str:
        defaults = {"VM": vm, "VDI": vdi, "userdevice": device, "type": "Disk", "currently_attached": attached, "other_config": {}}
        ref = self.add("VBD", **{**defaults, **fields})
        self.db["VM"][vm]["VBDs"].append(ref)
        if vdi in self.db["VDI"]:
            self.db["VDI"][vdi]["VBDs"].append(ref)
        return ref

    def add_raw_iscsi(self) -> str:
        return self.add_sr("iscsi", TARGET, name="san")

    def map_iscsi(self, name: ScsiName = LUN, size: int = SIZE) -> None:
        for host in self.iscsi_luns:
            self.iscsi_luns[host][name] = size

    def map_fc(self, name: ScsiName = LUN, size: int = SIZE) -> None:
        for host in self.fc_luns:
            self.fc_luns[host][name] = size

    def vbds(self, vm: str) -> list[dict[str, Any]]:
        return [self.db["VBD"][ref] for ref in self.db["VM"][vm]["VBDs"]]

    @property
    def changes(self) -> list[str]:
        """The methods called that change something."""
        return [call for call in self.calls if "get_" not in call and call not in ("SR.probe", "SR.scan")]

    # what the code calls

    @property
    def address(self) -> str:
        return "xen1.example.com"

    def records(self, kind: str) -> Any:
        return self.read(f"{kind}.get_all_records")

    def read(self, method: str, *arguments: Any, timeout: float | None = None) -> Any:
        return self._call(method, arguments)

    def change(self, method: str, *arguments: Any, timeout: float) -> Any:
        return self._call(method, arguments)

    def close(self) -> None:
        self.closed = True

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        result: Any
        self.calls.append(method)
        if method in self.fail:
            raise self.fail.pop(method)
        kind, _dot, verb = method.partition(".")
        if verb == "get_all_records":
            result = {ref: {field: copy.copy(value) for field, value in record.items()} for ref, record in self.db[kind].items()}
        else:
            result = getattr(self, f"_{kind}_{verb}")(*arguments)
        if method in self.after:
            self.after.pop(method)()
        return result

    def _SR_get_supported_types(self) -> list[str]:  # noqa: N802
        return list(self.supported)

    def _VM_get_allowed_VBD_devices(self, vm: str) -> list[str]:  # noqa: N802
        taken = {vbd["userdevice"] for vbd in self.vbds(vm)}
        return [str(number) for number in range(16) if str(number) not in taken]

    def _SR_probe(self, host: str, config: dict[str, str], kind: str, sm_config: dict[str, str]) -> str:  # noqa: N802
        wanted = ScsiName.try_parse(config.get("SCSIid", ""))
        if wanted:
            assert sm_config == {"metadata": "true"}, "without it, nobody's name is told"
            found = "".join(self._carried(uuid) for uuid in self.carried.get(wanted, ()))
            return f"<?xml version='1.0'?><SRlist>{found}</SRlist>"
        raise failure("SR_BACKEND_FAILURE_107", "", "The SCSIid parameter is missing or incorrect", self._listing(host, kind))

    def _carried(self, uuid: str) -> str:
        label, description = self.written.get(uuid, ("", ""))
        names = f"<name_label>{escape(label)}</name_label><name_description>{escape(description)}</name_description>"
        return f"<SR><UUID>{uuid}</UUID>{names}</SR>"

    def _listing(self, host: str, kind: str) -> str:
        in_use = {name for pbd in self.db["PBD"].values() for name in repositories.names(pbd["device_config"])}
        if kind == "lvmoiscsi":
            rows = [self._row("LUN", name, size, "LUNid") for name, size in self.iscsi_luns[host].items()]
            return f"<?xml version='1.0' ?><iscsi-target>{''.join(rows)}</iscsi-target>"
        rows = [self._row("BlockDevice", name, size, "lun") for name, size in self.fc_luns[host].items() if name not in in_use]
        wwpn = f"0x100000000000000{list(self.fc_luns).index(host) + 1}"
        names = f"<node_name>{wwpn}</node_name><port_name>{wwpn}</port_name>"
        port = f"<fc_host>{names}<port_state>Online</port_state><speed>16 Gbit</speed></fc_host>"
        adapter = f"<Adapter><host>host3</host><name>qla2xxx</name><manufacturer>QLogic</manufacturer><id>3</id>{port}</Adapter>"
        return f"<?xml version='1.0' ?><Devlist>{''.join(rows)}{adapter}</Devlist>"

    @staticmethod
    def _row(tag: str, name: ScsiName, size: int, number: str) -> str:
        inner = f"<SCSIid>\n\t{escape(name.xapi)}\n</SCSIid><size>{size}</size><{number}>0</{number}>"
        return f"<{tag}>{inner}<adapter>3</adapter><vendor>NETAPP</vendor><path>/dev/sdb</path></{tag}>"

    def _SR_scan(self, ref: str) -> None:  # noqa: N802
        sr = self.db["SR"][ref]
        if sr["type"] != "iscsi":
            self._bring_back(ref, sr)
            return
        shown = self.iscsi_luns[self.master]
        for vdi in list(sr["VDIs"]):
            name = ScsiName.try_parse(self.db["VDI"][vdi]["sm_config"].get("SCSIid", ""))
            if name not in shown:
                self._VDI_forget(vdi)
            elif name:
                self.db["VDI"][vdi]["virtual_size"] = str(shown[name])
        there = {self.db["VDI"][vdi]["sm_config"].get("SCSIid") for vdi in sr["VDIs"]}
        for name, size in shown.items():
            if name.xapi not in there:
                vdi = self.add_vdi(ref, size, sm_config={"SCSIid": name.xapi, "LUNid": "0", "backend-kind": "vbd"})
                self.db["VDI"][vdi]["uuid"] = repositories.vdi_uuid(name)

    def _bring_back(self, ref: str, sr: dict[str, Any]) -> None:
        volume = self.volumes.pop(sr["uuid"], None)
        if volume:
            self.add_vdi(ref, **{key: volume[key] for key in ("name_label", "name_description", "sm_config", "virtual_size")})

    def _SR_create(  # noqa: N802
        self, host: str, config: dict[str, str], size: str, name: str, about: str, kind: str, content: str, shared: bool, sm: dict[str, str]
    ) -> str:
        assert (size, content, shared, sm) == ("0", "", True, {}), "what sm wants"
        assert host == self.master
        ref = self.add_sr(kind, config, name=name, name_description=about)
        lun = ScsiName.try_parse(config["SCSIid"])
        assert lun is not None
        self.carried[lun] = [self.db["SR"][ref]["uuid"]]
        self._write(ref)
        return ref

    def _SR_introduce(self, uuid: str, name: str, about: str, kind: str, content: str, shared: bool, sm: dict[str, str]) -> str:  # noqa: N802
        ref = self.add_sr(kind, {}, name=name, hosts=(), name_description=about)
        self.db["SR"][ref]["uuid"] = uuid
        return ref

    def _PBD_create(self, record: dict[str, Any]) -> str:  # noqa: N802
        return self.add_pbd(record["SR"], record["host"], record["device_config"], attached=False)

    def _PBD_plug(self, ref: str) -> None:  # noqa: N802
        pbd = self.db["PBD"][ref]
        if not self.db["host_metrics"][self.db["host"][pbd["host"]]["metrics"]]["live"]:
            raise failure("HOST_OFFLINE", pbd["host"])
        pbd["currently_attached"] = True
        self._write(pbd["SR"])

    def _write(self, ref: str) -> None:
        sr = self.db["SR"][ref]
        self.written[sr["uuid"]] = (sr["name_label"], sr["name_description"])

    def _PBD_unplug(self, ref: str) -> None:  # noqa: N802
        self.db["PBD"][ref]["currently_attached"] = False

    def _SR_forget(self, ref: str) -> None:  # noqa: N802
        sr = self.db["SR"][ref]
        if any(self.db["PBD"][pbd]["currently_attached"] for pbd in sr["PBDs"]):
            raise failure("SR_HAS_PBD", ref)
        for vdi in list(sr["VDIs"]):
            self.volumes[sr["uuid"]] = self.db["VDI"].pop(vdi)
        for pbd in sr["PBDs"]:
            del self.db["PBD"][pbd]
        del self.db["SR"][ref]

    def _SR_destroy(self, ref: str) -> None:  # noqa: N802
        assert not self.db["SR"][ref]["VDIs"], "a repository with VDIs is not destroyed"
        uuid = self.db["SR"][ref]["uuid"]
        self._SR_forget(ref)
        self.carried = {name: [other for other in uuids if other != uuid] for name, uuids in self.carried.items()}

    def _VDI_create(self, record: dict[str, Any]) -> str:  # noqa: N802
        fields = {key: record[key] for key in ("name_label", "name_description", "sm_config", "sharable", "virtual_size", "other_config")}
        return self.add_vdi(record["SR"], **fields)

    def _VDI_destroy(self, ref: str) -> None:  # noqa: N802
        self._VDI_forget(ref)

    def _VDI_forget(self, ref: str) -> None:  # noqa: N802
        vdi = self.db["VDI"].pop(ref)
        self.db["SR"][vdi["SR"]]["VDIs"].remove(ref)

    def _VDI_introduce(self, uuid: str, *values: Any) -> str:  # noqa: N802
        _name, _about, sr, kind, sharable, _read_only, _other, location, _xenstore, sm_config, managed, _size, *_rest = values
        ref, vdi = next((ref, vdi) for ref, vdi in self.db["VDI"].items() if vdi["uuid"] == uuid)
        assert (vdi["SR"], vdi["location"], vdi["sm_config"]["LUNid"], managed, kind) == (sr, location, sm_config["LUNid"], True, "user")
        vdi["sharable"] = sharable
        return ref

    def _VBD_create(self, record: dict[str, Any]) -> str:  # noqa: N802
        if record["userdevice"] in {vbd["userdevice"] for vbd in self.vbds(record["VM"])}:
            raise failure("DEVICE_ALREADY_EXISTS", record["userdevice"])
        assert (record["mode"], record["type"], record["empty"]) == ("RW", "Disk", False)
        return self.add_vbd(record["VM"], record["VDI"], record["userdevice"], other_config=record["other_config"])

    def _VBD_plug(self, ref: str) -> None:  # noqa: N802
        vbd = self.db["VBD"][ref]
        if self.db["VM"][vbd["VM"]]["power_state"] != "Running":
            raise failure("VM_BAD_POWER_STATE", vbd["VM"], "running", "halted")
        vbd["currently_attached"] = True

    def _VBD_unplug(self, ref: str) -> None:  # noqa: N802
        self.db["VBD"][ref]["currently_attached"] = False

    def _VBD_destroy(self, ref: str) -> None:  # noqa: N802
        vbd = self.db["VBD"][ref]
        if vbd["currently_attached"]:
            raise failure("OPERATION_NOT_ALLOWED", "VBD is currently attached")
        del self.db["VBD"][ref]
        self.db["VM"][vbd["VM"]]["VBDs"].remove(ref)
        self.db["VDI"][vbd["VDI"]]["VBDs"].remove(ref)


def failure(code: str, *details: str) -> XapiFailure:
    """An error of XAPI's, as the session raises it."""
    shown = [word for word in details if word and "<" not in word and not word.startswith("OpaqueRef:")]
    return XapiFailure(f"{code} ({', '.join(shown)})" if shown else code, code, details)
