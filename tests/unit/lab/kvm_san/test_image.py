# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the machines of the SAN cannot be made, that is said in one line, before anything is begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.built import CannotPrepare
from tests.lab.kvm_san.image import MEMORY_MIB, refuse_elsewhere

ROOT, SOMEBODY = 0, 1000


def _memory(directory: Path, mib: int) -> Path:
    file = directory / "meminfo"
    file.write_text(f"MemTotal:       24595180 kB\nMemFree:          100000 kB\nMemAvailable:   {mib * 1024} kB\n")
    return file


def test_root_with_enough_memory_can(tmp_path: Path) -> None:
    refuse_elsewhere(ROOT, _memory(tmp_path, MEMORY_MIB))


def test_nobody_but_root_makes_the_image(tmp_path: Path) -> None:
    with pytest.raises(CannotPrepare, match=r"which only root makes: run it as root$"):
        refuse_elsewhere(SOMEBODY, _memory(tmp_path, MEMORY_MIB))


def test_without_room_for_the_machines_none_is_started(tmp_path: Path) -> None:
    with pytest.raises(CannotPrepare, match=rf"^its three machines take {MEMORY_MIB} MiB of memory, and {MEMORY_MIB - 1} are free: "):
        refuse_elsewhere(ROOT, _memory(tmp_path, MEMORY_MIB - 1))
