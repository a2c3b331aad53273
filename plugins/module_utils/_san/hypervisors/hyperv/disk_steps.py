# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps on a LUN's way into a Hyper-V VM and out of it: off the host, a controller, the disk.

Each step observes the host and the VM anew before it acts: a LUN is found by its name, its disk's number is that of the moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Overtaken,
    Refused,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import hardware, host_lun, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.changing import Observed, VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import PASSTHROUGH, Controller, VirtualDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import RAW, HostDisk


@dataclass
class TakeOffline(Step):
    """End a host's own use of a LUN on which it has no volumes. A disk that a cluster keeps is left to the cluster.

    Whether it is done is read when it is asked, because a rescan earlier in the plan may be what shows the LUN to the host.
    """

    nodes: Nodes
    host: str
    """`Host.id`."""
    name: ScsiName
    purpose: str = host_lun.GIVEN_TO_A_VM
    """What it will not be while the host uses it."""
    writes_first: bool = False
    """Steps before this one bring the LUN online while it is raw, so that this one is to come as long as it is, or is not seen yet."""
    _taken: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._host_name = self.nodes.name_of(self.host)
        self.title = f"take LUN {self.name} offline on host {self._host_name}"

    def done(self) -> bool:
        disk = self._now()
        if self.writes_first and (disk is None or disk.style == RAW):
            return False
        return disk is None or disk.offline or disk.clustered

    def do(self) -> None:
        disk = self._now()
        if disk is None or disk.offline:
            return
        client = self.nodes.client(self.host)
        host_lun.refuse_if_mounted(client, disk, self._host_name, self.purpose)
        self._taken = True
        host_lun.take_offline(client, disk)

    def verify(self) -> None:
        if not self.done():
            raise RemoteError(f"LUN {self.name} is online on host {self._host_name} after it was taken offline: look at its disks there.")

    def undo(self) -> None:
        disk = self._now()
        if self._taken and disk and disk.offline:
            host_lun.bring_online(self.nodes.client(self.host), disk)

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self._host_name: "online"}}

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self._host_name: "offline"}}

    def _now(self) -> HostDisk | None:
        return disks.find(self.nodes.client(self.host), self.name, self._host_name)


@dataclass
class _VmStep(Step):
    """A change of a VM."""

    vm: VmChange

    def settle(self) -> None:
        """Whatever the host still does for this VM has to end before what is read back tells anything."""
        self.vm.settle()


@dataclass
class AddController(_VmStep):
    """Add a SCSI controller to a VM that is off; it becomes the last."""

    bus: int
    _there: frozenset[str] | None = field(default=None, init=False)
    """The controllers before this step asked for one more."""

    def __post_init__(self) -> None:
        self.title = f"add SCSI controller {self.bus} to VM {self.vm.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe()
        there = places.scsi_controllers(now.vm)
        if len(there) != self.bus:
            raise Overtaken(
                f"The SCSI controllers of VM {self.vm.name} were changed by somebody else in the meantime: run this task again."
            )
        self._there = frozenset(controller.key for controller in there)
        self.vm.add_controller(now)

    def verify(self) -> None:
        if places.controller_on(self.vm.observe().vm, self.bus) is None:
            raise RemoteError(f"VM {self.vm.name} has no SCSI controller {self.bus} after the change: look at it in Hyper-V Manager.")

    def undo(self) -> None:
        """Take the controller away, if nothing is on it."""
        if self._there is None:
            return
        self.vm.settle()
        now = self.vm.observe()
        added = [controller for controller in places.scsi_controllers(now.vm) if controller.key not in self._there]
        if len(added) == 1 and not added[0].units:
            self.vm.remove(now, added[0].key)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"SCSI controller {self.bus}": None}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"SCSI controller {self.bus}": hardware.SCSI}}


