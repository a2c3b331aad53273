# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ZAPI's records as the model's nouns: what an array leaves out is unknown, and never the answer that would suit best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import pytest
from lxml import etree
from netapp_lib.api.zapi.zapi import NaElement

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import Element, Unexpected
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.lookup import ZapiLookup
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal, Target, Volume

T = TypeVar("T")
PLACE = LunAddress("svm1", "v1", "l1")


class Answering:
    """A client that tells of each API the records that it was given, and notes for what it was asked."""

    def __init__(self, **records: Sequence[str]) -> None:
        self._records = {name.replace("_", "-"): rows for name, rows in records.items()}
        self.asked: dict[str, Mapping[str, Sequence[str]]] = {}

    def read(self, api: str, _tag: str, _fields: object, match: Mapping[str, Sequence[str]], parse: Callable[[Element], T]) -> list[T]:
        self.asked[api] = match
        if any(not values for values in match.values()):
            return []
        return [parse(NaElement(etree.fromstring(f"<info>{row}</info>"))) for row in self._records.get(api, ())]


def lookup(**records: Sequence[str]) -> tuple[ZapiLookup, Answering]:
    client = Answering(**records)
    return ZapiLookup(cast(Any, client)), client


def record(**fields: str) -> str:
    known = {
        "uuid": "l-1",
        "path": "/vol/v1/l1",
        "vserver": "svm1",
        "volume": "v1",
        "size": "10",
        "serial-number": "80Lab-aaaaa1",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return "".join(f"<{name}>{value}</{name}>" for name, value in known.items())


def lun(*more: str, **records: Sequence[str]) -> StoredLun:
    found = lookup(lun_get_iter=[record() + "".join(more)], **records)[0].lun_at(PLACE)
    assert found is not None
    return found


def volume(state: str) -> str:
    place = "<name>v1</name><owning-vserver-name>svm1</owning-vserver-name><instance-uuid>v-1</instance-uuid>"
    return f"<volume-id-attributes>{place}</volume-id-attributes><volume-state-attributes>{state}</volume-state-attributes>"


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("<state>nvfail</state><online>true</online>", "nvfail"),
        ("<online>true</online>", "online"),
        ("<online>false</online>", "offline"),
        ("", "unknown"),
    ],
)
def test_the_state_of_a_lun_is_what_is_told_of_it_and_else_whether_it_is_online(told: str, state: str) -> None:
    assert lun(told).lun.state == state


@pytest.mark.parametrize(
    ("told", "state"),
    [("<state>offline</state>", "volume_offline"), ("<state>online</state>", "nvfail"), ("", "nvfail")],
)
def test_a_volume_that_is_not_online_keeps_its_luns_from_everybody(told: str, state: str) -> None:
    assert lun("<state>nvfail</state>", volume_get_iter=[volume(told)]).lun.state == state


@pytest.mark.parametrize(("told", "asked"), [("<mapped>true</mapped>", ["l-1"]), ("<mapped>false</mapped>", []), ("", ["l-1"])])
def test_who_sees_a_lun_is_asked_unless_it_is_known_that_nobody_does(told: str, asked: list[str]) -> None:
    there, client = lookup(lun_get_iter=[record() + told])
    there.lun_at(PLACE)
    assert client.asked["lun-map-get-iter"] == {"lun-uuid": asked}


def mapping(uuid: str, group: str, number: str = "<lun-id>3</lun-id>") -> str:
    named = f"<initiator-group>{group}</initiator-group><initiator-group-uuid>id of {group}</initiator-group-uuid>"
    return f"<lun-uuid>{uuid}</lun-uuid><path>/vol/v1/{uuid}</path>{number}{named}"


def test_a_mapping_does_not_tell_the_initiators() -> None:
    (found,) = lun(lun_map_get_iter=[mapping("l-1", "ig1"), mapping("l-2", "ig2")]).lun.mappings
    assert (found.group, found.group_id, found.lun_id, found.initiators, found.told) == ("ig1", "id of ig1", 3, (), False)


def test_what_a_lun_does_not_tell_of_itself_is_empty() -> None:
    bare = lun()
    assert (bare.comment, bare.lun.read_only, bare.lun.used_bytes, bare.lun.os_type, bare.lun.created) == ("", False, None, "", "")
    told = lun("<comment>ours</comment><read-only>true</read-only><size-used>7</size-used>")
    assert (told.comment, told.lun.read_only, told.lun.used_bytes) == ("ours", True, 7)


