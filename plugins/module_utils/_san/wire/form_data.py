# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one entry of an answer that is a form: `multipart/form-data` (RFC 7578, RFC 2046 chapter 5.1). Pure."""

from __future__ import annotations

from email.message import Message

KIND = "multipart/form-data"
_LONGEST_BOUNDARY = 70
_LINE, _HEAD_ENDS = b"\r\n", b"\r\n\r\n"


def only_entry(content_type: str, body: bytes) -> bytes:
    """The bytes of the entry. Raises `ValueError`, whose text says what is there instead."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != KIND or not isinstance(boundary, str) or not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise ValueError(f"content of the type {content_type!r:.100}")
    mark = b"--" + boundary.encode("ascii", "replace")
    whole = _LINE + body
    _before, begins, rest = whole.partition(_LINE + mark)
    entry, ends, after = rest.partition(_LINE + mark)
    if not begins or not ends:
        raise ValueError("a form that is not whole")
    if not after.startswith(b"--"):
        raise ValueError("a form of several entries")
    head, between, data = entry.partition(_HEAD_ENDS)
    if not between or (head and not head.startswith(_LINE)):
        raise ValueError("a form whose entry has no beginning")
    return data
