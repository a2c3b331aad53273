# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The estate: endpoints with their hosts and VMs, as they really are, whoever has asked them when.

Nothing here is told to the product; what it gets to see is in `port.py`. What a real host refuses is refused here, in the moment in which
it is asked: a slot that is taken, a configuration that has changed, a device without paths. What no hypervisor refuses is not: a LUN that
another VM has already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import RemoteError
from tests.simulation.array import ArrayInPlace

DEVICE_OK, DEVICE_OFF, DEVICE_LOST = "ok", "off", "lost"
"""What the port says of a device; said here in its words, so that older revisions of the product can be tried, too."""
MULTI_WRITER = "multi_writer"
UNITS = range(1, 7)
"""Of the one controller of a VM; 0 is the disk with its system."""


@dataclass
class Device:
    """A LUN as a host has it, by what it found when it last looked."""

    naa: str
    number: int
    """Under which the host reaches it: what stands behind it can become another LUN."""
    size: int
    state: str = DEVICE_OK


@dataclass
class HostNow:
    """A host."""

    name: str
    cluster: str
    iqn: str
    devices: dict[str, Device] = field(default_factory=dict)
    remembered: set[str] = field(default_factory=set)
    """LUNs that were detached here, whether it still lists them or not. No API lists those that are gone."""

    @property
    def id(self) -> str:
        """As the endpoint calls it."""
        return f"host-{self.name}"


@dataclass
class DiskNow:
    """A LUN as a disk of a VM."""

    naa: str
    unit: int
    sharing: str = ""
    since: int = 0
    """The request after which the VM has it."""
    by: str = ""
    """Who attached it."""
    mounted: bool = False


@dataclass
class VmNow:
    """A VM."""

    name: str
    host: str
    cluster: str
    disks: dict[int, DiskNow] = field(default_factory=dict)
    version: int = 1
    """Of its configuration."""

    @property
    def id(self) -> str:
        """As the endpoint calls it."""
        return f"vm-{self.name}"

    def disk(self, naa: str) -> DiskNow | None:
        """The LUN as a disk."""
        return next((disk for disk in self.disks.values() if disk.naa == naa), None)


@dataclass
class EndpointNow:
    """What one hypervisor endpoint manages. `kind` is the type that it tells; a `hyperv` host numbers its disks, and takes only numbers."""

    name: str
    kind: str
    hosts: dict[str, HostNow]
    vms: dict[str, VmNow]
    datastores: Mapping[str, str] = field(default_factory=dict)
    """LUNs by the name of the datastore on them."""

    @property
    def numbered(self) -> bool:
        """Whether disks are attached by their number on the host."""
        return self.kind == "hyperv"

    def hosts_of(self, vm: VmNow) -> list[HostNow]:
        """The hosts that can run a VM."""
        return [host for host in self.hosts.values() if host.name == vm.host or (vm.cluster and host.cluster == vm.cluster)]

    def host(self, identifier: str) -> HostNow:
        """The host of this id."""
        return next(host for host in self.hosts.values() if host.id == identifier)

    def vm(self, identifier: str) -> VmNow:
        """The VM of this id."""
        return next(vm for vm in self.vms.values() if vm.id == identifier)


@dataclass(frozen=True)
class User:
    """A VM that has a LUN."""

    endpoint: EndpointNow
    vm: VmNow
    disk: DiskNow

    def __str__(self) -> str:
        return f"VM {self.vm.name}"


class Watch(Protocol):
    """Whoever wants to know when a VM gets a LUN or loses it."""

    def attached(self, user: User) -> None:
        """A VM has got a LUN."""

    def detached(self, vm: VmNow, disk: DiskNow) -> None:
        """A LUN was taken from a VM."""


