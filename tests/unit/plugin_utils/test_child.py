# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module in a fork: whatever it does to its process stays there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import progress
from ansible_collections.crossvisor.san.plugins.plugin_utils import _child
from ansible_collections.crossvisor.san.plugins.plugin_utils._child import Ended, Hear, run_in_child
from tests.processes import ended

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")]

Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a module whose `main` has this body."""
    monkeypatch.syspath_prepend(tmp_path)

    def call(body: str, environment: dict[str, str] | None = None, payload: bytes = b"{}", hear: Hear = lambda _text: None) -> Ended:
        name = f"module_of_{tmp_path.name}"
        sys.modules.pop(name, None)
        (tmp_path / f"{name}.py").write_text(f"import os, signal, sys, time\n\n\ndef main():\n{textwrap.indent(body, '    ')}\n")
        return run_in_child(name, payload, environment or {}, str(tmp_path), hear)

    return call


def until(there: Path) -> str:
    """What a module's body says to wait, a minute at most, until its parent has made a file."""
    return f"for _look in range(6000):\n    if os.path.exists({str(there)!r}): break\n    time.sleep(0.01)\nelse:\n    sys.exit(9)"


def test_what_it_prints_and_its_status_come_back(run: Run) -> None:
    assert run("print('out')\nprint('err', file=sys.stderr)\nsys.exit(3)") == Ended(3, b"out\n", b"err\n")


@pytest.mark.parametrize(("end", "status"), [("sys.exit()", 0), ("sys.exit(0)", 0), ("sys.exit('a text')", 1)])
def test_an_exit_is_told_as_a_shell_tells_it(run: Run, end: str, status: int) -> None:
    assert run(end).status == status


def test_more_than_a_pipe_holds_comes_back_whole(run: Run) -> None:
    ended = run("print('x' * 3_000_000)\nprint('y' * 3_000_000, file=sys.stderr)\nsys.exit(0)")
    assert (len(ended.stdout), len(ended.stderr)) == (3_000_001, 3_000_001)


def test_it_gets_its_arguments_as_every_module_does(run: Run) -> None:
    body = "from ansible.module_utils import basic\nprint(basic._ANSIBLE_ARGS.decode(), basic._ANSIBLE_PROFILE)\nsys.exit(0)"
    assert run(body, payload=b'{"a": 1}').stdout == b'{"a": 1} legacy\n'


def test_its_environment_and_directory_are_its_own(run: Run, tmp_path: Path) -> None:
    before = (dict(os.environ), Path.cwd())
    ended = run("print(os.environ['OF_THE_TASK'], os.getcwd())\nos.environ['HOME'] = '/'\nsys.exit(0)", {"OF_THE_TASK": "yes"})
    assert ended.stdout.decode() == f"yes {tmp_path}\n"
    assert (dict(os.environ), Path.cwd()) == before


def test_what_it_leaves_for_the_end_of_its_process_is_done(run: Run) -> None:
    assert run("import atexit\natexit.register(print, 'logged out')\nprint('done')\nsys.exit(0)").stdout == b"done\nlogged out\n"


def test_what_this_process_left_for_its_own_end_is_not_done_there(run: Run, tmp_path: Path) -> None:
    import atexit

    mark = tmp_path / "mark"
    atexit.register(mark.touch)
    try:
        run("sys.exit(0)")
        assert not mark.exists()
    finally:
        atexit.unregister(mark.touch)


def test_a_module_that_raises_tells_where(run: Run) -> None:
    ended = run("raise ValueError('a mistake of ours')")
    assert (ended.status, ended.stdout) == (1, b"")
    assert b"ValueError: a mistake of ours" in ended.stderr


def test_a_module_that_returns_has_not_ended_as_modules_do(run: Run) -> None:
    ended = run("print('nothing')")
    assert ended.status == 1
    assert b"did not end by itself" in ended.stderr


def test_a_crash_is_told_by_its_signal_and_harms_nobody_else(run: Run) -> None:
    assert run("os.kill(os.getpid(), signal.SIGKILL)").status == -signal.SIGKILL


def test_the_end_by_a_signal_is_its_own(run: Run) -> None:
    assert run("os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)").status == -signal.SIGTERM


def test_what_it_is_at_is_heard_while_it_runs_and_is_none_of_its_output(run: Run, tmp_path: Path) -> None:
    heard: list[str] = []
    was_heard = tmp_path / "heard"

    def hear(text: str) -> None:
        heard.append(text)
        if text == "wait for größe":
            was_heard.touch()

    said = f"tell('create')\ntell('wait for größe')\n{until(was_heard)}\ntell('done')"
    body = f"from {progress.__name__} import tell\n{said}\nsys.exit(0)"
    assert run(body, hear=hear) == Ended(0, b"", b"")
    assert "wait for größe" in heard
    assert heard[-1] == "done"


def test_a_parent_that_was_killed_is_told_nothing_and_stops_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        _child._say(writer, "attach")
    finally:
        os.close(writer)


def test_what_it_writes_can_be_read_by_its_parent_alone(run: Run) -> None:
    listed = textwrap.dedent("""
        import fcntl, stat
        def is_read_from(number):
            try:
                return stat.S_ISFIFO(os.fstat(number).st_mode) and fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
            except OSError:
                return False
        found = [number for number in range(3, 256) if is_read_from(number)]
    """)
    here: dict[str, Any] = {"os": os}
    exec(listed, here)  # pylint: disable=exec-used
    assert run(f"{listed}\nprint(*found)\nsys.exit(0)").stdout.decode().split() == [str(number) for number in here["found"]]


