# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of safety around a pass-through disk, on any hypervisor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import deadline
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    OutcomeUnknown,
    Overtaken,
    Refused,
    RemoteError,
    StepFailed,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    CONNECTED,
    MAINTENANCE,
    STANDBY,
    UNREACHABLE,
    FileSystem,
    Hba,
    Host,
    ScsiDevice,
    Slot,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import AttachRequest, MakeVisible
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.presentation import Presentation
from tests.unit.ports import NAME, OTHER, Act, MemoryArray, MemoryHypervisor, lun

DISK = VirtualDisk("2001", "Hard disk 2", "passthrough", "1000", 0, 1, name=NAME)
REQUEST = AttachRequest("app", DiskWish(NAME, timeout=5))


def asking(**settings: Any) -> AttachRequest:
    return replace(REQUEST, wish=replace(REQUEST.wish, **settings))


@pytest.fixture
def hypervisor() -> MemoryHypervisor:
    return MemoryHypervisor(
        host_list=[Host("h1", "esx1", "prod"), Host("h2", "esx2", "prod"), Host("h3", "esx3", "dev")],
        machines=[VirtualMachine("vm-1", "app", host="h1", cluster="prod"), VirtualMachine("vm-2", "db", host="h2", cluster="prod")],
        presented={"h1": 1, "h2": 1},
    )


def visible_on(hypervisor: MemoryHypervisor, *hosts: str, state: str = "ok") -> MemoryHypervisor:
    hypervisor.seen = [ScsiDevice(host, str(NAME), NAME, 1 << 30, state=state) for host in hosts]
    return hypervisor


def with_disk(hypervisor: MemoryHypervisor, vm: str) -> MemoryHypervisor:
    hypervisor.machines = [replace(machine, disks=[DISK]) if machine.name == vm else machine for machine in hypervisor.machines]
    return hypervisor


def test_only_hosts_of_the_cluster_that_do_not_see_the_lun_are_rescanned(hypervisor: MemoryHypervisor) -> None:
    report = attach.attach(visible_on(hypervisor, "h1"), REQUEST, check_mode=False)
    assert hypervisor.rescans == [("h2",)]
    assert report.hosts == ["esx1", "esx2"]
    assert report.result(NAME)["disk"]["guest_address"] == "SCSI(0:1)"


