# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ZAPI has not: consistency groups that are there before their snapshot, and tell whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Taken
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import codes
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import ZapiClient


class WithoutGroups:
    """The part of a transport that is about consistency groups: each call is refused as one that the interface has not.

    `cg-start` and `cg-commit` take snapshots of several volumes at one moment, but with nothing that tells, after a lost answer, whose they
    are.
    """

    client: ZapiClient

    def _refusal(self) -> OntapRefusal:
        return self.client.refusal("ZAPI knows no consistency groups", codes.API_NOT_FOUND)

    def consistency_groups(self, svm: str, name: str = "") -> list[ConsistencyGroup]:
        raise self._refusal()

    def taken_by(self, group: ConsistencyGroup) -> list[Taken]:
        raise self._refusal()

    def make_consistency_group(self, svm: str, name: str, volumes: Sequence[str], timeout: float) -> None:
        raise self._refusal()

    def take_together(self, group: ConsistencyGroup, name: str, texts: Mapping[str, str], timeout: float) -> None:
        raise self._refusal()

    def delete_together(self, group: ConsistencyGroup, taken: Taken, timeout: float) -> None:
        raise self._refusal()

    def forget_consistency_group(self, group: ConsistencyGroup, timeout: float) -> None:
        raise self._refusal()
