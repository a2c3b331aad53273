# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""root\MSCluster on a node: the whole cluster, whichever node is asked. Nearly all its methods return nothing and refuse by a fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.lab.hyperv import clusters, property_list
from tests.lab.hyperv.cim import Instance, ObjectPath, Row, Value
from tests.lab.hyperv.clusters import FAILED, Cluster, Group, Resource
from tests.lab.hyperv.estate import Estate
from tests.lab.hyperv.faults import not_found, win32
from tests.lab.hyperv.machines import Disk, Machine
from tests.lab.hyperv.media import GPT, RAW, Partition
from tests.lab.hyperv.mof import Element, Schema
from tests.lab.hyperv.namespaces import Call, Provider

NODE_UP, NODE_DOWN = 0, 1
PHYSICAL_DISK_CLASS = 1
WRITABLE_PRIVATE = frozenset({"DiskIdGuid", "DiskSignature", "DiskIdType", "DiskUniqueIds"})
FCPH_NAME = 3
NO_VALUES: Mapping[str, Value] = {}


def provider(estate: Estate, machine: Machine, schema: Schema) -> Provider:
    """Return what provides the namespace of the node."""
    part = _Part(estate, machine, schema)
    methods = _Methods(estate, machine)
    group, resource, disk = "MSCluster_ResourceGroup", "MSCluster_Resource", "MSCluster_AvailableDisk"
    return Provider(
        {
            "MSCluster_Cluster": part.cluster,
            "MSCluster_Node": part.nodes,
            "MSCluster_ResourceGroup": part.groups,
            "MSCluster_Resource": part.resources,
            "MSCluster_ResourceType": lambda: [{"Name": name, "DisplayName": name} for name in clusters.TYPES],
            "MSCluster_Disk": part.disks,
            "MSCluster_AvailableDisk": part.available_disks,
            "MSCluster_DiskPartition": part.partitions,
            "MSCluster_ClusterSharedVolume": part.shared_volumes,
            "MSCluster_ResourceGroupToResource": part.group_resources,
            "MSCluster_ResourceToDisk": part.resource_disks,
            "MSCluster_DiskToDiskPartition": part.disk_partitions,
            "MSCluster_NodeToActiveGroup": part.node_groups,
            "MSCluster_NodeToActiveResource": part.node_resources,
            "MSCluster_ResourceToPossibleOwner": part.possible_owners,
            "MSCluster_ClusterSharedVolumeToResource": part.shared_volume_resources,
            "MSCluster_ClusterToNode": part.cluster_nodes,
            "MSCluster_ResourceToDependentResource": part.dependencies,
        },
        {
            (group, "CreateGroup"): methods.create_group,
            (group, "DeleteGroup"): methods.delete_group,
            (group, "DestroyGroup"): methods.destroy_group,
            (group, "BringOnline"): methods.bring_group_online,
            (group, "TakeOffline"): methods.take_group_offline,
            (group, "MoveToNewNode"): methods.move_group,
            (resource, "CreateResource"): methods.create_resource,
            (resource, "DeleteResource"): methods.delete_resource,
            (resource, "MoveToNewGroup"): methods.move_resource,
            (resource, "AddDependency"): methods.add_dependency,
            (resource, "RemoveDependency"): methods.remove_dependency,
            (resource, "GetDependencies"): methods.dependencies,
            (resource, "BringOnline"): methods.bring_online,
            (resource, "TakeOffline"): methods.take_offline,
            (resource, "GetPossibleOwners"): methods.possible_owners,
            (resource, "UpdateVirtualMachine"): methods.update_virtual_machine,
            (resource, "ExecuteResourceControl"): methods.control,
            (disk, "AddToCluster"): methods.add_disk,
            (disk, "CreateStorageResource"): methods.add_disk,
        },
    )


def short(node: str) -> str:
    """Return the name under which the cluster knows a node."""
    return node.partition(".")[0]


