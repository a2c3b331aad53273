# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading LUNs, igroups, volumes and ports: ZAPI's elements in, the model's nouns out.

Source of the fields: NetApp's own Go client in Trident (`azgo/type-*.go`), which is made from the interface's schema.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun, lun_path
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.client import Match, ZapiClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import (
    Element,
    Unexpected,
    flag_at,
    moment_at,
    number_at,
    number_or_none,
    records_at,
    text_at,
    texts_at,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, MissingRight
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ONLINE, UNKNOWN, Lun, LunMapping, Portal, Target, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_LUNS = ("lun-get-iter", "lun-info")
_LUN_FIELDS = (
    "path", "vserver", "volume", "uuid", "serial-number", "multiprotocol-type", "size", "size-used", "state", "online", "read-only",
    "comment", "mapped", "creation-timestamp",
)  # fmt: skip
_MAPS = ("lun-map-get-iter", "lun-map-info")
_MAP_FIELDS = ("path", "vserver", "lun-uuid", "lun-id", "initiator-group", "initiator-group-uuid")
_GROUPS = ("igroup-get-iter", "initiator-group-info")
_GROUP_FIELDS = (
    "initiator-group-uuid", "initiator-group-name", "initiator-group-os-type", "initiator-group-type",
    "initiators.initiator-info.initiator-name", "vserver",
)  # fmt: skip
_VOLUMES = ("volume-get-iter", "volume-attributes")
_VOLUME_ID = "volume-id-attributes.instance-uuid"
_VOLUME_NAME, _VOLUME_SVM, _VOLUME_STATE = (
    "volume-id-attributes.name", "volume-id-attributes.owning-vserver-name", "volume-state-attributes.state",
)  # fmt: skip
_LIFS = ("net-interface-get-iter", "net-interface-info")
_UP = "up"

_T = TypeVar("_T")
_Map = tuple[str, LunMapping, str]
"""The UUID of a LUN, who sees it, and its path."""


class ZapiLookup:
    """What one session reads, in as few requests as each method says."""

    def __init__(self, client: ZapiClient) -> None:
        self.client = client

    def lun_at(self, address: LunAddress) -> StoredLun | None:
        """The LUN at this place; who is in its igroups is not told."""
        return _only(self._luns({"vserver": [address.svm], "path": [lun_path(address)]}))

    def luns_at(self, svm: str, paths: Sequence[str]) -> list[Lun]:
        """The LUNs at these paths, as far as they are there."""
        return [found.lun for found in self._luns({"vserver": [svm], "path": paths})]

    def lun_of(self, uuid: str) -> StoredLun | None:
        """The LUN with this UUID, whatever its path is by now."""
        return _only(self._luns({"uuid": [uuid]}))

    def luns_with_serials(self, serials: Sequence[str]) -> list[StoredLun]:
        """The LUNs with these serial numbers, each with the UUID of its SVM, as far as the account may know."""
        found = self._luns({"serial-number": serials})
        known = self._svm_ids() if found else {}
        return [replace(stored, lun=replace(stored.lun, svm_id=known.get(stored.lun.svm, ""))) for stored in found]

    def path_of(self, uuid: str) -> str | None:
        """Where the LUN with this UUID is now."""
        return _only(self.client.read(*_LUNS, ("path",), {"uuid": [uuid]}, lambda element: text_at(element, "path")))

    def mapping_now(self, uuid: str, group_id: str) -> tuple[str, str] | None:
        """The path of the LUN and the name of the igroup with these UUIDs, None where the one is not mapped to the other."""
        maps = self._maps({"lun-uuid": [uuid], "initiator-group-uuid": [group_id]})
        return _only([(path, mapping.group) for _uuid, mapping, path in maps])

    def is_mapped(self, uuid: str) -> bool:
        """Tell whether the LUN with this UUID is mapped to anybody."""
        return bool(self._maps({"lun-uuid": [uuid]}))

    def group_name_of(self, svm: str, uuid: str) -> str | None:
        """The name of the igroup with this UUID."""
        match = {"vserver": [svm], "initiator-group-uuid": [uuid]}
        return _only(self.client.read(*_GROUPS, _GROUP_FIELDS, match, lambda element: text_at(element, "initiator-group-name")))

    def _luns(self, match: Match) -> list[StoredLun]:
        """LUNs with their mappings and the state of their volumes, each read only where there is something to read."""
        found = [told for told in self.client.read(*_LUNS, _LUN_FIELDS, match, _stored_lun) if told is not None]
        uuids = [stored.lun.id for stored, mapped in found if mapped]
        maps = self._maps({"lun-uuid": uuids})
        states = self._volume_states({(stored.lun.svm, stored.lun.volume) for stored, _mapped in found})
        return [_completed(stored, maps, states) for stored, _mapped in found]

    def _maps(self, match: Match) -> list[_Map]:
        return self.client.read(*_MAPS, _MAP_FIELDS, match, _map)

    def _volume_states(self, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        match = {_VOLUME_SVM: sorted({svm for svm, _name in places}), _VOLUME_NAME: sorted({name for _svm, name in places})}
        rows = self.client.read(
            *_VOLUMES,
            (_VOLUME_STATE,),
            match,
            lambda element: ((text_at(element, _VOLUME_SVM), text_at(element, _VOLUME_NAME)), text_at(element, _VOLUME_STATE, UNKNOWN)),
        )
        return dict(rows)

    def groups_of(self, svm: str) -> list[Group]:
        """Every igroup of an SVM with its members and its LUNs. Two requests."""
        return [group for _svm, group in self._with_luns({"vserver": [svm]}, {"vserver": [svm]})]

    def groups_by_svm(self) -> list[tuple[str, Group]]:
        """Every igroup of the array, as `groups_of`, each after the SVM that it is in."""
        return self._with_luns({}, {})

    def group_named(self, svm: str, name: str) -> Group | None:
        """One igroup."""
        ours = {"vserver": [svm]}
        found = self._with_luns({**ours, "initiator-group-name": [name]}, {**ours, "initiator-group": [name]})
        return _only([group for _svm, group in found])

    def members(self, svms: Collection[str]) -> list[Group]:
        """Every igroup of these SVMs with its members, without its LUNs."""
        return [group for _svm, group in self.client.read(*_GROUPS, _GROUP_FIELDS, {"vserver": sorted(svms)}, _group)]

    def _with_luns(self, groups: Match, maps: Match) -> list[tuple[str, Group]]:
        known = self.client.read(*_GROUPS, _GROUP_FIELDS, groups, _group)
        seen = self._maps(maps) if known else []
        return [(svm, replace(group, luns=_luns_of(group, seen))) for svm, group in known]

    def volume_state(self, svm: str, volume: str) -> str | None:
        """The state of a volume, None where there is no such volume."""
        return self._volume_states([(svm, volume)]).get((svm, volume))

    def volume_id(self, svm: str, volume: str) -> str | None:
        """The UUID of a volume, None where there is no such volume."""
        match = {_VOLUME_SVM: [svm], _VOLUME_NAME: [volume]}
        return _only(self.client.read(*_VOLUMES, (_VOLUME_ID,), match, lambda element: text_at(element, _VOLUME_ID)))

    def svm_names(self) -> list[str]:
        """All SVMs that have data."""
        return list(self._svms())

    def _svm_ids(self) -> dict[str, str]:
        try:
            return self._svms()
        except (MissingRight, OntapRefusal):
            return {}

    def _svms(self) -> dict[str, str]:
        """The UUIDs of SVMs that have data, by name."""
        fields, match = ("vserver-name", "uuid"), {"vserver-type": ["data"]}
        return dict(self.client.read("vserver-get-iter", "vserver-info", fields, match, _svm))

    def volume_names(self, svm: str) -> list[str]:
        """The volumes of an SVM."""
        return self.client.read(*_VOLUMES, (_VOLUME_NAME,), {_VOLUME_SVM: [svm]}, lambda element: text_at(element, _VOLUME_NAME))

    def lun_paths(self, svm: str, volume: str) -> list[str]:
        """The LUNs of a volume."""
        return self.client.read(*_LUNS, ("path",), {"vserver": [svm], "volume": [volume]}, lambda element: text_at(element, "path"))

    def exported_volumes(self) -> list[Volume]:
        """The volumes that are mounted in an SVM's name space, with the SVM's NFS addresses. Two requests."""
        addresses: dict[str, list[str]] = {}
        lifs = self.client.read(*_LIFS, ("vserver", "address", "data-protocols.data-protocol"), {}, _nfs_lif)
        for svm, address in (lif for lif in lifs if lif):
            addresses.setdefault(svm, []).append(address)
        fields = (
            _VOLUME_ID, _VOLUME_NAME, _VOLUME_SVM, "volume-id-attributes.junction-path",
            "volume-space-attributes.size", _VOLUME_STATE,
        )  # fmt: skip
        volumes = self.client.read(*_VOLUMES, fields, {}, _volume)
        return [replace(volume, addresses=tuple(addresses.get(volume.svm, ()))) for volume in volumes if volume.export]

    def iscsi_targets(self, svm: str) -> list[Target]:
        """The iSCSI target of an SVM with the portals that are up, none when it has no iSCSI service. Three requests."""
        fields = ("node-name", "is-available", "vserver")
        services = self.client.read("iscsi-service-get-iter", "iscsi-service-info", fields, {"vserver": [svm]}, _iscsi_service)
        if not services:
            return []
        up = self._lifs_up(svm)
        wanted = ("interface-name", "ip-address", "is-interface-enabled", "vserver")
        api = ("iscsi-interface-get-iter", "iscsi-interface-list-entry-info")
        rows = self.client.read(*api, wanted, {"vserver": [svm]}, _iscsi_interface)
        portals = tuple(Portal(address) for name, address, enabled in rows if enabled and name in up)
        return [replace(service, portals=portals) for service in services]

    def fc_targets(self, svm: str) -> list[Target]:
        """The Fibre Channel ports of an SVM that serve SCSI. Two requests."""
        fields = ("interface-name", "port-name", "vserver")
        ports = self.client.read("fcp-interface-get-iter", "fcp-interface-info", fields, {"vserver": [svm]}, _fc_interface)
        up = self._lifs_up(svm) if ports else set()
        return [Target("fc", wwpn.lower(), (), name in up) for name, wwpn in ports]

    def _lifs_up(self, svm: str) -> set[str]:
        """The names of the interfaces of an SVM that are up."""
        fields = ("interface-name", "operational-status", "vserver")
        rows = self.client.read(
            *_LIFS, fields, {"vserver": [svm]}, lambda one: (text_at(one, "interface-name"), text_at(one, "operational-status", _UP))
        )
        return {name for name, status in rows if status == _UP}


def _completed(stored: StoredLun, maps: Iterable[_Map], states: Mapping[tuple[str, str], str]) -> StoredLun:
    lun = stored.lun
    state = lun.state if states.get((lun.svm, lun.volume), UNKNOWN) in (ONLINE, UNKNOWN) else "volume_offline"
    return replace(stored, lun=replace(lun, state=state, mappings=tuple(mapping for uuid, mapping, _path in maps if uuid == lun.id)))


def _luns_of(group: Group, maps: Iterable[_Map]) -> dict[int, str]:
    return {mapping.lun_id: path for _uuid, mapping, path in maps if mapping.group_id == group.id and mapping.lun_id is not None}


def _svm(element: Element) -> tuple[str, str]:
    return text_at(element, "vserver-name"), text_at(element, "uuid", "")


def _iscsi_interface(element: Element) -> tuple[str, str, bool]:
    return text_at(element, "interface-name"), text_at(element, "ip-address"), flag_at(element, "is-interface-enabled")


def _fc_interface(element: Element) -> tuple[str, str]:
    return text_at(element, "interface-name"), text_at(element, "port-name")


def _nfs_lif(element: Element) -> tuple[str, str] | None:
    if "nfs" not in texts_at(element, "data-protocols"):
        return None
    return text_at(element, "vserver"), text_at(element, "address")


def _volume(element: Element) -> Volume:
    return Volume(
        id=text_at(element, _VOLUME_ID),
        name=text_at(element, _VOLUME_NAME),
        svm=text_at(element, _VOLUME_SVM),
        export=text_at(element, "volume-id-attributes.junction-path", ""),
        addresses=(),
        size_bytes=number_at(element, "volume-space-attributes.size", 0),
        state=text_at(element, _VOLUME_STATE, UNKNOWN),
    )


def _iscsi_service(element: Element) -> Target:
    return Target("iscsi", text_at(element, "node-name"), (), flag_at(element, "is-available", False))


def _stored_lun(element: Element) -> tuple[StoredLun, bool] | None:
    """The LUN and whether it is mapped, None for one in a Snapshot copy, which has no UUID."""
    if not text_at(element, "uuid", ""):
        return None
    serial = text_at(element, "serial-number")
    lun = Lun(
        id=text_at(element, "uuid"),
        path=text_at(element, "path"),
        name=_naa(serial),
        serial=serial,
        size_bytes=number_at(element, "size"),
        os_type=text_at(element, "multiprotocol-type", ""),
        svm=text_at(element, "vserver"),
        volume=text_at(element, "volume", ""),
        state=_state(element),
        mappings=(),
        used_bytes=number_or_none(element, "size-used"),
        read_only=flag_at(element, "read-only", False),
        created=moment_at(element, "creation-timestamp"),
    )
    return StoredLun(lun, text_at(element, "comment", "")), flag_at(element, "mapped", True)


def _naa(serial: str) -> ScsiName:
    try:
        return ScsiName.from_ontap_serial(serial)
    except InvalidInput as error:
        raise Unexpected(f"a record whose serial-number is {serial!r:.40}") from error


def _state(element: Element) -> str:
    """The LUN's state; before there was one, only whether it is online was told."""
    state = text_at(element, "state", "")
    online = text_at(element, "online", "")
    return state or {"true": ONLINE, "false": "offline"}.get(online, UNKNOWN)


def _map(element: Element) -> _Map:
    mapping = LunMapping(
        group=text_at(element, "initiator-group"),
        group_id=text_at(element, "initiator-group-uuid"),
        lun_id=number_or_none(element, "lun-id"),
        initiators=(),
        told=False,
    )
    return text_at(element, "lun-uuid"), mapping, text_at(element, "path")


def _group(element: Element) -> tuple[str, Group]:
    """A group without initiators may be one of groups, whose members ZAPI does not tell."""
    initiators = frozenset(text_at(one, "initiator-name").lower() for one in records_at(element, "initiators"))
    group = Group(
        id=text_at(element, "initiator-group-uuid"),
        name=text_at(element, "initiator-group-name"),
        os_type=text_at(element, "initiator-group-os-type", ""),
        protocol=text_at(element, "initiator-group-type", ""),
        initiators=initiators,
        told=bool(initiators),
    )
    return text_at(element, "vserver"), group


def _only(found: Sequence[_T]) -> _T | None:
    return found[0] if found else None
