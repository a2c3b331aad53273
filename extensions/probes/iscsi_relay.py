# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a capture of iSCSI traffic where no mirror port and no tcpdump is: a relay that stands in front of one portal, for a while.

The initiator logs in to the relay's address in place of the portal's. Everything passes unchanged, and is written to a capture file (pcap)
as if it had been seen between the initiator and the portal. It needs no rights, and no other program.

It is a probe for a lab or a quiet path, not for production, because it stands in the way of the data. What that costs is said at the end,
and measured in docs/observing.md. When the capture has the size or the age that it may have, what was begun still passes, unwritten, until
the initiator logs out. When the relay is ended, the connections through it end, and nothing else does. The capture holds the data: its
owner alone can read it, and a file that exists is never overwritten.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

RAW_IP = 101
CHUNK = 60_000
PAST_CLOSE = 1.0
_WRAP = 1 << 32
_SYN, _FIN, _ACK, _PUSH = 0x02, 0x01, 0x10, 0x08


class Capture:
    """A capture file of limited size and duration."""

    def __init__(self, file: BinaryIO, most_bytes: int, seconds: float) -> None:
        self._file = file
        self._left = most_bytes
        self._until = time.monotonic() + seconds
        self.ended = asyncio.Event()
        self.why = ""
        self.packets = 0
        self._put(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, RAW_IP))

    def take(self, packet: bytes) -> None:
        """Write a packet, or end the capture."""
        now = time.time()
        if self.ended.is_set():
            return
        if time.monotonic() > self._until:
            self.end("its time is over")
        elif len(packet) + 16 > self._left:
            self.end("it has as many bytes as it may have")
        else:
            self._put(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(packet), len(packet)) + packet)
            self.packets += 1

    def end(self, why: str) -> None:
        """Write no more."""
        if self.ended.is_set():
            return
        self.why = why
        self.ended.set()
        with contextlib.suppress(OSError):
            self._file.close()

    def seconds_left(self) -> float:
        return max(self._until - time.monotonic(), 0.0)

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            self.end(f"the file cannot be written: {error.strerror}")
        self._left -= len(data)


@dataclass
class Connection:
    """One connection through the relay, as packets between its true ends."""

    capture: Capture
    ends: dict[bool, tuple[str, int]]
    """To the portal or not → who sends."""
    sent: dict[bool, int] = field(default_factory=lambda: {True: 1, False: 1})

    def begin(self) -> None:
        self._packet(True, _SYN, b"", 0)
        self._packet(False, _SYN | _ACK, b"", 0)

    def data(self, to_portal: bool, data: bytes) -> None:
        self._packet(to_portal, _PUSH | _ACK, data, self.sent[to_portal])
        self.sent[to_portal] += len(data)

    def end(self) -> None:
        for to_portal in (True, False):
            self._packet(to_portal, _FIN | _ACK, b"", self.sent[to_portal])

    def _packet(self, to_portal: bool, flags: int, data: bytes, sequence: int) -> None:
        (source, source_port), (target, target_port) = self.ends[to_portal], self.ends[not to_portal]
        acknowledged = self.sent[not to_portal] % _WRAP
        tcp = struct.pack(">HHIIBBHHH", source_port, target_port, sequence % _WRAP, acknowledged, 0x50, flags, 0xFFFF, 0, 0)
        self.capture.take(network(source, target, len(tcp) + len(data)) + tcp + data)


def network(source: str, target: str, length: int) -> bytes:
    """The header of the network layer, without a checksum, as adapters leave it to be filled in."""
    ends = [ipaddress.ip_address(address).packed for address in (source, target)]
    if len(ends[0]) == len(ends[1]) == 4:
        return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0x4000, 64, 6, 0, *ends)
    both = [bytes(10) + b"\xff\xff" + end if len(end) == 4 else end for end in ends]
    return struct.pack(">IHBB16s16s", 6 << 28, length, 6, 64, *both)


