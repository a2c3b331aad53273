# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The TCP segments in a capture file, as tcpdump, Wireshark and switches write it: pcap and pcapng. Pure, but for reading the file.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng; what a packet begins with is one of tcpdump.org's link-layer header types.
They are read here, because the libraries on PyPI hide what has to be told: dpkt yields no original length of a packet that was cut and
takes all interfaces of a pcapng for the first, python-pcapng knows that format alone, and scapy takes fifty times as long.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import BinaryIO

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.tcp_streams import Segment

ISCSI_PORT = 3260
MOST_PACKET = 1 << 20
"""Bytes of one packet, four times as many as tcpdump keeps at most."""

_PCAP = {
    b"\xa1\xb2\xc3\xd4": (">", 10**6),
    b"\xd4\xc3\xb2\xa1": ("<", 10**6),
    b"\xa1\xb2\x3c\x4d": (">", 10**9),
    b"\x4d\x3c\xb2\xa1": ("<", 10**9),
}
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_RESOLUTION, _OFFSET = 9, 14
_GZIP = b"\x1f\x8b"
_ETHERNET, _COOKED, _COOKED_2, _RAW = 1, 113, 276, frozenset({12, 14, 101, 228, 229})
_LOOPBACK = frozenset({0, 108})
_VLANS = frozenset({0x8100, 0x88A8, 0x9100})
_IPV4, _IPV6 = 0x0800, 0x86DD
_TCP, _ESP, _FRAGMENT = 6, 50, 44
_EXTENSIONS = frozenset({0, 43, 60})
_SYN, _ACK = 0x02, 0x10


@dataclass
class Packets:
    """What was in a file, counted."""

    all: int = 0
    of_portals: int = 0
    """TCP segments to or from one of the ports."""
    cut: int = 0
    """Of these, those of which the file has only the beginning."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Packets that could not be looked into, by why."""
    ends_early: bool = False
    """Whether the file ends within a packet."""


@dataclass(frozen=True)
class _Packet:
    link: int
    time: float | None
    data: bytes
    length: int


@dataclass(frozen=True)
class _Interface:
    link: int
    ticks: int
    offset: int


class _Unreadable(Exception):
    """A packet that nobody can look into; the text says why."""


def segments(file: BinaryIO, name: str, packets: Packets, ports: Collection[int] = (ISCSI_PORT,)) -> Iterator[Segment]:
    """The segments to and from the ports, in the order of the file, which is not always that in which they were sent.

    Counts in `packets`. Raises `InvalidInput` for what is no capture, or damaged.
    """
    for packet in _packets(file, name, packets):
        packets.all += 1
        try:
            found = _segment(packet, ports)
        except _Unreadable as why:
            packets.unreadable[str(why)] += 1
            continue
        except (struct.error, IndexError):
            packets.unreadable["are cut within their headers"] += 1
            continue
        if found:
            packets.of_portals += 1
            packets.cut += len(found.data) < found.length
            yield found


def _packets(file: BinaryIO, name: str, packets: Packets) -> Iterator[_Packet]:
    magic = file.read(4)
    try:
        if magic in _PCAP:
            yield from _pcap(file, name, *_PCAP[magic])
        elif magic == _SECTION.to_bytes(4, "big"):
            yield from _pcapng(file, name)
        else:
            packed = ": it is compressed, unpack it (gunzip)" if magic[:2] == _GZIP else ": write it as pcap or pcapng (tcpdump -w)"
            raise InvalidInput(f"{name} is no capture file{packed}.")
    except EOFError:
        packets.ends_early = True


def _read(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _damaged(file: BinaryIO, name: str, what: str) -> InvalidInput:
    return InvalidInput(f"{name} is damaged before byte {file.tell()}: {what}; take the capture again.")


def _pcap(file: BinaryIO, name: str, order: str, ticks: int) -> Iterator[_Packet]:
    (link,) = struct.unpack(f"{order}16xI", _read(file, 20))
    while True:
        head = file.read(16)
        if not head:
            return
        if len(head) < 16:
            raise EOFError
        seconds, fraction, kept, length = struct.unpack(f"{order}IIII", head)
        if kept > MOST_PACKET or kept > length or fraction >= ticks:
            raise _damaged(file, name, f"a packet of {kept} bytes out of {length}")
        yield _Packet(link & 0xFFFF, seconds + fraction / ticks, _read(file, kept), length)


def _pcapng(file: BinaryIO, name: str) -> Iterator[_Packet]:
    order, interfaces = _section(file, name), list[_Interface]()
    while True:
        head = file.read(8)
        if not head:
            return
        if len(head) < 8:
            raise EOFError
        if head[:4] == _SECTION.to_bytes(4, "big"):
            file.seek(-4, 1)
            order, interfaces = _section(file, name), []
            continue
        kind, length = struct.unpack(f"{order}II", head)
        if length % 4 or not 12 <= length <= 2 * MOST_PACKET:
            raise _damaged(file, name, f"a block of {length} bytes")
        body = _read(file, length - 8)[:-4]
        if kind == _INTERFACE:
            interfaces.append(_interface(body, order))
        elif kind in (_ENHANCED, _SIMPLE):
            yield _of_block(file, name, order, interfaces, kind, body)


def _section(file: BinaryIO, name: str) -> str:
    """The byte order of a section, whose header is read to its end."""
    length, magic = _read(file, 4), _read(file, 4)
    order = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}.get(magic)
    if order is None:
        raise _damaged(file, name, "a section without its byte order")
    (size,) = struct.unpack(f"{order}I", length)
    if size % 4 or not 28 <= size <= MOST_PACKET:
        raise _damaged(file, name, f"a section header of {size} bytes")
    _read(file, size - 12)
    return order


