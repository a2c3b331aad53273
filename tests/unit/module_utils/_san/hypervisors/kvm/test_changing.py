# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM that is changed: which parts of it have a LUN, and how a device is taken from both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import devices, domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.changing import VmChange, observe
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, domain_xml, network_lun, uuid_of
from tests.unit.ports import NAME, OTHER

CONTROLLER = devices.scsi_controller(0, "virtio-scsi")
VM = VirtualMachine(uuid_of("app"), "app")


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 2: OTHER})) as there:
        yield there


@pytest.fixture
def app(target: IscsiTarget) -> Domain:
    """A VM whose `sda` is one LUN now and another after its next start."""
    return Domain(
        "app",
        live=domain_xml("app", VIRTIO_SCSI + network_lun(target, 1)),
        config=domain_xml("app", VIRTIO_SCSI + network_lun(target, 2)),
    )


@pytest.fixture
def host(app: Domain, tmp_path: Path) -> KvmHost:
    return libvirt.host(Connect([app]), tmp_path)


@pytest.fixture
def change(host: KvmHost) -> VmChange:
    """A VM for which time passes only by sleeping."""
    now = [0.0]
    return VmChange(host, VM, timeout=30, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))


def controllers(xml: str) -> int:
    return len(domain.parse(xml).controllers)


def its_controller(part: domain.Domain) -> str | None:
    return next((controller.xml for controller in part.controllers), None)


def test_a_lun_is_told_by_what_is_under_a_disk_and_not_by_the_disks_name_in_the_vm(change: VmChange) -> None:
    seen = change.observe()
    (disk,) = seen.disks_of(NAME)
    assert (disk.target, disk.source) == ("sda", seen.pair.live.disks[0].source)
    assert (seen.parts_with(NAME), seen.parts_with(OTHER)) == (LIVE, CONFIG)


def test_a_vm_that_is_gone_is_told(host: KvmHost) -> None:
    with pytest.raises(NotFound, match="no domain with matching uuid"):
        observe(host, uuid_of("gone"))


def test_a_device_is_taken_from_what_runs_and_from_what_starts_next_time(change: VmChange, app: Domain) -> None:
    change.take("SCSI controller 0", its_controller)
    assert (controllers(app.live), controllers(app.config)) == (0, 0)


def test_a_guest_that_keeps_a_device_is_waited_for_as_long_as_allowed_and_nothing_else_is_changed(change: VmChange, app: Domain) -> None:
    app.holds_on = True
    with pytest.raises(TimedOut, match="SCSI controller 0 is still in VM app after 30 s"):
        change.take("SCSI controller 0", its_controller)
    assert controllers(app.config) == 1


def test_a_lun_that_the_guest_has_mounted_is_not_taken(change: VmChange, app: Domain) -> None:
    app.mounted = [("/data", "sda1", "ext4", ["sda"])]
    with pytest.raises(Refused, match="mounted in VM app at /data: unmount it there first"):
        change.refuse_if_mounted(NAME)
