# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What FIEMAP's flags mean for an address (Linux, Documentation/filesystems/fiemap.rst)."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.file_extents import spans
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, NO_ADDRESS, SHARED, UNWRITTEN

FILE: dict[str, Any] = {"path": "/srv/a", "kind": "xfs", "device": "8:1", "size": 8192, "error": "", "realtime": False, "extents": []}


def of(*extents: list[int], **told: Any) -> list[Span]:
    return [*spans({**FILE, "extents": extents, **told})]


@pytest.mark.parametrize(
    ("flags", "state"), [(0, DATA), (1, DATA), (0x1000, DATA), (0x800, UNWRITTEN), (0x2000, SHARED), (0x2800, UNWRITTEN)]
)
def test_an_extent_with_an_address_is_on_the_device_of_its_file_system(flags: int, state: str) -> None:
    assert of([0, 1 << 20, 4096, flags]) == [Span(0, 4096, state, "8:1", 1 << 20)]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (0x2, "not known yet"),
        (0x4 | 0x2, "not known yet"),
        (0x4, "delayed allocation"),
        (0x8, "encoded"),
        (0x80 | 0x8, "encoded"),
        (0x80, "encrypted"),
        (0x100, "not aligned"),
        (0x200 | 0x100, "not aligned"),
        (0x200, "inline"),
        (0x400, "tail"),
        (0x2000 | 0x8, "encoded"),
    ],
)
def test_the_address_of_any_other_extent_is_not_told(flags: int, reason: str) -> None:
    (span,) = of([0, 1 << 20, 4096, flags])
    assert (span.state, span.below) == (NO_ADDRESS, "")
    assert reason in span.reason


@pytest.mark.parametrize("kind", ["btrfs", "zfs", "nfs4", "overlay", "fuse", "f2fs", "bcachefs", "gfs2", ""])
def test_other_file_systems_are_refused_whatever_they_say(kind: str) -> None:
    (span,) = of([0, 1 << 20, 8192, 0], kind=kind)
    assert (span.state, span.start, span.length) == (NO_ADDRESS, 0, 8192)
    assert (kind or "mounted nowhere") in span.reason


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"kind": "", "error": "Permission denied"}, "/srv/a cannot be read on the host: Permission denied"),
        ({"error": "Operation not supported"}, "does not tell where /srv/a is on its xfs file system"),
        ({"realtime": True}, "real-time device"),
    ],
)
def test_a_file_that_cannot_be_asked_about_has_no_addresses_and_says_why(told: dict[str, Any], reason: str) -> None:
    (span,) = of([0, 1 << 20, 8192, 0], **told)
    assert span.state == NO_ADDRESS
    assert reason in span.reason
