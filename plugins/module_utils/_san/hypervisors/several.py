# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several endpoints as one hypervisor, for hosts that see the same LUNs and that no one endpoint manages, such as two KVM hosts.

Who uses a LUN is asked of all of them. One that does not answer is a host that is unreachable, of which nobody can tell anything.
Endpoints of one platform that are one host each are hosts between which VMs may move, so that each of them has to see a LUN before a VM
gets it. A VM that has moved is one VM: it is changed where it runs, and what other hosts have kept of its definition belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed, Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, GuestAgent, Homes, Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    POWERED_OFF,
    UNREACHABLE,
    About,
    Attachment,
    BlockExtent,
    DiskBlocks,
    GuestBlock,
    Host,
    Inventory,
    ReadLun,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

T = TypeVar("T")


@dataclass(frozen=True)
class Endpoint:
    """A hypervisor that was named, and how to log in to it."""

    name: str
    """As the user named it."""
    open: Callable[[], Hypervisor]


@dataclass(frozen=True)
class _Member:
    """An endpoint that answered, and its hosts."""

    hypervisor: Hypervisor
    hosts: Sequence[Host]

    def among(self, hosts: Iterable[str]) -> list[str]:
        """Those of the hosts (`Host.id`) that are this endpoint's."""
        own = {host.id for host in self.hosts}
        return [host for host in hosts if host in own]


@dataclass(frozen=True)
class _Home:
    """A VM as one endpoint has it."""

    hypervisor: Hypervisor
    vm: VirtualMachine
    host: str
    """Name of the host that has it."""

    @property
    def active(self) -> bool:
        return self.vm.power != POWERED_OFF


