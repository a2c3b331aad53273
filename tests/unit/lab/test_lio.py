# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel's target is told to be, and that it becomes it in steps that a kernel takes."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.lab.ontap import operations, snapshots
from tests.lab.ontap.data_plane.lio import AgentGone, LioFailed, LioPlane, wanted
from tests.lab.ontap.data_plane.lio_agent import Fcoe, Target, serve
from tests.lab.ontap.state import Array, Lun
from tests.lab.world import naa_of
from tests.unit.lab.lio_kernel import Kernel

pytestmark = pytest.mark.slow

MIB = 1024**2
SVM = {"svm.name": "svm_san"}
IQN = "iqn.1992-08.com.netapp:sn.6d1c3f2a:vs.3"
HOST, OTHER, STRANGER = (f"iqn.1993-08.org.debian:01:{name}" for name in ("kvm1", "kvm2", "stranger"))
HOST_WWPN, OTHER_WWPN = "20:00:52:54:00:08:0a:02", "20:00:52:54:00:08:0a:03"
NEAR, FAR = "10.8.1.1", "10.8.2.1"
NEAR_WWPN, FAR_WWPN = "20:00:00:a0:98:08:0a:01", "20:00:00:a0:98:08:0b:01"
PORTS = (f"iscsi/{IQN}/tpgt_1028", f"iscsi/{IQN}/tpgt_1029", f"fc/{NEAR_WWPN}/tpgt_1", f"fc/{FAR_WWPN}/tpgt_1")
WORLD = {
    "name": "array",
    "uuid": "an-array",
    "version": {"generation": 9, "major": 16, "minor": 1},
    "nodes": ["one", "two"],
    "svms": [
        {
            "name": "svm_san",
            "iqn": IQN,
            "portals": [NEAR, FAR],
            "nfs_lifs": [],
            "fc_lifs": [{"name": "fc1", "wwpn": NEAR_WWPN, "wwnn": NEAR_WWPN}, {"name": "fc2", "wwpn": FAR_WWPN, "wwnn": FAR_WWPN}],
            "lif_nodes": {FAR: "two", FAR_WWPN: "two"},
            "initiators": [HOST, HOST_WWPN, OTHER, OTHER_WWPN, STRANGER],
            "volumes": [{"name": "vol", "size": 1024 * MIB, "luns": []}],
            "igroups": [
                {"name": "kvm1", "protocol": "mixed", "os_type": "linux", "initiators": [HOST, HOST_WWPN], "maps": []},
                {"name": "kvm2", "protocol": "mixed", "os_type": "linux", "initiators": [OTHER, OTHER_WWPN], "maps": []},
            ],
        }
    ],
}


