# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LUNs as an ONTAP tells of them, and who sees them. Pure; asks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LunAddress
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, LunMapping


@dataclass(frozen=True)
class StoredLun:
    """A LUN as the array shows it, with the comment that tells who made it."""

    lun: Lun
    comment: str
    volume_id: str = ""


def lun_path(address: LunAddress) -> str:
    """ONTAP's name of the LUN."""
    return f"/vol/{address.volume}/{address.lun}"


def tells_initiators(lun: Lun) -> bool:
    """Tell whether it is known who sees the LUN."""
    return all(mapping.told for mapping in lun.mappings)


def with_initiators(lun: Lun, groups: Sequence[Group]) -> Lun:
    """The LUN with the members of its groups."""
    known = {group.id: group for group in groups}
    return replace(lun, mappings=tuple(_told(mapping, known.get(mapping.group_id)) for mapping in lun.mappings))


def _told(mapping: LunMapping, group: Group | None) -> LunMapping:
    return mapping if group is None else replace(mapping, initiators=tuple(sorted(group.initiators)), told=group.told)