@dataclass
class AttachDisk(_VmStep):
    """Make the LUN a disk of the VM. On the VM's host it has to be offline, or a disk of the cluster that this node owns."""

    name: ScsiName
    place: Place
    """Where `controller` is None, an `AddController` comes before this step."""
    _device: str = field(default="", init=False)
    """The disk that the host was asked to give."""

    def __post_init__(self) -> None:
        self.title = f"attach LUN {self.name} to VM {self.vm.name} as {self.place}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe()
        now.refuse_unless_changeable()
        self._give(now, self._free_controller(now))

    def verify(self) -> None:
        now = self.vm.observe()
        disk = now.disk_of(self.name)
        if disk is None:
            there = now.disk_at(self.place.bus, self.place.unit)
            instead = f"but {there.name or there.device or there.path} in {self.place}" if there else f"and {self.place} is empty"
            raise RemoteError(f"VM {self.vm.name} has no disk with LUN {self.name} after the change, {instead}.")
        if now.disk_at(self.place.bus, self.place.unit) != disk:
            raise RemoteError(f"LUN {self.name} was attached to VM {self.vm.name} as {disk.label}, not as {self.place}.")

    def undo(self) -> None:
        """Take away what this step put into the place, even if that turned out to be another disk than was meant."""
        if not self._device:
            return
        self.vm.settle()
        now = self.vm.observe()
        disk = now.disk_at(self.place.bus, self.place.unit)
        if disk and disk.kind == PASSTHROUGH and (disk.name == self.name or disk.device == self._device):
            self.vm.remove(now, disk.key)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.place): None}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.place): {"lun": str(self.name)}}}

    def _give(self, now: Observed, controller: Controller) -> None:
        disk, drive = host_lun.to_give(now.client, self.name, now.host_name, self.vm.waiting)
        self._device = disk.device
        try:
            self.vm.add_disk(now, controller, self.place.unit, drive)
        except RemoteError:
            self._free_controller(self.vm.observe())  # somebody who took the place meanwhile is the better reason
            raise

    def _free_controller(self, now: Observed) -> Controller:
        """The planned controller. Raises `Overtaken` when this step would do something else by now than it says.

        A LUN that somebody else attached is `Refused`: what is on it by now is theirs.
        """
        if now.disk_of(self.name):
            raise Refused(f"LUN {self.name} was attached to VM {self.vm.name} by somebody else in the meantime: run this task again.")
        controller = places.controller_on(now.vm, self.place.bus)
        planned = self.place.controller
        if controller is None or (planned and planned.key != controller.key) or self.place.unit in controller.units:
            raise Overtaken(f"{self.place} of VM {self.vm.name} was changed by somebody else in the meantime: run this task again.")
        return controller


@dataclass
class DetachDisk(_VmStep):
    """Take the LUN from the VM. On the host it stays offline, so that nobody writes to it."""

    name: ScsiName
    disk: VirtualDisk
    """As it was observed."""
    _removed: VirtualDisk | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.title = f"detach LUN {self.name} ({self.disk.label}) from VM {self.vm.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe()
        now.refuse_unless_changeable()
        disk = now.disk_of(self.name)
        if disk is None:
            return
        self._removed = disk
        self.vm.remove(now, disk.key)

    def verify(self) -> None:
        now = self.vm.observe()
        if now.disk_of(self.name) or any(disk.key == self.disk.key for disk in now.vm.disks):
            raise RemoteError(f"VM {self.vm.name} still has LUN {self.name} after the change: look at it in Hyper-V Manager.")

    def undo(self) -> None:
        """Attach the LUN again where it was."""
        if self._removed is None:
            return
        self.vm.settle()
        now = self.vm.observe()
        if now.disk_of(self.name):
            return
        controller = next((controller for controller in now.vm.controllers if controller.key == self._removed.controller), None)
        if controller is None:
            raise RemoteError(f"The controller of {self._removed.label} of VM {self.vm.name} is gone: attach LUN {self.name} anew.")
        _disk, drive = host_lun.to_give(now.client, self.name, now.host_name, self.vm.waiting)
        self.vm.add_disk(now, controller, self._removed.unit or 0, drive)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {self.disk.label: {"lun": str(self.name)}}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {self.disk.label: None}}
