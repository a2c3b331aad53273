# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""root\cimv2: what the machine is, its drives, volumes, files of interest and registry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

from tests.lab.hyperv.cim import Row, Value
from tests.lab.hyperv.estate import Estate
from tests.lab.hyperv.machines import ABSENT, DISABLED, RUNNING, Disk, Machine
from tests.lab.hyperv.media import Partition
from tests.lab.hyperv.namespaces import Call, Provider

BUILD, VERSION, CAPTION = "20348", "10.0.20348", "Microsoft Windows Server 2022 Datacenter"
HKEY_LOCAL_MACHINE = 2147483650
KEY_NOT_FOUND = 2
HYPERV_FIRMWARE = "Microsoft Corporation"
REG_SZ = 1
GUEST_PARAMETERS = "SOFTWARE\\Microsoft\\Virtual Machine\\Guest\\Parameters"
CURRENT_VERSION = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion"
BOOTED = datetime(2026, 1, 5, 6, 0, tzinfo=timezone.utc)
FREE_PART = 4
SECTOR = 512

PATH_NOT_FOUND = 9
_DIRECTORY_COMMAND = re.compile(
    r'(?:cmd(?:\.exe)?) /c (?P<verb>mkdir|md|rmdir|rd) (?P<quote>"?)(?P<path>[A-Za-z]:\\[^"&|<>^%]+)(?P=quote)', re.IGNORECASE
)

Registry = Mapping[str, Mapping[str, str]]


def provider(estate: Estate, machine: Machine) -> Provider:
    """Return what provides the namespace of the machine."""
    part = _Part(estate, machine)
    return Provider(
        {
            "Win32_ComputerSystem": part.computer,
            "Win32_OperatingSystem": part.system,
            "Win32_ComputerSystemProduct": part.product,
            "Win32_BIOS": part.bios,
            "Win32_DiskDrive": part.drives,
            "Win32_Volume": part.volumes,
            "Win32_Service": part.services,
            "CIM_DataFile": part.files,
            "Win32_Directory": part.directories,
        },
        {
            ("Win32_Process", "Create"): part.run,
            ("StdRegProv", "GetStringValue"): part.string_value,
            ("StdRegProv", "GetDWORDValue"): part.number_value,
            ("StdRegProv", "EnumKey"): part.subkeys,
            ("StdRegProv", "EnumValues"): part.value_names,
        },
    )


