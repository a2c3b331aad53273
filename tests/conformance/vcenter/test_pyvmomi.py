# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pyvmomi, VMware's own client, walks the adapters, rescans, adds and removes a raw disk, and is refused what a real vCenter refuses."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

from tests.conformance.vcenter.conftest import SPARE, Lab
from tests.lab.world import naa_at, serial_of

SPARE_DEVICE = f"/vmfs/devices/disks/naa.{SPARE}"
SHARED_RDM = naa_at("/vol/vol_prod/shared_rdm")
DS_SINGLE = naa_at("/vol/vol_prod/ds_single")
FIRST_CONTROLLER = 1000
TASK_SECONDS = 30.0

# pyvmomi leaves its connections to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@dataclass(frozen=True)
class VCenter:
    """A session of pyvmomi."""

    service: Any

    def find(self, kind: Any, name: str) -> Any:
        """Return the managed object of that type and name."""
        content = self.service.content
        view = content.viewManager.CreateContainerView(content.rootFolder, [kind], True)
        (found,) = [entity for entity in view.view if entity.name == name]
        view.Destroy()
        return found

    def host(self, name: str = "esx01.lab") -> Any:
        return self.find(vim.HostSystem, name)

    def vm(self, name: str = "app01") -> Any:
        return self.find(vim.VirtualMachine, name)

    def devices(self, naa: str, host: str = "esx01.lab") -> list[Any]:
        return [lun for lun in self.host(host).config.storageDevice.scsiLun if lun.canonicalName == f"naa.{naa}"]

    def rescan(self, host: str = "esx01.lab") -> None:
        self.host(host).configManager.storageSystem.RescanAllHba()

    def reconfigure(self, vm: str, *changes: Any, **settings: Any) -> None:
        """Change the VM's devices; raise the fault of the task."""
        task = self.vm(vm).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=list(changes), **settings))
        deadline = time.monotonic() + TASK_SECONDS
        while task.info.state in ("queued", "running"):
            assert time.monotonic() < deadline, "the task does not end"
            time.sleep(0.02)
        if task.info.state == "error":
            raise task.info.error


def raw_disks(vm: Any) -> list[Any]:
    disks = [device for device in vm.config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk)]
    return [disk for disk in disks if isinstance(disk.backing, vim.vm.device.VirtualDisk.RawDiskMappingVer1BackingInfo)]


@dataclass
class Mapping:
    """A raw device mapping to add; every field is one that a client can get wrong."""

    device: str = SPARE_DEVICE
    controller: int = FIRST_CONTROLLER
    unit: int | None = 1
    mode: str | None = "physicalMode"
    file: str = ""
    operation: str | None = "create"
    key: int = -1
    backing: dict[str, Any] = field(default_factory=dict)
    disk: dict[str, Any] = field(default_factory=dict)

    def spec(self) -> Any:
        backing = vim.vm.device.VirtualDisk.RawDiskMappingVer1BackingInfo(
            deviceName=self.device, compatibilityMode=self.mode, fileName=self.file, **self.backing
        )
        disk = vim.vm.device.VirtualDisk(key=self.key, controllerKey=self.controller, unitNumber=self.unit, backing=backing, **self.disk)
        return vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation=self.operation, device=disk)


def new_controller(bus: int, key: int) -> Any:
    controller = vim.vm.device.ParaVirtualSCSIController(key=key, busNumber=bus, sharedBus="noSharing")
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=controller)


def removal(device: Any, operation: str | None = None) -> Any:
    return vim.vm.device.VirtualDeviceSpec(operation="remove", fileOperation=operation, device=device)


@pytest.fixture
def vcenter(lab: Lab) -> Iterator[VCenter]:
    endpoint = lab.vcenter
    context = ssl.create_default_context(cafile=endpoint.ca_path)
    service = SmartConnect(host=endpoint.hostname, port=endpoint.port, user=endpoint.username, pwd=endpoint.password, sslContext=context)
    yield VCenter(service)
    Disconnect(service)


