# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failover cluster: a raw disk becomes a resource, follows its VM, and every order of steps that a cluster refuses is refused."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.lab.hyperv.clusters import FAILED, OFFLINE
from tests.lab.hyperv.estate import Estate
from tests.lab.hyperv.faults import ProviderFault, WsmanFault
from tests.lab.hyperv.installation import CLASSES
from tests.lab.hyperv.mof import read_schema
from tests.lab.hyperv.running import CLUSTER, STORAGE, VIRTUALIZATION, Client, Lab
from tests.unit.lab.hyperv.desk import NODE1, NODE2, Desk

VM, MOVE, SET_PRIVATE = "c1app01", 23068676, 20971654
TEMPORARY = f"Disk VM {VM} Group"
DISK = f"Disk VM {VM}"
CONFIGURATION = f"Virtual Machine Configuration {VM}"
WAIT = 5


@pytest.fixture
def naa(lab: Lab, node: Desk, other_node: Desk) -> str:
    """An initialised LUN that both nodes see."""
    name = lab.map_lun("hv_hvc1")
    node.rescan()
    other_node.rescan()
    node.initialize(name)
    return name


@pytest.fixture
def client(lab: Lab) -> Client:
    return lab.clients[NODE1]


def on_resource(client: Client, name: str, method: str, **arguments: Any) -> dict[str, Any]:
    return client.invoke(CLUSTER, "MSCluster_Resource", method, {"Name": name}, **arguments)


def on_group(client: Client, name: str, method: str, **arguments: Any) -> dict[str, Any]:
    return client.invoke(CLUSTER, "MSCluster_ResourceGroup", method, {"Name": name}, **arguments)


def resource(client: Client, name: str) -> dict[str, Any]:
    return client.get(CLUSTER, "MSCluster_Resource", Name=name)


def code_of(refusal: pytest.ExceptionInfo[ProviderFault]) -> int:
    return refusal.value.code & 0xFFFF


def make_disk_resource(desk: Desk, naa: str) -> None:
    """Make a temporary group with an online resource of the disk."""
    client = desk.client
    client.invoke(CLUSTER, "MSCluster_ResourceGroup", "CreateGroup", GroupName=TEMPORARY, GroupType=9999)
    client.invoke(
        CLUSTER,
        "MSCluster_Resource",
        "CreateResource",
        Group=TEMPORARY,
        ResourceName=DISK,
        ResourceType="Physical Disk",
        SeparateMonitor=False,
    )
    guid = desk.disk(naa)["Guid"]
    on_resource(client, DISK, "ExecuteResourceControl", ControlCode=SET_PRIVATE, InputBuffer=list(private(DiskIdType=1, DiskIdGuid=guid)))
    on_resource(client, DISK, "BringOnline", TimeOut=WAIT)


def private(**properties: Any) -> bytes:
    """A property list as MS-CMRP 2.2.3.10 has it."""
    parts = [struct.pack("<I", len(properties))]
    for name, value in properties.items():
        parts.append(piece(0x00040003, f"{name}\0".encode("utf-16-le")))
        parts.append(piece(0x00010002, struct.pack("<I", value)) if isinstance(value, int) else text_piece(value))
        parts.append(bytes(4))
    return b"".join(parts)


def text_piece(text: str) -> bytes:
    return piece(0x00010003, f"{text}\0".encode("utf-16-le"))


def piece(syntax: int, data: bytes) -> bytes:
    return struct.pack("<II", syntax, len(data)) + data + bytes(-len(data) % 4)


def give_disk(desk: Desk, naa: str) -> None:
    """Do everything from the temporary group to the dependency."""
    client = desk.client
    make_disk_resource(desk, naa)
    desk.attach(VM, desk.drive_path(naa))
    on_resource(client, DISK, "TakeOffline", TimeOut=WAIT)
    on_resource(client, CONFIGURATION, "ExecuteResourceControl", ControlCode=MOVE)
    on_resource(client, DISK, "BringOnline", TimeOut=WAIT)
    on_resource(client, DISK, "MoveToNewGroup", Group=VM)
    on_resource(client, f"Virtual Machine {VM}", "AddDependency", Resource=DISK)
    on_group(client, TEMPORARY, "DeleteGroup")


