# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run of the tiers names what failed at its end; one that is told to end says so in one line, and ends what it started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "run_tiers.py"
LONGEST = 60
"""Seconds after which a program hangs."""
RUNS_UNTIL_IT_IS_ENDED = "#!/bin/sh\necho the last test\necho $$ >begun\nexec sleep 600\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree whose only tier writes its process id into a pipe, and runs until it is ended."""
    tier = tmp_path / "scripts" / "tiers" / "lint"
    tier.parent.mkdir(parents=True)
    tier.write_text(RUNS_UNTIL_IT_IS_ENDED)
    tier.chmod(0o755)
    shutil.copy(SCRIPT, tmp_path / "scripts")
    os.mkfifo(tmp_path / "begun")
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_told_in_one_line_with_what_ran_and_ends_it(tree: Path, number: signal.Signals) -> None:
    command = [sys.executable, str(tree / "scripts" / "run_tiers.py"), "lint"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        tier = int((tree / "begun").read_text())
        run.send_signal(number)
        try:
            told = run.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            raise
    assert told == (
        "lint was running:\n    the last test\n    all of it: build/test/lint.log\n",
        f"ended by {number.name}; what ran was stopped\n",
    )
    assert run.returncode == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(tier, 0)


def test_what_runs_when_the_time_of_the_run_is_over_is_ended_and_has_failed(tree: Path) -> None:
    script = tree / "scripts" / "run_tiers.py"
    text = script.read_text()
    assert "\nRUN_SECONDS = 80 * 60\n" in text
    script.write_text(text.replace("\nRUN_SECONDS = 80 * 60\n", "\nRUN_SECONDS = 5\n"))
    (tree / "begun").unlink()
    run = subprocess.run([sys.executable, str(script), "lint"], stdout=subprocess.PIPE, text=True, timeout=LONGEST, check=False)
    assert run.returncode == 1
    assert "failed (ended, because the time of the run was over)  (0 passed, 1 failed, 0 skipped)\n    the last test\n" in run.stdout
    with pytest.raises(ProcessLookupError):
        os.kill(int((tree / "begun").read_text()), 0)


JUNIT = """<testsuites><testsuite tests="3" failures="1" errors="1" skipped="0">
<testcase classname="tests.live.test_guest" name="test_sees[a]"><failure message="AssertionError: no disk&#10;assert 0"/></testcase>
<testcase classname="tests.live.test_guest" name="test_boots"><error message="failed on setup"/></testcase>
<testcase classname="tests.live.test_guest" name="test_passes"/></testsuite></testsuites>"""


def test_what_failed_is_named_below_the_summary_with_its_reason(tree: Path) -> None:
    (tree / "left.xml").write_text(JUNIT)
    (tree / "left").write_text("failed ruff\npassed yamllint\n")
    tier = tree / "scripts" / "tiers" / "lint"
    tier.write_text("#!/bin/sh\nmkdir build/test/lint\ncp left.xml build/test/lint\ncp left build/test/lint/checks\nexit 1\n")
    command = [sys.executable, str(tree / "scripts" / "run_tiers.py"), "lint"]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LONGEST, check=False)
    assert run.returncode == 1
    assert run.stdout.splitlines()[-5:] == [
        "",
        "lint: tests.live.test_guest.test_sees[a]: AssertionError: no disk assert 0",
        "lint: tests.live.test_guest.test_boots: failed on setup",
        "lint: ruff",
        "2 passed, 3 failed, 0 skipped",
    ]
