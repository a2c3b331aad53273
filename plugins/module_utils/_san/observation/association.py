# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which write below is which write above: by what is in it, or by when it was and how long. Pure.

What cannot be told apart is told with all that it may be; nothing is chosen among candidates.
"""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen, Written
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import SECTOR

FOUND, AMBIGUOUS, NOT_SEEN, CANNOT_TELL = "found", "ambiguous", "not_seen", "cannot_tell"

Blind = tuple[float, float]
"""A time in which the lower layer was not seen whole."""


@dataclass(frozen=True)
class Association:
    """A write above with the places of its bytes below."""

    written: Written
    state: str
    """FOUND; AMBIGUOUS: `places` are all candidates; NOT_SEEN: nothing below may be it; CANNOT_TELL: what may be it was not all seen."""
    places: tuple[Seen, ...] = ()
    """Of FOUND, the pieces that make up the write, in its order, each beginning at its `within`."""
    reason: str = ""


def by_content(written: Iterable[Written], seen: Iterable[Seen], unfinished: Iterable[Seen] = ()) -> list[Association]:
    """Associate by the markers in the data, whose clocks nobody has to believe.

    `unfinished` are writes below whose end nobody saw: they are named, but are no place.
    """
    above = list(written)
    places, begun = _by_number(seen), _by_number(unfinished)
    twice = _written_twice(above)
    return [_by_marker(one, places.get(one.number, []), begun.get(one.number, []), one.number in twice) for one in above]


def _by_number(seen: Iterable[Seen]) -> dict[int, list[Seen]]:
    found: defaultdict[int, list[Seen]] = defaultdict(list)
    for one in seen:
        if one.number is not None:
            found[one.number].append(one)
    return found


def _written_twice(written: Iterable[Written]) -> set[int]:
    """Numbers of which the same bytes were written to more than one place above."""
    offsets: defaultdict[int, set[tuple[str, int]]] = defaultdict(set)
    for one in written:
        offsets[one.number].add((one.disk, one.virtual_offset - one.within))
    return {number for number, places in offsets.items() if len(places) > 1}


def _by_marker(one: Written, seen: Sequence[Seen], begun: Sequence[Seen], is_twice: bool) -> Association:
    sectors = _sectors(one, seen)
    candidates = tuple(dict.fromkeys(_place(piece) for piece in seen if _meets(one, piece)))
    if is_twice:
        return Association(one, AMBIGUOUS, candidates, f"marker {one.number} was written to several places above")
    most = max((len(places) for places in sectors.values()), default=0)
    if most > 1:
        return Association(one, AMBIGUOUS, candidates, f"marker {one.number} was seen in {most} places below")
    missing = sum(not places for places in sectors.values())
    if not missing:
        return Association(one, FOUND, tuple(_pieces(one, sectors)))
    if missing < len(sectors):
        reason = f"only {len(sectors) - missing} of {len(sectors)} sectors of marker {one.number} were seen"
        return Association(one, CANNOT_TELL, candidates, reason)
    if begun:
        reason = f"a write of marker {one.number} to block {begun[0].lba} of {begun[0].lun} was not seen to end"
        return Association(one, CANNOT_TELL, (), reason)
    return Association(one, NOT_SEEN, (), f"marker {one.number} was not seen")


def _sectors(one: Written, seen: Iterable[Seen]) -> dict[int, set[tuple[str, int, int]]]:
    """Each sector of the marker that the write has → LUN, byte and size of blocks of every place where it was seen."""
    found: dict[int, set[tuple[str, int, int]]] = {at: set() for at in range(one.within, one.within + one.length, SECTOR)}
    for piece in seen:
        start = piece.lba * piece.block_size
        for step in range(0, piece.length, SECTOR):
            if piece.within + step in found:
                found[piece.within + step].add((piece.lun, start + step, piece.block_size))
    return found


def _pieces(one: Written, sectors: dict[int, set[tuple[str, int, int]]]) -> Iterator[Seen]:
    """Neighbouring sectors on one LUN as one piece."""
    piece: Seen | None = None
    for within, places in sorted(sectors.items()):
        ((lun, at, size),) = places
        if piece and (piece.lun, piece.lba * piece.block_size + piece.length, piece.block_size) == (lun, at, size):
            piece = replace(piece, length=piece.length + SECTOR)
            continue
        if piece:
            yield piece
        unit = size if at % size == 0 else SECTOR
        piece = Seen(one.number, lun, at // unit, SECTOR, within=within, block_size=unit)
    if piece:
        yield piece


def _meets(one: Written, piece: Seen) -> bool:
    return piece.within < one.within + one.length and one.within < piece.within + piece.length


def _place(piece: Seen) -> Seen:
    """Where it is, without when it was seen: the same marker to the same place is no other place."""
    return replace(piece, submitted=None, completed=None)


def by_time(written: Iterable[Written], seen: Iterable[Seen], skew: float, blind: Iterable[Blind] = ()) -> list[Association]:
    """Associate by time and length: what was written above is below within the life of its request, give or take `skew` seconds.

    That holds only where no layer between answers before it has written (a cache that writes back), and none splits or joins; so a write
    is FOUND only if within its life there was no other of any length. `seen` are writes of all LUNs that it may be on.
    `skew` is by how much the clocks of both layers may differ at most.
    """
    below = sorted((one for one in seen if one.submitted is not None and one.completed is not None), key=_submitted)
    starts = [_submitted(one) for one in below]
    times = list(blind)
    return [_by_life(one, below, starts, skew, times) for one in written]


def _by_life(one: Written, below: Sequence[Seen], starts: Sequence[float], skew: float, blind: Sequence[Blind]) -> Association:
    if one.submitted is None or one.completed is None:
        return Association(one, CANNOT_TELL, (), "the layer above tells no times")
    begin, end = one.submitted - skew, one.completed + skew
    if any(since <= end and until >= begin for since, until in blind):
        return Association(one, CANNOT_TELL, (), "the layer below was not seen whole while it was written")
    within = below[bisect.bisect_left(starts, begin) : bisect.bisect_right(starts, end)]
    candidates = tuple(dict.fromkeys(_bare(found) for found in within if found.completed is not None and found.completed <= end))
    if not candidates:
        return Association(one, NOT_SEEN, (), "nothing was written below in that time")
    if len(candidates) > 1:
        return Association(one, AMBIGUOUS, candidates, f"{len(candidates)} writes below were in that time")
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
    places = tuple(place for place in fewest.places if all(any(_overlap(place, other) for other in one.places) for one in told))
    if not places:
        return Association(last.written, CANNOT_TELL, (), "no place below was written at each of the times")
    if len(places) > 1:
        return Association(last.written, AMBIGUOUS, places, f"{len(places)} places below were written at each of {len(told)} times")
    return Association(last.written, FOUND, places)


def _overlap(one: Seen, two: Seen) -> bool:
    first, second = one.lba * one.block_size, two.lba * two.block_size
    return one.lun == two.lun and first < second + two.length and second < first + one.length


def _bare(piece: Seen) -> Seen:
    """A place as time tells it, which knows nothing of the content."""
    return replace(piece, number=None, within=0, submitted=None, completed=None)


def _submitted(piece: Seen) -> float:
    return math.inf if piece.submitted is None else piece.submitted
