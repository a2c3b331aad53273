# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN becomes a disk of a highly available VM, follows it from node to node, and is taken back.

That a run may be killed or refused at every single request, tests/exhaustive tries.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    InvalidInput,
    Refused,
    StepFailed,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, carry_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import claims, without
from tests.lab import world
from tests.lab.hyperv.clusters import FAILED, ONLINE
from tests.lab.hyperv.providers.cluster import _Methods, _Part
from tests.lab.hyperv_world import lun_path
from tests.unit.hyperv_cluster import DISK, GROUP, VM, ClusterLab, Killed, is_change, kill, requests_of
from tests.unit.lab.hyperv.desk import NODE1, NODE2
from tests.unit.windows import lost, refusing

pytestmark = pytest.mark.slow

OLD_VM = "c1old01"


@pytest.fixture
def there() -> ClusterLab:
    return ClusterLab()


# -- there and back


def test_a_lun_becomes_a_disk_of_the_vm_and_of_its_group(there: ClusterLab) -> None:
    assert there.attach()
    disk, machine = there.cluster.resources[DISK], there.cluster.resources[f"Virtual Machine {VM}"]
    assert (disk.type, disk.group, disk.state) == ("Physical Disk", VM, 2)
    assert machine.needs == [f"Virtual Machine Configuration {VM}", DISK]
    assert there.attached()
    assert GROUP not in there.cluster.groups


def test_the_disk_follows_the_vm_to_the_other_node_and_back(there: ClusterLab) -> None:
    there.attach()
    assert there.follows()
    assert there.cluster.resources[DISK].state == 2


def test_a_second_run_finds_nothing_to_do(there: ClusterLab) -> None:
    there.attach()
    assert there.attach() == []
    there.lab.estate.fail_over(VM, NODE2)
    assert there.attach() == []


def test_on_the_way_back_nothing_is_left(there: ClusterLab) -> None:
    before = there.state()
    there.attach()
    there.detach()
    assert there.state() == before
    assert there.detach() == []
    assert there.lab.estate.fail_over(VM, NODE2)["host"] == NODE2


def test_both_ways_work_on_whichever_node_the_vm_is(there: ClusterLab) -> None:
    there.lab.estate.fail_over(VM, NODE2)
    there.attach()
    assert {line.split(" ")[0] for line in there.wire.asked if "CreateGroup" in line or "AddResourceSettings" in line} == {NODE2}
    there.lab.estate.fail_over(VM, NODE1)
    there.detach()
    assert not there.attached()


def test_a_vm_that_is_off_gets_its_disk_too() -> None:
    there = ClusterLab(vm_name=OLD_VM)
    there.attach()
    assert there.cluster.resources[f"Disk VM {OLD_VM} MP C:\\mt1"].group == OLD_VM
    assert there.follows()
    there.detach()
    assert there.lab.estate.fail_over(OLD_VM, NODE2)["host"] == NODE2


def test_check_mode_names_every_step_and_does_none(there: ClusterLab) -> None:
    before = there.state()
    planned = list(carry_out(there.plan_attach(), check_mode=True).actions)
    assert there.state() == before
    assert set(there.attach()) <= set(planned)


def test_without_a_mount_point_the_resource_is_named_after_the_lun(there: ClusterLab) -> None:
    there.attach(mount_point="")
    assert f"Disk VM {VM} LUN {there.naa.naa}" in there.cluster.resources


def test_the_configuration_is_refreshed_and_nothing_else_gets_the_code(there: ClusterLab) -> None:
    there.attach()
    there.detach()
    assert {(control["type"], control["code"]) for control in there.lab.estate.controls()} == {("Virtual Machine Configuration", 23068676)}
    assert there.wire.count("ExecuteResourceControl") == len(there.lab.estate.controls()) == 2


def test_the_number_of_requests_does_not_depend_on_the_number_of_resources(there: ClusterLab) -> None:
    there.attach()
    few = len(there.wire.asked)
    crowded = ClusterLab()
    for number in range(100):
        crowded.cluster.create_resource(f"Address {number}", "IP Address", crowded.cluster.groups["csv-hvc1-1"])
    crowded.attach()
    assert len(crowded.wire.asked) == few