def test_negotiates_the_version_of_a_vcenter_8(vcenter: VCenter) -> None:
    about = vcenter.service.content.about
    assert (about.apiType, about.version, about.apiVersion) == ("VirtualCenter", "8.0.2", "8.0.2.0")
    assert vcenter.service._stub.version == "vim.version.v8_0_2_0"


def test_wrong_password(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=lab.vcenter.ca_path)
    with pytest.raises(vim.fault.InvalidLogin):
        SmartConnect(host=lab.vcenter.hostname, port=lab.vcenter.port, user=lab.vcenter.username, pwd="guess", sslContext=context)


@pytest.mark.parametrize("kind", [vim.VirtualMachine, vim.HostSystem, vim.Datastore])
def test_every_property_can_be_deserialised(vcenter: VCenter, kind: Any) -> None:
    content = vcenter.service.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [kind], True)
    collector = vmodl.query.PropertyCollector
    objects = [collector.ObjectSpec(obj=entity) for entity in view.view]
    spec = collector.FilterSpec(objectSet=objects, propSet=[collector.PropertySpec(type=kind, all=True)])
    answer = content.propertyCollector.RetrieveContents([spec])
    assert len(answer) == len(objects)
    assert not [row.missingSet for row in answer if row.missingSet]


def test_adapters(vcenter: VCenter) -> None:
    adapters = {adapter.device: adapter for adapter in vcenter.host().config.storageDevice.hostBusAdapter}
    assert isinstance(adapters["vmhba0"], vim.host.BlockHba)
    assert isinstance(adapters["vmhba2"], vim.host.FibreChannelHba)
    assert f"{adapters['vmhba2'].portWorldWideName:016x}" == "10000090fa010002"
    assert isinstance(adapters["vmhba64"], vim.host.InternetScsiHba)
    assert adapters["vmhba64"].iScsiName.startswith("iqn.1998-01.com.vmware:esx01-")
    assert {target.address for target in adapters["vmhba64"].configuredSendTarget} == {"192.0.2.11", "192.0.2.12"}
    assert {target.address for target in adapters["vmhba64"].configuredStaticTarget} == {"192.0.2.11", "192.0.2.12"}


def test_the_three_views_of_the_paths_agree(vcenter: VCenter) -> None:
    storage = vcenter.host().config.storageDevice
    keys = {lun.key for lun in storage.scsiLun}
    topology = {(i.adapter, lun.scsiLun) for i in storage.scsiTopology.adapter for target in i.target for lun in target.lun}
    multipath = {(path.adapter, unit.lun) for unit in storage.multipathInfo.lun for path in unit.path}
    assert topology == multipath
    assert {lun for _first, lun in topology} == keys
    assert {device.lun for device in storage.plugStoreTopology.device} == keys
    names = {path.name for unit in storage.multipathInfo.lun for path in unit.path}
    assert {path.name for path in vcenter.host().configManager.storageSystem.multipathStateInfo.path} == names


def test_a_lun_appears_by_a_rescan_of_its_host(vcenter: VCenter) -> None:
    storage = vcenter.host().configManager.storageSystem
    storage.RescanVmfs()
    storage.RefreshStorageSystem()
    assert vcenter.devices(SPARE) == []
    storage.RescanHba("vmhba64")
    (disk,) = vcenter.devices(SPARE)
    assert disk.uuid == f"0200000000{SPARE}4c554e20432d"
    assert disk.devicePath == SPARE_DEVICE
    assert bytes(disk.alternateName[-1].data).decode() == serial_of("/vol/vol_dev/spare")
    assert vcenter.devices(SPARE, "esx02.lab") == []


def test_vmfs_extents_and_nfs_exports(vcenter: VCenter) -> None:
    extents = [extent.diskName for extent in vcenter.find(vim.Datastore, "ds_span").info.vmfs.extent]
    assert extents == [f"naa.{naa_at(f'/vol/vol_prod/ds_span_{half}')}" for half in "ab"]
    exported = vcenter.find(vim.Datastore, "nfs01").info.nas
    assert (exported.remoteHost, exported.remotePath) == ("192.0.2.21", "/vol_nfs")


