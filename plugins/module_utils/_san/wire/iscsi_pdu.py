# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The iSCSI PDUs of a session that only asks questions, after RFC 7143, chapter 11. Pure: nothing here talks to a target."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

HEADER_LENGTH = 48
NO_TAG = b"\xff\xff\xff\xff"

NOP_OUT, SCSI_COMMAND, TASK_MANAGEMENT, LOGIN, TEXT, DATA_OUT, LOGOUT, SNACK = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10
NOP_IN, SCSI_RESPONSE, TASK_MANAGEMENT_RESPONSE, LOGIN_RESPONSE, TEXT_RESPONSE = 0x20, 0x21, 0x22, 0x23, 0x24
DATA_IN, LOGOUT_RESPONSE, READY_TO_TRANSFER, ASYNCHRONOUS, REJECT = 0x25, 0x26, 0x31, 0x32, 0x3F

SECURITY, OPERATIONAL, FULL_FEATURE = 0, 1, 3
"""Stages of a login."""

_IMMEDIATE = 0x40
_TRANSIT = 0x80
_FINAL = 0x80
_READ_SIMPLE = 0x41
_STATUS_PRESENT = 0x01


@dataclass(frozen=True)
class Pdu:
    """A PDU of a target; of an initiator's, what stands at the same place in both."""

    header: bytes
    data: bytes = b""

    @property
    def opcode(self) -> int:
        return self.header[0] & 0x3F

    @property
    def tag(self) -> bytes:
        """The initiator task tag: which request it answers."""
        return self.header[16:20]

    @property
    def transfer_tag(self) -> bytes:
        """The target transfer tag of a NOP-In; other than `NO_TAG`, the target wants an answer."""
        return self.header[20:24]

    @property
    def status_number(self) -> int:
        """StatSN."""
        return int.from_bytes(self.header[24:28], "big")

    @property
    def carries_status(self) -> bool:
        """Whether the PDU ends a SCSI command: every SCSI Response, and the last Data-In where the target puts the status into it."""
        return self.opcode == SCSI_RESPONSE or (self.opcode == DATA_IN and bool(self.header[1] & _STATUS_PRESENT))

    @property
    def scsi_status(self) -> int:
        return self.header[3]

    @property
    def offset(self) -> int:
        """Where the data of a Data-In or Data-Out belongs."""
        return int.from_bytes(self.header[40:44], "big")

    @property
    def sense(self) -> bytes:
        """Sense data of a SCSI Response."""
        return self.data[2 : 2 + int.from_bytes(self.data[:2], "big")] if self.opcode == SCSI_RESPONSE else b""

    @property
    def login_status(self) -> int:
        """Status class and detail; 0 is success."""
        return int.from_bytes(self.header[36:38], "big")

    @property
    def next_stage(self) -> int | None:
        """The stage to which a login goes on, None while it stays in its own."""
        return self.header[1] & 0x03 if self.header[1] & _TRANSIT else None

    @property
    def stage(self) -> int:
        return self.header[1] >> 2 & 0x03

    @property
    def keys(self) -> dict[str, str]:
        """The text of a login."""
        pairs = (item.partition("=") for item in self.data.decode("utf-8", "replace").split("\0"))
        return {key: text for key, _equals, text in pairs if key}


def data_length(header: bytes) -> tuple[int, int]:
    """Bytes that follow a header: those of additional headers, and those of data, which are padded to four."""
    return 4 * header[4], int.from_bytes(header[5:8], "big")


def login(isid: bytes, stage: int, next_stage: int | None, expected: int, keys: Mapping[str, str]) -> bytes:
    """A login request (11.12); `next_stage` is None when more is to be said in this one."""
    flags = stage << 2 | (_TRANSIT | next_stage if next_stage is not None else 0)
    text = "".join(f"{key}={value}\0" for key, value in keys.items()).encode("utf-8")
    specific = bytes(4) + _number(1) + _number(expected) + bytes(16)
    return _pdu(LOGIN | _IMMEDIATE, flags, isid + bytes(2), _number(1), specific, text)


def scsi_command(tag: int, lun: bytes, cdb: bytes, length: int, number: int, expected: int) -> bytes:
    """A command that reads at most `length` bytes (11.3)."""
    specific = _number(length) + _number(number) + _number(expected) + cdb.ljust(16, b"\0")
    return _pdu(SCSI_COMMAND, _FINAL | _READ_SIMPLE, lun, _number(tag), specific)


def nop_answer(ping: Pdu, number: int, expected: int) -> bytes:
    """The NOP-Out that answers a target's ping (11.18)."""
    specific = ping.transfer_tag + _number(number) + _number(expected) + bytes(16)
    return _pdu(NOP_OUT | _IMMEDIATE, _FINAL, ping.header[8:16], NO_TAG, specific, ping.data)


def logout(tag: int, number: int, expected: int) -> bytes:
    """The request to close the session (11.14)."""
    specific = bytes(4) + _number(number) + _number(expected) + bytes(16)
    return _pdu(LOGOUT | _IMMEDIATE, _FINAL, bytes(8), _number(tag), specific)


def chap_response(identifier: str, challenge: str, secret: str) -> str:
    """CHAP_R for a challenge (RFC 1994, 4.1), by MD5, which is the one algorithm that every target has. Raises `ValueError`."""
    text = bytes([int(identifier, 0) & 0xFF]) + secret.encode("utf-8") + _binary(challenge)
    return "0x" + hashlib.md5(text).hexdigest()


def _binary(text: str) -> bytes:
    if text[:2].lower() == "0b":
        return b64decode(text[2:])
    digits = text[2:] if text[:2].lower() == "0x" else text
    return bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))


def _pdu(opcode: int, flags: int, lun: bytes, tag: bytes, specific: bytes, data: bytes = b"") -> bytes:
    header = bytes([opcode, flags, 0, 0, 0]) + len(data).to_bytes(3, "big") + lun + tag + specific
    return header + data + bytes(-len(data) % 4)


def _number(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "big")
