# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a LUN out of use on ESXi hosts before the array unmaps it, and let them forget it afterwards.

The order is that of the vSphere Web Services API reference (DetachScsiLun, DeleteScsiLunState): a device that is detached first
loses its paths silently, any other is an all-paths-down. The API does not list what a host remembers of devices that are gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import (
    datastores,
    host_lun,
    machines,
    properties,
    rescan,
    storage,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.faults import Subject, explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.host_lun import GONE, HostLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.tree import name_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DEVICE_OFF, DEVICE_OK, Use
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Attempt, Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ObjectRecord

_IN_USE = "ResourceInUse"
_AS_WANTED_ALREADY = "InvalidState"
_VIEW_SECONDS = 20.0
"""How long vCenter may take to show what a host has done: HostSystem.config is its copy, and follows the host a little later."""
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 4.0
_LET_GO = (
    "let the hosts go of it first (the playbook remove_disk, or ptd_attach with state=absent and release=true, or with state=released when "
    "no VM has it)"
)
_SERVICE = ("name", "runtime.connectionState", properties.HOST_POWER, properties.LUNS)
_FORGOTTEN = frozenset({"NotFound"})
_NOTHING_TO_FORGET = _FORGOTTEN | {"HostConfigFault"}
"""The reference has one fault for whatever a host cannot forget, a LUN that it does not remember among it."""
_OWNED: properties.Paths = {properties.HOST: ("vm", "datastore")}
_MACHINES: properties.Paths = {properties.VIRTUAL_MACHINE: properties.MACHINE}
_DATASTORES: properties.Paths = {properties.DATASTORE: properties.DATASTORE_INFO}


def plan_release(session: VimSession, hosts: Sequence[str], name: ScsiName) -> Plan:
    """A step for each host (id) that detaches the LUN there, done where it is detached or not seen; observed in one request."""
    return Plan([DetachDevice(lun, name) for lun in host_lun.observe(session, hosts, name)])


def plan_forget(session: VimSession, hosts: Sequence[str], name: ScsiName) -> Plan:
    """One rescan of the hosts (ids) that list the LUN, and for each a step that drops what it remembers; observed in one request.

    A host that lists the LUN no more may still remember that it was detached, because another run's rescan has noticed the loss first.
    """
    seen = host_lun.observe(session, hosts, name)
    listed = [lun for lun in seen if lun.state != GONE]
    unlisted = [DropMemory(lun, name) for lun in seen if lun.state == GONE]
    return Plan([NoticeLoss(session, listed, name), *(ForgetDevice(lun, name) for lun in listed), *unlisted])


def in_service(session: VimSession, hosts: Sequence[str], name: ScsiName) -> list[Use]:
    """The hosts (ids) that would lose all paths of an unmapped LUN, because it is not off there, and those that cannot be asked.

    A LUN from which a host boots is among them: no host detaches the disk that it runs from. What vCenter shows of a host that it does not
    reach is as old as the connection, and tells nothing.
    """
    found = [_in_service(record, name) for record in session.retrieve({properties.HOST: _SERVICE}, {properties.HOST: list(hosts)})]
    return [use for use in found if use is not None]


def _in_service(record: ObjectRecord, name: ScsiName) -> Use | None:
    host, moid = name_of(record), record.moid
    unknown = storage.unreadable(record) or storage.out_of_reach(record)
    if unknown:
        return Use("host", host, moid, f"cannot be asked whether it has the LUN in service because {unknown}", name, doubt=True)
    state = next((device.state for device in storage.devices(record) if device.name == name), GONE)
    return None if state in (DEVICE_OFF, GONE) else Use("host", host, moid, f"has it in service ({state})", name, way_out=_LET_GO)


@dataclass
class NoticeLoss(Step):
    """Let the hosts that list the LUN notice that the array presents it no more. A rescan leaves nothing to undo."""

    session: VimSession
    listed: Sequence[HostLun]
    name: ScsiName

    def __post_init__(self) -> None:
        self.title = f"rescan {', '.join(lun.host_name for lun in self.listed)} for the loss of LUN {self.name}"

    def done(self) -> bool:
        return not self.listed

    def do(self) -> None:
        in_service = [lun.host_name for lun in self.listed if lun.state == DEVICE_OK]
        if in_service:
            raise Refused(
                f"LUN {self.name} is in service on {', '.join(in_service)}: release it (ptd_attach with state=absent and release=true) "
                "and unmap it on the array first."
            )
        rescan.rescan_hbas(self.session, [lun.host for lun in self.listed])


@dataclass
class _DeviceStep(Step):
    """A change of what one host does with the LUN."""

    lun: HostLun
    name: ScsiName
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def _now(self) -> HostLun:
        (lun,) = host_lun.observe(self.lun.session, [self.lun.host], self.name)
        return lun

    def _once(self, wanted: Callable[[str], bool]) -> HostLun:
        """The LUN as soon as it is shown in a wanted state; after a while, however it is shown."""
        deadline, pause = self.clock() + _VIEW_SECONDS, _FIRST_PAUSE
        now = self._now()
        while not wanted(now.state) and self.clock() < deadline:
            self.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            now = self._now()
        return now

    @property
    def _subject(self) -> Subject:
        return Subject(lun=str(self.name), host=self.lun.host_name)

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self.lun.host_name: self.lun.state}}


