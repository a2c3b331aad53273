# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a session says when the other end is not there, not trusted, silent, or gone in the middle of an answer."""

from __future__ import annotations

import base64
import ssl
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from socket import create_server

import pytest
import trustme

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    ConnectionFailed,
    InvalidInput,
    MissingLibrary,
    OutcomeUnknown,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import https
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession
from tests.unit.module_utils._san.wire.misbehaving import OK, Script, Server, answering, hang_up, serving

Serve = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_path(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("https") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def tls(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def serve(authority: trustme.CA) -> Serve:
    return lambda *scripts: serving(scripts, tls(authority))


def at(port: int, ca_path: str | None, **settings: object) -> Connection:
    return replace(Connection("array", "ontap", "127.0.0.1", port, "admin", "secret", ca_path=ca_path, timeout=30.0), **settings)  # type: ignore[arg-type]


def test_a_request_carries_credentials_and_headers(serve: Serve, ca_path: str) -> None:
    with serve(answering(OK)) as server:
        session = HttpsSession(at(server.port, ca_path), {"Accept": "application/json"}, authenticate=True)
        response = session.request("GET", "/api?x=1")
        session.close()
    assert response.text == "ok"
    sent = server.requests[0]
    assert sent.startswith("GET /api?x=1 HTTP/1.1\r\n")
    assert f"Authorization: Basic {base64.b64encode(b'admin:secret').decode()}\r\n" in sent
    assert "Accept: application/json\r\n" in sent


@pytest.mark.parametrize("option", ["username", "password"])
def test_missing_credentials_are_named(option: str) -> None:
    with pytest.raises(InvalidInput, match=rf"array\.{option} is not set"):
        HttpsSession(at(443, None, **{option: None}), authenticate=True)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "REQUESTS_IMPORT_ERROR", "Traceback")
    with pytest.raises(MissingLibrary, match="pip install requests"):
        HttpsSession(at(443, None))


@pytest.mark.parametrize(
    "script", [hang_up, answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), answering(b"not http\r\n\r\n")]
)
class TestALostConnection:
    def test_of_a_read_is_made_once_more(self, serve: Serve, ca_path: str, script: Script) -> None:
        with serve(script, answering(OK)) as server:
            assert HttpsSession(at(server.port, ca_path)).request("GET", "/x").text == "ok"
        assert len(server.requests) == 2

    def test_of_a_read_is_made_only_once_more(self, serve: Serve, ca_path: str, script: Script) -> None:
        with serve(script) as server, pytest.raises(ConnectionFailed, match=r"The array 127.0.0.1:\d+ cannot be reached \([^()]+"):
            HttpsSession(at(server.port, ca_path)).request("GET", "/x")
        assert len(server.requests) == 2

    @pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
    def test_of_a_write_leaves_its_outcome_unknown(self, serve: Serve, ca_path: str, script: Script, method: str) -> None:
        with (
            serve(script, answering(OK)) as server,
            pytest.raises(OutcomeUnknown, match=rf"was lost before the answer to {method} /luns came; look there"),
        ):
            HttpsSession(at(server.port, ca_path)).request(method, "/luns?token=1")
        assert len(server.requests) == 1, "a write is never repeated"

    def test_of_a_read_that_is_posted_is_made_once_more(self, serve: Serve, ca_path: str, script: Script) -> None:
        with serve(script, answering(OK)) as server:
            assert HttpsSession(at(server.port, ca_path)).post("/x", "lun-get-iter", reads=True).text == "ok"
        assert len(server.requests) == 2

    def test_of_what_is_posted_and_may_write_is_told_by_what_it_asks_for(self, serve: Serve, ca_path: str, script: Script) -> None:
        with (
            serve(script, answering(OK)) as server,
            pytest.raises(OutcomeUnknown, match=r"was lost before the answer to lun-map came; look there"),
        ):
            HttpsSession(at(server.port, ca_path)).post("/x", "lun-map", reads=False)
        assert len(server.requests) == 1, "a write is never repeated"


