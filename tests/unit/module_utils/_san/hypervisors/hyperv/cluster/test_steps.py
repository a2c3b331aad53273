# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each change of a cluster is made, read back and taken back; what would stop or move something else is refused."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import state, steps
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import ClusteredVm, Observed
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from tests.lab.hyperv.clusters import FAILED, OFFLINE, ONLINE
from tests.unit.hyperv_cluster import DISK, GROUP, VM, ClusterLab
from tests.unit.lab.hyperv.desk import NODE1
from tests.unit.windows import client, lost

pytestmark = pytest.mark.slow

MACHINE = f"Virtual Machine {VM}"
CONFIGURATION = f"Virtual Machine Configuration {VM}"


@pytest.fixture
def lab() -> ClusterLab:
    found = ClusterLab()
    found.node.initialize(found.naa.naa)
    found.cluster.offers_disks = False
    return found


@pytest.fixture
def there(lab: ClusterLab) -> ClusteredVm:
    return lab.there()


def always(_now: Observed) -> bool:
    return True


def go(*steps: Step) -> None:
    for step in steps:
        step.do()
        step.verify()


def state_of(lab: ClusterLab) -> state.ClusterState:
    return state.read(client(lab.lab, NODE1), Resources())


def to_the_role(there: ClusteredVm) -> None:
    """Make the LUN a disk of the VM's group, as the plan does but for the VM itself."""
    go(
        steps.CreateTemporaryGroup(there, always),
        steps.CreateResource(there, always),
        steps.BringOnline(there, always),
        steps.MoveToRole(there, always),
    )


def test_a_step_is_done_when_what_was_observed_does_not_need_it(there: ClusteredVm) -> None:
    step = steps.CreateTemporaryGroup(there, lambda now: now.temporary is None)
    assert not step.done()
    go(step)
    assert step.done()


def test_the_temporary_group_comes_and_goes(lab: ClusterLab, there: ClusteredVm) -> None:
    step = steps.CreateTemporaryGroup(there, always)
    go(step)
    assert lab.cluster.groups[GROUP].owner == "hvc1n1.lab"
    step.undo()
    step.undo()
    assert GROUP not in lab.cluster.groups


def test_a_temporary_group_with_a_disk_in_it_stays(lab: ClusterLab, there: ClusteredVm) -> None:
    step = steps.CreateTemporaryGroup(there, always)
    go(step, steps.CreateResource(there, always))
    with pytest.raises(Refused, match=f"still holds '{DISK.replace(chr(92), chr(92) * 2)}' and will not be deleted"):
        step.undo()
    assert DISK in lab.cluster.resources


def test_a_disk_resource_is_made_and_deleted_even_when_it_has_come_online(lab: ClusterLab, there: ClusteredVm) -> None:
    step = steps.CreateResource(there, always)
    go(steps.CreateTemporaryGroup(there, always), step, steps.BringOnline(there, always))
    assert lab.cluster.resources[DISK].state == ONLINE
    step.undo()
    assert DISK not in lab.cluster.resources


def test_an_offered_disk_is_added_and_deleted_from_available_storage(lab: ClusterLab, there: ClusteredVm) -> None:
    lab.cluster.offers_disks = True
    step = steps.CreateResource(there, always)
    go(steps.CreateTemporaryGroup(there, always), step)
    assert (lab.cluster.resources[DISK].group, there.seen.on_its_way) == ("Available Storage", True)
    step.undo()
    assert DISK not in lab.cluster.resources


def test_a_resource_that_a_killed_run_left_without_a_disk_is_used(lab: ClusterLab, there: ClusteredVm) -> None:
    go(steps.CreateTemporaryGroup(there, always))
    lab.cluster.create_resource(DISK, "Physical Disk", lab.cluster.groups[GROUP])
    go(steps.CreateResource(there, always))
    assert lab.cluster.resources[DISK].private["DiskIdType"] == 1


def test_a_temporary_group_that_is_another_luns_is_refused(lab: ClusterLab, there: ClusteredVm) -> None:
    go(steps.CreateTemporaryGroup(there, always))
    lab.cluster.create_resource("stranger", "Physical Disk", lab.cluster.groups[GROUP])
    with pytest.raises(Refused, match="holds 'stranger', which is not LUN"):
        steps.CreateResource(there, always).do()


def test_going_online_and_offline_is_undone(lab: ClusterLab, there: ClusteredVm) -> None:
    go(steps.CreateTemporaryGroup(there, always), steps.CreateResource(there, always))
    online, offline = steps.BringOnline(there, always), steps.TakeOffline(there, always)
    go(online, offline)
    offline.undo()
    assert lab.cluster.resources[DISK].state == ONLINE
    online.undo()
    assert lab.cluster.resources[DISK].state == OFFLINE


def test_a_resource_that_does_not_come_online_is_told(lab: ClusterLab, there: ClusteredVm) -> None:
    go(steps.CreateTemporaryGroup(there, always), steps.CreateResource(there, always))
    lab.node.machine.disks = [disk for disk in lab.node.machine.disks if disk.key != lab.naa.naa]
    with pytest.raises(RemoteError, match="could not be brought online"):
        steps.BringOnline(there, always).do()


def test_a_move_is_undone(lab: ClusterLab, there: ClusteredVm) -> None:
    step = steps.MoveToRole(there, always)
    go(steps.CreateTemporaryGroup(there, always), steps.CreateResource(there, always), step)
    assert lab.cluster.resources[DISK].group == VM
    step.undo()
    assert lab.cluster.resources[DISK].group == GROUP


