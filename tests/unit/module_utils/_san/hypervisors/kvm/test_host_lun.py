# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a VM can be given a LUN: multipath before a path, the host before the network, and never what nobody shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import OnlyLibvirt
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_uri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import FC_HOSTS
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


def test_a_rescan_lets_every_san_adapter_look(host: KvmHost, tmp_path: Path) -> None:
    host_lun.rescan(host, THIRD)
    assert (tmp_path / f"{PORT}/scsi_host/host7/scan".lstrip("/")).read_text() == "- - -"


def test_a_rescan_lets_the_host_read_the_size_of_every_path_and_then_of_their_multipath_device(
    host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{PORT}/rport-7:0-{path}/rescan".lstrip("/") for path in ("0/target7:0:0/7:0:0:1", "1/target7:0:1/7:0:1:1")]
    resized: list[tuple[list[str], list[str]]] = []
    monkeypatch.setattr(
        host.access, "run", lambda command, _patience: resized.append((list(command), [path.read_text() for path in paths]))
    )
    host_lun.rescan(host, NAME)
    assert resized == [(["multipathd", "resize", "map", "mpatha"], ["1", "1"])]


def test_where_there_is_nothing_to_rescan_the_target_says_why_it_shows_nothing(target: IscsiTarget, tmp_path: Path) -> None:
    host = libvirt.host(Connect(pools=[libvirt.san_pool(target)]), tmp_path)
    host_lun.rescan(host, THIRD)
    target.initiators.clear()
    with pytest.raises(RemoteError, match="does not let initiator"):
        host_lun.rescan(host, THIRD)


def test_adapters_that_only_libvirt_reaches_cannot_be_rescanned(tmp_path: Path) -> None:
    uri = libvirt_uri.parse("qemu+tls://kvm01/system")
    host = KvmHost(libvirt.session(Connect(node_devices={FC_HOSTS: ["<device/>"]})), OnlyLibvirt(uri, 1))
    with pytest.raises(Refused, match=r"behind qemu\+tls://kvm01/system cannot be changed from here: run the task on the host itself"):
        host_lun.rescan(host, NAME)
