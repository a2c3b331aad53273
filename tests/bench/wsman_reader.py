# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The least that reading a Windows host's WMI can cost: the queries that a module sends, sent again and only walked through.

``python -m tests.bench.wsman_reader lxml`` parses with bare lxml and keeps nothing; ``… pypsrp`` has pypsrp, a client by others, make its
elements of them. A ``Task`` as JSON comes by standard input; printed is how many instances were in the replies.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

MAX_ELEMENTS = 32000
ENVELOPE_SIZE = 512000

_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
_WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
_WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi"
_WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"


@dataclass(frozen=True)
class Task:
    """Where to read, and what."""

    hostname: str
    port: int
    username: str
    password: str
    ca_path: str
    queries: Sequence[tuple[str, str]]
    """Namespace and WQL."""


def read_with_lxml(task: Task) -> int:
    """Fetch and walk; return the number of instances."""
    import requests
    from lxml import etree

    def page(action: str, namespace: str, body: str) -> tuple[int, str]:
        message = _envelope(url, action, f"{_WMI}/{namespace}/*", body)
        reply = session.post(url, message.encode(), headers={"Content-Type": "application/soap+xml;charset=UTF-8"}, verify=task.ca_path)
        reply.raise_for_status()
        root = etree.fromstring(reply.content, etree.XMLParser(huge_tree=True))
        for _part in root.iter():
            pass
        items = [*root.iter(f"{{{_WSMAN}}}Items"), *root.iter(f"{{{_ENUMERATION}}}Items")]
        return sum(len(found) for found in items), str(root.findtext(f".//{{{_ENUMERATION}}}EnumerationContext") or "")

    def pages(namespace: str, query: str) -> int:
        total, context = page("Enumerate", namespace, _enumerate(query))
        while context:
            more, context = page("Pull", namespace, _pull(context))
            total += more
        return total

    url = f"https://{task.hostname}:{task.port}/wsman"
    with requests.Session() as session:
        session.trust_env = False
        session.auth = (task.username, task.password)
        return sum(pages(namespace, query) for namespace, query in task.queries)


def _envelope(url: str, action: str, resource_uri: str, body: str) -> str:
    header = (
        f'<a:To>{url}</a:To><w:ResourceURI s:mustUnderstand="true">{resource_uri}</w:ResourceURI>'
        f'<a:Action s:mustUnderstand="true">{_ENUMERATION}/{action}</a:Action><a:MessageID>uuid:{uuid.uuid4()}</a:MessageID>'
        f"<a:ReplyTo><a:Address>{_ADDRESSING}/role/anonymous</a:Address></a:ReplyTo>"
        f'<w:MaxEnvelopeSize s:mustUnderstand="true">{ENVELOPE_SIZE}</w:MaxEnvelopeSize><w:OperationTimeout>PT60S</w:OperationTimeout>'
    )
    names = f'xmlns:s="{_SOAP}" xmlns:a="{_ADDRESSING}" xmlns:n="{_ENUMERATION}" xmlns:w="{_WSMAN}"'
    return f"<s:Envelope {names}><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"


def _enumerate(query: str) -> str:
    wish = f'<w:OptimizeEnumeration/><w:MaxElements>{MAX_ELEMENTS}</w:MaxElements><w:Filter Dialect="{_WQL}">{escape(query)}</w:Filter>'
    return f"<n:Enumerate>{wish}</n:Enumerate>"


def _pull(context: str) -> str:
    wish = f"<n:EnumerationContext>{escape(context)}</n:EnumerationContext><n:MaxElements>{MAX_ELEMENTS}</n:MaxElements>"
    return f"<n:Pull>{wish}</n:Pull>"


def read_with_pypsrp(task: Task) -> int:
    """Have pypsrp fetch and build its elements; return the number of instances."""
    import xml.etree.ElementTree as ET

    from pypsrp.wsman import NAMESPACES, WSMan

    enumeration, wsman = NAMESPACES["wsen"], NAMESPACES["wsman"]

    def pages(client: WSMan, namespace: str, query: str) -> int:
        wish = ET.Element(f"{{{enumeration}}}Enumerate")
        ET.SubElement(wish, f"{{{wsman}}}OptimizeEnumeration")
        ET.SubElement(wish, f"{{{wsman}}}MaxElements").text = str(MAX_ELEMENTS)
        ET.SubElement(wish, f"{{{wsman}}}Filter", Dialect=_WQL).text = query
        uri = f"{_WMI}/{namespace}/*"
        body = client.enumerate(uri, wish)
        total = len(body.find("wsen:EnumerateResponse/wsman:Items", NAMESPACES) or ())
        context = body.findtext("wsen:EnumerateResponse/wsen:EnumerationContext", "", NAMESPACES)
        while context:
            pull = ET.Element(f"{{{enumeration}}}Pull")
            ET.SubElement(pull, f"{{{enumeration}}}EnumerationContext").text = context
            ET.SubElement(pull, f"{{{enumeration}}}MaxElements").text = str(MAX_ELEMENTS)
            body = client.pull(uri, pull)
            total += len(body.find("wsen:PullResponse/wsen:Items", NAMESPACES) or ())
            context = body.findtext("wsen:PullResponse/wsen:EnumerationContext", "", NAMESPACES)
        return total

    with WSMan(
        task.hostname,
        port=task.port,
        username=task.username,
        password=task.password,
        auth="basic",
        ssl=True,
        cert_validation=task.ca_path,  # type: ignore[arg-type]  # a path is taken, too
        max_envelope_size=ENVELOPE_SIZE,
        no_proxy=True,
    ) as client:
        return sum(pages(client, namespace, query) for namespace, query in task.queries)


READERS: Mapping[str, Callable[[Task], int]] = {"lxml": read_with_lxml, "pypsrp": read_with_pypsrp}


if __name__ == "__main__":
    print(READERS[sys.argv[1]](Task(**json.load(sys.stdin))))