def _interface(body: bytes, order: str) -> _Interface:
    if len(body) < 8:
        return _Interface(-1, 10**6, 0)
    link, at, ticks, offset = struct.unpack_from(f"{order}H", body)[0], 8, 10**6, 0
    while at + 4 <= len(body):
        code, length = struct.unpack_from(f"{order}HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == _RESOLUTION and len(value) == 1:
            ticks = 1 << (value[0] & 0x7F) if value[0] & 0x80 else 10 ** min(value[0], 18)
        elif code == _OFFSET and len(value) == 8:
            (offset,) = struct.unpack(f"{order}q", value)
        at += 4 + length + -length % 4
    return _Interface(link, ticks, offset)


def _of_block(file: BinaryIO, name: str, order: str, interfaces: list[_Interface], kind: int, body: bytes) -> _Packet:
    if kind == _SIMPLE:
        number, time, data = 0, None, body[4:]
        length = struct.unpack_from(f"{order}I", body)[0] if len(body) >= 4 else -1
        kept = min(length, len(data))
    else:
        if len(body) < 20:
            raise _damaged(file, name, "a packet without its header")
        number, high, low, kept, length = struct.unpack_from(f"{order}IIIII", body)
        data, time = body[20:], float(high << 32 | low)
    if number >= len(interfaces) or not 0 <= kept <= min(length, len(data)):
        raise _damaged(file, name, f"a packet of {kept} bytes out of {length}, of interface {number}")
    interface = interfaces[number]
    when = None if time is None else interface.offset + time / interface.ticks
    return _Packet(interface.link, when, data[:kept], length)


def _segment(packet: _Packet, ports: Collection[int]) -> Segment | None:
    protocol, at = _network(packet)
    if protocol == _IPV4:
        return _of_ipv4(packet, at, ports)
    if protocol == _IPV6:
        return _of_ipv6(packet, at, ports)
    return None


def _network(packet: _Packet) -> tuple[int, int]:
    """Which protocol a packet carries, and where it begins."""
    data, link = packet.data, packet.link
    if link == _ETHERNET:
        kind, at = struct.unpack_from(">H", data, 12)[0], 14
    elif link == _COOKED:
        kind, at = struct.unpack_from(">H", data, 14)[0], 16
    elif link == _COOKED_2:
        kind, at = struct.unpack_from(">H", data)[0], 20
    elif link in _RAW:
        return (_IPV6 if data[0] >> 4 == 6 else _IPV4), 0
    elif link in _LOOPBACK:
        return (_IPV6 if data[4] >> 4 == 6 else _IPV4), 4
    else:
        raise _Unreadable(f"are of link type {link}, which is not read")
    while kind in _VLANS:
        kind, at = struct.unpack_from(">H", data, at + 2)[0], at + 4
    return kind, at


def _of_ipv4(packet: _Packet, at: int, ports: Collection[int]) -> Segment | None:
    data = packet.data
    header, total, fragment, protocol = 4 * (data[at] & 0x0F), *struct.unpack_from(">H2xHxB", data, at + 2)
    if protocol == _ESP:
        raise _Unreadable("are encrypted (IPsec)")
    if protocol != _TCP:
        return None
    if fragment & 0x3FFF:
        raise _Unreadable("are fragments")
    end = at + total if total else packet.length  # 0: the adapter cuts it into segments later
    return _of_tcp(packet, at + header, end, data[at + 12 : at + 16], data[at + 16 : at + 20], ports)


def _of_ipv6(packet: _Packet, at: int, ports: Collection[int]) -> Segment | None:
    data = packet.data
    length, following, begin = struct.unpack_from(">H", data, at + 4)[0], data[at + 6], at + 40
    end = begin + length if length else packet.length
    while following in _EXTENSIONS:
        following, begin = data[begin], begin + 8 + 8 * data[begin + 1]
    if following == _ESP:
        raise _Unreadable("are encrypted (IPsec)")
    if following == _FRAGMENT:
        raise _Unreadable("are fragments")
    return _of_tcp(packet, begin, end, data[at + 8 : at + 24], data[at + 24 : at + 40], ports) if following == _TCP else None


def _of_tcp(packet: _Packet, at: int, end: int, source: bytes, destination: bytes, ports: Collection[int]) -> Segment | None:
    data = packet.data
    source_port, destination_port = struct.unpack_from(">HH", data, at)
    if source_port not in ports and destination_port not in ports:
        return None
    sequence, acknowledged, offset, flags = struct.unpack_from(">IIBB", data, at + 4)
    begin = at + 4 * (offset >> 4)
    to_portal = destination_port in ports and not (source_port in ports and source_port < destination_port)
    ends = _end(source, source_port), _end(destination, destination_port)
    initiator, portal = ends if to_portal else ends[::-1]
    return Segment(
        initiator,
        portal,
        to_portal,
        packet.time,
        sequence,
        data[begin:end],
        max(end - begin, 0),
        bool(flags & _SYN),
        acknowledged if flags & _ACK else None,
    )


@lru_cache(maxsize=4096)
def _end(address: bytes, port: int) -> str:
    text = str(ip_address(address))
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
