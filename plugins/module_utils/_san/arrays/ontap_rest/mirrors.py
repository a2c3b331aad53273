# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mirrors by which another array presents a LUN under the same name, and goes on presenting it to its hosts: SnapMirror active sync.

What is deleted at one end is gone at both. Its relationships are those of consistency groups whose policy is of type `sync`; volumes,
SVMs and policies of type `async` are mirrored for the day when the original is lost, and are no second way to the LUN.

Source: `GET /snapmirror/relationships` and `/snapmirror/policies` in NetApp's ONTAP REST API reference. A request shows the
relationships that end here, or, with `list_destinations_only`, those that begin here.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient, Record, value_at
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, RemoteError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, Use

_PATH = "/snapmirror/relationships"
_SOURCE, _DESTINATION = "source", "destination"
_FIELDS = (
    "uuid", "policy.name", "policy.type",
    *(f"{end}.{field}" for end in (_SOURCE, _DESTINATION) for field in ("path", "cluster.name", "consistency_group_volumes.name")),
)  # fmt: skip
_KIND = "SnapMirror relationship"
_GROUP = "/cg/"
_FOR_RECOVERY = "async"


def uses_of(client: OntapClient, lun: Lun) -> list[Use]:
    """The relationships by which another array has the LUN too, or may have it as far as this one tells. Two requests."""
    try:
        begin_here = client.records(_PATH, _FIELDS, {}, {"list_destinations_only": "true"})
        end_here = client.records(_PATH, _FIELDS, {})
    except (AuthenticationFailed, RemoteError) as error:
        return [Use(f"{_KIND}s", f"of SVM {lun.svm}", "", f"cannot be read, {in_one_sentence(str(error))}")]
    return [
        *(use for record in begin_here for use in _uses(lun, record, _SOURCE, _DESTINATION)),
        *(use for record in end_here for use in _uses(lun, record, _DESTINATION, _SOURCE)),
    ]


def _uses(lun: Lun, record: Record, here: str, there: str) -> Sequence[Use]:
    """The relationship as a use of the LUN, nothing where it is none."""
    path = str(value_at(record, f"{here}.path") or "")
    svm, _colon, place = path.partition(":")
    volumes = {str(value_at(one, "name")) for one in value_at(record, f"{here}.consistency_group_volumes") or ()}
    kind = value_at(record, "policy.type")
    if path and (svm != lun.svm or not place.startswith(_GROUP)):
        return ()
    if kind == _FOR_RECOVERY or (volumes and not volumes & {lun.volume, lun.path}):
        return ()
    told = bool(path and volumes and kind)
    other = f"{value_at(record, f'{there}.path')} of cluster {value_at(record, f'{there}.cluster.name') or 'unknown'}"
    how = f"with policy {value_at(record, 'policy.name') or 'unknown'} presents it there too" if told else "does not tell whether it has it"
    return [Use(_KIND, f"of {path or 'an unknown place'} with {other}", str(record.get("uuid") or ""), how, lun.name if told else None)]
