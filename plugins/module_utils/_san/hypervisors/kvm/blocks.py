# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the blocks of VMs' disks are: asked of the host's own tools and kernel, in one question however many disks there are."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import passthrough
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.descent import Descent
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.logical_volumes import logical_volume_at
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, RemoteError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import hard_disk_files
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import LUN, Disk, Login
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.machines import DomainPair
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import block_probe
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    PASSTHROUGH,
    POWERED_OFF,
    BlockExtent,
    DiskBlocks,
    GuestBlock,
    VirtualDisk,
    VirtualMachine,
)

RAW = "raw"
_CHAIN = "<backingStore"
_SECTOR = re.compile(r"<blockio\b[^>]*\blogical_block_size=['\"](\d+)")
_MAY_BE_OLD = "the guest has the file system mounted or did not unmount it, so that what it changed last may not be seen here"
_SECONDS = 300.0
"""What a map of many large images may take; one of 2 TiB with 20,000 extents takes some seconds."""


@dataclass(frozen=True)
class _Image:
    """A disk that the host has to be asked about."""

    path: str
    format: str
    sector: int = 512
    """Bytes of a logical block of the virtual disk; 0 if it has that of its LUN."""
    below: Sequence[str] | None = None
    """The files that libvirt has put under it, whatever its header says; None where it does not tell, or they are no files."""


