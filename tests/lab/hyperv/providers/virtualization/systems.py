# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host and its VMs, their settings, checkpoints, integration components and power, and the services of the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.lab.hyperv import vms
from tests.lab.hyperv.cim import Row, Value
from tests.lab.hyperv.clusters import OFFLINE, ONLINE, VIRTUAL_MACHINE
from tests.lab.hyperv.namespaces import Call
from tests.lab.hyperv.providers.virtualization.kinds import (
    INVALID_PARAMETER,
    INVALID_STATE,
    JOB_STARTED,
    POWER,
    STATE_ON,
    STATUS_NO_CONTACT,
    STATUS_OK,
)
from tests.lab.hyperv.providers.virtualization.paths import Paths
from tests.lab.hyperv.vms import Vm
from tests.lab.hyperv.xml_values import cim_xml

_FROM = {"on": {"off", "saved", "paused"}, "off": {"on"}, "saved": {"on", "off"}, "paused": {"on", "off", "saved"}}
"""From which state of a VM to which."""
KVP_GUID, SHUTDOWN_GUID = "2A34B1C2-FD73-4043-8A5B-DD2159BC743F", "9F8233AC-BE49-4C79-8EE3-E7E1985B2077"


class Systems:
    """The instances, and what turns a VM on or off."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._estate = paths.estate
        self._machine = paths.machine

    def systems(self) -> Iterator[Row]:
        """Yield the host itself and its VMs."""
        host = self._machine.short
        yield self._system(host, host, "Hosting Computer System", STATE_ON)
        states = {power: state for state, power in POWER.items()}
        for vm in self._paths.vms():
            yield self._system(vm.id, vm.name, "Virtual Machine", vm.enabled_state or states[vm.power])

    def _system(self, name: str, element_name: str, caption: str, state: int) -> Row:
        return {
            "CreationClassName": "Msvm_ComputerSystem",
            "Name": name,
            "ElementName": element_name,
            "Caption": caption,
            "Description": f"Microsoft {caption}",
            "EnabledState": state,
            "EnabledDefault": 2,
            "HealthState": 5,
            "OperationalStatus": [STATUS_OK],
            "RequestedState": 12,
            "NumberOfNumaNodes": 1,
            "OnTimeInMilliseconds": 86400000 if state == STATE_ON else 0,
            "ProcessID": 4321 if state == STATE_ON else None,
            "ReplicationMode": 0,
            "ReplicationState": 0,
            "ReplicationHealth": 0,
        }

    def settings(self) -> Iterator[Row]:
        """Yield the settings of the VMs and of their checkpoints."""
        for vm in self._paths.vms():
            parent = ""
            for name, identifier in vm.checkpoints:
                yield self._setting(vm, f"Microsoft:{identifier}", name, "Microsoft:Hyper-V:Snapshot:Realized", parent)
                parent = f"Microsoft:{identifier}"
            yield self._setting(vm, vm.instance_id, vm.name, "Microsoft:Hyper-V:System:Realized", parent)

    def _setting(self, vm: Vm, instance_id: str, name: str, kind: str, parent: str) -> Row:
        boot = next((attachment.path for attachment in vm.attachments if attachment.kind == vms.VHD), "C:\\VMs")
        identifier = instance_id.partition(":")[2]
        return {
            "InstanceID": instance_id,
            "ElementName": name,
            "Caption": "Virtual Machine Settings",
            "Description": "Active settings for the virtual machine.",
            "VirtualSystemIdentifier": vm.id,
            "VirtualSystemType": kind,
            "VirtualSystemSubType": f"Microsoft:Hyper-V:SubType:{vm.generation}",
            "BIOSGUID": f"{{{vm.id}}}",
            "Parent": str(self._paths.settings_path(parent)) if parent else None,
            "ConfigurationID": identifier,
            "ConfigurationDataRoot": boot.rpartition("\\")[0],
            "ConfigurationFile": f"Virtual Machines\\{identifier}.vmcx",
            "SnapshotDataRoot": boot.rpartition("\\")[0],
            "SwapFileDataRoot": boot.rpartition("\\")[0],
            "IsSaved": False,
            "Version": "10.0",
            "SecureBootEnabled": vm.generation == 2,
            "VirtualNumaEnabled": True,
        }

    def _service(self, class_name: str, name: str, element_name: str) -> Iterator[Row]:
        yield {
            "CreationClassName": class_name,
            "Name": name,
            "SystemCreationClassName": "Msvm_ComputerSystem",
            "SystemName": self._machine.short,
            "ElementName": element_name,
            "Caption": element_name,
            "EnabledState": 2,
            "Started": True,
            "StartMode": "Automatic",
            "OperationalStatus": [STATUS_OK],
        }

    def management_service(self) -> Iterator[Row]:
        """Yield the service that changes VMs."""
        return self._service("Msvm_VirtualSystemManagementService", "vmms", "Hyper-V Virtual System Management Service")

    def image_service(self) -> Iterator[Row]:
        """Yield the service that knows VHD files."""
        return self._service("Msvm_ImageManagementService", "vhdsvc", "Hyper-V Image Management Service")

    def components(self, class_name: str, guid: str) -> Iterator[Row]:
        """Yield the integration component of each VM."""
        for vm in self._paths.vms():
            yield {
                **dict(self._paths.component_path(vm, class_name, guid).keys),
                "ElementName": class_name.removeprefix("Msvm_").removesuffix("Component"),
                "EnabledState": 2 if vm.running else 3,
                "OperationalStatus": [STATUS_OK if vm.running and vm.integration else STATUS_NO_CONTACT],
                **({"GuestIntrinsicExchangeItems": _kvp(vm)} if class_name == "Msvm_KvpExchangeComponent" else {}),
            }

    def settings_of_systems(self) -> Iterator[Row]:
        """Yield the links of VMs to their settings."""
        for vm in self._paths.vms():
            yield {"ManagedElement": self._paths.system_path(vm), "SettingData": self._paths.settings_path(vm.instance_id)}

    def snapshots_of_systems(self) -> Iterator[Row]:
        """Yield the links of VMs to their checkpoints."""
        for vm in self._paths.vms():
            for _first, identifier in vm.checkpoints:
                yield {"Antecedent": self._paths.system_path(vm), "Dependent": self._paths.settings_path(f"Microsoft:{identifier}")}

    def devices_of_systems(self) -> Iterator[Row]:
        """Yield the links of VMs to their integration components."""
        for vm in self._paths.vms():
            for class_name, guid in (("Msvm_KvpExchangeComponent", KVP_GUID), ("Msvm_ShutdownComponent", SHUTDOWN_GUID)):
                yield {"GroupComponent": self._paths.system_path(vm), "PartComponent": self._paths.component_path(vm, class_name, guid)}

    def change_state(self, call: Call) -> Mapping[str, Value]:
        """Turn a VM on or off, save or pause it."""
        vm = self._estate.vms.get(call.key("Name"))
        power = POWER.get(call.number("RequestedState"))
        if vm is None or power is None:
            return {"ReturnValue": INVALID_PARAMETER}
        if power not in _FROM[vm.power]:
            return {"ReturnValue": INVALID_STATE}
        job = self._estate.start_job(vm, "Changing Virtual Machine State", lambda: self._set_power(vm, power))
        return {"ReturnValue": JOB_STARTED, "Job": self._paths.job_path(job)}

    def _set_power(self, vm: Vm, power: str) -> None:
        on = power == "on"
        vm.power, vm.integration = power, on
        cluster = self._estate.clusters.get(self._machine.cluster or "") if vm.highly_available else None
        for resource in cluster.resources.values() if cluster else ():
            if resource.type == VIRTUAL_MACHINE and self._estate.vm_of(resource) is vm:
                resource.state = ONLINE if on else OFFLINE


def _kvp(vm: Vm) -> list[str]:
    if not (vm.running and vm.integration):
        return []
    items = {"FullyQualifiedDomainName": f"{vm.name}.lab", "OSName": "Windows Server 2022 Datacenter"}
    return [cim_xml("Msvm_KvpExchangeDataItem", {"Data": ("string", data), "Name": ("string", name)}) for name, data in items.items()]
