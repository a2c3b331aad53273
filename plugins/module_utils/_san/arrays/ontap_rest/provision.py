# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create, grow and map a LUN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Change, LastLook, ProvisionWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes, lookup, states
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import JobUnfinished, OntapClient, segment
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.groups import (
    LUN_IDS,
    Group,
    Route,
    blind_initiators,
    route,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.site import (
    SETTLE_SECONDS,
    OntapStep,
    Site,
    refuse_others_work,
    refuse_written,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    InvalidInput,
    OutcomeUnknown,
    Refused,
    RemoteError,
    TimedOut,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, LunMapping
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan

CYLINDER = 255 * 63 * 512
"""Octets to a multiple of which ONTAP rounds the LUNs of some operating systems; for others it takes smaller units."""

_LONGEST_COMMENT = 254
_ATTEMPTS = 5
_EVENTS = "look at the array's event log"


def plan_provision(client: OntapClient, wish: ProvisionWish, last_look: LastLook) -> Change:
    """The steps to the wish. One request when nothing has to be done, two before ONTAP 9.16.

    Raises `NotFound`, `InvalidInput` or `Refused` when the wish cannot be fulfilled, also for a LUN that its array keeps from its hosts.
    """
    _check(wish)
    stored = lookup.lun_at(client, wish.address)
    lun = stored.lun if stored else None
    site = Site(client, wish.address.svm, str(wish.address), wish.timeout, lun, last_look=last_look, made=lun is None)
    if lun is None:
        steps: list[OntapStep] = [_creation(site, wish), *_mapping_steps(site, wish)]
    else:
        states.refuse_unless_online(lun)
        _refuse_other_os_type(wish, lun)
        steps = [*_mapping_steps(site, wish), *_growth(site, wish, lun)]
    return Change(Plan(steps, states.warnings(lun) if lun else ()), site.report, mark=site.mark)


def is_rounding(asked: int, actual: int) -> bool:
    """Tell whether the array made this size out of the asked one: never far off, and rounded down only to whole cylinders."""
    if actual >= asked:
        return actual - asked < CYLINDER
    return actual == asked // CYLINDER * CYLINDER


def _check(wish: ProvisionWish) -> None:
    if wish.size_bytes is not None and wish.size_bytes <= 0:
        raise InvalidInput(f"The size {wish.size_bytes} of LUN {wish.address} is not a number of bytes above zero.")
    if wish.lun_id is not None and wish.lun_id not in LUN_IDS:
        raise InvalidInput(f"LUN id {wish.lun_id} for LUN {wish.address} is not one of {LUN_IDS.start} to {LUN_IDS.stop - 1}.")


def _creation(site: Site, wish: ProvisionWish) -> CreateLun:
    if wish.size_bytes is None:
        raise lookup.no_lun(site.client, wish.address, "give a size to create it, or correct its name")
    lookup.require_place(site.client, wish.address)
    step = CreateLun(site, wish, wish.size_bytes)
    if len(step.comment) > _LONGEST_COMMENT:
        room = _LONGEST_COMMENT - len(site.mark) - 1
        raise InvalidInput(f"The comment for LUN {wish.address} has {len(wish.comment)} characters: shorten it to {room}.")
    return step


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
    if lun is not None and lookup.tells_initiators(lun) and not blind_initiators(wish, lun):
        return None
    groups = lookup.groups_of(site.client, site.svm)
    site.lun = lookup.with_initiators(lun, groups) if lun else None
    return route(wish, site.lun, groups)


@dataclass
class CreateLun(OntapStep):
    """Create a LUN, and know it again by its comment even when the answer was lost."""

    wish: ProvisionWish
    size_bytes: int

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
        body = {
            "svm": {"name": self.wish.address.svm},
            "name": lookup.lun_path(self.wish.address),
            "os_type": self.wish.os_type,
            "space": {"size": self.size_bytes, "guarantee": {"requested": not self.wish.thin}},
            "comment": self.comment,
        }
        try:
            self.site.client.post("/storage/luns", body, self.site.timeout)
        except JobUnfinished:
            self._may_come = True
            raise
        except RemoteError as error:
            if error.code not in codes.CREATED_INCOMPLETE:
                raise
        self._told_created = True

    def settled(self) -> bool:
        """After a lost answer, tell whether the LUN is there and was made by this run."""
        if not self.site.client.wait_for(self._find, SETTLE_SECONDS):
            return False
        return super().settled()

    def check(self) -> None:
        if not self.site.client.wait_for(self._find, self.site.timeout):
            raise TimedOut(f"LUN {self.site.title} was created but is not visible after {self.site.timeout:g} s: look for it on the array.")
        lun = self.site.require_lun()
        if not is_rounding(self.size_bytes, lun.size_bytes) or lun.os_type != self.wish.os_type:
            raise RemoteError(
                f"LUN {self.site.title} was created with {lun.size_bytes} bytes and os_type {lun.os_type}, not as asked: {_EVENTS}."
            )

    def undo(self) -> None:
        known, client = self.site.lun, self.site.client
        stored = lookup.lun_of(client, known.id) if known else lookup.lun_at(client, self.wish.address)
        if stored is None and known is None and (self._told_created or self._may_come):
            raise TimedOut("it may still appear on the array; when it does, run this task again or delete the LUN")
        if stored is None or not self._is_ours(stored):
            return
        if stored.comment or known is None:
            refuse_others_work(stored, self.site.mark)
        refuse_written(stored)
        if self.site.others_see_it:
            raise Refused(f"LUN {self.site.title} has been mapped to other initiators since it was made, and stays")
        self.site.last_look([stored.lun], made=True)
        self.site.delete(f"/storage/luns/{stored.lun.id}", codes.NO_LUN, allow_delete_while_mapped="false")
        self.site.lun = None

    def before(self) -> Mapping[str, Any]:
        return {self.site.title: {"exists": False}}

    def after(self) -> Mapping[str, Any]:
        settings = {"os_type": self.wish.os_type, "thin": self.wish.thin, "comment": self.wish.comment}
        return {self.site.title: {"exists": True, "size_bytes": self.size_bytes, **settings}}

    def _is_ours(self, stored: lookup.StoredLun) -> bool:
        """Tell whether this run made a LUN: once ours was seen, by its id, because another may have come to its path since."""
        if self.site.lun is not None:
            return stored.lun.id == self.site.lun.id
        return self._told_created or self.site.mark in stored.comment

    def _find(self) -> bool:
        """Look for the LUN that this run made; one that somebody else put at its path is none of ours."""
        stored = lookup.lun_at(self.site.client, self.wish.address)
        if stored is None or not self._is_ours(stored):
            return False
        self.site.lun = stored.lun
        return True


@dataclass
class GrowLun(OntapStep):
    """Make a LUN larger. It has no way back, because LUNs never shrink."""

    old_bytes: int
    new_bytes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"grow LUN {self.site.title} from {self.old_bytes} to {self.new_bytes} bytes"

    def change(self) -> None:
        path = f"/storage/luns/{self.site.require_lun().id}"
        try:
            self.site.client.patch(path, {"space": {"size": self.new_bytes}}, self.site.timeout)
        except RemoteError as error:
            if error.code != codes.SAME_SIZE:
                raise

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

    def change(self) -> None:
        body = {
            "svm": {"name": self.site.svm},
            "name": self.group.name,
            "os_type": self.group.os_type,
            "protocol": self.group.protocol,
            "comment": self.site.mark,
            "initiators": [{"name": name} for name in sorted(self.group.initiators)],
        }
        try:
            self.site.client.post("/protocols/san/igroups", body, self.site.timeout)
        except RemoteError as error:
            if error.code != codes.GROUP_EXISTS or not self._fits(self.site.group(self.group.name)):
                raise

    def check(self) -> None:
        if not self._fits(self.site.group(self.group.name)):
            raise RemoteError(f"Igroup {self.site.svm}:{self.group.name} does not hold what it was created with: {_EVENTS}.")

    def undo(self) -> None:
        made = self.site.group(self.group.name)
        if made is None or made.comment != self.site.mark:
            return
        if made.luns:
            raise Refused("LUNs are mapped to it")
        path = f"/protocols/san/igroups/{made.id}"
        self.site.delete(path, (codes.GROUP_NOT_FOUND, codes.ENTRY_NOT_FOUND), allow_delete_while_mapped="false")

    def before(self) -> Mapping[str, Any]:
        return {f"igroup {self.group.name}": {"exists": False}}

    def after(self) -> Mapping[str, Any]:
        group = self.group
        return {
            f"igroup {group.name}": {
                "exists": True, "os_type": group.os_type, "protocol": group.protocol, "initiators": sorted(group.initiators)
            }
        }  # fmt: skip

    def _fits(self, found: Group | None) -> bool:
        return found is not None and found.initiators >= self.group.initiators and found.os_type == self.group.os_type


@dataclass
class AddInitiators(OntapStep):
    """Add initiators to an igroup, all or none, each with this run's mark as its comment."""

    group: Group
    names: Sequence[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"add {', '.join(self.names)} to igroup {self.site.svm}:{self.group.name}"

    @property
    def path(self) -> str:
        """The group's initiators."""
        return f"/protocols/san/igroups/{self.group.id}/initiators"

    def change(self) -> None:
        missing = list(self.names)
        for _attempt in range(_ATTEMPTS):
            try:
                records = [{"name": name, "comment": self.site.mark} for name in missing]
                self.site.client.post(self.path, {"records": records}, self.site.timeout)
                return
            except RemoteError as error:
                if error.code != codes.ALREADY_A_MEMBER:
                    raise
                missing = self._missing()
                if not missing:
                    return
        raise RemoteError(f"Igroup {self.site.svm}:{self.group.name} is being changed by somebody else: run the task again.")

    def check(self) -> None:
        missing = self._missing()
        if missing:
            raise RemoteError(f"Igroup {self.site.svm}:{self.group.name} did not take {', '.join(missing)}: {_EVENTS}.")

    def undo(self) -> None:
        """Take out whom this run has added, unless they use a LUN that they have come to see, whichever of the group's it is."""
        group = self.site.group(self.group.name)
        added = [name for name in self.names if group and group.remarks.get(name) == self.site.mark]
        if group is None or not added:
            return
        luns = lookup.luns_at(self.site.client, self.site.svm, sorted(group.luns.values()))
        self._look(luns)
        for name in added:
            gone = (codes.NOT_A_MEMBER, codes.GROUP_NOT_FOUND, codes.ENTRY_NOT_FOUND)
            self.site.delete(f"{self.path}/{segment(name)}", gone, allow_delete_while_mapped="true")
        try:
            self._look(luns)
        except CrossvisorError:
            self.change()
            raise

    def before(self) -> Mapping[str, Any]:
        return {f"igroup {self.group.name}": {"initiators": sorted(self.group.initiators)}}

    def after(self) -> Mapping[str, Any]:
        return {f"igroup {self.group.name}": {"initiators": sorted({*self.group.initiators, *self.names})}}

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
        self._used = self.site.lun.used_bytes if self.site.lun else 0
        self._made: CreateGroup | None = None

    def change(self) -> None:
        for _attempt in range(_ATTEMPTS):
            try:
                return self._map()
            except RemoteError as error:
                gone = error.code in codes.NO_GROUP
                if not gone and error.code not in codes.MAP_RACES:
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
        _refuse_if_written_since(self._used, lun, self.site.title)
        self.site.last_look([lun], self.site.made)
        self.site.unmap(mapping.group_id)
        try:
            self.site.last_look([lun], self.site.made)
        except CrossvisorError:
            self._give_back()
            raise

    def _give_back(self) -> None:
        try:
            self.site.map_again(self.lun_id, self.group)
        except RemoteError as error:
            if error.code not in codes.NO_GROUP:
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
