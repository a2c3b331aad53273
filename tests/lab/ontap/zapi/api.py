# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ZAPI: which API does what, and how strictly its input is read.

Sources: the inputs of each API are those of NetApp's own Go client in Trident (`azgo/api-*.go`). That an input of a wrong
type is number 13115: Trident's tests; that a missing or unknown one is, too: **belief**.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from tests.lab.control import Action
from tests.lab.ontap import operations
from tests.lab.ontap.errors import Code, OntapError
from tests.lab.ontap.state import Array, Igroup, Lun, Svm
from tests.lab.ontap.zapi import envelope, records, snapshots
from tests.lab.ontap.zapi.envelope import Call, local, text_of
from tests.lab.ontap.zapi.errors import API_ERROR, API_NOT_FOUND, INVALID_INPUT, NO_SUCH_LUN, PRIVILEGE, ZapiError, as_zapi

Values = Mapping[str, Any]
Record = records.Record

DEFAULT_PAGE = 20
SVM_SPECIFIC = "Vserver API missing vserver parameter."
"""What an API of an SVM says without one: netapp.ontap looks for this sentence."""


@dataclass(frozen=True)
class Listing:
    """An API that lists records, of all SVMs or of the one that the request is tunnelled to."""

    record: str
    fields: frozenset[str]
    rows: Callable[[Array, Svm], list[Record]]
    unread: Callable[[Svm], list[tuple[str, Record]]] = lambda _svm: []
    """What could not be looked into."""
    untold: frozenset[str] = frozenset()
    """Fields that are told only to who asks the cluster."""


@dataclass(frozen=True)
class Change:
    """An API of one SVM: its inputs by type, which of them it needs, and what it does."""

    inputs: Mapping[str, type]
    required: frozenset[str]
    do: Callable[[Array, Svm, Values], Record | None]
    reads: bool = False


@dataclass(frozen=True)
class Zapi:
    """Answers requests from the array's state."""

    array: Array
    changed: Callable[[], None] | None = None

    def answer(self, raw: bytes, action: Action) -> bytes:
        """Return the answer to the request; ``action`` may refuse it instead."""
        try:
            call = envelope.parse(raw)
            if error := action.get("error") or action.get("job_error"):
                raise as_zapi(OntapError(int(error["code"]), str(error["message"])))
            with self.array.lock:
                return envelope.passed(self._carried_out(call))
        except ZapiError as error:
            return envelope.failed(error)
        except OntapError as error:
            return envelope.failed(as_zapi(error))

    def _carried_out(self, call: Call) -> Record:
        if call.api in self.array.denied:
            raise ZapiError(PRIVILEGE, "Insufficient privileges: user 'admin' does not have write access to this resource")
        svm = self._svm(call)
        if call.api in CLUSTERS and svm is None:
            return CLUSTERS[call.api](self.array)
        if call.api in EVERYBODYS:
            return EVERYBODYS[call.api](self.array)
        if call.api in LISTINGS:
            return self._listed(call, svm)
        if call.api not in CHANGES:
            raise ZapiError(API_NOT_FOUND, f"Unable to find API: {call.api}")
        if svm is None:
            raise ZapiError(API_ERROR, SVM_SPECIFIC)
        change = CHANGES[call.api]
        done = change.do(self.array, svm, _typed(call, change))
        if not change.reads:
            (self.changed or self.array.copies.clear)()
        return done or {}

    def _svm(self, call: Call) -> Svm | None:
        """The SVM that the request is for, by its tunnel or its account."""
        name = call.svm or self.array.account_svm
        if not name:
            return None
        if self.array.account_svm not in ("", name):
            raise ZapiError(PRIVILEGE, f"Insufficient privileges: user 'admin' does not have access to vserver {name}")
        try:
            return operations.find_svm(self.array, {"svm.name": name})
        except OntapError as error:
            raise as_zapi(OntapError(Code.SVM_NOT_FOUND, "Specified vserver not found")) from error

    def _listed(self, call: Call, svm: Svm | None) -> Record:
        listing = LISTINGS[call.api]
        parts = {local(child): child for child in call.arguments}
        _refuse_unknown(call.api, parts, {"desired-attributes", "max-records", "query", "tag"})
        query = _inner(call.api, parts.get("query"), listing)
        wanted = _inner(call.api, parts.get("desired-attributes"), listing)
        svms = [svm] if svm else self.array.svms
        found = [row for one in svms for row in listing.rows(self.array, one) if _fits(row, query)]
        if call.api == "lun-get-iter":
            self.array.pass_read()
        start = _start(call.api, parts.get("tag"))
        size = _number(call.api, "max-records", parts["max-records"].text) if "max-records" in parts else DEFAULT_PAGE
        page = found[start : start + size]
        more = f"<{call.api}-key-td><key-0>{start + size}</key-0></{call.api}-key-td>" if start + size < len(found) else None
        hidden = listing.untold if svm else frozenset()
        rows = [(listing.record, {name: told for name, told in _only(row, wanted).items() if name not in hidden}) for row in page]
        errors = [error for one in svms for error in listing.unread(one) if _may_concern(error[1], query)]
        more_to_say = {"next-tag": more, "volume-errors": errors or None}
        return {"attributes-list": rows or None, "num-records": len(page), **more_to_say}


