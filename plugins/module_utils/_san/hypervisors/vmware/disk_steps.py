# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changes of a VM's raw disks: attach, edit, detach.

Each step observes the VM anew before it acts, and lets vSphere refuse the change if the VM was reconfigured since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Overtaken,
    Refused,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.attach_rules import place_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import host_lun, mapping_file, places, rdm, snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.changing import Observed, VmChange, datastore_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.faults import Subject
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.mapping_file import MappingFile
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import NOT_SHARED, PHYSICAL, Controller, VirtualDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName


@dataclass
class _VmStep(Step):
    """A change of how a LUN is a disk of a VM."""

    vm: VmChange
    name: ScsiName

    def settle(self) -> None:
        """Whatever the endpoint still does for this VM has to end before what is read back tells anything."""
        self.vm.settle()


@dataclass
class AttachDisk(_VmStep):
    """Add the LUN to the VM, together with the controller for it where one is missing."""

    place: Place
    settings: rdm.Settings
    file: MappingFile

    def __post_init__(self) -> None:
        self.title = f"attach LUN {self.name} to VM {self.vm.name} as {self.place}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe()
        now.refuse_unless_changeable()
        self._refuse_if_overtaken(now)
        lun = host_lun.in_service(self.vm.session, now.vm.host, self.name)
        disk = rdm.add_disk(self.place, lun.uuid, lun.device_name, lun.size_bytes, self.settings, self.file.path, self.file.create)
        controllers = [] if self.place.controller else [rdm.add_controller(self.place.type, self.place.bus, self.place.shared)]
        subject = Subject(lun=str(self.name), vm=self.vm.name, host=lun.host_name, datastore=self.file.datastore)
        self.vm.apply(now, [*controllers, disk], subject)

    def verify(self) -> None:
        now = self.vm.observe()
        disk = now.disk_of(self.name)
        if disk is None:
            raise RemoteError(f"VM {self.vm.name} has no disk with LUN {self.name} after the change: look at its recent tasks in vCenter.")
        wrong = _differences(disk, self.place, self.settings)
        if wrong:
            raise RemoteError(f"LUN {self.name} was attached to VM {self.vm.name} otherwise than asked: {'; '.join(wrong)}.")

    def undo(self) -> None:
        self.vm.settle()
        now = self.vm.observe()
        disk = now.disk_of(self.name)
        if disk is None:
            now.refuse_if_hidden(self.name)
        destroy = disk is not None and self.file.create and not mapping_file.other_users(self.vm.session, now, disk)
        removals = [rdm.remove_disk(self.vm.device(disk.key), destroy)] if disk else []
        controller = self._own_controller(now, disk)
        if controller:
            removals.append(rdm.remove_controller(self.vm.device(controller.key)))
        if removals:
            self.vm.apply(now, removals, Subject(lun=str(self.name), vm=self.vm.name, datastore=self.file.datastore))
            self._refuse_if_still_there(self.vm.observe())
        if destroy:
            _refuse_if_left(self.vm, self.name, disk)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.place): None, **({} if self.place.controller else {_controller(self.place): None})}}

    def after(self) -> Mapping[str, Any]:
        disk = {"lun": str(self.name), "mapping_file_on": self.file.datastore, **vars(self.settings)}
        sharing = f", {self.place.shared} bus sharing" if self.place.shared else ""
        added = {} if self.place.controller else {_controller(self.place): f"{self.place.type}{sharing}"}
        return {f"VM {self.vm.name}": {str(self.place): disk, **added}}

    def _refuse_if_overtaken(self, now: Observed) -> None:
        """Raise `Overtaken` when the VM has changed since the plan so that this step would do something else than it says.

        A LUN that somebody else attached is `Refused`: what is on it by now is theirs.
        """
        if now.disk_of(self.name):
            raise Refused(f"LUN {self.name} was attached to VM {self.vm.name} by somebody else in the meantime: run this task again.")
        there = _controller_on(now, self.place.bus)
        planned = self.place.controller
        if _sharing(there) != _sharing(planned) or (there and self.place.unit in there.units):
            raise Overtaken(f"{self.place} of VM {self.vm.name} was changed by somebody else in the meantime: run this task again.")

    def _refuse_if_still_there(self, now: Observed) -> None:
        if now.disk_of(self.name):
            raise RemoteError(f"VM {self.vm.name} still has LUN {self.name} after it was taken away again: detach it there.")

    def _own_controller(self, now: Observed, disk: VirtualDisk | None) -> Controller | None:
        """The controller that this step added, if nothing but this step's disk is on it."""
        if self.place.controller:
            return None
        there = _controller_on(now, self.place.bus)
        ours = {disk.unit} if disk else set()
        return there if there and set(there.units) - {places.CONTROLLER_UNIT} <= ours else None


