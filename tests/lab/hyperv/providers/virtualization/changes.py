# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Hyper-V does to the storage of a VM, and what speaks against it at that moment: each refusal is a JobError."""

from __future__ import annotations

from tests.lab.hyperv import vms
from tests.lab.hyperv.cim import ObjectPath
from tests.lab.hyperv.estate import JobError
from tests.lab.hyperv.providers.virtualization.kinds import FAILED, INVALID_STATE, NOT_SUPPORTED
from tests.lab.hyperv.providers.virtualization.paths import Paths
from tests.lab.hyperv.vms import IDE, MAX_SCSI_CONTROLLERS, SCSI, Attachment, Controller, Vm


class Changes:
    """The changes, on the host that the VM should be on."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._estate = paths.estate
        self._machine = paths.machine

    def add_controller(self, vm: Vm) -> ObjectPath:
        """Add a SCSI controller."""
        _refuse_suspended(vm, "add", "Synthetic SCSI Controller")
        if vm.running:
            raise JobError(
                INVALID_STATE, _text(vm, "add", "Synthetic SCSI Controller", "The virtual machine must be turned off. (0x80070015)")
            )
        if sum(controller.kind == SCSI for controller in vm.controllers) >= MAX_SCSI_CONTROLLERS:
            raise JobError(
                FAILED, _text(vm, "add", "Synthetic SCSI Controller", "The maximum number of controllers is in use. (0x80070057)")
            )
        return self._paths.controller_path(vm, vm.add_scsi_controller())

    def attach(self, vm: Vm, controller: Controller, slot: int, number: str) -> ObjectPath:
        """Put the host's disk of this number into the slot, if nothing speaks against it by now."""
        _refuse_suspended(vm, "add", "Physical Disk Drive")
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
        return self._paths.drive_path(vm, attachment)

    def detach(self, vm: Vm, attachment: Attachment) -> None:
        """Take the disk out of the VM."""
        _refuse_suspended(vm, "remove", "Physical Disk Drive")
        if attachment.controller.kind == IDE and vm.running:
            reason = "The virtual machine must be turned off to change an IDE controller. (0x80070015)"
            raise JobError(INVALID_STATE, _text(vm, "remove", "Physical Disk Drive", reason))
        if attachment not in vm.attachments:
            raise JobError(FAILED, _text(vm, "remove", "Physical Disk Drive", "Element not found. (0x80070490)"))
        vm.attachments.remove(attachment)
        self._estate.unplug(vm, attachment.medium)

    @staticmethod
    def remove_controller(vm: Vm, controller: Controller) -> None:
        """Take a SCSI controller without drives out of the VM."""
        device = "Synthetic SCSI Controller"
        if controller.kind == IDE:
            raise JobError(NOT_SUPPORTED, _text(vm, "remove", "Emulated IDE Controller", "The request is not supported. (0x80070032)"))
        if vm.running:
            raise JobError(INVALID_STATE, _text(vm, "remove", device, "The virtual machine must be turned off. (0x80070015)"))
        if any(attachment.controller is controller for attachment in vm.attachments):
            raise JobError(INVALID_STATE, _text(vm, "remove", device, "The controller has drives. (0x80070015)"))
        vm.remove_scsi_controller(controller)

    def move(self, vm: Vm, attachment: Attachment, controller: Controller, slot: int) -> ObjectPath:
        """Put the disk into another slot."""
        if vm.running:
            raise JobError(
                INVALID_STATE, _text(vm, "modify", "Physical Disk Drive", "The virtual machine must be turned off. (0x80070015)")
            )
        if vm.at(controller, slot) not in (None, attachment):
            raise JobError(
                FAILED, _text(vm, "modify", "Physical Disk Drive", f"The controller location {slot} is already in use. (0x80070057)")
            )
        attachment.controller, attachment.slot = controller, slot
        return self._paths.drive_path(vm, attachment)


def _refuse_suspended(vm: Vm, verb: str, device: str) -> None:
    if vm.power in ("saved", "paused"):
        raise JobError(INVALID_STATE, _text(vm, verb, device, f"The virtual machine is {vm.power}. (0x80070015)"))


def _text(vm: Vm, verb: str, device: str, reason: str) -> str:
    """Return a failure as the management service words it."""
    return (
        f"'{vm.name}' failed to {verb} device '{device}'. (Virtual machine ID {vm.id}) "
        f"'{vm.name}': Cannot {verb} the storage attachment. {reason} (Virtual machine ID {vm.id})"
    )
