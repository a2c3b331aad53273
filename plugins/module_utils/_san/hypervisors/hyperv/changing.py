# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of a VM's storage through its host's virtual machine management service, and what is known after one.

Source: `Msvm_VirtualSystemManagementService`, `Msvm_ResourceAllocationSettingData` and `Msvm_AffectedJobElement` of Microsoft's Hyper-V WMI
provider (V2) reference.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, OutcomeUnknown, Refused, RemoteError, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes, hardware, machines, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.machines import Settings
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.waiting import Waiting
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    POWER_UNKNOWN,
    SUSPENDED,
    Controller,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import cim_job
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_embedded import EmbeddedInstance, embed
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import ObjectPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimValue


@dataclass(frozen=True)
class Observed:
    """A VM at one moment, on the host that had it then."""

    vm: VirtualMachine
    client: CimClient
    host_name: str
    settings: Settings

    def disk_of(self, name: ScsiName) -> VirtualDisk | None:
        """The VM's disk that is the LUN."""
        return next((disk for disk in self.vm.disks if disk.name == name), None)

    def disk_at(self, bus: int, unit: int) -> VirtualDisk | None:
        """What the VM has in a place on a SCSI controller."""
        controller = places.controller_on(self.vm, bus)
        return next((disk for disk in self.vm.disks if controller and disk.controller == controller.key and disk.unit == unit), None)

    def refuse_if_hidden(self, name: ScsiName) -> None:
        """Raise `Refused` when a pass-through disk of the VM might be the LUN: its host does not see which LUN it is."""
        hidden = [disk.label for disk in self.vm.disks if hardware.is_unseen(disk)]
        if hidden:
            raise Refused(
                f"VM {self.vm.name} has pass-through disks whose LUN host {self.host_name} does not see ({', '.join(hidden)}), so nobody "
                f"can tell whether one of them is LUN {name}: let the host see it again, or remove the disk in Hyper-V Manager."
            )

    def refuse_unless_changeable(self) -> None:
        """Raise `Refused` for a VM that takes no change of its disks as it is, or of which nobody can tell."""
        self.refuse_between_states()
        if self.vm.power == SUSPENDED:
            raise Refused(f"VM {self.vm.name} is saved or paused, so that its disks cannot be changed: start it or turn it off first.")

    def refuse_between_states(self) -> None:
        """Raise `Refused` for a VM of which nobody can tell whether it runs."""
        if self.vm.power == POWER_UNKNOWN:
            raise Refused(
                f"VM {self.vm.name} is changing its state, or in one that is not known, so that its disks are left alone: see in Hyper-V "
                "Manager that it runs or is off, then run this task again."
            )


class VmChange:
    """A VM that is going to be changed, wherever it is by then."""

    def __init__(
        self,
        nodes: Nodes,
        vm: VirtualMachine,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.nodes = nodes
        self.id = vm.id
        self.name = vm.name
        self.timeout = timeout
        self.waiting = Waiting(timeout, clock, sleep)
        self._host = vm.host
        self._changed_by: CimClient | None = None

    def observe(self) -> Observed:
        """The VM now. Raises `NotFound` when it no longer exists."""
        vm, settings = machines.read_machine(self.nodes, self.id, self._host)
        self._host = vm.host
        return Observed(vm, self.nodes.client(vm.host), self.nodes.name_of(vm.host), settings)

    def add_controller(self, now: Observed) -> None:
        """Add a SCSI controller, which becomes the last."""
        self._add(now, {"ResourceType": hardware.TYPE_SCSI, "ResourceSubType": hardware.SCSI_CONTROLLER})

    def add_disk(self, now: Observed, controller: Controller, unit: int, drive: ObjectPath) -> None:
        """Give the VM a physical disk of its host."""
        parent = classes.RESOURCE.path({"InstanceID": controller.key}, drive.host)
        place: Mapping[str, CimValue] = {"Parent": str(parent), "AddressOnParent": str(unit), "HostResource": (str(drive),)}
        self._add(now, {"ResourceType": hardware.TYPE_DISK_DRIVE, "ResourceSubType": hardware.PHYSICAL_DRIVE, **place})

    def remove(self, now: Observed, key: str) -> None:
        """Take a disk or controller, by its key, from the VM."""
        self._perform(now, "RemoveResourceSettings", {"ResourceSettings": (classes.RESOURCE.reference({"InstanceID": key}),)})

    def settle(self) -> None:
        """After a lost answer, wait until no job of the host that was asked changes this VM any more.

        Raises a `CrossvisorError` when that cannot be told, or does not happen in time.
        """
        if self._changed_by is None:
            return
        system = classes.COMPUTER.path({"CreationClassName": classes.COMPUTER.name, "Name": self.id})
        for job in list(self._changed_by.associators(system, classes.JOB, classes.AFFECTED_BY_JOB)):
            if cim_job.is_under_way(job):
                with contextlib.suppress(RemoteError):
                    cim_job.follow_job(self._changed_by, classes.JOB.reference(job), self.timeout)

    def _add(self, now: Observed, properties: Mapping[str, CimValue]) -> None:
        resource: EmbeddedInstance = embed(classes.RESOURCE.name, properties, classes.RESOURCE.types)
        settings = classes.VM_SETTINGS.reference({"InstanceID": now.settings.instance_id})
        self._perform(now, "AddResourceSettings", {"AffectedConfiguration": settings, "ResourceSettings": (resource,)})

    def _perform(self, now: Observed, method: str, parameters: Mapping[str, CimValue]) -> None:
        """Change the VM and wait for the end of it. Raises `OutcomeUnknown` when nobody can tell how it ended."""
        service = next(now.client.query(classes.MANAGEMENT_SERVICE, columns=classes.MANAGEMENT_SERVICE.columns), None)
        if service is None:
            raise NotFound(
                f"Host {now.host_name} has no virtual machine management service: see that its Hyper-V role is installed and runs."
            )
        self._changed_by = now.client
        try:
            cim_job.perform(now.client, classes.MANAGEMENT_SERVICE, method, service, parameters, timeout=self.timeout)
        except TimedOut as late:
            raise OutcomeUnknown(str(late)) from late
        except RemoteError as error:
            raise RemoteError(f"Hyper-V on host {now.host_name} says no: {error}", error.code) from error
