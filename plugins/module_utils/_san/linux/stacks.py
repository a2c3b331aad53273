# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Linux kernel has built on its LUNs: volume groups, RAIDs, whatever else sysfs shows above a disk.

Multipath's own device, and what kpartx makes of a partition table, are the LUN itself and no use of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import devices, multipath
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.scsi import Disk, value
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

VOLUME_GROUP = "volume group"
_LOGICAL_VOLUME = "LVM-"
_LUN_ITSELF = re.compile("(part[0-9]+-)?mpath-.*")
_VOLUME_NAME = re.compile("(?P<group>(?:[^-]|--)+)-(?:[^-]|--)+")  # device-mapper doubles the hyphens of a name


@dataclass(frozen=True)
class Built:
    """Something that the kernel has made of a LUN."""

    kind: str
    """`volume group`, `RAID`, `encrypted device`, `device-mapper device`, `loop device` or `block device`."""
    name: str
    """The group, or the device."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Stack:
    """A LUN with everything that is built on it."""

    lun: ScsiName
    built: Sequence[Built]
    tops: Sequence[str]
    """The block devices on which nothing is built, by their names in `/sys/class/block`: whoever uses any of it has one of these open."""


def stacks(tree: Tree, disks: Sequence[Disk]) -> list[Stack]:
    """One for each LUN that the machine has as a block device, be it a multipath device that has lost all its paths."""
    above = _above(tree)
    found: dict[ScsiName, list[str]] = {}
    for disk in disks:
        if disk.name and disk.block:
            found.setdefault(disk.name, []).append(disk.block)
    for block, lun in multipath.pathless(tree).items():
        found.setdefault(lun, []).append(block)
    return [_stack(tree, above, lun, paths) for lun, paths in found.items()]


def group_of(tree: Tree, block: str) -> str:
    """The volume group of a logical volume, else empty."""
    if not devices.dm_uuid(tree, block).startswith(_LOGICAL_VOLUME):
        return ""
    found = _VOLUME_NAME.match(value(tree, f"{devices.CLASS}/{block}/dm/name"))
    return found["group"].replace("--", "-") if found else ""


def parent_of(tree: Tree, block: str) -> str:
    """The disk of a partition, else empty, also when the partition goes while it is looked at."""
    place = f"{devices.CLASS}/{block}"
    return tree.real(place).rpartition("/")[0].rpartition("/")[2] if tree.exists(f"{place}/partition") else ""


def _stack(tree: Tree, above: Mapping[str, Sequence[str]], lun: ScsiName, paths: Sequence[str]) -> Stack:
    everything = _reachable(above, paths)
    own = _itself(tree, above, paths)
    feet = [block for below in own for block in above.get(below, ()) if block not in own]
    built = [Built(VOLUME_GROUP, group) if (group := group_of(tree, block)) else _built(tree, block) for block in feet]
    return Stack(lun, list(dict.fromkeys(built)), [block for block in everything if block not in above])


def _built(tree: Tree, block: str) -> Built:
    return Built(devices.kind_of(tree, block), devices.device_name(tree, block))


def _itself(tree: Tree, above: Mapping[str, Sequence[str]], paths: Sequence[str]) -> list[str]:
    """The LUN's paths, their partitions, its multipath device and that one's partitions."""
    found = list(paths)
    for block in found:
        higher = (part for part in above.get(block, ()) if part not in found)
        found.extend(part for part in higher if parent_of(tree, part) == block or _LUN_ITSELF.fullmatch(devices.dm_uuid(tree, part)))
    return found


def _reachable(above: Mapping[str, Sequence[str]], paths: Sequence[str]) -> list[str]:
    found = list(paths)
    for block in found:
        found.extend(higher for higher in above.get(block, ()) if higher not in found)
    return found


def _above(tree: Tree) -> Mapping[str, Sequence[str]]:
    """Each block device that has any → those that are built on it. A partition counts as built on its disk."""
    above: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for block in tree.children(devices.CLASS):
        for below in _below(tree, block):
            above[below][block] = None
        for holder in devices.holders(tree, block):
            above[block][holder] = None
    return {block: list(higher) for block, higher in above.items()}


def _below(tree: Tree, block: str) -> Iterator[str]:
    yield from tree.children(f"{devices.CLASS}/{block}/slaves")
    parent = parent_of(tree, block)
    if parent:
        yield parent
    backing = devices.block_of(tree, devices.loop_file(tree, block))
    if backing:
        yield backing
