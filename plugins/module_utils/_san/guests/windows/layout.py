# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies on the disks of a Windows machine, and where it shows: three enumerations, whatever there is.

Source: `MSFT_Disk`, `MSFT_Partition` and `MSFT_Volume` of Microsoft's Windows Storage Management API reference. An offline disk shows
its partitions, but neither their access paths nor their volumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows import classes
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import AccessPath
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import GPT, RAW, HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_types import CimInstance

_RESERVED = "{e3c9e316-0b5c-4db8-817d-f92df00215ae}"
"""GptType of the Microsoft Reserved partition, which comes with the partition table and holds nothing."""
_NO_FILE_SYSTEM = frozenset({"", "raw", "unknown"})
_VOLUME_PREFIX = "\\\\?\\volume"


@dataclass(frozen=True)
class Partition:
    """A partition. Sizes in bytes."""

    object_id: str
    disk_number: int
    offset: int
    size_bytes: int
    reserved: bool = False
    """It is the Microsoft Reserved partition."""
    access_paths: tuple[str, ...] = ()
    """Drive letters and mount points: `E:\\`, `C:\\mt1\\`."""
    volume_path: str = ""
    """`\\\\?\\Volume{…}\\`, by which its volume is found; empty while there is none."""

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.size_bytes


@dataclass(frozen=True)
class Volume:
    """A volume. Sizes in bytes."""

    object_id: str
    path: str
    """`\\\\?\\Volume{…}\\`."""
    letter: str = ""
    """`E:`, if it has one."""
    file_system: str = ""
    """Empty for one that is not formatted, or not in a way that Windows knows."""
    label: str = ""
    allocation_unit_bytes: int = 0
    size_bytes: int = 0

    @property
    def is_planned(self) -> bool:
        """Whether nobody has made it yet, so that nothing is on it."""
        return not self.object_id


@dataclass(frozen=True)
class Layout:
    """One disk and what is on it."""

    disk: HostDisk
    partitions: tuple[Partition, ...] = ()
    volumes: tuple[Volume, ...] = ()
    """All of the machine."""

    @property
    def data(self) -> tuple[Partition, ...]:
        """The partitions that may hold something."""
        return tuple(partition for partition in self.partitions if not partition.reserved)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing on it: raw, or a GPT without a partition of its own, as a failover cluster prepares a LUN."""
        return self.disk.style == RAW or (self.disk.style == GPT and not self.data)

    @property
    def partition(self) -> Partition | None:
        """Its only partition for data."""
        return self.data[0] if len(self.data) == 1 else None

    @property
    def volume(self) -> Volume | None:
        """The volume on its only partition."""
        path = self.partition.volume_path.lower() if self.partition else ""
        return next((volume for volume in self.volumes if path and volume.path.lower() == path), None)

    @property
    def access_paths(self) -> tuple[str, ...]:
        """Every drive letter and mount point of the disk."""
        return tuple(path for partition in self.data for path in partition.access_paths)

    @property
    def end(self) -> int:
        """The first byte behind the last partition."""
        return max((partition.end for partition in self.partitions), default=0)


@dataclass(frozen=True)
class Storage:
    """All disks of a machine, as they were when they were read."""

    guest: str
    """The machine's name, for messages."""
    disks: Sequence[HostDisk]
    partitions: Sequence[Partition]
    volumes: Sequence[Volume]

    def layout(self, name: ScsiName) -> Layout | None:
        """What is on a LUN; None when the machine does not show it. Raises `Refused` when it shows it twice."""
        disk = disks.the_one(list(self.disks), name, self.guest)
        if disk is None:
            return None
        return Layout(disk, tuple(part for part in self.partitions if part.disk_number == disk.number), tuple(self.volumes))

    def without(self, name: ScsiName) -> Storage:
        """What there is once the machine no longer uses a LUN, if it does: all but what is on that one."""
        gone = self.layout(name)
        if gone is None:
            return self
        paths = {partition.volume_path for partition in gone.partitions}
        return replace(
            self,
            partitions=[partition for partition in self.partitions if partition.disk_number != gone.disk.number],
            volumes=[volume for volume in self.volumes if volume.path not in paths],
        )

    def with_volume(self, path: AccessPath, file_system: str) -> Storage:
        """What there is once another volume shows there; one that a drive letter has already is left as it is."""
        if not path.is_letter or self.on_drive(path.drive):
            return self
        return replace(self, volumes=[*self.volumes, Volume("", "", path.drive, file_system)])

    def on_drive(self, drive: str) -> Volume | None:
        """The volume of a drive letter such as `C:`."""
        return next((volume for volume in self.volumes if volume.letter == drive), None)

    def holder(self, path: AccessPath) -> str:
        """Who has this drive letter or mount point, in words; empty when nobody has."""
        for partition in self.partitions:
            if path.among(partition.access_paths):
                return f"{self._volume_in_words(partition.volume_path)} on disk {partition.disk_number}"
        volume = self.on_drive(path.drive) if path.is_letter else None
        return self._volume_in_words(volume.path) if volume else ""

    def _volume_in_words(self, path: str) -> str:
        volume = next((volume for volume in self.volumes if volume.path == path), None)
        if volume is None:
            return "a volume"
        label = f" '{volume.label}'" if volume.label else ""
        return f"the {volume.file_system or 'unformatted'} volume{label}"


def observe(client: CimClient, guest: str) -> Storage:
    """Read the disks, partitions and volumes of a machine. Raises what `CimClient.query` raises."""
    return Storage(
        guest,
        disks.disks_of(client),
        [_partition(found) for found in client.query(classes.PARTITION, columns=classes.PARTITION.columns)],
        [_volume(found) for found in client.query(classes.VOLUME, columns=classes.VOLUME.columns)],
    )


def _partition(found: CimInstance) -> Partition:
    paths = found.texts("AccessPaths")
    return Partition(
        object_id=found.text("ObjectId"),
        disk_number=found.integer("DiskNumber") or 0,
        offset=found.integer("Offset") or 0,
        size_bytes=found.integer("Size") or 0,
        reserved=found.text("GptType").lower() == _RESERVED,
        access_paths=tuple(path for path in paths if not path.lower().startswith(_VOLUME_PREFIX)),
        volume_path=next(_volume_paths(paths), ""),
    )


def _volume_paths(paths: Sequence[str]) -> Iterator[str]:
    return (path for path in paths if path.lower().startswith(_VOLUME_PREFIX))


def _volume(found: CimInstance) -> Volume:
    file_system = found.text("FileSystem")
    return Volume(
        object_id=found.text("ObjectId"),
        path=found.text("Path"),
        letter=_letter(found.text("DriveLetter")),
        file_system="" if file_system.lower() in _NO_FILE_SYSTEM else file_system,
        label=found.text("FileSystemLabel"),
        allocation_unit_bytes=found.integer("AllocationUnitSize") or 0,
        size_bytes=found.integer("Size") or 0,
    )


def _letter(text: str) -> str:
    """The drive of a `char16`, which services write as its number or as itself; 0 means none."""
    character = chr(int(text)) if text.isdigit() else text
    return f"{character.upper()}:" if character.strip("\0 ") else ""
