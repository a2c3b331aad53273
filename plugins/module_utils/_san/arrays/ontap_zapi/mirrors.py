# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SnapMirror relationships as ZAPI tells them.

Source of the fields: NetApp's own Go client in Trident (`snapmirror-info`, `snapmirror-destination-info`). Policies of these types copy for
the day when the original is lost; any other type, and none, may be SnapMirror active sync, called SM-BC until ONTAP 9.13.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.mirrors import Mirror
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import ZapiClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import Element, text_at, texts_at

_ENDS = ("source-location", "destination-location")
_FIELDS = ("relationship-id", *_ENDS, "policy-type", "cg-item-mappings.string")
_FOR_RECOVERY = frozenset({"async_mirror", "vault", "mirror_vault"})
_CLUSTERS = ("source-cluster", "destination-cluster")


def all_mirrors(client: ZapiClient) -> list[Mirror]:
    """The relationships that begin here, then those that end here. Two requests."""
    api = ("snapmirror-get-destination-iter", "snapmirror-destination-info")
    begin_here = client.read(*api, _FIELDS, {}, lambda element: _mirror(element, 0))
    api = ("snapmirror-get-iter", "snapmirror-info")
    end_here = client.read(*api, (*_FIELDS, "policy", *_CLUSTERS), {}, lambda element: _mirror(element, 1))
    return begin_here + end_here


def _mirror(element: Element, here: int) -> Mirror:
    there = 1 - here
    kind = text_at(element, "policy-type", "")
    return Mirror(
        uuid=text_at(element, "relationship-id", ""),
        here=text_at(element, _ENDS[here], ""),
        there=text_at(element, _ENDS[there], "an unknown place"),
        other_cluster=text_at(element, _CLUSTERS[there], ""),
        volumes=_volumes(texts_at(element, "cg-item-mappings"), here),
        policy=text_at(element, "policy", ""),
        for_recovery=kind in _FOR_RECOVERY if kind else None,
    )


def _volumes(items: Sequence[str], here: int) -> frozenset[str]:
    """The volumes of one end, of items such as `source_volume:@destination_volume`."""
    return frozenset(ends[here].lstrip("@") for ends in (item.split(":", 1) for item in items) if len(ends) == len(_ENDS))
