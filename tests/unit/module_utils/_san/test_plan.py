# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan does what is missing, in order, and takes back what it did when a step fails."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    OutcomeUnknown,
    Overtaken,
    RemoteError,
    StepFailed,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.plan import Attempt, Guard, Plan, Step, carry_out, read_back


@dataclass
class Put(Step):
    """Puts a word into the world; `trouble` names when it fails."""

    world: list[str]
    word: str
    trouble: str = ""
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.title = f"put {self.word}"

    def done(self) -> bool:
        return self.word in self.world

    def do(self) -> None:
        if self.trouble == "refused":
            raise RemoteError("the world is full")
        if self.trouble == "overtaken":
            raise Overtaken("somebody else was faster")
        if self.trouble == "lost before":
            raise OutcomeUnknown("the connection was lost")
        self.world.append(self.word)
        if self.trouble == "lost after":
            raise OutcomeUnknown("the connection was lost")
        if self.trouble == "defect":
            raise KeyError(self.word)

    def verify(self) -> None:
        if self.word not in self.world or self.trouble == "wrong":
            raise RemoteError(f"{self.word} is not there")

    def undo(self) -> None:
        if self.trouble == "stuck":
            raise RemoteError("it does not move")
        if self.word in self.world:
            self.world.remove(self.word)

    def before(self) -> dict[str, object]:
        return {"words": {self.word: False}}

    def after(self) -> dict[str, object]:
        return {"words": {self.word: True}}


def plan_of(world: list[str], *steps: tuple[str, str]) -> Plan:
    return Plan([Put(world, word, trouble) for word, trouble in steps])


def test_only_what_is_missing_is_done() -> None:
    world = ["a"]
    outcome = carry_out(plan_of(world, ("a", ""), ("b", "")), check_mode=False)
    assert world == ["a", "b"]
    assert outcome.changed
    assert outcome.actions == ["put b"]


def test_a_second_run_changes_nothing() -> None:
    world: list[str] = []
    carry_out(plan_of(world, ("a", ""), ("b", "")), check_mode=False)
    outcome = carry_out(plan_of(world, ("a", ""), ("b", "")), check_mode=False)
    assert not outcome.changed
    assert outcome.diff() == {"before": {}, "after": {}}


def test_check_mode_tells_and_does_not_do() -> None:
    world: list[str] = []
    outcome = carry_out(plan_of(world, ("a", ""), ("b", "")), check_mode=True)
    assert world == []
    assert outcome.changed
    assert outcome.actions == ["put a", "put b"]
    assert outcome.diff() == {"before": {"words": {"a": False, "b": False}}, "after": {"words": {"a": True, "b": True}}}


@pytest.mark.parametrize("trouble", ["refused", "wrong", "lost before"])
def test_a_failing_step_takes_back_the_steps_of_this_run_and_no_others(trouble: str) -> None:
    world = ["a"]
    with pytest.raises(StepFailed) as failure:
        plan_of(world, ("a", ""), ("b", ""), ("c", trouble), ("d", "")).run()
    assert world == ["a"]
    assert str(failure.value).startswith("Could not put c: ")
    assert "undone: " in str(failure.value)
    assert "put b" in str(failure.value)


def test_a_step_that_was_refused_is_not_undone_itself() -> None:
    world = ["c"]

    class Blind(Put):
        def done(self) -> bool:
            return False

    with pytest.raises(StepFailed):
        Plan([Put(world, "b"), Blind(world, "c", "refused")]).run()
    assert world == ["c"], "what somebody else put there stays"


def test_a_lost_answer_counts_as_done_when_a_fresh_read_says_so() -> None:
    world: list[str] = []
    assert len(plan_of(world, ("a", "lost after"), ("b", "")).run()) == 2
    assert world == ["a", "b"]


def test_what_cannot_be_undone_is_told() -> None:
    world: list[str] = []
    with pytest.raises(StepFailed, match=r"could not be undone and is left as it is: put b \(it does not move\)\.$"):
        plan_of(world, ("a", ""), ("b", "stuck"), ("c", "refused")).run()
    assert world == ["b"]


