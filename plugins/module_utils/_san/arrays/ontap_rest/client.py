# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ONTAP's REST conventions: queries, pages, errors, jobs. Knows nothing of LUNs.

Source: "Getting started with the ONTAP REST API" in NetApp's reference.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from textwrap import shorten
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from ansible_collections.crossvisor.san.plugins.module_utils._san import timestamps
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import (
    ChangeUnfinished,
    InterfaceMissing,
    OntapRefusal,
    way_out,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.query import literal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.waiting import wait_for
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    InvalidInput,
    MissingRight,
    OutcomeUnknown,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import form_data
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession, connection_failure
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import Excess, Pages

Record = Mapping[str, Any]
Match = Mapping[str, Sequence[str]]
"""By dotted field, the values of which a record must have one."""

T = TypeVar("T")

PAGE_SIZE = 1000
EVERY_FIELD = "*"
"""All that the release has and that costs nothing: a field that it lacks may not be asked for by name."""
LONGEST_QUERY_VALUE = 3000
"""Octets, so that a URL stays below 4 kB."""

_RETURN_TIMEOUT = 2
"""Seconds for which ONTAP keeps a change's answer back, so that a quick one needs no job."""
_OK = 200
_UNAVAILABLE = 503
"""What an array answers also while the web service of an interface is switched off."""
_JOB_ENDS = {"success", "failure"}
_LONGEST_MESSAGE = 1000
"""Characters of what an array says."""


def segment(value: str) -> str:
    """The value as one segment of a path."""
    return quote(value, safe="")


class Unexpected(ValueError):
    """A record that is not as ONTAP documents it. Its text says which field, and what it holds."""


class OntapClient:
    """One session with one ONTAP cluster or SVM. Every failure is a `CrossvisorError` in one sentence."""

    def __init__(
        self,
        connection: Connection,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self.connection = connection
        self.clock = clock
        self.sleep = sleep
        self._page_size = page_size
        self._http = HttpsSession(connection, {"Accept": "application/json"}, authenticate=True)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, fields: Sequence[str]) -> Record:
        """One object. The first of the fields is one without which it is not ONTAP's, or `EVERY_FIELD`."""
        answer = self._send("GET", f"{path}?{_encoded({'fields': ','.join(fields)})}")
        if fields[0] not in (EVERY_FIELD, *answer):
            raise self._stranger(f"GET /api{path} gave no {fields[0]}")
        return answer

    def read(
        self,
        path: str,
        fields: Sequence[str],
        match: Match,
        parse: Callable[[Record], T],
        parameters: Mapping[str, str] | None = None,
    ) -> list[T]:
        """The records of a collection that match exactly, as `parse` understands them; its `Unexpected` becomes a `ConnectionFailed`."""
        records = self.records(path, fields, match, parameters)
        return self._understood(path, lambda: [parse(record) for record in records])

    def read_one(self, path: str, fields: Sequence[str], parse: Callable[[Record], T]) -> T:
        """One object as `parse` understands it. The first of the fields is one without which it is not ONTAP's, or `EVERY_FIELD`."""
        record = self.get(path, fields)
        return self._understood(path, lambda: parse(record))

    def records(self, path: str, fields: Sequence[str], match: Match, parameters: Mapping[str, str] | None = None) -> list[Record]:
        """The records of a collection that match exactly, of all its pages; `parameters` are the collection's own."""
        filters = {name: "|".join(literal(value) for value in values) for name, values in match.items()}
        found: list[Record] = []
        pages = Pages(path)
        href = f"/api{path}?{_encoded({**filters, **(parameters or {}), 'fields': ','.join(fields), 'max_records': str(self._page_size)})}"
        while href:
            page = self._send("GET", href.removeprefix("/api"))
            records = self._page(page, path)
            found.extend(records)
            href = self._following(page, href, len(records), pages)
        return [record for record in found if _matches(record, match)]

    def data(self, path: str, parameters: Mapping[str, str]) -> bytes:
        """What ONTAP keeps for somebody else, as the one entry of a form."""
        request = f"GET /api{path}"
        response = self._http.request("GET", f"/api{path}?{_encoded(parameters)}", headers={"Accept": form_data.KIND})
        if response.status_code != _OK:
            raise self._failure(response, _json_object(response) or {}, "GET", request)
        try:
            return form_data.only_entry(response.headers.get("Content-Type", ""), response.content)
        except ValueError as error:
            raise self._stranger(f"{request} gave {error}") from error

    def post(self, path: str, body: Record, timeout: float) -> list[Record]:
        """Create something; the records that the answer tells, which are none where a job did the work."""
        answer = self._change("POST", path, {"return_records": "true"}, body, timeout)
        records = answer.get("records")
        return records if isinstance(records, list) else []

    def patch(self, path: str, body: Record, timeout: float) -> None:
        """Change something."""
        self._change("PATCH", path, {}, body, timeout)

    def delete(self, path: str, timeout: float, **parameters: str) -> None:
        """Delete something."""
        self._change("DELETE", path, parameters, None, timeout)

    def wait_for(self, observe: Callable[[], bool], timeout: float) -> bool:
        """Look until there is something to see or the time is over; tell which."""
        return wait_for(observe, timeout, self.clock, self.sleep)

    def _change(self, method: str, path: str, parameters: Mapping[str, str], body: Record | None, timeout: float) -> Record:
        query = _encoded({**parameters, "return_timeout": str(_RETURN_TIMEOUT)})
        answer = self._send(method, f"{path}?{query}", body)
        job = value_at(answer, "job.uuid")
        if job:
            self._wait_for_job(str(job), f"{method} /api{path}", timeout)
        return answer

    def _wait_for_job(self, uuid: str, request: str, timeout: float) -> None:
        """Wait for the end of a job. Raises `RemoteError` when it failed, `ChangeUnfinished` when its end is not seen."""
        job: Record = {}

        def ended() -> bool:
            nonlocal job
            job = self.get(f"/cluster/jobs/{segment(uuid)}", ("state", "message", "code", "error"))
            return job.get("state") in _JOB_ENDS

        try:
            in_time = self.wait_for(ended, timeout)
        except CrossvisorError as error:
            raise ChangeUnfinished(
                f"Job {uuid} of array {self.connection} ({request}) was started, but cannot be followed: {error}"
            ) from error
        if not in_time:
            raise ChangeUnfinished(
                f"Job {uuid} of array {self.connection} ({request}) is still {job['state']} after {timeout:g} s: "
                "follow it with `job show`, and run this task again when it has ended."
            )
        if job["state"] == "failure":
            told = job.get("error")
            raise self._refusal(told if isinstance(told, Mapping) else job)

    def _send(self, method: str, path: str, body: Record | None = None) -> Record:
        arguments = {} if body is None else {"json": body}
        response = self._http.request(method, f"/api{path}", **arguments)
        content = _json_object(response)
        if 200 <= response.status_code < 300:
            if content is not None:
                return content
            if method != "GET":
                raise self._disturbance(response.status_code, method, f"{method} /api{path.partition('?')[0]}")
        raise self._failure(response, content or {}, method, f"{method} /api{path.partition('?')[0]}")

    def _failure(self, response: Any, content: Record, method: str, request: str) -> CrossvisorError:
        """What an answer means that is no success: ONTAP's own code goes before the HTTP status."""
        status, told = response.status_code, content.get("error")
        error: Record = told if isinstance(told, Mapping) else {}
        if status == 401:
            return AuthenticationFailed(
                f"The array {self.connection} refuses user {self.connection.username}: check array.username and array.password, "
                "and that the account may log in over http with a password (array.type=ontap_zapi is for one that may over ontapi alone)."
            )
        if status == 403 or _code(error) == codes.NOT_AUTHORISED:
            return MissingRight(
                f"User {self.connection.username} may not {request} on array {self.connection}: "
                "give its role that right (security login rest-role), or use another account."
            )
        if "code" in error:
            return self._refusal(error)
        if status >= 500:
            return self._disturbance(status, method, request)
        return self._stranger(f"{request} gave HTTP {status} with {response.headers.get('Content-Type', 'no content')}")

    def _understood(self, path: str, parse: Callable[[], T]) -> T:
        try:
            return parse()
        except Unexpected as error:
            raise self._stranger(f"GET /api{path} gave {error}") from error

    def _page(self, answer: Record, path: str) -> list[Record]:
        records = answer.get("records")
        if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
            raise self._stranger(f"GET /api{path} gave no records")
        return records

    def _following(self, page: Record, here: str, records: int, pages: Pages) -> str:
        """The link to the next page; empty on the last."""
        href = value_at(page, "_links.next.href") or ""
        if href and not (isinstance(href, str) and href.startswith("/api/")):
            raise self._stranger(f"a page's link is {_shown(href)}")
        try:
            if href:
                pages.follow(here, href, records)
        except Excess as excess:
            raise connection_failure(self.connection, excess) from excess
        return str(href)

    def _refusal(self, error: Record) -> OntapRefusal:
        told = error.get("message")
        message = shorten(told, _LONGEST_MESSAGE, placeholder=" …").rstrip(".") if isinstance(told, str) and told else "no reason given"
        code = _code(error)
        fault = codes.meaning(code)
        hint = way_out(fault, message)
        return OntapRefusal(f"{message} (array {self.connection}, error {code}){f': {hint}' if hint else ''}.", code, fault)

    def _disturbance(self, status: int, method: str, request: str) -> CrossvisorError:
        if method == "GET":
            kind = InterfaceMissing if status == _UNAVAILABLE else ConnectionFailed
            return kind(f"The array {self.connection} answers {request} with HTTP {status}: wait until it is in order, then try again.")
        return OutcomeUnknown(
            f"The array {self.connection} answered {request} with HTTP {status}, which does not tell whether it was done: "
            "look there, then run this task again."
        )

    def _stranger(self, evidence: str) -> InterfaceMissing:
        return InterfaceMissing(
            f"The endpoint {self.connection} does not answer as ONTAP ({evidence}): check array.hostname, array.port and array.type."
        )


def value_at(record: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for name in path.split("."):
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def text_at(record: Record, path: str, default: str | None = None) -> str:
    """The text at a dotted path. Raises `Unexpected` for anything else, and where there is none and no default for it."""
    value = value_at(record, path)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise Unexpected(_misfit(path, value))
    return value


def number_at(record: Record, path: str, default: int | None = None) -> int:
    """The whole number at a dotted path. Raises `Unexpected` for anything else, and where there is none and no default for it."""
    value = value_at(record, path)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unexpected(_misfit(path, value))
    return value


def moment_at(record: Record, path: str) -> str:
    """The point in time at a dotted path, in UTC and to the second; empty where there is none. Raises `Unexpected` for anything else."""
    text = text_at(record, path, "")
    try:
        return timestamps.written(timestamps.parse(text)) if text else ""
    except InvalidInput as error:
        raise Unexpected(_misfit(path, text)) from error


def entries_at(record: Record, path: str) -> list[Record]:
    """The records in the list at a dotted path, none where there is none. Raises `Unexpected` for anything else."""
    value = value_at(record, path)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise Unexpected(_misfit(path, value))
    return value


def _misfit(path: str, value: Any) -> str:
    return f"a record without {path}" if value is None else f"a record whose {path} is {_shown(value)}"


def _shown(value: Any) -> str:
    """A value in a message: of lists and objects, which may be nested deeply, only what they are."""
    return f"{value!r:.100}" if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"


def in_chunks(values: Sequence[str], limit: int = LONGEST_QUERY_VALUE) -> list[list[str]]:
    """The values in groups, each of which fits in one query."""
    chunks: list[list[str]] = []
    room = 0
    for value in values:
        octets = len(quote(f"{literal(value)}|", safe=""))
        if octets > room:
            chunks.append([])
            room = limit
        chunks[-1].append(value)
        room -= octets
    return chunks


def _encoded(parameters: Mapping[str, str]) -> str:
    return urlencode(parameters, quote_via=quote, safe="")


def _matches(record: Record, match: Match) -> bool:
    return all(_one_of(value_at(record, name), values) for name, values in match.items())


def _one_of(value: Any, wanted: Sequence[str]) -> bool:
    held = value if isinstance(value, list) else [value]
    return any(item in wanted for item in held)


def _code(error: Record) -> str:
    code = error.get("code", "")
    return f"{code:.40}" if isinstance(code, str) else _shown(code)


def _json_object(response: Any) -> Record | None:
    """The body as an object; an empty body is an empty object, and None is what is no object at all, or nested too deeply."""
    try:
        parsed = json.loads(response.content) if response.content else {}
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, Mapping) else None
