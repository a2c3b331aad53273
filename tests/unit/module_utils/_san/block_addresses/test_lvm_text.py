# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of LVM's metadata: whatever LVM could write is read as it was meant, and nothing else is read at all."""

from __future__ import annotations

import contextlib
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.block_addresses.lvm_text import NotLvm, parse

NAMES = st.text(string.ascii_letters + string.digits + "_.+-", min_size=1, max_size=8)
SCALARS = st.one_of(st.integers(-5, 1 << 64), st.text(max_size=12))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=4))
TREES = st.recursive(
    st.dictionaries(NAMES, VALUES, max_size=4), lambda below: st.dictionaries(NAMES, VALUES | below, max_size=4), max_leaves=9
)


def written(tree: dict[str, Any], between: str) -> str:
    """A text as LVM writes it, with a comment behind each line, or with nothing but spaces between."""
    lines = []
    for name, value in tree.items():
        lines.append(f"{name} {{{between}{written(value, between)}}}" if isinstance(value, dict) else f"{name} = {literal(value)}")
    return "".join(f"{line}{between}" for line in lines)


def literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return str(value) if isinstance(value, int) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(TREES, st.sampled_from(['\t# a comment "with" } signs {\n', "\n\n", " "]))
def test_what_lvm_writes_is_read_as_it_was_meant(tree: dict[str, Any], between: str) -> None:
    assert parse(written(tree, between)) == tree


@given(TREES, st.data())
def test_what_was_cut_off_is_not_read_as_something_else(tree: dict[str, Any], data: st.DataObject) -> None:
    text = f"group {{ {written(tree, ' ')} }}"
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(NotLvm):
        parse(cut)


@given(st.text(string.printable, max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(NotLvm):
        assert isinstance(parse(text), dict)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a =",
        "a = b",
        "a {",
        "}",
        "a = [1",
        "a = [1 2]",
        "a = 1 a = 2",
        '"a" = 1',
        "= 1",
        'a = "x',
        "a = 1.5",
        "a = §",
        "a {" * 200 + "}" * 200,
    ],
)
def test_what_lvm_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(NotLvm):
        parse(text)
