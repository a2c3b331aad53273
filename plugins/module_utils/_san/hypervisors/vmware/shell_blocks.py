# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the blocks of a VMDK on VMFS are, by the ESXi shell: what `vmkfstools -t0` prints, and only as far as the LUN bears it out.

From where its offsets count is in no source, so that it is measured: blocks of the disk's file are compared with the LUN's under each place
from which they may count. A range is told only if its own beginning is there, and nothing if anything that was compared is not. No byte
leaves the host, only checksums do.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import passthrough
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Layer, Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import file_mapping
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    HOLE,
    NO_ADDRESS,
    PASSTHROUGH,
    POWERED_OFF,
    UNWRITTEN,
    BlockExtent,
    DiskBlocks,
    FileSystem,
    Inventory,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.ssh import SshConnection

_BLOCK = 4096
_SECTOR = 512
_MIB = 1 << 20
_AHEAD = (0, _MIB, 16 * _MIB, 17 * _MIB)
"""How far behind the beginning of the partition its offsets may count from: the volume's header is at 1 MiB and its first block at 16 MiB
(VMFS_VOLINFO_BASE and vmfs_vol_read of vmfs-tools)."""
_SPREAD, _MEASURED = 32, 8
"""Blocks of the disk that are looked at besides those asked for, and of all that differ, those that are looked for at each such place."""
_FEWEST = 4
"""Blocks that differ, from which on it is no accident that all are found."""
_BEGINNING, _MOST_RANGES = 65536, 256
"""How much of a range is compared, and of how many: as `verify` does elsewhere."""
_MEASURED_FROM = (
    "Where {disk} is was told by vmkfstools -t0, which VMware does not document: it counts from byte {base} of the LUN, where all of the "
    "{count} places of the disk are that were compared."
)
_CHECKSUM = re.compile(r"\b[0-9a-f]{32}\b")
_DEVICES = "/vmfs/devices/disks/"
_VOLUMES = "ds:///vmfs/volumes/"
_LONGEST_DESCRIPTOR, _LONGEST_MAP = 1 << 16, 1 << 25

Place = tuple[int, int]
"""Where a piece begins, and how long it is, in bytes."""


def disk_blocks(
    user: str, patience: float, inventory: Inventory, vm: VirtualMachine, disk: VirtualDisk, asked: Sequence[tuple[int, int]]
) -> DiskBlocks:
    """Where ranges of a disk, by beginnings and ends, are, by the shell of its host as this user. What cannot be told says why.

    `patience` are the seconds that one command may take.
    """
    if disk.kind == PASSTHROUGH:
        return passthrough.identity_or(disk, "")
    try:
        datastore = _datastore(inventory, disk)
        with closing(_over_ssh(_host(inventory, vm), user, patience)) as connection:
            return _Look(datastore, disk, connection, patience).blocks(vm, _apart(asked))
    except (NotTold, CrossvisorError) as why:
        return passthrough.untold(disk, f"{in_one_sentence(str(why))}; method=observe may find it all the same")


def _host(inventory: Inventory, vm: VirtualMachine) -> str:
    """The host's name as vSphere has it, which is what it was added by. Raises `NotTold`."""
    found = next((host.name for host in inventory.hosts if host.id == vm.host), "")
    if not found:
        raise NotTold(f"vSphere does not tell which host has VM {vm.name}")
    return found


def _over_ssh(host: str, user: str, patience: float) -> SshConnection:
    """The shell of an ESXi host, by the keys and the configuration that ssh has for whoever runs the module."""
    return SshConnection(["ssh", "-o", "BatchMode=yes", "-T", "-l", user, "--", host], host, patience)


