# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What two machines said to each other over TCP, in order, from segments as somebody beside them saw them (RFC 9293). Pure.

A mirror port repeats, reorders and drops. What comes twice is taken once, what comes early waits within limits, and what does not come is
told as bytes that are missing, so that whoever reads the stream knows where he cannot.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

UNKNOWN = -1
"""How many bytes are missing, where nobody can tell: the beginning of the connection was not seen."""
MOST_CONNECTIONS = 256
MOST_WAITING_BYTES = 1 << 20
MOST_WAITING_SEGMENTS = 1024

_WRAP = 1 << 32


@dataclass(frozen=True)
class Connection:
    """Two ends, and which of the connections between them it is, because ports are used again."""

    initiator: str
    portal: str
    """Address and port of the end that was called."""
    turn: int = 0

    def __str__(self) -> str:
        return f"{self.initiator} to {self.portal}"


@dataclass(frozen=True)
class Segment:
    """One TCP segment."""

    initiator: str
    portal: str
    to_portal: bool
    time: float | None
    sequence: int
    data: bytes
    length: int
    """What was sent, of which `data` may be only the beginning."""
    begins: bool = False
    """Whether it opens the connection, in its direction (SYN)."""
    acknowledged: int | None = None
    """Up to where the sender has what the other end sent."""


@dataclass(frozen=True)
class Piece:
    """Bytes of one direction, which follow those of the piece before but for `lost` bytes between them."""

    connection: Connection
    to_portal: bool
    time: float | None
    data: bytes
    lost: int = 0
    """`UNKNOWN` in the first piece of a direction whose beginning was not seen."""
    ends: bool = False
    """Whether nothing more comes of the connection, in either direction."""


@dataclass
class _Direction:
    first: int | None = None
    expected: int | None = None
    """The sequence number that comes next, None before anything came."""
    lost: int = 0
    """`UNKNOWN` before anything came of a direction whose beginning was not seen."""
    waiting: dict[int, Segment] = field(default_factory=dict)
    waiting_bytes: int = 0

    def wait(self, segment: Segment) -> bool:
        """Keep a segment that came early; whether too many wait by now."""
        before = self.waiting.get(segment.sequence)
        if before is None or len(before.data) < len(segment.data):
            self.waiting_bytes += len(segment.data) - (len(before.data) if before else 0)
            self.waiting[segment.sequence] = segment
        return self.waiting_bytes > MOST_WAITING_BYTES or len(self.waiting) > MOST_WAITING_SEGMENTS

    def next_waiting(self) -> Segment:
        """The one that waits for the fewest bytes, no more waiting."""
        expected = self.expected or 0
        found = self.waiting.pop(min(self.waiting, key=lambda sequence: _ahead(sequence, expected)))
        self.waiting_bytes -= len(found.data)
        return found

    def has_next(self, reached: int | None = None) -> bool:
        """Whether any that waits need not wait any more, because what was missing has come, or has reached the other end unseen."""
        upto = (self.expected or 0) if reached is None else reached
        return any(_ahead(sequence, upto) <= 0 for sequence in self.waiting)


class _Pair:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.directions = {True: _Direction(), False: _Direction()}

    def is_another(self, segment: Segment) -> bool:
        """Whether a segment opens a connection that is not this one."""
        to_portal = self.directions[True]
        seen = to_portal.expected is not None or self.directions[False].expected is not None
        return segment.begins and segment.to_portal and seen and to_portal.first != (segment.sequence + 1) % _WRAP

    def take(self, segment: Segment) -> Iterator[Piece]:
        direction, opposite = self.directions[segment.to_portal], self.directions[not segment.to_portal]
        while segment.acknowledged is not None and opposite.has_next(segment.acknowledged):
            yield from self._in_order(opposite, opposite.next_waiting())
        if segment.begins:
            if direction.expected is None:
                direction.first = direction.expected = (segment.sequence + 1) % _WRAP
            return
        if not segment.length:
            return
        if direction.expected is None:
            direction.expected, direction.lost = segment.sequence, UNKNOWN
        if _ahead(segment.sequence, direction.expected) <= 0:
            yield from self._in_order(direction, segment)
        elif direction.wait(segment):
            yield from self._in_order(direction, direction.next_waiting())
        while direction.has_next():
            yield from self._in_order(direction, direction.next_waiting())

    def rest(self) -> Iterator[Piece]:
        """What waited for bytes that never came, and the end."""
        for direction in self.directions.values():
            while direction.waiting:
                yield from self._in_order(direction, direction.next_waiting())
        yield Piece(self.connection, True, None, b"", ends=True)

    def _in_order(self, direction: _Direction, segment: Segment) -> Iterator[Piece]:
        """What of a segment is new, with what is missing before it, and what was cut from it."""
        ahead = _ahead(segment.sequence, direction.expected or 0)
        new = segment.length + min(ahead, 0)
        if new <= 0:
            return
        data, lost = segment.data[max(-ahead, 0) :], direction.lost or max(ahead, 0)
        yield Piece(self.connection, segment.to_portal, segment.time, data, lost)
        if len(data) < new:
            yield Piece(self.connection, segment.to_portal, segment.time, b"", new - len(data))
        direction.lost = 0
        direction.expected = (segment.sequence + segment.length) % _WRAP


class Streams:
    """Any number of connections; of more than `MOST_CONNECTIONS`, the one that was silent longest is left."""

    def __init__(self) -> None:
        self._pairs: OrderedDict[tuple[str, str], _Pair] = OrderedDict()
        self._turns = 0
        self.left = 0
        """How many connections were left."""

    def take(self, segment: Segment) -> Iterator[Piece]:
        """The pieces that are in order by now."""
        key = (segment.initiator, segment.portal)
        pair = self._pairs.get(key)
        if pair and pair.is_another(segment):
            yield from self._pairs.pop(key).rest()
            pair = None
        if pair is None:
            if len(self._pairs) >= MOST_CONNECTIONS:
                self.left += 1
                yield from self._pairs.popitem(last=False)[1].rest()
            self._turns += 1
            pair = self._pairs[key] = _Pair(Connection(*key, self._turns))
        self._pairs.move_to_end(key)
        yield from pair.take(segment)

    def close(self) -> Iterator[Piece]:
        """The rest of all."""
        while self._pairs:
            yield from self._pairs.popitem(last=False)[1].rest()


def _ahead(sequence: int, expected: int) -> int:
    """How far a sequence number is ahead of another, negative when behind (they wrap)."""
    return (sequence - expected + _WRAP // 2) % _WRAP - _WRAP // 2