def take_disk(desk: Desk, naa: str) -> None:
    """Do the same in reverse."""
    client = desk.client
    on_resource(client, f"Virtual Machine {VM}", "RemoveDependency", Resource=DISK)
    client.invoke(CLUSTER, "MSCluster_ResourceGroup", "CreateGroup", GroupName=TEMPORARY, GroupType=9999)
    on_resource(client, DISK, "MoveToNewGroup", Group=TEMPORARY)
    desk.detach(VM, naa)
    on_resource(client, DISK, "TakeOffline", TimeOut=WAIT)
    on_resource(client, CONFIGURATION, "ExecuteResourceControl", ControlCode=MOVE)
    on_resource(client, DISK, "DeleteResource", Options=0)
    on_group(client, TEMPORARY, "DeleteGroup")


def host_of(estate: Estate, vm: str = VM) -> str:
    return next(found.host for found in estate.vms.values() if found.name == vm)


def test_the_disk_follows_its_vm_to_another_node_and_back(lab: Lab, node: Desk, naa: str) -> None:
    give_disk(node, naa)
    for target in (NODE2, NODE1):
        assert lab.estate.fail_over(VM, target) == {"vm": VM, "host": target, "state": 0}
        assert resource(node.client, DISK)["OwnerNode"] == target.partition(".")[0]
    assert host_of(lab.estate) == NODE1


def test_on_the_other_node_the_vm_shows_the_disk_under_that_nodes_name(lab: Lab, node: Desk, other_node: Desk, naa: str) -> None:
    give_disk(node, naa)
    lab.estate.fail_over(VM, NODE2)
    query = "SELECT * FROM Msvm_ResourceAllocationSettingData WHERE ResourceSubType = 'Microsoft:Hyper-V:Physical Disk Drive'"
    rows = [row for row in other_node.client.query(VIRTUALIZATION, query) if row.get("HostResource")]
    assert [row["HostResource"] for row in rows] == [other_node.drive_path(naa)]


def test_after_everything_is_undone_the_cluster_is_as_it_was(lab: Lab, node: Desk, naa: str) -> None:
    before = lab.estate.canonical()
    give_disk(node, naa)
    assert lab.estate.canonical() != before
    take_disk(node, naa)
    assert lab.estate.canonical() == before


def test_both_nodes_tell_the_same(lab: Lab, node: Desk, naa: str) -> None:
    give_disk(node, naa)
    states = [
        {row["Name"]: row["State"] for row in lab.clients[name].query(CLUSTER, "SELECT * FROM MSCluster_Resource")}
        for name in (NODE1, NODE2)
    ]
    assert states[0] == states[1]
    assert states[0][DISK] == "2"


def test_a_vm_does_not_move_when_the_target_does_not_see_the_disk(lab: Lab, node: Desk, other_node: Desk, naa: str) -> None:
    give_disk(node, naa)
    other_node.machine.disks = [disk for disk in other_node.machine.disks if disk.key != naa]
    with pytest.raises(ProviderFault, match=r"not visible on hvc1n2\.lab"):
        lab.estate.fail_over(VM, NODE2)


def test_a_vm_does_not_move_with_a_disk_that_is_no_resource_of_its_group(lab: Lab, node: Desk, naa: str) -> None:
    node.attach(VM, node.drive_path(naa))
    lab.estate.timeline.settle(everything=True)
    with pytest.raises(ProviderFault, match="is no resource of its group"):
        lab.estate.fail_over(VM, NODE2)


def test_a_vm_does_not_move_before_its_configuration_is_refreshed(lab: Lab, node: Desk, naa: str) -> None:
    make_disk_resource(node, naa)
    node.attach(VM, node.drive_path(naa))
    on_resource(node.client, DISK, "MoveToNewGroup", Group=VM)
    with pytest.raises(ProviderFault, match="not up to date"):
        lab.estate.fail_over(VM, NODE2)


def test_the_configuration_is_not_refreshed_while_a_disk_is_not_in_the_cluster(lab: Lab, node: Desk, naa: str) -> None:
    node.attach(VM, node.drive_path(naa))
    lab.estate.timeline.settle(everything=True)
    with pytest.raises(ProviderFault, match="Element not found") as refusal:
        on_resource(node.client, CONFIGURATION, "ExecuteResourceControl", ControlCode=MOVE)
    assert code_of(refusal) == 1168


