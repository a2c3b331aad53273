# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetApp's Python library runs the life of a LUN against our array."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from netapp_ontap import HostConnection, NetAppRestError
from netapp_ontap.resources import (
    Cluster,
    ConsistencyGroup,
    ConsistencyGroupSnapshot,
    FcInterface,
    FcpService,
    Igroup,
    IgroupInitiator,
    IpInterface,
    IscsiService,
    Lun,
    LunMap,
    Snapshot,
    Svm,
    Volume,
)

from tests.lab import world
from tests.lab.ontap.running import Running

GIB = 1024**3
IQN = "iqn.1998-01.com.example:Conformance"
WWPN = "10:00:00:00:c9:00:00:01"

pytestmark = pytest.mark.filterwarnings("default")  # the library's own warnings are not ours to fix


@pytest.fixture
def connection(array: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostConnection]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(array.authority))
    with HostConnection("localhost", port=array.port, username=array.username, password=array.password) as connection:
        yield connection


def refused(error: pytest.ExceptionInfo[NetAppRestError]) -> str:
    return str(error.value.response_body["error"]["code"])


def test_the_life_of_a_lun(connection: HostConnection) -> None:
    lun = Lun(name="/vol/vol_prod/library", svm={"name": "svm_san"}, os_type="vmware", space={"size": GIB})
    lun.post(hydrate=True)
    assert (lun.space.size, len(lun.serial_number)) == (GIB, 12)

    lun.space = {"size": 2 * GIB}
    lun.patch(hydrate=True)
    assert lun.space.size == 2 * GIB

    igroup = Igroup(name="library", svm={"name": "svm_san"}, os_type="vmware", initiators=[{"name": IQN}])
    igroup.post(hydrate=True)
    IgroupInitiator(igroup.uuid, name=WWPN).post()
    assert {member.name for member in IgroupInitiator.get_collection(igroup.uuid)} == {IQN.lower(), WWPN}

    mapping = LunMap(svm={"name": "svm_san"}, lun={"name": lun.name}, igroup={"name": igroup.name})
    mapping.post(hydrate=True)
    assert mapping.logical_unit_number == 0
    (found,) = Lun.get_collection(fields="lun_maps,space.used,status.mapped", serial_number=lun.serial_number)
    assert found.status.mapped
    assert found.space.used == 0
    assert found.lun_maps[0].igroup.name == "library"

    with pytest.raises(NetAppRestError) as mapped:
        lun.delete()
    assert refused(mapped) == "1254197"

    mapping.delete()
    lun.delete()
    IgroupInitiator(igroup.uuid, name=WWPN).delete()
    igroup.delete()
    with pytest.raises(NetAppRestError) as missing:
        lun.get()
    assert refused(missing) == "5374875"


def test_changes_by_job_are_waited_for(connection: HostConnection, array: Running) -> None:
    array.control("POST", "/faults", {"match": "^(POST|DELETE) /api/storage/luns", "times": 2, "action": {"job": True, "seconds": 1}})
    lun = Lun(name="/vol/vol_prod/slow", svm={"name": "svm_san"}, os_type="linux", space={"size": GIB})
    lun.post(poll=True, poll_interval=1)
    assert [found.name for found in Lun.get_collection(name=lun.name)] == [lun.name]
    lun.get(name=lun.name)
    lun.delete(poll=True, poll_interval=1)
    assert list(Lun.get_collection(name=lun.name)) == []


def test_a_failed_job_is_reported(connection: HostConnection, array: Running) -> None:
    array.control("POST", "/faults", {"match": "^POST", "action": {"job_error": {"code": 5374863, "message": "incomplete"}}})
    lun = Lun(name="/vol/vol_prod/failed", svm={"name": "svm_san"}, os_type="linux", space={"size": GIB})
    with pytest.raises(NetAppRestError, match="incomplete"):
        lun.post(poll=True, poll_interval=1)


def test_pages_are_followed(connection: HostConnection, array: Running) -> None:
    luns = sum(len(volume["luns"]) for svm in world.build()["array"]["svms"] for volume in svm["volumes"])
    assert len(list(Lun.get_collection(max_records=2))) == luns
    assert array.control("GET", "/requests")["total"] == math.ceil(luns / 2)


