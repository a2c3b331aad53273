# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WS-Management service of one machine: Identify, enumerations, Get, Put and the methods of CIM classes (DSP0226, DSP0227)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.lab.hyperv.cim import Instance, ObjectPath
from tests.lab.hyperv.faults import refuse
from tests.lab.hyperv.mof import CimClass
from tests.lab.hyperv.namespaces import Call, Namespace, check_keys
from tests.lab.hyperv.shells import CMD, RSP, Shells
from tests.lab.hyperv.soap import MOST_ENVELOPE_BYTES, Node, Request, answer, declare, plain_answer, tag
from tests.lab.hyperv.wql import Select, WqlError, parse
from tests.lab.hyperv.xml_values import (
    WMI,
    epr_xml,
    fragment_xml,
    instance_xml,
    output_xml,
    parse_input,
    parse_instance,
    parse_scalar,
    selector_path,
    split_uri,
)

TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer/"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/"
WQL_DIALECT = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
CONFIG_URI = "http://schemas.microsoft.com/wbem/wsman/1/config"
POLYMORPHISM = ("IncludeSubClassProperties", "ExcludeSubClassProperties", "None")
MODES = ("EnumerateObject", "EnumerateEPR", "EnumerateObjectAndEPR")
MAX_BATCH_ITEMS = 32000
MAX_TIMEOUT_MS = 60000
CONTEXT_SECONDS = 240.0
ENVELOPE_OVERHEAD_BYTES = 1600

VERBS: Mapping[str, str] = {
    **{TRANSFER + verb: verb for verb in ("Get", "Put", "Create", "Delete")},
    **{ENUMERATION + verb: verb for verb in ("Enumerate", "Pull", "Release")},
}


@dataclass
class _Enumeration:
    items: list[str]
    expires: float


