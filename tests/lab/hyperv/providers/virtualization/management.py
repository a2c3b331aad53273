# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual machine management service: what it is asked to change, and in which job it does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Optional

from tests.lab.hyperv.cim import BadPath, Instance, ObjectPath, Value
from tests.lab.hyperv.estate import JobError
from tests.lab.hyperv.mof import Schema
from tests.lab.hyperv.namespaces import Call
from tests.lab.hyperv.providers.virtualization.changes import Changes
from tests.lab.hyperv.providers.virtualization.kinds import (
    DONE,
    INVALID_PARAMETER,
    JOB_STARTED,
    SUBTYPE_RAW,
    SUBTYPE_SCSI,
    TYPE_DISK,
    TYPE_SCSI,
)
from tests.lab.hyperv.providers.virtualization.paths import DRIVE_POOL, Paths
from tests.lab.hyperv.vms import SLOTS, Attachment, Controller, Vm
from tests.lab.hyperv.xml_values import parse_cim_xml

Change = Callable[[], Optional[ObjectPath]]


class Invalid(Exception):
    """An argument that the service does not take."""


class Management:
    """The methods."""

    def __init__(self, paths: Paths, schema: Schema) -> None:
        self._paths = paths
        self._estate = paths.estate
        self._machine = paths.machine
        self._schema = schema
        self._changes = Changes(paths)

    def add(self, call: Call) -> Mapping[str, Value]:
        """Add resources to a VM."""
        try:
            vm = self._vm_at(call.arguments.get("AffectedConfiguration"))
            changes = [self._addition(vm, str(text)) for text in call.list("ResourceSettings")]
        except Invalid:
            return {"ReturnValue": INVALID_PARAMETER}
        return self._do(vm, "Adding Virtual Machine Resource", changes)

    def modify(self, call: Call) -> Mapping[str, Value]:
        """Change resources of a VM."""
        try:
            changes = [self._modification(str(text)) for text in call.list("ResourceSettings")]
        except Invalid:
            return {"ReturnValue": INVALID_PARAMETER}
        return self._do(changes[0][0], "Modifying Virtual Machine Resource", [change for _first, change in changes])

    def remove(self, call: Call) -> Mapping[str, Value]:
        """Remove resources from a VM."""
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
        job = self._estate.start_job(vm, caption, lambda: _apply(changes))
        return {"ReturnValue": JOB_STARTED, "Job": self._paths.job_path(job)}

    def _vm_at(self, reference: object) -> Vm:
        if not isinstance(reference, ObjectPath) or reference.class_name.lower() != "msvm_virtualsystemsettingdata":
            raise Invalid
        wanted = str(dict(reference.keys).get("InstanceID", ""))
        vm = next((vm for vm in self._paths.vms() if vm.instance_id.lower() == wanted.lower()), None)
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
            return lambda: self._changes.add_controller(vm)
        if (subtype, kind) != (SUBTYPE_RAW, TYPE_DISK):
            raise Invalid
        controller, slot = self._place(vm, instance)
        disk = self._disk(instance)
        return lambda: self._changes.attach(vm, controller, slot, disk)

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

    def _found(self, instance_id: str) -> tuple[Vm, Attachment]:
        prefix, _between, suffix = instance_id.partition("\\")
        for vm in self._paths.vms():
            if vm.instance_id.lower() == prefix.lower():
                for attachment in vm.attachments:
                    if attachment.instance_suffix.lower() == suffix.lower():
                        return vm, attachment
        raise Invalid

    def _removal(self, reference: object) -> tuple[Vm, Change]:
        if not isinstance(reference, ObjectPath):
            raise Invalid
        wanted = str(dict(reference.keys).get("InstanceID", ""))
        owner, controller = self._found_controller(wanted)
        if owner and controller:
            return owner, lambda: self._changes.remove_controller(owner, controller)
        vm, attachment = self._found(wanted)
        return vm, lambda: self._changes.detach(vm, attachment)

    def _found_controller(self, instance_id: str) -> tuple[Vm | None, Controller | None]:
        prefix, _between, suffix = instance_id.partition("\\")
        vm = next((vm for vm in self._paths.vms() if vm.instance_id.lower() == prefix.lower()), None)
        return vm, vm.controller(suffix) if vm else None

    def _modification(self, text: str) -> tuple[Vm, Change]:
        instance = self._instance(text)
        vm, attachment = self._found(str(instance.get("InstanceID") or ""))
        controller, slot = self._place(vm, instance)
        return vm, lambda: self._changes.move(vm, attachment, controller, slot)


def _apply(changes: Sequence[Change]) -> None:
    for change in changes:
        change()


def _path_keys(text: object) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in ObjectPath.parse(str(text)).keys}
    except BadPath as error:
        raise Invalid from error
