# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of LUNs on any array, and the restoration of one LUN from one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san import moment, timestamps
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    Array,
    LunAddress,
    Restoration,
    RestoreWish,
    SnapshotChange,
    SnapshotRemoval,
    SnapshotWish,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ArrayAbout, Inventory, Lun, Snapshot
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Guard, Outcome, Plan, carry_out, read_back
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.plain import plain
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import initiators_asked, initiators_of_silent, pick_vm
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import (
    USED,
    VIRTUAL_MACHINE,
    Claim,
    claims,
    claims_of_strangers,
    claims_of_uses,
    refuse_unless_free,
    without,
)

_RESTORED = "restored"
_REMOVE_SNAPSHOTS = "remove the snapshots of the VM first, which writes what they hold to the LUN"
_TAKE_OUT_OF_USE = (
    "unmount it in its guest and say so with unused_by_vm, detach it there first (ptd_attach with state=absent), or use the role "
    "restore_snapshot, which does it"
)


@dataclass(frozen=True)
class SnapshotReport:
    """What was, or would be, done about a snapshot."""

    outcome: Outcome
    array: ArrayAbout
    luns: Sequence[Lun]
    snapshots: Sequence[Snapshot]
    at_once: bool

    def result(self) -> dict[str, Any]:
        """The report as a module returns it."""
        return {
            **_told(self.outcome),
            "luns": [row_of_lun(lun) for lun in self.luns],
            "snapshots": [row_of_snapshot(one) for one in self.snapshots],
            "consistent": self.at_once,
            "restored": None,
            "safety_snapshot": None,
            "array": plain(self.array),
        }


@dataclass(frozen=True)
class RestoreReport:
    """What was, or would be, done to restore a LUN."""

    outcome: Outcome
    array: ArrayAbout
    before: Lun
    lun: Lun
    safety_snapshot: Snapshot | None

    def result(self) -> dict[str, Any]:
        """The report as a module returns it, with the size that hosts and guests are to be told of."""
        sizes = {"size_before_bytes": self.before.size_bytes, "resized": self.lun.size_bytes != self.before.size_bytes}
        return {
            **_told(self.outcome),
            "luns": [row_of_lun(self.lun)],
            "snapshots": [],
            "consistent": True,
            "restored": {**row_of_lun(self.lun), **sizes},
            "safety_snapshot": row_of_snapshot(self.safety_snapshot) if self.safety_snapshot else None,
            "array": plain(self.array),
        }


def row_of_snapshot(one: Snapshot) -> dict[str, Any]:
    """A snapshot as modules return it."""
    return {
        "name": one.name,
        "uuid": one.id,
        "svm": one.svm,
        "volume": one.volume,
        "created": one.created,
        "comment": one.comment,
        "made_by": one.made_by or None,
        "expires": one.expires or None,
        "snapmirror_label": one.label or None,
        "owners": list(one.owners),
        "state": one.state or None,
        "size_bytes": one.size_bytes,
    }


def row_of_lun(lun: Lun) -> dict[str, Any]:
    """A LUN as these modules return it."""
    return {
        "naa": lun.name.naa,
        "serial": lun.serial,
        "uuid": lun.id,
        "path": lun.path,
        "svm": lun.svm,
        "volume": lun.volume,
        "size_bytes": lun.size_bytes,
    }


def listing(array: Array, luns: Sequence[LunAddress | ScsiName], name: str) -> dict[str, Any]:
    """The snapshots of the LUNs' volumes, as a module returns them. Raises a `CrossvisorError`."""
    about = array.about()
    found = array.snapshots(_some(luns), name)
    return {"snapshots": [row_of_snapshot(one) for one in found], "array": plain(about)}


def take(array: Array, wish: SnapshotWish, check_mode: bool) -> SnapshotReport:
    """Take, rename or change a snapshot. Raises a `CrossvisorError`; what was taken of some volumes only is taken back."""
    _some(wish.luns)
    about = array.about()
    return _reported(about, array.plan_snapshot(wish), check_mode)


def remove(array: Array, wish: SnapshotRemoval, check_mode: bool) -> SnapshotReport:
    """Delete a snapshot. Raises a `CrossvisorError`."""
    _some(wish.luns)
    about = array.about()
    return _reported(about, array.plan_snapshot_removal(wish), check_mode)


