# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is not as it has to be is told before anything of the VM is touched."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.first_look import LookAtPool, LookAtVm
from tests.lab.hyperv.clusters import OFFLINE
from tests.lab.hyperv.providers.cluster import _Methods, _Part
from tests.unit.hyperv_cluster import VM, ClusterLab, is_change
from tests.unit.windows import refusing

pytestmark = pytest.mark.slow

MACHINE, CONFIGURATION = f"Virtual Machine {VM}", f"Virtual Machine Configuration {VM}"


@pytest.fixture
def lab() -> ClusterLab:
    return ClusterLab()


def nothing_was_changed(lab: ClusterLab) -> bool:
    return not [line for line in lab.wire.asked if is_change(line) and "UpdateHostStorageCache" not in line]


@pytest.mark.parametrize("name", [MACHINE, CONFIGURATION])
@pytest.mark.parametrize("way", ["attach", "detach"])
def test_a_vm_that_runs_without_its_resource_is_refused(way: str, name: str) -> None:
    lab = ClusterLab()
    if way == "detach":
        lab.attach()
        lab.wire.asked.clear()
    lab.cluster.resources[name].state = OFFLINE
    with pytest.raises(StepFailed, match=f"VM {VM} runs, but its resource '{name}' is not online in cluster hvc1"):
        getattr(lab, way)()
    assert nothing_was_changed(lab)


def test_a_vm_of_which_nobody_can_tell_whether_it_runs_is_left_alone(lab: ClusterLab) -> None:
    lab.attach()
    lab.lab.estate.vms[lab.vm.id].enabled_state = 10
    with pytest.raises(Refused, match=f"VM {VM} is changing its state"):
        LookAtVm(lab.there()).look()


def test_a_vm_that_is_off_needs_no_resource_online() -> None:
    LookAtVm(ClusterLab(vm_name="c1old01").there()).look()


def test_a_vm_that_was_stopped_since_the_plan_was_made_is_refused(lab: ClusterLab) -> None:
    look = LookAtVm(lab.there())
    lab.cluster.resources[MACHINE].state = OFFLINE
    with pytest.raises(Refused, match=f"resource '{MACHINE}' is offline, and was online"):
        look.look()


def test_dependencies_that_are_not_understood_are_refused(lab: ClusterLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Methods, "dependencies", lambda _methods, _call: {"Expression": "in some other words"})
    lab = ClusterLab()
    with pytest.raises(StepFailed, match=r"that neither of them tells \('in some other words'\), so nobody can tell what VM"):
        lab.attach()
    assert nothing_was_changed(lab)


def test_a_role_without_a_dependency_between_its_resources_is_as_good(lab: ClusterLab) -> None:
    lab.cluster.resources[MACHINE].needs.clear()
    LookAtVm(lab.there()).look()


@pytest.mark.parametrize("told", ["backwards", "as documented"])
def test_the_direction_of_the_association_does_not_matter(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    true = _Part.dependencies
    if told == "backwards":
        swapped = {"Antecedent": "Dependent", "Dependent": "Antecedent"}
        monkeypatch.setattr(_Part, "dependencies", lambda part: ({swapped[end]: path for end, path in row.items()} for row in true(part)))
    LookAtVm(ClusterLab().there()).look()


def test_dependencies_that_may_not_be_asked_for_stop_the_plan_before_it_begins(lab: ClusterLab) -> None:
    lab.wire.before_next["GetDependencies"] = refusing(RemoteError("Not here.", "0x80041024"))
    with pytest.raises(RemoteError, match="Not here"):
        lab.plan_attach()
    assert nothing_was_changed(lab)


def test_a_lun_that_the_node_does_not_offer_to_vms_is_refused_before_the_cluster_is_changed(lab: ClusterLab) -> None:
    lab.node.initialize(lab.naa.naa)
    there = lab.there()
    LookAtPool(there).look()
    assert lab.node.on_disk(lab.naa.naa, "Online") == "0"
    with pytest.raises(Refused, match="is online on host"):
        LookAtPool(there).look()


def test_a_lun_that_is_a_disk_of_the_cluster_is_looked_for_when_it_is_attached(lab: ClusterLab) -> None:
    lab.add_to_available_storage()
    LookAtPool(lab.there()).look()
