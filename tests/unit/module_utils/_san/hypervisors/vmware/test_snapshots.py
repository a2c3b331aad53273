# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots that refer to a LUN, at any depth of their tree."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.machines import Snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ScsiDevice, Use, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import vsphere
from tests.unit.vsphere_inventory import Inventory, devices, raw_disk, scsi_disk, snapshot_tree

NAA = "600a0980383030304f4b4f4c4e6f3175"
OTHER = "600a0980383030304f4b4f4c4e6f3176"
DB01 = VirtualMachine(id="vm-1", name="db01")


def inventory(*roots: Any, **hardware: Any) -> Inventory:
    there = Inventory()
    there.add(
        "VirtualMachine",
        "vm-1",
        **({"snapshot_rootSnapshotList": vsphere.array("VirtualMachineSnapshotTree", list(roots))} if roots else {}),
    )
    for name, value in hardware.items():
        there.add("VirtualMachineSnapshot", name.replace("_", "-"), config_hardware_device=value)
    return there


def test_a_vm_with_any_snapshot_shares_no_bus() -> None:
    snapshots.refuse_bus_sharing(inventory().session, DB01)
    with pytest.raises(Refused, match="VM db01 has the snapshots newer, old, with which it cannot share a SCSI bus: remove these"):
        snapshots.refuse_bus_sharing(inventory(snapshot_tree(1, "old", snapshot_tree(2, "newer"))).session, DB01)


def test_a_vm_without_snapshots_costs_one_request() -> None:
    there = inventory()
    snapshots.refuse_if_any_has(there.session, DB01, ScsiName(NAA))
    assert there.reads == 1


def test_snapshots_with_other_disks_are_not_in_the_way() -> None:
    there = inventory(snapshot_tree(1, "old"), snapshot_1=devices(raw_disk(OTHER)))
    snapshots.refuse_if_any_has(there.session, DB01, ScsiName(NAA))


def test_every_snapshot_with_the_lun_is_named() -> None:
    there = inventory(
        snapshot_tree(1, "first", snapshot_tree(2, "second", snapshot_tree(3, "third"))),
        snapshot_1=devices(raw_disk(NAA)),
        snapshot_2=devices(),
        snapshot_3=devices(raw_disk(OTHER), raw_disk(NAA, key=2002, unit=2)),
    )
    with pytest.raises(Refused, match=f"LUN naa.{NAA} is part of the snapshots first, third of VM db01: remove these snapshots first"):
        snapshots.refuse_if_any_has(there.session, DB01, ScsiName(NAA))


def test_a_snapshot_that_cannot_be_read_may_have_the_lun() -> None:
    there = inventory(snapshot_tree(1, "old", snapshot_tree(2, "newer")), snapshot_1=devices(raw_disk(OTHER)))
    there.objects["VirtualMachineSnapshot", "snapshot-2"] = {}
    with pytest.raises(Refused, match=f"The snapshots newer of VM db01 cannot be read, so nobody can tell whether LUN naa.{NAA} is part"):
        snapshots.refuse_if_any_has(there.session, DB01, ScsiName(NAA))


def test_a_vm_whose_snapshots_cannot_be_read_is_not_one_without() -> None:
    there = inventory()
    there.missing["VirtualMachine", "vm-1"] = {"snapshot": "Permission was denied"}
    with pytest.raises(Refused, match=r"The snapshots of VM db01 cannot be read \(Permission was denied\)"):
        snapshots.refuse_bus_sharing(there.session, DB01)
    with pytest.raises(Refused, match=r"The snapshots of VM db01 cannot be read \(Permission was denied\)"):
        snapshots.refuse_if_any_has(there.session, DB01, ScsiName(NAA))


# -- what an inventory is told of them

DB02 = VirtualMachine(id="vm-2", name="db02", host="host-2")
ODD = "0100000000313233"


def of(vm: VirtualMachine, *snapshots_of_it: int, unreadable: str = "") -> Snapshots:
    return Snapshots(vm, {f"snapshot-{number}": f"S{number}" for number in snapshots_of_it}, unreadable)


def told(there: Inventory, *taken: Snapshots, seen: tuple[ScsiDevice, ...] = ()) -> list[Use]:
    return list(snapshots.uses(there.session, taken, seen))


def holding(name: str, *snapshots_with_it: str, vm: VirtualMachine = DB01) -> Use:
    how = f"has it in its snapshots {', '.join(snapshots_with_it)}"
    return Use("VM", vm.name, vm.id, how, ScsiName(name), way_out="remove these snapshots first", in_snapshots=True, apart=True)


