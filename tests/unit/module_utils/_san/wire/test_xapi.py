# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with XAPI over real TLS: the login and where it goes, what the errors become, and that it is always logged out."""

from __future__ import annotations

import ssl
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    MissingLibrary,
    MissingRight,
    NotFound,
    OutcomeUnknown,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import xapi
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import XapiFailure, XapiSession, is_xapi
from tests.lab.certificates import Certificates

pytestmark = pytest.mark.slow

PASSWORD = "a&<b>\"c'"
Answer = Callable[[tuple[Any, ...]], Any]


class Drop(Exception):
    """The connection is closed instead of an answer."""


@dataclass
class Server:
    """A host that answers XML-RPC, and what it was asked."""

    connection: Connection
    answers: dict[str, Any] = field(default_factory=dict)
    """Method → its value, or what is raised: `Failed` for an error of XAPI's, `Drop`."""
    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    raw: bytes | None = None
    """Sent in place of any answer."""
    status: int = 200

    def answer(self, body: bytes) -> bytes:
        parameters, method = xmlrpc.client.loads(body)
        self.calls.append((str(method), parameters))
        value = self.answers.get(str(method), "")
        if isinstance(value, Drop):
            raise value
        told = value.told if isinstance(value, Failed) else {"Status": "Success", "Value": value}
        return self.raw if self.raw is not None else xmlrpc.client.dumps((told,), methodresponse=True, allow_none=True).encode()

    @property
    def methods(self) -> list[str]:
        return [method for method, _parameters in self.calls]


@dataclass
class Failed:
    """An error of XAPI's."""

    details: list[str]

    @property
    def told(self) -> dict[str, Any]:
        return {"Status": "Failure", "ErrorDescription": self.details}


