# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The XML that libvirt is given, read back as libvirt writes it."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import devices
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import DriveAddress, Login, Secret, Source, parse
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from tests.unit.libvirt import domain_xml
from tests.unit.ports import NAME

PLACE = DriveAddress(1, 0, 4)


def login(user: str = "", secret: Secret = Secret(), target: str = "iqn.t") -> Login:  # noqa: B008
    return Login(Portal("192.0.2.11"), target, "iqn.i", user, secret)


def read_back(source: Source, shareable: bool = False) -> tuple[Source | None, str, bool]:
    (disk,) = parse(domain_xml("app", devices.lun_disk(NAME, source, "sdb", PLACE, shareable))).disks
    assert (disk.device, disk.target, disk.bus, disk.address, disk.recorded_name) == ("lun", "sdb", "scsi", PLACE, NAME)
    return disk.source, disk.format, disk.shareable


def test_a_device_of_the_host_is_named_by_its_link() -> None:
    source = Source("block", f"/dev/disk/by-id/{NAME.wwn}")
    assert read_back(source) == (source, "raw", False)


def test_a_network_disk_carries_portal_target_number_and_initiator() -> None:
    source = Source("network", protocol="iscsi", name="iqn.t/5", login=login(), lun_id=5)
    assert read_back(source, shareable=True) == (source, "raw", True)


def test_chap_names_a_secret_that_libvirt_keeps() -> None:
    for secret in (Secret(usage="array"), Secret(uuid="3e7e4f0c-0000-4000-8000-000000000001")):
        source = Source("network", protocol="iscsi", name="iqn.t/5", login=login("kvm", secret), lun_id=5)
        assert read_back(source)[0] == source


def test_what_enters_is_escaped() -> None:
    source = Source("network", protocol="iscsi", name="iqn.t'&<x/5", login=login(target="iqn.t'&<x"), lun_id=5)
    assert read_back(source)[0] == source


def test_a_controller() -> None:
    (controller,) = parse(domain_xml("app", devices.scsi_controller(2, "vmpvscsi"))).controllers
    assert (controller.index, controller.model) == (2, "vmpvscsi")
