# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person calls a piece of storage by one word: a LUN, a volume, an export, an SVM or an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.scsi_name import ScsiName

Row = Mapping[str, Any]
"""The columns of the map that a LUN, an export or a device fills."""


def meanings(word: str) -> Sequence[tuple[bool, Callable[[Row], bool]]]:
    """What the word may mean, the surest first, and whether that is a LUN."""
    name = ScsiName.try_parse(word)
    svm, colon, rest = word.partition(":")
    return (
        (True, lambda row: name is not None and _text(row, "naa") == name.naa),
        (True, lambda row: _text(row, "serial") == word or _text(row, "serial").encode("utf-8", "replace").hex() == word.lower()),
        (True, lambda row: _text(row, "lun_path") == word),
        (True, lambda row: bool(colon) and (_text(row, "svm"), _text(row, "lun_path")) == (svm, rest)),
        (True, lambda row: _text(row, "lun_path").rpartition("/")[2] == word),
        (False, lambda row: _text(row, "device") == word),
        (False, lambda row: bool(colon) and (_text(row, "svm"), _text(row, "volume")) == (svm, rest)),
        (False, lambda row: _text(row, "volume") == word),
        (False, lambda row: _text(row, "svm") == word),
        (False, lambda row: word in (_text(row, "array"), _text(row, "array_address"))),
    )


def may_be_called(word: str, row: Row) -> bool:
    """Whether the word may mean it, in any of its meanings."""
    return any(meaning(row) for _is_lun, meaning in meanings(word))


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    return "" if value is None else str(value)
