# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of volumes over ZAPI: elements in, nouns out, and the changes.

A snapshot is known here by its name and by `snapshot-instance-uuid`, which is what REST calls its UUID (NetApp's mapping of ONTAPI to
REST). Source of the fields and inputs: NetApp's own Go client in Trident (`azgo`), and the texts of NetApp's schema.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.query import literal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import Place, apart
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import codes
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import ZapiClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import (
    Element,
    flag_at,
    moment_at,
    number_at,
    records_at,
    text_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot

_API = ("snapshot-get-iter", "snapshot-info")
_ID = "snapshot-instance-uuid"
_FIELDS = (
    "name", _ID, "volume", "access-time", "comment", "expiry-time", "snapmirror-label", "busy", "dependency", "state", "total",
    "snapshot-owners-list.snapshot-owner.owner",
)  # fmt: skip
_INPUTS = {"comment": "comment", "snapmirror_label": "snapmirror-label"}
_BLOCK = 1024


def snapshots_of(client: ZapiClient, place: Place, names: Collection[str]) -> list[Snapshot]:
    """The snapshots of a volume, of these names, or all if none is given. The SVM is asked, because a record need not name it."""
    match = {"volume": [place.volume], **({"name": list(names)} if names else {})}
    return client.read(*_API, _FIELDS, match, partial(_snapshot, place), place.svm)


def take(client: ZapiClient, place: Place, name: str, texts: Mapping[str, str]) -> None:
    """Take a snapshot of a volume."""
    client.change("snapshot-create", place.svm, {"volume": place.volume, "snapshot": name, **_inputs(texts)})


def describe(client: ZapiClient, place: Place, uuid: str, texts: Mapping[str, str]) -> None:
    """Set comment and label of a snapshot. What could not be set is in the answer, which says of the request itself that it passed."""
    query = {"vserver": place.svm, "volume": place.volume, "name": literal(name_now(client, place, uuid)), _ID: uuid}
    wanted = {"query": {"snapshot-info": query}, "attributes": {"snapshot-info": _inputs(texts)}}
    answer = client.change("snapshot-modify-iter", place.svm, wanted)
    for failure in records_at(answer, "failure-list"):
        raise client.refusal(text_at(failure, "error-message", "no reason given").rstrip("."), text_at(failure, "error-code", ""))
    if text_at(answer, "num-succeeded", "") != "1":
        raise _gone(client, place)


def rename(client: ZapiClient, place: Place, uuid: str, name: str) -> None:
    """Give a snapshot another name."""
    current = name_now(client, place, uuid)
    client.change("snapshot-rename", place.svm, {"volume": place.volume, "current-name": current, "new-name": name})


def delete(client: ZapiClient, place: Place, uuid: str) -> None:
    """Delete a snapshot: the one with this UUID, whatever else has its name by then."""
    name = name_now(client, place, uuid)
    client.change("snapshot-delete", place.svm, {"volume": place.volume, "snapshot": name, _ID: uuid})


def name_now(client: ZapiClient, place: Place, uuid: str) -> str:
    """The name of a snapshot. Raises `OntapRefusal` where there is none with this UUID."""
    match = {"volume": [place.volume], _ID: [uuid]}
    found = client.read(*_API, ("name",), match, lambda element: text_at(element, "name"), place.svm)
    if not found:
        raise _gone(client, place)
    return found[0]


def _gone(client: ZapiClient, place: Place) -> Exception:
    return client.refusal(f"The snapshot of volume {place} is not there any more", codes.NO_SUCH_SNAPSHOT)


def _inputs(texts: Mapping[str, str]) -> dict[str, str]:
    return {_INPUTS[name]: text for name, text in texts.items()}


def _snapshot(place: Place, element: Element) -> Snapshot:
    made_by, comment = apart(text_at(element, "comment", ""))
    return Snapshot(
        id=text_at(element, _ID),
        name=text_at(element, "name"),
        svm=place.svm,
        volume=place.volume,
        created=moment_at(element, "access-time"),
        comment=comment,
        made_by=made_by,
        expires=moment_at(element, "expiry-time"),
        label=text_at(element, "snapmirror-label", ""),
        owners=_owners(element),
        state=text_at(element, "state", ""),
        size_bytes=_BLOCK * number_at(element, "total", 0),
    )


def _owners(element: Element) -> tuple[str, ...]:
    """Who needs the snapshot. One that is busy is needed by somebody, told or not."""
    told = [text_at(owner, "owner", "") for owner in records_at(element, "snapshot-owners-list")]
    told = [owner for owner in told or text_at(element, "dependency", "").split(",") if owner.strip()]
    if not told and flag_at(element, "busy", False):
        return ("somebody whom the array does not name",)
    return tuple(owner.strip() for owner in told)
