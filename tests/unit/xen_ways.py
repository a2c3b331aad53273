# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ways of a LUN into a VM of the lab's Xen pool and back, in this process: what is wrong once a request on one of them fails.

The session is the real one, but its calls go to the lab's server without XML, which takes four fifths of the time; values are those that
XML-RPC would bring. The pool has three hosts and the VMs that matter.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import XenAPI

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, OutcomeUnknown
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, IscsiLogin
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.backend import Xen
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import XapiSession
from tests.lab import xen_world
from tests.lab.xen import running
from tests.lab.xen.canonical import canonical
from tests.lab.xen.errors import Failure
from tests.lab.xen.server import xml_value

VM = "xenapp01"
KEPT = (VM, "xenha01", "xendb01")
GROUPS = {"iscsi": xen_world.ISCSI_GROUP, "fc": xen_world.FC_GROUP}
TARGET = "target"
"""Over iSCSI from a target of which the pool has no repository yet."""
PASSING = ("hba", "udev")
"""Over Fibre Channel as it is, by a driver of this type (`fc_method`)."""
FAR_LUN = "/vol/vol_dr/ds_replica"
VERBS = ("attach", "detach")
AGAIN = "attach again"
"""After it was attached, taken away and released: over Fibre Channel, what is on the LUN is taken up."""
WAYS = [*((way, verb) for way in (*GROUPS, TARGET, *PASSING) for verb in VERBS), ("fc", AGAIN)]
LAST_ACT = "VDI.forget"
"""Where a driver passes a LUN on as it is, nothing brings its VDI back."""
LASTING = ("lock", "fabric", "_world")
"""What no call changes of a pool."""
READING = ("get_", "SR.probe", "session.")

Happening = Callable[[], None]


class Killed(BaseException):
    """The module's process is killed: nothing is caught, nothing undone."""


def kill() -> None:
    """Let the process end."""
    raise Killed


def lost() -> None:
    """Cut the connection."""
    raise OutcomeUnknown("The connection was lost after the request was sent, so that it may have been carried out.")


def refuse() -> None:
    """Say no, as XAPI does when something is wrong with it."""
    raise Failure("INTERNAL_ERROR", "The lab says no")


def is_change(method: str) -> bool:
    """Whether a call may change something."""
    return not any(word in method for word in READING)


class Bench:
    """The lab's pool with the LUN mapped to it the way that was named, and what was asked of it."""

    def __init__(self, protocol: str) -> None:
        self.lab = running.Lab()
        vms = self.lab.world["xen"]["vms"]
        vms[:] = [vm for vm in vms if vm["name"] in KEPT or vm.get("control_domain") or vm.get("template")]
        self.lab.pool.reset()
        self.lab.log_in()
        mapped = self.lab.map_far(FAR_LUN) if protocol == TARGET else self.lab.map_lun(GROUPS.get(protocol, xen_world.FC_GROUP))
        self.fc_method = protocol if protocol in PASSING else None
        self.lun = ScsiName(mapped.removeprefix("naa."))
        self.asked: list[str] = []
        self.before: dict[int, Happening] = {}
        """Number of a call, from 0 → what happens instead of it."""
        self.instead: dict[int, Any] = {}
        """Number of a call → what is answered in place of its result."""
        self.after: dict[int, Happening] = {}
        """Number of a call → what happens once it was carried out."""

    def kept(self) -> dict[str, Any]:
        """The pool as it is, to come back to."""
        return copy.deepcopy({name: value for name, value in vars(self.lab.pool).items() if name not in LASTING})

    def restore(self, kept: dict[str, Any]) -> None:
        """Come back to the pool as it was, and forget what was asked and what shall go wrong."""
        vars(self.lab.pool).update(copy.deepcopy(kept))
        self.forget()

    def forget(self) -> None:
        """Forget what was asked, and what shall go wrong."""
        self.asked.clear()
        self.before.clear()
        self.instead.clear()
        self.after.clear()

    def go(self, verb: str, vm: str = VM, ignore_hosts: Sequence[str] = (), **wish: Any) -> attach.AttachReport:
        """Give the LUN to the VM, or take it from it and from the hosts."""
        usual = {"timeout": 0.0, "initialize": True, "targets": self.targets, "fc_method": self.fc_method}
        request = attach.AttachRequest(vm, DiskWish(self.lun, **{**usual, **wish}), ignore_hosts=ignore_hosts)
        with closing(Xen(CONNECTION, InProcess(self))) as hypervisor:
            if verb in ("attach", AGAIN):
                return attach.attach(hypervisor, request, check_mode=False, sleep=lambda _seconds: None)
            return attach.detach(hypervisor, request, release=verb != "detach_only", check_mode=False, sleep=lambda _seconds: None)

    def targets(self) -> list[IscsiLogin]:
        """What the array says of where it shows LUNs."""
        return [IscsiLogin(portal, iqn=iqn) for iqn, portals in self.lab.pool.targets.items() for portal in portals]

    def state(self) -> Any:
        """What there is, but not which LUNs a scan has listed and a host has looked for."""
        pool = canonical(self.lab.pool)
        for sr in pool["srs"].values():
            if sr["type"] == "iscsi":
                sr["vdis"] = [vdi for vdi in sr["vdis"] if self.lun.xapi not in vdi]
        return pool["vms"], pool["srs"]

    def answer(self, method: str, parameters: Sequence[Any]) -> Any:
        """What the master answers a call, unless something goes wrong. Raises `XenAPI.Failure`."""
        number = len(self.asked)
        self.asked.append(method)
        try:
            self.before.get(number, _nothing)()
            result = xml_value(self.lab.apis[running.MASTER].call(method, parameters))
        except Failure as failure:
            raise XenAPI.Failure(failure.description) from failure
        self.after.get(number, _nothing)()
        return self.instead.get(number, result)


