# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that make a LUN a disk of a VM, in what runs and in what starts next time, and those that take it from the VM again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm import host_lun, places
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.changing import Observed, VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.disk_steps import (
    AddController,
    AttachDisk,
    DetachDisk,
    TellSize,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.domain import Disk, Domain
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.host import KvmHost
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.machines import DomainPair
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.kvm.places import Place
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import MULTI_WRITER, NOT_SHARED, PHYSICAL, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.libvirt_session import CONFIG, LIVE

_KNOWN: Mapping[str, Sequence[str]] = MappingProxyType(
    {"mode": (PHYSICAL,), "disk_mode": (), "sharing": (NOT_SHARED, MULTI_WRITER), "datastore": (), "fc_method": ()}
)
"""What libvirt knows of a LUN; types of controllers are the business of `places`."""


def plan_attach(host: KvmHost, vm: VirtualMachine, wish: DiskWish) -> Plan:
    """Steps that make the LUN a disk of the VM as wished; none when it is one already.

    Raises `InvalidInput` for a wish that cannot be met by any VM, `Refused` for one that this VM, as it is, cannot meet.
    """
    attach_rules.refuse_unknown(wish, _KNOWN, "a LUN that KVM passes through")
    change = VmChange(host, vm, wish.timeout)
    observed = change.observe()
    pair = observed.pair
    change.refuse_if_saved(pair)
    observed.refuse_scsi_device(vm.name, wish.name, host.name)
    host_lun.refuse_mixed(host, wish.name, observed.devices_beside(wish.name))
    has = observed.disks_of(wish.name)
    if has:
        return _plan_rest(change, observed, has, wish)
    *ahead, place = places.choose_each(vm.name, _without(observed, wish.leaving), wish.slots, _controller_type(wish))
    if wish.reservations and place.type != places.VIRTIO_SCSI:
        raise Refused(
            f"SCSI controller {place.bus} of VM {vm.name} is a {place.type}, and reservations need {places.VIRTIO_SCSI}: name another bus, "
            "or none."
        )
    for other in ahead:
        _controller(change, pair, other, pair.record.targets)
    shareable, reservations = wish.sharing == MULTI_WRITER, bool(wish.reservations)
    attach = AttachDisk(change, wish.name, place, pair.record.targets, shareable, reservations=reservations, single_path=wish.single_path)
    warnings = host_lun.told_of_reservations(host, wish.name) if reservations else []
    return Plan([*_controller(change, pair, place, pair.record.targets), attach], warnings)


def _controller_type(wish: DiskWish) -> str | None:
    """The type of controller to prefer. Raises `InvalidInput` for one over which no reservations are passed on."""
    if not wish.reservations:
        return wish.controller_type
    if wish.controller_type not in (None, places.VIRTIO_SCSI):
        raise InvalidInput(f"reservations need a {places.VIRTIO_SCSI} controller, not {wish.controller_type}: leave controller_type out.")
    return places.VIRTIO_SCSI


def plan_detach(host: KvmHost, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
    """A step that takes the LUN from the VM; none when it does not have it.

    Raises `Refused` while the guest agent says that it is mounted, and where the VM has it in a way that this does not reach: in a managed
    save image, or among the paths of another LUN.
    """
    change = VmChange(host, vm, timeout)
    observed = change.observe()
    observed.refuse_scsi_device(vm.name, name, host.name)
    host_lun.refuse_mixed(host, name, observed.devices_beside(name))
    disks = observed.disks_of(name)
    if disks or observed.may_go_on_with(name):
        change.refuse_if_saved(observed.pair)
    if not disks:
        return Plan()
    change.refuse_if_mounted(name)
    alone = len(disks) == 1
    return Plan([DetachDisk(change, name, disk, _parts_with(observed.pair, disk), alone=alone, last=disk is disks[-1]) for disk in disks])


def _without(observed: Observed, leaving: Collection[ScsiName]) -> list[Domain]:
    """What runs and what starts next time once these LUNs are gone: their places are free."""
    gone = [disk for name in leaving for disk in observed.disks_of(name)]
    return [
        replace(part, disks=[disk for disk in part.disks if not any(_is_same(disk, other) for other in gone)])
        for part in observed.pair.domains
    ]


def _plan_rest(change: VmChange, observed: Observed, has: Sequence[Disk], wish: DiskWish) -> Plan:
    """What is missing when the VM has the LUN: in what runs or in what starts next time, its size, all but one of its paths.

    `has` is how the VM has it: what runs and what starts next time may call it otherwise, and have it at different places.
    """
    pair, disk = observed.pair, has[0]
    bus, unit, _kind = _seat(pair, disk)
    sharing = MULTI_WRITER if disk.shareable else NOT_SHARED
    otherwise = [f"sharing {sharing}, not {wish.sharing}"] if wish.sharing not in (None, sharing) else []
    if wish.reservations not in (None, disk.reservations):
        otherwise.append(f"reservations {disk.reservations}, not {wish.reservations}")
    attach_rules.refuse_change(change.name, wish.name, [*attach_rules.other_place(wish.slot, bus, unit), *otherwise])
    reserved = host_lun.told_of_reservations(change.host, wish.name) if _path(disk) and disk.reservations else []
    told = [*_told_of_two_places(change.name, observed, wish.name), *reserved]
    singles = _by_one_path(change.host, has, wish)
    if singles and wish.single_path == host_lun.MEND:
        return _plan_mend(change, pair, singles, wish) + Plan(warnings=told)
    told = [*(host_lun.told_of_one_path(change.name, wish.name, _path(single)) for single in singles), *told]
    steps: list[Step] = [TellSize(change, wish.name, disk, wish.size_bytes)] if disk in pair.live.disks else []
    missing, place = pair.record.targets & ~observed.parts_with(wish.name), _place(pair, disk)
    if missing and place:
        attach = AttachDisk(change, wish.name, place, missing, disk.shareable, disk.target, disk.reservations, wish.single_path)
        steps = [*_controller(change, pair, place, missing), attach, *steps]
    return Plan(steps, told)


def _told_of_two_places(vm: str, observed: Observed, name: ScsiName) -> list[str]:
    """What somebody should know whose VM has the LUN elsewhere once it was powered off and on."""
    pair = observed.pair
    now, then = (", ".join(_place_text(pair, disk) for disk in observed.disks_in(part, name)) for part in (pair.live, pair.config))
    if not now or not then or now == then:
        return []
    sentence = (
        f"VM {vm} has LUN {name} as {now} while it runs and as {then} when it starts next time: power it off and on if that is where the "
        "LUN belongs, or detach it and attach it again."
    )
    return [sentence]


def _by_one_path(host: KvmHost, has: Sequence[Disk], wish: DiskWish) -> list[Disk]:
    """Those of the VM's disks that are the LUN by a single path which it shall not have."""
    if wish.single_path == host_lun.ALLOW:
        return []
    found = host_lun.by_one_path(host, [(wish.name, _path(disk)) for disk in has])
    return [disk for disk in has if (wish.name, _path(disk)) in found]


def _plan_mend(change: VmChange, pair: DomainPair, singles: Sequence[Disk], wish: DiskWish) -> Plan:
    """Take the disks that the VM has by a single path, and give each back at the same place by the multipath device.

    Raises `Refused` while a guest that runs with such a disk has it mounted, or cannot be asked: it is away for a moment.
    """
    host_lun.refuse_without_map(change.host, wish.name)
    steps: list[Step] = []
    for disk in singles:
        place, parts = _place(pair, disk), _parts_with(pair, disk)
        if place is None:
            raise Refused(
                f"Disk {disk.target} of VM {change.name}, which is LUN {wish.name}, is on no controller on which it can be attached anew: "
                "detach it, then attach it again."
            )
        if parts & LIVE:
            change.refuse_unless_unmounted(wish.name)
        away = DetachDisk(change, wish.name, disk, parts, alone=parts == pair.record.targets, last=False)
        steps += [away, AttachDisk(change, wish.name, place, parts, disk.shareable, disk.target, disk.reservations)]
    return Plan(steps)


def _path(disk: Disk) -> str:
    """The device of the host that a disk is; empty for any other."""
    return disk.source.path if disk.source and disk.source.type == "block" else ""


def _seat(pair: DomainPair, disk: Disk) -> tuple[int | None, int | None, str]:
    """Where a disk is: bus, unit, and the type of its SCSI controller."""
    kind = next(
        (places.controller_type(found.model) for part in pair.domains for found in part.controllers if _is_on(disk, found.index)), ""
    )
    return disk.address.controller if disk.address else None, places.unit_at(disk.address, kind), kind


def _place(pair: DomainPair, disk: Disk) -> Place | None:
    """Where a disk is, if another can be attached there."""
    bus, unit, kind = _seat(pair, disk)
    return Place(bus, unit, kind, add=True) if bus is not None and unit is not None and kind in places.MODELS else None


def _place_text(pair: DomainPair, disk: Disk) -> str:
    bus, unit, kind = _seat(pair, disk)
    return f"{disk.target} at {attach_rules.place_name(bus, unit)}" if kind else disk.target


def _controller(change: VmChange, pair: DomainPair, place: Place, parts: int) -> list[Step]:
    """The step that adds the place's controller where it is missing. Raises `Refused` when a running VM has no port for one."""
    lacking = (LIVE if pair.live.controller(place.bus) is None else 0) | (CONFIG if pair.config.controller(place.bus) is None else 0)
    lacking &= parts
    if not place.add or not lacking:
        return []
    if lacking & LIVE and pair.live.pcie and not pair.live.free_ports:
        raise Refused(
            f"VM {change.name} runs without a usable SCSI controller and without a free PCI Express port for one: power it off and run "
            "this task again, or give it a virtio-scsi controller or more pcie-root-ports first."
        )
    return [AddController(change, place, lacking)]


def _parts_with(pair: DomainPair, disk: Disk) -> int:
    return pair.targets_with(lambda other: _is_same(other, disk))


def _is_same(one: Disk, other: Disk) -> bool:
    """Whether both are one disk, of what runs and of what starts next time."""
    return (one.target, one.source) == (other.target, other.source)


def _is_on(disk: Disk, index: int) -> bool:
    return disk.bus == "scsi" and disk.address is not None and disk.address.controller == index
