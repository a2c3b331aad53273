# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API port: HTTP/1.1 over TLS with basic authentication, and the faults that the lab asks for."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.lab.control import COMMON_ACTIONS, Action, Faults, RequestLog
from tests.lab.listener import DROPPED, Credentials, Handler, Listener
from tests.lab.ontap.api import Answer, Api, parse_request
from tests.lab.ontap.errors import Code, OntapError

ACTIONS = COMMON_ACTIONS | {"job", "job_error"}


@dataclass(frozen=True)
class Site:
    """What every connection needs."""

    api: Api
    credentials: Credentials
    faults: Faults
    log: RequestLog


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

    def _give_up(self) -> None:
        self.site.log.add(self.command, self.path, DROPPED)
        self.drop()


def _headers(own: Mapping[str, str], length: int) -> Mapping[str, str]:
    common = {"Content-Type": "application/hal+json", "Cache-Control": "no-cache,no-store,must-revalidate"}
    return {**common, "Content-Length": str(length), **own}


def forced(action: Action) -> Answer | None:
    """Return the answer that a fault wants instead of the array's own."""
    if error := action.get("error"):
        refusal = OntapError(int(error["code"]), str(error["message"]), error.get("target"))
        return Answer(refusal.status, refusal.body())
    return Answer(int(action["status"]), action.get("body") or {}) if "status" in action else None
