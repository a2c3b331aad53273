# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pyvmomi's calls over our own HTTPS session: versions, faults, lost answers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    NotFound,
    OutcomeUnknown,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import HttpsSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_stub import VimStub, fault_message
from tests.unit import vsphere
from tests.unit.vsphere import Answer, Endpoint

pytestmark = pytest.mark.slow

DROP = Answer(drop=True)


@pytest.fixture
def stub(endpoint: Endpoint) -> Iterator[VimStub]:
    https = HttpsSession(endpoint.connection)
    yield VimStub(endpoint.connection, https)
    https.close()


@pytest.fixture
def vm(stub: VimStub) -> Any:
    return vim.VirtualMachine("vm-42", stub)


@pytest.mark.parametrize(
    ("api_version", "spoken"),
    [
        ("8.0.2.0", "vim.version.v8_0_2_0"),
        ("8.0.2.9", "vim.version.v8_0_2_0"),
        ("6.7.3", "vim.version.version15"),
        ("6.5", "vim.version.version11"),
        ("5.5", "vim.version.version11"),
    ],
)
def test_the_newest_version_that_both_sides_know_is_spoken(stub: VimStub, api_version: str, spoken: str) -> None:
    stub.speak(api_version)
    assert stub.version == spoken


def test_a_newer_endpoint_than_the_library_is_spoken_to_in_the_librarys_newest(stub: VimStub) -> None:
    stub.speak("99.0.0.0")
    assert stub.versionId.startswith('"urn:vim25/')
    assert stub.version != "vim.version.version11"


def test_properties_and_methods_of_managed_objects_go_through_the_stub(endpoint: Endpoint, vm: Any) -> None:
    endpoint.answer("Fetch", vsphere.reply("Fetch", "db01"))
    endpoint.answer("ReconfigVM_Task", vsphere.reply("ReconfigVM_Task", vsphere.managed("Task", "task-7")))
    assert vm.name == "db01"
    assert vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="<&>"))._GetMoId() == "task-7"
    assert b"<annotation>&lt;&amp;&gt;</annotation>" in endpoint.bodies[-1]


@pytest.mark.parametrize(
    ("fault", "kind", "sentence"),
    [
        (
            vim.fault.NotAuthenticated(msg="x", object=vim.VirtualMachine("vm-42"), privilegeId="System.View"),
            AuthenticationFailed,
            "has ended",
        ),
        (vmodl.fault.ManagedObjectNotFound(msg="x", obj=vim.VirtualMachine("vm-42")), NotFound, "VirtualMachine vm-42 no longer exists"),
        (vim.fault.InvalidPowerState(msg="Not now.", existingState="poweredOn"), RemoteError, r"\(InvalidPowerState\): Not now"),
    ],
)
def test_a_fault_becomes_one_of_our_errors(endpoint: Endpoint, vm: Any, fault: Any, kind: type[CrossvisorError], sentence: str) -> None:
    endpoint.answer("PowerOffVM_Task", vsphere.fault(fault))
    with pytest.raises(kind, match=sentence) as told:
        vm.PowerOffVM_Task()
    assert isinstance(told.value.__cause__, type(fault))


def test_a_missing_privilege_is_named_with_the_object(endpoint: Endpoint, vm: Any) -> None:
    refusal = vim.fault.NoPermission(msg="x", object=vim.VirtualMachine("vm-42"), privilegeId="VirtualMachine.Config.RawDevice")
    endpoint.answer("ReconfigVM_Task", vsphere.fault(refusal))
    endpoint.answer("Fetch", vsphere.reply("Fetch", "db01"))
    with pytest.raises(
        AuthenticationFailed, match=r"lacks the privilege VirtualMachine\.Config\.RawDevice on VirtualMachine vm-42 \(db01\)"
    ):
        vm.ReconfigVM_Task(vim.vm.ConfigSpec())


def test_a_missing_privilege_is_named_even_where_the_objects_name_cannot_be_read(endpoint: Endpoint, vm: Any) -> None:
    refusal = vsphere.fault(vim.fault.NoPermission(msg="x", object=vim.Folder("group-v3"), privilegeId="System.Read"))
    endpoint.answer("PowerOffVM_Task", refusal)
    endpoint.answer("Fetch", Answer(b"", status=503))
    with pytest.raises(AuthenticationFailed, match=r"System\.Read on Folder group-v3 at"):
        vm.PowerOffVM_Task()


def test_the_details_of_a_fault_belong_to_its_message() -> None:
    details = [
        vmodl.LocalizableMessage(key="a", message="The LUN is in use."),
        vmodl.LocalizableMessage(key="b", message="The LUN is in use."),
    ]
    assert fault_message(vim.fault.InvalidDeviceSpec(msg="Invalid device.", faultMessage=details)) == "Invalid device.; The LUN is in use."
    assert fault_message(vim.fault.InvalidDeviceSpec()) == "InvalidDeviceSpec"


def test_a_change_whose_answer_is_lost_has_an_unknown_outcome_and_is_not_repeated(endpoint: Endpoint, vm: Any) -> None:
    endpoint.answer("ReconfigVM_Task", DROP)
    with pytest.raises(OutcomeUnknown, match="No answer to ReconfigVM_Task came from"):
        vm.ReconfigVM_Task(vim.vm.ConfigSpec())
    assert endpoint.calls == ["ReconfigVM_Task"]


