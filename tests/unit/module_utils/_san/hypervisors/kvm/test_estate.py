# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that a KVM host has, in one look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.kvm_host import SAN_HOST
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, domain_xml, network_lun
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 2: OTHER})) as there:
        yield there


@pytest.fixture
def other_target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: OTHER})) as there:
        yield there


@pytest.fixture
def host(target: IscsiTarget, other_target: IscsiTarget, tmp_path: Path) -> KvmHost:
    app = Domain("app", config=domain_xml("app", VIRTIO_SCSI + network_lun(target, 1)))
    pools = [libvirt.san_pool(target), libvirt.san_pool(other_target)]
    return libvirt.host(Connect([app], pools), tmp_path)


def test_without_devices_only_the_targets_of_disks_are_asked(host: KvmHost, target: IscsiTarget, other_target: IscsiTarget) -> None:
    found = estate.inventory(host, devices=False, images=False)
    assert [disk.name for disk in found.virtual_machines[0].disks] == [NAME]
    assert (target.logouts, other_target.logouts, found.devices) == (1, 0, ())


def test_with_devices_a_login_that_disks_and_pools_share_is_one(host: KvmHost, target: IscsiTarget, other_target: IscsiTarget) -> None:
    found = estate.inventory(host, devices=True, images=False)
    assert [device.name for device in found.devices] == [NAME, OTHER, OTHER]
    assert (target.logouts, other_target.logouts) == (1, 1)


def test_a_vm_that_has_a_lun_by_one_path_of_several_is_a_warning_of_the_map(tmp_path: Path) -> None:
    lun = f"<disk type='block' device='lun'><source dev='/dev/disk/by-id/{NAME.wwn}'/><target dev='sda' bus='scsi'/></disk>"
    grouped = "<disk type='block' device='lun'><source dev='/dev/mapper/mpatha'/><target dev='sda' bus='scsi'/></disk>"
    vms = [Domain(name, config=domain_xml(name, VIRTIO_SCSI + disk)) for name, disk in (("app", lun), ("db", grouped))]
    host = libvirt.host(Connect(vms), plant(tmp_path, SAN_HOST))
    (warning,) = estate.inventory(host, devices=True, images=False).warnings
    assert f"VM app has LUN {NAME} by the name of a single path" in warning
    assert estate.inventory(host, devices=False, images=False).warnings == []


def test_a_target_that_does_not_answer_is_a_warning_and_what_is_on_it_may_be_any_lun(host: KvmHost, target: IscsiTarget) -> None:
    target.initiators.clear()
    found = estate.inventory(host, devices=False, images=False)
    assert [disk.name for disk in found.virtual_machines[0].disks] == [None]
    silent, doubt = found.warnings
    assert "does not let initiator" in silent
    assert doubt == f"VM app has its disk sda from an iSCSI target that does not tell which LUN it is ({silent.rstrip('.')})."
    assert [(use.name, use.lun) for use in found.uses] == [("app", None)]
