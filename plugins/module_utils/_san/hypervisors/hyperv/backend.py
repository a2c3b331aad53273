# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Hyper-V host, or a failover cluster of them by any of its nodes, as a hypervisor.

Whatever is read is a fixed number of enumerations per host, whatever the number of VMs.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import passthrough
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, GuestAgent, Homes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv import (
    attach,
    blocks,
    estate,
    hosts,
    machines,
    release,
    rescan,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.hyperv.nodes import Nodes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    About,
    Attachment,
    BlockExtent,
    DiskBlocks,
    Host,
    Inventory,
    ReadLun,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName


class HyperV(passthrough.NothingElse):
    """Logins at the hosts behind one endpoint. Implements `hypervisors.base.Hypervisor`."""

    def __init__(self, connection: Connection) -> None:
        """Log in at the named host. Raises `MissingLibrary`, `InvalidInput`, `ConnectionFailed` or `AuthenticationFailed`."""
        self._nodes = Nodes(connection)
        self._nodes.entry  # noqa: B018  # the first request logs in

    @property
    def type(self) -> str:
        return hosts.TYPE

    @property
    def address(self) -> str:
        return str(self._nodes.connection.hostname)

    def about(self) -> About:
        return hosts.about(self._nodes)

    def hosts(self, at_once: bool = False) -> list[Host]:
        return hosts.hosts_with_hbas(self._nodes, at_once)

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        return estate.inventory(self._nodes, devices, images, at_once)

    def devices(self, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
        return estate.devices(self._nodes, hosts, name)

    def rescan(self, hosts: Sequence[str], name: ScsiName) -> None:
        rescan.rescan(self._nodes, hosts)

    def plan_reach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        return Plan()

    def plan_attach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        return attach.plan_attach(self._nodes, vm, wish)

    def plan_detach(self, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
        return attach.plan_detach(self._nodes, vm, name, timeout)

    def attachment(self, vm: VirtualMachine, name: ScsiName) -> Attachment | None:
        return machines.attachment(self._nodes, vm, name)

    def plan_release(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        return release.plan_release(self._nodes, hosts, name)

    def in_service(self, hosts: Sequence[str], name: ScsiName) -> list[Use]:
        """None: Windows loses a disk without volumes without harm, and its volumes are in the inventory."""
        return []

    def plan_forget(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        return release.plan_forget(self._nodes, hosts, name)

    def agent(self, vm: VirtualMachine) -> GuestAgent:
        raise Refused(
            f"VM {vm.name} cannot be held still by Hyper-V, which does so only for a checkpoint of the VM, and takes none of pass-through "
            "disks: hold the file systems still from within its guest, or take the snapshot unfrozen."
        )

    def disk_blocks(self, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
        return blocks.disk_blocks(self._nodes, wanted)

    def verify_blocks(self, vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
        return blocks.verify_blocks(self._nodes, vm, disk, extents, read_lun)

    def close(self) -> None:
        self._nodes.close()
