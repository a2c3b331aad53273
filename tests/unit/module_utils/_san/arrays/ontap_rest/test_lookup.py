# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ONTAP's records as the model's nouns. The records are those of the examples in NetApp's reference, cut to the fields asked for."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import getitem
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import tells_initiators, with_initiators
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import Match, OntapClient, Record
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.lookup import RestLookup
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import LunMapping, Portal, Target, Volume
from tests.unit.ontap import Endpoint, address, records

LUN: dict[str, Any] = {
    "uuid": "5a24ae5b-28af-47fb-b129-5adf6cfba0a6",
    "name": "/vol/vol1/qtree1/lun1",
    "svm": {"name": "svm1", "uuid": "6bf967fd-2a1c-11e9-b682-005056bbc17d"},
    "serial_number": "wf0Iq+N4uck3",
    "os_type": "linux",
    "space": {"size": 322163441664, "used": 1073741824},
    "status": {"state": "online", "container_state": "online", "read_only": False},
    "location": {"volume": {"name": "vol1", "uuid": "71cd0dba-2a1c-11e9-b682-005056bbc17d"}},
    "comment": "Data for the finance department.",
    "lun_maps": [
        {
            "logical_unit_number": 0,
            "igroup": {"name": "ig1", "uuid": "ig-1", "initiators": [{"name": "iqn.1998-01.com.Corp.iscsi:Name1", "comment": "x"}]},
        }
    ],
}


@pytest.fixture
def client(array: Endpoint) -> OntapClient:
    return OntapClient(array.connection)


