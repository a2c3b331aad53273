# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who sees a LUN by its array's word: under which number a host has it, and which initiators belong to no host that was asked."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import Hypervisor
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Host, Inventory, Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArrayView


class Initiators:
    """The initiators of the hosts. They are asked for only if something depends on them, and only if the inventory does not tell them."""

    def __init__(self, hypervisor: Hypervisor, inventory: Inventory, answers: ArrayView, strangers: bool) -> None:
        """`strangers`: whether `strangers` is going to be asked. Raises nothing: hosts that do not tell their initiators have none."""
        luns = [lun for found in answers.luns.values() for _about, lun in found]
        mapped = [mapping for lun in luns for mapping in lun.mappings if mapping.initiators]
        self._mirrored = {name for name, found in answers.luns.items() if len(found) > 1}
        several = bool(self._mirrored) or any(len({mapping.lun_id for mapping in lun.mappings}) > 1 for lun in luns)
        self.warnings: list[str] = []
        hosts = self._hosts(hypervisor, inventory) if several or (strangers and mapped) else ()
        self._of_host = {host.id: {hba.initiator.lower() for hba in host.hbas if hba.initiator} for host in hosts}
        self._all = set().union(*self._of_host.values())
        self._numbers: dict[tuple[str, str, str], int | None] = {}

    def number(self, lun: Lun | None, host: str) -> int | None:
        """Under which number a host (`Host.id`) has the LUN.

        None when the array maps it to nobody, or to this host under no single number.
        """
        if lun is None:
            return None
        place = (lun.svm_id or lun.svm, lun.id, host)
        if place not in self._numbers:
            self._numbers[place] = self._number(lun, host)
        return self._numbers[place]

    def strangers(self, lun: Lun | None) -> list[str]:
        """The initiators that the array maps the LUN to and that no asked host has, in lower case; none where no host tells its own."""
        if lun is None or not self._all:
            return []
        return sorted({name.lower() for mapping in lun.mappings for name in mapping.initiators} - self._all)

    def _hosts(self, hypervisor: Hypervisor, inventory: Inventory) -> Sequence[Host]:
        if any(host.hbas for host in inventory.hosts):
            return inventory.hosts
        try:
            return hypervisor.hosts(at_once=True)
        except CrossvisorError as error:
            self.warnings.append(f"The hosts' initiators are not known, and so not who else sees a LUN: {in_one_sentence(str(error))}.")
            return ()

    def _number(self, lun: Lun, host: str) -> int | None:
        numbers = {mapping.lun_id for mapping in lun.mappings}
        mine = self._of_host.get(host, set())
        if len(numbers) > 1 or (mine and lun.name in self._mirrored):
            numbers = {mapping.lun_id for mapping in lun.mappings if mine & {name.lower() for name in mapping.initiators}}
        return numbers.pop() if len(numbers) == 1 else None