def test_the_same_code_on_the_vm_itself_migrates_it(lab: Lab, client: Client) -> None:
    on_resource(client, f"Virtual Machine {VM}", "ExecuteResourceControl", ControlCode=MOVE)
    lab.estate.timeline.settle(everything=True)
    assert host_of(lab.estate) == NODE2
    assert lab.estate.controls() == [{"cluster": "hvc1", "resource": f"Virtual Machine {VM}", "type": "Virtual Machine", "code": MOVE}]


def test_another_type_does_not_know_the_code(client: Client) -> None:
    with pytest.raises(ProviderFault) as refusal:
        on_resource(client, "Cluster Disk 1", "ExecuteResourceControl", ControlCode=MOVE)
    assert code_of(refusal) == 1


def test_states_are_pending_for_a_while_unless_the_client_waits(lab: Lab, node: Desk, naa: str) -> None:
    make_disk_resource(node, naa)
    lab.estate.timeline.seconds = 60
    on_resource(node.client, DISK, "TakeOffline", TimeOut=0)
    assert resource(node.client, DISK)["State"] == "130"
    assert node.client.get(CLUSTER, "MSCluster_ResourceGroup", Name=TEMPORARY)["State"] == "4"
    lab.estate.timeline.settle(everything=True)
    assert resource(node.client, DISK)["State"] == "3"
    on_resource(node.client, DISK, "BringOnline", TimeOut=0)
    assert resource(node.client, DISK)["State"] == "129"


def test_a_moving_group_takes_no_request(lab: Lab, node: Desk, naa: str) -> None:
    make_disk_resource(node, naa)
    lab.estate.timeline.seconds = 60
    on_group(node.client, VM, "MoveToNewNode", NodeName="hvc1n2")
    assert node.client.get(CLUSTER, "MSCluster_ResourceGroup", Name=VM)["State"] == "4"
    with pytest.raises(ProviderFault) as refusal:
        on_resource(node.client, DISK, "MoveToNewGroup", Group=VM)
    assert code_of(refusal) == 5908


def test_private_properties_are_told_but_declared_by_no_class_and_written_by_no_put(client: Client) -> None:
    assert read_schema(CLASSES / "mscluster.mof")["mscluster_property"].properties == {}
    assert set(resource(client, CONFIGURATION)["PrivateProperties"]) == {"VmID", "VmPhysicalDisks"}
    with pytest.raises(WsmanFault) as refusal:
        client.put(CLUSTER, "MSCluster_Resource", {"Name": "Cluster Disk 1"}, "<v:PrivateProperties/>")
    assert "PrivateProperties" in refusal.value.text


@pytest.mark.parametrize(
    ("name", "buffer", "code"),
    [
        (CONFIGURATION, private(DiskIdType=1), 87),
        ("Cluster Disk Witness", private(VmID="x"), 87),
        ("Cluster Disk Witness", private(DiskIdType=1)[:-1], 87),
        ("Cluster Disk Witness", private(DiskUniqueIds="x"), 5024),
    ],
)
def test_a_property_list_that_does_not_fit_is_refused(client: Client, name: str, buffer: bytes, code: int) -> None:
    with pytest.raises(ProviderFault) as refusal:
        on_resource(client, name, "ExecuteResourceControl", ControlCode=SET_PRIVATE, InputBuffer=list(buffer))
    assert code_of(refusal) == code


def test_a_configuration_keeps_the_vms_pass_through_disks_once_it_is_refreshed(lab: Lab, node: Desk, naa: str) -> None:
    assert resource(node.client, CONFIGURATION)["PrivateProperties"]["VmPhysicalDisks"] is None
    give_disk(node, naa)
    on_resource(node.client, CONFIGURATION, "ExecuteResourceControl", ControlCode=MOVE)
    assert lab.estate.medium(naa).guid in resource(node.client, CONFIGURATION)["PrivateProperties"]["VmPhysicalDisks"]


