# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changes of a VM's disks: find the LUN's VDI, share it, connect it by a VBD, plug that in, and the way back.

Each step observes the pool anew before it acts. A VBD that a run made bears that run's mark, by which alone it is taken back.
"""

from __future__ import annotations

import uuid as uuids
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Overtaken, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import (
    host_lun,
    machines,
    passing_steps,
    probing,
    repositories,
    rescan,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.changing import Observed, VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.faults import explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import NULL, Record

_NO_SNAPSHOT = (NULL, False, xmlrpc.client.DateTime("19700101T00:00:00Z"), NULL)
"""Pool, snapshot or not, when, and of which VDI."""


@dataclass
class _VmStep(Step):
    """A change of how a LUN is a disk of a VM."""

    vm: VmChange
    name: ScsiName

    def _vdi(self, now: Observed) -> Record:
        return self._found(now)[1]

    def _found(self, now: Observed) -> tuple[str, Record]:
        """The one VDI that is the LUN, with its reference; one that its driver only lists counts where there is no other."""
        listed = now.estate.vdis_of(self.name)
        found = [(ref, vdi) for ref, vdi in listed if vdi.get("managed", True)] or listed
        if not found:
            raise NotFound(
                f"No SR of the pool lists LUN {self.name} any more: check that the array maps it to all hosts, then run this task again."
            )
        if len(found) > 1:
            where = ", ".join(str(now.estate.sr[vdi["SR"]]["name_label"]) for _ref, vdi in found)
            raise Refused(
                f"LUN {self.name} is listed by several SRs of the pool ({where}): forget it in all but one, then run this task again."
            )
        return found[0]


@dataclass
class FindDisk(_VmStep):
    """Let the pool's `iscsi` repositories list the LUN. A scan leaves nothing to undo."""

    def __post_init__(self) -> None:
        self.title = f"scan the pool's iscsi SRs for LUN {self.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe()
        rescan.scan(self.vm.session, now.estate.repositories_of(repositories.ISCSI), self.vm.timeout)

    def verify(self) -> None:
        now = self.vm.observe()
        if now.estate.vdis_of(self.name):
            return
        if host_lun.shown_by_adapter(self.vm.session, now.estate.master, self.name):
            raise Overtaken(f"LUN {self.name} is shown over Fibre Channel, and by no iscsi SR of the pool: run this task again.")
        raise NotFound(
            f"No iscsi SR of the pool lists LUN {self.name} after a scan: check that the array maps it to the initiator of the master."
        )


@dataclass
class ShareDisk(_VmStep):
    """Let several VMs have the LUN's VDI at once.

    `VDI.set_sharable` is the storage manager's own; to introduce a VDI anew, with its UUID and location, is what is left to clients.
    """

    def __post_init__(self) -> None:
        self.title = f"make the VDI of LUN {self.name} sharable"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        self._set(True)

    def verify(self) -> None:
        if not self._vdi(self.vm.observe())["sharable"]:
            raise RemoteError(f"The VDI of LUN {self.name} is not sharable after the change: look at the pool's log.")

    def undo(self) -> None:
        now = self.vm.observe()
        vdi = self._vdi(now)
        if vdi["sharable"] and not any(ref in now.estate.vbd for ref in vdi["VBDs"]):
            self._set(False)

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"sharable": True}}

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"sharable": False}}

    def _set(self, value: bool) -> None:
        now = self.vm.observe()
        vdi = self._vdi(now)
        users = [ref for ref in vdi["VBDs"] if ref in now.estate.vbd]
        if users:
            raise Refused(f"The VDI of LUN {self.name} has got a user in the meantime, and cannot be made sharable: detach it there first.")
        introduced = (
            *(vdi[field] for field in ("uuid", "name_label", "name_description", "SR", "type")),
            value,
            *(vdi[field] for field in ("read_only", "other_config", "location", "xenstore_data")),
            {"LUNid": vdi["sm_config"].get("LUNid", "")},
            True,
            *(vdi[field] for field in ("virtual_size", "physical_utilisation")),
            *_NO_SNAPSHOT,
        )
        with explained(f"The VDI of LUN {self.name} was not made {'sharable' if value else 'unsharable again'}"):
            self.vm.session.change("VDI.introduce", *introduced, timeout=self.vm.timeout)


