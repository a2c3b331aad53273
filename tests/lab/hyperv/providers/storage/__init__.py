# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""root\Microsoft\Windows\Storage: disks, partitions, volumes, initiators, and the rescan."""

from __future__ import annotations

from tests.lab.hyperv.estate import Estate
from tests.lab.hyperv.machines import Machine
from tests.lab.hyperv.mof import Schema
from tests.lab.hyperv.namespaces import Provider
from tests.lab.hyperv.providers.storage.codes import guarded
from tests.lab.hyperv.providers.storage.disks import Disks
from tests.lab.hyperv.providers.storage.initiators import Initiators
from tests.lab.hyperv.providers.storage.objects import Objects
from tests.lab.hyperv.providers.storage.partitions import Partitions
from tests.lab.hyperv.providers.storage.volumes import Volumes


def provider(estate: Estate, machine: Machine, schema: Schema) -> Provider:
    """Return what provides the namespace of the machine."""
    objects = Objects(estate, machine, schema)
    disks, partitions, volumes, initiators = Disks(objects), Partitions(objects), Volumes(objects), Initiators(objects)
    methods = {
        ("MSFT_StorageSetting", "UpdateHostStorageCache"): disks.rescan,
        ("MSFT_Disk", "Initialize"): disks.initialize,
        ("MSFT_Disk", "Clear"): disks.clear,
        ("MSFT_Disk", "CreatePartition"): partitions.create,
        ("MSFT_Disk", "Online"): disks.online,
        ("MSFT_Disk", "Offline"): disks.offline,
        ("MSFT_Disk", "SetAttributes"): disks.set_attributes,
        ("MSFT_Disk", "Refresh"): disks.refresh,
        ("MSFT_Partition", "AddAccessPath"): partitions.add_access_path,
        ("MSFT_Partition", "RemoveAccessPath"): partitions.remove_access_path,
        ("MSFT_Partition", "GetAccessPaths"): partitions.access_paths,
        ("MSFT_Partition", "GetSupportedSize"): partitions.supported_size,
        ("MSFT_Partition", "Resize"): partitions.resize,
        ("MSFT_Partition", "DeleteObject"): partitions.delete,
        ("MSFT_Volume", "Format"): volumes.format,
        ("MSFT_Volume", "SetFileSystemLabel"): volumes.set_label,
        ("MSFT_Volume", "Flush"): lambda call: {},
    }
    return Provider(
        {
            "MSFT_StorageSetting": lambda: [{"NewDiskPolicy": 2}],
            "MSFT_Disk": objects.disks,
            "MSFT_Partition": objects.partitions,
            "MSFT_Volume": objects.volumes,
            "MSFT_DiskToPartition": objects.disk_partitions,
            "MSFT_PartitionToVolume": objects.partition_volumes,
            "MSFT_InitiatorPort": initiators.initiators,
            "MSFT_iSCSITarget": initiators.targets,
            "MSFT_iSCSITargetPortal": initiators.portals,
            "MSFT_iSCSISession": initiators.sessions,
            "MSFT_iSCSIConnection": initiators.connections,
            "MSFT_iSCSISessionToDisk": initiators.session_disks,
            "MSFT_iSCSITargetToiSCSISession": initiators.target_sessions,
        },
        {name: guarded(schema, method) for name, method in methods.items()},
    )
