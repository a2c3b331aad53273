# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a LUN a disk of a VM by a raw device mapping, change how it is one, and take it away again.

Each step observes the VM anew before it acts and lets vSphere refuse the change if the VM was reconfigured since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils.errors import CrossvisorError, InvalidInput, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.base import AttachWish
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.vmware import host_lun, mapping_file, rdm, slots, snapshots
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.vmware.faults import Subject
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.vmware.mapping_file import MappingFile
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.vmware.reconfigure import Machine, Observed, datastore_of
from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.vmware.slots import Place
from ansible_collections.crossvisor.san.plugins.module_utils.model import Controller, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils.wire.vim import VimSession


def plan_attach(session: VimSession, wish: AttachWish) -> Plan:
    """Steps that make the LUN a disk of the VM as wished; none when it is one already.

    Raises `InvalidInput` for a wish that cannot be met by any VM, `Refused` for one that this VM, as it is, cannot meet without a loss.
    """
    settings = _settings(wish)
    machine = Machine(session, wish.vm, wish.timeout)
    observed = machine.observe()
    disk = observed.disk_of(wish.name)
    if disk is not None:
        return _plan_edit(machine, observed, disk, wish)
    observed.refuse_if_hidden(wish.name)
    observed.refuse_unless_changeable()
    place = slots.choose(observed.vm, observed.hardware, wish.slot, wish.controller_type)
    if settings.sharing != rdm.NOT_SHARED:
        others = mapping_file.of_others(session, observed, wish.name)
        if others:
            return Plan([_share(machine, wish, place, settings, *others[0])])
    _refuse_disk_mode_of_physical(wish, settings.mode)
    return Plan([AttachDisk(machine, wish.name, place, settings, mapping_file.new(session, observed, wish.file_system))])


def plan_detach(session: VimSession, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
    """Steps that take the LUN, and its mapping file unless another VM uses that too, from the VM; none when the VM does not have it.

    A controller that becomes empty stays: nobody knows whose it is. Raises `Refused` while a snapshot refers to the LUN.
    """
    machine = Machine(session, vm, timeout)
    observed = machine.observe()
    disk = observed.disk_of(name)
    if disk is None:
        observed.refuse_if_hidden(name)
        return Plan()
    observed.refuse_unless_changeable()
    snapshots.refuse_if_any_has(session, observed.vm, name)
    return Plan([DetachDisk(machine, name, disk, _place_of(observed, disk), mapping_file.other_users(session, observed, disk))])


@dataclass
class _MachineStep(Step):
    """A change of how a LUN is a disk of a VM."""

    machine: Machine
    name: ScsiName

    def settled(self) -> bool:
        """Whatever the endpoint still does for this VM has to end before what is read back tells anything."""
        try:
            self.machine.settle()
        except CrossvisorError:
            return False
        return super().settled()


@dataclass
class AttachDisk(_MachineStep):
    """Add the LUN to the VM, together with the controller for it where one is missing."""

    place: Place
    settings: rdm.Settings
    file: MappingFile

    def __post_init__(self) -> None:
        self.title = f"attach LUN {self.name} to VM {self.machine.name} as {self.place}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.machine.observe()
        now.refuse_unless_changeable()
        self._refuse_if_overtaken(now)
        lun = host_lun.in_service(self.machine.session, now.vm.host, self.name)
        disk = rdm.add_disk(self.place, lun.uuid, lun.device_name, lun.size_bytes, self.settings, self.file.path, self.file.create)
        controllers = [] if self.place.controller else [rdm.add_controller(self.place.type, self.place.bus)]
        subject = Subject(lun=str(self.name), vm=self.machine.name, host=lun.host_name, datastore=self.file.datastore)
        self.machine.apply(now, [*controllers, disk], subject)

    def verify(self) -> None:
        now = self.machine.observe()
        disk = now.disk_of(self.name)
        if disk is None:
            raise RemoteError(
                f"VM {self.machine.name} has no disk with LUN {self.name} after the change: look at its recent tasks in vCenter."
            )
        wrong = _differences(disk, self.place, self.settings)
        if wrong:
            raise RemoteError(f"LUN {self.name} was attached to VM {self.machine.name} otherwise than asked: {'; '.join(wrong)}.")

    def undo(self) -> None:
        self.machine.settle()
        now = self.machine.observe()
        disk = now.disk_of(self.name)
        removals = [rdm.remove_disk(self.machine.device(disk.key), destroy_file=self.file.create)] if disk else []
        controller = self._own_controller(now, disk)
        if controller:
            removals.append(rdm.remove_controller(self.machine.device(controller.key)))
        if removals:
            self.machine.apply(now, removals, Subject(lun=str(self.name), vm=self.machine.name, datastore=self.file.datastore))
        if self.file.create:
            _refuse_if_left(self.machine, self.name, disk)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.machine.name}": {str(self.place): None, **({} if self.place.controller else {_controller(self.place): None})}}

    def after(self) -> Mapping[str, Any]:
        disk = {"lun": str(self.name), "mapping_file_on": self.file.datastore, **vars(self.settings)}
        added = {} if self.place.controller else {_controller(self.place): self.place.type}
        return {f"VM {self.machine.name}": {str(self.place): disk, **added}}

    def _refuse_if_overtaken(self, now: Observed) -> None:
        """Raise `Refused` when the VM has changed since the plan so that this step would do something else than it says."""
        if now.disk_of(self.name):
            raise Refused(f"LUN {self.name} was attached to VM {self.machine.name} by somebody else in the meantime: run this task again.")
        there = _controller_on(now, self.place.bus)
        planned = self.place.controller
        if (there and there.key) != (planned and planned.key) or (there and self.place.unit in there.units):
            raise Refused(f"{self.place} of VM {self.machine.name} was changed by somebody else in the meantime: run this task again.")

    def _own_controller(self, now: Observed, disk: VirtualDisk | None) -> Controller | None:
        """The controller that this step added, if nothing but this step's disk is on it."""
        if self.place.controller:
            return None
        there = _controller_on(now, self.place.bus)
        ours = {disk.unit} if disk else set()
        return there if there and set(there.units) - {slots.CONTROLLER_UNIT} <= ours else None


