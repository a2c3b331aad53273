# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving a LUN to a VM of a pool and taking it back, by the services' rules: which calls, what is refused, and what is left."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    InvalidInput,
    OutcomeUnknown,
    Refused,
    StepFailed,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import repositories
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.backend import Xen
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach
from tests.unit.xapi import LOCAL, LUN, OTHER, SIZE, Pool, failure


def request(vm: str = "app01", name: ScsiName = LUN, **wish: Any) -> attach.AttachRequest:
    return attach.AttachRequest(vm=vm, wish=DiskWish(name, **{"timeout": 0.0, **wish}))


def hypervisor(pool: Pool) -> Xen:
    return Xen(pool.connection, session=pool)  # type: ignore[arg-type]


def give(pool: Pool, vm: str = "app01", **wish: Any) -> attach.AttachReport:
    return attach.attach(hypervisor(pool), request(vm, **wish), check_mode=False, sleep=lambda _seconds: None)


def take(pool: Pool, vm: str = "app01", release: bool = False) -> attach.AttachReport:
    return attach.detach(hypervisor(pool), request(vm), release, check_mode=False, sleep=lambda _seconds: None)


def over_iscsi() -> Pool:
    pool = Pool()
    pool.add_raw_iscsi()
    pool.map_iscsi()
    return pool


def over_fc() -> Pool:
    pool = Pool()
    pool.map_fc()
    return pool


def left(pool: Pool) -> dict[str, Any]:
    """What a change may leave: everything but VDIs that a scan has listed."""
    kept = copy.deepcopy(pool.db)
    for kind in ("VDI", "SR"):
        for record in kept[kind].values():
            record.pop("VDIs", None)
    kept["VDI"] = {ref: vdi for ref, vdi in kept["VDI"].items() if "SCSIid" not in vdi["sm_config"]}
    return kept


