# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be done to snapshots of volumes and to consistency groups, and what ONTAP refuses."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from tests.lab.ontap.errors import Code, OntapError
from tests.lab.ontap.operations import Values, find_by_uuid, find_svm, find_volume, lun_then
from tests.lab.ontap.state import Array, ConsistencyGroup, GroupSnapshot, Snapshot, Svm, Volume, new_uuid

LONGEST_NAME, LONGEST_LABEL = 255, 31
CONSISTENCY = ("crash", "application")
NO_EXPIRY = "0"
"""As an expiry, it takes the one away that there is."""


def create(array: Array, volume_uuid: str, values: Values) -> Snapshot:
    """Take a snapshot of a volume, with its LUNs as they are, and return it."""
    svm, volume = find_volume(array, volume_uuid)
    name, expires, label = _name(values), _expiry(values), _label(values)
    _refuse_taken(volume, name)
    return _take(array, svm, volume, Snapshot(name, str(values.get("comment") or ""), expires=expires, label=label))


def find(array: Array, volume_uuid: str, uuid: str, missing: Code = Code.NO_ENTRY) -> Snapshot:
    """Return the snapshot of this UUID."""
    svm, volume = find_volume(array, volume_uuid)
    pairs = ((svm, snapshot) for snapshot in volume.snapshots)
    return find_by_uuid(pairs, lambda snapshot: snapshot.uuid, uuid, OntapError(missing, "The Snapshot copy does not exist.", "uuid"))[1]


def modify(array: Array, volume_uuid: str, uuid: str, values: Values) -> None:
    """Rename a snapshot, or change its comment, expiry or label: everything or, when a part is refused, nothing."""
    _first, volume = find_volume(array, volume_uuid)
    snapshot = find(array, volume_uuid, uuid)
    name = _name({"name": snapshot.name, **values})
    if name != snapshot.name:
        _refuse_taken(volume, name)
    expires = _expiry(values) if "expiry_time" in values else snapshot.expires
    label = _label(values) if "snapmirror_label" in values else snapshot.label
    snapshot.comment = str(values.get("comment", snapshot.comment) or "")
    snapshot.name, snapshot.expires, snapshot.label = name, expires, label


def delete(array: Array, volume_uuid: str, uuid: str) -> None:
    """Delete a snapshot that nothing needs and that has not to be kept."""
    _first, volume = find_volume(array, volume_uuid)
    snapshot = find(array, volume_uuid, uuid, Code.NO_SNAPSHOT)
    _refuse_kept(snapshot)
    volume.snapshots.remove(snapshot)


def create_group(array: Array, values: Values) -> ConsistencyGroup:
    """Make a consistency group of volumes that are there, and return it."""
    svm, name = find_svm(array, values), values.get("name")
    rows = values.get("volumes")
    if not isinstance(name, str) or not name or not isinstance(rows, list) or not rows:
        raise OntapError(Code.INVALID_VALUE, 'Fields "name" and "volumes" are required to create a consistency group.', "volumes")
    if any(group.name == name for group in svm.groups):
        raise OntapError(Code.GROUP_EXISTS, f'Consistency group "{name}" already exists in SVM "{svm.name}".', "name")
    group = ConsistencyGroup(name, [_member(svm, row) for row in rows])
    svm.groups.append(group)
    return group


def find_group(array: Array, uuid: str) -> tuple[Svm, ConsistencyGroup]:
    """Return the consistency group of this UUID with its SVM."""
    groups = ((svm, group) for svm in array.svms for group in svm.groups)
    return find_by_uuid(groups, lambda group: group.uuid, uuid, OntapError(Code.NO_GROUP, "Consistency group does not exist.", "uuid"))


def delete_group(array: Array, uuid: str) -> None:
    """Forget a consistency group; its volumes and their snapshots stay."""
    svm, group = find_group(array, uuid)
    svm.groups.remove(group)


def create_group_snapshot(array: Array, group_uuid: str, values: Values) -> GroupSnapshot:
    """Take snapshots of all volumes of a consistency group at one moment; what is said of it is said of no volume's snapshot."""
    svm, group = find_group(array, group_uuid)
    kind = values.get("consistency_type", CONSISTENCY[0])
    if kind not in CONSISTENCY:
        raise OntapError(Code.INVALID_VALUE, f'The value "{kind}" is invalid for field "consistency_type"', "consistency_type")
    taken = GroupSnapshot(_name(values), str(kind), str(values.get("comment") or ""), _label(values))
    for volume in group.volumes:
        _refuse_taken(volume, taken.name)
    for volume in group.volumes:
        _take(array, svm, volume, Snapshot(taken.name, created=taken.created))
    group.snapshots.append(taken)
    return taken


