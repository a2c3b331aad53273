# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The port that every storage array backend implements, and what the services ask of it.

Bulk first, like the hypervisors' port. A backend raises only `CrossvisorError`s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import (
    ArrayAbout,
    Lun,
    LunMapping,
    Snapshot,
    Target,
    Use,
    Volume,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName


@dataclass(frozen=True)
class LunAddress:
    """A LUN by where it lives on its array."""

    svm: str
    volume: str
    lun: str

    def __str__(self) -> str:
        return f"{self.svm}:/vol/{self.volume}/{self.lun}"


@dataclass(frozen=True)
class CloneOrigin:
    """A LUN as a snapshot of its volume holds it, of which another LUN of that volume becomes a clone."""

    lun: str
    """Its name in the volume."""
    snapshot: str

    def __str__(self) -> str:
        return f"{self.lun} in snapshot {self.snapshot}"


@dataclass(frozen=True)
class ProvisionWish:
    """A LUN that shall exist, and who shall see it."""

    address: LunAddress
    size_bytes: int | None
    """None maps an existing LUN as it is."""
    os_type: str
    """Of the LUN: what lays it out, which for a raw disk is the guest."""
    initiators: Sequence[str]
    """Normalised WWPNs and IQNs. All of them shall see the LUN, under one number; none leaves the mapping alone."""
    group: str | None = None
    """Initiator group to create or extend; None for one that holds exactly these initiators."""
    group_os_type: str | None = None
    """Of a group that has to be created: what the initiators run; None for the LUN's."""
    lun_id: int | None = None
    thin: bool = True
    comment: str = ""
    exclusive: bool = False
    """Refuse to let these initiators see a LUN that others see already: what those do with it, nobody can tell."""
    clone_of: CloneOrigin | None = None
    """What a new LUN begins with; it has the size and the operating system of that."""
    timeout: float = 300.0

    def strangers(self, lun: Lun) -> list[str]:
        """Who sees the LUN beside the wished initiators and the members of the wished group, in lower case, sorted."""
        seeing = {name.lower() for mapping in lun.mappings if mapping.group != self.group for name in mapping.initiators}
        return sorted(seeing - {name.lower() for name in self.initiators})


@dataclass(frozen=True)
class WithdrawWish:
    """A LUN that the initiators shall no longer see, or that shall no longer exist."""

    lun: LunAddress | ScsiName
    initiators: Sequence[str] = ()
    group: str | None = None
    delete: bool = False
    """Also delete the LUN with its data; refused while another group maps it."""
    made_by: str = ""
    """The mark of the run that made the LUN: one that another run has made, or that somebody has written to since, is not deleted."""
    clone_of: CloneOrigin | None = None
    """Only a clone that this collection has made of that is taken away or deleted, whatever is named."""
    timeout: float = 300.0


@dataclass(frozen=True)
class SnapshotWish:
    """A snapshot that shall hold LUNs, of all of them at one moment unless `each` of their volumes may be taken on its own."""

    luns: Sequence[LunAddress | ScsiName]
    name: str
    old_name: str = ""
    """A snapshot that shall have this name from now on; none is taken."""
    comment: str | None = None
    """None leaves what is there, as do `expires` and `label`."""
    expires: str | None = None
    """Date, time and zone."""
    keep_expiry: bool = False
    """The expiry is for a snapshot that has none yet."""
    label: str | None = None
    each: bool = False
    timeout: float = 300.0


@dataclass(frozen=True)
class SnapshotRemoval:
    """A snapshot of the volumes of LUNs that shall no longer exist."""

    luns: Sequence[LunAddress | ScsiName]
    name: str
    any_owner: bool = False
    """Also one that this collection did not take."""
    made_by: str = ""
    """Only what the run with this mark has taken."""
    timeout: float = 300.0


@dataclass(frozen=True)
class RestoreWish:
    """One LUN that shall have the data again that it had in a snapshot; nothing else of its volume changes."""

    lun: LunAddress | ScsiName
    snapshot: str
    safety_snapshot: str = ""
    """A snapshot to take first; empty for none."""
    assume_same_lun: bool = False
    """The user vouches that the snapshot holds this LUN, although it was made later by what the array tells."""
    timeout: float = 300.0


