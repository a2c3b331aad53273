# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a LUN out of use in a pool before the array unmaps it, and let the pool forget it afterwards.

A repository that this collection made for the LUN is unplugged on every host and forgotten, which keeps what is on the LUN; the VDI of a
repository that passes LUNs on is forgotten. Everybody else's repositories are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import estate as estates
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import host_lun, rescan, target_steps
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.faults import explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.repositories import (
    ISCSI,
    LISTING,
    PASSING,
    is_passing_mark,
    marked,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import UNREACHABLE, Use
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Attempt, Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record, XapiSession

_LET_GO = (
    "let the hosts go of it first (the playbook remove_disk, or ptd_attach with state=absent and release=true, or with state=released when "
    "no VM has it)"
)
Found = Sequence[tuple[str, Record]]


def plan_release(session: XapiSession, name: ScsiName) -> Plan:
    """Steps after which nothing in the pool has the LUN open, or refers to it.

    A repository that goes takes the VDI with it, and can be plugged in again until then; so it goes first.
    """
    seen = estates.read(session)
    own = seen.own_repository(name)
    repository: list[Step] = [ForgetRepository(session, name, own[1])] if own else []
    disks = [ForgetDisk(session, name, vdi, seen.sr[vdi["SR"]]["type"] != ISCSI) for _ref, vdi in _forgettable(seen, name)]
    empty = [ForgetPassing(session, name, sr) for _ref, sr in _for_nothing_else(seen, name) if seen.can_be_unplugged(sr)]
    return Plan([*repository, *empty, *disks]) + target_steps.plan_take_back(session, seen, name)


def plan_forget(session: XapiSession, name: ScsiName) -> Plan:
    """A scan by which repositories that pass LUNs on drop one that the array has unmapped, done where none lists it.

    Every host looks then.
    """
    seen = estates.read(session)
    return Plan([NoticeLoss(session, name, _listed(seen, name)), LookAgain(session, name)])


def in_service(session: XapiSession, hosts: Sequence[str], name: ScsiName) -> list[Use]:
    """The hosts (UUIDs) that have the LUN's own repository plugged in, which would lose all its paths."""
    seen = estates.read(session)
    own = seen.own_repository(name)
    attached = seen.attached_hosts(own[1]) if own else []
    names = {host.id: host.name for host in seen.hosts}
    return [Use("host", names[host], host, "has it in service as an SR", name, way_out=_LET_GO) for host in hosts if host in attached]


def _listed(seen: Estate, name: ScsiName) -> Found:
    """The VDIs of the LUN that a driver lists by itself, and drops by itself when the LUN is gone."""
    return [(ref, vdi) for ref, vdi in seen.vdis_of(name) if seen.sr[vdi["SR"]]["type"] in LISTING]


def _forgettable(seen: Estate, name: ScsiName) -> Found:
    """The VDIs of the LUN that a scan of `iscsi` brings back, or that this collection made; what others have made is left to them."""
    found = [(ref, vdi, seen.sr[vdi["SR"]]["type"]) for ref, vdi in seen.vdis_of(name)]
    return [(ref, vdi) for ref, vdi, kind in found if kind == ISCSI or (kind in PASSING and marked(vdi) == name)]


def _for_nothing_else(seen: Estate, name: ScsiName) -> Found:
    """The repositories that this collection made to hand on LUNs over Fibre Channel, and that hand on no other."""
    made = [(ref, sr) for ref, sr in seen.sr.items() if sr["type"] in PASSING and is_passing_mark(sr)]
    return [(ref, sr) for ref, sr in made if all(seen.lun(vdi) == name for vdi in map(seen.vdi.get, sr["VDIs"]) if vdi and vdi["managed"])]


@dataclass
class ForgetPassing(Step):
    """Unplug and forget a repository that hands on nothing else, with the VDI that it has of the LUN; one that does by now stays.

    Once it is forgotten there is no way back, neither for what somebody has got of it meanwhile; so it is looked at again once it is
    unplugged.
    """

    session: XapiSession
    name: ScsiName
    sr: Record

    def __post_init__(self) -> None:
        self.title = f"unplug and forget SR {self.sr['name_label']} of type {self.sr['type']}, on which nothing else is"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        seen = estates.read(self.session)
        with self.all_or_nothing():
            for ref, sr in self._still(seen):
                for pbd in sr["PBDs"]:
                    if seen.pbd[pbd]["currently_attached"]:
                        self._change("PBD.unplug", pbd)
                if not self._still(estates.read(self.session)):
                    self.undo()
                    return
                self._change("SR.forget", ref)
                self.final = True

    def settled(self) -> bool:
        self.final = not self._still(estates.read(self.session))
        return self.final

    def undo(self) -> None:
        """Plug it in again where it is still there."""
        seen = estates.read(self.session)
        for pbd in (pbd for sr in seen.sr.values() if sr["uuid"] == self.sr["uuid"] for pbd in sr["PBDs"]):
            if not seen.pbd[pbd]["currently_attached"] and seen.is_live(seen.pbd[pbd]["host"]):
                self._change("PBD.plug", pbd)

    def _still(self, seen: Estate) -> Found:
        same = [(ref, sr) for ref, sr in _for_nothing_else(seen, self.name) if sr["uuid"] == self.sr["uuid"]]
        return [(ref, sr) for ref, sr in same if not any(seen.is_used(seen.vdi[vdi]) for vdi in sr["VDIs"])]

    def _change(self, method: str, ref: str) -> None:
        with explained(f"SR {self.sr['name_label']} was not let go of by {method}"):
            self.session.change(method, ref, timeout=self.session.connection.timeout)


@dataclass
class ForgetRepository(Step):
    """Unplug the LUN's own repository on every host and forget it; volume and data stay on the LUN, and can be taken up again."""

    session: XapiSession
    name: ScsiName
    sr: Record

    def __post_init__(self) -> None:
        self.title = f"unplug and forget SR {self.sr['name_label']} of LUN {self.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        seen = estates.read(self.session)
        own = seen.own_repository(self.name)
        if own is None:
            return
        ref, sr = own
        self._refuse_used(seen, sr)
        with self.all_or_nothing():
            for pbd in sr["PBDs"]:
                if seen.pbd[pbd]["currently_attached"]:
                    self._change("PBD.unplug", pbd)
            now = estates.read(self.session)
            self._refuse_used(now, now.sr.get(ref, sr))
            self._change("SR.forget", ref)

    def verify(self) -> None:
        if estates.read(self.session).own_repository(self.name):
            raise RemoteError(f"The pool still has the SR of LUN {self.name} after it was forgotten: look at the pool's log.")

    def undo(self) -> None:
        """Plug it in again where it is still there; once it is forgotten, the next attach takes it up from the LUN."""
        seen = estates.read(self.session)
        own = seen.own_repository(self.name)
        for pbd in own[1]["PBDs"] if own else ():
            if not seen.pbd[pbd]["currently_attached"] and seen.is_live(seen.pbd[pbd]["host"]):
                self._change("PBD.plug", pbd)

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"SR": self.sr["name_label"]}}

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"SR": None}}

    def _refuse_used(self, seen: Estate, sr: Record) -> None:
        """Raise `Refused` when a VM has a disk or keeps its state on it: forgotten, the repository would take that with it."""
        users = [vm for vdi in sr["VDIs"] if vdi in seen.vdi for vm in seen.users(seen.vdi[vdi])]
        if users:
            raise Refused(f"VM {', '.join(users)} has got LUN {self.name} as a disk in the meantime: detach it there first.")
        for vdi in (seen.vdi[vdi] for vdi in sr["VDIs"] if vdi in seen.vdi):
            seen.refuse_kept(vdi, self.name)

    def _change(self, method: str, ref: str) -> None:
        with explained(f"The SR of LUN {self.name} was not let go of by {method}"):
            self.session.change(method, ref, timeout=self.session.connection.timeout)


