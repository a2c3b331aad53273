# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WMI classes that a Windows guest is asked for beside those of a host, with the properties that are used of each.

From Microsoft's references: Windows Storage Management API, Win32 and the WMI registry provider.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.storage_classes import CIMV2, STORAGE
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass

PARTITION = CimClass(
    STORAGE,
    "MSFT_Partition",
    ("ObjectId",),
    {
        "ObjectId": "string",
        "DiskNumber": "uint32",
        "PartitionNumber": "uint32",
        "Offset": "uint64",
        "Size": "uint64",
        "GptType": "string",
        "AccessPaths": "string[]",
    },
)
VOLUME = CimClass(
    STORAGE,
    "MSFT_Volume",
    ("ObjectId",),
    {
        "ObjectId": "string",
        "Path": "string",
        "DriveLetter": "char16",
        "FileSystem": "string",
        "FileSystemLabel": "string",
        "AllocationUnitSize": "uint32",
        "Size": "uint64",
    },
)

DISK_DRIVE = CimClass(
    CIMV2,
    "Win32_DiskDrive",
    ("DeviceID",),
    {
        "DeviceID": "string",
        "PNPDeviceID": "string",
        "SCSIBus": "uint32",
        "SCSITargetId": "uint16",
        "SCSILogicalUnit": "uint16",
        "SerialNumber": "string",
    },
)
DIRECTORY = CimClass(CIMV2, "Win32_Directory", ("Name",), {"Name": "string"})
DATA_FILE = CimClass(CIMV2, "CIM_DataFile", ("Name",), {"Name": "string"})
PROCESS = CimClass(CIMV2, "Win32_Process", ("Handle",))
SERVICE = CimClass(CIMV2, "Win32_Service", ("Name",), {"Name": "string", "State": "string"})
COMPUTER = CimClass(
    CIMV2,
    "Win32_ComputerSystem",
    ("Name",),
    {"Name": "string", "Manufacturer": "string", "Model": "string", "HypervisorPresent": "boolean"},
)
PRODUCT = CimClass(
    CIMV2,
    "Win32_ComputerSystemProduct",
    ("IdentifyingNumber", "Name", "Version"),
    {"IdentifyingNumber": "string", "Version": "string", "UUID": "string"},
)
REGISTRY = CimClass(CIMV2, "StdRegProv")
