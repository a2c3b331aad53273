# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an administrator does on a machine, for the tests of the lab's Windows machines."""

from __future__ import annotations

from typing import Any

from tests.lab.hyperv.running import STORAGE, VIRTUALIZATION, Client, Lab, cim_xml, reference

HOST, NODE1, NODE2, GUEST = "hv01.lab", "hvc1n1.lab", "hvc1n2.lab", "win01.lab"
SERVICE = "Msvm_VirtualSystemManagementService"
CONTROLLER_TYPES = {"SCSI": ("6", "Microsoft:Hyper-V:Synthetic SCSI Controller"), "IDE": ("5", "Microsoft:Hyper-V:Emulated IDE Controller")}


class Desk:
    """One host and what an administrator does there."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.client: Client = lab.clients[name]
        self.machine = lab.estate.machines[name]

    def rescan(self) -> None:
        """Let the host look for new disks."""
        assert self.client.invoke(STORAGE, "MSFT_StorageSetting", "UpdateHostStorageCache")["ReturnValue"] == "0"

    def disk(self, naa: str) -> dict[str, Any]:
        """Return the host's only disk of this name."""
        (found,) = self.client.query(STORAGE, f"SELECT * FROM MSFT_Disk WHERE UniqueId = '{naa.upper()}'")
        return found

    def on_disk(self, naa: str, method: str, **arguments: Any) -> str:
        """Call a method of the disk and return its return value."""
        keys = {"ObjectId": self.disk(naa)["ObjectId"]}
        value: str = self.client.invoke(STORAGE, "MSFT_Disk", method, keys, **arguments)["ReturnValue"]
        return value

    def initialize(self, naa: str) -> None:
        """Bring a raw disk online, initialise it as GPT and take it offline again."""
        self.prepare(naa)
        assert self.on_disk(naa, "Initialize", PartitionStyle=2) == "0"
        assert self.on_disk(naa, "Offline") == "0"

    def prepare(self, naa: str) -> None:
        """Bring a disk online, to be written to."""
        assert self.on_disk(naa, "Online") == "0"
        assert self.on_disk(naa, "SetAttributes", IsReadOnly=False) == "0"

    def drive_path(self, naa: str) -> str:
        """Return what HostResource holds for the disk."""
        number = self.disk(naa)["Number"]
        (drive,) = self.client.query(VIRTUALIZATION, f"SELECT * FROM Msvm_DiskDrive WHERE DriveNumber = {number}")
        device = drive["DeviceID"].replace("\\", "\\\\")
        return (
            f'\\\\{drive["SystemName"]}\\root\\virtualization\\v2:Msvm_DiskDrive.CreationClassName="Msvm_DiskDrive",'
            f'DeviceID="{device}",SystemCreationClassName="Msvm_ComputerSystem",SystemName="{drive["SystemName"]}"'
        )

    def service_keys(self) -> dict[str, str]:
        """Return the keys of the management service."""
        (found,) = self.client.query(VIRTUALIZATION, f"SELECT * FROM {SERVICE}")
        return {key: found[key] for key in ("CreationClassName", "Name", "SystemCreationClassName", "SystemName")}

    def settings_id(self, vm: str) -> str:
        """Return the InstanceID of a VM's realized settings."""
        kind = "Microsoft:Hyper-V:System:Realized"
        query = f"SELECT * FROM Msvm_VirtualSystemSettingData WHERE ElementName = '{vm}' AND VirtualSystemType = '{kind}'"
        (found,) = self.client.query(VIRTUALIZATION, query)
        value: str = found["InstanceID"]
        return value

    def controller_id(self, vm: str, kind: str = "SCSI") -> str:
        """Return the InstanceID of the VM's first controller of the kind."""
        subtype = CONTROLLER_TYPES[kind][1]
        prefix = self.settings_id(vm)
        query = f"SELECT * FROM Msvm_ResourceAllocationSettingData WHERE ResourceSubType = '{subtype}' AND InstanceID LIKE '{prefix}%'"
        value: str = self.client.query(VIRTUALIZATION, query)[0]["InstanceID"]
        return value

    def controller(self, vm: str, kind: str = "SCSI") -> str:
        """Return the object path of the VM's first controller of the kind."""
        found = self.controller_id(vm, kind).replace("\\", "\\\\")
        return f'\\\\X\\root\\virtualization\\v2:Msvm_ResourceAllocationSettingData.InstanceID="{found}"'

    def attach(self, vm: str, drive: str, slot: int = 5, kind: str = "SCSI") -> dict[str, Any]:
        """Ask for a pass-through disk in a slot; return the answer."""
        text = cim_xml(
            "Msvm_ResourceAllocationSettingData",
            Parent=self.controller(vm, kind),
            AddressOnParent=str(slot),
            ResourceType="17",
            ResourceSubType="Microsoft:Hyper-V:Physical Disk Drive",
            HostResource=[drive],
        )
        return self.add(vm, text)

    def add(self, vm: str, text: str) -> dict[str, Any]:
        """Call AddResourceSettings with one embedded instance."""
        settings = reference("Msvm_VirtualSystemSettingData", InstanceID=self.settings_id(vm))
        arguments = {"AffectedConfiguration": settings, "ResourceSettings": [text]}
        return self.client.invoke(VIRTUALIZATION, SERVICE, "AddResourceSettings", self.service_keys(), **arguments)

    def detach(self, vm: str, naa: str) -> dict[str, Any]:
        """Call RemoveResourceSettings for the pass-through disk of the VM."""
        prefix = self.settings_id(vm)
        subtype = "Microsoft:Hyper-V:Physical Disk Drive"
        query = f"SELECT * FROM Msvm_ResourceAllocationSettingData WHERE ResourceSubType = '{subtype}' AND InstanceID LIKE '{prefix}%'"
        number = f'\\\\{self.disk(naa)["Number"]}"'
        (found,) = [row for row in self.client.query(VIRTUALIZATION, query) if number in str(row.get("HostResource"))]
        return self.remove(found["InstanceID"])

    def remove(self, instance_id: str) -> dict[str, Any]:
        """Call RemoveResourceSettings for one resource."""
        settings = reference("Msvm_ResourceAllocationSettingData", InstanceID=instance_id)
        return self.client.invoke(VIRTUALIZATION, SERVICE, "RemoveResourceSettings", self.service_keys(), ResourceSettings=[settings])

    def request_state(self, vm: str, state: int) -> dict[str, Any]:
        """Call RequestStateChange; return the answer."""
        keys = {"CreationClassName": "Msvm_ComputerSystem", "Name": self.settings_id(vm).removeprefix("Microsoft:")}
        return self.client.invoke(VIRTUALIZATION, "Msvm_ComputerSystem", "RequestStateChange", keys, RequestedState=state)

    def change_state(self, vm: str, state: int) -> None:
        """Bring the VM into another state."""
        self.job(self.request_state(vm, state))
        self.lab.estate.timeline.settle(everything=True)

    def jobs(self, vm: str) -> list[dict[str, Any]]:
        """Return the jobs that change the VM."""
        system = f'Msvm_ComputerSystem.CreationClassName="Msvm_ComputerSystem",Name="{self.settings_id(vm).removeprefix("Microsoft:")}"'
        query = f"ASSOCIATORS OF {{{system}}} WHERE AssocClass = Msvm_AffectedJobElement ResultClass = Msvm_ConcreteJob"
        return self.client.query(VIRTUALIZATION, query)

    def job(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the job that an answer names."""
        assert answer["ReturnValue"] == "4096"
        return self.client.get(VIRTUALIZATION, "Msvm_ConcreteJob", **answer["Job"])
