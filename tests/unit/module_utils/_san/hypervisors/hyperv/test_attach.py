# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done that a LUN is a disk of a VM of a single host, or is none any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import attach, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import carry_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun
from tests.lab.hyperv.vms import DVD, Attachment
from tests.unit.hyperv_cluster import ClusterLab
from tests.unit.hyperv_host import HOST, RAW, SPARE, TIMEOUT, HyperVHost

pytestmark = pytest.mark.slow


@pytest.fixture
def host() -> HyperVHost:
    found = HyperVHost()
    found.see_spare()
    return found


def test_an_offline_disk_is_attached_and_a_second_run_changes_nothing(host: HyperVHost) -> None:
    assert carry_out(attach.plan_attach(host.nodes, host.vm("hvapp01"), host.wish()), check_mode=False).actions == [
        f"attach LUN {SPARE} to VM hvapp01 as SCSI(0:2)"
    ]
    assert f"scsi0:02 raw {SPARE.naa}" in host.slots("hvapp01")
    assert not carry_out(attach.plan_attach(host.nodes, host.vm("hvapp01"), host.wish()), check_mode=False).changed


def test_check_mode_changes_nothing_and_tells_what_would_change(host: HyperVHost) -> None:
    host.disk(SPARE).offline = False
    before = host.state()
    outcome = carry_out(attach.plan_attach(host.nodes, host.vm("hvapp01"), host.wish(slot=Slot(0, 7))), check_mode=True)
    assert host.state() == before
    assert outcome.actions == [f"take LUN {SPARE} offline on host {HOST}", f"attach LUN {SPARE} to VM hvapp01 as SCSI(0:7)"]
    assert outcome.diff() == {
        "before": {f"LUN {SPARE}": {HOST: "online"}, "VM hvapp01": {"SCSI(0:7)": None}},
        "after": {f"LUN {SPARE}": {HOST: "offline"}, "VM hvapp01": {"SCSI(0:7)": {"lun": str(SPARE)}}},
    }


def test_a_lun_that_only_a_rescan_will_show_is_planned_all_the_same(host: HyperVHost) -> None:
    host.estate.disks.remove(host.disk(SPARE))
    plan = attach.plan_attach(host.nodes, host.vm("hvapp01"), host.wish())
    host.see_spare().offline = False
    assert [step.title for step in plan.run()] == [
        f"take LUN {SPARE} offline on host {HOST}",
        f"attach LUN {SPARE} to VM hvapp01 as SCSI(0:2)",
    ]


def test_a_vm_that_is_off_and_has_no_controller_gets_one(host: HyperVHost) -> None:
    host.simulated("hvide01").power = "off"
    outcome = carry_out(attach.plan_attach(host.nodes, host.vm("hvide01"), host.wish()), check_mode=False)
    assert outcome.actions == ["add SCSI controller 0 to VM hvide01", f"attach LUN {SPARE} to VM hvide01 as SCSI(0:0)"]
    assert f"scsi0:00 raw {SPARE.naa}" in host.slots("hvide01")


def test_a_disk_that_is_attached_elsewhere_is_not_moved(host: HyperVHost) -> None:
    assert not attach.plan_attach(host.nodes, host.vm("hvdb01"), host.wish(RAW, slot=Slot(0, 1))).steps
    assert not attach.plan_attach(host.nodes, host.vm("hvdb01"), host.wish(RAW, slot=Slot(0))).steps
    with pytest.raises(Refused, match=r"disk of VM hvdb01 already, with place SCSI\(0:1\), not SCSI\(0:5\)"):
        attach.plan_attach(host.nodes, host.vm("hvdb01"), host.wish(RAW, slot=Slot(0, 5)))


def test_the_lun_goes_from_the_vm_and_a_second_run_changes_nothing(host: HyperVHost) -> None:
    detach = attach.plan_detach(host.nodes, host.vm("hvdb01"), RAW, TIMEOUT)
    assert carry_out(detach, check_mode=False).actions == [f"detach LUN {RAW} (SCSI(0:1)) from VM hvdb01"]
    assert not host.simulated("hvdb01").raw_disks
    assert host.disk(RAW).offline
    assert not attach.plan_detach(host.nodes, host.vm("hvdb01"), RAW, TIMEOUT).steps


def test_a_running_vm_without_a_free_slot_is_refused(host: HyperVHost) -> None:
    vm = host.simulated("hvapp01")
    controller = vm.controllers[0]
    vm.attachments += [Attachment(DVD, controller, slot) for slot in places.UNITS if vm.at(controller, slot) is None]
    with pytest.raises(Refused, match=r"VM hvapp01 is running and it has no room on its SCSI controllers.*turn it off"):
        attach.plan_attach(host.nodes, host.vm("hvapp01"), host.wish())
    vm.power = "off"
    assert carry_out(attach.plan_attach(host.nodes, host.vm("hvapp01"), host.wish()), check_mode=False).changed
    assert f"scsi1:00 raw {SPARE.naa}" in host.slots("hvapp01")


