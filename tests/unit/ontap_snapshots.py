# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of snapshots on ONTAP share: LUNs in two volumes, and what an array tells of their snapshots."""

from __future__ import annotations

from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import (
    LunAddress,
    Restoration,
    RestoreWish,
    SnapshotRemoval,
    SnapshotWish,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Snapshot
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Outcome, carry_out
from tests.unit.ontap import SVM
from tests.unit.ontap_array import BenchInPlace

A, B = LunAddress(SVM, "vol_prod", "ds_single"), LunAddress(SVM, "vol_dev", "spare")
BESIDE_A = LunAddress(SVM, "vol_prod", "shared_rdm")
GROUPS = "/application/consistency-groups"
LATER = "2090-01-01T00:00:00+00:00"


def snapshot_wish(*luns: LunAddress, **settings: Any) -> SnapshotWish:
    return SnapshotWish(**{"luns": luns or (A,), "name": "s1", "timeout": 60.0, **settings})


def take(bench: BenchInPlace, *luns: LunAddress, check_mode: bool = False, **settings: Any) -> tuple[Outcome, list[Snapshot]]:
    change = bench.backend().plan_snapshot(snapshot_wish(*luns, **settings))
    return carry_out(change.plan, check_mode), change.snapshots()


def remove(bench: BenchInPlace, *luns: LunAddress, **settings: Any) -> tuple[Outcome, list[Snapshot]]:
    change = bench.backend().plan_snapshot_removal(SnapshotRemoval(**{"luns": luns or (A,), "name": "s1", "timeout": 60.0, **settings}))
    return carry_out(change.plan, False), change.snapshots()


def restoration(bench: BenchInPlace, **settings: Any) -> Restoration:
    return bench.backend().plan_restore(RestoreWish(**{"lun": A, "snapshot": "s1", "timeout": 60.0, **settings}))


def taken_by_hand(bench: BenchInPlace, volume: str, name: str = "s1", **settings: Any) -> None:
    """What somebody else does on the array."""
    bench.post(f"/storage/volumes/{volume_of(bench, volume).uuid}/snapshots", {"name": name, **settings})


def gathered_by_hand(bench: BenchInPlace, name: str, *volumes: str) -> dict[str, Any]:
    rows = [{"name": volume, "provisioning_options": {"action": "add"}} for volume in volumes]
    return bench.post(GROUPS, {"svm.name": SVM, "name": name, "volumes": rows})


def volume_of(bench: BenchInPlace, name: str) -> Any:
    """The volume in the array's memory."""
    return next(volume for svm in bench.server.array.svms for volume in svm.volumes if volume.name == name)


def names(bench: BenchInPlace, volume: str = "vol_prod") -> list[str]:
    return [snapshot.name for snapshot in volume_of(bench, volume).snapshots]


def groups(bench: BenchInPlace) -> list[str]:
    return [group.name for svm in bench.server.array.svms for group in svm.groups]
