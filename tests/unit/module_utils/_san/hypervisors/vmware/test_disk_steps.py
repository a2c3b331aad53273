# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps on a VM's raw disks, against a VM that plays along or does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Overtaken, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import (
    disk_steps,
    host_lun,
    mapping_file,
    rdm,
    snapshots,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.changing import Observed, VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.disk_steps import AttachDisk, DetachDisk, EditDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.faults import Subject
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.host_lun import HostLun
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.mapping_file import MappingFile
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DEVICE_OK,
    PASSTHROUGH,
    Controller,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

LUN = ScsiName("600a0980383030304f4b4f4c4e6f3175")
BUS_0 = Controller("1000", "pvscsi", 0, (0,))
DISK = VirtualDisk(
    key="2003",
    label="Hard disk 2",
    kind=PASSTHROUGH,
    controller="1000",
    bus=0,
    unit=3,
    path="[ds] db01/db01_1.vmdk",
    file_system="datastore-1",
    name=LUN,
    mode="physical",
    disk_mode="independent_persistent",
    sharing="none",
)
THERE = Place(0, 3, "pvscsi", BUS_0)
TO_ADD = Place(1, 0, "pvscsi", None)
PHYSICAL = rdm.Settings("physical", "independent_persistent", "none")
NEW_FILE = MappingFile("", "ds", create=True)


@dataclass
class FakeVmChange:
    """A VM whose observations are given, the last one for ever; changes are noted, and those of an undo, which settles first, are seen."""

    seen: list[Observed]
    name: str = "db01"
    session: Any = None
    applied: list[list[Any]] = field(default_factory=list)
    subjects: list[Subject] = field(default_factory=list)
    settled: int = 0
    stubborn: bool = False
    """No change is seen."""

    def observe(self) -> Observed:
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]

    def settle(self) -> None:
        self.settled += 1

    def device(self, key: str) -> str:
        return f"device {key}"

    def apply(self, _observed: Observed, changes: Sequence[Any], subject: Subject) -> None:
        self.applied.append(list(changes))
        self.subjects.append(subject)
        if self.settled and not self.stubborn:
            for change in changes:
                self.seen[-1] = replace(self.seen[-1], vm=replace(self.seen[-1].vm, disks=_changed(self.seen[-1].vm.disks, change)))


def _changed(disks: Sequence[VirtualDisk], change: Any) -> list[VirtualDisk]:
    """The disks of a VM after a removal, an edit or an addition."""
    verb, *about = change if isinstance(change, tuple) else ("add",)
    if verb == "add":
        return [*disks, DISK]
    rest = [disk for disk in disks if f"device {disk.key}" != about[0]]
    if verb == "remove":
        return rest
    wished = {name: value for name, value in zip(("disk_mode", "sharing"), about[1:]) if value is not None}
    return [replace(disk, **wished) for disk in disks]


def vm(*disks: VirtualDisk, controllers: Sequence[Controller] = (BUS_0,)) -> Observed:
    return Observed(VirtualMachine(id="vm-1", name="db01", host="host-1", disks=disks, controllers=controllers), "7", 19, "connected", "ds")


def disconnected(observed: Observed) -> Observed:
    return replace(observed, connection="disconnected")


def steps_of(change: FakeVmChange) -> VmChange:
    return cast(VmChange, change)


