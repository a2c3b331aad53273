# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vSphere behind the port: how many requests, and what is looked up only when it must be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import AuthenticationFailed, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor, Wanted
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import backend
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.backend import VMware
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Attachment, Inventory, Use, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import vsphere
from tests.unit.vsphere import Endpoint
from tests.unit.vsphere_inventory import snapshot_tree

pytestmark = pytest.mark.slow

NAME = ScsiName("600a098038304c61622d616161616131")
VML = f"vml.02000a0000{NAME.naa}4c554e20432d"
ODD_VML, ODD_UUID = "vml.01000a0000313233", "0100000000313233"
VIEW = ["CreateContainerView", "RetrievePropertiesEx", "DestroyView"]
DEVICE = vim.vm.device


@pytest.fixture
def vmware(endpoint: Endpoint) -> Iterator[VMware]:
    opened = VMware(endpoint.connection)
    endpoint.calls.clear()
    yield opened
    opened.close()


def lun(uuid: str = f"0200000000{NAME.naa}4c554e20432d") -> Any:
    return vim.host.ScsiDisk(
        deviceName="/d", deviceType="disk", uuid=uuid, canonicalName=str(NAME), lunType="disk", vendor="NETAPP", model="LUN C-Mode",
        operationalState=["ok"], capacity=vim.host.DiskDimensions.Lba(blockSize=512, block=8), devicePath="",
    )  # fmt: skip


def host(number: int = 1, *luns: Any, **more: Any) -> Any:
    parent = {"parent": vsphere.managed("ClusterComputeResource", "domain-c7")}
    storage = {"config.storageDevice.scsiLun": vsphere.array("ScsiLun", list(luns))}
    return vsphere.contents("HostSystem", f"host-{number}", {"name": f"esx0{number}", **parent, **storage, **more})


def vm(device: str | None = None, unit: int = 3) -> Any:
    backing = DEVICE.VirtualDisk.RawDiskMappingVer1BackingInfo(fileName="[ds] db01/db01_1.vmdk", deviceName=device, diskMode="persistent")
    controller = DEVICE.ParaVirtualSCSIController(key=1001, busNumber=1, sharedBus="noSharing")
    disk = DEVICE.VirtualDisk(key=2000, controllerKey=1001, unitNumber=unit, capacityInKB=8, backing=backing)
    hardware = {"config.hardware.device": vsphere.array("VirtualDevice", [controller, disk] if device else [controller])}
    return vsphere.contents(
        "VirtualMachine", "vm-42", {"name": "db01", "runtime.host": vsphere.managed("HostSystem", "host-1"), **hardware}
    )


CLUSTER = vsphere.contents("ClusterComputeResource", "domain-c7", {"name": "prod"})


def test_it_fulfils_the_port(vmware: VMware) -> None:
    port: Hypervisor = vmware
    assert {name for name in vars(Hypervisor) if not name.startswith("_")} <= set(dir(port))


@pytest.mark.parametrize("devices", [True, False])
def test_the_inventory_is_one_read(vmware: VMware, endpoint: Endpoint, devices: bool) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(VML), host(1, lun()), CLUSTER]))
    found = vmware.inventory(devices)
    assert [(it.name, it.cluster, [disk.name for disk in it.disks]) for it in found.virtual_machines] == [("db01", "prod", [NAME])]
    assert [device.name for device in found.devices] == [NAME]
    assert found.identity == "dbed6e0c-bd88-4ef6-b594-21283e1c677f", "the vCenter's own, under whatever name it was asked"
    assert endpoint.calls == VIEW
    assert (b"config.storageDevice.scsiLun" in endpoint.bodies[-2]) == devices


def with_snapshots(moid: str, *numbers: int) -> Any:
    """A VM without disks that has these snapshots."""
    trees = vsphere.array("VirtualMachineSnapshotTree", [snapshot_tree(number, f"S{number}") for number in numbers])
    return machine(moid, **{"config.hardware.device": vsphere.array("VirtualDevice", []), "snapshot.rootSnapshotList": trees})


