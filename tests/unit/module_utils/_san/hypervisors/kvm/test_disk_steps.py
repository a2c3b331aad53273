# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps on their own: what each promises before it acts, and what it looks at before it undoes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.changing import VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.disk_steps import AddController
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE
from tests.unit import libvirt
from tests.unit.libvirt import Connect, Domain, domain_xml, uuid_of

EMPTY = domain_xml("app", "")
OCCUPANT = (
    "<disk type='file' device='disk'><source file='/a'/><target dev='sda' bus='scsi'/>"
    "<address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>"
)


@pytest.fixture
def app() -> Domain:
    return Domain("app", EMPTY, EMPTY)


@pytest.fixture
def vm(app: Domain, tmp_path: Path) -> VmChange:
    return VmChange(libvirt.host(Connect([app]), tmp_path), VirtualMachine(uuid_of("app"), "app"), timeout=30)


def controller(vm: VmChange, parts: int = LIVE | CONFIG) -> AddController:
    return AddController(vm, Place(0, 0, "virtio-scsi", add=True), parts)


def indexes(xml: str) -> list[int]:
    return [found.index for found in domain.parse(xml).controllers]


def test_a_controller_is_added_and_taken_away_again(vm: VmChange, app: Domain) -> None:
    step = controller(vm)
    step.do()
    step.verify()
    assert (indexes(app.live), indexes(app.config)) == ([0], [0])
    step.undo()
    assert (indexes(app.live), indexes(app.config)) == ([], [])


def test_a_controller_that_is_missing_afterwards_is_told(vm: VmChange) -> None:
    with pytest.raises(RemoteError, match="VM app has no SCSI controller 0 after the change"):
        controller(vm).verify()


def test_a_controller_that_somebody_uses_meanwhile_stays(vm: VmChange, app: Domain) -> None:
    step = controller(vm)
    step.do()
    vm.host.session.attach(uuid_of("app"), OCCUPANT, LIVE | CONFIG)
    step.undo()
    assert (indexes(app.live), indexes(app.config)) == ([0], [0])


def test_a_controller_that_somebody_added_meanwhile_is_not_ours(vm: VmChange) -> None:
    controller(vm).do()
    with pytest.raises(Refused, match="was added to VM app by somebody else in the meantime"):
        controller(vm).do()


def test_a_change_is_told_before_and_after(vm: VmChange) -> None:
    step = controller(vm)
    assert step.before() == {"VM app": {"SCSI controller 0": None}}
    assert step.after() == {"VM app": {"SCSI controller 0": "virtio-scsi"}}