def test_everything_a_san_client_reads(connection: HostConnection) -> None:
    cluster = Cluster()
    cluster.get()
    assert (cluster.name, cluster.version.generation) == ("lab-ontap", 9)
    assert {svm.name for svm in Svm.get_collection(fields="*")} == {"svm_san", "svm_dr"}
    portals = IpInterface.get_collection(services="data_iscsi", fields="ip.address", **{"svm.name": "svm_san"})
    assert {lif.ip.address for lif in portals} == {"192.0.2.11", "192.0.2.12"}
    assert len(list(FcInterface.get_collection(fields="wwpn", **{"svm.name": "svm_san"}))) == 2
    assert {service.target.name[:4] for service in IscsiService.get_collection(fields="target")} == {"iqn."}
    assert {service.target.name[:3] for service in FcpService.get_collection(fields="target")} == {"20:"}
    (volume,) = Volume.get_collection(name="vol_nfs", fields="nas.path,space")
    assert (volume.nas.path, volume.space.available) == ("/vol_nfs", 1024 * GIB)


def test_a_snapshot_comes_and_goes(connection: HostConnection) -> None:
    (volume,) = Volume.get_collection(name="vol_prod")
    snapshot = Snapshot(volume.uuid, name="conformance", comment="mine", snapmirror_label="daily")
    snapshot.post(hydrate=True)
    assert [found.name for found in Snapshot.get_collection(volume.uuid)] == ["conformance"]
    snapshot.comment = "yours"
    snapshot.patch()
    snapshot.get(fields="*")
    assert (snapshot.comment, snapshot.snapmirror_label, snapshot.state) == ("yours", "daily", "valid")
    snapshot.delete()
    with pytest.raises(NetAppRestError) as gone:
        snapshot.delete()
    assert refused(gone) == "1638600"


def test_a_lun_comes_out_of_a_snapshot_and_goes_back_into_its_place(connection: HostConnection) -> None:
    (volume,) = Volume.get_collection(name="vol_prod")
    original = Lun(name="/vol/vol_prod/origin", svm={"name": "svm_san"}, os_type="linux", space={"size": GIB})
    original.post(hydrate=True)
    snapshot = Snapshot(volume.uuid, name="conformance")
    snapshot.post(hydrate=True)
    then = {"source": {"name": "/vol/vol_prod/.snapshot/conformance/origin"}}
    clone = Lun(name="/vol/vol_prod/then", svm={"name": "svm_san"}, clone=then)
    clone.post(hydrate=True)
    for lun in (clone, original):
        lun.get(fields="serial_number,space.size")
    assert clone.space.size == original.space.size
    assert clone.serial_number != original.serial_number
    restored = Lun(uuid=original.uuid, clone=then)
    restored.patch()
    restored.get(fields="serial_number")
    assert restored.serial_number == original.serial_number
    for thing in (clone, original, snapshot):
        thing.delete()


def test_a_consistency_group_takes_snapshots_of_its_volumes(connection: HostConnection) -> None:
    volumes = [{"name": name, "provisioning_options": {"action": "add"}} for name in ("vol_prod", "vol_dev")]
    group = ConsistencyGroup(name="conformance", svm={"name": "svm_san"}, volumes=volumes)
    group.post(hydrate=True)
    taken = ConsistencyGroupSnapshot(group.uuid, name="both", consistency_type="application")
    taken.post(hydrate=True)
    assert [found.name for found in ConsistencyGroupSnapshot.get_collection(group.uuid)] == ["both"]
    group.delete()
    for name in ("vol_prod", "vol_dev"):
        (volume,) = Volume.get_collection(name=name)
        (part,) = Snapshot.get_collection(volume.uuid)
        assert part.name == "both"
        part.delete()


def test_another_authority_is_not_trusted(array: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with (
        HostConnection("localhost", port=array.port, username=array.username, password=array.password),
        pytest.raises(NetAppRestError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        Cluster().get()


def test_a_wrong_password_is_refused(array: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(array.authority))
    with HostConnection("localhost", port=array.port, username=array.username, password="wrong"), pytest.raises(NetAppRestError) as denied:
        Cluster().get()
    assert refused(denied) == "6691623"


def test_a_luns_data_is_read_as_the_library_reads_it(connection: HostConnection) -> None:
    lun = next(iter(Lun.get_collection(name="/vol/vol_prod/ds_single")))
    connection.request_headers = {"Accept": "multipart/form-data"}
    lun.get(**{"data.offset": "4096", "data.size": "512"})
    assert [part["content"] for part in lun.response_parts] == [bytes(512)]
    with pytest.raises(NetAppRestError) as error:
        lun.get(**{"data.offset": "0", "data.size": "1000001"})
    assert refused(error) == "262197"
