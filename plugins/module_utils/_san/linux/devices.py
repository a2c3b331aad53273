# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Linux' block devices by the kernel's names in `/sys/class/block`: what each is, and what is built on it."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.scsi import value
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

CLASS = "/sys/class/block"
_SECTOR = 512  # sysfs counts in these, whatever the device's block size
_DELETED = " (deleted)"  # of d_path() in Linux' fs/d_path.c
_DM_KINDS = {"LVM": "logical volume", "CRYPT": "encrypted device"}


def holders(tree: Tree, block: str) -> list[str]:
    """The block devices that are built on this one."""
    return tree.children(f"{CLASS}/{block}/holders")


def dm_uuid(tree: Tree, block: str) -> str:
    """What device mapper calls a device: `mpath-3600a…`, `part1-mpath-…`, `LVM-…`; empty for other devices."""
    return value(tree, f"{CLASS}/{block}/dm/uuid")


def block_of(tree: Tree, path: str) -> str:
    """The kernel's name of a block device, whatever link names it; empty if it is none, such as a file of the same name."""
    place = tree.real(path) if path else ""
    name = place.rpartition("/")[2] if place.startswith(("/dev/", "/sys/")) else ""
    return name if name and tree.exists(f"{CLASS}/{name}") else ""


def device_number(tree: Tree, block: str) -> str:
    """Major and minor number, `8:17`."""
    return value(tree, f"{CLASS}/{block}/dev")


def device_name(tree: Tree, block: str) -> str:
    """`/dev/sda1`, or for device mapper `/dev/mapper/mpathb`."""
    mapped = value(tree, f"{CLASS}/{block}/dm/name")
    return f"/dev/mapper/{mapped}" if mapped else f"/dev/{block}"


def device_size(tree: Tree, block: str) -> int:
    """The size of a block device in bytes, 0 if it is not known."""
    sectors = value(tree, f"{CLASS}/{block}/size")
    return int(sectors) * _SECTOR if sectors.isdecimal() else 0


def loop_file(tree: Tree, block: str) -> str:
    """The file or device below a loop device, as the kernel names it; empty for other devices and where that is deleted."""
    named = value(tree, f"{CLASS}/{block}/loop/backing_file")
    return "" if named.endswith(_DELETED) else named


def kind_of(tree: Tree, holder: str) -> str:
    """What is built: `logical volume`, `encrypted device`, `device-mapper device`, `RAID`, `loop device` or `block device`."""
    uuid = dm_uuid(tree, holder)
    if uuid:
        return _DM_KINDS.get(uuid.partition("-")[0], "device-mapper device")
    if loop_file(tree, holder):
        return "loop device"
    return "RAID" if tree.exists(f"{CLASS}/{holder}/md") else "block device"
