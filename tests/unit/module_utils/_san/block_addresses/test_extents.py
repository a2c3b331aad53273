# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ranges of layers: what is cut, what is joined, and what a way down keeps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Layer, Span, below, joined, no_address
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, NO_ADDRESS, SHARED, UNWRITTEN

SIZE = 64
STATES = st.sampled_from([DATA, SHARED, UNWRITTEN])


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Random ranges of an object of SIZE bytes, each somewhere below, with holes between them."""
    edges = sorted(draw(st.sets(st.integers(0, SIZE), max_size=10)))
    kept = [pair for pair in zip(edges, edges[1:]) if draw(st.booleans())]
    return Layer(Span(start, end - start, draw(STATES), draw(st.sampled_from("ab")), draw(st.integers(0, 999))) for start, end in kept)


def byte_of(layer: Layer, at: int) -> tuple[str, str, int]:
    """State and place of one byte, by looking at every span."""
    for span in layer.spans:
        if span.start <= at < span.end:
            return span.state, span.below, span.offset + at - span.start
    return HOLE, "", 0


def bytes_of(spans: list[Span]) -> list[tuple[int, tuple[str, str, int]]]:
    return [
        (at, (span.state, span.below, span.offset + at - span.start if span.has_address else 0))
        for span in spans
        for at in range(span.start, span.end)
    ]


@given(layers(), st.integers(0, SIZE), st.integers(0, SIZE))
def test_a_range_is_covered_byte_by_byte_in_order_and_without_gaps(layer: Layer, one: int, two: int) -> None:
    start, end = sorted((one, two))
    assert bytes_of([*layer.over(start, end)]) == [(at, byte_of(layer, at)) for at in range(start, end)]


@given(layers(), layers())
def test_two_layers_are_one_way_of_which_each_byte_is_followed(upper: Layer, lower: Layer) -> None:
    limited = Layer(Span(span.start, span.length, span.state, "low", span.offset % (SIZE - span.length + 1)) for span in upper.spans)
    found = [
        part
        for span in limited.over(0, SIZE)
        for part in (below(span, lower.over(span.offset, span.offset + span.length)) if span.has_address else [span])
    ]
    for at, (state, place, offset) in bytes_of(found):
        above, _low, middle = byte_of(limited, at)
        under, target, bottom = byte_of(lower, middle) if above != HOLE else (HOLE, "", 0)
        worst = max(above, under, key=[DATA, SHARED, UNWRITTEN, HOLE].index)
        assert (state, place, offset) == (worst, "" if worst == HOLE else target, 0 if worst == HOLE else bottom)
    assert [at for at, _place in bytes_of(found)] == [*range(SIZE)]


@given(layers())
def test_what_is_joined_says_the_same_of_each_byte_in_no_more_parts(layer: Layer) -> None:
    whole = [*layer.over(0, SIZE)]
    short = [*joined(whole)]
    assert bytes_of(short) == bytes_of(whole)
    assert len(short) <= len(whole)


def test_neighbours_that_lie_apart_below_stay_apart() -> None:
    assert len([*joined([Span(0, 4, below="a"), Span(4, 4, below="a", offset=8)])]) == 2
    assert [*joined([Span(0, 4, below="a"), Span(4, 4, below="a", offset=4)])] == [Span(0, 8, below="a")]


def test_what_has_no_address_in_any_layer_has_none() -> None:
    (part,) = below(Span(0, 4, below="file", offset=8), [no_address(8, 4, "it is compressed")])
    assert (part.state, part.below, part.reason, part.has_address) == (NO_ADDRESS, "", "it is compressed", False)
