# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool's repository (type `iscsi`) of an array's target, which a pool has once for each target: adopted, or made and taken back.

One that this collection made says so in its description. It is taken back with the last LUN on it; anybody else's is left as it is.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    NotFound,
    Overtaken,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, IscsiLogin
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import estate as estates
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import host_lun, probing, repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.faults import explained
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record, XapiSession


def plan_reach(session: XapiSession, wish: DiskWish) -> Plan:
    """The step that makes the repository of the LUN's target, or connects hosts with it, where nothing in the pool reaches the LUN yet."""
    seen = estates.read(session)
    if _half_made(seen, wish.name):
        return Plan([ConnectTarget(session, wish.name, (), wish.timeout)])
    if seen.vdis_of(wish.name) or seen.own_repository(wish.name):
        return Plan()
    if host_lun.shown_by_adapter(session, seen.master, wish.name) or host_lun.shown_by_target(session, seen, seen.master, wish.name):
        return Plan()
    unknown = unknown_targets(seen, wish)
    return Plan([ConnectTarget(session, wish.name, unknown, wish.timeout)] if unknown else [])


def unknown_targets(seen: Estate, wish: DiskWish) -> list[IscsiLogin]:
    """The targets that may show the LUN and of which the pool has no repository."""
    known = [target for _ref, sr in seen.repositories_of(repositories.ISCSI) for target in seen.targets(sr)]
    iqns, addresses = {target.iqn for target in known}, {target.address for target in known}
    return [login for login in wish.targets() if (login.iqn not in iqns if login.iqn else login.address not in addresses)]


def plan_take_back(session: XapiSession, seen: Estate, name: ScsiName) -> Plan:
    """The steps that take back the repositories of targets that this collection made and that list nothing but the LUN, or nothing.

    One that a host which is down has plugged in stays for a later run: no LUN needs that it goes.
    """
    return Plan([ForgetTarget(session, name, sr) for _ref, sr in _lasting_for(seen, name) if seen.can_be_unplugged(sr)])


def _lasting_for(seen: Estate, name: ScsiName) -> Iterator[tuple[str, Record]]:
    for ref, sr in seen.own_targets():
        if all(seen.lun(seen.vdi[vdi]) == name for vdi in sr["VDIs"]):
            yield ref, sr


def _half_made(seen: Estate, name: ScsiName) -> list[tuple[str, Record]]:
    """Those of them that a run which was killed has left without a host."""
    return [(ref, sr) for ref, sr in _lasting_for(seen, name) if seen.without(sr)]


@dataclass
class ConnectTarget(Step):
    """Make a repository of the target that shows the LUN to the master, and let every host that is live have it plugged in."""

    session: XapiSession
    name: ScsiName
    logins: Sequence[IscsiLogin]
    """Where the LUN may be shown; none to connect hosts with what is there."""
    timeout: float
    _run: str = field(default_factory=lambda: str(uuids.uuid4()), init=False)

    def __post_init__(self) -> None:
        where = f"for the target {self.logins[0].where} " if self.logins else ""
        verb = "make" if self.logins else "plug in"
        self.title = f"{verb} an SR of type {repositories.ISCSI} {where}to reach LUN {self.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        seen = estates.read(self.session)
        with self.all_or_nothing():
            if self.logins:
                self._make(seen, *self._found(seen))
            self._plug()

    def verify(self) -> None:
        seen = estates.read(self.session)
        if self.logins and not any(repositories.marked_run(sr) == self._run for _ref, sr in seen.own_targets()):
            raise RemoteError(f"The pool has no SR of the target of LUN {self.name} after the change: look at the pool's log.")
        missing = [host for _ref, sr in _half_made(seen, self.name) for host in seen.without(sr)]
        if missing:
            raise RemoteError(
                f"The SR of the target of LUN {self.name} is not plugged in on {', '.join(missing)}: check that they reach it."
            )

    def undo(self) -> None:
        seen = estates.read(self.session)
        for ref, sr in seen.own_targets():
            if repositories.marked_run(sr) == self._run and not any(seen.is_used(seen.vdi[vdi]) for vdi in sr["VDIs"]):
                _take(self.session, seen, ref, sr, self.timeout)

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"target": None}}

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {"target": repositories.ISCSI}}

    def _found(self, seen: Estate) -> tuple[IscsiLogin, str]:
        """The target that shows the LUN to the master, and its name. Raises `NotFound` when none does, with what the first one said."""
        said: list[str] = []
        for login in self.logins:
            try:
                for found in _by_name(self.session, seen.master, login):
                    if any(lun.name == self.name for lun in probing.iscsi(self.session, seen.master, found, _config(login, found.iqn))):
                        return login, found.iqn
                said.append(f"the target {login.where} does not show it to the master of the pool")
            except RemoteError as error:
                said.append(str(error).rstrip("."))
        raise NotFound(
            f"No iSCSI target shows LUN {self.name} ({said[0]}): check that the array maps it to the initiators of all hosts, which "
            "hba_info lists, and the address and CHAP secrets in iscsi."
        )

    def _make(self, seen: Estate, login: IscsiLogin, iqn: str) -> None:
        if any(target.iqn == iqn for _ref, sr in seen.repositories_of(repositories.ISCSI) for target in seen.targets(sr)):
            raise Overtaken(f"The pool has got an SR of the target {iqn} in the meantime: run this task again.")
        offered = self.session.read("SR.get_supported_types")
        if repositories.ISCSI not in offered:
            raise RemoteError(
                f"The pool offers no SR of type {repositories.ISCSI} (it offers {', '.join(sorted(map(str, offered)))}): "
                "map the LUN over Fibre Channel, or use a hypervisor that has it."
            )
        text = (f"LUNs of {iqn}", repositories.target_mark(iqn, self._run))
        _change(
            self.session, iqn, self.timeout, "SR.create", seen.master, _config(login, iqn), "0", *text, repositories.ISCSI, "", True, {}
        )

    def _plug(self) -> None:
        seen = estates.read(self.session)
        for _ref, sr in seen.own_targets():
            if repositories.marked_run(sr) != self._run and not any(one is sr for _other, one in _half_made(seen, self.name)):
                continue
            for pbd in sr["PBDs"]:
                if not seen.pbd[pbd]["currently_attached"] and seen.is_live(seen.pbd[pbd]["host"]):
                    _change(self.session, _iqn(sr), self.timeout, "PBD.plug", pbd)


