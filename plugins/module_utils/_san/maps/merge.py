# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several partial storage maps as one: what sites, job slices or workers wrote, in whatever order and however often it arrives.

The merge is idempotent, commutative and associative, because all that it goes by is the latest reading of each place and the latest of each
endpoint that says who it is. A place is a name in the inventory, a type and an address, because several endpoints may stand behind one
address. A reading counts that is the latest of its place and, where it tells whose it is, of that endpoint. Of those that do not count, the
merged map keeps the dates (`superseded`), because a map that comes later is compared with them too.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import (
    ENDPOINTS,
    MISSING,
    OK,
    PARTS,
    STALE,
    SUPERSEDED,
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
_Key = TypeVar("_Key", bound=Hashable)


class _Reading(NamedTuple):
    """That an endpoint was read, without what was seen there. The latest is the greatest."""

    observed: str
    identity: str
    """Who it is by its own word; empty where it does not tell."""
    name: str
    type: str
    address: str

    @property
    def place(self) -> Identity:
        return self.name, self.type, self.address

    @property
    def itself(self) -> tuple[str, ...]:
        """What it is known by: its own word, else its place."""
        return (self.type, self.identity) if self.identity else self.place

    @classmethod
    def of(cls, told: Row) -> _Reading:
        """That of an endpoint as a map tells it."""
        return cls(**{name: text(told, name) for name in cls._fields})


@dataclass(frozen=True)
class _Part:
    """What one map tells of one endpoint."""

    endpoint: Row
    rows: Mapping[str, Sequence[Row]]

    @property
    def is_missing(self) -> bool:
        return text(self.endpoint, "status") == MISSING

    @property
    def name(self) -> str:
        return text(self.endpoint, "name")

    @property
    def place(self) -> Identity:
        return _Reading.of(self.endpoint).place

    @property
    def order(self) -> tuple[Any, ...]:
        """By which one of several of the same reading, or of the same missing name, is always chosen."""
        return self.place, text(self.endpoint, "observed"), json.dumps([self.endpoint, self.rows], sort_keys=True, default=str)

    def as_told(self, also: Collection[str]) -> _Part:
        """With the other names under which the endpoint was asked."""
        if not also:
            return self
        names = sorted(also)
        warnings = [*self.endpoint.get("warnings", ()), _told_once(self.name, names)]
        return replace(self, endpoint={**self.endpoint, "also": names, "warnings": warnings})


class _Latest:
    """The latest readings of each place and of each endpoint; of the others nothing depends on anything."""

    def __init__(self, readings: Iterable[_Reading], seen: Collection[_Reading]) -> None:
        """`seen`: of which there is more than their date."""
        self._of: dict[tuple[str, ...], _Reading] = {}
        for reading in sorted(readings):
            self._of[reading.place] = self._of[reading.itself] = reading
        self.names = {reading.name for reading in self._of.values()}
        self.counting = {reading for reading in self._of.values() if reading in seen and self._is_latest(reading)}
        self.superseded = sorted({*self._of.values()} - self.counting)
        self._by_itself = {reading.itself: reading for reading in self.counting}
        self._here = {reading for reading in self._of.values() if self._of[reading.place] == reading}

    def also(self, counting: _Reading) -> set[str]:
        """The other names that lead to the same endpoint."""
        return {reading.name for reading in self._here if reading.itself == counting.itself} - {counting.name}

    @property
    def lost(self) -> list[tuple[_Reading, _Reading]]:
        """Where another map was taken for that of the endpoint, and does not count either; and which that was."""
        return [(reading, self._of[reading.itself]) for reading in sorted(self._here) if reading.itself not in self._by_itself]

    def _is_latest(self, reading: _Reading) -> bool:
        return self._of[reading.place] == reading == self._of[reading.itself]


def merged(documents: Iterable[Document], expected: Iterable[str] = (), max_age: float = 0, now: float | None = None) -> dict[str, Any]:
    """One map of all. Endpoints are in the order of their names.

    Those of the `expected` names of which there is nothing are `missing`; a map that was read more than `max_age` seconds before `now`
    (seconds since 1970) is `stale`, if `max_age` is above 0. Raises `InvalidInput` for two schemas that do not go together.
    """
    given = [_of_this_schema(document) for document in documents]
    parts = [part for document in given for part in _parts(document)]
    seen = _each_once((_Reading.of(part.endpoint), part) for part in parts if not part.is_missing)
    earlier = (_Reading.of(reading) for document in given for reading in rows_of(document, SUPERSEDED))
    latest = _Latest([*seen, *earlier], seen)
    missing = _each_once((part.name, part) for part in parts if part.is_missing and part.name not in latest.names)
    nowhere = {name: _Part(_missing(name), {}) for name in expected if name not in latest.names and name not in missing}
    told = [seen[reading].as_told(latest.also(reading)) for reading in latest.counting]
    told += [_Part(_left_out(reading, taken), {}) for reading, taken in latest.lost]
    told += [part.as_told(()) for part in (*missing.values(), *nowhere.values())]
    told.sort(key=lambda part: part.place)
    superseded = {SUPERSEDED: [reading._asdict() for reading in latest.superseded]} if latest.superseded else {}
    return {
        "schema": SCHEMA,
        "generated": max((text(document, "generated") for document in given), default=""),
        ENDPOINTS: [_judged(part.endpoint, max_age, now) for part in told],
        **{name: [row for part in told for row in part.rows.get(name, ())] for name in PARTS},
        **superseded,
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


def _parts(document: Document) -> list[_Part]:
    rows: dict[tuple[Identity, str], list[Row]] = defaultdict(list)
    for name in PARTS:
        for row in rows_of(document, name):
            rows[identity_of(row), name].append(row)
    return [_Part(_own(endpoint), {name: rows[_Reading.of(endpoint).place, name] for name in PARTS}) for endpoint in endpoints_of(document)]


def _own(endpoint: Row) -> Row:
    """What was told of an endpoint before maps were joined."""
    own = {"identity": "", **endpoint}
    also = own.pop("also", ())
    own["warnings"] = [sentence for sentence in endpoint.get("warnings", ()) if sentence != _told_once(text(endpoint, "name"), also)]
    return own


def _each_once(parts: Iterable[tuple[_Key, _Part]]) -> dict[_Key, _Part]:
    found: dict[_Key, _Part] = {}
    for key, part in parts:
        found[key] = max(part, found[key], key=lambda one: one.order) if key in found else part
    return found


def _left_out(reading: _Reading, taken: _Reading) -> Row:
    reason = (
        f"its map was left out, because it is the endpoint that was read as {taken.name} at {taken.observed or 'an unknown time'}, "
        f"and {taken.name} is another one by now; read it again"
    )
    return {**_missing(reading.name), "type": reading.type, "address": reading.address, "reason": reason, "identity": reading.identity}


def _missing(name: str) -> Row:
    return {"name": name, "type": "", "address": "", "observed": "", "status": MISSING, "reason": _NOT_TOLD, "warnings": [], "identity": ""}


def _judged(endpoint: Row, max_age: float, now: float | None) -> dict[str, Any]:
    observed = seconds(text(endpoint, "observed"))
    if text(endpoint, "status") == MISSING or max_age <= 0 or now is None:
        return dict(endpoint)
    old = observed is None or now - observed > max_age
    return {**endpoint, "status": STALE if old else OK}