def restore(
    array: Array,
    wish: RestoreWish,
    open_hypervisor: Callable[[], Hypervisor] | None,
    check_mode: bool,
    assume_unused: bool = False,
    unused_by_vm: str = "",
) -> RestoreReport:
    """Restore one LUN in place. Raises a `CrossvisorError`.

    Who uses the LUN is asked first, and again right before its data goes. `unused_by_vm` is a VM that has the LUN as a disk and, by the
    user's word, does nothing with it; no hypervisor is the word that no VM and no host does; `assume_unused` overrides only what nobody
    can tell.
    """
    about = array.about()
    change = array.plan_restore(wish)
    with closing(Users(array, open_hypervisor, unused_by_vm)) as users:
        warnings = refuse_unless_free(change.before.name, users.claims(change.before), _RESTORED, _TAKE_OUT_OF_USE, assume_unused)
        guard = StillUnused(users, change.before, assume_unused)
        steps = [kept for step in change.plan.steps for kept in ((guard, step) if step.final else (step,))]
        return _restored(about, change, Plan(steps, [*warnings, *change.plan.warnings]), check_mode)


@dataclass
class Users:
    """The array and the hypervisor that know who uses a LUN whose data is about to be replaced, over one login."""

    array: Array
    open: Callable[[], Hypervisor] | None
    """None when the user vouches for what a hypervisor could tell."""
    unused_by_vm: str = ""
    _hypervisor: Hypervisor | None = None

    def claims(self, lun: Lun) -> list[Claim]:
        """Whatever uses the LUN or may use it. That a host merely sees it is no use, because it goes on seeing it."""
        elsewhere = claims_of_uses(lun.name, self.array.uses(lun))
        if self.open is None:
            return elsewhere
        if self._hypervisor is None:
            self._hypervisor = self.open()
        with moment.one():
            inventory = self._hypervisor.inventory(devices=False)
            hosts = self._hypervisor.hosts()
        found = claims(lun.name, inventory)
        if self.unused_by_vm:
            vm = pick_vm(inventory.virtual_machines, self.unused_by_vm, inventory.silent).id
            found = [claim for claim in without(vm, found) if not (claim.id == vm and claim.apart)]
        found = [*found, *_written_apart(lun.name, inventory, _in_snapshots(found))]
        return [*elsewhere, *found, *claims_of_strangers(lun.mappings, initiators_asked(hosts), initiators_of_silent(hosts))]

    def close(self) -> None:
        """Log out, if anybody was asked. Never raises."""
        if self._hypervisor is not None:
            self._hypervisor.close()


@dataclass
class StillUnused(Guard):
    """Make sure, right before a LUN's data is replaced, that nobody has begun to use it since it was last looked at."""

    users: Users
    lun: Lun
    assume_unused: bool

    def __post_init__(self) -> None:
        self.title = f"let LUN {self.lun.name} be {_RESTORED}"

    def look(self) -> None:
        refuse_unless_free(self.lun.name, self.users.claims(self.lun), _RESTORED, _TAKE_OUT_OF_USE, self.assume_unused)


def safety_name(snapshot: str) -> str:
    """A name for the snapshot that is taken before a restoration, of which there is one each second."""
    return f"crossvisor_before_{snapshot[:180]}_{timestamps.now():%Y%m%dT%H%M%SZ}"


def _in_snapshots(found: Sequence[Claim]) -> set[str]:
    return {claim.id for claim in found if claim.in_snapshots and claim.verdict == USED}


def _written_apart(name: ScsiName, inventory: Inventory, told: Collection[str]) -> list[Claim]:
    """The VMs whose snapshots hold what was written to the LUN since: over other data than before, nothing of that would make sense.

    Not those of which it is told already that their snapshots have the LUN, by `VirtualMachine.id`.
    """
    return [
        Claim(USED, VIRTUAL_MACHINE, vm.name, vm.id, "whose own snapshots hold what was written since they were taken", _REMOVE_SNAPSHOTS)
        for vm in inventory.virtual_machines
        if vm.id not in told and any(disk.name == name and disk.parents for disk in vm.disks)
    ]


def _some(luns: Sequence[LunAddress | ScsiName]) -> Sequence[LunAddress | ScsiName]:
    if not luns:
        raise InvalidInput("luns names no LUN: give at least one by naa, by serial, or by svm, volume and name.")
    return luns


def _reported(about: ArrayAbout, change: SnapshotChange, check_mode: bool) -> SnapshotReport:
    outcome = carry_out(change.plan, check_mode)
    return SnapshotReport(outcome, about, change.luns, read_back(outcome, check_mode, change.snapshots), change.at_once)


def _restored(about: ArrayAbout, change: Restoration, plan: Plan, check_mode: bool) -> RestoreReport:
    outcome = carry_out(plan, check_mode)
    lun = read_back(outcome, check_mode, change.lun)
    return RestoreReport(outcome, about, change.before, lun, change.safety_snapshot())


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "changed": outcome.changed,
        "actions": list(outcome.actions),
        "diff": outcome.diff(),
        "warnings": list(outcome.warnings),
    }