@dataclass
class ConnectDisk(_VmStep):
    """Give the LUN's VDI to the VM, at a device number that is free."""

    place: Place
    sharing: bool
    _token: str = field(default_factory=lambda: str(uuids.uuid4()), init=False)

    def __post_init__(self) -> None:
        self.title = f"attach LUN {self.name} to VM {self.vm.name} as {self.place}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe()
        now.refuse_unless_changeable()
        if now.vbds_of(self.name):
            raise Refused(f"LUN {self.name} was attached to VM {self.vm.name} by somebody else in the meantime: run this task again.")
        if self.place.unit in now.units((), ()).taken:
            raise Overtaken(f"{self.place} of VM {self.vm.name} was taken by somebody else in the meantime: run this task again.")
        ref, vdi = self._found(now)
        self._refuse_unless_it(now, vdi)
        with explained(f"LUN {self.name} was not attached to VM {self.vm.name} as {self.place}"):
            self.vm.session.change("VBD.create", self._record(now, ref), timeout=self.vm.timeout)

    def verify(self) -> None:
        own = self._own(self.vm.observe())
        if own is None:
            raise RemoteError(f"VM {self.vm.name} has no disk with LUN {self.name} after the change: look at the pool's log.")
        if machines.unit(own[1]) != self.place.unit:
            raise RemoteError(f"LUN {self.name} was attached to VM {self.vm.name} elsewhere than as {self.place}: look at the pool's log.")

    def undo(self) -> None:
        own = self._own(self.vm.observe())
        if own:
            _take(self.vm, self.name, *own)

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.place): None}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {str(self.place): {"lun": str(self.name)}}}

    def _own(self, now: Observed) -> tuple[str, Record] | None:
        """This step's VBD, by its mark."""
        return next(((ref, vbd) for ref, vbd in now.vbds_of(self.name) if vbd["other_config"].get(repositories.RUN) == self._token), None)

    def _record(self, now: Observed, vdi: str) -> dict[str, Any]:
        return {
            "VM": now.ref,
            "VDI": vdi,
            "userdevice": str(self.place.unit),
            "bootable": False,
            "mode": "RW",
            "type": "Disk",
            "unpluggable": True,
            "empty": False,
            "other_config": {repositories.RUN: self._token},
            "qos_algorithm_type": "",
            "qos_algorithm_params": {},
        }

    def _refuse_unless_it(self, now: Observed, vdi: Record) -> None:
        """Raise `Refused` when the VDI is not, by everything that can be read, the LUN and nobody else's."""
        sr = now.estate.sr[vdi["SR"]]
        if vdi.get("missing", False) or not vdi.get("managed", True):
            raise Refused(f"SR {sr['name_label']} lists LUN {self.name} as missing or unmanaged: scan it, then run this task again.")
        others = now.estate.users(vdi)
        if others and not self.sharing:
            raise Refused(f"The VDI of LUN {self.name} is a disk of VM {', '.join(others)} by now: detach it there first.")
        now.estate.refuse_kept(vdi, self.name)
        unplugged = now.estate.without(sr) if sr["shared"] else now.homeless(sr)
        if unplugged:
            raise Refused(
                f"SR {sr['name_label']}, which has LUN {self.name}, is not plugged in on {', '.join(unplugged)}, where VM {self.vm.name} "
                "may run: plug its PBD in there, then run this task again."
            )
        if sr["type"] == repositories.ISCSI:
            self._refuse_unless_shown(now, vdi, sr)
        elif sr["type"] in repositories.PASSING:
            self._refuse_unless_seen(now, vdi, sr)

    def _refuse_unless_seen(self, now: Observed, vdi: Record, sr: Record) -> None:
        """The same of a LUN that adapters for Fibre Channel show."""
        host = now.estate.master if sr["shared"] else passing_steps.home(now)
        shown = host_lun.shown_by_adapter(self.vm.session, host, self.name)
        if shown is None:
            raise NotFound(f"No adapter for Fibre Channel shows LUN {self.name} any more: map it to all hosts of the pool.")
        if shown.size_bytes != machines.number(vdi["virtual_size"]):
            raise Refused(
                f"SR {sr['name_label']} has LUN {self.name} with {vdi['virtual_size']} bytes and the adapter shows {shown.size_bytes}: "
                "let the hosts go of it (state=released), then run this task again."
            )
        there = probing.repositories_on(self.vm.session, host, probing.LVM_FC, {}, self.name)
        self._refuse_carried(there)

    def _refuse_unless_shown(self, now: Observed, vdi: Record, sr: Record) -> None:
        """Raise `Refused` when the target shows the LUN with another size, or when the LUN carries a storage repository of anybody's."""
        if vdi["uuid"] != repositories.vdi_uuid(self.name):
            raise Refused(
                f"The VDI {vdi['uuid']} of SR {sr['name_label']} says that it is LUN {self.name} and does not bear that LUN's UUID: "
                "scan the SR, then run this task again."
            )
        shown = host_lun.shown_by_target(self.vm.session, now.estate, now.estate.master, self.name)
        if shown is None:
            raise NotFound(f"The target of SR {sr['name_label']} no longer shows LUN {self.name}: map it to all hosts of the pool.")
        target, lun = shown
        if lun.size_bytes != machines.number(vdi["virtual_size"]):
            raise Refused(
                f"SR {sr['name_label']} has LUN {self.name} with {vdi['virtual_size']} bytes and the target shows {lun.size_bytes}: "
                "scan the SR, then run this task again."
            )
        self._refuse_carried(
            probing.repositories_on(self.vm.session, now.estate.master, probing.LVM_ISCSI, target.device_config, self.name)
        )

    def _refuse_carried(self, there: Sequence[probing.CarriedRepository]) -> None:
        if there:
            raise Refused(
                f"LUN {self.name} carries the storage repository {', '.join(map(str, there))} of another pool, or a forgotten one, and "
                f"will not be given to VM {self.vm.name}: name another LUN, or wipe it first if nobody needs what is on it."
            )


