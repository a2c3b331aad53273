# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Class tables in Managed Object Format, the syntax in which Microsoft documents its classes.

Of MOF this reads what the tables in ``classes/`` need: classes with a superclass, properties, references, arrays, methods with their
parameters, and the qualifiers key, in, out, required, write, static, association and abstract.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

INTEGERS = {f"{sign}int{bits}": (sign == "s", bits) for sign in ("u", "s") for bits in (8, 16, 32, 64)}
SCALARS = frozenset({*INTEGERS, "boolean", "string", "datetime", "char16", "real32", "real64"})

_COMMENT = re.compile(r"//[^\n]*")
_CLASS = re.compile(r"(?:\[(?P<qualifiers>[^\]]*)\]\s*)?class\s+(?P<name>\w+)(?:\s*:\s*(?P<base>\w+))?\s*\{(?P<body>[^}]*)\}\s*;")
_ELEMENT = r"(?:\[(?P<qualifiers>[^\]]*)\]\s*)?(?P<type>\w+)(?P<reference>\s+REF)?\s+(?P<name>\w+)\s*(?P<array>\[\])?"
_PROPERTY = re.compile(_ELEMENT + r"\Z")
_METHOD = re.compile(r"(?:\[(?P<qualifiers>[^\]]*)\]\s*)?(?P<type>\w+)\s+(?P<name>\w+)\s*\((?P<parameters>.*)\)\Z", re.DOTALL)
_PARAMETER = re.compile(_ELEMENT)


class MofError(ValueError):
    """A class table that cannot be read."""


@dataclass(frozen=True)
class Element:
    """A property or parameter: ``type`` is a CIM type, or a class when it is a reference to, or holds, an instance of it."""

    name: str
    type: str
    array: bool = False
    reference: bool = False
    qualifiers: frozenset[str] = frozenset()

    @property
    def embedded(self) -> bool:
        """Whether the value is an instance."""
        return not self.reference and self.type not in SCALARS


@dataclass(frozen=True)
class Method:
    """A method; ``returns`` is None when it gives nothing back."""

    name: str
    returns: str | None
    parameters: tuple[Element, ...]
    static: bool

    @cached_property
    def inputs(self) -> Mapping[str, Element]:
        """Its [in] parameters by name."""
        return {parameter.name: parameter for parameter in self.parameters if "in" in parameter.qualifiers}

    @cached_property
    def outputs(self) -> Mapping[str, Element]:
        """Its [out] parameters by name."""
        return {parameter.name: parameter for parameter in self.parameters if "out" in parameter.qualifiers}


@dataclass(frozen=True, eq=False)
class CimClass:
    """A class with everything that it inherits."""

    name: str
    base: CimClass | None
    properties: Mapping[str, Element]
    methods: Mapping[str, Method] = field(default_factory=dict)
    association: bool = False

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The names of the key properties, in alphabetical order."""
        return tuple(sorted(name for name, element in self.properties.items() if "key" in element.qualifiers))

    @cached_property
    def ancestry(self) -> tuple[str, ...]:
        """The class itself and what it derives from, the nearest first, in lower case."""
        return (self.name.lower(), *(self.base.ancestry if self.base else ()))

    @cached_property
    def folded(self) -> Mapping[str, str]:
        """The names of the properties by their lower case: CIM names have no case."""
        return {name.lower(): name for name in self.properties}

    def method(self, name: str) -> Method | None:
        """Return the method of this name, in whatever case."""
        return next((method for known, method in self.methods.items() if known.lower() == name.lower()), None)

    def is_a(self, name: str) -> bool:
        """Return whether this is the named class or derives from it."""
        return name.lower() in self.ancestry


Schema = Mapping[str, CimClass]
"""Classes by their lower-case names."""


def read_schema(*files: Path) -> Schema:
    """Return the classes of MOF files; a class stands after its superclass. Raises MofError."""
    schema: dict[str, CimClass] = {}
    for file in files:
        for cim_class in _classes(file.read_text(encoding="utf-8"), schema):
            schema[cim_class.name.lower()] = cim_class
    return schema


def _classes(text: str, known: Schema) -> Iterator[CimClass]:
    text = _COMMENT.sub("", text)
    if rest := _CLASS.sub("", text).strip():
        raise MofError(f"this is no class: {rest[:120]!r}")
    for match in _CLASS.finditer(text):
        base = match["base"]
        if base and base.lower() not in known:
            raise MofError(f"{match['name']} derives from {base}, which is not known yet")
        yield _class(match, known[base.lower()] if base else None)


def _class(match: re.Match[str], base: CimClass | None) -> CimClass:
    own = [_member(match["name"], text) for text in match["body"].split(";") if text.strip()]
    properties = {element.name: element for element in own if isinstance(element, Element)}
    methods = {method.name: method for method in own if isinstance(method, Method)}
    return CimClass(
        match["name"],
        base,
        {**(base.properties if base else {}), **properties},
        {**(base.methods if base else {}), **methods},
        association="association" in _qualifiers(match) or bool(base and base.association),
    )


def _member(owner: str, text: str) -> Element | Method:
    if found := _METHOD.match(text.strip()):
        return Method(
            found["name"],
            None if found["type"] == "void" else found["type"],
            tuple(_parameters(found["parameters"])),
            "static" in _qualifiers(found),
        )
    if found := _PROPERTY.match(text.strip()):
        return _element(found)
    raise MofError(f"{owner}: this is neither a property nor a method: {text.strip()!r}")


def _parameters(text: str) -> Iterable[Element]:
    if rest := _PARAMETER.sub("", text).replace(",", "").strip():
        raise MofError(f"these are no parameters: {rest!r}")
    for match in _PARAMETER.finditer(text):
        element = _element(match)
        yield element if element.qualifiers & {"in", "out"} else replace(element, qualifiers=element.qualifiers | {"in"})


def _element(match: re.Match[str]) -> Element:
    return Element(match["name"], match["type"], bool(match["array"]), bool(match["reference"]), _qualifiers(match))


def _qualifiers(match: re.Match[str]) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in (match["qualifiers"] or "").split(",") if word.strip())
