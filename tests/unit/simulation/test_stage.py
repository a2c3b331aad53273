# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.simulation.schedule import AFTER, BEFORE, Fate, Seeded, Turn, Written
from tests.simulation.stage import Actor, Killed, Stage, Stuck


class Lost(Exception):
    """An answer did not come."""


def work(stage: Stage, done: list[str], requests: Sequence[str]) -> None:
    """Send requests, and tidy up whatever happens, as an undo and a logout do."""
    try:
        for request in requests:
            stage.request(request, lambda request=request: done.append(request), Lost)  # type: ignore[misc]
    except Lost:
        stage.request("undo", lambda: done.append("undo"), Lost)
    finally:
        stage.request("logout", lambda: done.append("logout"), Lost)


def played(turns: Sequence[Turn], restarts: int = 0) -> tuple[list[str], list[Actor]]:
    """What was done when two actors sent two requests each."""
    done: list[str] = []
    stage = Stage(Written(turns))
    actors = [Actor(name, lambda name=name: work(stage, done, [f"{name}1", f"{name}2"]), restarts) for name in ("a", "b")]  # type: ignore[misc]
    stage.play(actors)
    return done, actors


def test_an_actor_goes_on_to_the_end_of_its_turn() -> None:
    done, actors = played([Turn("a", "a2"), Turn("b", "logout"), Turn("a")])
    assert done == ["a1", "b1", "b2", "a2", "logout", "logout"]
    assert [actor.error for actor in actors] == [None, None]


def test_of_an_actor_that_was_killed_nothing_more_runs() -> None:
    done, (killed, other) = played([Turn("a", "a2", fate=Fate(killed=True))])
    assert done == ["a1", "b1", "b2", "logout"]
    assert (type(killed.error), other.error) == (Killed, None)


def test_whoever_was_killed_may_be_started_again() -> None:
    done, (killed, _other) = played([Turn("a", "a2", fate=Fate(killed=True))], restarts=1)
    assert done == ["a1", "a1", "a2", "logout", "b1", "b2", "logout"]
    assert (killed.error, killed.attempt) == (None, 2)


@pytest.mark.parametrize(("lost", "carried_out"), [(BEFORE, ["a1"]), (AFTER, ["a1", "a2"])])
def test_an_answer_is_lost_before_the_request_arrives_or_after_it_was_carried_out(lost: str, carried_out: list[str]) -> None:
    done, _actors = played([Turn("a", "a2", fate=Fate(lost=lost)), Turn("a"), Turn("b")])
    assert done == [*carried_out, "undo", "logout", "b1", "b2", "logout"]


def test_time_passes_by_being_slept_and_by_requests() -> None:
    moments: list[float] = []
    stage = Stage(Written([]))

    def sleeper() -> None:
        stage.sleep(30.0)
        moments.append(stage.time())

    def worker() -> None:
        stage.request("work", lambda: moments.append(stage.time()), Lost)

    stage.play([Actor("a", sleeper), Actor("b", worker)])
    assert moments == [pytest.approx(0.05), 30.0]


def test_an_actor_that_comes_to_no_end_is_stopped() -> None:
    stage = Stage(Written([]), longest=10)
    actor = Actor("a", lambda: work(stage, [], ["again"] * 20))
    stage.play([actor])
    assert isinstance(actor.error, (Stuck, Killed))
    assert stage.step == 11


def test_what_happens_in_the_world_happens_right_before_a_request() -> None:
    done: list[str] = []
    stage = Stage(Written([Turn("a", "a2", fate=Fate(events=["a flood"]))]), happen=done.append)
    stage.play([Actor("a", lambda: work(stage, done, ["a1", "a2"]))])
    assert done == ["a1", "a flood", "a2", "logout"]


def test_a_seed_always_gives_the_same_schedule() -> None:
    def choices(seed: int) -> list[object]:
        schedule = Seeded(seed)
        return [(schedule.next("abc", "a"), schedule.fate("a", "x", ["flood", "fire"]), schedule.lets_time_pass()) for _each in range(200)]

    assert choices(7) == choices(7)
    assert choices(7) != choices(8)
