# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The array's two ports as a process: TLS, authentication, the control port and every way to fail."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.lab.ontap.running import Running, running
from tests.lab.world import naa_of

pytestmark = pytest.mark.slow

LUN = {"svm.name": "svm_san", "name": "/vol/vol_prod/wire", "os_type": "vmware", "space.size": 1024**3}
LUNS = "/api/storage/luns"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("ontap")) as server:
        yield server


@pytest.fixture
def array(process: Running) -> Iterator[Running]:
    yield process
    process.control("POST", "/reset")


@pytest.fixture
def connection(array: Running) -> Iterator[http.client.HTTPSConnection]:
    context = ssl.create_default_context(cafile=str(array.authority))
    connection = http.client.HTTPSConnection("localhost", array.port, context=context, timeout=30)
    yield connection
    connection.close()


def call(
    connection: http.client.HTTPSConnection, array: Running, method: str, path: str, body: Any = None, password: str | None = None
) -> tuple[int, dict[str, Any]]:
    token = base64.b64encode(f"{array.username}:{password or array.password}".encode()).decode()
    connection.request(method, path, None if body is None else json.dumps(body), {"Authorization": f"Basic {token}"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def names(connection: http.client.HTTPSConnection, array: Running) -> list[str]:
    return [record["name"] for record in call(connection, array, "GET", f"{LUNS}?name={LUN['name']}")[1]["records"]]


def test_a_connection_is_kept_for_many_requests(connection: http.client.HTTPSConnection, array: Running) -> None:
    assert call(connection, array, "GET", "/api/cluster")[0] == 200
    before = connection.sock
    assert call(connection, array, "GET", LUNS)[0] == 200
    assert connection.sock is before


def test_a_wrong_password_is_refused(connection: http.client.HTTPSConnection, array: Running) -> None:
    status, body = call(connection, array, "GET", "/api/cluster", password="wrong")
    assert (status, body["error"]["code"]) == (401, "6691623")


def test_an_unknown_authority_is_not_trusted(array: Running) -> None:
    stranger = http.client.HTTPSConnection("localhost", array.port, context=ssl.create_default_context(), timeout=30)
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.request("GET", "/api/cluster")
    stranger.close()


def test_a_silent_client_does_not_block_the_others(connection: http.client.HTTPSConnection, array: Running) -> None:
    with socket.create_connection(("127.0.0.1", array.port)):
        assert call(connection, array, "GET", "/api/cluster")[0] == 200


def test_requests_are_counted_with_their_query_and_status(connection: http.client.HTTPSConnection, array: Running) -> None:
    call(connection, array, "GET", f"{LUNS}?max_records=1")
    call(connection, array, "GET", "/api/none")
    report = array.control("GET", "/requests")
    assert report == {
        "total": 2,
        "requests": [
            {"n": 1, "method": "GET", "path": f"{LUNS}?max_records=1", "status": 200},
            {"n": 2, "method": "GET", "path": "/api/none", "status": 404},
        ],
    }
    array.control("DELETE", "/requests")
    assert array.control("GET", "/requests")["total"] == 0


def test_the_state_returns_to_the_world_by_reset(connection: http.client.HTTPSConnection, array: Running) -> None:
    before = array.control("GET", "/state")
    assert call(connection, array, "POST", LUNS, LUN)[0] == 201
    assert array.control("GET", "/state") != before
    array.control("POST", "/reset")
    assert array.control("GET", "/state") == before


def test_nothing_is_left_when_everything_is_taken_back(connection: http.client.HTTPSConnection, array: Running) -> None:
    before = array.control("GET", "/state")
    uuid = call(connection, array, "POST", f"{LUNS}?return_records=true", LUN)[1]["records"][0]["uuid"]
    assert call(connection, array, "DELETE", f"{LUNS}/{uuid}")[0] == 200
    assert array.control("GET", "/state") == before


def test_a_forced_status(connection: http.client.HTTPSConnection, array: Running) -> None:
    array.control("POST", "/faults", {"call": 2, "action": {"status": 503, "body": {"busy": True}}})
    answers = [call(connection, array, "GET", "/api/cluster") for _turn in range(3)]
    assert [status for status, _body in answers] == [200, 503, 200]
    assert answers[1][1] == {"busy": True}


def test_a_forced_error_keeps_the_change_from_happening(connection: http.client.HTTPSConnection, array: Running) -> None:
    array.control("POST", "/faults", {"match": f"^POST {LUNS}", "action": {"error": {"code": "5374242", "message": "taken"}}})
    status, body = call(connection, array, "POST", LUNS, LUN)
    assert (status, body) == (409, {"error": {"code": "5374242", "message": "taken"}})
    assert names(connection, array) == []


@pytest.mark.parametrize(("moment", "left"), [("before", []), ("after", [LUN["name"]])])
def test_a_dropped_connection(connection: http.client.HTTPSConnection, array: Running, moment: str, left: list[str]) -> None:
    array.control("POST", "/faults", {"match": "^POST", "action": {"drop": moment}})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError, ssl.SSLError)):
        call(connection, array, "POST", LUNS, LUN)
    connection.close()
    assert names(connection, array) == left


def test_an_answer_by_job(connection: http.client.HTTPSConnection, array: Running) -> None:
    array.control("POST", "/faults", {"match": "^POST", "action": {"job": True}})
    status, body = call(connection, array, "POST", f"{LUNS}?return_timeout=0", LUN)
    assert status == 202
    assert set(body["job"]) == {"uuid", "_links"}


def test_luns_hidden_for_some_reads(connection: http.client.HTTPSConnection, array: Running) -> None:
    array.control("POST", "/faults", {"hide_luns": 1})
    call(connection, array, "POST", LUNS, LUN)
    assert [names(connection, array) for _turn in range(2)] == [[], [LUN["name"]]]


def spare(array: Running) -> dict[str, Any]:
    volumes = array.control("GET", "/state")["svms"][0]["volumes"]
    (found,) = [lun for volume in volumes for lun in volume["luns"] if lun["name"] == "/vol/vol_dev/spare"]
    return dict(found)


def test_hosts_tell_what_they_write(array: Running) -> None:
    assert spare(array)["used"] == 0
    array.control("POST", f"/written?naa={naa_of(spare(array)['serial'])}&bytes=512")
    assert spare(array)["used"] == 512


@pytest.mark.parametrize("query", ["", "?naa=600a0980", "?naa=600a0980&bytes=1", "?bytes=1"])
def test_nothing_is_written_to_a_lun_that_is_not_there(array: Running, query: str) -> None:
    with pytest.raises(HTTPError):
        array.control("POST", f"/written{query}")


def test_presented_luns_are_asked_for_by_initiator(array: Running) -> None:
    rows = array.control("GET", "/presented?initiator=10:00:00:90:fa:01:00:02&initiator=iqn.none")
    assert [row["lun"] for row in rows] == [0, 1, 2, 10]


def test_the_control_port_tells_what_it_does_not_understand(array: Running) -> None:
    with pytest.raises(HTTPError, match="400") as refused:
        array.control("POST", "/faults", {"call": 1, "action": {"explode": True}})
    refused.value.close()
    assert array.control("GET", "/healthz") == {"status": "ok"}


def test_every_change_may_be_a_job(tmp_path: Path) -> None:
    with running(tmp_path, "--async-jobs") as server:
        context = ssl.create_default_context(cafile=str(server.authority))
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=30)
        assert call(connection, server, "POST", LUNS, LUN)[0] == 202
        assert call(connection, server, "GET", LUNS)[0] == 200
        connection.close()
