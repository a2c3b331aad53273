# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domain XML as libvirt 9.0 writes it."""

from __future__ import annotations

import pytest
from lxml import etree

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import DriveAddress, Login, Secret, Source, parse
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from tests.unit.libvirt import ROOT_PORT, VIRTIO_SCSI, domain_xml
from tests.unit.ports import NAME

CHAIN = """
<disk type='file' device='disk'>
  <driver name='qemu' type='qcow2'/>
  <source file='/images/top.qcow2' index='2'/>
  <backingStore type='file' index='3'>
    <format type='qcow2'/>
    <source file='/images/middle.qcow2'/>
    <backingStore type='block' index='4'>
      <format type='raw'/>
      <source dev='/dev/vg0/base'/>
      <backingStore/>
    </backingStore>
  </backingStore>
  <target dev='vda' bus='virtio'/>
  <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
</disk>"""
NETWORK = f"""
<disk type='network' device='lun'>
  <driver name='qemu' type='raw' cache='none'/>
  <source protocol='iscsi' name='iqn.2026-01.com.example:array/5' index='1'>
    <host name='192.0.2.11' port='3261'/>
    <initiator><iqn name='iqn.2026-01.com.example:kvm01'/></initiator>
    <auth username='kvm'><secret type='iscsi' usage='array'/></auth>
  </source>
  <target dev='sdb' bus='scsi'/>
  <shareable/>
  <alias name='ua-naa-{NAME.naa}'/>
  <address type='drive' controller='1' bus='0' target='0' unit='4'/>
</disk>"""


def disk(xml: str) -> domain.Disk:
    (found,) = parse(domain_xml("app", xml)).disks
    return found


def test_the_chain_of_a_running_vms_image_goes_down_to_its_base() -> None:
    found = disk(CHAIN)
    assert found.source == Source("file", "/images/top.qcow2")
    assert list(found.backing) == [Source("file", "/images/middle.qcow2"), Source("block", "/dev/vg0/base")]
    assert (found.bus, found.format, found.address, found.is_disk) == ("virtio", "qcow2", None, True)


def test_a_network_disk_tells_how_its_initiator_logs_in() -> None:
    found = disk(NETWORK)
    login = Login(Portal("192.0.2.11", 3261), "iqn.2026-01.com.example:array", "iqn.2026-01.com.example:kvm01", "kvm", Secret("array"))
    assert found.source is not None
    assert (found.source.login, found.source.lun_id) == (login, 5)
    assert str(found.source) == "iscsi://192.0.2.11:3261/iqn.2026-01.com.example:array/5"
    assert (found.address, found.shareable, found.recorded_name) == (DriveAddress(1, 0, 4), True, NAME)


def test_without_port_number_and_initiator_there_are_libvirts_defaults() -> None:
    found = disk(
        "<disk type='network' device='lun'><source protocol='iscsi' name='iqn.x'><host name='a'/></source><target dev='sda'/></disk>"
    )
    assert found.source is not None
    assert found.source.login is not None
    assert (found.source.login.portal, found.source.lun_id) == (Portal("a", 3260), 0)
    assert found.source.login.initiator == "iqn.2008-11.org.linux-kvm"


def test_another_networks_disk_has_no_login() -> None:
    found = disk("<disk type='network' device='disk'><source protocol='rbd' name='pool/image'/><target dev='vdb' bus='virtio'/></disk>")
    assert found.source == Source("network", protocol="rbd", name="pool/image")


def test_a_volume_is_named_by_its_pool() -> None:
    found = disk("<disk type='volume' device='disk'><source pool='images' volume='a.img'/><target dev='vda' bus='virtio'/></disk>")
    assert (found.source, str(found.source)) == (Source("volume", pool="images", volume="a.img"), "images/a.img")


def test_an_empty_drive_is_no_disk_but_takes_a_unit() -> None:
    found = disk("<disk type='file' device='cdrom'><target dev='sda' bus='scsi'/><address type='drive' controller='0' unit='3'/></disk>")
    assert (found.is_disk, found.address) == (False, DriveAddress(0, 0, 3))


def test_an_alias_of_somebody_else_names_no_lun() -> None:
    assert disk(NETWORK.replace("ua-naa-", "ua-")).recorded_name is None


def test_scsi_controllers_and_ports_that_are_free() -> None:
    found = parse(
        domain_xml("app", "<controller type='pci' model='pcie-root'/>" + ROOT_PORT.format(1) + ROOT_PORT.format(2) + VIRTIO_SCSI + CHAIN)
    )
    assert [(controller.index, controller.model) for controller in found.controllers] == [(0, "virtio-scsi")]
    assert (found.pcie, found.free_ports) == (True, 1)


def test_a_domain_that_does_not_run_has_nothing() -> None:
    assert parse("") == domain.NOTHING


def test_an_external_entity_is_not_followed() -> None:
    text = "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/hostname'>]><domain><name>&e;</name></domain>"
    assert not (domain.root_of(text).findtext("name") or "").strip()


def test_each_disk_keeps_the_xml_by_which_it_is_detached() -> None:
    assert etree.fromstring(disk(NETWORK).xml).xpath("string(target/@dev)") == "sdb"


@pytest.mark.parametrize(("bus", "free"), [("0x01", 1), ("0x02", 1), ("0x00", 2)])
def test_a_port_is_taken_by_whatever_is_behind_it(bus: str, free: int) -> None:
    device = f"<interface><address type='pci' bus='{bus}'/></interface>"
    assert parse(domain_xml("app", ROOT_PORT.format(1) + ROOT_PORT.format(2) + device)).free_ports == free
