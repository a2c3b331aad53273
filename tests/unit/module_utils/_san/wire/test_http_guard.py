# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every HTTP client of ours does with an endpoint that leads elsewhere, drips, floods or compresses, on real sockets."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, OutcomeUnknown
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import MIB
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_probe import is_vsphere
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_probe import is_wsman
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_transport import (
    BASIC,
    CERTIFICATE,
    NTLM,
    ClientCertificate,
    Effect,
    WsmanTransport,
)
from tests.unit.module_utils._san.wire.misbehaving import OK, Script, Server, answering, dripping, flooding, redirecting, serving

REDIRECTIONS = (301, 302, 303, 307, 308)
SECRET = "not-to-be-told"
PATIENCE = 1.5
"""Seconds, of which a busy machine needs some until the first byte is there."""

Client = Callable[[Connection], object]


def ask_ontap(connection: Connection) -> object:
    return OntapClient(connection).get("/cluster", ("version",))


def ask_vsphere(connection: Connection) -> object:
    return VimSession(connection)


def ask_windows(connection: Connection) -> object:
    return WsmanTransport(connection, BASIC).send(b"<s:Envelope/>", "Get X", Effect.NONE, connection.timeout)


def ask_windows_by_ntlm(connection: Connection) -> object:
    return WsmanTransport(connection, NTLM).send(b"<s:Envelope/>", "Get X", Effect.NONE, connection.timeout)


CLIENTS: tuple[Client, ...] = (ask_ontap, ask_vsphere, ask_windows, ask_windows_by_ntlm, is_vsphere, is_wsman)
ANY_CLIENT = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)


class Stage:
    """An endpoint that misbehaves over TLS, and the place to which it might lead."""

    def __init__(self, authority: trustme.CA, ca_path: str) -> None:
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self._tls)
        self._ca_path = ca_path

    @contextmanager
    def endpoint(self, *scripts: Script) -> Iterator[tuple[Server, Connection]]:
        with serving(scripts, self._tls) as server:
            yield server, self.connection(server.port)

    @contextmanager
    def elsewhere(self, scheme: str) -> Iterator[Server]:
        with serving([answering(OK)], self._tls if scheme == "https" else None) as server:
            yield server

    def connection(self, port: int, timeout: float = 30.0) -> Connection:
        return Connection("array", "any", "127.0.0.1", port, "admin", SECRET, ca_path=self._ca_path, timeout=timeout)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("guard") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return Stage(authority, str(path))


@ANY_CLIENT
@pytest.mark.parametrize("status", REDIRECTIONS)
class TestARedirection:
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_to_another_port_is_not_followed(self, stage: Stage, client: Client, status: int, scheme: str) -> None:
        with (
            stage.elsewhere(scheme) as elsewhere,
            stage.endpoint(redirecting(status, f"{scheme}://127.0.0.1:{elsewhere.port}/sdk?x={SECRET}")) as (server, connection),
            pytest.raises(ConnectionFailed, match=rf"redirects requests to {scheme}://127\.0\.0\.1:\d+ \(HTTP {status}\), which") as told,
        ):
            client(connection)
        assert elsewhere.requests == [], "nothing is sent to where it leads, credentials least of all"
        assert len(server.requests) == 1
        assert SECRET not in str(told.value)

    def test_to_another_path_is_not_followed(self, stage: Stage, client: Client, status: int) -> None:
        refuses_to_follow(stage, client, status, "/elsewhere")


@ANY_CLIENT
@pytest.mark.parametrize("location", ["", "http://[", "https://127.0.0.1:99999/"])
def test_a_redirection_to_nowhere_is_not_followed(stage: Stage, client: Client, location: str) -> None:
    refuses_to_follow(stage, client, 302, location)


def refuses_to_follow(stage: Stage, client: Client, status: int, location: str) -> None:
    with (
        stage.endpoint(redirecting(status, location)) as (server, connection),
        pytest.raises(ConnectionFailed, match="redirects requests to another p"),
    ):
        client(connection)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", REDIRECTIONS)