@dataclass
class EditDisk(_VmStep):
    """Change the settings of a LUN that is a disk of the VM already; None keeps what it has."""

    disk: VirtualDisk
    disk_mode: str | None
    sharing: str | None

    def __post_init__(self) -> None:
        wanted = ", ".join(f"{setting} {value}" for setting, value in self._wanted.items())
        self.title = f"set {wanted} for LUN {self.name} of VM {self.vm.name}"

    @property
    def _wanted(self) -> dict[str, str]:
        return {name: value for name, value in (("disk_mode", self.disk_mode), ("sharing", self.sharing)) if value is not None}

    @property
    def _had(self) -> dict[str, str]:
        return {setting: getattr(self.disk, setting) for setting in self._wanted}

    def done(self) -> bool:
        return not self._wanted

    def do(self) -> None:
        self._set(self._wanted)

    def verify(self) -> None:
        self._refuse_unless(self._wanted)

    def _refuse_unless(self, values: Mapping[str, str]) -> None:
        disk = self.vm.observe().disk_of(self.name)
        wrong = [f"{setting} is {_value(disk, setting)}" for setting, value in values.items() if _value(disk, setting) != value]
        if wrong:
            raise RemoteError(f"LUN {self.name} of VM {self.vm.name} is not as asked after the change: {', '.join(wrong)}.")

    def undo(self) -> None:
        self.vm.settle()
        disk = self.vm.observe().disk_of(self.name)
        if disk and any(_value(disk, setting) != value for setting, value in self._had.items()):
            self._set(self._had)
            self._refuse_unless(self._had)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.name): self._had}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.name): self._wanted}}

    def _set(self, values: Mapping[str, str]) -> None:
        now = self.vm.observe()
        now.refuse_unless_changeable()
        disk = now.disk_of(self.name)
        if disk is None:
            raise Refused(f"LUN {self.name} was detached from VM {self.vm.name} in the meantime: run this task again.")
        change = rdm.edit_disk(self.vm.device(disk.key), values.get("disk_mode"), values.get("sharing"))
        self.vm.apply(now, [change], _subject(self.vm, self.name, disk))


@dataclass
class DetachDisk(_VmStep):
    """Take the LUN from the VM; the mapping file goes too, unless another VM uses it by then."""

    disk: VirtualDisk
    place: Place
    other_users: Sequence[str]
    """Names of the VMs that used the mapping file too when the plan was made."""
    _removed: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        keeping = f", keeping its mapping file for {', '.join(self.other_users)}" if self.other_users else ""
        self._keeps_file = bool(self.other_users)
        self.title = f"detach LUN {self.name} ({self.place}) from VM {self.vm.name}{keeping}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe()
        now.refuse_unless_changeable()
        disk = now.disk_of(self.name)
        if disk is None:
            return
        snapshots.refuse_if_any_has(self.vm.session, now.vm, self.name)
        self._removed = self.vm.device(disk.key)
        self._keeps_file = bool(mapping_file.other_users(self.vm.session, now, disk))
        self.vm.apply(now, [rdm.remove_disk(self._removed, not self._keeps_file)], _subject(self.vm, self.name, disk))

    def verify(self) -> None:
        now = self.vm.observe()
        if now.disk_of(self.name) or any(disk.path == self.disk.path for disk in now.vm.disks):
            raise RemoteError(f"VM {self.vm.name} still has LUN {self.name} after the change: look at its recent tasks in vCenter.")
        if not self._keeps_file:
            _refuse_if_left(self.vm, self.name, self.disk)

    def undo(self) -> None:
        """Attach the LUN again as it was: same place, settings and mapping file."""
        self.vm.settle()
        now = self.vm.observe()
        if now.disk_of(self.name) or self._removed is None:
            return
        lun = host_lun.in_service(self.vm.session, now.vm.host, self.name)
        settings = rdm.Settings(self.disk.mode, self.disk.disk_mode, self.disk.sharing or NOT_SHARED)
        create = not mapping_file.exists(self.vm, self.disk.path, self.disk.file_system)
        disk = rdm.add_disk(self.place, lun.uuid, lun.device_name, lun.size_bytes, settings, self.disk.path, create)
        self.vm.apply(now, [disk], _subject(self.vm, self.name, self.disk, lun.host_name))
        if self.vm.observe().disk_of(self.name) is None:
            raise RemoteError(f"VM {self.vm.name} has no disk with LUN {self.name} after it was given back: attach it there.")

    def before(self) -> Mapping[str, Any]:
        settings = {setting: getattr(self.disk, setting) for setting in ("mode", "disk_mode", "sharing")}
        return {f"VM {self.vm.name}": {str(self.place): {"lun": str(self.name), "mapping_file": self.disk.path, **settings}}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.place): None}}


def _differences(disk: VirtualDisk, place: Place, settings: rdm.Settings) -> list[str]:
    """What of a disk that was just attached is not as asked; a disk in physical mode has no disk mode."""
    asked = {"mode": settings.mode, "sharing": settings.sharing}
    if settings.mode != PHYSICAL:
        asked["disk_mode"] = settings.disk_mode
    wrong = [f"{setting} is {_value(disk, setting)}, not {value}" for setting, value in asked.items() if _value(disk, setting) != value]
    is_at = place_name(disk.bus, disk.unit)
    return wrong if is_at == str(place) else [f"it is {is_at}, not {place}", *wrong]


def _value(disk: VirtualDisk | None, setting: str) -> str:
    value = str(getattr(disk, setting)) if disk else ""
    return value or (NOT_SHARED if setting == "sharing" else "unknown")


def _refuse_if_left(change: VmChange, name: ScsiName, disk: VirtualDisk | None) -> None:
    if disk and mapping_file.exists(change, disk.path, disk.file_system):
        raise RemoteError(f"The mapping file {disk.path} of LUN {name} was left behind: remove it in the datastore browser.")


def _controller_on(observed: Observed, bus: int) -> Controller | None:
    there = (controller for controller in observed.vm.controllers if controller.type in places.SCSI_TYPES)
    return next((controller for controller in there if controller.bus == bus), None)


def _sharing(controller: Controller | None) -> tuple[str, str] | None:
    """Which controller it is, and with whom its disks are shared."""
    return (controller.key, controller.shared) if controller else None


def _controller(place: Place) -> str:
    return f"SCSI controller {place.bus}"


def _subject(change: VmChange, name: ScsiName, disk: VirtualDisk, host: str = "of the VM") -> Subject:
    return Subject(lun=str(name), vm=change.name, host=host, datastore=datastore_of(disk.path))
