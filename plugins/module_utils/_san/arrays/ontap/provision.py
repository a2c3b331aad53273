# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create, grow and map a LUN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Change, CloneOrigin, LastLook, ProvisionWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import clones, states, volume_snapshots
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import (
    GROUP_GONE,
    LUN_GONE,
    SNAPSHOT_GONE,
    ChangeUnfinished,
    Fault,
    OntapRefusal,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import (
    LUN_IDS,
    Group,
    Route,
    blind_initiators,
    route,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import (
    StoredLun,
    tells_initiators,
    with_initiators,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.places import no_lun, require_place
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import (
    SETTLE_SECONDS,
    OntapStep,
    Site,
    fine_when,
    refuse_others_work,
    refuse_written,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import Transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    InvalidInput,
    OutcomeUnknown,
    Refused,
    RemoteError,
    TimedOut,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, LunMapping, Snapshot
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan, told_first

CYLINDER = 255 * 63 * 512
"""Octets to a multiple of which ONTAP rounds the LUNs of some operating systems; for others it takes smaller units."""

_LONGEST_COMMENT = 254
_ATTEMPTS = 5
_EVENTS = "look at the array's event log"


def plan_provision(array: Transport, wish: ProvisionWish, last_look: LastLook) -> Change:
    """The steps to the wish. One request when nothing has to be done, two before ONTAP 9.16.

    Raises `NotFound`, `InvalidInput` or `Refused` when the wish cannot be fulfilled, also for a LUN that its array keeps from its hosts.
    """
    _check(wish)
    stored = array.lun_at(wish.address)
    lun = stored.lun if stored else None
    site = Site(array, wish.address.svm, str(wish.address), wish.timeout, lun, last_look=last_look, made=lun is None)
    if lun is None:
        steps: list[OntapStep] = [_creation(site, wish), *_mapping_steps(site, wish)]
    else:
        states.refuse_unless_online(lun)
        if stored is not None and wish.clone_of is not None:
            clones.refuse_another(stored, wish.clone_of)
            _refuse_of_another_snapshot(array, stored, wish.clone_of)
        _refuse_other_os_type(wish, lun)
        steps = [*_mapping_steps(site, wish), *_growth(site, wish, lun)]
    return Change(Plan(steps, states.warnings(lun) if lun else ()), site.report, mark=site.mark)


def is_rounding(asked: int, actual: int) -> bool:
    """Tell whether the array made this size out of the asked one: never far off, and rounded down only to whole cylinders."""
    if actual >= asked:
        return actual - asked < CYLINDER
    return actual == asked // CYLINDER * CYLINDER


def _check(wish: ProvisionWish) -> None:
    if wish.clone_of is not None and wish.size_bytes is not None:
        raise InvalidInput(f"LUN {wish.address} is to be a clone, whose size is that of LUN {wish.clone_of}: leave the size out.")
    if wish.clone_of is not None and wish.clone_of.lun == wish.address.lun:
        raise InvalidInput(f"LUN {wish.address} cannot be a clone of itself: give the clone another name, or restore the LUN.")
    if wish.size_bytes is not None and wish.size_bytes <= 0:
        raise InvalidInput(f"The size {wish.size_bytes} of LUN {wish.address} is not a number of bytes above zero.")
    if wish.lun_id is not None and wish.lun_id not in LUN_IDS:
        raise InvalidInput(f"LUN id {wish.lun_id} for LUN {wish.address} is not one of {LUN_IDS.start} to {LUN_IDS.stop - 1}.")


def _creation(site: Site, wish: ProvisionWish) -> CreateLun:
    if wish.size_bytes is None and wish.clone_of is None:
        raise no_lun(site.array, wish.address, "give a size to create it, or correct its name")
    require_place(site.array, wish.address)
    step = CreateLun(site, wish, wish.size_bytes) if wish.clone_of is None else _cloning(site, wish, wish.clone_of)
    if len(step.comment) > _LONGEST_COMMENT:
        room = _LONGEST_COMMENT - (len(step.comment) - len(wish.comment))
        raise InvalidInput(f"The comment for LUN {wish.address} has {len(wish.comment)} characters: shorten it to {room}.")
    return step


def _cloning(site: Site, wish: ProvisionWish, origin: CloneOrigin) -> CloneLun:
    place = volume_snapshots.volume_named(site.array, wish.address.svm, wish.address.volume)
    snapshot = volume_snapshots.snapshot_named(site.array, place, origin.snapshot)
    if snapshot is None:
        raise volume_snapshots.no_snapshot(site.array, place, origin.snapshot)
    volume_snapshots.refuse_unfit(snapshot, place)
    return CloneLun(site, wish, None, origin, snapshot)


def _refuse_of_another_snapshot(array: Transport, stored: StoredLun, origin: CloneOrigin) -> None:
    """Raise `Refused` for a clone of an earlier snapshot of that name; where there is no such snapshot any more, it is what it was."""
    snapshot = volume_snapshots.snapshot_named(array, volume_snapshots.places_of([stored])[0], origin.snapshot)
    if snapshot is not None:
        clones.refuse_of_another_snapshot(stored, snapshot)


def _refuse_other_os_type(wish: ProvisionWish, lun: Lun) -> None:
    if wish.size_bytes is not None and lun.os_type != wish.os_type:
        raise Refused(
            f"LUN {wish.address} has os_type {lun.os_type}, not {wish.os_type}, which ONTAP cannot change: "
            f"give os_type {lun.os_type}, or another name for a new LUN."
        )


def _growth(site: Site, wish: ProvisionWish, lun: Lun) -> list[OntapStep]:
    asked = wish.size_bytes
    if asked is None or is_rounding(asked, lun.size_bytes):
        return []
    if asked < lun.size_bytes:
        raise Refused(
            f"LUN {wish.address} has {lun.size_bytes} bytes, more than the {asked} asked for, and LUNs are never shrunk: "
            f"ask for at least {lun.size_bytes} bytes, or for no size."
        )
    return [GrowLun(site, lun.size_bytes, asked)]


def _mapping_steps(site: Site, wish: ProvisionWish) -> list[OntapStep]:
    if not wish.initiators:
        return []
    way = find_route(site, wish)
    if wish.exclusive and site.lun is not None:
        _refuse_if_others_see(site.lun, wish)
    if way is None:
        return []
    steps: list[OntapStep] = []
    if not way.group.id:
        steps.append(CreateGroup(site, way.group))
    if way.join:
        steps.append(AddInitiators(site, way.group, way.join))
    if not way.mapped:
        steps.append(MapLun(site, wish, way.group.name, way.lun_id))
    return steps


def _refuse_if_others_see(lun: Lun, wish: ProvisionWish) -> None:
    strangers = wish.strangers(lun) + [f"igroup {mapping.group} (its members are not told)" for mapping in lun.mappings if not mapping.told]
    if strangers:
        raise Refused(
            f"LUN {wish.address} is mapped to {', '.join(strangers)} too, and nobody can tell whether it is used there: unmap it from them "
            f"if nothing uses it, ask for sharing, or vouch for it with {option('assume_unused', 'true')}."
        )


def _refuse_if_written_since(used_bytes: int | None, lun: Lun, title: str) -> None:
    """Raise `Refused` when the LUN holds another amount of data than it did, or nobody can tell."""
    if used_bytes is None or lun.used_bytes != used_bytes:
        raise Refused(f"LUN {title} has been written to since it was mapped, so that somebody has it, and stays mapped")


def find_route(site: Site, wish: ProvisionWish) -> Route | None:
    """The way to the LUN for those of the wish's initiators that lack it; the igroups are read only when there may be one."""
    lun = site.lun
    if lun is not None and tells_initiators(lun) and not blind_initiators(wish, lun):
        return None
    groups = site.array.groups_of(site.svm)
    site.lun = with_initiators(lun, groups) if lun else None
    return route(wish, site.lun, groups)


@dataclass
class CreateLun(OntapStep):
    """Create a LUN, and know it again by its comment even when the answer was lost."""

    wish: ProvisionWish
    size_bytes: int | None
    """None where something else than the wish says it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"create LUN {self.site.title} with {self.size_bytes} bytes"
        self._told_created = False
        self._may_come = False

    @property
    def comment(self) -> str:
        """This run's mark, then the user's text."""
        return f"{self.site.mark} {self.wish.comment}".rstrip()

    def change(self) -> None:
        try:
            self.create()
        except ChangeUnfinished:
            self._may_come = True
            raise
        except OntapRefusal as error:
            if error.fault is not Fault.CREATED_INCOMPLETE:
                raise
        self._told_created = True

    def create(self) -> None:
        """Ask the array for the LUN."""
        wish, size_bytes = self.wish, self.size_bytes or 0
        self.site.array.create_lun(wish.address, size_bytes, wish.os_type, wish.thin, self.comment, self.site.timeout)

    def settled(self) -> bool:
        """After a lost answer, tell whether the LUN is there and was made by this run."""
        if not self.site.array.wait_for(self._find, SETTLE_SECONDS):
            return False
        return super().settled()

    def check(self) -> None:
        if not self.site.array.wait_for(self._find, self.site.timeout):
            raise TimedOut(f"LUN {self.site.title} was created but is not visible after {self.site.timeout:g} s: look for it on the array.")
        self.check_contents(self.site.require_lun())

    def check_contents(self, lun: Lun) -> None:
        """Raise `RemoteError` when the LUN does not begin with what was asked."""
        if not is_rounding(self.size_bytes or 0, lun.size_bytes) or lun.os_type != self.wish.os_type:
            raise RemoteError(
                f"LUN {self.site.title} was created with {lun.size_bytes} bytes and os_type {lun.os_type}, not as asked: {_EVENTS}."
            )

    def undo(self) -> None:
        known, array = self.site.lun, self.site.array
        stored = array.lun_of(known.id) if known else array.lun_at(self.wish.address)
        if stored is None and known is None and (self._told_created or self._may_come):
            raise TimedOut("it may still appear on the array; when it does, run this task again or delete the LUN")
        if stored is None or not self._is_ours(stored):
            return
        if stored.comment or known is None:
            refuse_others_work(stored, self.site.mark, self.held(stored))
        refuse_written(stored, self.held(stored))
        if self.site.others_see_it:
            raise Refused(f"LUN {self.site.title} has been mapped to other initiators since it was made, and stays")
        self.site.last_look([stored.lun], made=True)
        self.site.delete_lun(stored.lun)
        self.site.lun = None

    def held(self, stored: StoredLun) -> int | None:
        """Bytes that the LUN held from the start."""
        return 0

    def before(self) -> Mapping[str, Any]:
        return {self.site.title: {"exists": False}}

    def after(self) -> Mapping[str, Any]:
        settings = {"os_type": self.wish.os_type, "thin": self.wish.thin, "comment": self.wish.comment}
        return {self.site.title: {"exists": True, "size_bytes": self.size_bytes, **settings}}

    def _is_ours(self, stored: StoredLun) -> bool:
        """Tell whether this run made a LUN: once ours was seen, by its id, because another may have come to its path since."""
        if self.site.lun is not None:
            return stored.lun.id == self.site.lun.id
        return self._told_created or self.site.mark in stored.comment

    def _find(self) -> bool:
        """Look for the LUN that this run made; one that somebody else put at its path is none of ours."""
        stored = self.site.array.lun_at(self.wish.address)
        if stored is None or not self._is_ours(stored):
            return False
        self.site.lun = stored.lun
        return True


@dataclass
class CloneLun(CreateLun):
    """Create a LUN as a clone of one in a snapshot, with a serial number of its own."""

    origin: CloneOrigin
    snapshot: Snapshot

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"create LUN {self.site.title} as a clone of {self.origin}"

    @property
    def comment(self) -> str:
        """This run's mark, what it is a clone of, then the user's text."""
        tokens = (clones.token(self.wish.address.volume, self.origin), clones.snapshot_token(self.snapshot))
        return " ".join((self.site.mark, *tokens, self.wish.comment)).rstrip()

    def create(self) -> None:
        try:
            self.site.array.clone_lun(self.wish.address, self.origin, self.wish.thin, self.comment, self.site.timeout)
        except OntapRefusal as error:
            if error.fault not in (*LUN_GONE, *SNAPSHOT_GONE):
                raise
            raise RemoteError(
                f"Snapshot {self.origin.snapshot} of volume {self.wish.address.svm}:{self.wish.address.volume} holds no LUN "
                f"{self.origin.lun}: correct the name of the LUN, or choose another snapshot.",
                error.code,
            ) from error

    def check_contents(self, lun: Lun) -> None:
        """Note what the clone holds; its size and its operating system are its origin's."""
        self.site.held = lun.used_bytes

    def held(self, stored: StoredLun) -> int | None:
        """What it held when it was seen first. One that was never seen is mapped nowhere, so that nobody can have written to it."""
        return self.site.held if self.site.lun else stored.lun.used_bytes

    def after(self) -> Mapping[str, Any]:
        return {self.site.title: {"exists": True, "clone_of": str(self.origin), "thin": self.wish.thin, "comment": self.wish.comment}}


@dataclass
class GrowLun(OntapStep):
    """Make a LUN larger. It has no way back, because LUNs never shrink."""

    old_bytes: int
    new_bytes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"grow LUN {self.site.title} from {self.old_bytes} to {self.new_bytes} bytes"

    def change(self) -> None:
        with fine_when(Fault.SAME_SIZE):
            self.site.array.grow_lun(self.site.require_lun(), self.new_bytes, self.site.timeout)

    def check(self) -> None:
        lun = self.site.read()
        if lun is None or not (lun.size_bytes >= self.new_bytes or is_rounding(self.new_bytes, lun.size_bytes)):
            raise RemoteError(f"LUN {self.site.title} did not grow: {_EVENTS}.")

    def before(self) -> Mapping[str, Any]:
        return {self.site.title: {"size_bytes": self.old_bytes}}

    def after(self) -> Mapping[str, Any]:
        return {self.site.title: {"size_bytes": self.new_bytes}}


@dataclass
class CreateGroup(OntapStep):
    """Create an igroup with its initiators."""

    group: Group

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"create igroup {self.site.svm}:{self.group.name}"
        self._told_made = False
        self._made_id = ""

    def change(self) -> None:
        try:
            self.site.array.create_group(self.site.svm, replace(self.group, comment=self.site.mark), self.site.timeout)
        except OntapRefusal as error:
            found = self.site.group(self.group.name) if error.fault is Fault.GROUP_EXISTS else None
            if found is None or not self._fits(found):
                raise
        else:
            self._told_made = True

    def check(self) -> None:
        found = self.site.group(self.group.name)
        if found is None or not self._fits(found):
            raise RemoteError(f"Igroup {self.site.svm}:{self.group.name} does not hold what it was created with: {_EVENTS}.")
        self._made_id = found.id

    def undo(self) -> None:
        made = self.site.group(self.group.name)
        if made is None or not self._is_ours(made):
            return
        others = sorted(made.initiators - self.group.initiators)
        if others:
            raise Refused(f"{', '.join(others)} came into it since it was made")
        if made.luns:
            raise Refused("LUNs are mapped to it")
        with fine_when(*GROUP_GONE):
            self.site.array.delete_group(self.site.svm, made, self.site.timeout)

    def before(self) -> Mapping[str, Any]:
        return {f"igroup {self.group.name}": {"exists": False}}

    def after(self) -> Mapping[str, Any]:
        group = self.group
        return {
            f"igroup {group.name}": {
                "exists": True, "os_type": group.os_type, "protocol": group.protocol, "initiators": sorted(group.initiators)
            }
        }  # fmt: skip

    def _is_ours(self, found: Group) -> bool:
        """Tell whether this run made it: by its comment or, where there is none, by what the array told and what was seen of it then."""
        if self.site.array.keeps_remarks:
            return found.comment == self.site.mark
        if self._told_made:
            return found.id == (self._made_id or found.id)
        if found.initiators <= self.group.initiators:
            raise Refused("nobody can tell whether this run made it")
        return False

    def _fits(self, found: Group) -> bool:
        return found.initiators >= self.group.initiators and found.os_type == self.group.os_type


@dataclass
class AddInitiators(OntapStep):
    """Add initiators to an igroup, all or none, each with this run's mark as its comment."""

    group: Group
    names: Sequence[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"add {', '.join(self.names)} to igroup {self.site.svm}:{self.group.name}"
        self._added: set[str] = set()
        self._unsure: set[str] = set()

    def change(self) -> None:
        missing = list(self.names)
        for _attempt in range(_ATTEMPTS):
            try:
                return self._add(missing)
            except OntapRefusal as error:
                if error.fault is not Fault.ALREADY_A_MEMBER:
                    self._take_back_a_part(error)
                    raise
                missing = self._missing()
                if not missing:
                    return None
        raise RemoteError(f"Igroup {self.site.svm}:{self.group.name} is being changed by somebody else: run the task again.")

    def check(self) -> None:
        missing = self._missing()
        if missing:
            raise RemoteError(f"Igroup {self.site.svm}:{self.group.name} did not take {', '.join(missing)}: {_EVENTS}.")

    def undo(self) -> None:
        """Take out whom this run has added, unless they use a LUN that they have come to see, whichever of the group's it is."""
        group = self.site.group(self.group.name)
        if group is None:
            return
        added = [name for name in self.names if self._is_ours(group, name)]
        if added:
            self._take_out(group, added)
        self._tell_of_the_unsure(group)

    def before(self) -> Mapping[str, Any]:
        return {f"igroup {self.group.name}": {"initiators": sorted(self.group.initiators)}}

    def after(self) -> Mapping[str, Any]:
        return {f"igroup {self.group.name}": {"initiators": sorted({*self.group.initiators, *self.names})}}

    def _add(self, names: Sequence[str]) -> None:
        """All or none, or, where the array takes one at a time, one after the other."""
        array = self.site.array
        for portion in [names] if array.keeps_remarks else [[name] for name in names]:
            try:
                array.add_initiators(self.site.svm, self.group, portion, self.site.mark, self.site.timeout)
                self._added |= set(portion)
            except OutcomeUnknown:
                self._unsure |= set(portion)
                if array.keeps_remarks or set(portion) & set(self._missing()):
                    raise

    def _take_out(self, group: Group, added: Sequence[str]) -> None:
        luns = self.site.array.luns_at(self.site.svm, sorted(group.luns.values()))
        self._look(luns)
        for name in added:
            with fine_when(Fault.NOT_A_MEMBER, *GROUP_GONE):
                self.site.array.remove_initiator(self.site.svm, self.group, name, self.site.timeout)
        try:
            self._look(luns)
        except CrossvisorError as error:
            with told_first(error, f"{', '.join(added)} had been taken out and could not be added again"):
                self.change()
            raise

    def _take_back_a_part(self, error: CrossvisorError) -> None:
        """Of a refusal nothing may be left, and the array may have refused one after it took another."""
        if self._added:
            self.take_back_because_of(error)

    def _tell_of_the_unsure(self, group: Group) -> None:
        """Raise `Refused` for members whose adding was not answered, where no comment tells who added them."""
        left = [] if self.site.array.keeps_remarks else sorted(self._unsure & group.initiators)
        if left:
            raise Refused(f"nobody can tell whether this run added {', '.join(left)}")

    def _is_ours(self, group: Group, name: str) -> bool:
        """Tell whether this run added a member; where there are no comments, whether the array told that it did."""
        if self.site.array.keeps_remarks:
            return group.remarks.get(name) == self.site.mark
        return name in group.initiators and name in self._added

    def _look(self, luns: Sequence[Lun]) -> None:
        if luns:
            own = self.site.lun if self.site.made else None
            self.site.last_look(luns, made=own is not None and all(lun.id == own.id for lun in luns))

    def _missing(self) -> list[str]:
        group = self.site.group(self.group.name)
        return [name for name in self.names if group is None or name not in group.initiators]


@dataclass
class MapLun(OntapStep):
    """Map the LUN to an igroup; when somebody else took the LUN id meanwhile, under the next free one unless the user named it."""

    wish: ProvisionWish
    group: str
    lun_id: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._choose(self.lun_id)
        self._sent = False
        self._used = self.site.lun.used_bytes if self.site.lun else None
        self._existed = self.site.lun is not None
        self._made: CreateGroup | None = None

    def change(self) -> None:
        for _attempt in range(_ATTEMPTS):
            try:
                return self._map()
            except OntapRefusal as error:
                gone = error.fault is Fault.NO_GROUP
                if not gone and error.fault is not Fault.MAP_RACE:
                    raise
                way = self._look_again()
                if way is None:
                    return None
                if way.group.name != self.group or (way.lun_id == self.lun_id and not gone):
                    raise
                self._make_again(way.group)
                self._choose(way.lun_id)
        raise RemoteError(f"LUN id {self.lun_id} and {_ATTEMPTS - 1} before it were taken by somebody else meanwhile: run the task again.")

    def check(self) -> None:
        lun = self.site.read()
        blind = blind_initiators(self.wish, lun)
        if blind:
            raise RemoteError(f"LUN {self.site.title} was mapped to igroup {self.group}, but {', '.join(blind)} cannot see it: {_EVENTS}.")
        if self.wish.exclusive and lun is not None:
            # Of two runs that mapped it at once, each sees the other's mapping, and takes back its own and nothing else.
            self.site.others_see_it = bool(self.wish.strangers(lun))
            _refuse_if_others_see(lun, self.wish)

    def undo(self) -> None:
        lun = self.site.read() if self._sent else None
        for mapping in lun.mappings if lun else ():
            if lun and mapping.group == self.group and mapping.lun_id == self.lun_id:
                self._take_back(lun, mapping)
        if self._made is not None:
            self._made.undo()

    def before(self) -> Mapping[str, Any]:
        return {self.site.title: {f"LUN id in igroup {self.group}": None}}

    def after(self) -> Mapping[str, Any]:
        return {self.site.title: {f"LUN id in igroup {self.group}": self.lun_id}}

    def _take_back(self, lun: Lun, mapping: LunMapping) -> None:
        """Unmap what nobody uses; who has got it between the look and the unmapping gets it back."""
        _refuse_if_written_since(self._used if self._existed else self.site.held, lun, self.site.title)
        self.site.last_look([lun], self.site.made)
        self.site.unmap(mapping)
        try:
            self.site.last_look([lun], self.site.made)
        except CrossvisorError as error:
            with told_first(error, "it had been unmapped and could not be mapped again as it was"):
                self._give_back()
            raise

    def _give_back(self) -> None:
        try:
            self.site.map_again(self.lun_id, self.group)
        except OntapRefusal as error:
            if error.fault is not Fault.NO_GROUP:
                raise
            self.change()

    def _make_again(self, group: Group) -> None:
        """Make the group that a removal has deleted since it was found without a LUN."""
        if not group.id:
            self._made = CreateGroup(self.site, group)
            self._made.change()

    def _choose(self, lun_id: int) -> None:
        self.lun_id = lun_id
        self.title = f"map LUN {self.site.title} to igroup {self.group} as LUN id {lun_id}"

    def _map(self) -> None:
        try:
            self.site.map(self.lun_id, self.group)
        except OutcomeUnknown:
            self._sent = True
            raise
        self._sent = True

    def _look_again(self) -> Route | None:
        self.site.read()
        return find_route(self.site, self.wish)