@dataclass
class DetachDevice(_DeviceStep):
    """Switch the LUN off on a host, administratively: no I/O, and no all-paths-down when it is unmapped."""

    _was_off: bool = field(default=False, init=False)
    """Somebody else had switched it off by then, so that it is not for this run to switch it on."""

    def __post_init__(self) -> None:
        self.title = f"detach LUN {self.name} from host {self.lun.host_name}"

    def done(self) -> bool:
        return self.lun.state in (DEVICE_OFF, GONE)

    def do(self) -> None:
        try:
            with explained(self._subject):
                self.lun.storage_system.DetachScsiLun(self.lun.uuid)
        except RemoteError as error:
            if error.code == _IN_USE:
                raise Refused(self._in_use(error)) from error
            if error.code != _AS_WANTED_ALREADY:
                raise
            self._was_off = True

    def verify(self) -> None:
        state = self._once(lambda state: state in (DEVICE_OFF, GONE)).state
        if state not in (DEVICE_OFF, GONE):
            raise RemoteError(
                f"LUN {self.name} is {state} on host {self.lun.host_name} after it was detached: look at the host's recent tasks."
            )

    def undo(self) -> None:
        """Switch it on again, and look that it is: what vCenter shows may be older than the change, the host knows better."""
        if self._was_off:
            return
        try:
            with explained(self._subject):
                self.lun.storage_system.AttachScsiLun(self.lun.uuid)
        except RemoteError as error:
            if error.code != _AS_WANTED_ALREADY:
                raise
        state = self._once(lambda state: state not in (DEVICE_OFF, GONE)).state
        if state in (DEVICE_OFF, GONE):
            raise RemoteError(
                f"LUN {self.name} is still {state} on host {self.lun.host_name} after it was attached again: attach the device there."
            )

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self.lun.host_name: DEVICE_OFF}}

    def _in_use(self, error: RemoteError) -> str:
        users = _users(self.lun.session, self.lun.host, self.name)
        by = (
            f" for {', '.join(users)}"
            if users
            else ", for something that the inventory does not show, such as its boot disk or a coredump partition"
        )
        return f"Host {self.lun.host_name} still uses LUN {self.name}{by}: remove it there first. ({error})"


@dataclass
class ForgetDevice(_DeviceStep):
    """Let a host that no longer lists the LUN drop the memory that it was detached."""

    def __post_init__(self) -> None:
        self.title = f"forget LUN {self.name} on host {self.lun.host_name}"

    def done(self) -> bool:
        return self.lun.state == GONE

    def do(self) -> None:
        self._forget(_FORGOTTEN)

    def verify(self) -> None:
        self._refuse_if_there(self._now())

    def settled(self) -> bool:
        """No read tells what a host remembers of a LUN that it does not list, but forgetting twice is harmless."""
        try:
            self._forget(_NOTHING_TO_FORGET)
        except CrossvisorError:
            return False
        return super().settled()

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self.lun.host_name: GONE}}

    def _forget(self, nothing: frozenset[str]) -> None:
        self._refuse_if_there(self._once(lambda state: state == GONE))
        _drop_memory(self.lun, self.lun.device, self._subject, nothing)

    def _refuse_if_there(self, now: HostLun) -> None:
        if now.state in (DEVICE_OFF, DEVICE_OK):
            raise Refused(
                f"LUN {self.name} is still presented by the array to host {now.host_name}: unmap it there first; "
                f"until then it stays {now.state}."
            )
        if now.state != GONE:
            raise Refused(
                f"LUN {self.name} has no paths on host {now.host_name} but is still listed as {now.state}, so something there holds it "
                "open: see 'esxcli storage core device world list' on the host."
            )


@dataclass
class DropMemory(Attempt):
    """Let a host that does not list the LUN drop the memory that it was detached, if it has one: vSphere lets nobody read that."""

    lun: HostLun
    name: ScsiName

    def __post_init__(self) -> None:
        self.title = f"forget LUN {self.name} on host {self.lun.host_name}"

    def do(self) -> None:
        name = str(self.name)
        self.found = _drop_memory(self.lun, name, Subject(lun=name, host=self.lun.host_name), _NOTHING_TO_FORGET)


def _drop_memory(lun: HostLun, device: str, subject: Subject, nothing: frozenset[str]) -> bool:
    """Tell whether the host had anything to forget; it had not where it refuses by one of the faults in `nothing`."""
    try:
        with explained(subject):
            lun.storage_system.DeleteScsiLunState(device)
    except RemoteError as error:
        if error.code not in nothing:
            raise
        return False
    return True


def _users(session: VimSession, host: str, name: ScsiName) -> list[str]:
    """The VMs and datastores of a host that lie on the LUN, by kind and name."""
    owned = [(record.texts("vm"), record.texts("datastore")) for record in session.retrieve(_OWNED, {properties.HOST: [host]})]
    vms = [moid for moids, _stores in owned for moid in moids]
    stores = [moid for _vms, moids in owned for moid in moids]
    machines_there = map(machines.machine, session.retrieve(_MACHINES, {properties.VIRTUAL_MACHINE: vms}))
    stores_there = map(datastores.file_system, session.retrieve(_DATASTORES, {properties.DATASTORE: stores}))
    users = [f"VM {vm.name}" for vm in machines_there if any(disk.name == name for disk in vm.disks)]
    return users + [
        f"datastore {store.name}" for store in stores_there if any(ScsiName.try_parse(extent) == name for extent in store.extents)
    ]