class TestOverIscsi:
    def test_a_running_guest_gets_the_lun_itself(self) -> None:
        pool = over_iscsi()
        report = give(pool)
        (vbd,) = pool.vbds(pool.vm)
        vdi = pool.db["VDI"][vbd["VDI"]]
        assert (vdi["uuid"], vdi["sm_config"]["SCSIid"]) == (repositories.vdi_uuid(LUN), LUN.xapi)
        assert (vbd["userdevice"], vbd["currently_attached"]) == ("0", True)
        assert report.attachment is not None
        assert (report.attachment.disk.mode, report.attachment.guest_address) == ("physical", "SCSI(0:0)")
        assert report.attachment.disk.label == "xvda"
        assert not report.outcome.warnings

    def test_the_second_run_changes_nothing(self) -> None:
        pool = over_iscsi()
        give(pool)
        pool.calls.clear()
        assert not give(pool).outcome.changed
        assert pool.changes == []

    def test_a_guest_that_is_off_gets_it_at_its_next_start(self) -> None:
        pool = over_iscsi()
        give(pool, "app02")
        assert pool.changes == ["VBD.create"]

    def test_an_asked_place_is_taken(self) -> None:
        pool = over_iscsi()
        give(pool, slot=Slot(0, 5))
        assert pool.vbds(pool.vm)[0]["userdevice"] == "5"

    def test_a_killed_run_that_did_not_plug_it_in_is_finished(self) -> None:
        pool = over_iscsi()
        give(pool)
        pool.vbds(pool.vm)[0]["currently_attached"] = False
        assert give(pool).outcome.changed
        assert pool.vbds(pool.vm)[0]["currently_attached"]

    def test_several_vms_may_have_it_when_that_is_asked_for(self) -> None:
        pool = over_iscsi()
        give(pool, sharing="multi_writer")
        give(pool, "app02", sharing="multi_writer")
        assert len(pool.vbds(pool.vm)) == len(pool.vbds(pool.off)) == 1
        assert pool.db["VDI"][pool.vbds(pool.vm)[0]["VDI"]]["sharable"]

    def test_what_was_made_sharable_for_a_disk_that_fails_is_so_no_more(self) -> None:
        pool = over_iscsi()
        pool.fail["VBD.create"] = failure("VDI_READONLY")
        with pytest.raises(StepFailed, match="the disk is read-only"):
            give(pool, sharing="multi_writer")
        assert not any(vdi["sharable"] for vdi in pool.db["VDI"].values())

    def test_a_lun_that_another_vm_has_is_refused(self) -> None:
        pool = over_iscsi()
        give(pool, "app02")
        with pytest.raises(Refused, match=r"is used by VM app02 .* and will not be given to VM app01"):
            give(pool)

    @pytest.mark.parametrize("kind", ["lvmoiscsi", "lvmohba", "gfs2"])
    def test_a_lun_that_carries_a_repository_of_the_pool_is_refused(self, kind: str) -> None:
        pool = over_iscsi()
        pool.add_sr(kind, {"SCSIid": LUN.xapi})
        with pytest.raises(Refused, match=f"is used by {kind} file system {kind}"):
            give(pool)

    def test_a_lun_that_carries_a_repository_of_another_pool_is_refused(self) -> None:
        pool = over_iscsi()
        pool.carried[LUN] = ["0000-of-another-pool"]
        before = left(pool)
        with pytest.raises(StepFailed, match="carries the storage repository 0000-of-another-pool of another pool"):
            give(pool)
        assert left(pool) == before

    def test_a_lun_shown_to_initiators_of_nobody_is_refused(self) -> None:
        pool = over_iscsi()
        foreign = attach.AttachRequest("app01", DiskWish(LUN), other_initiators=["iqn.2026-11.com.example:stranger"])
        with pytest.raises(Refused, match="belongs to no host that was asked"):
            attach.attach(hypervisor(pool), foreign, check_mode=False)

    def test_a_host_without_a_path_is_named(self) -> None:
        pool = over_iscsi()
        pool.iscsi_luns[pool.second].clear()
        with pytest.raises(StepFailed, match=r"is not visible on xen2 after 0 s"):
            give(pool)
        assert pool.changes == []

    def test_a_host_where_the_repository_is_not_plugged_in_is_named(self) -> None:
        pool = over_iscsi()
        pool.map_fc()
        pool.change("SR.scan", next(iter(pool.db["SR"])), timeout=1)
        next(pbd for pbd in pool.db["PBD"].values() if pbd["host"] == pool.second)["currently_attached"] = False
        with pytest.raises(StepFailed, match=r"SR san, which has LUN .*, is not plugged in on xen2"):
            give(pool)

    def test_a_vdi_of_another_size_than_the_lun_is_refused(self) -> None:
        pool = over_iscsi()
        pool.change("SR.scan", next(iter(pool.db["SR"])), timeout=1)
        pool.map_iscsi(size=2 * SIZE)
        with pytest.raises(StepFailed, match=f"with {SIZE} bytes and the target shows {2 * SIZE}"):
            give(pool)

    def test_a_lun_that_has_grown_is_scanned_first(self) -> None:
        pool = over_iscsi()
        give(pool)
        pool.map_iscsi(size=2 * SIZE)
        grown = attach.AttachRequest("app01", DiskWish(LUN, timeout=0.0), size_bytes=2 * SIZE)
        attach.attach(hypervisor(pool), grown, check_mode=False, sleep=lambda _seconds: None)
        assert pool.db["VDI"][pool.vbds(pool.vm)[0]["VDI"]]["virtual_size"] == str(2 * SIZE)

    def test_a_vdi_under_another_uuid_than_that_of_the_lun_is_refused(self) -> None:
        pool = over_iscsi()
        pool.change("SR.scan", next(iter(pool.db["SR"])), timeout=1)
        next(iter(pool.db["VDI"].values()))["uuid"] = "11111111-0000-4000-8000-000000000000"
        with pytest.raises(StepFailed, match="does not bear that LUN's UUID"):
            give(pool)

    @pytest.mark.parametrize(("field", "value"), [("missing", True), ("managed", False)])
    def test_a_vdi_that_is_not_usable_is_refused(self, field: str, value: bool) -> None:
        pool = over_iscsi()
        pool.change("SR.scan", next(iter(pool.db["SR"])), timeout=1)
        next(iter(pool.db["VDI"].values()))[field] = value
        with pytest.raises(StepFailed, match="as missing or unmanaged"):
            give(pool)

    @pytest.mark.parametrize(
        ("code", "told"),
        [
            ("VM_MISSING_PV_DRIVERS", "the guest has no paravirtual drivers"),
            ("DEVICE_ALREADY_ATTACHED", "planned anew 3 times"),
        ],
    )
    def test_what_cannot_be_plugged_in_is_taken_back(self, code: str, told: str) -> None:
        pool = over_iscsi()
        before = left(pool)

        def always() -> None:
            pool.fail["VBD.plug"] = failure(code, "OpaqueRef:1")
            pool.after["VBD.create"] = always

        always()
        with pytest.raises(StepFailed, match=told):
            give(pool)
        assert left(pool) == before

    def test_a_protected_vm_is_told_of_high_availability(self) -> None:
        pool = over_iscsi()
        pool.fail["VBD.create"] = failure("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", "OpaqueRef:1")
        with pytest.raises(StepFailed, match="high availability protects the VM"):
            give(pool)

    def test_a_place_that_somebody_else_takes_meanwhile_is_chosen_anew(self) -> None:
        pool = over_iscsi()
        other = pool.add_vdi(pool.add_sr("ext", LOCAL))

        def taken() -> None:
            pool.add_vbd(pool.vm, other, "0")

        pool.after["VM.get_allowed_VBD_devices"] = taken
        give(pool)
        assert sorted(vbd["userdevice"] for vbd in pool.vbds(pool.vm)) == ["0", "1"]

    @pytest.mark.parametrize("power", ["Suspended", "Paused"])
    def test_a_vm_that_is_suspended_is_refused(self, power: str) -> None:
        pool = over_iscsi()
        pool.db["VM"][pool.vm]["power_state"] = power
        with pytest.raises(Refused, match=f"VM app01 is {power.lower()}"):
            give(pool)

    def test_a_vm_without_a_place_is_refused(self) -> None:
        pool = over_iscsi()
        sr = pool.add_sr("ext", LOCAL)
        for number in range(16):
            pool.add_vbd(pool.vm, pool.add_vdi(sr), str(number))
        with pytest.raises(Refused, match="has no place left for a disk"):
            give(pool)

    def test_a_scan_that_does_not_end_is_told_and_changes_nothing(self) -> None:
        pool = over_iscsi()
        pool.fail["SR.scan"] = OutcomeUnknown("no answer")
        with pytest.raises(StepFailed, match=r"scan of SR san did not end within 60 s") as told:
            give(pool)
        assert isinstance(told.value.__cause__, TimedOut)
        assert pool.changes == []

    @pytest.mark.parametrize(("code", "told"), [("68", "the target refuses the login"), ("141", "the target cannot be reached")])
    def test_a_target_that_refuses_is_told(self, code: str, told: str) -> None:
        pool = over_iscsi()
        pool.fail["SR.scan"] = failure(f"SR_BACKEND_FAILURE_{code}", "", "iSCSI")
        with pytest.raises(StepFailed, match=told):
            give(pool)

    def test_a_lost_answer_is_looked_up(self) -> None:
        pool = over_iscsi()
        create = pool._VBD_create

        def lost(record: dict[str, Any]) -> str:
            create(record)
            raise OutcomeUnknown("no answer")

        pool._VBD_create = lost  # type: ignore[method-assign]
        assert give(pool).outcome.changed
        assert len(pool.vbds(pool.vm)) == 1

    def test_a_lun_that_does_not_exist_yet_is_planned(self) -> None:
        pool = over_iscsi()
        report = attach.attach(hypervisor(pool), request(name=PlannedLun("svm:/vol/v/l")), check_mode=True)
        assert report.outcome.actions[-1] == "plug LUN svm:/vol/v/l into the running VM app01"
        assert pool.changes == []

    @pytest.mark.parametrize(
        "wish",
        [
            {"mode": "virtual"},
            {"disk_mode": "persistent"},
            {"file_system": "x"},
            {"controller_type": "pvscsi"},
            {"sharing": "physical_bus"},
        ],
    )
    def test_what_means_nothing_here_is_refused(self, wish: dict[str, str]) -> None:
        pool = over_iscsi()
        with pytest.raises((InvalidInput, Refused)):
            give(pool, **wish)
        assert pool.changes == []


