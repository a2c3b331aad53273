# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the objects of one host are called."""

from __future__ import annotations

from tests.lab.hyperv.cim import ObjectPath
from tests.lab.hyperv.estate import Estate, Job
from tests.lab.hyperv.machines import Disk, Machine
from tests.lab.hyperv.vms import Attachment, Controller, Vm

NAMESPACE = "root/virtualization/v2"
DRIVE_POOL = "353B3BE8-310C-4CF4-839E-4E1B14616136"


class Paths:
    """Full object paths, on the estate that all hosts share."""

    def __init__(self, estate: Estate, machine: Machine) -> None:
        self.estate = estate
        self.machine = machine

    def path(self, class_name: str, **keys: str) -> ObjectPath:
        """Return the full path of an instance of this host."""
        return ObjectPath(class_name, tuple(sorted(keys.items())), NAMESPACE, self.machine.short)

    def vms(self) -> list[Vm]:
        """Return the VMs that this host has now."""
        return self.estate.vms_on(self.machine)

    def system_path(self, vm: Vm) -> ObjectPath:
        """Return the path of a VM."""
        return self.path("Msvm_ComputerSystem", CreationClassName="Msvm_ComputerSystem", Name=vm.id)

    def settings_path(self, instance_id: str) -> ObjectPath:
        """Return the path of the settings of a VM or checkpoint."""
        return self.path("Msvm_VirtualSystemSettingData", InstanceID=instance_id)

    def controller_path(self, vm: Vm, controller: Controller) -> ObjectPath:
        """Return the path of a controller's settings."""
        return self.path("Msvm_ResourceAllocationSettingData", InstanceID=f"{vm.instance_id}\\{controller.instance_suffix}")

    def drive_path(self, vm: Vm, attachment: Attachment) -> ObjectPath:
        """Return the path of a drive's settings."""
        return self.path("Msvm_ResourceAllocationSettingData", InstanceID=f"{vm.instance_id}\\{attachment.instance_suffix}")

    def disk_path(self, disk: Disk) -> ObjectPath:
        """Return the path of a disk of the host."""
        return self.path(
            "Msvm_DiskDrive",
            CreationClassName="Msvm_DiskDrive",
            DeviceID=f"Microsoft:{DRIVE_POOL}\\{disk.number}",
            SystemCreationClassName="Msvm_ComputerSystem",
            SystemName=self.machine.short,
        )

    def component_path(self, vm: Vm, class_name: str, guid: str) -> ObjectPath:
        """Return the path of an integration component of a VM."""
        return self.path(
            class_name,
            CreationClassName=class_name,
            DeviceID=f"Microsoft:{vm.id}\\{guid}",
            SystemCreationClassName="Msvm_ComputerSystem",
            SystemName=vm.id,
        )

    def job_path(self, job: Job) -> ObjectPath:
        """Return the path of a job."""
        return self.path("Msvm_ConcreteJob", InstanceID=job.id)
