# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WMI classes that the Hyper-V backend reads and calls beside those of every Windows, with the properties that it uses of each.

From Microsoft's references: Hyper-V WMI provider (V2), Windows Storage Management API, Failover Cluster Provider, Win32, hbapiwmi.h.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.storage_classes import CIMV2, STORAGE
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass

VIRTUALIZATION = "root/virtualization/v2"
CLUSTER = "root/MSCluster"
HBA = "root/WMI"

COMPUTER_SYSTEM = CimClass(
    CIMV2, "Win32_ComputerSystem", ("Name",), {"Name": "string", "DNSHostName": "string", "Domain": "string", "PartOfDomain": "boolean"}
)
OPERATING_SYSTEM = CimClass(CIMV2, "Win32_OperatingSystem", ("Name",), {"Caption": "string", "Version": "string"})
SERVICE = CimClass(CIMV2, "Win32_Service", ("Name",), {"Name": "string", "State": "string", "StartMode": "string"})
PRODUCT = CimClass(CIMV2, "Win32_ComputerSystemProduct", ("IdentifyingNumber", "Name", "Version"), {"UUID": "string"})

COMPUTER = CimClass(
    VIRTUALIZATION,
    "Msvm_ComputerSystem",
    ("CreationClassName", "Name"),
    {"Name": "string", "ElementName": "string", "EnabledState": "uint16"},
)
VM_SETTINGS = CimClass(
    VIRTUALIZATION,
    "Msvm_VirtualSystemSettingData",
    ("InstanceID",),
    {
        "InstanceID": "string",
        "VirtualSystemIdentifier": "string",
        "VirtualSystemType": "string",
        "VirtualSystemSubType": "string",
        "BIOSGUID": "string",
    },
)
"""Its `Parent`, a reference or a path, is read without a declared type."""
RESOURCE = CimClass(
    VIRTUALIZATION,
    "Msvm_ResourceAllocationSettingData",
    ("InstanceID",),
    {
        "InstanceID": "string",
        "ResourceType": "uint16",
        "ResourceSubType": "string",
        "Parent": "string",
        "Address": "string",
        "AddressOnParent": "string",
        "HostResource": "string[]",
    },
)
IMAGE = CimClass(
    VIRTUALIZATION,
    "Msvm_StorageAllocationSettingData",
    ("InstanceID",),
    {"InstanceID": "string", "Parent": "string", "HostResource": "string[]"},
)
DISK_DRIVE = CimClass(
    VIRTUALIZATION,
    "Msvm_DiskDrive",
    ("CreationClassName", "DeviceID", "SystemCreationClassName", "SystemName"),
    {
        "CreationClassName": "string",
        "DeviceID": "string",
        "SystemCreationClassName": "string",
        "SystemName": "string",
        "DriveNumber": "uint32",
    },
)
MANAGEMENT_SERVICE = CimClass(
    VIRTUALIZATION,
    "Msvm_VirtualSystemManagementService",
    ("CreationClassName", "Name", "SystemCreationClassName", "SystemName"),
    {"CreationClassName": "string", "Name": "string", "SystemCreationClassName": "string", "SystemName": "string"},
)
JOB = CimClass(VIRTUALIZATION, "Msvm_ConcreteJob", ("InstanceID",), {"InstanceID": "string", "JobState": "uint16"})
AFFECTED_BY_JOB = "Msvm_AffectedJobElement"
"""The association of a VM with the jobs that change it."""
SHUTDOWN_COMPONENT = CimClass(
    VIRTUALIZATION,
    "Msvm_ShutdownComponent",
    ("CreationClassName", "DeviceID", "SystemCreationClassName", "SystemName"),
    {"SystemName": "string", "OperationalStatus": "uint16[]"},
)

IMAGE_SERVICE = CimClass(
    VIRTUALIZATION,
    "Msvm_ImageManagementService",
    ("CreationClassName", "Name", "SystemCreationClassName", "SystemName"),
    {"CreationClassName": "string", "Name": "string", "SystemCreationClassName": "string", "SystemName": "string"},
)

