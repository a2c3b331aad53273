# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SOAP envelopes of WS-Management: what a request says, and how answers and faults are written (DSP0226, MS-WSMV)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from tests.lab.hyperv.faults import FAULT_DETAIL, ProviderFault, WsmanFault, refuse

Node = ElementTree.Element

PREFIXES: Mapping[str, str] = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "wsa": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "n": "http://schemas.xmlsoap.org/ws/2004/09/enumeration",
    "wsen": "http://schemas.xmlsoap.org/ws/2004/09/enumeration",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "p": "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd",
    "b": "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "wxf": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "cim": "http://schemas.dmtf.org/wbem/wscim/1/common",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "f": "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault",
    "wsmid": "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd",
    "cfg": "http://schemas.microsoft.com/wbem/wsman/1/config",
    "e": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError",
}
ANONYMOUS = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
FAULT_ACTION = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
UNDERSTOOD = {
    *(("a", name) for name in ("To", "Action", "MessageID", "ReplyTo", "FaultTo", "From", "RelatesTo")),
    *(
        ("w", name)
        for name in ("ResourceURI", "SelectorSet", "OptionSet", "MaxEnvelopeSize", "OperationTimeout", "Locale", "FragmentTransfer")
    ),
    *(("p", name) for name in ("DataLocale", "SessionId", "OperationID", "SequenceId", "ActivityId")),
}
REQUIRED_HEADERS = ("To", "Action", "MessageID", "ReplyTo")
DEFAULT_ENVELOPE_BYTES = 153600
LEAST_ENVELOPE_BYTES = 8192
MOST_ENVELOPE_BYTES = 500 * 1024
DEFAULT_TIMEOUT_SECONDS = 60.0
_DURATION = re.compile(r"PT(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?\Z")


def tag(prefix: str, name: str) -> str:
    """Return the name of an element as ElementTree writes it."""
    return f"{{{PREFIXES[prefix]}}}{name}"


@dataclass(frozen=True)
class Request:
    """One message of a client."""

    action: str
    message_id: str
    resource_uri: str
    selectors: Mapping[str, str]
    envelope_bytes: int
    timeout_seconds: float
    body: Node | None
    fragment: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


def is_identify(envelope: Node) -> bool:
    """Return whether the message asks who the service is."""
    return envelope.find(f"{tag('s', 'Body')}/{tag('wsmid', 'Identify')}") is not None


def parse_envelope(raw: bytes) -> Node:
    """Return the envelope; raises WsmanFault when it is none."""
    if b"<!DOCTYPE" in raw:
        raise refuse("InvalidXml", "DTDs are not accepted. ")
    try:
        envelope = ElementTree.fromstring(raw)
    except ElementTree.ParseError as error:
        raise refuse("InvalidXml", f"({error}) ") from error
    if not envelope.tag.endswith("}Envelope"):
        raise refuse("SchemaValidationError")
    if envelope.tag != tag("s", "Envelope"):
        raise refuse("VersionMismatch")
    return envelope


def parse_request(envelope: Node) -> Request:
    """Return what the envelope asks for; raises WsmanFault for headers that are missing, malformed or unknown."""
    header, body = envelope.find(tag("s", "Header")), envelope.find(tag("s", "Body"))
    if header is None or body is None or len(body) > 1:
        raise refuse("SchemaValidationError")
    _check_headers(header)
    return Request(
        action=_text(header, "a", "Action"),
        message_id=_text(header, "a", "MessageID"),
        resource_uri=_text(header, "w", "ResourceURI"),
        selectors=parse_selectors(header.find(tag("w", "SelectorSet"))),
        envelope_bytes=_envelope_bytes(header),
        timeout_seconds=_seconds(_text(header, "w", "OperationTimeout")),
        body=body[0] if len(body) else None,
        fragment=header.find(tag("w", "FragmentTransfer")) is not None,
        options=_options(header.find(tag("w", "OptionSet"))),
    )


def message_id_of(raw: bytes) -> str:
    """Return the MessageID of a message that could not be read any further, or nothing."""
    try:
        return ElementTree.fromstring(raw).findtext(f"{tag('s', 'Header')}/{tag('a', 'MessageID')}", "").strip()
    except ElementTree.ParseError:
        return ""


def parse_selectors(selector_set: Node | None) -> dict[str, str]:
    """Return the selectors of a SelectorSet; raises WsmanFault when one comes twice or has no name."""
    selectors: dict[str, str] = {}
    for selector in selector_set if selector_set is not None else ():
        name = selector.get("Name")
        if selector.tag != tag("w", "Selector") or not name:
            raise refuse("SchemaValidationError")
        if name.lower() in map(str.lower, selectors):
            raise refuse("UnexpectedSelectors", f"The selector {name} comes twice. ")
        selectors[name] = selector.text or ""
    return selectors


def _options(option_set: Node | None) -> dict[str, str]:
    options: dict[str, str] = {}
    for option in option_set if option_set is not None else ():
        if option.tag != tag("w", "Option") or not option.get("Name"):
            raise refuse("SchemaValidationError")
        options[str(option.get("Name"))] = option.text or ""
    return options


