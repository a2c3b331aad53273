# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fails is told at once, so that the log of a run that is ended before its end tells it, too; and what options there are."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests import examples, parts

examples.register()
_LINE_END = "\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    parts.add_option(parser)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    found = yield
    return [] if parts.is_another_s(file_path, parent.config) else found


class _AtOnce:
    """Writes the name of each test that fails, and why, as soon as it has failed."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            why = getattr(getattr(report.longrepr, "reprcrash", None), "message", report.longreprtext)
            self._terminal.write_line(f"\nfailed: {report.nodeid}: {why.partition(_LINE_END)[0]}", flush=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(terminal, pytest.TerminalReporter):
        config.pluginmanager.register(_AtOnce(terminal))
