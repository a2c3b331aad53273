# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit tests in several processes, each of which reads and runs a part of the files, with `--part 1/3` and so on.

That costs a third of the processor's time less than one process that hands tests to others, each of which has to read all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

UNIT = Path(__file__).parent / "unit"


def add_option(parser: pytest.Parser) -> None:
    """Make `--part` known."""
    parser.addoption("--part", metavar="N/OF", type=_part, help="of the files of tests/unit, only one part of so many")


def _part(text: str) -> tuple[int, int]:
    number, _slash, count = text.partition("/")
    part = int(number), int(count)
    if not 1 <= part[0] <= part[1]:
        raise ValueError(text)
    return part


def is_another_s(file: Path, config: pytest.Config) -> bool:
    """Whether a file of unit tests is in another part than the one that was asked for."""
    part: tuple[int, int] | None = config.getoption("--part")
    if part is None or not file.is_relative_to(UNIT) or not _is_test(file):
        return False
    return file not in _dealt(part[1])[part[0] - 1]


@cache
def _dealt(count: int) -> Sequence[Collection[Path]]:
    return dealt({file: file.stat().st_size for file in UNIT.rglob("test_*.py")}, count)


def dealt(sizes: Mapping[Path, int], count: int) -> Sequence[Collection[Path]]:
    """The files by their sizes in as many parts, each file in one, the largest first and to whoever has least."""
    parts: list[set[Path]] = [set() for _number in range(count)]
    totals = [0] * count
    for size, file in sorted(((size, file) for file, size in sizes.items()), reverse=True):
        least = totals.index(min(totals))
        parts[least].add(file)
        totals[least] += size
    return parts


def _is_test(file: Path) -> bool:
    return file.name.startswith("test_") and file.suffix == ".py"
