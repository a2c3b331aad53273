# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore one LUN in place from a snapshot of its volume: never the volume, which would take all of its LUNs back.

Source, by REST: "Over-writing an existing LUN's data as a clone of another" of LUNs in NetApp's ONTAP REST API reference, which keeps UUID,
serial number, maps, reservations and state. That the source of such a clone may lie in a snapshot is said there of new clones, and
believed of these. Over ZAPI it is `snapshot-restore-file`, which overwrites the LUN while hosts may read and write it ("Restore a single
file from an ONTAP snapshot" in NetApp's documentation), so that its maps stay; that its identity stays is believed. Both are read back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san import timestamps
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Restoration, RestoreWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import states
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import (
    LUN_GONE,
    SNAPSHOT_GONE,
    ChangeUnfinished,
    OntapRefusal,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import OntapStep, Site
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import Transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volume_snapshots import (
    TakeSnapshot,
    no_snapshot,
    places_of,
    refuse_unfit,
    require_luns,
    site_of,
    snapshots_of,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    OutcomeUnknown,
    Refused,
    RemoteError,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, Snapshot
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan

_LONGEST_REMARK = 220
_SIZE = re.compile(r"([0-9]{1,20}) bytes of ")


def plan_restore(array: Transport, wish: RestoreWish) -> Restoration:
    """The steps to the wish: a snapshot of what is there now, the restoration, and what it may have changed beside the data."""
    stored = require_luns(array, [wish.lun])[0]
    lun = stored.lun
    (place,) = places_of([stored])
    title = f"{lun.svm}:{lun.path}"
    states.refuse_unless_container_online(lun)
    if lun.read_only:
        raise Refused(f"LUN {title} is read-only on its array, as the destination of a mirror is: restore it at its source.")
    there = {one.name: one for one in snapshots_of(array, place)}
    snapshot = there.get(wish.snapshot)
    if snapshot is None:
        raise no_snapshot(array, place, wish.snapshot)
    refuse_unfit(snapshot, place)
    warnings = _refuse_unless_older(lun, snapshot, title, wish.assume_same_lun)
    site = Site(array, lun.svm, title, wish.timeout, lun)
    site.lun = site.completed(lun)
    size = max([lun.size_bytes, *_sizes_before(there.values(), lun, wish.snapshot)])
    safety = _safety(array, place, wish, lun, there)
    restoration = RestoreLun(site, place, snapshot, stored.comment)
    kept = [KeepComment(site, restoration, stored.comment), KeepSize(site, size)]
    steps: list[OntapStep] = [*([safety] if safety else []), restoration, *kept]
    return Restoration(Plan(steps, warnings), site.require_lun(), site.require_lun, lambda: safety.taken if safety else None)


def _safety(array: Transport, place: Place, wish: RestoreWish, lun: Lun, there: Collection[str]) -> TakeSnapshot | None:
    if not wish.safety_snapshot:
        return None
    if wish.safety_snapshot in there:
        raise Refused(f"Volume {place} has a snapshot {wish.safety_snapshot} already: give the safety snapshot another name.")
    comment = _remark(lun.size_bytes, lun.path, wish.snapshot)
    return TakeSnapshot(site_of(array, place, wish.timeout), place, wish.safety_snapshot, comment)


def _remark(size: int, path: str, snapshot: str) -> str:
    return f"{size} bytes of {path} before it was restored from {snapshot}"[:_LONGEST_REMARK].rstrip()


def _sizes_before(there: Iterable[Snapshot], lun: Lun, snapshot: str) -> list[int]:
    """The sizes that the LUN had before earlier runs restored it from that snapshot, of which one may have been killed on its way back."""
    told = [(one.comment, _SIZE.match(one.comment)) for one in there if one.made_by]
    return [int(size[1]) for comment, size in told if size and comment == _remark(int(size[1]), lun.path, snapshot)]


def _refuse_unless_older(lun: Lun, snapshot: Snapshot, title: str, assume_same_lun: bool) -> list[str]:
    """Raise `Refused` for a LUN that is or may be younger than the snapshot, which holds another one under its name, or none, then."""
    told = _doubt(lun, snapshot, title)
    if not told:
        return []
    if assume_same_lun:
        return [f"{told}; it was restored because assume_same_lun vouches for it."]
    raise Refused(
        f"{told}, so that the snapshot may hold another LUN of that name, or none: choose a later snapshot, or vouch for the LUN with "
        f"{option('assume_same_lun', 'true')}."
    )


def _doubt(lun: Lun, snapshot: Snapshot, title: str) -> str:
    """Why the LUN in the snapshot may be another one. An array tells whole seconds, and nobody the order of what it did in one of them."""
    untold = [what for what, created in ((f"LUN {title}", lun.created), (f"snapshot {snapshot.name}", snapshot.created)) if not created]
    if untold:
        return f"The array does not tell when {' and '.join(untold)} was created"
    created, taken = timestamps.parse(lun.created), timestamps.parse(snapshot.created)
    if created < taken:
        return ""
    order = "after" if created > taken else "in the same second as"
    return f"LUN {title} was created at {lun.created}, {order} snapshot {snapshot.name} ({snapshot.created})"


@dataclass
class RestoreLun(OntapStep):
    """Give a LUN the data that it had in a snapshot. What it held is then only in later snapshots."""

    place: Place
    snapshot: Snapshot
    comment: str
    """Of the LUN: it is not among what the reference says that a restoration keeps, unless it is said with it."""
    final = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"restore LUN {self.site.title} from snapshot {self.snapshot.name}"
        self._known = self.site.require_lun()

    def change(self) -> None:
        """Ask for it, and once more when the answer was lost: done twice, it is the same."""
        try:
            self._ask()
        except ChangeUnfinished:
            raise
        except OutcomeUnknown as lost:
            self._ask_again(lost)

    def settled(self) -> bool:
        """Nothing that the array tells would show whether it was done."""
        return False

    def check(self) -> None:
        now, known = self.site.read(), self._known
        if now is None or (now.serial, _maps(now)) != (known.serial, _maps(known)):
            raise RemoteError(
                f"LUN {self.site.title} has not kept its serial number and its maps: look at it on the array before it is used."
            )

    def before(self) -> Mapping[str, Any]:
        return {self.site.title: {"data": "as it is now"}}

    def after(self) -> Mapping[str, Any]:
        return {self.site.title: {"data": f"as in snapshot {self.snapshot.name} ({self.snapshot.created})"}}

    def _ask_again(self, lost: OutcomeUnknown) -> None:
        """Whatever is said to the second request, the first may have been carried out: what was kept for that stays."""
        try:
            self._ask()
        except OutcomeUnknown:
            raise
        except CrossvisorError as error:
            told = str(error).rstrip(".")
            raise OutcomeUnknown(
                f"nobody can tell whether LUN {self.site.title} was restored, because the first answer was lost and the second was "
                f"'{told}': look at its data, or run the task again"
            ) from lost

    def _ask(self) -> None:
        self._look()
        try:
            self.site.array.restore_lun(self._known, self.snapshot, self.comment, self.site.timeout)
        except OntapRefusal as error:
            if error.fault not in (*LUN_GONE, *SNAPSHOT_GONE):
                raise
            raise RemoteError(
                f"Snapshot {self.snapshot.name} holds no LUN {self._known.path}, or the LUN itself is not there any more: choose another "
                "snapshot, or, where the LUN was renamed since, give it the name that it had then.",
                error.code,
            ) from error

    def _look(self) -> None:
        """Raise `Refused` where LUN or snapshot are no more what they were when it was asked who uses the LUN."""
        known, place = self._known, self.place
        now = self.site.read()
        if now is None or (now.path, _maps(now)) != (known.path, _maps(known)):
            raise Refused(
                f"LUN {self.site.title} was renamed, mapped, unmapped or deleted since it was looked at, and its data stays: run the task "
                "again"
            )
        if self.snapshot.id not in [one.id for one in snapshots_of(self.site.array, place, self.snapshot.name)]:
            raise Refused(
                f"snapshot {self.snapshot.name} of volume {place} is not there any more, or is another one than was looked at: look at the "
                "snapshots (lun_snapshot_info), and run the task again"
            )


@dataclass
class KeepComment(OntapStep):
    """Give a LUN its comment back, where a restoration did not take it."""

    restoration: RestoreLun
    comment: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"set the comment of LUN {self.site.title} again"

    def done(self) -> bool:
        return super().done() or not self.restoration.done() or self._now() == self.comment

    def change(self) -> None:
        self.site.array.comment_lun(self.site.require_lun(), self.comment, self.site.timeout)

    def check(self) -> None:
        if self._now() != self.comment:
            raise RemoteError(f"LUN {self.site.title} did not take its comment again: set it on the array ({self.comment}).")

    def _now(self) -> str:
        stored = self.site.array.lun_of(self.site.require_lun().id)
        return stored.comment if stored else self.comment


@dataclass
class KeepSize(OntapStep):
    """Grow a LUN to the size that it had, where the snapshot holds a smaller one: LUNs never shrink under their hosts."""

    size_bytes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"grow LUN {self.site.title} to the {self.size_bytes} bytes that it had"

    def done(self) -> bool:
        return super().done() or self.site.require_lun().size_bytes >= self.size_bytes

    def change(self) -> None:
        self.site.array.grow_lun(self.site.require_lun(), self.size_bytes, self.site.timeout)

    def check(self) -> None:
        lun = self.site.read()
        if lun is None or lun.size_bytes < self.size_bytes:
            raise RemoteError(f"LUN {self.site.title} is smaller than it was: grow it to {self.size_bytes} bytes before a host uses it.")


def _maps(lun: Lun) -> set[tuple[str, int | None]]:
    return {(mapping.group_id, mapping.lun_id) for mapping in lun.mappings}
