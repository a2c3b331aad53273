# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's single Hyper-V host for unit tests of changes: its VMs by name, and a LUN that it may get."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.changing import VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.waiting import Waiting
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lab import world
from tests.lab.hyperv import machines, vms
from tests.lab.hyperv.running import Lab
from tests.lab.hyperv_world import lun_path
from tests.unit.windows import Wire, nodes, waiting

HOST, HOST_ID = "hv01.lab", "HV01"
GROUP = "hv_hv01"
SPARE_PATH = "/vol/vol_dev/spare"
SPARE = ScsiName(world.naa_at(SPARE_PATH))
RAW = ScsiName(world.naa_at(lun_path("hv01_raw")))
DATA = ScsiName(world.naa_at(lun_path("hv01_data")))
TIMEOUT = 5.0


@dataclass
class HyperVHost:
    """hv01 with one connection to it; `SPARE` is presented by the array and seen after a rescan."""

    lab: Lab = field(default_factory=Lab)
    wire: Wire = field(default_factory=Wire)

    def __post_init__(self) -> None:
        self.nodes: Nodes = nodes(self.lab, HOST, self.wire)
        self.lab.map_lun(GROUP, SPARE_PATH)

    @property
    def estate(self) -> machines.Machine:
        """The host as the lab holds it."""
        return self.lab.estate.machines[HOST]

    def see_spare(self) -> machines.Disk:
        """Let the host find the spare LUN; it comes offline."""
        self.lab.estate.rescan(self.estate)
        return self.disk(SPARE)

    def disk(self, name: ScsiName) -> machines.Disk:
        """The host's disk of a LUN."""
        (found,) = self.estate.disks_of(name.naa)
        return found

    def simulated(self, name: str) -> vms.Vm:
        """A VM as the lab holds it."""
        return next(vm for vm in self.lab.estate.vms.values() if vm.name == name)

    def vm(self, name: str) -> VirtualMachine:
        """A VM as a service names it."""
        return VirtualMachine(id=self.simulated(name).id, name=name, host=HOST_ID)

    def change(self, name: str) -> VmChange:
        """A VM to be changed."""
        waiting = self.waiting()
        return VmChange(self.nodes, self.vm(name), waiting.timeout, waiting.clock, waiting.sleep)

    def waiting(self) -> Waiting:
        """Pauses in which everything happens that is still to happen."""
        return waiting(TIMEOUT, lambda: self.lab.estate.timeline.settle(everything=True))

    def wish(self, name: ScsiName = SPARE, **settings: Any) -> DiskWish:
        """A wish for a disk."""
        return DiskWish(name=name, timeout=TIMEOUT, **settings)

    def slots(self, vm: str) -> list[str]:
        """What a VM has in its slots, such as `scsi0:01 raw 600a…`, once everything has happened."""
        self.lab.estate.timeline.settle(everything=True)
        found: Any = self.simulated(vm).canonical()["slots"]
        return list(found)

    def state(self) -> Any:
        """All that lasts."""
        return self.lab.estate.canonical()


class Failing(Step):
    """A step after the one under test, which fails, so that the other is undone."""

    title = "fail"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        raise RemoteError("it was told to")


def then_fail(*steps: Step) -> str:
    """Run steps and let a later one fail; what the plan says then."""
    with pytest.raises(StepFailed) as failure:
        Plan([*steps, Failing()]).run()
    return str(failure.value)
