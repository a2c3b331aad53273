# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every iSCSI initiator sees of the array, as disks of tgtd that follow each change."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.ontap.data_plane.lio_agent import copy_data
from tests.lab.ontap.data_plane.plane import PRODUCT, VENDOR, Account
from tests.lab.ontap.data_plane.tgt import LUN_IDS, Parameters, Tgt
from tests.lab.ontap.names import is_wwpn
from tests.lab.ontap.state import Array, Lun
from tests.lab.world import naa_of

Key = tuple[str, str]
"""IQN of the SVM and IQN of the initiator."""
View = Mapping[int, Lun]
"""LUNs by LUN id."""


@dataclass
class _Target:
    """What tgtd has been told of one initiator's view."""

    tid: int
    name: str
    units: dict[int, tuple[str, int, bool]] = field(default_factory=dict)
    """UUID, size and availability of the LUN under each LUN id."""


class Views:
    """The target of every initiator, and the files in ``directory`` that hold the LUNs' data. Callers hold the array's lock."""

    def __init__(self, array: Array, tgt: Tgt, directory: Path) -> None:
        self._array, self._tgt, self._directory = array, tgt, directory
        self._targets: dict[Key, _Target] = {}
        self._tids = itertools.count(1)
        self._accounts: dict[str, Account] = {}

    def target(self, svm_iqn: str, initiator: str) -> str | None:
        """Return the name under which tgtd knows the SVM's target as this initiator sees it; None if it is in no igroup."""
        target = self._targets.get((svm_iqn, initiator.lower()))
        return target.name if target else None

    def follow(self) -> None:
        """Make tgtd offer what the array now says; raises TgtFailed and OSError."""
        wanted = views(self._array)
        self._size_files()
        self._copy()
        for key in self._targets.keys() - wanted.keys():
            self._tgt.remove_target(self._targets.pop(key).tid)
        for key, view in wanted.items():
            self._follow_view(self._targets.get(key) or self._add_target(key), view)
        self._remove_files()

    def again(self) -> None:
        """Tell a tgtd that has just been started everything; the data is as it was."""
        self._targets.clear()
        for account in self._accounts.values():
            self._tgt.add_account(account.user, account.password)
        self.follow()

    def admit(self, initiator: str, account: Account | None) -> None:
        """Admit further sessions of the initiator only with the account, or without any; raises TgtFailed for one that is in use."""
        if old := self._accounts.pop(initiator.lower(), None):
            self._tgt.remove_account(old.user)
        if account is None:
            return
        self._tgt.add_account(account.user, account.password)
        self._accounts[initiator.lower()] = account
        for (_svm_iqn, name), target in self._targets.items():
            if name == initiator.lower():
                self._tgt.bind_account(target.tid, account.user)

    def read(self, uuid: str, offset: int, size: int) -> bytes:
        """Return a part of a LUN's data; raises OSError."""
        with self._file(uuid).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def erase(self) -> None:
        """Forget all data and accounts, and offer what the array now says."""
        for initiator in list(self._accounts):
            self.admit(initiator, None)
        for key, target in list(self._targets.items()):
            self._tgt.remove_target(target.tid)
            del self._targets[key]
        shutil.rmtree(self._directory, ignore_errors=True)
        self.follow()

    def _add_target(self, key: Key) -> _Target:
        svm_iqn, initiator = key
        target = _Target(next(self._tids), f"{svm_iqn}:{initiator}")
        self._tgt.add_target(target.tid, target.name, initiator)
        if initiator in self._accounts:
            self._tgt.bind_account(target.tid, self._accounts[initiator].user)
        self._targets[key] = target
        return target

    def _follow_view(self, target: _Target, view: View) -> None:
        for number, (uuid, _size, _online) in list(target.units.items()):
            if number not in view or view[number].uuid != uuid:
                self._tgt.remove_unit(target.tid, number)
                del target.units[number]
        for number, lun in view.items():
            self._follow_lun(target, number, lun)

    def _follow_lun(self, target: _Target, number: int, lun: Lun) -> None:
        now = (lun.uuid, lun.size, lun.enabled)
        known = target.units.get(number)
        if known == now:
            return
        file = self._file(lun.uuid)
        if known is None:
            self._tgt.add_unit(target.tid, number, file, self._identity(lun))
        again = [("path", str(file)), ("online", "1")] if lun.enabled else []
        self._tgt.set_unit(target.tid, number, [("online", "0"), *again])
        target.units[number] = now

    def _identity(self, lun: Lun) -> Parameters:
        return [
            ("vendor_id", VENDOR),
            ("product_id", PRODUCT),
            ("product_rev", self._array.revision),
            ("scsi_sn", lun.serial),
            ("scsi_id", f"naa.{naa_of(lun.serial)}"),
            ("thin_provisioning", str(int(lun.space_allocation))),
        ]

    def _size_files(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for lun in self._luns():
            with self._file(lun.uuid).open("ab") as file:
                if file.tell() != lun.size:
                    file.truncate(lun.size)

    def _copy(self) -> None:
        """Give clones and snapshots their data, in the files that tgtd has open where it has them open."""
        while self._array.copies:
            source, copy = self._array.copies.pop(0)
            if self._file(source).exists():
                copy_data(self._file(source), self._file(copy))

    def _remove_files(self) -> None:
        kept = {self._file(key) for key in (*(lun.uuid for lun in self._luns()), *self._array.kept)}
        for file in set(self._directory.iterdir()) - kept:
            file.unlink()

    def _luns(self) -> Iterator[Lun]:
        return (lun for svm in self._array.svms for lun in svm.luns)

    def _file(self, uuid: str) -> Path:
        return self._directory / uuid


def views(array: Array) -> dict[Key, View]:
    """Return what every iSCSI initiator in an igroup sees; seeded maps under ids that tgt does not have are left out."""
    return {
        (svm.iqn, initiator): {row.number: row.lun for row in svm.maps_seen_by([initiator]) if row.number in LUN_IDS}
        for svm in array.svms
        for igroup in svm.igroups
        for initiator in igroup.members
        if not is_wwpn(initiator)
    }
