# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""root\virtualization\v2: VMs, their settings and devices, and the virtual machine management service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Optional
from xml.sax.saxutils import escape, quoteattr

from tests.lab.hyperv import vms
from tests.lab.hyperv.cim import BadPath, Instance, ObjectPath, Row, Value
from tests.lab.hyperv.clusters import OFFLINE, ONLINE, VIRTUAL_MACHINE
from tests.lab.hyperv.estate import JOB_COMPLETED, JOB_FAILED, Estate, Job, JobError
from tests.lab.hyperv.faults import not_found
from tests.lab.hyperv.machines import Disk, Machine
from tests.lab.hyperv.mof import Schema
from tests.lab.hyperv.namespaces import Call, Provider
from tests.lab.hyperv.vms import IDE, MAX_SCSI_CONTROLLERS, SCSI, SLOTS, Attachment, Controller, Vm
from tests.lab.hyperv.xml_values import parse_cim_xml

NAMESPACE = "root/virtualization/v2"
DRIVE_POOL = "353B3BE8-310C-4CF4-839E-4E1B14616136"
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
STATE_ON, STATE_OFF = 2, 3
STATUS_OK, STATUS_NO_CONTACT = 2, 12
KVP_GUID, SHUTDOWN_GUID = "2A34B1C2-FD73-4043-8A5B-DD2159BC743F", "9F8233AC-BE49-4C79-8EE3-E7E1985B2077"

Change = Callable[[], Optional[ObjectPath]]


class Invalid(Exception):
    """An argument that the service does not take."""


def provider(estate: Estate, machine: Machine, schema: Schema) -> Provider:
    """Return what provides the namespace of the host."""
    part = _Part(estate, machine)
    service = _Service(estate, machine, schema, part)
    return Provider(
        {
            "Msvm_ComputerSystem": part.systems,
            "Msvm_VirtualSystemSettingData": part.settings,
            "Msvm_ResourceAllocationSettingData": part.resources,
            "Msvm_StorageAllocationSettingData": part.virtual_disks,
            "Msvm_DiskDrive": part.drives,
            "Msvm_ConcreteJob": part.jobs,
            "Msvm_VirtualSystemManagementService": part.management_service,
            "Msvm_ImageManagementService": part.image_service,
            "Msvm_KvpExchangeComponent": lambda: part.components("Msvm_KvpExchangeComponent", KVP_GUID),
            "Msvm_ShutdownComponent": lambda: part.components("Msvm_ShutdownComponent", SHUTDOWN_GUID),
            "Msvm_SettingsDefineState": part.settings_of_systems,
            "Msvm_SnapshotOfVirtualSystem": part.snapshots_of_systems,
            "Msvm_VirtualSystemSettingDataComponent": part.components_of_settings,
            "Msvm_SystemDevice": part.devices_of_systems,
        },
        {
            ("Msvm_VirtualSystemManagementService", "AddResourceSettings"): service.add,
            ("Msvm_VirtualSystemManagementService", "ModifyResourceSettings"): service.modify,
            ("Msvm_VirtualSystemManagementService", "RemoveResourceSettings"): service.remove,
            ("Msvm_ImageManagementService", "GetVirtualHardDiskSettingData"): service.describe_image,
            ("Msvm_ComputerSystem", "RequestStateChange"): service.change_state,
            ("Msvm_ConcreteJob", "GetError"): service.job_error,
            ("Msvm_ConcreteJob", "GetErrorEx"): service.job_errors,
        },
    )