# -- a LUN that is a disk of the cluster already


def test_a_disk_of_available_storage_serves_and_goes_back_there(there: ClusterLab) -> None:
    there.add_to_available_storage()
    before = there.state()
    there.attach(initialize=False)
    assert there.cluster.resources["Cluster Disk 7"].group == VM
    assert DISK not in there.cluster.resources
    assert there.follows()
    there.detach(release=False)
    assert there.state() == before


def test_a_disk_that_stays_in_the_cluster_is_not_released(there: ClusterLab) -> None:
    there.add_to_available_storage()
    before = there.state()
    there.attach(initialize=False)
    with pytest.raises(StepFailed, match="still a disk of cluster hvc1"):
        there.detach(release=True)
    assert there.state() == before


def test_a_disk_that_somebody_put_into_the_vms_group_is_attached(there: ClusterLab) -> None:
    there.add_to_available_storage()
    there.on_resource("Cluster Disk 7", "TakeOffline", TimeOut=5)
    there.on_resource("Cluster Disk 7", "MoveToNewGroup", Group=VM)
    there.on_resource("Cluster Disk 7", "BringOnline", TimeOut=5)
    there.on_resource(f"Virtual Machine {VM}", "AddDependency", Resource="Cluster Disk 7")
    there.attach(initialize=False)
    assert there.follows()


def test_a_disk_that_somebody_attached_outside_the_cluster_is_taken_into_it(there: ClusterLab) -> None:
    there.node.initialize(there.naa.naa)
    there.node.attach(VM, there.node.drive_path(there.naa.naa), slot=7)
    there.lab.estate.timeline.settle(everything=True)
    there.attach(initialize=False)
    assert there.follows()


def test_a_disk_that_somebody_attached_outside_the_cluster_is_taken_away(there: ClusterLab) -> None:
    before = there.state()
    there.node.initialize(there.naa.naa)
    there.node.attach(VM, there.node.drive_path(there.naa.naa), slot=7)
    there.lab.estate.timeline.settle(everything=True)
    there.detach()
    assert there.state() == before


def test_a_run_asks_what_resources_are_once_and_of_what_it_makes_again(there: ClusterLab) -> None:
    way = requests_of(there, there.attach)
    asked = [request for request in way if "PrivateProperties" in request]
    single = [request for request in way if "Get MSCluster_Resource" in request]
    assert len(asked) == 1
    assert len(single) == 3, "the new disk resource, the configuration's type before its refresh, and what it keeps after it"


# -- what the cluster's configuration keeps of the VM's disks


