# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which markers LUNs hold, by captures of the iSCSI traffic to them: one file for each path, or one of all.

Every write is followed, so that a marker that is written over is not told any more: it is as if the LUNs had been read at the end, but
only of what was written or read meanwhile. What is missing in a capture is said in `warnings`.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.association import Blind
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.capture import ISCSI_PORT, Packets, segments
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.iscsi_commands import Command, Look, Traffic, Unit
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import SECTOR, Sighting, joined
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.tcp_streams import Streams

_MOST_NAMED = 3


@dataclass
class Captured:
    """What captures told."""

    seen: list[Seen]
    """Pieces of markers that LUNs hold, as far as the captures tell."""
    writes: list[Seen]
    """All writes without their content, also those that were not seen to end, if they were asked for."""
    blind: list[Blind]
    """Times between which something may have been written that is not told."""
    warnings: list[str]
    until: float | None = None
    """Up to when all of the captures go; None where one of them tells no times."""


@dataclass
class _Held:
    """Sectors of LUNs that hold a piece of a marker: number and byte of it."""

    sectors: dict[Unit, dict[int, tuple[int, int]]] = field(default_factory=dict)

    def take(self, command: Command, unit: Unit) -> None:
        held = self.sectors.setdefault(unit, {})
        first = command.lba * (command.block_size // SECTOR)
        if command.is_write and held:
            over = range(first, first + command.length // SECTOR)
            for sector in over if len(over) < len(held) else [sector for sector in held if sector in over]:
                held.pop(sector, None)
        for piece in command.sightings:
            for step in range(0, piece.length, SECTOR):
                if piece.number is not None:
                    held[first + (piece.offset + step) // SECTOR] = (piece.number, piece.within + step)

    def seen(self, lun: str, units: Iterable[Unit], sizes: dict[Unit, int]) -> Iterator[Seen]:
        """The pieces on one LUN, which several units may be."""
        sectors = {(sector, *what) for unit in units for sector, what in self.sectors[unit].items()}
        block = max(sizes[unit] for unit in units)
        for piece in joined(Sighting(number, sector * SECTOR, SECTOR, within) for sector, number, within in sectors):
            size = block if piece.offset % block == 0 else SECTOR
            yield Seen(piece.number, lun, piece.offset // size, piece.length, within=piece.within, block_size=size)


class _File:
    """A capture file, and what is met in it."""

    def __init__(self, file: BinaryIO, name: str, look: Look, ports: Collection[int]) -> None:
        self.name = name
        self.packets, self.streams, self.traffic = Packets(), Streams(), Traffic(look)
        self.unfinished: list[Command] = []
        self.last: float | None = None
        """When its last segment was."""
        self.partly = 0
        """Commands of whose data not all was seen."""
        self._file = file
        self._ports = ports

    def commands(self) -> Iterator[tuple[Command, Traffic]]:
        """The reads and writes, in the order in which they end. Raises `InvalidInput`."""
        for segment in segments(self._file, self.name, self.packets, self._ports):
            self.last = segment.time
            for piece in self.streams.take(segment):
                yield from self._told(self.traffic.take(piece))
        for piece in self.streams.close():
            yield from self._told(self.traffic.take(piece))
        yield from self._told(self.traffic.close())
        if not self.traffic.notes.pdus:
            raise InvalidInput(_no_iscsi(self.name, self.packets, self._ports))

    def _told(self, commands: Iterable[Command]) -> Iterator[tuple[Command, Traffic]]:
        for command in commands:
            self.partly += command.is_done and bool(command.missing)
            yield command, self.traffic


def _end(told: tuple[Command, Traffic]) -> float:
    """When a command ended; what has no end does not keep others waiting."""
    completed = told[0].completed
    return -math.inf if completed is None else completed


class Reading:
    """Captures that are read together, in the order of their times."""

    def __init__(self, look: Look, ports: Collection[int] = (ISCSI_PORT,), keep_writes: bool = False) -> None:
        self._look = look
        self._ports = ports
        self._keep_writes = keep_writes
        self._held = _Held()
        self._names: dict[Unit, str] = {}
        self._first: dict[str, Unit] = {}
        self._sizes: dict[Unit, int] = {}
        self._found = Captured([], [], [], [])

    def read(self, files: Iterable[tuple[BinaryIO, str]]) -> Captured:
        """Read capture files, each with its name. Raises `InvalidInput` for what is none, is damaged, or has no iSCSI traffic."""
        read = [_File(file, name, self._look, self._ports) for file, name in files]
        for command, traffic in heapq.merge(*(one.commands() for one in read), key=_end):
            if command.is_done:
                self._take(command, traffic)
            elif command.status is None:
                next(one for one in read if one.traffic is traffic).unfinished.append(command)
                self._keep(command, traffic)
        for one in read:
            self._found.blind += [(since, until) for _connection, since, until in one.traffic.blind]
            self._found.blind += one.traffic.notes.not_followed_times
            self._names.update({unit: name.naa for unit, name in one.traffic.names.items() if name})
            self._found.warnings += _warnings(one.name, one.packets, one.streams, one.traffic, one.unfinished)
            if one.partly:
                self._found.warnings.append(
                    f"Of {one.partly} reads and writes {one.name} has not all data: markers may also be in what is missing."
                )
        ends = [one.last for one in read if one.last is not None]
        self._found.until = min(ends) if ends and len(ends) == len(read) else None
        luns: dict[str, list[Unit]] = {}
        for unit in self._held.sectors:
            luns.setdefault(self._names.get(unit, str(unit)), []).append(unit)
        self._found.seen = [seen for lun, units in luns.items() for seen in self._held.seen(lun, units, self._sizes)]
        self._found.warnings += self._unnamed()
        return self._found

    def _unnamed(self) -> Iterator[str]:
        unnamed = [str(unit) for unit in self._held.sectors if unit not in self._names]
        if unnamed:
            yield (
                f"{', '.join(unnamed[:_MOST_NAMED])} did not say in the captures which LUN it is: its NAA name is not told, and "
                "what another path has written over is still told."
            )

    def _take(self, command: Command, traffic: Traffic) -> None:
        unit = self._alike(command.unit, traffic)
        self._sizes[unit] = max(command.block_size, self._sizes.get(unit, 0))
        self._held.take(command, unit)
        self._keep(command, traffic)

    def _keep(self, command: Command, traffic: Traffic) -> None:
        if self._keep_writes and command.is_write:
            lun = traffic.name(command.unit)
            self._found.writes.append(
                Seen(None, lun, command.lba, command.length, command.submitted, command.completed, block_size=command.block_size)
            )

    def _alike(self, unit: Unit, traffic: Traffic) -> Unit:
        """The unit that stands for a LUN: the first one of that name, over whatever path it was met."""
        if traffic.names.get(unit) is None:
            return unit
        name = self._names.setdefault(unit, traffic.name(unit))
        return self._first.setdefault(name, unit)


def _no_iscsi(name: str, packets: Packets, ports: Collection[int]) -> str:
    port = " or ".join(map(str, ports))
    why = next(iter(packets.unreadable), "")
    if packets.of_portals:
        return (
            f"{name} has {packets.of_portals} segments of TCP port {port}, and nothing in them can be read as iSCSI: "
            "take the capture of both directions, with whole packets (tcpdump -s 0)."
        )
    looked = f"; {sum(packets.unreadable.values())} of them {why}" if why else ""
    return (
        f"{name} has {packets.all} packets, none of which is of TCP port {port}{looked}: "
        "take the capture where the iSCSI traffic passes, or name its port."
    )


def _warnings(name: str, packets: Packets, streams: Streams, traffic: Traffic, unfinished: list[Command]) -> Iterator[str]:
    notes = traffic.notes
    if packets.ends_early:
        yield f"{name} ends within a packet: it was not closed, or is still written."
    if packets.cut:
        yield f"Of {packets.cut} packets {name} has only the beginning: take it with whole packets (tcpdump -s 0)."
    for why, count in packets.unreadable.items():
        yield f"{count} packets of {name} {why}, and were not looked into."
    if traffic.blind:
        connections = Counter(str(connection) for connection, _since, _until in traffic.blind)
        named = ", ".join(list(connections)[:_MOST_NAMED])
        yield (
            f"{name} has gaps, {len(traffic.blind)} in all, in which commands may be missing ({named}): markers may also be where "
            "nothing is told, and what is told may have been written over."
        )
    if unfinished:
        first = unfinished[0]
        yield (
            f"{len(unfinished)} commands of {name} were not seen to end, the first of them at block {first.lba} of "
            f"{traffic.name(first.unit)}; they are not counted."
        )
    for what, count in notes.not_followed.items():
        yield f"{name} has {count} times {what}, which changes blocks and is not followed."
    if notes.odd_lengths:
        yield f"{notes.odd_lengths} reads and writes of {name} have no whole number of blocks (protection information?), and are not told."
    if streams.left:
        yield f"{name} has more connections than are followed at once: {streams.left} were left."
