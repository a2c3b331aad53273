# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CIM classes, instances and values, as Python holds them.

Neither WS-Management nor the text of an embedded instance says everything about a value's type, so that whoever asks declares it: see
`CimClass`. Types are those of DSP0004: `uint8` … `sint64`, `real32`, `real64`, `boolean`, `string`, `char16`, `datetime`, `reference`, and
`object` for an instance inside another; `[]` after one makes it an array.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, Union, cast

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_datetime import Moment, format_datetime, parse_datetime
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import Key, ObjectPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Reference, resource_uri

Scalar = Union[str, int, float, bool, Moment, Reference, "CimInstance", None]
CimValue = Union[Scalar, tuple[Any, ...]]
"""One value, None for null, or the items of an array."""
Types = Mapping[str, str]
"""Name of a property → its type. That of a property of an `object` is declared under both names, as `Attributes.PortWWN`."""

_Kind = TypeVar("_Kind")
_WIDTHS = {f"{sign}{bits}": (sign, bits) for sign in ("uint", "sint") for bits in (8, 16, 32, 64)}
_REALS = frozenset({"real32", "real64"})
_TEXTS = frozenset({"string", "char16"})
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class CimInstance:
    """Properties of one instance. One that is null is None; one that was neither declared nor sent is absent."""

    class_name: str
    """The instance's own class, which may be a subclass of the one asked for; of a projection, the one asked for."""
    properties: Mapping[str, CimValue] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """The text of a property; null or missing is the default."""
        value = self._one(name, str)
        return default if value is None else value

    def integer(self, name: str) -> int | None:
        """The number in a property, or None."""
        return self._one(name, int)

    def flag(self, name: str) -> bool:
        """The boolean in a property; null or missing is false."""
        return bool(self._one(name, bool))

    def moment(self, name: str) -> datetime | None:
        """The point in time in a property, or None."""
        return self._one(name, datetime)

    def interval(self, name: str) -> timedelta | None:
        """The span of time in a property, or None."""
        return self._one(name, timedelta)

    def reference(self, name: str) -> Reference | None:
        """The endpoint reference in a property, or None."""
        return self._one(name, Reference)

    def instance(self, name: str) -> CimInstance | None:
        """The instance inside a property, or None."""
        return self._one(name, CimInstance)

    def texts(self, name: str) -> tuple[str, ...]:
        """The items of an array of text; null or missing is empty."""
        return self._many(name, str)

    def integers(self, name: str) -> tuple[int, ...]:
        """The items of an array of numbers; null or missing is empty."""
        return self._many(name, int)

    def instances(self, name: str) -> tuple[CimInstance, ...]:
        """The items of an array of instances; null or missing is empty."""
        return self._many(name, CimInstance)

    def _one(self, name: str, kind: type[_Kind]) -> _Kind | None:
        value = self.properties.get(name)
        if value is None:
            return None
        self._check(name, kind, value)
        return cast(_Kind, value)

    def _many(self, name: str, kind: type[_Kind]) -> tuple[_Kind, ...]:
        value = self.properties.get(name)
        if value is None:
            return ()
        items = value if isinstance(value, tuple) else (value,)
        for item in items:
            self._check(name, kind, item)
        return cast("tuple[_Kind, ...]", items)

    def _check(self, name: str, kind: type[Any], value: object) -> None:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{self.class_name}.{name} holds {value!r}, which is no {kind.__name__}: declare its type")


@dataclass(frozen=True)
class CimClass:
    """What this collection knows of a WMI class: where it lives, its keys, and the types of the properties that are read or written."""

    namespace: str
    """With forward slashes, such as `root/virtualization/v2`."""
    name: str
    keys: tuple[str, ...] = ()
    """Names of the key properties, in the order in which paths are written; none for a class with one instance."""
    types: Types = field(default_factory=dict)
    """Properties that are not declared are read as text."""

    @property
    def uri(self) -> str:
        """The resource URI."""
        return resource_uri(self.namespace, self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        """The declared properties, as a projection for `wql.select`."""
        return tuple(name for name in self.types if "." not in name)

    def path(self, keys: CimInstance | Mapping[str, Key], host: str = ".") -> ObjectPath:
        """The path of an instance, by itself or by its keys. Raises `KeyError` when a key is missing."""
        values = keys.properties if isinstance(keys, CimInstance) else keys
        name = keys.class_name if isinstance(keys, CimInstance) else self.name
        return ObjectPath(name, {key: cast(Key, values[key]) for key in self.keys}, self.namespace, host)

    def reference(self, keys: CimInstance | Mapping[str, Key]) -> Reference:
        """The endpoint reference to an instance, by itself or by its keys. Raises `KeyError` when a key is missing."""
        return self.path(keys).reference()


def parse_scalar(kind: str, text: str) -> str | int | float | bool | Moment:
    """The value of a type that is written as plain text. Raises `ValueError`."""
    if kind in _TEXTS:
        return text
    if kind == "boolean":
        return _boolean(text)
    if kind == "datetime":
        return parse_datetime(text)
    if kind in _REALS:
        return float(text)
    return _integer(kind, text)


def format_scalar(kind: str, value: object) -> str:
    """The plain text of a value of this type, as CIM-XML (DSP0201) writes it. Raises `ValueError` for a value that the type cannot hold."""
    if kind in _TEXTS and isinstance(value, str):
        return value
    if kind == "boolean" and isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if kind == "datetime" and isinstance(value, (datetime, timedelta)):
        return format_datetime(value)
    if kind in _REALS and isinstance(value, (int, float)):
        return repr(float(value))
    if kind in _WIDTHS and isinstance(value, int) and not isinstance(value, bool):
        return str(_in_range(kind, value))
    raise ValueError(f"{value!r} is no {kind}")


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise ValueError(f"'{text}' is no boolean") from None


def _integer(kind: str, text: str) -> int:
    if kind not in _WIDTHS:
        raise ValueError(f"'{text}' has the type '{kind}', which is none of CIM's scalar types")
    stripped = text.strip()
    number = int(stripped, 16) if stripped.lower().startswith("0x") else int(stripped)
    return _in_range(kind, number)


def _in_range(kind: str, number: int) -> int:
    sign, bits = _WIDTHS[kind]
    lowest, limit = (0, 2**bits) if sign == "uint" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if not lowest <= number < limit:
        raise ValueError(f"{number} is no {kind}")
    return number
