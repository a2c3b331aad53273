# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with vSphere: login, large reads in pages, tasks."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
import requests
from pyVmomi import vim, vmodl

from ansible_collections.crossvisor.san.plugins.module_utils._san.ending import Ended, as_exception
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    MissingLibrary,
    NotFound,
    OutcomeUnknown,
    RemoteError,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import limits, vim_stub, vim_xml
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession
from tests.unit import vsphere
from tests.unit.vsphere import Answer, Endpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def session(endpoint: Endpoint) -> Iterator[VimSession]:
    opened = VimSession(endpoint.connection)
    endpoint.calls.clear()
    endpoint.bodies.clear()
    yield opened
    opened.close()


def vm(number: int) -> object:
    return vsphere.contents("VirtualMachine", f"vm-{number}", {"name": f"app{number}"})


def test_logging_in_takes_two_calls_and_gives_the_service_content(endpoint: Endpoint) -> None:
    session = VimSession(endpoint.connection)
    assert endpoint.calls == ["RetrieveServiceContent", "Login"]
    assert session.content.about.fullName == "VMware vCenter Server 8.0.2"
    session.close()
    assert endpoint.calls[-1] == "Logout"


def test_credentials_are_escaped(endpoint: Endpoint) -> None:
    VimSession(endpoint.connection).close()
    assert b">a&amp;&lt;b&gt;\"c'</password>" in endpoint.bodies[1]


def test_a_refused_login_is_told_in_one_sentence_without_the_password(endpoint: Endpoint) -> None:
    endpoint.answer("Login", vsphere.fault(vim.fault.InvalidLogin(msg="Cannot complete login due to an incorrect user name or password.")))
    with pytest.raises(
        AuthenticationFailed, match=r"refuses the user reader .* check hypervisor\.username and hypervisor\.password"
    ) as told:
        VimSession(endpoint.connection)
    assert vsphere.PASSWORD not in str(told.value)


def test_an_untrusted_certificate_is_told_before_anything_is_sent(endpoint: Endpoint) -> None:
    with pytest.raises(ConnectionFailed, match=r"certificate of .* is not trusted .* hypervisor\.ca_path"):
        VimSession(replace(endpoint.connection, ca_path=None))
    assert endpoint.calls == []


def test_an_endpoint_that_does_not_answer_is_told(endpoint: Endpoint) -> None:
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1 cannot be reached .*Connection refused"):
        VimSession(replace(endpoint.connection, port=1))


@pytest.mark.parametrize("page", [b"<html><body>Welcome</body></html>", b"Hello", b""])
def test_another_product_at_the_endpoint_is_told(endpoint: Endpoint, page: bytes) -> None:
    endpoint.answer("RetrieveServiceContent", page)
    with pytest.raises(ConnectionFailed, match=r"RetrieveServiceContent is not SOAP.*vCenter Server or ESXi host"):
        VimSession(endpoint.connection)


@pytest.mark.parametrize(("status", "reason"), [(401, "Unauthorized"), (404, "Not Found"), (405, "Method Not Allowed")])
def test_a_web_server_without_the_api_is_told(endpoint: Endpoint, status: int, reason: str) -> None:
    endpoint.answer("RetrieveServiceContent", Answer(b"nothing here", status=status))
    with pytest.raises(ConnectionFailed, match=rf"RetrieveServiceContent is not SOAP \(HTTP {status} {reason}\): check"):
        VimSession(endpoint.connection)


@pytest.mark.parametrize("option", ["username", "password"])
def test_credentials_that_are_not_set_are_asked_for(endpoint: Endpoint, option: str) -> None:
    with pytest.raises(InvalidInput, match=f"hypervisor.{option} is not set"):
        VimSession(replace(endpoint.connection, **cast(Any, {option: None})))


def test_missing_libraries_are_named_together(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vim_stub, "PYVMOMI_IMPORT_ERROR", "no module")
    monkeypatch.setattr(vim_xml, "LXML_IMPORT_ERROR", "no module")
    with pytest.raises(MissingLibrary, match="pip install pyvmomi lxml"):
        VimSession(endpoint.connection)


