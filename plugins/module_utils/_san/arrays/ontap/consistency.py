# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consistency groups: the one way in which ONTAP takes snapshots of several volumes at one moment.

A group that holds exactly the volumes of the LUNs is used. Where none of them is in any group, one is made for the snapshot, and forgotten
after it, which leaves the volumes and their snapshots, as NetApp's own Trident does it. Its name tells the next run that it may go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import SnapshotRemoval, SnapshotWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import volume_snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import (
    CONSISTENCY_GROUP_GONE,
    SNAPSHOT_GONE,
    Fault,
    OntapRefusal,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import SETTLE_SECONDS, OntapStep, Site, fine_when
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import Transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volume_snapshots import ModifySnapshot
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Place, Taken, text_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import MissingRight, NotFound, Refused, RemoteError, option
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot

_EVENTS = "look at the array's event log"


def group_of(array: Transport, places: Sequence[Place], foreign: bool = False) -> ConsistencyGroup | None:
    """The group of exactly these volumes; None where none of them is in any. One request, and one more for what the group has taken.

    Raises `Refused` where no snapshot of one moment can be taken of them, unless that is `foreign` to who asks.
    """
    svms = sorted({place.svm for place in places})
    names = frozenset(place.volume for place in places)
    try:
        if len(svms) > 1:
            raise Refused(f"The LUNs are in several SVMs ({', '.join(svms)}), of which no snapshot can be taken at one moment: {_each()}.")
        found = [group for group in _groups(array, svms[0]) if group.volumes & names]
        exact = next((group for group in found if group.volumes == names), None)
        if exact is None and found:
            raise _in_others(names, found[0])
    except (MissingRight, Refused):
        if foreign:
            return None
        raise
    return None if exact is None else replace(exact, taken=array.taken_by(exact))


def steps(array: Transport, wish: SnapshotWish, places: Sequence[Place], group: ConsistencyGroup | None) -> list[OntapStep]:
    """Take a snapshot of all volumes at one moment, by their group or by one that is made for it."""
    site = Site(array, places[0].svm, ", ".join(str(place) for place in places), wish.timeout)
    gather = GatherVolumes(site, places) if group is None else None
    take = TakeTogether(site, places, wish, gather.name if gather else str(group and group.name))
    described = {"comment": text_of(site.mark, wish.comment), **({"snapmirror_label": wish.label} if wish.label else {})}
    forget = [ForgetGroup(site, take.group)] if gather or (group and group.ours) else []
    return [
        *([gather] if gather else []),
        take,
        *(_setting(take, place, described) for place in places),
        *forget,
        *(_setting(take, place, {"expiry_time": wish.expires}) for place in (places if wish.expires else ())),
    ]


def require_one_moment(wish: SnapshotWish, found: Sequence[tuple[Place, Snapshot]], group: ConsistencyGroup | None) -> str:
    """Raise `Refused` for snapshots of one name that were not taken together; returns the mark that they lack, if they lack one."""
    marks = {one.made_by for _place, one in found}
    if len(marks) == 1 and marks != {""}:
        return ""
    taken = group.named(wish.name, *([wish.old_name] if wish.old_name else [])) if group else None
    if taken is not None:
        return taken.mark or next(iter(marks - {""}), "")
    names = ", ".join(f"{one.name} of volume {place}" for place, one in found)
    raise Refused(
        f"Nothing tells that the snapshots {names} are of one moment: choose another name, or say so with {option('each', 'true')}."
    )


def sweep(array: Transport, group: ConsistencyGroup | None, timeout: float) -> list[OntapStep]:
    """Forget a group that a run which was stopped has left."""
    if group is None or not group.ours:
        return []
    return [ForgetGroup(Site(array, "", group.name, timeout), group.name)]


def removal(array: Transport, wish: SnapshotRemoval, group: ConsistencyGroup) -> list[OntapStep] | None:
    """Delete what a group of somebody's has taken, as a whole; None where it has not taken it."""
    taken = next((one for one in group.taken if one.name == wish.name), None)
    if taken is None or group.ours:
        return None
    return [DeleteTogether(Site(array, "", group.name, wish.timeout), group, taken)]


def _groups(array: Transport, svm: str) -> list[ConsistencyGroup]:
    try:
        return array.consistency_groups(svm)
    except OntapRefusal as error:
        if error.fault is not Fault.NO_SUCH_CALL:
            raise
        raise Refused(
            f"Array {array.connection} has no consistency groups, which ONTAP has from 9.10.1 on, so that no snapshot of several volumes "
            f"can be taken at one moment: {_each()}."
        ) from error


def _in_others(names: frozenset[str], group: ConsistencyGroup) -> Refused:
    more = ", ".join(sorted(group.volumes - names))
    other = f"which has {more} too" if more else f"which lacks {', '.join(sorted(names - group.volumes))}"
    return Refused(
        f"Volume {', '.join(sorted(names & group.volumes))} is in consistency group {group.name}, {other}, so that no snapshot of just "
        f"these volumes can be taken at one moment: name LUNs of all of that group's volumes, or {_each()}."
    )


def _each() -> str:
    return f"take each volume on its own with {option('each', 'true')}, which is not consistent between them"


def _setting(take: TakeTogether, place: Place, wanted: Mapping[str, str | None]) -> ModifySnapshot:
    given = {name: str(text) for name, text in wanted.items()}
    return ModifySnapshot(take.site, place, take.wish.name, lambda: take.part(place), given)


