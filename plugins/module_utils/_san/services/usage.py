# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a LUN, by the word of everyone who can tell: the guard in front of every change.

Each piece of evidence is a claim: that something uses the LUN, or that nobody can tell whether it does. Only a LUN on which there is no
claim is free. What a user vouches for overrides that nobody can tell, and is named; it never overrides a use that is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Refused,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Inventory, LunMapping, Use
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

VIRTUAL_MACHINE = "VM"
HOST = "host"
FILE_SYSTEM = "file system"
CLUSTER_DISK = "cluster disk"

USED = "used"
CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Claim:
    """One reason why a LUN is not free."""

    verdict: str
    """`used` or `cannot tell`."""
    kind: str
    name: str
    id: str
    how: str = ""
    """The end of a sentence that begins with the name."""
    way_out: str = ""
    """What to do about it, where that is special."""
    in_snapshots: bool = False
    """As `Use.in_snapshots`."""
    apart: bool = False
    """As `Use.apart`."""

    def __str__(self) -> str:
        named = f"{self.kind} {self.name}" + (f" ({self.id})" if self.id else "")
        return f"{named} {self.how}" if self.how else named


def claims(name: ScsiName, inventory: Inventory) -> list[Claim]:
    """Every VM that has the LUN as a disk, every file system of the hosts that lies on it, what a cluster keeps it for, and what else
    has it or may have it.

    A disk that a cluster keeps for a VM bears that VM's id, so that it is no stranger to it. A file system on such a disk is the guest's
    own, unless image files lie on it.
    """
    machines = [_used(VIRTUAL_MACHINE, vm.name, vm.id) for vm in inventory.virtual_machines if any(disk.name == name for disk in vm.disks)]
    kept = [disk for disk in inventory.cluster_disks if disk.lun == name and not disk.available]
    guests_own = any(disk.vm for disk in kept)
    homes = {disk.file_system for vm in inventory.virtual_machines for disk in vm.disks} if guests_own else set()
    file_systems = [
        _used(f"{store.kind} {FILE_SYSTEM}", store.name, store.id)
        for store in inventory.file_systems
        if any(ScsiName.try_parse(extent) == name for extent in store.extents) and (not guests_own or store.id in homes)
    ]
    cluster_disks = [_used(CLUSTER_DISK, disk.name, disk.vm or disk.id) for disk in kept]
    return [*machines, *file_systems, *cluster_disks, *claims_of_uses(name, inventory.uses)]


def claims_of_uses(name: ScsiName, uses: Sequence[Use]) -> list[Claim]:
    """What else has the LUN, or may have it."""
    return [_claim(use) for use in uses if use.lun in (None, name)]


def claims_of_strangers(
    mappings: Sequence[LunMapping], known_initiators: Collection[str], silent: Mapping[str, str] = MappingProxyType({})
) -> list[Claim]:
    """The initiators that see a LUN and belong to nobody who was asked, or are not told: what they do with it, nobody can tell.

    `silent` tells whose they are where that is known (`initiators_of_silent`).
    """
    known = {initiator.lower() for initiator in known_initiators}
    untold = [
        Claim(CANNOT_TELL, "igroup", mapping.group, mapping.group_id, "has members that the array does not tell")
        for mapping in mappings
        if not mapping.told
    ]
    return untold + [
        Claim(CANNOT_TELL, "initiator", initiator, "", f"of igroup {mapping.group} belongs to {_owner(initiator, silent)}")
        for mapping in mappings
        for initiator in mapping.initiators
        if initiator.lower() not in known
    ]


def claims_of_initiators(initiators: Collection[str], silent: Mapping[str, str] = MappingProxyType({})) -> list[Claim]:
    """Initiators of nobody who was asked, to which the array shows a LUN: what they do with it, nobody can tell; `silent` as above."""
    return [
        Claim(CANNOT_TELL, "initiator", name, "", f"belongs to {_owner(name, silent)}, and the array shows it the LUN")
        for name in initiators
    ]


def _owner(initiator: str, silent: Mapping[str, str]) -> str:
    return silent.get(initiator.lower(), "no host that was asked")


def without(owner: str, found: Iterable[Claim]) -> list[Claim]:
    """The claims of all but the owner, a VM by its id, whose own disk is no reason to refuse it anything.

    What it is known to have in another way than as a disk stays: it would have the LUN twice. So does what its snapshots have, or may
    have: who goes back to one of them needs the LUN as it was then.
    """
    return [claim for claim in found if claim.id != owner or claim.in_snapshots or (claim.verdict == USED and claim.how)]


def vouched_for(hosts: Collection[str], found: Iterable[Claim]) -> list[Claim]:
    """The claims without the doubts about hosts, by name or identifier, of which the user said that they cannot be asked."""
    return [claim for claim in found if claim.verdict == USED or claim.kind != HOST or not {claim.name, claim.id} & set(hosts)]


def refuse_unless_free(name: ScsiName, found: Sequence[Claim], purpose: str, way_out: str, assume_unused: bool = False) -> list[str]:
    """Raise `Refused` when somebody uses the LUN, or when nobody can tell whether somebody does; `way_out` is what to do about VMs.

    Returns, as warnings, what the user's `assume_unused` overrides.
    """
    used = [claim for claim in found if claim.verdict == USED]
    if used:
        names = ", ".join(str(claim) for claim in used)
        raise Refused(f"LUN {name} is used by {names} and will not be {purpose}: {_way_out(used, way_out)}.")
    doubts = "; ".join(str(claim) for claim in found)
    if not doubts:
        return []
    if assume_unused:
        return [f"Nobody could tell whether LUN {name} is used ({doubts}); it was {purpose} because assume_unused vouches for it."]
    raise Refused(
        f"LUN {name} will not be {purpose}, because nobody can tell whether it is used ({doubts}): mend that, or vouch for the LUN with "
        f"{option('assume_unused', 'true')}."
    )


def _used(kind: str, name: str, identifier: str) -> Claim:
    return Claim(USED, kind, name, identifier)


def _claim(use: Use) -> Claim:
    verdict = CANNOT_TELL if use.lun is None or use.doubt else USED
    return Claim(verdict, use.kind, use.name, use.id, use.how, use.way_out, use.in_snapshots, use.apart)


def _way_out(used: Sequence[Claim], way_out: str) -> str:
    special = [claim.way_out for claim in used if claim.way_out]
    if special:
        return "; ".join(dict.fromkeys(special))
    kinds = {claim.kind for claim in used} - {VIRTUAL_MACHINE}
    if CLUSTER_DISK in kinds:
        return "remove the disk from the cluster first if nobody needs what is on it, or name another LUN"
    if any(kind.endswith(FILE_SYSTEM) for kind in kinds):
        return "remove the file system first if nobody needs what is on it, or name another LUN"
    if kinds:
        return "end that use first, or name another LUN"
    return way_out
