# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool of XenServer or XCP-ng hosts, or one host, by its XAPI, as a hypervisor.

An inventory is one call for each class of objects, whatever the number of VMs; what a host sees beside what the pool uses, its drivers are
asked host by host.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import passthrough
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.attach_rules import place_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, GuestAgent, Homes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import (
    attach,
    estate,
    host_lun,
    hosts,
    release,
    rescan,
    target_steps,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.changing import VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    PHYSICAL,
    About,
    Attachment,
    DiskBlocks,
    Host,
    Inventory,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import XapiSession


class Xen(passthrough.NothingElse):
    """A connection to the master of a pool. Implements `hypervisors.base.Hypervisor`."""

    why_no_blocks = (
        "where in its storage repository a disk lies XAPI does not tell; of a LUN that a repository hands on as it is, it is known"
    )

    def __init__(self, connection: Connection, session: XapiSession | None = None) -> None:
        """Log in. Raises `MissingLibrary`, `InvalidInput`, `ConnectionFailed` or `AuthenticationFailed`."""
        self._session = session or XapiSession(connection)

    @property
    def type(self) -> str:
        return hosts.TYPE

    @property
    def address(self) -> str:
        return self._session.address

    def about(self) -> About:
        return hosts.about(self._session)

    def hosts(self, at_once: bool = False) -> list[Host]:
        return hosts.hosts_with_hbas(self._session)

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        return estate.inventory(self._session, devices)

    def devices(self, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
        return host_lun.devices(self._session, hosts, name)

    def rescan(self, hosts: Sequence[str], name: ScsiName) -> None:
        rescan.rescan(self._session)

    def plan_reach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        return target_steps.plan_reach(self._session, wish)

    def plan_attach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        return attach.plan_attach(self._session, vm, wish)

    def plan_detach(self, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
        return attach.plan_detach(self._session, vm, name, timeout)

    def attachment(self, vm: VirtualMachine, name: ScsiName) -> Attachment | None:
        now = VmChange(self._session, vm, self._session.connection.timeout).observe()
        machine = now.estate.machine(now.ref, now.vm)
        disk = next((disk for disk in machine.disks if disk.name == name), None)
        if disk is None:
            return None
        return Attachment(disk, machine.controllers[0], guest_address="" if disk.unit is None else place_name(disk.bus, disk.unit))

    def plan_release(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        return release.plan_release(self._session, name)

    def in_service(self, hosts: Sequence[str], name: ScsiName) -> list[Use]:
        return release.in_service(self._session, hosts, name)

    def plan_forget(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        return release.plan_forget(self._session, name)

    def agent(self, vm: VirtualMachine) -> GuestAgent:
        raise Refused(
            f"VM {vm.name} cannot be held still by its pool, because XAPI has no such order: hold the file systems still from within its "
            "guest, or take the snapshot unfrozen."
        )

    def disk_blocks(self, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
        """A disk that is the one volume of a repository begins after what the repository keeps of itself."""
        return [
            passthrough.identity_or(disk, self.why_no_blocks) if disk.mode == PHYSICAL else passthrough.untold(disk, self.why_no_blocks)
            for _vm, disk in wanted
        ]

    def close(self) -> None:
        self._session.close()
