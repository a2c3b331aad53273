# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What LUNs hold, by their arrays' own word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.base import Array
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, in_one_sentence
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Lun
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource


@dataclass(frozen=True)
class _Found:
    """A LUN on an array."""

    label: str
    array: Array
    lun: Lun


class LunReader:
    """Reads of LUNs. Each array is opened when it is first needed, and asked for a LUN once; who does not answer is not asked again.

    Where several arrays have a LUN of one name, as both ends of a mirror do, all that can be read have to hold the same bytes.
    """

    def __init__(self, sources: Sequence[ArraySource], undo: ExitStack) -> None:
        """The arrays stay open until the end of `undo`."""
        self._sources = sources
        self._undo = undo
        self._arrays: dict[int, Array] = {}
        self._silent: dict[int, str] = {}
        """Which of the sources gave no answer → its own words."""
        self._found: dict[ScsiName, list[_Found]] = {}
        self._unread: dict[ScsiName, list[str]] = {}
        """LUNs → why each of those that have one does not read it."""

    def read(self, name: ScsiName, offset: int, length: int) -> bytes | str:
        """So many bytes of a LUN, or why no array gives them."""
        held = [*self._reads(name, offset, length)]
        if len({data for _found, data in held}) > 1:
            return f"arrays {' and '.join(found.label for found, _data in held)} hold different bytes of LUN {name} there"
        if held:
            return held[0][1]
        return "; ".join(self._unread.get(name, ())) or self._nowhere(name)

    def _reads(self, name: ScsiName, offset: int, length: int) -> Iterator[tuple[_Found, bytes]]:
        for found in [*self._having(name)]:
            try:
                yield found, found.array.read(found.lun, offset, length)
            except CrossvisorError as error:
                self._having(name).remove(found)
                why = f"array {found.label} does not read LUN {name}: {in_one_sentence(str(error))}"
                self._unread.setdefault(name, []).append(why)

    def _having(self, name: ScsiName) -> list[_Found]:
        if name not in self._found:
            self._found[name] = [*self._looked_up(name)]
        return self._found[name]

    def _looked_up(self, name: ScsiName) -> Iterator[_Found]:
        for number, source in enumerate(self._sources):
            if number in self._silent:
                continue
            try:
                array = self._opened(number)
                yield from [_Found(source.label, array, lun) for lun in array.luns([name])]
            except CrossvisorError as error:
                self._silent[number] = in_one_sentence(str(error))

    def _opened(self, number: int) -> Array:
        if number not in self._arrays:
            self._arrays[number] = self._sources[number].open()
            self._undo.callback(self._arrays[number].close)
        return self._arrays[number]

    def _nowhere(self, name: ScsiName) -> str:
        silent = [f"array {self._sources[number].label} could not be asked: {why}" for number, why in self._silent.items()]
        return "; ".join(silent) or f"LUN {name} is read by its array alone: name that in arrays"
