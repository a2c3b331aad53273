# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests, by the examples that RFC 7143 (and RFC 3720, B.4) prints."""

from __future__ import annotations

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.crc32c import digest

READ = "01c00000000000000000000000000000140000000000040000000014000000182800000000000000020000000000000000"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytes(32), "aa36918a"),
        (b"\xff" * 32, "43aba862"),
        (bytes(range(32)), "4e79dd46"),
        (bytes(range(31, -1, -1)), "5cdb3f11"),
        (bytes.fromhex(READ[:96]), "563a96d9"),
    ],
)
def test_the_examples_of_the_standard(data: bytes, expected: str) -> None:
    assert digest(data).hex() == expected
