# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Windows host's side of WS-Management for unit tests: real HTTP on 127.0.0.1, logins as Windows does them, scripted answers."""

from __future__ import annotations

import base64
import contextlib
import re
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from tests.lab.certificates import Certificates
from tests.lab.hyperv.negotiate import CONTENT_TYPE, Denied, Session

USERNAME = "LAB\\operator"
PASSWORD = "a&<b>\"c'"
FRESH = "(id)"
"""Stands in an answer for the id of the message that it answers."""

SOAP = "application/soap+xml;charset=UTF-8"
_NAMESPACES = (
    'xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common"'
)
_FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
_MESSAGE_ID = re.compile(rb"<a:MessageID>([^<]*)<")
_ACTION = re.compile(rb"<a:Action[^>]*>([^<]*)<")
_IDENTIFY = re.compile(rb"<(?:\w+:)?Identify\b")


def message(body: str, relates_to: str = FRESH) -> bytes:
    """An envelope with this body."""
    header = f"<s:Header><a:RelatesTo>{relates_to}</a:RelatesTo></s:Header>"
    return f"<s:Envelope {_NAMESPACES}>{header}<s:Body>{body}</s:Body></s:Envelope>".encode()


def instance(uri: str, properties: Mapping[str, str], class_name: str = "") -> str:
    """An instance whose properties are given as XML."""
    name = class_name or uri.rpartition("/")[2]
    inside = "".join(f"<p:{key}>{value}</p:{key}>" for key, value in properties.items())
    return f'<p:{name} xmlns:p={quoteattr(uri)} xsi:type="p:{name}_Type">{inside}</p:{name}>'


def page(items: str, context: str = "", response: str = "EnumerateResponse") -> bytes:
    """One page of an enumeration; without a context, the last."""
    prefix = "w" if response == "EnumerateResponse" else "n"
    end = "" if context else f"<{prefix}:EndOfSequence/>"
    context_element = f"<n:EnumerationContext>{context}</n:EnumerationContext>"
    return message(f"<n:{response}>{context_element}<{prefix}:Items>{items}</{prefix}:Items>{end}</n:{response}>")


def output(uri: str, method: str, inside: str) -> bytes:
    """The answer of a method, its outputs in the namespace `p`."""
    return message(f"<p:{method}_OUTPUT xmlns:p={quoteattr(uri)}>{inside}</p:{method}_OUTPUT>")


def fault(code: int, text: str, subcode: str = "w:InternalError", detail: str = "") -> bytes:
    """A fault of the service itself."""
    told = f'<f:WSManFault xmlns:f="{_FAULT}" Code="{code}"><f:Message>{escape(text)}</f:Message></f:WSManFault>'
    return message(
        f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{escape(text)}</s:Text></s:Reason><s:Detail>{told}{detail}</s:Detail></s:Fault>'
    )


def provider_fault(code: int, inner: int, text: str) -> bytes:
    """A fault of the WMI provider behind the service."""
    told = (
        f'<f:WSManFault xmlns:f="{_FAULT}" Code="{code}"><f:Message>'
        '<f:ProviderFault provider="WMI Provider" path="C:\\Windows\\system32\\WsmWmiPl.dll">'
        f'<f:WSManFault Code="{inner}"><f:Message>{escape(text)}</f:Message></f:WSManFault></f:ProviderFault></f:Message></f:WSManFault>'
    )
    return message(
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:InternalError</s:Value></s:Subcode></s:Code>"
        '<s:Reason><s:Text xml:lang="en-US">The service cannot process the request.</s:Text></s:Reason>'
        f"<s:Detail>{told}</s:Detail></s:Fault>"
    )


@dataclass
class Answer:
    """How the endpoint treats one message."""

    body: bytes = b""
    status: int = 200
    drop: bool = False
    """Close the connection instead of answering."""
    delay: float = 0.0
    """Seconds before the answer."""
    in_the_clear: bool = False
    """Send it unencrypted on a connection that encrypts."""


