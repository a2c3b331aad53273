# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The array refuses what ONTAP refuses, and answers queries as ONTAP answers them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import world
from tests.lab.ontap import names
from tests.lab.ontap.api import Answer, Api, parse_request
from tests.lab.ontap.errors import Code, OntapError
from tests.lab.ontap.jobs import Jobs
from tests.lab.ontap.query import Filter
from tests.lab.ontap.state import Array
from tests.lab.world import naa_of

GIB = 1024**3
LUNS, IGROUPS, MAPS = "/api/storage/luns", "/api/protocols/san/igroups", "/api/protocols/san/lun-maps"
IQN = "iqn.1998-01.com.example:host1"
WWPN = "10:00:00:00:c9:00:00:01"
LUN = {"svm.name": "svm_san", "name": "/vol/vol_prod/new", "os_type": "vmware", "space": {"size": GIB}}
IGROUP = {"svm": {"name": "svm_san"}, "name": "group", "os_type": "vmware", "initiators": [{"name": IQN}]}


class Client:
    """Calls the interface without a socket between."""

    def __init__(self) -> None:
        self.array = Array(world.build()["array"])
        self._api = Api(self.array, Jobs())

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, action: Mapping[str, Any] | None = None
    ) -> Answer:
        raw = b"" if body is None else json.dumps(body).encode()
        try:
            request = parse_request(method, path, headers or {}, raw)
        except OntapError as error:
            return Answer(error.status, error.body())
        return self._api.answer(request, action or {})

    def get(self, path: str, **headers: str) -> dict[str, Any]:
        answer = self.call("GET", path, headers=headers)
        assert answer.status == 200, answer.body
        return answer.body

    def records(self, path: str) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = self.get(path)["records"]
        return records

    def create(self, path: str, body: Any) -> dict[str, Any]:
        answer = self.call("POST", f"{path}?return_records=true", body)
        assert answer.status == 201, answer.body
        record: dict[str, Any] = answer.body["records"][0]
        return record

    def refusal(self, method: str, path: str, body: Any = None) -> int:
        before = self.array.canonical()
        answer = self.call(method, path, body)
        assert answer.status >= 400, answer.body
        assert self.array.canonical() == before, "a refused request changed something"
        return int(answer.body["error"]["code"])


@pytest.fixture
def client() -> Client:
    return Client()


def lun_uuid(client: Client, path: str) -> str:
    return str(client.records(f"{LUNS}?name={quote(path)}")[0]["uuid"])


def igroup_uuid(client: Client, name: str) -> str:
    return str(client.records(f"{IGROUPS}?name={name}")[0]["uuid"])


# --- LUNs


def test_a_created_lun_has_a_serial_of_its_own_and_the_size_asked_for(client: Client) -> None:
    record = client.create(LUNS, LUN)
    assert record["space"]["size"] == GIB
    assert len(record["serial_number"]) == 12
    assert client.get(f"{LUNS}/{record['uuid']}?fields=serial_number")["serial_number"] == record["serial_number"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"svm.name": "svm_none"}, Code.SVM_NOT_FOUND),
        ({"svm.name": None}, Code.SVM_MISSING),
        ({"svm.uuid": world.identity("svm", "svm_dr")}, Code.SVM_MISMATCH),
        ({"name": "/vol/vol_none/new"}, Code.VOLUME_NOT_FOUND),
        ({"name": "/vol/vol_prod/ds_single"}, Code.LUN_EXISTS),
        ({"name": "/vol/svm_san_root/new"}, Code.LUN_ON_ROOT_VOLUME),
        ({"name": "/vol/vol_prod/qtree/new"}, Code.QTREE_NOT_FOUND),
        ({"name": "/data/new"}, Code.LUN_NAME_INVALID),
        ({"name": "/vol/vol_prod/a b"}, Code.LUN_NAME_CHARACTERS),
        ({"name": "new"}, Code.LUN_VOLUME_MISSING),
        ({"location.volume.name": "vol_dev"}, Code.LUN_VOLUME_MISMATCH),
        ({"os_type": None}, Code.LUN_PROPERTY_MISSING),
        ({"os_type": "beos"}, Code.INVALID_VALUE),
        ({"space": {}}, Code.FIELD_NOT_SETTABLE),
        ({"space": {"size": 100}}, Code.SIZE_TOO_SMALL),
        ({"space": {"size": "129TB"}}, Code.SIZE_TOO_LARGE),
        ({"space": {"size": -1}}, Code.SIZE_NEGATIVE),
        ({"space": {"size": "10QB"}}, Code.SIZE_UNITS_INVALID),
        ({"space": {"size": "much"}}, Code.SIZE_INVALID),
        ({"space": {"size": "2TB", "guarantee": {"requested": True}}}, Code.NO_SPACE),
        ({"serial_number": "80Lab-aaaaa1"}, Code.FIELD_NOT_SETTABLE),
        ({"colour": "red"}, Code.UNEXPECTED_ARGUMENT),
    ],
)
def test_a_lun_that_cannot_be_is_refused(client: Client, change: dict[str, Any], code: Code) -> None:
    body = {key: value for key, value in {**LUN, **change}.items() if value is not None}
    assert client.refusal("POST", LUNS, body) == code


def test_a_thin_lun_may_be_larger_than_its_volume(client: Client) -> None:
    record = client.create(LUNS, {**LUN, "name": "/vol/vol_small/thin", "space": {"size": "10GB"}})
    assert record["space"]["guarantee"] == {"requested": False, "reserved": False}


