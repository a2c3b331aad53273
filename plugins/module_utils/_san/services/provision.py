# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give initiators a LUN of an array, and take it back, on any array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san import moment
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    Array,
    Change,
    ProvisionWish,
    WithdrawWish,
    nobody_to_ask,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import initiator_kind, normalize_initiator
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout, Host, Lun, LunMapping, Target
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Guard, Outcome, Plan, carry_out, read_back
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.plain import plain
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import can_be_asked, pick_vm
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import (
    USED,
    Claim,
    claims,
    claims_of_strangers,
    claims_of_uses,
    refuse_unless_free,
    without,
)

ALWAYS = "always"
CHANGED = "changed"
NEVER = "never"
_DETACH_FIRST = "detach it there first (the playbook remove_disk, or ptd_attach with state=absent)"


@dataclass(frozen=True)
class LunReport:
    """What was, or would be, done; `lun` is None while it does not exist."""

    outcome: Outcome
    array: ArrayAbout
    lun: Lun | None
    created: bool
    """The LUN did not exist before this run."""
    mapped: bool
    """This run let initiators see it that did not before."""
    first_mapped: bool
    """Nobody saw it before this run, and somebody does now."""
    targets: Sequence[Target] | None
    """None when they were not looked up."""
    strangers: Sequence[str] = ()
    """Who sees the LUN beside the wished initiators and the members of the wished group."""
    made_by: str | None = None
    """The mark of this run, when it has created the LUN."""

    def result(self, initiators: Sequence[str]) -> dict[str, Any]:
        """The report as a module returns it; `lun_id` is the number that these initiators see."""
        lun = self.lun
        return {
            "changed": self.outcome.changed,
            "actions": list(self.outcome.actions),
            "diff": self.outcome.diff(),
            "warnings": list(self.outcome.warnings),
            "created": self.created,
            "made_by": self.made_by,
            "mapped": self.mapped,
            "first_mapped": self.first_mapped,
            "path": lun.path if lun else None,
            "uuid": lun.id if lun else None,
            "serial": lun.serial if lun else None,
            "naa": lun.name.naa if lun else None,
            "size_bytes": lun.size_bytes if lun else None,
            "used_bytes": lun.used_bytes if lun else None,
            "state": lun.state if lun else None,
            "create_time": (lun.created or None) if lun else None,
            "svm": lun.svm if lun else None,
            "volume": lun.volume if lun else None,
            "other_initiators": list(self.strangers),
            "lun_id": _lun_id(lun, initiators) if lun else None,
            "igroups": [_igroup(mapping) for mapping in lun.mappings] if lun else [],
            "targets": plain(self.targets),
            "array": plain(self.array),
        }


def _lun_id(lun: Lun, initiators: Sequence[str]) -> int | None:
    """The one number under which the initiators (all, if none are given) see the LUN."""
    wanted = {name.lower() for name in initiators}
    numbers = {mapping.lun_id for mapping in lun.mappings if not wanted or wanted & {name.lower() for name in mapping.initiators}}
    return numbers.pop() if len(numbers) == 1 else None


def _igroup(mapping: LunMapping) -> dict[str, Any]:
    return {"name": mapping.group, "uuid": mapping.group_id, "lun_id": mapping.lun_id, "initiators": list(mapping.initiators)}


def normalized(initiators: Sequence[str]) -> list[str]:
    """The initiators in the array's spelling, each once, in the order given. Raises `InvalidInput`."""
    return list(dict.fromkeys(normalize_initiator(name) for name in initiators))


def provision(
    array: Array,
    wish: ProvisionWish,
    targets: str,
    check_mode: bool,
    open_hypervisor: Callable[[], Hypervisor] | None = None,
    assume_unused: bool = False,
) -> LunReport:
    """Create, grow and map a LUN as wished. Raises a `CrossvisorError`; nothing is left half-made but what somebody has come to use.

    Where the targets are looked up and none of them is in service, nothing is done: hosts would wait for the LUN in vain.
    `targets` says when the targets are looked up, which costs requests: `always`, `changed` (by this run) or `never`.
    The hypervisor is asked only when a step fails, before anything is taken back. Without one, a LUN that was there before stays mapped,
    unless `assume_unused` is the user's word for what nobody can tell.
    """
    about = array.about()
    with closing(Asked(array, False, open_hypervisor)) as asked:
        change = array.plan_provision(wish, partial(_refuse_to_take_back, asked, assume_unused))
        return _provisioned(array, about, change, wish, targets, check_mode)