class _Part:
    """The instances."""

    def __init__(self, estate: Estate, machine: Machine) -> None:
        self._estate = estate
        self._machine = machine

    def path(self, class_name: str, **keys: str) -> ObjectPath:
        """Return the full path of an instance of this host."""
        return ObjectPath(class_name, tuple(sorted(keys.items())), NAMESPACE, self._machine.short)

    def _vms(self) -> list[Vm]:
        return self._estate.vms_on(self._machine)

    def systems(self) -> Iterator[Row]:
        host = self._machine.short
        yield self._system(host, host, "Hosting Computer System", STATE_ON)
        for vm in self._vms():
            yield self._system(vm.id, vm.name, "Virtual Machine", STATE_ON if vm.running else STATE_OFF)

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
        for vm in self._vms():
            yield self._setting(vm, vm.instance_id, vm.name, "Microsoft:Hyper-V:System:Realized")
            for name, identifier in vm.checkpoints:
                yield self._setting(vm, f"Microsoft:{identifier}", name, "Microsoft:Hyper-V:Snapshot:Realized")

    def _setting(self, vm: Vm, instance_id: str, name: str, kind: str) -> Row:
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

    def resources(self) -> Iterator[Row]:
        for subtype, kind in DEFINED.items():
            yield from (_definition(subtype, kind, which) for which in DEFINITIONS)
        for vm in self._vms():
            yield from (self._controller(vm, controller) for controller in vm.controllers)
            yield from (self._drive_setting(vm, attachment) for attachment in vm.attachments)

    def _controller(self, vm: Vm, controller: Controller) -> Row:
        scsi = controller.kind == SCSI
        return {
            **_resource(
                f"{vm.instance_id}\\{controller.instance_suffix}", TYPE_SCSI if scsi else TYPE_IDE, SUBTYPE_SCSI if scsi else SUBTYPE_IDE
            ),
            "ElementName": "SCSI Controller" if scsi else f"IDE Controller {controller.number}",
            "Address": None if scsi else str(controller.number),
            "VirtualSystemIdentifiers": [f"{{{controller.guid}}}"] if scsi else [],
        }

    def controller_path(self, vm: Vm, controller: Controller) -> ObjectPath:
        """Return the path of a controller's settings."""
        return self.path("Msvm_ResourceAllocationSettingData", InstanceID=f"{vm.instance_id}\\{controller.instance_suffix}")

    def drive_path(self, vm: Vm, attachment: Attachment) -> ObjectPath:
        """Return the path of a drive's settings."""
        return self.path("Msvm_ResourceAllocationSettingData", InstanceID=f"{vm.instance_id}\\{attachment.instance_suffix}")

    def _drive_setting(self, vm: Vm, attachment: Attachment) -> Row:
        kind, subtype, name = {
            vms.VHD: (TYPE_DISK, SUBTYPE_DRIVE, "Hard Drive"),
            vms.RAW_DISK: (TYPE_DISK, SUBTYPE_RAW, "Hard Drive"),
            vms.DVD: (TYPE_DVD, SUBTYPE_DVD, "DVD Drive"),
        }[attachment.kind]
        return {
            **_resource(f"{vm.instance_id}\\{attachment.instance_suffix}", kind, subtype),
            "ElementName": name,
            "AddressOnParent": str(attachment.slot),
            "Parent": str(self.controller_path(vm, attachment.controller)),
            "HostResource": self._host_resource(attachment) if attachment.kind == vms.RAW_DISK else [],
            "VirtualQuantity": 1,
        }

    def _host_resource(self, attachment: Attachment) -> list[str]:
        disk = next(iter(self._machine.disks_of(attachment.naa)), None)
        return [str(self.disk_path(disk))] if disk else []

    def disk_path(self, disk: Disk) -> ObjectPath:
        """Return the path of a disk of the host."""
        return self.path(
            "Msvm_DiskDrive",
            CreationClassName="Msvm_DiskDrive",
            DeviceID=f"Microsoft:{DRIVE_POOL}\\{disk.number}",
            SystemCreationClassName="Msvm_ComputerSystem",
            SystemName=self._machine.short,
        )

    def virtual_disks(self) -> Iterator[Row]:
        for vm in self._vms():
            images = [attachment for attachment in vm.attachments if attachment.kind == vms.VHD]
            for attachment in images:
                yield self._virtual_disk(vm.instance_id, attachment, attachment.path, str(self.drive_path(vm, attachment)))
            for _first, identifier in vm.checkpoints:
                for attachment in images:
                    prefix = f"Microsoft:{identifier}"
                    drive = self.path("Msvm_ResourceAllocationSettingData", InstanceID=f"{prefix}\\{attachment.instance_suffix}")
                    yield self._virtual_disk(prefix, attachment, next(iter(attachment.parents), attachment.path), str(drive))

    @staticmethod
    def _virtual_disk(prefix: str, attachment: Attachment, path: str, parent: str) -> Row:
        return {
            **_resource(f"{prefix}\\{attachment.instance_suffix[:-1]}L", TYPE_VHD, SUBTYPE_VHD),
            "ElementName": "Hard Disk Image",
            "Parent": parent,
            "HostResource": [path],
            "VirtualQuantity": 1,
            "Access": 3,
            "CachingMode": 0,
            "VirtualResourceBlockSize": 512,
            "PersistentReservationsSupported": False,
            "StorageQoSPolicyID": "00000000-0000-0000-0000-000000000000",
        }

    def drives(self) -> Iterator[Row]:
        for disk in self._machine.disks:
            if self._estate.in_passthrough_pool(self._machine, disk):
                unit = disk.unit
                yield {
                    **dict(self.disk_path(disk).keys),
                    "Name": f"Disk {disk.number}",
                    "ElementName": f"Disk {disk.number} {unit.size / 1024**3:.2f} GB Bus 0 Lun {unit.lun} Target {unit.target}",
                    "Caption": "Physical Disk Drive",
                    "Description": "Physical Disk Drive",
                    "DriveNumber": disk.number,
                    "DefaultBlockSize": 512,
                    "MaxMediaSize": disk.unit.size // 1024,
                    "EnabledState": 5,
                    "HealthState": 5,
                    "OperationalStatus": [STATUS_OK],
                    "DiskIdentifier": disk.unit.unique_id,
                }

    def jobs(self) -> Iterator[Row]:
        for job in self._estate.jobs.values():
            if job.host == self._machine.name:
                yield _job_row(job)

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
        return self._service("Msvm_VirtualSystemManagementService", "vmms", "Hyper-V Virtual System Management Service")

    def image_service(self) -> Iterator[Row]:
        return self._service("Msvm_ImageManagementService", "vhdsvc", "Hyper-V Image Management Service")

    def components(self, class_name: str, guid: str) -> Iterator[Row]:
        """Yield the integration component of each VM."""
        for vm in self._vms():
            yield {
                **dict(self._component_path(vm, class_name, guid).keys),
                "ElementName": class_name.removeprefix("Msvm_").removesuffix("Component"),
                "EnabledState": 2 if vm.running else 3,
                "OperationalStatus": [STATUS_OK if vm.running and vm.integration else STATUS_NO_CONTACT],
                **({"GuestIntrinsicExchangeItems": _kvp(vm)} if class_name == "Msvm_KvpExchangeComponent" else {}),
            }

    def _component_path(self, vm: Vm, class_name: str, guid: str) -> ObjectPath:
        return self.path(
            class_name,
            CreationClassName=class_name,
            DeviceID=f"Microsoft:{vm.id}\\{guid}",
            SystemCreationClassName="Msvm_ComputerSystem",
            SystemName=vm.id,
        )

    def _system_path(self, vm: Vm) -> ObjectPath:
        return self.path("Msvm_ComputerSystem", CreationClassName="Msvm_ComputerSystem", Name=vm.id)

    def settings_path(self, instance_id: str) -> ObjectPath:
        """Return the path of the settings of a VM or checkpoint."""
        return self.path("Msvm_VirtualSystemSettingData", InstanceID=instance_id)

    def settings_of_systems(self) -> Iterator[Row]:
        for vm in self._vms():
            yield {"ManagedElement": self._system_path(vm), "SettingData": self.settings_path(vm.instance_id)}

    def snapshots_of_systems(self) -> Iterator[Row]:
        for vm in self._vms():
            for _first, identifier in vm.checkpoints:
                yield {"Antecedent": self._system_path(vm), "Dependent": self.settings_path(f"Microsoft:{identifier}")}

    def components_of_settings(self) -> Iterator[Row]:
        for row in self.resources():
            yield from self._component_link("Msvm_ResourceAllocationSettingData", str(row["InstanceID"]))
        for row in self.virtual_disks():
            yield from self._component_link("Msvm_StorageAllocationSettingData", str(row["InstanceID"]))

    def _component_link(self, class_name: str, instance_id: str) -> Iterator[Row]:
        group = instance_id.partition("\\")[0]
        if group != "Microsoft:Definition":
            yield {"GroupComponent": self.settings_path(group), "PartComponent": self.path(class_name, InstanceID=instance_id)}

    def devices_of_systems(self) -> Iterator[Row]:
        for vm in self._vms():
            for class_name, guid in (("Msvm_KvpExchangeComponent", KVP_GUID), ("Msvm_ShutdownComponent", SHUTDOWN_GUID)):
                yield {"GroupComponent": self._system_path(vm), "PartComponent": self._component_path(vm, class_name, guid)}