@dataclass
class EditDisk(_MachineStep):
    """Change the settings of a LUN that is a disk of the VM already; None keeps what it has."""

    disk: VirtualDisk
    disk_mode: str | None
    sharing: str | None

    def __post_init__(self) -> None:
        wanted = ", ".join(f"{setting} {value}" for setting, value in self._wanted.items())
        self.title = f"set {wanted} for LUN {self.name} of VM {self.machine.name}"

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
        disk = self.machine.observe().disk_of(self.name)
        wrong = [f"{setting} is {_value(disk, setting)}" for setting, value in self._wanted.items() if _value(disk, setting) != value]
        if wrong:
            raise RemoteError(f"LUN {self.name} of VM {self.machine.name} is not as asked after the change: {', '.join(wrong)}.")

    def undo(self) -> None:
        self.machine.settle()
        disk = self.machine.observe().disk_of(self.name)
        if disk and any(_value(disk, setting) != value for setting, value in self._had.items()):
            self._set(self._had)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.machine.name}": {str(self.name): self._had}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.machine.name}": {str(self.name): self._wanted}}

    def _set(self, values: Mapping[str, str]) -> None:
        now = self.machine.observe()
        now.refuse_unless_changeable()
        disk = now.disk_of(self.name)
        if disk is None:
            raise Refused(f"LUN {self.name} was detached from VM {self.machine.name} in the meantime: run this task again.")
        change = rdm.edit_disk(self.machine.device(disk.key), values.get("disk_mode"), values.get("sharing"))
        self.machine.apply(now, [change], _subject(self.machine, self.name, disk))


