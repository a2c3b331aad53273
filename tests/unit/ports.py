# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both ports over plain Python values: a hypervisor and an array that services can be specified against."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ansible_collections.crossvisor.san.plugins.module_utils._san import moment
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    Change,
    LastLook,
    LunAddress,
    ProvisionWish,
    Restoration,
    RestoreWish,
    SnapshotChange,
    SnapshotRemoval,
    SnapshotWish,
    WithdrawWish,
    nobody_to_ask,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses import passthrough
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import DiskWish, GuestAgent, Homes, Wanted
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    About,
    ArrayAbout,
    Attachment,
    BlockExtent,
    Controller,
    DiskBlocks,
    FileSystem,
    GuestBlock,
    Host,
    Inventory,
    Lun,
    LunMapping,
    Portal,
    ReadLun,
    ScsiDevice,
    Snapshot,
    Target,
    Use,
    VirtualDisk,
    VirtualMachine,
    Volume,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, Step
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

NAME = ScsiName.from_ontap_serial("80Lab-aaaaa1")
OTHER = ScsiName.from_ontap_serial("80Lab-aaaaa2")


@dataclass
class Act(Step):
    """A step that is two functions."""

    title: str
    is_done: bool
    act: Callable[[], None]
    back: Callable[[], None] = lambda: None
    final: bool = False

    def done(self) -> bool:
        return self.is_done

    def do(self) -> None:
        self.act()
        self.is_done = True

    def undo(self) -> None:
        self.back()


NOTHING_KNOWN = GuestBlock(reason="nobody knows what guests have")


