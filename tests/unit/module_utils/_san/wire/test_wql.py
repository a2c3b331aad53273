# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a value holds, WQL reads back just that value, and no name that is none gets into a query."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import InvalidInput
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import wql
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.cim_path import ObjectPath, parse_path

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
HOSTILE = st.text(st.sampled_from("\"'\\%_[]^-a "), max_size=12)


def read_literal(text: str, start: int) -> tuple[str, int]:
    """WMI's reading of a quoted string: the value, and where it ends. A backslash takes the next character as it is."""
    quote = text[start]
    assert quote in "\"'"
    value, position = "", start + 1
    while text[position] != quote:
        position += text[position] == "\\"
        value += text[position]
        position += 1
    return value, position + 1


def like(pattern: str) -> re.Pattern[str]:
    """WMI's LIKE as a regular expression: `%` any text, `_` any character, `[…]` and `[^…]` one of or none of a set."""
    parts = re.findall(r"\[\^?[^\]]+\]|.", pattern, re.DOTALL)
    known = {"%": ".*", "_": "."}
    return re.compile("".join(known.get(part) or (_set(part) if len(part) > 1 else re.escape(part)) for part in parts), re.DOTALL)


def _set(part: str) -> str:
    negated = part.startswith("[^") and len(part) > 3
    return f"[{'^' if negated else ''}{re.escape(part[2 if negated else 1 : -1])}]"


@given(st.one_of(TEXTS, HOSTILE))
def test_any_text_is_read_back_as_it_was_and_nothing_follows_it(text: str) -> None:
    written = wql.literal(text)
    assert read_literal(written, 0) == (text, len(written))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (7, "7"),
        (-1, "-1"),
        (True, "TRUE"),
        (False, "FALSE"),
        (None, "NULL"),
        ('C:\\a "b"', '"C:\\\\a \\"b\\""'),
        (datetime(2026, 1, 2, 3, 4, 5, 6, timezone.utc), '"20260102030405.000006+000"'),
    ],
)
def test_every_type_has_its_literal(value: wql.Value, written: str) -> None:
    assert wql.literal(value) == written


def test_a_nul_character_is_refused() -> None:
    with pytest.raises(InvalidInput, match="NUL character"):
        wql.equals("Name", "a\0b")


@given(st.one_of(TEXTS, HOSTILE), st.one_of(TEXTS, HOSTILE))
def test_a_prefix_matches_what_begins_with_it_and_nothing_else(prefix: str, text: str) -> None:
    condition = wql.starts_with("InstanceID", prefix)
    pattern, end = read_literal(condition, len("InstanceID LIKE "))
    assert end == len(condition)
    assert bool(like(pattern).fullmatch(text)) == text.startswith(prefix)
    assert like(pattern).fullmatch(prefix + text)


def test_a_query_names_its_columns_and_condition() -> None:
    where = wql.all_of([wql.equals("IsOffline", False), wql.one_of("Number", [1, 2]), wql.equals("Path", None)])
    assert wql.select("MSFT_Disk", ["Number", "UniqueId"], where) == (
        "SELECT Number, UniqueId FROM MSFT_Disk WHERE (IsOffline = FALSE AND (Number = 1 OR Number = 2) AND Path IS NULL)"
    )


def test_a_query_without_columns_is_for_all_of_them() -> None:
    assert wql.select("MSFT_Disk") == "SELECT * FROM MSFT_Disk"
    assert wql.select("MSFT_Disk", (), wql.equals("Guid", None)) == "SELECT * FROM MSFT_Disk WHERE Guid IS NULL"


def test_one_condition_needs_no_parentheses() -> None:
    assert wql.one_of("Number", [1]) == "Number = 1"


@pytest.mark.parametrize("build", [lambda: wql.any_of([]), lambda: wql.all_of([]), lambda: wql.one_of("Number", [])])
def test_no_condition_at_all_is_a_mistake_and_not_everything(build: pytest.FixtureRequest) -> None:
    with pytest.raises(ValueError, match="at least one condition"):
        build()  # type: ignore[operator]


@pytest.mark.parametrize("name", ["", "a b", "1a", "a;b", 'a"', "a.b", "a-b", "*"])
def test_what_is_no_name_does_not_get_into_a_query(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a WMI class or property"):
        wql.select(name)
    with pytest.raises(ValueError, match="no name of a WMI class or property"):
        wql.equals(name, 1)
    with pytest.raises(ValueError, match="no name of a WMI class or property"):
        wql.select("MSFT_Disk", [name])


@given(st.one_of(TEXTS, HOSTILE))
def test_associators_are_asked_for_by_the_path_without_its_host(value: str) -> None:
    path = ObjectPath("Msvm_ComputerSystem", {"Name": value}, "root/virtualization/v2", "HOST")
    query = wql.associators_of(path, "Msvm_SettingsDefineState", "Msvm_VirtualSystemSettingData")
    head, tail = "ASSOCIATORS OF {", "} WHERE AssocClass = Msvm_SettingsDefineState ResultClass = Msvm_VirtualSystemSettingData"
    assert query.startswith(head)
    assert query.endswith(tail)
    assert parse_path(query[len(head) : -len(tail)]).keys == {"Name": value}


def test_associators_of_any_kind_need_no_where() -> None:
    path = ObjectPath("MSCluster_Resource", {"Name": "d"}, "root/MSCluster")
    assert wql.associators_of(path) == 'ASSOCIATORS OF {MSCluster_Resource.Name="d"}'
    assert wql.associators_of(path, result_role="Part").endswith("} WHERE ResultRole = Part")
