# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a LUN out of use on a KVM host before the array unmaps it: the kernel's devices of it go, multipath first.

A LUN that VMs reach over QEMU's own initiator leaves nothing on the host once the disk is detached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_lun, rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_PATIENCE = 60.0


def plan_release(host: KvmHost, name: ScsiName) -> Plan:
    """A step that removes the host's devices of the LUN; none when it has none."""
    device = host.storage(()).device_of(name)
    return Plan([RemoveDevice(host, name, device)] if device else [])


@dataclass
class RemoveDevice(Step):
    """Let the host's kernel forget its devices of a LUN, as `echo 1 > /sys/block/sdX/device/delete` does. Undone by a rescan."""

    host: KvmHost
    name: ScsiName
    device: ScsiDevice

    def __post_init__(self) -> None:
        self.title = f"remove the devices of LUN {self.name} from host {self.host.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        for grouped in host_lun.maps(self.device):
            self.host.access.run(["multipath", "-f", grouped], _PATIENCE)
        for path in host_lun.paths(self.device):
            self.host.access.write(f"/sys/block/{path}/device/delete", "1")

    def verify(self) -> None:
        if self.host.storage(()).device_of(self.name):
            raise RemoteError(
                f"Host {self.host.name} still has LUN {self.name} after its devices were removed: something there holds it open."
            )

    def undo(self) -> None:
        rescan.rescan(self.host, self.name)

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self.host.name: self.device.device}}

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self.host.name: None}}
