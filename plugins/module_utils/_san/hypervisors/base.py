# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The port that every hypervisor backend implements, and what the services ask of it.

Bulk first: whatever would be called once per VM, LUN or host takes the whole list, so that the number of requests does
not grow with the inventory. A backend raises only `CrossvisorError`s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    About,
    Attachment,
    BlockExtent,
    DiskBlocks,
    GuestBlock,
    Host,
    Inventory,
    ReadLun,
    ScsiDevice,
    Slot,
    Use,
    VirtualDisk,
    VirtualMachine,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

REFUSE, ALLOW, MEND = "refuse", "allow", "mend"
"""What to do where a LUN is, or would be, given by a single path (`DiskWish.single_path`)."""


@dataclass(frozen=True)
class IscsiLogin:
    """An iSCSI target of an array, and how initiators log in there. Without its name, whatever is behind the address."""

    address: str
    port: int = 3260
    iqn: str = ""
    username: str = ""
    """CHAP's, by which the initiators prove who they are; empty for none."""
    password: str = field(default="", repr=False)
    mutual_username: str = ""
    """CHAP's, by which the target does."""
    mutual_password: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        """The target in words: its name, else where it is."""
        return self.iqn or f"at {self.address}:{self.port}"


def no_targets() -> Sequence[IscsiLogin]:
    """Nobody knows of any."""
    return ()


@dataclass(frozen=True)
class DiskWish:
    """Which LUN shall be a disk of a VM, and how. None leaves a setting as it is, or to the platform's default for a new disk."""

    name: ScsiName
    slot: Slot = field(default_factory=Slot)
    controller_type: str | None = None
    """For a controller that has to be added."""
    mode: str | None = None
    disk_mode: str | None = None
    sharing: str | None = None
    reservations: bool | None = None
    """Whether the guest's persistent reservations shall reach the array, where that is a setting of the disk."""
    file_system: str | None = None
    """Name of the file system for the mapping file, where the platform has one."""
    fc_method: str | None = None
    """How a LUN over Fibre Channel becomes a disk, where the platform has several ways."""
    timeout: float = 300.0
    mount_point: str = ""
    """Where the guest shall mount it: what a cluster's resources for the disk are named after."""
    initialize: bool = False
    """The user's word that the LUN is empty, so that a partition table may be written where a cluster needs one."""
    ahead: Sequence[Slot] = ()
    """Where other disks go that the VM gets before this one; only of a plan that is not carried out."""
    leaving: Collection[ScsiName] = ()
    """LUNs that the VM loses before it gets this one; only of a plan that is not carried out."""

    size_bytes: int = 0
    """What the VM shall see of the LUN at least, after it has grown; 0 for any size."""
    targets: Callable[[], Sequence[IscsiLogin]] = field(default=no_targets, compare=False)
    """The iSCSI targets that may show the LUN, for a platform whose own configuration names them; asked only where that is missing."""
    single_path: str = REFUSE
    """What to do where the host of a VM has, or ought to have, the LUN by several paths and a VM would get, or has, one of them: `refuse`
    the first, `allow` it, or `mend` the second."""

    @property
    def slots(self) -> list[Slot]:
        """Where the disks go, this one last."""
        return [*self.ahead, self.slot]


@dataclass(frozen=True)
class Wanted:
    """Which VMs are wanted, by what they lie on."""

    file_systems: Collection[str]
    """Those that have a file on one of these (`FileSystem.id`)."""
    raw_disks: bool
    """Those too that have a LUN as a disk, whichever it is, and those of which nobody can tell."""


class Homes(Protocol):
    """What chooses VMs by where they lie, before these are read."""

    def __call__(self, below: Inventory) -> Wanted:
        """The VMs that are wanted, by an inventory without VMs."""


@dataclass(frozen=True)
class GuestFileSystem:
    """A file system in a guest, on a LUN that its VM has."""

    naa: str
    """Empty where nobody can tell on which disk it lies, so that it may be any."""
    device: str
    mount: str

    def result(self) -> dict[str, str]:
        """The file system as a module returns it."""
        return {"naa": self.naa, "device": self.device, "mount": self.mount}


@dataclass(frozen=True)
class FreezeNote:
    """That a run has had a guest held still, and nobody has let go of it since."""

    mark: str
    """Of that run."""
    held: int = 0
    """How many file systems were held; 0 before that is known."""


class GuestAgent(Protocol):
    """The agent in a guest, as far as it holds file systems still on the order of its hypervisor. Raises only `CrossvisorError`s."""

    def file_systems(self, names: Sequence[ScsiName]) -> list[GuestFileSystem]:
        """Those on these LUNs, each once. Raises `NotFound` for a LUN that the VM does not have, `Refused` where no agent answers."""

    def freeze(self, mounts: Sequence[str], seconds: float) -> int:
        """Hold them still; how many are, which is fewer where somebody else has frozen one before.

        Raises `OutcomeUnknown` where nobody knows whether any is or will be; after anything else, none is.
        """

    def thaw(self, seconds: float) -> int:
        """Let go of all that is frozen in the guest; how many file systems that was."""

    def noted(self) -> FreezeNote | None:
        """What the last run has noted, until it is forgotten or the VM is off."""

    def note(self, note: FreezeNote) -> None:
        """Note with the VM what is going to be held, for any later run."""

    def forget(self) -> None:
        """Take the note away."""


