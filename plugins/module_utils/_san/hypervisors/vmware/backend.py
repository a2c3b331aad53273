# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vCenter Server, or an ESXi host on its own, as a hypervisor.

Whatever is read of the inventory is one RetrievePropertiesEx with its pages, whatever the number of VMs, and one more where any of them
has snapshots. What changes something is loaded by the first change, because a map of thousands of VMs is asked for one LUN in little more
time than it takes to load all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import passthrough
from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.attach_rules import place_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, GuestAgent, Homes
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import (
    hosts,
    lun_names,
    machines,
    properties,
    snapshots,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.estate import Estate
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    About,
    Attachment,
    Host,
    Inventory,
    ScsiDevice,
    Use,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import PAGE_SIZE, VimSession
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim_xml import moid_in


class VMware(passthrough.NothingElse):
    """A session with vCenter Server or ESXi. Implements `hypervisors.base.Hypervisor`."""

    why_no_blocks = (
        "vSphere tells no program where in a VMFS or other datastore a disk's blocks are: virtual_block_address with method=observe, or "
        "method=vmkfstools on VMFS, may find them"
    )

    def __init__(self, connection: Connection) -> None:
        """Log in. Raises `MissingLibrary`, `InvalidInput`, `ConnectionFailed` or `AuthenticationFailed`."""
        self._connection = connection
        self._session = VimSession(connection)

    @property
    def type(self) -> str:
        return hosts.TYPE

    @property
    def address(self) -> str:
        return str(self._connection.hostname)

    def about(self) -> About:
        return hosts.about(self._session, self.address)

    def hosts(self, at_once: bool = False) -> list[Host]:
        return hosts.hosts_with_hbas(self._session)

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        paths = properties.INVENTORY_WITH_LUNS if devices else properties.INVENTORY
        estate = self._estate_on(paths, only) if only else Estate(self._session.retrieve(paths, trim=machines.trimmed))
        virtual_machines, unknown = lun_names.looked_up(self._session, estate.virtual_machines, estate.devices)
        in_snapshots = snapshots.uses(self._session, estate.snapshots, estate.devices)
        return Inventory(
            hosts=estate.hosts,
            virtual_machines=virtual_machines,
            file_systems=estate.file_systems,
            devices=estate.devices,
            uses=[*estate.uses, *unknown, *in_snapshots],
            warnings=estate.missing,
            identity=str(self._session.content.about.instanceUuid or ""),
        )

    def devices(self, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
        from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import host_lun

        return host_lun.devices(self._session, hosts, name)

    def rescan(self, hosts: Sequence[str], name: ScsiName) -> None:
        from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import rescan

        rescan.rescan(self._session, hosts, name)

    def plan_reach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        return Plan()

    def plan_attach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import attach

        return attach.plan_attach(self._session, vm, wish)

    def plan_detach(self, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
        from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import attach

        return attach.plan_detach(self._session, vm, name, timeout)

    def attachment(self, vm: VirtualMachine, name: ScsiName) -> Attachment | None:
        read = self._session.retrieve({properties.VIRTUAL_MACHINE: properties.MACHINE}, {properties.VIRTUAL_MACHINE: [vm.id]})
        for now in lun_names.looked_up(self._session, [machines.readable(record) for record in read])[0]:
            controllers = {controller.key: controller for controller in now.controllers}
            for disk in now.disks:
                if disk.name == name and disk.controller in controllers:
                    return Attachment(disk, controllers[disk.controller], guest_address=place_name(disk.bus, disk.unit))
        return None

    def plan_release(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import release

        return release.plan_release(self._session, hosts, name)

    def in_service(self, hosts: Sequence[str], name: ScsiName) -> list[Use]:
        from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import release

        return release.in_service(self._session, hosts, name)

    def plan_forget(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import release

        return release.plan_forget(self._session, hosts, name)

    def agent(self, vm: VirtualMachine) -> GuestAgent:
        raise Refused(
            f"VM {vm.name} cannot be held still by vSphere, which does so only for a snapshot of the VM itself, and takes none of raw "
            "disks in physical mode: hold the file systems still from within its guest, or take the snapshot unfrozen."
        )

    def close(self) -> None:
        self._session.close()

    def _estate_on(self, paths: properties.Paths, only: Homes) -> Estate:
        """First what VMs lie on, then only those that are wanted: two or three reads, whatever the number of VMs.

        Nothing but a VM's hardware tells whether it has a raw disk, and no query selects by it: all are asked for it, and few understood.
        """
        of_vms = {properties.VIRTUAL_MACHINE: paths[properties.VIRTUAL_MACHINE]}
        below = {kind: wanted for kind, wanted in paths.items() if kind not in of_vms}
        below[properties.DATASTORE] = (*paths[properties.DATASTORE], properties.VMS_OF_DATASTORE)
        estate = Estate(self._session.retrieve(below))
        wanted = only(Inventory(hosts=estate.hosts, file_systems=estate.file_systems, devices=estate.devices))
        listed = set(estate.machines_on(wanted.file_systems))
        if wanted.raw_disks and len(listed) > PAGE_SIZE:
            estate.take(self._session.retrieve(of_vms, trim=partial(_if_wanted, listed)))
            return estate
        if wanted.raw_disks:
            listed |= self._with_raw_disks()
        estate.take(self._session.retrieve(of_vms, {properties.VIRTUAL_MACHINE: sorted(listed)}, trim=machines.trimmed))
        return estate

    def _with_raw_disks(self) -> set[str]:
        """The ids of the VMs that may have a raw disk, by nothing but their hardware."""
        hardware = {properties.VIRTUAL_MACHINE: [properties.DEVICES_OF_VM]}
        return {record.moid for record in self._session.retrieve(hardware, trim=machines.if_raw_disk)}


def _if_wanted(listed: Collection[str], record: bytes) -> bytes:
    """The record of a VM that is listed by its id, or that may have a raw disk; nothing of any other."""
    moid = moid_in(record)
    wanted = not moid or moid in listed or machines.may_have_raw_disk(record)
    return machines.trimmed(record) if wanted else b""
