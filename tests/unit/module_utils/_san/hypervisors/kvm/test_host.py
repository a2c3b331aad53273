# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A KVM host as far as a question needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.kvm_host import MOUNTED, MOUNTS, SAN_HOST, loop
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, domain_xml, network_lun, uuid_of
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME, 2: OTHER})) as there:
        yield there


@pytest.fixture
def host(target: IscsiTarget, tmp_path: Path) -> KvmHost:
    app = Domain("app", config=domain_xml("app", VIRTIO_SCSI + network_lun(target, 1)))
    return libvirt.host(Connect([app], [libvirt.san_pool(target)]), tmp_path)


def test_the_ways_to_a_lun_come_with_what_stood_in_the_way(host: KvmHost, target: IscsiTarget) -> None:
    (source,), failures = host.shown(OTHER)
    assert (source.lun_id, failures) == (2, [])
    target.initiators.clear()
    ways, (failure,) = host.shown(OTHER)
    assert ways == []
    assert isinstance(failure, RemoteError)


def test_a_vm_that_is_gone_is_told(host: KvmHost) -> None:
    with pytest.raises(NotFound, match="no domain with matching uuid"):
        host.pair(uuid_of("gone"))


def test_pools_are_read_with_all_vms_and_not_again_for_each_look_at_one(target: IscsiTarget, tmp_path: Path) -> None:
    volume = "<disk type='volume' device='lun'><source pool='san' volume='unit:0:0:{}'/><target dev='sda' bus='scsi'/></disk>"
    app = Domain("app", config=domain_xml("app", VIRTIO_SCSI + volume.format(1)))
    connect = Connect([app], [libvirt.san_pool(target)])
    host = libvirt.host(connect, tmp_path)
    assert [pair.config.disks[0].source for pair in host.pairs()] == [host.pair(uuid_of("app")).config.disks[0].source]
    connect.pools = []
    app.config = domain_xml("app", VIRTIO_SCSI + volume.format(2))
    (disk,) = host.pair(uuid_of("app")).config.disks
    assert disk.source
    assert disk.source.lun_id == 2, "a look at one VM takes the pools that are known"
    (disk,) = host.pairs()[0].config.disks
    assert disk.source
    assert disk.source.login is None, "a look at all reads them again"


@pytest.mark.parametrize(("told", "lies_on"), [("/dev/loop3      8:65\n", MOUNTED), ("", ""), (None, "")])
def test_the_host_tells_where_the_file_of_a_loop_device_is_or_nobody_does(tmp_path: Path, told: str | None, lies_on: str) -> None:
    table = {"/proc/1/mountinfo": f"{MOUNTS}\n70 27 7:3 / /data rw - ext4 /dev/loop3 rw"}
    host = libvirt.host(Connect(), plant(tmp_path, SAN_HOST, loop(3, "/srv/images/a.img"), table))
    assert isinstance(host.access, libvirt.Machine)
    host.access.loops = told
    (store,) = [store for store in host.storage(()).file_systems(()) if store.id == "/data"]
    assert list(store.extents) == [f"/dev/disk/by-id/wwn-0x{lies_on}" if lies_on else "/dev/loop3"]
