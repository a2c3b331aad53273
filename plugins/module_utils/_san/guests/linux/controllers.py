# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which SCSI hosts of this Linux machine a hypervisor's disk can be behind, so that no other is rescanned."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.address import Address
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux import hbas, scsi
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.scsi import ScsiHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.tree import Tree

_PARAVIRTUAL = re.compile("virtio_scsi|(hv_)?storvsc.*|xen.?scsifront|ibmvscsi")  # controllers that need not be on PCI
_NETWORK_CARD = "/net/"
"""What the kernel calls the directory above a network interface, below that of its PCI function."""


def to_scan(tree: Tree, controller: str, address: Address) -> list[ScsiHost]:
    """The SCSI hosts to look behind, one or more: the one that `controller` names, else the virtual ones, else those that are not local.

    `controller` is `host2` or a PCI address, empty for any. Raises `NotFound`.
    """
    hosts = scsi.scsi_hosts(tree)
    reachable = [host for host in hosts if not hbas.is_local(host)]
    candidates = _named(controller, hosts) if controller else _virtual(tree, reachable) or reachable
    found = [host for host in candidates if address.on(number(host))]
    if not found:
        where = f" {address.host}" if address.host is not None and candidates else ""
        raise NotFound(
            f"This machine has no SCSI host{where} behind which a LUN could be (it has {described(hosts)}): "
            "add a SCSI controller to the VM, or load its driver"
        )
    return found


def number(host: ScsiHost) -> int:
    """2 of `host2`, the first part of H:C:T:L."""
    return int(host.name[4:])


def described(hosts: Sequence[ScsiHost]) -> str:
    """`host0 (ata_piix), host2 (virtio_scsi)`, or `none`."""
    return ", ".join(f"{host.name} ({host.driver or 'unknown driver'})" for host in hosts) or "none"


def _named(controller: str, hosts: Sequence[ScsiHost]) -> list[ScsiHost]:
    found = [host for host in hosts if controller.lower() in (host.name, host.pci)]
    if not found:
        raise NotFound(f"This machine has no SCSI host '{controller:.100}': it has {described(hosts)}")
    return found


def _virtual(tree: Tree, hosts: Sequence[ScsiHost]) -> list[ScsiHost]:
    """The controllers of a hypervisor; a port in software (FCoE) over a network card that it shows is none."""
    shown = [host for host in hosts if hbas.is_virtual(tree, host) and _NETWORK_CARD not in host.path]
    return [host for host in hosts if host in shown or _PARAVIRTUAL.fullmatch(host.driver)]
