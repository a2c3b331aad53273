# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Windows guest: its disks are those of its VM, and a volume is made, mounted and grown step by step, each refused out of order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.hyperv.faults import ProviderFault
from tests.lab.hyperv.running import CIMV2, STORAGE, Lab
from tests.unit.lab.hyperv.desk import GUEST, Desk

GIB = 1024**3
GUEST_PARAMETERS = "SOFTWARE\\Microsoft\\Virtual Machine\\Guest\\Parameters"
HKLM = 2147483650


@pytest.fixture
def naa(lab: Lab, host: Desk, guest: Desk) -> str:
    """A new LUN that the guest has found."""
    name = lab.map_lun("hv_hv01")
    host.rescan()
    host.attach("win01", host.drive_path(name))
    lab.estate.timeline.settle(everything=True)
    guest.rescan()
    return name


def call(guest: Desk, class_name: str, keys: dict[str, Any], method: str, **arguments: Any) -> dict[str, Any]:
    return guest.client.invoke(STORAGE, class_name, method, {"ObjectId": keys["ObjectId"]}, **arguments)


def partition_of(guest: Desk, naa: str) -> dict[str, Any]:
    number = guest.disk(naa)["Number"]
    found: dict[str, Any] = guest.client.query(STORAGE, f"SELECT * FROM MSFT_Partition WHERE DiskNumber = {number}")[-1]
    return found


def volume_of(guest: Desk, naa: str) -> dict[str, Any]:
    path = partition_of(guest, naa)["ObjectId"].replace("\\", "\\\\").replace('"', '\\"')
    query = f'ASSOCIATORS OF {{MSFT_Partition.ObjectId="{path}"}} WHERE AssocClass=MSFT_PartitionToVolume'
    (found,) = guest.client.query(STORAGE, query)
    return found


def make_volume(guest: Desk, naa: str, **format_arguments: Any) -> dict[str, Any]:
    guest.prepare(naa)
    assert guest.on_disk(naa, "Initialize", PartitionStyle=2) == "0"
    assert guest.on_disk(naa, "CreatePartition", UseMaximumSize=True) == "0"
    return call(guest, "MSFT_Volume", volume_of(guest, naa), "Format", **format_arguments)


def test_a_raw_disk_keeps_its_name_in_the_guest(guest: Desk, naa: str) -> None:
    disk = guest.disk(naa)
    assert (disk["UniqueId"], disk["BusType"], disk["PartitionStyle"], disk["IsOffline"]) == (naa.upper(), "10", "0", "true")
    assert disk["Location"].endswith("LUN 5")
    assert len(disk["SerialNumber"]) == 12


def test_a_volume_from_the_raw_disk_to_the_drive_letter(guest: Desk, naa: str) -> None:
    answer = make_volume(guest, naa, FileSystem="NTFS", FileSystemLabel="data", AllocationUnitSize=65536)
    assert answer["ReturnValue"] == "0"
    assert (answer["FormattedVolume"]["FileSystem"], answer["FormattedVolume"]["AllocationUnitSize"]) == ("NTFS", "65536")
    partition = partition_of(guest, naa)
    assert call(guest, "MSFT_Partition", partition, "AddAccessPath", AccessPath="E:")["ReturnValue"] == "0"
    assert partition_of(guest, naa)["DriveLetter"] == str(ord("E"))
    (volume,) = guest.client.query(CIMV2, "SELECT * FROM Win32_Volume WHERE DriveLetter = 'E:'")
    assert (volume["Label"], volume["FileSystem"], volume["BlockSize"]) == ("data", "NTFS", "65536")


def test_a_guest_loses_a_detached_disk_at_once(lab: Lab, host: Desk, guest: Desk, naa: str) -> None:
    assert guest.machine.disks_of(naa)
    host.detach("win01", naa)
    lab.estate.timeline.settle(everything=True)
    assert guest.machine.disks_of(naa) == []


def test_the_array_learns_what_is_written(lab: Lab, guest: Desk, naa: str) -> None:
    guest.prepare(naa)
    assert naa not in lab.fabric.written
    assert guest.on_disk(naa, "Initialize", PartitionStyle=2) == "0"
    table = lab.fabric.written[naa]
    assert guest.on_disk(naa, "CreatePartition", UseMaximumSize=True) == "0"
    call(guest, "MSFT_Volume", volume_of(guest, naa), "Format", FileSystem="NTFS")
    assert 0 < table < lab.fabric.written[naa]


