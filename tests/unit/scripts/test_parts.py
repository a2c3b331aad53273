# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several processes run each unit test once: none is left out, none is run twice, and what fails in one fails the tier."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.parts import UNIT, number_of

ROOT = UNIT.parents[1]
HERE = Path(__file__).parent


def test_each_file_is_in_one_part_and_no_part_has_more_than_another_by_two() -> None:
    sizes = Counter(number_of(file, 3) for file in UNIT.rglob("test_*.py"))
    assert set(sizes) == {1, 2, 3}
    assert max(sizes.values()) - min(sizes.values()) <= 1


@pytest.mark.parametrize("name", ["unit/ports.py", "live/test_disks.py", "parts.py"])
def test_what_is_no_unit_test_is_in_every_part(name: str) -> None:
    assert number_of(UNIT.parent / name, 3) is None


@pytest.mark.slow
def test_pytest_collects_the_files_of_its_part_and_nobody_else_does() -> None:
    collected = [line for number in (1, 2) for line in _collected(HERE, "--part", f"{number}/2")]
    assert Counter(collected) == Counter(_collected(HERE))
    assert len(collected) > 50


@pytest.mark.slow
def test_a_file_that_was_named_is_in_one_part_too() -> None:
    named = [HERE / "test_ci.py", HERE / "test_parts.py"]
    runs = [_pytest("--collect-only", *named, "--part", f"{number}/3") for number in (1, 2, 3)]
    assert Counter(line for run in runs for line in _tests(run)) == Counter(_collected(*named))
    assert not [run.stdout for run in runs if "ERROR" in run.stdout + run.stderr]


@pytest.mark.slow
@pytest.mark.parametrize("part", ["0/3", "4/3", "3", "a/b"])
def test_a_part_that_there_is_not_is_refused(part: str) -> None:
    assert "argument --part: invalid" in _pytest("--part", part).stderr


def _collected(*arguments: str | Path) -> list[str]:
    return _tests(_pytest("--collect-only", *arguments))


def _tests(run: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in run.stdout.splitlines() if "::" in line]


def _pytest(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--quiet", *(str(argument) for argument in arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


TIER = """#!/usr/bin/env bash
. "$(dirname "$0")/lib.sh"
unit_run main "$ROOT/python" tests/unit
finish
"""
PYTHON = r"""#!/bin/sh
case "$*" in *--version) exit;; esac
echo "$*" | grep -o 'part [0-9]/[0-9]' >>parts
case "$*" in *--part\ {fails}/3*) exit 1;; esac
"""


@pytest.mark.parametrize(("fails", "code"), [(0, 0), (1, 1), (2, 1), (3, 1)])
def test_a_tier_runs_every_part_and_fails_with_any_of_them(fails: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "scripts" / "tiers").mkdir(parents=True)
    for name in ("lib.sh", "tiers/lib.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    for file, text in ((tmp_path / "scripts" / "tiers" / "unit", TIER), (tmp_path / "python", PYTHON.format(fails=fails))):
        file.write_text(text)
        file.chmod(0o755)
    run = subprocess.run([tmp_path / "scripts" / "tiers" / "unit"], capture_output=True, text=True, check=False)
    where = subprocess.run(["bash", "-c", ". scripts/lib.sh && echo $MEMORY"], cwd=tmp_path, capture_output=True, text=True, check=True)
    shutil.rmtree(where.stdout.strip(), ignore_errors=True)
    assert run.returncode == code, run.stderr
    assert sorted((tmp_path / "parts").read_text().splitlines()) == ["part 1/3", "part 2/3", "part 3/3"]
