# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be verified of a cluster before anything of a VM is touched, because much of it was never seen on a real one.

Whether a running VM bears that its disk resource goes offline cannot be verified, only noticed (`ClusteredVm.refuse_if_harmed`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import host_lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import ClusteredVm, Observed
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import POWERED_ON
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Guard


@dataclass
class LookAtVm(Guard):
    """The VM is as the plan found it, the cluster knows that it runs, and says in a way that is understood what it depends on."""

    there: ClusteredVm
    early = True

    def __post_init__(self) -> None:
        self.title = f"see that VM {self.there.vm.name} is well in cluster {self.there.nodes.cluster}"

    def look(self) -> None:
        self.there.at_rest()
        now = self.there.update_needs()
        self.there.refuse_if_harmed()
        self.there.planned.refuse_between_states()
        stopped = [name for name in now.role.own if name not in self.there.unharmed.online]
        if self.there.planned.vm.power == POWERED_ON and stopped:
            raise Refused(
                f"VM {self.there.vm.name} runs, but its resource '{stopped[0]}' is not online in cluster {self.there.nodes.cluster}: "
                "bring it online in Failover Cluster Manager, then run this task again."
            )
        if _is_linked(now) and not _is_said(now):
            raise Refused(
                f"Cluster {self.there.nodes.cluster} lists a dependency between '{now.role.machine}' and '{now.role.configuration}' that "
                f"neither of them tells ('{now.state.needs.get(now.role.machine.lower(), '')}'), so nobody can tell what VM "
                f"{self.there.vm.name} depends on and its disks are left alone: report what Get-ClusterResourceDependency says."
            )


@dataclass
class LookAtPool(Guard):
    """The VM's node offers a LUN that is no disk of the cluster yet to VMs."""

    there: ClusteredVm

    def __post_init__(self) -> None:
        self.title = f"see that node {self.there.node} offers LUN {self.there.name} to VMs"

    def look(self) -> None:
        now = self.there.seen
        if now.resource is None and not now.attached:
            host_lun.to_give(self.there.client, self.there.name, self.there.nodes.name_of(self.there.node), self.there.change.waiting)


def _is_linked(now: Observed) -> bool:
    return now.role.configuration.lower() in now.state.links.get(now.role.machine.lower(), ())


def _is_said(now: Observed) -> bool:
    machine, configuration = (now.state.resource(name) for name in now.role.own)
    if machine is None or configuration is None:
        return False
    return now.state.needed_by(configuration, machine.name) or now.state.needed_by(machine, configuration.name)
