# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From every VM's virtual disks down to the LUN, volume and array underneath, in three phases.

1. The virtual components: VMs and their disks, image files and LUNs passed through.
2. The storage resources: what the hosts see, and what the arrays know of it.
3. The join. What cannot be resolved stays, as a row with a reason and a way out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    UNKNOWN,
    Inventory,
    StorageMapping,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource, view
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import select_vms
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.initiators import Initiators
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.nested import NestedMachines, storage_resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import Resource, Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.rows import Endpoint, Rows

MAPPINGS, VIRTUAL_MACHINES, STORAGE_RESOURCES = "mappings", "virtual_machines", "storage_resources"
FORMS = (MAPPINGS, VIRTUAL_MACHINES, STORAGE_RESOURCES)
"""What the map is told as."""


@dataclass(frozen=True)
class StorageMap:
    """The map, flat and nested, with what is missing because an array or a host could not be asked."""

    mappings: list[StorageMapping]
    virtual_machines: list[dict[str, Any]]
    storage_resources: list[dict[str, Any]]
    warnings: list[str] = field(default_factory=list)


def storage_map(
    hypervisor: Hypervisor,
    arrays: Sequence[ArraySource],
    names: Collection[str] = (),
    clusters: Collection[str] = (),
    images: bool = False,
    endpoint: str = "",
    gather: Collection[str] = FORMS,
) -> StorageMap:
    """Map the selected VMs (all, if none are named). Raises a `CrossvisorError` when the hypervisor fails or a name is unknown.

    The number of requests does not depend on the number of VMs, unless the details of `images` are asked for where only one request a
    file tells them. An array that does not answer costs its rows their lower half, never the map. Of the forms only those to `gather` are
    made; the others are empty. `endpoint` is what the user calls the hypervisor, its address if that is empty.
    """
    known_as = Endpoint(hypervisor.type, hypervisor.address, endpoint or hypervisor.address, _now())
    inventory = hypervisor.inventory(images=images)
    machines = select_vms(inventory, names, clusters)
    resources = Resources(inventory)
    answers = view(arrays, resources.lun_names(), any(store.remote for store in inventory.file_systems))
    resources.resolve(answers)
    initiators = Initiators(hypervisor, inventory, answers, strangers=STORAGE_RESOURCES in gather)
    joined = [(vm, [resources.disk(vm, disk) for disk in vm.disks]) for vm in machines]
    hosts = {host.id: host.name for host in inventory.hosts}
    rows = Rows(known_as, hosts, resources, initiators)
    nested = NestedMachines(known_as, hosts)
    lost = list(_unreadable(machines, inventory)) if MAPPINGS in gather else []
    return StorageMap(
        mappings=[
            *(row for vm, disks in joined if MAPPINGS in gather for row in rows.of(vm, disks)),
            *(rows.without_disk(vm, resource) for vm, resource in lost),
        ],
        virtual_machines=[nested.of(vm, disks) for vm, disks in joined if VIRTUAL_MACHINES in gather],
        storage_resources=(
            [told for _resource, told in storage_resources(known_as, hosts, inventory, resources, initiators, joined)]
            if STORAGE_RESOURCES in gather
            else []
        ),
        warnings=[*inventory.warnings, *answers.failures, *answers.warnings(), *initiators.warnings],
    )


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unreadable(machines: Iterable[VirtualMachine], inventory: Inventory) -> Iterator[tuple[VirtualMachine, Resource]]:
    """The VMs that show no disk because nobody can tell which they have, and why."""
    doubts = {use.id: use for use in inventory.uses if use.lun is None}
    for vm in machines:
        doubt = doubts.get(vm.id)
        if doubt and not vm.disks:
            reason = f"the disks of {doubt.kind} {doubt.name} are not known: it {doubt.how}"
            way_out = (
                doubt.way_out or "bring it back (its host, its datastores, the account's right to read it), or remove it if it is gone"
            )
            yield vm, Resource(UNKNOWN, "", reason=reason, way_out=way_out)