@pytest.mark.parametrize(
    ("first", "trouble", "overtaken"),
    [("", "overtaken", True), ("", "refused", False), ("", "lost before", False), ("", "wrong", False), ("stuck", "overtaken", False)],
)
def test_only_what_was_overtaken_and_undone_may_be_planned_anew(first: str, trouble: str, overtaken: bool) -> None:
    with pytest.raises(StepFailed) as failure:
        plan_of([], ("a", first), ("b", trouble)).run()
    assert failure.value.overtaken is overtaken


def test_what_has_no_way_back_is_not_planned_anew() -> None:
    steps = plan_of([], ("a", ""), ("b", "overtaken")).steps
    steps[0].final = True
    with pytest.raises(StepFailed) as failure:
        Plan(steps).run()
    assert not failure.value.overtaken


def test_steps_that_have_nothing_to_undo_are_told_to_have_been_done() -> None:
    class Stays(Put):
        undo = Step.undo

    with pytest.raises(StepFailed) as failure:
        Plan([Stays([], "a"), *plan_of([], ("b", ""), ("c", "overtaken")).steps]).run()
    assert failure.value.kept == ["put a"]


def test_what_has_no_way_back_keeps_the_steps_before_it() -> None:
    world: list[str] = []
    steps = plan_of(world, ("a", ""), ("b", "wrong")).steps
    steps[1].final = True
    with pytest.raises(StepFailed, match=r"^Could not put b: b is not there\.$"):
        Plan(steps).run()
    assert world == ["a", "b"]


def unreadable() -> None:
    raise RemoteError("the world is closed.")


def test_when_only_the_result_cannot_be_read_the_error_says_that_all_was_done() -> None:
    outcome = carry_out(plan_of([], ("a", "")), check_mode=False)
    with pytest.raises(StepFailed, match=r"^All was done \(put a\), but the result could not be read: the world is closed; run"):
        read_back(outcome, False, unreadable)


@pytest.mark.parametrize(("there", "check_mode"), [(["a"], False), ([], True)])
def test_where_nothing_was_done_an_unreadable_result_is_an_error_like_any_other(there: list[str], check_mode: bool) -> None:
    outcome = carry_out(plan_of(there, ("a", "")), check_mode)
    with pytest.raises(RemoteError, match="the world is closed"):
        read_back(outcome, check_mode, unreadable)


def test_a_defect_in_a_final_step_keeps_what_was_done_for_it() -> None:
    world: list[str] = []
    plan = plan_of(world, ("kept", ""), ("gone", "defect"))
    plan.steps[1].final = True
    with pytest.raises(KeyError):
        plan.run()
    assert world == ["kept", "gone"]


def test_a_defect_keeps_its_traceback_but_leaves_nothing_behind() -> None:
    world: list[str] = []
    with pytest.raises(KeyError):
        plan_of(world, ("a", ""), ("b", "defect")).run()
    assert "a" not in world


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.data())
def test_whichever_step_fails_the_world_is_as_it_was(there: list[str], wanted: list[str], data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, len(wanted) - 1))
    trouble = data.draw(st.sampled_from(["refused", "wrong", "lost before"]))
    world = list(there)
    steps = [(word, trouble if number == bad else "") for number, word in enumerate(wanted)]
    if wanted[bad] in there:
        plan_of(world, *steps).run()
        assert set(world) == {*there, *wanted}
    else:
        with pytest.raises(StepFailed):
            plan_of(world, *steps).run()
        assert world == there


class Rescan(Step):
    """Changes nothing that would have to be taken back, as a rescan does."""

    title = "rescan"

    def done(self) -> bool:
        return False

    def do(self) -> None:
        """Look for what is new."""


def test_a_step_that_says_nothing_of_itself_has_nothing_to_show_and_nothing_to_undo() -> None:
    outcome = carry_out(Plan([Rescan()]), check_mode=True)
    assert (outcome.diff(), list(outcome.actions)) == ({"before": {}, "after": {}}, ["rescan"])


