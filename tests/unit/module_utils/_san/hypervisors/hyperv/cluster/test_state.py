# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster is read in a bounded number of requests, and a LUN's resource is found by what is on the LUN."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import state
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import ClusterResource, Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.state import ClusterState
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from tests.lab import world
from tests.lab.hyperv_world import lun_path
from tests.unit.hyperv_cluster import VM, ClusterLab
from tests.unit.lab.hyperv.desk import NODE1
from tests.unit.windows import Wire, client

WITNESS = ScsiName(world.naa_at(lun_path("hvc1_witness")))
MACHINE, CONFIGURATION = f"Virtual Machine {VM}", f"Virtual Machine Configuration {VM}"
OTHER = ScsiName("600a0980" + "0" * 24)


@pytest.fixture
def there() -> ClusterLab:
    return ClusterLab()


def state_of(there: ClusterLab, wire: Wire | None = None) -> ClusterState:
    return state.read(client(there.lab, NODE1, wire), Resources())


def bound(found: ClusterState, name: str) -> list[str]:
    resource = found.resource(name)
    assert resource is not None
    return found.bound_to(resource)


def disk_of(there: ClusterLab, name: ScsiName) -> HostDisk:
    found = disks.find(client(there.lab, NODE1), name, NODE1)
    assert found is not None
    return found


def test_everything_is_read_in_five_enumerations_and_looked_at_again_in_two(there: ClusterLab) -> None:
    wire = Wire()
    before = state_of(there, wire)
    assert len(wire.asked) == 5
    again = state.reread(client(there.lab, NODE1, wire), before)
    assert len(wire.asked) == 7
    assert again == before


def test_groups_and_resources_are_found_in_whatever_case(there: ClusterLab) -> None:
    found = state_of(there)
    group, resource = found.group(VM.upper()), found.resource("cluster disk 1")
    assert group is not None
    assert resource is not None
    assert (group.name, group.node, group.condition, group.pending) == (VM, "HVC1N1", "online", False)
    assert (resource.shared_volume, resource.online, resource.condition) == (True, True, "online")
    assert (found.group("none"), found.resource("none")) == (None, None)


def test_available_storage_is_known_by_its_type_not_by_its_name_in_some_language(there: ClusterLab) -> None:
    group = state_of(there).available_storage()
    assert group is not None
    assert (group.name, group.node) == ("Available Storage", "HVC1N2")
    assert ClusterState().available_storage() is None


def test_the_role_of_a_vm_is_its_group_with_machine_and_configuration(there: ClusterLab) -> None:
    role = state_of(there).role(there.vm.id, VM)
    assert (role.group.name, role.machine, role.configuration) == (VM, f"Virtual Machine {VM}", f"Virtual Machine Configuration {VM}")


def test_what_depends_on_what_is_told(there: ClusterLab) -> None:
    found = state_of(there)
    assert bound(found, CONFIGURATION) == [MACHINE]
    assert bound(found, "Cluster Disk 1") == []


def test_a_link_binds_whichever_way_round_it_is_told(there: ClusterLab) -> None:
    assert bound(state_of(there), MACHINE) == [CONFIGURATION]


def test_a_resource_says_itself_what_it_depends_on(there: ClusterLab) -> None:
    found = replace(state_of(there), links={}, needs=state.needs(client(there.lab, NODE1), [MACHINE, CONFIGURATION]))
    assert found.needs == {MACHINE.lower(): f"([{CONFIGURATION}])".lower(), CONFIGURATION.lower(): ""}
    assert bound(found, CONFIGURATION) == [MACHINE]
    assert bound(found, MACHINE) == []


@pytest.mark.parametrize(
    ("expression", "needed"),
    [
        ("([other]) and ([Disk 1])", True),
        ("([other] or [DISK 1])", True),
        ("[disk 1]", True),
        ("([11111111-97DD-47f0-9b2e-f1007d92699b])", True),
        ("([disk 11])", False),
        ("([a disk 1])", False),
        ("", False),
    ],
)
def test_an_expression_names_a_resource_by_its_name_or_its_id(expression: str, needed: bool) -> None:
    disk = ClusterResource("Disk 1", "Physical Disk", 2, "g", "N1", id="11111111-97dd-47f0-9b2e-f1007d92699b")
    found = ClusterState(resources={"vm": ClusterResource("VM", "Virtual Machine", 2, "g", "N1")}, needs={"vm": expression.lower()})
    assert found.needed_by(disk, "VM") is needed
    assert found.bound_to(disk) == (["VM"] if needed else [])


def test_what_has_no_id_is_known_by_its_name_alone() -> None:
    assert not ClusterState(needs={"vm": "([])"}).needed_by(ClusterResource("Disk 1", "Physical Disk", 2, "g", "N1"), "vm")


def test_a_disk_resource_is_found_by_the_partition_table_of_its_lun(there: ClusterLab) -> None:
    found = state_of(there).disk_resource(WITNESS, disk_of(there, WITNESS))
    assert found is not None
    assert found.name == "Cluster Disk Witness"


def test_or_by_the_name_that_the_cluster_tells_where_no_node_is_asked(there: ClusterLab) -> None:
    found = state_of(there).disk_resource(WITNESS, None)
    assert found is not None
    assert found.name == "Cluster Disk Witness"


def test_a_raw_lun_is_no_resource(there: ClusterLab) -> None:
    assert state_of(there).disk_resource(there.naa, disk_of(there, there.naa)) is None


def test_a_copy_of_a_clusters_disk_is_told_from_it(there: ClusterLab) -> None:
    copy = replace(disk_of(there, WITNESS), name=OTHER)
    with pytest.raises(
        Refused, match=f"LUN {OTHER} has the disk identifier of cluster resource 'Cluster Disk Witness', which is LUN {WITNESS}"
    ):
        state_of(there).disk_resource(OTHER, copy)


def test_the_members_of_a_group(there: ClusterLab) -> None:
    assert {resource.name for resource in state_of(there).members(VM.upper())} == {
        f"Virtual Machine {VM}",
        f"Virtual Machine Configuration {VM}",
    }
