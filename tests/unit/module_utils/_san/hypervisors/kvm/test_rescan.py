# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rescan: who is told to look, and what is told when nobody can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import OnlyLibvirt
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_uri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import FC_HOSTS
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.kvm_host import PORT, SAN_HOST
from tests.unit.libvirt import Connect
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME

THIRD = ScsiName.from_ontap_serial("80Lab-aaaaa7")


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({3: THIRD, 4: NAME})) as there:
        yield there


@pytest.fixture
def host(target: IscsiTarget, tmp_path: Path) -> KvmHost:
    return libvirt.host(Connect(pools=[libvirt.san_pool(target)]), plant(tmp_path, SAN_HOST))


def test_a_rescan_lets_every_san_adapter_look(host: KvmHost, tmp_path: Path) -> None:
    rescan.rescan(host, THIRD)
    assert (tmp_path / f"{PORT}/scsi_host/host7/scan".lstrip("/")).read_text() == "- - -"


def test_a_rescan_lets_the_host_read_the_size_of_every_path_and_then_of_their_multipath_device(
    host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sys/devices/virtual/block/dm-0/size").write_text("1048576")
    paths = [tmp_path / f"{PORT}/rport-7:0-{path}/rescan".lstrip("/") for path in ("0/target7:0:0/7:0:0:1", "1/target7:0:1/7:0:1:1")]
    resized: list[tuple[list[str], list[str]]] = []
    monkeypatch.setattr(
        host.access, "run", lambda command, _patience: resized.append((list(command), [path.read_text() for path in paths]))
    )
    rescan.rescan(host, NAME)
    assert resized == [(["multipathd", "resize", "map", "mpatha"], ["1", "1"])]


def test_a_lun_that_is_not_found_may_be_behind_the_number_of_another(host: KvmHost, tmp_path: Path) -> None:
    """Linux takes no notice when an array gives a number to another LUN: whoever does I/O is asked which LUN it is."""
    (tmp_path / f"{PORT}/rport-7:0-0/target7:0:0/7:0:0:2/state".lstrip("/")).write_text("transport-offline\n")
    rescan.rescan(host, THIRD)
    asked = {file.parent.name for file in tmp_path.rglob("rescan")}
    assert asked == {"7:0:0:1", "7:0:1:1", "7:0:0:3", "7:0:0:4"}


def test_a_lun_may_be_behind_the_number_of_one_that_was_unmapped(host: KvmHost, tmp_path: Path) -> None:
    (tmp_path / f"{PORT}/rport-7:0-0/target7:0:0/7:0:0:2/block/sdc/size".lstrip("/")).write_text("0\n")
    rescan.rescan(host, THIRD)
    assert "7:0:0:2" in {file.parent.name for file in tmp_path.rglob("rescan")}


def test_a_multipath_device_of_the_size_of_its_paths_is_left_alone(host: KvmHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.access, "run", lambda command, _patience: pytest.fail(f"{command} was run"))
    rescan.rescan(host, NAME)


def resized(host: KvmHost, root: Path, monkeypatch: pytest.MonkeyPatch, **sectors: str) -> bool:
    """Whether a rescan lets the multipath device take over a size, when its two paths and itself have these."""
    places = {"sda": "7:0:0:1/block/sda", "sdb": "7:0:1:1/block/sdb"}
    for block, text in sectors.items():
        place = next(root.rglob(places[block])) if block in places else root / "sys/devices/virtual/block/dm-0"
        (place / "size").write_text(text)
    ran: list[object] = []
    monkeypatch.setattr(host.access, "run", lambda command, _patience: ran.append(command))
    rescan.rescan(host, NAME)
    return ran == [["multipathd", "resize", "map", "mpatha"]]


@pytest.mark.parametrize(
    ("sda", "sdb"),
    [("0", "0"), ("0", "4194304"), ("1048576", "1048576"), ("4194304", "2097152")],
    ids=["unmapped", "one path unmapped", "smaller", "one path grown"],
)
def test_a_multipath_device_never_shrinks_nor_grows_before_its_last_path(
    host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sda: str, sdb: str
) -> None:
    assert not resized(host, tmp_path, monkeypatch, sda=sda, sdb=sdb, map="2097152")


def test_a_path_that_is_dead_keeps_no_multipath_device_small(host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{PORT}/rport-7:0-1/target7:0:1/7:0:1:1/state".lstrip("/")).write_text("transport-offline\n")
    assert resized(host, tmp_path, monkeypatch, sda="4194304", sdb="2097152", map="2097152")


def test_a_path_that_does_not_answer_keeps_nobody_from_the_others(host: KvmHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resized: list[list[str]] = []
    monkeypatch.setattr(host.access, "run", lambda command, _patience: resized.append(list(command)))
    (tmp_path / f"{PORT}/rport-7:0-0/target7:0:0/7:0:0:1/rescan".lstrip("/")).mkdir()
    (tmp_path / "sys/devices/virtual/block/dm-0/size").write_text("1048576")
    rescan.rescan(host, NAME)
    assert (tmp_path / f"{PORT}/rport-7:0-1/target7:0:1/7:0:1:1/rescan".lstrip("/")).read_text() == "1"
    assert resized == [["multipathd", "resize", "map", "mpatha"]]


def test_where_there_is_nothing_to_rescan_the_target_says_why_it_shows_nothing(target: IscsiTarget, tmp_path: Path) -> None:
    host = libvirt.host(Connect(pools=[libvirt.san_pool(target)]), tmp_path)
    rescan.rescan(host, THIRD)
    target.initiators.clear()
    with pytest.raises(RemoteError, match="does not let initiator"):
        rescan.rescan(host, THIRD)


def test_adapters_that_only_libvirt_reaches_cannot_be_rescanned(tmp_path: Path) -> None:
    uri = libvirt_uri.parse("qemu+tls://kvm01/system")
    host = KvmHost(libvirt.session(Connect(node_devices={FC_HOSTS: ["<device/>"]})), OnlyLibvirt(uri, 1))
    with pytest.raises(Refused, match=r"behind qemu\+tls://kvm01/system cannot be changed from here: reach it by qemu\+ssh://, or run"):
        rescan.rescan(host, NAME)
