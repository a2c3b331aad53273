# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This Linux machine as a `Host`, in the same words as the hosts of a hypervisor endpoint."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection import machine_uuid, rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.detect import XENSERVER_INVENTORY
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.assignments import parse_assignments
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.hbas import hbas
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Host, ScsiDevice

_HOST_NAMES = ("/proc/sys/kernel/hostname", "/etc/hostname")
_OS_RELEASES = ("/etc/os-release", "/usr/lib/os-release")


def local_host(root: Path = Path("/")) -> Host:
    """The machine below `root` with its adapters. Its id is its name. Never raises; what cannot be read is empty."""
    tree = Tree(root)
    system = _assignments(tree, *_OS_RELEASES)
    name = host_name(tree)
    return Host(
        id=name,
        name=name,
        product=system.get("NAME", ""),
        version=system.get("VERSION_ID", ""),
        uuid=_uuid(tree),
        hbas=hbas(root),
    )


def devices(root: Path = Path("/")) -> list[ScsiDevice]:
    """The LUNs and local SCSI disks of the machine below `root`, each once. Never raises."""
    tree = Tree(root)
    return scsi.scsi_devices(tree, host_name(tree))


def host_name(tree: Tree) -> str:
    """The name that the kernel holds, else the configured one."""
    return next(filter(None, (tree.text(path) for path in _HOST_NAMES)), "")


def _assignments(tree: Tree, *paths: str) -> dict[str, str]:
    return parse_assignments(next(filter(None, (tree.text(path) for path in paths)), ""))


def _uuid(tree: Tree) -> str:
    """The UUID by which XAPI knows a XenServer host, else the firmware's, readable by root alone."""
    texts = (
        _assignments(tree, XENSERVER_INVENTORY).get("INSTALLATION_UUID"),
        tree.text(rules.PRODUCT_UUID),
        tree.text(rules.DEVICE_TREE_UUID),
    )
    return next(filter(None, map(machine_uuid.normalize, texts)), "")
