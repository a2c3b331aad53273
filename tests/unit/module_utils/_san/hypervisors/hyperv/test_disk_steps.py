# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps on a LUN's way into a VM and out of it, each done, lost, failed and undone."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.disk_steps import (
    AddController,
    AttachDisk,
    DetachDisk,
    TakeOffline,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
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
