# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""WinRM's listener of one machine: HTTP/1.1 over TLS, basic and Negotiate authentication, and the faults that the lab asks for."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.control import COMMON_ACTIONS, Action, Faults, RequestLog
from tests.lab.hyperv.estate import Estate, JobError
from tests.lab.hyperv.faults import KINDS, Kind, ProviderFault, WsmanFault, refuse
from tests.lab.hyperv.installation import service
from tests.lab.hyperv.negotiate import CONTENT_TYPE, SCHEMES, Denied, Session
from tests.lab.hyperv.soap import MOST_ENVELOPE_BYTES, Request, fault_answer, is_identify, message_id_of, parse_envelope, parse_request
from tests.lab.hyperv.wsman import Operation, Product, Service, identify
from tests.lab.listener import DROPPED, Credentials, Handler, Listener

ACTIONS = COMMON_ACTIONS | {"boot", "job_error", "blind_rescans"}
PATH = "/wsman"
SOAP = "application/soap+xml;charset=UTF-8"


@dataclass
class Site:
    """What every connection of one machine needs; the ``service`` is another one after a reset."""

    service: Service
    estate: Estate
    product: Product
    credentials: Credentials
    faults: Faults
    log: RequestLog

    @property
    def machine(self) -> str:
        """The name of the machine."""
        return self.service.machine

    def boot(self) -> None:
        """Boot the machine anew. The estate is locked by the caller."""
        self.estate.reboot(self.machine)
        self.service = service(self.estate, self.machine)


@dataclass(frozen=True)
class Reply:
    """What goes back to the client; no ``status`` means a connection that breaks."""

    status: int
    body: bytes = b""


def listener(address: tuple[str, int], site: Site, tls: ssl.SSLContext | None) -> Listener:
    """Return what serves one machine at the address; without TLS it takes sealed messages only."""
    return Listener(address, type("WsmanHandler", (_Handler,), {"site": site, "encrypted_transport": tls is not None}), tls)


