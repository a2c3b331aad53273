# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asked before a LUN's data is replaced, and when; and what is told of snapshots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Restoration, RestoreWish, SnapshotRemoval, SnapshotWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, NotFound, Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    MAINTENANCE,
    STANDBY,
    UNREACHABLE,
    FileSystem,
    Hba,
    Host,
    ImageFile,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import snapshots
from tests.unit.ports import NAME, MemoryArray, MemoryHypervisor, lun

INITIATOR = "iqn.2026-01.com.example:a"
HOST = Host("h1", "esx1", hbas=[Hba("vmhba1", "iscsi_software", "online", iqn=INITIATOR)])
WISH = RestoreWish(NAME, "s1", safety_snapshot="safe")


def hypervisor(*having: str, **settings: Any) -> MemoryHypervisor:
    """One host, and the VMs app and db, of which some have the LUN."""
    disk = VirtualDisk("1", "Hard disk 1", "passthrough", name=NAME)
    machines = [VirtualMachine(f"vm-{name}", name, host="h1", disks=[disk] if name in having else []) for name in ("app", "db")]
    return MemoryHypervisor([HOST], machines, **settings)


def restored(array: MemoryArray, asked: MemoryHypervisor | None, check_mode: bool = False, **settings: Any) -> dict[str, Any]:
    return snapshots.restore(array, WISH, (lambda: asked) if asked else None, check_mode, **settings).result()


def test_a_lun_that_nobody_uses_is_restored_after_a_snapshot_of_what_it_held() -> None:
    array, asked = MemoryArray(lun(NAME, initiators=[INITIATOR])), hypervisor()
    result = restored(array, asked)
    assert (array.restored, result["actions"]) == (["s1"], ["take the safety snapshot", "restore the LUN from s1"])
    assert (result["safety_snapshot"]["name"], result["restored"]["naa"], result["restored"]["resized"]) == ("safe", NAME.naa, False)
    assert asked.calls == ["inventory", "hosts", "inventory", "hosts", "close"]
    assert asked.decisions == 2


def test_a_lun_that_a_vm_has_is_not_restored_and_the_way_out_is_told() -> None:
    array, asked = MemoryArray(lun(NAME)), hypervisor("app")
    with pytest.raises(Refused, match=r"is used by VM app \(vm-app\) and will not be restored: unmount it in its guest and say so with"):
        restored(array, asked)
    assert (array.restored, asked.calls[-1]) == ([], "close")


def test_the_vm_whose_guest_has_unmounted_it_is_no_reason_to_refuse_and_any_other_one_is() -> None:
    assert restored(MemoryArray(lun(NAME)), hypervisor("app"), unused_by_vm="app")["changed"]
    with pytest.raises(Refused, match=r"is used by VM db \(vm-db\)"):
        restored(MemoryArray(lun(NAME)), hypervisor("app", "db"), unused_by_vm="app")
    with pytest.raises(NotFound, match="There is no VM 'ap'"):
        restored(MemoryArray(lun(NAME)), hypervisor("app"), unused_by_vm="ap")


def test_a_lun_below_snapshots_of_its_vm_is_not_restored_whatever_is_vouched() -> None:
    asked = hypervisor("app")
    (machine, other) = asked.machines
    disk = replace(machine.disks[0], parents=[ImageFile("[ds] app/app_1.vmdk")])
    asked.machines = [replace(machine, disks=[disk]), other]
    array = MemoryArray(lun(NAME))
    with pytest.raises(Refused, match=r"VM app \(vm-app\) whose own snapshots hold what was written.*: remove the snapshots of the VM"):
        restored(array, asked, unused_by_vm="app", assume_unused=True)
    assert array.restored == []


def test_a_lun_that_snapshots_of_a_vm_have_is_not_restored_whatever_is_vouched_and_told_once() -> None:
    """Also one that was taken from the VM and given back to it, so that its disk is based on nothing."""
    kept = Use("VM", "app", "vm-app", "has it in its snapshots S2", NAME, way_out="remove these snapshots first", in_snapshots=True)
    array, asked = MemoryArray(lun(NAME)), hypervisor("app", uses=[kept])
    for parents in ([], [ImageFile("[ds] app/app_1.vmdk")]):
        (machine, other) = asked.machines
        asked.machines = [replace(machine, disks=[replace(machine.disks[0], parents=parents)]), other]
        with pytest.raises(
            Refused, match=r"is used by VM app \(vm-app\) has it in its snapshots S2 and .*: remove these snapshots first\.$"
        ):
            restored(array, asked, unused_by_vm="app", assume_unused=True)
    assert array.restored == []


def test_that_snapshots_may_have_a_lun_hides_not_that_its_disk_is_one_of_them() -> None:
    dark = Use("VM", "app", "vm-app", "has the snapshots S3, which cannot be read", in_snapshots=True)
    asked = hypervisor("app", uses=[dark])
    (machine, other) = asked.machines
    asked.machines = [replace(machine, disks=[replace(machine.disks[0], parents=[ImageFile("[ds] app/app_1.vmdk")])]), other]
    with pytest.raises(Refused, match="whose own snapshots hold what was written"):
        restored(MemoryArray(lun(NAME)), asked, unused_by_vm="app", assume_unused=True)


