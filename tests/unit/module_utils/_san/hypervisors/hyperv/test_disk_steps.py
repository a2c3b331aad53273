# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps on a LUN's way into a VM and out of it, each done, lost, failed and undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, cast

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    Overtaken,
    Refused,
    RemoteError,
    StepFailed,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import hardware, host_lun, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.changing import Observed, VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.disk_steps import (
    AddController,
    AttachDisk,
    DetachDisk,
    TakeOffline,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.waiting import Waiting
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    PASSTHROUGH,
    SUSPENDED,
    Controller,
    Slot,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import ObjectPath
from tests.lab.hyperv import media
from tests.lab.hyperv.estate import JobError
from tests.lab.hyperv.vms import Attachment
from tests.unit.hyperv_host import GROUP, HOST, HOST_ID, RAW, SPARE, HyperVHost, then_fail
from tests.unit.windows import lost, refusing

NO = RemoteError("the lab says no")


@pytest.fixture
def host() -> HyperVHost:
    found = HyperVHost()
    found.see_spare()
    return found


def run(*steps: Step) -> list[str]:
    return [step.title for step in Plan(steps).run()]


def attach(host: HyperVHost, vm: str = "hvapp01", slot: Slot = Slot(), name: ScsiName = SPARE) -> AttachDisk:  # noqa: B008  # immutable
    change = host.change(vm)
    return AttachDisk(change, name, places.choose(change.observe().vm, slot))


def detach(host: HyperVHost, vm: str = "hvdb01") -> DetachDisk:
    change = host.change(vm)
    disk = change.observe().disk_of(RAW)
    assert disk is not None
    return DetachDisk(change, RAW, disk)


class TestTakeOffline:
    @pytest.fixture
    def step(self, host: HyperVHost) -> TakeOffline:
        host.disk(SPARE).offline = False
        return TakeOffline(host.nodes, HOST_ID, SPARE)

    def test_an_online_disk_without_volumes_goes_offline_and_stays_so(self, host: HyperVHost, step: TakeOffline) -> None:
        assert run(step) == [f"take LUN {SPARE} offline on host {HOST}"]
        assert host.disk(SPARE).offline
        assert run(step) == []

    def test_it_is_online_again_when_a_later_step_fails(self, host: HyperVHost, step: TakeOffline) -> None:
        assert "undone: take LUN" in then_fail(step)
        assert not host.disk(SPARE).offline

    def test_a_lost_answer_is_read_back(self, host: HyperVHost, step: TakeOffline) -> None:
        host.wire.after_next["Offline MSFT_Disk"] = lost
        run(step)
        assert host.disk(SPARE).offline

    def test_what_was_lost_before_it_was_done_leaves_the_disk_as_it_is(self, host: HyperVHost, step: TakeOffline) -> None:
        host.wire.before_next["Offline MSFT_Disk"] = lost
        with pytest.raises(StepFailed, match="connection was lost"):
            run(step)
        assert not host.disk(SPARE).offline

    def test_a_disk_with_volumes_is_refused_by_where_they_are(self, host: HyperVHost, step: TakeOffline) -> None:
        medium = media.formatted(SPARE.naa, 2**30, "NTFS", "new")
        host.lab.estate.media[SPARE.naa] = medium
        medium.partitions[-1].access[HOST] = ["F:\\", "C:\\mt\\"]
        with pytest.raises(
            StepFailed, match=r"Host hv01.lab has LUN .* in use as disk \d+ with F:\\, C:\\mt\\, so it will not be given to a VM"
        ):
            run(step)
        assert not host.disk(SPARE).offline

    def test_a_disk_that_is_going_to_be_written_to_is_told_to_go_offline_after_that(self, host: HyperVHost) -> None:
        step = TakeOffline(host.nodes, HOST_ID, SPARE, writes_first=True)
        assert not step.done(), "raw and offline: it will be brought online first"
        host.lab.estate.media[SPARE.naa] = media.formatted(SPARE.naa, 2**30, "NTFS", "new")
        assert step.done()
        host.estate.disks.remove(host.disk(SPARE))
        assert not step.done()

    def test_a_disk_that_an_earlier_step_will_show_counts_as_done(self, host: HyperVHost) -> None:
        host.estate.disks.remove(host.disk(SPARE))
        assert TakeOffline(host.nodes, HOST_ID, SPARE).done()


class TestAttachDisk:
    def test_the_lun_becomes_a_disk_in_its_place(self, host: HyperVHost) -> None:
        assert run(attach(host)) == [f"attach LUN {SPARE} to VM hvapp01 as SCSI(0:2)"]
        assert f"scsi0:02 raw {SPARE.naa}" in host.slots("hvapp01")

    def test_a_boot_between_plan_and_act_that_gives_other_numbers_does_no_harm(self, host: HyperVHost) -> None:
        step = attach(host)
        host.lab.estate.reboot(HOST)
        run(step)
        assert f"scsi0:02 raw {SPARE.naa}" in host.slots("hvapp01")

    def test_a_boot_between_the_number_and_its_second_look_is_noticed(self, host: HyperVHost) -> None:
        step, before = attach(host), host.slots("hvapp01")
        host.wire.after_next["Msvm_DiskDrive WHERE"] = host.estate.renumber
        with pytest.raises(StepFailed, match="another disk number"):
            run(step)
        assert host.slots("hvapp01") == before

    def test_the_wrong_disk_is_taken_away_again_when_the_numbers_change_at_the_last_moment(self, host: HyperVHost) -> None:
        host.lab.map_lun(GROUP, "/vol/vol_dev/ds_dev", 76)
        host.estate.disks.remove(host.disk(SPARE))
        host.see_spare()
        step, before = attach(host), host.state()
        host.wire.before_next["AddResourceSettings"] = host.estate.renumber
        with pytest.raises(StepFailed, match=r"has no disk with LUN .* but naa\S+ in SCSI\(0:2\); undone: attach LUN"):
            run(step)
        assert host.state() == before

    def test_the_answer_is_lost_after_the_job_was_started(self, host: HyperVHost) -> None:
        step = attach(host)
        host.wire.after_next["AddResourceSettings"] = lost
        run(step)
        assert f"scsi0:02 raw {SPARE.naa}" in host.slots("hvapp01")

    def test_the_request_is_lost_before_it_arrives(self, host: HyperVHost) -> None:
        step, before = attach(host), host.state()
        host.wire.before_next["AddResourceSettings"] = lost
        with pytest.raises(StepFailed, match="connection was lost"):
            run(step)
        assert host.state() == before

    def test_a_job_that_cannot_be_asked_any_more_is_waited_for_and_undone_when_nobody_can_tell(self, host: HyperVHost) -> None:
        step, before = attach(host), host.state()
        host.wire.before_next["Get Msvm_ConcreteJob"] = refusing(NO)
        host.wire.before_next["ASSOCIATORS"] = refusing(NO)
        with pytest.raises(StepFailed, match="undone: attach LUN"):
            run(step)
        assert host.state() == before

    def test_a_failing_job_is_told_in_its_own_words(self, host: HyperVHost) -> None:
        step, before = attach(host), host.state()
        host.lab.estate.job_error = JobError(32768, "Account does not have permission.")
        with pytest.raises(StepFailed, match=r"Hyper-V on host hv01.lab says no: .*Account does not have permission"):
            run(step)
        assert host.state() == before

    def test_it_is_detached_again_when_a_later_step_fails(self, host: HyperVHost) -> None:
        before = host.state()
        assert "undone: attach LUN" in then_fail(attach(host))
        assert host.state() == before

    def test_a_place_that_somebody_else_took_is_not_touched(self, host: HyperVHost) -> None:
        mine, theirs = attach(host), attach(host, name=SPARE)
        run(theirs)
        with pytest.raises(StepFailed, match="attached to VM hvapp01 by somebody else") as failure:
            run(mine)
        assert not failure.value.overtaken, "what is on the LUN by now is theirs"
        assert f"scsi0:02 raw {SPARE.naa}" in host.slots("hvapp01")

    @staticmethod
    def occupy(host: HyperVHost) -> None:
        vm = host.simulated("hvapp01")
        controller = next(found for found in vm.controllers if found.kind == "scsi")
        vm.attachments.append(Attachment("vhd", controller, 2, "C:\\VMs\\theirs.vhdx", 1 << 30))

    def test_a_place_that_is_taken_before_or_while_hyper_v_is_asked_may_be_planned_anew(self, host: HyperVHost) -> None:
        early, late = attach(host), attach(host)
        host.wire.before_next["AddResourceSettings"] = lambda: self.occupy(host)
        for step in (late, early):
            with pytest.raises(StepFailed, match=r"SCSI\(0:2\) of VM hvapp01 was changed by somebody else in the meantime") as failure:
                run(step)
            assert failure.value.overtaken
        run(attach(host))
        assert f"scsi0:03 raw {SPARE.naa}" in host.slots("hvapp01")

    def test_a_failure_for_another_reason_is_not_planned_anew(self, host: HyperVHost) -> None:
        host.lab.estate.job_error = JobError(32768, "Account does not have permission.")
        with pytest.raises(StepFailed) as failure:
            run(attach(host))
        assert not failure.value.overtaken

    def test_a_disk_that_is_online_is_refused_before_hyper_v_is_asked(self, host: HyperVHost) -> None:
        host.disk(SPARE).offline = False
        with pytest.raises(StepFailed, match=r"LUN .* \(disk \d+\) is online on host hv01.lab"):
            run(attach(host))
        assert host.wire.count("AddResourceSettings") == 0

    def test_two_disks_with_one_name_are_refused(self, host: HyperVHost) -> None:
        step = attach(host)
        host.lab.estate.set_multipath(HOST, on=False)
        host.lab.estate.rescan(host.estate)
        with pytest.raises(StepFailed, match=r"shows LUN .* as disks \d+ and \d+.*MPIO"):
            run(step)

    def test_a_lun_that_the_host_does_not_see_is_refused(self, host: HyperVHost) -> None:
        step = attach(host)
        host.estate.disks.remove(host.disk(SPARE))
        with pytest.raises(StepFailed, match=r"Host hv01.lab does not see LUN"):
            run(step)


class TestAddController:
    @pytest.fixture
    def step(self, host: HyperVHost) -> AddController:
        host.simulated("hvide01").power = "off"
        return AddController(host.change("hvide01"), 0)

    def test_the_vm_has_one_more(self, host: HyperVHost, step: AddController) -> None:
        assert run(step) == ["add SCSI controller 0 to VM hvide01"]
        assert host.simulated("hvide01").canonical()["controllers"] == ["ide0", "ide1", "scsi0"]

    def test_the_disk_after_it_goes_onto_it(self, host: HyperVHost, step: AddController) -> None:
        run(step, attach(host, "hvide01", Slot(0, 5)))
        assert f"scsi0:05 raw {SPARE.naa}" in host.slots("hvide01")

    def test_both_are_gone_when_a_later_step_fails(self, host: HyperVHost, step: AddController) -> None:
        before = host.state()
        assert "undone: attach LUN" in then_fail(step, attach(host, "hvide01", Slot(0, 5)))
        assert host.state() == before

    def test_a_controller_with_something_on_it_stays(self, host: HyperVHost, step: AddController) -> None:
        run(step)
        run(attach(host, "hvide01"))
        step.undo()
        assert host.simulated("hvide01").canonical()["controllers"] == ["ide0", "ide1", "scsi0"]

    def test_a_lost_answer_is_read_back(self, host: HyperVHost, step: AddController) -> None:
        host.wire.after_next["AddResourceSettings"] = lost
        run(step)
        assert host.simulated("hvide01").canonical()["controllers"] == ["ide0", "ide1", "scsi0"]

    def test_a_controller_that_somebody_else_added_is_not_joined_by_another(self, host: HyperVHost, step: AddController) -> None:
        host.simulated("hvide01").add_scsi_controller()
        with pytest.raises(StepFailed, match="changed by somebody else") as failure:
            run(step)
        assert failure.value.overtaken
        assert len(host.simulated("hvide01").controllers) == 3

    def test_a_running_vm_takes_none_in_hyper_vs_own_words(self, host: HyperVHost, step: AddController) -> None:
        host.simulated("hvide01").power = "on"
        with pytest.raises(StepFailed, match="must be turned off"):
            run(step)


class TestDetachDisk:
    def test_the_disk_is_gone_and_offline_on_the_host(self, host: HyperVHost) -> None:
        assert run(detach(host)) == [f"detach LUN {RAW} (SCSI(0:1)) from VM hvdb01"]
        assert not host.simulated("hvdb01").raw_disks
        assert host.disk(RAW).offline

    def test_it_is_where_it_was_when_a_later_step_fails(self, host: HyperVHost) -> None:
        before = host.state()
        assert "undone: detach LUN" in then_fail(detach(host))
        assert host.state() == before

    def test_a_lost_answer_is_read_back(self, host: HyperVHost) -> None:
        step = detach(host)
        host.wire.after_next["RemoveResourceSettings"] = lost
        run(step)
        assert not host.simulated("hvdb01").raw_disks

    def test_the_request_is_lost_before_it_arrives(self, host: HyperVHost) -> None:
        step, before = detach(host), host.state()
        host.wire.before_next["RemoveResourceSettings"] = lost
        with pytest.raises(StepFailed, match="connection was lost"):
            run(step)
        assert host.state() == before

    def test_a_disk_that_somebody_else_detached_is_done(self, host: HyperVHost) -> None:
        mine, theirs = detach(host), detach(host)
        run(theirs)
        asked = host.wire.count("RemoveResourceSettings")
        run(mine)
        assert host.wire.count("RemoveResourceSettings") == asked


def test_a_saved_vm_is_refused(host: HyperVHost) -> None:
    step = attach(host)
    host.simulated("hvapp01").power = "saved"
    with pytest.raises(Refused, match="saved or paused"):
        step.do()


# -- each step over a VM that is as it is told


class Scripted(VmChange):
    """A VM that is observed as it is told, and what was asked of it."""

    def __init__(self, *controllers: Controller, disks: Sequence[VirtualDisk] = ()) -> None:  # pylint: disable=super-init-not-called
        self.name = "db01"
        self.now = VirtualMachine("guid", "db01", power="poweredOn", controllers=controllers, disks=disks)
        self.asked: list[str] = []
        self.trouble: CrossvisorError | None = None
        self.waiting = Waiting(0.0)

    def settle(self) -> None:
        self.asked.append("settle")
        if self.trouble:
            raise self.trouble  # pylint: disable=raising-bad-type

    def observe(self) -> Observed:
        self.asked.append("observe")
        return Observed(self.now, cast(Any, None), HOST, cast(Any, None))

    def add_controller(self, now: Observed) -> None:
        self.asked.append("add a controller")

    def add_disk(self, now: Observed, controller: Controller, unit: int, drive: ObjectPath) -> None:
        self.asked.append(f"add {drive} to {controller.key} as {unit}")

    def remove(self, now: Observed, key: str) -> None:
        self.asked.append(f"remove {key}")


FIRST, SECOND = Controller("c0", hardware.SCSI, 0), Controller("c1", hardware.SCSI, 1)
OURS = VirtualDisk("d1", "SCSI(0:1)", PASSTHROUGH, "c0", 0, 1, device="device 7", name=SPARE)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that gives whatever LUN as its disk 7."""
    monkeypatch.setattr(host_lun, "to_give", lambda *_asked: (HostDisk(7, SPARE, 1 << 30, "object"), "drive 7"))
    monkeypatch.setattr(HostDisk, "device", "device 7")


class TestTakeOfflineByWhatTheHostShows:
    @staticmethod
    def showing(host: HyperVHost, monkeypatch: pytest.MonkeyPatch, **disk: Any) -> TakeOffline:
        step = TakeOffline(host.nodes, HOST_ID, SPARE)
        monkeypatch.setattr(step, "_now", lambda: HostDisk(7, SPARE, 1 << 30, "object", **disk) if disk else None)
        host.wire.asked.clear()
        return step

    @pytest.mark.parametrize(
        ("disk", "done"), [({}, True), ({"offline": True}, True), ({"clustered": True}, True), ({"boot": True}, False)], ids=str
    )
    def test_what_a_cluster_keeps_is_left_to_it(
        self, host: HyperVHost, monkeypatch: pytest.MonkeyPatch, disk: dict[str, Any], done: bool
    ) -> None:
        assert self.showing(host, monkeypatch, **disk).done() is done

    @pytest.mark.parametrize("disk", [{}, {"offline": True, "boot": True}], ids=["gone", "offline"])
    def test_what_is_not_in_use_is_not_asked_for(self, host: HyperVHost, monkeypatch: pytest.MonkeyPatch, disk: dict[str, Any]) -> None:
        step = self.showing(host, monkeypatch, **disk)
        step.do()
        step.undo()
        assert host.wire.asked == []

    def test_a_disk_that_this_run_did_not_take_offline_stays_so(self, host: HyperVHost, monkeypatch: pytest.MonkeyPatch) -> None:
        self.showing(host, monkeypatch, offline=True).undo()
        assert host.wire.asked == []

    @pytest.mark.parametrize("disk", [{}, {"offline": False}], ids=["gone", "online"])
    def test_what_is_gone_or_online_again_is_not_brought_online(
        self, host: HyperVHost, monkeypatch: pytest.MonkeyPatch, disk: dict[str, Any]
    ) -> None:
        host.disk(SPARE).offline = False
        step = TakeOffline(host.nodes, HOST_ID, SPARE)
        step.do()
        monkeypatch.setattr(step, "_now", lambda: HostDisk(7, SPARE, 1 << 30, "object", **disk) if disk else None)
        host.wire.asked.clear()
        step.undo()
        assert host.wire.asked == []


class TestAddControllerByWhatTheVmHas:
    @pytest.fixture
    def vm(self) -> Scripted:
        return Scripted(FIRST)

    @pytest.fixture
    def step(self, vm: Scripted) -> AddController:
        """The controller 1 was asked for, beside controller 0."""
        step = AddController(vm, 1)
        step.do()
        vm.asked.clear()
        return step

    def test_a_controller_that_is_missing_afterwards_is_told(self, step: AddController) -> None:
        with pytest.raises(RemoteError, match="VM db01 has no SCSI controller 1 after the change"):
            step.verify()

    def test_the_one_that_was_added_goes_once_the_host_is_done(self, vm: Scripted, step: AddController) -> None:
        vm.now = replace(vm.now, controllers=[FIRST, SECOND])
        step.undo()
        assert vm.asked == ["settle", "observe", "remove c1"]

    @pytest.mark.parametrize(
        "added", [[], [replace(SECOND, units=(3,))], [SECOND, Controller("c2", hardware.SCSI, 2)]], ids=["none", "in use", "two"]
    )
    def test_nothing_goes_that_is_not_for_certain_ours_and_empty(self, vm: Scripted, step: AddController, added: list[Controller]) -> None:
        vm.now = replace(vm.now, controllers=[FIRST, *added])
        step.undo()
        assert vm.asked == ["settle", "observe"]

    def test_nothing_goes_that_was_not_asked_for(self, vm: Scripted) -> None:
        AddController(vm, 1).undo()
        assert vm.asked == []

    def test_nobody_can_tell_while_the_host_does_not(self, vm: Scripted, step: AddController) -> None:
        vm.now, vm.trouble = replace(vm.now, controllers=[FIRST, SECOND]), NO
        assert step.settled() is False
        vm.trouble = None
        assert step.settled() is True


@pytest.mark.usefixtures("given")
class TestAttachDiskByWhatTheVmHas:
    @pytest.fixture
    def vm(self) -> Scripted:
        return Scripted(FIRST)

    @pytest.fixture
    def step(self, vm: Scripted) -> AttachDisk:
        """Disk 7 was asked for at SCSI(0:1)."""
        step = AttachDisk(vm, SPARE, places.Place(0, 1, FIRST))
        step.do()
        vm.asked.clear()
        return step

    @pytest.mark.parametrize(
        ("there", "words"),
        [
            ((), r"and SCSI\(0:1\) is empty"),
            ((replace(OURS, name=RAW),), rf"but {RAW} in SCSI\(0:1\)"),
            ((replace(OURS, name=None),), r"but device 7 in SCSI\(0:1\)"),
            ((replace(OURS, name=None, device="", path="C:\\x.vhdx"),), r"but C:\\x.vhdx in SCSI\(0:1\)"),
        ],
    )
    def test_another_disk_in_the_place_is_told_by_what_is_known_of_it(
        self, vm: Scripted, step: AttachDisk, there: Sequence[VirtualDisk], words: str
    ) -> None:
        vm.now = replace(vm.now, disks=there)
        with pytest.raises(RemoteError, match=f"VM db01 has no disk with LUN {SPARE} after the change, {words}"):
            step.verify()

    def test_the_lun_in_another_place_is_told(self, vm: Scripted, step: AttachDisk) -> None:
        vm.now = replace(vm.now, disks=[replace(OURS, unit=2, label="SCSI(0:2)")])
        with pytest.raises(RemoteError, match=r"was attached to VM db01 as SCSI\(0:2\), not as SCSI\(0:1\)"):
            step.verify()

    @pytest.mark.parametrize("disk", [OURS, replace(OURS, device="device 8"), replace(OURS, name=RAW)], ids=["both", "LUN", "device"])
    def test_what_was_given_goes_again_once_the_host_is_done(self, vm: Scripted, step: AttachDisk, disk: VirtualDisk) -> None:
        vm.now = replace(vm.now, disks=[disk])
        step.undo()
        assert vm.asked == ["settle", "observe", "remove d1"]

    @pytest.mark.parametrize(
        "disks",
        [(), (replace(OURS, name=RAW, device="device 8"),), (replace(OURS, kind=IMAGE),), (replace(OURS, unit=2),)],
        ids=["nothing", "another disk", "an image", "elsewhere"],
    )
    def test_nothing_goes_that_was_not_given(self, vm: Scripted, step: AttachDisk, disks: Sequence[VirtualDisk]) -> None:
        vm.now = replace(vm.now, disks=disks)
        step.undo()
        assert vm.asked == ["settle", "observe"]

    def test_nothing_is_looked_at_where_nothing_was_asked_for(self, vm: Scripted) -> None:
        AttachDisk(vm, SPARE, places.Place(0, 1, FIRST)).undo()
        assert vm.asked == []

    def test_the_place_on_a_controller_that_was_added_is_taken_as_it_is(self, vm: Scripted) -> None:
        AttachDisk(vm, SPARE, places.Place(0, 1, None)).do()
        assert vm.asked[-1] == "add drive 7 to c0 as 1"

    @pytest.mark.parametrize(
        "controllers", [(), (replace(FIRST, key="c9"),), (replace(FIRST, units=(1,)),)], ids=["gone", "other", "taken"]
    )
    def test_a_place_that_is_no_longer_as_planned_is_planned_anew(self, vm: Scripted, controllers: Sequence[Controller]) -> None:
        vm.now = replace(vm.now, controllers=controllers)
        with pytest.raises(Overtaken, match=r"SCSI\(0:1\) of VM db01 was changed by somebody else"):
            AttachDisk(vm, SPARE, places.Place(0, 1, FIRST)).do()
        assert vm.asked == ["observe"]


@pytest.mark.usefixtures("given")
class TestDetachDiskByWhatTheVmHas:
    @pytest.fixture
    def vm(self) -> Scripted:
        return Scripted(FIRST, SECOND, disks=[replace(OURS, controller="c1", bus=1)])

    @pytest.fixture
    def step(self, vm: Scripted) -> DetachDisk:
        """The disk was at SCSI(1:1), and is gone."""
        step = DetachDisk(vm, SPARE, vm.now.disks[0])
        step.do()
        vm.now = replace(vm.now, disks=())
        vm.asked.clear()
        return step

    def test_a_saved_vm_keeps_it(self, vm: Scripted) -> None:
        vm.now = replace(vm.now, power=SUSPENDED)
        with pytest.raises(Refused, match="saved or paused"):
            DetachDisk(vm, SPARE, OURS).do()
        assert vm.asked == ["observe"]

    @pytest.mark.parametrize("disk", [replace(OURS, name=None), replace(OURS, key="d9")], ids=["the disk", "the LUN"])
    def test_a_disk_that_is_still_there_is_told(self, vm: Scripted, step: DetachDisk, disk: VirtualDisk) -> None:
        vm.now = replace(vm.now, disks=[replace(OURS, key="d8", name=RAW), disk])
        with pytest.raises(RemoteError, match=f"VM db01 still has LUN {SPARE} after the change"):
            step.verify()

    def test_what_else_the_vm_has_is_no_trouble(self, vm: Scripted, step: DetachDisk) -> None:
        vm.now = replace(vm.now, disks=[replace(OURS, key="d8", name=RAW)])
        step.verify()
        assert vm.asked == ["observe"]

    def test_it_is_given_back_where_it_was_once_the_host_is_done(self, vm: Scripted, step: DetachDisk) -> None:
        step.undo()
        assert vm.asked == ["settle", "observe", "add drive 7 to c1 as 1"]

    def test_it_is_not_given_back_where_its_controller_is_gone(self, vm: Scripted, step: DetachDisk) -> None:
        vm.now = replace(vm.now, controllers=[FIRST])
        with pytest.raises(RemoteError, match=r"The controller of SCSI\(0:1\) of VM db01 is gone"):
            step.undo()

    def test_it_is_not_given_back_to_whom_has_it(self, vm: Scripted, step: DetachDisk) -> None:
        vm.now = replace(vm.now, disks=[OURS])
        step.undo()
        assert vm.asked == ["settle", "observe"]

    def test_what_was_not_taken_is_not_given_back(self, vm: Scripted) -> None:
        DetachDisk(vm, SPARE, OURS).undo()
        assert vm.asked == []

    def test_a_place_that_was_not_told_is_the_first(self, vm: Scripted) -> None:
        vm.now = replace(vm.now, disks=[replace(OURS, unit=None)])
        step = DetachDisk(vm, SPARE, OURS)
        step.do()
        vm.now = replace(vm.now, disks=())
        step.undo()
        assert vm.asked[-1] == "add drive 7 to c0 as 0"

    def test_the_change_is_told_by_the_lun(self, step: DetachDisk) -> None:
        assert (step.before(), step.after()) == ({"VM db01": {"SCSI(0:1)": {"lun": str(SPARE)}}}, {"VM db01": {"SCSI(0:1)": None}})


@pytest.mark.parametrize("kind", [TakeOffline, AddController, AttachDisk, DetachDisk])
def test_what_a_step_notes_itself_nobody_hands_it(kind: type[TakeOffline | AddController | AttachDisk | DetachDisk]) -> None:
    assert [noted.init for noted in fields(kind) if noted.name.startswith("_")] == [False]