def test_the_luns_in_the_snapshots_of_all_vms_are_told_by_one_request() -> None:
    there = inventory(
        snapshot_1=devices(),
        snapshot_2=devices(raw_disk(NAA), raw_disk(OTHER, key=2002, unit=2)),
        snapshot_3=devices(raw_disk(NAA)),
        snapshot_4=devices(raw_disk(OTHER)),
    )
    assert told(there, of(DB01, 1, 3, 2), of(DB02, 4)) == [holding(NAA, "S2", "S3"), holding(OTHER, "S2"), holding(OTHER, "S4", vm=DB02)]
    assert there.reads == 1


@pytest.mark.parametrize(
    ("backing", "apart"),
    [
        ({"compatibilityMode": "physicalMode", "diskMode": "persistent"}, True),
        ({"compatibilityMode": "virtualMode", "diskMode": "independent_persistent"}, True),
        ({"compatibilityMode": "virtualMode", "diskMode": "persistent"}, False),
    ],
)
def test_snapshots_hold_nothing_of_a_disk_in_physical_mode_or_an_independent_one(backing: dict[str, Any], apart: bool) -> None:
    (use,) = told(inventory(snapshot_1=devices(raw_disk(NAA, **backing))), of(DB01, 1))
    assert (use.in_snapshots, use.apart) == (True, apart)


def test_without_snapshots_nobody_is_asked() -> None:
    there = inventory()
    assert told(there) == []
    assert told(there, of(DB01)) == []
    assert there.reads == 0


def test_a_snapshot_that_was_removed_meanwhile_holds_nothing() -> None:
    assert told(inventory(snapshot_1=devices(raw_disk(NAA))), of(DB01, 1, 2)) == [holding(NAA, "S1")]


def test_what_of_snapshots_cannot_be_read_may_be_any_lun() -> None:
    there = inventory(snapshot_1=devices(raw_disk(NAA)))
    there.objects["VirtualMachineSnapshot", "snapshot-2"] = {}
    doubts = [
        Use("VM", "db01", "vm-1", "has the snapshots S2, which cannot be read", in_snapshots=True),
        Use("VM", "db02", "vm-2", "does not tell its snapshots because Permission was denied", in_snapshots=True),
    ]
    assert told(there, of(DB01, 1, 2), of(DB02, unreadable="Permission was denied")) == [holding(NAA, "S1"), *doubts]


def test_a_raw_disk_in_a_snapshot_whose_name_only_its_host_knows_is_looked_up_there() -> None:
    there = inventory(snapshot_1=devices(raw_disk(NAA, lunUuid=ODD, deviceName=f"vml.{ODD}")))
    known, local = scsi_disk(NAA), scsi_disk(NAA)
    known.uuid = local.uuid = ODD
    local.canonicalName = "mpx.vmhba0:C0:T1:L0"
    there.add("HostSystem", "host-2", config_storageDevice_scsiLun=vsphere.array("ScsiLun", [known]))
    assert told(there, of(DB02, 1)) == [holding(NAA, "S1", vm=DB02)]
    assert there.reads == 2
    there.add("HostSystem", "host-2", config_storageDevice_scsiLun=vsphere.array("ScsiLun", [local]))
    assert told(there, of(DB02, 1)) == []
    there.add("HostSystem", "host-2", config_storageDevice_scsiLun=vsphere.array("ScsiLun", []))
    unseen = "has raw disks in its snapshots S1 whose LUN its host does not see"
    assert told(there, of(DB02, 1)) == [Use("VM", "db02", "vm-2", unseen, in_snapshots=True)]
    assert told(there, of(DB02, 1), seen=(ScsiDevice("host-2", ODD, ScsiName(NAA), 1),)) == [holding(NAA, "S1", vm=DB02)]


def test_a_raw_disk_in_a_snapshot_whose_lun_nobody_knows_may_be_the_one() -> None:
    there = inventory(snapshot_tree(1, "old"), snapshot_1=devices(raw_disk(NAA, lunUuid=ODD, deviceName=f"vml.{ODD}")))
    with pytest.raises(Refused, match="The snapshots old of VM db01 have raw disks whose LUN its host does not see, so nobody can tell"):
        snapshots.refuse_if_any_has(there.session, DB01, ScsiName(NAA))
