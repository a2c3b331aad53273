# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logins, message encryption and broken connections, on real sockets: what is sent again, and what each failure is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from socket import create_server

import pytest
import trustme

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    MissingLibrary,
    OutcomeUnknown,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_transport import (
    BASIC,
    CERTIFICATE,
    CREDSSP,
    KERBEROS,
    NTLM,
    ClientCertificate,
    Effect,
    WsmanTransport,
)
from tests.lab.certificates import Certificates
from tests.unit import wsman
from tests.unit.wsman import PASSWORD, Answer, Endpoint

pytestmark = pytest.mark.slow

ASKED = b"<s:Envelope><a:MessageID>uuid:1</a:MessageID></s:Envelope>"
TOLD = b"<s:Envelope>told</s:Envelope>"
LOST = Answer(drop=True)

Opener = Callable[..., WsmanTransport]


@pytest.fixture
def open_transport() -> Iterator[Opener]:
    opened: list[WsmanTransport] = []

    def open_one(connection: Connection, transport: str = BASIC, **settings: object) -> WsmanTransport:
        opened.append(WsmanTransport(connection, transport, **settings))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for transport in opened:
        transport.close()


def send(transport: WsmanTransport, effect: Effect = Effect.NONE, timeout: float = 30.0) -> bytes:
    return transport.send(ASKED, "Get Msvm_X", effect, timeout)


class TestLogin:
    def test_by_password_over_tls(self, windows: Endpoint, open_transport: Opener) -> None:
        windows.answer(TOLD)
        transport = open_transport(windows.connection)
        assert send(transport) == send(transport) == TOLD
        assert windows.messages == [ASKED, ASKED]
        assert windows.connections == 1, "one connection is kept"

    def test_by_ntlm_over_tls(self, windows: Endpoint, open_transport: Opener) -> None:
        windows.answer(TOLD)
        transport = open_transport(windows.connection, NTLM)
        assert send(transport) == send(transport) == TOLD
        assert windows.messages == [ASKED, ASKED]
        assert windows.connections == 1

    def test_by_ntlm_over_http_encrypts_every_message(self, windows_http: Endpoint, open_transport: Opener) -> None:
        windows_http.answer(TOLD)
        transport = open_transport(windows_http.connection, NTLM, scheme="http")
        assert send(transport) == send(transport) == TOLD
        assert windows_http.messages == [ASKED, ASKED]
        sent = [post for post in windows_http.posts if int(post["Content-Length"])]
        assert [post["Content-Type"].partition(";")[0] for post in sent] == ["multipart/encrypted"] * 2
        assert windows_http.connections == 1

    def test_by_a_clients_certificate(self, certificates: Certificates, tmp_path: Path, open_transport: Opener) -> None:
        authority = trustme.CA()
        client = authority.issue_cert("operator@lab")
        files = ClientCertificate(str(tmp_path / "client.pem"), str(tmp_path / "client.key"))
        client.cert_chain_pems[0].write_to_path(files.certificate)
        client.private_key_pem.write_to_path(files.key)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        with wsman.endpoint(certificates, str(tmp_path / "ca.pem")) as there:
            there.answer(TOLD)
            without_password = replace(there.connection, username=None, password=None)
            transport = open_transport(without_password, CERTIFICATE, client_certificate=files)
            assert send(transport) == TOLD
            transport.close()
        assert there.posts[0]["Authorization"] == "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"

    @pytest.mark.parametrize("transport", [BASIC, NTLM])
    def test_with_a_wrong_password_names_the_user_and_the_transport(
        self, windows: Endpoint, open_transport: Opener, transport: str
    ) -> None:
        wrong = replace(windows.connection, password="wrong-password")
        with pytest.raises(
            AuthenticationFailed, match=rf"refuses the user LAB\\operator or the password over {transport}: check"
        ) as caught:
            send(open_transport(wrong, transport), Effect.CHANGE)
        assert "wrong-password" not in str(caught.value)
        assert windows.messages == []

    def test_with_a_wrong_password_over_http_sends_nothing_in_the_clear(self, windows_http: Endpoint, open_transport: Opener) -> None:
        transport = open_transport(replace(windows_http.connection, password="wrong"), NTLM, scheme="http")
        for _attempt in range(2):
            with pytest.raises(AuthenticationFailed, match="over ntlm"):
                send(transport)
        assert [post["Content-Length"] for post in windows_http.posts if int(post["Content-Length"])] == []

    def test_that_is_not_offered_is_told(self, windows: Endpoint, open_transport: Opener) -> None:
        windows.schemes = ("Basic",)
        with pytest.raises(AuthenticationFailed, match="that its WinRM service allows ntlm"):
            send(open_transport(windows.connection, NTLM))

    def test_of_a_certificate_that_is_not_mapped_names_the_file(self, windows: Endpoint, tmp_path: Path, open_transport: Opener) -> None:
        client = trustme.CA().issue_cert("operator@lab")
        pem = tmp_path / "client.pem"
        client.private_key_and_cert_chain_pem.write_to_path(str(pem))
        with pytest.raises(AuthenticationFailed, match=rf"refuses the client certificate {pem} over certificate: check that it is mapped"):
            send(open_transport(windows.connection, CERTIFICATE, client_certificate=ClientCertificate(str(pem), str(pem))))


