# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's resources, whichever node tells them."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import ClusterResource
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from tests.lab.hyperv.running import Lab
from tests.unit.windows import client


@pytest.mark.parametrize("node", ["hvc1n1.lab", "hvc1n2.lab"])
def test_resources_with_their_groups_and_owners(node: str) -> None:
    found = {resource.name: resource for resource in resources.resources_of(client(Lab(), node))}
    witness, vm = found["Cluster Disk Witness"], found["Virtual Machine c1app02"]
    assert (witness.type, witness.group, witness.core, witness.state) == (resources.PHYSICAL_DISK, "Cluster Group", True, resources.ONLINE)
    assert witness.disk_guid.startswith("{")
    assert (vm.type, vm.group, vm.node, vm.core) == (resources.VIRTUAL_MACHINE, "c1app02", "HVC1N2", False)
    assert found["Cluster Disk 1"].shared_volume


def test_the_vms_that_the_cluster_keeps_running() -> None:
    lab = Lab()
    kept = resources.highly_available(resources.resources_of(client(lab, "hvc1n1.lab")))
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
