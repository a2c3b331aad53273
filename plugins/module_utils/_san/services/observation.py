# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where blocks of a virtual disk are, without the hypervisor's help: the guest has written markers, and the LUNs are searched for them.

Only what was found is told, of the very bytes that were found. The hypervisor is asked which disk that is, and on which LUNs it may lie.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from ansible_collections.crossvisor.san.plugins.module_utils._san import progress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    InvalidInput,
    NotFound,
    Refused,
    in_one_sentence,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    NO_ADDRESS,
    PASSTHROUGH,
    UNKNOWN,
    ArrayAbout,
    BlockExtent,
    Lun,
    ScsiDevice,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.capture import ISCSI_PORT
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.captured import Reading
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.content import Pair, associated
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen, Written
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import SECTOR, Markers, Sighting, joined
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.block_addresses import (
    NOWHERE,
    Found,
    Row,
    land,
    now,
    pick_disk,
    resolved,
    sized,
    stamp,
    within,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import pick_vm
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import LUN, Resource, Resources

_PIECE = 8 << 20
"""Bytes that are searched at once."""
_NO_MARKER = -1
_UNMARKED = "no marker is there, and what lies beside one may be anywhere"
_UNSEEN = (
    "its bytes are nowhere on {places}: something between keeps them in another form (compressed, encrypted), in a cache, or on another LUN"
)


@dataclass(frozen=True)
class GuestPiece:
    """A marker, or a part of one, as the guest has it on a disk of its own."""

    written: Written
    naa: str
    disk_bytes: int


@dataclass(frozen=True)
class Lost:
    """A marker, or a part of one, of which the guest does not know where it is."""

    number: int
    reason: str


@dataclass(frozen=True)
class Wish:
    """What a guest has written, and where it is looked for."""

    vm: str
    markers: Markers
    pieces: Sequence[GuestPiece]
    lost: Sequence[Lost] = ()
    disk: str = ""
    ranges: Sequence[tuple[int, int]] = ()
    """Offset and length in bytes of what is told; every marker if there are none."""
    guest_device: str = ""
    """The disk, as the guest calls it; empty for whichever it can be alone."""
    luns: Sequence[ScsiName] = ()
    """Where they are looked for; without any, where the hypervisor says that the disk may lie."""
    captures: Sequence[str] = ()
    """Files with the iSCSI traffic to the LUNs, in which they are looked for in place of the LUNs themselves."""
    ports: Sequence[int] = (ISCSI_PORT,)
    """TCP ports of the portals in the captures."""
    most_bytes: int = 0
    """Of each LUN, from its beginning on; 0 for all of it."""
    seconds: float = 0.0
    """What the whole search may take; 0 for as long as it takes."""


@dataclass
class _Search:
    """What was found on one LUN, and how far it was looked through."""

    resource: Resource
    size: int
    searched: int = 0
    sightings: list[Sighting] = field(default_factory=list)
    why: str = ""
    """Why no more of it was searched."""

    @property
    def title(self) -> str:
        whole = "" if self.searched == self.size else f" (of which {self.searched} of {self.size} bytes were searched: {self.why})"
        return f"LUN {self.resource.name}{whole}"


@dataclass(frozen=True)
class _Evidence:
    """What was looked into, and what was seen there."""

    seen: Sequence[Seen]
    lands: Mapping[str, Sequence[Resource]]
    """What is called so in `seen`: a LUN, on each array that has it."""
    places: Sequence[str]
    """Where was looked, each with what was left out."""
    partly: bool
    """Whether something was left out."""
    tells_blocks: bool
    """Whether blocks of the LUN were seen, in place of bytes that were read."""
    warnings: Sequence[str]
    observed: str
    """When what was seen was so."""

    def rows(self, pair: Pair) -> Iterator[Row]:
        """One for each place; one that says why for what is nowhere."""
        base: Row = {"virtual_offset": pair.written.virtual_offset, "length": pair.written.length}
        files: Row = {"file": "", "file_offset": None}
        if not pair.seen:
            reason = _UNMARKED if pair.written.number == _NO_MARKER else _UNSEEN.format(places=" and ".join(self.places))
            yield {**base, "state": NO_ADDRESS, "reason": reason, **files, **NOWHERE, "observed": self.observed}
        doubt = self._doubt(len(pair.seen))
        for seen in pair.seen:
            at, size = seen.lba * seen.block_size, seen.block_size if self.tells_blocks else 0
            extent = BlockExtent(pair.written.virtual_offset, pair.written.length, DATA, offset=at, block_size=size)
            for resource in self.lands[seen.lun]:
                reason = "; ".join(filter(None, (doubt, resource.reason)))
                yield {**base, "state": DATA, **files, **land(extent, resource, reason), "observed": self.observed}

    def _doubt(self, places: int) -> str:
        if places > 1:
            return f"the same bytes are at {places} places, of which a journal, a snapshot or a mirror may have one"
        return f"not all was seen, so that the same bytes may be elsewhere too: {' and '.join(self.places)}" if self.partly else ""


def observe(hypervisor: Hypervisor, arrays: Sequence[ArraySource], wish: Wish, clock: Callable[[], float] = time.monotonic) -> Found:
    """Where the markers are. Raises a `CrossvisorError`, `InvalidInput` for what is beyond the disk."""
    inventory = hypervisor.inventory(at_once=True)
    vm = pick_vm(inventory.virtual_machines, wish.vm, inventory.silent)
    disk = pick_disk(vm, wish.disk)
    resources, warnings = resolved(inventory, arrays, [disk.name] if disk.name else [])
    disk = sized(vm, disk, resources)
    pieces = [piece.written for piece in _on_disk(wish, vm, disk)]
    _refuse_beyond(pieces, vm, disk)
    ranges = within(wish.ranges, vm, disk) if wish.ranges else None
    if wish.captures:
        evidence = _in_captures(wish, lambda names: resolved(inventory, arrays, names), vm)
    else:
        names = list(wish.luns) or sorted({found.name for found in resources.disk(vm, disk).under if found.name})
        evidence = _on_luns(arrays, names, wish, vm, disk, clock)
    told = [row for pair in _asked(associated(pieces, evidence.seen), ranges) for row in evidence.rows(pair)]
    about = {"vm_name": vm.name, "vm_id": vm.id, "disk": disk.label, "size_bytes": disk.size_bytes, "format": ""}
    return Found(told, list(dict.fromkeys([*warnings, *evidence.warnings, *_remarks(wish, len(pieces))])), about)


def _in_captures(wish: Wish, ask: Callable[[Sequence[ScsiName]], tuple[Resources, list[str]]], vm: VirtualMachine) -> _Evidence:
    """What captures of the traffic to the LUNs show. Raises `InvalidInput` for a file that is none or cannot be read."""
    progress.tell(f"reading {' and '.join(wish.captures)}")
    with ExitStack() as opened:
        files = [(opened.enter_context(_opened(path)), path) for path in wish.captures]
        found = Reading(wish.markers.find, wish.ports).read(files)
    names = {seen.lun: ScsiName.try_parse(seen.lun) for seen in found.seen}
    resources, warnings = ask([name for name in names.values() if name])
    lands = {lun: _captured(lun, name, resources, vm) for lun, name in names.items()}
    places = [f"LUNs whose traffic capture {path} shows" for path in wish.captures]
    return _Evidence(found.seen, lands, places, bool(found.warnings), True, [*found.warnings, *warnings], stamp(found.until))


def _opened(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise InvalidInput(f"Capture {path} cannot be read where this task runs: {error.strerror}.") from None


def _captured(lun: str, name: ScsiName | None, resources: Resources, vm: VirtualMachine) -> Sequence[Resource]:
    if name:
        return resources.of_device(ScsiDevice(vm.host, "", name, 0))
    return [Resource(UNKNOWN, lun, reason=f"{lun} did not say in the capture which LUN it is")]


def _on_luns(
    arrays: Sequence[ArraySource], names: Sequence[ScsiName], wish: Wish, vm: VirtualMachine, disk: VirtualDisk, clock: Callable[[], float]
) -> _Evidence:
    """What the arrays read from these LUNs. Raises `Refused` for no LUN, `NotFound` where none can be read."""
    if not names:
        raise Refused(
            f"Nobody tells on which LUN disk {disk.label} of VM {vm.name} may lie: name the LUNs that shall be searched (search.luns)."
        )
    observed = now()
    searches, failures = _searched(arrays, names, wish, clock)
    if not searches:
        raise NotFound(
            f"None of the arrays can read LUN {', '.join(map(str, names))}: {'; '.join(failures)}; name the one that has it in arrays."
        )
    return _Evidence(
        [seen for search in searches for seen in _seen(search)],
        {search.resource.key: [search.resource] for search in searches},
        [*(search.title for search in searches), *failures],
        bool(failures) or any(search.searched < search.size for search in searches),
        False,
        [*failures, *(remark for search in searches for remark in _remarks_on(search))],
        observed,
    )


def _on_disk(wish: Wish, vm: VirtualMachine, disk: VirtualDisk) -> list[GuestPiece]:
    """What lies on this disk of the VM, by the name that the guest sees, else by a size that no other disk has."""
    if not wish.pieces:
        why = wish.lost[0].reason if wish.lost else "no marker was written"
        raise Refused(f"The guest knows of no marker where it is on its disks: {why}.")
    there = ", ".join(sorted({f"{piece.written.disk} ({piece.disk_bytes} bytes)" for piece in wish.pieces}))
    if wish.guest_device:
        chosen = [piece for piece in wish.pieces if piece.written.disk == wish.guest_device]
    else:
        chosen = [piece for piece in wish.pieces if _can_be(piece, vm, disk)]
        _refuse_unsure(chosen, vm, disk)
    if not chosen:
        raise Refused(
            f"No marker is on disk {disk.label} of VM {vm.name}, but on {there}: write them to a directory on that disk, or name the "
            "guest's disk in guest_device."
        )
    return chosen


def _can_be(piece: GuestPiece, vm: VirtualMachine, disk: VirtualDisk) -> bool:
    """Whether the guest's disk has the name of the LUN or, where it tells none or the disk is an image, its size."""
    if _is_lun(disk) and piece.naa:
        return _has_name(piece, disk)
    return piece.disk_bytes == disk.size_bytes and not any(_is_lun(other) and _has_name(piece, other) for other in vm.disks)


def _is_lun(disk: VirtualDisk) -> bool:
    return disk.kind == PASSTHROUGH and not disk.holds_image


def _has_name(piece: GuestPiece, disk: VirtualDisk) -> bool:
    return disk.name is not None and piece.naa == disk.name.naa


def _refuse_unsure(chosen: Sequence[GuestPiece], vm: VirtualMachine, disk: VirtualDisk) -> None:
    """Raise `Refused` where a size is all that tells which disk it is, and another one may have it too."""
    devices = sorted({piece.written.disk for piece in chosen if not (_is_lun(disk) and _has_name(piece, disk))})
    alike = [other.label for other in vm.disks if other.size_bytes in (0, disk.size_bytes) and other.key != disk.key]
    if devices and (alike or devices[1:]):
        raise Refused(
            f"Nobody tells which disk of VM {vm.name} the guest's {' and '.join(devices)} is, because {disk.label} is not the only one "
            f"that can have {disk.size_bytes} bytes: name the guest's disk in guest_device."
        )


def _refuse_beyond(pieces: Sequence[Written], vm: VirtualMachine, disk: VirtualDisk) -> None:
    for piece in pieces:
        if piece.virtual_offset + piece.length > disk.size_bytes:
            raise InvalidInput(
                f"The guest has marker {piece.number} at byte {piece.virtual_offset} of {piece.disk}, and disk {disk.label} of VM "
                f"{vm.name} has {disk.size_bytes} bytes: that is another disk."
            )


def _searched(
    arrays: Sequence[ArraySource], names: Sequence[ScsiName], wish: Wish, clock: Callable[[], float]
) -> tuple[list[_Search], list[str]]:
    """Every LUN of these names on each array, as far as they can be read."""
    until = clock() + wish.seconds if wish.seconds else None
    found: dict[str, _Search] = {}
    failures: list[str] = []
    for source in arrays:
        try:
            array = source.open()
            try:
                about = array.about()
                for lun in array.luns(names):
                    search = _Search(_resource(about, lun), lun.size_bytes)
                    if search.resource.key not in found:
                        found[search.resource.key] = search
                        _look_through(array, lun, search, wish, until, clock)
            finally:
                array.close()
        except CrossvisorError as error:
            failures.append(f"array {source.label} could not be asked: {in_one_sentence(str(error))}")
    unread = {name: "no array that was given has it" for name in names if name not in {search.resource.name for search in found.values()}}
    failures += [f"LUN {name} was not searched: {why}" for name, why in unread.items()]
    read = [search for search in found.values() if search.searched]
    failures += [f"LUN {search.resource.name} could not be searched: {search.why}" for search in found.values() if not search.searched]
    return read, failures


def _look_through(array: Array, lun: Lun, search: _Search, wish: Wish, until: float | None, clock: Callable[[], float]) -> None:
    end = min(lun.size_bytes, wish.most_bytes or lun.size_bytes) // SECTOR * SECTOR
    pieces: list[Sighting] = []
    try:
        while search.searched < end:
            if until is not None and clock() > until:
                search.why = f"the time was over after {wish.seconds:g} s"
                break
            progress.tell(f"searching LUN {lun.name}: {search.searched >> 20} of {end >> 20} MiB")
            data = array.read(lun, search.searched, min(_PIECE, end - search.searched))
            pieces += wish.markers.find(data, search.searched)
            search.searched += len(data)
        else:
            search.why = "no more was asked for"
    except CrossvisorError as error:
        search.why = in_one_sentence(str(error))
    search.sightings = joined(pieces)


def _resource(about: ArrayAbout, lun: Lun) -> Resource:
    return Resource(LUN, "", lun.name, array=about, svm=lun.svm, volume=lun.volume, lun=lun)


def _seen(search: _Search) -> Iterator[Seen]:
    for one in search.sightings:
        yield Seen(one.number, search.resource.key, one.offset // SECTOR, one.length, within=one.within)


def _asked(pairs: Sequence[Pair], ranges: Sequence[tuple[int, int]] | None) -> Iterator[Pair]:
    """The pairs, in the order of the disk; with ranges, their parts, and between them what no marker covers."""
    ordered = sorted(pairs, key=lambda pair: pair.written.virtual_offset)
    if ranges is None:
        yield from ordered
        return
    for start, end in ranges:
        at = start
        for pair in ordered:
            begin, over = max(pair.written.virtual_offset, at), min(pair.written.virtual_offset + pair.written.length, end)
            if begin < over:
                if at < begin:
                    yield _gap(at, begin)
                yield _cut(pair, begin, over)
                at = over
        if at < end:
            yield _gap(at, end)


def _gap(start: int, end: int) -> Pair:
    return Pair(Written(_NO_MARKER, start, end - start), ())


def _cut(pair: Pair, begin: int, over: int) -> Pair:
    ahead = begin - pair.written.virtual_offset
    seen = [replace(one, lba=(one.lba * one.block_size + ahead) // one.block_size) for one in pair.seen]
    return Pair(replace(pair.written, virtual_offset=begin, length=over - begin), seen)


def _remarks(wish: Wish, placed: int) -> Iterator[str]:
    """What is to be known beside the rows."""
    elsewhere = len(wish.pieces) - placed
    if elsewhere:
        yield f"{elsewhere} of {len(wish.pieces)} pieces of markers are on other disks of the guest and are not told."
    if wish.lost:
        yield f"Of {len(wish.lost)} pieces of markers the guest does not know where they are: {wish.lost[0].reason}."


def _remarks_on(search: _Search) -> Iterator[str]:
    torn = sum(one.number is None for one in search.sightings)
    if torn:
        yield f"{torn} sectors of LUN {search.resource.name} begin as markers and go on otherwise, so that they are nobody's."
    if search.searched < search.size:
        yield f"Not all of {search.title} was looked through, so that markers may be elsewhere or twice on it."