@pytest.mark.parametrize("way", ["attach", "detach"])
def test_a_refresh_that_changed_nothing_is_noticed_and_everything_undone(
    there: ClusterLab, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "detach":
        there.attach()
    before = there.state()
    monkeypatch.setattr(_Methods, "_refresh", lambda _methods, _resource: None)
    with pytest.raises(StepFailed, match=f"took the request, but its configuration of VM {VM} did not change"):
        getattr(there, way)()
    assert there.state() == before


def test_a_cluster_that_does_not_tell_what_it_keeps_is_believed(there: ClusterLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Part, "_kept", lambda _part, _resource: {})
    there.attach()
    assert there.follows()
    there.detach()
    assert not there.attached()


def test_a_disk_that_was_attached_but_not_told_to_the_cluster_is_taken_away(there: ClusterLab) -> None:
    killed_after(there, there.attach, "AddResourceSettings")
    there.detach()
    assert not there.attached()


# -- a cluster that does not offer the LUN


def test_a_lun_that_the_cluster_does_not_offer_becomes_its_disk_all_the_same(there: ClusterLab) -> None:
    offered = ClusterLab()
    offered.attach()
    there.cluster.offers_disks = False
    before = there.state()
    there.attach()
    assert there.state() == offered.state()
    assert (there.wire.count("AddToCluster"), there.wire.count("CreateResource")) == (0, 1)
    there.detach()
    assert there.state() == before


def test_a_disk_that_the_vm_has_already_is_never_put_into_service_in_available_storage(there: ClusterLab) -> None:
    there.node.initialize(there.naa.naa)
    there.node.attach(VM, there.node.drive_path(there.naa.naa), slot=7)
    there.lab.estate.timeline.settle(everything=True)
    there.attach(initialize=False)
    assert there.wire.count("AddToCluster") == 0


def test_a_disk_that_a_killed_run_left_in_available_storage_is_deleted_on_the_way_back(there: ClusterLab) -> None:
    before = there.state()
    killed_after(there, there.attach, "AddToCluster")
    assert there.cluster.resources[DISK].group == "Available Storage"
    there.detach()
    assert there.state() == before


def test_a_disk_that_has_failed_in_available_storage_is_given_all_the_same(there: ClusterLab) -> None:
    there.add_to_available_storage()
    there.cluster.resources["Cluster Disk 7"].state = FAILED
    there.attach(initialize=False)
    assert (there.cluster.resources["Cluster Disk 7"].group, there.cluster.resources["Cluster Disk 7"].state) == (VM, ONLINE)
    assert there.follows()


def test_a_disk_that_has_failed_is_taken_away_and_nothing_is_left(there: ClusterLab) -> None:
    before = there.state()
    there.attach()
    there.cluster.resources[DISK].state = FAILED
    there.detach()
    assert (there.state(), there.harm()) == (before, "")


def test_a_disk_resource_that_turns_out_to_be_another_lun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told, lie = _Part.disks, dict[str, str]()
    monkeypatch.setattr(_Part, "disks", lambda part: ({**row, **lie} for row in told(part)))
    there = ClusterLab()
    before = there.state()
    there.wire.after_next["AddToCluster"] = lambda: lie.update(UniqueId=f"600A0980{0:024d}")
    with pytest.raises(StepFailed, match="one is a copy of the other"):
        there.attach()
    assert there.state() == before


# -- what is refused


@pytest.mark.parametrize(
    ("lun", "use"), [("hvc1_csv", "Cluster Shared Volume 'Cluster Disk 1'"), ("hvc1_witness", "cluster's own disk 'Cluster Disk Witness'")]
)
def test_a_disk_that_the_cluster_uses_is_refused_by_its_name(there: ClusterLab, lun: str, use: str) -> None:
    there.naa = ScsiName(world.naa_at(lun_path(lun)))
    with pytest.raises(Refused, match=use):
        there.plan_attach()


def test_the_disk_of_another_vm_is_refused(there: ClusterLab) -> None:
    there.attach()
    there.vm_name = OLD_VM
    with pytest.raises(Refused, match=f"resource 'Disk VM {VM} MP .*' of group '{VM}'"):
        there.plan_attach()


def test_what_a_killed_run_has_begun_for_another_vm_is_refused(there: ClusterLab) -> None:
    killed_after(there, there.attach, "BringOnline")
    there.vm_name = OLD_VM
    with pytest.raises(Refused, match=f"group 'Disk VM {VM} MP .* Group'"):
        there.plan_attach()


def test_a_raw_lun_is_not_initialized_without_the_users_word(there: ClusterLab) -> None:
    before = there.state()
    with pytest.raises(Refused, match=r"Linux volume, so say that it is empty, if it is, by initialize=true"):
        there.plan_attach(initialize=False)
    assert there.state() == before
    assert there.lab.estate.medium(there.naa.naa).style == 0


def test_nor_when_it_is_seen_only_after_a_rescan() -> None:
    there = ClusterLab()
    for desk in (there.node, there.other):
        desk.machine.disks = [disk for disk in desk.machine.disks if disk.key != there.naa.naa]
    plan = there.plan_attach(initialize=False)
    there.node.rescan()
    there.other.rescan()
    with pytest.raises(StepFailed, match="so say that it is empty, if it is, by initialize=true"):
        plan.run()
    assert there.lab.estate.medium(there.naa.naa).style == 0


def test_a_lun_that_is_seen_only_after_a_rescan_is_given_all_the_same(there: ClusterLab) -> None:
    for desk in (there.node, there.other):
        desk.machine.disks = [disk for disk in desk.machine.disks if disk.key != there.naa.naa]
    plan = there.plan_attach()
    there.node.rescan()
    there.other.rescan()
    plan.run()
    assert there.follows()


def test_a_lun_with_a_partition_table_is_never_initialized(there: ClusterLab) -> None:
    there.node.initialize(there.naa.naa)
    guid = there.lab.estate.medium(there.naa.naa).guid
    there.attach(initialize=True)
    assert there.lab.estate.medium(there.naa.naa).guid == guid
    assert there.wire.count("Initialize ") == 0


def test_an_mbr_disk_is_known_by_its_signature(there: ClusterLab) -> None:
    there.node.prepare(there.naa.naa)
    assert there.node.on_disk(there.naa.naa, "Initialize", PartitionStyle=1) == "0"
    there.node.on_disk(there.naa.naa, "Offline")
    there.attach()
    assert there.cluster.resources[DISK].private["DiskIdType"] == 0
    assert there.follows()
    there.detach()
    assert DISK not in there.cluster.resources


def test_a_name_that_is_taken_by_another_lun_is_refused(there: ClusterLab) -> None:
    there.attach()
    there.naa = ScsiName(there.lab.map_lun("hv_hvc1", lun_path("hv01_raw"), 78))
    there.node.rescan()
    there.other.rescan()
    with pytest.raises(Refused, match=r"has a resource 'Disk VM .*' already, which is LUN naa\..*: name another mount point"):
        there.plan_attach()


def test_a_copy_of_a_disk_of_the_cluster_is_refused(there: ClusterLab) -> None:
    csv = there.lab.estate.medium(world.naa_at(lun_path("hvc1_csv")))
    copy = there.lab.estate.medium(there.naa.naa)
    copy.style, copy.guid = csv.style, csv.guid
    with pytest.raises(Refused, match="one is a copy of the other"):
        there.plan_attach()


def test_a_mount_point_that_no_name_can_hold_is_refused(there: ClusterLab) -> None:
    with pytest.raises(InvalidInput, match="Mount point"):
        there.plan_attach(mount_point="C:\\m\nt")


def test_a_vm_that_is_no_whole_role_is_refused(there: ClusterLab) -> None:
    del there.cluster.resources[f"Virtual Machine Configuration {VM}"]
    with pytest.raises(Refused, match="repair the role"):
        there.plan_attach()


def test_a_disk_on_which_something_else_depends_is_not_taken_away(there: ClusterLab) -> None:
    there.attach()
    there.cluster.resources[f"Virtual Machine Configuration {VM}"].needs.append(DISK)
    with pytest.raises(StepFailed, match=f"dependency in the cluster binds 'Virtual Machine Configuration {VM}' to resource"):
        there.detach()
    assert there.cluster.resources[f"Virtual Machine {VM}"].needs == [f"Virtual Machine Configuration {VM}", DISK]
    assert there.lab.estate.vms[there.vm.id].power == "on"


# -- a cluster that does not hold still


def test_a_group_that_stays_pending_is_told(there: ClusterLab) -> None:
    there.lab.estate.timeline.seconds = 60
    there.cluster.move_group(there.cluster.groups[VM], NODE2, lambda node: "")
    clock = iter(range(100))
    with pytest.raises(TimedOut, match=f"Group '{VM}' of cluster hvc1 is still pending after 3 s"):
        there.there(clock=lambda: float(next(clock)), sleep=lambda seconds: None)


def test_a_group_that_comes_to_rest_is_waited_for(there: ClusterLab) -> None:
    there.lab.estate.timeline.seconds = 60
    there.cluster.move_group(there.cluster.groups[VM], NODE2, lambda node: "")
    seen = there.there(sleep=lambda seconds: there.lab.estate.timeline.settle(everything=True))
    assert seen.node == "HVC1N2"


def test_a_vm_that_moves_between_plan_and_act_stops_the_plan(there: ClusterLab) -> None:
    before = there.state()
    plan = there.plan_attach()
    there.lab.estate.fail_over(VM, NODE2)
    with pytest.raises(
        StepFailed, match=r"VM c1app01 moved from node HVC1N1 to node HVC1N2 of cluster hvc1 in the meantime: run this task"
    ):
        plan.run()
    there.lab.estate.fail_over(VM, NODE1)
    assert there.state() == before


def test_a_temporary_group_that_a_killed_run_left_on_another_node_is_taken_along(there: ClusterLab) -> None:
    killed_after(there, there.attach, "BringOnline")
    there.lab.estate.fail_over(VM, NODE2)
    there.attach()
    there.lab.estate.fail_over(VM, NODE1)
    assert there.attached()
    assert GROUP not in there.cluster.groups


def test_a_node_that_is_down_is_named(there: ClusterLab) -> None:
    there.lab.estate.machines[NODE1].up = False
    with pytest.raises(Refused, match=r"node hvc1n1\.lab of cluster hvc1 is down"):
        there.plan_attach()


def test_access_denied_in_the_clusters_namespace_is_told_and_what_was_done_is_undone(there: ClusterLab) -> None:
    before = there.state()
    denied = AuthenticationFailed("The user x may not use the namespace root/MSCluster: grant it.")
    there.wire.before[len(there.wire.asked) + number_of("AddToCluster")] = refusing(denied)
    with pytest.raises(StepFailed, match="may not use the namespace root/MSCluster: grant it; undone: create temporary group"):
        there.attach()
    assert there.state() == before


# -- what a run that was killed leaves to the next one

WORDS = {
    "create temporary group": "group",
    "create disk resource": "resource",
    f"move resource '{DISK}' to group '{GROUP}'": "to temporary",
    f"move resource '{DISK}' to group '{VM}'": "to role",
    "bring resource": "online",
    "take resource": "offline",
    "attach": "attach",
    "detach": "detach",
    "refresh": "refresh",
    f"make resource 'Virtual Machine {VM}' depend": "depend",
    f"make resource 'Virtual Machine {VM}' independent": "independent",
    "delete disk resource": "no resource",
    "delete temporary group": "no group",
    "release": "release",
}

LEFT_OF_ATTACH = [
    ("CreateGroup", "resource, to temporary, online, attach, offline, refresh, online, to role, depend, no group"),
    ("AddToCluster", "offline, to temporary, attach, offline, refresh, to role, depend, no group"),
    ("TakeOffline", "to temporary, online, attach, refresh, online, to role, depend, no group"),
    ("MoveToNewGroup", "online, attach, refresh, online, to role, depend, no group"),
    ("BringOnline", "attach, offline, refresh, to role, depend, no group"),
    ("AddResourceSettings", "offline, refresh, to role, depend, no group"),
    ("TakeOffline", "refresh, online, to role, depend, no group"),
    ("ExecuteResourceControl", "refresh, online, to role, depend, no group"),
    ("BringOnline", "offline, refresh, to role, depend, no group"),
    ("MoveToNewGroup", "depend, no group"),
    ("AddDependency", "no group"),
    ("DeleteGroup", ""),
]

LEFT_OF_DETACH = [
    ("CreateGroup", "independent, to temporary, detach, offline, refresh, no resource, no group, release, release"),
    ("RemoveDependency", "to temporary, detach, offline, refresh, no resource, no group, release, release"),
    ("MoveToNewGroup", "detach, offline, refresh, no resource, no group, release, release"),
    ("RemoveResourceSettings", "offline, refresh, no resource, no group, release, release"),
    ("TakeOffline", "refresh, no resource, no group, release, release"),
    ("ExecuteResourceControl", "refresh, no resource, no group, release, release"),
    ("DeleteResource", "no group"),
    ("DeleteGroup", ""),
]


def in_words(plan: Plan) -> str:
    """The steps that a plan would do."""
    return ", ".join(next(word for start, word in WORDS.items() if action.startswith(start)) for action in carry_out(plan, True).actions)


def kill_after_change(there: ClusterLab, number: int) -> None:
    """Let the next run be killed once its change of the cluster or the VM with that number, from 0, was carried out."""
    changes: list[str] = []

    def happened() -> None:
        request = there.wire.asked[-1]
        if is_change(request) and "MSFT_" not in request:
            changes.append(request)
            if len(changes) > number:
                there.wire.after_each.clear()
                kill()

    there.wire.after_each.append(happened)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("number", "change", "left"), [(number, *row) for number, row in enumerate(LEFT_OF_ATTACH)])
