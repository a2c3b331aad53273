# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shapes of XAPI's classes and messages (``shapes.json``, made by ``derive``), and whether a value has one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import DateTime

from tests.lab.xen.errors import Failure

NULL = "OpaqueRef:NULL"
EPOCH = "19700101T00:00:00Z"
_TABLE = json.loads((Path(__file__).parent / "shapes.json").read_text(encoding="utf-8"))
_MAP = re.compile(r"\((?P<key>.+?) -> (?P<value>.+)\) map")
CONSTRUCTOR = ("RW", "RO/constructor")
SESSION = "session_id"


class Stamp(str):
    """A moment in time, as XAPI writes it (``20261128T23:00:00Z``)."""

    __slots__ = ()


@dataclass(frozen=True)
class Field:
    """A field of a class."""

    type: str
    qualifier: str
    optional: bool
    """Whether a constructor may leave it out."""
    true: bool = False
    """Whether it is true then."""

    @property
    def default(self) -> Any:
        """Return the value that it has when nobody has set it."""
        return self.true or default(self.type)


@dataclass(frozen=True)
class Message:
    """A call."""

    result: str
    parameters: Sequence[tuple[str, str]]
    """Name and type."""
    left_out: int
    """How many parameters at the end need not be given."""
    removed: bool

    @property
    def with_session(self) -> bool:
        """Return whether the first parameter is a session."""
        return bool(self.parameters) and self.parameters[0][0] == SESSION


@dataclass(frozen=True)
class Class:
    """A class of objects."""

    fields: Mapping[str, Field]
    messages: Mapping[str, Message]


def _field(row: Sequence[str]) -> Field:
    return Field(row[0], row[1], "optional" in row[2:], "true" in row[3:])


def _message(row: Sequence[Any]) -> Message:
    parameters = [(name, kind) for kind, _space, name in (text.rpartition(" ") for text in row[1])]
    return Message(row[0], parameters, row[2], "removed" in row[3:])


CLASSES: Mapping[str, Class] = {
    name: Class(
        {field: _field(found) for field, found in row["fields"].items()},
        {message: _message(found) for message, found in row["messages"].items()},
    )
    for name, row in _TABLE["classes"].items()
}
ENUMS: Mapping[str, frozenset[str]] = {name: frozenset(values) for name, values in _TABLE["enums"].items()}


def mistyped(expected: str, value: object) -> Failure:
    """Return how XAPI's unmarshalling refuses a value."""
    return Failure("INTERNAL_ERROR", f'Failure("Unmarshalling error: expected {expected}, got {value!r}")')


def read(kind: str, value: Any) -> Any:
    """Return the value, as a caller wrote it, as this type; raises Failure when it is none."""
    if kind.startswith("enum ") and not kind.endswith(" set"):
        return _enum(kind.removeprefix("enum "), value)
    if kind.endswith(" set"):
        return _set(kind.removesuffix(" set"), value)
    if found := _MAP.fullmatch(kind):
        return _map(found["key"], found["value"], value)
    if kind.endswith(" record"):
        return _record(kind.removesuffix(" record"), value)
    return _SCALARS["string" if kind.endswith(" ref") else kind](value)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise mistyped("string", value)
    return value


def _int(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise mistyped("int64", value)
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise mistyped("bool", value)
    return value


def _float(value: Any) -> float:
    if not isinstance(value, float):
        raise mistyped("float", value)
    return value


def _datetime(value: Any) -> Stamp:
    text = value.value if isinstance(value, DateTime) else value
    if not isinstance(text, str):
        raise mistyped("datetime", value)
    return Stamp(text)


_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "string": _string,
    "int": _int,
    "bool": _bool,
    "float": _float,
    "datetime": _datetime,
}


def _enum(name: str, value: Any) -> str:
    text = _string(value)
    if text not in ENUMS[name]:
        raise mistyped(name, value)
    return text


def _set(kind: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise mistyped(f"set of {kind}", value)
    return [read(kind, item) for item in value]


def _map(key: str, kind: str, value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise mistyped("map", value)
    return {read(key, name): read(kind, item) for name, item in value.items()}


def _record(name: str, value: Any) -> dict[str, Any]:
    """Return what a constructor is given; keys that the class has but no constructor takes are ignored, as XAPI does."""
    if not isinstance(value, dict):
        raise Failure("INTERNAL_ERROR", 'Failure("bad __structure")')
    fields = CLASSES[name].fields
    if unknown := sorted(set(value) - set(fields)):
        raise Failure("INTERNAL_ERROR", f"the lab, stricter than XAPI: a {name} has no field {unknown[0]}")
    taken = {field: shape for field, shape in fields.items() if shape.qualifier in CONSTRUCTOR}
    for field, shape in taken.items():
        if field not in value and not shape.optional:
            raise Failure("INTERNAL_ERROR", f'Server_helpers.Dispatcher_FieldNotFound("{field}")')
    return {field: read(shape.type, value[field]) if field in value else shape.default for field, shape in taken.items()}


def default(kind: str) -> Any:
    """Return the value that a field of this type has when nobody has set it."""
    if kind.endswith(" set"):
        return []
    if kind.endswith(" map"):
        return {}
    if kind.endswith(" ref"):
        return NULL
    if kind.startswith("enum "):
        return min(ENUMS[kind.removeprefix("enum ")])
    return {"string": "", "int": 0, "bool": False, "float": 0.0, "datetime": Stamp(EPOCH)}.get(kind, "")


def arguments(call: str, message: Message, given: Sequence[Any]) -> dict[str, Any]:
    """Return the arguments of a call by name; raises Failure for a wrong number or type of them."""
    least = len(message.parameters) - message.left_out
    surplus = len(given) > len(message.parameters) and not message.left_out
    if len(given) < least or surplus:
        hidden = int(message.with_session)
        raise Failure("MESSAGE_PARAMETER_COUNT_MISMATCH", call, least - hidden, len(given) - hidden)
    pairs = zip(message.parameters, given)
    taken = {name: read(kind, value) for (name, kind), value in pairs}
    return {**{name: default(kind) for name, kind in message.parameters}, **taken}
