# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving a raw LUN the partition table by which a cluster knows its disks, by the user's word that it is empty.

Source: `MSFT_Disk` of Microsoft's Windows Storage Management API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Refused,
    RemoteError,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import host_lun, rescan
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.vm import ClusteredVm
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Node
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.waiting import Waiting
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks, storage_call, storage_classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import GPT, RAW, HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimValue


@dataclass
class _RawDiskStep(Step):
    """Something that is done only to a raw LUN, on the node that has the VM."""

    there: ClusteredVm
    allowed: bool
    """The user's word that the LUN is empty."""

    def done(self) -> bool:
        disk = self.there.seen.disk or self.there.look_at_disk()
        return not self.allowed if disk is None else disk.style != RAW

    def _disk(self) -> HostDisk:
        """The LUN as it is now. Raises `Refused` when it is not there, or raw without the user's word."""
        disk = self.there.look_at_disk()
        if disk is None:
            raise Refused(f"Node {self.there.node} does not see LUN {self.there.name}: check zoning and the array's mapping.")
        refuse_raw_unless(self.allowed, self.there)
        return disk

    def _call(self, disk: HostDisk, method: str, parameters: Mapping[str, CimValue] | None = None) -> None:
        storage_call.call(self.there.client, storage_classes.DISK, method, {"ObjectId": disk.object_id}, parameters)


@dataclass
class MakeWritable(_RawDiskStep):
    """Bring a raw LUN online, which has no volume that could be mounted, so that a partition table can be written."""

    _was_read_only: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.title = f"bring raw LUN {self.there.name} online on node {self.there.node}"

    def done(self) -> bool:
        disk = self.there.seen.disk
        return super().done() or (disk is not None and not disk.offline and not disk.read_only)

    def do(self) -> None:
        disk = self._disk()
        self._was_read_only = disk.read_only
        if disk.offline:
            self._call(disk, "Online")
        if disk.read_only:
            with self.all_or_nothing():
                self._call(disk, "SetAttributes", {"IsReadOnly": False})

    def verify(self) -> None:
        disk = self._disk()
        if disk.offline or disk.read_only:
            raise RemoteError(
                f"LUN {self.there.name} cannot be written on node {self.there.node} after it was brought online: look at it there."
            )

    def undo(self) -> None:
        disk = self.there.look_at_disk()
        if disk is None or disk.clustered:
            return
        if self._was_read_only and not disk.read_only:
            self._call(disk, "SetAttributes", {"IsReadOnly": True})
        if not disk.offline:
            host_lun.take_offline(self.there.client, disk)


@dataclass
class InitializeDisk(_RawDiskStep):
    """Write an empty GPT. There is no undo: on an empty LUN it harms nobody, and this collection does not erase."""

    def __post_init__(self) -> None:
        self.title = f"initialize LUN {self.there.name} (GPT) on node {self.there.node}"

    def do(self) -> None:
        rescan.rescan_host(self.there.client)
        disk = self._disk()
        self._refuse_unless_raw_everywhere()
        self._call(disk, "Initialize", {"PartitionStyle": GPT})

    def verify(self) -> None:
        """The table is there, and every node reads the same one, or the disk would not come online there."""
        written = self.there.look_at_disk()
        if written is None or written.style == RAW:
            raise RemoteError(f"LUN {self.there.name} is still raw on node {self.there.node} after it was initialized: look at it there.")
        for node in self.there.nodes.reachable():
            if not self._reads(node, written.guid):
                raise RemoteError(
                    f"Node {node.name} does not read the partition table that node {self.there.node} has written to LUN {self.there.name}: "
                    "rescan its disks, and check that both see the same LUN."
                )

    def before(self) -> Mapping[str, Any]:
        return {"partition_style": "RAW"}

    def after(self) -> Mapping[str, Any]:
        return {"partition_style": "GPT"}

    def _reads(self, node: Node, guid: str) -> bool:
        """Whether a node reads this table, or does not see the LUN; it is made to look until it does, or the time is over."""
        client, patience = self.there.nodes.client(node.id), self.there.patience

        def reads() -> bool:
            seen = disks.find(client, self.there.name, node.name)
            return seen is None or seen.guid == guid

        return reads() or rescan.rescan_until(client, reads, Waiting(patience.timeout, patience.clock, patience.sleep))

    def _refuse_unless_raw_everywhere(self) -> None:
        """Raise `Refused` when any node reads a partition table, of which the others only have not heard yet."""
        for node in self.there.nodes.reachable():
            seen = disks.find(self.there.nodes.client(node.id), self.there.name, node.name)
            if seen and seen.style != RAW:
                raise Refused(
                    f"Node {node.name} reads a partition table on LUN {self.there.name}, which will not be overwritten: "
                    "rescan the disks of the other nodes, then run this task again."
                )


def refuse_raw_unless(allowed: bool, there: ClusteredVm) -> None:
    """Raise `Refused` for a raw LUN that nobody called empty."""
    disk = there.seen.disk
    if disk and disk.style == RAW and not allowed:
        raise Refused(
            f"LUN {there.name} has no partition table, by which a cluster knows its disks, and none is written without your word: "
            "a raw LUN may hold what Windows does not know, such as a Linux volume, so say that it is empty, if it is, by "
            f"{option('initialize', 'true')}."
        )
