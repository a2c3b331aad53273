# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's array, which our backend asks by REST."""

from __future__ import annotations

import pytest

from tests.unit.ontap_array import BenchInPlace, fresh


@pytest.fixture
def bench() -> BenchInPlace:
    return fresh()
