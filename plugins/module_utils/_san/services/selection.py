# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the one object that a user's word stands for, or say why there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import did_you_mean, unescaped
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Ambiguous,
    NotFound,
    Refused,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import STANDBY, UNREACHABLE, Host, Inventory, VirtualMachine

_UUID = re.compile(r"[0-9a-f]{8}(-?)(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}", re.IGNORECASE)


def pick_vm(machines: Sequence[VirtualMachine], wanted: str, silent: Sequence[str] = ()) -> VirtualMachine:
    """The VM with this identifier, UUID or name, in this order; `silent` are endpoints that may have it and did not answer.

    Raises `NotFound` or `Ambiguous`.
    """
    found = _finder(machines)(wanted)
    if not found and silent:
        raise NotFound(
            f"There is no VM '{wanted}' among the {len(machines)} VMs of the hosts that answer, and {', '.join(silent)} did not answer: "
            "reconnect what is silent, or correct the name."
        )
    if not found:
        raise NotFound(_no_vm([wanted], machines))
    if len(found) > 1 and len({vm.id for vm in found}) == 1:
        raise Ambiguous(
            f"VM {found[0].name} ({found[0].id}) runs on several hosts at once, as it does while it is migrated: wait until that has "
            "ended, or end what is the copy."
        )
    if len(found) > 1:
        candidates = "; ".join(_described(vm) for vm in found)
        raise Ambiguous(f"'{wanted}' stands for {len(found)} VMs, name one of them by its identifier or UUID: {candidates}.")
    return found[0]


def pick_hosts(hosts: Sequence[Host], names: Collection[str], clusters: Collection[str]) -> list[Host]:
    """The hosts with these names or identifiers and in these clusters; an empty collection means all. Raises `NotFound`."""
    _all_known_hosts(names, hosts)
    _all_known("cluster", clusters, {host.cluster for host in hosts})
    return [host for host in hosts if (not names or {host.name, host.id} & set(names)) and (not clusters or host.cluster in clusters)]


def hosts_that_can_run(vm: VirtualMachine, hosts: Sequence[Host]) -> list[Host]:
    """The hosts between which the VM may move: its cluster, or the one host that it has and its peers."""
    return [host for host in hosts if host.id in (vm.host, *vm.peers) or (vm.cluster and host.cluster == vm.cluster)]


def reachable(hosts: Sequence[Host], ignored: Collection[str]) -> list[Host]:
    """The hosts without those that the user said to ignore. Raises `Refused` when one of the rest cannot be asked."""
    _all_known_hosts(ignored, hosts)
    kept = [host for host in hosts if not {host.name, host.id} & set(ignored)]
    lost = sorted(host.name for host in kept if host.state == UNREACHABLE)
    if lost:
        raise Refused(
            f"The hosts {', '.join(lost)} are not connected, so their view of the LUN is unknown: "
            f"reconnect them, or name them in {option('ignore_hosts')}."
        )
    asleep = sorted(host.name for host in kept if host.state == STANDBY)
    if asleep:
        raise Refused(
            f"The hosts {', '.join(asleep)} are in standby, so they can neither look for the LUN nor let go of it: power them on, which "
            f"makes them look, or name them in {option('ignore_hosts')}."
        )
    return kept


def can_be_asked(host: Host) -> bool:
    """Whether a host answers; one in maintenance does."""
    return host.state not in (UNREACHABLE, STANDBY)


def initiators_asked(hosts: Sequence[Host], ignored: Collection[str] = ()) -> set[str]:
    """The initiators, in lower case, of the hosts that tell what they do with a LUN, and of those that the user said to ignore.

    A hypervisor goes on listing the adapters of a host that it cannot ask any more: that it knows them says nothing of their use. One in
    standby has no power, and does nothing.
    """
    asked = [host for host in hosts if host.state != UNREACHABLE or {host.name, host.id} & set(ignored)]
    return {hba.initiator.lower() for host in asked for hba in host.hbas if hba.initiator}