class TestSilence:
    @staticmethod
    def keep_silent(connection: ssl.SSLSocket) -> None:
        connection.recv(1)

    def test_of_a_read_is_not_waited_for_twice(self, serve: Serve, ca_path: str) -> None:
        with serve(self.keep_silent) as server, pytest.raises(ConnectionFailed, match=r"did not answer within 0.3 s.*array\.timeout"):
            HttpsSession(at(server.port, ca_path, timeout=0.3)).request("GET", "/x")
        assert len(server.requests) == 1

    def test_of_a_write_leaves_its_outcome_unknown(self, serve: Serve, ca_path: str) -> None:
        with serve(self.keep_silent) as server, pytest.raises(OutcomeUnknown, match=r"The time for one request to .* was over before"):
            HttpsSession(at(server.port, ca_path, timeout=0.3)).request("POST", "/x")


@pytest.mark.parametrize("method", ["GET", "POST"])
class TestAConnectionThatIsNeverMade:
    """Nothing can have happened at the other end, so a write fails as a read does."""

    def test_because_nobody_listens(self, method: str) -> None:
        with create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with pytest.raises(ConnectionFailed, match=rf"The array 127.0.0.1:{port} cannot be reached \(.*refused\): check array\.hostname"):
            HttpsSession(at(port, None)).request(method, "/x")

    def test_because_the_name_is_unknown(self, method: str) -> None:
        with pytest.raises(ConnectionFailed, match=r"no-such-array\.invalid:443 cannot be reached \(.*resolve.*\): check array\.hostname"):
            HttpsSession(at(443, None, hostname="no-such-array.invalid")).request(method, "/x")

    def test_because_the_name_is_none(self, method: str) -> None:
        with pytest.raises(ConnectionFailed, match=r"a\.\.b:443 cannot be reached \(.*\): check array\.hostname"):
            HttpsSession(at(443, None, hostname="a..b")).request(method, "/x")

    def test_because_the_authority_is_not_known(self, serve: Serve, method: str) -> None:
        with serve(answering(OK)) as server, pytest.raises(ConnectionFailed, match=r"certificate of .* is not trusted.*array\.ca_path"):
            HttpsSession(at(server.port, None)).request(method, "/x")
        assert server.requests == [], "nothing was sent, credentials least of all"

    def test_because_the_certificate_is_for_another_name(self, authority: trustme.CA, ca_path: str, method: str) -> None:
        with (
            serving([answering(OK)], tls(authority, "other.example")) as server,
            pytest.raises(ConnectionFailed, match=r"not trusted \(.*mismatch.*\).*give as array\.hostname the name that it was issued for"),
        ):
            HttpsSession(at(server.port, ca_path)).request(method, "/x")

    def test_because_the_file_of_authorities_is_missing(self, method: str) -> None:
        with pytest.raises(ConnectionFailed, match=r"The file /nowhere\.pem of array\.ca_path cannot be read as certificates"):
            HttpsSession(at(443, "/nowhere.pem")).request(method, "/x")


def test_a_file_that_holds_no_certificates_is_named(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nothing of the kind")
    with serve(answering(OK)) as server, pytest.raises(ConnectionFailed, match=rf"The file {path} of array\.ca_path cannot be read"):
        HttpsSession(at(server.port, str(path))).request("GET", "/x")


def test_an_endpoint_without_tls_is_not_called_untrusted(ca_path: str) -> None:
    with serving([answering(OK)], None) as server, pytest.raises(ConnectionFailed, match=r"does not speak TLS as it should \(.+\): check"):
        HttpsSession(at(server.port, ca_path)).request("GET", "/x")


def test_verification_ends_only_where_the_user_said_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(answering(OK)) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert HttpsSession(at(server.port, None, validate_certs=False)).request("GET", "/x").text == "ok"


def test_the_environment_does_not_replace_the_file_of_authorities(serve: Serve, ca_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    with serve(answering(OK)) as server:
        assert HttpsSession(at(server.port, ca_path)).request("GET", "/x").text == "ok"


def test_an_ipv6_address_is_bracketed() -> None:
    with pytest.raises(ConnectionFailed, match=r"\[?::1\]?:1 cannot be reached \((?!.*parse).*\)"):
        HttpsSession(at(1, None, hostname="::1")).request("GET", "/x")