@dataclass
class ForgetDisk(Step):
    """Drop the record of the LUN's VDI. Undone by a scan; in a repository of another type than `iscsi` there is no way back."""

    session: XapiSession
    name: ScsiName
    vdi: Record
    lasting: bool = False

    def __post_init__(self) -> None:
        self.title = f"forget the VDI of LUN {self.name}"
        self.final = self.lasting

    def done(self) -> bool:
        return False

    def do(self) -> None:
        seen = estates.read(self.session)
        for ref, vdi in _forgettable(seen, self.name):
            if any(vbd in seen.vbd for vbd in vdi["VBDs"]):
                raise Refused(f"A VM has got LUN {self.name} as a disk in the meantime: detach it there first.")
            seen.refuse_kept(vdi, self.name)
            with explained(f"The VDI of LUN {self.name} was not forgotten"):
                self.session.change("VDI.forget", ref, timeout=self.session.connection.timeout)

    def verify(self) -> None:
        """Nothing: a scan of somebody else's may have listed it again, as long as the array shows it."""

    def settled(self) -> bool:
        return not _forgettable(estates.read(self.session), self.name)

    def undo(self) -> None:
        rescan.rescan(self.session)

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"VDI": self.vdi["uuid"]}}

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"VDI": None}}


@dataclass
class NoticeLoss(Step):
    """Let the repositories that still list the LUN notice that the array presents it no more. A scan leaves nothing to undo."""

    session: XapiSession
    name: ScsiName
    listed: Found

    def __post_init__(self) -> None:
        self.title = f"scan the pool's SRs for the loss of LUN {self.name}"

    def done(self) -> bool:
        return not self.listed

    def do(self) -> None:
        seen = estates.read(self.session)
        there = {vdi["SR"] for _ref, vdi in _listed(seen, self.name)}
        rescan.scan(self.session, [(ref, seen.sr[ref]) for ref in sorted(there)], self.session.connection.timeout)

    def verify(self) -> None:
        if _listed(estates.read(self.session), self.name):
            raise Refused(f"LUN {self.name} is still presented by the array to the pool: unmap it there first.")


@dataclass
class LookAgain(Attempt):
    """Let the drivers of every host that is live look at their adapters and targets, which no scan of a shared repository does.

    What a host remembers of a LUN, XAPI does not tell, so that this is never counted as a change; a driver that fails is no harm.
    """

    session: XapiSession
    name: ScsiName

    def __post_init__(self) -> None:
        self.title = f"let every host of the pool notice the loss of LUN {self.name}"

    def do(self) -> None:
        seen = estates.read(self.session)
        for host in seen.hosts:
            if host.state != UNREACHABLE:
                host_lun.devices(self.session, [host.id], self.name)
