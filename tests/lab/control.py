# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control port of a lab server: what was asked, what shall fail, what is left (see README.md).

A server gives its API handler a ``RequestLog`` and ``Faults``, and serves both, with its own additions, by ``serve_control``.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Query = Mapping[str, list[str]]
Json = Any
Action = Mapping[str, Any]

COMMON_ACTIONS = frozenset({"status", "error", "drop", "delay"})
SELECTORS = frozenset({"call", "match", "times"})
LISTEN_SECONDS = 5


class BadFault(ValueError):
    """A fault that this server cannot play."""


class RequestLog:
    """The API requests since the last reset, in the order in which they were answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[dict[str, Json]] = []

    def add(self, method: str, path: str, status: int) -> None:
        """Note one answered request; status 0 means that the connection was dropped without an answer."""
        with self._lock:
            self._requests.append({"n": len(self._requests) + 1, "method": method, "path": path, "status": status})

    def clear(self) -> None:
        """Start counting again."""
        with self._lock:
            self._requests.clear()

    def report(self) -> Json:
        """Return ``{"total", "requests"}``."""
        with self._lock:
            return {"total": len(self._requests), "requests": list(self._requests)}


@dataclass
class _Fault:
    action: Action
    pattern: re.Pattern[str] | None
    skip: int
    times: int

    def hits(self, signature: str) -> bool:
        if self.pattern is not None and not self.pattern.search(signature):
            return False
        if self.skip:
            self.skip -= 1
            return False
        return self.times > 0


class Faults:
    """What shall go wrong, and when."""

    def __init__(self, actions: frozenset[str] = COMMON_ACTIONS) -> None:
        self._actions = actions
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []

    def add(self, spec: Mapping[str, Json]) -> None:
        """Remember the fault ``{"call"|"match", "times", "action"}``; raises BadFault when it says nothing that can happen."""
        fault = self._parse(spec)
        with self._lock:
            self._faults.append(fault)

    def take(self, signature: str) -> Action:
        """Return the action due for the request ``METHOD /path?query``, or an empty one."""
        with self._lock:
            due = [fault for fault in self._faults if fault.hits(signature)]
            if not due:
                return {}
            due[0].times -= 1
            return due[0].action

    def clear(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._faults.clear()

    def _parse(self, spec: Mapping[str, Json]) -> _Fault:
        unknown = set(spec) - SELECTORS - {"action"}
        action = spec.get("action")
        if unknown or ("call" in spec) == ("match" in spec):
            raise BadFault(f"a fault has either 'call' or 'match', 'times' and 'action'; got {sorted(spec)}")
        if not isinstance(action, Mapping) or not self._actions & set(action):
            raise BadFault(f"'action' needs one of {sorted(self._actions)}")
        call, times = int(spec.get("call", 1)), int(spec.get("times", 1))
        if call < 1 or times < 1:
            raise BadFault("'call' and 'times' start at 1")
        try:
            pattern = re.compile(spec["match"]) if "match" in spec else None
        except re.error as error:
            raise BadFault(f"'match' is not a regular expression: {error}") from error
        return _Fault(action, pattern, call - 1, times)


@dataclass(frozen=True)
class Control:
    """Everything the control port of one server can do."""

    log: RequestLog
    faults: Faults
    state: Callable[[], Json]
    reset: Callable[[], None]
    api_address: tuple[str, int] | Path
    """Where the API listens: address and port, or a socket in the file system."""
    reads: Mapping[str, Callable[[Query], Json]]
    """Further GETs: path → function of the parsed query."""
    switches: Mapping[str, Callable[[Json], None]]
    """Further one-key bodies of ``POST /faults``: key → function of its value."""
    writes: Mapping[str, Callable[[Query], Json]] = field(default_factory=dict)
    """Further POSTs: path → function of the parsed query, which raises ValueError for what it cannot do."""

    def get(self, path: str, query: Query) -> tuple[int, Json]:
        """Answer a GET of the control port: HTTP status and body."""
        reads: dict[str, Callable[[Query], Json]] = {
            "/requests": lambda _: self.log.report(),
            "/state": lambda _: self.state(),
            **self.reads,
        }
        if path == "/healthz":
            return (200, {"status": "ok"}) if self._listens() else (503, {"status": "the API port does not answer"})
        return (200, reads[path](query)) if path in reads else _not_found(path)

    def post(self, path: str, body: Json, query: Query | None = None) -> tuple[int, Json]:
        """Answer a POST: ``/faults``, ``/reset`` or one of ``writes``."""
        if path in self.writes:
            return 200, self.writes[path](query or {})
        if path == "/reset":
            self.reset()
            return 200, {}
        if path != "/faults" or not isinstance(body, Mapping):
            return _not_found(path)
        switch = next((key for key in self.switches if key in body), None)
        if switch is None:
            self.faults.add(body)
        else:
            self.switches[switch](body[switch])
        return 200, {}

    def delete(self, path: str) -> tuple[int, Json]:
        """Answer a DELETE: ``/faults`` or ``/requests``."""
        clears: dict[str, Callable[[], None]] = {"/faults": self.faults.clear, "/requests": self.log.clear}
        if path not in clears:
            return _not_found(path)
        clears[path]()
        return 200, {}

    def _listens(self) -> bool:
        try:
            _connect(self.api_address).close()
        except OSError:
            return False
        return True


def _connect(address: tuple[str, int] | Path) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout=LISTEN_SECONDS)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(LISTEN_SECONDS)
    client.connect(str(address))
    return client


def _not_found(path: str) -> tuple[int, Json]:
    return 404, {"error": f"the control port has no {path}"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    control: Control

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._answer(*self.control.get(url.path, parse_qs(url.query, keep_blank_values=True)))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            url = urlsplit(self.path)
            self._answer(*self.control.post(url.path, json.loads(raw or b"{}"), parse_qs(url.query, keep_blank_values=True)))
        except (ValueError, TypeError) as error:
            self._answer(400, {"error": str(error)})
        except (OSError, RuntimeError) as error:
            self._answer(500, {"error": str(error)})

    def do_DELETE(self) -> None:
        self._answer(*self.control.delete(urlsplit(self.path).path))

    def _answer(self, status: int, body: Json) -> None:
        payload = json.dumps(body, sort_keys=True).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the request log is the record."""


def serve_control(listen: str, port: int, control: Control) -> ThreadingHTTPServer:
    """Start the control port in a background thread and return its server."""
    handler = type("ControlHandler", (_Handler,), {"control": control})
    server = ThreadingHTTPServer((listen, port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="control", daemon=True).start()
    return server


def values(query: Query, name: str) -> Sequence[str]:
    """Return every value that the query gives for ``name``."""
    return query.get(name, [])
