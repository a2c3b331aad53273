# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest is held still whole or not at all, and never stays so: by the note of whoever froze it, and by a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import ending
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    ConnectionFailed,
    CrossvisorError,
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
    TimedOut,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.hypervisors.base import FreezeNote, GuestFileSystem
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import VirtualMachine
from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.guest_freeze import GuestFreeze, Released
from tests.unit.ports import NAME, MemoryHypervisor

TWO = (GuestFileSystem(str(NAME.naa), "sda1", "/srv/data"), GuestFileSystem(str(NAME.naa), "sda2", "/srv/log"))


@dataclass
class PlayedAgent:
    """An agent that holds still what it is told to, unless it shall not."""

    there: Sequence[GuestFileSystem] = TWO
    kept: FreezeNote | None = None
    frozen: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    refusal: CrossvisorError | None = None
    before_refusal: Callable[[], object] = lambda: None
    """What happens right before it refuses."""
    freezes_all_the_same: bool = False
    unable: Sequence[str] = ()
    deaf: bool = False
    meanwhile: Callable[[], object] = lambda: None
    """What happens right after it has frozen them."""

    def file_systems(self, names: Sequence[ScsiName]) -> list[GuestFileSystem]:
        if self.frozen:
            raise Refused("They are frozen already.")
        return list(self.there)

    def freeze(self, mounts: Sequence[str], seconds: float) -> int:
        self.told.append(f"freeze {' '.join(mounts)}")
        if not self.refusal or self.freezes_all_the_same:
            self.frozen = [mount for mount in mounts if mount not in self.unable]
        if self.refusal:
            self.before_refusal()
            raise self.refusal
        held = len(self.frozen)
        self.meanwhile()
        return held

    def thaw(self, seconds: float) -> int:
        self.told.append("thaw")
        if self.deaf:
            raise OutcomeUnknown("It does not answer.")
        count, self.frozen = len(self.frozen), []
        return count

    def noted(self) -> FreezeNote | None:
        return self.kept

    def note(self, note: FreezeNote) -> None:
        self.told.append("note")
        self.kept = note

    def forget(self) -> None:
        self.kept = None


@dataclass
class Scene:
    """An agent, and what was begun that lets go later."""

    agent: PlayedAgent = field(default_factory=PlayedAgent)
    later: list[Callable[[], object]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    awake: Callable[[], object] = lambda: None
    """What happens while the process that lets go sleeps."""

    @property
    def task(self) -> GuestFreeze:
        """One more task about the same VM."""
        hypervisor = MemoryHypervisor(machines=[VirtualMachine("vm-1", "app")], guest_agent=self.agent)

        def begin(work: Callable[[], object]) -> int:
            self.agent.told.append("begin the process that thaws")
            self.later.append(work)
            return 1

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.awake()

        return GuestFreeze(lambda: hypervisor, "app", 15, begin, sleep)

    def time_is_over(self) -> None:
        """The process that was begun does what it was begun for."""
        (work,) = self.later
        work()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_note_and_a_process_that_thaws_are_there_before_anything_is_frozen(scene: Scene) -> None:
    held = scene.task.freeze([NAME], 30)
    assert scene.agent.told == ["note", "begin the process that thaws", "freeze /srv/data /srv/log", "note"]
    assert (held.file_systems, scene.agent.kept) == (list(TWO), FreezeNote(held.mark, 2))


def test_what_is_let_go_in_time_was_held(scene: Scene) -> None:
    mark = scene.task.freeze([NAME], 30).mark
    assert scene.task.thaw(mark) == Released(changed=True, held=True)
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)
    assert scene.task.thaw(mark) == Released(changed=False, held=False)
    assert scene.task.thaw() == Released(changed=False, held=True)


def test_what_is_killed_is_let_go_by_the_process_and_was_not_held(scene: Scene) -> None:
    mark = scene.task.freeze([NAME], 30).mark
    scene.time_is_over()
    assert (scene.agent.frozen, scene.agent.kept, scene.slept) == ([], None, [30, 10])
    assert scene.task.thaw(mark) == Released(changed=False, held=False)


