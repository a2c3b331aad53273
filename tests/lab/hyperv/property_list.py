# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The property list of the cluster's control codes (MS-CMRP 2.2.3.10): a count, then each name with its values and an end mark.

Everything is little-endian and begins at a multiple of four bytes; a syntax of four bytes and a length stand before each piece.
"""

from __future__ import annotations

import struct
from typing import Union

NAME, TEXT, NUMBER, END = 0x00040003, 0x00010003, 0x00010002, 0
"""CLUSPROP_SYNTAX_NAME, _LIST_VALUE_SZ, _LIST_VALUE_DWORD, _ENDMARK."""
Values = dict[str, Union[str, int]]


def parse(data: bytes) -> Values:
    """Return the properties, each with one value; raises ValueError for anything that is no such list."""
    reader = _Reader(data)
    found: Values = {}
    for _turn in range(reader.number()):
        name = reader.text(NAME)
        found[name] = reader.value()
        if reader.number() != END:
            raise ValueError(f"the values of {name} have no end")
    if reader.rest():
        raise ValueError(f"{reader.rest()} bytes follow the list")
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def rest(self) -> int:
        return len(self._data) - self._place

    def number(self) -> int:
        return int(struct.unpack("<I", self._take(4))[0])

    def text(self, wanted: int) -> str:
        syntax = self.number()
        if syntax != wanted:
            raise ValueError(f"{syntax:#010x} stands where {wanted:#010x} is expected")
        return self._text()

    def value(self) -> str | int:
        syntax = self.number()
        if syntax == TEXT:
            return self._text()
        if syntax != NUMBER or self.number() != 4:
            raise ValueError(f"{syntax:#010x} is no syntax of a value that the lab knows")
        return self.number()

    def _text(self) -> str:
        length = self.number()
        text = self._take(length).decode("utf-16-le")
        self._take(-length % 4)
        if not text.endswith("\0"):
            raise ValueError(f"the text {text!r} has no end")
        return text[:-1]

    def _take(self, length: int) -> bytes:
        if length > self.rest():
            raise ValueError("the list ends too early")
        self._place += length
        return self._data[self._place - length : self._place]
