# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory of single hosts and clusters, in a bounded number of requests."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Node
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ImageFile, Inventory, VirtualDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import CANNOT_TELL, claims
from tests.lab import world
from tests.lab.hyperv.running import CLUSTER, Lab
from tests.lab.hyperv_world import GIB, lun_path
from tests.unit.windows import Wire, nodes, refusing

pytestmark = pytest.mark.slow

PER_HOST = 10
ONCE = 2
"""Enumerations: of a host, and to learn who the named one is and whether it is in a cluster."""
PER_CLUSTER = 2


@pytest.fixture
def lab() -> Lab:
    return Lab()


def name(lun: str) -> ScsiName:
    return ScsiName(world.naa_at(lun_path(lun)))


def inventory(lab: Lab, entry: str = "hv01.lab", *, devices: bool = True, images: bool = False, wire: Wire | None = None) -> Inventory:
    return estate.inventory(nodes(lab, entry, wire), devices, images)


def disks_of(found: Inventory, vm_name: str) -> list[VirtualDisk]:
    return [disk for vm in found.virtual_machines if vm.name == vm_name for disk in vm.disks]


def extents_under(found: Inventory, file_system: str) -> list[str]:
    (store,) = (store for store in found.file_systems if store.id == file_system)
    return list(store.extents)


@pytest.mark.parametrize("vms", [10, 200])
def test_a_host_is_asked_as_often_whatever_the_number_of_its_vms(vms: int) -> None:
    wire = Wire()
    found = inventory(Lab(vms, 3), wire=wire)
    assert len(found.virtual_machines) == vms
    assert wire.count("Enumerate") == ONCE + PER_HOST


@pytest.mark.parametrize(("entry", "hosts"), [("hvc1n1.lab", 2), ("hvc2n4.lab", 4)])
def test_a_cluster_is_asked_once_and_each_of_its_nodes_as_often_as_a_host(lab: Lab, entry: str, hosts: int) -> None:
    wire = Wire()
    found = inventory(lab, entry, wire=wire)
    assert len(found.hosts) == hosts
    asked_for_nodes = wire.count("FROM MSCluster_Node")
    assert asked_for_nodes == hosts
    assert wire.count("Enumerate") - asked_for_nodes == ONCE + PER_CLUSTER + hosts * PER_HOST


def test_an_image_file_lies_on_the_lun_under_its_drive_letter(lab: Lab) -> None:
    found = inventory(lab)
    (boot, data) = disks_of(found, "hvapp01")
    assert boot.file_system == data.file_system
    assert extents_under(found, data.file_system) == [name("hv01_data").windows]
    assert extents_under(found, disks_of(found, "hvold01")[0].file_system) == ["\\\\.\\PHYSICALDRIVE0"]


def test_an_image_file_lies_on_the_lun_under_its_mount_point(lab: Lab) -> None:
    (partition,) = lab.estate.medium(name("hv01_data").naa).volumes()
    partition.access["hv01.lab"] = ["C:\\VMs\\"]
    found = inventory(lab)
    assert extents_under(found, disks_of(found, "hvold01")[0].file_system) == [name("hv01_data").windows]
    assert disks_of(found, "hvapp01")[0].file_system == "", "nothing is drive E now"


@pytest.mark.parametrize("entry", ["hvc1n1.lab", "hvc1n2.lab"])
def test_an_image_file_on_a_shared_volume_lies_on_its_lun_on_every_node(lab: Lab, entry: str) -> None:
    found = inventory(lab, entry)
    homes = {disks_of(found, vm)[0].file_system for vm in ("c1app01", "c1app02", "c1old01")}
    assert homes == {"hvc1:C:\\ClusterStorage\\Volume1"}
    assert extents_under(found, homes.pop()) == [name("hvc1_csv").windows]
    assert not [store for store in found.file_systems if store.kind == "csvfs"], "the owner's view of it is the same volume"


def test_a_file_on_a_share_lies_on_the_share(lab: Lab) -> None:
    for vm in lab.estate.vms.values():
        if vm.name == "hvapp01":
            vm.attachments[0].path = "\\\\filer\\vms\\hvapp01.vhdx"
    found = inventory(lab)
    home = disks_of(found, "hvapp01")[0].file_system
    (store,) = (store for store in found.file_systems if store.id == home)
    assert (store.name, store.kind, store.extents) == ("\\\\filer\\vms", "smb", ())


def test_devices_are_told_when_asked_for(lab: Lab) -> None:
    by_name = {device.name: device for device in inventory(lab).devices}
    raw = by_name[name("hv01_raw")]
    assert (raw.host, raw.state, raw.size_bytes, raw.vendor, raw.product) == ("HV01", "ok", 20 * GIB, "NETAPP", "LUN C-Mode")
    assert raw.device.startswith("\\\\.\\PHYSICALDRIVE")
    assert inventory(lab, devices=False).devices == ()


def test_image_files_are_asked_for_size_and_chain_only_on_demand(lab: Lab) -> None:
    wire = Wire()
    plain, detailed = inventory(lab, wire=wire), inventory(lab, images=True)
    assert wire.count("GetVirtualHardDiskSettingData") == 0
    assert disks_of(plain, "hvchain01")[1].size_bytes == 0
    leaf = disks_of(detailed, "hvchain01")[1]
    assert leaf.size_bytes == 40 * GIB
    assert leaf.parents == [ImageFile(f"E:\\VMs\\hvchain01\\{file}", leaf.file_system) for file in ("middle.avhdx", "base.vhdx")]


