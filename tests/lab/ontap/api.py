# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The REST interface: which request does what, and how the answer looks."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

from tests.lab.control import Action
from tests.lab.ontap import operations, resources, snapshots
from tests.lab.ontap.errors import Code, OntapError
from tests.lab.ontap.jobs import Jobs
from tests.lab.ontap.query import (
    LINKS,
    Query,
    Record,
    Shape,
    check_body,
    check_parameters,
    collection,
    flatten,
    instance,
    parse_query,
    values_at,
)
from tests.lab.ontap.state import REST, Array

ID = "/([^/]+)"
NO_ISCSI = Code.ISCSI_SERVICE_NOT_FOUND
JOB_SECONDS = 0.3
WRITE_PARAMETERS = frozenset({"return_timeout", "return_records"})
MAX_RETURN_TIMEOUT = 120
ALLOWING = frozenset({"allow_delete_while_mapped"})
OF_MANY = WRITE_PARAMETERS | ALLOWING | {"continue_on_failure", "serial_records"}
"""Parameters of a change of all records that a query finds; what else is there is the query."""
FORM = "multipart/form-data"
READ_PARAMETERS = ("data.offset", "data.size")
LARGEST_READ = 1_000_000
"""Bytes of a LUN's data in one answer: NetApp says 1 MB, and this is the smaller one of those that it may mean."""
SVMS_OWN = frozenset(
    {"/api/application/consistency-groups", "/api/storage/luns", "/api/protocols/san/igroups", "/api/protocols/san/lun-maps"}
)
"""Collections whose records are created in an SVM."""
TUNNEL_NAME, TUNNEL_UUID = "x-dot-svm-name", "x-dot-svm-uuid"


@dataclass(frozen=True)
class Request:
    """One request, already split into its parts; header names are lower case."""

    method: str
    path: str
    query: Query
    values: Mapping[str, Any]
    headers: Mapping[str, str]
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What goes back over the wire."""

    status: int
    body: Record = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str | None = None
    """What the body's records are, when links lead to them."""
    content: bytes | None = None
    """What is sent in place of the body."""

    @property
    def payload(self) -> bytes:
        """What is sent."""
        return json.dumps(self.body, indent=2).encode() + b"\n" if self.content is None else self.content


Handler = Callable[[Request], Answer]
Work = Callable[[], Optional[Record]]
Data = Callable[[str, int, int], bytes]
"""What a LUN of this UUID has from an offset on, and how much of it."""


def parse_request(method: str, target: str, headers: Mapping[str, str], raw: bytes) -> Request:
    """Return the request; raises OntapError for a body that is no JSON object or a parameter given twice."""
    url = urlsplit(target if not target.startswith("//") else f"/{target.lstrip('/')}")
    path = re.sub(r"/{2,}", "/", url.path).rstrip("/") or "/"
    lowered = {name.lower(): value for name, value in headers.items()}
    return Request(method, path, parse_query(url.query), flatten(_json(raw)) if raw else {}, lowered)


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise OntapError(Code.INVALID_JSON, "Invalid JSON input.") from error


