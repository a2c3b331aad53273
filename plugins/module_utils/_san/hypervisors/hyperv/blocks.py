# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where VHD and VHDX files lie: by their own tables, then by NTFS, the partition of its volume, and the disk of that.

The first sector of an NTFS volume is its cluster 0, so that a cluster's place on the disk is `MSFT_Partition.Offset` and the clusters
before it. What leads elsewhere, or keeps its bytes otherwise than as they are, is refused.
"""

from __future__ import annotations

import ntpath
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

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
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import classes, host_files, volumes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.host_files import FileFacts, HostFiles
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    HOLE,
    PASSTHROUGH,
    POWERED_OFF,
    BlockExtent,
    DiskBlocks,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows import disks
from ansible_collections.crossvisor.san.plugins.module_utils._san.windows.disks import HostDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim import CimClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_shell import Shell

NOT_COMPARED = "nothing is compared on Hyper-V hosts"
_FORMATS = {".vhdx": vhdx.image, ".avhdx": vhdx.image, ".vhd": vhd.image, ".avhd": vhd.image}
_NTFS = "ntfs"
_SECONDS = 240.0
"""After which no further image of a host is begun: each takes some starts of PowerShell, a second or so each."""
_LATE = f"it was not read, because those before it took more than {_SECONDS:.0f} s on its host: ask for less"
_SPACES_BUS = 16
"""MSFT_Disk.BusType of a disk that Windows makes of others (Storage Spaces)."""
_ON_A_VOLUME = re.compile(r"(\\\\\?\\)?([a-z]:|(?<=\\)volume\{[0-9a-f-]+\})\\", re.IGNORECASE)
"""How a path to a volume begins, by its letter or GUID: what an image names as its parent may lead to a device, or to another server."""
_KEPT_OTHERWISE: Mapping[int, str] = {
    host_files.COMPRESSED: "compressed",
    host_files.ENCRYPTED: "encrypted",
    host_files.SPARSE: "sparse",
    host_files.REPARSE_POINT: "a reparse point (a link, or deduplicated)",
    host_files.OFFLINE: "offline",
}


@dataclass(frozen=True)
class _Place:
    """The one partition that a volume is in."""

    disk: HostDisk
    offset: int
    cluster: int
    sector: int


def disk_blocks(nodes: Nodes, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
    """Where each of these disks lies. A host that cannot be asked costs its images their addresses, with the reason."""
    by_host: defaultdict[str, list[int]] = defaultdict(list)
    for number, (vm, disk) in enumerate(wanted):
        if disk.kind != PASSTHROUGH:
            by_host[vm.host].append(number)
    found = {number: passthrough.identity_or(disk, "") for number, (_vm, disk) in enumerate(wanted) if disk.kind == PASSTHROUGH}
    for host, numbers in by_host.items():
        found.update(zip(numbers, _of_host(nodes, host, [wanted[number] for number in numbers])))
    return [found[number] for number in range(len(wanted))]


def _of_host(nodes: Nodes, host: str, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
    try:
        client = nodes.client(host)
        with Shell(client.session) as shell:
            look = _Look(client, HostFiles(shell, nodes.name_of(host)))
            until = time.monotonic() + _SECONDS
            return [look.blocks(vm, disk) if time.monotonic() < until else _unfollowed(disk, _LATE) for vm, disk in wanted]
    except CrossvisorError as error:
        why = in_one_sentence(str(error))
        return [_unfollowed(disk, why) for _vm, disk in wanted]


def _unfollowed(disk: VirtualDisk, why: str) -> DiskBlocks:
    """An image that nobody has read: which files it is based on, only it tells for certain."""
    return replace(passthrough.untold(disk, why), unfollowed=True)


class _Look:
    """One look at the images of a host."""

    def __init__(self, client: CimClient, files: HostFiles) -> None:
        self._client = client
        self._files = files
        self._images: dict[str, HardDiskFile] = {}
        self._layers: dict[str, tuple[_Place, Layer]] = {}

    def blocks(self, vm: VirtualMachine, disk: VirtualDisk) -> DiskBlocks:
        try:
            chain = self._chain(disk.path)
            spans = Layer(composed(chain)).over(0, chain[0].size)
            extents = [extent for span in joined(spans) for extent in self._extents(span)]
            whole = [extent for image in chain for extent in self._whole(image.path)]
        except NotTold as why:
            return _unfollowed(disk, str(why))
        names = [image.path for image in chain]
        warnings = [
            f"{name} was written to while it was read, so that what is told of it may be old."
            for name in names
            if name in self._files.changed
        ]
        if vm.power != POWERED_OFF:
            warnings.append(
                f"VM {vm.name} runs, so that its image {disk.path} may be another by now: look again before you act on an address."
            )
        kind = ntpath.splitext(disk.path)[1].lstrip(".").lower()
        return DiskBlocks(extents, whole, warnings, kind, chain[0].sector)

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
        if key not in self._images:
            reading = _FORMATS.get(ntpath.splitext(path)[1].lower())
            if reading is None:
                raise NotTold(f"{path} is no VHD or VHDX file by its name, and of no other kind of image anybody tells where its bytes are")

            def ask(places: Sequence[tuple[str, Place]]) -> list[bytes | NotTold]:
                return [*self._files.read(path, [place for _path, place in places])]

            found = read_together({path: reading(path, self._facts(path).size)}, ask)[path]
            if isinstance(found, NotTold):
                raise found
            self._images[key] = found
        return self._images[key]

    def _facts(self, path: str) -> FileFacts:
        share = volumes.share_of(path)
        if share:
            raise NotTold(f"{path} is on the share {share}, whose server alone knows its blocks")
        if not _ON_A_VOLUME.match(path.replace("/", "\\")):
            raise NotTold(f"{path} is no whole path to a file on a volume of its host, and was not opened")
        facts = self._files.facts(path)
        kept = [word for bit, word in _KEPT_OTHERWISE.items() if facts.attributes & bit]
        if kept:
            raise NotTold(f"{path} is {' and '.join(kept)}, so that its bytes are not where its clusters say")
        return facts

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
        return list(self._extents(Span(0, self._facts(path).size, DATA, path)))

    def _layer(self, path: str) -> tuple[_Place, Layer]:
        if path not in self._layers:
            place = self._place(path)
            self._layers[path] = (place, Layer(self._runs(path, place)))
        return self._layers[path]

    def _runs(self, path: str, place: _Place) -> Iterator[Span]:
        """The clusters of a file on the disk. Raises `NotTold` unless they are all of it."""
        at = 0
        for run in self._files.runs(path):
            if run.first != at or run.cluster == host_files.NO_CLUSTER:
                raise NotTold(f"what fsutil tells of {path} has gaps, so that it is compressed or sparse, or was changed meanwhile")
            yield Span(at * place.cluster, run.count * place.cluster, DATA, path, place.offset + run.cluster * place.cluster)
            at += run.count
        if at * place.cluster < self._facts(path).size:
            raise NotTold(f"fsutil does not tell where the end of {path} is")

    def _place(self, path: str) -> _Place:
        """The partition that a file lies in. Raises `NotTold`."""
        holder = self._directories.holder(path)
        volume = self._volumes.get(holder)
        if volume is None:
            raise NotTold(f"{path} is on no volume that its host tells of: a cluster shared volume, or a drive that stands for a directory")
        known = {_plain(way) for one in self._volumes.values() for way in one.access_paths}
        links = [way for way in self._facts(path).through if _plain(way) not in known]
        if links:
            raise NotTold(f"{path} is behind {links[0]}, which leads to another place: a cluster shared volume, or a link")
        if volume.kind != _NTFS:
            raise NotTold(f"{path} is on {volume.name}, whose file system {volume.kind or '(none)'} does not tell where its blocks are")
        parts = self._partitions[volume.path]
        if len(parts) != 1:
            raise NotTold(f"{path} is on {volume.name}, which is in {len(parts)} partitions: nobody tells how they make one volume")
        number, offset = parts[0]
        disk = self._disks.get(number)
        if disk is None or disk.bus == _SPACES_BUS:
            raise NotTold(f"{path} is on {volume.name}, whose disk {number} Windows makes of others (Storage Spaces)")
        cluster = self._clusters.get(volume.path, 0)
        if not cluster:
            raise NotTold(f"the host does not tell how large the clusters of {volume.name} are")
        return _Place(disk, offset, cluster, self._sectors.get(number, 0))

    @cached_property
    def _volumes(self) -> dict[str, volumes.Volume]:
        return {volume.path: volume for volume in volumes.volumes_of(self._client)}

    @cached_property
    def _directories(self) -> volumes.Directories:
        found = volumes.Directories()
        for volume in self._volumes.values():
            found.add(volume.access_paths, volume.path)
        return found

    @cached_property
    def _partitions(self) -> Mapping[str, list[tuple[int, int]]]:
        """Disk and offset of the partitions of each volume."""
        found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for row in self._client.query(classes.PARTITION_PLACE, columns=classes.PARTITION_PLACE.columns):
            number, offset = row.integer("DiskNumber"), row.integer("Offset")
            for way in row.texts("AccessPaths"):
                if way in self._volumes and number is not None and offset is not None:
                    found[way].append((number, offset))
        return found

    @cached_property
    def _clusters(self) -> dict[str, int]:
        rows = self._client.query(classes.VOLUME_CLUSTER, columns=classes.VOLUME_CLUSTER.columns)
        return {row.text("Path"): row.integer("AllocationUnitSize") or 0 for row in rows}

    @cached_property
    def _disks(self) -> dict[int, HostDisk]:
        return {disk.number: disk for disk in disks.disks_of(self._client)}

    @cached_property
    def _sectors(self) -> dict[int, int]:
        """Bytes of a logical block of each disk."""
        rows = self._client.query(classes.DISK_SECTOR, columns=classes.DISK_SECTOR.columns)
        return {number: row.integer("LogicalSectorSize") or 0 for row in rows if (number := row.integer("Number")) is not None}


def _plain(path: str) -> str:
    return path.replace("/", "\\").rstrip("\\").casefold()
