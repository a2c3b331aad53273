# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One read of the inventory, put together."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.estate import (
    Estate,
    nameless_hosts,
    with_names,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    PASSTHROUGH,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.unit import vsphere
from tests.unit.vsphere_inventory import snapshot_tree

NAME = ScsiName("600a098038304c61622d616161616131")


def host(moid: str = "host-9", parent: tuple[str, str] = ("ClusterComputeResource", "domain-c7"), **runtime: Any) -> Any:
    state = {"connectionState": "connected", "inMaintenanceMode": False, **runtime}
    return vsphere.record(
        "HostSystem",
        moid,
        {
            "name": "esx01.lab",
            "parent": vsphere.managed(*parent),
            "summary.hardware.uuid": "4c4c",
            "summary.config.product.name": "VMware ESXi",
            "summary.config.product.version": "8.0.2",
            **{f"runtime.{name}": value for name, value in state.items()},
        },
    )


CLUSTER = vsphere.record("ClusterComputeResource", "domain-c7", {"name": "prod"})
FOLDER = vsphere.record("Folder", "group-v3", {"name": "apps"})


def vm(parent: Any = None, **properties: Any) -> Any:
    where = {"runtime.host": vsphere.managed("HostSystem", "host-9"), "parent": parent or vsphere.managed("Folder", "group-v3")}
    return vsphere.record("VirtualMachine", "vm-42", {"name": "db01", **where, **properties})


