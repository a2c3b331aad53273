# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reads and writes of SCSI disks in iSCSI traffic that others have: which LUN, which blocks, when, and what is known again in the data.

Pure. PDUs are those of RFC 7143, commands those of SBC-4, 5. Nothing of the data is kept but what `look` finds in it.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.iscsi_pdus import Digests, Direction, Heard
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import SECTOR, Sighting, joined
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.tcp_streams import UNKNOWN, Connection, Piece
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import iscsi_pdu as pdu

Look = Callable[[bytes, int], Iterable[Sighting]]
"""What is known again in whole sectors that begin at a byte of a command's data (`Markers.find`)."""

MOST_OUTSTANDING = 1024
"""Commands of one connection that may wait for their answer; of more, the oldest is given up."""
BLOCK_SIZES = frozenset({512, 4096})

_READS = {0x08: 6, 0x28: 10, 0xA8: 12, 0x88: 16}
_WRITES = {0x0A: 6, 0x2A: 10, 0xAA: 12, 0x8A: 16, 0x2E: 10, 0xAE: 12, 0x8E: 16}
"""Operation code → bytes of the descriptor block: READ; WRITE and WRITE AND VERIFY."""
_SAME = {0x41: 10, 0x93: 16}
"""WRITE SAME: one block of data, for all blocks of a range."""
_NOT_FOLLOWED = {
    0x42: "UNMAP",
    0x83: "EXTENDED COPY",
    0x89: "COMPARE AND WRITE",
    0x7F: "commands with a descriptor block of 32 bytes",
    0x8B: "ORWRITE",
    0x9C: "WRITE ATOMIC",
}
_INQUIRY, _DEVICE_IDENTIFICATION = 0x12, 0x83
_LARGEST_PAGE = 4096
_MOST_EARLY = 256
_GOOD, _FAILED = 0, 0xFF


@dataclass(frozen=True)
class Unit:
    """A logical unit as one connection reaches it."""

    target: str
    """The target's name, empty where no login was seen."""
    portal: str
    number: str

    def __str__(self) -> str:
        return f"LUN {self.number} of {self.target or f'the target at {self.portal}'}"


@dataclass(frozen=True)
class Command:
    """A command that reads or writes blocks."""

    connection: Connection
    unit: Unit
    is_write: bool
    lba: int
    length: int
    """In bytes."""
    block_size: int
    submitted: float | None
    completed: float | None = None
    status: int | None = None
    """SCSI status, None where no answer was seen."""
    sightings: tuple[Sighting, ...] = ()
    missing: int = 0
    """Bytes of its data that were not seen."""
    is_repeated: bool = False
    """Whether each of its blocks gets the same data (WRITE SAME), in which nothing is looked for."""

    @property
    def is_done(self) -> bool:
        """Whether the target said that it is done, and well."""
        return self.status == _GOOD


@dataclass
class _Task:
    """A command that is under way."""

    command: Command | None
    """None for one that is no read or write."""
    unit: Unit
    submitted: float | None = None
    changes: bool = False
    """Whether it may write blocks that nobody follows."""
    early: tuple[float | None, int] | None = None
    """When and how it ended, if the answer was met before all of its data."""
    arrived: int = 0
    """Bytes of its data that came, seen or not."""
    page: bytearray | None = None
    """What a Device Identification page holds so far, if it is one."""
    received: int = 0
    sightings: list[Sighting] = field(default_factory=list)
    tail: bytes = b""
    tail_at: int = 0

    def data(self, heard: Heard, at: int, look: Look) -> None:
        """Take data that belongs at a byte of the command's."""
        found = heard.pdu.data
        if self.page is not None:
            if at == len(self.page) and not heard.missing and at + len(found) <= _LARGEST_PAGE:
                self.page += found
            return
        if self.command is None or self.command.is_repeated:
            return
        self.arrived += len(found)
        self.received += len(found) - sum(end - begin for begin, end in heard.missing)
        if at == self.tail_at + len(self.tail):
            found, at = self.tail + found, self.tail_at
        begin = -at % SECTOR
        end = begin + (len(found) - begin) // SECTOR * SECTOR
        self.tail, self.tail_at = found[max(end, begin) :], at + max(end, begin)
        if end > begin:
            self.sightings += look(found[begin:end], at + begin)

    def ended(self, completed: float | None, status: int | None) -> Command | None:
        """The command with what became of it."""
        told = self.command
        if told is None:
            return None
        missing = 0 if told.is_repeated else max(told.length - self.received, 0)
        return replace(told, completed=completed, status=status, sightings=tuple(joined(self.sightings)), missing=missing)