def test_a_raw_or_partly_visible_disk_is_not_available(lab: Lab, node: Desk, other_node: Desk) -> None:
    naa = lab.map_lun("hv_hvc1")
    node.rescan()
    query = "SELECT * FROM MSCluster_AvailableDisk"
    assert node.client.query(CLUSTER, query) == []
    node.initialize(naa)
    assert node.client.query(CLUSTER, query) == []
    other_node.rescan()
    (row,) = node.client.query(CLUSTER, query)
    assert (row["Id"], row["ConnectedNodes"]) == (node.disk(naa)["Guid"], ["hvc1n1", "hvc1n2"])


def test_an_available_disk_becomes_a_resource_of_available_storage(node: Desk, naa: str) -> None:
    (row,) = node.client.query(CLUSTER, "SELECT * FROM MSCluster_AvailableDisk")
    answer = node.client.invoke(CLUSTER, "MSCluster_AvailableDisk", "AddToCluster", {"Id": row["Id"]}, ResourceName=DISK)
    assert answer == {"Path": f'MSCluster_Resource.Name="{DISK}"'}
    found = resource(node.client, DISK)
    assert (found["OwnerGroup"], found["OwnerNode"]) == ("Available Storage", "hvc1n2")
    assert node.disk(naa)["IsClustered"] == "true"
    assert node.client.query(CLUSTER, "SELECT * FROM MSCluster_AvailableDisk") == []


def test_a_disk_of_available_storage_on_another_node_cannot_be_attached_here(node: Desk, naa: str) -> None:
    drive = node.drive_path(naa)
    (row,) = node.client.query(CLUSTER, "SELECT * FROM MSCluster_AvailableDisk")
    node.client.invoke(CLUSTER, "MSCluster_AvailableDisk", "AddToCluster", {"Id": row["Id"]}, ResourceName=DISK)
    assert node.job(node.attach(VM, drive))["JobState"] == "10"


def test_a_resource_online_on_another_node_does_not_change_its_group(node: Desk, naa: str) -> None:
    (row,) = node.client.query(CLUSTER, "SELECT * FROM MSCluster_AvailableDisk")
    node.client.invoke(CLUSTER, "MSCluster_AvailableDisk", "AddToCluster", {"Id": row["Id"]}, ResourceName=DISK)
    with pytest.raises(ProviderFault) as refusal:
        on_resource(node.client, DISK, "MoveToNewGroup", Group=VM)
    assert code_of(refusal) == 5019
    on_resource(node.client, DISK, "TakeOffline", TimeOut=WAIT)
    on_resource(node.client, DISK, "MoveToNewGroup", Group=VM)
    assert resource(node.client, DISK)["OwnerNode"] == "hvc1n1"


def test_a_resource_that_has_failed_may_be_moved_and_deleted_but_not_stopped_again(lab: Lab, node: Desk, naa: str) -> None:
    """MS-CMRP, protocol version 3: ApiOfflineResource, ApiChangeResourceGroup, ApiDeleteResource."""
    (row,) = node.client.query(CLUSTER, "SELECT * FROM MSCluster_AvailableDisk")
    node.client.invoke(CLUSTER, "MSCluster_AvailableDisk", "AddToCluster", {"Id": row["Id"]}, ResourceName=DISK)
    lab.estate.timeline.settle(everything=True)
    lab.estate.clusters["hvc1"].resources[DISK].state = FAILED
    with pytest.raises(ProviderFault) as refusal:
        on_resource(node.client, DISK, "TakeOffline", TimeOut=WAIT)
    assert (code_of(refusal), resource(node.client, DISK)["State"]) == (5038, "4")
    on_resource(node.client, DISK, "MoveToNewGroup", Group=VM)
    assert resource(node.client, DISK)["OwnerNode"] == "hvc1n1"
    on_resource(node.client, DISK, "DeleteResource", Options=0)
    assert DISK not in lab.estate.clusters["hvc1"].resources


def test_a_resource_on_which_another_depends_is_not_deleted(lab: Lab, node: Desk, naa: str) -> None:
    give_disk(node, naa)
    lab.estate.clusters["hvc1"].resources[DISK].state = OFFLINE
    with pytest.raises(ProviderFault) as refusal:
        on_resource(node.client, DISK, "DeleteResource", Options=0)
    assert code_of(refusal) == 5001


