# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a KVM host find a LUN, and read its size anew."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import tree_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ScsiDevice
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_session

_SAN_CLASSES = ("/sys/class/fc_host", "/sys/class/iscsi_host")
_EVERYTHING = "- - -"
_RESIZE_SECONDS = 60.0


def rescan(host: KvmHost, name: ScsiName) -> None:
    """Let every SAN adapter of the host look for LUNs, and the host read this one's size anew: every path's, then the multipath device's.

    Targets of iscsi-direct pools are asked anew at each look.

    Raises why a target did not answer when the host has no other way to the LUN, because then no rescan can help.
    """
    tree = tree_of(host.access)
    ports = _san_ports(tree) if tree else []
    for port in ports:
        host.access.write(f"/sys/class/scsi_host/{port}/scan", _EVERYTHING)
    device = host.storage(()).device_of(name) if ports else None
    if device:
        _read_size_again(host, device)
    if tree is None and host.session.node_devices(libvirt_session.FC_HOSTS):
        host.access.write("/sys/class/scsi_host", _EVERYTHING)
    if not ports:
        shown, failures = host.shown(name)
        if failures and not shown:
            raise failures[0]


def _read_size_again(host: KvmHost, device: ScsiDevice) -> None:
    for path in host_lun.paths(device):
        host.access.write(f"/sys/block/{path}/device/rescan", "1")
    for grouped in host_lun.maps(device):
        host.access.run(["multipathd", "resize", "map", grouped], _RESIZE_SECONDS)


def _san_ports(tree: Tree) -> list[str]:
    return [port.name for port in scsi.scsi_hosts(tree) if any(tree.exists(f"{kind}/{port.name}") for kind in _SAN_CLASSES)]
