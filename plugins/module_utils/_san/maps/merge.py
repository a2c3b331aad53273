# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several partial storage maps as one: what sites, job slices or workers wrote, in whatever order and however often it arrives.

The merge is a set union by endpoint, in which the newest map of an endpoint counts: it is idempotent, commutative and associative. An
endpoint is known by its name in the inventory, its type and its address, because several may stand behind one address. One that says of
itself who it is counts once under however many names it was asked, and keeps these as `also`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import (
    ENDPOINTS,
    MISSING,
    OK,
    PARTS,
    STALE,
    Document,
    Identity,
    Row,
    endpoints_of,
    identity_of,
    moment,
    rows_of,
    seconds,
    text,
)

SCHEMA = 1
_NOT_TOLD = "no map of it was given"


@dataclass(frozen=True)
class _Part:
    """What one map tells of one endpoint."""

    endpoint: Row
    rows: Mapping[str, Sequence[Row]]
    also: frozenset[str] = frozenset()
    """The other names under which it was asked."""

    @property
    def name(self) -> str:
        return text(self.endpoint, "name")

    @property
    def itself(self) -> tuple[str, str]:
        """Who it is by its own word; its place in the map where it does not tell."""
        return text(self.endpoint, "type"), text(self.endpoint, "identity") if self.rank[0] else ""

    @property
    def told(self) -> Row:
        """The endpoint as the map tells it."""
        endpoint = {"identity": "", **self.endpoint}
        if not self.also:
            return endpoint
        also = sorted(self.also)
        return {**endpoint, "also": also, "warnings": [*self.endpoint.get("warnings", ()), _told_once(self.name, also)]}

    def or_better(self, other: _Part) -> _Part:
        """The better of the two, under the names of both."""
        best, worse = (self, other) if self.goes_before(other) else (other, self)
        known = [text(part.endpoint, "identity") for part in (best, worse)]
        if all(known) and known[0] != known[1]:
            return best
        also = (best.also | worse.also | {worse.name}) - {best.name}
        return replace(best, endpoint={**best.endpoint, "identity": known[0] or known[1]} if any(known) else best.endpoint, also=also)

    @property
    def rank(self) -> tuple[bool, str]:
        """By which the best of several is chosen: one that is there, the newest."""
        return text(self.endpoint, "status") != MISSING, text(self.endpoint, "observed")

    @property
    def _canonical(self) -> str:
        """By what is told first; who it says that it is decides where all else is the same."""
        told = {column: value for column, value in self.endpoint.items() if column != "identity"}
        return json.dumps([told, self.rows, text(self.endpoint, "identity")], sort_keys=True, default=str)

    def goes_before(self, other: _Part) -> bool:
        """Whether this is the better one; of two that are as good, it is always the same."""
        if self.rank != other.rank:
            return self.rank > other.rank
        return self._canonical > other._canonical


def merged(documents: Iterable[Document], expected: Iterable[str] = (), max_age: float = 0, now: float | None = None) -> dict[str, Any]:
    """One map of all. Endpoints are in the order of their names.

    Those of the `expected` names of which there is nothing are `missing`; a map that was read more than `max_age` seconds before `now`
    (seconds since 1970) is `stale`, if `max_age` is above 0. Raises `InvalidInput` for two schemas that do not go together.
    """
    given = list(documents)
    parts = _best(part for document in given for part in _parts(_of_this_schema(document)))
    there = {name for part in parts.values() for name in (part.name, *part.also)}
    for name in expected:
        if name not in there:
            parts[(name, "", "")] = _Part(_missing(name), {})
    ordered = [parts[identity] for identity in sorted(parts)]
    return {
        "schema": SCHEMA,
        "generated": max((text(document, "generated") for document in given), default=""),
        ENDPOINTS: [_judged(part.told, max_age, now) for part in ordered],
        **{name: [row for part in ordered for row in part.rows.get(name, ())] for name in PARTS},
    }


def of_results(results: Mapping[str, Row], now: float) -> dict[str, Any]:
    """One map of what the module `vm_storage_map` returned for each endpoint, by name; where it failed, the endpoint is missing."""
    return merged([_of_result(name, result, now) for name, result in results.items()])


def _of_result(name: str, result: Row, now: float) -> Document:
    if not any(part in result for part in PARTS):
        reason = " ".join(text(result, "msg").split()).rstrip(".") or _NOT_TOLD
        return {"generated": moment(now), ENDPOINTS: [{**_missing(name), "reason": reason}]}
    rows = {part: rows_of(result, part) for part in PARTS}
    first: Row = next((row for part in PARTS for row in rows[part]), {})
    told: dict[str, Any] = {
        "name": name,
        "type": text(first, "hypervisor_type"),
        "address": text(first, "hypervisor"),
        "observed": text(first, "observed") or moment(now),
        "warnings": list(result.get("warnings", ())),
        **(result.get("endpoint") or {}),
    }
    return {"generated": moment(now), ENDPOINTS: [{**told, "status": OK, "reason": ""}], **rows}