def test_thick_luns_share_the_space_of_their_volume(client: Client) -> None:
    thick = {"size": GIB // 2, "guarantee": {"requested": "True"}}
    for name in ("a", "b"):
        client.create(LUNS, {**LUN, "name": f"/vol/vol_small/{name}", "space": thick})
    assert client.refusal("POST", LUNS, {**LUN, "name": "/vol/vol_small/c", "space": thick}) == Code.NO_SPACE
    assert client.records("/api/storage/volumes?name=vol_small&fields=space.available")[0]["space"]["available"] == 0


@pytest.mark.parametrize(("os_type", "unit"), [("vmware", 4096), ("linux", 4096), ("windows_2008", 8225280), ("hyper_v", 8225280)])
def test_sizes_are_rounded_up_to_the_geometry(client: Client, os_type: str, unit: int) -> None:
    size = client.create(LUNS, {**LUN, "os_type": os_type, "space": {"size": 10 * GIB + 1}})["space"]["size"]
    assert size % unit == 0
    assert 0 < size - (10 * GIB + 1) <= unit


def test_a_lun_grows_but_neither_shrinks_nor_stays(client: Client) -> None:
    uuid = client.create(LUNS, LUN)["uuid"]
    assert client.call("PATCH", f"{LUNS}/{uuid}", {"space.size": 2 * GIB}).status == 200
    assert client.get(f"{LUNS}/{uuid}?fields=space.size")["space"]["size"] == 2 * GIB
    assert client.refusal("PATCH", f"{LUNS}/{uuid}", {"space": {"size": 2 * GIB}}) == Code.SAME_SIZE
    assert client.refusal("PATCH", f"{LUNS}/{uuid}", {"space": {"size": GIB}}) == Code.LUN_SHRINK


def test_a_refused_part_of_a_change_keeps_the_rest_from_happening(client: Client) -> None:
    uuid = client.create(LUNS, LUN)["uuid"]
    assert client.refusal("PATCH", f"{LUNS}/{uuid}", {"comment": "new", "space": {"size": GIB // 2}}) == Code.LUN_SHRINK


def test_a_lun_is_renamed_and_moves_to_another_volume(client: Client) -> None:
    uuid = client.create(LUNS, LUN)["uuid"]
    assert client.refusal("PATCH", f"{LUNS}/{uuid}", {"name": "/vol/vol_prod/ds_single"}) == Code.LUN_EXISTS
    assert client.call("PATCH", f"{LUNS}/{uuid}", {"name": "/vol/vol_prod/other"}).status == 200
    assert client.get(f"{LUNS}/{uuid}")["name"] == "/vol/vol_prod/other"
    assert client.call("PATCH", f"{LUNS}/{uuid}", {"name": "/vol/vol_dev/other"}).status == 200
    moved = client.get(f"{LUNS}/{uuid}?fields=name,location.volume.name,movement")
    assert (moved["name"], moved["location"]["volume"]["name"]) == ("/vol/vol_dev/other", "vol_dev")
    assert moved["movement"]["paths"] == {"source": "/vol/vol_prod/other", "destination": "/vol/vol_dev/other"}


def test_a_clone_is_a_new_lun_of_its_sources_size_and_volume(client: Client) -> None:
    source = client.create(LUNS, LUN)
    client.array.write(naa_of(source["serial_number"]), 4096)
    clone = {"svm.name": "svm_san", "name": "/vol/vol_prod/clone", "clone": {"source": {"name": LUN["name"]}}}
    made = client.create(LUNS, clone)
    assert (made["space"]["size"], made["space"]["used"], made["os_type"]) == (GIB, 4096, "vmware")
    assert made["serial_number"] != source["serial_number"]
    assert made["space"]["scsi_thin_provisioning_support_enabled"] is False
    again = {**clone, "name": "/vol/vol_prod/again"}
    assert client.refusal("POST", LUNS, {**again, "os_type": "linux"}) == Code.CLONE_PROPERTY
    assert client.refusal("POST", LUNS, {**again, "space.size": GIB}) == Code.CLONE_PROPERTY
    assert client.refusal("POST", LUNS, {**clone, "name": "/vol/vol_dev/clone"}) == Code.CLONE_ELSEWHERE
    assert client.refusal("POST", LUNS, {**again, "clone.source.name": "/vol/vol_prod/nobody"}) == Code.LUN_TO_CHANGE_NOT_FOUND


def test_a_lun_that_is_overwritten_by_another_stays_itself(client: Client) -> None:
    client.create(LUNS, LUN)
    other = client.create(LUNS, {**LUN, "name": "/vol/vol_prod/other", "space": {"size": 2 * GIB}})
    assert client.call("PATCH", f"{LUNS}/{other['uuid']}", {"clone": {"source": {"name": LUN["name"]}}}).status == 200
    now = client.get(f"{LUNS}/{other['uuid']}")
    assert (now["space"]["size"], now["serial_number"], now["name"]) == (GIB, other["serial_number"], other["name"])


def test_a_change_finds_no_lun_under_another_code_than_a_look(client: Client) -> None:
    assert client.refusal("GET", f"{LUNS}/nobody") == Code.LUN_NOT_FOUND
    assert client.refusal("DELETE", f"{LUNS}/nobody") == client.refusal("PATCH", f"{LUNS}/nobody", {}) == Code.LUN_TO_CHANGE_NOT_FOUND


def test_all_that_a_query_finds_is_changed_or_deleted(client: Client) -> None:
    for name in ("one", "two"):
        client.create(LUNS, {**LUN, "name": f"/vol/vol_prod/q_{name}"})
    assert client.call("PATCH", f"{LUNS}?name=/vol/vol_prod/q_*", {"comment": "x"}).body["num_records"] == 2
    assert len(client.records(f"{LUNS}?comment=x")) == 2
    client.create(IGROUPS, IGROUP)
    client.create(MAPS, mapping("/vol/vol_prod/q_one", "group"))
    assert client.call("DELETE", f"{MAPS}?igroup.name=group").status == 200
    assert client.call("DELETE", f"{LUNS}?name=/vol/vol_prod/q_*&return_timeout=5").status == 200
    assert client.records(f"{LUNS}?name=/vol/vol_prod/q_*") == []
    assert client.refusal("DELETE", f"{LUNS}?name=/vol/vol_prod/q_*") == Code.NO_ENTRY
    assert client.refusal("DELETE", LUNS) == Code.QUERY_MISSING, "not everything there is"
    assert client.refusal("DELETE", f"{IGROUPS}?name=esx_prod") == Code.IGROUP_MAPPED


def test_volumes_are_found_by_what_drivers_ask_for(client: Client) -> None:
    usable = "type=rw&style=flex*&is_svm_root=false&error_state.is_inconsistent=false&state=online"
    query = f"{usable}&aggregates.name=aggr1&snapshot_policy.name=default"
    found = client.records(f"/api/storage/volumes?{query}&fields=name")
    assert {"vol_prod", "vol_dev"} <= {record["name"] for record in found}


def test_a_mapped_lun_is_deleted_only_when_that_is_asked_for(client: Client) -> None:
    uuid = lun_uuid(client, "/vol/vol_prod/ds_single")
    assert client.refusal("DELETE", f"{LUNS}/{uuid}") == Code.LUN_MAPPED
    assert client.call("DELETE", f"{LUNS}/{uuid}?allow_delete_while_mapped=True").status == 200
    assert client.refusal("GET", f"{LUNS}/{uuid}") == Code.LUN_NOT_FOUND
    assert not client.records(f"{MAPS}?lun.uuid={uuid}")


def test_a_lun_may_be_invisible_for_some_reads_and_cannot_be_mapped_meanwhile(client: Client) -> None:
    client.array.hide_next = 2
    client.create(LUNS, LUN)
    body = {"svm.name": "svm_san", "lun.name": LUN["name"], "igroup.name": "esx_prod"}
    assert client.refusal("POST", MAPS, body) == Code.MAP_LUN_NOT_FOUND
    assert [len(client.records(f"{LUNS}?name={LUN['name']}")) for _turn in range(3)] == [0, 0, 1]
    assert client.call("POST", MAPS, body).status == 201


# --- initiator groups


def test_initiator_names_are_kept_in_lower_case_and_found_in_any(client: Client) -> None:
    client.create(IGROUPS, {**IGROUP, "initiators": [{"name": IQN.upper().replace("IQN", "iqn")}]})
    assert client.records(f"{IGROUPS}?initiators.name={IQN.upper()}")[0]["initiators"] == [{"name": IQN}]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("iqn.", Code.IQN_INCOMPLETE),
        ("iqn.98-01.com.example", Code.IQN_DATE_INVALID),
        ("iqn.1998-13.com.example", Code.IQN_DATE_INVALID),
        ("iqn.1998-01", Code.IQN_AUTHORITY_INVALID),
        ("iqn.1998-01.-bad-:x", Code.IQN_AUTHORITY_INVALID),
        ("iqn.1998-01.com.example:a b", Code.ISCSI_NAME_INVALID),
        ("eui.0123", Code.EUI_LENGTH_INVALID),
        ("eui.0123456789abcdeg", Code.EUI_FORMAT_INVALID),
        ("10:00:00:00:c9:00:00", Code.WWPN_INVALID),
        ("10:00:00:00:c9:00:00:01:02", Code.WWPN_INVALID),
        ("10000000c9000001", Code.INITIATOR_UNRECOGNISED),
        ("host1", Code.INITIATOR_UNRECOGNISED),
        (f"iqn.1998-01.com.example:{'x' * 100}", Code.INITIATOR_TOO_LONG),
    ],
)
def test_a_malformed_initiator_is_refused_by_name(client: Client, name: str, code: Code) -> None:
    assert client.refusal("POST", IGROUPS, {**IGROUP, "initiators": [{"name": name}]}) == code


@pytest.mark.parametrize(("protocol", "name", "code"), [("fcp", IQN, Code.WWPN_INVALID), ("iscsi", WWPN, Code.ISCSI_NAME_INVALID)])
def test_an_igroup_takes_initiators_of_its_protocol_only(client: Client, protocol: str, name: str, code: Code) -> None:
    assert client.refusal("POST", IGROUPS, {**IGROUP, "protocol": protocol, "initiators": [{"name": name}]}) == code


def test_one_initiator_cannot_be_in_groups_of_two_operating_systems(client: Client) -> None:
    client.create(IGROUPS, IGROUP)
    assert client.refusal("POST", IGROUPS, {**IGROUP, "name": "other", "os_type": "linux"}) == Code.CREATE_OS_TYPE_CONFLICT
    other = client.create(IGROUPS, {**IGROUP, "name": "other", "os_type": "linux", "initiators": []})["uuid"]
    assert client.refusal("POST", f"{IGROUPS}/{other}/initiators", {"name": IQN}) == Code.ADD_OS_TYPE_CONFLICT
    twin = client.create(IGROUPS, {**IGROUP, "name": "twin"})["uuid"]
    assert client.refusal("PATCH", f"{IGROUPS}/{twin}", {"os_type": "linux"}) == Code.MODIFY_OS_TYPE_CONFLICT


@pytest.mark.parametrize(("name", "code"), [("esx_prod", Code.IGROUP_EXISTS), ("a/b", Code.IGROUP_NAME_INVALID)])
def test_an_igroup_needs_a_free_and_valid_name(client: Client, name: str, code: Code) -> None:
    assert client.refusal("POST", IGROUPS, {**IGROUP, "name": name}) == code


def test_members_come_and_go_by_name(client: Client) -> None:
    members = f"{IGROUPS}/{client.create(IGROUPS, IGROUP)['uuid']}/initiators"
    assert client.call("POST", members, {"records": [{"name": WWPN.upper()}, {"name": "eui.0123456789abcdef"}]}).status == 201
    assert client.refusal("POST", members, {"name": WWPN}) == Code.INITIATOR_MEMBER
    assert client.refusal("POST", members, {}) == Code.INITIATORS_MISSING
    assert client.call("DELETE", f"{members}/{quote(WWPN, safe='')}").status == 200
    assert client.refusal("DELETE", f"{members}/{WWPN}") == Code.INITIATOR_NOT_MEMBER
    assert [record["name"] for record in client.records(members)] == [IQN, "eui.0123456789abcdef"]


def test_a_mapped_igroup_keeps_its_members_and_itself(client: Client) -> None:
    igroup = f"{IGROUPS}/{igroup_uuid(client, 'esx_prod')}"
    member = client.get(igroup)["initiators"][0]["name"]
    assert client.refusal("DELETE", igroup) == Code.IGROUP_MAPPED
    assert client.refusal("DELETE", f"{igroup}/initiators/{member}") == Code.IGROUP_MAPPED
    assert client.call("DELETE", f"{igroup}/initiators/{member}?allow_delete_while_mapped=true").status == 200
    assert client.call("DELETE", f"{igroup}?allow_delete_while_mapped=true").status == 200


# --- maps


def mapping(lun: str, igroup: str, **more: Any) -> dict[str, Any]:
    return {"svm": {"name": "svm_san"}, "lun": {"name": lun}, "igroup": {"name": igroup}, **more}


def test_a_map_takes_the_lowest_number_that_no_initiator_of_the_group_uses(client: Client) -> None:
    member = client.get(f"{IGROUPS}/{igroup_uuid(client, 'esx_prod')}")["initiators"][0]
    client.create(IGROUPS, {**IGROUP, "initiators": [member]})
    client.create(LUNS, LUN)
    assert client.create(MAPS, mapping("/vol/vol_prod/new", "group"))["logical_unit_number"] == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (mapping("/vol/vol_prod/ds_single", "esx_prod"), Code.ALREADY_MAPPED),
        (mapping("/vol/vol_prod/none", "esx_prod"), Code.MAP_LUN_NOT_FOUND),
        (mapping("/vol/vol_dev/spare", "none"), Code.IGROUP_NOT_FOUND),
        (mapping("/vol/vol_dev/spare", "esx_prod", logical_unit_number=0), Code.LUN_ID_IN_GROUP),
        (mapping("/vol/vol_dev/spare", "esx_prod", logical_unit_number=4096), Code.INVALID_VALUE),
        ({"svm.name": "svm_san", "igroup.name": "esx_prod"}, Code.MAP_LUN_MISSING),
        ({"svm.name": "svm_san", "lun.name": "/vol/vol_dev/spare"}, Code.MAP_IGROUP_MISSING),
        ({"svm.name": "svm_dr", "lun.name": "/vol/vol_dr/ds_replica", "igroup.name": "esx_prod"}, Code.IGROUP_NOT_FOUND),
    ],
)
def test_a_map_that_cannot_be_is_refused(client: Client, body: dict[str, Any], code: Code) -> None:
    assert client.refusal("POST", MAPS, body) == code


