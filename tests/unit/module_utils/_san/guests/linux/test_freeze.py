# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems on LUNs are frozen all or not at all, and never stay so: by the note of whoever froze them, and by a process of its own."""

from __future__ import annotations

import errno
import json
import os
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import CrossvisorError, NotFound, Refused, TimedOut
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.freeze import Freezer, Ice
from tests.unit.module_utils._san.guests.linux.guest import NAME, OTHER, Attached, PlayedKernel
from tests.unit.module_utils._san.linux.machines import plant

LUN, SECOND = Attached("2:0:0:1", "sdb"), Attached("2:0:0:2", "sdc", OTHER)
MOUNTS = (
    "31 1 8:16 / /srv/data rw - xfs /dev/sdb rw\n32 1 8:16 / /srv/again rw - xfs /dev/sdb rw\n33 1 8:32 / /srv/log rw - ext4 /dev/sdc rw\n"
)


@dataclass
class PlayedIce(Ice):
    """A kernel that freezes what it is told, unless it shall not."""

    frozen: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    hanging: str = ""
    ended: str = ""
    meanwhile: Callable[[], object] = lambda: None
    """What happens after the first was frozen, and before the second is."""
    later: list[Callable[[], object]] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=lambda: {"/": 1, "/srv/data": 16, "/srv/again": 16, "/srv/log": 32})

    def freeze(self, mount: str) -> None:
        self.told.append(f"freeze {mount}")
        if mount in self.refusals:
            raise OSError(self.refusals[mount], "refused")
        self.frozen.append(mount)

    def thaw(self, mount: str) -> None:
        self.told.append(f"thaw {mount}")
        if mount not in self.frozen:
            raise OSError(errno.EINVAL, "not frozen")
        self.frozen.remove(mount)

    def number(self, path: str) -> int | None:
        return self.numbers.get(path)

    def apart(self, work: Callable[[], object]) -> int:
        self.told.append("begin the process that thaws")
        self.later.append(work)
        return 1

    def in_time(self, work: Callable[[], object], undo: Callable[[], object], seconds: float) -> str:
        if self.frozen:
            self.meanwhile()
        try:
            work()
        except OSError as error:
            return f"{error.errno} {error.strerror}"
        mount = self.frozen[-1]
        if mount == self.ended:
            raise ChildProcessError
        if mount == self.hanging:
            undo()
            raise TimeoutError
        return ""

    def sleep(self, seconds: float) -> None:
        self.told.append(f"sleep {seconds:g}")


@pytest.fixture
def ice() -> PlayedIce:
    return PlayedIce()


@pytest.fixture
def freezer(tmp_path: Path, ice: PlayedIce) -> Freezer:
    kernel = PlayedKernel(tmp_path / "guest", LUN, SECOND)
    kernel.show(LUN)
    kernel.show(SECOND)
    plant(
        tmp_path / "guest",
        {"/proc/self/mountinfo": MOUNTS, "/proc/1/mountinfo": MOUNTS, "/sys/block/sdb/dev": "8:16", "/sys/block/sdc/dev": "8:32"},
    )
    return Freezer(kernel.tree, ice, tmp_path / "note")


def test_each_file_system_is_frozen_once_after_the_process_that_thaws_it_was_begun(freezer: Freezer, ice: PlayedIce) -> None:
    assert [one.mount for one in freezer.freeze([NAME, OTHER, NAME], 30, 5)] == ["/srv/data", "/srv/log"]
    assert ice.told == ["begin the process that thaws", "freeze /srv/data", "freeze /srv/log"]


def test_what_was_frozen_is_let_go_and_was_held_until_then(freezer: Freezer, ice: PlayedIce) -> None:
    freezer.freeze([NAME, OTHER], 30, 5)
    assert freezer.thaw() == (["/srv/data", "/srv/log"], True)
    assert (ice.frozen, freezer.thaw()) == ([], ([], True))


def test_what_was_let_go_before_is_told(freezer: Freezer, ice: PlayedIce) -> None:
    freezer.freeze([NAME], 30, 5)
    ice.frozen.clear()
    assert freezer.thaw() == (["/srv/data"], False)


def test_a_run_that_was_killed_leaves_nothing_frozen_for_long(freezer: Freezer, ice: PlayedIce) -> None:
    freezer.freeze([NAME, OTHER], 30, 5)
    ice.later[0]()
    assert (ice.told[3], ice.frozen) == ("sleep 30", [])


