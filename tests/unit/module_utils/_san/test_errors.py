# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others say becomes a part of one sentence."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import in_one_sentence


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("", ""),
        ("Access denied", "Access denied"),
        ("Access denied.  ", "Access denied"),
        ("It failed. Ask the owner.\r\nThen try again.", "It failed; Ask the owner; Then try again"),
        ("It was not found. (0x80070002) (ID 7)", "It was not found (0x80070002) (ID 7)"),
        ("hv01.lab has 1.5 GB, e.g", "hv01.lab has 1.5 GB, e.g"),
    ],
)
def test_sentences_are_joined(told: str, said: str) -> None:
    assert in_one_sentence(told) == said
