# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CRC-32C by its definition, bit by bit (RFC 3720, appendix B.4), for what tests make; nothing of what is tested is used."""

from __future__ import annotations

import functools


@functools.cache
def crc32c(data: bytes) -> int:
    """The checksum; kept, because it is slow, and the same pages come again."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _bit in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
