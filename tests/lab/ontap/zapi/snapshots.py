# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ZAPI's snapshots, and the clones and restorations of LUNs that are made of them, over the state that REST serves too.

Sources: the inputs and fields are those of NetApp's own Go client in Trident (`azgo`), and of the bindings that were made from NetApp's
schema (github.com/radekg/netapp-ontap-lib-gen), whose texts say what each does. Numbers: `netapp_lib/api/zapi/errors.py` of NetApp's
netapp-lib.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from tests.lab.ontap import operations, snapshots
from tests.lab.ontap.errors import OntapError
from tests.lab.ontap.state import Array, Lun, Snapshot, Svm, Volume, now
from tests.lab.ontap.zapi.envelope import local
from tests.lab.ontap.zapi.errors import (
    CLONE_EXISTS,
    INVALID_INPUT,
    NO_SOURCE,
    NO_SUCH_SNAPSHOT,
    NO_SUCH_VOLUME,
    SNAPSHOT_BUSY,
    SNAPSHOT_EXISTS,
    VOLUME_OFFLINE,
    ZapiError,
)
from tests.lab.ontap.zapi.records import SNAPSHOT_INFO, moment

Values = Mapping[str, Any]
Record = Mapping[str, Any]

FENCES = ("urgent", "medium", "relaxed")
_KEYS = frozenset({"name", "vserver", "volume", "snapshot-instance-uuid"})
_MODIFIABLE = frozenset({"comment", "snapmirror-label"})
"""The text of the schema names the label alone; NetApp's PowerShell Toolkit (Set-NcSnapshot) and `netapp.ontap` set the comment too."""


def rows(svm: Svm) -> list[Record]:
    """Return the snapshots of all volumes of an SVM that are online."""
    return [_row(svm, volume, one) for volume in svm.volumes if volume.state == "online" for one in volume.snapshots]


def unread(svm: Svm) -> list[tuple[str, Record]]:
    """Return the volumes whose snapshots cannot be read."""
    return [
        ("volume-error", {"errno": VOLUME_OFFLINE, "name": one.name, "reason": f"Volume {one.name} is {one.state}.", "vserver": svm.name})
        for one in svm.volumes
        if one.state != "online"
    ]


def _row(svm: Svm, volume: Volume, one: Snapshot) -> Record:
    owners = [("snapshot-owner", {"owner": owner}) for owner in one.owners]
    return {
        "access-time": moment(one.created),
        "busy": bool(owners),
        "comment": one.comment or None,
        "expiry-time": moment(one.expires) if one.expires else None,
        "name": one.name,
        "snapmirror-label": one.label or None,
        "snapshot-instance-uuid": one.uuid,
        "snapshot-owners-list": owners or None,
        "state": one.state,
        "total": sum(lun.used for lun in one.luns) // 1024,
        "volume": volume.name,
        "vserver": svm.name,
    }


def create(array: Array, svm: Svm, values: Values) -> None:
    """Take a snapshot; the interface has no input for an expiry."""
    volume = _volume(svm, values)
    given = {"name": values["snapshot"], "comment": values.get("comment", ""), "snapmirror_label": values.get("snapmirror-label", "")}
    snapshots.create(array, volume.uuid, given)


def rename(array: Array, svm: Svm, values: Values) -> None:
    """Rename a snapshot."""
    volume = _volume(svm, values)
    snapshots.modify(array, volume.uuid, _named(volume, values["current-name"]).uuid, {"name": values["new-name"]})


def delete(array: Array, svm: Svm, values: Values) -> None:
    """Delete a snapshot. One that is needed, or has not expired, is refused by one number (github.com/sodafoundation/dock#41 quotes it)."""
    volume = _volume(svm, values)
    one = _named(volume, values["snapshot"], values.get("snapshot-instance-uuid", ""))
    kept = list(one.owners)
    one.owners = [] if values.get("ignore-owners") else kept
    try:
        snapshots.delete(array, volume.uuid, one.uuid)
    except OntapError as error:
        one.owners = kept
        raise ZapiError(
            SNAPSHOT_BUSY,
            f'Snapshot copy "{one.name}" of volume "{volume.name}" on Vserver "{svm.name}" has not expired or is locked. Use the "snapshot '
            'show -fields owners, expiry-time" command to view the expiry and lock status of the Snapshot copy.',
        ) from error


def start_together(array: Array, svm: Svm, values: Values) -> Record:
    """Hold the writes to volumes back, to take snapshots of them under one name by `commit_together`; that there is none of it: belief."""
    if values.get("timeout", "medium") not in FENCES or {"timeout", "user-timeout"} <= set(values):
        raise ZapiError(INVALID_INPUT, "A fence is urgent, medium or relaxed, or has a user-timeout.")
    names = [child.text or "" for child in values["volumes"] if local(child) == "volume-name"]
    if not names or len(names) != len(values["volumes"]):
        raise ZapiError(INVALID_INPUT, '"volumes" of "cg-start" is a list of "volume-name".')
    volumes = [_volume(svm, {"volume": name}) for name in names]
    for volume in volumes:
        if any(one.name == values["snapshot"] for one in volume.snapshots):
            raise ZapiError(SNAPSHOT_EXISTS, f'Snapshot copy "{values["snapshot"]}" of volume "{volume.name}" already exists')
    array.fences.append((volumes, values["snapshot"], values.get("snapmirror-label", "")))
    return {"cg-id": len(array.fences)}


