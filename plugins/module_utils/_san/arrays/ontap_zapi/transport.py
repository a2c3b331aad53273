# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans ask of an ONTAP, over ZAPI.

ZAPI knows LUNs by their paths and igroups by their names, and both may be another's by now: each change asks right before it where the
object with this UUID is. Igroups and their members have no comment here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin, LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import lun_path
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.mirrors import Mirror
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Place, Taken, text_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import clones, codes, mirrors, snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import ZapiClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.consistency import Groups
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.lookup import ZapiLookup
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, OutcomeUnknown, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, LunMapping, Snapshot


class ZapiTransport(ZapiLookup):
    """One session. Changes are over when they are answered, so that their timeout is the request's."""

    keeps_remarks = False
    keeps_expiry = False

    def __init__(self, client: ZapiClient) -> None:
        super().__init__(client)
        self._groups = Groups(client)

    @property
    def connection(self) -> Connection:
        return self.client.connection

    def wait_for(self, observe: Callable[[], bool], timeout: float) -> bool:
        return self.client.wait_for(observe, timeout)

    def close(self) -> None:
        self.client.close()

    def mirrors(self) -> list[Mirror]:
        return mirrors.all_mirrors(self.client)

    def snapshots_of(self, place: Place, names: Collection[str]) -> list[Snapshot]:
        return snapshots.snapshots_of(self.client, place, names)

    def create_lun(self, address: LunAddress, size_bytes: int, os_type: str, thin: bool, comment: str, timeout: float) -> None:
        arguments = {
            "path": lun_path(address),
            "size": size_bytes,
            "ostype": os_type,
            "space-reservation-enabled": not thin,
            "comment": comment,
        }
        self.client.change("lun-create-by-size", address.svm, arguments)

    def clone_lun(self, address: LunAddress, origin: CloneOrigin, thin: bool, comment: str, timeout: float) -> None:
        clones.clone(self.client, address, origin, thin, comment)

    def restore_lun(self, lun: Lun, snapshot: Snapshot, comment: str, timeout: float) -> None:
        """The LUN has the snapshot's comment after it."""
        arguments = {"path": self._path(lun), "snapshot": snapshot.name, "snapshot-instance-uuid": snapshot.id}
        self.client.change("snapshot-restore-file", lun.svm, arguments)

    def comment_lun(self, lun: Lun, comment: str, timeout: float) -> None:
        self.client.change("lun-set-comment", lun.svm, {"path": self._path(lun), "comment": comment})

    def grow_lun(self, lun: Lun, size_bytes: int, timeout: float) -> None:
        self.client.change("lun-resize", lun.svm, {"path": self._path(lun), "size": size_bytes, "force": False})

    def delete_lun(self, lun: Lun, timeout: float) -> None:
        clones.delete(self.client, lun.svm, self._path(lun), lun.id)

    def read_lun(self, lun: Lun, offset: int, length: int) -> bytes:
        raise Refused(f"ZAPI shows nobody the data of LUN {lun.path}: ask the array by REST (array.type=ontap)")

    def map_lun(self, lun: Lun, group: str, lun_id: int | None, timeout: float) -> None:
        self.client.change("lun-map", lun.svm, {"path": self._path(lun), "initiator-group": group, "lun-id": lun_id})

    def unmap_lun(self, lun: Lun, mapping: LunMapping, timeout: float) -> None:
        now = self.mapping_now(lun.id, mapping.group_id)
        if now is None:
            raise self.client.refusal(f"LUN {lun.svm}:{lun.path} is not mapped to igroup {mapping.group}", codes.NO_SUCH_MAP)
        path, group = now
        self.client.change("lun-unmap", lun.svm, {"path": path, "initiator-group": group})

    def create_group(self, svm: str, group: Group, timeout: float) -> None:
        """A group that not all initiators could be added to is deleted again; one that was left is completed by the next run.

        Raises `OutcomeUnknown` also when it is there with all of them after an answer was lost: somebody else may have made it.
        """
        lost = self._create_empty(svm, group)
        try:
            for name in sorted(group.initiators):
                self._add(svm, group.name, name)
        except CrossvisorError:
            if lost is None:
                self._give_up(svm, group)
            raise
        if lost is not None:
            raise lost

    def delete_group(self, svm: str, group: Group, timeout: float) -> None:
        self.client.change("igroup-destroy", svm, {"initiator-group-name": self._name(svm, group), "force": False})

    def add_initiators(self, svm: str, group: Group, names: Sequence[str], remark: str, timeout: float) -> None:
        for name in names:
            self.client.change("igroup-add", svm, {"initiator-group-name": self._name(svm, group), "initiator": name})

    def remove_initiator(self, svm: str, group: Group, name: str, timeout: float) -> None:
        self.client.change("igroup-remove", svm, {"initiator-group-name": self._name(svm, group), "initiator": name, "force": True})

    def take_snapshot(self, place: Place, name: str, texts: Mapping[str, str], timeout: float) -> None:
        snapshots.take(self.client, place, name, texts)

    def change_snapshot(self, place: Place, snapshot: Snapshot, texts: Mapping[str, str], timeout: float) -> None:
        """Set what is kept with it, then its name: of these two requests the first is taken back where the name stays what it was."""
        kept = {name: text for name, text in texts.items() if name != "name"}
        try:
            if kept:
                snapshots.describe(self.client, place, snapshot.id, kept)
            if "name" in texts:
                snapshots.rename(self.client, place, snapshot.id, texts["name"])
        except CrossvisorError:
            if "name" in texts:
                self._describe_again(place, snapshot, kept)
            raise

    def delete_snapshot(self, place: Place, snapshot_id: str, timeout: float) -> None:
        snapshots.delete(self.client, place, snapshot_id)

    def consistency_groups(self, svm: str, name: str = "") -> list[ConsistencyGroup]:
        """Those that this session has made: ZAPI tells none."""
        return self._groups.known(svm, name)

    def taken_by(self, group: ConsistencyGroup) -> list[Taken]:
        return self._groups.taken_by(group)

    def make_consistency_group(self, svm: str, name: str, volumes: Sequence[str], timeout: float) -> None:
        self._groups.make(svm, name, volumes)

    def take_together(self, group: ConsistencyGroup, name: str, texts: Mapping[str, str], timeout: float) -> None:
        self._groups.take(group, name, texts)

    def delete_together(self, group: ConsistencyGroup, taken: Taken, timeout: float) -> None:
        self._groups.delete(group, taken)

    def forget_consistency_group(self, group: ConsistencyGroup, timeout: float) -> None:
        self._groups.forget(group)

    def _describe_again(self, place: Place, snapshot: Snapshot, kept: Collection[str]) -> None:
        """Set what was kept with a snapshot that has still its name; why it could not be renamed stays the failure that is told."""
        before = {"comment": text_of(snapshot.made_by, snapshot.comment), "snapmirror_label": snapshot.label}
        with contextlib.suppress(CrossvisorError):
            if kept and snapshots.name_now(self.client, place, snapshot.id) == snapshot.name:
                snapshots.describe(self.client, place, snapshot.id, {name: before[name] for name in kept})

    def _create_empty(self, svm: str, group: Group) -> OutcomeUnknown | None:
        """Create the group without anybody in it. Return that the answer was lost, when it is there so all the same.

        One that is not as it was asked for, or has members already, is somebody else's, who was quicker, and nobody is added to it.
        """
        settings = {"initiator-group-name": group.name, "initiator-group-type": group.protocol, "os-type": group.os_type}
        try:
            self.client.change("igroup-create", svm, settings)
        except OutcomeUnknown as lost:
            found = self.group_named(svm, group.name)
            if found is None or found.initiators or (found.os_type, found.protocol) != (group.os_type, group.protocol):
                raise
            return lost
        return None

    def _add(self, svm: str, group: str, name: str) -> None:
        """Add an initiator to a group that is being made; what the array has is what counts after a lost answer."""
        try:
            self.client.change("igroup-add", svm, {"initiator-group-name": group, "initiator": name})
        except OutcomeUnknown:
            now = self.group_named(svm, group)
            if now is None or name not in now.initiators:
                raise

    def _path(self, lun: Lun) -> str:
        path = self.path_of(lun.id)
        if path is None:
            raise self.client.refusal(f"LUN {lun.svm}:{lun.path} is not there any more", codes.NO_SUCH_LUN)
        return path

    def _name(self, svm: str, group: Group) -> str:
        name = self.group_name_of(svm, group.id)
        if name is None:
            raise self.client.refusal(f"Igroup {svm}:{group.name} is not there any more", codes.NO_SUCH_GROUP)
        return name

    def _give_up(self, svm: str, group: Group) -> None:
        """Delete a group that was just made, unless somebody else is in it or a LUN is mapped to it by now.

        The reason why stays the failure that is told.
        """
        try:
            now = self.group_named(svm, group.name)
            if now is not None and now.initiators <= group.initiators:
                self.client.change("igroup-destroy", svm, {"initiator-group-name": group.name, "force": False})
        except CrossvisorError:
            return
