# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a LUN out of use on Hyper-V hosts before the array unmaps it, and let them forget it afterwards.

A disk that is offline may go without a word; one that is online is a surprise removal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import host_lun, rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.waiting import Waiting
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk

_NOTICING = 10.0
"""Seconds that a host has to notice the loss of a LUN, before the array is said to present it still."""
_GONE, _OFFLINE, _ONLINE, _CLUSTERED = "not there", "offline", "online", "disk of the cluster"


def plan_release(nodes: Nodes, hosts: Sequence[str], name: ScsiName) -> Plan:
    """A step for each host (id) that ends its use of the LUN, done where the LUN is offline or not seen; a request per host."""
    return Plan([ReleaseDisk(nodes, host, name) for host in hosts])


def plan_forget(nodes: Nodes, hosts: Sequence[str], name: ScsiName) -> Plan:
    """A step for each host (id) that lets it notice the loss of a LUN, done where it is not listed; a request per host."""
    return Plan([ForgetDisk(nodes, host, name) for host in hosts])


@dataclass
class _HostStep(Step):
    """A change of what one host does with the LUN, whether or not MPIO has made one disk of its paths."""

    nodes: Nodes
    host: str
    """`Host.id`."""
    name: ScsiName

    def __post_init__(self) -> None:
        self._host_name = self.nodes.name_of(self.host)
        self._observed = _state(self._now())

    def _now(self) -> list[HostDisk]:
        return [disk for disk in disks.disks_of(self.nodes.client(self.host)) if disk.name == self.name]

    def before(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self._host_name: self._observed}}


@dataclass
class ReleaseDisk(_HostStep):
    """Make sure that the LUN is offline on a host, and stays so."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"release LUN {self.name} on host {self._host_name}"
        self._taken: list[str] = []

    def done(self) -> bool:
        return self._observed in (_GONE, _OFFLINE)

    def do(self) -> None:
        client = self.nodes.client(self.host)
        for disk in self._now():
            self._refuse_if_clustered(disk)
            if not disk.offline:
                host_lun.refuse_if_mounted(client, disk, self._host_name, "released")
                self._taken.append(disk.object_id)
                host_lun.take_offline(client, disk)

    def verify(self) -> None:
        left = _state(self._now())
        if left not in (_GONE, _OFFLINE):
            raise Refused(f"LUN {self.name} is {left} on host {self._host_name} after it was released: see what has brought it back there.")

    def undo(self) -> None:
        client = self.nodes.client(self.host)
        for disk in self._now():
            if disk.object_id in self._taken and disk.offline:
                host_lun.bring_online(client, disk)

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self._host_name: _OFFLINE}}

    def _refuse_if_clustered(self, disk: HostDisk) -> None:
        if disk.clustered:
            raise Refused(
                f"LUN {self.name} is still a disk of cluster {self.nodes.cluster} (disk {disk.number} on host {self._host_name}): "
                "remove it from the cluster first, or leave release off."
            )


@dataclass
class ForgetDisk(_HostStep):
    """Let a host that still lists the LUN notice that the array presents it no more. A rescan leaves nothing to undo."""

    waiting: Waiting = field(default_factory=lambda: Waiting(_NOTICING))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"forget LUN {self.name} on host {self._host_name}"

    def done(self) -> bool:
        return self._observed == _GONE

    def do(self) -> None:
        state = _state(self._now())
        if state in (_ONLINE, _CLUSTERED):
            raise Refused(
                f"LUN {self.name} is {state} on host {self._host_name}: release it (ptd_attach with state=absent and release=true) "
                "and unmap it on the array first."
            )
        rescan.rescan_until(self.nodes.client(self.host), lambda: not self._now(), self.waiting)

    def verify(self) -> None:
        if self._now():
            raise Refused(f"LUN {self.name} is still presented by the array to host {self._host_name}: unmap it there first.")

    def after(self) -> Mapping[str, Any]:
        return {f"LUN {self.name}": {self._host_name: _GONE}}


def _state(found: Sequence[HostDisk]) -> str:
    if not found:
        return _GONE
    if any(disk.clustered for disk in found):
        return _CLUSTERED
    return _OFFLINE if all(disk.offline for disk in found) else _ONLINE
