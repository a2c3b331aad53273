# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pictures of the page as people see it: ``python -m tests.page.screenshots DIRECTORY``. docs/map.md shows the first of them."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser import chromium
from tests.rendering import rendering
from tests.report_map import GENERATED, estate, write_page

ROWS = 400
PICTURES = {"storage-map": (1280, 860, "light"), "dark": (1280, 860, "dark"), "phone": (390, 844, "light")}


def main(directory: Path) -> None:
    """Write the pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    with rendering() as render, chromium() as browser:
        page_file = write_page(render, estate(ROWS), directory / "report.html")
        for name, (width, height, theme) in PICTURES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
            page.clock.set_fixed_time(GENERATED)
            page.goto(page_file.as_uri())
            page.locator("#picture .node.layer3").first.click()
            page.get_by_role("searchbox").focus()
            page.screenshot(path=directory / f"{name}.png")
            page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