class _Service:
    """The methods."""

    def __init__(self, estate: Estate, machine: Machine, schema: Schema, part: _Part) -> None:
        self._estate = estate
        self._machine = machine
        self._schema = schema
        self._part = part

    def add(self, call: Call) -> Mapping[str, Value]:
        try:
            vm = self._vm_at(call.arguments.get("AffectedConfiguration"))
            changes = [self._addition(vm, str(text)) for text in call.list("ResourceSettings")]
        except Invalid:
            return {"ReturnValue": INVALID_PARAMETER}
        return self._do(vm, "Adding Virtual Machine Resource", changes)

    def modify(self, call: Call) -> Mapping[str, Value]:
        try:
            changes = [self._modification(str(text)) for text in call.list("ResourceSettings")]
        except Invalid:
            return {"ReturnValue": INVALID_PARAMETER}
        return self._do(changes[0][0], "Modifying Virtual Machine Resource", [change for _first, change in changes])

    def remove(self, call: Call) -> Mapping[str, Value]:
        try:
            removals = [self._removal(reference) for reference in call.list("ResourceSettings")]
        except Invalid:
            return {"ReturnValue": INVALID_PARAMETER}
        return self._do(removals[0][0], "Removing Virtual Machine Resource", [change for _first, change in removals], resulting=False)

    def _do(self, vm: Vm, caption: str, changes: Sequence[Change], *, resulting: bool = True) -> Mapping[str, Value]:
        """Apply the changes: at once when the VM is off and nothing speaks against it, otherwise in a job, which can tell what does."""
        if not vm.running and self._estate.job_error is None:
            try:
                paths = [path for change in changes if (path := change())]
                return {"ReturnValue": DONE, **({"ResultingResourceSettings": paths} if resulting else {})}
            except JobError:
                pass
        job = self._estate.start_job(self._machine.name, caption, lambda: _apply(changes))
        return {"ReturnValue": JOB_STARTED, "Job": self._part.path("Msvm_ConcreteJob", InstanceID=job.id)}

    def _vm_at(self, reference: object) -> Vm:
        if not isinstance(reference, ObjectPath) or reference.class_name.lower() != "msvm_virtualsystemsettingdata":
            raise Invalid
        wanted = str(dict(reference.keys).get("InstanceID", ""))
        vm = next((vm for vm in self._estate.vms_on(self._machine) if vm.instance_id.lower() == wanted.lower()), None)
        if vm is None:
            raise Invalid
        return vm

    def _instance(self, text: str) -> Instance:
        try:
            return parse_cim_xml(text, self._schema)
        except ValueError as error:
            raise Invalid from error

    def _addition(self, vm: Vm, text: str) -> Change:
        instance = self._instance(text)
        if not instance.cim_class.is_a("Msvm_ResourceAllocationSettingData"):
            raise Invalid
        subtype, kind = instance.get("ResourceSubType"), instance.get("ResourceType")
        if (subtype, kind) == (SUBTYPE_SCSI, TYPE_SCSI):
            return lambda: self._add_controller(vm)
        if (subtype, kind) != (SUBTYPE_RAW, TYPE_DISK):
            raise Invalid
        controller, slot = self._place(vm, instance)
        disk = self._disk(instance)
        return lambda: self._attach(vm, controller, slot, disk)

    def _place(self, vm: Vm, instance: Instance) -> tuple[Controller, int]:
        keys = _path_keys(instance.get("Parent"))
        prefix, _between, suffix = keys.get("InstanceID", "").partition("\\")
        controller = vm.controller(suffix) if prefix.lower() == vm.instance_id.lower() else None
        slot = str(instance.get("AddressOnParent") or "")
        if controller is None or not slot.isdigit() or int(slot) >= SLOTS[controller.kind]:
            raise Invalid
        return controller, int(slot)

    def _disk(self, instance: Instance) -> str:
        resources = instance.get("HostResource")
        if not isinstance(resources, list) or len(resources) != 1:
            raise Invalid
        device = _path_keys(resources[0]).get("DeviceID", "")
        pool, _between, number = device.rpartition("\\")
        if pool.lower() != f"microsoft:{DRIVE_POOL}".lower() or not number.isdigit():
            raise Invalid
        return number

    def _add_controller(self, vm: Vm) -> ObjectPath:
        if vm.running:
            raise JobError(
                INVALID_STATE, _text(vm, "add", "Synthetic SCSI Controller", "The virtual machine must be turned off. (0x80070015)")
            )
        if sum(controller.kind == SCSI for controller in vm.controllers) >= MAX_SCSI_CONTROLLERS:
            raise JobError(
                FAILED, _text(vm, "add", "Synthetic SCSI Controller", "The maximum number of controllers is in use. (0x80070057)")
            )
        return self._part.controller_path(vm, vm.add_scsi_controller())

    def _attach(self, vm: Vm, controller: Controller, slot: int, number: str) -> ObjectPath:
        """Put the host's disk of this number into the slot, if nothing speaks against it by now."""
        if vm.host != self._machine.name:
            raise JobError(INVALID_STATE, _text(vm, "add", "Physical Disk Drive", "The virtual machine is not on this host. (0x80070490)"))
        if controller.kind == IDE and vm.running:
            reason = "The virtual machine must be turned off to change an IDE controller. (0x80070015)"
            raise JobError(INVALID_STATE, _text(vm, "add", "Physical Disk Drive", reason))
        if vm.at(controller, slot):
            reason = f"The controller location {slot} is already in use. (0x80070057)"
            raise JobError(FAILED, _text(vm, "add", "Physical Disk Drive", reason))
        disk = self._machine.disk(int(number))
        if disk is None or not self._estate.in_passthrough_pool(self._machine, disk):
            reason = "The physical disk was not found, or it is not offline. (0x80070002)"
            raise JobError(FAILED, _text(vm, "add", "Physical Disk Drive", reason))
        if user := self._estate.user_of(disk.key):
            reason = f"The physical disk is used by virtual machine '{user.name}'. (0x80070020)"
            raise JobError(FAILED, _text(vm, "add", "Physical Disk Drive", reason))
        attachment = Attachment(vms.RAW_DISK, controller, slot, naa=disk.key)
        vm.attachments.append(attachment)
        return self._part.drive_path(vm, attachment)

    def _found(self, instance_id: str) -> tuple[Vm, Attachment]:
        prefix, _between, suffix = instance_id.partition("\\")
        for vm in self._estate.vms_on(self._machine):
            if vm.instance_id.lower() == prefix.lower():
                for attachment in vm.attachments:
                    if attachment.instance_suffix.lower() == suffix.lower():
                        return vm, attachment
        raise Invalid

    def _removal(self, reference: object) -> tuple[Vm, Change]:
        if not isinstance(reference, ObjectPath):
            raise Invalid
        vm, attachment = self._found(str(dict(reference.keys).get("InstanceID", "")))
        return vm, lambda: self._detach(vm, attachment)

    @staticmethod
    def _detach(vm: Vm, attachment: Attachment) -> None:
        if attachment.controller.kind == IDE and vm.running:
            reason = "The virtual machine must be turned off to change an IDE controller. (0x80070015)"
            raise JobError(INVALID_STATE, _text(vm, "remove", "Physical Disk Drive", reason))
        if attachment not in vm.attachments:
            raise JobError(FAILED, _text(vm, "remove", "Physical Disk Drive", "Element not found. (0x80070490)"))
        vm.attachments.remove(attachment)

    def _modification(self, text: str) -> tuple[Vm, Change]:
        instance = self._instance(text)
        vm, attachment = self._found(str(instance.get("InstanceID") or ""))
        controller, slot = self._place(vm, instance)
        return vm, lambda: self._move(vm, attachment, controller, slot)

    def _move(self, vm: Vm, attachment: Attachment, controller: Controller, slot: int) -> ObjectPath:
        if vm.running:
            raise JobError(
                INVALID_STATE, _text(vm, "modify", "Physical Disk Drive", "The virtual machine must be turned off. (0x80070015)")
            )
        if vm.at(controller, slot) not in (None, attachment):
            raise JobError(
                FAILED, _text(vm, "modify", "Physical Disk Drive", f"The controller location {slot} is already in use. (0x80070057)")
            )
        attachment.controller, attachment.slot = controller, slot
        return self._part.drive_path(vm, attachment)

    def describe_image(self, call: Call) -> Mapping[str, Value]:
        """Return the settings of a VHD file, which name its parent."""
        wanted = call.text("Path").lower()
        for vm in self._estate.vms_on(self._machine):
            for attachment in vm.attachments:
                files = [attachment.path, *attachment.parents]
                index = next((index for index, file in enumerate(files) if file and file.lower() == wanted), None)
                if index is not None:
                    return {"ReturnValue": DONE, "SettingData": _image_settings(attachment, files, index)}
        return {"ReturnValue": FAILED}

    def change_state(self, call: Call) -> Mapping[str, Value]:
        vm = self._estate.vms.get(call.key("Name"))
        state = call.number("RequestedState")
        if vm is None or state not in (STATE_ON, STATE_OFF):
            return {"ReturnValue": INVALID_PARAMETER}
        if vm.running == (state == STATE_ON):
            return {"ReturnValue": INVALID_STATE}
        job = self._estate.start_job(self._machine.name, "Changing Virtual Machine State", lambda: self._set_power(vm, state == STATE_ON))
        return {"ReturnValue": JOB_STARTED, "Job": self._part.path("Msvm_ConcreteJob", InstanceID=job.id)}

    def _set_power(self, vm: Vm, on: bool) -> None:
        vm.power, vm.integration = ("on" if on else "off"), on
        cluster = self._estate.clusters.get(self._machine.cluster or "") if vm.highly_available else None
        for resource in cluster.resources.values() if cluster else ():
            if resource.type == VIRTUAL_MACHINE and self._estate.vm_of(resource) is vm:
                resource.state = ONLINE if on else OFFLINE

    def _job(self, call: Call) -> Job:
        job = self._estate.jobs.get(call.key("InstanceID"))
        if job is None:
            raise not_found(call.key("InstanceID"))
        return job

    def job_error(self, call: Call) -> Mapping[str, Value]:
        job = self._job(call)
        return {"ReturnValue": DONE, "Error": _error_xml(job) if job.state == JOB_FAILED else None}

    def job_errors(self, call: Call) -> Mapping[str, Value]:
        job = self._job(call)
        return {"ReturnValue": DONE, "Errors": [_error_xml(job)] if job.state == JOB_FAILED else []}


