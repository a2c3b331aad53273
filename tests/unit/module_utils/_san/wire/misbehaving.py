# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server on 127.0.0.1 whose every connection goes as its script says."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import create_server, socket

Script = Callable[[socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Server:
    """Where it listens, and the requests that it read, as far as one read of the socket holds."""

    port: int = 0
    requests: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


def answering(payload: bytes) -> Script:
    """Send these bytes and hang up."""
    return lambda connection: connection.sendall(payload)


def hang_up(connection: socket) -> None:
    """Close without an answer."""


@contextmanager
def serving(scripts: Sequence[Script], tls: ssl.SSLContext | None) -> Iterator[Server]:
    """Serve one connection after the other, the last script again and again, until the block ends."""
    server = Server()
    with create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        server.port = listener.getsockname()[1]
        thread = threading.Thread(target=_accept, args=(listener, list(scripts), tls, server))
        thread.start()
        try:
            yield server
        finally:
            server.stop.set()
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
        server.requests.append(secured.recv(65536).decode("latin-1"))
        script(secured)