def test_a_resource_that_is_online_depends_on_none_that_is_not(node: Desk, naa: str) -> None:
    make_disk_resource(node, naa)
    on_resource(node.client, DISK, "TakeOffline", TimeOut=WAIT)
    on_resource(node.client, DISK, "MoveToNewGroup", Group=VM)
    with pytest.raises(ProviderFault) as refusal:
        on_resource(node.client, f"Virtual Machine {VM}", "AddDependency", Resource=DISK)
    assert code_of(refusal) == 5019


def test_a_resource_takes_what_depends_on_it_along(node: Desk, naa: str) -> None:
    give_disk(node, naa)
    node.client.invoke(CLUSTER, "MSCluster_ResourceGroup", "CreateGroup", GroupName=TEMPORARY, GroupType=9999)
    on_resource(node.client, DISK, "MoveToNewGroup", Group=TEMPORARY)
    assert resource(node.client, f"Virtual Machine {VM}")["OwnerGroup"] == TEMPORARY


def test_a_dependency_is_told_as_the_reference_has_it(client: Client) -> None:
    """`Antecedent` is the resource and `Dependent` the one to be depended on; GetDependencies says the same without those words."""
    (link,) = (row for row in client.query(CLUSTER, "SELECT * FROM MSCluster_ResourceToDependentResource") if VM in str(row["Antecedent"]))
    assert (f"Virtual Machine {VM}" in str(link["Antecedent"]), CONFIGURATION in str(link["Dependent"])) == (True, True)
    told = client.invoke(CLUSTER, "MSCluster_Resource", "GetDependencies", {"Name": f"Virtual Machine {VM}"})
    assert told["Expression"] == f"([{CONFIGURATION}])"


def test_taking_the_disk_offline_stops_the_vm_that_depends_on_it(lab: Lab, node: Desk, naa: str) -> None:
    give_disk(node, naa)
    on_resource(node.client, DISK, "TakeOffline", TimeOut=WAIT)
    assert next(vm.power for vm in lab.estate.vms.values() if vm.name == VM) == "off"


@pytest.mark.parametrize(
    ("kind", "name", "method", "arguments", "code"),
    [
        ("group", "Cluster Group", "DeleteGroup", {}, 5026),
        ("group", VM, "DeleteGroup", {}, 145),
        ("group", "", "CreateGroup", {"GroupName": VM, "GroupType": 9999}, 5010),
        ("group", VM, "MoveToNewNode", {"NodeName": "nowhere"}, 5042),
        ("resource", "", "CreateResource", {"Group": "nowhere", "ResourceName": "x", "ResourceType": "Physical Disk"}, 5013),
        ("resource", "", "CreateResource", {"Group": VM, "ResourceName": "x", "ResourceType": "Floppy"}, 5078),
        ("resource", "", "CreateResource", {"Group": VM, "ResourceName": CONFIGURATION, "ResourceType": "Physical Disk"}, 5010),
        ("resource", CONFIGURATION, "DeleteResource", {"Options": 0}, 5019),
        ("resource", "Cluster Disk 1", "DeleteResource", {"Options": 0}, 5937),
        ("resource", CONFIGURATION, "AddDependency", {"Resource": f"Virtual Machine {VM}"}, 1059),
        ("resource", CONFIGURATION, "AddDependency", {"Resource": "Cluster Disk 1"}, 87),
        ("resource", f"Virtual Machine {VM}", "AddDependency", {"Resource": CONFIGURATION}, 5003),
        ("resource", CONFIGURATION, "RemoveDependency", {"Resource": "Cluster Disk 1"}, 5002),
        ("resource", CONFIGURATION, "MoveToNewGroup", {"Group": "nowhere"}, 5013),
    ],
)
def test_what_a_cluster_refuses(client: Client, kind: str, name: str, method: str, arguments: dict[str, Any], code: int) -> None:
    class_name = {"group": "MSCluster_ResourceGroup", "resource": "MSCluster_Resource"}[kind]
    with pytest.raises(ProviderFault) as refusal:
        client.invoke(CLUSTER, class_name, method, {"Name": name} if name else None, **arguments)
    assert code_of(refusal) == code


