# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Forms of one entry: every byte of it, and a word about everything that is none."""

from __future__ import annotations

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.form_data import only_entry

KIND = "multipart/form-data; boundary=frontier"
HEAD = b'--frontier\r\nContent-Disposition: form-data; name="data"\r\nContent-Type: application/octet-stream\r\n\r\n'
END = b"\r\n--frontier--\r\n"


@given(data=st.binary(max_size=200).filter(lambda data: b"frontier" not in data))
def test_the_entry_is_told_to_the_last_byte(data: bytes) -> None:
    assert only_entry(KIND, HEAD + data + END) == data


@given(data=st.binary(max_size=200))
def test_what_another_library_makes_of_bytes_is_read_as_these_bytes(data: bytes) -> None:
    body, kind = urllib3.encode_multipart_formdata({"data": ("data", data, "application/octet-stream")})
    assert only_entry(kind, body) == data


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"--", b"\r\n--front", b"a\r\n\r\nb"])
def test_bytes_that_look_like_the_forms_own_are_data(data: bytes) -> None:
    assert only_entry(KIND, HEAD + data + END) == data


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ('multipart/form-data; boundary="frontier"', HEAD + b"data" + END),
        ("Multipart/Form-Data;boundary=frontier", HEAD + b"data" + END),
        (KIND, b"a preamble\r\n" + HEAD + b"data" + END),
        (KIND, HEAD + b"data" + b"\r\n--frontier--"),
        (KIND, b"--frontier\r\n\r\ndata" + END),
    ],
)
def test_what_a_form_may_look_like_is_read(kind: str, body: bytes) -> None:
    assert only_entry(kind, body) == b"data"


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("application/json", b"{}", "content of the type 'application/json'"),
        ("", b"", "content of the type ''"),
        ("multipart/form-data", HEAD + b"data" + END, "content of the type"),
        (f"multipart/form-data; boundary={'x' * 71}", b"", "content of the type"),
        (KIND, b"", "a form that is not whole"),
        (KIND, HEAD + b"data", "a form that is not whole"),
        (KIND, HEAD + b"data\r\n" + HEAD + b"more" + END, "a form of several entries"),
        (KIND, b"--frontier\r\nContent-Type: text/plain\r\ndata" + END, "a form whose entry has no beginning"),
        (KIND, b"--frontierland\r\n\r\ndata" + END, "a form whose entry has no beginning"),
    ],
)
def test_what_is_none_is_told(kind: str, body: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        only_entry(kind, body)
