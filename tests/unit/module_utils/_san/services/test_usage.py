# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a LUN, whatever the platform calls its devices."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    ClusterDisk,
    FileSystem,
    Inventory,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import refuse_if_used, users
from tests.unit.ports import NAME, OTHER

APP = VirtualMachine("vm-1", "app", disks=[VirtualDisk("1", "d", "passthrough", name=NAME), VirtualDisk("2", "e", "image")])


@pytest.mark.parametrize("extent", [f"naa.{NAME.naa}", f"wwn-0x{NAME.naa}", f"3{NAME.naa}", NAME.naa.upper()])
def test_vms_and_file_systems_count_in_every_spelling(extent: str) -> None:
    inventory = Inventory(virtual_machines=[APP], file_systems=[FileSystem("ds-1", "gold", "vmfs", extents=["mpx.local", extent])])
    assert [str(user) for user in users(NAME, inventory)] == ["VM app (vm-1)", "vmfs file system gold (ds-1)"]
    assert users(OTHER, inventory) == []


def test_a_refusal_names_the_users_and_the_way_out() -> None:
    refuse_if_used(NAME, [], "deleted", "detach it")
    with pytest.raises(Refused, match=rf"^LUN naa\.{NAME.naa} is used by VM app \(vm-1\) and will not be deleted: detach it\.$"):
        refuse_if_used(NAME, users(NAME, Inventory(virtual_machines=[APP])), "deleted", "detach it")


def kept(vm: str = "", available: bool = False) -> ClusterDisk:
    return ClusterDisk("hvc1:Disk 3", "Disk 3", "some group", "hvc1", NAME, vm, available)


def volume() -> FileSystem:
    return FileSystem("n1:v", "F:", "ntfs", extents=[NAME.windows])


def test_a_clusters_disk_is_a_user_unless_nobody_has_it_yet() -> None:
    assert [str(user) for user in users(NAME, Inventory(cluster_disks=[kept()]))] == ["cluster disk Disk 3 (hvc1:Disk 3)"]
    assert users(NAME, Inventory(cluster_disks=[kept(available=True)])) == []
    assert users(OTHER, Inventory(cluster_disks=[kept()])) == []


def test_a_clusters_disk_is_no_stranger_to_the_vm_that_it_is_kept_for() -> None:
    assert {user.id for user in users(NAME, Inventory([], [APP], [volume()], cluster_disks=[kept(APP.id)]))} == {APP.id}


def test_a_file_system_with_image_files_is_a_user_whomever_its_disk_is_kept_for() -> None:
    resident = VirtualMachine("vm-2", "resident", disks=[VirtualDisk("1", "d", "image", file_system=volume().id)])
    found = users(NAME, Inventory([], [resident], [volume()], cluster_disks=[kept(resident.id)]))
    assert [user.id for user in found] == [volume().id, resident.id]


def test_a_refusal_over_a_clusters_disk_says_where_to_remove_it() -> None:
    with pytest.raises(Refused, match=r"is used by cluster disk Disk 3 .*: remove the disk from the cluster first"):
        refuse_if_used(NAME, users(NAME, Inventory(cluster_disks=[kept()])), "given to VM app", "detach it")
