# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""XML of a stranger: what is read, and what is refused before it is parsed."""

from __future__ import annotations

import contextlib
import xmlrpc.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire import xapi_xml

ENTITIES = "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"


def test_words_come_without_the_blanks_that_drivers_write() -> None:
    root = xapi_xml.document("<?xml version='1.0' ?>\n<Devlist>\n\t<size>\n\t\t1024\n\t</size>\n</Devlist>\n")
    assert (xapi_xml.words(root, "size"), xapi_xml.words(root, "lun")) == ("1024", "")


@pytest.mark.parametrize("text", [ENTITIES, "", "<a>", "no xml", "<a>\0</a>"])
def test_a_document_that_is_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"document type|no XML"):
        xapi_xml.document(text)


@pytest.mark.parametrize(
    "content",
    [ENTITIES.encode(), ENTITIES.encode("utf-16"), ENTITIES.encode("utf-16-le"), b"", b"<a/>", b"\xff"],
    ids=["utf-8", "utf-16", "utf-16 without mark", "nothing", "other", "binary"],
)
def test_an_answer_that_is_none_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        xapi_xml.answer(content)


@given(st.recursive(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])), st.lists, max_leaves=5))
def test_what_was_sent_is_read(value: object) -> None:
    content = xmlrpc.client.dumps((value,), methodresponse=True).encode()  # type: ignore[arg-type]
    if "<!" not in str(value):
        assert xapi_xml.answer(content) == value


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    with contextlib.suppress(ValueError, xmlrpc.client.Fault):
        xapi_xml.answer(content)
