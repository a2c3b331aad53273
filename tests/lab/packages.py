# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Debian packages of which a part of the lab is made."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.processes import ServerFailed

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "system-packages"


def install(packages: Sequence[str]) -> None:
    """Install those that are missing; raises ServerFailed with the way out when this user or machine cannot."""
    done = subprocess.run([PROGRAM, *packages], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailed((done.stdout or done.stderr).strip())
