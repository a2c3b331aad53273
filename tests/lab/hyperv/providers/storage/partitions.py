# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be done to a partition, and where it can be mounted."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.lab.hyperv.cim import Value
from tests.lab.hyperv.machines import Disk
from tests.lab.hyperv.media import BASIC_TYPE, GPT, RAW, Partition
from tests.lab.hyperv.namespaces import Call
from tests.lab.hyperv.providers.storage.codes import Code, Failed
from tests.lab.hyperv.providers.storage.objects import CHARGED_PART, LETTER, Objects

LAST_LETTER = "Z"
_MOUNT = re.compile(r"[A-Za-z]:\\[^<>:\"/|?*]+")


class Partitions:
    """The methods."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._estate = objects.estate
        self._machine = objects.machine

    def create(self, call: Call) -> Mapping[str, Value]:
        """Create a partition where the most room is."""
        disk = self._objects.disk(call)
        medium = self._objects.writable(disk)
        if medium.style == RAW:
            raise Failed(Code.NOT_INITIALIZED)
        size, whole = call.number("Size"), call.flag("UseMaximumSize")
        letter = call.number("DriveLetter")
        if bool(size) == whole or (letter and call.flag("AssignDriveLetter")) or call.arguments.get("Offset") is not None:
            raise Failed(Code.INVALID_PARAMETER)
        if call.text("GptType") and (medium.style != GPT or call.text("GptType").lower() != BASIC_TYPE):
            raise Failed(Code.INVALID_PARAMETER)
        offset, room = medium.free_extent(disk.unit.size)
        wanted = room if whole else size
        if not wanted or wanted > room:
            raise Failed(Code.NO_SPACE)
        paths = [self._new_letter(chr(letter))] if letter else [self._next_letter()] if call.flag("AssignDriveLetter") else []
        partition = medium.add_partition(offset, wanted)
        partition.access[self._machine.name] = paths
        return {"CreatedPartition": self._objects.instance("MSFT_Partition", self._objects.partition_row(disk, partition))}

    def add_access_path(self, call: Call) -> Mapping[str, Value]:
        """Mount the partition at a drive letter or a directory."""
        disk, partition = self._objects.partition(call)
        if self._estate.is_offline(self._machine, disk):
            raise Failed(Code.OFFLINE)
        path = call.text("AccessPath")
        if bool(path) == call.flag("AssignDriveLetter") or partition.is_reserved:
            raise Failed(Code.INVALID_PARAMETER)
        paths = partition.access.setdefault(self._machine.name, [])
        letter = not path or LETTER.match(path) is not None
        if letter and self._objects.letter(partition):
            raise Failed(Code.PATH_IN_USE)
        if letter:
            paths.append(self._new_letter(path[0]) if path else self._next_letter())
        else:
            paths.append(self._new_mount(path))
        return {}

    def _taken(self) -> set[str]:
        return {path.lower() for _first, partition in self._objects.all_partitions() for path in self._objects.paths(partition)}

    def _new_letter(self, letter: str) -> str:
        if not ("A" <= letter.upper() <= LAST_LETTER):
            raise Failed(Code.PATH_INVALID)
        path = f"{letter.upper()}:\\"
        if path.lower() in self._taken():
            raise Failed(Code.PATH_IN_USE)
        return path

    def _next_letter(self) -> str:
        free = (f"{letter}:\\" for letter in "DEFGHIJKLMNOPQRSTUVWXYZ" if f"{letter}:\\".lower() not in self._taken())
        path = next(free, None)
        if path is None:
            raise Failed(Code.PATH_IN_USE)
        return path

    def _new_mount(self, path: str) -> str:
        """Return the mount point, which must be a directory that exists, is empty and lies on an NTFS volume."""
        bare = path.rstrip("\\")
        if not _MOUNT.fullmatch(bare) or bare.lower() not in self._machine.directories or self._machine.inside(bare):
            raise Failed(Code.PATH_INVALID)
        carrier = (partition for _first, partition in self._objects.mounted() if f"{bare[:2].upper()}\\" in self._objects.paths(partition))
        if next((partition.file_system for partition in carrier), "") != "NTFS":
            raise Failed(Code.PATH_INVALID)
        if f"{bare}\\".lower() in self._taken():
            raise Failed(Code.PATH_IN_USE)
        return f"{bare}\\"

    def remove_access_path(self, call: Call) -> Mapping[str, Value]:
        """Unmount the partition from one place."""
        _first, partition = self._objects.partition(call)
        wanted = call.text("AccessPath").rstrip("\\").lower()
        paths = self._objects.paths(partition)
        kept = [path for path in paths if path.rstrip("\\").lower() != wanted]
        if len(kept) == len(paths):
            raise Failed(Code.PATH_INVALID)
        partition.access[self._machine.name] = kept
        return {}

    def access_paths(self, call: Call) -> Mapping[str, Value]:
        """Return where the partition is mounted."""
        _first, partition = self._objects.partition(call)
        return {"AccessPaths": [*self._objects.paths(partition), partition.volume_path]}

    def _bounds(self, disk: Disk, partition: Partition) -> tuple[int, int]:
        medium = self._estate.medium(disk.key)
        last = max(medium.partitions, key=lambda other: other.offset) is partition
        room = medium.free_extent(disk.unit.size)[1] if last else 0
        least = partition.volume_size // CHARGED_PART if partition.file_system else partition.size
        return least, partition.size + room

    def supported_size(self, call: Call) -> Mapping[str, Value]:
        """Return between which sizes the partition can be resized."""
        disk, partition = self._objects.partition(call)
        if self._estate.is_offline(self._machine, disk):
            raise Failed(Code.OFFLINE)
        least, most = self._bounds(disk, partition)
        return {"SizeMin": least, "SizeMax": most}

    def resize(self, call: Call) -> Mapping[str, Value]:
        """Resize the partition together with its volume."""
        disk, partition = self._objects.partition(call)
        self._objects.writable(disk)
        least, most = self._bounds(disk, partition)
        size = call.number("Size")
        if not least <= size <= most:
            raise Failed(Code.SIZE_NOT_SUPPORTED)
        if partition.file_system.upper() == "REFS" and size < partition.size:
            raise Failed(Code.NOT_SUPPORTED)
        partition.size = size
        partition.volume_size = size if partition.file_system else 0
        return {}

    def delete(self, call: Call) -> Mapping[str, Value]:
        """Delete the partition with what lies on it."""
        disk, partition = self._objects.partition(call)
        medium = self._objects.writable(disk)
        if disk.boot:
            raise Failed(Code.ACCESS_DENIED)
        medium.partitions.remove(partition)
        return {}
