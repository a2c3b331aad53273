# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The physical initiators of the hosts that a LUN has to reach."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils.initiator_name import initiator_kind, normalize_initiator
from ansible_collections.crossvisor.san.plugins.module_utils.model import Host
from ansible_collections.crossvisor.san.plugins.module_utils.services.selection import hosts_that_can_run, pick_hosts, pick_vm


@dataclass(frozen=True)
class HostSelection:
    """Which hosts; empty means all. A VM stands for every host that can run it."""

    hosts: Collection[str] = ()
    clusters: Collection[str] = ()
    vm: str | None = None


def hosts_with_hbas(hypervisor: Hypervisor, selection: HostSelection) -> list[Host]:
    """The selected hosts with their HBAs. Raises a `CrossvisorError`."""
    found = pick_hosts(hypervisor.hosts(), selection.hosts, selection.clusters)
    if selection.vm is None:
        return found
    vm = pick_vm(hypervisor.inventory(devices=False).virtual_machines, selection.vm)
    return hosts_that_can_run(vm, found)


def of_kinds(hosts: Sequence[Host], kinds: Collection[str]) -> list[Host]:
    """The same hosts with only the HBAs of these kinds; an empty collection means all."""
    return [replace(host, hbas=[hba for hba in host.hbas if not kinds or hba.kind in kinds]) for host in hosts]


def initiators(hosts: Sequence[Host]) -> dict[str, list[str]]:
    """The initiator names of the hosts in the array's spelling, sorted, by protocol (`fc`, `iscsi`)."""
    names = {normalize_initiator(hba.initiator) for host in hosts for hba in host.hbas if hba.initiator}
    return {protocol: sorted(name for name in names if initiator_kind(name) == protocol) for protocol in ("fc", "iscsi")}
