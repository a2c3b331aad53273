# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changes of a domain: add a controller, attach a LUN, detach it. Each step observes the domain anew before it acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san import deadline
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Overtaken, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import devices, host_lun, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.changing import VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Disk, Domain, Source
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.faults import Unanswered, explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.machines import DomainPair
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE

_AGAIN_SECONDS = 1.0
_WHERE = {LIVE: " that runs", CONFIG: " as it starts next time"}
"""How a title names one part of a VM."""
_THERE = "already exists"
"""What libvirt says of a controller that somebody has added since it was looked for."""


@dataclass
class AddController(Step):
    """Add a SCSI controller, so that libvirt has no reason to add one of its own."""

    vm: VmChange
    place: Place
    parts: int
    """`LIVE`, `CONFIG`, or both."""

    def __post_init__(self) -> None:
        self.title = f"add SCSI controller {self.place.bus} ({self.place.type}) to VM {self.vm.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        self._refuse_if_overtaken()
        try:
            with explained(f"SCSI controller {self.place.bus} was not added to VM {self.vm.name}"):
                self.vm.host.attach(self.vm.uuid, devices.scsi_controller(self.place.bus, self.place.model), self.parts)
        except RemoteError as error:
            if _THERE in str(error):
                self._refuse_if_overtaken()
            raise

    def verify(self) -> None:
        missing = [part for part in _parts(self.vm.pair(), self.parts) if not part.controller(self.place.bus)]
        if missing:
            raise RemoteError(f"VM {self.vm.name} has no SCSI controller {self.place.bus} after the change: look at libvirt's log.")

    def undo(self) -> None:
        self.vm.take(f"SCSI controller {self.place.bus}", self._own)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"SCSI controller {self.place.bus}": None}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"SCSI controller {self.place.bus}": self.place.type}}

    def _refuse_if_overtaken(self) -> None:
        if any(part.controller(self.place.bus) for part in _parts(self.vm.pair(), self.parts)):
            raise Overtaken(
                f"SCSI controller {self.place.bus} was added to VM {self.vm.name} by somebody else in the meantime: run this task again."
            )

    def _own(self, part: Domain) -> str | None:
        """The controller, unless somebody has put something on it meanwhile."""
        controller = part.controller(self.place.bus)
        unplaced = any(disk.bus == "scsi" and disk.address is None for disk in part.disks)  # it may sit anywhere
        occupied = unplaced or any(address.controller == self.place.bus for _what, address in part.seats)
        return controller.xml if controller and not occupied else None


@dataclass
class AttachDisk(Step):
    """Make the LUN a disk of the VM at a place that is free."""

    vm: VmChange
    name: ScsiName
    place: Place
    parts: int
    """`LIVE`, `CONFIG`, or both."""
    shareable: bool
    target: str = ""
    """The name that the other part of the domain has it under; empty for the first that is free."""
    reservations: bool = False
    single_path: str = host_lun.REFUSE
    """Whether it may be given by a single path where the host has, or ought to have, more."""
    _source: Source | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        where = _WHERE.get(self.parts, "") if self.target else ""
        self.title = f"attach LUN {self.name} to VM {self.vm.name}{where} as {self.place}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        until = self.vm.clock() + self.vm.timeout
        while True:
            try:
                return self._give(max(until - self.vm.clock(), _AGAIN_SECONDS))
            except Unanswered:
                if self._is_there(self.vm.pair()) or self.vm.clock() >= until:
                    raise
            self.vm.sleep(_AGAIN_SECONDS)

    def _give(self, seconds: float) -> None:
        """Give the VM the LUN, for which the host may take so long. Raises `Unanswered` when it was lost again meanwhile."""
        pair = self.vm.pair()
        self.vm.refuse_if_saved(pair)
        self._refuse_if_overtaken(pair)
        with deadline.within(seconds):
            self._source = host_lun.source(self.vm.host, self.name, self.single_path, host_lun.Wait(seconds=seconds))
        self._refuse_reservations_over_the_network(self._source)
        target = self.target or places.free_target(pair.domains)
        xml = devices.lun_disk(self.name, self._source, target, self.place.address, self.shareable, self.reservations)
        try:
            with explained(f"LUN {self.name} ({self._source}) was not attached to VM {self.vm.name}"):
                self.vm.host.attach(self.vm.uuid, xml, self.parts)
        except (Refused, RemoteError):
            now = self.vm.pair()
            if not self._is_there(now):
                self._refuse_if_overtaken(now, target)  # somebody who took the place meanwhile is the better reason
            raise

    def verify(self) -> None:
        seen = self.vm.observe()
        if self.parts & ~seen.parts_with(self.name):
            raise RemoteError(f"VM {self.vm.name} does not have LUN {self.name} everywhere after the change: look at libvirt's log.")
        disks = [disk for part in _parts(seen.pair, self.parts) for disk in part.disks if disk.recorded_name == self.name]
        if any(disk.address != self.place.address for disk in disks):
            raise RemoteError(f"LUN {self.name} was attached to VM {self.vm.name} elsewhere than at {self.place}: look at the VM's XML.")
        if any(disk.reservations != self.reservations for disk in disks):
            raise RemoteError(
                f"libvirt did not keep reservations {self.reservations} of LUN {self.name} in VM {self.vm.name}: look at the VM's XML."
            )

    def undo(self) -> None:
        self.vm.take(f"LUN {self.name}", self._own)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.place): None}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.place): {"lun": str(self.name), "shareable": self.shareable, **self._kept()}}}

    def _kept(self) -> Mapping[str, Any]:
        return {"reservations": True} if self.reservations else {}

    def _refuse_reservations_over_the_network(self, source: Source) -> None:
        """Raise `Refused` where no helper stands between the guest and the array."""
        if self.reservations and source.login:
            raise Refused(
                f"LUN {self.name} reaches VM {self.vm.name} over QEMU's own iSCSI initiator, which sends the guest's persistent "
                "reservations itself: leave reservations out, or let the host see the LUN as a device."
            )

    def _is_there(self, pair: DomainPair) -> bool:
        return any(self._own(part) for part in pair.domains)

    def _own(self, part: Domain) -> str | None:
        """This step's disk, by the identity that it noted and the place."""
        ours = (disk for disk in part.disks if disk.recorded_name == self.name and disk.address == self.place.address)
        return next((disk.xml for disk in ours), None)

    def _refuse_if_overtaken(self, pair: DomainPair, target: str = "") -> None:
        """Raise `Overtaken` when somebody else has taken the place, or the name `target`, or turned the VM on or off."""
        parts = _parts(pair, self.parts)
        taken = places.used_units(parts, self.place.bus, self.place.type)
        named = any(disk.target == target for part in parts for disk in part.disks)
        if self.place.unit in taken or named or self.parts & ~pair.record.targets:
            raise Overtaken(f"VM {self.vm.name} was changed by somebody else in the meantime: run this task again.")