def incomplete(document: Document) -> list[str]:
    """The endpoints of which there is no map, or only an old one, in one sentence each."""
    sentences = {
        MISSING: "Endpoint {name} is missing: {reason}.",
        STALE: "Endpoint {name} is stale: it was read at {observed}{because}.",
    }
    return [
        sentences[text(endpoint, "status")].format(
            name=text(endpoint, "name"),
            observed=text(endpoint, "observed"),
            reason=text(endpoint, "reason") or _NOT_TOLD,
            because=f", and {text(endpoint, 'reason')}" if text(endpoint, "reason") else "",
        )
        for endpoint in endpoints_of(document)
        if text(endpoint, "status") in sentences
    ]


def asked_twice(document: Document) -> list[str]:
    """The endpoints that were asked under several names, in one sentence each."""
    return [_told_once(text(endpoint, "name"), endpoint["also"]) for endpoint in endpoints_of(document) if endpoint.get("also")]


def _told_once(name: str, also: Sequence[str]) -> str:
    return f"Endpoint {name} was asked as {', '.join(also)} too, and is told once, as it was read last: name it once in the inventory."


def _of_this_schema(document: Document) -> Document:
    if document.get("schema", SCHEMA) != SCHEMA:
        raise InvalidInput(
            f"A storage map has schema {document['schema']!s:.20}, and this collection reads {SCHEMA}: use one version of it everywhere."
        )
    return document


def _parts(document: Document) -> list[tuple[Identity, _Part]]:
    rows: dict[tuple[Identity, str], list[Row]] = defaultdict(list)
    for name in PARTS:
        for row in rows_of(document, name):
            rows[identity_of(row), name].append(row)
    return [
        (identity, _part(endpoint, {name: rows[identity, name] for name in PARTS}))
        for endpoint in endpoints_of(document)
        for identity in [_place(endpoint)]
    ]


def _part(endpoint: Row, rows: Mapping[str, Sequence[Row]]) -> _Part:
    """What a map tells of an endpoint, which may be a merged one."""
    also = [str(name) for name in endpoint.get("also", ())]
    if not also:
        return _Part(endpoint, rows)
    own = {column: value for column, value in endpoint.items() if column != "also"}
    own["warnings"] = [sentence for sentence in endpoint.get("warnings", ()) if sentence != _told_once(text(endpoint, "name"), also)]
    return _Part(own, rows, frozenset(also))


def _best(parts: Iterable[tuple[Identity, _Part]]) -> dict[Identity, _Part]:
    """The best of each endpoint. One that is missing may have only its name, and is not missing where another map has it."""
    found: dict[Identity, _Part] = {}
    for identity, part in parts:
        found[identity] = part.or_better(found[identity]) if identity in found else part
    found = _each_once(found)
    there = {name for part in found.values() if part.rank[0] for name in (part.name, *part.also)}
    return {identity: part for identity, part in found.items() if part.rank[0] or (identity[0] not in there and _fullest(identity, found))}


def _each_once(parts: Mapping[Identity, _Part]) -> dict[Identity, _Part]:
    """Of those that are one and the same by their own word, the best."""
    found: dict[tuple[str, ...], _Part] = {}
    for identity, part in parts.items():
        key = part.itself if part.itself[1] else identity
        found[key] = part.or_better(found[key]) if key in found else part
    return {_place(part.endpoint): part for part in found.values()}


def _place(endpoint: Row) -> Identity:
    return text(endpoint, "name"), text(endpoint, "type"), text(endpoint, "address")


def _fullest(identity: Identity, found: Mapping[Identity, _Part]) -> bool:
    """Whether no other missing endpoint of that name tells more of where it is."""
    return identity == max(other for other in found if other[0] == identity[0])


def _missing(name: str) -> Row:
    return {"name": name, "type": "", "address": "", "observed": "", "status": MISSING, "reason": _NOT_TOLD, "warnings": []}


def _judged(endpoint: Row, max_age: float, now: float | None) -> dict[str, Any]:
    observed = seconds(text(endpoint, "observed"))
    if text(endpoint, "status") == MISSING or max_age <= 0 or now is None:
        return dict(endpoint)
    old = observed is None or now - observed > max_age
    return {**endpoint, "status": STALE if old else OK}
