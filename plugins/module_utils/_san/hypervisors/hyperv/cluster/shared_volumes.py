# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cluster Shared Volumes as any node of their cluster tells them: which disk they are on, from where, who owns them, and in which state.

One node at a time owns the disk of a volume and has its NTFS or ReFS mounted, over which CSVFS lies on every node (Microsoft, "Use Cluster
Shared Volumes in a failover cluster"). States: `FaultState` and `BackupState` of [MS-CMRP] 2.2.3.18 and clusapi.h. They do not tell block
redirection, nor what is redirected on some nodes only: that is another way of the same bytes to the same blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster import resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.resources import ClusterResource, Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient

_FAULTS: Mapping[int, str] = MappingProxyType(
    {
        0x1: "is redirected (Get-ClusterSharedVolumeState says why): look again when that has ended",
        0x2: "cannot be accessed: let its cluster bring it back",
        0x4: "is in maintenance: end that (Resume-ClusterResource)",
        0x8: "is dismounted: let its cluster bring it back",
    }
)
"""CLUSTER_CSV_VOLUME_FAULT_STATE, bit by bit."""


@dataclass(frozen=True)
class SharedVolume:
    """A Cluster Shared Volume. What its cluster does not tell is None."""

    directory: str
    """Such as `C:\\ClusterStorage\\Volume1`, on every node."""
    volume: str = ""
    """`\\\\?\\Volume{…}\\`."""
    offset: int | None = None
    """The byte of its disk at which it begins."""
    fault: int | None = None
    backup: int | None = None
    disk: ClusterResource | None = None
    """The resource of its disk, with its owner."""

    @property
    def owner(self) -> str:
        """`Node.id` of the node that has its file system mounted; empty when nobody tells."""
        return self.disk.node if self.disk else ""

    @property
    def trouble(self) -> str:
        """What speaks against taking its owner's word for where files are, and the way out; empty when nothing does."""
        if self.disk is None or not self.disk.node:
            return "has no disk or owner that its cluster tells of"
        if not self.disk.online:
            return f"is {self.disk.condition}: bring its resource {self.disk.name} online"
        if self.fault is None or self.backup is None or self.offset is None:
            return "does not tell its state: look at it by Get-ClusterSharedVolumeState"
        if self.backup:
            return "is being backed up: look again when that has ended"
        known = [words for bit, words in _FAULTS.items() if self.fault & bit]
        if self.fault and not known:
            return f"is in a state that is not known (FaultState {self.fault}): look at it by Get-ClusterSharedVolumeState"
        return next(iter(known), "")


def shared_volumes(client: CimClient, known: Resources) -> dict[str, SharedVolume]:
    """Every Cluster Shared Volume of the cluster now, by its directory; `known` are the cluster's resources."""
    links = resources.shared_volumes(client)
    disks = {resource.name: resource for resource in known.read(client)}
    found = {directory: SharedVolume(directory, disk=disks.get(name)) for directory, name in links.items()}
    for row in client.query(classes.SHARED_VOLUME, columns=classes.SHARED_VOLUME.columns):
        directory = row.text("Name")
        found[directory] = SharedVolume(
            directory,
            row.text("VolumeName"),
            row.integer("VolumeOffset"),
            row.integer("FaultState"),
            row.integer("BackupState"),
            disks.get(links.get(directory, "")),
        )
    return found