def test_what_is_killed_is_let_go_by_the_next_run_too(scene: Scene) -> None:
    scene.task.freeze([NAME], 30)
    assert scene.task.thaw() == Released(changed=True, held=True)
    assert scene.agent.frozen == []


def test_the_process_leaves_alone_what_another_run_holds(scene: Scene) -> None:
    scene.task.freeze([NAME], 30)
    scene.task.thaw()
    mine = scene.later.copy()
    scene.task.freeze([NAME], 30)
    mine[0]()
    assert scene.agent.frozen == ["/srv/data", "/srv/log"]


def test_the_process_tries_again_where_the_agent_does_not_answer(scene: Scene) -> None:
    scene.task.freeze([NAME], 30)
    scene.agent.deaf = True

    def hears_again() -> None:
        scene.agent.deaf = len(scene.slept) < 4

    scene.awake = hears_again
    scene.time_is_over()
    assert (scene.agent.frozen, scene.slept) == ([], [30, 10, 10, 10, 10])


def test_the_process_does_not_try_for_ever(scene: Scene) -> None:
    scene.task.freeze([NAME], 30)
    scene.agent.deaf = True
    scene.time_is_over()
    assert len(scene.slept) == 61


def test_another_run_lets_go_only_of_its_own(scene: Scene) -> None:
    scene.task.freeze([NAME], 30)
    assert scene.task.thaw("0123456789abcdef") == Released(changed=False, held=False)
    assert scene.agent.frozen == ["/srv/data", "/srv/log"]


def test_what_an_earlier_run_holds_is_thawed_first(scene: Scene) -> None:
    scene.task.freeze([NAME], 30)
    with pytest.raises(Refused, match="The guest of VM app is held still by an earlier run: thaw it first"):
        scene.task.freeze([NAME], 30)


def test_what_was_thawed_behind_the_back_of_the_run_was_not_held(scene: Scene) -> None:
    mark = scene.task.freeze([NAME], 30).mark
    scene.agent.frozen.pop()
    assert scene.task.thaw(mark) == Released(changed=True, held=False)


def test_a_run_that_was_killed_before_it_knew_what_is_frozen_has_held_nothing(scene: Scene) -> None:
    scene.agent.kept = FreezeNote("0123456789abcdef")
    scene.agent.frozen = ["/srv/data"]
    assert scene.task.thaw() == Released(changed=True, held=False)
    assert scene.agent.frozen == []


def test_an_agent_that_refuses_has_frozen_nothing_and_is_not_told_to_thaw_what_others_have(scene: Scene) -> None:
    scene.agent.refusal = RemoteError("Command guest-fsfreeze-freeze-list has been disabled.")
    with pytest.raises(RemoteError, match="has been disabled"):
        scene.task.freeze([NAME], 30)
    assert (scene.agent.kept, "thaw" in scene.agent.told) == (None, False)


@pytest.fixture
def overtaken(scene: Scene) -> Scene:
    """A run whose freeze is refused, because another one has frozen the guest since it was looked at."""
    scene.agent.refusal = RemoteError("Command guest-fsfreeze-freeze-list has been disabled.")
    return scene


def test_a_freeze_that_is_refused_leaves_the_note_of_another_run(overtaken: Scene) -> None:
    agent = overtaken.agent
    agent.before_refusal = lambda: agent.note(FreezeNote("0123456789abcdef", 2))
    with pytest.raises(RemoteError, match="has been disabled"):
        overtaken.task.freeze([NAME], 30)
    assert agent.kept == FreezeNote("0123456789abcdef", 2)


def test_a_freeze_that_is_refused_because_the_guest_is_frozen_by_then_is_let_go_later(overtaken: Scene) -> None:
    agent = overtaken.agent
    agent.before_refusal = lambda: agent.frozen.append("/srv/data")
    with pytest.raises(RemoteError, match="has been disabled"):
        overtaken.task.freeze([NAME], 30)
    assert "thaw" not in agent.told
    overtaken.time_is_over()
    assert (agent.frozen, agent.kept) == ([], None)