def _refuse_to_take_back(asked: Asked, assume_unused: bool, luns: Sequence[Lun], made: bool) -> None:
    """The last look of an undo."""
    hypervisor = asked.hypervisor()
    if hypervisor is not None:
        with moment.one():
            inventory = hypervisor.inventory(devices=False)
            for lun in luns:
                refuse_unless_free(lun.name, claims(lun.name, inventory), "taken back", _DETACH_FIRST, assume_unused or made)
                if not lun.mappings:
                    _refuse_known(lun, hypervisor, inventory.hosts)
    elif not assume_unused:
        nobody_to_ask(luns, made)


def _refuse_known(lun: Lun, hypervisor: Hypervisor, hosts: Sequence[Host]) -> None:
    """Raise `Refused` for a LUN that is about to be deleted while hosts still have it: by its name the next run finds what they have."""
    known = {device.host for device in hypervisor.devices([host.id for host in hosts if can_be_asked(host)], lun.name)}
    if known:
        names = ", ".join(host.name for host in hosts if host.id in known)
        raise Refused(f"LUN {lun.name} has been shown to {names} meanwhile, and stays: run this task again, or remove the LUN by its name.")


def _provisioned(array: Array, about: ArrayAbout, change: Change, wish: ProvisionWish, targets: str, check_mode: bool) -> LunReport:
    observed = change.lun()
    wanted = targets == ALWAYS or (targets == CHANGED and bool(change.plan.pending()))
    found = array.targets(wish.address.svm, {initiator_kind(name) for name in wish.initiators}) if wanted else None
    unserved = [] if found is None else _refuse_unless_served(wish, found)
    outcome = carry_out(change.plan + Plan(warnings=unserved), check_mode)
    lun = read_back(outcome, check_mode, change.lun)
    created = observed is None and lun is not None
    with_access, with_access_before = initiators_with_access(lun), initiators_with_access(observed)
    return LunReport(
        outcome,
        about,
        lun,
        created=created,
        mapped=bool(with_access - with_access_before),
        first_mapped=bool(with_access) and not with_access_before,
        targets=found,
        strangers=wish.strangers(lun) if lun else (),
        made_by=change.mark if created else None,
    )


def _refuse_unless_served(wish: ProvisionWish, targets: Sequence[Target]) -> list[str]:
    """Raise `Refused` when no target is in service for any of the initiators; returns, as a warning, for which of them none is."""
    kinds = sorted({initiator_kind(name) for name in wish.initiators})
    unserved = [kind for kind in kinds if not any(target.kind == kind and target.serves for target in targets)]
    if not unserved:
        return []
    reasons = " and ".join(_why_unserved(kind, [target for target in targets if target.kind == kind]) for kind in unserved)
    trouble = f"SVM {wish.address.svm} has {reasons}, so that hosts cannot see LUN {wish.address} that way"
    way_out = "start the SVM if it is stopped, its service and its network interfaces, or leave these initiators out"
    if unserved == kinds:
        raise Refused(f"{trouble}: {way_out}.")
    return [f"{trouble}: {way_out}."]


def _why_unserved(kind: str, targets: Sequence[Target]) -> str:
    named = "iSCSI target" if kind == "iscsi" else "Fibre Channel port"
    if not targets:
        return f"no {named}"
    names = ", ".join(target.name for target in targets)
    if kind == "iscsi" and any(target.enabled for target in targets):
        return f"no network interface up for its {named} {names}"
    return f"its {named} {names} out of service"