class Relay:
    """Connections to one portal."""

    def __init__(self, capture: Capture, portal: tuple[str, int]) -> None:
        self._capture = capture
        self._portal = portal
        self.connections = 0
        self.bytes = 0
        self.running: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes on a connection, and what is answered, until either end closes it."""
        task = asyncio.current_task()
        if task is not None:
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        try:
            portal_reader, portal_writer = await asyncio.open_connection(*self._portal)
        except OSError as error:
            print(f"Portal {self._portal[0]}:{self._portal[1]} cannot be reached: {error.strerror or error}", file=sys.stderr, flush=True)
            writer.close()
            return
        self.connections += 1
        initiator, portal = writer.get_extra_info("peername")[:2], portal_writer.get_extra_info("peername")[:2]
        connection = Connection(self._capture, {True: initiator, False: portal})
        connection.begin()
        ways = [
            asyncio.ensure_future(self._pass_on(reader, portal_writer, connection, True)),
            asyncio.ensure_future(self._pass_on(portal_reader, writer, connection, False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(ways, timeout=PAST_CLOSE)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, portal_writer):
                end.close()
            connection.end()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection, to_portal: bool) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(CHUNK):
                connection.data(to_portal, data)
                self.bytes += len(data)
                writer.write(data)
                await writer.drain()
            writer.write_eof()


async def relay(listen: tuple[str, int], portal: tuple[str, int], capture: Capture) -> Relay:
    """Serve until the capture is over and nothing passes any more, or a signal comes."""
    served, stop = Relay(capture, portal), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.start_server(served.accept, *listen, limit=4 * CHUNK)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"Listening on {host}:{port} for {portal[0]}:{portal[1]}.", flush=True)
    waits = [asyncio.ensure_future(wait) for wait in (stop.wait(), capture.ended.wait())]
    await asyncio.wait(waits, timeout=capture.seconds_left(), return_when=asyncio.FIRST_COMPLETED)
    server.close()
    if not stop.is_set():
        capture.end("its time is over")
        print(f"The capture has ended, because {capture.why}; passing on until the initiator logs out.", flush=True)
        while served.running and not stop.is_set():
            await asyncio.wait([waits[0], *served.running], return_when=asyncio.FIRST_COMPLETED)
    for task in [*served.running, *waits]:
        task.cancel()
    await asyncio.gather(*served.running, *waits, return_exceptions=True)
    capture.end("it was ended")
    return served


def address(text: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port`; port 3260 where none is given."""
    host, colon, port = text.rpartition(":")
    if not colon or (host.count(":") and not host.endswith("]")):
        host, port = text, "3260"
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0][4]
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text} is no address and port: {error}") from error
    return str(found[0]), int(found[1])


def main() -> None:
    """Run the relay; say what passed and what it cost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--listen", required=True, type=address, metavar="ADDRESS:PORT", help="where initiators log in")
    parser.add_argument("--portal", required=True, type=address, metavar="ADDRESS:PORT", help="the portal of the target that is behind it")
    parser.add_argument("--write", required=True, metavar="FILE", help="the capture file, which must not exist")
    parser.add_argument("--seconds", type=float, default=300, help="how long the capture takes at most; default: 300")
    parser.add_argument("--most-bytes", type=int, default=1 << 30, help="how large the capture gets at most; default: 1 GiB")
    options = parser.parse_args()
    if ipaddress.ip_address(options.listen[0]).is_unspecified:
        parser.error("name the one address on which to listen: whoever reaches it reaches the portal")
    try:
        file = os.fdopen(os.open(options.write, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        sys.exit(f"{options.write} cannot be made: {error.strerror}.")
    try:
        asyncio.run(_measured(options, file))
    except OSError as error:
        Path(options.write).unlink()
        sys.exit(f"{options.listen[0]}:{options.listen[1]} cannot be listened on: {error.strerror or error}.")


async def _measured(options: argparse.Namespace, file: BinaryIO) -> None:
    capture = Capture(file, options.most_bytes, options.seconds)
    served = await relay(options.listen, options.portal, capture)
    spent = time.process_time()
    print(
        f"{served.connections} connections, {served.bytes} bytes passed, {capture.packets} packets written to {options.write}; "
        f"{spent:.2f} s of processor time, {spent * 1e6 / max(capture.packets, 1):.0f} µs a packet."
    )


if __name__ == "__main__":
    main()
