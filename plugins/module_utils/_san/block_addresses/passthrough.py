# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN that is a disk of a VM as it is: each byte of the disk is the byte of the LUN."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import no_address
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DATA,
    NO_ADDRESS,
    PASSTHROUGH,
    BlockExtent,
    DiskBlocks,
    GuestBlock,
    ReadLun,
    VirtualDisk,
    VirtualMachine,
)

NO_FILES = "the guest's file systems can be read from KVM hosts alone"
NOTHING_TO_COMPARE = "there is nothing to compare: the disk is the LUN itself"


def identity(disk: VirtualDisk) -> DiskBlocks:
    """The whole disk as one range of its LUN."""
    return DiskBlocks([BlockExtent(0, disk.size_bytes, DATA, device=disk.device, name=disk.name, offset=0)], sector=0)


def untold(disk: VirtualDisk, reason: str) -> DiskBlocks:
    """A disk of which nobody can tell where any of it lies, and why."""
    nowhere = no_address(0, disk.size_bytes, reason)
    return DiskBlocks([BlockExtent(nowhere.start, nowhere.length, NO_ADDRESS, reason, disk.path)])


def identity_or(disk: VirtualDisk, reason: str) -> DiskBlocks:
    """A LUN passed through by itself is itself; of anything else, `reason` says why nobody can tell."""
    if disk.kind != PASSTHROUGH:
        return untold(disk, reason)
    if disk.name is None:
        return untold(disk, f"the host does not show which LUN {disk.device or disk.label} is")
    if disk.parents:
        return untold(disk, f"{disk.label} has snapshots, whose files lie over its LUN and hold what was written since")
    return identity(disk)


class NothingElse:
    """The part of `hypervisors.base.Hypervisor` about blocks, where nothing but LUNs passed through can be told."""

    why_no_blocks = ""
    """What keeps anybody from knowing where an image lies."""

    def disk_blocks(self, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
        return [identity_or(disk, self.why_no_blocks) for _vm, disk in wanted]

    def verify_blocks(self, vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
        return [NOTHING_TO_COMPARE] * len(extents)

    def read_disk(self, vm: VirtualMachine, disk: VirtualDisk, offset: int, length: int) -> bytes:
        return b""

    def guest_block(self, vm: VirtualMachine, disk: VirtualDisk, partition: tuple[int, int], offset: int) -> GuestBlock:
        return GuestBlock(reason=NO_FILES)
