# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Windows machines inside this process, for unit tests: the services without a network."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tests.lab import world
from tests.lab.hyperv.estate import Estate
from tests.lab.hyperv.fabric import WorldFabric
from tests.lab.hyperv.faults import ProviderFault, WsmanFault
from tests.lab.hyperv.installation import service
from tests.lab.hyperv.soap import ANONYMOUS, Node, declare, parse_envelope, parse_request, tag
from tests.lab.hyperv.wsman import ENUMERATION, TRANSFER, WQL_DIALECT, Service
from tests.lab.hyperv.xml_values import WMI

CIMV2, VIRTUALIZATION, STORAGE, CLUSTER = "root/cimv2", "root/virtualization/v2", "root/microsoft/windows/storage", "root/mscluster"
Selectors = Mapping[str, str]
Refused = (WsmanFault, ProviderFault)


class Lab:
    """All machines over the default world, or a bigger one."""

    def __init__(self, vms: int = 0, disks: int = 1) -> None:
        self.world = world.build(world.Size(vms, disks))
        self.fabric = WorldFabric(self.world["array"])
        self.estate = Estate(self.world["hyperv"], self.fabric, 0.0)
        self.clients = {name: Client(self.estate, service(self.estate, name)) for name in self.estate.machines}

    def set_cluster_service(self, name: str, state: str) -> None:
        """Let the cluster service of a host be in a state of `machines`."""
        self.estate.set_cluster_service(name, state)
        self.clients[name].service = service(self.estate, name)

    def map_lun(self, group: str, lun: str = "/vol/vol_dev/spare", number: int = 77) -> str:
        """Show a LUN to an initiator group; return its NAA name."""
        groups: list[dict[str, Any]] = self.world["array"]["svms"][0]["igroups"]
        next(row for row in groups if row["name"] == group)["maps"].append({"lun": lun, "id": number})
        return world.naa_at(lun)


class Client:
    """Speaks to one machine."""

    def __init__(self, estate: Estate, machine: Service) -> None:
        self._estate = estate
        self.service = machine
        self._numbers = itertools.count(1)

    def ask(
        self, action: str, uri: str, body: str = "", *, selectors: Selectors | None = None, headers: str = "", size: int = 512000
    ) -> Node:
        """Send one message and return the body of the answer; raises WsmanFault and ProviderFault."""
        raw = envelope(action, uri, body, f"uuid:{next(self._numbers)}", selectors or {}, headers, size)
        self._estate.timeline.settle()
        answer = parse_envelope(self.service.answer(parse_request(parse_envelope(raw))))
        found = answer.find(tag("s", "Body"))
        assert found is not None
        return found

    def query(self, namespace: str, wql: str, **limits: Any) -> list[dict[str, Any]]:
        """Return the items of a WQL query, following its pulls, as values by property."""
        return [_values(item) for item in self.items(namespace, wql, **limits)]

    def items(self, namespace: str, wql: str, *, count: int = 32000, size: int = 512000) -> list[Node]:
        """Return the items of a WQL query as XML."""
        uri = f"{WMI}{namespace}/*"
        wish = f'<w:OptimizeEnumeration/><w:MaxElements>{count}</w:MaxElements><w:Filter Dialect="{WQL_DIALECT}">{escape(wql)}</w:Filter>'
        answer = self.ask(f"{ENUMERATION}Enumerate", uri, f"<n:Enumerate>{wish}</n:Enumerate>", size=size)[0]
        items = _children(answer, "w")
        while context := answer.findtext(tag("n", "EnumerationContext"), ""):
            pull = f"<n:Pull><n:EnumerationContext>{context}</n:EnumerationContext><n:MaxElements>{count}</n:MaxElements></n:Pull>"
            answer = self.ask(f"{ENUMERATION}Pull", uri, pull, size=size)[0]
            items += _children(answer, "n")
        return items

    def get(self, namespace: str, class_name: str, **keys: str) -> dict[str, Any]:
        """Return one instance."""
        return _values(self.ask(f"{TRANSFER}Get", f"{WMI}{namespace}/{class_name}", selectors=keys)[0])

    def put(self, namespace: str, class_name: str, keys: Selectors, inner: str) -> dict[str, Any]:
        """Write an instance, given the XML of its properties under the prefix v."""
        uri = f"{WMI}{namespace}/{class_name}"
        return _values(self.ask(f"{TRANSFER}Put", uri, f'<v:{class_name} xmlns:v="{uri}">{inner}</v:{class_name}>', selectors=keys)[0])

    def invoke(self, namespace: str, class_name: str, method: str, keys: Selectors | None = None, **arguments: Any) -> dict[str, Any]:
        """Call a method; lists become arrays, dictionaries endpoint references ``{"class", "keys"}``."""
        uri = f"{WMI}{namespace}/{class_name}"
        inner = "".join(_argument(namespace, name, value) for name, value in arguments.items() if value is not None)
        return _values(self.ask(f"{uri}/{method}", uri, f'<v:{method}_INPUT xmlns:v="{uri}">{inner}</v:{method}_INPUT>', selectors=keys)[0])


