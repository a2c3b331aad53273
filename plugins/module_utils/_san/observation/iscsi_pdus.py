# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The PDUs in one direction of an iSCSI connection that others have (RFC 7143, 11), from pieces in order, with what is missing. Pure.

Only its header says where a PDU ends; one byte too few, and all that follows is misread. That is why each header is judged before it is
believed: by the bits that have to be as they are, and by its counters. Where bytes are missing within the data of a PDU, the rest of it is
right; where a header is missing, everything is left up to one whose counters are those of the other direction, too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.tcp_streams import UNKNOWN, Piece
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import iscsi_pdu as pdu
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.crc32c import digest

MOST_PDU = 1 << 20
"""Bytes of data that a PDU may have to be believed; initiators and targets agree on a quarter of it, or less."""

_WINDOW = 4096
"""How far two counters of one connection may be apart while both directions are in flight."""
_CANDIDATES = 16
_MOST_BLIND = 1000
_DIGEST = 4
_WRAP = 1 << 32
_LOGINS = frozenset({pdu.LOGIN, pdu.LOGIN_RESPONSE})
_IMMEDIATE = 0x40
_MAY_BE_IMMEDIATE = frozenset({pdu.NOP_OUT, pdu.SCSI_COMMAND, pdu.TASK_MANAGEMENT, pdu.LOGIN, pdu.TEXT, pdu.LOGOUT})
_OF_INITIATOR = _MAY_BE_IMMEDIATE | {pdu.DATA_OUT, pdu.SNACK}
_OF_TARGET = frozenset(
    {
        pdu.NOP_IN,
        pdu.SCSI_RESPONSE,
        pdu.TASK_MANAGEMENT_RESPONSE,
        pdu.LOGIN_RESPONSE,
        pdu.TEXT_RESPONSE,
        pdu.DATA_IN,
        pdu.LOGOUT_RESPONSE,
        pdu.READY_TO_TRANSFER,
        pdu.ASYNCHRONOUS,
        pdu.REJECT,
    }
)
_BITS = {pdu.SCSI_COMMAND: (0x18, 0), pdu.DATA_OUT: (0x7F, 0), pdu.DATA_IN: (0x38, 0), **dict.fromkeys(_LOGINS, (0x30, 0))}
"""Bits of the second byte that have to be so; of those that are not here the first of them is set, for text the mask is 0x3F."""
_TEXTS = frozenset({pdu.TEXT, pdu.TEXT_RESPONSE})
_WITHOUT_COMMAND_NUMBER = frozenset({pdu.DATA_OUT, pdu.SNACK})
_WITHOUT_STATUS_NUMBER = frozenset({pdu.READY_TO_TRANSFER, pdu.DATA_IN, pdu.NOP_IN})


@dataclass(frozen=True)
class Heard:
    """A PDU, when its first byte was seen, and which ranges of its data are missing."""

    pdu: pdu.Pdu
    time: float | None
    missing: tuple[tuple[int, int], ...] = ()


@dataclass
class Digests:
    """Whether headers and data are followed by digests; None where that is not known yet."""

    header: bool | None = None
    data: bool | None = None


@dataclass(frozen=True)
class _Counters:
    """A number of a command (CmdSN, ExpCmdSN) and one of a status (ExpStatSN, StatSN), None where a header has none."""

    command: int | None
    status: int | None

    def agree(self, other: _Counters) -> bool:
        return _near(self.command, other.command) and _near(self.status, other.status)

    @property
    def are_both(self) -> bool:
        return self.command is not None and self.status is not None


