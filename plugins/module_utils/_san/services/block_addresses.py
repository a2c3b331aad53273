# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a block of a virtual disk to the block of the LUN, and back to whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import did_you_mean
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, InvalidInput, NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    NO_ADDRESS,
    PASSTHROUGH,
    SHARED,
    BlockExtent,
    DiskBlocks,
    Inventory,
    ScsiDevice,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource, view
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.lun_reading import LunReader
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import pick_vm
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import MAPPED, Resource, Resources

Row = dict[str, Any]
_ONTAP_BLOCK = 512
"""Bytes of a logical block of every LUN on ONTAP (NetApp, SAN configuration reference)."""
_NO_BLOCK_SIZE = "nobody tells how large a logical block of the LUN is: name its array in arrays, or reach the host over ssh"
_MOST_COMPARED, _BYTES_COMPARED = 256, 65536


@dataclass(frozen=True)
class Wish:
    """What of a virtual disk is asked about."""

    vm: str
    disk: str = ""
    """Its name or key; empty for the only one."""
    ranges: Sequence[tuple[int, int]] = ()
    """Offset and length in bytes; all of the disk if there are none."""
    verify: bool = False


@dataclass(frozen=True)
class Found:
    """Rows, and what is to be known of them."""

    rows: Sequence[Row]
    warnings: Sequence[str] = ()
    about: Row = field(default_factory=dict)


Look = Callable[[Inventory, VirtualMachine, VirtualDisk, Sequence[tuple[int, int]]], DiskBlocks]
"""Another way than the hypervisor's own to see where ranges of a disk, by beginnings and ends, are."""


def addresses(hypervisor: Hypervisor, arrays: Sequence[ArraySource], wish: Wish, look: Look | None = None) -> Found:
    """Where these ranges of a virtual disk are. Raises a `CrossvisorError`, `InvalidInput` for what is beyond the disk."""
    inventory = hypervisor.inventory(at_once=True)
    vm = pick_vm(inventory.virtual_machines, wish.vm, inventory.silent)
    disk = pick_disk(vm, wish.disk)
    resources, warnings = resolved(inventory, arrays, [disk.name] if disk.name else [])
    disk = sized(vm, disk, resources)
    observed = now()
    ranges = _ranges(wish, vm, disk) if disk.size_bytes else []
    blocks = look(inventory, vm, disk, ranges) if look else hypervisor.disk_blocks([(vm, disk)])[0]
    if not ranges:
        disk = sized_by(disk, blocks)
        _refuse_unsized(vm, disk, blocks)
        ranges = _ranges(wish, vm, disk)
    extents = [part for start, end in ranges for part in cut(blocks.extents, start, end)]
    names = {extent.name for extent in extents if extent.name} - ({disk.name} if disk.name else set())
    if names:
        resources, warnings = resolved(inventory, arrays, [*names])
    told = _verified(hypervisor, arrays, vm, disk, extents) if wish.verify else [None] * len(extents)
    lands = _Lands(vm.host, resources)
    rows = [row for extent, same in zip(extents, told) for row in _rows(extent, lands, observed, wish.verify, same)]
    about = {"vm_name": vm.name, "vm_id": vm.id, "disk": disk.label, "size_bytes": disk.size_bytes, "format": blocks.format}
    return Found(rows, [*warnings, *blocks.warnings], about)


def cut(extents: Sequence[BlockExtent], start: int, end: int) -> Iterator[BlockExtent]:
    """The parts of extents that are within a range."""
    for extent in extents:
        begin, over = max(extent.start, start), min(extent.end, end)
        if begin < over:
            ahead = begin - extent.start
            yield replace(
                extent,
                start=begin,
                length=over - begin,
                offset=None if extent.offset is None else extent.offset + ahead,
                file_offset=None if extent.file_offset is None else extent.file_offset + ahead,
            )


def now() -> str:
    """The time of an observation."""
    return stamp(datetime.now(timezone.utc).timestamp())


def stamp(time: float | None) -> str:
    """The time of an observation that was `time` seconds after 1970 began; empty for none, and for one that no calendar has."""
    try:
        return "" if time is None else datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return ""


def pick_disk(vm: VirtualMachine, word: str) -> VirtualDisk:
    """The disk of that name or key, or LUN; for an empty word the only one. Raises `InvalidInput`, `NotFound` or `Ambiguous`."""
    there = ", ".join(disk.label for disk in vm.disks) or "none"
    if not word and len(vm.disks) != 1:
        raise InvalidInput(f"VM {vm.name} has {len(vm.disks)} disks: name one of them in disk ({there}).")
    name = ScsiName.try_parse(word)
    found = [disk for disk in vm.disks if not word or word in (disk.label, disk.key) or (name and disk.name == name)]
    if not found:
        raise NotFound(f"VM {vm.name} has no disk '{word}'; it has: {there}{did_you_mean([word], {disk.label for disk in vm.disks})}")
    if len(found) > 1:
        raise Ambiguous(f"VM {vm.name} has {len(found)} disks '{word}': name one by its key ({', '.join(disk.key for disk in found)}).")
    return found[0]


def _ranges(wish: Wish, vm: VirtualMachine, disk: VirtualDisk) -> list[tuple[int, int]]:
    return within(wish.ranges or [(0, disk.size_bytes)], vm, disk)


def within(ranges: Iterable[tuple[int, int]], vm: VirtualMachine, disk: VirtualDisk) -> list[tuple[int, int]]:
    """Offsets and lengths as beginnings and ends. Raises `InvalidInput` for what is not within the disk."""
    asked = []
    for start, length in ranges:
        if start < 0 or length < 1 or start + length > disk.size_bytes:
            raise InvalidInput(
                f"The range of {length} bytes from byte {start} is not within disk {disk.label} of VM {vm.name}, which has "
                f"{disk.size_bytes} bytes: ask for what it has."
            )
        asked.append((start, start + length))
    return asked