def test_nothing_is_on_a_disk_whose_array_does_not_answer(lab: Lab, guest: Desk, naa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_unused: object) -> None:
        raise OSError("Connection refused")

    guest.prepare(naa)
    monkeypatch.setattr(lab.fabric, "write", broken)
    with pytest.raises(ProviderFault, match="does not answer"):
        guest.on_disk(naa, "Initialize", PartitionStyle=2)
    assert guest.disk(naa)["PartitionStyle"] == "0"


def test_a_mount_point_is_an_existing_directory_on_ntfs(guest: Desk, naa: str) -> None:
    make_volume(guest, naa, FileSystem="ReFS")
    mount = {"AccessPath": "C:\\mt1"}
    assert call(guest, "MSFT_Partition", partition_of(guest, naa), "AddAccessPath", **mount)["ReturnValue"] == "42007"
    made = guest.client.invoke(CIMV2, "Win32_Process", "Create", CommandLine='cmd.exe /c mkdir "C:\\mt1"')
    assert made["ReturnValue"] == "0"
    assert guest.client.query(CIMV2, "SELECT Name FROM Win32_Directory WHERE Name = 'c:\\\\mt1'") == [{"Name": "c:\\mt1"}]
    assert call(guest, "MSFT_Partition", partition_of(guest, naa), "AddAccessPath", **mount)["ReturnValue"] == "0"
    assert call(guest, "MSFT_Partition", partition_of(guest, naa), "AddAccessPath", **mount)["ReturnValue"] == "42002"
    assert "C:\\mt1\\" in partition_of(guest, naa)["AccessPaths"]
    assert call(guest, "MSFT_Partition", partition_of(guest, naa), "RemoveAccessPath", **mount)["ReturnValue"] == "0"
    assert "C:\\mt1\\" not in partition_of(guest, naa)["AccessPaths"]


def test_a_directory_is_made_with_those_above(guest: Desk) -> None:
    guest.client.invoke(CIMV2, "Win32_Process", "Create", CommandLine='cmd.exe /c mkdir "C:\\data\\log"')
    made = guest.client.query(CIMV2, "SELECT Name FROM Win32_Directory WHERE Path = '\\\\data\\\\' AND Drive = 'c:'")
    assert made == [{"Name": "c:\\data\\log"}]
    assert guest.client.query(CIMV2, "SELECT Name FROM Win32_Directory WHERE Name = 'c:\\\\data'") == [{"Name": "c:\\data"}]


@pytest.mark.parametrize("command", ["notepad.exe", "cmd.exe /c mkdir C:\\a & del C:\\b", "cmd.exe /c del C:\\mt1"])
def test_no_other_command_is_run(guest: Desk, command: str) -> None:
    assert guest.client.invoke(CIMV2, "Win32_Process", "Create", CommandLine=command)["ReturnValue"] == "9"


def test_each_step_is_refused_before_the_one_that_it_needs(guest: Desk, naa: str) -> None:
    assert guest.on_disk(naa, "Initialize", PartitionStyle=2) == "41003"
    guest.on_disk(naa, "Online")
    assert guest.on_disk(naa, "Initialize", PartitionStyle=2) == "41002"
    guest.on_disk(naa, "SetAttributes", IsReadOnly=False)
    assert guest.on_disk(naa, "CreatePartition", UseMaximumSize=True) == "41000"
    assert guest.on_disk(naa, "Initialize", PartitionStyle=7) == "5"
    assert guest.on_disk(naa, "Initialize", PartitionStyle=2) == "0"
    assert guest.on_disk(naa, "Initialize", PartitionStyle=2) == "41001"
    assert guest.on_disk(naa, "CreatePartition", UseMaximumSize=True, Size=GIB) == "5"
    assert guest.on_disk(naa, "CreatePartition", Size=1000 * GIB) == "40000"


def test_a_failure_comes_with_its_words(guest: Desk, naa: str) -> None:
    answer = guest.client.invoke(STORAGE, "MSFT_Disk", "Initialize", {"ObjectId": guest.disk(naa)["ObjectId"]}, PartitionStyle=2)
    assert answer["ExtendedStatus"]["Message"] == "The disk is offline."


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"FileSystem": "EXT4"}, "43001"),
        ({"FileSystem": "ReFS", "AllocationUnitSize": 8192}, "43000"),
        ({"AllocationUnitSize": 1000}, "43000"),
    ],
)
def test_a_file_system_that_windows_does_not_make(guest: Desk, naa: str, arguments: dict[str, Any], code: str) -> None:
    assert make_volume(guest, naa, **arguments)["ReturnValue"] == code


