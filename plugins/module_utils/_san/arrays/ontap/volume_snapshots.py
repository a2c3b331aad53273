# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of one volume: look, take, change, delete. Knows nothing of other volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import states
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import SNAPSHOT_GONE
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.places import require
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import SETTLE_SECONDS, OntapStep, Site, fine_when
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import Transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import Place, text_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import did_you_mean
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_WHOLE = ("", "valid")
_EVENTS = "look at the array's event log"


def require_luns(array: Transport, wanted: Sequence[LunAddress | ScsiName]) -> list[StoredLun]:
    """The LUNs, each once. Raises `NotFound` for one that is not there, and `Refused` for one that is in no volume."""
    found = {stored.lun.id: stored for stored in (require(array, one) for one in dict.fromkeys(wanted))}
    for stored in found.values():
        states.refuse_without_volume(stored.lun)
    return list(found.values())


def places_of(luns: Sequence[StoredLun]) -> list[Place]:
    """The volumes of the LUNs, each once."""
    return list(dict.fromkeys(Place(stored.lun.svm, stored.lun.volume, stored.volume_id) for stored in luns))


def volume_named(array: Transport, svm: str, name: str) -> Place:
    """One volume of an SVM. Raises `NotFound`."""
    volume_id = array.volume_id(svm, name)
    if volume_id is None:
        raise NotFound(f"There is no volume {name} in SVM {svm} of array {array.connection}: correct its name.")
    return Place(svm, name, volume_id)


def refuse_unfit(snapshot: Snapshot, place: Place) -> None:
    """Raise `Refused` for a snapshot that is not whole."""
    if snapshot.state not in _WHOLE:
        raise Refused(f"Snapshot {snapshot.name} of volume {place} is {snapshot.state}, from which nothing can be had: choose another one.")


def snapshots_of(array: Transport, place: Place, *names: str) -> list[Snapshot]:
    """The snapshots of a volume, of these names or of all, the oldest first."""
    return sorted(array.snapshots_of(place, names), key=lambda one: one.created)


def snapshot_named(array: Transport, place: Place, name: str) -> Snapshot | None:
    """One snapshot of a volume."""
    found = snapshots_of(array, place, name)
    return found[0] if found else None


def no_snapshot(array: Transport, place: Place, name: str) -> NotFound:
    """What to say of a snapshot that is not there, with names that are near."""
    near = did_you_mean([name], [one.name for one in snapshots_of(array, place)])
    return NotFound(f"There is no snapshot {name} of volume {place} on array {array.connection}: take it, or correct its name{near}")


def site_of(array: Transport, place: Place, timeout: float) -> Site:
    """A volume under change, with a mark of its own."""
    return Site(array, place.svm, str(place), timeout)


def delete(site: Site, place: Place, snapshot: Snapshot) -> None:
    """Delete a snapshot; fine when it is gone."""
    with fine_when(*SNAPSHOT_GONE):
        site.array.delete_snapshot(place, snapshot.id, site.timeout)


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
        texts = {"comment": text_of(self.site.mark, self.comment), "expiry_time": self.expires, "snapmirror_label": self.label}
        said = {name: text for name, text in texts.items() if text}
        self.site.array.take_snapshot(self.place, self.name, said, self.site.timeout)

    def settled(self) -> bool:
        """After a lost answer, tell whether the snapshot is there and is this run's."""
        return self.site.array.wait_for(self._find, SETTLE_SECONDS)

    def check(self) -> None:
        if not self.site.array.wait_for(self._find, SETTLE_SECONDS):
            raise RemoteError(f"Snapshot {self.name} of volume {self.place} is not there although it was taken: {_EVENTS}.")

    def undo(self) -> None:
        if self._find() and self.taken is not None:
            delete(self.site, self.place, self.taken)

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
        found = snapshot_named(self.site.array, self.place, self.name)
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
    """`name`, `comment`, `expiry_time`, `snapmirror_label`: by the names that ONTAP has for them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rest = [name for name in self.wanted if name != "name"]
        verbs = [f"name it {self.wanted['name']}"] if "name" in self.wanted else []
        verbs += [f"set its {', '.join(rest)}"] if rest else []
        self.title = f"change snapshot {self.name} of volume {self.place}: {' and '.join(verbs)}"

    def change(self) -> None:
        self._set(self.wanted)

    def check(self) -> None:
        wrong = [name for name, text in self._now().items() if self.wanted[name] != text]
        if wrong:
            raise RemoteError(f"Snapshot {self.name} of volume {self.place} did not take its {', '.join(wrong)}: {_EVENTS}.")

    def undo(self) -> None:
        if self._now() == dict(self.wanted):
            self._set(self._fields(self.observed()))

    def before(self) -> Mapping[str, Any]:
        try:
            return {f"snapshot {self.name} of {self.place}": self._fields(self.observed())}
        except NotFound:
            return {}

    def after(self) -> Mapping[str, Any]:
        return {f"snapshot {self.name} of {self.place}": dict(self.wanted)}

    def _set(self, texts: Mapping[str, str]) -> None:
        self.site.array.change_snapshot(self.place, self.observed(), texts, self.site.timeout)

    def _now(self) -> dict[str, str]:
        found = [one for one in snapshots_of(self.site.array, self.place) if one.id == self.observed().id]
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
        delete(self.site, self.place, self.snapshot)

    def check(self) -> None:
        if any(one.id == self.snapshot.id for one in snapshots_of(self.site.array, self.place, self.snapshot.name)):
            raise RemoteError(f"Snapshot {self.snapshot.name} of volume {self.place} is still there: {_EVENTS}.")

    def before(self) -> Mapping[str, Any]:
        return {f"snapshot {self.snapshot.name} of {self.place}": {"exists": True, "created": self.snapshot.created}}

    def after(self) -> Mapping[str, Any]:
        return {f"snapshot {self.snapshot.name} of {self.place}": {"exists": False}}