def test_a_raw_disk_comes_and_goes(vcenter: VCenter, lab: Lab) -> None:
    vcenter.rescan()
    before = lab.control("GET", "/state")
    vcenter.reconfigure("app01", new_controller(1, -101), Mapping(controller=-101, unit=0).spec())
    vm = vcenter.vm()
    (disk,) = raw_disks(vm)
    assert (disk.controllerKey, disk.unitNumber, disk.deviceInfo.label) == (1001, 0, "Hard disk 2")
    assert disk.backing.lunUuid == f"0200000000{SPARE}4c554e20432d"
    assert disk.backing.deviceName.startswith("vml.0200")
    assert disk.backing.fileName == "[ds_single] app01/app01_1.vmdk"
    (controller,) = [device for device in vm.config.hardware.device if device.key == disk.controllerKey]
    assert controller.device == [disk.key]
    vcenter.reconfigure("app01", removal(disk, "destroy"), removal(controller))
    assert lab.control("GET", "/state") == before


def test_config_target_hides_luns_in_use(vcenter: VCenter) -> None:
    vcenter.rescan()
    browser, host = vcenter.vm().environmentBrowser, vcenter.host()
    assert [disk.disk.canonicalName for disk in browser.QueryConfigTarget(host).scsiDisk] == [f"naa.{SPARE}"]
    vcenter.reconfigure("app01", Mapping().spec())
    assert browser.QueryConfigTarget(host).scsiDisk == []


REFUSED: dict[str, tuple[Any, type[Exception]]] = {
    "the controller's own unit": (Mapping(unit=7), vim.fault.InvalidDeviceSpec),
    "a unit beyond the controller": (Mapping(unit=64), vim.fault.InvalidDeviceSpec),
    "a taken unit": (Mapping(unit=0), vim.fault.InvalidDeviceSpec),
    "no unit": (Mapping(unit=None), vim.fault.InvalidDeviceSpec),
    "an unknown controller": (Mapping(controller=1001), vim.fault.InvalidController),
    "an unknown LUN": (Mapping(device="/vmfs/devices/disks/naa.600a0980000000000000000000000000"), vim.fault.InvalidDeviceBacking),
    "a LUN that carries VMFS": (Mapping(device=f"/vmfs/devices/disks/naa.{DS_SINGLE}"), vim.fault.InvalidDeviceBacking),
    "a LUN that another VM maps": (Mapping(device=f"/vmfs/devices/disks/naa.{SHARED_RDM}"), vim.fault.InvalidDeviceBacking),
    "another VM's mapping file": (
        Mapping(device="", file="[ds_single] db01/db01_1.vmdk", operation=None, mode=None),
        vim.fault.FileLocked,
    ),
    "an unknown datastore": (Mapping(file="[nowhere]"), vim.fault.InvalidDatastore),
    "a datastore of another cluster": (Mapping(file="[ds_dev]"), vim.fault.InvalidDatastore),
    "a mapping file on NFS": (Mapping(file="[nfs01]"), vim.fault.RDMNotSupportedOnDatastore),
    "a mapping file that exists": (Mapping(file="[ds_single] app01/app01.vmdk"), vim.fault.FileAlreadyExists),
    "no mapping file": (Mapping(file="[ds_single] app01/none.vmdk", operation=None), vim.fault.FileNotFound),
    "another capacity": (Mapping(disk={"capacityInKB": 1024}), vim.fault.InvalidDeviceSpec),
    "no compatibility mode": (Mapping(mode=None), vim.fault.InvalidDeviceSpec),
    "a disk mode in physicalMode": (Mapping(backing={"diskMode": "persistent"}), vim.fault.InvalidDeviceSpec),
    "a disk mode of old products": (Mapping(mode="virtualMode", backing={"diskMode": "append"}), vim.fault.InvalidDeviceSpec),
    "the file operation replace": (Mapping(operation="replace"), vim.fault.InvalidDeviceOperation),
}


