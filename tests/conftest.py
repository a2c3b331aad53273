# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fails is told at once, so that the log of a run that is ended before its end tells it, too."""

from __future__ import annotations

import pytest

from tests import examples

examples.register()
_LINE_END = "\n"


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
