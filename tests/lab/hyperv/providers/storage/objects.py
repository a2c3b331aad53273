# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks, partitions and volumes of one machine: their keys, their properties, and how a method finds the one it is called on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.hyperv.cim import Instance, ObjectPath, Row
from tests.lab.hyperv.estate import Estate
from tests.lab.hyperv.faults import WBEM_E_FAILED, ProviderFault, not_found
from tests.lab.hyperv.machines import COLLISION, POLICY, Disk, Machine
from tests.lab.hyperv.media import GPT, MBR, RAW, Medium, Partition
from tests.lab.hyperv.mof import Schema
from tests.lab.hyperv.namespaces import Call
from tests.lab.hyperv.providers.storage.codes import Code, Failed

STATUS_ONLINE, STATUS_OFFLINE = 53264, 53267
FCPH_NAME = 3
SECTOR = 512
FIXED_DRIVE = 3
CHARGED_PART = 4
CSVFS = "CSVFS"
FILE_SYSTEMS = {"NTFS": 14, "REFS": 15, "CSVFS_NTFS": 0x8000, "CSVFS_REFS": 0x8001}
LETTER = re.compile(r"[A-Za-z]:\\?\Z")


@contextmanager
def array_needed() -> Iterator[None]:
    """Turn an array that does not answer into what WMI says then."""
    try:
        yield
    except OSError as error:
        raise ProviderFault(WBEM_E_FAILED, f"Generic failure: the array does not answer ({error}). ") from error


