# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""WQL finds what it says, and what WMI calls invalid is invalid."""

from __future__ import annotations

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.hyperv.cim import BadPath, Instance, ObjectPath
from tests.lab.hyperv.installation import CLASSES
from tests.lab.hyperv.mof import CimClass, Element, read_schema
from tests.lab.hyperv.wql import Select, Walk, WqlError, parse

BASE = CimClass("Base", None, {"Name": Element("Name", "string", qualifiers=frozenset({"key"}))})
THING = CimClass(
    "Thing",
    BASE,
    {
        **BASE.properties,
        "Size": Element("Size", "uint64"),
        "Good": Element("Good", "boolean"),
        "Tags": Element("Tags", "string", array=True),
        "Since": Element("Since", "datetime"),
    },
)
ALPHA = Instance(
    THING, {"Name": "Alpha\\One", "Size": 5, "Good": True, "Tags": ["x"], "Since": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)}
)
NAMELESS = Instance(THING, {"Size": 7, "Good": False})


def holds(condition: str, instance: Instance = ALPHA) -> bool:
    query = parse(f"SELECT * FROM Thing WHERE {condition}")
    assert isinstance(query, Select)
    return query.bind(THING)(instance)


@pytest.mark.parametrize(
    "condition",
    [
        "Name = 'alpha\\\\one'",
        'NAME="ALPHA\\\\ONE"',
        "Size = 5 AND Good = TRUE",
        "Size > 4 AND Size < 6 AND Size >= 5 AND Size <= 5",
        "Size <> 6 OR Size = 6",
        "NOT Size != 5",
        "NOT (Size = 6 OR Good = FALSE)",
        "Size = 6 OR Size = 5 AND Good = TRUE",
        "Size = '5'",
        "Good = 'true'",
        "Name LIKE 'alpha%'",
        "Name LIKE '%one'",
        "Name LIKE '_lpha\\\\[a-p]ne'",
        "Name LIKE 'alpha\\\\[^x]ne'",
        "Name IS NOT NULL",
        "__CLASS = 'thing'",
        "__this ISA 'base'",
        "Since > '20260101'",
    ],
)
def test_a_condition_that_holds(condition: str) -> None:
    assert holds(condition)


@pytest.mark.parametrize(
    "condition", ["Name = 'alpha'", "Size > 5", "Name LIKE 'alpha_'", "Name IS NULL", "__this ISA 'Other'", "Good = FALSE"]
)
def test_a_condition_that_does_not_hold(condition: str) -> None:
    assert not holds(condition)


def test_nothing_is_equal_to_a_missing_value_but_null() -> None:
    assert holds("Name IS NULL", NAMELESS)
    assert holds("Name = NULL", NAMELESS)
    assert not holds("Name = ''", NAMELESS)
    assert not holds("Name <> 'x'", NAMELESS)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "SELECT",
        "SELECT * Thing",
        "SELECT * FROM Thing WHERE",
        "SELECT * FROM Thing WHERE Nothing = 1",
        "SELECT Nothing FROM Thing",
        "SELECT * FROM Thing WHERE Tags = 'x'",
        "SELECT * FROM Thing WHERE Name = 'a\\b'",
        "SELECT * FROM Thing WHERE Name = 'a",
        "SELECT * FROM Thing WHERE (Size = 1",
        "SELECT * FROM Thing WHERE Size = 1 ORDER BY Name",
        "SELECT * FROM Thing WHERE Size LIKE 5",
        "SELECT * FROM Thing WHERE Size < NULL",
        "SELECT * FROM Thing; DROP",
        "DELETE FROM Thing",
        "ASSOCIATORS OF {Thing.Name='x'",
        "ASSOCIATORS OF {Thing.Name='x'} WHERE Size = 5",
        "ASSOCIATORS OF {not a path at all}",
        "REFERENCES OF {Thing.Name='x'} WHERE AssocClass = Link",
    ],
)
def test_an_invalid_query_is_refused(query: str) -> None:
    with pytest.raises(WqlError):  # noqa: PT012 - some are refused only when bound to their class
        parsed = parse(query)
        assert isinstance(parsed, Select)
        parsed.bind(THING)(ALPHA)


def test_associators_with_all_conditions() -> None:
    text = 'ASSOCIATORS OF {Thing.Name="a}\\"b\\\\c"} WHERE AssocClass = Link ResultClass=Base Role = Left ResultRole = Right'
    assert parse(text) == Walk(ObjectPath.of("Thing", Name='a}"b\\c'), False, "Link", "Base", "Left", "Right")


@given(st.text(min_size=1))
def test_any_text_comes_back_from_a_path(text: str) -> None:
    path = ObjectPath("Thing", (("Name", text),), "root/cimv2", "HOST")
    assert ObjectPath.parse(str(path)) == path


@given(st.text(alphabet=st.characters(exclude_characters="%_[]", codec="utf-8")))
def test_a_pattern_without_wildcards_matches_itself(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    instance = Instance(THING, {"Name": text})
    assert holds(f"Name LIKE '{quoted}'", instance)


@pytest.mark.parametrize("text", ["", "Thing.", "Thing.Name", "Thing.Name=", "Thing.Name='x' y", ".Name='x'"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(BadPath):
        ObjectPath.parse(text)


def test_an_instance_has_only_the_properties_of_its_class() -> None:
    with pytest.raises(KeyError, match=re.escape("Thing has no ['Colour']")):
        Instance(THING, {"Colour": "red"})


def test_class_tables_know_keys_references_and_parameters() -> None:
    schema = read_schema(CLASSES / "virtualization.mof")
    service = schema["msvm_virtualsystemmanagementservice"]
    assert service.keys == ("CreationClassName", "Name", "SystemCreationClassName", "SystemName")
    add = service.methods["AddResourceSettings"]
    assert add.inputs["AffectedConfiguration"].reference
    assert add.inputs["ResourceSettings"].array
    assert set(add.outputs) == {"ResultingResourceSettings", "Job"}