def _apply(changes: Sequence[Change]) -> None:
    for change in changes:
        change()


def _text(vm: Vm, verb: str, device: str, reason: str) -> str:
    """Return a failure as the management service words it."""
    return (
        f"'{vm.name}' failed to {verb} device '{device}'. (Virtual machine ID {vm.id}) "
        f"'{vm.name}': Cannot {verb} the storage attachment. {reason} (Virtual machine ID {vm.id})"
    )


def _path_keys(text: object) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in ObjectPath.parse(str(text)).keys}
    except BadPath as error:
        raise Invalid from error


def _resource(instance_id: str, kind: int, subtype: str) -> Row:
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


def _definition(subtype: str, kind: int, which: str) -> Row:
    pool = {SUBTYPE_SCSI: "0A6E2A4D", SUBTYPE_DRIVE: "87B9C0D1", SUBTYPE_RAW: "3C1D2E5F", SUBTYPE_DVD: "9A8B7C6D"}[subtype]
    return {**_resource(f"Microsoft:Definition\\{pool}-310C-4CF4-839E-4E1B14616136\\{which}", kind, subtype), "ElementName": subtype}


def _job_row(job: Job) -> Row:
    done = job.state in (JOB_COMPLETED, JOB_FAILED)
    return {
        "InstanceID": job.id,
        "Name": "Msvm_ConcreteJob",
        "Caption": job.caption,
        "ElementName": job.caption,
        "Description": job.caption,
        "JobState": job.state,
        "JobStatus": {JOB_COMPLETED: "OK", JOB_FAILED: "Error"}.get(job.state, "Job is running"),
        "PercentComplete": 100 if done else 50,
        "ErrorCode": job.code,
        "ErrorDescription": job.message,
        "ErrorSummaryDescription": job.message.partition(". ")[0],
        "StartTime": job.started,
        "TimeSubmitted": job.started,
        "ElapsedTime": "00000000000000.050000:000",
        "DeleteOnCompletion": False,
        "Cancellable": False,
        "OperationalStatus": [STATUS_OK],
        "HealthState": 5,
        "JobType": 0,
    }


