# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unmap and delete a LUN, in the order that loses nothing: unmap, remove the groups that we made for it, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Change, CloneOrigin, LunAddress, WithdrawWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import clones, states
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import GROUP_GONE, Fault
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group, is_begun, is_ours
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun, with_initiators
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.places import find, missing_place
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import OntapStep, Site, fine_when, refuse_others_work
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import Transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.entity_name import did_you_mean
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, LunMapping
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Plan


def plan_withdraw(array: Transport, wish: WithdrawWish) -> Change:
    """The steps to the wish; of a LUN that does not exist, only what an earlier run left of its groups. At most two requests, and three for
    such a LUN; more where its SVM or volume does not exist. Of one that is known by its name alone, igroups of all SVMs are read.

    Raises `Refused` when the LUN would be taken from initiators that the wish does not name, and when it shall be deleted and cannot be.
    """
    stored = find(array, wish.lun)
    if stored is None:
        unknown = missing_place(array, wish.lun) if isinstance(wish.lun, LunAddress) else ()
        return Change(Plan(_sweep(array, wish), unknown), lambda: None)
    _refuse_another(stored, wish.made_by, wish.clone_of)
    lun = stored.lun
    states.refuse_without_volume(lun)
    title = f"{lun.svm}:{lun.path}"
    groups = array.groups_of(lun.svm) if lun.mappings or wish.initiators else []
    site = Site(array, lun.svm, title, wish.timeout, with_initiators(lun, groups))
    leaving = _leaving(wish, site.require_lun())
    steps: list[OntapStep] = [UnmapLun(site, mapping) for mapping in leaving]
    steps += [DeleteGroup(site, group, wanted_by_others) for group, wanted_by_others in _own(groups, leaving, lun)]
    steps += [DeleteGroup(site, group) for group in groups if _is_left_over(group, wish)]
    if wish.delete:
        _refuse_other_groups(lun, leaving)
        states.refuse_unless_deletable(lun)
        steps.append(DeleteLun(site, lun, wish.made_by, wish.clone_of))
    return Change(Plan(steps, _unknown_group(wish, lun, title)), site.report, leaving)


def _refuse_another(stored: StoredLun, made_by: str, clone_of: CloneOrigin | None) -> None:
    """Raise `Refused` for a LUN that is not of that run, or no clone of that origin, as far as either is said.

    What a clone holds is its origin's, so that it need not be empty to be as it was made; how much it holds has to be told all the same.
    """
    if made_by:
        refuse_others_work(stored, made_by, stored.lun.used_bytes if clone_of else 0)
    if clone_of is not None:
        clones.refuse_another(stored, clone_of)


def _unknown_group(wish: WithdrawWish, lun: Lun, title: str) -> list[str]:
    """That a group does not map the LUN, as a warning, where one with nearly that name does."""
    near = did_you_mean([wish.group], [mapping.group for mapping in lun.mappings]) if wish.group else "."
    if near == "." or any(mapping.group == wish.group for mapping in lun.mappings):
        return []
    return [f"LUN {title} is not mapped to an igroup {wish.group}, so that it was not unmapped from one: correct its name{near}"]


def _sweep(array: Transport, wish: WithdrawWish) -> list[OntapStep]:
    """What runs that were stopped left behind: in the SVM that the wish names or, for a name that tells no SVM, in any."""
    if not wish.initiators:
        return []
    if isinstance(wish.lun, LunAddress):
        there = [(wish.lun.svm, group) for group in array.groups_of(wish.lun.svm)]
    else:
        there = array.groups_by_svm()
    return [DeleteGroup(Site(array, svm, str(wish.lun), wish.timeout), group) for svm, group in there if _is_left_over(group, wish)]


def _is_left_over(group: Group, wish: WithdrawWish) -> bool:
    """Whether we made the group for initiators of the wish, and no LUN is mapped to it: an earlier run did not get to delete it."""
    named = {name.lower() for name in wish.initiators}
    return (is_ours(group) and not group.luns and group.initiators <= named) or is_begun(group, named)


def _leaving(wish: WithdrawWish, lun: Lun) -> list[LunMapping]:
    """The mappings that the wish means."""
    if wish.group is None and not wish.initiators:
        if len(lun.mappings) > 1:
            raise Refused(
                f"LUN {lun.svm}:{lun.path} is mapped to several igroups ({_names(lun.mappings)}): "
                "say by igroup or initiators from which it shall be unmapped."
            )
        return list(lun.mappings)
    named = {name.lower() for name in wish.initiators}
    return [mapping for mapping in lun.mappings if mapping.group == wish.group or named & set(mapping.initiators)]


