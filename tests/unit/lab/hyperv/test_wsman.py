# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service answers what WS-Management says, and refuses what Windows refuses."""

from __future__ import annotations

import pytest

from tests.lab.hyperv.faults import ProviderFault, WsmanFault
from tests.lab.hyperv.running import CIMV2, CLUSTER, STORAGE, VIRTUALIZATION, Client, Lab, envelope
from tests.lab.hyperv.soap import PREFIXES, Node, fault_answer, parse_envelope, parse_request, tag
from tests.lab.hyperv.wsman import CONTEXT_SECONDS, ENUMERATION, TRANSFER, WQL_DIALECT, Service
from tests.lab.hyperv.xml_values import WMI
from tests.unit.lab.hyperv.desk import HOST, SERVICE, Desk

COMPUTER = f"{WMI}{CIMV2}/Win32_ComputerSystem"
GET = f"{TRANSFER}Get"
ENUMERATE = f"{ENUMERATION}Enumerate"
XSI_TYPE = f"{{{PREFIXES['xsi']}}}type"


@pytest.fixture
def client(lab: Lab) -> Client:
    return lab.clients[HOST]


def code_of(refusal: pytest.ExceptionInfo[WsmanFault]) -> tuple[int, str]:
    return refusal.value.kind.code, refusal.value.kind.subcode


def enumerate_body(query: str, inner: str = "<w:OptimizeEnumeration/>", dialect: str = WQL_DIALECT) -> str:
    return f'<n:Enumerate>{inner}<w:Filter Dialect="{dialect}">{query}</w:Filter></n:Enumerate>'


def first_answer(client: Client, body: str, **more: object) -> Node:
    return client.ask(ENUMERATE, f"{WMI}{CIMV2}/*", body, **more)[0]  # type: ignore[arg-type]


def test_the_answer_names_the_question(lab: Lab) -> None:
    client = lab.clients[HOST]
    service: Service = client.service
    answer = parse_envelope(service.answer(parse_request(parse_envelope(envelope(GET, COMPUTER, "", "uuid:ABC", {"Name": "HV01"})))))
    header = answer.find(tag("s", "Header"))
    assert header is not None
    assert header.findtext(tag("a", "RelatesTo")) == "uuid:ABC"
    assert header.findtext(tag("a", "Action")) == f"{GET}Response"


def test_an_instance_has_its_type_every_scalar_and_no_empty_array(client: Client) -> None:
    item = client.items(CIMV2, "SELECT * FROM Win32_OperatingSystem")[0]
    values = {child.tag.rpartition("}")[2]: child for child in item}
    assert item.get(XSI_TYPE) == "p:Win32_OperatingSystem_Type"
    assert values["SerialNumber"].get(tag("xsi", "nil")) == "true"
    assert values["LastBootUpTime"].findtext(tag("cim", "Datetime")) == "2026-01-05T06:00:00Z"
    vm = client.items(VIRTUALIZATION, "SELECT * FROM Msvm_ResourceAllocationSettingData WHERE ResourceType = 6")[-1]
    assert "HostResource" not in {child.tag.rpartition("}")[2] for child in vm}


def test_projected_columns_come_as_a_fragment_in_no_namespace(client: Client) -> None:
    item = client.items(CIMV2, "SELECT Name, Model FROM Win32_ComputerSystem")[0]
    assert item.tag == tag("w", "XmlFragment")
    assert [child.tag for child in item] == ["Name", "Model"]


def test_one_item_comes_at_a_time_when_the_client_does_not_say_how_many(client: Client) -> None:
    answer = first_answer(client, enumerate_body("SELECT * FROM Win32_Service"))
    assert len(answer.find(tag("w", "Items")) or ()) == 1
    assert answer.findtext(tag("n", "EnumerationContext"))
    assert answer.find(tag("w", "EndOfSequence")) is None


def test_without_optimisation_nothing_comes_before_the_first_pull(client: Client) -> None:
    answer = first_answer(client, enumerate_body("SELECT * FROM Win32_ComputerSystem", ""))
    assert answer.find(tag("w", "Items")) is None
    assert answer.findtext(tag("n", "EnumerationContext"))


