# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nested forms of the map: by VM, and by storage resource."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    DEVICE_OK,
    UNKNOWN,
    Inventory,
    ScsiDevice,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.initiators import Initiators
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.resources import Disk, File, Resource, Resources
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.storage_map.rows import Endpoint, place_of

_DEGRADED = "degraded"

Joined = Sequence[tuple[VirtualMachine, Sequence[Disk]]]


class NestedMachines:
    """VMs with their disks and what lies under them, which many disks share."""

    def __init__(self, endpoint: Endpoint, hosts: Mapping[str, str]) -> None:
        self._endpoint = endpoint.columns
        self._hosts = hosts
        self._storage: dict[int, dict[str, Any]] = {}

    def of(self, vm: VirtualMachine, disks: Iterable[Disk]) -> dict[str, Any]:
        """A VM."""
        return {
            **self._endpoint,
            "name": vm.name,
            "id": vm.id,
            "uuid": vm.uuid,
            "cluster": vm.cluster,
            "host": self._hosts.get(vm.host, ""),
            "folder": vm.folder,
            "power": vm.power,
            "disks": [self._disk(found) for found in disks],
        }

    def _disk(self, found: Disk) -> dict[str, Any]:
        disk = found.disk
        return {
            "disk": disk.label,
            "kind": disk.kind,
            "path": disk.path,
            "size_bytes": disk.size_bytes,
            "bus": disk.bus,
            "controller": place_of(disk),
            "unit": disk.unit,
            "thin": disk.thin,
            "mounts": list(disk.mounts),
            "storage": self._under(found.files[0]),
            "parents": [{"path": file.path, "storage": self._under(file)} for file in found.files[1:]],
        }

    def _under(self, file: File) -> list[dict[str, Any]]:
        return [self._storage.get(id(resource)) or self._remember(resource) for resource in file.told]

    def _remember(self, resource: Resource) -> dict[str, Any]:
        self._storage[id(resource)] = {"kind": resource.kind, **resource.columns}
        return self._storage[id(resource)]


def storage_resources(
    endpoint: Endpoint, hosts: Mapping[str, str], inventory: Inventory, resources: Resources, initiators: Initiators, joined: Joined
) -> list[tuple[Resource, dict[str, Any]]]:
    """Every LUN, local disk and export, also those under no disk, with what uses it."""
    everything: dict[str, Resource] = {}
    seen_by: defaultdict[str, list[ScsiDevice]] = defaultdict(list)
    for device in inventory.devices:
        for resource in resources.of_device(device):
            everything.setdefault(resource.key, resource)
            seen_by[resource.key].append(device)
    used_by: defaultdict[str, list[str]] = defaultdict(list)
    for vm, disks in joined:
        under = {resource.key: resource for found in disks for resource in found.under if resource.kind != UNKNOWN}
        everything.update(under)
        for key in under:
            used_by[key].append(vm.name)
    stores: defaultdict[str, set[str]] = defaultdict(set)
    for store in inventory.file_systems:
        for resource in resources.on_file_system[store.id]:
            if resource.kind != UNKNOWN:
                everything[resource.key] = resource
                stores[resource.key].add(store.name)
    return [
        (
            resource,
            {
                **endpoint.columns,
                "kind": resource.kind,
                **resource.columns,
                **_seen(seen_by[key], resource, hosts),
                "strangers": initiators.strangers(resource.lun),
                "file_systems": sorted(stores[key]),
                "virtual_machines": sorted(used_by[key]),
            },
        )
        for key, resource in sorted(everything.items())
    ]


def _seen(devices: Sequence[ScsiDevice], resource: Resource, hosts: Mapping[str, str]) -> dict[str, Any]:
    first = devices[0] if devices else None
    return {
        "vendor": first.vendor if first else "",
        "product": first.product if first else "",
        "size_bytes": first.size_bytes if first else (resource.lun.size_bytes if resource.lun else 0),
        "hosts": sorted({hosts.get(device.host, device.host) for device in devices}),
        "states": sorted({_DEGRADED if device.degraded and device.state == DEVICE_OK else device.state for device in devices}),
        "paths": [
            {"host": hosts.get(device.host, device.host), "live": device.paths_live, "dead": device.paths_dead}
            for device in sorted(devices, key=lambda device: hosts.get(device.host, device.host))
            if device.paths_live is not None
        ],
    }