class _Shared:
    def __init__(self, estate: Estate, machine: Machine) -> None:
        self._estate = estate
        self._machine = machine

    @property
    def _cluster(self) -> Cluster:
        return self._estate.cluster_of(self._machine)

    def _holder(self, resource: Resource) -> tuple[Machine, Disk] | None:
        """Return a disk of the resource, that of the owner if it has one."""
        cluster = self._cluster
        for name in sorted(cluster.nodes, key=lambda node: node != cluster.owner(resource)):
            node = self._estate.machines[name]
            for disk in node.disks:
                if self._estate.disk_resource(cluster, disk.key) is resource:
                    return node, disk
        return None

    def _available(self) -> Iterator[tuple[Machine, Disk, list[str]]]:
        """Yield the initialised shared disks that are not in the cluster, with the nodes that see them: all that are up."""
        cluster = self._cluster
        up = [node for node in cluster.nodes if self._estate.machines[node].takes_part]
        for disk in self._machine.disks if cluster.offers_disks else ():
            seen = [node for node in up if self._estate.machines[node].disks_of(disk.key)]
            medium = self._estate.medium(disk.key)
            if not disk.boot and medium.style != RAW and seen == up and self._estate.disk_resource(cluster, disk.key) is None:
                yield self._machine, disk, seen

    def _identifier(self, disk: Disk) -> str:
        medium = self._estate.medium(disk.key)
        return medium.guid if medium.style == GPT else str(medium.signature)


def _group_path(name: str) -> ObjectPath:
    return ObjectPath.of("MSCluster_ResourceGroup", Name=name)


def _resource_path(name: str) -> ObjectPath:
    return ObjectPath.of("MSCluster_Resource", Name=name)


def _node_path(name: str) -> ObjectPath:
    return ObjectPath.of("MSCluster_Node", Name=short(name))