def test_a_login_over_plain_http_is_not_taken_elsewhere(stage: Stage, status: int) -> None:
    """There, pywinrm logs in before it gives its session to us."""
    with (
        stage.elsewhere("http") as elsewhere,
        serving([redirecting(status, f"http://127.0.0.1:{elsewhere.port}/wsman")], None) as server,
        pytest.raises(ConnectionFailed, match="redirects requests to"),
    ):
        WsmanTransport(stage.connection(server.port), NTLM, scheme="http").send(b"<s:Envelope/>", "Get X", Effect.NONE, 5.0)
    assert elsewhere.requests == []


class TestARedirectedWrite:
    @pytest.mark.parametrize("status", [301, 307, 308])
    def test_was_not_done(self, stage: Stage, status: int) -> None:
        with stage.endpoint(redirecting(status, "https://elsewhere/")) as (_server, connection), pytest.raises(ConnectionFailed):
            OntapClient(connection).patch("/storage/luns/1", {}, 1)

    @pytest.mark.parametrize("status", [302, 303])
    def test_may_have_been_done(self, stage: Stage, status: int) -> None:
        with (
            stage.endpoint(redirecting(status, "https://elsewhere/")) as (_server, connection),
            pytest.raises(OutcomeUnknown, match=r"instead of answering PATCH /api/storage/luns/1; look there"),
        ):
            OntapClient(connection).patch("/storage/luns/1", {}, 1)

    def test_of_windows_may_have_been_done(self, stage: Stage) -> None:
        with (
            stage.endpoint(redirecting(302, "https://elsewhere/")) as (_server, connection),
            pytest.raises(OutcomeUnknown, match=r"instead of answering Invoke X, so that it may have been carried out"),
        ):
            WsmanTransport(connection, BASIC).send(b"<s:Envelope/>", "Invoke X", Effect.CHANGE, 5.0)