def _check_headers(header: Node) -> None:
    for name in REQUIRED_HEADERS:
        if header.find(tag("a", name)) is None:
            raise refuse("MessageInformationHeaderRequired", f"The header {name} is missing. ")
    for name in ("Action", "MessageID"):
        if not _text(header, "a", name):
            raise refuse("InvalidHeader", f"The header {name} is empty. ")
    if header.findtext(f"{tag('a', 'ReplyTo')}/{tag('a', 'Address')}", "").strip() != ANONYMOUS:
        raise refuse("InvalidHeader", "ReplyTo is not the anonymous address. ")
    understood = {tag(prefix, name) for prefix, name in UNDERSTOOD}
    for child in header:
        if child.get(tag("s", "mustUnderstand"), "").lower() in ("true", "1") and child.tag not in understood:
            raise refuse("MustUnderstand", f"It is {child.tag}. ")


def _text(header: Node, prefix: str, name: str) -> str:
    return header.findtext(tag(prefix, name), "").strip()


def _envelope_bytes(header: Node) -> int:
    text = _text(header, "w", "MaxEnvelopeSize")
    if not text:
        return DEFAULT_ENVELOPE_BYTES
    if not text.isdigit():
        raise refuse("InvalidHeader", "MaxEnvelopeSize is no number. ")
    size = int(text)
    if size < LEAST_ENVELOPE_BYTES:
        raise refuse("EnvelopeTooSmall")
    if size > MOST_ENVELOPE_BYTES:
        raise refuse("EnvelopeTooLarge")
    return size


def _seconds(duration: str) -> float:
    if not duration:
        return DEFAULT_TIMEOUT_SECONDS
    match = _DURATION.match(duration)
    if not match or duration == "PT":
        raise refuse("InvalidHeader", f"OperationTimeout {duration} is no duration. ")
    return float(match["hours"] or 0) * 3600 + float(match["minutes"] or 0) * 60 + float(match["seconds"] or 0)


def answer(action: str, relates_to: str, body: Iterable[str]) -> bytes:
    """Return the envelope of an answer around the serialised body."""
    return _envelope(action, relates_to, "".join(body))


def plain_answer(body: str) -> bytes:
    """Return an envelope without addressing headers, as Identify has it."""
    return f'<s:Envelope xml:lang="en-US"{declare("s")}><s:Header/><s:Body>{body}</s:Body></s:Envelope>'.encode()


def fault_answer(fault: WsmanFault | ProviderFault, relates_to: str, machine: str, operation: str) -> bytes:
    """Return the envelope of a fault."""
    body = _provider_fault(fault, machine, operation) if isinstance(fault, ProviderFault) else _service_fault(fault, machine)
    return _envelope(FAULT_ACTION, relates_to, body)


def declare(*prefixes: str) -> str:
    """Return the namespace declarations of the prefixes as attributes."""
    return "".join(f' xmlns:{prefix}="{PREFIXES[prefix]}"' for prefix in prefixes)


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    related = f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>" if relates_to else ""
    return (
        f'<s:Envelope xml:lang="en-US"{declare("s", "a", "x", "n", "w", "p")}><s:Header>'
        f"<a:Action>{escape(action)}</a:Action><a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        f"<a:To>{ANONYMOUS}</a:To>{related}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def _service_fault(fault: WsmanFault, machine: str) -> str:
    kind = fault.kind
    detail = f"<w:FaultDetail>{FAULT_DETAIL}{kind.detail}</w:FaultDetail>" if kind.detail else ""
    return _fault(
        kind.side,
        kind.subcode,
        fault.text,
        f'{detail}<f:WSManFault{declare("f")} Code="{kind.code}" Machine={quoteattr(machine)}>'
        f"<f:Message>{escape(fault.text)}</f:Message></f:WSManFault>",
    )


def _provider_fault(fault: ProviderFault, machine: str, operation: str) -> str:
    message = escape(fault.message)
    return _fault(
        "s:Receiver",
        "w:InternalError",
        fault.message,
        f'<e:MSFT_WmiError{declare("e", "xsi")} xsi:type="e:MSFT_WmiError_Type"><e:CIMStatusCode>1</e:CIMStatusCode>'
        f"<e:error_Category>16</e:error_Category><e:error_Code>{fault.code}</e:error_Code><e:error_Type>HRESULT</e:error_Type>"
        f"<e:error_WindowsErrorMessage>{message}</e:error_WindowsErrorMessage><e:Message>{message}</e:Message>"
        f"<e:MessageID>HRESULT 0x{fault.code:08x}</e:MessageID><e:OwningEntity>{escape(operation)}</e:OwningEntity>"
        f"<e:PerceivedSeverity>0</e:PerceivedSeverity></e:MSFT_WmiError>"
        f'<f:WSManFault{declare("f")} Code="{fault.code}" Machine={quoteattr(machine)}><f:Message>'
        f'<f:ProviderFault provider="WMI Provider" path="%systemroot%\\system32\\WsmWmiPl.dll">{message}</f:ProviderFault>'
        f"</f:Message></f:WSManFault>",
    )


def _fault(side: str, subcode: str, text: str, detail: str) -> str:
    prefix = subcode.partition(":")[0]
    declared = declare(prefix) if prefix in ("wsa", "wsen", "wxf") else ""
    inner = f"<s:Subcode><s:Value{declared}>{subcode}</s:Value></s:Subcode>" if subcode else ""
    return (
        f"<s:Fault><s:Code><s:Value>{side}</s:Value>{inner}</s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{escape(text)}</s:Text></s:Reason><s:Detail>{detail}</s:Detail></s:Fault>'
    )
