# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN over Fibre Channel as it is, by drivers that their vendor does not support: `hba`, which chooses by size, and `udev`, by a path.

Facts are of sm (drivers/HBASR.py, LUNperVDI.py, udevSR.py). A repository of type `hba` lists every LUN of the adapters as a VDI that is not
managed; `VDI.create` makes the smallest managed that is large enough, and never tells before which. It is asked for the LUN's size exactly,
and only where no other is of that size; what it took is read back, and given back when it is another. One of type `udev` is a host's own.
"""

from __future__ import annotations

import uuid as uuids
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import host_lun, machines, repositories, rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.changing import Observed, VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.faults import explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import NULL, Record

_NO_SNAPSHOT = (NULL, False, xmlrpc.client.DateTime("19700101T00:00:00Z"), NULL)
_LOCATION = "/dev/crossvisor.san"
"""The directory of a udev repository, which need not be there: devices are introduced by their own paths."""


def home(now: Observed) -> str:
    """The host (reference) whose devices the VM can have. Raises `Refused` for a VM that may start on any."""
    ref = next((ref for ref in (now.vm["resident_on"], now.vm["affinity"]) if ref in now.estate.host), "")
    if not ref:
        raise Refused(
            f"VM {now.vm['name_label']} is off and has no home server, so that nobody can tell whose device it needs: start it, or set its "
            "affinity, then run this task again."
        )
    return ref


@dataclass
class _PassingStep(Step):
    """What the two have in common."""

    vm: VmChange
    name: ScsiName
    sharable: bool
    _run: str = field(default_factory=lambda: str(uuids.uuid4()), init=False)

    kind = ""

    def done(self) -> bool:
        return False

    def do(self) -> None:
        with self.all_or_nothing():
            self._make()

    def verify(self) -> None:
        now = self.vm.observe().estate
        if not any(vdi["managed"] and now.sr[vdi["SR"]]["type"] == self.kind for _ref, vdi in now.vdis_of(self.name)):
            raise RemoteError(f"The pool has no VDI of LUN {self.name} after the change: look at the pool's log.")

    def undo(self) -> None:
        """Give back every VDI that bears this run's mark, whichever LUN it is, and forget the repository if this run made it.

        What somebody uses by now stays, with the repository of which it is.
        """
        now = self.vm.observe().estate
        for ref, vdi in now.vdi.items():
            if vdi["other_config"].get(repositories.RUN) == self._run and not now.is_used(vdi):
                self._give_back(ref, vdi)
        for ref, sr in now.repositories_of(self.kind):
            if repositories.marked_run(sr) == self._run and not any(self._is_wanted(now, now.vdi[vdi]) for vdi in sr["VDIs"]):
                forget(self.vm, now, ref, sr)

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"VDI": None}}

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"VDI": self.kind}}

    def _is_wanted(self, now: Estate, vdi: Record) -> bool:
        made_here = vdi["other_config"].get(repositories.RUN) == self._run
        return now.is_used(vdi) or (vdi["managed"] and not made_here)

    def _make(self) -> None:
        raise NotImplementedError

    def _give_back(self, ref: str, vdi: Record) -> None:
        raise NotImplementedError

    def _repository(self, host: str, config: Mapping[str, str], shared: bool) -> str:
        """The repository of this type that the host has plugged in, made where there is none."""
        now = self.vm.observe().estate
        found = [ref for ref, sr in now.repositories_of(self.kind) if now.host[host]["uuid"] in now.attached_hosts(sr)]
        if found:
            return found[0]
        offered = self.vm.session.read("SR.get_supported_types")
        if self.kind not in offered:
            raise Refused(
                f"The pool offers no SR of type {self.kind} (it offers {', '.join(sorted(map(str, offered)))}): leave fc_method out, which "
                f"makes LUN {self.name} an SR of its own."
            )
        text = ("LUNs over Fibre Channel", repositories.passing_mark(self._run))
        return str(self._change("SR.create", host, dict(config), "0", *text, self.kind, "", shared, {}))

    def _change(self, method: str, *arguments: Any) -> Any:
        with explained(f"The VDI of LUN {self.name} was not changed by {method}"):
            return self.vm.session.change(method, *arguments, timeout=self.vm.timeout)


@dataclass
class ChooseDisk(_PassingStep):
    """Let the driver `hba` make the LUN's VDI managed, where nothing but the LUN can be what it takes."""

    kind = repositories.HBA

    def __post_init__(self) -> None:
        self.title = f"let the SR of type {self.kind} hand on LUN {self.name}"

    def _make(self) -> None:
        ref = self._repository(self.vm.observe().estate.master, {}, shared=True)
        self._scan(ref)
        size = self._size(self.vm.observe().estate, ref)
        text = {"name_label": f"LUN {self.name}", "name_description": repositories.mark(self.name), "type": "user"}
        own = {"other_config": {repositories.RUN: self._run}, "sharable": self.sharable, "read_only": False}
        made = self._change(
            "VDI.create", {**text, **own, "SR": ref, "virtual_size": str(size), "sm_config": {}, "xenstore_data": {}, "tags": []}
        )
        took = self.vm.observe().estate.vdi.get(str(made))
        if took is None or took["sm_config"].get("SCSIid") != self.name.xapi:
            other = took["sm_config"].get("SCSIid", "another") if took else "another"
            raise Refused(
                f"The driver took the LUN {other} in place of {self.name}, because another LUN came or went meanwhile; it was given back: "
                "run this task again."
            )

    def _scan(self, ref: str) -> None:
        """Let the driver list what there is. A scan that does not end in time may still go on."""
        try:
            rescan.scan(self.vm.session, [(ref, self.vm.observe().estate.sr[ref])], self.vm.timeout)
        except TimedOut as slow:
            raise OutcomeUnknown(str(slow)) from slow

    def _size(self, now: Estate, ref: str) -> int:
        """The size by which the driver can take nothing but the LUN. Raises `Refused` where it could."""
        listed = [now.vdi[vdi] for vdi in now.sr[ref]["VDIs"]]
        own = [vdi for vdi in listed if vdi["sm_config"].get("SCSIid") == self.name.xapi]
        if not own:
            raise NotFound(f"The SR of type {self.kind} does not list LUN {self.name}: check that the array maps it to all hosts.")
        if own[0]["managed"]:
            raise Refused(f"LUN {self.name} was taken from the SR of type {self.kind} by somebody else: see who uses its VDI.")
        size = machines.number(own[0]["virtual_size"])
        rivals = [vdi for vdi in listed if not vdi["managed"] and vdi is not own[0] and machines.number(vdi["virtual_size"]) == size]
        if size <= 0 or rivals:
            names = ", ".join(str(vdi["sm_config"].get("SCSIid", vdi["uuid"])) for vdi in rivals) or "it tells no size"
            raise Refused(
                f"The driver {self.kind} chooses by size alone, and LUN {self.name} of {size} bytes is not the only one of that size "
                f"({names}): use fc_method sr, or make the LUN a little larger."
            )
        return size

    def _give_back(self, ref: str, vdi: Record) -> None:
        """The driver only ceases to manage it; XAPI drops the record, which a scan lists again."""
        self._change("VDI.destroy", ref)
        self._scan(vdi["SR"])


