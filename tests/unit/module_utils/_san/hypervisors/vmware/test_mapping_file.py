# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Datastores as places for the mapping file of a raw disk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.changing import Observed, datastore_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.mapping_file import (
    Home,
    MappingFile,
    existing,
    new,
    other_users,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualDisk, VirtualMachine
from tests.unit import vsphere
from tests.unit.vsphere_inventory import Inventory, devices, raw_disk, refs, snapshot_tree

NAA = "600a0980383030304f4b4f4c4e6f3175"

VMFS = Home("ds_single", "VMFS", supported=True, usable=True, free_bytes=1024**3)


def test_a_mounted_vmfs_datastore_with_space_is_fit() -> None:
    assert VMFS.fit
    VMFS.refuse_unless_fit("app01", "ds_span")


@pytest.mark.parametrize(
    ("home", "message"),
    [
        (replace(VMFS, name="nfs01", kind="NFS", supported=False), "Datastore nfs01 for VM app01 is of type NFS, which cannot hold"),
        (replace(VMFS, usable=False), "Datastore ds_single for VM app01 is not accessible from the host, or in maintenance"),
        (replace(VMFS, free_bytes=4096), "Datastore ds_single for VM app01 has only 4096 bytes free"),
    ],
)
def test_an_unfit_one_is_refused_naming_those_that_would_do(home: Home, message: str) -> None:
    assert not home.fit
    with pytest.raises(Refused, match=rf"{message}.*: choose one of ds_span, ds_x, by datastore \(in a role"):
        home.refuse_unless_fit("app01", "ds_span, ds_x")


def test_a_vm_that_cannot_be_read_may_use_a_mapping_file_too() -> None:
    there = Inventory()
    there.add("Datastore", "datastore-1", vm=refs("VirtualMachine", "vm-1", "vm-2", "vm-3", "vm-4", "vm-5"))
    there.add("VirtualMachine", "vm-1", name="mine", config_hardware_device=devices(raw_disk(NAA)))
    there.add("VirtualMachine", "vm-2", name="node", config_hardware_device=devices(raw_disk(NAA)))
    there.add("VirtualMachine", "vm-3", name="other", config_hardware_device=devices(raw_disk(NAA, fileName="[ds] other/other.vmdk")))
    there.add("VirtualMachine", "vm-4", name="lost", runtime_connectionState="inaccessible")
    delta = raw_disk(NAA, fileName="[ds] snap/snap-000001.vmdk", parent=raw_disk(NAA).backing)
    there.add("VirtualMachine", "vm-5", name="snapshot", config_hardware_device=devices(delta))
    mine = Observed(VirtualMachine("vm-1", "mine"), "1", 20, "connected", "ds")
    disk = VirtualDisk("2001", "Hard disk 2", "passthrough", path="[ds] db01/db01_1.vmdk", file_system="datastore-1")
    assert other_users(there.session, mine, disk) == ["node", "lost", "snapshot"]


def test_a_vm_whose_snapshots_have_a_mapping_file_or_cannot_be_read_uses_it_too() -> None:
    there = Inventory()
    there.add("Datastore", "datastore-1", vm=refs("VirtualMachine", "vm-1", "vm-2", "vm-3", "vm-4"))
    for number, name in ((2, "reverted"), (3, "untold"), (4, "apart")):
        tree = vsphere.array("VirtualMachineSnapshotTree", [snapshot_tree(number, "S")])
        there.add("VirtualMachine", f"vm-{number}", name=name, config_hardware_device=devices(), snapshot_rootSnapshotList=tree)
    there.add("VirtualMachineSnapshot", "snapshot-2", config_hardware_device=devices(raw_disk(NAA)))
    there.add("VirtualMachineSnapshot", "snapshot-3")
    there.add("VirtualMachineSnapshot", "snapshot-4", config_hardware_device=devices(raw_disk(NAA, fileName="[ds] other/other.vmdk")))
    mine = Observed(VirtualMachine("vm-1", "mine"), "1", 20, "connected", "ds")
    disk = VirtualDisk("2001", "Hard disk 2", "passthrough", path="[ds] db01/db01_1.vmdk", file_system="datastore-1")
    assert other_users(there.session, mine, disk) == ["reverted", "untold"]


@pytest.mark.parametrize("wished", ["gold/1", "gold%2f1", "gold%2F1"])
def test_a_datastore_is_found_by_either_spelling_and_named_to_vcenter_by_its_own(wished: str) -> None:
    there = Inventory()
    there.add("HostSystem", "host-1", datastore=refs("Datastore", "datastore-1"))
    there.add(
        "Datastore", "datastore-1", name="gold%2f1", summary_type="VMFS", summary_accessible=True, summary_freeSpace=1 << 30,
        capability_rawDiskMappingsSupported=True,
    )  # fmt: skip
    elsewhere = Observed(VirtualMachine("vm-1", "app", host="host-1"), "1", 20, "connected", "silver")
    assert new(there.session, elsewhere, wished) == MappingFile("[gold%2f1]", "gold/1", create=True)
    at_home = Observed(VirtualMachine("vm-1", "app", host="host-1"), "1", 20, "connected", datastore_of("[gold%2F1] app/app.vmx"))
    assert new(there.session, at_home, wished) == MappingFile("", "gold/1", create=True)
    assert existing(there.session, elsewhere, "db", "[gold%2f1] db/db.vmdk").path == "[gold%2f1] db/db.vmdk"
