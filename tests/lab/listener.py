# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API port of a lab server: HTTP/1.1 over TLS, and whom it lets in."""

from __future__ import annotations

import base64
import hmac
import ssl
import sys
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from typing import Any

HANDSHAKE_SECONDS = 10
IDLE_SECONDS = 300
DROPPED = 0
"""What the request log calls the status of a connection that was broken off."""


@dataclass(frozen=True)
class Credentials:
    """Whom the server lets in."""

    username: str
    password: str

    def admit(self, header: str) -> bool:
        """Return whether a Basic Authorization header carries these credentials."""
        expected = "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return hmac.compare_digest(header.encode(), expected.encode())


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return the server side of TLS with this certificate chain and key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


class Listener(ThreadingHTTPServer):
    """Serves one port; the TLS handshake happens in the connection's own thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[Handler], tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        super().__init__(address, handler)

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
        """Say nothing of connections that the client broke off; what is wrong with the server itself goes to its log."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def _secured(self, connection: socket) -> socket:
        if self._tls is None:
            return connection
        connection.settimeout(HANDSHAKE_SECONDS)
        return self._tls.wrap_socket(connection, server_side=True)


class Handler(BaseHTTPRequestHandler):
    """Serves one connection; an answer leaves in one piece."""

    protocol_version = "HTTP/1.1"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_SECONDS

    def drop(self) -> None:
        """Break the connection off without an answer."""
        self.close_connection = True
        self.connection.shutdown(SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the request log is the record."""