def test_the_next_attach_does_what_is_left_and_nothing_else(there: ClusterLab, number: int, change: str, left: str) -> None:
    kill_after_change(there, number)
    with pytest.raises(Killed):
        there.attach()
    assert change in there.wire.asked[-1]
    assert in_words(there.plan_attach()) == left


@pytest.mark.exhaustive
@pytest.mark.parametrize(("number", "change", "left"), [(number, *row) for number, row in enumerate(LEFT_OF_DETACH)])
def test_the_next_detach_does_what_is_left_and_nothing_else(there: ClusterLab, number: int, change: str, left: str) -> None:
    there.attach()
    kill_after_change(there, number)
    with pytest.raises(Killed):
        there.detach()
    assert change in there.wire.asked[-1]
    assert in_words(there.plan_detach()) == left


@pytest.mark.exhaustive
@pytest.mark.parametrize("way", ["attach", "detach"])
@pytest.mark.parametrize("is_ours", [True, False])
def test_what_a_killed_run_has_left_is_no_reason_to_refuse_the_next_one(way: str, is_ours: bool) -> None:
    """Whatever the last change was, nobody but the VM itself has the LUN, or may have it."""
    for number in range(30):
        there = ClusterLab()
        if not is_ours:
            there.add_to_available_storage()
        if way == "detach":
            there.attach()
        kill_after_change(there, number)
        try:
            there.attach() if way == "attach" else there.detach(release=False)
        except Killed:
            last = there.wire.asked[-1]
            found = estate.inventory(there.nodes(), devices=False, images=False)
            told = [str(claim) for claim in without(there.vm.id, claims(there.naa, found))]
            assert told == [], f"killed after {last}"
        else:
            break
    assert number > 3


