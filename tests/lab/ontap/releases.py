# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which release of ONTAP a field came that the array of the lab plays: what an older one neither tells nor takes in a query.

Source: the schemas of NetApp's own library `netapp-ontap`, of which each release of ONTAP has one on PyPI; 9.10.1 to 9.18.1 were compared
field by field. There is none of 9.11.1: what 9.12.1 has and 9.10.1 lacks counts as newer than 9.11.1.
"""

from __future__ import annotations

from collections.abc import Mapping

Release = tuple[int, int, int]
Since = tuple[tuple[str, Release], ...]

OLDEST: Release = (9, 11, 1)
"""The oldest release that the collection takes."""
NEWEST: Release = (9, 18, 1)
PLAYED: tuple[Release, ...] = (OLDEST, (9, 13, 1), (9, 16, 1), NEWEST)

LUN: Since = (
    ("lun_maps.igroup.comment", (9, 16, 1)),
    ("lun_maps.igroup.igroups", (9, 16, 1)),
    ("lun_maps.igroup.initiators", (9, 16, 1)),
    ("lun_maps.igroup.os_type", (9, 16, 1)),
    ("lun_maps.igroup.protocol", (9, 16, 1)),
    ("serial_number_hex", (9, 17, 1)),
    ("space.efficiency_ratio", (9, 16, 1)),
    ("space.physical_used", (9, 16, 1)),
    ("space.physical_used_by_snapshots", (9, 16, 1)),
    ("space.snapshot", (9, 18, 1)),
)
IGROUP: Since = (
    ("connectivity_tracking", (9, 12, 1)),
    ("target", (9, 12, 1)),
    ("replication", (9, 15, 1)),
)
INITIATOR: Since = (("connectivity_tracking", (9, 12, 1)), ("proximity", (9, 15, 1)))
LUN_MAP: Since = (("igroup.replicated", (9, 15, 1)),)
CLUSTER: Since = (("disaggregated", (9, 16, 1)),)


def release_of(version: Mapping[str, int]) -> Release:
    """Return the release that a `version` of the REST interface names."""
    return version["generation"], version["major"], version["minor"]


def parse(text: str) -> Release:
    """Return the release of a text such as `9.11.1`; raises ValueError for anything else."""
    try:
        generation, major, minor = (int(part) for part in text.split("."))
    except ValueError as error:
        raise ValueError(f"{text!r} is no release of ONTAP such as 9.11.1") from error
    return generation, major, minor


def written(release: Release) -> str:
    """Return the release as people write it."""
    return ".".join(str(part) for part in release)
