# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains of images: which file has what, and when nobody can tell."""

from __future__ import annotations

import uuid

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.extents import Span
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files import image as images
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.image import (
    OF_PARENT,
    HardDiskFile,
    Parent,
    Pieces,
    composed,
    refuse_other_parent,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.hard_disk_files.reading import NotTold, Storage
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import DATA, HOLE, NO_ADDRESS

ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)
BASE = HardDiskFile("base", 100, 512, ONE, [Span(0, 40, DATA, "base", 1000), Span(60, 40, DATA, "base", 1060)])
CHILD = HardDiskFile(
    "child",
    120,
    512,
    TWO,
    [
        Span(0, 10, DATA, OF_PARENT, 0),
        Span(10, 10, DATA, "child", 500),
        Span(20, 10, HOLE),
        Span(30, 90, DATA, OF_PARENT, 30),
    ],
    Parent(frozenset({ONE})),
)


def test_what_is_the_parents_is_where_the_parent_has_it() -> None:
    assert composed([CHILD, BASE]) == [
        Span(0, 10, DATA, "base", 1000),
        Span(10, 10, DATA, "child", 500),
        Span(20, 10, HOLE),
        Span(30, 10, DATA, "base", 1030),
        Span(40, 20, HOLE),
        Span(60, 40, DATA, "base", 1060),
        Span(100, 20, HOLE),
    ]


def test_a_parent_that_nobody_read_has_no_addresses() -> None:
    spans = composed([CHILD])
    assert [span.state for span in spans] == [NO_ADDRESS, DATA, HOLE, NO_ADDRESS]
    assert spans[0].reason == "the parent of child was not read"
    assert composed([]) == []


def test_another_parent_than_the_image_was_made_from_is_refused() -> None:
    refuse_other_parent(CHILD, BASE)
    for image, parent in ((CHILD, CHILD), (BASE, BASE)):
        with pytest.raises(NotTold, match=r"is not what .* was made from"):
            refuse_other_parent(image, parent)


def test_a_map_of_too_many_pieces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_PIECES", 3)
    pieces = Pieces(Storage("one", 1000), 1000)
    for number in range(3):
        pieces.add(number * 10, 5, DATA, number * 10)
    with pytest.raises(NotTold, match="one is in more than 3 pieces"):
        pieces.add(500, 5, DATA, 500)
