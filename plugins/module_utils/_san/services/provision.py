# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give initiators a LUN of an array, and take it back, on any array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array, ProvisionWish, WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import initiator_kind, normalize_initiator
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout, Inventory, Lun, LunMapping, Target
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Outcome, carry_out, read_back
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.plain import plain
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import refuse_if_used, users

ALWAYS = "always"
CHANGED = "changed"
NEVER = "never"


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

    def result(self, initiators: Sequence[str]) -> dict[str, Any]:
        """The report as a module returns it; `lun_id` is the number that these initiators see."""
        lun = self.lun
        return {
            "changed": self.outcome.changed,
            "actions": list(self.outcome.actions),
            "diff": self.outcome.diff(),
            "created": self.created,
            "mapped": self.mapped,
            "first_mapped": self.first_mapped,
            "path": lun.path if lun else None,
            "uuid": lun.id if lun else None,
            "serial": lun.serial if lun else None,
            "naa": lun.name.naa if lun else None,
            "size_bytes": lun.size_bytes if lun else None,
            "used_bytes": lun.used_bytes if lun else None,
            "svm": lun.svm if lun else None,
            "volume": lun.volume if lun else None,
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


def provision(array: Array, wish: ProvisionWish, targets: str, check_mode: bool) -> LunReport:
    """Create, grow and map a LUN as wished. Raises a `CrossvisorError`; nothing is left half-made.

    `targets` says when the targets are looked up, which costs requests: `always`, `changed` (by this run) or `never`.
    """
    change = array.plan_provision(wish)
    observed = change.lun()
    wanted = targets == ALWAYS or (targets == CHANGED and bool(change.plan.pending()))
    found = array.targets(wish.address.svm, {initiator_kind(name) for name in wish.initiators}) if wanted else None
    about = array.about()
    outcome = carry_out(change.plan, check_mode)
    lun = read_back(outcome, check_mode, change.lun)
    with_access, with_access_before = initiators_with_access(lun), initiators_with_access(observed)
    return LunReport(
        outcome,
        about,
        lun,
        created=observed is None and lun is not None,
        mapped=bool(with_access - with_access_before),
        first_mapped=bool(with_access) and not with_access_before,
        targets=found,
    )


def withdraw(array: Array, wish: WithdrawWish, open_hypervisor: Callable[[], Hypervisor] | None, check_mode: bool) -> LunReport:
    """Unmap and, if wished, delete a LUN. Raises a `CrossvisorError`.

    The hypervisor is asked first whether a VM or a file system uses the LUN; None is the user's word that nobody does.
    """
    change = array.plan_withdraw(wish)
    lun = change.lun()
    if lun is not None and change.plan.pending() and open_hypervisor is not None:
        purpose = "deleted" if wish.delete else "unmapped"
        refuse_if_used(
            lun.name, users(lun.name, _inventory(open_hypervisor)), purpose, "detach it there first (ptd_attach with state=absent)"
        )
    about = array.about()
    outcome = carry_out(change.plan, check_mode)
    lun_now = read_back(outcome, check_mode, change.lun)
    return LunReport(outcome, about, lun_now, created=False, mapped=False, first_mapped=False, targets=None)


def initiators_with_access(lun: Lun | None) -> set[str]:
    """The initiators that see the LUN through any group, in lower case."""
    return {name.lower() for mapping in lun.mappings for name in mapping.initiators} if lun else set()


def _inventory(open_hypervisor: Callable[[], Hypervisor]) -> Inventory:
    hypervisor = open_hypervisor()
    try:
        return hypervisor.inventory(devices=False)
    finally:
        hypervisor.close()
