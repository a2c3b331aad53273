# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs together by the bytes themselves: the marker that a guest wrote, and the blocks of LUNs that hold it. Pure.

It needs no clock and no order. A marker tells of its own block and of no other: what lies beside it may be anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Seen, Written


@dataclass(frozen=True)
class Pair:
    """A range of a virtual disk, and everywhere it was seen."""

    written: Written
    seen: Sequence[Seen]
    """One for each place; none where nobody saw it."""


def associated(written: Iterable[Written], seen: Iterable[Seen]) -> list[Pair]:
    """Each written piece with the places that hold its bytes, in parts of which each is in the same places as a whole.

    What is seen of numbers that nobody wrote, or of none, is left out.
    """
    places: dict[int, list[Seen]] = {}
    for one in seen:
        if one.number is not None:
            places.setdefault(one.number, []).append(one)
    return [pair for piece in written for pair in _parts(piece, places.get(piece.number, []))]


def _parts(piece: Written, places: Sequence[Seen]) -> Iterator[Pair]:
    """A piece, cut wherever a sighting of it begins or ends."""
    begin, over = piece.within, piece.within + piece.length
    edges = {begin, over}
    for place in places:
        edges |= {edge for edge in (place.within, place.within + place.length) if begin < edge < over}
    cuts = sorted(edges)
    for start, end in zip(cuts, cuts[1:]):
        there = [_cut(place, start, end) for place in places if place.within <= start and end <= place.within + place.length]
        part = replace(piece, within=start, length=end - start, virtual_offset=piece.virtual_offset + start - begin)
        yield Pair(part, there)


def _cut(place: Seen, start: int, end: int) -> Seen:
    lba = (place.lba * place.block_size + start - place.within) // place.block_size
    return replace(place, within=start, length=end - start, lba=lba)
