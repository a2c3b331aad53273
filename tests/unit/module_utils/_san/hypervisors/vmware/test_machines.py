# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controllers and disks of a VM, out of the XML of its virtual hardware."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import properties
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.machines import machine, may_have_raw_disk, trimmed
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    PASSTHROUGH,
    Controller,
    ImageFile,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import ReplyStream
from tests.unit import vsphere

NAA = "600a098038304c61622d616161616131"
VML = f"vml.02000a0000{NAA}4c554e20432d"
LUN_UUID = f"0200000000{NAA}4c554e20432d"
DEVICE = vim.vm.device
DISK = DEVICE.VirtualDisk


def vm(*devices: Any, **properties: Any) -> VirtualMachine:
    hardware = {"config.hardware.device": vsphere.array("VirtualDevice", list(devices))} if devices else {}
    paths = {path.replace("_", "."): value for path, value in properties.items()}
    return machine(vsphere.record("VirtualMachine", "vm-42", {"name": "db01", **hardware, **paths}))


def scsi(kind: Any, key: int = 1000, bus: int = 0, sharing: str = "noSharing") -> Any:
    return kind(key=key, busNumber=bus, sharedBus=sharing, scsiCtlrUnitNumber=7)


def image(key: int = 2000, controller: int = 1000, unit: int = 0, **settings: Any) -> Any:
    backing = DISK.FlatVer2BackingInfo(
        fileName="[ds] db01/db01.vmdk", datastore=vsphere.managed("Datastore", "datastore-5"), diskMode="persistent", sharing="sharingNone"
    )
    about = vim.Description(label=f"Hard disk {key - 1999}", summary="x")
    return DISK(
        key=key, controllerKey=controller, unitNumber=unit, deviceInfo=about, **{"backing": backing, "capacityInKB": 1024, **settings}
    )


def mapping(**settings: Any) -> Any:
    known = {"fileName": "[ds] db01/db01_1.vmdk", "lunUuid": LUN_UUID, "deviceName": VML, "compatibilityMode": "physicalMode"}
    return DISK.RawDiskMappingVer1BackingInfo(
        **{**known, "diskMode": "independent_persistent", "sharing": "sharingMultiWriter", **settings}
    )


def only_disk(found: VirtualMachine) -> VirtualDisk:
    (disk,) = found.disks
    return disk


def test_a_vm_is_told_by_its_ids_state_and_place() -> None:
    properties: Mapping[str, Any] = {
        "name": "db01",
        "config.uuid": "4213",
        "config.instanceUuid": "5013",
        "config.template": True,
        "runtime.host": vsphere.managed("HostSystem", "host-9"),
        "runtime.powerState": "suspended",
    }
    assert machine(vsphere.record("VirtualMachine", "vm-42", properties)) == VirtualMachine(
        id="vm-42",
        name="db01",
        uuid="4213",
        instance_uuid="5013",
        host="host-9",
        power="suspended",
        template=True,
        controllers=[],
        disks=[],
    )


@pytest.mark.parametrize(("word", "power"), [("poweredOn", "on"), ("poweredOff", "off"), ("suspended", "suspended")])
def test_power_states_are_the_models(word: str, power: str) -> None:
    assert machine(vsphere.record("VirtualMachine", "vm-1", {"runtime.powerState": word})).power == power


def test_a_vm_whose_configuration_cannot_be_read_has_its_name_and_no_hardware() -> None:
    found = machine(vsphere.record("VirtualMachine", "vm-7", {"name": "/vmfs/volumes/gone/old.vmx", "runtime.powerState": "poweredOff"}))
    assert (found.name, found.uuid, found.host, found.controllers, found.disks) == ("/vmfs/volumes/gone/old.vmx", "", "", [], [])


