# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A single host: disks come by a rescan, a VM gets one only when everything is right, and jobs tell what is wrong."""

from __future__ import annotations

import pytest

from tests.lab.hyperv.estate import JobError
from tests.lab.hyperv.faults import ProviderFault
from tests.lab.hyperv.running import STORAGE, VIRTUALIZATION, Lab, cim_xml, reference
from tests.lab.world import naa_at
from tests.unit.lab.hyperv.desk import HOST, SERVICE, Desk

SCSI_CONTROLLER = cim_xml(
    "Msvm_ResourceAllocationSettingData", ResourceType="6", ResourceSubType="Microsoft:Hyper-V:Synthetic SCSI Controller"
)
RAW = naa_at("/vol/vol_hv/hv01_raw")
DATA = naa_at("/vol/vol_hv/hv01_data")


@pytest.fixture
def naa(lab: Lab, host: Desk) -> str:
    """A new LUN that the host has found."""
    name = lab.map_lun("hv_hv01")
    host.rescan()
    return name


def test_a_lun_appears_at_the_rescan_offline_raw_and_read_only(lab: Lab, host: Desk) -> None:
    naa = lab.map_lun("hv_hv01")
    assert host.client.query(STORAGE, f"SELECT * FROM MSFT_Disk WHERE UniqueId = '{naa}'") == []
    host.rescan()
    disk = host.disk(naa)
    assert (disk["IsOffline"], disk["IsReadOnly"], disk["PartitionStyle"], disk["OfflineReason"]) == ("true", "true", "0", "1")
    assert (disk["UniqueId"], disk["UniqueIdFormat"], disk["Number"]) == (naa.upper(), "3", "3")
    assert disk["Path"].startswith("\\\\?\\mpio")


def test_a_rescan_of_one_host_tells_the_others_nothing(lab: Lab, node: Desk, other_node: Desk) -> None:
    naa = lab.map_lun("hv_hvc1")
    node.rescan()
    assert node.disk(naa)
    assert other_node.machine.disks_of(naa) == []


def test_without_mpio_one_lun_is_several_disks_with_one_name(lab: Lab, host: Desk) -> None:
    naa = lab.map_lun("hv_hv01")
    lab.estate.set_multipath(HOST, on=False)
    host.rescan()
    disks = host.client.query(STORAGE, f"SELECT * FROM MSFT_Disk WHERE UniqueId = '{naa}'")
    assert len(disks) == 3
    assert {disk["Path"].startswith("\\\\?\\scsi") for disk in disks} == {True}


def test_numbers_change_at_a_boot_and_names_do_not(lab: Lab, host: Desk, naa: str) -> None:
    before = {disk["UniqueId"]: disk["Number"] for disk in host.client.query(STORAGE, "SELECT UniqueId, Number FROM MSFT_Disk")}
    lab.estate.reboot(HOST)
    after = {disk["UniqueId"]: disk["Number"] for disk in host.client.query(STORAGE, "SELECT UniqueId, Number FROM MSFT_Disk")}
    assert set(before) == set(after)
    assert before[naa.upper()] != after[naa.upper()]
    assert sorted(before.values()) == sorted(after.values())


def test_only_an_offline_disk_is_in_the_pool_for_vms(host: Desk, naa: str) -> None:
    query = f"SELECT * FROM Msvm_DiskDrive WHERE DriveNumber = {host.disk(naa)['Number']}"
    assert len(host.client.query(VIRTUALIZATION, query)) == 1
    host.on_disk(naa, "Online")
    assert host.client.query(VIRTUALIZATION, query) == []


def test_a_running_vm_gets_the_disk_by_a_job(lab: Lab, host: Desk, naa: str) -> None:
    lab.estate.timeline.seconds = 0.2
    answer = host.attach("hvapp01", host.drive_path(naa))
    running = host.job(answer)
    assert (running["JobState"], running["PercentComplete"]) == ("4", "50")
    lab.estate.timeline.settle(everything=True)
    done = host.job(answer)
    assert (done["JobState"], done["ErrorCode"], done["ErrorDescription"]) == ("7", "0", "")
    user = lab.estate.user_of(naa)
    assert user is not None
    assert user.name == "hvapp01"


