# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The listeners let in who may come, by Basic and by NTLM with sealed messages, and break as they are told."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest
import spnego

from tests.lab.certificates import issue
from tests.lab.control import Faults, RequestLog
from tests.lab.hyperv.installation import PRODUCT, service
from tests.lab.hyperv.negotiate import BOUNDARY, CONTENT_TYPE, PROTOCOL, keep_account
from tests.lab.hyperv.running import CIMV2, Lab, envelope
from tests.lab.hyperv.server import ACTIONS, Site, listener
from tests.lab.hyperv.wsman import TRANSFER
from tests.lab.hyperv.xml_values import WMI
from tests.lab.listener import Credentials, tls_context
from tests.unit.lab.hyperv.desk import HOST

USER, PASSWORD = "LAB\\Administrator", "correct horse"
BASIC = {"Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
COMPUTER = envelope(f"{TRANSFER}Get", f"{WMI}{CIMV2}/Win32_ComputerSystem", "", "uuid:1", {"Name": "HV01"})
IDENTIFY = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><i:Identify '
    b'xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"/></s:Body></s:Envelope>'
)


class Door:
    """A listener of the host with its faults and log."""

    def __init__(self, lab: Lab, tls: ssl.SSLContext | None = None) -> None:
        self.faults, self.log = Faults(ACTIONS), RequestLog()
        self.site = Site(service(lab.estate, HOST), lab.estate, PRODUCT, Credentials(USER, PASSWORD), self.faults, self.log)
        self.listener = listener(("127.0.0.1", 0), self.site, tls)
        self.port = int(self.listener.server_address[1])
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def post(self, body: bytes, headers: dict[str, str], authority: Path | None = None) -> tuple[int, bytes]:
        """Send one message over a new connection."""
        if authority:
            context = ssl.create_default_context(cafile=str(authority))
            connection: HTTPConnection = HTTPSConnection("127.0.0.1", self.port, context=context, timeout=10)
        else:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/wsman", body, {"Content-Type": "application/soap+xml;charset=UTF-8", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture
def door(lab: Lab) -> Iterator[Door]:
    """A listener without TLS."""
    opened = Door(lab)
    yield opened
    opened.listener.shutdown()
    opened.listener.server_close()


@pytest.fixture
def secure(lab: Lab, tmp_path: Path) -> Iterator[tuple[Door, Path]]:
    """A listener with TLS, and the authority to trust."""
    files = issue(tmp_path)
    opened = Door(lab, tls_context(str(files.certificate), str(files.key)))
    yield opened, files.authority
    opened.listener.shutdown()
    opened.listener.server_close()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NTLM_USER_FILE", "")
    file = keep_account(USER, PASSWORD)
    yield
    file.unlink()


class NtlmClient:
    """A client on one connection, as MS-WSMV describes it."""

    def __init__(self, port: int, password: str = PASSWORD) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)
        self._context = spnego.client(USER, password, protocol="negotiate", options=spnego.NegotiateOptions.use_ntlm)

    def close(self) -> None:
        self._connection.close()

    def handshake(self) -> int:
        """Authenticate with empty messages; return the last status."""
        token = self._context.step()
        while True:
            header = {"Authorization": f"Negotiate {b64encode(token or b'').decode()}", "Content-Length": "0"}
            self._connection.request("POST", "/wsman", b"", header)
            answer = self._connection.getresponse()
            answer.read()
            challenge = (answer.getheader("WWW-Authenticate") or "").partition(" ")[2]
            if answer.status != 401 or not re.fullmatch(r"[A-Za-z0-9+/]+=*", challenge):
                return answer.status
            token = self._context.step(b64decode(challenge))

    def send(self, message: bytes, *, tamper: bool = False) -> tuple[int, bytes]:
        """Send a sealed message; return status and unsealed answer."""
        sealed = self._context.wrap_winrm(message)
        data = sealed.data[:-1] + bytes([sealed.data[-1] ^ tamper])
        body = (
            BOUNDARY
            + f"\r\n\tContent-Type: {PROTOCOL}\r\n".encode()
            + f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={len(message)}\r\n".encode()
            + BOUNDARY
            + b"\r\n\tContent-Type: application/octet-stream\r\n"
            + len(sealed.header).to_bytes(4, "little")
            + sealed.header
            + data
            + BOUNDARY
            + b"--\r\n"
        )
        self._connection.request("POST", "/wsman", body, {"Content-Type": CONTENT_TYPE})
        answer = self._connection.getresponse()
        raw = answer.read()
        return answer.status, self._unseal(raw) if raw else b""

    def _unseal(self, raw: bytes) -> bytes:
        payload = raw.partition(b"application/octet-stream\r\n")[2]
        payload = payload[: payload.rfind(BOUNDARY)]
        size = int.from_bytes(payload[:4], "little")
        return self._context.unwrap_winrm(payload[4 : 4 + size], payload[4 + size :])