def disk_blocks(host: KvmHost, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
    """Where each of these disks lies. A host that cannot be asked costs its images their addresses, with the reason."""
    pairs = {pair.record.uuid: pair for pair in host.pairs()} if wanted else {}
    found = [_how(host, pairs.get(vm.id), disk) for vm, disk in wanted]
    images = [image for image in found if isinstance(image, _Image)]
    try:
        facts = _ask(host, images=_unraw(images), files=_files(images))
        found_vhdx = [image.path for image in images if image.format == hard_disk_files.FORMAT]
        descent = Descent(facts, hard_disk_files.tables(partial(_ask, host), facts["files"], found_vhdx))
    except CrossvisorError as error:
        why = in_one_sentence(str(error))
        return [_unasked(how, disk, why) if isinstance(how, _Image) else how for how, (_vm, disk) in zip(found, wanted)]
    return [_mapped(descent, how, vm, disk) if isinstance(how, _Image) else how for how, (vm, disk) in zip(found, wanted)]


def verify_blocks(host: KvmHost, vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[BlockExtent]) -> list[str]:
    """Whether the disk and the device hold the same bytes in each of these ranges: `yes`, `no`, or why nobody can tell."""
    how = _how(host, _pair(host, vm), disk)
    if not isinstance(how, _Image):
        return [passthrough.NOTHING_TO_COMPARE] * len(extents)
    reads = [
        [how.path, how.format, one.start, one.length, one.device[len("/dev/") :], one.offset, one.file, one.file_offset] for one in extents
    ]
    return [str(told) for told in _ask(host, reads=reads)["same"]] if reads else []


def read_disk(host: KvmHost, vm: VirtualMachine, disk: VirtualDisk, offset: int, length: int) -> bytes:
    """A few sectors of a disk; nothing where the host cannot read them."""
    how = _readable(host, vm, disk)
    return _sectors(host, how, offset, length) if isinstance(how, _Image) else b""


def _sectors(host: KvmHost, how: _Image, offset: int, length: int) -> bytes:
    try:
        return bytes.fromhex(str(_ask(host, sectors=[[how.path, how.format, offset, length]])["sectors"][0]))
    except CrossvisorError:
        return b""


def guest_block(host: KvmHost, vm: VirtualMachine, disk: VirtualDisk, partition: tuple[int, int], offset: int) -> GuestBlock:
    """What the guest has at an offset within a partition, by tools of the host that read its disk; also in a logical volume there."""
    how = _readable(host, vm, disk)
    if not isinstance(how, _Image):
        return GuestBlock(reason=how)
    start, length = partition
    try:
        told = _owner(host, how, [[start, length]], offset)
        if not told["lvm"]:
            return _found(vm, told)
        volume, why = logical_volume_at(lambda at, size: _sectors(host, how, start + at, size) if at + size <= length else b"", offset)
        if volume is None or not volume.spans:
            return GuestBlock(reason=why, volume=volume.name if volume else "")
        if any(span.offset + span.length > length for span in volume.spans):
            return GuestBlock(reason=f"{volume.name} is larger than the partition that it is in", volume=volume.name)
        pieces = [[start + span.offset, span.length] for span in volume.spans]
        return replace(_found(vm, _owner(host, how, pieces, volume.place(offset))), volume=volume.name)
    except CrossvisorError as error:
        return GuestBlock(reason=in_one_sentence(str(error)))


def _owner(host: KvmHost, how: _Image, pieces: Sequence[Sequence[int]], offset: int) -> Mapping[str, Any]:
    told: Mapping[str, Any] = _ask(host, owners=[[how.path, how.format, pieces, offset]])["owners"][0]
    return told


def _found(vm: VirtualMachine, told: Mapping[str, Any]) -> GuestBlock:
    old = _MAY_BE_OLD if told["file_system"] and (told["unclean"] or vm.power != POWERED_OFF) else ""
    return GuestBlock(told["file_system"], told["block"], told["files"], "; ".join(filter(None, (told["reason"], old))))


def _unasked(image: _Image, disk: VirtualDisk, why: str) -> DiskBlocks:
    """A LUN passed through is itself, whoever is asked."""
    return passthrough.identity_or(disk, why) if image.format == RAW else _unfollowed(disk, why)


def _unfollowed(disk: VirtualDisk, why: str) -> DiskBlocks:
    """An image that nobody has read: libvirt may not know all the files that it names itself."""
    return replace(passthrough.untold(disk, why), unfollowed=True)


def _mapped(descent: Descent, image: _Image, vm: VirtualMachine, disk: VirtualDisk) -> DiskBlocks:
    if image.format != RAW and image.below is not None and not descent.is_over(image.path, image.below):
        return _unfollowed(disk, f"libvirt has put other images under {image.path} than its header names")
    files = descent.files_of(image.path, image.format)
    extents = descent.image(image.path, image.format, disk.size_bytes)
    warnings = [f"{path} was written to while it was read, so that what is told of it may be old." for path in descent.changed(files)]
    if image.format != RAW and vm.power != POWERED_OFF:
        warnings.append(
            f"VM {vm.name} runs, so that what its image {image.path} has on disk may be older than what QEMU has in memory: "
            "look again before you act on an address, with verify."
        )
    sector = image.sector or next((extent.block_size for extent in extents if extent.block_size), 512)
    unfollowed = not descent.follows(image.path, image.format, [disk.path, *(parent.path for parent in disk.parents)])
    return DiskBlocks(extents, [extent for path in files for extent in descent.file(path)], warnings, image.format, sector, unfollowed)


def _how(host: KvmHost, pair: DomainPair | None, disk: VirtualDisk) -> _Image | DiskBlocks:
    """What to ask the host about, or what is known without it."""
    owns = _owns(pair, disk)
    if pair and len(owns) > 1:
        return _unfollowed(disk, f"VM {pair.record.name} runs with another disk {disk.key} than it starts with next time")
    own = owns[0] if owns else None
    if own is None or own.source is None:
        return passthrough.identity_or(disk, f"libvirt no longer shows disk {disk.label}")
    why = _unusual(own)
    refused = passthrough.untold if own.format == RAW else _unfollowed
    if why:
        return refused(disk, why)
    source = own.source
    if disk.kind == PASSTHROUGH and own.format == RAW and not source.path.startswith("/"):
        return passthrough.identity_or(disk, "")
    path = host.session.volume(source.pool, source.volume).path if source.pool else source.path
    return (
        _Image(path, own.format, _sector(own), _below(own))
        if path.startswith("/")
        else refused(disk, f"it lies on {source}, which is no file of the host")
    )


def _readable(host: KvmHost, vm: VirtualMachine, disk: VirtualDisk) -> _Image | str:
    """By what a tool of the host reads a disk, or why none can. A LUN over QEMU's own initiator is read as that reads it."""
    pair = _pair(host, vm)
    how, owns = _how(host, pair, disk), _owns(pair, disk)
    if isinstance(how, _Image):
        return how
    source = owns[0].source if len(owns) == 1 and owns[0].format == RAW and not _unusual(owns[0]) else None
    if source is None or source.login is None:
        return "the host has no file or device that is the disk"
    if source.login.user:
        return f"{source} asks for a password, which no tool on the host is given"
    return _Image(f"{block_probe.JSON}{json.dumps({'file': _by_initiator(source.login, source.lun_id)})}", RAW)


def _by_initiator(login: Login, lun_id: int) -> dict[str, Any]:
    """A LUN as QEMU's tools are told of it (`BlockdevOptionsIscsi` of qapi/block-core.json)."""
    address = f"[{login.portal.address}]" if ":" in login.portal.address else login.portal.address
    where = {"portal": f"{address}:{login.portal.port}", "target": login.target, "lun": lun_id}
    return {"driver": "iscsi", "transport": "tcp", **where, "initiator-name": login.initiator}


def _pair(host: KvmHost, vm: VirtualMachine) -> DomainPair | None:
    return next((pair for pair in host.pairs() if pair.record.uuid == vm.id), None)


def _owns(pair: DomainPair | None, disk: VirtualDisk) -> list[Disk]:
    """The disks of that name: of what runs and, if it has another one, of what starts next time."""
    return [found for found in pair.disks if found.target == disk.key and found.is_disk] if pair else []


def _unusual(disk: Disk) -> str:
    """Why a disk's bytes are not where its image says, by libvirt's configuration (formatdomain.html#hard-drives-floppy-disks-cdroms)."""
    if "<slices" in disk.xml:
        return f"disk {disk.target} is a slice of its storage, or has one below it"
    if "<encryption" in disk.xml:
        return f"disk {disk.target} is encrypted by QEMU"
    if "<mirror" in disk.xml:
        return f"a block job moves the data of disk {disk.target}: wait until it has ended (virsh blockjob)"
    return ""


def _sector(disk: Disk) -> int:
    """As libvirt's configuration says, or that of the LUN if the guest's own SCSI commands reach it."""
    said = _SECTOR.search(disk.xml)
    return int(said.group(1)) if said else 0 if disk.device == LUN else 512


def _below(disk: Disk) -> Sequence[str] | None:
    paths = [source.path for source in disk.backing]
    return paths if _CHAIN in disk.xml and all(path.startswith("/") for path in paths) else None


def _files(images: Iterable[_Image]) -> list[str]:
    """What there is to ask about beside images that tell their files themselves."""
    return [path for image in images for path in ([image.path] if image.format == RAW else image.below or ())]


def _unraw(images: Iterable[_Image]) -> list[list[str]]:
    return [[image.path, image.format] for image in images if image.format != RAW]


def _ask(host: KvmHost, **question: Any) -> Any:
    """Facts, by the host's own Python. Raises `Refused` or `RemoteError`."""
    if not any(question.values()):
        return {"files": {}, "devices": {}, "images": {}, "same": [], "sectors": [], "owners": [], "pieces": []}
    told = host.access.ask(inspect.getsource(block_probe), json.dumps(question).encode(), _SECONDS)
    try:
        return json.loads(told)
    except ValueError as error:
        raise RemoteError(f"KVM host {host.name} answered something else than where its blocks are: {told[:100]!r}") from error