def test_who_comes_after_the_guest_let_go_by_itself_is_told_and_touches_nothing(freezer: Freezer, ice: PlayedIce, tmp_path: Path) -> None:
    freezer.freeze([NAME], 30, 5)
    ice.later[0]()
    ice.frozen.append("/srv/data")  # by somebody else
    assert freezer.thaw() == ([], False)
    assert (ice.frozen, (tmp_path / "note").exists(), freezer.thaw()) == (["/srv/data"], False, ([], True))


def test_the_process_of_an_earlier_run_thaws_nothing_of_a_later_one(freezer: Freezer, ice: PlayedIce) -> None:
    freezer.freeze([NAME], 30, 5)
    freezer.thaw()
    freezer.freeze([OTHER], 30, 5)
    ice.later[0]()
    assert ice.frozen == ["/srv/log"]
    ice.later[1]()
    assert ice.frozen == []


def test_what_an_earlier_run_has_frozen_is_thawed_first(freezer: Freezer, ice: PlayedIce) -> None:
    freezer.freeze([NAME], 30, 5)
    with pytest.raises(Refused, match=r"are frozen by an earlier run .*: thaw them first"):
        freezer.freeze([OTHER], 30, 5)
    freezer.thaw()
    assert freezer.freeze([OTHER], 30, 5)
    assert ice.frozen == ["/srv/log"]


@pytest.mark.parametrize(
    ("number", "error", "sentence"),
    [
        (errno.EBUSY, Refused, "is frozen already, by somebody else"),
        (errno.EOPNOTSUPP, Refused, "is of a kind that cannot be frozen"),
        (errno.EPERM, CrossvisorError, "Only root may freeze /srv/log"),
        (errno.EIO, CrossvisorError, "could not be frozen: refused"),
    ],
)
def test_where_one_cannot_be_frozen_none_stays_so(
    freezer: Freezer, ice: PlayedIce, tmp_path: Path, number: int, error: type[Exception], sentence: str
) -> None:
    ice.refusals["/srv/log"] = number
    with pytest.raises(error, match=sentence):
        freezer.freeze([NAME, OTHER], 30, 5)
    assert (ice.frozen, (tmp_path / "note").exists()) == ([], False)


def test_a_freeze_that_hangs_is_told_and_the_rest_is_let_go(freezer: Freezer, ice: PlayedIce) -> None:
    ice.hanging = "/srv/log"
    with pytest.raises(TimedOut, match=r"at /srv/log \(/dev/sdc\) was not frozen within 5 s"):
        freezer.freeze([NAME, OTHER], 30, 5)
    assert ice.frozen == []


def test_one_whose_process_was_ended_may_be_frozen_and_is_let_go(freezer: Freezer, ice: PlayedIce) -> None:
    ice.ended = "/srv/log"
    with pytest.raises(CrossvisorError, match=r"at /srv/log \(/dev/sdc\) was not frozen, because the process for it was ended"):
        freezer.freeze([NAME, OTHER], 30, 5)
    assert ice.frozen == []


def test_what_is_frozen_after_the_guest_let_go_by_itself_is_let_go_too(freezer: Freezer, ice: PlayedIce) -> None:
    def let_go() -> None:
        ice.later[0]()

    ice.meanwhile = let_go
    with pytest.raises(TimedOut, match=r"were let go before the one at /srv/log \(/dev/sdc\) was frozen, .* after 30 s"):
        freezer.freeze([NAME, OTHER], 30, 5)
    assert ice.frozen == []


