# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""root\Microsoft\Windows\Storage: disks, partitions, volumes, initiators, and the rescan.

Return values are those of the Windows Storage Management API documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum

from tests.lab.hyperv.cim import Instance, ObjectPath, Row, Value
from tests.lab.hyperv.estate import Estate
from tests.lab.hyperv.faults import ProviderFault, not_found
from tests.lab.hyperv.machines import POLICY, Disk, Machine
from tests.lab.hyperv.media import BASIC_TYPE, DEFAULT_UNIT, GPT, MBR, RAW, Medium, Partition
from tests.lab.hyperv.mof import Schema
from tests.lab.hyperv.namespaces import Call, Provider

STATUS_ONLINE, STATUS_OFFLINE = 53264, 53267
FCPH_NAME = 3
SECTOR = 512
FIXED_DRIVE = 3
CHARGED_PART = 4
FILE_SYSTEMS = {"NTFS": 14, "REFS": 15, "CSVFS": 0x8000}
FORMATS = {"NTFS": "NTFS", "REFS": "ReFS"}
UNITS = {"NTFS": {2**power for power in range(9, 22)}, "REFS": {4096, 65536}}
LAST_LETTER = "Z"
_MOUNT = re.compile(r"[A-Za-z]:\\[^<>:\"/|?*]+")
_LETTER = re.compile(r"[A-Za-z]:\\?\Z")


class Code(IntEnum):
    """What the methods return."""

    SUCCESS = 0
    NOT_SUPPORTED = 1
    INVALID_PARAMETER = 5
    SIZE_NOT_SUPPORTED = 4097
    NO_SPACE = 40000
    ACCESS_DENIED = 40001
    NOT_INITIALIZED = 41000
    INITIALIZED = 41001
    READ_ONLY = 41002
    OFFLINE = 41003
    PATH_IN_USE = 42002
    PATH_INVALID = 42007
    UNIT_INVALID = 43000
    FILE_SYSTEM_UNSUPPORTED = 43001


MESSAGES: Mapping[Code, str] = {
    Code.NOT_SUPPORTED: "Not Supported",
    Code.INVALID_PARAMETER: "Invalid Parameter",
    Code.SIZE_NOT_SUPPORTED: "Size Not Supported",
    Code.NO_SPACE: "Not enough available capacity",
    Code.ACCESS_DENIED: "Access denied",
    Code.NOT_INITIALIZED: "The disk has not been initialized.",
    Code.INITIALIZED: "The disk has already been initialized.",
    Code.READ_ONLY: "The disk is read only.",
    Code.OFFLINE: "The disk is offline.",
    Code.PATH_IN_USE: "The requested access path is already in use.",
    Code.PATH_INVALID: "The access path is not valid.",
    Code.UNIT_INVALID: "The specified allocation unit size is not valid.",
    Code.FILE_SYSTEM_UNSUPPORTED: "The specified file system is not supported.",
}


class Failed(Exception):
    """A method returns something else than success."""

    def __init__(self, code: Code) -> None:
        super().__init__(MESSAGES[code])
        self.code = code


def provider(estate: Estate, machine: Machine, schema: Schema) -> Provider:
    """Return what provides the namespace of the machine."""
    part = _Part(estate, machine, schema)
    methods = {
        ("MSFT_StorageSetting", "UpdateHostStorageCache"): part.rescan,
        ("MSFT_Disk", "Initialize"): part.initialize,
        ("MSFT_Disk", "Clear"): part.clear,
        ("MSFT_Disk", "CreatePartition"): part.create_partition,
        ("MSFT_Disk", "Online"): part.online,
        ("MSFT_Disk", "Offline"): part.offline,
        ("MSFT_Disk", "SetAttributes"): part.set_attributes,
        ("MSFT_Disk", "Refresh"): part.refresh,
        ("MSFT_Partition", "AddAccessPath"): part.add_access_path,
        ("MSFT_Partition", "RemoveAccessPath"): part.remove_access_path,
        ("MSFT_Partition", "GetAccessPaths"): part.access_paths,
        ("MSFT_Partition", "GetSupportedSize"): part.supported_size,
        ("MSFT_Partition", "Resize"): part.resize,
        ("MSFT_Partition", "DeleteObject"): part.delete_partition,
        ("MSFT_Volume", "Format"): part.format,
        ("MSFT_Volume", "SetFileSystemLabel"): part.set_label,
        ("MSFT_Volume", "Flush"): lambda call: {},
    }
    return Provider(
        {
            "MSFT_StorageSetting": lambda: [{"Name": "MSFT_StorageSetting", "NewDiskPolicy": 2}],
            "MSFT_Disk": part.disks,
            "MSFT_Partition": part.partitions,
            "MSFT_Volume": part.volumes,
            "MSFT_DiskToPartition": part.disk_partitions,
            "MSFT_PartitionToVolume": part.partition_volumes,
            "MSFT_InitiatorPort": part.initiators,
            "MSFT_iSCSITarget": part.targets,
            "MSFT_iSCSITargetPortal": part.portals,
            "MSFT_iSCSISession": part.sessions,
            "MSFT_iSCSIConnection": part.connections,
            "MSFT_iSCSISessionToDisk": part.session_disks,
            "MSFT_iSCSITargetToiSCSISession": part.target_sessions,
            "MSFT_iSCSIConnectionToiSCSISession": part.connection_sessions,
        },
        {name: part.guarded(method) for name, method in methods.items()},
    )


