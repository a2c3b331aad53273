# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A browser for the whole run, and pages of maps in it, which must ask for nothing and complain of nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import chromium
from tests.rendering import Render, rendering
from tests.report_map import Document, estate, write_page

ROWS = 10_000
SCREEN = (1400, 1000)
PATIENCE_MS = 10_000

OpenFile = Callable[..., Page]
OpenMap = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def render() -> Iterator[Render]:
    with rendering() as rendered:
        yield rendered


@pytest.fixture(scope="session")
def estate_file(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 10,000 disks."""
    return write_page(render, estate(ROWS), tmp_path_factory.mktemp("estate") / "report.html")


@pytest.fixture
def open_file(browser: Browser) -> Iterator[OpenFile]:
    """`open_file(path, size=, theme=, asked=)` is the page in a window of that size; `asked` is what its address says after the `#`."""
    complaints: list[str] = []
    requests: list[str] = []
    opened: list[Page] = []

    def open_(path: Path, size: tuple[int, int] = SCREEN, theme: str = "light", asked: str = "") -> Page:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=theme)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url.partition("#")[0]))
        page.goto(f"{path.as_uri()}#{asked}")
        opened.append(page)
        assert requests == [path.as_uri()] * len(opened)
        return page

    yield open_
    for page in opened:
        page.context.close()
    assert complaints == []
    assert len(requests) == len(opened)


@pytest.fixture
def open_map(render: Render, open_file: OpenFile, tmp_path: Path) -> OpenMap:
    """`open_map(document, …)` is the page that the role makes of the map, as `open_file` opens it."""

    def open_(map_: Document, size: tuple[int, int] = SCREEN, theme: str = "light", asked: str = "") -> Page:
        return open_file(write_page(render, map_, tmp_path / "report.html"), size, theme, asked)

    return open_
