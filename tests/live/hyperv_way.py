# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN of the lab's array on its way into a VM of its single Hyper-V host and back, by the modules that users run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes, host_lun, rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import cim_job, wql
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_login import open_client
from tests.lab import hyperv_world, world
from tests.live.lab import ARRAY, WINDOWS, WindowsLab
from tests.live.modules import ModuleRunner, Result

HOST = "hv01.lab"
SERVER = WINDOWS[0]
SPARE = world.naa_at("/vol/vol_dev/spare")
RAW = world.naa_at(hyperv_world.lun_path("hv01_raw"))
DATA = world.naa_at(hyperv_world.lun_path("hv01_data"))
TIMEOUT = 5.0
SAVED = 6
"""RequestedState that saves a VM."""


@dataclass
class HyperVWay:
    """The lab's array and hv01, with the modules; `SPARE` belongs to nobody until `map_spare`."""

    windows: WindowsLab
    modules: ModuleRunner

    def provision(self, **options: Any) -> dict[str, Any]:
        """Arguments that map the spare LUN to hv01."""
        lun = {"svm": "svm_san", "volume": "vol_dev", "name": "spare", "igroup_os_type": "hyper_v"}
        return {"array": self.windows.array, **lun, "initiators": hyperv_world.initiators(["hv01"]), "timeout": TIMEOUT, **options}

    def withdraw(self) -> dict[str, Any]:
        """Arguments that take the spare LUN's maps back, and leave the LUN."""
        connections = {"array": self.windows.array, "hypervisor": self.windows.hypervisor}
        return {**connections, "naa": SPARE, "state": "absent", "timeout": TIMEOUT}

    def disk(self, vm: str, naa: str = SPARE, **options: Any) -> dict[str, Any]:
        """Arguments that make a LUN a disk of a VM."""
        return {"hypervisor": self.windows.hypervisor, "vm": vm, "naa": naa, "timeout": TIMEOUT, **options}

    def map_spare(self) -> None:
        """Let the array present the spare LUN to hv01."""
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

    def state(self) -> dict[str, Any]:
        """What array and Windows machines hold."""
        whole = self.windows.state()
        return {server: whole[server] for server in (ARRAY, SERVER)}

    def slots(self, vm: str) -> list[str]:
        """What a VM has in its slots, such as `scsi0:01 raw 600a…`."""
        return list(self.state()[SERVER]["vms"][vm]["slots"])

    def login(self) -> CimClient:
        """An administrator's session with hv01."""
        to = self.windows.hypervisor
        endpoint = {name: to[name] for name in ("hostname", "port", "username", "password", "ca_path")}
        return open_client(Connection(role=HYPERVISOR, type="hyperv", **endpoint))

    def rescan(self) -> None:
        """Let hv01 look for disks."""
        rescan.rescan_host(self.login())

    def host_disk(self, naa: str) -> HostDisk:
        """A LUN as hv01 has it."""
        found = disks.find(self.login(), ScsiName(naa), HOST)
        assert found is not None
        return found

    def bring_online(self, naa: str) -> None:
        """Let hv01 itself use a LUN."""
        host_lun.bring_online(self.login(), self.host_disk(naa))

    def request_state(self, vm: str, state: int) -> None:
        """Bring a VM into another state (RequestStateChange)."""
        login = self.login()
        (system,) = login.query(classes.COMPUTER, wql.equals("ElementName", vm))
        cim_job.perform(login, classes.COMPUTER, "RequestStateChange", system, {"RequestedState": state}, timeout=TIMEOUT)
