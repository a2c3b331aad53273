# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changes of a domain: add a controller, attach a LUN, detach it. Each step observes the domain anew before it acts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import devices, host_lun, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Disk, Domain, DriveAddress, Source
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.faults import explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost, Observed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.machines import Machine
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE

_POLL_SECONDS = 0.2
_NO_ADDRESS = DriveAddress(0, 0, 0)


@dataclass(frozen=True)
class Guest:
    """A VM that is changed, and how long that may take."""

    host: KvmHost
    uuid: str
    name: str
    timeout: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def machine(self) -> Machine:
        """The domain as it is now. Raises `NotFound`."""
        return self.host.machine(self.uuid)

    def observe(self) -> tuple[Machine, Observed]:
        """The domain as it is now, and what is needed to know its LUNs."""
        machine = self.machine()
        return machine, self.host.observe([machine])

    def parts_with(self, name: ScsiName) -> tuple[int, Machine]:
        """Which parts of the domain (`LIVE`, `CONFIG`) have the LUN now."""
        machine, observed = self.observe()
        return machine.targets_with(lambda disk: disk.is_disk and observed.view.name_of(disk) == name), machine

    def take(self, what: str, find: Callable[[Domain], str | None]) -> None:
        """Take a device from what runs and, once the guest has let go of it, from what starts next time.

        `find` gives the device's XML in a part of the domain. Raises `TimedOut` when the guest does not let go; nothing is changed then.
        """
        running = find(self.machine().live)
        if running:
            with explained(f"{what} was not taken from VM {self.name}"):
                self.host.session.detach(self.uuid, running, LIVE)
            self._wait_until_gone(what, find)
        kept = find(self.machine().config)
        if kept:
            with explained(f"{what} was not taken from the configuration of VM {self.name}"):
                self.host.session.detach(self.uuid, kept, CONFIG)

    def refuse_if_mounted(self, name: ScsiName) -> None:
        """Raise `Refused` when the guest agent says that the LUN is mounted: libvirt would take it away with what is not yet written."""
        machine, observed = self.observe()
        targets = observed.disks_of(name, machine)
        mounted = (self.host.session.mounts(self.uuid) or {}) if machine.record.state == "on" else {}
        places_of = sorted({place for target in targets for place in mounted.get(target, ())})
        if places_of:
            raise Refused(
                f"LUN {name} is mounted in VM {self.name} at {', '.join(places_of)}: unmount it there first, "
                "or data that is not yet written is lost."
            )

    def _wait_until_gone(self, what: str, find: Callable[[Domain], str | None]) -> None:
        deadline = self.clock() + self.timeout
        while find(self.machine().live):
            if self.clock() >= deadline:
                raise TimedOut(
                    f"{what} is still in VM {self.name} after {self.timeout:g} s, because the guest does not let go of it: "
                    "see what uses it there; nothing else was changed"
                )
            self.sleep(_POLL_SECONDS)


@dataclass
class AddController(Step):
    """Add a SCSI controller, so that libvirt has no reason to add one of its own."""

    guest: Guest
    place: Place
    parts: int
    """`LIVE`, `CONFIG`, or both."""

    def __post_init__(self) -> None:
        self.title = f"add SCSI controller {self.place.bus} ({self.place.type}) to VM {self.guest.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        if any(part.controller(self.place.bus) for part in _parts(self.guest.machine(), self.parts)):
            raise Refused(
                f"SCSI controller {self.place.bus} was added to VM {self.guest.name} by somebody else in the meantime: run this task again."
            )
        with explained(f"SCSI controller {self.place.bus} was not added to VM {self.guest.name}"):
            self.guest.host.session.attach(self.guest.uuid, devices.scsi_controller(self.place.bus, self.place.model), self.parts)

    def verify(self) -> None:
        missing = [part for part in _parts(self.guest.machine(), self.parts) if not part.controller(self.place.bus)]
        if missing:
            raise RemoteError(f"VM {self.guest.name} has no SCSI controller {self.place.bus} after the change: look at libvirt's log.")

    def undo(self) -> None:
        self.guest.take(f"SCSI controller {self.place.bus}", self._own)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.guest.name}": {f"SCSI controller {self.place.bus}": None}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.guest.name}": {f"SCSI controller {self.place.bus}": self.place.type}}

    def _own(self, part: Domain) -> str | None:
        """The controller, unless somebody has put a disk on it meanwhile."""
        controller = part.controller(self.place.bus)
        occupied = any(disk.bus == "scsi" and (disk.address or _NO_ADDRESS).controller == self.place.bus for disk in part.disks)
        return controller.xml if controller and not occupied else None


