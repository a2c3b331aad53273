# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controllers, drives and image files of VMs, and the disks of the host that can become one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.lab.hyperv import vms
from tests.lab.hyperv.cim import Row
from tests.lab.hyperv.providers.virtualization.kinds import (
    DEFINED,
    DEFINITIONS,
    STATUS_OK,
    SUBTYPE_DRIVE,
    SUBTYPE_DVD,
    SUBTYPE_IDE,
    SUBTYPE_RAW,
    SUBTYPE_SCSI,
    SUBTYPE_VHD,
    TYPE_DISK,
    TYPE_DVD,
    TYPE_IDE,
    TYPE_SCSI,
    TYPE_VHD,
    definition,
    resource,
)
from tests.lab.hyperv.providers.virtualization.paths import Paths
from tests.lab.hyperv.vms import SCSI, Attachment, Controller, Vm


class Devices:
    """The instances."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._estate = paths.estate
        self._machine = paths.machine

    def resources(self) -> Iterator[Row]:
        """Yield controllers and drives of the VMs, and what new ones are made from."""
        for subtype, kind in DEFINED.items():
            yield from (definition(subtype, kind, which) for which in DEFINITIONS)
        for vm in self._paths.vms():
            yield from (self._controller(vm, controller) for controller in vm.controllers)
            yield from (self._drive_setting(vm, attachment) for attachment in vm.attachments)

    def _controller(self, vm: Vm, controller: Controller) -> Row:
        scsi = controller.kind == SCSI
        return {
            **resource(
                f"{vm.instance_id}\\{controller.instance_suffix}", TYPE_SCSI if scsi else TYPE_IDE, SUBTYPE_SCSI if scsi else SUBTYPE_IDE
            ),
            "ElementName": "SCSI Controller" if scsi else f"IDE Controller {controller.number}",
            "Address": None if scsi else str(controller.number),
            "VirtualSystemIdentifiers": [f"{{{controller.guid}}}"] if scsi else [],
        }

    def _drive_setting(self, vm: Vm, attachment: Attachment) -> Row:
        kind, subtype, name = {
            vms.VHD: (TYPE_DISK, SUBTYPE_DRIVE, "Hard Drive"),
            vms.RAW_DISK: (TYPE_DISK, SUBTYPE_RAW, "Hard Drive"),
            vms.DVD: (TYPE_DVD, SUBTYPE_DVD, "DVD Drive"),
        }[attachment.kind]
        return {
            **resource(f"{vm.instance_id}\\{attachment.instance_suffix}", kind, subtype),
            "ElementName": name,
            "AddressOnParent": str(attachment.slot),
            "Parent": str(self._paths.controller_path(vm, attachment.controller)),
            "HostResource": self._host_resource(attachment) if attachment.kind == vms.RAW_DISK else [],
            "VirtualQuantity": 1,
        }

    def _host_resource(self, attachment: Attachment) -> list[str]:
        disk = next(iter(self._machine.disks_of(attachment.naa)), None)
        return [str(self._paths.disk_path(disk))] if disk else []

    def virtual_disks(self) -> Iterator[Row]:
        """Yield the image files of the VMs and of their checkpoints."""
        for vm in self._paths.vms():
            images = [attachment for attachment in vm.attachments if attachment.kind == vms.VHD]
            for attachment in images:
                yield self._virtual_disk(vm.instance_id, attachment, attachment.path, str(self._paths.drive_path(vm, attachment)))
            for age, (_first, identifier) in enumerate(reversed(vm.checkpoints), start=1):
                for attachment in images:
                    prefix = f"Microsoft:{identifier}"
                    drive = self._paths.path("Msvm_ResourceAllocationSettingData", InstanceID=f"{prefix}\\{attachment.instance_suffix}")
                    files = (attachment.path, *attachment.parents)
                    yield self._virtual_disk(prefix, attachment, files[min(age, len(files) - 1)], str(drive))

    @staticmethod
    def _virtual_disk(prefix: str, attachment: Attachment, path: str, parent: str) -> Row:
        return {
            **resource(f"{prefix}\\{attachment.instance_suffix[:-1]}L", TYPE_VHD, SUBTYPE_VHD),
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
        """Yield the disks that the host could give to a VM."""
        for disk in self._machine.disks:
            if self._estate.in_passthrough_pool(self._machine, disk):
                unit = disk.unit
                yield {
                    **dict(self._paths.disk_path(disk).keys),
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
                }

    def components_of_settings(self) -> Iterator[Row]:
        """Yield the links of the settings of VMs to those of their resources."""
        for row in self.resources():
            yield from self._component_link("Msvm_ResourceAllocationSettingData", str(row["InstanceID"]))
        for row in self.virtual_disks():
            yield from self._component_link("Msvm_StorageAllocationSettingData", str(row["InstanceID"]))

    def _component_link(self, class_name: str, instance_id: str) -> Iterator[Row]:
        group = instance_id.partition("\\")[0]
        if group != "Microsoft:Definition":
            yield {
                "GroupComponent": self._paths.settings_path(group),
                "PartComponent": self._paths.path(class_name, InstanceID=instance_id),
            }
