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


HANGS = """import threading

import pytest

@pytest.fixture
def never_ends():
    yield
    threading.Event().wait()

def test_fails(never_ends):
    assert 1 == 2
"""


def pytest_on(tests: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "tests.conftest", "-c", "/dev/null", "--rootdir", str(tests.parent)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | {"PYTHONPATH": str(tests.parent)}
    return subprocess.run([*command, *options, str(tests)], cwd=ROOT, env=buffered, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("options", [["--timeout=4"], ["--timeout=4", "--capture=no"]])
def test_what_hangs_after_its_failure_is_ended_and_tells_where(tmp_path: Path, options: list[str]) -> None:
    tests = tmp_path / "test_hangs.py"
    tests.write_text(HANGS)
    run = pytest_on(tests, *options)
    assert run.returncode == 1
    assert "in never_ends" in run.stderr
    assert "failed: test_hangs.py::test_fails: assert 1 == 2" in run.stdout


def test_a_thread_that_never_ends_does_not_keep_a_run_from_its_end(tmp_path: Path) -> None:
    tests = tmp_path / "test_ends.py"
    tests.write_text("import threading\n\ndef test_passes():\n    threading.Thread(target=threading.Event().wait).start()\n")
    (tmp_path / "sooner.py").write_text("from tests import conftest\n\nconftest._AT_THE_END_SECONDS = 1\n")
    run = pytest_on(tests, "--timeout=30", "-p", "sooner")
    assert (run.returncode, "1 passed" in run.stdout, "Thread 0x" in run.stderr) == (1, True, True)


def test_the_log_of_a_run_that_was_killed_tells_what_had_failed(tmp_path: Path) -> None:
    tests = tmp_path / "test_two.py"
    tests.write_text(TESTS)
    run = pytest_on(tests)
    assert run.returncode == -9
    assert "failed: test_two.py::test_first: AssertionError: no number" in run.stdout.splitlines()
