# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots that refer to a LUN, at any depth of their tree."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import vsphere
from tests.unit.vsphere_inventory import Inventory, devices, raw_disk, snapshot_tree

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