class Api:
    """Answers requests from the array's state."""

    def __init__(
        self,
        array: Array,
        jobs: Jobs,
        *,
        asynchronous: bool = False,
        changed: Callable[[], None] | None = None,
        data: Data | None = None,
    ) -> None:
        self._array = array
        self._data = data or _zeros
        self._changed = changed or array.copies.clear
        self._jobs = jobs
        self._asynchronous = asynchronous
        self._routes = [(method, re.compile(f"/api/{pattern}"), handler) for method, pattern, handler in self._table()]

    def answer(self, request: Request, action: Action) -> Answer:
        """Return the answer to the request; ``action`` may turn a change into a job, or make that job fail."""
        if not self._array.serves_interface(REST):
            return Answer(404)
        try:
            return self._links(request, self._route(request, action))
        except OntapError as error:
            return Answer(error.status, error.body())

    def _table(self) -> list[tuple[str, str, Handler]]:
        return [
            *self._array_table(),
            *self._service_table(),
            *self._lun_table(),
            *self._igroup_table(),
            *self._map_table(),
            *self._snapshot_table(),
            *self._group_table(),
        ]

    def _array_table(self) -> list[tuple[str, str, Handler]]:
        a, r = self._array, resources
        return [
            ("GET", "cluster", self._one(r.CLUSTER, lambda ids: r.cluster_record(a))),
            *self._readable("cluster/nodes", r.NODES, lambda: r.node_records(a)),
            *self._readable("cluster/jobs", r.JOB, self._jobs.records),
            *self._readable("svm/svms", r.SVMS, lambda: r.svm_records(a)),
            *self._readable("storage/volumes", r.VOLUME, lambda: r.volume_records(a)),
            *self._readable("network/ip/interfaces", r.IP_INTERFACE, lambda: r.ip_interface_records(a)),
            *self._readable("network/fc/interfaces", r.FC_INTERFACE, lambda: r.fc_interface_records(a)),
            *self._readable("protocols/san/iscsi/services", r.SAN_SERVICE, lambda: r.iscsi_service_records(a), NO_ISCSI),
            *self._readable("protocols/san/fcp/services", r.SAN_SERVICE, lambda: r.fcp_service_records(a)),
            (
                "GET",
                "private/cli/debug/smdb/table/Ontap(?:Mode|Personality)",
                self._many(r.PERSONALITY, lambda ids: r.personality_records(a)),
            ),
        ]

    def _service_table(self) -> list[tuple[str, str, Handler]]:
        a, r, o = self._array, resources, operations
        service, ip, fc = "protocols/san/iscsi/services", "network/ip/interfaces", "network/fc/interfaces"
        return [
            (
                "PATCH",
                f"storage/volumes{ID}",
                self._change(r.VOLUME_MODIFY, r.VOLUME, lambda ids, values: o.modify_volume(a, ids[0], values)),
            ),
            ("PATCH", f"svm/svms{ID}", self._change(r.SVM_MODIFY, r.SVMS, lambda ids, values: o.modify_svm(a, ids[0], values))),
            (
                "PATCH",
                service + ID,
                self._change(r.ENABLED, r.SAN_SERVICE, lambda ids, values: o.modify_iscsi_service(a, ids[0], values)),
            ),
            ("PATCH", ip + ID, self._change(r.ENABLED, r.IP_INTERFACE, self._switch_lif(r.ip_interface_records, "ip.address"))),
            ("PATCH", fc + ID, self._change(r.ENABLED, r.FC_INTERFACE, self._switch_lif(r.fc_interface_records, "wwpn"))),
            ("GET", "snapmirror/relationships", self._relationships),
        ]

    def _switch_lif(self, records: Callable[[Array], list[Record]], name: str) -> Callable[[tuple[str, ...], Mapping[str, Any]], None]:
        def switch(ids: tuple[str, ...], values: Mapping[str, Any]) -> None:
            for record in records(self._array):
                if record["uuid"] == ids[0]:
                    operations.modify_lif(self._array, record["svm"]["name"], values_at(record, name)[0], values)
                    return
            raise OntapError(Code.NO_ENTRY, "entry doesn't exist", "uuid")

        return switch

    def _relationships(self, request: Request) -> Answer:
        flag = "list_destinations_only"
        of_sources = operations.as_bool(request.query.get(flag, "false"), flag)
        records = resources.relationship_records(self._array, of_sources)
        return Answer(200, collection(records, request.query, resources.RELATIONSHIP, request.path))

    def _lun_table(self) -> list[tuple[str, str, Handler]]:
        a, r, o, path = self._array, resources, operations, "storage/luns"
        modify = self._change(r.LUN_MODIFY, r.LUN, lambda ids, values: o.modify_lun(a, ids[0], values))
        delete = self._remove(lambda ids, mapped: o.delete_lun(a, *ids, while_mapped=mapped), mappable=True)
        return [
            ("GET", path, self._counting_reads(self._many(r.LUN, lambda ids: r.lun_records(a), "lun"))),
            ("POST", path, self._create_lun),
            ("PATCH", path, self._of_many(r.LUN, r.lun_records, modify)),
            ("DELETE", path, self._of_many(r.LUN, r.lun_records, delete)),
            ("GET", path + ID, self._lun_or_data(self._one(r.LUN, lambda ids: r.lun_record(a, *o.find_lun(a, *ids)), "lun"))),
            ("PATCH", path + ID, modify),
            ("DELETE", path + ID, delete),
        ]

    def _igroup_table(self) -> list[tuple[str, str, Handler]]:
        a, r, o, path = self._array, resources, operations, "protocols/san/igroups"
        members, member = f"{path}{ID}/initiators", f"{path}{ID}/initiators{ID}"
        groups = f"{path}{ID}/igroups"
        modify = self._change(r.IGROUP_MODIFY, r.IGROUP, lambda ids, values: o.modify_igroup(a, ids[0], values))
        delete = self._remove(lambda ids, mapped: o.delete_igroup(a, *ids, while_mapped=mapped), mappable=True)
        return [
            ("GET", path, self._many(r.IGROUP, lambda ids: r.igroup_records(a), "igroup")),
            ("POST", path, self._create_igroup),
            ("GET", path + ID, self._one(r.IGROUP, lambda ids: r.igroup_record(a, *o.find_igroup(a, *ids)), "igroup")),
            ("PATCH", path, self._of_many(r.IGROUP, r.igroup_records, modify)),
            ("DELETE", path, self._of_many(r.IGROUP, r.igroup_records, delete)),
            ("PATCH", path + ID, modify),
            ("DELETE", path + ID, delete),
            ("GET", members, self._many(r.INITIATOR, self._initiator_records)),
            ("POST", members, self._add_initiators),
            ("GET", member, self._one(r.INITIATOR, self._initiator_record)),
            ("PATCH", member, self._change(("comment",), r.INITIATOR, self._comment_initiator)),
            ("DELETE", member, self._remove(lambda ids, mapped: o.remove_initiator(a, *ids, while_mapped=mapped), mappable=True)),
            ("GET", groups, self._many(r.NESTED, lambda ids: r.nested_records(o.find_igroup(a, *ids)[1]), "igroup")),
            ("POST", groups, self._add_groups),
            ("DELETE", groups + ID, self._remove(lambda ids, mapped: o.remove_group(a, *ids, while_mapped=mapped), mappable=True)),
        ]

    def _map_table(self) -> list[tuple[str, str, Handler]]:
        a, r, o, path = self._array, resources, operations, "protocols/san/lun-maps"
        delete = self._remove(lambda ids, mapped: o.delete_map(a, *ids))
        return [
            ("GET", path, self._many(r.LUN_MAP, lambda ids: r.lun_map_records(a))),
            ("POST", path, self._create_map),
            ("DELETE", path, self._of_many(r.LUN_MAP, r.lun_map_records, delete)),
            ("GET", path + ID + ID, self._one(r.LUN_MAP, lambda ids: r.lun_map_record(a, *o.find_map(a, *ids)))),
            ("DELETE", path + ID + ID, delete),
        ]

    def _snapshot_table(self) -> list[tuple[str, str, Handler]]:
        a, r, o, s, path = self._array, resources, operations, snapshots, f"storage/volumes{ID}/snapshots"
        return [
            ("GET", path, self._many(r.SNAPSHOT, lambda ids: r.snapshot_records(*o.find_volume(a, *ids)))),
            ("POST", path, self._create_snapshot),
            ("GET", path + ID, self._one(r.SNAPSHOT, self._snapshot_record)),
            ("PATCH", path + ID, self._change(r.SNAPSHOT_MODIFY, r.SNAPSHOT, lambda ids, values: s.modify(a, ids[0], ids[1], values))),
            ("DELETE", path + ID, self._remove(lambda ids, mapped: s.delete(a, *ids))),
        ]

    def _group_table(self) -> list[tuple[str, str, Handler]]:
        a, r, s, path = self._array, resources, snapshots, "application/consistency-groups"
        taken = f"{path}{ID}/snapshots"
        return [
            ("GET", path, self._many(r.CONSISTENCY_GROUP, lambda ids: r.consistency_group_records(a))),
            ("POST", path, self._create_group),
            (
                "GET",
                path + ID,
                self._one(r.CONSISTENCY_GROUP, lambda ids: r.consistency_group_record(*s.find_group(a, *ids))),
            ),
            ("DELETE", path + ID, self._remove(lambda ids, mapped: s.delete_group(a, *ids))),
            ("GET", taken, self._many(r.GROUP_SNAPSHOT, lambda ids: r.group_snapshot_records(*s.find_group(a, *ids)))),
            ("POST", taken, self._create_group_snapshot),
            ("GET", taken + ID, self._one(r.GROUP_SNAPSHOT, self._group_snapshot_record)),
            ("DELETE", taken + ID, self._remove(lambda ids, mapped: s.delete_group_snapshot(a, *ids))),
        ]

    def _route(self, request: Request, action: Action) -> Answer:
        if request.path in self._array.denied:
            raise OntapError(Code.PERMISSION_DENIED, "not authorized for that command")
        known = [(method, match, handler) for method, pattern, handler in self._routes if (match := pattern.fullmatch(request.path))]
        if not known:
            raise OntapError(Code.API_NOT_FOUND, "API not found")
        for method, match, handler in known:
            if method == request.method:
                ids = tuple(unquote(part) for part in match.groups())
                routed = Request(request.method, request.path, request.query, self._tunnelled(request), request.headers, ids)
                return self._run(routed, handler, action)
        return Answer(405, OntapError(Code.API_NOT_FOUND, f"{request.method} is not allowed for this API").body())

    def _run(self, request: Request, handler: Handler, action: Action) -> Answer:
        wanted = self._asynchronous or "job" in action or "job_error" in action
        if request.method == "GET" or not wanted:
            return self._handled(request, handler)
        timeout = _return_timeout(request.query)
        job = self._jobs.start(f"{request.method} {request.path}", lambda: self._work(request, handler, action), _seconds(action))
        link: Record = {"job": {"uuid": job.uuid}}
        if not timeout or not job.done.wait(timeout):
            return Answer(202, link)
        if job.failure:
            raise job.failure
        finished: Answer = job.result
        return replace(finished, body={**link, **finished.body})

    def _work(self, request: Request, handler: Handler, action: Action) -> Answer:
        if error := action.get("job_error"):
            raise OntapError(int(error["code"]), str(error["message"]))
        return self._handled(request, handler)

    def _handled(self, request: Request, handler: Handler) -> Answer:
        with self._array.lock:
            answer = handler(request)
            if request.method != "GET":
                self._changed()
            return answer

    def _tunnelled(self, request: Request) -> Mapping[str, Any]:
        """Give a creation the SVM of the tunnel headers when its body names none, which must be the same when it does."""
        tunnel = {"svm.name": self._vserver(request), "svm.uuid": request.headers.get(TUNNEL_UUID)}
        given = {path: value for path, value in tunnel.items() if value is not None}
        if not given:
            return request.values
        tunnelled = operations.find_svm(self._array, given)
        named = {path: value for path, value in request.values.items() if path in tunnel}
        if named and operations.find_svm(self._array, named) is not tunnelled:
            raise OntapError(Code.SVM_MISMATCH, "The SVM of the body is not the one of the request's header.", "svm")
        makes_svms_own = request.method == "POST" and request.path in SVMS_OWN
        return {**request.values, **given} if makes_svms_own and not named else request.values

    def _vserver(self, request: Request) -> str | None:
        """The SVM to which the request is confined, by its account or by its tunnel."""
        return self._array.account_svm or request.headers.get(TUNNEL_NAME)

    def _lun_or_data(self, properties: Handler) -> Handler:
        """A LUN's data for who says that he accepts a form, else its properties."""
        told = self._counting_reads(properties)

        def handle(request: Request) -> Answer:
            return self._data_of_lun(request) if request.headers.get("accept") == FORM else told(request)

        return handle

    def _data_of_lun(self, request: Request) -> Answer:
        svm, lun = operations.find_lun(self._array, *request.ids)
        check_parameters(request.query, READ_PARAMETERS)
        offset, size = (_whole_number(request.query, name) for name in READ_PARAMETERS)
        if not 0 < size <= LARGEST_READ or offset + size > lun.size:
            raise OntapError(Code.INVALID_VALUE, f"{size} bytes from byte {offset} of the LUN cannot be read.", "data.size")
        if not svm.serves(lun):
            raise OntapError(Code.VOLUME_NOT_ONLINE, "The LUN is not online.")
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="data"\r\nContent-Type: application/octet-stream\r\n\r\n'
        content = head.encode() + self._data(lun.uuid, offset, size) + f"\r\n--{boundary}--\r\n".encode()
        return Answer(200, headers={"Content-Type": f"{FORM}; boundary={boundary}"}, content=content)

    def _links(self, request: Request, answer: Answer) -> Answer:
        if answer.content is not None:
            return answer
        accept = request.headers.get("accept", "*/*")
        if "application/json" in accept and "hal" not in accept:
            return answer
        body = answer.body
        linked = {key: resources.add_links(value, answer.kind if key == "records" else key) for key, value in body.items()}
        return replace(answer, body=linked)

    def _readable(
        self, path: str, shape: Shape, records: Callable[[], list[Record]], missing: Code = Code.NO_ENTRY
    ) -> list[tuple[str, str, Handler]]:
        key = shape.key[0]

        def find(ids: tuple[str, ...]) -> Record:
            for record in records():
                if values_at(record, key) == [ids[0]]:
                    return record
            raise OntapError(missing, "entry doesn't exist", key)

        return [
            ("GET", path, self._many(shape, lambda ids: records())),
            ("GET", f"{path}/([^/]+)", self._one(shape, find)),
        ]

    def _many(self, shape: Shape, records: Callable[[tuple[str, ...]], list[Record]], kind: str | None = None) -> Handler:
        def handle(request: Request) -> Answer:
            body = collection(self._scoped(request, records(request.ids)), _aliased(request.query), self._played(shape), request.path)
            return Answer(200, body, kind=kind)

        return handle

    def _one(self, shape: Shape, record: Callable[[tuple[str, ...]], Record], kind: str | None = None) -> Handler:
        def handle(request: Request) -> Answer:
            found = instance(record(request.ids), request.query, self._played(shape))
            return Answer(200, {**found, LINKS: {"self": {"href": request.path}}}, kind=kind)

        return handle

    def _counting_reads(self, handler: Handler) -> Handler:
        def handle(request: Request) -> Answer:
            try:
                return handler(request)
            finally:
                self._array.pass_read()

        return handle

    def _change(self, settable: tuple[str, ...], shape: Shape, change: Callable[[tuple[str, ...], Mapping[str, Any]], None]) -> Handler:
        def handle(request: Request) -> Answer:
            check_parameters(request.query, WRITE_PARAMETERS)
            check_body(request.values, settable, self._played(shape))
            change(request.ids, request.values)
            return Answer(200)

        return handle

    def _remove(self, remove: Callable[[tuple[str, ...], bool], None], *, mappable: bool = False) -> Handler:
        flag = "allow_delete_while_mapped"

        def handle(request: Request) -> Answer:
            check_parameters(request.query, WRITE_PARAMETERS | ({flag} if mappable else set()))
            remove(request.ids, operations.as_bool(request.query.get(flag, "false"), flag))
            return Answer(200)

        return handle

    def _of_many(self, shape: Shape, records: Callable[[Array], list[Record]], change: Handler) -> Handler:
        """Change every record that the query finds, one after the other; the first that is refused ends it."""

        def handle(request: Request) -> Answer:
            query = {name: value for name, value in _aliased(request.query).items() if name not in OF_MANY}
            if not query:
                raise OntapError(Code.QUERY_MISSING, "A query is required to change a collection.")
            found = collection(self._scoped(request, records(self._array)), query, self._played(shape), request.path)["records"]
            if not found:
                raise OntapError(Code.NO_ENTRY, "entry doesn't exist")
            parameters = {name: value for name, value in request.query.items() if name in WRITE_PARAMETERS | ALLOWING}
            for record in found:
                ids = tuple(str(values_at(record, name)[0]) for name in shape.key)
                change(replace(request, query=parameters, ids=ids))
            return Answer(200, {"num_records": len(found)})

        return handle

    def _scoped(self, request: Request, records: list[Record]) -> list[Record]:
        name, uuid = self._vserver(request), request.headers.get(TUNNEL_UUID)
        return [
            record
            for record in records
            if "svm" not in record or (name in (None, record["svm"]["name"]) and uuid in (None, record["svm"]["uuid"]))
        ]

    def _created(self, request: Request, href: str, record: Record, shape: Shape) -> Answer:
        body: Record = {}
        if request.query.get("return_records", "false").lower() == "true":
            body = {"num_records": 1, "records": [instance(record, {}, self._played(shape))]}
        return Answer(201, body, {"Location": href})

    def _create_lun(self, request: Request) -> Answer:
        self._check_create(request, resources.LUN_CREATE, resources.LUN)
        lun = operations.create_lun(self._array, request.values)
        svm = operations.find_svm(self._array, request.values)
        return self._created(request, f"{request.path}/{lun.uuid}", resources.lun_record(self._array, svm, lun), resources.LUN)

    def _create_igroup(self, request: Request) -> Answer:
        self._check_create(request, resources.IGROUP_CREATE, resources.IGROUP)
        igroup = operations.create_igroup(self._array, request.values)
        record = resources.igroup_record(self._array, *operations.find_igroup(self._array, igroup.uuid))
        return self._created(request, f"{request.path}/{igroup.uuid}", record, resources.IGROUP)

    def _create_map(self, request: Request) -> Answer:
        self._check_create(request, resources.LUN_MAP_CREATE, resources.LUN_MAP)
        lun_map = operations.create_map(self._array, request.values)
        record = resources.lun_map_record(self._array, operations.find_svm(self._array, request.values), lun_map)
        return self._created(request, f"{request.path}/{lun_map.lun.uuid}/{lun_map.igroup.uuid}", record, resources.LUN_MAP)

    def _create_snapshot(self, request: Request) -> Answer:
        self._check_create(request, resources.SNAPSHOT_CREATE, resources.SNAPSHOT)
        snapshot = snapshots.create(self._array, request.ids[0], request.values)
        record = self._snapshot_record((request.ids[0], snapshot.uuid))
        return self._created(request, f"{request.path}/{snapshot.uuid}", record, resources.SNAPSHOT)

    def _create_group(self, request: Request) -> Answer:
        self._check_create(request, resources.CONSISTENCY_GROUP_CREATE, resources.CONSISTENCY_GROUP)
        group = snapshots.create_group(self._array, request.values)
        record = resources.consistency_group_record(*snapshots.find_group(self._array, group.uuid))
        return self._created(request, f"{request.path}/{group.uuid}", record, resources.CONSISTENCY_GROUP)

    def _create_group_snapshot(self, request: Request) -> Answer:
        self._check_create(request, resources.GROUP_SNAPSHOT_CREATE, resources.GROUP_SNAPSHOT)
        taken = snapshots.create_group_snapshot(self._array, request.ids[0], request.values)
        record = self._group_snapshot_record((request.ids[0], taken.uuid))
        return self._created(request, f"{request.path}/{taken.uuid}", record, resources.GROUP_SNAPSHOT)

    def _add_initiators(self, request: Request) -> Answer:
        self._check_create(request, ("name", "comment", "records"), resources.INITIATOR)
        entries = request.values.get("records", [dict(request.values)] if request.values else [])
        added = operations.add_initiators(self._array, request.ids[0], entries)
        records = [self._initiator_record((request.ids[0], name)) for name in added]
        body: Record = {}
        if request.query.get("return_records", "false").lower() == "true":
            body = {"num_records": len(records), "records": records}
        return Answer(201, body, {"Location": f"{request.path}/{added[0]}"})

    def _add_groups(self, request: Request) -> Answer:
        self._check_create(request, ("name", "uuid", "records"), resources.NESTED)
        entries = request.values.get("records", [dict(request.values)] if request.values else [])
        added = operations.add_groups(self._array, request.ids[0], entries)
        records = resources.nested_records(operations.find_igroup(self._array, request.ids[0])[1])
        return Answer(201, {"num_records": len(added), "records": records}, {"Location": request.path})

    def _check_create(self, request: Request, settable: tuple[str, ...], shape: Shape) -> None:
        check_parameters(request.query, WRITE_PARAMETERS)
        check_body(request.values, settable, self._played(shape))

    def _played(self, shape: Shape) -> Shape:
        """Return the resource as the array's release has it."""
        return shape.of(self._array.release)

    def _comment_initiator(self, ids: tuple[str, ...], values: Mapping[str, Any]) -> None:
        operations.comment_initiator(self._array, ids[0], ids[1], str(values.get("comment") or ""))

    def _initiator_records(self, ids: tuple[str, ...]) -> list[Record]:
        return resources.initiator_records(operations.find_igroup(self._array, ids[0])[1])

    def _initiator_record(self, ids: tuple[str, ...]) -> Record:
        for record in self._initiator_records(ids[:1]):
            if record["name"] == ids[1].lower():
                return record
        raise OntapError(Code.INITIATOR_NOT_MEMBER, f'Initiator "{ids[1]}" is not a member of the initiator group.', "name")

    def _snapshot_record(self, ids: tuple[str, ...]) -> Record:
        svm, volume = operations.find_volume(self._array, ids[0])
        return resources.snapshot_record(svm, volume, snapshots.find(self._array, ids[0], ids[1]))

    def _group_snapshot_record(self, ids: tuple[str, ...]) -> Record:
        svm, group = snapshots.find_group(self._array, ids[0])
        return resources.group_snapshot_record(svm, group, snapshots.find_group_snapshot(self._array, *ids))


def _aliased(query: Query) -> Query:
    """Return the query with the abbreviation ``svm=<name>``, which ONTAP takes for ``svm.name``, written out."""
    return {("svm.name" if name == "svm" else name): value for name, value in query.items()}


def _return_timeout(query: Query) -> int:
    text = query.get("return_timeout", "0")
    if not text.isdigit() or int(text) > MAX_RETURN_TIMEOUT:
        raise OntapError(Code.INVALID_VALUE, f'The value "{text}" is invalid for field "return_timeout" (0..120)', "return_timeout")
    return int(text)


def _whole_number(query: Query, name: str) -> int:
    text = query.get(name)
    if text is None:
        raise OntapError(Code.QUERY_MISSING, f'Parameter "{name}" is required to read data.', name)
    if not text.isdigit():
        raise OntapError(Code.INVALID_VALUE, f'The value "{text}" is invalid for field "{name}" (<integer>)', name)
    return int(text)


def _zeros(_uuid: str, _offset: int, size: int) -> bytes:
    """What a LUN has to which nobody can write."""
    return bytes(size)


def _seconds(action: Action) -> float:
    return float(action.get("seconds", JOB_SECONDS))