@dataclass
class ForgetTarget(Step):
    """Unplug a target's repository on every host, which logs them out, and forget it; the LUN keeps its data."""

    session: XapiSession
    name: ScsiName
    sr: Record

    def __post_init__(self) -> None:
        self.title = f"unplug and forget SR {self.sr['name_label']}, on which nothing else is"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        """Where something else is on it by now, it stays."""
        seen = estates.read(self.session)
        with self.all_or_nothing():
            for ref, sr in self._still(seen):
                _take(self.session, seen, ref, sr, self.session.connection.timeout)

    def settled(self) -> bool:
        return not list(self._still(estates.read(self.session)))

    def undo(self) -> None:
        """Plug it in again where it is still there."""
        seen = estates.read(self.session)
        for sr in seen.sr.values():
            if sr["uuid"] == self.sr["uuid"]:
                for pbd in sr["PBDs"]:
                    if not seen.pbd[pbd]["currently_attached"] and seen.is_live(seen.pbd[pbd]["host"]):
                        _change(self.session, _iqn(sr), self.session.connection.timeout, "PBD.plug", pbd)

    def before(self) -> Mapping[str, Any]:
        return {f"target {_iqn(self.sr)}": {"SR": self.sr["name_label"]}}

    def after(self) -> Mapping[str, Any]:
        return {f"target {_iqn(self.sr)}": {"SR": None}}

    def _still(self, seen: Estate) -> Iterator[tuple[str, Record]]:
        for ref, sr in _lasting_for(seen, self.name):
            if sr["uuid"] == self.sr["uuid"] and not any(seen.is_used(seen.vdi[vdi]) for vdi in sr["VDIs"]):
                yield ref, sr


def _by_name(session: XapiSession, host: str, login: IscsiLogin) -> list[probing.IscsiTarget]:
    """The target, or where its name is not told every target behind the address."""
    if login.iqn:
        return [probing.IscsiTarget(login.address, str(login.port), login.iqn)]
    return probing.targets(session, host, _config(login, ""))


def _config(login: IscsiLogin, iqn: str) -> dict[str, str]:
    """What the driver is told (sm, BaseISCSI.py); XAPI keeps the secrets where only it can read them."""
    told = {
        "target": login.address,
        "port": str(login.port),
        "targetIQN": iqn,
        "chapuser": login.username,
        "chappassword": login.password,
        "incoming_chapuser": login.mutual_username,
        "incoming_chappassword": login.mutual_password,
    }
    return {key: value for key, value in told.items() if value}


def _take(session: XapiSession, seen: Estate, ref: str, sr: Record, timeout: float) -> None:
    for pbd in sr["PBDs"]:
        if seen.pbd[pbd]["currently_attached"]:
            _change(session, _iqn(sr), timeout, "PBD.unplug", pbd)
    _change(session, _iqn(sr), timeout, "SR.forget", ref)


def _iqn(sr: Record) -> str:
    return repositories.marked_target(sr) or str(sr["name_label"])


def _change(session: XapiSession, iqn: str, timeout: float, method: str, *arguments: Any) -> None:
    with explained(f"The SR of the target {iqn} was not changed by {method}"):
        session.change(method, *arguments, timeout=timeout)
