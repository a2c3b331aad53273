# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults, as Windows sends them: the code that is nearest to the cause, and one sentence that says the way out."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, CrossvisorError, RemoteError, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wsman_fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import (
    ENUMERATE,
    GET,
    Reference,
    Request,
    parse,
    resource_uri,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_fault import Fault, error_of, parse_fault
from tests.unit.wsman import fault, output, provider_fault

HOST = Connection("hypervisor", "hyperv", "hv1", 5986, "LAB\\operator", "secret")
CLUSTER = resource_uri("root/MSCluster", "MSCluster_ResourceGroup")
CREATE = Request(f"{CLUSTER}/CreateGroup", Reference(CLUSTER))
QUERY = Request(ENUMERATE, Reference(resource_uri("root/MSCluster")), query="SELECT * FROM X")


def found(message: bytes) -> Fault:
    result = parse_fault(parse(message))
    assert result is not None
    return result


def told(message: bytes, request: Request = QUERY) -> CrossvisorError:
    return error_of(found(message), request, HOST)


def test_an_ordinary_answer_is_no_fault() -> None:
    assert parse_fault(parse(output("X", "CreateGroup", ""))) is None


def test_a_fault_of_the_service_has_its_code_and_message() -> None:
    assert found(fault(2150858752, "The  resource URI\n is not valid. ", "a:DestinationUnreachable")) == Fault(
        (wsman_fault.RESOURCE_NOT_FOUND,), "DestinationUnreachable", "The resource URI is not valid."
    )


def test_the_code_of_a_provider_is_nearer_to_the_cause() -> None:
    message = provider_fault(2150859002, 2147749890, "Not found ")
    assert found(message) == Fault(("0x803380FA", wsman_fault.NOT_FOUND), "InternalError", "Not found")
    assert found(message).code == wsman_fault.NOT_FOUND


def test_a_negative_code_is_the_same_code() -> None:
    assert found(fault(-2147217406, "Not found")).code == wsman_fault.NOT_FOUND


def test_a_wmi_error_has_a_code_of_its_own() -> None:
    detail = (
        '<p:MSFT_WmiError xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/MSFT_WmiError">'
        "<p:CIMStatusCode>6</p:CIMStatusCode><p:error_Code>2147749890</p:error_Code><p:Message>It is not there.</p:Message>"
        "</p:MSFT_WmiError>"
    )
    assert found(fault(2150858778, "Outer.", detail=detail)) == Fault(
        ("0x8033801A", wsman_fault.NOT_FOUND), "InternalError", "It is not there."
    )


@pytest.mark.parametrize("code", ["", "x", "99999999999"])
def test_a_code_that_is_none_leaves_the_subcode(code: str) -> None:
    message = fault(code, "No.", "w:SchemaValidationError")  # type: ignore[arg-type]
    assert found(message).code == "SchemaValidationError"


def test_a_fault_without_detail_or_reason_still_says_something() -> None:
    message = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code>'
        b"</s:Fault></s:Body></s:Envelope>"
    )
    assert found(message) == Fault((), "Receiver", "no reason was given")


def test_any_fault_names_the_request_the_code_and_the_reason() -> None:
    error = told(provider_fault(2150859002, 2147942487, "The parameter is incorrect."), CREATE)
    assert isinstance(error, RemoteError)
    assert error.code == "0x80070057"
    assert str(error) == "hv1:5986 refused CreateGroup MSCluster_ResourceGroup (0x80070057): The parameter is incorrect."


@pytest.mark.parametrize(
    "message",
    [
        fault(5, "Access is denied. ", "w:AccessDenied"),
        fault(2147942405, "Access is denied."),
        provider_fault(2150859002, 2147749891, "Access is denied."),
    ],
)
class TestAccessDenied:
    def test_names_the_user_the_namespace_and_the_right(self, message: bytes) -> None:
        error = told(message)
        assert isinstance(error, AuthenticationFailed)
        assert str(error) == (
            "The user LAB\\operator may not use the namespace root/MSCluster at hv1:5986 (Enumerate SELECT * FROM X: Access is denied): "
            "have an administrator add the account to Remote Management Users and grant it Remote Enable on that namespace."
        )

    def test_of_a_method_names_the_right_to_call_it(self, message: bytes) -> None:
        assert "grant it Remote Enable and Execute Methods on that namespace" in str(told(message, CREATE))

    def test_of_reading_one_instance_needs_no_more_than_a_query(self, message: bytes) -> None:
        assert "grant it Remote Enable on" in str(told(message, Request(GET, Reference(CLUSTER))))


def test_access_denied_without_a_user_or_namespace_is_told_too() -> None:
    config = Request(GET, Reference("http://schemas.microsoft.com/wbem/wsman/1/config"))
    error = error_of(found(fault(5, "Access is denied.", "w:AccessDenied")), config, Connection("hypervisor", "hyperv", "hv1", 5986))
    assert str(error).startswith("This login may not use http://schemas.microsoft.com/wbem/wsman/1/config at hv1:5986")


TOO_LATE = [fault(2150858793, "The operation timed out.", "w:TimedOut"), fault("", "Too late.", "w:TimedOut")]  # type: ignore[arg-type]


@pytest.mark.parametrize("message", TOO_LATE)
def test_a_timeout_names_the_option(message: bytes) -> None:
    error = told(message)
    assert isinstance(error, TimedOut)
    assert "did not finish Enumerate SELECT * FROM X in time: raise hypervisor.timeout" in str(error)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (2150858823, "takes no message as large as Enumerate SELECT * FROM X needs"),
        (2150858824, "The answer of hv1:5986 to Enumerate SELECT * FROM X does not fit in one message"),
        (2150858825, "takes no message as large as"),
    ],
)
def test_an_envelope_that_is_too_large_names_the_setting(code: int, text: str) -> None:
    error = told(fault(code, "The envelope.", "w:EncodingLimit"))
    assert isinstance(error, RemoteError)
    assert text in str(error)
    assert "raise MaxEnvelopeSizekb of its WinRM service" in str(error)