def test_a_change_whose_answer_breaks_off_has_an_unknown_outcome(endpoint: Endpoint, vm: Any) -> None:
    endpoint.answer("ReconfigVM_Task", Answer(vsphere.reply("ReconfigVM_Task", vsphere.managed("Task", "task-7")), truncate=50))
    with pytest.raises(OutcomeUnknown):
        vm.ReconfigVM_Task(vim.vm.ConfigSpec())


def test_a_read_whose_answer_is_lost_is_sent_once_more(endpoint: Endpoint, vm: Any) -> None:
    endpoint.answer("Fetch", DROP, vsphere.reply("Fetch", "db01"))
    assert vm.name == "db01"
    assert endpoint.calls == ["Fetch", "Fetch"]


def test_a_read_whose_answer_is_lost_twice_is_a_failed_connection(endpoint: Endpoint, vm: Any) -> None:
    endpoint.answer("Fetch", DROP)
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        str(vm.name)
    assert endpoint.calls == ["Fetch", "Fetch"]


def test_a_read_that_takes_too_long_is_not_sent_again(endpoint: Endpoint) -> None:
    impatient = replace(endpoint.connection, timeout=0.3)
    https = HttpsSession(impatient)
    endpoint.answer("Fetch", Answer(b"", delay=1.0))
    with pytest.raises(ConnectionFailed, match=r"did not answer within 0\.3 s"):
        str(vim.VirtualMachine("vm-42", VimStub(impatient, https)).name)
    assert endpoint.calls == ["Fetch"]
    https.close()


def test_a_rescan_may_take_longer_than_other_calls(endpoint: Endpoint) -> None:
    impatient = replace(endpoint.connection, timeout=0.3)
    https = HttpsSession(impatient)
    endpoint.answer("RescanAllHba", Answer(vsphere.reply("RescanAllHba"), delay=0.6))
    vim.host.StorageSystem("storage-1", VimStub(impatient, https)).RescanAllHba()
    assert endpoint.calls == ["RescanAllHba"]
    https.close()


def test_a_page_is_asked_for_only_once_because_its_token_is_spent(endpoint: Endpoint, stub: VimStub) -> None:
    endpoint.answer("ContinueRetrievePropertiesEx", DROP)
    with pytest.raises(ConnectionFailed):
        vmodl.query.PropertyCollector("propertyCollector", stub).ContinueRetrievePropertiesEx("token")
    assert endpoint.calls == ["ContinueRetrievePropertiesEx"]


def test_an_http_status_without_soap_is_told_with_its_number(endpoint: Endpoint, vm: Any) -> None:
    endpoint.answer("Fetch", Answer(b"", status=503))
    with pytest.raises(RemoteError, match="answered Fetch with HTTP 503 Service Unavailable") as told:
        str(vm.name)
    assert told.value.code == "503"


DEEP = b"<a>" * 200_000 + b"</a>" * 200_000
GARBAGE = {
    "deep": vsphere.reply("Fetch", "db01").replace(b"db01", DEEP),
    "unclosed": vsphere.reply("Fetch", "db01")[:-20],
    "no such type": vsphere.reply("Fetch", "db01").replace(b"xsd:string", b"NoSuchType"),
    "no number": vsphere.reply("Fetch", 7).replace(b">7<", b">seven<"),
    "entities": b'<!DOCTYPE x [<!ENTITY a "b">]>' + vsphere.reply("Fetch", "db01").partition(b"?>")[2],
    "html": b"<html/>",
    "nothing": b"",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
class TestAnAnswerThatIsNone:
    def test_to_a_read_is_told_with_the_endpoint(self, endpoint: Endpoint, vm: Any, garbage: bytes) -> None:
        endpoint.answer("Fetch", Answer(garbage))
        with pytest.raises(ConnectionFailed, match=r"What 127\.0\.0\.1:\d+ answered to Fetch is not SOAP \([^\n]+\): check that"):
            str(vm.name)

    def test_to_a_change_leaves_its_outcome_unknown(self, endpoint: Endpoint, vm: Any, garbage: bytes) -> None:
        endpoint.answer("PowerOffVM_Task", Answer(garbage))
        with pytest.raises(OutcomeUnknown, match=r"What 127\.0\.0\.1:\d+ answered to PowerOffVM_Task cannot be read \([^\n]+\), so that"):
            vm.PowerOffVM_Task()


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxys_error_leaves_the_outcome_of_a_change_unknown(endpoint: Endpoint, vm: Any, status: int) -> None:
    endpoint.answer("PowerOffVM_Task", Answer(b"upstream reset", status=status))
    with pytest.raises(OutcomeUnknown, match=f"answered PowerOffVM_Task with HTTP {status}"):
        vm.PowerOffVM_Task()


def test_a_change_that_a_proxy_refuses_was_not_made(endpoint: Endpoint, vm: Any) -> None:
    endpoint.answer("PowerOffVM_Task", Answer(b"", status=403))
    with pytest.raises(ConnectionFailed, match="HTTP 403"):
        vm.PowerOffVM_Task()


def test_an_error_500_without_a_fault_is_told(endpoint: Endpoint, vm: Any) -> None:
    endpoint.answer("Fetch", Answer(vsphere.reply("Fetch", "db01"), status=500))
    with pytest.raises(RemoteError, match="HTTP 500"):
        str(vm.name)


def test_several_threads_may_call_at_once(endpoint: Endpoint, vm: Any) -> None:
    endpoint.answer("Fetch", vsphere.reply("Fetch", "db01"))
    with ThreadPoolExecutor(max_workers=8) as pool:
        names = list(pool.map(lambda _call: vm.name, range(40)))
    assert names == ["db01"] * 40
