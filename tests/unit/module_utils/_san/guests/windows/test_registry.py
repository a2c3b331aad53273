# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry of a machine, read by WMI."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.windows.registry import text_of
from tests.lab.hyperv.running import Lab
from tests.unit.lab.hyperv.desk import GUEST
from tests.unit.windows import client


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("SOFTWARE\\Microsoft\\Virtual Machine\\Guest\\Parameters", "VirtualMachineName", "win01"),
        ("SOFTWARE\\Microsoft\\Virtual Machine\\Guest\\Parameters", "Nothing", ""),
        ("SOFTWARE\\Nothing", "Nothing", ""),
    ],
)
def test_a_text_or_nothing(key: str, value: str, text: str) -> None:
    assert text_of(client(Lab(), GUEST, role="guest"), key, value) == text
