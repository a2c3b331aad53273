# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is promised about speed, measured beside the peers in one run: ``python -m tests.bench`` (docs/performance.md)."""

from __future__ import annotations

import sys
from pathlib import Path

# Where the working tree is found as the collection; pytest gets the same from pyproject.toml.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build" / "collections"))