def test_an_initiator_sees_neither_a_lun_twice_nor_two_luns_under_one_number(client: Client) -> None:
    member = client.get(f"{IGROUPS}/{igroup_uuid(client, 'esx_prod')}")["initiators"][0]
    shared = client.create(IGROUPS, {**IGROUP, "initiators": [member]})["uuid"]
    assert client.refusal("POST", MAPS, mapping("/vol/vol_prod/ds_single", "group")) == Code.MAPPED_TWICE_BY_INITIATOR
    assert client.refusal("POST", MAPS, mapping("/vol/vol_dev/spare", "group", logical_unit_number=0)) == Code.LUN_ID_OF_INITIATOR
    client.create(IGROUPS, {**IGROUP, "name": "lonely"})
    client.create(MAPS, mapping("/vol/vol_dev/spare", "lonely", logical_unit_number=0))
    lonely = igroup_uuid(client, "lonely")
    assert client.refusal("POST", f"{IGROUPS}/{lonely}/initiators", member) == Code.LUN_ID_OF_INITIATOR
    client.create(MAPS, mapping("/vol/vol_dev/spare", "group", logical_unit_number=5))
    assert client.call("DELETE", f"{MAPS}/{lun_uuid(client, '/vol/vol_dev/spare')}/{lonely}").status == 200
    assert client.refusal("DELETE", f"{MAPS}/{lun_uuid(client, '/vol/vol_dev/spare')}/{lonely}") == Code.MAP_NOT_FOUND
    assert client.refusal("DELETE", f"{MAPS}/{lun_uuid(client, '/vol/vol_dev/spare')}/none") == Code.IGROUP_OF_MAP_NOT_FOUND
    assert client.get(f"{IGROUPS}/{shared}?fields=lun_maps")["lun_maps"][0]["logical_unit_number"] == 5


