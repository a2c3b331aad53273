# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What continuous integration runs leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[3] / ".ci" / "run"
LONGEST = 60
"""Seconds after which a program hangs."""
ENDS_WITH_3 = "sys.exit(3)"
RUNS_UNTIL_IT_IS_TOLD = """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("making", flush=True)
signal.sigwait([signal.SIGTERM])
print("told", flush=True)
"""


class Clone:
    """A clone in which `make` is a program of the test's, and the script that stops everything says that it did."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / ".ci").mkdir()
        shutil.copy(RUN, directory / ".ci" / "run")
        self.write("scripts/stop-everything", "#!/bin/sh\necho stopped everything\n")

    def write(self, name: str, text: str) -> None:
        file = self.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def start(self, make: str) -> subprocess.Popen[str]:
        self.write("bin/make", f"#!{sys.executable}\nimport signal, sys\nassert sys.argv[1:] == ['test']\n{make}\n")
        environment = {**os.environ, "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}"}
        return subprocess.Popen(
            [self.directory / ".ci" / "run"], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_it_ends_as_make_does_and_stops_everything(clone: Clone) -> None:
    with clone.start(ENDS_WITH_3) as run:
        assert run.communicate(timeout=LONGEST)[0] == "stopped everything\n"
    assert run.returncode == 3


def test_a_signal_ends_make_at_once_and_then_everything(clone: Clone) -> None:
    with clone.start(RUNS_UNTIL_IT_IS_TOLD) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "making\n"
        run.send_signal(signal.SIGTERM)
        try:
            assert run.communicate(timeout=LONGEST)[0] == "told\nstopped everything\n"
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            raise
    assert run.returncode == 128 + signal.SIGTERM
