# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether hosts that wait for a LUN wait in vain, by the word of the array that has it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.initiator_name import initiator_kind
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import ONLINE, UNKNOWN, Host, Lun, Target
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import PlannedLun, ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.hbas import initiators

ISCSI = "iscsi"


@dataclass
class Presentation:
    """An array that is asked about one LUN, as often as hosts do not see it; opened when it is asked first.

    What it cannot tell ends no wait: a LUN that it does not have, members of a group that it does not tell, a host of which no initiator is
    known. An array that cannot be asked is asked no more, and `remark` says why.
    """

    open: Callable[[], Array]
    hypervisor: Hypervisor
    name: ScsiName
    remark: str = ""
    """What the array said last, or why it said nothing, for who has waited too long; empty before it was asked."""
    mapped: bool = False
    """The array says that it shows the LUN to every host that was asked about, as far as anybody can tell."""
    _array: Array | None = None
    _address: str = ""
    _initiators: Mapping[str, frozenset[str]] | None = None
    _silent: bool = False

    def in_vain(self, hosts: Collection[Host]) -> str:
        """Why these hosts will not see the LUN whatever they do, and the way out, in one sentence; empty where they may. Never raises."""
        if self._silent:
            return ""
        try:
            return self._asked(hosts)
        except CrossvisorError as error:
            self._silent = True
            self.remark = f"the array could not be asked whether it maps the LUN to them ({str(error).rstrip('.')})"
            return ""

    def targets(self) -> list[Target]:
        """The iSCSI targets in service of the SVM that has the LUN, where it is mapped to an iSCSI initiator. Never raises."""
        if self._silent or isinstance(self.name, PlannedLun):
            return []
        try:
            lun = self._lun()
            mapped = lun is not None and any(initiator_kind(name) == ISCSI for mapping in lun.mappings for name in mapping.initiators)
            found = self._array.targets(lun.svm, {ISCSI}) if lun and mapped and self._array else []
        except CrossvisorError as error:
            self._silent = True
            self.remark = f"the array could not be asked for its targets ({str(error).rstrip('.')})"
            return []
        return [target for target in found if target.serves]

    def close(self) -> None:
        """Log out, if the array was asked. Never raises."""
        if self._array is not None:
            self._array.close()

    def _asked(self, hosts: Collection[Host]) -> str:
        lun = self._lun()
        if lun is None:
            self.remark = f"array {self._address} has no such LUN"
            return ""
        named = f"LUN {self.name} ({lun.svm}:{lun.path})"
        if lun.state not in (ONLINE, UNKNOWN):
            way_out = "bring it online there, then run this task again"
            return f"{named} is {lun.state} on array {self._address}, so that no host can see it: {way_out}"
        unmapped = self._unmapped(lun, hosts)
        if unmapped:
            names = ", ".join(host.name for host in unmapped)
            return (
                f"{named} is mapped to no initiator of {names} on array {self._address}, so that they cannot see it: map it to them "
                "(lun_provision, or the playbook attach_disk), then run this task again"
            )
        self.mapped, self.remark = True, f"array {self._address} maps it to them"
        return ""

    def _lun(self) -> Lun | None:
        if self._array is None:
            self._array = self.open()
            self._address = self._array.about().address
        return next(iter(self._array.luns([self.name])), None)

    def _unmapped(self, lun: Lun, hosts: Collection[Host]) -> list[Host]:
        """The hosts whose initiators are known and none of which sees the LUN; none where nobody can tell who does."""
        if not all(mapping.told for mapping in lun.mappings):
            return []
        if self._initiators is None:
            self._initiators = _initiators(self.hypervisor.hosts())
        seeing = {name.lower() for mapping in lun.mappings for name in mapping.initiators}
        return [host for host in hosts if (own := self._initiators.get(host.id)) and not own & seeing]


def _initiators(hosts: Sequence[Host]) -> Mapping[str, frozenset[str]]:
    """The initiators of each host (`Host.id`) in the array's spelling, in lower case."""
    return {host.id: frozenset(name.lower() for names in initiators([host]).values() for name in names) for host in hosts}