def test_the_guest_notes_that_it_lets_go_before_it_does(
    freezer: Freezer, ice: PlayedIce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[bool] = []
    note = tmp_path / "note"
    monkeypatch.setattr(ice, "thaw", lambda _mount: noted.append("let go by itself" in json.loads(note.read_text())))
    freezer.freeze([NAME, OTHER], 30, 5)
    ice.later[0]()
    assert noted == [True, True]


def test_who_freezes_is_let_go_by_another_run_and_told(freezer: Freezer, ice: PlayedIce) -> None:
    ice.meanwhile = freezer.thaw
    with pytest.raises(TimedOut, match="by another run"):
        freezer.freeze([NAME, OTHER], 30, 5)
    assert ice.frozen == []


def test_a_run_lets_go_of_nothing_that_another_one_holds(freezer: Freezer, ice: PlayedIce) -> None:
    freezer.freeze([NAME], 30, 5)
    first = freezer.mark
    freezer.thaw()
    assert freezer.thaw(first) == ([], False)
    freezer.freeze([OTHER], 30, 5)
    assert freezer.thaw(first) == ([], False)
    assert ice.frozen == ["/srv/log"]
    assert freezer.thaw(freezer.mark) == (["/srv/log"], True)


@pytest.mark.parametrize("place", ["/var/log/audit", "/var/log/journal"])
def test_where_linux_notes_who_logs_in_nothing_is_frozen(freezer: Freezer, ice: PlayedIce, place: str) -> None:
    ice.numbers[place] = 32
    with pytest.raises(Refused, match=f"holds {place}"):
        freezer.freeze([OTHER], 30, 5)


def test_a_file_system_that_linux_writes_to_is_not_frozen_from_within(freezer: Freezer, ice: PlayedIce) -> None:
    ice.numbers["/tmp"] = 32
    with pytest.raises(Refused, match=r"at /srv/log \(/dev/sdc, LUN .*\) holds /tmp, to which Linux or Ansible writes"):
        freezer.freeze([NAME, OTHER], 30, 5)
    assert ice.told == []


def test_what_another_file_system_covers_is_not_frozen_and_neither_is_that(freezer: Freezer, ice: PlayedIce, tmp_path: Path) -> None:
    covered = MOUNTS + "34 33 0:40 / /srv/log rw - tmpfs tmpfs rw\n"
    plant(tmp_path / "guest", {"/proc/self/mountinfo": covered, "/proc/1/mountinfo": covered})
    with pytest.raises(Refused, match=r"at /srv/log \(/dev/sdc, LUN .*\) is covered by another one \(tmpfs\)"):
        freezer.freeze([NAME, OTHER], 30, 5)
    assert ice.told == []


def test_a_lun_that_is_not_there_is_told_before_anything_is_frozen(tmp_path: Path, ice: PlayedIce) -> None:
    kernel = PlayedKernel(tmp_path / "guest")
    with pytest.raises(NotFound, match="This machine does not see LUN"):
        Freezer(kernel.tree, ice, tmp_path / "note").freeze([NAME], 30, 5)
    assert ice.told == []


def test_a_lun_without_a_mounted_file_system_has_nothing_to_freeze(tmp_path: Path, ice: PlayedIce) -> None:
    kernel = PlayedKernel(tmp_path / "guest", LUN)
    kernel.show(LUN)
    assert Freezer(kernel.tree, ice, tmp_path / "note").freeze([NAME], 30, 5) == []
    assert ice.told == []


def test_nothing_is_frozen_without_a_note(tmp_path: Path, freezer: Freezer, ice: PlayedIce) -> None:
    (tmp_path / "note").symlink_to("/nowhere/at/all")
    with pytest.raises(CrossvisorError, match="cannot be written, which must be before anything is frozen"):
        freezer.freeze([NAME], 30, 5)
    assert ice.frozen == []


def test_a_note_that_is_none_lets_go_of_nothing(tmp_path: Path, freezer: Freezer) -> None:
    (tmp_path / "note").write_text(json.dumps(["/"]))
    assert freezer.thaw() == ([], True)


class TestAProcessOfItsOwn:
    def test_tells_what_it_failed_with_or_nothing(self, tmp_path: Path) -> None:
        def fail() -> None:
            raise OSError(errno.EBUSY, "busy")

        assert Ice().in_time(fail, (tmp_path / "undone").touch, 10) == f"{errno.EBUSY} busy"
        assert Ice().in_time(lambda: None, (tmp_path / "undone").touch, 10) == ""
        assert not (tmp_path / "undone").exists()

    def test_undoes_what_it_has_done_when_nobody_waits_for_it_any_more(self, tmp_path: Path) -> None:
        waiting, undone = tmp_path / "waiting", tmp_path / "undone"
        os.mkfifo(waiting)
        os.mkfifo(undone)
        with pytest.raises(TimeoutError):
            Ice().in_time(waiting.read_text, lambda: undone.write_text("thawed"), 0)
        told = os.open(undone, os.O_RDONLY | os.O_NONBLOCK)
        waiting.write_text("what it waited for has come to its end")
        assert select.select([told], [], [], 10)[0] == [told]
        os.close(told)

    def test_is_known_to_have_ended_without_a_word(self) -> None:
        with pytest.raises(ChildProcessError):
            Ice().in_time(lambda: os._exit(9), lambda: None, 10)
