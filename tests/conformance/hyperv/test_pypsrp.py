# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pypsrp's WSMan, which knows nothing of the lab: enumerate, pull, get, invoke, over Basic and over NTLM with sealed messages."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from pypsrp.exceptions import AuthenticationError, WSManFaultError
from pypsrp.wsman import NAMESPACES, SelectorSet, WSMan

from tests.conformance.hyperv.conftest import SPARE, Lab
from tests.lab.launch import Endpoint

WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
VIRTUALIZATION, STORAGE, CLUSTER = f"{WMI}root/virtualization/v2", f"{WMI}root/Microsoft/Windows/Storage", f"{WMI}root/MSCluster"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
MODES = {"basic": "auto", "ntlm": "always", "negotiate": "always"}


def connect(endpoint: Endpoint, auth: str = "basic", password: str | None = None) -> WSMan:
    return WSMan(
        endpoint.hostname,
        port=endpoint.port,
        username=endpoint.username,
        password=password or endpoint.password,
        auth=auth,
        encryption=MODES[auth],
        ssl=True,
        cert_validation=endpoint.ca_path,  # type: ignore[arg-type] # a path is taken, too
        no_proxy=True,
    )


@pytest.fixture(params=MODES)
def client(lab: Lab, request: pytest.FixtureRequest) -> Iterator[WSMan]:
    with connect(lab.host, request.param) as opened:
        yield opened


def local(tag: str) -> str:
    return tag.rpartition("}")[2]


def values(item: ET.Element) -> dict[str, str | None]:
    return {local(child.tag): child.text for child in item}


def query(client: WSMan, namespace: str, wql: str, count: int = 50, pulled: str = "") -> list[ET.Element]:
    """Return everything that the query finds, pull by pull."""
    wsen, wsman = NAMESPACES["wsen"], NAMESPACES["wsman"]
    wish = ET.Element(f"{{{wsen}}}Enumerate")
    ET.SubElement(wish, f"{{{wsman}}}OptimizeEnumeration")
    ET.SubElement(wish, f"{{{wsman}}}MaxElements").text = str(count)
    ET.SubElement(wish, f"{{{wsman}}}Filter", Dialect=WQL).text = wql
    uri = f"{namespace}/*"
    body = client.enumerate(uri, wish)
    found = list(body.find("wsen:EnumerateResponse/wsman:Items", NAMESPACES) or ())
    context = body.findtext("wsen:EnumerateResponse/wsen:EnumerationContext", "", NAMESPACES)
    while context:
        pull = ET.Element(f"{{{wsen}}}Pull")
        ET.SubElement(pull, f"{{{wsen}}}EnumerationContext").text = context
        ET.SubElement(pull, f"{{{wsen}}}MaxElements").text = str(count)
        body = client.pull(pulled or uri, pull)
        found += list(body.find("wsen:PullResponse/wsen:Items", NAMESPACES) or ())
        context = body.findtext("wsen:PullResponse/wsen:EnumerationContext", "", NAMESPACES)
    return found


def invoke(
    client: WSMan, namespace: str, class_name: str, method: str, keys: dict[str, str] | None = None, **arguments: str | None
) -> dict[str, str | None]:
    uri = f"{namespace}/{class_name}"
    body = ET.Element(f"{{{uri}}}{method}_INPUT")
    for name, value in arguments.items():
        ET.SubElement(body, f"{{{uri}}}{name}", {} if value is not None else {NIL: "true"}).text = value
    selectors = SelectorSet()
    for name, value in (keys or {}).items():
        selectors.add_option(name, value)
    answer = client.invoke(f"{uri}/{method}", uri, body, selector_set=selectors)
    output = answer.find("s:Body", NAMESPACES)
    assert output is not None
    return values(output[0])


def test_the_service_tells_its_limits(client: WSMan) -> None:
    client.update_max_payload_size()
    assert client.max_envelope_size == 500 * 1024


def test_vms_by_pulls_of_three(client: WSMan) -> None:
    found = query(client, VIRTUALIZATION, "SELECT * FROM Msvm_ComputerSystem WHERE Caption = 'Virtual Machine'", count=3)
    names = {values(item)["ElementName"] for item in found}
    assert {"win01", "hvapp01", "hvdb01", "hvchain01", "hvold01"} <= names
    assert {local(item.tag) for item in found} == {"Msvm_ComputerSystem"}


def test_a_pull_may_name_another_resource_than_the_enumeration(client: WSMan) -> None:
    found = query(client, VIRTUALIZATION, "SELECT * FROM Msvm_ComputerSystem", count=3, pulled=f"{VIRTUALIZATION}/Msvm_ComputerSystem")
    assert len(found) > 3
    assert [values(item)["Name"] for item in found] == [
        values(item)["Name"] for item in query(client, VIRTUALIZATION, "SELECT * FROM Msvm_ComputerSystem")
    ]