class TestOverFibreChannel:
    def test_the_lun_becomes_a_repository_with_one_raw_volume(self) -> None:
        pool = over_fc()
        report = give(pool, initialize=True)
        (vbd,) = pool.vbds(pool.vm)
        vdi = pool.db["VDI"][vbd["VDI"]]
        sr = pool.db["SR"][vdi["SR"]]
        assert (sr["type"], sr["shared"], vdi["sm_config"]) == ("lvmohba", True, {"type": "raw"})
        assert int(vdi["virtual_size"]) == SIZE - (4 << 20)
        assert report.attachment is not None
        assert report.attachment.disk.mode == "virtual"
        assert report.outcome.warnings == [
            f"The guest of VM app01 sees a disk on LUN {LUN}, not the LUN itself: over Fibre Channel, XAPI supports nothing else."
        ]

    def test_the_second_run_changes_nothing(self) -> None:
        pool = over_fc()
        give(pool, initialize=True)
        pool.calls.clear()
        assert not give(pool, initialize=True).outcome.changed
        assert pool.changes == []

    def test_a_lun_is_not_written_to_without_the_users_word(self) -> None:
        pool = over_fc()
        with pytest.raises(StepFailed, match="making it one writes to it: say initialize=true"):
            give(pool)
        assert pool.changes == []

    def test_what_an_earlier_run_released_is_taken_up_with_its_volume(self) -> None:
        pool = over_fc()
        give(pool, initialize=True)
        volume = pool.db["VDI"][pool.vbds(pool.vm)[0]["VDI"]]["virtual_size"]
        take(pool, release=True)
        assert not pool.db["SR"]
        pool.calls.clear()
        give(pool, initialize=True)
        assert "SR.create" not in pool.calls
        assert "VDI.create" not in pool.calls
        assert pool.db["VDI"][pool.vbds(pool.vm)[0]["VDI"]]["virtual_size"] == volume

    @pytest.mark.parametrize("description", ["", "Backups", repositories.mark(OTHER, SIZE)])
    def test_a_repository_on_the_lun_that_was_not_made_for_it_is_nobodys_to_take_up(self, description: str) -> None:
        pool = over_fc()
        pool.carried[LUN] = ["0000-of-another-pool"]
        pool.written["0000-of-another-pool"] = ("backups", description)
        with pytest.raises(StepFailed, match=r"0000-of-another-pool \(backups\), which this collection did not make for it"):
            give(pool, initialize=True)
        assert pool.changes == []

    def test_a_repository_that_another_run_makes_at_the_same_time_is_left_and_taken_up(self) -> None:
        pool = over_fc()
        create, calls = pool._SR_create, iter(range(2))

        def both(*arguments: Any) -> str:
            if next(calls):
                return create(*arguments)
            theirs = [*arguments]
            theirs[4] = repositories.mark(LUN, SIZE, "00000000-1111-4000-8000-000000000000")
            create(*theirs)
            raise failure("SR_DEVICE_IN_USE")

        pool._SR_create = both  # type: ignore[method-assign,assignment]
        give(pool, initialize=True)
        assert "SR.destroy" not in pool.calls
        (sr,) = pool.db["SR"].values()
        assert repositories.marked_run(sr) == "00000000-1111-4000-8000-000000000000"

    def test_a_volume_that_another_run_has_made_is_left_when_this_one_fails(self) -> None:
        pool = over_fc()
        give(pool, "app02", initialize=True)
        take(pool, "app02")
        pool.fail["VBD.create"] = failure("VDI_READONLY")
        with pytest.raises(StepFailed, match="the disk is read-only"):
            give(pool)
        assert len(pool.db["VDI"]) == len(pool.db["SR"]) == 1

    def test_a_repository_whose_one_volume_is_no_raw_one_is_not_taken_for_the_lun(self) -> None:
        pool = over_fc()
        give(pool, "app02", initialize=True)
        take(pool, "app02")
        next(iter(pool.db["VDI"].values()))["sm_config"] = {"vdi_type": "vhd"}
        with pytest.raises(Refused, match="is used by lvmohba file system"):
            give(pool, initialize=True)

    def test_a_host_that_is_down_and_vouched_for_is_left_out(self) -> None:
        pool = over_fc()
        dead = pool.add_host("xen3", live=False)
        create = pool._SR_create

        def without_the_dead(*arguments: Any) -> str:
            ref = create(*arguments)
            next(pbd for pbd in pool.db["PBD"].values() if pbd["host"] == dead)["currently_attached"] = False
            return ref

        pool._SR_create = without_the_dead  # type: ignore[method-assign,assignment]
        wish = attach.AttachRequest("app01", DiskWish(LUN, timeout=0.0, initialize=True), ignore_hosts=["xen3"])
        assert attach.attach(hypervisor(pool), wish, check_mode=False).outcome.changed
        assert not attach.attach(hypervisor(pool), wish, check_mode=False).outcome.changed

    def test_a_host_that_has_come_since_is_connected(self) -> None:
        pool = over_fc()
        give(pool, initialize=True)
        take(pool)
        pool.fc_luns[pool.add_host("xen3")][LUN] = SIZE
        give(pool)
        assert [pbd["currently_attached"] for pbd in pool.db["PBD"].values()] == [True] * 3

    def test_a_repository_with_two_volumes_is_not_taken_for_the_lun(self) -> None:
        pool = over_fc()
        give(pool, initialize=True)
        pool.add_vdi(next(iter(pool.db["SR"])))
        with pytest.raises(Refused, match="is used by lvmohba file system"):
            give(pool, "app02", initialize=True)

    def test_a_host_without_a_path_is_named_and_nothing_is_written(self) -> None:
        pool = over_fc()
        pool.fc_luns[pool.second].clear()
        with pytest.raises(StepFailed, match=r"is not visible on xen2 after 0 s"):
            give(pool, initialize=True)
        assert pool.changes == []

    def test_a_host_that_goes_down_keeps_the_lun_and_so_does_the_vm(self) -> None:
        pool = over_fc()
        give(pool, initialize=True)
        before = left(pool)
        unplug = pool._PBD_unplug

        def down(ref: str) -> None:
            if pool.db["PBD"][ref]["host"] == pool.second:
                raise failure("HOST_OFFLINE", pool.second)
            unplug(ref)

        pool._PBD_unplug = down  # type: ignore[method-assign]
        with pytest.raises(StepFailed, match="a host of the pool is down"):
            take(pool, release=True)
        assert [pbd["currently_attached"] for pbd in pool.db["PBD"].values()] == [True, True]
        assert [vbd["currently_attached"] for vbd in pool.vbds(pool.vm)] == [True]
        assert left(pool)["SR"] == before["SR"]

    def test_a_pool_that_does_not_offer_the_type_is_told(self) -> None:
        pool = over_fc()
        pool.supported.remove("lvmohba")
        with pytest.raises(Refused, match=r"The pool offers no SR of type lvmohba \(it offers ext, iscsi"):
            give(pool, initialize=True)

    def test_a_lun_too_small_for_a_volume_is_refused_and_nothing_left(self) -> None:
        pool = over_fc()
        create = pool._SR_create

        def full(*arguments: Any) -> str:
            ref = create(*arguments)
            pool.db["SR"][ref]["physical_utilisation"] = str(SIZE)
            return ref

        pool._SR_create = full  # type: ignore[method-assign,assignment]
        with pytest.raises(StepFailed, match="is too small for an SR with a volume"):
            give(pool, initialize=True)
        assert not pool.db["SR"]

    def test_a_host_that_does_not_plug_it_in_is_told_and_nothing_left(self) -> None:
        pool = over_fc()
        create = pool._SR_create

        def unplugged(*arguments: Any) -> str:
            ref = create(*arguments)
            pool.db["PBD"][pool.db["SR"][ref]["PBDs"][1]]["currently_attached"] = False
            return ref

        pool._SR_create = unplugged  # type: ignore[method-assign,assignment]
        pool.fail["PBD.plug"] = failure("SR_BACKEND_FAILURE_67", "", "Device did not appear")
        with pytest.raises(StepFailed, match="the LUN's device did not appear on the host"):
            give(pool, initialize=True)
        assert not pool.db["SR"]

    def test_several_vms_may_have_a_volume_that_was_made_for_several(self) -> None:
        pool = over_fc()
        give(pool, initialize=True, sharing="multi_writer")
        give(pool, "app02", sharing="multi_writer")
        assert len(pool.vbds(pool.off)) == 1

    def test_a_volume_that_was_made_for_one_vm_stays_so(self) -> None:
        pool = over_fc()
        give(pool, "app02", initialize=True)
        with pytest.raises(Refused, match="was made for one VM, which cannot be changed"):
            give(pool, sharing="multi_writer")

    def test_mode_physical_cannot_be_had(self) -> None:
        pool = over_fc()
        with pytest.raises(Refused, match="cannot be attached in mode physical"):
            give(pool, mode="physical")

    def test_a_lun_that_shows_up_over_fibre_channel_though_the_pool_has_an_iscsi_repository_is_planned_anew(self) -> None:
        pool = Pool()
        pool.add_raw_iscsi()
        pool.after["SR.scan"] = pool.map_fc  # nobody sees it while the first plan is made
        give(pool, initialize=True)
        assert pool.db["SR"][pool.db["VDI"][pool.vbds(pool.vm)[0]["VDI"]]["SR"]]["type"] == "lvmohba"