def test_the_inventory_is_read_through_one_view_however_many_types(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(1), vsphere.contents("HostSystem", "host-1", {"name": "esx01"})]))
    found = list(session.retrieve({"VirtualMachine": ["name"], "HostSystem": ["name"]}))
    assert [(it.type, it.text("name")) for it in found] == [("VirtualMachine", "app1"), ("HostSystem", "esx01")]
    assert endpoint.calls == ["CreateContainerView", "RetrievePropertiesEx", "DestroyView"]


def test_further_pages_are_fetched_until_there_is_no_token(session: VimSession, endpoint: Endpoint) -> None:
    more = "ContinueRetrievePropertiesEx"
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(1), vm(2)], token="a<1>"))
    endpoint.answer(more, vsphere.page([vm(3), vm(4)], token="b", method=more), vsphere.page([vm(5)], method=more))
    found = [it.moid for it in session.retrieve({"VirtualMachine": ["name"]}, page_size=2)]
    assert found == ["vm-1", "vm-2", "vm-3", "vm-4", "vm-5"]
    assert endpoint.calls == ["CreateContainerView", "RetrievePropertiesEx", more, more, "DestroyView"]
    assert b"<maxObjects>2</maxObjects>" in endpoint.bodies[1]
    assert b">a&lt;1&gt;</token>" in endpoint.bodies[2]


def test_named_objects_are_read_without_a_view_and_may_have_vanished(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(2)]))
    found = list(session.retrieve({"VirtualMachine": ["name"]}, {"VirtualMachine": ["vm-1", "vm-2"]}))
    assert [it.moid for it in found] == ["vm-2"]
    assert endpoint.calls == ["RetrievePropertiesEx"]
    assert b"<reportMissingObjectsInResults>true</reportMissingObjectsInResults>" in endpoint.bodies[0]


def test_reading_no_objects_sends_nothing(session: VimSession, endpoint: Endpoint) -> None:
    assert list(session.retrieve({"VirtualMachine": ["name"]}, {"VirtualMachine": []})) == []
    assert endpoint.calls == []


def test_a_view_is_destroyed_when_its_reader_stops_early(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(1), vm(2)]))
    for _first in session.retrieve({"VirtualMachine": ["name"]}):
        break
    assert endpoint.calls[-1] == "DestroyView"


def test_a_fault_of_a_large_read_is_an_error_of_ours(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.fault(vmodl.query.InvalidProperty(msg="No such property.", name="bogus")))
    with pytest.raises(RemoteError, match=r"refused RetrievePropertiesEx \(InvalidProperty\): No such property") as told:
        list(session.retrieve({"VirtualMachine": ["bogus"]}))
    assert told.value.code == "InvalidProperty"


