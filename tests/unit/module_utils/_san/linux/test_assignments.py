# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of shell assignments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.linux.assignments import parse_assignments


def test_quotes_comments_and_other_lines() -> None:
    text = '# a comment\nNAME="Debian GNU/Linux"\nID=debian\nPRODUCT_BRAND=\'XCP-ng\'\nEMPTY=\nnot an assignment\nESCAPED="a\\"b"'
    assert parse_assignments(text) == {"NAME": "Debian GNU/Linux", "ID": "debian", "PRODUCT_BRAND": "XCP-ng", "EMPTY": "", "ESCAPED": 'a"b'}


def test_an_unfinished_quote_is_taken_as_it_is() -> None:
    assert parse_assignments("NAME='Debian") == {"NAME": "'Debian"}


@given(st.text())
def test_no_text_makes_it_fail(text: str) -> None:
    assert all(name.isidentifier() for name in parse_assignments(text))
