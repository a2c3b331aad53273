# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of a VM through the management service of its host, and what is known after one."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, OutcomeUnknown, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import host_lun, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.changing import Observed, VmChange
from tests.lab.hyperv.estate import JobError
from tests.unit.hyperv_host import HOST, RAW, SPARE, HyperVHost
from tests.unit.windows import lost

pytestmark = pytest.mark.slow


@pytest.fixture
def host() -> HyperVHost:
    found = HyperVHost()
    found.see_spare()
    return found


@pytest.fixture
def change(host: HyperVHost) -> VmChange:
    return host.change("hvapp01")


def add_spare(change: VmChange, now: Observed, unit: int = 9) -> None:
    controller = places.controller_on(now.vm, 0)
    assert controller is not None
    _disk, drive = host_lun.to_give(now.client, SPARE, now.host_name, change.waiting)
    change.add_disk(now, controller, unit, drive)


def test_a_vm_is_observed_with_its_host(host: HyperVHost) -> None:
    now = host.change("hvdb01").observe()
    raw = now.disk_of(RAW)
    assert raw is not None
    assert now.disk_at(0, 1) == raw
    assert now.disk_at(3, 1) is None
    assert now.host_name == HOST


def test_a_disk_is_added_in_its_slot_and_removed_by_its_key(host: HyperVHost, change: VmChange) -> None:
    before = host.state()
    add_spare(change, change.observe())
    now = change.observe()
    disk = now.disk_of(SPARE)
    assert disk is not None
    assert disk == now.disk_at(0, 9)
    change.remove(now, disk.key)
    assert host.state() == before


def test_a_controller_is_added_and_removed_from_a_vm_that_is_off(host: HyperVHost) -> None:
    change, before = host.change("hvold01"), host.state()
    change.add_controller(change.observe())
    now = change.observe()
    assert [controller.bus for controller in places.scsi_controllers(now.vm)] == [0, 1]
    change.remove(now, places.scsi_controllers(now.vm)[1].key)
    assert host.state() == before


def test_a_refusal_is_told_in_the_hosts_own_words_with_its_code(host: HyperVHost, change: VmChange) -> None:
    host.lab.estate.job_error = JobError(32775, "No rights.")
    with pytest.raises(RemoteError, match=r"Hyper-V on host hv01\.lab says no: The job .* failed in state 10: No rights") as caught:
        add_spare(change, change.observe())
    assert caught.value.code == "32775"


def test_a_job_that_takes_too_long_may_still_do_its_work(host: HyperVHost, change: VmChange) -> None:
    host.lab.estate.timeline.seconds = 60.0
    change.timeout = 0.05
    with pytest.raises(OutcomeUnknown, match=r"is at 50 % after 0\.05 s and goes on"):
        add_spare(change, change.observe())


def test_after_a_lost_answer_the_vms_jobs_are_waited_for(host: HyperVHost, change: VmChange) -> None:
    host.lab.estate.timeline.seconds = 0.3
    host.wire.after_next["AddResourceSettings"] = lost
    with pytest.raises(OutcomeUnknown):
        add_spare(change, change.observe())
    assert change.observe().disk_of(SPARE) is None
    change.settle()
    assert change.observe().disk_of(SPARE) is not None


def test_a_job_that_failed_has_ended_too(host: HyperVHost, change: VmChange) -> None:
    host.lab.estate.timeline.seconds = 0.3
    host.lab.estate.job_error = JobError(32775, "No rights.")
    host.wire.after_next["AddResourceSettings"] = lost
    with pytest.raises(OutcomeUnknown):
        add_spare(change, change.observe())
    change.settle()
    assert change.observe().disk_of(SPARE) is None


def test_before_any_change_there_is_nothing_to_wait_for(host: HyperVHost, change: VmChange) -> None:
    change.settle()
    assert host.wire.asked == []


def test_a_vm_that_is_gone_is_not_found(host: HyperVHost, change: VmChange) -> None:
    del host.lab.estate.vms[change.id]
    with pytest.raises(NotFound, match=f"has the VM {change.id} any more"):
        change.observe()
