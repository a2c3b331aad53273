# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A highly available VM gets a LUN of its own and takes it along from node to node, in the lab's clusters of two and of four nodes."""

from __future__ import annotations

import pytest

from tests.lab import world
from tests.lab.hyperv_world import CLUSTERS, initiators, lun_path
from tests.live.hyperv_cluster_way import MOUNT_POINT, SERVER, SPARE, ClusterWay
from tests.live.lab import WindowsLab
from tests.live.modules import ModuleRunner

CONFIGURATION = "Virtual Machine Configuration"
MOVE = 23068676


@pytest.fixture
def way(windows: WindowsLab, modules: ModuleRunner) -> ClusterWay:
    """The cluster of two nodes, to which the array presents the spare LUN."""
    found = ClusterWay(windows, modules)
    found.map_spare()
    return found


@pytest.fixture
def four(windows: WindowsLab, modules: ModuleRunner) -> ClusterWay:
    """The cluster of four nodes, asked by one that does not have the VM."""
    found = ClusterWay(windows, modules, node="hvc2n3", vm="c2app02", igroup="hv_hvc2")
    found.map_spare()
    return found


def test_the_disk_follows_its_vm_through_the_cluster_of_two(way: ClusterWay) -> None:
    before = way.state()
    result = way.attach()
    assert (result["naa"], result["hosts"]) == (SPARE, ["hvc1n1.lab", "hvc1n2.lab"])
    assert result["disk"]["device"].startswith("\\\\.\\PHYSICALDRIVE")
    assert way.follows("hvc1n2", "hvc1n1")
    assert not way.attach()["changed"]
    assert way.detach()["changed"]
    assert way.state() == before
    assert not way.detach()["changed"]
    assert way.windows.fail_over(way.vm, "hvc1n2")["state"] == 0


def test_the_disk_follows_its_vm_through_every_node_of_the_cluster_of_four(four: ClusterWay) -> None:
    before = four.state()
    four.attach()
    assert four.follows("hvc2n1", "hvc2n3", "hvc2n4", "hvc2n2")
    four.windows.fail_over(four.vm, "hvc2n4")
    four.detach()
    four.windows.fail_over(four.vm, "hvc2n2")
    assert four.state() == before


def test_a_vm_that_is_off_takes_its_disk_along(windows: WindowsLab, modules: ModuleRunner) -> None:
    way = ClusterWay(windows, modules, vm="c1old01")
    way.map_spare()
    way.attach()
    assert way.follows("hvc1n2", "hvc1n1")
    way.detach()
    assert windows.fail_over(way.vm, "hvc1n2")["host"] == "hvc1n2.lab"


def test_check_mode_tells_the_way_and_does_not_go_it(way: ClusterWay) -> None:
    before = way.state()
    planned = way.attach(check=True)
    assert planned["changed"]
    assert way.state() == before
    assert f"create temporary group '{way.resource} Group'" in planned["actions"]
    assert planned["diff"]["after"]["cluster_disk"] == way.resource


def test_the_code_that_migrates_vms_reaches_configurations_only(way: ClusterWay) -> None:
    way.attach()
    way.detach()
    sent = [request for request in way.windows.requests(SERVER) if request["method"] == "ExecuteResourceControl"]
    told = way.windows.controls()
    assert len(sent) == len(told) == 2
    assert {(entry["resource"], entry["type"], entry["code"]) for entry in told} == {(f"{CONFIGURATION} {way.vm}", CONFIGURATION, MOVE)}
    assert way.vm_state()["migrations"] == 0


def test_the_node_that_does_not_see_the_lun_is_named(windows: WindowsLab, modules: ModuleRunner) -> None:
    lun = {"svm": "svm_san", "volume": "vol_dev", "name": "spare", "igroup_os_type": "hyper_v", "initiators": initiators(["hvc1n1"])}
    modules.succeed("lun_provision", {"array": windows.array, **lun})
    way = ClusterWay(windows, modules)
    before = way.state()
    message = way.refusal(timeout=0.2)
    assert f"LUN naa.{SPARE} is not visible on hvc1n2.lab after" in message
    assert way.state() == before


def test_a_node_that_is_down_is_named_and_may_be_ignored(way: ClusterWay) -> None:
    way.windows.power("hvc1n2", up=False)
    assert "hvc1n2.lab" in way.refusal()
    way.attach(ignore_hosts=["hvc1n2.lab"])
    way.windows.power("hvc1n2", up=True)
    way.rescan("hvc1n2")
    assert way.follows("hvc1n2", "hvc1n1")


@pytest.mark.parametrize(("lun", "name"), [("hvc1_csv", "C:\\ClusterStorage\\Volume1"), ("hvc1_witness", "Cluster Disk Witness")])
def test_a_disk_that_the_cluster_uses_is_refused_by_its_name(way: ClusterWay, lun: str, name: str) -> None:
    before = way.state()
    assert name in way.refusal(naa=world.naa_at(lun_path(lun)))
    assert way.state() == before


def test_a_raw_lun_is_not_initialized_without_the_users_word(way: ClusterWay) -> None:
    way.rescan(*CLUSTERS["hvc1"])
    assert "say that it is empty, if it is, by initialize=true" in way.refusal(initialize=False)
    assert SPARE not in way.windows.state()[SERVER]["media"]


def test_a_group_that_moves_while_the_disk_is_attached_stops_the_run(way: ClusterWay) -> None:
    """The cluster's own word for a group in motion, at the moment when the disk shall go into the VM's group."""
    before = way.state()
    moving = {"code": str(0x80071714), "message": "The group is unable to accept the request since it is moving to another node. "}
    way.windows.fail(SERVER, {"error": moving}, match="MoveToNewGroup")
    assert "moving to another node" in way.refusal()
    assert way.state() == before


def test_a_job_that_fails_is_told_in_its_own_words(way: ClusterWay) -> None:
    before = way.state()
    way.windows.fail(SERVER, {"job_error": {"code": 32768, "message": "The disk caught fire."}}, match="AddResourceSettings")
    assert "The disk caught fire" in way.refusal()
    assert way.state() == before


def test_rights_that_are_missing_in_the_clusters_namespace_are_told(way: ClusterWay) -> None:
    before = way.state()
    way.windows.fail(SERVER, {"error": {"code": "AccessDenied"}}, match="CreateGroup")
    message = way.refusal()
    assert "root/MSCluster" in message
    assert "Execute Methods" in message
    assert way.state() == before


def test_a_disk_keeps_its_name_whatever_mount_point_is_said_later(way: ClusterWay) -> None:
    way.attach(mount_point="C:\\other")
    assert MOUNT_POINT not in str(way.cluster()["resources"])
    assert way.attach()["changed"] is False
    way.detach()
    assert not [name for name in way.cluster()["groups"] if name.startswith("Disk VM")]
