# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which LUNs an iSCSI target shows to an initiator, by their identities: a session that logs in, asks and logs out (RFC 7143, SPC-4).

It writes nothing and reserves nothing. It logs in under an ISID of its own, so that it is a session beside those that an initiator of
this name may have, and never takes their place.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import iscsi_pdu as pdu
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.iscsi_pdu import Pdu

NOT_ADMITTED = frozenset({"514", "515"})
"""Codes of a `RemoteError`: the target does not let the initiator in, or does not exist for it (login status 0x0202 and 0x0203)."""

_REDIRECTED = range(0x0100, 0x0200)
_AUTHENTICATION_FAILED = 0x0201
_DISK = 0
_ISID_RANDOM = 0x80
_LARGEST = 1 << 18
_OPERATIONAL_KEYS = {
    "HeaderDigest": "None",
    "DataDigest": "None",
    "MaxRecvDataSegmentLength": str(_LARGEST),
    "InitialR2T": "Yes",
    "ImmediateData": "Yes",
    "MaxBurstLength": str(_LARGEST),
    "FirstBurstLength": "65536",
    "MaxConnections": "1",
    "MaxOutstandingR2T": "1",
    "DataPDUInOrder": "Yes",
    "DataSequenceInOrder": "Yes",
    "DefaultTime2Wait": "2",
    "DefaultTime2Retain": "0",
    "ErrorRecoveryLevel": "0",
}
_LOGIN_ROUNDS = 10
_ATTEMPTS = 4
_UNIT_ATTENTION = 6
_INQUIRY, _REPORT_LUNS, _READ_CAPACITY_16 = 0x12, 0xA0, 0x9E
_DEVICE_IDENTIFICATION = 0x83


@dataclass(frozen=True)
class IscsiPath:
    """How an initiator reaches a target."""

    portal: Portal
    target: str
    initiator: str
    user: str = ""
    """CHAP user name; empty without CHAP."""
    secret: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.target} at {self.portal.address}:{self.portal.port}"


@dataclass(frozen=True)
class IscsiLun:
    """A disk that a target shows."""

    number: int
    name: ScsiName | None
    size_bytes: int
    vendor: str = ""
    product: str = ""


Dial = Callable[[Portal], socket.socket]
"""Open a stream to a portal, with a timeout set. Raises `OSError`."""


def dial_directly(patience: float) -> Dial:
    """Connect from this machine; nothing may take longer than `patience` seconds."""

    def dial(portal: Portal) -> socket.socket:
        stream = socket.create_connection((portal.address, portal.port), timeout=patience)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    return dial


def luns(path: IscsiPath, dial: Dial) -> list[IscsiLun]:
    """The disks that the target shows to the initiator.

    Raises `ConnectionFailed`, `AuthenticationFailed` (CHAP), or `RemoteError` with the login status as code (`NOT_ADMITTED`).
    """
    with _session(path, dial) as session:
        return [lun for address in session.report_luns() for lun in session.disk(address)]


@contextlib.contextmanager
def _session(path: IscsiPath, dial: Dial) -> Iterator[_Session]:
    session = _logged_in(path, dial, path.portal)
    try:
        yield session
    finally:
        session.close()


def _logged_in(path: IscsiPath, dial: Dial, portal: Portal, redirected: bool = False) -> _Session:
    try:
        stream = dial(portal)
    except OSError as error:
        raise ConnectionFailed(
            f"Target {path} cannot be reached: {error.strerror or error}; check the address and that the network lets it through"
        ) from error
    session = _Session(path, stream)
    try:
        moved_to = session.login()
    except BaseException:
        stream.close()
        raise
    if moved_to is None:
        return session
    stream.close()
    if redirected:
        raise RemoteError(f"Target {path} redirects the login again and again: check the array's portals")
    return _logged_in(path, dial, moved_to, redirected=True)


