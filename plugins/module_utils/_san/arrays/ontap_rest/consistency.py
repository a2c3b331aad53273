# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consistency groups: the one way in which ONTAP takes snapshots of several volumes at one moment.

A group that holds exactly the volumes of the LUNs is used. Where none of them is in any group, one is made for the snapshot, and forgotten
after it, which leaves the volumes and their snapshots, as NetApp's own Trident does it. Its name tells the next run that it may go.

Source: "Application / consistency groups" in NetApp's ONTAP REST API reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import SnapshotRemoval, SnapshotWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes, volume_snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import (
    OntapClient,
    Record,
    entries_at,
    text_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.site import SETTLE_SECONDS, OntapStep, Site
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.volume_snapshots import ModifySnapshot, Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    MissingRight,
    NotFound,
    Refused,
    RemoteError,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot

_GROUPS = "/application/consistency-groups"
_OURS = re.compile(r"crossvisor_[0-9a-f]{16}")
_EVENTS = "look at the array's event log"


@dataclass(frozen=True)
class Taken:
    """What a group has taken of all its volumes at one moment."""

    id: str
    name: str
    mark: str
    whole: bool


@dataclass(frozen=True)
class Group:
    """A consistency group, with what it has taken as far as that was asked."""

    id: str
    name: str
    volumes: frozenset[str]
    taken: Sequence[Taken] = ()

    @property
    def ours(self) -> bool:
        """Whether it was made for one snapshot, and may go."""
        return _OURS.fullmatch(self.name) is not None

    def named(self, *names: str) -> Taken | None:
        """What was taken under one of these names, if it is whole."""
        return next((one for one in self.taken if one.name in names and one.whole), None)


def group_of(client: OntapClient, places: Sequence[Place], foreign: bool = False) -> Group | None:
    """The group of exactly these volumes; None where none of them is in any. One request, and one more for what the group has taken.

    Raises `Refused` where no snapshot of one moment can be taken of them, unless that is `foreign` to who asks.
    """
    svms = sorted({place.svm for place in places})
    names = frozenset(place.volume for place in places)
    try:
        if len(svms) > 1:
            raise Refused(f"The LUNs are in several SVMs ({', '.join(svms)}), of which no snapshot can be taken at one moment: {_each()}.")
        found = [group for group in _groups(client, svms[0]) if group.volumes & names]
        exact = next((group for group in found if group.volumes == names), None)
        if exact is None and found:
            raise _in_others(names, found[0])
    except (MissingRight, Refused):
        if foreign:
            return None
        raise
    return None if exact is None else Group(exact.id, exact.name, exact.volumes, _taken(client, exact.id))


def steps(client: OntapClient, wish: SnapshotWish, places: Sequence[Place], group: Group | None) -> list[OntapStep]:
    """Take a snapshot of all volumes at one moment, by their group or by one that is made for it."""
    site = Site(client, places[0].svm, ", ".join(str(place) for place in places), wish.timeout)
    gather = GatherVolumes(site, places) if group is None else None
    take = TakeTogether(site, places, wish, gather.name if gather else str(group and group.name))
    described = {"comment": volume_snapshots.text_of(site.mark, wish.comment), **({"snapmirror_label": wish.label} if wish.label else {})}
    forget = [ForgetGroup(site, take.group)] if gather or (group and group.ours) else []
    return [
        *([gather] if gather else []),
        take,
        *(_setting(take, place, described) for place in places),
        *forget,
        *(_setting(take, place, {"expiry_time": wish.expires}) for place in (places if wish.expires else ())),
    ]


def require_one_moment(wish: SnapshotWish, found: Sequence[tuple[Place, Snapshot]], group: Group | None) -> str:
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


def sweep(client: OntapClient, group: Group | None, timeout: float) -> list[OntapStep]:
    """Forget a group that a run which was stopped has left."""
    if group is None or not group.ours:
        return []
    return [ForgetGroup(Site(client, "", group.name, timeout), group.name)]


def removal(client: OntapClient, wish: SnapshotRemoval, group: Group) -> list[OntapStep] | None:
    """Delete what a group of somebody's has taken, as a whole; None where it has not taken it."""
    taken = next((one for one in group.taken if one.name == wish.name), None)
    if taken is None or group.ours:
        return None
    return [DeleteTogether(Site(client, "", group.name, wish.timeout), group, taken)]


def _groups(client: OntapClient, svm: str) -> list[Group]:
    try:
        return client.read(_GROUPS, ("uuid", "name", "volumes.name"), {"svm.name": [svm]}, _group)
    except RemoteError as error:
        if error.code != codes.API_NOT_FOUND:
            raise
        raise Refused(
            f"Array {client.connection} has no consistency groups, which ONTAP has from 9.10.1 on, so that no snapshot of several volumes "
            f"can be taken at one moment: {_each()}."
        ) from error


