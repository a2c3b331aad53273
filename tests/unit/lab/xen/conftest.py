# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool of its own for every test."""

from __future__ import annotations

import pytest

from tests.lab.xen.running import Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()