class TestDetach:
    def test_it_leaves_the_guest_then_the_vm(self) -> None:
        pool = over_iscsi()
        give(pool)
        pool.calls.clear()
        assert take(pool).outcome.changed
        assert pool.changes == ["VBD.unplug", "VBD.destroy"]
        assert not take(pool).outcome.changed

    @pytest.mark.parametrize(
        ("code", "told"),
        [
            ("DEVICE_DETACH_REJECTED", "the guest does not let go of the disk"),
            ("DEVICE_DETACH_TIMEOUT", "the guest did not let go of the disk in time"),
        ],
    )
    def test_a_guest_that_keeps_the_disk_keeps_it_and_nothing_is_changed(self, code: str, told: str) -> None:
        pool = over_iscsi()
        give(pool)
        pool.fail["VBD.unplug"] = failure(code, "VBD")
        before = copy.deepcopy(pool.db)
        with pytest.raises(StepFailed, match=told):
            take(pool)
        assert pool.db == before

    def test_what_cannot_be_taken_from_the_vm_is_given_back_to_the_guest(self) -> None:
        pool = over_iscsi()
        give(pool)
        pool.fail["VBD.destroy"] = failure("OPERATION_NOT_ALLOWED", "locked")
        with pytest.raises(StepFailed, match="undone: unplug LUN"):
            take(pool)
        assert pool.vbds(pool.vm)[0]["currently_attached"]

    def test_what_another_vm_has_got_meanwhile_is_not_given_back(self) -> None:
        pool = over_iscsi()
        give(pool)

        def taken() -> None:
            pool.add_vbd(pool.off, next(iter(pool.db["VDI"])))

        pool.after["VBD.destroy"] = taken
        with pytest.raises(StepFailed, match="is a disk of VM app02 by now"):
            take(pool, release=True)
        assert pool.vbds(pool.vm) == []

    def test_a_device_that_somebody_has_introduced_by_hand_is_not_forgotten(self) -> None:
        pool = Pool()
        pool.add_raw_iscsi()
        sr = pool.add_sr("udev", {"location": "/dev/lab"})
        mine = pool.add_vdi(sr, location=f"/dev/mapper/{LUN.xapi}", name_label="somebody's")
        attach.release(hypervisor(pool), request(), check_mode=False)
        assert not attach.forget(hypervisor(pool), request(), check_mode=False).outcome.changed
        assert mine in pool.db["VDI"]

    def test_a_repository_that_cannot_be_forgotten_is_plugged_in_again_on_the_hosts_that_are_live(self) -> None:
        pool = over_fc()
        dead = pool.add_host("xen3")
        pool.fc_luns[dead][LUN] = SIZE
        give(pool, initialize=True)
        take(pool)
        pool.db["host_metrics"][pool.db["host"][dead]["metrics"]]["live"] = False
        next(pbd for pbd in pool.db["PBD"].values() if pbd["host"] == dead)["currently_attached"] = False
        pool.fail["SR.forget"] = failure("OPERATION_NOT_ALLOWED", "locked")
        with pytest.raises(StepFailed, match=r"was not let go of by SR\.forget"):
            attach.release(hypervisor(pool), replace(request(), ignore_hosts=["xen3"]), check_mode=False)
        assert {pbd["host"] for pbd in pool.db["PBD"].values() if pbd["currently_attached"]} == set(pool.db["host"]) - {dead}

    def test_a_repository_that_the_pool_was_told_to_use_is_not_released(self) -> None:
        pool = over_fc()
        give(pool, initialize=True)
        take(pool)
        next(iter(pool.db["pool"].values()))["default_SR"] = next(iter(pool.db["SR"]))
        with pytest.raises(Refused, match=r"pool lab .* has its SR as default SR"):
            attach.release(hypervisor(pool), request(), check_mode=False)

    def test_a_suspended_vm_keeps_its_disks(self) -> None:
        pool = over_iscsi()
        give(pool)
        pool.db["VM"][pool.vm]["power_state"] = "Suspended"
        with pytest.raises(Refused, match="is suspended"):
            take(pool)

    def test_released_and_forgotten_nothing_of_the_lun_is_left_and_the_repository_of_others_stays(self) -> None:
        pool = over_iscsi()
        give(pool)
        take(pool, release=True)
        assert (pool.db["VDI"], [sr["name_label"] for sr in pool.db["SR"].values()]) == ({}, ["san"])
        pool.change("SR.scan", next(iter(pool.db["SR"])), timeout=1)  # somebody else's, before the array unmaps it
        with pytest.raises(StepFailed, match="is still presented by the array to the pool"):
            attach.forget(hypervisor(pool), request(), check_mode=False)
        for luns in pool.iscsi_luns.values():
            luns.clear()
        attach.forget(hypervisor(pool), request(), check_mode=False)
        assert pool.db["VDI"] == {}
        assert not attach.forget(hypervisor(pool), request(), check_mode=False).outcome.changed

    def test_every_host_that_is_live_looks_again_once_the_lun_is_unmapped(self) -> None:
        pool = Pool()
        pool.add_raw_iscsi()
        pool.add_host("dead", live=False)
        report = attach.forget(hypervisor(pool), attach.AttachRequest("app01", DiskWish(LUN), ignore_hosts=["dead"]), check_mode=False)
        assert not report.outcome.changed
        assert pool.calls.count("SR.probe") == 4  # target and adapters of both

    def test_a_lun_that_another_vm_has_is_not_released(self) -> None:
        pool = over_iscsi()
        give(pool, sharing="multi_writer")
        give(pool, "app02", sharing="multi_writer")
        with pytest.raises(Refused, match="is used by VM app02"):
            take(pool, release=True)

    def test_a_repository_that_a_host_does_not_let_go_of_is_plugged_in_again(self) -> None:
        pool = over_fc()
        give(pool, initialize=True)
        pool.fail["SR.forget"] = failure("OPERATION_NOT_ALLOWED", "locked")
        with pytest.raises(StepFailed):
            take(pool, release=True)
        assert all(pbd["currently_attached"] for pbd in pool.db["PBD"].values())

    def test_hosts_have_a_repository_of_its_own_in_service_until_it_is_released(self) -> None:
        pool = over_fc()
        give(pool, initialize=True)
        take(pool)
        hosts = [record["uuid"] for record in pool.db["host"].values()]
        assert [use.name for use in hypervisor(pool).in_service(hosts, LUN)] == ["xen1", "xen2"]
        attach.release(hypervisor(pool), request(), check_mode=False)
        assert hypervisor(pool).in_service(hosts, LUN) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("way", ["iscsi", "fc"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", ["attach", "detach"])
def test_a_run_that_is_killed_at_any_request_is_finished_by_the_next(way: str, when: str, verb: str) -> None:
    """Killed right before a request was carried out, or right after: the next run converges to what an undisturbed one makes."""

    def world() -> Pool:
        pool = over_iscsi() if way == "iscsi" else over_fc()
        if verb == "detach":
            give(pool, initialize=True)
        pool.calls.clear()
        return pool

    def run(pool: Pool) -> None:
        if verb == "attach":
            give(pool, initialize=True)
        else:
            take(pool, release=True)

    undisturbed = world()
    run(undisturbed)
    for number in range(len(undisturbed.calls)):
        pool = world()
        start_again = _kill(pool, number, when)
        with pytest.raises(Killed):
            run(pool)
        start_again()
        run(pool)
        assert summary(pool) == summary(undisturbed), f"killed {when} request {number}, {undisturbed.calls[number]}"


class Killed(BaseException):
    """The process is gone: nothing of it is undone."""


def _kill(pool: Pool, number: int, when: str) -> Callable[[], None]:
    """Let the process die at a request; returns what starts the next one."""
    call = pool._call
    count = iter(range(1000))

    def dying(method: str, arguments: tuple[Any, ...]) -> Any:
        mine = next(count)
        if mine > number or (mine == number and when == "before"):
            raise Killed
        result = call(method, arguments)
        if mine == number:
            raise Killed
        return result

    pool._call = dying  # type: ignore[method-assign]
    return lambda: setattr(pool, "_call", call)


def summary(pool: Pool) -> Any:
    """What people see of the pool: who has which LUN, and the repositories."""
    disks = [
        (vm["name_label"], [(vbd["userdevice"], vbd["currently_attached"]) for vbd in pool.vbds(ref)]) for ref, vm in pool.db["VM"].items()
    ]
    stores = [(sr["type"], sr["name_label"], len(sr["VDIs"]), len(sr["PBDs"])) for sr in pool.db["SR"].values()]
    return disks, stores, [pbd["currently_attached"] for pbd in pool.db["PBD"].values()]
