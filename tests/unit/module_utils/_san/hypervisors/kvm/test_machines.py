# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains as VMs: what runs and what starts next time are one VM, and a disk is known by what is under it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import machines, targets
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.machines import DomainPair, View
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.storage import HostStorage
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import IMAGE, PASSTHROUGH, ImageFile, VirtualDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.iscsi import dial_directly
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE, DomainRecord, Volume
from tests.unit import libvirt
from tests.unit.iscsi_target import IscsiTarget, listening
from tests.unit.libvirt import VIRTIO_SCSI, Connect, domain_xml, network_lun, uuid_of
from tests.unit.ports import NAME, OTHER

STORAGE = HostStorage("h1", None, [])
BELOW = "<backingStore type='file'><source file='/base'/></backingStore>"
CHAIN = f"<disk type='file' device='disk'><driver type='qcow2'/><source file='/top'/>{BELOW}<target dev='vda' bus='virtio'/></disk>"


@pytest.fixture
def target() -> Iterator[IscsiTarget]:
    with listening(IscsiTarget({1: NAME})) as there:
        yield there


def pair(live: str = "", config: str = "") -> DomainPair:
    parts = [domain_xml("app", devices) if devices else "" for devices in (live, config)]
    return machines.pair_of(DomainRecord(uuid_of("app"), "app", "on" if live else "off", parts[0], parts[1]))


def seen(found: DomainPair, **view: object) -> list[VirtualDisk]:
    return list(View("h1", STORAGE, **view).virtual_machine(found).disks)  # type: ignore[arg-type]


def asked(found: DomainPair) -> targets.Answers:
    return targets.ask(libvirt.session(Connect()), dial_directly(5), machines.logins([found]))


def test_what_only_the_next_start_has_is_a_disk_too(target: IscsiTarget) -> None:
    found = pair(VIRTIO_SCSI + CHAIN, VIRTIO_SCSI + CHAIN + network_lun(target, 1))
    assert [disk.key for disk in seen(found)] == ["vda", "sda"]
    assert found.targets_with(lambda disk: disk.target == "sda") == CONFIG
    assert found.targets_with(lambda disk: disk.target == "vda") == LIVE | CONFIG


def test_a_network_disk_is_the_lun_that_its_target_shows(target: IscsiTarget) -> None:
    found = pair(VIRTIO_SCSI + network_lun(target, 1, unit=4))
    (disk,) = seen(found, answers=asked(found))
    assert (disk.kind, disk.name, disk.size_bytes, disk.mode) == (PASSTHROUGH, NAME, 1 << 30, "physical")
    assert (disk.controller, disk.bus, disk.unit) == ("scsi0", 0, 4)


def test_what_was_noted_names_a_lun_only_while_its_target_is_silent(target: IscsiTarget) -> None:
    noted = f"<alias name='ua-naa-{OTHER.naa}'/>"
    found = pair(VIRTIO_SCSI + network_lun(target, 1, alias=noted))
    assert seen(found, answers=asked(found))[0].name == NAME
    assert seen(found)[0].name == OTHER


def test_a_network_disk_of_which_nobody_tells_is_a_lun_without_a_name(target: IscsiTarget) -> None:
    (disk,) = seen(pair(VIRTIO_SCSI + network_lun(target, 1)))
    assert (disk.kind, disk.name) == (PASSTHROUGH, None)
    assert disk.device.startswith("iscsi://127.0.0.1:")


def test_the_images_below_come_from_libvirt_or_from_the_images_themselves() -> None:
    running, stopped = (
        pair(live=CHAIN),
        pair(config=CHAIN.replace(BELOW, "")),
    )
    assert list(seen(running)[0].parents) == [ImageFile("/base")]
    assert list(seen(stopped)[0].parents) == []
    assert list(seen(stopped, images=lambda path: [f"{path}.below"])[0].parents) == [ImageFile("/top.below")]


def test_a_volume_is_what_its_pool_says() -> None:
    found = pair(config="<disk type='volume' device='disk'><source pool='p' volume='v'/><target dev='vda' bus='virtio'/></disk>")
    (disk,) = seen(found, volume=lambda pool, volume: Volume(f"/{pool}/{volume}", 9))
    assert (disk.kind, disk.path, disk.size_bytes) == (IMAGE, "/p/v", 9)


def test_a_volume_is_one_disk_though_libvirt_names_the_default_mode_in_what_runs_alone() -> None:
    """It says `host` there (libvirt, virStorageTranslateDiskSourcePool)."""
    disk = "<disk type='volume' device='lun'><source pool='p' volume='v'{}/><target dev='sda' bus='scsi'/></disk>"
    found = pair(VIRTIO_SCSI + disk.format(" mode='host'"), VIRTIO_SCSI + disk.format(""))
    (one,) = found.disks
    assert found.targets_with(lambda other: other.source == one.source) == LIVE | CONFIG


def test_a_whole_lun_that_is_not_passed_through_is_still_one() -> None:
    source = f"<source dev='/dev/disk/by-id/{NAME.wwn}'/>"
    (disk,) = seen(pair(config=f"<disk type='block' device='disk'>{source}<target dev='vda' bus='virtio'/></disk>"))
    assert (disk.kind, disk.name, disk.mode) == (PASSTHROUGH, NAME, "virtual")


def test_a_shareable_disk_and_its_controller() -> None:
    xml = VIRTIO_SCSI.replace("virtio-scsi", "vmpvscsi") + (
        f"<disk type='block' device='lun'><source dev='/dev/disk/by-id/{NAME.wwn}'/><target dev='sda' bus='scsi'/><shareable/>"
        "<address type='drive' controller='0' bus='0' target='3' unit='0'/></disk>"
    )
    vm = View("h1", STORAGE).virtual_machine(pair(config=xml))
    assert (vm.disks[0].sharing, vm.disks[0].unit, vm.host, vm.power) == ("multi_writer", 3, "h1", "off")
    assert [(controller.key, controller.type, list(controller.units)) for controller in vm.controllers] == [("scsi0", "pvscsi", [3])]