@pytest.fixture(autouse=True)
def on_host(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The LUN is in service on the host; the set holds the paths of mapping files that exist."""
    files: set[str] = set()
    lun = HostLun(cast(Any, None), "host-1", "esx01", "ss-1", "0200", f"naa.{LUN.naa}", 5 * 1024**3, DEVICE_OK)
    monkeypatch.setattr(host_lun, "in_service", lambda _session, _host, _name: lun)
    monkeypatch.setattr(mapping_file, "exists", lambda _change, path, _datastore: path in files)
    monkeypatch.setattr(rdm, "remove_disk", lambda disk, destroy_file: ("remove", disk, destroy_file))
    monkeypatch.setattr(rdm, "remove_controller", lambda controller: ("remove", controller))
    monkeypatch.setattr(rdm, "edit_disk", lambda disk, disk_mode, sharing: ("edit", disk, disk_mode, sharing))
    monkeypatch.setattr(mapping_file, "other_users", lambda _session, _observed, _disk: [])
    monkeypatch.setattr(snapshots, "refuse_if_any_has", lambda _session, _vm, _name: None)
    return files


@pytest.fixture
def neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another VM has a disk on the same mapping file."""
    monkeypatch.setattr(mapping_file, "other_users", lambda _session, _observed, _disk: ["db02"])


class TestAttach:
    def attach(self, *seen: Observed, place: Place = THERE, file: MappingFile = NEW_FILE) -> tuple[AttachDisk, FakeVmChange]:
        change = FakeVmChange(list(seen))
        return AttachDisk(steps_of(change), LUN, place, PHYSICAL, file), change

    def test_it_is_never_done_before_it_was_tried(self) -> None:
        assert not self.attach(vm())[0].done()

    def test_the_disk_is_the_lun_as_its_host_names_it(self) -> None:
        step, change = self.attach(vm())
        step.do()
        ((made,),) = change.applied
        backing = made.device.backing
        assert (backing.lunUuid, backing.deviceName, made.device.capacityInKB) == (
            "0200",
            f"/vmfs/devices/disks/naa.{LUN.naa}",
            5 * 1024**2,
        )
        assert (made.fileOperation, backing.fileName, backing.compatibilityMode) == ("create", "", "physicalMode")
        assert change.subjects == [Subject(lun=str(LUN), vm="db01", host="esx01", datastore="ds")]

    def test_a_vm_that_takes_no_change_gets_none(self) -> None:
        step, change = self.attach(disconnected(vm()))
        with pytest.raises(Refused, match="is disconnected in vCenter"):
            step.do()
        assert change.applied == []

    def test_it_shows_the_disk_and_only_a_controller_that_it_adds(self) -> None:
        disk = {"lun": str(LUN), "mapping_file_on": "ds", "mode": "physical", "disk_mode": "independent_persistent", "sharing": "none"}
        there, _change = self.attach(vm())
        assert there.before() == {"VM db01": {"SCSI(0:3)": None}}
        assert there.after() == {"VM db01": {"SCSI(0:3)": disk}}
        added, _change = self.attach(vm(), place=TO_ADD)
        assert added.title == f"attach LUN {LUN} to VM db01 as SCSI(1:0)"
        assert added.before() == {"VM db01": {"SCSI(1:0)": None, "SCSI controller 1": None}}
        assert added.after() == {"VM db01": {"SCSI(1:0)": disk, "SCSI controller 1": "pvscsi"}}

    def test_it_shows_with_whom_a_new_controller_shares(self) -> None:
        step, _change = self.attach(vm(), place=replace(TO_ADD, shared="physical"))
        assert step.after()["VM db01"]["SCSI controller 1"] == "pvscsi, physical bus sharing"

    def test_disk_and_missing_controller_are_one_change(self) -> None:
        step, change = self.attach(vm(), place=TO_ADD)
        step.do()
        (changes,) = change.applied
        assert [change.device.key for change in changes] == [changes[1].device.controllerKey, changes[1].device.key]
        assert changes[0].device.busNumber == 1

    @pytest.mark.parametrize(
        ("now", "place", "again"),
        [
            (vm(DISK), THERE, False),
            (vm(controllers=[replace(BUS_0, units=(0, 3))]), THERE, True),
            (vm(controllers=[replace(BUS_0, key="1007")]), THERE, True),
            (vm(controllers=[]), THERE, True),
            (vm(controllers=[BUS_0, Controller("1001", "pvscsi", 1)]), TO_ADD, True),
        ],
        ids=["LUN attached", "unit taken", "other controller", "controller gone", "controller came"],
    )
    def test_a_vm_that_was_changed_since_the_plan_is_left_alone(self, now: Observed, place: Place, again: bool) -> None:
        step, change = self.attach(now, place=place)
        with pytest.raises(Refused, match="in the meantime: run this task again") as refusal:
            step.do()
        assert change.applied == []
        assert isinstance(refusal.value, Overtaken) == again, "a LUN that somebody else attached is theirs"

    @pytest.mark.parametrize(
        ("disk", "message"),
        [
            (replace(DISK, unit=4), r"it is SCSI\(0:4\), not SCSI\(0:3\)"),
            (replace(DISK, mode="virtual"), "mode is virtual, not physical"),
            (replace(DISK, sharing="multi_writer"), "sharing is multi_writer, not none"),
        ],
    )
    def test_what_is_read_back_has_to_be_what_was_asked(self, disk: VirtualDisk, message: str) -> None:
        step, _change = self.attach(vm(disk))
        with pytest.raises(RemoteError, match=message):
            step.verify()

    def test_the_disk_mode_of_a_physical_disk_means_nothing(self) -> None:
        step, _change = self.attach(vm(replace(DISK, disk_mode="persistent", sharing="")))
        step.verify()

    def test_a_disk_that_is_not_there_is_not_verified(self) -> None:
        step, _change = self.attach(vm())
        with pytest.raises(RemoteError, match=f"has no disk with LUN {LUN} after the change"):
            step.verify()

    def test_undo_waits_for_the_vm_and_removes_the_disk_with_the_file_and_the_controller_of_this_run(self) -> None:
        disk = replace(DISK, controller="1001", bus=1, unit=0)
        step, change = self.attach(vm(disk, controllers=[BUS_0, Controller("1001", "pvscsi", 1, (0,))]), place=TO_ADD)
        step.undo()
        assert change.settled == 1
        assert change.applied == [[("remove", "device 2003", True), ("remove", "device 1001")]]

    def test_undo_names_what_it_takes_away(self) -> None:
        step, change = self.attach(vm(DISK))
        step.undo()
        assert change.subjects == [Subject(lun=str(LUN), vm="db01", datastore="ds")]

    @pytest.mark.usefixtures("neighbour")
    def test_undo_leaves_a_file_that_another_vm_uses_by_then(self, on_host: set[str]) -> None:
        on_host.add(DISK.path)
        step, change = self.attach(vm(DISK))
        step.undo()
        assert change.applied == [[("remove", "device 2003", False)]]

    def test_undo_removes_a_controller_that_came_without_its_disk(self) -> None:
        step, change = self.attach(vm(controllers=[BUS_0, Controller("1001", "pvscsi", 1, (7,))]), place=TO_ADD)
        step.undo()
        assert change.applied == [[("remove", "device 1001")]]

    def test_undo_without_a_disk_leaves_a_controller_that_somebody_else_uses(self) -> None:
        step, change = self.attach(vm(controllers=[BUS_0, Controller("1001", "pvscsi", 1, (0, 7))]), place=TO_ADD)
        step.undo()
        assert change.applied == []

    def test_undo_leaves_a_controller_that_is_none_of_scsi(self) -> None:
        step, change = self.attach(vm(controllers=[Controller("15000", "ahci", 1)]), place=TO_ADD)
        step.undo()
        assert change.applied == []

    def test_the_disk_mode_of_a_virtual_disk_is_read_back(self) -> None:
        virtual = replace(DISK, mode="virtual", disk_mode="persistent")
        step, _change = self.attach(vm(virtual))
        step.settings = rdm.Settings("virtual", "independent_persistent", "none")
        with pytest.raises(RemoteError, match="disk_mode is persistent, not independent_persistent"):
            step.verify()

    def test_undo_leaves_a_controller_with_something_else_on_it(self) -> None:
        disk = replace(DISK, controller="1001", bus=1, unit=0)
        step, change = self.attach(vm(disk, controllers=[Controller("1001", "pvscsi", 1, (0, 2))]), place=TO_ADD)
        step.undo()
        assert change.applied == [[("remove", "device 2003", True)]]

    def test_undo_leaves_a_controller_that_was_there_before(self) -> None:
        step, change = self.attach(vm(DISK, controllers=[replace(BUS_0, units=(3,))]))
        step.undo()
        assert change.applied == [[("remove", "device 2003", True)]]

    def test_undo_leaves_the_mapping_file_of_another_vm(self, on_host: set[str]) -> None:
        on_host.add(DISK.path)
        step, change = self.attach(vm(DISK), file=MappingFile(DISK.path, "ds", create=False))
        step.undo()
        assert change.applied == [[("remove", "device 2003", False)]]

    def test_undo_that_the_vm_does_not_show_is_told(self) -> None:
        step, change = self.attach(vm(DISK))
        change.stubborn = True
        with pytest.raises(RemoteError, match=f"VM db01 still has LUN {LUN} after it was taken away again"):
            step.undo()

    def test_undo_of_what_did_not_happen_does_nothing(self) -> None:
        step, change = self.attach(vm())
        step.undo()
        assert change.applied == []

    def test_undo_tells_of_a_mapping_file_that_is_left(self, on_host: set[str]) -> None:
        on_host.add(DISK.path)
        step, _change = self.attach(vm(DISK))
        with pytest.raises(RemoteError, match=r"The mapping file \[ds\] db01/db01_1.vmdk of LUN .* was left behind"):
            step.undo()

    def test_undo_does_not_guess_about_a_disk_that_the_host_no_longer_sees(self) -> None:
        step, change = self.attach(vm(replace(DISK, name=None)))
        with pytest.raises(Refused, match="nobody can tell"):
            step.undo()
        assert change.applied == []

    def test_a_controller_for_a_guest_cluster_is_added_with_its_bus_shared_and_shown_so(self) -> None:
        step, change = self.attach(vm(), place=replace(TO_ADD, shared="physical"))
        step.do()
        assert change.applied[0][0].device.sharedBus == "physicalSharing"
        assert step.after()["VM db01"]["SCSI controller 1"] == "pvscsi, physical bus sharing"

    def test_undo_leaves_the_mapping_file_that_another_vm_has_come_to_use(self, on_host: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
        on_host.add(DISK.path)
        monkeypatch.setattr(mapping_file, "other_users", lambda _session, _observed, _disk: ["db02"])
        step, change = self.attach(vm(DISK))
        step.undo()
        assert change.applied == [[("remove", "device 2003", False)]]


class TestEdit:
    def edit(self, *seen: Observed, disk_mode: str | None = None, sharing: str | None = None) -> tuple[EditDisk, FakeVmChange]:
        change = FakeVmChange(list(seen) or [vm(DISK)])
        return EditDisk(steps_of(change), LUN, DISK, disk_mode, sharing), change

    def test_without_a_difference_it_is_done(self) -> None:
        assert self.edit()[0].done()

    def test_it_shows_only_what_changes(self) -> None:
        step, _change = self.edit(sharing="multi_writer")
        assert not step.done()
        assert step.title == f"set sharing multi_writer for LUN {LUN} of VM db01"
        assert step.before() == {"VM db01": {str(LUN): {"sharing": "none"}}}
        assert step.after() == {"VM db01": {str(LUN): {"sharing": "multi_writer"}}}

    def test_what_is_read_back_has_to_be_what_was_asked(self) -> None:
        step, _change = self.edit(sharing="multi_writer")
        with pytest.raises(RemoteError, match="sharing is none"):
            step.verify()

    def test_undo_that_the_vm_does_not_show_is_told(self) -> None:
        step, change = self.edit(vm(replace(DISK, sharing="multi_writer")), sharing="multi_writer")
        change.stubborn = True
        with pytest.raises(RemoteError, match="is not as asked after the change: sharing is multi_writer"):
            step.undo()

    def test_undo_of_what_did_not_happen_does_nothing(self) -> None:
        step, change = self.edit(sharing="multi_writer")
        step.undo()
        assert change.applied == []

    @pytest.mark.parametrize(
        ("wish", "change_of"),
        [
            ({"sharing": "multi_writer"}, (None, "multi_writer")),
            ({"disk_mode": "persistent"}, ("persistent", None)),
            ({"disk_mode": "persistent", "sharing": "multi_writer"}, ("persistent", "multi_writer")),
        ],
        ids=["sharing", "disk mode", "both"],
    )
    def test_only_what_was_asked_is_set_and_undo_sets_it_back(self, wish: dict[str, str], change_of: tuple[str | None, str | None]) -> None:
        changed = vm(replace(DISK, **wish))  # type: ignore[arg-type]
        step, change = self.edit(vm(DISK), changed, **wish)
        step.do()
        step.verify()
        step.undo()
        had = tuple(value and getattr(DISK, setting) for value, setting in zip(change_of, ("disk_mode", "sharing")))
        assert change.applied == [[("edit", "device 2003", *change_of)], [("edit", "device 2003", *had)]]
        assert change.settled == 1, "what undo reads is what the change left"
        assert change.subjects == [Subject(lun=str(LUN), vm="db01", host="of the VM", datastore="ds")] * 2

    def test_undo_sets_back_all_when_only_one_setting_changed(self) -> None:
        half = vm(replace(DISK, sharing="multi_writer"))
        step, change = self.edit(half, disk_mode="persistent", sharing="multi_writer")
        step.undo()
        assert change.applied == [[("edit", "device 2003", "independent_persistent", "none")]]

    def test_undo_leaves_a_vm_that_lost_the_disk(self) -> None:
        step, change = self.edit(vm(), sharing="multi_writer")
        step.undo()
        assert change.applied == []

    def test_a_vm_that_takes_no_change_is_not_edited(self) -> None:
        step, change = self.edit(disconnected(vm(DISK)), sharing="multi_writer")
        with pytest.raises(Refused, match="is disconnected in vCenter"):
            step.do()
        assert change.applied == []

    def test_a_disk_that_is_gone_is_not_verified(self) -> None:
        step, _change = self.edit(vm(), disk_mode="persistent")
        with pytest.raises(RemoteError, match="disk_mode is unknown"):
            step.verify()

    def test_a_disk_that_was_detached_meanwhile_is_not_edited(self) -> None:
        step, _change = self.edit(vm(), sharing="multi_writer")
        with pytest.raises(Refused, match="was detached from VM db01 in the meantime"):
            step.do()


class TestDetach:
    def detach(self, *seen: Observed, other_users: Sequence[str] = ()) -> tuple[DetachDisk, FakeVmChange]:
        change = FakeVmChange(list(seen))
        return DetachDisk(steps_of(change), LUN, DISK, THERE, other_users), change

    def test_the_mapping_file_goes_too(self) -> None:
        step, change = self.detach(vm(DISK))
        step.do()
        assert change.applied == [[("remove", "device 2003", True)]]

    def test_the_mapping_file_goes_when_its_other_user_has_gone_by_then(self) -> None:
        step, change = self.detach(vm(DISK), other_users=["db02"])
        step.do()
        assert change.applied == [[("remove", "device 2003", True)]]

    @pytest.mark.usefixtures("neighbour")
    def test_the_mapping_file_stays_while_another_vm_uses_it(self) -> None:
        step, change = self.detach(vm(DISK), other_users=["db02"])
        step.do()
        assert step.title.endswith("from VM db01, keeping its mapping file for db02")
        assert change.applied == [[("remove", "device 2003", False)]]

    def test_a_disk_that_is_gone_meanwhile_is_not_detached_again_nor_brought_back(self) -> None:
        step, change = self.detach(vm())
        step.do()
        step.verify()
        step.undo()
        assert change.applied == []

    def test_a_disk_that_is_still_there_is_told_also_when_its_lun_is_not_seen(self) -> None:
        for still_there in (DISK, replace(DISK, name=None)):
            with pytest.raises(RemoteError, match="still has LUN"):
                self.detach(vm(still_there))[0].verify()

    def test_a_mapping_file_that_stayed_is_told(self, on_host: set[str]) -> None:
        on_host.add(DISK.path)
        with pytest.raises(RemoteError, match="was left behind"):
            self.detach(vm())[0].verify()

    @pytest.mark.parametrize(("file_left", "operation"), [(False, "create"), (True, None)])
    def test_undo_attaches_it_in_its_place_by_its_mapping_file(self, on_host: set[str], file_left: bool, operation: str | None) -> None:
        step, change = self.detach(vm(DISK), vm())
        step.do()
        if file_left:
            on_host.add(DISK.path)
        step.undo()
        (made,) = change.applied[1]
        assert (made.fileOperation, made.device.backing.fileName) == (operation, DISK.path)
        assert (made.device.controllerKey, made.device.unitNumber) == (1000, 3)

    def test_it_is_never_done_before_it_was_tried(self) -> None:
        assert not self.detach(vm(DISK))[0].done()

    def test_a_lun_that_a_snapshot_has_by_then_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_session: Any, vm: VirtualMachine, name: ScsiName) -> None:
            raise Refused(f"LUN {name} is part of the snapshots nightly of VM {vm.name}")

        monkeypatch.setattr(snapshots, "refuse_if_any_has", refuse)
        step, change = self.detach(vm(DISK))
        with pytest.raises(Refused, match="the snapshots nightly of VM db01"):
            step.do()
        assert change.applied == []

    def test_a_vm_that_takes_no_change_keeps_its_disk(self) -> None:
        step, change = self.detach(disconnected(vm(DISK)))
        with pytest.raises(Refused, match="is disconnected in vCenter"):
            step.do()
        assert change.applied == []

    @pytest.mark.usefixtures("neighbour")
    def test_a_mapping_file_that_another_vm_uses_by_then_stays_and_is_not_missed(self, on_host: set[str]) -> None:
        on_host.add(DISK.path)
        step, change = self.detach(vm(DISK), vm())
        step.do()
        step.verify()
        assert change.applied == [[("remove", "device 2003", False)]]

    def test_undo_waits_for_the_vm_and_brings_back_the_lun_with_its_settings(self) -> None:
        step, change = self.detach(vm(DISK), vm())
        step.disk = replace(DISK, mode="virtual", disk_mode="persistent", sharing="multi_writer")
        step.do()
        step.undo()
        (made,) = change.applied[1]
        backing = made.device.backing
        assert change.settled == 1
        assert (backing.lunUuid, backing.deviceName, made.device.capacityInKB) == (
            "0200",
            f"/vmfs/devices/disks/naa.{LUN.naa}",
            5 * 1024**2,
        )
        assert (backing.compatibilityMode, backing.diskMode, backing.sharing) == ("virtualMode", "persistent", "sharingMultiWriter")
        assert [subject.host for subject in change.subjects] == ["of the VM", "esx01"]

    def test_undo_shares_with_nobody_what_told_no_sharing(self) -> None:
        step, change = self.detach(vm(DISK), vm())
        step.disk = replace(DISK, sharing="")
        step.do()
        step.undo()
        assert change.applied[1][0].device.backing.sharing == "sharingNone"

    def test_undo_that_the_vm_does_not_show_is_told(self) -> None:
        step, change = self.detach(vm(DISK), vm())
        change.stubborn = True
        step.do()
        with pytest.raises(RemoteError, match=f"VM db01 has no disk with LUN {LUN} after it was given back"):
            step.undo()

    def test_undo_does_not_attach_twice_what_is_still_there(self) -> None:
        step, change = self.detach(vm(DISK))
        step.do()
        step.undo()
        assert len(change.applied) == 1

    def test_it_shows_what_goes(self) -> None:
        step, _change = self.detach(vm(DISK))
        shown = step.before()["VM db01"]["SCSI(0:3)"]
        assert (shown["lun"], shown["mapping_file"], shown["mode"]) == (str(LUN), DISK.path, "physical")
        assert step.after() == {"VM db01": {"SCSI(0:3)": None}}

    def test_who_keeps_the_mapping_file_is_told(self) -> None:
        step, _change = self.detach(vm(DISK), other_users=["db02"])
        assert step.title.endswith("from VM db01, keeping its mapping file for db02")

    def test_the_mapping_file_goes_with_the_last_user_also_if_there_was_another_when_it_was_planned(self) -> None:
        step, change = self.detach(vm(DISK), other_users=["db02"])
        step.do()
        assert change.applied == [[("remove", "device 2003", True)]]

    @pytest.mark.parametrize("sharing", ["physical_bus", "virtual_bus"])
    def test_undo_attaches_what_its_bus_shares_without_a_sharing_of_its_own(self, on_host: set[str], sharing: str) -> None:
        on_host.add(DISK.path)
        step, change = self.detach(vm(DISK), vm())
        step.disk = replace(DISK, sharing=sharing)
        step.do()
        step.undo()
        assert change.applied[1][0].device.backing.sharing == "sharingNone"


def test_steps_are_not_done_before_their_vm_has_settled() -> None:
    class Unsettled(FakeVmChange):
        def settle(self) -> None:
            raise RemoteError("still busy")

    step = disk_steps.AttachDisk(steps_of(Unsettled([vm(DISK)])), LUN, THERE, PHYSICAL, NEW_FILE)
    assert not step.settled()
    assert disk_steps.AttachDisk(steps_of(FakeVmChange([vm(DISK)])), LUN, THERE, PHYSICAL, NEW_FILE).settled()
