# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How soon the page of the storage map shows its rows, and answers a keystroke."""

from __future__ import annotations

import statistics
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.bench.measure import BenchFailed
from tests.bench.report import TIME, Findings
from tests.browser import NoBrowser, chromium
from tests.rendering import rendering
from tests.report_map import estate, write_page

ROWS = 10_000
PROMISED_ROWS_MS = 1000
PROMISED_KEYSTROKE_MS = 100
SCREEN = {"width": 1400, "height": 1000}
WORDS = "app0123 vol_012"
MIB = 1 << 20

WATCH = """
new MutationObserver((changes, observer) => {
  if (!document.querySelector("tbody tr:not(.space)")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.rowsPainted = performance.now(); }));
}).observe(document, {childList: true, subtree: true});
window.keystrokes = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.name === "keydown") window.keystrokes.push(entry.duration);
}).observe({type: "event", durationThreshold: 16, buffered: true});
"""
"""The time at which the first rows are on the screen, and from each key pressed to the next paint; shorter ones than 16 ms are not told."""


def measure(directory: Path, rounds: int) -> Findings:
    """Measure the page of 10,000 disks. Raises BenchFailed."""
    directory.mkdir(parents=True, exist_ok=True)
    with rendering() as render:
        path = write_page(render, estate(ROWS), directory / "report.html")
    try:
        with chromium() as browser:
            return _measured(browser, path, rounds)
    except NoBrowser as error:
        raise BenchFailed(str(error)) from error


def _measured(browser: Browser, path: Path, rounds: int) -> Findings:
    findings = Findings(
        "the page of the storage map",
        [
            f"Chromium {browser.version}, {ROWS} disks of {ROWS // 2} VMs, {path.stat().st_size / MIB:.0f} MiB, read from a file.",
            "Rows: from the request for the page until the first are painted. Keystroke: from the key to the next paint, at least 16 ms.",
        ],
    )
    painted: list[float] = []
    keystrokes: list[float] = []
    for _round in range(rounds):
        page = browser.new_page(viewport=SCREEN)  # type: ignore[arg-type]
        painted.append(_until_rows(page, path))
        keystrokes += _typed(page)
        page.close()
    case = f"{ROWS} rows"
    findings.add(case, "rows painted", statistics.median(painted), "ms")
    findings.add(case, "keystroke, median", statistics.median(keystrokes), "ms")
    findings.add(case, "keystroke, 19 of 20", statistics.quantiles(keystrokes, n=20)[-1], "ms")
    findings.promise("rows painted, ms", TIME, findings.value(case, "rows painted"), PROMISED_ROWS_MS)
    findings.promise("keystroke, median, ms", TIME, findings.value(case, "keystroke, median"), PROMISED_KEYSTROKE_MS)
    return findings


def _until_rows(page: Page, path: Path) -> float:
    page.add_init_script(WATCH)
    page.goto(path.as_uri())
    page.wait_for_function("window.rowsPainted")
    return float(page.evaluate("window.rowsPainted"))


def _typed(page: Page) -> list[float]:
    """Milliseconds for each key of `WORDS`."""
    page.get_by_role("searchbox").focus()
    for key in WORDS:
        page.keyboard.press(key)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    told = [float(duration) for duration in page.evaluate("window.keystrokes")]
    return told + [16.0] * (len(WORDS) - len(told))
