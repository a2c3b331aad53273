# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print a storage map as a table, and check the LUNs that a demo made: ``python -m tests.lab.show_map FILE --lun NAME --lun NAME``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = ("hypervisor_type", "cluster", "host", "vm_name", "disk", "kind", "naa", "array", "svm", "where", "lun_id", "status")


def table(mappings: list[dict[str, Any]]) -> str:
    """Return the rows in columns."""
    rows = [[str(value) for value in _cells(row)] for row in mappings]
    widths = [max(len(row[column]) for row in [list(COLUMNS), *rows]) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [list(COLUMNS), *rows]
    )


def _cells(row: dict[str, Any]) -> list[Any]:
    where = row["lun_path"] or row["volume"] or row["device"]
    shown = {**row, "where": where, "lun_id": "" if row["lun_id"] is None else row["lun_id"]}
    return [shown[column] for column in COLUMNS]


def complaints(mappings: list[dict[str, Any]], lun: str) -> list[str]:
    """Return what is wrong with the row of the LUN, which must be one pass-through disk, known down to the array."""
    found = [row for row in mappings if row["lun_path"].endswith(f"/{lun}")]
    if len(found) != 1:
        return [f"the map has {len(found)} rows for LUN {lun}, not 1"]
    row = found[0]
    wrong = [f"{column} of {lun} is empty" for column in ("array", "array_address", "svm", "volume", "lun_path") if not row[column]]
    expected = "600a0980" + row["serial"].encode().hex()
    return wrong + ([f"naa of {lun} is {row['naa']}, not {expected}"] if row["naa"] != expected else [])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--lun", action="append", default=[])
    options = parser.parse_args()
    listed = json.loads(options.file.read_text())["mappings"]
    print(table(listed))
    if problems := [problem for lun in options.lun for problem in complaints(listed, lun)]:
        sys.exit(f"The map is wrong: {'; '.join(problems)}.")
