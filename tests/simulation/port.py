# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the product gets to see of the estate: the port of a hypervisor, each question and each change a request of its own.

Steps do what the backends' steps do: they look at the VM again before they change it, against the version of its configuration that they
have seen, and read back what came of it. Names of refusals are vSphere's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san import errors
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    ConnectionFailed,
    CrossvisorError,
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import GuestAgent, Homes
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    About,
    Attachment,
    Cluster,
    Controller,
    FileSystem,
    Hba,
    Host,
    Inventory,
    ScsiDevice,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.simulation.estate import DEVICE_OFF, DEVICE_OK, UNITS, DiskNow, EndpointNow, Estate, HostNow, VmNow
from tests.simulation.stage import Stage

T = TypeVar("T")
GONE = "not there"
OVERTAKEN: type[CrossvisorError] = getattr(errors, "Overtaken", Refused)
"""What a backend says when a VM has changed since the plan; revisions from before there was a word for it refuse."""


@dataclass
class Port:
    """A login at an endpoint. Implements `hypervisors.base.Hypervisor`."""

    stage: Stage
    estate: Estate
    endpoint: EndpointNow
    looked: Callable[[EndpointNow], None]
    """Called whenever somebody has read who uses what here."""

    @property
    def type(self) -> str:
        """The backend's name."""
        return self.endpoint.kind

    @property
    def address(self) -> str:
        """The endpoint's name."""
        return self.endpoint.name

    def about(self) -> About:
        """Who the endpoint is."""
        clusters = [Cluster(name) for name in sorted({host.cluster for host in self.endpoint.hosts.values()} - {""})]
        return self.read("about", lambda: About(self.type, "Simulated", "1", self.address, clusters=clusters))

    def hosts(self, at_once: bool = False) -> list[Host]:
        """All hosts with their HBAs."""
        return self.read("hosts", lambda: [_host(host, with_hbas=True) for host in self.endpoint.hosts.values()])

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        """Everything there is."""
        return self.read("inventory", lambda: self._inventory(devices))

    def devices(self, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
        """The LUN as these hosts have it."""
        return self.read(
            f"devices {_short(name)}", lambda: [device for host in hosts for device in self._devices(host) if device.name == name]
        )

    def rescan(self, hosts: Sequence[str], name: ScsiName) -> None:
        """Rescan each host, then take the LUN back into service where it was detached."""
        for identifier in hosts:
            host = self.endpoint.host(identifier)
            self.change(f"rescan {host.name}", partial(self.estate.rescan, host))
        for device in self.devices(hosts, name):
            if device.state == DEVICE_OFF:
                host = self.endpoint.host(device.host)
                self.change(f"attach device {_short(name)} on {host.name}", partial(self.estate.serve_again, host, name.naa))

    def plan_reach(self, vm: VirtualMachine, wish: Any) -> Plan:
        """Nothing: a host reaches what the array shows it."""
        return Plan()

    def plan_attach(self, *arguments: Any) -> Plan:
        """One step. Takes a VM and a wish, or only the wish of before there was a `DiskWish`, which names the VM."""
        vm, wish = arguments if len(arguments) == 2 else (arguments[0].vm, arguments[0])
        now = self.observe(vm.id)
        if now.disk(wish.name.naa):
            return Plan()
        return Plan([AttachDisk(self, vm.id, wish.name, _free_unit(now), wish.sharing or "")])

    def plan_detach(self, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
        """One step, if the VM has the LUN."""
        disk = self.observe(vm.id).disk(name.naa)
        return Plan([DetachDisk(self, vm.id, name, disk)] if disk else [])

    def attachment(self, vm: VirtualMachine, name: ScsiName) -> Attachment | None:
        """The LUN as a disk of the VM, now."""
        now = self.observe(vm.id)
        disk = now.disk(name.naa)
        controller = Controller("1000", "pvscsi", 0, [0, *now.disks])
        return Attachment(_disk(disk), controller, f"SCSI(0:{disk.unit})") if disk else None

    def plan_release(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        """A step for each host that has the LUN in service."""
        found = {device.host: device.state for device in self.devices(hosts, name)}
        return Plan([DetachDevice(self, self.endpoint.host(host), name, found.get(host, GONE)) for host in hosts])

    def in_service(self, hosts: Sequence[str], name: ScsiName) -> list[Use]:
        """Not simulated: hosts lose a LUN without harm."""
        return []

    def plan_forget(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        """One rescan of the hosts that list the LUN, and a step for each host, which may remember it all the same."""
        found = {device.host: device.state for device in self.devices(hosts, name)}
        listed = [self.endpoint.host(host) for host in hosts if host in found]
        in_service = [host.name for host in listed if found[host.id] == DEVICE_OK]
        return Plan([NoticeLoss(self, listed, in_service, name), *(ForgetDevice(self, self.endpoint.host(host), name) for host in hosts)])

    def agent(self, vm: VirtualMachine) -> GuestAgent:
        """Not simulated."""
        raise Refused(f"VM {vm.name} has no agent")

    def disk_blocks(self, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[Any]:
        """Not simulated: nothing that changes a LUN asks."""
        raise NotImplementedError

    def verify_blocks(self, vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[Any], read_lun: Any) -> list[str]:
        """Not simulated: nothing that changes a LUN asks."""
        raise NotImplementedError

    def read_disk(self, vm: VirtualMachine, disk: VirtualDisk, offset: int, length: int) -> bytes:
        """Not simulated: nothing that changes a LUN asks."""
        raise NotImplementedError

    def guest_block(self, vm: VirtualMachine, disk: VirtualDisk, partition: tuple[int, int], offset: int) -> Any:
        """Not simulated: nothing that changes a LUN asks."""
        raise NotImplementedError

    def close(self) -> None:
        """Log out; nobody waits for it."""

    def read(self, what: str, effect: Callable[[], T]) -> T:
        """Ask something."""
        return self.stage.request(
            f"{self.address} {what}", effect, lambda: ConnectionFailed(f"The hypervisor {self.address} cannot be reached")
        )

    def change(self, what: str, effect: Callable[[], T]) -> T:
        """Change something."""
        lost = f"The connection to {self.address} was lost before the answer to {what} came"
        return self.stage.request(f"{self.address} {what}", effect, lambda: OutcomeUnknown(lost))

    def reconfigure(self, what: str, effect: Callable[[], T]) -> T:
        """Change a VM against the version of its configuration that was seen."""
        try:
            return self.change(what, effect)
        except RemoteError as error:
            raise OVERTAKEN(str(error)) if error.code == "ConcurrentAccess" else error from error

    def observe(self, vm: str) -> VmNow:
        """A VM as it is at this moment. Raises `NotFound`."""
        return self.read(f"observe {vm}", lambda: _copy(self.endpoint.vm(vm)))

    def _inventory(self, devices: bool) -> Inventory:
        self.looked(self.endpoint)
        hosts = list(self.endpoint.hosts.values())
        return Inventory(
            hosts=[_host(host) for host in hosts],
            virtual_machines=[_machine(vm, self.endpoint) for vm in self.endpoint.vms.values()],
            file_systems=[FileSystem(f"ds-{name}", name, "vmfs", extents=[f"naa.{naa}"]) for name, naa in self.endpoint.datastores.items()],
            devices=[device for host in hosts for device in self._devices(host.id)] if devices else [],
        )

    def _devices(self, identifier: str) -> list[ScsiDevice]:
        host = self.endpoint.host(identifier)
        return [
            ScsiDevice(identifier, f"naa.{one.naa}", ScsiName(one.naa), one.size, "NETAPP", "LUN C-Mode", self.estate.state(host, one.naa))
            for one in host.devices.values()
        ]


def _short(name: ScsiName) -> str:
    return str(name.serial)


def _free_unit(vm: VmNow) -> int:
    free = next((unit for unit in UNITS if unit not in vm.disks), None)
    if free is None:
        raise Refused(f"The controller of VM {vm.name} is full: detach a disk that is no longer needed.")
    return free


def _copy(vm: VmNow) -> VmNow:
    return VmNow(vm.name, vm.host, vm.cluster, dict(vm.disks), vm.version)


def _host(host: HostNow, with_hbas: bool = False) -> Host:
    hbas = [Hba("vmhba64", "iscsi_software", "online", iqn=host.iqn)] if with_hbas else []
    return Host(host.id, host.name, host.cluster, hbas=hbas)


def _machine(vm: VmNow, endpoint: EndpointNow) -> VirtualMachine:
    return VirtualMachine(
        id=vm.id,
        name=vm.name,
        host=endpoint.hosts[vm.host].id,
        cluster=vm.cluster,
        power="on",
        controllers=[Controller("1000", "pvscsi", 0, [0, *vm.disks])],
        disks=[_disk(disk) for disk in vm.disks.values()],
    )


def _disk(disk: DiskNow) -> VirtualDisk:
    return VirtualDisk(
        str(2000 + disk.unit), f"Hard disk {disk.unit + 1}", "passthrough", "1000", 0, disk.unit, 1 << 30, device=f"naa.{disk.naa}",
        name=ScsiName(disk.naa), mode="physical", sharing=disk.sharing,
    )  # fmt: skip


@dataclass
class _VmStep(Step):
    port: Port
    vm: str
    name: ScsiName

    def done(self) -> bool:
        return False


@dataclass
class AttachDisk(_VmStep):
    """Add the LUN to the VM at the unit that was free when the plan was made."""

    unit: int
    sharing: str

    def __post_init__(self) -> None:
        self.title = f"attach LUN {self.name} to VM {self.vm} as SCSI(0:{self.unit})"

    def do(self) -> None:
        now = self.port.observe(self.vm)
        if now.disk(self.name.naa):
            raise Refused(f"LUN {self.name} was attached to VM {self.vm} by somebody else in the meantime: run this task again.")
        if self.unit in now.disks:
            raise OVERTAKEN(f"SCSI(0:{self.unit}) of VM {self.vm} was changed by somebody else in the meantime: run this task again.")
        self._give(now)

    def _give(self, now: VmNow) -> None:
        port, estate, endpoint = self.port, self.port.estate, self.port.endpoint
        what = f"attach {_short(self.name)} to {self.vm} at {self.unit}"
        if not endpoint.numbered:
            port.reconfigure(what, lambda: self._apply(now, self.name.naa))
            return
        host = endpoint.hosts[now.host]
        number = self._number(host)
        if self._number(host) != number:
            raise OVERTAKEN(f"The disks of host {host.name} are being numbered anew: run this task again.")
        port.reconfigure(f"{what} by number {number}", lambda: self._apply(now, estate.at_number(host, number)))

    def _number(self, host: HostNow) -> int:
        def look() -> int | None:
            return self.port.estate.number(host, self.name.naa) if self.name.naa in host.devices else None

        number = self.port.read(f"number of {_short(self.name)} on {host.name}", look)
        if number is None:
            raise NotFound(f"Host {host.name} does not see LUN {self.name}: check that the array maps it to that host.")
        return number

    def _apply(self, now: VmNow, naa: str | None) -> None:
        if naa is None:
            raise RemoteError("There is no disk of this number.", "NotFound")
        stage, endpoint = self.port.stage, self.port.endpoint
        if naa != self.name.naa and any(vm.disk(naa) for vm in endpoint.vms.values()):
            raise RemoteError("The disk is in use by another virtual machine.", "ResourceInUse")
        disk = DiskNow(naa, self.unit, self.sharing, stage.step, stage.who())
        self.port.estate.attach(endpoint, endpoint.vm(self.vm), disk, now.version)

    def verify(self) -> None:
        disk = self.port.observe(self.vm).disks.get(self.unit)
        if disk is None or disk.naa != self.name.naa:
            raise RemoteError(f"VM {self.vm} has no disk with LUN {self.name} at SCSI(0:{self.unit}) after the change: look at its tasks.")

    def undo(self) -> None:
        now = self.port.observe(self.vm)
        disk = now.disks.get(self.unit)
        if disk and disk.by == self.port.stage.who() and (disk.naa == self.name.naa or self.port.endpoint.numbered):
            self.port.change(f"take {self.vm} the disk at {self.unit} back", lambda: self._take(now))

    def _take(self, now: VmNow) -> None:
        self.port.estate.detach(self.port.endpoint.vm(self.vm), self.unit, now.version)


@dataclass
class DetachDisk(_VmStep):
    """Take the LUN from the VM."""

    disk: DiskNow

    def __post_init__(self) -> None:
        self.title = f"detach LUN {self.name} from VM {self.vm}"

    def do(self) -> None:
        now = self.port.observe(self.vm)
        disk = now.disk(self.name.naa)
        if disk:
            unit = disk.unit
            self.port.reconfigure(f"detach {_short(self.name)} from {self.vm}", lambda: self._take(unit, now.version))

    def _take(self, unit: int, version: int) -> None:
        self.port.estate.detach(self.port.endpoint.vm(self.vm), unit, version)

    def verify(self) -> None:
        if self.port.observe(self.vm).disk(self.name.naa):
            raise RemoteError(f"VM {self.vm} still has LUN {self.name} after the change: look at its recent tasks.")

    def undo(self) -> None:
        now = self.port.observe(self.vm)
        if now.disk(self.name.naa):
            return
        if self.disk.unit in now.disks:
            raise Refused(f"SCSI(0:{self.disk.unit}) of VM {self.vm} is taken by now")
        disk = DiskNow(self.name.naa, self.disk.unit, self.disk.sharing, self.port.stage.step, self.port.stage.who())
        self.port.change(f"attach {_short(self.name)} to {self.vm} again", lambda: self._give_back(disk, now))

    def _give_back(self, disk: DiskNow, now: VmNow) -> None:
        endpoint = self.port.endpoint
        self.port.estate.attach(endpoint, endpoint.vm(self.vm), disk, now.version)


@dataclass
class _DeviceStep(Step):
    port: Port
    host: HostNow
    name: ScsiName

    def state(self) -> str:
        """The device now."""
        found = self.port.devices([self.host.id], self.name)
        return found[0].state if found else GONE


@dataclass
class DetachDevice(_DeviceStep):
    """Switch the LUN off on a host."""

    found: str

    def __post_init__(self) -> None:
        self.title = f"detach LUN {self.name} from host {self.host.name}"

    def done(self) -> bool:
        return self.found in (DEVICE_OFF, GONE)

    def do(self) -> None:
        try:
            self.port.change(f"detach device {_short(self.name)} on {self.host.name}", self._switch_off)
        except RemoteError as error:
            if error.code == "ResourceInUse":
                raise Refused(f"Host {self.host.name} still uses LUN {self.name}: remove it there first. ({error})") from error
            raise

    def _switch_off(self) -> None:
        self.port.estate.switch_off(self.port.endpoint, self.host, self.name.naa)

    def verify(self) -> None:
        state = self.state()
        if state not in (DEVICE_OFF, GONE):
            raise RemoteError(f"LUN {self.name} is {state} on host {self.host.name} after it was detached: look at its recent tasks.")

    def undo(self) -> None:
        if self.state() == DEVICE_OFF:
            self.port.change(
                f"attach device {_short(self.name)} on {self.host.name} again",
                lambda: self.port.estate.serve_again(self.host, self.name.naa),
            )


@dataclass
class NoticeLoss(Step):
    """Let the hosts that list the LUN notice that the array shows it no more."""

    port: Port
    listed: Sequence[HostNow]
    in_service: Sequence[str]
    name: ScsiName

    def __post_init__(self) -> None:
        self.title = f"rescan {', '.join(host.name for host in self.listed)} for the loss of LUN {self.name}"

    def done(self) -> bool:
        return not self.listed

    def do(self) -> None:
        if self.in_service:
            raise Refused(f"LUN {self.name} is in service on {', '.join(self.in_service)}: release it and unmap it on the array first.")
        for host in self.listed:
            self.port.change(f"rescan {host.name} for the loss", partial(self.port.estate.rescan, host))


@dataclass
class ForgetDevice(_DeviceStep):
    """Let a host that no longer lists the LUN drop the memory that it was detached."""

    def __post_init__(self) -> None:
        self.title = f"forget LUN {self.name} on host {self.host.name}"
        self._finished = False

    def done(self) -> bool:
        return self._finished or not (self.name.naa in self.host.remembered or self.name.naa in self.host.devices)

    def do(self) -> None:
        self._refuse_if_there()
        try:
            self.port.change(f"forget {_short(self.name)} on {self.host.name}", lambda: self.port.estate.forget(self.host, self.name.naa))
        except RemoteError as error:
            if error.code != "NotFound":
                raise

    def verify(self) -> None:
        self._refuse_if_there()
        self._finished = True

    def settled(self) -> bool:
        """No read tells what a host remembers, but forgetting twice is harmless."""
        try:
            self.do()
        except CrossvisorError:
            return False
        return super().settled()

    def _refuse_if_there(self) -> None:
        state = self.state()
        if state != GONE:
            raise Refused(f"LUN {self.name} is still {state} on host {self.host.name}: unmap it on the array first.")
