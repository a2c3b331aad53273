# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose turn it is, and what goes wrong: by a seed, or as it was written down by hand.

A schedule is asked at every request of every actor. All that it knows of the run are names, so that the same seed gives the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

BEFORE = "before"
AFTER = "after"


@dataclass(frozen=True)
class Fate:
    """What becomes of one request."""

    events: Sequence[str] = ()
    """What happens in the world right before it."""
    killed: bool = False
    """The process of the actor ends instead of sending it."""
    lost: str = ""
    """The connection breaks `before` the request has arrived, or `after` it was carried out."""


PASSES = Fate()


class Schedule(Protocol):
    """Who goes on, and what happens to whom."""

    @property
    def quiet(self) -> bool:
        """Whether nothing happens but what the actors do."""

    def next(self, names: Sequence[str], current: str) -> str:
        """One of the actors that could go on."""

    def lets_time_pass(self) -> bool:
        """Whether an actor that is waiting for a while may be next although others could go on now."""

    def fate(self, actor: str, request: str, events: Sequence[str]) -> Fate:
        """What becomes of a request that an actor is about to send; `events` could happen now."""


@dataclass
class Temper:
    """How a random schedule is: of the thousands of a long run each is another."""

    restless: float
    """How probable a change of the actor is at a request: seldom, so that one stands still while others do everything, or always."""
    kill: float
    lose: float
    event: float
    slow: float

    @classmethod
    def drawn(cls, random: Random) -> Temper:
        """One of many: a third of all schedules is quiet, so that nothing but the order of the requests is tried."""
        quiet = random.random() < 1 / 3
        return cls(
            restless=random.choice((0.02, 0.1, 0.3, 0.7, 1.0)),
            kill=0.0 if quiet else random.choice((0.0, 0.005, 0.02)),
            lose=0.0 if quiet else random.choice((0.0, 0.0, 0.01, 0.04)),
            event=0.0 if quiet else random.choice((0.0, 0.02, 0.1)),
            slow=random.choice((0.0, 0.05)),
        )

    @property
    def quiet(self) -> bool:
        """Whether nothing happens but what the actors do."""
        return not (self.kill or self.lose or self.event)


class Seeded:
    """A schedule that a seed chooses."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"schedule {seed}")
        self.temper = Temper.drawn(self._random)

    @property
    def quiet(self) -> bool:
        """As its temper is."""
        return self.temper.quiet

    def next(self, names: Sequence[str], current: str) -> str:
        """The actor that is at work, most of the time."""
        if current in names and self._random.random() >= self.temper.restless:
            return current
        return self._random.choice(names)

    def lets_time_pass(self) -> bool:
        """Seldom."""
        return self._random.random() < self.temper.slow

    def fate(self, actor: str, request: str, events: Sequence[str]) -> Fate:
        """Mostly that it is carried out."""
        temper, draw = self.temper, self._random.random
        if temper.quiet:
            return PASSES
        happened = (self._random.choice(events),) if events and draw() < temper.event else ()
        lost = self._random.choice((BEFORE, AFTER)) if draw() < temper.lose else ""
        return Fate(happened, killed=draw() < temper.kill, lost=lost)


@dataclass
class Turn:
    """One line of a schedule that was written by hand: this actor goes on until it is about to send such a request, or to its end."""

    actor: str
    until: str = ""
    """A regular expression; empty is to the end."""
    times: int = 1
    """The how-manieth such request of the turn it is."""
    fate: Fate = PASSES
    """What becomes of that request, when its time has come."""


@dataclass
class Written:
    """A schedule that was written by hand. After its last turn everyone goes on, one after the other."""

    turns: Sequence[Turn]
    _left: list[Turn] = field(init=False)
    _seen: int = 0
    _due: dict[str, Fate] = field(default_factory=dict)
    _held: bool = False

    def __post_init__(self) -> None:
        self._left = list(self.turns)

    @property
    def quiet(self) -> bool:
        """Whether no turn ends with anything but the next one."""
        return all(turn.fate == PASSES for turn in self.turns)

    def next(self, names: Sequence[str], current: str) -> str:
        """The actor of the turn, once the one before it has got as far as it was to get."""
        while self._left and (self._held or self._left[0].actor not in names):
            self._left.pop(0)
            self._held, self._seen = False, 0
        if self._left:
            return self._left[0].actor
        return current if current in names else names[0]

    def lets_time_pass(self) -> bool:
        """An actor that waits is waited for, while it is its turn."""
        return bool(self._left)

    def heard(self, actor: str, request: str) -> None:
        """Note what an actor is about to send: it may be where its turn ends."""
        turn = self._left[0] if self._left else None
        if turn is None or turn.actor != actor or not turn.until or not re.search(turn.until, request):
            return
        self._seen += 1
        if self._seen == turn.times:
            self._held = True
            self._due[actor] = turn.fate

    def fate(self, actor: str, request: str, events: Sequence[str]) -> Fate:
        """What the turn says that ended at this request."""
        return self._due.pop(actor, PASSES)
