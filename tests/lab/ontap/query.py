# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ONTAP's query language: filters, fields, order and pages of a collection; and bodies by dotted paths.

Source: "Queries" and "Requesting specific fields" in the REST API reference. Not modelled: filters that cut nested arrays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.lab.ontap.errors import Code, OntapError
from tests.lab.ontap.names import size_in_bytes
from tests.lab.ontap.releases import Release, Since

Record = dict[str, Any]
Query = Mapping[str, str]

GENERIC = frozenset({"fields", "max_records", "order_by", "return_records", "return_timeout", "ignore_unknown_fields"})
START = "start."
LINKS = "_links"

_COMPARISON = re.compile(r"(<=|>=|<|>)(.+)")
_RANGE = re.compile(r"(.+?)\.\.(.+)")


@dataclass(frozen=True)
class Shape:
    """What a resource's records may hold."""

    key: tuple[str, ...]
    """The fields that tell one record from another; always returned."""
    fields: tuple[str, ...]
    """Every field that may be asked for or filtered by, as dotted paths of leaves."""
    defaults: tuple[str, ...] = ("name",)
    """Returned from a collection, beside the key, whatever fields are asked for."""
    expensive: tuple[str, ...] = ()
    """Returned only when asked for by name; a path stands for everything below it."""
    case_insensitive: frozenset[str] = field(default=frozenset())
    parameters: frozenset[str] = field(default=frozenset())
    """Further query parameters of the resource's operations."""
    since: Since = ()
    """The releases that brought fields; a path stands for everything below it."""
    lacking: tuple[str, ...] = ()
    """What the release that is played does not have yet."""

    def of(self, release: Release) -> Shape:
        """Return the resource as this release has it."""
        lacking = tuple(path for path, first in self.since if release < first)
        known = tuple(path for path in self.fields if not any(_covers(newer, path) for newer in lacking))
        return replace(self, fields=known, lacking=lacking)

    def knows(self, path: str) -> bool:
        """Return whether the path is a field or the parent of one."""
        return any(_covers(path, known) for known in self.fields)

    def is_expensive(self, path: str) -> bool:
        """Return whether the leaf is left out unless asked for."""
        return any(_covers(expensive, path) for expensive in self.expensive)


def _covers(parent: str, path: str) -> bool:
    return path == parent or path.startswith(f"{parent}.")


def parse_query(text: str) -> dict[str, str]:
    """Return the parameters of a URL's query; raises OntapError when one is given twice."""
    pairs = parse_qsl(text, keep_blank_values=True)
    names = [name for name, _value in pairs]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise OntapError(262188, f'Field "{repeated}" was specified twice', repeated)
    return dict(pairs)


def flatten(body: Any) -> dict[str, Any]:
    """Return a body's values by dotted paths, whether it nests objects or dots its keys; lists stay whole."""
    if not isinstance(body, Mapping):
        raise OntapError(Code.INVALID_JSON, "Invalid JSON input, an object was expected.")
    return dict(_leaves(body, ""))


def _leaves(body: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in body.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and "records" not in value and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def check_body(values: Mapping[str, Any], settable: Iterable[str], shape: Shape) -> None:
    """Raise OntapError for a value that the resource does not have, or that this operation cannot set."""
    for path in values:
        if path in settable:
            continue
        if shape.knows(path):
            raise OntapError(Code.FIELD_NOT_SETTABLE, f'Field "{path}" cannot be set in this operation', path)
        raise OntapError(Code.UNEXPECTED_ARGUMENT, f'Unexpected argument "{path}".', path)


def check_parameters(query: Query, allowed: Iterable[str]) -> None:
    """Raise OntapError for a query parameter that the operation does not have."""
    for name in query:
        if name not in allowed:
            raise OntapError(Code.UNEXPECTED_ARGUMENT, f'Unexpected argument "{name}".', name)


def values_at(record: Any, path: str) -> list[Any]:
    """Return every value at the dotted path, through arrays."""
    if isinstance(record, list):
        return [value for item in record for value in values_at(item, path)]
    if not path:
        return [record]
    if not isinstance(record, Mapping):
        return []
    head, _between, tail = path.partition(".")
    return values_at(record[head], tail) if head in record else []


class Filter:
    """A filter such as ``a|b*``, ``!null``, ``>=10`` or ``1..5``: read once, held against any number of records."""

    def __init__(self, expression: str, *, ignore_case: bool = False) -> None:
        bare = expression.lstrip("!")
        self._negated = (len(expression) - len(bare)) % 2 == 1
        alternatives = bare.split("|")
        self._takes_nothing = "null" in alternatives
        self._alternatives = [alternative for alternative in alternatives if alternative != "null"]
        self._words = {word.lower() for word in self._alternatives}
        self._literal = frozenset() if ignore_case else frozenset(word for word in self._alternatives if "*" not in word)
        patterns = [_pattern(word) for word in self._alternatives if word not in self._literal]
        self._pattern = re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL if ignore_case else re.DOTALL) if patterns else None
        self._number_test = cache(_number_test)

    def passes(self, values: Sequence[Any]) -> bool:
        """Return whether the values of a field satisfy it. Raises OntapError where a number is compared with what is none."""
        found = any(map(self._takes, values)) if values else self._takes_nothing
        return found != self._negated

    def _takes(self, value: Any) -> bool:
        if isinstance(value, bool):
            return str(value).lower() in self._words
        if isinstance(value, int):
            return any(self._number_test(alternative)(value) for alternative in self._alternatives)
        text = str(value)
        return text in self._literal or bool(self._pattern and self._pattern.fullmatch(text))


def _pattern(word: str) -> str:
    return f"(?:{'.*'.join(re.escape(part) for part in word.split('*'))})"


