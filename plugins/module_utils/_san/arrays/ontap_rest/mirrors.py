# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SnapMirror relationships as REST tells them.

Source: `GET /snapmirror/relationships` and `/snapmirror/policies` in NetApp's ONTAP REST API reference. A request shows the
relationships that end here, or, with `list_destinations_only`, those that begin here.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.mirrors import Mirror
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient, Record, value_at

_PATH = "/snapmirror/relationships"
_SOURCE, _DESTINATION = "source", "destination"
_FIELDS = (
    "uuid", "policy.name", "policy.type",
    *(f"{end}.{field}" for end in (_SOURCE, _DESTINATION) for field in ("path", "cluster.name", "consistency_group_volumes.name")),
)  # fmt: skip
_FOR_RECOVERY = "async"


def all_mirrors(client: OntapClient) -> list[Mirror]:
    """The relationships that begin here, then those that end here. Two requests."""
    begin_here = client.records(_PATH, _FIELDS, {}, {"list_destinations_only": "true"})
    end_here = client.records(_PATH, _FIELDS, {})
    return [
        *(_mirror(record, _SOURCE, _DESTINATION) for record in begin_here),
        *(_mirror(record, _DESTINATION, _SOURCE) for record in end_here),
    ]


def _mirror(record: Record, here: str, there: str) -> Mirror:
    kind = value_at(record, "policy.type")
    return Mirror(
        uuid=str(record.get("uuid") or ""),
        here=str(value_at(record, f"{here}.path") or ""),
        there=str(value_at(record, f"{there}.path")),
        other_cluster=str(value_at(record, f"{there}.cluster.name") or ""),
        volumes=frozenset(str(value_at(one, "name")) for one in value_at(record, f"{here}.consistency_group_volumes") or ()),
        policy=str(value_at(record, "policy.name") or ""),
        for_recovery=kind == _FOR_RECOVERY if kind else None,
    )
