# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that make a LUN a disk of a VM, and those that take it from the VM again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors import attach_rules
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen import (
    host_lun,
    machines,
    passing_steps,
    places,
    probing,
    repositories,
    target_steps,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.changing import Observed, VmChange
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.disk_steps import (
    ConnectDisk,
    DetachDisk,
    FindDisk,
    PlugDisk,
    ShareDisk,
    UnplugDisk,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.xen.repository_steps import MakeRepository, MakeVolume
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import MULTI_WRITER, NOT_SHARED, PHYSICAL, VIRTUAL, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.xapi import Record, XapiSession

SR, HBA, UDEV = "sr", "hba", "udev"
_KNOWN: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "mode": (PHYSICAL, VIRTUAL),
        "disk_mode": (),
        "sharing": (NOT_SHARED, MULTI_WRITER),
        "datastore": (),
        "controller_type": (machines.CONTROLLER,),
        "fc_method": (SR, HBA, UDEV),
    }
)
"""What XAPI knows of a LUN."""


def plan_attach(session: XapiSession, vm: VirtualMachine, wish: DiskWish) -> Plan:
    """Steps that make the LUN a disk of the VM as wished; none when it is one already.

    Raises `InvalidInput` for a wish that cannot be met by any VM, `Refused` for one that this VM, as it is, cannot meet.
    """
    attach_rules.refuse_unknown(wish, _KNOWN, "a LUN on Xen")
    change = VmChange(session, vm, wish.timeout)
    now = change.observe()
    now.refuse_unless_changeable()
    has = now.vbds_of(wish.name)
    if has:
        return _plan_rest(change, now, has[0][1], wish)
    *_ahead, place = places.choose_each(now.units(change.offered(now.ref), wish.leaving), wish.slots)
    by_adapter = _over_fibre_channel(session, now, wish)
    on_it = by_adapter and (wish.fc_method or SR) == SR
    _refuse_other_mode(wish, on_it)
    provided = _by_adapter(change, now, wish) if by_adapter else _by_target(change, now, wish.name)
    shared = wish.sharing == MULTI_WRITER
    sharing = [ShareDisk(change, wish.name)] if shared and not by_adapter and not _is_sharable(now, wish.name) else []
    plug = [PlugDisk(change, wish.name)] if now.running else []
    return Plan([*provided, *sharing, ConnectDisk(change, wish.name, place, shared), *plug], _remarks(now, wish, by_adapter))


