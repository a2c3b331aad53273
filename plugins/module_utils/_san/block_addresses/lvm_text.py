# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text in which LVM keeps what a volume group is made of: sections, and keys with numbers, strings and lists of them. Pure.

The grammar is that of LVM2's libdm/libdm-config.c, as far as lib/format_text/export.c writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(r'(?:\s|#[^\n]*(?:\n|\Z))*(?:("(?:[^"\\]|\\.)*")|([A-Za-z0-9_.+-]+)|([][{}=,]))', re.DOTALL)
_REST = re.compile(r"(?:\s|#[^\n]*(?:\n|\Z))*\Z")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DEEPEST = 8
_END = ""


class NotLvm(ValueError):
    """The text is none that LVM writes."""


def parse(text: str) -> dict[str, Any]:
    """A text as sections in sections. Raises `NotLvm`."""
    return _section(_words(text), _END, 0)


def _words(text: str) -> Iterator[str]:
    """Words, strings with their quotation marks, and signs; an empty one at the end."""
    at = 0
    while not _REST.match(text, at):
        found = _TOKEN.match(text, at)
        if not found:
            raise NotLvm(f"no word of LVM's at character {at}")
        yield found.group(found.lastindex or 0)
        at = found.end()
    yield _END


def _section(words: Iterator[str], end: str, deep: int) -> dict[str, Any]:
    """What is told up to the end of a section."""
    if deep > _DEEPEST:
        raise NotLvm("sections lie deeper in each other than LVM writes them")
    told: dict[str, Any] = {}
    for name in words:
        if name == end:
            return told
        sign = next(words, _END)
        if not name or name[0] in '"[]{}=,' or sign not in ("{", "=") or name in told:
            raise NotLvm(f"{name} is no name of a section or value, or is there twice")
        told[name] = _section(words, "}", deep + 1) if sign == "{" else _value(words)
    raise NotLvm("a section has no end")


def _value(words: Iterator[str]) -> Any:
    first = next(words, _END)
    return _list(words) if first == "[" else _scalar(first)


def _list(words: Iterator[str]) -> list[Any]:
    found: list[Any] = []
    word = next(words, _END)
    while word != "]":
        found.append(_scalar(word))
        word = next(words, _END)
        if word == ",":
            word = next(words, _END)
        elif word != "]":
            raise NotLvm("a list has no end")
    return found


def _scalar(word: str) -> str | int:
    if word[:1] == '"':
        return _ESCAPED.sub(r"\1", word[1:-1])
    if not re.fullmatch(r"[+-]?[0-9]+", word):
        raise NotLvm(f"{word} is no value")
    return int(word)