def test_without_news_it_is_heard_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_child, "_LOOK_AGAIN", 0.01)
    heard: list[str] = []
    was_heard = tmp_path / "heard"

    def hear(text: str) -> None:
        heard.append(text)
        if heard.count("wait") > 2:
            was_heard.touch()

    ended = run(f"from {progress.__name__} import tell\ntell('wait')\n{until(was_heard)}\nsys.exit(0)", hear=hear)
    assert (ended.status, heard.count("wait") > 2) == (0, True)


@pytest.mark.parametrize(("before", "there"), [(signal.SIG_IGN, "SIG_IGN"), (lambda *_: None, "SIG_DFL")])
def test_a_signal_is_as_a_program_finds_it_that_is_started(run: Run, before: Any, there: str) -> None:
    was = signal.signal(signal.SIGHUP, before)
    try:
        assert run("print(signal.getsignal(signal.SIGHUP).name)\nsys.exit(0)").stdout.decode() == f"{there}\n"
    finally:
        signal.signal(signal.SIGHUP, was)


_at_forks: list[Callable[[], None]] = []
os.register_at_fork(after_in_parent=lambda: [each() for each in _at_forks])  # for good: Python takes none back


class TimeIsUp(Exception):
    """What a signal of the tests raises."""


@pytest.fixture
def alarm() -> Iterator[signal.Signals]:
    """A signal that raises, as the one for the time limit of a task does."""

    def ring(*_: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGUSR1, ring)
    yield signal.SIGUSR1
    signal.signal(signal.SIGUSR1, before)


def waits_for_its_end(started: Path, goodbye: Path) -> str:
    """The body of a module that says goodbye when it is told to end, and else never ends."""
    return textwrap.dedent(f"""
        def goodbye(*_):
            open({str(goodbye)!r}, "w").close()
            sys.exit(0)
        signal.signal(signal.SIGTERM, goodbye)
        open({str(started)!r}, "w").close()
        while True:
            time.sleep(0.01)  # a pause would miss a signal that comes right before it
    """)


def test_who_stops_waiting_ends_the_module(run: Run, tmp_path: Path, alarm: signal.Signals) -> None:
    started, said_goodbye = tmp_path / "started", tmp_path / "goodbye"
    ring_when_started = f"until [ -e {started} ]; do sleep 0.01; done; kill -{alarm.value} {os.getpid()}"
    with subprocess.Popen(["sh", "-c", ring_when_started]) as bell, ended(bell), pytest.raises(TimeIsUp):
        run(waits_for_its_end(started, said_goodbye))
    assert said_goodbye.exists()


def test_a_signal_that_comes_with_the_fork_ends_the_module(
    run: Run, tmp_path: Path, alarm: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, said_goodbye, fork = tmp_path / "started", tmp_path / "goodbye", os.fork

    def fork_and_ring() -> int:
        child = fork()
        end = time.monotonic() + 60
        while child and not started.exists() and time.monotonic() < end:
            time.sleep(0.01)
        if child:
            os.kill(os.getpid(), alarm)
        return child

    monkeypatch.setattr(os, "fork", fork_and_ring)
    with pytest.raises(TimeIsUp):
        run(waits_for_its_end(started, said_goodbye))
    assert said_goodbye.exists()


def test_a_signal_that_comes_while_python_ends_the_fork_is_not_lost(
    run: Run, tmp_path: Path, alarm: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "_at_forks", [lambda: os.kill(os.getpid(), alarm)])
    with pytest.raises(TimeIsUp):
        run(until(tmp_path / "never"))


def test_a_signal_that_comes_when_the_module_has_ended_is_not_lost(
    run: Run, alarm: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    waitpid = os.waitpid

    def wait_and_ring(pid: int, how: int) -> tuple[int, int]:
        ended = waitpid(pid, how)
        os.kill(os.getpid(), alarm)
        return ended

    monkeypatch.setattr(os, "waitpid", wait_and_ring)
    with pytest.raises(TimeIsUp):
        run("sys.exit(0)")


def test_a_module_has_the_signals_of_whoever_began_it(run: Run) -> None:
    held = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        told = run("print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))\nsys.exit(0)").stdout
        assert told.decode() == f"{sorted(map(int, mask))}\n"
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def test_where_no_process_can_be_had_signals_are_as_before(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> int:
        raise BlockingIOError

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    monkeypatch.setattr(os, "fork", none_left)
    with pytest.raises(BlockingIOError):
        run("sys.exit(0)")
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def test_a_module_that_does_not_want_to_end_is_killed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_child, "_COURTESY", 0.0)
    ended: list[int] = []
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile True:\n    signal.pause()"

    def refuse_to_wait(readers: Sequence[int], _hear: Hear) -> tuple[bytes, bytes]:
        os.read(readers[0], 4)
        raise InterruptedError

    waitpid = os.waitpid

    def note_who_ended(pid: int, how: int) -> tuple[int, int]:
        ended.append(pid)
        return waitpid(pid, how)

    monkeypatch.setattr(os, "waitpid", note_who_ended)
    monkeypatch.setattr(_child, "_read", refuse_to_wait)
    with pytest.raises(InterruptedError):
        run(body)
    with pytest.raises(ProcessLookupError):
        os.kill(ended[0], 0)
