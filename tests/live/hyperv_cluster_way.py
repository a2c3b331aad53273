# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN of the lab's array on its way into a highly available VM of a Hyper-V cluster and back, by the module that users run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_login import open_client
from tests.lab import world
from tests.live.lab import WINDOWS, WindowsLab
from tests.live.modules import ModuleRunner, Result

SERVER = WINDOWS[0]
SPARE_PATH = "/vol/vol_dev/spare"
SPARE = world.naa_at(SPARE_PATH)
TIMEOUT = 5.0
MOUNT_POINT = "C:\\mt1"


@dataclass
class ClusterWay:
    """The array and one cluster of the lab, with the modules; the spare LUN belongs to nobody until it is mapped."""

    windows: WindowsLab
    modules: ModuleRunner
    node: str = "hvc1n1"
    """The one that is named to the modules."""
    vm: str = "c1app01"
    igroup: str = "hv_hvc1"

    @property
    def resource(self) -> str:
        """The disk resource that the attach makes."""
        return f"Disk VM {self.vm} MP {MOUNT_POINT}"

    def map_spare(self, igroup: str = "") -> None:
        """Let the array present the spare LUN to the nodes."""
        to = self.windows.array
        body = {"svm": {"name": "svm_san"}, "lun": {"name": SPARE_PATH}, "igroup": {"name": igroup or self.igroup}}
        answer = requests.post(
            f"https://{to['hostname']}:{to['port']}/api/protocols/san/lun-maps",
            json=body,
            auth=(to["username"], to["password"]),
            verify=to["ca_path"],
            timeout=30,
        )
        assert answer.status_code == 201, answer.text

    def wish(self, **options: Any) -> dict[str, Any]:
        """Arguments that make the LUN a disk of the VM."""
        given = {"vm": self.vm, "naa": SPARE, "mount_point": MOUNT_POINT, "initialize": True, "timeout": TIMEOUT}
        return {"hypervisor": self.windows.host(self.node), **given, **options}

    def way_back(self, **options: Any) -> dict[str, Any]:
        """Arguments that take it back, and out of the nodes' use."""
        return self.wish(state="absent", release=True, **options)

    def attach(self, *, check: bool = False, **options: Any) -> Result:
        """Make the LUN a disk of the VM."""
        return self.modules.succeed("ptd_attach", self.wish(**options), check=check)

    def detach(self, **options: Any) -> Result:
        """Take it back."""
        return self.modules.succeed("ptd_attach", self.way_back(**options))

    def refusal(self, **options: Any) -> str:
        """What the module says when it cannot make the LUN a disk of the VM."""
        return self.modules.fail("ptd_attach", self.wish(**options))

    def follows(self, *nodes: str) -> bool:
        """Whether the VM, moved to these nodes one after the other, has the LUN on each, and its disk is in service there."""
        return all(self.windows.fail_over(self.vm, node)["state"] in (0, 3) and self.has_disk_on(node) for node in nodes)

    def has_disk_on(self, node: str) -> bool:
        """Whether the VM has the LUN on the node, as the module reads it back and the cluster tells."""
        disk = self.modules.succeed("ptd_attach", self.wish(), check=True)
        resource = self.cluster()["resources"][self.resource]
        return (
            not disk["changed"] and disk["disk"]["bus"] is not None and resource["state"] == 2 and self.vm_state()["host"] == f"{node}.lab"
        )

    def cluster(self) -> dict[str, Any]:
        """What the cluster holds."""
        return dict(self.state()["clusters"][self.igroup.removeprefix("hv_")])

    def vm_state(self) -> dict[str, Any]:
        """What the VM is like."""
        return dict(self.state()["vms"][self.vm])

    def state(self) -> dict[str, Any]:
        """What VMs and clusters hold, and which disks nodes have in use. An empty partition table is no remainder on an empty LUN."""
        seen = self.windows.state()[SERVER]
        online = {name: sorted(row["disk"] for row in machine["disks"] if not row["offline"]) for name, machine in seen["machines"].items()}
        return {"vms": seen["vms"], "clusters": seen["clusters"], "online": online}

    def login(self, node: str = "") -> CimClient:
        """An administrator's session with a node."""
        to = self.windows.host(node or self.node)
        endpoint = {name: to[name] for name in ("hostname", "port", "username", "password", "ca_path")}
        return open_client(Connection(role=HYPERVISOR, type="hyperv", **endpoint))

    def rescan(self, *nodes: str) -> None:
        """Let nodes look for disks."""
        for node in nodes:
            rescan.rescan_host(self.login(node))
