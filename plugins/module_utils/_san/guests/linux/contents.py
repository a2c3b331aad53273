# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a disk of this Linux machine carries, read from the disk itself and not from udev's memory of it.

`wipefs` (util-linux) lists every signature that libblkid knows: partition tables, file systems, RAID, LVM, encryption, swap space; all of
them, where there are several. `blkid --probe` tells a partition's place, its name in a GPT and the UUID of what is in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.disk import GuestDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.kernel import Kernel

GPT = "gpt"
_PROTECTION = "PMBR"  # the MBR that a GPT puts before itself
_SECTOR = 512  # blkid counts in these, whatever the device's block size
_END, _SAMPLE, _PLACES = 1 << 20, 1 << 16, 64  # bytes at either end, bytes in each place between, places
_NOTHING_FOUND, _AMBIGUOUS = 2, 8  # exit codes of blkid
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class PartitionContents:
    """What one partition carries."""

    name: str = ""
    """Its name in a GPT."""
    uuid: str = ""
    """Of the file system, swap space, … in it."""
    signatures: Sequence[str] = ()
    """`ext4`, `xfs`, `LVM2_member`, …; none is a blank partition."""
    start_bytes: int = 0
    """Where it begins on the disk."""


@dataclass(frozen=True)
class Contents:
    """What a disk carries. A blank one has neither partition table nor signatures, and no data that nobody knows."""

    partition_table: str = ""
    """`gpt`, or empty for none; other tables are signatures."""
    signatures: Sequence[str] = ()
    """On the whole disk."""
    partitions: Mapping[str, PartitionContents] = field(default_factory=dict)
    """By device, `/dev/sdb1`."""
    data: bool = False
    """Whether a disk that carries nothing known carries anything but zeros all the same: a database, or what is encrypted."""

    def result(self, disk: dict[str, Any]) -> dict[str, Any]:
        """What a module returns of the disk, completed."""
        partitions = [{**partition, **self._partition(partition["device"])} for partition in disk["partitions"]]
        content = {"partition_table": self.partition_table, "signatures": list(self.signatures), "data": self.data}
        return {**disk, "content": content, "partitions": partitions}

    def _partition(self, device: str) -> dict[str, Any]:
        found = self.partitions.get(device, PartitionContents())
        return {"name": found.name, "uuid": found.uuid, "signatures": list(found.signatures), "start_bytes": found.start_bytes}


def read(kernel: Kernel, disk: GuestDisk) -> Contents | None:
    """What the disk carries, None where that cannot be told: not root, no wipefs, no path to it. Raises a `CrossvisorError`."""
    devices = [disk.device, *(partition.device for partition in disk.partitions)]
    if disk.lifeless or not all(map(kernel.may_read, devices)):
        return None
    said = kernel.tool("wipefs", "--no-act", "--json", "--output", "DEVICE,TYPE", *devices)
    if said is None:
        return None
    found = _signatures(said)
    own = found.get(_base(disk.device), [])
    is_gpt = GPT in own
    return Contents(
        partition_table=GPT if is_gpt else "",
        signatures=tuple(type_ for type_ in own if not (is_gpt and type_ in (GPT, _PROTECTION))),
        partitions={device: _partition(kernel, device, found.get(_base(device), [])) for device in devices[1:]},
        data=not own and len(devices) == 1 and _holds_data(kernel, disk),
    )


def _holds_data(kernel: Kernel, disk: GuestDisk) -> bool:
    """Look into the first and the last MiB and into places between: what never was written to is zeros on every array."""
    last = max(disk.size_bytes - _END, 0)
    places = {0: _END, last: _END, **{last * part // _PLACES: _SAMPLE for part in range(1, _PLACES)}}
    return any(not kernel.is_zero(disk.device, offset // _SECTOR * _SECTOR, length) for offset, length in sorted(places.items()))


def _signatures(said: str) -> dict[str, list[str]]:
    """The types by the last part of the device's name, each once. wipefs says nothing at all of blank devices."""
    rows = json.loads(said)["signatures"] if said.strip() else []
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(row["device"], {})[row["type"]] = None
    return {device: list(types) for device, types in found.items()}


def _partition(kernel: Kernel, device: str, signatures: Sequence[str]) -> PartitionContents:
    said = kernel.tool("blkid", "--probe", "--output", "export", device, accepted=(0, _NOTHING_FOUND, _AMBIGUOUS)) or ""
    tags = dict(_tags(said))
    return PartitionContents(
        name=tags.get("PART_ENTRY_NAME", ""),
        uuid=tags.get("UUID", ""),
        signatures=tuple(signatures),
        start_bytes=int(tags.get("PART_ENTRY_OFFSET", "0")) * _SECTOR,
    )


def _tags(said: str) -> Iterator[tuple[str, str]]:
    for line in said.splitlines():
        tag, equals, value = line.partition("=")
        if equals:
            yield tag, _ESCAPED.sub(r"\1", value)


def _base(device: str) -> str:
    return device.rpartition("/")[2]