@dataclass
class DetachDisk(_MachineStep):
    """Take the LUN from the VM; the mapping file goes too, unless another VM uses it."""

    disk: VirtualDisk
    place: Place
    other_users: list[str]
    _removed: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        keeping = f", keeping its mapping file for {', '.join(self.other_users)}" if self.other_users else ""
        self.title = f"detach LUN {self.name} ({self.place}) from VM {self.machine.name}{keeping}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.machine.observe()
        now.refuse_unless_changeable()
        disk = now.disk_of(self.name)
        if disk is None:
            return
        self._removed = self.machine.device(disk.key)
        self.machine.apply(now, [rdm.remove_disk(self._removed, not self.other_users)], _subject(self.machine, self.name, disk))

    def verify(self) -> None:
        if self.machine.observe().disk_of(self.name):
            raise RemoteError(f"VM {self.machine.name} still has LUN {self.name} after the change: look at its recent tasks in vCenter.")
        if not self.other_users:
            _refuse_if_left(self.machine, self.name, self.disk)

    def undo(self) -> None:
        """Attach the LUN again as it was: same place, settings and mapping file."""
        self.machine.settle()
        now = self.machine.observe()
        if now.disk_of(self.name) or self._removed is None:
            return
        lun = host_lun.in_service(self.machine.session, now.vm.host, self.name)
        settings = rdm.Settings(self.disk.mode, self.disk.disk_mode, self.disk.sharing or rdm.NOT_SHARED)
        create = not mapping_file.exists(self.machine, self.disk.path, self.disk.file_system)
        disk = rdm.add_disk(self.place, lun.uuid, lun.device_name, lun.size_bytes, settings, self.disk.path, create)
        self.machine.apply(now, [disk], _subject(self.machine, self.name, self.disk, lun.host_name))

    def before(self) -> Mapping[str, Any]:
        settings = {setting: getattr(self.disk, setting) for setting in ("mode", "disk_mode", "sharing")}
        return {f"VM {self.machine.name}": {str(self.place): {"lun": str(self.name), "mapping_file": self.disk.path, **settings}}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.machine.name}": {str(self.place): None}}


def _settings(wish: AttachWish) -> rdm.Settings:
    """How a new disk shall be. Raises `InvalidInput` for what does not exist or does not go together."""
    mode = wish.mode or rdm.PHYSICAL
    default = rdm.INDEPENDENT_PERSISTENT if mode == rdm.PHYSICAL else rdm.PERSISTENT
    settings = rdm.Settings(mode, wish.disk_mode or default, wish.sharing or rdm.NOT_SHARED)
    for setting, value, known in (
        ("mode", settings.mode, rdm.COMPATIBILITY),
        ("disk_mode", settings.disk_mode, rdm.DISK_MODES),
        ("sharing", settings.sharing, rdm.SHARING),
    ):
        if value not in known:
            raise InvalidInput(f"'{value}' is no {setting} of a raw disk on vSphere: choose one of {', '.join(known)}.")
    return settings


def _refuse_disk_mode_of_physical(wish: AttachWish, mode: str) -> None:
    """Snapshots never include a disk in physical mode, so that it has no disk mode to choose."""
    if mode == rdm.PHYSICAL and wish.disk_mode not in (None, rdm.INDEPENDENT_PERSISTENT):
        raise InvalidInput(
            f"disk_mode {wish.disk_mode} does not exist for LUN {wish.name} in physical mode, which snapshots never include: "
            "ask for mode virtual, or leave disk_mode out."
        )


def _share(machine: Machine, wish: AttachWish, place: Place, settings: rdm.Settings, owner: str, disk: VirtualDisk) -> AttachDisk:
    """Attach by the mapping file of a VM that has the LUN already, whose mode and place are fixed, and which has to share it too."""
    differing = _fixed_otherwise(disk, wish)
    if differing:
        raise Refused(
            f"LUN {wish.name} can be shared with VM {owner} only by the mapping file {disk.path}, which has {', '.join(differing)}: "
            "ask for the same, or leave it out."
        )
    if disk.sharing != settings.sharing:
        raise Refused(
            f"VM {owner} has LUN {wish.name} with sharing {disk.sharing or rdm.NOT_SHARED}: set sharing to {settings.sharing} there first."
        )
    _refuse_disk_mode_of_physical(wish, disk.mode)
    same_mode = _settings(replace(wish, mode=disk.mode))
    return AttachDisk(machine, wish.name, place, same_mode, MappingFile(disk.path, datastore_of(disk.path), create=False))