def _own(groups: Sequence[Group], leaving: Sequence[LunMapping], lun: Lun) -> list[tuple[Group, bool]]:
    """The groups that we made, each with whether other LUNs were mapped to it when it was looked at."""
    left = {mapping.group_id for mapping in leaving}
    return [(group, not set(group.luns.values()) <= {lun.path}) for group in groups if group.id in left and is_ours(group)]


def _refuse_other_groups(lun: Lun, leaving: Sequence[LunMapping]) -> None:
    left = {mapping.group_id for mapping in leaving}
    others = [mapping for mapping in lun.mappings if mapping.group_id not in left]
    if others:
        raise Refused(
            f"LUN {lun.svm}:{lun.path} is also mapped to igroups that were not named ({_names(others)}) and is not deleted: "
            "unmap it from them first, when nothing uses it there."
        )


def _names(mappings: Sequence[LunMapping]) -> str:
    return ", ".join(sorted(mapping.group for mapping in mappings))


@dataclass
class UnmapLun(OntapStep):
    """Take the LUN from an igroup; the way back maps it again under the same id."""

    mapping: LunMapping

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"unmap LUN {self.site.title} from igroup {self.mapping.group}"

    def change(self) -> None:
        self.site.unmap(self.mapping)

    def check(self) -> None:
        if self._is_mapped():
            raise RemoteError(f"LUN {self.site.title} is still mapped to igroup {self.mapping.group}: look at the array's event log.")

    def undo(self) -> None:
        if self.mapping.lun_id is not None and not self._is_mapped():
            self.site.map_again(self.mapping.lun_id, self.mapping.group)

    def before(self) -> Mapping[str, Any]:
        return {self.site.title: {f"LUN id in igroup {self.mapping.group}": self.mapping.lun_id}}

    def after(self) -> Mapping[str, Any]:
        return {self.site.title: {f"LUN id in igroup {self.mapping.group}": None}}

    def _is_mapped(self) -> bool:
        stored = self.site.array.lun_of(self.site.require_lun().id)
        return stored is not None and any(mapping.group == self.mapping.group for mapping in stored.lun.mappings)


@dataclass
class DeleteGroup(OntapStep):
    """Delete an igroup that we made, unless another LUN is mapped to it by then.

    Runs that take the last LUNs of a group away side by side each see the other's LUN there, so that each has to look once its own is gone.
    """

    group: Group
    wanted_by_others: bool = False
    """Whether another LUN was mapped to it when it was looked at first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"delete igroup {self.site.svm}:{self.group.name}, to which no LUN is mapped any more"

    def done(self) -> bool:
        if super().done() or not self.wanted_by_others:
            return super().done()
        if not self.site.touched:
            return True
        found = self.site.group(self.group.name)
        return found is None or bool(found.luns) or not is_ours(found)

    def change(self) -> None:
        with fine_when(Fault.GROUP_IS_MAPPED, *GROUP_GONE):
            self.site.array.delete_group(self.site.svm, self.group, self.site.timeout)

    def check(self) -> None:
        found = self.site.group(self.group.name)
        if found is not None and not found.luns:
            raise RemoteError(f"Igroup {self.site.svm}:{self.group.name} is still there: look at the array's event log.")

    def undo(self) -> None:
        if self.site.group(self.group.name) is not None:
            return
        self.site.array.create_group(self.site.svm, self.group, self.site.timeout)

    def before(self) -> Mapping[str, Any]:
        return {f"igroup {self.group.name}": {"exists": True, "initiators": sorted(self.group.initiators)}}

    def after(self) -> Mapping[str, Any]:
        return {f"igroup {self.group.name}": {"exists": False}}


@dataclass
class DeleteLun(OntapStep):
    """Delete a LUN that is mapped nowhere, with its data. It has no way back, and is therefore the last step."""

    lun: Lun
    made_by: str = ""
    clone_of: CloneOrigin | None = None
    final = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.title = f"delete LUN {self.site.title} with its data"

    def change(self) -> None:
        stored = self.site.array.lun_of(self.lun.id) if self.made_by or self.clone_of else None
        if stored is not None:
            _refuse_another(stored, self.made_by, self.clone_of)
        self.site.delete_lun(self.lun)

    def check(self) -> None:
        if self.site.array.lun_of(self.lun.id) is not None:
            raise RemoteError(f"LUN {self.site.title} is still there: look at the array's event log.")

    def before(self) -> Mapping[str, Any]:
        return {self.site.title: {"exists": True, "size_bytes": self.lun.size_bytes, "os_type": self.lun.os_type}}

    def after(self) -> Mapping[str, Any]:
        return {self.site.title: {"exists": False}}