class _Part:
    def __init__(self, estate: Estate, machine: Machine) -> None:
        self._estate = estate
        self._machine = machine

    @property
    def _serial(self) -> str:
        return self._machine.uuid.replace("-", "")[:14].upper()

    def computer(self) -> Iterator[Row]:
        machine = self._machine
        yield {
            "Name": machine.short,
            "Caption": machine.short,
            "CreationClassName": "Win32_ComputerSystem",
            "Description": "AT/AT COMPATIBLE",
            "DNSHostName": machine.name.partition(".")[0],
            "Domain": machine.name.partition(".")[2],
            "DomainRole": 3,
            "HypervisorPresent": machine.hypervisor_present,
            "Manufacturer": machine.manufacturer,
            "Model": machine.model,
            "NumberOfLogicalProcessors": 32,
            "NumberOfProcessors": 2,
            "PartOfDomain": True,
            "SystemType": "x64-based PC",
            "Status": "OK",
            "TotalPhysicalMemory": 274877906944,
            "Roles": ["LM_Workstation", "LM_Server", "NT", "Server_NT"],
        }

    def system(self) -> Iterator[Row]:
        yield {
            "Name": f"{CAPTION}|C:\\Windows|\\Device\\Harddisk0\\Partition4",
            "Caption": CAPTION,
            "BuildNumber": BUILD,
            "CSName": self._machine.short,
            "CSCreationClassName": "Win32_ComputerSystem",
            "CreationClassName": "Win32_OperatingSystem",
            "InstallDate": BOOTED,
            "LastBootUpTime": BOOTED.replace(minute=self._machine.boots % 60),
            "LocalDateTime": datetime.now(timezone.utc),
            "OperatingSystemSKU": 8,
            "OSArchitecture": "64-bit",
            "ProductType": 3,
            "Status": "OK",
            "SystemDrive": "C:",
            "SystemDirectory": "C:\\Windows\\system32",
            "Version": VERSION,
            "WindowsDirectory": "C:\\Windows",
        }

    def product(self) -> Iterator[Row]:
        yield {
            "IdentifyingNumber": self._serial,
            "Name": self._machine.model,
            "Version": "Hyper-V UEFI Release v4.1" if self._machine.manufacturer == HYPERV_FIRMWARE else "",
            "Caption": "Computer System Product",
            "Description": "Computer System Product",
            "UUID": self._uuid().upper(),
            "Vendor": self._machine.manufacturer,
        }

    def _uuid(self) -> str:
        return next((vm.id for vm in self._estate.vms.values() if vm.name == self._machine.vm), self._machine.uuid)

    def bios(self) -> Iterator[Row]:
        guest = self._machine.role == "guest"
        name = "Hyper-V UEFI Release v4.1" if guest else "1.12.2"
        yield {
            "Name": name,
            "SoftwareElementID": name,
            "SoftwareElementState": 3,
            "TargetOperatingSystem": 0,
            "Version": "VRTUAL - 1" if guest else "DELL   - 1072009",
            "Manufacturer": self._machine.manufacturer,
            "SerialNumber": self._serial,
            "SMBIOSBIOSVersion": name,
        }

    def drives(self) -> Iterator[Row]:
        for disk in self._machine.disks:
            yield self._drive(disk)

    def _drive(self, disk: Disk) -> Row:
        unit, medium = disk.unit, self._estate.medium(disk.key)
        model = f"{unit.vendor} {unit.model}" + (" Multi-Path Disk Device" if unit.multipath else " SCSI Disk Device")
        return {
            "DeviceID": f"\\\\.\\PHYSICALDRIVE{disk.number}",
            "Name": f"\\\\.\\PHYSICALDRIVE{disk.number}",
            "Caption": model,
            "Model": model,
            "Index": disk.number,
            "InterfaceType": "SCSI",
            "Manufacturer": "(Standard disk drives)",
            "MediaLoaded": True,
            "MediaType": "Fixed hard disk media",
            "BytesPerSector": SECTOR,
            "Partitions": sum(1 for _volume in medium.volumes()),
            "PNPDeviceID": unit.instance.replace("#", "\\").upper(),
            "SCSIBus": 0,
            "SCSIPort": unit.adapter + 2,
            "SCSITargetId": unit.target,
            "SCSILogicalUnit": unit.lun,
            "SerialNumber": unit.serial or None,
            "Signature": medium.signature or None,
            "Size": unit.size // 8225280 * 8225280,
            "Status": "OK",
            "SystemName": self._machine.short,
            "CreationClassName": "Win32_DiskDrive",
        }

    def volumes(self) -> Iterator[Row]:
        for disk in self._machine.disks:
            if not self._estate.is_offline(self._machine, disk):
                yield from (self._volume(disk, partition) for partition in self._estate.medium(disk.key).volumes())

    def _volume(self, disk: Disk, partition: Partition) -> Row:
        paths = partition.access.get(self._machine.name, [])
        letter = next((path for path in paths if len(path) == len("C:\\")), None)
        formatted = bool(partition.file_system)
        return {
            "DeviceID": partition.volume_path,
            "Name": next(iter(paths), partition.volume_path),
            "Caption": next(iter(paths), partition.volume_path),
            "Automount": True,
            "BlockSize": partition.unit if formatted else None,
            "BootVolume": disk.boot,
            "Capacity": partition.volume_size if formatted else None,
            "DriveLetter": letter[:2] if letter else None,
            "DriveType": 3,
            "FileSystem": partition.file_system or None,
            "FreeSpace": partition.volume_size // FREE_PART if formatted else None,
            "Label": partition.label if formatted else None,
            "SystemVolume": disk.boot,
            "SystemName": self._machine.short,
        }

    def services(self) -> Iterator[Row]:
        names = {"WinRM": True, "MSiSCSI": any(hba["kind"] != "fc" for hba in self._machine.hbas)}
        if self._machine.role == "host":
            names |= {"vmms": True, "MPIO": self._machine.mpio}
        for name, running in names.items():
            state = "Running" if running else "Stopped"
            yield {"Name": name, "DisplayName": name, "Started": running, "State": state, "StartMode": "Auto" if running else "Manual"}
        service = self._machine.cluster_service
        if service != ABSENT:
            running, mode = service == RUNNING, "Disabled" if service == DISABLED else "Auto"
            state = "Running" if running else "Stopped"
            yield {"Name": "ClusSvc", "DisplayName": "Cluster Service", "Started": running, "State": state, "StartMode": mode}

    def directories(self) -> Iterator[Row]:
        return (_logical_file(path) for path in sorted(self._machine.directories))

    def files(self) -> Iterator[Row]:
        return (_logical_file(path) for path in sorted(self._machine.files))

    def run(self, call: Call) -> Mapping[str, Value]:
        """Run the commands that the lab knows: cmd's mkdir on a drive that exists, and rmdir, which removes an empty directory."""
        match = _DIRECTORY_COMMAND.fullmatch(call.text("CommandLine").strip())
        if not match:
            return {"ReturnValue": PATH_NOT_FOUND}
        path = match["path"].lower().rstrip("\\")
        if match["verb"].lower() in ("rmdir", "rd"):
            if not self._machine.inside(path) and not self._is_mounted(path):
                self._machine.directories.discard(path)
        elif any(path[:2] == str(row["DriveLetter"]).lower() for row in self.volumes()):
            self._machine.directories.update(_with_those_above(path))
        return {"ReturnValue": 0, "ProcessId": 4242}

    def _is_mounted(self, directory: str) -> bool:
        partitions = (partition for disk in self._machine.disks for partition in self._estate.medium(disk.key).partitions)
        paths = (path for partition in partitions for path in partition.access.get(self._machine.name, []))
        return any(path.rstrip("\\").lower() == directory for path in paths)

    # -- registry

    def _registry(self) -> Registry:
        keys: dict[str, Mapping[str, str]] = {
            CURRENT_VERSION: {"ProductName": CAPTION.removeprefix("Microsoft "), "CurrentBuild": BUILD},
            **self._machine.registry,
        }
        vm = next((vm for vm in self._estate.vms.values() if vm.name == self._machine.vm), None)
        if vm:
            host = self._estate.machines[vm.host]
            keys[GUEST_PARAMETERS] = {
                "HostName": host.short,
                "HostingSystemOsMajor": "10",
                "PhysicalHostName": host.short,
                "PhysicalHostNameFullyQualified": host.name,
                "VirtualMachineName": vm.name,
                "VirtualMachineId": vm.id,
            }
        return keys

    def _key(self, call: Call) -> Mapping[str, str] | None:
        if call.number("hDefKey") != HKEY_LOCAL_MACHINE:
            return None
        wanted = call.text("sSubKeyName").strip("\\").lower()
        return next((values for name, values in self._registry().items() if name.lower() == wanted), None)

    def string_value(self, call: Call) -> Mapping[str, Value]:
        wanted = call.text("sValueName").lower()
        value = next((value for name, value in (self._key(call) or {}).items() if name.lower() == wanted), None)
        return {"ReturnValue": KEY_NOT_FOUND, "sValue": None} if value is None else {"ReturnValue": 0, "sValue": value}

    def number_value(self, call: Call) -> Mapping[str, Value]:
        value = self.string_value(call)["sValue"]
        number = str(value) if value is not None and str(value).isdigit() else None
        return {"ReturnValue": KEY_NOT_FOUND, "uValue": None} if number is None else {"ReturnValue": 0, "uValue": int(number)}

    def subkeys(self, call: Call) -> Mapping[str, Value]:
        parent = call.text("sSubKeyName").strip("\\").lower()
        prefix = f"{parent}\\" if parent else ""
        below = [name[len(prefix) :].partition("\\")[0] for name in self._registry() if name.lower().startswith(prefix)]
        found = call.number("hDefKey") == HKEY_LOCAL_MACHINE and (below or self._key(call) is not None)
        return {"ReturnValue": 0, "sNames": sorted(set(below))} if found else {"ReturnValue": KEY_NOT_FOUND, "sNames": None}

    def value_names(self, call: Call) -> Mapping[str, Value]:
        values = self._key(call)
        if values is None:
            return {"ReturnValue": KEY_NOT_FOUND, "sNames": None, "Types": None}
        return {"ReturnValue": 0, "sNames": list(values), "Types": [REG_SZ] * len(values)}


def _with_those_above(directory: str) -> list[str]:
    """What mkdir makes: the directory and those that it lies in, by cmd's extensions, which are on unless somebody turns them off."""
    drive, *names = directory.split("\\")
    return ["\\".join([drive, *names[: depth + 1]]) for depth in range(len(names))]


def _logical_file(path: str) -> Row:
    return {"Name": path, "Caption": path, "Drive": path[:2], "Path": path[2:].rpartition("\\")[0] + "\\", "Status": "OK"}
