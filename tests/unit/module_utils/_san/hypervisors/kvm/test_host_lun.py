# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a VM can be given a LUN: multipath before a path, the host before the network, and never what nobody shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.kvm_host import PORT, SAN_HOST
from tests.unit.libvirt import HOST_UUID, Connect
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER

THIRD = ScsiName.from_ontap_serial("80Lab-aaaaa7")


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({3: THIRD, 4: NAME})) as there:
        yield there


@pytest.fixture
def host(target: IscsiTarget, tmp_path: Path) -> KvmHost:
    return libvirt.host(Connect(pools=[libvirt.san_pool(target)]), plant(tmp_path, SAN_HOST))


def test_multipath_goes_before_a_path_and_the_host_before_the_network(host: KvmHost) -> None:
    assert host_lun.source(host, NAME).path == f"/dev/disk/by-id/dm-uuid-mpath-{NAME.wwid}"
    assert host_lun.source(host, OTHER).path == f"/dev/disk/by-id/{OTHER.wwn}"


def test_what_the_host_has_not_comes_over_the_network(host: KvmHost) -> None:
    source = host_lun.source(host, THIRD)
    assert (source.type, source.lun_id) == ("network", 3)


def test_visible_is_what_either_shows(host: KvmHost) -> None:
    assert [device.device for device in host_lun.devices(host, OTHER)] == [f"/dev/disk/by-id/{OTHER.wwn}"]
    assert [(device.host, device.state, device.size_bytes) for device in host_lun.devices(host, THIRD)] == [(HOST_UUID, "ok", 1 << 30)]
    assert len(host_lun.devices(host, NAME)) == 2


def test_what_nobody_shows_is_told_with_what_the_targets_say(host: KvmHost, target: IscsiTarget) -> None:
    target.initiators.clear()
    assert host_lun.devices(host, THIRD) == []
    with pytest.raises(NotFound, match=r"Host kvm01 does not see LUN .*does not let initiator .* in \(status 515\)"):
        host_lun.source(host, THIRD)


def test_a_device_without_paths_is_not_given_away(host: KvmHost, tmp_path: Path) -> None:
    (tmp_path / f"{PORT}/rport-7:0-0/target7:0:0/7:0:0:2/state".lstrip("/")).write_text("transport-offline\n")
    with pytest.raises(Refused, match=r"LUN .* is lost on host kvm01: repair its paths"):
        host_lun.source(host, OTHER)
