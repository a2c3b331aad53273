# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading LUNs, igroups, volumes and ports: ONTAP's records in, the model's nouns out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun, lun_path
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import (
    Match,
    OntapClient,
    Record,
    Unexpected,
    entries_at,
    in_chunks,
    moment_at,
    number_at,
    text_at,
    value_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ONLINE, UNKNOWN, Lun, LunMapping, Portal, Target, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_LUNS = "/storage/luns"
_LUN_FIELDS = (
    "name", "svm.name", "svm.uuid", "serial_number", "os_type", "space.size", "space.used", "status.state", "status.container_state",
    "status.read_only", "comment", "create_time", "location.volume.name", "location.volume.uuid", "lun_maps",
)  # fmt: skip
_GROUPS = "/protocols/san/igroups"
_MEMBER_FIELDS = ("name", "os_type", "protocol", "initiators.name")
_GROUP_FIELDS = (*_MEMBER_FIELDS, "comment", "initiators.comment", "lun_maps.logical_unit_number", "lun_maps.lun.name")

_T = TypeVar("_T")


class RestLookup:
    """What one session reads, in as few requests as each method says."""

    def __init__(self, client: OntapClient) -> None:
        self.client = client

    def lun_at(self, address: LunAddress) -> StoredLun | None:
        """The LUN at this place, as far as one request tells: direct members of its igroups are known from ONTAP 9.16.1 on."""
        return _only(self._luns({"svm.name": [address.svm], "name": [lun_path(address)]}))

    def luns_at(self, svm: str, paths: Sequence[str]) -> list[Lun]:
        """The LUNs at these paths, as far as they are there."""
        return [found.lun for chunk in in_chunks(paths) for found in self._luns({"svm.name": [svm], "name": chunk})]

    def lun_of(self, uuid: str) -> StoredLun | None:
        """The LUN with this UUID, whatever its path is by now."""
        return _only(self._luns({"uuid": [uuid]}))

    def luns_with_serials(self, serials: Sequence[str]) -> list[StoredLun]:
        """The LUNs with these serial numbers, in as few requests as their length allows."""
        return [found for chunk in in_chunks(serials) for found in self._luns({"serial_number": chunk})]

    def _luns(self, match: Match) -> list[StoredLun]:
        return self.client.read(_LUNS, _LUN_FIELDS, match, _stored_lun)

    def groups_of(self, svm: str) -> list[Group]:
        """Every igroup of an SVM with its members, those of nested groups among them, and its LUNs."""
        return self.client.read(_GROUPS, _GROUP_FIELDS, {"svm.name": [svm]}, _group)

    def groups_by_svm(self) -> list[tuple[str, Group]]:
        """Every igroup of the array, as `groups_of`, each after the SVM that it is in."""
        return self.client.read(_GROUPS, ("svm.name", *_GROUP_FIELDS), {}, lambda record: (text_at(record, "svm.name"), _group(record)))

    def group_named(self, svm: str, name: str) -> Group | None:
        """One igroup."""
        return _only(self.client.read(_GROUPS, _GROUP_FIELDS, {"svm.name": [svm], "name": [name]}, _group))

    def members(self, svms: Collection[str]) -> list[Group]:
        """Every igroup of these SVMs with its members, without its LUNs."""
        return self.client.read(_GROUPS, _MEMBER_FIELDS, {"svm.name": sorted(svms)}, _group)

    def volume_state(self, svm: str, volume: str) -> str | None:
        """The state of a volume, None where there is no such volume."""
        found = _only(self.client.records("/storage/volumes", ("name", "state"), {"svm.name": [svm], "name": [volume]}))
        return None if found is None else str(found.get("state") or UNKNOWN)

    def svm_names(self) -> list[str]:
        """All SVMs."""
        return self._names("/svm/svms", {})

    def volume_names(self, svm: str) -> list[str]:
        """The volumes of an SVM."""
        return self._names("/storage/volumes", {"svm.name": [svm]})

    def lun_paths(self, svm: str, volume: str) -> list[str]:
        """The LUNs of a volume."""
        return self._names(_LUNS, {"svm.name": [svm], "location.volume.name": [volume]})

    def _names(self, path: str, match: Match) -> list[str]:
        return self.client.read(path, ("name",), match, lambda record: text_at(record, "name"))

    def exported_volumes(self) -> list[Volume]:
        """The volumes that are mounted in an SVM's name space, with the SVM's NFS addresses. Two requests."""
        addresses: dict[str, list[str]] = {}
        for svm, address in self.client.read("/network/ip/interfaces", ("svm.name", "ip.address"), {"services": ["data_nfs"]}, _interface):
            addresses.setdefault(svm, []).append(address)
        volumes = self.client.read("/storage/volumes", ("name", "svm.name", "nas.path", "space.size", "state"), {}, _volume)
        return [replace(volume, addresses=tuple(addresses.get(volume.svm, ()))) for volume in volumes if volume.export]

    def iscsi_targets(self, svm: str) -> list[Target]:
        """The iSCSI target of an SVM with the portals that are up, none when it has no iSCSI service. Two requests."""
        services = self.client.read("/protocols/san/iscsi/services", ("enabled", "target.name"), {"svm.name": [svm]}, _iscsi_service)
        if not services:
            return []
        match = {"svm.name": [svm], "services": ["data_iscsi"]}
        interfaces = self.client.read("/network/ip/interfaces", ("ip.address", "enabled", "state"), match, _portal)
        portals = tuple(portal for portal in interfaces if portal)
        return [replace(service, portals=portals) for service in services]

    def fc_targets(self, svm: str) -> list[Target]:
        """The Fibre Channel ports of an SVM that serve SCSI. One request."""
        ports = self.client.read("/network/fc/interfaces", ("wwpn", "enabled", "state", "data_protocol"), {"svm.name": [svm]}, _fc_port)
        return [port for port in ports if port]


def _interface(record: Record) -> tuple[str, str]:
    return text_at(record, "svm.name", ""), text_at(record, "ip.address")


def _volume(record: Record) -> Volume:
    return Volume(
        id=text_at(record, "uuid"),
        name=text_at(record, "name"),
        svm=text_at(record, "svm.name"),
        export=text_at(record, "nas.path", ""),
        addresses=(),
        size_bytes=number_at(record, "space.size", 0),
        state=text_at(record, "state", UNKNOWN),
    )


def _iscsi_service(record: Record) -> Target:
    return Target("iscsi", text_at(record, "target.name"), (), bool(record.get("enabled")))


def _portal(record: Record) -> Portal | None:
    return Portal(text_at(record, "ip.address")) if _is_up(record) else None


def _fc_port(record: Record) -> Target | None:
    if record.get("data_protocol", "fcp") != "fcp":
        return None
    return Target("fc", text_at(record, "wwpn").lower(), (), _is_up(record))


def _is_up(record: Record) -> bool:
    return bool(record.get("enabled")) and record.get("state", "up") == "up"


def _stored_lun(record: Record) -> StoredLun:
    serial = text_at(record, "serial_number")
    lun = Lun(
        id=text_at(record, "uuid"),
        path=text_at(record, "name"),
        name=_naa(serial),
        serial=serial,
        size_bytes=number_at(record, "space.size"),
        os_type=text_at(record, "os_type", ""),
        svm=text_at(record, "svm.name"),
        volume=text_at(record, "location.volume.name", ""),
        state=_state(record),
        mappings=tuple(_mapping(entry) for entry in entries_at(record, "lun_maps")),
        used_bytes=_number(record, "space.used"),
        svm_id=text_at(record, "svm.uuid", ""),
        read_only=value_at(record, "status.read_only") is True,
        created=moment_at(record, "create_time"),
    )
    return StoredLun(lun, text_at(record, "comment", ""), text_at(record, "location.volume.uuid", ""))


def _naa(serial: str) -> ScsiName:
    try:
        return ScsiName.from_ontap_serial(serial)
    except InvalidInput as error:
        raise Unexpected(f"a record whose serial_number is {serial!r:.40}") from error


def _state(record: Record) -> str:
    """The LUN's state, or its volume's or aggregate's where these keep it from everybody."""
    container = text_at(record, "status.container_state", ONLINE)
    return container if container != ONLINE else text_at(record, "status.state", UNKNOWN)


def _mapping(entry: Record) -> LunMapping:
    """A LUN tells only who is in its group directly, from ONTAP 9.16.1 on: not who is in groups that are nested in it."""
    initiators = tuple(sorted(_remarks(entry, "igroup.initiators")))
    return LunMapping(
        group=text_at(entry, "igroup.name"),
        group_id=text_at(entry, "igroup.uuid"),
        lun_id=_number(entry, "logical_unit_number"),
        initiators=initiators,
        told=bool(initiators) and not entries_at(entry, "igroup.igroups"),
    )


def _group(record: Record) -> Group:
    remarks = _remarks(record, "initiators")
    return Group(
        id=text_at(record, "uuid"),
        name=text_at(record, "name"),
        os_type=text_at(record, "os_type", ""),
        protocol=text_at(record, "protocol", ""),
        initiators=frozenset(remarks),
        luns={number_at(entry, "logical_unit_number"): text_at(entry, "lun.name") for entry in entries_at(record, "lun_maps")},
        comment=text_at(record, "comment", ""),
        remarks=remarks,
    )


def _remarks(record: Record, path: str) -> dict[str, str]:
    """Comments by lower-case initiator name."""
    return {text_at(entry, "name").lower(): text_at(entry, "comment", "") for entry in entries_at(record, path)}


def _number(record: Record, path: str) -> int | None:
    return None if value_at(record, path) is None else number_at(record, path)


def _only(found: Sequence[_T]) -> _T | None:
    return found[0] if found else None