@pytest.mark.parametrize(("server", "machines"), [("HV01", ["HV01"]), ("hv01", ["HV01"]), ("HV02", [])])
def test_a_query_may_name_the_computer(client: WSMan, server: str, machines: list[str]) -> None:
    found = query(client, f"{WMI}root/cimv2", f"SELECT * FROM Win32_ComputerSystem WHERE __SERVER = '{server}'")
    assert [values(item)["Name"] for item in found] == machines


def test_an_argument_without_a_value_may_be_nil(lab: Lab, client: WSMan) -> None:
    lab.map_spare()
    invoke(client, STORAGE, "MSFT_StorageSetting", "UpdateHostStorageCache")
    (disk,) = map(values, query(client, STORAGE, f"SELECT * FROM MSFT_Disk WHERE UniqueId = '{SPARE}'"))
    keys = {"ObjectId": str(disk["ObjectId"])}
    assert invoke(client, STORAGE, "MSFT_Disk", "SetAttributes", keys, IsReadOnly="false", Guid=None)["ReturnValue"] == "0"


def test_one_instance_by_its_keys(client: WSMan) -> None:
    selectors = SelectorSet()
    selectors.add_option("Name", "HV01")
    body = client.get(f"{WMI}root/cimv2/Win32_ComputerSystem", selector_set=selectors)
    assert values(body[0])["Model"] == "PowerEdge R650"


def test_a_new_lun_appears_after_the_rescan(lab: Lab, client: WSMan) -> None:
    lab.map_spare()
    wanted = f"SELECT * FROM MSFT_Disk WHERE UniqueId = '{SPARE}'"
    assert query(client, STORAGE, wanted) == []
    assert invoke(client, STORAGE, "MSFT_StorageSetting", "UpdateHostStorageCache")["ReturnValue"] == "0"
    (disk,) = map(values, query(client, STORAGE, wanted))
    assert (disk["IsOffline"], disk["PartitionStyle"]) == ("true", "0")
    assert invoke(client, STORAGE, "MSFT_Disk", "Online", {"ObjectId": str(disk["ObjectId"])})["ReturnValue"] == "0"
    assert values(query(client, STORAGE, wanted)[0])["IsOffline"] == "false"


def test_a_cluster_refuses_by_a_fault(lab: Lab) -> None:
    with connect(lab.node, "ntlm") as client:
        invoke(client, CLUSTER, "MSCluster_ResourceGroup", "CreateGroup", GroupName="temporary", GroupType="9999")
        with pytest.raises(WSManFaultError) as refusal:
            invoke(client, CLUSTER, "MSCluster_ResourceGroup", "CreateGroup", GroupName="temporary", GroupType="9999")
        assert refusal.value.code == 0x80070000 | 5010
        assert "already exists" in str(refusal.value)


def test_a_host_with_the_clustering_feature_and_no_cluster_has_the_namespace_and_nobody_who_answers(lab: Lab, client: WSMan) -> None:
    with pytest.raises(WSManFaultError) as missing:
        query(client, CLUSTER, "SELECT * FROM MSCluster_Cluster")
    lab.control("POST", "/cluster_service?machine=hv01.lab&state=disabled")
    with pytest.raises(WSManFaultError) as silent:
        query(client, CLUSTER, "SELECT * FROM MSCluster_Cluster")
    assert (missing.value.code, silent.value.code) == (2150858752, 0x800706D9)


@pytest.mark.parametrize(
    ("wql", "code"),
    [("SELECT * FROM Msvm_Nothing", 2150858752), ("SELECT Nothing FROM Msvm_ComputerSystem", 2150858778), ("no query", 2150858778)],
)
def test_faults_have_the_codes_of_windows(client: WSMan, wql: str, code: int) -> None:
    with pytest.raises(WSManFaultError) as refusal:
        query(client, VIRTUALIZATION, wql)
    assert refusal.value.code == code


@pytest.mark.parametrize("auth", MODES)
def test_a_wrong_password_is_not_let_in(lab: Lab, auth: str) -> None:
    with connect(lab.host, auth, "wrong") as client, pytest.raises(AuthenticationError):
        query(client, VIRTUALIZATION, "SELECT * FROM Msvm_ComputerSystem")


def test_access_can_be_denied_in_one_namespace(lab: Lab, client: WSMan) -> None:
    lab.control("POST", "/faults", {"match": "virtualization", "times": 9, "action": {"error": {"code": "AccessDenied"}}})
    with pytest.raises(WSManFaultError) as refusal:
        query(client, VIRTUALIZATION, "SELECT * FROM Msvm_ComputerSystem")
    assert refusal.value.code == 5
    assert query(client, STORAGE, "SELECT * FROM MSFT_Disk")