@dataclass
class Notes:
    """What was met that limits what is told."""

    pdus: int = 0
    not_followed: Counter[str] = field(default_factory=Counter)
    """Commands that change blocks and are not followed, by name."""
    odd_lengths: int = 0
    """Reads and writes whose data is no whole number of blocks, which happens with protection information."""
    given_up: int = 0
    """Commands that were given up because too many were outstanding."""
    not_followed_times: list[tuple[float, float]] = field(default_factory=list)
    """When commands ran that may write blocks, and are not followed."""


class _Session:
    """One connection."""

    def __init__(self, connection: Connection, begun: bool, traffic: Traffic) -> None:
        self.digests = Digests(False, False) if begun else Digests()
        self.to_target, self.to_initiator = Direction(True, self.digests), Direction(False, self.digests)
        self.to_target.other, self.to_initiator.other = self.to_initiator, self.to_target
        self._connection = connection
        self._traffic = traffic
        self._target = ""
        self._is_logged_in = False
        self._tasks: OrderedDict[bytes, _Task] = OrderedDict()
        self._early: OrderedDict[bytes, tuple[float | None, int]] = OrderedDict()

    def take(self, piece: Piece) -> Iterator[Command]:
        direction = self.to_target if piece.to_portal else self.to_initiator
        for heard in direction.take(piece):
            yield from self._hear(heard, piece.to_portal)
        if self.to_target.held and not self.to_initiator.is_in_step:
            self.to_target.held, self.digests.header, self.digests.data = False, None, None
        if not piece.to_portal and not self.to_target.held:
            for heard in self.to_target.read():
                yield from self._hear(heard, True)

    def close(self) -> Iterator[Command]:
        """What is left without an answer."""
        if self.to_target.held:
            self.to_target.lose()
        for direction in (self.to_target, self.to_initiator):
            direction.close()
            self._traffic.blind += [(self._connection, *times) for times in direction.blind]
        while self._tasks:
            yield from self._end(self._tasks.popitem(last=False)[1], None, None)

    def _hear(self, heard: Heard, to_target: bool) -> Iterator[Command]:
        self._traffic.notes.pdus += 1
        code, told = heard.pdu.opcode, heard.pdu
        if code in (pdu.LOGIN, pdu.LOGIN_RESPONSE):
            self._log_in(heard, to_target)
        elif code == pdu.SCSI_COMMAND:
            yield from self._begin(heard)
        elif code in (pdu.DATA_OUT, pdu.DATA_IN):
            task = self._tasks.get(told.tag)
            if task:
                task.data(heard, told.offset, self._traffic.look)
                yield from self._end_early(told.tag, task)
        if not to_target and told.carries_status:
            failed = told.opcode == pdu.SCSI_RESPONSE and told.header[2] != 0
            yield from self._answer(told.tag, heard.time, _FAILED if failed else told.scsi_status)

    def _log_in(self, heard: Heard, to_target: bool) -> None:
        """Learn the target's name and the digests, of which the word that holds is the one that is no list."""
        told = heard.pdu
        if heard.missing:
            self.digests.header = self.digests.data = None
        keys = {} if heard.missing else told.keys
        self._target = keys.get("TargetName", self._target)
        for key in ("HeaderDigest", "DataDigest"):
            word = keys.get(key, ",")
            if "," not in word:
                setattr(self.digests, key[: -len("Digest")].lower(), word == "CRC32C")
        is_last = told.next_stage == pdu.FULL_FEATURE
        self._is_logged_in |= is_last and not to_target
        self.to_target.held = is_last and not self._is_logged_in

    def _begin(self, heard: Heard) -> Iterator[Command]:
        tag = heard.pdu.tag
        if tag in self._tasks:
            yield from self._end(self._tasks.pop(tag), None, None)
        if len(self._tasks) >= MOST_OUTSTANDING:
            self._traffic.notes.given_up += 1
            yield from self._end(self._tasks.popitem(last=False)[1], None, None)
        task = self._tasks[tag] = self._task(heard)
        early = self._early.pop(tag, None)
        if early and early[0] is not None and heard.time is not None and heard.time <= early[0]:
            task.early = early
        if heard.pdu.data:
            task.data(heard, 0, self._traffic.look)
        yield from self._end_early(tag, task)

    def _answer(self, tag: bytes, time: float | None, status: int) -> Iterator[Command]:
        """End a command; of one that comes later, because something before it was waited for, note it."""
        task = self._tasks.pop(tag, None)
        if task:
            yield from self._end(task, time, status)
            return
        self._early[tag] = (time, status)
        if len(self._early) > _MOST_EARLY:
            self._early.popitem(last=False)

    def _end_early(self, tag: bytes, task: _Task) -> Iterator[Command]:
        """End a command whose answer was met before it, once all of its data is there."""
        told = task.command
        if task.early and (told is None or not told.is_write or told.is_repeated or task.arrived >= told.length):
            self._tasks.pop(tag)
            yield from self._end(task, *task.early)

    def _task(self, heard: Heard) -> _Task:
        header = heard.pdu.header
        unit = Unit(self._target, self._connection.portal, _unit_number(header[8:16]))
        block = header[32:48]
        operation = block[0]
        if operation == _INQUIRY and block[1] & 1 and block[2] == _DEVICE_IDENTIFICATION:
            return _Task(None, unit, page=bytearray())
        command = self._command(heard, unit) if operation in (_READS.keys() | _WRITES.keys() | _SAME.keys()) else None
        if operation in _NOT_FOLLOWED:
            self._traffic.notes.not_followed[_NOT_FOLLOWED[operation]] += 1
        may_write = operation in (_WRITES.keys() | _SAME.keys() | _NOT_FOLLOWED.keys())
        return _Task(command, unit, heard.time, may_write and command is None)

    def _command(self, heard: Heard, unit: Unit) -> Command | None:
        header, block = heard.pdu.header, heard.pdu.header[32:48]
        operation, sent = block[0], int.from_bytes(header[20:24], "big")
        same = operation in _SAME
        lba, blocks = _range(block, {**_READS, **_WRITES, **_SAME}[operation])
        size = sent if same else sent // blocks if blocks and sent % blocks == 0 else 0
        if size in BLOCK_SIZES and blocks:
            return Command(self._connection, unit, operation not in _READS, lba, blocks * size, size, heard.time, is_repeated=same)
        if same:
            self._traffic.notes.not_followed["WRITE SAME without a length"] += 1
        elif blocks:
            self._traffic.notes.odd_lengths += 1
        return None

    def _end(self, task: _Task, completed: float | None, status: int | None) -> Iterator[Command]:
        if task.page and status == _GOOD:
            self._traffic.names[task.unit] = ScsiName.from_vpd83(bytes(task.page))
        if task.changes:
            since, until = (math.inf * side if time is None else time for side, time in ((-1, task.submitted), (1, completed)))
            self._traffic.notes.not_followed_times.append((since, until))
        command = task.ended(completed, status)
        if command:
            yield command