def test_joining_a_group_must_not_show_a_lun_twice(client: Client) -> None:
    member = client.get(f"{IGROUPS}/{igroup_uuid(client, 'esx_prod')}")["initiators"][0]
    lonely = client.create(IGROUPS, {**IGROUP, "name": "lonely"})["uuid"]
    client.create(MAPS, mapping("/vol/vol_prod/ds_single", "lonely", logical_unit_number=77))
    assert client.refusal("POST", f"{IGROUPS}/{lonely}/initiators", member) == Code.MAPPED_TWICE_BY_INITIATOR


# --- what hosts see


def test_hosts_see_the_luns_of_their_groups_whatever_the_case_of_their_name(client: Client) -> None:
    host = next(host for cluster in world.build()["vcenter"]["clusters"] for host in cluster["hosts"] if host["name"] == "esx02.lab")
    iqn, wwpn = host["hbas"][-1]["iqn"], host["hbas"][1]["wwpn"]
    rows = client.array.presented([iqn, wwpn, "iqn.1998-01.com.example:stranger"])
    assert [(row["initiator"], row["lun"]) for row in rows] == [(name, number) for name in (iqn, wwpn) for number in (0, 1, 2, 10)]
    assert rows[0]["naa"] == world.naa_at("/vol/vol_prod/ds_single")
    assert {port["kind"] for port in rows[0]["ports"]} == {"iscsi"}
    assert [port["wwpn"] for port in rows[-1]["ports"]] == ["20:01:00:a0:98:c0:ff:e1", "20:02:00:a0:98:c0:ff:e2"]


def switch(client: Client, path: str, query: str, body: dict[str, Any]) -> None:
    for record in client.records(f"/api/{path}?{query}&fields=*"):
        answer = client.call("PATCH", f"/api/{path}/{record.get('uuid') or record['svm']['uuid']}", body)
        assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    ("path", "query", "down", "up", "gone"),
    [
        ("storage/volumes", "name=vol_prod", {"state": "offline"}, {"state": "online"}, {"iscsi", "fc"}),
        ("storage/volumes", "name=vol_prod", {"state": "restricted"}, {"state": "online"}, {"iscsi", "fc"}),
        ("svm/svms", "name=svm_san", {"state": "stopped"}, {"state": "running"}, {"iscsi", "fc"}),
        ("protocols/san/iscsi/services", "svm.name=svm_san", {"enabled": False}, {"enabled": True}, {"iscsi"}),
        ("network/ip/interfaces", "services=data_iscsi&svm.name=svm_san", {"enabled": False}, {"enabled": True}, {"iscsi"}),
        ("network/fc/interfaces", "svm.name=svm_san", {"enabled": False}, {"enabled": True}, {"fc"}),
    ],
)
def test_hosts_do_not_see_what_is_out_of_service(
    client: Client, path: str, query: str, down: dict[str, Any], up: dict[str, Any], gone: set[str]
) -> None:
    host = next(host for cluster in world.build()["vcenter"]["clusters"] for host in cluster["hosts"] if host["name"] == "esx02.lab")
    names = [host["hbas"][-1]["iqn"], host["hbas"][1]["wwpn"]]
    before = client.array.presented(names)
    switch(client, path, query, down)
    assert {port["kind"] for row in client.array.presented(names) for port in row["ports"]} == {"iscsi", "fc"} - gone
    switch(client, path, query, up)
    assert client.array.presented(names) == before