def test_a_formatted_volume_is_formatted_again_only_by_force(guest: Desk, naa: str) -> None:
    make_volume(guest, naa, FileSystem="NTFS")
    assert call(guest, "MSFT_Volume", volume_of(guest, naa), "Format", FileSystem="NTFS")["ReturnValue"] == "40001"
    assert call(guest, "MSFT_Volume", volume_of(guest, naa), "Format", FileSystem="NTFS", Force=True)["ReturnValue"] == "0"


def test_a_volume_grows_after_the_lun_has_grown(lab: Lab, host: Desk, guest: Desk, naa: str) -> None:
    make_volume(guest, naa, FileSystem="NTFS")
    before = partition_of(guest, naa)
    assert call(guest, "MSFT_Partition", before, "Resize", Size=8 * GIB)["ReturnValue"] == "4097"
    volumes = lab.world["array"]["svms"][0]["volumes"]
    next(lun for volume in volumes for lun in volume["luns"] if lun["name"] == "spare")["size"] = 9 * GIB
    host.rescan()
    assert guest.disk(naa)["Size"] == str(5 * GIB)
    guest.rescan()
    assert guest.disk(naa)["Size"] == str(9 * GIB)
    limits = call(guest, "MSFT_Partition", before, "GetSupportedSize")
    assert int(limits["SizeMax"]) > 8 * GIB
    assert call(guest, "MSFT_Partition", before, "Resize", Size=limits["SizeMax"])["ReturnValue"] == "0"
    assert int(volume_of(guest, naa)["Size"]) > 8 * GIB


def test_what_a_guest_wrote_stays_on_the_lun(lab: Lab, host: Desk, guest: Desk, naa: str) -> None:
    make_volume(guest, naa, FileSystem="NTFS")
    host.detach("win01", naa)
    lab.estate.timeline.settle(everything=True)
    guest.rescan()
    assert guest.machine.disks_of(naa) == []
    assert host.disk(naa)["PartitionStyle"] == "2"


def test_the_boot_disk_is_not_touched(guest: Desk) -> None:
    (boot,) = guest.client.query(STORAGE, "SELECT * FROM MSFT_Disk WHERE IsBoot = TRUE")
    keys = {"ObjectId": boot["ObjectId"]}
    answers = [
        guest.client.invoke(STORAGE, "MSFT_Disk", method, keys, **arguments)["ReturnValue"]
        for method, arguments in (("Offline", {}), ("Clear", {"RemoveData": True}), ("Initialize", {"PartitionStyle": 2}))
    ]
    assert answers == ["41009", "41009", "41001"]


def test_a_disk_with_data_is_cleared_only_when_told_so(guest: Desk, naa: str) -> None:
    make_volume(guest, naa, FileSystem="NTFS")
    assert guest.on_disk(naa, "Clear") == "41008"
    assert guest.on_disk(naa, "Clear", RemoveData=True) == "0"
    assert guest.disk(naa)["PartitionStyle"] == "0"


def test_a_guest_tells_its_vm_and_its_host(lab: Lab, guest: Desk) -> None:
    def value(name: str) -> str | None:
        answer = guest.client.invoke(CIMV2, "StdRegProv", "GetStringValue", hDefKey=HKLM, sSubKeyName=GUEST_PARAMETERS, sValueName=name)
        found: str | None = answer["sValue"]
        return found

    vm = next(vm for vm in lab.estate.vms.values() if vm.name == "win01")
    assert [value(name) for name in ("VirtualMachineId", "PhysicalHostNameFullyQualified", "Nothing")] == [vm.id, "hv01.lab", None]
    (product,) = guest.client.query(CIMV2, "SELECT UUID, Vendor FROM Win32_ComputerSystemProduct")
    assert product == {"UUID": vm.id, "Vendor": "Microsoft Corporation"}


def test_a_guest_is_no_hypervisor(lab: Lab, guest: Desk) -> None:
    assert lab.estate.machines[GUEST].role == "guest"
    assert "root/virtualization/v2" not in guest.client.service._namespaces