class _Part(_Shared):
    """The instances."""

    def __init__(self, estate: Estate, machine: Machine, schema: Schema) -> None:
        super().__init__(estate, machine)
        self._schema = schema

    def cluster(self) -> Iterator[Row]:
        name = self._cluster.name
        yield {
            "Name": name,
            "Caption": name,
            "CreationClassName": "MSCluster_Cluster",
            "Fqdn": f"{name}.lab",
            "QuorumType": "Majority",
            "QuorumPath": "Cluster Disk Witness",
            "SharedVolumesRoot": "C:\\ClusterStorage",
            "EnableSharedVolumes": 1,
            "ClusterFunctionalLevel": 11,
            "S2DEnabled": 0,
        }

    def nodes(self) -> Iterator[Row]:
        for number, name in enumerate(self._cluster.nodes, start=1):
            up = self._estate.machines[name].takes_part
            yield {
                "Name": short(name),
                "Caption": short(name),
                "CreationClassName": "MSCluster_Node",
                "Id": str(number),
                "MajorVersion": 10,
                "MinorVersion": 0,
                "BuildNumber": 20348,
                "NodeWeight": 1,
                "DynamicWeight": int(up),
                "NodeDrainStatus": 0,
                "State": NODE_UP if up else NODE_DOWN,
                "StatusInformation": 0,
            }

    def groups(self) -> Iterator[Row]:
        for group in self._cluster.groups.values():
            yield {
                "Name": group.name,
                "Caption": group.name,
                "Id": group.id,
                "GroupType": group.kind,
                "State": self._cluster.group_state(group),
                "OwnerNode": short(group.owner),
                "IsCore": group.core,
                "PersistentState": group.online,
                "Priority": 2000,
                "DefaultOwner": 0xFFFFFFFF,
                "FailoverPeriod": 6,
                "FailoverThreshold": 0xFFFFFFFF,
                "StatusInformation": 0,
                "Flags": 0,
                "Characteristics": 0,
            }

    def resources(self) -> Iterator[Row]:
        for resource in self._cluster.resources.values():
            disk = resource.type == clusters.PHYSICAL_DISK
            yield {
                "Name": resource.name,
                "Caption": resource.name,
                "Id": resource.id,
                "Type": resource.type,
                "State": resource.state,
                "OwnerGroup": resource.group,
                "OwnerNode": short(self._cluster.owner(resource)),
                "PrivateProperties": self._private(resource),
                "CoreResource": resource.core,
                "IsClusterSharedVolume": bool(resource.shared_volume),
                "QuorumCapable": disk,
                "PersistentState": resource.state in (clusters.ONLINE, clusters.ONLINE_PENDING),
                "PendingTimeout": 180000,
                "ResourceClass": PHYSICAL_DISK_CLASS if disk else 0,
                "SeparateMonitor": False,
                "StatusInformation": 0,
                "Flags": 0,
                "Characteristics": 1 if disk else 0,
            }

    def _private(self, resource: Resource) -> Instance:
        """Return the private properties, as an instance of a class that has exactly these."""
        values = {**resource.private, **self._kept(resource)}
        elements = {name: Element(name, "uint32" if isinstance(value, int) else "string") for name, value in values.items()}
        return Instance(replace(self._schema["mscluster_property"], properties=elements), values)

    def _kept(self, resource: Resource) -> Mapping[str, Value]:
        """Return what a configuration keeps of its VM's pass-through disks: by what their partition tables say, in the lab."""
        vm = self._estate.vm_of(resource) if resource.type == clusters.VM_CONFIGURATION else None
        if vm is None:
            return {}
        media = (self._estate.medium(naa) for naa in sorted(vm.cluster_knows))
        return {"VmPhysicalDisks": ";".join(medium.guid or str(medium.signature) for medium in media) or None}

    def disks(self) -> Iterator[Row]:
        for resource in self._disk_resources():
            if holder := self._holder(resource):
                unit = holder[1].unit
                yield {**self._disk_row(holder[1]), "UniqueId": unit.unique_id, "UniqueIdFormat": FCPH_NAME}

    def _disk_resources(self) -> Iterator[Resource]:
        return (resource for resource in list(self._cluster.resources.values()) if resource.type == clusters.PHYSICAL_DISK)

    def _disk_row(self, disk: Disk) -> Row:
        medium = self._estate.medium(disk.key)
        return {
            "Id": self._identifier(disk),
            "Name": f"\\\\.\\PHYSICALDRIVE{disk.number}",
            "GptGuid": medium.guid or None,
            "Signature": medium.signature or None,
            "Number": disk.number,
            "ScsiBus": 0,
            "ScsiPort": disk.unit.adapter + 2,
            "ScsiTargetId": disk.unit.target,
            "ScsiLun": disk.unit.lun,
            "Size": disk.unit.size,
            "Status": "OK",
        }

    def available_disks(self) -> Iterator[Row]:
        for node, disk, seen in self._available():
            yield {
                **self._disk_row(disk),
                "Node": short(node.name),
                "ConnectedNodes": [short(name) for name in seen],
                "ResourceName": f"Cluster Disk {disk.number}",
            }

    def _partitions(self) -> Iterator[tuple[Resource, Disk, Partition]]:
        for resource in self._disk_resources():
            if holder := self._holder(resource):
                for partition in self._estate.medium(holder[1].key).volumes():
                    yield resource, holder[1], partition

    def partitions(self) -> Iterator[Row]:
        for resource, _second, partition in self._partitions():
            yield {
                "Path": resource.shared_volume or partition.volume_path.rstrip("\\"),
                "Name": resource.shared_volume or partition.volume_path.rstrip("\\"),
                "FileSystem": partition.file_system,
                "VolumeLabel": partition.label,
                "VolumeGuid": partition.volume_guid.strip("{}"),
                "PartitionNumber": partition.number,
                "TotalSize": partition.volume_size // 1024**2,
                "FreeSpace": partition.volume_size // 4 // 1024**2,
                "MountPoints": [],
            }

    def shared_volumes(self) -> Iterator[Row]:
        for resource, _second, partition in self._partitions():
            if resource.shared_volume:
                yield {
                    "Name": resource.shared_volume,
                    "VolumeName": partition.volume_path,
                    "FaultState": resource.fault_state,
                    "BackupState": resource.backup_state,
                    "VolumeOffset": partition.offset,
                }

    def group_resources(self) -> Iterator[Row]:
        for resource in self._cluster.resources.values():
            yield {"GroupComponent": _group_path(resource.group), "PartComponent": _resource_path(resource.name)}

    def resource_disks(self) -> Iterator[Row]:
        for resource in self._disk_resources():
            if holder := self._holder(resource):
                disk = ObjectPath.of("MSCluster_Disk", Id=self._identifier(holder[1]))
                yield {"GroupComponent": _resource_path(resource.name), "PartComponent": disk}

    def disk_partitions(self) -> Iterator[Row]:
        for resource, disk, partition in self._partitions():
            path = resource.shared_volume or partition.volume_path.rstrip("\\")
            yield {
                "GroupComponent": ObjectPath.of("MSCluster_Disk", Id=self._identifier(disk)),
                "PartComponent": ObjectPath.of("MSCluster_DiskPartition", Path=path),
            }

    def node_groups(self) -> Iterator[Row]:
        for group in self._cluster.groups.values():
            yield {"GroupComponent": _node_path(group.owner), "PartComponent": _group_path(group.name)}

    def node_resources(self) -> Iterator[Row]:
        for resource in self._cluster.resources.values():
            yield {"GroupComponent": _node_path(self._cluster.owner(resource)), "PartComponent": _resource_path(resource.name)}

    def possible_owners(self) -> Iterator[Row]:
        for resource in self._cluster.resources.values():
            for node in self._cluster.nodes:
                yield {"GroupComponent": _resource_path(resource.name), "PartComponent": _node_path(node)}

    def shared_volume_resources(self) -> Iterator[Row]:
        for resource in self._disk_resources():
            if resource.shared_volume:
                volume = ObjectPath.of("MSCluster_ClusterSharedVolume", Name=resource.shared_volume)
                yield {"GroupComponent": volume, "PartComponent": _resource_path(resource.name)}

    def cluster_nodes(self) -> Iterator[Row]:
        for node in self._cluster.nodes:
            yield {"Antecedent": _node_path(node), "Dependent": ObjectPath.of("MSCluster_Cluster", Name=self._cluster.name)}

    def dependencies(self) -> Iterator[Row]:
        """Yield each dependency as the reference has it: `Antecedent` is the resource, `Dependent` the one to be depended on."""
        for resource in self._cluster.resources.values():
            for name in resource.needs:
                yield {"Antecedent": _resource_path(resource.name), "Dependent": _resource_path(name)}