def plan_detach(session: XapiSession, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
    """Steps that take the LUN from the guest and from the VM; none when it does not have it.

    Raises `Refused` for a VM that is suspended.
    """
    change = VmChange(session, vm, timeout)
    now = change.observe()
    has = now.vbds_of(name)
    if has:
        now.refuse_unless_changeable()
    return Plan([step for _ref, vbd in has for step in (UnplugDisk(change, name, vbd), DetachDisk(change, name, vbd))])


def _plan_rest(change: VmChange, now: Observed, vbd: Record, wish: DiskWish) -> Plan:
    """What is missing when the VM has the LUN: a run that was killed may not have plugged it in."""
    sharing = MULTI_WRITER if _is_sharable(now, wish.name) else NOT_SHARED
    otherwise = [f"sharing {sharing}, not {wish.sharing}"] if wish.sharing not in (None, sharing) else []
    elsewhere = attach_rules.other_place(wish.slot, machines.BUS, machines.unit(vbd))
    attach_rules.refuse_change(change.name, wish.name, [*elsewhere, *otherwise])
    return Plan([PlugDisk(change, wish.name)] if now.running and not vbd["currently_attached"] else [])


def _over_fibre_channel(session: XapiSession, now: Observed, wish: DiskWish) -> bool:
    """Whether the LUN is reached by adapters for Fibre Channel, else by the target of an `iscsi` repository of the pool.

    Of a LUN that nobody sees yet, that the pool has such a repository, or gets one, decides; a step that finds it otherwise has the plan
    made anew.
    """
    name = wish.name
    listed = {now.estate.sr[vdi["SR"]]["type"] for _ref, vdi in now.estate.vdis_of(name)}
    if listed:
        return repositories.ISCSI not in listed
    if now.estate.own_repository(name):
        return True
    if host_lun.shown_by_adapter(session, now.estate.master, name):
        return True
    return not now.estate.repositories_of(repositories.ISCSI) and not target_steps.unknown_targets(now.estate, wish)


def _refuse_other_mode(wish: DiskWish, on_it: bool) -> None:
    """Raise `Refused` for a mode that the LUN cannot have the way that it is handed on."""
    mode = VIRTUAL if on_it else PHYSICAL
    if wish.mode not in (None, mode):
        way = "over Fibre Channel as an SR, by which the guest gets a disk on it" if on_it else "so that the guest gets the LUN itself"
        raise Refused(f"LUN {wish.name} cannot be attached in mode {wish.mode}: the pool hands it on {way}; leave mode out.")


def _by_target(change: VmChange, now: Observed, name: ScsiName) -> list[Step]:
    return [] if now.estate.vdis_of(name) else [FindDisk(change, name)]


def _by_adapter(change: VmChange, now: Observed, wish: DiskWish) -> list[Step]:
    """The steps that hand on a LUN over Fibre Channel the way that was asked for. Raises `Refused` where it is handed on otherwise."""
    method = wish.fc_method or SR
    own = now.estate.own_repository(wish.name)
    if method == SR:
        return _repository_of_its_own(change, now, wish)
    if own:
        raise Refused(f"LUN {wish.name} is an SR of its own, which fc_method {method} would bypass: leave fc_method out.")
    if method == UDEV:
        passing_steps.home(now)
    managed = [(now.estate.sr[vdi["SR"]], vdi) for _ref, vdi in now.estate.vdis_of(wish.name) if vdi["managed"]]
    for sr, vdi in managed:
        if sr["type"] != method or repositories.marked(vdi) != wish.name:
            raise Refused(
                f"LUN {wish.name} is the VDI {vdi['name_label'] or vdi['uuid']} of SR {sr['name_label']} already, which somebody else has "
                "made: forget it there first, or ask for the fc_method by which it was made."
            )
    step = passing_steps.ChooseDisk if method == HBA else passing_steps.IntroduceDevice
    return [] if managed else [step(change, wish.name, wish.sharing == MULTI_WRITER)]


def _repository_of_its_own(change: VmChange, now: Observed, wish: DiskWish) -> list[Step]:
    """The steps that make a LUN over Fibre Channel a repository with one volume, as far as they are not done.

    Raises `Refused` for a pool that does not offer the type, and for a LUN that is handed on otherwise.
    """
    if any(vdi["managed"] and now.estate.sr[vdi["SR"]]["type"] in repositories.PASSING for _ref, vdi in now.estate.vdis_of(wish.name)):
        raise Refused(f"LUN {wish.name} is handed on as it is by an SR of the pool: ask for the fc_method ({HBA}, {UDEV}) that did it.")
    offered = change.session.read("SR.get_supported_types")
    if probing.LVM_FC not in offered:
        raise Refused(
            f"The pool offers no SR of type {probing.LVM_FC} (it offers {', '.join(sorted(map(str, offered)))}), and no iscsi SR of it "
            f"lists LUN {wish.name}: make an SR of type {repositories.ISCSI} for the array's target, and map the LUN over iSCSI."
        )
    own, shared = now.estate.own_repository(wish.name), wish.sharing == MULTI_WRITER
    if own is None:
        return [MakeRepository(change, wish.name, wish.initialize), MakeVolume(change, wish.name, shared)]
    _refuse_unshared_volume(now, wish, own[1])
    repository = [MakeRepository(change, wish.name, wish.initialize)] if now.estate.without(own[1]) else []
    return [*repository, *([] if own[1]["VDIs"] else [MakeVolume(change, wish.name, shared)])]


def _refuse_unshared_volume(now: Observed, wish: DiskWish, sr: Record) -> None:
    """Raise `Refused` for a volume that was made for one VM: XAPI decides that when it is made."""
    if wish.sharing == MULTI_WRITER and sr["VDIs"] and not _is_sharable(now, wish.name):
        raise Refused(
            f"The volume on LUN {wish.name} was made for one VM, which cannot be changed: ask for sharing multi_writer with the first VM, "
            "on a LUN that is new, or leave sharing out."
        )


def _is_sharable(now: Observed, name: ScsiName) -> bool:
    return any(vdi["sharable"] for _ref, vdi in now.estate.vdis_of(name))


def _remarks(now: Observed, wish: DiskWish, by_adapter: bool) -> list[str]:
    vm, name, method = now.vm["name_label"], wish.name, wish.fc_method or SR
    if not by_adapter:
        return []
    if method == SR:
        return [f"The guest of VM {vm} sees a disk on LUN {name}, not the LUN itself: over Fibre Channel, XAPI supports nothing else."]
    bound = (
        f", VM {vm} runs on this host alone, and its SR must not be scanned, which would make it forget the LUN" if method == UDEV else ""
    )
    return [f"LUN {name} is handed on by fc_method {method}, which the vendor does not support{bound}."]