def _number_test(expression: str) -> Callable[[Any], bool]:
    if expression == "*":
        return lambda value: True
    if span := _RANGE.fullmatch(expression):
        low, high = _number(span[1]), _number(span[2])
        return lambda value: low <= value <= high
    if comparison := _COMPARISON.fullmatch(expression):
        bound = _number(comparison[2])
        tests: dict[str, Callable[[Any], bool]] = {
            "<": lambda value: value < bound,
            "<=": lambda value: value <= bound,
            ">": lambda value: value > bound,
            ">=": lambda value: value >= bound,
        }
        return tests[comparison[1]]
    wanted = _number(expression)
    return lambda value: bool(value == wanted)


def _number(text: str) -> int:
    try:
        return size_in_bytes(text)
    except OntapError as error:
        raise OntapError(Code.INVALID_VALUE, f'The value "{text}" is not a number.') from error


def collection(records: Sequence[Record], query: Query, shape: Shape, path: str) -> Record:
    """Return the answer to a GET of a collection at ``path``: filtered, ordered, cut to fields and to one page."""
    filters = {name: value for name, value in query.items() if name not in GENERIC | shape.parameters and not name.startswith(START)}
    for name in filters:
        if not shape.knows(name):
            raise OntapError(Code.UNEXPECTED_ARGUMENT, f'Unexpected argument "{name}".', name)
    tests = {name: Filter(expression, ignore_case=name in shape.case_insensitive) for name, expression in filters.items()}
    chosen = [record for record in records if all(test.passes(values_at(record, name)) for name, test in tests.items())]
    ordered = _ordered(chosen, query.get("order_by", ""), shape)
    page, following = _page(ordered, query, shape)
    wanted = {*shape.defaults, *filters, *_asked(query, shape)}
    links: Record = {"self": {"href": f"{path}?{urlencode(query)}" if query else path}}
    if following is not None:
        links["next"] = {"href": _next_href(path, query, following, shape)}
    answer: Record = {"num_records": len(page), LINKS: links}
    if query.get("return_records", "true").lower() == "false":
        return answer
    return {"records": [project(record, wanted | set(shape.key), shape) for record in page], **answer}


def instance(record: Record, query: Query, shape: Shape) -> Record:
    """Return the answer to a GET of one record: everything that is not expensive unless fields are asked for."""
    check_parameters(query, GENERIC | shape.parameters)
    asked = _asked(query, shape)
    return project(record, (asked or {"*"}) | set(shape.key), shape)


def _asked(query: Query, shape: Shape) -> set[str]:
    names = {name.strip() for name in query.get("fields", "").split(",")} - {""}
    for name in names - {"*", "**"}:
        if not shape.knows(name.removesuffix(".*")) and not name.startswith("!"):
            raise OntapError(Code.INVALID_VALUE, f'The value "{name}" is invalid for field "fields" (<field,...>)', "fields")
    return {name.removesuffix(".*") for name in names}


def project(record: Record, wanted: set[str], shape: Shape) -> Record:
    """Return the record cut down to the wanted paths; ``*`` is all but the expensive ones, ``**`` is all, ``!path`` takes one out."""
    excluded = {name[1:] for name in wanted if name.startswith("!")}

    def keep(path: str) -> bool:
        if any(_covers(name, path) for name in (*excluded, *shape.lacking)):
            return False
        if "**" in wanted or any(_covers(name, path) for name in wanted):
            return True
        return "*" in wanted and not shape.is_expensive(path)

    return _cut(record, "", keep) or {}


def _cut(value: Any, path: str, keep: Callable[[str], bool]) -> Any:
    if isinstance(value, Mapping):
        children = {key: _cut(child, f"{path}.{key}" if path else key, keep) for key, child in value.items()}
        return {key: child for key, child in children.items() if child is not None} or None
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return [item for item in (_cut(item, path, keep) for item in value) if item is not None] or None
    return value if keep(path) else None


def _ordered(records: list[Record], order: str, shape: Shape) -> list[Record]:
    for term in reversed([term.split() for term in order.split(",") if term.strip()]):
        name, direction = term[0], (term[1:] or ["asc"])[0]
        if not shape.knows(name) or direction not in {"asc", "desc"}:
            raise OntapError(Code.INVALID_VALUE, f'The value "{" ".join(term)}" is invalid for field "order_by"', "order_by")
        records = sorted(records, key=lambda record: [str(v) if isinstance(v, str) else f"{v:020}" for v in values_at(record, name)])
        records = records[::-1] if direction == "desc" else records
    return records


def _page(records: list[Record], query: Query, shape: Shape) -> tuple[list[Record], Record | None]:
    start = {name.removeprefix(START): value for name, value in query.items() if name.startswith(START)}
    if start:
        positions = [n for n, record in enumerate(records) if all(values_at(record, name) == [value] for name, value in start.items())]
        if not positions:
            raise OntapError(Code.NO_ENTRY, "entry doesn't exist", "start")
        records = records[positions[0] :]
    limit = _limit(query)
    return records[:limit], records[limit] if limit is not None and limit < len(records) else None


def _limit(query: Query) -> int | None:
    text = query.get("max_records")
    if text is None:
        return None
    if not text.isdigit() or int(text) < 1:
        raise OntapError(Code.INVALID_VALUE, f'The value "{text}" is invalid for field "max_records" (<integer>)', "max_records")
    return int(text)


def _next_href(path: str, query: Query, following: Record, shape: Shape) -> str:
    start = {f"{START}{name}": values_at(following, name)[0] for name in shape.key}
    rest = {name: value for name, value in query.items() if not name.startswith(START)}
    return f"{path}?{urlencode({**start, **rest})}"