class TestALun:
    def test_is_read_whole(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records(LUN))
        stored = RestLookup(client).lun_of(LUN["uuid"])
        assert stored is not None
        lun = stored.lun
        assert (stored.comment, lun.id, lun.path, lun.svm, lun.volume) == (LUN["comment"], LUN["uuid"], LUN["name"], "svm1", "vol1")
        assert (lun.serial, lun.name.naa) == ("wf0Iq+N4uck3", "600a098077663049712b4e3475636b33")
        assert (lun.size_bytes, lun.used_bytes, lun.os_type, lun.state) == (322163441664, 1073741824, "linux", "online")
        assert lun.mappings == (LunMapping("ig1", "ig-1", 0, ("iqn.1998-01.com.corp.iscsi:name1",)),)
        assert tells_initiators(lun)

    def test_may_lack_what_is_unset(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records({name: value for name, value in LUN.items() if name not in ("comment", "lun_maps", "status")}))
        stored = RestLookup(client).lun_of(LUN["uuid"])
        assert stored is not None
        assert (stored.comment, stored.lun.mappings, stored.lun.state) == ("", (), "unknown")

    @pytest.mark.parametrize(
        ("told", "created"),
        [({"create_time": "2018-06-04T19:00:00+02:00"}, "2018-06-04T17:00:00+00:00"), ({"create_time": None}, ""), ({}, "")],
    )
    def test_was_created_at_a_moment_in_utc_where_the_array_tells_it(
        self, client: OntapClient, array: Endpoint, told: dict[str, Any], created: str
    ) -> None:
        array.answer(records({**LUN, **told}))
        stored = RestLookup(client).lun_of(LUN["uuid"])
        assert stored is not None
        assert stored.lun.created == created

    def test_in_a_group_with_others_nested_in_it_may_be_seen_by_more_than_its_own_initiators(
        self, client: OntapClient, array: Endpoint
    ) -> None:
        (mapping,) = LUN["lun_maps"]
        nested = {**mapping, "igroup": {**mapping["igroup"], "igroups": [{"name": "ig2", "uuid": "ig-2"}]}}
        array.answer(records({**LUN, "lun_maps": [nested]}))
        stored = RestLookup(client).lun_of(LUN["uuid"])
        assert stored is not None
        assert not tells_initiators(stored.lun)

    def test_is_in_a_volume_that_is_known_by_its_uuid(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records(LUN))
        stored = RestLookup(client).lun_of(LUN["uuid"])
        assert stored is not None
        assert stored.volume_id == LUN["location"]["volume"]["uuid"]

    def test_whose_serial_number_is_none_of_ontaps_is_told_of(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records({**LUN, "serial_number": "short"}))
        with pytest.raises(ConnectionFailed, match="serial_number is 'short'"):
            RestLookup(client).lun_of(LUN["uuid"])

    def test_that_was_created_at_no_moment_is_told_of(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records({**LUN, "create_time": "soon"}))
        with pytest.raises(ConnectionFailed, match="create_time is 'soon'"):
            RestLookup(client).lun_of(LUN["uuid"])

    def test_is_of_the_svm_that_has_the_same_uuid_at_every_address(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records(LUN))
        stored = RestLookup(client).lun_of(LUN["uuid"])
        assert stored is not None
        assert stored.lun.svm_id == LUN["svm"]["uuid"]

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            *(({"state": word}, word) for word in ("offline", "nvfail", "space_error", "foreign_lun_error")),
            ({"state": "offline", "container_state": "volume_offline"}, "volume_offline"),
            ({"state": "online", "container_state": "aggregate_offline"}, "aggregate_offline"),
            ({"state": "online", "container_state": "online"}, "online"),
            ({}, "unknown"),
        ],
    )
    def test_is_in_the_state_that_keeps_it_from_its_hosts(
        self, client: OntapClient, array: Endpoint, status: dict[str, str], state: str
    ) -> None:
        array.answer(records({**LUN, "status": status}))
        stored = RestLookup(client).lun_of(LUN["uuid"])
        assert stored is not None
        assert stored.lun.state == state
        assert {"status.state", "status.container_state"} <= set(array.asked[0].query["fields"].split(","))

    @pytest.mark.parametrize(("space", "used"), [({"used": 0}, 0), ({}, None)], ids=["never written", "not told"])
    def test_that_is_empty_is_not_one_of_which_nothing_is_known(
        self, client: OntapClient, array: Endpoint, space: dict[str, int], used: int | None
    ) -> None:
        array.answer(records({**LUN, "space": {"size": 1, **space}}))
        stored = RestLookup(client).lun_of(LUN["uuid"])
        assert stored is not None
        assert stored.lun.used_bytes == used

    def test_is_asked_for_by_svm_and_path(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records())
        assert RestLookup(client).lun_at(address("lun1", "vol1", "svm1")) is None
        assert {name: array.asked[0].query[name] for name in ("svm.name", "name")} == {"svm.name": "svm1", "name": "/vol/vol1/lun1"}

    def test_by_serial_is_no_other_that_a_wildcard_found(self, client: OntapClient, array: Endpoint) -> None:
        serial = "80Lab|a*a!<>"
        array.answer(records({**LUN, "serial_number": serial}, {**LUN, "serial_number": "80Labxaxaxxx"}))
        assert [stored.lun.serial for stored in RestLookup(client).luns_with_serials([serial])] == [serial]
        assert array.asked[0].query["serial_number"] == "80Lab*a*a***"

    def test_of_many_come_two_hundred_to_a_request(self, client: OntapClient, array: Endpoint) -> None:
        serials = [f"80LabSer{number:04}" for number in range(300)]
        array.answer(*[records()] * 2)
        assert RestLookup(client).luns_with_serials(serials) == []
        assert all(len(asked.target) < 4096 for asked in array.asked)

    def test_before_9_16_learns_its_initiators_from_the_groups(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records({**LUN, "lun_maps": [{"logical_unit_number": 0, "igroup": {"name": "ig1", "uuid": "ig-1"}}]}))
        stored = RestLookup(client).lun_of(LUN["uuid"])
        assert stored is not None
        assert not tells_initiators(stored.lun)
        groups = [
            Group("ig-1", "ig1", "linux", "iscsi", frozenset({"iqn.b", "iqn.a"})),
            Group("ig-2", "ig2", "linux", "iscsi", frozenset({"c"})),
        ]
        assert with_initiators(stored.lun, groups).mappings[0].initiators == ("iqn.a", "iqn.b")