class Traffic:
    """The commands of any number of connections; of none is more kept than its own PDU and outstanding commands."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.names: dict[Unit, ScsiName | None] = {}
        """Logical units that said who they are."""
        self.notes = Notes()
        self.blind: list[tuple[Connection, float, float]] = []
        """Connections and the times between which commands of theirs may have been missed. Complete after `close`."""
        self._sessions: dict[Connection, _Session] = {}

    def take(self, piece: Piece) -> Iterator[Command]:
        """The commands that have ended by now."""
        session = self._sessions.get(piece.connection)
        if piece.ends:
            if session:
                yield from self._sessions.pop(piece.connection).close()
            return
        if session is None:
            session = self._sessions[piece.connection] = _Session(piece.connection, piece.lost != UNKNOWN, self)
        yield from session.take(piece)

    def close(self) -> Iterator[Command]:
        """Those that have no answer yet."""
        while self._sessions:
            yield from self._sessions.popitem()[1].close()

    def name(self, unit: Unit) -> str:
        """The NAA name's hex digits of a LUN, or, of one that did not say it, its number and target."""
        name = self.names.get(unit)
        return name.naa if name else str(unit)

    def seen(self, command: Command) -> Iterator[Seen]:
        """What a command wrote or read: each piece of a marker in it, else one row without a number."""
        lun, size = self.name(command.unit), command.block_size
        for piece in command.sightings or (Sighting(None, 0, command.length),):
            unit, at = (size, piece.offset) if piece.offset % size == 0 else (SECTOR, piece.offset)
            lba = command.lba * (size // unit) + at // unit
            yield Seen(piece.number, lun, lba, piece.length, command.submitted, command.completed, piece.within, unit)


def _range(block: bytes, length: int) -> tuple[int, int]:
    """First block and number of blocks."""
    if length == 6:
        return int.from_bytes(block[1:4], "big") & 0x1FFFFF, block[4] or 256
    if length == 10:
        return int.from_bytes(block[2:6], "big"), int.from_bytes(block[7:9], "big")
    if length == 12:
        return int.from_bytes(block[2:6], "big"), int.from_bytes(block[6:10], "big")
    return int.from_bytes(block[2:10], "big"), int.from_bytes(block[10:14], "big")


def _unit_number(address: bytes) -> str:
    """A LUN's number by peripheral or flat addressing, else its eight bytes (SAM-5, 4.7)."""
    method, rest = address[0] >> 6, address[2:]
    if any(rest) or method > 1 or (method == 0 and address[0]):
        return f"0x{address.hex()}"
    return str(int.from_bytes(address[:2], "big") & 0x3FFF)