def test_a_freeze_that_hangs_is_taken_back(scene: Scene) -> None:
    scene.agent.refusal, scene.agent.freezes_all_the_same = OutcomeUnknown("It does not answer."), True
    with pytest.raises(TimedOut, match=r"VM app are not held still, because its agent has not said within 15 s that they are \(It does"):
        scene.task.freeze([NAME], 30)
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


def test_a_freeze_that_hangs_for_good_is_told_and_taken_back_by_the_process(scene: Scene) -> None:
    scene.agent.refusal, scene.agent.freezes_all_the_same, scene.agent.deaf = OutcomeUnknown("No answer."), True, True
    with pytest.raises(OutcomeUnknown, match=r"nobody can tell whether .* are frozen.*told so again after 30 s, and by the next run"):
        scene.task.freeze([NAME], 30)
    scene.agent.deaf = False
    scene.time_is_over()
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


def test_what_cannot_all_be_frozen_is_let_go(scene: Scene) -> None:
    scene.agent.unable = ["/srv/log"]
    with pytest.raises(Refused, match=r"Of the 2 file systems of VM app .* could hold 1 still, and has let go of them: another is frozen"):
        scene.task.freeze([NAME], 30)
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


def test_a_freeze_that_the_process_overtakes_is_taken_back(scene: Scene) -> None:
    scene.agent.meanwhile = scene.agent.forget
    with pytest.raises(TimedOut, match="were let go before all of them were frozen, by another run or after 30 s"):
        scene.task.freeze([NAME], 30)
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


@dataclass
class Forgetful(PlayedAgent):
    """An agent with whose VM nothing can be noted once its guest is frozen, as while libvirt is at something else with it."""

    def note(self, note: FreezeNote) -> None:
        if self.frozen:
            raise RemoteError("cannot acquire state change lock.")
        super().note(note)


def test_what_cannot_be_noted_to_be_frozen_is_let_go_at_once() -> None:
    scene = Scene(Forgetful())
    told = r"VM app are not held still, because that they are could not be noted \(cannot acquire .* lock\), and its agent has let go of"
    with pytest.raises(RemoteError, match=told):
        scene.task.freeze([NAME], 30)
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


def test_what_can_neither_be_noted_nor_let_go_of_is_let_go_of_by_the_process() -> None:
    scene = Scene(Forgetful(deaf=True))
    with pytest.raises(OutcomeUnknown, match=r"because that they are could not be noted .*told so again after 30 s, and by the next run"):
        scene.task.freeze([NAME], 30)
    scene.agent.deaf = False
    scene.time_is_over()
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


def test_the_process_lets_go_of_what_was_noted_after_it_had_let_go(scene: Scene) -> None:
    mark = scene.task.freeze([NAME], 30).mark

    def noted_late() -> None:
        if len(scene.slept) == 2:
            scene.agent.kept, scene.agent.frozen = FreezeNote(mark, 2), ["/srv/data", "/srv/log"]

    scene.awake = noted_late
    scene.time_is_over()
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


def test_where_nothing_is_mounted_nothing_is_begun(scene: Scene) -> None:
    scene.agent.there = ()
    held = scene.task.freeze([NAME], 30)
    assert (held.file_systems, held.mark, scene.agent.told) == ([], "", [])


def test_a_vm_that_is_not_there_is_told() -> None:
    with pytest.raises(NotFound, match="There is no VM 'nope'"):
        GuestFreeze(MemoryHypervisor, "nope", 15).look([NAME])


@pytest.mark.parametrize("failure", [ConnectionFailed("No route."), ValueError("No failure of ours.")])
def test_a_hypervisor_that_does_not_answer_leaves_the_process_trying(scene: Scene, failure: Exception) -> None:
    scene.task.freeze([NAME], 30)
    tried: list[int] = []

    def log_in() -> MemoryHypervisor:
        tried.append(1)
        raise failure

    GuestFreeze(log_in, "app", 15, sleep=lambda _seconds: None)._let_go_later("mark", 30)
    assert len(tried) == 60


