# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long, how large and in how many pages an answer may come. Each limit stands here once; whoever reads from a network goes by it.

The other end may be broken, or somebody else. A limit that is reached is an `Excess`, which the readers tell in one sentence. Depth has no
limit of ours: XML is read without libxml2's `huge_tree`, which ends at 256 levels, and JSON ends where Python's recursion does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MIB = 1 << 20

SLOWEST = 1 << 16
"""Bytes per second, once an answer has begun. Half a megabit: a line that is slower than this has no storage array behind it."""
LARGEST_ANSWER = 64 * MIB
"""Bytes of an answer that is read whole. A page of 1,000 LUNs with 128 initiators each has some 20 MiB; as Python's objects it has ten to
twenty times as much."""
LARGEST_PROBE = MIB
"""Bytes of the answer to the question which product it is. vCenter Server's has 6 KB, Windows' 1 KB."""
LARGEST_STREAM = 1024 * MIB
"""Bytes of an answer of which only one record is held at a time. A page of 500 ESXi hosts with 1,000 LUNs each has some 700 MiB."""
LARGEST_RECORD = 32 * MIB
"""Bytes of one record of a stream. A host with 1,024 LUNs on 4,096 paths, which is all that ESXi takes, has some 8 MiB."""
MOST_PAGES = 1000
"""Pages of one listing: a million objects at 1,000 a page, and 50,000 hosts at 50 a page."""
MOST_EMPTY_PAGES = 10
"""Pages in a row without a record. ONTAP sends one when it found nothing within the time for a request, 15 seconds, and goes on."""


class Excess(OSError):
    """The other end went beyond a limit. The text goes on where a sentence has named the endpoint; `way_out` ends that sentence."""

    def __init__(self, text: str, way_out: str = "check that {role}.hostname and {role}.port are those of the product itself") -> None:
        super().__init__(text)
        self._way_out = way_out

    def told(self, role: str) -> str:
        """What happened and the way out, for an endpoint of this role."""
        return f"{self}: {self._way_out.format(role=role)}"


class Pace:
    """One answer on its way: not larger than `largest` bytes and, from its first byte on, not slower than `patience` seconds and `SLOWEST`.

    What is waited for the first byte, and between two, is limited by the timeout of the socket; this ends an answer that drips. Only time
    spent waiting is counted, so that a reader may do its work meanwhile.
    """

    def __init__(self, patience: float, largest: int, slowest: float = SLOWEST, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._largest = largest
        self._slowest = slowest
        self._clock = clock
        self._bytes = 0
        self._seconds = 0.0

    def read(self, receive: Callable[[], int]) -> int:
        """Receive a piece and return its length. Raises `Excess`, and what `receive` raises."""
        began = self._clock()
        count = receive()
        if self._bytes:
            self._seconds += self._clock() - began
        self._bytes += count
        if self._bytes > self._largest:
            raise Excess(f"answers with more than {in_units(self._largest)}")
        if self._seconds > self._patience + self._bytes / self._slowest:
            raise Excess(
                f"answers too slowly ({in_units(self._bytes)} in {self._seconds:.0f} s)", "check the network, or raise {role}.timeout"
            )
        return count


class Pages:
    """The pages of one listing: not without end, and not in a circle."""

    def __init__(self, what: str) -> None:
        """`what` is listed, for messages."""
        self._what = what
        self._count = 0
        self._empty = 0
        self._fruitful: set[str] = set()

    def turn(self, records: int) -> None:
        """Take note that a page had so many records and that another one follows. Raises `Excess`."""
        self._count += 1
        self._empty = 0 if records else self._empty + 1
        if self._count >= MOST_PAGES:
            raise Excess(f"lists {self._what} in more than {MOST_PAGES} pages")
        if self._empty >= MOST_EMPTY_PAGES:
            raise Excess(f"lists {self._what} in {self._empty} empty pages, one after the other")

    def follow(self, here: str, there: str, records: int) -> None:
        """The same for pages that are links. Raises `Excess` too when `there` was read already, and had records.

        ONTAP repeats the link to a page that it found nothing for in time.
        """
        if records:
            self._fruitful.add(here)
        if there in self._fruitful:
            raise Excess(f"lists {self._what} in a circle, because a page leads back to one that was read")
        self.turn(records)


def in_units(count: int) -> str:
    """A number of bytes as a person reads it."""
    return f"{count / MIB:.0f} MiB" if count >= MIB else f"{count} bytes"
