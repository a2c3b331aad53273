# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's cluster of two nodes with a new LUN that both see, for unit tests of what the Hyper-V backend does to a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import machines
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import attach as cluster_attach
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import ClusteredVm, Names, Patience, observe
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.release import plan_release
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, carry_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lab.hyperv.clusters import ONLINE, Cluster
from tests.lab.hyperv.running import CLUSTER, Lab
from tests.unit.lab.hyperv.desk import NODE1, NODE2, Desk
from tests.unit.windows import Wire, nodes

VM = "c1app01"
MOUNT_POINT = "C:\\mt1"
DISK = f"Disk VM {VM} MP {MOUNT_POINT}"
GROUP = f"{DISK} Group"
TIMEOUT = 3.0


@dataclass
class ClusterLab:
    """The cluster hvc1, a VM on its first node, and a LUN; the second node is the one that was named."""

    lab: Lab = field(default_factory=Lab)
    wire: Wire = field(default_factory=Wire)
    vm_name: str = VM

    def __post_init__(self) -> None:
        self.naa = ScsiName(self.lab.map_lun("hv_hvc1"))
        self.node, self.other = Desk(self.lab, NODE1), Desk(self.lab, NODE2)
        self.node.rescan()
        self.other.rescan()

    @property
    def cluster(self) -> Cluster:
        return self.lab.estate.clusters["hvc1"]

    @property
    def vm(self) -> VirtualMachine:
        (found,) = (vm for vm in self.lab.estate.vms.values() if vm.name == self.vm_name)
        return VirtualMachine(id=found.id, name=found.name, host="HVC1N1", cluster="hvc1")

    def nodes(self) -> Nodes:
        """Fresh logins, as every run of a module makes them."""
        return nodes(self.lab, NODE2, self.wire)

    def there(self, mount_point: str = MOUNT_POINT, **timing: Any) -> ClusteredVm:
        return observe(self.nodes(), self.vm, Names(self.vm_name, self.naa, mount_point), Patience(TIMEOUT, **timing))

    def plan_attach(self, **wish: Any) -> Plan:
        settings = {"name": self.naa, "mount_point": MOUNT_POINT, "initialize": True, "timeout": TIMEOUT, **wish}
        return cluster_attach.plan_attach(self.nodes(), self.vm, DiskWish(**settings))

    def plan_detach(self, release: bool = True) -> Plan:
        hosts = self.nodes()
        plan = cluster_attach.plan_detach(hosts, self.vm, self.naa, TIMEOUT)
        return plan + plan_release(hosts, ["HVC1N1", "HVC1N2"], self.naa) if release else plan

    def attach(self, **wish: Any) -> list[str]:
        """What was done to make the LUN a disk of the VM."""
        return list(carry_out(self.plan_attach(**wish), check_mode=False).actions)

    def detach(self, release: bool = True) -> list[str]:
        """What was done to take it back, and out of the nodes' use."""
        return list(carry_out(self.plan_detach(release), check_mode=False).actions)

    def attached(self) -> bool:
        """Whether the VM has the LUN, wherever it runs."""
        return machines.attachment(self.nodes(), self.vm, self.naa) is not None

    def harm(self) -> str:
        """What has been done to the VM itself, which is on and the cluster's: nothing, when all is well."""
        own = [self.cluster.resources.get(f"{kind} {self.vm_name}") for kind in ("Virtual Machine", "Virtual Machine Configuration")]
        power = self.lab.estate.vms[self.vm.id].power
        told = [power, *(f"{resource.group} {resource.state}" if resource else "gone" for resource in own)]
        return "" if told == ["on", *[f"{self.vm_name} {ONLINE}"] * 2] else str(told)

    def state(self) -> Any:
        """All that a run may leave behind. What is on the LUN is not: an empty partition table stays."""
        seen = self.everything()
        disks = [disk for machine in seen["machines"].values() for disk in machine["disks"]]
        offline = sorted((disk["disk"], disk["offline"]) for disk in disks)
        return {"vms": seen["vms"], "clusters": seen["clusters"], "offline": offline}

    def everything(self) -> Any:
        """All that lasts, with what is on the LUNs."""
        return self.lab.estate.canonical()

    def follows(self) -> bool:
        """Whether the VM, moved to the other node and back, has the LUN at both."""
        seen = []
        for target in (NODE2, NODE1):
            self.lab.estate.fail_over(self.vm_name, target)
            seen.append(self.attached())
        return all(seen)

    def on_resource(self, name: str, method: str, **arguments: Any) -> None:
        """Do what an administrator does to a resource."""
        self.node.client.invoke(CLUSTER, "MSCluster_Resource", method, {"Name": name}, **arguments)

    def add_to_available_storage(self, name: str = "Cluster Disk 7") -> None:
        """Make the LUN a disk of the cluster that nothing uses, as an administrator does; the second node owns it."""
        self.node.initialize(self.naa.naa)
        (row,) = self.node.client.query(CLUSTER, "SELECT * FROM MSCluster_AvailableDisk")
        self.node.client.invoke(CLUSTER, "MSCluster_AvailableDisk", "AddToCluster", {"Id": row["Id"]}, ResourceName=name)
        self.lab.estate.timeline.settle(everything=True)


class Killed(BaseException):
    """The module's process is killed: nothing is caught, nothing undone."""


def kill() -> None:
    """What a `Wire` may let happen."""
    raise Killed


def is_change(request: str) -> bool:
    """Whether a request may change something."""
    return request.split(" ")[1] not in ("Enumerate", "Pull", "Get", "GetDependencies", "Release", "Identify")


def requests_of(lab: ClusterLab, run: Callable[[], object]) -> list[str]:
    """What a run asks, in its order."""
    start = len(lab.wire.asked)
    run()
    return lab.wire.asked[start:]
