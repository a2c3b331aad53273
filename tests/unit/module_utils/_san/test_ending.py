# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A signal that ends the run, as an exception."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san import ending
from ansible_collections.crossvisor.san.plugins.module_utils._san.ending import Ended, as_exception, uncut

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def fail(number: int, _frame: object) -> None:
    pytest.fail(f"the handler of before heard of {number}")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """What is there before is not what Python starts with, so that nothing ends the tests, and that it comes back can be seen."""
    before = {number: signal.signal(number, fail) for number in SIGNALS}
    yield
    for number, handler in before.items():
        assert signal.getsignal(number) is fail, "the handler of before is back"
        signal.signal(number, handler)


def watched(action: Callable[[], object]) -> None:
    """Do something while signals are exceptions."""
    with as_exception():
        action()


@pytest.mark.parametrize("number", SIGNALS)
class TestASignal:
    def test_ends_the_block_by_an_exception(self, number: signal.Signals) -> None:
        with pytest.raises(Ended, match=f"^{number.name}$"):
            watched(lambda: signal.raise_signal(number))

    def test_is_no_failure_that_anybody_might_take_for_his_own(self, number: signal.Signals) -> None:
        assert not issubclass(Ended, Exception)

    def test_lets_what_was_opened_be_closed(self, number: signal.Signals) -> None:
        closed = []

        def work() -> None:
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(number)
                closed.append("although a second one came")

        with pytest.raises(Ended):
            watched(work)
        assert closed

    def test_that_is_ignored_stays_ignored(self, number: signal.Signals) -> None:
        signal.signal(number, signal.SIG_IGN)
        watched(lambda: signal.raise_signal(number))
        assert signal.signal(number, fail) is signal.SIG_IGN

    def test_waits_for_the_end_of_what_must_not_be_cut(self, number: signal.Signals) -> None:
        done = []

        def work() -> None:
            with uncut():
                with uncut():
                    signal.raise_signal(number)
                done.append("login")
            done.append("work")

        with pytest.raises(Ended):
            watched(work)
        assert done == ["login"]

    def test_is_not_forgotten_where_what_must_not_be_cut_fails(self, number: signal.Signals) -> None:
        def work() -> None:
            with uncut():
                signal.raise_signal(number)
                raise ValueError("refused")

        with pytest.raises(Ended):
            watched(work)

    def test_is_raised_once(self, number: signal.Signals) -> None:
        def work() -> None:
            try:
                signal.raise_signal(number)
            except Ended:
                with uncut():
                    signal.raise_signal(number)
                raise ValueError("of the closing") from None

        with pytest.raises(ValueError, match="of the closing"):
            watched(work)


_INSISTENT = f"""
import signal
import {ending.__name__} as ending
ending._GRACE = -1.0
with ending.as_exception():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        print('closing', flush=True)
        signal.raise_signal(signal.SIGTERM)
        print('closed', flush=True)
"""


def test_whoever_insists_after_the_grace_is_obeyed() -> None:
    environment = {"PYTHONPATH": ":".join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", _INSISTENT], env=environment, capture_output=True, check=False, text=True)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, "closing\n"), ended.stderr


class TestAnotherThread:
    def test_hears_of_no_signal_and_changes_no_handler(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(self._handler_inside).result() is fail

    def test_does_not_hold_the_end_of_the_main_one_back(self) -> None:
        holding, ended = threading.Event(), threading.Event()

        def hold() -> None:
            with uncut():
                holding.set()
                assert ended.wait(60)

        def work() -> None:
            thread.start()
            assert holding.wait(60)
            signal.raise_signal(signal.SIGTERM)

        thread = threading.Thread(target=hold)
        with pytest.raises(Ended):
            watched(work)
        ended.set()
        thread.join()

    @staticmethod
    def _handler_inside() -> object:
        with as_exception(), uncut():
            return signal.getsignal(signal.SIGTERM)


def test_without_a_signal_nothing_happens() -> None:
    with as_exception(), uncut():
        pass
