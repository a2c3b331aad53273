# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk of a Linux guest on Xen, `xvdb`: it tells no name, so that it is known by its place and is taken only if its size is the LUN's.

The number of a disk's device on the bus is that of Xen's block interface (docs/man/xen-vbd-interface): 202 << 8 | n << 4 for the first 16
places, 1 << 28 | n << 8 for the others, and those of IDE disks for the first four places of a guest that is not paravirtualised.
"""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.devices import device_size
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.scsi import Disk
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import PATH_ACTIVE
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_BUS = "/sys/bus/xen/devices"
_IDE = (3 << 8, 3 << 8 | 64, 22 << 8, 22 << 8 | 64)
_FIRST_PLACES = 16


def has_disks(tree: Tree) -> bool:
    """Tell whether disks of this machine hang on Xen's own bus."""
    return any(name.startswith("vbd-") for name in tree.children(_BUS))


def numbers(unit: int) -> list[int]:
    """The numbers that a disk in this place may have on the bus."""
    paravirtual = 202 << 8 | unit << 4 if unit < _FIRST_PLACES else 1 << 28 | unit << 8
    return [paravirtual, *_IDE[unit : unit + 1]]


def disk_at(tree: Tree, unit: int, name: ScsiName, size_bytes: int) -> Disk | None:
    """The disk in this place, None if there is none yet.

    Raises `InvalidInput` without the LUN's size, `Refused` when the disk has another one, `Ambiguous` when two disks claim the place.
    """
    if size_bytes <= 0:
        raise InvalidInput(
            f"A guest on Xen is not told LUN {name}, which is known there by its place and size alone: give size_bytes beside address, "
            "both as ptd_attach returns them."
        )
    paths = [path for number in numbers(unit) if (path := tree.real(f"{_BUS}/vbd-{number}"))]
    found = [(path, block) for path in paths for block in tree.children(f"{path}/block")]
    if len(found) > 1:
        raise Ambiguous(
            f"{' and '.join(f'/dev/{block}' for _path, block in found)} are both SCSI(0:{unit}) of this guest: attach LUN {name} elsewhere."
        )
    for path, block in found:
        size = device_size(tree, block)
        if size != size_bytes:
            raise Refused(
                f"/dev/{block}, which is SCSI(0:{unit}) of this guest, has {size} bytes, not the {size_bytes} of LUN {name}, and was left "
                "alone: check the place, or if the LUN has grown, detach it and attach it again."
            )
        return Disk(path.rpartition("/")[2], path, block, name, PATH_ACTIVE)
    return None