def test_a_volume_that_is_not_online_takes_no_lun_and_keeps_its_own_from_everybody(client: Client) -> None:
    switch(client, "storage/volumes", "name=vol_prod", {"state": "offline"})
    assert client.refusal("POST", LUNS, LUN) == Code.VOLUME_NOT_ONLINE
    (record,) = client.records(f"{LUNS}?name=/vol/vol_prod/ds_single&fields=status")
    assert (record["status"]["state"], record["status"]["container_state"]) == ("offline", "volume_offline")
    lun = f"{LUNS}/{lun_uuid(client, '/vol/vol_prod/ds_single')}"
    assert client.refusal("PATCH", lun, {"comment": "x"}) == client.refusal("DELETE", lun) == Code.VOLUME_NOT_ONLINE


# --- the query language


@pytest.mark.parametrize(
    ("values", "expression", "expected"),
    [
        (["abc"], "abc", True),
        (["abc"], "a*", True),
        (["abc"], "x|abc", True),
        (["abc"], "!abc", False),
        (["abc"], "!x*|y", True),
        (["abc"], "ABC", False),
        ([], "null", True),
        ([], "!null", False),
        ([5], ">4", True),
        ([5], "<5", False),
        ([5], "<=5", True),
        ([5], "1..5", True),
        ([5], "6..9", False),
        ([GIB], "1GB", True),
        ([True], "True", True),
        ([1, 2, 3], "2", True),
        (["<12>"], "<12>", True),
        ([5], "1|5", True),
        ([5], "5|none", True),
        ([False], "true|false", True),
        (["null"], "null", False),
        ([], "a|null", True),
        (["ab", "c"], "x*|*b", True),
        (["a.c"], "abc|a.d*", False),
    ],
)
def test_filters(values: list[Any], expression: str, expected: bool) -> None:
    assert Filter(expression).passes(values) is expected


def test_a_number_is_compared_with_numbers_only_and_names_may_differ_in_case() -> None:
    with pytest.raises(OntapError):
        Filter("none").passes([5])
    assert Filter("IQN.1998*|other", ignore_case=True).passes(["iqn.1998-01.com.vmware:a"])
    assert Filter("Other", ignore_case=True).passes(["OTHER"])


@given(st.text(st.sampled_from(world.SERIAL_ALPHABET), min_size=12, max_size=12))
def test_every_serial_but_a_negated_one_finds_itself(serial: str) -> None:
    assert Filter(serial).passes([serial])


@given(st.integers(names.MIN_LUN_SIZE, names.MAX_LUN_SIZE), st.sampled_from(names.LUN_OS_TYPES))
def test_rounding_never_loses_a_byte_and_is_done_once(size: int, os_type: str) -> None:
    rounded = names.lun_size(size, os_type)
    assert size <= rounded < size + names.CYLINDER
    assert rounded > names.MAX_LUN_SIZE or names.lun_size(rounded, os_type) == rounded


def test_luns_are_found_by_several_serials_at_once(client: Client) -> None:
    serials = [world.serial_of(path) for path in ("/vol/vol_prod/ds_single", "/vol/vol_dev/spare")]
    found = client.records(f"{LUNS}?serial_number={quote('|'.join(serials), safe='')}")
    assert sorted(record["serial_number"] for record in found) == sorted(serials)


def test_a_filtered_field_is_returned_too(client: Client) -> None:
    assert client.records(f"{LUNS}?space.size=>1GB&max_records=1")[0]["space"] == {"size": 200 * GIB}


def test_expensive_fields_come_only_when_named(client: Client) -> None:
    path = f"{LUNS}?name=/vol/vol_prod/ds_single&fields="
    assert "lun_maps" not in client.records(f"{path}*")[0]
    assert client.records(f"{path}lun_maps")[0]["lun_maps"][0]["igroup"]["name"] == "esx_prod"
    assert "lun_maps" in client.records(f"{path}**")[0]
    assert set(client.records(path)[0]) - {"_links"} == {"uuid", "name", "svm"}


def test_pages_follow_each_other_without_loss(client: Client) -> None:
    seen: list[str] = []
    href: str | None = f"{LUNS}?max_records=3&fields=name"
    while href:
        page = client.get(href)
        assert len(page["records"]) <= 3
        seen += [record["name"] for record in page["records"]]
        href = page["_links"].get("next", {}).get("href")
    assert sorted(seen) == sorted(record["name"] for record in client.records(LUNS))
    assert len(seen) == sum(len(volume["luns"]) for svm in world.build()["array"]["svms"] for volume in svm["volumes"])


def test_order(client: Client) -> None:
    named = [record["name"] for record in client.records("/api/storage/volumes?order_by=name desc")]
    assert named == sorted(named, reverse=True)


def test_an_unknown_svm_finds_nothing(client: Client) -> None:
    assert client.get(f"{LUNS}?svm.name=none") == {"records": [], "num_records": 0, "_links": {"self": {"href": f"{LUNS}?svm.name=none"}}}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/nothing/here", Code.API_NOT_FOUND),
        (f"{LUNS}?colour=red", Code.UNEXPECTED_ARGUMENT),
        (f"{LUNS}?fields=colour", Code.INVALID_VALUE),
        (f"{LUNS}?max_records=none", Code.INVALID_VALUE),
        (f"{LUNS}?order_by=colour", Code.INVALID_VALUE),
        (f"{LUNS}?name=a&name=b", 262188),
        (f"{LUNS}/none", Code.LUN_NOT_FOUND),
        (f"{IGROUPS}/none", Code.IGROUP_NOT_FOUND),
        (f"{MAPS}/none/none", Code.LUN_NOT_FOUND),
        ("/api/svm/svms/none", Code.NO_ENTRY),
        ("/api/protocols/san/iscsi/services/none", Code.ISCSI_SERVICE_NOT_FOUND),
    ],
)
def test_what_does_not_exist_cannot_be_read(client: Client, path: str, code: int) -> None:
    assert client.refusal("GET", path) == code


@pytest.mark.parametrize(("method", "path"), [("PUT", LUNS), ("POST", "/api/svm/svms"), ("PATCH", MAPS)])
def test_a_method_that_a_resource_lacks_is_not_allowed(client: Client, method: str, path: str) -> None:
    assert client.call(method, path, {}).status == 405


def test_a_body_must_be_an_object(client: Client) -> None:
    assert client.refusal("POST", LUNS, [1, 2]) == Code.INVALID_JSON