def test_a_finished_enumeration_has_an_empty_context(client: Client) -> None:
    answer = first_answer(client, enumerate_body("SELECT * FROM Win32_ComputerSystem"))
    assert answer.findtext(tag("n", "EnumerationContext")) == ""
    assert answer.find(tag("w", "EndOfSequence")) is not None


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_pulls_bring_everything_once(client: Client, count: int) -> None:
    names = [row["Name"] for row in client.query(CIMV2, "SELECT * FROM Win32_Service", count=count)]
    assert sorted(names) == ["MPIO", "MSiSCSI", "WinRM", "vmms"]


def test_a_small_envelope_makes_more_pulls_and_loses_nothing() -> None:
    client = Lab(vms=60).clients[HOST]
    query = "SELECT * FROM Msvm_StorageAllocationSettingData"
    small, big = (client.query(VIRTUALIZATION, query, size=size) for size in (8192, 512000))
    assert small == big
    assert len(big) >= 60


def test_an_item_that_fits_into_no_envelope_is_refused(lab: Lab, client: Client) -> None:
    next(iter(lab.estate.vms.values())).name = "long" * 3000
    with pytest.raises(WsmanFault) as refusal:
        client.query(VIRTUALIZATION, "SELECT * FROM Msvm_ComputerSystem", size=8192)
    assert code_of(refusal) == (2150858824, "w:EncodingLimit")


def test_a_released_context_is_gone(client: Client) -> None:
    context = first_answer(client, enumerate_body("SELECT * FROM Win32_Service")).findtext(tag("n", "EnumerationContext"))
    inner = f"<n:EnumerationContext>{context}</n:EnumerationContext>"
    client.ask(f"{ENUMERATION}Release", f"{WMI}{CIMV2}/*", f"<n:Release>{inner}</n:Release>")
    with pytest.raises(WsmanFault) as refusal:
        client.ask(f"{ENUMERATION}Pull", f"{WMI}{CIMV2}/*", f"<n:Pull>{inner}</n:Pull>")
    assert code_of(refusal) == (2150858779, "wsen:InvalidEnumerationContext")


