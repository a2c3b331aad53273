# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The flat form of the map: one row for each virtual disk on one LUN, export or local disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import StorageMapping, VirtualDisk, VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.initiators import Initiators
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import Disk, Resource, Resources

NO_DISK = VirtualDisk(key="", label="", kind="")


@dataclass(frozen=True)
class Endpoint:
    """The hypervisor that was read."""

    type: str
    address: str
    name: str
    """What the user calls it."""
    observed: str
    """When it was read, ISO 8601 in UTC."""
    identity: str = ""
    """What it says of itself who it is, whoever asks under whatever name; empty where it does not tell."""

    @property
    def columns(self) -> dict[str, Any]:
        """What every row, VM and resource tells of it."""
        return {"hypervisor_type": self.type, "hypervisor": self.address, "endpoint": self.name, "observed": self.observed}


class Rows:
    """Makes rows out of parts that many of them share."""

    def __init__(self, endpoint: Endpoint, hosts: Mapping[str, str], resources: Resources, initiators: Initiators) -> None:
        """`hosts`: `Host.id` → name."""
        self._endpoint = endpoint.columns
        self._hosts = hosts
        self._resources = resources
        self._initiators = initiators
        self._seen: dict[tuple[int, str], dict[str, Any]] = {}

    def of(self, vm: VirtualMachine, disks: Sequence[Disk]) -> Iterator[StorageMapping]:
        """The rows of a VM's disks."""
        of_vm = self._of_vm(vm)
        for found in disks:
            of_disk = {**of_vm, **_of_disk(found.disk)}
            for number, file in enumerate(found.files):
                parts = shares(0 if number else found.disk.size_bytes, file.under)
                for resource, share in zip(file.under, parts):
                    if not file.tells(resource):
                        continue
                    row = {**of_disk, "path": file.path, "share_bytes": share, **self._of_resource(resource, vm.host)}
                    yield cast(StorageMapping, row)

    def without_disk(self, vm: VirtualMachine, resource: Resource) -> StorageMapping:
        """The one row of a VM whose disks are not known."""
        row = {**self._of_vm(vm), **_of_disk(NO_DISK), "path": "", "share_bytes": 0, **self._of_resource(resource, vm.host)}
        return cast(StorageMapping, row)

    def _of_vm(self, vm: VirtualMachine) -> dict[str, Any]:
        return {**self._endpoint, "cluster": vm.cluster, "host": self._hosts.get(vm.host, ""), "vm_name": vm.name, "vm_id": vm.id}

    def _of_resource(self, resource: Resource, host: str) -> dict[str, Any]:
        """What a resource is to a host, made once; a resource lives as long as the map is made, so that its id stands for it."""
        known = self._seen.get((id(resource), host))
        if known is None:
            live, dead = self._resources.paths(resource.name, host)
            lun_id = self._initiators.number(resource.lun, host)
            known = {**resource.columns, "lun_id": lun_id, "paths_live": live, "paths_dead": dead}
            self._seen[id(resource), host] = known
        return known


def shares(size: int, under: Sequence[Resource]) -> list[int]:
    """The bytes of a disk that each of the resources under it stands for, of which there is one at least.

    Where a disk lies is not told extent by extent, so each LUN gets an equal part and the first the rest; a LUN that several arrays have
    under one name is counted at the first.
    """
    first: dict[str, int] = {}
    for number, resource in enumerate(under):
        first.setdefault(str(resource.name or resource.key), number)
    part, rest = divmod(size, len(first))
    counted = set(first.values())
    return [(part + (0 if number else rest)) if number in counted else 0 for number in range(len(under))]


def place_of(disk: VirtualDisk) -> str:
    """The controller of a disk: `SCSI 0`; empty where it is not known."""
    return disk.family if disk.bus is None else f"{disk.family} {disk.bus}".lstrip()


def _of_disk(disk: VirtualDisk) -> dict[str, Any]:
    return {
        "disk": disk.label,
        "kind": disk.kind,
        "size_bytes": disk.size_bytes,
        "controller": place_of(disk),
        "unit": disk.unit,
        "thin": disk.thin,
        "mounts": list(disk.mounts),
    }