def test_the_tunnel_header_stands_for_the_svm(client: Client) -> None:
    tunnel = {"X-Dot-SVM-Name": "svm_dr"}
    assert [record["name"] for record in client.get(LUNS, **tunnel)["records"]] == ["/vol/vol_dr/ds_replica"]
    body = {"name": "/vol/vol_dr/new", "os_type": "linux", "space.size": GIB}
    assert client.call("POST", LUNS, body, tunnel).status == 201
    assert client.call("POST", LUNS, {**body, "name": "/vol/vol_dr/named", "svm": {"name": "svm_dr"}}, tunnel).status == 201
    other = client.call("POST", LUNS, {**body, "svm": {"name": "svm_san"}}, tunnel)
    assert int(other.body["error"]["code"]) == Code.SVM_MISMATCH


def test_the_tunnel_header_says_nothing_that_a_resource_of_an_svms_object_does_not_take(client: Client) -> None:
    tunnel = {"X-Dot-SVM-Name": "svm_san"}
    client.create(IGROUPS, {**IGROUP, "initiators": []})
    members = f"{IGROUPS}/{igroup_uuid(client, 'group')}/initiators"
    assert client.call("POST", members, {"name": IQN}, tunnel).status == 201
    volume = client.records("/api/storage/volumes?name=vol_prod")[0]["uuid"]
    assert client.call("POST", f"/api/storage/volumes/{volume}/snapshots", {"name": "tunnelled"}, tunnel).status == 201


def test_links_are_left_out_for_plain_json(client: Client) -> None:
    assert "_links" in client.get(LUNS)["records"][0]
    assert "_links" not in client.get(LUNS, Accept="application/json")["records"][0]


# --- jobs


def finished(client: Client, href: str) -> dict[str, Any]:
    for _turn in range(1000):
        job = client.get(href)
        if job["state"] != "running":
            return job
    pytest.fail("the job never ends")


def test_a_slow_change_is_a_job_that_acts_at_its_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[threading.Timer] = []

    def hold(timer: threading.Timer) -> None:
        held.append(timer)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Timer, "start", hold)
        answer = client.call("POST", LUNS, LUN, action={"job": True, "seconds": 0.05})
    assert answer.status == 202
    assert client.records(f"{LUNS}?name={LUN['name']}") == []
    held[0].run()
    answer_again = client.call(
        "POST", f"{LUNS}?return_timeout=15", {**LUN, "name": "/vol/vol_prod/second"}, action={"job": True, "seconds": 0.05}
    )
    assert answer_again.status == 201
    assert finished(client, answer.body["job"]["_links"]["self"]["href"])["state"] == "success"
    assert len(client.records(f"{LUNS}?name={LUN['name']}")) == 1


def test_a_failed_job_tells_its_code_as_a_number_and_leaves_nothing(client: Client) -> None:
    before = client.array.canonical()
    action = {"job_error": {"code": 5374863, "message": "incomplete"}, "seconds": 0}
    client.call("POST", f"{LUNS}?return_timeout=0", LUN, action=action)
    answer = client.call("POST", f"{LUNS}?return_timeout=15", LUN, action=action)
    assert answer.body["error"]["code"] == "5374863"
    job = client.records("/api/cluster/jobs?state=failure&fields=*")[0]
    assert (job["code"], job["message"]) == (5374863, "incomplete")
    assert client.array.canonical() == before


# --- what hosts write


def test_a_new_lun_is_empty_until_a_host_writes_to_it(client: Client) -> None:
    lun = client.create(LUNS, LUN)
    naa = naa_of(client.get(f"{LUNS}/{lun['uuid']}?fields=serial_number")["serial_number"])
    assert client.get(f"{LUNS}/{lun['uuid']}?fields=space.used")["space"]["used"] == 0
    client.array.write(naa, 4096)
    client.array.write(naa.upper(), 4096)
    assert client.get(f"{LUNS}/{lun['uuid']}?fields=space.used")["space"]["used"] == 8192
    client.array.write(naa, 1 << 60)
    space = client.get(f"{LUNS}/{lun['uuid']}?fields=space.used,space.size")["space"]
    assert space["used"] == space["size"]


# --- snapshots

VOLUMES = "/api/storage/volumes"
GROUPS = "/api/application/consistency-groups"
FUTURE, PAST = "2090-01-01T00:00:00+00:00", "2001-01-01T00:00:00+00:00"


def snapshots_of(client: Client, volume: str = "vol_prod") -> str:
    return f"{VOLUMES}/{client.records(f'{VOLUMES}?name={volume}')[0]['uuid']}/snapshots"


def test_snapshots_have_unique_names_within_their_volume(client: Client) -> None:
    path = snapshots_of(client)
    uuid = client.create(path, {"name": "before"})["uuid"]
    assert client.refusal("POST", path, {"name": "before"}) == Code.SNAPSHOT_EXISTS
    assert client.call("DELETE", f"{path}/{uuid}").status == 200
    assert client.records(path) == []


def test_a_snapshot_tells_what_it_was_given_and_takes_other_words(client: Client) -> None:
    path = snapshots_of(client)
    given = {"name": "s1", "comment": "mine", "expiry_time": FUTURE, "snapmirror_label": "daily"}
    uuid = client.create(path, given)["uuid"]
    assert {name: client.get(f"{path}/{uuid}?fields=*")[name] for name in given} == given
    changed = {"name": "s2", "comment": "yours", "expiry_time": "2091-01-01T00:00:00Z", "snapmirror_label": "weekly"}
    assert client.call("PATCH", f"{path}/{uuid}", changed).status == 200
    assert {name: client.get(f"{path}/{uuid}?fields=*")[name] for name in given} == changed


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, Code.SNAPSHOT_NAME),
        ({"name": "a/b"}, Code.SNAPSHOT_NAME),
        ({"name": "x" * 256}, Code.SNAPSHOT_NAME),
        ({"name": "s", "expiry_time": PAST}, Code.INVALID_VALUE),
        ({"name": "s", "expiry_time": "soon"}, Code.INVALID_VALUE),
        ({"name": "s", "snapmirror_label": "x" * 32}, Code.INVALID_VALUE),
        ({"name": "s", "owners": ["me"]}, Code.FIELD_NOT_SETTABLE),
    ],
)
def test_a_snapshot_that_cannot_be_is_refused(client: Client, body: dict[str, Any], code: Code) -> None:
    assert client.refusal("POST", snapshots_of(client), body) == code