def test_an_image_file_that_cannot_be_read_costs_its_details_and_a_warning(lab: Lab) -> None:
    wire = Wire()
    inventory(lab, images=True, wire=wire)
    first = next(number for number, line in enumerate(wire.asked) if "GetVirtualHardDiskSettingData" in line)
    refused = Wire(before={first: refusing(RemoteError("The file is locked", "32774"))})
    found = inventory(lab, images=True, wire=refused)
    assert [(disk.path, disk.size_bytes) for disk in disks_of(found, "win01")] == [("E:\\VMs\\win01\\win01.vhdx", 0)]
    assert found.warnings == ["The image file E:\\VMs\\win01\\win01.vhdx cannot be read on host hv01.lab: The file is locked."]


def test_a_node_that_is_down_costs_what_only_it_has_and_a_warning(lab: Lab) -> None:
    lab.estate.set_power("hvc1n2.lab", False)
    found = inventory(lab, "hvc1n1.lab")
    assert [(host.name, host.state) for host in found.hosts] == [("hvc1n1.lab", "connected"), ("hvc1n2.lab", "unreachable")]
    assert {vm.name: vm.host for vm in found.virtual_machines} == dict.fromkeys(["c1app01", "c1app02", "c1old01"], "HVC1N1")
    assert found.warnings == [
        "Host hvc1n2.lab was not asked (the cluster says that it is down): the VMs, disks and volumes that only it has are missing."
    ]


def test_a_node_that_is_down_may_use_any_lun(lab: Lab) -> None:
    assert inventory(lab, "hvc1n1.lab").uses == []
    lab.estate.set_power("hvc1n2.lab", False)
    (doubt,) = claims(name("spare"), inventory(lab, "hvc1n1.lab"))
    assert (doubt.verdict, str(doubt)) == (
        CANNOT_TELL,
        "host hvc1n2.lab (HVC1N2) cannot be asked because the cluster says that it is down",
    )


def test_only_highly_available_vms_belong_to_the_cluster(lab: Lab) -> None:
    clusters = {vm.name: vm.cluster for vm in inventory(lab, "hvc1n1.lab").virtual_machines}
    assert clusters == {"c1app01": "hvc1", "c1app02": "hvc1", "c1old01": "hvc1", "c1local01": ""}


def test_the_witness_is_a_user_and_the_shared_volume_too(lab: Lab) -> None:
    found = inventory(lab, "hvc1n1.lab")
    assert "cluster disk Cluster Disk Witness (hvc1:Cluster Disk Witness)" in map(str, claims(name("hvc1_witness"), found))
    assert [user.kind for user in claims(name("hvc1_csv"), found)] == ["csv file system"]


def test_a_disk_in_available_storage_is_used_once_it_has_a_file_system(lab: Lab) -> None:
    lun = _available(lab)
    assert claims(lun, inventory(lab, "hvc1n1.lab")) == []
    (partition,) = lab.estate.medium(lun.naa).volumes()
    partition.file_system, partition.label = "NTFS", "old data"
    kinds = {user.kind for user in claims(lun, inventory(lab, "hvc1n1.lab"))}
    assert kinds == {"ntfs file system", "cluster disk"}


def test_a_lun_that_a_host_shows_twice_is_a_warning(lab: Lab) -> None:
    machine = lab.estate.machines["hv01.lab"]
    machine.mpio = False
    lab.estate.rescan(machine)
    there = nodes(lab, "hv01.lab")
    warnings = estate.inventory(there, False, False).warnings
    assert f"Host hv01.lab shows LUN {name('hv01_data')} as several disks: let MPIO claim the array's disks there." in warnings
    with pytest.raises(Refused, match=r"hv01\.lab shows LUN"):
        estate.devices(there, ["HV01"], name("hv01_data"))


def test_one_lun_is_looked_up_on_the_named_hosts(lab: Lab) -> None:
    found = estate.devices(nodes(lab, "hvc1n1.lab"), ["HVC1N1", "HVC1N2"], name("hvc1_csv"))
    assert [(device.host, device.name, device.state) for device in found] == [
        ("HVC1N1", name("hvc1_csv"), "ok"),
        ("HVC1N2", name("hvc1_csv"), "ok"),
    ]
    assert estate.devices(nodes(lab, "hv01.lab"), ["HV01"], name("hvc1_csv")) == []


def _available(lab: Lab) -> ScsiName:
    """An initialised LUN with an unformatted partition, in the first cluster's Available Storage, owned by the second node."""
    lun = ScsiName(lab.map_lun("hv_hvc1"))
    for node in ("hvc1n1.lab", "hvc1n2.lab"):
        lab.estate.rescan(lab.estate.machines[node])
    medium = lab.estate.medium(lun.naa)
    medium.initialize(2, 10 * GIB)
    medium.add_partition(*medium.free_extent(10 * GIB))
    lab.clients["hvc1n2.lab"].invoke(CLUSTER, "MSCluster_AvailableDisk", "AddToCluster", {"Id": medium.guid}, ResourceName="Spare")
    lab.estate.timeline.settle(everything=True)
    return lun


def test_a_cluster_is_one_and_the_same_by_whichever_node_it_is_asked_and_a_host_is_none() -> None:
    told = {entry: inventory(Lab(), entry, devices=False).identity for entry in ("hvc1n1.lab", "hvc1n2.lab", "hv01.lab")}
    assert told == {"hvc1n1.lab": "hvc1.lab", "hvc1n2.lab": "hvc1.lab", "hv01.lab": ""}


@pytest.mark.parametrize(("node", "identity"), [("hvc1n1", ""), ("hvc1n1.site1.lab", "hvc1.site1.lab")])
def test_a_cluster_of_a_workgroup_may_be_called_as_that_of_another_site_and_is_known_by_nothing(node: str, identity: str) -> None:
    asked = SimpleNamespace(cluster="HVC1", entry=Node("HVC1N1", node, "up"))
    assert estate._identity(asked) == identity  # type: ignore[arg-type]
