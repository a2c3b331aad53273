# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API port: HTTP/1.1 over TLS with basic authentication, REST and ZAPI, and the faults that the lab asks for."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.lab.control import COMMON_ACTIONS, Action, Faults, RequestLog
from tests.lab.listener import DROPPED, Credentials, Handler, Listener
from tests.lab.ontap.api import Answer, Api, parse_request
from tests.lab.ontap.errors import Code, OntapError
from tests.lab.ontap.state import ZAPI
from tests.lab.ontap.zapi.api import Zapi, signature_of
from tests.lab.ontap.zapi.envelope import PATH as ZAPI_PATH

NOT_SERVED = 404
"""What answers where an interface is switched off or gone: belief."""
ACTIONS = COMMON_ACTIONS | {"job", "job_error"}


@dataclass(frozen=True)
class Site:
    """What every connection needs."""

    api: Api
    credentials: Credentials
    faults: Faults
    log: RequestLog
    zapi: Zapi


def listener(address: tuple[str, int], site: Site, tls: ssl.SSLContext | None) -> Listener:
    """Return what serves the API at the address."""
    return Listener(address, type("ApiHandler", (_Handler,), {"site": site}), tls)


class _Handler(Handler):
    server_version = "libzapid-httpd"
    site: Site

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks up
        self._serve()

    do_POST = do_PATCH = do_DELETE = do_PUT = do_OPTIONS = do_HEAD = do_GET  # noqa: N815 - the names that http.server looks up

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "POST" and self.path == ZAPI_PATH:
            self._serve_zapi(raw)
            return
        action = self.site.faults.take(f"{self.command} {self.path}")
        if action.get("drop") == "before":
            self._give_up()
            return
        time.sleep(float(action.get("delay", 0)))
        answer = forced(action) or self._answer(raw, action)
        if action.get("drop") == "after":
            self._give_up()
            return
        self._send(answer)

    def _serve_zapi(self, raw: bytes) -> None:
        name = signature_of(raw)
        action = self.site.faults.take(f"ZAPI {name}")
        if action.get("drop") == "before":
            self._give_up(name)
            return
        time.sleep(float(action.get("delay", 0)))
        admitted = self.site.credentials.admit(self.headers.get("Authorization", ""))
        status, payload = zapi_answer(self.site.zapi, raw, action) if admitted else (401, b"")
        if action.get("drop") == "after":
            self._give_up(name)
            return
        self.site.log.add("ZAPI", name, status)
        self.send_response(status)
        login = {} if admitted else {"WWW-Authenticate": 'Basic realm="Administration"'}
        kind = 'text/xml; charset="UTF-8"' if status == 200 else "text/html"
        for header, value in {"Content-Type": kind, "Content-Length": str(len(payload)), **login}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()

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
        payload = answer.payload
        self.site.log.add(self.command, self.path, answer.status)
        self.send_response(answer.status)
        for name, value in _headers(answer.headers, len(payload)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)
        self.wfile.flush()

    def _give_up(self, name: str = "") -> None:
        self.site.log.add("ZAPI" if name else self.command, name or self.path, DROPPED)
        self.drop()


def _headers(own: Mapping[str, str], length: int) -> Mapping[str, str]:
    common = {"Content-Type": "application/hal+json", "Cache-Control": "no-cache,no-store,must-revalidate"}
    return {**common, "Content-Length": str(length), **own}


def zapi_answer(zapi: Zapi, raw: bytes, action: Action) -> tuple[int, bytes]:
    """Return the status and the body of ZAPI's answer, or of that which a fault wants instead."""
    if "status" in action:
        return int(action["status"]), str(action.get("body") or "").encode()
    if not zapi.array.serves_interface(ZAPI):
        return NOT_SERVED, b"<html><body>Not Found</body></html>"
    return 200, zapi.answer(raw, action)


def forced(action: Action) -> Answer | None:
    """Return the answer that a fault wants instead of the array's own."""
    if error := action.get("error"):
        refusal = OntapError(int(error["code"]), str(error["message"]), error.get("target"))
        return Answer(refusal.status, refusal.body())
    return Answer(int(action["status"]), action.get("body") or {}) if "status" in action else None