def test_a_large_read_that_breaks_off_is_a_failed_connection(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", Answer(vsphere.page([vm(number) for number in range(100)]), truncate=3000))
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        list(session.retrieve({"VirtualMachine": ["name"]}))


def task_info(**info: object) -> bytes:
    values = {f"info.{name}": value for name, value in info.items()}
    return vsphere.page([vsphere.contents("Task", "task-1", values)])


def test_a_task_is_waited_for_and_its_result_returned(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", task_info(state="running"), task_info(state="success", result="[ds] db01/db01_1.vmdk"))
    assert session.wait(session.managed("Task", "task-1"), timeout=10) == "[ds] db01/db01_1.vmdk"


def test_a_failed_task_carries_the_endpoints_message_and_the_faults_name(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer(
        "RetrievePropertiesEx",
        task_info(state="error", error=vim.fault.InvalidDeviceSpec(msg="Invalid device '0'.", property="u", deviceIndex=0)),
    )
    with pytest.raises(RemoteError, match=r"Invalid device '0'\.") as told:
        session.wait(session.managed("Task", "task-1"), timeout=10)
    assert told.value.code == "InvalidDeviceSpec"


def test_a_task_that_takes_too_long_is_told_with_its_state(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", task_info(state="queued"))
    with pytest.raises(TimedOut, match=r"task-1 is still queued after 0\.15 s and goes on"):
        session.wait(session.managed("Task", "task-1"), timeout=0.15)


def test_a_task_that_cannot_be_looked_at_has_not_failed(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.fault(vim.fault.HostConfigFault(msg="Not now.")))
    with pytest.raises(OutcomeUnknown, match=r"task-1 cannot be followed: .*Not now"):
        session.wait(session.managed("Task", "task-1"), timeout=10)


def test_what_was_being_done_is_put_before_a_refusal(session: VimSession, endpoint: Endpoint) -> None:
    endpoint.answer("RescanAllHba", vsphere.fault(vim.fault.HostConfigFault(msg="An error occurred during host configuration.")))
    refused = pytest.raises(RemoteError, match=r"Could not rescan host esx01: .* \(HostConfigFault\): An error occurred")
    with refused as told, session.calling("rescan host esx01"):
        session.managed("HostStorageSystem", "storage-1").RescanAllHba()
    assert told.value.code == "HostConfigFault"


def test_other_errors_pass_unchanged(session: VimSession, endpoint: Endpoint) -> None:
    gone = vmodl.fault.ManagedObjectNotFound(msg="gone", obj=vsphere.managed("HostStorageSystem", "storage-1"))
    endpoint.answer("RescanAllHba", vsphere.fault(gone))
    with pytest.raises(NotFound, match="HostStorageSystem storage-1 no longer exists"), session.calling("rescan host esx01"):
        session.managed("HostStorageSystem", "storage-1").RescanAllHba()


def test_closing_never_fails(endpoint: Endpoint) -> None:
    session = VimSession(endpoint.connection)
    endpoint.answer("Logout", Answer(drop=True))
    session.close()


@pytest.mark.slow
class TestAnEndBySignal:
    """Real processes, which are killed while an answer is awaited."""

    @staticmethod
    @contextmanager
    def module(endpoint: Endpoint) -> Iterator[subprocess.Popen[str]]:
        connection = endpoint.connection
        options = {name: getattr(connection, name) for name in ("hostname", "port", "username", "password", "ca_path")}
        arguments = {"ANSIBLE_MODULE_ARGS": {"hypervisor": {"type": "vmware", **options}}}
        command = [sys.executable, "-c", _MODULE, json.dumps(arguments)]
        environment = {"PYTHONPATH": ":".join(sys.path)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    @pytest.mark.parametrize(
        ("during", "number"),
        [
            ("Login", signal.SIGTERM),
            ("CreateContainerView", signal.SIGHUP),
            ("RetrievePropertiesEx", signal.SIGTERM),
            ("Logout", signal.SIGHUP),
        ],
    )
    def test_logs_out(self, endpoint: Endpoint, during: str, number: signal.Signals) -> None:
        (answer,) = endpoint.answers[during]
        with self.module(endpoint) as process:

            def end() -> None:
                process.send_signal(number)

            endpoint.answers[during] = deque([replace(answer, before=end, delay=0.5)])
            said, _errors = process.communicate(timeout=60)
        assert endpoint.calls.count("Logout") == 1
        assert (endpoint.calls[-1], endpoint.cookies[-1]) == ("Logout", vsphere.SESSION), "the session that was opened is the one that ends"
        result = json.loads(said)
        assert (result["failed"], process.returncode) == (True, 1)
        assert result["msg"].startswith(f"This task was ended by {number.name} and has logged out everywhere: ")

    def test_just_before_the_logout_does_not_cut_it(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        session = VimSession(endpoint.connection)
        request = session._https.request

        def end(*arguments: Any, **settings: Any) -> requests.Response:
            signal.raise_signal(signal.SIGTERM)
            return request(*arguments, **settings)

        def close() -> None:
            with as_exception():
                session.close()

        monkeypatch.setattr(session._https, "request", end)
        with pytest.raises(Ended):
            close()
        assert endpoint.calls[-1] == "Logout"

    def test_before_the_login_leaves_nothing_to_log_out_from(self, endpoint: Endpoint) -> None:
        (answer,) = endpoint.answers["RetrieveServiceContent"]
        with self.module(endpoint) as process:
            endpoint.answers["RetrieveServiceContent"] = deque(
                [replace(answer, before=lambda: process.send_signal(signal.SIGTERM), delay=0.5)]
            )
            said, _errors = process.communicate(timeout=60)
        assert endpoint.calls == ["RetrieveServiceContent"]
        assert json.loads(said)["failed"]


_MODULE = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests by nohup ignores it
from ansible.module_utils import basic
from ansible_collections.crossvisor.san.plugins.modules import vm_storage_map
basic._ANSIBLE_ARGS = sys.argv[1].encode()
basic._ANSIBLE_PROFILE = "legacy"
vm_storage_map.main()
"""


class TestALargeRead:
    def test_without_end_is_given_up(self, endpoint: Endpoint, session: VimSession, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MOST_PAGES", 5)
        endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(1)], token="again"))
        endpoint.answer("ContinueRetrievePropertiesEx", vsphere.page([vm(1)], token="again", method="ContinueRetrievePropertiesEx"))
        with pytest.raises(ConnectionFailed, match=r"The hypervisor 127\.0\.0\.1:\d+ lists the inventory in more than 5 pages: check that"):
            list(session.retrieve({"VirtualMachine": ["name"]}))
        assert endpoint.calls.count("ContinueRetrievePropertiesEx") == 4

    def test_of_pages_without_objects_is_given_up(self, endpoint: Endpoint, session: VimSession) -> None:
        full = vsphere.page([vm(1)], token="again", method="ContinueRetrievePropertiesEx")
        empty = re.sub(b"<objects.*</objects>", b"", full)
        assert empty != full
        endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(1)], token="again"))
        endpoint.answer("ContinueRetrievePropertiesEx", empty)
        with pytest.raises(ConnectionFailed, match="lists the inventory in 10 empty pages"):
            list(session.retrieve({"VirtualMachine": ["name"]}))

    def test_of_a_record_without_end_is_given_up(self, endpoint: Endpoint, session: VimSession, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vim_xml, "LARGEST_RECORD", 1 << 20)
        endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(1)]).replace(b"app1", b"<a/>" * (1 << 20)))
        with pytest.raises(ConnectionFailed, match="answers with a record of more than 1 MiB"):
            list(session.retrieve({"VirtualMachine": ["name"]}))

    def test_of_many_records_is_not_limited_by_the_size_of_one(
        self, endpoint: Endpoint, session: VimSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(vim_xml, "LARGEST_RECORD", 1 << 17)
        objects = [vsphere.contents("VirtualMachine", f"vm-{number}", {"name": "x" * 1000}) for number in range(500)]
        endpoint.answer("RetrievePropertiesEx", vsphere.page(objects))
        assert len(list(session.retrieve({"VirtualMachine": ["name"]}))) == 500

    def test_that_is_nested_without_end_is_given_up(self, endpoint: Endpoint, session: VimSession) -> None:
        endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(1)]).replace(b"app1", DEEP))
        with pytest.raises(ConnectionFailed, match=r"answered to RetrievePropertiesEx is not SOAP \(Excessive depth"):
            list(session.retrieve({"VirtualMachine": ["name"]}))


DEEP = b"<a>" * 200_000 + b"</a>" * 200_000


@pytest.mark.parametrize("part", ["about", "rootFolder", "propertyCollector", "viewManager", "sessionManager", "about.apiVersion"])
def test_an_endpoint_that_does_not_tell_what_a_vcenter_tells_is_none(endpoint: Endpoint, part: str) -> None:
    (answer,) = endpoint.answers["RetrieveServiceContent"]
    name = part.rpartition(".")[2].encode()
    body = re.sub(b"<" + name + b"[ >].*</" + name + b">", b"", answer.body)
    assert body != answer.body
    endpoint.answer("RetrieveServiceContent", body)
    with pytest.raises(ConnectionFailed, match=rf"does not answer as vSphere \(its ServiceContent is without {re.escape(part)}\): check"):
        VimSession(endpoint.connection)
    assert "Login" not in endpoint.calls, "it does not get the password"


def test_a_logout_is_not_waited_for_as_long_as_other_calls(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vim_stub, "_LOGOUT_SECONDS", 0.2)
    session = VimSession(replace(endpoint.connection, timeout=600))
    closed, waited = threading.Event(), []
    endpoint.answer("Logout", Answer(vsphere.reply("Logout"), before=lambda: waited.append(closed.wait(30))))
    session.close()
    assert waited == [], "the answer is still held back"
    closed.set()
