# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long, how large and in how many pages an answer may come."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import limits
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import MIB, SLOWEST, Excess, Pace, Pages


class Wire:
    """Pieces that come after so many seconds, by a clock of their own."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def deliver(self, pace: Pace, count: int, seconds: float) -> int:
        def receive() -> int:
            self.now += seconds
            return count

        return pace.read(receive)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def pace(wire: Wire, patience: float = 10.0, largest: int = 1000 * MIB) -> Pace:
    return Pace(patience, largest, clock=wire.clock)


class TestAnAnswer:
    def test_may_be_waited_for_as_long_as_the_socket_does(self, wire: Wire) -> None:
        assert wire.deliver(pace(wire), 100, seconds=3600) == 100

    def test_that_drips_ends_with_the_patience(self, wire: Wire) -> None:
        drip = pace(wire, patience=10)
        for _byte in range(11):
            wire.deliver(drip, 1, seconds=1)
        with pytest.raises(Excess, match=r"answers too slowly \(12 bytes in 11 s\)"):
            wire.deliver(drip, 1, seconds=1)

    def test_may_take_as_long_as_its_size_wants(self, wire: Wire) -> None:
        large = pace(wire, patience=10)
        for _second in range(600):
            wire.deliver(large, SLOWEST, seconds=1)

    def test_of_a_reader_that_takes_its_time_is_not_slow(self, wire: Wire) -> None:
        read = pace(wire, patience=10)
        for _piece in range(5):
            wire.deliver(read, 1, seconds=1)
            wire.now += 3600

    def test_has_a_largest_size(self, wire: Wire) -> None:
        endless = pace(wire, largest=2 * MIB)
        wire.deliver(endless, 2 * MIB, seconds=0)
        with pytest.raises(Excess, match="answers with more than 2 MiB"):
            wire.deliver(endless, 1, seconds=0)

    def test_that_is_too_slow_is_told_with_the_way_out(self, wire: Wire) -> None:
        slow = pace(wire, patience=1)
        wire.deliver(slow, 1, seconds=0)
        with pytest.raises(Excess) as told:
            wire.deliver(slow, 1, seconds=60)
        assert told.value.told("array") == "answers too slowly (2 bytes in 60 s): check the network, or raise array.timeout"


class TestPages:
    def test_of_any_length_are_followed_up_to_a_million_records(self) -> None:
        pages = Pages("/storage/luns")
        for number in range(limits.MOST_PAGES - 1):
            pages.follow(f"/{number}", f"/{number + 1}", 1000)
        with pytest.raises(Excess, match="lists /storage/luns in more than 1000 pages"):
            pages.follow("/a", "/b", 1000)

    def test_that_lead_back_go_in_a_circle(self) -> None:
        pages = Pages("/storage/luns")
        pages.follow("/1", "/2", 5)
        with pytest.raises(Excess, match="lists /storage/luns in a circle"):
            pages.follow("/2", "/1", 5)

    def test_without_a_record_may_lead_to_themselves_for_a_while(self) -> None:
        pages = Pages("/storage/luns")
        for _time in range(limits.MOST_EMPTY_PAGES - 1):
            pages.follow("/1", "/1", 0)
        with pytest.raises(Excess, match="in 10 empty pages, one after the other"):
            pages.follow("/1", "/1", 0)

    def test_without_a_record_count_only_in_a_row(self) -> None:
        pages = Pages("/storage/luns")
        for number in range(5 * limits.MOST_EMPTY_PAGES):
            pages.turn(number % 2)
