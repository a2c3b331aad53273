# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of one volume: look, take, change, delete. Knows nothing of other volumes.

Source: "Storage / volume snapshots" in NetApp's ONTAP REST API reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san import moment
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes, lookup, states
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import (
    OntapClient,
    Record,
    number_at,
    text_at,
    value_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.site import SETTLE_SECONDS, OntapStep, Site
from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import did_you_mean
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_FIELDS = (
    "uuid",
    "name",
    "svm.name",
    "volume.name",
    "create_time",
    "comment",
    "expiry_time",
    "snapmirror_label",
    "owners",
    "state",
    "size",
)
_MARK = re.compile(r"crossvisor\.san:[0-9a-f]{16}")
_WHOLE = ("", "valid")
_EVENTS = "look at the array's event log"


@dataclass(frozen=True)
class Place:
    """A volume that LUNs are in."""

    svm: str
    volume: str
    id: str

    def __str__(self) -> str:
        return f"{self.svm}:{self.volume}"

    @property
    def path(self) -> str:
        """The volume's snapshots."""
        return f"/storage/volumes/{self.id}/snapshots"


def require_luns(client: OntapClient, wanted: Sequence[LunAddress | ScsiName]) -> list[lookup.StoredLun]:
    """The LUNs, each once. Raises `NotFound` for one that is not there, and `Refused` for one that is in no volume."""
    found = {stored.lun.id: stored for stored in (lookup.require(client, one) for one in dict.fromkeys(wanted))}
    for stored in found.values():
        states.refuse_without_volume(stored.lun)
    return list(found.values())


def places_of(luns: Sequence[lookup.StoredLun]) -> list[Place]:
    """The volumes of the LUNs, each once."""
    return list(dict.fromkeys(Place(stored.lun.svm, stored.lun.volume, stored.volume_id) for stored in luns))


def volume_named(client: OntapClient, svm: str, name: str) -> Place:
    """One volume of an SVM. Raises `NotFound`."""
    found = client.read("/storage/volumes", ("uuid",), {"svm.name": [svm], "name": [name]}, lambda record: text_at(record, "uuid"))
    if not found:
        raise NotFound(f"There is no volume {name} in SVM {svm} of array {client.connection}: correct its name.")
    return Place(svm, name, found[0])


def refuse_unfit(snapshot: Snapshot, place: Place) -> None:
    """Raise `Refused` for a snapshot that is not whole."""
    if snapshot.state not in _WHOLE:
        raise Refused(f"Snapshot {snapshot.name} of volume {place} is {snapshot.state}, from which nothing can be had: choose another one.")


def snapshots_of(client: OntapClient, place: Place, *names: str) -> list[Snapshot]:
    """The snapshots of a volume, of these names or of all, the oldest first."""
    found = client.read(place.path, _FIELDS, {"name": list(names)} if names else {}, _snapshot)
    return sorted((replace(one, svm=place.svm, volume=place.volume) for one in found), key=lambda one: one.created)


def snapshot_named(client: OntapClient, place: Place, name: str) -> Snapshot | None:
    """One snapshot of a volume."""
    found = snapshots_of(client, place, name)
    return found[0] if found else None


def no_snapshot(client: OntapClient, place: Place, name: str) -> NotFound:
    """What to say of a snapshot that is not there, with names that are near."""
    near = did_you_mean([name], [one.name for one in snapshots_of(client, place)])
    return NotFound(f"There is no snapshot {name} of volume {place} on array {client.connection}: take it, or correct its name{near}")


def text_of(mark: str, comment: str | None) -> str:
    """What is kept with a snapshot: the mark, then the text for people."""
    return f"{mark} {comment or ''}".rstrip()


def mark_in(text: str) -> str:
    """The mark at the beginning of a comment, empty when there is none."""
    mark = _MARK.match(text)
    return mark.group() if mark else ""


def site_of(client: OntapClient, place: Place, timeout: float) -> Site:
    """A volume under change, with a mark of its own."""
    return Site(client, place.svm, str(place), timeout)


def _snapshot(record: Record) -> Snapshot:
    text = text_at(record, "comment", "")
    mark = _MARK.match(text)
    owners = value_at(record, "owners")
    return Snapshot(
        id=text_at(record, "uuid"),
        name=text_at(record, "name"),
        svm=text_at(record, "svm.name", ""),
        volume=text_at(record, "volume.name", ""),
        created=_moment(text_at(record, "create_time", "")),
        comment=text[mark.end() :].lstrip() if mark else text,
        made_by=mark.group() if mark else "",
        expires=_moment(text_at(record, "expiry_time", "")),
        label=text_at(record, "snapmirror_label", ""),
        owners=tuple(str(owner) for owner in owners) if isinstance(owners, list) else (),
        state=text_at(record, "state", ""),
        size_bytes=number_at(record, "size", 0),
    )


def _moment(text: str) -> str:
    return moment.written(moment.parse(text)) if text else ""


@dataclass
class TakeSnapshot(OntapStep):
    """Take a snapshot of one volume, and know it again by its mark even when the answer was lost."""

    place: Place
    name: str
    comment: str = ""
    expires: str = ""
    label: str = ""
    taken: Snapshot | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"take snapshot {self.name} of volume {self.place}"

    def change(self) -> None:
        body = {"name": self.name, "comment": text_of(self.site.mark, self.comment)}
        optional = {"expiry_time": self.expires, "snapmirror_label": self.label}
        self.site.client.post(self.place.path, {**body, **{name: text for name, text in optional.items() if text}}, self.site.timeout)

    def settled(self) -> bool:
        """After a lost answer, tell whether the snapshot is there and is this run's."""
        return self.site.client.wait_for(self._find, SETTLE_SECONDS)

    def check(self) -> None:
        if not self.site.client.wait_for(self._find, SETTLE_SECONDS):
            raise RemoteError(f"Snapshot {self.name} of volume {self.place} is not there although it was taken: {_EVENTS}.")

    def undo(self) -> None:
        if self._find() and self.taken is not None:
            self.site.delete(f"{self.place.path}/{self.taken.id}", codes.NO_SNAPSHOT)

    def require(self) -> Snapshot:
        """What was taken. Raises `NotFound` before that."""
        if self.taken is None:
            raise NotFound(f"Snapshot {self.name} of volume {self.place} is not there.")
        return self.taken

    def before(self) -> Mapping[str, Any]:
        return {f"snapshot {self.name} of {self.place}": {"exists": False}}

    def after(self) -> Mapping[str, Any]:
        settings = {"comment": self.comment, "expires": self.expires, "snapmirror_label": self.label}
        return {f"snapshot {self.name} of {self.place}": {"exists": True, **{name: text for name, text in settings.items() if text}}}

    def _find(self) -> bool:
        found = snapshot_named(self.site.client, self.place, self.name)
        self.taken = found if found is not None and found.made_by == self.site.mark else None
        return self.taken is not None


@dataclass
class ModifySnapshot(OntapStep):
    """Rename a snapshot, or change what is kept with it."""

    place: Place
    name: str
    observed: Callable[[], Snapshot]
    """The snapshot as it was before; one that has to be taken first is known by then."""
    wanted: Mapping[str, str]
    """By the names of ONTAP's fields."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rest = [name for name in self.wanted if name != "name"]
        verbs = [f"name it {self.wanted['name']}"] if "name" in self.wanted else []
        verbs += [f"set its {', '.join(rest)}"] if rest else []
        self.title = f"change snapshot {self.name} of volume {self.place}: {' and '.join(verbs)}"

    def change(self) -> None:
        self.site.client.patch(self._path(), dict(self.wanted), self.site.timeout)

    def check(self) -> None:
        wrong = [name for name, text in self._now().items() if self.wanted[name] != text]
        if wrong:
            raise RemoteError(f"Snapshot {self.name} of volume {self.place} did not take its {', '.join(wrong)}: {_EVENTS}.")

    def undo(self) -> None:
        if self._now() == dict(self.wanted):
            self.site.client.patch(self._path(), self._fields(self.observed()), self.site.timeout)

    def before(self) -> Mapping[str, Any]:
        try:
            return {f"snapshot {self.name} of {self.place}": self._fields(self.observed())}
        except NotFound:
            return {}

    def after(self) -> Mapping[str, Any]:
        return {f"snapshot {self.name} of {self.place}": dict(self.wanted)}

    def _path(self) -> str:
        return f"{self.place.path}/{self.observed().id}"

    def _now(self) -> dict[str, str]:
        found = [one for one in snapshots_of(self.site.client, self.place) if one.id == self.observed().id]
        if not found:
            raise NotFound(f"Snapshot {self.name} of volume {self.place} is not there any more.")
        return self._fields(found[0])

    def _fields(self, one: Snapshot) -> dict[str, str]:
        texts = {"name": one.name, "comment": text_of(one.made_by, one.comment), "expiry_time": one.expires, "snapmirror_label": one.label}
        return {name: text for name, text in texts.items() if name in self.wanted}


@dataclass
class DeleteSnapshot(OntapStep):
    """Delete a snapshot of one volume. It has no way back."""

    place: Place
    snapshot: Snapshot
    final = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"delete snapshot {self.snapshot.name} of volume {self.place}"

    def change(self) -> None:
        self.site.delete(f"{self.place.path}/{self.snapshot.id}", codes.NO_SNAPSHOT)

    def check(self) -> None:
        if any(one.id == self.snapshot.id for one in snapshots_of(self.site.client, self.place, self.snapshot.name)):
            raise RemoteError(f"Snapshot {self.snapshot.name} of volume {self.place} is still there: {_EVENTS}.")

    def before(self) -> Mapping[str, Any]:
        return {f"snapshot {self.snapshot.name} of {self.place}": {"exists": True, "created": self.snapshot.created}}

    def after(self) -> Mapping[str, Any]:
        return {f"snapshot {self.snapshot.name} of {self.place}": {"exists": False}}
