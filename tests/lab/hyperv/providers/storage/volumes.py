# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be done to a volume."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.hyperv.cim import Value
from tests.lab.hyperv.media import DEFAULT_UNIT
from tests.lab.hyperv.namespaces import Call
from tests.lab.hyperv.providers.storage.codes import Code, Failed
from tests.lab.hyperv.providers.storage.objects import Objects

FILE_SYSTEM_BYTES = 64 * 1024**2
FORMATS = {"NTFS": "NTFS", "REFS": "ReFS"}
UNITS = {"NTFS": {2**power for power in range(9, 22)}, "REFS": {4096, 65536}}


class Volumes:
    """The methods."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._estate = objects.estate
        self._machine = objects.machine

    def format(self, call: Call) -> Mapping[str, Value]:
        """Write a file system, over another one only by force."""
        disk, partition = self._objects.volume(call)
        self._objects.writable(disk)
        file_system = (call.text("FileSystem") or "NTFS").upper()
        if file_system not in FORMATS:
            raise Failed(Code.FILE_SYSTEM_UNSUPPORTED)
        unit = call.number("AllocationUnitSize") or DEFAULT_UNIT
        if unit not in UNITS[file_system]:
            raise Failed(Code.UNIT_INVALID)
        if disk.boot or self._estate.clustered(self._machine, disk) or (partition.file_system and not call.flag("Force")):
            raise Failed(Code.ACCESS_DENIED)
        self._objects.wrote(disk, FILE_SYSTEM_BYTES)
        partition.file_system, partition.label, partition.unit = FORMATS[file_system], call.text("FileSystemLabel"), unit
        partition.volume_size = partition.size // unit * unit
        return {"FormattedVolume": self._objects.instance("MSFT_Volume", self._objects.volume_row(disk, partition))}

    def set_label(self, call: Call) -> Mapping[str, Value]:
        """Write the label."""
        _first, partition = self._objects.volume(call)
        partition.label = call.text("FileSystemLabel")
        return {}