def _nothing() -> None:
    """All goes well."""


CONNECTION = Connection(role="hypervisor", type="xen", hostname="xen01.lab", username=running.USERNAME, password=running.PASSWORD)


class InProcess(XapiSession):
    """A login whose calls stay in this process."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        super().__init__(CONNECTION)

    def _session(self) -> Any:
        return _Raw(self._bench)


class _Raw:
    """What the code uses of `XenAPI.Session`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.handle = ""
        self.xenapi = _Method(self._call)

    def _call(self, name: str, arguments: Sequence[Any]) -> Any:
        if name == "login_with_password":
            self.handle = self._bench.answer(f"session.{name}", list(arguments))
            return None
        return self._bench.answer(name, [self.handle, *arguments])


@dataclass(frozen=True)
class _Method:
    """`VM.get_record` by its attributes."""

    send: Callable[[str, Sequence[Any]], Any]
    name: str = ""

    def __getattr__(self, part: str) -> _Method:
        return _Method(self.send, f"{self.name}.{part}" if self.name else part)

    def __call__(self, *arguments: Any) -> Any:
        return self.send(self.name, arguments)


@dataclass(frozen=True)
class Fault:
    """What happens to one request of a way."""

    case: str
    number: int
    happening: Happening
    afterwards: bool = False
    """Once the request was carried out, and not in its place."""


class Trial:
    """One of the ways, to be gone again and again from the same start."""

    def __init__(self, protocol: str, verb: str) -> None:
        self.bench, self.verb = Bench(protocol), verb
        if verb != "attach":
            self.bench.go("attach")
        if verb == AGAIN:
            self.bench.go("detach")
        self._start = self.bench.kept()
        self.start()
        self.before, self._whole = self.bench.state(), canonical(self.bench.lab.pool)
        assert self.bench.go(verb).outcome.changed
        self.requests = list(self.bench.asked)
        self.goal = self.bench.state()
        self._last = self._states_at_the_last_act()

    @property
    def changes(self) -> list[int]:
        """The numbers of the requests that change something."""
        return [number for number, method in enumerate(self.requests) if is_change(method)]

    @property
    def first_of_each_kind(self) -> list[int]:
        """The numbers of the first request of each method that changes something."""
        return [self.requests.index(method) for method in dict.fromkeys(self.requests[number] for number in self.changes)]

    def _states_at_the_last_act(self) -> dict[int, Any]:
        """Number of the request after which there is no way back → the state before it, in which a lost answer to it may leave the pool."""
        if self.bench.fc_method is None or LAST_ACT not in self.requests:
            return {}
        number = self.requests.index(LAST_ACT)
        states: list[Any] = []
        self.start()
        self.bench.before[number] = lambda: states.append(self.bench.state())
        self.bench.go(self.verb)
        return {number: states[0]}

    def start(self) -> None:
        """Go to the beginning of the way."""
        self.bench.restore(self._start)

    def faults(self, numbers: Sequence[int]) -> Iterator[Fault]:
        """What may happen to each of these requests, beside the end of the process."""
        for number in numbers:
            method = self.requests[number]
            yield Fault(f"refusing {method} ({number})", number, refuse)
            if is_change(method):
                yield Fault(f"losing {method} ({number})", number, lost)
                yield Fault(f"losing the answer to {method} ({number})", number, lost, afterwards=True)

    def problems_of_faults(self, numbers: Sequence[int]) -> list[str]:
        """What is wrong after each fault of these requests: all is to be as before or done, and the next run to end well."""
        return [problem for fault in self.faults(numbers) for problem in self._problems(fault)]

    def problems_of_kills(self, numbers: Sequence[int]) -> list[str]:
        """What is wrong after the process was killed once each of these requests was carried out; the next run is to end well."""
        return [problem for number in numbers for problem in self._problems_of_kill(number)]

    def _problems(self, fault: Fault) -> Iterator[str]:
        self.start()
        (self.bench.after if fault.afterwards else self.bench.before)[fault.number] = fault.happening
        try:
            self.bench.go(self.verb)
        except CrossvisorError as error:
            if self.bench.state() not in (self.before, self.goal, *self._allowed(fault)):
                yield f"{fault.case}: left something half-made: {error}"
        else:
            if self.bench.state() != self.goal:
                yield f"{fault.case}: succeeded without reaching its end"
        if canonical(self.bench.lab.pool) != self._whole:
            yield from self._ended(fault.case)

    def _allowed(self, fault: Fault) -> list[Any]:
        return [self._last[fault.number]] if fault.happening is lost and fault.number in self._last else []

    def _problems_of_kill(self, number: int) -> Iterator[str]:
        self.start()
        self.bench.after[number] = kill
        try:
            self.bench.go(self.verb)
        except Killed:
            yield from self._ended(f"killed at {self.requests[number]} ({number})")
        else:
            yield f"{self.requests[number]} ({number}) was not asked again"

    def _ended(self, case: str) -> Iterator[str]:
        """What is wrong once the way was gone again."""
        self.bench.forget()
        try:
            self.bench.go(self.verb)
        except CrossvisorError as error:
            yield f"{case}: the next run fails: {error}"
            return
        if self.bench.state() != self.goal:
            yield f"{case}: the next run ends elsewhere"
