# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the tiers of the tests, one more at a time than there are cores, and tells in one line each how they ended.

A tier is a program of scripts/tiers: it ends with 0, with 77 after a line ``cannot run: reason``, with 78 after ``left out: reason`` when
this platform has no interpreter for it, or with anything else when it failed. Its output goes to build/test/TIER.log, what it counted to
build/test/TIER/. A tier that cannot run is a failure where CI=true, and one that is left out where EVERY_PYTHON is set as well.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "test"
TIERS = ("lint", "types", "unit", "exhaustive", "floor", "cores", "sanity", "conformance", "live", "page", "kvm", "kvm-san", "molecule")
ON_REQUEST = ("pristine", "long")
"""What takes too long for every run."""
JOBS = (os.cpu_count() or 1) + 1
"""One more than cores, because a tier with machines of its own waits for each of them in turn."""
LONGEST_FIRST = ("kvm", "kvm-san", "live", "exhaustive", "molecule", "cores")
"""These are begun before all others, so that none of them runs on alone at the end."""
CANNOT_RUN = 77
NOT_OFFERED = 78
MUST_RUN = os.environ.get("CI") == "true"
RUN_SECONDS = 80 * 60
"""After which a run ends what still runs, so that it tells what that was before whoever waits for it has no more patience."""
ON_REQUEST_SECONDS = 4 * 60 * 60
GRACE_SECONDS = 20
LOOK_SECONDS = 1.0
"""After which a signal is noticed that came just before a wait."""
LOG_TAIL_LINES = 60
FAILURE_CHARACTERS = 400
STOPPING = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Count:
    """Tests by how they ended."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass(frozen=True)
class Outcome:
    """How one tier ended."""

    tier: str
    verdict: str
    seconds: float
    count: Count
    failures: tuple[str, ...] = ()
    """What failed, each with its reason in one line."""

    @property
    def ok(self) -> bool:
        """Whether the whole run may still pass."""
        return self.verdict.startswith(("passed", "left out")) or (self.verdict.startswith("cannot run") and not MUST_RUN)

    def __str__(self) -> str:
        return f"{self.tier:<12} {self.seconds:>4.0f} s  {self.verdict}  ({self.count})"


class Interrupted(BaseException):
    """The run was told to end, by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.number).name}; what ran was stopped"


class Runner:
    """The tiers that run now, each in a process group of its own, so that none outlives the run."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopped = False

    def run(self, tier: str) -> Outcome:
        """Run one tier to its end."""
        shutil.rmtree(RESULTS / tier, ignore_errors=True)
        begin = time.monotonic()
        code, note = self._execute(tier)
        seconds = time.monotonic() - begin
        return _outcome(tier, code, note, seconds)

    def stop(self) -> list[str]:
        """End everything that runs, and start nothing more; the tiers that ran."""
        with self._lock:
            self._stopped = True
            running = dict(self._running)
        for process in running.values():
            _end(process)
        return [*running]

    def _execute(self, tier: str) -> tuple[int, str]:
        with (RESULTS / f"{tier}.log").open("wb") as log, self._started(tier, log.fileno()) as process:
            try:
                return process.wait(max(0.0, self._deadline - time.monotonic())), ""
            except subprocess.TimeoutExpired:
                _end(process)
                return 1, " (ended, because the time of the run was over)"

    @contextmanager
    def _started(self, tier: str, output: int) -> Iterator[subprocess.Popen[bytes]]:
        with self._lock:
            if self._stopped:
                raise InterruptedError(tier)
            process = subprocess.Popen(
                [ROOT / "scripts" / "tiers" / tier],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            self._running[tier] = process
        try:
            yield process
        finally:
            with self._lock:
                del self._running[tier]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a tier and all that it started in its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _outcome(tier: str, code: int, note: str, seconds: float) -> Outcome:
    counted, failures = _counted(RESULTS / tier), tuple(_failures(RESULTS / tier))
    if code == 0:
        return Outcome(tier, "passed", seconds, counted)
    if code == CANNOT_RUN:
        reason = next((line for line in reversed(_log_lines(tier)) if line.startswith("cannot run")), "cannot run: it gave no reason")
        return Outcome(tier, reason, seconds, counted + (Count(failed=1) if MUST_RUN else Count(skipped=1)))
    if code == NOT_OFFERED:
        reason = next((line for line in reversed(_log_lines(tier)) if line.startswith("left out")), "left out: it gave no reason")
        return Outcome(tier, reason, seconds, counted + Count(skipped=1))
    return Outcome(tier, f"failed{note}", seconds, counted if counted.failed else counted + Count(failed=1), failures)


def _suites(results: Path) -> Iterator[ElementTree.Element]:
    """The JUnit files that test runners left."""
    for file in sorted(results.glob("**/*.xml")):
        yield from ElementTree.parse(file).getroot().iter("testsuite")


def _checks(results: Path) -> list[str]:
    """The tier's own list of single checks, each line a verdict and a name."""
    checks = results / "checks"
    return checks.read_text().splitlines() if checks.exists() else []


