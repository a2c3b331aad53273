# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom a cluster keeps its disks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.disks import ClusterDisks
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import (
    FAILED,
    OFFLINE,
    ONLINE,
    PHYSICAL_DISK,
    VIRTUAL_MACHINE,
    ClusterResource,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    PASSTHROUGH,
    ClusterDisk,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from tests.unit.ports import NAME

DB, DB2 = (VirtualMachine(f"ID-{name}", name, cluster="hvc1") for name in ("db", "db 2"))
SHOWN = [HostDisk(4, None, 1, "a", guid="{1}"), HostDisk(2, NAME, 1, "b", guid="{1}"), HostDisk(3, None, 1, "c", guid="{2}")]


def listed(group: str, *formatted: str, name: str = "Disk 1", shared: bool = False) -> list[ClusterDisk]:
    resources = [
        ClusterResource(name, PHYSICAL_DISK, ONLINE, group, "N1", disk_guid="{1}", shared_volume=shared),
        ClusterResource("Virtual Machine db", VIRTUAL_MACHINE, ONLINE, "group of db", "N1", vm_id=DB.id),
    ]
    return ClusterDisks("hvc1", resources, SHOWN, volumes=["disk 1"]).listed([DB, DB2], formatted)


def test_a_disk_bears_the_lun_that_any_node_knows() -> None:
    (disk,) = listed("Cluster Group")
    assert (disk.id, disk.name, disk.group, disk.cluster, disk.lun) == ("hvc1:Disk 1", "Disk 1", "Cluster Group", "hvc1", NAME)


@pytest.mark.parametrize(
    ("group", "vm"),
    [
        ("group of db", DB.id),
        ("Disk VM db MP C:\\mt1 Group", DB.id),
        ("disk vm DB LUN 600a group", DB.id),
        ("Disk VM db 2 MP C:\\mt1 Group", DB2.id),
        ("Disk VM gone MP C:\\mt1 Group", ""),
        ("Cluster Group", ""),
        ("SQL Server", ""),
        ("Available Storage", ""),
    ],
)
def test_it_is_kept_for_the_vm_of_its_group_or_the_one_that_it_is_on_its_way_to(group: str, vm: str) -> None:
    (disk,) = listed(group)
    assert disk.vm == vm


@pytest.mark.parametrize(("name", "vm"), [("Disk VM db MP C:\\mt1", DB.id), ("Disk VM gone MP C:\\mt1", ""), ("Cluster Disk 3", "")])
def test_a_disk_of_ours_that_was_left_in_available_storage_is_still_for_its_vm(name: str, vm: str) -> None:
    assert [disk.vm for disk in listed("Available Storage", name=name)] == [vm]


@pytest.mark.parametrize(
    ("group", "formatted", "available"),
    [("Available Storage", (), True), ("Available Storage", ("Disk 1",), False), ("Cluster Group", (), False), ("group of db", (), False)],
)
def test_only_a_disk_that_nobody_has_and_no_file_system_is_on_is_available(group: str, formatted: tuple[str, ...], available: bool) -> None:
    (disk,) = listed(group, *formatted)
    assert disk.available is available


def test_shared_volumes_are_listed_as_file_systems_instead() -> None:
    assert listed("csv", shared=True) == []


def test_a_disk_that_no_node_shows_has_no_lun() -> None:
    resource = ClusterResource("Lost", PHYSICAL_DISK, ONLINE, "Cluster Group", "N1", disk_guid="{9}")
    found = ClusterDisks("hvc1", [resource], SHOWN)
    assert found.disk_of("Lost") is None
    assert found.listed([], [])[0].lun is None
    assert found.resource_of(SHOWN[0]) is None


def test_a_clustered_disk_of_which_no_node_tells_the_owner_belongs_to_somebody() -> None:
    blind, telling = HostDisk(1, NAME, 1, "a", clustered=True), HostDisk(1, NAME, 1, "b", guid="{1}", clustered=True)
    resource = ClusterResource("CSV", PHYSICAL_DISK, ONLINE, "csv", "N1", disk_guid="{1}", shared_volume=True)
    (unknown,) = ClusterDisks("hvc1", [resource], [blind], ["csv"]).listed([], [])
    assert (unknown.lun, unknown.vm, unknown.available) == (NAME, "", False)
    assert ClusterDisks("hvc1", [resource], [blind, telling], ["csv"]).listed([], []) == [], "the other node knows it as a shared volume"


def test_a_shared_volume_that_the_cluster_lists_no_volume_of_is_a_disk_like_any() -> None:
    resource = ClusterResource("CSV", PHYSICAL_DISK, ONLINE, "csv", "N1", disk_guid="{1}", shared_volume=True)
    assert [disk.lun for disk in ClusterDisks("hvc1", [resource], SHOWN).listed([], [])] == [NAME]


def doubts(resource: ClusterResource, told: Mapping[str, ScsiName] | None = None, **known: Collection[str]) -> list[Use]:
    role = ClusterResource("Virtual Machine db", VIRTUAL_MACHINE, ONLINE, "group of db", "N1", vm_id=DB.id)
    known = {"asked": ["N1"], **known}
    return ClusterDisks("hvc1", [resource, role], SHOWN, told=told or {}, **known).doubts([DB, DB2], [])


@pytest.mark.parametrize(("group", "bears"), [("Cluster Group", "hvc1:Lost"), ("group of db", DB.id)])
def test_a_disk_that_no_node_shows_may_be_any_lun_unless_the_cluster_tells(group: str, bears: str) -> None:
    lost = ClusterResource("Lost", PHYSICAL_DISK, ONLINE, group, "N1", disk_guid="{9}")
    (doubt,) = doubts(lost)
    assert (doubt.lun, doubt.id, doubt.how) == (None, bears, "is a disk whose LUN no node of its cluster sees")
    assert doubts(lost, told={"lost": NAME}) == []
    (disk,) = ClusterDisks("hvc1", [lost], SHOWN, told={"lost": NAME}).listed([], [])
    assert disk.lun == NAME


@pytest.mark.parametrize(("luns", "doubted"), [([NAME], 0), ([], 2), ([None], 2)])
def test_a_disk_whose_guest_wrote_another_partition_table_is_told_by_its_vm(luns: list[ScsiName | None], doubted: int) -> None:
    """A disk for image files may be in the role as well, so that there must be a LUN for each of the resources."""
    vm = replace(DB, disks=[VirtualDisk(str(lun), "", PASSTHROUGH, name=lun) for lun in luns])
    role = ClusterResource("Virtual Machine db", VIRTUAL_MACHINE, ONLINE, "group of db", "N1", vm_id=DB.id)
    first, second = (ClusterResource(f"Disk {guid}", PHYSICAL_DISK, ONLINE, "group of db", "N1", disk_guid=guid) for guid in ("{8}", "{9}"))
    shown = [HostDisk(7, NAME, 1, "x", guid="{7}", clustered=True)]
    assert len(ClusterDisks("hvc1", [role, first, second], shown, asked=["N1"]).doubts([vm, DB2], [])) == 2
    assert len(ClusterDisks("hvc1", [role, first], shown, asked=["N1"]).doubts([vm, DB2], [])) == min(doubted, 1)


@pytest.mark.parametrize(("file_system", "doubted"), [("hvc1:csv", 0), ("", 1)])
def test_an_unseen_disk_may_be_the_one_below_image_files_that_are_nowhere_to_be_found(file_system: str, doubted: int) -> None:
    disks = [VirtualDisk("data", "", PASSTHROUGH, name=NAME), VirtualDisk("system", "", IMAGE, file_system=file_system)]
    role = ClusterResource("Virtual Machine db", VIRTUAL_MACHINE, ONLINE, "group of db", "N1", vm_id=DB.id)
    lost = ClusterResource("Lost", PHYSICAL_DISK, ONLINE, "group of db", "N1", disk_guid="{8}")
    shown = [HostDisk(7, NAME, 1, "x", guid="{7}")]
    assert len(ClusterDisks("hvc1", [role, lost], shown, asked=["N1"]).doubts([replace(DB, disks=disks)], [])) == doubted


def test_a_clustered_disk_of_which_the_cluster_tells_the_resource_is_no_strangers() -> None:
    resource = ClusterResource("Disk 9", PHYSICAL_DISK, ONLINE, "group of db", "N1", disk_guid="{9}")
    shown = [HostDisk(7, NAME, 1, "x", guid="{7}", clustered=True)]
    (disk,) = ClusterDisks("hvc1", [resource], shown, told={"disk 9": NAME}).listed([], [])
    assert (disk.name, disk.lun) == ("Disk 9", NAME)


def test_a_disk_that_a_node_shows_without_a_name_is_no_lun() -> None:
    assert doubts(ClusterResource("Local", PHYSICAL_DISK, ONLINE, "Cluster Group", "N1", disk_guid="{2}")) == []


@pytest.mark.parametrize(
    ("resource", "free"),
    [
        (ClusterResource("New", PHYSICAL_DISK, OFFLINE, "Disk VM db LUN 6 Group", "N1"), True),
        (ClusterResource("New", PHYSICAL_DISK, ONLINE, "Cluster Group", "N1"), False),
        (ClusterResource("New", PHYSICAL_DISK, OFFLINE, "Cluster Group", "N1", core=True), False),
        (ClusterResource("New", PHYSICAL_DISK, OFFLINE, "csv", "N1", shared_volume=True), False),
        (ClusterResource("New", PHYSICAL_DISK, OFFLINE, "Cluster Group", "N1", disk_signature=7), False),
    ],
)
def test_only_a_resource_that_was_never_given_a_disk_keeps_none(resource: ClusterResource, free: bool) -> None:
    assert (doubts(resource) == []) is free


@pytest.mark.parametrize("state", [OFFLINE, FAILED, 129, 0])
def test_nobody_can_tell_what_is_on_a_disk_in_available_storage_that_is_out_of_service(state: int) -> None:
    (doubt,) = doubts(ClusterResource("Disk 1", PHYSICAL_DISK, state, "Available Storage", "N1", disk_guid="{1}"))
    assert (doubt.lun, doubt.doubt, doubt.id) == (NAME, True, "hvc1:Disk 1")


@pytest.mark.parametrize(("node", "told"), [("N1", True), ("N2", False)])
def test_nor_what_is_on_one_whose_owner_was_not_asked(node: str, told: bool) -> None:
    assert (doubts(ClusterResource("Disk 1", PHYSICAL_DISK, ONLINE, "Available Storage", node, disk_guid="{1}")) == []) is told


@pytest.mark.parametrize(
    ("name", "group", "vm"),
    [
        ("Disk VM db MP C:\\mt1", "", DB.id),
        ("Disk 1", f"disk vm db lun {NAME.naa} group", DB.id),
        ("Disk 1", "disk vm db lun 600a098000000000000000000000000 group", "hvc1:Disk 1"),
        ("Disk 1", "disk vm db mp c:\\mt1 group", "hvc1:Disk 1"),
    ],
)
def test_what_a_killed_run_took_out_of_service_is_no_stranger_to_its_vm(name: str, group: str, vm: str) -> None:
    resource = ClusterResource(name, PHYSICAL_DISK, OFFLINE, "Available Storage", "N1", disk_guid="{1}")
    assert [doubt.id for doubt in doubts(resource, groups=[group])] == [vm]