def test_a_lun_of_a_snapshot_is_none_and_one_without_a_serial_number_of_ontaps_is_told_of() -> None:
    assert lookup(lun_get_iter=[record(uuid="")])[0].lun_at(PLACE) is None
    with pytest.raises(Unexpected, match="serial-number is 'short'"):
        lookup(lun_get_iter=[record(serial_number="short")])[0].lun_at(PLACE)


def test_the_groups_of_all_svms_are_told_with_theirs_and_with_the_luns_whose_number_is_known() -> None:
    group = "<vserver>{0}</vserver><initiator-group-uuid>id of {1}</initiator-group-uuid><initiator-group-name>{1}</initiator-group-name>"
    maps = [mapping("l-1", "ig1"), mapping("l-2", "ig2"), mapping("l-3", "ig1", "")]
    there, client = lookup(igroup_get_iter=[group.format("svm1", "ig1"), group.format("svm2", "ig2")], lun_map_get_iter=maps)
    assert [(svm, found.name, found.luns) for svm, found in there.groups_by_svm()] == [
        ("svm1", "ig1", {3: "/vol/v1/l-1"}),
        ("svm2", "ig2", {3: "/vol/v1/l-2"}),
    ]
    assert client.asked["lun-map-get-iter"] == {}


def test_names_are_told_for_who_mistyped_one() -> None:
    svm = "<vserver-name>svm1</vserver-name><uuid>s-1</uuid>"
    there, client = lookup(vserver_get_iter=[svm], volume_get_iter=[volume("")], lun_get_iter=["<path>/vol/v1/l1</path>"])
    assert (there.svm_names(), there.volume_names("svm1"), there.lun_paths("svm1", "v1")) == (["svm1"], ["v1"], ["/vol/v1/l1"])
    assert client.asked["lun-get-iter"] == {"vserver": ["svm1"], "volume": ["v1"]}
    assert (there.volume_id("svm1", "v1"), lookup()[0].volume_id("svm1", "v1")) == ("v-1", None)


def test_an_exported_volume_has_the_addresses_of_its_svm() -> None:
    lif = "<vserver>svm1</vserver><address>192.0.2.21</address><data-protocols><data-protocol>nfs</data-protocol></data-protocols>"
    junction = "<junction-path>/v1</junction-path></volume-id-attributes>"
    exported = volume("<state>offline</state>").replace("</volume-id-attributes>", junction)
    there, _client = lookup(net_interface_get_iter=[lif], volume_get_iter=[exported, volume("")])
    assert there.exported_volumes() == [Volume("v-1", "v1", "svm1", "/v1", ("192.0.2.21",), 0, "offline")]


def interface(name: str, enabled: str = "true") -> str:
    told = f"<ip-address>192.0.2.{len(name)}</ip-address><is-interface-enabled>{enabled}</is-interface-enabled>"
    return f"<interface-name>{name}</interface-name>{told}"


def up(name: str, status: str = "<operational-status>up</operational-status>") -> str:
    return f"<interface-name>{name}</interface-name>{status}"


@pytest.mark.parametrize(("told", "enabled"), [("<is-available>true</is-available>", True), ("", False)])
def test_an_iscsi_target_has_the_portals_that_are_enabled_and_up(told: str, enabled: bool) -> None:
    down = "<operational-status>down</operational-status>"
    there, _client = lookup(
        iscsi_service_get_iter=[f"<node-name>iqn.a</node-name>{told}"],
        iscsi_interface_get_iter=[interface("a"), interface("bb", "false"), interface("ccc"), interface("dddd")],
        net_interface_get_iter=[up("a"), up("bb"), up("ccc", down), up("dddd", "")],
    )
    portals = (Portal("192.0.2.1"), Portal("192.0.2.4"))
    assert there.iscsi_targets("svm1") == [Target("iscsi", "iqn.a", portals, enabled)]
    assert lookup()[0].iscsi_targets("svm1") == []


def test_a_port_of_fibre_channel_is_enabled_where_its_interface_is_up() -> None:
    ports = [f"<interface-name>{name}</interface-name><port-name>20:01:00:A0:98:C0:FF:E{name}</port-name>" for name in "12"]
    there, _client = lookup(fcp_interface_get_iter=ports, net_interface_get_iter=[up("1")])
    assert [(target.name, target.enabled) for target in there.fc_targets("svm1")] == [
        ("20:01:00:a0:98:c0:ff:e1", True),
        ("20:01:00:a0:98:c0:ff:e2", False),
    ]
    assert lookup()[0].fc_targets("svm1") == []
