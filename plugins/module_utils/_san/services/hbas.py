# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The physical initiators of the hosts that a LUN has to reach."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.detection.host import local_host
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import initiator_kind, normalize_initiator
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Hba, Host
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.plain import plain
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import hosts_that_can_run, pick_hosts, pick_vm


@dataclass(frozen=True)
class HostSelection:
    """Which hosts; empty means all. A VM stands for every host that can run it."""

    hosts: Collection[str] = ()
    clusters: Collection[str] = ()
    vm: str | None = None


def hosts_of_endpoint(hypervisor: Hypervisor, selection: HostSelection) -> list[Host]:
    """The selected hosts with their HBAs. Raises a `CrossvisorError`."""
    found = pick_hosts(hypervisor.hosts(at_once=True), selection.hosts, selection.clusters)
    if selection.vm is None:
        return found
    inventory = hypervisor.inventory(devices=False)
    vm = pick_vm(inventory.virtual_machines, selection.vm, inventory.silent)
    return hosts_that_can_run(vm, found)


def this_machine(selection: HostSelection) -> list[Host]:
    """The machine on which this runs. Raises `InvalidInput` when hosts of an endpoint were selected."""
    if selection.hosts or selection.clusters or selection.vm:
        raise InvalidInput(
            "hosts, clusters and vm select at an endpoint, but none is set: "
            "give hypervisor.hostname, or leave them out to read this machine."
        )
    return [local_host()]


def report(hosts: Sequence[Host], kinds: Collection[str]) -> dict[str, Any]:
    """The hosts with their adapters of these kinds (all, if there are none), and the initiators, ready to be returned."""
    listed = [replace(host, hbas=[hba for hba in host.hbas if not kinds or hba.kind in kinds]) for host in hosts]
    by_protocol = initiators(listed)
    return {
        "hosts": [_host(host) for host in listed],
        "initiators": sorted(name for names in by_protocol.values() for name in names),
        "initiators_by_protocol": by_protocol,
        "warnings": [warning for host in hosts for warning in host.warnings],
    }


def initiators(hosts: Sequence[Host]) -> dict[str, list[str]]:
    """The initiator names of the hosts in the array's spelling, sorted, by protocol (`fc`, `iscsi`).

    A name that is no WWPN and no iSCSI name (an unset port, a foreign spelling) is left out: no array would take it.
    """
    names = {name for host in hosts for hba in host.hbas if (name := _initiator(hba))}
    return {protocol: sorted(name for name in names if initiator_kind(name) == protocol) for protocol in ("fc", "iscsi")}


def _initiator(hba: Hba) -> str | None:
    try:
        return normalize_initiator(hba.initiator or "")
    except InvalidInput:
        return None


def _host(host: Host) -> dict[str, Any]:
    told = {name: value for name, value in plain(host).items() if name != "warnings"}
    return {**told, "hbas": [_hba(hba) for hba in host.hbas]}


def _hba(hba: Hba) -> dict[str, Any]:
    return {
        **plain(hba),
        "initiator": _initiator(hba),
        "paths": [
            {"naa": plain(path.name), "device": path.device, "target": path.target, "state": path.state, "lun_id": path.lun_id}
            for path in hba.paths
        ],
    }
