# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is it WS-Management? Asked of whatever answers, without a credential."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, MissingLibrary
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_probe
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_probe import is_wsman
from tests.unit.wsman import Answer, Endpoint, message

IDENTITY = message(
    '<i:IdentifyResponse xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">'
    "<i:ProductVendor>Microsoft Corporation</i:ProductVendor></i:IdentifyResponse>"
)


def test_a_service_that_identifies_itself_is(windows: Endpoint) -> None:
    windows.answer(IDENTITY)
    assert is_wsman(replace(windows.connection, username=None, password=None))
    assert b"Identify" in windows.messages[0]


def test_no_credential_is_sent(windows: Endpoint) -> None:
    windows.answer(IDENTITY)
    is_wsman(windows.connection)
    assert "Authorization" not in windows.posts[0]


def test_a_service_without_tls_is_asked_over_http(windows_http: Endpoint) -> None:
    windows_http.answer(IDENTITY)
    assert is_wsman(windows_http.connection, "http")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"not found", 404),
        Answer(b"<html>Welcome to nginx</html>"),
        Answer(IDENTITY, 401),
        Answer(message("<Other/>")),
        Answer(b"\xff\xfe\x00"),
    ],
    ids=["404", "html", "401", "other message", "binary"],
)
def test_any_other_web_server_is_not(windows: Endpoint, answer: Answer) -> None:
    windows.answer(answer)
    assert not is_wsman(windows.connection)


def test_an_endpoint_that_is_not_trusted_is_told(windows: Endpoint) -> None:
    with pytest.raises(ConnectionFailed, match="is not trusted"):
        is_wsman(replace(windows.connection, ca_path=None))
    assert windows.posts == []


def test_trust_is_not_asked_for_where_the_user_said_so(windows: Endpoint) -> None:
    windows.answer(IDENTITY)
    assert is_wsman(replace(windows.connection, ca_path=None, validate_certs=False))


def test_nobody_answering_is_told_apart(windows: Endpoint) -> None:
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        is_wsman(replace(windows.connection, port=1))


def test_a_missing_library_is_named(windows: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsman_probe, "REQUESTS_IMPORT_ERROR", "Traceback")
    with pytest.raises(MissingLibrary, match="pip install requests"):
        is_wsman(windows.connection)
