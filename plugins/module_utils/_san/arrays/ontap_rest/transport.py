# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans ask of an ONTAP, over its REST interface.

Source: NetApp's ONTAP REST API reference, per call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import CloneOrigin, LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.clones import path_in
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import lun_path
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.mirrors import Mirror
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.volumes import ConsistencyGroup, Place, Taken
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import mirrors, snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import segment
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.lookup import RestLookup
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, LunMapping, Snapshot

_LUNS = "/storage/luns"
_GROUPS = "/protocols/san/igroups"
_MAPS = "/protocols/san/lun-maps"


class RestTransport(RestLookup):
    """One session, which also changes what there is."""

    keeps_remarks = True
    keeps_expiry = True

    @property
    def connection(self) -> Connection:
        return self.client.connection

    def wait_for(self, observe: Callable[[], bool], timeout: float) -> bool:
        return self.client.wait_for(observe, timeout)

    def close(self) -> None:
        self.client.close()

    def mirrors(self) -> list[Mirror]:
        return mirrors.all_mirrors(self.client)

    def volume_id(self, svm: str, volume: str) -> str | None:
        return snapshots.volume_id(self.client, svm, volume)

    def snapshots_of(self, place: Place, names: Collection[str]) -> list[Snapshot]:
        return snapshots.snapshots_of(self.client, place, names)

    def consistency_groups(self, svm: str, name: str = "") -> list[ConsistencyGroup]:
        return snapshots.consistency_groups(self.client, svm, name)

    def taken_by(self, group: ConsistencyGroup) -> list[Taken]:
        return snapshots.taken_by(self.client, group)

    def create_lun(self, address: LunAddress, size_bytes: int, os_type: str, thin: bool, comment: str, timeout: float) -> None:
        body = {
            "svm": {"name": address.svm},
            "name": lun_path(address),
            "os_type": os_type,
            "space": {"size": size_bytes, "guarantee": {"requested": not thin}},
            "comment": comment,
        }
        self.client.post(_LUNS, body, timeout)

    def clone_lun(self, address: LunAddress, origin: CloneOrigin, thin: bool, comment: str, timeout: float) -> None:
        source = lun_path(replace(address, lun=origin.lun))
        body = {
            "svm": {"name": address.svm},
            "name": lun_path(address),
            "comment": comment,
            "clone": {"source": {"name": path_in(origin.snapshot, source)}},
            "space": {"guarantee": {"requested": not thin}},
        }
        self.client.post(_LUNS, body, timeout)

    def restore_lun(self, lun: Lun, snapshot: Snapshot, comment: str, timeout: float) -> None:
        source = path_in(snapshot.name, lun.path)
        self.client.patch(f"{_LUNS}/{lun.id}", {"clone": {"source": {"name": source}}, "comment": comment}, timeout)

    def comment_lun(self, lun: Lun, comment: str, timeout: float) -> None:
        self.client.patch(f"{_LUNS}/{lun.id}", {"comment": comment}, timeout)

    def grow_lun(self, lun: Lun, size_bytes: int, timeout: float) -> None:
        self.client.patch(f"{_LUNS}/{lun.id}", {"space": {"size": size_bytes}}, timeout)

    def delete_lun(self, lun: Lun, timeout: float) -> None:
        self.client.delete(f"{_LUNS}/{lun.id}", timeout, allow_delete_while_mapped="false")

    def read_lun(self, lun: Lun, offset: int, length: int) -> bytes:
        return self.client.data(f"{_LUNS}/{lun.id}", {"data.offset": str(offset), "data.size": str(length)})

    def map_lun(self, lun: Lun, group: str, lun_id: int | None, timeout: float) -> None:
        number = {} if lun_id is None else {"logical_unit_number": lun_id}
        body = {"svm": {"name": lun.svm}, "lun": {"uuid": lun.id}, "igroup": {"name": group}, **number}
        self.client.post(_MAPS, body, timeout)

    def unmap_lun(self, lun: Lun, mapping: LunMapping, timeout: float) -> None:
        self.client.delete(f"{_MAPS}/{lun.id}/{mapping.group_id}", timeout)

    def create_group(self, svm: str, group: Group, timeout: float) -> None:
        remarks = {name: {"comment": remark} for name, remark in group.remarks.items()}
        body = {
            "svm": {"name": svm},
            "name": group.name,
            "os_type": group.os_type,
            "protocol": group.protocol,
            "comment": group.comment,
            "initiators": [{"name": name, **remarks.get(name, {})} for name in sorted(group.initiators)],
        }
        self.client.post(_GROUPS, body, timeout)

    def delete_group(self, svm: str, group: Group, timeout: float) -> None:
        self.client.delete(f"{_GROUPS}/{group.id}", timeout, allow_delete_while_mapped="false")

    def add_initiators(self, svm: str, group: Group, names: Sequence[str], remark: str, timeout: float) -> None:
        records = [{"name": name, "comment": remark} for name in names]
        self.client.post(f"{_GROUPS}/{group.id}/initiators", {"records": records}, timeout)

    def remove_initiator(self, svm: str, group: Group, name: str, timeout: float) -> None:
        self.client.delete(f"{_GROUPS}/{group.id}/initiators/{segment(name)}", timeout, allow_delete_while_mapped="true")

    def take_snapshot(self, place: Place, name: str, texts: Mapping[str, str], timeout: float) -> None:
        self.client.post(snapshots.path_of(place), {"name": name, **texts}, timeout)

    def change_snapshot(self, place: Place, snapshot: Snapshot, texts: Mapping[str, str], timeout: float) -> None:
        self.client.patch(f"{snapshots.path_of(place)}/{snapshot.id}", snapshots.changes(texts), timeout)

    def delete_snapshot(self, place: Place, snapshot_id: str, timeout: float) -> None:
        self.client.delete(f"{snapshots.path_of(place)}/{snapshot_id}", timeout)

    def make_consistency_group(self, svm: str, name: str, volumes: Sequence[str], timeout: float) -> None:
        records = [{"name": volume, "provisioning_options": {"action": "add"}} for volume in volumes]
        self.client.post(snapshots.GROUPS, {"svm": {"name": svm}, "name": name, "volumes": records}, timeout)

    def take_together(self, group: ConsistencyGroup, name: str, texts: Mapping[str, str], timeout: float) -> None:
        self.client.post(f"{snapshots.GROUPS}/{group.id}/snapshots", {"name": name, **texts}, timeout)

    def delete_together(self, group: ConsistencyGroup, taken: Taken, timeout: float) -> None:
        self.client.delete(f"{snapshots.GROUPS}/{group.id}/snapshots/{taken.id}", timeout)

    def forget_consistency_group(self, group: ConsistencyGroup, timeout: float) -> None:
        self.client.delete(f"{snapshots.GROUPS}/{group.id}", timeout)
