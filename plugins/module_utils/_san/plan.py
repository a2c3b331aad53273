# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change as a list of steps: idempotence, check mode, diff and crash safety from one idea.

A backend observes the system once and returns the steps that lead to the wish. A step knows from that observation
whether it is already done, can do itself, reads the result back, and can undo itself. Nothing is stored between runs:
a run after a crash observes the world again and goes on from there.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ansible_collections.crossvisor.san.plugins.module_utils._san import progress
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    CrossvisorError,
    OutcomeUnknown,
    Overtaken,
    RemoteError,
    StepFailed,
)

T = TypeVar("T")


class Step(ABC):
    """One change to one object."""

    title: str
    """What the step does, naming the object, as a person would say it: `map LUN /vol/v/l to igroup g`."""
    final: bool = False
    """Once this was begun there is no way back, so that the steps before it stay done too: what is left has to go forward."""

    @abstractmethod
    def done(self) -> bool:
        """Tell whether the world, as it was observed or changed by earlier steps, already is as this step wants it."""

    @abstractmethod
    def do(self) -> None:
        """Make the change. Raises a `CrossvisorError`; `OutcomeUnknown` when the answer was lost."""

    def verify(self) -> None:
        """Read the result back from the system and raise a `CrossvisorError` when it is not what was asked."""

    def settle(self) -> None:
        """After a lost answer, wait until the system works on the change no more. Raises a `CrossvisorError` when that cannot be told."""

    def settled(self) -> bool:
        """After a lost answer, tell by a fresh read, once the system has come to rest, whether the change was carried out."""
        try:
            self.settle()
            self.verify()
        except CrossvisorError:
            return False
        return True

    def undo(self) -> None:
        """Take this run's change back, and only that. Raises a `CrossvisorError` when it cannot.

        Called for every step that ran, in reverse, and for one whose outcome is unknown: it must look before it acts.
        A step without an own implementation leaves nothing that needs undoing (a rescan, for instance).
        """

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Around a change of several parts: where one is refused, those before it are taken back. A lost answer is left to the plan."""
        try:
            yield
        except OutcomeUnknown:
            raise
        except CrossvisorError as error:
            self.take_back_because_of(error)
            raise

    def take_back_because_of(self, error: CrossvisorError) -> None:
        """Undo a part that was done before the rest was refused. Raises a `CrossvisorError` that tells of both where that fails."""
        with told_first(error, "what it had done before could not be undone and is left as it is"):
            self.undo()

    def before(self) -> Mapping[str, Any]:
        """The values that this step changes, as observed, for `--diff`."""
        return {}

    def after(self) -> Mapping[str, Any]:
        """The same values as they will be."""
        return {}


@contextmanager
def told_first(error: CrossvisorError, consequence: str) -> Iterator[None]:
    """Around what is done because of an error: where that fails too, the error is told first, then what follows from it, and why."""
    try:
        yield
    except CrossvisorError as second:
        kind = OutcomeUnknown if isinstance(second, OutcomeUnknown) else RemoteError
        raise kind(f"{_sentence(error)}; {consequence} ({_sentence(second)})") from error


class Guard(Step):
    """A last look, where it stands in a plan: what was true when the plan was made need not be true when the next step is done.

    It changes nothing and is never counted. It looks only in a plan that changes something, after what has to be done before it; what it
    raises stops the plan and takes back what was done so far.
    """

    early: bool = False
    """It needs nothing of what is done before it, so that check mode looks too."""

    @abstractmethod
    def look(self) -> None:
        """Ask the systems again. Raises a `CrossvisorError`, usually `Refused`, when the plan must not go on."""

    def done(self) -> bool:
        return True

    def do(self) -> None:
        self.look()


class Attempt(Step):
    """A step that only by being done finds out whether there was anything to do, because no system tells it before.

    Check mode does not know of it, and it counts as a change only when `found` says so afterwards. It has no undo.
    """

    found: bool = False

    def done(self) -> bool:
        return True


@dataclass
class Plan:
    """The steps from the observed world to the wished one, in the order that loses nothing."""

    steps: Sequence[Step] = field(default_factory=tuple)
    warnings: Sequence[str] = ()
    """What the user should know although nothing stands in the way, in one sentence each."""

    def pending(self) -> list[Step]:
        """The steps that have still to be done."""
        return [step for step in self.steps if not step.done()]

    def run(self) -> list[Step]:
        """Do and verify each pending step in order; return those that ran.

        Raises `StepFailed` when one fails, after the steps of this run were undone in reverse. A defect of ours
        (any other exception) passes through, but not before the undoing.
        """
        ran: list[Step] = []
        for position, step in enumerate(self.steps):
            progress.tell(step.title)
            try:
                if isinstance(step, Guard):
                    if ran or any(not later.done() for later in self.steps[position:]):
                        step.look()
                elif isinstance(step, Attempt):
                    step.do()
                    ran += [step] if step.found else []
                elif not step.done():
                    _do(step, ran)
                    step.verify()
            except CrossvisorError as error:
                raise _failure(step, error, ran) from error
            except Exception:
                _undo(ran)
                raise
        return ran

    def look_early(self) -> None:
        """What check mode can find out of what would stop a plan that changes something. Raises `StepFailed`; nothing is done."""
        early = [step for step in self.steps if isinstance(step, Guard) and step.early]
        for guard in early if self.pending() else ():
            try:
                guard.look()
            except CrossvisorError as error:
                raise _failure(guard, error, []) from error

    def __add__(self, other: Plan) -> Plan:
        return Plan([*self.steps, *other.steps], [*self.warnings, *other.warnings])


def _do(step: Step, ran: list[Step]) -> None:
    """Do one step and note that it ran; a lost answer counts as done when a fresh read says so.

    A defect of ours tells nothing of what the system did, so that what a final step needs stays.
    """
    try:
        step.do()
    except OutcomeUnknown:
        ran.append(step)
        if not step.settled():
            raise
    except CrossvisorError:
        raise
    except Exception:
        ran += [step] if step.final else []
        raise
    else:
        ran.append(step)


@dataclass
class _Undone:
    titles: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def _undo(ran: Sequence[Step]) -> _Undone:
    undone = _Undone()
    for step in itertools.takewhile(lambda step: not step.final, reversed(ran)):
        if type(step).undo is Step.undo:
            continue
        try:
            step.undo()
        except CrossvisorError as error:
            undone.failures.append(f"{step.title} ({_sentence(error)})")
        else:
            undone.titles.append(step.title)
    return undone


def _failure(step: Step, error: CrossvisorError, ran: Sequence[Step]) -> StepFailed:
    """Undo what ran, and tell all of it."""
    undone = _undo(ran)
    safe = isinstance(error, Overtaken) and not undone.failures and not any(done.final for done in ran)
    kept = [done.title for done in ran if done.title not in undone.titles]
    return StepFailed(_report(step, error, undone), safe, kept)


def _report(step: Step, error: CrossvisorError, undone: _Undone) -> str:
    parts = [f"Could not {step.title}: {_sentence(error)}"]
    if undone.titles:
        parts.append(f"undone: {', '.join(undone.titles)}")
    if undone.failures:
        parts.append(f"could not be undone and is left as it is: {', '.join(undone.failures)}")
    return "; ".join(parts) + "."


def _sentence(error: CrossvisorError) -> str:
    return str(error).rstrip(".")


@dataclass(frozen=True)
class Outcome:
    """What a module reports of a plan."""

    changed: bool
    actions: Sequence[str]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    warnings: Sequence[str] = ()

    def diff(self) -> dict[str, Any]:
        """The `diff` return value of an Ansible module."""
        return {"before": dict(self.before), "after": dict(self.after)}


def carry_out(plan: Plan, check_mode: bool) -> Outcome:
    """Run a plan, or in check mode only tell what would run. Raises `StepFailed`."""
    pending = plan.pending()
    before = _merged([step.before() for step in pending])
    after = _merged([step.after() for step in pending])
    if check_mode:
        plan.look_early()
    ran = pending if check_mode else plan.run()
    return Outcome(changed=bool(ran), actions=[step.title for step in ran], before=before, after=after, warnings=plan.warnings)


def read_back(outcome: Outcome, check_mode: bool, read: Callable[[], T]) -> T:
    """What `read` tells after a plan was carried out; when it fails although all was done, the error says both."""
    try:
        return read()
    except CrossvisorError as error:
        if check_mode or not outcome.changed:
            raise
        done = ", ".join(outcome.actions)
        raise StepFailed(f"All was done ({done}), but the result could not be read: {_sentence(error)}; run this task again.") from error


def _merged(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            known = merged.get(name)
            merged[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