class _Methods(_Shared):
    """The methods."""

    def _group(self, call: Call) -> Group:
        return self._cluster.group(call.key("Name"))

    def _resource(self, call: Call) -> Resource:
        return self._cluster.resource(call.key("Name"))

    def _node(self, name: str) -> str:
        found = next((node for node in self._cluster.nodes if name.lower() in (node.lower(), short(node).lower())), None)
        if found is None:
            raise win32(5042, f"The cluster node '{name}' was not found. ")
        return found

    def create_group(self, call: Call) -> Mapping[str, Value]:
        kind = call.number("GroupType", clusters.TYPE_UNKNOWN)
        self._cluster.create_group(call.text("GroupName"), kind, self._machine.name)
        return NO_VALUES

    def delete_group(self, call: Call) -> Mapping[str, Value]:
        self._cluster.delete_group(self._group(call))
        return NO_VALUES

    def destroy_group(self, call: Call) -> Mapping[str, Value]:
        self._cluster.destroy_group(self._group(call))
        return NO_VALUES

    def bring_group_online(self, call: Call) -> Mapping[str, Value]:
        group = self._group(call)
        for resource in self._cluster.members(group):
            self._cluster.bring_online(resource, call.number("TimeOut") > 0)
        group.online = True
        return NO_VALUES

    def take_group_offline(self, call: Call) -> Mapping[str, Value]:
        group = self._group(call)
        for resource in self._cluster.members(group):
            if resource.state != FAILED:
                self._cluster.take_offline(resource, call.number("TimeOut") > 0)
        group.online = False
        return NO_VALUES

    def move_group(self, call: Call) -> Mapping[str, Value]:
        cluster, group = self._cluster, self._group(call)
        others = [node for node in cluster.nodes if node != group.owner and self._estate.machines[node].takes_part]
        node = self._node(call.text("NodeName")) if call.text("NodeName") else next(iter(others), group.owner)
        cluster.move_group(group, node, lambda target: self._estate.why_not_on(cluster, group, target))
        if call.number("TimeOut") > 0:
            self._estate.timeline.settle(everything=True)
        return NO_VALUES

    def create_resource(self, call: Call) -> Mapping[str, Value]:
        cluster = self._cluster
        cluster.create_resource(call.text("ResourceName"), call.text("ResourceType"), cluster.group(call.text("Group")))
        return NO_VALUES

    def delete_resource(self, call: Call) -> Mapping[str, Value]:
        self._cluster.delete_resource(self._resource(call))
        return NO_VALUES

    def move_resource(self, call: Call) -> Mapping[str, Value]:
        self._cluster.move_resource(self._resource(call), self._cluster.group(call.text("Group")))
        return NO_VALUES

    def add_dependency(self, call: Call) -> Mapping[str, Value]:
        self._cluster.add_dependency(self._resource(call), self._cluster.resource(call.text("Resource")))
        return NO_VALUES

    def remove_dependency(self, call: Call) -> Mapping[str, Value]:
        self._cluster.remove_dependency(self._resource(call), self._cluster.resource(call.text("Resource")))
        return NO_VALUES

    def dependencies(self, call: Call) -> Mapping[str, Value]:
        needs = [self._cluster.resource(name) for name in self._resource(call).needs]
        return {"Expression": " and ".join(f"([{need.name}])" for need in needs)}

    def bring_online(self, call: Call) -> Mapping[str, Value]:
        self._cluster.bring_online(self._resource(call), call.number("TimeOut") > 0)
        return NO_VALUES

    def take_offline(self, call: Call) -> Mapping[str, Value]:
        self._cluster.take_offline(self._resource(call), call.number("TimeOut") > 0)
        return NO_VALUES

    def possible_owners(self, call: Call) -> Mapping[str, Value]:
        self._resource(call)
        return {"NodeNames": [short(node) for node in self._cluster.nodes]}

    def _set_private(self, resource: Resource, call: Call) -> None:
        """Write private properties of a disk resource, which is one way in which it gets its disk."""
        try:
            given = property_list.parse(bytes(int(str(value)) for value in call.list("InputBuffer")))
        except ValueError as error:
            raise win32(87, f"The parameter is incorrect: {error}. ") from error
        if resource.type != clusters.PHYSICAL_DISK or set(given) - WRITABLE_PRIVATE:
            raise win32(87, f"The parameter is incorrect: {', '.join(sorted(given))} of '{resource.name}'. ")
        wanted = Resource(resource.name, resource.type, resource.group, private={**resource.private, **given})
        if "DiskIdType" in wanted.private and self._claimed(resource, wanted):
            raise win32(5010, "The object already exists: another resource has this disk. ")
        resource.private = wanted.private
        if resource.state == clusters.ONLINE:
            raise win32(5024, f"The properties were stored, but '{resource.name}' is online and takes them over later. ")

    def _claimed(self, resource: Resource, wanted: Resource) -> bool:
        same = [
            other
            for other in self._cluster.resources.values()
            if other is not resource and other.type == clusters.PHYSICAL_DISK and other.private.get("DiskIdType") is not None
        ]
        keys = ("DiskIdType", "DiskIdGuid", "DiskSignature")
        return any(
            [str(other.private.get(key)).lower() for key in keys] == [str(wanted.private.get(key)).lower() for key in keys]
            for other in same
        )

    def add_disk(self, call: Call) -> Mapping[str, Value]:
        """Make the disk a resource in Available Storage and bring it online."""
        wanted = call.key("Id")
        disk = next((disk for _first, disk, _third in self._available() if self._identifier(disk) == wanted), None)
        if disk is None:
            raise not_found(wanted)
        cluster, medium = self._cluster, self._estate.medium(disk.key)
        name = call.text("ResourceName") or f"Cluster Disk {disk.number}"
        resource = cluster.create_resource(name, clusters.PHYSICAL_DISK, cluster.group(clusters.AVAILABLE_STORAGE))
        if medium.style == GPT:
            resource.private = {"DiskIdType": clusters.DISK_BY_GUID, "DiskIdGuid": medium.guid}
        else:
            resource.private = {"DiskIdType": clusters.DISK_BY_SIGNATURE, "DiskSignature": medium.signature}
        cluster.bring_online(resource, wait=False)
        return {"Path": str(_resource_path(name))}

    def update_virtual_machine(self, call: Call) -> Mapping[str, Value]:
        resource = self._resource(call)
        if resource.type != clusters.VM_CONFIGURATION:
            raise win32(1, f"Incorrect function: '{resource.name}' is no virtual machine configuration. ")
        self._refresh(resource)
        return NO_VALUES

    def control(self, call: Call) -> Mapping[str, Value]:
        """Send a control code to a resource. One of the two that the lab knows does very different things to two types."""
        resource, code = self._resource(call), call.number("ControlCode")
        self._cluster.controls.append({"cluster": self._cluster.name, "resource": resource.name, "type": resource.type, "code": code})
        if code == clusters.UPDATE_CONFIGURATION and resource.type == clusters.VM_CONFIGURATION:
            self._refresh(resource)
        elif code == clusters.UPDATE_CONFIGURATION and resource.type == clusters.VIRTUAL_MACHINE:
            self._migrate(resource, call)
        elif code == clusters.SET_PRIVATE_PROPERTIES:
            self._set_private(resource, call)
        else:
            raise win32(1, f"Incorrect function: resource '{resource.name}' of type '{resource.type}' does not know code {code}. ")
        return {"OutputBuffer": [], "OutputBufferSize": 0}

    def _refresh(self, resource: Resource) -> None:
        """Take over the VM's disks into the cluster's copy of its configuration; each must be a disk of the cluster."""
        vm = self._estate.vm_of(resource)
        if vm is None:
            raise win32(1168, f"Element not found: the virtual machine of '{resource.name}'. ")
        if self._cluster.groups[resource.group].moving:
            raise win32(5908, f"The group '{resource.group}' is unable to accept the request since it is moving to another node. ")
        for naa in sorted(vm.raw_disks):
            if self._estate.disk_resource(self._cluster, naa) is None:
                raise win32(1168, f"Element not found: pass-through disk {naa.upper()} of '{vm.name}' is no disk of the cluster. ")
        vm.cluster_knows = vm.raw_disks

    def _migrate(self, resource: Resource, call: Call) -> None:
        cluster, group = self._cluster, self._cluster.groups[resource.group]
        name = bytes(int(str(value)) for value in call.list("InputBuffer")).decode("utf-16-le", "replace").rstrip("\0")
        others = [node for node in cluster.nodes if node != group.owner and self._estate.machines[node].takes_part]
        node = self._node(name) if name else next(iter(others), group.owner)
        cluster.move_group(group, node, lambda target: self._estate.why_not_on(cluster, group, target))
        vm = self._estate.vm_of(resource)
        if vm:
            vm.migrations += 1
