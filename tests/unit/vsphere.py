# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vSphere's side of the wire for unit tests.

Replies are serialised by pyvmomi from its own types; the endpoint answers with what it is told.
"""

from __future__ import annotations

import io
import re
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl
from pyVmomi.SoapAdapter import SerializeFaultDetail, SerializeToStr
from pyVmomi.VmomiSupport import GetWsdlType, Object

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ObjectRecord, ReplyStream
from tests.lab.certificates import Certificates

SESSION = 'vmware_soap_session="the session"'
VERSION = "vim.version.v8_0_2_0"
PASSWORD = "a&<b>\"c'"

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>'
)
_METHOD = re.compile(rb"<soapenv:Body><(\w+)|<\w+:Body>\s*<(\w+)")


def reply(method: str, value: Any = None) -> bytes:
    """The answer to a call with this result."""
    returned = "" if value is None else SerializeToStr(value, Object(name="returnval", type=object, version=VERSION, flags=0), VERSION)
    return _ENVELOPE.format(f'<{method}Response xmlns="urn:vim25">{returned}</{method}Response>').encode()


def fault(value: Any) -> bytes:
    """The answer to a call that ends in this fault."""
    detail = SerializeFaultDetail(value, Object(name=f"{type(value)._wsdlName}Fault", type=object, version=VERSION, flags=0), VERSION)
    return _ENVELOPE.format(
        f"<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{value.msg}</faultstring><detail>{detail}</detail></soapenv:Fault>"
    ).encode()


def array(wsdl_name: str, items: list[Any]) -> Any:
    """An array as the property collector gives it, such as ArrayOfVirtualDevice."""
    return GetWsdlType("urn:vim25", f"ArrayOf{wsdl_name}")(items)


def managed(wsdl_name: str, moid: str) -> Any:
    """A reference to a managed object."""
    return GetWsdlType("urn:vim25", wsdl_name)(moid)


def contents(wsdl_name: str, moid: str, properties: Mapping[str, Any], missing: Mapping[str, str] | None = None) -> Any:
    """One object of a property collector's answer; `missing` is property path → why it cannot be read."""
    collector = vmodl.query.PropertyCollector
    values = [vmodl.DynamicProperty(name=path, val=value) for path, value in properties.items()]
    lacking = [collector.MissingProperty(path=path, fault=vmodl.fault.SecurityError(msg=why)) for path, why in (missing or {}).items()]
    return collector.ObjectContent(obj=managed(wsdl_name, moid), propSet=values, missingSet=lacking)


def page(objects: list[Any], token: str | None = None, method: str = "RetrievePropertiesEx") -> bytes:
    """One page of a property collector's answer, which has no result at all when nothing matches."""
    return reply(method, vmodl.query.PropertyCollector.RetrieveResult(token=token, objects=objects) if objects else None)


def record(wsdl_name: str, moid: str, properties: Mapping[str, Any], missing: Mapping[str, str] | None = None) -> ObjectRecord:
    """One object as it arrives over the wire."""
    (found,) = ReplyStream(io.BytesIO(page([contents(wsdl_name, moid, properties, missing)])))
    return found


@dataclass
class Answer:
    """How the endpoint treats one call."""

    body: bytes = b""
    status: int = 200
    truncate: int | None = None
    """Close the connection after so many bytes of the body."""
    drop: bool = False
    """Close the connection instead of answering."""
    delay: float = 0.0
    """Seconds before the answer."""
    cookie: str = ""
    """What it sets with the answer."""
    before: Callable[[], None] = lambda: None
    """What happens when the call has come, before the delay."""


@dataclass
class Endpoint:
    """A server on 127.0.0.1 and what it was asked."""

    connection: Connection
    answers: defaultdict[str, deque[Answer]] = field(default_factory=lambda: defaultdict(deque))
    """Method → what it answers next; the last answer is given again and again."""
    calls: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    """What came with each call."""
    most_at_once: int = 0
    """The most calls that were being answered at the same time."""
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, *answers: Answer | bytes) -> None:
        """Answer a method with these, one after the other. A fault's envelope goes out as HTTP 500."""
        self.answers[method] = deque(
            given if isinstance(given, Answer) else Answer(given, 500 if b"soapenv:Fault" in given else 200) for given in answers
        )

    def next_answer(self, method: str) -> Answer:
        """Take the answer to a call."""
        waiting = self.answers[method]
        return waiting.popleft() if len(waiting) > 1 else waiting[0]

    @contextmanager
    def noting(self, method: str, body: bytes, cookie: str) -> Iterator[None]:
        """Note a call for as long as it is being answered."""
        with self._lock:
            self.calls.append(method)
            self.bodies.append(body)
            self.cookies.append(cookie)
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1


@contextmanager
def endpoint(certificates: Certificates) -> Iterator[Endpoint]:
    """An endpoint that lets everybody log in and has an empty inventory until it is told otherwise."""
    served = _serve(certificates.certificate, certificates.key)
    connection = Connection(
        role="hypervisor",
        hostname="127.0.0.1",
        port=served.server_port,
        username="reader",
        password=PASSWORD,
        ca_path=str(certificates.authority),
        timeout=30,
    )
    served.endpoint = Endpoint(connection)
    _welcome(served.endpoint)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served.endpoint
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


def _welcome(there: Endpoint) -> None:
    content = vim.ServiceInstanceContent(
        rootFolder=managed("Folder", "group-d1"),
        propertyCollector=managed("PropertyCollector", "propertyCollector"),
        viewManager=managed("ViewManager", "ViewManager"),
        sessionManager=managed("SessionManager", "SessionManager"),
        about=vim.AboutInfo(
            name="VMware vCenter Server",
            fullName="VMware vCenter Server 8.0.2",
            vendor="VMware, Inc.",
            version="8.0.2",
            build="1",
            osType="linux-x64",
            productLineId="vpx",
            apiType="VirtualCenter",
            apiVersion="8.0.2.0",
            instanceUuid="dbed6e0c-bd88-4ef6-b594-21283e1c677f",
        ),
    )
    there.answer("RetrieveServiceContent", reply("RetrieveServiceContent", content))
    there.answer("Login", Answer(reply("Login"), cookie=SESSION))
    there.answer("Logout", reply("Logout"))
    there.answer("CreateContainerView", reply("CreateContainerView", managed("ContainerView", "session[1]2")))
    there.answer("DestroyView", reply("DestroyView"))
    there.answer("RetrievePropertiesEx", page([]))


class _Server(ThreadingHTTPServer):
    endpoint: Endpoint
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._send(self.server.endpoint.next_answer(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match = _METHOD.search(body)
        method = (match[1] or match[2]).decode() if match else ""
        with self.server.endpoint.noting(method, body, self.headers.get("Cookie", "")):
            self._send(self.server.endpoint.next_answer(method))

    def _send(self, answer: Answer) -> None:
        answer.before()
        time.sleep(answer.delay)
        if answer.drop:
            self.close_connection = True
            return
        self.send_response(answer.status)
        if answer.cookie:
            self.send_header("Set-Cookie", answer.cookie)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[: answer.truncate])
        self.close_connection = answer.truncate is not None

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _serve(certificate: Path, key: Path) -> _Server:
    server = _Server(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server