@dataclass
class SnapshotChange:
    """A plan for a snapshot, with the LUNs that it is about and the snapshots, one for each volume, as the steps leave them."""

    plan: Plan
    luns: Sequence[Lun]
    snapshots: Callable[[], list[Snapshot]]
    at_once: bool = True
    """They are, or will be, of one moment."""


@dataclass
class Restoration:
    """A plan that restores one LUN: its one final step is the point after which the old data is gone from the LUN."""

    plan: Plan
    before: Lun
    lun: Callable[[], Lun]
    safety_snapshot: Callable[[], Snapshot | None]


@dataclass
class Change:
    """A plan for one LUN, with the LUN as it was observed and as the steps leave it."""

    plan: Plan
    lun: Callable[[], Lun | None]
    """None while the LUN does not exist (also in check mode)."""
    leaving: Sequence[LunMapping] = ()
    """The mappings that the plan takes away."""
    mark: str = ""
    """What only this run writes into the comment of a LUN that it makes."""


class LastLook(Protocol):
    """What an undo asks right before it takes LUNs from initiators, and right after, because only hypervisors know who has them by then."""

    def __call__(self, luns: Sequence[Lun], made: bool) -> None:
        """Raise a `CrossvisorError` when somebody uses one of the LUNs, or nobody can tell.

        Of LUNs that this run has `made`, only a use that is known counts.
        """


def nobody_to_ask(luns: Sequence[Lun], made: bool) -> None:
    """The last look of who knows no hypervisor: only what this run has made is taken back."""
    if not made:
        names = ", ".join(str(lun.name) for lun in luns)
        raise Refused(f"nobody was named who knows whether LUN {names} is used by now: give the hypervisor to ask")


class Array(Protocol):
    """A connection to a storage array."""

    def about(self) -> ArrayAbout:
        """Who the array is."""

    def luns(self, names: Sequence[ScsiName]) -> list[Lun]:
        """The named LUNs, as far as they live here, with their mappings."""

    def volumes(self) -> list[Volume]:
        """All volumes that are exported to clients over the network."""

    def targets(self, svm: str, kinds: Collection[str]) -> list[Target]:
        """Where initiators of these kinds (`iscsi`, `fc`) find the LUNs of an SVM."""

    def uses(self, lun: Lun) -> list[Use]:
        """What would lose the LUN if it were deleted here, beside the initiators of its mappings: a mirror that presents it elsewhere.

        What the array cannot tell is a use of any LUN.
        """

    def read(self, lun: Lun, offset: int, length: int) -> bytes:
        """A part of a LUN's data, as its initiators would read it. Raises `Refused` where the array shows nobody any."""

    def plan_provision(self, wish: ProvisionWish, last_look: LastLook = nobody_to_ask) -> Change:
        """Create, grow and map a LUN; what is taken back when a step fails is taken only from who does not use it, by the last look."""

    def plan_withdraw(self, wish: WithdrawWish) -> Change:
        """Unmap and, if wished, delete a LUN."""

    def snapshots(self, luns: Sequence[LunAddress | ScsiName], name: str = "") -> list[Snapshot]:
        """The snapshots of the volumes of these LUNs, of all names or of one, the oldest of each volume first.

        Raises `NotFound` for a LUN that is not there.
        """

    def plan_snapshot(self, wish: SnapshotWish) -> SnapshotChange:
        """Take, rename or change a snapshot. Raises `Refused` where LUNs of several volumes cannot be taken at one moment."""

    def plan_snapshot_removal(self, wish: SnapshotRemoval) -> SnapshotChange:
        """Delete a snapshot. Raises `Refused` for what is not this collection's, is needed or has to be kept."""

    def plan_restore(self, wish: RestoreWish) -> Restoration:
        """Restore one LUN in place, with its identity and its maps. Raises `NotFound` or `Refused` where that cannot be."""

    def close(self) -> None:
        """Log out. Never raises."""


@dataclass(frozen=True)
class Descriptor:
    """What the pool knows of a backend before it is loaded."""

    type: str
    products: str
    default_port: int
    environment: Mapping[str, str]
    load: Callable[[], Callable[[Connection], Array]]

    def open(self, connection: Connection) -> Array:
        """Load the backend. Raises a `CrossvisorError`."""
        return self.load()(connection)
