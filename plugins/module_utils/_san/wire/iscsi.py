# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which LUNs an iSCSI target shows to an initiator, by their identities: a session that logs in, asks and logs out (RFC 7143, SPC-4).

It writes nothing and reserves nothing. It logs in under an ISID of its own, so that it is a session beside those that an initiator of
this name may have, and never takes their place. A target that goes on for ever is left: each request has to be answered within the timeout
of the stream, whatever else comes meanwhile.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.ending import uncut
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
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import Excess, Pace

NOT_ADMITTED = frozenset({"514", "515"})
"""Codes of a `RemoteError`: the target does not let the initiator in, or does not exist for it (login status 0x0202 and 0x0203)."""

_REDIRECTED = range(0x0100, 0x0200)
_AUTHENTICATION_FAILED = 0x0201
_DISK = 0
_ISID_RANDOM = 0x80
_LARGEST = 1 << 18
_LARGEST_FLAT = 0x7FFF
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
_MOST_LUNS = 4096
"""Logical units of one target: as many as ONTAP can map to an initiator."""
_SECONDS_A_LUN = 0.25
"""What a session may take for each logical unit: three questions and their answers, also through a tunnel to another continent."""
_LARGEST_REPLY = 4 * _LARGEST
"""Bytes that may come before a request is answered, twice as many as the data and a ping before each of its pieces have."""
_PORTS = range(1, 1 << 16)
_PORT_DIGITS = 5
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[?[0-9A-Fa-f:.]{2,45}\]?")
_UNIT_ATTENTION = 6
_INQUIRY, _REPORT_LUNS, _READ_CAPACITY_16 = 0x12, 0xA0, 0x9E
_DEVICE_IDENTIFICATION = 0x83
_CAPACITY_LENGTH = 12


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
    """The LUN id by which people and arrays know it."""
    address: int
    """The first two octets of its address: what QEMU's own initiator takes for its number (libiscsi, `iscsi_pdu_set_lun`)."""
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
        addresses = session.report_luns()
        session.allow(len(addresses) * _SECONDS_A_LUN)
        return [lun for address in addresses for lun in session.disk(address)]


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
    except (OSError, ValueError, OverflowError) as error:  # the latter two for what can be no name or port
        where = f"redirects the login to {portal.address}:{portal.port}, which" if redirected else ""
        why = getattr(error, "strerror", None) or error
        raise ConnectionFailed(
            f"Target {' '.join(filter(None, (str(path), where)))} cannot be reached: {why}; "
            "check the address and that the network lets it through"
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
        self._patience = _patience(stream)
        self._deadline = time.monotonic() + _LOGIN_ROUNDS * self._patience
        self._pace = Pace(self._patience, _LARGEST_REPLY)

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
        end = min(8 + int.from_bytes(reply[:4], "big"), len(reply))
        addresses = [reply[at : at + 8] for at in range(8, end - 7, 8)]
        if len(addresses) > _MOST_LUNS:
            raise self._excessive(f"shows {len(addresses)} logical units, more than {_MOST_LUNS}")
        return addresses

    def allow(self, seconds: float) -> None:
        """Let the session take so much longer than a single request."""
        self._deadline = time.monotonic() + self._patience + seconds

    def disk(self, address: bytes) -> Iterator[IscsiLun]:
        """The logical unit, if it is a disk, and at an address that QEMU's own initiator can send: peripheral or flat (SAM-5 4.7.7)."""
        word = int.from_bytes(address[:2], "big")
        if word > _LARGEST_FLAT or any(address[2:]):
            return
        standard = self._inquiry(address, 0, 0)
        if not standard or standard[0] != _DISK:
            return
        capacity = self._command(address, bytes([_READ_CAPACITY_16, 0x10]) + bytes(11) + bytes([32]) + bytes(2), 32)
        if len(capacity) < _CAPACITY_LENGTH:
            raise RemoteError(f"Target {self._path} answers READ CAPACITY with {len(capacity)} bytes: check the array's software")
        blocks, block = int.from_bytes(capacity[:8], "big") + 1, int.from_bytes(capacity[8:12], "big")
        yield IscsiLun(
            number=word & 0x3FFF,
            address=word,
            name=ScsiName.from_vpd83(self._inquiry(address, 1, _DEVICE_IDENTIFICATION)),
            size_bytes=blocks * block,
            vendor=standard[8:16].decode("ascii", "replace").strip(),
            product=standard[16:32].decode("ascii", "replace").strip(),
        )

    def close(self) -> None:
        """Log out. Raises nothing but `Ended`, and that only when it is done."""
        with uncut(), contextlib.suppress(CrossvisorError):
            try:
                self._exchange(pdu.logout(self._next_tag(), self._number, self._expected), pdu.LOGOUT_RESPONSE)
            finally:
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
        self._request(pdu.scsi_command(tag, address, cdb, length, self._number, self._expected))
        self._number += 1
        data = bytearray()
        while True:
            answer = self._receive()
            if answer.opcode == pdu.DATA_IN:
                if answer.offset > len(data) or answer.offset + len(answer.data) > length:
                    raise self._excessive(f"answers SCSI command 0x{cdb[0]:02x} with data that was not asked for")
                data[answer.offset : answer.offset + len(answer.data)] = answer.data
            if answer.carries_status:
                return bytes(data), answer

    def _exchange(self, request: bytes, expected_opcode: int) -> Pdu:
        self._request(request)
        while True:
            answer = self._receive()
            if answer.opcode == expected_opcode:
                return answer

    def _receive(self) -> Pdu:
        """The next PDU that says something; a target's pings are answered on the way."""
        while True:
            header = self._read(pdu.HEADER_LENGTH)
            additional, length = pdu.data_length(header)
            if length > _LARGEST:
                raise self._excessive(f"sends a PDU of {length} bytes, more than the {_LARGEST} that it was told")
            body = self._read(additional + length + -length % 4)
            got = Pdu(header, body[additional : additional + length])
            if got.opcode in (pdu.LOGIN_RESPONSE, pdu.LOGOUT_RESPONSE) or got.carries_status:
                self._expected = got.status_number + 1
            if got.opcode != pdu.NOP_IN:
                return got
            if got.transfer_tag != pdu.NO_TAG:
                self._send(pdu.nop_answer(got, self._number, self._expected))

    def _request(self, data: bytes) -> None:
        """Send what is to be answered within the patience, however much else comes."""
        self._pace = Pace(self._patience, _LARGEST_REPLY, slowest=math.inf)
        self._send(data)

    def _send(self, data: bytes) -> None:
        try:
            self._stream.sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def _read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            try:
                self._pace.read(lambda: self._receive_into(data, length - len(data)))
            except Excess as excess:
                raise self._excessive(str(excess)) from excess
            except OSError as error:
                raise self._lost(error) from error
        return bytes(data)

    def _receive_into(self, data: bytearray, most: int) -> int:
        if time.monotonic() > self._deadline:
            raise Excess("takes too long for all that was asked")
        piece = self._stream.recv(most)
        if not piece:
            raise self._lost(None)
        data += piece
        return len(piece)

    def _lost(self, error: OSError | None) -> ConnectionFailed:
        why = error or "it closed the connection"
        return ConnectionFailed(f"Target {self._path} broke off: {why}; check that an iSCSI target runs there")

    def _excessive(self, what: str) -> ConnectionFailed:
        return ConnectionFailed(f"Target {self._path} {what}; check that an iSCSI target runs there")

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
    if not (_HOST.fullmatch(host) and port.isascii() and port.isdecimal() and len(port) <= _PORT_DIGITS and int(port) in _PORTS):
        raise RemoteError(f"Target {path} redirects the login to {address!r:.100}, which is no address: check the array's portals")
    return Portal(host.strip("[]"), int(port))


def _patience(stream: socket.socket) -> float:
    """How many seconds a request may take: what its dialler has set as timeout."""
    timeout = stream.gettimeout()
    return math.inf if timeout is None else timeout