def test_an_image_disk_is_told_with_its_place_file_and_datastore() -> None:
    assert only_disk(vm(scsi(DEVICE.ParaVirtualSCSIController, bus=1), image(unit=3))) == VirtualDisk(
        key="2000",
        label="Hard disk 1",
        kind=IMAGE,
        controller="1000",
        bus=1,
        unit=3,
        size_bytes=1024 * 1024,
        path="[ds] db01/db01.vmdk",
        file_system="datastore-5",
        disk_mode="persistent",
        sharing="none",
        family="SCSI",
    )


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        (DEVICE.ParaVirtualSCSIController, "SCSI"),
        (DEVICE.VirtualLsiLogicSASController, "SCSI"),
        (DEVICE.VirtualIDEController, "IDE"),
        (DEVICE.VirtualAHCIController, "SATA"),
        (DEVICE.VirtualNVMEController, "NVMe"),
    ],
)
def test_a_disk_tells_what_its_controller_is(kind: Any, family: str) -> None:
    controller = scsi(kind) if issubclass(kind, DEVICE.VirtualSCSIController) else kind(key=1000, busNumber=0)
    assert only_disk(vm(controller, image())).family == family
    assert only_disk(vm(image())).family == ""


@pytest.mark.parametrize("thin", [True, False, None])
def test_an_image_disk_tells_whether_it_is_thin_where_its_backing_does(thin: bool | None) -> None:
    backing = DISK.FlatVer2BackingInfo(fileName="[ds] a.vmdk", diskMode="persistent", thinProvisioned=thin)
    assert only_disk(vm(scsi(DEVICE.ParaVirtualSCSIController), image(backing=backing))).thin is thin


def guest_disk(place: str, *keys: int) -> Any:
    """What VMware Tools tell of a file system; those of before vSphere 7.0 name no disk."""
    mappings = [vim.vm.GuestInfo.VirtualDiskMapping(key=key) for key in keys]
    return vim.vm.GuestInfo.DiskInfo(diskPath=place, capacity=1 << 30, freeSpace=1 << 20, mappings=mappings)


def test_mount_points_belong_to_the_disks_that_the_guest_names() -> None:
    told = vsphere.array("GuestDiskInfo", [guest_disk("/", 2000), guest_disk("/srv", 2000, 2001), guest_disk("/old")])
    record = {
        "name": "db01",
        properties.DEVICES_OF_VM: vsphere.array("VirtualDevice", [scsi(DEVICE.ParaVirtualSCSIController), image(), image(2001, unit=1)]),
        properties.GUEST_DISKS: told,
    }
    found = machine(vsphere.record("VirtualMachine", "vm-42", record))
    assert [list(disk.mounts) for disk in found.disks] == [["/", "/srv"], ["/srv"]]


def test_a_raw_device_mapping_is_a_passthrough_disk_of_its_lun() -> None:
    disk = only_disk(vm(scsi(DEVICE.ParaVirtualSCSIController), image(backing=mapping())))
    assert (disk.kind, disk.name, disk.device, disk.mode, disk.disk_mode, disk.sharing, disk.path) == (
        PASSTHROUGH,
        ScsiName(NAA),
        VML,
        "physical",
        "independent_persistent",
        "multi_writer",
        "[ds] db01/db01_1.vmdk",
    )


@pytest.mark.parametrize(
    ("uuid", "device"), [(None, VML), (LUN_UUID, None), (LUN_UUID.upper(), "vml.01000000003132"), (None, f"naa.{NAA}")]
)
def test_the_lun_is_known_by_its_uuid_or_by_its_device(uuid: str | None, device: str | None) -> None:
    assert only_disk(vm(image(backing=mapping(lunUuid=uuid, deviceName=device)))).name == ScsiName(NAA)


def test_a_lun_without_a_world_wide_name_keeps_its_device() -> None:
    disk = only_disk(vm(image(backing=mapping(lunUuid="01000000003132", deviceName="vml.01000000003132"))))
    assert (disk.kind, disk.name, disk.device) == (PASSTHROUGH, None, "vml.01000000003132")