def test_a_disk_resource_without_a_disk_does_not_come_online(client: Client) -> None:
    client.invoke(CLUSTER, "MSCluster_Resource", "CreateResource", Group=VM, ResourceName=DISK, ResourceType="Physical Disk")
    with pytest.raises(ProviderFault, match="names no disk"):
        on_resource(client, DISK, "BringOnline", TimeOut=WAIT)
    assert resource(client, DISK)["State"] == "4"


def test_destroying_a_group_destroys_its_resources(lab: Lab, node: Desk, naa: str) -> None:
    make_disk_resource(node, naa)
    on_group(node.client, TEMPORARY, "DestroyGroup", Options=0)
    assert DISK not in lab.estate.clusters["hvc1"].resources


def test_a_node_that_goes_down_gives_its_vms_away(lab: Lab) -> None:
    lab.estate.set_power(NODE1, up=False)
    client = lab.clients[NODE2]
    states = {row["Name"]: row["State"] for row in client.query(CLUSTER, "SELECT * FROM MSCluster_Node")}
    assert states == {"hvc1n1": "1", "hvc1n2": "0"}
    assert host_of(lab.estate) == NODE2
    with pytest.raises(ProviderFault, match="not available"):
        lab.estate.fail_over(VM, NODE1)


def test_cluster_disks_cannot_be_changed_behind_the_clusters_back(node: Desk, lab: Lab) -> None:
    csv = next(disk for disk in node.client.query(STORAGE, "SELECT * FROM MSFT_Disk WHERE IsClustered = TRUE") if disk["Number"] == "1")
    assert [node.on_disk(csv["UniqueId"], method) for method in ("Online", "Offline")] == ["41018", "41018"]


def test_a_csv_tells_its_state_and_where_it_begins_and_its_owner_what_is_below_it(client: Client, lab: Lab) -> None:
    resource = lab.estate.clusters["hvc1"].resources["Cluster Disk 1"]
    resource.fault_state, resource.backup_state = 5, None
    (shared,) = client.query(CLUSTER, "SELECT * FROM MSCluster_ClusterSharedVolume")
    assert (shared["FaultState"], shared["BackupState"]) == ("5", None)
    (part,) = [row for row in client.query(STORAGE, "SELECT * FROM MSFT_Partition") if shared["VolumeName"] in row.get("AccessPaths", [])]
    assert (part["AccessPaths"], part["Offset"]) == ([f"{shared['Name']}\\", shared["VolumeName"]], shared["VolumeOffset"])
    (volume,) = [row for row in client.query(STORAGE, "SELECT * FROM MSFT_Volume") if row["Path"] == shared["VolumeName"]]
    assert (volume["FileSystem"], volume["FileSystemType"]) == ("CSVFS", str(0x8000))


def test_a_csv_leads_to_its_disk(client: Client) -> None:
    (volume,) = client.query(CLUSTER, "SELECT * FROM MSCluster_ClusterSharedVolume")
    path = volume["Name"].replace("\\", "\\\\")
    query = f'ASSOCIATORS OF {{MSCluster_ClusterSharedVolume.Name="{path}"}} WHERE AssocClass=MSCluster_ClusterSharedVolumeToResource'
    (found,) = client.query(CLUSTER, query)
    query = f'ASSOCIATORS OF {{MSCluster_Resource.Name="{found["Name"]}"}} WHERE AssocClass=MSCluster_ResourceToDisk'
    (disk,) = client.query(CLUSTER, query)
    assert disk["UniqueId"].startswith("600A0980")


def test_four_nodes_own_their_vms(lab: Lab) -> None:
    rows = lab.clients["hvc2n3.lab"].query(CLUSTER, "SELECT Name, OwnerNode FROM MSCluster_ResourceGroup WHERE GroupType = 111")
    owners = {row["Name"]: row["OwnerNode"] for row in rows}
    assert {owners[f"c2app0{number}"] for number in range(1, 5)} == {f"hvc2n{number}" for number in range(1, 5)}


def test_a_reset_brings_back_how_long_changes_take_and_forgets_those_under_way(lab: Lab) -> None:
    happened: list[str] = []
    timeline = lab.estate.timeline
    usual, timeline.seconds = timeline.seconds, 60.0
    timeline.later(lambda: happened.append("too late"))
    lab.estate.reset()
    timeline.settle(everything=True)
    assert (timeline.seconds, happened) == (usual, [])