def _inner(api: str, part: ElementTree.Element | None, listing: Listing) -> ElementTree.Element | None:
    """Return the record in a query or in the desired attributes; raises ZapiError for another, or for a field that it has not."""
    if part is None or not len(part):
        return None
    if len(part) != 1 or local(part[0]) != listing.record:
        raise ZapiError(INVALID_INPUT, f'Invalid element "{local(part[0])}" within "{local(part)}" of "{api}".')
    _refuse_unknown(api, {local(child): child for child in part[0]}, listing.fields)
    return part[0]


def _refuse_unknown(api: str, given: Mapping[str, object], known: frozenset[str] | set[str]) -> None:
    for name in given:
        if name not in known:
            raise ZapiError(INVALID_INPUT, f'Invalid element "{name}" within "{api}".')


def _fits(row: Any, query: ElementTree.Element | None) -> bool:
    """Return whether a record has what a query wants: each field one of the alternatives, with wildcards."""
    return query is None or all(_field_fits(row, child) for child in query)


def _field_fits(row: Any, child: ElementTree.Element) -> bool:
    held = [value for name, value in _pairs(row) if name == local(child) and value is not None]
    if len(child):
        return any(_fits(value, child) for value in held)
    patterns = [_pattern(part) for part in (child.text or "").split("|")]
    return any(pattern.fullmatch(text_of(value)) for pattern in patterns for value in held)


def _may_concern(error: Record, query: ElementTree.Element | None) -> bool:
    """Return whether a query asks for the volume of an error, by name or by none."""
    named = [child for child in query if local(child) == "volume"] if query is not None else []
    return all(_field_fits({"volume": error["name"]}, child) for child in named)


def _pairs(row: Any) -> Iterator[tuple[str, Any]]:
    yield from row if isinstance(row, list) else row.items()


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.IGNORECASE if text.startswith("iqn.") else 0)


def _only(row: Any, wanted: ElementTree.Element | None) -> Any:
    """Return of a record what is desired; all, where nothing is said."""
    if wanted is None or not len(wanted) or not isinstance(row, (Mapping, list)):
        return row
    names = {local(child): child for child in wanted}
    kept = [(name, _only(value, names[name])) for name, value in _pairs(row) if name in names]
    return kept if isinstance(row, list) else dict(kept)


def _start(api: str, tag: ElementTree.Element | None) -> int:
    if tag is None or not tag.text:
        return 0
    match = re.fullmatch(rf"<{api}-key-td><key-0>(\d+)</key-0></{api}-key-td>", tag.text)
    if match is None:
        raise ZapiError(INVALID_INPUT, f'Invalid value specified for "tag" element within "{api}": "{tag.text}".')
    return int(match[1])


def _typed(call: Call, change: Change) -> Values:
    """Return the inputs as what they are; raises ZapiError for one that is unknown, missing, or of a wrong type."""
    given = {local(child): child for child in call.arguments}
    _refuse_unknown(call.api, given, frozenset(change.inputs))
    for name in sorted(change.required - set(given)):
        raise ZapiError(INVALID_INPUT, f'Missing input "{name}" of "{call.api}".')
    return {name: _value(call.api, name, change.inputs[name], child) for name, child in given.items()}


def _value(api: str, name: str, kind: type, child: ElementTree.Element) -> Any:
    text = child.text or ""
    if kind is ElementTree.Element:
        return child
    if kind is int:
        return _number(api, name, text)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise _invalid(api, name, text)
        return text.lower() == "true"
    if not text:
        raise _invalid(api, name, text)
    return text


def _number(api: str, name: str, text: str | None) -> int:
    if not re.fullmatch(r"\d+", text or ""):
        raise _invalid(api, name, text or "")
    return int(text or "")


def _invalid(api: str, name: str, text: str) -> ZapiError:
    return ZapiError(INVALID_INPUT, f'Invalid value specified for "{name}" element within "{api}": "{text}".')


