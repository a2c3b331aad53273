# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults that the product had, each with the schedule on which it breaks a promise: what finds nothing here finds nothing at all.

`put_back` takes the rule out again that mended it; `files` are the roles as they were, in before/. The same schedules are tried on the
product as it is, on which they break nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import provision as ontap_provision
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap import withdraw as ontap_withdraw
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.site import OntapStep
from ansible_collections.crossvisor.san.plugins.module_utils._san.services import attach, provision
from tests.simulation.promises import ATTACH, PROVISION, REMOVE
from tests.simulation.schedule import BEFORE as BEFORE_IT_ARRIVES
from tests.simulation.schedule import Fate, Turn, Written
from tests.simulation.world import Scenario, Verdict, Wish, play_written

BEFORE = Path(__file__).with_name("before")
DEPROVISION = {"roles/deprovision/tasks/main.yml": BEFORE / "deprovision.yml"}
ROLES = {"roles/provision/tasks/main.yml": BEFORE / "provision.yml", **DEPROVISION}
GUEST = {"roles/guest_disk/tasks/linux_disk.yml": BEFORE / "guest_disk_linux_disk.yml"}

ATTACHES = r"^vc\d attach 80\S+ to vm-"
UNMAPS = r"^DELETE /protocols/san/lun-maps"
DELETES = r"^DELETE /storage/luns"


def _nothing(*_arguments: Any, **_options: Any) -> Any:
    """Look at nothing, and find nothing."""
    return []


def _without(*places: tuple[Any, str]) -> Callable[[], AbstractContextManager[None]]:
    """Let these functions look at nothing."""

    @contextmanager
    def out() -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name in places:
                stack.enter_context(mock.patch.object(owner, name, _nothing))
            yield

    return out


@contextmanager
def _groups_are_looked_at_once() -> Iterator[None]:
    """A group to which another LUN was mapped when the removal was planned stays, whatever becomes of that."""

    def done(step: ontap_withdraw.DeleteGroup) -> bool:
        return step.wanted_by_others or OntapStep.done(step)

    with _without((ontap_withdraw, "_is_left_over"))(), mock.patch.object(ontap_withdraw.DeleteGroup, "done", done):
        yield


def _only_under_its_number() -> AbstractContextManager[Any]:
    """What cannot be mapped again under the number that it had is not mapped again at all."""

    def undo(step: ontap_withdraw.UnmapLun) -> None:
        if step.mapping.lun_id is not None and not step._is_mapped():
            step.site.map(step.mapping.lun_id, step.mapping.group)

    return mock.patch.object(ontap_withdraw.UnmapLun, "undo", undo)


@dataclass(frozen=True)
class Fault:
    """One of them."""

    what: str
    wishes: Sequence[Wish]
    turns: Sequence[Turn]
    rule: str
    """The promise that it breaks."""
    put_back: Callable[[], AbstractContextManager[Any]] = nullcontext
    files: Mapping[str, Path] = field(default_factory=dict)
    kind: str = "kvm"
    """Of the second endpoint."""

    def on_the_product(self) -> Verdict:
        """How the schedule ends now."""
        return play_written(Scenario(self.wishes, self.kind), Written(self.turns))

    def with_the_fault(self) -> Verdict:
        """How it ended."""
        with self.put_back():
            return play_written(Scenario(self.wishes, self.kind), Written(self.turns), self.files)


A_VM = Wish(PROVISION, "vc1", "app01", "n1", guest=True)
ITS_REMOVAL = Wish(REMOVE, "vc1", "app01", "n1", delete=True)
OTHER_VM = Wish(PROVISION, "vc1", "app02", "n1")
FAR_VM = Wish(PROVISION, "vc2", "dev02", "n1", guest=True)