class TestWhatIsRefusedBeforeAnythingIsSent:
    at = Connection("hypervisor", "hyperv", "hv1", 5985, "LAB\\operator", PASSWORD)

    @pytest.mark.parametrize("transport", [BASIC, CERTIFICATE])
    def test_secrets_in_the_clear(self, transport: str) -> None:
        with pytest.raises(InvalidInput, match=rf"transport {transport} sends its secrets .* use port 5986 of hv1, or the transport ntlm"):
            WsmanTransport(self.at, transport, client_certificate=ClientCertificate("a", "b"))

    @pytest.mark.parametrize("transport", [BASIC, NTLM, CREDSSP])
    @pytest.mark.parametrize("option", ["username", "password"])
    def test_a_login_without_credentials(self, transport: str, option: str) -> None:
        with pytest.raises(InvalidInput, match=rf"hypervisor\.{option} is not set"):
            WsmanTransport(replace(self.at, port=5986, **{option: None}), transport)  # type: ignore[arg-type]

    def test_a_certificate_login_without_a_certificate(self) -> None:
        with pytest.raises(InvalidInput, match="needs the certificate and key of an account"):
            WsmanTransport(replace(self.at, port=5986), CERTIFICATE)

    def test_an_unknown_transport(self) -> None:
        with pytest.raises(InvalidInput, match="no transport 'ssh': say certificate, ntlm, kerberos, credssp, basic"):
            WsmanTransport(self.at, "ssh")


