# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fails is told at once, for the log of a run that is ended before its end; what hangs is ended; and what options there are."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests import examples, parts

examples.register()
_LINE_END = "\n"
_BEYOND = 1.2
"""Of the longest time of a test: pytest-timeout ends nothing any more once a test has failed, though its fixtures may wait for ever."""
_AT_THE_END_SECONDS = 300
_told_to = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parts.add_option(parser)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return parts.in_another_part(collection_path, config) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what another part runs of files that were named, which pytest reads whatever is to be ignored."""
    others = {item for item in items if parts.in_another_part(item.path, config)}
    if others:
        config.hook.pytest_deselected(items=[*others])
        items[:] = [item for item in items if item not in others]


class _AtOnce:
    """Writes the name of each test that fails, and why, as soon as it has failed."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            why = getattr(getattr(report.longrepr, "reprcrash", None), "message", report.longreprtext)
            self._terminal.write_line(f"\nfailed: {report.nodeid}: {why.partition(_LINE_END)[0]}", flush=True)


def _longest(config: pytest.Config) -> float:
    return float(config.getoption("timeout", None) or 0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """End everything, and tell where each thread was, when a test with its fixtures does not end."""
    _end_later(item.config, _longest(item.config) * _BEYOND)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Begin again: pytest lets a test that has failed take any time, because a debugger might look at it."""
    _end_later(node.config, _longest(node.config) * _BEYOND)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The same, when a thread keeps the process from its end."""
    _end_later(config, _AT_THE_END_SECONDS if _longest(config) else 0)


def _end_later(config: pytest.Config, seconds: float) -> None:
    if seconds and _told_to in config.stash:
        faulthandler.dump_traceback_later(seconds, exit=True, file=config.stash[_told_to])


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[_told_to] = os.dup(sys.stderr.fileno())  # because what tests write there is captured
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(terminal, pytest.TerminalReporter):
        config.pluginmanager.register(_AtOnce(terminal))
