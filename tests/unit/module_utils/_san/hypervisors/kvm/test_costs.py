# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operation costs on a host over ssh: logins, and copies of its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.backend import Kvm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import AttachRequest, attach
from tests.unit import libvirt
from tests.unit.fake_ssh import COPY, LOGIN, FakeSsh, fake_ssh
from tests.unit.kvm_host import SAN_HOST, SEEN_LATER, SEEN_LATER_NAME
from tests.unit.libvirt import VIRTIO_SCSI, Connect, Domain, domain_xml
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME


@pytest.fixture
def fake(tmp_path: Path) -> FakeSsh:
    """An ssh before a host on a SAN, whose adapters find one more LUN when they look."""
    root, coming = plant(tmp_path / "host", SAN_HOST), plant(tmp_path / "coming", SEEN_LATER)
    found = fake_ssh(tmp_path / "bin", root)
    found.when_scanned(f"cp -a {coming}/. {root}/")
    return found


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
