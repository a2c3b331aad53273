# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kinds of resources, and the numbers that the classes speak in."""

from __future__ import annotations

from tests.lab.hyperv.cim import Row

TYPE_IDE, TYPE_SCSI, TYPE_DVD, TYPE_DISK, TYPE_VHD = 5, 6, 16, 17, 31
SUBTYPE_IDE = "Microsoft:Hyper-V:Emulated IDE Controller"
SUBTYPE_SCSI = "Microsoft:Hyper-V:Synthetic SCSI Controller"
SUBTYPE_DVD = "Microsoft:Hyper-V:Synthetic DVD Drive"
SUBTYPE_DRIVE = "Microsoft:Hyper-V:Synthetic Disk Drive"
SUBTYPE_RAW = "Microsoft:Hyper-V:Physical Disk Drive"
SUBTYPE_VHD = "Microsoft:Hyper-V:Virtual Hard Disk"
DEFINITIONS = ("Default", "Minimum", "Maximum", "Increment")
DEFINED = {SUBTYPE_SCSI: TYPE_SCSI, SUBTYPE_DRIVE: TYPE_DISK, SUBTYPE_RAW: TYPE_DISK, SUBTYPE_DVD: TYPE_DVD}
DONE, JOB_STARTED, FAILED, NOT_SUPPORTED, INVALID_PARAMETER, INVALID_STATE = 0, 4096, 32768, 32770, 32773, 32775
"""Return values of the services."""
STATE_ON = 2
POWER = {STATE_ON: "on", 3: "off", 6: "saved", 9: "paused"}
"""EnabledState of a VM, and what RequestStateChange takes."""
STATUS_OK, STATUS_NO_CONTACT = 2, 12


def resource(instance_id: str, kind: int, subtype: str) -> Row:
    """Return the settings that every resource has."""
    return {
        "InstanceID": instance_id,
        "Caption": subtype.rpartition(":")[2],
        "Description": f"Settings for the Microsoft {subtype.rpartition(':')[2]}.",
        "ResourceType": kind,
        "ResourceSubType": subtype,
        "PoolID": "",
        "ConsumerVisibility": 3,
        "AutomaticAllocation": True,
        "AutomaticDeallocation": True,
        "AllocationUnits": "count",
        "Limit": 1,
        "Reservation": 1,
        "VirtualQuantity": 1,
        "VirtualQuantityUnits": "count",
        "Weight": 0,
    }


def definition(subtype: str, kind: int, which: str) -> Row:
    """Return the settings that a new resource of the kind is made from."""
    pool = {SUBTYPE_SCSI: "0A6E2A4D", SUBTYPE_DRIVE: "87B9C0D1", SUBTYPE_RAW: "3C1D2E5F", SUBTYPE_DVD: "9A8B7C6D"}[subtype]
    return {**resource(f"Microsoft:Definition\\{pool}-310C-4CF4-839E-4E1B14616136\\{which}", kind, subtype), "ElementName": subtype}
