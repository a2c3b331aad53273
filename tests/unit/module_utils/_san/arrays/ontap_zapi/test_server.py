# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What netapp-lib lacks, against an array behind TLS: authorities, the login in the first request, a kept connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi import server as server_module
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.backend import OntapZapi
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    MissingLibrary,
)
from tests.lab.certificates import issue
from tests.lab.ontap.running import Running, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("ontap")) as server:
        yield server


@pytest.fixture
def connection(process: Running) -> Connection:
    process.control("POST", "/reset")
    return Connection(
        "array", "ontap_zapi", "127.0.0.1", process.port, process.username, process.password, ca_path=str(process.authority), timeout=10.0
    )


def test_the_first_request_is_logged_in_and_the_connection_is_kept(process: Running, connection: Connection) -> None:
    backend = OntapZapi(connection)
    assert backend.about().version == "9.16.1"
    pools = vars(backend._client._server._session._session.get_adapter("https://"))["poolmanager"].pools
    assert [pools.get(key).num_connections for key in pools.keys()] == [1]  # noqa: SIM118 - no mapping, although it has keys
    backend.close()
    assert [row["status"] for row in process.control("GET", "/requests")["requests"]] == [200, 200]


def test_a_foreign_authority_is_not_trusted(connection: Connection, tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed, match=r"certificate of 127\.0\.0\.1:\d+ is not trusted .*array\.ca_path"):
        OntapZapi(replace(connection, ca_path=str(issue(tmp_path).authority))).about()


def test_without_verification_any_authority_will_do(connection: Connection) -> None:
    assert OntapZapi(replace(connection, ca_path=None, validate_certs=False)).about().name == "lab-ontap"


def test_a_wrong_password_is_one_sentence_without_it(connection: Connection) -> None:
    with pytest.raises(AuthenticationFailed, match="refuses user admin") as told:
        OntapZapi(replace(connection, password="not-the-one")).about()
    assert "not-the-one" not in str(told.value)


def test_without_a_password_nothing_is_sent(process: Running, connection: Connection) -> None:
    with pytest.raises(InvalidInput, match=r"array\.password is not set"):
        OntapZapi(replace(connection, password=None))
    assert process.control("GET", "/requests")["total"] == 0


def test_a_session_that_was_closed_keeps_no_connection(connection: Connection) -> None:
    backend = OntapZapi(connection)
    backend.about()
    pools = vars(backend._client._server._session._session.get_adapter("https://"))["poolmanager"].pools
    assert len(pools) == 1
    backend.close()
    assert len(pools) == 0


def test_the_library_is_not_told_the_password(connection: Connection) -> None:
    known = vars(OntapZapi(connection)._client._server)
    assert (known["_username"], known["_password"]) == (None, None)


def test_a_missing_library_is_one_sentence(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "NETAPP_LIB_IMPORT_ERROR", "ImportError")
    with pytest.raises(MissingLibrary, match=r"'netapp-lib', which array\.type=ontap_zapi needs, is not installed .*: pip install"):
        OntapZapi(connection)


def test_an_array_that_answers_late_is_one_sentence(process: Running, connection: Connection) -> None:
    process.control("POST", "/faults", {"match": "ZAPI", "action": {"delay": 3}})
    with pytest.raises(ConnectionFailed, match=r"did not answer within 0\.5 s"):
        OntapZapi(replace(connection, timeout=0.5)).about()