@dataclass
class GatherVolumes(OntapStep):
    """Make a consistency group of volumes, for one snapshot."""

    places: Sequence[Place]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = f"crossvisor_{self.site.mark.rpartition(':')[2]}"
        self.title = f"make consistency group {self.name} of volumes {self.site.title}"

    def change(self) -> None:
        volumes = [place.volume for place in self.places]
        self.site.array.make_consistency_group(self.site.svm, self.name, volumes, self.site.timeout)

    def settled(self) -> bool:
        return self.site.array.wait_for(lambda: _named(self.site, self.name) is not None, SETTLE_SECONDS)

    def check(self) -> None:
        if not self.settled():
            raise RemoteError(f"Consistency group {self.name} is not there although it was made: {_EVENTS}.")

    def undo(self) -> None:
        _forget(self.site, self.name)

    def before(self) -> Mapping[str, Any]:
        return {}


@dataclass
class TakeTogether(OntapStep):
    """Take a snapshot of all volumes of a group at one moment."""

    places: Sequence[Place]
    wish: SnapshotWish
    group: str
    parts: dict[Place, Snapshot] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"take snapshot {self.wish.name} of volumes {self.site.title} at one moment"

    def change(self) -> None:
        label = {"snapmirror_label": self.wish.label} if self.wish.label else {}
        texts = {"comment": text_of(self.site.mark, self.wish.comment), **label}
        self.site.array.take_together(self._group(), self.wish.name, texts, self.site.timeout)

    def settled(self) -> bool:
        """After a lost answer, tell whether the group has taken it with this run's mark."""
        if not self.site.array.wait_for(self._is_ours, SETTLE_SECONDS):
            return False
        return super().settled()

    def check(self) -> None:
        taken = self._found()
        if taken is None or not taken.whole:
            raise RemoteError(f"Consistency group {self.group} has not taken snapshot {self.wish.name} of all its volumes: {_EVENTS}.")
        for place in self.places:
            part = volume_snapshots.snapshot_named(self.site.array, place, self.wish.name)
            if part is None:
                raise RemoteError(f"Snapshot {self.wish.name} of volume {place} is not there although it was taken: {_EVENTS}.")
            self.parts[place] = part

    def undo(self) -> None:
        """Delete what was taken: the parts that this run has seen or, where it has not seen all, what the group says to have its mark."""
        taken = None if len(self.parts) == len(self.places) else self._found()
        if taken is not None:
            _delete(self.site, self._group(), taken)
            return
        for place, part in self.parts.items():
            volume_snapshots.delete(self.site, place, part)

    def part(self, place: Place) -> Snapshot:
        """What was taken of one volume. Raises `NotFound` before that."""
        if place not in self.parts:
            raise NotFound(f"Snapshot {self.wish.name} of volume {place} is not there.")
        return self.parts[place]

    def before(self) -> Mapping[str, Any]:
        return {f"snapshot {self.wish.name} of {place}": {"exists": False} for place in self.places}

    def after(self) -> Mapping[str, Any]:
        return {f"snapshot {self.wish.name} of {place}": {"exists": True} for place in self.places}

    def _group(self) -> ConsistencyGroup:
        group = _named(self.site, self.group)
        if group is None:
            raise NotFound(
                f"Consistency group {self.group} of array {self.site.array.connection} is not there any more: run the task again."
            )
        return group

    def _found(self) -> Taken | None:
        try:
            found = self.site.array.taken_by(self._group())
        except NotFound:
            return None
        return next((one for one in found if one.name == self.wish.name and one.mark == self.site.mark), None)

    def _is_ours(self) -> bool:
        return self._found() is not None


@dataclass
class ForgetGroup(OntapStep):
    """Forget a consistency group that was made for one snapshot. Its volumes and their snapshots stay."""

    name: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"forget consistency group {self.name}"

    def change(self) -> None:
        _forget(self.site, self.name)

    def check(self) -> None:
        if _named(self.site, self.name) is not None:
            raise RemoteError(f"Consistency group {self.name} is still there: {_EVENTS}.")


@dataclass
class DeleteTogether(OntapStep):
    """Delete what a group has taken of all its volumes. It has no way back."""

    group: ConsistencyGroup
    taken: Taken
    final = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"delete snapshot {self.taken.name} of consistency group {self.group.name}"

    def change(self) -> None:
        _delete(self.site, self.group, self.taken)

    def check(self) -> None:
        if any(one.id == self.taken.id for one in self.site.array.taken_by(self.group)):
            raise RemoteError(f"Snapshot {self.taken.name} of consistency group {self.group.name} is still there: {_EVENTS}.")

    def before(self) -> Mapping[str, Any]:
        return {f"snapshot {self.taken.name} of consistency group {self.group.name}": {"exists": True}}

    def after(self) -> Mapping[str, Any]:
        return {f"snapshot {self.taken.name} of consistency group {self.group.name}": {"exists": False}}


def _named(site: Site, name: str) -> ConsistencyGroup | None:
    found = site.array.consistency_groups(site.svm, name)
    return found[0] if found else None


def _delete(site: Site, group: ConsistencyGroup, taken: Taken) -> None:
    """Delete what a group has taken; fine when it is gone."""
    with fine_when(*SNAPSHOT_GONE, *CONSISTENCY_GROUP_GONE):
        site.array.delete_together(group, taken, site.timeout)


def _forget(site: Site, name: str) -> None:
    group = _named(site, name)
    if group is not None:
        with fine_when(*CONSISTENCY_GROUP_GONE):
            site.array.forget_consistency_group(group, site.timeout)
