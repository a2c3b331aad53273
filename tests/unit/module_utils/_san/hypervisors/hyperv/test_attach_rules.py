# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VM and its host have to be like for a LUN to become a disk."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import attach_rules
from tests.unit.hyperv_host import DATA, HOST, RAW, SPARE, HyperVHost


@pytest.fixture
def host() -> HyperVHost:
    return HyperVHost()


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"mode": "virtual"}, "mode virtual does not exist for a pass-through disk on Hyper-V: ask for physical, or leave it out"),
        ({"disk_mode": "persistent"}, "disk_mode persistent does not exist .*: leave it out"),
        ({"sharing": "multi_writer"}, "sharing multi_writer does not exist .*: ask for none, or leave it out"),
        ({"sharing": "physical_bus"}, "sharing physical_bus does not exist .*: ask for none, or leave it out"),
        (
            {"reservations": True},
            "reservations does not exist for a pass-through disk on Hyper-V, where guest clusters share a virtual disk",
        ),
        ({"file_system": "ds1"}, "datastore ds1 does not exist .*: leave it out"),
        ({"controller_type": "pvscsi"}, "controller_type pvscsi does not exist .*: ask for scsi, or leave it out"),
    ],
)
def test_what_means_nothing_on_hyper_v_is_refused_by_name(host: HyperVHost, option: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        attach_rules.refuse_unknown(host.wish(**option))


def test_what_says_no_more_than_hyper_v_does_anyway_is_taken(host: HyperVHost) -> None:
    attach_rules.refuse_unknown(host.wish(mode="physical", sharing="none", controller_type="scsi"))


def test_a_host_that_has_volumes_on_the_lun_refuses_it_by_their_places(host: HyperVHost) -> None:
    observed = host.change("hvapp01").observe()
    number = host.disk(DATA).number
    with pytest.raises(Refused, match=rf"Host {HOST} has LUN {DATA} in use as disk {number} with E:\\, so it will not be given to a VM"):
        attach_rules.refuse_unless_givable(observed, DATA)


def test_a_vm_with_a_disk_that_its_host_cannot_name_is_refused(host: HyperVHost) -> None:
    host.estate.disks.remove(host.disk(RAW))
    observed = host.change("hvdb01").observe()
    with pytest.raises(Refused, match=r"pass-through disks whose LUN host hv01.lab does not see \(SCSI\(0:1\)\)"):
        attach_rules.refuse_unless_givable(observed, SPARE)


def test_a_guest_whose_integration_services_are_silent_is_warned_of(host: HyperVHost) -> None:
    change = host.change("hvnoic01")
    plan = attach_rules.attach_steps(change, change.observe(), host.wish())
    (warning,) = plan.warnings
    assert warning.startswith(
        f"The integration services of VM hvnoic01 do not answer, so that nobody can tell whether its guest finds LUN {SPARE}"
    )


@pytest.mark.parametrize("vm", ["hvapp01", "hvold01"])
def test_a_guest_that_answers_or_is_off_is_not(host: HyperVHost, vm: str) -> None:
    change = host.change(vm)
    assert attach_rules.attach_steps(change, change.observe(), host.wish()).warnings == []
