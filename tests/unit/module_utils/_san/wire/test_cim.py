# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declared classes in, typed instances out, over real requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import OutcomeUnknown, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import cim_xml, wql, wsman_envelope
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_embedded import embed, parse_embedded
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass, CimInstance
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman import WsmanSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import Element, Reference
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_transport import BASIC
from tests.unit.wsman import Answer, Endpoint, instance, message, output, page

pytestmark = pytest.mark.slow

DISK = CimClass(
    "root/Microsoft/Windows/Storage", "MSFT_Disk", ("ObjectId",), {"ObjectId": "string", "Number": "uint32", "Roles": "string[]"}
)
SERVICE = CimClass("root/virtualization/v2", "Msvm_VirtualSystemManagementService", ("Name",))
SETTINGS = CimClass("root/virtualization/v2", "Msvm_VirtualSystemSettingData", ("InstanceID",), {"InstanceID": "string"})


@pytest.fixture
def client(windows: Endpoint) -> Iterator[CimClient]:
    session = WsmanSession(windows.connection, BASIC)
    yield CimClient(session)
    session.close()


def sent(windows: Endpoint) -> Element:
    content = wsman_envelope.content_of(wsman_envelope.parse(windows.messages[-1]))
    assert content is not None
    return content


def asked(windows: Endpoint) -> str | None:
    return sent(windows).findtext(f"{{{wsman_envelope.WSMAN}}}Filter")


def test_a_query_gives_typed_instances(windows: Endpoint, client: CimClient) -> None:
    windows.answer(page(instance(DISK.uri, {"ObjectId": "a", "Number": "3"})))
    found = list(client.query(DISK, wql.equals("Number", 3)))
    assert found == [CimInstance("MSFT_Disk", {"ObjectId": "a", "Number": 3, "Roles": ()})]
    assert asked(windows) == "SELECT * FROM MSFT_Disk WHERE Number = 3"


def test_a_projection_has_only_its_columns(windows: Endpoint, client: CimClient) -> None:
    windows.answer(page("<w:XmlFragment><Number>3</Number></w:XmlFragment>"))
    assert list(client.query(DISK, columns=["Number", "Roles"])) == [CimInstance("MSFT_Disk", {"Number": 3, "Roles": ()})]
    assert asked(windows) == "SELECT Number, Roles FROM MSFT_Disk"


def test_a_query_asks_for_the_next_page_only_when_it_is_needed(windows: Endpoint, client: CimClient) -> None:
    windows.answer(page(instance(DISK.uri, {"Number": "1"}), "c1"), page(instance(DISK.uri, {"Number": "2"}), response="PullResponse"))
    found = client.query(DISK)
    assert next(found).integer("Number") == 1
    assert windows.actions == ["Enumerate"]
    assert [disk.integer("Number") for disk in found] == [2]


def test_associators_are_typed_as_what_was_asked_for(windows: Endpoint, client: CimClient) -> None:
    windows.answer(page(instance(SETTINGS.uri, {"InstanceID": "Microsoft:1"})))
    vm = CimClass("root/virtualization/v2", "Msvm_ComputerSystem", ("Name",)).path({"Name": "1"})
    assert [found.text("InstanceID") for found in client.associators(vm, SETTINGS, "Msvm_SettingsDefineState")] == ["Microsoft:1"]
    assert asked(windows) == (
        'ASSOCIATORS OF {Msvm_ComputerSystem.Name="1"} '
        "WHERE AssocClass = Msvm_SettingsDefineState ResultClass = Msvm_VirtualSystemSettingData"
    )


def test_an_instance_is_read_by_its_keys_or_by_itself(windows: Endpoint, client: CimClient) -> None:
    windows.answer(message(instance(DISK.uri, {"ObjectId": "a", "Number": "3"})))
    disk = client.get(DISK, {"ObjectId": "a"})
    assert client.get(DISK, disk) == disk
    assert windows.messages[0].count(b'<w:Selector Name="ObjectId">a</w:Selector>') == 1
    assert windows.messages[1].count(b'<w:Selector Name="ObjectId">a</w:Selector>') == 1


class TestAMethod:
    def test_of_an_instance_gets_its_parameters_and_gives_typed_outputs(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(output(SERVICE.uri, "AddResourceSettings", "<p:ReturnValue>0</p:ReturnValue><p:Count>2</p:Count>"))
        settings = SETTINGS.reference({"InstanceID": "Microsoft:1"})
        resource = embed("Msvm_ResourceAllocationSettingData", {"AddressOnParent": "0"}, {"AddressOnParent": "string"})
        answer = client.call(
            SERVICE,
            "AddResourceSettings",
            {"Name": "vmms"},
            {"AffectedConfiguration": settings, "ResourceSettings": (resource,), "Comment": None},
            outputs={"Count": "uint16", "Resulting": "reference[]"},
        )
        assert answer.properties == {"ReturnValue": 0, "Count": 2, "Resulting": ()}
        received = cim_xml.decode(sent(windows), {"ResourceSettings": "string[]"})
        assert received.reference("AffectedConfiguration") == settings
        assert parse_embedded(received.texts("ResourceSettings")[0]).text("AddressOnParent") == "0"
        assert received.properties["Comment"] is None
        assert b'<w:Selector Name="Name">vmms</w:Selector>' in windows.messages[0]

    def test_of_a_class_has_no_selectors(self, windows: Endpoint, client: CimClient) -> None:
        setting = CimClass("root/Microsoft/Windows/Storage", "MSFT_StorageSetting")
        windows.answer(output(setting.uri, "UpdateHostStorageCache", "<p:ReturnValue>0</p:ReturnValue>"))
        assert client.call(setting, "UpdateHostStorageCache").integer("ReturnValue") == 0
        assert b"SelectorSet" not in windows.messages[0]

    def test_without_a_return_value_has_none(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(output(SERVICE.uri, "X", ""))
        assert client.call(SERVICE, "X", {"Name": "vmms"}).properties == {"ReturnValue": None}

    def test_that_only_reads_is_repeated_when_it_was_lost(self, windows: Endpoint, client: CimClient) -> None:
        windows.answer(Answer(drop=True), output(SERVICE.uri, "X", ""), Answer(drop=True))
        client.call(SERVICE, "X", {"Name": "vmms"}, repeatable=True)
        with pytest.raises(OutcomeUnknown, match="No answer to X Msvm_VirtualSystemManagementService"):
            client.call(SERVICE, "X", {"Name": "vmms"})
        assert windows.actions == ["X", "X", "X"]


def test_a_reference_is_followed(windows: Endpoint, client: CimClient) -> None:
    windows.answer(message(instance(DISK.uri, {"Number": "3"})))
    assert client.follow(Reference(DISK.uri, {"ObjectId": "a"}), {"Number": "uint32"}).integer("Number") == 3


def test_a_value_that_is_not_of_its_type_names_the_property(windows: Endpoint, client: CimClient) -> None:
    windows.answer(message(instance(DISK.uri, {"Number": "many"})))
    with pytest.raises(RemoteError, match=r"MSFT_Disk\.Number cannot be read"):
        client.get(DISK, {"ObjectId": "a"})
