# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a disk of this Linux machine: mounts, swap, device mapper, RAID, and processes with the bare device open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.disk import GuestDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import mounts
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.devices import device_name, device_number, holders, kind_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

MOUNT = "mount"
SWAP = "swap"
PROCESS = "process"

_WATCHERS = frozenset({"multipathd", "systemd-udevd", "(udev-worker)", "udevd"})
"""They open every disk, and let go of one that leaves, as do the programs that they start, such as `blkid` and `scsi_id`."""


@dataclass(frozen=True)
class Process:
    """A running process."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.command} ({self.pid})"


@dataclass(frozen=True)
class Use:
    """One reason why a disk cannot be taken away."""

    kind: str
    """`mount`, `swap`, `logical volume`, `encrypted device`, `device-mapper device`, `RAID`, `block device` or `process`."""
    device: str
    """What is used: the disk, a partition such as `/dev/sdb1`, or a device that is built on them."""
    name: str
    """The mount point, the device that is built on it, or the process."""
    processes: Sequence[Process] = field(default_factory=tuple)
    """Those with open files below the mount point."""

    def __str__(self) -> str:
        by = f" by {', '.join(map(str, self.processes))}" if self.processes else ""
        words = {
            MOUNT: f"{self.device} is mounted at {self.name}{' and used' if by else ''}{by}",
            SWAP: f"{self.device} is swap space",
            PROCESS: f"{self.device} is open in {self.name}",
        }
        return words.get(self.kind, f"{self.device} is part of {self.kind} {self.name}")

    def result(self) -> dict[str, Any]:
        """The use as a module returns it."""
        return {
            "kind": self.kind,
            "device": self.device,
            "name": self.name,
            "processes": [{"pid": process.pid, "command": process.command} for process in self.processes],
        }


def uses(tree: Tree, disk: GuestDisk) -> list[Use]:
    """All uses that the machine shows, with those of devices that are built on the disk."""
    open_files = list(_open_files(tree))
    found = [use for block in disk.blocks for use in _uses_of_block(tree, block, disk, open_files)]
    return list(dict.fromkeys(found))


def _uses_of_block(tree: Tree, block: str, disk: GuestDisk, open_files: Sequence[tuple[Process, str]]) -> Iterator[Use]:
    device = device_name(tree, block)
    for point in _mount_points(tree, block):
        yield Use(MOUNT, device, point, _processes_below(point, open_files))
    if {device, f"/dev/{block}"} & {swap.path for swap in mounts.swaps(tree)}:
        yield Use(SWAP, device, device)
    for holder in holders(tree, block):
        if holder not in disk.blocks:
            yield Use(kind_of(tree, holder), device, device_name(tree, holder))
            yield from _uses_of_block(tree, holder, disk, open_files)
    for process in _processes_with(tree, f"/dev/{block}", open_files):
        yield Use(PROCESS, device, str(process))


def _mount_points(tree: Tree, block: str) -> list[str]:
    """Where the device is mounted, in this namespace and in that of the first process. btrfs shows no device number, but the device."""
    number = device_number(tree, block)
    names = {f"/dev/{block}", device_name(tree, block)}
    found = (mount for mount in mounts.mounts(tree) if mount.device == number or names & {mount.source, mounts.named_device(tree, mount)})
    return list(dict.fromkeys(mount.place for mount in found))


def _open_files(tree: Tree) -> Iterator[tuple[Process, str]]:
    """Every process with the files that it has open, runs, or stands in."""
    for pid in filter(str.isdecimal, tree.children("/proc")):
        process = Process(int(pid), tree.text(f"/proc/{pid}/comm") or "?")
        opened = (f"/proc/{pid}/fd/{number}" for number in tree.children(f"/proc/{pid}/fd"))
        for link in (f"/proc/{pid}/cwd", f"/proc/{pid}/root", f"/proc/{pid}/exe", *opened):
            yield process, tree.link(link)


def _processes_below(point: str, open_files: Iterable[tuple[Process, str]]) -> tuple[Process, ...]:
    inside = f"{point.rstrip('/')}/"
    return tuple(dict.fromkeys(process for process, path in open_files if path == point or path.startswith(inside)))


def _processes_with(tree: Tree, device: str, open_files: Iterable[tuple[Process, str]]) -> list[Process]:
    found = dict.fromkeys(process for process, path in open_files if path == device)
    return [process for process in found if tree.exists(f"/proc/{process.pid}/comm") and not _only_watches(tree, process.pid)]


def _only_watches(tree: Tree, pid: int) -> bool:
    """Whether a process, or one that it descends from, is one of those that watch every disk."""
    seen = set()
    while pid not in seen:
        seen.add(pid)
        if tree.text(f"/proc/{pid}/comm") in _WATCHERS:
            return True
        pid = _parent(tree, pid)
    return False


def _parent(tree: Tree, pid: int) -> int:
    """The process that started it: field 4 of proc(5)'s stat, after a name that may have spaces and brackets in it; 0 for none."""
    fields = (tree.text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0
