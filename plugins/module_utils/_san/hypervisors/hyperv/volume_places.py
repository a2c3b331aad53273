# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the volumes of a Windows host are on its disks, as far as their file system tells where its files are: NTFS in one partition.

The first sector of an NTFS volume is its cluster 0, so that a cluster's place on the disk is `MSFT_Partition.Offset` and the clusters
before it. CSVFS answers for the NTFS below it: `FSCTL_GET_RETRIEVAL_POINTERS` of winioctl.h, which `fsutil` asks, is supported there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes, volumes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.cluster.shared_volumes import SharedVolume
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient

_NTFS = "ntfs"
_CSVFS_NTFS, _CSVFS_REFS = 0x8000, 0x8001
"""MSFT_Volume.FileSystemType."""
_SPACES_BUS = 16
"""MSFT_Disk.BusType of a disk that Windows makes of others (Storage Spaces)."""


@dataclass(frozen=True)
class Place:
    """The one partition that a volume is in. Bytes."""

    disk: HostDisk
    offset: int
    size: int
    cluster: int
    sector: int


@dataclass(frozen=True)
class _Partition:
    """A partition as the host tells it."""

    disk: int
    offset: int
    size: int
    access_paths: Sequence[str]


class VolumePlaces:
    """The volumes of one host, each thing asked once. Methods raise `NotTold`, and the errors of the session."""

    def __init__(self, client: CimClient) -> None:
        self._client = client

    def of(self, path: str, through: Sequence[str]) -> Place:
        """The partition that a file lies in; `through` are the directories above it that lead elsewhere."""
        volume = self._volumes.get(self._directories.holder(path))
        if volume is None:
            raise NotTold(f"{path} is on no volume that its host tells of: a drive that stands for a directory")
        known = {_plain(way) for one in self._volumes.values() for way in one.access_paths}
        _refuse_links(path, through, known)
        if volume.kind != _NTFS:
            raise NotTold(f"{path} is on {volume.name}, whose file system {volume.kind or '(none)'} does not tell where its blocks are")
        parts = [part for part in self._partitions if volume.path in part.access_paths]
        if len(parts) != 1:
            raise NotTold(f"{path} is on {volume.name}, which is in {len(parts)} partitions: nobody tells how they make one volume")
        return self._place(path, volume.name, parts[0], self._clusters.get(volume.path, 0))

    def of_shared(self, path: str, through: Sequence[str], shared: SharedVolume) -> Place:
        """The same for a file on a Cluster Shared Volume, of which this host is the owner.

        Cluster and host have to agree on it: the disk that the resource keeps has a partition where the volume begins, and that is the
        volume's way.
        """
        name = f"the cluster shared volume {shared.directory}"
        ways = {_plain(shared.directory), _plain(shared.volume)}
        _refuse_links(path, through, ways)
        below, cluster = self._below.get(_plain(shared.volume), (None, 0))
        if below != _CSVFS_NTFS:
            raise NotTold(f"{path} is on {name}, {_not_ntfs(below, shared.owner)}")
        kept = [disk.number for disk in self._disks.values() if shared.disk and shared.disk.keeps(disk)]
        parts = [
            part
            for part in self._partitions
            if [part.disk] == kept and part.offset == shared.offset and ways & {_plain(way) for way in part.access_paths}
        ]
        if len(parts) != 1:
            raise NotTold(
                f"{path} is on {name}, which its cluster says to begin at byte {shared.offset} of its disk, where its owner {shared.owner} "
                "tells of no partition of it: rescan the disks there, then run this task again"
            )
        return self._place(path, name, parts[0], cluster)

    def _place(self, path: str, name: str, part: _Partition, cluster: int) -> Place:
        disk = self._disks.get(part.disk)
        if disk is None or disk.bus == _SPACES_BUS:
            raise NotTold(f"{path} is on {name}, whose disk {part.disk} Windows makes of others (Storage Spaces)")
        if not cluster:
            raise NotTold(f"the host does not tell how large the clusters of {name} are")
        return Place(disk, part.offset, part.size, cluster, self._sectors.get(part.disk, 0))

    @cached_property
    def _volumes(self) -> dict[str, volumes.Volume]:
        return {volume.path: volume for volume in volumes.volumes_of(self._client, volumes.partitions_of(self._client))}

    @cached_property
    def _directories(self) -> volumes.Directories:
        found = volumes.Directories()
        for volume in self._volumes.values():
            found.add(volume.access_paths, volume.path)
        return found

    @cached_property
    def _partitions(self) -> list[_Partition]:
        rows = self._client.query(classes.PARTITION_PLACE, columns=classes.PARTITION_PLACE.columns)
        told = ((row.integer("DiskNumber"), row.integer("Offset"), row) for row in rows)
        return [
            _Partition(number, offset, row.integer("Size") or 0, row.texts("AccessPaths"))
            for number, offset, row in told
            if number is not None and offset is not None
        ]

    @cached_property
    def _clusters(self) -> dict[str, int]:
        rows = self._client.query(classes.VOLUME_CLUSTER, columns=classes.VOLUME_CLUSTER.columns)
        return {row.text("Path"): row.integer("AllocationUnitSize") or 0 for row in rows}

    @cached_property
    def _below(self) -> Mapping[str, tuple[int | None, int]]:
        """What is below CSVFS, and the size of its clusters, by volume; nothing from a Windows that does not know the property."""
        try:
            rows = list(self._client.query(classes.VOLUME_BELOW, columns=classes.VOLUME_BELOW.columns))
        except RemoteError:
            return {}
        return {_plain(row.text("Path")): (row.integer("FileSystemType"), row.integer("AllocationUnitSize") or 0) for row in rows}

    @cached_property
    def _disks(self) -> dict[int, HostDisk]:
        return {disk.number: disk for disk in disks.disks_of(self._client)}

    @cached_property
    def _sectors(self) -> dict[int, int]:
        """Bytes of a logical block of each disk."""
        rows = self._client.query(classes.DISK_SECTOR, columns=classes.DISK_SECTOR.columns)
        return {number: row.integer("LogicalSectorSize") or 0 for row in rows if (number := row.integer("Number")) is not None}


def _refuse_links(path: str, through: Sequence[str], known: set[str]) -> None:
    links = [way for way in through if _plain(way) not in known]
    if links:
        raise NotTold(f"{path} is behind {links[0]}, which leads to another place")


def _not_ntfs(below: int | None, owner: str) -> str:
    if below == _CSVFS_REFS:
        return "whose file system below, ReFS, does not tell where its blocks are"
    told = "" if below is None else f" but {below:#x} in FileSystemType"
    return f"of which its owner {owner} does not tell that NTFS is below{told}: Windows Server 2016 and later tell it"


def _plain(path: str) -> str:
    return path.replace("/", "\\").rstrip("\\").casefold()
