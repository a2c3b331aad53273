# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances that a method takes as text: `<INSTANCE CLASSNAME=…>` of CIM-XML (DSP0201), as `Msvm_…ManagementService` wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_envelope
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import (
    CimInstance,
    CimValue,
    Types,
    format_scalar,
    parse_scalar,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Element, element

_ARRAY = "[]"


class EmbeddedInstance(str):
    """The text of an instance; in a message it goes into a CDATA section."""

    __slots__ = ()


def embed(class_name: str, properties: Mapping[str, CimValue], types: Types) -> EmbeddedInstance:
    """The text of an instance with these properties; one that is None is written as null, so that it takes its default.

    Raises `KeyError` for a property without a declared type, `ValueError` for a value that its type cannot hold, and `InvalidInput` for
    text that XML cannot carry.
    """
    parts = [_property(name, types[name], value) for name, value in properties.items()]
    return EmbeddedInstance(wsman_envelope.written(element("INSTANCE", children=parts, CLASSNAME=class_name)))


def parse_embedded(text: str) -> CimInstance:
    """The instance in such a text, typed by itself. Raises `ValueError`."""
    instance = wsman_envelope.read(text.encode())
    if instance.tag != "INSTANCE":
        raise ValueError(f"{instance.tag} instead of an INSTANCE")
    return CimInstance(str(instance.get("CLASSNAME", "")), {str(part.get("NAME", "")): _parsed(part) for part in _properties(instance)})


def _property(name: str, declared: str, value: CimValue) -> Element:
    if not declared.endswith(_ARRAY):
        values = [] if value is None else [_value(declared, value)]
        return element("PROPERTY", children=values, NAME=name, TYPE=declared)
    kind = declared[: -len(_ARRAY)]
    if value is None:
        return element("PROPERTY.ARRAY", NAME=name, TYPE=kind)
    items = value if isinstance(value, (tuple, list)) else (value,)
    array = element("VALUE.ARRAY", children=[_value(kind, item) for item in items])
    return element("PROPERTY.ARRAY", children=[array], NAME=name, TYPE=kind)


def _value(kind: str, value: object) -> Element:
    return element("VALUE", text=format_scalar(kind, value))


def _properties(instance: Element) -> Iterable[Element]:
    return (part for part in instance if part.tag in ("PROPERTY", "PROPERTY.ARRAY"))


def _parsed(part: Element) -> CimValue:
    kind = str(part.get("TYPE", "string"))
    if part.tag == "PROPERTY":
        value = part.find("VALUE")
        return None if value is None else parse_scalar(kind, value.text or "")
    array = part.find("VALUE.ARRAY")
    return None if array is None else tuple(parse_scalar(kind, value.text or "") for value in array.iterfind("VALUE"))