class Hypervisor(Protocol):
    """A connection to a hypervisor endpoint."""

    @property
    def type(self) -> str:
        """The backend's name in the pool. Costs no request."""

    @property
    def address(self) -> str:
        """The endpoint as the user named it. Costs no request."""

    def about(self) -> About:
        """Who the endpoint is, its clusters, hosts and capabilities."""

    def hosts(self, at_once: bool = False) -> list[Host]:
        """All hosts with their HBAs and the paths of these.

        `at_once`: hosts that are asked directly may be asked side by side; else they are asked in turn, as a change wants it.
        """

    def inventory(self, devices: bool = True, images: bool = False, only: Homes | None = None, at_once: bool = False) -> Inventory:
        """All hosts, VMs with their virtual disks, file systems and, if asked for, host SCSI devices. HBAs only where they cost no request.

        With `images`, also what only one request per image file tells where the platform does not list it: size and parents.
        With `only`, a backend may leave out the VMs that it does not want. `at_once` as for `hosts`.
        """

    def devices(self, hosts: Sequence[str], name: ScsiName) -> list[ScsiDevice]:
        """One LUN as the given hosts (`Host.id`) see it now, without a rescan; a host that does not see it has no row.

        Of several rows of a host, the first that is `ok` tells how a VM is given the LUN there (`ScsiDevice.given`).
        """

    def rescan(self, hosts: Sequence[str], name: ScsiName) -> None:
        """Make the given hosts look for LUNs, and take back into service the named one where it was released."""

    def plan_reach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        """Steps without which no host would see the LUN however often it looks; none on a platform whose hosts know their targets."""

    def plan_attach(self, vm: VirtualMachine, wish: DiskWish) -> Plan:
        """Steps that make the LUN, visible on the VM's host by then, a disk of the VM as wished.

        Raises `Refused` or `InvalidInput` when the VM cannot take it (no free unit, slot occupied, mode unknown).
        """

    def plan_detach(self, vm: VirtualMachine, name: ScsiName, timeout: float) -> Plan:
        """Steps that take the LUN, and its mapping file, from the VM. Done steps if it has none."""

    def attachment(self, vm: VirtualMachine, name: ScsiName) -> Attachment | None:
        """The LUN as a disk of the VM, read from the hypervisor now."""

    def plan_release(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        """Steps after which the hosts no longer use the LUN, so that unmapping it causes no loss of paths."""

    def in_service(self, hosts: Sequence[str], name: ScsiName) -> list[Use]:
        """What would happen to the given hosts (`Host.id`) if the array took the LUN from them now: those that have it in service, and
        those of which nobody can tell. None on a platform whose hosts bear that.
        """

    def plan_forget(self, hosts: Sequence[str], name: ScsiName) -> Plan:
        """Steps that drop what the hosts remember of a released LUN which the array has unmapped."""

    def agent(self, vm: VirtualMachine) -> GuestAgent:
        """Who holds the guest's file systems still. Raises `Refused`, with the reason, on a platform where nobody does for a LUN."""

    def disk_blocks(self, wanted: Sequence[tuple[VirtualMachine, VirtualDisk]]) -> list[DiskBlocks]:
        """Where the bytes of each of these disks are on LUNs and host devices; what nobody can tell is a range with the reason."""

    def verify_blocks(self, vm: VirtualMachine, disk: VirtualDisk, extents: Sequence[BlockExtent], read_lun: ReadLun) -> list[str]:
        """Whether disk and device hold the same bytes in each of these ranges, both read now: `yes`, `no`, or why nobody can tell.

        `read_lun` is for a platform whose hosts do not read the device themselves.
        """

    def read_disk(self, vm: VirtualMachine, disk: VirtualDisk, offset: int, length: int) -> bytes:
        """What the guest has written on a few sectors of its disk, such as its partition table; nothing where nobody can read that."""

    def guest_block(self, vm: VirtualMachine, disk: VirtualDisk, partition: tuple[int, int], offset: int) -> GuestBlock:
        """What the guest has at an offset within a partition (its beginning and length in bytes), by its disk alone, read-only."""

    def close(self) -> None:
        """Log out. Never raises."""


@dataclass(frozen=True)
class Descriptor:
    """What the pool knows of a backend before it is loaded."""

    type: str
    products: str
    """For messages: the products that it manages."""
    default_port: int
    environment: Mapping[str, str]
    """Connection option → environment variable in which this platform's other tools, and AWX credentials, keep it."""
    probe: Callable[[Connection], bool] | None
    """Ask the endpoint, without credentials, whether it is one of these. Raises `ConnectionFailed` if nothing answers.
    None for what nobody can tell without logging in."""
    load: Callable[[], Callable[[Connection], Hypervisor]]
    """Import the backend, and only then its libraries; returns what opens a connection."""
    named_by_uri: bool = False
    """That a connection URI means this platform, and stands for the host name."""

    def open(self, connection: Connection) -> Hypervisor:
        """Load the backend and log in. Raises a `CrossvisorError`."""
        return self.load()(connection)