@contextmanager
def serving(certificates: Certificates) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            try:
                body = there.answer(self.rfile.read(int(self.headers["Content-Length"])))
            except Drop:
                self.close_connection = True
                return
            self.send_response(there.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    there = Server(
        Connection(
            role="hypervisor",
            type="xen",
            hostname="127.0.0.1",
            port=listening.server_port,
            username="root",
            password=PASSWORD,
            ca_path=str(certificates.authority),
            timeout=5,
        )
    )
    there.answers["session.login_with_password"] = "OpaqueRef:session"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield there
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


@pytest.fixture
def server(certificates: Certificates) -> Iterator[Server]:
    with serving(certificates) as there:
        yield there


def test_it_logs_in_asks_and_logs_out(server: Server) -> None:
    server.answers["VM.get_all_records"] = {"OpaqueRef:1": {"name_label": "app01"}}
    with closing(XapiSession(server.connection)) as session:
        assert session.records("VM") == {"OpaqueRef:1": {"name_label": "app01"}}
    assert server.methods == ["session.login_with_password", "VM.get_all_records", "session.logout"]
    assert server.calls[0][1][:2] == ("root", PASSWORD)
    assert server.calls[1][1] == ("OpaqueRef:session",)


def test_a_session_is_logged_out_after_an_error_too(server: Server) -> None:
    server.answers["VM.get_all_records"] = Failed(["INTERNAL_ERROR", "boom"])
    told = r"refuses VM.get_all_records \(INTERNAL_ERROR \(boom\)\): see the pool's log"
    with pytest.raises(XapiFailure, match=told), closing(XapiSession(server.connection)) as session:
        session.records("VM")
    assert server.methods[-1] == "session.logout"


def test_a_logout_that_is_refused_is_not_told(server: Server) -> None:
    server.answers["session.logout"] = Failed(["INTERNAL_ERROR", "boom"])
    XapiSession(server.connection).close()
    assert server.methods[-1] == "session.logout"


def test_a_host_that_is_not_the_master_sends_the_login_to_the_master(server: Server, certificates: Certificates) -> None:
    with serving(certificates) as slave:
        slave.answers["session.login_with_password"] = Failed(["HOST_IS_SLAVE", "127.0.0.1"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(xapi, "replace", lambda connection, **to: replace(connection, port=server.connection.port, **to))
            with closing(XapiSession(slave.connection)) as session:
                session.read("pool.get_all")
    assert slave.methods == ["session.login_with_password"]
    assert server.methods == ["session.login_with_password", "pool.get_all", "session.logout"]


def test_a_master_that_cannot_be_reached_is_one_sentence(server: Server) -> None:
    server.answers["session.login_with_password"] = Failed(["HOST_IS_SLAVE", "127.0.0.2"])
    with pytest.raises(ConnectionFailed, match=r"is not the master of its pool and names 127\.0\.0\.2 as it, which cannot be used"):
        XapiSession(server.connection)


def test_a_master_that_names_another_master_is_one_sentence(server: Server) -> None:
    server.answers["session.login_with_password"] = Failed(["HOST_IS_SLAVE", "127.0.0.1"])
    with pytest.raises(ConnectionFailed, match=r"refuses the login: HOST_IS_SLAVE"):
        XapiSession(server.connection)
    assert server.methods == ["session.login_with_password"] * 2


def test_a_wrong_password_is_told_without_it(server: Server) -> None:
    server.answers["session.login_with_password"] = Failed(["SESSION_AUTHENTICATION_FAILED", "root", "Authentication failure"])
    with pytest.raises(AuthenticationFailed, match="does not accept the login of root") as told:
        XapiSession(server.connection)
    assert PASSWORD not in str(told.value)


def test_no_error_repeats_the_password_a_reference_or_xml(server: Server) -> None:
    server.answers["VM.get_all"] = Failed(["ODD", PASSWORD, "OpaqueRef:1", "<Devlist/>", f"it was {PASSWORD}"])
    session = XapiSession(replace(server.connection, password="hunter2"))
    server.answers["VM.get_all"] = Failed(["ODD", "hunter2", "OpaqueRef:1", "<Devlist/>", "it was hunter2"])
    with closing(session), pytest.raises(XapiFailure) as told:
        session.read("VM.get_all")
    assert "refuses VM.get_all (ODD (…, it was …)): see" in str(told.value)
    assert "hunter2" not in str(told.value)
    assert told.value.details[2] == "<Devlist/>"


def test_a_pool_that_has_changed_its_master_is_one_sentence_and_nothing_was_done(server: Server) -> None:
    server.answers["VBD.create"] = Failed(["HOST_IS_SLAVE", "192.0.2.2"])
    with closing(XapiSession(server.connection)) as session, pytest.raises(ConnectionFailed, match="has another master by now"):
        session.change("VBD.create", {}, timeout=1)


@pytest.mark.parametrize(
    ("code", "kind"), [("RBAC_PERMISSION_DENIED", MissingRight), ("HANDLE_INVALID", NotFound), ("UUID_INVALID", NotFound)]
)
def test_errors_of_one_kind_are_errors_of_ours(server: Server, code: str, kind: type[Exception]) -> None:
    server.answers["VM.get_record"] = Failed([code, "VM"])
    with closing(XapiSession(server.connection)) as session, pytest.raises(kind):
        session.read("VM.get_record", "OpaqueRef:1")


def test_a_lost_answer_to_a_question_changed_nothing_and_to_a_change_is_unknown(server: Server) -> None:
    server.answers.update({"VM.get_all": Drop(), "VBD.plug": Drop()})
    with closing(XapiSession(server.connection)) as session:
        with pytest.raises(ConnectionFailed, match="nothing was changed"):
            session.read("VM.get_all")
        with pytest.raises(OutcomeUnknown):
            session.change("VBD.plug", "OpaqueRef:1", timeout=5)


def test_a_session_that_ended_is_opened_again(server: Server) -> None:
    answers = iter([Failed(["SESSION_INVALID", "OpaqueRef:session"]), []])
    plain = server.answer

    def answer(body: bytes) -> bytes:
        if b"VM.get_all" in body:
            server.answers["VM.get_all"] = next(answers)
        return plain(body)

    server.answer = answer  # type: ignore[method-assign]
    with closing(XapiSession(server.connection)) as session:
        assert session.read("VM.get_all") == []
    assert server.methods.count("session.login_with_password") == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>Welcome</html>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><methodResponse><params><param><value>&b;</value></param></params></methodResponse>",
        b"",
        b"\xff\xfe",
        xmlrpc.client.dumps(("text",), methodresponse=True).encode(),
        xmlrpc.client.dumps(({"Status": "Success"},), methodresponse=True).encode(),
        xmlrpc.client.dumps(xmlrpc.client.Fault(1, "no")).encode(),
    ],
    ids=["html", "document type", "nothing", "binary", "no struct", "no value", "fault"],
)
def test_what_is_no_answer_of_xapi_is_one_sentence(server: Server, raw: bytes) -> None:
    server.raw = raw
    with pytest.raises(ConnectionFailed, match=r"does not answer session\.login_with_password as XAPI should"):
        XapiSession(server.connection)


def test_another_status_is_one_sentence(server: Server) -> None:
    server.status = 503
    with pytest.raises(ConnectionFailed, match="answers HTTP 503 where XAPI should be"):
        XapiSession(server.connection)


def test_a_certificate_that_is_not_trusted_ends_it_before_the_login(server: Server) -> None:
    with pytest.raises(ConnectionFailed, match="is not trusted"):
        XapiSession(replace(server.connection, ca_path=None))
    assert server.calls == []


def test_a_missing_library_is_told_with_the_way_to_install_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xapi, "XENAPI_IMPORT_ERROR", "traceback")
    with pytest.raises(MissingLibrary, match="pip install XenAPI"):
        XapiSession(server.connection)


def test_an_account_is_needed(server: Server) -> None:
    with pytest.raises(InvalidInput, match=r"hypervisor\.username is not set"):
        XapiSession(replace(server.connection, username=None))


class TestProbe:
    @pytest.mark.parametrize("code", ["SESSION_INVALID", "HOST_IS_SLAVE"])
    def test_a_host_of_a_pool_says_so_without_a_login(self, server: Server, code: str) -> None:
        server.answers["host.get_all"] = Failed([code, "x"])
        assert is_xapi(replace(server.connection, username=None, password=None))
        assert server.methods == ["host.get_all"]

    @pytest.mark.parametrize(
        "raw", [b"<html/>", b"", xmlrpc.client.dumps(({"Status": "odd"},), methodresponse=True).encode()], ids=["html", "nothing", "odd"]
    )
    def test_any_other_server_is_not(self, server: Server, raw: bytes) -> None:
        server.raw = raw
        assert not is_xapi(server.connection)

    def test_another_status_is_not(self, server: Server) -> None:
        server.status = 404
        assert not is_xapi(server.connection)

    def test_nobody_answering_is_told_apart(self, server: Server) -> None:
        server.answers["host.get_all"] = Drop()
        with pytest.raises(ConnectionFailed):
            is_xapi(server.connection)
