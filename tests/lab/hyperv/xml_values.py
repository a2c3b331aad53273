# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CIM values as WS-Management's XML (DSP0230, MS-WSMV): instances, projected columns, references, arguments of methods.

Elements come in alphabetical order. A scalar without a value is ``xsi:nil``; an array without one is left out. A char16 is its number.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from tests.lab.hyperv.cim import Instance, KeyValue, ObjectPath, Scalar, Value
from tests.lab.hyperv.faults import refuse
from tests.lab.hyperv.mof import INTEGERS, CimClass, Element, Method, Schema
from tests.lab.hyperv.soap import ANONYMOUS, Node, declare, parse_selectors, tag

WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_NIL = tag("xsi", "nil")
_DATETIME = re.compile(r"\d{14}\.\d{6}[+-]\d{3}\Z")


def resource_uri(namespace: str, class_name: str) -> str:
    """Return the URI of a class; ``namespace`` is like ``root/cimv2``."""
    return f"{WMI}{namespace}/{class_name}"


def instance_xml(namespace: str, instance: Instance) -> str:
    """Return the instance as an item of an enumeration or the body of a GetResponse."""
    name = instance.cim_class.name
    opening = f'<p:{name} xmlns:p="{resource_uri(namespace, name)}"{declare("xsi", "cim")} xsi:type="p:{name}_Type">'
    return f"{opening}{_members(namespace, instance)}</p:{name}>"


def fragment_xml(namespace: str, instance: Instance, columns: Iterable[str]) -> str:
    """Return the columns of a projection, whose elements are in no namespace."""
    folded = instance.cim_class.folded
    names = [folded[column.lower()] for column in columns if column.lower() in folded]
    inner = "".join(_element(namespace, "", instance.cim_class.properties[name], instance.values.get(name)) for name in names)
    return f"<w:XmlFragment{declare('xsi')}>{inner}</w:XmlFragment>"


def epr_xml(namespace: str, path: ObjectPath) -> str:
    """Return the endpoint reference of an instance as an item of an enumeration."""
    return f"<a:EndpointReference>{_reference(namespace, path)}</a:EndpointReference>"


def output_xml(namespace: str, class_name: str, method: Method, values: Mapping[str, Value]) -> str:
    """Return the body of a method's answer."""
    results = dict(method.outputs)
    if method.returns:
        results["ReturnValue"] = Element("ReturnValue", method.returns)
    if unknown := set(values) - set(results):
        raise KeyError(f"{class_name}.{method.name} does not give {sorted(unknown)}")
    inner = "".join(_element(namespace, "p:", element, values.get(name)) for name, element in results.items())
    root = f"p:{method.name}_OUTPUT"
    return f'<{root} xmlns:p="{resource_uri(namespace, class_name)}"{declare("xsi", "cim")}>{inner}</{root}>'


def _members(namespace: str, instance: Instance) -> str:
    properties, values = instance.cim_class.properties, instance.values
    return "".join(_element(namespace, "p:", properties[name], values.get(name)) for name in sorted(properties))


def _element(namespace: str, prefix: str, element: Element, value: Value) -> str:
    if element.array:
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
        return "".join(_one(namespace, prefix, element, item) for item in items)
    if value is None:
        return f'<{prefix}{element.name} xsi:nil="true"/>'
    if isinstance(value, Sequence) and not isinstance(value, str):
        raise TypeError(f"{element.name} is no array")
    return _one(namespace, prefix, element, value)


def _one(namespace: str, prefix: str, element: Element, value: Scalar) -> str:
    name = f"{prefix}{element.name}"
    if isinstance(value, Instance):
        kind = value.cim_class.name
        return f'<{name} xsi:type="p:{kind}_Type">{_members(namespace, value)}</{name}>'
    if isinstance(value, ObjectPath):
        return f"<{name}{declare('a')}>{_reference(namespace, value)}</{name}>"
    if isinstance(value, datetime.datetime):
        moment = value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"<{name}><cim:Datetime>{moment}</cim:Datetime></{name}>" if prefix else f"<{name}><Datetime>{moment}</Datetime></{name}>"
    if element.type == "datetime":
        interval = escape(str(value))
        return (
            f"<{name}><cim:Interval>{interval}</cim:Interval></{name}>" if prefix else f"<{name}><Interval>{interval}</Interval></{name}>"
        )
    return f"<{name}>{_text(value)}</{name}>"


