# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that make a LUN a disk of a VM by a raw device mapping, and those that take it from the VM again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import unescaped
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware import (
    guest_cluster,
    mapping_file,
    places,
    rdm,
    snapshots,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.changing import Observed, VmChange, datastore_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.disk_steps import AttachDisk, DetachDisk, EditDisk
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.guest_cluster import StillShared
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.vmware.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    MULTI_WRITER,
    NOT_SHARED,
    PHYSICAL,
    PHYSICAL_BUS,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.vim import VimSession

_KNOWN: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "mode": tuple(rdm.COMPATIBILITY),
        "disk_mode": rdm.DISK_MODES,
        "sharing": (NOT_SHARED, MULTI_WRITER, PHYSICAL_BUS),
        "fc_method": (),
    }
)
"""What vSphere knows of a raw disk; a datastore and a type of controller are looked up."""


def plan_attach(session: VimSession, vm: VirtualMachine, wish: DiskWish) -> Plan:
    """Steps that make the LUN a disk of the VM as wished; none when it is one already.

    Raises `InvalidInput` for a wish that cannot be met by any VM, `Refused` for one that this VM, as it is, cannot meet without a loss.
    """
    attach_rules.refuse_unknown(wish, _KNOWN, "a raw disk on vSphere")
    attach_rules.refuse_reservations(
        wish, "a raw disk on vSphere", f"which passes them on in mode {PHYSICAL}: ask for sharing {PHYSICAL_BUS} for guest clusters"
    )
    settings = _settings(wish)
    change = VmChange(session, vm, wish.timeout)
    observed = change.observe()
    disk = observed.disk_of(wish.name)
    if disk is not None:
        return _plan_edit(change, observed, disk, wish)
    observed.refuse_if_hidden(wish.name)
    observed.refuse_unless_changeable()
    if settings.sharing != NOT_SHARED:
        return _plan_shared(change, observed, wish, settings)
    by_then = attach_rules.without(observed.vm, wish.leaving)
    *_ahead, place = places.choose_each(by_then, observed.hardware, wish.slots, wish.controller_type)
    return Plan([_attach_new(change, observed, wish, place, settings)])