def test_a_context_that_nobody_pulls_from_expires(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    service = client.service
    context = first_answer(client, enumerate_body("SELECT * FROM Win32_Service")).findtext(tag("n", "EnumerationContext"))
    later = service._clock() + CONTEXT_SECONDS + 1
    monkeypatch.setattr(service, "_clock", lambda: later)
    with pytest.raises(WsmanFault) as refusal:
        client.ask(f"{ENUMERATION}Pull", f"{WMI}{CIMV2}/*", f"<n:Pull><n:EnumerationContext>{context}</n:EnumerationContext></n:Pull>")
    assert refusal.value.kind.subcode == "wsen:InvalidEnumerationContext"


def test_endpoint_references_can_be_enumerated(client: Client) -> None:
    inner = "<w:OptimizeEnumeration/><w:EnumerationMode>EnumerateEPR</w:EnumerationMode>"
    answer = first_answer(client, enumerate_body("SELECT * FROM Win32_ComputerSystem", inner))
    items = answer.find(tag("w", "Items"))
    assert items is not None
    assert items[0].tag == tag("a", "EndpointReference")
    assert items[0].findtext(f".//{tag('w', 'Selector')}") == "HV01"


@pytest.mark.parametrize(
    ("inner", "subcode"),
    [
        ("<w:MaxElements>0</w:MaxElements>", "w:SchemaValidationError"),
        ("<w:MaxElements>many</w:MaxElements>", "w:SchemaValidationError"),
        ("<w:Surprise/>", "w:SchemaValidationError"),
        ("<w:EnumerationMode>Everything</w:EnumerationMode>", "w:SchemaValidationError"),
    ],
)
def test_a_malformed_enumeration_is_refused(client: Client, inner: str, subcode: str) -> None:
    with pytest.raises(WsmanFault) as refusal:
        first_answer(client, enumerate_body("SELECT * FROM Win32_Service", inner))
    assert refusal.value.kind.subcode == subcode


def test_another_dialect_is_refused(client: Client) -> None:
    with pytest.raises(WsmanFault) as refusal:
        first_answer(client, enumerate_body("SELECT * FROM Win32_Service", dialect="http://www.w3.org/TR/1999/REC-xpath-19991116"))
    assert refusal.value.kind.subcode == "wsen:FilterDialectRequestedUnavailable"


@pytest.mark.parametrize(
    ("uri", "query", "subcode"),
    [
        (f"{WMI}{CIMV2}/*", "SELECT Nothing FROM Win32_Service", "wsen:CannotProcessFilter"),
        (f"{WMI}{CIMV2}/*", "SELECT * FROM Win32_Nothing", "wsa:DestinationUnreachable"),
        (f"{WMI}root/nowhere/*", "SELECT * FROM Win32_Service", "wsa:DestinationUnreachable"),
        (f"{WMI}{CLUSTER}/*", "SELECT * FROM MSCluster_Node", "wsa:DestinationUnreachable"),
        (f"{WMI}{CIMV2}/Win32_Service", "SELECT * FROM Win32_Service", "wsen:CannotProcessFilter"),
        ("http://example.org/thing", "SELECT * FROM Win32_Service", "w:InvalidResourceURI"),
    ],
)
def test_a_query_that_cannot_be_done_is_refused(client: Client, uri: str, query: str, subcode: str) -> None:
    with pytest.raises(WsmanFault) as refusal:
        client.ask(ENUMERATE, uri, enumerate_body(query))
    assert refusal.value.kind.subcode == subcode


def test_the_wrong_case_of_class_and_namespace_is_forgiven(client: Client) -> None:
    assert client.query("ROOT/CimV2", "SELECT NAME FROM WIN32_COMPUTERSYSTEM") == [{"Name": "HV01"}]


@pytest.mark.parametrize(
    ("selectors", "code"),
    [({}, 2150858842), ({"Name": "HV01", "Colour": "red"}, 2150858843), ({"Nom": "HV01"}, 2150858842)],
)
def test_selectors_are_the_keys_and_nothing_else(client: Client, selectors: dict[str, str], code: int) -> None:
    with pytest.raises(WsmanFault) as refusal:
        client.ask(GET, COMPUTER, selectors=selectors)
    assert code_of(refusal) == (code, "w:InvalidSelectors")


def test_an_instance_that_does_not_exist_is_not_found(client: Client) -> None:
    with pytest.raises(ProviderFault) as refusal:
        client.get(CIMV2, "Win32_ComputerSystem", Name="HV99")
    assert refusal.value.code == 0x80041002


@pytest.mark.parametrize(
    ("method", "inner", "subcode"),
    [
        ("GetStringValue", "<v:hDefKey>1</v:hDefKey><v:Surprise>1</v:Surprise>", "w:InvalidParameter"),
        ("GetStringValue", "<v:hDefKey>HKLM</v:hDefKey>", "w:InvalidParameter"),
        ("GetStringValue", "<v:hDefKey>1</v:hDefKey><v:hDefKey>2</v:hDefKey>", "w:InvalidParameter"),
        ("GetStringValue", "<hDefKey>1</hDefKey>", "wxf:InvalidRepresentation"),
        ("Explode", "", "wsa:ActionNotSupported"),
    ],
)
def test_arguments_are_those_of_the_method(client: Client, method: str, inner: str, subcode: str) -> None:
    uri = f"{WMI}{CIMV2}/StdRegProv"
    with pytest.raises(WsmanFault) as refusal:
        client.ask(f"{uri}/{method}", uri, f'<v:{method}_INPUT xmlns:v="{uri}">{inner}</v:{method}_INPUT>')
    assert refusal.value.kind.subcode == subcode


def test_the_body_of_a_call_is_in_the_namespace_of_its_class(client: Client) -> None:
    uri = f"{WMI}{CIMV2}/StdRegProv"
    with pytest.raises(WsmanFault) as refusal:
        client.ask(f"{uri}/EnumKey", uri, f'<v:EnumKey_INPUT xmlns:v="{WMI}{CIMV2}/Other"/>')
    assert refusal.value.kind.subcode == "wxf:InvalidRepresentation"


def test_a_required_argument_must_be_given(client: Client, host: Desk) -> None:
    with pytest.raises(WsmanFault) as refusal:
        client.invoke(VIRTUALIZATION, SERVICE, "RemoveResourceSettings", host.service_keys())
    assert refusal.value.kind.subcode == "w:InvalidParameter"
    assert "ResourceSettings" in refusal.value.text


@pytest.mark.parametrize("missing", ["To", "Action", "MessageID", "ReplyTo"])
def test_every_addressing_header_is_required(missing: str) -> None:
    whole = envelope(GET, COMPUTER, "", "uuid:1", {"Name": "HV01"}).decode()
    start, end = whole.index(f"<a:{missing}"), whole.index(f"</a:{missing}>") + len(f"</a:{missing}>")
    with pytest.raises(WsmanFault) as refusal:
        parse_request(parse_envelope((whole[:start] + whole[end:]).encode()))
    assert refusal.value.kind.subcode == "wsa:MessageInformationHeaderRequired"


def test_a_header_that_must_be_understood_is_or_the_message_is_refused(client: Client) -> None:
    client.ask(GET, COMPUTER, selectors={"Name": "HV01"}, headers="<w:Whatever>1</w:Whatever>")
    with pytest.raises(WsmanFault) as refusal:
        client.ask(GET, COMPUTER, selectors={"Name": "HV01"}, headers='<w:Whatever s:mustUnderstand="true">1</w:Whatever>')
    assert refusal.value.kind.side == "s:MustUnderstand"


@pytest.mark.parametrize("size", [8191, 512001])
def test_the_envelope_size_has_bounds(client: Client, size: int) -> None:
    with pytest.raises(WsmanFault) as refusal:
        client.ask(GET, COMPUTER, selectors={"Name": "HV01"}, size=size)
    assert refusal.value.kind.subcode == "w:EncodingLimit"


@pytest.mark.parametrize(
    "raw", [b"", b"<a>", b"<a/>", b"<!DOCTYPE x><a/>", b'<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"/>']
)
def test_what_is_no_soap_is_refused(raw: bytes) -> None:
    with pytest.raises(WsmanFault):
        parse_envelope(raw)


def test_faults_carry_code_reason_and_detail() -> None:
    with pytest.raises(WsmanFault) as refusal:
        parse_envelope(b"<a/>")
    fault = parse_envelope(fault_answer(refusal.value, "uuid:7", "hv01.lab", "Get")).find(f".//{tag('s', 'Fault')}")
    assert fault is not None
    assert fault.findtext(f".//{tag('s', 'Subcode')}/{tag('s', 'Value')}") == "w:SchemaValidationError"
    detail = fault.find(f".//{tag('f', 'WSManFault')}")
    assert detail is not None
    assert (detail.get("Code"), detail.get("Machine")) == ("2150858817", "hv01.lab")


def test_read_only_properties_cannot_be_put(client: Client) -> None:
    with pytest.raises(WsmanFault) as refusal:
        client.put(CIMV2, "Win32_ComputerSystem", {"Name": "HV01"}, "<v:Model>Other</v:Model>")
    assert refusal.value.kind.subcode == "w:InvalidParameter"


def test_associators_follow_the_graph(client: Client, host: Desk) -> None:
    disk = next(row for row in client.query(STORAGE, "SELECT * FROM MSFT_Disk") if row["Number"] == "1")
    path = disk["ObjectId"].replace("\\", "\\\\").replace('"', '\\"')
    partitions = client.query(STORAGE, f'ASSOCIATORS OF {{MSFT_Disk.ObjectId="{path}"}} WHERE AssocClass=MSFT_DiskToPartition')
    assert {row["DiskNumber"] for row in partitions} == {"1"}
    links = client.query(STORAGE, f'REFERENCES OF {{MSFT_Disk.ObjectId="{path}"}} WHERE ResultClass=MSFT_DiskToPartition')
    assert len(links) == len(partitions) == 2
    settings = host.settings_id("hvdb01")
    parts = client.query(
        VIRTUALIZATION,
        f'ASSOCIATORS OF {{Msvm_VirtualSystemSettingData.InstanceID="{settings}"}} WHERE AssocClass=Msvm_VirtualSystemSettingDataComponent '
        "ResultClass=Msvm_StorageAllocationSettingData",
    )
    assert [row["HostResource"] for row in parts] == ["E:\\VMs\\hvdb01\\hvdb01.vhdx"]
