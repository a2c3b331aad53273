# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private properties as the cluster's control codes take them. Source: MS-CMRP 2.2.3.10 (PROPERTY_LIST) and 2.2.2.3 (their syntaxes)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

_NAME, _TEXT, _NUMBER, _END = 0x00040003, 0x00010003, 0x00010002, 0x00000000
"""CLUSPROP_SYNTAX_NAME, _LIST_VALUE_SZ, _LIST_VALUE_DWORD, _ENDMARK."""


def property_list(properties: Mapping[str, str | int]) -> bytes:
    """The list of these properties with one value each, a text or a number of 32 bits: the input buffer of a control code."""
    parts = (_piece(_NAME, _utf16(name)) + _value(value) + struct.pack("<I", _END) for name, value in properties.items())
    return struct.pack("<I", len(properties)) + b"".join(parts)


def _value(value: str | int) -> bytes:
    return _piece(_NUMBER, struct.pack("<I", value)) if isinstance(value, int) else _piece(_TEXT, _utf16(value))


def _piece(syntax: int, data: bytes) -> bytes:
    """The data behind its syntax and its length in bytes, filled up to a multiple of four."""
    return struct.pack("<II", syntax, len(data)) + data + bytes(-len(data) % 4)


def _utf16(text: str) -> bytes:
    return f"{text}\0".encode("utf-16-le")