PARTITION = CimClass(
    STORAGE,
    "MSFT_Partition",
    ("ObjectId",),
    {"DiskNumber": "uint32", "AccessPaths": "string[]", "GptType": "string", "MbrType": "uint16"},
)
VOLUME = CimClass(
    STORAGE, "MSFT_Volume", ("ObjectId",), {"Path": "string", "FileSystem": "string", "FileSystemLabel": "string", "Size": "uint64"}
)
PARTITION_PLACE = CimClass(
    STORAGE, "MSFT_Partition", ("ObjectId",), {"DiskNumber": "uint32", "AccessPaths": "string[]", "Offset": "uint64", "Size": "uint64"}
)
VOLUME_CLUSTER = CimClass(STORAGE, "MSFT_Volume", ("ObjectId",), {"Path": "string", "AllocationUnitSize": "uint32"})
VOLUME_BELOW = CimClass(
    STORAGE, "MSFT_Volume", ("ObjectId",), {"Path": "string", "FileSystemType": "uint16", "AllocationUnitSize": "uint32"}
)
"""Its `FileSystemType` is there since Windows Server 2016."""
DISK_SECTOR = CimClass(STORAGE, "MSFT_Disk", ("ObjectId",), {"Number": "uint32", "LogicalSectorSize": "uint32"})
INITIATOR_PORT = CimClass(
    STORAGE,
    "MSFT_InitiatorPort",
    ("ObjectId",),
    {
        "InstanceName": "string",
        "ConnectionType": "uint16",
        "NodeAddress": "string",
        "PortAddress": "string",
        "OperationalStatus": "uint16[]",
    },
)
ISCSI_PORTAL = CimClass(
    STORAGE,
    "MSFT_iSCSITargetPortal",
    ("TargetPortalAddress", "TargetPortalPortNumber"),
    {"TargetPortalAddress": "string", "TargetPortalPortNumber": "uint16", "InitiatorInstanceName": "string"},
)
ISCSI_SESSION = CimClass(
    STORAGE,
    "MSFT_iSCSISession",
    ("SessionIdentifier",),
    {"SessionIdentifier": "string", "InitiatorNodeAddress": "string", "TargetNodeAddress": "string", "IsConnected": "boolean"},
)
ISCSI_SESSION_TO_DISK = CimClass(
    STORAGE, "MSFT_iSCSISessionToDisk", ("iSCSISession", "Disk"), {"iSCSISession": "reference", "Disk": "reference"}
)

FC_PORT = CimClass(
    HBA,
    "MSFC_FibrePortHBAAttributes",
    ("InstanceName",),
    {
        "InstanceName": "string",
        "Attributes": "object",
        "Attributes.NodeWWN": "uint8[]",
        "Attributes.PortWWN": "uint8[]",
        "Attributes.PortState": "uint32",
        "Attributes.PortSpeed": "uint32",
    },
)
FC_ADAPTER = CimClass(
    HBA,
    "MSFC_FCAdapterHBAAttributes",
    ("InstanceName",),
    {"InstanceName": "string", "Model": "string", "DriverName": "string", "DriverVersion": "string", "FirmwareVersion": "string"},
)

MS_CLUSTER = CimClass(CLUSTER, "MSCluster_Cluster", ("Name",), {"Name": "string", "Fqdn": "string"})
CLUSTER_NODE = CimClass(CLUSTER, "MSCluster_Node", ("Name",), {"Name": "string", "State": "uint32"})
RESOURCE_GROUP = CimClass(
    CLUSTER, "MSCluster_ResourceGroup", ("Name",), {"Name": "string", "GroupType": "uint32", "State": "uint32", "OwnerNode": "string"}
)
CLUSTER_RESOURCE = CimClass(
    CLUSTER,
    "MSCluster_Resource",
    ("Name",),
    {
        "Name": "string",
        "Id": "string",
        "Type": "string",
        "State": "uint32",
        "OwnerGroup": "string",
        "OwnerNode": "string",
        "CoreResource": "boolean",
        "IsClusterSharedVolume": "boolean",
        "PrivateProperties": "object",
        "PrivateProperties.VmID": "string",
        "PrivateProperties.DiskIdType": "uint32",
        "PrivateProperties.DiskIdGuid": "string",
        "PrivateProperties.DiskSignature": "uint32",
    },
)
SHARED_VOLUME_TO_RESOURCE = CimClass(
    CLUSTER,
    "MSCluster_ClusterSharedVolumeToResource",
    ("GroupComponent", "PartComponent"),
    {"GroupComponent": "reference", "PartComponent": "reference"},
)
SHARED_VOLUME = CimClass(
    CLUSTER,
    "MSCluster_ClusterSharedVolume",
    ("Name",),
    {"Name": "string", "VolumeName": "string", "VolumeOffset": "uint64", "FaultState": "uint32", "BackupState": "uint32"},
)
CLUSTER_DISK = CimClass(CLUSTER, "MSCluster_Disk", ("Id",), {"Id": "string", "UniqueId": "string", "UniqueIdFormat": "uint16"})
AVAILABLE_DISK = CimClass(
    CLUSTER, "MSCluster_AvailableDisk", ("Id",), {"Id": "string", "GptGuid": "string", "Signature": "uint32", "Number": "uint32"}
)
RESOURCE_TO_DISK = CimClass(
    CLUSTER,
    "MSCluster_ResourceToDisk",
    ("GroupComponent", "PartComponent"),
    {"GroupComponent": "reference", "PartComponent": "reference"},
)
RESOURCE_DEPENDENCY = CimClass(
    CLUSTER,
    "MSCluster_ResourceToDependentResource",
    ("Antecedent", "Dependent"),
    {"Antecedent": "reference", "Dependent": "reference"},
)
"""`Antecedent` is the resource, `Dependent` the one that it depends on: the opposite of what the words say elsewhere in CIM."""