def commit_together(array: Array, _svm: Svm, values: Values) -> None:
    """Take the snapshots of a fence, once."""
    number = values["cg-id"] - 1
    fence = array.fences[number] if 0 <= number < len(array.fences) else None
    if fence is None:
        raise ZapiError(INVALID_INPUT, f"There is no consistency group operation {values['cg-id']}.")
    volumes, name, label = fence
    array.fences[number] = None
    moment = now()
    for volume in volumes:
        snapshots.create(array, volume.uuid, {"name": name, "snapmirror_label": label}).created = moment


def modify(array: Array, svm: Svm, values: Values) -> Record:
    """Change comment and label of the snapshots that the query finds; that none is found is no refusal."""
    query, wanted = (_fields(values[part], part) for part in ("query", "attributes"))
    for name in set(wanted) - _MODIFIABLE - {"name"}:
        raise ZapiError(INVALID_INPUT, f'Field "{name}" cannot be modified.')
    found = [(volume, one) for volume in svm.volumes for one in volume.snapshots if _fits(_row(svm, volume, one), query)]
    for volume, one in found:
        changes = {"comment": wanted.get("comment", one.comment), "snapmirror_label": wanted.get("snapmirror-label", one.label)}
        snapshots.modify(array, volume.uuid, one.uuid, changes)
    keys = [("snapshot-modify-iter-info", {"snapshot-key": {"name": one.name, "volume": volume.name}}) for volume, one in found]
    return {"num-failed": 0, "num-succeeded": len(found), "success-list": keys or None}


def clone(array: Array, svm: Svm, values: Values) -> None:
    """Make a LUN of another one, or of one in a snapshot, in the same volume; paths are relative to it."""
    volume = _volume(svm, values)
    if "destination-path" not in values or {"block-ranges", "destination-exists"} & set(values):
        raise ZapiError(INVALID_INPUT, "The lab clones whole LUNs, to where nothing is.")
    source, path = (f"/vol/{volume.name}/{values[part].lstrip('/')}" for part in ("source-path", "destination-path"))
    if any(lun.path == path for lun in svm.luns):
        raise ZapiError(CLONE_EXISTS, f"Clone file {path} exists")
    if "snapshot-name" in values:
        snapshot = _named(volume, values["snapshot-name"])
        source = f"/vol/{volume.name}/.snapshot/{snapshot.name}/{values['source-path'].lstrip('/')}"
        held = any(lun.base_name == values["source-path"].lstrip("/") for lun in snapshot.luns)
    else:
        held = any(lun.path == source for lun in svm.visible_luns)
    if not held:
        raise ZapiError(NO_SOURCE, f"Source file {source} does not exist")
    reserved = {"space.guarantee.requested": values["space-reserve"]} if "space-reserve" in values else {}
    operations.create_lun(array, {"svm.name": svm.name, "name": path, "clone.source.name": source, **reserved})


def restore(array: Array, svm: Svm, lun: Lun, values: Values) -> None:
    """Overwrite a LUN by what it was in a snapshot, with its size and, **belief**, its comment; identity and maps stay (**belief**)."""
    if "restore-path" in values or "volume" in values:
        raise ZapiError(INVALID_INPUT, "The lab restores a LUN to where it is, by its full path.")
    snapshot = _named(lun.volume, values["snapshot"], values.get("snapshot-instance-uuid", ""))
    if not any(one.base_name == lun.base_name for one in snapshot.luns):
        raise ZapiError(NO_SOURCE, f"No file {lun.path} in Snapshot copy {snapshot.name}")
    operations.modify_lun(array, lun.uuid, {"clone.source.name": f"/vol/{lun.volume.name}/.snapshot/{snapshot.name}/{lun.base_name}"})


def _volume(svm: Svm, values: Values) -> Volume:
    for volume in svm.volumes:
        if volume.name == values["volume"]:
            if volume.state != "online":
                raise ZapiError(VOLUME_OFFLINE, f"Volume {volume.name} is {volume.state}.")
            return volume
    raise ZapiError(NO_SUCH_VOLUME, f"No such volume: {values['volume']}")


def _named(volume: Volume, name: str, uuid: str = "") -> Snapshot:
    for one in volume.snapshots:
        if one.name == name and uuid in ("", one.uuid):
            return one
    raise ZapiError(NO_SUCH_SNAPSHOT, f'Snapshot copy "{name}" of volume "{volume.name}" does not exist')


def _fields(part: ElementTree.Element, name: str) -> dict[str, str]:
    """Return the fields of the one record in a query or in attributes; what is unknown, or nothing, is refused."""
    if [local(child) for child in part] != ["snapshot-info"]:
        raise ZapiError(INVALID_INPUT, f'"{name}" of "snapshot-modify-iter" is one "snapshot-info".')
    found = {local(child): child.text or "" for child in part[0]}
    for field in set(found) - (SNAPSHOT_INFO if name == "attributes" else _KEYS):
        raise ZapiError(INVALID_INPUT, f'Invalid element "{field}" within "snapshot-modify-iter".')
    if not found:
        raise ZapiError(INVALID_INPUT, f'"{name}" of "snapshot-modify-iter" is empty.')
    return found


def _fits(row: Record, query: Mapping[str, str]) -> bool:
    return all(row[name] == value for name, value in query.items())
