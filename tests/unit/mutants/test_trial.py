# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A mutant survives when no test notices it, whether it is inside a function or at the top of a module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import trial

ROOT = Path(__file__).resolve().parents[3]
SUBJECT = """\
LIMIT = 5
UNUSED = 7

def fits(size):
    if size > LIMIT:
        return False
    return True

def spoken(size):
    return "fits"
"""
TESTS = """\
from subject import fits, spoken

def test_what_is_too_big_does_not_fit():
    assert fits(5) and not fits(6) and spoken(5)
"""
PROGRAM = """\
import sys
from pathlib import Path
from tests.mutants.trial import TestsFail, Trial, survivors
sys.path.insert(0, sys.argv[1])
trial = Trial("subject", Path(sys.argv[1], "subject.py"), [str(Path(sys.argv[1], "test_subject.py"))])
try:
    print(*(mutant.name for mutant in survivors(trial, trial.mutants, 2)), sep="\\n")
except TestsFail as failure:
    print("do not pass" in str(failure))
"""


def test_a_module_of_which_no_test_is_known_is_told() -> None:
    with pytest.raises(trial.TestsFail, match="no unit test of subject is known"):
        trial.survivors(trial.Trial("subject", ROOT / "subject.py", []), [], 1)


def survivors(directory: Path, tests: str) -> list[str]:
    (directory / "subject.py").write_text(SUBJECT)
    (directory / "test_subject.py").write_text(tests)
    command = [sys.executable, "-c", PROGRAM, str(directory)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.exhaustive
def test_only_what_no_test_notices_survives(directory: Path) -> None:
    assert sorted(survivors(directory, TESTS)) == ["say `7`: `8`", "spoken: say `'fits'`: `'not fits'`"]


@pytest.mark.exhaustive
def test_tests_that_fail_by_themselves_tell_nothing(directory: Path) -> None:
    assert survivors(directory, TESTS.replace("fits(5)", "fits(7)")) == ["True"]
