# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Initiator groups: what they hold, and through which one the initiators of a wish come to see a LUN. Pure; asks nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import ProvisionWish
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    Refused,
    option,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import initiator_kind
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun

LUN_IDS = range(4096)
"""ONTAP's logical unit numbers."""

_PREFIX = "crossvisor_"
_PROTOCOLS = {frozenset({"fc"}): "fcp", frozenset({"iscsi"}): "iscsi"}
_MIXED = "mixed"
_OS_TYPES = {"windows_2008": "windows", "windows_gpt": "windows", "solaris_efi": "solaris"}


@dataclass(frozen=True)
class Group:
    """An initiator group with its effective members, which are lower-case, and the LUNs mapped to it."""

    id: str
    """UUID; empty while the group does not exist."""
    name: str
    os_type: str
    protocol: str
    initiators: frozenset[str]
    luns: Mapping[int, str] = field(default_factory=dict)
    """Paths by LUN id."""
    comment: str = ""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Comments by initiator."""
    told: bool = True
    """Whether the array tells all who are in it."""


@dataclass(frozen=True)
class Route:
    """How those initiators of a wish that do not see the LUN come to see it."""

    group: Group
    """As it was observed, or as it is to be created."""
    join: Sequence[str]
    """Initiators that the existing group lacks."""
    lun_id: int
    mapped: bool
    """The group has the LUN already."""


def group_name(initiators: Iterable[str]) -> str:
    """The name of the group that we make for exactly these initiators."""
    members = "\n".join(sorted(initiators))
    return _PREFIX + hashlib.sha256(members.encode()).hexdigest()[:12]


def is_ours(group: Group) -> bool:
    """Tell whether the group is one that we made and nobody changed."""
    return group.name == group_name(group.initiators)


def is_begun(group: Group, initiators: Collection[str]) -> bool:
    """Tell whether a run of ours was stopped while it put these initiators into the group that it had made for them."""
    return group.name == group_name(initiators) and group.initiators < set(initiators) and not group.luns


def group_os_type(os_type: str) -> str:
    """The operating system type of igroups for LUNs of this type: igroups know fewer."""
    return _OS_TYPES.get(os_type, os_type)


def ids_seen(lun: Lun, initiators: Collection[str]) -> dict[str, int]:
    """The LUN id under which each of these initiators sees the LUN; those that do not are missing."""
    return {
        initiator: mapping.lun_id
        for mapping in lun.mappings
        for initiator in mapping.initiators
        if initiator in initiators and mapping.lun_id is not None
    }


def blind_initiators(wish: ProvisionWish, lun: Lun | None) -> list[str]:
    """The initiators of the wish that do not see the LUN, sorted. Raises `Refused` when others see it under another id than wished."""
    seen = _seen(wish, lun)
    _settled_id(wish, seen)
    return sorted(set(_wanted(wish)) - set(seen))


def route(wish: ProvisionWish, lun: Lun | None, groups: Sequence[Group]) -> Route | None:
    """The way to the LUN for those who lack it, None when all see it already under one id.

    Raises `Refused` when no way leads there without changing what initiators see today.
    """
    missing = blind_initiators(wish, lun)
    if not missing:
        return None
    group = _named(wish, missing, groups) if wish.group else _exact(wish, missing, groups)
    join = [name for name in missing if name not in group.initiators]
    current = _current_id(lun, group)
    _refuse_other_os_type(group, join, groups)
    _refuse_other_protocol(group, join)
    _refuse_clash_of_joining(group, join, groups)
    if lun is not None and current is None:
        _refuse_second_way(group, lun)
    seen = _seen(wish, lun)
    lun_id = _settled_id(wish, seen if current is None else {**seen, f"igroup {group.name}": current})
    taken = _taken_ids(group.initiators | set(_wanted(wish)), groups, _path(wish))
    return Route(group, join if group.id else (), _free_id(wish, lun_id, taken), current is not None)


def _current_id(lun: Lun | None, group: Group) -> int | None:
    """The id under which the group has the LUN already."""
    mappings = lun.mappings if lun and group.id else ()
    return next((mapping.lun_id for mapping in mappings if mapping.group_id == group.id), None)


def _wanted(wish: ProvisionWish) -> list[str]:
    return [name.lower() for name in wish.initiators]


def _seen(wish: ProvisionWish, lun: Lun | None) -> dict[str, int]:
    return ids_seen(lun, _wanted(wish)) if lun else {}


def _path(wish: ProvisionWish) -> str:
    return f"/vol/{wish.address.volume}/{wish.address.lun}"


def _settled_id(wish: ProvisionWish, seen: Mapping[str, int]) -> int | None:
    """The id that is already decided, by the wish or by those who have the LUN."""
    found = sorted(set(seen.values()))
    if len(found) > 1:
        ids = ", ".join(f"{who}: {lun_id}" for who, lun_id in sorted(seen.items()))
        raise Refused(f"LUN {wish.address} is mapped under different LUN ids ({ids}): unmap it from all but one igroup first.")
    if wish.lun_id is not None and found and found[0] != wish.lun_id:
        raise Refused(
            f"LUN {wish.address} is already mapped as LUN id {found[0]}, not {wish.lun_id}: leave lun_id out, "
            "or unmap the LUN first, when nothing uses it."
        )
    return found[0] if found else wish.lun_id


def _named(wish: ProvisionWish, missing: Sequence[str], groups: Sequence[Group]) -> Group:
    os_type = group_os_type(wish.group_os_type or wish.os_type)
    name = str(wish.group)
    group = next((known for known in groups if known.name == name), None)
    if group is None:
        return _new_group(name, os_type, missing)
    if group.os_type != os_type:
        raise Refused(
            f"Igroup {wish.address.svm}:{name} has os_type {group.os_type}, not {os_type}: "
            f"name another one in {option('igroup')}, or say igroup_os_type={group.os_type} if that is what its initiators run."
        )
    return group


def _exact(wish: ProvisionWish, missing: Sequence[str], groups: Sequence[Group]) -> Group:
    os_type = group_os_type(wish.group_os_type or wish.os_type)
    own_name = group_name(missing)
    fitting = [group for group in groups if group.initiators == set(missing) and group.os_type == os_type]
    if fitting:
        return min(fitting, key=lambda group: (group.name != own_name, group.name))
    changed = next((group for group in groups if group.name == own_name), None)
    if changed is not None and changed.os_type == os_type and is_begun(changed, missing):
        return changed
    if changed is not None:
        raise Refused(
            f"Igroup {wish.address.svm}:{own_name} no longer holds exactly the initiators it was made for, "
            f"or has another os_type than {os_type}: rename it, or name the igroup to use."
        )
    return _new_group(own_name, os_type, missing)


def _new_group(name: str, os_type: str, initiators: Sequence[str]) -> Group:
    kinds = frozenset(initiator_kind(initiator) for initiator in initiators)
    return Group("", name, os_type, _PROTOCOLS.get(kinds, _MIXED), frozenset(initiators))


def _refuse_other_os_type(group: Group, join: Sequence[str], groups: Sequence[Group]) -> None:
    """ONTAP keeps an initiator in groups of one os_type only."""
    newcomers = set(join) if group.id else group.initiators
    for other in groups:
        shared = sorted(newcomers & other.initiators)
        if shared and other.os_type != group.os_type:
            raise Refused(
                f"Initiator {shared[0]} is in igroup {other.name} of os_type {other.os_type} and cannot be in {group.name} of os_type "
                f"{group.os_type} as well: give os_type {other.os_type}, or take it out of {other.name}."
            )


def _refuse_other_protocol(group: Group, join: Sequence[str]) -> None:
    for initiator in join:
        protocol = _PROTOCOLS[frozenset({initiator_kind(initiator)})]
        if group.protocol not in (_MIXED, protocol):
            raise Refused(f"Igroup {group.name} takes {group.protocol} initiators only and {initiator} is none: name another igroup.")


def _refuse_clash_of_joining(group: Group, join: Sequence[str], groups: Sequence[Group]) -> None:
    """A newcomer must not see a LUN twice, nor two LUNs under one id."""
    newcomers = set(join)
    for other in groups:
        shared = sorted(newcomers & other.initiators)
        if not shared:
            continue
        for lun_id, path in group.luns.items():
            if lun_id in other.luns or path in other.luns.values():
                raise Refused(
                    f"Initiator {shared[0]} cannot join igroup {group.name}, which has LUN {path} as LUN id {lun_id}: "
                    f"through igroup {other.name} it already sees that LUN, or another one under that id; name another igroup, or none."
                )


def _refuse_second_way(group: Group, lun: Lun) -> None:
    """ONTAP shows an initiator a LUN through one group only."""
    for mapping in lun.mappings:
        shared = sorted(group.initiators & set(mapping.initiators))
        if shared:
            raise Refused(
                f"LUN {lun.svm}:{lun.path} cannot be mapped to igroup {group.name}: its initiator {shared[0]} already sees the LUN "
                f"through igroup {mapping.group}; name {mapping.group} instead, or unmap the LUN from it first."
            )


def _taken_ids(initiators: frozenset[str], groups: Sequence[Group], path: str) -> dict[int, str]:
    """The ids under which these initiators see other LUNs than the one at `path`."""
    return {lun_id: other for group in groups if initiators & group.initiators for lun_id, other in group.luns.items() if other != path}


def _free_id(wish: ProvisionWish, lun_id: int | None, taken: Mapping[int, str]) -> int:
    if lun_id is None:
        free = next((candidate for candidate in LUN_IDS if candidate not in taken), None)
        if free is None:
            raise Refused(f"The initiators for LUN {wish.address} have no LUN id left: unmap LUNs that are no longer used.")
        return free
    if lun_id in taken:
        raise Refused(
            f"LUN id {lun_id} is taken by LUN {wish.address.svm}:{taken[lun_id]} for at least one of the initiators of LUN {wish.address}: "
            "ask for another lun_id, or for none to get the lowest free one."
        )
    return lun_id
