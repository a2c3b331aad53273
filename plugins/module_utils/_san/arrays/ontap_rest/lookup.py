# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading LUNs, igroups, volumes and ports: ONTAP's records in, the model's nouns out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import (
    Match,
    OntapClient,
    Record,
    in_chunks,
    value_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.states import refuse_volume_unless_online
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ONLINE, UNKNOWN, Lun, LunMapping, Portal, Target, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_LUNS = "/storage/luns"
_LUN_FIELDS = (
    "name", "svm.name", "svm.uuid", "serial_number", "os_type", "space.size", "space.used", "status.state", "status.container_state",
    "status.read_only", "comment", "location.volume.name", "lun_maps",
)  # fmt: skip
_GROUPS = "/protocols/san/igroups"
_MEMBER_FIELDS = ("name", "os_type", "protocol", "initiators.name")
_GROUP_FIELDS = (*_MEMBER_FIELDS, "comment", "initiators.comment", "lun_maps.logical_unit_number", "lun_maps.lun.name")

_T = TypeVar("_T")


@dataclass(frozen=True)
class StoredLun:
    """A LUN as the array shows it, with the comment that tells who made it."""

    lun: Lun
    comment: str


def lun_path(address: LunAddress) -> str:
    """ONTAP's name of the LUN."""
    return f"/vol/{address.volume}/{address.lun}"


def lun_at(client: OntapClient, address: LunAddress) -> StoredLun | None:
    """The LUN at this place, as far as one request tells: initiators of its mappings are known from ONTAP 9.16 on."""
    return _only(_luns(client, {"svm.name": [address.svm], "name": [lun_path(address)]}))


def lun_of(client: OntapClient, uuid: str) -> StoredLun | None:
    """The LUN with this UUID, whatever its path is by now."""
    return _only(_luns(client, {"uuid": [uuid]}))


def luns_with_serials(client: OntapClient, serials: Sequence[str]) -> list[StoredLun]:
    """The LUNs with these serial numbers, in as few requests as their length allows."""
    return [found for chunk in in_chunks(serials) for found in _luns(client, {"serial_number": chunk})]


def _luns(client: OntapClient, match: Match) -> list[StoredLun]:
    return [_stored_lun(record) for record in client.records(_LUNS, _LUN_FIELDS, match)]


def groups_of(client: OntapClient, svm: str) -> list[Group]:
    """Every igroup of an SVM with its members, those of nested groups among them, and its LUNs."""
    return [_group(record) for record in client.records(_GROUPS, _GROUP_FIELDS, {"svm.name": [svm]})]


def group_named(client: OntapClient, svm: str, name: str) -> Group | None:
    """One igroup."""
    return _only([_group(record) for record in client.records(_GROUPS, _GROUP_FIELDS, {"svm.name": [svm], "name": [name]})])


def members(client: OntapClient, svms: Collection[str]) -> list[Group]:
    """Every igroup of these SVMs with its members, without its LUNs."""
    return [_group(record) for record in client.records(_GROUPS, _MEMBER_FIELDS, {"svm.name": sorted(svms)})]


def tells_initiators(lun: Lun) -> bool:
    """Tell whether it is known who sees the LUN."""
    return all(mapping.initiators for mapping in lun.mappings)


def with_initiators(lun: Lun, groups: Sequence[Group]) -> Lun:
    """The LUN with the members of its groups."""
    known = {group.id: sorted(group.initiators) for group in groups}
    return replace(
        lun, mappings=tuple(replace(mapping, initiators=tuple(known.get(mapping.group_id, mapping.initiators))) for mapping in lun.mappings)
    )


def require_place(client: OntapClient, address: LunAddress) -> None:
    """Raises `NotFound` when the SVM or the volume of a LUN-to-be does not exist, `Refused` when the volume is not online."""
    volume = _only(client.records("/storage/volumes", ("name", "state"), {"svm.name": [address.svm], "name": [address.volume]}))
    if volume is not None:
        return refuse_volume_unless_online(address, str(volume.get("state") or UNKNOWN))
    if not client.records("/svm/svms", ("name",), {"name": [address.svm]}):
        raise NotFound(f"There is no SVM {address.svm} on array {client.connection}: correct its name.")
    raise NotFound(
        f"There is no volume {address.volume} in SVM {address.svm} of array {client.connection}: correct its name, or create it."
    )


