# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What LUNs hold, by their arrays' own word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource


class LunReader:
    """Reads of LUNs. Each array is opened when it is first needed, and asked for a LUN once; who cannot be asked is not asked again."""

    def __init__(self, sources: Sequence[ArraySource], undo: ExitStack) -> None:
        """The arrays stay open until the end of `undo`."""
        self._sources = sources
        self._undo = undo
        self._arrays: dict[str, Array] = {}
        self._silent: dict[str, str] = {}
        """Label of an array that gave no answer → its own words."""
        self._found: dict[ScsiName, list[tuple[str, Array, Lun]]] = {}
        self._unread: dict[ScsiName, str] = {}

    def read(self, name: ScsiName, offset: int, length: int) -> bytes | str:
        """So many bytes of a LUN, or why no array gives them."""
        if name in self._unread:
            return self._unread[name]
        reasons = []
        for label, array, lun in self._having(name):
            try:
                return array.read(lun, offset, length)
            except CrossvisorError as error:
                reasons.append(f"array {label} does not read LUN {name}: {in_one_sentence(str(error))}")
        self._unread[name] = "; ".join(reasons) or self._nowhere(name)
        return self._unread[name]

    def _having(self, name: ScsiName) -> list[tuple[str, Array, Lun]]:
        if name not in self._found:
            self._found[name] = [*self._looked_up(name)]
        return self._found[name]

    def _looked_up(self, name: ScsiName) -> Iterator[tuple[str, Array, Lun]]:
        for source in self._sources:
            if source.label in self._silent:
                continue
            try:
                array = self._opened(source)
                yield from [(source.label, array, lun) for lun in array.luns([name])]
            except CrossvisorError as error:
                self._silent[source.label] = in_one_sentence(str(error))

    def _opened(self, source: ArraySource) -> Array:
        if source.label not in self._arrays:
            self._arrays[source.label] = source.open()
            self._undo.callback(self._arrays[source.label].close)
        return self._arrays[source.label]

    def _nowhere(self, name: ScsiName) -> str:
        silent = [f"array {label} could not be asked: {why}" for label, why in self._silent.items()]
        return "; ".join(silent) or f"LUN {name} is read by its array alone: name that in arrays"
