# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a KVM host find a LUN, and read its size anew."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import Order
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost, pool_logins
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import devices, multipath, scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.multipath import Grouping
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import PATH_ACTIVE
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_session

_SAN_CLASSES = ("/sys/class/fc_host", "/sys/class/iscsi_host")
_EVERYTHING = "- - -"
_RESIZE_SECONDS = 60.0


def rescan(host: KvmHost, name: ScsiName) -> None:
    """Let every SAN adapter of the host look for LUNs, and the host read this one's size anew: every path's, then the multipath device's.

    Where the host does not find it, every path whose target answers is asked which LUN it is: the array may have given another
    LUN's number to this one, of which Linux takes no notice. Targets of iscsi-direct pools are asked anew at each look.

    Raises why a target did not answer when the host has no other way to the LUN, because then no rescan can help; and `Refused` where the
    adapters are out of reach and QEMU's own initiator knows no target either.
    """
    tree = host.tree()
    ports = _san_ports(tree) if tree else []
    if tree and ports:
        _scan(host, ports, multipath.grouping(tree, name).paths)
        _read_again(host, name)
    if tree is None and (host.session.node_devices(libvirt_session.FC_HOSTS) or not pool_logins(host.pools())):
        host.access.write([("/sys/class/scsi_host", _EVERYTHING)])
    if not ports:
        shown, failures = host.shown(name)
        if failures and not shown:
            raise failures[0]


def identify(host: KvmHost, paths: Sequence[str]) -> None:
    """Let Linux ask these paths anew which LUN they are and how large. One that does not answer keeps what it was known as."""
    if paths:
        with contextlib.suppress(RemoteError):
            host.access.write([_ask_again(path) for path in paths])


def _scan(host: KvmHost, ports: Sequence[str], paths: Sequence[str]) -> None:
    """Let adapters look for LUNs, and the paths that are known be asked again."""
    try:
        host.access.write([*((f"/sys/class/scsi_host/{port}/scan", _EVERYTHING) for port in ports), *map(_ask_again, paths)])
    except RemoteError:
        if not paths:
            raise
        host.access.write([(f"/sys/class/scsi_host/{port}/scan", _EVERYTHING) for port in ports])


def _read_again(host: KvmHost, name: ScsiName) -> None:
    """Let a multipath device have the size of its paths; where the LUN is not found, ask all paths which LUN they are."""
    tree = host.tree()
    found = multipath.grouping(tree, name) if tree else None
    if tree and found and not found.paths:
        identify(host, _answering(tree))
    elif tree and found and found.map and _has_grown(tree, found):
        host.access.run(["multipathd", "resize", "map", found.map], _RESIZE_SECONDS)


def _ask_again(path: str) -> Order:
    return f"/sys/class/block/{path}/device/rescan", "1"


def _has_grown(tree: Tree, found: Grouping) -> bool:
    """Whether a multipath device may take over the size of its paths, which is that of any of them, be it smaller.

    One that is out of reach may know an old size; one without size is there and would be the new one.
    """
    sizes = {path: devices.device_size(tree, path) for path in found.paths}
    told = [size for path, size in sizes.items() if path in found.alive or not size]
    return min(told, default=0) > devices.device_size(tree, found.map_block)


def _answering(tree: Tree) -> list[str]:
    """The paths over SAN adapters whose target answers, be it that it has no such LUN any more."""
    ports = {port.removeprefix("host") for port in _san_ports(tree)}
    paths = (disk for disk in scsi.disks(tree) if disk.block and disk.address.split(":")[0] in ports)
    return [disk.block for disk in paths if disk.state == PATH_ACTIVE or disk.empty]


def _san_ports(tree: Tree) -> list[str]:
    return [port.name for port in scsi.scsi_hosts(tree) if any(tree.exists(f"{kind}/{port.name}") for kind in _SAN_CLASSES)]
