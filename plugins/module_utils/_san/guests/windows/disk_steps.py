# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that bring a LUN to a partition with a file system, each with its way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Refused,
    RemoteError,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.access_path import is_letter
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.layout import Layout, Partition, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.session import Session
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.wish import VolumeWish, objection, other_label, way_out
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import GPT, MBR, RAW, HostDisk

_BASIC_DATA = "{ebd0a0a2-b9e5-4433-87c0-68b6b72699c7}"
ROUNDING = 16 * 1024**2
"""Bytes behind the last partition that are no growth of the LUN: alignment, the second partition table, an array's rounding."""
_MBR_LIMIT = 2**32 * 512
"""Bytes that an MBR can describe, with sectors of 512 bytes."""


@dataclass
class DiskStep(Step):
    """A step on the disk of a session."""

    session: Session

    def __post_init__(self) -> None:
        self.title = f"{self.verb()} {self.session.disk_in_words()}"

    def verb(self) -> str:
        """What is done to the disk, in the words of the title."""
        raise NotImplementedError

    @property
    def layout(self) -> Layout:
        """The disk at the last look."""
        return self.session.layout

    def _expect(self, reached: bool, what: str) -> None:
        if not reached:
            raise RemoteError(f"Windows reported no error, but {self.session.disk_in_words()} {what}.")


class BringOnline(DiskStep):
    """Let the guest use the disk; a new one is offline by Windows Server's SAN policy.

    So is a copy of one that is online: with the same signature, or the same GUID of the disk or of a partition
    (`VDS_DISK_OFFLINE_REASON` in Microsoft's reference). Windows gives it others when it is brought online, as `diskpart` does: all of
    them, of which `SetAttributes` would only change that of the disk.
    """

    def verb(self) -> str:
        return "bring online"

    def done(self) -> bool:
        return not self.layout.disk.offline

    def do(self) -> None:
        self.session.on_disk("Online")

    def verify(self) -> None:
        layout = self.session.await_volume(_is_mounted)
        self._expect(not layout.disk.offline, "is still offline")
        twin = next((disk for disk in self.session.storage.disks if _is_twin(disk, layout.disk)), None)
        self._expect(twin is None, f"has the signature of disk {twin.number if twin else ''}, which is online too")

    def undo(self) -> None:
        self.session.look()
        if not self.layout.disk.offline:
            self.session.on_disk("Offline")

    def before(self) -> Mapping[str, Any]:
        return {"online": False}

    def after(self) -> Mapping[str, Any]:
        return {"online": True}


def _is_twin(disk: HostDisk, other: HostDisk) -> bool:
    """Whether another disk that is online has the same identity."""
    own = (disk.guid.lower(), disk.signature)
    return disk.number != other.number and not disk.offline and any(own) and own == (other.guid.lower(), other.signature)


def _is_mounted(layout: Layout) -> bool:
    return layout.partition is None or bool(layout.volume and layout.volume.file_system)


@dataclass
class TakeOver(DiskStep):
    """Look at what is on a disk that was offline, and stop before anything is written when it is not what was asked for."""

    wish: VolumeWish

    def __post_init__(self) -> None:
        super().__post_init__()
        self._unseen = self.layout.disk.offline and not self.layout.is_empty

    def verb(self) -> str:
        return "take over what is on"

    def done(self) -> bool:
        return not self._unseen

    def do(self) -> None:
        refuse_other_content(self.session, self.wish)


@dataclass
class DropPaths(DiskStep):
    """Take drive letters and mount points away from a disk."""

    wish: VolumeWish

    def __post_init__(self) -> None:
        super().__post_init__()
        self._came_online = self.layout.disk.offline
        self._dropped: list[tuple[int, str]] = []

    def unwanted(self) -> list[tuple[Partition, str]]:
        """The access paths that have to go, with their partitions."""
        raise NotImplementedError

    def done(self) -> bool:
        return not self.unwanted()

    def do(self) -> None:
        for partition, path in self.unwanted():
            self._dropped.append((partition.offset, path))
            self.session.on_partition("RemoveAccessPath", partition.object_id, {"AccessPath": path})

    def verify(self) -> None:
        self.session.look()
        self._expect(not self.unwanted(), "still has an access path that was to go")

    def undo(self) -> None:
        self.session.look()
        partitions = {partition.offset: partition for partition in self.layout.data}
        for offset, path in self._dropped:
            if offset in partitions and path not in self.layout.access_paths:
                self.session.on_partition("AddAccessPath", partitions[offset].object_id, {"AccessPath": path})

    def _paths(self) -> list[tuple[Partition, str]]:
        return [(partition, path) for partition in self.layout.data for path in partition.access_paths]


class DropGivenLetters(DropPaths):
    """Take away the drive letter that Windows gave a disk of its own accord when this run brought it online."""

    def verb(self) -> str:
        return "remove the drive letter that Windows chose for"

    def unwanted(self) -> list[tuple[Partition, str]]:
        mount = self.wish.mount
        given = self._paths() if self._came_online else []
        return [(partition, path) for partition, path in given if is_letter(path) and not (mount and mount.among((path,)))]


