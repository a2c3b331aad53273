# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend as the services use it: everything that a KVM host is, over one libvirt connection and one iSCSI target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import HYPERVISOR, Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.backend import Kvm
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import IMAGE, PASSTHROUGH, Slot
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.attach import AttachRequest, attach, detach
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import claims
from tests.unit import libvirt
from tests.unit.iscsi_target import INITIATOR, IscsiTarget, listening
from tests.unit.kvm_host import SAN_HOST, WWPN
from tests.unit.libvirt import HOST_UUID, VIRTIO_SCSI, Connect, Domain, domain_xml, uuid_of
from tests.unit.module_utils._san.linux.machines import plant
from tests.unit.ports import NAME, OTHER

pytestmark = pytest.mark.slow

IMAGE_DISK = "<disk type='file' device='disk'><source file='/srv/images/a.img'/><target dev='vda' bus='virtio'/></disk>"
LVM_DISK = "<disk type='block' device='disk'><source dev='/dev/vg-a/data'/><target dev='vdb' bus='virtio'/></disk>"


OF_NAME = ("7:0:0:1", "7:0:1:1", "dm-0", "mpatha")
"""What the host would have of `NAME`: two paths and their multipath device."""


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({5: NAME})) as there:
        yield there


@pytest.fixture
def connect(target: IscsiTarget) -> Connect:
    both = domain_xml("app", VIRTIO_SCSI + IMAGE_DISK)
    app = Domain("app", both, both)
    old = Domain("old", config=domain_xml("old", VIRTIO_SCSI + LVM_DISK))
    return Connect([app, old], [libvirt.san_pool(target)], sizes={"vda": 7})


@pytest.fixture
def kvm(connect: Connect, tmp_path: Path) -> Kvm:
    """A host that has `OTHER` as a device, and reaches `NAME` over the network alone."""
    without_name = {path: content for path, content in SAN_HOST.items() if not any(part in path for part in OF_NAME)}
    return Kvm(Connection(HYPERVISOR), libvirt.host(connect, plant(tmp_path, without_name)))


def test_it_is_a_hypervisor(kvm: Kvm) -> None:
    port: Hypervisor = kvm
    about = port.about()
    assert (port.type, port.address) == (about.type, about.address)
    assert (about.type, about.version, about.uuid, list(about.hosts)) == ("kvm", "QEMU 7.2.22, libvirt 9.0.0", HOST_UUID, ["kvm01"])
    assert about.capabilities is not None
    assert list(about.capabilities.passthrough_modes) == ["physical"]


def test_its_host_has_adapters_the_kernels_initiator_and_qemus_own(kvm: Kvm) -> None:
    (host,) = kvm.hosts()
    initiators = {hba.driver: hba.initiator for hba in host.hbas}
    assert initiators == {"qla2xxx": WWPN, "iscsi_tcp": "iqn.1993-08.org.debian:01:kvm01", "libiscsi": INITIATOR}


def test_the_inventory_says_what_is_under_every_disk(kvm: Kvm) -> None:
    inventory = kvm.inventory()
    app, old = inventory.virtual_machines
    assert [(disk.kind, disk.path, disk.file_system, disk.size_bytes) for disk in app.disks] == [
        (IMAGE, "/srv/images/a.img", "/srv/images", 7)
    ]
    assert [(disk.kind, disk.file_system) for disk in old.disks] == [(IMAGE, "vg:vg-a")]
    assert {NAME, OTHER} <= {device.name for device in inventory.devices}
    assert {"/srv/images", "vg:vg-a"} <= {store.id for store in inventory.file_systems}


def test_a_lun_under_a_volume_group_or_a_mount_has_a_user(kvm: Kvm) -> None:
    inventory = kvm.inventory(devices=False)
    used = {extent for store in inventory.file_systems for extent in store.extents}
    assert inventory.devices == ()
    assert len(used) >= 2
    assert claims(OTHER, inventory) == []


def test_a_lun_goes_through_the_services_and_back(kvm: Kvm, connect: Connect) -> None:
    request = AttachRequest("app", DiskWish(NAME, Slot(0, 6), timeout=2))
    report = attach(kvm, request, check_mode=False)
    assert report.attachment is not None
    assert (report.attachment.guest_address, report.attachment.controller.type) == ("SCSI(0:6)", "virtio-scsi")
    assert (report.attachment.disk.kind, report.attachment.disk.name, report.attachment.disk.size_bytes) == (PASSTHROUGH, NAME, 1 << 30)
    assert claims(NAME, kvm.inventory(devices=False))[0].name == "app"
    assert detach(kvm, request, release=True, check_mode=False).outcome.changed
    assert 'device="lun"' not in connect.domains[0].live + connect.domains[0].config


def test_a_host_that_is_not_meant_is_not_looked_at(kvm: Kvm) -> None:
    assert kvm.devices(["another"], OTHER) == []
    assert kvm.plan_release(["another"], OTHER).pending() == []


def test_linux_remembers_nothing_of_a_lun_that_was_released(kvm: Kvm) -> None:
    assert kvm.plan_forget([HOST_UUID], NAME).pending() == []


def test_what_came_back_before_a_released_lun_was_unmapped_is_forgotten(tmp_path: Path) -> None:
    host = libvirt.host(Connect(), plant(tmp_path, SAN_HOST))
    stale = Kvm(Connection("hypervisor"), host)
    (step,) = stale.plan_forget([HOST_UUID], OTHER).pending()
    assert step.title == f"remove the devices of LUN {OTHER} from host kvm01"
    assert stale.plan_forget(["another"], OTHER).pending() == []


def test_closing_ends_the_connection(kvm: Kvm, connect: Connect) -> None:
    kvm.close()
    assert connect.closed


def test_a_vm_without_the_lun_has_no_attachment(kvm: Kvm) -> None:
    (app, _old) = kvm.inventory(devices=False).virtual_machines
    assert kvm.attachment(app, NAME) is None
    assert len(kvm.plan_attach(app, DiskWish(NAME)).pending()) == 1
    assert app.uuid == uuid_of("app")


def test_where_a_guest_has_mounted_what_is_asked_only_with_the_details(kvm: Kvm, connect: Connect) -> None:
    connect.domains[0].mounted = [("/srv", "vda1", "ext4", ["vda"])]
    details, without = kvm.inventory(images=True), kvm.inventory()
    assert [[list(disk.mounts) for disk in vm.disks] for vm in details.virtual_machines] == [[["/srv"]], [[]]]
    assert list(without.virtual_machines[0].disks[0].mounts) == []


def test_a_target_that_gives_no_answer_is_a_warning(kvm: Kvm, target: IscsiTarget) -> None:
    target.initiators.clear()
    (warning,) = kvm.inventory().warnings
    assert "does not let initiator" in warning
