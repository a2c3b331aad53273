# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ONTAP's side of the wire for unit tests: an endpoint that answers each request as it is told, and notes what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress, ProvisionWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from tests.lab.certificates import Certificates

GIB = 1024**3
SVM = "svm_san"
HOST_A = ("iqn.1998-01.com.vmware:esx91-0a", "10:00:00:90:fa:00:91:0a")
HOST_B = ("iqn.1998-01.com.vmware:esx92-0b", "10:00:00:90:fa:00:92:0b")
USERNAME, PASSWORD = "admin", "s3cret"


def address(lun: str = "new", volume: str = "vol_prod", svm: str = SVM) -> LunAddress:
    return LunAddress(svm, volume, lun)


def wish(**settings: Any) -> ProvisionWish:
    """A LUN of 10 GiB for one host, unless said otherwise."""
    given: dict[str, Any] = {"address": address(), "size_bytes": 10 * GIB, "os_type": "vmware", "initiators": HOST_A, "timeout": 60.0}
    return ProvisionWish(**{**given, **settings})


@dataclass(frozen=True)
class Reply:
    """One answer: JSON unless `text` says what else."""

    status: int = 200
    body: Any = None
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def payload(self) -> bytes:
        return self.text.encode() if self.body is None else json.dumps(self.body).encode()


def records(*found: Mapping[str, Any], next_href: str | None = None) -> Reply:
    """A page of a collection."""
    links = {"_links": {"next": {"href": next_href}}} if next_href else {}
    return Reply(body={"records": list(found), "num_records": len(found), **links})


def error(status: int, code: str, message: str) -> Reply:
    """A refusal; the code is a string here, and a number in a job."""
    return Reply(status, {"error": {"code": code, "message": message, "target": "name"}})


def job(state: str, **more: Any) -> Reply:
    """A job as it shows itself."""
    return Reply(body={"uuid": "job-1", "state": state, **more})


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    target: str
    """Path and query as they came."""
    headers: Mapping[str, str]


@dataclass
class Endpoint:
    """What to answer, in order, and what was asked."""

    connection: Connection
    replies: list[Reply] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, *replies: Reply) -> None:
        self.replies.extend(replies)


@contextmanager
def endpoint(certificates: Certificates) -> Iterator[Endpoint]:
    """Listen on 127.0.0.1 until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    port = int(server.server_address[1])
    connection = Connection("array", "ontap", "127.0.0.1", port, USERNAME, PASSWORD, ca_path=str(certificates.authority), timeout=10.0)
    scripted = Endpoint(connection)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"endpoint": scripted})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    endpoint: Endpoint

    def do_GET(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        self.endpoint.asked.append(Asked(self.command, url.path, query, json.loads(raw) if raw else None, self.path, dict(self.headers)))
        reply = self.endpoint.replies.pop(0) if self.endpoint.replies else Reply(500, text="the test told no answer to this")
        payload = reply.payload()
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(payload)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names that http.server looks up

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""
