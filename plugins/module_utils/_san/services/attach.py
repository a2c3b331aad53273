# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give a LUN to a VM as a pass-through disk, and take it back, on any hypervisor.

The rules of safety stand here, once: identity, no second user, every host of the cluster sees the LUN first.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san import deadline, moment, progress
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    OutcomeUnknown,
    Refused,
    RemoteError,
    StepFailed,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import ALLOW, MEND, DiskWish, Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DEVICE_OK,
    NOT_SHARED,
    Attachment,
    Host,
    Inventory,
    ScsiDevice,
    Slot,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Guard, Outcome, Plan, Step, carry_out, read_back
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.peers import Peers
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.presentation import Presentation
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import (
    can_be_asked,
    hosts_that_can_run,
    initiators_asked,
    initiators_of_silent,
    pick_vm,
    reachable,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import (
    HOST,
    USED,
    VIRTUAL_MACHINE,
    Claim,
    claims,
    claims_of_initiators,
    refuse_unless_free,
    vouched_for,
    without,
)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0
_LAST_LOOK = 1.0
"""Seconds that the last look may take, when the time is over."""
_RELEASED = "released by the hosts"
_DETACH_OR_SHARE = "detach it there first, or ask for sharing if several VMs shall write to it"
_DETACH_OR_KEEP = "remove it there first, or only detach the disk here (ptd_attach with release=false)"
_ONLINE_AND_MAPPED = "that it is online on the array and mapped to the initiators of these hosts (hba_info lists them), "
_NAMES_SECONDS = 60.0
"""How long hosts may take until they give a LUN that they see by the name that they will have for it."""
_PAUSES = (1.0, 2.0, 4.0)
"""Seconds before each time that something is planned anew. Of several runs that change one VM at once, one gets ahead each time."""


@dataclass(frozen=True)
class AttachRequest:
    """What a user asks: this LUN, for this VM, and how."""

    vm: str
    wish: DiskWish
    assume_unused: bool = False
    """The user's word for what nobody can tell; a use that is known it does not override."""
    other_initiators: Sequence[str] = ()
    """Initiators of nobody at this hypervisor to which the array shows the LUN too."""
    silent_initiators: Mapping[str, str] = field(default_factory=dict)
    """Whose they are, of those whose host does not answer (`initiators_of_silent`)."""
    ignore_hosts: Sequence[str] = ()
    size_bytes: int = 0
    """What the hosts shall see of the LUN at least, after it has grown; 0 for any size."""
    ahead: Sequence[tuple[ScsiName, Slot]] = ()
    """Other disks that the VM shall get before this one, and where: for check mode, which attaches none of them."""
    leaving: Sequence[ScsiName] = ()
    """LUNs that the VM shall lose before it gets this one: for check mode, which detaches none of them."""


@dataclass(frozen=True)
class AttachReport:
    """What was, or would be, done; `attachment` is None when the disk is not there."""

    outcome: Outcome
    vm: VirtualMachine
    hosts: Sequence[str]
    attachment: Attachment | None

    def result(self, name: ScsiName) -> dict[str, Any]:
        """The report as a module returns it."""
        return {
            "changed": self.outcome.changed,
            "actions": list(self.outcome.actions),
            "diff": self.outcome.diff(),
            "warnings": list(self.outcome.warnings),
            "vm": {"name": self.vm.name, "id": self.vm.id, "uuid": self.vm.uuid},
            "naa": None if isinstance(name, PlannedLun) else name.naa,
            "hosts": list(self.hosts),
            "disk": _disk(self.attachment) if self.attachment else None,
        }


def _disk(attachment: Attachment) -> dict[str, Any]:
    disk, controller = attachment.disk, attachment.controller
    return {
        "label": disk.label,
        "key": disk.key,
        "controller_type": controller.type,
        "controller_key": controller.key,
        "bus": disk.bus,
        "unit": disk.unit,
        "guest_address": attachment.guest_address,
        "mapping_file": disk.path,
        "device": disk.device,
        "size_bytes": disk.size_bytes,
        "mode": disk.mode,
        "disk_mode": disk.disk_mode,
        "sharing": disk.sharing,
        "reservations": disk.reservations,
    }


@dataclass
class MakeVisible(Step):
    """Let hosts find a LUN that the array maps to them, or its new size, and wait until each of them sees it."""

    hypervisor: Hypervisor
    hosts: Sequence[Host]
    name: ScsiName
    timeout: float
    size_bytes: int = 0
    presentation: Presentation | None = None
    """Who knows whether the hosts wait in vain, where somebody does."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    found: Sequence[ScsiDevice] = field(default=(), init=False)
    """The LUN as the hosts saw it at the last look."""

    def __post_init__(self) -> None:
        self._missing = self.without_lun()
        self.title = f"rescan {', '.join(host.name for host in self._missing)} for LUN {self.name}"

    def done(self) -> bool:
        return not self._missing

    def do(self) -> None:
        until = self.clock() + self.timeout
        pause = _FIRST_PAUSE
        while self._missing:
            self._look_anew(max(until - self.clock(), _LAST_LOOK))
            if not self._missing:
                return
            self._refuse_to_wait_in_vain()
            rest = until - self.clock()
            if rest <= 0:
                raise TimedOut(self._overdue())
            progress.tell(self._waiting(self.timeout - rest))
            self.sleep(min(pause, rest))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _look_anew(self, seconds: float) -> None:
        """Let the hosts rescan, and see who lacks the LUN then, within so many seconds. Raises `TimedOut`."""
        with deadline.within(seconds):
            try:
                with contextlib.suppress(OutcomeUnknown):  # the next look tells, and a rescan may be repeated
                    self.hypervisor.rescan([host.id for host in self._missing], self.name)
                self._missing = self.without_lun()
                return
            except TimedOut:
                if not deadline.is_over():
                    raise
        raise TimedOut(self._overdue())

    def before(self) -> dict[str, object]:
        return {"visible": {host.name: False for host in self._missing}}

    def after(self) -> dict[str, object]:
        return {"visible": {host.name: True for host in self._missing}}

    def _refuse_to_wait_in_vain(self) -> None:
        """Raise `Refused` when the array says that hosts which do not find the LUN will not find it."""
        if self.presentation is None:
            return
        sizes = self._sizes()
        reason = self.presentation.in_vain([host for host in self._missing if host.id not in sizes])
        if reason:
            raise Refused(reason)

    def _waiting(self, elapsed: float) -> str:
        hosts = ", ".join(host.name for host in self._missing)
        return f"waiting for {hosts} to see LUN {self.name} ({elapsed:.0f} of {self.timeout:g} s)"

    def _overdue(self) -> str:
        sizes, states = self._sizes(), self._states()
        broken = [f"{host.name} ({states[host.id]})" for host in self._missing if host.id in states]
        if broken:
            return (
                f"LUN {self.name} is there but does no I/O on {', '.join(broken)} after {self.timeout:g} s: "
                "repair its paths, or take it back into service there"
            )
        absent = [host.name for host in self._missing if host.id not in sizes]
        if absent:
            told = f", and {self.presentation.remark}" if self.presentation and self.presentation.remark else ""
            return (
                f"LUN {self.name} is not visible on {', '.join(absent)} after {self.timeout:g} s{told}: "
                f"check {'' if self.presentation and self.presentation.mapped else _ONLINE_AND_MAPPED}zoning, and iSCSI sessions"
            )
        small = ", ".join(f"{host.name} ({sizes[host.id]} bytes)" for host in self._missing)
        return (
            f"LUN {self.name} is still smaller than {self.size_bytes} bytes on {small} after {self.timeout:g} s: "
            "check its size on the array, and rescan these hosts by hand"
        )

    def without_lun(self) -> list[Host]:
        """The hosts that do not see the LUN now, or see it smaller than it shall be."""
        sizes = self._sizes()
        return [host for host in self.hosts if sizes.get(host.id, -1) < self.size_bytes]

    def look(self) -> Sequence[ScsiDevice]:
        """The LUN as the hosts see it now."""
        self.found = self.hypervisor.devices([host.id for host in self.hosts], self.name)
        return self.found

    def _states(self) -> dict[str, str]:
        """The states of the LUN on the hosts that see it and cannot use it, by `Host.id`."""
        seen: dict[str, set[str]] = {}
        for device in self.look():
            seen.setdefault(device.host, set()).add(device.state)
        return {host: ", ".join(sorted(states)) for host, states in seen.items() if DEVICE_OK not in states}

    def _sizes(self) -> dict[str, int]:
        """Size in bytes that each host sees, on several ways the smallest, by `Host.id`; a host that does not see the LUN is missing."""
        sizes: dict[str, int] = {}
        for device in self.look():
            if device.state == DEVICE_OK:
                sizes[device.host] = min(device.size_bytes, sizes.get(device.host, device.size_bytes))
        return sizes


@dataclass
class FoundByName(Guard):
    """Make sure, before a VM gets a LUN, that it finds it by the name that it gets on every host to which it may move."""

    peers: Peers
    seen: MakeVisible
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    early = True

    def __post_init__(self) -> None:
        self.title = f"give LUN {self.peers.name} to VM {self.peers.vm.name}"

    def look(self) -> None:
        until = self.clock() + _NAMES_SECONDS
        while self.peers.may_change(self.seen.found) and self.clock() < until:
            progress.tell(f"waiting for the hosts to give LUN {self.peers.name} by one name")
            self.sleep(_FIRST_PAUSE)
            with moment.one():
                self.seen.look()
        self._refuse()

    def refuse_what_stays(self) -> None:
        """Raise `Refused` for what needs no further look, by the last one."""
        if not self.peers.may_change(self.seen.found):
            self._refuse()

    def warnings(self) -> list[str]:
        """What a user should know who has vouched for it, or whose VM has the LUN already, by the last look."""
        return self.peers.unlike(self.seen.found)

    def _refuse(self) -> None:
        unlike = self.peers.unlike(self.seen.found)
        if unlike and not self.peers.vouched:
            raise Refused(" ".join(unlike))


@dataclass
class StillFree(Guard):
    """Make sure, right before and right after the LUN is given to a VM, that nobody else has got it since it was last looked at."""

    hypervisor: Hypervisor
    vm: VirtualMachine
    request: AttachRequest

    def __post_init__(self) -> None:
        self.title = f"give LUN {self.request.wish.name} to VM {self.vm.name}"

    def look(self) -> None:
        with moment.one():
            _refuse_strangers(self.vm, self.request, self.hypervisor.inventory(devices=False))


@dataclass
class StillMapped(StillFree):
    """The same right after, and that the VM's hosts still see it: who looked before this run attached it may have unmapped it since."""

    seen: MakeVisible

    def look(self) -> None:
        with moment.one():
            super().look()
            lost = [host.name for host in self.seen.without_lun()]
        if lost:
            raise RemoteError(f"LUN {self.request.wish.name} is not visible on {', '.join(lost)} any more, so somebody took it away")


@dataclass
class Unused(Guard):
    """Make sure, right before hosts let go of a LUN, that no VM has got it since it was last looked at."""

    hypervisor: Hypervisor
    request: AttachRequest
    purpose: str

    def __post_init__(self) -> None:
        self.title = f"let the hosts go of LUN {self.request.wish.name}"

    def look(self) -> None:
        with moment.one():
            _refuse_users(self.request, self.hypervisor.inventory(devices=False), self.purpose)


@dataclass
class _Attach:
    """One attempt after the other to make a LUN a disk of a VM, each from what is observed then."""

    hypervisor: Hypervisor
    request: AttachRequest
    check_mode: bool
    presentation: Presentation | None
    _lacking: str = ""
    """`VirtualMachine.id` of the VM, once it was seen without the LUN."""

    def __call__(self) -> AttachReport:
        hypervisor, wish = self.hypervisor, self.request.wish
        with moment.one():
            vm, hosts, plan, named = self._planned()
        outcome = carry_out(plan, self.check_mode)
        outcome = replace(outcome, warnings=[*outcome.warnings, *named.warnings()])
        attachment = read_back(outcome, self.check_mode, lambda: hypervisor.attachment(vm, wish.name))
        if attachment is None and not self.check_mode:
            raise RemoteError(f"LUN {wish.name} is no disk of VM {vm.name} any more, because somebody else took it away: run this again.")
        return AttachReport(outcome, vm, _names(hosts), attachment)

    def _planned(self) -> tuple[VirtualMachine, list[Host], Plan, FoundByName]:
        """The VM, the hosts that have to see the LUN, what is to be done, and who knows by which names the hosts have it."""
        hypervisor, request, wish = self.hypervisor, self.request, self.request.wish
        inventory = hypervisor.inventory(devices=False)
        request = _without_initiators_asked(request, hypervisor)
        vm = pick_vm(inventory.virtual_machines, self._lacking or request.vm, inventory.silent)
        had = self._had(vm)
        warnings = _refuse_second_vm(vm, request, inventory) if had else _refuse_strangers(vm, request, inventory)
        hosts = _own_hosts(vm, inventory.hosts, request.ignore_hosts)
        seen = MakeVisible(hypervisor, hosts, wish.name, wish.timeout, request.size_bytes, self.presentation)
        reach = Plan() if had else hypervisor.plan_reach(vm, wish)
        ahead = [slot for name, slot in request.ahead if not _has(vm, name)]
        given = hypervisor.plan_attach(vm, replace(wish, ahead=ahead, leaving=request.leaving, size_bytes=request.size_bytes))
        named = FoundByName(Peers(vm, wish.name, hosts, vouched=wish.single_path == ALLOW), seen)
        before, after = StillFree(hypervisor, vm, request), StillMapped(hypervisor, vm, request, seen)
        guarded = [before, *given.steps, after] if given.pending() else given.steps
        if given.pending() and (not had or wish.single_path == MEND):
            named.refuse_what_stays()
            guarded = [named, *guarded]
        return vm, hosts, Plan([*reach.steps, seen, *guarded], [*warnings, *reach.warnings, *given.warnings]), named

    def _had(self, vm: VirtualMachine) -> bool:
        """Whether the VM has the LUN already. Raises `Refused` when it got it from somebody else since the first attempt."""
        has = _has(vm, self.request.wish.name)
        if has and self._lacking:
            raise Refused(
                f"LUN {self.request.wish.name} was attached to VM {vm.name} by somebody else in the meantime: run this task again."
            )
        self._lacking = "" if has else vm.id
        return has


def attach(
    hypervisor: Hypervisor,
    request: AttachRequest,
    check_mode: bool,
    sleep: Callable[[float], None] = time.sleep,
    presentation: Presentation | None = None,
) -> AttachReport:
    """Make the LUN a disk of the VM. Raises a `CrossvisorError`; nothing is left half-made.

    With the array's word (`presentation`), hosts do not wait for a LUN that they cannot see.
    """
    return _planned_anew(_Attach(hypervisor, request, check_mode, presentation), sleep)


def detach(
    hypervisor: Hypervisor, request: AttachRequest, release: bool, check_mode: bool, sleep: Callable[[float], None] = time.sleep
) -> AttachReport:
    """Take the LUN from the VM and, if wished, out of use on every host that sees it, so that it can be unmapped.

    Raises a `CrossvisorError`; `Refused` when the hosts shall release a LUN that somebody else uses.
    """
    return _planned_anew(lambda: _detach(hypervisor, request, release, check_mode), sleep)


def _planned_anew(attempt: Callable[[], AttachReport], sleep: Callable[[float], None]) -> AttachReport:
    """Observe, plan and act; do all of it again, three times at most, when somebody else changed the VM in between."""
    kept: list[str] = []
    for pause in _PAUSES:
        try:
            return _with_actions(kept, attempt())
        except StepFailed as failed:
            if not failed.overtaken:
                raise
            kept += failed.kept
        sleep(pause)
    try:
        return _with_actions(kept, attempt())
    except StepFailed as failed:
        if not failed.overtaken:
            raise
        raise StepFailed(f"{str(failed).rstrip('.')}; it was planned anew {len(_PAUSES)} times.") from failed


def _with_actions(kept: Sequence[str], report: AttachReport) -> AttachReport:
    """The report, with what earlier attempts did and had no reason to undo."""
    actions = [*dict.fromkeys([*kept, *report.outcome.actions])]
    return replace(report, outcome=replace(report.outcome, changed=bool(actions), actions=actions)) if kept else report


def _detach(hypervisor: Hypervisor, request: AttachRequest, release: bool, check_mode: bool) -> AttachReport:
    hosts: list[Host] = []
    with moment.one():
        inventory = hypervisor.inventory(devices=False)
        vm = pick_vm(inventory.virtual_machines, request.vm, inventory.silent)
        plan = hypervisor.plan_detach(vm, request.wish.name, request.wish.timeout)
        if release:
            claimed = without(vm.id, _claims(request, inventory))
            warnings = refuse_unless_free(request.wish.name, claimed, _RELEASED, _DETACH_OR_KEEP, request.assume_unused)
            hosts, let_go = _release(hypervisor, vm, request, inventory)
            plan = Plan([*plan.steps, *let_go.steps], [*warnings, *plan.warnings, *let_go.warnings])
        attachment = hypervisor.attachment(vm, request.wish.name) if check_mode else None
    return AttachReport(carry_out(plan, check_mode), vm, _names(hosts), attachment)


def release(hypervisor: Hypervisor, request: AttachRequest, check_mode: bool) -> AttachReport:
    """Let every host go of a LUN that no VM has, so that it can be unmapped; a disk of a VM, also of the named one, is never taken.

    This is how a run takes back what it has made: a disk that somebody attached meanwhile stays. Raises a `CrossvisorError`; `Refused`
    while anybody uses the LUN.
    """
    with moment.one():
        inventory = hypervisor.inventory(devices=False)
        vm = pick_vm(inventory.virtual_machines, request.vm, inventory.silent)
        warnings = _refuse_users(request, inventory, _RELEASED)
        hosts, plan = _release(hypervisor, vm, request, inventory)
    return AttachReport(carry_out(Plan(plan.steps, [*warnings, *plan.warnings]), check_mode), vm, _names(hosts), None)


def forget(hypervisor: Hypervisor, request: AttachRequest, check_mode: bool) -> AttachReport:
    """After the array unmapped a released LUN, let every host drop what it remembers of it.

    Raises a `CrossvisorError`; `Refused` while the LUN has a user.
    """
    with moment.one():
        inventory = hypervisor.inventory(devices=False)
        vm = pick_vm(inventory.virtual_machines, request.vm, inventory.silent)
        warnings = _refuse_users(request, inventory, "forgotten by the hosts")
        hosts = _watched_hosts(vm, inventory.hosts, request.ignore_hosts)
        plan = hypervisor.plan_forget([host.id for host in hosts], request.wish.name)
    return AttachReport(carry_out(Plan(plan.steps, [*warnings, *plan.warnings]), check_mode), vm, _names(hosts), None)


def _has(vm: VirtualMachine, name: ScsiName) -> bool:
    return any(disk.name == name for disk in vm.disks)


def _claims(request: AttachRequest, inventory: Inventory) -> list[Claim]:
    """Who uses the LUN, or may use it, apart from hosts that the user said cannot be asked."""
    return vouched_for(request.ignore_hosts, claims(request.wish.name, inventory))


def _refuse_strangers(vm: VirtualMachine, request: AttachRequest, inventory: Inventory) -> list[str]:
    """Raise `Refused` when somebody else than the VM has the LUN; other VMs may as a disk, where the user asks for sharing."""
    wish = request.wish
    others = [*_of_others(vm, _claims(request, inventory)), *claims_of_initiators(request.other_initiators, request.silent_initiators)]
    if _shared(request):
        others = [claim for claim in others if not _has_it_as_a_disk(claim)]
    return refuse_unless_free(wish.name, others, f"given to VM {vm.name}", _DETACH_OR_SHARE, request.assume_unused)


def _of_others(vm: VirtualMachine, found: Sequence[Claim]) -> list[Claim]:
    """The claims of all but the VM. While it has the LUN as a disk, its own snapshots with it are no reason to refuse it that disk."""
    has = any(claim.id == vm.id and _has_it_as_a_disk(claim) for claim in found)
    return [claim for claim in without(vm.id, found) if not (has and claim.id == vm.id and claim.in_snapshots)]


def _shared(request: AttachRequest) -> bool:
    return (request.wish.sharing or NOT_SHARED) != NOT_SHARED


def _has_it_as_a_disk(claim: Claim) -> bool:
    return claim.kind == VIRTUAL_MACHINE and claim.verdict == USED and not claim.how


def _refuse_second_vm(vm: VirtualMachine, request: AttachRequest, inventory: Inventory) -> list[str]:
    """What hosts do with a LUN that is the VM's already is no reason to refuse what changes nothing, but somebody should know.

    Raises `Refused` when another VM uses it as well: as a disk without sharing, which two runs leave that were killed at once, or below or
    beside a disk, which sharing does not excuse. Both would write.
    """
    found = claims(request.wish.name, inventory)
    excused = _is_shared(vm, request)
    used = [claim for claim in _of_others(vm, found) if claim.kind == VIRTUAL_MACHINE and claim.verdict == USED]
    sharing = {claim.id for claim in used if excused and _has_it_as_a_disk(claim)}
    others = [claim for claim in used if not (claim.id in sharing and (claim.in_snapshots or _has_it_as_a_disk(claim)))]
    refuse_unless_free(request.wish.name, others, f"left to VM {vm.name}", _DETACH_OR_SHARE)
    return _warnings_about_hosts(vm, request, found)


def _is_shared(vm: VirtualMachine, request: AttachRequest) -> bool:
    shared = any(disk.name == request.wish.name and disk.sharing not in ("", NOT_SHARED) for disk in vm.disks)
    return shared or _shared(request)


def _warnings_about_hosts(vm: VirtualMachine, request: AttachRequest, claimed: Sequence[Claim]) -> list[str]:
    found = [claim for claim in claimed if claim.kind == HOST and claim.verdict == USED]
    return [f"LUN {request.wish.name} is a disk of VM {vm.name}, and {claim}: {claim.way_out or 'end that use'}." for claim in found]


def _refuse_users(request: AttachRequest, inventory: Inventory, purpose: str) -> list[str]:
    found = _claims(request, inventory)
    return refuse_unless_free(request.wish.name, found, purpose, "detach it first", request.assume_unused)


def _release(hypervisor: Hypervisor, vm: VirtualMachine, request: AttachRequest, inventory: Inventory) -> tuple[list[Host], Plan]:
    """The hosts that may see the LUN, and the steps by which they let go of it after a last look."""
    hosts = _watched_hosts(vm, inventory.hosts, request.ignore_hosts)
    plan = hypervisor.plan_release([host.id for host in hosts], request.wish.name)
    return hosts, Plan([Unused(hypervisor, request, _RELEASED), *plan.steps], plan.warnings)


def _watched_hosts(vm: VirtualMachine, hosts: Sequence[Host], ignored: Sequence[str]) -> list[Host]:
    """Every host that may see the LUN: those of the VM's cluster must answer, of the others those that do."""
    own = _own_hosts(vm, hosts, ignored)
    strangers = [host for host in hosts if host not in hosts_that_can_run(vm, hosts)]
    return own + [host for host in strangers if can_be_asked(host)]


def _own_hosts(vm: VirtualMachine, hosts: Sequence[Host], ignored: Sequence[str]) -> list[Host]:
    """The hosts that can run the VM and are not ignored. Raises `Refused` when one of them cannot be asked.

    Another host may be named among the ignored while it cannot be asked: that is the user's word for what it may have.
    """
    own = hosts_that_can_run(vm, hosts)
    beside = {word for host in hosts if host not in own and not can_be_asked(host) for word in (host.id, host.name)}
    return reachable(own, [name for name in ignored if name not in beside])


def _without_initiators_asked(request: AttachRequest, hypervisor: Hypervisor) -> AttachRequest:
    """The request with the other initiators of hosts that do not answer or of nobody: what those of the rest do, the hypervisor tells."""
    if not request.other_initiators:
        return request
    hosts = hypervisor.hosts()
    known = initiators_asked(hosts, request.ignore_hosts)
    others = [name for name in request.other_initiators if name.lower() not in known]
    return replace(request, other_initiators=others, silent_initiators=initiators_of_silent(hosts))


def _names(hosts: Sequence[Host]) -> list[str]:
    return [host.name for host in hosts]
