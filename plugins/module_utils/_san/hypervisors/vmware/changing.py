# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM as the target of a change: observed in one request, changed by one task, and never against a newer configuration than was observed.

Facts are of the vSphere Web Services API reference (VirtualMachine, VirtualMachineConfigSpec.changeVersion, ReconfigVM_Task, Task).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import unescaped
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import lun_names, machines, properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.faults import Subject, explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    CONNECTED,
    PASSTHROUGH,
    SUSPENDED,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ObjectRecord

with contextlib.suppress(ImportError):  # told by VimSession
    from pyVmomi import vim

_PATHS = ("config.changeVersion", "config.version", "config.files.vmPathName", "runtime.connectionState")
_DATASTORE = re.compile(r"\[(?P<name>[^]]+)\]")
_CANCEL_GRACE = 10.0
"""Seconds that a cancelled task is given to end."""


@dataclass(frozen=True)
class Observed:
    """A VM as it was at one moment."""

    vm: VirtualMachine
    change_version: str
    """Of its configuration; a change that names an older one is refused."""
    hardware: int
    """Version of its virtual hardware: 14 for `vmx-14`."""
    connection: str
    home: str
    """Name of the datastore with its directory."""

    def disk_of(self, name: ScsiName) -> VirtualDisk | None:
        """The LUN as a pass-through disk of the VM."""
        return next((disk for disk in self.vm.disks if disk.kind == PASSTHROUGH and disk.name == name), None)

    def refuse_if_hidden(self, name: ScsiName) -> None:
        """Raise `Refused` when a raw disk of the VM might be the LUN: its host does not see which LUN it is."""
        hidden = [disk.label for disk in self.vm.disks if disk.kind == PASSTHROUGH and disk.name is None and not disk.device]
        if hidden:
            raise Refused(
                f"VM {self.vm.name} has raw disks whose LUN its host does not see ({', '.join(hidden)}), so nobody can tell whether one of "
                f"them is LUN {name}: let the host see it again, or remove the disk in vCenter."
            )

    def refuse_unless_changeable(self) -> None:
        """Raise `Refused` for a VM that takes no change of its disks as it is."""
        if self.vm.template:
            raise Refused(f"VM {self.vm.name} is a template, whose disks cannot be changed: convert it to a virtual machine first.")
        if self.vm.power == SUSPENDED:
            raise Refused(f"VM {self.vm.name} is suspended, its disks cannot be changed: power it on or off first.")
        if self.connection != CONNECTED:
            raise Refused(f"VM {self.vm.name} is {self.connection} in vCenter: bring its host and datastores back first.")


class VmChange:
    """A VM that is going to be changed."""

    def __init__(self, session: VimSession, vm: VirtualMachine, timeout: float) -> None:
        self.session = session
        self.name = vm.name
        self.timeout = timeout
        self._moid = vm.id
        self._managed = session.managed("VirtualMachine", vm.id)

    def observe(self) -> Observed:
        """The VM now, as a rule in one request. Raises `NotFound` when it no longer exists, `Refused` when it cannot be read."""
        paths = {"VirtualMachine": (*properties.MACHINE, *_PATHS)}
        found = [_observed(record) for record in self.session.retrieve(paths, {"VirtualMachine": [self._moid]})]
        if not found:
            raise NotFound(f"VM {self.name} ({self._moid}) no longer exists.")
        (named,), _unknown = lun_names.looked_up(self.session, [found[0].vm])
        return replace(found[0], vm=named)

    def device(self, key: str) -> Any:
        """A device as the endpoint itself describes it, to be sent back in a change. Raises `NotFound`."""
        devices = self.session.read(self._managed, "config.hardware.device").get("config.hardware.device", ())
        found = next((device for device in devices if str(device.key) == key), None)
        if found is None:
            raise NotFound(f"VM {self.name} no longer has the device {key}: run this task again.")
        return found

    def apply(self, observed: Observed, changes: Sequence[Any], subject: Subject) -> None:
        """Make device changes in one task and wait for its end; all of them are made, or none.

        Raises `RemoteError` when they are refused, `OutcomeUnknown` when nobody can tell how the task ended.
        """
        spec = vim.vm.ConfigSpec(changeVersion=observed.change_version or None, deviceChange=list(changes))
        with explained(subject):
            self._finish(self._managed.ReconfigVM_Task(spec))

    def settle(self) -> None:
        """After a lost answer, wait until no task of this VM is running any more."""
        for task in self.session.read(self._managed, "recentTask").get("recentTask", ()):
            with contextlib.suppress(RemoteError, NotFound):
                self.session.wait(task, self.timeout)

    def _finish(self, task: Any) -> None:
        try:
            self.session.wait(task, self.timeout)
        except TimedOut as late:
            self._cancel(task, late)
        except (OutcomeUnknown, NotFound) as lost:
            raise OutcomeUnknown(f"It is not known how the change of VM {self.name} ended ({lost})") from lost

    def _cancel(self, task: Any, late: TimedOut) -> None:
        """End a task that takes too long, so that it does not do its work behind our back."""
        with contextlib.suppress(CrossvisorError):
            task.CancelTask()
        try:
            self.session.wait(task, _CANCEL_GRACE)
        except RemoteError as cancelled:
            raise TimedOut(f"VM {self.name} was not changed within {self.timeout:g} s, so the change was cancelled: {cancelled}") from late
        except CrossvisorError:
            raise OutcomeUnknown(str(late)) from late


def _observed(record: ObjectRecord) -> Observed:
    return Observed(
        vm=machines.readable(record),
        change_version=record.text("config.changeVersion"),
        hardware=hardware_version(record.text("config.version")),
        connection=record.text("runtime.connectionState"),
        home=datastore_of(record.text("config.files.vmPathName")),
    )


def hardware_version(text: str) -> int:
    """The number in `vmx-14`; 0 when there is none."""
    digits = text.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0


def datastore_of(path: str) -> str:
    """The datastore's name in `[datastore] directory/file`, as a person reads it; empty when there is none."""
    match = _DATASTORE.match(path)
    return unescaped(match["name"]) if match else ""
