# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where VHD and VHDX files lie: by their own tables, then by NTFS, the partition of its volume, and the disk of that.

A file on a Cluster Shared Volume is asked of the node that owns the volume, and of nobody while the volume is not in its usual state. What
leads elsewhere, or keeps its bytes otherwise than as they are, is refused.
"""

from __future__ import annotations

import contextlib
import ntpath
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import passthrough
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Layer, Span, below, joined
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files import vhd, vhdx
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.image import (
    LONGEST_CHAIN,
    HardDiskFile,
    composed,
    refuse_other_parent,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import (
    NotTold,
    Place,
    read_together,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import host_files, volumes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.host_files import FileFacts
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.image_hosts import ImageHost, ImageHosts
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.volume_places import Place as VolumePlace
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    HOLE,
    PASSTHROUGH,
    POWERED_OFF,
    BlockExtent,
    DiskBlocks,
    ReadLun,
    VirtualDisk,
    VirtualMachine,
)

_FORMATS = {".vhdx": vhdx.image, ".avhdx": vhdx.image, ".vhd": vhd.image, ".avhd": vhd.image}
_SECONDS = 240.0
"""After which no further image of a host is begun: each takes some starts of PowerShell, a second or so each."""
_COMPARED = 4096
"""Bytes of a range that are read of an image to be compared, because they come by the console of PowerShell."""
_NO_LUN = "its host does not tell which LUN {device} is, and a LUN is read by its array alone"
_LATE = f"it was not read, because those before it took more than {_SECONDS:.0f} s on its host: ask for less"
_ON_A_VOLUME = re.compile(r"(\\\\\?\\)?([a-z]:|(?<=\\)volume\{[0-9a-f-]+\})\\", re.IGNORECASE)
"""How a path to a volume begins, by its letter or GUID: what an image names as its parent may lead to a device, or to another server."""
_KEPT_OTHERWISE: Mapping[int, str] = {
    host_files.COMPRESSED: "compressed",
    host_files.ENCRYPTED: "encrypted",
    host_files.SPARSE: "sparse",
    host_files.REPARSE_POINT: "a reparse point (a link, or deduplicated)",
    host_files.OFFLINE: "offline",
}


def disk_blocks(nodes: Nodes, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
    """Where each of these disks lies. A host that cannot be asked costs its images their addresses, with the reason."""
    by_host: defaultdict[str, list[int]] = defaultdict(list)
    for number, (vm, disk) in enumerate(wanted):
        if disk.kind != PASSTHROUGH:
            by_host[vm.host].append(number)
    found = {number: passthrough.identity_or(disk, "") for number, (_vm, disk) in enumerate(wanted) if disk.kind == PASSTHROUGH}
    with ExitStack() as undo:
        hosts = ImageHosts(nodes, undo)
        for host, numbers in by_host.items():
            found.update(zip(numbers, _of_host(hosts, host, [wanted[number] for number in numbers])))
    return [found[number] for number in range(len(wanted))]


def verify_blocks(nodes: Nodes, vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
    """Whether the image, by its host, and the LUN, by `read_lun`, begin each of these ranges with the same bytes.

    `yes`, `no`, or why nobody can tell.
    """
    if disk.kind == PASSTHROUGH:
        return [passthrough.NOTHING_TO_COMPARE] * len(extents)
    with ExitStack() as undo:
        return _Look(ImageHosts(nodes, undo), vm.host).compared(extents, read_lun)


def _of_host(hosts: ImageHosts, host: str, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
    look = _Look(hosts, host)
    until = time.monotonic() + _SECONDS
    return [look.blocks(vm, disk) if time.monotonic() < until else _unfollowed(disk, _LATE) for vm, disk in wanted]


def _unfollowed(disk: VirtualDisk, why: str) -> DiskBlocks:
    """An image that nobody has read: which files it is based on, only it tells for certain."""
    return replace(passthrough.untold(disk, why), unfollowed=True)


class _Look:
    """One look at the images of the VMs of a host."""

    def __init__(self, hosts: ImageHosts, host: str) -> None:
        self._hosts = hosts
        self._host = host

    def blocks(self, vm: VirtualMachine, disk: VirtualDisk) -> DiskBlocks:
        try:
            chain = self._chain(disk.path)
            spans = Layer(composed(chain)).over(0, chain[0].size)
            extents = [extent for span in joined(spans) for extent in self._extents(span)]
            whole = [extent for image in chain for extent in self._whole(image.path)]
            changed = [image.path for image in chain if self._changed(image.path)]
        except NotTold as why:
            return _unfollowed(disk, str(why))
        warnings = [f"{name} was written to while it was read, so that what is told of it may be old." for name in changed]
        if vm.power != POWERED_OFF:
            warnings.append(
                f"VM {vm.name} runs, so that its image {disk.path} may be another by now: look again before you act on an address."
            )
        kind = ntpath.splitext(disk.path)[1].lstrip(".").lower()
        return DiskBlocks(extents, whole, warnings, kind, chain[0].sector)

    def compared(self, extents: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
        """What the files and the LUNs hold, each file being read at once."""
        by_file: defaultdict[str, list[int]] = defaultdict(list)
        for number, extent in enumerate(extents):
            by_file[extent.file].append(number)
        told: dict[int, str] = {}
        for path, numbers in by_file.items():
            parts = [extents[number] for number in numbers]
            told.update(zip(numbers, self._compared(path, parts, read_lun)))
        return [told[number] for number in range(len(extents))]

    def _compared(self, path: str, extents: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
        places = [(extent.file_offset or 0, min(extent.length, _COMPARED)) for extent in extents]
        try:
            with self._asked(path) as host:
                here = host.files.read(path, places)
        except NotTold as why:
            return [str(why)] * len(extents)
        return [
            _same(extent, data, read_lun) if len(data) == length else f"{path} ends before that by now: look again"
            for extent, data, (_at, length) in zip(extents, here, places)
        ]

    def _chain(self, path: str) -> list[HardDiskFile]:
        """An image and those that it is based on. Raises `NotTold`."""
        chain = [self._image(path)]
        while chain[-1].parent:
            parent = self._parent(chain[-1])
            refuse_other_parent(chain[-1], parent)
            if len(chain) == LONGEST_CHAIN or any(one.path.casefold() == parent.path.casefold() for one in chain):
                raise NotTold(f"{path} is based on more images than anybody builds, or on itself")
            chain.append(parent)
        return chain

    def _parent(self, image: HardDiskFile) -> HardDiskFile:
        """By the first of its paths that leads to an image."""
        named = image.parent
        beside = ntpath.normpath(ntpath.join(ntpath.dirname(image.path), named.relative)) if named and named.relative else ""
        reasons: list[NotTold] = []
        for path in filter(None, (beside, named.absolute if named else "")):
            try:
                return self._image(path)
            except NotTold as why:
                reasons.append(why)
        raise next(iter(reasons), NotTold(f"{image.path} does not say where the image is that it is based on"))

    def _image(self, path: str) -> HardDiskFile:
        key = path.casefold()
        reading = _FORMATS.get(ntpath.splitext(path)[1].lower())
        if reading is None:
            raise NotTold(f"{path} is no VHD or VHDX file by its name, and of no other kind of image anybody tells where its bytes are")
        with self._asked(path) as host:
            if key not in host.images:

                def ask(places: Sequence[tuple[str, Place]]) -> list[bytes | NotTold]:
                    return [*host.files.read(path, [place for _path, place in places])]

                found = read_together({path: reading(path, _facts(host, path).size)}, ask)[path]
                if isinstance(found, NotTold):
                    raise found
                host.images[key] = found
            return host.images[key]

    @contextlib.contextmanager
    def _asked(self, path: str) -> Iterator[ImageHost]:
        """The host that is asked of a file. Raises `NotTold`, before anything is opened, unless it is on a volume of a host."""
        share = volumes.share_of(path)
        if share:
            raise NotTold(f"{path} is on the share {share}, whose server alone knows its blocks")
        if not _ON_A_VOLUME.match(path.replace("/", "\\")):
            raise NotTold(f"{path} is no whole path to a file on a volume of its host, and was not opened")
        with self._hosts.asked(self._host, path) as host:
            yield host

    def _changed(self, path: str) -> bool:
        """Whether a file was written to while it was read. Raises `NotTold` when its volume was changed."""
        self._hosts.refuse_changed(path)
        with self._asked(path) as host:
            return path in host.files.changed

    def _extents(self, span: Span) -> Iterator[BlockExtent]:
        """A range of a virtual disk as ranges of disks of the host."""
        if not span.has_address:
            yield BlockExtent(span.start, span.length, span.state, span.reason)
            return
        place, layer = self._layer(span.below)
        for part in joined(below(span, layer.over(span.offset, span.offset + span.length))):
            there = span.offset + part.start - span.start
            if part.state == HOLE:
                yield BlockExtent(part.start, part.length, HOLE, part.reason, span.below, there)
                continue
            device, name = place.disk.device, place.disk.name
            yield BlockExtent(part.start, part.length, part.state, part.reason, span.below, there, device, name, part.offset, place.sector)

    def _whole(self, path: str) -> list[BlockExtent]:
        with self._asked(path) as host:
            size = _facts(host, path).size
        return list(self._extents(Span(0, size, DATA, path)))

    def _layer(self, path: str) -> tuple[VolumePlace, Layer]:
        key = path.casefold()
        with self._asked(path) as host:
            if key not in host.layers:
                through, shared = _facts(host, path).through, self._hosts.shared_volume(path)
                place = host.places.of_shared(path, through, shared) if shared else host.places.of(path, through)
                host.layers[key] = (place, Layer(_runs(host, path, place)))
            return host.layers[key]


def _same(extent: BlockExtent, here: bytes, read_lun: ReadLun) -> str:
    if extent.name is None:
        return _NO_LUN.format(device=extent.device)
    there = read_lun(extent.name, extent.offset or 0, len(here))
    if isinstance(there, str):
        return there
    return "yes" if here == there else "no"


def _facts(host: ImageHost, path: str) -> FileFacts:
    facts = host.files.facts(path)
    kept = [word for bit, word in _KEPT_OTHERWISE.items() if facts.attributes & bit]
    if kept:
        raise NotTold(f"{path} is {' and '.join(kept)}, so that its bytes are not where its clusters say")
    return facts


def _runs(host: ImageHost, path: str, place: VolumePlace) -> Iterator[Span]:
    """The clusters of a file on the disk. Raises `NotTold` unless they are all of it, and in the partition."""
    at = 0
    for run in host.files.runs(path):
        if run.first != at or run.cluster == host_files.NO_CLUSTER:
            raise NotTold(f"what fsutil tells of {path} has gaps, so that it is compressed or sparse, or was changed meanwhile")
        if (run.cluster + run.count) * place.cluster > place.size:
            raise NotTold(f"what fsutil tells of {path} is beyond the end of its partition, so that one of the two is told wrongly")
        yield Span(at * place.cluster, run.count * place.cluster, DATA, path, place.offset + run.cluster * place.cluster)
        at += run.count
    if at * place.cluster < _facts(host, path).size:
        raise NotTold(f"fsutil does not tell where the end of {path} is")
