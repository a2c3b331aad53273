# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ranges of one layer and where each lies in the layer below: cutting them, and going down from layer to layer. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, NO_ADDRESS, SHARED, UNWRITTEN

_WORST_LAST = (DATA, SHARED, UNWRITTEN, HOLE, NO_ADDRESS)


@dataclass(frozen=True)
class Span:
    """A range of one layer, in bytes, and where it begins in an object of the layer below."""

    start: int
    length: int
    state: str = DATA
    below: str = ""
    """The object: a file's path, a device's number; empty where there is no address."""
    offset: int = 0
    reason: str = ""

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def has_address(self) -> bool:
        """Whether it lies anywhere below."""
        return self.state not in (HOLE, NO_ADDRESS)

    def cut(self, start: int, end: int) -> Span:
        """What of it is within a range that it meets."""
        begin = max(self.start, start)
        return replace(self, start=begin, length=min(self.end, end) - begin, offset=self.offset + begin - self.start)


def no_address(start: int, length: int, reason: str) -> Span:
    """A range of which nobody can tell where it lies, and why."""
    return Span(start, length, NO_ADDRESS, reason=reason)


class Layer:
    """All spans of an object, in order and without overlap."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = sorted(spans, key=lambda span: span.start)
        self._starts = [span.start for span in self.spans]

    def over(self, start: int, end: int) -> Iterator[Span]:
        """A range by its spans; what none of them has is a hole."""
        at = start
        for number in range(max(bisect.bisect_right(self._starts, start) - 1, 0), len(self.spans)):
            span = self.spans[number]
            if span.start >= end:
                break
            if span.end <= at:
                continue
            part = span.cut(at, end)
            if part.start > at:
                yield Span(at, part.start - at, HOLE)
            yield part
            at = part.end
        if at < end:
            yield Span(at, end - at, HOLE)


def below(span: Span, found: Iterable[Span]) -> Iterator[Span]:
    """The parts of a span, by what the layer below says of the range in which it lies there; the worse state of both holds."""
    at = span.start
    for part in found:
        state = max(span.state, part.state, key=_WORST_LAST.index)
        lost = state in (HOLE, NO_ADDRESS)
        yield Span(at, part.length, state, "" if lost else part.below, 0 if lost else part.offset, part.reason or span.reason)
        at += part.length


def joined(spans: Iterable[Span]) -> Iterator[Span]:
    """The same ranges, with neighbours that lie side by side below too made one."""
    last: Span | None = None
    for span in spans:
        if last and _goes_on(last, span):
            last = replace(last, length=last.length + span.length)
            continue
        if last:
            yield last
        last = span
    if last:
        yield last


def _goes_on(one: Span, two: Span) -> bool:
    alike = (one.state, one.below, one.reason) == (two.state, two.below, two.reason)
    return alike and one.end == two.start and (not one.has_address or one.offset + one.length == two.offset)
