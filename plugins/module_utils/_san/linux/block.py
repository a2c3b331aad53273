# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Linux host's file systems, volume groups and block devices lie on, by its sysfs and mount table.

Names are those of Linux' drivers/base and drivers/md/dm-sysfs.c (`dm/name`, `dm/uuid`). Only what is active shows: a volume group none of
whose logical volumes is active is not seen here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import devices, mounts, multipath, scsi, stacks
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.mounts import Mount
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.stacks import Stack
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FileSystem, ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_BY_NUMBER = "/sys/dev/block"
_BTRFS = "/sys/fs/btrfs"
_ON_NO_DEVICE = "0:"
"""How the number of a file system begins that is on no single block device: one of btrfs, by each file's word, whatever its mount shows."""
LOOPS_COMMAND = ("losetup", "--list", "--noheadings", "--output", "NAME,BACK-MAJ:MIN")
"""What prints on which file system each loop device has its file, by the kernel's word; the path may be covered by another one since."""
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "fuse.glusterfs"})


class BlockDevices:
    """The block devices of one host."""

    def __init__(self, tree: Tree, host: str, loops: Callable[[], str] = lambda: "") -> None:
        """`host` is `Host.id`, `loops` what the host prints for `LOOPS_COMMAND`, and is asked only where there is a loop device."""
        self._tree = tree
        self._loops = loops
        self._host = host
        self._known = scsi.disks(tree)
        self._disks = {disk.block: disk for disk in self._known if disk.block}

    def devices(self) -> list[ScsiDevice]:
        """The LUNs and local disks that the host sees."""
        return scsi.scsi_devices(self._tree, self._host)

    def stacks(self) -> list[Stack]:
        """What the kernel has built on each LUN."""
        return stacks.stacks(self._tree, self._known)

    def name_at(self, address: str) -> ScsiName | None:
        """The LUN at a SCSI address (host, channel, target, LUN: `7:0:0:2`); None where there is none."""
        return next((disk.name for disk in self._known if disk.address == address), None)

    def has(self, address: str) -> bool:
        """Whether anything, also what is no disk, is at a SCSI address."""
        return self._tree.exists(f"/sys/class/scsi_device/{address}")

    def whole(self, path: str) -> ScsiName | None:
        """The LUN that a path stands for as a whole, by one of its paths or by multipath; None for a partition, a volume or no LUN."""
        block = self._block_of(path)
        if block and (block in self._disks or multipath.is_map(self._tree, block)):
            names = {self._lun(leaf) for leaf in self._leaves(block)}
            return names.pop() if len(names) == 1 else None
        return None if block else ScsiName.try_parse(path) or multipath.bound_lun(self._tree, path)

    def part(self, path: str) -> FileSystem | None:
        """What a block device that is no whole LUN is a part of: its volume group, or the disks below it. None if it is not there."""
        block = self._block_of(path)
        if not block:
            return None
        group = stacks.group_of(self._tree, block)
        if group:
            return self._file_system(f"vg:{group}", group, "lvm", [block])
        return self._file_system(f"block:{path}", path, "block device", [block])

    def file_systems(self) -> list[FileSystem]:
        """What is mounted from block devices or servers, active swap, and the volume groups that have an active volume."""
        return [*self._mounted(), *self._swaps(), *self._groups()]

    def _mounted(self) -> Iterator[FileSystem]:
        """At each place what the first process sees. A mount that is hidden there holds its device all the same; no path leads to it."""
        found = mounts.mounts(self._tree)
        seen = {mount.place: mount for mount in found}
        for mount in dict.fromkeys(found):
            if mount == seen[mount.place]:
                yield self._mount(mount, mount.place, mount.place)
            else:
                yield self._mount(mount, f"hidden:{mount.device}:{mount.place}", f"{mount.place} (hidden)")

    def _mount(self, mount: Mount, key: str, name: str) -> FileSystem:
        if mount.kind in _REMOTE:
            return FileSystem(key, name, mount.kind, [self._host], remote=mount.source)
        return self._file_system(key, name, mount.kind, self._blocks_of(mount))

    def _swaps(self) -> Iterator[FileSystem]:
        for swap in mounts.swaps(self._tree):
            if swap.kind == "partition":
                yield self._file_system(f"swap:{swap.path}", swap.path, "swap", [self._block_of(swap.path)])

    def _groups(self) -> list[FileSystem]:
        volumes: dict[str, list[str]] = {}
        for block in self._tree.children(devices.CLASS):
            group = stacks.group_of(self._tree, block)
            if group:
                volumes.setdefault(group, []).append(block)
        return [self._file_system(f"vg:{group}", group, "lvm", blocks) for group, blocks in volumes.items()]

    def _file_system(self, key: str, name: str, kind: str, blocks: Iterable[str]) -> FileSystem:
        extents = [self._extent(leaf) for block in blocks if block for leaf in self._leaves(block)]
        return FileSystem(key, name, kind, [self._host], extents=list(dict.fromkeys(extents)))

    def _extent(self, leaf: str) -> str:
        name = self._lun(leaf)
        return f"/dev/disk/by-id/{name.wwn}" if name else f"/dev/{leaf}"

    def _lun(self, leaf: str) -> ScsiName | None:
        """The LUN at the bottom: by its path, or by its multipath device once that has lost all of them."""
        disk = self._disks.get(leaf)
        return disk.name if disk else multipath.lun_of(self._tree, leaf)

    def _block_of(self, path: str) -> str:
        return devices.block_of(self._tree, path)

    def _leaves(self, block: str, above: Sequence[str] = ()) -> list[str]:
        """The devices at the bottom of a stack of partitions, multipath, volumes, RAID and loop devices.

        A loop device is at the bottom itself where nobody tells on what its file lies.
        """
        way = (*above, block)
        lower = [one for one in self._below(block) if one not in way]
        return [leaf for one in lower for leaf in self._leaves(one, way)] if lower else [block]

    def _below(self, block: str) -> Sequence[str]:
        parent = stacks.parent_of(self._tree, block)
        return [parent] if parent else self._tree.children(f"{devices.CLASS}/{block}/slaves") or self._below_loop(block)

    def _below_loop(self, block: str) -> Sequence[str]:
        """The devices of the file system that has a loop device's file; none where nobody tells which that is.

        The path does not tell: another file system may have been mounted over any of its directories since.
        """
        file = devices.loop_file(self._tree, block)
        number = self._file_systems_of_loops.get(block, "") if file else ""
        below = self._block_of(file) or (self._block_of(f"{_BY_NUMBER}/{number}") if number else "")
        return [below] if below else self._below_btrfs(file, number)

    def _below_btrfs(self, file: str, number: str) -> Sequence[str]:
        """The devices of the one btrfs above a file, if the file's number is of the kind that only btrfs has, which no mount shows."""
        found = mounts.mounts(self._tree)
        if not number.startswith(_ON_NO_DEVICE) or any(mount.device == number for mount in found):
            return []
        above = {tuple(self._blocks_of(mount)) for mount in found if mount.kind == "btrfs" and _is_below(file, mount.place)}
        return above.pop() if len(above) == 1 else []

    @cached_property
    def _file_systems_of_loops(self) -> dict[str, str]:
        """`loop3` → the number of the file system that has its file, where the host tells."""
        rows = (line.split() for line in self._loops().splitlines())
        return {row[0].rpartition("/")[2]: row[1] for row in rows if len(row) == 2}

    def _blocks_of(self, mount: Mount) -> Sequence[str]:
        """The block devices of what is mounted: one, or of btrfs all that sysfs lists."""
        block = self._block_of(f"{_BY_NUMBER}/{mount.device}") or self._block_of(mounts.named_device(self._tree, mount))
        lists = [self._tree.children(f"{_BTRFS}/{uuid}/devices") for uuid in self._tree.children(_BTRFS)] if mount.kind == "btrfs" else []
        return next((blocks for blocks in lists if block in blocks), [block] if block else [])


def file_system_of(path: str, file_systems: Sequence[FileSystem]) -> str:
    """The id of the mounted file system that holds a file: the one mounted nearest above it."""
    holders = [store.id for store in file_systems if store.id.startswith("/") and _is_below(path, store.id)]
    return max(holders, key=len, default="")


def _is_below(path: str, place: str) -> bool:
    return place == "/" or path == place or path.startswith(place.rstrip("/") + "/")
