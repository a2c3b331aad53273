# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host of which only libvirt is reached (`qemu+tls://`): what can be told is told, what cannot is refused with the way to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, StepFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.backend import Kvm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import AttachRequest
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import STORAGE
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.libvirt import HOST_UUID, VIRTIO_SCSI, Connect, Domain, domain_xml
from tests.unit.ports import NAME, OTHER

HAS = "/dev/disk/by-id/{}"
PATH = """
<device><name>block_sda_{wwid}</name><parent>scsi_7_0_0_1</parent><capability type='storage'><block>/dev/sda</block><bus>scsi</bus>
<drive_type>disk</drive_type><model>LUN C-Mode</model><vendor>NETAPP</vendor><serial>{wwid}</serial><size>1073741824</size></capability>
</device>
"""
REQUEST = AttachRequest("app", DiskWish(NAME, timeout=30, single_path="allow"), assume_unused=True)


@pytest.fixture
def app() -> Domain:
    """A VM that runs."""
    xml = domain_xml("app", VIRTIO_SCSI)
    return Domain("app", xml, xml)


@pytest.fixture
def connect(app: Domain) -> Connect:
    """A host that has the LUN as a device."""
    return Connect([app], node_devices={STORAGE: [PATH.format(wwid=NAME.wwid)]})


@pytest.fixture
def there(connect: Connect) -> Kvm:
    return Kvm(Connection("hypervisor"), KvmHost(libvirt.session(connect), libvirt.without_files()))


def test_who_it_is_is_told(there: Kvm) -> None:
    about = there.about()
    assert (about.type, about.hosts, about.uuid) == ("kvm", ["kvm01"], HOST_UUID)


def test_vms_and_luns_are_told(there: Kvm, app: Domain) -> None:
    app.config = app.live = domain_xml(
        "app",
        f"<disk type='block' device='lun'><source dev='{HAS.format(NAME.wwn)}'/><target dev='sda' bus='scsi'/></disk>"
        f"<disk type='block' device='lun'><source dev='{HAS.format('dm-uuid-mpath-' + OTHER.wwid)}'/><target dev='sdb' bus='scsi'/></disk>",
    )
    seen = there.inventory()
    assert [disk.name for disk in seen.virtual_machines[0].disks] == [NAME, OTHER]
    assert [device.name for device in seen.devices] == [NAME]


def test_a_lun_that_a_vm_has_by_multipath_is_not_told_by_a_path_of_it(there: Kvm, app: Domain) -> None:
    grouped = HAS.format(f"dm-uuid-mpath-{NAME.wwid}")
    disk = "<disk type='block' device='lun'><source dev='{}'/><target dev='sda' bus='scsi'/></disk>"
    for had, told in ((grouped, grouped), ("/dev/sda", HAS.format(NAME.wwn))):
        app.config = app.live = domain_xml("app", disk.format(had))
        assert [found.device for found in there.inventory().virtual_machines[0].disks] == [told]


def test_what_its_kernel_does_with_a_lun_nobody_can_tell(there: Kvm) -> None:
    with pytest.raises(Refused, match=r"does not tell what its kernel does with it \(to root, on itself or over qemu\+ssh, it does\)"):
        attach.attach(there, replace(REQUEST, assume_unused=False), check_mode=False)


def test_whether_it_has_a_lun_by_multipath_nobody_can_tell(there: Kvm, app: Domain) -> None:
    with pytest.raises(StepFailed, match=r"Nobody can tell from here whether host kvm01 has LUN .* by multipath.*over qemu\+ssh://"):
        attach.attach(there, replace(REQUEST, wish=replace(REQUEST.wish, single_path="refuse")), check_mode=False)
    assert domain.parse(app.live).disks == []


def test_a_lun_that_it_has_is_given_by_the_users_word(there: Kvm, app: Domain) -> None:
    report = attach.attach(there, REQUEST, check_mode=False)
    assert report.attachment is not None
    assert [str(disk.source) for part in (app.live, app.config) for disk in domain.parse(part).disks] == [HAS.format(NAME.wwn)] * 2


def test_a_lun_is_taken_back(there: Kvm, app: Domain) -> None:
    attach.attach(there, REQUEST, check_mode=False)
    attach.detach(there, REQUEST, release=False, check_mode=False)
    assert domain.parse(app.live + "").disks == domain.parse(app.config).disks == []


def test_its_devices_stay_because_only_ssh_reaches_them(there: Kvm) -> None:
    with pytest.raises(StepFailed, match=r"cannot be changed from here: reach it by qemu\+ssh://, or run the task on the host itself"):
        attach.release(there, REQUEST, check_mode=False)


def test_a_lun_that_it_does_not_have_is_not_waited_for_in_vain(there: Kvm) -> None:
    with pytest.raises(StepFailed, match=r"cannot be changed from here: reach it by qemu\+ssh://"):
        attach.attach(there, replace(REQUEST, wish=replace(REQUEST.wish, name=OTHER)), check_mode=False)


def test_a_target_of_qemus_own_initiator_is_asked_again(there: Kvm, connect: Connect, app: Domain) -> None:
    with listening(IscsiTarget({7: OTHER})) as target:
        connect.pools = [libvirt.san_pool(target)]
        there.rescan([HOST_UUID], OTHER)
        attach.attach(there, replace(REQUEST, wish=replace(REQUEST.wish, name=OTHER)), check_mode=False)
    assert len(domain.parse(app.live).disks) == 1