FAULTS = {
    "the rescue takes a mounted disk and its LUN from a run that had success": Fault(
        "1",
        [A_VM, A_VM],
        [Turn("provision1", f"{ATTACHES}app01"), Turn("provision2")],
        "only own work is undone",
        files=ROLES,
    ),
    "data without a signature is formatted": Fault(
        "2", [Wish(PROVISION, lun="raw", guest=True)], [], "only blank disks are written to", files=GUEST
    ),
    "a LUN is deleted that a VM of another endpoint has": Fault(
        "3",
        [Wish(REMOVE, "vc1", "app01", "both", delete=True)],
        [],
        "nothing in use is deleted",
        _without((provision, "claims_of_strangers")),
        kind="vmware",
    ),
    "a LUN is deleted that a VM got between unmap and deletion": Fault(
        "4",
        [A_VM, ITS_REMOVAL],
        [Turn("provision1", r"vc1 rescan"), Turn("remove2", UNMAPS), Turn("provision1"), Turn("remove2")],
        "nothing in use is deleted",
        _without((provision.Nobody, "look")),
        DEPROVISION,
    ),
    "hosts keep a LUN of which nobody knows any more": Fault(
        "6",
        [A_VM, ITS_REMOVAL],
        [Turn("provision1"), Turn("remove2", r"rescan \S+ for the loss", fate=Fate(killed=True))],
        "nothing is left over",
        files=DEPROVISION,
    ),
    "an empty igroup is left by two removals": Fault(
        "7",
        [Wish(PROVISION, "vc2", "dev02", "n1"), Wish(REMOVE, "vc2", "dev02", "n1"), Wish(REMOVE, "vc2", "dev01", "far")],
        [Turn("provision1"), Turn("remove2", UNMAPS), Turn("remove3", UNMAPS), Turn("remove2"), Turn("remove3")],
        "nothing is left over",
        _groups_are_looked_at_once,
    ),
    "of two LUNs for one VM, one fails and is deleted again": Fault(
        "7",
        [A_VM, Wish(PROVISION, "vc1", "app01", "n2")],
        [Turn("provision1", f"{ATTACHES}app01"), Turn("provision2"), Turn("provision1")],
        "nobody fails without a reason",
        lambda: mock.patch.object(attach, "_PAUSES", ()),
    ),
    "two endpoints give one LUN to a VM each": Fault(
        "found by simulation",
        [A_VM, FAR_VM],
        [Turn("provision1", r"POST /protocols/san/lun-maps"), Turn("provision2", r"POST /protocols/san/lun-maps"), Turn("provision1")],
        "no LUN has two writers unasked",
        _without((ontap_provision, "_refuse_if_others_see"), (attach, "claims_of_initiators")),
    ),
    "two VMs get one LUN": Fault(
        "found by simulation",
        [A_VM, OTHER_VM],
        [Turn("provision1", f"{ATTACHES}app01"), Turn("provision2", f"{ATTACHES}app02"), Turn("provision1"), Turn("provision2")],
        "no LUN has two writers unasked",
        _without((attach.StillFree, "look")),
    ),
    "a LUN that hosts of two endpoints see already is given to a second VM": Fault(
        "found by simulation",
        [Wish(PROVISION, "vc1", "app01", "both")],
        [],
        "no LUN has two writers unasked",
        _without((attach, "claims_of_initiators"), (ontap_provision, "_refuse_if_others_see")),
        kind="vmware",
    ),
    "a run that was killed after it had mapped a LUN goes on with it, although another endpoint has it now": Fault(
        "found by simulation",
        [A_VM, FAR_VM],
        [
            Turn("provision1", r"POST /protocols/san/lun-maps"),
            Turn("provision2", r"^vc2 rescan"),
            Turn("provision1", r"GET /storage/luns uuid", fate=Fate(killed=True)),
        ],
        "no LUN has two writers unasked",
        _without((attach, "claims_of_initiators"), (ontap_provision, "_refuse_if_others_see")),
    ),
    "a run that takes its new LUN back takes it from an endpoint that has got it since": Fault(
        "found by simulation",
        [A_VM, Wish(PROVISION, "vc2", "dev02", "n1")],
        [
            Turn("provision1", r"^vc1 observe", times=2, fate=Fate(lost=BEFORE_IT_ARRIVES)),
            Turn("provision1", r"GET /storage/luns serial", times=2),
            Turn("provision2"),
        ],
        "nothing in use is deleted",
        files={"roles/provision/tasks/take_back.yml": BEFORE / "take_back.yml"},
    ),
    "what was unmapped cannot be mapped again, because its number was given away": Fault(
        "found by simulation",
        [A_VM, ITS_REMOVAL, Wish(PROVISION, "vc1", "app02", "n2")],
        [
            Turn("provision1", r"vc1 rescan"),
            Turn("remove2", UNMAPS),
            Turn("provision1", "guest"),
            Turn("remove2", r"^vc1 inventory"),
            Turn("provision3"),
            Turn("remove2"),
        ],
        "nothing in use is unmapped",
        _only_under_its_number,
    ),
    "two runs that were killed after each had given the LUN to its VM are told that all is well": Fault(
        "found by simulation",
        [A_VM, OTHER_VM],
        [
            Turn("provision1", f"{ATTACHES}app01"),
            Turn("provision2", f"{ATTACHES}app02"),
            Turn("provision1", r"^vc1 inventory", fate=Fate(killed=True)),
            Turn("provision2", r"^vc1 inventory", fate=Fate(killed=True)),
        ],
        "no LUN has two writers unasked",
        _without((attach, "_refuse_second_vm")),
    ),
    "a mapping is taken back on which another run's success rests, and what its guest has written": Fault(
        "found by simulation",
        [
            Wish(PROVISION, "vc2", "dev02", "spare"),
            Wish(PROVISION, "vc2", "dev02", "spare", guest=True),
            Wish(PROVISION, "vc1", "app01", "spare"),
        ],
        [
            Turn("provision1", r"POST /protocols/san/lun-maps"),
            Turn("provision2", r"POST /protocols/san/lun-maps"),
            Turn("provision3", r"POST /protocols/san/lun-maps"),
            Turn("provision1", r"GET /storage/luns uuid"),
            Turn("provision2"),
            Turn("provision3", r"GET /storage/luns uuid"),
            Turn("provision1"),
        ],
        "nothing in use is unmapped",
        _without((ontap_provision, "_refuse_if_written_since"), (provision, "_refuse_to_take_back")),
    ),
    "a LUN is not mapped, because a removal has deleted the igroup that the plan had found": Fault(
        "found by simulation",
        [Wish(PROVISION, "vc2", "dev02", "n1"), Wish(REMOVE, "vc2", "dev01", "far")],
        [Turn("provision1", r"POST /storage/luns"), Turn("remove2")],
        "nobody fails without a reason",
        _without((ontap_provision.MapLun, "_make_again")),
    ),
    "a mapping is taken back by which somebody has given the LUN to a VM": Fault(
        "found by simulation",
        [A_VM, FAR_VM, Wish(ATTACH, "vc1", "app01", "n1")],
        [
            Turn("provision1", r"POST /protocols/san/lun-maps"),
            Turn("provision2", r"POST /protocols/san/lun-maps"),
            Turn("provision1", r"GET /storage/luns uuid"),
            Turn("attach3"),
            Turn("provision2", r"DELETE /protocols/san/lun-maps"),
            Turn("provision1"),
        ],
        "nothing in use is unmapped",
        _without((provision, "_refuse_to_take_back")),
    ),
    "a mapping is taken back by which somebody has given the LUN to a VM since the last look": Fault(
        "found by simulation",
        [A_VM, FAR_VM, Wish(ATTACH, "vc1", "app01", "n1")],
        [
            Turn("provision1", r"POST /protocols/san/lun-maps"),
            Turn("provision2", r"POST /protocols/san/lun-maps"),
            Turn("provision1", r"GET /storage/luns uuid"),
            Turn("provision2", r"GET /storage/luns uuid"),
            Turn("provision1", UNMAPS),
            Turn("attach3"),
            Turn("provision1"),
        ],
        "nothing in use is unmapped",
        _without((ontap_provision.MapLun, "_give_back")),
    ),
    "an igroup stays of a run that was killed, because somebody else has deleted the LUN since": Fault(
        "found by reading",
        [Wish(REMOVE, "vc1", "app02", "old", delete=True), Wish(REMOVE, "vc2", "dev02", "old", delete=True)],
        [Turn("remove1", r"DELETE /protocols/san/igroups", fate=Fate(killed=True)), Turn("remove2")],
        "nothing is left over",
        _without((ontap_withdraw, "_sweep")),
    ),
}
"""By what happened; `what` is the item of the list in which it was first told."""
