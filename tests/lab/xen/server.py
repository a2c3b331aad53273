# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""XML-RPC at ``/`` and JSON-RPC at ``/jsonrpc``: how calls arrive and how results leave."""

from __future__ import annotations

import json
import ssl
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError

from tests.lab.control import COMMON_ACTIONS, Action, Faults, RequestLog
from tests.lab.listener import DROPPED, Handler, Listener
from tests.lab.xen.api import LIST_METHODS, Api
from tests.lab.xen.errors import Failure
from tests.lab.xen.shapes import Stamp

ACTIONS = COMMON_ACTIONS
JSON_PATH = "/jsonrpc"
PATHS = ("/", "/RPC2", JSON_PATH)
XML, JSON = "text/xml", "application/json"


@dataclass(frozen=True)
class Site:
    """One host, and what its requests pass."""

    api: Api
    machine: str
    faults: Faults
    log: RequestLog


@dataclass(frozen=True)
class Call:
    """A request as its protocol tells it."""

    method: str
    parameters: Sequence[Any]
    id: Any = None
    version: str = ""


def listener(address: tuple[str, int], site: Site, tls: ssl.SSLContext | None) -> Listener:
    """Return what serves one host at the address."""
    return Listener(address, type("XapiHandler", (_Handler,), {"site": site}), tls)


class _Handler(Handler):
    server_version = "xapi/24.19"
    site: Site

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server looks up
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.site.api.host.up:
            self.drop()
            return
        path = self.path.partition("?")[0]
        if path not in PATHS:
            self._noted("POST", 404)
            self._send(404, b"", "text/html")
            return
        as_json = path == JSON_PATH
        try:
            call = _json_call(raw) if as_json else _xml_call(raw)
        except ValueError:
            self._noted("POST", 500)
            self._send(500, b"", XML)
            return
        action = self.site.faults.take(f"{call.method} /{self.site.machine}")
        if action.get("drop") == "before" or "status" in action:
            self._refuse(call, action)
            return
        time.sleep(float(action.get("delay", 0)))
        body = (_json_answer if as_json else _xml_answer)(call, self._result(call, action))
        if action.get("drop") == "after":
            self._noted(call.method, DROPPED)
            self.drop()
            return
        self._noted(call.method, 200)
        self._send(200, body, JSON if as_json else XML)

    def _result(self, call: Call, action: Action) -> Any:
        """Return the call's result, or the Failure that it is refused by."""
        injected = action.get("error")
        error = (
            Failure(injected["code"], *injected.get("parameters", [injected["message"]] if "message" in injected else []))
            if injected
            else None
        )
        try:
            return self.site.api.call(call.method, call.parameters, error)
        except Failure as failure:
            return failure

    def _refuse(self, call: Call, action: Action) -> None:
        if "status" not in action:
            self._noted(call.method, DROPPED)
            self.drop()
            return
        self._noted(call.method, int(action["status"]))
        self._send(int(action["status"]), str(action.get("body") or "").encode(), "text/html")

    def _noted(self, method: str, status: int) -> None:
        self.site.log.add(method, f"/{self.site.machine}", status)

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), "Access-Control-Allow-Origin": "*"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


# -- XML-RPC


def _xml_call(raw: bytes) -> Call:
    """Return the call; raises ValueError for what is none."""
    try:
        parameters, method = xmlrpc.client.loads(raw)
    except (ExpatError, xmlrpc.client.Error, TypeError, LookupError) as error:
        raise ValueError(str(error)) from error
    if method is None:
        raise ValueError("no methodCall")
    return Call(method, list(parameters))


def _xml_answer(call: Call, result: Any) -> bytes:
    if call.method == LIST_METHODS:
        return _xml(result)
    if isinstance(result, Failure):
        return _xml({"Status": "Failure", "ErrorDescription": result.description})
    return _xml({"Status": "Success", "Value": xml_value(result)})


def _xml(value: Any) -> bytes:
    return xmlrpc.client.dumps((value,), methodresponse=True).encode()


def xml_value(value: Any) -> Any:
    """Return the value as XAPI puts it into XML-RPC: 64-bit numbers are text, moments are dates, nothing is empty text."""
    if isinstance(value, dict):
        return {key: xml_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [xml_value(item) for item in value]
    if isinstance(value, Stamp):
        return xmlrpc.client.DateTime(str(value))
    if value is None:
        return ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# -- JSON-RPC


def _json_call(raw: bytes) -> Call:
    """Return the call; raises ValueError for what is none."""
    body = json.loads(raw)
    if (
        not isinstance(body, Mapping)
        or not isinstance(body.get("method"), str)
        or not isinstance(body.get("params"), list)
        or body.get("id") is None
    ):
        raise ValueError("no call")
    return Call(body["method"], body["params"], body["id"], str(body.get("jsonrpc", "")))


def _json_answer(call: Call, result: Any) -> bytes:
    failed = isinstance(result, Failure)
    if not call.version:
        return json.dumps(
            {"result": None if failed else _json_value(result), "error": result.description if failed else None, "id": call.id}
        ).encode()
    frame = {"jsonrpc": "2.0", "id": call.id}
    if failed:
        code, *data = result.description
        return json.dumps({**frame, "error": {"code": 1, "message": code, "data": data}}).encode()
    return json.dumps({**frame, "result": _json_value(result)}).encode()


def _json_value(value: Any) -> Any:
    return "" if value is None else value
