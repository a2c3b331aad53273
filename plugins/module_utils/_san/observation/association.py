# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which write below is which write above, where nobody knows what is in them: by when each was, and how long. Pure.

What cannot be told apart is told with all that it may be; nothing is chosen among candidates. By what is in them: `content`.
"""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen, Written

FOUND, AMBIGUOUS, NOT_SEEN, CANNOT_TELL = "found", "ambiguous", "not_seen", "cannot_tell"

Blind = tuple[float, float]
"""A time in which the lower layer was not seen whole."""


@dataclass(frozen=True)
class Association:
    """A write above with the places of its bytes below."""

    written: Written
    state: str
    """FOUND; AMBIGUOUS: `places` are all candidates; NOT_SEEN: nothing below may be it; CANNOT_TELL, with the reason."""
    places: tuple[Seen, ...] = ()
    reason: str = ""


def by_time(written: Iterable[Written], seen: Iterable[Seen], skew: float, blind: Iterable[Blind] = ()) -> list[Association]:
    """Associate by time and length: what was written above is below within the life of its request, give or take `skew` seconds.

    That holds only where no layer between answers before it has written (a cache that writes back), and none splits or joins; so a write
    is FOUND only if within its life there was no other of any length. `seen` are writes of all LUNs that it may be on.
    `skew` is by how much the clocks of both layers may differ at most.
    """
    below = sorted((one for one in seen if one.submitted is not None), key=_submitted)
    known: dict[Seen, Seen] = {}
    places = [known.setdefault(place, place) for place in map(_bare, below)]
    layer = _Below(below, places, [_submitted(one) for one in below])
    times = list(blind)
    return [_by_life(one, layer, skew, times) for one in written]


class _Below(NamedTuple):
    """The writes of the layer below by the time of their beginning."""

    writes: Sequence[Seen]
    places: Sequence[Seen]
    """Of each write, as time tells it: equal ones are the same object."""
    starts: Sequence[float]

    def places_within(self, begin: float, end: float) -> tuple[list[Seen], tuple[Seen, ...]]:
        """The writes that began and ended within, and their places, each once."""
        numbers = range(bisect.bisect_left(self.starts, begin), bisect.bisect_right(self.starts, end))
        inside = [number for number in numbers if (ended := self.writes[number].completed) is None or ended <= end]
        places = {id(place): place for place in (self.places[number] for number in inside)}
        return [self.writes[number] for number in inside], tuple(places.values())


def _by_life(one: Written, below: _Below, skew: float, blind: Sequence[Blind]) -> Association:
    if one.submitted is None or one.completed is None:
        return Association(one, CANNOT_TELL, (), "the layer above tells no times")
    begin, end = one.submitted - skew, one.completed + skew
    if any(since <= end and until >= begin for since, until in blind):
        return Association(one, CANNOT_TELL, (), "the layer below was not seen whole while it was written")
    possible, candidates = below.places_within(begin, end)
    if not candidates:
        return Association(one, NOT_SEEN, (), "nothing was written below in that time")
    if len(candidates) > 1:
        return Association(one, AMBIGUOUS, candidates, f"{len(candidates)} writes below were in that time")
    if all(found.completed is None for found in possible):
        return Association(one, CANNOT_TELL, candidates, "the one write below in that time was not seen to end")
    if candidates[0].length != one.length:
        return Association(one, CANNOT_TELL, candidates, f"the one write below in that time has {candidates[0].length} bytes")
    return Association(one, FOUND, candidates)


def narrowed(found: Iterable[Association]) -> list[Association]:
    """The same by time, one for each block, where blocks were written more than once: a place has to be a candidate each time.

    It begins with a time in which all that was written below had the length of the block, so that it was neither cut nor joined then.
    """
    groups: defaultdict[tuple[str, int, int], list[Association]] = defaultdict(list)
    for one in found:
        groups[one.written.disk, one.written.virtual_offset, one.written.length].append(one)
    return [_narrowed(group) for group in groups.values()]


def _narrowed(group: Sequence[Association]) -> Association:
    last = group[-1]
    if len(group) == 1:
        return last
    if any(one.state == NOT_SEEN for one in group):
        return Association(last.written, CANNOT_TELL, (), "nothing was written below at one of the times")
    told = [one for one in group if one.places]
    whole = [one for one in told if all(place.length == one.written.length for place in one.places)]
    if not whole:
        return Association(last.written, CANNOT_TELL, last.places, last.reason)
    fewest = min(whole, key=lambda one: len(one.places))
    covered = [_Covered(one.places) for one in told]
    places = tuple(place for place in fewest.places if all(each.touches(place) for each in covered))
    if not places:
        return Association(last.written, CANNOT_TELL, (), "no place below was written at each of the times")
    if len(places) > 1:
        return Association(last.written, AMBIGUOUS, places, f"{len(places)} places below were written at each of {len(told)} times")
    return Association(last.written, FOUND, places)


class _Covered:
    """The bytes of some places, which may lie over each other."""

    def __init__(self, places: Iterable[Seen]) -> None:
        self._starts: defaultdict[str, list[int]] = defaultdict(list)
        self._ends: defaultdict[str, list[int]] = defaultdict(list)
        for lun, begin, end in sorted(map(_bytes, places)):
            starts, ends = self._starts[lun], self._ends[lun]
            if ends and begin <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(begin)
                ends.append(end)

    def touches(self, place: Seen) -> bool:
        """Whether a place has a byte of them."""
        lun, begin, end = _bytes(place)
        before = bisect.bisect_left(self._starts.get(lun, []), end)
        return before > 0 and self._ends[lun][before - 1] > begin


def _bytes(place: Seen) -> tuple[str, int, int]:
    begin = place.lba * place.block_size
    return place.lun, begin, begin + place.length


def _bare(piece: Seen) -> Seen:
    """A place as time tells it, which knows nothing of the content."""
    return replace(piece, number=None, within=0, submitted=None, completed=None)


def _submitted(piece: Seen) -> float:
    return math.inf if piece.submitted is None else piece.submitted
