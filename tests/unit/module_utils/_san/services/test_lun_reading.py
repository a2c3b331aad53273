# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on a LUN, by whichever array has it and reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import ConnectionFailed
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.array_view import ArraySource
from ansible_collections.crossvisor.san.plugins.module_utils._san.services.lun_reading import LunReader
from tests.unit.ports import NAME, OTHER, MemoryArray, lun

CONTENT = bytes(range(256)) * 8
Given = Callable[..., LunReader]


def having(**told: object) -> MemoryArray:
    return MemoryArray(lun=lun(NAME), data={NAME.naa: CONTENT}, **told)  # type: ignore[arg-type]


@pytest.fixture
def given() -> Iterator[Given]:
    with ExitStack() as undo:

        def make(**arrays: MemoryArray) -> LunReader:
            return LunReader([ArraySource(label, partial(_opened, array)) for label, array in arrays.items()], undo)

        yield make


def _opened(array: MemoryArray) -> MemoryArray:
    if array.error:
        raise ConnectionFailed(array.error)
    array.calls.append("open")
    return array


def test_a_lun_is_read_by_the_array_that_has_it(given: Given) -> None:
    assert given(other=MemoryArray(), mine=having()).read(NAME, 512, 4) == CONTENT[512:516]


def test_an_array_is_opened_and_asked_for_the_lun_once_for_all_reads(given: Given) -> None:
    array = having()
    reader = given(mine=array)
    assert [reader.read(NAME, at, 1) for at in (1, 2)] == [CONTENT[1:2], CONTENT[2:3]]
    assert array.calls == ["open", "luns", "read 1 at 1", "read 1 at 2"]


def test_it_is_closed_in_the_end() -> None:
    array = having()
    with ExitStack() as undo:
        LunReader([ArraySource("mine", partial(_opened, array))], undo).read(NAME, 0, 1)
    assert array.calls[-1] == "close"


def test_without_an_array_that_has_it_the_way_out_is_told(given: Given) -> None:
    assert given().read(NAME, 0, 1) == f"LUN {NAME} is read by its array alone: name that in arrays"
    assert given(other=MemoryArray()).read(NAME, 0, 1) == f"LUN {NAME} is read by its array alone: name that in arrays"


def test_of_two_that_hold_different_bytes_nobody_can_tell_which_are_meant(given: Given) -> None:
    reader = given(one=having(), other=MemoryArray(lun=lun(NAME), data={NAME.naa: CONTENT[:256] + b"?"}))
    assert reader.read(NAME, 0, 256) == CONTENT[:256]
    assert reader.read(NAME, 256, 1) == f"arrays one and other hold different bytes of LUN {NAME} there"


def test_two_places_of_one_name_that_differ_are_not_taken_for_one() -> None:
    places = (having(), MemoryArray(lun=lun(NAME), data={NAME.naa: b"?"}))
    with ExitStack() as undo:
        reader = LunReader([ArraySource("array", partial(_opened, array)) for array in places], undo)
        assert reader.read(NAME, 0, 1) == f"arrays array and array hold different bytes of LUN {NAME} there"


def test_two_accounts_of_one_array_are_two(given: Given) -> None:
    with ExitStack() as undo:
        accounts = (MemoryArray(error="The array refuses user a."), having())
        reader = LunReader([ArraySource("array.example.com", partial(_opened, array)) for array in accounts], undo)
        assert reader.read(NAME, 0, 2) == CONTENT[:2]


def test_of_two_that_present_it_the_one_that_reads_it_does(given: Given) -> None:
    assert given(zapi=having(unreadable="Not over ZAPI."), rest=having()).read(NAME, 0, 2) == CONTENT[:2]


def test_an_array_that_does_not_read_it_is_not_asked_again(given: Given) -> None:
    array = having(unreadable="Not over ZAPI.")
    reader = given(zapi=array)
    assert {reader.read(NAME, at, 1) for at in (0, 1)} == {f"array zapi does not read LUN {NAME}: Not over ZAPI"}
    assert array.calls.count("read 1 at 0") == 1
    assert "read 1 at 1" not in array.calls


def test_an_array_that_does_not_answer_is_told_and_hinders_no_other(given: Given) -> None:
    dead = MemoryArray(error="The array cannot be reached.")
    assert given(dead=dead, mine=having()).read(NAME, 0, 2) == CONTENT[:2]
    several = given(dead=dead, mine=having(others=[lun(OTHER)]))
    assert [several.read(name, 0, 2) for name in (NAME, OTHER)] == [CONTENT[:2], bytes(2)]
    assert given(dead=dead).read(NAME, 0, 2) == "array dead could not be asked: The array cannot be reached"
