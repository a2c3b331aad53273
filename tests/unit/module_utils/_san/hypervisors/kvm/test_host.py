# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One observation of a KVM host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, domain_xml, network_lun, uuid_of
from tests.unit.ports import NAME, OTHER


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 2: OTHER})) as there:
        yield there


@pytest.fixture
def host(target: IscsiTarget, tmp_path: Path) -> KvmHost:
    app = Domain("app", config=domain_xml("app", VIRTIO_SCSI + network_lun(target, 1)))
    return libvirt.host(Connect([app], [libvirt.san_pool(target)]), tmp_path)


def test_without_devices_only_the_targets_of_disks_are_asked(host: KvmHost, target: IscsiTarget) -> None:
    machines, observed = host.inventory(devices=False, images=False)
    assert [disk.name for disk in machines[0].disks] == [NAME]
    assert (target.logouts, len(observed.devices())) == (1, 2)


def test_a_login_that_disks_and_pools_share_is_one(host: KvmHost, target: IscsiTarget) -> None:
    host.inventory(devices=True, images=False)
    assert target.logouts == 1


def test_a_lun_is_found_among_the_disks_of_a_vm(host: KvmHost) -> None:
    machine = host.machine(uuid_of("app"))
    observed = host.observe([machine])
    assert (observed.disks_of(NAME, machine), observed.disks_of(OTHER, machine)) == (["sda"], [])


def test_the_ways_to_a_lun_come_with_what_stood_in_the_way(host: KvmHost, target: IscsiTarget) -> None:
    (source,), failures = host.shown(OTHER)
    assert (source.lun_id, failures) == (2, [])
    target.initiators.clear()
    ways, (failure,) = host.shown(OTHER)
    assert ways == []
    assert isinstance(failure, RemoteError)


def test_a_vm_that_is_gone_is_told(host: KvmHost) -> None:
    with pytest.raises(NotFound, match="no domain with matching uuid"):
        host.machine(uuid_of("gone"))
