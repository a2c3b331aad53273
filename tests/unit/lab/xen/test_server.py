# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool as a process: both protocols at the wire, faults, and the control port."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.lab.client import ask
from tests.processes import ended

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]
USERNAME, PASSWORD = "root", "secret"
SECONDS = 30


@dataclass(frozen=True)
class Process:
    """The pool, without TLS."""

    port: int
    control_url: str
    addresses: dict[str, str]

    def control(self, method: str, path: str, body: object = None) -> Any:
        return ask(self.control_url, method, path, body)

    def post(self, path: str, body: str, host: str = "xen01.lab") -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.addresses[host], self.port, timeout=SECONDS)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def json(self, method: str, *parameters: Any, **frame: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.post("/jsonrpc", json.dumps({**frame, "id": 1, "method": method, "params": parameters}))[1])
        return found

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the result of a call in XML-RPC, or how it is refused."""
        answer: Any = xmlrpc.client.loads(self.post("/", xmlrpc.client.dumps(parameters, method))[1])[0][0]
        return answer.get("Value", answer.get("ErrorDescription"))

    def login(self) -> str:
        return str(self.call("session.login_with_password", USERNAME, PASSWORD))


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    environment = {**os.environ, "LAB_USERNAME": USERNAME, "LAB_PASSWORD": PASSWORD}
    command = [sys.executable, "-m", "tests.lab.xen"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as child, ended(child, SECONDS):
        assert child.stdout is not None
        ready = json.loads(child.stdout.readline().removeprefix("READY "))
        yield Process(ready["port"], f"http://127.0.0.1:{ready['control_port']}", ready["addresses"])


@pytest.fixture
def pool(process: Process) -> Process:
    process.control("POST", "/reset")
    return process


def test_every_host_has_an_address_and_all_have_one_port(pool: Process) -> None:
    assert len(set(pool.addresses.values())) == len(pool.addresses) == 3
    assert pool.post("/jsonrpc", json.dumps({"id": 1, "method": "session.login_with_password", "params": ["a", "b"]}), "xen03.lab") == (
        200,
        json.dumps({"result": None, "error": ["HOST_IS_SLAVE", pool.addresses["xen01.lab"]], "id": 1}),
    )


def test_numbers_are_text_in_xml_and_numbers_in_json(pool: Process) -> None:
    session = pool.login()
    (lun,) = [vdi for vdi, row in pool.call("VDI.get_all_records", session).items() if row["sm_config"].get("LUNid") == "1"]
    size = pool.call("VDI.get_virtual_size", session, lun)
    assert pool.json("VDI.get_virtual_size", session, lun, jsonrpc="2.0") == {"jsonrpc": "2.0", "id": 1, "result": int(size)}


def test_moments_are_dates_in_xml_and_text_in_json(pool: Process) -> None:
    session = pool.login()
    vdi = pool.call("VDI.get_all", session)[0]
    assert isinstance(pool.call("VDI.get_snapshot_time", session, vdi), xmlrpc.client.DateTime)
    assert isinstance(pool.json("VDI.get_snapshot_time", session, vdi, jsonrpc="2.0")["result"], str)


def test_a_refusal_has_the_form_of_its_protocol(pool: Process) -> None:
    assert pool.json("VM.get_all", "x", jsonrpc="2.0") == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": 1, "message": "SESSION_INVALID", "data": ["x"]},
    }
    assert pool.json("VM.get_all", "x") == {"result": None, "error": ["SESSION_INVALID", "x"], "id": 1}
    assert pool.call("VM.get_all", "x") == ["SESSION_INVALID", "x"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/", "<no>", 500), ("/", "", 500), ("/jsonrpc", "{", 500), ("/jsonrpc", '{"method": "x"}', 500), ("/elsewhere", "", 404)],
)
def test_what_is_no_call_is_refused_by_http(pool: Process, path: str, body: str, status: int) -> None:
    assert pool.post(path, body)[0] == status


def test_the_list_of_calls_is_bare_in_xml(pool: Process) -> None:
    (answer,), _method = xmlrpc.client.loads(pool.post("/", xmlrpc.client.dumps((), "system.listMethods"))[1])
    assert "VBD.plug" in answer  # type: ignore[operator]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_breaks_before_or_after_the_work(pool: Process, when: str) -> None:
    session = pool.login()
    (vm,) = pool.call("VM.get_by_name_label", session, "xenapp01")
    pool.control("POST", "/faults", {"match": r"^VM\.set_name_description /xen01", "action": {"drop": when}})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        pool.call("VM.set_name_description", session, vm, "new")
    assert pool.call("VM.get_name_description", session, vm) == ("" if when == "before" else "new")


def test_a_call_is_refused_as_a_test_wants_and_so_is_a_task(pool: Process) -> None:
    session = pool.login()
    pool.control("POST", "/faults", {"call": 2, "action": {"error": {"code": "SR_BACKEND_FAILURE_40", "parameters": ["", "x", ""]}}})
    assert isinstance(pool.call("SR.get_all", session), list)
    assert pool.call("SR.get_all", session) == ["SR_BACKEND_FAILURE_40", "", "x", ""]
    pool.control("POST", "/faults", {"match": r"Async\.SR\.scan", "action": {"error": {"code": "SR_BACKEND_FAILURE_40"}}})
    task = pool.call("Async.SR.scan", session, "x")
    pool.call("event.from", session, [f"task/{task}"], "", 5.0)
    while pool.call("task.get_status", session, task) == "pending":
        pool.call("event.from", session, [f"task/{task}"], "", 0.0)
    assert pool.call("task.get_error_info", session, task) == ["SR_BACKEND_FAILURE_40"]


def test_a_proxy_in_between_may_answer(pool: Process) -> None:
    pool.control("POST", "/faults", {"call": 1, "action": {"status": 503, "body": "busy"}})
    assert pool.post("/", xmlrpc.client.dumps(("x",), "VM.get_all")) == (503, "busy")


def test_calls_are_counted_by_name_and_host(pool: Process) -> None:
    pool.login()
    assert pool.control("GET", "/requests")["requests"] == [
        {"n": 1, "method": "session.login_with_password", "path": "/xen01.lab", "status": 200}
    ]


def test_a_host_that_is_down_breaks_connections_and_does_not_live(pool: Process) -> None:
    session = pool.login()
    pool.control("POST", "/machine?machine=xen02.lab&state=down")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        pool.post("/", xmlrpc.client.dumps(("x",), "VM.get_all"), "xen02.lab")
    assert [row["live"] for row in pool.call("host_metrics.get_all_records", session).values()] == [True, False, True]
    pool.control("POST", "/machine?machine=xen02.lab&state=up")
    assert pool.post("/", xmlrpc.client.dumps(("x",), "VM.get_all"), "xen02.lab")[0] == 200


def test_guests_operations_and_high_availability_are_set_from_outside(pool: Process) -> None:
    session = pool.login()
    row = pool.call("VM.get_record", session, pool.call("VM.get_by_name_label", session, "xenapp01")[0])
    pool.control("POST", "/guest?vm=xenapp01&state=holds")
    assert pool.call("VBD.unplug", session, row["VBDs"][0])[0] == "DEVICE_DETACH_REJECTED"
    pool.control("POST", "/guest?vm=xenapp01&state=agrees")
    assert pool.call("VBD.unplug", session, row["VBDs"][0]) == ""
    pool.control("POST", f"/operation?class=VM&uuid={row['uuid']}&operation=pool_migrate")
    assert list(pool.call("VM.get_current_operations", session, pool.call("VM.get_by_uuid", session, row["uuid"])).values()) == [
        "pool_migrate"
    ]
    pool.control("POST", f"/operation?class=VM&uuid={row['uuid']}")
    assert pool.call("VM.get_current_operations", session, pool.call("VM.get_by_uuid", session, row["uuid"])) == {}
    pool.control("POST", "/ha?state=off")
    assert not pool.call("pool.get_ha_enabled", session, pool.call("pool.get_all", session)[0])


@pytest.mark.parametrize(
    "path",
    ["/guest?vm=nobody&state=holds", "/guest?vm=xentwin&state=holds", "/guest?vm=xenapp01&state=x", "/machine?machine=x&state=up",
     "/operation?class=VM&uuid=x", "/operation?class=pool&uuid=x", "/ha?state=maybe"],
)  # fmt: skip
def test_what_the_control_port_cannot_do_it_refuses(pool: Process, path: str) -> None:
    with pytest.raises(HTTPError) as refusal:
        pool.control("POST", path)
    with refusal.value as answer:
        assert answer.code == 400


def test_a_reset_brings_the_same_state_back(pool: Process) -> None:
    before = pool.control("GET", "/state")
    session = pool.login()
    (vm,) = pool.call("VM.get_by_name_label", session, "xenold01")
    pool.call("VM.start", session, vm, False, False)
    assert pool.control("GET", "/state")["vms"]["xenold01"]["power"] == "Running"
    pool.control("POST", "/reset")
    assert pool.control("GET", "/state") == before
    assert pool.call("VM.get_all", session) == ["SESSION_INVALID", session]


def test_the_state_tells_raw_luns_chains_and_namesakes(pool: Process) -> None:
    vms = pool.control("GET", "/state")["vms"]
    assert [slot.split()[1] for slot in vms["xendb01"]["slots"]] == ["vhd", "raw"]
    assert vms["xensleep01"]["power"] == "Suspended"
    assert sum(name.startswith("xentwin ") for name in vms) == 2


@pytest.mark.parametrize(
    ("options", "environment", "reason"),
    [([], {}, "LAB_USERNAME"), (["--cert", "x"], {"LAB_USERNAME": "a", "LAB_PASSWORD": "b"}, "--key")],
)
def test_it_does_not_start_without_what_it_needs(options: list[str], environment: dict[str, str], reason: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}
    command = [sys.executable, "-m", "tests.lab.xen", *options]
    run = subprocess.run(command, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (run.returncode, reason in run.stderr) == (2, True)