def test_an_igroup_is_read_with_members_and_luns(client: OntapClient, array: Endpoint) -> None:
    array.answer(
        records(
            {
                "uuid": "ig-1", "name": "ig1", "svm": {"name": "svm1"}, "os_type": "vmware", "protocol": "mixed", "comment": "ours",
                "initiators": [{"name": "IQN.1998-01.com.vmware:A", "comment": "mark"}, {"name": "20:00:00:50:56:b4:13:a8"}],
                "lun_maps": [{"logical_unit_number": 4, "lun": {"name": "/vol/vol1/lun1", "uuid": "l"}}],
            }
        )
    )  # fmt: skip
    assert RestLookup(client).groups_of("svm1") == [
        Group(
            id="ig-1", name="ig1", os_type="vmware", protocol="mixed", comment="ours", luns={4: "/vol/vol1/lun1"},
            initiators=frozenset({"iqn.1998-01.com.vmware:a", "20:00:00:50:56:b4:13:a8"}),
            remarks={"iqn.1998-01.com.vmware:a": "mark", "20:00:00:50:56:b4:13:a8": ""},
        )
    ]  # fmt: skip


def test_the_igroups_of_all_svms_are_told_with_theirs(client: OntapClient, array: Endpoint) -> None:
    group = {"uuid": "ig-1", "name": "ig1", "svm": {"name": "svm1"}}
    array.answer(records(group, {**group, "uuid": "ig-2", "svm": {"name": "svm2"}}))
    assert [(svm, found.id) for svm, found in RestLookup(client).groups_by_svm()] == [("svm1", "ig-1"), ("svm2", "ig-2")]
    assert array.asked[0].query["fields"].startswith("svm.name,")


def test_an_exported_volume_has_the_addresses_of_its_svm(client: OntapClient, array: Endpoint) -> None:
    lifs = [("svm1", "192.0.2.21"), ("svm2", "192.0.2.31"), ("svm1", "192.0.2.22")]
    array.answer(
        records(*({"svm": {"name": svm}, "ip": {"address": one}, "services": ["data_core", "data_nfs"]} for svm, one in lifs)),
        records(
            {"uuid": "1", "name": "nfs01", "svm": {"name": "svm1"}, "nas": {"path": "/nfs01"}, "space": {"size": 10}, "state": "online"},
            {"uuid": "2", "name": "luns", "svm": {"name": "svm1"}, "space": {"size": 20}},
            {"uuid": "3", "name": "lonely", "svm": {"name": "svm3"}, "nas": {"path": "/lonely"}, "space": {"size": 30}, "state": "offline"},
        ),
    )
    assert RestLookup(client).exported_volumes() == [
        Volume("1", "nfs01", "svm1", "/nfs01", ("192.0.2.21", "192.0.2.22"), 10),
        Volume("3", "lonely", "svm3", "/lonely", (), 30, "offline"),
    ]


class TestTargets:
    def test_of_iscsi_have_the_portals_that_are_up(self, client: OntapClient, array: Endpoint) -> None:
        def lif(address: str, enabled: bool, state: str) -> dict[str, Any]:
            return {
                "svm": {"name": "svm1"}, "services": ["data_iscsi"], "ip": {"address": address}, "enabled": enabled, "state": state
            }  # fmt: skip

        array.answer(
            records({"svm": {"name": "svm1"}, "enabled": True, "target": {"name": "iqn.1992-08.com.netapp:sn.1:vs.3"}}),
            records(lif("192.0.2.11", True, "up"), lif("192.0.2.12", False, "up"), lif("192.0.2.13", True, "down")),
        )
        assert RestLookup(client).iscsi_targets("svm1") == [
            Target("iscsi", "iqn.1992-08.com.netapp:sn.1:vs.3", (Portal("192.0.2.11", 3260),), enabled=True)
        ]

    def test_of_iscsi_are_none_without_the_service(self, client: OntapClient, array: Endpoint) -> None:
        array.answer(records())
        assert RestLookup(client).iscsi_targets("svm1") == []

    def test_of_fibre_channel_are_the_ports_that_serve_scsi(self, client: OntapClient, array: Endpoint) -> None:
        def lif(wwpn: str, state: str, protocol: str) -> dict[str, Any]:
            return {"svm": {"name": "svm1"}, "wwpn": wwpn, "enabled": True, "state": state, "data_protocol": protocol}

        array.answer(
            records(
                lif("20:01:00:A0:98:C0:FF:E1", "up", "fcp"),
                lif("20:02:00:a0:98:c0:ff:e2", "down", "fcp"),
                lif("20:03:00:a0:98:c0:ff:e3", "up", "fc_nvme"),
            )
        )
        assert RestLookup(client).fc_targets("svm1") == [
            Target("fc", "20:01:00:a0:98:c0:ff:e1", (), enabled=True),
            Target("fc", "20:02:00:a0:98:c0:ff:e2", (), enabled=False),
        ]