def _plan_edit(machine: Machine, observed: Observed, disk: VirtualDisk, wish: AttachWish) -> Plan:
    """Steps that bring the LUN's settings to the wish. Raises `Refused` for what vSphere fixes when the disk is attached."""
    is_at, wanted_at = slots.address(disk.bus, disk.unit), _wished_place(wish, disk)
    differing = _fixed_otherwise(disk, wish) if is_at == wanted_at else [f"place {is_at}, not {wanted_at}", *_fixed_otherwise(disk, wish)]
    if differing:
        raise Refused(
            f"LUN {wish.name} is a disk of VM {observed.vm.name} already, with {', '.join(differing)}, which cannot be changed while it is "
            "attached: detach it (state=absent), then attach it again."
        )
    _refuse_disk_mode_of_physical(wish, disk.mode)
    disk_mode = None if disk.mode == rdm.PHYSICAL or wish.disk_mode == disk.disk_mode else wish.disk_mode
    sharing = None if wish.sharing == (disk.sharing or rdm.NOT_SHARED) else wish.sharing
    step = EditDisk(machine, wish.name, disk, disk_mode, sharing)
    if not step.done():
        observed.refuse_unless_changeable()
    return Plan([step])


def _fixed_otherwise(disk: VirtualDisk, wish: AttachWish) -> list[str]:
    """What a mapping file fixes when it is created, and the wish wants otherwise."""
    datastore = datastore_of(disk.path)
    fixed = (("mode", disk.mode, wish.mode or disk.mode), ("datastore", datastore, wish.file_system or datastore))
    return [f"{setting} {has}, not {wanted}" for setting, has, wanted in fixed if has != wanted]


def _wished_place(wish: AttachWish, disk: VirtualDisk) -> str:
    bus = disk.bus if wish.slot.bus is None else wish.slot.bus
    unit = disk.unit if wish.slot.unit is None else wish.slot.unit
    return slots.address(bus, unit)


def _differences(disk: VirtualDisk, place: Place, settings: rdm.Settings) -> list[str]:
    """What of a disk that was just attached is not as asked; a disk in physical mode has no disk mode."""
    asked = {"mode": settings.mode, "sharing": settings.sharing}
    if settings.mode != rdm.PHYSICAL:
        asked["disk_mode"] = settings.disk_mode
    wrong = [f"{setting} is {_value(disk, setting)}, not {value}" for setting, value in asked.items() if _value(disk, setting) != value]
    is_at = slots.address(disk.bus, disk.unit)
    return wrong if is_at == str(place) else [f"it is {is_at}, not {place}", *wrong]


def _value(disk: VirtualDisk | None, setting: str) -> str:
    value = str(getattr(disk, setting)) if disk else ""
    return value or (rdm.NOT_SHARED if setting == "sharing" else "unknown")


def _refuse_if_left(machine: Machine, name: ScsiName, disk: VirtualDisk | None) -> None:
    if disk and mapping_file.exists(machine, disk.path, disk.file_system):
        raise RemoteError(f"The mapping file {disk.path} of LUN {name} was left behind: remove it in the datastore browser.")


def _controller_on(observed: Observed, bus: int) -> Controller | None:
    there = (controller for controller in observed.vm.controllers if controller.type in slots.SCSI_TYPES)
    return next((controller for controller in there if controller.bus == bus), None)


def _place_of(observed: Observed, disk: VirtualDisk) -> Place:
    controller = next(controller for controller in observed.vm.controllers if controller.key == disk.controller)
    return Place(controller.bus, disk.unit or 0, controller.type, controller)


def _controller(place: Place) -> str:
    return f"SCSI controller {place.bus}"


def _subject(machine: Machine, name: ScsiName, disk: VirtualDisk, host: str = "of the VM") -> Subject:
    return Subject(lun=str(name), vm=machine.name, host=host, datastore=datastore_of(disk.path))