def _lun_at(svm: Svm, values: Values, number: str) -> Lun:
    for lun in svm.visible_luns:
        if lun.path == values["path"]:
            return lun
    raise ZapiError(number, f"No such LUN exists: {values['path']}")


def _igroup_named(svm: Svm, values: Values, name: str = "initiator-group-name") -> Igroup:
    for igroup in svm.igroups:
        if igroup.name == values[name]:
            return igroup
    raise as_zapi(OntapError(Code.IGROUP_NOT_FOUND, f"No such initiator group: {values[name]}"))


def _create_lun(array: Array, svm: Svm, values: Values) -> Record:
    wanted = {
        "svm.name": svm.name,
        "name": values["path"],
        "os_type": values.get("ostype", "image"),
        "space.size": values["size"],
        "space.guarantee.requested": values.get("space-reservation-enabled", True),
        "comment": values.get("comment", ""),
        **(
            {"space.scsi_thin_provisioning_support_enabled": values["space-allocation-enabled"]}
            if "space-allocation-enabled" in values
            else {}
        ),
    }
    return {"actual-size": operations.create_lun(array, wanted).size}


def _resize_lun(array: Array, svm: Svm, values: Values) -> Record:
    lun = _lun_at(svm, values, NO_SUCH_LUN)
    operations.modify_lun(array, lun.uuid, {"space.size": values["size"]})
    return {"actual-size": lun.size}


def _destroy_lun(array: Array, svm: Svm, values: Values) -> None:
    """A LUN that is mapped is refused only while it is online: "this operation will fail if the LUN is currently mapped and is online"."""
    lun = _lun_at(svm, values, as_zapi(OntapError(Code.LUN_NOT_FOUND, "")).number)
    operations.delete_lun(array, lun.uuid, while_mapped=values.get("force", False) or not lun.enabled)


def _map_lun(array: Array, svm: Svm, values: Values) -> Record:
    number = {"logical_unit_number": values["lun-id"]} if "lun-id" in values else {}
    wanted = {"svm.name": svm.name, "lun.name": values["path"], "igroup.name": values["initiator-group"], **number}
    return {"lun-id-assigned": operations.create_map(array, wanted).number}


def _unmap_lun(array: Array, svm: Svm, values: Values) -> None:
    lun, igroup = _lun_at(svm, values, NO_SUCH_LUN), _igroup_named(svm, values, "initiator-group")
    operations.delete_map(array, lun.uuid, igroup.uuid)


def _list_maps(_array: Array, svm: Svm, values: Values) -> Record:
    rows = [
        ("initiator-group-info", {"initiator-group-name": one.igroup.name, "initiator-group-uuid": one.igroup.uuid, "lun-id": one.number})
        for one in svm.maps_of(_lun_at(svm, values, NO_SUCH_LUN))
    ]
    return {"initiator-groups": rows or None}


def _switch_lun(online: bool) -> Callable[[Array, Svm, Values], Record | None]:
    """Trident's tests: a LUN that is online already is refused with 9015, one that is offline with 9014."""

    def switch(_array: Array, svm: Svm, values: Values) -> None:
        lun = _lun_at(svm, values, NO_SUCH_LUN)
        if lun.enabled == online:
            raise ZapiError("9015" if online else "9014", f"LUN {lun.path} is already {'online' if online else 'offline'}")
        lun.enabled = online

    return switch


def _comment_lun(_array: Array, svm: Svm, values: Values) -> None:
    _lun_at(svm, values, NO_SUCH_LUN).comment = values["comment"]


def _move_lun(array: Array, svm: Svm, values: Values) -> None:
    operations.modify_lun(array, _lun_at(svm, values, NO_SUCH_LUN).uuid, {"name": values["new-path"]})


def _restore_lun(array: Array, svm: Svm, values: Values) -> None:
    snapshots.restore(array, svm, _lun_at(svm, values, NO_SUCH_LUN), values)


def _create_igroup(array: Array, svm: Svm, values: Values) -> None:
    operations.create_igroup(
        array,
        {
            "svm.name": svm.name,
            "name": values["initiator-group-name"],
            "os_type": values.get("os-type", values.get("ostype")),
            "protocol": values["initiator-group-type"],
        },
    )


def _destroy_igroup(array: Array, svm: Svm, values: Values) -> None:
    operations.delete_igroup(array, _igroup_named(svm, values).uuid, while_mapped=values.get("force", False))


