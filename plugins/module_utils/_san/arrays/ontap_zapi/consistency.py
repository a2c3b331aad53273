# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of several volumes at one moment over ZAPI: `cg-start` holds their writes back, `cg-commit` takes them and lets go.

ZAPI keeps no group and no comment for them. So a group is known here alone, while it is needed; the snapshots are taken under a name that
nobody else has, get the comment, and then their name, so that there is never one under its name that does not tell whose it is.
Source: the texts of NetApp's schema on `cg-start` and `cg-commit`, and cinder's driver, which uses them so.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import SETTLE_SECONDS
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Place, Taken
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import ZapiClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import text_at
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, OutcomeUnknown

_FENCE = "medium"
"""For how long `cg-start` may hold writes back at most: 7 seconds, as long as REST does."""


class Groups:
    """The groups of one session, each of volumes of one SVM."""

    def __init__(self, client: ZapiClient) -> None:
        self._client = client
        self._svms: dict[str, str] = {}
        self._places: dict[str, list[Place]] = {}

    def make(self, svm: str, name: str, volumes: Sequence[str]) -> None:
        """Know a group from now on."""
        self._svms[name] = svm
        self._places[name] = [Place(svm, volume, "") for volume in volumes]

    def forget(self, group: ConsistencyGroup) -> None:
        """Know it no more."""
        self._places.pop(group.name, None)

    def known(self, svm: str, name: str) -> list[ConsistencyGroup]:
        """The groups of an SVM, or of all where it is empty, of this name or of any."""
        found = [one for one in self._places if name in ("", one) and svm in ("", self._svms[one])]
        return [ConsistencyGroup(one, one, frozenset(place.volume for place in self._places[one])) for one in found]

    def taken_by(self, group: ConsistencyGroup) -> list[Taken]:
        """What all volumes of a group have under one name and with one mark."""
        parts = [{(one.name, one.made_by) for one in snapshots.snapshots_of(self._client, place, ())} for place in self._of(group)]
        together = set.intersection(*parts) if parts else set()
        return [Taken(name, name, mark, True) for name, mark in sorted(together) if mark]

    def take(self, group: ConsistencyGroup, name: str, texts: Mapping[str, str]) -> None:
        """Take a snapshot of all volumes of a group. Raises a `CrossvisorError` after which there is none."""
        places = self._of(group)
        self._sweep(places, name)
        begun = f"{_prefix(name)}{secrets.token_hex(8)}"
        ids: dict[Place, str] = {}
        try:
            self._take(self._svms[group.name], places, begun)
            ids.update({place: one.id for place in places for one in snapshots.snapshots_of(self._client, place, [begun])})
            for place, uuid in ids.items():
                snapshots.describe(self._client, place, uuid, texts)
            for place, uuid in ids.items():
                snapshots.rename(self._client, place, uuid, name)
        except CrossvisorError:
            self._take_back(places, begun, ids)
            raise

    def delete(self, group: ConsistencyGroup, taken: Taken) -> None:
        """Delete what a group has taken: the snapshots of that name with that mark."""
        for place in self._of(group):
            for one in snapshots.snapshots_of(self._client, place, [taken.name]):
                if one.made_by == taken.mark:
                    snapshots.delete(self._client, place, one.id)

    def _of(self, group: ConsistencyGroup) -> list[Place]:
        return self._places.get(group.name, [])

    def _take(self, svm: str, places: Sequence[Place], name: str) -> None:
        """Take the snapshots; they are taken if all are there, whatever was answered."""
        volumes = [{"volume-name": place.volume} for place in places]
        started = self._client.change("cg-start", svm, {"snapshot": name, "timeout": _FENCE, "volumes": volumes})
        lost: OutcomeUnknown | None = None
        try:
            self._client.change("cg-commit", svm, {"cg-id": text_at(started, "cg-id", "")})
        except OutcomeUnknown as error:
            lost = error
        if not self._client.wait_for(lambda: self._is_whole(places, name), SETTLE_SECONDS):
            raise lost or OutcomeUnknown(
                f"the snapshots of volumes {', '.join(map(str, places))} were taken and are not all there: look at the array's event log, "
                "then run this task again"
            )

    def _is_whole(self, places: Iterable[Place], name: str) -> bool:
        return all(snapshots.snapshots_of(self._client, place, [name]) for place in places)

    def _sweep(self, places: Iterable[Place], name: str) -> None:
        """Delete what runs for a snapshot of that name have begun and not ended."""
        left = re.compile(re.escape(_prefix(name)) + "[0-9a-f]{16}")
        for place in places:
            for one in snapshots.snapshots_of(self._client, place, ()):
                if left.fullmatch(one.name):
                    snapshots.delete(self._client, place, one.id)

    def _take_back(self, places: Iterable[Place], begun: str, ids: Mapping[Place, str]) -> None:
        """Delete what was taken, under its first name or its last; why it could not be ended stays the failure that is told."""
        for place in places:
            with contextlib.suppress(CrossvisorError):
                for one in snapshots.snapshots_of(self._client, place, ()):
                    if one.name == begun or one.id == ids.get(place):
                        snapshots.delete(self._client, place, one.id)


def _prefix(name: str) -> str:
    return f"{name}.crossvisor_"
