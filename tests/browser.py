# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright


class NoBrowser(RuntimeError):
    """This machine has no Chromium."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that ends with the block. Raises NoBrowser."""
    program = shutil.which("chromium")
    if program is None:
        raise NoBrowser("This machine has no chromium: install the package of this name (scripts/system-packages chromium).")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox is not for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        try:
            yield browser
        finally:
            browser.close()