class Objects:
    """What the machine has, on the estate that all machines share."""

    def __init__(self, estate: Estate, machine: Machine, schema: Schema) -> None:
        self.estate = estate
        self.machine = machine
        self._schema = schema

    def object_id(self, kind: str, name: str) -> str:
        """Return the ``ObjectId`` of an object of the machine."""
        provider_object = f"{{1}}\\\\{self.machine.short}\\root/Microsoft/Windows/Storage/Providers_v2\\WSP_{kind}"
        return f'{provider_object}.ObjectId="{{{self.machine.uuid}}}:{kind[:2].upper()}:{name}"'

    def disk_id(self, disk: Disk) -> str:
        """Return the key of a disk."""
        return self.object_id("Disk", self.device_path(disk))

    def device_path(self, disk: Disk) -> str:
        """Return what the disk's device interface is called, which is another one with MPIO."""
        return f"\\\\?\\{disk.unit.instance}#{{53f56307-b6bf-11d0-94f2-00a0c91efb8b}}"

    def disks(self) -> Iterator[Row]:
        """Yield the disks."""
        for disk in self.machine.disks:
            yield self.disk_row(disk)

    def disk_row(self, disk: Disk) -> Row:
        """Return a disk as this machine sees it."""
        unit, medium = disk.unit, self.estate.medium(disk.key)
        offline = self.estate.is_offline(self.machine, disk)
        clustered = self.estate.clustered(self.machine, disk) is not None
        used = sum(partition.size for partition in medium.partitions)
        return {
            "ObjectId": self.disk_id(disk),
            "UniqueId": unit.unique_id,
            "UniqueIdFormat": FCPH_NAME,
            "AllocatedSize": used,
            "BootFromDisk": disk.boot,
            "BusType": unit.bus,
            "FriendlyName": f"{unit.vendor} {unit.model}" + (" Multi-Path Disk Device" if unit.multipath else ""),
            "Guid": medium.guid or None,
            "HealthStatus": 0,
            "IsBoot": disk.boot,
            "IsClustered": clustered,
            "IsHighlyAvailable": clustered,
            "IsOffline": offline,
            "IsReadOnly": disk.read_only,
            "IsScaleOut": False,
            "IsSystem": disk.boot,
            "LargestFreeExtent": 0 if medium.style == RAW else medium.free_extent(unit.size)[1],
            "Location": f"Integrated : Adapter {unit.adapter} : Port 0 : Target {unit.target} : LUN {unit.lun}",
            "LogicalSectorSize": SECTOR,
            "PhysicalSectorSize": 4096,
            "Manufacturer": unit.vendor,
            "Model": unit.model,
            "Number": disk.number,
            "NumberOfPartitions": len(medium.partitions),
            "OfflineReason": (COLLISION if self.twin(disk) else POLICY) if offline else None,
            "OperationalStatus": [STATUS_OFFLINE if offline else STATUS_ONLINE],
            "PartitionStyle": medium.style,
            "Path": self.device_path(disk),
            "ProvisioningType": 1,
            "SerialNumber": unit.serial or None,
            "Signature": medium.signature or None,
            "Size": unit.size,
        }

    def twin(self, disk: Disk) -> Disk | None:
        """Return the disk that is online with the same identity, which Windows does not let two have at once."""
        medium = self.estate.medium(disk.key)
        others = [other for other in self.machine.disks if other is not disk and not self.estate.is_offline(self.machine, other)]
        found = ((other, self.estate.medium(other.key)) for other in others)
        own = (medium.guid, medium.signature)
        return next((other for other, known in found if any(own) and (known.guid, known.signature) == own), None)

    def partitions(self) -> Iterator[Row]:
        """Yield the partitions."""
        for disk, partition in self.all_partitions():
            yield self.partition_row(disk, partition)

    def all_partitions(self) -> Iterator[tuple[Disk, Partition]]:
        """Yield each partition with its disk."""
        for disk in self.machine.disks:
            yield from ((disk, partition) for partition in self.estate.medium(disk.key).partitions)

    def partition_id(self, disk: Disk, partition: Partition) -> str:
        """Return the key of a partition."""
        return self.object_id("Partition", f"{self.device_path(disk)}:{partition.guid}:{partition.number}")

    def paths(self, partition: Partition) -> list[str]:
        """Return where this machine has mounted the partition."""
        return partition.access.get(self.machine.name, [])

    def letter(self, partition: Partition) -> int:
        """Return the code of the partition's drive letter, or 0."""
        return next((ord(path[0].upper()) for path in self.paths(partition) if LETTER.match(path)), 0)

    def partition_row(self, disk: Disk, partition: Partition) -> Row:
        """Return a partition as this machine sees it."""
        offline = self.estate.is_offline(self.machine, disk)
        style = self.estate.medium(disk.key).style
        paths = [] if offline or partition.is_reserved else [*self.paths(partition), partition.volume_path]
        return {
            "ObjectId": self.partition_id(disk, partition),
            "UniqueId": f"{{{partition.offset:016X}}}{disk.unit.unique_id}",
            "AccessPaths": paths,
            "DiskId": self.device_path(disk),
            "DiskNumber": disk.number,
            "DriveLetter": 0 if offline else self.letter(partition),
            "GptType": partition.gpt_type if style == GPT else None,
            "Guid": partition.guid,
            "IsActive": False,
            "IsBoot": disk.boot,
            "IsDAX": False,
            "IsHidden": False,
            "IsOffline": offline,
            "IsReadOnly": disk.read_only,
            "IsShadowCopy": False,
            "IsSystem": disk.boot,
            "MbrType": partition.mbr_type if style == MBR else None,
            "NoDefaultDriveLetter": partition.is_reserved,
            "Offset": partition.offset,
            "OperationalStatus": 1,
            "PartitionNumber": partition.number,
            "Size": partition.size,
            "TransitionState": 1,
        }

    def volumes(self) -> Iterator[Row]:
        """Yield the volumes."""
        for disk, partition in self.mounted():
            yield self.volume_row(disk, partition)

    def mounted(self) -> Iterator[tuple[Disk, Partition]]:
        """Yield the partitions that this machine has a volume for."""
        for disk, partition in self.all_partitions():
            if not partition.is_reserved and not self.estate.is_offline(self.machine, disk):
                yield disk, partition

    def volume_id(self, partition: Partition) -> str:
        """Return the key of a volume."""
        return self.object_id("Volume", partition.volume_path)

    def volume_row(self, disk: Disk, partition: Partition) -> Row:
        """Return a volume as this machine sees it."""
        size = partition.volume_size if partition.file_system else 0
        kind = f"{CSVFS}_{partition.below}" if partition.file_system == CSVFS else partition.file_system
        return {
            "ObjectId": self.volume_id(partition),
            "UniqueId": partition.volume_path,
            "AllocationUnitSize": partition.unit if partition.file_system else 0,
            "DedupMode": 4,
            "DriveLetter": self.letter(partition) or None,
            "DriveType": FIXED_DRIVE,
            "FileSystem": partition.file_system,
            "FileSystemLabel": partition.label,
            "FileSystemType": FILE_SYSTEMS.get(kind.upper(), 0),
            "HealthStatus": 0,
            "OperationalStatus": [2],
            "Path": partition.volume_path,
            "Size": size,
            "SizeRemaining": size - size // CHARGED_PART,
        }

    def disk_path(self, disk: Disk) -> ObjectPath:
        """Return the object path of a disk."""
        return ObjectPath.of("MSFT_Disk", ObjectId=self.disk_id(disk))

    def disk_partitions(self) -> Iterator[Row]:
        """Yield the links of disks to their partitions."""
        for disk, partition in self.all_partitions():
            path = ObjectPath.of("MSFT_Partition", ObjectId=self.partition_id(disk, partition))
            yield {"Disk": self.disk_path(disk), "Partition": path}

    def partition_volumes(self) -> Iterator[Row]:
        """Yield the links of partitions to their volumes."""
        for disk, partition in self.mounted():
            yield {
                "Partition": ObjectPath.of("MSFT_Partition", ObjectId=self.partition_id(disk, partition)),
                "Volume": ObjectPath.of("MSFT_Volume", ObjectId=self.volume_id(partition)),
            }

    def disk(self, call: Call) -> Disk:
        """Return the disk that a method is called on; raises ProviderFault when it is gone."""
        found = next((disk for disk in self.machine.disks if self.disk_id(disk) == call.key("ObjectId")), None)
        if found is None:
            raise not_found(call.key("ObjectId"))
        return found

    def partition(self, call: Call) -> tuple[Disk, Partition]:
        """Return the partition that a method is called on, with its disk; raises ProviderFault when it is gone."""
        wanted = call.key("ObjectId")
        found = next(((disk, part) for disk, part in self.all_partitions() if self.partition_id(disk, part) == wanted), None)
        if found is None:
            raise not_found(wanted)
        return found

    def volume(self, call: Call) -> tuple[Disk, Partition]:
        """Return the volume that a method is called on, as disk and partition; raises ProviderFault when it is gone."""
        wanted = call.key("ObjectId")
        found = next(((disk, partition) for disk, partition in self.mounted() if self.volume_id(partition) == wanted), None)
        if found is None:
            raise not_found(wanted)
        return found

    def writable(self, disk: Disk) -> Medium:
        """Return what lies on the disk; raises Failed when nothing can be written to it."""
        if self.estate.is_offline(self.machine, disk):
            raise Failed(Code.OFFLINE)
        if disk.read_only:
            raise Failed(Code.READ_ONLY)
        return self.estate.medium(disk.key)

    def wrote(self, disk: Disk, size: int) -> None:
        """Let the array know of a write; raises ProviderFault when it does not answer."""
        with array_needed():
            self.estate.wrote(disk, size)

    def instance(self, name: str, row: Row) -> Instance:
        """Return a row as an instance of the class."""
        return Instance(self._schema[name.lower()], row)