class TestAMissingLibrary:
    at = Connection("hypervisor", "hyperv", "hv1", 5986, "LAB\\operator", PASSWORD)

    def test_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wsman_transport, "WINRM_IMPORT_ERROR", "Traceback")
        monkeypatch.setattr(wsman_transport, "LXML_IMPORT_ERROR", "Traceback")
        with pytest.raises(MissingLibrary, match=r"not installed where this task runs: pip install pywinrm lxml\."):
            WsmanTransport(self.at, NTLM)

    @pytest.mark.parametrize("transport", [KERBEROS, CREDSSP])
    def test_of_one_login_is_named_with_it(self, monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
        monkeypatch.setattr(f"winrm.transport.HAVE_{transport.upper()}", False)
        with pytest.raises(MissingLibrary, match=rf"pip install pywinrm\[{transport}\]"):
            WsmanTransport(self.at, transport)


@pytest.mark.parametrize("transport", [BASIC, NTLM])
class TestALostConnection:
    def test_of_a_repeatable_request_is_made_once_more(self, windows: Endpoint, open_transport: Opener, transport: str) -> None:
        windows.answer(LOST, TOLD)
        assert send(open_transport(windows.connection, transport)) == TOLD
        assert windows.messages == [ASKED, ASKED]

    def test_is_made_only_once_more(self, windows: Endpoint, open_transport: Opener, transport: str) -> None:
        windows.answer(LOST)
        with pytest.raises(ConnectionFailed, match=r"The hypervisor 127\.0\.0\.1:\d+ cannot be reached"):
            send(open_transport(windows.connection, transport))
        assert len(windows.messages) == 2

    def test_of_a_change_leaves_its_outcome_unknown(self, windows: Endpoint, open_transport: Opener, transport: str) -> None:
        windows.answer(LOST, TOLD)
        with pytest.raises(OutcomeUnknown, match=r"No answer to Get Msvm_X came from 127\.0\.0\.1:\d+ before .* look there, then run"):
            send(open_transport(windows.connection, transport), Effect.CHANGE)
        assert len(windows.messages) == 1, "a change is never repeated"

    def test_of_a_cursor_is_not_made_again(self, windows: Endpoint, open_transport: Opener, transport: str) -> None:
        windows.answer(LOST, TOLD)
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            send(open_transport(windows.connection, transport), Effect.CURSOR)
        assert len(windows.messages) == 1

    def test_is_forgotten_by_the_next_request(self, windows: Endpoint, open_transport: Opener, transport: str) -> None:
        windows.answer(LOST, TOLD)
        there = open_transport(windows.connection, transport)
        with pytest.raises(OutcomeUnknown):
            send(there, Effect.CHANGE)
        assert send(there, Effect.CHANGE) == TOLD


def test_a_lost_encrypted_connection_is_logged_in_anew(windows_http: Endpoint, open_transport: Opener) -> None:
    windows_http.answer(TOLD, LOST, TOLD)
    transport = open_transport(windows_http.connection, NTLM, scheme="http")
    assert [send(transport), send(transport)] == [TOLD, TOLD]
    assert windows_http.messages == [ASKED] * 3
    assert windows_http.connections == 2


def test_a_connection_that_was_idle_for_long_is_replaced(
    windows_http: Endpoint, open_transport: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows_http.answer(TOLD)
    transport = open_transport(windows_http.connection, NTLM, scheme="http")
    send(transport)
    monkeypatch.setattr(wsman_transport, "_IDLE_LIMIT", -1.0)
    assert send(transport, Effect.CHANGE) == TOLD
    assert windows_http.connections == 2


class TestSilence:
    slow = Answer(TOLD, delay=0.6)

    def test_of_a_read_is_not_waited_for_twice(self, windows: Endpoint, open_transport: Opener) -> None:
        windows.answer(self.slow)
        with pytest.raises(ConnectionFailed, match=r"did not answer within 30 s.*hypervisor\.timeout"):
            send(open_transport(windows.connection), timeout=0.2)
        assert len(windows.messages) == 1

    def test_of_a_change_leaves_its_outcome_unknown(self, windows: Endpoint, open_transport: Opener) -> None:
        windows.answer(self.slow)
        with pytest.raises(OutcomeUnknown, match="before the connection was lost or the time over"):
            send(open_transport(windows.connection), Effect.CHANGE, timeout=0.2)


@pytest.mark.parametrize("effect", Effect)
class TestAConnectionThatIsNeverMade:
    """Nothing can have happened at the other end, so a change fails as a read does."""

    def test_because_nobody_listens(self, open_transport: Opener, effect: Effect) -> None:
        with create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        connection = Connection("hypervisor", "hyperv", "127.0.0.1", port, "u", "p")
        with pytest.raises(ConnectionFailed, match=rf"127\.0\.0\.1:{port} cannot be reached \(.*refused\): check hypervisor\.hostname"):
            send(open_transport(connection), effect)

    def test_because_the_authority_is_not_known(self, windows: Endpoint, open_transport: Opener, effect: Effect) -> None:
        with pytest.raises(ConnectionFailed, match=r"certificate of .* is not trusted.*hypervisor\.ca_path"):
            send(open_transport(replace(windows.connection, ca_path=None)), effect)
        assert windows.posts == [], "nothing was sent, credentials least of all"

    def test_because_the_file_of_authorities_is_missing(self, open_transport: Opener, effect: Effect) -> None:
        connection = Connection("hypervisor", "hyperv", "127.0.0.1", 5986, "u", "p", ca_path="/nowhere.pem")
        with pytest.raises(ConnectionFailed, match=r"The file /nowhere\.pem of hypervisor\.ca_path cannot be read"):
            send(open_transport(connection), effect)


def test_an_endpoint_without_tls_is_not_called_untrusted(windows_http: Endpoint, open_transport: Opener) -> None:
    with pytest.raises(ConnectionFailed, match="does not speak TLS as it should"):
        send(open_transport(windows_http.connection))


def test_verification_ends_only_where_the_user_said_so(windows: Endpoint, open_transport: Opener) -> None:
    windows.answer(TOLD)
    assert send(open_transport(replace(windows.connection, ca_path=None, validate_certs=False))) == TOLD


def test_the_environment_does_not_replace_the_authorities_nor_lead_to_a_proxy(
    windows: Endpoint, open_transport: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    windows.answer(TOLD)
    assert send(open_transport(windows.connection)) == TOLD


class TestAnAnswerThatIsNoSuccess:
    def test_is_given_back_when_it_is_a_fault(self, windows: Endpoint, open_transport: Opener) -> None:
        body = "<s:Envelope>ü fault</s:Envelope>".encode()
        windows.answer(Answer(body, 500))
        assert send(open_transport(windows.connection)) == body

    def test_is_decrypted_first(self, windows_http: Endpoint, open_transport: Opener) -> None:
        windows_http.answer(Answer(b"<s:Envelope>fault</s:Envelope>", 500))
        assert send(open_transport(windows_http.connection, NTLM, scheme="http")) == b"<s:Envelope>fault</s:Envelope>"

    @pytest.mark.parametrize("effect", Effect)
    def test_404_is_not_ws_management(self, windows: Endpoint, open_transport: Opener, effect: Effect) -> None:
        windows.answer(Answer(b"<html>not here</html>", 404))
        with pytest.raises(ConnectionFailed, match=r"is not WS-Management \(HTTP 404\): check that hypervisor\.hostname and"):
            send(open_transport(windows.connection), effect)

    @pytest.mark.parametrize("status", [400, 403, 503])
    def test_of_something_else_is_told_with_its_status(self, windows: Endpoint, open_transport: Opener, status: int) -> None:
        windows.answer(Answer(b"busy", status))
        with pytest.raises(RemoteError, match=rf"answered Get Msvm_X with HTTP {status}") as caught:
            send(open_transport(windows.connection), Effect.CHANGE)
        assert caught.value.code == str(status)

    @pytest.mark.parametrize("status", [500, 502, 504])
    def test_of_a_gateway_to_a_change_leaves_its_outcome_unknown(self, windows: Endpoint, open_transport: Opener, status: int) -> None:
        windows.answer(Answer(b"", status))
        with pytest.raises(OutcomeUnknown, match=rf"with HTTP {status}, so that it may have been carried out"):
            send(open_transport(windows.connection), Effect.CHANGE)
        with pytest.raises(RemoteError, match=f"HTTP {status}"):
            send(open_transport(windows.connection))


class TestAnAnswerThatWasTamperedWith:
    @pytest.mark.parametrize("status", [200, 500])
    def test_by_sending_it_in_the_clear_is_not_taken(self, windows_http: Endpoint, open_transport: Opener, status: int) -> None:
        windows_http.answer(Answer(TOLD, status, in_the_clear=True))
        transport = open_transport(windows_http.connection, NTLM, scheme="http")
        with pytest.raises(ConnectionFailed, match=r"is not WS-Management \(it is not encrypted\)"):
            send(transport)

    def test_by_sealing_it_with_another_key_is_not_taken(
        self, windows_http: Endpoint, open_transport: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        windows_http.answer(TOLD)
        monkeypatch.setattr("tests.lab.hyperv.negotiate.Session.seal", _forged)
        transport = open_transport(windows_http.connection, NTLM, scheme="http")
        with pytest.raises(ConnectionFailed, match="is not WS-Management"):
            send(transport)
        with pytest.raises(OutcomeUnknown, match="cannot be read"):
            send(transport, Effect.CHANGE)


def _forged(self: object, message: bytes) -> bytes:
    boundary = b"--Encrypted Boundary"
    return (
        boundary + b"\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
        b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length="
        + str(len(message)).encode()
        + b"\r\n"
        + boundary
        + b"\r\n\tContent-Type: application/octet-stream\r\n"
        + (16).to_bytes(4, "little")
        + b"\1\0\0\0"
        + bytes(12)
        + message
        + boundary
        + b"--\r\n"
    )


def test_an_ipv6_address_is_bracketed(open_transport: Opener) -> None:
    assert open_transport(Connection("hypervisor", "hyperv", "::1", 5986, "u", "p")).endpoint == "https://[::1]:5986/wsman"
