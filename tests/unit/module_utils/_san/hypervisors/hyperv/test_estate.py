# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory of single hosts and clusters, in a bounded number of requests."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import estate, machines
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import resources, state
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Node
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ImageFile, Inventory, VirtualDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.usage import CANNOT_TELL, USED, claims, without
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from tests.lab import world
from tests.lab.hyperv.clusters import FAILED, OFFLINE, TYPE_UNKNOWN
from tests.lab.hyperv.media import GPT, MBR
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


@pytest.mark.parametrize("now", [OFFLINE, FAILED])
def test_nobody_can_tell_whether_a_disk_in_available_storage_that_is_out_of_service_has_one(lab: Lab, now: int) -> None:
    lun = _available(lab)
    (partition,) = lab.estate.medium(lun.naa).volumes()
    partition.file_system = "NTFS"
    lab.estate.clusters["hvc1"].resources["Spare"].state = now
    found = inventory(lab, "hvc1n1.lab")
    (doubt,) = claims(lun, found)
    told = "offline" if now == OFFLINE else "failed"
    assert (doubt.verdict, str(doubt)) == (
        CANNOT_TELL,
        f"cluster disk Spare (hvc1:Spare) is {told} in Available Storage, so that nobody can tell whether a file system is on it",
    )
    assert claims(name("spare"), found) == []
    assert found.warnings == []


def test_a_disk_in_available_storage_that_a_killed_run_has_taken_out_of_service_is_no_stranger_to_its_vm(lab: Lab) -> None:
    lun = _available(lab)
    cluster = lab.estate.clusters["hvc1"]
    cluster.resources["Spare"].state = OFFLINE
    cluster.create_group(f"Disk VM c1app01 LUN {lun.naa} Group", TYPE_UNKNOWN, "hvc1n1.lab")
    found = inventory(lab, "hvc1n1.lab")
    (vm,) = (vm for vm in found.virtual_machines if vm.name == "c1app01")
    assert [claim.id for claim in claims(lun, found)] == [vm.id]
    assert without(vm.id, claims(lun, found)) == []


def test_a_pass_through_disk_whose_lun_its_host_does_not_see_may_be_any_lun(lab: Lab) -> None:
    machine = lab.estate.machines["hv01.lab"]
    machine.disks = [disk for disk in machine.disks if disk.key != name("hv01_raw").naa]
    found = inventory(lab)
    (vm,) = (vm for vm in found.virtual_machines if vm.name == "hvdb01")
    (doubt,) = claims(name("hv01_raw"), found)
    assert (doubt.verdict, str(doubt)) == (
        CANNOT_TELL,
        f"VM hvdb01 ({vm.id}) has a pass-through disk (SCSI(0:1)) whose LUN its host does not see",
    )
    assert without(vm.id, claims(name("spare"), found)) == [], "what is hidden from the VM itself is told when it is changed"
    (warning,) = found.warnings
    assert warning.startswith(f"{doubt}, so that it may have any LUN: let its host see the LUN again")


