# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN over Fibre Channel as the vendor supports it: a repository of its own (lvmohba) with one raw volume, which stands for the LUN.

What the guest sees is a disk on the LUN, not the LUN. Making a repository writes LVM's labels to the LUN, so that it is done only by the
user's word that the LUN is empty; one that an earlier run made and released is found on the LUN and taken up again, with its data.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    NotFound,
    Overtaken,
    Refused,
    RemoteError,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import host_lun, machines, probing, repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.changing import VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.faults import explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record

_EXTENT = 4 << 20
"""LVM's extents, in which volumes are measured."""
_VDI = {"type": "user", "read_only": False, "xenstore_data": {}, "tags": []}


@dataclass
class MakeRepository(Step):
    """Make the LUN a repository that every host of the pool has plugged in, or take up the one that it carries."""

    vm: VmChange
    name: ScsiName
    initialize: bool
    _run: str = field(default_factory=lambda: str(uuids.uuid4()), init=False)
    """The mark of what this run makes, by which alone it is taken back."""
    _created: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.title = f"make LUN {self.name} an SR of type {repositories.LVM_FC} of its own"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        now = self.vm.observe().estate
        with self.all_or_nothing():
            if now.own_repository(self.name) is None:
                self._make(now)
                now = self.vm.observe().estate
            self._plug(now)

    def verify(self) -> None:
        now = self.vm.observe().estate
        own = now.own_repository(self.name)
        if own is None:
            raise RemoteError(f"The pool has no SR of LUN {self.name} after the change: look at the pool's log.")
        missing = now.without(own[1])
        if missing:
            raise RemoteError(f"The SR of LUN {self.name} is not plugged in on {', '.join(missing)}: check that they see the LUN.")

    def undo(self) -> None:
        now = self.vm.observe().estate
        own = now.own_repository(self.name)
        if own is None or repositories.marked_run(own[1]) != self._run:
            return
        ref, sr = own
        if self._created and sr["VDIs"]:
            return
        self._unplug(now, sr)
        self._change("SR.destroy" if self._created else "SR.forget", ref)

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"SR": None}}

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"SR": repositories.LVM_FC}}

    def _make(self, now: Estate) -> None:
        shown = host_lun.shown_by_adapter(self.vm.session, now.master, self.name)
        if shown is None and host_lun.shown_by_target(self.vm.session, now, now.master, self.name):
            raise Overtaken(f"LUN {self.name} is shown over iSCSI, and not over Fibre Channel: run this task again.")
        if shown is None:
            raise NotFound(
                f"The master of the pool does not see LUN {self.name} over Fibre Channel: "
                "check zoning, and that the array maps it to all hosts."
            )
        there = probing.repositories_on(self.vm.session, now.master, repositories.LVM_FC, {}, self.name)
        if there:
            self._introduce(now, there, shown.size_bytes)
        elif self.initialize:
            self._created = True
            self._change(
                "SR.create", now.master, {"SCSIid": self.name.xapi}, "0", *self._named(shown.size_bytes), repositories.LVM_FC, "", True, {}
            )
        else:
            raise Refused(
                f"LUN {self.name} is not an SR yet, and making it one writes to it: say "
                f"{option('initialize', 'true')} if nobody needs what is on it, or name another LUN."
            )

    def _named(self, size_bytes: int) -> tuple[str, str]:
        return f"LUN {self.name}", repositories.mark(self.name, size_bytes, self._run)

    def _introduce(self, now: Estate, there: list[probing.CarriedRepository], size_bytes: int) -> None:
        named = ", ".join(map(str, there))
        if any(sr["uuid"] in [found.uuid for found in there] for sr in now.sr.values()):
            raise Refused(f"LUN {self.name} carries the storage repository {named}, which is in use: name another LUN.")
        if [repositories.marked({"name_description": found.description}) for found in there] != [self.name]:
            raise Refused(
                f"LUN {self.name} carries the storage repository {named}, which this collection did not make for it and another pool may "
                "use: name another LUN, or wipe it first if nobody needs what is on it."
            )
        self._change("SR.introduce", there[0].uuid, *self._named(size_bytes), repositories.LVM_FC, "", True, {})

    def _plug(self, now: Estate) -> None:
        """Let every host that is live have it; a run that was killed, or a host that has come since, may have left one without."""
        own = now.own_repository(self.name)
        if own is None:
            return
        ref, sr = own
        connected = {pbd["host"] for pbd in now.pbds(sr)}
        for host in now.host:
            if host not in connected:
                record = {"host": host, "SR": ref, "device_config": {"SCSIid": self.name.xapi}, "other_config": {}}
                self._change("PBD.create", record)
        now = self.vm.observe().estate
        for pbd in now.sr[ref]["PBDs"]:
            if not now.pbd[pbd]["currently_attached"] and now.is_live(now.pbd[pbd]["host"]):
                self._change("PBD.plug", pbd)

    def _unplug(self, now: Estate, sr: Record) -> None:
        for ref in sr["PBDs"]:
            if now.pbd[ref]["currently_attached"]:
                self._change("PBD.unplug", ref)

    def _change(self, method: str, *arguments: Any) -> Any:
        with explained(f"The SR of LUN {self.name} was not changed by {method}"):
            return self.vm.session.change(method, *arguments, timeout=self.vm.timeout)


@dataclass
class MakeVolume(Step):
    """Give the LUN's repository its one raw volume, as large as it can be. One that is there is kept with its data."""

    vm: VmChange
    name: ScsiName
    sharable: bool = False
    """Whether several VMs may have it at once, which is decided when it is made."""
    _run: str = field(default_factory=lambda: str(uuids.uuid4()), init=False)

    def __post_init__(self) -> None:
        self.title = f"make the raw volume on LUN {self.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        ref, _sr = self._repository()
        self._change("SR.scan", ref)
        ref, sr = self._repository()
        if sr["VDIs"]:
            return
        size = (machines.number(sr["physical_size"]) - machines.number(sr["physical_utilisation"])) // _EXTENT * _EXTENT
        if size <= 0:
            raise Refused(f"LUN {self.name} is too small for an SR with a volume: make it larger by a few extents of 4 MiB.")
        text = {"name_label": f"LUN {self.name}", "name_description": repositories.mark(self.name)}
        own = {"other_config": {repositories.RUN: self._run}, "sharable": self.sharable, "virtual_size": str(size)}
        self._change("VDI.create", {**_VDI, **text, **own, "SR": ref, "sm_config": {"type": "raw"}})

    def verify(self) -> None:
        _ref, sr = self._repository()
        now = self.vm.observe().estate
        volumes = [now.vdi[ref] for ref in sr["VDIs"] if ref in now.vdi]
        if len(volumes) != 1 or not repositories.is_raw(volumes[0]):
            raise RemoteError(f"The SR of LUN {self.name} has not exactly one raw volume: look at it in the pool's console.")

    def undo(self) -> None:
        now = self.vm.observe().estate
        for ref, vdi in now.vdis_of(self.name):
            if vdi["other_config"].get(repositories.RUN) == self._run and not vdi["VBDs"]:
                self._change("VDI.destroy", ref)

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"volume": "raw"}}

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"volume": None}}

    def _repository(self) -> tuple[str, Record]:
        own = self.vm.observe().estate.own_repository(self.name)
        if own is None:
            raise NotFound(f"The SR of LUN {self.name} is not there any more: run this task again.")
        return own

    def _change(self, method: str, *arguments: Any) -> Any:
        with explained(f"The volume on LUN {self.name} was not changed by {method}"):
            return self.vm.session.change(method, *arguments, timeout=self.vm.timeout)
