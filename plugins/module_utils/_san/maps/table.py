# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of a map as a table for spreadsheets and programs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.maps.document import MAPPINGS, Document, rows_of
from ansible_collections.crossvisor.san.plugins.module_utils._san.model import StorageMapping

COLUMNS = tuple(StorageMapping.__annotations__)
_FORMULA = re.compile(r"""^(?=[\t\r\n])|(?:^|(?<=[;\t\r\n]))(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])(?!-\d+(?:\.\d+)?\Z)""")
"""Where a cell, or what behind another separator could be one, begins that a spreadsheet would take for a formula; a number is none."""


def csv_lines(document: Document) -> Iterable[str]:
    """The header, then a line for each row. Every cell is quoted; what is unknown is empty, and several mount points are one cell."""
    yield ",".join(COLUMNS)
    for row in rows_of(document, MAPPINGS):
        yield ",".join(_quoted(row.get(column)) for column in COLUMNS)


def columns_and_rows(document: Document) -> dict[str, list[Any]]:
    """The names of what a row can tell, each once, and for each row the values in that order; what a row does not tell is None."""
    return {"columns": list(COLUMNS), "rows": [[row.get(column) for column in COLUMNS] for row in rows_of(document, MAPPINGS)]}


def _quoted(value: Any) -> str:
    if value is None:
        return '""'
    text = "; ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
    safe = _FORMULA.sub("'", text).replace('"', '""')
    return f'"{safe}"'
