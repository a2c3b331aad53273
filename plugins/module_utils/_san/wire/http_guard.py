# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every HTTP client here, whoever's library sends the request: where credentials go, and what is taken for an answer.

- Nothing is sent to another place than was named: an answer that redirects is an error, because the next request would carry the
  credentials or, on 307 and 308, the login itself, to wherever it says, in clear text if it says so.
- Credentials come from the connection alone: no `.netrc`, and no variable that names certificates.
- An answer keeps to the limits of `limits.py`, from the first byte of its header on.
- An answer is not compressed: none is asked for, so that nothing of 1 MiB can become 1 GiB.
"""

from __future__ import annotations

import http.client
import io
import math
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import LARGEST_ANSWER, LARGEST_STREAM, Excess, Pace

try:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection
except ImportError:  # told by everyone who wants a session
    HTTPAdapter = HTTPConnection = HTTPSConnection = HTTPConnectionPool = HTTPSConnectionPool = object  # type: ignore[assignment,misc]

_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_DONE_ELSEWHERE = frozenset({302, 303})
"""Redirections that a web application also answers with after it has done what was asked."""
_largest: ContextVar[int] = ContextVar("largest", default=LARGEST_ANSWER)


class Redirection(Excess):
    """An answer that leads elsewhere."""

    def __init__(self, status: int, location: str) -> None:
        super().__init__(
            f"redirects requests to {_place(location)} (HTTP {status}), which nothing is sent to",
            "give in {role}.hostname and {role}.port the endpoint itself",
        )
        self.nothing_done = status not in _DONE_ELSEWHERE


def guard(session: requests.Session, largest: int = LARGEST_ANSWER) -> requests.Session:
    """The session, which keeps to the rules from now on; `largest` is in bytes, for answers that are read whole."""
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _GuardedAdapter(largest))
    return session


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, largest: int) -> None:
        self._largest_answer = largest
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, **settings)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **settings: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **settings)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def add_headers(self, request: requests.PreparedRequest, **_settings: Any) -> None:
        request.headers["Accept-Encoding"] = "identity"

    def send(self, request: requests.PreparedRequest, stream: bool = False, *arguments: Any, **settings: Any) -> requests.Response:
        before = _largest.set(LARGEST_STREAM if stream else self._largest_answer)
        try:
            return super().send(request, stream, *arguments, **settings)
        finally:
            _largest.reset(before)

    def build_response(self, req: requests.PreparedRequest, resp: urllib3.BaseHTTPResponse) -> requests.Response:
        """Raises `Excess` for an answer that is none of this request's, before any login looks at it."""
        encoding = resp.headers.get("Content-Encoding", "identity")
        if resp.status in _REDIRECTIONS:
            resp.close()
            raise Redirection(resp.status, resp.headers.get("Location", ""))
        if encoding.strip().lower() not in ("", "identity"):
            resp.close()
            raise Excess(f"compresses its answers ({encoding!r:.40}), which it was not asked for")
        return super().build_response(req, resp)


class _PacedReader(io.RawIOBase):
    """The bytes of one answer as they come out of the socket."""

    def __init__(self, raw: Any, pace: Pace) -> None:
        self._raw = raw
        self._sock = raw._sock  # where pywinrm's logins look for the certificate to which they bind themselves
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._pace.read(lambda: int(self._raw.readinto(buffer)))

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedSocket:
    """What an answer of `http.client` wants of a socket."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        timeout = self._sock.gettimeout()
        pace = Pace(math.inf if timeout is None else timeout, _largest.get())
        return io.BufferedReader(_PacedReader(self._sock.makefile("rb", buffering=0), pace))


class _PacedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **settings: Any) -> None:
        super().__init__(_PacedSocket(sock), *arguments, **settings)  # type: ignore[arg-type]  # all that it uses is makefile


class _HttpConnection(HTTPConnection):
    response_class = _PacedResponse


class _HttpsConnection(HTTPSConnection):
    response_class = _PacedResponse


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


def _place(location: str) -> str:
    """Where a redirection leads, without what it may hold of credentials: scheme, host and port."""
    try:
        parts = urlsplit(location)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "another place"
    if not parts.hostname:
        return "another path"
    return f"{parts.scheme or 'https'}://{parts.hostname}{port}".encode("ascii", "replace").decode()[:100]