def exported_volumes(client: OntapClient) -> list[Volume]:
    """The volumes that are mounted in an SVM's name space, with the SVM's NFS addresses. Two requests."""
    addresses: dict[str, list[str]] = {}
    for record in client.records("/network/ip/interfaces", ("svm.name", "ip.address"), {"services": ["data_nfs"]}):
        addresses.setdefault(str(value_at(record, "svm.name")), []).append(str(value_at(record, "ip.address")))
    records = client.records("/storage/volumes", ("name", "svm.name", "nas.path", "space.size", "state"), {})
    return [
        Volume(
            id=str(record["uuid"]),
            name=str(record["name"]),
            svm=svm,
            export=str(path),
            addresses=tuple(addresses.get(svm, ())),
            size_bytes=int(value_at(record, "space.size") or 0),
            state=str(record.get("state") or UNKNOWN),
        )
        for record in records
        for svm, path in [(str(value_at(record, "svm.name")), value_at(record, "nas.path"))]
        if path
    ]


def iscsi_targets(client: OntapClient, svm: str) -> list[Target]:
    """The iSCSI target of an SVM with the portals that are up, none when it has no iSCSI service. Two requests."""
    services = client.records("/protocols/san/iscsi/services", ("enabled", "target.name"), {"svm.name": [svm]})
    if not services:
        return []
    match = {"svm.name": [svm], "services": ["data_iscsi"]}
    interfaces = client.records("/network/ip/interfaces", ("ip.address", "enabled", "state"), match)
    portals = tuple(Portal(str(value_at(record, "ip.address"))) for record in interfaces if _is_up(record))
    return [Target("iscsi", str(value_at(service, "target.name")), portals, bool(service.get("enabled"))) for service in services]


def fc_targets(client: OntapClient, svm: str) -> list[Target]:
    """The Fibre Channel ports of an SVM that serve SCSI. One request."""
    records = client.records("/network/fc/interfaces", ("wwpn", "enabled", "state", "data_protocol"), {"svm.name": [svm]})
    scsi = [record for record in records if record.get("data_protocol", "fcp") == "fcp"]
    return [Target("fc", str(record["wwpn"]).lower(), (), _is_up(record)) for record in scsi]


def _is_up(record: Record) -> bool:
    return bool(record.get("enabled")) and record.get("state", "up") == "up"


def _stored_lun(record: Record) -> StoredLun:
    serial = str(record["serial_number"])
    lun = Lun(
        id=str(record["uuid"]),
        path=str(record["name"]),
        name=ScsiName.from_ontap_serial(serial),
        serial=serial,
        size_bytes=int(value_at(record, "space.size")),
        os_type=str(record.get("os_type", "")),
        svm=str(value_at(record, "svm.name")),
        volume=str(value_at(record, "location.volume.name") or ""),
        state=_state(record),
        mappings=tuple(_mapping(entry) for entry in record.get("lun_maps") or ()),
        used_bytes=_number(value_at(record, "space.used")),
        svm_id=str(value_at(record, "svm.uuid") or ""),
        read_only=bool(value_at(record, "status.read_only")),
    )
    return StoredLun(lun, str(record.get("comment") or ""))


def _state(record: Record) -> str:
    """The LUN's state, or its volume's or aggregate's where these keep it from everybody."""
    container = str(value_at(record, "status.container_state") or ONLINE)
    return container if container != ONLINE else str(value_at(record, "status.state") or UNKNOWN)


def _mapping(entry: Record) -> LunMapping:
    return LunMapping(
        group=str(value_at(entry, "igroup.name")),
        group_id=str(value_at(entry, "igroup.uuid")),
        lun_id=_number(entry.get("logical_unit_number")),
        initiators=tuple(sorted(_remarks(value_at(entry, "igroup.initiators")))),
    )


def _group(record: Record) -> Group:
    remarks = _remarks(record.get("initiators"))
    return Group(
        id=str(record["uuid"]),
        name=str(record["name"]),
        os_type=str(record.get("os_type", "")),
        protocol=str(record.get("protocol", "")),
        initiators=frozenset(remarks),
        luns={int(entry["logical_unit_number"]): str(value_at(entry, "lun.name")) for entry in record.get("lun_maps") or ()},
        comment=str(record.get("comment") or ""),
        remarks=remarks,
    )


def _remarks(initiators: Sequence[Record] | None) -> dict[str, str]:
    """Comments by lower-case initiator name."""
    return {str(entry["name"]).lower(): str(entry.get("comment") or "") for entry in initiators or ()}


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _only(found: Sequence[_T]) -> _T | None:
    return found[0] if found else None