@pytest.mark.parametrize("devices", [True, False])
def test_a_lun_that_only_snapshots_have_is_in_use_by_one_request_for_those_of_all_vms(
    vmware: VMware, endpoint: Endpoint, devices: bool
) -> None:
    then = {"config.hardware.device": vsphere.array("VirtualDevice", [RAW_DISK])}
    read = [vsphere.contents("VirtualMachineSnapshot", "snapshot-2", then), vsphere.contents("VirtualMachineSnapshot", "snapshot-3", {})]
    endpoint.answer("RetrievePropertiesEx", vsphere.page([with_snapshots("vm-1", 1, 2), with_snapshots("vm-2", 3)]), vsphere.page(read))
    found = vmware.inventory(devices)
    assert found.uses == [
        Use("VM", "vm-1", "vm-1", "has it in its snapshots S2", NAME, way_out="remove these snapshots first", in_snapshots=True),
        Use("VM", "vm-2", "vm-2", "has the snapshots S3, which cannot be read", in_snapshots=True),
    ]
    assert endpoint.calls == [*VIEW, "RetrievePropertiesEx"]
    assert all(f">snapshot-{number}<".encode() in endpoint.bodies[-1] for number in (1, 2, 3))


def test_a_raw_disk_without_a_name_is_looked_up_among_the_devices_that_were_read(vmware: VMware, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(ODD_VML), host(1, lun(ODD_UUID))]))
    assert vmware.inventory().virtual_machines[0].disks[0].name == NAME
    assert endpoint.calls == VIEW


def datastore() -> Any:
    """A datastore with one VM."""
    return vsphere.contents(
        "Datastore",
        "datastore-5",
        {"name": "ds", "vm": vim.VirtualMachine.Array([vsphere.managed("VirtualMachine", "vm-42")])},
    )


def test_of_the_vms_on_some_file_systems_only_these_are_read(vmware: VMware, endpoint: Endpoint) -> None:
    seen: list[Inventory] = []

    def only(below: Inventory) -> Wanted:
        seen.append(below)
        return Wanted(["datastore-5"], raw_disks=False)

    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1, lun()), CLUSTER, datastore()]), vsphere.page([vm(VML)]))
    found = vmware.inventory(only=only)
    assert [(it.name, it.cluster) for it in found.virtual_machines] == [("db01", "prod")]
    assert [(it.virtual_machines, [store.id for store in it.file_systems], len(it.devices)) for it in seen] == [((), ["datastore-5"], 1)]
    assert endpoint.calls == [*VIEW, "RetrievePropertiesEx"]
    assert b">vm-42<" in endpoint.bodies[-1]


def test_no_vm_is_asked_for_where_none_lies_on_them(vmware: VMware, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1, lun()), CLUSTER]))
    assert vmware.inventory(only=lambda _below: Wanted(["datastore-9"], raw_disks=False)).virtual_machines == []
    assert endpoint.calls == VIEW


def machine(moid: str, **properties: Any) -> Any:
    return vsphere.contents("VirtualMachine", moid, {"name": moid, **properties})


def hardware(moid: str, device: Any) -> Any:
    return vsphere.contents("VirtualMachine", moid, {"config.hardware.device": vsphere.array("VirtualDevice", [device])})


NO_DISK = DEVICE.VirtualKeyboard(key=1)
RAW_DISK = DEVICE.VirtualDisk(key=2000, backing=DEVICE.VirtualDisk.RawDiskMappingVer1BackingInfo(deviceName=VML, diskMode="persistent"))