def _counted(results: Path) -> Count:
    """Sum what a tier left."""
    total = Count()
    for suite in _suites(results):
        tests, failures, errors, skipped = (int(suite.get(key) or 0) for key in ("tests", "failures", "errors", "skipped"))
        total += Count(tests - failures - errors - skipped, failures + errors, skipped)
    verdicts = [line.split()[0] for line in _checks(results)]
    return total + Count(verdicts.count("passed"), verdicts.count("failed"))


def _failures(results: Path) -> Iterator[str]:
    """What failed in a tier, each in a line: the log of a run that somebody else made may be all that is left of it, and only its end."""
    for suite in _suites(results):
        for case in suite.iter("testcase"):
            for failure in (*case.iter("failure"), *case.iter("error")):
                reason = " ".join((failure.get("message") or "").split())
                yield f"{case.get('classname')}.{case.get('name')}: {reason}"[:FAILURE_CHARACTERS]
    yield from (line.partition(" ")[2] for line in _checks(results) if line.startswith("failed "))


def _log_lines(tier: str) -> list[str]:
    return (RESULTS / f"{tier}.log").read_text(errors="replace").splitlines()


def _report(outcome: Outcome) -> None:
    print(outcome, flush=True)
    if outcome.verdict.startswith("failed"):
        _report_log(outcome.tier)


def _report_log(tier: str) -> None:
    print(*(f"    {line}" for line in _log_lines(tier)[-LOG_TAIL_LINES:]), sep="\n")
    print(f"    all of it: build/test/{tier}.log", flush=True)


def _interrupted(number: int, _frame: object) -> NoReturn:
    """End the run; the next signal would only keep it from stopping what runs."""
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


def _in_turn(tiers: Sequence[str]) -> list[str]:
    return sorted(tiers, key=lambda tier: LONGEST_FIRST.index(tier) if tier in LONGEST_FIRST else len(LONGEST_FIRST))


def _as_they_end(futures: Iterable[Future[Outcome]]) -> Iterator[Future[Outcome]]:
    """Each one when it has ended. A signal that comes right before a wait is noticed only after it, so that no wait is without an end."""
    pending = set(futures)
    while pending:
        ended, pending = wait(pending, LOOK_SECONDS, FIRST_COMPLETED)
        yield from ended


def run(tiers: Sequence[str]) -> list[Outcome]:
    """Run the tiers and report each as it ends."""
    runner = Runner(ON_REQUEST_SECONDS if set(tiers) & set(ON_REQUEST) else RUN_SECONDS)
    with ThreadPoolExecutor(JOBS) as pool:
        outcomes = []
        try:
            futures = [pool.submit(runner.run, tier) for tier in _in_turn(tiers)]
            for future in _as_they_end(futures):
                outcomes.append(future.result())
                _report(outcomes[-1])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for tier in runner.stop():
                print(f"{tier} was running:")
                _report_log(tier)
            raise
    return sorted(outcomes, key=lambda outcome: tiers.index(outcome.tier))


def main() -> None:
    """Run the named tiers, or all but those that run on request only."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("tiers", nargs="*", metavar="TIER", help=", ".join((*TIERS, *ON_REQUEST)))
    named = parser.parse_args().tiers
    known = (*TIERS, *ON_REQUEST)
    if unknown := sorted(set(named) - set(known)):
        parser.error(f"no tier is called {', '.join(unknown)}; there are {', '.join(known)}")
    for number in STOPPING:
        signal.signal(number, _interrupted)
    RESULTS.mkdir(parents=True, exist_ok=True)
    try:
        outcomes = run([tier for tier in known if tier in named] if named else list(TIERS))
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        sys.exit(128 + interrupted.number)
    failures = [f"{outcome.tier}: {failure}" for outcome in outcomes for failure in outcome.failures]
    total = sum((outcome.count for outcome in outcomes), Count())
    print("", *outcomes, "", *failures, total, sep="\n", flush=True)
    sys.exit(0 if all(outcome.ok for outcome in outcomes) else 1)


if __name__ == "__main__":
    main()
