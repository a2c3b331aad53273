# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plain pywinrm: its headers, its transports, its reading of faults."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
import xmltodict  # type: ignore[import-untyped]
from winrm.exceptions import InvalidCredentialsError, WinRMOperationTimeoutError, WSManFaultError
from winrm.protocol import Protocol

from tests.conformance.hyperv.conftest import Lab
from tests.lab.launch import Endpoint

WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
ENUMERATE = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
ITEMS = ".//{http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd}Items/*"
TRANSPORTS = {"ssl": "auto", "ntlm": "always"}
SERVICES = "SELECT Name, State FROM Win32_Service"


def connect(endpoint: Endpoint, transport: str, password: str | None = None) -> Protocol:
    return Protocol(
        f"https://{endpoint.hostname}:{endpoint.port}/wsman",
        transport=transport,  # type: ignore[arg-type]
        username=endpoint.username,
        password=password or endpoint.password,
        ca_trust_path=endpoint.ca_path,
        message_encryption=TRANSPORTS[transport],  # type: ignore[arg-type]
        proxy=None,
    )


def query(client: Protocol, wql: str, namespace: str = "root/cimv2") -> list[ET.Element]:
    request = {"env:Envelope": client.build_wsman_header(ENUMERATE, f"{WMI}{namespace}/*")}
    request["env:Envelope"]["env:Body"] = {
        "n:Enumerate": {"w:OptimizeEnumeration": None, "w:MaxElements": "100", "w:Filter": {"@Dialect": WQL, "#text": wql}}
    }
    answer = client.send_message(xmltodict.unparse(request))
    return ET.fromstring(answer).findall(ITEMS)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("machine", ["host", "node", "guest"])
def test_every_machine_answers(lab: Lab, machine: str, transport: str) -> None:
    found = query(connect(getattr(lab, machine), transport), SERVICES)
    assert {"Name": "WinRM", "State": "Running"} in [{child.tag: child.text for child in item} for item in found]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_session_asks_often(lab: Lab, transport: str) -> None:
    client = connect(lab.host, transport)
    assert [len(query(client, SERVICES)) for _turn in range(4)] == [4, 4, 4, 4]
    assert lab.control("GET", "/requests")["total"] == 4


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_wrong_password(lab: Lab, transport: str) -> None:
    with pytest.raises(InvalidCredentialsError):
        query(connect(lab.host, transport, "wrong"), SERVICES)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_fault(lab: Lab, transport: str) -> None:
    with pytest.raises(WSManFaultError) as refusal:
        query(connect(lab.host, transport), "SELECT * FROM Win32_Nothing")
    assert (refusal.value.fault_subcode, refusal.value.wsman_fault_code) == ("wsa:DestinationUnreachable", 2150858752)


def test_an_error_of_a_provider(lab: Lab) -> None:
    lab.control("POST", "/faults", {"call": 1, "action": {"error": {"code": 0x80041002, "message": "Not found. "}}})
    with pytest.raises(WSManFaultError) as refusal:
        query(connect(lab.host, "ssl"), SERVICES)
    assert refusal.value.wmierror_code == 0x80041002


def test_a_timeout(lab: Lab) -> None:
    client = connect(lab.host, "ssl")
    client.operation_timeout_sec = 1
    lab.control("POST", "/faults", {"call": 1, "action": {"delay": 2}})
    with pytest.raises(WinRMOperationTimeoutError):
        query(client, SERVICES)