@dataclass
class Signalled(PlayedAgent):
    """An agent while whose n-th order, right before it is carried out or right after, whoever asks is told to end by a real signal."""

    orders: int = 0
    last: int = 0
    after: bool = False

    def _carried_out(self, order: Callable[[], int | None]) -> int:
        self.orders += 1
        now = self.orders == self.last
        if now and not self.after:
            signal.raise_signal(signal.SIGTERM)
        count = order()
        if now and self.after:
            signal.raise_signal(signal.SIGTERM)
        return count or 0

    def freeze(self, mounts: Sequence[str], seconds: float) -> int:
        return self._carried_out(lambda: super(Signalled, self).freeze(mounts, seconds))

    def thaw(self, seconds: float) -> int:
        return self._carried_out(lambda: super(Signalled, self).thaw(seconds))

    def note(self, note: FreezeNote) -> None:
        self._carried_out(lambda: super(Signalled, self).note(note))

    def forget(self) -> None:
        self._carried_out(super().forget)


@pytest.mark.parametrize("after", [False, True], ids=["before it is done", "after it was done"])
@pytest.mark.parametrize("last", range(1, 6))
def test_a_run_that_a_signal_ends_at_any_order_lets_go_at_once(last: int, after: bool) -> None:
    scene = Scene(Signalled(last=last, after=after))
    with pytest.raises(ending.Ended), ending.as_exception():
        held_and_released(scene.task)
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


def test_a_run_that_a_signal_ends_while_it_logs_out_lets_go_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryHypervisor, "close", lambda _self: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(ending.Ended), ending.as_exception():
        scene.task.freeze([NAME], 30)
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


def test_a_run_that_a_signal_ends_lets_go_later_where_the_agent_does_not_hear(scene: Scene) -> None:
    scene.agent.meanwhile, scene.agent.deaf = lambda: signal.raise_signal(signal.SIGTERM), True
    with pytest.raises(ending.Ended), ending.as_exception():
        scene.task.freeze([NAME], 30)
    scene.agent.deaf = False
    scene.time_is_over()
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Mortal(PlayedAgent):
    """An agent that sees whoever asks it die right before its n-th order is carried out, or right after."""

    orders: int = 0
    last: int = 0
    after: bool = False

    def _carried_out(self, order: Callable[[], int | None]) -> int:
        self.orders += 1
        if self.orders == self.last and not self.after:
            raise Killed
        count = order()
        if self.orders == self.last:
            raise Killed
        return count or 0

    def freeze(self, mounts: Sequence[str], seconds: float) -> int:
        return self._carried_out(lambda: super(Mortal, self).freeze(mounts, seconds))

    def thaw(self, seconds: float) -> int:
        return self._carried_out(lambda: super(Mortal, self).thaw(seconds))

    def note(self, note: FreezeNote) -> None:
        self._carried_out(lambda: super(Mortal, self).note(note))

    def forget(self) -> None:
        self._carried_out(super().forget)


def held_and_released(task: GuestFreeze) -> Released:
    return task.thaw(task.freeze([NAME], 30).mark)


@pytest.mark.parametrize("after", [False, True], ids=["before it is done", "after it was done"])
@pytest.mark.parametrize("last", range(1, 6))
@pytest.mark.parametrize("who", ["the next run", "the process that thaws"])
def test_a_run_that_is_killed_at_any_order_leaves_nothing_frozen(last: int, after: bool, who: str) -> None:
    scene = Scene(Mortal(last=last, after=after))
    with pytest.raises(Killed):
        held_and_released(scene.task)
    for work in scene.later if who == "the process that thaws" else [scene.task.thaw]:
        work()
    assert scene.agent.frozen == []
    scene.task.thaw()
    assert held_and_released(scene.task) == Released(changed=True, held=True)
    assert (scene.agent.frozen, scene.agent.kept) == ([], None)


def test_a_run_gives_no_more_orders_than_these() -> None:
    agent = Mortal()
    held_and_released(Scene(agent).task)
    assert agent.orders == 5