class Links(Fcoe):
    """Fibre Channel ports that are nothing but up or down, and tell what was there when they came up."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.up: dict[str, bool] = {}

    def switch(self, wwpn: str, up: bool) -> None:
        assert (self.kernel.root / "fc" / wwpn / "tpgt_1").is_dir(), "a port that comes up before it is a target is never taken for one"
        self.up[wwpn] = up


class InProcess:
    """The agent without a machine."""

    def __init__(self, target: Target) -> None:
        self.target, self.runs, self.gone = target, False, False

    def start(self) -> None:
        if self.gone:
            raise AgentGone("gone")
        self.runs = True

    def stop(self) -> None:
        self.runs = False

    def tell(self, want: dict[str, Any]) -> None:
        if self.gone:
            self.runs = False
            raise AgentGone("gone")
        answers = io.StringIO()
        serve(self.target, io.StringIO(json.dumps(want) + "\n"), answers)
        if error := json.loads(answers.getvalue()).get("error"):
            raise LioFailed(error)

    def read(self, path: Path, offset: int, size: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


class Lab:
    """An array whose target is a directory."""

    def __init__(self, directory: Path) -> None:
        self.array = Array(WORLD)
        self.data = directory / "luns"
        self.kernel = Kernel(directory / "target")
        self.kernel.root.mkdir()
        self.links = Links(self.kernel)
        self.agent = InProcess(Target(self.kernel, self.links))
        self.plane = LioPlane(self.array, self.agent, self.data)
        self.plane.start()

    def create(self, name: str, mapped_to: str = "", **values: Any) -> Lun:
        size = {} if "clone.source.name" in values else {"os_type": "linux", "space.size": 8 * MIB}
        lun = operations.create_lun(self.array, {**SVM, "name": f"/vol/vol/{name}", **size, **values})
        self.plane.follow()
        if mapped_to:
            self.map(lun, mapped_to)
        return lun

    def map(self, lun: Lun, group: str, **number: int) -> None:
        operations.create_map(self.array, {**SVM, "lun.name": lun.path, "igroup.name": group, **number})
        self.plane.follow()

    def unmap(self, lun: Lun) -> None:
        for lun_map in self.array.svms[0].maps_of(lun):
            operations.delete_map(self.array, lun.uuid, lun_map.igroup.uuid)
        self.plane.follow()

    def modify(self, lun: Lun, **values: Any) -> None:
        operations.modify_lun(self.array, lun.uuid, {key.replace("__", "."): value for key, value in values.items()})
        self.plane.follow()

    def put(self, lun: Lun, octets: bytes, place: int = 0) -> None:
        with (self.data / lun.uuid).open("r+b") as file:
            file.seek(place)
            file.write(octets)

    def seen(self, iqn: str, wwpn: str) -> dict[int, str]:
        """What a host sees, at every port the same."""
        views = [self.kernel.view(port, iqn if port.startswith("iscsi") else wwpn) for port in PORTS]
        assert all(view == views[0] for view in views), views
        return views[0]

    @property
    def luns(self) -> list[str]:
        return self.kernel.names(self.kernel.root / "core" / "fileio_0")

    def attribute(self, *path: str) -> str:
        return self.kernel.read(self.kernel.root.joinpath(*path))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_all_ports_are_there_from_the_start_and_let_everybody_in_who_is_known_and_show_nothing(lab: Lab) -> None:
    assert lab.seen(HOST, HOST_WWPN) == lab.seen(OTHER, OTHER_WWPN) == {}
    assert [lab.kernel.view(port, STRANGER) for port in PORTS[:2]] == [{}, {}]
    assert [lab.attribute(port, "enable") for port in PORTS[:2]] == ["1", "1"]
    assert lab.links.up == {NEAR_WWPN: True, FAR_WWPN: True}


def test_a_host_sees_what_its_group_maps_from_number_zero_on_and_others_do_not(lab: Lab) -> None:
    first, second = lab.create("first", "kvm1"), lab.create("second", "kvm1")
    assert lab.seen(HOST, HOST_WWPN) == {0: naa_of(first.serial), 1: naa_of(second.serial)}
    assert lab.seen(OTHER, OTHER_WWPN) == {}
    assert lab.kernel.view(PORTS[0], STRANGER) == {}


def test_a_lun_is_known_by_the_names_of_ontap(lab: Lab) -> None:
    lun = lab.create("named")
    names = {name: lab.attribute("core", "fileio_0", lun.uuid, "wwn", name) for name in ("vendor_id", "product_id", "revision")}
    assert names == {"vendor_id": "NETAPP", "product_id": "LUN C-Mode", "revision": "9161"}
    assert lab.kernel.naa(lun.uuid) == naa_of(lun.serial)


def test_a_port_of_the_node_with_the_luns_is_optimized_and_one_of_the_other_is_not(lab: Lab) -> None:
    lun = lab.create("near", "kvm1")
    assert [lab.attribute(port, "lun", "lun_0", "alua_tg_pt_gp") for port in PORTS] == ["ao", "ano", "ao", "ano"]
    groups = [lab.attribute("core", "fileio_0", lun.uuid, "alua", name, "alua_access_state") for name in ("ao", "ano")]
    assert groups == ["0", "1"]
    assert lab.attribute("core", "fileio_0", lun.uuid, "alua", "ao", "alua_access_type") == "1"


def test_a_number_that_is_used_again_shows_the_other_lun(lab: Lab) -> None:
    old, new = lab.create("old", "kvm1"), lab.create("new")
    operations.delete_map(lab.array, old.uuid, lab.array.svms[0].maps_of(old)[0].igroup.uuid)
    lab.map(new, "kvm1", logical_unit_number=0)
    assert lab.seen(HOST, HOST_WWPN) == {0: naa_of(new.serial)}


def test_a_lun_of_two_hosts_is_one_unit_of_each_port(lab: Lab) -> None:
    lun = lab.create("shared", "kvm1")
    lab.map(lun, "kvm2", logical_unit_number=7)
    assert lab.seen(HOST, HOST_WWPN) == {0: naa_of(lun.serial)}
    assert lab.seen(OTHER, OTHER_WWPN) == {7: naa_of(lun.serial)}
    assert [lab.kernel.names(lab.kernel.root / port / "lun") for port in PORTS] == [["lun_0"]] * 4


def test_a_lun_grows_in_its_file_and_in_the_kernel(lab: Lab) -> None:
    lun = lab.create("grows", "kvm1")
    lab.modify(lun, space__size=16 * MIB)
    assert (lab.data / lun.uuid).stat().st_size == 16 * MIB
    assert f"Size: {16 * MIB} " in lab.attribute("core", "fileio_0", lun.uuid, "info")


def test_a_size_that_a_predecessor_gave_to_the_file_alone_is_told_to_the_kernel(lab: Lab) -> None:
    lun = lab.create("grows", "kvm1")
    os.truncate(lab.data / lun.uuid, 16 * MIB)
    lab.modify(lun, space__size=16 * MIB)
    assert f"Size: {16 * MIB} " in lab.attribute("core", "fileio_0", lun.uuid, "info")


def test_a_lun_that_is_offline_is_seen_by_nobody_and_keeps_its_number_and_data(lab: Lab) -> None:
    lun = lab.create("offline", "kvm1")
    lab.put(lun, b"data")
    lab.modify(lun, enabled=False)
    assert lab.seen(HOST, HOST_WWPN) == {}
    lab.modify(lun, enabled=True)
    assert lab.seen(HOST, HOST_WWPN) == {0: naa_of(lun.serial)}
    assert (lab.data / lun.uuid).read_bytes()[:4] == b"data"


def test_a_clone_has_the_data_of_its_source_and_then_its_own(lab: Lab) -> None:
    source = lab.create("source", "kvm1")
    lab.put(source, b"of the source", 4 * MIB)
    clone = lab.create("clone", **{"clone.source.name": source.path})
    lab.put(source, b"later")
    lab.plane.follow()
    content = (lab.data / clone.uuid).read_bytes()
    assert (len(content), content[:5], content[4 * MIB :][:13]) == (8 * MIB, bytes(5), b"of the source")


def test_a_snapshot_has_the_data_of_its_moment_and_gives_it_back(lab: Lab) -> None:
    lun = lab.create("source", "kvm1")
    lab.put(lun, b"then", 4 * MIB)
    taken = snapshots.create(lab.array, lun.volume.uuid, {"name": "s1"})
    lab.plane.follow()
    lab.put(lun, b"later", 4 * MIB)
    lab.modify(lun, **{"clone.source.name": f"/vol/{lun.volume.name}/.snapshot/s1/{lun.base_name}"})
    content = (lab.data / lun.uuid).read_bytes()
    assert (len(content), content[4 * MIB :][:5]) == (8 * MIB, b"then\0")
    snapshots.delete(lab.array, lun.volume.uuid, taken.uuid)
    lab.plane.follow()
    assert [file.name for file in lab.data.iterdir()] == [lun.uuid]


def test_unmapped_and_deleted_luns_leave_nothing(lab: Lab) -> None:
    lun = lab.create("short", "kvm1")
    lab.unmap(lun)
    assert [lab.kernel.names(lab.kernel.root / port / "lun") for port in PORTS] == [[]] * 4
    operations.delete_lun(lab.array, lun.uuid, while_mapped=False)
    lab.plane.follow()
    assert (lab.luns, list(lab.data.iterdir())) == ([], [])


def test_a_lif_that_is_disabled_lets_nobody_in_until_it_is_enabled(lab: Lab) -> None:
    for lif in (FAR, FAR_WWPN):
        operations.modify_lif(lab.array, "svm_san", lif, {"enabled": False})
    lab.plane.follow()
    assert (lab.attribute(PORTS[0], "enable"), lab.attribute(PORTS[1], "enable")) == ("1", "0")
    assert lab.links.up == {NEAR_WWPN: True, FAR_WWPN: False}


def test_a_port_and_an_initiator_that_are_no_longer_wanted_go_with_all_they_had(lab: Lab) -> None:
    lab.create("seen", "kvm1")
    lab.array.svms[0].portals = [NEAR]
    lab.array.svms[0].known_initiators = [HOST, HOST_WWPN, OTHER, OTHER_WWPN]
    lab.plane.follow()
    assert lab.kernel.names(lab.kernel.root / "iscsi" / IQN) == ["tpgt_1028"]
    with pytest.raises(OSError, match="not let in"):
        lab.kernel.view(PORTS[0], STRANGER)


def test_another_agent_goes_on_where_the_last_one_was(lab: Lab) -> None:
    lun = lab.create("stays", "kvm1")
    lab.plane.switch("killed")
    lab.plane.switch("running")
    assert lab.seen(HOST, HOST_WWPN) == {0: naa_of(lun.serial)}
    with pytest.raises(ValueError, match="state is one of"):
        lab.plane.switch("asleep")


def test_changes_while_the_machine_is_gone_come_when_it_is_back(lab: Lab) -> None:
    lab.agent.gone = True
    lun = lab.create("late", "kvm1")
    assert lab.seen(HOST, HOST_WWPN) == {}
    lab.agent.gone = False
    lab.plane.switch("running")
    assert lab.seen(HOST, HOST_WWPN) == {0: naa_of(lun.serial)}


def test_a_reset_leaves_neither_luns_nor_data(lab: Lab) -> None:
    lab.create("gone", "kvm1")
    lab.array.reset(WORLD)
    lab.plane.reset()
    assert (lab.luns, list(lab.data.iterdir()), lab.seen(HOST, HOST_WWPN)) == ([], [], {})


def test_what_the_kernel_refuses_is_told(lab: Lab) -> None:
    want = wanted(lab.array, lab.data)
    want["ports"][0]["name"] = "no name of iSCSI"
    with pytest.raises(LioFailed, match="no object of LIO"):
        lab.agent.tell(want)


def test_chap_is_refused(lab: Lab) -> None:
    with pytest.raises(ValueError, match="no CHAP"):
        lab.plane.admit(HOST, None)


def test_rest_tells_the_node_of_a_lif(lab: Lab) -> None:
    svm = lab.array.svms[0]
    assert [lab.array.node_of(svm, lif) for lif in (NEAR, FAR, NEAR_WWPN, FAR_WWPN)] == ["one", "two", "one", "two"]
