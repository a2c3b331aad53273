# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tries single mutants of a module against unit tests, each in a process forked from one that has collected the tests already.

A mistake inside a function is put into the function that the tests know. One outside (a constant, a default, a field) has to be there
before anything is imported, so that its process collects the tests itself; it is forked from one that has loaded nothing but libraries.
"""

from __future__ import annotations

import ast
import functools
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.mistakes import Mutant, mutants

LIBRARIES = ("hypothesis", "lxml.etree", "pyVmomi", "requests", "trustme", "winrm", "yaml", "ansible.module_utils.basic")
LEAST_SECONDS = 20
TIMES_AS_LONG = 4
"""A mutant is given this many times what its tests take without it, so that a busy machine is not taken for a test that notices it."""
MOST_SECONDS_OF_A_TEST = 300
SURVIVED, KILLED = 0, 1
AS_IT_IS = -1
OPTIONS = (
    "-x",
    "-q",
    "--tb=no",
    "--show-capture=no",
    "-o",
    "cache_dir=build/.pytest_cache/mutants",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)


@dataclass(frozen=True)
class Trial:
    """A module and the tests that specify it."""

    module: str
    """Its dotted name."""
    source: Path
    tests: Sequence[str]

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The source, changed in place while a mutant is applied."""
        return ast.parse(self.source.read_text())

    @functools.cached_property
    def mutants(self) -> Sequence[Mutant]:
        """Every single mutant."""
        return tuple(mutants(self.tree))

    @functools.cached_property
    def codes(self) -> Mapping[tuple[str, int], types.CodeType]:
        """The code of every function as it is."""
        return _codes(compile(self.tree, str(self.source), "exec"))

    def compiled(self, mutant: Mutant) -> types.CodeType:
        """The module with this mistake in it."""
        take_back = mutant.apply()
        try:
            return compile(self.tree, str(self.source), "exec")
        finally:
            take_back()


class TestsFail(Exception):
    """The tests fail, or there are none, without any mutant."""


def survivors(trial: Trial, chosen: Sequence[Mutant], jobs: int) -> list[Mutant]:
    """Return which of the chosen mutants no test notices. Raises `TestsFail` when the tests fail by themselves."""
    if not trial.tests:
        raise TestsFail(f"no unit test of {trial.module} is known: mutants.yml may name those that specify it")
    lines = _forked_pipe(lambda write: _collect_and_try(trial, chosen, jobs, write))
    known = {number: verdict == SURVIVED for number, verdict in map(json.loads, lines)}
    if not known.pop(AS_IT_IS, False):
        raise TestsFail(f"the unit tests of {trial.module} do not pass as it is: {' '.join(trial.tests)}")
    rest = [number for number in range(len(chosen)) if number not in known]
    slow = _each_in_a_process(rest, jobs, lambda number: _import_and_run(trial, chosen[number]))
    known.update({number: verdict == SURVIVED for number, verdict in slow})
    return [mutant for number, mutant in enumerate(chosen) if known[number]]


def load_libraries() -> None:
    """Load what most tests need, so that it is loaded once."""
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    hypothesis: Any = importlib.import_module("hypothesis")
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True, deadline=None)
    hypothesis.settings.load_profile("mutants")


def _forked_pipe(work: Callable[[int], None]) -> Iterator[str]:
    """Do work in a fork, and return the lines that it writes to the pipe it gets."""
    read, write = os.pipe()

    def done() -> int:
        work(write)
        return SURVIVED

    child = _fork(done)
    os.close(write)
    with os.fdopen(read) as lines:
        yield from lines
    os.waitpid(child, 0)


def _fork(work: Callable[[], int]) -> int:
    """Do work in a silent fork that ends with what it returns, in a process group of its own; return its id."""
    child = os.fork()
    if child:
        return child
    code = KILLED
    try:
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        code = work()
    finally:
        os._exit(code)


def _each_in_a_process(numbers: Sequence[int], jobs: int, work: Callable[[int], int]) -> Iterator[tuple[int, int]]:
    """Return each number with how a process for it ended; one that was killed for its time has noticed the mutant."""
    waiting, running = list(numbers), dict[int, int]()
    while waiting or running:
        while waiting and len(running) < jobs:
            number = waiting.pop(0)
            running[_fork(functools.partial(work, number))] = number
        child, status = os.wait()
        if child in running:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            yield running.pop(child), os.WEXITSTATUS(status) if os.WIFEXITED(status) else KILLED


