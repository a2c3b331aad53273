# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The WMI classes of a Windows machine's disks, whether it is a host or a guest, with the properties that are used of each.

From Microsoft's reference of the Windows Storage Management API.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimClass

CIMV2 = "root/cimv2"
STORAGE = "root/Microsoft/Windows/Storage"

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
STORAGE_SETTING = CimClass(STORAGE, "MSFT_StorageSetting")