def resolved(inventory: Inventory, arrays: Sequence[ArraySource], names: Sequence[ScsiName]) -> tuple[Resources, list[str]]:
    """What the arrays know of these LUNs, and what is to be known of that."""
    answers = view(arrays if names else (), names, with_exports=False)
    resources = Resources(inventory)
    resources.resolve(answers)
    return resources, [*inventory.warnings, *answers.failures, *answers.warnings()]


def sized(vm: VirtualMachine, disk: VirtualDisk, resources: Resources) -> VirtualDisk:
    """The disk with the size of its LUN, where the hypervisor does not tell and it is one."""
    if disk.size_bytes or disk.kind != PASSTHROUGH or disk.parents:
        return disk
    sizes = {found.lun.size_bytes for found in resources.disk(vm, disk).under if found.lun}
    return replace(disk, size_bytes=sizes.pop()) if len(sizes) == 1 else disk


def sized_by(disk: VirtualDisk, blocks: DiskBlocks) -> VirtualDisk:
    """The disk with the size that its image tells, where only that does."""
    return disk if disk.size_bytes else replace(disk, size_bytes=max((extent.end for extent in blocks.extents), default=0))


def _refuse_unsized(vm: VirtualMachine, disk: VirtualDisk, blocks: DiskBlocks) -> None:
    if not disk.size_bytes:
        why = next((f": {extent.reason}" for extent in blocks.extents if extent.reason), "")
        raise InvalidInput(f"Nobody tells how large disk {disk.label} of VM {vm.name} is, and so not what is within it{why}.")


class _Lands:
    """What devices of a host are, as the storage map tells it."""

    def __init__(self, host: str, resources: Resources) -> None:
        self._host = host
        self._resources = resources

    def of(self, extent: BlockExtent) -> Sequence[Resource]:
        if extent.offset is None:
            return ()
        return self._resources.of_device(ScsiDevice(self._host, extent.device, extent.name, 0))


def _rows(extent: BlockExtent, lands: _Lands, observed: str, verify: bool, same: str | None) -> Iterator[Row]:
    state, reason = extent.state, extent.reason
    if same == "no":
        state, reason = NO_ADDRESS, "the device holds other bytes at the address that was found than the disk has: look again"
    row: Row = {"virtual_offset": extent.start, "length": extent.length, "state": state, "reason": reason}
    row.update(file=extent.file, file_offset=extent.file_offset)
    if verify:
        row["verified"] = None if same not in ("yes", "no") else same == "yes"
        row["reason"] = reason or (f"not compared: {same}" if same not in (None, "yes") else "")
    for resource in lands.of(extent) if state != NO_ADDRESS else ():
        yield {**row, **land(extent, resource, row["reason"]), "observed": observed}
    if extent.offset is None or state == NO_ADDRESS:
        yield {**row, **NOWHERE, "observed": observed}


NOWHERE: Row = {
    **dict.fromkeys(("device", "naa", "serial", "array", "svm", "volume", "lun_path"), ""),
    "lba": None,
    "block_size": None,
}
"""The columns of a row without an address."""


def land(extent: BlockExtent, resource: Resource, reason: str) -> Row:
    """The columns of a row about the LUN in which an extent with an offset begins."""
    columns = resource.columns
    size = block_size(extent, resource)
    why = reason or ("" if resource.status == MAPPED else columns["reason"]) or ("" if size else _NO_BLOCK_SIZE)
    told = {name: columns[name] for name in ("device", "naa", "serial", "array", "svm", "volume", "lun_path")}
    lba = (extent.offset or 0) // size if size else None
    return {**told, "lba": lba, "block_size": size or None, "reason": why}


def block_size(extent: BlockExtent, resource: Resource) -> int:
    """Bytes of a logical block by the host's word, or by what all LUNs of its array have; 0 where nobody tells."""
    on_ontap = resource.array is not None and resource.array.type == "ontap"
    by_name = resource.name is not None and resource.name.ontap_serial is not None
    return extent.block_size or (_ONTAP_BLOCK if on_ontap or by_name else 0)


def _verified(
    hypervisor: Hypervisor, arrays: Sequence[ArraySource], vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[BlockExtent]
) -> list[str | None]:
    """What a second reading says of the beginning of each extent that has bytes of its own."""
    told: list[str | None] = [None] * len(extents)
    sure = [number for number, extent in enumerate(extents) if extent.state in (DATA, SHARED)]
    compared = sure[:_MOST_COMPARED]
    parts = [replace(extents[number], length=min(extents[number].length, _BYTES_COMPARED)) for number in compared]
    with ExitStack() as undo:
        reader = LunReader(arrays, undo)
        for number, same in zip(compared, hypervisor.verify_blocks(vm, disk, [_whole_sectors(part) for part in parts], reader.read)):
            told[number] = same
    for number in sure[_MOST_COMPARED:]:
        told[number] = f"only the first {_MOST_COMPARED} ranges are"
    return told


def _whole_sectors(extent: BlockExtent) -> BlockExtent:
    """The sectors of 512 bytes that an extent touches: images and devices are read by these."""
    ahead = extent.start % 512
    return replace(
        extent,
        start=extent.start - ahead,
        length=-(-(extent.length + ahead) // 512) * 512,
        file_offset=None if extent.file_offset is None else extent.file_offset - ahead,
        offset=None if extent.offset is None else extent.offset - ahead,
    )