def plan_detach(session: VimSession, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
    """Steps that take the LUN, and its mapping file unless another VM uses that too, from the VM; none when the VM does not have it.

    A controller that becomes empty stays: nobody knows whose it is. Raises `Refused` while a snapshot refers to the LUN, which is a warning
    of a VM that has it no more: there is nothing to detach, but the LUN is not free.
    """
    change = VmChange(session, vm, timeout)
    observed = change.observe()
    disk = observed.disk_of(name)
    if disk is None:
        observed.refuse_if_hidden(name)
        told = snapshots.objection(session, observed.vm, name)
        return Plan(warnings=[told] if told else [])
    observed.refuse_unless_changeable()
    snapshots.refuse_if_any_has(session, observed.vm, name)
    return Plan([DetachDisk(change, name, disk, _place_of(observed, disk), mapping_file.other_users(session, observed, disk))])


def _settings(wish: DiskWish) -> rdm.Settings:
    """How a new disk shall be."""
    mode = wish.mode or PHYSICAL
    if wish.sharing == PHYSICAL_BUS and mode != PHYSICAL:
        raise InvalidInput(
            f"sharing {PHYSICAL_BUS} does not go with mode {mode}, which keeps a cluster's reservations from the array: "
            f"ask for mode {PHYSICAL}, or leave it out."
        )
    default = rdm.INDEPENDENT_PERSISTENT if mode == PHYSICAL else rdm.PERSISTENT
    return rdm.Settings(mode, wish.disk_mode or default, wish.sharing or NOT_SHARED)


def _refuse_disk_mode_of_physical(wish: DiskWish, mode: str) -> None:
    """Snapshots never include a disk in physical mode, so that it has no disk mode to choose."""
    if mode == PHYSICAL and wish.disk_mode not in (None, rdm.INDEPENDENT_PERSISTENT):
        raise InvalidInput(
            f"disk_mode {wish.disk_mode} does not exist for LUN {wish.name} in physical mode, which snapshots never include: "
            "ask for mode virtual, or leave disk_mode out."
        )


def _plan_shared(change: VmChange, observed: Observed, wish: DiskWish, settings: rdm.Settings) -> Plan:
    """Steps that make the LUN a disk of this VM beside others, alike for all of them; the first one creates the mapping file."""
    others = mapping_file.of_others(change.session, observed, wish.name)
    guest_cluster.refuse_unlike(wish.name, others, settings.sharing)
    by_bus = settings.sharing == PHYSICAL_BUS
    slot = guest_cluster.slot(wish.slot, others) if by_bus else wish.slot
    by_then = attach_rules.without(observed.vm, wish.leaving)
    found = places.choose_each(by_then, observed.hardware, [*wish.ahead, slot], wish.controller_type, PHYSICAL if by_bus else "")
    place = found[-1]
    for one in found if by_bus else ():
        guest_cluster.refuse_unless_possible(change.session, observed, one)
    attach = _share(change, observed, wish, place, *others[0]) if others else _attach_new(change, observed, wish, place, settings)
    unchanged = StillShared(change, wish.name, settings.sharing, place, others)
    return Plan([unchanged, attach], guest_cluster.warnings(observed, wish.name, place, others) if by_bus else ())


def _attach_new(change: VmChange, observed: Observed, wish: DiskWish, place: Place, settings: rdm.Settings) -> AttachDisk:
    """Attach by a mapping file that is created for it."""
    _refuse_disk_mode_of_physical(wish, settings.mode)
    return AttachDisk(change, wish.name, place, settings, mapping_file.new(change.session, observed, wish.file_system))


def _share(change: VmChange, observed: Observed, wish: DiskWish, place: Place, vm: VirtualMachine, disk: VirtualDisk) -> AttachDisk:
    """Attach by the mapping file of a VM that has the LUN already, whose mode and datastore are fixed."""
    differing = _fixed_otherwise(disk, wish)
    if differing:
        raise Refused(
            f"LUN {wish.name} can be shared with VM {vm.name} only by the mapping file {disk.path}, which has {', '.join(differing)}: "
            "ask for the same, or leave it out."
        )
    _refuse_disk_mode_of_physical(wish, disk.mode)
    same_mode = _settings(replace(wish, mode=disk.mode))
    return AttachDisk(change, wish.name, place, same_mode, mapping_file.existing(change.session, observed, vm.name, disk.path))


def _plan_edit(change: VmChange, observed: Observed, disk: VirtualDisk, wish: DiskWish) -> Plan:
    """Steps that bring the LUN's settings to the wish. Raises `Refused` for what vSphere fixes when the disk is attached."""
    elsewhere = attach_rules.other_place(wish.slot, disk.bus, disk.unit)
    attach_rules.refuse_change(observed.vm.name, wish.name, [*elsewhere, *_fixed_otherwise(disk, wish), *_shared_otherwise(disk, wish)])
    _refuse_disk_mode_of_physical(wish, disk.mode)
    disk_mode = None if disk.mode == PHYSICAL or wish.disk_mode == disk.disk_mode else wish.disk_mode
    sharing = None if wish.sharing == (disk.sharing or NOT_SHARED) else wish.sharing
    step = EditDisk(change, wish.name, disk, disk_mode, sharing)
    if not step.done():
        observed.refuse_unless_changeable()
    return Plan([step])


def _fixed_otherwise(disk: VirtualDisk, wish: DiskWish) -> list[str]:
    """What a mapping file fixes when it is created, and the wish wants otherwise."""
    datastore = datastore_of(disk.path)
    mode = wish.mode or (PHYSICAL if wish.sharing == PHYSICAL_BUS else disk.mode)
    fixed = (("mode", disk.mode, mode), ("datastore", datastore, unescaped(wish.file_system or datastore)))
    return [f"{setting} {has}, not {wanted}" for setting, has, wanted in fixed if has != wanted]


def _shared_otherwise(disk: VirtualDisk, wish: DiskWish) -> list[str]:
    """What of its sharing the disk's controller decides, and the wish wants otherwise."""
    has = disk.sharing or NOT_SHARED
    wanted = wish.sharing or has
    return [f"sharing {has}, not {wanted}"] if has != wanted and {has, wanted} & set(rdm.BY_BUS.values()) else []


def _place_of(observed: Observed, disk: VirtualDisk) -> Place:
    controller = next(controller for controller in observed.vm.controllers if controller.key == disk.controller)
    return Place(controller.bus, disk.unit or 0, controller.type, controller, controller.shared)