def test_a_vm_that_is_off_gets_the_disk_at_once(host: Desk, naa: str) -> None:
    answer = host.attach("hvold01", host.drive_path(naa), slot=9)
    assert answer["ReturnValue"] == "0"
    row = host.client.get(VIRTUALIZATION, "Msvm_ResourceAllocationSettingData", **answer["ResultingResourceSettings"])
    assert (row["AddressOnParent"], row["ResourceSubType"]) == ("9", "Microsoft:Hyper-V:Physical Disk Drive")
    assert row["HostResource"] == host.drive_path(naa)


def test_an_attached_disk_goes_again(lab: Lab, host: Desk, naa: str) -> None:
    before = lab.estate.canonical()
    host.attach("hvapp01", host.drive_path(naa))
    lab.estate.timeline.settle(everything=True)
    assert host.job(host.detach("hvapp01", naa))
    assert lab.estate.canonical() == before


@pytest.mark.parametrize(
    ("vm", "slot", "kind", "text"),
    [
        ("hvapp01", 1, "SCSI", "location 1 is already in use"),
        ("hvide01", 1, "IDE", "must be turned off"),
    ],
)
def test_a_slot_that_cannot_take_the_disk_fails_the_job(host: Desk, naa: str, vm: str, slot: int, kind: str, text: str) -> None:
    job = host.job(host.attach(vm, host.drive_path(naa), slot, kind))
    assert job["JobState"] == "10"
    assert text in job["ErrorDescription"]
    assert int(job["ErrorCode"]) >= 32768


def test_a_disk_that_is_online_fails_the_job(host: Desk, naa: str) -> None:
    drive = host.drive_path(naa)
    host.on_disk(naa, "Online")
    job = host.job(host.attach("hvapp01", drive))
    assert job["JobState"] == "10"
    assert "not offline" in job["ErrorDescription"]


def test_a_disk_of_another_vm_fails_the_job(host: Desk) -> None:
    job = host.job(host.attach("hvapp01", host.drive_path(RAW)))
    assert "used by virtual machine 'hvdb01'" in job["ErrorDescription"]


def test_a_stale_number_reaches_another_disk_or_none(lab: Lab, host: Desk, naa: str) -> None:
    drive = host.drive_path(naa)
    lab.estate.reboot(HOST)
    job = host.job(host.attach("hvapp01", drive))
    assert job["JobState"] == "10"
    assert naa not in {name for vm in lab.estate.vms.values() for name in vm.raw_disks}


@pytest.mark.parametrize("slot", [64, 1000])
def test_a_slot_beyond_the_controller_is_no_valid_argument(host: Desk, naa: str, slot: int) -> None:
    assert host.attach("hvapp01", host.drive_path(naa), slot)["ReturnValue"] == "32773"


@pytest.mark.parametrize(
    "text",
    ["no xml", "<INSTANCE CLASSNAME='Nothing'/>", cim_xml("Msvm_ResourceAllocationSettingData", Colour="red"), cim_xml("Msvm_DiskDrive")],
)
def test_a_malformed_instance_is_no_valid_argument(host: Desk, text: str) -> None:
    assert host.add("hvapp01", text)["ReturnValue"] == "32773"


def test_a_vm_of_another_host_is_no_valid_argument(lab: Lab, host: Desk) -> None:
    elsewhere = next(vm for vm in lab.estate.vms.values() if vm.name == "c1app01")
    settings = reference("Msvm_VirtualSystemSettingData", InstanceID=elsewhere.instance_id)
    arguments = {"AffectedConfiguration": settings, "ResourceSettings": [SCSI_CONTROLLER]}
    answer = host.client.invoke(VIRTUALIZATION, SERVICE, "AddResourceSettings", host.service_keys(), **arguments)
    assert answer["ReturnValue"] == "32773"


def test_a_controller_comes_only_to_a_vm_that_is_off_and_only_four_times(host: Desk) -> None:
    assert "must be turned off" in host.job(host.add("hvide01", SCSI_CONTROLLER))["ErrorDescription"]
    assert [host.add("hvold01", SCSI_CONTROLLER)["ReturnValue"] for _turn in range(4)] == ["0", "0", "0", "4096"]