@dataclass
class AttachDisk(Step):
    """Make the LUN a disk of the VM at a place that is free."""

    guest: Guest
    name: ScsiName
    place: Place
    parts: int
    """`LIVE`, `CONFIG`, or both."""
    shareable: bool
    target: str = ""
    """The name that the other part of the domain has it under; empty for the first that is free."""
    _source: Source | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        where = {LIVE: " that runs", CONFIG: " as it starts next time"}.get(self.parts, "") if self.target else ""
        self.title = f"attach LUN {self.name} to VM {self.guest.name}{where} as {self.place}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        machine = self.guest.machine()
        self._refuse_if_overtaken(machine)
        self._source = host_lun.source(self.guest.host, self.name)
        target = self.target or places.free_target(machine.domains)
        xml = devices.lun_disk(self.name, self._source, target, self.place.address, self.shareable)
        with explained(f"LUN {self.name} ({self._source}) was not attached to VM {self.guest.name}"):
            self.guest.host.session.attach(self.guest.uuid, xml, self.parts)

    def verify(self) -> None:
        has, machine = self.guest.parts_with(self.name)
        if self.parts & ~has:
            raise RemoteError(f"VM {self.guest.name} does not have LUN {self.name} everywhere after the change: look at libvirt's log.")
        disks = [disk for part in _parts(machine, self.parts) for disk in part.disks if disk.recorded_name == self.name]
        if any(disk.address != self.place.address for disk in disks):
            raise RemoteError(f"LUN {self.name} was attached to VM {self.guest.name} elsewhere than at {self.place}: look at the VM's XML.")

    def undo(self) -> None:
        self.guest.take(f"LUN {self.name}", self._own)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.guest.name}": {str(self.place): None}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.guest.name}": {str(self.place): {"lun": str(self.name), "shareable": self.shareable}}}

    def _own(self, part: Domain) -> str | None:
        """This step's disk, by the identity that it noted and the place."""
        ours = (disk for disk in part.disks if disk.recorded_name == self.name and disk.address == self.place.address)
        return next((disk.xml for disk in ours), None)

    def _refuse_if_overtaken(self, machine: Machine) -> None:
        taken = places.used_units(_parts(machine, self.parts), self.place.bus, self.place.type)
        if self.place.unit in taken or self.parts & ~machine.record.targets:
            raise Refused(f"VM {self.guest.name} was changed by somebody else in the meantime: run this task again.")


@dataclass
class DetachDisk(Step):
    """Take the LUN from the VM, once nothing in the guest has it mounted."""

    guest: Guest
    name: ScsiName
    disk: Disk
    parts: int
    """Which parts of the domain have it."""

    def __post_init__(self) -> None:
        self.title = f"detach LUN {self.name} ({self.disk.target}) from VM {self.guest.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        self.guest.refuse_if_mounted(self.name)
        self.guest.take(f"LUN {self.name}", self._same)

    def verify(self) -> None:
        has, _machine = self.guest.parts_with(self.name)
        if has:
            raise RemoteError(f"VM {self.guest.name} still has LUN {self.name} after the change: look at libvirt's log.")

    def undo(self) -> None:
        """Attach it again where it was: as the same source at the same address."""
        machine = self.guest.machine()
        missing = self.parts & ~machine.targets_with(self._is_same)
        if missing:
            self.guest.host.session.attach(self.guest.uuid, self.disk.xml, missing)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.guest.name}": {self.disk.target: {"lun": str(self.name), "source": str(self.disk.source)}}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.guest.name}": {self.disk.target: None}}

    def _same(self, part: Domain) -> str | None:
        return next((disk.xml for disk in part.disks if self._is_same(disk)), None)

    def _is_same(self, disk: Disk) -> bool:
        return disk.target == self.disk.target and disk.source == self.disk.source


def _parts(machine: Machine, parts: int) -> list[Domain]:
    return [part for flag, part in ((LIVE, machine.live), (CONFIG, machine.config)) if parts & flag]