@dataclass
class Several:
    """Endpoints as one. Implements `hypervisors.base.Hypervisor`; what is done goes to the endpoint that has the VM, or the host.

    Only that nobody answers makes an endpoint silent, for as long as this lasts; a login that is refused is told at once.
    """

    endpoints: Sequence[Endpoint]
    _opened: dict[str, Hypervisor] = field(default_factory=dict)
    _silent: dict[str, str] = field(default_factory=dict)
    """Name of the endpoint → why it does not answer."""
    _members: list[_Member] = field(default_factory=list)
    _homes: dict[str, list[_Home]] = field(default_factory=dict)
    """`VirtualMachine.id` → where it is, first where it runs."""

    @property
    def type(self) -> str:
        return self._first().type

    @property
    def address(self) -> str:
        return ", ".join(endpoint.name for endpoint in self.endpoints)

    def about(self) -> About:
        """Who the first is that answers."""
        return self._first().about()

    def hosts(self, at_once: bool = False) -> list[Host]:
        found = self._ask(lambda one: one.hosts(at_once))
        self._members = _members(found)
        return [*chain.from_iterable(member.hosts for member in self._members), *self._unreachable()]

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        found = self._ask(lambda one: one.inventory(devices, images, only, at_once))
        self._members = _members([(hypervisor, inventory.hosts) for hypervisor, inventory in found])
        kept = {id(member.hypervisor) for member in self._members}
        read = [(hypervisor, inventory) for hypervisor, inventory in found if id(hypervisor) in kept]
        again = [(hypervisor, inventory) for hypervisor, inventory in found if id(hypervisor) not in kept]
        _refuse_hidden([inventory for _hypervisor, inventory in read], again)
        self._homes = _homes(read)
        parts = [inventory for _hypervisor, inventory in read]
        return Inventory(
            hosts=[*chain.from_iterable(part.hosts for part in parts), *self._unreachable()],
            virtual_machines=[vm for homes in self._homes.values() for vm in self._with_peers(_one_or_all(homes), homes[0].hypervisor)],
            file_systems=[*chain.from_iterable(part.file_systems for part in parts)],
            devices=[*chain.from_iterable(part.devices for part in parts)],
            cluster_disks=[*chain.from_iterable(part.cluster_disks for part in parts)],
            uses=[*chain.from_iterable(part.uses for part in parts), *self._doubts()],
            warnings=[
                *chain.from_iterable(part.warnings for part in parts),
                *chain.from_iterable(host.warnings for host in self._unreachable()),
                *(_told_again(hypervisor, inventory.hosts) for hypervisor, inventory in again),
            ],
            silent=list(self._silent),
        )

    def devices(self, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
        return [device for member, own in self._having(hosts) for device in member.devices(own, name)]

    def rescan(self, hosts: Sequence[str], name: ScsiName) -> None:
        for member, own in self._having(hosts):
            member.rescan(own, name)

    def plan_reach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        first = self._homes[vm.id][0]
        return first.hypervisor.plan_reach(first.vm, wish)

    def plan_attach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        first, *others = self._homes[vm.id]
        if others and not first.active:
            names = ", ".join(home.host for home in (first, *others))
            raise Refused(
                f"VM {vm.name} runs nowhere and is defined on {names}, so that nobody can tell where it will start: start it, or "
                "undefine it on all of these hosts but one."
            )
        return first.hypervisor.plan_attach(first.vm, wish)

    def plan_detach(self, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
        """Where it runs, and from every definition of it that other hosts have kept."""
        first, *others = self._homes[vm.id]
        plan = first.hypervisor.plan_detach(first.vm, name, timeout)
        for home in others:
            kept = home.hypervisor.plan_detach(home.vm, name, timeout)
            for step in kept.steps:
                step.title = f"{step.title} as it is defined on host {home.host}"
            plan = plan + kept
        return plan

    def attachment(self, vm: VirtualMachine, name: ScsiName) -> Attachment | None:
        first = self._homes[vm.id][0]
        return first.hypervisor.attachment(first.vm, name)

    def plan_release(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        return _sum(member.plan_release(own, name) for member, own in self._having(hosts))

    def in_service(self, hosts: Sequence[str], name: ScsiName) -> list[Use]:
        return [use for member, own in self._having(hosts) for use in member.in_service(own, name)]

    def plan_forget(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        return _sum(member.plan_forget(own, name) for member, own in self._having(hosts))

    def agent(self, vm: VirtualMachine) -> GuestAgent:
        """That of the guest where it runs."""
        first = self._homes[vm.id][0]
        return first.hypervisor.agent(first.vm)

    def disk_blocks(self, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
        """Each endpoint is asked once, for all of its VMs."""
        found: dict[int, DiskBlocks] = {}
        owners = [self._homes[vm.id][0].hypervisor for vm, _disk in wanted]
        for owner in {id(owner): owner for owner in owners}.values():
            own = [number for number, one in enumerate(owners) if one is owner]
            found.update(zip(own, owner.disk_blocks([wanted[number] for number in own])))
        return [found[number] for number in range(len(wanted))]

    def verify_blocks(self, vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
        return self._homes[vm.id][0].hypervisor.verify_blocks(vm, disk, extents, read_lun)

    def read_disk(self, vm: VirtualMachine, disk: VirtualDisk, offset: int, length: int) -> bytes:
        return self._homes[vm.id][0].hypervisor.read_disk(vm, disk, offset, length)

    def guest_block(self, vm: VirtualMachine, disk: VirtualDisk, partition: tuple[int, int], offset: int) -> GuestBlock:
        return self._homes[vm.id][0].hypervisor.guest_block(vm, disk, partition, offset)

    def close(self) -> None:
        for hypervisor in self._opened.values():
            hypervisor.close()

    def _first(self) -> Hypervisor:
        return self._ask(lambda one: one)[0][0]

    def _ask(self, question: Callable[[Hypervisor], T]) -> list[tuple[Hypervisor, T]]:
        """What each endpoint answers that does. Raises `ConnectionFailed` when none does, and whatever else one of them raises."""
        answers: list[tuple[Hypervisor, T]] = []
        for endpoint in self.endpoints:
            if endpoint.name in self._silent:
                continue
            try:
                hypervisor = self._open(endpoint)
                answers.append((hypervisor, question(hypervisor)))
            except ConnectionFailed as failure:
                self._silent[endpoint.name] = str(failure).rstrip(".")
        if not answers:
            raise ConnectionFailed("; ".join(self._silent.values()))
        return answers

    def _open(self, endpoint: Endpoint) -> Hypervisor:
        if endpoint.name not in self._opened:
            self._opened[endpoint.name] = endpoint.open()
        return self._opened[endpoint.name]

    def _having(self, hosts: Sequence[str]) -> list[tuple[Hypervisor, list[str]]]:
        """The endpoints of these hosts, and which of them each has."""
        return [(member.hypervisor, own) for member in self._members if (own := member.among(hosts))]

    def _with_peers(self, machines: Sequence[VirtualMachine], hypervisor: Hypervisor) -> list[VirtualMachine]:
        """The VMs of an endpoint that is one host, which may move to the others that are, and to what does not answer."""
        alone = [member for member in self._members if len(member.hosts) == 1 and member.hypervisor.type == hypervisor.type]
        if all(member.hypervisor is not hypervisor for member in alone):
            return [*machines]
        hosts = [*(member.hosts[0].id for member in alone), *self._silent]
        return [replace(vm, peers=[host for host in hosts if host != vm.host]) for vm in machines]

    def _doubts(self) -> list[Use]:
        """What does not answer may have any LUN."""
        return [Use("host", name, "", _unasked(why)) for name, why in self._silent.items()]

    def _unreachable(self) -> list[Host]:
        """What does not answer, as hosts that go by the endpoint's name, because nobody knows theirs."""
        return [Host(name, name, state=UNREACHABLE, warnings=[f"Host {name} {_unasked(why)}."]) for name, why in self._silent.items()]


def _unasked(why: str) -> str:
    return f"could not be asked ({why})"


def _members(found: Iterable[tuple[Hypervisor, Sequence[Host]]]) -> list[_Member]:
    """The endpoints, without those that only show again what another shows.

    Raises `Refused` when different hosts go by one identifier, because nobody could tell them apart.
    """
    members: list[_Member] = []
    known: dict[str, Host] = {}
    for hypervisor, hosts in found:
        for host in hosts:
            if host.id in known and _is_another(host, known[host.id]):
                raise _same_identifier(known[host.id], host)
        if hosts and all(host.id in known for host in hosts):
            continue
        known.update({host.id: host for host in hosts})
        members.append(_Member(hypervisor, hosts))
    return members


def _is_another(host: Host, known: Host) -> bool:
    """Whether a host is not the one that it says to be: by its name, or by its initiators, where both tell any."""
    own, others = ({hba.initiator.lower() for hba in one.hbas if hba.initiator} for one in (host, known))
    return host.name != known.name or bool(own and others and not own & others)


def _same_identifier(known: Host, host: Host) -> Refused:
    other = f"another host {known.name}" if host.name == known.name else f"host {known.name}"
    return Refused(
        f"Host {host.name} and {other} have the same identifier, {host.id}: give each KVM host one of its own (host_uuid in "
        "libvirtd.conf), or name these endpoints in tasks of their own."
    )


def _refuse_hidden(kept: Iterable[Inventory], again: Iterable[tuple[Hypervisor, Inventory]]) -> None:
    """Raise `Refused` when an endpoint that only seems to show again what another shows has something that no other has."""
    told = {evidence for inventory in kept for evidence in _evidence(inventory)}
    for hypervisor, inventory in again:
        more = next((evidence for evidence in _evidence(inventory) if evidence not in told), None)
        if more:
            host = inventory.hosts[0]
            raise Refused(
                f"Endpoint {hypervisor.address} says to be host {host.name} ({host.id}), as another endpoint does, and has "
                f"{' '.join(more)}, which that does not have: name the host once, or give each KVM host an identifier of its own "
                "(host_uuid in libvirtd.conf)."
            )


def _evidence(inventory: Inventory) -> list[tuple[str, str]]:
    """What an endpoint has by which LUNs are in use, each as a kind and a name."""
    machines = [("VM", vm.name) for vm in inventory.virtual_machines]
    luns = [("LUN", str(disk.name)) for vm in inventory.virtual_machines for disk in vm.disks if disk.name]
    used = [("LUN", str(use.lun)) for use in inventory.uses if use.lun]
    return [*machines, *luns, *used, *(("device", extent) for store in inventory.file_systems for extent in store.extents)]


def _told_again(hypervisor: Hypervisor, hosts: Sequence[Host]) -> str:
    names = ", ".join(host.name for host in hosts)
    return f"Endpoint {hypervisor.address} shows host {names}, which another endpoint shows already, and is left out: name it once."


def _homes(read: Iterable[tuple[Hypervisor, Inventory]]) -> dict[str, list[_Home]]:
    """`VirtualMachine.id` → where it is, first where it runs. Raises `Refused` when different VMs go by one identifier."""
    found: dict[str, list[_Home]] = {}
    for hypervisor, inventory in read:
        names = {host.id: host.name for host in inventory.hosts}
        for vm in inventory.virtual_machines:
            homes = found.setdefault(vm.id, [])
            if any(home.vm.uuid != vm.uuid or home.hypervisor.type != hypervisor.type for home in homes):
                raise Refused(
                    f"VM {homes[0].vm.name} at {homes[0].hypervisor.address} and VM {vm.name} at {hypervisor.address} have the same "
                    f"identifier, {vm.id}, so that they cannot be told apart: name these endpoints in tasks of their own."
                )
            homes.append(_Home(hypervisor, vm, names.get(vm.host, vm.host)))
    return {vm: sorted(homes, key=lambda home: not home.active) for vm, homes in found.items()}


def _one_or_all(homes: Sequence[_Home]) -> list[VirtualMachine]:
    """The VM once, with the LUNs of its other definitions; but each that runs, where several do."""
    first, *others = homes
    if any(home.active for home in others):
        return [home.vm for home in homes]
    own = {disk.name for disk in first.vm.disks}
    kept = [disk for home in others for disk in home.vm.disks if disk.name and disk.name not in own]
    return [replace(first.vm, disks=[*first.vm.disks, *kept])] if kept else [first.vm]


def _sum(plans: Iterable[Plan]) -> Plan:
    whole = Plan()
    for plan in plans:
        whole = whole + plan
    return whole
