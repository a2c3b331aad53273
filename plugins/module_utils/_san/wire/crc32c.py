# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CRC-32C, Castagnoli's checksum (RFC 3720, appendix B.4): the digest of iSCSI, and what the pages of a VHDX file carry."""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78


def _entry(value: int) -> int:
    for _bit in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = [_entry(value) for value in range(256)]


def checksum(data: bytes) -> int:
    """The checksum of `data` as a number of 32 bits."""
    value, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def digest(data: bytes) -> bytes:
    """The four bytes that follow `data` in an iSCSI PDU (RFC 7143, 13.1)."""
    return checksum(data).to_bytes(4, "little")