def test_a_snapshot_that_is_needed_or_kept_is_not_deleted(client: Client) -> None:
    path = snapshots_of(client)
    kept = client.create(path, {"name": "kept", "expiry_time": FUTURE})["uuid"]
    owned = client.create(path, {"name": "owned"})["uuid"]
    client.array.own_snapshot("vol_prod", "owned", "volume_clone")
    assert client.refusal("DELETE", f"{path}/{kept}") == Code.SNAPSHOT_LOCKED
    assert client.refusal("DELETE", f"{path}/{owned}") == Code.SNAPSHOT_OWNED
    assert client.refusal("DELETE", f"{path}/none") == Code.NO_SNAPSHOT
    client.array.own_snapshot("vol_prod", "owned", "")
    assert client.call("DELETE", f"{path}/{owned}").status == 200


def test_a_volume_that_is_offline_has_no_snapshot_taken(client: Client) -> None:
    client.array.svms[0].volumes[1].state = "offline"
    assert client.refusal("POST", snapshots_of(client), {"name": "s"}) == Code.VOLUME_NOT_ONLINE


def test_a_lun_of_a_snapshot_becomes_another_lun_of_then(client: Client) -> None:
    record = client.create(LUNS, LUN)
    client.array.write(world.naa_of(record["serial_number"]), 4096)
    client.create(snapshots_of(client), {"name": "s1"})
    client.call("PATCH", f"{LUNS}/{record['uuid']}", {"space": {"size": 2 * GIB}})
    clone = client.create(
        LUNS, {"svm.name": "svm_san", "name": "/vol/vol_prod/then", "clone.source.name": "/vol/vol_prod/.snapshot/s1/new"}
    )
    told = client.get(f"{LUNS}/{clone['uuid']}?fields=space,os_type,serial_number")
    assert (told["space"]["size"], told["space"]["used"], told["os_type"]) == (GIB, 4096, LUN["os_type"])
    assert told["serial_number"] != record["serial_number"]


def test_a_lun_gets_the_data_size_and_comment_of_a_snapshot_and_keeps_the_rest(client: Client) -> None:
    record = client.create(LUNS, {**LUN, "comment": "then"})
    client.create(snapshots_of(client), {"name": "s1"})
    path = f"{LUNS}/{record['uuid']}"
    client.call("PATCH", path, {"space": {"size": 2 * GIB}, "comment": "now"})
    client.array.copies.clear()
    assert client.call("PATCH", path, {"clone.source.name": "/vol/vol_prod/.snapshot/s1/new"}).status == 200
    told = client.get(f"{path}?fields=space,serial_number,comment,name")
    assert (told["space"]["size"], told["serial_number"], told["comment"]) == (GIB, record["serial_number"], "then")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("/vol/vol_prod/.snapshot/none/ds_single", Code.LUN_TO_CHANGE_NOT_FOUND),
        ("/vol/vol_prod/.snapshot/s1/none", Code.LUN_TO_CHANGE_NOT_FOUND),
        ("/vol/vol_dev/.snapshot/s1/ds_dev", Code.CLONE_ELSEWHERE),
        ("/vol/vol_none/.snapshot/s1/ds_dev", Code.VOLUME_NOT_FOUND),
    ],
)
def test_what_no_snapshot_of_the_volume_holds_is_no_source(client: Client, source: str, code: Code) -> None:
    client.create(snapshots_of(client), {"name": "s1"})
    client.create(snapshots_of(client, "vol_dev"), {"name": "s1"})
    body = {"svm.name": "svm_san", "name": "/vol/vol_prod/then", "clone.source.name": source}
    assert client.refusal("POST", LUNS, body) == code


def group_of(client: Client, *volumes: str, name: str = "app") -> dict[str, Any]:
    rows = [{"name": volume, "provisioning_options": {"action": "add"}} for volume in volumes]
    return client.create(GROUPS, {"svm.name": "svm_san", "name": name, "volumes": rows})


def test_a_group_takes_snapshots_of_all_its_volumes_or_of_none(client: Client) -> None:
    taken = f"{GROUPS}/{group_of(client, 'vol_prod', 'vol_dev')['uuid']}/snapshots"
    client.create(taken, {"name": "s1", "comment": "both"})
    one, other = (client.get(f"{snapshots_of(client, name)}?fields=*")["records"][0] for name in ("vol_prod", "vol_dev"))
    assert one["create_time"] == other["create_time"]
    assert "comment" not in one
    client.create(snapshots_of(client, "vol_dev"), {"name": "s2"})
    assert client.refusal("POST", taken, {"name": "s2"}) == Code.SNAPSHOT_EXISTS


def test_a_volume_is_in_one_group(client: Client) -> None:
    group_of(client, "vol_prod", "vol_dev")
    body = {"svm.name": "svm_san", "name": "other", "volumes": [{"name": "vol_dev", "provisioning_options": {"action": "add"}}]}
    assert client.refusal("POST", GROUPS, body) == Code.IN_ANOTHER_GROUP
    assert client.refusal("POST", GROUPS, {**body, "name": "app"}) == Code.GROUP_EXISTS


def test_a_group_goes_and_its_snapshots_stay_with_their_volumes(client: Client) -> None:
    path = f"{GROUPS}/{group_of(client, 'vol_prod', 'vol_dev')['uuid']}"
    client.create(f"{path}/snapshots", {"name": "s1"})
    assert client.call("DELETE", path).status == 200
    assert client.refusal("GET", path) == Code.NO_GROUP
    assert [row["name"] for row in client.records(snapshots_of(client, "vol_dev"))] == ["s1"]


def test_a_snapshot_of_a_group_that_lost_a_part_is_partial_and_goes_as_a_whole(client: Client) -> None:
    path = f"{GROUPS}/{group_of(client, 'vol_prod', 'vol_dev')['uuid']}/snapshots"
    uuid = client.create(path, {"name": "s1"})["uuid"]
    part = client.records(snapshots_of(client, "vol_dev"))[0]["uuid"]
    client.call("DELETE", f"{snapshots_of(client, 'vol_dev')}/{part}")
    assert client.get(f"{path}/{uuid}?fields=is_partial")["is_partial"] is True
    assert client.call("DELETE", f"{path}/{uuid}").status == 200
    assert client.records(snapshots_of(client)) == []