def test_basic_over_tls(secure: tuple[Door, Path]) -> None:
    door, authority = secure
    status, body = door.post(COMPUTER, BASIC, authority)
    assert status == 200
    assert b"<p:Name>HV01</p:Name>" in body
    assert door.log.report()["requests"] == [
        {"n": 1, "method": "Get", "path": "/hv01.lab/root/cimv2/Win32_ComputerSystem?Name=HV01", "status": 200}
    ]


def test_a_wrong_password_is_not_let_in(secure: tuple[Door, Path]) -> None:
    door, authority = secure
    wrong = {"Authorization": "Basic " + b64encode(b"LAB\\Administrator:wrong").decode()}
    assert door.post(COMPUTER, wrong, authority)[0] == 401
    assert door.post(COMPUTER, {}, authority)[0] == 401


def test_readable_messages_are_not_taken_without_tls(door: Door) -> None:
    assert door.post(COMPUTER, BASIC)[0] == 403


def test_identify_needs_no_password_and_tells_no_version(secure: tuple[Door, Path]) -> None:
    door, authority = secure
    status, body = door.post(IDENTIFY, {"WSMANIDENTIFY": "unauthenticated"}, authority)
    assert status == 200
    assert b"OS: 0.0.0 SP: 0.0 Stack: 3.0" in body
    assert door.post(COMPUTER, {"WSMANIDENTIFY": "unauthenticated"}, authority)[0] == 401
    assert b"OS: 10.0.20348" in door.post(IDENTIFY, BASIC, authority)[1]


@pytest.mark.usefixtures("account")
def test_ntlm_with_sealed_messages(door: Door) -> None:
    client = NtlmClient(door.port)
    assert client.handshake() == 200
    for _turn in range(3):
        status, body = client.send(COMPUTER)
        assert status == 200
        assert b"<p:Name>HV01</p:Name>" in body
    client.close()
    assert door.log.report()["total"] == 3


@pytest.mark.usefixtures("account")
def test_ntlm_with_a_wrong_password(door: Door) -> None:
    client = NtlmClient(door.port, "wrong")
    assert client.handshake() == 401
    client.close()
    assert [row["status"] for row in door.log.report()["requests"]] == [401]


@pytest.mark.usefixtures("account")
def test_a_message_that_was_tampered_with_is_refused(door: Door) -> None:
    client = NtlmClient(door.port)
    client.handshake()
    assert client.send(COMPUTER, tamper=True) == (401, b"")
    client.close()


def play(door: tuple[Door, Path], fault: dict[str, object]) -> tuple[int, bytes]:
    door[0].faults.add(fault)
    return door[0].post(COMPUTER, BASIC, door[1])


def test_an_injected_fault_by_name_and_by_number(secure: tuple[Door, Path]) -> None:
    status, body = play(secure, {"match": "root/cimv2", "action": {"error": {"code": "AccessDenied", "message": "Not you."}}})
    assert (status, b"w:AccessDenied" in body, b'Code="5"' in body, b"Not you." in body) == (500, True, True, True)
    status, body = play(secure, {"call": 1, "action": {"error": {"code": 2147943860, "message": "Element not found."}}})
    assert (status, b"<e:error_Code>2147943860</e:error_Code>" in body) == (500, True)


def test_an_injected_status(secure: tuple[Door, Path]) -> None:
    assert play(secure, {"call": 1, "action": {"status": 503, "body": "busy"}}) == (503, b"busy")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_breaks(secure: tuple[Door, Path], when: str) -> None:
    with pytest.raises((http.client.HTTPException, OSError)):
        play(secure, {"call": 1, "action": {"drop": when}})
    assert secure[0].log.report()["requests"][0]["status"] == 0


def test_an_answer_that_comes_too_late_is_a_timeout(secure: tuple[Door, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    status, body = play(secure, {"call": 1, "action": {"delay": 30}})
    assert (status, b'Code="2150858793"' in body) == (500, True)
    assert slept == [20.0]


def test_a_machine_that_boots_does_what_it_was_asked_all_the_same(lab: Lab, secure: tuple[Door, Path]) -> None:
    lab.map_lun("hv_hv01")
    before = [(disk.key, disk.number) for disk in lab.estate.machines[HOST].disks]
    status, _body = play(secure, {"call": 1, "action": {"boot": True}})
    assert status == 200
    assert [(disk.key, disk.number) for disk in lab.estate.machines[HOST].disks] != before


def test_a_machine_that_is_down_does_not_answer(lab: Lab, secure: tuple[Door, Path]) -> None:
    lab.estate.set_power(HOST, up=False)
    with pytest.raises((http.client.HTTPException, OSError)):
        secure[0].post(COMPUTER, BASIC, secure[1])


def test_the_state_of_the_lab_is_json(lab: Lab) -> None:
    assert json.loads(json.dumps(lab.estate.canonical())) == lab.estate.canonical()