@pytest.mark.parametrize(
    "top",
    [
        DISK.RawDiskMappingVer1BackingInfo(fileName="[ds] db01/db01-000001.vmdk", diskMode="persistent", parent=mapping()),
        mapping(parent=mapping()),
    ],
    ids=["delta without a lun of its own", "delta with it"],
)
def test_a_disk_with_snapshots_on_a_lun_is_still_that_lun(top: Any) -> None:
    disk = only_disk(vm(image(backing=top)))
    assert disk.kind == PASSTHROUGH
    assert disk.name == ScsiName(NAA)


@pytest.mark.parametrize("kind", [DISK.FlatVer2BackingInfo, DISK.SeSparseBackingInfo, DISK.SparseVer2BackingInfo, DISK.FlatVer1BackingInfo])
def test_every_file_of_a_chain_is_told_with_its_own_datastore(kind: Any) -> None:
    """A snapshot in a working directory elsewhere, of a disk of a linked clone, whose base is the template's."""

    def file(path: str, datastore: str, parent: Any = None) -> Any:
        return kind(fileName=path, datastore=vsphere.managed("Datastore", datastore), diskMode="persistent", parent=parent)

    base = file("[templates] rhel9/rhel9-000001.vmdk", "datastore-3")
    clone = file("[ds] db01/db01.vmdk", "datastore-1", base)
    disk = only_disk(vm(image(backing=file("[fast] db01/db01-000001.vmdk", "datastore-2", clone))))
    assert (disk.kind, disk.path, disk.file_system) == (IMAGE, "[fast] db01/db01-000001.vmdk", "datastore-2")
    assert disk.parents == (
        ImageFile("[ds] db01/db01.vmdk", "datastore-1"),
        ImageFile("[templates] rhel9/rhel9-000001.vmdk", "datastore-3"),
    )


def test_a_disk_without_snapshots_is_based_on_nothing() -> None:
    assert only_disk(vm(image())).parents == ()
    assert only_disk(vm(image(backing=mapping()))).parents == ()


def test_the_snapshots_of_a_lun_are_told_too() -> None:
    top = DISK.RawDiskMappingVer1BackingInfo(fileName="[ds] db01/db01-000001.vmdk", diskMode="persistent", parent=mapping())
    assert [file.path for file in only_disk(vm(image(backing=top))).parents] == ["[ds] db01/db01_1.vmdk"]


def test_the_size_in_bytes_goes_before_the_one_in_kib() -> None:
    assert only_disk(vm(image(capacityInKB=0, capacityInBytes=5_000_000_000_001))).size_bytes == 5_000_000_000_001
    assert only_disk(vm(image(capacityInKB=3 * 1024**3))).size_bytes == 3 * 1024**4


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (DEVICE.ParaVirtualSCSIController, "pvscsi"),
        (DEVICE.VirtualLsiLogicController, "lsilogic"),
        (DEVICE.VirtualLsiLogicSASController, "lsilogicsas"),
        (DEVICE.VirtualBusLogicController, "buslogic"),
    ],
)
def test_scsi_controllers_of_every_type(kind: Any, name: str) -> None:
    assert vm(scsi(kind)).controllers == [Controller(key="1000", type=name, bus=0, units=())]


@pytest.mark.parametrize(
    ("controller", "name"),
    [
        (DEVICE.VirtualIDEController(key=200, busNumber=0), "ide"),
        (DEVICE.VirtualAHCIController(key=15000, busNumber=0), "sata"),
        (DEVICE.VirtualNVMEController(key=31000, busNumber=0), "nvme"),
    ],
)
def test_other_storage_controllers_and_their_disks(controller: Any, name: str) -> None:
    found = vm(controller, image(controller=controller.key, unit=1))
    assert found.controllers == [Controller(key=str(controller.key), type=name, bus=0, units=(1,))]
    assert (only_disk(found).bus, only_disk(found).unit) == (0, 1)


