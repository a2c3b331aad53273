# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WMI classes that the Hyper-V backend reads and calls, with the properties that it uses of each.

From Microsoft's references: Hyper-V WMI provider (V2), Windows Storage Management API, Failover Cluster Provider, Win32, hbapiwmi.h.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils.wire.cim_types import CimClass

CIMV2 = "root/cimv2"
VIRTUALIZATION = "root/virtualization/v2"
STORAGE = "root/Microsoft/Windows/Storage"
CLUSTER = "root/MSCluster"
HBA = "root/WMI"

COMPUTER_SYSTEM = CimClass(
    CIMV2, "Win32_ComputerSystem", ("Name",), {"Name": "string", "DNSHostName": "string", "Domain": "string", "PartOfDomain": "boolean"}
)
OPERATING_SYSTEM = CimClass(CIMV2, "Win32_OperatingSystem", ("Name",), {"Caption": "string", "Version": "string"})
PRODUCT = CimClass(CIMV2, "Win32_ComputerSystemProduct", ("IdentifyingNumber", "Name", "Version"), {"UUID": "string"})

DISK = CimClass(
    STORAGE,
    "MSFT_Disk",
    ("ObjectId",),
    {
        "ObjectId": "string",
        "Number": "uint32",
        "UniqueId": "string",
        "UniqueIdFormat": "uint16",
        "Size": "uint64",
        "IsOffline": "boolean",
        "IsReadOnly": "boolean",
        "IsClustered": "boolean",
        "IsBoot": "boolean",
        "IsSystem": "boolean",
        "OperationalStatus": "uint16[]",
        "PartitionStyle": "uint16",
        "Guid": "string",
        "Signature": "uint32",
        "BusType": "uint16",
        "Path": "string",
        "Manufacturer": "string",
        "Model": "string",
        "FriendlyName": "string",
    },
)

MS_CLUSTER = CimClass(CLUSTER, "MSCluster_Cluster", ("Name",), {"Name": "string", "Fqdn": "string"})
CLUSTER_NODE = CimClass(CLUSTER, "MSCluster_Node", ("Name",), {"Name": "string", "State": "uint32"})
