# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused over ZAPI: snapshots, clones of LUNs in them and consistency groups, each before anything is done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Place, Taken
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import ZapiClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, Snapshot


class WithoutSnapshots:
    """The part of a transport that is about snapshots; each call raises `Refused`, those by which a plan looks among them."""

    client: ZapiClient

    def _refusal(self) -> Refused:
        return Refused(
            f"Snapshots are not known over ZAPI, by which array {self.client.connection} is asked: ask it by REST (array.type=ontap), "
            "which needs ONTAP 9.11.1 or later."
        )

    def volume_id(self, svm: str, volume: str) -> str | None:
        raise self._refusal()

    def snapshots_of(self, place: Place, names: Collection[str]) -> list[Snapshot]:
        raise self._refusal()

    def consistency_groups(self, svm: str, name: str = "") -> list[ConsistencyGroup]:
        raise self._refusal()

    def taken_by(self, group: ConsistencyGroup) -> list[Taken]:
        raise self._refusal()

    def clone_lun(self, address: LunAddress, source: str, thin: bool, comment: str, timeout: float) -> None:
        raise self._refusal()

    def restore_lun(self, lun: Lun, source: str, comment: str, timeout: float) -> None:
        raise self._refusal()

    def comment_lun(self, lun: Lun, comment: str, timeout: float) -> None:
        raise self._refusal()

    def take_snapshot(self, place: Place, name: str, texts: Mapping[str, str], timeout: float) -> None:
        raise self._refusal()

    def change_snapshot(self, place: Place, snapshot: Snapshot, texts: Mapping[str, str], timeout: float) -> None:
        raise self._refusal()

    def delete_snapshot(self, place: Place, snapshot_id: str, timeout: float) -> None:
        raise self._refusal()

    def make_consistency_group(self, svm: str, name: str, volumes: Sequence[str], timeout: float) -> None:
        raise self._refusal()

    def take_together(self, group: ConsistencyGroup, name: str, texts: Mapping[str, str], timeout: float) -> None:
        raise self._refusal()

    def delete_together(self, group: ConsistencyGroup, taken: Taken, timeout: float) -> None:
        raise self._refusal()

    def forget_consistency_group(self, group: ConsistencyGroup, timeout: float) -> None:
        raise self._refusal()
