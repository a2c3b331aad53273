# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task hands on of a guest's markers: every piece as it was written, and nothing that none can be."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.endpoints.markers import wish
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.marked_file import Piece, result
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.layers import Written
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.observation import GuestPiece, Lost

NAA = "600a098038304c61622d616161616131"
MADE = Markers(b"a secret of ours", 8192)
PIECES = [Piece(3, 4096, 4096, "", "/dev/sdb", NAA, 1 << 30, 1 << 20, 1.5, 2.5), Piece(4, 0, 8192, "it is inline")]


def given(**changes: Any) -> dict[str, Any]:
    written, unplaced = result(PIECES)
    return {"magic": MADE.magic.hex(), "block_bytes": MADE.length, "written": written, "unplaced": unplaced, **changes}


def asked(markers: Any, **search: Any) -> dict[str, Any]:
    return {"vm": "app", "disk": "sdb", "guest_device": "", "markers": markers, "search": search}


def test_what_the_guest_returned_comes_back_as_it_was() -> None:
    found = wish(asked(given()), [(0, 512)])
    written = Written(3, 1 << 20, 4096, 1.5, 2.5, 4096, "/dev/sdb")
    assert (found.markers, found.pieces, found.lost) == (MADE, [GuestPiece(written, NAA, 1 << 30)], [Lost(4, "it is inline")])
    assert (found.vm, found.disk, found.ranges, found.seconds, found.most_bytes, found.ports) == (
        "app",
        "sdb",
        [(0, 512)],
        1800.0,
        0,
        [3260],
    )


def test_numbers_that_a_template_has_made_texts_of_are_numbers() -> None:
    written, _unplaced = result(PIECES)
    texts = [{name: str(value) for name, value in row.items()} for row in written]
    assert wish(asked(given(written=texts, block_bytes="8192")), []).pieces[0].written.virtual_offset == 1 << 20


@pytest.mark.parametrize(
    "markers",
    [
        {},
        given(magic="00"),
        given(magic=None),
        given(block_bytes=100),
        given(written=None),
        given(written=[{}]),
        given(written=["text"]),
        given(unplaced=[{"number": 1}]),
    ],
)
def test_what_no_guest_has_returned_is_refused(markers: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="markers is not what guest_block_markers returns"):
        wish(asked(markers), [])


@pytest.mark.parametrize("luns", [[f"naa.{NAA}"], [NAA.upper()]])
def test_luns_are_named_in_any_spelling(luns: list[str]) -> None:
    assert [name.naa for name in wish(asked(given(), luns=luns), []).luns] == [NAA]