@dataclass
class PlugDisk(_VmStep):
    """Hand a disk that the VM has to the guest that runs."""

    _plugged: list[str] = field(default_factory=list, init=False)
    """The VBDs (references) that this step has plugged in, or tried to."""

    def __post_init__(self) -> None:
        self.title = f"plug LUN {self.name} into the running VM {self.vm.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe()
        for ref, vbd in now.vbds_of(self.name):
            if now.running and not vbd["currently_attached"]:
                self._plugged.append(ref)
                with explained(f"LUN {self.name} was not plugged into VM {self.vm.name}"):
                    self.vm.session.change("VBD.plug", ref, timeout=self.vm.timeout)

    def verify(self) -> None:
        now = self.vm.observe()
        if now.running and not all(vbd["currently_attached"] for _ref, vbd in now.vbds_of(self.name)):
            raise RemoteError(f"LUN {self.name} is not plugged into VM {self.vm.name} after the change: look at the pool's log.")

    def undo(self) -> None:
        now = self.vm.observe()
        for ref, vbd in now.vbds_of(self.name):
            if ref in self._plugged:
                _unplug(self.vm, self.name, ref, vbd)

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"LUN {self.name}": "plugged in"}}

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"LUN {self.name}": "not plugged in"}}


@dataclass
class UnplugDisk(_VmStep):
    """Take the LUN from the guest that runs; while the guest keeps it, nothing is changed."""

    vbd: Record

    def __post_init__(self) -> None:
        self.title = f"unplug LUN {self.name} from the running VM {self.vm.name}"

    def done(self) -> bool:
        return not self.vbd["currently_attached"]

    def do(self) -> None:
        now = self.vm.observe()
        now.refuse_unless_changeable()
        for ref, vbd in _same(now, self.name, self.vbd):
            _unplug(self.vm, self.name, ref, vbd)

    def verify(self) -> None:
        if any(vbd["currently_attached"] for _ref, vbd in _same(self.vm.observe(), self.name, self.vbd)):
            raise RemoteError(f"LUN {self.name} is still plugged into VM {self.vm.name} after the change: look at the pool's log.")

    def undo(self) -> None:
        PlugDisk(self.vm, self.name).do()

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"LUN {self.name}": "plugged in"}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"LUN {self.name}": "not plugged in"}}


@dataclass
class DetachDisk(_VmStep):
    """Take the LUN, which the guest no longer has, from the VM."""

    vbd: Record

    def __post_init__(self) -> None:
        self.title = f"detach LUN {self.name} (SCSI({machines.BUS}:{self.vbd['userdevice']})) from VM {self.vm.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe()
        now.refuse_unless_changeable()
        for ref, vbd in _same(now, self.name, self.vbd):
            if vbd["currently_attached"]:
                raise Overtaken(f"LUN {self.name} was plugged into VM {self.vm.name} again in the meantime: run this task again.")
            _take(self.vm, self.name, ref, vbd)

    def verify(self) -> None:
        if _same(self.vm.observe(), self.name, self.vbd):
            raise RemoteError(f"VM {self.vm.name} still has LUN {self.name} after the change: look at the pool's log.")

    def undo(self) -> None:
        """Attach it again where it was."""
        now = self.vm.observe()
        place = machines.unit(self.vbd)
        if now.vbds_of(self.name) or place is None:
            return
        ConnectDisk(self.vm, self.name, Place(place), sharing=bool(self._vdi(now)["sharable"])).do()

    def before(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"SCSI({machines.BUS}:{self.vbd['userdevice']})": {"lun": str(self.name)}}}

    def after(self) -> Mapping[str, Any]:
        return {f"VM {self.vm.name}": {f"SCSI({machines.BUS}:{self.vbd['userdevice']})": None}}


def _same(now: Observed, name: ScsiName, wanted: Record) -> list[tuple[str, Record]]:
    return [(ref, vbd) for ref, vbd in now.vbds_of(name) if vbd["uuid"] == wanted["uuid"]]


def _take(vm: VmChange, name: ScsiName, ref: str, vbd: Record) -> None:
    _unplug(vm, name, ref, vbd)
    with explained(f"LUN {name} was not taken from VM {vm.name}"):
        vm.session.change("VBD.destroy", ref, timeout=vm.timeout)


def _unplug(vm: VmChange, name: ScsiName, ref: str, vbd: Record) -> None:
    if vbd["currently_attached"]:
        with explained(f"LUN {name} was not unplugged from VM {vm.name}"):
            vm.session.change("VBD.unplug", ref, timeout=vm.timeout)