def _datastore(inventory: Inventory, disk: VirtualDisk) -> FileSystem:
    """The VMFS datastore on one device that has the disk. Raises `NotTold`."""
    if disk.parents:
        raise NotTold(f"{disk.label} has snapshots, whose files lie over it and hold what was written since")
    found = next((one for one in inventory.file_systems if one.id == disk.file_system), None)
    if found is None or found.kind != "vmfs" or not found.url.startswith(_VOLUMES) or not disk.path.startswith(f"[{found.name}] "):
        raise NotTold(f"{disk.path} is on no VMFS datastore that vSphere tells of")
    if len(found.extents) != 1:
        raise NotTold(f"datastore {found.name} is on {len(found.extents)} devices: from where offsets count can be measured on one alone")
    return found


class _Look:
    """One look at a disk's file and at the device under it."""

    def __init__(self, datastore: FileSystem, disk: VirtualDisk, connection: SshConnection, patience: float) -> None:
        self._disk = disk
        self._connection = connection
        self._patience = patience
        self._device = datastore.extents[0]
        directory = datastore.url[len("ds://") :].rstrip("/")
        self._path = f"{directory}/{disk.path[len(f'[{datastore.name}] ') :]}"
        descriptor = self._told(f"the reading of {self._path}", f"head -c {_LONGEST_DESCRIPTOR} {shlex.quote(self._path)}")
        self._flat = file_mapping.flat_file(self._path, descriptor, disk.size_bytes)
        printed = self._told("vmkfstools", f"vmkfstools -t0 {shlex.quote(self._path)} 2>&1 | head -c {_LONGEST_MAP}")
        self._map = Layer(file_mapping.ranges(self._path, printed, disk.size_bytes))
        self._starts = [span.start for span in self._map.spans]

    def blocks(self, vm: VirtualMachine, asked: Sequence[tuple[int, int]]) -> DiskBlocks:
        parts = [part for start, end in asked for part in self._map.over(start, end)]
        beginnings = {part: _beginning(part) for part in [part for part in parts if part.state == DATA][:_MOST_RANGES]}
        beside = [place for part in beginnings for place in _evenly(self._piece(part.start), 3)]
        sums = self._sums(self._flat, sorted({*self._spread(), *beside, *beginnings.values()}))
        base = self._base(sums)
        self._refuse_others(sums, base)
        extents = [self._extent(part, base, beginnings.get(part), sums) for part in parts]
        warnings = [_MEASURED_FROM.format(disk=self._disk.label, count=len(sums), base=base)]
        if vm.power != POWERED_OFF:
            warnings.append(f"VM {vm.name} runs, so that its disk may be elsewhere by now: look again before you act on an address.")
        return DiskBlocks(extents, [], warnings, "vmdk", _SECTOR)

    def _told(self, what: str, command: str) -> str:
        return self._connection.run(command, what, self._patience).decode("utf-8", "replace")

    def _piece(self, at: int) -> Span:
        """The range that vmkfstools prints, in which a byte of the disk is."""
        return self._map.spans[bisect.bisect_right(self._starts, at) - 1]

    def _spread(self) -> Iterator[Place]:
        """Blocks of the whole disk, to measure from where offsets count."""
        data = [span for span in self._map.spans if span.state == DATA]
        for span in data[:: max(len(data) // _SPREAD, 1)][:_SPREAD]:
            yield from _evenly(span, max(_SPREAD // len(data), 1))

    def _below(self, places: Iterable[Place], base: int) -> list[Place]:
        """Where pieces of the disk are on the device, if its offsets count from there."""
        return [(base + piece.offset + at - piece.start, length) for at, length in places for piece in (self._piece(at),)]

    def _base(self, sums: Mapping[Place, str]) -> int:
        """The byte of the device from which offsets count: the only one under which blocks that differ are all there. Raises `NotTold`."""
        differ = {found: place for place, found in sums.items() if found != _zeros(place[1])}
        if len(differ) < _FEWEST:
            raise NotTold(
                f"{self._flat} has {len(differ)} blocks other than zeros where it was looked at: too few to see whether they are on the LUN"
            )
        sample = {place: found for found, place in [*differ.items()][:_MEASURED]}
        table = self._told("partedUtil", f"partedUtil getptbl {shlex.quote(_DEVICES + self._device)}")
        partition = file_mapping.vmfs_partition(self._device, table)
        fit = [base for base in (0, *(partition + ahead for ahead in _AHEAD)) if not self._others(sample, base)]
        if len(fit) != 1:
            where = "several" if fit else "none"
            raise NotTold(f"the blocks of {self._flat} are at {where} of the places on {self._device} that vmkfstools -t0 may mean")
        return fit[0]

    def _refuse_others(self, sums: Mapping[Place, str], base: int) -> None:
        others = self._others(sums, base)
        if others:
            raise NotTold(
                f"{self._device} holds other bytes than {self._flat} at {len(others)} of {len(sums)} places where vmkfstools -t0 says that "
                f"they are, the first of them byte {others[0][0]} of the disk"
            )

    def _others(self, sums: Mapping[Place, str], base: int) -> list[Place]:
        """The pieces of the disk that the device does not have where it should."""
        there = self._sums(_DEVICES + self._device, self._below(sums, base))
        return [place for place, below in zip(sums, self._below(sums, base)) if there[below] != sums[place]]

    def _sums(self, file: str, places: Sequence[Place]) -> dict[Place, str]:
        """By piece of a file or device, the checksum of it. Raises `NotTold` where there is not all of it."""
        name = shlex.quote(file)
        lines = [f"dd if={name} bs={_SECTOR} skip={at // _SECTOR} count={size // _SECTOR} 2>/dev/null | md5sum\n" for at, size in places]
        told = self._connection.run("sh -s", f"the reading of {file}", self._patience, "".join(lines).encode())
        found = _CHECKSUM.findall(told.decode("ascii", "replace"))
        if len(found) != len(places):
            raise NotTold(f"the ESXi shell has {len(found)} checksums of {len(places)} pieces of {file}")
        if file == self._flat and _NOTHING in found:
            raise NotTold(f"{file} could not be read, as long as its VM runs or another host has it open: shut the VM down")
        return dict(zip(places, found))

    def _extent(self, part: Span, base: int, beginning: Place | None, sums: Mapping[Place, str]) -> BlockExtent:
        if part.state == HOLE:
            return BlockExtent(part.start, part.length, HOLE, file=self._flat)
        why = _doubt(part, beginning, sums)
        if why:
            return BlockExtent(part.start, part.length, NO_ADDRESS, why, self._flat, part.start)
        return BlockExtent(
            part.start,
            part.length,
            DATA,
            file=self._flat,
            file_offset=part.start,
            device=self._device,
            name=ScsiName.try_parse(self._device),
            offset=base + part.offset,
        )


def _doubt(part: Span, beginning: Place | None, sums: Mapping[Place, str]) -> str:
    """Why nothing shows that a range is where it was said to be; empty where something does."""
    if part.state == UNWRITTEN:
        return "its place is reserved and was never written to, so that there is nothing to compare"
    if beginning is None:
        return f"only the first {_MOST_RANGES} ranges are compared with the LUN: ask for less"
    if sums[beginning] == _zeros(beginning[1]):
        return "it begins with zeros, so that nothing shows whether it is at its address"
    return ""


def _apart(asked: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes by ranges that do not meet."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(asked):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _beginning(part: Span) -> Place:
    """The sectors in which the first bytes of a range are."""
    first = part.start // _SECTOR * _SECTOR
    return first, -(-(min(part.end, part.start + _BEGINNING) - first) // _SECTOR) * _SECTOR


def _evenly(span: Span, count: int) -> Iterator[Place]:
    """That many blocks of a range, or all that it has if they are fewer."""
    blocks = span.length // _BLOCK
    for number in range(min(count, blocks)):
        yield span.start + number * blocks // min(count, blocks) * _BLOCK, _BLOCK


@functools.cache
def _zeros(length: int) -> str:
    return _checksum(bytes(length))


def _checksum(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


_NOTHING = _checksum(b"")
