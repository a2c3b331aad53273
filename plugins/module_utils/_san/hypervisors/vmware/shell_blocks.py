# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the blocks of a VMDK on VMFS are, by the ESXi shell: what `vmkfstools -t0` prints, and only as far as the LUN bears it out.

From where its offsets count is in no source, so that it is measured: blocks of the disk's file are compared with the LUN's under each place
from which they may count, and a range is told only if blocks of it are there. No byte leaves the host, only checksums do.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
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

TYPE = "vmware"

_BLOCK = 4096
_SECTOR = 512
_MIB = 1 << 20
_AHEAD = (0, _MIB, 16 * _MIB, 17 * _MIB)
"""How far behind the beginning of the partition its offsets may count from: the volume's header is at 1 MiB and its first block at 16 MiB
(VMFS_VOLINFO_BASE and vmfs_vol_read of vmfs-tools)."""
_SPREAD, _MEASURED = 32, 8
"""Blocks of the disk that are looked at besides those asked for, and of all that differ, those that are looked for at each such place."""
_MEASURED_FROM = (
    "Where {disk} is was told by vmkfstools -t0, which VMware does not document: it counts from byte {base} of the LUN, which holds "
    "{count} blocks of the disk there that were compared."
)
_MOST_RANGES = 256
_FEWEST = 4
"""Blocks that differ, from which on it is no accident that all are found."""
_NOTHING, _ZEROS = (hashlib.md5(text, usedforsecurity=False).hexdigest() for text in (b"", bytes(_BLOCK)))
_CHECKSUM = re.compile(r"[0-9a-f]{32}")
_DEVICES = "/vmfs/devices/disks/"
_VOLUMES = "ds:///vmfs/volumes/"
_PATIENCE = 120.0


def disk_blocks(user: str, inventory: Inventory, vm: VirtualMachine, disk: VirtualDisk, asked: Sequence[tuple[int, int]]) -> DiskBlocks:
    """Where ranges of a disk, by beginnings and ends, are, by the shell of its host as this user. What cannot be told says why."""
    if disk.kind == PASSTHROUGH:
        return passthrough.identity_or(disk, "")
    try:
        datastore = _datastore(inventory, disk)
        with closing(_over_ssh(_host(inventory, vm), user)) as connection:
            return _Look(datastore, disk, connection).blocks(vm, _apart(asked))
    except NotTold as why:
        return passthrough.untold(disk, str(why))
    except CrossvisorError as why:
        return passthrough.untold(disk, in_one_sentence(str(why)))


def _host(inventory: Inventory, vm: VirtualMachine) -> str:
    """The host's name as vSphere has it, which is what it was added by. Raises `NotTold`."""
    found = next((host.name for host in inventory.hosts if host.id == vm.host), "")
    if not found:
        raise NotTold(f"vSphere does not tell which host has VM {vm.name}")
    return found


def _over_ssh(host: str, user: str) -> SshConnection:
    """The shell of an ESXi host, by the keys and the configuration that ssh has for whoever runs the module."""
    return SshConnection(["ssh", "-o", "BatchMode=yes", "-T", "-l", user, "--", host], host, _PATIENCE)


def _datastore(inventory: Inventory, disk: VirtualDisk) -> FileSystem:
    """The VMFS datastore on one device that has the disk. Raises `NotTold`."""
    if disk.parents:
        raise NotTold(f"{disk.label} has snapshots, whose files lie over it and hold what was written since")
    found = next((one for one in inventory.file_systems if one.id == disk.file_system), None)
    if found is None or found.kind != "vmfs" or not found.url.startswith(_VOLUMES):
        raise NotTold(f"{disk.path} is on no VMFS datastore that vSphere tells of")
    if len(found.extents) != 1:
        raise NotTold(
            f"datastore {found.name} is on {len(found.extents)} devices: what its offsets count from can be measured on one alone"
        )
    return found