def test_a_datastore_is_not_restored_under_its_vms_whatever_is_vouched() -> None:
    asked = hypervisor(file_systems=[FileSystem("ds-1", "ds", "vmfs", extents=[str(NAME)])])
    for settings in ({}, {"assume_unused": True}, {"unused_by_vm": "app"}):
        with pytest.raises(Refused, match="is used by vmfs file system ds"):
            restored(MemoryArray(lun(NAME)), asked, **settings)


def test_a_vm_that_gets_it_meanwhile_keeps_its_data_and_no_safety_snapshot_stays() -> None:
    array, asked = MemoryArray(lun(NAME)), hypervisor()
    asked.meanwhile[2] = lambda: asked.give("db", NAME)
    with pytest.raises(StepFailed, match=r"is used by VM db \(vm-db\) and will not be restored.*undone: take the safety snapshot"):
        restored(array, asked)
    assert array.restored == []


def test_initiators_of_nobody_who_was_asked_are_vouched_for_or_refused() -> None:
    array = MemoryArray(lun(NAME, initiators=[INITIATOR, "iqn.2026-01.com.example:stranger"]))
    with pytest.raises(Refused, match=r"nobody can tell whether .* \(initiator iqn.2026-01.com.example:stranger of igroup g1"):
        restored(array, hypervisor())
    assert "stranger" in restored(array, hypervisor(), assume_unused=True)["warnings"][0]


def test_a_lun_that_snapshots_only_name_is_restored_under_the_vm_that_lets_it_rest_and_under_no_other() -> None:
    """The disk is in physical mode, or independent: the snapshots hold nothing of it."""
    named = Use("VM", "app", "vm-app", "has it in its snapshots S2", NAME, in_snapshots=True, apart=True)
    asked = hypervisor("app", uses=[named])
    assert restored(MemoryArray(lun(NAME)), asked, unused_by_vm="app")["changed"]
    asked = hypervisor("app", uses=[replace(named, name="db", id="vm-db")])
    with pytest.raises(Refused, match="is used by VM db"):
        restored(MemoryArray(lun(NAME)), asked, unused_by_vm="app")


@pytest.mark.parametrize("harmless", [MAINTENANCE, STANDBY])
def test_a_lun_that_a_host_sees_which_cannot_be_asked_is_not_restored(harmless: str) -> None:
    array, asked = MemoryArray(lun(NAME, initiators=[INITIATOR])), hypervisor()
    asked.host_list = [replace(HOST, state=UNREACHABLE)]
    with pytest.raises(
        Refused, match=f"nobody can tell whether .* .initiator {INITIATOR} of igroup g1 belongs to host {HOST.name}, which is not connected"
    ):
        restored(array, asked)
    assert array.restored == []
    asked.host_list = [replace(HOST, state=harmless)]
    assert restored(array, asked)["changed"]


def test_a_lun_that_another_array_presents_too_is_not_restored_whatever_is_vouched() -> None:
    mirror = Use("SnapMirror relationship", "of svm1:/cg/app", "r-1", "presents it there too", NAME)
    for asked in (hypervisor(), None):
        with pytest.raises(Refused, match="presents it there too"):
            restored(MemoryArray(lun(NAME), mirrors=[mirror]), asked, assume_unused=True)


def test_without_a_hypervisor_the_users_word_is_taken() -> None:
    array = MemoryArray(lun(NAME))
    assert restored(array, None, assume_unused=True)["changed"]


def test_check_mode_asks_who_uses_it_and_restores_nothing() -> None:
    array = MemoryArray(lun(NAME))
    result = restored(array, hypervisor(), check_mode=True)
    assert (result["changed"], array.restored, result["safety_snapshot"]) == (True, [], None)
    with pytest.raises(Refused, match="is used by VM app"):
        restored(array, hypervisor("app"), check_mode=True)


def test_another_size_after_the_restoration_is_told() -> None:
    class Smaller(MemoryArray):
        def plan_restore(self, wish: RestoreWish) -> Restoration:
            return replace(super().plan_restore(wish), lun=lambda: replace(self._lun(), size_bytes=1))

    told = restored(Smaller(lun(NAME)), hypervisor())["restored"]
    assert (told["resized"], told["size_bytes"], told["size_before_bytes"]) == (True, 1, lun(NAME).size_bytes)


def test_a_snapshot_is_taken_and_deleted_once() -> None:
    array = MemoryArray(lun(NAME))
    wish, removal = SnapshotWish([NAME], "s1", comment="x"), SnapshotRemoval([NAME], "s1")
    result = snapshots.take(array, wish, False).result()
    assert (result["changed"], result["consistent"], result["snapshots"][0]["comment"]) == (True, True, "x")
    assert not snapshots.take(array, wish, False).outcome.changed
    assert snapshots.listing(array, [NAME], "")["snapshots"][0]["name"] == "s1"
    assert snapshots.remove(array, removal, False).outcome.changed
    assert not snapshots.remove(array, removal, False).outcome.changed


def test_no_lun_is_no_wish() -> None:
    array = MemoryArray(lun(NAME))
    for act in (
        lambda: snapshots.take(array, SnapshotWish([], "s"), False),
        lambda: snapshots.remove(array, SnapshotRemoval([], "s"), False),
        lambda: snapshots.listing(array, [], ""),
    ):
        with pytest.raises(InvalidInput, match="luns names no LUN"):
            act()


def test_a_safety_snapshot_is_named_after_what_is_restored_and_when() -> None:
    assert snapshots.safety_name("s1").startswith("crossvisor_before_s1_2")
    assert len(snapshots.safety_name("x" * 255)) < 255
