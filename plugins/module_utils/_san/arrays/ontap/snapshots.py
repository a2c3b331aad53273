# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of the volumes of LUNs: look, take, rename, change, delete.

A snapshot is one of a volume, and holds all of its LUNs as they were at one moment. Of LUNs in several volumes, only a consistency group
takes one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san import timestamps
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    LunAddress,
    SnapshotChange,
    SnapshotRemoval,
    SnapshotWish,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import consistency, states
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import OntapStep, new_mark
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import Transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volume_snapshots import (
    DeleteSnapshot,
    ModifySnapshot,
    TakeSnapshot,
    no_snapshot,
    places_of,
    require_luns,
    site_of,
    snapshot_named,
    snapshots_of,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Place, text_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused, option
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, Snapshot
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_LONGEST_NAME = 255
_LONGEST_COMMENT = 255
_LONGEST_LABEL = 31


def listing(array: Transport, wanted: Sequence[LunAddress | ScsiName], name: str) -> list[Snapshot]:
    """The snapshots of the volumes of these LUNs. One request for each LUN and each volume."""
    names = [name] if name else []
    return [one for place in places_of(require_luns(array, wanted)) for one in snapshots_of(array, place, *names)]


def plan_snapshot(array: Transport, wish: SnapshotWish) -> SnapshotChange:
    """The steps to the wish. Two requests for each volume when nothing has to be done, and one or two more where there are several."""
    _check(array, wish)
    stored = require_luns(array, wish.luns)
    luns = [one.lun for one in stored]
    _refuse_if_nothing_can_be_taken(luns)
    places = places_of(stored)
    found = {place: _pair(array, place, wish) for place in places}
    group = None if wish.each or len(places) == 1 else consistency.group_of(array, places)
    at_once = not wish.each or len(places) == 1
    missing = [place for place in places if found[place] is None]
    if not missing:
        steps = _changes(array, wish, found, group)
    elif wish.old_name:
        raise no_snapshot(array, missing[0], wish.old_name)
    elif not at_once and len(missing) < len(places):
        steps = [*_taken_each(array, wish, missing), *_changes(array, wish, found, None)]
    elif len(missing) < len(places):
        _refuse_half(wish, places, missing)
    elif at_once and len(places) > 1:
        steps = consistency.steps(array, wish, places, group)
    else:
        steps = _taken_each(array, wish, missing)
    return SnapshotChange(Plan(steps), luns, lambda: _present(array, places, wish.name, wish.old_name), at_once)


def plan_removal(array: Transport, wish: SnapshotRemoval) -> SnapshotChange:
    """The steps to the wish: none where there is no such snapshot."""
    stored = require_luns(array, wish.luns)
    places = places_of(stored)
    found = [(place, one) for place in places for one in [snapshot_named(array, place, wish.name)] if one is not None]
    for place, one in found:
        _refuse_to_delete(place, one, wish)
    group = consistency.group_of(array, places, foreign=True) if len(places) > 1 else None
    steps = consistency.removal(array, wish, group) if found and group else None
    if steps is None:
        steps = [DeleteSnapshot(site_of(array, place, wish.timeout), place, one) for place, one in found]
        steps += consistency.sweep(array, group, wish.timeout)
    return SnapshotChange(Plan(steps), [one.lun for one in stored], lambda: _present(array, places, wish.name, ""))


def _present(array: Transport, places: Sequence[Place], name: str, old_name: str) -> list[Snapshot]:
    found = [snapshot_named(array, place, name) or (snapshot_named(array, place, old_name) if old_name else None) for place in places]
    return [one for one in found if one is not None]


def _pair(array: Transport, place: Place, wish: SnapshotWish) -> Snapshot | None:
    """The snapshot that the wish is about: of the new name, or of the old one. Raises `Refused` where there are both."""
    names = [wish.name, *([wish.old_name] if wish.old_name else [])]
    found = snapshots_of(array, place, *names)
    if len(found) > 1:
        raise Refused(
            f"Volume {place} has a snapshot {wish.name} already, and {wish.old_name} too: delete one of them, or choose another name."
        )
    return found[0] if found else None


def _changes(
    array: Transport, wish: SnapshotWish, found: Mapping[Place, Snapshot | None], group: ConsistencyGroup | None
) -> list[OntapStep]:
    """What is to change of snapshots that are there."""
    there = {place: one for place, one in found.items() if one is not None}
    mark = consistency.require_one_moment(wish, list(there.items()), group) if not wish.each and len(there) > 1 else ""
    steps: list[OntapStep] = []
    for place, one in there.items():
        wanted = _wanted(wish, one, mark)
        if wanted:
            if not one.made_by and not mark:
                raise Refused(
                    f"Snapshot {one.name} of volume {place} was not taken by this collection and stays as it is: choose another name, "
                    "or change it on the array."
                )
            steps.append(_change(array, wish, place, one, wanted))
    return [*steps, *consistency.sweep(array, group, wish.timeout)]


def _change(array: Transport, wish: SnapshotWish, place: Place, one: Snapshot, wanted: Mapping[str, str]) -> ModifySnapshot:
    return ModifySnapshot(site_of(array, place, wish.timeout), place, one.name, lambda: one, wanted)


def _wanted(wish: SnapshotWish, one: Snapshot, mark: str) -> dict[str, str]:
    """The fields of a snapshot that are to change, with what they are to be; `mark` is one that it lacks."""
    comment = text_of(one.made_by or mark, one.comment if wish.comment is None else wish.comment)
    wanted = {"name": wish.name} if one.name != wish.name else {}
    if comment != text_of(one.made_by, one.comment):
        wanted["comment"] = comment
    if wish.expires is not None and wish.expires != one.expires and not (wish.keep_expiry and one.expires):
        wanted["expiry_time"] = wish.expires
    if wish.label is not None and wish.label != one.label:
        wanted["snapmirror_label"] = wish.label
    return wanted


def _taken_each(array: Transport, wish: SnapshotWish, places: Sequence[Place]) -> list[OntapStep]:
    """Take one snapshot after the other. What expires cannot be deleted, so that several get their expiry when all are there."""
    alone = len(places) == 1
    sites = [site_of(array, place, wish.timeout) for place in places]
    takes = [
        TakeSnapshot(site, place, wish.name, wish.comment or "", (wish.expires or "") if alone else "", wish.label or "")
        for site, place in zip(sites, places)
    ]
    expiry = {} if alone or not wish.expires else {"expiry_time": wish.expires}
    return [*takes, *(ModifySnapshot(take.site, take.place, wish.name, take.require, expiry) for take in (takes if expiry else ()))]


def _check(array: Transport, wish: SnapshotWish) -> None:
    name = wish.name
    if not name.strip() or len(name) > _LONGEST_NAME or "/" in name:
        raise InvalidInput(f"'{name}' is not a name for a snapshot: give one of 1 to {_LONGEST_NAME} characters without a slash.")
    room = _LONGEST_COMMENT - len(new_mark()) - 1
    if len(wish.comment or "") > room:
        raise InvalidInput(f"The comment for snapshot {name} has {len(wish.comment or '')} characters: shorten it to {room}.")
    if len(wish.label or "") > _LONGEST_LABEL:
        raise InvalidInput(
            f"The SnapMirror label '{wish.label}' for snapshot {name} is too long: shorten it to {_LONGEST_LABEL} characters."
        )
    if wish.expires and not array.keeps_expiry:
        raise Refused(
            f"Array {array.connection} is asked over ZAPI, by which no snapshot is told until when to be kept: leave the expiry of {name} "
            f"out, or ask the array by REST (array.type=ontap), which needs ONTAP 9.11.1 or later."
        )


def _refuse_if_nothing_can_be_taken(luns: Sequence[Lun]) -> None:
    for lun in luns:
        states.refuse_unless_container_online(lun)
        if lun.read_only:
            raise Refused(
                f"LUN {lun.svm}:{lun.path} is read-only on its array, as the destination of a mirror is: take the snapshot at its source."
            )


def _refuse_half(wish: SnapshotWish, places: Sequence[Place], missing: Sequence[Place]) -> None:
    lacking, having = (", ".join(str(place) for place in places if (place in missing) == wanted) for wanted in (True, False))
    raise Refused(
        f"Snapshot {wish.name} exists of volume {having} but not of {lacking}, so that they cannot be of one moment: delete it, choose "
        f"another name, or take each volume on its own with {option('each', 'true')}."
    )


def _refuse_to_delete(place: Place, one: Snapshot, wish: SnapshotRemoval) -> None:
    title = f"Snapshot {one.name} of volume {place}"
    if wish.made_by and one.made_by != wish.made_by:
        raise Refused(f"{title} was not taken by the run {wish.made_by} and stays: delete it by its name when nobody needs it.")
    if not one.made_by and not wish.any_owner:
        raise Refused(
            f"{title} was not taken by this collection and stays: delete it on the array, or let lun_snapshot take "
            "those of others too (any_owner)."
        )
    if one.owners:
        raise Refused(f"{title} is needed by {', '.join(one.owners)} and stays: end that first.")
    if one.expires and timestamps.parse(one.expires) > timestamps.now():
        raise Refused(f"{title} is kept until {one.expires}: wait until then.")
