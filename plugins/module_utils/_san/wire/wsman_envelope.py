# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""WS-Management messages: what a request's envelope holds, and what an answer's says.

Sources: DSP0226 (WS-Management), DSP0227 (its binding to CIM), MS-WSMV (Windows' profile of both). Knows neither CIM's types nor HTTP.
"""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Union

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput

try:
    from lxml import etree

    LXML_IMPORT_ERROR: str | None = None
except ImportError:
    LXML_IMPORT_ERROR = traceback.format_exc()

if TYPE_CHECKING:
    Element = etree._Element
else:
    Element = Any

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
WSMAN_FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi"
WQL_DIALECT = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
ANONYMOUS = f"{ADDRESSING}/role/anonymous"

GET = f"{TRANSFER}/Get"
ENUMERATE = f"{ENUMERATION}/Enumerate"
PULL = f"{ENUMERATION}/Pull"
RELEASE = f"{ENUMERATION}/Release"
CREATE = f"{TRANSFER}/Create"
DELETE = f"{TRANSFER}/Delete"

_DATA_LOCALE = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_PREFIXES = {"s": SOAP, "a": ADDRESSING, "n": ENUMERATION, "w": WSMAN, "p": _DATA_LOCALE, "xsi": XSI}

_QUERY_WIDTH = 200
"""Characters of a query in a message; one for many values may have thousands."""

Selector = Union[str, "Reference"]
"""The value of a key: text, or for a key that is itself a reference, what it refers to."""


@dataclass(frozen=True)
class Reference:
    """An endpoint reference: which instance of which resource. Without selectors: the class, or its only instance."""

    resource_uri: str
    selectors: Mapping[str, Selector] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One message to be sent, without the limits that the session adds."""

    action: str
    target: Reference
    body: Element | None = None
    query: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    message_id: str = field(default_factory=lambda: f"uuid:{uuid.uuid4()}")

    @property
    def name(self) -> str:
        """The operation and its class or query, such as `Enumerate Msvm_ComputerSystem`, for messages."""
        operation = self.action.rpartition("/")[2]
        if self.query:
            return f"{operation} {shorten(self.query, _QUERY_WIDTH, placeholder=' …')}"
        return f"{operation} {self.target.resource_uri.rpartition('/')[2]}"


def resource_uri(namespace: str, class_name: str = "*") -> str:
    """The URI of a WMI class; `*` stands for any class, in a query. The namespace is written with either kind of slash."""
    return f"{WMI}/{namespace.strip('/').replace(chr(92), '/')}/{class_name}"


def namespace_of(uri: str) -> str:
    """The WMI namespace in a resource URI, such as `root/virtualization/v2`; empty for a URI that is none of WMI's."""
    return uri[len(WMI) + 1 :].rpartition("/")[0] if uri.startswith(f"{WMI}/") else ""


def element(name: str, namespace: str = "", text: str | None = None, children: Iterable[Element] = (), **attributes: str) -> Element:
    """A new element. Raises `InvalidInput` for a text that XML cannot carry, such as one with a NUL character."""
    try:
        made = etree.Element(f"{{{namespace}}}{name}" if namespace else name, attributes, nsmap=_nsmap(namespace))
        made.text = text
    except ValueError as error:
        raise InvalidInput(f"The value {text!r} of {name} holds a control character, which cannot be sent: remove it.") from error
    made.extend(list(children))
    return made


def nil_element(name: str, namespace: str) -> Element:
    """A new element that stands for null."""
    made = element(name, namespace)
    made.set(f"{{{XSI}}}nil", "true")
    return made


def cdata_element(name: str, namespace: str, text: str) -> Element:
    """A new element whose text stands in a CDATA section. The text must not hold `]]>`, which no serialised XML does."""
    made = element(name, namespace)
    made.text = etree.CDATA(text)
    return made


def typed_element(name: str, namespace: str, xsi_type: tuple[str, str], children: Iterable[Element]) -> Element:
    """A new element whose `xsi:type` is the second of a namespace and a name."""
    made = etree.Element(f"{{{namespace}}}{name}", nsmap={"c": namespace, "t": xsi_type[0], "xsi": XSI})
    made.set(f"{{{XSI}}}type", f"t:{xsi_type[1]}")
    made.extend(list(children))
    return made


def written(item: Element) -> str:
    """An element as text, without an XML declaration."""
    return etree.tostring(item, encoding="unicode")


def envelope(request: Request, to: str, max_envelope_size: int, operation_timeout: float) -> bytes:
    """The message as it goes over the wire. Sizes in bytes, times in seconds."""
    header = element(
        "Header",
        SOAP,
        children=[
            element("To", ADDRESSING, to),
            element("ReplyTo", ADDRESSING, children=[_understood(element("Address", ADDRESSING, ANONYMOUS))]),
            _understood(element("ResourceURI", WSMAN, request.target.resource_uri)),
            *selector_set(request.target.selectors),
            *_option_set(request.options),
            _understood(element("Action", ADDRESSING, request.action)),
            element("MessageID", ADDRESSING, request.message_id),
            _understood(element("MaxEnvelopeSize", WSMAN, str(max_envelope_size))),
            element("OperationTimeout", WSMAN, f"PT{operation_timeout:.3f}S"),
            _language(element("Locale", WSMAN)),
            _language(element("DataLocale", _DATA_LOCALE)),
        ],
    )
    return _enveloped(header, element("Body", SOAP, children=[] if request.body is None else [request.body]))


def selector_set(selectors: Mapping[str, Selector]) -> list[Element]:
    """The `SelectorSet` of a header or of an endpoint reference; none when there are no selectors."""
    return [element("SelectorSet", WSMAN, children=[_selector(name, value) for name, value in selectors.items()])] if selectors else []


def _option_set(options: Mapping[str, str]) -> list[Element]:
    made = [element("Option", WSMAN, text, Name=name) for name, text in options.items()]
    return [element("OptionSet", WSMAN, children=made)] if made else []


def reference_parts(reference: Reference) -> list[Element]:
    """The children of an element that is an endpoint reference: `Address` and `ReferenceParameters`."""
    parameters = [element("ResourceURI", WSMAN, reference.resource_uri), *selector_set(reference.selectors)]
    return [element("Address", ADDRESSING, ANONYMOUS), element("ReferenceParameters", ADDRESSING, children=parameters)]


def parse_reference(parent: Element) -> Reference | None:
    """The endpoint reference that an element holds; None when it holds none."""
    parameters = parent.find(f"{{{ADDRESSING}}}ReferenceParameters")
    if parameters is None:
        return None
    selectors = parameters.iterfind(f"{{{WSMAN}}}SelectorSet/{{{WSMAN}}}Selector")
    return Reference(
        resource_uri=(parameters.findtext(f"{{{WSMAN}}}ResourceURI") or "").strip(),
        selectors={str(selector.get("Name", "")): _selected(selector) for selector in selectors},
    )


def enumerate_body(max_elements: int, wql: str | None) -> Element:
    """Ask for the first items with the answer that opens the enumeration, rather than in a second round trip (DSP0226, 8.2.3)."""
    query = [] if wql is None else [element("Filter", WSMAN, wql, Dialect=WQL_DIALECT)]
    children = [element("OptimizeEnumeration", WSMAN), element("MaxElements", WSMAN, str(max_elements)), *query]
    return element("Enumerate", ENUMERATION, children=children)


def pull_body(context: str, max_elements: int) -> Element:
    """Ask for the next items of an enumeration."""
    children = [element("EnumerationContext", ENUMERATION, context), element("MaxElements", ENUMERATION, str(max_elements))]
    return element("Pull", ENUMERATION, children=children)


def release_body(context: str) -> Element:
    """Give up the rest of an enumeration."""
    return element("Release", ENUMERATION, children=[element("EnumerationContext", ENUMERATION, context)])


def parse(message: bytes) -> Element:
    """The envelope in an answer. Raises `ValueError` when it is not a SOAP 1.2 envelope with a body."""
    root = read(message)
    if root.tag != f"{{{SOAP}}}Envelope" or body_of(root) is None:
        raise ValueError(f"{etree.QName(root).localname} instead of a SOAP envelope")
    return root


def read(document: bytes) -> Element:
    """The root of an XML document, read without entities, document types or files. Raises `ValueError` when it is none."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from error
    docinfo: Any = root.getroottree().docinfo  # whose stubs lack the doctype
    if docinfo.doctype:
        raise ValueError("a document type declaration")
    return root


def body_of(root: Element) -> Element | None:
    """The body of an envelope."""
    return root.find(f"{{{SOAP}}}Body")


def content_of(root: Element) -> Element | None:
    """The first element in the body of an envelope; None when the body is empty."""
    body = body_of(root)
    return next(iter(body), None) if body is not None else None


def relates_to(root: Element) -> str:
    """The id of the message that an envelope answers; empty when it names none."""
    return (root.findtext(f"{{{SOAP}}}Header/{{{ADDRESSING}}}RelatesTo") or "").strip()


def page_of(content: Element) -> tuple[list[Element], str]:
    """The items in the answer to an Enumerate or Pull, and the context for the next Pull, which is empty on the last page."""
    items = content.find(f"{{{ENUMERATION}}}Items")
    if items is None:
        items = content.find(f"{{{WSMAN}}}Items")
    ended = any(content.find(f"{{{space}}}EndOfSequence") is not None for space in (ENUMERATION, WSMAN))
    context = "" if ended else (content.findtext(f"{{{ENUMERATION}}}EnumerationContext") or "").strip()
    return (list(items) if items is not None else []), context


def local_name(item: Element) -> str:
    """The name of an element without its namespace."""
    return str(item.tag).rpartition("}")[2]


def _enveloped(*parts: Element) -> bytes:
    made = etree.Element(f"{{{SOAP}}}Envelope", nsmap=_PREFIXES)
    made.extend(parts)
    return etree.tostring(made, encoding="UTF-8", xml_declaration=True)


def _nsmap(namespace: str) -> dict[str, str]:
    prefix = next((prefix for prefix, known in _PREFIXES.items() if known == namespace), "c")
    return {prefix: namespace} if namespace else {}


def _understood(item: Element) -> Element:
    item.set(f"{{{SOAP}}}mustUnderstand", "true")
    return item


def _language(item: Element) -> Element:
    item.set(_XML_LANG, "en-US")
    item.set(f"{{{SOAP}}}mustUnderstand", "false")
    return item


def _selector(name: str, value: Selector) -> Element:
    if isinstance(value, Reference):
        return element("Selector", WSMAN, None, [element("EndpointReference", ADDRESSING, children=reference_parts(value))], Name=name)
    return element("Selector", WSMAN, value, Name=name)


def _selected(selector: Element) -> Selector:
    nested = selector.find(f"{{{ADDRESSING}}}EndpointReference")
    reference = parse_reference(nested) if nested is not None else None
    return reference if reference is not None else selector.text or ""
