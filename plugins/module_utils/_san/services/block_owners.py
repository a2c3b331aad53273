# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a block of a LUN is: the maps of all disks that may lie on it, read the other way round."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.partitions import NO_TABLE, Partition, partition_at
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, InvalidInput, NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    IMAGE,
    NO_ADDRESS,
    BlockExtent,
    DiskBlocks,
    Inventory,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource, ArrayView, view
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.block_addresses import (
    Found,
    Row,
    block_size,
    now,
    sized,
    sized_by,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import UNRESOLVED, Resource, Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.where import Where

OWNED, IN_IMAGE, NOBODY, CANNOT_TELL = "owned", "in_image", "nobody", "cannot_tell"
_VERDICTS = {NOBODY: "is nobody's", CANNOT_TELL: "may be anybody's"}
_NOT_OF_THE_DISK = "in the image's file, but in no block of the disk as it is now: the image's own data, a snapshot, or free space"
_SPREAD = frozenset({"btrfs", "bcachefs"})
"""File systems that have several devices, of which a mount names one."""
_OF_A_BLOCK_UNTOLD = "in the image's file, but nobody can tell in which block of the disk, because parts of the image have no address"
_MOST_NAMED = 10
_SMALLEST = 512
_HEAD = 65536
"""Where a partition table is, whatever its kind."""


@dataclass(frozen=True)
class Question:
    """Which blocks of which LUN."""

    where: Where
    """The LUN: its name, its serial number, or its path."""
    blocks: Sequence[int]
    block_size: int = 0
    """Bytes of a block; 0 for what host or array tell."""
    files: bool = False
    """Whether the guests' files are asked for."""


@dataclass(frozen=True)
class _Candidate:
    """A disk that may lie on the LUN."""

    vm: VirtualMachine
    disk: VirtualDisk
    told: DiskBlocks
    doubtful: bool
    """Nobody can tell on which LUN it lies."""
    elsewhere: bool
    """It lies on other LUNs, but an image may be based on one on this, of which only the image itself tells."""
    head: list[bytes] = field(default_factory=list, compare=False)
    """The beginning of the disk, once that was read."""


def owners(hypervisor: Hypervisor, arrays: Sequence[ArraySource], question: Question) -> Found:
    """Every owner of these blocks. Raises a `CrossvisorError` for a LUN that there is not, or that nobody can tell the blocks of."""
    if question.block_size and (question.block_size < _SMALLEST or question.block_size & (question.block_size - 1)):
        raise InvalidInput(f"No LUN has blocks of {question.block_size} bytes: give 512 or 4096 in block_size.")
    inventory = hypervisor.inventory(at_once=True)
    resources, answers, on_arrays = _lun(inventory, arrays, question.where)
    resource = on_arrays[0]
    name = resource.name
    if name is None:
        raise NotFound(f"{resource.device} has no name that tells it from other LUNs.")
    wanted = _candidates(inventory, resources, name)
    observed = now()
    maps = hypervisor.disk_blocks([one[:2] for one in wanted])
    found = [_candidate(vm, disk, told, doubtful, elsewhere) for (vm, disk, doubtful, elsewhere), told in zip(wanted, maps)]
    own = _block_size(found, resource)
    size = question.block_size or own
    if not size:
        raise InvalidInput(f"Nobody tells how large a block of LUN {name} is: name its array in arrays, or give block_size.")
    sized = [one if one.told.sector else replace(one, told=replace(one.told, sector=own or size)) for one in found]
    limit = _size(name, inventory, on_arrays) // size or None
    rows: list[Row] = []
    for block in question.blocks:
        if block < 0 or (limit is not None and block >= limit):
            raise InvalidInput(f"LUN {name} has no block {block}: it has {limit} blocks of {size} bytes.")
        told = [*_of_block(hypervisor, sized, name, block * size, size, question.files)] or [
            _nobody(found, inventory, resources, name, limit)
        ]
        rows.extend({**_columns(one, block, size), **row, "observed": observed} for one in on_arrays for row in told)
    told_of = (one for one in found if not one.elsewhere or any(extent.name == name for extent in one.told.extents))
    warnings = [*inventory.warnings, *answers.failures, *answers.warnings(), *(text for one in told_of for text in one.told.warnings)]
    return Found(rows, list(dict.fromkeys(warnings)))


def in_words(row: Row) -> str:
    """A row as a sentence for people."""
    place = f" ({row['svm']}:{row['lun_path']})" if row["lun_path"] else ""
    block = f"Block {row['lba']} of LUN naa.{row['naa']}{place}"
    reason = f": {row['reason']}" if row["reason"] else ""
    if row["status"] not in (OWNED, IN_IMAGE):
        return f"{block} {_VERDICTS[row['status']]}{reason}."
    file = f", in {row['file']} at byte {row['file_offset']}" if row["file"] else ""
    disk = f"disk {row['disk']} of VM {row['vm_name']}"
    if row["status"] == IN_IMAGE:
        return f"{block} belongs to {disk}{file}{reason}."
    partition = f", partition {row['partition']} at byte {row['partition_offset']}" if row["partition"] else ""
    volume = f", logical volume {row['guest_volume']}" if row["guest_volume"] else ""
    guest = f", {' and '.join(row['guest_files'])} in its {row['guest_file_system']}" if row["guest_files"] else ""
    return f"{block} is byte {row['virtual_offset']} of {disk} ({row['state']}){partition}{volume}{guest}{file}{reason}."


def _lun(inventory: Inventory, arrays: Sequence[ArraySource], where: Where) -> tuple[Resources, ArrayView, Sequence[Resource]]:
    """The LUN that was named, as each array has it. Raises `NotFound` or `Ambiguous`."""
    if not where.by_storage:
        raise InvalidInput("No LUN was named: give its naa or its lun_path.")
    resources = Resources(inventory)
    names = where.names or resources.lun_names()
    answers = view(arrays, names, with_exports=False)
    resources.resolve(answers)
    disks = (found for vm in inventory.virtual_machines for disk in vm.disks for found in resources.disk(vm, disk).under)
    seen = (found for device in inventory.devices for found in resources.of_device(device))
    stored = (found for under in resources.on_file_system.values() for found in under)
    there = {found.key: found for found in (*disks, *seen, *stored) if found.name and where.is_under(found)}
    if not there:
        where.require((), (), answers)
    if len({found.name for found in there.values()}) > 1:
        places = "; ".join(sorted(str(found.name) for found in there.values()))
        raise Ambiguous(f"What was named stands for several LUNs, name one by its naa: {places}.")
    return resources, answers, list(there.values())


def _size(name: ScsiName, inventory: Inventory, on_arrays: Sequence[Resource]) -> int:
    """Bytes of the LUN by its arrays, else by the hosts and VMs that have it, the most because it may have grown; 0 where none tells."""
    told = [found.lun.size_bytes for found in on_arrays if found.lun]
    hosts = [device.size_bytes for device in inventory.devices if device.name == name]
    machines = [disk.size_bytes for vm in inventory.virtual_machines for disk in vm.disks if disk.name == name and not disk.holds_image]
    return max(told, default=0) or max([*hosts, *machines], default=0)


def _candidates(inventory: Inventory, resources: Resources, name: ScsiName) -> list[tuple[VirtualMachine, VirtualDisk, bool, bool]]:
    """The disks with anything on the LUN, those of which nobody knows on what they lie, and every image, whatever it is based on."""
    found = []
    spread = {store.id for store in inventory.file_systems if store.kind in _SPREAD}
    for vm in inventory.virtual_machines:
        for disk in vm.disks:
            under = resources.disk(vm, disk).under
            on_it = any(resource.name == name for resource in under)
            doubtful = any(map(_is_hidden, under)) or bool(_homes(disk) & spread)
            if on_it or doubtful or disk.kind == IMAGE or disk.holds_image:
                found.append((vm, sized(vm, disk, resources), doubtful and not on_it, not (on_it or doubtful)))
    return found


def _is_hidden(resource: Resource) -> bool:
    """Whether a LUN may lie below that nobody sees from here."""
    return resource.name is None and resource.status == UNRESOLVED


def _homes(disk: VirtualDisk) -> set[str]:
    return {disk.file_system, *(parent.file_system for parent in disk.parents)}


def _candidate(vm: VirtualMachine, disk: VirtualDisk, told: DiskBlocks, doubtful: bool, elsewhere: bool) -> _Candidate:
    """A disk with its blocks; of one of unknown size nobody can tell which blocks of its files it has."""
    disk = sized_by(disk, told)
    return _Candidate(vm, disk, told if disk.size_bytes else replace(told, files=()), doubtful or not disk.size_bytes, elsewhere)


def _block_size(found: Sequence[_Candidate], resource: Resource) -> int:
    known = (extent for one in found for extent in (*one.told.extents, *one.told.files) if extent.name == resource.name)
    sizes = {size for extent in known if (size := block_size(extent, resource))}
    bare = block_size(BlockExtent(0, 0, ""), resource)
    return sizes.pop() if len(sizes) == 1 else bare


def _of_block(hypervisor: Hypervisor, found: Sequence[_Candidate], name: ScsiName, start: int, length: int, files: bool) -> Iterator[Row]:
    """A row for each part of a disk that is in the block, and for each image that has it in another way."""
    for one in found:
        parts = [*_meeting(one.told.extents, name, start, length)]
        for extent, ahead in parts:
            yield _owned(hypervisor, one, extent, ahead, files)
        owned = {extent.file for extent, _ahead in parts}
        why = _OF_A_BLOCK_UNTOLD if any(extent.state == NO_ADDRESS for extent in one.told.extents) else _NOT_OF_THE_DISK
        for extent, ahead in _meeting(one.told.files, name, start, length):
            if extent.file not in owned:
                yield {**_of_disk(one), "status": IN_IMAGE, **_in_file(extent, ahead), "reason": why}


def _meeting(extents: Sequence[BlockExtent], name: ScsiName, start: int, length: int) -> Iterator[tuple[BlockExtent, int]]:
    """The extents that are in a range of the LUN, and how far within each it begins."""
    for extent in extents:
        if extent.name == name and extent.offset is not None and extent.offset < start + length and start < extent.offset + extent.length:
            yield extent, max(start - extent.offset, 0)


def _owned(hypervisor: Hypervisor, one: _Candidate, extent: BlockExtent, ahead: int, files: bool) -> Row:
    at = extent.start + ahead
    partition, why = _partition(hypervisor, one, at)
    row: Row = {**_of_disk(one), "status": OWNED, "virtual_offset": at, "state": extent.state, **_in_file(extent, ahead), "reason": why}
    if partition:
        row.update(partition=partition.number, partition_start=partition.start, partition_offset=at - partition.start)
    if files and (partition or why == NO_TABLE):
        place = partition or Partition(0, 0, one.disk.size_bytes)
        told = hypervisor.guest_block(one.vm, one.disk, (place.start, place.length), at - place.start)
        row.update(guest_file_system=told.file_system, guest_block=told.block, guest_files=list(told.files), reason=told.reason)
        row.update(guest_volume=told.volume)
    return row


def _partition(hypervisor: Hypervisor, one: _Candidate, at: int) -> tuple[Partition | None, str]:
    """The guest's partition, or why it is not told."""

    def read(offset: int, length: int) -> bytes:
        if offset + length <= _HEAD:
            if not one.head:
                one.head.append(hypervisor.read_disk(one.vm, one.disk, 0, min(_HEAD, one.disk.size_bytes // 512 * 512)))
            return one.head[0][offset : offset + length]
        return hypervisor.read_disk(one.vm, one.disk, offset, length)

    return partition_at(read, at, one.disk.size_bytes, one.told.sector)


def _of_disk(one: _Candidate) -> Row:
    return {**_NOTHING, "vm_name": one.vm.name, "vm_id": one.vm.id, "disk": one.disk.label}


def _in_file(extent: BlockExtent, ahead: int) -> Row:
    offset = None if extent.file_offset is None else extent.file_offset + ahead
    return {"file": extent.file, "file_offset": offset}


_NOTHING: Row = {
    **dict.fromkeys(("vm_name", "vm_id", "disk", "state", "file", "reason", "guest_volume", "guest_file_system"), ""),
    **dict.fromkeys(("virtual_offset", "file_offset", "partition", "partition_start", "partition_offset", "guest_block")),
    "guest_files": [],
}


def _nobody(found: Sequence[_Candidate], inventory: Inventory, resources: Resources, name: ScsiName, limit: int | None) -> Row:
    """A block that no map has: nobody's, if all of them are whole."""
    dark = [_labelled(one) for one in found if one.doubtful or one.told.unfollowed or (_has_gaps(one) and not one.elsewhere)]
    blind = [f"{use.kind} {use.name}" for use in inventory.uses if use.lun is None]
    stores = sorted(store.name for store in inventory.file_systems if any(one.name == name for one in resources.on_file_system[store.id]))
    if dark or blind or inventory.silent:
        who = _listed([*dark, *blind, *inventory.silent])
        return {**_NOTHING, "status": CANNOT_TELL, "reason": f"in no disk that could be looked into, but nobody can tell of {who}"}
    if limit is None:
        return {
            **_NOTHING,
            "status": CANNOT_TELL,
            "reason": "in no disk, but nobody tells how large the LUN is, or whether it has that block",
        }
    place = (
        f"the LUN holds {_listed(stores)}: it is that file system's own, another file's, or free" if stores else "no file system is on it"
    )
    return {**_NOTHING, "status": NOBODY, "reason": f"in the image of no VM; {place}"}


def _has_gaps(one: _Candidate) -> bool:
    return any(extent.state == NO_ADDRESS for extent in (*one.told.extents, *one.told.files))


def _labelled(one: _Candidate) -> str:
    return f"disk {one.disk.label} of VM {one.vm.name}"


def _listed(names: Collection[str]) -> str:
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return f"{', '.join(known[:_MOST_NAMED])}{more}"


def _columns(resource: Resource, block: int, size: int) -> Row:
    columns = resource.columns
    return {"lba": block, "block_size": size, **{name: columns[name] for name in ("naa", "serial", "array", "svm", "volume", "lun_path")}}
