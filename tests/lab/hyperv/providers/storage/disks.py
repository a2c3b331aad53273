# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be done to a disk."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.hyperv.cim import Value
from tests.lab.hyperv.machines import Disk
from tests.lab.hyperv.media import GPT, MBR, RAW
from tests.lab.hyperv.namespaces import Call
from tests.lab.hyperv.providers.storage.codes import Code, Failed
from tests.lab.hyperv.providers.storage.objects import Objects, array_needed

TABLE_BYTES = 64 * 1024


class Disks:
    """The methods."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._estate = objects.estate
        self._machine = objects.machine

    def rescan(self, call: Call) -> Mapping[str, Value]:
        """Let the machine look for disks; new ones are offline."""
        if self._machine.blind_rescans:
            self._machine.blind_rescans -= 1
            return {}
        with array_needed():
            found = self._estate.rescan(self._machine)
        for disk in found:
            self._estate.notice_later(disk)
        return {}

    def initialize(self, call: Call) -> Mapping[str, Value]:
        """Write a partition table to a raw disk."""
        disk = self._objects.disk(call)
        medium, style = self._objects.writable(disk), call.number("PartitionStyle", GPT)
        if style not in (MBR, GPT):
            raise Failed(Code.INVALID_PARAMETER)
        if medium.style != RAW:
            raise Failed(Code.INITIALIZED)
        self._objects.wrote(disk, TABLE_BYTES)
        medium.initialize(style, disk.unit.size)
        return {}

    def clear(self, call: Call) -> Mapping[str, Value]:
        """Remove the partition table, and what it lists only by request."""
        disk = self._objects.disk(call)
        medium = self._objects.writable(disk)
        if disk.boot:
            raise Failed(Code.CRITICAL)
        if self._estate.clustered(self._machine, disk):
            raise Failed(Code.CLUSTER_KEEPS)
        if medium.style == RAW:
            raise Failed(Code.NOT_INITIALIZED)
        if any(medium.volumes()) and not call.flag("RemoveData"):
            raise Failed(Code.HAS_DATA)
        medium.clear()
        return {}

    def online(self, call: Call) -> Mapping[str, Value]:
        """Let the machine use the disk, unless the cluster or a running VM has it."""
        disk = self._objects.disk(call)
        if self._estate.clustered(self._machine, disk):
            raise Failed(Code.CLUSTERED)
        if self._in_vm(disk):
            raise Failed(Code.ACCESS_DENIED)
        if self._objects.twin(disk):
            self._estate.medium(disk.key).sign_anew()
        disk.offline = False
        return {}

    def offline(self, call: Call) -> Mapping[str, Value]:
        """Take the disk from the machine."""
        disk = self._objects.disk(call)
        if disk.boot:
            raise Failed(Code.CRITICAL)
        if self._estate.clustered(self._machine, disk):
            raise Failed(Code.CLUSTERED)
        disk.offline = True
        self._estate.notice_later(disk)
        return {}

    def _in_vm(self, disk: Disk) -> bool:
        vm = self._estate.user_of(disk.key)
        return vm is not None and vm.host == self._machine.name and vm.running

    def set_attributes(self, call: Call) -> Mapping[str, Value]:
        """Write an attribute; only ``IsReadOnly`` can be."""
        disk = self._objects.disk(call)
        if call.text("Guid") or call.text("Signature"):
            raise Failed(Code.NOT_SUPPORTED)
        if call.arguments.get("IsReadOnly") is not None:
            disk.read_only = call.flag("IsReadOnly")
        return {}

    def refresh(self, call: Call) -> Mapping[str, Value]:
        """Do nothing, for a disk that is there."""
        self._objects.disk(call)
        return {}