def refused(vcenter: VCenter, lab: Lab, fault: type[Exception], change: Callable[[], None]) -> None:
    """The change raises the fault and changes nothing."""
    before = lab.control("GET", "/state")
    with pytest.raises(fault):
        change()
    assert lab.control("GET", "/state") == before


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(vcenter: VCenter, lab: Lab, name: str) -> None:
    mapping, fault = REFUSED[name]
    vcenter.rescan()
    refused(vcenter, lab, fault, lambda: vcenter.reconfigure("app01", mapping.spec()))


def test_refuses_a_lun_that_the_host_does_not_see(vcenter: VCenter, lab: Lab) -> None:
    refused(vcenter, lab, vim.fault.InvalidDeviceBacking, lambda: vcenter.reconfigure("app01", Mapping().spec()))


def test_refuses_a_stale_change_version(vcenter: VCenter, lab: Lab) -> None:
    vcenter.rescan()
    refused(vcenter, lab, vim.fault.ConcurrentAccess, lambda: vcenter.reconfigure("app01", Mapping().spec(), changeVersion="1"))


def test_refuses_one_lun_twice_in_a_spec(vcenter: VCenter, lab: Lab) -> None:
    vcenter.rescan()
    twice = (Mapping().spec(), Mapping(unit=2, key=-2).spec())
    refused(vcenter, lab, vim.fault.InvalidDeviceBacking, lambda: vcenter.reconfigure("app01", *twice))


def test_refuses_a_fifth_controller_and_a_taken_bus(vcenter: VCenter, lab: Lab) -> None:
    three = [new_controller(bus, -bus) for bus in (1, 2, 3)]
    refused(vcenter, lab, vim.fault.TooManyDevices, lambda: vcenter.reconfigure("app01", *three, new_controller(0, -9)))
    refused(vcenter, lab, vim.fault.InvalidDeviceSpec, lambda: vcenter.reconfigure("app01", new_controller(0, -1)))


def test_refuses_to_remove_a_controller_under_disks(vcenter: VCenter, lab: Lab) -> None:
    (controller,) = [device for device in vcenter.vm().config.hardware.device if device.key == FIRST_CONTROLLER]
    refused(vcenter, lab, vim.fault.InvalidDeviceOperation, lambda: vcenter.reconfigure("app01", removal(controller)))


def test_detach_refuses_devices_in_use(vcenter: VCenter, lab: Lab) -> None:
    storage = vcenter.host().configManager.storageSystem
    for naa in (DS_SINGLE, SHARED_RDM):
        (device,) = vcenter.devices(naa)
        refused(vcenter, lab, vim.fault.ResourceInUse, partial(storage.DetachScsiLun, device.uuid))
    refused(vcenter, lab, vim.fault.NotFound, lambda: storage.DetachScsiLun("0200"))


def test_a_detached_device_leaves_without_all_paths_down(vcenter: VCenter, lab: Lab) -> None:
    before = lab.control("GET", "/state")
    vcenter.rescan()
    storage = vcenter.host().configManager.storageSystem
    (device,) = vcenter.devices(SPARE)
    storage.DetachScsiLun(device.uuid)
    assert vcenter.devices(SPARE)[0].operationalState == ["off"]
    with pytest.raises(vim.fault.InvalidState):
        storage.DetachScsiLun(device.uuid)
    lab.unmap_spare()
    vcenter.rescan()
    assert vcenter.devices(SPARE) == []
    storage.DeleteScsiLunState(device.canonicalName)
    assert lab.control("GET", "/apd") == []
    assert lab.control("GET", "/state") == before


def test_a_device_that_is_withdrawn_under_its_host_is_all_paths_down(vcenter: VCenter, lab: Lab) -> None:
    vcenter.rescan()
    lab.unmap_spare()
    assert [(loss["host"], loss["naa"]) for loss in lab.control("GET", "/apd")] == [("esx01.lab", SPARE)]
    vcenter.rescan()
    assert vcenter.devices(SPARE)[0].operationalState == ["lostCommunication"]