@dataclass
class Endpoint:
    """A server on 127.0.0.1 and what it was asked."""

    connection: Connection
    answers: deque[Answer] = field(default_factory=deque)
    """What it answers next; the last answer is given again and again."""
    messages: list[bytes] = field(default_factory=list)
    """The messages of those who had logged in, decrypted."""
    posts: list[dict[str, str]] = field(default_factory=list)
    """The headers of every request, also of those that only log in."""
    connections: int = 0
    schemes: tuple[str, ...] = ("Basic", "Negotiate")
    """Logins that it offers and takes."""

    @property
    def actions(self) -> list[str]:
        """The last part of every message's action, such as `Enumerate`."""
        return [(found[1].decode().rpartition("/")[2] if (found := _ACTION.search(text)) else "Identify") for text in self.messages]

    def answer(self, *answers: Answer | bytes) -> None:
        """Answer the next messages with these, one after the other. A fault's envelope goes out as HTTP 500."""
        self.answers = deque(
            given if isinstance(given, Answer) else Answer(given, 500 if b"<s:Fault>" in given else 200) for given in answers
        )

    def next_answer(self) -> Answer:
        return self.answers.popleft() if len(self.answers) > 1 else self.answers[0]


@contextmanager
def endpoint(certificates: Certificates | None, client_authority: str | None = None) -> Iterator[Endpoint]:
    """An endpoint over TLS, or without certificates over HTTP, where it takes only encrypted messages.

    With an authority for clients, it takes a certificate of a client as login.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.tls = _context(certificates, client_authority) if certificates else None
    connection = Connection(
        role="hypervisor",
        type="hyperv",
        hostname="127.0.0.1",
        port=server.server_port,
        username=USERNAME,
        password=PASSWORD,
        ca_path=str(certificates.authority) if certificates else None,
        timeout=30,
    )
    server.endpoint = Endpoint(connection)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _context(certificates: Certificates, client_authority: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    if client_authority:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


class _Server(ThreadingHTTPServer):
    endpoint: Endpoint
    tls: ssl.SSLContext | None
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up, or that do not trust the certificate, are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 10

    def setup(self) -> None:
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self._security = Session()
        self._admitted = bool(self.server.tls and self.request.getpeercert())
        self.server.endpoint.connections += 1
        super().setup()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.request.close()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        there = self.server.endpoint
        there.posts.append(dict(self.headers.items()))
        anonymous = self.headers.get("WSMANIDENTIFY") == "unauthenticated" and _IDENTIFY.search(body)
        if not (anonymous or self._login()):
            return
        if "encrypted" in self.headers.get("Content-Type", ""):
            body = self._security.unseal(body)
        elif not self.server.tls and not anonymous:
            self._send(200 if not body else 500)
            return
        there.messages.append(body)
        self._answer(there.next_answer(), body)

    def _login(self) -> bool:
        scheme, _between, token = self.headers.get("Authorization", "").partition(" ")
        schemes = self.server.endpoint.schemes
        if scheme == "Basic" and "Basic" in schemes:
            self._admitted = base64.b64decode(token) == f"{USERNAME}:{PASSWORD}".encode()
        elif scheme == "Negotiate" and "Negotiate" in schemes:
            return self._negotiated()
        if not self._admitted:
            self._send(401, challenges=schemes)
        return self._admitted

    def _negotiated(self) -> bool:
        try:
            token = self._security.step(self.headers["Authorization"])
        except Denied:
            self._send(401, challenges=self.server.endpoint.schemes)
            return False
        self._admitted = self._security.established
        if not self._admitted:
            self._send(401, challenges=[f"Negotiate {base64.b64encode(token or b'').decode()}"])
        return self._admitted

    def _answer(self, answer: Answer, asked: bytes) -> None:
        time.sleep(answer.delay)
        if answer.drop:
            self.close_connection = True
            return
        found = _MESSAGE_ID.search(asked)
        body = answer.body.replace(FRESH.encode(), found[1] if found else b"")
        if self._security.established and not self.server.tls and not answer.in_the_clear:
            self._send(answer.status, self._security.seal(body), CONTENT_TYPE)
        else:
            self._send(answer.status, body)

    def _send(self, status: int, body: bytes = b"", content_type: str = SOAP, challenges: Any = ()) -> None:
        self.send_response(status)
        for challenge in challenges:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass
