# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From every VM's virtual disks down to the LUN, volume and array underneath, in three phases.

1. The virtual components: VMs and their disks, image files and LUNs passed through.
2. The storage resources: what the hosts see, and what the arrays know of it.
3. The join. What cannot be resolved stays, as a row with a reason and a way out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor, Wanted
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    UNKNOWN,
    Inventory,
    StorageMapping,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource, ArrayView, view
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.selection import select_vms
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.initiators import Initiators
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.nested import (
    Joined,
    NestedMachines,
    storage_resources,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import Resource, Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.rows import Endpoint, Rows
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.where import EVERYWHERE, Where, holding

MAPPINGS, VIRTUAL_MACHINES, STORAGE_RESOURCES = "mappings", "virtual_machines", "storage_resources"
FORMS = (MAPPINGS, VIRTUAL_MACHINES, STORAGE_RESOURCES)
"""What the map is told as."""
_MOST_NAMED = 10
_UNNAMED = frozenset({"", "localhost"})


@dataclass(frozen=True)
class Form:
    """The map in one form, made anew each time that it is iterated, so that a large one need not be held."""

    make: Callable[[], Iterable[Any]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.make())


@dataclass(frozen=True)
class StorageMap:
    """The map, flat and nested, with what is missing because an array or a host could not be asked."""

    endpoint: Endpoint
    forms: Mapping[str, Form]
    """Those that were to be gathered."""
    warnings: list[str]

    @property
    def mappings(self) -> list[StorageMapping]:
        """The flat form."""
        return list(self.forms.get(MAPPINGS, ()))

    @property
    def virtual_machines(self) -> list[dict[str, Any]]:
        """By VM."""
        return list(self.forms.get(VIRTUAL_MACHINES, ()))

    @property
    def storage_resources(self) -> list[dict[str, Any]]:
        """By what lies under the VMs."""
        return list(self.forms.get(STORAGE_RESOURCES, ()))


def storage_map(
    hypervisor: Hypervisor,
    arrays: Sequence[ArraySource],
    names: Collection[str] = (),
    clusters: Collection[str] = (),
    images: bool = False,
    endpoint: str = "",
    gather: Collection[str] = FORMS,
    where: Where = EVERYWHERE,
) -> StorageMap:
    """Map the selected VMs (all, if none are named), of which `where` tells which part is wanted.

    Raises a `CrossvisorError` when the hypervisor fails or a name is unknown.

    The number of requests does not depend on the number of VMs, unless the details of `images` are asked for where only one request a
    file tells them. An array that does not answer costs its rows their lower half, never the map. Only the forms to `gather` are there.
    `endpoint` is what the user calls the hypervisor, its address if that is empty.
    """
    known_as = Endpoint(hypervisor.type, hypervisor.address, endpoint or hypervisor.address, _now())
    look = _Look(where, where.asked(arrays))
    only = look.homes if where.by_storage and not (names or where.vm) else None
    inventory = hypervisor.inventory(images=images, only=only, at_once=True)
    machines = where.machines(inventory, select_vms(inventory, names, clusters))
    resources = Resources(inventory)
    answers = look.answers(inventory, resources, machines)
    resources.resolve(answers)
    initiators = Initiators(hypervisor, inventory, answers, strangers=STORAGE_RESOURCES in gather)
    whole = [(vm, [resources.disk(vm, disk) for disk in vm.disks]) for vm in machines]
    joined = _part(where, whole, inventory, resources, answers) if where.is_given else whole
    hosts = {host.id: host.name for host in inventory.hosts}
    rows = Rows(known_as, hosts, resources, initiators)
    nested = NestedMachines(known_as, hosts)
    by_storage_alone = bool(where.by_storage) and not where.tells_doubts
    unclear = _unclear(where, whole) if by_storage_alone else []
    lost = [] if by_storage_alone else list(_unreadable(machines, inventory))

    def mappings() -> Iterator[StorageMapping]:
        for vm, disks in joined:
            yield from rows.of(vm, disks)
        yield from (rows.without_disk(vm, resource) for vm, resource in lost)

    def by_resource() -> Iterator[dict[str, Any]]:
        for resource, told in storage_resources(known_as, hosts, inventory, resources, initiators, joined):
            if where.is_under(resource) and (told["virtual_machines"] or not where.by_place):
                yield told

    forms = {
        MAPPINGS: Form(mappings),
        VIRTUAL_MACHINES: Form(lambda: (nested.of(vm, disks) for vm, disks in joined)),
        STORAGE_RESOURCES: Form(by_resource),
    }
    return StorageMap(
        replace(known_as, identity=_identity(inventory)),
        {name: form for name, form in forms.items() if name in gather},
        warnings=[*inventory.warnings, *answers.failures, *answers.warnings(), *initiators.warnings, *unclear],
    )


class _Look:
    """Asks the arrays for no more than is wanted, and for nothing twice."""

    def __init__(self, where: Where, arrays: Sequence[ArraySource]) -> None:
        self._where = where
        self._arrays = arrays
        self._known: ArrayView | None = None
        self._names: set[ScsiName] = set()

    def homes(self, below: Inventory) -> Wanted:
        """The VMs with all disks that can be wanted."""
        resources = Resources(below)
        resources.resolve(self.answers(below, resources, ()))
        return holding(self._where, below, resources)

    def answers(self, inventory: Inventory, resources: Resources, machines: Iterable[VirtualMachine]) -> ArrayView:
        """What the arrays told."""
        names = {*self._luns(resources, machines)} - self._names
        if self._known is None:
            exports = any(store.remote for store in inventory.file_systems) and not self._where.only_luns
            self._known = view(self._arrays, names, exports)
        elif names:
            self._known.join(view(self._arrays, names, with_exports=False))
        self._names |= names
        return self._known

    def _luns(self, resources: Resources, machines: Iterable[VirtualMachine]) -> Collection[ScsiName]:
        if self._where.only_luns:
            return self._where.only_luns
        only_under = self._where.by_place and not self._where.by_storage
        return resources.lun_names_under(machines) if only_under else resources.lun_names()


def _part(where: Where, whole: Joined, inventory: Inventory, resources: Resources, answers: ArrayView) -> Joined:
    """What is asked for of the VMs. Raises `NotFound` when what is asked for is not there at all."""
    seen = (resource for device in inventory.devices for resource in resources.of_device(device))
    stored = (resource for under in resources.on_file_system.values() for resource in under)
    under_disks = (resource for _vm, disks in whole for found in disks for resource in found.under)
    mounts = {mount for _vm, disks in whole for found in disks for mount in found.disk.mounts}
    where.require((*seen, *stored, *under_disks), mounts, answers)
    parts = [(vm, [part for part in map(where.part, disks) if part]) for vm, disks in whole]
    return [(vm, disks) for vm, disks in parts if disks or not (where.by_storage or where.mount)]


def _unclear(where: Where, whole: Joined) -> list[str]:
    """One sentence of the disks of which nobody can tell whether they are on what is asked for, if there are any."""
    disks = [f"{found.disk.label} of {vm.name} ({vm.id})" for vm, disks in whole for found in disks if any(map(where.may_be, found.under))]
    if not disks:
        return []
    many = f"{len(disks)} disks" if len(disks) > 1 else "1 disk"
    more = f" and {len(disks) - _MOST_NAMED} more" if len(disks) > _MOST_NAMED else ""
    sentence = (
        f"Nobody can tell whether {many} may be on what is asked for: {', '.join(disks[:_MOST_NAMED])}{more}. "
        "A map without 'where' tells why, and the way out."
    )
    return [sentence]


def _identity(inventory: Inventory) -> str:
    """Who the endpoint is by its own word; of a host alone its name too, because makers give many boards one UUID.

    A host that nobody has named does not tell who it is.
    """
    host = inventory.hosts[0] if len(inventory.hosts) == 1 else None
    named = host is not None and host.name.partition(".")[0].casefold() not in _UNNAMED
    return inventory.identity or (f"{host.uuid} {host.name}".casefold() if host and host.uuid and named else "")


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unreadable(machines: Iterable[VirtualMachine], inventory: Inventory) -> Iterator[tuple[VirtualMachine, Resource]]:
    """The VMs that show no disk because nobody can tell which they have, and why."""
    doubts = {use.id: use for use in inventory.uses if use.lun is None and not use.in_snapshots}
    for vm in machines:
        doubt = doubts.get(vm.id)
        if doubt and not vm.disks:
            reason = f"the disks of {doubt.kind} {doubt.name} are not known: it {doubt.how}"
            way_out = (
                doubt.way_out or "bring it back (its host, its datastores, the account's right to read it), or remove it if it is gone"
            )
            yield vm, Resource(UNKNOWN, "", reason=reason, way_out=way_out)
