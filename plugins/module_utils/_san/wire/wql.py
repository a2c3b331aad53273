# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""WQL, WMI's query language: the one place that writes its literals.

Source: "WQL (SQL for WMI)" and "LIKE Operator" of Microsoft's WMI reference. Names of classes and properties come from this
collection's own tables, never from a user; what is not a name is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NewType, Union

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_datetime import format_datetime
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import ObjectPath

Condition = NewType("Condition", str)
"""A condition of a WHERE clause, already escaped."""
Value = Union[str, int, bool, datetime, None]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LIKE_SPECIAL = re.compile(r"[%_\[]")


def literal(value: Value) -> str:
    """A value as WQL writes it: `"C:\\\\a"`, `7`, `TRUE`, `NULL`. Raises `InvalidInput` for text with a NUL character."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    text = format_datetime(value) if isinstance(value, datetime) else value
    if "\0" in text:
        raise InvalidInput(f"The value {text!r} holds a NUL character, which no query can carry: remove it.")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def equals(column: str, value: Value) -> Condition:
    """`column = value`; for None, that it is unset. WMI compares text without regard to case."""
    if value is None:
        return Condition(f"{_name(column)} IS NULL")
    return Condition(f"{_name(column)} = {literal(value)}")


def starts_with(column: str, text: str) -> Condition:
    """That the column's text begins with this one, whatever characters it holds."""
    return _like(column, f"{_unlike(text)}%")


def one_of(column: str, values: Iterable[Value]) -> Condition:
    """That the column has one of these values, of which there must be at least one; WQL has no IN."""
    return any_of([equals(column, value) for value in values])


def any_of(conditions: Sequence[Condition]) -> Condition:
    """At least one of these conditions, of which there must be at least one."""
    return _joined(" OR ", conditions)


def all_of(conditions: Sequence[Condition]) -> Condition:
    """Every one of these conditions, of which there must be at least one."""
    return _joined(" AND ", conditions)


def select(class_name: str, columns: Sequence[str] = (), where: Condition | None = None) -> str:
    """A query for the instances of a class and its subclasses; without columns, for all of their properties."""
    projection = ", ".join(_name(column) for column in columns) or "*"
    condition = f" WHERE {where}" if where else ""
    return f"SELECT {projection} FROM {_name(class_name)}{condition}"


def associators_of(path: ObjectPath, association: str | None = None, result: str | None = None, result_role: str | None = None) -> str:
    """A query for the objects at the other end of an object's associations, of one class of association, object or role."""
    filters = {"AssocClass": association, "ResultClass": result, "ResultRole": result_role}
    terms = " ".join(f"{keyword} = {_name(name)}" for keyword, name in filters.items() if name)
    return f"ASSOCIATORS OF {{{path.relative()}}}{' WHERE ' + terms if terms else ''}"


def _like(column: str, pattern: str) -> Condition:
    return Condition(f"{_name(column)} LIKE {literal(pattern)}")


def _unlike(text: str) -> str:
    """Text that LIKE takes for itself: its metacharacters, each as a set of one."""
    return _LIKE_SPECIAL.sub(lambda found: f"[{found[0]}]", text)


def _joined(operator: str, conditions: Sequence[Condition]) -> Condition:
    if not conditions:
        raise ValueError("a query needs at least one condition here")
    return Condition(f"({operator.join(conditions)})" if len(conditions) > 1 else conditions[0])


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a WMI class or property")
    return name