class _Look:
    """One look at a disk's file and at the device under it."""

    def __init__(self, datastore: FileSystem, disk: VirtualDisk, connection: SshConnection) -> None:
        self._disk = disk
        self._connection = connection
        self._path = f"{datastore.url[len('ds://') :].rstrip('/')}/{disk.path.partition('] ')[2]}"
        self._device = datastore.extents[0]
        self._flat = file_mapping.flat_file(self._path, self._told(f"cat {shlex.quote(self._path)}"))

    def blocks(self, vm: VirtualMachine, asked: Sequence[tuple[int, int]]) -> DiskBlocks:
        printed = self._told(f"vmkfstools -t0 {shlex.quote(self._path)}")
        spans = file_mapping.ranges(self._path, printed, self._disk.size_bytes)
        parts = [part for start, end in asked for part in Layer(spans).over(start, end)]
        compared = [part for part in parts if part.state == DATA][:_MOST_RANGES]
        known = Layer(spans)
        places = {part: _places(part, known) for part in compared}
        sums = self._sums(self._flat, sorted({*_spread(spans), *(at for found in places.values() for at in found)}))
        if _NOTHING in sums.values():
            raise NotTold(f"{self._flat} could not be read, as long as its VM runs or another host has it open: shut the VM down")
        telling = {at: found for at, found in sums.items() if found != _ZEROS}
        base = self._base(known, telling)
        there = self._sums(self._on_device, [base + _offset(known, at) for at in telling])
        right = {at for at, found in telling.items() if there[base + _offset(known, at)] == found}
        extents = [self._extent(part, base, places.get(part), telling, right) for part in parts]
        warnings = [_MEASURED_FROM.format(disk=self._disk.label, count=len(right), base=base)]
        if vm.power != POWERED_OFF:
            warnings.append(f"VM {vm.name} runs, so that its disk may be elsewhere by now: look again before you act on an address.")
        return DiskBlocks(extents, [], warnings, "vmdk", _SECTOR)

    @property
    def _on_device(self) -> str:
        return f"{_DEVICES}{self._device}"

    def _told(self, command: str) -> str:
        return self._connection.run(command, command.partition(" ")[0], _PATIENCE).decode("utf-8", "replace")

    def _base(self, known: Layer, telling: Mapping[int, str]) -> int:
        """The byte of the device from which offsets count: the only one under which blocks that differ are all there. Raises `NotTold`."""
        sample = {found: at for at, found in telling.items()}
        if len(sample) < _FEWEST:
            raise NotTold(
                f"{self._flat} has {len(sample)} blocks other than zeros where it was looked at: too few to see whether they are on the LUN"
            )
        places = [*sample.values()][:_MEASURED]
        partition = file_mapping.vmfs_partition(self._device, self._told(f"partedUtil getptbl {shlex.quote(self._on_device)}"))
        found = [base for base in (0, *(partition + ahead for ahead in _AHEAD)) if self._holds(base, known, places, telling)]
        if len(found) != 1:
            where = "several" if found else "none"
            raise NotTold(f"the blocks of {self._flat} are at {where} of the places on {self._device} that vmkfstools -t0 may mean")
        return found[0]

    def _holds(self, base: int, known: Layer, places: Sequence[int], telling: Mapping[int, str]) -> bool:
        there = self._sums(self._on_device, [base + _offset(known, at) for at in places])
        return all(there[base + _offset(known, at)] == telling[at] for at in places)

    def _sums(self, file: str, places: Sequence[int]) -> dict[int, str]:
        """By place in a file or device, the checksum of what is of the block there."""
        if not places:
            return {}
        name = shlex.quote(file)
        lines = [f"dd if={name} bs={_SECTOR} skip={at // _SECTOR} count={_BLOCK // _SECTOR} 2>/dev/null | md5sum\n" for at in places]
        told = self._connection.run("sh -s", f"the reading of {file}", _PATIENCE, "".join(lines).encode())
        found = _CHECKSUM.findall(told.decode("ascii", "replace"))
        if len(found) != len(places):
            raise NotTold(f"the ESXi shell has {len(found)} checksums of {len(places)} blocks of {file}")
        return dict(zip(places, found))

    def _extent(self, part: Span, base: int, places: Sequence[int] | None, telling: Mapping[int, str], right: set[int]) -> BlockExtent:
        if part.state == HOLE:
            return BlockExtent(part.start, part.length, HOLE, file=self._flat)
        why = _doubt(part, places, telling, right)
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


def _doubt(part: Span, places: Sequence[int] | None, telling: Mapping[int, str], right: set[int]) -> str:
    """Why nothing shows that a range is where it was said to be; empty where something does."""
    if part.state == UNWRITTEN:
        return "its place is reserved and was never written to, so that there is nothing to compare"
    if places is None:
        return f"only the first {_MOST_RANGES} ranges are compared with the LUN: ask for less"
    met = [at for at in places if at in telling]
    if not met:
        return "it holds zeros where it was looked at, so that nothing shows whether it is at its address"
    return "" if right.issuperset(met) else "the LUN holds other bytes where vmkfstools -t0 says that it is: look again"


def _apart(asked: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes by ranges that do not meet."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(asked):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _places(part: Span, known: Layer) -> list[int]:
    """Where blocks of a range are read: the first, and three more of the piece that it is in."""
    first = part.start // _BLOCK * _BLOCK
    (piece,) = (span for span in known.spans if span.start <= part.start < span.end)
    return [*dict.fromkeys([first, *_evenly(piece, 3)])]


def _spread(spans: Sequence[Span]) -> Iterator[int]:
    """Where blocks of the whole disk are read, to measure from where offsets count."""
    data = [span for span in spans if span.state == DATA]
    for span in data[:: max(len(data) // _SPREAD, 1)][:_SPREAD]:
        yield from _evenly(span, max(_SPREAD // len(data), 1))


def _evenly(span: Span, count: int) -> Iterator[int]:
    """That many blocks of a range, or all that it has if they are fewer."""
    blocks = span.length // _BLOCK
    for number in range(min(count, blocks)):
        yield span.start + number * blocks // min(count, blocks) * _BLOCK


def _offset(known: Layer, at: int) -> int:
    """Where a byte of the disk is in the volume."""
    (span,) = known.over(at, at + 1)
    return span.offset