GROUP: dict[str, Any] = {
    "uuid": "ig-1",
    "name": "ig1",
    "os_type": "vmware",
    "protocol": "mixed",
    "comment": "",
    "initiators": [{"name": "iqn.1998-01.com.vmware:esx01", "comment": "x"}],
    "lun_maps": [{"logical_unit_number": 0, "lun": {"name": "/vol/v/l"}}],
}
VOLUME: dict[str, Any] = {"uuid": "1", "name": "vol1", "svm": {"name": "svm1"}, "nas": {"path": "/vol1"}, "space": {"size": 1}}
INTERFACE: dict[str, Any] = {"svm": {"name": "svm1"}, "ip": {"address": "192.0.2.1"}, "enabled": True, "state": "up"}
SERVICE: dict[str, Any] = {"enabled": True, "target": {"name": "iqn.1992-08.com.netapp:sn.1"}}
PORT: dict[str, Any] = {"wwpn": "20:00:00:00:00:00:00:01", "enabled": True, "state": "up", "data_protocol": "fcp"}
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, 1.5, float("nan"), True, "", "x", "é" * 12, [], [[]], ["x"], [{}], {}, {"name": {}}, {"name": None}]
)
READERS: dict[str, tuple[dict[str, Any], Callable[[OntapClient], object]]] = {
    "LUN": (LUN, lambda client: RestLookup(client).lun_of("1")),
    "group": (GROUP, lambda client: RestLookup(client).groups_of("svm1")),
    "volume": (VOLUME, lambda client: RestLookup(client).exported_volumes()),
    "interface": (INTERFACE, lambda client: RestLookup(client).exported_volumes()),
    "portal": (INTERFACE, lambda client: RestLookup(client).iscsi_targets("svm1")),
    "iSCSI service": (SERVICE, lambda client: RestLookup(client).iscsi_targets("svm1")),
    "FC port": (PORT, lambda client: RestLookup(client).fc_targets("svm1")),
}


_SENTENCE = re.compile(
    r"The endpoint array\.example:443 does not answer as ONTAP \(GET /api/\S+ gave a record [^()]+\): check array\.hostname, .*\."
)


class Canned(OntapClient):
    """A client that is told the same records whatever it asks."""

    def __init__(self, found: list[Record]) -> None:
        super().__init__(Connection("array", "ontap", "array.example", 443, "admin", "secret"))
        self._found = found

    def records(self, path: str, fields: Sequence[str], match: Match, parameters: Mapping[str, str] | None = None) -> list[Record]:
        return self._found


def places(value: Any) -> list[list[Any]]:
    """The way to every value inside of a record."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [[key, *rest] for key in keys for rest in [[], *places(value[key])]]


@pytest.mark.parametrize(("record", "read"), READERS.values(), ids=READERS)
@given(st.data())
def test_a_record_of_any_other_shape_is_understood_or_told(
    record: dict[str, Any], read: Callable[[OntapClient], object], data: st.DataObject
) -> None:
    garbled = copy.deepcopy(record)
    *way, last = data.draw(st.sampled_from(places(garbled)))
    inside = reduce(getitem, way, garbled)
    if data.draw(st.booleans()):
        del inside[last]
    else:
        inside[last] = data.draw(JUNK)
    told = _told(lambda: read(Canned([garbled])))
    assert told is None or _SENTENCE.fullmatch(told)


def _told(action: Callable[[], object]) -> str | None:
    try:
        action()
    except ConnectionFailed as error:
        return str(error)
    return None


@pytest.mark.parametrize("read", [read for _record, read in READERS.values()], ids=READERS)
def test_a_record_with_nothing_in_it_is_told(read: Callable[[OntapClient], object]) -> None:
    with pytest.raises(ConnectionFailed, match="gave a record without"):
        read(Canned([{"enabled": True}]))