@pytest.mark.parametrize(
    ("release", "told"),
    [
        ("9.11.1", {"name", "uuid"}),
        ("9.13.1", {"name", "uuid"}),
        ("9.16.1", {"name", "uuid", "os_type", "protocol", "initiators"}),
        ("9.18.1", {"name", "uuid", "os_type", "protocol", "initiators"}),
    ],
)
def test_each_release_tells_of_a_luns_groups_what_it_knows(client: Client, release: str, told: set[str]) -> None:
    client.array.become(release)
    (record,) = client.records("/api/storage/luns?name=/vol/vol_prod/ds_single&fields=lun_maps")
    assert {name for row in record["lun_maps"] for name in row["igroup"] if name != "_links"} == told


@pytest.mark.parametrize(
    ("path", "field", "first"),
    [
        (LUNS, "lun_maps.igroup.initiators", "9.16.1"),
        (LUNS, "serial_number_hex", "9.17.1"),
        ("/api/cluster", "disaggregated", "9.16.1"),
        ("/api/protocols/san/igroups", "connectivity_tracking", "9.12.1"),
    ],
)
def test_a_field_is_unknown_before_the_release_that_brought_it(client: Client, path: str, field: str, first: str) -> None:
    generation, major, minor = first.split(".")
    client.array.become(f"{generation}.{int(major) - 1}.{minor}")
    assert client.refusal("GET", f"{path}?fields={field}") == Code.INVALID_VALUE
    client.array.become(first)
    assert client.call("GET", f"{path}?fields={field}").status == 200


def test_only_a_release_is_played(client: Client) -> None:
    for text in ("9", "9.x.1", ""):
        with pytest.raises(ValueError, match="is no release of ONTAP such as"):
            client.array.become(text)


def nested(client: Client) -> str:
    for name, initiator in (("child_a", IQN), ("child_b", WWPN)):
        client.create(IGROUPS, {"svm.name": "svm_san", "os_type": "linux", "name": name, "initiators": [{"name": initiator}]})
    groups = {"igroups": [{"name": "child_a"}, {"name": "child_b"}]}
    return str(client.create(IGROUPS, {"svm.name": "svm_san", "os_type": "linux", "name": "parent", **groups})["uuid"])


def test_a_group_of_groups_tells_everybody_in_them_but_its_luns_do_not(client: Client) -> None:
    nested(client)
    client.create(LUNS, {"svm.name": "svm_san", "name": "/vol/vol_prod/n", "os_type": "linux", "space.size": GIB})
    client.create(MAPS, mapping("/vol/vol_prod/n", "parent"))
    (parent,) = client.records(f"{IGROUPS}?name=parent&fields=initiators,igroups")
    assert [row["name"] for row in parent["initiators"]] == [IQN, WWPN]
    (lun,) = client.records("/api/storage/luns?name=/vol/vol_prod/n&fields=lun_maps")
    assert "initiators" not in lun["lun_maps"][0]["igroup"]
    assert [row["name"] for row in lun["lun_maps"][0]["igroup"]["igroups"]] == ["child_a", "child_b"]
    assert [row["naa"] for row in client.array.presented([IQN])] == [row["naa"] for row in client.array.presented([WWPN])] != []


def test_a_group_holds_initiators_or_groups_and_never_itself(client: Client) -> None:
    parent = nested(client)
    groups = f"{IGROUPS}/{parent}/igroups"
    assert client.refusal("POST", f"{IGROUPS}/{parent}/initiators", {"name": "iqn.2001-04.com.x:y"}) == Code.INITIATORS_AND_IGROUPS
    child = igroup_uuid(client, "child_a")
    assert client.refusal("POST", f"{IGROUPS}/{child}/igroups", {"name": "child_b"}) == Code.INITIATORS_AND_IGROUPS
    assert client.refusal("POST", groups, {"name": "parent"}) == Code.DUPLICATE
    assert client.call("DELETE", f"{groups}/{child}").status == 200
    assert [row["name"] for row in client.records(groups)] == ["child_b"]
    assert client.refusal("DELETE", f"{groups}/{child}") == Code.NO_ENTRY
    assert client.call("POST", groups, {"name": "child_a"}).status == 201


FORM = {"accept": "multipart/form-data"}


def test_a_luns_data_comes_as_a_form_of_one_entry(client: Client) -> None:
    uuid = lun_uuid(client, "/vol/vol_prod/ds_single")
    answer = client.call("GET", f"/api/storage/luns/{uuid}?data.offset=4096&data.size=10", headers=FORM)
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "multipart/form-data")
    assert answer.content is not None
    assert answer.content.partition(b"\r\n\r\n")[2].startswith(bytes(10) + b"\r\n--")


def test_without_that_header_there_are_properties_and_no_data(client: Client) -> None:
    uuid = lun_uuid(client, "/vol/vol_prod/ds_single")
    assert client.get(f"/api/storage/luns/{uuid}")["uuid"] == uuid
    assert client.call("GET", f"/api/storage/luns/{uuid}?data.offset=0&data.size=10").content is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("data.offset=0", Code.QUERY_MISSING),
        ("data.size=10", Code.QUERY_MISSING),
        ("data.offset=0&data.size=10&fields=name", Code.UNEXPECTED_ARGUMENT),
        ("data.offset=-1&data.size=10", Code.INVALID_VALUE),
        ("data.offset=0&data.size=0", Code.INVALID_VALUE),
        ("data.offset=0&data.size=1000001", Code.INVALID_VALUE),
        (f"data.offset={1 << 60}&data.size=1", Code.INVALID_VALUE),
    ],
)
def test_data_that_cannot_be_read_is_refused(client: Client, query: str, code: Code) -> None:
    uuid = lun_uuid(client, "/vol/vol_prod/ds_single")
    answer = client.call("GET", f"/api/storage/luns/{uuid}?{query}", headers=FORM)
    assert (int(answer.body["error"]["code"]), answer.content) == (code, None)


def test_a_lun_that_is_not_there_or_offline_has_no_data(client: Client) -> None:
    query = "?data.offset=0&data.size=10"
    assert client.call("GET", f"/api/storage/luns/{'0' * 36}{query}", headers=FORM).status == 404
    uuid = lun_uuid(client, "/vol/vol_prod/ds_single")
    assert client.call("PATCH", f"/api/storage/luns/{uuid}", {"enabled": False}).status == 200
    answer = client.call("GET", f"/api/storage/luns/{uuid}{query}", headers=FORM)
    assert int(answer.body["error"]["code"]) == Code.VOLUME_NOT_ONLINE