def test_where_a_raw_disk_may_be_meant_every_vm_is_asked_for_its_hardware_and_only_those_that_may_have_one_are_read(
    vmware: VMware, endpoint: Endpoint
) -> None:
    silent = vsphere.contents("VirtualMachine", "vm-3", {}, {"config.hardware.device": "Permission was denied."})
    below = vsphere.page([host(1, lun()), CLUSTER, datastore()])
    pages = (
        vsphere.page([hardware("vm-1", NO_DISK), hardware("vm-42", RAW_DISK)], token="1"),
        vsphere.page([silent, hardware("vm-5", NO_DISK)]),
    )
    endpoint.answer("RetrievePropertiesEx", below, pages[0], vsphere.page([vm(VML), machine("vm-3")]))
    endpoint.answer("ContinueRetrievePropertiesEx", pages[1])
    found = vmware.inventory(only=lambda _below: Wanted([], raw_disks=True))
    assert [it.id for it in found.virtual_machines] == ["vm-42", "vm-3"], "with a raw disk, not told"
    assert endpoint.calls == [*VIEW, *VIEW[:-1], "ContinueRetrievePropertiesEx", VIEW[-1], "RetrievePropertiesEx"]
    assert (b"config.uuid" in endpoint.bodies[-4], b"config.uuid" in endpoint.bodies[-1]) == (False, True)
    assert [moid in endpoint.bodies[-1] for moid in (b">vm-1<", b">vm-3<", b">vm-42<", b">vm-5<")] == [False, True, True, False]


def test_a_vm_on_a_file_system_that_is_meant_is_read_beside_those_with_raw_disks(vmware: VMware, endpoint: Endpoint) -> None:
    pages = vsphere.page([datastore()]), vsphere.page([hardware("vm-4", NO_DISK), hardware("vm-7", RAW_DISK)])
    endpoint.answer("RetrievePropertiesEx", *pages, vsphere.page([machine("vm-42"), machine("vm-7")]))
    vmware.inventory(only=lambda _below: Wanted(["datastore-5"], raw_disks=True))
    assert [moid in endpoint.bodies[-1] for moid in (b">vm-4<", b">vm-42<", b">vm-7<")] == [False, True, True]


def test_of_very_many_vms_that_are_meant_and_those_with_raw_disks_the_hardware_is_read_once(
    vmware: VMware, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "PAGE_SIZE", 0)
    there = {"config.hardware.device": vsphere.array("VirtualDevice", [NO_DISK])}
    everybody = vsphere.page([machine("vm-42", **there), machine("vm-4", **there), machine("vm-5")])
    endpoint.answer("RetrievePropertiesEx", vsphere.page([datastore()]), everybody)
    found = vmware.inventory(only=lambda _below: Wanted(["datastore-5"], raw_disks=True))
    assert [it.id for it in found.virtual_machines] == ["vm-42", "vm-5"]
    assert endpoint.calls == [*VIEW, *VIEW]


def test_a_vm_that_was_deleted_between_the_two_reads_is_left_out(vmware: VMware, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1, lun()), CLUSTER, datastore()]), vsphere.page([]))
    assert vmware.inventory(only=lambda _below: Wanted(["datastore-5"], raw_disks=False)).virtual_machines == []
    assert b"reportMissingObjectsInResults>true" in endpoint.bodies[-1]


def test_a_session_that_ends_between_two_pages_is_an_error_and_never_half_an_inventory(vmware: VMware, endpoint: Endpoint) -> None:
    ended = vim.fault.NotAuthenticated(msg="x", object=vim.VirtualMachine("vm-42"), privilegeId="System.View")
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(VML), host(1, lun())], token="1"))
    endpoint.answer("ContinueRetrievePropertiesEx", vsphere.fault(ended))
    with pytest.raises(AuthenticationFailed, match="has ended"):
        vmware.inventory()


def test_without_devices_the_host_of_such_a_disk_is_asked_once(vmware: VMware, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(ODD_VML), host(1)]), vsphere.page([host(1, lun(ODD_UUID))]))
    found = vmware.inventory(devices=False)
    assert found.virtual_machines[0].disks[0].name == NAME
    assert found.devices == []
    assert endpoint.calls == [*VIEW, "RetrievePropertiesEx"]


def test_a_raw_disk_whose_lun_no_host_sees_stays_without_a_name(vmware: VMware, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(ODD_VML), host(1)]), vsphere.page([host(1)]))
    found = vmware.inventory()
    (disk,) = found.virtual_machines[0].disks
    assert (disk.name, disk.device) == (None, ODD_VML)
    assert found.uses == [Use("VM", "db01", "vm-42", "has a raw disk () whose LUN its host does not see")]


