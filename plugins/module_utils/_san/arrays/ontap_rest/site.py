# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the steps of one change share: the connection, this run's mark, and the LUN as it is known by now."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import LastLook, nobody_to_ask
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest import codes, lookup
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.client import OntapClient
from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_rest.groups import Group
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import NotFound, Refused, RemoteError
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Step

SETTLE_SECONDS = 5.0
"""How long a change whose answer was lost may take to become visible."""


def new_mark() -> str:
    """A text that only this run writes into the comments of what it makes, to know its own things again."""
    return f"crossvisor.san:{secrets.token_hex(8)}"


def refuse_others_work(stored: lookup.StoredLun, made_by: str) -> None:
    """Raise `Refused` for a LUN that is not, as it was made, the work of the run with this mark."""
    if made_by not in stored.comment:
        raise Refused(f"LUN {_title(stored)} was not made by the run {made_by} and stays: remove it by its name when nobody needs it.")
    refuse_written(stored)


def refuse_written(stored: lookup.StoredLun) -> None:
    """Raise `Refused` for a LUN that somebody has written to, or of which the array does not tell."""
    used = stored.lun.used_bytes
    if used != 0:
        written = "an unknown number of" if used is None else str(used)
        raise Refused(
            f"LUN {_title(stored)} holds {written} bytes that were written since it was made, and stays: remove it when nobody needs them."
        )


def _title(stored: lookup.StoredLun) -> str:
    return f"{stored.lun.svm}:{stored.lun.path}"


@dataclass
class Site:
    """One LUN under change."""

    client: OntapClient
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

    def require_lun(self) -> Lun:
        """The LUN that the steps work on. Raises `NotFound` while there is none."""
        if self.lun is None:
            raise NotFound(f"There is no LUN {self.title} on array {self.client.connection} any more.")
        return self.lun

    def read(self) -> Lun | None:
        """The LUN now, with everyone who sees it."""
        stored = lookup.lun_of(self.client, self.lun.id) if self.lun else None
        self.lun = self.completed(stored.lun) if stored else None
        self.touched = False
        return self.lun

    def completed(self, lun: Lun) -> Lun:
        """The LUN with the initiators of its mappings, asked for only where the LUN's own answer lacks them."""
        return lun if lookup.tells_initiators(lun) else lookup.with_initiators(lun, lookup.members(self.client, [lun.svm]))

    def report(self) -> Lun | None:
        """The LUN for the caller, with everyone who sees it: read again only when a step may have changed it."""
        if self.touched:
            return self.read()
        self.lun = self.completed(self.lun) if self.lun else None
        return self.lun

    def group(self, name: str) -> Group | None:
        """An igroup of the SVM now."""
        return lookup.group_named(self.client, self.svm, name)

    def map(self, lun_id: int | None, group: str) -> None:
        """Map the LUN to an igroup, under the lowest free id if none is given."""
        number = {} if lun_id is None else {"logical_unit_number": lun_id}
        body = {"svm": {"name": self.svm}, "lun": {"uuid": self.require_lun().id}, "igroup": {"name": group}, **number}
        self.client.post("/protocols/san/lun-maps", body, self.timeout)

    def map_again(self, lun_id: int, group: str) -> None:
        """Give the LUN back under the id that it had. Raises `RemoteError` also when it got another one, because that id is taken."""
        try:
            self.map(lun_id, group)
        except RemoteError as error:
            if error.code not in codes.MAP_RACES:
                raise
            self.map(None, group)
            raise RemoteError(
                f"LUN id {lun_id} was given to another LUN meanwhile, so that it is mapped again under another id: "
                "rescan the hosts, and look at the VMs that have it"
            ) from error

    def unmap(self, group_id: str) -> None:
        """Unmap the LUN from an igroup; fine when it is not mapped."""
        path = f"/protocols/san/lun-maps/{self.require_lun().id}/{group_id}"
        self.delete(path, absent=(codes.MAP_NOT_FOUND, codes.GROUP_OF_MAP_NOT_FOUND, *codes.NO_LUN))

    def delete(self, path: str, absent: tuple[str, ...], **parameters: str) -> None:
        """Delete an object; fine when it is gone, which these codes tell."""
        try:
            self.client.delete(path, self.timeout, **parameters)
        except RemoteError as error:
            if error.code not in absent:
                raise


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