class _Handler(Handler):
    server_version = "Microsoft-HTTPAPI/2.0"
    site: Site
    encrypted_transport: bool

    def setup(self) -> None:
        super().setup()
        self._session = Session()
        self._last_token = ""
        """What the handshake still owes the client: it goes with the next answer."""

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server looks up
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.site.estate.machines[self.site.machine].up:
            self.drop()
            return
        if self.path.partition("?")[0] != PATH:
            self._send(404)
            return
        if self.headers.get("WSMANIDENTIFY", "").lower() == "unauthenticated":
            self._identify_anonymously(raw)
            return
        if not self._admitted():
            return
        sealed = self.headers.get("Content-Type", "").lower().startswith("multipart/encrypted")
        try:
            message = self._session.unseal(raw) if sealed else raw
        except Denied:
            self._challenge()
            return
        if not message:
            self._send(200)
            return
        if not sealed and not self.encrypted_transport:
            self._send(403)
            return
        reply = _Exchange(self.site, message).run()
        if reply.status == DROPPED:
            self.drop()
        elif sealed:
            self._send(reply.status, self._session.seal(reply.body), {"Content-Type": CONTENT_TYPE})
        else:
            self._send(reply.status, reply.body)

    def _identify_anonymously(self, raw: bytes) -> None:
        try:
            if is_identify(parse_envelope(raw)):
                self._send(200, identify(None))
                return
        except WsmanFault:
            pass
        self._challenge()

    def _admitted(self) -> bool:
        """Let the client in, or answer it with the next step of the handshake."""
        header = self.headers.get("Authorization", "")
        scheme = header.partition(" ")[0]
        if scheme in SCHEMES:
            return self._negotiated(scheme, header)
        if scheme == "Basic" and self.site.credentials.admit(header):
            return True
        if not header and self._session.established:
            return True
        if header:
            self.site.log.add("POST", f"/{self.site.machine}{PATH}", 401)
        self._challenge()
        return False

    def _negotiated(self, scheme: str, header: str) -> bool:
        try:
            token = self._session.step(header)
        except Denied:
            self.site.log.add("POST", f"/{self.site.machine}{PATH}", 401)
            self._challenge()
            return False
        answer = f"{scheme} {base64.b64encode(token or b'').decode()}"
        if self._session.established:
            self._last_token = answer if token else ""
            return True
        self._send(401, headers={"WWW-Authenticate": answer})
        return False

    def _challenge(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Negotiate")
        self.send_header("WWW-Authenticate", 'Basic realm="WSMAN"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()

    def _send(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        owed = {"WWW-Authenticate": self._last_token} if self._last_token else {}
        self._last_token = ""
        for name, value in {"Content-Type": SOAP, "Content-Length": str(len(body)), **owed, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class _Exchange:
    """One message of an admitted client, from its text to the reply."""

    def __init__(self, site: Site, message: bytes) -> None:
        self._site = site
        self._message = message

    def run(self) -> Reply:
        """Return the reply, and note it in the log."""
        try:
            if len(self._message) > MOST_ENVELOPE_BYTES:
                raise refuse("RequestTooLarge")
            envelope = parse_envelope(self._message)
            if is_identify(envelope):
                return self._noted(Operation("Identify", f"/{self._site.machine}"), Reply(200, identify(self._site.product)))
            request = parse_request(envelope)
        except WsmanFault as fault:
            reply = Reply(500, fault_answer(fault, message_id_of(self._message), self._site.machine, ""))
            return self._noted(Operation("POST", f"/{self._site.machine}{PATH}"), reply)
        operation = self._site.service.operation(request)
        return self._noted(operation, self._play(request, operation, self._site.faults.take(operation.signature)))

    def _noted(self, operation: Operation, reply: Reply) -> Reply:
        self._site.log.add(operation.method, operation.path, reply.status)
        return reply

    def _play(self, request: Request, operation: Operation, action: Action) -> Reply:
        """Do the request as the fault wants it done."""
        if action.get("drop") == "before":
            return Reply(DROPPED)
        if "status" in action:
            return Reply(int(action["status"]), str(action.get("body") or "").encode())
        delay = float(action.get("delay", 0))
        time.sleep(min(delay, request.timeout_seconds))
        reply = self._answer(request, operation, action)
        if action.get("drop") == "after":
            return Reply(DROPPED)
        return self._fault(refuse("TimedOut"), request, operation) if delay >= request.timeout_seconds else reply

    def _answer(self, request: Request, operation: Operation, action: Action) -> Reply:
        estate = self._site.estate
        with estate.lock:
            if action.get("boot"):
                self._site.boot()
            estate.timeline.settle()
            estate.job_error = _job_error(action)
            estate.machines[self._site.machine].blind_rescans += int(action.get("blind_rescans", 0))
            try:
                if error := action.get("error"):
                    raise _injected(error)
                return Reply(200, self._site.service.answer(request))
            except (WsmanFault, ProviderFault) as fault:
                return self._fault(fault, request, operation)
            finally:
                estate.job_error = None

    def _fault(self, fault: WsmanFault | ProviderFault, request: Request, operation: Operation) -> Reply:
        return Reply(500, fault_answer(fault, request.message_id, self._site.machine, operation.method))


def _injected(error: Mapping[str, Any]) -> WsmanFault | ProviderFault:
    """Return the fault that a test asked for: by its name in KINDS, or by the HRESULT of a provider."""
    code, message = error["code"], error.get("message")
    if code in KINDS:
        kind = KINDS[code]
        return WsmanFault(Kind(kind.code, kind.subcode, message or kind.text, kind.side, kind.detail))
    return ProviderFault(int(code), str(message or "Generic failure. "))


def _job_error(action: Action) -> JobError | None:
    error = action.get("job_error")
    return JobError(int(error["code"]), str(error["message"])) if error else None
