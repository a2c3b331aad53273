# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that a KVM host has: its VMs, and what lies under their disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import evidence, host_lun, hosts
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.machines import DomainPair, View
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import FileSystem, Inventory, ScsiDevice, Use, VirtualMachine


@dataclass(frozen=True)
class Estate:
    """What one look at a host found."""

    pairs: Sequence[DomainPair]
    view: View

    def virtual_machines(self) -> list[VirtualMachine]:
        """Every VM."""
        return [self.view.virtual_machine(pair) for pair in self.pairs]

    def file_systems(self, virtual_machines: Sequence[VirtualMachine]) -> list[FileSystem]:
        """Those that lie on devices or servers, and those on which a disk of a VM lies."""
        disks = [disk for vm in virtual_machines for disk in vm.disks]
        parents = [parent for disk in disks for parent in disk.parents]
        return self.view.storage.file_systems({*(disk.file_system for disk in disks), *(parent.file_system for parent in parents)})

    def devices(self) -> list[ScsiDevice]:
        """What the host sees, and what the targets of QEMU's own initiator show."""
        return [*self.view.storage.devices, *self.view.answers.devices(self.view.host)]

    def warnings(self) -> list[str]:
        """Why targets that did not answer did not."""
        return [str(failure) for failure in self.view.answers.failures.values()]

    def uses(self, virtual_machines: Sequence[VirtualMachine]) -> list[Use]:
        """What VMs have in other ways than as a disk."""
        return [use for pair, vm in zip(self.pairs, virtual_machines) for use in evidence.of_machine(self.view, pair, vm)]


def inventory(host: KvmHost, devices: bool, images: bool) -> Inventory:
    """Everything that the host has; a target that does not answer costs the names of its LUNs, and a warning."""
    pairs = host.pairs()
    estate = Estate(pairs, host.view(pairs, with_pools=devices, images=images))
    virtual_machines = estate.virtual_machines()
    uses = estate.uses(virtual_machines)
    file_systems = estate.file_systems(virtual_machines)
    kernel = evidence.of_host(estate.view, host.name, virtual_machines, file_systems)
    doubts = [f"{use.kind} {use.name} {use.how}." for use in uses if use.lun is None]
    return Inventory(
        hosts=[hosts.host_of(host)],
        virtual_machines=virtual_machines,
        file_systems=[store for store in file_systems if store.id not in kernel.idle_groups],
        devices=estate.devices() if devices else (),
        uses=[*uses, *_mixed(host, virtual_machines), *kernel.uses],
        warnings=[*estate.warnings(), *doubts, *(_single_paths(host, estate) if devices else ())],
    )


def _mixed(host: KvmHost, virtual_machines: Sequence[VirtualMachine]) -> list[Use]:
    """The LUNs that VMs have by a multipath device which has paths of others, too, so that the disk is none of them as a whole."""
    had = [(vm, disk, disk.path or disk.device) for vm in virtual_machines for disk in vm.disks if disk.name is None]
    found = host_lun.mixtures(host, [path for _vm, _disk, path in had])
    return [
        Use("VM", vm.name, vm.id, f"has its disk {disk.label} on it ({mixture.why})", lun, way_out=mixture.way_out)
        for vm, disk, path in had
        for (device, lun), mixture in found.items()
        if device == path
    ]


def _single_paths(host: KvmHost, estate: Estate) -> list[str]:
    """What is to be known of VMs that stop when one path is lost."""
    had = [
        (pair.record.name, name, disk.source.path)
        for pair in estate.pairs
        for disk in pair.disks
        if disk.is_disk and disk.source and disk.source.type == "block" and (name := estate.view.name_of(disk))
    ]
    found = host_lun.by_one_path(host, [(name, path) for _vm, name, path in had])
    return [host_lun.told_of_one_path(vm, name, path) for vm, name, path in had if (name, path) in found]
