# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit tests in several processes, each of which reads and runs a part of the files, with `--part 1/3` and so on.

That costs a third of the processor's time less than one process that hands tests to others, each of which has to read all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
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


def in_another_part(file: Path, config: pytest.Config) -> bool:
    """Whether a file of unit tests is in another part than the one that was asked for."""
    part: tuple[int, int] | None = config.getoption("--part")
    return part is not None and number_of(file, part[1]) not in (None, part[0])


def number_of(file: Path, count: int) -> int | None:
    """Which of so many parts a file of unit tests is in, from 1 on, by its place among all; None for every other file."""
    place = _places().get(file)
    return None if place is None else place % count + 1


@cache
def _places() -> Mapping[Path, int]:
    return {file: place for place, file in enumerate(sorted(UNIT.rglob("test_*.py")))}