def test_a_host_is_told_with_its_cluster() -> None:
    (found,) = Estate([host(), CLUSTER]).hosts
    assert (found.id, found.name, found.cluster, found.product, found.version, found.uuid, found.state, found.hbas) == (
        "host-9", "esx01.lab", "prod", "VMware ESXi", "8.0.2", "4c4c", "connected", [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("runtime", "state"),
    [
        ({}, "connected"),
        ({"inMaintenanceMode": True}, "maintenance"),
        ({"connectionState": "disconnected"}, "unreachable"),
        ({"connectionState": "notResponding", "inMaintenanceMode": True}, "unreachable"),
        ({"connectionState": "notResponding", "powerState": "standBy"}, "standby"),
        ({"connectionState": "connected", "powerState": "standBy", "inMaintenanceMode": True}, "standby"),
        ({"connectionState": "connected", "powerState": "poweredOn"}, "connected"),
    ],
)
def test_states_of_hosts(runtime: dict[str, Any], state: str) -> None:
    assert Estate([host(**runtime)]).hosts[0].state == state


def test_a_vm_has_the_cluster_of_its_host_and_its_folder_in_whatever_order_they_came() -> None:
    for records in ([vm(), host(), CLUSTER, FOLDER], [FOLDER, CLUSTER, host(), vm()]):
        (found,) = Estate(records).virtual_machines
        assert (found.cluster, found.folder, found.host) == ("prod", "/apps", "host-9")


def test_a_vm_in_a_vapp_has_the_vapps_path() -> None:
    vapp = vsphere.record("VirtualApp", "resgroup-v1", {"name": "shop", "parentFolder": vsphere.managed("Folder", "group-v3")})
    inside = vsphere.record("VirtualMachine", "vm-42", {"name": "db01", "parentVApp": vsphere.managed("VirtualApp", "resgroup-v1")})
    assert Estate([inside, vapp, FOLDER]).virtual_machines[0].folder == "/apps/shop"


def test_a_vm_that_is_nowhere_still_appears() -> None:
    (found,) = Estate([vsphere.record("VirtualMachine", "vm-7", {"name": "orphan"})]).virtual_machines
    assert (found.name, found.host, found.cluster, found.folder) == ("orphan", "", "", "")


def test_datastores_and_the_devices_of_hosts_are_collected() -> None:
    lun = vim.host.ScsiLun(
        deviceName="/d",
        deviceType="disk",
        uuid="u",
        canonicalName="mpx.vmhba0",
        lunType="disk",
        vendor="v",
        model="m",
        operationalState=["ok"],
    )
    with_disk = vsphere.record("HostSystem", "host-9", {"name": "esx01", "config.storageDevice.scsiLun": vsphere.array("ScsiLun", [lun])})
    seen = Estate([with_disk, vsphere.record("Datastore", "datastore-5", {"name": "ds"})])
    assert [(device.host, device.device) for device in seen.devices] == [("host-9", "mpx.vmhba0")]
    assert [store.name for store in seen.file_systems] == ["ds"]


@pytest.mark.parametrize(
    ("properties", "missing", "because"),
    [
        ({"runtime.connectionState": "inaccessible"}, {}, "it is inaccessible"),
        ({"runtime.connectionState": "disconnected"}, {"config.hardware.device": "x"}, "it is disconnected"),
        ({"runtime.connectionState": "connected"}, {"config.hardware.device": "Permission was denied"}, "Permission was denied"),
        ({"runtime.connectionState": "connected"}, {"config": "Permission was denied"}, "Permission was denied"),
        ({}, {"config.uuid": "Permission was denied"}, "its configuration is not there"),
    ],
)
def test_a_vm_whose_hardware_cannot_be_read_may_have_any_lun_and_is_a_warning(
    properties: dict[str, str], missing: dict[str, str], because: str
) -> None:
    seen = Estate([vsphere.record("VirtualMachine", "vm-42", {"name": "db01", **properties}, missing)])
    assert seen.uses == [Use("VM", "db01", "vm-42", f"cannot be read because {because}")]
    assert seen.missing == [f"VM db01 (vm-42) cannot be read because {because}: its disks are missing."]


def test_a_vm_whose_hardware_was_read_is_no_doubt_whatever_its_state() -> None:
    hardware = {"config.hardware.device": vsphere.array("VirtualDevice", [])}
    seen = Estate([vsphere.record("VirtualMachine", "vm-42", {"name": "db01", "runtime.connectionState": "orphaned", **hardware})])
    assert (seen.uses, seen.missing) == ([], [])


EXTENT = vim.host.ScsiDisk.Partition(diskName=str(NAME), partition=1)


def vmfs(*extents: Any) -> Any:
    return vim.host.VmfsDatastoreInfo(name="ds", vmfs=vim.host.VmfsVolume(extent=list(extents)) if extents else None)


@pytest.mark.parametrize(
    ("properties", "missing", "because"),
    [
        ({"info": vmfs()}, {}, "it is not accessible"),
        ({}, {"info": "Permission was denied"}, "Permission was denied"),
        ({}, {}, "its configuration is not there"),
    ],
)
def test_a_datastore_that_does_not_tell_where_it_lies_may_lie_on_any_lun(
    properties: dict[str, Any], missing: dict[str, str], because: str
) -> None:
    seen = Estate([vsphere.record("Datastore", "datastore-5", {"name": "ds", **properties}, missing)])
    assert seen.uses == [Use("datastore", "ds", "datastore-5", f"does not tell on which LUNs it lies because {because}")]
    assert seen.missing == [
        f"datastore ds (datastore-5) does not tell on which LUNs it lies because {because}: what lies on it cannot be followed to its LUNs."
    ]


@pytest.mark.parametrize("info", [vmfs(EXTENT), vim.host.NasDatastoreInfo(name="ds")])
def test_a_datastore_that_tells_where_it_lies_is_no_doubt(info: Any) -> None:
    seen = Estate([vsphere.record("Datastore", "datastore-5", {"name": "ds", "info": info})])
    assert (seen.uses, seen.missing) == ([], [])


def test_the_diagnostic_partition_of_a_host_is_a_use_of_its_lun() -> None:
    partition = vim.host.DiagnosticPartition(storageType="networkAttached", diagnosticType="singleHost", slots=1, id=EXTENT)
    seen = Estate([vsphere.record("HostSystem", "host-9", {"name": "esx01.lab", "config.activeDiagnosticPartition": partition})])
    (use,) = seen.uses
    assert (use.kind, use.name, use.how, use.lun, use.doubt) == ("host", "esx01.lab", "keeps its diagnostic partition on it", NAME, False)
    local = vim.host.DiagnosticPartition(
        storageType="directAttached",
        diagnosticType="singleHost",
        slots=1,
        id=vim.host.ScsiDisk.Partition(diskName="mpx.vmhba0", partition=7),
    )
    assert Estate([vsphere.record("HostSystem", "host-9", {"name": "esx01.lab", "config.activeDiagnosticPartition": local})]).uses == []


def test_a_host_whose_devices_may_not_be_read_is_a_warning() -> None:
    seen = Estate(
        [vsphere.record("HostSystem", "host-9", {"name": "esx01.lab"}, {"config.storageDevice.scsiLun": "Permission was denied"})]
    )
    assert seen.missing == ["Host esx01.lab (host-9) cannot be read because Permission was denied: its devices are missing."]


def machine(*disks: VirtualDisk, host: str = "host-9") -> VirtualMachine:
    return VirtualMachine(id="vm-1", name="db01", host=host, disks=disks)


def raw(device: str, name: ScsiName | None = None) -> VirtualDisk:
    return VirtualDisk(key="2000", label="Hard disk 1", kind=PASSTHROUGH, device=device, name=name)


def device(host: str = "host-9", *aliases: str) -> ScsiDevice:
    return ScsiDevice(host=host, device=NAME.vmware, name=NAME, size_bytes=1, aliases=aliases)


def test_only_hosts_of_raw_disks_without_a_name_have_to_be_asked() -> None:
    image = VirtualDisk(key="1", label="", kind=IMAGE)
    found = nameless_hosts(
        [machine(raw("vml.01"), host="a"), machine(raw("naa", NAME), host="b"), machine(image, host="c"), machine(raw("x"), host="")]
    )
    assert found == {"a"}


@pytest.mark.parametrize(
    ("spelling", "alias"),
    [
        ("vml.0100070000313233", "vml.0100070000313233"),
        ("vml.0100070000313233", "vml.0100090000313233"),
        ("vml.0100070000313233", "0100000000313233"),
        ("0100000000313233", "vml.0100070000313233"),
        ("/vmfs/devices/disks/t10.X", "/vmfs/devices/disks/t10.X"),
    ],
    ids=["same", "other lun number", "uuid of the lun", "by uuid", "path"],
)
def test_a_raw_disk_gets_the_name_that_its_host_knows_the_device_by(spelling: str, alias: str) -> None:
    (found,) = with_names([machine(raw(spelling))], [device("host-9", alias)])
    assert [disk.name for disk in found.disks] == [NAME]


@pytest.mark.parametrize(
    "known", [device("host-8", "vml.0100070000313233"), device("host-9", "vml.0200070000313233"), device("host-9", "vml.0100070000313234")]
)
def test_another_hosts_device_or_another_device_gives_no_name(known: ScsiDevice) -> None:
    (found,) = with_names([machine(raw("vml.0100070000313233"))], [known])
    assert [disk.name for disk in found.disks] == [None]


def test_a_name_that_a_disk_has_is_kept() -> None:
    mine = ScsiName("6" + "1" * 31)
    (found,) = with_names([machine(raw("vml.0100070000313233", mine))], [device("host-9", "vml.0100070000313233")])
    assert [disk.name for disk in found.disks] == [mine]


def test_the_snapshots_of_vms_that_have_any_are_noted_by_whose_they_are() -> None:
    tree = vsphere.array("VirtualMachineSnapshotTree", [snapshot_tree(1, "S1", snapshot_tree(2, "S2"), snapshot_tree(3, "S3"))])
    estate = Estate([vm(**{"snapshot.rootSnapshotList": tree}), vsphere.record("VirtualMachine", "vm-7", {"name": "without"})])
    (taken,) = estate.snapshots
    assert (taken.vm.id, taken.vm.host) == ("vm-42", "host-9")
    assert taken.names == {"snapshot-1": "S1", "snapshot-2": "S2", "snapshot-3": "S3"}


def test_snapshots_that_are_not_told_are_noted_unless_the_whole_vm_is_a_doubt() -> None:
    no_disk = {"name": "db01", "config.hardware.device": vsphere.array("VirtualDevice", [])}
    (taken,) = Estate([vsphere.record("VirtualMachine", "vm-42", no_disk, {"snapshot": "Permission was denied"})]).snapshots
    assert taken.unreadable == "Permission was denied"
    nothing = {"config.hardware.device": "Permission was denied", "snapshot": "Permission was denied"}
    hidden = Estate([vsphere.record("VirtualMachine", "vm-42", {"name": "db01"}, nothing)])
    assert (len(hidden.uses), hidden.snapshots) == (1, [])
