# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""guest_block_markers: its options, its bounds, its results."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux import marked_file
from ansible_collections.crossvisor.san.plugins.module_utils._san.guests.linux.marked_file import Holder, Piece, Wish
from ansible_collections.crossvisor.san.plugins.module_utils._san.observation.markers import Markers
from tests.unit.modules.subject import subject, undocumented

MARKERS = subject("guest_block_markers")
PIECES = [
    Piece(0, 0, 4096, "", "/dev/sdb", "600a", 1 << 30, 8192, 1.5, 2.5),
    Piece(1, 0, 4096, "it is inline"),
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the guest was told to do."""
    told: list[Any] = []

    def write(wish: Wish, markers: Markers) -> tuple[list[Piece], Holder]:
        told.append((wish, markers.length))
        return PIECES, Holder(77, 12345)

    def end(holder: Holder) -> bool:
        told.append(holder)
        return True

    monkeypatch.setattr(marked_file, "write", write)
    monkeypatch.setattr(marked_file, "end", end)
    monkeypatch.setattr(marked_file, "check", lambda wish, markers: told.append("check"))
    monkeypatch.setattr(marked_file, "holds", lambda holder: True)
    return told


def test_the_documentation_tells_the_options_that_there_are() -> None:
    assert MARKERS.documented_options == MARKERS.declared_options


def test_it_returns_what_is_documented(asked: list[Any]) -> None:
    written = MARKERS.succeed({"directory": "/srv/data"})
    ended = MARKERS.succeed({"state": "absent", "holder": written["holder"]})
    for result in (written, ended):
        assert undocumented(result, MARKERS.documented_results) == []
    assert {*written, *ended} == set(MARKERS.documented_results)
    assert set(written["written"][0]) == set(MARKERS.documented_results["written"]["contains"])
    assert set(written["unplaced"][0]) == set(MARKERS.documented_results["unplaced"]["contains"])
    assert asked == [(Wish("/srv/data", 64, 4096, 1, 60.0, 3600), 4096), Holder(77, 12345)]


def test_every_run_has_markers_of_its_own(asked: list[Any]) -> None:
    assert MARKERS.succeed({"directory": "/srv"})["magic"] != MARKERS.succeed({"directory": "/srv"})["magic"]


def test_check_mode_writes_nothing_and_ends_nothing(asked: list[Any]) -> None:
    result = MARKERS.run({"directory": "/srv"}, check=True)
    assert (result["changed"], result["written"]) == (True, [])
    assert MARKERS.run({"state": "absent", "holder": {"pid": 77, "began": 1}}, check=True)["held"]
    assert asked == ["check"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "directory"),
        ({"state": "absent"}, "holder"),
        ({"directory": "/srv", "count": 0}, "count=0 is not one of 1 to 16384"),
        ({"directory": "/srv", "count": 16385}, "count=16385 is not one of 1 to 16384"),
        ({"directory": "/srv", "writers": 65}, "writers=65 is not one of 1 to 64"),
        ({"directory": "/srv", "hold": 3601}, "hold=3601 is not one of 10 to 3600"),
        ({"directory": "/srv", "timeout": 0}, "timeout=0 is not one of 1 to 600"),
        ({"directory": "/srv", "block_bytes": 512}, "block_bytes=512 is no multiple of 4096 up to 65536"),
        ({"directory": "/srv", "block_bytes": 131072}, "block_bytes=131072 is no multiple of 4096 up to 65536"),
        ({"directory": "/srv", "stride": 4095}, "stride=4095 is no multiple of block_bytes=4096"),
        ({"directory": "/srv", "stride": 0}, "stride=0 is no multiple of block_bytes=4096"),
        ({"directory": "/srv", "stride": 1 << 40}, "or makes the file larger than"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(asked: list[Any], arguments: dict[str, Any], told: str) -> None:
    result = MARKERS.run(arguments)
    assert result["failed"]
    assert told in result["msg"]
    assert asked == []