def test_what_a_cluster_has_to_know_is_handed_on(hypervisor: MemoryHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    wishes: list[DiskWish] = []
    plan_attach = hypervisor.plan_attach

    def noting(vm: VirtualMachine, wish: DiskWish) -> Plan:
        wishes.append(wish)
        return plan_attach(vm, wish)

    monkeypatch.setattr(hypervisor, "plan_attach", noting)
    attach.attach(hypervisor, asking(mount_point="C:\\mt1", initialize=True), check_mode=True)
    attach.attach(hypervisor, REQUEST, check_mode=True)
    assert [(wish.mount_point, wish.initialize) for wish in wishes] == [("C:\\mt1", True), ("", False)]


def test_what_the_hosts_need_to_see_the_lun_comes_first_and_goes_when_they_do_not(hypervisor: MemoryHypervisor) -> None:
    done: list[str] = []
    hypervisor.reach = Plan([Act("name the target", False, lambda: done.append("made"), lambda: done.append("undone"))])
    actions = attach.attach(hypervisor, asking(), check_mode=True).outcome.actions
    assert actions[0] == "name the target"
    assert actions[1].startswith("rescan ")
    hypervisor.presented.clear()
    with pytest.raises(StepFailed, match="is not visible on"):
        attach.attach(hypervisor, asking(timeout=0.0), check_mode=False)
    assert done == ["made", "undone"]


def test_a_disk_that_is_there_needs_nothing_to_be_seen(hypervisor: MemoryHypervisor) -> None:
    attach.attach(with_disk(visible_on(hypervisor, "h1", "h2"), "app"), asking(), check_mode=False)
    assert "plan_reach" not in hypervisor.calls


def test_a_second_run_changes_nothing(hypervisor: MemoryHypervisor) -> None:
    attach.attach(hypervisor, REQUEST, check_mode=False)
    report = attach.attach(hypervisor, REQUEST, check_mode=False)
    assert not report.outcome.changed
    assert len(hypervisor.rescans) == 1


def test_check_mode_rescans_and_attaches_nothing(hypervisor: MemoryHypervisor) -> None:
    report = attach.attach(hypervisor, REQUEST, check_mode=True)
    assert report.outcome.changed
    assert [action.split()[0] for action in report.outcome.actions] == ["rescan", "attach"]
    assert hypervisor.rescans == []
    assert report.attachment is None


def test_a_released_device_counts_as_invisible(hypervisor: MemoryHypervisor) -> None:
    attach.attach(visible_on(hypervisor, "h1", "h2", state="off"), REQUEST, check_mode=False)
    assert hypervisor.rescans == [("h1", "h2")]


def test_the_wait_goes_on_until_every_host_sees_the_lun(hypervisor: MemoryHypervisor) -> None:
    hypervisor.presented = {"h1": 1, "h2": 3}
    pauses: list[float] = []
    step = MakeVisible(hypervisor, hypervisor.host_list[:2], NAME, 60, clock=lambda: 0.0, sleep=pauses.append)
    step.do()
    assert hypervisor.rescans == [("h1", "h2"), ("h2",), ("h2",)]
    assert pauses == [1.0, 2.0]


def test_a_rescan_whose_answer_is_lost_is_repeated(hypervisor: MemoryHypervisor) -> None:
    class Lossy(MemoryHypervisor):
        def rescan(self, hosts: Sequence[str], name: ScsiName) -> None:
            if not self.rescans:
                self.rescans.append(())
                raise OutcomeUnknown("the answer was lost")
            super().rescan(hosts, name)

    lossy = Lossy(hypervisor.host_list, presented=hypervisor.presented)
    MakeVisible(lossy, lossy.host_list[:2], NAME, 60, clock=lambda: 0.0, sleep=lambda _: None).do()
    assert lossy.rescans == [(), ("h1", "h2")]


def test_a_host_that_sees_the_lun_before_it_grew_is_rescanned(hypervisor: MemoryHypervisor) -> None:
    seen_small = visible_on(hypervisor, "h1", "h2")
    with pytest.raises(StepFailed, match=r"smaller than 2147483648 bytes on esx1 \(1073741824 bytes\), esx2 .*: check its size"):
        attach.attach(seen_small, replace(asking(timeout=0), size_bytes=2 << 30), check_mode=False)
    assert hypervisor.rescans == [("h1", "h2")]
    assert not attach.attach(with_disk(seen_small, "app"), replace(REQUEST, size_bytes=1 << 30), check_mode=False).outcome.changed


def test_a_host_that_sees_the_lun_in_two_ways_has_read_its_size_when_both_have(hypervisor: MemoryHypervisor) -> None:
    seen_small = visible_on(hypervisor, "h1", "h2")
    grown = [replace(device, size_bytes=2 << 30) for device in seen_small.seen]
    seen_small.seen.extend(grown)
    assert not MakeVisible(seen_small, seen_small.host_list[:2], NAME, 60, size_bytes=2 << 30).done()


def test_a_lun_that_stays_invisible_names_the_host_and_the_way_out(hypervisor: MemoryHypervisor) -> None:
    hypervisor.presented = {"h1": 1}
    with pytest.raises(
        StepFailed, match=r"is not visible on esx2 after 0 s: check that it is online on the array and mapped to .*hba_info"
    ):
        attach.attach(hypervisor, asking(timeout=0), check_mode=False)
    assert hypervisor.attachment(hypervisor.machines[0], NAME) is None


def test_a_lun_of_another_vm_is_refused_by_name(hypervisor: MemoryHypervisor) -> None:
    with pytest.raises(Refused, match=r"is used by VM db \(vm-2\) and will not be given to VM app"):
        attach.attach(with_disk(hypervisor, "db"), REQUEST, check_mode=False)


def test_sharing_is_an_explicit_wish(hypervisor: MemoryHypervisor) -> None:
    with pytest.raises(Refused):
        attach.attach(with_disk(hypervisor, "db"), asking(sharing="none"), check_mode=False)
    assert attach.attach(hypervisor, asking(sharing="multi_writer"), check_mode=False).outcome.changed


def test_a_lun_under_a_datastore_is_refused_even_when_sharing_is_wished(hypervisor: MemoryHypervisor) -> None:
    hypervisor.file_systems = [FileSystem("ds-1", "gold", "vmfs", ["h1"], [str(NAME)])]
    with pytest.raises(Refused, match=r"vmfs file system gold \(ds-1\)"):
        attach.attach(hypervisor, asking(sharing="multi_writer"), check_mode=False)


def test_an_unreachable_host_of_the_cluster_stops_the_change(hypervisor: MemoryHypervisor) -> None:
    hypervisor.host_list[1] = replace(hypervisor.host_list[1], state="unreachable")
    with pytest.raises(Refused, match="esx2"):
        attach.attach(hypervisor, REQUEST, check_mode=False)
    attach.attach(hypervisor, replace(REQUEST, ignore_hosts=["esx2"]), check_mode=False)
    assert hypervisor.rescans == [("h1",)]


def test_naming_a_host_that_cannot_be_asked_vouches_for_what_it_may_use(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [Use("host", "esx2", "h2", "cannot be asked because it is down")]
    with pytest.raises(Refused, match=r"nobody can tell whether it is used \(host esx2 \(h2\) cannot be asked"):
        attach.attach(hypervisor, REQUEST, check_mode=False)
    assert attach.attach(hypervisor, replace(REQUEST, ignore_hosts=["esx2"]), check_mode=False).outcome.changed


GUESTS_GROUP = Use("host", "esx1", "h1", "has the guest's volume group vg-a active", NAME, way_out="deactivate it there")


def test_what_a_host_does_with_a_disk_that_a_vm_has_is_a_warning_of_a_run_that_changes_nothing(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [GUESTS_GROUP, Use("VM", "lost", "vm-9", "cannot be read")]
    report = attach.attach(with_disk(visible_on(hypervisor, "h1", "h2"), "app"), REQUEST, check_mode=False)
    assert not report.outcome.changed
    assert report.outcome.warnings == [
        f"LUN {NAME} is a disk of VM app, and host esx1 (h1) has the guest's volume group vg-a active: deactivate it there."
    ]


def test_what_a_host_does_with_a_disk_that_a_vm_has_stops_the_release_before_the_vm_loses_it(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [GUESTS_GROUP]
    with pytest.raises(Refused, match=r"will not be released by the hosts: deactivate it there\.$"):
        attach.detach(with_disk(visible_on(hypervisor, "h1"), "app"), REQUEST, release=True, check_mode=False)
    assert hypervisor.attachment(hypervisor.machines[0], NAME)


def test_a_lun_that_a_vm_has_below_a_disk_is_not_shared_and_not_given_to_it_again(hypervisor: MemoryHypervisor) -> None:
    for vm, name in (("vm-1", "app"), ("vm-2", "db")):
        hypervisor.uses = [Use("VM", name, vm, "has it below its disk vda", NAME)]
        with pytest.raises(Refused, match=rf"VM {name} \({vm}\) has it below its disk vda"):
            attach.attach(hypervisor, asking(sharing="multi_writer"), check_mode=False)


def test_detaching_twice_changes_once(hypervisor: MemoryHypervisor) -> None:
    with_disk(visible_on(hypervisor, "h1", "h2", "h3"), "app")
    first = attach.detach(hypervisor, REQUEST, release=True, check_mode=False)
    assert first.outcome.changed
    assert first.attachment is None
    assert hypervisor.seen == [], "also the host of another cluster let go"
    assert not attach.detach(hypervisor, REQUEST, release=True, check_mode=False).outcome.changed


def test_the_vm_loses_the_disk_before_any_host_lets_go(hypervisor: MemoryHypervisor) -> None:
    report = attach.detach(with_disk(visible_on(hypervisor, "h1"), "app"), REQUEST, release=True, check_mode=True)
    assert [action.split()[0] for action in report.outcome.actions] == ["detach", "release"]


def test_a_lun_that_another_vm_has_is_not_released(hypervisor: MemoryHypervisor) -> None:
    with_disk(with_disk(visible_on(hypervisor, "h1"), "app"), "db")
    with pytest.raises(Refused, match=r"VM db \(vm-2\) and will not be released"):
        attach.detach(hypervisor, REQUEST, release=True, check_mode=False)
    assert attach.detach(hypervisor, REQUEST, release=False, check_mode=False).outcome.changed


def test_a_lun_in_use_is_not_forgotten(hypervisor: MemoryHypervisor) -> None:
    with pytest.raises(Refused, match="will not be forgotten"):
        attach.forget(with_disk(hypervisor, "db"), REQUEST, check_mode=False)


def test_somebody_who_got_the_lun_while_it_was_waited_for_is_seen_right_before_it_is_given(hypervisor: MemoryHypervisor) -> None:
    hypervisor.meanwhile[2] = lambda: hypervisor.give("db", NAME)
    with pytest.raises(StepFailed, match=r"is used by VM db \(vm-2\) and will not be given to VM app"):
        attach.attach(hypervisor, REQUEST, check_mode=False)
    assert hypervisor.attachment(hypervisor.machines[0], NAME) is None


def test_every_last_look_rests_on_nothing_that_was_seen_before(hypervisor: MemoryHypervisor) -> None:
    attach.attach(hypervisor, REQUEST, check_mode=False)
    assert hypervisor.decisions == len(hypervisor.moments) == 3
    attach.detach(hypervisor, REQUEST, release=True, check_mode=False)
    assert hypervisor.decisions == len(hypervisor.moments) == 5
    attach.release(visible_on(hypervisor, "h1"), REQUEST, check_mode=False)
    assert hypervisor.decisions == len(hypervisor.moments) == 7


def test_of_two_who_got_a_lun_at_once_this_run_steps_back(hypervisor: MemoryHypervisor) -> None:
    hypervisor.meanwhile[3] = lambda: hypervisor.give("db", NAME)
    with pytest.raises(StepFailed, match=r"is used by VM db .*; undone: attach LUN"):
        attach.attach(hypervisor, REQUEST, check_mode=False)
    assert hypervisor.attachment(hypervisor.machines[0], NAME) is None
    assert hypervisor.attachment(hypervisor.machines[1], NAME) is not None


def test_a_lun_of_which_nobody_can_tell_is_given_only_on_the_users_word(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses.append(Use("VM", "lost", "vm-9", "cannot be read because it is inaccessible"))
    with pytest.raises(Refused, match="nobody can tell whether it is used"):
        attach.attach(hypervisor, REQUEST, check_mode=False)
    report = attach.attach(hypervisor, replace(REQUEST, assume_unused=True), check_mode=False)
    assert report.outcome.changed
    assert "VM lost (vm-9)" in report.outcome.warnings[0]


def test_what_nobody_can_tell_does_not_trouble_a_run_that_changes_nothing(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses.append(Use("VM", "lost", "vm-9", "cannot be read because it is inaccessible"))
    assert not attach.attach(visible_on(with_disk(hypervisor, "app"), "h1", "h2"), REQUEST, check_mode=False).outcome.changed


def test_hosts_do_not_let_go_of_a_lun_that_somebody_got_while_it_was_detached(hypervisor: MemoryHypervisor) -> None:
    visible_on(with_disk(hypervisor, "app"), "h1", "h2").meanwhile[2] = lambda: hypervisor.give("db", NAME)
    with pytest.raises(StepFailed, match=r"is used by VM db \(vm-2\) and will not be released by the hosts"):
        attach.detach(hypervisor, REQUEST, release=True, check_mode=False)
    assert len(hypervisor.seen) == 2


def test_a_run_that_takes_back_its_own_work_takes_no_disk_from_any_vm(hypervisor: MemoryHypervisor) -> None:
    visible_on(with_disk(hypervisor, "app"), "h1", "h2")
    with pytest.raises(Refused, match=r"is used by VM app \(vm-1\) and will not be released by the hosts: detach it first"):
        attach.release(hypervisor, REQUEST, check_mode=False)
    assert (len(hypervisor.seen), len(hypervisor.machines[0].disks)) == (2, 1)


def test_hosts_let_go_of_a_lun_that_nobody_has(hypervisor: MemoryHypervisor) -> None:
    visible_on(hypervisor, "h1", "h2")
    assert attach.release(hypervisor, REQUEST, check_mode=True).outcome.changed
    assert len(hypervisor.seen) == 2
    assert attach.release(hypervisor, REQUEST, check_mode=False).outcome.changed
    assert (hypervisor.seen, attach.release(hypervisor, REQUEST, check_mode=False).outcome.changed) == ([], False)


def test_a_lun_that_a_host_sees_and_cannot_use_is_told_with_its_state(hypervisor: MemoryHypervisor) -> None:
    lost = ScsiDevice("h2", str(NAME), NAME, 1 << 30, state="lost, timeout")
    hypervisor.seen = [ScsiDevice("h1", str(NAME), NAME, 1 << 30), lost]
    step = MakeVisible(hypervisor, hypervisor.host_list[:2], NAME, 0)
    hypervisor.presented = {"h2": 10**6}
    with pytest.raises(TimedOut, match=r"is there but does no I/O on esx2 \(lost, timeout\) after 0 s: repair its paths"):
        step.do()


def test_a_lun_that_has_lost_some_of_its_paths_is_visible(hypervisor: MemoryHypervisor) -> None:
    hypervisor.seen = [ScsiDevice("h1", str(NAME), NAME, 1 << 30, degraded=True)]
    assert MakeVisible(hypervisor, hypervisor.host_list[:1], NAME, 0).done()


def test_a_success_is_never_told_of_a_disk_that_is_gone_by_then(hypervisor: MemoryHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisor, "attachment", lambda _vm, _name: None)
    with pytest.raises(RemoteError, match=r"is no disk of VM app any more, because somebody else took it away: run this again"):
        attach.attach(hypervisor, REQUEST, check_mode=False)
    assert attach.attach(hypervisor, REQUEST, check_mode=True).attachment is None


def test_a_lun_that_was_unmapped_while_it_was_attached_is_given_back(hypervisor: MemoryHypervisor) -> None:
    hypervisor.meanwhile[3] = hypervisor.seen.clear
    with pytest.raises(StepFailed, match=r"is not visible on esx1, esx2 any more, so somebody took it away; undone: attach LUN"):
        attach.attach(hypervisor, REQUEST, check_mode=False)
    assert hypervisor.attachment(hypervisor.machines[0], NAME) is None


def test_everything_that_a_module_returns(hypervisor: MemoryHypervisor) -> None:
    hypervisor.machines[0] = replace(hypervisor.machines[0], uuid="u-1")
    result = attach.attach(visible_on(hypervisor, "h1"), REQUEST, check_mode=False).result(NAME)
    assert result == {
        "changed": True,
        "actions": [f"rescan esx2 for LUN {NAME}", f"attach LUN {NAME} to VM app"],
        "diff": {"before": {"visible": {"esx2": False}}, "after": {"visible": {"esx2": True}}},
        "warnings": [],
        "vm": {"name": "app", "id": "vm-1", "uuid": "u-1"},
        "naa": NAME.naa,
        "hosts": ["esx1", "esx2"],
        "disk": {
            "label": "Hard disk 2",
            "key": "2001",
            "controller_type": "pvscsi",
            "controller_key": "1000",
            "bus": 0,
            "unit": 1,
            "guest_address": "SCSI(0:1)",
            "mapping_file": DISK.path,
            "device": DISK.device,
            "size_bytes": DISK.size_bytes,
            "mode": DISK.mode,
            "disk_mode": DISK.disk_mode,
            "sharing": DISK.sharing,
            "reservations": DISK.reservations,
        },
    }


def test_there_is_no_disk_to_return_when_there_is_none(hypervisor: MemoryHypervisor) -> None:
    assert attach.detach(hypervisor, REQUEST, release=False, check_mode=False).result(NAME)["disk"] is None


def test_check_mode_returns_the_disk_that_would_go(hypervisor: MemoryHypervisor) -> None:
    assert attach.detach(with_disk(hypervisor, "app"), REQUEST, release=False, check_mode=True).result(NAME)["disk"]["key"] == "2001"


def test_no_change_reads_the_whole_inventory_of_devices(hypervisor: MemoryHypervisor) -> None:
    attach.attach(hypervisor, REQUEST, check_mode=False)
    attach.detach(hypervisor, REQUEST, release=True, check_mode=False)
    attach.release(visible_on(hypervisor, "h1"), REQUEST, check_mode=False)
    attach.forget(hypervisor, REQUEST, check_mode=False)
    assert hypervisor.device_reads == 0


def test_a_lun_that_the_vm_has_already_costs_no_further_look(hypervisor: MemoryHypervisor) -> None:
    attach.attach(visible_on(with_disk(hypervisor, "app"), "h1", "h2"), REQUEST, check_mode=False)
    assert hypervisor.calls.count("inventory") == 1


def test_a_lun_is_visible_whatever_its_size_when_none_is_asked_for(hypervisor: MemoryHypervisor) -> None:
    hypervisor.seen = [ScsiDevice(host, str(NAME), NAME, 0) for host in ("h1", "h2")]
    attach.attach(hypervisor, REQUEST, check_mode=False)
    assert hypervisor.rescans == []


def test_a_call_that_takes_the_rest_of_the_time_ends_the_wait(hypervisor: MemoryHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach._LAST_LOOK", 0.0)
    monkeypatch.setattr(hypervisor, "rescan", lambda _hosts, _name: deadline.left(60, "a rescan"))
    step = MakeVisible(hypervisor, hypervisor.host_list[2:], NAME, 0.0)
    with pytest.raises(TimedOut, match="is not visible on esx3 after 0 s"):
        step.do()


def test_what_a_host_waited_for_in_vain_is_told_as_it_is(hypervisor: MemoryHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    def rescan(_hosts: object, _name: object) -> None:
        raise TimedOut("the adapter did not answer")

    monkeypatch.setattr(hypervisor, "rescan", rescan)
    with pytest.raises(TimedOut, match="the adapter did not answer"):
        MakeVisible(hypervisor, hypervisor.host_list[2:], NAME, 60.0).do()


def test_the_pauses_grow_to_a_quarter_of_a_minute_and_the_last_look_is_at_the_end(hypervisor: MemoryHypervisor) -> None:
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    step = MakeVisible(hypervisor, hypervisor.host_list[2:], NAME, 61.0, clock=lambda: now[0], sleep=sleep)
    with pytest.raises(TimedOut, match="is not visible on esx3 after 61 s"):
        step.do()
    assert slept == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0, 1.0]
    step = MakeVisible(hypervisor, hypervisor.host_list[2:], NAME, 3.0, clock=lambda: now[0], sleep=sleep)
    slept.clear()
    with pytest.raises(TimedOut):
        step.do()
    assert slept == [1.0, 2.0]


def test_a_run_that_is_held_up_while_it_waits_never_sleeps_backwards(hypervisor: MemoryHypervisor) -> None:
    """Each look at the clock comes later, as for a process that others keep from running."""
    hours = iter(range(100))

    def sleep(seconds: float) -> None:
        assert seconds > 0

    step = MakeVisible(hypervisor, hypervisor.host_list[2:], NAME, 2.5, clock=lambda: float(next(hours)), sleep=sleep)
    with pytest.raises(TimedOut, match=r"is not visible on esx3 after 2\.5 s"):
        step.do()


def test_what_is_forgotten_is_told(hypervisor: MemoryHypervisor) -> None:
    report = attach.forget(visible_on(hypervisor, "h1", "h3"), REQUEST, check_mode=False)
    assert (report.vm.name, list(report.hosts), report.attachment) == ("app", ["esx1", "esx2", "esx3"], None)
    assert list(report.outcome.actions) == [f"forget LUN {NAME} on h1", f"forget LUN {NAME} on h3"]


def test_a_host_of_another_cluster_that_cannot_be_asked_is_in_nobodys_way(hypervisor: MemoryHypervisor) -> None:
    hypervisor.host_list[2] = replace(hypervisor.host_list[2], state="unreachable")
    assert list(attach.forget(hypervisor, REQUEST, check_mode=False).hosts) == ["esx1", "esx2"]


def test_sharing_does_not_vouch_for_what_nobody_can_tell(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [Use("VM", "ghost", "vm-9", "does not tell its disks")]
    with pytest.raises(Refused, match="nobody can tell whether it is used"):
        attach.attach(hypervisor, asking(sharing="multi_writer"), check_mode=False)


@dataclass
class Contended(MemoryHypervisor):
    """Somebody else changes the VM right before each of the next changes of its disks."""

    losses: int = 0
    theirs: Callable[[], None] = lambda: None
    error: type[CrossvisorError] = Overtaken

    def plan_attach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        return self._contended(super().plan_attach(vm, wish))

    def plan_detach(self, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
        return self._contended(super().plan_detach(vm, name, timeout))

    def _contended(self, plan: Plan) -> Plan:
        (step,) = plan.steps
        assert isinstance(step, Act)
        return Plan([replace(step, act=lambda: self._lose(step.act))])

    def _lose(self, act: Callable[[], None]) -> None:
        if not self.losses:
            return act()
        self.losses -= 1
        self.theirs()
        raise self.error("VM app was changed by somebody else in the meantime: run this task again.")


def contended(hypervisor: MemoryHypervisor, losses: int, **settings: Any) -> Contended:
    there = Contended(hypervisor.host_list, hypervisor.machines, presented=hypervisor.presented, **settings)
    there.losses = losses
    return there


@pytest.mark.parametrize("losses", [0, 1, 2, 3])
def test_a_vm_that_somebody_changed_meanwhile_is_planned_anew(hypervisor: MemoryHypervisor, losses: int) -> None:
    there, pauses = contended(hypervisor, losses), list[float]()
    report = attach.attach(there, REQUEST, check_mode=False, sleep=pauses.append)
    assert [action.split()[0] for action in report.outcome.actions] == ["rescan", "attach"], "the rescan of the first attempt counts"
    assert (report.outcome.changed, len(pauses)) == (True, losses)
    assert pauses == sorted(pauses)
    assert attach._has(there.machines[0], NAME)


def test_after_the_third_time_it_is_an_error(hypervisor: MemoryHypervisor) -> None:
    there, pauses = contended(hypervisor, 4), list[float]()
    with pytest.raises(StepFailed, match=r"VM app was changed by somebody else in the meantime.*; it was planned anew 3 times\.$"):
        attach.attach(there, REQUEST, check_mode=False, sleep=pauses.append)
    assert len(pauses) == 3
    assert not attach._has(there.machines[0], NAME)


@pytest.mark.parametrize("error", [RemoteError, Refused])
def test_another_failure_is_told_at_once(hypervisor: MemoryHypervisor, error: type[CrossvisorError]) -> None:
    pauses: list[float] = []
    with pytest.raises(StepFailed):
        attach.attach(contended(hypervisor, 1, error=error), REQUEST, check_mode=False, sleep=pauses.append)
    assert pauses == []


def test_users_are_looked_for_again_each_time(hypervisor: MemoryHypervisor) -> None:
    there = contended(hypervisor, 1)
    there.theirs = lambda: there.give("db", NAME)
    with pytest.raises(Refused, match=r"used by VM db"):
        attach.attach(there, REQUEST, check_mode=False, sleep=lambda _seconds: None)
    assert not attach._has(there.machines[0], NAME)


def test_a_lun_that_somebody_else_gave_the_vm_meanwhile_is_theirs(hypervisor: MemoryHypervisor) -> None:
    there = contended(hypervisor, 1)
    there.theirs = lambda: there.give("app", NAME)
    with pytest.raises(Refused, match="was attached to VM app by somebody else in the meantime"):
        attach.attach(there, REQUEST, check_mode=False, sleep=lambda _seconds: None)


def test_the_vm_of_the_first_look_is_meant_also_when_its_name_is_another_ones_by_then(hypervisor: MemoryHypervisor) -> None:
    there = contended(hypervisor, 1)

    def rename() -> None:
        there.machines = [replace(vm, name={"app": "old", "db": "app"}[vm.name]) for vm in there.machines]

    there.theirs = rename
    assert attach.attach(there, REQUEST, check_mode=False, sleep=lambda _seconds: None).vm.id == "vm-1"


def test_a_detach_is_planned_anew_too(hypervisor: MemoryHypervisor) -> None:
    there = contended(with_disk(visible_on(hypervisor, "h1"), "app"), 2)
    report = attach.detach(there, REQUEST, release=False, check_mode=False, sleep=lambda _seconds: None)
    assert (report.outcome.changed, attach._has(there.machines[0], NAME)) == (True, False)


def test_a_lun_that_others_see_is_given_only_on_the_users_word(hypervisor: MemoryHypervisor) -> None:
    seen_by_others = replace(REQUEST, other_initiators=["iqn.2026-01.com.example:far"])
    with pytest.raises(Refused, match=r"nobody can tell whether it is used \(initiator iqn.2026-01.com.example:far belongs to no host"):
        attach.attach(hypervisor, seen_by_others, check_mode=False)
    assert attach.attach(hypervisor, replace(seen_by_others, assume_unused=True), check_mode=False).outcome.changed
    assert not attach.attach(hypervisor, seen_by_others, check_mode=False).outcome.changed


FAR = "iqn.2026-01.com.example:Esx3"


def beside_a_host(hypervisor: MemoryHypervisor, state: str) -> AttachRequest:
    """What is asked of a LUN that the array shows to a host of another cluster as well."""
    hypervisor.host_list[2] = Host("h3", "esx3", "dev", state=state, hbas=[Hba("vmhba64", "iscsi_software", "online", iqn=FAR)])
    return replace(REQUEST, other_initiators=[FAR.upper()])


def test_an_initiator_of_a_host_that_cannot_be_asked_is_one_of_nobody_who_was(hypervisor: MemoryHypervisor) -> None:
    request = beside_a_host(hypervisor, UNREACHABLE)
    with pytest.raises(
        Refused, match=f"initiator {FAR.upper()} belongs to host esx3, which is not connected, and the array shows it the LUN"
    ):
        attach.attach(hypervisor, request, check_mode=False)
    for word in ("h3", "esx3"):
        assert attach.attach(hypervisor, replace(request, ignore_hosts=[word]), check_mode=True).outcome.changed
    assert attach.attach(hypervisor, replace(request, assume_unused=True), check_mode=True).outcome.warnings


@pytest.mark.parametrize("state", [CONNECTED, MAINTENANCE, STANDBY])
def test_an_initiator_of_a_host_that_was_asked_or_has_no_power_is_no_strangers(hypervisor: MemoryHypervisor, state: str) -> None:
    assert attach.attach(hypervisor, beside_a_host(hypervisor, state), check_mode=False).outcome.warnings == []


def test_a_lun_that_two_vms_have_unasked_is_never_told_to_be_well(hypervisor: MemoryHypervisor) -> None:
    visible_on(hypervisor, "h1", "h2")
    hypervisor.give("app", NAME)
    hypervisor.give("db", NAME)
    with pytest.raises(
        Refused, match=r"is used by VM db \(vm-2\) and will not be left to VM app: detach it there first, or ask for sharing"
    ):
        attach.attach(hypervisor, REQUEST, check_mode=False)
    assert not attach.attach(hypervisor, asking(sharing="multi_writer"), check_mode=False).outcome.changed


@pytest.mark.parametrize("sharing", [None, "multi_writer"])
def test_a_lun_that_another_vm_has_below_its_disk_is_never_told_to_be_well(hypervisor: MemoryHypervisor, sharing: str | None) -> None:
    visible_on(hypervisor, "h1", "h2")
    hypervisor.give("app", NAME)
    hypervisor.uses = [Use("VM", "db", "vm-2", "has it below its disk vda", NAME)]
    with pytest.raises(Refused, match=r"is used by VM db \(vm-2\) has it below its disk vda and will not be left to VM app"):
        attach.attach(hypervisor, asking(sharing=sharing), check_mode=False)


# -- a LUN that snapshots of a VM have


def of_snapshots(vm: VirtualMachine) -> Use:
    return Use("VM", vm.name, vm.id, "has it in its snapshots S2", NAME, way_out="remove these snapshots first", in_snapshots=True)


def in_unreadable_ones(vm: VirtualMachine) -> Use:
    return Use("VM", vm.name, vm.id, "has the snapshots S2, which cannot be read", in_snapshots=True)


@pytest.mark.parametrize("vm", ["app", "db"])
def test_a_lun_that_only_snapshots_have_is_not_given_released_or_forgotten(hypervisor: MemoryHypervisor, vm: str) -> None:
    """A VM that was reverted to an older snapshot, or whose disk was removed in the vSphere Client."""
    kept = visible_on(hypervisor, "h1", "h2")
    kept.uses = [of_snapshots(machine) for machine in kept.machines if machine.name == vm]
    used = rf"LUN {NAME} is used by VM {vm} \(vm-.\) has it in its snapshots S2 and will not be {{}}: remove these snapshots first\.$"
    request = replace(REQUEST, assume_unused=True)
    with pytest.raises(Refused, match=used.format("given to VM app")):
        attach.attach(kept, request, check_mode=False)
    with pytest.raises(Refused, match=used.format("released by the hosts")):
        attach.detach(kept, request, release=True, check_mode=False)
    with pytest.raises(Refused, match=used.format("released by the hosts")):
        attach.release(kept, request, check_mode=False)
    with pytest.raises(Refused, match=used.format("forgotten by the hosts")):
        attach.forget(kept, request, check_mode=False)


@pytest.mark.parametrize("sharing", [None, "multi_writer"])
def test_a_lun_that_snapshots_of_another_vm_have_is_not_shared_with_it(hypervisor: MemoryHypervisor, sharing: str | None) -> None:
    hypervisor.uses = [of_snapshots(hypervisor.machines[1])]
    for disk_of in ("", "db"):
        with pytest.raises(Refused, match="has it in its snapshots S2"):
            attach.attach(with_disk(hypervisor, disk_of), asking(sharing=sharing), check_mode=False)


def test_a_lun_that_two_vms_share_is_left_to_both_though_one_has_snapshots(hypervisor: MemoryHypervisor) -> None:
    with_disk(with_disk(visible_on(hypervisor, "h1", "h2"), "app"), "db").uses = [of_snapshots(hypervisor.machines[1])]
    assert not attach.attach(hypervisor, asking(sharing="multi_writer"), check_mode=False).outcome.changed
    with pytest.raises(Refused, match="is used by VM db"):
        attach.attach(hypervisor, REQUEST, check_mode=False)


def test_a_vm_that_lacks_the_lun_is_given_none_that_its_unreadable_snapshots_may_have(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [in_unreadable_ones(hypervisor.machines[0])]
    with pytest.raises(Refused, match=r"nobody can tell whether it is used \(VM app \(vm-1\) has the snapshots S2, which cannot be read\)"):
        attach.attach(hypervisor, REQUEST, check_mode=False)


@pytest.mark.parametrize("use", [of_snapshots, in_unreadable_ones])
def test_snapshots_of_a_vm_with_the_lun_do_not_stand_in_the_way_of_that_vms_disk(
    hypervisor: MemoryHypervisor, use: Callable[[VirtualMachine], Use], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_disk(visible_on(hypervisor, "h1", "h2"), "app").uses = [use(hypervisor.machines[0])]
    assert not attach.attach(hypervisor, REQUEST, check_mode=False).outcome.changed
    edit = Act("set disk_mode persistent", False, lambda: None)
    monkeypatch.setattr(hypervisor, "plan_attach", lambda _vm, _wish: Plan([edit]))
    assert attach.attach(hypervisor, asking(disk_mode="persistent"), check_mode=False).outcome.actions == [edit.title]


# -- a LUN that is the VM's already


SOMEBODY = Use("VM", "lost", "vm-9", "cannot be read")
"""A use of which nobody knows whether it is one of the LUN."""
SHARED = replace(DISK, sharing="multi_writer")
ELSE = replace(DISK, key="2002", unit=2, name=OTHER)


def test_a_host_that_lost_sight_of_a_vms_lun_finds_it_again_whoever_may_use_it(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [SOMEBODY]
    report = attach.attach(with_disk(visible_on(hypervisor, "h1"), "app"), REQUEST, check_mode=False)
    assert [action.split()[0] for action in report.outcome.actions] == ["rescan"]


def test_a_file_system_on_a_lun_that_the_vm_has_is_no_second_vm(hypervisor: MemoryHypervisor) -> None:
    hypervisor.file_systems = [FileSystem("ds-1", "gold", "vmfs", ["h1"], [str(NAME)])]
    assert not attach.attach(with_disk(visible_on(hypervisor, "h1", "h2"), "app"), REQUEST, check_mode=False).outcome.changed


def test_what_a_host_may_do_with_any_lun_is_not_told_of_this_one(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [Use("host", "esx2", "h2", "cannot be asked because it is down")]
    assert attach.attach(with_disk(visible_on(hypervisor, "h1", "h2"), "app"), REQUEST, check_mode=False).outcome.warnings == []


def test_a_use_without_a_way_out_of_its_own_is_to_be_ended(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [replace(GUESTS_GROUP, way_out="")]
    (warning,) = attach.attach(with_disk(visible_on(hypervisor, "h1", "h2"), "app"), REQUEST, check_mode=False).outcome.warnings
    assert warning.endswith("has the guest's volume group vg-a active: end that use.")


def with_disks(hypervisor: MemoryHypervisor, *disks: VirtualDisk) -> MemoryHypervisor:
    """Both VMs have the LUN, app with these disks."""
    visible_on(with_disk(hypervisor, "db"), "h1", "h2")
    hypervisor.machines[0] = replace(hypervisor.machines[0], disks=disks)
    return hypervisor


def test_a_disk_that_is_shared_already_may_be_another_vms_too(hypervisor: MemoryHypervisor) -> None:
    assert not attach.attach(with_disks(hypervisor, ELSE, SHARED), REQUEST, check_mode=False).outcome.changed


def test_that_another_disk_of_the_vm_is_shared_shares_not_this_one(hypervisor: MemoryHypervisor) -> None:
    with pytest.raises(Refused, match="is used by VM db"):
        attach.attach(with_disks(hypervisor, DISK, replace(ELSE, sharing="multi_writer")), REQUEST, check_mode=False)


def test_sharing_does_not_vouch_for_a_vm_that_says_nothing_of_its_disks(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [Use("VM", "ghost", "vm-9", "")]
    with pytest.raises(Refused, match="nobody can tell whether it is used"):
        attach.attach(hypervisor, asking(sharing="multi_writer"), check_mode=False)


# -- planned anew


def test_the_pauses_before_a_new_plan_double(hypervisor: MemoryHypervisor) -> None:
    pauses: list[float] = []
    attach.attach(contended(hypervisor, 3), REQUEST, check_mode=False, sleep=pauses.append)
    assert pauses == [1.0, 2.0, 4.0]


def test_what_was_missing_of_a_disk_is_planned_anew_too(hypervisor: MemoryHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = Plan([Act("attach it to what starts next time", False, lambda: None)])
    monkeypatch.setattr(MemoryHypervisor, "plan_attach", lambda *_asked: rest)
    there, pauses = contended(with_disk(visible_on(hypervisor, "h1", "h2"), "app"), 1), list[float]()
    visible_on(there, "h1", "h2")
    assert attach.attach(there, REQUEST, check_mode=False, sleep=pauses.append).outcome.actions == ["attach it to what starts next time"]
    assert len(pauses) == 1


def test_what_an_earlier_attempt_did_is_a_change_also_when_nothing_was_left_to_do(
    hypervisor: MemoryHypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = Act("attach it to what starts next time", False, lambda: None)
    monkeypatch.setattr(MemoryHypervisor, "plan_attach", lambda *_asked: Plan([rest]))
    there = contended(with_disk(hypervisor, "app"), 1)
    there.theirs = lambda: setattr(rest, "is_done", True)
    outcome = attach.attach(there, REQUEST, check_mode=False, sleep=lambda _seconds: None).outcome
    assert (outcome.changed, list(outcome.actions)) == (True, [f"rescan esx1, esx2 for LUN {NAME}"])


def test_another_failure_of_the_last_attempt_is_told_as_it_is(hypervisor: MemoryHypervisor) -> None:
    there = contended(hypervisor, 4)

    def theirs() -> None:
        there.error = Overtaken if there.losses else Refused

    there.theirs = theirs
    with pytest.raises(StepFailed) as failure:
        attach.attach(there, REQUEST, check_mode=False, sleep=lambda _seconds: None)
    assert "planned anew" not in str(failure.value)


def test_that_it_was_planned_anew_ends_the_sentence(hypervisor: MemoryHypervisor) -> None:
    with pytest.raises(StepFailed, match="run this task again; it was planned anew 3 times"):
        attach.attach(contended(hypervisor, 4), REQUEST, check_mode=False, sleep=lambda _seconds: None)


def test_two_steps_that_are_called_alike_are_both_told(hypervisor: MemoryHypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = [Act("detach it", False, lambda: None), Act("detach it", False, lambda: None)]
    monkeypatch.setattr(hypervisor, "plan_detach", lambda *_asked: Plan(twice))
    assert attach.detach(hypervisor, REQUEST, release=False, check_mode=False).outcome.actions == ["detach it", "detach it"]


def test_no_size_that_shall_be_seen_is_any_size(hypervisor: MemoryHypervisor) -> None:
    hypervisor.seen = [ScsiDevice("h1", str(NAME), NAME, 0)]
    assert MakeVisible(hypervisor, hypervisor.host_list[:1], NAME, 60).done()


PLANNED = PlannedLun("svm:/vol/v/l")


def test_what_attaching_a_lun_would_do_is_told_before_there_is_one(hypervisor: MemoryHypervisor) -> None:
    with_disk(visible_on(hypervisor, "h1", "h2"), "db")
    report = attach.attach(hypervisor, replace(asking(name=PLANNED), assume_unused=True), check_mode=True)
    assert report.outcome.actions == ["rescan esx1, esx2 for LUN svm:/vol/v/l", "attach LUN svm:/vol/v/l to VM app"]
    assert (report.result(PLANNED)["naa"], report.result(PLANNED)["disk"]) == (None, None)


def test_a_lun_that_is_still_to_be_made_is_refused_for_what_the_run_would_refuse(hypervisor: MemoryHypervisor) -> None:
    hypervisor.uses = [Use("VM", "lost", "vm-9", "cannot be read")]
    with pytest.raises(Refused, match="nobody can tell whether it is used"):
        attach.attach(hypervisor, asking(name=PLANNED), check_mode=True)
    hypervisor.host_list[1] = replace(hypervisor.host_list[1], state="unreachable")
    with pytest.raises(Refused, match="esx2 are not connected"):
        attach.attach(hypervisor, replace(asking(name=PLANNED), assume_unused=True), check_mode=True)


def test_of_the_disks_before_this_one_those_that_the_vm_lacks_take_a_place(
    hypervisor: MemoryHypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes: list[DiskWish] = []

    def noting(vm: VirtualMachine, wish: DiskWish) -> Plan:
        wishes.append(wish)
        return Plan()

    monkeypatch.setattr(hypervisor, "plan_attach", noting)
    ahead = [(NAME, Slot(0, 1)), (PLANNED, Slot()), (OTHER, Slot(0, 3))]
    request = replace(asking(name=PLANNED), ahead=ahead, leaving=[OTHER])
    attach.attach(with_disk(hypervisor, "app"), request, check_mode=True)
    assert wishes[0].slots == [Slot(), Slot(0, 3), Slot()]
    assert wishes[0].leaving == [OTHER]


def seen_with(hypervisor: MemoryHypervisor, array: MemoryArray, timeout: float = 60) -> MakeVisible:
    presentation = Presentation(lambda: array, hypervisor, NAME)
    return MakeVisible(hypervisor, hypervisor.host_list[:2], NAME, timeout, presentation=presentation, sleep=lambda _: None)


def with_initiators(hypervisor: MemoryHypervisor) -> MemoryHypervisor:
    hypervisor.host_list = [
        replace(host, hbas=[Hba("vmhba1", "iscsi_software", "online", iqn=f"iqn.2026-01.com.example:{host.id}")])
        for host in hypervisor.host_list
    ]
    return hypervisor


def test_hosts_do_not_wait_for_a_lun_that_the_array_does_not_map_to_them(hypervisor: MemoryHypervisor) -> None:
    hypervisor.presented = {"h1": 1}
    step = seen_with(with_initiators(hypervisor), MemoryArray(lun(NAME, initiators=["iqn.2026-01.com.example:h1"])))
    with pytest.raises(Refused, match="is mapped to no initiator of esx2 on array"):
        step.do()
    assert hypervisor.rescans == [("h1", "h2")]


def test_the_array_is_asked_again_while_hosts_wait(hypervisor: MemoryHypervisor) -> None:
    array = MemoryArray(lun(NAME, initiators=["iqn.2026-01.com.example:h1", "iqn.2026-01.com.example:h2"]))
    hypervisor.presented = {}
    step = seen_with(with_initiators(hypervisor), array)

    def taken_offline(_seconds: float) -> None:
        if len(hypervisor.rescans) == 3:
            array.lun = replace(lun(NAME), state="offline")

    step.sleep = taken_offline
    with pytest.raises(Refused, match="is offline on array"):
        step.do()
    assert len(hypervisor.rescans) == 4


def test_nobody_asks_the_array_while_all_hosts_see_the_lun_or_for_those_that_see_it_too_small(hypervisor: MemoryHypervisor) -> None:
    array = MemoryArray(lun(NAME, initiators=[]))
    step = seen_with(visible_on(with_initiators(hypervisor), "h1", "h2"), array)
    step.do()
    assert array.calls == []
    grown = replace(step, size_bytes=2 << 30, timeout=0)
    with pytest.raises(TimedOut, match="still smaller than"):
        grown.do()


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (
            MemoryArray(lun(NAME, initiators=["iqn.2026-01.com.example:h1", "iqn.2026-01.com.example:h2"])),
            "after 0 s, and array ontap.example.com maps it to them: check zoning, and iSCSI sessions",
        ),
        (
            MemoryArray(error="No."),
            r"after 0 s, and the array could not be asked .* \(No\): check that it is online on the array and mapped",
        ),
    ],
    ids=["mapped", "silent"],
)
def test_who_has_waited_in_vain_is_told_what_the_array_says(hypervisor: MemoryHypervisor, array: MemoryArray, told: str) -> None:
    hypervisor.presented = {}
    with pytest.raises(TimedOut, match=told):
        seen_with(with_initiators(hypervisor), array, timeout=0).do()