def _taken(client: OntapClient, group_id: str) -> list[Taken]:
    return client.read(f"{_GROUPS}/{group_id}/snapshots", ("uuid", "name", "comment", "is_partial"), {}, _taken_from)


def _group(record: Record) -> Group:
    volumes = frozenset(text_at(entry, "name") for entry in entries_at(record, "volumes"))
    return Group(text_at(record, "uuid"), text_at(record, "name"), volumes)


def _taken_from(record: Record) -> Taken:
    mark = volume_snapshots.mark_in(text_at(record, "comment", ""))
    return Taken(text_at(record, "uuid"), text_at(record, "name"), mark, record.get("is_partial") is not True)


def _in_others(names: frozenset[str], group: Group) -> Refused:
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
        volumes = [{"name": place.volume, "provisioning_options": {"action": "add"}} for place in self.places]
        self.site.client.post(_GROUPS, {"svm": {"name": self.site.svm}, "name": self.name, "volumes": volumes}, self.site.timeout)

    def settled(self) -> bool:
        return self.site.client.wait_for(lambda: _named(self.site, self.name) is not None, SETTLE_SECONDS)

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
        body = {"name": self.wish.name, "comment": volume_snapshots.text_of(self.site.mark, self.wish.comment)}
        label = {"snapmirror_label": self.wish.label} if self.wish.label else {}
        group = self._group()
        self.site.client.post(f"{_GROUPS}/{group.id}/snapshots", {**body, **label}, self.site.timeout)

    def settled(self) -> bool:
        """After a lost answer, tell whether the group has taken it with this run's mark."""
        if not self.site.client.wait_for(self._is_ours, SETTLE_SECONDS):
            return False
        return super().settled()

    def check(self) -> None:
        taken = self._found()
        if taken is None or not taken.whole:
            raise RemoteError(f"Consistency group {self.group} has not taken snapshot {self.wish.name} of all its volumes: {_EVENTS}.")
        for place in self.places:
            part = volume_snapshots.snapshot_named(self.site.client, place, self.wish.name)
            if part is None:
                raise RemoteError(f"Snapshot {self.wish.name} of volume {place} is not there although it was taken: {_EVENTS}.")
            self.parts[place] = part

    def undo(self) -> None:
        """Delete what was taken: all that this run has seen, and what the group says to have its mark."""
        if not self.parts and self._is_ours():
            self.check()
        for place, part in self.parts.items():
            self.site.delete(f"{place.path}/{part.id}", codes.NO_SNAPSHOT)

    def part(self, place: Place) -> Snapshot:
        """What was taken of one volume. Raises `NotFound` before that."""
        if place not in self.parts:
            raise NotFound(f"Snapshot {self.wish.name} of volume {place} is not there.")
        return self.parts[place]

    def before(self) -> Mapping[str, Any]:
        return {f"snapshot {self.wish.name} of {place}": {"exists": False} for place in self.places}

    def after(self) -> Mapping[str, Any]:
        return {f"snapshot {self.wish.name} of {place}": {"exists": True} for place in self.places}

    def _group(self) -> Group:
        group = _named(self.site, self.group)
        if group is None:
            raise NotFound(
                f"Consistency group {self.group} of array {self.site.client.connection} is not there any more: run the task again."
            )
        return group

    def _found(self) -> Taken | None:
        try:
            found = _taken(self.site.client, self._group().id)
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

    group: Group
    taken: Taken
    final = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"delete snapshot {self.taken.name} of consistency group {self.group.name}"

    def change(self) -> None:
        path = f"{_GROUPS}/{self.group.id}/snapshots/{self.taken.id}"
        self.site.delete(path, (*codes.NO_SNAPSHOT, *codes.NO_GROUP))

    def check(self) -> None:
        if any(one.id == self.taken.id for one in _taken(self.site.client, self.group.id)):
            raise RemoteError(f"Snapshot {self.taken.name} of consistency group {self.group.name} is still there: {_EVENTS}.")

    def before(self) -> Mapping[str, Any]:
        return {f"snapshot {self.taken.name} of consistency group {self.group.name}": {"exists": True}}

    def after(self) -> Mapping[str, Any]:
        return {f"snapshot {self.taken.name} of consistency group {self.group.name}": {"exists": False}}


def _named(site: Site, name: str) -> Group | None:
    match = {"name": [name], **({"svm.name": [site.svm]} if site.svm else {})}
    found = site.client.read(_GROUPS, ("uuid", "name", "volumes.name"), match, _group)
    return found[0] if found else None


def _forget(site: Site, name: str) -> None:
    group = _named(site, name)
    if group is not None:
        site.delete(f"{_GROUPS}/{group.id}", codes.NO_GROUP)