def test_a_vm_without_settings_of_its_own_may_have_any_lun(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    (vm,) = (vm for vm in lab.estate.vms.values() if vm.name == "hvdb01")
    read = machines.read

    def read_without(login: CimClient, vm_id: str | None = None) -> machines.Records:
        told = read(login, vm_id)
        return told._replace(settings=[row for row in told.settings if row.text("VirtualSystemIdentifier") != vm.id])

    assert inventory(lab).uses == [], "the host itself, which has no settings either, is none"
    monkeypatch.setattr(machines, "read", read_without)
    found = inventory(lab)
    assert "hvdb01" not in {vm.name for vm in found.virtual_machines}
    (doubt,) = claims(name("spare"), found)
    assert (doubt.verdict, str(doubt)) == (CANNOT_TELL, f"VM hvdb01 ({vm.id}) is only partly told by its host")
    assert found.warnings[0].startswith(f"{doubt}, so that it may have any LUN: ")


_KEPT = [("hvc1_csv", "Cluster Disk 1"), ("hvc1_witness", "Cluster Disk Witness")]


def _lose(lab: Lab, lun: str) -> None:
    for node in ("hvc1n1.lab", "hvc1n2.lab"):
        machine = lab.estate.machines[node]
        machine.disks = [disk for disk in machine.disks if disk.key != name(lun).naa]


@pytest.mark.parametrize(("lun", "resource"), _KEPT)
def test_a_disk_of_the_cluster_that_no_node_sees_may_be_any_lun(lab: Lab, lun: str, resource: str) -> None:
    _lose(lab, lun)
    found = inventory(lab, "hvc1n1.lab")
    (doubt,) = (claim for claim in claims(name(lun), found) if claim.kind == "cluster disk")
    assert (doubt.verdict, str(doubt)) == (
        CANNOT_TELL,
        f"cluster disk {resource} (hvc1:{resource}) is a disk whose LUN no node of its cluster sees",
    )
    assert any(warning.startswith(f"{doubt}, so that it may have any LUN: let a node see it again") for warning in found.warnings)


@pytest.mark.parametrize(("lun", "resource"), _KEPT)
def test_the_cluster_is_asked_for_the_lun_of_a_disk_that_no_node_sees(
    lab: Lab, lun: str, resource: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lose(lab, lun)
    monkeypatch.setattr(state, "luns", lambda _login: {resource.lower(): name(lun)})
    found = inventory(lab, "hvc1n1.lab")
    assert [claim.verdict for claim in claims(name(lun), found)] == [USED]
    assert claims(name("spare"), found) == []


@pytest.mark.parametrize(("lun", "resource"), _KEPT)
def test_a_cluster_that_cannot_tell_leaves_the_lun_in_doubt(lab: Lab, lun: str, resource: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _lose(lab, lun)

    def fail(_login: object) -> None:
        raise RemoteError("no", "5010")

    monkeypatch.setattr(state, "luns", fail)
    assert f"cluster disk {resource}" in " ".join(map(str, claims(name(lun), inventory(lab, "hvc1n1.lab"))))


def test_a_shared_volume_without_a_resource_may_be_on_any_lun(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "shared_volumes", lambda _login: {"C:\\ClusterStorage\\Volume9": "Gone"})
    found = inventory(lab, "hvc1n1.lab")
    (doubt,) = claims(name("spare"), found)
    assert (doubt.verdict, str(doubt)) == (
        CANNOT_TELL,
        "cluster disk Gone (hvc1:Gone) is below C:\\ClusterStorage\\Volume9, and its cluster tells no resource of that name",
    )
    assert [claim.kind for claim in claims(name("hvc1_csv"), found) if claim.verdict == USED] == ["cluster disk"]


@pytest.mark.parametrize("style", [GPT, MBR])
def test_a_dynamic_disk_is_in_use_by_its_host_while_it_is_online(lab: Lab, style: int) -> None:
    lun = name("hv01_data")
    lab.estate.medium(lun.naa).make_dynamic(style, 100 * GIB)
    (disk,) = lab.estate.machines["hv01.lab"].disks_of(lun.naa)
    (claim,) = claims(lun, inventory(lab))
    assert (claim.verdict, str(claim)) == (USED, f"host hv01.lab (HV01) has it online as dynamic disk {disk.number}")
    assert claims(name("spare"), inventory(lab)) == []
    disk.offline = True
    assert claims(lun, inventory(lab)) == []


@pytest.mark.parametrize(("access", "called"), [(["E:\\"], "E:\\"), (["C:\\mt\\"], "C:\\mt\\"), ([], "\\\\?\\Volume{")])
def test_a_volume_whose_file_system_its_host_does_not_tell_may_be_in_use(lab: Lab, access: list[str], called: str) -> None:
    lun = name("hv01_data")
    (partition,) = lab.estate.medium(lun.naa).volumes()
    partition.file_system, partition.access["hv01.lab"] = "", access
    (doubt,) = claims(lun, inventory(lab))
    assert doubt.verdict == CANNOT_TELL
    assert str(doubt).startswith(f"host hv01.lab (HV01) has a volume on it ({called}")
    assert claims(name("spare"), inventory(lab)) == []
    lab.estate.machines["hv01.lab"].disks_of(lun.naa)[0].offline = True
    assert claims(lun, inventory(lab)) == []


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
