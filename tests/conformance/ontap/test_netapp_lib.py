# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetApp's older library, netapp-lib, as it comes, runs the life of a LUN over our array's ZAPI."""

from __future__ import annotations

import gc
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from netapp_lib.api.zapi.zapi import NaApiError, NaElement, NaServer, invoke_api

from tests.lab import world
from tests.lab.ontap.running import Running

GIB = 1024**3
LUN = "/vol/vol_prod/library"
IQN, WWPN = "iqn.1998-01.com.example:conformance", "10:00:00:00:c9:00:00:01"


pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the library leaves its connections open


@pytest.fixture(autouse=True)
def _connections_that_the_library_leaves_open() -> Iterator[None]:
    yield
    gc.collect()


class Trusting(NaServer):  # type: ignore[misc]
    """The library with the lab's authority, which it has no parameter for; all else is its own."""

    def __init__(self, array: Running, password: str = "") -> None:
        super().__init__("localhost", transport_type="https", username=array.username, password=password or array.password, port=array.port)
        self._authority = str(array.authority)
        self.set_api_version(1, 110)
        self.set_vserver("svm_san")

    def _build_opener(self) -> None:
        context = ssl.create_default_context(cafile=self._authority)
        handlers = urllib.request.HTTPSHandler(context=context), self._create_basic_auth_handler()
        self._opener = urllib.request.build_opener(*handlers)


@pytest.fixture
def server(array: Running) -> NaServer:
    return Trusting(array)