class _Session:
    """One connection to one target."""

    def __init__(self, path: IscsiPath, stream: socket.socket) -> None:
        self._path = path
        self._stream = stream
        self._isid = bytes([_ISID_RANDOM]) + os.urandom(5)
        self._expected = 0
        self._number = 1
        self._tag = 1

    def login(self) -> Portal | None:
        """Log in; a portal when the target wants the login there instead."""
        stage = pdu.SECURITY
        keys = {
            "InitiatorName": self._path.initiator,
            "TargetName": self._path.target,
            "SessionType": "Normal",
            "AuthMethod": "CHAP,None" if self._path.user else "None",
        }
        next_stage = None if self._path.user else pdu.OPERATIONAL
        for _round in range(_LOGIN_ROUNDS):
            answer = self._exchange(pdu.login(self._isid, stage, next_stage, self._expected, keys), pdu.LOGIN_RESPONSE)
            if answer.login_status in _REDIRECTED:
                return _portal(answer.keys.get("TargetAddress", ""), self._path)
            if answer.login_status:
                raise self._refused(answer.login_status)
            if answer.next_stage == pdu.FULL_FEATURE:
                return None
            if answer.next_stage == pdu.OPERATIONAL:
                stage, next_stage, keys = pdu.OPERATIONAL, pdu.FULL_FEATURE, dict(_OPERATIONAL_KEYS)
            elif stage == pdu.OPERATIONAL:
                keys = {}
            else:
                keys, next_stage = self._security(answer.keys)
        raise RemoteError(f"Target {self._path} does not come to an end of the login: check its settings")

    def report_luns(self) -> list[bytes]:
        """The addresses of the logical units (SPC-4 6.33)."""
        reply = self._command(bytes(8), bytes([_REPORT_LUNS, 0, 0, 0, 0, 0]) + _LARGEST.to_bytes(4, "big") + bytes(2), _LARGEST)
        end = 8 + int.from_bytes(reply[:4], "big")
        return [reply[at : at + 8] for at in range(8, min(end, len(reply)), 8)]

    def disk(self, address: bytes) -> Iterator[IscsiLun]:
        """The logical unit, if it is a disk."""
        standard = self._inquiry(address, 0, 0)
        if not standard or standard[0] != _DISK:
            return
        capacity = self._command(address, bytes([_READ_CAPACITY_16, 0x10]) + bytes(11) + bytes([32]) + bytes(2), 32)
        blocks, block = int.from_bytes(capacity[:8], "big") + 1, int.from_bytes(capacity[8:12], "big")
        yield IscsiLun(
            number=int.from_bytes(address[:2], "big") & 0x3FFF,  # peripheral or flat addressing, SAM-5 4.7.7
            name=ScsiName.from_vpd83(self._inquiry(address, 1, _DEVICE_IDENTIFICATION)),
            size_bytes=blocks * block,
            vendor=standard[8:16].decode("ascii", "replace").strip(),
            product=standard[16:32].decode("ascii", "replace").strip(),
        )

    def close(self) -> None:
        """Log out. Never raises."""
        with contextlib.suppress(CrossvisorError):
            self._exchange(pdu.logout(self._next_tag(), self._number, self._expected), pdu.LOGOUT_RESPONSE)
        self._stream.close()

    def _security(self, said: dict[str, str]) -> tuple[dict[str, str], int | None]:
        """What to answer in the security stage: keys, and the stage to go to."""
        if said.get("AuthMethod") == "CHAP":
            return {"CHAP_A": "5"}, None
        if "CHAP_C" in said:
            try:
                response = pdu.chap_response(said.get("CHAP_I", "0"), said["CHAP_C"], self._path.secret)
            except ValueError as error:
                raise RemoteError(f"Target {self._path} sent a CHAP challenge that is none: {said['CHAP_C']!r:.80}") from error
            return {"CHAP_N": self._path.user, "CHAP_R": response}, pdu.OPERATIONAL
        return {}, pdu.OPERATIONAL

    def _inquiry(self, address: bytes, vital: int, page: int) -> bytes:
        return self._command(address, bytes([_INQUIRY, vital, page, 0x04, 0x00, 0]), 0x400)

    def _command(self, address: bytes, cdb: bytes, length: int) -> bytes:
        """The data that a command reads. After a unit attention, which tells of something that has changed, the question is repeated."""
        for _attempt in range(_ATTEMPTS):
            data, last = self._ask(address, cdb, length)
            if last.scsi_status == 0:
                return data
            if last.sense[2:3] and last.sense[2] & 0x0F != _UNIT_ATTENTION:
                break
        raise RemoteError(
            f"Target {self._path} answers SCSI command 0x{cdb[0]:02x} with status 0x{last.scsi_status:02x}, "
            f"sense {last.sense.hex() or 'none'}"
        )

    def _ask(self, address: bytes, cdb: bytes, length: int) -> tuple[bytes, Pdu]:
        tag = self._next_tag()
        self._send(pdu.scsi_command(tag, address, cdb, length, self._number, self._expected))
        self._number += 1
        data = bytearray()
        while True:
            answer = self._receive()
            if answer.opcode == pdu.DATA_IN:
                data[answer.offset : answer.offset + len(answer.data)] = answer.data
            if answer.carries_status:
                return bytes(data), answer

    def _exchange(self, request: bytes, expected_opcode: int) -> Pdu:
        self._send(request)
        while True:
            answer = self._receive()
            if answer.opcode == expected_opcode:
                return answer

    def _receive(self) -> Pdu:
        """The next PDU that says something; a target's pings are answered on the way."""
        while True:
            header = self._read(pdu.HEADER_LENGTH)
            additional, length = pdu.data_length(header)
            body = self._read(additional + length + -length % 4)
            got = Pdu(header, body[additional : additional + length])
            if got.opcode in (pdu.LOGIN_RESPONSE, pdu.LOGOUT_RESPONSE) or got.carries_status:
                self._expected = got.status_number + 1
            if got.opcode != pdu.NOP_IN:
                return got
            if got.transfer_tag != pdu.NO_TAG:
                self._send(pdu.nop_answer(got, self._number, self._expected))

    def _send(self, data: bytes) -> None:
        try:
            self._stream.sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            try:
                piece = self._stream.recv(length - len(data))
            except OSError as error:
                raise self._lost(error) from error
            if not piece:
                raise self._lost(None)
            data += piece
        return data

    def _lost(self, error: OSError | None) -> ConnectionFailed:
        why = error or "it closed the connection"
        return ConnectionFailed(f"Target {self._path} broke off: {why}; check that an iSCSI target runs there")

    def _next_tag(self) -> int:
        self._tag += 1
        return self._tag

    def _refused(self, status: int) -> CrossvisorError:
        if status == _AUTHENTICATION_FAILED:
            login = f"the CHAP secret of user {self._path.user}" if self._path.user else "a login without CHAP"
            return AuthenticationFailed(
                f"Target {self._path} refuses {login} for initiator {self._path.initiator}: check user name and secret on both sides"
            )
        if str(status) in NOT_ADMITTED:
            return RemoteError(
                f"Target {self._path} does not let initiator {self._path.initiator} in (status {status}): "
                "map the LUN to that initiator on the array, and check the target's name",
                str(status),
            )
        return RemoteError(f"Target {self._path} refuses the login of initiator {self._path.initiator} with status {status}", str(status))


def _portal(address: str, path: IscsiPath) -> Portal:
    """Where a redirection leads: `address:port,group`."""
    host, _colon, port = address.partition(",")[0].rpartition(":")
    if not (host and port.isdecimal()):
        raise RemoteError(f"Target {path} redirects the login to '{address}', which is no address")
    return Portal(host.strip("[]"), int(port))
