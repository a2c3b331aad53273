# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of CIM: instances, object paths, and what a namespace gives or refuses."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from tests.lab.hyperv.mof import CimClass

KeyValue = Union[str, int, bool]
_PATH = re.compile(
    r"(?:\\\\(?P<server>[^\\/]+)[\\/])?(?:(?P<namespace>[^:\"'=]+):)?(?P<name>\w+)(?:\.(?P<keys>.+)|(?P<singleton>=@))?\Z", re.DOTALL
)
_KEY = re.compile(
    r"\s*(?P<name>\w+)\s*=\s*(?:\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<word>\w+))\s*(?:,|\Z)", re.DOTALL
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class BadPath(ValueError):
    """A text that is no object path."""


@dataclass(frozen=True)
class ObjectPath:
    """An instance by its class and keys; namespaces are written with slashes."""

    class_name: str
    keys: tuple[tuple[str, KeyValue], ...]
    namespace: str = ""
    server: str = ""

    @staticmethod
    def of(class_name: str, **keys: KeyValue) -> ObjectPath:
        """Return the path with these keys."""
        return ObjectPath(class_name, tuple(sorted(keys.items())))

    @staticmethod
    def parse(text: str) -> ObjectPath:
        """Read ``\\\\HOST\\root\\x:Class.Key="value"``; host and namespace may be missing. Raises BadPath."""
        match = _PATH.match(text.strip())
        if not match:
            raise BadPath(text)
        namespace = (match["namespace"] or "").replace("\\", "/").strip("/")
        return ObjectPath(match["name"], _keys(match["keys"] or ""), namespace, match["server"] or "")

    @property
    def identity(self) -> tuple[tuple[str, str], ...]:
        """What two paths to one instance have in common, whatever case they are written in: the keys."""
        return tuple(sorted((name.lower(), _folded(value)) for name, value in self.keys))

    def __str__(self) -> str:
        place = f"\\\\{self.server}\\" if self.server else ""
        namespace = self.namespace.replace("/", "\\") + ":" if self.namespace else ""
        keys = ",".join(f"{name}={_quoted(value)}" for name, value in self.keys)
        return f"{place}{namespace}{self.class_name}" + (f".{keys}" if keys else "=@")


@dataclass(frozen=True, eq=False)
class Instance:
    """An instance; properties without a value are None."""

    cim_class: CimClass
    values: Mapping[str, Value]
    server: str = ""
    """The computer that has it."""

    def __post_init__(self) -> None:
        if unknown := set(self.values) - set(self.cim_class.properties):
            raise KeyError(f"{self.cim_class.name} has no {sorted(unknown)}")

    def get(self, name: str) -> Value:
        """Return the value of the property, whose name may be in any case; raises KeyError when the class has none."""
        return self.values.get(self.cim_class.folded[name.lower()])

    @property
    def path(self) -> ObjectPath:
        """Where it is, relative to its namespace."""
        return ObjectPath(self.cim_class.name, tuple((key, _key_value(self.values.get(key))) for key in self.cim_class.keys))


Scalar = Union[bool, int, float, str, datetime.datetime, ObjectPath, Instance]
Value = Union[Scalar, Sequence[Scalar], None]
Row = Mapping[str, Value]


def _keys(text: str) -> tuple[tuple[str, KeyValue], ...]:
    found, position = [], 0
    while position < len(text):
        match = _KEY.match(text, position)
        if not match:
            raise BadPath(text)
        found.append((match["name"], _literal(match)))
        position = match.end()
    return tuple(sorted(found))


def _literal(match: re.Match[str]) -> KeyValue:
    quoted = match["double"] if match["double"] is not None else match["single"]
    if quoted is not None:
        return _ESCAPE.sub(r"\1", quoted)
    word: str = match["word"]
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    return int(word) if word.isdigit() else word


def _quoted(value: KeyValue) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value).upper() if isinstance(value, bool) else str(value)


def _folded(value: KeyValue) -> str:
    return str(value).lower()


def _key_value(value: Value) -> KeyValue:
    if isinstance(value, (str, int)):
        return value
    return str(value)
