# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool inside this process, for unit tests: its calls without a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.lab import world, xen_world
from tests.lab.hyperv.fabric import WorldFabric
from tests.lab.listener import Credentials
from tests.lab.xen.api import Api
from tests.lab.xen.errors import Failure
from tests.lab.xen.pool import Pool

USERNAME, PASSWORD = "root", "secret"
MASTER = f"{xen_world.HOSTS[0]}.{xen_world.DOMAIN}"


class Lab:
    """The pool over the default world, or a bigger one, with a session at its master."""

    def __init__(self, vms: int = 0, disks: int = 1) -> None:
        self.world = world.build(world.Size(vms, disks))
        part, array = self.world["xen"], self.world["array"]
        addresses = dict(zip((row["name"] for row in part["hosts"]), xen_world.LOOPBACK))
        self.fabric = WorldFabric(array)
        self.pool = Pool(part, array["svms"], self.fabric, addresses)
        self.apis = {name: Api(self.pool, name, Credentials(USERNAME, PASSWORD)) for name in addresses}
        self.session = ""
        self.log_in()

    def log_in(self) -> None:
        """Open the session of `call`, which ends when the pool goes back to the world."""
        self.session = self.apis[MASTER].call("session.login_with_password", [USERNAME, PASSWORD])

    def call(self, name: str, *parameters: Any) -> Any:
        """Return the result of a call of the session. Raises Failure."""
        return self.apis[MASTER].call(name, [self.session, *parameters])

    def refused(self, name: str, *parameters: Any) -> list[str]:
        """Return how a call of the session is refused, an empty list where it is not."""
        try:
            self.call(name, *parameters)
        except Failure as failure:
            return failure.description
        return []

    def map_lun(self, group: str, lun: str = "/vol/vol_dev/spare", number: int = 77) -> str:
        """Show a LUN to an initiator group; return its NAA name."""
        maps = self._maps(group)
        maps.append({"lun": lun, "id": number})
        return world.naa_at(lun)

    def map_far(self, lun: str) -> str:
        """Show a LUN of the second SVM, which has a target of its own, to the hosts over iSCSI; return its NAA name."""
        iqns = [hba["iqn"] for host in xen_world.HOSTS for hba in xen_world.hbas(host) if "iqn" in hba]
        group = {"name": "xen_far", "protocol": "iscsi", "os_type": xen_world.OS_TYPE, "initiators": iqns, "maps": [{"lun": lun, "id": 0}]}
        svm = self.world["array"]["svms"][1]
        svm["igroups"].append(group)
        return next(world.naa_of(row["serial"]) for volume in svm["volumes"] for row in volume["luns"] if lun.endswith(f"/{row['name']}"))

    def unmap_lun(self, group: str, lun: str = "/vol/vol_dev/spare") -> None:
        """Hide it again."""
        maps = self._maps(group)
        maps[:] = [row for row in maps if row["lun"] != lun]

    def _maps(self, group: str) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = self.world["array"]["svms"][0]["igroups"]
        found: list[dict[str, Any]] = next(row for row in groups if row["name"] == group)["maps"]
        return found

    # -- what tests look up

    def vm(self, name: str) -> str:
        """Return a VM by its name, which nobody else has."""
        (found,) = self.call("VM.get_by_name_label", name)
        return str(found)

    def sr(self, name: str) -> str:
        """Return the first repository of this name."""
        return str(self.call("SR.get_by_name_label", name)[0])

    def vdi(self, naa: str) -> str:
        """Return the VDI that a LUN is."""
        return str(self.call("VDI.get_by_uuid", xen_world.vdi_uuid(naa)))

    def host(self, name: str) -> str:
        """Return a host."""
        return self.pool.hosts[name].ref

    def drive(self, vm: str, vdi: str, **other: Any) -> dict[str, Any]:
        """Return the record of a new drive."""
        usual = {"userdevice": "autodetect", "bootable": False, "mode": "RW", "type": "Disk", "empty": False, "other_config": {}}
        return {"VM": self.vm(vm), "VDI": vdi, **usual, "qos_algorithm_type": "", "qos_algorithm_params": {}, **other}

    def give(self, vm: str, vdi: str, **other: Any) -> str:
        """Give a VM a drive and return it."""
        return str(self.call("VBD.create", self.drive(vm, vdi, **other)))

    def row(self, kind: str, ref: str) -> Mapping[str, Any]:
        """Return an object as a client reads it."""
        found: Mapping[str, Any] = self.call(f"{kind}.get_record", ref)
        return found
