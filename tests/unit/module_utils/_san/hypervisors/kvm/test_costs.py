# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operation costs on hosts over ssh: logins, copies of their files, and looks whether a copy is still right."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.backend import Kvm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.several import Endpoint, Several
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import (
    AttachRequest,
    attach,
    detach,
    forget,
    release,
)
from tests.unit import libvirt
from tests.unit.fake_ssh import COPY, LOGIN, LOOK, FakeSsh, fake_ssh
from tests.unit.kvm_host import SAN_HOST, SEEN_LATER, SEEN_LATER_NAME
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, domain_xml, uuid_of
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME

pytestmark = pytest.mark.slow

NAMES = ("kvm01", "kvm02")


@pytest.fixture
def fake(tmp_path: Path) -> FakeSsh:
    """An ssh before a host on a SAN, whose adapters find one more LUN when they look."""
    return _fake(tmp_path)


@pytest.fixture
def kvm(fake: FakeSsh) -> Iterator[Kvm]:
    app = domain_xml("app", VIRTIO_SCSI)
    backend = Kvm(Connection(HYPERVISOR), KvmHost(libvirt.session(Connect([Domain("app", app, app)])), fake.access()))
    yield backend
    backend.close()


def test_a_lun_that_the_host_sees_is_attached_with_one_login_and_one_copy(kvm: Kvm, fake: FakeSsh) -> None:
    report = attach(kvm, AttachRequest("app", DiskWish(NAME, timeout=60)), check_mode=False)
    assert report.attachment is not None
    assert report.attachment.disk.device == f"/dev/disk/by-id/{NAME.wwn}"
    assert (fake.counts()[LOGIN], fake.counts()[COPY]) == (1, 1)


def test_a_new_lun_is_attached_with_one_login_and_two_copies(kvm: Kvm, fake: FakeSsh) -> None:
    report = attach(kvm, AttachRequest("app", DiskWish(SEEN_LATER_NAME, timeout=60)), check_mode=False)
    assert [action.split()[0] for action in report.outcome.actions] == ["rescan", "attach"]
    assert (fake.counts()[LOGIN], fake.counts()[COPY]) == (1, 2)


@pytest.fixture
def fakes(tmp_path: Path) -> list[FakeSsh]:
    """The same before two hosts."""
    return [_fake(tmp_path / name) for name in NAMES]


@pytest.fixture
def both(fakes: list[FakeSsh]) -> Iterator[Several]:
    """Two hosts, the first with the VM, so slow that no two questions fall into one moment by the clock."""
    vms = {"kvm01": "app", "kvm02": "db"}
    found = Several([Endpoint(name, partial(_slow, name, vms[name], fake)) for name, fake in zip(NAMES, fakes)])
    yield found
    found.close()


def test_two_hosts_are_logged_in_to_once_and_copied_as_often_as_one(both: Several, fakes: list[FakeSsh]) -> None:
    report = attach(both, AttachRequest("app", DiskWish(SEEN_LATER_NAME, timeout=60)), check_mode=False)
    assert report.hosts == list(NAMES)
    assert [(fake.counts()[LOGIN], fake.counts()[COPY]) for fake in fakes] == [(1, 2), (1, 2)]


def test_a_plan_is_made_from_one_look_at_each_host(both: Several, fakes: list[FakeSsh]) -> None:
    """And of an attach the VM's own host is asked at the end what the VM has."""
    request = AttachRequest("app", DiskWish(NAME, timeout=60), other_initiators=["iqn.2026-01.com.example:a"], assume_unused=True)
    asked: list[tuple[Callable[[], object], list[int]]] = [
        (lambda: attach(both, request, check_mode=True), [2, 1]),
        (lambda: detach(both, request, release=True, check_mode=True), [1, 1]),
        (lambda: release(both, request, check_mode=True), [1, 1]),
        (lambda: forget(both, request, check_mode=True), [1, 1]),
    ]
    for ask, reads in asked:
        before = [_reads(fake) for fake in fakes]
        ask()
        assert [_reads(fake) - known for fake, known in zip(fakes, before)] == reads


def _fake(directory: Path) -> FakeSsh:
    directory.mkdir(exist_ok=True)
    root, coming = plant(directory / "host", SAN_HOST), plant(directory / "coming", SEEN_LATER)
    found = fake_ssh(directory / "bin", root)
    found.when_scanned(f"cp -a {coming}/. {root}/")
    return found


def _slow(name: str, vm: str, fake: FakeSsh) -> Kvm:
    ticks = itertools.count(0, 5)
    xml = domain_xml(vm, VIRTIO_SCSI)
    connect = Connect([Domain(vm, xml, xml)], hostname=name, uuid=uuid_of(f"{vm}-host"))
    return Kvm(Connection(HYPERVISOR), KvmHost(libvirt.session(connect), fake.access(clock=lambda: float(next(ticks)))))


def _reads(fake: FakeSsh) -> int:
    """How often the host was read, whether there was anything new or not."""
    return fake.counts()[COPY] + fake.counts()[LOOK]
