# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a LUN out of use on a KVM host before the array unmaps it: the kernel's devices of it go, multipath first.

A LUN that VMs reach over QEMU's own initiator leaves nothing on the host once the disk is detached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san import moment
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import OutcomeUnknown, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_lun, rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import multipath
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_PATIENCE = 60.0
_RETRIES = "10"
"""How often `multipath` tries, a second apart, to flush a device that is open."""


def plan_release(host: KvmHost, name: ScsiName) -> Plan:
    """A step that removes the host's devices of the LUN; none when it has none."""
    found = _found(host, name)
    return Plan([RemoveDevice(host, name, found)] if found else [])


@dataclass(frozen=True)
class Devices:
    """What a host's kernel has of a LUN."""

    paths: Sequence[str]
    map: str
    alive: bool = True
    """Whether any path does I/O."""
    daemon: bool = False
    """Whether multipathd runs."""

    def __str__(self) -> str:
        return ", ".join([*([f"/dev/mapper/{self.map}"] if self.map else []), *(f"/dev/{path}" for path in self.paths)])


def _found(host: KvmHost, name: ScsiName) -> Devices | None:
    """The LUN's paths and its multipath device, also one that has lost all paths."""
    tree = host.tree()
    if tree is None:
        device = host.storage(()).device_of(name)
        return Devices(host_lun.paths(device), "") if device else None
    found = multipath.grouping(tree, name)
    return Devices(found.paths, found.map, bool(found.alive), found.daemon) if found.paths or found.map else None


@dataclass
class RemoveDevice(Step):
    """Let the host's kernel forget its devices of a LUN, as `echo 1 > /sys/block/sdX/device/delete` does. Undone by a rescan.

    They are looked for again right before, because the kernel gives the name of a device that is gone to the next that comes.
    """

    host: KvmHost
    name: ScsiName
    devices: Devices

    def __post_init__(self) -> None:
        self.title = f"remove the devices of LUN {self.name} from host {self.host.name}"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        with moment.one():
            now = _found(self.host, self.name)
        try:
            self._remove(now)
        except RemoteError as error:
            if _found(self.host, self.name) == now:
                raise
            raise OutcomeUnknown(str(error)) from error

    def verify(self) -> None:
        left = _found(self.host, self.name)
        if left:
            raise RemoteError(
                f"Host {self.host.name} still has LUN {self.name} ({left}) after its devices were removed: something there holds it open."
            )

    def undo(self) -> None:
        """Let the host find them again, the multipath device too: a VM that gets the LUN back gets it by that."""
        rescan.rescan(self.host, self.name)
        if self.devices.map:
            host_lun.source(self.host, self.name)

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self.host.name: str(self.devices)}}

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self.host.name: None}}

    def _remove(self, found: Devices | None) -> None:
        if found and found.map:
            self._flush(found)
        if found and found.paths:
            self.host.access.write([(f"/sys/block/{path}/device/delete", "1") for path in found.paths])

    def _flush(self, found: Devices) -> None:
        """End the multipath device. One without a path that does I/O keeps whoever reads it waiting, such as udev, and so stays open."""
        run = self.host.access.run
        if found.alive:
            run(["multipath", "-f", found.map], _PATIENCE)
            return
        run(_queueing(found, "disablequeueing", "fail_if_no_path"), _PATIENCE)
        try:
            run(["multipath", "-R", _RETRIES, "-f", found.map], _PATIENCE)
        except RemoteError:
            run(_queueing(found, "restorequeueing", "queue_if_no_path"), _PATIENCE)
            raise


def _queueing(found: Devices, command: str, message: str) -> list[str]:
    """How multipath is told what to do with requests for which there is no path (multipathd(8), the kernel's dm-mpath.c)."""
    return ["multipathd", command, "map", found.map] if found.daemon else ["dmsetup", "message", found.map, "0", message]
