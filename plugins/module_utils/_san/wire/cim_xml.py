# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CIM values in WS-Management messages (DSP0230): instances and outputs out of elements, parameters into them.

Windows writes a property of an array as repeated elements and leaves out an empty array; a query for some columns is answered with
`XmlFragment`s, whose elements are in no namespace. Names are therefore compared without their namespaces.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_datetime import format_iso, parse_datetime
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_embedded import EmbeddedInstance
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance, CimValue, Scalar, Types, parse_scalar
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import (
    XSI,
    Element,
    Reference,
    cdata_element,
    element,
    local_name,
    nil_element,
    parse_reference,
    reference_parts,
    typed_element,
)

_CIM = "http://schemas.dmtf.org/wbem/wscim/1/common"
_NIL = f"{{{XSI}}}nil"
_FRAGMENT = "XmlFragment"
_TYPE_SUFFIX = "_Type"
_ARRAY = "[]"
_MOMENTS = frozenset({"Datetime", "Interval", "Date"})


def decode(item: Element, types: Types, class_name: str = "") -> CimInstance:
    """The instance in an element, or a method's outputs.

    `class_name` is for a fragment, which does not tell its class. Declared arrays that were not sent are empty, other declared
    properties None. Raises `RemoteError` for a value that does not fit its declared type.
    """
    name = _class_of(item) if local_name(item) != _FRAGMENT else class_name
    groups: dict[str, list[Element]] = {}
    for part in item:
        groups.setdefault(local_name(part), []).append(part)
    properties: dict[str, CimValue] = {
        declared: () if kind.endswith(_ARRAY) else None for declared, kind in types.items() if "." not in declared
    }
    properties.update((property_name, _value(name, property_name, parts, types)) for property_name, parts in groups.items())
    return CimInstance(name, properties)


def encode(name: str, value: CimValue, uri: str) -> list[Element]:
    """The elements for a parameter or property in the namespace of a resource URI: as many as an array has items.

    Raises `InvalidInput` for text that XML cannot carry, `ValueError` for an interval that CIM cannot.
    """
    items = value if isinstance(value, (tuple, list)) else (value,)
    return [_element(name, item, uri) for item in items]


def _element(name: str, value: Scalar, uri: str) -> Element:
    if value is None:
        return nil_element(name, uri)
    if isinstance(value, EmbeddedInstance):
        return cdata_element(name, uri, value)
    if isinstance(value, Reference):
        return element(name, uri, children=reference_parts(value))
    if isinstance(value, CimInstance):
        nested = f"{uri.rpartition('/')[0]}/{value.class_name}"
        children = [part for key, inner in value.properties.items() for part in encode(key, inner, nested)]
        return typed_element(name, uri, (nested, value.class_name + _TYPE_SUFFIX), children)
    if isinstance(value, (datetime, timedelta)):
        kind = "Datetime" if isinstance(value, datetime) else "Interval"
        return element(name, uri, children=[element(kind, _CIM, format_iso(value))])
    return element(name, uri, str(value).lower() if isinstance(value, bool) else str(value))


def _value(class_name: str, name: str, parts: list[Element], types: Types) -> CimValue:
    declared = types.get(name, "")
    is_array = declared.endswith(_ARRAY)
    kind = declared[: -len(_ARRAY)] if is_array else declared
    inner = _inner(name, types) if kind == "object" else {}
    try:
        values = tuple(_scalar(part, kind, inner) for part in parts)
    except ValueError as error:
        raise RemoteError(f"{class_name}.{name} cannot be read: {error}.") from error
    if is_array:
        return tuple(value for value in values if value is not None)
    if declared and len(values) > 1:
        raise RemoteError(f"{class_name}.{name} has {len(values)} values instead of one.")
    return values[0] if len(values) == 1 else values


def _inner(name: str, types: Types) -> Types:
    return {key[len(name) + 1 :]: kind for key, kind in types.items() if key.startswith(f"{name}.")}


def _scalar(part: Element, kind: str, inner: Types) -> Scalar:
    if str(part.get(_NIL, "")).strip() in ("true", "1"):
        return None
    if not len(part) and kind != "object":
        return parse_scalar(kind or "string", part.text or "")
    first = next(iter(part), None)
    reference = parse_reference(part)
    if reference is not None:
        return reference
    if first is not None and local_name(first) in _MOMENTS and len(part) == 1:
        return parse_datetime(first.text or "")
    return decode(part, inner)


def _class_of(item: Element) -> str:
    """The class that `xsi:type` names, else the name of the element."""
    declared = str(item.get(f"{{{XSI}}}type", "")).rpartition(":")[2]
    name = declared or local_name(item)
    return name[: -len(_TYPE_SUFFIX)] if declared.endswith(_TYPE_SUFFIX) else name
