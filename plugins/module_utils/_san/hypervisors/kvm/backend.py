# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A KVM host, by its libvirt, as a hypervisor.

Libvirt has no call that returns the XML of several domains, so that an inventory is a fixed number of calls and a few for each VM, which
are sent several at a time; an iSCSI target is asked once, however many disks are on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.attach_rules import place_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, GuestAgent, Homes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import (
    attach,
    blocks,
    changing,
    estate,
    host_lun,
    hosts,
    machines,
    release,
    rescan,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.access import access_to
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.agent import KvmAgent
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    About,
    Attachment,
    BlockExtent,
    Controller,
    DiskBlocks,
    GuestBlock,
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
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import libvirt_uri
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import open_session


class Kvm:
    """A connection to libvirt. Implements `hypervisors.base.Hypervisor`."""

    def __init__(self, connection: Connection, host: KvmHost | None = None) -> None:
        """Connect. Raises `MissingLibrary`, `InvalidInput`, `ConnectionFailed` or `AuthenticationFailed`."""
        self._host = host or _open(connection)

    @property
    def type(self) -> str:
        return hosts.TYPE

    @property
    def address(self) -> str:
        return self._host.session.address

    def about(self) -> About:
        return hosts.about(self._host)

    def hosts(self, at_once: bool = False) -> list[Host]:
        return [hosts.host_with_hbas(self._host)]

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        return estate.inventory(self._host, devices, images)

    def devices(self, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
        return host_lun.devices(self._host, name) if self._host.id in hosts else []

    def rescan(self, hosts: Sequence[str], name: ScsiName) -> None:
        rescan.rescan(self._host, name)

    def plan_reach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        return Plan()

    def plan_attach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        return attach.plan_attach(self._host, vm, wish)

    def plan_detach(self, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
        return attach.plan_detach(self._host, vm, name, timeout)

    def attachment(self, vm: VirtualMachine, name: ScsiName) -> Attachment | None:
        seen = changing.observe(self._host, vm.id)
        found = next(iter(seen.disks_of(name)), None)
        if found is None or found.source is None:
            return None
        disk = seen.view.disk(seen.pair, found, found.source)
        controller = machines.controller_of(seen.pair, found) or Controller(disk.controller, found.bus, disk.bus or 0)
        return Attachment(disk, controller, guest_address=place_name(disk.bus, disk.unit) if found.address else "")

    def plan_release(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        return release.plan_release(self._host, name) if self._host.id in hosts else Plan()

    def in_service(self, hosts: Sequence[str], name: ScsiName) -> list[Use]:
        """None: Linux loses a device that nobody has opened without harm, and who has it open is a use of the inventory."""
        return []

    def plan_forget(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        """As a release: once its devices are gone, Linux remembers nothing of a LUN, and what came back before it was unmapped goes too."""
        return self.plan_release(hosts, name)

    def agent(self, vm: VirtualMachine) -> GuestAgent:
        return KvmAgent(self._host, vm)

    def disk_blocks(self, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
        return blocks.disk_blocks(self._host, wanted)

    def verify_blocks(self, vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
        return blocks.verify_blocks(self._host, vm, disk, extents)

    def read_disk(self, vm: VirtualMachine, disk: VirtualDisk, offset: int, length: int) -> bytes:
        return blocks.read_disk(self._host, vm, disk, offset, length)

    def guest_block(self, vm: VirtualMachine, disk: VirtualDisk, partition: tuple[int, int], offset: int) -> GuestBlock:
        return blocks.guest_block(self._host, vm, disk, partition, offset)

    def close(self) -> None:
        self._host.access.close()
        self._host.session.close()


def _open(connection: Connection) -> KvmHost:
    uri = libvirt_uri.of_connection(connection)
    session = open_session(uri, connection.username, connection.password, connection.timeout)
    return KvmHost(session, access_to(uri, connection.timeout))
