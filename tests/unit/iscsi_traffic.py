# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""iSCSI traffic as both ends would send it, and capture files of it, made from the drawings of RFC 7143 and of tcpdump.org's formats.

Nothing here uses what is tested, but for the names of numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.unit.crc32c import crc32c

INITIATOR, PORTAL = ("10.0.0.1", 40001), ("10.0.0.2", 3260)
IQN = "iqn.2026-11.example:array"
NAA = "600a098038314c4f5d2b4e6d6f724c41"
LUN = bytes([0, 7]) + bytes(6)
"""Peripheral addressing of LUN 7."""


def digest(data: bytes) -> bytes:
    return struct.pack("<I", crc32c(data))


@dataclass(frozen=True)
class Sent:
    """Bytes of one PDU in one direction, at a time."""

    to_target: bool
    time: float
    data: bytes


@dataclass
class Conversation:
    """One connection: what both ends send, in the order in which they do."""

    header_digest: bool = False
    data_digest: bool = False
    now: float = 1000.0
    command_number: int = 1
    status_number: int = 500
    tag: int = 16
    sent: list[Sent] = field(default_factory=list)
    in_login: bool = True

    def pdu(self, to_target: bool, head: bytes, data: bytes = b"") -> None:
        self.now += 0.001
        header = head[:5] + len(data).to_bytes(3, "big") + head[8:]
        assert len(header) == 48, len(header)
        body = data + bytes(-len(data) % 4)
        if not self.in_login:
            header += digest(header) if self.header_digest else b""
            body += digest(body) if self.data_digest and body else b""
        self.sent.append(Sent(to_target, self.now, header + body))

    def log_in(self, target: str = IQN) -> None:
        offers = {
            "HeaderDigest": "CRC32C,None" if self.header_digest else "None",
            "DataDigest": "CRC32C,None" if self.data_digest else "None",
        }
        chosen = {"HeaderDigest": "CRC32C" if self.header_digest else "None", "DataDigest": "CRC32C" if self.data_digest else "None"}
        self._login(True, 0x43, 0x87, {"InitiatorName": "iqn.2026-11.example:host", "TargetName": target, **offers})
        self._login(False, 0x23, 0x87, chosen)
        self.in_login = False

    def _login(self, to_target: bool, code: int, flags: int, keys: dict[str, str]) -> None:
        text = "".join(f"{key}={value}\0" for key, value in keys.items()).encode()
        numbers = struct.pack(">III", self.command_number, 0, 0) if to_target else self._target_numbers(True)
        self.pdu(to_target, bytes([code, flags, 0, 0]) + bytes(4) + bytes(8) + bytes(4) + bytes(4) + numbers + bytes(12), text)

    def _target_numbers(self, with_status: bool) -> bytes:
        status = self.status_number if with_status else 0
        self.status_number += with_status
        return struct.pack(">III", status & 0xFFFFFFFF, self.command_number & 0xFFFFFFFF, (self.command_number + 32) & 0xFFFFFFFF)

    def command(self, block: bytes, flags: int, length: int, data: bytes = b"", lun: bytes = LUN) -> bytes:
        """A command PDU; its tag."""
        self.tag += 1
        tag = struct.pack(">I", self.tag)
        numbers = struct.pack(">II", self.command_number & 0xFFFFFFFF, self.status_number & 0xFFFFFFFF)
        self.command_number += 1
        self.pdu(
            True, bytes([0x01, flags, 0, 0]) + bytes(4) + lun + tag + struct.pack(">I", length) + numbers + block.ljust(16, b"\0"), data
        )
        return tag

    def data_out(self, tag: bytes, offset: int, data: bytes, last: bool = True) -> None:
        head = bytes([0x05, 0x80 if last else 0, 0, 0]) + bytes(4) + LUN + tag + b"\0\0\0\1"
        self.pdu(
            True,
            head + bytes(4) + struct.pack(">I", self.status_number & 0xFFFFFFFF) + bytes(8) + struct.pack(">I", offset) + bytes(4),
            data,
        )

    def ready(self, tag: bytes, offset: int, length: int) -> None:
        numbers = struct.pack(
            ">III", self.status_number & 0xFFFFFFFF, self.command_number & 0xFFFFFFFF, self.command_number + 32 & 0xFFFFFFFF
        )
        self.pdu(
            False, bytes([0x31, 0x80, 0, 0]) + bytes(4) + LUN + tag + b"\0\0\0\1" + numbers + bytes(4) + struct.pack(">II", offset, length)
        )

    def data_in(self, tag: bytes, offset: int, data: bytes, with_status: bool = False) -> None:
        flags = 0x81 if with_status else 0
        head = bytes([0x25, flags, 0, 0]) + bytes(4) + bytes(8) + tag + b"\xff" * 4
        self.pdu(False, head + self._target_numbers(with_status) + bytes(4) + struct.pack(">I", offset) + bytes(4), data)

    def response(self, tag: bytes, status: int = 0) -> None:
        head = bytes([0x21, 0x80, 0, status]) + bytes(4) + bytes(8) + tag + bytes(4)
        self.pdu(False, head + self._target_numbers(True) + bytes(12))

    def write(self, lba: int, data: bytes, immediate: int = 0, step: int = 0, block_size: int = 512, answered: bool = True) -> bytes:
        """A WRITE(10) with so much immediate data, and the rest in pieces of `step` bytes."""
        block = struct.pack(">BBIBHB", 0x2A, 0, lba, 0, len(data) // block_size, 0)
        tag = self.command(block, 0xA0, len(data), data[:immediate])
        if immediate < len(data):
            self.ready(tag, immediate, len(data) - immediate)
        for at in range(immediate, len(data), step or len(data)):
            self.data_out(tag, at, data[at : at + (step or len(data))], at + (step or len(data)) >= len(data))
        if answered:
            self.response(tag)
        return tag

    def read(self, lba: int, data: bytes, step: int = 0) -> None:
        """A READ(16)."""
        tag = self.command(struct.pack(">BBQIBB", 0x88, 0, lba, len(data) // 512, 0, 0), 0xC0, len(data))
        for at in range(0, len(data), step or len(data)):
            self.data_in(tag, at, data[at : at + (step or len(data))])
        self.response(tag)

    def identify(self, naa: str = NAA) -> None:
        """INQUIRY of the Device Identification page, with its status in the Data-In."""
        designator = bytes([1, 3, 0, len(naa) // 2]) + bytes.fromhex(naa)
        tag = self.command(bytes([0x12, 1, 0x83, 0, 255, 0]), 0xC0, 255)
        self.data_in(tag, 0, bytes([0, 0x83, 0, len(designator)]) + designator, with_status=True)


@dataclass(frozen=True)
class Packet:
    """One TCP segment, as both ends know it."""

    to_target: bool
    time: float
    sequence: int
    data: bytes
    flags: int = 0x18
    acknowledged: int = 0


def packets(sent: Sequence[Sent], most: int = 1448, first: int = 0xFFFFF000, with_begin: bool = True) -> list[Packet]:
    """What is sent, in segments of at most so many bytes. Sequence numbers wrap soon."""
    numbers = {True: first, False: first ^ 0x5555}
    made: list[Packet] = []
    if with_begin:
        for to_target, flags in ((True, 0x02), (False, 0x12)):
            made.append(
                Packet(to_target, sent[0].time, numbers[to_target] - 1 & 0xFFFFFFFF, b"", flags, numbers[not to_target] & 0xFFFFFFFF)
            )
    for one in sent:
        for at in range(0, len(one.data), most):
            data = one.data[at : at + most]
            reached = numbers[not one.to_target] & 0xFFFFFFFF
            made.append(Packet(one.to_target, one.time, numbers[one.to_target] & 0xFFFFFFFF, data, acknowledged=reached))
            numbers[one.to_target] += len(data)
    return made


def frame(
    packet: Packet, link: int = 1, vlans: int = 0, version: int = 4, ends: tuple[tuple[str, int], tuple[str, int]] = (INITIATOR, PORTAL)
) -> bytes:
    """A packet with everything around it."""
    source, destination = ends if packet.to_target else ends[::-1]
    tcp = struct.pack(
        ">HHIIBBHHH", source[1], destination[1], packet.sequence & 0xFFFFFFFF, packet.acknowledged, 0x80, packet.flags, 65535, 0, 0
    ) + bytes([1] * 12)
    kind = 0x0800 if version == 4 else 0x86DD
    return _link(link, kind, vlans) + _network(version, source[0], destination[0], len(tcp) + len(packet.data)) + tcp + packet.data


def _network(version: int, source: str, destination: str, length: int) -> bytes:
    ends = [bytes(int(part) for part in address.split(".")) for address in (source, destination)]
    if version == 4:
        return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, 1, 0x4000, 64, 6, 0, *ends)
    hop = bytes([6, 0, 1, 4, 0, 0, 0, 0])
    return struct.pack(">IHBB", 6 << 28, len(hop) + length, 0, 64) + b"".join(bytes(12) + end for end in ends) + hop


def _link(link: int, kind: int, vlans: int) -> bytes:
    tags = b"".join(
        struct.pack(">HH", number, kind if place + 1 == vlans else 0x8100) for place, number in enumerate(range(100, 100 + vlans))
    )
    first = 0x8100 if vlans else kind
    if link == 1:
        return bytes(12) + struct.pack(">H", first) + tags
    if link == 113:
        return bytes(14) + struct.pack(">H", first) + tags
    if link == 276:
        return struct.pack(">H", first) + bytes(18) + tags
    return b"" if link != 0 else struct.pack("<I", 2)


def pcap(frames: Iterable[tuple[float, bytes]], link: int = 1, snap: int = 1 << 18, order: str = "<", nano: bool = False) -> bytes:
    """A pcap file, of which each packet is cut after `snap` bytes."""
    ticks = 10**9 if nano else 10**6
    made = struct.pack(f"{order}IHHIIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, link)
    for time, data in frames:
        made += struct.pack(f"{order}IIII", int(time), round(time % 1 * ticks) % ticks, min(len(data), snap), len(data)) + data[:snap]
    return made


def pcapng(frames: Iterable[tuple[float, bytes]], link: int = 1, order: str = "<", resolution: int = 6) -> bytes:
    """A pcapng file whose first interface is one that nothing comes from, in the default resolution."""

    def block(kind: int, body: bytes) -> bytes:
        size = 12 + len(body)
        return struct.pack(f"{order}II", kind, size) + body + struct.pack(f"{order}I", size)

    made = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    made += block(1, struct.pack(f"{order}HHI", 147, 0, 0)) + block(4, bytes(8))
    made += block(1, struct.pack(f"{order}HHIHHB3xHH", link, 0, 0, 9, 1, resolution, 0, 0))
    for time, data in frames:
        ticks = round(time * 10**resolution)
        head = struct.pack(f"{order}IIIII", 1, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
        made += block(6, head + data + bytes(-len(data) % 4))
    return made