class Direction:
    """What one end sends."""

    def __init__(self, to_target: bool, digests: Digests) -> None:
        self.other: Direction | None = None
        """What the other end sends."""
        self.held = False
        """While true, nothing but logins is read, because it is not known yet whether digests follow."""
        self.blind: list[tuple[float, float]] = []
        """From when to when headers were not seen, `-inf` and `inf` where that was before or is still so."""
        self._to_target = to_target
        self._digests = digests
        self._buffer = bytearray()
        self._base = 0
        self._marks: deque[tuple[int, float | None]] = deque()
        self._holes: deque[tuple[int, int]] = deque()
        self._in_step = True
        self._blind_since = -math.inf
        self._last: float | None = None
        self._counters: deque[_Counters] = deque(maxlen=_CANDIDATES)

    @property
    def is_in_step(self) -> bool:
        """Whether the next byte is known to be the first of a PDU, or which one of it."""
        return self._in_step

    def take(self, piece: Piece) -> Iterator[Heard]:
        """The PDUs that are whole by now."""
        if piece.lost and self._in_step:
            self._miss(piece.lost)
        if not self._in_step:
            self._try_anew(piece)
        self._last = piece.time
        if self._in_step:
            self._marks.append((self._base + len(self._buffer), piece.time))
            self._buffer += piece.data
            yield from self.read()

    def read(self) -> Iterator[Heard]:
        """The PDUs that are whole and were not told yet."""
        at = 0
        while self._in_step and len(self._buffer) - at >= pdu.HEADER_LENGTH:
            header = bytes(self._buffer[at : at + pdu.HEADER_LENGTH])
            if not self._is_believed(header):
                self.lose()
                return
            if self.held and header[0] & 0x3F not in _LOGINS:
                break
            lengths = self._lengths(header, at)
            if lengths is None or len(self._buffer) - at < sum(lengths):
                break
            heard = self._heard(header, at, *lengths)
            at += sum(lengths)
            yield heard
        self._drop(at)
        if len(self._buffer) > 2 * MOST_PDU:
            self.lose()

    def lose(self) -> None:
        """Forget what was not told yet, and look for a header to go on with."""
        if self._in_step:
            self._blind_since = -math.inf if self._last is None else self._last
        self._in_step = False
        self._buffer.clear()
        self._marks.clear()
        self._holes.clear()
        self._counters.clear()

    def close(self) -> None:
        """Nothing more comes."""
        if not self._in_step:
            self._was_blind(math.inf)

    def _miss(self, lost: int) -> None:
        """Bytes are missing: within the data of a PDU they are a hole in it, else nobody knows where the next one begins."""
        have = len(self._buffer)
        if lost != UNKNOWN and have >= pdu.HEADER_LENGTH and not self.held:
            header = bytes(self._buffer[: pdu.HEADER_LENGTH])
            lengths = self._lengths(header, 0) if self._is_believed(header) else None
            if lengths and lengths[0] <= have and have + lost <= sum(lengths):
                self._holes.append((self._base + have, self._base + have + lost))
                self._buffer += bytes(lost)
                return
        self.lose()

    def _try_anew(self, piece: Piece) -> None:
        """Go on with a piece that begins with a header whose counters the other direction knows, if this is one."""
        header = piece.data[: pdu.HEADER_LENGTH]
        if len(header) < pdu.HEADER_LENGTH or header[0] & 0x3F in _LOGINS or not self._is_possible(header):
            return
        found = self._counters_of(header)
        if not found.are_both:
            return
        self._counters.append(found)
        if self.other and any(known.are_both and found.agree(known) for known in self.other._counters):
            self._in_step = True
            self._was_blind(math.inf if piece.time is None else piece.time)

    def _was_blind(self, until: float) -> None:
        if len(self.blind) >= _MOST_BLIND:
            self.blind[-1] = (self.blind[-1][0], until)
        else:
            self.blind.append((self._blind_since, until))

    def _is_believed(self, header: bytes) -> bool:
        if not self._is_possible(header):
            return False
        if header[0] & 0x3F in _LOGINS:
            self._counters.clear()
            return True
        found = self._counters_of(header)
        if not all(found.agree(known) for known in list(self._counters)[-1:]):
            return False
        if found.are_both:
            self._counters.append(found)
        return True

    def _is_possible(self, header: bytes) -> bool:
        """Whether all bits are as they have to be."""
        code, second = header[0], header[1]
        operation = code & ~_IMMEDIATE if code & ~_IMMEDIATE in _MAY_BE_IMMEDIATE else code
        if operation not in (_OF_INITIATOR if self._to_target else _OF_TARGET):
            return False
        mask, wanted = (0x3F, 0) if operation in _TEXTS else _BITS.get(operation, (0x80, 0x80))
        reserved = operation in (pdu.SCSI_COMMAND, pdu.DATA_OUT) and header[2:4] != b"\0\0"
        return second & mask == wanted and not reserved and pdu.data_length(header)[1] <= MOST_PDU

    def _counters_of(self, header: bytes) -> _Counters:
        operation = header[0] & 0x3F
        first, second = int.from_bytes(header[24:28], "big"), int.from_bytes(header[28:32], "big")
        if self._to_target:
            return _Counters(None if operation in _WITHOUT_COMMAND_NUMBER else first, second)
        told = pdu.Pdu(header).carries_status or operation not in _WITHOUT_STATUS_NUMBER
        return _Counters(second, first if told else None)

    def _lengths(self, header: bytes, at: int) -> tuple[int, int] | None:
        """Bytes of headers and of data, each with padding and digest; None as long as it is not known whether there are digests."""
        additional, length = pdu.data_length(header)
        head, data = pdu.HEADER_LENGTH + additional, length + -length % 4
        if header[0] & 0x3F in _LOGINS:
            return head, data
        if self._digests.header is None:
            self._digests.header = self._has_digest(at, head)
        if self._digests.header is None:
            return None
        head += _DIGEST * self._digests.header
        if data and self._digests.data is None:
            self._digests.data = self._has_digest(at + head, data)
        if data and self._digests.data is None:
            return None
        return head, data + _DIGEST * bool(data and self._digests.data)

    def _has_digest(self, at: int, length: int) -> bool | None:
        end = at + length
        if len(self._buffer) < end + _DIGEST or self._holes:
            return None
        return bytes(self._buffer[end : end + _DIGEST]) == digest(bytes(self._buffer[at:end]))

    def _heard(self, header: bytes, at: int, head: int, data: int) -> Heard:
        begin = at + head
        length = pdu.data_length(header)[1]
        start = self._base + begin
        holes = tuple(
            (max(first - start, 0), min(last - start, length)) for first, last in self._holes if first < start + length and last > start
        )
        return Heard(pdu.Pdu(header, bytes(self._buffer[begin : begin + length])), self._time(self._base + at), holes)

    def _time(self, place: int) -> float | None:
        while len(self._marks) > 1 and self._marks[1][0] <= place:
            self._marks.popleft()
        return self._marks[0][1] if self._marks else None

    def _drop(self, length: int) -> None:
        del self._buffer[:length]
        self._base += length
        while self._holes and self._holes[0][1] <= self._base:
            self._holes.popleft()


def _near(one: int | None, two: int | None) -> bool:
    return one is None or two is None or (one - two + _WINDOW) % _WRAP <= 2 * _WINDOW
