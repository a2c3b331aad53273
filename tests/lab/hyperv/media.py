# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies on a disk, whoever looks at it: partition table, partitions, file systems, and where each machine mounts them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

RAW, MBR, GPT = 0, 1, 2
RESERVED_TYPE = "{e3c9e316-0b5c-4db8-817d-f92df00215ae}"
BASIC_TYPE = "{ebd0a0a2-b9e5-4433-87c0-68b6b72699c7}"
LDM_METADATA_TYPE = "{5808c8aa-7e8f-42e0-85d2-e1e90434cfb3}"
LDM_DATA_TYPE = "{af9b60a0-1431-4f62-bc68-3311714a69ad}"
IFS_MBR_TYPE, LDM_MBR_TYPE = 0x07, 0x42
"""PARTITION_IFS and PARTITION_LDM of winioctl.h."""
RESERVED_BYTES = 16 * 1024**2 - 17408
FIRST_OFFSET = 17408
ALIGNMENT = 1024**2
TAIL_BYTES = 1024**2
DEFAULT_UNIT = 4096


def new_guid() -> str:
    """Return a GUID as Windows writes it."""
    return "{" + str(uuid.uuid4()) + "}"


@dataclass(eq=False)
class Partition:
    """A partition; ``file_system`` is empty before it is formatted. ``access`` holds drive letters and mount points by machine."""

    number: int
    offset: int
    size: int
    gpt_type: str = BASIC_TYPE
    """On a GPT disk."""
    mbr_type: int = IFS_MBR_TYPE
    """On an MBR disk."""
    guid: str = field(default_factory=new_guid)
    volume_guid: str = field(default_factory=new_guid)
    file_system: str = ""
    below: str = "NTFS"
    """What is below CSVFS, where that is the file system."""
    label: str = ""
    unit: int = DEFAULT_UNIT
    volume_size: int = 0
    access: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_reserved(self) -> bool:
        """Whether no volume of its own is in it: it is the Microsoft Reserved Partition, or the room of a dynamic disk."""
        return self.gpt_type in (RESERVED_TYPE, LDM_METADATA_TYPE, LDM_DATA_TYPE) or self.mbr_type == LDM_MBR_TYPE

    @property
    def volume_path(self) -> str:
        """The name of its volume."""
        return f"\\\\?\\Volume{self.volume_guid}\\"


@dataclass(eq=False)
class Medium:
    """The content of one disk."""

    key: str
    style: int = RAW
    guid: str = ""
    signature: int = 0
    partitions: list[Partition] = field(default_factory=list)

    def initialize(self, style: int, size: int) -> None:
        """Write an empty partition table."""
        self.style = style
        self.guid = new_guid() if style == GPT else ""
        self.signature = uuid.uuid4().int % 2**32 if style == MBR else 0
        self.partitions = [Partition(1, FIRST_OFFSET, RESERVED_BYTES, RESERVED_TYPE)] if style == GPT and size > 2 * RESERVED_BYTES else []

    def sign_anew(self) -> None:
        """Give the disk, its partitions and its volumes identities that no other has."""
        self.guid = new_guid() if self.guid else ""
        self.signature = uuid.uuid4().int % 2**32 if self.signature else 0
        for partition in self.partitions:
            partition.guid, partition.volume_guid = new_guid(), new_guid()

    def clear(self) -> None:
        """Make it raw."""
        self.style, self.guid, self.signature, self.partitions = RAW, "", 0, []

    def make_dynamic(self, style: int, size: int) -> None:
        """Hand the disk to the Logical Disk Manager, whose volumes are in no partition of their own."""
        self.initialize(style, size)
        if style == MBR:
            self.add_partition(*self.free_extent(size)).mbr_type = LDM_MBR_TYPE
            return
        self.add_partition(self.free_extent(size)[0], ALIGNMENT).gpt_type = LDM_METADATA_TYPE
        self.add_partition(*self.free_extent(size)).gpt_type = LDM_DATA_TYPE

    def free_extent(self, size: int) -> tuple[int, int]:
        """Return offset and length of the room behind the last partition of a disk of this size."""
        end = max((partition.offset + partition.size for partition in self.partitions), default=0)
        offset = max(ALIGNMENT, -(-end // ALIGNMENT) * ALIGNMENT)
        return offset, max(0, (size - TAIL_BYTES - offset) // ALIGNMENT * ALIGNMENT)

    def add_partition(self, offset: int, size: int) -> Partition:
        """Return a new partition at the end."""
        partition = Partition(max((known.number for known in self.partitions), default=0) + 1, offset, size)
        self.partitions.append(partition)
        return partition

    def volumes(self) -> Iterator[Partition]:
        """Yield the partitions that hold a volume, formatted or not."""
        return (partition for partition in self.partitions if not partition.is_reserved)

    def canonical(self) -> dict[str, object]:
        """Return what lies on it without what chance has chosen."""
        return {
            "style": self.style,
            "partitions": [
                {
                    "number": partition.number,
                    "size": partition.size,
                    "file_system": partition.file_system,
                    "label": partition.label,
                    "unit": partition.unit,
                    "volume_size": partition.volume_size,
                    "access": {machine: sorted(paths) for machine, paths in sorted(partition.access.items()) if paths},
                }
                for partition in self.partitions
            ],
        }


def formatted(key: str, size: int, file_system: str, label: str) -> Medium:
    """Return a GPT disk with one volume over all of it."""
    medium = Medium(key)
    medium.initialize(GPT, size)
    partition = medium.add_partition(*medium.free_extent(size))
    partition.file_system, partition.label, partition.volume_size = file_system, label, partition.size
    return medium