@dataclass
class Asked:
    """The array and the hypervisor that know who uses a LUN; they are asked as often as there is something to guard, over one login."""

    array: Array
    deleting: bool
    """Only a deletion takes the LUN from who has it beside its initiators."""
    open: Callable[[], Hypervisor] | None
    """None when the user vouches for what a hypervisor could tell."""
    leaving_vm: str = ""
    """A VM from which the LUN is about to be taken: its own use is no reason to refuse."""
    assume_unused: bool = False
    """The user vouches for what nobody can tell."""
    _hypervisor: Hypervisor | None = None

    def claims(self, lun: Lun) -> list[Claim]:
        """Whatever uses the LUN or may use it, by the word of the array and of the hypervisor, and by whom the array shows it to."""
        elsewhere = claims_of_uses(lun.name, self.array.uses(lun)) if self.deleting else []
        hypervisor = self.hypervisor()
        if hypervisor is None:
            return elsewhere
        with moment.one():
            return [*elsewhere, *self._claims_here(lun, hypervisor)]

    def hypervisor(self) -> Hypervisor | None:
        """The hypervisor, logged in; None when there is none to ask."""
        if self._hypervisor is None and self.open is not None:
            self._hypervisor = self.open()
        return self._hypervisor

    def _claims_here(self, lun: Lun, hypervisor: Hypervisor) -> list[Claim]:
        inventory = hypervisor.inventory(devices=False)
        found = claims(lun.name, inventory)
        if self.leaving_vm:
            found = without(pick_vm(inventory.virtual_machines, self.leaving_vm, inventory.silent).id, found)
        if not lun.mappings:
            return found
        hosts = hypervisor.hosts()
        known = {hba.initiator for host in hosts for hba in host.hbas if hba.initiator}
        strangers = claims_of_strangers(lun.mappings, known)  # what those of a host do that cannot be asked, `in_service` tells or doubts
        return [*found, *self._in_service(lun, hypervisor, hosts, found), *strangers]

    def _in_service(self, lun: Lun, hypervisor: Hypervisor, hosts: Sequence[Host], found: Sequence[Claim]) -> list[Claim]:
        """The hosts that see the LUN and have not let go of it; not asked while something else is to be ended or mended first."""
        if self.leaving_vm or any(claim.verdict == USED or not self.assume_unused for claim in found):
            return []
        with_access = initiators_with_access(lun)
        seeing = [host.id for host in hosts if any((hba.initiator or "").lower() in with_access for hba in host.hbas)]
        return claims_of_uses(lun.name, hypervisor.in_service(seeing, lun.name)) if seeing else []

    def close(self) -> None:
        """Log out, if anybody was asked. Never raises."""
        if self._hypervisor is not None:
            self._hypervisor.close()


@dataclass
class Nobody(Guard):
    """Make sure, right before a LUN is deleted and right after it was unmapped, that nobody has got it since it was last looked at."""

    asked: Asked
    lun: Lun
    purpose: str
    assume_unused: bool

    def __post_init__(self) -> None:
        self.title = f"let LUN {self.lun.name} be {self.purpose}"

    def look(self) -> None:
        _refuse_used(self.asked, replace(self.lun, mappings=()), self.purpose, self.assume_unused)


def withdraw(
    array: Array,
    wish: WithdrawWish,
    open_hypervisor: Callable[[], Hypervisor] | None,
    check_mode: bool,
    assume_unused: bool = False,
    leaving_vm: str = "",
) -> LunReport:
    """Unmap and, if wished, delete a LUN. Raises a `CrossvisorError`.

    The hypervisor is asked whether anybody uses the LUN: first, after it was unmapped, and right before it is deleted; so is the array,
    of a LUN that shall be deleted, whether another one presents it too. No hypervisor is the user's word that no VM and no host uses it;
    `assume_unused` overrides only what nobody can tell. `leaving_vm` is for check mode alone: it tells whether the LUN could go once that
    VM has let go of it. A LUN that is not there is no error, because a second run finds none, but a warning: its name may be a wrong one.
    """
    about = array.about()
    change = array.plan_withdraw(wish)
    lun = change.lun()
    plan = change.plan
    if lun is None:
        return _withdrawn(about, change, plan, check_mode, missing=str(wish.lun))
    if not plan.pending():
        return _withdrawn(about, change, plan, check_mode)
    with closing(Asked(array, wish.delete, open_hypervisor, leaving_vm, assume_unused)) as asked:
        purpose = "deleted" if wish.delete else "unmapped"
        warnings = _refuse_used(asked, replace(lun, mappings=change.leaving), purpose, assume_unused)
        guard = Nobody(asked, lun, purpose, assume_unused)
        guarded = [kept for step in plan.steps for kept in ((guard, step) if step.final else (step,))]
        return _withdrawn(about, change, Plan([*guarded, *([] if wish.delete else [guard])], [*warnings, *plan.warnings]), check_mode)


def _withdrawn(about: ArrayAbout, change: Change, plan: Plan, check_mode: bool, missing: str = "") -> LunReport:
    told = [f"Array {about.name} has no LUN {missing}, so that there was nothing to take back: if there should be, correct its name."]
    outcome = carry_out(plan + Plan(warnings=told if missing else []), check_mode)
    lun = read_back(outcome, check_mode, change.lun)
    return LunReport(outcome, about, lun, created=False, mapped=False, first_mapped=False, targets=None)


def _refuse_used(asked: Asked, lun: Lun, purpose: str, assume_unused: bool) -> list[str]:
    return refuse_unless_free(lun.name, asked.claims(lun), purpose, _DETACH_FIRST, assume_unused)


def initiators_with_access(lun: Lun | None) -> set[str]:
    """The initiators that see the LUN through any group, in lower case."""
    return {name.lower() for mapping in lun.mappings for name in mapping.initiators} if lun else set()