# -- killed, refused, cut


def killed_after(there: ClusterLab, run: Callable[[], object], method: str) -> None:
    """Kill a run once the first request for a method was carried out."""
    there.wire.after[len(there.wire.asked) + number_of(method)] = kill
    with pytest.raises(Killed):
        run()
    there.wire.after.clear()


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("method", "ended"),
    [
        ("CreateGroup", True),
        ("AddToCluster", True),
        ("AddResourceSettings", True),
        ("ExecuteResourceControl", False),
        ("MoveToNewGroup", True),
    ],
)
def test_a_change_whose_answer_is_lost_counts_when_it_can_be_seen(there: ClusterLab, method: str, ended: bool) -> None:
    before = there.state()
    there.wire.after[len(there.wire.asked) + number_of(method)] = lost
    if ended:
        there.attach()
        assert there.follows()
        return
    with pytest.raises(StepFailed, match="refresh the cluster's configuration"):
        there.attach()
    assert there.state() == before


def number_of(method: str) -> int:
    """The number of the first request for a method on the way of a LUN into the VM."""
    rehearsal = ClusterLab()
    return next(number for number, request in enumerate(requests_of(rehearsal, rehearsal.attach)) if f" {method} " in request)


# -- a LUN that does not exist yet


def test_every_step_that_the_run_makes_was_told_before_there_was_a_lun(there: ClusterLab) -> None:
    planned = carry_out(there.plan_attach(name=PlannedLun("the LUN")), check_mode=True).actions
    assert there.state() == ClusterLab().state()
    done = [action.replace(str(there.naa), "the LUN") for action in there.attach()]
    assert set(done) <= set(planned)
    assert [action for action in planned if action not in done] == []


def test_a_vm_that_is_not_well_in_its_cluster_is_refused_before_there_is_a_lun(there: ClusterLab) -> None:
    there.cluster.resources[f"Virtual Machine {VM}"].state = 3
    with pytest.raises(StepFailed, match="runs, but its resource"):
        carry_out(there.plan_attach(name=PlannedLun("the LUN")), check_mode=True)