@dataclass
class Estate:
    """All endpoints, over one array."""

    array: ArrayInPlace
    endpoints: dict[str, EndpointNow]
    promises: Watch
    numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    """By host, the disk numbers of the devices on a host that takes only those."""

    def users(self, naa: str) -> Iterator[User]:
        """Every VM that has the LUN."""
        for endpoint in self.endpoints.values():
            for vm in endpoint.vms.values():
                disk = vm.disk(naa)
                if disk:
                    yield User(endpoint, vm, disk)

    def sees(self, host: HostNow, naa: str) -> bool:
        """Whether the array shows the LUN to the host now."""
        return naa in self.array.presented([host.iqn])

    def reaches(self, host: HostNow, naa: str) -> bool:
        """Whether the host could read from the LUN now: it has it in service, under the number at which the array shows it."""
        device = host.devices.get(naa)
        shown = self.array.presented([host.iqn]).get(naa)
        return device is not None and device.state == DEVICE_OK and shown is not None and shown[0] == device.number

    def state(self, host: HostNow, naa: str) -> str:
        """What a host tells of a device that it lists: without a path it is lost, which every host notices by itself."""
        device = host.devices[naa]
        return DEVICE_LOST if device.state == DEVICE_OK and not self.reaches(host, naa) else device.state

    def rescan(self, host: HostNow) -> None:
        """Let a host look for LUNs: what is new appears, switched off where it was detached once; what is gone goes."""
        shown = self.array.presented([host.iqn])
        for naa, (number, size) in shown.items():
            state = DEVICE_OFF if naa in host.remembered else DEVICE_OK
            host.devices[naa] = Device(naa, number, size, state)
        for naa in [naa for naa in host.devices if naa not in shown]:
            self._lose(host, naa)

    def _lose(self, host: HostNow, naa: str) -> None:
        if any(user.vm.host == host.name for user in self.users(naa)):
            host.devices[naa].state = DEVICE_LOST
        else:
            del host.devices[naa]

    def serve_again(self, host: HostNow, naa: str) -> None:
        """Attach a device that was detached administratively."""
        device = host.devices.get(naa)
        host.remembered.discard(naa)
        if device and device.state == DEVICE_OFF:
            device.state = DEVICE_OK

    def switch_off(self, endpoint: EndpointNow, host: HostNow, naa: str) -> None:
        """Detach a device administratively. Raises `RemoteError` while a VM on this host has it."""
        device = host.devices.get(naa)
        if device is None:
            raise RemoteError(f"There is no device {naa} on host {host.name}.", "NotFound")
        users = [vm.name for vm in endpoint.vms.values() if vm.host == host.name and vm.disk(naa)]
        if users or naa in endpoint.datastores.values():
            raise RemoteError(f"The device {naa} is in use on host {host.name} ({', '.join(users) or 'datastore'}).", "ResourceInUse")
        device.state = DEVICE_OFF
        host.remembered.add(naa)

    def forget(self, host: HostNow, naa: str) -> None:
        """Drop the memory that a device was detached. Raises `RemoteError` while the host lists it, or when there is nothing to forget."""
        if naa in host.devices:
            raise RemoteError(f"The device {naa} is listed on host {host.name}.", "InvalidState")
        if naa not in host.remembered:
            raise RemoteError(f"Host {host.name} has no state of {naa}.", "NotFound")
        host.remembered.discard(naa)

    def attach(self, endpoint: EndpointNow, vm: VmNow, disk: DiskNow, version: int) -> None:
        """Give a VM a LUN. Raises `RemoteError` as a real endpoint does; another VM's use of the LUN is none of its reasons."""
        if version != vm.version:
            raise RemoteError(f"VM {vm.name} was reconfigured since its configuration was read.", "ConcurrentAccess")
        if disk.unit in vm.disks:
            raise RemoteError(f"Unit {disk.unit} of VM {vm.name} is taken.", "InvalidDeviceSpec")
        host = endpoint.hosts[vm.host]
        if not self.reaches(host, disk.naa):
            raise RemoteError(f"Host {host.name} has no path to {disk.naa}.", "InvalidDeviceBacking")
        vm.disks[disk.unit] = disk
        vm.version += 1
        self.promises.attached(User(endpoint, vm, disk))

    def detach(self, vm: VmNow, unit: int, version: int) -> None:
        """Take the disk at this unit from a VM. Raises `RemoteError`."""
        if version != vm.version:
            raise RemoteError(f"VM {vm.name} was reconfigured since its configuration was read.", "ConcurrentAccess")
        if unit not in vm.disks:
            raise RemoteError(f"VM {vm.name} has no device at unit {unit}.", "InvalidDeviceSpec")
        disk = vm.disks.pop(unit)
        vm.version += 1
        self.promises.detached(vm, disk)

    def number(self, host: HostNow, naa: str) -> int:
        """The disk's number on a host that numbers disks."""
        known = self.numbers.setdefault(host.name, {})
        for device in host.devices:
            known.setdefault(device, max(known.values(), default=0) + 1)
        return known[naa]

    def at_number(self, host: HostNow, number: int) -> str | None:
        """The LUN that has the number now."""
        return next((naa for naa, known in self.numbers.get(host.name, {}).items() if known == number and naa in host.devices), None)

    def renumber(self, host: HostNow) -> None:
        """Number the disks of a host the other way round, as a boot may do."""
        present = sorted(host.devices)
        for naa, number in zip(present, reversed([self.number(host, naa) for naa in present])):
            self.numbers[host.name][naa] = number

    def move(self, endpoint: EndpointNow, vm: VmNow, host: HostNow) -> bool:
        """Move a VM to another host of its cluster, if that reaches all of its LUNs; tell whether it moved."""
        if not all(self.reaches(host, disk.naa) for disk in vm.disks.values()):
            return False
        vm.host = host.name
        vm.version += 1
        return True


def is_shared(users: list[User]) -> bool:
    """Whether everybody who has a LUN was given it to be shared."""
    return all(user.disk.sharing == MULTI_WRITER for user in users)
