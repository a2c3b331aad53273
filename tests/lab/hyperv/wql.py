# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The query language of WMI, as far as its data queries go, and with its refusals.

From Microsoft's documentation "WQL (SQL for WMI)": ``SELECT``, ``ASSOCIATORS OF`` and ``REFERENCES OF``; = <> != < > <= >= LIKE, IS NULL,
ISA, AND, OR, NOT and parentheses. Names and strings have no case. A property that the class lacks, a comparison of an array and a
backslash that escapes nothing make a query invalid.
"""

from __future__ import annotations

import datetime
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from tests.lab.hyperv.cim import BadPath, Instance, ObjectPath, Value
from tests.lab.hyperv.mof import CimClass

Predicate = Callable[[Instance], bool]
Literal = Union[str, int, float, bool, None]

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>\w+)|(?P<sign><>|!=|<=|>=|[=<>(),*]))""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_WALK = re.compile(r"\s*(?P<kind>associators|references)\s+of\s*\{(?P<rest>.*)\Z", re.IGNORECASE | re.DOTALL)
_WALK_END = re.compile(r"(?P<path>(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\"'}])*)\}(?P<conditions>.*)\Z", re.DOTALL)
_CONDITION = re.compile(
    r"\s*(?:(?P<name>AssocClass|ResultClass|ResultRole|Role)\s*=\s*(?P<value>\w+)|(?P<flag>ClassDefsOnly|KeysOnly))", re.IGNORECASE
)
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_SYSTEM_PROPERTIES = frozenset({"__class", "__server", "__namespace", "__path", "__relpath", "__superclass", "__dynasty"})


class WqlError(ValueError):
    """A query that WMI calls invalid (WBEM_E_INVALID_QUERY)."""


@dataclass(frozen=True)
class Select:
    """A SELECT; no ``columns`` means all of them. Call ``bind`` to check it against its class."""

    columns: tuple[str, ...]
    class_name: str
    where: Callable[[CimClass], Predicate] = field(compare=False)

    def bind(self, cim_class: CimClass) -> Predicate:
        """Return the filter for instances of the class; raises WqlError when it names properties that the class lacks."""
        for column in self.columns:
            _known(cim_class, column)
        return self.where(cim_class)


@dataclass(frozen=True)
class Walk:
    """An ASSOCIATORS OF or, when ``references``, a REFERENCES OF; conditions are empty when not given."""

    source: ObjectPath
    references: bool
    association: str = ""
    result: str = ""
    role: str = ""
    result_role: str = ""


def parse(text: str) -> Select | Walk:
    """Return what a query asks for; raises WqlError."""
    walk = _WALK.match(text)
    return _walk(walk) if walk else _Parser(text).select()


def _walk(match: re.Match[str]) -> Walk:
    end = _WALK_END.match(match["rest"])
    if not end:
        raise WqlError("the object path has no end")
    conditions = _conditions(end["conditions"])
    references = match["kind"].lower() == "references"
    if references and ("assocclass" in conditions or "resultrole" in conditions):
        raise WqlError("REFERENCES OF knows neither AssocClass nor ResultRole")
    try:
        source = ObjectPath.parse(end["path"])
    except BadPath as error:
        raise WqlError(f"{error} is no object path") from error
    names = {"assocclass": "association", "resultclass": "result", "role": "role", "resultrole": "result_role"}
    return Walk(source, references, **{names[name]: value for name, value in conditions.items()})


def _conditions(text: str) -> Mapping[str, str]:
    text = text.strip()
    if not text:
        return {}
    word, _between, rest = text.partition(" ")
    if word.upper() != "WHERE":
        raise WqlError(f"'{word}' is not WHERE")
    found, position = {}, 0
    while rest[position:].strip():
        match = _CONDITION.match(rest, position)
        if not match or match["flag"]:
            raise WqlError(f"{rest[position:].strip()!r} is no condition that can be met here")
        found[match["name"].lower()] = match["value"]
        position = match.end()
    if not found:
        raise WqlError("WHERE has no condition")
    return found


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._position = 0

    def select(self) -> Select:
        self._keyword("SELECT")
        columns = self._columns()
        self._keyword("FROM")
        name = self._word()
        where: Callable[[CimClass], Predicate] = _always
        if self._accept("WHERE"):
            where = self._either()
        if self._peek().kind != "end":
            raise WqlError(f"unexpected {self._peek().text!r}")
        return Select(columns, name, where)

    def _columns(self) -> tuple[str, ...]:
        if self._accept("*"):
            return ()
        columns = [self._word()]
        while self._accept(","):
            columns.append(self._word())
        return tuple(columns)

    def _either(self) -> Callable[[CimClass], Predicate]:
        parts = [self._both()]
        while self._accept("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else _combined(any, parts)

    def _both(self) -> Callable[[CimClass], Predicate]:
        parts = [self._negation()]
        while self._accept("AND"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else _combined(all, parts)

    def _negation(self) -> Callable[[CimClass], Predicate]:
        if self._accept("NOT"):
            inner = self._negation()
            return lambda cim_class: _negated(inner(cim_class))
        if self._accept("("):
            inner = self._either()
            if not self._accept(")"):
                raise WqlError("a parenthesis is not closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Callable[[CimClass], Predicate]:
        name = self._word()
        if self._accept("ISA"):
            wanted = self._literal()
            if name.lower() not in ("__this", "targetinstance") or not isinstance(wanted, str):
                raise WqlError("ISA compares __this with the name of a class")
            return lambda _: lambda instance: instance.cim_class.is_a(wanted)
        if self._accept("IS"):
            negated = self._accept("NOT")
            self._keyword("NULL")
            return lambda cim_class: _null_test(cim_class, name, negated)
        if self._accept("LIKE"):
            pattern = self._literal()
            if not isinstance(pattern, str):
                raise WqlError("LIKE needs a string")
            return lambda cim_class: _like(cim_class, name, pattern)
        sign = self._next()
        if sign.text not in _ORDER:
            raise WqlError(f"{sign.text!r} is no operator")
        literal = self._literal()
        return lambda cim_class: _compare(cim_class, name, sign.text, literal)

    def _literal(self) -> Literal:
        token = self._next()
        if token.kind == "string":
            return _unescaped(token.text[1:-1])
        if token.kind == "number":
            return float(token.text) if "." in token.text else int(token.text)
        words: Mapping[str, Literal] = {"TRUE": True, "FALSE": False, "NULL": None}
        if token.text.upper() not in words:
            raise WqlError(f"{token.text!r} is no value")
        return words[token.text.upper()]

    def _word(self) -> str:
        token = self._next()
        if token.kind != "word":
            raise WqlError(f"{token.text!r} is no name")
        return token.text

    def _keyword(self, word: str) -> None:
        if not self._accept(word):
            raise WqlError(f"{word} is missing before {self._peek().text!r}")

    def _accept(self, text: str) -> bool:
        token = self._peek()
        if token.kind in ("word", "sign") and token.text.upper() == text:
            self._position += 1
            return True
        return False

    def _peek(self) -> _Token:
        return self._tokens[self._position]

    def _next(self) -> _Token:
        token = self._peek()
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if not match or match.lastgroup is None:
            raise WqlError(f"{text[position:].strip()!r} cannot be read")
        yield _Token(match.lastgroup, match[match.lastgroup])
        position = match.end()
    yield _Token("end", "the end")


def _unescaped(text: str) -> str:
    if bad := next((match[0] for match in _ESCAPE.finditer(text) if match[1] not in "\\\"'"), None):
        raise WqlError(f"{bad!r} escapes nothing")
    return _ESCAPE.sub(r"\1", text)


def _always(_unused: CimClass) -> Predicate:
    return lambda _: True


def _combined(how: Callable[[Iterator[bool]], bool], parts: list[Callable[[CimClass], Predicate]]) -> Callable[[CimClass], Predicate]:
    def bind(cim_class: CimClass) -> Predicate:
        bound = [part(cim_class) for part in parts]
        return lambda instance: how(predicate(instance) for predicate in bound)

    return bind


def _negated(predicate: Predicate) -> Predicate:
    return lambda instance: not predicate(instance)


def _known(cim_class: CimClass, name: str) -> None:
    if name.lower() not in cim_class.folded and name.lower() not in _SYSTEM_PROPERTIES:
        raise WqlError(f"{cim_class.name} has no property {name}")


def _reader(cim_class: CimClass, name: str) -> Callable[[Instance], Value]:
    """Return what reads the property for a comparison."""
    _known(cim_class, name)
    if name.lower() in _SYSTEM_PROPERTIES:
        return lambda instance: _system_property(instance, name.lower())
    element = cim_class.properties[cim_class.folded[name.lower()]]
    if element.array or element.embedded:
        raise WqlError(f"{cim_class.name}.{name} cannot be compared")
    return lambda instance: instance.get(name)


def _system_property(instance: Instance, name: str) -> Value:
    if name == "__class":
        return instance.cim_class.name
    if name == "__relpath":
        return str(instance.path)
    if name in ("__superclass", "__dynasty"):
        ancestors = instance.cim_class.ancestry
        return ancestors[-1] if name == "__dynasty" else next(iter(ancestors[1:]), None)
    if name == "__server":
        return instance.server
    raise WqlError(f"{name.upper()} is not known over WS-Management")


def _null_test(cim_class: CimClass, name: str, negated: bool) -> Predicate:
    _known(cim_class, name)
    return lambda instance: (instance.get(name) is None) != negated


def _compare(cim_class: CimClass, name: str, sign: str, literal: Literal) -> Predicate:
    read, order = _reader(cim_class, name), _ORDER[sign]
    if literal is None and sign not in ("=", "<>", "!="):
        raise WqlError("NULL has no order")

    def predicate(instance: Instance) -> bool:
        value = read(instance)
        if literal is None or value is None:
            return order(value, literal) if literal is None else False
        left, right = _comparable(value, literal)
        return order(left, right)

    return predicate


def _comparable(value: Value, literal: str | float | bool) -> tuple[object, object]:
    if isinstance(value, ObjectPath):
        return value.identity, _path_identity(str(literal))
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y%m%d%H%M%S"), str(literal)[:14]
    if isinstance(value, str) or isinstance(literal, str):
        return _number_or_text(value, literal)
    return value, literal


def _number_or_text(value: Value, literal: str | float | bool) -> tuple[object, object]:
    if isinstance(value, str):
        return value.lower(), str(literal).lower()
    if isinstance(value, bool):
        return value, str(literal).lower() == "true"
    try:
        return value, int(str(literal))
    except ValueError as error:
        raise WqlError(f"{literal!r} is no number") from error


def _path_identity(text: str) -> object:
    try:
        return ObjectPath.parse(text).identity
    except BadPath as error:
        raise WqlError(f"{text!r} is no object path") from error


def _like(cim_class: CimClass, name: str, pattern: str) -> Predicate:
    read, expression = _reader(cim_class, name), _like_pattern(pattern)

    def predicate(instance: Instance) -> bool:
        value = read(instance)
        return isinstance(value, str) and expression.fullmatch(value) is not None

    return predicate


def _like_pattern(pattern: str) -> re.Pattern[str]:
    """Return LIKE's pattern as a regular expression: % any text, _ one character, [a-z] and [^a-z] one of a range."""
    parts, position = [], 0
    while position < len(pattern):
        group = re.compile(r"\[(\^?)([^\]]+)\]").match(pattern, position)
        if group:
            characters = group[2].replace("\\", r"\\").replace("[", r"\[")
            parts.append(f"[{group[1]}{characters}]")
            position = group.end()
            continue
        parts.append({"%": ".*", "_": "."}.get(pattern[position]) or re.escape(pattern[position]))
        position += 1
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
