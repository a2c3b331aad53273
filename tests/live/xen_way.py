# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN of the lab's array on its way into a VM of its Xen pool and back, by the modules that users run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.lab import world, xen_world
from tests.live.lab import ARRAY, XEN, XenLab
from tests.live.modules import ModuleRunner, Result

SPARE = world.naa_at("/vol/vol_dev/spare")
LEDGER = world.naa_at(xen_world.lun_path("xen_ledger"))
TIMEOUT = 5.0
FC, ISCSI = "wwpn", "iqn"


@dataclass
class XenWay:
    """The lab's array and its pool, with the modules; `SPARE` belongs to nobody until `map_spare`."""

    xen: XenLab
    modules: ModuleRunner
    protocol: str = ISCSI

    def provision(self, **options: Any) -> dict[str, Any]:
        """Arguments that map the spare LUN to the pool, over the way's protocol."""
        ports = [hba for host in xen_world.HOSTS for hba in xen_world.hbas(host)]
        initiators = [hba[self.protocol] for hba in ports if self.protocol in hba]
        lun = {"svm": "svm_san", "volume": "vol_dev", "name": "spare", "igroup_os_type": "xen"}
        return {"array": self.xen.array, **lun, "initiators": initiators, "timeout": TIMEOUT, **options}

    def withdraw(self) -> dict[str, Any]:
        """Arguments that take the spare LUN's maps back, and leave the LUN."""
        connections = {"array": self.xen.array, "hypervisor": self.xen.hypervisor}
        return {**connections, "naa": SPARE, "state": "absent", "timeout": TIMEOUT}

    def disk(self, vm: str, naa: str = SPARE, **options: Any) -> dict[str, Any]:
        """Arguments that make a LUN a disk of a VM."""
        return {"hypervisor": self.xen.hypervisor, "vm": vm, "naa": naa, "timeout": TIMEOUT, "initialize": True, **options}

    def map_spare(self) -> None:
        """Let the array present the spare LUN to the pool."""
        self.modules.succeed("lun_provision", self.provision())

    def unmap_spare(self) -> None:
        """Let the array present it to nobody."""
        self.modules.succeed("lun_provision", self.withdraw())

    def attach(self, vm: str, naa: str = SPARE, *, check: bool = False, **options: Any) -> Result:
        """Make a LUN a disk of a VM."""
        return self.modules.succeed("ptd_attach", self.disk(vm, naa, **options), check=check)

    def detach(self, vm: str, naa: str = SPARE, *, check: bool = False, **options: Any) -> Result:
        """Take a LUN from a VM."""
        return self.modules.succeed("ptd_attach", self.disk(vm, naa, state="absent", **options), check=check)

    def refuse(self, vm: str, naa: str = SPARE, **options: Any) -> str:
        """The one sentence in which it is said why a LUN does not become a disk of a VM."""
        return self.modules.fail("ptd_attach", self.disk(vm, naa, **options))

    def state(self) -> dict[str, Any]:
        """What array and pool hold."""
        whole = self.xen.state()
        return {server: whole[server] for server in (ARRAY, XEN)}

    def slots(self, vm: str) -> list[str]:
        """What a VM has in its slots."""
        return list(self.state()[XEN]["vms"][vm]["slots"])