def find_group_snapshot(array: Array, group_uuid: str, uuid: str) -> GroupSnapshot:
    """Return the snapshot of a consistency group with this UUID."""
    svm, group = find_group(array, group_uuid)
    missing = OntapError(Code.NO_ENTRY, "entry doesn't exist", "uuid")
    return find_by_uuid(((svm, one) for one in group.snapshots), lambda one: one.uuid, uuid, missing)[1]


def delete_group_snapshot(array: Array, group_uuid: str, uuid: str) -> None:
    """Delete the snapshots that a consistency group has taken at one moment: all or, when one is needed, none."""
    _svm, group = find_group(array, group_uuid)
    taken = find_group_snapshot(array, group_uuid, uuid)
    parts = [(volume, part) for volume in group.volumes for part in volume.snapshots if part.name == taken.name]
    for _volume, part in parts:
        _refuse_kept(part)
    for volume, part in parts:
        volume.snapshots.remove(part)
    group.snapshots.remove(taken)


def _take(array: Array, svm: Svm, volume: Volume, snapshot: Snapshot) -> Snapshot:
    if volume.state != "online":
        raise OntapError(Code.VOLUME_NOT_ONLINE, f'Volume "{volume.name}" is {volume.state}.', "volume")
    for lun in (lun for lun in svm.luns if lun.volume is volume):
        snapshot.luns.append(lun_then(lun, new_uuid()))
        array.copies.append((lun.uuid, snapshot.luns[-1].data))
    volume.snapshots.append(snapshot)
    return snapshot


def _member(svm: Svm, row: Any) -> Volume:
    name = row.get("name") if isinstance(row, dict) else None
    if not isinstance(row, dict) or row.get("provisioning_options") != {"action": "add"}:
        raise OntapError(Code.INVALID_VALUE, "The lab's consistency groups are made of volumes that are there, by action add.", "volumes")
    for volume in svm.volumes:
        if volume.name == name:
            if any(volume in group.volumes for group in svm.groups):
                raise OntapError(Code.IN_ANOTHER_GROUP, f'Volume "{name}" is already in a consistency group.', "volumes.name")
            return volume
    raise OntapError(Code.VOLUME_NOT_FOUND, f'Volume "{name}" was not found in SVM "{svm.name}".', "volumes.name")


def _name(values: Values) -> str:
    name = values.get("name")
    if not isinstance(name, str) or not name or len(name) > LONGEST_NAME or "/" in name:
        raise OntapError(Code.SNAPSHOT_NAME, f'"{name}" is not a name for a snapshot.', "name")
    return name


def _label(values: Values) -> str:
    label = str(values.get("snapmirror_label") or "")
    if len(label) > LONGEST_LABEL:
        raise OntapError(Code.INVALID_VALUE, f'The value "{label}" is invalid for field "snapmirror_label"', "snapmirror_label")
    return label


def _expiry(values: Values) -> str:
    text = values.get("expiry_time")
    if text is None or text == NO_EXPIRY:
        return ""
    if not _is_after_now(str(text)):
        raise OntapError(Code.INVALID_VALUE, f'The value "{text}" is invalid for field "expiry_time"', "expiry_time")
    return str(text)


def _is_after_now(text: str) -> bool:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")) > datetime.now(timezone.utc)
    except (TypeError, ValueError):
        return False


def _refuse_taken(volume: Volume, name: str) -> None:
    if any(snapshot.name == name for snapshot in volume.snapshots):
        raise OntapError(Code.SNAPSHOT_EXISTS, f'A snapshot with the name "{name}" already exists for volume "{volume.name}".', "name")


def _refuse_kept(snapshot: Snapshot) -> None:
    if snapshot.owners:
        raise OntapError(Code.SNAPSHOT_OWNED, "Failed to delete Snapshot copy because it has an owner.", "uuid")
    if snapshot.expires and _is_after_now(snapshot.expires):
        raise OntapError(Code.SNAPSHOT_LOCKED, "The specified Snapshot copy has not expired or is locked.", "uuid")
