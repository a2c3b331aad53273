# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A LUN as a disk of this Linux machine: its paths, dm-multipath's device over them, udev's link, its partitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.devices import (
    device_name,
    device_number,
    device_size,
    dm_uuid,
    holders,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.scsi import Disk, value
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import PATH_DEAD
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName, from_vpd80

_BLOCK = "/sys/class/block"
_BY_ID = "/dev/disk/by-id"
_UDEV = "/run/udev"


@dataclass(frozen=True)
class Partition:
    """A partition of a disk."""

    number: int
    block: str
    """Its name in `/sys/class/block`."""
    device: str
    size_bytes: int


@dataclass(frozen=True)
class GuestDisk:
    """One LUN. Its `paths` are one or more, in the order of their addresses."""

    name: ScsiName
    paths: Sequence[Disk]
    map: str
    """The name of dm-multipath's device, `dm-3`, in `/sys/class/block`; empty without one."""
    multipath: str
    """`/dev/mapper/mpathb`, empty without one."""
    claimed: bool
    """udev says that dm-multipath will take, or has taken, a path."""
    by_id: str
    """udev's persistent link to the disk, or to the multipath device; empty as long as there is none."""
    size_bytes: int
    vendor: str
    model: str
    serial: str
    partitions: Sequence[Partition]
    named: bool = True
    """Whether the disk tells its name; one of Xen does not, and takes no orders."""

    @property
    def device(self) -> str:
        """What to partition and to mount: the multipath device if there is one, else the disk."""
        return self.multipath or self.paths[0].device

    @property
    def map_name(self) -> str:
        """What dm-multipath's tools call its device: `mpathb`."""
        return self.multipath.rpartition("/")[2]

    @property
    def lifeless(self) -> bool:
        """Whether none of the paths of a multipath device does I/O: who reads from it, or writes, may wait for ever."""
        return bool(self.map) and all(path.state == PATH_DEAD for path in self.paths)

    @property
    def blocks(self) -> list[str]:
        """The names in `/sys/class/block` of the paths, of the multipath device and of the partitions."""
        names = [*(path.block for path in self.paths if path.block), self.map, *(partition.block for partition in self.partitions)]
        return list(filter(None, names))

    def result(self) -> dict[str, Any]:
        """The disk as a module returns it."""
        return {
            "device": self.paths[0].device,
            "path": self.device,
            "by_id": self.by_id,
            "address": self.paths[0].address,
            "paths": [{"device": path.device, "address": path.address, "state": path.state} for path in self.paths],
            "multipath": self.multipath or None,
            "size_bytes": self.size_bytes,
            "vendor": self.vendor,
            "model": self.model,
            "serial": self.serial,
            "naa": self.name.naa,
            "partitions": [
                {"number": partition.number, "device": partition.device, "size_bytes": partition.size_bytes}
                for partition in self.partitions
            ],
        }


def find(tree: Tree, name: ScsiName) -> GuestDisk | None:
    """The disk of this name, None if the kernel shows none. Raises `Ambiguous` when several multipath devices hold it."""
    paths = [disk for disk in scsi.disks(tree) if disk.name == name]
    if not paths:
        return None
    maps = _maps(tree, paths)
    if len(maps) > 1:
        raise Ambiguous(f"LUN {name} is in several multipath devices, {', '.join(maps)}: let one of them hold all paths (multipath -ll)")
    map_ = maps[0] if maps else ""
    whole = map_ or paths[0].block
    return GuestDisk(
        name=name,
        paths=paths,
        map=map_,
        multipath=device_name(tree, map_) if map_ else "",
        claimed=any(_is_claimed_by_multipath(tree, path) for path in paths),
        by_id=_link(tree, name, whole),
        size_bytes=device_size(tree, whole) if whole else 0,
        vendor=value(tree, f"{paths[0].path}/vendor"),
        model=value(tree, f"{paths[0].path}/model"),
        serial=_serial(tree, paths[0]),
        partitions=_map_partitions(tree, map_) if map_ else _partitions(tree, whole),
    )


def unnamed(tree: Tree, disk: Disk, name: ScsiName) -> GuestDisk:
    """The LUN as a disk that tells neither its name nor anything else of it."""
    return GuestDisk(
        name=name,
        paths=[disk],
        map="",
        multipath="",
        claimed=False,
        by_id="",
        size_bytes=device_size(tree, disk.block),
        vendor="",
        model="",
        serial="",
        partitions=_partitions(tree, disk.block),
        named=False,
    )


def udev_runs(tree: Tree) -> bool:
    """Tell whether links in `/dev/disk` are to be expected."""
    return tree.exists(f"{_UDEV}/control")


def _maps(tree: Tree, paths: Sequence[Disk]) -> list[str]:
    found = {holder for path in paths if path.block for holder in holders(tree, path.block)}
    return sorted(holder for holder in found if dm_uuid(tree, holder).startswith("mpath-"))


def _is_claimed_by_multipath(tree: Tree, path: Disk) -> bool:
    """`multipath -u`, run by udev's rules, leaves its verdict in udev's database."""
    entries = (tree.text(f"{_UDEV}/data/b{device_number(tree, path.block)}") or "").splitlines() if path.block else []
    return "E:DM_MULTIPATH_DEVICE_PATH=1" in entries


def _link(tree: Tree, name: ScsiName, block: str) -> str:
    """udev's link by the NAA name, which may still lead to another device when a LUN has come back."""
    names = (f"dm-uuid-mpath-{name.wwid}", name.wwn, f"scsi-{name.wwid}")
    links = (f"{_BY_ID}/{candidate}" for candidate in names)
    return next((link for link in links if block and tree.real(link) == f"/dev/{block}"), "")


def _serial(tree: Tree, path: Disk) -> str:
    page = tree.content(f"{path.path}/vpd_pg80")
    try:
        return from_vpd80(page) if page else ""
    except InvalidInput:
        return ""


def _partitions(tree: Tree, block: str) -> list[Partition]:
    names = [name for name in tree.children(f"{_BLOCK}/{block}") if tree.exists(f"{_BLOCK}/{block}/{name}/partition")] if block else []
    found = (_partition(tree, name, value(tree, f"{_BLOCK}/{block}/{name}/partition")) for name in names)
    return _in_order(found)


def _map_partitions(tree: Tree, block: str) -> list[Partition]:
    """kpartx' devices, which are called `part1-mpath-…`."""
    names = ((holder, dm_uuid(tree, holder).partition("-mpath-")) for holder in holders(tree, block))
    return _in_order(_partition(tree, holder, uuid[0][4:]) for holder, uuid in names if uuid[1] and uuid[0].startswith("part"))


def _partition(tree: Tree, block: str, number: str) -> Partition:
    return Partition(int(number) if number.isdecimal() else 0, block, device_name(tree, block), device_size(tree, block))


def _in_order(partitions: Iterator[Partition]) -> list[Partition]:
    return sorted(partitions, key=lambda partition: partition.number)