def test_a_saved_vm_is_refused_unless_there_is_nothing_to_do(host: HyperVHost) -> None:
    host.simulated("hvdb01").power = "saved"
    with pytest.raises(Refused, match="saved or paused"):
        attach.plan_attach(host.nodes, host.vm("hvdb01"), host.wish())
    with pytest.raises(Refused, match="saved or paused"):
        attach.plan_detach(host.nodes, host.vm("hvdb01"), RAW, TIMEOUT)
    assert not attach.plan_attach(host.nodes, host.vm("hvdb01"), host.wish(RAW)).steps
    assert not attach.plan_detach(host.nodes, host.vm("hvdb01"), SPARE, TIMEOUT).steps


@pytest.mark.parametrize(
    ("state", "says"),
    [
        *((state, "saved or paused") for state in (32773, 32776, 32779, 32780)),
        *((state, "is changing its state, or in one that is not known") for state in (4, 10, 11, 32777, 32782, 32785, 32790, 1)),
    ],
)
def test_a_vm_that_is_neither_on_nor_off_is_refused_unless_there_is_nothing_to_do(host: HyperVHost, state: int, says: str) -> None:
    host.simulated("hvdb01").enabled_state = state
    with pytest.raises(Refused, match=says):
        attach.plan_attach(host.nodes, host.vm("hvdb01"), host.wish())
    with pytest.raises(Refused, match=says):
        attach.plan_detach(host.nodes, host.vm("hvdb01"), RAW, TIMEOUT)
    assert not attach.plan_attach(host.nodes, host.vm("hvdb01"), host.wish(RAW)).steps
    assert not attach.plan_detach(host.nodes, host.vm("hvdb01"), SPARE, TIMEOUT).steps


def test_a_disk_whose_lun_the_host_does_not_see_might_be_this_one(host: HyperVHost) -> None:
    host.estate.disks.remove(host.disk(RAW))
    with pytest.raises(Refused, match="nobody can tell whether one of them is LUN"):
        attach.plan_detach(host.nodes, host.vm("hvdb01"), SPARE, TIMEOUT)


def test_a_wish_of_another_platform_is_refused_before_anything_is_asked(host: HyperVHost) -> None:
    asked = len(host.wire.asked)
    with pytest.raises(InvalidInput, match="mode virtual does not exist"):
        attach.plan_attach(host.nodes, host.vm("hvapp01"), host.wish(mode="virtual"))
    assert len(host.wire.asked) == asked


def test_a_vm_of_a_cluster_gets_and_loses_its_disk_through_the_cluster() -> None:
    there = ClusterLab()
    wish = DiskWish(there.naa, timeout=3.0, initialize=True)
    carry_out(attach.plan_attach(there.nodes(), there.vm, wish), check_mode=False)
    assert there.follows()
    carry_out(attach.plan_detach(there.nodes(), there.vm, there.naa, 3.0), check_mode=False)
    assert not there.attached()
    assert f"Disk VM {there.vm_name} LUN {there.naa.naa}" not in there.cluster.resources


PLANNED = PlannedLun("svm:/vol/v/l")


def test_a_lun_that_does_not_exist_yet_is_planned_and_refused_as_the_run_would(host: HyperVHost) -> None:
    wish = replace(host.wish(), name=PLANNED, ahead=[Slot()])
    outcome = carry_out(attach.plan_attach(host.nodes, host.vm("hvapp01"), wish), check_mode=True)
    assert outcome.actions == ["attach LUN svm:/vol/v/l to VM hvapp01 as SCSI(0:3)"]
    with pytest.raises(Refused, match="has room for none of them: VM hvide01 is running and it has no SCSI controller"):
        attach.plan_attach(host.nodes, host.vm("hvide01"), wish)
    host.simulated("hvide01").power = "off"
    actions = carry_out(attach.plan_attach(host.nodes, host.vm("hvide01"), replace(wish, ahead=())), check_mode=True).actions
    assert actions == ["add SCSI controller 0 to VM hvide01", "attach LUN svm:/vol/v/l to VM hvide01 as SCSI(0:0)"]


def test_the_place_of_a_lun_that_goes_first_is_offered(host: HyperVHost) -> None:
    wish = replace(host.wish(slot=Slot(0, 1)), name=PLANNED)
    with pytest.raises(Refused, match=r"SCSI\(0:1\) of VM hvdb01 is taken"):
        attach.plan_attach(host.nodes, host.vm("hvdb01"), wish)
    plan = attach.plan_attach(host.nodes, host.vm("hvdb01"), replace(wish, leaving=[RAW]))
    assert plan.pending()[-1].title == "attach LUN svm:/vol/v/l to VM hvdb01 as SCSI(0:1)"