@dataclass
class IntroduceDevice(_PassingStep):
    """Introduce the LUN by its device's path to the VM's own host, to which the VM is bound by it."""

    kind = repositories.UDEV

    def __post_init__(self) -> None:
        self.title = f"introduce LUN {self.name} as a device of the host of VM {self.vm.name}"

    def _make(self) -> None:
        now = self.vm.observe()
        host = home(now)
        shown = host_lun.shown_by_adapter(self.vm.session, host, self.name)
        if shown is None:
            raise NotFound(f"The host of VM {self.vm.name} does not see LUN {self.name} over Fibre Channel: check zoning and mapping.")
        sr = self._repository(host, {"location": _LOCATION}, shared=False)
        path = f"/dev/mapper/{self.name.xapi}" if _multipath(now.estate.host[host]) else machines.device(self.name)
        text = (f"LUN {self.name}", repositories.mark(self.name))
        flags = (self.sharable, False, {repositories.RUN: self._run})
        made = self._change("VDI.introduce", str(uuids.uuid4()), *text, sr, "user", *flags, path, {}, {}, True, "0", "0", *_NO_SNAPSHOT)
        found = self.vm.observe().estate.vdi.get(str(made), {})
        if machines.number(found.get("virtual_size")) != shown.size_bytes:
            raise RemoteError(
                f"The device {path} has {found.get('virtual_size', 'no')} bytes and LUN {self.name} {shown.size_bytes}: look at the host's "
                "multipathing, or use fc_method sr."
            )

    def _give_back(self, ref: str, vdi: Record) -> None:
        self._change("VDI.forget", ref)


def forget(change: VmChange, now: Estate, ref: str, sr: Record) -> None:
    """Unplug a repository everywhere and forget it."""
    with explained(f"The SR {sr['name_label']} was not forgotten"):
        for pbd in sr["PBDs"]:
            if now.pbd[pbd]["currently_attached"]:
                change.session.change("PBD.unplug", pbd, timeout=change.timeout)
        change.session.change("SR.forget", ref, timeout=change.timeout)


def _multipath(host: Record) -> bool:
    return bool(host.get("multipathing")) or host["other_config"].get("multipathing") == "true"
