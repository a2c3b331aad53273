# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server on 127.0.0.1 whose every connection goes as its script says."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import SHUT_RDWR, create_server, socket

Script = Callable[[socket], None]
_LENGTH = re.compile(r"(?i)\r\ncontent-length: (\d+)")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Server:
    """Where it listens, and the requests that it read."""

    port: int = 0
    requests: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


def answering(payload: bytes) -> Script:
    """Send these bytes and hang up."""
    return lambda connection: connection.sendall(payload)


def redirecting(status: int, location: str) -> Script:
    """Lead elsewhere."""
    return answering(f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())


def dripping(payload: bytes, after: int = 0, seconds: float = 0.02) -> Script:
    """Send a beginning at once, and each byte that follows so much later."""

    def drip(connection: socket) -> None:
        connection.sendall(payload[:after])
        for position in range(after, len(payload)):
            time.sleep(seconds)
            connection.sendall(payload[position : position + 1])

    return drip


def flooding(beginning: bytes, flood: bytes) -> Script:
    """Send a beginning, and then the same for as long as anybody takes it, up to 256 MiB."""

    def send(connection: socket) -> None:
        connection.sendall(beginning)
        block = flood * (1 + (1 << 16) // len(flood))
        for _time in range((256 << 20) // len(block)):
            connection.sendall(block)

    return send


def hang_up(connection: socket) -> None:
    """Close without an answer."""


@contextmanager
def serving(scripts: Sequence[Script], tls: ssl.SSLContext | None) -> Iterator[Server]:
    """Serve one connection after the other, the last script again and again, until the block ends."""
    server = Server()
    with create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        thread = threading.Thread(target=_accept, args=(listener, list(scripts), tls, server))
        thread.start()
        try:
            yield server
        finally:
            server.stop.set()
            listener.shutdown(SHUT_RDWR)  # wakes who waits for a connection
            thread.join()


def _accept(listener: socket, scripts: list[Script], tls: ssl.SSLContext | None, server: Server) -> None:
    while not server.stop.is_set():
        with contextlib.suppress(OSError):
            connection, _address = listener.accept()
            with contextlib.suppress(OSError):
                _serve(connection, scripts[0], tls, server)
            connection.close()
            del scripts[: len(scripts) > 1]


def _serve(connection: socket, script: Script, tls: ssl.SSLContext | None, server: Server) -> None:
    connection.settimeout(5)
    with tls.wrap_socket(connection, server_side=True) if tls else connection as secured:
        server.requests.append(_request(secured))
        script(secured)


def _request(connection: socket) -> str:
    """A whole request: who hangs up on one that is unread resets the connection, and the answer is lost."""
    request = connection.recv(65536).decode("latin-1")
    header, _end, body = request.partition("\r\n\r\n")
    length = _LENGTH.search(header)
    missing = (int(length[1]) if length else 0) - len(body)
    while missing > 0:
        piece = connection.recv(missing).decode("latin-1")
        if not piece:
            break
        request, missing = request + piece, missing - len(piece)
    return request
