# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SVMs' iSCSI portals: one IQN for all initiators, and for each its own LUNs.

tgt masks by target, ONTAP by initiator within one target. So each initiator has a target of its own behind the portal, and the portal
changes names in passing: ``TargetName`` of the first Login Request, and the answer to SendTargets. Everything else passes unread.
PDUs: RFC 7143, chapter 11.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PORT = 3260
GROUP_TAG = 1028
BLOCK = 64 * 1024
HEADER = 48
OPCODE = 0x3F
TEXT_RESPONSE = 0x24
MAX_TEXT = 64 * 1024
FAILURES = (OSError, asyncio.IncompleteReadError, ValueError)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Service:
    """The iSCSI service of one SVM."""

    iqn: str
    addresses: Sequence[str]


@dataclass(frozen=True)
class Backend:
    """The target daemon behind the portals."""

    address: Callable[[], tuple[str, int]]
    target: Callable[[str, str], str | None]
    """The name that the daemon gives an SVM's target as seen by an initiator; None for a stranger."""


@dataclass
class Pdu:
    """One iSCSI PDU without digests."""

    header: bytes
    data: bytes

    @property
    def opcode(self) -> int:
        """What it is."""
        return self.header[0] & OPCODE

    def keys(self) -> dict[str, str]:
        """Return its text, key by key; a key that comes twice keeps its last value."""
        pairs = (item.partition("=") for item in self.data.decode("utf-8", "replace").split("\0") if item)
        return {key: value for key, _equals, value in pairs}

    def with_text(self, items: Sequence[tuple[str, str]]) -> Pdu:
        """Return the same PDU with another text."""
        data = b"".join(f"{key}={value}\0".encode() for key, value in items)
        return Pdu(self.header[:5] + struct.pack(">I", len(data))[1:] + self.header[8:], data)

    def encoded(self) -> bytes:
        """Return its octets, padded to four."""
        return self.header + self.data + bytes(-len(self.data) % 4)


class Portals:
    """Listeners on every address of every SVM, in a thread of their own."""

    def __init__(self, services: Sequence[Service], backend: Backend) -> None:
        self._services, self._backend = services, backend
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="portals", daemon=True)

    def start(self) -> None:
        """Listen; raises OSError when an address is taken."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def stop(self) -> None:
        """Listen no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _listen(self) -> None:
        for service in self._services:
            for address in service.addresses:
                await asyncio.start_server(self._serving(service), address, PORT)

    def _serving(self, service: Service) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._serve(service, (reader, writer))
            except FAILURES:
                pass
            finally:
                writer.close()

        return serve

    async def _serve(self, service: Service, client: Streams) -> None:
        login = await _read(client[0])
        keys = login.keys()
        daemon = await asyncio.open_connection(*self._backend.address())
        try:
            daemon[1].write(self._renamed(service, login, keys).encoded())
            discovery = keys.get("SessionType") == "Discovery"
            answers = _rewrite(daemon[0], client[1], service) if discovery else _pass(daemon[0], client[1])
            tasks = [asyncio.ensure_future(answers), asyncio.ensure_future(_pass(client[0], daemon[1]))]
            _done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            daemon[1].close()

    def _renamed(self, service: Service, login: Pdu, keys: Mapping[str, str]) -> Pdu:
        """Return the Login Request with the daemon's name for the target; that of a stranger stays, and the daemon knows no such target."""
        name = self._backend.target(service.iqn, keys.get("InitiatorName", "")) if keys.get("TargetName") == service.iqn else None
        return login.with_text(list({**keys, "TargetName": name}.items())) if name else login


async def _read(reader: asyncio.StreamReader) -> Pdu:
    header = await reader.readexactly(HEADER)
    extra, length = header[4] * 4, int.from_bytes(header[5:8], "big")
    if length > MAX_TEXT:
        raise ValueError("a text that long is no login")
    header += await reader.readexactly(extra)
    padded = await reader.readexactly(length + -length % 4)
    return Pdu(header, padded[:length])


async def _rewrite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: Service) -> None:
    """Pass what the daemon answers in a discovery session; where it names its targets, name the SVM's one with all its portals."""
    while True:
        pdu = await _read(reader)
        if pdu.opcode == TEXT_RESPONSE and "TargetName" in pdu.keys():  # noqa: SIM118 - a method
            addresses = [("TargetAddress", f"{address}:{PORT},{GROUP_TAG + index}") for index, address in enumerate(service.addresses)]
            pdu = pdu.with_text([("TargetName", service.iqn), *addresses])
        writer.write(pdu.encoded())
        await writer.drain()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(BLOCK):
        writer.write(block)
        await writer.drain()
