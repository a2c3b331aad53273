# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the one object that a user's word stands for, or say why there is none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Ambiguous, NotFound, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import UNREACHABLE, Host, Inventory, VirtualMachine


def pick_vm(machines: Sequence[VirtualMachine], wanted: str) -> VirtualMachine:
    """The VM with this identifier, UUID or name, in this order. Raises `NotFound` or `Ambiguous`."""
    by_id = [vm for vm in machines if vm.id == wanted]
    by_instance = [vm for vm in machines if _bare(vm.instance_uuid) == _bare(wanted) != ""]
    by_uuid = [vm for vm in machines if _bare(vm.uuid) == _bare(wanted) != ""]
    by_name = [vm for vm in machines if vm.name == wanted]
    found = by_id or by_instance or by_uuid or by_name
    if not found:
        similar = sorted(vm.name for vm in machines if vm.name.lower() == wanted.lower())
        hint = f"; did you mean {', '.join(similar)}" if similar else ""
        raise NotFound(f"{_no_vm(_quoted([wanted]), machines)}{hint}.")
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
    """The hosts between which the VM may move: its cluster, or the one host that it has."""
    return [host for host in hosts if host.id == vm.host or (vm.cluster and host.cluster == vm.cluster)]


def reachable(hosts: Sequence[Host], ignored: Collection[str]) -> list[Host]:
    """The hosts without those that the user said to ignore. Raises `Refused` when one of the rest cannot be asked."""
    _all_known_hosts(ignored, hosts)
    kept = [host for host in hosts if not {host.name, host.id} & set(ignored)]
    lost = sorted(host.name for host in kept if host.state == UNREACHABLE)
    if lost:
        raise Refused(
            f"The hosts {', '.join(lost)} are not connected, so their view of the LUN is unknown: "
            "reconnect them, or name them in ignore_hosts."
        )
    return kept


def select_vms(inventory: Inventory, names: Collection[str], clusters: Collection[str]) -> list[VirtualMachine]:
    """The VMs with these names, UUIDs or identifiers and in these clusters; an empty collection means all. Raises `NotFound`."""
    machines = inventory.virtual_machines
    _all_known("cluster", clusters, {host.cluster for host in inventory.hosts})
    wanted = {_bare(name) for name in names}
    found = [vm for vm in machines if not names or wanted & _words(vm)]
    missing = wanted - {word for vm in found for word in _words(vm)}
    if missing:
        raise NotFound(f"{_no_vm(_quoted(name for name in names if _bare(name) in missing), machines)}.")
    return [vm for vm in found if not clusters or vm.cluster in clusters]


def _all_known_hosts(wanted: Collection[str], hosts: Sequence[Host]) -> None:
    ids = {host.id for host in hosts}
    _all_known("host", [name for name in wanted if name not in ids], {host.name for host in hosts})


def _all_known(kind: str, wanted: Collection[str], known: Collection[str]) -> None:
    missing = [name for name in wanted if name not in known]
    if missing:
        there = ", ".join(sorted(name for name in known if name)) or "none"
        raise NotFound(f"There is no {kind} {_quoted(missing)} on this hypervisor; it has: {there}.")


def _no_vm(names: str, machines: Sequence[VirtualMachine]) -> str:
    return (
        f"There is no VM {names} among the {len(machines)} VMs that the account sees on this hypervisor, neither by name nor by UUID or "
        "identifier: correct it, or give the account the right to see it"
    )


def _described(vm: VirtualMachine) -> str:
    uuid = vm.instance_uuid or vm.uuid or "unknown"
    where = f"cluster {vm.cluster}" if vm.cluster else "no cluster"
    return f"{vm.id} (UUID {uuid}, folder {vm.folder or '/'}, {where})"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _words(vm: VirtualMachine) -> set[str]:
    return {_bare(word) for word in (vm.name, vm.id, vm.uuid, vm.instance_uuid)}


def _bare(word: str) -> str:
    return word.replace("-", "").lower()
