# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several processes run each unit test once: none is left out, and none is run twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parts import UNIT, dealt

ROOT = UNIT.parents[1]
HERE = Path(__file__).parent
SIZES = st.dictionaries(st.integers().map(lambda number: Path(f"test_{number}.py")), st.integers(0, 1 << 20))


@given(SIZES, st.integers(1, 5))
def test_each_file_is_in_one_part(sizes: dict[Path, int], count: int) -> None:
    parts = dealt(sizes, count)
    assert len(parts) == count
    assert Counter(file for part in parts for file in part) == Counter(list(sizes))


@given(SIZES, st.integers(1, 5))
def test_no_part_is_larger_than_another_by_more_than_a_file(sizes: dict[Path, int], count: int) -> None:
    totals = [sum(sizes[file] for file in part) for part in dealt(sizes, count)]
    assert max(totals) - min(totals) <= max(sizes.values(), default=0)


@pytest.mark.slow
def test_pytest_collects_the_files_of_its_part_and_nobody_else_does() -> None:
    collected = [line for number in (1, 2) for line in _collected(HERE, "--part", f"{number}/2")]
    assert Counter(collected) == Counter(_collected(HERE))
    assert len(collected) > 50


@pytest.mark.slow
def test_a_file_that_was_named_is_in_one_part_too() -> None:
    one = HERE / "test_ci.py"
    assert sorted(bool(_collected(one, "--part", f"{number}/3")) for number in (1, 2, 3)) == [False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "a/b"])
def test_a_part_that_there_is_not_is_refused(part: str) -> None:
    assert "argument --part: invalid" in _pytest("--part", part).stderr


def _collected(*arguments: str | Path) -> list[str]:
    return [line for line in _pytest("--collect-only", *arguments).stdout.splitlines() if "::" in line]


def _pytest(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--quiet", *(str(argument) for argument in arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