@dataclass(frozen=True)
class Operation:
    """How the request log and the faults know a request."""

    method: str
    path: str

    @property
    def signature(self) -> str:
        """The text that a fault's ``match`` is compared with."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Product:
    """What Identify tells."""

    version: str
    vendor: str = "Microsoft Corporation"


def identify(product: Product | None) -> bytes:
    """Return the answer to Identify; without a product (an anonymous client) the version says nothing."""
    version = product.version if product else "OS: 0.0.0 SP: 0.0 Stack: 3.0"
    vendor = product.vendor if product else "Microsoft Corporation"
    return plain_answer(
        f"<wsmid:IdentifyResponse{declare('wsmid')}><wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
        f"</wsmid:ProtocolVersion><wsmid:ProductVendor>{escape(vendor)}</wsmid:ProductVendor>"
        f"<wsmid:ProductVersion>{escape(version)}</wsmid:ProductVersion></wsmid:IdentifyResponse>"
    )


class Service:
    """One machine's service; ``namespaces`` are looked up by their lower-case name with slashes."""

    def __init__(
        self, machine: str, namespaces: Mapping[str, Namespace], shells: Shells, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.machine = machine
        self.shells = shells
        self._namespaces = namespaces
        self._clock = clock
        self._enumerations: dict[str, _Enumeration] = {}

    def operation(self, request: Request) -> Operation:
        """Return how to log the request."""
        verb = VERBS.get(request.action) or request.action.rpartition("/")[2]
        place = request.resource_uri[len(WMI) :] if request.resource_uri.lower().startswith(WMI) else request.resource_uri
        query = _filter_text(request.body) or ",".join(f"{name}={value}" for name, value in request.selectors.items())
        return Operation(verb, f"/{self.machine}/{place}" + (f"?{query}" if query else ""))

    def answer(self, request: Request) -> bytes:
        """Return the answer; raises WsmanFault or ProviderFault."""
        if request.fragment:
            raise refuse("InvalidHeader", "Fragment-level access is not supported by the lab. ")
        verb = VERBS.get(request.action)
        if request.resource_uri.startswith(RSP):
            return self._reply(request, self._of_shell(request))
        if verb == "Get" and request.resource_uri == CONFIG_URI:
            return self._reply(request, _config())
        if verb in ("Create", "Delete"):
            raise refuse("ActionNotSupported")
        handlers: Mapping[str | None, Callable[[Request], str]] = {
            "Get": self._get,
            "Put": self._put,
            "Enumerate": self._enumerate,
            "Pull": self._pull,
            "Release": self._release,
            None: self._invoke,
        }
        body = handlers[verb](request)
        reply = self._reply(request, body)
        if len(reply) > request.envelope_bytes:
            raise refuse("EncodingLimit")
        return reply

    def _of_shell(self, request: Request) -> str:
        if request.resource_uri != CMD:
            raise refuse("DestinationUnreachable", f"There is no shell {request.resource_uri}. ")
        space, _between, verb = request.action.rpartition("/")
        known = space == RSP or request.action in (TRANSFER + "Create", TRANSFER + "Delete")
        return self.shells.answer(request, verb if known else "")

    def _reply(self, request: Request, body: str) -> bytes:
        return answer(f"{request.action}Response", request.message_id, (body,))

    def _get(self, request: Request) -> str:
        namespace, cim_class = self._class(request)
        return instance_xml(namespace.name, namespace.find(_selected(request, namespace, cim_class)))

    def _put(self, request: Request) -> str:
        namespace, cim_class = self._class(request)
        if request.body is None:
            raise refuse("SchemaValidationError")
        path = _selected(request, namespace, cim_class)
        instance = namespace.find(path)
        values = parse_instance(request.body, request.resource_uri, cim_class, namespace.schema)
        writable = {name for name, element in cim_class.properties.items() if "write" in element.qualifiers}
        changed = {name: value for name, value in values.items() if name in writable}
        frozen = {name for name, value in values.items() if name not in writable and value is not None and value != instance.get(name)}
        if frozen:
            raise refuse("InvalidParameter", f"{', '.join(sorted(frozen))} is read-only. ")
        namespace.putter(instance.cim_class)(instance, changed)
        return instance_xml(namespace.name, namespace.find(path))

    def _invoke(self, request: Request) -> str:
        uri, _between, name = request.action.rpartition("/")
        if uri.lower() != request.resource_uri.lower():
            raise refuse("ActionNotSupported")
        namespace, cim_class = self._class(request)
        method = cim_class.method(name)
        if method is None:
            raise refuse("ActionNotSupported", f"{cim_class.name} has no method {name}. ")
        arguments = parse_input(request.body, request.resource_uri, method, namespace.schema)
        instance = None if method.static else namespace.find(_selected(request, namespace, cim_class))
        values = namespace.handler(instance.cim_class if instance else cim_class, method)(Call(instance, arguments))
        return output_xml(namespace.name, cim_class.name, method, values)

    def _enumerate(self, request: Request) -> str:
        body = request.body
        if body is None or body.tag != tag("n", "Enumerate"):
            raise refuse("SchemaValidationError")
        wish = _wish(body)
        items = [wish.render(item) for item in self._find(request, wish)]
        if not wish.optimize:
            return f"<n:EnumerateResponse>{self._context(items)}</n:EnumerateResponse>"
        batch, rest = _batch(items, wish.max_elements, request.envelope_bytes)
        return (
            f"<n:EnumerateResponse>{self._context(rest) if rest else '<n:EnumerationContext/>'}"
            f"<w:Items>{''.join(batch)}</w:Items>{'' if rest else '<w:EndOfSequence/>'}</n:EnumerateResponse>"
        )

    def _find(self, request: Request, wish: _Wish) -> list[tuple[Namespace, Instance, tuple[str, ...]]]:
        namespace_name, class_name = split_uri(request.resource_uri)
        namespace = self._namespace(namespace_name)
        if request.selectors:
            raise refuse("UnexpectedSelectors", "An enumeration takes none. ")
        if wish.query is None:
            cim_class = namespace.cim_class(class_name)
            if cim_class is None:
                raise refuse("DestinationUnreachable")
            return [(namespace, instance, ()) for instance in namespace.instances(cim_class)]
        if class_name != "*":
            raise refuse("CannotProcessFilter", "A query goes to the whole namespace (*). ")
        try:
            query = parse(wish.query)
            found = namespace.select(query) if isinstance(query, Select) else namespace.walk(query)
        except WqlError as error:
            raise refuse("CannotProcessFilter", f"Invalid query: {error}. ") from error
        columns = query.columns if isinstance(query, Select) else ()
        return [(namespace, instance, columns) for instance in found]

    def _pull(self, request: Request) -> str:
        body = request.body
        if body is None or body.tag != tag("n", "Pull"):
            raise refuse("SchemaValidationError")
        _only(body, ("n", "EnumerationContext"), ("n", "MaxElements"), ("n", "MaxCharacters"), ("n", "MaxTime"))
        context = body.findtext(tag("n", "EnumerationContext"), "").strip()
        enumeration = self._open(context)
        batch, rest = _batch(enumeration.items, _count(body.findtext(tag("n", "MaxElements"))), request.envelope_bytes)
        if rest:
            enumeration.items, enumeration.expires = rest, self._clock() + CONTEXT_SECONDS
            tail = f"<n:EnumerationContext>{context}</n:EnumerationContext>"
            return f"<n:PullResponse>{tail}<n:Items>{''.join(batch)}</n:Items></n:PullResponse>"
        del self._enumerations[context]
        return f"<n:PullResponse><n:Items>{''.join(batch)}</n:Items><n:EndOfSequence/></n:PullResponse>"

    def _release(self, request: Request) -> str:
        body = request.body
        if body is None or body.tag != tag("n", "Release"):
            raise refuse("SchemaValidationError")
        context = body.findtext(tag("n", "EnumerationContext"), "").strip()
        self._open(context)
        del self._enumerations[context]
        return ""

    def _open(self, context: str) -> _Enumeration:
        """Return what a context stands for; whichever resource URI the client names beside it says nothing."""
        now = self._clock()
        for stale in [name for name, enumeration in self._enumerations.items() if enumeration.expires < now]:
            del self._enumerations[stale]
        enumeration = self._enumerations.get(context)
        if enumeration is None:
            raise refuse("InvalidEnumerationContext")
        return enumeration

    def _context(self, items: list[str]) -> str:
        name = f"uuid:{str(uuid.uuid4()).upper()}"
        self._enumerations[name] = _Enumeration(items, self._clock() + CONTEXT_SECONDS)
        return f"<n:EnumerationContext>{name}</n:EnumerationContext>"

    def _class(self, request: Request) -> tuple[Namespace, CimClass]:
        namespace_name, class_name = split_uri(request.resource_uri)
        namespace = self._namespace(namespace_name)
        cim_class = namespace.cim_class(class_name)
        if cim_class is None:
            raise refuse("DestinationUnreachable")
        return namespace, cim_class

    def _namespace(self, name: str) -> Namespace:
        if name not in self._namespaces:
            raise refuse("DestinationUnreachable", f"The namespace {name} does not exist. ")
        return self._namespaces[name]


@dataclass(frozen=True)
class _Wish:
    query: str | None
    optimize: bool
    max_elements: int
    mode: str

    def render(self, found: tuple[Namespace, Instance, tuple[str, ...]]) -> str:
        namespace, instance, columns = found
        if self.mode == "EnumerateEPR":
            return epr_xml(namespace.name, instance.path)
        body = fragment_xml(namespace.name, instance, columns) if columns else instance_xml(namespace.name, instance)
        return f"<w:Item>{body}{epr_xml(namespace.name, instance.path)}</w:Item>" if self.mode == "EnumerateObjectAndEPR" else body


def _wish(body: Node) -> _Wish:
    allowed = ("OptimizeEnumeration", "MaxElements", "Filter", "EnumerationMode")
    _only(body, *(("w", name) for name in allowed), ("b", "PolymorphismMode"), ("n", "Expires"), ("n", "Filter"))
    dialect = body.find(tag("w", "Filter"))
    if body.find(tag("n", "Filter")) is not None:
        raise refuse("DialectUnavailable", "The filter of WS-Management is w:Filter. ")
    if dialect is not None and dialect.get("Dialect") != WQL_DIALECT:
        raise refuse("DialectUnavailable")
    mode = body.findtext(tag("w", "EnumerationMode"), MODES[0]).strip()
    if mode not in MODES or body.findtext(tag("b", "PolymorphismMode"), POLYMORPHISM[0]).strip() not in POLYMORPHISM:
        raise refuse("SchemaValidationError")
    return _Wish(
        (dialect.text or "") if dialect is not None else None,
        body.find(tag("w", "OptimizeEnumeration")) is not None,
        _count(body.findtext(tag("w", "MaxElements"))),
        mode,
    )


def _only(body: Node, *allowed: tuple[str, str]) -> None:
    names = {tag(prefix, name) for prefix, name in allowed}
    if stranger := next((child.tag for child in body if child.tag not in names), None):
        raise refuse("SchemaValidationError", f"{stranger} is not expected. ")


def _count(text: str | None) -> int:
    """Return how many items may come at once: one when the client does not say."""
    if text is None:
        return 1
    if not text.strip().isdigit() or int(text) < 1:
        raise refuse("SchemaValidationError", "MaxElements is a positive number. ")
    return min(int(text), MAX_BATCH_ITEMS)


def _batch(items: list[str], count: int, envelope_bytes: int) -> tuple[list[str], list[str]]:
    """Split the items into those that fit into one envelope, and the rest; raises WsmanFault when not even one fits."""
    room = envelope_bytes - ENVELOPE_OVERHEAD_BYTES
    taken = 0
    for item in items[:count]:
        room -= len(item.encode())
        if room < 0:
            break
        taken += 1
    if items and not taken:
        raise refuse("EncodingLimit")
    return items[:taken], items[taken:]


def _selected(request: Request, namespace: Namespace, cim_class: CimClass) -> ObjectPath:
    """Return the path that the selectors of the request name, its values in the types of the keys."""
    path = selector_path(cim_class.name, namespace.name, request.selectors)
    check_keys(cim_class, path)
    for name, value in path.keys:
        parse_scalar(cim_class.properties[cim_class.folded[name.lower()]], str(value))
    return path


def _filter_text(body: Node | None) -> str:
    return "" if body is None else body.findtext(tag("w", "Filter"), "")


def _config() -> str:
    return (
        f'<cfg:Config{declare("cfg")} xml:lang="en-US"><cfg:MaxEnvelopeSizekb>{MOST_ENVELOPE_BYTES // 1024}</cfg:MaxEnvelopeSizekb>'
        f"<cfg:MaxTimeoutms>{MAX_TIMEOUT_MS}</cfg:MaxTimeoutms><cfg:MaxBatchItems>{MAX_BATCH_ITEMS}</cfg:MaxBatchItems></cfg:Config>"
    )