Work = Callable[[Call], Mapping[str, Value]]


class _Part:
    def __init__(self, estate: Estate, machine: Machine, schema: Schema) -> None:
        self._estate = estate
        self._machine = machine
        self._schema = schema

    def guarded(self, work: Work) -> Work:
        """Turn Failed into a return value with its extended status."""

        def run(call: Call) -> Mapping[str, Value]:
            try:
                return {"ReturnValue": int(Code.SUCCESS), **work(call)}
            except Failed as failure:
                status = Instance(
                    self._schema["msft_storageextendedstatus"],
                    {"CIMStatusCode": 1, "Message": str(failure), "MessageID": f"StorageWMI {int(failure.code)}", "PerceivedSeverity": 5},
                )
                return {"ReturnValue": int(failure.code), "ExtendedStatus": status}

        return run

    # -- instances

    def _object_id(self, kind: str, name: str) -> str:
        provider_object = f"{{1}}\\\\{self._machine.short}\\root/Microsoft/Windows/Storage/Providers_v2\\WSP_{kind}"
        return f'{provider_object}.ObjectId="{{{self._machine.uuid}}}:{kind[:2].upper()}:{name}"'

    def _disk_id(self, disk: Disk) -> str:
        return self._object_id("Disk", self._device_path(disk))

    def _device_path(self, disk: Disk) -> str:
        unit = disk.unit
        names = f"disk&ven_{unit.vendor.lower()}&prod_{unit.model.lower().replace(' ', '_')}"
        instance = f"1&7f6ac24&0&{unit.unique_id.lower()}" if unit.multipath else f"5&{unit.adapter:07x}&0&{unit.target:02x}{unit.lun:04x}"
        return f"\\\\?\\{'mpio' if unit.multipath else 'scsi'}#{names}#{instance}#{{53f56307-b6bf-11d0-94f2-00a0c91efb8b}}"

    def disks(self) -> Iterator[Row]:
        for disk in self._machine.disks:
            yield self._disk_row(disk)

    def _disk_row(self, disk: Disk) -> Row:
        unit, medium = disk.unit, self._estate.medium(disk.key)
        offline = self._estate.is_offline(self._machine, disk)
        clustered = self._estate.clustered(self._machine, disk) is not None
        used = sum(partition.size for partition in medium.partitions)
        return {
            "ObjectId": self._disk_id(disk),
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
            "OfflineReason": POLICY if offline else None,
            "OperationalStatus": [STATUS_OFFLINE if offline else STATUS_ONLINE],
            "PartitionStyle": medium.style,
            "Path": self._device_path(disk),
            "ProvisioningType": 1,
            "SerialNumber": unit.serial or None,
            "Signature": medium.signature or None,
            "Size": unit.size,
        }

    def partitions(self) -> Iterator[Row]:
        for disk, partition in self._all_partitions():
            yield self._partition_row(disk, partition)

    def _all_partitions(self) -> Iterator[tuple[Disk, Partition]]:
        for disk in self._machine.disks:
            yield from ((disk, partition) for partition in self._estate.medium(disk.key).partitions)

    def _partition_id(self, disk: Disk, partition: Partition) -> str:
        return self._object_id("Partition", f"{self._device_path(disk)}:{partition.guid}:{partition.number}")

    def _paths(self, partition: Partition) -> list[str]:
        return partition.access.get(self._machine.name, [])

    def _letter(self, partition: Partition) -> int:
        return next((ord(path[0].upper()) for path in self._paths(partition) if _LETTER.match(path)), 0)

    def _partition_row(self, disk: Disk, partition: Partition) -> Row:
        offline = self._estate.is_offline(self._machine, disk)
        paths = [] if offline or partition.is_reserved else [*self._paths(partition), partition.volume_path]
        return {
            "ObjectId": self._partition_id(disk, partition),
            "UniqueId": f"{{{partition.offset:016X}}}{disk.unit.unique_id}",
            "AccessPaths": paths,
            "DiskId": self._device_path(disk),
            "DiskNumber": disk.number,
            "DriveLetter": 0 if offline else self._letter(partition),
            "GptType": partition.gpt_type,
            "Guid": partition.guid,
            "IsActive": False,
            "IsBoot": disk.boot,
            "IsDAX": False,
            "IsHidden": False,
            "IsOffline": offline,
            "IsReadOnly": disk.read_only,
            "IsShadowCopy": False,
            "IsSystem": disk.boot,
            "NoDefaultDriveLetter": partition.is_reserved,
            "Offset": partition.offset,
            "OperationalStatus": 1,
            "PartitionNumber": partition.number,
            "Size": partition.size,
            "TransitionState": 1,
        }

    def volumes(self) -> Iterator[Row]:
        for disk, partition in self._mounted():
            yield self._volume_row(disk, partition)

    def _mounted(self) -> Iterator[tuple[Disk, Partition]]:
        for disk, partition in self._all_partitions():
            if not partition.is_reserved and not self._estate.is_offline(self._machine, disk):
                yield disk, partition

    def _volume_id(self, partition: Partition) -> str:
        return self._object_id("Volume", partition.volume_path)

    def _volume_row(self, disk: Disk, partition: Partition) -> Row:
        size = partition.volume_size if partition.file_system else 0
        return {
            "ObjectId": self._volume_id(partition),
            "UniqueId": partition.volume_path,
            "AllocationUnitSize": partition.unit if partition.file_system else 0,
            "DedupMode": 4,
            "DriveLetter": self._letter(partition) or None,
            "DriveType": FIXED_DRIVE,
            "FileSystem": partition.file_system,
            "FileSystemLabel": partition.label,
            "FileSystemType": FILE_SYSTEMS.get(partition.file_system.upper(), 0),
            "HealthStatus": 0,
            "OperationalStatus": [2],
            "Path": partition.volume_path,
            "Size": size,
            "SizeRemaining": size - size // CHARGED_PART,
        }

    def _disk_path(self, disk: Disk) -> ObjectPath:
        return ObjectPath.of("MSFT_Disk", ObjectId=self._disk_id(disk))

    def disk_partitions(self) -> Iterator[Row]:
        for disk, partition in self._all_partitions():
            path = ObjectPath.of("MSFT_Partition", ObjectId=self._partition_id(disk, partition))
            yield {"Disk": self._disk_path(disk), "Partition": path}

    def partition_volumes(self) -> Iterator[Row]:
        for disk, partition in self._mounted():
            yield {
                "Partition": ObjectPath.of("MSFT_Partition", ObjectId=self._partition_id(disk, partition)),
                "Volume": ObjectPath.of("MSFT_Volume", ObjectId=self._volume_id(partition)),
            }

    def initiators(self) -> Iterator[Row]:
        for hba in self._machine.hbas:
            fibre = hba["kind"] == "fc"
            node = hba["wwnn"].replace(":", "").upper() if fibre else hba["iqn"]
            port = hba["wwpn"].replace(":", "").upper() if fibre else "ISCSI ANY PORT"
            yield {
                "ObjectId": self._object_id("InitiatorPort", f"{hba['instance']}:{port}"),
                "UniqueId": f"{hba['instance']}:{port}",
                "ConnectionType": 1 if fibre else 2,
                "InstanceName": hba["instance"],
                "NodeAddress": node,
                "PortAddress": port,
                "OperationalStatus": [2 if hba["status"] == "online" else 6],
                "PortType": 1 if fibre else 0,
            }

    def _iscsi(self) -> Mapping[str, str] | None:
        return next((hba for hba in self._machine.hbas if hba["kind"] != "fc"), None)

    def targets(self) -> Iterator[Row]:
        for name in dict.fromkeys(name for name, _second, _third in self._machine.targets):
            yield {"NodeAddress": name, "IsConnected": True}

    def portals(self) -> Iterator[Row]:
        for hba in self._machine.hbas:
            for target in hba.get("targets", ()):
                yield {
                    "TargetPortalAddress": target["address"],
                    "TargetPortalPortNumber": target["port"],
                    "InitiatorInstanceName": hba["instance"],
                    "InitiatorPortalAddress": "0.0.0.0",
                    "IsDataDigest": False,
                    "IsHeaderDigest": False,
                }

    def sessions(self) -> Iterator[Row]:
        hba = self._iscsi()
        for index, (name, _address, _port) in enumerate(self._machine.targets if hba else ()):
            assert hba is not None
            yield {
                "SessionIdentifier": _session_id(index),
                "AuthenticationType": "NONE",
                "InitiatorInstanceName": hba["instance"],
                "InitiatorNodeAddress": hba["iqn"],
                "InitiatorPortalAddress": "0.0.0.0",
                "InitiatorSideIdentifier": "400001370000",
                "IsConnected": hba["status"] == "online",
                "IsDataDigest": False,
                "IsDiscovered": True,
                "IsHeaderDigest": False,
                "IsPersistent": True,
                "NumberOfConnections": 1,
                "TargetNodeAddress": name,
                "TargetSideIdentifier": f"{index + 1:02d}00",
            }

    def connections(self) -> Iterator[Row]:
        for index, (_name, address, port) in enumerate(self._machine.targets):
            yield {
                "ConnectionIdentifier": _connection_id(index),
                "InitiatorAddress": "192.0.2.100",
                "InitiatorPortNumber": 49152 + index,
                "TargetAddress": address,
                "TargetPortNumber": port,
            }

    def session_disks(self) -> Iterator[Row]:
        for index, _target in enumerate(self._machine.targets):
            session = ObjectPath.of("MSFT_iSCSISession", SessionIdentifier=_session_id(index))
            for disk in self._machine.disks:
                if disk.unit.unique_id.lower().startswith("600a0980"):
                    yield {"iSCSISession": session, "Disk": self._disk_path(disk)}

    def target_sessions(self) -> Iterator[Row]:
        for index, (name, _address, _port) in enumerate(self._machine.targets):
            yield {
                "iSCSITarget": ObjectPath.of("MSFT_iSCSITarget", NodeAddress=name),
                "iSCSISession": ObjectPath.of("MSFT_iSCSISession", SessionIdentifier=_session_id(index)),
            }

    def connection_sessions(self) -> Iterator[Row]:
        for index, _target in enumerate(self._machine.targets):
            yield {
                "iSCSIConnection": ObjectPath.of("MSFT_iSCSIConnection", ConnectionIdentifier=_connection_id(index)),
                "iSCSISession": ObjectPath.of("MSFT_iSCSISession", SessionIdentifier=_session_id(index)),
            }

    # -- methods of disks

    def rescan(self, call: Call) -> Mapping[str, Value]:
        try:
            self._estate.rescan(self._machine)
        except OSError as error:
            raise ProviderFault(0x80041001, f"Generic failure: the array does not answer ({error}). ") from error
        return {}

    def _disk(self, call: Call) -> Disk:
        found = next((disk for disk in self._machine.disks if self._disk_id(disk) == call.key("ObjectId")), None)
        if found is None:
            raise not_found(call.key("ObjectId"))
        return found

    def _writable(self, disk: Disk) -> Medium:
        if self._estate.is_offline(self._machine, disk):
            raise Failed(Code.OFFLINE)
        if disk.read_only:
            raise Failed(Code.READ_ONLY)
        return self._estate.medium(disk.key)

    def initialize(self, call: Call) -> Mapping[str, Value]:
        disk = self._disk(call)
        medium, style = self._writable(disk), call.number("PartitionStyle", GPT)
        if style not in (MBR, GPT):
            raise Failed(Code.INVALID_PARAMETER)
        if medium.style != RAW:
            raise Failed(Code.INITIALIZED)
        medium.initialize(style, disk.unit.size)
        return {}

    def clear(self, call: Call) -> Mapping[str, Value]:
        disk = self._disk(call)
        medium = self._writable(disk)
        if disk.boot or self._estate.clustered(self._machine, disk):
            raise Failed(Code.ACCESS_DENIED)
        if medium.style == RAW:
            raise Failed(Code.NOT_INITIALIZED)
        if any(medium.volumes()) and not call.flag("RemoveData"):
            raise Failed(Code.INVALID_PARAMETER)
        medium.clear()
        return {}

    def online(self, call: Call) -> Mapping[str, Value]:
        disk = self._disk(call)
        if self._estate.clustered(self._machine, disk) or self._in_vm(disk):
            raise Failed(Code.ACCESS_DENIED)
        disk.offline = False
        return {}

    def offline(self, call: Call) -> Mapping[str, Value]:
        disk = self._disk(call)
        if disk.boot or self._estate.clustered(self._machine, disk):
            raise Failed(Code.ACCESS_DENIED)
        disk.offline = True
        return {}

    def _in_vm(self, disk: Disk) -> bool:
        vm = self._estate.user_of(disk.key)
        return vm is not None and vm.host == self._machine.name and vm.running

    def set_attributes(self, call: Call) -> Mapping[str, Value]:
        disk = self._disk(call)
        if "Guid" in call.arguments or "Signature" in call.arguments:
            raise Failed(Code.NOT_SUPPORTED)
        if "IsReadOnly" in call.arguments:
            disk.read_only = call.flag("IsReadOnly")
        return {}

    def refresh(self, call: Call) -> Mapping[str, Value]:
        self._disk(call)
        return {}

    def create_partition(self, call: Call) -> Mapping[str, Value]:
        disk = self._disk(call)
        medium = self._writable(disk)
        if medium.style == RAW:
            raise Failed(Code.NOT_INITIALIZED)
        size, whole = call.number("Size"), call.flag("UseMaximumSize")
        letter = call.number("DriveLetter")
        if bool(size) == whole or (letter and call.flag("AssignDriveLetter")) or "Offset" in call.arguments:
            raise Failed(Code.INVALID_PARAMETER)
        if call.text("GptType") and (medium.style != GPT or call.text("GptType").lower() != BASIC_TYPE):
            raise Failed(Code.INVALID_PARAMETER)
        offset, room = medium.free_extent(disk.unit.size)
        wanted = room if whole else size
        if not wanted or wanted > room:
            raise Failed(Code.NO_SPACE)
        paths = [self._new_letter(chr(letter))] if letter else [self._next_letter()] if call.flag("AssignDriveLetter") else []
        partition = medium.add_partition(offset, wanted)
        partition.access[self._machine.name] = paths
        return {"CreatedPartition": self._instance("MSFT_Partition", self._partition_row(disk, partition))}

    def _instance(self, name: str, row: Row) -> Instance:
        return Instance(self._schema[name.lower()], row)

    # -- methods of partitions

    def _partition(self, call: Call) -> tuple[Disk, Partition]:
        wanted = call.key("ObjectId")
        found = next(((disk, part) for disk, part in self._all_partitions() if self._partition_id(disk, part) == wanted), None)
        if found is None:
            raise not_found(wanted)
        return found

    def add_access_path(self, call: Call) -> Mapping[str, Value]:
        disk, partition = self._partition(call)
        if self._estate.is_offline(self._machine, disk):
            raise Failed(Code.OFFLINE)
        path = call.text("AccessPath")
        if bool(path) == call.flag("AssignDriveLetter") or partition.is_reserved:
            raise Failed(Code.INVALID_PARAMETER)
        paths = partition.access.setdefault(self._machine.name, [])
        letter = not path or _LETTER.match(path) is not None
        if letter and self._letter(partition):
            raise Failed(Code.PATH_IN_USE)
        if letter:
            paths.append(self._new_letter(path[0]) if path else self._next_letter())
        else:
            paths.append(self._new_mount(path))
        return {}

    def _taken(self) -> set[str]:
        return {path.lower() for _first, partition in self._all_partitions() for path in self._paths(partition)}

    def _new_letter(self, letter: str) -> str:
        if not ("A" <= letter.upper() <= LAST_LETTER):
            raise Failed(Code.PATH_INVALID)
        path = f"{letter.upper()}:\\"
        if path.lower() in self._taken():
            raise Failed(Code.PATH_IN_USE)
        return path

    def _next_letter(self) -> str:
        free = (f"{letter}:\\" for letter in "DEFGHIJKLMNOPQRSTUVWXYZ" if f"{letter}:\\".lower() not in self._taken())
        path = next(free, None)
        if path is None:
            raise Failed(Code.PATH_IN_USE)
        return path

    def _new_mount(self, path: str) -> str:
        """Return the mount point, which must be a directory that exists, is empty and lies on an NTFS volume."""
        bare = path.rstrip("\\")
        if not _MOUNT.fullmatch(bare) or bare.lower() not in self._machine.directories:
            raise Failed(Code.PATH_INVALID)
        carrier = (partition for _first, partition in self._mounted() if f"{bare[:2].upper()}\\" in self._paths(partition))
        if next((partition.file_system for partition in carrier), "") != "NTFS":
            raise Failed(Code.PATH_INVALID)
        if f"{bare}\\".lower() in self._taken():
            raise Failed(Code.PATH_IN_USE)
        return f"{bare}\\"

    def remove_access_path(self, call: Call) -> Mapping[str, Value]:
        _first, partition = self._partition(call)
        wanted = call.text("AccessPath").rstrip("\\").lower()
        paths = self._paths(partition)
        kept = [path for path in paths if path.rstrip("\\").lower() != wanted]
        if len(kept) == len(paths):
            raise Failed(Code.PATH_INVALID)
        partition.access[self._machine.name] = kept
        return {}

    def access_paths(self, call: Call) -> Mapping[str, Value]:
        _first, partition = self._partition(call)
        return {"AccessPaths": [*self._paths(partition), partition.volume_path]}

    def _bounds(self, disk: Disk, partition: Partition) -> tuple[int, int]:
        medium = self._estate.medium(disk.key)
        last = max(medium.partitions, key=lambda other: other.offset) is partition
        room = medium.free_extent(disk.unit.size)[1] if last else 0
        least = partition.volume_size // CHARGED_PART if partition.file_system else partition.size
        return least, partition.size + room

    def supported_size(self, call: Call) -> Mapping[str, Value]:
        disk, partition = self._partition(call)
        if self._estate.is_offline(self._machine, disk):
            raise Failed(Code.OFFLINE)
        least, most = self._bounds(disk, partition)
        return {"SizeMin": least, "SizeMax": most}

    def resize(self, call: Call) -> Mapping[str, Value]:
        disk, partition = self._partition(call)
        self._writable(disk)
        least, most = self._bounds(disk, partition)
        size = call.number("Size")
        if not least <= size <= most:
            raise Failed(Code.SIZE_NOT_SUPPORTED)
        if partition.file_system.upper() == "REFS" and size < partition.size:
            raise Failed(Code.NOT_SUPPORTED)
        partition.size = size
        partition.volume_size = size if partition.file_system else 0
        return {}

    def delete_partition(self, call: Call) -> Mapping[str, Value]:
        disk, partition = self._partition(call)
        medium = self._writable(disk)
        if disk.boot:
            raise Failed(Code.ACCESS_DENIED)
        medium.partitions.remove(partition)
        return {}

    # -- methods of volumes

    def _volume(self, call: Call) -> tuple[Disk, Partition]:
        wanted = call.key("ObjectId")
        found = next(((disk, partition) for disk, partition in self._mounted() if self._volume_id(partition) == wanted), None)
        if found is None:
            raise not_found(wanted)
        return found

    def format(self, call: Call) -> Mapping[str, Value]:
        disk, partition = self._volume(call)
        self._writable(disk)
        file_system = (call.text("FileSystem") or "NTFS").upper()
        if file_system not in FORMATS:
            raise Failed(Code.FILE_SYSTEM_UNSUPPORTED)
        unit = call.number("AllocationUnitSize") or DEFAULT_UNIT
        if unit not in UNITS[file_system]:
            raise Failed(Code.UNIT_INVALID)
        if disk.boot or self._estate.clustered(self._machine, disk) or (partition.file_system and not call.flag("Force")):
            raise Failed(Code.ACCESS_DENIED)
        partition.file_system, partition.label, partition.unit = FORMATS[file_system], call.text("FileSystemLabel"), unit
        partition.volume_size = partition.size // unit * unit
        return {"FormattedVolume": self._instance("MSFT_Volume", self._volume_row(disk, partition))}

    def set_label(self, call: Call) -> Mapping[str, Value]:
        _first, partition = self._volume(call)
        partition.label = call.text("FileSystemLabel")
        return {}


def _session_id(index: int) -> str:
    return f"ffffa7053c3e0010-4000013700000{index:03x}"


def _connection_id(index: int) -> str:
    return f"ffffa7053c3e0010-{index:x}"
