# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An iSCSI target (RFC 7143) in a test's process: it admits initiators, checks CHAP, answers the questions that tell which LUNs it has."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Portal
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

IQN = "iqn.2026-01.com.example:array"
INITIATOR = "iqn.2026-01.com.example:kvm01"
BLOCK = 512
_CONTROLLER = 0x0C
_CHECK_CONDITION = 2


@dataclass
class IscsiTarget:
    """What the target is and what was asked of it."""

    luns: dict[int, ScsiName] = field(default_factory=dict)
    initiators: set[str] = field(default_factory=lambda: {INITIATOR})
    accounts: Mapping[str, str] = field(default_factory=dict)
    """CHAP user → secret; without any, nobody is asked."""
    also: list[bytes] = field(default_factory=list)
    """How the addresses of more LUNs begin, all of which are disks."""
    size_bytes: int = 1 << 30
    capacity: bytes | None = None
    """What it says of the size instead."""
    pings: bool = False
    """Ask after the initiator before every answer."""
    attention: int = 0
    """So many commands to come are answered with a unit attention."""
    moved_to: Portal | str | None = None
    """Where it leads, or what it says of that."""
    instead: Callable[[Answerer], None] | None = None
    """What it does instead of answering a command, or a login where it does not even admit."""
    admits: bool = True
    portal: Portal = field(default_factory=lambda: Portal("", 0))
    commands: list[int] = field(default_factory=list)
    logouts: int = 0


@dataclass(frozen=True)
class Answerer:
    """How to answer one request."""

    write: Callable[[bytes], object]
    """Send these bytes."""
    send: Callable[..., None]
    """Send a PDU: opcode, flags, tag, …"""
    tag: bytes
    """Which request it is."""


