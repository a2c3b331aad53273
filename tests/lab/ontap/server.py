# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API port: HTTP/1.1 over TLS with basic authentication, and the faults that the lab asks for."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from typing import Any

from tests.lab.control import COMMON_ACTIONS, Action, Faults, RequestLog
from tests.lab.ontap.api import Answer, Api, parse_request
from tests.lab.ontap.errors import Code, OntapError

ACTIONS = COMMON_ACTIONS | {"job", "job_error"}
HANDSHAKE_SECONDS = 10
IDLE_SECONDS = 300
DROPPED = 0


@dataclass(frozen=True)
class Credentials:
    """Whom the array lets in."""

    username: str
    password: str

    def admit(self, header: str) -> bool:
        """Return whether an Authorization header carries these credentials."""
        expected = "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return hmac.compare_digest(header.encode(), expected.encode())


@dataclass(frozen=True)
class Site:
    """What every connection needs."""

    api: Api
    credentials: Credentials
    faults: Faults
    log: RequestLog


class ApiServer(ThreadingHTTPServer):
    """Serves the API; the TLS handshake happens in the connection's own thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], site: Site, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        super().__init__(address, type("ApiHandler", (_Handler,), {"site": site}))

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Secure the connection, then serve its requests; a client that cannot do TLS is hung up on."""
        try:
            secured = self._secured(request)
        except OSError:
            return
        try:
            super().finish_request(secured, client_address)
        finally:
            self.shutdown_request(secured)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that the client broke off."""

    def _secured(self, connection: socket) -> socket:
        if self._tls is None:
            return connection
        connection.settimeout(HANDSHAKE_SECONDS)
        return self._tls.wrap_socket(connection, server_side=True)


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return the server side of TLS with this certificate chain and key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "libzapid-httpd"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_SECONDS
    site: Site

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_DELETE = do_PUT = do_OPTIONS = do_HEAD = do_GET  # noqa: N815 - the names that http.server looks up

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        action = self.site.faults.take(f"{self.command} {self.path}")
        if action.get("drop") == "before":
            self._drop()
            return
        time.sleep(float(action.get("delay", 0)))
        answer = _forced(action) or self._answer(raw, action)
        if action.get("drop") == "after":
            self._drop()
            return
        self._send(answer)

    def _answer(self, raw: bytes, action: Action) -> Answer:
        if not self.site.credentials.admit(self.headers.get("Authorization", "")):
            refusal = OntapError(Code.UNAUTHORISED, "User is not authorized.")
            return Answer(refusal.status, refusal.body(), {"WWW-Authenticate": 'Basic realm="Authorization Required"'})
        try:
            request = parse_request(self.command, self.path, dict(self.headers.items()), raw)
        except OntapError as error:
            return Answer(error.status, error.body())
        return self.site.api.answer(request, action)

    def _send(self, answer: Answer) -> None:
        payload = json.dumps(answer.body, indent=2).encode() + b"\n"
        self.site.log.add(self.command, self.path, answer.status)
        self.send_response(answer.status)
        for name, value in _headers(answer.headers, len(payload)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)
        self.wfile.flush()

    def _drop(self) -> None:
        self.site.log.add(self.command, self.path, DROPPED)
        self.close_connection = True
        self.connection.shutdown(SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the request log is the record."""


def _headers(own: Mapping[str, str], length: int) -> Mapping[str, str]:
    common = {"Content-Type": "application/hal+json", "Cache-Control": "no-cache,no-store,must-revalidate"}
    return {**common, "Content-Length": str(length), **own}


def _forced(action: Action) -> Answer | None:
    if error := action.get("error"):
        refusal = OntapError(int(error["code"]), str(error["message"]), error.get("target"))
        return Answer(refusal.status, refusal.body())
    return Answer(int(action["status"]), action.get("body") or {}) if "status" in action else None