def _children(answer: Node, prefix: str) -> list[Node]:
    found = answer.find(tag(prefix, "Items"))
    return [] if found is None else list(found)


def envelope(action: str, uri: str, body: str, message_id: str, selectors: Selectors, headers: str = "", size: int = 512000) -> bytes:
    """Return a request as a well-behaved client writes it."""
    chosen = "".join(f"<w:Selector Name={quoteattr(name)}>{escape(value)}</w:Selector>" for name, value in selectors.items())
    return (
        f"<s:Envelope{declare('s', 'a', 'w', 'n', 'p', 'b')}><s:Header><a:To>http://windows-host:5986/wsman</a:To>"
        f'<w:ResourceURI s:mustUnderstand="true">{uri}</w:ResourceURI><a:Action s:mustUnderstand="true">{action}</a:Action>'
        f"<a:ReplyTo><a:Address>{ANONYMOUS}</a:Address></a:ReplyTo><a:MessageID>{message_id}</a:MessageID>"
        f'<w:MaxEnvelopeSize s:mustUnderstand="true">{size}</w:MaxEnvelopeSize><w:OperationTimeout>PT20S</w:OperationTimeout>'
        f"<w:SelectorSet>{chosen}</w:SelectorSet>{headers}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def reference(class_name: str, **keys: str) -> dict[str, Any]:
    """Return an argument that is an endpoint reference."""
    return {"class": class_name, "keys": keys}


def cim_xml(class_name: str, **properties: str | Sequence[str]) -> str:
    """Return an embedded instance; numbers are uint16, as resource types are."""
    members = "".join(_member(name, value) for name, value in properties.items())
    return f'<INSTANCE CLASSNAME="{class_name}">{members}</INSTANCE>'


def _member(name: str, value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        kind = "uint16" if value.isdigit() and name == "ResourceType" else "string"
        return f'<PROPERTY NAME="{name}" TYPE="{kind}"><VALUE>{escape(value)}</VALUE></PROPERTY>'
    values = "".join(f"<VALUE>{escape(item)}</VALUE>" for item in value)
    return f'<PROPERTY.ARRAY NAME="{name}" TYPE="string"><VALUE.ARRAY>{values}</VALUE.ARRAY></PROPERTY.ARRAY>'


def _argument(namespace: str, name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_argument(namespace, name, item) for item in value)
    if isinstance(value, dict):
        selectors = "".join(f"<w:Selector Name={quoteattr(key)}>{escape(text)}</w:Selector>" for key, text in value["keys"].items())
        return (
            f"<v:{name}><a:Address>{ANONYMOUS}</a:Address><a:ReferenceParameters><w:ResourceURI>{WMI}{namespace}/{value['class']}"
            f"</w:ResourceURI><w:SelectorSet>{selectors}</w:SelectorSet></a:ReferenceParameters></v:{name}>"
        )
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<v:{name}>{escape(text)}</v:{name}>"


def _values(item: Node) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for child in item:
        name, value = child.tag.rpartition("}")[2], _value(child)
        values[name] = value if name not in values else [*_listed(values[name]), value]
    return values


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _value(node: Node) -> Any:
    if node.get(tag("xsi", "nil")) == "true":
        return None
    selectors = node.findall(f".//{tag('w', 'Selector')}")
    if selectors:
        return {str(selector.get("Name")): selector.text or "" for selector in selectors}
    if len(node) == 1 and not len(node[0]) and node[0].tag.rpartition("}")[2] in ("Datetime", "Interval"):
        return node[0].text
    return _values(node) if len(node) else node.text or ""
