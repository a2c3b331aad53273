# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of provisioning on ONTAP share: whom a LUN is for, what fails, and who looks whether somebody uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import group_name
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import Refused
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from tests.lab.ontap.releases import PLAYED, written
from tests.lab.ontap.state import REST, ZAPI
from tests.unit.ontap import GIB, HOST_A, HOST_B, SVM, wish
from tests.unit.ontap_array import BenchInPlace

BOTH = (*HOST_A, *HOST_B)
GROUP = group_name(HOST_A)
NEW = "/vol/vol_prod/new"

DROPPED_BEFORE = {"drop": "before"}
DROPPED_AFTER = {"drop": "after"}
AS_JOB = {"job": True}
NO_INTERFACE = {"error": {"code": 5374581, "message": "A node has no interface."}}
WRITES = {
    "create LUN": r"POST .*/storage/luns|ZAPI (lun-create|clone-create)",
    "create igroup": r"POST .*/igroups\?|ZAPI igroup-create",
    "add initiators": r"POST .*/initiators|ZAPI igroup-add",
    "map": r"POST .*/lun-maps|ZAPI lun-map\?",
    "grow": r"PATCH .*/storage/luns|ZAPI lun-resize",
}
"""The request that makes each kind of change, by REST and over ZAPI."""
DELETIONS = {
    "unmap": r"DELETE .*/lun-maps|ZAPI lun-unmap",
    "delete igroup": r"DELETE .*/igroups|ZAPI igroup-destroy",
    "delete LUN": r"DELETE .*/storage/luns|ZAPI lun-destroy",
}
SENT = {
    REST: {"map": "POST /api/protocols/san/lun-maps", "unmap": "DELETE /api/protocols/san/lun-maps"},
    ZAPI: {"map": "ZAPI lun-map", "unmap": "ZAPI lun-unmap"},
}
"""The same as they are counted."""
READS_OF_LUNS = r"GET .*/storage/luns\?|ZAPI lun-get-iter"
READS_OF_A_MAPPED_LUN = r"GET .*uuid=|ZAPI lun-map-get-iter\?lun-uuid="
ZAPI_RELEASES = ("9.8.0", "9.10.1", "9.16.1")
EVERYWHERE = [*((REST, written(release)) for release in PLAYED), *((ZAPI, release) for release in ZAPI_RELEASES)]
"""Every interface of every release that is played."""
BY_REST = [pair for pair in EVERYWHERE if pair[0] == REST]


@dataclass
class Users:
    """Who knows whether somebody uses LUNs: nobody does before the n-th look, and somebody from then on."""

    since: int = 1000
    meanwhile: Callable[[], object] = lambda: None
    """What others do right before they are seen."""
    asked: list[tuple[list[str], bool]] = field(default_factory=list)

    def __call__(self, luns: Sequence[Lun], made: bool) -> None:
        self.asked.append(([lun.path for lun in luns], made))
        if len(self.asked) == self.since:
            self.meanwhile()
        if len(self.asked) >= self.since:
            raise Refused(f"VM app has LUN {luns[0].path}.")


def grow_and_map(bench: BenchInPlace) -> Any:
    """A wish that maps an old LUN to one more host and then lets it grow, which the array will refuse."""
    bench.provision(wish(size_bytes=GIB, lun_id=4))
    bench.fail(WRITES["grow"], NO_INTERFACE)
    return wish(initiators=BOTH)


def groups(state: Any) -> set[str]:
    return {group["name"] for svm in state["svms"] if svm["name"] == SVM for group in svm["igroups"]}


def group_uuid(bench: BenchInPlace, name: str) -> str:
    return next(str(group.uuid) for svm in bench.server.array.svms for group in svm.igroups if group.name == name)


def mappings(bench: BenchInPlace) -> dict[str, int]:
    """The numbers of the LUN by group."""
    return {one.igroup.name: one.number for svm in bench.server.array.svms for one in svm.maps if one.lun is bench.stored_lun()}


def members(bench: BenchInPlace, name: str) -> Any:
    """The initiators of a group in the array's memory."""
    return next(group.initiators for svm in bench.server.array.svms for group in svm.igroups if group.name == name)


def join(bench: BenchInPlace, name: str, *initiators: str) -> None:
    """What somebody else does: add initiators to a group."""
    for initiator in initiators:
        bench.client().post(f"/protocols/san/igroups/{group_uuid(bench, name)}/initiators", {"name": initiator}, 10)