def initiators_of_silent(hosts: Sequence[Host]) -> dict[str, str]:
    """The initiators, in lower case, of the hosts that do not answer, each with its host as the end of a sentence about whose it is."""
    silent = [host for host in hosts if host.state == UNREACHABLE]
    return {hba.initiator.lower(): f"host {host.name}, which is not connected" for host in silent for hba in host.hbas if hba.initiator}


def select_vms(inventory: Inventory, names: Collection[str], clusters: Collection[str]) -> list[VirtualMachine]:
    """The VMs with these names, UUIDs or identifiers and in these clusters; an empty collection means all. Raises `NotFound`."""
    machines = inventory.virtual_machines
    _all_known("cluster", clusters, {host.cluster for host in inventory.hosts})
    found = _named(machines, names) if names else machines
    return [vm for vm in found if not clusters or vm.cluster in clusters]


def _named(machines: Sequence[VirtualMachine], names: Collection[str]) -> list[VirtualMachine]:
    find = _finder(machines)
    missing = [name for name in names if not find(name)]
    if missing:
        raise NotFound(_no_vm(missing, machines))
    named = {vm.id for name in names for vm in find(name)}
    return [vm for vm in machines if vm.id in named]


def _all_known_hosts(wanted: Collection[str], hosts: Sequence[Host]) -> None:
    ids = {host.id for host in hosts}
    _all_known("host", [name for name in wanted if name not in ids], {host.name for host in hosts})


def _all_known(kind: str, wanted: Collection[str], known: Collection[str]) -> None:
    missing = [name for name in wanted if name not in known]
    if missing:
        there = ", ".join(sorted(name for name in known if name)) or "none"
        raise NotFound(f"There is no {kind} {_quoted(missing)} on this hypervisor; it has: {there}{did_you_mean(missing, known)}")


def _no_vm(names: Sequence[str], machines: Sequence[VirtualMachine]) -> str:
    return (
        f"There is no VM {_quoted(names)} among the {len(machines)} VMs that the account sees on this hypervisor, neither by name nor by "
        f"UUID or identifier: correct it, or give the account the right to see it{did_you_mean(names, {vm.name for vm in machines})}"
    )


def _described(vm: VirtualMachine) -> str:
    uuid = vm.instance_uuid or vm.uuid or "unknown"
    where = f"cluster {vm.cluster}" if vm.cluster else "no cluster"
    return f"{vm.id} (UUID {uuid}, folder {vm.folder or '/'}, {where})"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _finder(machines: Sequence[VirtualMachine]) -> Callable[[str], list[VirtualMachine]]:
    """Find the VMs that a word stands for: by identifier, the endpoint's UUID, the guest's UUID or name, whichever comes first.

    All are compared as they are written, except that a UUID has several spellings.
    """
    by_id = _table(machines, lambda vm: _spelled(vm.id))
    by_instance = _table(machines, lambda vm: _spelled(vm.instance_uuid))
    by_uuid = _table(machines, lambda vm: _spelled(vm.uuid))
    by_name = _table(machines, lambda vm: vm.name)

    def find(wanted: str) -> list[VirtualMachine]:
        word = _spelled(wanted)
        return by_id.get(word) or by_instance.get(word) or by_uuid.get(word) or by_name.get(wanted) or by_name.get(unescaped(wanted)) or []

    return find


def _table(machines: Iterable[VirtualMachine], word: Callable[[VirtualMachine], str]) -> dict[str, list[VirtualMachine]]:
    found: dict[str, list[VirtualMachine]] = {}
    for vm in machines:
        if word(vm):
            found.setdefault(word(vm), []).append(vm)
    return found


def _spelled(word: str) -> str:
    """A UUID in one spelling; anything else as it is."""
    return word.replace("-", "").lower() if _UUID.fullmatch(word) else word
