# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems of Windows hosts, and which of them holds a file.

A volume is reached by a drive letter, by a directory that it is mounted on, or by its GUID. Sources: `MSFT_Volume` and `MSFT_Partition` of
Microsoft's Windows Storage Management API reference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FileSystem
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wql
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient

CSV = "csv"
SMB = "smb"
_VERBATIM = "\\\\?\\"
_VERBATIM_UNC = "\\\\?\\UNC\\"
_BY_GUID = "\\\\?\\volume{"
_LDM_GPT_TYPES = frozenset({"5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "af9b60a0-1431-4f62-bc68-3311714a69ad"})
"""PARTITION_LDM_METADATA_GUID and PARTITION_LDM_DATA_GUID of winioctl.h, which only dynamic disks have."""
_LDM_MBR_TYPE = 0x42
"""PARTITION_LDM of winioctl.h."""


@dataclass(frozen=True)
class Partition:
    """A partition of a host's disk."""

    disk: int | None
    """The number of its disk; None where it is not told."""
    access_paths: Sequence[str]
    """Drive letters, directories and the volume's GUID."""
    gpt_type: str = ""
    mbr_type: int | None = None

    @property
    def dynamic(self) -> bool:
        """Whether its disk is a dynamic one, whose volumes Windows does not tell by their partitions."""
        return self.gpt_type.strip("{}").lower() in _LDM_GPT_TYPES or self.mbr_type == _LDM_MBR_TYPE

    @property
    def name(self) -> str:
        """How people call it."""
        return next((path for path in self.access_paths if not _by_guid(path)), next(iter(self.access_paths), ""))

    def is_any_of(self, volumes: Collection[str]) -> bool:
        """Whether it holds one of these volumes (`Volume.path`, casefolded)."""
        return any(path.casefold() in volumes for path in self.access_paths)


@dataclass(frozen=True)
class Volume:
    """A volume that a host has mounted. Size in bytes."""

    path: str
    """`\\\\?\\Volume{…}\\`."""
    kind: str
    """Of its file system, in lower case; empty when it was never formatted."""
    label: str
    size_bytes: int
    disks: Sequence[int]
    """Numbers of the disks under it; none where they cannot be told (dynamic disks)."""
    access_paths: Sequence[str] = ()
    """Drive letters and directories, then its GUID."""

    @property
    def name(self) -> str:
        """How people call it."""
        return next((path for path in self.access_paths if not _by_guid(path)), self.label or self.path)


def partitions_of(client: CimClient, where: wql.Condition | None = None) -> list[Partition]:
    """The partitions of a host's disks, in one enumeration."""
    return [
        Partition(found.integer("DiskNumber"), found.texts("AccessPaths"), found.text("GptType"), found.integer("MbrType"))
        for found in client.query(classes.PARTITION, where, classes.PARTITION.columns)
    ]


def volumes_of(client: CimClient, partitions: Iterable[Partition]) -> list[Volume]:
    """Every volume of a host, in one enumeration; `partitions` are the host's."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    access: defaultdict[str, list[str]] = defaultdict(list)
    for partition in partitions:
        for guid in (path for path in partition.access_paths if _by_guid(path)):
            numbers[guid].extend([partition.disk] if partition.disk is not None else [])
            access[guid].extend(path for path in partition.access_paths if path not in access[guid])
    return [
        Volume(
            path=found.text("Path"),
            kind=found.text("FileSystem").lower(),
            label=found.text("FileSystemLabel"),
            size_bytes=found.integer("Size") or 0,
            disks=numbers[found.text("Path")],
            access_paths=sorted(access[found.text("Path")] or [found.text("Path")], key=_by_guid),
        )
        for found in client.query(classes.VOLUME, columns=classes.VOLUME.columns)
    ]


def file_system(volume: Volume, host: str, disks: Mapping[int, HostDisk]) -> FileSystem:
    """The file system on a volume of a host (`Host.id`), with the LUN's name or the local device of each disk under it."""
    return FileSystem(
        id=f"{host}:{volume.path}",
        name=volume.name,
        kind=volume.kind,
        hosts=[host],
        extents=[extent(disks[number]) for number in volume.disks if number in disks],
        size_bytes=volume.size_bytes,
        url=volume.path,
    )


def shared_volume(cluster: str, directory: str, hosts: Sequence[str], disk: HostDisk | None, told: ScsiName | None = None) -> FileSystem:
    """A Cluster Shared Volume, which every node has under the same directory.

    `disk` is what a node shows of its disk, `told` the LUN by the cluster's word; without extents when neither is known.
    """
    name = told or (disk.name if disk else None)
    return FileSystem(
        id=f"{cluster}:{directory}",
        name=directory,
        kind=CSV,
        hosts=hosts,
        extents=[name.windows] if name else [disk.device] if disk else [],
        size_bytes=disk.size_bytes if disk else 0,
    )


def share_of(path: str) -> str:
    """The `\\\\server\\share` that holds a file; empty when it is on the host itself."""
    text = path.replace("/", "\\")
    if text.upper().startswith(_VERBATIM_UNC):
        text = "\\\\" + text[len(_VERBATIM_UNC) :]
    if not text.startswith("\\\\") or text.startswith((_VERBATIM, "\\\\.\\")):
        return ""
    return "\\".join(text.split("\\")[:4])


def extent(disk: HostDisk) -> str:
    """A disk under a file system: the LUN's name as Windows writes it, or the local device."""
    return disk.name.windows if disk.name else disk.device


@dataclass
class Directories:
    """Where each file system begins, as one host names it."""

    _roots: dict[tuple[str, ...], str] = field(default_factory=dict)

    def add(self, access_paths: Iterable[str], file_system_id: str) -> None:
        """Note that these are ways to a file system."""
        self._roots.update({_components(path): file_system_id for path in access_paths})

    def holder(self, path: str) -> str:
        """The file system whose directory is the nearest one above a file; empty when none is."""
        parts = _components(path)
        roots = (self._roots.get(parts[:length]) for length in range(len(parts) - 1, 0, -1))
        return next((found for found in roots if found), "")


def _components(path: str) -> tuple[str, ...]:
    """The components of a path as Windows compares them."""
    text = path.replace("/", "\\")
    if text.startswith(_VERBATIM) and not _by_guid(text):
        text = text[len(_VERBATIM) :]
    return tuple(part.casefold() for part in text.split("\\") if part)


def _by_guid(path: str) -> bool:
    return path.casefold().startswith(_BY_GUID)