def _cim_xml(class_name: str, properties: Mapping[str, tuple[str, object]]) -> str:
    members = "".join(
        f"<PROPERTY NAME={quoteattr(name)} TYPE={quoteattr(kind)}><VALUE>{escape(str(value))}</VALUE></PROPERTY>"
        for name, (kind, value) in properties.items()
    )
    return f"<INSTANCE CLASSNAME={quoteattr(class_name)}>{members}</INSTANCE>"


def _error_xml(job: Job) -> str:
    return _cim_xml("Msvm_Error", {"ErrorSource": ("string", job.id), "Message": ("string", job.message), "CIMStatusCode": ("uint32", 1)})


def _image_settings(attachment: Attachment, files: Sequence[str], index: int) -> str:
    parent = files[index + 1] if index + 1 < len(files) else ""
    return _cim_xml(
        "Msvm_VirtualHardDiskSettingData",
        {
            "Type": ("uint16", 4 if parent else 3),
            "Format": ("uint16", 3),
            "ParentPath": ("string", parent),
            "MaxInternalSize": ("uint64", attachment.size),
            "BlockSize": ("uint32", 33554432),
            "LogicalSectorSize": ("uint32", 512),
            "PhysicalSectorSize": ("uint32", 4096),
        },
    )


def _kvp(vm: Vm) -> list[str]:
    if not (vm.running and vm.integration):
        return []
    items = {"FullyQualifiedDomainName": f"{vm.name}.lab", "OSName": "Windows Server 2022 Datacenter"}
    return [_cim_xml("Msvm_KvpExchangeDataItem", {"Data": ("string", data), "Name": ("string", name)}) for name, data in items.items()]
