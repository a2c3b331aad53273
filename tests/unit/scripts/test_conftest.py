# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fails is told before the run has ended, because a run that is ended by force has no end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
TESTS = """import os

def test_first():
    assert 1 == 2, "no number"

def test_second():
    os.kill(os.getpid(), 9)
"""


def test_the_log_of_a_run_that_was_killed_tells_what_had_failed(tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text(TESTS)
    options = ["--quiet", "-p", "tests.conftest", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    run = subprocess.run(command, cwd=ROOT, env=buffered, capture_output=True, text=True, check=False)
    assert run.returncode == -9
    assert "failed: test_two.py::test_first: AssertionError: no number" in run.stdout.splitlines()