def call(server: NaServer, api: str, **arguments: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    return server.invoke_successfully(NaElement.create_node_with_children(api, **named), enable_tunneling=True)


def refused(server: NaServer, api: str, **arguments: str) -> str:
    with pytest.raises(NaApiError) as refusal:
        call(server, api, **arguments)
    return str(refusal.value.code)


def records(server: NaServer, api: str, **arguments: Any) -> list[Any]:
    pages = invoke_api(server, api, is_iter=True, tunnel="svm_san", **arguments)
    return [row for page in pages for row in (page.get_child_by_name("attributes-list") or NaElement("none")).get_children()]


def test_the_life_of_a_lun(server: NaServer) -> None:
    made = call(server, "lun-create-by-size", path=LUN, size=str(GIB), ostype="vmware", space_reservation_enabled="false")
    assert made.get_child_content("actual-size") == str(GIB)
    call(server, "lun-resize", path=LUN, size=str(2 * GIB))
    (lun,) = records(server, "lun-get-iter", query={"lun-info": {"path": LUN}})
    assert (lun["size"], len(lun["serial-number"]), lun["mapped"]) == (str(2 * GIB), 12, "false")

    call(server, "igroup-create", initiator_group_name="library", initiator_group_type="mixed", os_type="vmware")
    for name in (IQN, WWPN):
        call(server, "igroup-add", initiator_group_name="library", initiator=name)
    (group,) = records(server, "igroup-get-iter", query={"initiator-group-info": {"initiator-group-name": "library"}})
    assert {one["initiator-name"] for one in group["initiators"].get_children()} == {IQN, WWPN}

    mapped = call(server, "lun-map", path=LUN, initiator_group="library")
    assert mapped.get_child_content("lun-id-assigned") == "0"
    (one,) = records(server, "lun-map-get-iter", query={"lun-map-info": {"path": LUN}})
    assert (one["lun-id"], one["initiator-group"]) == ("0", "library")

    assert refused(server, "lun-destroy", path=LUN) == "9013"
    assert refused(server, "igroup-destroy", initiator_group_name="library") == "9029"
    call(server, "lun-unmap", path=LUN, initiator_group="library")
    call(server, "lun-destroy", path=LUN)
    call(server, "igroup-destroy", initiator_group_name="library")
    assert refused(server, "lun-destroy", path=LUN) == "15661"
    assert records(server, "lun-get-iter", query={"lun-info": {"path": LUN}}) == []


def test_a_lun_that_is_made_of_one_in_a_snapshot(server: NaServer) -> None:
    call(server, "lun-create-by-size", path=LUN, size=str(GIB), ostype="vmware")
    call(server, "snapshot-create", volume="vol_prod", snapshot="library", comment="by hand", snapmirror_label="daily")
    (one,) = records(server, "snapshot-get-iter", query={"snapshot-info": {"volume": "vol_prod"}})
    assert (one["name"], one["comment"], one["snapmirror-label"], one["busy"]) == ("library", "by hand", "daily", "false")
    assert refused(server, "snapshot-create", volume="vol_prod", snapshot="library") == "13020"
    assert refused(server, "snapshot-rename", volume="vol_prod", current_name="none", new_name="other") == "13021"

    copy = {"volume": "vol_prod", "snapshot_name": "library", "destination_path": "copy"}
    call(server, "clone-create", source_path="library", space_reserve="false", **copy)
    assert refused(server, "clone-create", source_path="library", **copy) == "14952"
    assert refused(server, "clone-create", source_path="none", **{**copy, "destination_path": "other"}) == "14935"
    call(server, "lun-set-comment", path="/vol/vol_prod/copy", comment="a clone")
    call(server, "lun-move", path="/vol/vol_prod/copy", new_path="/vol/vol_prod/moved")
    (moved,) = records(server, "lun-get-iter", query={"lun-info": {"path": "/vol/vol_prod/moved"}})
    assert (moved["size"], moved["comment"]) == (str(GIB), "a clone")

    call(server, "lun-resize", path=LUN, size=str(2 * GIB))
    call(server, "snapshot-restore-file", path=LUN, snapshot="library", snapshot_instance_uuid=one["snapshot-instance-uuid"])
    (restored,) = records(server, "lun-get-iter", query={"lun-info": {"path": LUN}})
    assert restored["size"] == str(GIB)

    call(server, "snapshot-delete", volume="vol_prod", snapshot="library")
    assert refused(server, "snapshot-delete", volume="vol_prod", snapshot="library") == "13021"
    for path in (LUN, "/vol/vol_prod/moved"):
        call(server, "lun-destroy", path=path)


def test_snapshots_of_two_volumes_at_one_moment(server: NaServer) -> None:
    start = NaElement.create_node_with_children("cg-start", snapshot="both", timeout="relaxed")
    volumes = NaElement("volumes")
    for name in ("vol_prod", "vol_dev"):
        volumes.add_new_child("volume-name", name)
    start.add_child_elem(volumes)
    number = server.invoke_successfully(start, enable_tunneling=True).get_child_content("cg-id")
    call(server, "cg-commit", cg_id=number)
    assert refused(server, "cg-commit", cg_id=number) == "13115"
    first, second = records(server, "snapshot-get-iter", query={"snapshot-info": {"name": "both"}})
    assert first["access-time"] == second["access-time"]
    for name in ("vol_prod", "vol_dev"):
        call(server, "snapshot-delete", volume=name, snapshot="both")


def test_pages_are_followed(server: NaServer, array: Running) -> None:
    luns = next(svm for svm in world.build()["array"]["svms"] if svm["name"] == "svm_san")
    element = NaElement("lun-get-iter")
    element.add_new_child("max-records", "2")
    seen = 0
    while True:
        page = server.invoke_successfully(element, enable_tunneling=True)
        seen += int(page.get_child_content("num-records"))
        tag = page.get_child_content("next-tag")
        if not tag:
            break
        element = NaElement("lun-get-iter")
        element.add_new_child("max-records", "2")
        element.add_new_child("tag", tag, True)
    assert seen == sum(len(volume["luns"]) for volume in luns["volumes"])


def test_everything_a_san_client_reads(server: NaServer) -> None:
    version = call(server, "system-get-version")["version-tuple"]["system-version-tuple"]
    assert [version[part] for part in ("generation", "major", "minor")] == ["9", "16", "1"]
    untunnelled = server.invoke_successfully(NaElement("cluster-identity-get"))
    assert untunnelled["attributes"]["cluster-identity-info"]["cluster-name"] == "lab-ontap"
    (service,) = records(server, "iscsi-service-get-iter")
    assert service["node-name"].startswith("iqn.")
    assert {one["ip-address"] for one in records(server, "iscsi-interface-get-iter")} == {"192.0.2.11", "192.0.2.12"}
    assert len(records(server, "fcp-interface-get-iter")) == 2
    (volume,) = records(server, "volume-get-iter", query={"volume-attributes": {"volume-id-attributes": {"name": "vol_nfs"}}})
    assert volume["volume-id-attributes"]["junction-path"] == "/vol_nfs"


@pytest.mark.parametrize(
    ("api", "arguments", "number"),
    [
        ("lun-bogus", {}, "13005"),
        ("cluster-identity-get", {}, "13005"),
        ("lun-resize", {"path": LUN}, "13115"),
        ("lun-map", {"path": LUN, "initiator_group": "x", "lun_id": ""}, "13115"),
        ("lun-create-by-size", {"path": "/vol/none/l", "size": str(GIB), "ostype": "linux"}, "9036"),
        ("lun-create-by-size", {"path": LUN, "size": "1", "ostype": "linux"}, "9041"),
        ("lun-create-by-size", {"path": LUN, "size": "1", "ostype": "leenux"}, "13115"),
        ("igroup-destroy", {"initiator_group_name": "none"}, "9003"),
        ("snapshot-create", {"volume": "vol_none", "snapshot": "s"}, "13040"),
        ("snapshot-create", {"volume": "vol_prod", "snapshot": "s", "expiry_time": "1"}, "13115"),
    ],
)
def test_what_is_wrong_has_its_number(server: NaServer, api: str, arguments: dict[str, str], number: str) -> None:
    assert refused(server, api, **arguments) == number


def test_an_api_of_an_svm_needs_one(server: NaServer) -> None:
    with pytest.raises(NaApiError, match="13001:Vserver API missing vserver parameter"):
        server.invoke_successfully(NaElement.create_node_with_children("lun-destroy", path=LUN))
    server.set_vserver("svm_none")
    assert refused(server, "lun-destroy", path=LUN) == "15698"


def test_a_wrong_password_is_refused(array: Running) -> None:
    with pytest.raises(NaApiError) as denied:
        call(Trusting(array, "wrong"), "system-get-version")
    assert denied.value.code == 401