@dataclass
class MemoryHypervisor:
    """Hosts see what was presented to them only after a rescan."""

    host_list: list[Host] = field(default_factory=list)
    machines: list[VirtualMachine] = field(default_factory=list)
    file_systems: list[FileSystem] = field(default_factory=list)
    seen: list[ScsiDevice] = field(default_factory=list)
    presented: dict[str, int] = field(default_factory=dict)
    """Host id → number of rescans that it takes until the LUN is seen."""
    rescans: list[tuple[str, ...]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    attach_error: str = ""
    reach: Plan = field(default_factory=Plan)
    """Without what no host would see the LUN."""
    type: str = "memory"
    address: str = "hv.example.com"
    warnings: list[str] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    serving: list[Use] = field(default_factory=list)
    """The hosts that would lose the LUN's paths, by `Host.id`."""
    moments: list[object | None] = field(default_factory=list)
    """For each inventory, the decision for which it was read."""
    wanted: list[Wanted | None] = field(default_factory=list)
    """For each inventory, the VMs that alone were wanted."""
    side_by_side: list[bool] = field(default_factory=list)
    """Whether each inventory might ask for several things at once."""
    identity: str = ""
    """What manages the hosts says of itself who it is."""
    device_reads: int = 0
    """How often the whole inventory of SCSI devices was read, which is dear."""
    guest_agent: GuestAgent | None = None
    meanwhile: dict[int, Callable[[], None]] = field(default_factory=dict)
    """What somebody else does right before the n-th inventory is read."""
    blocks: dict[tuple[str, str], DiskBlocks] = field(default_factory=dict)
    """Names of a VM and its disk → where that lies; a LUN passed through is itself."""
    written: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """Names of a VM and its disk → what the guest has written there."""
    guest: GuestBlock = NOTHING_KNOWN
    blockless: str = "nobody knows where images lie"
    same: str = "yes"
    """What is told of each range that is compared."""
    reads_luns: bool = False
    """Whether what the LUN holds is told in its place."""
    compared: list[BlockExtent] = field(default_factory=list)

    @property
    def decisions(self) -> int:
        """For how many decisions inventories were read; one that was read for none counts nothing."""
        return len({id(found) for found in self.moments if found})

    def about(self) -> About:
        self.calls.append("about")
        return About(self.type, "Memory", "1", self.address)

    def hosts(self, at_once: bool = False) -> list[Host]:
        self.calls.append("hosts")
        return self.host_list

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        self.calls.append("inventory with images" if images else "inventory")
        self.moments.append(moment.now())
        self.meanwhile.get(sum(call.startswith("inventory") for call in self.calls), lambda: None)()
        self.side_by_side.append(at_once)
        self.device_reads += devices
        seen = self.seen if devices else ()
        wanted = only(Inventory(self.host_list, (), self.file_systems, seen)) if only else None
        self.wanted.append(wanted)
        there = [vm for vm in self.machines if wanted is None or _is_wanted(vm, wanted)]
        found = Inventory(self.host_list, there, self.file_systems, seen, uses=self.uses, warnings=self.warnings)
        return replace(found, identity=self.identity)

    def devices(self, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
        return [device for device in self.seen if device.host in hosts and device.name == name]

    def rescan(self, hosts: Sequence[str], name: ScsiName) -> None:
        self.rescans.append(tuple(hosts))
        for host in hosts:
            self.presented[host] = self.presented.get(host, 10**6) - 1
            if self.presented[host] <= 0:
                self.seen.append(ScsiDevice(host, str(name), name, 1 << 30))

    def plan_reach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        self.calls.append("plan_reach")
        return self.reach

    def plan_attach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        def act() -> None:
            if self.attach_error:
                raise RemoteError(self.attach_error)
            vm_now = next(found for found in self.machines if found.id == vm.id)
            self._replace(vm, [*vm_now.disks, VirtualDisk("2001", "Hard disk 2", "passthrough", "1000", 0, 1, name=wish.name)])

        def take_back() -> None:
            self.plan_detach(vm, wish.name, wish.timeout).run()

        attached = any(disk.name == wish.name for disk in vm.disks)
        return Plan([Act(f"attach LUN {wish.name} to VM {vm.name}", attached, act, take_back)])

    def plan_detach(self, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
        vm = next(found for found in self.machines if found.id == vm.id)
        attached = any(disk.name == name for disk in vm.disks)
        rest = [disk for disk in vm.disks if disk.name != name]
        return Plan([Act(f"detach LUN {name} from VM {vm.name}", not attached, lambda: self._replace(vm, rest))])

    def attachment(self, vm: VirtualMachine, name: ScsiName) -> Attachment | None:
        now = next(machine for machine in self.machines if machine.id == vm.id)
        disk = next((disk for disk in now.disks if disk.name == name), None)
        return Attachment(disk, Controller("1000", "pvscsi", 0), f"SCSI({disk.bus}:{disk.unit})") if disk else None

    def plan_release(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        return self._drop("release", hosts, name)

    def in_service(self, hosts: Sequence[str], name: ScsiName) -> list[Use]:
        self.calls.append("in_service")
        return [use for use in self.serving if use.id in hosts]

    def plan_forget(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        return self._drop("forget", hosts, name)

    def agent(self, vm: VirtualMachine) -> GuestAgent:
        if self.guest_agent is None:
            raise Refused(f"VM {vm.name} has no agent.")
        return self.guest_agent

    def disk_blocks(self, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
        self.calls.append(f"disk_blocks of {len(wanted)}")
        return [self.blocks.get((vm.name, disk.label)) or passthrough.identity_or(disk, self.blockless) for vm, disk in wanted]

    def verify_blocks(self, vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
        self.compared.extend(extents)
        if self.reads_luns:
            return [str(read_lun(one.name, one.offset or 0, one.length)) for one in extents if one.name]
        return [self.same] * len(extents)

    def read_disk(self, vm: VirtualMachine, disk: VirtualDisk, offset: int, length: int) -> bytes:
        self.calls.append("read_disk")
        return self.written.get((vm.name, disk.label), b"")[offset : offset + length]

    def guest_block(self, vm: VirtualMachine, disk: VirtualDisk, partition: tuple[int, int], offset: int) -> GuestBlock:
        self.calls.append(f"guest_block {partition} {offset}")
        return self.guest

    def close(self) -> None:
        self.calls.append("close")

    def give(self, machine: str, name: ScsiName) -> None:
        """What somebody else does: attach the LUN to a VM."""
        vm = next(found for found in self.machines if found.name == machine)
        self._replace(vm, [*vm.disks, VirtualDisk("2009", "Hard disk 9", "passthrough", "1000", 0, 9, name=name)])

    def _drop(self, verb: str, hosts: Sequence[str], name: ScsiName) -> Plan:
        def gone(host: str) -> None:
            self.seen = [device for device in self.seen if (device.host, device.name) != (host, name)]

        seeing = {device.host for device in self.devices(hosts, name)}
        return Plan([Act(f"{verb} LUN {name} on {host}", host not in seeing, partial(gone, host)) for host in hosts])

    def _replace(self, vm: VirtualMachine, disks: Sequence[VirtualDisk]) -> None:
        self.machines = [replace(machine, disks=disks) if machine.id == vm.id else machine for machine in self.machines]


@dataclass
class MemoryArray:
    """One LUN at most, mapped as wished."""

    lun: Lun | None = None
    others: list[Lun] = field(default_factory=list)
    exports: list[Volume] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    error: str = ""
    mirrors: list[Use] = field(default_factory=list)
    served_by: list[Target] | None = None
    """The targets, None for one of each kind."""
    kept: list[Snapshot] = field(default_factory=list)
    data: dict[str, bytes] = field(default_factory=dict)
    """NAA of a LUN → what is on it, zeros behind that."""
    unreadable: str = ""
    """Why nobody can read it."""
    restored: list[str] = field(default_factory=list)
    """The snapshots whose data the LUN has got."""

    def about(self) -> ArrayAbout:
        self.calls.append("about")
        if self.error:
            raise RemoteError(self.error)
        return ArrayAbout("ontap", "lab", "ontap.example.com", "9.16.1")

    def luns(self, names: Sequence[ScsiName]) -> list[Lun]:
        self.calls.append("luns")
        return [lun for lun in [self.lun, *self.others] if lun and lun.name in names]

    def volumes(self) -> list[Volume]:
        self.calls.append("volumes")
        return self.exports

    def uses(self, lun: Lun) -> list[Use]:
        self.calls.append("uses")
        return self.mirrors

    def targets(self, svm: str, kinds: Collection[str]) -> list[Target]:
        self.calls.append("targets")
        if self.served_by is not None:
            return self.served_by
        return [Target(kind, f"{kind}.{svm}", [Portal("192.0.2.11")] if kind == "iscsi" else []) for kind in sorted(kinds)]

    def read(self, lun: Lun, offset: int, length: int) -> bytes:
        self.calls.append(f"read {length} at {offset}")
        if self.unreadable:
            raise RemoteError(self.unreadable)
        return self.data.get(lun.name.naa, b"")[offset : offset + length].ljust(length, b"\0")

    def plan_provision(self, wish: ProvisionWish, last_look: LastLook = nobody_to_ask) -> Change:
        def create() -> None:
            self.lun = lun(NAME, initiators=wish.initiators)

        return Change(Plan([Act(f"create LUN {wish.address}", self.lun is not None, create)]), lambda: self.lun, mark="run:1")

    def plan_withdraw(self, wish: WithdrawWish) -> Change:
        def unmap() -> None:
            self.lun = replace(self.lun, mappings=()) if self.lun else None

        def map_again() -> None:
            self.lun = before

        def delete() -> None:
            self.lun = None

        before = self.lun
        leaving = before.mappings if before else ()
        steps = [Act("unmap the LUN", not leaving, unmap, map_again)]
        steps += [Act("delete the LUN", before is None, delete, final=True)] if wish.delete else []
        return Change(Plan(steps), lambda: self.lun, leaving)

    def snapshots(self, luns: Sequence[LunAddress | ScsiName], name: str = "") -> list[Snapshot]:
        self.calls.append("snapshots")
        return [one for one in self.kept if name in ("", one.name)]

    def plan_snapshot(self, wish: SnapshotWish) -> SnapshotChange:
        def act() -> None:
            self.kept.append(
                Snapshot("s", wish.name, "svm1", "v1", comment=wish.comment or "", made_by="crossvisor.san:0", expires=wish.expires or "")
            )

        there = bool(self.snapshots(wish.luns, wish.name))
        steps = [Act(f"take snapshot {wish.name}", there, act)]
        return SnapshotChange(Plan(steps), [self._lun()], lambda: self.snapshots(wish.luns, wish.name), not wish.each)

    def plan_snapshot_removal(self, wish: SnapshotRemoval) -> SnapshotChange:
        def act() -> None:
            self.kept = [one for one in self.kept if one.name != wish.name]

        there = bool(self.snapshots(wish.luns, wish.name))
        steps = [Act(f"delete snapshot {wish.name}", not there, act, final=True)]
        return SnapshotChange(Plan(steps), [self._lun()], lambda: self.snapshots(wish.luns, wish.name))

    def plan_restore(self, wish: RestoreWish) -> Restoration:
        safety = Snapshot("safe", wish.safety_snapshot, "svm1", "v1")
        taken: list[Snapshot] = []
        keep = [Act("take the safety snapshot", False, lambda: taken.append(safety), taken.clear)] if wish.safety_snapshot else []
        steps = [*keep, Act(f"restore the LUN from {wish.snapshot}", False, lambda: self.restored.append(wish.snapshot), final=True)]
        return Restoration(Plan(steps), self._lun(), self._lun, lambda: taken[0] if taken else None)

    def _lun(self) -> Lun:
        assert self.lun is not None
        return self.lun

    def close(self) -> None:
        self.calls.append("close")


def lun(name: ScsiName, number: int = 3, initiators: Sequence[str] = ("iqn.2026-01.com.example:a",), group: str = "g1") -> Lun:
    return Lun(
        id="uuid-1",
        path="/vol/v1/l1",
        name=name,
        serial=name.serial or "",
        size_bytes=1 << 30,
        os_type="linux",
        svm="svm1",
        volume="v1",
        mappings=[LunMapping(group, f"id-{group}", number, initiators)],
    )


def _is_wanted(vm: VirtualMachine, wanted: Wanted) -> bool:
    homes = {home for disk in vm.disks for home in (disk.file_system, *(file.file_system for file in disk.parents))}
    return bool(homes & set(wanted.file_systems)) or (
        wanted.raw_disks and (not vm.disks or any(disk.name or disk.kind == "passthrough" for disk in vm.disks))
    )


ADDRESS = LunAddress("svm1", "v1", "l1")