@dataclass
class _Fork:
    """The plugin of pytest that tries the mutants where the tests would run."""

    trial: Trial
    chosen: Sequence[Mutant]
    jobs: int
    write: int

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed or not session.items:
            return True
        module = importlib.import_module(self.trial.module)
        patches = {number: patch for number, mutant in enumerate(self.chosen) if (patch := _patch(self.trial, mutant, module))}
        gc.freeze()
        seen = self._observed(session)
        if seen is None:
            return True
        self._tell(AS_IT_IS, SURVIVED)
        order = sorted(range(len(session.items)), key=lambda test: seen[test][0])

        def attempt(number: int) -> int:
            lines = set(self.chosen[number].lines)
            patches[number]()
            tests = [test for test in order if lines & seen[test][1]]
            usual = sum(seen[test][0] for test in tests)
            return _run([session.items[test] for test in tests], session, max(LEAST_SECONDS, TIMES_AS_LONG * usual))

        for number, verdict in _each_in_a_process(list(patches), self.jobs, attempt):
            self._tell(number, verdict)
        return True

    def _tell(self, number: int, verdict: int) -> None:
        os.write(self.write, f"[{number}, {verdict}]\n".encode())

    def _observed(self, session: pytest.Session) -> list[tuple[float, set[int]]] | None:
        """Run the tests as they are; return of each how long it took, and which lines of the module it ran. None when one fails."""
        source = str(self.trial.source.resolve())

        def watch(write: int) -> None:
            for item in session.items:
                begin, lines = time.perf_counter(), set[int]()
                with _watched(source, lines):
                    verdict = _run([item], session, MOST_SECONDS_OF_A_TEST)
                os.write(write, (json.dumps([verdict, time.perf_counter() - begin, sorted(lines)]) + "\n").encode())

        told = [json.loads(line) for line in _forked_pipe(watch)]
        if len(told) != len(session.items) or any(verdict != SURVIVED for verdict, _seconds, _lines in told):
            return None
        return [(seconds, set(lines)) for _verdict, seconds, lines in told]


@contextmanager
def _watched(source: str, lines: set[int]) -> Iterator[None]:
    """Note the lines of a file that run meanwhile, in whatever thread."""
    ours: dict[str, bool] = {}

    def on_line(frame: types.FrameType, event: str, _argument: object) -> Any:
        lines.add(frame.f_lineno)
        return on_line

    def on_call(frame: types.FrameType, _event: str, _argument: object) -> Any:
        name = frame.f_code.co_filename
        if name not in ours:
            ours[name] = os.path.realpath(name) == source
        return on_line if ours[name] else None

    threading.settrace(on_call)
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(None)
        threading.settrace(None)


def _run(items: Sequence[pytest.Item], session: pytest.Session, seconds: float) -> int:
    """Run tests until one fails, or until so many seconds are over, which is to fail, too."""
    signal.alarm(math.ceil(seconds))
    try:
        for index, item in enumerate(items):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=items[index + 1] if index + 1 < len(items) else None)
            if session.testsfailed:
                return KILLED
    except BaseException:  # noqa: BLE001 - whatever ends a run has noticed the mutant
        return KILLED
    return SURVIVED


def _collect_and_try(trial: Trial, chosen: Sequence[Mutant], jobs: int, write: int) -> None:
    pytest.main([*OPTIONS, *trial.tests], plugins=[_Fork(trial, chosen, jobs, write)])


def _import_and_run(trial: Trial, mutant: Mutant) -> int:
    signal.alarm(2 * LEAST_SECONDS)
    sys.meta_path.insert(0, _Finder(trial.module, trial.compiled(mutant)))
    return SURVIVED if pytest.main([*OPTIONS, *trial.tests]) == pytest.ExitCode.OK else KILLED


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module with other code."""

    def __init__(self, module: str, code: types.CodeType) -> None:
        self._module = module
        self._code = code

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name == self._module else None
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader.get_code = lambda fullname: self._code  # type: ignore[method-assign]
        return spec


def _patch(trial: Trial, mutant: Mutant, module: types.ModuleType) -> Callable[[], None] | None:
    """Return what puts a mutant into a function of a loaded module, or None when that cannot be done."""
    function = _function(module, mutant.where)
    if function is None or not mutant.line > function.__code__.co_firstlineno:
        return None
    before, after = trial.codes, _codes(trial.compiled(mutant))
    differing = [place for place in after if before.get(place) != after[place]]
    place = (function.__code__.co_qualname, function.__code__.co_firstlineno)
    if differing != [place] or after[place].co_freevars != function.__code__.co_freevars:
        return None
    return lambda: setattr(function, "__code__", after[place])


def _codes(module: types.CodeType) -> dict[tuple[str, int], types.CodeType]:
    """Return the code of every function of a module and of its classes, not of those inside functions."""
    found: dict[tuple[str, int], types.CodeType] = {}
    for code in module.co_consts:
        if isinstance(code, types.CodeType):
            found.update(_codes(code) if not code.co_flags & 1 else {(code.co_qualname, code.co_firstlineno): code})
    return found


def _function(module: types.ModuleType, where: str) -> types.FunctionType | None:
    """Return the function that a module or one of its classes has under a dotted name."""
    held: Any = module
    for name in where.split("."):
        held = vars(held).get(name) if isinstance(held, (types.ModuleType, type)) else held
    for attribute in ("fget", "__func__", "func", "__wrapped__", "__wrapped__"):
        held = getattr(held, attribute, held)
    return held if isinstance(held, types.FunctionType) else None
