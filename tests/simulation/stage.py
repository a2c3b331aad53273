# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actors that take turns at every request: one thread each, of which only one ever runs.

An actor holds the baton while it computes. Before each request it puts it down, and the schedule says who takes it up. What an actor does
between two requests is therefore never interrupted, and the same schedule gives the same run, request by request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.simulation.schedule import AFTER, BEFORE, PASSES, Fate, Schedule

T = TypeVar("T")

SECONDS_OF_A_REQUEST = 0.05


class Killed(BaseException):
    """The process of an actor has ended: nothing more of it runs, neither an undo nor a logout."""


class Stuck(Exception):
    """A run needs more requests than any run should."""


@dataclass(eq=False)
class Actor:
    """Somebody who runs a playbook or a task."""

    name: str
    work: Callable[[], Any]
    restarts: int = 0
    """How often whoever started it starts it anew when it was killed or has failed."""
    attempt: int = 1
    result: Any = None
    error: BaseException | None = None
    wakes_at: float = 0.0
    dead: bool = False
    ended: bool = False
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def perform(self) -> None:
        """Do the work, as often as it is started, and note how it ended."""
        while self._fails() and self.attempt <= self.restarts:
            self.attempt, self.dead, self.error = self.attempt + 1, False, None
        self.ended = True

    def _fails(self) -> bool:
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is how this actor ended
            self.error = error
        return self.error is not None


@dataclass
class Stage:
    """Where the actors take turns, and where what they do is written down."""

    schedule: Schedule
    events: Callable[[], Sequence[str]] = lambda: ()
    happen: Callable[[str], None] = lambda event: None
    longest: int = 20_000
    now: float = 0.0
    step: int = 0
    lines: list[str] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)
    current: Actor | None = None
    quiet: bool = False
    """Nothing goes wrong any more."""
    _is_event: bool = False

    def time(self) -> float:
        """Seconds on a clock that nobody waits for."""
        return self.now

    def play(self, actors: Sequence[Actor]) -> None:
        """Let the actors do their work, taking turns."""
        self.actors = list(actors)
        end = threading.Semaphore(0)
        threads = [threading.Thread(target=self._perform, args=(actor, end), daemon=True) for actor in self.actors]
        for thread in threads:
            thread.start()
        self._hand_over(self._choose())
        end.acquire()
        for thread in threads:
            thread.join()
        self.current = None

    def alone(self, actor: Actor) -> None:
        """Let one actor do its work while nobody else is there and nothing goes wrong."""
        self.actors, self.current, self.quiet = [actor], actor, True
        actor.perform()
        self.current = None

    def request(self, what: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        """Carry out one request of the actor at work, after everybody else had a chance; `lost` makes the error of a broken connection."""
        actor = self._actor()
        fate = self._fate(actor, what)
        for event in fate.events:
            self._happens(event)
        if fate.killed:
            self._note(f"is killed before: {what}")
            actor.dead = True
            raise Killed
        if fate.lost == BEFORE:
            self._note(f"{what} (never arrives)")
            raise lost()
        self._note(what)
        done = self._carry_out(effect)
        if fate.lost == AFTER:
            self._note("(the answer is lost)")
            raise lost()
        return done()

    def sleep(self, seconds: float) -> None:
        """Let the actor at work wait."""
        actor = self._actor()
        actor.wakes_at = self.now + seconds
        self._yield(actor)

    def who(self) -> str:
        """Who is at work: an actor with the number of its start, or the world."""
        if self._is_event or self.current is None:
            return "world"
        return f"{self.current.name}.{self.current.attempt}"

    def note(self, line: str) -> None:
        """Write down what the actor at work tells."""
        self.lines.append(f"{'':>14} {self.who()}: {line}")

    def note_all(self, line: str) -> None:
        """Write down a line that nobody in particular tells."""
        self.lines.append(f"-- {line}")

    def _carry_out(self, effect: Callable[[], T]) -> Callable[[], T]:
        """The effect's outcome, which is told only if the answer arrives."""
        try:
            value = effect()
        except Exception as error:  # noqa: BLE001 - the answer of whoever was asked, passed on as it is
            refusal = error
        else:
            return lambda: value

        def refuse() -> T:
            raise refusal

        return refuse

    def _fate(self, actor: Actor, what: str) -> Fate:
        if actor.dead:
            raise Killed
        self.step += 1
        if self.step > self.longest:
            actor.dead = True
            raise Stuck(f"{actor.name} is still at it after {self.longest} requests")
        self.now += SECONDS_OF_A_REQUEST
        if self.quiet:
            return PASSES
        heard = getattr(self.schedule, "heard", None)
        if heard:
            heard(actor.name, what)
        self._yield(actor)
        return self.schedule.fate(actor.name, what, self.events())

    def _happens(self, event: str) -> None:
        self._is_event = True
        self._note(event)
        self.happen(event)
        self._is_event = False

    def _note(self, what: str) -> None:
        self.lines.append(f"{self.step:>5} {self.now:>8.2f} {self.who()}: {what}")

    def _actor(self) -> Actor:
        assert self.current is not None, "a request without an actor"
        return self.current

    def _perform(self, actor: Actor, end: threading.Semaphore) -> None:
        actor.gate.acquire()
        actor.perform()
        if all(other.ended for other in self.actors):
            end.release()
        else:
            self._hand_over(self._choose())

    def _yield(self, actor: Actor) -> None:
        if len(self.actors) == 1:
            self.now = max(self.now, actor.wakes_at)
            return
        following = self._choose()
        if following is not actor:
            self._hand_over(following)
            actor.gate.acquire()

    def _hand_over(self, actor: Actor) -> None:
        self.current = actor
        actor.gate.release()

    def _choose(self) -> Actor:
        playing = [actor for actor in self.actors if not actor.ended]
        ready = [actor for actor in playing if actor.wakes_at <= self.now]
        if not ready or self.schedule.lets_time_pass():
            ready = playing if ready or self._is_written() else [min(playing, key=lambda actor: actor.wakes_at)]
        name = self.schedule.next([actor.name for actor in ready], self.current.name if self.current else "")
        chosen = next(actor for actor in ready if actor.name == name)
        self.now = max(self.now, chosen.wakes_at)
        return chosen

    def _is_written(self) -> bool:
        return hasattr(self.schedule, "heard")