def test_a_step_without_an_undo_does_not_keep_those_before_it() -> None:
    world: list[str] = []
    with pytest.raises(StepFailed, match="undone: put a") as told:
        Plan([Put(world, "a"), Rescan(), Put(world, "b", "refused")]).run()
    assert world == []
    assert "rescan" not in str(told.value)


def test_a_lost_answer_is_settled_by_reading_back() -> None:
    assert Put(["a"], "a").settled()
    assert not Put([], "a").settled()


@dataclass
class Slow(Put):
    """A change on which the system still works when the answer is lost."""

    def settle(self) -> None:
        if self.trouble == "never at rest":
            raise TimedOut("it is still busy")
        self.world.append(self.word)


def test_a_lost_answer_is_read_back_only_when_the_system_has_come_to_rest() -> None:
    assert Slow([], "a").settled()
    assert not Slow(["a"], "a", "never at rest").settled()


def test_a_lost_answer_of_what_was_not_done_stops_the_plan() -> None:
    world: list[str] = []
    with pytest.raises(StepFailed, match=r"Could not put a: the connection was lost"):
        plan_of(world, ("a", "lost before"), ("b", "")).run()
    assert world == []


def test_nothing_to_do_is_a_plan_too() -> None:
    assert carry_out(Plan(), check_mode=False).changed is False


def test_two_plans_are_one_after_the_other() -> None:
    world: list[str] = []
    both = Plan([Put(world, "a")], ["first"]) + Plan([Put(world, "b")], ["second"])
    outcome = carry_out(both, check_mode=False)
    assert (world, list(outcome.actions), list(outcome.warnings)) == (["a", "b"], ["put a", "put b"], ["first", "second"])


def test_a_reason_that_is_a_sentence_has_one_full_stop() -> None:
    class Wordy(Put):
        def do(self) -> None:
            raise RemoteError("The world is full.")

    with pytest.raises(StepFailed) as told:
        Plan([Wordy([], "a")]).run()
    assert str(told.value) == "Could not put a: The world is full."


def test_a_diff_has_the_last_word_on_what_is_no_group_of_values() -> None:
    class Named(Put):
        def before(self) -> dict[str, object]:
            return {"name": None, "words": {self.word: False}}

        def after(self) -> dict[str, object]:
            return {"name": self.word if self.word == "a" else {"first": self.word}, "words": {self.word: True}}

    world: list[str] = []
    outcome = carry_out(Plan([Named(world, "a"), Named(world, "b")]), check_mode=True)
    assert outcome.diff()["after"] == {"name": {"first": "b"}, "words": {"a": True, "b": True}}
    backwards = carry_out(Plan([Named(world, "b"), Named(world, "a")]), check_mode=True)
    assert backwards.diff()["after"]["name"] == "a"


@dataclass
class Look(Guard):
    """Looks at the world, and stops the plan when it holds a word."""

    world: list[str]
    forbidden: str = ""
    looks: int = 0
    title: str = "look"

    def look(self) -> None:
        self.looks += 1
        if self.forbidden in self.world:
            raise RemoteError(f"{self.forbidden} has come")


def test_a_guard_looks_before_what_is_still_to_do_and_is_no_change_itself() -> None:
    world: list[str] = []
    look = Look(world, "x")
    outcome = carry_out(Plan([look, Put(world, "a")]), check_mode=False)
    assert (outcome.actions, look.looks) == (["put a"], 1)


def test_a_guard_looks_after_what_was_done() -> None:
    world: list[str] = []
    look = Look(world, "a")
    with pytest.raises(StepFailed, match="Could not look: a has come; undone: put a"):
        carry_out(Plan([Put(world, "a"), look]), check_mode=False)
    assert world == []


def test_a_guard_stops_the_plan_and_takes_back_what_was_done() -> None:
    world: list[str] = []
    with pytest.raises(StepFailed, match="a has come"):
        carry_out(Plan([Put(world, "a"), Look(world, "a"), Put(world, "b")]), check_mode=False)
    assert world == []


def test_a_guard_does_not_look_where_nothing_is_to_do_or_only_told() -> None:
    world = ["a"]
    look = Look(world, "a")
    assert not carry_out(Plan([look, Put(world, "a"), look]), check_mode=False).changed
    assert carry_out(Plan([look, Put(world, "b"), look]), check_mode=True).actions == ["put b"]
    assert look.looks == 0


