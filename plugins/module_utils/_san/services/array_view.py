# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the given arrays know of the LUNs and exports that hosts use, asked once each, in bulk."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cache

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ONLINE, UNKNOWN, ArrayAbout, Lun, Volume
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

_MOST_NAMED = 10
"""LUNs that one warning names; the rows tell all."""


@dataclass(frozen=True)
class ArraySource:
    """An array that may be asked, and what to call it when it does not answer."""

    label: str
    open: Callable[[], Array]


@dataclass
class ArrayView:
    """The answers of all arrays, and the failures of those that gave none."""

    luns: dict[ScsiName, list[tuple[ArrayAbout, Lun]]] = field(default_factory=dict)
    """Every LUN of that name: arrays that mirror a LUN may present both ends under one."""
    volumes: list[tuple[ArrayAbout, Volume]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    """Those of the asked that told all that was asked for."""
    failures: list[str] = field(default_factory=list)

    def add(self, about: ArrayAbout, lun: Lun) -> None:
        """Note a LUN, once also when its array is asked at several addresses."""
        known = self.luns.setdefault(lun.name, [])
        if _identity(about, lun) not in [_identity(*found) for found in known]:
            known.append((about, lun))

    def join(self, later: ArrayView) -> None:
        """Add what the same arrays told when they were asked for further LUNs."""
        for found in later.luns.values():
            for about, lun in found:
                self.add(about, lun)
        self.answered = [label for label in self.answered if label in later.answered]
        self.failures.extend(failure for failure in later.failures if failure not in self.failures)

    def warnings(self) -> list[str]:
        """What a user should know of the LUNs that were found, in one sentence each."""
        mirrored = [
            f"LUN {name} ({' and '.join(_place(*found) for found in known)})" for name, known in sorted(self.luns.items()) if len(known) > 1
        ]
        dark = [
            f"LUN {name} ({_place(about, lun)}) is {lun.state}"
            for name, known in sorted(self.luns.items())
            for about, lun in known
            if lun.state not in (ONLINE, UNKNOWN)
        ]
        return [
            *_sentence("Several LUNs have one name, as SnapMirror active sync gives it to both ends of a mirror, and a row each", mirrored),
            *_sentence("Not online on their array, so that no host can see them", dark),
        ]

    def absence(self, what: str, vendor: str | None = None) -> str:
        """Why nothing was found: the reason of an unresolved row. An array that did not answer may have it."""
        made_by = f" (by its name it is on {vendor})" if vendor else ""
        silent = "; ".join(self.failures)
        if not self.asked:
            return f"no array was given to look up {what}{made_by}"
        if not self.answered:
            return f"{what}{made_by} could not be looked up: {silent}"
        if silent:
            return f"{what} is not on {', '.join(self.answered)}{made_by}, but may be where nobody could look: {silent}"
        return f"{what} is on none of the arrays {', '.join(self.answered)}{made_by}"

    def absence_of_export(self, remote: str) -> str:
        """The same of `server:/path`, whose server has to be known by its addresses."""
        server = _server(remote)
        if self.answered and not _addresses(server):
            return f"export {remote} could not be looked up, because no name server of this machine knows an address of {server}"
        return self.absence(f"export {remote}")

    def way_out(self) -> str:
        """How a row whose LUN or export nobody has is mended, as the end of a sentence."""
        if self.asked and self.failures:
            return "make the arrays answer that did not (address, login, certificate), then map again"
        return "name the array that has it in arrays, with an account that may read its SVM"

    def way_out_of_export(self, remote: str) -> str:
        """The same of `server:/path`."""
        if self.answered and not _addresses(_server(remote)):
            return f"teach this machine's name server the name {_server(remote)}, or mount the export by its address"
        return self.way_out()

    def volume_of(self, remote: str) -> tuple[ArrayAbout, Volume] | None:
        """The volume behind `server:/path`: served at that address, with the longest export path above it."""
        path = f"/{remote.rpartition(':/')[2]}".rstrip("/") or "/"
        addresses = _addresses(_server(remote))
        found = [
            (about, volume)
            for about, volume in self.volumes
            if addresses & set(volume.addresses) and (path == volume.export or path.startswith(volume.export.rstrip("/") + "/"))
        ]
        return max(found, key=lambda pair: len(pair[1].export), default=None)


def view(sources: Sequence[ArraySource], names: Collection[ScsiName], with_exports: bool) -> ArrayView:
    """Ask each array once for these LUNs and, if wished, for its exports. An array that fails is noted, not raised."""
    answers = ArrayView()
    for source in sources:
        answers.asked.append(source.label)
        try:
            _ask(source, names, with_exports, answers)
            answers.answered.append(source.label)
        except CrossvisorError as error:
            answers.failures.append(f"array {source.label} could not be asked: {in_one_sentence(str(error))}")
    return answers


def _ask(source: ArraySource, names: Collection[ScsiName], with_exports: bool, answers: ArrayView) -> None:
    array = source.open()
    try:
        about = array.about()
        for lun in array.luns(sorted(names)):
            answers.add(about, lun)
        if with_exports:
            answers.volumes.extend((about, volume) for volume in array.volumes())
    finally:
        array.close()


def _identity(about: ArrayAbout, lun: Lun) -> tuple[str, str]:
    """What no other LUN has, of this array or of another one that mirrors it."""
    return lun.svm_id or f"{about.uuid or about.address} {lun.svm}", lun.id


def _place(about: ArrayAbout, lun: Lun) -> str:
    return f"{about.name} {lun.svm}:{lun.path}"


def _sentence(what: str, named: Sequence[str]) -> list[str]:
    if not named:
        return []
    more = f"; and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return [f"{what}: {'; '.join(named[:_MOST_NAMED])}{more}."]


def _server(remote: str) -> str:
    return remote.rpartition(":/")[0].strip("[]")


@cache
def _addresses(server: str) -> frozenset[str]:
    """The addresses of an NFS server, as the host resolved its name too; none when it cannot be resolved."""
    try:
        return frozenset({str(ipaddress.ip_address(server))})
    except ValueError:
        pass
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(server, None))
    except OSError:
        return frozenset()