class UnmountErased(DropPaths):
    """Unmount what will be erased, so that no directory is left that points to nothing."""

    def verb(self) -> str:
        return "unmount everything on"

    def unwanted(self) -> list[tuple[Partition, str]]:
        return self._paths() if objection(self.layout, self.wish) else []


class MakeWritable(DiskStep):
    """Clear the read-only attribute that the SAN policy gives a new disk."""

    def verb(self) -> str:
        return "clear read-only on"

    def done(self) -> bool:
        return not self.layout.disk.read_only

    def do(self) -> None:
        self.session.on_disk("SetAttributes", {"IsReadOnly": False})

    def verify(self) -> None:
        self.session.look()
        self._expect(not self.layout.disk.read_only, "is still read-only")

    def undo(self) -> None:
        self.session.look()
        if not self.layout.disk.read_only:
            self.session.on_disk("SetAttributes", {"IsReadOnly": True})

    def before(self) -> Mapping[str, Any]:
        return {"read_only": True}

    def after(self) -> Mapping[str, Any]:
        return {"read_only": False}


@dataclass
class Erase(DiskStep):
    """Remove everything from a disk, which the user has allowed by `force`."""

    wish: VolumeWish
    final: bool = field(default=True, init=False)

    def verb(self) -> str:
        return "erase everything on"

    def done(self) -> bool:
        return not objection(self.layout, self.wish)

    def do(self) -> None:
        self.session.on_disk("Clear", {"RemoveData": True, "RemoveOEM": True})

    def verify(self) -> None:
        self.session.look()
        self._expect(self.layout.disk.style == RAW, "still has a partition table")

    def before(self) -> Mapping[str, Any]:
        return {"content": objection(self.layout, self.wish)}

    def after(self) -> Mapping[str, Any]:
        return {"content": ""}


@dataclass
class Initialise(DiskStep):
    """Write a GPT onto a raw disk."""

    wish: VolumeWish

    def verb(self) -> str:
        return "write a GPT onto"

    def done(self) -> bool:
        return self.layout.disk.style != RAW and not objection(self.layout, self.wish)

    def do(self) -> None:
        self.session.on_disk("Initialize", {"PartitionStyle": GPT})

    def verify(self) -> None:
        self.session.look()
        self._expect(self.layout.disk.style == GPT, "has no GPT")

    def undo(self) -> None:
        self.session.look()
        if self.layout.disk.style == GPT and not self.layout.data:
            self.session.on_disk("Clear", {"RemoveData": False, "RemoveOEM": False})

    def before(self) -> Mapping[str, Any]:
        return {"partition_style": {RAW: "RAW", MBR: "MBR", GPT: "GPT"}.get(self.layout.disk.style, "unknown")}

    def after(self) -> Mapping[str, Any]:
        return {"partition_style": "GPT"}


@dataclass
class MakePartition(DiskStep):
    """Make one partition over the whole disk."""

    wish: VolumeWish

    def verb(self) -> str:
        return "make a partition over the whole of"

    def done(self) -> bool:
        return bool(self.layout.data) and not objection(self.layout, self.wish)

    def do(self) -> None:
        self.session.on_disk("CreatePartition", {"UseMaximumSize": True, "GptType": _BASIC_DATA})

    def verify(self) -> None:
        layout = self.session.await_volume(lambda layout: layout.partition is None or layout.volume is not None)
        self._expect(layout.volume is not None, "has no partition with a volume")

    def undo(self) -> None:
        self.session.look()
        for partition in self.layout.data:  # the disk was empty, so that there is none but this run's
            self.session.on_partition("DeleteObject", partition.object_id)

    def before(self) -> Mapping[str, Any]:
        return {"partitions": 0}

    def after(self) -> Mapping[str, Any]:
        return {"partitions": 1}


@dataclass
class Format(DiskStep):
    """Put a file system on the new partition. The way back is that of the partition."""

    wish: VolumeWish

    def verb(self) -> str:
        return f"make the file system {self.wish.file_system} on"

    def done(self) -> bool:
        volume = self.layout.volume
        return bool(volume and volume.file_system) and not objection(self.layout, self.wish)

    def do(self) -> None:
        wished = {
            "FileSystem": self.wish.file_system,
            "FileSystemLabel": self.wish.label or "",
            "AllocationUnitSize": self.wish.allocation_unit_bytes,
            "Full": False,
        }
        self.session.on_volume("Format", self._volume().object_id, {name: value for name, value in wished.items() if value is not None})

    def verify(self) -> None:
        self.session.await_volume(_is_mounted)
        self._expect(bool(self._volume().file_system), "has no file system")
        self._expect(not objection(self.layout, self.wish), f"has {objection(self.layout, self.wish)}")

    def before(self) -> Mapping[str, Any]:
        return {"file_system": "", "label": ""}

    def after(self) -> Mapping[str, Any]:
        return {"file_system": self.wish.file_system, "label": self.wish.label or ""}

    def _volume(self) -> Volume:
        return only_volume(self.session)