@dataclass
class Try(Attempt):
    """Puts a word into the world, and finds out only then whether it was missing."""

    world: list[str]
    word: str
    title: str = "try"

    def do(self) -> None:
        self.found = self.word not in self.world
        self.world.append(self.word)


def test_an_attempt_counts_as_a_change_when_it_found_something_to_do() -> None:
    world: list[str] = []
    plan = Plan([Try(world, "a"), Try(world, "a")])
    assert (plan.pending(), len(plan.run()), world) == ([], 1, ["a", "a"])


def test_check_mode_makes_no_attempt() -> None:
    world: list[str] = []
    assert not carry_out(Plan([Try(world, "a")]), check_mode=True).changed
    assert world == []


def test_to_do_a_guard_is_to_look() -> None:
    look = Look([])
    look.do()
    assert look.looks == 1


def test_an_attempt_that_says_nothing_has_found_nothing() -> None:
    class Silent(Attempt):
        title = "look for something to do"

        def do(self) -> None:
            pass

    assert Plan([Silent()]).run() == []


def test_one_step_without_a_way_back_is_enough_not_to_plan_anew() -> None:
    world: list[str] = []
    steps = [Put(world, "a"), Put(world, "b"), Put(world, "c", "overtaken")]
    steps[0].final = True
    with pytest.raises(StepFailed) as failure:
        Plan(steps).run()
    assert not failure.value.overtaken


@dataclass
class EarlyLook(Look):
    """Looks at what no step of the plan changes."""

    early = True


def test_check_mode_asks_the_guards_that_need_nothing_done_and_no_others() -> None:
    world: list[str] = ["x"]
    early, late = EarlyLook(world, "y"), Look(world, "y")
    assert carry_out(Plan([Put(world, "a"), early, late]), check_mode=True).actions == ["put a"]
    assert (early.looks, late.looks) == (1, 0)
    with pytest.raises(StepFailed, match=r"^Could not look: x has come\.$"):
        carry_out(Plan([EarlyLook(world, "x"), Put(world, "a")]), check_mode=True)
    assert world == ["x"]


def test_where_nothing_is_to_be_done_check_mode_asks_no_guard() -> None:
    early = EarlyLook(["x"], "x")
    assert not carry_out(Plan([early, Put(["a"], "a")]), check_mode=True).changed
    assert early.looks == 0


@dataclass
class PutInParts(Put):
    """Puts a word and then what is refused, or is not answered."""

    second: type[CrossvisorError] = RemoteError

    def do(self) -> None:
        with self.all_or_nothing():
            self.world.append(self.word)
            raise self.second("the world is full.")


def test_of_a_change_that_is_refused_in_the_middle_nothing_is_left() -> None:
    world: list[str] = []
    with pytest.raises(StepFailed, match=r"^Could not put a: the world is full\.$"):
        Plan([PutInParts(world, "a")]).run()
    assert world == []


def test_a_part_that_cannot_be_taken_back_is_told_after_what_went_wrong_first() -> None:
    world: list[str] = []
    told = r"^Could not put a: the world is full; what it had done before could not be undone and is left as it is \(it does not move\)\.$"
    with pytest.raises(StepFailed, match=told):
        Plan([PutInParts(world, "a", "stuck")]).run()
    assert world == ["a"]


def test_what_was_begun_in_parts_and_not_answered_is_left_to_the_plan() -> None:
    world: list[str] = []
    step = PutInParts(world, "a", second=OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        step.do()
    assert world == ["a"]
    assert len(Plan([PutInParts([], "a", second=OutcomeUnknown)]).run()) == 1


def test_a_part_of_which_nobody_knows_whether_it_was_taken_back_is_looked_at_again() -> None:
    class Lost(PutInParts):
        def undo(self) -> None:
            raise OutcomeUnknown("the connection was lost")

    with pytest.raises(OutcomeUnknown, match=r"^the world is full; what it had done .* \(the connection was lost\)$"):
        Lost([], "a").do()