def test_a_local_disk_that_its_host_lists_is_no_doubt(vmware: VMware, endpoint: Endpoint) -> None:
    local = lun(ODD_UUID)
    local.canonicalName = "mpx.vmhba0:C0:T1:L0"
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(ODD_VML), host(1, local)]))
    assert vmware.inventory().uses == []


def test_a_host_whose_devices_cannot_be_read_is_not_one_that_does_not_see_the_lun(vmware: VMware, endpoint: Endpoint) -> None:
    lost = vsphere.contents("HostSystem", "host-2", {"name": "esx02"}, {"config": "Permission was denied"})
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1, lun()), lost]))
    with pytest.raises(Refused, match="The devices of host esx02 cannot be read because Permission was denied"):
        vmware.devices(["host-1", "host-2"], NAME)
    with pytest.raises(Refused, match="The devices of host esx02 cannot be read"):
        vmware.plan_release(["host-1", "host-2"], NAME)


def test_the_disks_of_a_vm_that_cannot_be_read_are_not_told_to_be_none(vmware: VMware, endpoint: Endpoint) -> None:
    lost = vsphere.contents("VirtualMachine", "vm-42", {"name": "db01", "runtime.connectionState": "inaccessible"})
    endpoint.answer("RetrievePropertiesEx", vsphere.page([lost]))
    with pytest.raises(Refused, match="VM db01 cannot be read because it is inaccessible"):
        vmware.attachment(DB01, NAME)
    with pytest.raises(Refused, match="VM db01 cannot be read because it is inaccessible"):
        vmware.plan_detach(DB01, NAME, timeout=5)


def test_one_lun_is_told_per_host_that_sees_it(vmware: VMware, endpoint: Endpoint) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1, lun()), host(2), host(3, lun())]))
    assert [device.host for device in vmware.devices(["host-1", "host-2", "host-3"], NAME)] == ["host-1", "host-3"]
    assert vmware.devices(["host-1"], ScsiName("6" + "1" * 31)) == []
    assert endpoint.calls == ["RetrievePropertiesEx"] * 2


DB01 = VirtualMachine(id="vm-42", name="db01")


@pytest.mark.parametrize("device", [VML, ODD_VML])
def test_an_attachment_is_read_back_with_its_place(vmware: VMware, endpoint: Endpoint, device: str) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm(device)]), vsphere.page([host(1, lun(ODD_UUID))]))
    found = vmware.attachment(DB01, NAME)
    assert isinstance(found, Attachment)
    assert (found.guest_address, found.controller.type, found.disk.path) == ("SCSI(1:3)", "pvscsi", "[ds] db01/db01_1.vmdk")


@pytest.mark.parametrize("there", [[vm()], [vm("vml.02000a0000" + "6" + "1" * 31)], []], ids=["no disk", "another lun", "no vm"])
def test_no_attachment_is_none(vmware: VMware, endpoint: Endpoint, there: list[Any]) -> None:
    endpoint.answer("RetrievePropertiesEx", vsphere.page(there))
    assert vmware.attachment(DB01, NAME) is None


def test_plans_are_those_of_the_change_side(vmware: VMware, endpoint: Endpoint) -> None:
    system = {"configManager.storageSystem": vsphere.managed("HostStorageSystem", "storage-1")}
    endpoint.answer("RetrievePropertiesEx", vsphere.page([host(1, lun(), **system)]))
    assert vmware.plan_release(["host-1"], NAME).steps[-1].title == f"detach LUN {NAME} from host esx01"
    assert vmware.plan_forget(["host-1"], NAME).steps[-1].title == f"forget LUN {NAME} on host esx01"
    endpoint.answer("RetrievePropertiesEx", vsphere.page([vm()]))
    assert vmware.plan_detach(DB01, NAME, timeout=5).pending() == []


def test_a_guest_is_not_held_still_for_a_lun(vmware: VMware) -> None:
    with pytest.raises(Refused, match="VM db01 cannot be held still by vSphere, which does so only for a snapshot of the VM itself"):
        vmware.agent(DB01)
