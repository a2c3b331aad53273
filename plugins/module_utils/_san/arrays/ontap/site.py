# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the steps of one change share: the connection, this run's mark, and the LUN as it is known by now."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LastLook, nobody_to_ask
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.faults import LUN_GONE, Fault, OntapRefusal
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.luns import StoredLun, tells_initiators, with_initiators
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap.transport import Transport
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun, LunMapping
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step

SETTLE_SECONDS = 5.0
"""How long a change whose answer was lost may take to become visible."""


def new_mark() -> str:
    """A text that only this run writes into the comments of what it makes, to know its own things again."""
    return f"crossvisor.san:{secrets.token_hex(8)}"


def refuse_others_work(stored: StoredLun, made_by: str, held: int | None = 0) -> None:
    """Raise `Refused` for a LUN that is not, as it was made, the work of the run with this mark."""
    if made_by not in stored.comment:
        raise Refused(f"LUN {_title(stored)} was not made by the run {made_by} and stays: remove it by its name when nobody needs it.")
    refuse_written(stored, held)


def refuse_written(stored: StoredLun, held: int | None = 0) -> None:
    """Raise `Refused` for a LUN that somebody has written to since it was made, when it `held` so much, or of which nobody can tell."""
    used = stored.lun.used_bytes
    if used is None or used != held:
        written = "an unknown number of" if used is None else str(used)
        raise Refused(
            f"LUN {_title(stored)} holds {written} bytes that were written since it was made, and stays: remove it when nobody needs them."
        )


def _title(stored: StoredLun) -> str:
    return f"{stored.lun.svm}:{stored.lun.path}"


@contextmanager
def fine_when(*faults: Fault) -> Iterator[None]:
    """Let a refusal with one of these meanings pass: what was asked for is so already."""
    try:
        yield
    except OntapRefusal as error:
        if error.fault not in faults:
            raise


@dataclass
class Site:
    """One LUN under change."""

    array: Transport
    svm: str
    title: str
    """`svm:/vol/volume/lun`."""
    timeout: float
    lun: Lun | None = None
    mark: str = field(default_factory=new_mark)
    touched: bool = False
    others_see_it: bool = False
    """Somebody else was found to have mapped the LUN while this run was at work."""
    last_look: LastLook = nobody_to_ask
    made: bool = False
    """There was no LUN before this run."""
    held: int | None = 0
    """Bytes that a LUN which this run has made held from the start, where that was seen."""

    def require_lun(self) -> Lun:
        """The LUN that the steps work on. Raises `NotFound` while there is none."""
        if self.lun is None:
            raise NotFound(f"There is no LUN {self.title} on array {self.array.connection} any more.")
        return self.lun

    def read(self) -> Lun | None:
        """The LUN now, with everyone who sees it."""
        stored = self.array.lun_of(self.lun.id) if self.lun else None
        self.lun = self.completed(stored.lun) if stored else None
        self.touched = False
        return self.lun

    def completed(self, lun: Lun) -> Lun:
        """The LUN with the initiators of its mappings, asked for only where the LUN's own answer lacks them."""
        return lun if tells_initiators(lun) else with_initiators(lun, self.array.members([lun.svm]))

    def report(self) -> Lun | None:
        """The LUN for the caller, with everyone who sees it: read again only when a step may have changed it."""
        if self.touched:
            return self.read()
        self.lun = self.completed(self.lun) if self.lun else None
        return self.lun

    def group(self, name: str) -> Group | None:
        """An igroup of the SVM now."""
        return self.array.group_named(self.svm, name)

    def map(self, lun_id: int | None, group: str) -> None:
        """Map the LUN to an igroup, under the lowest free id if none is given."""
        self.array.map_lun(self.require_lun(), group, lun_id, self.timeout)

    def map_again(self, lun_id: int, group: str) -> None:
        """Give the LUN back under the id that it had. Raises `RemoteError` also when it got another one, because that id is taken."""
        try:
            self.map(lun_id, group)
        except OntapRefusal as error:
            if error.fault is not Fault.MAP_RACE:
                raise
            self.map(None, group)
            raise RemoteError(
                f"LUN id {lun_id} was given to another LUN meanwhile, so that it is mapped again under another id: "
                "rescan the hosts, and look at the VMs that have it"
            ) from error

    def unmap(self, mapping: LunMapping) -> None:
        """Unmap the LUN from an igroup; fine when it is not mapped."""
        with fine_when(Fault.NO_MAP, Fault.NO_GROUP, *LUN_GONE):
            self.array.unmap_lun(self.require_lun(), mapping, self.timeout)

    def delete_lun(self, lun: Lun) -> None:
        """Delete a LUN that is mapped nowhere; fine when it is gone."""
        with fine_when(*LUN_GONE):
            self.array.delete_lun(lun, self.timeout)


@dataclass
class OntapStep(Step):
    """A step that a plan holds only when it has to be done, and which is done once it was verified."""

    site: Site

    def __post_init__(self) -> None:
        self._finished = False

    def done(self) -> bool:
        return self._finished

    def do(self) -> None:
        self.site.touched = True
        self.change()

    def verify(self) -> None:
        self.check()
        self._finished = True

    @abstractmethod
    def change(self) -> None:
        """Make the change."""

    @abstractmethod
    def check(self) -> None:
        """Read the result back and raise a `CrossvisorError` when it is not what was asked."""
