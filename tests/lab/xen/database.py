# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""XAPI's database: records of the classes of ``shapes``, by opaque reference."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.xen.errors import Failure
from tests.lab.xen.shapes import CLASSES, NULL, default

Record = dict[str, Any]

LINKS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("VBD", "VM"): ("VM", "VBDs"),
    ("VBD", "VDI"): ("VDI", "VBDs"),
    ("VDI", "SR"): ("SR", "VDIs"),
    ("VDI", "snapshot_of"): ("VDI", "snapshots"),
    ("PBD", "SR"): ("SR", "PBDs"),
    ("PBD", "host"): ("host", "PBDs"),
    ("PIF", "host"): ("host", "PIFs"),
    ("PIF", "network"): ("network", "PIFs"),
    ("VM", "resident_on"): ("host", "resident_VMs"),
    ("VM", "snapshot_of"): ("VM", "snapshots"),
    ("console", "VM"): ("VM", "consoles"),
}
"""References, and where the object that they lead to lists who refers to it."""


@dataclass(frozen=True)
class Change:
    """What happened to an object, for ``event.from``."""

    number: int
    kind: str
    ref: str
    operation: str


class Database:
    """Every object of the pool."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Record]] = {name: {} for name in CLASSES}
        self._backwards: dict[tuple[str, str, str], dict[str, None]] = {}
        self._noted = 0
        self.changes: list[Change] = []

    @property
    def last(self) -> int:
        """Return the number of the last change."""
        return self.changes[-1].number if self.changes else 0

    def create(self, kind: str, **values: Any) -> str:
        """Add an object and return its reference; fields that are not given have their defaults."""
        fields = CLASSES[kind].fields
        if unknown := set(values) - set(fields):
            raise TypeError(f"a {kind} has no {sorted(unknown)}")
        record = {name: type(value)(value) for name, value in _EMPTY[kind].items()} | values
        if "uuid" in fields and not record["uuid"]:
            record["uuid"] = str(uuid.uuid4())
        ref = f"OpaqueRef:{uuid.uuid4()}"
        self._tables[kind][ref] = record
        for field in _LINKED[kind]:
            self._link(kind, ref, field, record[field])
        self._note(kind, ref, "add")
        return ref

    def destroy(self, kind: str, ref: str) -> None:
        """Forget an object."""
        record = self.row(kind, ref)
        for field in _LINKED[kind]:
            self._unlink(kind, ref, field, record[field])
        del self._tables[kind][ref]
        self._note(kind, ref, "del")

    def row(self, kind: str, ref: str) -> Record:
        """Return the stored fields of an object; raises Failure when there is none."""
        try:
            return self._tables[kind][ref]
        except KeyError:
            raise Failure("HANDLE_INVALID", kind, ref) from None

    def has(self, kind: str, ref: str) -> bool:
        """Return whether there is such an object."""
        return ref in self._tables[kind]

    def get(self, kind: str, ref: str, field: str) -> Any:
        """Return a field."""
        if (kind, field) in _LISTED:
            return self.users(kind, ref, field)
        return self.row(kind, ref)[field]

    def record(self, kind: str, ref: str) -> Record:
        """Return all fields of an object."""
        row = self.row(kind, ref)
        return {**row, **{field: self.users(kind, ref, field) for field in _LISTS[kind]}}

    def set(self, kind: str, ref: str, **values: Any) -> None:
        """Change fields."""
        row = self.row(kind, ref)
        for field, value in values.items():
            self._unlink(kind, ref, field, row[field])
            row[field] = value
            self._link(kind, ref, field, value)
        self._note(kind, ref, "mod")

    def users(self, kind: str, ref: str, field: str) -> list[str]:
        """Return who refers to the object, in the order in which they came."""
        return list(self._backwards.get((kind, ref, field), ()))

    def refs(self, kind: str) -> list[str]:
        """Return every object of a class."""
        return list(self._tables[kind])

    def rows(self, kind: str) -> Iterator[tuple[str, Record]]:
        """Return references and stored fields of every object of a class."""
        yield from list(self._tables[kind].items())

    def find(self, kind: str, **values: Any) -> list[str]:
        """Return the objects with these values."""
        return [ref for ref, row in self.rows(kind) if all(row[field] == value for field, value in values.items())]

    def by_uuid(self, kind: str, wanted: str) -> str:
        """Return the object of this UUID; raises Failure when there is none."""
        found = self.find(kind, uuid=wanted)
        if not found:
            raise Failure("UUID_INVALID", kind, wanted)
        return found[0]

    def _link(self, kind: str, ref: str, field: str, value: Any) -> None:
        if (kind, field) in LINKS and value != NULL:
            target, listed = LINKS[kind, field]
            self._backwards.setdefault((target, value, listed), {})[ref] = None

    def _unlink(self, kind: str, ref: str, field: str, value: Any) -> None:
        if (kind, field) in LINKS and value != NULL:
            target, listed = LINKS[kind, field]
            self._backwards.get((target, value, listed), {}).pop(ref, None)

    def _note(self, kind: str, ref: str, operation: str) -> None:
        self._noted += 1
        self.changes.append(Change(self._noted, kind, ref, operation))


_LISTED = frozenset(LINKS.values())
_LINKED = {kind: [field for other, field in LINKS if other == kind] for kind in CLASSES}
_EMPTY = {kind: {name: default(field.type) for name, field in shape.fields.items()} for kind, shape in CLASSES.items()}
"""A record of each class in which nothing is set."""
_LISTS = {kind: [field for other, field in _LISTED if other == kind] for kind in CLASSES}