@dataclass
class SetLabel(DiskStep):
    """Give an existing volume another label."""

    wish: VolumeWish

    def __post_init__(self) -> None:
        super().__post_init__()
        self._old = ""

    def verb(self) -> str:
        return f"set the label '{self.wish.label}' on"

    def done(self) -> bool:
        return bool(objection(self.layout, self.wish)) or other_label(self.layout, self.wish) is None

    def do(self) -> None:
        volume = only_volume(self.session)
        self._old = volume.label
        self._set(volume, self.wish.label or "")

    def verify(self) -> None:
        self.session.look()
        self._expect(other_label(self.layout, self.wish) is None, f"still has the label '{other_label(self.layout, self.wish)}'")

    def undo(self) -> None:
        self.session.look()
        volume = only_volume(self.session)
        if volume.label != self._old:
            self._set(volume, self._old)

    def before(self) -> Mapping[str, Any]:
        return {"label": other_label(self.layout, self.wish)}

    def after(self) -> Mapping[str, Any]:
        return {"label": self.wish.label}

    def _set(self, volume: Volume, label: str) -> None:
        self.session.on_volume("SetFileSystemLabel", volume.object_id, {"FileSystemLabel": label})


@dataclass
class Grow(DiskStep):
    """Let partition and file system reach the LUN's new end. There is no way back, because a volume is never made smaller."""

    wish: VolumeWish

    def __post_init__(self) -> None:
        super().__post_init__()
        self._size_before = 0

    def verb(self) -> str:
        return "grow the volume to the whole of"

    def done(self) -> bool:
        return not self.layout.data or bool(objection(self.layout, self.wish)) or growth(self.layout) < ROUNDING

    def do(self) -> None:
        partition = only_partition(self.session)
        self._size_before = only_volume(self.session).size_bytes
        limits = self.session.on_partition("GetSupportedSize", partition.object_id, outputs={"SizeMax": "uint64"}, repeatable=True)
        most = limits.integer("SizeMax") or 0
        if most <= partition.size_bytes:
            raise Refused(
                f"The volume on {self.session.disk_in_words()} cannot grow although {growth(self.layout)} bytes are free behind it: "
                "see in the guest's disk management what keeps it."
            )
        self.session.on_partition("Resize", partition.object_id, {"Size": most})

    def verify(self) -> None:
        self.session.look()
        self._expect(growth(self.layout) < ROUNDING, "did not give its partition all of its size")
        self._expect(only_volume(self.session).size_bytes > self._size_before, "has a file system that did not grow with its partition")

    def before(self) -> Mapping[str, Any]:
        return {"partition_bytes": self.layout.data[0].size_bytes}

    def after(self) -> Mapping[str, Any]:
        return {"partition_bytes": self.layout.data[0].size_bytes + growth(self.layout)}


def growth(layout: Layout) -> int:
    """Bytes behind the last partition that a partition table of the disk's style can describe."""
    limit = min(layout.disk.size_bytes, _MBR_LIMIT) if layout.disk.style == MBR else layout.disk.size_bytes
    return limit - layout.end


def only_partition(session: Session) -> Partition:
    """The disk's only partition for data. Raises `Refused` when it has none, or several."""
    partition = session.layout.partition
    if partition is None:
        raise Refused(f"There are {len(session.layout.data)} partitions on {session.disk_in_words()}, not one: run this again.")
    return partition


def only_volume(session: Session) -> Volume:
    """The volume on the disk's only partition. Raises `Refused` when there is none."""
    volume = session.layout.volume
    if volume is None:
        raise Refused(f"Windows shows no volume on {session.disk_in_words()}: run this again.")
    return volume


def refuse_other_content(session: Session, wish: VolumeWish) -> None:
    """Raise `Refused` when the disk holds something else than the wished volume, and the user did not say that it may be lost."""
    if wish.force:
        return
    disk = session.disk_in_words()
    if session.layout.disk.style == RAW and not wish.blank:
        raise Refused(
            f"{disk[0].upper()}{disk[1:]} has no partition table that Windows knows, and Windows cannot tell whether it holds another "
            "system's data, such as a Linux volume: if the array knows that nothing was written to it, say "
            f"{option('blank', 'true')}, else choose another LUN."
        )
    reason = objection(session.layout, wish)
    if reason:
        raise Refused(f"{disk[0].upper()}{disk[1:]} holds {reason}: {way_out(session.layout, wish)}.")
    label = other_label(session.layout, wish)
    if label is not None:
        raise Refused(
            f"The volume on {session.disk_in_words()} has the label '{label}', not '{wish.label}': make sure that it is the right one, "
            f"then leave out the label, or change it by {option('force', 'true')} (its data stays)."
        )