@pytest.mark.parametrize(("word", "shared"), [("noSharing", ""), ("physicalSharing", "physical"), ("virtualSharing", "virtual")])
def test_bus_sharing_is_told(word: str, shared: str) -> None:
    assert vm(scsi(DEVICE.ParaVirtualSCSIController, sharing=word)).controllers[0].shared == shared


@pytest.mark.parametrize(
    ("bus", "disk", "shared"),
    [
        ("noSharing", "sharingNone", "none"),
        ("physicalSharing", "sharingNone", "physical_bus"),
        ("physicalSharing", None, "physical_bus"),
        ("virtualSharing", "sharingNone", "virtual_bus"),
        ("physicalSharing", "sharingMultiWriter", "multi_writer"),
    ],
)
def test_a_disk_is_shared_by_its_own_setting_or_else_by_its_bus(bus: str, disk: str | None, shared: str) -> None:
    raw = image(backing=mapping(sharing=disk))
    assert only_disk(vm(scsi(DEVICE.ParaVirtualSCSIController, sharing=bus), raw)).sharing == shared


def test_every_device_on_a_controller_takes_its_unit_not_only_disks() -> None:
    cdrom = DEVICE.VirtualCdrom(key=3000, controllerKey=1000, unitNumber=15)
    network = DEVICE.VirtualVmxnet3(key=4000, controllerKey=100, unitNumber=7)
    found = vm(scsi(DEVICE.ParaVirtualSCSIController), cdrom, network, image(unit=2), image(key=2001, unit=0))
    assert [controller.units for controller in found.controllers] == [(0, 2, 15)]
    assert [disk.unit for disk in found.disks] == [2, 0]


def test_devices_that_are_no_storage_are_left_out() -> None:
    found = vm(DEVICE.VirtualPCIController(key=100, busNumber=0), DEVICE.VirtualUSBController(key=7000, busNumber=0), image(controller=9))
    assert found.controllers == []
    assert (only_disk(found).controller, only_disk(found).bus) == ("9", None)


def test_a_record_without_the_devices_that_are_no_storage_tells_the_same_and_is_shorter() -> None:
    others = [DEVICE.VirtualPCIController(key=100, busNumber=0), DEVICE.VirtualVmxnet3(key=4000, controllerKey=100, unitNumber=7)]
    used = [scsi(DEVICE.ParaVirtualSCSIController), DEVICE.VirtualCdrom(key=3000, controllerKey=1000, unitNumber=15), image()]
    for devices in ([*others, *used], [*used, *others], others, used, []):
        hardware = {"config.hardware.device": vsphere.array("VirtualDevice", devices)}
        page = vsphere.page([vsphere.contents("VirtualMachine", "vm-42", {"name": "db01", **hardware, "config.uuid": "4213"})])
        whole, short = (machine(next(iter(ReplyStream(io.BytesIO(page), trim)))) for trim in (None, trimmed))
        assert short == whole
        record = page.partition(b"<objects>")[2].partition(b"</objects>")[0]
        assert trimmed(record).count(b"<VirtualDevice") == len([device for device in devices if device in used])


@pytest.mark.parametrize(
    ("record", "may"),
    [
        (b"<propSet><name>config.hardware.device</name><val/></propSet>", False),
        (b"<propSet><name>config.hardware.device</name><val>VirtualDiskRawDiskMappingVer1BackingInfo</val></propSet>", True),
        (b"<propSet><name>name</name><val>lost</val></propSet>", True),
        (b"<propSet><name>config.hardware.device</name></propSet><missingSet><path>config</path></missingSet>", True),
    ],
)
def test_only_a_vm_whose_hardware_was_told_in_full_and_names_no_raw_disk_has_none(record: bytes, may: bool) -> None:
    assert may_have_raw_disk(record) is may