def test_a_controller_goes_only_from_a_vm_that_is_off_and_only_without_drives(lab: Lab, host: Desk, naa: str) -> None:
    before = lab.estate.canonical()
    added = host.add("hvold01", SCSI_CONTROLLER)["ResultingResourceSettings"]
    assert host.remove(added["InstanceID"])["ReturnValue"] == "0"
    assert lab.estate.canonical() == before
    assert host.attach("hvold01", host.drive_path(naa))["ReturnValue"] == "0"
    assert "has drives" in host.job(host.remove(host.controller_id("hvold01")))["ErrorDescription"]
    assert "must be turned off" in host.job(host.remove(host.controller_id("hvapp01")))["ErrorDescription"]
    assert "not supported" in host.job(host.remove(host.controller_id("hvold01", "IDE")))["ErrorDescription"]


@pytest.mark.parametrize(("state", "power"), [(6, "saved"), (9, "paused")])
def test_a_vm_that_is_saved_or_paused_takes_no_disk_until_it_runs_again(lab: Lab, host: Desk, naa: str, state: int, power: str) -> None:
    host.change_state("hvapp01", state)
    assert f"is {power}" in host.job(host.attach("hvapp01", host.drive_path(naa)))["ErrorDescription"]
    assert host.request_state("hvapp01", state)["ReturnValue"] == "32775"
    host.change_state("hvapp01", 2)
    assert host.job(host.attach("hvapp01", host.drive_path(naa)))["ErrorDescription"] == ""


def test_a_vm_leads_to_the_jobs_that_change_it(host: Desk, naa: str) -> None:
    host.attach("hvapp01", host.drive_path(naa))
    assert [job["Caption"] for job in host.jobs("hvapp01")] == ["Adding Virtual Machine Resource"]
    assert host.jobs("hvdb01") == []


def test_a_job_fails_as_a_fault_says(lab: Lab, host: Desk, naa: str) -> None:
    drive = host.drive_path(naa)
    lab.estate.job_error = JobError(32768, "Account does not have permission.")
    text = cim_xml(
        "Msvm_ResourceAllocationSettingData",
        Parent=host.controller("hvapp01"),
        AddressOnParent="7",
        ResourceType="17",
        ResourceSubType="Microsoft:Hyper-V:Physical Disk Drive",
        HostResource=[drive],
    )
    job = host.job(host.add("hvapp01", text))
    assert (job["JobState"], job["ErrorDescription"]) == ("10", "Account does not have permission.")
    assert lab.estate.user_of(naa) is None


def test_the_parent_of_a_differencing_disk_is_in_its_settings(host: Desk) -> None:
    keys = host.client.query(VIRTUALIZATION, "SELECT * FROM Msvm_ImageManagementService")[0]
    service = {key: keys[key] for key in ("CreationClassName", "Name", "SystemCreationClassName", "SystemName")}
    method, path = "GetVirtualHardDiskSettingData", "E:\\VMs\\hvchain01\\leaf.avhdx"
    answer = host.client.invoke(VIRTUALIZATION, "Msvm_ImageManagementService", method, service, Path=path)
    assert "<VALUE>E:\\VMs\\hvchain01\\middle.avhdx</VALUE>" in answer["SettingData"]


def test_integration_services_that_do_not_answer_show_it(host: Desk) -> None:
    vm = host.settings_id("hvnoic01").removeprefix("Microsoft:")
    (row,) = host.client.query(VIRTUALIZATION, f"SELECT * FROM Msvm_ShutdownComponent WHERE SystemName = '{vm}'")
    assert row["OperationalStatus"] == "12"


def test_a_disk_in_use_by_a_file_system_cannot_be_attached(host: Desk) -> None:
    assert host.client.query(VIRTUALIZATION, f"SELECT * FROM Msvm_DiskDrive WHERE DriveNumber = {host.disk(DATA)['Number']}") == []


def test_a_lun_that_the_array_hides_is_gone_after_a_rescan(lab: Lab, host: Desk, naa: str) -> None:
    groups = lab.world["array"]["svms"][0]["igroups"]
    maps = next(group for group in groups if group["name"] == "hv_hv01")["maps"]
    maps.pop()
    assert host.disk(naa)
    host.rescan()
    assert host.machine.disks_of(naa) == []


def test_an_array_that_does_not_answer_is_a_generic_failure(lab: Lab, host: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_unused: object) -> list[dict[str, object]]:
        raise OSError("Connection refused")

    monkeypatch.setattr(lab.fabric, "presented", broken)
    with pytest.raises(ProviderFault, match="does not answer"):
        host.rescan()
