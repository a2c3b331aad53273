# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is seen of a VM, its LUN and their cluster, how their objects are called, and when nothing may be done."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import Names
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit.hyperv_cluster import DISK, GROUP, VM, ClusterLab
from tests.unit.lab.hyperv.desk import NODE2

pytestmark = pytest.mark.slow

LUN = ScsiName("600a0980" + "1" * 24)


@pytest.fixture
def there() -> ClusterLab:
    return ClusterLab()


def test_objects_are_named_after_vm_and_mount_point_or_lun() -> None:
    assert Names("vm1", LUN, "C:\\mt1").resource == "Disk VM vm1 MP C:\\mt1"
    assert Names("vm1", LUN).resource == f"Disk VM vm1 LUN {LUN.naa}"
    assert Names("vm1", LUN).temporary_for("Disk VM vm1 MP C:\\mt1") == "Disk VM vm1 MP C:\\mt1 Group"
    assert Names("vm1", LUN).temporary_for("Cluster Disk 7") == f"Disk VM vm1 LUN {LUN.naa} Group"
    assert Names("vm1", LUN, "C:\\mt1").temporary_for("Cluster Disk 7") == f"Disk VM vm1 LUN {LUN.naa} Group"


@pytest.mark.parametrize(
    ("group", "ours"),
    [
        ("Disk VM vm1 MP C:\\mt1 Group", True),
        ("disk vm VM1 lun x group", True),
        ("Disk VM vm1 MP C:\\mt1", False),
        ("Disk VM vm10 MP C:\\mt1 Group", False),
        ("vm1", False),
        ("Available Storage", False),
    ],
)
def test_a_temporary_group_is_known_by_its_name(group: str, ours: bool) -> None:
    assert Names("vm1", LUN).is_temporary(group) is ours


def test_before_anything_was_done(there: ClusterLab) -> None:
    seen = there.there().seen
    assert (seen.resource, seen.attached, seen.settled, seen.temporary, seen.leftovers) == (None, False, False, None, [])
    assert (seen.resource_name, seen.temporary_name) == (DISK, GROUP)


def test_when_all_is_done(there: ClusterLab) -> None:
    there.attach()
    seen = there.there(mount_point="").seen
    assert (seen.settled, seen.in_role, seen.in_temporary, seen.needed, seen.online) == (True, True, False, True, True)
    assert (seen.resource_name, seen.temporary_name) == (DISK, GROUP)


def test_the_node_that_has_the_vm_is_asked(there: ClusterLab) -> None:
    assert there.there().node == "HVC1N1"
    there.lab.estate.fail_over(VM, NODE2)
    assert there.there().node == "HVC1N2"


def test_only_temporary_groups_without_a_disk_are_leftovers(there: ClusterLab) -> None:
    empty, blank, full = (f"Disk VM {VM} LUN {number} Group" for number in range(3))
    for name in (empty, blank, full):
        there.cluster.create_group(name, 9999, "hvc1n1.lab")
    there.cluster.create_group(f"Disk VM {VM} LUN 3 Group", 111, "hvc1n1.lab")
    there.cluster.create_resource(f"Disk VM {VM} LUN 1", "Physical Disk", there.cluster.groups[blank])
    there.cluster.create_resource("another", "Physical Disk", there.cluster.groups[full])
    assert [group.name for group in there.there().seen.leftovers] == [empty, blank]


def test_what_is_pending_is_waited_for(there: ClusterLab) -> None:
    seen = there.there()
    there.lab.estate.timeline.seconds = 60
    there.cluster.move_group(there.cluster.groups[VM], NODE2, lambda node: "")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        there.lab.estate.timeline.settle(everything=True)

    patient = there.there(sleep=sleep)
    assert (patient.node, slept) == ("HVC1N2", [0.1])
    with pytest.raises(Refused, match="moved from node HVC1N1 to node HVC1N2"):
        seen.at_rest()


def test_a_vm_whose_own_resources_a_run_left_in_a_temporary_group_is_refused(there: ClusterLab) -> None:
    there.cluster.create_group(GROUP, 9999, "hvc1n1.lab")
    there.on_resource(f"Virtual Machine {VM}", "MoveToNewGroup", Group=GROUP)
    with pytest.raises(Refused, match=f"The resources of VM {VM} itself are in the temporary group '.* Group'.*Failover Cluster Manager"):
        there.there()


def test_but_not_for_ever(there: ClusterLab) -> None:
    there.lab.estate.timeline.seconds = 60
    there.cluster.move_group(there.cluster.groups[VM], NODE2, lambda node: "")
    clock = iter(range(100))
    with pytest.raises(TimedOut, match="is still pending after 3 s: wait until it has come to rest"):
        there.there(clock=lambda: float(next(clock)), sleep=lambda seconds: None)


def test_a_state_that_does_not_come_about_is_told_with_the_one_that_did(there: ClusterLab) -> None:
    there.attach()
    with pytest.raises(RemoteError, match=rf"but going offline did not come about: resource '.*' is online in group '{VM}', so look at"):
        there.there().wait_for(lambda now: now.offline, "going offline")
