# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes, places and LUNs as users write them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import Slot
from ansible_collections.crossvisor.san.plugins.module_utils._san.wishes import lun_name, place, size_in_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [("10GiB", 10 << 30), ("10 GB", 10 << 30), ("10G", 10 << 30), ("1.5T", 3 << 39), (" 4096 ", 4096), ("512MiB", 512 << 20)],
)
def test_units_are_binary(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "ten", "-1G", "0", "10XB", "10 G B"])
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a size"):
        size_in_bytes(text)


@pytest.mark.parametrize(
    ("text", "slot"),
    [("SCSI(1:3)", Slot(1, 3)), ("scsi(0:15)", Slot(0, 15)), ("1:3", Slot(1, 3)), ("SCSI(2)", Slot(2)), ("2", Slot(2)), (None, Slot())],
)
def test_a_place_is_a_bus_and_a_unit(text: str | None, slot: Slot) -> None:
    assert place(text) == slot


@pytest.mark.parametrize("text", ["", "SCSI", "1:2:3", "IDE(0:1)", "-1:0", "1:x"])
def test_what_is_no_place_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a place"):
        place(text)


@pytest.mark.parametrize("read", [size_in_bytes, place])
@given(text=st.text(max_size=20))
def test_no_text_is_worse_than_invalid(read: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert read(text) is not None


def test_a_lun_is_named_by_spelling_or_serial() -> None:
    assert lun_name("naa.600A0980524C4974612B44687143566B", None) == lun_name(None, "RLIta+DhqCVk")
    with pytest.raises(InvalidInput):
        lun_name("vmhba2:C0:T0:L1", None)


def test_a_lun_that_does_not_exist_yet_is_named_by_what_it_will_be_called() -> None:
    assert str(lun_name(None, None, "svm:/vol/v/l")) == "svm:/vol/v/l"
    with pytest.raises(InvalidInput, match="without saying what it will be called"):
        lun_name(None, None, "")
