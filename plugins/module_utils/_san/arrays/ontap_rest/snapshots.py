# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading snapshots and consistency groups: ONTAP's records in, nouns out.

Source: "Storage / volume snapshots" and "Application / consistency groups" in NetApp's ONTAP REST API reference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Place, Taken, apart
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import (
    OntapClient,
    Record,
    entries_at,
    moment_at,
    number_at,
    text_at,
    value_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot

GROUPS = "/application/consistency-groups"
_VOLUMES = "/storage/volumes"
_NO_EXPIRY = "0"
_FIELDS = ("uuid", "name", "create_time", "comment", "expiry_time", "snapmirror_label", "owners", "state", "size")


def path_of(place: Place) -> str:
    """A volume's snapshots."""
    return f"{_VOLUMES}/{place.id}/snapshots"


def changes(texts: Mapping[str, str]) -> dict[str, str]:
    """What a snapshot is to become, in ONTAP's words: an empty label takes it away, but an expiry is taken away by `0`.

    Source: `volume snapshot modify` in NetApp's command reference; that the REST interface hands both on is believed.
    """
    return {name: _NO_EXPIRY if name == "expiry_time" and not text else text for name, text in texts.items()}


def volume_id(client: OntapClient, svm: str, volume: str) -> str | None:
    """The UUID of a volume, None where there is no such volume."""
    found = client.read(_VOLUMES, ("uuid",), {"svm.name": [svm], "name": [volume]}, lambda record: text_at(record, "uuid"))
    return found[0] if found else None


def snapshots_of(client: OntapClient, place: Place, names: Collection[str]) -> list[Snapshot]:
    """The snapshots of a volume, of these names, or all if none is given."""
    return client.read(path_of(place), _FIELDS, {"name": list(names)} if names else {}, partial(_snapshot, place))


def consistency_groups(client: OntapClient, svm: str, name: str) -> list[ConsistencyGroup]:
    """The consistency groups of an SVM, or of all where it is empty, of this name or of any."""
    match = {**({"svm.name": [svm]} if svm else {}), **({"name": [name]} if name else {})}
    return client.read(GROUPS, ("uuid", "name", "volumes.name"), match, _group)


def taken_by(client: OntapClient, group: ConsistencyGroup) -> list[Taken]:
    """What a consistency group has taken."""
    return client.read(f"{GROUPS}/{group.id}/snapshots", ("uuid", "name", "comment", "is_partial"), {}, _taken)


def _snapshot(place: Place, record: Record) -> Snapshot:
    made_by, comment = apart(text_at(record, "comment", ""))
    owners = value_at(record, "owners")
    return Snapshot(
        id=text_at(record, "uuid"),
        name=text_at(record, "name"),
        svm=place.svm,
        volume=place.volume,
        created=moment_at(record, "create_time"),
        comment=comment,
        made_by=made_by,
        expires=moment_at(record, "expiry_time"),
        label=text_at(record, "snapmirror_label", ""),
        owners=tuple(str(owner) for owner in owners) if isinstance(owners, list) else (),
        state=text_at(record, "state", ""),
        size_bytes=number_at(record, "size", 0),
    )


def _group(record: Record) -> ConsistencyGroup:
    volumes = frozenset(text_at(entry, "name") for entry in entries_at(record, "volumes"))
    return ConsistencyGroup(text_at(record, "uuid"), text_at(record, "name"), volumes)


def _taken(record: Record) -> Taken:
    mark, _comment = apart(text_at(record, "comment", ""))
    return Taken(text_at(record, "uuid"), text_at(record, "name"), mark, record.get("is_partial") is not True)
