# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values in and out of ZAPI's elements: nothing is lost on the way in, and nothing is guessed on the way out."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from netapp_lib.api.zapi.zapi import NaElement

from ansible_collections.crossvisor.san.plugins.module_utils._san.arrays.ontap_zapi.elements import (
    Unexpected,
    as_texts,
    flag_at,
    moment_at,
    nested,
    number_at,
    number_or_none,
    records_at,
    text_at,
    texts_at,
    tree_of,
)


def element(xml: str) -> Any:
    return NaElement(etree.fromstring(f'<results xmlns="http://www.netapp.com/filer/admin">{xml}</results>'))


def test_zero_and_false_are_texts_and_nothing_is_left_out() -> None:
    written = NaElement("lun-map")
    written.translate_struct(as_texts({"lun-id": 0, "force": False, "online": True, "path": "/vol/v/l", "tag": None}))
    assert written.to_string(encoding="unicode") == (
        "<lun-map><lun-id>0</lun-id><force>false</force><online>true</online><path>/vol/v/l</path></lun-map>"
    )


def test_what_is_within_each_other_is_written_in_texts_too() -> None:
    assert as_texts({"a": {"n": 0}, "l": [True, 2]}) == {"a": {"n": "0"}, "l": ["true", "2"]}
    assert nested({"a.b": "1", "a.c": "2", "d": "3"}) == {"a": {"b": "1", "c": "2"}, "d": "3"}


def test_an_empty_text_is_none_of_the_values() -> None:
    blank = element("<a> </a><list><one/><one>x</one></list>")
    for read in (number_at, flag_at):
        with pytest.raises(Unexpected, match="a record whose a is ''"):
            read(blank, "a")
    assert texts_at(blank, "list") == ["", "x"]


def test_desired_fields_are_elements_within_each_other() -> None:
    assert tree_of(["a.b", "a.c", "d"]) == {"a": {"b": "", "c": ""}, "d": ""}


def test_values_are_read_by_their_path() -> None:
    record = element("<a><b> text </b><n>7</n><t>true</t></a><list><one>x</one><one>y</one></list>")
    assert (text_at(record, "a.b"), number_at(record, "a.n"), flag_at(record, "a.t")) == ("text", 7, True)
    assert (texts_at(record, "list"), len(records_at(record, "list"))) == (["x", "y"], 2)


def test_what_is_not_there_is_the_default() -> None:
    record = element("<empty/>")
    assert (text_at(record, "a.b", ""), number_at(record, "a", 5), flag_at(record, "a", True)) == ("", 5, True)
    assert (number_or_none(record, "a"), number_or_none(record, "empty")) == (None, None)
    assert (texts_at(record, "a"), records_at(record, "a")) == ([], [])


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (lambda record: text_at(record, "a.b"), r"a record without a\.b"),
        (lambda record: number_at(record, "word"), "a record whose word is 'seven'"),
        (lambda record: number_at(record, "minus"), "a record whose minus is '-7'"),
        (lambda record: number_at(record, "none"), "a record without none"),
        (lambda record: flag_at(record, "word"), "a record whose word is 'seven'"),
    ],
)
def test_what_cannot_be_understood_is_not_guessed(read: Any, told: str) -> None:
    with pytest.raises(Unexpected, match=told):
        read(element("<word>seven</word><minus>-7</minus>"))


def test_a_moment_is_told_in_seconds_and_may_be_missing() -> None:
    there = element("<made>1700000000</made><never>0</never><far>99999999999999999999</far>")
    assert (moment_at(there, "made"), moment_at(there, "never"), moment_at(there, "none")) == ("2023-11-14T22:13:20+00:00", "", "")
    with pytest.raises(Unexpected, match=r"^a record whose far is 99999999999999999999$"):
        moment_at(there, "far")


def test_what_is_there_counts_before_what_stands_in_for_it() -> None:
    there = element("<size>7</size><thin>false</thin><other>\u0667</other>")
    assert (number_at(there, "size", 1), number_at(there, "none", 1), number_or_none(there, "size")) == (7, 1, 7)
    assert (flag_at(there, "thin", True), flag_at(there, "none", True)) == (False, True)
    with pytest.raises(Unexpected):
        number_at(there, "other", 1)
    for missing in (number_at, flag_at):
        with pytest.raises(Unexpected, match="a record without none"):
            missing(there, "none")