@dataclass
class DetachDisk(Step):
    """Take the LUN from the VM, once nothing in the guest has it mounted."""

    vm: VmChange
    name: ScsiName
    disk: Disk
    parts: int
    """Which parts of the domain have it."""
    alone: bool = True
    """Whether the VM has the LUN in no other way, so that the title need not say from where it is taken."""
    last: bool = True
    """Whether no part has the LUN afterwards, whatever it is called there; else this disk alone is gone."""

    def __post_init__(self) -> None:
        where = "" if self.alone else _WHERE.get(self.parts, "")
        self.title = f"detach LUN {self.name} ({self.disk.target}) from VM {self.vm.name}{where}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        pair = self.vm.pair()
        self.vm.refuse_if_saved(pair)
        if self._same(pair.live):
            self.vm.refuse_if_mounted(self.name)
        self.vm.take(f"LUN {self.name}", self._same)

    def verify(self) -> None:
        seen = self.vm.observe()
        left = seen.parts_with(self.name) if self.last else seen.pair.targets_with(self._is_same)
        if left:
            raise RemoteError(f"VM {self.vm.name} still has LUN {self.name} after the change: look at libvirt's log.")

    def undo(self) -> None:
        """Attach it again where it was: as the same source at the same address, if that still is the LUN and answers."""
        pair = self.vm.pair()
        missing = self.parts & ~pair.targets_with(self._is_same)
        if missing:
            if self.disk.source and self.disk.source.type == "block":
                host_lun.source(self.vm.host, self.name, host_lun.ALLOW)
            self.vm.host.attach(self.vm.uuid, self.disk.xml, missing)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {self.disk.target: {"lun": str(self.name), "source": str(self.disk.source)}}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {self.disk.target: None}}

    def _same(self, part: Domain) -> str | None:
        return next((disk.xml for disk in part.disks if self._is_same(disk)), None)

    def _is_same(self, disk: Disk) -> bool:
        return disk.target == self.disk.target and disk.source == self.disk.source


@dataclass
class TellSize(Step):
    """Tell a VM that runs how large a LUN is which has grown: QEMU asks no device for its size again by itself."""

    vm: VmChange
    name: ScsiName
    disk: Disk
    size_bytes: int
    """What the LUN is going to be at least."""

    def __post_init__(self) -> None:
        self.title = f"tell VM {self.vm.name} the new size of LUN {self.name} ({self.disk.target})"

    def done(self) -> bool:
        known = self._known()
        return not known or known >= max(self._true_size(), self.size_bytes)

    def do(self) -> None:
        size, known = self._true_size(), self._known()
        try:
            self.vm.host.session.resize(self.vm.uuid, self.disk.target, size)
        except RemoteError as error:
            raise RemoteError(
                f"VM {self.vm.name} still runs with the old size of LUN {self.name}, {known} bytes in place of {size} ({error}): run this "
                "task again, or power it off and on"
            ) from error

    def verify(self) -> None:
        if not self.done():
            raise RemoteError(f"VM {self.vm.name} still has LUN {self.name} with {self._known()} bytes: power it off and on.")

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"size of {self.disk.target}": self._known()}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"size of {self.disk.target}": max(self._true_size(), self.size_bytes)}}

    def _known(self) -> int:
        """Bytes by QEMU's word; 0 where the VM does not run, or QEMU does not tell."""
        return self.vm.host.session.capacities().get((self.vm.uuid, self.disk.target), 0)

    def _true_size(self) -> int:
        """Bytes by the word of the host, or of the target; 0 where neither tells."""
        seen = self.vm.observe()
        return seen.view.true_size(self.disk.source, self.name) if self.disk.source else 0


def _parts(pair: DomainPair, parts: int) -> list[Domain]:
    return [part for flag, part in ((LIVE, pair.live), (CONFIG, pair.config)) if parts & flag]