def _add_initiator(array: Array, svm: Svm, values: Values) -> None:
    operations.add_initiators(array, _igroup_named(svm, values).uuid, [{"name": values["initiator"]}])


def _remove_initiator(array: Array, svm: Svm, values: Values) -> None:
    igroup = _igroup_named(svm, values)
    operations.remove_initiator(array, igroup.uuid, values["initiator"], while_mapped=values.get("force", False))


def _version(array: Array) -> Record:
    generation, major, minor = array.release
    return {
        "build-timestamp": 1600000000,
        "is-clustered": True,
        "version": f"NetApp Release {generation}.{major}.{minor}: Thu Jan 16 02:03:04 UTC 2025",
        "version-tuple": {"system-version-tuple": {"generation": generation, "major": major, "minor": minor}},
    }


EVERYBODYS: Mapping[str, Callable[[Array], Record]] = {
    "system-get-version": _version,
    "system-get-ontapi-version": lambda _array: {"major-version": 1, "minor-version": 180},
}
CLUSTERS: Mapping[str, Callable[[Array], Record]] = {
    "cluster-identity-get": lambda array: {
        "attributes": {"cluster-identity-info": {"cluster-name": array.name, "cluster-uuid": array.uuid}}
    },
}
"""What only the cluster has."""
LISTINGS: Mapping[str, Listing] = {
    "lun-get-iter": Listing("lun-info", records.LUN_INFO, lambda a, svm: [records.lun(a, svm, one) for one in svm.visible_luns]),
    "lun-map-get-iter": Listing("lun-map-info", records.LUN_MAP_INFO, lambda a, svm: [records.lun_map(a, svm, one) for one in svm.maps]),
    "igroup-get-iter": Listing(
        "initiator-group-info", records.INITIATOR_GROUP_INFO, lambda _a, svm: [records.igroup(svm, one) for one in svm.igroups]
    ),
    "volume-get-iter": Listing(
        "volume-attributes", records.VOLUME_ATTRIBUTES, lambda _a, svm: [records.volume(svm, one) for one in svm.volumes]
    ),
    "vserver-get-iter": Listing("vserver-info", records.VSERVER_INFO, lambda _a, svm: [records.vserver(svm)]),
    "iscsi-service-get-iter": Listing(
        "iscsi-service-info", records.ISCSI_SERVICE_INFO, lambda _a, svm: [records.iscsi_service(svm)] if svm.portals else []
    ),
    "iscsi-interface-get-iter": Listing("iscsi-interface-list-entry-info", records.ISCSI_INTERFACE, records.iscsi_interfaces),
    "fcp-interface-get-iter": Listing("fcp-interface-info", records.FCP_INTERFACE_INFO, records.fcp_interfaces),
    "net-interface-get-iter": Listing("net-interface-info", records.NET_INTERFACE_INFO, records.net_interfaces),
    "snapshot-get-iter": Listing(
        "snapshot-info", records.SNAPSHOT_INFO, lambda _a, svm: snapshots.rows(svm), snapshots.unread, frozenset({"vserver"})
    ),
    "snapmirror-get-iter": Listing(
        "snapmirror-info",
        records.SNAPMIRROR_INFO,
        lambda a, svm: [records.snapmirror(a, one) for one in a.mirrors if not one.is_source and svm is a.svms[0]],
    ),
    "snapmirror-get-destination-iter": Listing(
        "snapmirror-destination-info",
        records.SNAPMIRROR_DESTINATION_INFO,
        lambda a, svm: [records.snapmirror_destination(a, one) for one in a.mirrors if one.is_source and svm is a.svms[0]],
    ),
}
_LUN_PATH = {"path": str}
_GROUP_NAME = {"initiator-group-name": str}
_FORCE = {"force": bool}
_SNAPSHOT = {"volume": str, "snapshot": str}
CHANGES: Mapping[str, Change] = {
    "lun-create-by-size": Change(
        {
            **_LUN_PATH, "size": int, "ostype": str, "space-reservation-enabled": bool, "space-allocation-enabled": bool, "comment": str,
            "class": str, "prefix-size": int, "qos-policy-group": str, "use-exact-size": bool, "type": str,
        },
        frozenset({"path", "size"}),
        _create_lun,
    ),
    "lun-resize": Change({**_LUN_PATH, "size": int, **_FORCE}, frozenset({"path", "size"}), _resize_lun),
    "lun-destroy": Change({**_LUN_PATH, **_FORCE, "destroy-fenced-lun": bool}, frozenset({"path"}), _destroy_lun),
    "lun-map": Change({**_LUN_PATH, "initiator-group": str, "lun-id": int, **_FORCE}, frozenset({"path", "initiator-group"}), _map_lun),
    "lun-unmap": Change({**_LUN_PATH, "initiator-group": str}, frozenset({"path", "initiator-group"}), _unmap_lun),
    "lun-map-list-info": Change(_LUN_PATH, frozenset({"path"}), _list_maps, reads=True),
    "lun-online": Change({**_LUN_PATH, **_FORCE}, frozenset({"path"}), _switch_lun(True)),
    "lun-offline": Change(_LUN_PATH, frozenset({"path"}), _switch_lun(False)),
    "lun-set-comment": Change({**_LUN_PATH, "comment": str}, frozenset({"path", "comment"}), _comment_lun),
    "lun-move": Change({**_LUN_PATH, "new-path": str}, frozenset({"path", "new-path"}), _move_lun),
    "snapshot-create": Change(
        {**_SNAPSHOT, "comment": str, "snapmirror-label": str, "async": bool, "is-valid-lun-clone-snapshot": bool},
        frozenset(_SNAPSHOT), snapshots.create,
    ),
    "snapshot-rename": Change(
        {"volume": str, "current-name": str, "new-name": str}, frozenset({"volume", "current-name", "new-name"}), snapshots.rename
    ),
    "snapshot-delete": Change(
        {**_SNAPSHOT, "snapshot-instance-uuid": str, "ignore-owners": bool}, frozenset(_SNAPSHOT), snapshots.delete
    ),
    "snapshot-modify-iter": Change(
        {
            "query": ElementTree.Element, "attributes": ElementTree.Element, "max-records": int, "max-failure-count": int, "tag": str,
            "continue-on-failure": bool, "return-failure-list": bool, "return-success-list": bool,
        },
        frozenset({"query", "attributes"}),
        snapshots.modify,
    ),
    "cg-start": Change(
        {"snapshot": str, "timeout": str, "user-timeout": int, "volumes": ElementTree.Element, "snapmirror-label": str},
        frozenset({"snapshot", "volumes"}),
        snapshots.start_together,
    ),
    "cg-commit": Change({"cg-id": int}, frozenset({"cg-id"}), snapshots.commit_together),
    "snapshot-restore-file": Change(
        {
            **_LUN_PATH, "snapshot": str, "volume": str, "restore-path": str, **_FORCE, "space-efficient-split-disabled": bool,
            "snapshot-instance-uuid": str, "volume-dsid": str,
        },
        frozenset({"path", "snapshot"}),
        _restore_lun,
    ),
    "clone-create": Change(
        {
            "volume": str, "source-path": str, "destination-path": str, "snapshot-name": str, "space-reserve": bool, "autodelete": bool,
            "block-ranges": str, "bypass-license-check": bool, "bypass-throttle": bool, "destination-exists": bool,
            "destination-volume": str, "fixed-block-count": int, "ignore-locks": bool, "ignore-streams": bool, "is-backup": bool,
            "is-fixed-block-count": bool, "is-vvol-backup": bool, "lun-serial-number": str, "nosplit-entry": bool,
            "qos-adaptive-policy-group-name": str, "qos-policy-group-name": str, "token-uuid": str,
        },
        frozenset({"volume", "source-path"}),
        snapshots.clone,
    ),
    "igroup-create": Change(
        {**_GROUP_NAME, "initiator-group-type": str, "os-type": str, "ostype": str, "bind-portset": str},
        frozenset({"initiator-group-name", "initiator-group-type"}),
        _create_igroup,
    ),
    "igroup-destroy": Change({**_GROUP_NAME, **_FORCE}, frozenset({"initiator-group-name"}), _destroy_igroup),
    "igroup-add": Change({**_GROUP_NAME, "initiator": str, **_FORCE}, frozenset({"initiator-group-name", "initiator"}), _add_initiator),
    "igroup-remove": Change(
        {**_GROUP_NAME, "initiator": str, **_FORCE}, frozenset({"initiator-group-name", "initiator"}), _remove_initiator
    ),
}  # fmt: skip


def signature_of(raw: bytes) -> str:
    """Return a request as logs and faults know it, such as `lun-get-iter?path=/vol/vol1/lun1`; empty for what is none."""
    try:
        call = envelope.parse(raw)
    except ZapiError:
        return ""
    parts = [part for part in call.arguments if local(part) == "query"] or list(call.arguments)
    texts = [
        f"{local(leaf)}={leaf.text}" for part in parts for leaf in part.iter() if leaf.text and local(leaf) not in ("max-records", "tag")
    ]
    return f"{call.api}?{'&'.join(texts)}"
