# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page reads the name of a LUN by the rules of scsi_name.py: what one takes for a LUN, the other takes for the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser

from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName
from tests.lun_spellings import LUN, OTHER_TEXTS, SPELLINGS_OF_A_LUN
from tests.report_map import ROLE

Call = Callable[[str, list[str]], Any]
Read = Callable[[list[str]], list[str | None]]

PREFIXES = ["", "3", "0x", "naa.", "NAA.", "vml.0200000000", "vml.01", "wwn-0x", "scsi-3", "mpath-3", "/dev/mapper/3", "x"]
SUFFIXES = ["", "p1", "-part2", ":1", "4c55", "4c5", "\n", " x"]
DIGITS = st.sampled_from([15, 31, 30]).flatmap(lambda count: st.text("0123456789abcdefABCDEF", min_size=count, max_size=count))
ALMOST_NAMES = st.builds("{}{}{}{}".format, st.sampled_from(PREFIXES), st.sampled_from("2356"), DIGITS, st.sampled_from(SUFFIXES))
ANY_TEXTS = st.lists(ALMOST_NAMES | st.text(st.characters(codec="utf-8"), max_size=20), max_size=20)


@pytest.fixture(scope="module")
def read(browser: Browser) -> Iterator[Call]:
    """`read(function, texts)` is what the page's function says of each text."""
    page = browser.new_page()
    page.add_script_tag(path=ROLE / "files" / "page" / "scsi_name.js")
    yield lambda function, texts: page.evaluate(f"texts => texts.map({function})", texts)
    page.close()


@pytest.fixture(scope="module")
def names(read: Call) -> Read:
    return lambda texts: read("lunName", texts)


def by_python(texts: list[str]) -> list[str | None]:
    return [name.naa if name else None for name in map(ScsiName.try_parse, texts)]


def test_every_spelling_is_the_lun(names: Read) -> None:
    assert names(SPELLINGS_OF_A_LUN) == [LUN] * len(SPELLINGS_OF_A_LUN)


def test_nothing_else_is(names: Read) -> None:
    assert names(list(OTHER_TEXTS.values())) == [None] * len(OTHER_TEXTS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANY_TEXTS)
def test_of_any_texts_both_say_the_same(names: Read, texts: list[str]) -> None:
    assert names(texts) == by_python(texts)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=12), min_size=1, max_size=20))
def test_a_serial_number_is_the_lun_of_ontap_or_of_7_mode(read: Call, serials: list[str]) -> None:
    luns = [[ScsiName.from_ontap_serial(serial).naa, ScsiName.from_7mode_serial(serial).naa] for serial in serials]
    assert read("namesOfSerial", serials) == luns
    assert read("netappSerial", serials) == serials
    assert read("netappSerial", [serial.encode().hex().upper() for serial in serials]) == serials
    assert read("serialInName", [ontap for ontap, _hex in luns]) == serials


@pytest.mark.parametrize("text", ["RLIta+DhqCV", "RLIta DhqCVk", "RLIta\u00e9DhqCVk", "0" * 24, "", "524c4974612b44687143566"])
def test_what_is_no_serial_number_is_none(read: Call, text: str) -> None:
    assert read("netappSerial", [text]) == [None]
