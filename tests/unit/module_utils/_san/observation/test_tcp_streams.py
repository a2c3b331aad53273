# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Segments in order, within limits: neither a gap nor any number of connections makes memory grow."""

from __future__ import annotations

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.tcp_streams import (
    MOST_CONNECTIONS,
    MOST_WAITING_BYTES,
    MOST_WAITING_SEGMENTS,
    UNKNOWN,
    Piece,
    Segment,
    Streams,
)

PORTAL = "10.0.0.2:3260"


def segment(
    sequence: int, data: bytes = b"x", to_portal: bool = True, port: int = 1, length: int = 0, reached: int | None = None
) -> Segment:
    size = length or len(data)
    return Segment(f"10.0.0.1:{port}", PORTAL, to_portal, 1.0, sequence, data, size, acknowledged=reached)


def opened(streams: Streams, sequence: int = 99) -> None:
    assert list(streams.take(Segment("10.0.0.1:1", PORTAL, True, 1.0, sequence, b"", 0, begins=True))) == []


def told(pieces: list[Piece]) -> list[tuple[bytes, int]]:
    return [(piece.data, piece.lost) for piece in pieces]


def test_what_comes_early_waits_for_what_is_late() -> None:
    streams = Streams()
    opened(streams)
    assert told(list(streams.take(segment(103, b"def")))) == []
    assert told(list(streams.take(segment(100, b"abc")))) == [(b"abc", 0), (b"def", 0)]


def test_what_comes_again_is_taken_once_and_what_of_it_is_new_once() -> None:
    streams = Streams()
    opened(streams)
    assert told(list(streams.take(segment(100, b"abc")))) == [(b"abc", 0)]
    assert told(list(streams.take(segment(100, b"abc")))) == []
    assert told(list(streams.take(segment(101, b"bcde")))) == [(b"de", 0)]


def test_numbers_wrap() -> None:
    streams = Streams()
    opened(streams, (1 << 32) - 3)
    assert told(list(streams.take(segment((1 << 32) - 2, b"abcd")))) == [(b"abcd", 0)]
    assert told(list(streams.take(segment(2, b"ef")))) == [(b"ef", 0)]


def test_what_the_other_end_has_received_is_not_waited_for() -> None:
    streams = Streams()
    opened(streams)
    assert told(list(streams.take(segment(110, b"late")))) == []
    assert told(list(streams.take(segment(500, b"answer", False, reached=110)))) == [(b"late", 10), (b"answer", UNKNOWN)]


def test_what_was_cut_from_a_segment_is_missing_at_once() -> None:
    streams = Streams()
    opened(streams)
    assert told(list(streams.take(segment(100, b"abc", length=10)))) == [(b"abc", 0), (b"", 7)]
    assert told(list(streams.take(segment(110, b"next")))) == [(b"next", 0)]


def test_no_more_than_so_many_segments_wait() -> None:
    streams = Streams()
    opened(streams)
    for number in range(MOST_WAITING_SEGMENTS):
        assert list(streams.take(segment(101 + number))) == []
    pieces = told(list(streams.take(segment(101 + MOST_WAITING_SEGMENTS))))
    assert pieces == [(b"x", 1), *[(b"x", 0)] * MOST_WAITING_SEGMENTS]


def test_no_more_than_so_many_bytes_wait() -> None:
    streams, big = Streams(), bytes(60_000)
    opened(streams)
    kept = 0
    while not list(streams.take(segment(101 + kept, big))):
        kept += len(big)
        assert kept <= MOST_WAITING_BYTES


def test_of_more_connections_than_are_followed_the_one_that_was_silent_longest_is_left() -> None:
    streams = Streams()
    for port in range(MOST_CONNECTIONS):
        assert len(list(streams.take(segment(1, port=port)))) == 1
    assert len(list(streams.take(segment(2, port=0)))) == 1
    left, new = streams.take(segment(1, port=MOST_CONNECTIONS))
    assert (left.ends, left.connection.initiator, new.lost, streams.left) == (True, "10.0.0.1:1", UNKNOWN, 1)


def test_the_rest_is_told_at_the_end() -> None:
    streams = Streams()
    opened(streams)
    assert list(streams.take(segment(105, b"waits"))) == []
    assert told(list(streams.close())) == [(b"waits", 5), (b"", 0)]
