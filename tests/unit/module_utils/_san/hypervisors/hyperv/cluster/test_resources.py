# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's resources, whichever node tells them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import ClusterResource, Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from tests.lab.hyperv.running import Lab
from tests.unit.windows import Wire, client, refusing


@pytest.mark.parametrize("node", ["hvc1n1.lab", "hvc1n2.lab"])
def test_resources_with_their_groups_and_owners(node: str) -> None:
    found = {resource.name: resource for resource in Resources().read(client(Lab(), node))}
    witness, vm = found["Cluster Disk Witness"], found["Virtual Machine c1app02"]
    assert (witness.type, witness.group, witness.core, witness.state) == (resources.PHYSICAL_DISK, "Cluster Group", True, resources.ONLINE)
    assert witness.disk_guid.startswith("{")
    assert (vm.type, vm.group, vm.node, vm.core) == (resources.VIRTUAL_MACHINE, "c1app02", "HVC1N2", False)
    assert found["Cluster Disk 1"].shared_volume


def private(wire: Wire) -> int:
    """How many requests asked for private properties: enumerations that select them, and whole instances."""
    return wire.count("PrivateProperties") + wire.count("Get MSCluster_Resource")


def test_private_properties_are_asked_once_and_states_every_time() -> None:
    lab, wire = Lab(), Wire()
    reader, login = Resources(), client(lab, "hvc1n1.lab", wire)
    first = reader.read(login)
    lab.estate.clusters["hvc1"].resources["Cluster Disk 1"].state = resources.OFFLINE
    again = reader.read(login)
    assert private(wire) == 1
    assert [replace(now, state=then.state) for now, then in zip(again, first)] == first
    assert next(now.state for now in again if now.name == "Cluster Disk 1") == resources.OFFLINE


def test_a_new_resource_is_asked_what_it_is_and_one_without_a_disk_until_it_has_one() -> None:
    lab, wire = Lab(), Wire()
    reader, login, cluster = Resources(), client(lab, "hvc1n1.lab", wire), lab.estate.clusters["hvc1"]
    reader.read(login)
    cluster.create_resource("new", "Physical Disk", cluster.groups["Available Storage"])
    assert [named(reader.read(login), "new").blank for _turn in range(2)] == [True, True]
    assert private(wire) == 3
    cluster.resources["new"].private = {"DiskIdType": 1, "DiskIdGuid": "{AB-1}"}
    assert [named(reader.read(login), "new").disk_guid for _turn in range(2)] == ["{AB-1}", "{AB-1}"]
    assert private(wire) == 4


def test_a_resource_that_was_made_anew_under_its_name_is_asked_again() -> None:
    lab = Lab()
    reader, login, cluster = Resources(), client(lab, "hvc1n1.lab"), lab.estate.clusters["hvc1"]
    reader.read(login)
    del cluster.resources["Cluster Disk 1"]
    cluster.create_resource("Cluster Disk 1", "Physical Disk", cluster.groups["Available Storage"])
    assert named(reader.read(login), "Cluster Disk 1").blank


def test_a_resource_that_has_gone_before_it_is_asked_is_none() -> None:
    lab, wire = Lab(), Wire()
    reader, login, cluster = Resources(), client(lab, "hvc1n1.lab", wire), lab.estate.clusters["hvc1"]
    before = reader.read(login)
    cluster.create_resource("new", "Physical Disk", cluster.groups["Available Storage"])
    wire.after_next["Enumerate"] = lambda: cluster.delete_resource(cluster.resources["new"])
    assert reader.read(login) == before


def test_a_resource_that_cannot_be_asked_is_told() -> None:
    lab, wire = Lab(), Wire()
    wire.before_next["Get"] = refusing(RemoteError("Broken.", "0x80041001"))
    with pytest.raises(RemoteError, match="Broken"):
        resources.resource_of(client(lab, "hvc1n1.lab", wire), "Cluster Disk 1")


def test_what_is_no_disk_and_no_vm_is_never_asked_what_it_is() -> None:
    lab, wire = Lab(), Wire()
    reader, login, cluster = Resources(), client(lab, "hvc1n1.lab", wire), lab.estate.clusters["hvc1"]
    reader.read(login)
    cluster.create_resource("address", "IP Address", cluster.groups["Available Storage"])
    assert named(reader.read(login), "address").type == "IP Address"
    assert private(wire) == 1


def named(found: list[ClusterResource], name: str) -> ClusterResource:
    return next(resource for resource in found if resource.name == name)


def test_the_vms_that_the_cluster_keeps_running() -> None:
    lab = Lab()
    kept = resources.highly_available(Resources().read(client(lab, "hvc1n1.lab")))
    assert kept == {vm.id for vm in lab.estate.vms.values() if vm.highly_available and vm.host.startswith("hvc1")}


def test_shared_volumes_lead_to_their_disks() -> None:
    assert resources.shared_volumes(client(Lab(), "hvc2n4.lab")) == {
        "C:\\ClusterStorage\\Volume1": "Cluster Disk 1",
        "C:\\ClusterStorage\\Volume2": "Cluster Disk 2",
    }


@pytest.mark.parametrize(
    ("guid", "signature", "disk_guid", "disk_signature", "kept"),
    [
        ("{AB-1}", None, "{ab-1}", None, True),
        ("AB-1", None, "{ab-1}", None, True),
        ("{AB-1}", None, "{ab-2}", None, False),
        ("", 77, "", 77, True),
        ("", 77, "", 78, False),
        ("", None, "", None, False),
    ],
)
def test_a_disk_is_known_by_its_partition_table(
    guid: str, signature: int | None, disk_guid: str, disk_signature: int | None, kept: bool
) -> None:
    resource = ClusterResource("d", resources.PHYSICAL_DISK, resources.ONLINE, "g", "N1", disk_guid=guid, disk_signature=signature)
    assert resource.keeps(HostDisk(3, None, 1, "id", guid=disk_guid, signature=disk_signature)) is kept