def _text(value: bool | int | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else escape(str(value))


def _reference(namespace: str, path: ObjectPath) -> str:
    place = path.namespace or namespace
    selectors = "".join(f"<w:Selector Name={quoteattr(name)}>{_text(value)}</w:Selector>" for name, value in path.keys)
    return (
        f"<a:Address>{ANONYMOUS}</a:Address><a:ReferenceParameters><w:ResourceURI>{resource_uri(place, path.class_name)}</w:ResourceURI>"
        f"<w:SelectorSet>{selectors}</w:SelectorSet></a:ReferenceParameters>"
    )


def parse_input(body: Node | None, uri: str, method: Method, schema: Schema) -> dict[str, Value]:
    """Return the arguments of a call; raises WsmanFault for a wrong namespace, unknown or repeated names and wrong types."""
    if body is None or not body.tag.endswith(f"}}{method.name}_INPUT"):
        raise refuse("SchemaValidationError", f"The body has no {method.name}_INPUT. ")
    namespace = body.tag[1:].partition("}")[0]
    if namespace.lower() != uri.lower():
        raise refuse("InvalidNamespace")
    return _parse_members(body, namespace, method.inputs, schema)


def parse_instance(node: Node, uri: str, cim_class: CimClass, schema: Schema) -> dict[str, Value]:
    """Return the properties in the body of a Put; raises WsmanFault."""
    if node.tag.lower() != f"{{{uri}}}{cim_class.name}".lower():
        raise refuse("InvalidNamespace")
    return _parse_members(node, node.tag[1:].partition("}")[0], cim_class.properties, schema)


def _parse_members(node: Node, namespace: str, elements: Mapping[str, Element], schema: Schema) -> dict[str, Value]:
    grouped: dict[str, list[Node]] = {}
    for child in node:
        place, _between, name = child.tag[1:].partition("}") if child.tag.startswith("{") else ("", "", child.tag)
        if place != namespace:
            raise refuse("InvalidNamespace")
        if name not in elements:
            raise refuse("InvalidParameterName", f"It is {name}. ")
        grouped.setdefault(name, []).append(child)
    values = {name: _parse_element(elements[name], nodes, schema) for name, nodes in grouped.items()}
    missing = [name for name, element in elements.items() if "required" in element.qualifiers and values.get(name) in (None, [])]
    if missing:
        raise refuse("InvalidParameter", f"{', '.join(missing)} has no value. ")
    return values


def _parse_element(element: Element, nodes: Sequence[Node], schema: Schema) -> Value:
    if element.array:
        return [_parse_one(element, node, schema) for node in nodes if not _is_nil(node)]
    if len(nodes) > 1:
        raise refuse("InvalidParameterType", f"{element.name} is no array. ")
    return None if _is_nil(nodes[0]) else _parse_one(element, nodes[0], schema)


def _is_nil(node: Node) -> bool:
    return node.get(_NIL, "").lower() in ("true", "1")


def _parse_one(element: Element, node: Node, schema: Schema) -> Scalar:
    if element.reference:
        return _parse_reference(element, node)
    if element.embedded:
        cim_class = schema[element.type.lower()]
        return Instance(cim_class, _parse_members(node, node.tag[1:].partition("}")[0], cim_class.properties, schema))
    if element.type == "datetime":
        return _parse_datetime(element, node)
    if len(node):
        raise refuse("InvalidParameterType", f"{element.name} is a {element.type}. ")
    return parse_scalar(element, node.text or "")


def _parse_datetime(element: Element, node: Node) -> Scalar:
    text = "".join(node.itertext()).strip()
    if len(node) == 1 and node[0].tag == tag("cim", "Datetime"):
        try:
            return datetime.datetime.fromisoformat(text)
        except ValueError as error:
            raise refuse("InvalidParameterType", f"{element.name} is a datetime. ") from error
    if len(node) == 1 and node[0].tag in (tag("cim", "Interval"), tag("cim", "CIM_DateTime")):
        return text
    if _DATETIME.match(text) and not len(node):
        return text
    raise refuse("InvalidParameterType", f"{element.name} is a datetime. ")


def parse_scalar(element: Element, text: str) -> bool | int | float | str:
    """Return the value that the text is in the type of the element; raises WsmanFault."""
    try:
        return _scalar(element.type, text)
    except ValueError as error:
        raise refuse("InvalidParameterType", f"{element.name} is a {element.type}, not {text!r}. ") from error


def _scalar(kind: str, text: str) -> bool | int | float | str:
    if kind == "boolean":
        return BOOLEANS[text.strip().lower()] if text.strip().lower() in BOOLEANS else _no(text)
    if kind == "char16":
        return int(text)
    if kind in INTEGERS:
        signed, bits = INTEGERS[kind]
        number = int(text)
        least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return number if least <= number <= most else _no(text)
    return float(text) if kind.startswith("real") else text


def _no(text: str) -> int:
    raise ValueError(text)


def _parse_reference(element: Element, node: Node) -> ObjectPath:
    parameters = node.find(tag("a", "ReferenceParameters"))
    if node.find(tag("a", "Address")) is None or parameters is None:
        raise refuse("InvalidParameterType", f"{element.name} is an endpoint reference. ")
    uri = parameters.findtext(tag("w", "ResourceURI"), "").strip()
    namespace, class_name = split_uri(uri)
    return selector_path(class_name, namespace, parse_selectors(parameters.find(tag("w", "SelectorSet"))))


def split_uri(uri: str) -> tuple[str, str]:
    """Return the namespace and the class of a resource URI; raises WsmanFault when it is none of WMI's."""
    if not uri.lower().startswith(WMI) or "/" not in uri[len(WMI) :]:
        raise refuse("InvalidResourceUri", f"({uri}) ")
    namespace, _between, class_name = uri[len(WMI) :].rpartition("/")
    return namespace.lower(), class_name


def selector_path(class_name: str, namespace: str, selectors: Mapping[str, str]) -> ObjectPath:
    """Return the path that selectors name; ``__cimnamespace`` may repeat the namespace, but not contradict it."""
    keys: dict[str, KeyValue] = dict(selectors)
    stated = next((str(keys.pop(name)) for name in list(keys) if name.lower() == "__cimnamespace"), namespace)
    if stated.replace("\\", "/").lower() != namespace.lower():
        raise refuse("UnexpectedSelectors", "__cimnamespace contradicts the resource URI. ")
    return ObjectPath(class_name, tuple(sorted(keys.items())), namespace)


def parse_cim_xml(text: str, schema: Schema) -> Instance:
    """Return the instance of a CIM-XML text (DSP0201), as an embedded-instance argument carries it.

    Raises ValueError when it is malformed, of an unknown class, or names a property that the class lacks or of another type.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"the embedded instance is no XML: {error}") from error
    cim_class = schema.get(root.get("CLASSNAME", "").lower())
    if root.tag != "INSTANCE" or cim_class is None:
        raise ValueError(f"{root.tag} of {root.get('CLASSNAME')} is no instance of a known class")
    return Instance(cim_class, dict(_cim_property(cim_class, node) for node in root if node.tag != "QUALIFIER"))


def _cim_property(cim_class: CimClass, node: Node) -> tuple[str, Value]:
    name = cim_class.folded.get(node.get("NAME", "").lower())
    if name is None:
        raise ValueError(f"{cim_class.name} has no {node.get('NAME')}")
    element = cim_class.properties[name]
    if (node.tag == "PROPERTY.ARRAY") != element.array or node.get("TYPE", element.type) != element.type:
        raise ValueError(f"{cim_class.name}.{name} is a {element.type}{'[]' * element.array}")
    if node.tag == "PROPERTY.ARRAY":
        return name, [_cim_scalar(element, value) for value in node.findall("VALUE.ARRAY/VALUE")]
    value = node.find("VALUE")
    return name, None if value is None else _cim_scalar(element, value)


def _cim_scalar(element: Element, node: Node) -> Scalar:
    return _scalar(element.type, node.text or "")


def cim_xml(class_name: str, properties: Mapping[str, tuple[str, object]]) -> str:
    """Return an embedded instance in the CIM-XML that parse_cim_xml reads: properties are name to (type, value)."""
    members = "".join(
        f"<PROPERTY NAME={quoteattr(name)} TYPE={quoteattr(kind)}><VALUE>{escape(str(value))}</VALUE></PROPERTY>"
        for name, (kind, value) in properties.items()
    )
    return f"<INSTANCE CLASSNAME={quoteattr(class_name)}>{members}</INSTANCE>"