class TestTheEnvironment:
    @pytest.fixture(autouse=True)
    def netrc(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "netrc"
        path.write_text("machine 127.0.0.1 login netrc password netrc\n")
        path.chmod(0o600)
        monkeypatch.setenv("NETRC", str(path))

    @pytest.mark.parametrize("client", [ask_vsphere, is_vsphere, is_wsman], ids=lambda client: client.__name__)
    def test_gives_no_credentials(self, stage: Stage, client: Client) -> None:
        with stage.endpoint(answering(OK)) as (server, connection), suppress(ConnectionFailed):
            client(connection)
        assert server.requests
        assert not any("authorization:" in request.lower() for request in server.requests)

    def test_gives_no_password_beside_a_clients_certificate(self, stage: Stage, tmp_path: Path) -> None:
        pem = tmp_path / "client.pem"
        trustme.CA().issue_cert("operator@lab").private_key_and_cert_chain_pem.write_to_path(str(pem))
        with stage.endpoint(answering(OK)) as (server, connection):
            transport = WsmanTransport(connection, CERTIFICATE, client_certificate=ClientCertificate(str(pem), str(pem)))
            transport.send(b"<s:Envelope/>", "Get X", Effect.NONE, 5.0)
        assert "secprofile/https/mutual" in server.requests[0]
        assert "Authorization: Basic" not in server.requests[0]

    def test_names_no_other_authorities(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        with stage.endpoint(answering(OK)) as (server, connection):
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(connection.ca_path))
            untrusting = Connection("array", "any", "127.0.0.1", server.port, timeout=30.0)
            with pytest.raises(ConnectionFailed, match="is not trusted"):
                HttpsSession(untrusting).request("GET", "/")

    def test_may_name_a_proxy(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        with stage.elsewhere("http") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("NO_PROXY", "")
            with pytest.raises(ConnectionFailed):
                HttpsSession(Connection("array", "any", "array.example", 443, timeout=5.0)).request("GET", "/")
        assert proxy.requests[0].startswith("CONNECT array.example:443 ")


_HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n"
_DRIPS = {
    "status": dripping(_HEADER + b" " * 400, seconds=0.01),
    "header": dripping(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400, after=17, seconds=0.01),
    "body": dripping(_HEADER + b" " * 400, after=len(_HEADER), seconds=0.01),
    "chunks": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 100, after=47, seconds=0.01),
    "refusal": dripping(_HEADER.replace(b"200 OK", b"500 No") + b" " * 400, after=len(_HEADER), seconds=0.01),
}
"""Answers of which a byte comes often enough for the socket's timeout, and which take more than twice as long as that allows."""


@pytest.mark.slow
class TestAnAnswerThatDrips:
    @ANY_CLIENT
    @pytest.mark.parametrize("drip", _DRIPS.values(), ids=_DRIPS)
    def test_is_given_up(self, stage: Stage, client: Client, drip: Script) -> None:
        with (
            stage.endpoint(drip) as (server, _connection),
            pytest.raises(ConnectionFailed, match=r"answers too slowly \(\d+ bytes in \d+ s\): check the network, or raise array\.timeout"),
        ):
            client(stage.connection(server.port, PATIENCE))
        assert len(server.requests) == 1, "it is not asked again"

    @pytest.mark.parametrize("drip", _DRIPS.values(), ids=_DRIPS)
    def test_to_a_write_leaves_its_outcome_unknown(self, stage: Stage, drip: Script) -> None:
        with stage.endpoint(drip) as (server, _connection), pytest.raises(OutcomeUnknown, match=r"too slowly .* look there"):
            OntapClient(stage.connection(server.port, PATIENCE)).patch("/storage/luns/1", {}, 1)


_FLOODS = {
    "body": flooding(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "chunks": flooding(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "one chunk's size": flooding(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "continue": flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "trailer": flooding(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
}


@pytest.mark.slow
class TestAnAnswerWithoutEnd:
    @pytest.mark.parametrize("flood", _FLOODS.values(), ids=_FLOODS)
    def test_is_given_up(self, stage: Stage, flood: Script) -> None:
        with (
            stage.endpoint(flood) as (server, connection),
            pytest.raises(ConnectionFailed, match=r"answers with more than|cannot be reached"),
        ):
            HttpsSession(connection, largest=MIB).request("GET", "/")
        assert len(server.requests) <= 2

    @ANY_CLIENT
    def test_is_given_up_by_every_client(self, stage: Stage, client: Client) -> None:
        with (
            stage.endpoint(_FLOODS["body"]) as (server, connection),
            pytest.raises(ConnectionFailed, match=r"answers with more than \d+ MiB: check that array\.hostname and array\.port"),
        ):
            client(connection)
        assert len(server.requests) == 1


class TestCompression:
    bomb = gzip.compress(bytes(64 * MIB))

    @ANY_CLIENT
    def test_is_not_asked_for_and_not_taken(self, stage: Stage, client: Client) -> None:
        header = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(self.bomb)}\r\n\r\n".encode()
        with (
            stage.endpoint(answering(header + self.bomb)) as (server, connection),
            pytest.raises(ConnectionFailed, match=r"compresses its answers \('gzip'\), which it was not asked for"),
        ):
            client(connection)
        assert [line for line in server.requests[0].splitlines() if line.lower().startswith("accept-encoding:")] == [
            "Accept-Encoding: identity"
        ]

    @pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "deflate", "GZIP"])
    def test_of_any_kind_is_not_taken(self, stage: Stage, encoding: str) -> None:
        reply = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 0\r\n\r\n".encode()
        with stage.endpoint(answering(reply)) as (_server, connection), pytest.raises(ConnectionFailed, match="compresses its answers"):
            HttpsSession(connection).request("GET", "/")