def test_a_disk_that_the_vm_needs_is_neither_moved_nor_stopped(lab: ClusterLab, there: ClusteredVm) -> None:
    to_the_role(there)
    go(steps.AddDependency(there, always))
    with pytest.raises(Refused, match=f"dependency in the cluster binds '{MACHINE}' to resource"):
        steps.MoveToTemporary(there, always).do()
    with pytest.raises(Refused, match=f"'{MACHINE}' would be stopped too"):
        steps.TakeOffline(there, always).do()
    with pytest.raises(Refused, match=f"binds '{MACHINE}' to resource"):
        steps.DeleteResource(there, always).do()
    assert lab.lab.estate.vms[lab.vm.id].power == "on"


def depend_on_disk(lab: ClusterLab) -> None:
    """What an administrator does at the worst moment."""
    lab.on_resource(MACHINE, "AddDependency", Resource=DISK)


def test_a_vm_that_was_moved_along_is_noticed_and_brought_home(lab: ClusterLab, there: ClusteredVm) -> None:
    to_the_role(there)
    step = steps.MoveToTemporary(there, always)
    lab.wire.before_next["MoveToNewGroup"] = lambda: depend_on_disk(lab)
    step.do()
    assert lab.cluster.resources[MACHINE].group == GROUP
    with pytest.raises(
        Refused, match=f"VM {VM} is not as it was in cluster hvc1: resource '{MACHINE}' is in group '.* Group', not in '{VM}'"
    ):
        step.verify()
    step.undo()
    assert {resource.group for name, resource in lab.cluster.resources.items() if name.endswith(VM) or name == DISK} == {VM}
    assert lab.lab.estate.vms[lab.vm.id].power == "on"


@pytest.mark.parametrize(("name", "becomes", "harm"), [(MACHINE, OFFLINE, "offline"), (CONFIGURATION, FAILED, "failed")])
def test_nothing_is_taken_offline_while_the_vm_is_not_online_as_it_was(
    lab: ClusterLab, there: ClusteredVm, name: str, becomes: int, harm: str
) -> None:
    go(steps.CreateTemporaryGroup(there, always), steps.CreateResource(there, always), steps.BringOnline(there, always))
    lab.cluster.resources[name].state = becomes
    with pytest.raises(Refused, match=f"resource '{name}' is {harm}, and was online, so that its disk is left alone"):
        steps.TakeOffline(there, always).do()
    assert lab.cluster.resources[DISK].state == ONLINE


def test_what_taking_a_disk_offline_does_to_the_vm_is_seen(lab: ClusterLab, there: ClusteredVm) -> None:
    go(steps.CreateTemporaryGroup(there, always), steps.CreateResource(there, always), steps.BringOnline(there, always))
    step = steps.TakeOffline(there, always)
    step.do()
    lab.cluster.resources[MACHINE].state = OFFLINE
    with pytest.raises(Refused, match=f"resource '{MACHINE}' is offline, and was online"):
        step.verify()


def test_a_vm_that_was_off_may_stay_off(lab: ClusterLab) -> None:
    lab.vm_name = "c1old01"
    assert lab.there().unharmed.online == {"Virtual Machine Configuration c1old01"}


def test_a_vm_that_is_gone_from_the_cluster_is_told(lab: ClusterLab, there: ClusteredVm) -> None:
    del lab.cluster.resources[CONFIGURATION]
    assert there.unharmed.harm(state_of(lab)) == f"resource '{CONFIGURATION}' is gone"


def test_a_dependency_is_added_removed_and_both_are_undone(lab: ClusterLab, there: ClusteredVm) -> None:
    to_the_role(there)
    needs = lab.cluster.resources[MACHINE].needs
    added, removed = steps.AddDependency(there, always), steps.RemoveDependency(there, always)
    go(added)
    assert DISK in needs
    go(removed)
    assert DISK not in needs
    removed.undo()
    assert DISK in needs
    added.undo()
    assert DISK not in needs


def test_a_refresh_that_was_not_answered_does_not_count(lab: ClusterLab, there: ClusteredVm) -> None:
    step = steps.RefreshConfiguration(there, always)
    go(step)
    assert len(lab.lab.estate.controls()) == 1
    assert not step.settled()


def test_leftovers_of_other_luns_go_only_when_everything_of_the_vm_shall_go(lab: ClusterLab, there: ClusteredVm) -> None:
    other = f"Disk VM {VM} LUN 1 Group"
    lab.cluster.create_group(other, 9999, "hvc1n1.lab")
    lab.cluster.create_group(GROUP, 9999, "hvc1n1.lab")
    go(steps.DeleteTemporaryGroups(there, always))
    assert other in lab.cluster.groups
    assert GROUP not in lab.cluster.groups
    go(steps.DeleteTemporaryGroups(there, always, all_of_vm=True))
    assert other not in lab.cluster.groups


class OnVm(Step):
    """A change of the VM that notes what is asked of it."""

    def __init__(self) -> None:
        self.title = "change the VM"
        self.asked: list[str] = []

    def done(self) -> bool:
        return False

    def do(self) -> None:
        self.asked.append("do")

    def undo(self) -> None:
        self.asked.append("undo")

    def settled(self) -> bool:
        return False


def test_a_change_of_the_vm_that_is_undone_is_told_to_the_cluster(lab: ClusterLab, there: ClusteredVm) -> None:
    inner = OnVm()
    step = steps.InStep(there, inner, attaches=True)
    assert not step.done()
    go(step)
    assert step.done()
    assert not step.settled()
    step.undo()
    assert (inner.asked, step.done(), len(lab.lab.estate.controls())) == (["do", "undo"], False, 1)


def test_a_lost_answer_is_read_back(lab: ClusterLab, there: ClusteredVm) -> None:
    step = steps.CreateTemporaryGroup(there, always)
    lab.wire.after[len(lab.wire.asked) + 2] = lost
    with pytest.raises(Exception, match="may have been carried out"):
        step.do()
    assert step.settled()