@contextlib.contextmanager
def listening(target: IscsiTarget) -> Iterator[IscsiTarget]:
    """Serve the target on a port of its own."""

    class Handler(_Handler):
        its = target

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        target.portal = Portal("127.0.0.1", int(server.server_address[1]))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield target
        finally:
            server.shutdown()


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    its: IscsiTarget

    def handle(self) -> None:
        self.sequence, self.challenge, self.admitted = 0, b"", False
        with contextlib.suppress(ConnectionError):
            while self._answer_one():
                pass

    def _answer_one(self) -> bool:
        header = self.rfile.read(48)
        if len(header) < 48:
            return False
        length = int.from_bytes(header[5:8], "big")
        data = self.rfile.read(length + -length % 4)[:length]
        opcode = header[0] & 0x3F
        if self.its.instead and opcode == (0x01 if self.its.admits else 0x03):
            self.its.instead(Answerer(self.wfile.write, self._send, header[16:20]))
            return False
        if opcode == 0x03:
            return self._login(header, data)
        if opcode == 0x01 and self.admitted:
            self._command(header)
            return True
        if opcode == 0x06:
            self.its.logouts += 1
            self._send(0x26, 0x80, header[16:20])
            return False
        return opcode == 0x00

    def _login(self, header: bytes, data: bytes) -> bool:
        keys = dict(item.split("=", 1) for item in data.decode().split("\0") if item)
        transit, next_stage = bool(header[1] & 0x80), header[1] & 3
        if "TargetName" in keys:
            if self.its.moved_to is not None:
                to = self.its.moved_to
                where = f"TargetAddress={to if isinstance(to, str) else f'{to.address}:{to.port},1'}"
                return self._login_answer(header, 0, {}, status=0x0101, text=where)
            if keys["TargetName"] != IQN or keys["InitiatorName"] not in self.its.initiators:
                return self._login_answer(header, 0, {}, status=0x0203)
            if self.its.accounts and "CHAP" not in keys["AuthMethod"]:
                return self._login_answer(header, 0, {}, status=0x0201)
            self.admitted = not self.its.accounts
            if self.its.accounts:
                return self._login_answer(header, 0, {"AuthMethod": "CHAP"})
            return self._login_answer(header, 0x81 if transit else 0, {"AuthMethod": "None"})
        if "CHAP_A" in keys:
            self.challenge = os.urandom(16)
            return self._login_answer(header, 0, {"CHAP_A": "5", "CHAP_I": "7", "CHAP_C": "0x" + self.challenge.hex()})
        if "CHAP_R" in keys:
            secret = self.its.accounts.get(keys["CHAP_N"], "")
            expected = "0x" + hashlib.md5(b"\x07" + secret.encode() + self.challenge).hexdigest()
            self.admitted = bool(secret) and keys["CHAP_R"] == expected
            return self._login_answer(header, 0x81, {}, status=0 if self.admitted else 0x0201)
        if not transit:
            return self._login_answer(header, 0, {})
        return self._login_answer(header, 0x80 | (header[1] & 0x0C) | next_stage, {"HeaderDigest": "None"})

    def _login_answer(self, header: bytes, flags: int, keys: Mapping[str, str], status: int = 0, text: str = "") -> bool:
        body = (text or "\0".join(f"{key}={value}" for key, value in keys.items())).encode() + b"\0"
        answer = bytearray(48)
        answer[0], answer[1] = 0x23, flags
        answer[5:8], answer[16:20] = len(body).to_bytes(3, "big"), header[16:20]
        answer[24:28], answer[36:38] = self._next(), status.to_bytes(2, "big")
        self.wfile.write(bytes(answer) + body + bytes(-len(body) % 4))
        return not status

    def _command(self, header: bytes) -> None:
        cdb, tag = header[32:48], header[16:20]
        self.its.commands.append(cdb[0])
        if self.its.pings:
            self._send(0x20, 0x80, b"\xff" * 4, transfer_tag=b"\0\0\0\x2a")
        if self.its.attention:
            self.its.attention -= 1
            sense = bytes([0x70, 0, 6, 0, 0, 0, 0, 10]) + bytes(10)
            self._send(0x21, 0x80, tag, status=_CHECK_CONDITION, data=len(sense).to_bytes(2, "big") + sense)
            return
        named = {_address(number): number for number in self.its.luns} | {
            _padded(one): number for one in self.its.also for number in self.its.luns
        }
        data = self._data(cdb, named.get(header[8:16], -1))
        half = len(data) // 8 * 4
        self._send(0x25, 0, tag, data=data[:half])
        self._send(0x25, 0x81, tag, data=data[half:], offset=half)

    def _data(self, cdb: bytes, lun: int) -> bytes:
        if cdb[0] == 0xA0:
            numbers = b"".join([*map(_address, (0, *self.its.luns)), *map(_padded, self.its.also)])
            return len(numbers).to_bytes(4, "big") + bytes(4) + numbers
        if cdb[0] == 0x9E:
            if self.its.capacity is not None:
                return self.its.capacity
            return (self.its.size_bytes // BLOCK - 1).to_bytes(8, "big") + BLOCK.to_bytes(4, "big") + bytes(20)
        if cdb[1] & 1:
            name = bytes.fromhex(self.its.luns[lun].naa)
            return bytes([0, 0x83]) + (4 + len(name)).to_bytes(2, "big") + bytes([1, 3, 0, len(name)]) + name
        kind = 0 if lun in self.its.luns else _CONTROLLER
        return bytes([kind, 0, 6, 2, 31, 0, 0, 0]) + b"NETAPP  " + b"LUN C-Mode      " + b"9800"

    def _send(
        self, opcode: int, flags: int, tag: bytes, status: int = 0, data: bytes = b"", offset: int = 0, transfer_tag: bytes = b"\xff" * 4
    ) -> None:
        answer = bytearray(48)
        answer[0], answer[1], answer[3] = opcode, flags, status
        answer[5:8], answer[16:20], answer[20:24] = len(data).to_bytes(3, "big"), tag, transfer_tag
        answer[24:28], answer[40:44] = self._next(), offset.to_bytes(4, "big")
        self.wfile.write(bytes(answer) + data + bytes(-len(data) % 4))

    def _next(self) -> bytes:
        self.sequence += 1
        return self.sequence.to_bytes(4, "big")


def _address(number: int) -> bytes:
    """Peripheral addressing below 256, flat addressing above (SAM-5 4.7.7)."""
    return _padded((number if number < 256 else 0x4000 | number).to_bytes(2, "big"))


def _padded(address: bytes) -> bytes:
    return address.ljust(8, b"\0")
